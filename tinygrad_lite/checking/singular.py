"""Floor 5. Where there is no derivative to check: kinks, as declared or as one-sided slopes show them, and domains."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tinygrad_lite.checking.comparison import FULL, Comparison, Examination
from tinygrad_lite.checking.subject import Matrix, Subject, Vector
from tinygrad_lite.recording import Step

ASIDE = 2.0**-20  # how far the slopes to either side of a point are from it, in its scale


class Kinks:
    """Kinks that a function passes through at the very point where it is checked.

    Attributes:
        steps: the operations that are at a kink there.
    """

    def __init__(self, examination: Examination, steps: Sequence[Step]) -> None:
        self._look = examination
        self._subject = examination.subject
        self._at_point = _expressions(steps)
        self._all = steps
        self.steps = [k for k, values in self._at_point.items() if np.any(values == 0)]
        self._sides: dict[int, tuple[Matrix, Matrix, Matrix]] = {}
        self.touches = cache(self._touches)
        self.beside = ""

    def _touches(self, column: int) -> int | None:
        """The operation that leaves its kink when this entry moves, by its place among the steps."""
        if not self.steps or len(self._subject.point) > FULL:
            return None
        for side in (1, -1):
            moved = self._subject.steps(self._subject.point + side * self._aside(column))
            if len(moved) != len(self._all):
                return self.steps[0]
            beside = _expressions(moved)
            for k in self.steps:
                before, after = self._at_point[k], beside.get(k)
                if after is None or np.shape(after) != np.shape(before) or np.any((before == 0) & (after != 0)):
                    return k
        return None

    def _aside(self, column: int, part: float = 1.0) -> Vector:
        """A step of this entry so small that only a kink at the very point is left behind."""
        return self._look.unit(column) * self._look.scales[column] * ASIDE * part

    def _slopes(self, column: int) -> tuple[Matrix, Matrix]:
        """The slopes a little to the right and to the left of the point, at two distances."""
        look, unit = self._look, self._look.unit(column)
        right, left = (
            [look.slope(self._subject.point + side * self._aside(column, part), unit) for part in (1.0, 0.5)]
            for side in (1, -1)
        )
        return np.array(right), np.array(left)

    def at(self, found: Comparison, suspicious: Matrix) -> Matrix:
        """Which entries are at a kink, and have a slope between those to either side.

        Where both sides have the same slope there is no kink after all, and the entry is compared with that slope.
        """
        places = np.zeros(found.gradient.shape, bool)
        for column in range(found.gradient.shape[1]) if found.gradient.shape[1] <= FULL else ():
            touched = self.touches(column) is not None
            if self._look.method == "differences":
                if touched or np.any(suspicious[:, column]):
                    right, left = found.right[:, column], found.left[:, column]
                    bound = found.side_bound[:, column] + 1e-9 * (np.abs(right) + np.abs(left))
                    jumps = np.abs(right - left) > 4 * bound
                    places[:, column] = jumps & _between(found.gradient[:, column], right, left, bound)
            elif touched:
                right, left = self._slopes(column)
                size = np.max(np.abs(right), axis=0) + np.max(np.abs(left), axis=0)
                far, near = np.abs(right - left)
                jumps = (near > 0.75 * far) & (near > 1e-8 * size)
                slack = 1e-5 * size + np.abs(right[0] - right[1]) + np.abs(left[0] - left[1])
                within = _between(found.gradient[:, column], right[1], left[1], slack)
                found.right[:, column], found.left[:, column] = right[1], left[1]
                places[:, column] = jumps & within
                smooth = ~jumps
                middle = (right[1] + left[1]) / 2
                found.reference[smooth, column] = middle[smooth]
                found.bound[smooth, column] = (near + slack)[smooth]
                error = np.abs(found.gradient[:, column] - middle)
                suspicious[smooth, column] = ~(error <= near + slack)[smooth]
                suspicious[:, column] |= jumps & ~within
        return places

    def named(self, column: int) -> str:
        """The operation at the kink, its element, and the line that called it; empty where it is not known."""
        k = self.touches(column)
        if k is None:
            return ""
        step, values = self._all[k], self._at_point[k]
        elements = np.argwhere(values == 0)
        element = (
            f", at entry {elements[0].tolist()}" if np.shape(values) == np.shape(step.value) and np.ndim(values) else ""
        )
        return f"{step.op}{element}{_called(step)}"

    def slopes(self, found: Comparison, row: int, column: int) -> str:
        """What the slopes to either side are."""
        right, left = found.right[row, column], found.left[row, column]
        return f"the slope is {left:.6g} from the left and {right:.6g} from the right, and the gradient between them"


def _between(gradient: Vector, a: Vector, b: Vector, slack: Vector) -> Vector:
    return np.asarray((gradient >= np.minimum(a, b) - slack) & (gradient <= np.maximum(a, b) + slack))


def _expressions(steps: Sequence[Step]) -> dict[int, Any]:
    """For each operation that has kinks, the expression that is zero there."""
    found = {}
    with np.errstate(all="ignore"):
        for k, step in enumerate(steps):
            if step.op.kink is not None:
                try:
                    found[k] = np.asarray(step.op.kink(*step.arrays, **step.params))
                except (ValueError, TypeError, np.linalg.LinAlgError):
                    continue  # an expression for the arguments that tests try, not for these
    return found


def outside_domain(steps: Sequence[Step]) -> str:
    """The first operation that was given a number outside the domain where it is real and smooth; empty if none was."""
    for step in steps:
        for array, interval in zip(step.arrays, step.op.domain or ()):
            low, high = interval
            outside = np.argwhere(~((np.asarray(array) > low) & (np.asarray(array) < high)))
            if len(outside):
                place = tuple(outside[0])
                at = f" at entry {list(map(int, place))}" if place else ""
                return (
                    f"{step.op}{_called(step)}, given {np.asarray(array)[place]:.6g}{at}; it is real and smooth for "
                    f"{low:.6g} < x < {high:.6g}"
                )
    return ""


def _called(step: Step) -> str:
    return f", called at {step.source}" if step.source else ""


def has_kinks(subject: Subject) -> bool:
    """Whether the function is at a kink of some operation."""
    return any(np.any(values == 0) for values in _expressions(subject.steps(subject.point)).values())
