"""Pooling in one, two and three dimensions: the largest entry, the mean or the norm of each window."""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, floor, prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.foundation.settings import positive, remembered
from tinygrad_lite.foundation.sums import through_single
from tinygrad_lite.nn.functional.checks import in_real_numbers, shape_of
from tinygrad_lite.nn.functional.sizes import Shape, Sizes, check_axes, fixed, in_dimensions, per_axis
from tinygrad_lite.nn.init import Rng
from tinygrad_lite.ops.kept import kept
from tinygrad_lite.ops.networks import pooling
from tinygrad_lite.ops.networks.resampling import Spacing, resample, windows
from tinygrad_lite.ops.requirements import refuse_where

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "fractional_max_pool2d", "fractional_max_pool3d",
    "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d",
    "max_unpool3d",
]  # fmt: skip


@in_dimensions
def max_pool(
    axes: int,
    input: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """y[p] = max_k x[stride · p + dilation · k - padding], of images (N, C, …) or (C, …); strides are windows if None.

    The gradient goes to the first entry that is the largest. With `ceil_mode`, a last window may reach beyond the end.
    With `return_indices`, also the position of each largest entry in its flattened image.

    Raises:
        ShapeError: if a window does not fit into the input.
        InputError: if the padding is more than half of a window.

    Example:
        >>> max_pool1d(np.array([[1.0, 3.0, 2.0, 0.0]]), 2)
        array([[3., 2.]])
    """
    settings = map(fixed, (kernel_size, stride, padding, dilation))
    at = _windows(f"max_pool{axes}d", axes, shape_of(input), *settings, ceil_mode)
    if return_indices:
        rows = [at.clipped(axis) for axis in range(axes)]
        largest, indices = _largest(input, _table([np.maximum(row, 0) for row in rows], at.size), axes)
        seen = prod(np.ix_(*((row[:, 0] >= 0).astype(int) for row in rows))) > 0  # windows of padding alone have none
        return largest if np.all(seen) else np.where(seen, largest, -np.inf), indices
    if at.is_padded:
        input = np.pad(in_real_numbers(input), at.border, constant_values=-np.inf)
    return pooling.max_pool(input, kernel=at.kernel, stride=at.stride, dilation=at.dilation)


@in_dimensions
def max_unpool(
    axes: int,
    input: Array,
    indices: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Array:
    """The way back from max_pool: each entry at its index among zeros.

    Raises:
        ShapeError: if input and indices differ in shape, or the size is not one that makes such an input.
        InputError: if an index lies outside the result.

    Example:
        >>> max_unpool1d(np.array([[3.0, 2.0]]), np.array([[1, 2]]), 2)
        array([[0., 3., 2., 0.]])
    """
    name = f"max_unpool{axes}d"
    check_axes(name, shape_of(input), axes)
    shape = shape_of(input)
    if shape_of(indices) != shape:
        raise ShapeError(f"{name} needs an index for each entry: {shape} of them, got {shape_of(indices)}")
    kernel = per_axis("kernel_size", kernel_size, axes, 1)
    steps = kernel if stride is None else per_axis("stride", stride, axes, 1)
    widths = per_axis("padding", padding, axes)
    size = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(shape[-axes:], steps, widths, kernel)]
    if output_size is not None:
        least, size = size, list(output_size)[-axes:]
        if len(size) != axes or any(abs(m - n) >= s for m, n, s in zip(size, least, steps)):
            raise ShapeError(f"{name}: an output_size is less than a stride {steps} from {least}, got {output_size}")
    outside = np.logical_or(np.less(indices, 0), np.greater_equal(indices, prod(size)))
    indices = refuse_where(outside, indices, message=f"{name}: an index among {prod(size)} entries is {{}}")
    front = (*shape[:-axes], prod(shape[-axes:]))
    flat = pooling.unpool(np.reshape(input, front), np.reshape(indices, front), size=prod(size))
    return np.reshape(flat, (*shape[:-axes], *size))


@in_dimensions
def avg_pool(
    axes: int,
    input: Array,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """The mean of each window of images (N, C, …) or (C, …); the stride is the kernel size.

    The padding counts as zeros, or not at all without `count_include_pad`. With `ceil_mode`, a last window may reach
    beyond the end; entries beyond the padding do not count. `divisor_override` is the number to divide the sums by.

    Raises:
        ShapeError: if a window does not fit into the input.
        InputError: if the padding is more than half of a window, or the divisor is 0.

    Example:
        >>> avg_pool1d(np.array([[1.0, 3.0, 2.0, 0.0]]), 2)
        array([[2., 1.]])
    """
    settings = map(fixed, (kernel_size, stride, padding, 1))
    at = _windows(f"avg_pool{axes}d", axes, shape_of(input), *settings, ceil_mode)
    if divisor_override == 0:
        raise InputError("avg_pool: the divisor must not be 0")
    input = in_real_numbers(input)
    summed = pooling.sum_pool(np.pad(input, at.border) if at.is_padded else input, kernel=at.kernel, stride=at.stride)
    counts = at.counts(bool(count_include_pad)) if divisor_override is None else divisor_override
    return summed / (counts.astype(summed.dtype) if isinstance(counts, np.ndarray) else counts)


@in_dimensions
@through_single
def lp_pool(
    axes: int, input: Array, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Array:
    """(Σ xᵖ)^(1/p) of each window, with p = norm_type; NaN where a sum is negative and has no such root.

    Example:
        >>> lp_pool1d(np.array([[3.0, 4.0]]), 2, 2)
        array([[5.]])
    """
    mean = avg_pool[axes - 1](in_real_numbers(input) ** norm_type, kernel_size, stride, 0, ceil_mode)
    total = np.sign(mean) * np.maximum(np.abs(mean), 0) * prod(per_axis("kernel_size", kernel_size, axes, 1))
    return total ** (1.0 / positive("norm_type", norm_type))


@in_dimensions
def adaptive_avg_pool(axes: int, input: Array, output_size: Any) -> Array:
    """The means of windows, laid so that the result has a size: entry j of m sees x[⌊j n / m⌋ : ⌈(j + 1) n / m⌉].

    None stands for the size of the input.

    Example:
        >>> adaptive_avg_pool1d(np.array([[1.0, 2.0, 6.0]]), 2)
        array([[1.5, 4. ]])
    """
    wanted = _wanted(f"adaptive_avg_pool{axes}d", axes, input, output_size)
    places = range(len(shape_of(input)) - axes, len(shape_of(input)))
    if wholes := tuple(axis for axis, m in zip(places, wanted) if m == 1):
        input = np.mean(input, axis=wholes, keepdims=True)
    for axis, m in zip(places, wanted):
        shape, n = shape_of(input), shape_of(input)[axis]
        if n % m:
            input = resample(input, axis=axis, spacing=Spacing(n, m, None, 0, False, False))
        elif m > 1:
            input = np.mean(np.reshape(input, (*shape[:axis], m, n // m, *shape[axis + 1 :])), axis=axis + 1)
    return input


@in_dimensions
def adaptive_max_pool(axes: int, input: Array, output_size: Any, return_indices: bool = False) -> Any:
    """The largest entries of windows, laid as in adaptive_avg_pool; with their positions as in max_pool.

    Example:
        >>> adaptive_max_pool1d(np.array([[1.0, 2.0, 6.0]]), 2)
        array([[2., 6.]])
    """
    size = shape_of(input)[-axes:]
    wanted = _wanted(f"adaptive_max_pool{axes}d", axes, input, output_size)
    if not return_indices and all(n % m == 0 for n, m in zip(size, wanted)):
        kernel = tuple(n // m for n, m in zip(size, wanted))
        return pooling.max_pool(input, kernel=kernel, stride=kernel, dilation=(1,) * axes)
    rows = []
    for n, m in zip(size, wanted):
        starts, ends = windows(n, m)
        rows.append(np.minimum(starts[:, None] + np.arange(np.max(ends - starts)), ends[:, None] - 1))
    y, indices = _largest(input, _table(rows, size), axes)
    return (y, indices) if return_indices else y


@in_dimensions
def fractional_max_pool(
    axes: int,
    input: Array,
    kernel_size: Sizes,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Array = None,
    *,
    rng: Rng = None,
) -> Any:
    """The largest entries of windows at random distances, so that the result can have any size.

    Source: Graham (2014), Fractional max-pooling.

    Example:
        >>> fractional_max_pool2d(np.arange(25.0).reshape(1, 5, 5), 2, output_size=3, rng=0).shape
        (1, 3, 3)
    """
    name = f"fractional_max_pool{axes}d"
    check_axes(name, shape_of(input), axes)
    size, kernel = shape_of(input)[-axes:], per_axis("kernel_size", kernel_size, axes, 1)
    if (output_size is None) == (output_ratio is None):
        raise InputError(f"{name} needs either output_size or output_ratio; got {output_size} and {output_ratio}")
    if output_size is None:
        ratios = output_ratio if np.ndim(output_ratio) else [output_ratio] * axes
        if not all(0 < ratio < 1 for ratio in ratios):
            raise InputError(f"{name}: an output_ratio lies between 0 and 1, got {output_ratio}")
        output_size = [int(n * ratio) for n, ratio in zip(size, ratios)]
    wanted = per_axis("output_size", output_size, axes, 1)
    if any(m + k - 1 > n for n, m, k in zip(size, wanted, kernel)):
        raise ShapeError(f"{name}: windows {kernel} and a result {wanted} need more pixels than {size}")
    front = (*(1,) * (axes + 2 - len(shape_of(input))), *shape_of(input)[:-axes])
    if _random_samples is None:
        _random_samples = np.random.default_rng(rng).random((*front, axes))
    order = [1, 0] if axes == 2 else [0, 1, 2]  # in PyTorch, the first sample is for the last of two axes
    rows = []
    for n, m, k, place in zip(size, wanted, kernel, order):
        drawn = as_array(_random_samples)[: front[0], :, place, None]
        alpha = (n - k) / (m - 1) if m > 1 else 0.0
        starts = np.trunc((np.arange(m) + drawn) * alpha).astype(int) - np.trunc(drawn * alpha).astype(int)
        starts = np.where(np.arange(m) < m - 1, starts, n - k)
        rows.append(np.expand_dims(starts, -1) + np.arange(k))
    y, indices = _largest(input, _table(rows, size).reshape(*shape_of(input)[:-axes], *wanted, prod(kernel)), axes)
    return (y, indices) if return_indices else y


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = adaptive_avg_pool
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = adaptive_max_pool
avg_pool1d, avg_pool2d, avg_pool3d = avg_pool
_, fractional_max_pool2d, fractional_max_pool3d = fractional_max_pool
lp_pool1d, lp_pool2d, lp_pool3d = lp_pool
max_pool1d, max_pool2d, max_pool3d = max_pool
max_unpool1d, max_unpool2d, max_unpool3d = max_unpool


class _Windows:
    """The windows of pooling on the last axes of an input, checked."""

    def __init__(
        self, name: str, axes: int, shape: Shape, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
    ) -> None:
        check_axes(name, shape, axes)
        self.size = shape[-axes:]
        self.kernel = per_axis("kernel_size", kernel, axes, 1)
        self.stride = per_axis("stride", stride if stride is not None and np.size(stride) else kernel, axes, 1)
        self.padding = per_axis("padding", padding, axes)
        self.dilation = per_axis("dilation", dilation, axes, 1)
        self.reach = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation)]
        if any(p > reach // 2 for p, reach in zip(self.padding, self.reach)):
            raise InputError(f"{name}: padding {self.padding} is more than half of a window of {tuple(self.reach)}")
        self.out = []
        for n, p, s, reach in zip(self.size, self.padding, self.stride, self.reach):
            steps = (n + 2 * p - reach) / s
            count = (ceil(steps) if ceil_mode else floor(steps)) + 1
            self.out.append(count - (ceil_mode and (count - 1) * s >= n + p))
        if min(self.out) < 1:
            window = f"a window of {tuple(self.reach)}"
            raise ShapeError(
                f"{name}: {window} does not fit into an input of shape {shape} with padding {self.padding}"
            )
        ends = [(m - 1) * s + reach for m, s, reach in zip(self.out, self.stride, self.reach)]
        behind = [max(end - n - p, 0) for end, n, p in zip(ends, self.size, self.padding)]
        self.border = [(0, 0)] * (len(shape) - axes) + [*zip(self.padding, behind)]
        self.is_padded = any(map(any, self.border))

    def clipped(self, axis: int) -> Array:
        """The entries that each window sees along an axis; in place of one outside, one of the same window inside.

        A window with none inside sees -1.
        """
        starts = np.arange(self.out[axis]) * self.stride[axis] - self.padding[axis]
        d, n = self.dilation[axis], self.size[axis]
        entries = starts[:, None] + d * np.arange(self.kernel[axis])
        inside = (entries >= 0) & (entries < n)
        first = np.min(np.where(inside, entries, n), axis=1, keepdims=True)
        last = np.max(np.where(inside, entries, -1), axis=1, keepdims=True)
        return np.clip(entries, first, last)

    @lru_cache  # noqa: B019
    def counts(self, includes_padding: bool) -> Array | int:
        """How many entries of each window count: one number, if it is the same for all of them."""
        along = []
        for n, p, s, k, m in zip(self.size, self.padding, self.stride, self.kernel, self.out):
            starts = np.arange(m) * s - p
            ends = np.minimum(starts + k, n + p)
            along.append(ends - starts if includes_padding else np.minimum(ends, n) - np.maximum(starts, 0))
        counts: Any = prod(np.ix_(*along))
        return int(counts.flat[0]) if np.all(counts == counts.flat[0]) else kept(counts)


_windows = remembered(_Windows)  # checking the settings takes longer than pooling a small image


def _wanted(name: str, axes: int, x: Array, output_size: Any) -> tuple[int, ...]:
    check_axes(name, shape_of(x), axes)
    sizes = fixed(output_size)
    sizes = sizes if isinstance(sizes, tuple) else [sizes] * axes
    sizes = [n if m is None else m for n, m in zip(shape_of(x)[-axes:], sizes)] if len(sizes) == axes else sizes
    wanted = per_axis("output_size", sizes, axes, 1)
    if 0 in shape_of(x)[-axes:]:
        raise ShapeError(f"{name} needs pixels to look at, got an input of shape {shape_of(x)}")
    return wanted


def _table(rows: Sequence[Array], size: Shape) -> Array:
    """The positions in a flattened image that each window sees, (…, windows, entries), from those along each axis."""
    positions: Any = 0
    for axis, (row, n) in enumerate(zip(rows, size)):
        before, after = (1,) * axis, (1,) * (len(rows) - axis - 1)
        opened = row.reshape(*row.shape[:-2], *before, row.shape[-2], *after, *before, row.shape[-1], *after)
        positions = positions * n + opened
    inside = positions.ndim - len(rows)
    return positions.reshape(*positions.shape[:inside], prod(positions.shape[inside:]))


def _largest(x: Array, table: Array, axes: int) -> tuple[Array, Array]:
    """The largest entry that each window sees, and its position: the first of several."""
    front, out = shape_of(x)[:-axes], table.shape[-axes - 1 : -1]
    flat = np.reshape(x, (*front, prod(shape_of(x)[-axes:])))
    if table.ndim == axes + 1:
        windows = np.take(flat, table, -1)
    else:  # each image has windows of its own
        windows = np.reshape(
            np.take_along_axis(flat, table.reshape(*front, prod(table.shape[len(front) :])), -1), table.shape
        )
    chosen = np.equal(np.expand_dims(np.argmax(windows, -1), -1), np.arange(table.shape[-1]))
    indices = np.sum(np.where(chosen, table, 0), axis=-1)
    largest = np.take_along_axis(flat, np.reshape(indices, (*front, prod(out))), -1)
    return np.reshape(largest, (*front, *out)), np.reshape(indices, (*front, *out))
