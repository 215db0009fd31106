"""Where a recorded call belongs: to which pass or update, and to which line of the user's."""

import sys
from functools import lru_cache
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from pathlib import Path
from types import CodeType, FrameType

from tinygrad_lite import optim
from tinygrad_lite.compiler.program import BACKWARD, FORWARD, UPDATE, Variable
from tinygrad_lite.compiler.recording.naming import Namer
from tinygrad_lite.engine import backward
from tinygrad_lite.readers.recording import Source, is_users

_FORMULAS = frozenset({optim.adaptive.__file__, optim.descent.__file__})
_SCHEDULES = map(str, Path(optim.lr_scheduler.__file__).parent.glob("*.py"))
_UPDATING = frozenset({*_FORMULAS, optim.optimizer.__file__, *_SCHEDULES})
_PASS = backward.propagate.__code__
_FORMULA, _UPDATE, _USERS, _ELSEWHERE = "formula", "update", "user's", "elsewhere"
_kinds: dict[str, str] = {}
_source = lru_cache(1000)(Source)  # a line of a loop calls an operation in each turn
_IS_RESUMED = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR
MOST = 1000
"""The most files of which we remember whose code they have."""


class Origins:
    """The origins of the calls of a run, read from the functions that are running.

    Attributes:
        frames: the functions that were running at the latest call, as far as they say where it belongs.

    Args:
        outermost: the code that starts the run, above which no line belongs to it.
        namer: is told the line at which a value was computed.
    """

    def __init__(self, outermost: CodeType, namer: Namer) -> None:
        self.frames: list[tuple[FrameType, str]] = []
        self._outermost = outermost
        self._namer = namer
        self._in_pass: tuple[str, Source | None] | None = None  # the origin of the reverse pass's calls

    def of(self, result: Variable) -> tuple[str, Source | None]:
        """The pass that is running, and the user's line; also notes what a person would call the result."""
        frames = self._frames_that_say_more()
        if self._in_pass is not None:
            return self._in_pass
        section, source = FORWARD, None
        for frame, kind in frames:
            if kind is _ELSEWHERE:
                section = BACKWARD
            elif kind is _USERS:
                if source is None:
                    code = frame.f_code
                    source = _source(code.co_filename, frame.f_lineno, code.co_name)
                if section == FORWARD:
                    self._namer.line(result, frame)
            else:
                section = UPDATE
                if kind is _FORMULA:  # an optimiser's formula is read by its own names
                    self._namer.line(result, frame)
        if section == BACKWARD and frames[0][1] is _ELSEWHERE:  # until it has returned, its callers stay where they are
            self._in_pass = section, source
        return section, source

    def _frames_that_say_more(self) -> list[tuple[FrameType, str]]:
        """The running functions of users and of optimisers, and the reverse pass, from the innermost on, with kinds.

        As long as the innermost is the same, so are the others; but a generator may be asked by another each time.
        """
        known, frame, outermost = self.frames, sys._getframe(2), self._outermost
        innermost = known[0][0] if known and not known[0][0].f_code.co_flags & _IS_RESUMED else None
        frames: list[tuple[FrameType, str]] = []
        while (code := frame.f_code) is not outermost:
            if frame is innermost and not frames:
                return known
            kind = _kinds.get(code.co_filename) or _kind(code.co_filename)
            if kind is not _ELSEWHERE or code is _PASS:
                frames.append((frame, kind))
            frame = frame.f_back  # type: ignore[assignment]
        self.frames, self._in_pass = frames, None
        return frames


def _kind(file: str) -> str:
    """Whose code a file has."""
    if file in _UPDATING:
        kind = _FORMULA if file in _FORMULAS else _UPDATE
    else:
        kind = _USERS if is_users(file) else _ELSEWHERE
    if len(_kinds) >= MOST:
        _kinds.clear()
    _kinds[file] = kind
    return kind
