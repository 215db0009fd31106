"""Marks on single parameters of a test."""

from collections.abc import Iterable
from typing import Any

import pytest


def param(*values: Any, slow: bool) -> Any:
    """Parameters of a test; with `slow`, only for a run with -m slow."""
    return pytest.param(*values, marks=[pytest.mark.slow] if slow else [])


def spread(items: Iterable[Any], start: int) -> list[Any]:
    """Every sixth item of a loop whose cases are few and long for the usual run, the others with -m slow."""
    tuples = [item if isinstance(item, tuple) else (item,) for item in items]
    return [param(*item, slow=i % 6 != start) for i, item in enumerate(tuples)]
