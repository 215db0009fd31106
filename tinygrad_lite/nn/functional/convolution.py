"""Convolution and its transpose in one, two and three dimensions; and windows as columns."""

from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.foundation.settings import remembered, whole
from tinygrad_lite.nn.functional.checks import shape_of
from tinygrad_lite.nn.functional.sizes import Shape, Sizes, check_axes, fixed, in_dimensions, per_axis, with_batch
from tinygrad_lite.ops.networks import convolution
from tinygrad_lite.ops.networks.geometry import Geometry, geometry
from tinygrad_lite.ops.shapes.indexing import scatter

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "fold", "unfold"]


@in_dimensions
def conv(
    axes: int,
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """yₒ[p] = bₒ + Σ x_c[stride · p + dilation · k - padding] w_oc[k], summed over the channels c and the positions k.

    x is (N, C, …) or (C, …) with one, two or three axes of pixels, w (O, C / groups, …) and b (O). Padding "same" keeps
    the size, "valid" is none.

    Raises:
        ShapeError: if the shapes do not fit each other, or the kernel does not fit into the input.

    Example:
        >>> conv1d(np.array([[1.0, 2.0, 4.0]]), np.array([[[-1.0, 1.0]]]))
        array([[1., 2.]])
        >>> conv2d(np.ones((1, 3, 3)), np.ones((1, 1, 3, 3)), padding=1)[0]
        array([[4., 6., 4.],
               [6., 9., 6.],
               [4., 6., 4.]])
    """
    shapes = shape_of(input), shape_of(weight), None if bias is None else shape_of(bias)
    settings = _settings(axes, *shapes, *map(fixed, (stride, padding, dilation)), groups)
    y = with_batch(lambda x: convolution.convolution(x, weight, **settings), input, axes)
    return _shifted(y, bias, axes)


@remembered
def _settings(
    axes: int, shape: Shape, kernel: Shape, bias: Shape | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> dict[str, Any]:
    """A convolution's settings, checked once for each form of a call: a check takes longer than a small convolution."""
    name = f"conv{axes}d"
    _check_kernel(name, kernel, axes, groups, "O, C / groups")
    _check_bias(name, bias, kernel[0])
    check_axes(name, shape, axes, kernel[1] * groups)
    at = _at(name, shape[-axes:], kernel[2:], stride, padding, dilation, axes)
    return {"stride": at.stride, "padding": at.padding, "dilation": at.dilation, "groups": int(groups)}


@in_dimensions
def conv_transpose(
    axes: int,
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Array:
    """The transpose of a convolution: each x[p] adds x[p] · w[k] to y[stride · p + dilation · k - padding].

    x is (N, C, …) or (C, …), w (C, O / groups, …) and b (O).

    Raises:
        ShapeError: if the shapes do not fit each other, or the result would be empty.
        InputError: if an output_padding is not smaller than the stride or the dilation.

    Example:
        >>> conv_transpose1d(np.array([[1.0, 2.0]]), np.array([[[1.0, 10.0]]]), stride=2)
        array([[ 1., 10.,  2., 20.]])
        >>> conv_transpose2d(np.ones((1, 2, 2)), np.ones((1, 1, 2, 2)))[0]
        array([[1., 2., 1.],
               [2., 4., 2.],
               [1., 2., 1.]])
    """
    shapes = shape_of(input), shape_of(weight), None if bias is None else shape_of(bias)
    numbers = map(fixed, (stride, padding, output_padding, dilation))
    settings, behind = _transposed_settings(axes, *shapes, *numbers, groups)
    y = with_batch(lambda x: convolution.transposed_convolution(x, weight, **settings), input, axes)
    if any(behind):
        y = np.pad(y, [(0, 0)] * (np.ndim(y) - axes) + [(0, m) for m in behind])
    return _shifted(y, bias, axes)


@remembered
def _transposed_settings(
    axes: int, shape: Shape, kernel: Shape, bias: Any, stride: Any, padding: Any, more: Any, dilation: Any, groups: int
) -> tuple[dict[str, Any], list[int]]:
    """The settings of a transposed convolution, and how many zeros lie behind all that the kernel reaches."""
    name = f"conv_transpose{axes}d"
    _check_kernel(name, kernel, axes, groups, "C, O / groups")
    _check_bias(name, bias, kernel[1] * groups)
    check_axes(name, shape, axes, kernel[0])
    steps, gaps = (per_axis(*setting, axes, 1) for setting in (("stride", stride), ("dilation", dilation)))
    widths, more = per_axis("padding", padding, axes), per_axis("output_padding", more, axes)
    if any(m >= max(s, d) for m, s, d in zip(more, steps, gaps)):
        raise InputError(f"output_padding must be smaller than stride or dilation; got {more} with {steps} and {gaps}")
    behind = [max(m - p, 0) for m, p in zip(more, widths)]  # since the result ends `more` entries later
    pairs = tuple((p, max(p - m, 0)) for m, p in zip(more, widths))
    reached = [(n - 1) * s + d * (k - 1) + 1 for n, s, k, d in zip(shape[-axes:], steps, kernel[2:], gaps)]
    size = tuple(n - before - after for n, (before, after) in zip(reached, pairs))
    if any(n + m < 1 for n, m in zip(size, behind)) or 0 in shape[-axes:]:
        raise ShapeError(
            f"{name} makes {tuple(reached)} entries of an input of shape {shape}, and with padding {widths} "
            "on both sides nothing is left"
        )
    return {"size": size, "stride": steps, "padding": pairs, "dilation": gaps, "groups": groups}, behind


conv1d, conv2d, conv3d = conv
conv_transpose1d, conv_transpose2d, conv_transpose3d = conv_transpose


def unfold(input: Array, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Array:
    """The windows of images (N, C, H, W) or (C, H, W) as the columns of a matrix (N, C · K, number of windows).

    Example:
        >>> unfold(np.array([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]), 2)
        array([[1., 2.],
               [2., 3.],
               [4., 5.],
               [5., 6.]])
    """
    check_axes("unfold", shape_of(input), 2)
    at = _at("unfold", shape_of(input)[-2:], kernel_size, stride, padding, dilation, 2)

    def columns(x: Array) -> Array:
        if at.padded != at.size:
            x = np.pad(x, ((0, 0), (0, 0), *at.padding))
        windows = sliding_window_view(x, at.reach, axis=(2, 3))
        if {*at.stride, *at.dilation} != {1}:
            steps = [slice(None, None, step) for step in (*at.stride, *at.dilation)]
            windows = windows[:, :, *steps]
        n, c = shape_of(x)[:2]
        return windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * prod(at.kernel), prod(at.out))

    return with_batch(columns, input, 2)


def fold(
    input: Array, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Array:
    """The transpose of `unfold`: images (N, C, H, W) or (C, H, W) in which each entry of the windows is added up.

    Raises:
        ShapeError: if the input is not of shape (N, C · K, number of windows), or without N.

    Example:
        >>> fold(np.ones((4, 2)), (2, 3), 2)
        array([[[1., 2., 1.],
                [1., 2., 1.]]])
    """
    at = _at("fold", per_axis("output_size", output_size, 2, 1), kernel_size, stride, padding, dilation, 2)
    shape = shape_of(input)
    if len(shape) not in (2, 3) or shape[-2] % prod(at.kernel) or shape[-1] != prod(at.out):
        raise ShapeError(
            f"fold into {at.size} with kernel {at.kernel} needs an input of shape (N, C · {prod(at.kernel)}, "
            f"{prod(at.out)}) or without N, got {shape}"
        )
    channels = shape[-2] // prod(at.kernel)

    def image(x: Array) -> Array:
        windows = np.reshape(x, (shape_of(x)[0], channels, *at.kernel, *at.out))
        indices = tuple((slice(None), *index) for index in at.read(at.out[0]))
        parts = [windows[(slice(None), *place)] for place in at.among]
        whole = scatter(*parts, shape=(shape_of(x)[0], channels, *at.padded), indices=indices)
        return whole[:, :, *at.inside]

    return image(input) if len(shape) == 3 else image(np.expand_dims(input, 0))[0]


def _shifted(y: Array, bias: Array, axes: int) -> Array:
    return y if bias is None else y + np.reshape(bias, (-1, *(1,) * axes))


def padding_widths(padding: Any, kernel: Shape, stride: Shape, dilation: Shape) -> Any:
    """The widths in front and behind on each axis: from numbers, pairs of them, "same" or "valid"."""
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise InputError(f'padding must be numbers, "same" or "valid", got {padding!r}')
        if padding == "same" and any(s != 1 for s in stride):
            raise InputError(f'padding "same" needs stride 1, got {stride}')
        totals = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((p, p) for p in per_axis("padding", padding, len(kernel)))


def _at(name: str, size: Shape, kernel: Any, stride: Any, padding: Any, dilation: Any, axes: int) -> Geometry:
    """Where a kernel is put; raises `ShapeError` where it does not fit into the input."""
    kernel, stride, dilation = (
        per_axis(*setting, axes, 1) for setting in (("kernel_size", kernel), ("stride", stride), ("dilation", dilation))
    )
    at = geometry(size, kernel, stride, padding_widths(padding, kernel, stride, dilation), dilation)
    if any(n < 1 for n in at.out):
        raise ShapeError(f"{name}: the kernel reaches {at.reach} entries, more than the padded input's {at.padded}")
    return at


def _check_kernel(name: str, shape: Shape, axes: int, groups: int, front: str) -> None:
    whole("groups", groups)
    if len(shape) != axes + 2 or shape[0] % groups:
        raise ShapeError(
            f"{name} needs a weight of shape ({front}, {', '.join('KLM'[:axes])}), the first a multiple of {groups} "
            f"groups; got {shape}"
        )


def _check_bias(name: str, shape: Shape | None, channels: int) -> None:
    if shape not in (None, (channels,)):
        raise ShapeError(f"{name} needs a bias of shape ({channels},), got {shape}")
