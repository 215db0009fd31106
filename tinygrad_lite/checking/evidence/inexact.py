"""Tells inexact functions from mistakes: errors no larger than the jumps or the rounding of the function itself.

A solver stops at a tolerance, and a small difference of large numbers is rounded as coarsely as they are. Such a
function jumps a little, and its slope between the jumps is not the slope that a right gradient states.
"""

from collections.abc import Callable
from functools import cache
from time import monotonic
from typing import Any

import numpy as np

from tinygrad_lite.checking.evidence import references
from tinygrad_lite.checking.evidence.examination import Comparison, Examination
from tinygrad_lite.checking.subjects.subject import EPSILON, Matrix, Vector

CLOSE = 1e-2  # the largest relative error that an inexact function may explain
ASIDE = 0.7  # how far entries move to find jumps, relative to their size: none crosses 0
JUMPS = 1000  # how far the slope between jumps of size 1 may be from the right one
A_LITTLE = 1e-3  # the fraction of this distance over which values show rounding and no curve
NEARBY = 16  # the number of points that show the rounding
STILL = 4 * EPSILON  # a value that changes by less, relative to its size, stands still
FURTHEST = 12  # the number of steps, each four times as long, within which it must begin to change
SHORTER = 8.0  # how many steps are tried for slopes beside the point, each four times shorter
ALIKE = 2  # slopes that are no more than this many times the one at the point are from values as large
ROUNDED = 4  # a slope may be off by this many times the noise of rounding
CURVED = 7  # a polynomial of this degree follows what moves by a third of itself, so that what is left is rounding


def excuse(look: Examination, found: Comparison, error: Matrix, deadline: float) -> None:
    """Note which errors, relative to their entries, the function hides, until the deadline (of `time.monotonic`)."""
    close = found.suspicious & (error < CLOSE)
    absolute = error * np.abs(look.gradient)
    _excuse_what_stands_still(look, found)
    aside = _aside(look, np.flatnonzero(np.any(close, axis=0)))
    along = cache(lambda t: look.at(look.subject.point + t * aside))  # one line shows the jumps of all results
    slopes = cache(lambda j, step: _slopes_beside(look, j, step))
    for row in map(int, np.flatnonzero(np.any(close, axis=1))):
        columns = np.flatnonzero(close[row])
        _excuse_by_jumps(look, found, row, columns, absolute[row, columns], along)
        columns = np.flatnonzero(close[row] & found.suspicious[row])
        _excuse_by_others(look, found, row, columns, absolute[row, columns], slopes, deadline)


def _excuse_by_jumps(
    look: Examination, found: Comparison, row: int, columns: Vector, error: Vector, along: Callable[[float], Vector]
) -> None:
    """Excuse errors that jumps of the value explain, such as a solver's."""

    def value(t: float) -> float:
        return float(along(t)[row])

    jump = references.jump(value, 4 * EPSILON * abs(look.at_0[row]))
    if 0 < jump < CLOSE * np.fmax.reduce(np.abs([value(t) - look.at_0[row] for t in (1, -1)])):
        allowed = JUMPS * jump / look.scales[columns]
        _hide(found, row, columns[error <= allowed], allowed[error <= allowed])


def _excuse_what_stands_still(look: Examination, found: Comparison) -> None:
    """Note the slopes that are too small to see, because the value stands still around the point.

    The loss of a saturated network stands still: log(1 + 1e-20) is 0, and no value shows that its slope is 1e-20.
    """
    still = found.suspicious & (np.abs(found.reference) * look.scales <= STILL * look.size[:, None])
    for row in map(int, np.flatnonzero(np.any(still, axis=1))):
        columns = np.flatnonzero(still[row])
        allowed = _unseen(look, row, columns) / look.scales[columns]
        unseen = np.fmax(np.abs(look.gradient[row, columns]), np.abs(found.reference[row, columns])) < allowed
        _hide(found, row, columns[unseen], allowed[unseen])


def _unseen(look: Examination, row: int, columns: Vector) -> float:
    """The largest slope, in the scales of these entries, that a value can hide by standing still.

    It is the value's first change, divided by the distance to it, in the direction in which the gradient rises or in
    the opposite one; 0 if the value does not change.
    """
    direction = np.zeros(len(look.scales))
    direction[columns] = look.scales[columns] * np.where(look.gradient[row, columns] < 0, -1, 1)

    def change(t: float) -> float:
        moved = abs(float(look.at(look.subject.point + t * direction)[row] - look.at_0[row]))
        return moved if np.isfinite(moved) else np.inf

    slopes = [0.0]
    for side in (1, -1):
        ends = (side * t for t in references.STEPS[0] * references.RATIO ** np.arange(-1.0, FURTHEST))
        still, moves = 0.0, next((t for t in ends if change(t)), np.inf)
        while np.isfinite(moves) and abs(moves - still) > references.FINEST * abs(moves):
            middle = (still + moves) / 2
            if change(middle):
                moves = middle
            else:
                still = middle
        if np.isfinite(moves) and np.isfinite(change(moves)):
            slopes.append(change(moves) / abs(moves))
    return max(slopes)


def _excuse_by_others(
    look: Examination,
    found: Comparison,
    row: int,
    columns: Vector,
    error: Vector,
    slopes: Callable[[int, float], tuple[Vector, Matrix]],
    deadline: float,
) -> None:
    """Excuse errors that rounding of the other entries explains, the largest error first."""
    for k in np.argsort(-error):
        j = int(columns[k])
        for step in look.scales[j] / 8 * references.RATIO ** -np.arange(SHORTER):
            moves, beside = slopes(j, float(step))
            if np.max(np.abs(beside[:, row])) <= ALIKE * np.abs(found.reference[row, j]):
                break  # else values further away may be far larger, and rounded as coarsely
        allowed = ROUNDED * _noise(moves, beside[:, row])
        if not error[k] <= allowed or monotonic() > deadline:
            break
        _hide(found, row, columns[k], allowed)


def _slopes_beside(look: Examination, j: int, step: float) -> tuple[Vector, Matrix]:
    """How far the other entries move, and the slopes of all results along this entry at these points.

    A term that rounds coarsely, such as log(1 + c²) for a small c, is constant along this entry, but moves its slope.
    """
    others = np.flatnonzero(look.subject.varies & (np.arange(len(look.scales)) != j))
    aside = _aside(look, others)
    moves = A_LITTLE * look.rng.uniform(-1, 1, NEARBY)  # random, since numbers in simple ratios round alike

    def values(side: float) -> Matrix:
        points = (look.subject.point + move * aside + side * step * look.unit(j) for move in moves)
        return np.array([look.at(point) for point in points])

    return moves, (values(1) - values(-1)) / (2 * step)


def _noise(moves: Vector, slopes: Vector) -> float:
    """How far slopes jump around a smooth curve."""
    largest = float(np.max(np.abs(slopes)))  # whose sums may overflow
    if not 0 < largest < np.inf:
        return 0.0
    slopes = slopes / largest
    return largest * float(np.max(np.abs(slopes - np.polynomial.Polynomial.fit(moves, slopes, CURVED)(moves))))


def _aside(look: Examination, columns: Vector) -> Vector:
    """A direction that moves these entries by part of their own size, so that none crosses 0."""
    direction = np.zeros(len(look.scales))
    direction[columns] = ASIDE * look.own_scales[columns] * look.rng.choice([-1.0, 1.0], len(columns))
    return direction


def _hide(found: Comparison, row: int, columns: Any, bound: Any) -> None:
    found.suspicious[row, columns], found.hidden[row, columns], found.bound[row, columns] = False, True, bound
