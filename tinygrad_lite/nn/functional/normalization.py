"""Normalisation over batches, layers, groups, instances and neighbouring channels."""

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.sums import in_single, through_single
from tinygrad_lite.nn.functional.checks import in_real_numbers, shape_of
from tinygrad_lite.ops.networks.normalization import Standard, normalization, standard
from tinygrad_lite.readers.complex_step import Followed
from tinygrad_lite.transforms.batched import Batched
from tinygrad_lite.transforms.dual import innermost

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "normalize", "rms_norm"]


def batch_norm(
    input: Array,
    running_mean: Array,
    running_var: Array,
    weight: Array = None,
    bias: Array = None,
    training: bool = False,
    momentum: Array = 0.1,
    eps: float = 1e-5,
) -> Array:
    """(x - mean) / √(var + ε) · weight + bias for each channel of x (N, C, …).

    In training, mean and variance are those of the batch, and the running ones move towards them by the momentum (the
    running variance towards the unbiased one); else they are the running ones.
    Source: Ioffe and Szegedy (2015), Batch normalization, algorithm 1.

    Raises:
        ShapeError: if x has no channels, or not those of the parameters; in training, if a channel has a single value.

    Example:
        >>> batch_norm(np.array([[1.0], [3.0]]), None, None, training=True, eps=0.0)
        array([[-1.],
               [ 1.]])
    """
    shape = _channels("batch_norm", input, running_mean, running_var, weight, bias)
    axes = (0, *range(2, len(shape)))
    if not training:
        if running_mean is None or running_var is None:
            raise InputError("batch_norm needs running_mean and running_var unless training=True")
        return _by_running(input, running_mean, running_var, weight, bias, eps)
    if 0 in shape:  # which has no mean, and no entries either
        zeros = np.zeros(shape[1], np.result_type(input))
        return _by_running(input, zeros, zeros + 1, weight, bias, eps)
    if shape[0] * prod(shape[2:]) == 1:
        remedy = "leave out a last batch of one row by drop_last=True, or choose another batch_size"
        raise ShapeError(
            f"batch_norm in training needs more than one value per channel, not one sample {shape}: {remedy}"
        )
    y, parts = _normalized(input, weight, bias, axes, eps)
    channels = shape[1:2]
    statistics = parts.mean.reshape(channels), parts.variance.reshape(channels)
    _move(running_mean, running_var, statistics, shape[0] * prod(shape[2:]), momentum)
    return y


def instance_norm(
    input: Array,
    running_mean: Array = None,
    running_var: Array = None,
    weight: Array = None,
    bias: Array = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    """(x - mean) / √(var + ε) · weight + bias for each channel of each instance in x (N, C, …).

    Source: Ulyanov et al. (2016), Instance normalization.

    Raises:
        ShapeError: if x has no channels, or not those of the parameters, or a single value for each.

    Example:
        >>> instance_norm(np.array([[[1.0, 3.0]]]), eps=0.0)
        array([[[-1.,  1.]]])
    """
    shape = _channels("instance_norm", input, running_mean, running_var, weight, bias)
    if not use_input_stats:
        return _by_running(input, running_mean, running_var, weight, bias, eps)
    if prod(shape[2:]) == 1:
        raise ShapeError(f"instance_norm needs more than one value per channel, got an input of shape {shape}")
    axes = tuple(range(2, len(shape)))
    y, parts = _normalized(input, weight, bias, axes, eps)
    if running_mean is not None and 0 not in shape:
        mean, variance = (np.mean(part.reshape(shape[:2]), axis=0) for part in (parts.mean, parts.variance))
        _move(running_mean, running_var, (mean, variance), prod(shape[2:]), momentum)
    return y


def layer_norm(
    input: Array, normalized_shape: Sequence[int], weight: Array = None, bias: Array = None, eps: float = 1e-5
) -> Array:
    """(x - mean) / √(var + ε) · weight + bias, with mean and variance over the last axes, of shape normalized_shape.

    Source: Ba, Kiros and Hinton (2016), Layer normalization, eq. 4.

    Raises:
        ShapeError: if x, weight or bias do not end in that shape.

    Example:
        >>> layer_norm(np.array([1.0, 3.0]), (2,), eps=0.0)
        array([-1.,  1.])
    """
    axes = _last_axes("layer_norm", input, normalized_shape, weight, bias)
    return normalization(in_real_numbers(input), weight, bias, axes=axes, eps=eps)


def rms_norm(input: Array, normalized_shape: Sequence[int], weight: Array = None, eps: float | None = None) -> Array:
    """x / √(mean x² + ε) · weight, with the mean over the last axes; ε is by default the spacing of numbers at 1.

    Source: Zhang and Sennrich (2019), Root mean square layer normalization, eq. 4.

    Raises:
        ShapeError: if x or weight do not end in that shape.

    Example:
        >>> rms_norm(np.array([1.0, 7.0]), (2,), eps=0.0)
        array([0.2, 1.4])
    """
    axes = _last_axes("rms_norm", input, normalized_shape, weight)
    eps = float(np.finfo(np.result_type(in_real_numbers(input))).eps) if eps is None else eps
    x = in_real_numbers(input)
    y = x / np.sqrt(np.mean(np.square(in_single(x)), axis=axes, keepdims=True) + eps)
    y = y.astype(np.float16) if x.dtype == np.float16 else y
    return y if weight is None else y * weight


def group_norm(input: Array, num_groups: int, weight: Array = None, bias: Array = None, eps: float = 1e-5) -> Array:
    """(x - mean) / √(var + ε) · weight + bias, with mean and variance over each group of channels of x (N, C, …).

    Source: Wu and He (2018), Group normalization, eq. 7.

    Raises:
        ShapeError: if the channels do not divide into the groups, or are others than those of the parameters, or a
            group has one value alone.

    Example:
        >>> group_norm(np.array([[1.0, 3.0, 5.0, 5.0]]), 2)[0, 2:]
        array([0., 0.])
    """
    shape = _channels("group_norm", input, weight, bias)
    if num_groups < 1 or shape[1] % num_groups:
        raise ShapeError(f"group_norm needs channels that divide into {num_groups} groups, got shape {shape}")
    grouped = (shape[0], num_groups, shape[1] // num_groups, *shape[2:])
    if prod(shape[2:]) * grouped[0] * grouped[2] == 1:
        raise ShapeError(f"group_norm needs more than one value per group, got an input of shape {shape}")
    scales = [None if p is None else np.reshape(p, (*grouped[1:3], *[1] * len(shape[2:]))) for p in (weight, bias)]
    y = normalization(np.reshape(in_real_numbers(input), grouped), *scales, axes=tuple(range(2, len(grouped))), eps=eps)
    return np.reshape(y, shape)


def local_response_norm(input: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    """x / (k + α · mean of x² over `size` neighbouring channels)ᵝ for x (N, C, …), with zeros beside the channels.

    Source: Krizhevsky, Sutskever and Hinton (2012), ImageNet classification with deep convolutional networks.

    Raises:
        ShapeError: if x has less than three axes.

    Example:
        >>> local_response_norm(np.full((1, 1, 1), 2.0), 1, alpha=1.0, beta=0.5, k=0.0)
        array([[[1.]]])
    """
    shape = shape_of(input)
    if len(shape) < 3:
        raise ShapeError(f"local_response_norm needs an input (N, C, ...) of three axes or more, got shape {shape}")
    squares = np.square(in_real_numbers(input))
    around = np.pad(squares, [(0, 0), (size // 2, (size - 1) // 2), *[(0, 0)] * len(shape[2:])])
    windows = np.lib.stride_tricks.sliding_window_view(around, size, axis=1)
    return input / (np.mean(windows, axis=-1) * alpha + k) ** beta


@through_single
def normalize(input: Array, p: float = 2.0, axis: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Array:
    """x / max(‖x‖ₚ, ε) along an axis.

    Example:
        >>> normalize(np.array([[3.0, 4.0]]))
        array([[0.6, 0.8]])
    """
    rows = input if np.ndim(input) else np.reshape(input, 1)  # a number is a vector of length 1
    return np.reshape(rows / np.maximum(np.linalg.norm(rows, p, axis, keepdims=True), eps), shape_of(input))


def _channels(function: str, x: Array, *parameters: Array) -> tuple[int, ...]:
    """The checked shape of an input (N, C, …)."""
    shape = shape_of(x)
    if len(shape) < 2:
        raise ShapeError(f"{function} needs an input (N, C, ...) of two axes or more, got shape {shape}")
    for parameter in parameters:
        if parameter is not None and shape_of(parameter) != shape[1:2]:
            others = f"the weight, bias or statistics have the shape {shape_of(parameter)}"
            raise ShapeError(f"{function}: the input {shape} has {shape[1]} channels, on axis 1; {others}")
    return shape


def _last_axes(function: str, x: Array, needed: Sequence[int], *parameters: Array) -> tuple[int, ...]:
    shape, needed = shape_of(x), tuple(needed)
    if not needed or shape[len(shape) - len(needed) :] != needed:
        raise ShapeError(f"{function} needs an input whose last axes have the shape {needed}, got shape {shape}")
    for parameter in parameters:
        if parameter is not None and shape_of(parameter) != needed:
            raise ShapeError(f"{function} needs parameters of shape {needed}, got {shape_of(parameter)}")
    return tuple(range(len(shape) - len(needed), len(shape)))


def _per_channel(parameter: Array, x: Array) -> Array:
    """A parameter with one entry for each channel, in a shape that broadcasts against x (N, C, …)."""
    rank = len(shape_of(x))
    return parameter if parameter is None or rank == 2 else parameter.reshape((-1, *[1] * (rank - 2)))


def _by_running(x: Array, mean: Array, variance: Array, weight: Array, bias: Array, eps: float) -> Array:
    scale = 1 / np.sqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return x * _per_channel(scale, x) + _per_channel(shift, x)


def _normalized(x: Array, weight: Array, bias: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Standard]:
    """x with its groups normalised, scaled and shifted per channel; and their statistics, which carry no gradient."""
    x = in_real_numbers(x)
    y = normalization(x, _per_channel(weight, x), _per_channel(bias, x), axes=axes, eps=eps)
    (parts,) = getattr(y, "shared", ()) or (standard(innermost(x), axes, eps),)  # a tensor with a history knows them
    return y, parts


def _move(mean: Any, variance: Any, statistics: tuple[Array, Array], count: int, momentum: Array) -> None:
    """Move running statistics towards those of a batch, unless its values are those of a gradient check."""
    if isinstance(statistics[0], Followed):
        return
    if isinstance(statistics[0], Batched):
        raise UsageError("running statistics cannot differ between the examples of tg.vmap: call module.eval() first")
    moved = []
    for running, new in ((mean, statistics[0]), (variance, statistics[1] * (count / (count - 1)))):
        if running is not None:
            is_tensor = isinstance(running, Tensor)
            old, take = (running.data, running.replace) if is_tensor else (running, partial(np.copyto, running))
            moved.append((take, ((1 - momentum) * old + momentum * new).astype(old.dtype)))
    for take, new in moved:
        take(new)
