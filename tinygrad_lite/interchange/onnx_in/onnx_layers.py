"""Convolutions, pools, normalisations and losses with the settings that only ONNX has."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.interchange.onnx_in.onnx_functions import pad, wholes
from tinygrad_lite.nn import functional as F
from tinygrad_lite.nn.functional.checks import values_of
from tinygrad_lite.ops.shapes.indexing import index_set

Wholes = Sequence[int]


def _same_widths(
    sizes: Wholes, kernel: Wholes, strides: Wholes, dilations: Wholes, front: bool
) -> list[tuple[int, int]]:
    """The border with which the result has ⌈size / stride⌉ entries."""
    pairs = []
    for n, k, s, d in zip(sizes, kernel, strides, dilations):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        less, more = total // 2, total - total // 2
        pairs.append((more, less) if front else (less, more))
    return pairs


def same_border(
    x: Array, kernel: Wholes, strides: Wholes, dilations: Wholes, extra_in_front: bool = False, value: float = 0.0
) -> Array:
    """Images with the border that makes the result ⌈size / stride⌉ entries large."""
    pairs = _same_widths(x.shape[2:], kernel, strides, dilations, extra_in_front)
    return np.pad(x, [(0, 0), (0, 0), *pairs], constant_values=value)


def conv_transpose(
    x: Array,
    weight: Array,
    bias: Array = None,
    strides: Any = None,
    pads: Any = None,
    dilations: Any = None,
    group: int = 1,
    output_padding: Any = None,
    output_shape: Any = None,
    auto_pad: str = "NOTSET",
) -> Array:
    """The transpose of a convolution with a border, or a size of the result, on each side."""
    axes = x.ndim - 2
    strides, dilations = strides or [1] * axes, dilations or [1] * axes
    more = output_padding or [0] * axes
    y = getattr(F, f"conv_transpose{axes}d")(x, weight, None, tuple(strides), groups=group, dilation=tuple(dilations))
    front, behind = (list(part) for part in ((pads or [0] * 2 * axes)[:axes], (pads or [0] * 2 * axes)[axes:]))
    if output_shape is None and auto_pad.startswith("SAME"):
        output_shape = [n * s for n, s in zip(x.shape[2:], strides)]
    if output_shape is not None:
        totals = [n + m - size for n, m, size in zip(y.shape[2:], more, output_shape[-axes:])]
        front = [max(total, 0) // 2 if auto_pad == "SAME_UPPER" else (max(total, 0) + 1) // 2 for total in totals]
        behind = [total - n for total, n in zip(totals, front)]
    widths = [0, 0, *(-n for n in front), 0, 0, *(m - n for m, n in zip(more, behind))]
    y = pad(y, widths)
    return y if bias is None else y + np.reshape(bias, (-1, *(1,) * axes))


def _pool_border(
    x: Array, kernel: Wholes, strides: Any, pads: Any, dilations: Any, auto_pad: str, ceil_mode: bool
) -> list[tuple[int, int]]:
    """The border of images, and further room for a last window that reaches beyond it."""
    axes, sizes = len(kernel), x.shape[2:]
    if auto_pad.startswith("SAME"):
        return _same_widths(sizes, kernel, strides, dilations, auto_pad == "SAME_LOWER")
    pads = [0] * 2 * axes if pads is None or auto_pad == "VALID" else pads
    pairs = []
    for n, k, s, d, before, after in zip(sizes, kernel, strides, dilations, pads, pads[axes:]):
        reach = d * (k - 1) + 1
        room = n + before + after - reach
        count = -(-room // s) + 1 if ceil_mode else room // s + 1
        if ceil_mode and (count - 1) * s >= n + before:  # a window has to begin before the end
            count -= 1
        pairs.append((before, (count - 1) * s + reach - n - before))
    return pairs


def _windows(x: Array, kernel: Wholes, strides: Wholes, dilations: Wholes, value: Any, pairs: Any) -> Array:
    """What each window shows, in further axes at the end."""
    axes = len(kernel)
    x = x[(..., *(slice(None, n + after if after < 0 else None) for n, (_, after) in zip(x.shape[2:], pairs)))]
    x = np.pad(x, [(0, 0), (0, 0), *((a, max(b, 0)) for a, b in pairs)], constant_values=value)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilations))
    windows = np.lib.stride_tricks.sliding_window_view(x, reach, axis=tuple(range(2, 2 + axes)))
    steps = [slice(None, None, s) for s in (*strides, *dilations)]
    return windows[(slice(None), slice(None), *steps)]


def max_pool(
    x: Array,
    kernel: Wholes,
    strides: Wholes,
    pads: Any = None,
    dilations: Any = None,
    auto_pad: str = "NOTSET",
    ceil_mode: bool = False,
    column_major: bool = False,
    indices: bool = False,
) -> Any:
    """The largest entry of each window; with the place of each in the whole array, if it is wanted."""
    axes = len(kernel)
    pairs = _pool_border(x, kernel, strides, pads, dilations, auto_pad, ceil_mode)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    windows = _windows(x, kernel, strides, dilations, lowest, pairs)
    flat = np.reshape(windows, (*windows.shape[: 2 + axes], -1))
    if not indices:
        return np.max(flat, axis=-1)
    order = np.arange(prod(x.shape)).reshape(x.shape)
    if column_major:
        order = np.arange(prod(x.shape)).reshape(*x.shape[:2], *x.shape[:1:-1])
        order = np.transpose(order, (0, 1, *range(axes + 1, 1, -1)))
    places = np.reshape(_windows(order, kernel, strides, dilations, -1, pairs), flat.shape)
    best = np.argmax(values_of(flat), axis=-1)[..., None]
    return np.take_along_axis(flat, best, -1)[..., 0], np.take_along_axis(places, best, -1)[..., 0]


def average_pool(
    x: Array,
    kernel: Wholes,
    strides: Wholes,
    pads: Any = None,
    dilations: Any = None,
    auto_pad: str = "NOTSET",
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> Array:
    """The mean of each window; the border counts as zeros, or not at all."""
    axes = len(kernel)
    pairs = _pool_border(x, kernel, strides, pads, dilations, auto_pad, ceil_mode)
    inside = tuple(range(2 + axes, 2 + 2 * axes))
    total = np.sum(_windows(x, kernel, strides, dilations, 0, pairs), axis=inside)
    ones = np.ones((1, 1, *x.shape[2:]), x.dtype)
    if count_include_pad and not auto_pad.startswith("SAME"):
        widths = list(zip(*np.reshape(pads or [0] * 2 * axes, (2, axes)).tolist()))
        ones = np.pad(ones, [(0, 0), (0, 0), *widths], constant_values=1)
        pairs = [(0, b - after) for (_, b), (_, after) in zip(pairs, widths)]
    elif count_include_pad:
        ones = np.pad(ones, [(0, 0), (0, 0), *pairs], constant_values=1)
        pairs = [(0, 0)] * axes
    return total / np.sum(_windows(ones, kernel, strides, dilations, 0, pairs), axis=inside)


def lp_pool(
    x: Array,
    p: int,
    kernel: Wholes,
    strides: Wholes,
    pads: Any = None,
    dilations: Any = None,
    auto_pad: str = "NOTSET",
    ceil_mode: bool = False,
) -> Array:
    """(Σ |x|ᵖ)^(1/p) of each window."""
    axes = len(kernel)
    pairs = _pool_border(x, kernel, strides, pads, dilations, auto_pad, ceil_mode)
    windows = _windows(np.abs(x) ** p, kernel, strides, dilations, 0, pairs)
    return np.sum(windows, axis=tuple(range(2 + axes, 2 + 2 * axes))) ** (1 / p)


def max_unpool(
    x: Array, indices: Array, kernel: Wholes, strides: Any = None, pads: Any = None, size: Any = None
) -> Array:
    """Each entry at its place in the whole array, among zeros."""
    axes = len(kernel)
    strides, pads = strides or [1] * axes, pads or [0] * 2 * axes
    least = [(n - 1) * s + k - a - b for n, s, k, a, b in zip(x.shape[2:], strides, kernel, pads, pads[axes:])]
    whole_array = np.zeros((*x.shape[:2], *least), x.dtype)
    places = np.unravel_index(values_of(indices), whole_array.shape)
    if size is None:
        return index_set(whole_array, x, index=places)
    return index_set(np.zeros(wholes(size), x.dtype), x, index=places)


def batch_norm_in_training(
    x: Array, scale: Array, bias: Array, mean: Array, variance: Array, momentum: float, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Normalised by the batch, with the mean and the variance moved towards those of the batch."""
    axes = (0, *range(2, x.ndim))
    y = F.batch_norm(x, None, None, scale, bias, training=True, eps=eps)
    measured = np.mean(x, axis=axes), np.var(x, axis=axes)
    return y, *(momentum * old + (1 - momentum) * new for old, new in zip((mean, variance), measured))


def layer_norm(x: Array, scale: Array, bias: Array = None, axis: int = -1, eps: float = 1e-5) -> tuple[Array, ...]:
    """Normalised over the axes from one on; with the mean and the inverse deviation."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    mean, variance = (function(x, axis=axes, keepdims=True) for function in (np.mean, np.var))
    inverse = 1 / np.sqrt(variance + eps)
    y = (x - mean) * inverse * scale
    return y if bias is None else y + bias, mean, inverse


def lp_normalize(x: Array, p: int, axis: int) -> Array:
    """x / ‖x‖ₚ along an axis; 0 where the norm is 0."""
    norm = np.sum(np.abs(x), axis=axis, keepdims=True) if p == 1 else np.linalg.norm(x, axis=axis, keepdims=True)
    return x / np.where(norm == 0, 1, norm)


def negative_log_likelihood(
    log_p: Array, target: Array, weight: Array = None, reduction: str = "mean", ignore_index: int | None = None
) -> Array:
    """-log p of each target's class, weighted, and reduced to its mean or its sum."""
    target = values_of(target)
    counted = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    classes = np.where(counted, target, 0)
    chosen = np.take_along_axis(log_p, np.expand_dims(classes, 1), 1)
    factor = counted.astype(log_p.dtype) if weight is None else np.take(weight, classes, axis=0) * counted
    losses = -np.reshape(chosen, target.shape) * factor
    if reduction == "none":
        return losses
    return np.sum(losses) if reduction == "sum" else np.sum(losses) / np.sum(factor)


def softmax_cross_entropy(
    scores: Array, target: Array, weight: Array = None, reduction: str = "mean", ignore_index: int | None = None
) -> Array:
    """The negative log-likelihood of scores, normalised along the axis 1."""
    return negative_log_likelihood(F.log_softmax(scores, axis=1), target, weight, reduction, ignore_index)
