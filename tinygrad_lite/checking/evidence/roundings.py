"""Measures how far rounding moves a gradient and its reference.

With every operation rounded at random, a difference that is due to rounding changes from run to run, and a real error
stays. A computation that is not made of operations cannot be rounded at random; then nearby points, whose digits round
in other ways, take the place of random rounding.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from tinygrad_lite.checking.evidence import references
from tinygrad_lite.checking.evidence.examination import Examination
from tinygrad_lite.checking.subjects.subject import Matrix, Vector, random_weights
from tinygrad_lite.readers.random_rounding import Rounding

SAMPLES = 12
FEW_SAMPLES = 4  # for a sum of many entries, which never all round alike, and for what is clearly rounding
ALLOWED = 100
"""The standard deviations that rounding may explain: LAPACK's iterations stop when about this many last digits are left
(TOLMUL in its routine dbdsqr)."""
CLEARLY_ALLOWED = ALLOWED / 4  # few samples may show a deviation that is half or twice the true one
BESIDE = 0.1
"""The weight of the deviations of nearby points: a real error differs there, too, if only by little."""
FAR = 10 * ALLOWED  # beyond this, an error needs no measurement


class Roundings:
    """The effect of rounding on an examination."""

    def __init__(self, examination: Examination) -> None:
        self._look = examination
        self._subject = examination.subject
        self._rng = examination.rng
        self._samples: list[tuple[Vector, dict[int, Vector]]] = []  # points, and rows of the gradient there

    def behind(self, error: Vector, direction: Vector, samples: int = SAMPLES) -> Vector:
        """The standard deviation that rounding gives to errors along a direction; 0 if they are plainly larger."""
        deviation = np.zeros(len(error))
        try:
            rows = np.flatnonzero(error <= FAR * self._overall).tolist()
            for count in sorted({FEW_SAMPLES, samples}):
                if rows:
                    gradients = [self._sample(k, rows) for k in range(count)]
                    deviation[rows] = _known(self._of_distance(direction, np.identity(len(error))[rows], gradients))
                    rows = [row for row in rows if error[row] > CLEARLY_ALLOWED * deviation[row]]
        except Exception:  # a function may refuse nearby points
            deviation[:] = 0
        return deviation

    def _sample(self, k: int, rows: Sequence[int]) -> tuple[Vector, Matrix]:
        """The k-th point, and these rows of the gradient there; none is computed twice."""
        while len(self._samples) <= k:
            self._samples.append((self._point(), {}))
        x, known = self._samples[k]
        count = len(self._look.weights)
        missing = [row for row in (range(count) if self._subject.supplied else rows) if row not in known]
        if missing:
            known.update(zip(missing, self._rows(x, np.identity(count)[missing], self._rounding), strict=True))
        return x, np.array([known[row] for row in rows])

    @cached_property
    def _overall(self) -> float:
        """The deviation of a random sum of all that is compared, which is usually larger than that of a part."""
        mix, direction = random_weights(self._rng, (1, len(self._look.weights))), self._somewhere
        samples = max(FEW_SAMPLES, SAMPLES // np.size(self._look.gradient))
        if len(mix[0]) == 1:  # the same samples serve any part
            gradients = [(x, mix @ row) for x, row in (self._sample(k, [0]) for k in range(samples))]
        else:
            gradients = [(x, self._rows(x, mix, self._rounding)) for x in (self._point() for _ in range(samples))]
        return _finite_or_any(self._of_distance(direction, mix, gradients))

    @cached_property
    def _somewhere(self) -> Vector:
        """A random direction."""
        return np.asarray(random_weights(self._rng, len(self._subject.point)) * self._subject.varies)

    def _of_distance(self, direction: Vector, mix: Matrix, gradients: Sequence[tuple[Vector, Matrix]]) -> Vector:
        """The standard deviation of the difference between the gradient's and the reference's weighted slopes."""
        along = np.flatnonzero(direction)
        distances = []
        for x, gradient in gradients:
            slope = mix @ self._look.slope(x, direction, self._rounding)
            with np.errstate(invalid="ignore"):
                distances.append(gradient[:, along] @ direction[along] - slope)
        return _deviation(distances) * (1 if self._rounding else BESIDE)

    def behind_slope(self, error: Vector, direction: Vector) -> Vector:
        """The standard deviation of the slope along a direction; 0 if the errors are plainly larger."""
        return self.of_slope(direction) if np.any(error <= FAR * self._overall_of_slope) else np.zeros(len(error))

    @cached_property
    def _overall_of_slope(self) -> float:
        return _finite_or_any(self._all_of_slope(self._somewhere))

    def of_slope(self, direction: Vector) -> Vector:
        """The standard deviation of the slope along a direction; 0 if it is not available."""
        return _known(self._all_of_slope(direction))

    def _all_of_slope(self, direction: Vector) -> Vector:
        """The same, by steps of other digits and by random rounding.

        The former shows rounding inside an operation; the latter that of constants, which is alike for every step.
        """
        x, factors = self._subject.point, self._rng.uniform(0.5, 1.5, FEW_SAMPLES)
        deviation = _deviation([self._look.slope(x, t * direction) / t for t in factors])
        if self._rounding:
            deviation = np.fmax(
                deviation, _deviation([self._look.slope(x, direction, self._rounding) for _ in factors])
            )
        return deviation

    def _point(self) -> Vector:
        """The point itself if operations are rounded at random; else a nearby one, whose digits round differently."""
        x = self._subject.point
        if self._rounding:
            return x
        fixed = self._subject.is_known_at_one_point
        by = (4 if fixed else 64) * self._look.epsilon  # no further, or a narrow feature would look like rounding
        moved = x * (1 + by * self._rng.uniform(-1, 1, len(self._look.scales)))
        return moved if fixed else self._subject.rounded(moved)

    @property
    def are_random(self) -> bool:
        """Whether the results of operations are rounded at random, and not only the starting points."""
        return self._rounding is not None

    @cached_property
    def _rounding(self) -> Rounding | None:
        """The random rounding, if both the gradient and the reference are made of operations."""
        rounding = Rounding(self._rng, self._look.epsilon if self._subject.is_known_at_one_point else 0.0)
        try:
            self._rows(self._subject.point, np.ones((1, len(self._look.weights))), rounding)
            self._look.slope(self._subject.point, self._look.scales, rounding)
        except Exception:
            return None
        return rounding

    def _rows(self, x: Vector, mix: Matrix, rounding: Rounding | None) -> Matrix:
        if self._subject.is_known_at_one_point:
            return np.asarray(mix @ self._look.gradient)
        return self._subject.rows(x, mix @ self._look.weights, rounding)

    @cached_property
    def of_gradient(self) -> Matrix:
        """The standard deviation of the gradient itself."""
        point, every = self._subject.point, np.identity(len(self._look.weights))
        try:
            return _known(_deviation([self._rows(point, every, Rounding(self._rng)) for _ in range(SAMPLES)]))
        except Exception:  # not made of operations: take a line so short that the gradient hardly changes on it
            line = self._look.scales * self._rng.uniform(-1, 1, len(self._look.scales))
            try:
                return BESIDE * _known(references.noise(lambda t: self._rows(point + t * line, every, None), 1e-8))
            except Exception:  # it refuses nearby points
                return np.zeros(self._look.gradient.shape)

    @cached_property
    def of_values(self) -> Vector:
        """The standard deviation of the weighted sums of the values at the point; 0 if it is not available."""
        try:
            return _known(_deviation([self._look.at(self._subject.point, Rounding(self._rng)) for _ in range(SAMPLES)]))
        except Exception:
            return np.zeros(len(self._look.weights))


def _deviation(samples: Sequence[Matrix]) -> Matrix:
    """The standard deviation of each entry."""
    with np.errstate(invalid="ignore", over="ignore"):
        moved = samples - samples[0]  # the mean of much larger numbers would be rounded itself
        largest = np.max(np.abs(moved), initial=0, where=np.isfinite(moved)) or 1.0  # the square of a tiny number is 0
        return np.asarray(np.std(moved / largest, axis=0) * largest)


def _finite_or_any(deviations: Vector) -> float:
    """The largest deviation; infinity if any is NaN, since that entry may hide what the others show."""
    largest = float(np.max(deviations))
    return largest if np.isfinite(largest) else np.inf


def _known(deviation: Matrix) -> Matrix:
    """The array without NaN, which becomes 0."""
    return np.nan_to_num(deviation, posinf=0)
