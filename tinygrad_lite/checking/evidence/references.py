"""Derivatives along a direction by differences, with a bound of their error: numerics, and nothing else.

With a step that is too large, a narrow feature looks flat; with one that is too small, only rounding is left. So steps
of every size are tried, and a slope counts only if no smaller step contradicts it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from math import factorial
from typing import Any

import numpy as np

from tinygrad_lite.checking.evidence import polynomials
from tinygrad_lite.checking.subjects.subject import EPSILON, Matrix, Vector

RATIO = 4.0  # of a step to the next smaller one
FIRST_STEP = 1.1875  # in the argument's scale; with few binary digits, x + t is exact; an unlikely period
STEPS = FIRST_STEP * RATIO ** -np.arange(25.0)  # down to 4e-15
OTHER_STEPS = STEPS / FIRST_STEP * 0.6875  # for a second look
MORE_STEPS = [  # a function may round all steps of one sequence alike, but not those of four more
    STEPS / FIRST_STEP * part for part in (0.5625, 0.8125, 1.0625, 1.4375)
]
ORDERS = 6  # the number of extrapolations
SMALLEST = 5  # the number of smallest steps that show the noise
LARGER = 12  # how many larger steps are tried if noise hides the slope
SMALLER = 64  # how many smaller steps are tried if the function is not smooth at any step so far
SAFETY = 4.0
STAIRS = 5e-4  # the height of a stair, relative to the values; rounding to float32 makes lower ones
FINE_STAIRS = 1e-5  # the same, if stairs are also higher than LEFT_OF_1
LEFT_OF_1 = 1e-9  # float64's rounding of 1 + x, for a small x, makes lower stairs
ROUGH = 1000  # rounding moves a smooth function by fewer roundings of its value
VISIBLE = 100  # a change that is this many times the noise is real
POINTS = 129  # a search for a jump begins with this many points
STAYS = 12  # how often a jump must keep its size when the points get closer
FINEST = 64 * EPSILON  # the shortest interval that is searched for a jump; the rounding of arguments is 2 to 4 EPSILON
OFTEN = 3  # a coarsely rounded function jumps in this many stretches, each 4 times as long as the last
KINDS = 3  # how many kinds of jumps are told apart, the finest first: parts of a function may be rounded differently
NEAR = 1e-5  # a slope from smaller steps alone is that of a narrow feature, or of an interval between two jumps
SMOOTH = 4  # beyond such steps, a function may leave a straight line in this many stretches before it jumps
FURTHER = 3  # how many larger steps are searched for its jumps
SINGLE = 1e-6  # the largest noise that may be in proportion to the values, as float32's rounding is
STEEP = 16  # a jump is this many times as steep as the stretch that it is in
OPPOSED = 8  # how much larger a jump may be than the change over its stretch, in which opposite jumps cancel
LASTS = 4  # for how many halvings of its interval a jump must keep its size
GRIDS = 64  # a step of this many spacings between numbers loses few digits when its ends are rounded
SMOOTH_PART = 20  # beside a point, the noise of a smooth function is this many times smaller than its changes
COARSE = 0.05  # the largest noise that leaves a slope visible, relative to the extent of the values


@dataclass(frozen=True)
class Difference:
    """A derivative by differences.

    Attributes:
        slope: the slope of each result along the direction; one-sided where only one side has values.
        bound: the bound of its error; infinite if nothing is known.
        right, left: the one-sided slopes; `side_bound` is the bound of their error.
        finer, finer_bound: the better known of the two, and the bound of its error.
        fitted, fitted_bound: the slope by polynomials, where these were asked for, and the bound of its error.
        noise: how far rounding moves each result.
        bend: how much the slope changes on a step of 1, roughly; NaN where only one side has values.
        rate: how fast the values change over a large step to either side; infinite if they do not change at all, NaN if
            they change by noise only.
        extent: the largest change to either side on any step that is not too large.
        jumps: whether the values of each result jump at 0.
        stairs: whether they are constant around 0 and jump further away, by more than rounding to float32 would.
        saws: whether they jump so often that small steps tell nothing.
        step: the smallest step of any slope.
    """

    slope: Vector
    bound: Vector
    right: Vector
    left: Vector
    side_bound: Vector
    finer: Vector
    finer_bound: Vector
    fitted: Vector
    fitted_bound: Vector
    noise: Vector
    bend: Vector
    rate: Vector
    extent: Vector
    jumps: Vector
    stairs: Vector
    saws: Vector
    step: float

    def per(self, scale: Vector | float) -> "Difference":
        """The same along a direction that is shorter by this factor, or by one factor for each result."""
        names = ["slope", "bound", "right", "left", "side_bound", "finer", "finer_bound"]
        names += ["fitted", "fitted_bound", "bend", "rate"]
        with np.errstate(all="ignore"):
            return replace(self, **{name: getattr(self, name) / scale for name in names})

    def with_polynomials(self) -> "Difference":
        """The same with the slopes by polynomials where these have a smaller bound."""
        better = self.fitted_bound < self.bound
        slope, bound = np.where(better, self.fitted, self.slope), np.where(better, self.fitted_bound, self.bound)
        return replace(self, slope=slope, bound=bound)


def difference(
    f: Callable[[float], Vector],
    at_0: Vector,
    steps: Vector = STEPS,
    *,
    noise: Vector | None = None,
    least_noise: Vector | float = 0.0,
    wary: bool = False,
    grid: float = 0.0,
    unknown: Callable[[Difference], Vector] | None = None,
) -> Difference:
    """The derivative of f at 0 by central differences, extrapolated to a step of zero as Richardson did.

    For each result, we take the step and order with the smallest error bound: twice the distance to the two values that
    it was extrapolated from, plus the effect of the noise in f's values. A slope that a smaller step contradicts does
    not count: from afar, a function with a narrow feature looks flat.

    Args:
        steps: falling by `RATIO`.
        noise: how far rounding moves each result; if it is not known, it is measured at the smallest steps.
        least_noise: the least noise to assume, if it is measured.
        wary: whether to look for jumps beyond the steps of a slope even if these are not small. Where f jumps again and
            again, it is rounded coarsely, and the larger steps are right.
        grid: the spacing of the floating-point numbers that arguments can be.
        unknown: tells which results are not known well enough; polynomials through more points may help there.

    Reference: C. Ridders, Accurate computation of F'(x) and F'(x)F''(x), Advances in Engineering Software 4 (1982).
    """
    with np.errstate(all="ignore"):
        line = _Line(f, at_0, steps, grid)
        if noise is None:
            noise = np.maximum(line.extend(line.noise()), least_noise)
        finest = noise
        noise = line.noise_of_jumps(noise, NEAR if not wary else np.inf)
        measured = replace(line.difference(noise), saws=noise > finest)
        return line.by_polynomials(measured, unknown(measured)) if unknown else measured


@dataclass(frozen=True)
class _Best:
    """The best slope of each result.

    Attributes:
        level: the smallest of its steps, by number; `first` is the largest.
        rounding: how much of its bound is due to noise.
    """

    slope: Vector
    bound: Vector
    level: Vector
    first: Vector
    rounding: Vector


class _Line:
    """The values of a function on both sides of a point, at steps of falling size."""

    def __init__(self, f: Callable[[float], Vector], at_0: Vector, steps: Vector, grid: float) -> None:
        self._f, self._at_0 = cache(f), at_0  # the searches for jumps of several results begin at the same points
        self._grid = grid
        self._larger = 0
        self._known: tuple[Vector, int, tuple[_Best, _Best, _Best]] | None = None
        self._steps = np.zeros(0)
        self._above = self._below = np.zeros((0, len(at_0)))
        self._add(steps)

    def _add(self, steps: Vector) -> None:
        """Evaluate at more steps, which are all larger or all smaller than the ones before."""
        above, below = (np.array([self._f(float(side * t)) for t in steps]) for side in (1, -1))
        parts = [(self._steps, self._above, self._below), (steps, above, below)]
        if not len(self._steps) or steps[0] > self._steps[0]:
            parts.reverse()
        self._steps, self._above, self._below = map(np.concatenate, zip(*parts))

    def _quotients(self) -> tuple[Matrix, Matrix, Matrix]:
        """The central and the one-sided quotients of differences."""
        steps = self._steps[:, None]
        return (
            (self._above - self._below) / (2 * steps),
            (self._above - self._at_0) / steps,
            (self._at_0 - self._below) / steps,
        )

    def noise(self) -> Vector:
        """How far rounding moves each result: what is left of the smallest changes when their trend is taken away."""
        even = ((self._above + self._below) / 2 - self._at_0)[-SMALLEST - 1 :]
        left_over = [even[1:] - even[:-1] / RATIO**2, EPSILON * self._at_0[None]]
        central, *sides = self._quotients()
        one_sided = np.isnan(central[-1])
        for quotients, power in ((central, 2), *((np.where(one_sided, side, 0), 1) for side in sides)):
            change = np.diff(quotients[-SMALLEST - 2 :], axis=0)
            left_over.append((change[1:] - change[:-1] / RATIO**power) * self._steps[-SMALLEST:, None] / 2)
        noise = np.max(np.nan_to_num(np.abs(np.concatenate(left_over)), posinf=0.0), axis=0)
        for row in np.flatnonzero(noise > ROUGH * EPSILON * np.abs(self._at_0)):
            noise[row] = min(noise[row], self._noise_of_smooth(int(row)))
        if np.any(stands := self._stand_still()):
            none = np.zeros(len(noise))
            leave = self._leave_the_line(none, none, none, np.full(len(noise), len(self._steps) - 1))
            for row in np.flatnonzero(stands & leave):
                noise[row] = max(noise[row], self._jump(int(row)))
        return np.asarray(noise)

    def _noise_of_smooth(self, row: int) -> float:
        """How far rounding moves a result that is smooth beside each of the smallest steps; infinite if it is not.

        Beside the edge of a domain, or a pole, what is left of the changes is not noise, but what the function does.
        """
        f, largest = self._of(row), EPSILON * abs(float(self._at_0[row]))
        for step in self._steps[-SMALLEST::2]:
            for side in (1, -1):
                if np.isfinite(f(float(side * step))):
                    moves, noise = polynomials.beside(f, float(side * step), self._grid)
                    if not noise < moves / SMOOTH_PART:
                        return np.inf
                    largest = max(largest, noise)
        return largest

    def _stand_still(self) -> Vector:
        """Whether each result is the same at all of the smallest steps."""
        still = (self._above == self._at_0)[-SMALLEST:] & (self._below == self._at_0)[-SMALLEST:]
        return np.asarray(np.all(still, axis=0))

    def noise_of_jumps(self, noise: Vector, within: float) -> Vector:
        """The noise, or how far each result jumps beyond the steps that its best slope is from, if these are small."""
        raised = noise.copy()
        rows = np.ones(len(noise), bool)
        for _ in range(KINDS):
            best = self._best(raised)[0]
            rows &= np.isfinite(best.bound) & (self._steps[best.first] < within)
            if not np.any(rows):
                break
            relative = np.fmin(raised / np.abs(self._at_0), SINGLE)
            rows &= self._leave_the_line(best.slope, 4 * SAFETY * raised, 4 * SAFETY * relative, best.first)
            for row in np.flatnonzero(rows):
                least = 4 * SAFETY * raised[row], 4 * SAFETY * relative[row]
                jump = self._jump(int(row), best.slope[row], least, best.first[row])
                rows[row] = jump > raised[row]
                raised[row] = max(raised[row], jump)
            if not np.any(rows):
                break
            within = NEAR  # a slope from larger steps has another kind of jumps behind it
        return raised

    def _leave_the_line(self, slope: Vector, least: Vector, relative: Vector, first: Vector) -> Vector:
        """Whether each result leaves a straight line anywhere by at least the size of a jump; see `_jump`."""
        absolute = np.maximum(least, 4 * EPSILON * np.abs(self._at_0))
        between = np.arange(1, len(self._steps))[:, None] <= first
        leaves = np.zeros(len(slope), bool)
        for side, values in ((1, self._above), (-1, self._below)):
            sizes = np.abs(values)
            smallest = np.maximum(absolute, relative * np.maximum(sizes[1:], sizes[:-1]))
            change = np.abs(np.diff(values, axis=0) - slope * (side * np.diff(self._steps))[:, None])
            leaves |= np.any(between & (smallest < change) & (change < np.inf), axis=0)
        return leaves

    def _jump(
        self, row: int, slope: float = 0.0, least: tuple[float, float] = (0.0, 0.0), first: int | None = None
    ) -> float:
        """The size of the jump where one result first leaves a straight line, if further jumps follow; else 0.

        A function may well jump here and there. A function that is rounded coarsely jumps everywhere.

        Args:
            least: the smallest size of a jump, and the same relative to the larger of the values beside it.
            first: the number of the largest step at which the result is known to be smooth.
        """
        absolute, relative = max(least[0], 4 * EPSILON * abs(float(self._at_0[row]))), least[1]
        patience = SMOOTH if first is not None and self._steps[first] < NEAR else 0
        size, count, smooth = 0.0, 0, 0
        for stretch in self._stretches(row, len(self._steps) - 1 if first is None else first):
            if not size and abs(stretch[1]) > self._steps[0]:
                break  # there is no jump within the steps that slopes come from
            smallest = max(absolute, relative * max(map(abs, stretch[2:])))
            if smallest < _change(*stretch, slope) < np.inf:
                jump = self._jump_between(row, *stretch, slope, smallest)
                smooth += not size and not jump
                if smooth > patience:
                    break
                size = size or jump
                count += jump > size / 10
                if count == OFTEN:
                    return size
        return 0.0

    def _stretches(self, row: int, first: int) -> Iterator[tuple[float, float, float, float]]:
        """The ends of the stretches between one step and the next larger one, to either side, and the values there.

        The first begins at the step of this number, and the last few lie beyond the largest step.
        """
        for k in range(first, 0, -1):
            for side, values in ((1, self._above), (-1, self._below)):
                yield side * self._steps[k], side * self._steps[k - 1], values[k, row], values[k - 1, row]
        for larger in self._steps[0] * RATIO ** np.arange(float(FURTHER)):
            for side in (1, -1):
                a, b = side * larger, side * larger * RATIO
                yield a, b, self._f(float(a))[row], self._f(float(b))[row]

    def _jump_between(
        self, row: int, a: float, b: float, at_a: float, at_b: float, slope: float, least: float
    ) -> float:
        """The size of a jump between a and b that is at least this large; 0 if there is none, or only a pole."""
        sizes = [_change(a, b, at_a, at_b, slope)]
        width, most = abs(b - a), OPPOSED * sizes[0]
        while least < sizes[-1] < most and abs(b - a) > FINEST * max(1.0, abs(a)):
            middle = (a + b) / 2
            at_middle = self._f(float(middle))[row]
            if _change(a, middle, at_a, at_middle, slope) > sizes[-1] / 2:  # go where most of the change is
                b, at_b = middle, at_middle
            else:
                a, at_a = middle, at_middle
            sizes.append(_change(a, b, at_a, at_b, slope))
        size, before = sizes[-1], sizes[max(0, len(sizes) - 1 - LASTS)]
        # without a jump, half the interval has half the change; at a pole, the two sides move apart
        stays = size > STEEP * sizes[0] * abs(b - a) / width and before / 4 < size < 2 * before
        return float(size) if stays and least < size < most else 0.0

    def extend(self, noise: Vector) -> Vector:
        """Add larger steps where rounding hides the slope, and smaller ones where the function is smooth on no scale.

        Returns the noise at the smallest steps.
        """
        first, last = self._steps[0], self._steps[-1]
        while self._steps[0] < first * RATIO**LARGER:
            best = self._best(noise)[0]
            hidden = (best.level <= ORDERS) & (best.rounding > best.bound / 2)
            hidden &= best.bound > 1e-9 * np.abs(best.slope)
            moved = np.fmax(np.abs(self._above[0] - self._at_0), np.abs(self._below[0] - self._at_0))
            if not np.any(hidden & (moved > noise) & ~self._is_coarse(noise)):
                break
            self._add(self._steps[0] * RATIO ** np.arange(3.0, 0.0, -1.0))
            self._larger += 3
        while self._steps[-1] > max(last / RATIO**SMALLER, GRIDS * self._grid):
            best = self._best(noise)[0]
            rough = (best.level > len(self._steps) - ORDERS) & (best.rounding < best.bound / 2)
            moves = (np.abs(self._above[-1] - self._at_0) > 0) | (np.abs(self._below[-1] - self._at_0) > 0)
            if not np.any(moves & (rough | ~np.isfinite(best.bound))):
                break
            smaller = self._steps[-1] / RATIO ** np.arange(1.0, 17.0)
            self._add(smaller[smaller > GRIDS / RATIO * self._grid])
            noise = np.minimum(noise, self.noise())
        return noise

    def _is_coarse(self, noise: Vector) -> Vector:
        """Whether a result moves, and its noise is so large that it may be, or hide, what the function does."""
        values = np.concatenate([self._above[self._larger :], self._below[self._larger :]])
        values = np.where(np.isfinite(values), values, np.nan)
        extent = np.fmax.reduce(values) - np.fmin.reduce(values)
        moves = (extent > SAFETY * noise) | (noise > ROUGH * EPSILON * np.abs(self._at_0))
        return np.asarray(moves & (noise > COARSE * extent))

    def _best(self, noise: Vector) -> tuple[_Best, _Best, _Best]:
        """The best slopes: from both sides, or from one if only that has values; from the right; and from the left."""
        if self._known and self._known[1] == len(self._steps) and np.array_equal(self._known[0], noise):
            return self._known[2]
        # where a value hardly moves, steps that are far too large would make it look flat
        usual = (np.arange(len(self._steps)) >= self._larger)[:, None]
        above, below = (
            (np.abs(values - self._at_0) > VISIBLE * noise) | usual for values in (self._above, self._below)
        )
        bent = np.abs((self._above + self._below) / 2 - self._at_0)
        is_far = (self._steps > FIRST_STEP)[:, None]
        rounded = 2 * EPSILON * (is_far & (noise > 0))  # without noise, all numbers are exact
        sides = rounded * np.abs(self._above), rounded * np.abs(self._below)
        of_all = _best(  # all three at once, since NumPy's calls take longer than its work on a few numbers
            np.concatenate(self._quotients(), axis=1),
            self._steps,
            np.repeat([2, 1, 1], len(noise)),
            np.concatenate([noise, 2 * noise, 2 * noise]),
            np.concatenate([np.fmax(*sides), *sides], axis=1),
            np.concatenate([above | below, above, below], axis=1),
            np.concatenate([bent, 0 * bent, 0 * bent], axis=1),
        )
        count = len(noise)
        thirds = (slice(start, start + count) for start in (0, count, 2 * count))
        best, right, left = (_Best(*(x[third] for x in vars(of_all).values())) for third in thirds)
        for side, values in ((right, self._below), (left, self._above)):
            only = np.isfinite(side.bound) & ~np.any(np.isfinite(values), axis=0)
            if np.any(only):
                best = _Best(*(np.where(only, a, b) for a, b in zip(vars(side).values(), vars(best).values())))
        self._known = noise.copy(), len(self._steps), (best, right, left)
        return best, right, left

    def difference(self, noise: Vector) -> Difference:
        """The best slopes if the values have this noise."""
        best, right, left = self._best(noise)
        coarse = self._is_coarse(noise)
        bound, sides = np.where(coarse, np.inf, best.bound), (right.bound, left.bound)
        columns = np.arange(len(bound))
        rate = np.fmax(*(np.abs(side[best.first, columns]) for side in self._quotients()[1:]))
        near = (np.arange(len(self._steps))[:, None] >= best.first)[None]
        within = np.where(near, (self._above, self._below), self._at_0)
        moved = np.fmax.reduce(np.abs(within - self._at_0), axis=(0, 1))
        rate[moved <= SAFETY * noise] = np.nan
        rate[moved == 0] = np.inf
        usual = np.stack([self._above, self._below])[:, self._larger :]
        largest = np.fmax.reduce(np.abs(usual[0]))
        return Difference(
            best.slope,
            bound,
            right.slope,
            left.slope,
            np.maximum(*sides),
            np.where(sides[0] <= sides[1], right.slope, left.slope),
            np.where(coarse, np.inf, np.minimum(*sides)),
            np.full(len(bound), np.nan),
            np.full(len(bound), np.inf),
            noise,
            (self._above + self._below - 2 * self._at_0)[best.first, columns] / self._steps[best.first] ** 2,
            rate,
            np.fmax.reduce(np.abs(usual - self._at_0), axis=(0, 1)),
            self._jumps(),
            self._stand_still() & (noise > np.fmin(STAIRS * largest, np.fmax(FINE_STAIRS * largest, LEFT_OF_1))),
            np.zeros(len(bound), bool),
            float(np.min(self._steps[best.level])),
        )

    def by_polynomials(self, measured: Difference, rows: Vector) -> Difference:
        """The same with the slopes of these results by polynomials; there are none where it jumps or stands still."""
        slope, bound = measured.fitted.copy(), measured.fitted_bound.copy()
        best = self._best(measured.noise)[0]
        for row in np.flatnonzero(rows & ~(measured.stairs | measured.saws | measured.jumps)):
            longest = self._reach(int(row))
            shortest = min(float(self._steps[best.level[row]]), longest / 8)
            slope[row], bound[row] = polynomials.slope(self._of(int(row)), longest, shortest, self._grid, self._steps)
        return replace(measured, fitted=slope, fitted_bound=bound)

    def _of(self, row: int) -> Callable[[float], float]:
        return lambda t: float(self._f(t)[row])

    def _reach(self, row: int) -> float:
        """The largest step at which a result has values on both sides."""
        reach, f, least = self._steps[0], self._of(row), max(self._grid, self._steps[-1] / RATIO)
        while reach > least and not np.isfinite(f(reach) + f(-reach)):
            reach /= 2
        return float(reach)

    def _jumps(self) -> Vector:
        """Whether the values at the smallest steps on one side are all equally far from the value at 0."""
        jumps = np.zeros(len(self._at_0), bool)
        for side, values in ((1, self._above), (-1, self._below)):
            away = np.abs(values[-SMALLEST:] - self._at_0)
            far = np.all(away > ROUGH * EPSILON * np.abs(values[-SMALLEST:]), axis=0)
            if not np.any(far):
                continue
            far &= (np.min(away, axis=0) > 0.9 * np.max(away, axis=0)) & np.isfinite(away[-1])
            for row in np.flatnonzero(far & ~jumps):  # a small rest of large terms is rounded as they are
                jumps[row] = not away[-1, row] <= VISIBLE * self._noise_beside(int(row), side)
        return jumps

    def _noise_beside(self, row: int, side: int) -> float:
        """How far rounding moves one result to one side of 0."""
        return float(noise(lambda t: self._f(t)[row : row + 1], side * float(self._steps[-SMALLEST]))[0])


def _change(a: float, b: float, at_a: float, at_b: float, slope: float) -> float:
    """How far a value leaves a straight line between a and b."""
    return abs(at_b - at_a - slope * (b - a))


def _best(
    quotients: Matrix, steps: Vector, powers: Vector, noise: Vector, rounded: Matrix, usable: Matrix, bent: Matrix
) -> _Best:
    """The slope with the smallest bound among the extrapolated ones that no smaller step contradicts.

    Args:
        powers: for each result, the error of its quotients is a series in the step to this power.
        noise: of the values; a quotient has a noise of `noise / step`.
        rounded: how far values are rounded at the least that are further away than usual, and may be far larger.
        usable: which quotients may be used, for each result.
        bent: how far the mean of the values on both sides is from the value in the middle.
    """
    table, amplified = quotients, np.fmax(noise, rounded) / steps[:, None]
    slopes, bounds, roundings, levels, firsts = [], [], [], [], []
    for order in range(1, min(ORDERS, len(steps) - 1) + 1):
        weight = 1 / (RATIO ** (powers * order) - 1)
        finer = table[1:] + weight * (table[1:] - table[:-1])
        distance = np.maximum(np.abs(finer - table[1:]), np.abs(finer - table[:-1]))
        amplified = (1 + weight) * amplified[1:] + weight * amplified[:-1]
        table = finer
        rounding = SAFETY * amplified
        slope_of, used = table, max(order, 2)  # two steps may agree by chance, but not three
        if order == 1:  # on a straight line, two larger steps know best, and a smaller one vouches for them
            apart = np.abs(np.diff(table, axis=0))
            is_known = (apart <= rounding[1:]) & (quotients[:-2] != 0)  # further away, what stands still may move
            vouched = np.where(is_known, 2 * apart, np.inf)
            slope_of, distance, rounding = table[:-1], distance[:-1], rounding[:-1] + vouched
        slopes.append(slope_of)
        bounds.append(2 * distance + rounding)
        roundings.append(rounding)
        levels.append(np.arange(used, len(steps)))
        firsts.append(levels[-1] - used)
    slope, bound, rounding = (np.concatenate(parts) for parts in (slopes, bounds, roundings))
    level, first = np.concatenate(levels), np.concatenate(firsts)
    changes = np.abs(np.diff(quotients, axis=0))
    grows = np.zeros(quotients.shape, bool)  # whether the quotients diverge towards smaller steps
    grows[2:] = (changes[1:] > 0.9 * changes[:-1]) & (changes[1:] > 4 * SAFETY * noise / steps[2:, None])
    bound[~(np.isfinite(bound) & usable[first]) | grows[level]] = np.inf

    def is_narrow(candidates: Any, rows: Any) -> Matrix:
        at = level[candidates] + np.zeros(len(rows), int)
        own = quotients[:, rows], steps, powers[rows], noise[rows]
        contradicted = _contradicted(slope[candidates, rows], bound[candidates, rows], at, *own)
        return contradicted | _bends_closer(at, steps, noise[rows], bent[:, rows])

    columns = np.arange(slope.shape[1])
    best = np.argmin(bound, axis=0)
    others = np.flatnonzero(is_narrow(best[None], columns)[0])  # results that do not take their first choice
    if len(others):
        every = np.arange(len(level))[:, None]
        bound[:, others] = np.where(is_narrow(every, others), np.inf, bound[:, others])
        best[others] = np.argmin(bound[:, others], axis=0)
    known = np.isfinite(bound[best, columns])
    return _Best(
        np.where(known, slope[best, columns], np.nan),
        bound[best, columns],
        np.where(known, level[best], len(steps) - 1),
        np.where(known, first[best], 0),
        rounding[best, columns],
    )


def _contradicted(
    slope: Matrix, bound: Matrix, level: Matrix, quotients: Matrix, steps: Vector, powers: Vector, noise: Vector
) -> Matrix:
    """Whether a smaller step gives a slope that noise, and the curve that larger steps show, do not explain."""
    smaller = np.arange(len(steps))[:, None] > level[:, None]
    shrinks = np.minimum((steps[:, None] / steps[level][:, None]) ** powers, 1)
    curve = 2 * np.abs(quotients[level, np.arange(level.shape[1])] - slope)[:, None] * shrinks
    allowed = bound[:, None] + curve + SAFETY * noise / steps[:, None]
    return np.asarray(np.any(smaller & (np.abs(quotients - slope[:, None]) > allowed), axis=1))


def _bends_closer(level: Matrix, steps: Vector, noise: Vector, bent: Matrix) -> Matrix:
    """Whether values within a step bend more than at a kink, so that the step is too large for a narrow feature.

    At large steps, noise may hide the slope of waves, but not their height.
    """
    smaller = np.arange(len(steps))[:, None] > level[:, None]
    ratio = steps[:, None] / steps[level][:, None]
    allowed = 2 * bent[level, np.arange(level.shape[1])][:, None] * ratio + SAFETY * noise
    return np.asarray(np.any(smaller & (bent > allowed), axis=1))


def noise(f: Callable[[float], Vector], spacing: float) -> Vector:
    """How far rounding moves each result of f, estimated from its values at points of this spacing.

    There, the differences of order k of a smooth function vanish, and what remains is noise, whose variance is γ⁻¹
    times as large, with γ = (k!)² / (2k)!.

    Reference: J. Moré and S. Wild, Estimating computational noise, SIAM Journal on Scientific Computing 33 (2011).
    """
    values = np.array([f(i * spacing) for i in range(1, 9)])  # not at 0 itself, since f may jump there at a kink
    rounding = 2 * EPSILON * np.max(np.abs(values), axis=0)
    for k in range(1, 7):
        values = np.diff(values, axis=0)
        if k >= 4:
            size = np.max(np.abs(values), initial=0, where=np.isfinite(values)) or 1.0  # whose square may be lost
            mean = size * np.sqrt(np.mean((values / size) ** 2, axis=0))
            rounding = np.maximum(rounding, np.sqrt(factorial(k) ** 2 / factorial(2 * k)) * mean)
    return np.asarray(rounding)


def jump(f: Callable[[float], float], noise: float) -> float:
    """The size of the largest jump of f between -1 and 1, or 0 if there is none that is larger than the noise.

    Differences of order 6 show it: between points that are twice as close, those of a smooth function are 64 times
    smaller, and those across a jump stay as they are. Those across a root's steep start shrink slowly, until points are
    one rounding apart.
    """
    points = np.linspace(-1, 1, POINTS)
    values = np.array([f(float(t)) for t in points])
    noise = max(noise, 20 * EPSILON * float(np.fmax.reduce(np.abs(values))))
    size, first, stays = np.inf, np.inf, 0
    while stays < STAYS:
        if points[-1] - points[0] < FINEST:
            return 0.0
        bent = np.abs(np.diff(values, n=6)) / 20  # the largest factor in the sum
        k = int(np.argmax(np.nan_to_num(bent, posinf=0)))
        if not 10 * noise < bent[k] < 1.5 * size:  # it vanishes, or it is a pole, whose sides move apart
            return 0.0
        size = float(bent[k])
        first, stays = (first, stays + 1) if size > 0.75 * first else (size, 0)
        points, values = points[k : k + 7], values[k : k + 7]
        between = (points[1:] + points[:-1]) / 2
        values = np.insert(values, range(1, 7), [f(float(t)) for t in between])
        points = np.insert(points, range(1, 7), between)
    return size


def remainder_slope(f: Callable[[float], Vector], at_0: Vector, slope: Vector, scale: float, noise: Vector) -> Vector:
    """The order of the Taylor remainder: the p in |f(h) - f(0) - h · slope| ~ hᵖ.

    It is 2 for a right slope and 1 for a wrong one, for any steps; infinite if the remainder is only noise.
    """
    steps = [float(scale * step) for step in STEPS[1:9]]
    remainders = np.array([np.abs(f(step) - at_0 - step * slope) for step in steps])
    powers = np.full(at_0.shape, np.inf)
    for larger, smaller, step in zip(remainders, remainders[1:], steps[1:]):
        said = smaller > 100 * (noise + np.finfo(float).eps * np.abs(step * slope))
        with np.errstate(all="ignore"):
            powers = np.where(said, np.log(larger / smaller) / np.log(RATIO), powers)
    return powers
