"""Indexing: reading entries, and functional ways to replace them or add to them.

An index is a parameter, not an array: no gradient flows through it.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tinygrad_lite.engine.arguments import unchanging
from tinygrad_lite.engine.op import Array, Deferred, Op, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.advice import refuse_out
from tinygrad_lite.foundation.elsewhere import EntriesElsewhere
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.foundation.ownership import is_held_alone
from tinygrad_lite.ops.kept import kept
from tinygrad_lite.ops.requirements import refuse_where

Index = Any
_BASIC = frozenset({int, np.int64, slice, type(None), type(Ellipsis)})


class Distinct(tuple[Any, ...]):
    """An index with arrays that reads no entry twice, so that a gradient can be put there instead of added."""


def fixed(index: Index) -> Index:
    """The index with copies of its lists, arrays and tensors, so that nobody can change it later."""
    if is_distinct(index):
        return index
    return tuple([_fixed_part(part) for part in index]) if isinstance(index, tuple) else _fixed_part(index)


def _fixed_part(part: Any) -> Any:
    if isinstance(part, (int, slice, np.integer)) or part is None or part is Ellipsis:
        return part
    array = unchanging(part)
    return array.astype(int) if isinstance(part, (list, tuple)) and not array.size else array  # [] selects nothing


def _is_basic(index: Index) -> bool:
    """Whether an index consists of slices and integers alone, so that it makes a view, and no entry occurs twice."""
    return _BASIC.issuperset(map(type, index)) if type(index) is tuple else type(index) in _BASIC


def is_distinct(index: Index) -> bool:
    """Whether an index is known to read no entry twice."""
    return _is_basic(index) or type(index) is Distinct


def _getitem(x: Array, index: Index) -> Array:
    picks_rows = type(index) is np.ndarray and index.dtype.kind == "i" and type(x) is np.ndarray and x.ndim > 1
    return x.take(index, axis=0) if picks_rows and x.flags.c_contiguous else x[index]  # in a third of the time


def _scatter(*parts: Array, shape: tuple[int, ...], indices: Sequence[Index]) -> Array:
    first = parts[0]
    dtype = first.dtype
    for part in parts:
        if part.dtype is not dtype:
            dtype = np.result_type(*parts)
            break
    by_rows = isinstance(first, (np.ndarray, np.generic)) and (
        np.ndim(first) != len(shape) or first.flags.c_contiguous or not all(map(_is_basic, indices))
    )
    total = np.zeros(shape, dtype) if by_rows else np.zeros_like(first, dtype, shape=shape)  # laid out as the first
    if is_distinct(indices[0]):
        total[indices[0]] = first  # nothing is there yet to add to
    else:
        _add_at(total, indices[0], first)
    for index, part in zip(indices[1:], parts[1:]):
        _add_at(total, index, part)
    return total


class Scattered(Deferred):
    """The gradients of some entries of an array; many of these make one array together, not one array each."""

    def __init__(self, part: Array, shape: tuple[int, ...], index: Index) -> None:
        self._shape = shape
        self.parts = [part]
        self.indices = [index]

    def __add__(self, gradient: Any) -> "Scattered":
        before = gradient if isinstance(gradient, Scattered) else Scattered(gradient, self._shape, ...)
        before.parts += self.parts  # the longer list takes in the shorter
        before.indices += self.indices
        return before

    def reaches(self, index: Index) -> bool:
        """Whether one of the gradients, even if it is 0, is that of the entries at this basic index."""
        return any(_is_basic(own) and _in_one_example(own) == index for own in self.indices)

    def whole(self) -> Array:
        if self.indices[0] is ... and self._takes_in_others():
            for index, part in zip(self.indices[1:], self.parts[1:]):
                _add_at(self.parts[0], index, part)
            del self.parts[1:], self.indices[1:]
            return self.parts[0]
        indices = tuple(self.indices)
        return _performed_at(scatter, tuple(self.parts), *indices, shape=self._shape, indices=indices)

    def _takes_in_others(self) -> bool:
        """Whether the first part is a whole array that the others can be added to in place, since nobody holds it."""
        if not is_held_alone(self.parts, 0) or not self.parts[0].flags.c_contiguous:
            return False
        shape, dtype = self.parts[0].shape, self.parts[0].dtype
        are_numpys = all(isinstance(x, (np.ndarray, np.generic)) and x.dtype == dtype for x in self.parts)
        return are_numpys and shape == self._shape and not any(map(_is_traced, self.indices))


def _in_one_example(index: Index) -> Index:
    """A basic index without whole axes in front of an ellipsis, which counts them itself: those of stacks, say."""
    while isinstance(index, tuple) and Ellipsis in index[1:] and index[0] == slice(None):
        index = index[1:]
    return index


def _add_at(total: Array, index: Index, addend: Array) -> None:
    if is_distinct(index):
        total[index] += addend
    elif _picks_wide_rows(index, total):
        rows = np.broadcast_to(addend, index.shape + total.shape[1:]).reshape(-1, *total.shape[1:])
        for i, row in zip(index.ravel().tolist(), rows):
            total[i] += row
    elif total.ndim == 1 and _is_of_numbers(index):  # NumPy is fast if the index has one axis, too
        np.add.at(total, index.ravel(), np.broadcast_to(addend, index.shape).ravel())
    elif type(total) is np.ndarray and _is_of_numbers(index) and index.size < len(total):
        width = prod(total.shape[1:])
        positions = np.add.outer(index.ravel().astype(np.intp) * width, np.arange(width))
        rows = np.broadcast_to(addend, index.shape + total.shape[1:])
        np.add.at(total.reshape(-1), positions.ravel(), rows.ravel())  # to a flat array in a seventh of the time
    elif _picks_wide_slices(index, total):
        axis = len(index) - 1
        slices = np.moveaxis(total, axis, 0)
        addends = np.broadcast_to(addend, total.shape[:axis] + index[axis].shape + total.shape[axis + 1 :])
        for i, part in zip(index[axis].tolist(), np.moveaxis(addends, axis, 0)):
            slices[i] += part
    elif total.ndim == 1 or np.size(addend) < max(FEW_PARTS, total.size // FEW_PARTS) or type(total) is not np.ndarray:
        np.add.at(total, index, addend)
    else:  # the total lies in memory row by row
        positions = _getitem(places(total.shape), index)
        np.add.at(total.reshape(-1), positions.ravel(), np.broadcast_to(addend, positions.shape).ravel())


def _picks_wide_slices(index: Index, total: Array) -> bool:
    """Whether an index such as x[:, :, numbers] picks slices so wide that a loop over them costs little."""
    last = index[-1] if type(index) is tuple and index else None
    if type(last) is not np.ndarray or last.dtype.kind != "i" or last.ndim != 1 or type(total) is not np.ndarray:
        return False
    is_whole = all(type(part) is slice and part == slice(None) for part in index[:-1])
    return is_whole and total.size >= 512 * total.shape[len(index) - 1]


def _picks_wide_rows(index: Index, total: Array) -> bool:
    """Whether the index picks rows so wide that a loop over them costs little."""
    return _is_of_numbers(index) and total.ndim > 1 and prod(total.shape[1:]) >= 512


def _is_of_numbers(index: Index) -> bool:
    return type(index) is np.ndarray and index.dtype.kind in "iu"


FEW_PARTS = 64
"""It does not pay to number all entries to add fewer than this, or to add to an array this many times as large."""


def places(shape: tuple[int, ...]) -> Array:
    """The position of each entry in the flattened array."""
    return np.arange(prod(shape)).reshape(shape)


_EXAMPLES = [
    ([(3, 4)], {"index": index})
    for index in (
        1,
        (slice(None), -1),
        (slice(None, None, -2), slice(1, 3)),
        (Ellipsis, None, 0),
        np.array([0, 2, 0]),
        np.array([], int),
        (np.array([[0], [2]]), np.array([1, 1, 3])),
        (slice(None), np.array([True, False, True, True])),
        np.arange(12).reshape(3, 4) % 3 == 0,
        (),
    )
]


def keeps_order(index: Index) -> bool:
    """Whether an index takes neighbours in their order along each axis, so that it takes all if it takes as many."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or type(part) is int or (isinstance(part, slice) and part.step in (None, 1))
        for part in parts
    )


def _getitem_vjp(g: Array, y: Array, x: Array, index: Index) -> Array:
    if y.ndim > x.ndim and y.size == x.size and keeps_order(index):  # new axes alone, as in x[:, None]
        return g.reshape(x.shape)
    return Scattered(g, x.shape, index)


getitem = primitive(
    _getitem,
    _getitem_vjp,
    linear=True,
    kind="moving",
    chooses="the index leaves it out",
    examples=_EXAMPLES,
)


@implements(operator.getitem)
def read(x: Array, index: Index) -> Array:
    index = fixed(index)
    return x.__trace__(getitem, (x,), {"index": index}) if is_distinct(index) else picked(x, index)


def performed(op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Array:
    """op(*inputs, **params), without sorting the parameters, which nobody else holds: in half the time."""
    for x in inputs:
        if isinstance(x, Traced):
            return x.__trace__(op, inputs, params)
    return op.forward(*inputs, **params) if op.shared else op.compute(*inputs, **params)


def _performed_at(op: Op, inputs: tuple[Array, ...], *indices: Index, **params: Any) -> Array:
    """The same at indices that may be traced even if no array is, such as class numbers in a recording.

    An index that has a level is that of a transform, which goes before a tensor.
    """
    for index in indices:
        for part in index if isinstance(index, tuple) else (index,):
            if isinstance(part, Traced) and (hasattr(part, "level") or not any(isinstance(x, Traced) for x in inputs)):
                return part.__trace__(op, inputs, params)
    return performed(op, inputs, params)


def _is_traced(index: Index) -> bool:
    return any(isinstance(part, Traced) for part in (index if isinstance(index, tuple) else (index,)))


def picked(a: Array, index: Index) -> Array:
    """The entries at an index."""
    return _performed_at(getitem, (a,), index, index=index)


scatter = primitive(
    _scatter,
    each=lambda i, g, y, parts, shape, indices: _like_values(picked(g, indices[i]), parts[i]),
    kind="moving",
    examples=[
        *[
            ([np.empty((3, 4))[params["index"]].shape], {"shape": (3, 4), "indices": (params["index"],)})
            for _, params in _EXAMPLES
        ],
        ([(4,), (3, 4), (2, 4)], {"shape": (3, 4), "indices": (1, ..., np.array([2, 1]))}),
    ],
)


def _index_set(x: Array, values: Array, index: Index) -> Array:
    result = np.array(x, np.result_type(x, values))
    result[index] = values
    return result


def _index_set_vjp_x(g: Array, y: Array, x: Array, values: Array, index: Index) -> Array:
    return _performed_at(index_set, (g, 0), index, index=index)


def _like_values(g: Array, values: Array) -> Array:
    """The gradient at the entries, reshaped as the values, which may have further axes of length 1 in front."""
    return np.reshape(g, (1,) * (np.ndim(values) - np.ndim(g)) + np.shape(g))


def _index_set_vjp_values(g: Array, y: Array, x: Array, values: Array, index: Index) -> Array:
    if _is_basic(index):
        return _like_values(g[index], values)
    # if an entry occurs twice in the index, the last value stays and the others have no influence
    entries = picked(g, index)
    order = np.arange(prod(np.shape(entries))).reshape(np.shape(entries))
    last = _performed_at(index_set, (np.zeros(np.shape(x), int), order), index, index=index)
    return _like_values(np.where(picked(last, index) == order, entries, 0), values)


def _index_add(x: Array, values: Array, index: Index) -> Array:
    result = np.array(x, np.result_type(x, values), order="C")
    shape = _shape_of_entries(result, index)
    # np.add.at crashes if the values have more axes than the entries, and is slow where it casts them
    if np.shape(values) != shape or getattr(values, "dtype", result.dtype) != result.dtype:
        addend = np.empty(shape, result.dtype)
        addend[...] = values
        values = addend
    _add_at(result, index, values)
    return result


def _shape_of_entries(x: Array, index: Index) -> tuple[int, ...]:
    if _is_of_numbers(index) and x.ndim:
        return index.shape + x.shape[1:]  # type: ignore[no-any-return]
    return np.shape(x[index] if _is_basic(index) else np.broadcast_to(False, x.shape)[index])


def _with_values(examples: Any) -> Any:
    for (shape,), params in examples:
        index = params["index"]
        entries = np.empty(shape)[index].shape
        is_mask = (
            isinstance(index, np.ndarray) and index.dtype.kind == "b"
        )  # NumPy assigns only one-dimensional values to a mask
        for values in (entries, ()) if is_mask else (entries, (), (1, 1, *entries)):
            yield [shape, values], params


index_set = primitive(
    _index_set,
    _index_set_vjp_x,
    _index_set_vjp_values,
    kind="moving",
    chooses="the entries were replaced",
    examples=list(_with_values(_EXAMPLES)),
)
index_add = primitive(
    _index_add,
    lambda g, y, x, values, index: g,
    lambda g, y, x, values, index: _like_values(picked(g, index), values),
    kind="moving",
    examples=list(_with_values(_EXAMPLES)),
)


def along(axis: int, entries: Any) -> Index:
    """The index of some entries along one axis, counted from the front."""
    return (*(slice(None),) * axis, entries)


@implements(np.take)
def take(a: Array, indices: Array, axis: int | None = None, out: Array = None, mode: str = "raise") -> Array:
    refuse_out("take", out)
    a = as_array(a)
    if axis is None or not a.ndim:
        a = a.ravel()  # a number takes the axis 0, too
    axis = normalize_axis_index(0 if axis is None else axis, a.ndim)
    index = along(axis, in_range("take", indices, a.shape[axis], mode))
    return picked(a, fixed(index))


def in_range(name: str, indices: Array, size: int, mode: str) -> Array:
    """The indices, brought into the range of `size` entries as NumPy's `mode` says."""
    indices = as_array(indices)
    if indices.dtype.kind == "b" or not indices.size:
        indices = indices.astype(np.intp)  # here a boolean means 0 or 1; it is not a mask
    if mode == "wrap":
        return indices % size
    if mode == "clip":
        return np.clip(indices, 0, size - 1)
    if mode != "raise":
        raise InputError(f'{name}: mode must be "raise", "wrap" or "clip", got {mode!r}')
    return indices


@implements(np.take_along_axis)
def take_along_axis(arr: Array, indices: Array, axis: int | None = -1) -> Array:
    arr, indices = as_array(arr), as_array(indices)
    if axis is None:
        if indices.ndim != 1:
            raise ShapeError(f"take_along_axis: without an axis, indices have one axis; got shape {indices.shape}")
        return getitem(np.ravel(arr), index=fixed(indices))
    if arr.ndim != indices.ndim:
        raise ShapeError(f"take_along_axis: indices of shape {indices.shape} need the {arr.ndim} axes of {arr.shape}")
    places = _fixed_part(indices)
    index = index_along(arr.shape, places, axis)
    if isinstance(indices, Traced) and not (isinstance(arr, Traced) or isinstance(places, Traced)):
        return indices.__trace__(getitem, (arr,), {"index": index})  # whoever follows the indices follows the entries
    return picked(arr, index)


def index_along(shape: tuple[int, ...], indices: Array, axis: int) -> Index:
    """The index of the entries at these indices along an axis, of which there are as many as there are axes."""
    axis = normalize_axis_index(axis, len(shape))
    ranges = _open_ranges if sum(shape) <= _FEW else _open_ranges.__wrapped__  # what is kept is never freed
    before, after = ranges(shape, axis)
    return (*before, indices, *after)


_FEW = 1000
"""Ranges of up to this many entries are kept; longer ones take much longer to use than to make."""


@lru_cache
def _open_ranges(shape: tuple[int, ...], axis: int) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    ranges = [kept(np.arange(n).reshape(-1, *(1,) * (len(shape) - 1 - i))) for i, n in enumerate(shape)]
    return tuple(ranges[:axis]), tuple(ranges[axis + 1 :])


def is_open_range(part: Array, shape: tuple[int, ...]) -> bool:
    """Whether an array in an index of such an array is one of the ranges with which `index_along` fills it up."""
    return any(part is own for axis in range(len(shape)) for side in _open_ranges(shape, axis) for own in side)


@implements(np.compress)
def compress(condition: Array, a: Array, axis: int | None = None, out: Array = None) -> Array:
    refuse_out("compress", out)
    condition = np.asarray(condition)
    if condition.ndim != 1:
        raise ShapeError(f"compress: the condition has one axis, got shape {condition.shape}")
    return np.take(a, np.flatnonzero(condition), axis)


@implements(np.extract)
def extract(condition: Array, arr: Array) -> Array:
    return np.take(arr, np.flatnonzero(np.asarray(condition)))


@implements(np.piecewise)
def piecewise(x: Array, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Array:
    x = as_array(x)
    if np.ndim(condlist) == 0 or (np.ndim(condlist[0]) == 0 and x.ndim):
        condlist = [condlist]  # one condition; rows of an array are several, as in NumPy
    conditions = np.asarray(condlist, bool)
    if len(funclist) == len(conditions) + 1:
        conditions = np.concatenate([conditions, ~np.any(conditions, axis=0, keepdims=True)])
    if len(funclist) != len(conditions):
        raise InputError(
            f"piecewise: {len(conditions)} conditions take as many functions or one more, not {len(funclist)}"
        )
    y = np.zeros_like(x)
    for condition, function in zip(conditions, funclist):
        if callable(function) and not np.any(condition):
            continue  # as in NumPy, which calls no function for no entries
        entries = as_array(function(x[condition], *args, **kw) if callable(function) else function)
        entries = entries if entries.dtype == y.dtype else entries.astype(y.dtype)  # y is of x's dtype, as in NumPy
        y = index_set(y, entries, index=condition)
    return y


@implements(np.bincount)
def bincount(x: Array, /, weights: Array = None, minlength: int = 0) -> Array:
    places, length = as_array(x), minlength
    places = np.asarray(x) if type(getattr(places, "data", None)) is np.ndarray else unchanging(places)
    if isinstance(places, np.ndarray):
        counts = np.bincount(places, minlength=minlength)  # checks them, and gives the length
        if weights is None:
            return counts
        places, length = places.astype(np.intp), len(counts)
    elif not minlength:
        raise UsageError(
            "bincount: the length of the result depends on the values of x, and other runs will have other values: "
            "pass minlength, the number of different values that x may have"
        )
    else:
        message = f"bincount: with minlength={minlength}, a compiled function counts 0 … {minlength - 1}, got {{}}"
        places = refuse_where(np.logical_or(places < 0, places >= length), places, message=message)
        if weights is None:
            return index_add(np.zeros(length, np.intp), np.greater_equal(places, 0).astype(np.intp), index=places)
    if np.shape(weights) != np.shape(places):
        raise ShapeError(f"bincount: weights must have the shape of x, {np.shape(places)}, got {np.shape(weights)}")
    return index_add(np.zeros(length), weights, index=places)


def _write_into_arrays(function: Callable[..., Any]) -> None:
    """Let a function write into an array of the user's, as `x[index] = values` does, but into nothing of a graph."""

    @implements(function)
    def write(*args: Any, **params: Any) -> None:
        whole = [*args, *params.values()]
        if any(isinstance(x, Traced) and not _is_only_an_array(x) for x in whole) or isinstance(whole[0], Traced):
            raise UsageError(
                f"np.{function.__name__} would write into an array, and arrays in a graph never change: write "
                "x.at[index].set(values), or np.where(condition, values, x)"
            )
        plain = {name: np.asarray(x) if isinstance(x, Traced) else x for name, x in params.items()}
        function(*(np.asarray(x) if isinstance(x, Traced) else x for x in args), **plain)


def _is_only_an_array(x: Any) -> bool:
    """Whether a traced value is an array without a history, which no other run will have another value of."""
    return not getattr(x, "requires_grad", True) and isinstance(x.data, (np.ndarray, np.generic))


for _function in (np.put, np.place, np.putmask, np.put_along_axis):
    _write_into_arrays(_function)


def _refuse_scattered(ufunc: np.ufunc) -> None:
    name = f"np.{ufunc.__name__}"
    values = {"np.add": "add(values)", "np.subtract": "add(-values)"}.get(name)
    instead = values or f"set({name}(x[index]{', values' if ufunc.nin == 2 else ''}))"
    once = "" if values else ", if no entry occurs twice; else this line in a function that tg.functionalize takes"

    @implements(ufunc.at)
    def at(*args: Any, **params: Any) -> Array:
        raise UsageError(
            f"{name}.at would write into an array, and arrays in a graph never change: write "
            f"x = x.at[index].{instead}{once}; of an array, tg.tensor(array).at[index]"
        )

    if ufunc.nin == 2:

        @implements(ufunc.reduceat)
        def reduceat(*args: Any, **params: Any) -> Array:
            into_bins = " or, to sum the rows of x into bins, tg.tensor(zeros).at[bins].add(x)" * (name == "np.add")
            raise UsageError(
                f"{name}.reduceat has no derivative here: write np.stack([{name}.reduce(x[i:j]) for i, j in "
                f"pairwise([*indices, len(x)])]){into_bins}"
            )


for _ufunc in dict.fromkeys(x for x in vars(np).values() if isinstance(x, np.ufunc) and x.nout == 1):
    if not _ufunc.signature:
        _refuse_scattered(_ufunc)


@implements(operator.setitem)
class At:
    """Indexing for a changed copy: `x.at[i].set(v)` and `x.at[i].add(v)`."""

    def __init__(self, x: Array) -> None:
        self._x = x

    def __getitem__(self, index: Index) -> "Entries":
        return Entries(self._x, fixed(index))


class Entries(EntriesElsewhere):
    """Some entries of a traced value, to be replaced or added to."""

    def __init__(self, x: Array, index: Index) -> None:
        self._x = x
        self._index = index

    def set(self, values: Array) -> Any:
        """A copy with these entries replaced; if an entry occurs twice, the last value stays."""
        mask: Any = self._index
        if hasattr(mask, "__trace__") and mask.dtype == bool and mask.shape == self._x.shape and np.ndim(values) == 0:
            return np.where(mask, values, self._x)  # a compiled function can do this, too
        return _performed_at(index_set, (self._x, values), self._index, index=self._index)

    def add(self, values: Array) -> Any:
        """A copy with these values added; if an entry occurs twice, each value is added."""
        return _performed_at(index_add, (self._x, values), self._index, index=self._index)
