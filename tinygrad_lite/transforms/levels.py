"""Levels of values: which of several traced values an operation goes to.

Each forward-mode transform and each stack of examples has a level of its own, higher than those around it, so that
nested transforms do not mix up their values. An operation goes to the value of the highest level.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any

from tinygrad_lite.engine.operators import Operators

Stacks = tuple[tuple[int, int], ...]
"""The level and the number of examples of each stack that a function runs on, from the outermost to the innermost."""

running_stacks: ContextVar[Stacks] = ContextVar("running_stacks", default=())
_next_level = count(1).__next__
_pushing: set[int] = set()


class Leveled(Operators):
    """A value of a transform.

    Attributes:
        level: the level of the transform that it belongs to.
    """

    __slots__ = ("level",)
    level: int


@contextmanager
def pushing() -> Iterator[int]:
    """The level of a forward-mode transform, for as long as it runs."""
    level = _next_level()
    _pushing.add(level)
    try:
        yield level
    finally:
        _pushing.discard(level)


@contextmanager
def stacking(examples: int) -> Iterator[int]:
    """The level of a stack of so many examples, for as long as a function runs on it."""
    level = _next_level()
    with on_stacks((*running_stacks.get(), (level, examples))):
        yield level


def below(level: int) -> AbstractContextManager[None]:
    """A block that computes with values of lower levels, and so does not know of stacks from this level on."""
    return on_stacks(tuple([stack for stack in running_stacks.get() if stack[0] < level]))


@contextmanager
def on_stacks(stacks: Stacks) -> Iterator[None]:
    """A block in which a function runs on these stacks."""
    before = running_stacks.set(stacks)
    try:
        yield
    finally:
        running_stacks.reset(before)


def pushes_tangents() -> bool:
    """Whether a forward-mode transform is running."""
    return bool(_pushing)


def is_running(level: int) -> bool:
    """Whether the transform of this level is running."""
    return level in _pushing or any(level == other for other, _ in running_stacks.get())


def highest_level(values: Iterable[Any]) -> int:
    """The highest level among these values, which is the innermost transform's; 0 if none has a level."""
    highest = 0
    for x in values:
        if isinstance(x, Leveled) and x.level > highest:
            highest = x.level
    return highest
