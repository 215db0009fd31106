"""Ctrl-C between steps: a step that has begun is finished first."""

import signal
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


class BetweenSteps:
    """Holds Ctrl-C back until the next step; a second one takes effect at once, for a step that takes too long.

    It does so only where Ctrl-C means `KeyboardInterrupt`: in the main thread and under Python's own handler. Elsewhere
    it does nothing.
    """

    def __init__(self) -> None:
        self._is_asked = self._is_set = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._is_set = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._is_set:
            signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._is_set and signal.getsignal(signal.SIGINT) == self._ask:  # a callback may have set its own
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if kind is None:
            self.check()

    def before(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """The step, which does not begin if somebody has pressed Ctrl-C."""

        def checked(*batches: Any) -> Any:
            self.check()
            return step(*batches)

        return checked

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if somebody has pressed Ctrl-C."""
        if self._is_asked:
            self._is_asked = False
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: Any) -> None:
        self.check()  # raises at the second one
        self._is_asked = True
