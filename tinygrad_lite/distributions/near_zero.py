"""Quotients whose numerator and denominator are 0 at the same number, with all digits around it.

There the quotient is a series: the formula has few digits of its derivatives, and none at 0.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import factorial

import numpy as np

from tinygrad_lite.engine.op import Array


def polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    """The sum of coefficients times powers of x, from the constant on."""
    total: Array = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def relative_expm1(x: Array) -> Array:
    """(eˣ - 1) / x."""
    near = np.less(np.absolute(x), 0.3)
    far = np.where(near, 1, x)
    return np.where(near, polynomial(np.where(near, x, 0), _EXPM1), np.expm1(far) / far)


_EXPM1 = [1 / factorial(k + 1) for k in range(14)]


def relative_log1p(x: Array) -> Array:
    """log(1 + x) / x."""
    near = np.less(np.absolute(x), 0.1)
    inner, far = np.where(near, x, 0), np.where(near, 1, x)
    half = inner / (2 + inner)  # log(1 + x) = 2 artanh(x / (2 + x))
    return np.where(near, 2 * polynomial(half * half, _ARTANH) / (2 + inner), np.log1p(far) / far)


_ARTANH = [1 / (2 * k + 1) for k in range(9)]


def log_relative_sinh(x: Array) -> Array:
    """log(sinh x / x)."""
    near, inner, far = _parts(x)
    return np.where(near, polynomial(inner * inner, _SINH), far + np.log(-np.expm1(-2 * far) / (2 * far)))


def langevin(x: Array) -> Array:
    """coth x - 1 / x, the slope of log(sinh x / x)."""
    near, inner, far = _parts(x)
    slopes = [2 * n * c for n, c in enumerate(_SINH)][1:]
    return np.where(near, inner * polynomial(inner * inner, slopes), np.sign(x) * (1 / np.tanh(far) - 1 / far))


def langevin_slope(x: Array) -> Array:
    """1 / x² - 1 / sinh² x."""
    near, inner, far = _parts(x)
    slopes = [2 * n * (2 * n - 1) * c for n, c in enumerate(_SINH)][1:]
    return np.where(
        near,
        polynomial(inner * inner, slopes),
        1 / np.square(far) - 4 * np.exp(-2 * far) / np.square(np.expm1(-2 * far)),
    )


def _parts(x: Array) -> tuple[Array, Array, Array]:
    """Where a number is near 0, those numbers, and the sizes of the others."""
    size = np.absolute(x)
    near = np.less(size, 0.5)
    return near, np.where(near, x, 0), np.where(near, 1, size)


def _coefficients_of_coth(count: int) -> list[Fraction]:
    """Those of the powers of x² in x coth x, which times sinh x is x cosh x."""
    known: list[Fraction] = []
    for n in range(count):
        others = sum((a / factorial(2 * (n - k) + 1) for k, a in enumerate(known)), Fraction())
        known.append(Fraction(1, factorial(2 * n)) - others)
    return known


_SINH = [float(a / (2 * n)) if n else 0.0 for n, a in enumerate(_coefficients_of_coth(18))]
