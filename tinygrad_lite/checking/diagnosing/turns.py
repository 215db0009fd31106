"""Finds a loop in the code of a gradient that takes too few or too many turns.

The loops are those over `range`. The code runs unchanged, except that `range` in one of its lines is longer or shorter
at its ends.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import CodeType
from typing import Any

from tinygrad_lite.errors import UsageError
from tinygrad_lite.readers.recording import Source

_TURNS = 50_000  # the largest number of turns that a search takes in all loops
_LONGER = 10  # a run with a change may take this many times the turns of the run without
_CHANGES = ((0, 1), (1, 0), (1, 1), (0, -1), (-1, 0), (0, 2), (2, 0))  # additional turns at the beginning and the end

Place = tuple[CodeType, int]
"""Code, and where in it `range` is called."""


@dataclass
class Loop:
    """A loop over a range: where it is, what it runs over the first time, and whether that is another later."""

    place: Place
    source: Source
    first: range
    varies: bool = False

    def words(self, before: int, after: int) -> str:
        """The other turns, in place of its own, in words."""
        new, old = map(_written, (longer(self.first, before, after), self.first))
        return f"{new} in place of {old}{' the first time, and so on' if self.varies else ''}"


@dataclass
class Ranges:
    """A stand-in for `range`, which notes the loops that call it.

    Attributes:
        changed: the loop that has other turns, each time that it is run, and how many more at either end.
        most: how many turns may be taken.
        taken: how many have been taken in all; a loop without any counts as one.

    Raises:
        UsageError: if they are more; with other turns, a loop around them may never end.
    """

    changed: tuple[Place, int, int] | None = None
    most: int = _TURNS
    loops: dict[Place, Loop] = field(default_factory=dict)
    taken: int = 0

    def __call__(self, *ends: Any) -> range:
        turns, frame = range(*ends), sys._getframe(1)
        code = frame.f_code
        place = code, frame.f_lasti
        self.taken += max(len(turns), 1)
        if self.taken > self.most:
            raise UsageError("the gradient takes too many turns to look for a mistake in them")
        source = Source(code.co_filename, frame.f_lineno, code.co_name)
        loop = self.loops.setdefault(place, Loop(place, source, turns))
        loop.varies |= turns != loop.first
        if self.changed is None or self.changed[0] != place:
            return turns
        return longer(turns, *self.changed[1:])


def longer(turns: range, before: int, after: int) -> range:
    """The same range with some more turns before and after."""
    return range(turns.start - before * turns.step, turns.stop + after * turns.step, turns.step)


def other_turns(run: Callable[[Ranges], Any]) -> Iterator[tuple[Callable[[], Ranges], str, str]]:
    """What makes each changed `range`, its line, and what is in place of what; `run` runs the code with a `range`."""
    ranges = Ranges()
    run(ranges)
    left = _TURNS
    for loop in ranges.loops.values():
        for before, after in _CHANGES:
            left -= ranges.taken
            if left < 0:
                return
            changed = partial(Ranges, (loop.place, before, after), _LONGER * ranges.taken)
            yield changed, f"range, called at {loop.source}", loop.words(before, after)


def _written(turns: range) -> str:
    step = f", {turns.step}" if turns.step != 1 else ""
    return f"range({turns.start}, {turns.stop}{step})"
