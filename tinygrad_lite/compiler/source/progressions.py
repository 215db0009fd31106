"""Numbers that grow evenly, which Python writes as a range."""

from collections.abc import Sequence
from typing import Any

LONG = 8  # values that are worth a text of their own

Progression = tuple[int, int, int]
"""Start, step and count of numbers that grow evenly."""


def progression(values: Sequence[Any]) -> Progression | None:
    """The progression of some whole numbers, if they grow evenly."""
    if any(type(value) is not int for value in values):
        return None
    start, step = values[0], values[1] - values[0]
    even = all(value == start + step * turn for turn, value in enumerate(values))
    return (start, step, len(values)) if even and step else None


def range_text(numbers: Progression) -> str:
    """The range of these numbers."""
    start, step, count = numbers
    if step == -1:
        return f"reversed({range_text((start - count + 1, 1, count))})"
    stop = start + step * count
    if step == 1:
        return f"range({stop})" if start == 0 else f"range({start}, {stop})"
    return f"range({start}, {stop}, {step})"


def sequence_text(values: Sequence[Any], texts: Sequence[str]) -> str:
    """The text of a tuple of values with these texts, of which many in a row may grow evenly or be the same."""
    parts: list[str] = []
    start = 0
    while start < len(values):
        same, even = _end_of_same(texts, start), _end_of_even(values, start)
        numbers = progression(values[start:even]) if even - start >= LONG else None
        if same - start >= LONG:
            parts.append(f"*[{texts[start]}] * {same - start}")
            start = same
        elif numbers:
            parts.append(f"*{range_text(numbers)}")
            start = even
        else:
            parts.append(texts[start])
            start += 1
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def _end_of_same(texts: Sequence[str], start: int) -> int:
    """Where texts stop being the same."""
    return next((i for i in range(start + 1, len(texts)) if texts[i] != texts[start]), len(texts))


def _end_of_even(values: Sequence[Any], start: int) -> int:
    """Where values stop growing evenly, two of which always do."""
    return next((i for i in range(start + 2, len(values)) if not progression(values[i - 2 : i + 1])), len(values))
