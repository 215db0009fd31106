"""Pictures that move with a slider: each of their frames is drawn when the site is built, from the package's numbers.

    ```{plot} tangent
    A caption.
    ```

draws the function of that name in lesson_figures.py.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 40


@dataclass
class Canvas:
    """Coordinates of a picture, as numbers of its axes and in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    labels: tuple[str, str] = ("", "")
    width: int = 620
    height: int = 330

    def across(self, x: float) -> float:
        low, high = self.x
        return round(LEFT + (x - low) / (high - low) * (self.width - LEFT - RIGHT), 1)

    def down(self, y: float) -> float:
        low, high = self.y
        clipped = min(max(y, low - (high - low)), high + (high - low))  # far outside, no browser draws exactly
        return round(self.height - BOTTOM - (clipped - low) / (high - low) * (self.height - TOP - BOTTOM), 1)

    def line(self, xs: Iterable[float], ys: Iterable[float], kind: str, style: str = "") -> str:
        points = " ".join(f"{self.across(float(x))},{self.down(float(y))}" for x, y in zip(xs, ys))
        return f'<polyline class="line {kind}" {style} points="{points}"/>'

    def dot(self, x: float, y: float, kind: str) -> str:
        return f'<circle class="dot {kind}" cx="{self.across(x)}" cy="{self.down(y)}" r="6"/>'

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
        where = f'x="{self.across(x)}" y="{self.down(y)}"'
        return f'<text class="{kind}" text-anchor="{anchor}" {where}>{escape(text)}</text>'

    def box(self, x: tuple[float, float], y: tuple[float, float], kind: str, style: str = "") -> str:
        (left, right), (bottom, top) = map(self.across, x), map(self.down, y)
        size = f'width="{max(right - left, 0):.1f}" height="{max(bottom - top, 0):.1f}"'
        return f'<rect class="{kind}" {style} x="{left}" y="{top}" {size}/>'

    def cells(self, rows: Sequence[Sequence[Any]], x: float, y: float, kinds: Any, style: Any = None) -> str:
        """A table of numbers, with its upper left corner at x, y, in cells of size 1; `kinds(i, j)` says how."""
        parts = []
        longest = max(len(str(number)) for row in rows for number in row)
        room = (self.across(1) - self.across(0)) / (0.62 * (longest + 0.25))  # for a letter, 0.62 as wide as high
        for i, row in enumerate(rows):
            for j, number in enumerate(row):
                how = style(i, j) if style else ""
                parts.append(self.box((x + j, x + j + 1), (y - i - 1, y - i), f"cell {kinds(i, j)}", how))
                number = self.text(x + j + 0.5, y - i - 0.65, str(number), "number", "middle")
                parts.append(number.replace("<text", f'<text style="--room: {room:.1f}px"', 1))
        return "".join(parts)

    def axes(self, across: Sequence[float], up: Sequence[float], names: Sequence[str] = ()) -> str:
        bottom, left = self.height - BOTTOM, LEFT
        parts = [f'<path class="axis" d="M{left},{TOP}V{bottom}H{self.width - RIGHT}"/>']
        for k, x in enumerate(across):
            name = names[k] if names else f"{x:g}"
            parts.append(f'<text text-anchor="middle" x="{self.across(x)}" y="{bottom + 17}">{escape(name)}</text>')
        for y in up:
            parts.append(f'<text text-anchor="end" x="{left - 6}" y="{self.down(y) + 4}">{y:g}</text>')
        parts.append(
            f'<text text-anchor="end" x="{self.width - RIGHT}" y="{self.height - 5}">{escape(self.labels[0])}</text>'
        )
        parts.append(f'<text x="{left + 8}" y="{TOP + 10}">{escape(self.labels[1])}</text>')
        return "".join(parts)


@dataclass
class Drawn:
    """What a picture shows: always, and in each frame, with the words for it."""

    canvas: Canvas
    title: str
    fixed: str
    slider: str = ""
    frames: list[tuple[str, str]] = field(default_factory=list)
    start: int = 0
    drag: tuple[float, float] | None = None  # the x of the first and of the last frame, if one may drag in the picture


class Plot(SphinxDirective):
    """A picture by name; its text is the caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        import lesson_figures

        self.env.note_dependency(lesson_figures.__file__)
        drawn = getattr(lesson_figures, self.arguments[0])()
        caption = nodes.container("", *self.parse_content_to_nodes(), classes=["caption"])
        return [nodes.container("", nodes.raw("", html(drawn), format="html"), caption, classes=["plot"])]


def with_minus(words: str) -> str:
    """Words in which the minus of a number is not a hyphen."""
    return re.sub(r"(?<![\w.])-(?=[\d.])", "−", words)


def still(drawn: Drawn) -> str:
    """The picture as it stands before anybody moves it; what it shows is told beside it."""
    size = f'viewBox="0 0 {drawn.canvas.width} {drawn.canvas.height}"'
    frame = drawn.frames[drawn.start][0] if drawn.frames else ""
    return f'<div class="plot"><svg aria-hidden="true" {size}>{_signs(drawn.fixed + frame)}</svg></div>'


def _signs(drawing: str) -> str:
    """A drawing in which the minus of a number is not a hyphen."""
    return re.sub(r">-(?=[\d.])", ">−", drawing)


def html(drawn: Drawn) -> str:
    canvas = drawn.canvas
    frames = "".join(
        f'<g class="frame{" shown" * (k == drawn.start)}" data-words="{escape(with_minus(words))}">{picture}</g>'
        for k, (picture, words) in enumerate(drawn.frames)
    )
    drag = "" if drawn.drag is None else f' data-drag="{",".join(str(canvas.across(x)) for x in drawn.drag)}"'
    size = f'viewBox="0 0 {canvas.width} {canvas.height}"'
    svg = f'<svg role="img" aria-label="{escape(drawn.title)}" {size}{drag}>{_signs(drawn.fixed + frames)}</svg>'
    if not drawn.frames:
        return svg
    words = escape(with_minus(drawn.frames[drawn.start][1]))
    return (
        f'{svg}<label>{escape(drawn.slider)} <input type="range" min="0" max="{len(drawn.frames) - 1}"'
        f' value="{drawn.start}" aria-valuetext="{words}"></label><output>{words}</output>'
    )


def setup(app: Sphinx) -> None:
    app.add_directive("plot", Plot)
    app.add_js_file("figures.js", loading_method="defer")
