"""Which array a line of others' code writes into, without computing again what code in Python computes."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_lite.foundation.callers import array_written_at


class _Asking:
    """A number that, when it is written, asks where."""

    def __init__(self) -> None:
        self.array: Any = None

    def __float__(self) -> float:
        self.array = array_written_at(sys._getframe(1))
        return 1.0


class _Held:
    def __init__(self) -> None:
        self.rows = np.zeros(3)


class _InASlot:
    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows = np.zeros(3)


class _Counting:
    """What computes an array anew for each reader, and counts them."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def _new(self) -> Any:
        self.made.append(np.zeros(3))
        return self.made[-1]


class _Property(_Counting):
    @property
    def rows(self) -> Any:
        return self._new()


class _MissingAttribute(_Counting):
    def __getattr__(self, name: str) -> Any:
        if name != "rows":  # for which pytest asks
            raise AttributeError(name)
        return self._new()


class _Attribute(_Counting):
    def __getattribute__(self, name: str) -> Any:
        return _Counting._new(self) if name == "rows" else object.__getattribute__(self, name)


class _Entry(_Counting):
    def __getitem__(self, key: str) -> Any:
        return self._new()


def _by_attribute(owner: Any, x: Any) -> None:
    owner.rows[0] = x


def _by_entry(owner: Any, x: Any) -> None:
    owner["rows"][0] = x


def _by_both(owner: Any, x: Any) -> None:
    owner[0].rows[0:1][0] = x


@pytest.mark.parametrize(
    ("write", "owner", "rows"),
    [
        (_by_attribute, held := _Held(), held.rows),
        (_by_attribute, slot := _InASlot(), slot.rows),
        (_by_entry, table := {"rows": np.zeros(3)}, table["rows"]),
        (_by_both, [held], held.rows),
    ],
)
def test_an_array_that_something_holds_is_known(write: Callable[[Any, Any], None], owner: Any, rows: Any) -> None:
    asking = _Asking()
    write(owner, asking)
    assert np.shares_memory(asking.array, rows)


@pytest.mark.parametrize("owner", [_Property(), _MissingAttribute(), _Attribute(), _Entry()])
def test_what_is_computed_for_each_reader_is_computed_once(owner: Any) -> None:
    asking = _Asking()
    (_by_entry if isinstance(owner, _Entry) else _by_attribute)(owner, asking)
    assert asking.array is None
    assert len(owner.made) == 1
