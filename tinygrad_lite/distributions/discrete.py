"""Distributions of counts and of classes, and of numbers that stand for classes in a gradient."""

import math
from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.distributions import constraints, noise
from tinygrad_lite.distributions.constraints import Constraint
from tinygrad_lite.distributions.distribution import Distribution, derived, one_of
from tinygrad_lite.distributions.gammas import x_log_y
from tinygrad_lite.distributions.poisson_mean import mean_log_factorial
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation.settings import whole
from tinygrad_lite.ops.gamma_functions import lgamma
from tinygrad_lite.ops.networks.activations import log_softmax, sigmoid, softmax, softplus
from tinygrad_lite.transforms.custom import stop_gradient

__all__ = [
    "Bernoulli",
    "Binomial",
    "Categorical",
    "Geometric",
    "Multinomial",
    "NegativeBinomial",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Poisson",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
]


class _Discrete(Distribution):
    """A distribution whose samples have no gradient."""

    def sample(self, sample_shape: Any = (), rng: noise.Rng = None) -> Array:
        with no_grad():
            return stop_gradient(self._drawn(self._extended_shape(sample_shape), np.random.default_rng(rng)))

    def _drawn(self, shape: noise.Shape, rng: np.random.Generator) -> Array:
        raise NotImplementedError

    def _values(self, values: Array, expand: bool) -> Array:
        """Values of single numbers along a new first axis."""
        values = np.reshape(values, (-1, *(1 for _ in self.batch_shape)))
        return np.broadcast_to(values, (len(values), *self.batch_shape)) if expand else values


def _clamped(probs: Array) -> Array:
    """Probabilities kept away from 0 and 1 by the spacing of numbers at 1, so that their logarithms are finite."""
    eps = float(np.finfo(probs.dtype).eps)
    return np.clip(probs, eps, 1 - eps)


class OfProbability(_Discrete):
    """A distribution of the probability p of an event, which is `probs`, or of `logits`, log p / (1 - p)."""

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}

    def __init__(self, probs: Array = None, logits: Array = None, validate_args: bool | None = None) -> None:
        self._take_chances(validate_args, probs, logits)

    def _take_chances(self, validate_args: bool | None, probs: Array, logits: Array, **others: Array) -> None:
        self._take(validate_args, **others, **one_of(self, probs=probs, logits=logits))

    @derived
    def probs(self) -> Array:
        """The probability p."""
        return sigmoid(self.logits)

    @derived
    def logits(self) -> Array:
        """log p / (1 - p)."""
        p = _clamped(self.probs)
        return np.log(p) - np.log1p(-p)

    def _log_chance(self, successes: Array, failures: Array) -> Array:
        """log pˢ (1 - p)ᶠ for s events that happen and f that do not, with all digits next to 0 and 1."""
        return -successes * softplus(-self.logits) - failures * softplus(self.logits)


class Bernoulli(OfProbability):
    """p(1) = p and p(0) = 1 - p; a probability of 0 or 1 counts as one next to it, as in PyTorch.

    Example:
        >>> Bernoulli(probs=0.25).sample((8,), rng=0)
        array([0., 0., 1., 1., 0., 0., 0., 0.])
    """

    support = constraints.boolean
    has_enumerate_support = True

    def _drawn(self, shape: noise.Shape, rng: np.random.Generator) -> Array:
        return np.less(noise.noise("random", shape, rng, float), self.probs).astype(self.dtype)

    def log_prob(self, value: Array) -> Array:
        value = self._checked(value)
        return self._log_chance(value, 1 - value)

    def entropy(self) -> Array:
        return softplus(self.logits) - self.probs * self.logits

    def enumerate_support(self, expand: bool = True) -> Array:
        return self._values(np.arange(2, dtype=self.dtype), expand)

    @property
    def mean(self) -> Array:
        return self.probs

    @property
    def mode(self) -> Array:
        """The more probable value; NaN where both are equally probable."""
        return np.where(np.equal(self.probs, 0.5), np.nan, np.greater(self.probs, 0.5)).astype(self.dtype)

    @property
    def variance(self) -> Array:
        return self.probs * (1 - self.probs)


class Geometric(OfProbability):
    """p(k) = p (1 - p)ᵏ: the number of failures before the first success."""

    support = constraints.natural

    def __init__(self, probs: Array = None, logits: Array = None, validate_args: bool | None = None) -> None:
        super().__init__(probs, logits, validate_args)
        self._require(constraints.positive, "probs", self.probs)

    def _drawn(self, shape: noise.Shape, rng: np.random.Generator) -> Array:
        return np.floor(-noise.noise("standard_exponential", shape, rng, self.dtype) / np.log1p(-self.probs))

    def log_prob(self, value: Array) -> Array:
        value = self._checked(value)
        is_certain = np.equal(value, 0) & np.equal(self.probs, 1)  # where log (1 - p)ᵏ is 0
        return np.log(self.probs) + value * np.log1p(-np.where(is_certain, 0, self.probs))

    def entropy(self) -> Array:
        return (softplus(self.logits) - self.probs * self.logits) / self.probs

    @property
    def mean(self) -> Array:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Array:
        return np.zeros_like(self.probs)

    @property
    def variance(self) -> Array:
        return (1 / self.probs - 1) / self.probs


class Binomial(OfProbability):
    """p(k) = C(n, k) pᵏ (1 - p)ⁿ⁻ᵏ: the number of successes among n = `total_count`."""

    arg_constraints: ClassVar = {"total_count": constraints.natural, **OfProbability.arg_constraints}
    has_enumerate_support = True
    total_count: Array

    def __init__(
        self, total_count: Array = 1, probs: Array = None, logits: Array = None, validate_args: bool | None = None
    ) -> None:
        self._take(validate_args, total_count=total_count, **one_of(self, probs=probs, logits=logits))

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        return constraints.integers(0, self.total_count, "a whole number from 0 to total_count")

    def _drawn(self, shape: noise.Shape, rng: np.random.Generator) -> Array:
        return noise.binomial(self.total_count, self.probs, shape, rng)

    def log_prob(self, value: Array) -> Array:
        k, n = self._checked(value), self.total_count
        ways = lgamma(self._narrow("total_count") + 1) - lgamma(k + 1) - lgamma(n - k + 1)
        return ways + self._log_chance(k, n - k)

    def entropy(self) -> Array:
        log_prob = self.log_prob(self.enumerate_support(False))
        return -np.sum(np.exp(log_prob) * log_prob, axis=0)

    def enumerate_support(self, expand: bool = True) -> Array:
        count = float(np.max(self.total_count, initial=0))
        if np.any(np.not_equal(self.total_count, count)):
            raise UsageError("Binomial can enumerate its support, or sum over it, for equal total_count only")
        return self._values(np.arange(int(count) + 1, dtype=self.dtype), expand)

    @property
    def mean(self) -> Array:
        return self.total_count * self.probs

    @property
    def mode(self) -> Array:
        return np.minimum(np.floor((self.total_count + 1) * self.probs), self.total_count)

    @property
    def variance(self) -> Array:
        return self.total_count * self.probs * (1 - self.probs)


class NegativeBinomial(OfProbability):
    """p(k) = Γ(n + k) pᵏ (1 - p)ⁿ / (Γ(n) k!): the number of successes before n = `total_count` failures.

    n need not be a whole number. With the mean μ and the dispersion α, n = 1 / α and p = μ / (n + μ).

    Example:
        >>> float(NegativeBinomial(3.0, probs=0.5).mean)
        3.0
    """

    arg_constraints: ClassVar = {"total_count": constraints.nonnegative, **OfProbability.arg_constraints}
    support = constraints.natural
    total_count: Array

    def __init__(
        self, total_count: Array, probs: Array = None, logits: Array = None, validate_args: bool | None = None
    ) -> None:
        self._take(validate_args, total_count=total_count, **one_of(self, probs=probs, logits=logits))
        if probs is not None:  # that of large logits is positive, although it rounds to 0
            self._require(constraints.positive, "1 - probs", 1 - self.probs)

    def _drawn(self, shape: noise.Shape, rng: np.random.Generator) -> Array:
        rate = np.exp(noise.log_gamma(self.total_count, shape, rng) + self.logits)
        return noise.poisson(rate, shape, rng)

    def log_prob(self, value: Array) -> Array:
        k, n = self._checked(value), self.total_count
        is_certain = np.equal(k, 0) & np.equal(n, 0)  # where both Γ are infinite
        some = np.where(is_certain, 1, n)
        return lgamma(some + k) - lgamma(some) - lgamma(k + 1) + self._log_chance(k, n)

    @property
    def mean(self) -> Array:
        return self.total_count * np.exp(self.logits)

    @property
    def mode(self) -> Array:
        return np.maximum(np.floor((self.total_count - 1) * np.exp(self.logits)), 0)

    @property
    def variance(self) -> Array:
        return self.mean * (1 + np.exp(self.logits))


class Poisson(_Discrete):
    """p(k) = λᵏ exp(-λ) / k!, with the rate λ."""

    arg_constraints: ClassVar = {"rate": constraints.nonnegative}
    support = constraints.natural
    rate: Array

    def __init__(self, rate: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, rate=rate)

    def _drawn(self, shape: noise.Shape, rng: np.random.Generator) -> Array:
        return noise.poisson(self.rate, shape, rng)

    def log_prob(self, value: Array) -> Array:
        k = self._checked(value)
        return x_log_y(k, self.rate) - self.rate - lgamma(k + 1)

    def entropy(self) -> Array:
        log_rate = np.log(np.where(np.equal(self.rate, 0), 1, self.rate))
        return self.rate * (1 - log_rate) + mean_log_factorial(self.rate, order=0)

    @property
    def mean(self) -> Array:
        return self.rate

    @property
    def mode(self) -> Array:
        return np.floor(self.rate)

    @property
    def variance(self) -> Array:
        return self.rate


class _OfClasses(_Discrete):
    """A distribution of the probabilities of classes along the last axis, or of `logits`: their logarithms.

    Probabilities are divided by their sum. A constant in logits does not matter.
    """

    arg_constraints: ClassVar = {
        "probs": Constraint("at least 0", constraints.nonnegative.holds, 1),
        "logits": Constraint("a real number", constraints.real.holds, 1),
    }

    def __init__(self, probs: Array = None, logits: Array = None, validate_args: bool | None = None) -> None:
        self._take_chances(validate_args, probs, logits)

    def _take_chances(self, validate_args: bool | None, probs: Array, logits: Array, **others: Array) -> None:
        self._take(validate_args, **others, **one_of(self, probs=probs, logits=logits))
        if probs is not None:
            total = np.sum(self.probs, axis=-1, keepdims=True)
            self._require(constraints.positive, "the sum of probs", total)
            self.probs = self.probs / total
        else:
            self.logits = log_softmax(self.logits, axis=-1)

    @derived
    def probs(self) -> Array:
        """The probability of each class."""
        return softmax(self.logits, axis=-1)

    @derived
    def logits(self) -> Array:
        """The logarithm of the probability of each class."""
        return np.log(_clamped(self.probs))

    @property
    def _count(self) -> int:
        """The number of classes."""
        return int(getattr(self, self._names[-1]).shape[-1])

    def _one_hot(self, labels: Array) -> Array:
        return np.equal(np.expand_dims(labels, -1), np.arange(self._count))

    def _labels(self, shape: noise.Shape, rng: np.random.Generator) -> Array:
        """Random classes: the number of those whose cumulative probability a random number reaches."""
        cumulative = np.cumsum(self.probs, axis=-1)
        level = noise.noise("random", (*shape, 1), rng, float) * cumulative[..., -1:]
        return np.sum(np.less_equal(cumulative[..., :-1], level), axis=-1)

    def _entropy_of_one(self) -> Array:
        finite = np.maximum(self.logits, float(np.finfo(self.dtype).min))  # 0 · -∞ is 0 here
        return -np.sum(self.probs * finite, axis=-1)


class Categorical(_OfClasses):
    """p(k) = probs[k] for the classes 0, 1 and so on.

    Example:
        >>> policy = Categorical(logits=np.zeros(4))
        >>> float(np.exp(policy.log_prob(3)))
        0.25
    """

    has_enumerate_support = True

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        return constraints.integers(0, self._count - 1, f"a whole number from 0 to {self._count - 1}")

    def _drawn(self, shape: noise.Shape, rng: np.random.Generator) -> Array:
        return self._labels(shape, rng)

    def log_prob(self, value: Array) -> Array:
        return np.sum(np.where(self._one_hot(self._checked(value)), self.logits, 0), axis=-1)

    def entropy(self) -> Array:
        return self._entropy_of_one()

    def enumerate_support(self, expand: bool = True) -> Array:
        return self._values(np.arange(self._count), expand)

    @property
    def mean(self) -> Array:
        """NaN, since classes are not numbers."""
        return np.full(self.batch_shape, np.nan, self.dtype)

    @property
    def mode(self) -> Array:
        return np.argmax(self.probs, axis=-1)

    @property
    def variance(self) -> Array:
        """NaN, since classes are not numbers."""
        return self.mean


class OneHotCategorical(_OfClasses):
    """The classes of `Categorical` as vectors with a 1 for the class and zeros for the others."""

    support = constraints.one_hot
    has_enumerate_support = True

    def __init__(self, probs: Array = None, logits: Array = None, validate_args: bool | None = None) -> None:
        super().__init__(probs, logits, validate_args)
        self.event_shape = (self._count,)

    def _drawn(self, shape: noise.Shape, rng: np.random.Generator) -> Array:
        return self._one_hot(self._labels(shape[:-1], rng)).astype(self.dtype)

    def log_prob(self, value: Array) -> Array:
        return np.sum(np.where(np.equal(self._checked(value), 1), self.logits, 0), axis=-1)

    def entropy(self) -> Array:
        return self._entropy_of_one()

    def enumerate_support(self, expand: bool = True) -> Array:
        values = np.eye(self._count, dtype=self.dtype)
        values = np.reshape(values, (self._count, *(1 for _ in self.batch_shape), self._count))
        return np.broadcast_to(values, (self._count, *self.batch_shape, self._count)) if expand else values

    @property
    def mean(self) -> Array:
        return self.probs

    @property
    def mode(self) -> Array:
        return self._one_hot(np.argmax(self.probs, axis=-1)).astype(self.dtype)

    @property
    def variance(self) -> Array:
        return self.probs * (1 - self.probs)


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """A `OneHotCategorical` whose samples have the gradient of the probabilities: y + p - p, with a constant last p.

    Source: Bengio, Léonard and Courville (2013), Estimating or propagating gradients through stochastic neurons.
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = (), rng: noise.Rng = None) -> Array:
        return self.sample(sample_shape, rng) + (self.probs - stop_gradient(self.probs))


class Multinomial(_OfClasses):
    """p(k) = n! Π probsᵢ^kᵢ / kᵢ!: how often each class occurs among n = `total_count` draws."""

    def __init__(
        self, total_count: int = 1, probs: Array = None, logits: Array = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(probs, logits, validate_args)
        self.total_count = whole("Multinomial: total_count", total_count, least=0)
        self.event_shape = (self._count,)

    def _settings(self) -> dict[str, Any]:
        return {"total_count": self.total_count}

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        return constraints.multinomial(self.total_count)

    def _drawn(self, shape: noise.Shape, rng: np.random.Generator) -> Array:
        labels = self._labels((self.total_count, *shape[:-1]), rng)
        return np.sum(self._one_hot(labels), axis=0).astype(self.dtype)

    def log_prob(self, value: Array) -> Array:
        k = self._checked(value)
        is_certain = np.equal(k, 0) & np.equal(self.logits, -np.inf)  # where log pᵏ is 0
        powers = np.sum(k * np.where(is_certain, 0, self.logits) - lgamma(k + 1), axis=-1)
        return lgamma(np.sum(k, axis=-1) + 1) + powers

    def entropy(self) -> Array:
        n = self.total_count
        number = Binomial(n, self.probs, validate_args=False)  # of draws of each class
        k = number.enumerate_support(False)
        repeats = np.sum(np.exp(number.log_prob(k)) * lgamma(k + 1), axis=(0, -1))
        return n * self._entropy_of_one() - math.lgamma(n + 1) + repeats

    @property
    def mean(self) -> Array:
        return self.total_count * self.probs

    @property
    def variance(self) -> Array:
        return self.total_count * self.probs * (1 - self.probs)


class _Relaxed(_Discrete):
    """A smooth form of what the other base class draws, which it approaches as its temperature approaches 0."""

    has_rsample = True
    temperature: Array
    _take_chances: Any

    def __init__(
        self, temperature: Array, probs: Array = None, logits: Array = None, validate_args: bool | None = None
    ) -> None:
        if getattr(temperature, "shape", None) == (1,):  # as torch.tensor([2.2]), which is to add no axis
            temperature = np.reshape(temperature, ())
        self._take_chances(validate_args, probs, logits, temperature=temperature)

    def rsample(self, sample_shape: Any = (), rng: noise.Rng = None) -> Array:
        return self._drawn(self._extended_shape(sample_shape), np.random.default_rng(rng))


class RelaxedBernoulli(_Relaxed, OfProbability):
    """The distribution of σ((logits + L) / t) with logistic noise L, which approaches Bernoulli as t approaches 0.

    The temperature t is a number for each distribution of the batch, or one for all.
    Source: Maddison, Mnih and Teh (2017), The concrete distribution, appendix B.

    Example:
        >>> float(RelaxedBernoulli(0.5, probs=0.5).cdf(0.5))
        0.5
    """

    arg_constraints: ClassVar = {"temperature": constraints.positive, **OfProbability.arg_constraints}
    support = constraints.unit_interval

    def _drawn(self, shape: noise.Shape, rng: np.random.Generator) -> Array:
        return self._inside(sigmoid((self.logits + noise.noise("logistic", shape, rng, self.dtype)) / self.temperature))

    def _inside(self, value: Array) -> Array:
        """A value; for 0 and 1, which only rounding makes, the ones next to them, as in PyTorch."""
        limits = np.finfo(self.dtype)
        return np.clip(value, float(limits.tiny), 1 - float(limits.eps))

    def _noise_of(self, value: Array) -> tuple[Array, Array]:
        """The noise that makes a value, and the logarithm of |dL/dx| / t."""
        x = self._inside(self._checked(value))
        log_x, log_rest = np.log(x), np.log1p(-x)
        return self.temperature * (log_x - log_rest) - self.logits, -log_x - log_rest

    def log_prob(self, value: Array) -> Array:
        z, log_slope = self._noise_of(value)
        return np.log(self.temperature) - z - 2 * softplus(-z) + log_slope

    def cdf(self, value: Array) -> Array:
        return sigmoid(self._noise_of(value)[0])

    def icdf(self, value: Array) -> Array:
        return sigmoid((self.logits + np.log(value) - np.log1p(-value)) / self.temperature)


class RelaxedOneHotCategorical(_Relaxed, _OfClasses):
    """The distribution of softmax((logits + G) / t) with Gumbel noise G; as t approaches 0, `OneHotCategorical`.

    The temperature t is a number for each distribution of the batch, or one for all.
    Source: Maddison, Mnih and Teh (2017), The concrete distribution, equation 10.

    Example:
        >>> p = RelaxedOneHotCategorical(0.5, probs=np.array([0.25, 0.75]))
        >>> float(p.rsample(rng=0).sum())
        1.0
    """

    arg_constraints: ClassVar = {"temperature": constraints.positive, **_OfClasses.arg_constraints}
    support = constraints.simplex

    def __init__(
        self, temperature: Array, probs: Array = None, logits: Array = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(temperature, probs, logits, validate_args)
        self.event_shape = (self._count,)

    def _drawn(self, shape: noise.Shape, rng: np.random.Generator) -> Array:
        scores = self.logits + noise.noise("gumbel", shape, rng, self.dtype)
        return self._inside(softmax(scores / np.expand_dims(self.temperature, -1), axis=-1))

    def _inside(self, value: Array) -> Array:
        """A value; for 0, which only rounding makes, the smallest number."""
        return np.maximum(value, float(np.finfo(self.dtype).tiny))

    def log_prob(self, value: Array) -> Array:
        log_x, count = np.log(self._inside(self._checked(value))), self._count
        scores = log_softmax(self.logits - np.expand_dims(self.temperature, -1) * log_x, axis=-1)
        scale = math.lgamma(count) + (count - 1) * np.log(self.temperature)
        return scale + np.sum(scores - log_x, axis=-1)
