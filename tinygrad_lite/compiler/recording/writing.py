"""NumPy's functions and methods that write into an array, for recorded arrays: they assign to the entries."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.registry import answer_to
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.ops.shapes.joining import array


def entries_of(values: Any, dtype: Any) -> Any:
    """Values to write into an array of this dtype, as an array; plain numbers must fit, by NumPy's rule for them."""
    if hasattr(values, "dtype"):
        return values
    is_traced = any(isinstance(x, Traced) for x in trees.leaves(values))
    return array(values) if is_traced else np.asarray(values, dtype)


def put_into(out: Any, result: Any, casting: str, name: str) -> Any:
    """Write a function's result into the array meant for it, by NumPy's rule for dtypes."""
    _check_dtype(out, result.dtype, casting, name)
    if out.shape != np.broadcast_shapes(out.shape, result.shape):
        raise ValueError(f"{name}: out= has the shape {out.shape}, and the result {result.shape}")
    out.assign(..., result)
    return out


def scatter(ufunc: np.ufunc, array: Any, index: Any, *values: Any) -> None:
    """`np.add.at(array, index, values)`, or with np.subtract; any other function refuses, and says what to write."""
    if ufunc not in (np.add, np.subtract):
        answer_to(ufunc.at)(array, index, *values)
    change = ufunc(np.zeros((), array.dtype), values[0])  # in the dtype of both, since an unsigned one has no sign
    _check_dtype(array, change.dtype, "same_kind", f"np.{ufunc.__name__}.at")
    array.assign(..., array.at[index].add(change.astype(array.dtype)))


def _copy_to(dst: Any, src: Any, casting: Any = "same_kind", where: Array = True) -> None:
    is_number = isinstance(src, (int, float, complex))
    src = src if is_number or hasattr(src, "dtype") else np.asarray(src)
    _check_dtype(dst, np.result_type(dst.dtype, src) if is_number else src.dtype, casting, "np.copyto")
    dst.assign(..., src if where is True else np.where(where, src, dst))


def _fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    if wrap or a.ndim < 2 or (a.ndim > 2 and len({*a.shape}) > 1):
        raise InputError(
            "np.fill_diagonal in a compiled function takes a matrix, or more axes of one length, and no wrap=True; got "
            f"an array of shape {a.shape}: write x[rows, columns] = value, with the entries to fill"
        )
    length = min(a.shape)
    a.assign((np.arange(length),) * a.ndim, np.resize(val, length) if np.ndim(val) else val)


def _put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    v = entries_of(v, a.dtype)
    if not v.size:
        return
    indices = np.ravel(ind if hasattr(ind, "dtype") else np.asarray(ind))
    if mode != "raise":
        indices = np.clip(indices, 0, a.size - 1) if mode == "clip" else indices % a.size
    places = []
    for length in a.shape[:0:-1]:  # the first axis has what is left, be it outside, which is NumPy's error
        places.append(indices % length)
        indices = indices // length
    a.assign((indices, *places[::-1]), np.resize(v, indices.size) if v.shape else v)


def _put_mask(a: Any, mask: Any, values: Any) -> None:
    values = entries_of(values, a.dtype)
    _check_dtype(a, values.dtype, "safe", "np.putmask")
    if values.size:
        a.assign(..., np.where(mask, np.resize(values, a.shape), a))


def _put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None = -1) -> None:
    if axis is None:
        _put(arr, indices, values)
        return
    axis %= arr.ndim
    index: list[Any] = [
        np.expand_dims(np.arange(n), [*range(i), *range(i + 1, arr.ndim)]) for i, n in enumerate(arr.shape)
    ]
    index[axis] = indices
    arr.assign(tuple(index), values)


WRITERS: dict[Any, Callable[..., None]] = {
    np.copyto: _copy_to,
    np.fill_diagonal: _fill_diagonal,
    np.put: _put,
    np.putmask: _put_mask,
    np.put_along_axis: _put_along_axis,
}
"""What NumPy's functions that write into their first argument do with a recorded one."""


def _check_dtype(x: Any, dtype: Any, casting: Any, name: str) -> None:
    if not np.can_cast(dtype, x.dtype, casting):
        raise UsageError(f"{name} cannot write entries of {dtype} into an array of {x.dtype}, by the rule {casting!r}")
