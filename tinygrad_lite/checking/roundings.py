"""Floor 5. How far rounding moves a gradient, and what it is compared with.

That is measured, and not assumed: at points close by, with every operation rounded at random, the distance of what is
merely rounded changes from run to run, and that of what is wrong stays. A computation that is not made of operations
cannot be rounded at random; that the digits of points close by round in other ways has to do there.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_lite.checking import references
from tinygrad_lite.checking.subject import EPSILON, Matrix, Rounding, Vector

if TYPE_CHECKING:
    from tinygrad_lite.checking.comparison import Examination

FEW_SAMPLES = 3  # where an error is so large that these tell
SAMPLES = 12
ALLOWED = 100
"""Standard deviations that rounding may explain: LAPACK's iterations end where about so many last digits are left, and
err alike at points close by (TOLMUL in its routine dbdsqr)."""


class Roundings:
    """What rounding does to an examination."""

    def __init__(self, examination: "Examination", rng: "np.random.Generator") -> None:
        self._look = examination
        self._subject = examination.subject
        self._rng = rng
        self._gradients: list[tuple[Vector, Matrix]] = []

    def of_distance(self, direction: Vector, samples: int) -> Vector:
        """The standard deviation of how far the slope by the gradient is from that by the reference."""
        along = np.flatnonzero(direction)
        distances = []
        for x, gradient in self._rounded_gradients(samples):
            slope = self._look.slope(x, direction, self._of_slopes)
            with np.errstate(invalid="ignore"):
                distances.append(gradient[:, along] @ direction[along] - slope)
        return _deviation(distances)

    @cached_property
    def of_gradient(self) -> Matrix:
        """The standard deviation of the gradient itself, at the point."""
        point, rows = self._subject.point, partial(self._subject.rows, weights=self._look.weights)
        if self._subject.is_known_at_one_point:
            return np.zeros(self._look.gradient.shape)
        if self._of_gradients is not None:
            return _deviation([rows(point, rounding=self._rng) for _ in range(SAMPLES)])
        return self.along_a_line(rows)

    @cached_property
    def of_values(self) -> Vector:
        """The standard deviation of the weighted sums of the values, at the point; 0 where it is not to be had."""
        try:
            return _deviation([self._look.at(self._subject.point, self._rng) for _ in range(SAMPLES)])
        except Exception:  # what is not made of operations
            return np.zeros(len(self._look.weights))

    def along_a_line(self, f: Callable[[Vector], Vector]) -> Vector:
        """How far rounding moves what a function gives, as its values along a line tell."""
        direction = self._look.scales * self._rng.uniform(-1, 1, len(self._look.scales))
        return references.noise(lambda t: f(self._subject.point + t * direction), 1.0)

    def _rounded_gradients(self, count: int) -> list[tuple[Vector, Matrix]]:
        """Gradients at points close by, each with its point."""
        while len(self._gradients) < count:
            x = self._beside()
            fixed = self._subject.is_known_at_one_point
            gradient = self._look.gradient if fixed else self._subject.rows(x, self._look.weights, self._of_gradients)
            self._gradients.append((x, gradient))
        return self._gradients[:count]

    @cached_property
    def _of_gradients(self) -> Rounding:
        """What gradients are rounded with, where they can be rounded at random."""
        try:
            self._subject.rows(self._subject.point, self._look.weights, self._rng)
        except Exception:  # what is not made of operations
            return None
        return self._rng

    @cached_property
    def _of_slopes(self) -> Rounding:
        """The same of the reference."""
        try:
            self._look.slope(self._subject.point, self._look.scales, self._rng)
        except Exception:
            return None
        return self._rng

    def _beside(self) -> Vector:
        """The point moved a little, so that other digits are rounded."""
        by = 1e-7 if self._look.epsilon <= EPSILON else 100 * self._look.epsilon
        by = 4 * EPSILON if self._subject.is_known_at_one_point else by
        return self._subject.rounded(self._subject.point * (1 + by * self._rng.uniform(-1, 1, len(self._look.scales))))


def _deviation(samples: Sequence[Matrix]) -> Matrix:
    """The standard deviation of each entry; 0 where it has none."""
    with np.errstate(invalid="ignore"):
        moved = samples - samples[0]  # since the mean of what is much larger is rounded itself
        return np.asarray(np.nan_to_num(np.std(moved, axis=0)))
