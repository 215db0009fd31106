"""Marks on single parameters of a test."""

from collections.abc import Iterable
from typing import Any

import pytest


def param(*values: Any, slow: bool) -> Any:
    """Parameters of a test; with `slow`, only for a run with -m slow."""
    return pytest.param(*values, marks=[pytest.mark.slow] if slow else [])


def spread(items: Iterable[Any], start: int) -> list[Any]:
    """Every sixth item for the usual run, the others with -m slow.

    Loops over the same operations start at different places, so that the usual run asks something of each operation.
    """
    tuples = [item if isinstance(item, tuple) else (item,) for item in items]
    return [param(*item, slow=i % 6 != start) for i, item in enumerate(tuples)]
