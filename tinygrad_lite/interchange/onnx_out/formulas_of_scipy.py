"""Formulas in NumPy for the functions of SciPy that have one of few operators; they need no SciPy where they run."""

import sys
from collections.abc import Callable
from math import factorial, pi, sqrt
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.arithmetic.elementwise import sigmoid
from tinygrad_lite.ops.gamma_functions import lgamma, polygamma
from tinygrad_lite.ops.networks.activations import softplus
from tinygrad_lite.ops.networks.normal import by_polynomial, normal_cdf

HALF_LOG_2_PI = 0.5 * float(np.log(2 * pi))


def _logit(x: Array) -> Array:
    outer = np.less(x, 0.25)
    near = np.log1p((2 * x - 1) / (1 - x))
    return np.where(outer, np.log(np.where(outer, x, 0.5)) - np.log1p(-np.where(outer, x, 0.5)), near)


def _times_log(log: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, b: np.where(np.equal(a, 0) & ~np.isnan(b), 0, a * log(b))


def _entr(x: Array) -> Array:
    inside = np.greater(x, 0)
    y = -x * np.log(np.where(inside, x, 1))
    return np.where(inside | np.isnan(x), y, np.where(np.equal(x, 0), 0, -np.inf))


def _rel_entr(a: Array, b: Array) -> Array:
    inside = np.greater(a, 0) & np.greater(b, 0)
    y = a * np.log(np.where(inside, a, 1) / np.where(inside, b, 1))
    beyond = np.where(np.equal(a, 0) & np.greater_equal(b, 0), 0, np.inf)
    return np.where(inside | np.isnan(a) | np.isnan(b), y, beyond)


def _sindg(x: Array) -> Array:
    half_turns = np.rint(x / 180)
    is_odd = np.not_equal(np.fmod(half_turns, 2), 0)
    y = np.sin((x - 180 * half_turns) * (pi / 180))
    return np.where(is_odd, -y, y)


def _cosdg(x: Array) -> Array:
    return _sindg(x + 90)


def _exprel(x: Array) -> Array:
    nothing = np.equal(x, 0)
    return np.where(nothing, 1, np.expm1(x) / np.where(nothing, 1, x))


def _box_cox(log: Callable[..., Any]) -> Callable[..., Any]:
    def formula(x: Array, power: Array) -> Array:
        nothing = np.equal(power, 0)
        return np.where(nothing, log(x), np.expm1(power * log(x)) / np.where(nothing, 1, power))

    return formula


def _back_from_box_cox(exp: Callable[..., Any]) -> Callable[..., Any]:
    def formula(y: Array, power: Array) -> Array:
        nothing = np.equal(power, 0)
        return exp(np.where(nothing, y, np.log1p(power * y) / np.where(nothing, 1, power)))

    return formula


def _huber(delta: Array, r: Array) -> Array:
    size = np.absolute(r)
    y = np.where(np.less_equal(size, delta), 0.5 * r * r, delta * (size - 0.5 * delta))
    return np.where(np.less(delta, 0), np.inf, y)


def _pseudo_huber(delta: Array, r: Array) -> Array:
    nothing = np.equal(delta, 0) | np.equal(r, 0)
    u = r / np.where(nothing, 1, delta)
    y = delta * delta * (u * u / (np.sqrt(1 + u * u) + 1))
    return np.where(np.less(delta, 0), np.inf, np.where(nothing, 0, y))


# Of the normal distribution


def _mills(t: Array) -> Array:
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
    y = sqrt(2 / pi) * _mills(sqrt(2) * np.absolute(x))
    return np.where(np.less(x, 0), 2 * np.exp(np.where(np.less(x, 0), x * x, 0)) - y, y)


def _log_ndtr(x: Array) -> Array:
    below = np.less(x, -1)
    t = np.where(below, -x, 1)
    tail = np.log(_mills(t)) - 0.5 * t * t - HALF_LOG_2_PI
    return np.where(below, tail, np.log1p(-normal_cdf(-x)))


def _zeta(x: Array, order: tuple[Any, ...]) -> Array:
    n = int(order[0])
    if n != order[0] or n < 2:
        return None
    return (-1) ** n / factorial(n - 1) * polygamma(x, order=n - 1)


_FORMULAS: dict[str, Any] = {
    "expit": sigmoid,
    "log_expit": lambda x: -softplus(-x),
    "logit": _logit,
    "xlogy": _times_log(np.log),
    "xlog1py": _times_log(np.log1p),
    "entr": _entr,
    "rel_entr": _rel_entr,
    "kl_div": lambda a, b: _rel_entr(a, b) - a + b,
    "cbrt": np.cbrt,
    "exp2": np.exp2,
    "exp10": lambda x: np.power(10.0, x),
    "expm1": np.expm1,
    "log1p": np.log1p,
    "cosm1": lambda x: -2 * np.square(np.sin(0.5 * x)),
    "exprel": _exprel,
    "sindg": _sindg,
    "cosdg": _cosdg,
    "tandg": lambda x: _sindg(x) / _cosdg(x),
    "cotdg": lambda x: _cosdg(x) / _sindg(x),
    "boxcox": _box_cox(np.log),
    "boxcox1p": _box_cox(np.log1p),
    "inv_boxcox": _back_from_box_cox(np.exp),
    "inv_boxcox1p": _back_from_box_cox(np.expm1),
    "huber": _huber,
    "pseudo_huber": _pseudo_huber,
    "ndtr": normal_cdf,
    "log_ndtr": _log_ndtr,
    "erf": _erf,
    "erfc": lambda x: 2 * normal_cdf(-sqrt(2) * x),
    "erfcx": _erfcx,
    "gammaln": lgamma,
    "loggamma": lgamma,
    "gamma": lambda x: np.exp(lgamma(x)),
    "psi": lambda x: polygamma(x, order=0),
}


def of_scipy() -> dict[Any, Any]:
    """The formulas by SciPy's functions, and by names; empty before somebody imports SciPy."""
    ufuncs = sys.modules.get("scipy.special._ufuncs")
    return {getattr(ufuncs, name): formula for name, formula in _FORMULAS.items()} | {"zeta": _zeta} if ufuncs else {}
