"""Formulas in NumPy for reductions that ONNX lacks: those with masks and first values, and those that leave out NaN."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.arithmetic.extrema import logsumexp
from tinygrad_lite.ops.arithmetic.reductions import Axis


def _counted(x: Array, axis: Axis, keepdims: bool, where: Array) -> Any:
    """The number of entries in each result."""
    if where is True:
        kept = reduced_shape(x.shape, axis)
        return float(x.size // max(prod(kept), 1))
    whole = np.where(np.broadcast_to(where, x.shape), np.ones(x.shape, x.dtype), 0)
    return np.sum(whole, axis=axis, keepdims=keepdims)


def reduced_shape(shape: tuple[int, ...], axis: Axis, keepdims: bool = False) -> tuple[int, ...]:
    reduced: Array = np.sum(np.broadcast_to(0, shape), axis=axis, keepdims=keepdims)
    return tuple(reduced.shape)


def _accumulated(function: Callable[..., Any], neutral: float, combine: Callable[..., Any]) -> Callable[..., Any]:
    """A sum or a product with a mask and a first value."""

    def formula(
        a: Array,
        axis: Axis = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = np._NoValue,
        where: Array = True,
    ) -> Array:
        a = a if dtype is None else a.astype(dtype)
        y = function(a if where is True else np.where(where, a, neutral), axis=axis, keepdims=keepdims)
        return y if initial is np._NoValue or initial is None else combine(y, initial)

    return formula


def _extremum(function: Callable[..., Any], combine: Callable[..., Any], least: float) -> Callable[..., Any]:
    def formula(
        a: Array,
        axis: Axis = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = np._NoValue,
        where: Array = True,
    ) -> Array:
        has_first = initial is not np._NoValue and initial is not None
        if a.dtype == bool:
            first = int(bool(initial)) if has_first else initial
            return formula(a.astype(np.int32), axis, keepdims=keepdims, initial=first, where=where).astype(bool)
        if not a.size:
            return np.full(reduced_shape(a.shape, axis, keepdims), initial, a.dtype) if has_first else None
        if where is not True:
            bound = least if a.dtype.kind == "f" else np.iinfo(a.dtype).min if least < 0 else np.iinfo(a.dtype).max
            a = np.where(where, a, bound)
        y = function(a, axis=axis, keepdims=keepdims)
        return combine(y, initial) if has_first else y

    return formula


def _mean(
    a: Array, axis: Axis = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Array = True
) -> Array:
    a = a if dtype is None else a.astype(dtype)
    total = np.sum(a, axis=axis, keepdims=keepdims, **({} if where is True else {"where": where}))
    return total / _counted(a, axis, keepdims, where)


def _var(
    a: Array,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Array = True,
    mean: Array = None,
    correction: Any = np._NoValue,
) -> Array:
    ddof = ddof if correction is np._NoValue or correction is None else correction
    a = a if dtype is None else a.astype(dtype)
    mean = _mean(a, axis, keepdims=True, where=where) if mean is None else mean
    deviation = a - mean
    if where is not True:
        deviation = np.where(where, deviation, 0)
    count = _counted(a, axis, keepdims, where)
    freedom = max(count - ddof, 0.0) if where is True else np.maximum(count - ddof, 0)
    return np.sum(deviation * deviation, axis=axis, keepdims=keepdims) / freedom


def _std(a: Array, *args: Any, **params: Any) -> Array:
    return np.sqrt(_var(a, *args, **params))


def _among_numbers(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The variant that leaves out NaN."""

    def of_numbers(a: Array, *args: Any, where: Any = True, **params: Any) -> Array:
        numbers = ~np.isnan(a)
        where = numbers if where is True or where is np._NoValue else numbers & where
        return formula(a, *args, where=where, **{k: v for k, v in params.items() if v is not np._NoValue})

    return of_numbers


def _nan_extremum(function: Callable[..., Any], least: float) -> Callable[..., Any]:
    def formula(a: Array, axis: Axis = None, out: Any = None, keepdims: Any = False, **params: Any) -> Array:
        keepdims = keepdims is True
        missing = np.isnan(a)
        if params.pop("where", True) is not True or {v for v in params.values() if v is not np._NoValue}:
            return None
        y = function(np.where(missing, least, a), axis=axis, keepdims=keepdims)
        return np.where(np.all(missing, axis=axis, keepdims=keepdims), np.nan, y)

    return formula


def _all_of(function: Callable[..., Any], neutral: bool) -> Callable[..., Any]:
    def formula(a: Array, axis: Axis = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Array:
        if where is True or where is np._NoValue:
            return None
        truths = np.not_equal(a, 0) if a.dtype != bool else a
        return function(np.where(where, truths, neutral), axis=axis, keepdims=keepdims is True)

    return formula


def _count_nonzero(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    return np.sum(np.not_equal(a, 0).astype(np.int64), axis=axis, keepdims=keepdims)


def _place_among_numbers(function: Callable[..., Any], least: float) -> Callable[..., Any]:
    return lambda a, axis=None, out=None, *, keepdims=False: function(np.where(np.isnan(a), least, a), axis=axis)


def _log_softmax(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


OF_REDUCTIONS: dict[Any, Any] = {
    "sum": _accumulated(np.sum, 0, np.add),
    np.prod: _accumulated(np.prod, 1, np.multiply),
    "mean": _mean,
    "max": _extremum(np.max, np.maximum, -np.inf),
    "min": _extremum(np.min, np.minimum, np.inf),
    "var": _var,
    np.std: _std,
    "var_around": lambda x, mean, **params: _var(x, mean=mean, **params),
    np.nansum: _among_numbers(_accumulated(np.sum, 0, np.add)),
    np.nanprod: _among_numbers(_accumulated(np.prod, 1, np.multiply)),
    np.nanmean: _among_numbers(_mean),
    np.nanvar: _among_numbers(_var),
    np.nanstd: _among_numbers(_std),
    np.nanmax: _nan_extremum(np.max, -np.inf),
    np.nanmin: _nan_extremum(np.min, np.inf),
    np.all: _all_of(np.all, True),
    np.any: _all_of(np.any, False),
    np.count_nonzero: _count_nonzero,
    np.nanargmax: _place_among_numbers(np.argmax, -np.inf),
    np.nanargmin: _place_among_numbers(np.argmin, np.inf),
    "log_softmax": _log_softmax,
    "logaddexp_reduce": lambda x, axis=None, keepdims=False: logsumexp(x, axis=axis, keepdims=keepdims),
}
