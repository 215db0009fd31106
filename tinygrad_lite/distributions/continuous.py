"""Distributions of real numbers with a location and a scale, and what is made of them."""

from math import log, pi, prod, sqrt
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.distributions import constraints
from tinygrad_lite.distributions.constraints import Constraint
from tinygrad_lite.distributions.distribution import Distribution
from tinygrad_lite.distributions.noise import Rng, noise
from tinygrad_lite.engine.op import Array, elementwise
from tinygrad_lite.ops.continuations.forms import not_continued
from tinygrad_lite.ops.networks.normal import normal_cdf, normal_density

__all__ = ["Cauchy", "Exponential", "Gumbel", "HalfCauchy", "HalfNormal", "Laplace", "LogNormal", "Normal", "Uniform"]

EULER = 0.57721566490153286
LOG_2_PI = log(2 * pi)


def _normal_quantile(p: Array) -> Array:
    p = np.asarray(p)
    inside = np.greater(p, 0) & np.less(p, 1)
    values = map(NormalDist().inv_cdf, np.where(inside, p, 0.5).ravel().tolist())
    z = np.fromiter(values, float, p.size).reshape(p.shape)
    ends = np.where(np.equal(p, 0), -np.inf, np.where(np.equal(p, 1), np.inf, np.nan))
    return np.where(inside, z, ends).astype(np.result_type(p, 1.0))[()]


# Φ⁻¹(p)
normal_quantile = elementwise(
    _normal_quantile, lambda z, p: 1 / normal_density(z), domain=((0.0, 1.0),), on_complex=not_continued
)


# of the half-normal distribution, √(2/π) x e^(-x²/2) (1 + x²/3 + x⁴/(3·5) + ...), with the highest power first
_SERIES = [1 / prod(range(2 * k + 1, 1, -2)) for k in range(16, -1, -1)]


def half_normal_cdf(x: Array) -> Array:
    """2Φ(x) - 1, with all digits near 0."""
    near = np.less(np.absolute(x), 1)
    inner = np.where(near, x, 0)
    square: Array = np.square(inner)
    factor: Array = _SERIES[0]
    for coefficient in _SERIES[1:]:
        factor = factor * square + coefficient
    return np.where(near, 2 * inner * normal_density(inner) * factor, 2 * normal_cdf(x) - 1)


def _half_normal_quantile(p: Array) -> Array:
    x = _normal_quantile((p + 1) / 2)
    near = np.less(x, 1)
    target = np.where(near, p, 0)
    inner = target * sqrt(pi / 2)
    for _ in range(6):  # Newton's steps, from below
        inner = inner - (half_normal_cdf(inner) - target) / (2 * normal_density(inner))
    return np.where(near, inner, x).astype(np.result_type(p, 1.0))[()]


half_normal_quantile = elementwise(
    _half_normal_quantile, lambda x, p: 0.5 / normal_density(x), domain=((0.0, 1.0),), on_complex=not_continued
)


class OfNoise(Distribution):
    """A distribution whose samples are a formula of numbers of a standard distribution."""

    has_rsample = True
    _noise: ClassVar[str]

    def _standard(self, sample_shape: Any, rng: Rng) -> Array:
        shape = self._extended_shape(sample_shape)
        return noise(self._noise, shape, np.random.default_rng(rng), self.dtype)


class _LocationScale(OfNoise):
    """A standard distribution, times the scale σ, plus the location μ. In the formulas, z = (x - μ) / σ."""

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    loc: Array
    scale: Array

    def __init__(self, loc: Array, scale: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, scale=scale)

    def _standardised(self, value: Array) -> Array:
        return (self._checked(value) - self.loc) / self.scale

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return self.loc + self.scale * self._standard(sample_shape, rng)

    @property
    def mode(self) -> Array:
        return self.loc


class Normal(_LocationScale):
    """p(x) = exp(-z² / 2) / (√(2π) σ), with z = (x - μ) / σ.

    Example:
        >>> float(Normal(0.0, 1.0).cdf(0.0))
        0.5
    """

    _noise = "standard_normal"

    def log_prob(self, value: Array) -> Array:
        z = self._standardised(value)
        return -0.5 * (z * z + LOG_2_PI) - np.log(self.scale)

    def cdf(self, value: Array) -> Array:
        return normal_cdf(self._standardised(value))

    def icdf(self, value: Array) -> Array:
        return self.loc + self.scale * normal_quantile(value)

    def entropy(self) -> Array:
        return 0.5 * (1 + LOG_2_PI) + np.log(self.scale)

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        return np.square(self.scale)


class Laplace(_LocationScale):
    """p(x) = exp(-|z|) / (2σ), with z = (x - μ) / σ."""

    _noise = "laplace"

    def log_prob(self, value: Array) -> Array:
        return -np.absolute(self._standardised(value)) - np.log(2 * self.scale)

    def cdf(self, value: Array) -> Array:
        z = self._standardised(value)
        is_left = np.less(z, 0)
        left, right = np.where(is_left, z, 0), np.where(is_left, 0, z)  # each with a slope where they meet
        return np.where(is_left, 0.5 * np.exp(left), 1 - 0.5 * np.exp(-right))

    def icdf(self, value: Array) -> Array:
        is_left = np.less(value, 0.5)
        left, right = np.where(is_left, value, 0.5), np.where(is_left, 0.5, value)
        return self.loc + self.scale * np.where(is_left, np.log(2 * left), -np.log(2 - 2 * right))

    def entropy(self) -> Array:
        return 1 + np.log(2 * self.scale)

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        return 2 * np.square(self.scale)


class Cauchy(_LocationScale):
    """p(x) = 1 / (πσ (1 + z²)), with z = (x - μ) / σ; it has no mean and no variance."""

    _noise = "standard_cauchy"

    def log_prob(self, value: Array) -> Array:
        # σ / (σ² + (x - μ)²), since the square of a large z overflows, and derivatives divide by it
        return np.log(self.scale / pi) - 2 * np.log(np.hypot(self.scale, self._checked(value) - self.loc))

    def cdf(self, value: Array) -> Array:
        return np.arctan2(1, -self._standardised(value)) / pi  # 1/2 + arctan(z) / π, with all digits in the left tail

    def icdf(self, value: Array) -> Array:
        is_left, is_right = np.less(value, 0.25), np.greater(value, 0.75)
        tail = np.where(is_left, value, np.where(is_right, value - 1, 0.25))  # whose tangent has all digits
        centre = np.where(is_left | is_right, 0.5, value)
        return self.loc + self.scale * np.where(is_left | is_right, -1 / np.tan(pi * tail), np.tan(pi * (centre - 0.5)))

    def entropy(self) -> Array:
        return np.log(4 * pi * self.scale)

    @property
    def mean(self) -> Array:
        return np.full_like(self.loc, np.nan)

    @property
    def variance(self) -> Array:
        return np.full_like(self.loc, np.inf)


class Gumbel(_LocationScale):
    """p(x) = exp(-z - e⁻ᶻ) / σ, with z = (x - μ) / σ."""

    _noise = "gumbel"

    def log_prob(self, value: Array) -> Array:
        z = self._standardised(value)
        return -z - np.exp(-z) - np.log(self.scale)

    def cdf(self, value: Array) -> Array:
        return np.exp(-np.exp(-self._standardised(value)))

    def icdf(self, value: Array) -> Array:
        return self.loc - self.scale * np.log(-np.log(value))

    def entropy(self) -> Array:
        return np.log(self.scale) + (1 + EULER)

    @property
    def mean(self) -> Array:
        return self.loc + self.scale * EULER

    @property
    def variance(self) -> Array:
        return pi**2 / 6 * np.square(self.scale)


class LogNormal(_LocationScale):
    """The distribution of eˣ, where x has the normal distribution of this location and scale."""

    support = constraints.positive

    @property
    def base_dist(self) -> Normal:
        """The distribution of x."""
        return Normal(self.loc, self.scale, validate_args=False)

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return np.exp(self.base_dist.rsample(sample_shape, rng))

    def log_prob(self, value: Array) -> Array:
        x = np.log(self._checked(value))
        return self.base_dist.log_prob(x) - x

    def cdf(self, value: Array) -> Array:
        return self.base_dist.cdf(np.log(self._checked(value)))

    def icdf(self, value: Array) -> Array:
        return np.exp(self.base_dist.icdf(value))

    def entropy(self) -> Array:
        return self.base_dist.entropy() + self.loc

    @property
    def mean(self) -> Array:
        return np.exp(self.loc + 0.5 * np.square(self.scale))

    @property
    def mode(self) -> Array:
        return np.exp(self.loc - np.square(self.scale))

    @property
    def variance(self) -> Array:
        return np.square(self.mean) * np.expm1(np.square(self.scale))


class _OfMagnitude(OfNoise):
    """A distribution of |x|, where x is noise of this scale around 0."""

    arg_constraints: ClassVar = {"scale": constraints.positive}
    support = constraints.nonnegative
    scale: Array

    def __init__(self, scale: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, scale=scale)

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return self.scale * np.absolute(self._standard(sample_shape, rng))

    @property
    def mode(self) -> Array:
        return np.zeros_like(self.scale)


class HalfNormal(_OfMagnitude):
    """The distribution of |x|, where x has the normal distribution of mean 0 and this scale."""

    _noise = "standard_normal"

    def log_prob(self, value: Array) -> Array:
        z = self._checked(value) / self.scale
        return 0.5 * (log(2 / pi) - z * z) - np.log(self.scale)

    def cdf(self, value: Array) -> Array:
        return half_normal_cdf(self._checked(value) / self.scale)

    def icdf(self, value: Array) -> Array:
        return self.scale * half_normal_quantile(value)

    def entropy(self) -> Array:
        return 0.5 * (1 + log(pi / 2)) + np.log(self.scale)

    @property
    def mean(self) -> Array:
        return self.scale * sqrt(2 / pi)

    @property
    def variance(self) -> Array:
        return np.square(self.scale) * (1 - 2 / pi)


class HalfCauchy(_OfMagnitude):
    """The distribution of |x|, where x has the Cauchy distribution around 0 of this scale; its mean is infinite."""

    _noise = "standard_cauchy"

    def log_prob(self, value: Array) -> Array:
        return np.log(2 * self.scale / pi) - 2 * np.log(np.hypot(self.scale, self._checked(value)))

    def cdf(self, value: Array) -> Array:
        return 2 / pi * np.arctan2(self._checked(value), self.scale)

    def icdf(self, value: Array) -> Array:
        is_tail = np.greater(value, 0.5)  # where the tangent of the rest has all digits
        angle = pi / 2 * np.where(is_tail, 1 - value, value)
        return self.scale * np.where(is_tail, 1 / np.tan(np.where(is_tail, angle, 1.0)), np.tan(angle))

    def entropy(self) -> Array:
        return np.log(2 * pi * self.scale)

    @property
    def mean(self) -> Array:
        return np.full_like(self.scale, np.inf)

    @property
    def variance(self) -> Array:
        return np.full_like(self.scale, np.inf)


class Exponential(OfNoise):
    """p(x) = λ exp(-λx), with the rate λ."""

    arg_constraints: ClassVar = {"rate": constraints.positive}
    support = constraints.nonnegative
    _noise = "standard_exponential"
    rate: Array

    def __init__(self, rate: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, rate=rate)

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return self._standard(sample_shape, rng) / self.rate

    def log_prob(self, value: Array) -> Array:
        return np.log(self.rate) - self.rate * self._checked(value)

    def cdf(self, value: Array) -> Array:
        return -np.expm1(-self.rate * self._checked(value))

    def icdf(self, value: Array) -> Array:
        return -np.log1p(-value) / self.rate

    def entropy(self) -> Array:
        return 1 - np.log(self.rate)

    @property
    def mean(self) -> Array:
        return 1 / self.rate

    @property
    def mode(self) -> Array:
        return np.zeros_like(self.rate)

    @property
    def variance(self) -> Array:
        return 1 / np.square(self.rate)


class Uniform(OfNoise):
    """p(x) = 1 / (high - low) for low ≤ x < high."""

    arg_constraints: ClassVar = {"low": constraints.real, "high": constraints.real}
    _noise = "random"
    low: Array
    high: Array

    def __init__(self, low: Array, high: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, low=low, high=high)
        self._require(constraints.positive, "high - low", self.high - self.low)

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        return constraints.interval(self.low, self.high, "in [low, high]")

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return self.low + (self.high - self.low) * self._standard(sample_shape, rng)

    def log_prob(self, value: Array) -> Array:
        value = self._checked(value)
        inside = np.greater_equal(value, self.low) & np.less(value, self.high)
        return np.where(inside, -np.log(self.high - self.low), -np.inf)

    def cdf(self, value: Array) -> Array:
        return np.clip((self._checked(value) - self.low) / (self.high - self.low), 0, 1)

    def icdf(self, value: Array) -> Array:
        return self.low + (self.high - self.low) * value

    def entropy(self) -> Array:
        return np.log(self.high - self.low)

    @property
    def mean(self) -> Array:
        return (self.low + self.high) / 2

    @property
    def mode(self) -> Array:
        return np.full_like(self.low, np.nan)

    @property
    def variance(self) -> Array:
        return np.square(self.high - self.low) / 12
