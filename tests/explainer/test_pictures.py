"""Pictures and derivations: each form of the graph is what its language takes."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.explainer.graphs import LESSONS, scalar
from tinygrad_lite.explainer.lesson import Lesson

SVG = "{http://www.w3.org/2000/svg}"
small = pytest.mark.parametrize("name", [name for name in LESSONS if name != "long"])


@small
def test_svg(name: str) -> None:
    lesson = LESSONS[name]()
    picture = ET.fromstring(lesson.to_svg())  # noqa: S314, RUF100  our own
    texts = ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]
    for node in lesson.graph.nodes:
        assert node.name in texts
    boxes = [box for box in picture.iter(f"{SVG}rect") if box.get("class") == "box"]
    assert len(boxes) == len(lesson.graph.nodes)
    corners = [(float(box.get("x", 0)), float(box.get("y", 0))) for box in boxes]
    assert len(set(corners)) == len(boxes), "no box covers another"
    edges = sum(hasattr(x, "name") for node in lesson.graph.operations for x in node.inputs)
    assert len([path for path in picture.iter(f"{SVG}path") if "edge" in path.get("class", "")]) == edges


def test_edges_pass_beside_what_stands_between_their_ends() -> None:
    """In d = b · c with c = b + b, the line from b to d does not run through c."""
    picture = ET.fromstring(scalar().to_svg())  # noqa: S314, RUF100
    box = next(group for group in picture.iter(f"{SVG}g") if "c" in [text.text for text in group.iter(f"{SVG}text")])
    rect = box.find(f"{SVG}rect")
    assert rect is not None
    left, top = float(rect.get("x", 0)), float(rect.get("y", 0))
    right, bottom = left + float(rect.get("width", 0)), top + float(rect.get("height", 0))
    for path in picture.iter(f"{SVG}path"):
        if "edge" in path.get("class", ""):
            x, y = _points(path.get("d", ""))
            inside = (x > left + 1) & (x < right - 1) & (y > top + 1) & (y < bottom - 1)
            assert not inside.any()


def _points(path: str) -> tuple[Any, Any]:
    """Points along a path of cubic curves."""
    numbers = np.array([float(x) for x in re.findall(r"-?\d+(?:\.\d+)?", path)]).reshape(-1, 2)
    t = np.linspace(0, 1, 50)[:, None]
    found = [
        (1 - t) ** 3 * p + 3 * t * (1 - t) ** 2 * a + 3 * t**2 * (1 - t) * b + t**3 * q
        for p, a, b, q in (numbers[i : i + 4] for i in range(0, len(numbers) - 1, 3))
    ]
    points = np.concatenate(found)
    return points[:, 0], points[:, 1]


@small
def test_dot_and_mermaid(name: str) -> None:
    lesson = LESSONS[name]()
    edges = sum(hasattr(x, "name") for node in lesson.graph.operations for x in node.inputs)
    dot = lesson.to_dot()
    assert dot.startswith("digraph {")
    assert dot.count(" -> ") == edges
    assert dot.count("[label=") == len(lesson.graph.nodes)
    mermaid = lesson.to_mermaid()
    assert mermaid.startswith("flowchart ")
    assert mermaid.count(" --> ") == edges


def named(name: str) -> Lesson:
    x = tg.tensor([1.0, 2.0], requires_grad=True, name=name)
    return tg.explain(np.sum(x * x))


def test_names_are_escaped() -> None:
    lesson = named('<b>"x" & \\y\n}')
    ET.fromstring(lesson.to_svg())  # noqa: S314, RUF100
    assert r"\"x\" & \\y" in lesson.to_dot()
    assert "<b>" not in lesson.to_mermaid().replace("<br>", "")
    assert "<b>" not in lesson.to_svg()
    assert r"\&" in lesson.to_latex()


def test_latex() -> None:
    latex = scalar().to_latex()
    assert r"d &= b \cdot c \\" in latex
    assert r"\overline{d} &= 1 \\" in latex
    assert r"\overline{b} &= \overline{d} \cdot c + \overline{c} + \overline{c} \\" in latex
    assert latex.count(r"\begin{align*}") == latex.count(r"\end{align*}") == 2


@small
def test_latex_is_balanced(name: str) -> None:
    latex = LESSONS[name]().to_latex().replace(r"\{", "").replace(r"\}", "")
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")
