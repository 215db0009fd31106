"""Layout: where in memory each array of a program lies, as an offset and strides in a flat buffer.

If NumPy makes a view, as for a transpose or a slice, it is a view here, too: we call NumPy on a stand-in with the same
strides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_lite.compiler.program import Instruction, Variable, axes_in_memory


@dataclass(frozen=True)
class Layout:
    """An array as entries of a flat buffer.

    Attributes:
        buffer: the buffer's name in the source.
        offset: the position of the entry at index 0 along all axes.
        strides: the distance between neighbours along each axis, in entries.
    """

    buffer: str
    offset: int
    strides: tuple[int, ...]


def contiguous(shape: Sequence[int], order: Sequence[int] | None = None) -> tuple[int, ...]:
    """The strides of an array without gaps; `order` has its axes from the slowest to the fastest."""
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
    if call.op.kind != "moving":
        return None  # a function of a user's may return its argument for some entries, and a new array for others
    reach = [stride * (size - 1) for stride, size in zip(layout.strides, shape)]
    lowest = sum(ahead for ahead in reach if ahead < 0)
    memory = np.empty(sum(map(abs, reach)) + 1, np.int8)
    stand_in = np.lib.stride_tricks.as_strided(memory[-lowest:], shape, layout.strides)
    arguments = [stand_in if isinstance(x, Variable) else x for x in call.inputs]
    made = call.op.forward(*arguments, **call.params)
    if not np.may_share_memory(made, memory):
        return None
    ahead = made.__array_interface__["data"][0] - stand_in.__array_interface__["data"][0]
    return Layout(layout.buffer, layout.offset + ahead, made.strides)
