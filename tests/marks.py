"""Marks on single parameters of a test."""

from typing import Any

import pytest


def param(*values: Any, slow: bool) -> Any:
    """Parameters of a test; with `slow`, only for a run with -m slow."""
    return pytest.param(*values, marks=[pytest.mark.slow] if slow else [])
