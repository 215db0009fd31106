"""A search along a direction for a length that meets the strong Wolfe conditions: a loss low and flat enough.

Source: Nocedal and Wright (2006), Numerical optimization, algorithms 3.5 and 3.6, as in PyTorch.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array

Evaluate = Callable[[float], tuple[float, Array]]
"""The loss and its gradient at a length along the direction."""

DESCENT = 1e-4  # the share of the slope at the start by which the loss must descend
FLATNESS = 0.9  # the share of the slope at the start that may be left


class Point(NamedTuple):
    """A point of the search; its slope is that along the direction."""

    length: float
    loss: float
    gradient: Array
    slope: float


class LineSearch:
    """A search along a direction, from a start at length 0.

    Attributes:
        evaluations: how often the loss has been computed.

    Args:
        tolerance: the move of an entry below which the search ends.
        most: how many evaluations there may be after the first.
    """

    def __init__(self, evaluate: Evaluate, direction: Array, start: Point, tolerance: float, most: int) -> None:
        self._evaluate, self._direction, self._start = evaluate, direction, start
        self._tolerance, self._most = tolerance, most
        self.evaluations = 0

    def search(self, length: float) -> Point:
        """The point that was found, or the lowest one if the search had to end before.

        First the length grows until the bracket between the last two points must hold such a point, then the bracket
        shrinks.
        """
        bracket = self._bracket(self._at(length))
        return bracket[0] if len(bracket) == 1 else self._shrunk(bracket)

    def _at(self, length: float) -> Point:
        self.evaluations += 1
        loss, gradient = self._evaluate(length)
        return Point(length, loss, gradient, float(gradient @ self._direction))

    def _may_go_on(self) -> bool:
        return self.evaluations <= self._most

    def _is_too_high(self, point: Point) -> bool:
        return point.loss > self._start.loss + DESCENT * point.length * self._start.slope

    def _is_flat(self, point: Point) -> bool:
        return abs(point.slope) <= -FLATNESS * self._start.slope

    def _bracket(self, now: Point) -> list[Point]:
        """The two ends of a bracket; or one point, if it meets the conditions."""
        before = self._start
        while self._may_go_on():
            is_too_high = self._is_too_high(now) or (self.evaluations > 2 and now.loss >= before.loss)
            if not is_too_high and self._is_flat(now):
                return [now]
            if is_too_high or now.slope >= 0:
                return [before, now]
            length = _lowest(before, now, now.length + 0.01 * (now.length - before.length), now.length * 10)
            before, now = now, self._at(length)
        return [self._start, now]

    def _shrunk(self, bracket: list[Point]) -> Point:
        low, was_near_an_end = _lower(bracket), False
        while self._may_go_on() and not self._is_narrow(bracket):
            length, was_near_an_end = _inside(bracket, was_near_an_end)
            now = self._at(length)
            if self._is_too_high(now) or now.loss >= bracket[low].loss:
                bracket[1 - low] = now
                low = _lower(bracket)
                continue
            if self._is_flat(now):
                return now
            if now.slope * (bracket[1 - low].length - bracket[low].length) >= 0:
                bracket[1 - low] = bracket[low]
            bracket[low] = now
        return bracket[low]

    def _is_narrow(self, bracket: list[Point]) -> bool:
        width = abs(bracket[1].length - bracket[0].length)
        return bool(width * np.max(np.abs(self._direction)) < self._tolerance)


def _lower(bracket: list[Point]) -> int:
    """The end of a bracket with the lower loss."""
    return 0 if bracket[0].loss <= bracket[1].loss else 1


def _inside(bracket: list[Point], was_near_an_end: bool) -> tuple[float, bool]:
    """The length inside a bracket to try next, and whether it is near an end, which it never is twice in a row."""
    smallest, largest = sorted(point.length for point in bracket)
    length = _lowest(bracket[0], bracket[1], smallest, largest)
    margin = 0.1 * (largest - smallest)
    is_near_an_end = min(largest - length, length - smallest) < margin
    if is_near_an_end and (was_near_an_end or length >= largest or length <= smallest):
        return largest - margin if abs(length - largest) < abs(length - smallest) else smallest + margin, False
    return length, is_near_an_end


def _lowest(a: Point, b: Point, smallest: float, largest: float) -> float:
    """The length between two others at which the cubic through two points is lowest; their middle if there is none."""
    if a.length > b.length:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.length - b.length) if a.length != b.length else np.nan
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (smallest + largest) / 2
    d2 = square**0.5
    divisor = b.slope - a.slope + 2 * d2
    lowest = b.length - (b.length - a.length) * ((b.slope + d2 - d1) / divisor) if divisor else np.nan
    return min(max(lowest, smallest), largest)
