"""The marks of a class: a folder for each student, with a file for each exercise, each file in a process of its own."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from tinygrad_lite.errors import InputError, TinygradError
from tinygrad_lite.exercises import start
from tinygrad_lite.exercises.attempts import Event, Log
from tinygrad_lite.exercises.catalogue import Catalogue, exercise_of, find, meant_by
from tinygrad_lite.exercises.learners_file import said_of
from tinygrad_lite.exercises.mark import Mark
from tinygrad_lite.exercises.misconceptions import MISCONCEPTIONS
from tinygrad_lite.exercises.shown import Shown

LOG = "attempts.jsonl"
"""The file in a student's folder that holds the log of attempts and hints."""

OUTCOMES = {"right": "right", "wrong": "not yet", "error": "could not be marked", "missing": "not handed in"}


@dataclass(frozen=True)
class Result:
    """The outcome of one student's exercise.

    Attributes:
        outcome: "right", "wrong", "error" or "missing".
        text: the mark, or why there is none.
        misconception: the name of the mistake, if the mark names one.
        other_files: the student's files that match no exercise, if this one was not handed in, each with what it may
            have been meant for.
        events: the attempts and hints in the student's own log, which the student could have changed.
    """

    student: str
    exercise: str
    outcome: str
    text: str
    misconception: str = ""
    printed: str = ""
    seconds: float = 0.0
    other_files: Sequence[str] = ()
    events: Sequence[Event] = ()

    @property
    def attempts(self) -> int:
        """The number of attempts in the log."""
        return sum(event.ok is not None for event in self.events)

    @property
    def hints(self) -> int:
        """The number of hints that were read, according to the log."""
        return max((event.hint for event in self.events), default=0)


def of_mark(mark: Mark, student: str) -> Result:
    """The result that a mark is."""
    outcome = "right" if mark.ok else "wrong"
    return Result(student, mark.exercise, outcome, str(mark), mark.misconception, mark.printed)


@dataclass(frozen=True, repr=False)
class Classroom(Shown):
    """The results of a class; its text is a table."""

    results: Sequence[Result] = field(default_factory=tuple)

    @property
    def students(self) -> list[str]:
        """The students, in order."""
        return [*dict.fromkeys(result.student for result in self.results)]

    @property
    def exercises(self) -> list[str]:
        """The exercises, in order."""
        return [*dict.fromkeys(result.exercise for result in self.results)]

    def of(self, student: str) -> list[Result]:
        """A student's results."""
        return [result for result in self.results if result.student == student]

    def mistakes(self) -> Mapping[str, Sequence[Result]]:
        """The results with each mistake that was named, the most frequent first."""
        named: dict[str, list[Result]] = {}
        for result in self.results:
            names = [result.misconception, *(event.misconception for event in result.events)]
            for name in dict.fromkeys(filter(MISCONCEPTIONS.__contains__, names)):  # a log may say anything
                named.setdefault(name, []).append(result)
        return dict(sorted(named.items(), key=lambda item: -len(item[1])))

    def __str__(self) -> str:
        head = ["student", *self.exercises, "attempts", "hints"]
        rows = [head, *map(self._row, self.students)]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        lines += [f"{r.student}, {r.text.splitlines()[0]}" for r in self.results if r.outcome == "error"]
        for student in self.students:
            if others := self.other_files(student):
                lines.append(f"{student}: no exercise is named {', '.join(others)}")
        mistakes = self.mistakes()
        for name, results in mistakes.items():
            who = ", ".join(dict.fromkeys(result.student for result in results))
            lines.append(f"{name}: {len(results)} × ({who})")
        if mistakes:
            lines.append(f"python -m tinygrad_lite exercise --about {next(iter(mistakes))} says what a mistake is")
        return "\n".join(lines)

    def other_files(self, student: str) -> list[str]:
        """The files that match no exercise, if the student has not handed in every exercise."""
        return [*dict.fromkeys(name for result in self.of(student) for name in result.other_files)]

    def markdown(self) -> str:
        """The same as a table in Markdown."""
        head = ["student", *self.exercises, "attempts", "hints"]
        rows = [head, ["---"] * len(head), *map(self._row, self.students)]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def _row(self, student: str) -> list[str]:
        results = self.of(student)
        cells = [OUTCOMES[result.outcome] for result in results]
        return [student, *cells, str(sum(r.attempts for r in results)), str(sum(r.hints for r in results))]


def mark_class(
    folder: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    *,
    seeded: bool = False,
    time_limit: float = 10.0,
) -> Classroom:
    """Mark the files of a class: FOLDER/STUDENT/EXERCISE.py, anywhere below the student's folder.

    A file may differ from its exercise's name in capitals, hyphens, spaces and a browser's `(1)`.

    Args:
        names: the exercises; by default all those for which somebody has a file.
        seeded: whether each student had inputs of their own, with the name of their folder as the seed.

    Raises:
        InputError: if there is no such folder, no student in it, or no exercise.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    folders = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))
    students = sorted(folders, key=lambda path: (path.name.casefold(), path.name))
    if not students:
        raise InputError(f"{folder} has no folder in it: it should have one for each student, with EXERCISE.py in it")
    files = {student: _handed_in(student) for student in students}
    there = {name for own in files.values() for name in own}
    names = [find(name).name for name in names] if names else [name for name in Catalogue() if name in there]
    if not names:
        notebook = next((meant_by(path.name) for path in sorted(folder.rglob("*.ipynb"))), "")
        raise InputError(f"no file below {folder} has the name of an exercise, such as square.py{notebook}")
    return Classroom([*_results(files, names, seeded, time_limit)])


def _handed_in(folder: Path) -> dict[str, Path]:
    """A student's Python files by exercise: that of the exercise's very name, if there are several."""
    return {exercise_of(path.stem): path for path in sorted(folder.rglob("*.py"), key=_fit)}


def _fit(path: Path) -> tuple[bool, Path]:
    return path.stem == exercise_of(path.stem), path


def _results(files: dict[Path, dict[str, Path]], names: Sequence[str], seeded: bool, limit: float) -> Iterator[Result]:
    for folder, own in files.items():
        log = next(iter(sorted(folder.rglob(LOG))), None)
        try:
            events = Log(log).events() if log else []
        except InputError:  # a student's own file may hold anything
            events = []
        for name in names:
            yield _result(folder, name, own, [event for event in events if event.exercise == name], seeded, limit)


def _is_for(name: str, path: Path) -> bool:
    """Whether a file that is not Python's has the name of an exercise, up to its first dot."""
    return path.is_file() and exercise_of(path.name.partition(".")[0]) == name


def _result(
    folder: Path, name: str, own: dict[str, Path], events: Sequence[Event], seeded: bool, limit: float
) -> Result:
    student = folder.name
    if name not in own:
        others = [path.name for key, path in own.items() if key not in Catalogue()]
        others += sorted(path.name for path in folder.rglob("*.*") if path.suffix != ".py" and _is_for(name, path))
        others = [other + meant_by(other) for other in others]
        said = f"; there is {', '.join(others)}" if others else ""
        text = f"{name}: there is no {name}.py{said}"
        return Result(student, name, "missing", text, other_files=others, events=events)
    exercise, started = start(name, seed=student if seeded else None), perf_counter()
    try:
        if own[name].is_symlink():
            raise InputError(f"{own[name].name} is a link to another file: hand in the file itself")
        marked = of_mark(exercise.check_file(own[name], time_limit=limit), student)
        fields = {"outcome": marked.outcome, "text": marked.text, "misconception": marked.misconception}
        fields["printed"] = marked.printed
    except Exception as error:  # whatever it is, the rest of the class is still marked
        said = str(error) if isinstance(error, TinygradError) else said_of(error)
        fields = {"outcome": "error", "text": f"{name}: {said}"}
    return Result(student, name, seconds=perf_counter() - started, events=events, **fields)
