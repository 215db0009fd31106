"""Formulas in NumPy for the normal distribution, the error functions, and the inverses of both."""

from collections.abc import Callable
from math import factorial, log, pi, sqrt
from typing import Any

import numpy as np
from numpy.polynomial.polynomial import polyval

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.networks.normal import by_polynomial, normal_cdf

HALF_LOG_2_PI = 0.5 * log(2 * pi)


def mills(t: Array) -> Array:
    """Φ(-t) / φ(t) for t ≥ 0: the polynomial as far as it goes, and then the asymptotic series (DLMF 7.12.1)."""
    far = np.greater(t, 40)
    inverse = 1 / np.where(far, t, 1)
    square = inverse * inverse
    series = inverse * (1 - square * (1 - 3 * square * (1 - 5 * square * (1 - 7 * square))))
    return np.where(far, series, by_polynomial(-t, np.asarray(1, t.dtype)))


def _erf(x: Array) -> Array:
    size = np.absolute(x)
    near = np.less(size, 1)
    z, terms = np.where(near, x, 0), 0.0
    for n in reversed(range(20)):
        terms = terms * (z * z) + (-1) ** n / (factorial(n) * (2 * n + 1))
    return np.where(near, 2 / sqrt(pi) * z * terms, np.sign(x) * (1 - 2 * normal_cdf(-sqrt(2) * size)))


def _erfcx(x: Array) -> Array:
    y = sqrt(2 / pi) * mills(sqrt(2) * np.absolute(x))
    return np.where(np.less(x, 0), 2 * np.exp(np.where(np.less(x, 0), x * x, 0)) - y, y)


def _log_ndtr(x: Array) -> Array:
    below = np.less(x, -1)
    t = np.where(below, -x, 1)
    tail = np.log(mills(t)) - 0.5 * t * t - HALF_LOG_2_PI
    return np.where(below, tail, np.log1p(-normal_cdf(-x)))


# quotients of polynomials, the lowest power first, in the middle and in the tail; from Wichura (1988), The percentage
# points of the normal distribution, algorithm AS 241
_MIDDLE = (
    (
        *(3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125),
        *(45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727),
    ),
    (
        *(1.0, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077),
        *(21213.794301586595867, 39307.89580009271061, 28729.085735721942674, 5226.495278852545925),
    ),
)
_TAIL = (
    (
        *(1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504),
        *(1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833, 7.7454501427834140764e-4),
    ),
    (
        *(1.0, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455),
        *(0.14810397642748007459, 0.0151986665636164571966, 5.475938084995344946e-4, 1.05075007164441684324e-9),
    ),
)


def _quotient(x: Array, polynomials: Any) -> Array:
    return polyval(x, polynomials[0]) / polyval(x, polynomials[1])


def _from(middle: Array, log_tail: Array) -> Array:
    """The quantile for p, from p - 1/2 and the logarithm of the smaller of p and 1 - p.

    Far out, Newton's steps lead there from the first terms of an expansion.
    """
    is_inner, is_far = np.less_equal(np.absolute(middle), 0.425), np.less(log_tail, -25)
    q = np.where(is_inner, middle, 0)
    r = np.sqrt(np.where(is_inner | is_far, 1, -log_tail))
    tail = _quotient(r - 1.6, _TAIL)
    target = np.where(is_far, log_tail, -25)
    t = np.sqrt(-2 * target - log(2 * pi) - np.log(-2 * target))
    for _ in range(4):
        m = mills(t)
        t = t + (np.log(m) - 0.5 * t * t - HALF_LOG_2_PI - target) * m
    tail = np.where(is_far, t, tail)
    return np.where(is_inner, q * _quotient(0.180625 - q * q, _MIDDLE), np.copysign(tail, middle))


def _at_ends(y: Array, x: Array, first: float, last: float, sign: int = 1) -> Array:
    """The function on its domain, and infinities at the ends."""
    inside = np.greater(x, first) & np.less(x, last)
    ends = np.where(np.equal(x, first), -sign * np.inf, np.where(np.equal(x, last), sign * np.inf, np.nan))
    return np.where(inside, y, ends)


def _between(x: Array, first: float, last: float) -> Array:
    return np.where(np.greater(x, first) & np.less(x, last), x, (first + last) / 2)


def normal_quantile(p: Array) -> Array:
    """Φ⁻¹(p)."""
    inner = _between(p, 0, 1)
    return _at_ends(_from(inner - 0.5, np.log(np.minimum(inner, 1 - inner))), p, 0, 1)


def erfinv(y: Array) -> Array:
    """The number whose error function is y."""
    inner = _between(y, -1, 1)
    z = _from(inner / 2, np.log((1 - np.absolute(inner)) / 2)) / sqrt(2)
    return _at_ends(z, y, -1, 1)


def _erfcinv(y: Array) -> Array:
    inner = _between(y, 0, 2)
    z = _from((1 - inner) / 2, np.log(np.minimum(inner, 2 - inner) / 2)) / sqrt(2)
    return _at_ends(z, y, 0, 2, -1)


def _log_quantile(y: Array) -> Array:
    """The z at which log Φ(z) is y."""
    inner = _between(y, -1e308, 0)
    p = np.exp(inner)
    upper = np.log(-np.expm1(np.maximum(inner, -1)))
    return _at_ends(_from(p - 0.5, np.where(np.less(p, 0.5), inner, upper)), y, -np.inf, 0)


NORMAL: dict[str, Callable[..., Any]] = {
    "ndtr": normal_cdf,
    "log_ndtr": _log_ndtr,
    "ndtri": normal_quantile,
    "ndtri_exp": _log_quantile,
    "erf": _erf,
    "erfc": lambda x: 2 * normal_cdf(-sqrt(2) * x),
    "erfcx": _erfcx,
    "erfinv": erfinv,
    "erfcinv": _erfcinv,
}
