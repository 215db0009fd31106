"""Order: sorting, and the median and other quantiles, which lie between two sorted entries."""

from collections.abc import Callable
from functools import lru_cache, wraps
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Example, Rule, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.foundation.signatures import signature_of
from tinygrad_lite.ops.arithmetic.extrema import closest, unless_nan
from tinygrad_lite.ops.arithmetic.reductions import Axis
from tinygrad_lite.ops.shapes.indexing import Distinct, along, fixed, index_along, picked

MANY = 128
"""Lines of at least this many entries are sorted faster in any order than in the stable one."""


def _stable_order(x: Array, axis: int) -> Array:
    """np.argsort(x, axis, kind="stable"), of long lines in a fifth of the time.

    If no two entries are equal, there is only one order, and NumPy finds it sooner if it need not be stable.
    """
    if x.shape[axis] < MANY or type(x) is not np.ndarray:
        return np.argsort(x, axis, kind="stable")
    order = np.argsort(x, axis)
    ascending = x[order] if x.ndim == 1 else np.take_along_axis(x, order, axis)
    before, after = (ascending[along(axis % x.ndim, part)] for part in (slice(-1), slice(1, None)))
    return order if (before < after).all() else np.argsort(x, axis, kind="stable")


def _argsort(a: Array, axis: int | None = -1, kind: Any = None, order: Any = None, **keywords: Any) -> Array:
    is_stable = kind is order is None and keywords == {"stable": True}
    if is_stable and type(axis) is int and type(a) is np.ndarray and -a.ndim <= axis < a.ndim:
        return _stable_order(a, axis)
    return np.argsort(a, axis, kind, order, **keywords)


argsort = primitive(np.argsort, kink=closest)
argsort.compute = _argsort
argpartition = primitive(np.argpartition, kink=closest, examples=[([(2, 3)], {"kth": 1})])
searchsorted = primitive(np.searchsorted, arity=2, examples=[([np.arange(3.0), (2, 3)], {})])
digitize = primitive(np.digitize, arity=2, refuses=True, examples=[([(4,), np.arange(3.0)], {})])


def _order_of_columns(keys: Array, axis: int = -1) -> Array:
    return np.lexsort(keys, axis)  # which reports no keywords before NumPy 2.4


order_of_columns = primitive(_order_of_columns)


@implements(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Array:
    """The order by several keys, the last of which counts most: the rows of an array, or arrays in a container."""
    if hasattr(keys, "ndim"):
        return order_of_columns(keys, axis=axis)
    first, *others = map(as_array, keys)
    order = np.argsort(first, axis, kind="stable")
    for key in others:  # they are no rows of one array, in which large integers would be rounded beside floats
        if key.shape != first.shape:
            raise ShapeError(f"lexsort needs keys of the same shape, got {first.shape} and {key.shape}")
        by_key = np.argsort(np.take_along_axis(key, order, axis), axis, kind="stable")
        order = np.take_along_axis(order, by_key, axis)
    return order


def _in_order(a: Array, order: Array, axis: int | None) -> Array:
    """The entries in an order, which has each of them once."""
    a, axis = (np.ravel(a), 0) if axis is None else (as_array(a), axis)
    index = index_along(a.shape, order := fixed(order), axis)
    return picked(a, Distinct(index) if type(order) is np.ndarray else index)  # a recorded order differs each time


def sort(a: Array, axis: int | None = -1, kind: Any = None, order: Any = None, **keywords: Any) -> Array:
    """Sort; equal entries keep their order for every `kind`, so that the gradient is always the same."""
    if kind is not None or keywords:
        np.sort(np.empty(0), kind=kind, **keywords)  # raises NumPy's error for an unknown kind
    return _in_order(a, argsort(a, axis=axis, order=order, **{**keywords, "stable": True}), axis)


sort.__signature__ = signature_of(np.sort)  # type: ignore[attr-defined]  # whose keywords depend on the version
implements(np.sort)(sort)


def _partition_places(x: Array, kth: Any, axis: int | None = -1, kind: Any = "introselect", order: Any = None) -> Array:
    """The original position of each entry of the partition, found by sorting both."""
    x, axis = (np.ravel(x), 0) if axis is None else (x, axis)
    origin, goal = (_stable_order(a, axis) for a in (x, np.partition(x, kth, axis, kind, order)))
    places = np.empty_like(origin)
    np.put_along_axis(places, goal, origin, axis)
    return places


partition_places = primitive(_partition_places, arity=1, kink=closest, examples=[([(2, 5)], {"kth": 2})])


@implements(np.partition)
def partition(a: Array, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None) -> Array:
    return _in_order(a, partition_places(a, kth=kth, axis=axis, kind=kind, order=order), axis)


def lines_along(x: Array, axis: Axis) -> tuple[Array, tuple[int, ...]]:
    """The array with the reduced axes joined into the last axis, and the order of its axes before joining."""
    if axis is None:
        return np.reshape(x, (-1,)), tuple(range(x.ndim))
    reduced = np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)
    kept = tuple(i for i in range(x.ndim) if i not in reduced)
    moved = np.transpose(x, (*kept, *reduced))
    length = prod(x.shape[i] for i in reduced)
    return np.reshape(moved, (*moved.shape[: len(kept)], length)), (*kept, *reduced)


@lru_cache(maxsize=64)
def _places(count: int, dtype: Any, q: Any, dtype_of_q: Any, method: Any, percent: bool) -> Array:
    q = np.array(q, dtype_of_q) if dtype_of_q else q
    return (np.percentile if percent else np.quantile)(np.arange(count, dtype=dtype), q, method=method)


def quantile_places(count: int, dtype: Any, q: Any, method: str, percent: bool) -> Array:
    """The positions of quantiles among sorted entries.

    Every method chooses a point between two sorted entries: the same quantile of 0, 1, 2, ... gives its position.
    """
    if isinstance(q, (int, float)):
        return _places(count, dtype, q, None, method, percent)
    q = np.asarray(q)
    return np.reshape(_places(count, dtype, tuple(q.flat), q.dtype, method, percent), q.shape)


def _share_of_distinct(lines: Array, q: float, method: str, percent: bool, quantile: Array = None) -> Array | None:
    """The shares in one quantile if no line has NaN, or another entry equal to one that it is made of; else None.

    A quantile that is one of the entries is found among them, if it is known. Otherwise, finding the entries in a
    partition takes a third of the time of an order of all.
    """
    if type(lines) is not np.ndarray or not lines.size or np.isnan(lines).any():
        return None
    place = float(quantile_places(lines.shape[-1], lines.dtype, q, method, percent))
    rank = int(place)
    rest = place - rank
    if quantile is None or rest:
        ranks = [rank, rank + 1] if rest else [rank]
        entries = np.partition(lines, ranks, axis=-1)
        chosen = [np.equal(lines, entries[..., i : i + 1]) for i in ranks]
    else:
        chosen = [np.equal(lines, np.reshape(quantile, (*lines.shape[:-1], 1)))]
    if any(np.count_nonzero(hits) != lines.size // lines.shape[-1] or not hits.any(-1).all() for hits in chosen):
        return None
    number = lines.dtype.type
    share: Array = chosen[0] * number(1 - rest)
    return share + chosen[1] * number(rest) if rest else share


def _quantile_weights(x: Array, q: Any, axis: Axis, method: str, weights: Array, percent: bool) -> Array:
    """The share of each entry in each quantile: an array of q's shape followed by the shape of x's lines.

    NaN come last and have no share.
    """
    lines, _ = lines_along(x, axis)
    if weights is not None:  # then the quantile is one of the entries
        quantile: Any = np.percentile if percent else np.quantile
        chosen = np.equal(lines, np.expand_dims(quantile(x, q, axis=axis, method=method, weights=weights), -1))
        return (chosen / np.sum(chosen, axis=-1, keepdims=True)).astype(x.dtype)
    if isinstance(q, (int, float)) and (share := _share_of_distinct(lines, q, method, percent)) is not None:
        return share
    counts = np.sum(~np.isnan(lines), axis=-1)
    places = np.full((*np.shape(q), *counts.shape), -1.0)  # a line of NaN alone has no position
    for count in {*counts.ravel().tolist()} - {0}:
        place = quantile_places(count, x.dtype, q, method, percent)
        places[..., counts == count] = place[..., None]
    share = np.zeros((*places.shape, size := lines.shape[-1]), x.dtype)
    order, shares = _stable_order(lines, -1).reshape(counts.size, size), share.reshape(places.size, size)
    places, rows = places.ravel(), np.arange(places.size)
    below = np.floor(places)
    rank, line, rest = below.astype(int), rows % counts.size, places - below
    shares[rows, order[line, np.minimum(rank + 1, size - 1)]] = rest
    shares[rows, order[line, rank]] = (1 - rest) * (places >= 0)  # afterwards, since nothing lies above the last one
    return share


quantile_weights = primitive(
    _quantile_weights,
    arity=1,
    examples=[([(2, 3)], {"q": 0.3, "axis": 1, "method": "linear", "weights": None, "percent": False})],
)


def _spread_by_share(
    g: Array,
    y: Array,
    x: Array,
    q: Any,
    axis: Axis,
    method: str = "linear",
    weights: Array = None,
    percent: bool = False,
) -> Array:
    if not x.size:  # the quantiles are then NaN
        return np.zeros_like(x)
    g, share = unless_nan(g, y), None
    lines, order = lines_along(x, axis)
    if not isinstance(y, Traced) and weights is None and isinstance(q, (int, float)):
        share = _share_of_distinct(lines, q, method, percent, y)
    if share is None:
        share = quantile_weights(x, q=q, axis=axis, method=method, weights=weights, percent=percent)
    along = np.reshape(g, (*share.shape[:-1], 1)) * share
    along = np.sum(along, axis=tuple(range(np.ndim(q)))) if np.ndim(q) else along
    if order == tuple(range(x.ndim)):
        return np.reshape(along, x.shape)
    return np.transpose(np.reshape(along, tuple(x.shape[i] for i in order)), np.argsort(order).tolist())


def _rule(percent: bool) -> Rule:
    def vjp(
        g: Array,
        y: Array,
        x: Array,
        q: Any,
        axis: Axis = None,
        method: str = "linear",
        keepdims: bool = False,
        weights: Array = None,
    ) -> Array:
        return _spread_by_share(g, y, x, q, axis, method, weights, percent)

    return vjp


_quantile_vjp, _percentile_vjp = _rule(percent=False), _rule(percent=True)
_METHODS = ("linear", "lower", "midpoint", "nearest", "hazen", "median_unbiased", "averaged_inverted_cdf")
_AXES: list[Example] = [([(2, 5)], {"axis": axis}) for axis in (None, 0, -1, (1, 0))]
_QUANTILES: list[Example] = [
    *[(x, {**params, "q": q}) for x, params in _AXES for q in (0.3, np.array([0.0, 0.6, 1.0]))],
    *[([(7,)], {"q": 0.3, "method": method}) for method in _METHODS],
    ([(2, 5)], {"q": 0.3, "axis": 1, "keepdims": True}),
    ([(4,)], {"q": 0.5, "method": "inverted_cdf", "weights": np.array([1.0, 3.0, 0.5, 2.0])}),
]
_PERCENTILES: list[Example] = [(x, {**params, "q": params["q"] * 100}) for x, params in _QUANTILES]
median = primitive(
    np.median,
    lambda g, y, x, axis=None, keepdims=False: _spread_by_share(g, y, x, 0.5, axis),
    kink=closest,
    examples=_AXES,
)
nanmedian = primitive(
    np.nanmedian,
    lambda g, y, x, axis=None, keepdims=False: _spread_by_share(g, y, x, 0.5, axis),
    kink=closest,
    examples=[
        ([np.array([[0.5, np.nan, -2.0, 1.0], [np.nan, 1.5, 3.0, np.nan]])], {"axis": axis}) for axis in (None, 1)
    ],
)
quantile = primitive(np.quantile, _quantile_vjp, kink=closest, examples=_QUANTILES)
percentile = primitive(np.percentile, _percentile_vjp, kink=closest, examples=_PERCENTILES)


def _of_one_axis(function: Callable[..., Array]) -> Callable[..., Array]:
    """The function with a check that q has at most one axis, since NumPy itself confuses the order of several."""

    @wraps(function)
    def checked(a: Array, q: Any, *args: Any, **params: Any) -> Array:
        if np.ndim(q) > 1:
            raise UsageError(
                f"{function.__name__}: q must have at most one axis; pass np.ravel(q), and reshape the result"
            )
        return function(a, q, *args, **params)

    return checked


nanquantile = primitive(_of_one_axis(np.nanquantile), _quantile_vjp, kink=closest, examples=_QUANTILES)
nanpercentile = primitive(_of_one_axis(np.nanpercentile), _percentile_vjp, kink=closest, examples=_PERCENTILES)
implements(np.nanquantile)(nanquantile)
implements(np.nanpercentile)(nanpercentile)
