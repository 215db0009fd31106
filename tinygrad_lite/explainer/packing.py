"""Packs arrays for a page: small arrays to the last bit, large ones as a sample, and the page says so."""

from base64 import b64encode
from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array

WHOLE = 200_000
"""The largest number of entries of an array that a page holds in full."""

ROWS = COLUMNS = 64
"""The number of entries of a sample."""


class Budget:
    """The number of entries for which a page still has room, over all arrays."""

    def __init__(self, entries: int = 1_500_000) -> None:
        self.left = entries

    def allows(self, array: Array) -> bool:
        """Whether there is room for a whole array; if so, reserve it."""
        size = int(np.size(array))
        if size > WHOLE or size > self.left:
            return False
        self.left -= size
        return True


_text_of: Callable[[Any], str] = cache(str)  # NumPy makes the name of a dtype anew each time


def packed(array: Array, budget: Budget) -> dict[str, Any]:
    """An array for a page.

    A sample has `rows` and `columns`: those that it keeps of the array as a matrix along its last axis. In a complex
    array, real and imaginary parts alternate, side by side in that matrix.
    """
    array = np.asarray(array)
    if array.dtype.kind == "c":
        parts = np.stack([array.real, array.imag], axis=-1)
        side_by_side = parts.reshape(*array.shape[:-1], -1) if array.ndim > 1 else parts.reshape(-1, 2)
        return packed(side_by_side, budget) | {"shape": list(array.shape), "complex": True}
    form: dict[str, Any] = {"shape": list(array.shape), "dtype": _text_of(array.dtype)}
    if budget.allows(array):
        return form | {"data": _entries(array)}
    columns = array.shape[-1] if array.ndim > 1 else array.size
    matrix = np.reshape(array, (prod(array.shape[:-1]) if array.ndim > 1 else 1, columns))
    rows_taken, columns_taken = (_spread(size, most) for size, most in zip(matrix.shape, (ROWS, COLUMNS)))
    finite = matrix[np.isfinite(matrix)]
    with np.errstate(over="ignore"):
        told = {f.__name__: repr(float(f(finite))) for f in (np.mean, np.min, np.max)} if finite.size else {}
    sample = matrix[np.ix_(rows_taken, columns_taken)]
    return form | {
        "rows": rows_taken.tolist(),
        "columns": columns_taken.tolist(),
        "data": _entries(sample),
        "told": told,
    }


def _entries(array: Array) -> Any:
    """A few entries as text with all digits; more entries as the bytes of float64 or float32."""
    if array.size <= 4:
        return [repr(float(x)) for x in np.ravel(array).tolist()]
    kind = "<f4" if array.dtype == np.float32 else "<f8"
    return b64encode(np.ascontiguousarray(array).astype(kind).tobytes()).decode("ascii")


def _spread(size: int, most: int) -> Any:
    """At most this many positions, evenly spread, including the first and the last."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(int))
