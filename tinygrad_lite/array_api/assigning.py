"""NumPy's functions and methods that write into an array, for values of ours that take entries by `assign`."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.operators import Operators
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.ops.shapes.indexing import index_along
from tinygrad_lite.ops.shapes.joining import array

_NUMBERS = int, float, complex
_ONLY_ENTRY = (..., None)
"""The index with which an array without axes has an axis, along which its only entry is read and written."""


class Assigning(Operators):
    """The methods of an array that write into it."""

    __slots__ = ()

    def assign(self, index: Any, values: Any) -> None:
        """Write values into the entries at an index."""
        raise NotImplementedError

    def fill(self, value: Array) -> None:
        """Write a value into all entries."""
        self.assign(..., value)

    def sort(self, axis: int = -1, kind: Any = None) -> None:
        """Put the entries in order."""
        self.assign(..., np.sort(self, axis, kind))  # type: ignore[call-overload]

    def partition(self, kth: Any, axis: int = -1) -> None:
        """Put the entries in order as far as the k-th is in its place."""
        self.assign(..., np.partition(self, kth, axis))  # type: ignore[call-overload]

    def put(self, indices: Any, values: Array, mode: str = "raise") -> None:
        """Write into the entries that have these indices in the flat array."""
        _put(self, indices, values, mode)

    @property
    def flat(self) -> Any:
        """The entries in a row, to read and to write."""
        return _Flat(self)

    @flat.setter
    def flat(self, values: Array) -> None:
        self.flat[:] = values


class _Flat:
    """An array's entries in a row, as NumPy's `x.flat`: reading copies, writing repeats values that are too few."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __len__(self) -> int:
        return int(self._array.size)

    def __iter__(self) -> Iterator[Any]:
        return (self._array[index] for index in np.ndindex(self._array.shape))

    def __getitem__(self, index: Any) -> Any:
        return self._array.flatten()[index]

    def __setitem__(self, index: Any, values: Array) -> None:
        _put(self._array, np.arange(len(self))[index], values)


def entries_of(values: Any, dtype: Any) -> Any:
    """Values to write into an array of this dtype, as an array; plain numbers must fit, by NumPy's rule for them."""
    if hasattr(values, "dtype"):
        return values
    is_traced = any(isinstance(x, Traced) for x in trees.leaves(values))
    return array(values) if is_traced else np.asarray(values, dtype)


def put_into(out: Any, result: Any, casting: str, name: str) -> Any:
    """Write a function's result into the array meant for it, by NumPy's rule for dtypes."""
    check_dtype(out, result.dtype, casting, name)
    if out.shape != np.broadcast_shapes(out.shape, result.shape):
        raise ShapeError(f"{name}: out= has the shape {out.shape}, and the result {result.shape}")
    out.assign(..., result)
    return out


def change_at(ufunc: np.ufunc, array: Any, index: Any, *values: Any) -> None:
    """`np.add.at(array, index, values)` or the like: one after the other if an entry occurs several times."""
    name = f"np.{ufunc.__name__}.at"
    values = tuple(x if isinstance(x, _NUMBERS) else entries_of(x, None) for x in values)
    if ufunc in (np.add, np.subtract):
        change = ufunc(np.zeros((), array.dtype), values[0])  # in the dtype of both, since an unsigned one has no sign
        check_dtype(array, change.dtype, "same_kind", name)
        array.assign(..., array.at[index].add(change.astype(array.dtype)))
        return
    try:
        entries = np.arange(array.size).reshape(array.shape)[index]
    except UsageError:  # a recorded index: nobody knows which of its entries occur several times
        raise UsageError(
            f"{name} at an index that a compiled function computes: write x = x.at[index].set(...) for different "
            "entries, or call np.add.at"
        ) from None
    others = [np.ravel(np.broadcast_to(x, entries.shape)) for x in values]
    entries = np.ravel(entries)
    order = np.argsort(entries, kind="stable")
    turns = np.empty_like(entries)
    turns[order] = np.arange(entries.size) - np.searchsorted(entries[order], entries[order])
    for turn in range(max(turns, default=-1) + 1):
        now = np.flatnonzero(turns == turn)
        places = np.unravel_index(entries[now], array.shape) if array.shape else _ONLY_ENTRY
        changed = ufunc(array[places], *(x[now] for x in others))
        check_dtype(array, changed.dtype, "same_kind", name)
        array.assign(places, changed)


def _copy_to(dst: Any, src: Any, casting: Any = "same_kind", where: Array = True) -> None:
    is_number = isinstance(src, _NUMBERS)
    src = src if is_number else entries_of(src, None)
    check_dtype(dst, np.result_type(dst.dtype, src) if is_number else src.dtype, casting, "np.copyto")
    if where is not True:
        src = np.where(where, np.array(src, dst.dtype) if is_number else src, dst)
    dst.assign(..., src)


def _fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    if wrap:
        raise UsageError("np.fill_diagonal with wrap=True: write x[rows, columns] = value, with the places to fill")
    if a.ndim < 2 or (a.ndim > 2 and len({*a.shape}) > 1):
        raise ShapeError(f"np.fill_diagonal needs a matrix, or more axes of one length, got shape {a.shape}")
    val, length = entries_of(val, a.dtype), min(a.shape)
    if val.size:
        a.assign((np.arange(length),) * a.ndim, np.resize(val, length) if val.shape else val)


def _put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    v = entries_of(v, a.dtype)
    if not v.size:
        return
    indices = np.ravel(entries_of(ind, int))
    if mode != "raise":
        indices = np.clip(indices, 0, a.size - 1) if mode == "clip" else indices % a.size
    if not a.shape:
        written = np.resize(v, indices.size)[np.zeros(1, int)[indices] == 0]  # an index outside is NumPy's error
        if written.size:
            a.assign(_ONLY_ENTRY, written[-1:])
        return
    places = []
    for length in a.shape[:0:-1]:  # the first axis has what is left, be it outside, which is NumPy's error
        places.append(indices % length)
        indices = indices // length
    a.assign((indices, *places[::-1]), np.resize(v, indices.size) if v.shape else v)


def _place(arr: Any, mask: Any, vals: Any) -> None:
    mask, vals = np.reshape(entries_of(mask, bool), arr.shape), np.ravel(entries_of(vals, arr.dtype))
    check_dtype(arr, vals.dtype, "safe", "np.place")
    if vals.size:
        turns = np.reshape(np.cumsum(mask), arr.shape) - 1
        arr.assign(..., np.where(mask, vals[turns % vals.size], arr))


def _put_mask(a: Any, mask: Any, values: Any) -> None:
    values = entries_of(values, a.dtype)
    check_dtype(a, values.dtype, "safe", "np.putmask")
    mask = entries_of(mask, bool)
    if mask.size != a.size:
        raise ShapeError(f"np.putmask needs a mask of as many entries as the array {a.shape}, got shape {mask.shape}")
    if values.size:
        a.assign(..., np.where(np.reshape(mask, a.shape), np.resize(values, a.shape), a))


def _put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None = -1) -> None:
    if axis is None:
        _put(arr, indices, values)
        return
    indices = entries_of(indices, int)
    if indices.ndim != arr.ndim:
        raise ShapeError(f"np.put_along_axis needs indices with the {arr.ndim} axes of the array, got {indices.ndim}")
    arr.assign(index_along(arr.shape, indices, axis), values)


WRITERS: dict[Any, Callable[..., None]] = {
    np.copyto: _copy_to,
    np.fill_diagonal: _fill_diagonal,
    np.place: _place,
    np.put: _put,
    np.put_along_axis: _put_along_axis,
    np.putmask: _put_mask,
}
"""For NumPy's functions that write into their first argument, what they do with one of these values."""


def check_dtype(x: Any, dtype: Any, casting: Any, name: str) -> None:
    """Raise `UsageError` unless values of a dtype may be written into an array, by NumPy's rule."""
    if not np.can_cast(dtype, x.dtype, casting):
        raise UsageError(f"{name} cannot write entries of {dtype} into an array of {x.dtype}, by the rule {casting!r}")
