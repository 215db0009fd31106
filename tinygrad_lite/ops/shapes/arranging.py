"""Arranging: the same entries in other positions; some may repeat, and some may be left out."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.arguments import as_array
from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.engine.registry import implements, newer
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.ops.shapes.indexing import along, places
from tinygrad_lite.ops.shapes.joining import concatenate
from tinygrad_lite.ops.shapes.shaping import asked, by_stand_in, ravel, taken

_MOVING: list[Callable[..., Any]] = [
    np.rot90,
    np.diagonal,
    np.tile,
    np.repeat,
    np.delete,
    np.fft.fftshift,
    np.fft.ifftshift,
    np.split,
    np.array_split,
    np.hsplit,
    np.vsplit,
    np.dsplit,
    *newer("unstack"),
]
for _function in _MOVING:
    implements(_function)(by_stand_in(_function, places, lambda x, positions: taken(ravel(x), positions)))


def _checked(function: Callable[..., Any], x: Array, *settings: Any) -> Array:
    """The array, after NumPy has accepted the settings for an array with as many axes."""
    asked(function, [x], np.empty((1,) * np.ndim(x)), *settings)
    return as_array(x)


@implements(np.flip)
def flip(m: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    m = _checked(np.flip, m, axis)
    axes = range(m.ndim) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, m.ndim)
    return m[tuple(slice(None, None, -1 if i in axes else 1) for i in range(m.ndim))]


@implements(np.flipud)
def flipud(m: Array) -> Array:
    return np.flip(_checked(np.flipud, m), 0)


@implements(np.fliplr)
def fliplr(m: Array) -> Array:
    return np.flip(_checked(np.fliplr, m), 1)


@implements(np.roll)
def roll(a: Array, shift: Any, axis: int | tuple[int, ...] | None = None) -> Array:
    shift = np.asarray(shift)
    a = _checked(np.roll, a, shift, axis)
    if axis is None:
        return np.reshape(roll(np.ravel(a), np.sum(shift), 0), a.shape)
    for by, i in np.broadcast(shift, np.lib.array_utils.normalize_axis_tuple(axis, a.ndim, allow_duplicate=True)):
        if by := int(by) % (a.shape[i] or 1):
            a = np.concatenate([a[along(i, slice(-by, None))], a[along(i, slice(-by))]], axis=int(i))
    return a


def _taken_or_zero(x: Array, positions: Any) -> Any:
    """The entries at positions that count from 1; position 0 is where NumPy filled in a zero."""
    return taken(concatenate(np.zeros(1, x.dtype), ravel(x)), positions)


for _function in (np.diag, np.diagflat, np.tril, np.triu, np.resize):
    implements(_function)(by_stand_in(_function, lambda shape: 1 + places(shape), _taken_or_zero))


def _trace_vjp(
    g: Array, y: Array, x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None
) -> Array:
    diagonal = np.eye(np.shape(x)[axis1], np.shape(x)[axis2], offset, dtype=bool)
    return np.moveaxis(np.where(diagonal, np.expand_dims(g, (-2, -1)), 0), (-2, -1), (axis1, axis2))


trace = primitive(
    np.trace,
    _trace_vjp,
    examples=[([(3, 4)], {}), ([(3, 2)], {"offset": -1}), ([(2, 4, 3)], {"axis1": -1, "axis2": 0, "offset": 1})],
    linear=True,
)


@implements(np.trim_zeros)
def trim_zeros(filt: Array, trim: str = "fb", axis: int | tuple[int, ...] | None = None) -> Array:
    trim = trim.lower()
    if trim not in ("f", "b", "fb", "bf"):
        raise InputError(f"trim_zeros: trim must be 'f' (front), 'b' (back) or 'fb', got {trim!r}")
    axes = range(filt.ndim) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, filt.ndim)
    index = [slice(None)] * filt.ndim
    others = np.nonzero(filt)
    for i in axes:
        kept = others[i].tolist()
        first, stop = min(kept, default=filt.shape[i]), max(kept, default=-1) + 1
        index[i] = slice(first if "f" in trim else None, stop if "b" in trim else None)
    return filt[tuple(index)]


@implements(np.fill_diagonal)
def fill_diagonal(a: Array, val: Array, wrap: bool = False) -> None:
    raise UsageError(
        "fill_diagonal would write into its array, and arrays in a graph never change: write "
        "i = np.arange(n); x = x.at[i, i].set(values)"
    )
