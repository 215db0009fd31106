"""Distributions whose samples are powers of uniform or exponential numbers, and the one of values over a threshold."""

from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.distributions import constraints
from tinygrad_lite.distributions.constraints import Constraint
from tinygrad_lite.distributions.continuous import EULER, OfNoise
from tinygrad_lite.distributions.gammas import digamma, x_log_y
from tinygrad_lite.distributions.near_zero import relative_expm1, relative_log1p
from tinygrad_lite.distributions.noise import Rng
from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.gamma_functions import lgamma

__all__ = ["GeneralizedPareto", "Kumaraswamy", "Pareto", "Weibull"]


class Pareto(OfNoise):
    """p(x) = α sᵅ / xᵅ⁺¹ for x ≥ s, with the scale s.

    Example:
        >>> float(Pareto(scale=2.0, alpha=3.0).mean)
        3.0
    """

    arg_constraints: ClassVar = {"scale": constraints.positive, "alpha": constraints.positive}
    _noise = "standard_exponential"
    scale: Array
    alpha: Array

    def __init__(self, scale: Array, alpha: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, scale=scale, alpha=alpha)

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        return constraints.interval(self.scale, np.inf, "at least the scale")

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return self.scale * np.exp(self._standard(sample_shape, rng) / self.alpha)

    def log_prob(self, value: Array) -> Array:
        value = self._checked(value)
        return np.log(self.alpha) - self.alpha * np.log(value / self.scale) - np.log(value)

    def cdf(self, value: Array) -> Array:
        return -np.expm1(-self.alpha * np.log(self._checked(value) / self.scale))

    def icdf(self, value: Array) -> Array:
        return self.scale * np.exp(-np.log1p(-value) / self.alpha)

    def entropy(self) -> Array:
        return np.log(self.scale / self.alpha) + 1 + 1 / self.alpha

    @property
    def mean(self) -> Array:
        return np.where(np.greater(self.alpha, 1), self.scale * self._mean_ratio(1), np.inf)

    @property
    def mode(self) -> Array:
        return self.scale

    @property
    def variance(self) -> Array:
        finite = np.square(self.scale) * (self._mean_ratio(2) / np.square(self._above(2) - 1))
        return np.where(np.greater(self.alpha, 2), finite, np.inf)

    def _mean_ratio(self, power: int) -> Array:
        """The mean of (x / s)ᵏ."""
        return self._above(power) / (self._above(power) - power)

    def _above(self, bound: float) -> Array:
        """α; where it is not above the bound, some number that is."""
        return np.where(np.greater(self.alpha, bound), self.alpha, bound + 1)


class Weibull(OfNoise):
    """p(x) = (k / λ) (x / λ)ᵏ⁻¹ exp(-(x / λ)ᵏ), with the scale λ and the concentration k."""

    arg_constraints: ClassVar = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive
    _noise = "standard_exponential"
    scale: Array
    concentration: Array

    def __init__(self, scale: Array, concentration: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, scale=scale, concentration=concentration)

    def _power(self, value: Array) -> Array:
        return np.exp(self.concentration * np.log(value / self.scale))

    def _at(self, exponential: Array) -> Array:
        return self.scale * np.exp(np.log(exponential) / self.concentration)

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        smallest = float(np.finfo(self.dtype).tiny)
        return np.maximum(self._at(np.maximum(self._standard(sample_shape, rng), smallest)), smallest)

    def log_prob(self, value: Array) -> Array:
        value = self._checked(value)
        power = self._power(value)
        return np.log(self.concentration / value) + np.log(power) - power

    def cdf(self, value: Array) -> Array:
        return -np.expm1(-self._power(self._checked(value)))

    def icdf(self, value: Array) -> Array:
        return self._at(-np.log1p(-value))

    def entropy(self) -> Array:
        return EULER * (1 - 1 / self.concentration) + np.log(self.scale / self.concentration) + 1

    @property
    def mean(self) -> Array:
        return self.scale * np.exp(lgamma(1 + 1 / self.concentration))

    @property
    def mode(self) -> Array:
        """The most probable value; 0 where the concentration is at most 1."""
        k = np.maximum(self.concentration, 1)
        return self.scale * (1 - 1 / k) ** (1 / k)

    @property
    def variance(self) -> Array:
        both = lgamma(1 + 2 / self.concentration), 2 * lgamma(1 + 1 / self.concentration)
        return np.square(self.scale) * np.exp(both[1]) * np.expm1(both[0] - both[1])


class Kumaraswamy(OfNoise):
    """p(x) = a b xᵃ⁻¹ (1 - xᵃ)ᵇ⁻¹ for 0 < x < 1, with a = concentration1 and b = concentration0."""

    arg_constraints: ClassVar = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    _noise = "standard_exponential"
    concentration1: Array
    concentration0: Array

    def __init__(self, concentration1: Array, concentration0: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration1=concentration1, concentration0=concentration0)

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        limits = np.finfo(self.dtype)
        x = self._at(np.maximum(self._standard(sample_shape, rng), float(limits.tiny)))
        return np.clip(x, float(limits.tiny), 1 - float(limits.epsneg))

    def _at(self, exponential: Array) -> Array:
        """x with (1 - xᵃ)ᵇ = e⁻ᵗ."""
        return np.exp(np.log(-np.expm1(-exponential / self.concentration0)) / self.concentration1)

    def log_prob(self, value: Array) -> Array:
        x, a, b = self._checked(value), self.concentration1, self.concentration0
        return np.log(a * b) + x_log_y(a - 1, x) + x_log_y(b - 1, -np.expm1(x_log_y(a, x)))

    def cdf(self, value: Array) -> Array:
        rest = -np.expm1(x_log_y(self.concentration1, self._checked(value)))
        return -np.expm1(x_log_y(self.concentration0, rest))

    def icdf(self, value: Array) -> Array:
        return self._at(-np.log1p(-value))

    def entropy(self) -> Array:
        a, b = self.concentration1, self.concentration0
        return 1 - 1 / b + (1 - 1 / a) * (digamma(b + 1) + EULER) - np.log(a * b)

    def _moment(self, power: int) -> Array:
        a, b = self.concentration1, self.concentration0
        return np.exp(lgamma(1 + power / a) + lgamma(b + 1) - lgamma(1 + power / a + b))

    @property
    def mean(self) -> Array:
        return self._moment(1)

    @property
    def mode(self) -> Array:
        """The most probable value; NaN where a concentration is below 1, and the density is infinite at 0 or at 1."""
        a, b = self.concentration1, self.concentration0
        inside = np.greater_equal(a, 1) & np.greater_equal(b, 1) & np.greater(a * b, 1)
        a, b = np.where(inside, a, 2), np.where(inside, b, 2)
        return np.where(inside, ((a - 1) / (a * b - 1)) ** (1 / a), np.nan)

    @property
    def variance(self) -> Array:
        return self._moment(2) - np.square(self._moment(1))


class GeneralizedPareto(OfNoise):
    """p(x) = (1 + ξz)^(-1 / ξ - 1) / σ for z ≥ 0, with z = (x - μ) / σ and the concentration ξ; e⁻ᶻ / σ for ξ = 0.

    What exceeds a high threshold μ has this distribution: where ξ < 0, up to μ - σ / ξ.

    Source: Pickands (1975), Statistical inference using extreme order statistics.
    """

    arg_constraints: ClassVar = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    _noise = "standard_exponential"
    loc: Array
    scale: Array
    concentration: Array

    def __init__(self, loc: Array, scale: Array, concentration: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, scale=scale, concentration=concentration)

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        ends = np.less(self.concentration, 0)
        high = np.where(ends, self.loc - self.scale / np.where(ends, self.concentration, -1), np.inf)
        return constraints.interval(self.loc, high, "at least loc, and at most loc - scale / concentration below 0")

    def _exponential(self, value: Array) -> Array:
        """log(1 + ξz) / ξ, which has an exponential distribution."""
        z = (self._checked(value) - self.loc) / self.scale
        return z * relative_log1p(self.concentration * z)

    def _at(self, exponential: Array) -> Array:
        return self.loc + self.scale * exponential * relative_expm1(self.concentration * exponential)

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return self._at(self._standard(sample_shape, rng))

    def log_prob(self, value: Array) -> Array:
        return -(1 + self.concentration) * self._exponential(value) - np.log(self.scale)

    def cdf(self, value: Array) -> Array:
        return -np.expm1(-self._exponential(value))

    def icdf(self, value: Array) -> Array:
        return self._at(-np.log1p(-value))

    def entropy(self) -> Array:
        return np.log(self.scale) + self.concentration + 1

    def _below(self, bound: float) -> Array:
        """ξ; where it is not below the bound, some number that is."""
        return np.where(np.less(self.concentration, bound), self.concentration, bound - 1)

    @property
    def mean(self) -> Array:
        finite = self.loc + self.scale / (1 - self._below(1))
        return np.where(np.less(self.concentration, 1), finite, np.inf)

    @property
    def mode(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        below = self._below(0.5)
        finite = np.square(self.scale / (1 - below)) / (1 - 2 * below)
        return np.where(np.less(self.concentration, 0.5), finite, np.inf)
