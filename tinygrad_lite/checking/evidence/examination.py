"""A gradient at a point, and the slopes to compare it with: to machine precision, or by differences."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import log2
from typing import Any

import numpy as np

from tinygrad_lite.checking.evidence import references
from tinygrad_lite.checking.subjects.subject import EPSILON, Matrix, Subject, Vector, other_shape
from tinygrad_lite.engine.op import Array
from tinygrad_lite.readers.random_rounding import Rounding

HUGE = 2.0**900  # a larger value is divided by the root of this, so that its slope in a larger scale does not overflow
TINY = 2.0**-30  # an entry smaller than this fraction of the others in its array may have a scale of its own
SUBNORMAL = 64 * float(np.finfo(float).smallest_subnormal)  # how far numbers too small to be normal may be rounded
_SILENT = ("ignore", None, Warning, None, 0)


@contextmanager
def silence() -> Iterator[None]:
    """Silence warnings about values that a function meets beside the point; a nested block costs little."""
    if warnings.filters[:1] == [_SILENT]:
        yield
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield


class Examination:
    """A gradient at a point, and the means to find the right gradient there.

    Attributes:
        method: "complex", "forward" or "differences".
        epsilon: the relative spacing of the numbers that the gradient is computed with.
        at_0: the weighted sums at the point, of this `size`; `largest` is the largest gradient entry of each.
        magnitude: the largest number on the way to the values, as far as it is known.
        scales: how far to move each entry for a difference, a power of two, so that x + t is exact.
        own_scales: the same, but no more than the entry itself, unless that is 0.
        refusal: what the function said where it refused to be evaluated beside the point; empty if it did not.
    """

    def __init__(
        self,
        subject: Subject,
        weights: Matrix,
        gradient: Matrix,
        method: str,
        epsilon: float,
        rng: "np.random.Generator",
        magnitude: float = 0.0,
    ) -> None:
        self.subject = subject
        self.weights = weights
        self.gradient = gradient
        self.method = method
        self.epsilon = epsilon
        self.rng = rng
        self.refusal = ""
        self._has_negative_zeros = bool(np.any(np.signbit(subject.point) & (subject.point == 0)))
        self.scales = _scales(subject)
        sizes = np.abs(subject.point)
        self.own_scales = np.where(sizes > 0, np.fmin(sizes, self.scales), self.scales)
        with np.errstate(divide="ignore", over="ignore"):
            self._per_scale = np.where(subject.varies, np.fmin(1 / self.own_scales, 2.0**1000), 0)
        self._are_single = weights.shape[0] == weights.shape[1] and np.array_equal(weights, np.identity(len(weights)))
        self.at_0 = self._sums(subject.values(subject.point))
        self.largest = np.max(np.abs(gradient), axis=1, initial=0, where=np.isfinite(gradient))
        self.size = np.nan_to_num(np.abs(self.at_0), posinf=0.0)
        self.magnitude = max(magnitude, float(np.max(self.size)))
        # how far rounding may move 0, relative to other entries and to the change of a value
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            effects = np.abs(gradient) * self.scales
            effect = np.max(effects, axis=1, keepdims=True, initial=0, where=np.isfinite(effects))
            others = np.fmin(self.largest[:, None], effect / self.scales)  # of another scale, they need not be alike
            rounded = 16 * epsilon * (others + self.size[:, None] / self.scales)
            self.zero = np.where(subject.varies, rounded, 0)
        self.smallest = SUBNORMAL if epsilon <= EPSILON else float(np.finfo(np.float32).tiny)
        self.floor = 500 * EPSILON if epsilon <= EPSILON else 64 * epsilon
        if method == "differences":
            self.floor = max(self.floor, 1e-10)  # the values are only as good as the functions that made them

    def at(self, x: Vector, rounding: Rounding | None = None) -> Vector:
        """The weighted sums of the results; NaN outside the bounds, and where the function raises an exception."""
        if self._has_negative_zeros:  # and -0.0 + 0.0 is 0.0: what does not move keeps its sign
            x = np.where(x == self.subject.point, self.subject.point, x)
        try:
            with silence():
                values = self.subject.values(x, rounding)
        except Exception as error:  # outside the domain, where other functions give NaN
            if rounding or np.array_equal(x, self.subject.point):
                raise
            self.refusal = self.refusal or f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            values = np.full(self.weights.shape[1], np.nan)
        return self._sums(values)

    def _sums(self, values: Vector) -> Vector:
        """The weighted sums of values; NaN if there are too many or few; a NaN does not spread to single values."""
        if len(values) != self.weights.shape[1]:
            self.refusal = self.refusal or other_shape(len(values), self.weights.shape[1])
            return np.full(len(self.weights), np.nan)
        if self._are_single:
            return values
        with np.errstate(invalid="ignore"):
            return np.asarray(self.weights @ values)

    def slope(self, x: Vector, direction: Vector, rounding: Rounding | None = None) -> Vector:
        """The change of the weighted sums along a direction, to machine precision."""
        changes = self.subject.changes if self.method == "complex" else self.subject.tangents
        length = float(np.max(np.abs(direction) * self._per_scale))  # a complex step is small beside each entry
        length = 2.0 ** round(log2(min(max(length, 2.0**-1000), 2.0**1000)))
        return np.asarray(length * self._sums(changes(x, direction / length, rounding)))

    @silence()
    def difference(self, direction: Vector, *arguments: Any, **options: Any) -> references.Difference:
        """The same change by `references.difference`."""
        return references.difference(
            lambda t: self.at(self.subject.point + t * direction),
            self.at_0,
            *arguments,
            grid=self._grid(direction),
            **options,
        )

    def _grid(self, direction: Vector) -> float:
        """The shortest step along a direction that moves all entries that are not 0."""
        moves = (direction != 0) & (self.subject.point != 0)
        spacing = np.spacing(np.abs(self.subject.point[moves]))
        return float(np.max(spacing / np.abs(direction[moves]), initial=0))

    @silence()
    def difference_beside(self, aside: Vector, direction: Vector) -> references.Difference:
        """The same at a nearby point, by steps that are far smaller than the distance to it."""
        x = self.subject.point + aside
        steps = references.STEPS[10:]
        return references.difference(lambda t: self.at(x + t * direction), self.at(x), steps)

    @silence()
    def slopes_beside(self, aside: Vector, direction: Vector) -> Vector:
        """The slope of each row along a direction at a nearby point, by the method of the check."""
        if self.method == "differences":
            return self.difference_beside(aside, direction).slope
        return self.slope(self.subject.point + aside, direction)

    def difference_by(
        self,
        column: int,
        steps: Vector = references.STEPS,
        least_noise: Vector | float = 0.0,
        wary: bool = False,
        unknown: Callable[[references.Difference], Vector] | None = None,
    ) -> references.Difference:
        """The change by one entry, by differences in its own scale, and by polynomials where it stays unknown."""
        unit = np.where(self.size > HUGE, HUGE**0.5, 1.0)

        def along(scale: float) -> references.Difference:
            direction = scale * self.unit(column)

            def said(measured: references.Difference) -> references.Difference:
                moves = {name: getattr(measured, name) * unit for name in ("noise", "extent")}
                return replace(measured.per(scale / unit), **moves)

            measured = references.difference(
                lambda t: self.at(self.subject.point + t * direction) / unit,
                self.at_0 / unit,
                steps,
                least_noise=least_noise / unit,
                wary=wary,
                grid=self._grid(direction),
                unknown=unknown and (lambda measured: unknown(said(measured))),
            )
            return said(measured)

        scale = self.scales[column]
        measured = along(scale)
        size = abs(float(self.subject.point[column]))
        if np.any(~np.isfinite(measured.bound)) and 0 < size < TINY * scale:
            measured = along(_power_of_2(size))
        return measured

    def direction(self, columns: Vector) -> Vector:
        """A random direction of these entries; it has few digits, so that no step along it is rounded."""
        direction = np.zeros(len(self.scales))
        weights = np.round(128 * self.rng.uniform(0.5, 1.5, len(columns))) / 128
        direction[columns] = self.scales[columns] * weights * self.rng.choice([-1.0, 1.0], len(columns))
        return direction

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
        bound: the largest error of the reference, or, where there is none, of the gradient.
        suspicious: the entries where the two differ by more than the bound and rounding.
        noise: how far rounding moves their difference, or the gradient for differences; zero if not measured.
        hidden: the entries whose bound leaves room for another gradient.
        lost: the hidden entries that are right in extended precision.
        jumps: the entries where the value jumps.
        right, left: the one-sided slopes, if they were computed.
        side_bound: the bound of their error.
        unchecked: the columns that the search did not reach; `late` are those for which time ran out.
        together: the columns whose gradients, along a direction of them all, do not give the slope.
        resolution: the smallest visible error of one among many entries, relative to entries that matter as much.
    """

    gradient: Matrix
    reference: Matrix
    bound: Matrix
    suspicious: Matrix
    noise: Matrix
    hidden: Matrix
    lost: Matrix
    jumps: Matrix
    right: Matrix
    left: Matrix
    side_bound: Matrix
    unchecked: Vector
    late: Vector
    together: Vector
    resolution: float = 0.0

    @classmethod
    def begun(cls, gradient: Matrix) -> "Comparison":
        """The comparison of a gradient of which nothing is known yet."""

        def filled(value: Any, like: Array = gradient) -> Array:
            return np.full(like.shape, value)

        return cls(
            gradient,
            reference=filled(np.nan),
            bound=filled(0.0),
            suspicious=filled(False),
            noise=filled(0.0),
            hidden=filled(False),
            lost=filled(False),
            jumps=filled(False),
            right=filled(np.nan),
            left=filled(np.nan),
            side_bound=filled(0.0),
            unchecked=filled(False, gradient[0]),
            late=filled(False, gradient[0]),
            together=filled(False, gradient[0]),
        )


def _scales(subject: Subject) -> Vector:
    """How far to move each entry for a difference: its own size, or the typical size in its array.

    If all numbers of an array have one sign, the other sign may be outside its domain: each moves by its own size.
    """
    scales = np.where(subject.varies, np.abs(subject.point), 0)
    for k in range(len(subject.variables)):
        columns = subject.columns(k)
        part, numbers = scales[columns], subject.point[columns][subject.varies[columns]]
        largest = float(np.max(part, initial=0))
        usual = largest * float(np.sqrt(np.mean((part / largest) ** 2))) if largest else 1.0
        one_sided = np.all(numbers > 0) or np.all(numbers < 0)
        part[part < (0.0 if one_sided else 0.1 * usual)] = 0.1 * usual
        part[part == 0] = 0.1 * usual if largest else 1.0
    return np.asarray(np.where(subject.varies, _power_of_2(scales), 0))


def _power_of_2(sizes: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.exp2(np.clip(np.round(np.log2(sizes)), -1000, 1000))
