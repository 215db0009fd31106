"""Derivatives along a direction by differences, with a bound of their error: numerics, and nothing else.

A step can be too large, so that a narrow feature looks flat, or too small, so that only rounding is left. So steps of
every size are tried, and a slope counts only if no smaller step contradicts it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import factorial

import numpy as np

from tinygrad_lite.checking.subject import EPSILON, Matrix, Vector

RATIO = 4.0  # of a step to the next smaller one
FIRST_STEP = 1.1875  # in the scale of the argument: of few binary digits, so that x + t is exact, and no likely period
STEPS = FIRST_STEP * RATIO ** -np.arange(25.0)  # down to 4e-15
ORDERS = 6  # the number of extrapolations
SMALLEST = 5  # the number of smallest steps that show the noise
LARGER = 6  # the number of steps beyond the first, which are tried if noise hides the slope
SMALLER = 64  # the number of steps below the last, which are tried if the function is not smooth on any scale so far
SAFETY = 4.0
COARSE = 0.05  # the largest noise that leaves a slope visible, relative to the extent of the values


@dataclass(frozen=True)
class Difference:
    """A derivative by differences.

    Attributes:
        slope: the slope of each result along the direction; one-sided where only one side has values.
        bound: the bound of its error; infinite if nothing is known.
        right, left: the one-sided slopes; `side_bound` is the bound of their error.
        noise: how far rounding moves each result.
        rate: the fastest change to either side; infinite if the values only change by noise, and so not at all.
        step: the smallest step of any slope.
    """

    slope: Vector
    bound: Vector
    right: Vector
    left: Vector
    side_bound: Vector
    noise: Vector
    rate: Vector
    step: float

    def per(self, scale: float) -> "Difference":
        """The same for a direction that is shorter by this factor."""
        parts = (self.slope, self.bound, self.right, self.left, self.side_bound)
        with np.errstate(all="ignore"):
            return Difference(*(part / scale for part in parts), self.noise, self.rate / scale, self.step)


def difference(
    f: Callable[[float], Vector],
    at_0: Vector,
    steps: Vector = STEPS,
    *,
    noise: Vector | None = None,
    least_noise: Vector | float = 0.0,
    wary: bool = False,
) -> Difference:
    """The derivative of f at 0 by central differences, extrapolated to a step of zero as Richardson did.

    For each result, we take the step and order with the smallest error bound: twice the distance to the two values that
    it was extrapolated from, plus the effect of the noise in f's values. A slope that a smaller step contradicts does
    not count: from afar, a function with a narrow feature looks flat.

    Args:
        steps: falling by `RATIO`.
        noise: how far rounding moves each result; if it is not known, it is measured at the smallest steps.
        least_noise: what it is at least, if it is measured.
        wary: whether to look for a jump between a slope and the smaller steps that contradict it. Where f jumps, it is
            rounded coarsely, and the larger steps are right.

    Reference: C. Ridders, Accurate computation of F'(x) and F'(x)F''(x), Advances in Engineering Software 4 (1982).
    """
    with np.errstate(all="ignore"):
        line = _Line(f, at_0, steps)
        if noise is None:
            noise = np.maximum(line.extend(line.noise()), least_noise)
        if wary:
            noise = line.noise_of_jumps(noise)
        return line.difference(noise)


@dataclass(frozen=True)
class _Best:
    """The best slope of each result.

    Attributes:
        level: the smallest of its steps, by number.
        rounding: how much of its bound is due to noise.
        refuted: the best bound of any slope that a smaller step contradicts.
    """

    slope: Vector
    bound: Vector
    level: Vector
    rounding: Vector
    refuted: Vector


class _Line:
    """The values of a function on both sides of a point, at steps of falling size."""

    def __init__(self, f: Callable[[float], Vector], at_0: Vector, steps: Vector) -> None:
        self._f, self._at_0 = f, at_0
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
        unmoved = np.all((self._above == self._at_0)[-SMALLEST:] & (self._below == self._at_0)[-SMALLEST:], axis=0)
        for row in np.flatnonzero(unmoved):
            noise[row] = max(noise[row], self._jump(row))
        return np.asarray(noise)

    def noise_of_jumps(self, noise: Vector) -> Vector:
        """The noise, or the size of a jump between the slope of each result and a better one from larger steps."""
        best = self._central(noise)
        noise = noise.copy()
        for row in np.flatnonzero(best.refuted < best.bound):
            noise[row] = max(noise[row], self._jump(row, best.slope[row], 4 * SAFETY * noise[row]))
        return noise

    def _jump(self, row: int, slope: float = 0.0, least: float = 0.0) -> float:
        """By how much one result jumps where it first leaves a straight line; 0 if it leaves it without a jump."""
        least = max(least, 4 * EPSILON * abs(float(self._at_0[row])))

        def change(a: float, b: float, from_: float, to: float) -> float:
            return abs(to - from_ - slope * (b - a))

        for k in range(len(self._steps) - 1, 0, -1):
            left = [
                (side * self._steps[k], side * self._steps[k - 1], values[k, row], values[k - 1, row])
                for side, values in ((1, self._above), (-1, self._below))
            ]
            for a, b, at_a, at_b in left:
                if not least < change(a, b, at_a, at_b) < np.inf:
                    continue
                while (size := change(a, b, at_a, at_b)) > least and (middle := (a + b) / 2) not in (a, b):
                    at_middle = self._f(float(middle))[row]
                    if change(a, middle, at_a, at_middle) > size / 2:  # go where most of the change is
                        b, at_b = middle, at_middle
                    else:
                        a, at_a = middle, at_middle
                return float(size) if size > least else 0.0
        return 0.0

    def extend(self, noise: Vector) -> Vector:
        """Add larger steps where rounding hides the slope, and smaller ones where the function is smooth on no scale.

        Returns the noise at the smallest steps.
        """
        first, last = self._steps[0], self._steps[-1]
        while self._steps[0] < first * RATIO**LARGER:
            best = self._central(noise)
            known = 1e-9 * np.maximum(np.abs(best.slope), np.abs(self._at_0) / self._steps[0])
            hidden = (best.level <= ORDERS) & (best.rounding > best.bound / 2) & (best.bound > known)
            if not np.any(hidden & ~self._is_coarse(noise)):
                break
            self._add(self._steps[0] * RATIO ** np.arange(3.0, 0.0, -1.0))
        while self._steps[-1] > last / RATIO**SMALLER:
            best = self._central(noise)
            rough = (best.level > len(self._steps) - ORDERS) & (best.rounding < best.bound / 2)
            moves = (self._above[-1] != self._at_0) | (self._below[-1] != self._at_0)
            if not np.any(moves & (rough | ~np.isfinite(best.bound)) & np.isfinite(self._at_0)):
                break
            self._add(self._steps[-1] / RATIO ** np.arange(1.0, 17.0))
            noise = np.minimum(noise, self.noise())
        return noise

    def _is_coarse(self, noise: Vector) -> Vector:
        """Whether the noise is more than the rounding of the value itself."""
        return np.asarray(noise > 1000 * EPSILON * np.abs(self._at_0))

    def _central(self, noise: Vector) -> _Best:
        return _best(self._quotients()[0], self._steps, 2, noise)

    def difference(self, noise: Vector) -> Difference:
        """The best slopes, if the values have this noise."""
        central, *sides = self._quotients()
        best = _best(central, self._steps, 2, noise)
        right, left = (_best(quotients, self._steps, 1, 2 * noise) for quotients in sides)
        slope, bound = best.slope.copy(), best.bound.copy()
        for side, other in ((right, left), (left, right)):
            only = np.isfinite(side.bound) & ~np.isfinite(other.bound) & ~np.isfinite(bound)
            slope[only], bound[only] = side.slope[only], side.bound[only]
        values = np.concatenate([self._above, self._below])
        extent = np.nanmax(values, axis=0) - np.nanmin(values, axis=0)
        bound[self._is_coarse(noise) & (noise > COARSE * extent)] = np.inf  # it may as well be what the function does
        columns = np.arange(len(slope))
        rate = np.fmax(*(np.abs(side[best.level, columns]) for side in sides))
        rate[extent <= 16 * noise] = np.inf
        step = float(np.min(self._steps[best.level]))
        return Difference(slope, bound, right.slope, left.slope, np.maximum(right.bound, left.bound), noise, rate, step)


def _best(quotients: Matrix, steps: Vector, power: int, noise: Vector) -> _Best:
    """The slope with the smallest bound among the extrapolated ones that no smaller step contradicts.

    Args:
        power: the error of a quotient is a series in the step to this power.
        noise: of the values; a quotient has a noise of `noise / step`.
    """
    table, amplified = quotients, 1 / steps
    slopes, bounds, roundings, levels = [], [], [], []
    for order in range(1, min(ORDERS, len(steps) - 1) + 1):
        weight = 1 / (RATIO ** (power * order) - 1)
        finer = table[1:] + weight * (table[1:] - table[:-1])
        distance = np.maximum(np.abs(finer - table[1:]), np.abs(finer - table[:-1]))
        amplified = (1 + weight) * amplified[1:] + weight * amplified[:-1]
        table = finer
        if order > 1:  # two steps may agree by chance, but not three
            rounding = SAFETY * noise * amplified[:, None]
            slopes.append(table)
            bounds.append(2 * distance + rounding)
            roundings.append(rounding)
            levels.append(np.arange(order, len(steps)))
    slope, bound, rounding, level = map(np.concatenate, (slopes, bounds, roundings, levels))
    bound[~np.isfinite(bound)] = np.inf
    refuted = _contradicted(slope, bound, level, quotients, steps, power, noise)
    held = np.where(refuted, np.inf, bound)
    columns = np.arange(slope.shape[1])
    best = np.argmin(held, axis=0)
    known = np.isfinite(held[best, columns])
    return _Best(
        np.where(known, slope[best, columns], np.nan),
        held[best, columns],
        np.where(known, level[best], len(steps) - 1),
        rounding[best, columns],
        np.min(np.where(refuted, bound, np.inf), axis=0),
    )


def _contradicted(
    slope: Matrix, bound: Matrix, level: Vector, quotients: Matrix, steps: Vector, power: int, noise: Vector
) -> Matrix:
    """Whether any smaller step gives another slope than noise, and the curve that the larger steps saw, explain."""
    smaller = np.arange(len(steps)) > level[:, None]
    shrinks = np.minimum((steps / steps[level][:, None]) ** power, 1)[:, :, None]
    curve = 2 * np.abs(quotients[level] - slope)[:, None] * shrinks
    allowed = bound[:, None] + curve + (2 * SAFETY * noise / steps[:, None])[None]
    return np.any(smaller[:, :, None] & (np.abs(quotients[None] - slope[:, None]) > allowed), axis=1)


def noise(f: Callable[[float], Vector], scale: float, coarse: bool = True) -> Vector:
    """How far rounding moves each result of f, estimated from its values at nearby points.

    There, the differences of order k of a smooth function vanish, and what remains is noise, whose variance is γ⁻¹
    times as large, with γ = (k!)² / (2k)!.

    Args:
        coarse: whether a result that does not change may be rounded coarsely; otherwise it counts as constant.

    Reference: J. Moré and S. Wild, Estimating computational noise, SIAM Journal on Scientific Computing 33 (2011).
    """
    values = np.array([f(i * scale * 1e-5) for i in range(1, 9)])  # not at 0 itself, since f may jump there at a kink
    first = values[0]
    rounding = 2 * np.finfo(float).eps * np.max(np.abs(values), axis=0)
    stuck = np.all(values == first, axis=0)
    for k in range(1, 7):
        values = np.diff(values, axis=0)
        if k >= 4:
            size = np.max(np.abs(values), initial=1, where=np.isfinite(values))  # its square may overflow
            mean = size * np.sqrt(np.mean((values / size) ** 2, axis=0))
            rounding = np.maximum(rounding, np.sqrt(factorial(k) ** 2 / factorial(2 * k)) * mean)
    if coarse and np.any(stuck):  # the first change shows how coarsely it is rounded
        for spacing in (1e-4, 1e-3, 1e-2):
            jump = np.abs(f(scale * spacing) - first)
            rounding = np.where(stuck, np.maximum(rounding, jump), rounding)
            stuck &= jump == 0
    return np.asarray(rounding)


def remainder_slope(f: Callable[[float], Vector], at_0: Vector, slope: Vector, scale: float, noise: Vector) -> Vector:
    """The order of the Taylor remainder: the p in |f(h) - f(0) - h · slope| ~ hᵖ.

    It is 2 for a right slope and 1 for a wrong one, for any steps; infinite if the remainder is only noise.
    """
    steps = list(scale * STEPS[1:9])
    remainders = np.array([np.abs(f(step) - at_0 - step * slope) for step in steps])
    powers = np.full(at_0.shape, np.inf)
    for larger, smaller, step in zip(remainders, remainders[1:], steps[1:]):
        said = smaller > 100 * (noise + np.finfo(float).eps * np.abs(step * slope))
        with np.errstate(all="ignore"):
            powers = np.where(said, np.log2(larger / smaller), powers)
    return powers
