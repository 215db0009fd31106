"""Convolution row by row, of images in memory.

For one row of the result, a kernel reads as many rows of the image as it is high, and for the next row it reads all of
them but one again. So what it reads is laid out once for each row of the image, in a strip, and strips one behind
another in memory are the matrix of a row of the result. A kernel of 3 × 3 takes three copies of the image instead of
nine, and the products stay small.

Images lie as (…, rows, channels, pixels of a row): either each image has rows of its own, or the batch is part of the
pixels.
"""

from collections.abc import Iterable
from functools import reduce
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.networks.geometry import Geometry
from tinygrad_lite.ops.networks.layouts import contiguous

LARGE = 2**20
"""The bytes that are laid out at a time: as many as stay in the cache between being written and read."""

SMALL = 1_000_000
"""BLAS computes a product of no more multiplications without copying the matrices first."""

NARROW = 64
"""Products of fewer columns take longer than the copies that they save."""

DEEP, SLIM = 128, 16
"""With at least so many rows and at most so many columns, BLAS takes longer for transposed pixels than a copy does."""


def in_memory(x: Array) -> Array:
    """A NumPy array without gaps, which BLAS takes as it is; any other array stays."""
    return contiguous(x) if type(x) is np.ndarray else x


def columns_in(rows: int, depth: int, columns: int) -> int:
    """How many columns of a product of so many rows and terms are computed at a time."""
    few = SMALL // max(1, rows * depth)
    if few < NARROW or few >= columns:
        return max(1, columns)
    count = -(-columns // few)
    return min(few, -(-columns // (16 * count)) * 16)  # of the same size, and without a rest of vectors


def product(a: Array, b: Array, out: Array | None = None) -> Array:
    """The product of matrices, a few columns at a time.

    That of a column and a row is computed entry by entry, since BLAS takes several times as long.
    """
    if a.shape[-1] == 1:
        return np.multiply(a, b, out=out)
    few = columns_in(a.shape[-2], a.shape[-1], b.shape[-1])
    if not type(a) is type(b) is np.ndarray or few == b.shape[-1] or not a.size or not b.size:
        return np.matmul(a, b, out=out)
    if out is None:
        front = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        out = np.empty((*front, a.shape[-2], b.shape[-1]), np.result_type(a, b))
    for first in range(0, b.shape[-1], few):
        np.matmul(a, b[..., first : first + few], out=out[..., first : first + few])
    return out


def summed_product(columns: Array, pixels: Array) -> Array:
    """The product of matrices with few rows and columns, which are sums of many terms."""
    (rows, terms), channels = columns.shape[-2:], pixels.shape[-1]
    is_in_memory = type(columns) is type(pixels) is np.ndarray
    is_fast = rows < DEEP or channels > SLIM or columns.size * channels < SMALL // 2
    if not is_in_memory or not columns.size or (is_fast and not pixels.flags.c_contiguous):
        return np.matmul(columns, pixels)
    laid, few = in_memory(pixels), columns_in(channels, rows, terms)
    parts = [(first, first + few) for first in range(0, terms, few)]
    return reduce(np.add, [np.matmul(columns[..., i:j], laid[..., i:j, :]) for i, j in parts])


def _rowwise(x: Array, has_batch_last: bool) -> Array:
    """Images (N, C, rows, …) as (…, rows, C, …), where either each image has its own rows, or the batch is last."""
    axes = range(3, x.ndim)
    if not has_batch_last:
        return x.transpose((0, 2, 1, *axes))[..., None]
    x = x.transpose((2, 1, *axes, 0))[None]
    return x if x.strides[-1] == x.itemsize else contiguous(x)  # once, and not for each place of the kernel


def _strips(x: Array, at: Geometry, first: int, rows: int) -> Array:
    """What a kernel reads for some rows of the result, as a matrix for each row: (…, rows, K, pixels)."""
    front, height, channels, *_, batch = x.shape
    high, step = at.kernel[0], at.stride[0]
    top, count = first * step - at.padding[0][0], (rows - 1) * step + high
    begin = max(0, -top)
    end = max(begin, min(count, height - top))
    shape = front, count, len(at.across), channels, *at.out[1:], batch
    strips: Any = np.empty(shape, x.dtype) if at.padded == at.size else np.zeros(shape, x.dtype)
    for place, (made, read) in enumerate(at.across):
        strips[:, begin:end, place, :, *made] = x[:, top + begin : top + end, :, *read]
    terms, pixels = len(at.across) * channels, prod(at.out[1:]) * batch
    steps = strips.strides[0], step * strips.strides[1], pixels * x.itemsize, x.itemsize
    return np.ndarray((front, rows, high * terms, pixels), x.dtype, strips, 0, steps)


def _parts(x: Array, at: Geometry) -> Iterable[tuple[slice, int, int]]:
    """Some images, and some rows of the result, at a time."""
    row = x.itemsize * len(at.across) * x.shape[2] * prod(at.out[1:]) * x.shape[-1]
    few = max(1, LARGE // (row * at.padded[0]))
    rows = at.out[0] if row * at.padded[0] <= 2 * LARGE else max(at.kernel[0], LARGE // row)
    for image in range(0, len(x), few):
        for first, last in pairwise((*range(0, at.out[0], rows), at.out[0])):
            yield slice(image, image + few), first, last


def by_rows(x: Array, weight: Array, at: Geometry, has_batch_last: bool) -> Array:
    """The convolution of images and weights."""
    channels, (rows, *others), batch = len(weight), at.out, len(x)
    matrix = weight.transpose((0, *range(2, weight.ndim), 1)).reshape(channels, -1)
    image, dtype = _rowwise(x, has_batch_last), np.result_type(x, weight)
    if has_batch_last:
        y: Any = np.empty((rows, channels, *others, batch), dtype)
        made = y.reshape(1, rows, channels, -1)
        y = y.transpose((y.ndim - 1, 1, 0, *range(2, y.ndim - 1)))
    else:
        y = np.empty((batch, channels, rows, *others), dtype)
        made = y.reshape(batch, channels, rows, -1).swapaxes(1, 2)
    for images, first, last in _parts(image, at):
        product(matrix, _strips(image[images], at, first, last - first), made[images, first:last])
    return y


def kernel_by_rows(x: Array, y: Array, at: Geometry, has_batch_last: bool) -> Array:
    """The correlation of images and results, as a matrix (K, channels of y)."""
    axes = range(3, y.ndim)
    laid = y.transpose((2, *axes, 0, 1))[None] if has_batch_last else y.transpose((0, 2, *axes, 1))
    pixels = laid.reshape((*laid.shape[:2], -1, y.shape[1]))
    image, sums = _rowwise(x, has_batch_last), []
    for images, first, last in _parts(image, at):
        part = summed_product(_strips(image[images], at, first, last - first), pixels[images, first:last])
        sums.append(np.sum(part, axis=(0, 1)))
    rank = len(at.kernel)
    total = reduce(np.add, sums).reshape((*at.kernel, x.shape[1], y.shape[1]))
    return total.transpose((rank + 1, rank, *range(rank)))
