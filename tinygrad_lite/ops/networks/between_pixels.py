"""Images read at places between their pixels, and the places that an affine map of an image leads to."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")


def grid_sample(
    input: Array,
    grid: Array,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Array:
    """Images (N, C, H, W) at places (N, h, w, 2): y[n, c, i, j] is image n, channel c, at grid[n, i, j].

    Each place is (x, y), from -1 at the left or upper border to 1 at the other, or, with `align_corners`, at the
    centres of the pixels at the border. A value between pixels is the weighted sum of neighbours: two along each axis,
    or four for "bicubic"; or that of the nearest pixel. Beyond the border are zeros, the pixels at the border, or their
    reflection. Images of one or three axes are read alike, at places of as many numbers.

    Source: Jaderberg et al. (2015), Spatial transformer networks, equation 5.

    Raises:
        ShapeError: if the grid does not belong to the images.
        InputError: if a mode is unknown.

    Example:
        >>> image = np.array([[[[1.0, 3.0]]]])
        >>> grid_sample(image, np.array([[[[0.0, 0.0], [0.25, 0.0]]]]))
        array([[[[2. , 2.5]]]])
    """
    shape, places = np.shape(input), np.shape(grid)
    axes = len(shape) - 2
    if axes < 1 or len(places) != len(shape) or places[0] != shape[0] or places[-1] != axes:
        needed = (*shape[:1], *"hwd"[: max(axes, 1)], max(axes, 1))
        raise ShapeError(
            f"grid_sample: images (N, C, …) of shape {shape} need a grid ({', '.join(map(str, needed))}), got {places}"
        )
    if mode not in MODES or (mode == "bicubic" and axes != 2):
        raise InputError(f"grid_sample: mode must be one of {', '.join(MODES)}, bicubic for two axes; got {mode!r}")
    if padding_mode not in PADDINGS:
        raise InputError(f"grid_sample: padding_mode must be one of {', '.join(PADDINGS)}; got {padding_mode!r}")
    if 0 in shape[2:]:
        raise ShapeError(f"grid_sample: images of shape {shape} have no pixels")
    sizes, at = shape[2:], []
    for axis, n in enumerate(sizes):
        place = grid[..., axes - 1 - axis]
        place = (place + 1) / 2 * (n - 1) if align_corners else ((place + 1) * n - 1) / 2
        at.append(place if mode == "bicubic" else inside(place, n, padding_mode, bool(align_corners)))
    front = (np.arange(shape[0]).reshape(-1, *(1,) * axes),)
    values = pixels(np.moveaxis(input, 1, -1), front, at, sizes, mode, padding_mode, bool(align_corners))
    return np.moveaxis(values, -1, 1)


def affine_grid(theta: Array, size: Sequence[int], align_corners: bool | None = None) -> Array:
    """The places (N, H, W, 2) for `grid_sample` at which an image of this size shows another one, moved by θ (N, 2, 3).

    Place (x, y) is θ (x', y', 1)ᵀ, where (x', y') is that of the pixel itself. θ (N, 3, 4) moves images of three axes.

    Raises:
        ShapeError: if θ does not go with the size.

    Example:
        >>> affine_grid(np.array([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2))
        array([[[[0., 0.],
                 [1., 0.]]]])
    """
    size = tuple(map(int, size))
    axes = len(size) - 2
    if axes not in (2, 3) or np.shape(theta) != (size[0], axes, axes + 1):
        raise ShapeError(
            "affine_grid needs theta (N, 2, 3) with a size (N, C, H, W), or (N, 3, 4) with (N, C, D, H, W); got theta "
            f"of shape {np.shape(theta)} and the size {size}"
        )
    lines = [_centres(n, bool(align_corners)) for n in size[2:]]
    own = np.stack([*reversed(np.meshgrid(*lines, indexing="ij")), np.ones(size[2:])], axis=-1)
    moved = np.reshape(own, (-1, axes + 1)).astype(theta.dtype) @ np.swapaxes(theta, -1, -2)
    return np.reshape(moved, (size[0], *size[2:], axes))


def _centres(n: int, is_aligned: bool) -> Any:
    """The places of n pixels between -1 and 1."""
    if n == 1:
        return np.zeros(1)
    return np.linspace(-1, 1, n) if is_aligned else (2 * np.arange(n) + 1) / n - 1


def pixels(
    x: Array,
    front: tuple[Any, ...],
    at: list[Array],
    sizes: Sequence[int],
    mode: str = "bilinear",
    padding: str = "zeros",
    is_aligned: bool = False,
) -> Array:
    """The pixels of images (…, H, W, C) at places between them; `front` is the index of the axes before the pixels."""
    if mode == "nearest":
        return _read(x, front, [np.rint(place) for place in at], sizes, padding, is_aligned)
    offsets = (0, 1) if mode == "bilinear" else (-1, 0, 1, 2)
    first = [np.floor(place) for place in at]
    weights = [[_weight(mode, place - f, offset) for offset in offsets] for place, f in zip(at, first)]
    total: Any = 0
    for step in np.ndindex(*(len(offsets),) * len(sizes)):
        neighbour = [f + offsets[s] for f, s in zip(first, step)]
        weight = reduce(np.multiply, [of_axis[s] for of_axis, s in zip(weights, step)])
        total = total + _read(x, front, neighbour, sizes, padding, is_aligned) * weight[..., None]
    return total


def _weight(mode: str, part: Array, offset: int) -> Array:
    """The weight of a neighbour; at a pixel itself, its slope is that between this pixel and the next one."""
    distance = part - offset if offset <= 0 else offset - part
    if mode == "bilinear":
        return 1 - distance
    return _near(distance, -0.75) if offset in (0, 1) else _far(distance, -0.75)


def _near(t: Any, a: float) -> Any:
    return ((a + 2) * t - (a + 3)) * t * t + 1


def _far(t: Any, a: float) -> Any:
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def kernel(mode: str, t: Any, a: float) -> Any:
    """The weight of a neighbour at a distance: a hat, or Keys' cubic polynomial."""
    t = np.abs(t)
    if mode == "bilinear":
        return np.maximum(1 - t, 0)
    return np.where(t <= 1, _near(t, a), np.where(t < 2, _far(t, a), 0))


def inside(place: Array, n: int, padding: str, is_aligned: bool) -> Array:
    """Places beyond the border, moved onto it or reflected at it; the same places where there are zeros beyond."""
    if padding == "zeros":
        return place
    if padding == "border":
        return np.clip(place, 0, n - 1)
    low, high = (0.0, n - 1.0) if is_aligned else (-0.5, n - 0.5)
    span = high - low
    if span == 0:
        return place * 0
    away = np.remainder(place - low, 2 * span)
    return np.clip(low + np.where(away > span, 2 * span - away, away), 0, n - 1)


def _read(
    x: Array, front: tuple[Any, ...], places: list[Any], sizes: Sequence[int], padding: str, is_aligned: bool
) -> Array:
    """The pixels at whole places; zeros beyond the border, or those to which it is moved."""
    if padding != "zeros":
        places = [np.rint(inside(p, n, padding, is_aligned)) for p, n in zip(places, sizes)]
    index = [np.fmin(np.fmax(p, 0), n - 1).astype(int) for p, n in zip(places, sizes)]  # nan is no index
    values = x[(*front, *index)]
    if padding != "zeros":
        return values
    is_inside = reduce(np.logical_and, [(p >= 0) & (p <= n - 1) for p, n in zip(places, sizes)])
    return values * is_inside[..., None].astype(x.dtype)
