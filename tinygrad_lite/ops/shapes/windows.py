"""Sliding windows over an array."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.ops.shapes.indexing import Scattered, scatter

Sizes = int | Sequence[int]
Shape = tuple[int, ...]
Ranges = tuple[range, ...]
Picked = tuple[list[Any], tuple[tuple[slice, ...], ...]]


def window_counts(size: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Shape:
    """How many windows fit along each axis: ⌊(n - d (k - 1) - 1) / s⌋ + 1."""
    return tuple(max((n - d * (k - 1) - 1) // s + 1, 0) for n, k, s, d in zip(size, kernel, stride, dilation))


def shown_at(place: Shape, counts: Shape, stride: Shape, dilation: Shape) -> tuple[slice, ...]:
    """The slice of each axis that so many windows show at one place in each of them."""
    stops = (d * k + max(s * (n - 1) + 1, 0) for k, n, s, d in zip(place, counts, stride, dilation))
    return tuple(slice(d * k, stop, s) for k, stop, s, d in zip(place, stops, stride, dilation))


def _windows_vjp(g: Array, y: Array, x: Array, window_shape: Sizes, axis: Any = None) -> Array:
    shape: Shape = np.shape(x)
    axes = normalize_axis_tuple(range(len(shape)) if axis is None else axis, len(shape), allow_duplicate=True)
    g, read = _read(g, np.shape(y), len(shape))
    counts, sizes = np.shape(g)[: len(shape)], np.shape(g)[len(shape) :]
    if not np.size(g):
        return np.zeros_like(x)
    if len({*axes}) == len(axes) and prod(counts[i] for i in axes) < prod(sizes):
        picked, indices = _by_windows(read, sizes, axes)
        parts = (np.moveaxis(g[index], range(-len(axes), 0), axes) for index in picked)
    else:
        picked, indices = _by_places(read, sizes, axes)
        parts = (g[index] for index in picked)
    return scatter(*parts, shape=shape, indices=indices)


def _read(g: Array, shape: Shape, ahead: int) -> tuple[Array, Ranges]:
    """The gradient of the windows that were read, and for each axis their range: all, or every third, say."""
    every = tuple(map(range, shape[:ahead]))
    if not isinstance(g, Scattered):
        return g, every
    cuts = g.indices[0] if type(g.indices[0]) is tuple else (g.indices[0],)
    if len(g.indices) == 1 and len(cuts) <= ahead and all(type(cut) is slice for cut in cuts):
        read = (*(numbers[cut] for cut, numbers in zip(cuts, every)), *every[len(cuts) :])
        if np.shape(g.parts[0]) == (*map(len, read), *shape[ahead:]):
            return g.parts[0], read
    return g.whole(), every


@lru_cache
def _by_places(read: Ranges, sizes: Shape, axes: Shape) -> Picked:
    """For each place in a window, the index that picks it in all windows, and the slice of the array that they show."""
    picked, indices = [], []
    for place in np.ndindex(*sizes):
        starts = [sum(step for step, a in zip(place, axes) if a == i) for i in range(len(read))]
        picked.append((..., *place))
        indices.append(tuple(_slice(numbers, start) for numbers, start in zip(read, starts)))
    return picked, tuple(indices)


@lru_cache
def _by_windows(read: Ranges, sizes: Shape, axes: Shape) -> Picked:
    """For each window, its index, and the slice of the array that it shows."""
    picked, indices = [], []
    for window in np.ndindex(*(len(read[i]) for i in axes)):
        index: list[Any] = [slice(None)] * len(read)
        shown = [_slice(numbers, 0) for numbers in read]
        for i, number, size in zip(axes, window, sizes):
            index[i] = number
            shown[i] = slice(read[i][number], read[i][number] + size)
        picked.append(tuple(index))
        indices.append(tuple(shown))
    return picked, tuple(indices)


def _slice(numbers: range, start: int) -> slice:
    """The slice of an axis with these numbers, counted from `start`."""
    stop = numbers.stop + start
    return slice(numbers.start + start, None if stop < 0 else stop, numbers.step)


windows = primitive(
    sliding_window_view,
    _windows_vjp,
    linear=True,
    deferred=True,
    kind="moving",
    examples=[
        ([(5,)], {"window_shape": 2}),
        ([(3, 4)], {"window_shape": (2, 3)}),
        ([(2, 4, 3)], {"window_shape": 2, "axis": 1}),
        ([(2, 4, 3)], {"window_shape": (2, 3), "axis": (-1, 1)}),
        ([(5,)], {"window_shape": (2, 3), "axis": (0, 0)}),
    ],
)
