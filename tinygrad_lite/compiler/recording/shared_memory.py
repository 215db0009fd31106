"""Recorded values that share memory in NumPy: what a write into one of them does to the others."""

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.compiler.program import mapped
from tinygrad_lite.compiler.recording.recorded import Recorded, at_line
from tinygrad_lite.compiler.recording.same import memory_of
from tinygrad_lite.engine.op import Array


class SharedMemory:
    """The part of a transcript that knows which values are views of one another's memory."""

    def __init__(self) -> None:
        self._values: list[weakref.ref[Recorded]] = []
        self._viewed: set[int] = set()  # the memory of which there are views, by id
        self._cuts: list[weakref.ref[Recorded]] = []  # slices with recorded bounds

    def note_value(self, x: Recorded) -> None:
        """Note a value, into whose memory the function may write later."""
        self._values.append(weakref.ref(x))

    def note_view(self, value: Array) -> None:
        """Note that an array is a view of another one's memory."""
        self._viewed.add(id(memory_of(value)))

    def let_view(self, x: Recorded, value: Array) -> None:
        """Let an object have a value that is a view of another one's memory."""
        x.value = value
        self.note_view(value)

    def note_cut(self, x: Recorded) -> None:
        """Note a slice with recorded bounds, which is a view in NumPy and has memory of its own here."""
        self._cuts.append(weakref.ref(x))

    def write(self, into: Recorded, x: Recorded, operator: str, part: Recorded | None = None) -> None:
        """Let an object that stands for an array have the entries of another one, as after `into += y`.

        Other views of its memory cannot be read any more, except for the part of it that has been written into.

        Raises:
            ValueError, TypeError: if NumPy would refuse to write these entries.
        """
        if x.shape != into.shape:
            raise ValueError(f"non-broadcastable output operand with shape {into.shape} doesn't match {x.shape}")
        if not np.can_cast(x.dtype, into.dtype, "same_kind"):
            raise TypeError(f"cannot cast the output of {operator} from {x.dtype} to {into.dtype}: write x = x + y")
        x = x.astype(into.dtype) if x.dtype != into.dtype else x
        wholes, changed, index = [*_wholes(into)], None, None
        if into.part_of is not None and wholes:
            index = into.part_of[1]
            changed = wholes[0].at[index].set(x)
        cuts = [cut for cut in (reference() for reference in self._cuts) if cut is not None]
        if id(memory_of(into.value)) in self._viewed or cuts:
            known = {id(whole) for whole in (into, part, *wholes)}
            for other in (reference() for reference in self._values):
                if other is not None and id(other) not in known and _may_see(other, into, cuts):
                    other.overwritten = "" if other.is_fixed else f"{operator}{at_line()}"
        into.variable, into.value = x.variable, np.asarray(x.value)
        if changed is not None:
            self.write(wholes[0], changed, operator, into)
        if changed is not None and not any(into is cut for cut in cuts):
            into.value = wholes[0].value[mapped(value_of, {"index": index})["index"]]
            self.note_view(into.value)


def share_memory(x: Any, y: Any) -> bool:
    """Whether two values are arrays that share memory."""
    return isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and np.may_share_memory(x, y)


def _may_see(x: Recorded, written: Recorded, cuts: Sequence[Recorded]) -> bool:
    """Whether a value may have other entries after another one has been written into, since their memory is the same.

    Args:
        cuts: the slices with recorded bounds, which share the memory of their wholes in NumPy alone.
    """
    memory = [written.value]
    for cut in cuts:
        whole = cut.part_of[0]  # type: ignore[index]
        if share_memory(cut.value, written.value) and not cut.is_fixed:
            memory.append(whole.value)
        elif share_memory(whole.value, written.value):
            memory.append(cut.value)
    return any(share_memory(x.value, value) for value in memory)


def in_numpys_memory(x: Any) -> Any:
    """The array of a value; for a slice with recorded bounds, its whole, whose memory it shares in NumPy alone."""
    if type(x) is not Recorded or x.part_of is None:
        return value_of(x)
    *_, whole = x, *_wholes(x)
    return x.value if share_memory(x.value, whole.value) else whole.value[...]


def _wholes(x: Recorded) -> Iterator[Recorded]:
    """The arrays of which a value is a view at an index, or a view of such a view."""
    while x.part_of is not None and not x.part_of[0].is_fixed:
        x = x.part_of[0]
        yield x


def value_of(x: Any) -> Any:
    """The value behind what is recorded; anything else as it is."""
    return x.value if type(x) is Recorded else x
