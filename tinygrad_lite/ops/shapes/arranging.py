"""Arranging: the same entries in other positions; some may repeat, and some may be left out."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from tinygrad_lite.engine.arguments import as_array
from tinygrad_lite.engine.op import Array, Example, Op, primitive
from tinygrad_lite.engine.registry import implements, newer
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.ops.shapes.indexing import Distinct, along, getitem, places, scatter
from tinygrad_lite.ops.shapes.shaping import Reader, asked, by_stand_in, ravel, taking

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


@implements(np.tile)
def tile(A: Array, reps: Any) -> Array:
    reps = np.ravel(np.asarray(reps))
    A = as_array(A)
    ndim = max(A.ndim, reps.size)
    sizes, times = (1,) * (ndim - A.ndim) + A.shape, (1,) * (ndim - reps.size) + tuple(reps.tolist())
    apart = np.reshape(A, tuple(n for size in sizes for n in (1, size)))
    copies = np.broadcast_to(apart, tuple(n for pair in zip(times, sizes) for n in pair))
    return np.reshape(copies, tuple(n * size for n, size in zip(times, sizes)))


_repeat_each = by_stand_in(np.repeat, places, taking)


@implements(np.repeat)
def repeat(a: Array, repeats: Any, axis: int | None = None) -> Array:
    repeats = np.asarray(repeats)
    a = as_array(a)
    if repeats.ndim or not a.ndim or repeats.dtype.kind not in "iu":
        return _repeat_each(a, repeats, axis)
    a, axis = (ravel(a), 0) if axis is None else (a, np.lib.array_utils.normalize_axis_index(axis, a.ndim))
    copies = np.broadcast_to(np.expand_dims(a, axis + 1), (*a.shape[: axis + 1], int(repeats), *a.shape[axis + 1 :]))
    return np.reshape(copies, (*a.shape[:axis], a.shape[axis] * int(repeats), *a.shape[axis + 1 :]))


@implements(np.diagonal)
def diagonal(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    count = asked(np.diagonal, [a], np.broadcast_to(0, a.shape), offset, axis1, axis2).shape[-1]
    moved = a if a.ndim == 2 and (axis1, axis2) == (0, 1) else np.moveaxis(a, (axis1, axis2), (-2, -1))
    return getitem(moved, index=Distinct((..., *_on_diagonal(count, offset))))


@lru_cache(256)
def _on_diagonal(count: int, offset: int) -> tuple[Array, Array]:
    """The rows and columns of the entries of a diagonal."""
    return np.arange(count) + max(-offset, 0), np.arange(count) + max(offset, 0)


@implements(np.diag)
def diag(v: Array, k: int = 0) -> Array:
    if v.ndim != 1:
        return np.diagonal(_checked(np.diag, v, k), k)
    size = len(v) + abs(k)
    return scatter(v, shape=(size, size), indices=(Distinct(_on_diagonal(len(v), k)),))


@implements(np.diagflat)
def diagflat(v: Array, k: int = 0) -> Array:
    return np.diag(np.ravel(v), k)


def _roll(a: Array, shift: Any, axis: Any = None) -> Array:
    if axis is None:
        return np.reshape(_roll(np.ravel(a), np.sum(shift), 0), np.shape(a))
    for by, i in np.broadcast(shift, np.lib.array_utils.normalize_axis_tuple(axis, a.ndim, allow_duplicate=True)):
        if by := int(by) % (a.shape[i] or 1):
            a = np.concatenate([a[along(i, slice(-by, None))], a[along(i, slice(-by))]], axis=int(i))
    return a


roll: Op = primitive(
    _roll,
    lambda g, y, a, shift, axis=None: roll(g, shift=np.negative(shift), axis=axis),
    linear=True,
    kind="moving",
    examples=[([(2, 3)], {"shift": 1}), ([(2, 3)], {"shift": (1, -2), "axis": (0, 1)}), ([(0,)], {"shift": 1})],
)


@implements(np.roll)
def _roll_as_numpy(a: Array, shift: Any, axis: Any = None) -> Array:
    shift = np.asarray(shift)
    return roll(as_array(a), shift=shift, axis=axis)


def _taking_or_zero(shape: tuple[int, ...], positions: Array) -> Reader:
    """Reads the entries at positions that count from 1; NumPy fills in zeros if there are no entries."""
    if positions.all():
        return taking(shape, positions - 1)
    return Reader(lambda x: np.zeros_like(x, shape=positions.shape))


implements(np.resize)(by_stand_in(np.resize, lambda shape: 1 + places(shape), _taking_or_zero))


def _lower(m: Array, k: int) -> Array:
    """Where a matrix has its lower triangle; of a row, NumPy makes a square."""
    rows, columns = (m.shape[-1], *m.shape)[-2:]
    return np.tri(rows, columns, k, dtype=bool)


def _tril(m: Array, k: int = 0) -> Array:
    return np.where(_lower(m, k), m, np.zeros(1, m.dtype))


def _triu(m: Array, k: int = 0) -> Array:
    return np.where(_lower(m, k - 1), np.zeros(1, m.dtype), m)


_TRIANGLES: list[Example] = [([(3, 4)], {}), ([(2, 3, 3)], {"k": -1}), ([(3,)], {"k": 1})]
tril: Op = primitive(_tril, lambda g, y, m, k=0: tril(g, k=k), linear=True, kind="moving", examples=_TRIANGLES)
triu: Op = primitive(_triu, lambda g, y, m, k=0: triu(g, k=k), linear=True, kind="moving", examples=_TRIANGLES)


@implements(np.tril)
def _tril_as_numpy(m: Array, k: int = 0) -> Array:
    return tril(_checked(np.tril, m, k), k=k)


@implements(np.triu)
def _triu_as_numpy(m: Array, k: int = 0) -> Array:
    return triu(_checked(np.triu, m, k), k=k)


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
