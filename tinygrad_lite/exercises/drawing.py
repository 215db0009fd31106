"""The picture of a misconception: the slope that an answer claims on the curve, or its array beside the right one."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.exercises.declaration import Declaration
from tinygrad_lite.exercises.example import Example
from tinygrad_lite.transforms.gradients import grad

_WIDTH, _HEIGHT = 340, 256  # as a card shows it, its letters are large enough, and on a phone
_CELL, _ROW, _TITLE = 64, 28, 30
_INK, _RIGHT, _WRONG, _PAPER = "#1f2430", "#1b5fae", "#b3261e", "#ffffff"
_STYLE = "font: 15px system-ui, sans-serif"


def picture(name: str, example: Example) -> tuple[str, str]:
    """The picture of a misconception's example as SVG, and what it shows in words."""
    declaration, wrong = example.declaration(name), example.submission(name)
    for trial in declaration.inputs:
        y = declaration.value(trial)
        g = np.ones_like(y) if declaration.write == "derivative" else np.reshape(2.0 + np.arange(y.size), y.shape)
        right = _right(declaration, trial, g)
        try:
            answer = np.asarray(wrong(*([g] if declaration.write == "vjp" else []), y, *trial.values()), float)
        except ValueError:
            return _shapes(declaration, trial, g)
        if answer.shape != right.shape:
            return _grids({"the gradient": right, "the answer": answer})
        if np.any(np.abs(answer - right) > 1e-9):
            break
    if declaration.write == "derivative":
        return _tangents(declaration, trial, right, answer)
    return _grids({"the gradient": right, "the answer": answer}, right)


def _right(declaration: Declaration, trial: Mapping[str, Array], g: Array) -> Array:
    def weighted(x: Any) -> Any:
        return np.sum(g * declaration.function(*{**trial, declaration.argument: x}.values()))

    return np.asarray(grad(weighted)(trial[declaration.argument]))


def _tangents(declaration: Declaration, trial: Mapping[str, Array], right: Array, answer: Array) -> tuple[str, str]:
    """The curve through one entry, with its slope and the slope that the answer claims."""
    name, x = declaration.argument, np.asarray(trial[declaration.argument])
    at = np.unravel_index(int(np.argmax(np.abs(np.arctan(answer) - np.arctan(right)))), x.shape)
    reach = 0.6 * max(float(np.max(np.abs(x - x[at]))), 1.0)
    t = np.linspace(x[at] - reach, x[at] + reach, 121)
    if np.all(x > 0):
        t = t[t > 0.02]

    def along(value: float) -> float:
        moved = x.copy()
        moved[at] = value
        return float(declaration.value({**trial, name: moved})[at])

    curve, y = np.array([along(value) for value in t]), along(float(x[at]))
    low, high = float(np.min(curve)), float(np.max(curve))
    margin = 0.15 * (high - low or 1.0)

    def place(u: float, v: float) -> tuple[float, float]:
        across = (u - t[0]) / (t[-1] - t[0]) * (_WIDTH - 40) + 20
        return across, (high + margin - v) / (high - low + 2 * margin) * (_HEIGHT - _LEGEND - 20) + _LEGEND + 10

    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in map(place, t, curve))
    clip = f'<clipPath id="below"><rect y="{_LEGEND}" width="{_WIDTH}" height="{_HEIGHT - _LEGEND}"/></clipPath>'
    parts = [
        clip,
        '<g clip-path="url(#below)">',
        f'<polyline points="{points}" fill="none" stroke="{_INK}" stroke-width="2"/>',
    ]
    for slope, kind in ((right[at], _OF_CURVE), (answer[at], _CLAIMED)):
        ends = [_cut(place, (float(x[at]), y), float(slope), side * reach / 2) for side in (-1, 1)]
        parts.append(_line(ends, kind))
    a, b = place(float(x[at]), y)
    parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="5" fill="{_INK}"/></g>')
    for top, title, kind in ((24, "the slope of the curve", _OF_CURVE), (46, "what the answer claims", _CLAIMED)):
        parts += [_line([(20, top - 5), (52, top - 5)], kind), _text(60, top, title, kind[0])]
    function = declaration.formula if "\n" not in declaration.formula else "the function"
    text = f"The curve of {function} near {name} = {x[at]:.3g}, its slope there, and the one that is claimed."
    return _svg(_WIDTH, _HEIGHT, parts, text), text


_LEGEND = 56
_OF_CURVE, _CLAIMED = (_RIGHT, ""), (_WRONG, ' stroke-dasharray="7 5"')
"""The colour and the dashes of a slope."""


def _line(ends: list[tuple[float, float]], kind: tuple[str, str]) -> str:
    (x1, y1), (x2, y2), (colour, dash) = *ends, kind
    line = f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'{line} stroke="{colour}" stroke-width="3"{dash}/>'


def _cut(place: Any, point: tuple[float, float], slope: float, along: float) -> tuple[float, float]:
    """The end of a line through a point, kept to 110 units of the picture."""
    (a, b), (c, d) = place(*point), place(point[0] + along, point[1] + slope * along)
    factor = min(1.0, 110 / max(float(np.hypot(c - a, d - b)), 1e-9))
    return a + factor * (c - a), b + factor * (d - b)


def _grids(arrays: Mapping[str, Array], right: Array | None = None) -> tuple[str, str]:
    """Arrays below each other, with their numbers; entries that differ from the right ones are outlined."""
    parts, width, top, wrong = [], 180.0, 0.0, 0
    largest = max(float(np.max(np.abs(array))) for array in arrays.values()) or 1.0
    for title, array in arrays.items():
        rows = np.atleast_2d(array)
        colour = _WRONG if title == "the answer" else _RIGHT
        parts.append(_text(20, top + 22, f"{title}, {array.shape}", colour))
        for (i, j), value in np.ndenumerate(rows):
            off = right is not None and abs(value - np.atleast_2d(right)[i, j]) > 1e-9
            wrong += off
            x, y, share = 20 + j * _CELL, top + _TITLE + i * _ROW, min(abs(float(value)) / largest, 1.0)
            fill = f"rgba({'230,120,40' if value < 0 else '60,130,220'},{0.05 + 0.4 * share:.2f})"
            stroke = f'stroke="{_WRONG}" stroke-width="3"' if off else f'stroke="{_INK}" stroke-width="0.5"'
            place = f'x="{x + 2:.0f}" y="{y + 2:.0f}" width="{_CELL - 4}" height="{_ROW - 4}"'
            parts.append(f'<rect {place} fill="{fill}" {stroke}/>')
            number = _text(x + _CELL / 2, y + 19, f"{value + 0.0:.3g}".replace("-", "\N{MINUS SIGN}"), _INK, "middle")
            parts.append(number)
        width = max(width, 40 + rows.shape[1] * _CELL)
        top += _TITLE + rows.shape[0] * _ROW + 8
    titles = " and ".join(f"{title} of shape {array.shape}" for title, array in arrays.items())
    are_wrong = "1 entry of the answer is wrong" if wrong == 1 else f"{wrong} entries of the answer are wrong"
    text = f"{titles}{f'; {are_wrong}, and outlined' if wrong else ''}."
    return _svg(width, top + 6, parts, text), text[0].upper() + text[1:]


def _shapes(declaration: Declaration, trial: Mapping[str, Array], g: Array) -> tuple[str, str]:
    """The arrays that were combined, as grids without numbers."""
    parts, left, height = [], 20.0, 0.0
    arrays = {"g": g, **trial}
    for name, array in arrays.items():
        rows, columns = np.shape(np.atleast_2d(array))
        parts.append(_text(left, 22, f"{name}: {rows} by {columns}", _RIGHT))
        for i, j in np.ndindex(rows, columns):
            place = f'x="{left + 22 * j + 1:.0f}" y="{_TITLE + 22 * i + 1}" width="20" height="20"'
            parts.append(f'<rect {place} fill="rgba(60,130,220,0.2)" stroke="{_INK}" stroke-width="0.5"/>')
        left += max(22 * columns, 76) + 24
        height = max(height, _TITLE + 22 * rows + 14)
    text = "The shapes: " + ", ".join(f"{name} has {np.shape(array)}" for name, array in arrays.items()) + "."
    return _svg(left, height, parts, text), text


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: float, height: float, parts: list[str], text: str) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{1.1 * width:.0f}" '
        'role="img"'
    )
    paper = f'<rect width="100%" height="100%" rx="8" fill="{_PAPER}"/>'
    return "\n".join([f'{head} style="{_STYLE}">', f"<title>{escape(text)}</title>", paper, *parts, "</svg>", ""])
