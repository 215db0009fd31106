"""Formulas in NumPy for functions of the order of entries that ONNX lacks: sorting, searching, and quantiles."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.interchange.onnx_out.formulas_of_reductions import reduced_shape
from tinygrad_lite.ops.arithmetic.ordering import lines_along, order_of_columns
from tinygrad_lite.ops.arithmetic.reductions import Axis
from tinygrad_lite.ops.shapes.indexing import getitem


def _argsort(a: Array, axis: int | None = -1, kind: Any = None, order: Any = None, **keywords: Any) -> Array:
    return np.argsort(np.ravel(a), axis=-1, **keywords) if axis is None or not a.ndim else None


def _lexsort(keys: Array, axis: int = -1) -> Array:
    order = np.argsort(keys[0], axis=axis)
    for i in range(1, keys.shape[0]):
        order = np.take_along_axis(order, np.argsort(np.take_along_axis(keys[i], order, axis), axis=axis), axis)
    return order


def _passed(bounds: Array, x: Array, or_equal: bool) -> Array:
    """Where bounds come before a value; NaN comes after all numbers, and is equal to itself."""
    passed = (np.less_equal if or_equal else np.less)(bounds, x)
    if x.dtype.kind != "f":
        return passed
    is_number = np.equal(bounds, bounds)  # NaN alone is not; of whole numbers there is no isnan
    return passed | (np.isnan(x) & (is_number | or_equal))


def _searchsorted(a: Array, v: Array, side: str = "left", sorter: Array = None) -> Array:
    a = a if sorter is None else a[sorter]
    passed = _passed(a, np.expand_dims(v, -1), or_equal=side == "right")
    return np.sum(passed.astype(np.int64), axis=-1)


def _digitize(x: Array, bins: Array, right: bool = False) -> Array:
    passed = _passed(bins, np.expand_dims(x, -1), or_equal=not right)
    rising = np.sum(passed.astype(np.int64), axis=-1)
    falling = np.sum((~passed).astype(np.int64), axis=-1)
    return np.where(np.less_equal(bins[0], bins[-1]), rising, falling)


def _isin(element: Array, test_elements: Array, assume_unique: bool = False, invert: bool = False, **_: Any) -> Array:
    is_in = np.any(np.equal(np.expand_dims(element, -1), np.ravel(test_elements)), axis=-1)
    return ~is_in if invert else is_in


def _with_kept_axes(y: Array, a: Array, axis: Axis, keepdims: Any, first: int = 0) -> Array:
    return np.reshape(y, (*y.shape[:first], *reduced_shape(a.shape, axis, True))) if keepdims is True else y


def _places_by_count(n: int, q: Array, method: str) -> Array:
    """The place of each quantile among the sorted entries, for each number of entries up to n."""
    quantile: Any = np.quantile
    method = "linear" if method == "median" else method
    return np.stack([quantile(np.arange(max(count, 1.0)), q, method=method) for count in range(n + 1)])


def _quantile_places(count: Array, n: int, q: Array, method: str) -> Array:
    places = count.__trace__(getitem, (_places_by_count(n, q, method),), {"index": count})
    return np.moveaxis(places, [*range(count.ndim)], [*range(q.ndim, q.ndim + count.ndim)])


def _at_quantiles(lines: Array, q: Array, method: str, weights: Array) -> Array:
    """The quantiles of the entries of each line that are numbers; NaN if there are none."""
    numbers = ~np.isnan(lines)
    order = np.argsort(np.where(numbers, lines, np.inf), axis=-1)
    ranked = np.take_along_axis(np.where(numbers, lines, np.inf), order, -1)
    ranked = np.broadcast_to(ranked, (*q.shape, *ranked.shape))
    count = np.sum(numbers.astype(int), axis=-1)
    if weights is None:
        place = _quantile_places(count, lines.shape[-1], q, method)
    else:
        shares = np.cumsum(np.take_along_axis(np.where(numbers, weights, 0), order, -1), axis=-1)
        shares = shares / shares[..., -1:]
        passed = np.less(shares, np.reshape(q, (*q.shape, *(1,) * lines.ndim)))
        place = np.minimum(np.sum(passed.astype(int), axis=-1), np.maximum(count - 1, 0)).astype(float)
    low = np.floor(place)
    share = (place - low).astype(lines.dtype)
    first, second = (
        np.take_along_axis(ranked, np.expand_dims(at.astype(int), -1), -1)[..., 0] for at in (low, np.ceil(place))
    )
    step = second - first
    if method == "median":  # NumPy takes the mean, of two infinities as well
        y = (first + second) / 2
    else:
        y = np.where(np.less(share, 0.5), first + step * share, second - step * (1 - share))  # as NumPy rounds, too
    y = np.where(np.equal(share, 0), first, y)
    return np.where(np.equal(count, 0), np.nan, y)


def _weights_of_lines(weights: Any, a: Array, axis: Axis) -> Any:
    if weights is None:
        return None
    weights = np.asarray(weights)
    if weights.shape != a.shape:
        weights = np.reshape(
            weights, [n if i == axis % a.ndim else 1 for i, n in enumerate(a.shape)] if axis is not None else (-1,)
        )
    return lines_along(np.broadcast_to(weights, a.shape), axis)[0]


def _quantile(scale: float, passes_nan: bool) -> Callable[..., Any]:
    def formula(
        a: Array,
        q: Any,
        axis: Axis = None,
        out: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: Any = False,
        *,
        weights: Any = None,
    ) -> Array:
        q = np.asarray(q, float) / scale
        lines, _ = lines_along(a, axis)
        y = _at_quantiles(lines, q, method, _weights_of_lines(weights, a, axis))
        y = np.where(np.any(np.isnan(lines), axis=-1), np.nan, y) if passes_nan else y
        return _with_kept_axes(y.astype(np.result_type(a.dtype, q)), a, axis, keepdims, q.ndim)

    return formula


def _median(passes_nan: bool) -> Callable[..., Any]:
    def formula(
        a: Array, axis: Axis = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False
    ) -> Array:
        y = _quantile(1, passes_nan)(a, 0.5, axis, method="median", keepdims=keepdims)
        return y.astype(a.dtype if a.dtype.kind == "f" else float)

    return formula


def _quantile_weights(x: Array, q: Any, axis: Axis, method: str, weights: Array, percent: bool) -> Array:
    lines, _ = lines_along(x, axis)
    q = np.asarray(q, float) / (100 if percent else 1)
    if weights is not None:
        y = _at_quantiles(lines, q, method, _weights_of_lines(weights, x, axis))
        chosen = np.equal(lines, np.expand_dims(y, -1)).astype(x.dtype)
        return chosen / np.sum(chosen, axis=-1, keepdims=True)
    numbers = ~np.isnan(lines)
    count = np.sum(numbers.astype(int), axis=-1)
    place = _quantile_places(count, lines.shape[-1], q, method)
    place = np.where(np.equal(count, 0), -1, place)
    ranks = np.argsort(np.argsort(np.where(numbers, lines, np.inf), axis=-1), axis=-1)
    return np.maximum(1 - np.absolute(ranks - np.expand_dims(place, -1)), 0).astype(x.dtype)


OF_ORDER: dict[Any, Any] = {
    np.argsort: _argsort,
    order_of_columns.forward: _lexsort,
    np.searchsorted: _searchsorted,
    np.digitize: _digitize,
    np.isin: _isin,
    np.quantile: _quantile(1, passes_nan=True),
    np.percentile: _quantile(100, passes_nan=True),
    "nanquantile": _quantile(1, passes_nan=False),
    "nanpercentile": _quantile(100, passes_nan=False),
    np.median: _median(passes_nan=True),
    np.nanmedian: _median(passes_nan=False),
    "quantile_weights": _quantile_weights,
}
