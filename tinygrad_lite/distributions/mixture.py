"""Mixtures of distributions of one kind."""

from typing import Any, ClassVar, Self

import numpy as np

from tinygrad_lite.distributions.constraints import Constraint
from tinygrad_lite.distributions.discrete import Categorical
from tinygrad_lite.distributions.distribution import Distribution, checked_distribution
from tinygrad_lite.distributions.noise import Rng
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.ops.arithmetic.extrema import logsumexp
from tinygrad_lite.transforms.custom import stop_gradient

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """p(x) = Σ πₖ pₖ(x), with the probabilities π of a `Categorical` and the components pₖ along a batch's last axis.

    Raises:
        UsageError: if the mixture distribution is no `Categorical`.
        ShapeError: if the components' batch does not end with an axis for the classes.

    Example:
        >>> from tinygrad_lite.distributions import Categorical, Normal
        >>> weights = Categorical(probs=np.array([0.25, 0.75]))
        >>> float(MixtureSameFamily(weights, Normal(np.array([-1.0, 1.0]), 0.5)).mean)
        0.5
    """

    arg_constraints: ClassVar = {}
    _names = ()

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            kind = type(mixture_distribution).__name__
            raise UsageError(f"MixtureSameFamily: the mixture distribution must be a Categorical, got {kind}")
        batch = checked_distribution(self, component_distribution).batch_shape
        weights = mixture_distribution.probs.shape
        if weights[-1:] != batch[-1:] or not _is_stretched(weights, batch):
            raise ShapeError(
                "MixtureSameFamily: the batch of the components must end with an axis of the mixture's classes, and "
                f"the mixture's batch must broadcast to the rest; got components of batch {batch} and probabilities of "
                f"shape {weights}"
            )
        self.mixture_distribution, self.component_distribution = mixture_distribution, component_distribution
        self.validate_args = validate_args is not False
        self.dtype = np.result_type(mixture_distribution.dtype, component_distribution.dtype)
        self.batch_shape, self.event_shape = batch[:-1], component_distribution.event_shape

    @property
    def _axis(self) -> int:
        """The axis of the components among those of a value."""
        return -1 - len(self.event_shape)

    def _weighted(self, of_components: Array) -> Array:
        """The mean over the components."""
        probs = np.reshape(self.mixture_distribution.probs, (*self._weights_shape(), *(1 for _ in self.event_shape)))
        return np.sum(probs * of_components, axis=self._axis)

    def _weights_shape(self) -> tuple[int, ...]:
        return tuple(self.mixture_distribution.probs.shape)

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        words, holds, event_dim, *_ = self.component_distribution.support

        def of_all(x: Array) -> Array:
            return np.all(holds(np.expand_dims(x, self._axis)), axis=self._axis)

        return Constraint(words, of_all, event_dim)

    def expand(self, batch_shape: Any) -> Self:
        batch_shape = tuple(batch_shape)
        components = self.component_distribution.expand((*batch_shape, self._weights_shape()[-1]))
        return type(self)(self.mixture_distribution.expand(batch_shape), components, self.validate_args)

    def sample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        rng = np.random.default_rng(rng)
        with no_grad():
            classes = self.mixture_distribution.expand(self.batch_shape).sample(sample_shape, rng)
            values = self.component_distribution.sample(sample_shape, rng)
            is_chosen = np.equal(np.expand_dims(classes, -1), np.arange(self._weights_shape()[-1]))
            is_chosen = np.reshape(is_chosen, (*is_chosen.shape, *(1 for _ in self.event_shape)))
            return stop_gradient(np.sum(np.where(is_chosen, values, 0), axis=self._axis))

    def log_prob(self, value: Array) -> Array:
        of_components = self.component_distribution.log_prob(np.expand_dims(self._checked(value), self._axis))
        return logsumexp(of_components + self.mixture_distribution.logits, axis=-1)

    def cdf(self, value: Array) -> Array:
        return self._weighted(self.component_distribution.cdf(np.expand_dims(self._checked(value), self._axis)))

    @property
    def mean(self) -> Array:
        return self._weighted(self.component_distribution.mean)

    @property
    def variance(self) -> Array:
        """The mean of the components' variances, and the variance of their means."""
        means = self.component_distribution.mean
        spread = np.square(means - np.expand_dims(self.mean, self._axis))
        return self._weighted(self.component_distribution.variance + spread)

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self.mixture_distribution}, {self.component_distribution})"


def _is_stretched(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether a shape broadcasts to this one."""
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(to)))
