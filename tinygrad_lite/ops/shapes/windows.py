"""Sliding windows over an array."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.ops.shapes.indexing import scatter

Sizes = int | Sequence[int]
Shape = tuple[int, ...]


def window_counts(size: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Shape:
    """How many windows fit along each axis: ⌊(n - d (k - 1) - 1) / s⌋ + 1."""
    return tuple(max((n - d * (k - 1) - 1) // s + 1, 0) for n, k, s, d in zip(size, kernel, stride, dilation))


def shown_at(place: Shape, counts: Shape, stride: Shape, dilation: Shape) -> tuple[slice, ...]:
    """The slice of each axis that so many windows show at one place in each of them."""
    stops = (d * k + max(s * (n - 1) + 1, 0) for k, n, s, d in zip(place, counts, stride, dilation))
    return tuple(slice(d * k, stop, s) for k, stop, s, d in zip(place, stops, stride, dilation))


def _windows_vjp(g: Array, y: Array, x: Array, window_shape: Sizes, axis: Any = None) -> Array:
    # the entries at the same place in all windows are a slice of the array, so it suffices to loop over the window
    shape: tuple[int, ...] = np.shape(x)
    axes = normalize_axis_tuple(range(len(shape)) if axis is None else axis, len(shape), allow_duplicate=True)
    sizes = np.shape(g)[len(shape) :]
    if not np.size(g):
        return np.zeros_like(x)
    places, indices = _slices(np.shape(g)[: len(shape)], sizes, axes)
    return scatter(*(g[place] for place in places), shape=shape, indices=indices)


@lru_cache
def _slices(
    counts: tuple[int, ...], sizes: tuple[int, ...], axes: tuple[int, ...]
) -> tuple[list[Any], tuple[tuple[slice, ...], ...]]:
    """For each place in a window, the index that picks it in all windows, and the slice of the array that they show."""
    places, indices = [], []
    for place in np.ndindex(*sizes):
        starts = [sum(step for step, a in zip(place, axes) if a == i) for i in range(len(counts))]
        places.append((..., *place))
        indices.append(tuple(slice(start, start + count) for start, count in zip(starts, counts)))
    return places, tuple(indices)


windows = primitive(
    sliding_window_view,
    _windows_vjp,
    linear=True,
    kind="moving",
    examples=[
        ([(5,)], {"window_shape": 2}),
        ([(3, 4)], {"window_shape": (2, 3)}),
        ([(2, 4, 3)], {"window_shape": 2, "axis": 1}),
        ([(2, 4, 3)], {"window_shape": (2, 3), "axis": (-1, 1)}),
        ([(5,)], {"window_shape": (2, 3), "axis": (0, 0)}),
    ],
)
