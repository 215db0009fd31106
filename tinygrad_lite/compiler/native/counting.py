"""Order by counting: sorting, searching and picking, written as sums over comparisons that native code fuses.

The rank of an entry is the number of entries that come before it. For a few dozen entries, comparing all with all takes
less time than a call of NumPy's; NumPy sorts more.
"""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from tinygrad_lite.compiler.passes import sorting
from tinygrad_lite.engine.op import Op
from tinygrad_lite.ops.arithmetic import ordering, selection

FEW = 2**13  # comparisons; more of them take longer than a call that sorts
MANY = 4096  # entries; NumPy finds the place of the largest of so many, one behind another, in less time


def _ranks(lines: Any) -> Any:
    """The place of each entry in the sorted last axis; of equal entries, the first comes first, and NaN come last."""
    if lines.shape[-1] == 1:  # which C compilers refuse to compare with itself
        return lines.constant(np.zeros(lines.shape, np.int64))
    if lines.size * lines.shape[-1] > lines.few:
        return np.argsort(np.argsort(lines, axis=-1, kind="stable"), axis=-1)
    place = lines.constant(np.arange(lines.shape[-1]))
    mine, others = lines[..., :, None], lines[..., None, :]
    is_same, is_before = np.equal(others, mine), np.less(others, mine)
    if lines.dtype.kind == "f":
        is_same |= np.isnan(others) & np.isnan(mine)
        is_before |= np.isnan(mine) & ~np.isnan(others)
    return np.sum(is_before | (is_same & np.less(place, place[:, None])), axis=-1)


def _argsort(
    x: Any, axis: int | None = -1, kind: Any = None, order: Any = None, stable: Any = None, descending: bool = False
) -> Any:
    if descending or (x.is_numpys_otherwise and kind not in ("stable", "mergesort") and not stable):
        return None  # if it is not stable, NumPy does not say in which order equal entries come
    x, axis = (np.reshape(x, (-1,)), 0) if axis is None else (x, axis)
    if not x.ndim or x.size * x.shape[axis] > x.few:
        return None
    ranks = _ranks(np.swapaxes(x, axis, -1))
    if ranks.shape[-1] == 1:
        return np.reshape(ranks, x.shape)
    place = ranks.constant(np.arange(ranks.shape[-1]))
    order = np.sum(np.where(np.equal(ranks[..., None, :], place[:, None]), place, 0), axis=-1)
    return np.swapaxes(order, axis, -1)


def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    if sorter is not None or not isinstance(v, type(a)) or a.dtype != v.dtype or a.size * v.size > a.few:
        return None
    v = v[..., None]
    is_before = (np.less if side == "left" else np.less_equal)(a, v) | (np.isnan(v) & ~np.isnan(a))
    return np.sum(is_before if side == "left" else is_before | np.isnan(v), axis=-1)


def _place_of(extremum: Callable[..., Any]) -> Callable[..., Any]:
    def write(x: Any, axis: int | None = None, out: Any = None, *, keepdims: Any = False) -> Any:
        """The first of the entries that are NaN, or else of those that equal the extremum."""
        if not x.size or not x.ndim:
            return None
        if x.is_numpys_otherwise and x.size >= MANY and axis in (None, -1, x.ndim - 1):
            return None
        lines: Any = np.reshape(x, (-1,)) if axis is None else np.swapaxes(x, axis, -1)
        count = float(lines.shape[-1])
        is_found = np.isnan(lines) | np.equal(lines, extremum(lines, axis=-1, keepdims=True))
        places = np.min(np.where(is_found, lines.constant(np.arange(count)), count), axis=-1, keepdims=True)
        places = places.astype(np.int64) if axis is None else np.swapaxes(places, axis, -1).astype(np.int64)
        shape = np.argmax(np.empty(x.shape), axis, keepdims=keepdims is True).shape
        return np.reshape(places, shape)

    return write


def _any(x: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = np._NoValue) -> Any:
    return np.greater(_count_nonzero(x, axis, keepdims=keepdims is True), 0) if where is np._NoValue else None


def _all(x: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = np._NoValue) -> Any:
    is_zero = np.sum(np.equal(x, 0), axis=axis, keepdims=keepdims is True)
    return np.equal(is_zero, 0) if where is np._NoValue else None


def _count_nonzero(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return np.sum(np.not_equal(x, 0), axis=axis, keepdims=keepdims)


def _lines(x: Any, axis: Any) -> Any:
    """The entries whose quantile is taken, along the last axis; None if there are none."""
    return ordering.lines_along(x, axis)[0] if x.size else None


def _with_rank(lines: Any, ranks: Any, rank: Any) -> Any:
    """The entry that has a rank in each line."""
    return np.sum(np.where(np.equal(ranks, rank), lines, 0), axis=-1)


def _by_rank(lines: Any, ranks: Collection[int]) -> Callable[[Any], Any]:
    """What returns the entries that have one of these ranks in each line, or several of them, along the first axes."""
    if lines.size * lines.shape[-1] <= lines.few or lines.shape[-1] == 1:
        places, around = _ranks(lines), (1,) * lines.ndim
        return lambda rank: _with_rank(lines, places, lines.constant(np.reshape(rank, (*np.shape(rank), *around))))
    parted = lines.__trace__(sorting.partition, (lines,), {"kth": (*sorted({*ranks}),), "axis": -1})
    return lambda rank: np.moveaxis(parted[..., np.ravel(rank)], -1, 0).reshape(*np.shape(rank), *lines.shape[:-1])


def _nan_if_any(y: Any, lines: Any) -> Any:
    return np.where(np.any(np.isnan(lines), axis=-1), np.nan, y)


def _median(x: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    lines = _lines(x, axis)
    if lines is None:
        return None
    middle, is_odd = divmod(lines.shape[-1], 2)
    entry = _by_rank(lines, (middle - 1, middle)[is_odd:])
    y = entry(middle) if is_odd else (entry(middle - 1) + entry(middle)) / 2
    return np.reshape(_nan_if_any(y, lines), np.median(np.empty(x.shape), axis, keepdims=keepdims).shape)


def _quantile(percent: bool) -> Callable[..., Any]:
    def write(
        x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False, weights: Any = None
    ) -> Any:
        lines = _lines(x, axis)
        if lines is None or weights is not None or method != "linear":
            return None
        count = lines.shape[-1]
        places = ordering.quantile_places(count, x.dtype, q, method, percent)
        share = places % 1
        below = np.asarray(places - share, int)
        above = np.minimum(below + 1, count - 1)
        first, last = map(_by_rank(lines, [*below.flat, *above.flat]), (below, above))
        share = np.reshape(share, (*share.shape, *(1,) * (lines.ndim - 1)))
        whole = last - first
        from_first, from_last = first + whole * lines.constant(share), last - whole * lines.constant(1 - share)
        y = np.where(lines.constant(share < 0.5), from_first, from_last)
        quantile: Any = np.percentile if percent else np.quantile
        return np.reshape(_nan_if_any(y, lines), quantile(np.empty(x.shape), q, axis, keepdims=keepdims).shape)

    return write


def _quantile_weights(x: Any, q: Any, axis: Any, method: str, weights: Any, percent: bool) -> Any:
    """The share of each entry. Where a line has NaN, the position follows from how many entries are numbers."""
    lines = _lines(x, axis)
    if lines is None or weights is not None or method != "linear":
        return None
    count, around = lines.shape[-1], (1,) * (lines.ndim)
    places = ordering.quantile_places(count, x.dtype, q, method, percent)
    share = np.asarray(q, float) / (100 if percent else 1)
    numbers = np.sum(~np.isnan(lines), axis=-1, keepdims=True)
    place = np.where(
        np.equal(numbers, count),
        lines.constant(np.reshape(places.astype(float), (*places.shape, *around))),
        np.where(
            np.equal(numbers, 0), -1.0, lines.constant(np.reshape(share, (*share.shape, *around))) * (numbers - 1)
        ),
    )
    return np.maximum(1 - np.absolute(_ranks(lines) - place), 0).astype(x.dtype)


EXPANSIONS: dict[Op, Callable[..., Any]] = {
    ordering.argsort: _argsort,
    ordering.searchsorted: _searchsorted,
    ordering.median: _median,
    ordering.quantile: _quantile(percent=False),
    ordering.percentile: _quantile(percent=True),
    ordering.quantile_weights: _quantile_weights,
    selection.argmax: _place_of(np.max),
    selection.argmin: _place_of(np.min),
    selection.any: _any,
    selection.all: _all,
    selection.count_nonzero: _count_nonzero,
}
"""Of floats; `argsort`, `any`, `all` and `count_nonzero` of other numbers, too."""
