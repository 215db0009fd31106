"""How long the search for what explains a wrong gradient may take."""

from time import monotonic, thread_time

SECONDS = 5.0
_WAITING = 6  # how many times as long it may take where it waits for others


class Patience:
    """The time that is left of a search, which begins when this is made.

    Args:
        share: the part of the usual time that it may take.

    Attributes:
        has_ended: whether anybody has found that there is none left.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._work, self._wait, self._seconds = thread_time(), monotonic(), share * SECONDS
        self.has_ended = False

    def ends(self, share: float = 1.0) -> bool:
        """Whether this share of the time is over."""
        seconds = share * self._seconds
        is_over = thread_time() - self._work > seconds or monotonic() - self._wait > _WAITING * seconds
        self.has_ended |= is_over
        return is_over
