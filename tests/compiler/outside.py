"""A module of a user's, with a setting and a function that reads it; and turns that no recording follows."""

import os
import weakref
from typing import Any

SCALE = 2.0


def scaled(x: Any) -> Any:
    return x * SCALE


class Turns:
    """A number of the turn that no recording follows, as a clock has one: how far a file of the system's was read."""

    def __init__(self, count: int = 10_000) -> None:
        self._count, self._file = count, os.open(__file__, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __call__(self) -> int:
        """How many readings there were before this one."""
        return os.lseek(self._file, 1, os.SEEK_CUR) - 1

    @property
    def over(self) -> bool:
        return os.lseek(self._file, 0, os.SEEK_CUR) >= self._count
