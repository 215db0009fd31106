"""A derivative by a polynomial through many points, where rounding hides it from differences of a few.

Rounding differs from point to point, and a polynomial of low degree averages it. Its coefficients fall until only the
rounding is left, so that they tell both the degree and the error.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.polynomial import chebyshev

from tinygrad_lite.checking.subject import EPSILON, Matrix, Vector

POINTS = 64
COEFFICIENTS = 32  # of a fit; the last of them show the rounding
DEGREE = 24  # the largest degree of a polynomial whose slope counts
SAFETY = 4.0
INTERVALS = ((-1.0, 1.0), (-0.25, 1.75), (-1.75, 0.25), (0.0, 2.0), (-2.0, 0.0))  # around a point, or beside it
WIDTHS = (64.0, 16.0, 256.0, 4.0)  # of half an interval, in the smallest step of a slope by differences
FINEST = 2.0**-50  # what a step is a multiple of, so that it moves an argument without rounding
NODES = chebyshev.chebpts1(POINTS)


def slopes(
    f: Callable[[float], Vector], step: float, noise: Vector, steps: Vector, known: Matrix
) -> Iterator[tuple[Vector, Vector]]:
    """The slopes of f at 0 by polynomials over intervals of many steps, each with the bound of its error.

    The bound is infinite where f is no such polynomial but for the noise in its values, be it at the points of the fit
    or at the steps where it is known.
    """
    for width in (times * step for times in WIDTHS if times * step > POINTS**2 * FINEST):
        for low, high in INTERVALS:
            centre, half = width * (low + high) / 2, width * (high - low) / 2
            points = np.round((centre + half * NODES) / FINEST) * FINEST
            values = np.array([f(float(t)) for t in points])
            inside = np.abs(steps - centre) <= half
            scaled = ((points - centre) / half, values, (steps[inside] - centre) / half, known[inside])
            yield _slopes(*scaled, centre, half, noise)
            if low + high == 0 and np.all(np.isfinite(values)):
                break  # only where a function has an end, one side serves better than both


def _slopes(
    points: Vector, values: Matrix, others: Vector, known: Matrix, centre: float, half: float, noise: Vector
) -> tuple[Vector, Vector]:
    """The slopes at 0 of the polynomials through values at points from -1 to 1, if they meet what else is known."""
    slope, bound = np.full(len(noise), np.nan), np.full(len(noise), np.inf)
    basis, at_others = (chebyshev.chebvander(x, COEFFICIENTS - 1) for x in (points, others))
    units = np.identity(COEFFICIENTS)
    derivatives = np.array([chebyshev.chebval(-centre / half, chebyshev.chebder(unit)) for unit in units]) / half
    for row in np.flatnonzero(np.all(np.isfinite(values), axis=0)):
        middle = values[POINTS // 2, row]  # beside which a change is small
        coefficients = np.linalg.lstsq(basis, values[:, row] - middle)[0]
        rest = max(np.sqrt(np.mean(coefficients[DEGREE + 2 :] ** 2)), EPSILON / POINTS * abs(middle))
        count = 1 + int(np.flatnonzero(np.abs(coefficients) > SAFETY * rest)[-1:].sum())
        off = np.abs(at_others[:, :count] @ coefficients[:count] - (known[:, row] - middle))
        falls = (
            count <= 8 or _largest(coefficients[count - 4 : count]) < _largest(coefficients[count - 8 : count - 4]) / 10
        )
        # the coefficients fall to the rounding, which is no more than it is elsewhere
        if count <= DEGREE and falls and rest <= noise[row] and np.all(off <= 2 * SAFETY * noise[row]):
            slope[row] = derivatives[:count] @ coefficients[:count]
            left_out = np.sum(np.abs(derivatives[count : count + 4]))
            bound[row] = SAFETY * rest * (np.sqrt(np.sum(derivatives[:count] ** 2)) + left_out)
    return slope, bound


def _largest(x: Vector) -> float:
    return float(np.max(np.abs(x)))
