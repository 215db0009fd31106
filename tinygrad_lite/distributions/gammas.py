"""The gamma distribution, and those whose samples are made of its samples."""

from collections.abc import Callable
from math import pi
from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.distributions import constraints
from tinygrad_lite.distributions.beta_quantile import logit_beta_cdf
from tinygrad_lite.distributions.distribution import Distribution
from tinygrad_lite.distributions.gamma_quantile import log_gamma_cdf
from tinygrad_lite.distributions.noise import Rng, Shape, log_gamma, noise, smooth_log_gamma, smooth_logit_beta
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.gamma_functions import lgamma, polygamma
from tinygrad_lite.ops.networks.activations import sigmoid, softmax
from tinygrad_lite.transforms.custom import stop_gradient

__all__ = ["Beta", "Chi2", "Dirichlet", "FisherSnedecor", "Gamma", "InverseGamma", "StudentT"]

Draw = Callable[[Array, Shape, np.random.Generator], Array]


def digamma(x: Array) -> Array:
    """ψ(x), the derivative of log Γ(x)."""
    return polygamma(x, order=0)


def x_log_y(x: Array, y: Array) -> Array:
    """x log y; 0 where x is 0, also beside y = 0. Elsewhere, its slope there is log y."""
    is_no_number = np.less_equal(y, 0) | np.equal(y, np.inf)
    return x * np.log(np.where(np.equal(x, 0) & is_no_number, 1, y))


def log_half_step(a: Array) -> Array:
    """log Γ(a + ½) - log Γ(a), also where both are so large that their difference has few digits.

    Source: NIST Digital Library of Mathematical Functions, 5.11.8, for large a.
    """
    is_small = np.less(a, _LARGE)
    small, large = np.where(is_small, a, 1), np.where(is_small, _LARGE, a)
    square = np.square(1 / large)
    series = 0.5 * np.log(large) - (1 / 8 - square * (1 / 192 - square * (1 / 640 - square * (17 / 14336)))) / large
    return np.where(is_small, lgamma(small + 0.5) - lgamma(small), series)


_LARGE = 40.0  # from here on, the next term of the series is less than the last digit


class OfGammas(Distribution):
    """A distribution whose samples are made of the logarithms of samples of gamma distributions.

    The gradient through a sample is that of a quantile: Figurnov, Mohamed and Mnih (2018), Implicit reparameterization
    gradients. `sample` draws without it, since it takes much longer.
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return self._made(smooth_log_gamma, self._extended_shape(sample_shape), np.random.default_rng(rng))

    def sample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        with no_grad():
            made = self._made(log_gamma, self._extended_shape(sample_shape), np.random.default_rng(rng))
        return stop_gradient(made)

    def _made(self, draw: Draw, shape: Shape, rng: np.random.Generator) -> Array:
        raise NotImplementedError

    def _smallest(self) -> float:
        """The smallest number that a sample may be, where a density may be infinite at 0."""
        return float(np.finfo(self.dtype).tiny)


class Gamma(OfGammas):
    """p(x) = βᵃ xᵃ⁻¹ exp(-βx) / Γ(a), with the concentration a and the rate β.

    Example:
        >>> float(Gamma(2.0, 4.0).mean)
        0.5
    """

    arg_constraints: ClassVar = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    concentration: Array
    rate: Array

    def __init__(self, concentration: Array, rate: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration=concentration, rate=rate)

    def _made(self, draw: Draw, shape: Shape, rng: np.random.Generator) -> Array:
        return np.maximum(np.exp(draw(self.concentration, shape, rng)) / self.rate, self._smallest())

    def log_prob(self, value: Array) -> Array:
        x, a = self._checked(value), self.concentration
        return x_log_y(a, self.rate) + x_log_y(a - 1, x) - self.rate * x - lgamma(self._narrow("concentration"))

    def cdf(self, value: Array) -> Array:
        return log_gamma_cdf(self.concentration, np.log(self._checked(value) * self.rate))

    def entropy(self) -> Array:
        a = self.concentration
        return a - np.log(self.rate) + lgamma(a) + (1 - a) * digamma(a)

    @property
    def mean(self) -> Array:
        return self.concentration / self.rate

    @property
    def mode(self) -> Array:
        return np.maximum(self.concentration - 1, 0) / self.rate

    @property
    def variance(self) -> Array:
        return self.concentration / np.square(self.rate)


class Chi2(Gamma):
    """The distribution of the sum of the squares of `df` standard normal numbers."""

    def __init__(self, df: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, df=df)
        self.concentration = 0.5 * self.df
        self.rate = np.full_like(self.df, 0.5)

    arg_constraints: ClassVar = {"df": constraints.positive}
    df: Array


class InverseGamma(OfGammas):
    """The distribution of 1 / y for y of a `Gamma`: p(x) = βᵃ x⁻ᵃ⁻¹ exp(-β / x) / Γ(a)."""

    arg_constraints: ClassVar = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.positive
    concentration: Array
    rate: Array

    def __init__(self, concentration: Array, rate: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration=concentration, rate=rate)

    def _made(self, draw: Draw, shape: Shape, rng: np.random.Generator) -> Array:
        return self.rate / np.maximum(np.exp(draw(self.concentration, shape, rng)), self._smallest())

    def log_prob(self, value: Array) -> Array:
        x, a = self._checked(value), self.concentration
        return a * np.log(self.rate) - (a + 1) * np.log(x) - self.rate / x - lgamma(self._narrow("concentration"))

    def cdf(self, value: Array) -> Array:
        return 1 - log_gamma_cdf(self.concentration, np.log(self.rate / self._checked(value)))

    def entropy(self) -> Array:
        a = self.concentration
        return a + np.log(self.rate) + lgamma(a) - (1 + a) * digamma(a)

    def _above(self, bound: float) -> Array:
        """The concentration; where it is not above the bound, some number that is."""
        return np.where(np.greater(self.concentration, bound), self.concentration, bound + 1)

    @property
    def mean(self) -> Array:
        return np.where(np.greater(self.concentration, 1), self.rate / (self._above(1) - 1), np.inf)

    @property
    def mode(self) -> Array:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Array:
        above = self._above(2)
        finite = np.square(self.rate / (above - 1)) / (above - 2)
        return np.where(np.greater(self.concentration, 2), finite, np.inf)


class FisherSnedecor(OfGammas):
    """The distribution of (y₁ / n) / (y₂ / m) for y of a `Chi2` with n = df1 and m = df2 degrees of freedom.

    p(x) = (n / m)^(n/2) x^(n/2 - 1) (1 + n x / m)^(-(n + m) / 2) Γ((n + m) / 2) / (Γ(n / 2) Γ(m / 2)).
    """

    arg_constraints: ClassVar = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    df1: Array
    df2: Array

    def __init__(self, df1: Array, df2: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, df1=df1, df2=df2)

    def _made(self, draw: Draw, shape: Shape, rng: np.random.Generator) -> Array:
        log_ratio = draw(0.5 * self.df1, shape, rng) - draw(0.5 * self.df2, shape, rng)
        return np.maximum(np.exp(log_ratio) * (self.df2 / self.df1), self._smallest())

    def _log_beta(self) -> Array:
        n, m = 0.5 * self._narrow("df1"), 0.5 * self._narrow("df2")
        return lgamma(n) + lgamma(m) - lgamma(n + m)

    def log_prob(self, value: Array) -> Array:
        x, n, m = self._checked(value), 0.5 * self.df1, 0.5 * self.df2
        return n * np.log(n / m) + x_log_y(n - 1, x) - (n + m) * np.log1p(n / m * x) - self._log_beta()

    def cdf(self, value: Array) -> Array:
        return logit_beta_cdf(0.5 * self.df1, 0.5 * self.df2, np.log(self._checked(value) * (self.df1 / self.df2)))

    def entropy(self) -> Array:
        n, m = 0.5 * self.df1, 0.5 * self.df2
        by_shape = (1 - n) * digamma(n) - (1 + m) * digamma(m) + (n + m) * digamma(n + m)
        return np.log(m / n) + self._log_beta() + by_shape

    def _above(self, bound: float) -> Array:
        """The denominator's degrees of freedom; where they are not above the bound, some number that is."""
        return np.where(np.greater(self.df2, bound), self.df2, bound + 1)

    @property
    def mean(self) -> Array:
        above = self._above(2)
        return np.where(np.greater(self.df2, 2), above / (above - 2), np.nan)

    @property
    def mode(self) -> Array:
        """The most probable value; NaN where df1 is at most 2, as in PyTorch."""
        mode = (self.df1 - 2) / self.df1 * (self.df2 / (self.df2 + 2))
        return np.where(np.greater(self.df1, 2), mode, np.nan)

    @property
    def variance(self) -> Array:
        m = self._above(4)
        finite = 2 * np.square(m / (m - 2)) * (self.df1 + m - 2) / (self.df1 * (m - 4))
        return np.where(np.greater(self.df2, 4), finite, np.nan)


class Beta(OfGammas):
    """p(x) = xᵃ⁻¹ (1 - x)ᵇ⁻¹ Γ(a + b) / (Γ(a) Γ(b)), with a = concentration1 and b = concentration0."""

    arg_constraints: ClassVar = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    concentration1: Array
    concentration0: Array

    def __init__(self, concentration1: Array, concentration0: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration1=concentration1, concentration0=concentration0)

    def _made(self, draw: Draw, shape: Shape, rng: np.random.Generator) -> Array:
        return self._at(draw(self.concentration1, shape, rng) - draw(self.concentration0, shape, rng))

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        shape, rng = self._extended_shape(sample_shape), np.random.default_rng(rng)
        return self._at(smooth_logit_beta(self.concentration1, self.concentration0, shape, rng))

    def _at(self, logit: Array) -> Array:
        return np.clip(sigmoid(logit), self._smallest(), 1 - float(np.finfo(self.dtype).epsneg))

    def log_prob(self, value: Array) -> Array:
        x, a, b = self._checked(value), self._narrow("concentration1"), self._narrow("concentration0")
        return x_log_y(a - 1, x) + x_log_y(b - 1, 1 - x) + lgamma(a + b) - lgamma(a) - lgamma(b)

    def cdf(self, value: Array) -> Array:
        x = self._checked(value)
        is_within = np.greater(x, 0) & np.less(x, 1)
        inner = np.where(is_within, x, 0.5)
        p = logit_beta_cdf(self.concentration1, self.concentration0, np.log(inner) - np.log1p(-inner))
        return np.where(is_within, p, np.greater(x, 0))

    def entropy(self) -> Array:
        a, b = self.concentration1, self.concentration0
        log_beta = lgamma(a) + lgamma(b) - lgamma(a + b)
        return log_beta - (a - 1) * digamma(a) - (b - 1) * digamma(b) + (a + b - 2) * digamma(a + b)

    @property
    def mean(self) -> Array:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Array:
        """The most probable value; 1 where both concentrations are below 1, and the density is infinite at 0 and 1."""
        return _mode(np.stack([self.concentration1, self.concentration0], axis=-1))[..., 0]

    @property
    def variance(self) -> Array:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (np.square(total) * (total + 1))


def _mode(concentration: Array) -> Array:
    a = np.maximum(concentration - 1, 0)
    total = np.sum(a, axis=-1, keepdims=True)
    first = np.equal(np.arange(a.shape[-1]), 0)
    in_a_corner = np.all(np.less(concentration, 1), axis=-1, keepdims=True)
    none = np.equal(total, 0)
    return np.where(in_a_corner, first, np.where(none, np.nan, a / np.where(none, 1, total)))


class Dirichlet(OfGammas):
    """p(x) = Γ(Σ aᵢ) Π xᵢ^(aᵢ - 1) / Γ(aᵢ) of probabilities x that add up to 1; a is the concentration."""

    arg_constraints: ClassVar = {"concentration": constraints.positive_vector}
    support = constraints.simplex
    concentration: Array

    def __init__(self, concentration: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration=concentration)
        self.event_shape = self.concentration.shape[-1:]

    def _made(self, draw: Draw, shape: Shape, rng: np.random.Generator) -> Array:
        return np.maximum(softmax(draw(self.concentration, shape, rng), axis=-1), self._smallest())

    def log_prob(self, value: Array) -> Array:
        x, a = self._checked(value), self.concentration
        return np.sum(x_log_y(a - 1, x) - lgamma(a), axis=-1) + lgamma(np.sum(a, axis=-1))

    def entropy(self) -> Array:
        a, total = self.concentration, np.sum(self.concentration, axis=-1)
        log_beta = np.sum(lgamma(a), axis=-1) - lgamma(total)
        return log_beta + (total - a.shape[-1]) * digamma(total) - np.sum((a - 1) * digamma(a), axis=-1)

    @property
    def mean(self) -> Array:
        return self.concentration / np.sum(self.concentration, axis=-1, keepdims=True)

    @property
    def mode(self) -> Array:
        """The most probable value; the first corner where all concentrations are below 1: it is infinite at each."""
        return _mode(self.concentration)

    @property
    def variance(self) -> Array:
        total, mean = np.sum(self.concentration, axis=-1, keepdims=True), self.mean
        return mean * (1 - mean) / (total + 1)


class StudentT(OfGammas):
    """p(x) = (1 + z² / ν)^(-(ν + 1) / 2) Γ((ν + 1) / 2) / (Γ(ν / 2) √(πν) σ), with z = (x - μ) / σ and ν = df."""

    arg_constraints: ClassVar = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    df: Array
    loc: Array
    scale: Array

    def __init__(self, df: Array, loc: Array = 0.0, scale: Array = 1.0, validate_args: bool | None = None) -> None:
        self._take(validate_args, df=df, loc=loc, scale=scale)

    def _made(self, draw: Draw, shape: Shape, rng: np.random.Generator) -> Array:
        z = noise("standard_normal", shape, rng, self.dtype)
        half = 0.5 * self.df
        return self.loc + self.scale * z * np.exp(0.5 * (np.log(half) - draw(half, shape, rng)))

    def _log_normaliser(self) -> Array:
        df = self._narrow("df")
        return 0.5 * np.log(pi * df) - log_half_step(0.5 * df)

    def log_prob(self, value: Array) -> Array:
        z = (self._checked(value) - self.loc) / self.scale
        return -0.5 * (self.df + 1) * np.log1p(z * z / self.df) - self._log_normaliser() - np.log(self.scale)

    def cdf(self, value: Array) -> Array:
        z, half = (self._checked(value) - self.loc) / self.scale, 0.5 * self.df
        return logit_beta_cdf(half, half, 2 * np.arcsinh(z / np.sqrt(self.df)))  # of (1 + z / √(ν + z²)) / 2

    def entropy(self) -> Array:
        half = 0.5 * (self.df + 1)
        return half * (digamma(half) - digamma(0.5 * self.df)) + self._log_normaliser() + np.log(self.scale)

    @property
    def mean(self) -> Array:
        return np.where(np.greater(self.df, 1), self.loc, np.nan)

    @property
    def mode(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        above = np.where(np.greater(self.df, 2), self.df, 3)
        finite = np.square(self.scale) * above / (above - 2)
        infinite = np.where(np.greater(self.df, 1), np.inf, np.nan).astype(self.dtype)
        return np.where(np.greater(self.df, 2), finite, infinite)
