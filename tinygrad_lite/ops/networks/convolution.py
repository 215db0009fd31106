"""Convolution, in any number of dimensions, as products of matrices.

y[n, o, p] = Σ x[n, c, stride · p + dilation · k] w[o, c, k], summed over the channels c and the places k of the
kernel. It is linear in the images x and in the weights w. The derivative by each is another sum of products of this
kind, and the three operations here are each other's derivatives, to any order.

Inside, small images lie in memory channel by channel and pixel by pixel, with the batch last: what one place of the
kernel reads along a row of all images is then one piece of memory, and all images make one product of matrices. Where a
row of a single image is piece enough, the images stay as they are, and each makes a product of its own.
"""

from collections.abc import Iterable
from functools import cached_property, lru_cache
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_lite.engine.op import Array, Example, Op, primitive
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.ops.shapes.indexing import performed, scatter
from tinygrad_lite.ops.shapes.windows import shown_at, window_counts

Sizes = tuple[int, ...]
Widths = tuple[tuple[int, int], ...]

LARGE = 2**20
"""The bytes of windows that are laid out at a time: as many as stay in the cache between being written and read."""

MORE = 2
"""Above this ratio of the results' channels to the images', it takes longer to read the results."""

WIDE = 16
"""Rows of at least this many pixels are copied fast one by one."""


class Geometry:
    """Where a kernel is put on an image, along each spatial axis: all sizes are in pixels."""

    def __init__(
        self, kernel: Sizes, stride: Sizes, dilation: Sizes, padding: Widths, size: Sizes, padded: Sizes, out: Sizes
    ) -> None:
        self.kernel, self.stride, self.dilation, self.padding = kernel, stride, dilation, padding
        self.size, self.padded, self.out = size, padded, out

    @cached_property
    def inside(self) -> tuple[slice, ...]:
        """The index of the image, with the batch last, in the padded one."""
        starts = (before for before, _ in self.padding)
        return (slice(None), *(slice(start, start + n) for start, n in zip(starts, self.size)))

    @cached_property
    def reach(self) -> Sizes:
        """How far a kernel reaches."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation))

    @cached_property
    def among(self) -> tuple[Any, ...]:
        """For each place of the kernel, the index among the windows, with the channels in front."""
        return tuple((slice(None), *place) for place in np.ndindex(*self.kernel))

    @lru_cache  # noqa: B019
    def read(self, rows: int) -> tuple[Any, ...]:
        """For each place of the kernel, the index in the padded image of what this many rows of the result read."""
        counts = rows, *self.out[1:]
        places = np.ndindex(*self.kernel)
        return tuple((slice(None), *shown_at(place, counts, self.stride, self.dilation)) for place in places)


@lru_cache
def geometry(size: Sizes, kernel: Sizes, stride: Sizes, padding: Widths, dilation: Sizes) -> Geometry:
    """Where a kernel is put on an image of a size."""
    if 0 in kernel:
        raise ShapeError(f"a convolution needs a kernel with entries, got one of size {kernel}")
    padded = tuple(n + before + after for n, (before, after) in zip(size, padding))
    out = window_counts(padded, kernel, stride, dilation)
    return Geometry(kernel, stride, dilation, padding, size, padded, out)


def batch_last(x: Array) -> Array:
    return x.transpose((*range(1, x.ndim), 0))


def batch_first(x: Array) -> Array:
    return x.transpose((x.ndim - 1, *range(x.ndim - 1)))


def _padded(x: Array, at: Geometry) -> Array:
    """The images with the batch last and their border of zeros, without gaps in memory."""
    x = batch_last(x)
    if type(x) is not np.ndarray:
        if at.padded == at.size and max(at.kernel) == 1:
            return x  # each pixel is read once
        return scatter(x, shape=(x.shape[0], *at.padded, x.shape[-1]), indices=(at.inside,))
    if at.padded == at.size:
        return np.ascontiguousarray(x)
    y = np.zeros((x.shape[0], *at.padded, x.shape[-1]), x.dtype)
    y[at.inside] = x
    return y


def _stay_as_they_are(x: Array, at: Geometry, groups: int) -> bool:
    """Whether images in their own order are laid out as fast as with the batch last."""
    is_in_order = type(x) is np.ndarray and x.flags.c_contiguous and len(x) > 1 and groups == 1
    return is_in_order and at.stride[-1] == 1 and at.out[-1] >= WIDE


def _images(x: Array, at: Geometry) -> Iterable[tuple[slice, Array]]:
    """A few images at a time, and what the kernel reads in each as a matrix."""
    batch, channels = x.shape[:2]
    if at.padded != at.size:
        image = np.zeros((batch, channels, *at.padded), x.dtype)
        image[:, *at.inside] = x
        x = image
    height, width = channels * prod(at.kernel), prod(at.out)
    steps = x.strides[2:]
    within, between = ([n * step for n, step in zip(sizes, steps)] for sizes in (at.dilation, at.stride))
    shape, strides = (batch, channels, *at.kernel, *at.out), (*x.strides[:2], *within, *between)
    windows = np.ndarray(shape, x.dtype, x, 0, strides)
    few = max(1, LARGE // max(1, x.itemsize * height * width))
    for first in range(0, batch, few):
        part = slice(first, first + few)
        yield part, windows[part].reshape(-1, height, width)


def _columns(x: Array, at: Geometry, groups: int, first: int, rows: int) -> Array:
    """What the kernel reads as a matrix for each group of channels, with a column for each pixel of the result."""
    channels, batch, axes = x.shape[0], x.shape[-1], range(1, x.ndim - 1)
    shape = channels, *at.kernel, rows, *at.out[1:], batch
    if type(x) is np.ndarray:
        steps = x.strides[1:-1]
        within, between = ([n * step for n, step in zip(sizes, steps)] for sizes in (at.dilation, at.stride))
        strides = x.strides[0], *within, *between, x.strides[-1]
        windows = np.ndarray(shape, x.dtype, x, first * between[0], strides)
    else:
        windows = sliding_window_view(x, at.reach, axis=tuple(axes))
        strided = [slice(None), *(slice(None, None, s) for s in at.stride), slice(None)]
        windows = windows[(*strided, *(slice(None, None, d) for d in at.dilation))]
        windows = windows.transpose((0, *range(x.ndim, windows.ndim), *range(1, x.ndim)))
    return np.reshape(windows, (groups, channels // groups * prod(at.kernel), prod(shape[-x.ndim + 1 :])))


def _blocks(x: Array, at: Geometry) -> Iterable[tuple[int, int]]:
    """Blocks of rows of the result, so small that what they read stays in the cache."""
    rows = at.out[0]
    if type(x) is np.ndarray and rows:
        line = x.itemsize * x.shape[0] * x.shape[-1] * prod(at.kernel) * prod(at.out[1:])
        if line * rows > 2 * LARGE:
            return pairwise((*range(0, rows, max(1, LARGE // line)), rows))
    return ((0, rows),)


def _in_groups(x: Array, groups: int) -> Array:
    """An array with an axis of channels in front as a matrix for each group of channels."""
    return np.reshape(x, (groups, x.shape[0] // groups, -1 if x.size else prod(x.shape[1:])))


def _rows_of(x: Array, first: int, last: int, at: Geometry) -> Array:
    """Some rows of an image with the batch last."""
    return x if last - first == at.out[0] else x[:, first:last]


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _product(a: Array, b: Array) -> Array:
    """The product of matrices; of a column and a row entry by entry, for which BLAS takes several times as long."""
    return a * b if a.shape[-1] == 1 else np.matmul(a, b)


def _convolution(x: Array, weight: Array, stride: Sizes, padding: Widths, dilation: Sizes, groups: int) -> Array:
    at = geometry(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    matrices = _in_groups(weight, groups)
    if _stay_as_they_are(x, at, groups) and type(weight) is np.ndarray:
        y = np.empty((len(x), len(weight), prod(at.out)), np.result_type(x, weight))
        for part, columns in _images(x, at):
            y[part] = _product(matrices[0], columns)
        return y.reshape(len(x), len(weight), *at.out)
    image, parts = _padded(x, at), []
    for first, last in _blocks(image, at):
        y = _product(matrices, _columns(image, at, groups, first, last - first))
        parts.append(np.reshape(y, (weight.shape[0], last - first, *at.out[1:], x.shape[0])))
    return batch_first(_joined(parts))


def _turned(weight: Array, groups: int) -> Array:
    """The kernel from behind, with the channels of results and images exchanged in each group."""
    out, channels, *kernel = weight.shape
    backwards = weight[:, :, *(slice(None, None, -1) for _ in kernel)]
    parts = np.ascontiguousarray(backwards.reshape(groups, out // groups, channels, *kernel).swapaxes(1, 2))
    return parts.reshape(groups * channels, out // groups, *kernel)


def _transposed_convolution(
    y: Array, weight: Array, size: Sizes, stride: Sizes, padding: Widths, dilation: Sizes, groups: int
) -> Array:
    at = geometry(size, weight.shape[2:], stride, padding, dilation)
    channels, batch = groups * weight.shape[1], y.shape[0]
    borders = tuple((r - 1 - before, r - 1 - after) for r, (before, after) in zip(at.reach, padding))
    fits = {*stride} == {1} and min(map(min, borders)) >= 0
    if type(y) is type(weight) is np.ndarray and fits and len(weight) <= MORE * channels:
        # reading the pixels of y around each pixel of x takes half the time of adding to the pixels of x
        return _convolution(y, _turned(weight, groups), stride, borders, dilation, groups)
    y = batch_last(y)
    back = np.swapaxes(_in_groups(weight, groups), 1, 2)
    image: Any = None
    for first, last in _blocks(y, at):
        made = _product(back, _in_groups(_rows_of(y, first, last, at), groups))
        windows = np.reshape(made, (channels, *at.kernel, last - first, *at.out[1:], batch))
        parts, read = tuple([windows[place] for place in at.among]), at.read(last - first)
        if last - first == at.out[0]:
            whole = performed(scatter, parts, {"shape": (channels, *at.padded, batch), "indices": read})
        else:
            if image is None:
                whole = image = np.zeros((channels, *at.padded, batch), made.dtype)
            below = image[:, first * stride[0] :]
            for index, part in zip(read, parts):
                below[index] += part
    if at.padded != at.size:
        whole = whole[at.inside]
    return batch_first(whole)


def _kernel_correlation(
    x: Array, y: Array, kernel: Sizes, stride: Sizes, padding: Widths, dilation: Sizes, groups: int
) -> Array:
    at = geometry(x.shape[2:], kernel, stride, padding, dilation)
    total: Any = 0
    if _stay_as_they_are(x, at, groups) and type(y) is np.ndarray:
        rows = y.reshape(len(y), y.shape[1], prod(at.out))
        for images, columns in _images(x, at):
            total = total + np.sum(np.matmul(columns, np.swapaxes(rows[images], 1, 2)), axis=0)
        return np.reshape(total.T, (y.shape[1], x.shape[1], *kernel))
    image, y = _padded(x, at), batch_last(y)
    for first, last in _blocks(image, at):
        part = _in_groups(_rows_of(y, first, last, at), groups)
        # in this order, BLAS takes three quarters of the time
        total = total + np.matmul(_columns(image, at, groups, first, last - first), np.swapaxes(part, 1, 2))
    return np.reshape(np.swapaxes(total, 1, 2), (y.shape[0], x.shape[1] // groups, *kernel))


# images, weights, results, and the settings that go with them: with two images or one, in one dimension or two
_CASES: list[tuple[list[tuple[int, ...]], dict[str, Any]]] = [
    (
        [(2, 2, 4), (3, 2, 2), (2, 3, 3)],
        {"stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1},
    ),
    (
        [(1, 2, 3, 5), (4, 1, 2, 2), (1, 4, 2, 4)],
        {"stride": (2, 1), "padding": ((1, 0), (0, 1)), "dilation": (1, 2), "groups": 2},
    ),
]


def _examples(first: int, second: int, **sizes: int) -> list[Example]:
    """The cases for two of these three arrays; `sizes` says of which one a parameter has the spatial sizes."""
    return [
        ([shapes[first], shapes[second]], settings | {name: shapes[i][2:] for name, i in sizes.items()})
        for shapes, settings in _CASES
    ]


convolution: Op = primitive(
    _convolution,
    lambda g, y, x, weight, stride, padding, dilation, groups: transposed_convolution(
        g, weight, size=np.shape(x)[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    lambda g, y, x, weight, stride, padding, dilation, groups: kernel_correlation(
        x, g, kernel=np.shape(weight)[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    linear=True,
    kind="multiplying",
    examples=_examples(0, 1),
)
transposed_convolution: Op = primitive(
    _transposed_convolution,
    lambda g, y, x, weight, size, stride, padding, dilation, groups: convolution(
        g, weight, stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    lambda g, y, x, weight, size, stride, padding, dilation, groups: kernel_correlation(
        g, x, kernel=np.shape(weight)[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    linear=True,
    kind="multiplying",
    examples=_examples(2, 1, size=0),
)
kernel_correlation: Op = primitive(
    _kernel_correlation,
    lambda g, y, x, z, kernel, stride, padding, dilation, groups: transposed_convolution(
        z, g, size=np.shape(x)[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    lambda g, y, x, z, kernel, stride, padding, dilation, groups: convolution(
        x, g, stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    linear=True,
    kind="multiplying",
    examples=_examples(0, 2, kernel=1),
)
