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

SAMPLES = 12
FEW_SAMPLES = 4  # of a sum of many entries, which never round all alike
ALLOWED = 100
"""Standard deviations that rounding may explain: LAPACK's iterations end where about so many last digits are left, and
err alike at points close by (TOLMUL in its routine dbdsqr)."""
FAR = 10 * ALLOWED  # beyond which an error needs no measurement


class Roundings:
    """What rounding does to an examination."""

    def __init__(self, examination: "Examination", rng: "np.random.Generator") -> None:
        self._look = examination
        self._subject = examination.subject
        self._rng = rng
        self._gradients: list[tuple[Vector, Matrix]] = []

    def behind(self, error: Vector, direction: Vector, samples: int = SAMPLES) -> Vector:
        """What of errors along a direction may be rounding: its standard deviation; 0 where they are plainly more."""
        if np.all(~(error <= FAR * self._overall)):
            return np.zeros(len(error))
        every = np.identity(len(error))
        while len(self._gradients) < samples:
            self._gradients.append(self._beside(every))
        return _known(self._of_distance(direction, every, self._gradients[:samples]))

    @cached_property
    def _overall(self) -> float:
        """The same of a random sum of all that is compared, which mostly is more than that of any part of it."""
        mix = self._random(np.ones(len(self._look.weights)))[None]
        direction = self._random(self._subject.varies)
        samples = max(FEW_SAMPLES, SAMPLES // np.size(self._look.gradient))
        found = float(self._of_distance(direction, mix, [self._beside(mix) for _ in range(samples)])[0])
        return found if np.isfinite(found) else np.inf

    def _of_distance(self, direction: Vector, mix: Matrix, gradients: Sequence[tuple[Vector, Matrix]]) -> Vector:
        """The standard deviation of how far sums of slopes by the gradient are from those by the reference."""
        along = np.flatnonzero(direction)
        distances = []
        for x, gradient in gradients:
            slope = mix @ self._at_random(partial(self._look.slope, x, direction))
            with np.errstate(invalid="ignore"):
                distances.append(gradient[:, along] @ direction[along] - slope)
        return _deviation(distances)

    def _beside(self, mix: Matrix) -> tuple[Vector, Matrix]:
        """The point moved a little, so that other digits are rounded, and sums of the gradient's rows there."""
        fixed = self._subject.is_known_at_one_point
        by = 4 * EPSILON if fixed else 1e-7 if self._look.epsilon <= EPSILON else 100 * self._look.epsilon
        moved = self._subject.point * (1 + by * self._rng.uniform(-1, 1, len(self._look.scales)))
        x = self._subject.rounded(moved)
        return x, self._at_random(partial(self._rows, x, mix))

    def _at_random(self, f: Callable[[Rounding], Matrix]) -> Matrix:
        """What a function gives with every operation rounded at random, if it is made of operations; else as it is."""
        try:
            return f(self._rng)
        except Exception:
            return f(None)

    def _rows(self, x: Vector, mix: Matrix, rounding: Rounding) -> Matrix:
        if self._subject.is_known_at_one_point:
            return np.asarray(mix @ self._look.gradient)
        return self._subject.rows(x, mix @ self._look.weights, rounding)

    def _random(self, size: Vector) -> Vector:
        return np.asarray(size * self._rng.uniform(0.5, 1.5, len(size)) * self._rng.choice([-1.0, 1.0], len(size)))

    @cached_property
    def of_gradient(self) -> Matrix:
        """The standard deviation of the gradient itself, at the point."""
        point, every = self._subject.point, np.identity(len(self._look.weights))
        try:
            return _known(_deviation([self._rows(point, every, self._rng) for _ in range(SAMPLES)]))
        except Exception:  # what is not made of operations
            return self.along_a_line(lambda x: self._rows(x, every, None))

    @cached_property
    def of_values(self) -> Vector:
        """The standard deviation of the weighted sums of the values, at the point; 0 where it is not to be had."""
        try:
            return _known(_deviation([self._look.at(self._subject.point, self._rng) for _ in range(SAMPLES)]))
        except Exception:
            return np.zeros(len(self._look.weights))

    def along_a_line(self, f: Callable[[Vector], Vector]) -> Vector:
        """How far rounding moves what a function gives, as its values along a line tell."""
        direction = self._look.scales * self._rng.uniform(-1, 1, len(self._look.scales))
        return references.noise(lambda t: f(self._subject.point + t * direction), 1.0)


def _deviation(samples: Sequence[Matrix]) -> Matrix:
    """The standard deviation of each entry."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.std(samples - samples[0], axis=0))  # the mean of what is much larger is rounded itself


def _known(deviation: Matrix) -> Matrix:
    """0 where there is none."""
    return np.nan_to_num(deviation)
