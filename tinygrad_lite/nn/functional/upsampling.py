"""Images in another size, and pixels that become channels and back."""

from collections.abc import Callable, Sequence
from functools import partial
from math import floor, prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.foundation.settings import remembered
from tinygrad_lite.nn.functional import pooling
from tinygrad_lite.nn.functional.checks import shape_of
from tinygrad_lite.nn.functional.sizes import Shape, Sizes, fixed, per_axis
from tinygrad_lite.ops.kept import kept
from tinygrad_lite.ops.networks.between_pixels import affine_grid, grid_sample
from tinygrad_lite.ops.networks.resampling import Spacing, resample

__all__ = ["affine_grid", "channel_shuffle", "grid_sample", "interpolate", "pixel_shuffle", "pixel_unshuffle"]

_AXES = {"linear": (1,), "bilinear": (2,), "bicubic": (2,), "trilinear": (3,)}
MODES = ("nearest", "nearest-exact", "area", *_AXES)


def interpolate(
    input: Array,
    size: Sizes | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Array:
    """Images (N, C, …) in another size: along each axis, y[j] = Σ_t w_t(j) x[i_t(j)], a weighted sum of neighbours.

    Entry j lies at (j + ½) n / m - ½ among the n entries of x, or, with `align_corners`, at j (n - 1) / (m - 1). The
    modes: "nearest" and "nearest-exact" take one neighbour, "linear", "bilinear" and "trilinear" two along each of one,
    two and three axes, "bicubic" four; "area" is the mean of what a pixel covers. With `antialias`, "bilinear" and
    "bicubic" weigh everything that a pixel covers where the image gets smaller. In the linear and antialiased modes, an
    axis as long as before stays as it is, whatever its factor.

    Raises:
        ShapeError: if the input does not have the axes of the mode.
        InputError: if not exactly one of size and scale_factor is given, or a setting does not go with the mode.

    Source: Keys (1981), Cubic convolution interpolation for digital image processing, with a = -¾.

    Example:
        >>> interpolate(np.array([[[1.0, 3.0]]]), scale_factor=2, mode="linear")
        array([[[1. , 1.5, 2.5, 3. ]]])
    """
    settings = *map(fixed, (size, scale_factor)), mode, align_corners, bool(recompute_scale_factor), antialias
    for along in _steps(shape_of(input), *settings):
        input = along(input)
    return input


@remembered
def _steps(
    shape: Shape, size: Any, factor: Any, mode: str, align_corners: bool | None, recompute: bool, antialias: bool
) -> Sequence[Callable[[Array], Array]]:
    """The steps that make the image, one axis after another, checked once for each form of a call."""
    axes, before = len(shape) - 2, shape[2:]
    if mode not in MODES:
        raise InputError(f"interpolate knows the modes {', '.join(MODES)}; got {mode!r}")
    if axes not in (known := _AXES.get(mode, (1, 2, 3))):
        count = " or ".join(map(str, known))
        raise ShapeError(
            f"interpolate: {mode!r} needs an input (N, C, …) with {count} axes of pixels, got shape {shape}"
        )
    if align_corners is not None and mode not in _AXES:
        raise InputError(f"interpolate: align_corners is for {', '.join(_AXES)}, not for {mode!r}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise InputError(f"interpolate: antialias is for bilinear and bicubic, not for {mode!r}")
    if 0 in before:
        raise ShapeError(f"interpolate: an input of shape {shape} has no pixels")
    wanted, scales = _sizes(before, size, factor, recompute)
    if mode == "area":
        return [partial(pooling.adaptive_avg_pool[axes - 1], output_size=wanted)]
    if antialias or mode.endswith("linear") or (mode, axes) == ("nearest", 2):  # as in PyTorch
        few = {1, 2} if mode == "nearest" else {1}  # an axis that stays, or doubles, is as without a factor
        scales = [None if m / n in few else scale for n, m, scale in zip(before, wanted, scales)]
    steps: list[Callable[[Array], Array]] = []
    for axis, n, m, scale in reversed([*zip(range(2, 2 + axes), before, wanted, scales)]):  # rows of memory first
        if mode.startswith("nearest"):
            nearest = _nearest(n, m, scale, mode == "nearest-exact")
            is_even = m % n == 0 and np.array_equal(nearest, np.arange(m) // (m // n))
            steps.append(
                partial(np.repeat, repeats=m // n, axis=axis)
                if is_even
                else partial(np.take, indices=kept(nearest), axis=axis)
            )
        else:
            spacing = Spacing(n, m, scale, 4 if mode == "bicubic" else 2, bool(align_corners), antialias)
            steps.append(partial(resample, axis=axis, spacing=spacing))
    return steps


def _sizes(before: Any, size: Any, factor: Any, recompute: bool) -> tuple[tuple[int, ...], Any]:
    """The size that is asked for, and the factor for each axis where it counts."""
    axes = len(before)
    if (size is None) == (factor is None):
        raise InputError(f"interpolate needs either size or scale_factor; got {size} and {factor}")
    if size is not None:
        if recompute:
            raise InputError("interpolate: recompute_scale_factor goes with scale_factor, not with size")
        return per_axis("size", size, axes, 1), [None] * axes
    factors = [float(f) for f in (factor if np.ndim(factor) else [factor] * axes)]
    wanted = tuple(floor(n * f) for n, f in zip(before, factors))
    if len(factors) != axes or min(wanted) < 1:
        raise InputError(f"scale_factor must be one factor for each of {axes} axes that leaves pixels; got {factor}")
    return wanted, [None] * axes if recompute else factors


def _nearest(n: int, m: int, factor: float | None, exact: bool) -> Array:
    """The nearest of n entries for each of m; in single precision, as PyTorch, which decides between two."""
    step = np.float32(1 / factor if factor else np.float32(n) / np.float32(m))
    shift = np.float32(0.5 if exact else 0)
    return np.minimum(np.floor((np.arange(m, dtype=np.float32) + shift) * step).astype(int), n - 1)


def pixel_shuffle(input: Array, upscale_factor: int) -> Array:
    """(…, C r², H, W) as (…, C, H r, W r): each r × r pixels were channels.

    Source: Shi et al. (2016), Real-time single image and video super-resolution, eq. 4.

    Raises:
        ShapeError: if the channels are not a multiple of r².

    Example:
        >>> pixel_shuffle(np.arange(4.0).reshape(4, 1, 1), 2)
        array([[[0., 1.],
                [2., 3.]]])
    """
    (r,) = per_axis("upscale_factor", upscale_factor, 1, 1)
    shape = shape_of(input)
    if len(shape) < 3 or shape[-3] % r**2:
        raise ShapeError(f"pixel_shuffle by {r} needs an input (…, C · {r**2}, H, W), got shape {shape}")
    *front, channels, h, w = shape
    return _moved(
        input, (*front, channels // r**2, r, r, h, w), (0, 3, 1, 4, 2), (*front, channels // r**2, h * r, w * r)
    )


def pixel_unshuffle(input: Array, downscale_factor: int) -> Array:
    """(…, C, H r, W r) as (…, C r², H, W): the way back from `pixel_shuffle`.

    Raises:
        ShapeError: if the height or the width is not a multiple of r.

    Example:
        >>> pixel_unshuffle(np.array([[[0.0, 1.0], [2.0, 3.0]]]), 2).ravel()
        array([0., 1., 2., 3.])
    """
    (r,) = per_axis("downscale_factor", downscale_factor, 1, 1)
    shape = shape_of(input)
    if len(shape) < 3 or shape[-2] % r or shape[-1] % r:
        raise ShapeError(f"pixel_unshuffle by {r} needs an input (…, C, H · {r}, W · {r}), got shape {shape}")
    *front, channels, h, w = shape
    h, w = h // r, w // r
    return _moved(input, (*front, channels, h, r, w, r), (0, 2, 4, 1, 3), (*front, channels * r**2, h, w))


def channel_shuffle(input: Array, groups: int) -> Array:
    """(N, C, …) with the channels of the groups dealt out in turn: group 0, 1, …, then again.

    Source: Zhang et al. (2018), ShuffleNet.

    Raises:
        ShapeError: if the channels are not a multiple of the groups.

    Example:
        >>> channel_shuffle(np.arange(4.0).reshape(1, 4, 1), 2).ravel()
        array([0., 2., 1., 3.])
    """
    (groups,) = per_axis("groups", groups, 1, 1)
    shape = shape_of(input)
    if len(shape) < 3 or shape[1] % groups:
        raise ShapeError(f"channel_shuffle needs an input (N, C, …) with C a multiple of {groups} groups, got {shape}")
    opened = np.reshape(input, (shape[0], groups, shape[1] // groups, prod(shape[2:])))
    return np.reshape(np.swapaxes(opened, 1, 2), shape)


def _moved(x: Array, opened: Sequence[int], order: Sequence[int], shape: Sequence[int]) -> Array:
    """The array with its last axes opened up, put into an order, and merged again."""
    front = len(opened) - len(order)
    return np.reshape(np.transpose(np.reshape(x, opened), [*range(front), *(front + i for i in order)]), shape)
