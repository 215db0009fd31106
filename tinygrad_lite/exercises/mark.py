"""A mark: whether a submission is right, and if not, where and what the mistake looks like; never the answer.

The exact distance from the right value would give that value away, so a mark says it only roughly. For a common mistake
it names the kind, but not the number or the sum that would correct it.
"""

from dataclasses import dataclass

import numpy as np

from tinygrad_lite.exercises.shown import Shown


@dataclass(frozen=True, repr=False)
class Mark(Shown):
    """The mark of a submission.

    Attributes:
        exercise: the name of the exercise.
        attempt: the number of the attempt, from 1.
        ok: whether the submission is right.
        summary: for a right submission, what was compared.
        remarks: for a wrong submission, where it is wrong and why.
        misconception: the name of the mistake that it looks like; "" if none.
        printed: what a file printed while it was marked.
    """

    exercise: str
    attempt: int
    ok: bool
    summary: str = ""
    remarks: tuple[str, ...] = ()
    misconception: str = ""
    printed: str = ""

    def __str__(self) -> str:
        return "\n  ".join([self._title(), *self.remarks])

    def markdown(self) -> str:
        """The same in Markdown, with a list."""
        return "\n".join([f"**{self._title()}**", "", *(f"- {remark}" for remark in self.remarks)])

    def _title(self) -> str:
        said = f"right ({self.summary})" if self.ok else "not yet"
        return f"{self.exercise}, attempt {self.attempt}: {said}"


def distance(value: float, right: float) -> str:
    """How far a number is from the right one, in words that do not give that away.

    "A little" is up to a tenth; "much" is a factor of two or more.
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
