"""The lessons of the course: each has a figure to step through, and figure and text show what the other speaks of."""

import contextlib
import doctest
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import tinygrad_lite as tg
from tests.marks import spread

STATIC = Path(__file__).parents[1] / "docs" / "static"
LESSONS = sorted((Path(__file__).parents[1] / "docs" / "lessons").glob("[01]*.md"))
FIGURE = re.compile(r"^```\{explain\} (.*)\n:step: (\d+)\n", re.MULTILINE)


def lesson_above(text: str, expression: str) -> Any:
    """The explained value of an expression after the Python blocks of a text."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            for example in doctest.DocTestParser().get_examples(block):
                exec(compile(example.source, "lesson", "exec"), names)
    return tg.explain(eval(expression, names))


@cache
def figures_of(page: Path) -> list[tuple[Any, str, list[str]]]:
    """The explained value of each figure of a page, its first step, and the steps to which the text links."""
    text, told = page.read_text(), []
    figures = [*FIGURE.finditer(text)]
    for k, figure in enumerate(figures):
        until = figures[k + 1].start() if k + 1 < len(figures) else len(text)
        around = text[0 if k == 0 else figure.start() : until]
        lesson = lesson_above(text[: figure.start()], figure[1])
        told.append((lesson, figure[2], re.findall(r"\(#step=(\d+)\)", around)))
    return told


@pytest.mark.parametrize("page", LESSONS, ids=lambda page: page.stem)
def test_links_lead_to_steps_of_the_figure(page: Path) -> None:
    assert figures_of(page), "a lesson without a figure"
    for lesson, first, steps in figures_of(page):
        last = len([node for node in lesson.graph.nodes if node.op is not None]) + len(lesson.backward.steps)
        assert all(int(step) <= last for step in (first, *steps))


@pytest.mark.parametrize("page", spread(LESSONS, 0), ids=lambda page: page.stem)
def test_text_and_figure_show_what_the_other_speaks_of(page: Path, browser: Any, tmp_path: Path) -> None:
    parts = []
    for k, (lesson, first, steps) in enumerate(figures_of(page)):
        lesson.to_html(tmp_path / f"page-{k}.html")
        frame = f'<iframe name="page-{k}" src="page-{k}.html#step={first}"></iframe>'
        parts.append(f'<figure class="page">{frame}</figure>')
        for step in steps or [first]:
            parts.append(f'<a target="page-{k}" href="page-{k}.html#step={step}">step {step}</a>')
    (tmp_path / "text.html").write_text(
        f"<!doctype html>{''.join(parts)}<script>{(STATIC / 'lesson_pages.js').read_text()}</script>"
    )
    shown = browser.new_page()
    errors: list[str] = []
    shown.on("pageerror", lambda error: errors.append(str(error)))
    shown.goto((tmp_path / "text.html").as_uri())
    shown.wait_for_function("[...document.querySelectorAll('iframe')].every(frame => frame.dataset.loaded)")
    for link in shown.locator("a").all():
        name, step = link.get_attribute("target"), link.get_attribute("href").partition("=")[2]
        figure = shown.locator(f"figure:has(iframe[name={name}])")
        link.hover()
        assert figure.get_attribute("class") == "page spoken-of"
        shown.mouse.move(0, 0)
        assert figure.get_attribute("class") == "page"
        link.click()
        shown.wait_for_selector(f'a[target={name}][href$="#step={step}"][aria-current=step]')
        slider = shown.frame(name).locator("#slider")
        assert slider.input_value() == step
        other = "0" if step != "0" else "1"
        slider.fill(other)  # the figure moves on, and with it the mark in the text
        shown.wait_for_function(
            "([name, step]) => [...document.querySelectorAll(`a[target=${name}]`)].every("
            "link => link.hasAttribute('aria-current') === link.href.endsWith(`#step=${step}`))",
            arg=[name, other],
        )
    shown.close()
    assert not errors


def test_a_picture_with_many_frames_plays(browser: Any) -> None:
    """From the first frame to the last, or on from where it was stopped; whoever moves the slider stops it."""
    frames = "".join(f'<g class="frame" data-words="frame {k}"></g>' for k in range(61))
    controls = '<label>x <input type="range" min="0" max="60" value="40"></label><output></output>'
    shown = browser.new_page()
    shown.set_content(f'<div class="plot"><svg>{frames}</svg>{controls}</div>')
    shown.add_script_tag(path=STATIC / "figures.js")
    button, slider, words = shown.get_by_role("button"), shown.get_by_role("slider"), shown.locator("output")

    def wait_for(frame: int) -> None:
        shown.wait_for_function("k => +document.querySelector('input').value >= k", arg=frame)

    button.click()
    assert int(slider.input_value()) < 40
    wait_for(2)
    button.click()
    stopped = int(slider.input_value())
    assert words.inner_text() == f"frame {stopped}"
    assert button.inner_text() == "▶ Play"
    button.click()
    wait_for(stopped + 1)
    slider.fill("58")
    assert button.inner_text() == "▶ Play"
    button.click()
    shown.wait_for_function("document.querySelector('button').innerText === '▶ Play'")
    assert slider.input_value() == "60"
    button.click()
    assert int(slider.input_value()) < 58
    shown.close()


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/lessons/index.md"])
def test_the_lessons_are_counted(page: str) -> None:
    text = (Path(__file__).parents[1] / page).read_text()
    counts = re.findall(r"\b(\w+teen|ten|twenty|\d+)\s+lessons", text, re.IGNORECASE)
    assert counts
    assert {count.lower() for count in counts} == {{17: "seventeen", 18: "eighteen"}[len(LESSONS)]}
