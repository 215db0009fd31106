"""Floor 6. A mark: whether a submission is right, and if not, where and what it looks like; never the answer.

A distance from the right value gives that value away to whoever divides by it, so it is told in steps of a half.
"""

from dataclasses import dataclass

import numpy as np

from tinygrad_lite.exercises.shown import Shown


@dataclass(frozen=True, repr=False)
class Mark(Shown):
    """What a learner is told.

    Attributes:
        exercise: its name.
        attempt: which one it was, counted from 1.
        ok: whether the submission is right.
        summary: for a right one, what was compared, and how.
        remarks: for a wrong one, where it is wrong and why.
    """

    exercise: str
    attempt: int
    ok: bool
    summary: str = ""
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n  ".join([self._title(), *self.remarks])

    def markdown(self) -> str:
        """The same with a list."""
        return "\n".join([f"**{self._title()}**", "", *(f"- {remark}" for remark in self.remarks)])

    def _title(self) -> str:
        said = f"right ({self.summary})" if self.ok else "not yet"
        return f"{self.exercise}, attempt {self.attempt}: {said}"


def distance(found: float, right: float) -> str:
    """How far a number is from what it should be, in words that do not tell what that is."""
    if not np.isfinite(found):
        return f"it is {found}"
    if not np.isfinite(right):
        return "no finite number is right here"
    if found * right < 0:
        return "its sign is wrong"
    error, size = abs(found - right), max(abs(found), abs(right))
    if error <= 1e-3 * size:
        return "nearly right, beyond what rounding explains"
    smaller, larger = sorted((abs(found), abs(right)))
    by = "a little" if smaller > 0.9 * larger else "by less than a half"
    if smaller > 0.5 * larger:
        return f"too {'small' if abs(found) < abs(right) else 'large'}, {by}"
    if abs(found) < abs(right):
        return "at most half as large as it should be"
    return "at least twice as large as it should be"
