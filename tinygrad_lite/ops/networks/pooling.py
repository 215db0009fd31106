"""Pooling: the largest entry, or the sum, of each window of an image, in any number of dimensions.

The windows lie along the last axes. The entries at one place in all windows are a slice of the image, so a loop over
the few places works on all windows at once.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.ops.arithmetic.extrema import closest
from tinygrad_lite.ops.networks.layouts import copied
from tinygrad_lite.ops.shapes.indexing import along, index_set, performed, scatter
from tinygrad_lite.ops.shapes.windows import shown_at, window_counts

Sizes = tuple[int, ...]


@lru_cache
def places(size: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> tuple[tuple[Any, ...], ...]:
    """For each place in a window, row by row, the index of what all windows show there."""
    counts = window_counts(size, kernel, stride, dilation)
    return tuple((..., *shown_at(place, counts, stride, dilation)) for place in np.ndindex(*kernel))


def _axes(x: Array, kernel: Sizes) -> range:
    """The axes along which the windows lie."""
    if np.ndim(x) < len(kernel):
        raise ShapeError(f"windows of shape {kernel} need an array of at least {len(kernel)} axes, got {np.shape(x)}")
    return range(np.ndim(x) - len(kernel), np.ndim(x))


def _max_pool(x: Array, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    first, *others = places(x.shape[_axes(x, kernel).start :], kernel, stride, dilation)
    y = x[first]
    for index in others:
        y = np.maximum(y, x[index])
    return y


def _max_pool_vjp(g: Array, y: Array, x: Array, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    """The gradient goes to the first entry that is the largest, row by row; to the last of all if there is a NaN."""
    size = np.shape(x)[_axes(x, kernel).start :]
    indices = places(size, kernel, stride, dilation)
    chosen, free = [], np.True_
    for index in indices[:-1]:
        chosen.append(np.logical_and(free, np.greater_equal(x[index], y)))
        free = np.logical_xor(free, chosen[-1])
    chosen.append(free)
    if not (type(g) is type(x) is np.ndarray and all(d * (k - 1) < s for k, s, d in zip(kernel, stride, dilation))):
        return performed(scatter, tuple(mask * g for mask in chosen), {"shape": np.shape(x), "indices": indices})
    whole = np.zeros_like(x)  # no two windows share an entry
    # once, since products of arrays that lie differently in memory take several times as long
    laid = copied(g, np.empty_like(y, g.dtype))
    for index, mask in zip(indices, chosen):
        np.multiply(mask, laid, out=whole[index])
    return whole


max_pool = primitive(
    _max_pool,
    _max_pool_vjp,
    kink=closest,
    chooses="another entry of its window is the largest",
    examples=[
        ([(2, 5)], {"kernel": (2,), "stride": (2,), "dilation": (1,)}),
        ([(3, 4)], {"kernel": (2, 2), "stride": (1, 2), "dilation": (1, 2)}),
    ],
)


@lru_cache
def _places_along(axis: int, n: int, k: int, s: int) -> tuple[Any, ...]:
    """For each place in a window along an axis of n entries, the index of what all windows show there."""
    return tuple(along(axis, index[1]) for index in places((n,), (k,), (s,), (1,)))


def _sum_pool(x: Array, kernel: Sizes, stride: Sizes) -> Array:
    for axis, k, s in zip(_axes(x, kernel), kernel, stride):
        if k > 1 or s > 1:
            first, *others = _places_along(axis, x.shape[axis], k, s)
            y = x[first]
            for index in others:
                y = y + x[index]
            x = y
    return x


def _sum_pool_vjp(g: Array, y: Array, x: Array, kernel: Sizes, stride: Sizes) -> Array:
    size = list(np.shape(g))
    for axis, k, s in zip(_axes(x, kernel), kernel, stride):
        size[axis] = np.shape(x)[axis]
        if k > 1 or s > 1:
            indices = _places_along(axis, size[axis], k, s)
            g = performed(scatter, (g,) * k, {"shape": tuple(size), "indices": indices})
    return g


sum_pool = primitive(
    _sum_pool,
    _sum_pool_vjp,
    linear=True,
    takes_complex=True,
    examples=[([(2, 5)], {"kernel": (2,), "stride": (1,)}), ([(4, 5)], {"kernel": (2, 3), "stride": (3, 2)})],
)


def _unpool(x: Array, indices: Array, size: int) -> Array:
    rows = np.indices(np.shape(indices), sparse=True)[:-1]
    return index_set(np.zeros((*x.shape[:-1], size), x.dtype), x, index=(*rows, indices))


unpool = primitive(
    _unpool,
    lambda g, y, x, indices, size: np.take_along_axis(g, indices, -1),
    None,
    refuses=True,
    linear=True,
    kind="moving",
    examples=[([(2, 3), np.array([[0, 4, 2], [1, 3, 4]])], {"size": 5})],
)
