"""A gradient at a point, and the slopes to compare it with: to machine precision, or by differences."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinygrad_lite.checking import references
from tinygrad_lite.checking.subject import EPSILON, Matrix, Subject, Vector
from tinygrad_lite.readers.random_rounding import Rounding

FULL = 1000  # the largest number of argument entries that are checked one by one


class Examination:
    """A gradient at a point, and the means to find the right gradient there.

    Attributes:
        method: "complex", "forward" or "differences".
        epsilon: the relative spacing of the numbers that the gradient is computed with.
        at_0: the weighted sums at the point; `size` is the largest of them, `largest` the largest gradient entry.
    """

    def __init__(
        self,
        subject: Subject,
        weights: Matrix,
        gradient: Matrix,
        method: str,
        epsilon: float,
        rng: "np.random.Generator",
    ) -> None:
        self.subject = subject
        self.weights = weights
        self.gradient = gradient
        self.method = method
        self.epsilon = epsilon
        self.rng = rng
        self.scales = _scales(subject)
        self.at_0 = self.at(subject.point)
        self.largest = float(np.max(np.abs(gradient), initial=0, where=np.isfinite(gradient)))
        self.smallest = 1e-200 + 1e-30 * self.largest  # anything smaller is negligible beside the other entries
        self.size = float(np.max(np.abs(self.at_0), initial=0, where=np.isfinite(self.at_0)))
        # what 0 may be rounded to, relative to other entries and to the change of a value
        with np.errstate(divide="ignore"):
            self.zero = 16 * epsilon * (self.largest + self.size / self.scales)
            self.zero += float(np.finfo(np.float32).smallest_subnormal)
        self.floor = 500 * EPSILON if epsilon <= EPSILON else 64 * epsilon
        if method == "differences":
            self.floor = max(self.floor, 1e-10)  # the values are only as good as the functions that made them

    @cached_property
    def noise(self) -> Vector:
        """How far rounding moves the weighted sums, estimated from their values along a line."""
        direction = self.scales * self.rng.uniform(-1, 1, len(self.scales))
        return references.noise(lambda t: self.at(self.subject.point + t * direction), 1.0)

    def at(self, x: Vector, rounding: Rounding | None = None) -> Vector:
        """The weighted sums of the results."""
        try:
            values = self.subject.values(x, rounding)
        except np.linalg.LinAlgError:  # outside the domain, where other functions give NaN
            values = np.full(self.weights.shape[1], np.nan)
        with np.errstate(invalid="ignore"):
            return np.asarray(self.weights @ values)

    def slope(self, x: Vector, direction: Vector, rounding: Rounding | None = None) -> Vector:
        """The change of the weighted sums along a direction, to machine precision."""
        changes = self.subject.changes if self.method == "complex" else self.subject.tangents
        return np.asarray(self.weights @ changes(x, direction, rounding))

    def difference(self, direction: Vector, scale: float = 1.0) -> references.Difference:
        """The same change by differences, with steps as large as the scale allows."""
        return references.difference(
            lambda t: self.at(self.subject.point + t * direction), self.at_0, scale, self.noise
        )

    def unit(self, column: int) -> Vector:
        """The direction of one entry."""
        direction = np.zeros(len(self.scales))
        direction[column] = 1
        return direction


@dataclass
class Comparison:
    """The gradient of each row (a weighted sum of the results) by each column (an entry of the arguments).

    Attributes:
        gradient: the gradient to check.
        reference: the right gradient; NaN for an entry that was only checked together with others.
        bound: the largest error of the reference.
        suspicious: the entries where the two differ by more than the bound and rounding.
        noise: how far rounding moves their difference, or the gradient for differences; zero if not measured.
        right, left: the one-sided slopes, if they were computed.
        side_bound: the bound of their error.
        unchecked: the columns that a bisection did not reach.
    """

    gradient: Matrix
    reference: Matrix
    bound: Matrix
    suspicious: Matrix
    noise: Matrix
    right: Matrix
    left: Matrix
    side_bound: Matrix
    unchecked: Vector


def _scales(subject: Subject) -> Vector:
    """How far to move each entry for a difference: its own size, or the typical size in its array."""
    scales = np.where(subject.varies, np.abs(subject.point), 0)
    for k in range(len(subject.variables)):
        part = scales[subject.columns(k)]
        usual = float(np.sqrt(np.mean(part**2))) if part.size else 1.0
        part[part < 0.1 * usual] = 0.1 * usual
        part[part == 0] = 1.0
    return np.asarray(scales * subject.varies)
