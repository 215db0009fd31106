"""What a comparison knows of each entry so far, and whether that is enough."""

from collections.abc import Sequence
from time import monotonic
from typing import Any

import numpy as np

from tinygrad_lite.checking.evidence import references
from tinygrad_lite.checking.evidence.examination import Comparison, Examination
from tinygrad_lite.checking.evidence.lost_digits import DIGITS
from tinygrad_lite.checking.subjects.subject import EPSILON, FULL, Matrix, Vector

FEW_DIGITS = 1e-4  # a reference that is less exact, relative to a gradient in float32, verifies nothing
NEGLIGIBLE = 5e-11  # how well each entry must be known, relative to the entry with the largest effect
ROUNDINGS = 64  # a result that moves by fewer roundings of the largest effect is nothing but rounding
MATTERS = 1e-3  # a gradient that is larger, relative to the largest, must be known
PART = 1e-2  # how well it must be known if it hardly changes a value
FEW_ROWS = 4  # with more rows, few entries have effects of the same size in all of them
HELPLESS = 3  # after this many columns in a row that polynomials do not help with, they are no longer tried
TOLD = 16  # values tell an error that moves them by this many times their noise
NOISY = 2e4  # a slope whose bound is no more than this many times its noise is known about as well as it can be


class Known:
    """What is known of each entry, for all steps of a comparison.

    Attributes:
        look: the gradient, with what its comparison needs.
        result: the comparison, which the steps fill in.
        rtol, atol: what the user allows.
        deadline: when to stop, by `time.monotonic`.
        by_differences: whether the references are differences, not exact.
        are_many: whether there are too many entries to look at each.
        largest: the largest effect in each row.
        is_rounding: the entries that are nothing but the rounding of others.
        agrees_with_others: the columns that agreed with their references along several at once.
        helpless: the number of columns in a row that polynomials did not help with.
    """

    def __init__(self, examination: Examination, rtol: float, atol: float, deadline: float) -> None:
        self.look = examination
        self.rtol, self.atol, self.deadline = rtol, atol, deadline
        self.by_differences = examination.method == "differences"
        gradient = examination.gradient
        self.result = Comparison.begun(gradient)
        sums = np.abs(gradient) * examination.scales
        self.largest = np.max(sums, axis=1, initial=0, where=np.isfinite(sums))[:, None]
        self.are_many = np.sum(examination.subject.varies) > FULL
        self.is_rounding = np.zeros(gradient.shape, bool)
        self.agrees_with_others = np.zeros(gradient.shape[1], bool)
        self.helpless = 0
        self.last: references.Difference | None = None

    @property
    def is_fine(self) -> bool:
        """Whether the gradient is computed in float64."""
        return self.look.epsilon <= EPSILON

    @property
    def sees_stairs(self) -> bool:
        """Whether the numbers that the gradient is computed with are no staircase themselves, as float16's are."""
        return self.look.epsilon < references.STAIRS

    @property
    def is_late(self) -> bool:
        """Whether the deadline is over."""
        return monotonic() > self.deadline

    def give_up(self, columns: Sequence[int]) -> None:
        """Note that there is no time for these columns."""
        self.result.unchecked[columns] = self.result.late[columns] = True

    def briefly(self, direction: Vector, rows: Any = slice(None), **options: Any) -> references.Difference:
        """The slope along a direction with few steps, of the size that was best before, if these tell enough of it."""
        known = self.last
        if known is not None and not np.any(known.stairs):  # which few steps may not see
            steps = known.step * references.RATIO ** np.arange(5.0, -2.0, -1.0)
            brief = self.look.difference(direction, steps, noise=known.noise, **options)
            if np.all((brief.bound <= np.maximum(NOISY * known.noise, 1e-9 * np.abs(brief.slope)))[rows]):
                return brief
        self.last = full = self.look.difference(direction, **options)
        return full

    def values_tell_more(self, terms: Matrix, bound: Vector, noise: Vector) -> Matrix:
        """Whether the values tell more of these changes than a bound does: of small ones, beside larger ones."""
        size = np.abs(terms)
        told = (bound[:, None] > DIGITS * size) & (PART * size > TOLD * noise[:, None])
        return np.asarray(told & (not self.are_many and self.is_fine and len(terms) <= FEW_ROWS))

    def leaves_room_in(self, j: int, rate: Vector, bound: Vector | None = None) -> Vector:
        """Whether the bound of a column leaves room for another gradient; its values change at this rate."""
        bound = self.result.bound[:, j] if bound is None else bound
        scale = self.look.scales[[j]]
        terms = self.result.gradient[:, [j]] * scale
        hidden = self.leaves_room(bound[:, None] * scale, terms, rate[:, None] * scale, scale)[:, 0]
        return np.asarray(hidden & ~self.is_rounding[:, j])

    def leaves_room(self, bound: Matrix, terms: Matrix, rate: Matrix, steps: Vector) -> Matrix:
        """Whether a bound leaves room for another gradient, beside this one and how fast the values change.

        All are changes by these steps. A value that stands still shows that a gradient is 0, or as small as rounding
        makes it. Beside larger effects, a gradient of 0 need not be known better than NEGLIGIBLE, and no other one
        better than PART.
        """
        look = self.look  # a given gradient may be finer than the operations inside the function
        is_fine = (look.subject.epsilon if look.subject.plain else look.epsilon) <= EPSILON
        digits, size = max(DIGITS if is_fine else FEW_DIGITS, self.rtol), np.abs(terms)
        steps = np.abs(steps)
        with np.errstate(invalid="ignore"):
            # of a result that stands still, like a correlation with itself, a gradient is rounding next to the others'
            overall = np.max(self.largest, initial=0)
            rounding = ~np.isfinite(rate) & (size <= ROUNDINGS * look.epsilon * overall)
            negligible = np.where(np.isinf(rate) & ~rounding, 0, digits * 1e-3 * np.nan_to_num(rate, posinf=np.inf))
            allowed = np.where(size <= negligible, negligible, digits * size)
            beside_others = np.minimum(NEGLIGIBLE * self.largest, np.where(size > 0, PART * size, np.inf))
            allowed = np.maximum(allowed, np.where(rounding, NEGLIGIBLE * overall, beside_others))
            # what hardly changes a value may still have one of the largest gradients, as a probability of 1e-14 has
            matters = ~rounding & (size > MATTERS * look.largest[:, None] * steps)
            if len(steps) == 1:  # else how fast the values change is due to others
                matters &= size > negligible
            allowed = np.where(matters, np.minimum(allowed, max(PART, digits) * size), allowed)
            return np.asarray(~(bound <= allowed + self.atol * steps))
