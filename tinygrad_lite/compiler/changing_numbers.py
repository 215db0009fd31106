"""Python numbers that change from call to call, such as a rate or the start of a slice: inputs of the program.

A number that stays the same is a constant of the program, which makes the fastest one. With its second value it becomes
an input, unless Python needs its value, as for the length of a loop.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from tinygrad_lite.compiler.recording.guards import Field, Guard, Item, Key
from tinygrad_lite.compiler.signature import Signature, numbers_among

MOST = 50
"""The most forms of arguments whose numbers are remembered."""


class ChangingNumbers:
    """The numbers among the arguments of a function, and under the names that it reads, which have changed."""

    def __init__(self) -> None:
        self._first: dict[Hashable, dict[int, Any]] = {}
        self._changed: dict[Hashable, set[int]] = {}
        self._needed: dict[Hashable, frozenset[int]] = {}
        self._needed_names: set[Key] = set()

    def among(self, key: Signature, leaves: Sequence[Any]) -> frozenset[int]:
        """Which leaves of the arguments of a call are numbers that have had another value, and can be inputs."""
        numbers = numbers_among(leaves)
        if not numbers:
            return numbers
        form = key.for_any(numbers)
        while form not in self._first and len(self._first) >= MOST:
            oldest = next(iter([*self._first]), None)  # threads may take some away
            for memory in (self._first, self._changed, self._needed):
                memory.pop(oldest, None)
        first = self._first.setdefault(form, {i: leaves[i] for i in numbers})
        changed = self._changed.setdefault(form, set())
        changed.update(i for i in numbers if repr(leaves[i]) != repr(first[i]))
        return frozenset(changed) - self._needed.get(form, frozenset())

    def note_needed(self, key: Signature, leaves: Sequence[Any], numbers: frozenset[int]) -> None:
        """Note numbers among the arguments of a call whose value Python needs."""
        if numbers:
            form = key.for_any(numbers_among(leaves))
            self._needed[form] = self._needed.get(form, frozenset()) | numbers

    def among_names(self, guards: Iterable[Guard]) -> dict[Key, Guard]:
        """The names of numbers that have another value now, and can be inputs."""
        names = {}
        for guard in guards:
            if not _is_of_a_number(guard) or guard.key in self._needed_names or guard.holds():
                continue
            now = guard.renewed()
            if type(now.value) is type(guard.value):
                now.varying = frozenset((0,))
                names[guard.key] = now
        return names

    def note_needed_names(self, names: Iterable[Key]) -> None:
        """Note names of numbers whose value Python needs."""
        self._needed_names.update(names)


def _is_of_a_number(guard: Guard) -> bool:
    """Whether a guard is that of a number, in whose place a recording can put something else."""
    is_variable = isinstance(guard, Field) and type(guard.owner).__name__ == "cell"
    return (is_variable or type(guard) is Item) and bool(numbers_among([guard.value]))
