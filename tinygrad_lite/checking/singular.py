"""Finds points without a derivative: declared kinks, kinks that one-sided slopes show, and the ends of domains."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tinygrad_lite.checking.examination import FULL, Comparison, Examination
from tinygrad_lite.checking.subject import Matrix, Vector
from tinygrad_lite.readers.recording import Step

DIRECTIONS = 4  # along which entries at a kink are looked at together
ASIDE = 2.0**-20  # the distance of one-sided slopes from a point, in its scale
BESIDE = 2.0**-8  # the same where slopes are differences


class Kinks:
    """The kinks of a function at the very point where it is checked.

    Attributes:
        steps: the operations that are at a kink there.
        jumps: the results and entries whose one-sided slopes differ, after a call of `at`.
        apart: those which lie between their own slopes, but not together with the others.
    """

    def __init__(self, examination: Examination, steps: Sequence[Step]) -> None:
        self._look = examination
        self._subject = examination.subject
        self._at_point = _expressions(steps)
        self._all = steps
        self.steps = [k for k, (values, least) in self._at_point.items() if np.any(np.abs(values) <= least)]
        self._sides: dict[int, tuple[Matrix, Matrix, Matrix]] = {}
        self.touches = cache(self._touches)
        self.jumps: Matrix = np.zeros(examination.gradient.shape, bool)
        self.apart: Matrix = self.jumps.copy()

    def _touches(self, column: int) -> int | None:
        """The operation that leaves its kink when this entry moves, by its index among the steps."""
        if not self.steps or len(self._subject.point) > FULL:
            return None
        for side in (1, -1):
            try:
                moved = self._subject.steps(self._subject.point + side * self._aside(column))
            except Exception:  # the function refuses this point
                moved = []
            if len(moved) != len(self._all):
                return self.steps[0]
            beside = _expressions(moved)
            for k in self.steps:
                (before, least), (after, _) = self._at_point[k], beside.get(k, (None, 0))
                if np.shape(after) != np.shape(before):
                    return k
                if np.any((np.abs(before) <= least) & (np.abs(after) > 4 * least)):
                    return k
        return None

    def _aside(self, column: int, part: float = 1.0) -> Vector:
        """A step of this entry so small that it only leaves a kink at the very point."""
        return np.asarray(part * ASIDE * self._look.own_scales[column] * self._look.unit(column))

    def _slopes(self, direction: Vector) -> tuple[Vector, Vector]:
        """The slopes to the right and to the left of the point."""
        return self._slope_beside(ASIDE * direction, direction), self._slope_beside(-ASIDE * direction, direction)

    def _slope_beside(self, aside: Vector, direction: Vector) -> Vector:
        """The slope along a direction just beside the point, extrapolated from three distances; NaN if refused."""
        x = self._subject.point
        try:
            far, middle, near = (self._look.slope(x + part * aside, direction) for part in (1.0, 0.5, 0.25))
        except Exception:  # the function refuses these points
            return np.full(len(self._look.at_0), np.nan)
        return np.asarray((8 * near - 6 * middle + far) / 3)

    def _are_no_subgradient(self, comparison: Comparison, entries: Matrix) -> None:
        """Look at entries that are at a kink together: each may lie between its slopes, but not their sum."""
        look = self._look
        for row in np.flatnonzero(np.sum(entries, axis=1) > 1):
            columns = np.flatnonzero(entries[row])
            for k in range(DIRECTIONS):
                direction = look.direction(columns) if k else np.abs(look.direction(columns))
                slope = float(look.gradient[row, columns] @ direction[columns])
                if look.method == "differences":
                    sides = look.difference(direction)
                    right, left, slack = sides.right[row], sides.left[row], sides.side_bound[row]
                else:
                    right, left = (side[row] for side in self._slopes(direction))
                    slack = 0.0
                slack += 1e-8 * (abs(right) + abs(left)) + 1e-12 * look.size[row]
                if not np.isfinite(slack) or _between(slope, right, left, slack):
                    continue
                if not self._is_between_beside(comparison, int(row), columns, direction, slope, slack):
                    entries[row, columns] = False
                    self.apart[row, columns] = True

    def _is_between_beside(
        self, comparison: Comparison, row: int, columns: Vector, direction: Vector, slope: float, slack: float
    ) -> bool:
        """Whether the slope is between those at two points beside: each entry is on the side that says more, or less.

        Where one entry's kink bends up and another's down, the function can be straight along a direction through both,
        and the slopes of the smooth pieces around are what a gradient may be.
        """
        look = self._look
        with np.errstate(invalid="ignore"):
            rises = direction[columns] * (comparison.right[row, columns] - comparison.left[row, columns]) >= 0
        far = np.zeros(len(direction))
        far[columns] = np.where(rises, 1.0, -1.0) * look.own_scales[columns] * look.rng.uniform(0.5, 1, len(columns))
        if look.method != "differences":
            ends = [self._slope_beside(side * ASIDE * far, direction)[row] for side in (1, -1)]
        else:
            ends = []
            for side in (1, -1):
                parts = [look.difference_beside(side * part * BESIDE * far, direction) for part in (1.0, 0.5, 0.25)]
                ends.append((8 * parts[2].slope - 6 * parts[1].slope + parts[0].slope)[row] / 3)
                slack += float(max(part.bound[row] for part in parts))
        slack += 1e-6 * (abs(ends[0]) + abs(ends[1]))
        return bool(np.isfinite(slack) and _between(slope, ends[0], ends[1], slack))

    def _breaks(self, column: int) -> Vector:
        """Whether the value changes as much on a short way as on one that is a thousand times as long."""
        jumps = np.zeros(len(self._look.at_0), bool)
        for side in (1, -1):
            far, near = (
                np.abs(self._look.at(self._subject.point + side * self._aside(column, part)) - self._look.at_0)
                for part in (1.0, 2.0**-10)
            )
            jumps |= (near > 0.5 * far) & (near > 1e-10 * self._look.size)
        return jumps

    def at(self, comparison: Comparison, suspicious: Matrix) -> Matrix:
        """The entries that are at a kink and have a slope between the two one-sided slopes.

        If both sides have the same slope, there is no kink after all, and the entry is compared with that slope.
        """
        look = self._look
        entries = np.zeros(comparison.gradient.shape, bool)
        nothing = 1e-12 * self._look.size  # a negligible change
        for column in range(comparison.gradient.shape[1]) if comparison.gradient.shape[1] <= FULL else ():
            touched = self.touches(column) is not None
            if touched:
                comparison.jumps[:, column] |= self._breaks(column)
            if self._look.method == "differences":
                right, left = comparison.right[:, column], comparison.left[:, column]
                bound = comparison.side_bound[:, column] + 1e-9 * (np.abs(right) + np.abs(left))
                jumps = np.abs(right - left) > 4 * bound
                entries[:, column] = jumps & _between(comparison.gradient[:, column], right, left, bound)
                comparison.hidden[:, column] &= ~(entries[:, column] & (bound < 1e-3 * np.abs(right - left)))
                if touched:  # a jump, say, has no one-sided slope at all
                    size = np.fmax(np.fmax(np.abs(right), np.abs(left)), np.abs(comparison.gradient[:, column]))
                    unknown = ~(bound < 1e-3 * size)
                    entries[:, column] |= suspicious[:, column] & unknown
                    comparison.hidden[:, column] |= entries[:, column] & unknown
                self.jumps[:, column] = jumps
            elif touched:
                scale = look.scales[column]
                right, left = (side / scale for side in self._slopes(scale * look.unit(column)))
                size = np.abs(right) + np.abs(left)
                apart = np.abs(right - left)
                jumps = apart > 1e-8 * size + nothing / self._look.scales[column]
                slack = 1e-9 * size + nothing / self._look.scales[column]
                within = _between(comparison.gradient[:, column], right, left, slack)
                comparison.right[:, column], comparison.left[:, column] = right, left
                entries[:, column] = jumps & within
                smooth = ~jumps
                middle = (right + left) / 2
                comparison.reference[smooth, column] = middle[smooth]
                comparison.bound[smooth, column] = (apart + slack)[smooth]
                error = np.abs(comparison.gradient[:, column] - middle)
                suspicious[smooth, column] = ~(error <= apart + slack)[smooth]
                suspicious[:, column] |= jumps & ~within
                self.jumps[:, column] = jumps
        self._are_no_subgradient(comparison, entries)
        return entries

    def named(self, column: int) -> str:
        """The operation at the kink, its entry, and the line that called it; empty if it is not known."""
        k = self.touches(column)
        if k is None:
            return ""
        step, (values, least) = self._all[k], self._at_point[k]
        elements = np.argwhere(np.abs(values) <= least)
        element = (
            f", at entry {elements[0].tolist()}" if np.shape(values) == np.shape(step.value) and np.ndim(values) else ""
        )
        return f"{step.op}{element}{_called(step)}"

    def slopes(self, comparison: Comparison, row: int, column: int) -> str:
        """A description of the one-sided slopes."""
        right, left = comparison.right[row, column], comparison.left[row, column]
        slack = comparison.side_bound[row, column] + 1e-5 * (abs(right) + abs(left))
        between = min(right, left) - slack <= comparison.gradient[row, column] <= max(right, left) + slack
        if self.apart[row, column]:
            return "it lies between the slopes on both sides, but together with the other entries it does not"
        if not between and not self.jumps[row, column]:
            return "kinks of several operations meet, and the conventions at each do not add up to a slope of the whole"
        sides = f"the slope is {left:.6g} from the left and {right:.6g} from the right"
        return f"{sides}, and the gradient {'' if between else 'not '}between them"


def _between(gradient: Any, a: Any, b: Any, slack: Any) -> Any:
    return np.asarray((gradient >= np.minimum(a, b) - slack) & (gradient <= np.maximum(a, b) + slack))


def _expressions(steps: Sequence[Step]) -> dict[int, tuple[Any, float]]:
    """For each operation with kinks, the expression that is zero there, and where it is zero up to rounding."""
    expressions = {}
    with np.errstate(all="ignore"):
        for k, step in enumerate(steps):
            if step.op.kink is not None:
                try:
                    values = np.asarray(step.op.kink(*step.arrays, **step.params), float)
                except (ValueError, TypeError, np.linalg.LinAlgError):
                    continue  # the expression fits the arguments of tests, but not these
                sizes = [np.abs(x[np.isfinite(x)]) for x in map(np.asarray, step.arrays) if x.dtype.kind == "f"]
                expressions[k] = values, 1e-14 * max((float(np.max(size, initial=0)) for size in sizes), default=0.0)
    return expressions


def outside_domain(steps: Sequence[Step]) -> str:
    """The first operation with an argument outside the domain where it is real and smooth; empty if there is none.

    Only elementwise operations have a domain for each number: that of a matrix is more than an interval.
    """
    for step in steps:
        for array, interval in zip(step.arrays, (step.op.derivatives and step.op.domain) or ()):
            low, high = interval
            outside = np.argwhere(~((np.asarray(array) > low) & (np.asarray(array) < high)))
            if len(outside):
                entry = tuple(outside[0])
                at = f" at entry {list(map(int, entry))}" if entry else ""
                return (
                    f"{step.op}{_called(step)}, given {np.asarray(array)[entry]:.6g}{at}; it is real and smooth for "
                    f"{low:.6g} < x < {high:.6g}"
                )
    return ""


def _called(step: Step) -> str:
    return f", called at {step.source}" if step.source else ""


def at_kink(steps: Sequence[Step]) -> str:
    """The first operation that is at a kink, and the line that called it; empty if there is none."""
    for k, (values, least) in _expressions(steps).items():
        if np.any(np.abs(values) <= least):
            return f"{steps[k].op}{_called(steps[k])}"
    return ""
