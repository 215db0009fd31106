"""The report of a class as one HTML page: who has solved what, and which mistakes to talk about."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from tinygrad_lite.exercises.assignments import OUTCOMES, Classroom, Result
from tinygrad_lite.exercises.misconceptions import MISCONCEPTIONS

_SIGNS = {"right": "✓", "wrong": "✗", "error": "!", "missing": "–"}

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2430; --link: #1b5fae; --line: #c8ccd4 }
:root { --right: #14632f; --wrong: #9a1c13; --quiet: #585f6b }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16191f; --ink: #e6e8ec; --link: #8ab8f5; --line: #454b57 }
  :root { --right: #7ad69a; --wrong: #ffa198; --quiet: #a7aebb }
}
html { background: var(--paper); color: var(--ink) }
a { color: var(--link) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
.wide { overflow-x: auto; position: relative }
table { border-collapse: separate; border-spacing: 0 }
#whence { color: var(--quiet); margin-bottom: .4rem }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .7rem; text-align: left; vertical-align: top }
th[scope="row"] { position: sticky; left: 0; background: var(--paper); min-width: 5rem; max-width: 30vw }
th[scope="row"], summary, p { overflow-wrap: anywhere }
td { min-width: 6rem }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
.right { color: var(--right) } .wrong, .error { color: var(--wrong) } .missing, small { color: var(--quiet) }
small { display: block; font-size: 13px; overflow-wrap: anywhere; max-width: 16rem }
article { border-top: 1px solid var(--line); padding-top: .5rem }
img { max-width: 100% }
pre { white-space: pre-wrap; font-size: 14px }
summary { cursor: pointer; padding: .3rem 0 }
@media screen and (prefers-color-scheme: dark) { img { filter: invert(.92) hue-rotate(180deg) } }
@media print { details { break-inside: avoid } }
"""


def as_html(classroom: Classroom) -> str:
    """The page, which needs nothing else."""
    solved = sum(result.outcome == "right" for result in classroom.results)
    said = f"{len(classroom.students)} students, {len(classroom.exercises)} exercises, {solved} solved of "
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The class</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body><main>",
        f"<h1>The class</h1><p>{said}{len(classroom.results)}.</p>",
        _table(classroom),
        "<h2>Mistakes</h2>",
        *([_mistake(name, results) for name, results in classroom.mistakes().items()] or ["<p>None was named.</p>"]),
        "<h2>Each student</h2>",
        *(_student(student, classroom) for student in classroom.students),
        "</main></body></html>\n",
    ]
    return "\n".join(parts)


def _table(classroom: Classroom) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ["student", *classroom.exercises])
    rows = [
        f'<tr><th scope="row">{escape(student)}</th>{"".join(map(_cell, classroom.of(student)))}</tr>'
        for student in classroom.students
    ]
    caption = "Attempts and hints are from the students' own logs; the marks were made here. –: not handed in."
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    region = '<div class="wide" tabindex="0" role="region" aria-label="Marks" aria-describedby="whence">'
    return f'<p id="whence">{caption}</p>{region}{table}</div>'


def _cell(result: Result) -> str:
    notes = [_linked(result.misconception)] if result.misconception else []
    if result.outcome == "error":
        notes.append(escape(result.text.splitlines()[0].removeprefix(f"{result.exercise}: ")))
    if result.attempts:
        notes.append(f"{result.attempts} attempts, {result.hints} hints")
    small = "".join(f"<small>{note}</small>" for note in notes)
    said = OUTCOMES[result.outcome]
    if result.outcome == "missing":
        said = f'<span class="unseen">{said}</span>'
    return f'<td class="{result.outcome}">{_SIGNS[result.outcome]} {said}{small}</td>'


def _linked(name: str) -> str:
    return f'<a href="#{name}">{escape(MISCONCEPTIONS[name].title)}</a>'


def _mistake(name: str, results: Sequence[Result]) -> str:
    misconception = MISCONCEPTIONS[name]
    svg, text = misconception.picture()
    image = f'<img alt="{escape(text)}" src="data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}">'
    where = ", ".join(f"{escape(result.student)} ({escape(result.exercise)})" for result in results)
    return f"""<article id="{name}"><h3>{escape(misconception.title)}: {len(results)} ×</h3><p>{where}</p>
<p><strong>What people think.</strong> {escape(misconception.thought)}</p>
<p><strong>What is true.</strong> {escape(misconception.truth)}</p>
<p><strong>To ask.</strong> {escape(misconception.ask)}</p><p>{image}</p></article>"""


def _student(student: str, classroom: Classroom) -> str:
    results, others = classroom.of(student), classroom.other_files(student)
    handed_in = [result for result in results if result.outcome != "missing"]
    marks = "".join(f"<pre>{escape(result.text)}</pre>{_printed(result)}" for result in handed_in)
    missing = ", ".join(escape(result.exercise) for result in results if result.outcome == "missing")
    there = f" No exercise is named {', '.join(map(escape, others))}." if others else ""
    rest = f"<p>Not handed in: {missing}.{there}</p>" if missing else ""
    return f"<details><summary>{escape(student)}</summary>{marks}{rest}</details>"


def _printed(result: Result) -> str:
    return f"<p>It printed:</p><pre>{escape(result.printed)}</pre>" if result.printed else ""
