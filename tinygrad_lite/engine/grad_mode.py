"""The gradient mode: whether operations are recorded in the graph. Each thread, task and generator has its own."""

import contextlib
import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR, isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import FrameType
from typing import Any, Self

from tinygrad_lite.errors import UsageError

enabled: "ContextVar[bool | Watch | _InGenerator]" = ContextVar("enabled", default=True)
"""Whether operations are recorded in the graph."""

transforming: ContextVar[bool] = ContextVar("transforming", default=False)
"""Whether a transform is running a user's function."""

unrecorded: "ContextVar[bool | Watch]" = ContextVar("unrecorded", default=False)
"""The mode of `no_grad`: False, or in a function under a transform, what notices that values lose their histories."""


class Watch:
    """The mode of a pass or a block without a graph; it notices whether an operation takes a value with a history."""

    noticed = False

    def __bool__(self) -> bool:
        self.noticed = True
        return False


class _InGenerator:
    """The mode of a block in a generator; while the generator is suspended, its consumer keeps its own mode."""

    def __init__(self, frame: FrameType, setting: "bool | Watch", before: "bool | Watch | _InGenerator") -> None:
        self.frame: FrameType | None = frame
        self.setting, self.before = setting, before

    def __bool__(self) -> bool:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame is not self.frame:
            frame = frame.f_back
        return bool(self.before if frame is None else self.setting)


class _Switch:
    def __init__(self, setting: bool) -> None:
        self._setting: Any = setting
        self._entered: list[bool | Watch | _InGenerator] = []

    def __enter__(self) -> Self:
        frame, before, mode = sys._getframe(1), enabled.get(), self._setting or unrecorded.get()
        if frame.f_code.co_flags & (CO_GENERATOR | CO_ASYNC_GENERATOR) and not _is_manager(frame):
            before = mode = _InGenerator(frame, mode, before)
        self._entered.append(before)
        enabled.set(mode)
        return self

    def __exit__(self, *exception: Any) -> None:
        before = self._entered.pop()
        if isinstance(before, _InGenerator) and before.frame is sys._getframe(1):
            before.frame = None  # this mode is over inside blocks that have begun since, too
            if enabled.get() is not before:
                return
        while isinstance(before, _InGenerator) and before.frame is None:
            before = before.before
        enabled.set(before)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if iscoroutinefunction(function) or isasyncgenfunction(function):
            raise UsageError(f"{function.__name__} runs later than this call: write a `with` block in its body instead")

        def switched(*args: Any, **kwargs: Any) -> Any:
            with _Switch(self._setting):
                return function(*args, **kwargs)

        def turns(*args: Any, **kwargs: Any) -> Any:
            return (yield from _turns(self._setting, function(*args, **kwargs)))

        return wraps(function)(turns if isgeneratorfunction(function) else switched)


def _turns(setting: bool, generator: Any) -> Any:
    """A generator whose turns have a mode; what its consumer does between them has its own.

    Another generator runs it. If contextlib did, the mode would hold in the manager's block, too.
    """
    with _Switch(setting):
        return (yield from generator)


def _is_manager(frame: FrameType) -> bool:
    """Whether a generator is a context manager, which is meant to set the mode for the block that it yields to."""
    return frame.f_back is not None and frame.f_back.f_code.co_filename == contextlib.__file__


def no_grad() -> _Switch:
    """A context manager or decorator under which no graph is built, and `-=` updates leaves.

    It holds only for the block, in this thread or task; the block may contain `yield` and `await`.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(2.0, requires_grad=True)
        >>> with tg.no_grad():
        ...     w -= 0.5
        >>> w
        tensor(1.5, requires_grad=True)
    """
    return _Switch(False)


def enable_grad() -> _Switch:
    """A context manager or decorator under which a graph is built, even inside `no_grad`.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(2.0, requires_grad=True)
        >>> with tg.no_grad(), tg.enable_grad():
        ...     y = w * w
        >>> y.requires_grad
        True
    """
    return _Switch(True)
