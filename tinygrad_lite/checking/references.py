"""Derivatives along a direction by differences, with a bound of their error: numerics, and nothing else."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import factorial

import numpy as np

from tinygrad_lite.checking.subject import Vector

LEVELS = 12  # the number of steps, each half of the previous one
ORDERS = 6  # the number of extrapolations
FIRST_STEP = 0.0618  # in the scale of the argument; not a fraction that divides a likely period
SAFETY = 4.0


@dataclass(frozen=True)
class Difference:
    """A derivative by differences.

    Attributes:
        slope: the slope of each result along the direction.
        bound: the bound of its error; infinite if nothing is known.
        right, left: the one-sided slopes; `side_bound` is the bound of their error.
    """

    slope: Vector
    bound: Vector
    right: Vector
    left: Vector
    side_bound: Vector


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


def difference(f: Callable[[float], Vector], at_0: Vector, scale: float, noise: Vector) -> Difference:
    """The derivative of f at 0 by central differences, extrapolated to a step of zero as Richardson did.

    For each result, we take the step and order with the smallest error bound: twice the distance to the two values that
    it was extrapolated from, plus the effect of the noise in f's values.

    Reference: C. Ridders, Accurate computation of F'(x) and F'(x)F''(x), Advances in Engineering Software 4 (1982).
    """
    best = _none(at_0)
    largest = 32 * scale
    while True:
        estimate = _at_scale(f, at_0, scale, noise)
        agrees = np.isnan(best.slope) | (np.abs(estimate.slope - best.slope) <= best.bound + estimate.bound)
        better = (estimate.bound < best.bound) & agrees  # a function that saturates looks flat from a distance
        sides_better = estimate.side_bound < best.side_bound
        best = Difference(
            np.where(better, estimate.slope, best.slope),
            np.where(better, estimate.bound, best.bound),
            np.where(sides_better, estimate.right, best.right),
            np.where(sides_better, estimate.left, best.left),
            np.where(sides_better, estimate.side_bound, best.side_bound),
        )
        # if noise limits a step of this size, a larger step may do better
        limited = estimate.bound > 1e-9 * np.maximum(np.abs(estimate.slope), np.abs(at_0) / scale)
        if not np.any(limited & better) or scale > largest:
            return best
        scale *= 32


def _none(at_0: Vector) -> Difference:
    unknown, unbounded = np.full(at_0.shape, np.nan), np.full(at_0.shape, np.inf)
    return Difference(unknown, unbounded, unknown, unknown, unbounded)


def _at_scale(f: Callable[[float], Vector], at_0: Vector, scale: float, noise: Vector) -> Difference:
    best = _none(at_0)
    slope, bound = best.slope.copy(), best.bound.copy()
    sides, side_bound = (best.right.copy(), best.left.copy()), best.bound.copy()
    former: list[Vector] = []
    former_noise: list[float] = []
    former_sides: tuple[Vector, ...] = ()
    former_estimates: tuple[Vector, ...] = ()
    for step in _steps(scale):
        above, below = f(step), f(-step)
        column, column_noise = [(above - below) / (2 * step)], [1 / step]
        for j, (before, before_noise) in enumerate(zip(former[:ORDERS], former_noise), start=1):
            weight = 1 / (4.0**j - 1)
            column.append(column[-1] + weight * (column[-1] - before))
            column_noise.append((1 + weight) * column_noise[-1] + weight * before_noise)
            distance = np.maximum(np.abs(column[-1] - column[-2]), np.abs(column[-1] - before))
            if j > 1:  # two steps may agree by chance, but not three
                _take(bound, 2 * distance + SAFETY * noise * column_noise[-1], (slope, column[-1]))
        now = ((above - at_0) / step, (at_0 - below) / step)
        if former_sides:
            estimates = tuple(2 * a - b for a, b in zip(now, former_sides))
            if former_estimates:
                moved = [np.abs(a - b) for a, b in zip(estimates, former_estimates)]
                limit = 2 * np.maximum(*moved) + SAFETY * noise * 6 / step
                _take(side_bound, limit, *zip(sides, estimates))
            former_estimates = estimates
        former, former_noise, former_sides = column, column_noise, now
    return Difference(slope, bound, *sides, side_bound)


def _steps(scale: float) -> Iterator[float]:
    for level in range(LEVELS):
        yield float(scale * FIRST_STEP * 2.0**-level)


def _take(bound: Vector, limit: Vector, *estimates: tuple[Vector, Vector]) -> None:
    """Store an estimate for each result for which its bound is the smallest so far."""
    smaller = limit < bound  # false for NaN
    bound[smaller] = limit[smaller]
    for place, values in estimates:
        place[smaller] = values[smaller]


def remainder_slope(f: Callable[[float], Vector], at_0: Vector, slope: Vector, scale: float, noise: Vector) -> Vector:
    """The order of the Taylor remainder: the p in |f(h) - f(0) - h · slope| ~ hᵖ.

    It is 2 for a right slope and 1 for a wrong one, for any steps; infinite if the remainder is only noise.
    """
    steps = list(_steps(scale))
    remainders = np.array([np.abs(f(step) - at_0 - step * slope) for step in steps])
    powers = np.full(at_0.shape, np.inf)
    for larger, smaller, step in zip(remainders, remainders[1:], steps[1:]):
        said = smaller > 100 * (noise + np.finfo(float).eps * np.abs(step * slope))
        with np.errstate(all="ignore"):
            powers = np.where(said, np.log2(larger / smaller), powers)
    return powers
