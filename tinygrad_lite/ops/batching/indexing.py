"""Reads and updates of some entries on a stack of examples, at an index that may differ from example to example."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.ops.batching.rules import Argument, OneByOneError, number_of_examples, rule_of
from tinygrad_lite.ops.shapes.indexing import Distinct, Index, fixed


@rule_of("getitem")
def _getitem(op: Op, x: Argument, index: Index) -> Array:
    if (own := _own_entries(x, index)) is None:
        return op(x.array, index=_in_stack(index))
    y = op(x.array, index=own.index)
    if not x.is_stack:
        y = np.moveaxis(y, own.place, 0)
    elif own.place:
        axes = np.arange(1, own.ndim + 1)
        y = np.moveaxis(y, axes, axes + own.place)
    return y


class _OwnEntries(NamedTuple):
    """Entries that differ from example to example.

    Attributes:
        index: their index in the stack, or in the array that all examples read.
        of_one: how many axes the entries of one example have.
        place, ndim: where the axes of the index's arrays are among these, and how many they are.
    """

    index: Index
    of_one: int
    place: int
    ndim: int


def _stacks_in(index: Index) -> list[Argument]:
    return [part for part in (index if isinstance(index, tuple) else (index,)) if isinstance(part, Argument)]


def _own_entries(x: Argument, index: Index) -> _OwnEntries | None:
    """The entries at an index in which there are stacks; None if there are none."""
    if not _stacks_in(index):
        return None
    parts = index if isinstance(index, tuple) else (index,)
    arrays = {
        i: part if isinstance(part, Argument) else Argument(part, False)
        for i, part in enumerate(parts)
        if not (part is None or part is Ellipsis or isinstance(part, slice))
    }
    if any(map(_is_mask, arrays.values())):
        raise OneByOneError  # a mask picks another number of entries from each example
    first, last, ndim = min(arrays), max(arrays), max([part.ndim for part in arrays.values()])
    own = [arrays[i].with_axes(ndim) if i in arrays else part for i, part in enumerate(parts)]
    if x.is_stack:
        count = len(x.array)
        own.insert(0, np.arange(count).reshape(count, *(1,) * ndim))
    axes_read = sum(part is not None and part is not Ellipsis for part in parts)
    sizes = [x.ndim - axes_read if part is Ellipsis else 1 for part in parts[:first]]
    of_one = x.ndim - len(arrays) + sum(part is None for part in parts) + ndim
    # NumPy puts the axes of arrays that stand apart first, even if they stand apart by an ellipsis that means no axis
    place = sum(sizes) if last - first < len(arrays) else 0
    return _OwnEntries(fixed(tuple(own)), of_one, place, ndim)


def _is_mask(part: Argument) -> bool:
    return isinstance(part.array, bool) or np.dtype(getattr(part.array, "dtype", int)).kind == "b"


def _in_stack(index: Index) -> Index:
    """The index of the same entries in each example of a stack."""
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [i for i, part in enumerate(parts) if not (part is None or part is Ellipsis or isinstance(part, slice))]
    if any(isinstance(part, Traced) for part in parts):
        raise OneByOneError
    if arrays and arrays[-1] - arrays[0] >= len(arrays) and any(np.ndim(parts[i]) for i in arrays):
        raise OneByOneError  # NumPy puts the axes of indices that stand apart in front of all others
    return (type(index) if isinstance(index, Distinct) else tuple)((slice(None), *parts))


@rule_of("scatter")
def _scatter(op: Op, *parts: Argument, shape: tuple[int, ...], indices: Sequence[Index]) -> Array:
    inside = [_in_stack(index) for index in indices]
    whole = np.broadcast_to(np.False_, shape)
    if any(part.shape != whole[index].shape for part, index in zip(parts, indices)):
        raise OneByOneError
    count = number_of_examples(parts)
    return op(*[part.repeated(count) for part in parts], shape=(count, *shape), indices=tuple(inside))


@rule_of("index_set", "index_add")
def _index_update(op: Op, x: Argument, values: Argument, index: Index) -> Array:
    count = number_of_examples((x, values, *_stacks_in(index)))
    x = Argument(x.repeated(count), True)
    own = _own_entries(x, index)
    if own is None:
        own = _OwnEntries(_in_stack(index), np.broadcast_to(np.False_, x.shape)[index].ndim, 0, 0)
    if values.ndim > own.of_one or (own.place and own.ndim):
        raise OneByOneError
    return op(x.array, values.with_axes(own.of_one), index=own.index)
