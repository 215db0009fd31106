"""A module of a user's, with a setting and a function that reads it."""

from typing import Any

SCALE = 2.0


def scaled(x: Any) -> Any:
    return x * SCALE
