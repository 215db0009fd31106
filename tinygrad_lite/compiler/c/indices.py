"""Entries at indices that the program computes or is given, such as labels and the rows of an embedding.

What an index may have: integers, slices, and arrays of integers. Nothing checks that it lies in its axis.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.compiler.c.emission import Address, Emitter, Entry
from tinygrad_lite.compiler.native.emission import loops
from tinygrad_lite.compiler.native.expansions import can_put
from tinygrad_lite.compiler.native.lowering import Lowering, Ways
from tinygrad_lite.compiler.native.memory import Layout, contiguous
from tinygrad_lite.compiler.program import Instruction, Variable
from tinygrad_lite.ops.shapes import indexing

_INTEGER = np.dtype(np.int64)


def _parts(index: Any, ndim: int) -> list[Any] | None:
    """What an index says about each axis; None if it has something else."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(part is None or isinstance(part, (bool, np.bool)) for part in parts):
        return None
    if any(getattr(part, "dtype", _INTEGER).kind not in "iu" for part in parts):
        return None
    missing = [slice(None)] * (ndim - sum(part is not Ellipsis for part in parts))
    where = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    return [*parts[:where], *missing, *parts[where + 1 :]]


def _extents(parts: Sequence[Any], shape: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """The sizes of the axes of what is at an index: of those before its arrays, of these, and of those after them."""
    arrays = [i for i, part in enumerate(parts) if not isinstance(part, slice)]
    around = np.broadcast_shapes(*[getattr(parts[i], "shape", ()) for i in arrays])
    sizes = {i: len(range(*part.indices(shape[i]))) for i, part in enumerate(parts) if isinstance(part, slice)}
    together = arrays and arrays[-1] - arrays[0] == len(arrays) - 1
    before = [size for i, size in sizes.items() if together and i < arrays[0]]
    return before, list(around), [*sizes.values()][len(before) :]


class _Place:
    """Where the entries at an index lie in an array.

    Attributes:
        shape: the shape of what is at the index.
    """

    def __init__(self, lowering: Lowering, index: Any, shape: Sequence[int]) -> None:
        parts = _parts(index, len(shape))
        assert parts is not None  # as `_is_possible` has found
        before, around, after = _extents(parts, shape)
        self.shape = (*before, *around, *after)
        self._first, self._count = len(before), len(around)
        self._parts = []
        for part, size in zip(parts, shape):
            if isinstance(part, np.ndarray):
                part = lowering.table(np.where(part < 0, part + size, part).astype(_INTEGER))
            self._parts.append(part % size if isinstance(part, (int, np.integer)) and size else part)
        self._sizes = shape

    def position(
        self, emitter: Emitter, writer: Any, at: Layout, layouts: Mapping[Variable, Layout], turns: Sequence[str]
    ) -> str:
        """The position of an entry at the turns of the loops over what is at the index."""
        offset, terms = at.offset, []
        others = iter([*turns[: self._first], *turns[self._first + self._count :]])
        for part, size, stride in zip(self._parts, self._sizes, at.strides):
            if isinstance(part, slice):
                start, _, step = part.indices(size)
                offset += start * stride
                terms.append((next(others), step * stride))
            elif isinstance(part, Variable):
                layout = layouts.get(part) or Layout(part, 0, contiguous(part.shape))
                within = turns[self._first : self._first + self._count]
                entry = emitter.load(part.dtype, _address(emitter, writer, layout, part.shape, within))
                terms.append((emitter.named(_from_the_end(entry.cast(_INTEGER), size, part in layouts)), stride))
            else:
                offset += int(part) * stride
        return emitter.position(offset, terms)


def _from_the_end(index: Entry, size: int, may_be: bool) -> Entry:
    return (index < 0).chooses(index + size, index) if may_be else index


def _address(emitter: Emitter, writer: Any, layout: Layout, shape: Sequence[int], turns: Sequence[str]) -> Address:
    """The address of an entry of an array at the turns of the loops over its last axes."""
    strides = [(turn, stride) for turn, stride, size in _last(turns, layout.strides, shape) if size != 1 and stride]
    return emitter.address(layout.root.dtype, writer.base(layout.root), emitter.position(layout.offset, strides))


def _last(turns: Sequence[str], strides: Sequence[int], shape: Sequence[int]) -> list[tuple[str, int, int]]:
    return [*zip(reversed(turns), reversed(strides), reversed(shape))][::-1]


def _get(lowering: Lowering, call: Instruction) -> None:
    (x,), result = call.inputs, call.result
    place = _Place(lowering, call.params["index"], x.shape)

    def write(emitter: Any, writer: Any, call: Instruction, layouts: Mapping[Variable, Layout]) -> None:
        at, to = layouts[x], layouts[result]
        with loops(emitter, result.shape) as turns:
            position = place.position(emitter, writer, at, layouts, turns)
            entry = emitter.load(x.dtype, emitter.address(at.root.dtype, writer.base(at.root), position))
            emitter.store(entry, _address(emitter, writer, to, result.shape, turns))

    if result.size:
        lowering.whole(call, write)


def _put(lowering: Lowering, call: Instruction) -> None:
    """Begin with an array or with zeros, and put values at indices, or add them to what is there."""
    result, first, *others = call.result, *call.inputs
    parts = [first, *others] if call.op is indexing.scatter else others
    indices = call.params["indices"] if call.op is indexing.scatter else [call.params["index"]]
    places = [_Place(lowering, index, result.shape) for index in indices]
    begins_with = 0 if call.op is indexing.scatter else first

    def value(emitter: Any, writer: Any, x: Any, layouts: Mapping[Variable, Layout], turns: Sequence[str]) -> Entry:
        if not isinstance(x, Variable):
            return emitter.number(result.dtype, x)  # type: ignore[no-any-return]
        address = _address(emitter, writer, layouts[x], x.shape, turns)
        return emitter.load(x.dtype, address).cast(result.dtype)  # type: ignore[no-any-return]

    def write(emitter: Any, writer: Any, call: Instruction, layouts: Mapping[Variable, Layout]) -> None:
        to = layouts[result]
        with loops(emitter, result.shape) as turns:
            entry = value(emitter, writer, begins_with, layouts, turns)
            emitter.store(entry, _address(emitter, writer, to, result.shape, turns))
        for place, part in zip(places, parts):
            if 0 in place.shape:
                continue
            with loops(emitter, place.shape) as turns:
                position = place.position(emitter, writer, to, layouts, turns)
                address = emitter.address(result.dtype, writer.base(to.root), position)
                entry = value(emitter, writer, part, layouts, turns)
                adds = call.op is not indexing.index_set
                emitter.store(emitter.load(result.dtype, address) + entry if adds else entry, address)

    if result.size:
        lowering.whole(call, write)


def _is_possible(call: Instruction, shape: Sequence[int], indices: Sequence[Any]) -> bool:
    return call.has_computed_params and all(_parts(index, len(shape)) is not None for index in indices)


def _gets(call: Instruction) -> bool:
    return len(call.inputs) == 1 and _is_possible(call, call.inputs[0].shape, [call.params["index"]])


def _puts(call: Instruction) -> bool:
    indices = call.params["indices"] if call.op is indexing.scatter else [call.params["index"]]
    return can_put(call.inputs, call.result) and _is_possible(call, call.result.shape, indices)


WAYS: Ways = {
    indexing.getitem: (_gets, _get),
    indexing.scatter: (_puts, _put),
    indexing.index_set: (_puts, _put),
    indexing.index_add: (_puts, _put),
}
"""How operations on entries at computed indices are lowered."""
