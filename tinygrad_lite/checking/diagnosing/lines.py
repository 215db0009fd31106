"""Counts the lines of others' code that run, and ends it where they are too many: changed code may never end by itself.

A `while` loop ends on a condition, which what was changed may never fulfil.
"""

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


class _TooManyError(BaseException):
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
                raise _TooManyError
        return count

    def enter(frame: FrameType, *_: Any) -> Any:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        return count if package not in AS_THEY_ARE else None

    outer = sys.gettrace()
    sys.settrace(enter)
    try:
        yield lines
    except _TooManyError:
        raise UsageError("the gradient takes too many turns to look for a mistake in them") from None
    finally:
        sys.settrace(outer)
