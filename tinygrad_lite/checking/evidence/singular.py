"""Finds points without a derivative: declared kinks, kinks that one-sided slopes show, and the ends of domains."""

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np

from tinygrad_lite.checking.evidence.examination import Comparison, Examination
from tinygrad_lite.checking.subjects.subject import FULL, Matrix, Vector
from tinygrad_lite.readers.recording import Step

BEYOND = 2.0  # how far a slope may lie outside the range of the slopes at nearby points, in units of that range
POINTS = 12  # the number of nearby points
DIRECTIONS = 4  # along which entries at a kink are looked at together
VAGUE = 0.1  # the largest relative error of slopes that can confirm a gradient
ASIDE = 2.0**-20  # the distance of one-sided slopes from a point, in its scale
NEARER = 0.9375  # the fraction of this distance for a second look
BESIDE = 2.0**-8  # the distance where slopes are differences


class Kinks:
    """The kinks of a function at the very point where it is checked.

    Attributes:
        steps: the operations that are at a kink there.
        jumps: the results and entries whose one-sided slopes differ, after a call of `at`.
        apart: the entries whose gradient lies between their own slopes, but not when they move with the others.
        unclear: the entries of `apart` for which this is not certain.
        contrary: the entries where kinks meet and the gradient is no slope of the function, after a call of `meeting`.
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
        self.unclear: Matrix = self.jumps.copy()
        self.contrary: Matrix = self.jumps.copy()

    def _touches(self, column: int) -> int | None:
        """The operation that leaves its kink when this entry moves, by its index among the steps."""
        if not self.steps or len(self._subject.point) > FULL or self._stays:
            return None
        return self._left_behind(self._aside(column))

    @cached_property
    def _stays(self) -> bool:
        """Whether every operation stays at its kink however the point moves, as on constants; two runs show it."""
        parts = np.random.default_rng(0).uniform(0.5, 1, len(self._subject.point))
        return self._left_behind(ASIDE * parts * self._look.own_scales) is None

    def _left_behind(self, aside: Vector) -> int | None:
        """The operation that leaves its kink when the point moves, by its index among the steps."""
        for side in (1, -1):
            try:
                moved = self._subject.steps(self._subject.point + side * aside)
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

    @cached_property
    def touched(self) -> Vector:
        """Whether each entry leaves a kink when it moves."""
        return np.array([self.touches(column) is not None for column in range(len(self._subject.point))], bool)

    def _aside(self, column: int, part: float = 1.0) -> Vector:
        """A step of this entry that is so small that it leaves only kinks at the point itself."""
        return np.asarray(part * ASIDE * self._look.own_scales[column] * self._look.unit(column))

    def _slopes(self, direction: Vector, part: float = 1.0) -> tuple[Vector, Vector]:
        """The slopes to the right and to the left of the point, at this part of the usual distance."""
        aside = part * ASIDE * direction
        return self._slope_beside(aside, direction), self._slope_beside(-aside, direction)

    def _slope_beside(self, aside: Vector, direction: Vector) -> Vector:
        """The slope along a direction just beside the point, extrapolated from three distances; NaN if refused."""
        x = self._subject.point
        try:
            far, middle, near = (self._look.slope(x + part * aside, direction) for part in (1.0, 0.5, 0.25))
        except Exception:  # the function refuses these points
            return np.full(len(self._look.at_0), np.nan)
        return np.asarray((8 * near - 6 * middle + far) / 3)

    def _are_no_subgradient(self, comparison: Comparison, entries: Matrix) -> None:
        """Check entries that are at a kink together: each may lie between its slopes while their sum does not."""
        look = self._look
        for row in np.flatnonzero(np.sum(entries, axis=1) > 1):
            columns = np.flatnonzero(entries[row])
            together = np.zeros(entries.shape[1])
            together[columns] = np.min(look.own_scales[columns])  # along this, entries that are equal stay so
            drawn = [look.direction(columns) for _ in range(DIRECTIONS)]
            for direction in (together, np.abs(drawn[0]), *drawn[1:]):
                slope = float(look.gradient[row, columns] @ direction[columns])
                ends, unsure = self._ends(direction)
                right, left = (float(end[row]) for end in ends)
                slack = float(unsure[row]) + 1e-8 * (abs(right) + abs(left)) + 1e-12 * look.size[row]
                if not np.isfinite(slack) or _between(slope, right, left, slack):
                    continue
                if self._is_between_beside(comparison, int(row), columns, direction, slope, slack):
                    continue
                if beyond := self._beyond_those_around(int(row), direction, slope, slack):
                    entries[row, columns] = False
                    self.apart[row, columns] = True
                    self.unclear[row, columns] = beyond <= BEYOND
                    if beyond > BEYOND:
                        break

    def _is_between_beside(
        self, comparison: Comparison, row: int, columns: Vector, direction: Vector, slope: float, slack: float
    ) -> bool:
        """Whether the slope is between those at two nearby points, where each entry has its larger, or smaller, slope.

        Where one entry's kink bends up and another's bends down, the function can be straight along a direction through
        both. Then the slopes of the smooth pieces around it are the possible gradients.
        """
        look = self._look
        with np.errstate(invalid="ignore"):
            rises = direction[columns] * (comparison.right[row, columns] - comparison.left[row, columns]) >= 0
        far = np.zeros(len(direction))
        far[columns] = np.where(rises, 1.0, -1.0) * look.own_scales[columns] * look.rng.uniform(0.5, 1, len(columns))
        ends = []
        for side in (1, -1):
            end, unsure = self._slope_around(side * far, direction)
            ends.append(float(end[row]))
            slack += float(unsure[row])
        slack += 1e-6 * (abs(ends[0]) + abs(ends[1]))
        return bool(np.isfinite(slack) and _between(slope, ends[0], ends[1], slack))

    def _beyond_those_around(self, row: int, direction: Vector, slope: float, slack: float) -> float:
        """How far the slope lies outside the range of the slopes of the pieces around, in units of that range.

        Inside the range, it is 0. All entries at a kink move, since more than two values can meet there, as in a
        quantile of three equal numbers.
        """
        slopes, unsure = self._slopes_around(direction, np.flatnonzero(self.touched))
        slopes = slopes[np.isfinite(slopes[:, row]), row]
        if not len(slopes):
            return np.inf
        low, high, slack = slopes.min(), slopes.max(), slack + float(unsure[row])
        outside = max(low - slope, slope - high) - slack
        return float(max(outside, 0) / max(high - low, slack)) if np.isfinite(outside) else np.inf

    def meeting(self, comparison: Comparison, kinked: Matrix) -> tuple[Matrix, Matrix]:
        """Find the entries whose slopes do not add up: where kinks meet, no entry alone may change the value.

        Returns the entries whose gradient, along a few directions, is among the slopes beside the point, and those for
        which this is unknown. The rest go into `contrary`: their gradient is no slope of the function, as 0 is none for
        the median of three equal numbers.
        """
        look, gradient = self._look, comparison.gradient
        within, unknown = np.zeros(gradient.shape, bool), np.zeros(gradient.shape, bool)
        if gradient.shape[1] > FULL:
            return within, unknown
        smooth = ~np.any(kinked | self.jumps | self.apart, axis=0)
        columns = np.flatnonzero((comparison.together | self.touched) & smooth & ~comparison.unchecked)
        if len(columns) < 2:
            return within, unknown
        direction = np.zeros(gradient.shape[1])
        direction[columns] = look.scales[columns]
        known = np.where(np.isfinite(comparison.reference), comparison.reference, gradient)
        alone = known[:, columns] * direction[columns]
        slack = comparison.bound[:, columns] @ direction[columns] + 1e-6 * np.sum(np.abs(alone), axis=1)
        ends, unsure = self._ends(direction)
        with np.errstate(invalid="ignore"):
            apart = np.all([np.abs(end - np.sum(alone, axis=1)) > slack + unsure for end in ends], axis=0)
        rows = np.flatnonzero(apart)
        are_within, are_contrary = np.full(len(rows), True), np.zeros(len(rows), bool)
        for k in range(DIRECTIONS if len(rows) else 0):
            if k:
                direction = look.direction(columns)
            slopes, unsure = self._slopes_around(direction, columns)
            low, high = np.min(slopes, axis=0)[rows], np.max(slopes, axis=0)[rows]
            slope = (gradient @ direction)[rows]
            slack = unsure[rows] + 1e-6 * (np.abs(low) + np.abs(high) + (np.abs(gradient) @ np.abs(direction))[rows])
            beyond = BEYOND * (high - low)
            are_within &= (slope >= low - slack) & (slope <= high + slack)
            are_within &= unsure[rows] <= VAGUE * np.fmax(np.abs(low), np.abs(high))  # vague slopes allow anything
            are_contrary |= (slope < low - beyond - slack) | (slope > high + beyond + slack)
        chosen = np.ix_(rows, columns)
        within[chosen] = (are_within & ~are_contrary)[:, None]
        unknown[chosen] = ~(are_within | are_contrary)[:, None]
        self.contrary[chosen] = are_contrary[:, None]
        return within, unknown

    def _ends(self, direction: Vector) -> tuple[tuple[Vector, Vector], Vector]:
        """The slopes to the right and to the left of the point, and how exact they are."""
        if self._look.method != "differences":
            return self._slopes(direction), np.zeros(len(self._look.at_0))
        sides = self._look.difference(direction)
        return (sides.right, sides.left), sides.side_bound

    def _slopes_around(self, direction: Vector, columns: Vector) -> tuple[Matrix, Vector]:
        """The slopes along a direction at nearby points, where these entries have moved, and how exact they are."""
        look, slopes, unsure = self._look, [], np.zeros(len(self._look.at_0))
        for _ in range(POINTS):
            far = np.zeros(len(direction))
            far[columns] = look.own_scales[columns] * look.rng.uniform(-1, 1, len(columns))
            slope, bound = self._slope_around(far, direction)
            slopes.append(slope)
            unsure = np.fmax(unsure, bound)
        return np.array(slopes), unsure

    def _slope_around(self, far: Vector, direction: Vector) -> tuple[Vector, Vector]:
        """The slope along a direction at a nearby point, extrapolated from three distances, and how exact it is."""
        if self._look.method != "differences":
            return self._slope_beside(ASIDE * far, direction), np.zeros(len(self._look.at_0))
        parts = [self._look.difference_beside(part * BESIDE * far, direction) for part in (1.0, 0.5, 0.25)]
        slope = np.asarray(8 * parts[2].slope - 6 * parts[1].slope + parts[0].slope) / 3
        return slope, np.max([part.bound for part in parts], axis=0)

    def _breaks(self, column: int) -> Vector:
        """Whether the value changes as much over a short distance as over distances 32 and 1,024 times as long."""
        jumps = np.zeros(len(self._look.at_0), bool)
        for side in (1, -1):
            far, middle, near = (
                self._look.at(self._subject.point + side * self._aside(column, part)) - self._look.at_0
                for part in (1.0, 2.0**-5, 2.0**-10)
            )
            stays = [np.abs(other - near) <= 0.5 * np.abs(other) for other in (far, middle)]
            jumps |= stays[0] & stays[1] & (np.abs(near) > 1e-10 * self._look.size)
        return jumps

    def at(self, comparison: Comparison, suspicious: Matrix) -> Matrix:
        """The entries that are at a kink and have a slope between the two one-sided slopes.

        If both sides have the same slope, there is no kink after all, and the entry is compared with that slope.
        """
        entries = np.zeros(comparison.gradient.shape, bool)
        unseen = np.all(np.isnan(comparison.right) & np.isnan(comparison.left), axis=0)
        for column in range(comparison.gradient.shape[1]) if comparison.gradient.shape[1] <= FULL else ():
            touched = self.touches(column) is not None
            if unseen[column] and not touched:
                continue  # it was compared along directions only, or by complex steps
            if touched:
                comparison.jumps[:, column] |= self._breaks(column)
            if self._look.method == "differences":
                entries[:, column] = self._between_differences(comparison, suspicious, column, touched)
            elif touched:
                entries[:, column] = self._between_slopes(comparison, suspicious, column)
        self._are_no_subgradient(comparison, entries)
        return entries

    def _between_differences(self, comparison: Comparison, suspicious: Matrix, column: int, touched: bool) -> Vector:
        """`at` for one column, whose one-sided slopes the comparison has measured."""
        gradient, right, left = (x[:, column] for x in (comparison.gradient, comparison.right, comparison.left))
        bound = comparison.side_bound[:, column] + 1e-9 * (np.abs(right) + np.abs(left))
        jumps = np.abs(right - left) > 4 * bound
        entries: Vector = jumps & _between(gradient, right, left, bound)
        comparison.hidden[:, column] &= ~(entries & (bound < 1e-3 * np.abs(right - left)))
        if touched:  # a jump, say, has no one-sided slope at all
            size = np.fmax(np.fmax(np.abs(right), np.abs(left)), np.abs(gradient))
            unknown = ~(bound < 1e-3 * size)
            entries |= suspicious[:, column] & unknown
            comparison.hidden[:, column] |= entries & unknown
        self.jumps[:, column] = jumps
        return entries

    def _between_slopes(self, comparison: Comparison, suspicious: Matrix, column: int) -> Vector:
        """`at` for one column: its one-sided slopes are measured here."""
        look, gradient = self._look, comparison.gradient[:, column]
        scale = look.scales[column]
        nothing = 1e-12 * look.size / scale  # the slope of a negligible change
        right, left = (side / scale for side in self._slopes(scale * look.unit(column)))
        comparison.right[:, column], comparison.left[:, column] = right, left
        size, apart = np.abs(right) + np.abs(left), np.abs(right - left)
        jumps, slack = apart > 1e-8 * size + nothing, 1e-9 * size + nothing
        within = _between(gradient, right, left, slack)
        entries: Vector = jumps & within
        unsure = jumps & ~within
        if np.any(unsure):  # a slope that is only rounding changes with the distance
            again = [side / scale for side in self._slopes(scale * look.unit(column), NEARER)]
            unsure &= np.abs(again[0] - right) + np.abs(again[1] - left) > 1e-3 * apart
            comparison.bound[unsure, column] = np.inf
            suspicious[unsure, column] = False
        jumps &= ~unsure
        smooth, middle = ~(jumps | unsure), (right + left) / 2
        comparison.reference[smooth, column] = middle[smooth]
        comparison.bound[smooth, column] = (apart + slack)[smooth]
        suspicious[smooth, column] = ~(np.abs(gradient - middle) <= apart + slack)[smooth]
        suspicious[:, column] |= jumps & ~within
        self.jumps[:, column] = jumps
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
        if self.apart[row, column] or self.contrary[row, column]:
            return "it lies between the slopes on both sides, but together with the other entries it does not"
        if not between and not self.jumps[row, column]:
            return "kinks of several operations meet, and the conventions at each do not add up to a slope of the whole"
        sides = f"the slope is {left:.6g} from the left and {right:.6g} from the right"
        return f"{sides}, and the gradient is {'' if between else 'not '}between them"


def _between(gradient: Any, a: Any, b: Any, slack: Any) -> Any:
    return np.asarray((gradient >= np.minimum(a, b) - slack) & (gradient <= np.maximum(a, b) + slack))


def _expressions(steps: Sequence[Step]) -> dict[int, tuple[Any, float]]:
    """For each operation with kinks, the expression that is zero there, and the size below which it counts as zero.

    An operation on integers is left out, since integers cannot move a little.
    """
    expressions = {}
    with np.errstate(all="ignore"):
        for k, step in enumerate(steps):
            if step.op.kink is not None and any(np.asarray(x).dtype.kind in "fc" for x in step.arrays):
                try:
                    values = np.asarray(step.op.kink(*step.arrays, **step.params))
                    values = np.abs(values) if values.dtype.kind == "c" else values.astype(float)
                except (ValueError, TypeError, np.linalg.LinAlgError):
                    continue  # the expression fits the arguments of tests, but not these
                sizes = [np.abs(x[np.isfinite(x)]) for x in map(np.asarray, step.arrays) if x.dtype.kind == "f"]
                expressions[k] = values, 1e-14 * max((float(np.max(size, initial=0)) for size in sizes), default=0.0)
    return expressions


def outside_domain(steps: Sequence[Step]) -> str:
    """The first operation with an argument outside the domain where it is real and smooth; empty if there is none.

    Only elementwise operations have an interval as their domain; the domain of a matrix is more than that.
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
