"""A mark: whether a submission is right, and if not, where and what it looks like; never the answer.

A distance from the right value gives that value away to whoever divides by it, so it is told in a few steps; and of a
usual mistake is told which kind it is, not the number or the sum that would mend it.
"""

import re
from dataclasses import dataclass

import numpy as np

from tinygrad_lite.checking.mistakes import FIRST, HALF, LAST, TOO_LARGE, TOO_SMALL, TWICE
from tinygrad_lite.exercises.shown import Shown

NUMBERS = {
    TWICE: "a constant factor too much",
    HALF: "a constant factor is missing",
    TOO_LARGE: "a sum in place of a mean",
    TOO_SMALL: "a mean in place of a sum",
}
"""How a learner is told of a number that is wrong."""

_SLICES = {
    FIRST: "only the first slice along an axis counts",
    LAST: "only the last slice along an axis counts",
}


@dataclass(frozen=True, repr=False)
class Mark(Shown):
    """What a learner is told.

    Attributes:
        exercise: its name.
        attempt: which one it was, counted from 1.
        ok: whether the submission is right.
        summary: for a right one, what was compared.
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


def distance(value: float, right: float) -> str:
    """How far a number is from what it should be, in words that do not tell what that is.

    A little is up to a tenth; much is a factor of two or more.
    """
    if not np.isfinite(value):
        return f"it is {value}"
    if not np.isfinite(right):
        return "no finite number is right here"
    if value * right < 0:
        return "its sign is wrong"
    if value == 0:
        return "it is 0, and should not be"
    smaller, larger = sorted((abs(value), abs(right)))
    if larger - smaller <= 1e-3 * larger:
        return "nearly right, but off by more than rounding explains"
    by = "a little " if smaller > 0.9 * larger else "" if smaller > 0.5 * larger else "much "
    return f"{by}too {'near' if abs(value) < abs(right) else 'far from'} 0"


def kind(mistake: str) -> str:
    """Which kind of mistake the gradient checker's sentence tells of."""
    for sentence, told in (NUMBERS | _SLICES).items():
        if re.fullmatch(sentence.format(r"\d+"), mistake):
            return told
    return mistake
