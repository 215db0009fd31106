"""Arithmetic on two arrays, laid out so that NumPy's inner loop is long.

NumPy goes in one loop through entries that lie one behind another in both arrays. Beside an array that is broadcast, as
in `x[:, None] - z`, that is a loop for each short row, and starting a loop takes longer than running it. A row that is
repeated a few times first makes one long loop of as many short ones. The results are NumPy's, bit for bit.
"""

import operator
from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

FEW = 512  # entries of both arrays, up to which NumPy takes less time than looking at their shapes
LOOPS = 1024  # from this many loops on, starting them takes longer than repeating rows
SHORT = 16  # up to this many entries, writing a row takes less time than a loop for it
LONG = 128  # from this many entries on, a loop runs for longer than it takes to start
CACHED = 2**20  # entries of a result up to which repeating all rows of 16 and more, and writing over them, is fastest
MOST = 4096  # how often a row is repeated, unless once for each row of the other array


class _Layout(NamedTuple):
    """How to lay out two arrays for long loops.

    Args:
        swapped: whether it is the first array whose rows are repeated, and not the second.
        short: the shape of the array with the short rows, `repeats` of which will make one.
        repeated: its shape with the repeated rows.
        long: the shape of the other array, whose rows are joined.
        result: the shape of the result.
        is_whole: whether the repeated rows have as many entries as the result, which is then written over them.
    """

    swapped: bool
    short: tuple[int, ...]
    repeats: int
    repeated: tuple[int, ...]
    long: tuple[int, ...]
    result: tuple[int, ...]
    is_whole: bool


def _in_long_rows(operation: Callable[[Any, Any], Any], ufunc: np.ufunc) -> Callable[[Any, Any], Any]:
    """What a Python operator computes; of two NumPy arrays, one of them broadcast, by its ufunc in long loops."""

    def compute(a: Any, b: Any) -> Any:
        if type(a) is type(b) is ndarray and a.shape != b.shape and a.size + b.size > FEW:
            layout = _layout(a.shape, b.shape)
            if layout and a.dtype == b.dtype and a.dtype.isnative and a.flags.c_contiguous and b.flags.c_contiguous:
                short, long = (a, b) if layout.swapped else (b, a)
                short = short.reshape(layout.short).repeat(layout.repeats, axis=-2).reshape(layout.repeated)
                long = long.reshape(layout.long)
                out = short if layout.is_whole and a.dtype.kind in "fciu" else None  # of the same dtype as the result
                y = ufunc(short, long, out=out) if layout.swapped else ufunc(long, short, out=out)
                return y.reshape(layout.result)
        return operation(a, b)

    return compute


@lru_cache(1000)
def _layout(a: tuple[int, ...], b: tuple[int, ...]) -> _Layout | None:
    """The layout for arrays of two shapes; None if NumPy's loops are long or few."""
    axes = max(len(a), len(b))
    a, b = (1,) * (axes - len(a)) + a, (1,) * (axes - len(b)) + b
    result = tuple(map(max, a, b))
    if any(size not in (1, most) for shape in (a, b) for size, most in zip(shape, result)):
        return None  # they do not broadcast, or are empty
    shared = axes  # the axes from here on are the same in both arrays
    while shared and a[shared - 1] == b[shared - 1]:
        shared -= 1
    row = prod(result[shared:])
    if not shared or not 1 < row < LONG // 2 or prod(result) < LOOPS * row:
        return None
    swapped = a[shared - 1] == 1
    short, long = (a, b) if swapped else (b, a)
    rows = long[shared - 1]
    is_cached = row >= SHORT and prod(result) <= CACHED
    fitting = (n for n in range(min(rows, -(-LONG // row)), min(rows, MOST)) if rows % n == 0)
    repeats = rows if is_cached else next(fitting, rows)
    repeated, joined = (*short[: shared - 1], 1, repeats * row), (*long[: shared - 1], rows // repeats, repeats * row)
    is_whole = prod(repeated) == prod(result)
    if is_whole and row >= SHORT and not is_cached:
        return None
    return _Layout(swapped, (*repeated[:-1], row), repeats, repeated, joined, result, is_whole)


def along_short_rows(column: Any, shape: tuple[int, ...]) -> Any:
    """An array (…, 1) of many entries, repeated along the last axis of this shape if that is short; else as it is.

    It saves a loop for each row wherever the result meets an array of this shape.
    """
    is_column = type(column) is ndarray and column.size >= LOOPS and column.shape[-1] == 1
    if not is_column or not 1 < shape[-1] <= SHORT or column.dtype not in (np.float32, np.float64):
        return column
    return column.reshape(-1, 1).dot(np.ones((1, shape[-1]), column.dtype)).reshape(*column.shape[:-1], shape[-1])


subtract = _in_long_rows(operator.sub, np.subtract)
multiply = _in_long_rows(operator.mul, np.multiply)
