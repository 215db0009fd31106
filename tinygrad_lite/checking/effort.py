"""How much a search may cost: counted in operations that it performs, so that it ends at the same place everywhere."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Effort:
    """The effort that is left to a search.

    Attributes:
        ended: whether any part of the search ended before its time.
    """

    def __init__(self, operations: float) -> None:
        self._left = operations
        self.ended = False

    def spend(self, operations: int) -> None:
        """Note that so many operations were performed, or as much work as they would be."""
        self._left -= operations

    def within(self, share: float, tried: Iterable[T]) -> Iterator[T]:
        """What is tried, one after another, until this share of the effort is spent."""
        end = (1 - share) * self._left
        for one_more in tried:
            yield one_more
            if self._left <= end:
                self.ended = True
                return
