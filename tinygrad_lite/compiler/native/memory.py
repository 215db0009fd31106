"""Layout: where in memory each array of a program lies, as an offset and strides in the array that it is a part of.

If NumPy makes a view, as for a transpose or a slice, it is a view here, too: we call NumPy on a stand-in with the same
strides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tinygrad_lite.compiler.program import Instruction, Variable, axes_in_memory
from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.ops.shapes import indexing


@dataclass(frozen=True)
class Layout:
    """An array as entries of a block of memory.

    Attributes:
        root: the variable that the block belongs to.
        offset: the position of the entry at index 0 along all axes, in entries.
        strides: the distance between neighbours along each axis, in entries.
    """

    root: Variable
    offset: int
    strides: tuple[int, ...]


def contiguous(shape: Sequence[int], order: Sequence[int] | None = None) -> tuple[int, ...]:
    """The strides of an array without gaps; `order` has its axes from the slowest to the fastest."""
    if len(shape) < 2:
        return (1,) * len(shape)
    strides = [0] * len(shape)
    step = 1
    for axis in reversed(range(len(shape)) if order is None else order):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the entries of an array fill a block of memory, in any order of axes."""
    kept = [(shape[axis], strides[axis]) for axis in axes_in_memory(strides) if shape[axis] != 1]
    return [stride for _, stride in kept] == list(contiguous([size for size, _ in kept]))


def view(call: Instruction, shape: tuple[int, ...], layout: Layout) -> Layout | None:
    """The layout of an operation's result, if that is a view of its argument, whatever the entries are."""
    if call.op.kind != "moving" or len(call.reads) != 1 or call.result.dtype != layout.root.dtype:
        return None  # a function of a user's may return its argument for some entries, and a new array for others
    return _viewed(call.op, call.params, shape, layout)


def part(index: Any, shape: tuple[int, ...], layout: Layout) -> Layout | None:
    """The layout of the entries at an index, if they are a view."""
    return _viewed(indexing.getitem, {"index": index}, shape, layout)


def _viewed(op: Op, params: Mapping[str, Any], shape: tuple[int, ...], layout: Layout) -> Layout | None:
    if op is indexing.getitem and _has_flag(params["index"]):
        return None  # a copy; the cache does not tell True from 1
    known = tuple(params.items())
    try:
        made = _view(op, known, shape, layout.strides)
    except TypeError:  # an index that holds an array cannot be remembered
        made = _view.__wrapped__(op, known, shape, layout.strides)
    return made and Layout(layout.root, layout.offset + made[0], made[1])


def _has_flag(index: Any) -> bool:
    return isinstance(index, (bool, np.bool)) or (type(index) is tuple and any(map(_has_flag, index)))


@cache
def _view(
    op: Op, params: tuple[tuple[str, Any], ...], shape: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[int, tuple[int, ...]] | None:
    """The offset and the strides that an operation makes of these strides; None if it makes a new array."""
    reach = [stride * (size - 1) for stride, size in zip(strides, shape)]
    lowest = sum(ahead for ahead in reach if ahead < 0)
    memory = np.empty(max(sum(map(abs, reach)) + 1, 1), np.int8)
    stand_in = np.lib.stride_tricks.as_strided(memory[-lowest:], shape, strides)
    made = op.forward(stand_in, **dict(params))
    if isinstance(made, np.generic) and op is indexing.getitem:
        return int(op.forward(positions(shape, strides), **dict(params))), ()
    if not np.may_share_memory(made, memory):
        return None
    return made.__array_interface__["data"][0] - stand_in.__array_interface__["data"][0], made.strides


def positions(shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """How far each entry lies from the first one, in entries."""
    total = np.zeros(shape, np.int64)
    for axis, stride in enumerate(strides):
        total += np.arange(shape[axis]).reshape(-1, *[1] * (len(shape) - axis - 1)) * stride
    return total
