"""Convolution, in any number of dimensions, as products of matrices.

y[n, o, p] = Σ x[n, c, stride · p + dilation · k] w[o, c, k], summed over the channels c and the places k of the
kernel. It is linear in the images x and in the weights w. The derivative by each is another sum of products of this
kind, and the three operations here are each other's derivatives, to any order.

Inside, small images lie in memory channel by channel and pixel by pixel, with the batch last: what one place of the
kernel reads along a row of all images is then one piece of memory, and all images make one product of matrices. Where a
row of a single image is piece enough, the images stay as they are, and each makes a product of its own. So it does
where the kernel is one pixel, whatever the row. Images in memory make a product for each row of the result, where rows
share what they read: see strips.py.
"""

from collections.abc import Iterable
from functools import reduce
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_lite.engine.op import Array, Example, Op, primitive
from tinygrad_lite.ops.networks.geometry import Geometry, Sizes, Widths, geometry
from tinygrad_lite.ops.networks.layouts import contiguous, copied
from tinygrad_lite.ops.networks.strips import LARGE, NARROW, by_rows, in_memory, kernel_by_rows, product, summed_product
from tinygrad_lite.ops.shapes.indexing import performed, scatter

LARGEST = 2**24
"""The bytes that a program lays out at a time: more, since every block is one more line to read."""

MORE = 2
"""Above this ratio of the results' channels to the images', reading the results takes longer."""

WORTH = 2
"""Products of single images take longer than copies if they have more entries than this for each entry they read."""

FEW = 2**15
"""So few entries are laid out in less time than it takes to look for rows that share them."""

SHORT = 8
"""Of up to so many images, adding to every second pixel of all of them takes most of its time to begin loops."""

WIDE = 16
"""Rows of at least this many pixels are copied fast one by one."""


def batch_last(x: Array) -> Array:
    return x.transpose((*range(1, x.ndim), 0))


def batch_first(x: Array) -> Array:
    return x.transpose((x.ndim - 1, *range(x.ndim - 1)))


def _padded(x: Array, at: Geometry, ahead: int) -> Array:
    """Images with this many axes ahead of the spatial ones, and their border of zeros."""
    shape = *x.shape[:ahead], *at.padded, *x.shape[ahead + len(at.padded) :]
    inside = *[slice(None)] * ahead, *at.inside
    if type(x) is not np.ndarray:
        return scatter(x, shape=shape, indices=(inside,))
    y = np.zeros(shape, x.dtype)
    copied(x, y[inside])
    return y


def _with_batch_last(x: Array, at: Geometry) -> Array:
    """The images with the batch last and their border of zeros, without gaps in memory."""
    x = batch_last(x)
    if at.padded != at.size:
        return _padded(x, at, 1)
    if type(x) is np.ndarray:
        return contiguous(x)
    return x if max(at.kernel) == 1 else _padded(x, at, 1)  # where each pixel is read once, it may stay where it is


def _stay_as_they_are(x: Array, at: Geometry) -> bool:
    """Whether images in their own order are laid out as fast as with the batch last."""
    flags = getattr(x, "flags", None)  # only an array in memory has them
    return flags is not None and flags.c_contiguous and x.shape[0] > 1 and at.out[-1] >= WIDE


def _is_by_pixels(x: Array, at: Geometry, groups: int) -> bool:
    """Whether an image in memory is itself the matrix of what the kernel reads, which then is one pixel."""
    flags = getattr(x, "flags", None)
    return at.is_pointwise and groups == 1 and flags is not None and flags.c_contiguous and x.size > 0


def _channels(x: Array) -> Array:
    """Images as a matrix for each of them, with a row for each channel."""
    return x.reshape((*x.shape[:2], prod(x.shape[2:])))


def _of_pixels(matrix: Array, x: Array) -> Array:
    """The product of a matrix and the channels of each pixel."""
    return np.matmul(matrix, _channels(x)).reshape((len(x), len(matrix), *x.shape[2:]))


def _is_by_rows(x: Array, other: Array, at: Geometry, out: int, groups: int) -> bool:
    """Whether rows of the result share what they read, all arrays are in memory, and it takes less time.

    The weights are put into another order, which takes longer than what is saved if there are more of them than pixels.
    """
    is_in_memory = type(x) is type(other) is np.ndarray and x.size > 0 < other.size
    if not is_in_memory or groups != 1 or len(at.kernel) == 1 or max(at.kernel) == 1 or at.dilation[0] != 1:
        return False
    pixels = len(x) * prod(at.out)
    return pixels >= 4 * out and pixels * x.shape[1] * prod(at.kernel) >= FEW


def _is_by_places(x: Array, at: Geometry, out: int, groups: int) -> bool:
    """Whether a program is to add up products place by place, where each channel has a kernel of its own.

    That takes less time than products of matrices with one row, unless images stay in the cache or there are strides.
    """
    is_own = type(x) is not np.ndarray and x.shape[1] == groups == out and {*at.stride} == {1}
    return is_own and x.dtype.itemsize * prod(x.shape) >= LARGE and _stay_as_they_are(x, at)


def _is_by_single_pixels(y: Array, weight: Array, at: Geometry, groups: int) -> bool:
    """Whether reading results with zeros between them takes less time than adding each to pixels that lie apart.

    So it does for a few images if each channel has a kernel of its own, with many places for each result.
    """
    is_own = type(y) is type(weight) is np.ndarray and weight.shape[:2] == (groups, 1) != (1, 1)
    return is_own and 1 < len(y) <= SHORT and prod(at.stride) > 1 and 2 * prod(at.stride) <= prod(at.kernel)


def _windows(x: Array, at: Geometry, ahead: int, first: int, rows: int) -> Array:
    """What the kernel reads in images with this many axes ahead of the spatial ones: its places, then the pixels."""
    axes = range(ahead, ahead + len(at.kernel))
    if type(x) is np.ndarray:
        steps = x.strides[ahead : axes.stop]
        within, between = ([n * step for n, step in zip(sizes, steps)] for sizes in (at.dilation, at.stride))
        shape = *x.shape[:ahead], *at.kernel, rows, *at.out[1:], *x.shape[axes.stop :]
        strides = *x.strides[:ahead], *within, *between, *x.strides[axes.stop :]
        return np.ndarray(shape, x.dtype, x, first * between[0], strides)
    windows = sliding_window_view(x, at.reach, axis=tuple(axes))
    if {*at.stride, *at.dilation} != {1}:
        steps = (*[1] * ahead, *at.stride, *[1] * (x.ndim - axes.stop), *at.dilation)
        windows = windows[tuple([slice(None, None, step) for step in steps])]
    return windows.transpose((*range(ahead), *range(x.ndim, windows.ndim), *range(ahead, x.ndim)))


def _parts(batch: int, size: int, most: int) -> Iterable[slice]:
    """The places of a few images at a time, if each makes so many bytes."""
    few = max(1, most // max(1, size))
    return (slice(first, min(first + few, batch)) for first in range(0, batch, few))


def _images(x: Array, at: Geometry) -> Iterable[tuple[slice, Array]]:
    """A few images at a time, and what the kernel reads in each as a matrix."""
    batch, channels = x.shape[:2]
    height, width = channels * prod(at.kernel), prod(at.out)
    windows = _windows(x if at.padded == at.size else _padded(x, at, 2), at, 2, 0, at.out[0])
    most = LARGE if type(x) is np.ndarray else LARGEST
    for part in _parts(batch, x.dtype.itemsize * height * width, most):
        yield part, windows[part].reshape((part.stop - part.start, height, width))


def _columns(x: Array, at: Geometry, groups: int, first: int, rows: int) -> Array:
    """What the kernel reads as a matrix for each group of channels, with a column for each pixel of the result."""
    channels, batch = x.shape[0], x.shape[-1]
    height, width = channels // groups * prod(at.kernel), rows * prod(at.out[1:]) * batch
    return _windows(x, at, 1, first, rows).reshape((groups, height, width))


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
    return x.reshape((groups, x.shape[0] // groups, -1 if x.size else prod(x.shape[1:])))


def _rows_of(x: Array, first: int, last: int, at: Geometry) -> Array:
    """Some rows of an image with the batch last."""
    return x if last - first == at.out[0] else x[:, first:last]


def _joined(parts: list[Array], axis: int) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)


def _of_images(x: Array, matrix: Array, at: Geometry) -> Array:
    """The product of the weights, as a matrix, and of what the kernel reads in each image."""
    if type(x) is np.ndarray is type(matrix):
        y = np.empty((len(x), len(matrix), prod(at.out)), np.result_type(x, matrix))
        for part, columns in _images(x, at):
            product(matrix, columns, y[part])
        return y
    return _joined([product(matrix, columns) for _, columns in _images(x, at)], 0)


def _read_by(x: Array, at: Geometry) -> Iterable[tuple[Sizes, Array]]:
    """Each place of the kernel, and what it reads in the images."""
    image = x if at.padded == at.size else _padded(x, at, 2)
    for place, index in zip(np.ndindex(*at.kernel), at.shown):
        yield place, image[:, :, *index]


def _convolution(x: Array, weight: Array, stride: Sizes, padding: Widths, dilation: Sizes, groups: int) -> Array:
    at = geometry(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    if _is_by_pixels(x, at, groups):
        return _of_pixels(weight.reshape(weight.shape[:2]), x)
    if _is_by_places(x, at, weight.shape[0], groups):
        factors: Any = weight.reshape((groups, *at.kernel, *[1] * len(at.kernel)))
        return reduce(np.add, (seen * factors[:, *place] for place, seen in _read_by(x, at)))
    if _is_by_rows(x, weight, at, weight.shape[0], groups):
        return by_rows(x, weight, at, not _stay_as_they_are(x, at))
    matrices = _in_groups(weight, groups)
    if groups == 1 and _stay_as_they_are(x, at):
        return _of_images(x, matrices[0], at).reshape((x.shape[0], weight.shape[0], *at.out))
    image, parts = _with_batch_last(x, at), []
    for first, last in _blocks(image, at):
        y = product(matrices, _columns(image, at, groups, first, last - first))
        parts.append(y.reshape((weight.shape[0], last - first, *at.out[1:], x.shape[0])))
    return batch_first(_joined(parts, 1))


def _turned(weight: Array, groups: int) -> Array:
    """The kernel from behind, with the channels of results and images exchanged in each group."""
    out, channels, *kernel = weight.shape
    backwards = weight[:, :, *(slice(None, None, -1) for _ in kernel)]
    parts = backwards.reshape((groups, out // groups, channels, *kernel)).swapaxes(1, 2)
    return in_memory(parts).reshape((groups * channels, out // groups, *kernel))


def _spread(y: Array, weight: Array, at: Geometry) -> Array:
    """What each pixel of the results adds to the images, padded; both stay as they are."""
    batch, channels = y.shape[0], weight.shape[1]
    back = weight.reshape((weight.shape[0], channels * prod(at.kernel))).T
    rows = _channels(y)
    shape = (batch, channels, *at.padded)
    among = [(slice(None), *place) for place in at.among]
    read = [(slice(None), slice(None), *index) for index in at.shown]

    def windows(few: slice) -> Array:
        made = product(back, rows[few])
        return made.reshape((made.shape[0], channels, *at.kernel, *at.out))

    if not type(y) is type(weight) is np.ndarray:
        whole = windows(slice(None))
        return scatter(*[whole[place] for place in among], shape=shape, indices=tuple(read))
    image = np.zeros(shape, np.result_type(y, weight))
    for part in _parts(batch, image.itemsize * len(back) * prod(at.out), LARGE):
        made, below = windows(part), image[part]
        for place, index in zip(among, read):
            below[index] += made[place]
    return image


def _with_zeros_between(y: Array, at: Geometry) -> Array:
    """The results among zeros, at the places that they have in a convolution in steps of one pixel."""
    places = tuple(size - reach + 1 for size, reach in zip(at.padded, at.reach))
    whole = np.zeros_like(y, shape=(*y.shape[:2], *places))
    whole[:, :, *at.shown[0]] = y
    return whole


def _transposed_convolution(
    y: Array, weight: Array, size: Sizes, stride: Sizes, padding: Widths, dilation: Sizes, groups: int
) -> Array:
    at = geometry(size, weight.shape[2:], stride, padding, dilation)
    if _is_by_pixels(y, at, groups):
        return _of_pixels(weight.reshape(weight.shape[:2]).T, y)
    if _is_by_single_pixels(y, weight, at, groups):
        ones, spread = (1,) * len(stride), _with_zeros_between(y, at)
        return _transposed_convolution(spread, weight, size, ones, padding, dilation, groups)
    channels, batch = groups * weight.shape[1], y.shape[0]
    borders = tuple((r - 1 - before, r - 1 - after) for r, (before, after) in zip(at.reach, padding))
    fits = {*stride} == {1} and min(map(min, borders)) >= 0
    is_in_memory = type(y) is type(weight) is np.ndarray or _stay_as_they_are(y, at)
    if is_in_memory and fits and weight.shape[0] <= MORE * channels:
        # reading the pixels of y around each pixel of x takes half the time of adding to the pixels of x
        return _convolution(y, _turned(weight, groups), stride, borders, dilation, groups)
    if groups == 1 and _stay_as_they_are(y, at):
        image = _spread(y, weight, at)
        return image if at.padded == at.size else image[:, :, *at.inside]
    y = batch_last(y)
    back = _in_groups(weight, groups).swapaxes(1, 2)
    image = None
    for first, last in _blocks(y, at):
        made = product(back, _in_groups(_rows_of(y, first, last, at), groups))
        windows = made.reshape((channels, *at.kernel, last - first, *at.out[1:], batch))
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
        whole = whole[:, *at.inside]
    return batch_first(whole)


def _kernel_correlation(
    x: Array, y: Array, kernel: Sizes, stride: Sizes, padding: Widths, dilation: Sizes, groups: int
) -> Array:
    if x.dtype == y.dtype == np.float16:  # which would lose most digits in sums over all images and pixels
        x, y = x.astype(np.float32), y.astype(np.float32)
        return _kernel_correlation(x, y, kernel, stride, padding, dilation, groups).astype(np.float16)
    at = geometry(x.shape[2:], kernel, stride, padding, dilation)
    if _is_by_places(x, at, y.shape[1], groups):
        axes = (0, *range(2, x.ndim))
        by_place = [np.sum(seen * y, axis=axes) for _, seen in _read_by(x, at)]
        return np.stack(by_place, axis=1).reshape((groups, 1, *kernel))
    if _is_by_pixels(x, at, groups) and _is_by_pixels(y, at, groups):
        sizes = y.shape[1], x.shape[1]
        if prod(sizes) <= WORTH * prod(at.out) * sum(sizes):
            total = np.sum(np.matmul(_channels(y), _channels(x).swapaxes(1, 2)), axis=0)
            return total.reshape((*sizes, *kernel))
    are_kept = _stay_as_they_are(x, at)
    if _is_by_rows(x, y, at, y.shape[1], groups) and prod(at.out[1:]) * (1 if are_kept else len(x)) >= NARROW:
        return kernel_by_rows(x, y, at, not are_kept)
    if groups == 1 and are_kept:
        rows = _channels(y).swapaxes(1, 2)
        sums = (np.sum(summed_product(columns, rows[i]), axis=0) for i, columns in _images(x, at))
        return reduce(np.add, sums).T.reshape((y.shape[1], x.shape[1], *kernel))
    image, y = _with_batch_last(x, at), batch_last(y)
    parts = []
    for first, last in _blocks(image, at):
        part = _in_groups(_rows_of(y, first, last, at), groups).swapaxes(1, 2)
        parts.append(summed_product(_columns(image, at, groups, first, last - first), part))
    total = reduce(np.add, parts)
    return total.swapaxes(1, 2).reshape((y.shape[0], x.shape[1] // groups, *kernel))


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
    takes_complex=True,
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
    takes_complex=True,
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
    takes_complex=True,
    kind="multiplying",
    examples=_examples(0, 2, kernel=1),
)
