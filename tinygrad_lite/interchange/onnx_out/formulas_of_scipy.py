"""Formulas in NumPy for the functions of SciPy and of distributions; they need no SciPy where they run."""

import sys
from collections.abc import Callable
from math import log, pi
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.interchange.onnx_out.formulas_of_bessel import BESSEL, BESSEL_OF_ORDER
from tinygrad_lite.interchange.onnx_out.formulas_of_gamma import GAMMA, GAMMA_OF_ORDER, OF_DISTRIBUTIONS
from tinygrad_lite.interchange.onnx_out.formulas_of_integrals import HYPERGEOMETRIC, INTEGRALS
from tinygrad_lite.interchange.onnx_out.formulas_of_normal import NORMAL
from tinygrad_lite.interchange.onnx_out.formulas_of_polynomials import POLYNOMIALS
from tinygrad_lite.ops.arithmetic.elementwise import sigmoid
from tinygrad_lite.ops.gamma_functions import lgamma, polygamma
from tinygrad_lite.ops.networks.activations import softplus


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
    return np.where(inside, y, np.where(np.isnan(a) | np.isnan(b), a + b, beyond))


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


def _reflected(positive: Callable[..., Any], reflection: Callable[..., Any], at_poles: float) -> Callable[..., Any]:
    """A function of the gamma function's kind, which for x < 0 follows from its value at 1 - x (DLMF 5.5.3, 5.5.4)."""

    def formula(x: Array) -> Array:
        is_negative = np.less(x, 0)
        is_pole = is_negative & np.equal(x, np.rint(x))
        turn = pi * np.fmod(np.where(is_negative & ~is_pole, x, 0.5), 2)
        y = positive(np.where(is_negative, 1 - x, x))
        return np.where(is_pole, at_poles, np.where(is_negative, reflection(y, turn), y))

    return formula


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
    "gammaln": _reflected(lgamma, lambda y, turn: log(pi) - np.log(np.absolute(np.sin(turn))) - y, np.inf),
    "loggamma": lgamma,
    "gamma": _reflected(lambda x: np.exp(lgamma(x)), lambda y, turn: pi / (np.sin(turn) * y), np.nan),
    "rgamma": _reflected(lambda x: np.exp(-lgamma(x)), lambda y, turn: np.sin(turn) / (pi * y), 0.0),
    "psi": _reflected(lambda x: polygamma(x, order=0), lambda y, turn: y - pi / np.tan(turn), np.nan),
}


def _in_double(formula: Callable[..., Any]) -> Callable[..., Any]:
    """In double precision, whatever the arrays have, and back."""

    def of_doubles(*x: Array, **params: Any) -> Any:
        y = formula(*(z.astype(float) if hasattr(z, "astype") else z for z in x), **params)
        return None if y is None else y.astype(np.result_type(*(z.dtype for z in x if hasattr(z, "dtype"))))

    return of_doubles


def of_scipy() -> dict[Any, Any]:
    """The formulas by SciPy's functions, and by names; those of SciPy's only after somebody has imported it."""
    named = {**GAMMA_OF_ORDER, **BESSEL_OF_ORDER, **HYPERGEOMETRIC, **POLYNOMIALS, **OF_DISTRIBUTIONS}
    formulas: dict[Any, Any] = {name: _in_double(formula) for name, formula in named.items()}
    if ufuncs := sys.modules.get("scipy.special._ufuncs"):
        doubles = {**NORMAL, **GAMMA, **BESSEL, **INTEGRALS}
        table = {**_FORMULAS, **{name: _in_double(formula) for name, formula in doubles.items()}}
        formulas |= {getattr(ufuncs, name): formula for name, formula in table.items()}
    return formulas
