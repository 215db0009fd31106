"""Iterators and files of outside, which a recording must leave as they were: it takes from them again in each run.

`next` takes nothing from them. What takes from them otherwise, such as a loop, shows in how far they have come.
"""

import gc
import io
import itertools
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import wraps
from types import GeneratorType
from typing import Any

from tinygrad_lite.compiler.recording.recorded import at_line
from tinygrad_lite.errors import UsageError

_ADVICE = "which is another in each run: call next before, and pass what it returns as an argument"


class TakenError(UsageError):
    """A function takes from an iterator of outside, or reads or writes a file, which it does again in each run.

    Attributes:
        is_put_back: whether everything was put back, so that the function itself can run.
    """

    def __init__(self, message: str, is_put_back: bool = True) -> None:
        super().__init__(message)
        self.is_put_back = is_put_back


def next_of(outside: Collection[int]) -> Callable[..., Any]:
    """`next`, which takes nothing from the iterators that were there before, given by their ids."""

    @wraps(next)
    def function(iterator: Any, *default: Any) -> Any:
        if id(iterator) in outside:
            raise TakenError(
                f"a compiled function takes what is next from an iterator of outside{at_line()}\n{_ADVICE}"
            )
        return next(iterator, *default)

    return function


@contextmanager
def untaken(iterators: Collection[Any]) -> Iterator[None]:
    """A block that must take nothing from these iterators, and write into none of them that is a file.

    Raises:
        TakenError: if it did; what it read from a file is put back.
    """
    before = [(x, _progress(x)) for x in iterators]
    try:
        yield
    finally:
        changed = [(x, progress) for x, progress in before if _progress(x) != progress]
        if lost := [x for x, progress in changed if not _is_put_back(x, progress)]:
            raise TakenError(
                f"a compiled function takes what is next from a {type(lost[0]).__name__} of outside, {_ADVICE}. What "
                "its recording took cannot be put back",
                is_put_back=False,
            ) from None
        if changed:
            raise TakenError(
                "a compiled function reads or writes a file of outside: read before, and pass what was read as an "
                "argument; return what to write"
            ) from None


class _Held(list[Any]):
    """Objects that are the same as others if they are those."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and [*map(id, self)] == [*map(id, other)]

    __hash__ = None


def _progress(x: Any) -> Any:
    """How far an iterator has come, in so far as it shows."""
    if isinstance(x, GeneratorType):
        return x.gi_frame and (x.gi_frame.f_lasti, _Held(x.gi_frame.f_locals.values()))
    if isinstance(x, io.IOBase):
        if x.closed or not x.seekable():  # a terminal, or a pipe
            return None
        try:
            return x.tell()
        except OSError:
            return object()  # somebody loops over it, so that it does not tell
    is_of_c = type(x).__module__ in ("builtins", "itertools", "_csv")  # any other has attributes, which are put back
    held = gc.get_referents(x, *[part for part in gc.get_referents(x) if type(part) is tuple]) if is_of_c else []
    return (
        x.__length_hint__() if hasattr(x, "__length_hint__") else None,
        repr(x) if type(x) is itertools.count else None,
        [len(part) for part in held if type(part) is list] if type(x) is itertools.cycle else None,
        [_progress(part) for part in held if isinstance(part, Iterator)],
    )


def _is_put_back(x: Any, progress: Any) -> bool:
    """Put back what was taken from an iterator, if that can be; what was written into a file stays there."""
    if not isinstance(x, io.IOBase) or not isinstance(progress, int):
        return False
    if not x.writable():
        x.seek(progress)
    return True
