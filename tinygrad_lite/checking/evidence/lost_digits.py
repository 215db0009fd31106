"""Tells lost digits from mistakes: errors of a gradient that has more rounding than its reference.

Near the edge of a domain, 1 - x² has fewer digits than x. If a gradient is right when it is computed in extended
precision, it has only lost digits. Where there is no such precision, it may be off by as much as the last digit of the
entry changes it; so may differences, in any case.
"""

from contextlib import suppress

import numpy as np

from tinygrad_lite.checking.evidence.examination import Comparison, Examination, silence
from tinygrad_lite.checking.subjects.subject import EPSILON, Matrix

DIGITS = 5e-7  # a reference whose relative error is larger verifies nothing
LAST_DIGITS = 2  # how many of an entry's last digits a gradient may have lost
LOST_PART = 1e-2  # the largest part of a gradient that these digits may hold
HIDES = 1e-3  # a larger part leaves an entry unknown, where the entry's last digits explain the error
HIDES_OTHERS = 1e-8  # the same elsewhere: a gradient that only extended precision makes right may be made of tiny steps
SEEN = 5e-11  # the smallest visible error, beside the largest effect and the numbers on the way to the value
UNSEEN = 4  # this many roundings of these are no error if longer numbers are right: 1 - p has them where p is nearly 1
LONGER = 50  # extended precision rounds at least this many times less


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
