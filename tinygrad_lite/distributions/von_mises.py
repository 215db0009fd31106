"""The distribution of angles."""

from math import pi
from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.distributions import constraints
from tinygrad_lite.distributions.continuous import LOG_2_PI
from tinygrad_lite.distributions.distribution import Distribution
from tinygrad_lite.distributions.noise import Rng, von_mises
from tinygrad_lite.engine.op import Array

__all__ = ["VonMises"]

_DOWN = -2 * np.square(np.sin(pi / 256 * (np.arange(128) + 0.5)))
"""cos t - 1 at the middles of 128 parts of half a circle: they give all digits of means up to κ = _LARGE."""
_LARGE = 500.0
_SERIES = (1 / 8, 1 / 16, 25 / 384, 13 / 128, 1073 / 5120)
"""Of log(e^-κ I₀(κ) √(2πκ)) by powers of 1/κ, from which the next term is less than the last digit at κ = _LARGE."""


def log_scaled_i0(k: Array) -> Array:
    """log(e^-κ I₀(κ)), where I₀(κ) is the mean of e^(κ cos t) over the circle.

    Source: NIST Digital Library of Mathematical Functions, 10.32.1, and 10.40.1 for large κ.
    """
    is_small = np.less(k, _LARGE)
    small, large = np.where(is_small, k, 1), np.where(is_small, _LARGE, k)
    series = sum(factor * large**-power for power, factor in enumerate(_SERIES, 1))
    return np.where(is_small, np.log(np.mean(_heights(small), axis=-1)), series - 0.5 * (np.log(large) + LOG_2_PI))


def circular_variance(k: Array) -> Array:
    """1 - I₁(κ) / I₀(κ), the mean of 1 - cos t, which is minus the derivative of `log_scaled_i0`."""
    is_small = np.less(k, _LARGE)
    small, large = np.where(is_small, k, 1), np.where(is_small, _LARGE, k)
    heights = _heights(small)
    series = sum(power * factor * large ** -(power + 1) for power, factor in enumerate(_SERIES, 1))
    mean = -np.sum(heights * _DOWN.astype(k.dtype), axis=-1) / np.sum(heights, axis=-1)
    return np.where(is_small, mean, series + 0.5 / large)


def _heights(k: Array) -> Array:
    return np.exp(k[..., None] * _DOWN.astype(k.dtype))


class VonMises(Distribution):
    """p(x) = exp(κ cos(x - μ)) / (2π I₀(κ)), the normal distribution of angles; μ is `loc`, κ is `concentration`.

    The density has the period 2π; samples lie in [-π, π]. The variance is that of directions, the mean of
    1 - cos(x - μ).

    Source: Mardia and Jupp (2000), Directional Statistics, section 3.5.4.

    Example:
        >>> round(float(VonMises(0.0, 2.0).variance), 4)
        0.3022
    """

    arg_constraints: ClassVar = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    loc: Array
    concentration: Array

    def __init__(self, loc: Array, concentration: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, concentration=concentration)

    def sample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return von_mises(self.loc, self.concentration, self._extended_shape(sample_shape), np.random.default_rng(rng))

    def log_prob(self, value: Array) -> Array:
        # cos - 1, without the digits that it would lose beside a large κ
        down = -2 * np.square(np.sin(0.5 * (self._checked(value) - self.loc)))
        return self.concentration * down - LOG_2_PI - log_scaled_i0(self._narrow("concentration"))

    def entropy(self) -> Array:
        k = self._narrow("concentration")
        return np.broadcast_to(LOG_2_PI + log_scaled_i0(k) + k * circular_variance(k), self.batch_shape)

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def mode(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        return np.broadcast_to(circular_variance(self._narrow("concentration")), self.batch_shape)
