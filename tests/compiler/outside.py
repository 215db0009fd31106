"""A module of a user's, with a setting and a function that reads it; and turns that no recording follows."""

from array import array
from typing import Any

SCALE = 2.0


def scaled(x: Any) -> Any:
    return x * SCALE


class Turns:
    """A number of the turn that no recording follows, as a clock has one: each reading is another."""

    def __init__(self, count: int = 10_000) -> None:
        self._left = array("q", range(count))
        self._take, self._count = self._left.pop, count

    def __call__(self) -> int:
        """How many readings there were before this one."""
        return self._count - 1 - self._take()

    @property
    def over(self) -> bool:
        return not self._left
