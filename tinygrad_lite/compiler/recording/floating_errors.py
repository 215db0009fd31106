"""How a compiled function handles floating-point errors: it may ignore them, but its program looks for none."""

import warnings
from typing import Any

import numpy as np

from tinygrad_lite.compiler.entry import errors_handling
from tinygrad_lite.errors import UsageError

_ERRORS = ("divide", "over", "under", "invalid")


class FloatingErrors:
    """How a function that is recorded has floating-point errors handled, beside how its caller has."""

    def __init__(self) -> None:
        self._before = _handling_by_kind()
        self._first_filter = _first_filter()
        self._handling: tuple[Any, Any] = None, None
        self._ignored: frozenset[str] = frozenset()

    def ignored(self) -> frozenset[str]:
        """The floating-point errors that the function ignores at this moment, and its caller does not.

        Raises:
            UsageError: if the function asks NumPy for errors, or listens to its warnings.
        """
        handling = errors_handling(), _first_filter()
        if handling[0] is not self._handling[0] or handling[1] is not self._handling[1]:
            now = _handling_by_kind()
            before = self._before
            self._handling = handling
            told = _told_of_warnings(handling[1]) if handling[1] is not self._first_filter else None
            for kind, does in now.items():
                if does not in ("ignore", "warn", before[kind]):
                    raise _listens(f'np.errstate({kind}="{does}")')
            if told not in (None, "ignore"):
                raise _listens(f'warnings.simplefilter("{told}")')
            self._ignored = frozenset(x for x in _ERRORS if "ignore" in (now[x], told) and before[x] != "ignore")
        return self._ignored


def _handling_by_kind() -> dict[str, str]:
    """What NumPy does at this moment with each kind of floating-point error."""
    return dict(np.geterr())  # type: ignore[arg-type]


def _first_filter() -> Any:
    """The filter of warnings that was set last."""
    return warnings.filters[0] if warnings.filters else None


def _told_of_warnings(entry: Any) -> str | None:
    """What a filter does with NumPy's warnings about floating-point errors; None if it is for other warnings."""
    action, _, category, _, _ = entry
    return str(action) if issubclass(RuntimeWarning, category) else None


def _listens(to: str) -> UsageError:
    return UsageError(
        f"{to} in a compiled function, whose program does not look for floating-point errors: write it around the call "
        "of the compiled function, or ask before, as by np.where"
    )
