"""Entries at indices that the program computes or is given, such as labels and the rows of an embedding.

An index may hold integers, slices, and arrays of integers. If an index lies outside its axis, native code ends
where it can, and NumPy's function raises the error; in C nothing checks that.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, Protocol

import numpy as np

from tinygrad_lite.compiler.native import systems
from tinygrad_lite.compiler.native.emission import loops
from tinygrad_lite.compiler.native.memory import Layout, contiguous
from tinygrad_lite.compiler.program import Instruction, Variable
from tinygrad_lite.engine.op import Array

_INTEGER = np.dtype(np.int64)


def by_axis(index: Any, ndim: int) -> list[Any] | None:
    """What an index says about each axis, with None where it makes a new one; None if it has something else."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(isinstance(part, (bool, np.bool)) or getattr(part, "dtype", _INTEGER).kind not in "iu" for part in parts):
        return None
    missing = [slice(None)] * (ndim - sum(part is not Ellipsis and part is not None for part in parts))
    where = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    before, after = parts[:where], parts[where + 1 :]
    if not missing and any(map(_is_array, before)) and any(map(_is_array, after)):
        return None  # an ellipsis keeps arrays apart, even if it stands for no axis
    return [*before, *missing, *after]


def _is_array(part: Any) -> bool:
    """Whether a part of an index is an array or a number, which counts as one."""
    return part is not None and not isinstance(part, slice)


def _with_new_axes(values: Sequence[int], parts: Sequence[Any], new: int) -> list[int]:
    """The sizes or strides of the axes that the parts say something about; `new` is that of a new one."""
    own = iter(values)
    return [new if part is None else next(own) for part in parts]


def _axes_before(parts: Sequence[Any]) -> int:
    """How many axes of the entries at an index come before those of its arrays; numbers count as arrays."""
    arrays = [i for i, part in enumerate(parts) if _is_array(part)]
    are_together = arrays and arrays[-1] - arrays[0] == len(arrays) - 1
    return arrays[0] if are_together else 0


def _extents(parts: Sequence[Any], shape: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """The sizes of the axes of the entries at an index: before those of its arrays, of its arrays, and after them."""
    around = np.broadcast_shapes(*[getattr(part, "shape", ()) for part in parts if not isinstance(part, slice)])
    sizes = [len(range(*part.indices(size))) for part, size in zip(parts, shape) if isinstance(part, slice)]
    before = _axes_before(parts)
    return sizes[:before], list(around), sizes[before:]


def in_two(index: Any, ndim: int) -> tuple[Any, Any] | None:
    """The numbers and slices of a computed index, which make a view, and what is left of the index for that view.

    What a loop reads, turn by turn, then differs only in where the view begins. None if there is nothing to take apart,
    or if the axes would come in another order.
    """
    said = by_axis(index, ndim) or []
    first = tuple(
        [part if is_position(part) or isinstance(part, slice) else slice(None) for part in said if part is not None]
    )
    rest = tuple([slice(None) if isinstance(part, slice) else part for part in said if not is_position(part)])
    if all(part == slice(None) for part in first) or _axes_before(said) != _axes_before(rest):
        return None
    return first, rest


def is_position(part: Any) -> bool:
    """Whether a part of an index is a number, and no flag."""
    return isinstance(part, (int, np.integer)) and not isinstance(part, bool)


class Work(Protocol):
    """What a lowering offers to the work on entries."""

    def table(self, array: Array) -> Variable:
        """An array of numbers that the work reads."""

    def whole(self, call: Instruction, write: Callable[..., None]) -> None:
        """Work on the arrays of an operation as a whole.

        `write` is given the layouts and, where the work may end the segment, the number to leave it with.
        """


class _Place:
    """Where the entries at an index lie in an array.

    Attributes:
        shape: the shape of the entries at the index.
    """

    def __init__(self, work: Work, index: Any, shape: Sequence[int]) -> None:
        said = by_axis(index, len(shape))
        assert said is not None  # as `are_known` has found
        self._said, shape = said, _with_new_axes(shape, said, 1)
        parts: list[Any] = [slice(None) if part is None else part for part in said]
        before, around, after = _extents(parts, shape)
        self.shape = (*before, *around, *after)
        self._first, self._count = len(before), len(around)
        computed = [(part, size) for part, size in zip(parts, shape) if isinstance(part, Variable)]
        self._computed = [] if 0 in around else computed  # like NumPy, which checks no index if there are no entries
        self._parts = []
        for part, size in zip(parts, shape):
            if isinstance(part, np.ndarray):
                there = part.astype(_INTEGER)  # since a size may not fit into the dtype of a few small numbers
                part = work.table(np.where(there < 0, there + size, there))
            self._parts.append(part % size if is_position(part) and size else part)
        self._sizes = shape

    def leave_unless_inside(
        self, emitter: Any, writer: Any, layouts: Mapping[Variable, Layout], number: int | None
    ) -> None:
        """Leave with the number, if there is one, unless the computed indices lie in their axes."""
        for part, size in self._computed:
            if number is not None:
                systems.leave_if_any(emitter, writer, layouts[part], part.shape, _is_outside(size), number)

    def position(
        self, emitter: Any, writer: Any, at: Layout, layouts: Mapping[Variable, Layout], turns: Sequence[str]
    ) -> str:
        """The position of an entry at the turns of the loops over the entries at the index."""
        offset, terms = at.offset, []
        others = iter([*turns[: self._first], *turns[self._first + self._count :]])
        strides = _with_new_axes(at.strides, self._said, 0)
        for part, size, stride in zip(self._parts, self._sizes, strides):
            if isinstance(part, slice):
                start, _, step = part.indices(size)
                offset += start * stride
                terms.append((next(others), step * stride))
            elif isinstance(part, Variable):
                layout = layouts.get(part) or Layout(part, 0, contiguous(part.shape))
                within = turns[self._first : self._first + self._count]
                entry = _load(emitter, writer, layout, part.shape, within).cast(_INTEGER)
                terms.append((emitter.named(_from_the_end(entry, size, part in layouts)), stride))
            else:
                offset += int(part) * stride
        return emitter.position(offset, terms)  # type: ignore[no-any-return]


def _from_the_end(index: Any, size: int, may_be: bool) -> Any:
    return (index < 0).chooses(index + size, index) if may_be else index


def _is_outside(size: int) -> Callable[[Any], Any]:
    def is_outside(index: Any) -> Any:
        index = index.cast(_INTEGER)
        return (index < -size) | (index >= size)

    return is_outside


def _address(emitter: Any, writer: Any, layout: Layout, shape: Sequence[int], turns: Sequence[str]) -> Any:
    """The address of an entry of an array at the turns of the loops over its last axes, and the note at it."""
    last = [*zip(reversed(turns), reversed(layout.strides), reversed(shape))][::-1]
    position = emitter.position(layout.offset, [(turn, stride) for turn, stride, size in last if size != 1 and stride])
    return emitter.address(layout.root.dtype, writer.base(layout.root), position), writer.note(layout.root)


def _load(emitter: Any, writer: Any, layout: Layout, shape: Sequence[int], turns: Sequence[str]) -> Any:
    return emitter.load(layout.root.dtype, *_address(emitter, writer, layout, shape, turns))


def get(work: Work, call: Instruction) -> None:
    """Read the entries at an index."""
    (x,), result = call.inputs, call.result
    place = _Place(work, call.params["index"], x.shape)

    def write(emitter: Any, writer: Any, layouts: Mapping[Variable, Layout], number: int | None = None) -> None:
        at, to = layouts[x], layouts[result]
        place.leave_unless_inside(emitter, writer, layouts, number)
        if not result.size:
            return
        with loops(emitter, result.shape) as turns:
            position = place.position(emitter, writer, at, layouts, turns)
            entry = emitter.load(
                x.dtype, emitter.address(at.root.dtype, writer.base(at.root), position), writer.note(at.root)
            )
            emitter.store(entry, *_address(emitter, writer, to, result.shape, turns))

    work.whole(call, write)


def put(work: Work, call: Instruction, start: Any, parts: Sequence[Any], indices: Sequence[Any], adds: bool) -> None:
    """Put values at indices, or add them there, to an array or a number; None stands for what the result holds."""
    result = call.result
    places = [_Place(work, index, result.shape) for index in indices]

    def value(emitter: Any, writer: Any, x: Any, layouts: Mapping[Variable, Layout], turns: Sequence[str]) -> Any:
        if not isinstance(x, Variable):
            return emitter.number(result.dtype, x)
        return _load(emitter, writer, layouts[x], x.shape, turns).cast(result.dtype)

    def write(emitter: Any, writer: Any, layouts: Mapping[Variable, Layout], number: int | None = None) -> None:
        to = layouts[result]
        for place in places:
            place.leave_unless_inside(emitter, writer, layouts, number)
        if start is not None and result.size:
            with loops(emitter, result.shape) as turns:
                entry = value(emitter, writer, start, layouts, turns)
                emitter.store(entry, *_address(emitter, writer, to, result.shape, turns))
        for place, part in zip(places, parts):
            if 0 in place.shape:
                continue
            with loops(emitter, place.shape) as turns:
                position = place.position(emitter, writer, to, layouts, turns)
                address = emitter.address(result.dtype, writer.base(to.root), position), writer.note(to.root)
                entry = value(emitter, writer, part, layouts, turns)
                emitter.store(emitter.load(result.dtype, *address) + entry if adds else entry, *address)

    work.whole(call, write)


def has_rows(index: Any, shape: Sequence[int]) -> bool:
    """Whether an index without computed parts has arrays of integers, each with several entries."""
    if not any(isinstance(part, np.ndarray) for part in (index if isinstance(index, tuple) else (index,))):
        return False
    said = by_axis(index, len(shape))
    if said is None or any(_is_array(part) and not isinstance(part, (int, np.integer, np.ndarray)) for part in said):
        return False
    before, _, after = _extents(
        [slice(None) if part is None else part for part in said], _with_new_axes(shape, said, 1)
    )
    return prod(before) * prod(after) > 1


def are_known(call: Instruction, shape: Sequence[int]) -> bool:
    """Whether native code knows all parts of an operation's indices, for an array of this shape."""
    indices = call.params["indices"] if "indices" in call.params else [call.params["index"]]
    return all(by_axis(index, len(shape)) is not None for index in indices)
