"""Tells lost digits from mistakes: errors of a gradient that has more rounding than its reference.

Near the edge of a domain, 1 - x² has fewer digits than x. If a gradient is right when it is computed in extended
precision, it has only lost digits. Where there is no such precision, it may be off by as much as the last digit of the
entry changes it; so may differences, in any case. A zero has lost all its digits if others nearby have lost most of
theirs: 1 / (1 + exp(-x)) - 1 is off by half of itself before it becomes 0.
"""

from contextlib import suppress

import numpy as np

from tinygrad_lite.checking.evidence.examination import Comparison, Examination, silence
from tinygrad_lite.checking.subjects.subject import EPSILON, Matrix, Vector

DIGITS = 5e-7  # a reference whose relative error is larger verifies nothing
LAST_DIGITS = 2  # how many of an entry's last digits a gradient may have lost
LOST_PART = 1e-2  # the largest part of a gradient that these digits may hold
HIDES = 1e-3  # a larger part leaves an entry unknown, where the entry's last digits explain the error
HIDES_OTHERS = 1e-8  # the same elsewhere: a gradient that only extended precision makes right may be made of tiny steps
SEEN = 5e-11  # the smallest visible error, beside the largest effect and the numbers on the way to the value
UNSEEN = 4  # this many roundings of these are no error if longer numbers are right: 1 - p has them where p is nearly 1
LONGER = 50  # extended precision rounds at least this many times less
HELPLESS = 3  # after this many zeros in a row that have lost no digits, no others are looked at
PARTS = 2.0 ** np.array([*range(-1, -11, -1), *range(1, 11)])  # of an entry, to find where a gradient is not yet 0
HALVINGS = 24  # of the interval between two such points
BEFORE = 2.0 ** -np.arange(5.0, 11.0)  # how far before it becomes 0 a gradient is compared with its slope
COARSE = 1e-3  # it is off by more than this part there, if it becomes 0 by rounding


def forgive(
    look: Examination, comparison: Comparison, columns: list[int], error: Matrix, known: Matrix, bend: Matrix | None
) -> None:
    """Note which errors in these columns are lost digits: these are no longer suspicious.

    Args:
        known: the part of each error that is already explained.
        bend: how much the slope changes over a step of the entry's scale, if slopes are differences.
    """
    size = np.abs(comparison.reference)
    effects = np.fmax(look.magnitude, np.max(np.abs(look.gradient) * look.scales, axis=1))
    with np.errstate(invalid="ignore"):
        close = comparison.suspicious & (error - known < LOST_PART * size)
        unseen = comparison.suspicious & (error * look.scales <= UNSEEN * look.epsilon * effects[:, None])
    if not np.any(close | unseen):
        return
    longer = _in_longer_numbers(look)
    for j in columns:
        if not np.any((close | unseen)[:, j]):
            continue
        digits = LAST_DIGITS * look.epsilon * abs(float(look.subject.point[j]))
        if bend is not None:
            moved = digits / look.scales[j] * np.abs(bend[:, j])
        else:
            ends = [look.slope(look.subject.point + side * digits * look.unit(j), look.unit(j)) for side in (1, -1)]
            moved = np.fmax(*(np.abs(end - comparison.reference[:, j]) for end in ends))
        same = longer[:, j] == look.gradient[:, j]
        with np.errstate(invalid="ignore"):
            left = np.abs(longer[:, j] - comparison.reference[:, j])
            right = ~same & (left <= known[:, j] + error[:, j] / LONGER)
            right |= left <= known[:, j] + comparison.noise[:, j] / LONGER / 4
            few = error[:, j] <= known[:, j] + np.fmin(moved, DIGITS * size[:, j])
            excused = unseen[:, j] & right
            forgiven = close[:, j] & (right | (few & (same | (bend is not None)))) & ~excused
        comparison.suspicious[:, j] &= ~(forgiven | excused)
        comparison.bound[forgiven, j] += error[forgiven, j]
        comparison.noise[forgiven | excused, j] = 0  # else noise would leave the entry unknown
        as_it_is = (error[:, j] <= moved) | (error[:, j] * look.scales[j] <= SEEN * effects)
        unknown = np.where(right & as_it_is, HIDES, HIDES_OTHERS)
        hidden = forgiven & (error[:, j] > unknown * size[:, j])
        comparison.hidden[:, j] |= hidden
        comparison.lost[:, j] = hidden & right


def _in_longer_numbers(look: Examination) -> Matrix:
    """The gradient in extended precision, rounded; the gradient itself if there is no such precision."""
    subject = look.subject
    if not subject.is_known_at_one_point and np.finfo(np.longdouble).eps < EPSILON / 1000:
        with suppress(Exception), silence():  # the function may refuse such numbers
            return subject.rows(subject.point.astype(np.longdouble), look.weights)
    return look.gradient


def leave_zeros_open(look: Examination, comparison: Comparison, wrong: Matrix) -> None:
    """Note which of the wrong gradients of 0 have lost all their digits, if they are not made of operations."""
    if not look.subject.plain or look.subject.is_known_at_one_point:
        return
    helpless = 0
    with np.errstate(invalid="ignore"):
        zeros = wrong & (look.gradient == 0) & (np.abs(comparison.reference) > 0)
    for row, j in np.argwhere(zeros).tolist():
        alone = look.subject.point * look.unit(j)
        least = 0.0
        with suppress(Exception), silence():  # a function may refuse a point
            least = _least_before_zero(look, row, j, alone) or _least_before_zero(look, row, j, look.subject.point)
        if least > abs(comparison.reference[row, j]):
            comparison.suspicious[row, j], comparison.hidden[row, j] = False, True
            comparison.bound[row, j] = least
        helpless = 0 if least else helpless + 1
        if helpless == HELPLESS:
            break


def _least_before_zero(look: Examination, row: int, j: int, moving: Vector) -> float:
    """The smallest gradient on a line on which it becomes 0 by rounding; 0 if it does not, or not by rounding.

    By rounding, it is right far away, and coarse just before it is 0. By a condition, it would be right there, too.

    Args:
        moving: the part of the point that grows or shrinks.
    """

    def at(part: float) -> Vector:
        return look.subject.rounded(look.subject.point + (part - 1) * moving)

    def gradient(part: float) -> float:
        return float(look.subject.rows(at(part), look.weights[[row]])[0, j])

    def error(part: float) -> float:
        slope = look.slopes_beside(at(part) - look.subject.point, look.scales[j] * look.unit(j))[row] / look.scales[j]
        return float(abs(gradient(part) / slope - 1))

    far = next((float(part) for part in PARTS if gradient(part)), 1.0)
    if far == 1 or not any(error(far**power) < COARSE for power in (1, 2, 3)):
        return 0.0
    before, zero = far, 1.0
    for _ in range(HALVINGS):
        middle = (before + zero) / 2
        before, zero = (middle, zero) if gradient(middle) else (before, middle)
    coarse = [error(before * (1 + part * np.sign(far - 1))) for part in BEFORE]
    return abs(gradient(before)) if np.median(coarse) > COARSE else 0.0
