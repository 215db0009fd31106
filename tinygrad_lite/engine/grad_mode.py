"""Whether operations are written into the graph: switched per thread, for a block or a function."""

import threading
from contextlib import ContextDecorator
from typing import Any, Self


class _Mode(threading.local):
    enabled = True
    transforming = False  # whether a transform is running a user's function


mode = _Mode()


class _Switch(ContextDecorator):
    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._before: list[bool] = []

    def _recreate_cm(self) -> "_Switch":
        return _Switch(self._enabled)  # a decorated function may run in several threads at once

    def __enter__(self) -> Self:
        self._before.append(mode.enabled)
        mode.enabled = self._enabled
        return self

    def __exit__(self, *exception: Any) -> None:
        mode.enabled = self._before.pop()


def no_grad() -> _Switch:
    """A context manager or decorator under which this thread builds no graph, and leaves may be updated with `-=`.

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
    """A context manager or decorator under which this thread builds a graph, also inside `no_grad`.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(2.0, requires_grad=True)
        >>> with tg.no_grad(), tg.enable_grad():
        ...     y = w * w
        >>> y.requires_grad
        True
    """
    return _Switch(True)
