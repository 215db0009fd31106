"""The lessons of the course: each has a figure to step through, and the links in its text lead to steps of it."""

import contextlib
import doctest
import io
import re
from pathlib import Path
from typing import Any

import pytest

import tinygrad_lite as tg

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


@pytest.mark.parametrize("page", LESSONS, ids=lambda page: page.stem)
def test_links_lead_to_steps_of_the_figure(page: Path) -> None:
    text = page.read_text()
    figures = [*FIGURE.finditer(text)]
    assert figures, "a lesson without a figure"
    for k, figure in enumerate(figures):
        lesson = lesson_above(text[: figure.start()], figure[1])
        last = len([node for node in lesson.graph.nodes if node.op is not None]) + len(lesson.backward.steps)
        until = figures[k + 1].start() if k + 1 < len(figures) else len(text)
        around = text[0 if k == 0 else figure.start() : until]
        assert all(int(step) <= last for step in (figure[2], *re.findall(r"\(#step=(\d+)\)", around)))
