"""The slope of a function at a point by polynomials through many values around it: numerics, and nothing else.

Differences use few values. Near the edge of a domain, steps that are short enough lose their digits to rounding; beside
an offset of 1e7, all steps do. A polynomial that is fitted to more values than it needs has more digits, and its
distance from the values shows how far to trust it.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np

from tinygrad_lite.engine.op import Array

WORSE = 4  # if a shorter interval's bound is this much larger, rounding has taken over
NODES = 25  # the number of values for each polynomial
DEGREES = (2, 4, 6, 8, 10, 12)  # at most half as many as there are values
RESOLVED = 1e-2  # the largest error of a slope by a polynomial that follows the values, relative to their range
ENOUGH = 1e-9  # with a relative error this small, no further polynomial is tried
SAFETY = 4.0
BESIDE = 8  # how many nearby values show how far rounding moves a value
NEAR = 2.0**-10  # how close these values are, relative to the distance from 0


def slope(
    f: Callable[[float], float], longest: float, shortest: float, grid: float, others: Array
) -> tuple[float, float]:
    """The slope of f at 0, and a bound of its error, which is infinite if nothing is known.

    The bound adds the effect of the distance from the values to twice the distance to the slope of a polynomial of a
    lower degree. A polynomial does not count if it misses values of f at smaller steps by more than rounding: there, f
    has a feature that is too narrow for the interval.

    Args:
        longest, shortest: how far the intervals go to both sides of 0. They get shorter until one tells less than the
            last, since on the shortest ones rounding may look like another smooth function.
        grid: the spacing of the floating-point numbers that arguments can be.
        others: further steps, to both sides, at which f is known; the largest comes first.
    """
    best, reach = (np.nan, np.inf), longest
    while reach >= shortest:
        least, better = _within(f, reach, best[1], grid, others[others <= reach])
        best = better or best
        if best[1] < ENOUGH * abs(best[0]) or least > WORSE * best[1]:
            break
        reach /= 2 if np.isfinite(best[1]) else 4
    return best


def _within(
    f: Callable[[float], float], reach: float, bound: float, grid: float, others: Array
) -> tuple[float, tuple[float, float] | None]:
    """The smallest bound on this interval, and the slope and bound of a polynomial whose bound beats the given one."""
    nodes = _nodes(grid / reach)
    values = np.array([f(float(t * reach)) for t in nodes]) - f(0.0)
    fits = [_Fit(nodes, values, degree) for degree in DEGREES if len(nodes) > 2 * degree]
    bounds = [(2 * abs(a.slope - b.slope) + SAFETY * b.gain * b.noise) / reach for a, b in pairwise(fits)]
    for k in np.argsort(bounds):
        if not (bounds[k] < bound and bounds[k] * reach < RESOLVED * np.ptp(values)):
            break
        fit = fits[k + 1]
        if not _is_contradicted(f, partial(fit.at, reach), bounds[k], reach, others, grid):
            return bounds[k], (fit.slope / reach, bounds[k])
    return min(bounds, default=0), None


def _nodes(grid: float) -> Array:
    """Chebyshev's points between -1 and 1, rounded to the grid; or all points of the grid, if these are few."""
    if 2 / grid < 2 * NODES if grid else False:
        count = int(1 / grid)
        return np.arange(-count, count + 1) * grid
    nodes = np.cos(np.pi * np.arange(NODES) / (NODES - 1))
    return np.unique(np.round(nodes / grid)) * grid if grid else np.unique(nodes)


class _Fit:
    """The polynomial of this degree that is closest to the values at nodes between -1 and 1.

    Attributes:
        slope: its slope at 0.
        gain: how far noise of size 1 can move that.
        noise: the largest distance to a value.
    """

    def __init__(self, nodes: Array, values: Array, degree: int) -> None:
        self._degree = degree
        basis, weights = _inverse(tuple(nodes.tolist()), degree)
        self._coefficients = weights @ values
        at_slope = _slopes(degree) @ weights
        self.slope = float(at_slope @ values)
        self.gain = float(np.sum(np.abs(at_slope)))
        self.noise = float(np.max(np.abs(values - basis @ self._coefficients)))

    def at(self, reach: float, t: float) -> float:
        """The polynomial at t, if its interval goes this far to both sides."""
        return float(np.polynomial.chebyshev.chebval(t / reach, self._coefficients))


@lru_cache(64)
def _inverse(nodes: tuple[float, ...], degree: int) -> tuple[Array, Array]:
    """The values of Chebyshev's polynomials at these nodes, and the weights of values for each coefficient."""
    basis = np.polynomial.chebyshev.chebvander(np.array(nodes), degree)
    return basis, np.linalg.pinv(basis)


@lru_cache(8)
def _slopes(degree: int) -> Array:
    """The slopes of Chebyshev's polynomials at 0."""
    return np.array([np.polynomial.chebyshev.Chebyshev.basis(k).deriv()(0.0) if k else 0.0 for k in range(degree + 1)])


def _is_contradicted(
    f: Callable[[float], float],
    polynomial: Callable[[float], float],
    bound: float,
    reach: float,
    steps: Array,
    grid: float,
) -> bool:
    """Whether f leaves the polynomial at any of the steps by more than rounding."""
    at_0, from_0 = f(0.0), polynomial(0.0)
    noise = max(float(np.finfo(float).eps) * abs(at_0), *(beside(f, side * reach / 2, grid)[1] for side in (1, -1)))
    for t in (side * float(step) for step in steps for side in (1, -1)):
        apart = abs(f(t) - at_0 - (polynomial(t) - from_0)) - bound * abs(t)
        if apart > 2 * SAFETY * noise and not apart <= 2 * SAFETY * beside(f, t, grid)[1]:
            return True
    return False


def beside(f: Callable[[float], float], t: float, grid: float) -> tuple[float, float]:
    """How far f moves beside t, and how much of this is noise, which no polynomial explains."""
    apart = NEAR * abs(t)
    if grid:
        apart = 2 * max(1.0, round(apart / grid / 2)) * grid  # beyond a power of two, numbers are twice as far apart
    values = np.array([f(t + k * apart) for k in range(-BESIDE // 2, BESIDE // 2 + 1)])
    bent = np.abs(np.diff(values, n=6)) / 30  # the length of the weights 1, 6, 15, 20, 15, 6, 1
    return float(np.ptp(values)), float(np.max(bent, initial=0))
