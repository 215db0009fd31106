"""Reductions of some entries, which a mask chooses or which are not NaN, in terms of those of all entries."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.arithmetic.reductions import without_nan

Reduction = Callable[..., Array]

_STAND_INS: dict[Reduction, float] = {np.sum: 0, np.prod: 1, np.max: -np.inf, np.min: np.inf, np.all: 1, np.any: 0}
"""What changes nothing, in the place of an entry that is left out."""


def _masked(reduction: Reduction) -> Reduction:
    def reduce(x: Array, where: Array = None, **params: Any) -> Array:
        if where is None:
            return NotImplemented
        return reduction(np.where(where, x, _STAND_INS[reduction]), **params)

    return reduce


def _count(x: Array, where: Array, axis: Any, keepdims: bool) -> Array:
    return np.sum(np.where(where, np.ones_like(x), 0), axis=axis, keepdims=keepdims)


def _mean(x: Array, where: Array = None, axis: Any = None, keepdims: bool = False, **params: Any) -> Array:
    if where is None:
        return NotImplemented
    total = np.sum(x, axis=axis, keepdims=keepdims, where=where, **params)
    return total / _count(x, where, axis, keepdims)


def _var_around(
    x: Array, mean: Array, where: Array = True, axis: Any = None, ddof: float = 0, keepdims: bool = False, **params: Any
) -> Array:
    squares = np.square(x - mean)
    total = np.sum(squares, axis=axis, keepdims=keepdims, where=where, **params)
    return total / np.maximum(_count(squares, where, axis, keepdims) - ddof, 0)


def _var(
    x: Array, where: Array = None, axis: Any = None, ddof: float = 0, correction: Any = None, **params: Any
) -> Array:
    if where is None:
        return NotImplemented
    mean = np.mean(x, axis=axis, keepdims=True, where=where)
    return _var_around(x, mean, where, axis, ddof if correction is None else correction, **params)


def _std(x: Array, where: Array = None, **params: Any) -> Array:
    return NotImplemented if where is None else np.sqrt(np.var(x, where=where, **params))


def among_numbers(reduction: Reduction, stand_in: float = 0) -> Reduction:
    """The reduction of the entries that are not NaN."""

    def reduce(x: Array, where: Array = True, **params: Any) -> Array:
        return reduction(without_nan(x, stand_in), where=np.logical_not(np.isnan(x)) & where, **params)

    return reduce


def _or_nan(reduction: Reduction) -> Reduction:
    """The reduction in which nothing, of entries that are not NaN, is NaN."""

    def reduce(x: Array, where: Array = True, axis: Any = None, keepdims: bool = False, **params: Any) -> Array:
        is_some = np.any(np.logical_not(np.isnan(x)) & where, axis=axis, keepdims=keepdims)
        start = params.get("initial")
        among = among_numbers(reduction)(x, where, axis=axis, keepdims=keepdims, **params)
        return np.where(is_some, among, np.nan if start is None else start)

    return reduce


def _nanvar(x: Array, ddof: float = 0, correction: Any = None, **params: Any) -> Array:
    variance = among_numbers(np.var)(x, ddof=ddof if correction is None else correction, **params)
    return np.where(np.isinf(variance), np.nan, variance)  # of no degrees of freedom


MASKED: dict[str, Reduction] = {
    **{reduction.__name__: _masked(reduction) for reduction in _STAND_INS},
    "mean": _mean,
    "var": _var,
    "std": _std,
    "var_around": _var_around,
    "nansum": among_numbers(np.sum),
    "nanprod": among_numbers(np.prod),
    "nanmean": among_numbers(np.mean),
    "nanmax": _or_nan(np.max),
    "nanmin": _or_nan(np.min),
    "nanvar": _nanvar,
    "nanstd": lambda x, **params: np.sqrt(_nanvar(x, **params)),
}
"""Reductions that take a mask, or leave out NaN, by name."""
