"""Arranging: the same entries in other positions; some may repeat, and some may be left out."""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Example, Op, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.foundation.signatures import newer
from tinygrad_lite.ops.kept import kept
from tinygrad_lite.ops.shapes.indexing import Distinct, along, getitem, performed, places, scatter
from tinygrad_lite.ops.shapes.shaping import Reader, asked, broadcast_to, by_stand_in, reshape, taking

_MOVING: list[Callable[..., Any]] = [
    np.flip,
    np.flipud,
    np.fliplr,
    np.rot90,
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
    implements(_function)(by_stand_in(_function, places, taking))


def _checked(function: Callable[..., Any], x: Array, *settings: Any) -> Array:
    """The array, after NumPy has accepted the settings for an array with as many axes."""
    asked(function, [x], np.empty((1,) * np.ndim(x)), *settings)
    return as_array(x)


def _copying(apart: tuple[int, ...], copies: tuple[int, ...], joined: tuple[int, ...]) -> Reader:
    """Repeat an array along new axes this many times, and join these with its own axes."""

    def read(x: Array) -> Array:
        for op, shape in (reshape, apart), (broadcast_to, copies), (reshape, joined):
            x = performed(op, (x,), {"shape": shape})
        return x

    return Reader(read)


def _tiling(shape: tuple[int, ...], tiled: Array, reps: Any) -> Reader:
    times = np.ravel(reps).tolist()
    times, sizes = [1] * (tiled.ndim - len(times)) + times, [1] * (tiled.ndim - len(shape)) + [*shape]
    apart = tuple(n for size in sizes for n in (1, size))
    return _copying(apart, tuple(n for pair in zip(times, sizes) for n in pair), tiled.shape)


def _repeating(shape: tuple[int, ...], positions: Array, repeats: Any, axis: int | None = None) -> Reader:
    if np.ndim(repeats) or not shape:
        return taking(shape, positions)
    shape, axis = (shape, axis % len(shape)) if axis is not None else ((prod(shape),), 0)
    before, after = shape[: axis + 1], shape[axis + 1 :]
    return _copying((*before, 1, *after), (*before, int(repeats), *after), positions.shape)


def _on_diagonal(shape: tuple[int, ...], diagonal: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Reader:
    index = Distinct((..., *_along_diagonal(diagonal.shape[-1], offset)))
    if len(shape) == 2 and (axis1, axis2) == (0, 1):
        return Reader(lambda x: performed(getitem, (x,), {"index": index}), 2 * diagonal.shape[-1])
    return Reader(lambda x: getitem(np.moveaxis(x, (axis1, axis2), (-2, -1)), index=index), 2 * diagonal.shape[-1])


def _to_or_from_diagonal(shape: tuple[int, ...], result: Array, k: int = 0) -> Reader:
    if len(shape) == 2:
        return _on_diagonal(shape, result, k)
    params = {"shape": result.shape, "indices": (Distinct(_along_diagonal(shape[0], k)),)}
    return Reader(lambda x: performed(scatter, (x,), params), 2 * shape[0])


def _along_diagonal(count: int, offset: int) -> tuple[Array, Array]:
    """The rows and columns of the entries of a diagonal."""
    return np.arange(count) + max(-offset, 0), np.arange(count) + max(offset, 0)


implements(np.tile)(by_stand_in(np.tile, places, _tiling))
implements(np.repeat)(by_stand_in(np.repeat, places, _repeating))
implements(np.diagonal)(by_stand_in(np.diagonal, lambda shape: np.broadcast_to(0, shape), _on_diagonal))


implements(np.diag)(by_stand_in(np.diag, lambda shape: np.broadcast_to(0, shape), _to_or_from_diagonal))

VIEWING = {np.diag, np.diagonal}
"""NumPy's functions that give views, and are made here of operations that copy."""


@implements(np.diagflat)
def diagflat(v: Array, k: int = 0) -> Array:
    return np.diag(np.ravel(v), k)


def _roll(a: Array, shift: Any, axis: Any = None) -> Array:
    if type(a) is np.ndarray:
        axis = 0 if axis is None and a.ndim == 1 else axis
        if type(shift) is int and type(axis) is int and -a.ndim <= axis < a.ndim:
            return _rolled(a, shift % (a.shape[axis] or 1), axis % a.ndim)  # in a third of NumPy's time
        return np.roll(a, shift, axis)
    if axis is None:
        return np.reshape(_roll(np.ravel(a), np.sum(shift), 0), np.shape(a))
    for by, i in np.broadcast(shift, np.lib.array_utils.normalize_axis_tuple(axis, a.ndim, allow_duplicate=True)):
        if by := int(by) % (a.shape[i] or 1):
            a = _rolled(a, by, int(i))
    return a


def _rolled(a: Array, by: int, axis: int) -> Array:
    return np.concatenate([a[along(axis, slice(-by, None))], a[along(axis, slice(-by))]], axis=axis)


roll: Op = primitive(
    _roll,
    lambda g, y, a, shift, axis=None: roll(g, shift=-shift if type(shift) is int else np.subtract(0, shift), axis=axis),
    linear=True,
    kind="moving",
    examples=[([(2, 3)], {"shift": 1}), ([(2, 3)], {"shift": (1, -2), "axis": (0, 1)}), ([(0,)], {"shift": 1})],
)


@implements(np.roll)
def _roll_as_numpy(a: Array, shift: Any, axis: Any = None) -> Array:
    return roll(as_array(a), shift=int(shift) if isinstance(shift, int) else np.asarray(shift), axis=axis)


def _taking_or_zero(shape: tuple[int, ...], positions: Array, *_: Any, **__: Any) -> Reader:
    """Reads the entries at positions that count from 1; NumPy fills in zeros if there are no entries."""
    if positions.all():
        return taking(shape, positions - 1)
    return Reader(lambda x: np.zeros_like(x, shape=positions.shape))


implements(np.resize)(by_stand_in(np.resize, lambda shape: 1 + places(shape), _taking_or_zero))


def _lower(m: Array, k: int) -> Array:
    """Where a matrix has its lower triangle; of a row, NumPy makes a square."""
    rows, columns = (m.shape[-1], *m.shape)[-2:]
    return (_lower_mask if type(k) is int else _lower_mask.__wrapped__)(rows, columns, k)


@lru_cache(16)
def _lower_mask(rows: int, columns: int, k: int) -> Array:
    return kept(np.tri(rows, columns, k, dtype=bool))


def _tril(m: Array, k: int = 0) -> Array:
    return np.where(_lower(m, k), m, np.zeros(1, m.dtype))


def _triu(m: Array, k: int = 0) -> Array:
    return np.where(_lower(m, k - 1), np.zeros(1, m.dtype), m)


_TRIANGLES: list[Example] = [([(3, 4)], {}), ([(2, 3, 3)], {"k": -1}), ([(3,)], {"k": 1})]
tril: Op = primitive(_tril, lambda g, y, m, k=0: tril(g, k=k), linear=True, kind="moving", examples=_TRIANGLES)
triu: Op = primitive(_triu, lambda g, y, m, k=0: triu(g, k=k), linear=True, kind="moving", examples=_TRIANGLES)


@implements(np.tril)
def _tril_as_numpy(m: Array, k: int = 0) -> Array:
    return tril(m if m.ndim > 1 else _checked(np.tril, m, k), k=k)


@implements(np.triu)
def _triu_as_numpy(m: Array, k: int = 0) -> Array:
    return triu(m if m.ndim > 1 else _checked(np.triu, m, k), k=k)


def _trace_vjp(
    g: Array, y: Array, x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None
) -> Array:
    on_diagonal = np.eye(x.shape[axis1], x.shape[axis2], offset, dtype=bool)
    spread = np.where(on_diagonal, g[..., None, None], 0)
    return spread if spread.ndim == 2 and axis1 == 0 else np.moveaxis(spread, (-2, -1), (axis1, axis2))


trace = primitive(
    np.trace,
    _trace_vjp,
    examples=[([(3, 4)], {}), ([(3, 2)], {"offset": -1}), ([(2, 4, 3)], {"axis1": -1, "axis2": 0, "offset": 1})],
    linear=True,
    takes_complex=True,
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
