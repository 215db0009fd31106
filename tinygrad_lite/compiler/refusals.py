"""Calls whose recording fails: the function itself runs, which one warning says, and recordings become ever rarer."""

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygrad_lite import trees
from tinygrad_lite.compiler.recording.iterators import TakenError
from tinygrad_lite.compiler.signature import Signature, numbers_among, signature
from tinygrad_lite.errors import TinygradError, UncompiledWarning, UsageError, warn
from tinygrad_lite.foundation.callers import steps_of

MOST = 1000
"""The most reasons that are remembered."""

MANY = 10
"""The forms of calls that fail before any others count as one."""

LONGEST_REST = 64
"""The most calls in a row that run the function itself without being looked at."""

_HERE = str(Path(__file__).parent)


class Refusal:
    """Why a recording failed.

    Attributes:
        is_by_the_compiler: whether the compiler refused it; else, the function may well have the error itself.
        is_for_good: whether another recording would read and write outside again, and be refused for that.
    """

    def __init__(self, error: Exception) -> None:
        steps = steps_of(error.__traceback__)
        home = steps[-1].tb_frame.f_code.co_filename if steps else ""
        is_ours = isinstance(error, TinygradError)
        self.is_by_the_compiler = is_ours and home.startswith(_HERE)
        self.is_for_good = isinstance(error, TakenError)
        self.reason = str(error) if is_ours else f"its recording ends in {type(error).__name__}: {error}"


class Refusals:
    """The forms of calls whose recording failed, and the reasons that have been told.

    The next call of such a form is recorded, too, as an optimiser may have made its state by then, or an error may be
    over. After each failure, four times as many calls as before are left to the function itself. When many forms have
    failed, those that come new count as one, as a list among the arguments may grow in each call.

    Attributes:
        latest: the reason that was told, or would have been, the last time.
        rest: how many of the next calls the function itself serves, whatever their form, unless there are programs: to
            find out the form takes longer than a small function.
    """

    def __init__(self) -> None:
        self._failures: dict[Hashable, tuple[int, float]] = {}  # how many, and the calls that are still left out
        self._told: set[str] = set()
        self.latest = ""
        self.rest = 0

    def tell(self, name: str, reason: str) -> None:
        """Warn that a function runs uncompiled, once for each reason."""
        self.latest = reason
        if reason not in self._told:
            warn(f"{name} runs without being compiled: {reason}", UncompiledWarning)
            if len(self._told) < MOST:
                self._told.add(reason)

    def note(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], is_for_good: bool) -> None:
        """Note that a call of this form could not be recorded, and has run."""
        form = self._known(_form(args, kwargs))
        times = self._failures.pop(form, (0, 0))[0] + 1
        self._failures[form] = times, math.inf if is_for_good else 0 if times == 1 else 4 ** (times - 2)

    def leave_out(self, key: Signature, leaves: Sequence[Any]) -> bool:
        """Whether to leave out the recording that a call needs, as those of its form have failed."""
        if not self._failures:
            return False
        form = self._known(key.for_any(numbers_among(leaves)))
        times, calls = self._failures.get(form, (0, 0))
        if calls:
            self.rest = int(min(calls - 1, 4 * LONGEST_REST)) // 4
            self._failures[form] = times, calls - 1 - self.rest
        return calls > 0

    def _known(self, form: Hashable) -> Hashable:
        return form if form in self._failures or len(self._failures) < MANY else None


def _form(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable:
    """The signature of a call, whatever its numbers are; None if it has none, as an argument can change unnoticed."""
    leaves = trees.leaves((args, dict(kwargs)))
    try:
        return signature(args, kwargs, leaves).for_any(numbers_among(leaves))
    except UsageError:
        return None
