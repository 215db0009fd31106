"""Watches others' code that was changed, and ends it where it goes astray.

A `while` loop ends on a condition, which what was changed may never fulfil. And what only another condition has kept
from running, such as `sys.exit()` or the writing of a file, must not run.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tinygrad_lite.checking.subjects.following import AS_THEY_ARE
from tinygrad_lite.errors import UsageError

_LONGER = 10  # how many times as many lines as before code may run, if it is changed
_FEW = 10_000  # how many it may run in any case


class _EndedError(BaseException):
    """An error that other code does not handle."""


@dataclass
class Lines:
    """How many lines have run."""

    count: int = 0


@contextmanager
def counting_lines(before: Lines | None = None) -> Iterator[Lines]:
    """Count the lines that this thread runs in the block, in functions that are called there.

    Args:
        before: the lines that ran without a change. Many more raise an error.

    Raises:
        UsageError: if they are too many.
    """
    lines = Lines()
    most = _LONGER * before.count + _FEW if before else sys.maxsize

    def count(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            lines.count += 1
            if lines.count > most:
                raise _EndedError
        return count

    def enter(frame: FrameType, *_: Any) -> Any:
        return count if _is_others(frame) else None

    outer = sys.gettrace()
    sys.settrace(enter)
    try:
        with _without_collections():
            yield lines
    except _EndedError:
        raise UsageError("the gradient takes too many turns to look for a mistake in them") from None
    finally:
        sys.settrace(outer)


@contextmanager
def noting_calls(known: set[Any] | None = None) -> Iterator[set[Any]]:
    """Note what others' code calls in the block.

    Args:
        known: what it may call. Before it calls anything else, it ends.

    Raises:
        UsageError: if it ends, or if a profiler is running, which alone can hear of calls.
    """
    if sys.getprofile():
        raise UsageError("while a profiler is running, nobody else can hear of calls")
    calls = set[Any]()

    def note(frame: FrameType, event: str, function: Any) -> None:
        caller: FrameType | None = frame
        if event == "c_call":
            call: Any = getattr(function, "__module__", None), getattr(function, "__qualname__", repr(function))
        elif event == "call" and not frame.f_code.co_name.startswith("<"):  # a part of a function, such as a lambda
            caller, call = frame.f_back, (frame.f_code.co_filename, frame.f_code.co_firstlineno, frame.f_code.co_name)
        else:
            return
        if caller is not None and _is_others(caller):
            calls.add(call)
            if known is not None and call not in known:
                raise _EndedError

    sys.setprofile(note)
    try:
        with _without_collections():
            yield calls
    except _EndedError:
        raise UsageError("the gradient calls what it did not call before") from None
    finally:
        sys.setprofile(None)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Run no garbage collection in the block: what it calls, such as Hypothesis's clock, is no part of the code."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _is_others(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] not in AS_THEY_ARE
