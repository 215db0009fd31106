"""Operators of ONNX that take more than one line of NumPy: `ox` in a module's source. They work on arrays and tensors.

Each has the meaning of the operator of a similar name in https://onnx.ai/onnx/operators/.
"""

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import tensor
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.nn.functional.checks import values_of
from tinygrad_lite.ops.networks.normal import normal_cdf
from tinygrad_lite.ops.shapes.indexing import index_add, index_set

Wholes = Sequence[int]


def wholes(x: Any) -> tuple[int, ...]:
    """The entries of an array as whole numbers."""
    return tuple(int(n) for n in np.ravel(values_of(x)))


def whole(x: Any) -> int:
    """An array of one entry as a whole number."""
    return int(np.reshape(values_of(x), ()))


def scalar(x: Any) -> Any:
    """An array of one entry as a number."""
    return np.reshape(values_of(x), ())[()]


# Arithmetic


def divide(a: Array, b: Array) -> Array:
    """a / b, towards 0 if the numbers are whole."""
    if np.result_type(a, b).kind not in "iu":
        return a / b
    quotient = np.floor_divide(a, b)
    return quotient + np.logical_and(quotient < 0, quotient * b != a).astype(quotient.dtype)


def power(base: Array, exponent: Array) -> Array:
    """base ** exponent in the dtype of the base."""
    return np.power(base, exponent).astype(base.dtype)


def erf(x: Array) -> Array:
    """2 / √π ∫₀ˣ exp(-t²) dt."""
    return 2 * normal_cdf(x * sqrt(2)) - 1


def hardmax(x: Array, axis: int) -> Array:
    """1 for the first of the largest entries, else 0."""
    places = np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - 1 - axis % x.ndim))
    return (places == np.argmax(values_of(x), axis=axis, keepdims=True)).astype(x.dtype)


def bits_as(x: Array, dtype: Any) -> Array:
    """The bits of each entry as a number of another dtype."""
    return np.ascontiguousarray(values_of(x)).view(dtype).reshape(x.shape)


def dropout(x: Array, ratio: Any, training: Any, mask: bool, rng: Any) -> Any:
    """The entries that are kept, scaled; with the mask if it is wanted."""
    if not scalar(training) or scalar(ratio) == 0:
        return (x, np.ones(x.shape, bool)) if mask else x
    kept = np.random.default_rng(rng).random(x.shape) >= float(scalar(ratio))
    y = x * (kept / (1 - float(scalar(ratio)))).astype(x.dtype)
    return (y, kept) if mask else y


# Shapes


def reshape(x: Array, shape: Any, keeps_zeros: bool = False) -> Array:
    """x in a shape in which 0 stands for the present size."""
    sizes = wholes(shape)
    if not keeps_zeros:
        sizes = tuple(x.shape[k] if n == 0 else n for k, n in enumerate(sizes))
    return np.reshape(x, sizes)


def flatten(x: Array, axis: int) -> Array:
    """x as a matrix, with the axes in front of one as rows."""
    return np.reshape(x, (prod(x.shape[:axis]), -1))


def expand(x: Array, shape: Any) -> Array:
    """x broadcast with a shape."""
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, wholes(shape)))


def split(x: Array, parts: int, axis: int) -> list[Array]:
    """Parts of equal size; the last is smaller if they do not come out even."""
    size = -(-x.shape[axis] // parts)
    return np.split(x, [size * k for k in range(1, parts)], axis=axis)


def cut(x: Array, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Array:
    """x[start:end:step] along some axes."""
    starts, ends = wholes(starts), wholes(ends)
    axes = range(len(starts)) if axes is None else wholes(axes)
    steps = (1,) * len(starts) if steps is None else wholes(steps)
    index = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps):
        size = x.shape[axis]
        first, last = (n + size if n < 0 else n for n in (start, end))
        high = size if step > 0 else size - 1
        first, last = min(max(first, 0), high), min(max(last, 0 if step > 0 else -1), high)
        index[axis] = slice(first, None if last < 0 else last, step)
    return x[tuple(index)]


def gather_elements(x: Array, indices: Array, axis: int) -> Array:
    """x[…, indices[p], …] at each place p of the indices."""
    index = _places(x, indices, axis)
    return _held(x, index)[index]


def take(x: Array, indices: Array, axis: int = 0) -> Array:
    """np.take of a constant, which NumPy does not pass on if only a recording knows the indices."""
    return np.take(_held(x, (values_of(indices),)), indices, axis=axis)


def _held(x: Array, index: tuple[Any, ...]) -> Array:
    """The array; as a tensor if only a recording knows the index, since NumPy could not read an array there."""
    return tensor(x) if isinstance(x, np.ndarray) and any(hasattr(i, "__trace__") for i in index) else x


def _places(x: Array, indices: Array, axis: int) -> tuple[Any, ...]:
    indices = values_of(indices)
    index: list[Any] = [n.astype(np.intp) for n in np.ix_(*map(np.arange, indices.shape))]
    index[axis] = indices
    return tuple(index)


def gather_nd(x: Array, indices: Array, batch_dims: int = 0) -> Array:
    """The slices of x at the indices, each a row of the last axis."""
    index = _rows(indices, batch_dims)
    return _held(x, index)[index]


def _rows(indices: Array, batch_dims: int = 0) -> tuple[Any, ...]:
    indices = values_of(indices)
    front = np.ix_(*map(np.arange, indices.shape[:batch_dims]))
    fronts = [n.reshape(n.shape + (1,) * (indices.ndim - 1 - batch_dims)) for n in front]
    return (*fronts, *np.moveaxis(indices, -1, 0))


def scatter_elements(x: Array, indices: Array, updates: Array, axis: int = 0, reduction: str = "none") -> Array:
    """x with updates put, or reduced, into x[…, indices[p], …] for each place p."""
    return _scattered(x, _places(x, indices, axis), updates, reduction)


def scatter_nd(x: Array, indices: Array, updates: Array, reduction: str = "none") -> Array:
    """x with updates put, or reduced, into the slices at the indices."""
    return _scattered(x, _rows(indices), updates, reduction)


_TOGETHER = {"mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _scattered(x: Array, index: tuple[Any, ...], updates: Array, reduction: str) -> Array:
    x = _held(x, index)
    if reduction == "none":
        return index_set(x, updates, index=index)
    if reduction == "add":
        return index_add(x, updates, index=index)
    places = np.broadcast_arrays(*(np.where(i < 0, i + n, i) for i, n in zip(index, x.shape)))
    shape = places[0].shape
    flat = [place.ravel() for place in places]
    updates = np.reshape(updates, (flat[0].size, *x.shape[len(flat) :]))
    keys = np.ravel_multi_index(tuple(flat), x.shape[: len(flat)]) if shape else np.zeros(1, int)
    turn = _turns(keys)  # an entry that occurs twice is reduced in two turns
    for k in range(int(turn.max(initial=-1)) + 1):
        rows = np.flatnonzero(turn == k)
        part = tuple(place[rows] for place in flat)
        x = index_set(x, _TOGETHER[reduction](x[part], np.take(updates, rows, axis=0)), index=part)
    return x


def _turns(keys: Any) -> Any:
    """For each key, how many equal ones come before it."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    turns = np.empty(keys.size, int)
    turns[order] = np.arange(keys.size) - np.repeat(starts, np.diff(np.r_[starts, keys.size]))
    return turns


def tensor_scatter(past: Array, update: Array, starts: Array = None, axis: int = -2, mode: str = "linear") -> Array:
    """A memory with an update written into each batch, from a place on."""
    axis %= past.ndim
    starts = np.zeros(past.shape[0], int) if starts is None else values_of(starts)
    rows = starts[:, None] + np.arange(update.shape[axis])
    if mode == "circular":
        rows = rows % past.shape[axis]
    elif rows.max(initial=0) >= past.shape[axis]:
        raise ShapeError(
            f"an update of {update.shape[axis]} entries from {starts.tolist()} on does not fit {past.shape}"
        )
    moved = index_set(
        np.moveaxis(past, axis, 1), np.moveaxis(update, axis, 1), index=(np.arange(len(starts))[:, None], rows)
    )
    return np.moveaxis(moved, 1, axis)


def pad(x: Array, widths: Any, axes: Any = None, mode: Any = "constant", value: Any = 0.0) -> Array:
    """x with a border; a negative width takes entries away."""
    widths = wholes(widths)
    axes = range(x.ndim) if axes is None else wholes(axes)
    pairs = [(0, 0)] * x.ndim
    for k, axis in enumerate(axes):
        pairs[axis] = widths[k], widths[k + len(widths) // 2]
    x = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pairs, x.shape))]
    pairs = [(max(a, 0), max(b, 0)) for a, b in pairs]
    if mode != "constant":
        return np.pad(x, pairs, mode=mode)
    if isinstance(value, (int, float)):
        return np.pad(x, pairs, constant_values=value)
    return np.where(np.pad(np.ones(x.shape, bool), pairs), np.pad(x, pairs), value)


def center_crop_pad(x: Array, shape: Any, axes: Any = None) -> Array:
    """The middle of x, or x in the middle of zeros, on each axis."""
    sizes = list(x.shape)
    for axis, n in zip(range(x.ndim) if axes is None else axes, wholes(shape)):
        sizes[axis] = n
    for axis, n in enumerate(sizes):
        less, more = max(x.shape[axis] - n, 0), max(n - x.shape[axis], 0)
        x = x[(slice(None),) * axis + (slice(less // 2, x.shape[axis] - (less - less // 2)),)]
        x = np.pad(x, [(more // 2, more - more // 2) if k == axis else (0, 0) for k in range(x.ndim)])
    return x


def one_hot(indices: Array, depth: Any, values: Array, axis: int = -1) -> Array:
    """values[1] at the place of each index among `depth`, else values[0]."""
    size, indices = whole(depth), values_of(indices).astype(np.int64)
    is_there = np.expand_dims(indices % size, axis)
    places = np.arange(size).reshape(-1, *(1,) * (is_there.ndim - 1 - axis % is_there.ndim))
    inside = np.expand_dims((indices >= -size) & (indices < size), axis)
    return np.where((places == is_there) & inside, values[1], values[0])


def running(function: Any, x: Array, axis: int, exclusive: bool, reverse: bool) -> Array:
    """Running sums or products, from the other end, or without the entry itself."""
    x = np.flip(x, axis) if reverse else x
    y = function(x, axis=axis, dtype=x.dtype)
    if exclusive:
        axis %= x.ndim
        front = (slice(None),) * axis
        first = np.full_like(values_of(y)[(*front, slice(0, 1))], function is np.cumprod)
        y = np.concatenate([first, y[(*front, slice(0, -1))]], axis=axis)
    return np.flip(y, axis) if reverse else y


def last_argmax(x: Array, axis: int, keepdims: bool) -> Array:
    """The place of the last of the largest entries."""
    return x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis=axis, keepdims=keepdims)


def last_argmin(x: Array, axis: int, keepdims: bool) -> Array:
    """The place of the last of the smallest entries."""
    return x.shape[axis] - 1 - np.argmin(np.flip(x, axis), axis=axis, keepdims=keepdims)


def top_k(x: Array, k: Any, axis: int = -1, largest: bool = True) -> tuple[Array, Array]:
    """The k largest entries in order, and their places; of equal ones the first."""
    array = values_of(x)
    if largest:
        order = np.flip(array.shape[axis] - 1 - np.argsort(np.flip(array, axis), axis=axis, kind="stable"), axis)
    else:
        order = np.argsort(array, axis=axis, kind="stable")
    places = np.take(order, np.arange(whole(k)), axis=axis)
    return np.take_along_axis(x, places, axis), places


def unique(x: Array, axis: int | None, is_sorted: bool) -> tuple[Array, ...]:
    """The distinct entries, the first place of each, which of them each entry is, and how often each occurs."""
    y, first, inverse, counts = np.unique(
        values_of(x), axis=axis, return_index=True, return_inverse=True, return_counts=True
    )
    if not is_sorted:
        order = np.argsort(first)
        y, first, counts = np.take(y, order, axis=axis or 0), first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return y, first, inverse.ravel(), counts


def reverse_sequence(x: Array, lengths: Array, batch_axis: int = 1, time_axis: int = 0) -> Array:
    """The first entries of each sequence in reverse order."""
    moved = np.moveaxis(x, (batch_axis, time_axis), (0, 1))
    lengths, times = values_of(lengths)[:, None], np.arange(moved.shape[1])
    order = np.where(times < lengths, lengths - 1 - times, times)
    return np.moveaxis(moved[np.arange(len(order))[:, None], order], (0, 1), (batch_axis, time_axis))


def depth_to_space(x: Array, size: int) -> Array:
    """Channels as pixels, block by block."""
    n, c, h, w = x.shape
    blocks = np.transpose(np.reshape(x, (n, size, size, c // size**2, h, w)), (0, 3, 4, 1, 5, 2))
    return np.reshape(blocks, (n, c // size**2, h * size, w * size))


def space_to_depth(x: Array, size: int) -> Array:
    """Pixels as channels, block by block."""
    n, c, h, w = x.shape
    blocks = np.transpose(np.reshape(x, (n, c, h // size, size, w // size, size)), (0, 3, 5, 1, 2, 4))
    return np.reshape(blocks, (n, c * size**2, h // size, w // size))


def columns_to_image(
    x: Array, image_shape: Any, block_shape: Any, dilations: Any = None, pads: Any = None, strides: Any = None
) -> Array:
    """Images in which each entry of the columns is added up."""
    size, block = wholes(image_shape), wholes(block_shape)
    axes = len(size)
    dilations, strides = dilations or [1] * axes, strides or [1] * axes
    pads = pads or [0] * 2 * axes
    padded = [n + a + b for n, a, b in zip(size, pads, pads[axes:])]
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(padded, dilations, block, strides)]
    windows = np.reshape(x, (x.shape[0], -1, *block, *counts))
    whole_image: Array = np.zeros((*windows.shape[:2], *padded), x.dtype)
    for place in np.ndindex(*block):
        index = tuple(slice(p * d, p * d + (c - 1) * s + 1, s) for p, d, c, s in zip(place, dilations, counts, strides))
        whole_image = index_add(whole_image, windows[(slice(None), slice(None), *place)], index=(..., *index))
    return whole_image[(..., *(slice(a, a + n) for a, n in zip(pads, size)))]
