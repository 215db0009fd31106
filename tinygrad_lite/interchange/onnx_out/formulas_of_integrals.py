"""Formulas in NumPy for functions that are integrals: exponential, elliptic, hypergeometric, and the dilogarithm.

A quadrature is a sum over constant nodes, few operators in the file. Parameters of hypergeometric functions are numbers
that are known when the file is written.
"""

from collections.abc import Callable
from math import factorial, gamma, pi, sqrt
from typing import Any

import numpy as np
from numpy.polynomial.polynomial import polyval

from tinygrad_lite.engine.op import Array
from tinygrad_lite.interchange.onnx_out.formulas_of_bessel import BESSEL_OF_ORDER, hypergeometric_0f1
from tinygrad_lite.ops.arithmetic.elementwise import exp_of_square
from tinygrad_lite.ops.gamma_functions import BERNOULLI

EULER = float(np.euler_gamma)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(60)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2  # from 0 to 1


def _column(x: Any) -> Any:
    return np.expand_dims(x, -1)


def _gamma(x: Any) -> Any:
    return np.vectorize(gamma, otypes=[float])(x)


# The exponential integrals


def _exp1(x: Array) -> Array:
    """The integral of exp(-x eᵗ) over t > 0; below 1, the series of DLMF 6.6.2."""
    near = np.less(x, 1)
    small, large = np.where(near & np.greater(x, 0), x, 1), np.where(near | np.equal(x, np.inf), 1, x)
    series = polyval(small, [0, *((-1) ** (k + 1) / (k * factorial(k)) for k in range(1, 20))])
    end = np.log1p(40 / large)
    integral = end * np.sum(np.exp(-_column(large) * np.expm1(_column(end) * _NODES)) * _WEIGHTS, axis=-1)
    y = np.where(near, series - EULER - np.log(small), np.exp(-x) * integral)
    y = np.where(np.equal(x, 0), np.inf, np.where(np.equal(x, np.inf), 0, y))
    return np.where(np.less(x, 0), np.nan, y)


def _expi(x: Array) -> Array:
    """The same series, and from 40 on the asymptotic one (DLMF 6.12.2)."""
    far = np.greater_equal(x, 40)
    small, large = np.where(np.greater(x, 0) & ~far, x, 1), np.where(far, np.minimum(x, 1e300), 40)
    series = EULER + np.log(small) + polyval(small, [0, *(1 / (k * factorial(k)) for k in range(1, 150))])
    half = np.exp(large / 2)
    beyond = half * (polyval(1 / large, [float(factorial(k)) for k in range(40)]) / large) * half
    y = np.where(far, np.where(np.equal(x, np.inf), x, beyond), series)
    y = np.where(np.equal(x, 0), -np.inf, y)
    return np.where(np.less(x, 0), -_exp1(np.absolute(x)), np.where(np.isnan(x), x, y))


def _dawson(x: Array) -> Array:
    """The integral of exp(t² - x²) for t from 0 to x, as far as it is not below e⁻⁴⁰."""
    size = np.minimum(np.absolute(x), 1e150)
    share = np.minimum(1, 40 / np.square(np.maximum(size, 1)))
    s = _column(share) * _NODES  # 1 - t / x
    integrand = np.exp(np.square(_column(size)) * (s * (s - 2)))
    return np.where(np.isinf(x), 1 / x, x * share * np.sum(integrand * _WEIGHTS, axis=-1))


def _erfi(x: Array) -> Array:
    size = np.clip(x, -30, 30)  # where it is infinite already
    y = 2 / sqrt(pi) * exp_of_square(size, factor=1.0) * _dawson(size)
    return np.where(np.greater(np.absolute(x), 30), np.copysign(np.inf, x), y)


# The dilogarithm


def _near_1(x: Array) -> Array:
    """Li₂(1 - x) for x from 1/2 to 2, as a series in -log x."""
    u = -np.log(x)
    return u - u * u / 4 + u * polyval(u * u, [0, *(b / factorial(2 * k + 1) for k, b in enumerate(BERNOULLI, 1))])


def _spence(x: Array) -> Array:
    """Li₂(1 - x), brought next to 1 by reflection and inversion (DLMF 25.12.6 and 25.12.4)."""
    far, near_0 = np.greater(x, 2), np.less(x, 0.5)
    large, small = np.where(far, np.minimum(x, 1e300), 2), np.where(near_0 & np.greater(x, 0), x, 0.25)
    inverse = 1 / large
    # 1/x is between 0 and 1/2, and reflected like x there
    z = np.where(far, inverse, small)
    reflected = pi * pi / 6 - np.log(z) * np.log1p(-z) - _near_1(1 - z)
    y = np.where(far, -0.5 * np.square(np.log(large)) - reflected, reflected)
    y = np.where(far | near_0, y, _near_1(np.where(far | near_0, 1, x)))
    y = np.where(np.equal(x, 0), pi * pi / 6, np.where(np.equal(x, np.inf), -np.inf, y))
    return np.where(np.less(x, 0), np.nan, y)


# The complete elliptic integrals: the arithmetic-geometric mean, DLMF 19.8.5 and 19.8.6


def _elliptic(m: Array) -> tuple[Array, Array]:
    inside = np.less(m, 1)
    a, b = np.ones(m.shape), np.sqrt(1 - np.where(inside, m, 0))
    total = 0.5 * np.where(inside, m, 0)
    for n in range(10):
        a, b, difference = (a + b) / 2, np.sqrt(a * b), (a - b) / 2
        total = total + 2.0**n * np.square(difference)
    first = pi / 2 / a
    return np.where(inside, first, np.where(np.equal(m, 1), np.inf, np.nan)), np.where(
        inside, first * (1 - total), np.where(np.equal(m, 1), 1, np.nan)
    )


# Hypergeometric functions

_U = np.linspace(-6, 6, 769)
_LOG_T, _LOG_REST = -np.logaddexp(0, -pi * np.sinh(_U)), -np.logaddexp(0, pi * np.sinh(_U))
_T, _REST = np.exp(_LOG_T), np.exp(_LOG_REST)
_STEPS = pi * np.cosh(_U) * (_U[1] - _U[0])


def _beta_weights(a: Any, b: Any) -> Any:
    """The weights of a quadrature from 0 to 1, tanh-sinh, for the beta distribution of these concentrations."""
    density = np.exp(_column(a) * _LOG_T + _column(b) * _LOG_REST) * _STEPS
    return density * _column(_gamma(a + b) / (_gamma(a) * _gamma(b)))


def _hyp1f1(x: Array, order: tuple[Any, ...]) -> Array:
    """The mean of exp(x t) over a beta distribution (DLMF 13.4.1)."""
    a, b = (np.asarray(number, float) for number in order)
    if not (np.all(a > 0) and np.all(b > 0) and np.all(a < 100) and np.all(b < 100)):
        return None
    rest = a - b
    if rest.ndim == 0 and rest >= 0 and rest % 1 == 0:  # eˣ times a polynomial, by Kummer (DLMF 13.2.39)
        coefficients = np.cumprod([1.0, *((rest - k) / ((b + k) * (k + 1)) for k in range(int(rest)))])
        return np.exp(x) * polyval(np.maximum(x, -800), coefficients)
    if not np.all(b > a):  # by the derivative of b's neighbour, DLMF 13.3.22 and 13.3.4
        return _hyp1f1(x, (a, b + 1)) + x * (a / (b * (b + 1))) * _hyp1f1(x, (a + 1, b + 2))
    size = np.clip(x, -1e300, 1e300)
    positive = np.greater(size, 0)
    t = np.where(_column(positive), -_REST, _T)  # eᵗˣ is eˣ e^(x (t - 1))
    y = np.sum(np.exp(_column(size) * t) * _beta_weights(a, b - a), axis=-1)
    half = np.exp(np.where(positive, size, 0) / 2)
    return half * y * half


def _hyp2f1(x: Array, order: tuple[Any, ...]) -> Array:
    """The mean of (1 - x t)⁻ᵃ over a beta distribution (DLMF 15.6.1)."""
    a, b, c = (np.asarray(number, float) for number in order)
    if np.all(c > a) and np.all(a > 0) and not (np.all(c > b) and np.all(b > 0)):
        a, b = b, a
    if not (np.all(b > 0) and np.all(c > 0) and np.all(b < 100) and np.all(c < 100)):
        return None
    if not np.all(c > b):  # likewise, DLMF 15.5.1 and 15.5.15
        return _hyp2f1(x, (a, b, c + 1)) + x * (a * b / (c * (c + 1))) * _hyp2f1(x, (a + 1, b + 1, c + 2))
    inside = np.less(x, 1)
    rest = _column(1 - np.where(inside, x, 0))
    y = np.sum(np.power(rest * _T + _REST, _column(-a)) * _beta_weights(b, c - b), axis=-1)
    has_end = c > a + b  # Gauss's sum at x = 1
    numerator, denominator = (np.where(has_end, z, 1) for z in (c - a - b, c - a))
    at_1 = np.where(has_end, _gamma(c) * _gamma(numerator) / (_gamma(denominator) * _gamma(c - b)), np.inf)
    return np.where(inside, y, np.where(np.equal(x, 1), at_1, np.where(np.isnan(x), x, np.inf)))


def _hyp0f1(x: Array, order: tuple[Any, ...]) -> Array:
    """The series of Bessel functions, and these themselves (DLMF 10.39.9 and 10.16.9)."""
    b = np.asarray(order[0], float)
    if not (np.all(b > 0) and np.all(b < 30)):
        return None
    near = np.less(np.absolute(x), 5)
    half = np.sqrt(np.where(near, 25, np.absolute(x)))
    scale = _gamma(b) * np.power(half, 1 - b)
    up, down = (BESSEL_OF_ORDER[name](2 * half, (b - 1,)) for name in ("iv", "jv"))
    return np.where(near, hypergeometric_0f1(b, np.where(near, x, 0), 5), scale * np.where(np.greater(x, 0), up, down))


INTEGRALS: dict[str, Callable[..., Any]] = {
    "exp1": _exp1,
    "expi": _expi,
    "dawsn": _dawson,
    "erfi": _erfi,
    "spence": _spence,
    "ellipk": lambda m: _elliptic(m)[0],
    "ellipe": lambda m: _elliptic(m)[1],
}
HYPERGEOMETRIC: dict[str, Callable[..., Any]] = {"hyp0f1": _hyp0f1, "hyp1f1": _hyp1f1, "hyp2f1": _hyp2f1}
