"""Formulas in NumPy for Bessel functions of real order: a power series where x is small, and one integral beyond.

The orders are numbers that are known when the file is written; they decide how far the series goes.
"""

from collections.abc import Callable
from math import gamma, pi
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array

LARGEST_ORDER = 30.0
"""Of larger orders, the series would be too long and the integrals would have fewer digits."""
_POINTS = np.arange(512) / 512
_WEIGHTS = np.where(_POINTS > 0, 1.0, 0.5) / 512  # of the trapezoidal rule; the integrands end at 0


def _column(x: Any) -> Any:
    return np.expand_dims(x, -1)


def hypergeometric_0f1(b: Array, x: Array, largest: float) -> Array:
    """₀F₁(b; x), the sum of xᵏ / (k! (b)ₖ) for b > 0, up to |x| = largest (DLMF 16.2.1)."""
    y: Any = 1.0
    for k in reversed(range(1, int(2.7 * largest**0.5) + 25)):
        y = 1 + x / (k * (b + (k - 1))) * y
    return y


def _power(v: Array, x: Array) -> Array:
    """(x / 2)ᵛ / Γ(v + 1)."""
    return np.power(x / 2, v) / np.vectorize(gamma, otypes=[float])(v + 1)


def _of_half_turns(v: Array) -> tuple[Array, Array]:
    """cos πv and sin πv, exact for whole numbers and halves."""
    half_turns = np.rint(v)
    sign = np.where(half_turns % 2 == 0, 1.0, -1.0)
    rest = v - half_turns
    return sign * np.where(np.abs(rest) == 0.5, 0, np.cos(pi * rest)), sign * np.sin(pi * rest)


def _hankel(v: Array, x: Array) -> tuple[Array, Array]:
    """Jᵥ and Yᵥ for v ≥ 0 and x > 0, by their integral on the path on which nothing oscillates.

    On t = u + i gd(u), the exponent i x cosh t of the integral of Hankel's function, DLMF 10.9.10, is i x - x sinh u
    tanh u. The integrand falls doubly exponentially, so that the trapezoidal rule has all digits.
    """
    exponent: Any = 40.0
    for _ in range(3):
        r = exponent / x
        end = np.arcsinh(np.sqrt(r * (r + np.sqrt(r * r + 4)) / 2))  # where x sinh u tanh u is the exponent
        exponent = 40 + v * end
    u = _column(end) * _POINTS
    rate, falling = _column(v) * u, _column(x) * (np.sinh(u) * np.tanh(u))
    up, down = np.exp(rate - falling), np.exp(-rate - falling)
    secant = 1 / np.cosh(u)
    angle = 2 * np.arctan(np.tanh(u / 2)) * _column(v)
    even, odd = (up + down) * np.cos(angle), (up - down) * np.sin(angle)
    real = end * np.sum((even - secant * odd) * _WEIGHTS, axis=-1) / pi
    imaginary = end * np.sum((secant * even + odd) * _WEIGHTS, axis=-1) / pi
    cosine, sine = _of_half_turns(v / 2)
    cosine, sine = np.cos(x) * cosine + np.sin(x) * sine, np.sin(x) * cosine - np.cos(x) * sine  # of x - πv / 2
    j = real * sine + imaginary * cosine
    y = imaginary * sine - real * cosine
    return j, np.where(np.isfinite(real) & np.isfinite(imaginary), y, -np.inf)


def _inside(x: Array) -> tuple[Array, Array]:
    """Whether x is positive and finite, and x where it is."""
    inside = np.greater(x, 0) & np.isfinite(x)
    return inside, np.where(inside, x, 1)


def _both(v: Array, x: Array) -> tuple[Array, Array]:
    """Jᵥ and Yᵥ for v ≥ 0 and x ≥ 0; NaN for x < 0."""
    inside, z = _inside(x)
    j, y = _hankel(v, z)
    largest = max(5.0, float(np.max(v)))
    near = np.less(x, np.maximum(v, 5))
    small = np.where(near & np.greater_equal(x, 0), x, 0)
    j = np.where(near, _power(v, small) * hypergeometric_0f1(v + 1, -small * small / 4, largest**2 / 4), j)
    far = np.where(np.equal(x, np.inf), 0, np.nan)
    return (
        np.where(inside | np.equal(x, 0), j, far),
        np.where(inside, y, np.where(np.equal(x, 0), -np.inf, far)),
    )


def _j(v: Array, x: Array) -> Array:
    j, y = _both(abs(v), x)
    if np.all(v >= 0):
        return j
    cosine, sine = _of_half_turns(-v)
    below = cosine * j - np.where(np.equal(sine, 0), 0, sine * np.where(np.equal(sine, 0), 0, y))
    return np.where(np.less(v, 0), below, j)


def _y(v: Array, x: Array) -> Array:
    j, y = _both(abs(v), x)
    if np.all(v >= 0):
        return y
    cosine, sine = _of_half_turns(-v)
    below = sine * j + np.where(np.equal(cosine, 0), 0, cosine * np.where(np.equal(cosine, 0), 0, y))
    return np.where(np.less(v, 0), below, y)


def _k_scaled(v: Array, x: Array) -> Array:
    """eˣ Kᵥ(x), the integral of exp(-x (cosh t - 1)) cosh vt over t > 0 (DLMF 10.32.9)."""
    inside, z = _inside(x)
    exponent: Any = 40.0
    for _ in range(3):
        end = 2 * np.arcsinh(np.sqrt(exponent / (2 * z)))
        exponent = 40 + abs(v) * end
    t = _column(end) * _POINTS
    falling = 2 * _column(z) * np.square(np.sinh(t / 2))
    rate = _column(v) * t
    y = end * np.sum((np.exp(rate - falling) + np.exp(-rate - falling)) / 2 * _WEIGHTS, axis=-1)
    return np.where(inside, y, np.where(np.equal(x, 0), np.inf, np.where(np.equal(x, np.inf), 0, np.nan)))


_GAUSS, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(100)


def _i_scaled(v: Array, x: Array) -> Array:
    """e⁻ˣ Iᵥ(x) for v ≥ 0 and x ≥ 0: the series, or the integral of DLMF 10.32.4 without a part below e⁻²ˣ."""
    end = np.maximum(25, v * v / 10)
    near = np.less(x, end)
    small = np.where(near, x, 0)
    series = _power(v, small) * hypergeometric_0f1(v + 1, small * small / 4, float(np.max(end)) ** 2 / 4)
    large = np.where(near, end, np.minimum(x, 1e300))
    last = np.minimum(pi, np.sqrt(200 / large))
    angle = _column(last) * ((_GAUSS + 1) / 2)
    integrand = np.exp(-2 * _column(large) * np.square(np.sin(angle / 2))) * np.cos(_column(v) * angle)
    y = last * np.sum(integrand * (_GAUSS_WEIGHTS / 2), axis=-1) / pi
    return np.where(near, np.exp(-small) * series, np.where(np.isnan(x), x, y))


def _i(v: Array, x: Array, is_scaled: bool) -> Array:
    """Iᵥ(x), or e^(-|x|) Iᵥ(x); for x < 0, where it is real, so for whole orders."""
    size = np.absolute(x)
    y = _i_scaled(abs(v), size)
    if not np.all(v >= 0):
        sine = _of_half_turns(-v)[1]
        other = np.exp(-2 * size) * _k_scaled(v, size) * (2 / pi)
        y = np.where(np.less(v, 0) & np.not_equal(sine, 0), y + sine * np.where(np.equal(sine, 0), 0, other), y)
    if not is_scaled:
        half = np.exp(size / 2)  # eˣ may overflow before the product does
        y = half * y * half
    sign = np.where(v % 2 == 0, 1.0, np.where(v % 2 == 1, -1.0, np.nan))
    return np.where(np.less(x, 0), sign * y, y)


def _j_of_any_sign(v: Array, x: Array) -> Array:
    if not np.all(v % 1 == 0):
        return _j(v, x)
    y = _j(v, np.absolute(x))
    return np.where(np.less(x, 0), np.where(v % 2 == 0, 1.0, -1.0) * y, y)


def _k(v: Array, x: Array) -> Array:
    return np.exp(-x) * _k_scaled(v, x)


def _with_order(formula: Callable[[Array, Array], Array], is_whole: bool = False) -> Callable[..., Any]:
    """For the operation on x alone, whose order is a parameter; it refuses orders that are too large."""

    def of_order(x: Array, order: tuple[Any, ...]) -> Array:
        v = np.asarray(order[0], float)
        if not np.all(abs(v) <= LARGEST_ORDER):
            return None
        return formula(np.trunc(v) if is_whole else v, x)

    return of_order


def _at(formula: Callable[[Array, Array], Array], v: float) -> Callable[[Array], Array]:
    return lambda x: formula(np.asarray(v), x)


BESSEL: dict[str, Callable[..., Any]] = {
    "j0": _at(_j_of_any_sign, 0.0),
    "j1": _at(_j_of_any_sign, 1.0),
    "y0": _at(_y, 0.0),
    "y1": _at(_y, 1.0),
    "k0": _at(_k, 0.0),
    "k1": _at(_k, 1.0),
    "k0e": _at(_k_scaled, 0.0),
    "k1e": _at(_k_scaled, 1.0),
    "i0": _at(lambda v, x: _i(v, x, False), 0.0),
    "i1": _at(lambda v, x: _i(v, x, False), 1.0),
    "i0e": _at(lambda v, x: _i(v, x, True), 0.0),
    "i1e": _at(lambda v, x: _i(v, x, True), 1.0),
}
BESSEL_OF_ORDER: dict[str, Callable[..., Any]] = {
    "jv": _with_order(_j_of_any_sign),
    "yv": _with_order(_y),
    "yn": _with_order(_y, is_whole=True),
    "kv": _with_order(_k),
    "kn": _with_order(_k, is_whole=True),
    "kve": _with_order(_k_scaled),
    "iv": _with_order(lambda v, x: _i(v, x, False)),
    "ive": _with_order(lambda v, x: _i(v, x, True)),
}
