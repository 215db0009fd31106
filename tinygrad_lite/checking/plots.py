"""Pictures of a check: the error of each entry, the remainder of Taylor's formula, and differences by their step."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_lite.checking.evidence.examination import Examination
from tinygrad_lite.checking.subjects.subject import EPSILON, Vector
from tinygrad_lite.errors import MissingExtraError
from tinygrad_lite.readers.complex_step import STEP

PANELS = 9  # the largest number of arrays in a picture
MARKED = 400  # the largest number of entries of an array that are marked one by one
STEPS = 4.0 ** -np.arange(27.0)  # from 1 to 2e-16
SMALLEST = 1e-17  # anything smaller is drawn as this
BLACK, BLUE, VERMILION, GREEN, GREY = "#000000", "#0072b2", "#d55e00", "#009e73", "#767676"


class _Line:
    """The function along a random direction in which one array changes, by up to the size of its entries.

    Attributes:
        slope: the change along it by the gradient in question.
    """

    def __init__(self, look: Examination, k: int) -> None:
        columns = look.subject.columns(k)
        part = look.scales[columns] * np.random.default_rng(0).choice([-1.0, 1.0], len(look.scales[columns]))
        self._look = look
        self._direction = np.zeros(len(look.scales))
        self._direction[columns] = part
        self.slope: Vector = look.gradient[:, columns] @ part

    def at(self, step: float) -> Vector:
        """The values at a step."""
        return self._look.at(self._look.subject.point + step * self._direction)

    def complex(self, step: float) -> Vector:
        """The slope by a complex step of this size."""
        subject, part = self._look.subject, step / STEP
        changes: Vector = self._look.weights @ subject.changes(subject.point, part * self._direction) / part
        return changes


def entries(title: str, checked: Sequence[Any], marks: Mapping[str, Collection[Any]]) -> Any:
    """A heat map of each array's error, with marks on the entries with certain verdicts."""
    figure, panels = _panels(title, checked)
    for axes, k in panels:
        powers = _as_rows(np.log10(np.maximum(_relative_error(checked[k]), SMALLEST)))
        image = axes.imshow(powers, vmin=-17, vmax=0, cmap="cividis", aspect="auto", interpolation="nearest")
        axes.set_facecolor("#cccccc")  # where entries were checked together
        if np.all(np.isnan(powers)):
            words = "checked together:\nno entry has an error of its own"
            axes.text(0.5, 0.4, words, ha="center", transform=axes.transAxes)
        for axis, length in zip((axes.yaxis, axes.xaxis), powers.shape):
            axis.get_major_locator().set_params(integer=True)
            axis.set_visible(length > 1)
        for mark, verdicts in marks.items() if powers.size <= MARKED else ():
            rows, columns = np.nonzero(_as_rows(np.any(np.isin(checked[k].verdicts, list(verdicts)), axis=0)))
            axes.plot(columns, rows, marker=mark, color=VERMILION, linestyle="", markeredgewidth=2)
    figure.colorbar(image, ax=[axes for axes, _ in panels], label="log₁₀ of error / largest gradient")
    return figure


def taylor(title: str, checked: Sequence[Any], look: Examination) -> Any:
    """The remainder of Taylor's formula by the step: it falls as h² with the right gradient, and as h with another."""
    figure, panels = _panels(title, checked)
    shown = STEPS[:16]
    for axes, line in _lines(panels, look):
        at_0 = line.at(0.0)
        changes = [line.at(h) - at_0 for h in STEPS]
        sizes, remainders = _sizes(changes), _sizes(change - h * line.slope for change, h in zip(changes, STEPS))
        rounding = max(EPSILON * float(np.linalg.norm(at_0)), float(np.max(remainders[-3:])))  # by itself, or as seen
        sizes, remainders = sizes[: len(shown)], remainders[: len(shown)]
        anchor = min(int(np.argmax(np.isfinite(remainders))) + 2, len(shown) - 1)
        below = shown / shown[anchor] / 5
        for values, style, color, label in (
            (sizes, "s--", BLUE, "f(x + h·d) − f(x)"),
            (remainders, "o-", VERMILION, "f(x + h·d) − f(x) − h·g·d, with the gradient g"),
            (sizes[anchor] * below, ":", GREY, "slope 1"),
            (remainders[anchor] * 5 * below**2, "-.", GREY, "slope 2"),
        ):
            axes.loglog(shown, np.where(values > 0, values, np.nan), style, color=color, label=label)
        if 0 < rounding < np.inf:
            axes.axhspan(1e-4 * rounding, rounding, color=GREY, alpha=0.2, linewidth=0, label="rounding of f")
            axes.set_ylim(1e-4 * rounding)
        least = np.min(remainders, initial=np.inf, where=np.isfinite(remainders))
        hidden = np.maximum(look.epsilon * np.linalg.norm(line.slope) * shown, max(rounding, least))
        clear = np.flatnonzero((remainders > 100 * hidden)[1:])
        text = "is no more than rounding"
        if len(clear):
            text = f"falls as $h^{{{np.log(remainders[clear[-1]] / remainders[clear[-1] + 1]) / np.log(4):.2f}}}$"
        axes.text(0.97, 0.05, text, color=VERMILION, ha="right", transform=axes.transAxes)
    _label(figure, panels, "size")
    return figure


def steps(title: str, checked: Sequence[Any], look: Examination) -> Any:
    """How far differences of each kind are from the gradient, by the step; if it is wrong, all stay at its error."""
    figure, panels = _panels(title, checked)
    for axes, line in _lines(panels, look):
        at_0, above, below = line.at(0.0), [line.at(h) for h in STEPS], [line.at(-h) for h in STEPS]
        central = [(a - b) / (2 * h) for a, b, h in zip(above, below, STEPS)]
        extrapolated = central
        for weight in (16, 256, 4096):
            extrapolated = [(weight * b - a) / (weight - 1) for a, b in pairwise(extrapolated)]
        kinds = [
            ("forward difference", "^-.", VERMILION, [(a - at_0) / h for a, h in zip(above, STEPS)]),
            ("central difference", "s--", BLUE, central),
            ("extrapolated from four central differences", "o-", GREEN, extrapolated),
        ]
        if look.method == "complex":
            kinds.append(("complex step", "x-", BLACK, [line.complex(h) for h in STEPS]))
        for label, style, color, slopes in kinds:
            apart = _sizes(slope - line.slope for slope in slopes)
            relative = apart / np.maximum(np.maximum(_sizes(slopes), np.linalg.norm(line.slope)), np.finfo(float).tiny)
            axes.loglog(STEPS[: len(apart)], np.maximum(relative, SMALLEST), style, color=color, label=label)
        axes.set_ylim(SMALLEST / 3, 10)
    _label(figure, panels, "relative distance from the gradient")
    return figure


def _panels(title: str, checked: Sequence[Any]) -> tuple[Any, list[tuple[Any, int]]]:
    """A figure, and a panel for each array by its number; if there are many, for those with the largest errors."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("plot", "Matplotlib", "examples") from None
    worst = sorted(range(len(checked)), key=lambda k: -np.nanmax(_relative_error(checked[k]), initial=0))
    shown = sorted(worst[:PANELS])
    columns = min(len(shown), 2 if len(shown) == 4 else 3)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(max(7, 1 + 3.4 * columns), 1.3 + 2.8 * rows), layout="constrained")
    some = f"\nthe {PANELS} of {len(checked)} arrays with the largest errors" if len(shown) < len(checked) else ""
    figure.suptitle(title + some, fontsize=10, wrap=True)
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in every[len(shown) :]:
        axes.remove()
    for axes, k in zip(every, shown):
        axes.set_title(f"{checked[k].path}  {'×'.join(map(str, checked[k].shape))}", fontsize=10)
    return figure, list(zip(every, shown))


def _lines(panels: Sequence[tuple[Any, int]], look: Examination) -> Iterator[tuple[Any, _Line]]:
    """Each panel with the line that it shows, unless the gradient has no slope along it."""
    for axes, k in panels:
        line = _Line(look, k)
        if np.all(np.isfinite(line.slope)):
            yield axes, line
        else:
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, "the gradient is not finite", color=VERMILION, ha="center", transform=axes.transAxes)


def _label(figure: Any, panels: Sequence[tuple[Any, int]], height: str) -> None:
    """Say what is drawn, once for all panels."""
    drawn: dict[str, Any] = {}
    for axes, _ in panels:
        axes.grid(color="#e5e5e5")
        axes.spines[["top", "right"]].set_visible(False)
        for line in axes.lines:
            line.set_markersize(4)
        handles, labels = axes.get_legend_handles_labels()
        drawn.update(zip(labels, handles))
    for axes, _ in panels[-panels[0][0].get_gridspec().ncols :]:  # with nothing below
        axes.set_xlabel("step h, relative to the entries")
    figure.supylabel(height, fontsize=10)
    if drawn:
        figure.legend(drawn.values(), drawn, loc="outside lower center", ncols=2, fontsize=9)


def _relative_error(argument: Any) -> Any:
    """The largest error of each entry among all results, by the largest gradient of the array; NaN where unknown."""
    largest = np.max(np.abs(argument.gradient), initial=0, where=np.isfinite(argument.gradient)) or 1.0
    error = np.max(np.where(np.isfinite(argument.error), argument.error, -np.inf), axis=0) / largest
    return np.where(error >= 0, error, np.nan)


def _sizes(vectors: Iterable[Any]) -> Vector:
    return np.array([np.linalg.norm(vector) for vector in vectors])


def _as_rows(values: Any) -> Any:
    """An array as rows and columns."""
    return values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values.reshape(1, -1)
