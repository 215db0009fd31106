"""The continuous Bernoulli distribution, of the brightness of pixels."""

from typing import Any

import numpy as np

from tinygrad_lite.distributions import constraints
from tinygrad_lite.distributions.discrete import OfProbability
from tinygrad_lite.distributions.distribution import Distribution
from tinygrad_lite.distributions.near_zero import (
    langevin,
    langevin_slope,
    log_relative_sinh,
    relative_expm1,
    relative_log1p,
)
from tinygrad_lite.distributions.noise import Rng, noise
from tinygrad_lite.engine.op import Array

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(OfProbability):
    """p(x) = C pˣ (1 - p)¹⁻ˣ for 0 ≤ x ≤ 1, with C = l / tanh(l / 2) and l = log p / (1 - p), the `logits`.

    Source: Loaiza-Ganem and Cunningham (2019), The continuous Bernoulli: fixing a pervasive error in variational
    autoencoders.

    Example:
        >>> print(ContinuousBernoulli(probs=0.9).mean.round(4))
        0.6699
    """

    support = constraints.unit_interval
    has_rsample = True
    sample = Distribution.sample

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return self.icdf(noise("random", self._extended_shape(sample_shape), np.random.default_rng(rng), self.dtype))

    def log_prob(self, value: Array) -> Array:
        value, half = self._checked(value), 0.5 * self.logits
        return (2 * value - 1) * half - log_relative_sinh(half)

    def cdf(self, value: Array) -> Array:
        value, half = self._checked(value), 0.5 * self.logits
        return value * np.exp(half * (value - 1) + log_relative_sinh(half * value) - log_relative_sinh(half))

    def icdf(self, value: Array) -> Array:
        rises = np.greater(self.logits, 80)  # then 1 - x falls as steeply, and its exponential does not overflow
        slope, rank = np.where(rises, -self.logits, self.logits), np.where(rises, 1 - value, value)
        scaled = rank * relative_expm1(slope)
        x = scaled * relative_log1p(slope * scaled)
        return np.where(rises, 1 - x, x)

    def entropy(self) -> Array:
        half = 0.5 * self.logits
        return log_relative_sinh(half) - half * langevin(half)

    @property
    def mean(self) -> Array:
        return 0.5 + 0.5 * langevin(0.5 * self.logits)

    @property
    def variance(self) -> Array:
        return 0.25 * langevin_slope(0.5 * self.logits)
