"""Lists of arrays and turns of loops, as ONNX's sequences, Loop and Scan define them."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.interchange.onnx_in.onnx_functions import whole, wholes


def endless() -> Iterator[int]:
    """0, 1, 2, …."""
    return count()


def along(x: Array, axis: int, is_backward: bool) -> list[Array]:
    """The slices of x along an axis."""
    parts = [np.take(x, k, axis=axis) for k in range(x.shape[axis])]
    return parts[::-1] if is_backward else parts


def stacked(parts: list[Array], axis: int = 0, is_backward: bool = False) -> Array:
    """Slices along a new axis; an empty array if there are none."""
    return np.stack(parts[::-1] if is_backward else parts, axis=axis) if parts else np.zeros(0, np.float32)


def inserted(parts: list[Array], x: Array, place: Any = None) -> list[Array]:
    """A list with one array more, by default at its end."""
    k = len(parts) if place is None else whole(place)
    parts = list(parts)
    parts.insert(k % (len(parts) + 1) if k >= 0 else k, x)
    return parts


def erased(parts: list[Array], place: Any = None) -> list[Array]:
    """A list without one array, by default the last."""
    k = -1 if place is None else whole(place)
    k %= len(parts)
    return [*parts[:k], *parts[k + 1 :]]


def split_to_list(x: Array, sizes: Any = None, axis: int = 0, keepdims: bool = True) -> list[Array]:
    """Parts of x, of one size or of several, or each entry by itself."""
    n = x.shape[axis]
    if sizes is None and not keepdims:
        return along(x, axis, False)
    if sizes is None or not np.ndim(sizes):
        size = 1 if sizes is None else whole(sizes)
        return list(np.split(x, list(range(size, n, size)), axis=axis))
    return list(np.split(x, np.cumsum(wholes(sizes))[:-1], axis=axis))
