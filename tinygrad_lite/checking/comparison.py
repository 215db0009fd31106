"""The comparison of a gradient with its reference: entry by entry where there are few, by bisection else.

An entry is wrong only where it is further from its reference than the reference can be wrong, and than rounding can
have moved either. How far that is, is measured and not assumed: where every operation is rounded at random, the
distance of what is merely rounded changes, and that of what is wrong stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_lite.checking import references
from tinygrad_lite.checking.roundings import ALLOWED, FEW_SAMPLES, Roundings
from tinygrad_lite.checking.subject import EPSILON, Matrix, Subject, Vector, random_weights
from tinygrad_lite.readers.random_rounding import Rounding

if TYPE_CHECKING:
    from tinygrad_lite.checking.singular import Kinks

FULL = 1000  # entries of the arguments, up to which each is checked by itself
NAMED = 64  # entries that a bisection goes down to, at most


@dataclass
class Comparison:
    """The gradient of each row (a weighted sum of the results) by each column (an entry of the arguments).

    Attributes:
        gradient: what is checked.
        reference: what it should be, NaN where an entry was only checked along with others.
        bound: the largest error of the reference.
        suspicious: where the two differ by more than bound and rounding.
        noise: how far rounding moves their difference, or by differences the gradient; zero where it was not measured.
        right, left: the slopes to either side, where they were computed.
        side_bound: of their error.
        unchecked: the columns that a bisection did not come to.
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


class Examination:
    """A gradient at a point, and the means to find what it should be there.

    Attributes:
        method: "complex", "forward" or "differences".
        epsilon: the relative spacing of the numbers that the gradient is computed with.
        at_0: the weighted sums at the point; `size` the largest of them, and `largest` that of the gradient.
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
        self._rng = rng
        self.scales = _scales(subject)
        self.roundings = Roundings(self, rng)
        self.at_0 = self.at(subject.point)
        self.largest = float(np.max(np.abs(gradient), initial=0, where=np.isfinite(gradient)))
        self.smallest = 1e-200 + 1e-30 * self.largest  # less than that is nothing beside the other entries
        self.size = float(np.max(np.abs(self.at_0), initial=0, where=np.isfinite(self.at_0)))
        # what 0 may be rounded to, beside other entries and as the change of a value
        with np.errstate(divide="ignore"):
            self.zero = 16 * epsilon * (self.largest + self.size / self.scales)
            self.zero += float(np.finfo(np.float32).smallest_subnormal)
        self.floor = 500 * EPSILON if epsilon <= EPSILON else 64 * epsilon
        if method == "differences":
            self.floor = max(self.floor, 1e-10)  # the values themselves are no better than the functions that made them

    @cached_property
    def noise(self) -> Vector:
        """How far rounding moves the weighted sums, as their values along a line tell."""
        direction = self.scales * self._rng.uniform(-1, 1, len(self.scales))
        return references.noise(lambda t: self.at(self.subject.point + t * direction), 1.0)

    def at(self, x: Vector, rounding: Rounding | None = None) -> Vector:
        """The weighted sums of the results."""
        try:
            values = self.subject.values(x, rounding)
        except np.linalg.LinAlgError:  # outside the domain, where other functions give nan
            values = np.full(self.weights.shape[1], np.nan)
        with np.errstate(invalid="ignore"):
            return np.asarray(self.weights @ values)

    def slope(self, x: Vector, direction: Vector, rounding: Rounding | None = None) -> Vector:
        """How they change along a direction, to machine precision."""
        changes = self.subject.changes if self.method == "complex" else self.subject.tangents
        return np.asarray(self.weights @ changes(x, direction, rounding))

    def difference(self, direction: Vector, scale: float = 1.0) -> references.Difference:
        """The same by differences, with steps as large as the scale allows."""
        return references.difference(
            lambda t: self.at(self.subject.point + t * direction), self.at_0, scale, self.noise
        )

    def unit(self, column: int) -> Vector:
        """The direction of one entry."""
        one = np.zeros(len(self.scales))
        one[column] = 1
        return one

    def compared(self, rtol: float, atol: float, kinks: "Kinks") -> Comparison:
        """Each entry against its reference, or where there are many, those that a bisection leads to."""
        columns = np.flatnonzero(self.subject.varies).tolist()
        found = self._blank()
        if len(columns) > FULL:
            columns = sorted(self._bisected(found.unchecked))
        for j in columns:
            self._refer(found, j)
        with np.errstate(invalid="ignore"):
            error = np.abs(self.gradient - found.reference)
            size = np.maximum(np.abs(self.gradient), np.abs(found.reference))
            allowed = found.bound + self.floor * size + self.smallest + atol + rtol * np.abs(found.reference)
            allowed += np.where((found.reference == 0) | (self.gradient == 0), self.zero, 0)
            found.suspicious[:, columns] = ~(error <= allowed)[:, columns]
        doubtful = [j for j in columns if np.any(found.suspicious[:, j]) and kinks.touches(j) is None]
        if doubtful and self.method == "differences":
            self._repeat(found, doubtful, kinks)
            error = np.abs(self.gradient - found.reference)
            allowed += found.bound
        elif doubtful:
            for j in doubtful:
                in_question = np.where(found.suspicious[:, j], error[:, j], np.inf)
                found.noise[:, j] = self.roundings.behind(in_question, self.unit(j))
        if doubtful:
            found.suspicious &= ~(error <= ALLOWED * found.noise + allowed)
        return found

    def _blank(self) -> Comparison:
        shape = self.gradient.shape
        nan, zero = np.full(shape, np.nan), np.zeros(shape)
        no = np.zeros(shape, bool)
        return Comparison(self.gradient, nan, zero, no, zero.copy(), nan.copy(), nan.copy(), zero.copy(), no[0].copy())

    def _refer(self, found: Comparison, j: int) -> None:
        if self.method != "differences":
            found.reference[:, j] = self.slope(self.subject.point, self.unit(j))
            if np.all(np.isfinite(found.reference[:, j]) | ~np.isfinite(self.gradient[:, j])):
                return
        try:  # also where there is no continuation at this very point, as of a quotient 0 / 0
            one = self.difference(self.unit(j), self.scales[j])
        except Exception:
            if self.method == "differences":
                raise
            return
        found.reference[:, j], found.bound[:, j] = one.slope, one.bound
        found.right[:, j], found.left[:, j], found.side_bound[:, j] = one.right, one.left, one.side_bound

    def _repeat(self, found: Comparison, doubtful: list[int], kinks: "Kinks") -> None:
        """Other differences for these columns, that meet no known kink; where the two differ, both are too sure."""
        self.noise = np.maximum(self.noise, self.roundings.of_values)
        found.noise[:, doubtful] = self.roundings.of_gradient[:, doubtful]
        for j in doubtful:
            part = kinks.clear(j)
            if not part:
                found.bound[:, j] = np.inf
                continue
            again = self.difference(self.unit(j), 0.61 * part * self.scales[j])
            distance = np.abs(again.slope - found.reference[:, j]) if part == 1 else 0.0
            bound = again.bound + distance
            # a function that jumps has neither a slope nor a bound that can be relied upon
            coarse = bound > 1e-3 * np.maximum(np.abs(again.slope), np.abs(self.gradient[:, j]))
            found.reference[:, j], found.bound[:, j] = again.slope, np.where(coarse, 30 * bound, bound)

    def _bisected(self, unchecked: Vector) -> list[int]:
        """The entries whose gradient differs from its reference, found along directions of fewer and fewer.

        Where there are many, the search ends, and says which entries it did not come to.
        """
        ahead = list(self._blocks())
        found: list[int] = []
        while ahead and len(found) < NAMED:
            block = ahead.pop()
            if not self._differs(block):
                continue
            if len(block) == 1:
                found.append(int(block[0]))
            else:
                ahead += [block[len(block) // 2 :], block[: len(block) // 2]]
        for block in ahead:
            unchecked[block] = True
        return found

    def _blocks(self) -> Iterator[Vector]:
        """Some entries of one variable each, about a hundred blocks in all."""
        size = max(256, len(self.scales) // 64)
        for k in range(len(self.subject.variables)):
            inside = self.subject.columns(k)
            columns = np.flatnonzero(self.subject.varies[inside]) + inside.start
            for start in range(0, len(columns), size):
                yield columns[start : start + size]

    def _differs(self, block: Vector) -> bool:
        """Whether some entry of a block is wrong, as the slope along a random direction of the block tells."""
        direction = np.zeros(len(self.scales))
        direction[block] = random_weights(self._rng, len(block))
        if self.method == "differences":
            direction *= self.scales
        terms = self.gradient[:, block] * direction[block]
        expected = np.sum(terms, axis=1)
        rounding = self.floor * np.sqrt(np.sum(terms**2, axis=1)) + 4 * EPSILON * np.sum(np.abs(terms), axis=1)
        if self.method == "differences":
            one = self.difference(direction)
            slope, bound = one.slope, one.bound + rounding
        else:
            slope, bound = self.slope(self.subject.point, direction), rounding
        with np.errstate(invalid="ignore"):
            error = np.abs(slope - expected)
            differs = ~(error <= bound)
        if self.method != "differences" and np.any(differs):
            noise = self.roundings.behind(np.where(differs, error, np.inf), direction, FEW_SAMPLES)
            differs &= ~(error <= bound + ALLOWED * noise)
        return bool(np.any(differs))


def _scales(subject: Subject) -> Vector:
    """How far each entry may be moved for a difference: its own size, or what is usual in its array."""
    scales = np.where(subject.varies, np.abs(subject.point), 0)
    for k in range(len(subject.variables)):
        part = scales[subject.columns(k)]
        usual = float(np.sqrt(np.mean(part**2))) if part.size else 1.0
        part[part < 0.1 * usual] = 0.1 * usual
        part[part == 0] = 1.0
    return np.asarray(scales * subject.varies)
