"""Tells inexact functions from mistakes: errors no larger than the jumps or the rounding of the function itself.

A solver stops at a tolerance, and what is computed from large numbers is rounded as they are: between the jumps of such
a function, its slope is not the one that the gradient should have.
"""

from time import monotonic
from typing import Any

import numpy as np

from tinygrad_lite.checking.evidence import references
from tinygrad_lite.checking.evidence.examination import Comparison, Examination
from tinygrad_lite.checking.subjects.subject import EPSILON, Matrix, Vector

CLOSE = 1e-2  # the largest relative error that may be due to an inexact function
ASIDE = 0.7  # how far entries are moved to find jumps, in their own size, so that none passes 0
JUMPS = 1000  # the slope that a function between jumps of size 1 may have, relative to the right one
A_LITTLE = 1e-3  # the part of that which shows no curve, but how values are rounded
NEARBY = 16  # the number of points that show it
ROUNDED = 3  # how many times this noise a slope may be off


def excuse(look: Examination, found: Comparison, error: Matrix, deadline: float) -> None:
    """Note which errors, relative to their entries, the function hides, until the deadline (of `time.monotonic`)."""
    close = found.suspicious & (error < CLOSE)
    absolute = error * np.abs(look.gradient)
    for row in map(int, np.flatnonzero(np.any(close, axis=1))):
        columns = np.flatnonzero(close[row])
        _excuse_by_jumps(look, found, row, columns, absolute[row, columns])
        columns = np.flatnonzero(close[row] & found.suspicious[row])
        _excuse_by_others(look, found, row, columns, absolute[row, columns], deadline)


def _excuse_by_jumps(look: Examination, found: Comparison, row: int, columns: Vector, error: Vector) -> None:
    """Excuse errors no larger than the jumps of the value, as those of a solver."""
    aside = _aside(look, columns)

    def along(t: float) -> float:
        return float(look.at(look.subject.point + t * aside)[row])

    jump = references.jump(along, 4 * EPSILON * abs(look.at_0[row]))
    if 0 < jump < CLOSE * np.fmax.reduce(np.abs([along(t) - look.at_0[row] for t in (1, -1)])):
        allowed = JUMPS * jump / look.scales[columns]
        _hide(found, row, columns[error <= allowed], allowed[error <= allowed])


def _excuse_by_others(
    look: Examination, found: Comparison, row: int, columns: Vector, error: Vector, deadline: float
) -> None:
    """Excuse errors no larger than what the rounding of the other entries makes, the largest error first."""
    for k in np.argsort(-error):
        allowed = ROUNDED * _noise_from_others(look, row, int(columns[k]))
        if not error[k] <= allowed or monotonic() > deadline:
            break
        _hide(found, row, columns[k], allowed)


def _noise_from_others(look: Examination, row: int, j: int) -> float:
    """How far an entry of the gradient jumps about where the other entries move a little.

    What rounds them, as c in log(1 + c²) for a small c, is a constant along this entry, and changes its slope.
    """
    others = np.flatnonzero(look.subject.varies & (np.arange(len(look.scales)) != j))
    aside, step = _aside(look, others), look.scales[j] / 8
    moves = A_LITTLE * look.rng.uniform(-1, 1, NEARBY)  # of no simple ratios, for which numbers round alike

    def values(side: float) -> Vector:
        points = (look.subject.point + move * aside + side * step * look.unit(j) for move in moves)
        return np.array([look.at(point)[row] for point in points])

    slopes = (values(1) - values(-1)) / (2 * step)
    if not np.all(np.isfinite(slopes)):
        return 0.0
    return float(np.max(np.abs(slopes - np.polynomial.Polynomial.fit(moves, slopes, 3)(moves))))


def _aside(look: Examination, columns: Vector) -> Vector:
    """A direction that moves these entries by part of their own size, so that none passes 0."""
    direction = np.zeros(len(look.scales))
    direction[columns] = ASIDE * look.own_scales[columns] * look.rng.choice([-1.0, 1.0], len(columns))
    return direction


def _hide(found: Comparison, row: int, columns: Any, bound: Any) -> None:
    found.suspicious[row, columns], found.hidden[row, columns], found.bound[row, columns] = False, True, bound
