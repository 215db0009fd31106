"""Formulas in NumPy for the beta function, binomials, Hurwitz's zeta function, and incomplete gamma and beta functions.

The latter are quadratures of `gamma_tail` and `beta_tail`.
"""

from collections.abc import Callable
from math import factorial, log, pi, prod, sqrt
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.interchange.onnx_out.formulas_of_normal import erfinv, normal_quantile
from tinygrad_lite.ops import beta_tail, gamma_tail
from tinygrad_lite.ops.gamma_functions import BERNOULLI

_SHIFT = 8
"""From here on, Stirling's series has all digits."""


def _stirling_rest(x: Array) -> Array:
    """log Γ(x) less its largest terms (DLMF 5.11.1)."""
    y: Any = 0.0
    for j, number in reversed(list(enumerate(BERNOULLI, 1))):
        y = y / (x * x) + number / (2 * j * (2 * j - 1))
    return y / x


def _log_beta(a: Array, b: Array) -> Array:
    """log B(a, b) for positive a and b: Stirling's series of larger ones, in which nothing large cancels."""
    p, q = a + _SHIFT, b + _SHIFT
    rest = _stirling_rest(p) + _stirling_rest(q) - _stirling_rest(p + q)
    powers = (p - 0.5) * np.log1p(q / p) + (q - 0.5) * np.log1p(p / q)
    y = rest - powers + 0.5 * log(2 * pi) - 0.5 * np.log(p + q)
    for start in range(0, _SHIFT, 2):  # a few factors at a time, which do not overflow
        terms = range(start, start + 2)
        y = y + np.log(prod((a + b + k) / (a + k) for k in terms)) + np.log(prod((p + b + k) / (b + k) for k in terms))
    inside = np.greater(a, 0) & np.greater(b, 0)
    return np.where(inside, y, np.where(np.equal(a, 0) | np.equal(b, 0), np.inf, np.nan))


def _binom(n: Array, k: Array) -> Array:
    """1 / ((n + 1) B(n - k + 1, k + 1)); where one of these is negative, by the reflection of its gamma function."""
    low, high = np.minimum(k, n - k) + 1, np.maximum(k, n - k) + 1
    inside = np.greater(low, 0)
    a, b = np.where(inside, high, n + 1), np.where(inside, low, 1 - low)
    sine = np.where(np.equal(low, np.rint(low)), 0, np.sin(pi * np.fmod(low, 2)) / pi)
    y = np.where(inside, np.exp(-_log_beta(a, b)) / (n + 1), sine * np.exp(_log_beta(a, b)))
    return np.where(np.greater(n, -1), y, np.nan)


def _zeta(x: Array, order: tuple[Any, ...]) -> Array:
    """The sum of (x + k)⁻ˢ over k ≥ 0, by Euler and Maclaurin (DLMF 25.11.5)."""
    s = np.asarray(order[0], float)
    if not np.all((s > 1) & (s < 1000)):
        return None
    count = 10 + int(np.max(s))
    y: Any = 0.0
    for k in range(count):
        y = y + np.power(x + k, -s)
    z = x + count
    series: Any = 0.0
    rising, power = s, 1 / z
    for j, number in enumerate(BERNOULLI, 1):
        series = series + number / factorial(2 * j) * rising * power
        rising, power = rising * (s + 2 * j - 1) * (s + 2 * j), power / (z * z)
    y = y + np.power(z, -s) * (z / (s - 1) + 0.5 + series)
    return np.where(np.less(x, 0), np.nan, y)


# The gamma and beta distributions, on the scales of log x and log x / (1 - x)


def _in_one_piece(function: Callable[..., Array], *arrays: Array) -> Array:
    """A function of arrays of one axis, for arrays of any shapes."""
    shape = np.broadcast_shapes(*map(np.shape, arrays))
    return np.reshape(function(*(np.ravel(np.broadcast_to(x, shape)) for x in arrays)), shape)


def _sides(area: Array, x: Array, last: float) -> tuple[Array, Array]:
    """F(x) and 1 - F(x) of the integral of the density above x, or minus the one below; on x from 0 to last."""
    is_below = np.signbit(area)
    lower, upper = np.where(is_below, -area, 1 - area), np.where(is_below, 1 + area, area)
    at_0, at_last = np.equal(x, 0), np.equal(x, last)
    outside = np.less(x, 0) | np.greater(x, last) | np.isnan(x)
    return tuple(  # type: ignore[return-value]
        np.where(outside, np.nan, np.where(at_0, start, np.where(at_last, 1 - start, y)))
        for y, start in ((lower, 0), (upper, 1))
    )


def _incomplete_gamma(a: Array, x: Array) -> tuple[Array, Array]:
    inside = np.greater(x, 0) & np.isfinite(x)
    y = np.log(np.where(inside, x, 1))
    return _sides(_in_one_piece(gamma_tail.area, a, y), x, np.inf)


def _chi_squared(v: Array, x: Array) -> tuple[Array, Array]:
    return _incomplete_gamma(v / 2, x / 2)


def _incomplete_beta(a: Array, b: Array, x: Array) -> tuple[Array, Array]:
    inside = np.greater(x, 0) & np.less(x, 1)
    x_inside = np.where(inside, x, 0.5)
    y = np.log(x_inside) - np.log1p(-x_inside)
    return _sides(_in_one_piece(beta_tail.area, a, b, y), x, 1.0)


def _f_distribution(m: Array, n: Array, x: Array) -> tuple[Array, Array]:
    y = np.log(m / n * np.where(np.greater(x, 0) & np.isfinite(x), x, 1))
    return _sides(_in_one_piece(beta_tail.area, m / 2, n / 2, y), x, np.inf)


def _of_sides(sides: Callable[..., tuple[Array, Array]], i: int, last: float = np.inf) -> Callable[..., Any]:
    """F(x) or 1 - F(x), for x from 0 to last; None if a concentration that never changes is not positive."""

    def formula(*arguments: Any) -> Array:
        *order, x = arguments
        known = [None if isinstance(number, Traced) else np.asarray(number, float) for number in order]
        if not all(number is None or np.all(number > 0) for number in known):
            return None
        y: Any = sides(*(_ordinary(a) if array is None else array for a, array in zip(order, known)), x)[i]
        inside, (first, second) = np.greater(x, 0) & np.less(x, last), (*order, x)[:2]
        undefined = (np.equal(first, 0) & np.equal(second, 0)) | (np.isposinf(first) & np.isposinf(second))
        for a, limit in [(a, limit) for a, array, limit in zip(order, known, (1 - i, i)) if array is None]:
            edge = np.where(np.isposinf(a), 1.0 - limit, float(limit))  # all lies at 0, or at the last x
            y = np.where(inside & ~_is_ordinary(a), edge, y)
            undefined = undefined | ~np.greater_equal(a, 0)
        return np.where(undefined, np.nan, y) if any(array is None for array in known) else y

    return formula


def _is_ordinary(a: Array) -> Array:
    return np.greater(a, 0) & np.isfinite(a)


def _ordinary(a: Array) -> Array:
    return np.where(_is_ordinary(a), a, 1.0)


def _with_order(formula: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, order: formula(*order, x)


GAMMA: dict[str, Callable[..., Any]] = {
    "beta": lambda a, b: np.exp(_log_beta(a, b)),
    "betaln": _log_beta,
    "binom": _binom,
    "gammainc": _of_sides(_incomplete_gamma, 0),
    "gammaincc": _of_sides(_incomplete_gamma, 1),
    "betainc": _of_sides(_incomplete_beta, 0, 1.0),
    "betaincc": _of_sides(_incomplete_beta, 1, 1.0),
    "chdtr": _of_sides(_chi_squared, 0),
    "chdtrc": _of_sides(_chi_squared, 1),
}
GAMMA_OF_ORDER: dict[str, Callable[..., Any]] = {
    "zeta": _zeta,
    "fdtr": _with_order(_of_sides(_f_distribution, 0)),
    "fdtrc": _with_order(_of_sides(_f_distribution, 1)),
}
OF_DISTRIBUTIONS: dict[str, Callable[..., Any]] = {
    "normal_quantile": normal_quantile,
    "half_normal_quantile": lambda p: sqrt(2) * erfinv(p),
    "log_gamma_cdf": lambda a, y: _in_one_piece(gamma_tail.cdf, a, y),
    "logit_beta_cdf": lambda a, b, y: _in_one_piece(beta_tail.cdf, a, b, y),
    "gamma_flow": lambda a, y, order: _in_one_piece(lambda a, y: gamma_tail.tail(a, y, order), a, y),
    "beta_flow": lambda a, b, y, orders: _in_one_piece(lambda a, b, y: beta_tail.tail(a, b, y, *orders), a, b, y),
}
