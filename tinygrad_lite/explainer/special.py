"""SciPy's special functions of real numbers, where the page's NumPy can compute them in a few operations."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.registry import operation
from tinygrad_lite.ops.gamma_functions import BERNOULLI, polygamma
from tinygrad_lite.ops.networks.normal import normal_cdf


def _xlogy(x: Array, y: Array) -> Array:
    return np.where(np.equal(x, 0) & np.logical_not(np.isnan(y)), 0.0, x * np.log(y))


def _xlog1py(x: Array, y: Array) -> Array:
    return np.where(np.equal(x, 0) & np.logical_not(np.isnan(y)), 0.0, x * np.log1p(y))


def _rel_entr(x: Array, y: Array) -> Array:
    is_outside = (np.less(x, 0) | np.less(y, 0)) & np.logical_not(np.isnan(x) | np.isnan(y))
    return np.where(is_outside, np.inf, _xlogy(x, x) - _xlogy(x, y))


def _expit(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _exprel(x: Array) -> Array:
    return np.where(np.equal(x, 0), 1.0, np.expm1(x) / x)


def _power_of_logarithm(logarithm: Array, power: Array) -> Array:
    return np.where(np.equal(power, 0), logarithm, np.expm1(power * logarithm) / power)


def _logarithm_of_inverse(x: Array, power: Array) -> Array:
    return np.where(np.equal(power, 0), x, np.log1p(power * x) / power)


def _huber(delta: Array, r: Array) -> Array:
    size = np.absolute(r)
    loss = np.where(size <= delta, 0.5 * r * r, delta * (size - 0.5 * delta))
    return np.where(np.less(delta, 0), np.inf, loss)


def _pseudo_huber(delta: Array, r: Array) -> Array:
    # δ (√(δ² + r²) - δ), in which nothing cancels
    loss = r * (r / (delta + np.hypot(delta, r))) * delta
    return np.where(np.less(delta, 0), np.inf, np.where(np.equal(delta, 0) | np.equal(r, 0), 0.0, loss))


def _log_normal_cdf(x: Array) -> Array:
    is_below = np.less(x, 0)
    tail = operation("erfcx")(np.where(is_below, -x, 0.0) / math.sqrt(2))
    return np.where(is_below, np.log(0.5 * tail) - 0.5 * x * x, np.log1p(-normal_cdf(-np.where(is_below, 0.0, x))))


SHIFT = 10
"""From here on, Stirling's series has all digits."""


def _log_gamma(x: Array) -> Array:
    # Stirling's series (DLMF 5.11.1) at x + 10, and Γ(x + 10) = Γ(x) x (x + 1) … (x + 9)
    z = x + SHIFT
    series = sum(number / (2 * k * (2 * k - 1)) * z ** (1.0 - 2 * k) for k, number in enumerate(BERNOULLI, 1))
    below = np.sum(np.log(np.expand_dims(x, -1) + np.arange(float(SHIFT))), axis=-1)
    return (z - 0.5) * np.log(z) - z + 0.5 * math.log(2 * math.pi) + series - below


def _is_pole(x: Array) -> Array:
    return np.less(x, 0) & np.equal(x, np.floor(x))


def _log_abs_gamma(x: Array) -> Array:
    # Γ(x) Γ(1 - x) sin πx = π
    is_below = np.less(x, 0)
    y = _log_gamma(np.where(is_below, 1 - x, x))
    mirrored = math.log(math.pi) - np.log(np.absolute(np.sin(math.pi * x))) - y
    return np.where(_is_pole(x), np.inf, np.where(is_below, mirrored, y))


def _sign_of_gamma(x: Array) -> Array:
    sign = 1 - 2 * np.where(np.less(x, 0), np.remainder(np.floor(x), 2), 0.0)
    return np.where(_is_pole(x), np.nan, sign)


def _gamma(x: Array) -> Array:
    return _sign_of_gamma(x) * np.exp(_log_abs_gamma(x))


def _digamma(x: Array) -> Array:
    is_below = np.less(x, 0)
    y = polygamma(np.where(is_below, 1 - x, x), order=0)
    mirrored = y - math.pi / np.tan(math.pi * x)
    return np.where(_is_pole(x), np.nan, np.where(is_below, mirrored, y))


def _zeta(x: Array, order: tuple[Any, ...]) -> Array:
    if order != (2,):
        return NotImplemented
    is_below = np.less(x, 0)
    y = polygamma(np.where(is_below, 1 - x, x), order=1)
    mirrored = np.square(math.pi / np.sin(math.pi * x)) - y
    return np.where(_is_pole(x), np.inf, np.where(is_below, mirrored, y))


DEGREE = math.pi / 180
SPECIAL: dict[str, Callable[..., Any]] = {
    **{f"special.{function.__name__}": function for function in (np.cbrt, np.exp2, np.expm1, np.log1p)},
    "exp10": lambda x: np.power(10.0, x),
    "cosm1": lambda x: -2 * np.square(np.sin(x / 2)),
    "sindg": lambda x: np.sin(DEGREE * x),
    "cosdg": lambda x: np.cos(DEGREE * x),
    "tandg": lambda x: np.tan(DEGREE * x),
    "cotdg": lambda x: 1 / np.tan(DEGREE * x),
    "expit": _expit,
    "log_expit": lambda x: -np.logaddexp(0.0, -x),
    "logit": lambda x: np.log(x / (1 - x)),
    "exprel": _exprel,
    "xlogy": _xlogy,
    "xlog1py": _xlog1py,
    "entr": lambda x: np.where(np.less(x, 0), -np.inf, -_xlogy(x, x)),
    "rel_entr": _rel_entr,
    "kl_div": lambda x, y: _rel_entr(x, y) - x + y,
    "boxcox": lambda x, power: _power_of_logarithm(np.log(x), power),
    "boxcox1p": lambda x, power: _power_of_logarithm(np.log1p(x), power),
    "inv_boxcox": lambda x, power: np.exp(_logarithm_of_inverse(x, power)),
    "inv_boxcox1p": lambda x, power: np.expm1(_logarithm_of_inverse(x, power)),
    "special.huber": _huber,
    "pseudo_huber": _pseudo_huber,
    "ndtr": normal_cdf,
    "log_ndtr": _log_normal_cdf,
    "lgamma": _log_gamma,
    "gammaln": _log_abs_gamma,
    "loggamma": _log_gamma,
    "gamma": _gamma,
    "rgamma": lambda x: np.where(_is_pole(x), 0.0, 1 / _gamma(x)),
    "psi": _digamma,
    "zeta": _zeta,
}
"""The functions by the names of their operations."""
