"""Resizing and sampling of images, as ONNX's Resize, GridSample and RoiAlign define them."""

from collections.abc import Sequence
from math import ceil, floor
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError
from tinygrad_lite.interchange.onnx_in.onnx_functions import wholes
from tinygrad_lite.nn.functional.checks import values_of
from tinygrad_lite.ops.networks.between_pixels import grid_sample, kernel

__all__ = ["grid_sample", "region_align", "resize"]


def resize(
    x: Array,
    sizes: Any = None,
    scales: Any = None,
    mode: str = "nearest",
    axes: Sequence[int] | None = None,
    places: str = "half_pixel",
    rounding: str = "round_prefer_floor",
    a: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    policy: str = "stretch",
    region: Any = None,
    outside: float = 0.0,
) -> Array:
    """Along each axis, y[j] = Σ_t w_t(j) x[i_t(j)], a weighted sum of neighbours of the place that j stands for."""
    axes = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in axes]
    before = [x.shape[axis] for axis in axes]
    if sizes is None:
        factors = [float(s) for s in np.ravel(values_of(scales))]
        after = [floor(n * s) for n, s in zip(before, factors)]
    else:
        after = list(wholes(sizes))
        factors = [m / n for m, n in zip(after, before)]
        if policy != "stretch":
            factor = (min if policy == "not_larger" else max)(factors)
            factors, after = [factor] * len(axes), [floor(n * factor + 0.5) for n in before]
    starts, ends = _region(region, len(axes))
    for axis, n, m, factor, start, end in zip(axes, before, after, factors, starts, ends):
        if n == m and factor == 1 and places != "tf_crop_and_resize":
            continue
        at = _places(places, n, m, factor, start, end)
        if mode == "nearest":
            x = _taken(x, np.clip(_rounded(at, rounding), 0, n - 1).astype(int), axis)
        else:
            neighbours, weights = _weights(at, n, f"bi{mode}", factor if antialias else 1.0, a, exclude_outside)
            matrix = np.zeros((m, n))
            np.add.at(matrix, (np.arange(m)[:, None], neighbours), weights)
            x = np.moveaxis(np.tensordot(x, matrix.astype(x.dtype), axes=([axis], [1])), -1, axis)
        if places == "tf_crop_and_resize":
            column = ((at < 0) | (at > n - 1)).reshape(-1, *(1,) * (x.ndim - 1 - axis))
            x = np.where(column, np.asarray(outside, x.dtype), x)
    return x


def _region(region: Any, axes: int) -> tuple[Any, Any]:
    if region is None:
        return [0.0] * axes, [1.0] * axes
    numbers = np.ravel(values_of(region))
    return numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]


def _taken(x: Array, entries: Any, axis: int) -> Array:
    return np.take(x, entries, axis=axis)


def _places(mode: str, n: int, m: int, factor: float, start: float, end: float) -> Any:
    """The place among n entries of each of m entries."""
    j = np.arange(m, dtype=float)
    if mode == "half_pixel":
        return (j + 0.5) / factor - 0.5
    if mode == "half_pixel_symmetric":
        middle = n / 2 * (1 - m / (factor * n))
        return middle + (j + 0.5) / factor - 0.5
    if mode == "pytorch_half_pixel":
        return (j + 0.5) / factor - 0.5 if m > 1 else np.zeros(1)
    if mode == "asymmetric":
        return j / factor
    if mode == "align_corners":
        return j * (n - 1) / (n * factor - 1) if n * factor != 1 else np.zeros(m)
    if mode == "tf_half_pixel_for_nn":
        return (j + 0.5) / factor
    if mode == "tf_crop_and_resize":
        middle = 0.5 * (start + end) * (n - 1)
        return start * (n - 1) + j * (end - start) * (n - 1) / (m - 1) if m > 1 else np.full(m, middle)
    raise InputError(f"a Resize has no coordinate_transformation_mode {mode!r}")


def _rounded(at: Any, rounding: str) -> Any:
    if rounding == "floor":
        return np.floor(at)
    if rounding == "ceil":
        return np.ceil(at)
    return np.ceil(at - 0.5) if rounding == "round_prefer_floor" else np.floor(at + 0.5)


def _weights(at: Any, n: int, mode: str, factor: float, a: float, exclude_outside: bool) -> tuple[Any, Any]:
    """The neighbours of each place, and their weights; more of them where an image gets smaller without steps."""
    narrow = min(factor, 1.0)
    reach = (1 if mode == "bilinear" else 2) / narrow
    count = 2 * ceil(reach)
    neighbours = np.floor(at).astype(int)[:, None] + np.arange(1 - count // 2, 1 + count // 2)
    weights = kernel(mode, (at[:, None] - neighbours) * narrow, a)
    if exclude_outside:
        weights = np.where((neighbours >= 0) & (neighbours < n), weights, 0)
    return np.clip(neighbours, 0, n - 1), weights / np.sum(weights, axis=1, keepdims=True)


def region_align(
    x: Array,
    regions: Array,
    batches: Array,
    size: tuple[int, int],
    sampling_ratio: int,
    scale: float,
    mode: str,
    shift: float,
) -> Array:
    """The mean or the largest of samples in each cell of each region of images (N, C, H, W)."""
    results = []
    for region, batch in zip(values_of(regions), values_of(batches)):
        x1, y1, x2, y2 = (float(n) * scale - shift for n in region)
        extent = [y2 - y1, x2 - x1]
        extent = extent if shift else [max(n, 1.0) for n in extent]
        cells = [n / m for n, m in zip(extent, size)]
        counts = [sampling_ratio or max(ceil(n), 1) for n in cells]
        rows, columns = (
            first + (np.arange(m)[:, None] + (np.arange(c) + 0.5) / c) * cell
            for first, m, c, cell in zip((y1, x1), size, counts, cells)
        )
        samples = _bilinear(x[int(batch)], rows.ravel(), columns.ravel(), mode)
        samples = np.reshape(samples, (x.shape[1], size[0], counts[0], size[1], counts[1]))
        results.append(np.mean(samples, axis=(2, 4)) if mode == "avg" else np.max(samples, axis=(2, 4)))
    return np.stack(results) if results else np.zeros((0, x.shape[1], *size), x.dtype)


def _bilinear(image: Array, rows: Any, columns: Any, mode: str) -> Array:
    """An image (C, H, W) at rows and columns; the largest of the weighted neighbours where the mode is "max"."""
    terms = []
    sides = []
    for at, n in ((rows, image.shape[1]), (columns, image.shape[2])):
        is_inside = (at >= -1) & (at <= n)
        place = np.clip(at, 0, n - 1)
        low = np.floor(place).astype(int)
        part = place - low
        sides.append([(low, (1 - part) * is_inside), (np.minimum(low + 1, n - 1), part * is_inside)])
    for i, u in sides[0]:
        for j, v in sides[1]:
            weight = (u[:, None] * v).astype(image.dtype)
            terms.append(image[:, i[:, None], j] * weight)
    return np.max(np.stack(terms), axis=0) if mode == "max" else sum(terms[1:], terms[0])
