"""The random numbers that samples are made of.

Some, such as a number of events, depend on parameters in a way that no formula describes. Such a draw is an operation
on the parameters and on seeds, which come from the user's generator: a compiled function, which draws these anew in
each run, then draws anew with the parameters of that run.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from tinygrad_lite.distributions.beta_quantile import logit_beta_quantile
from tinygrad_lite.distributions.gamma_quantile import log_gamma_quantile
from tinygrad_lite.engine.op import Array, Op, primitive

Shape = tuple[int, ...]
Rng: TypeAlias = int | np.random.Generator | None
"""A seed or a generator; None draws from the operating system."""


def noise(method: str, shape: Shape, rng: np.random.Generator, dtype: Any) -> Array:
    """Numbers that a method of the generator draws, such as `standard_normal`, in an array of this shape."""
    drawn = np.reshape(getattr(rng, method)(size=shape or (1,)), shape)
    return drawn if drawn.dtype == dtype else drawn.astype(dtype)


def _seeded(draw: Callable[..., Array], count: int, name: str, examples: Any) -> Op:
    def forward(seeds: Array, *parameters: Array) -> Array:
        drawn = draw(np.random.default_rng(seeds), *parameters)
        return np.asarray(drawn).astype(np.result_type(*parameters, 1.0), copy=False)

    seeds = np.array([1, 2])
    return primitive(forward, arity=count + 1, name=name, examples=[([seeds, *x], {}) for x in examples])


_counts = np.array([3.0, 4.0])
_rates = np.array([0.25, 0.5])
_poisson = _seeded(lambda rng, rate: rng.poisson(rate), 1, "drawn_poisson", [(_rates,)])
_binomial = _seeded(lambda rng, n, p: rng.binomial(n.astype(int), p), 2, "drawn_binomial", [(_counts, _rates)])


def _drawn_von_mises(rng: np.random.Generator, loc: Array, k: Array) -> Array:
    return np.remainder(rng.vonmises(0, k) + loc + np.pi, 2 * np.pi) - np.pi


_von_mises = _seeded(_drawn_von_mises, 2, "drawn_von_mises", [(_rates, _counts)])


def _drawn_log_gamma(rng: np.random.Generator, a: Array) -> Array:
    # of a + 1, times a power of a uniform number, since a small one would round to 0
    with np.errstate(divide="ignore"):
        return np.log(rng.standard_gamma(a + 1)) + np.log1p(-rng.random(np.shape(a))) / a


_log_gamma = _seeded(_drawn_log_gamma, 1, "drawn_log_gamma", [(_rates,)])


def _with_seeds(op: Op, shape: Shape, rng: np.random.Generator, *parameters: Array) -> Array:
    return op(rng.integers(2**63, size=2), *[np.broadcast_to(x, shape) for x in parameters])


def poisson(rate: Array, shape: Shape, rng: np.random.Generator) -> Array:
    """Numbers of events of this rate."""
    return _with_seeds(_poisson, shape, rng, rate)


def binomial(total_count: Array, probs: Array, shape: Shape, rng: np.random.Generator) -> Array:
    """Numbers of successes."""
    return _with_seeds(_binomial, shape, rng, total_count, probs)


def von_mises(loc: Array, concentration: Array, shape: Shape, rng: np.random.Generator) -> Array:
    """Angles from -π to π."""
    return _with_seeds(_von_mises, shape, rng, loc, concentration)


def log_gamma(concentration: Array, shape: Shape, rng: np.random.Generator) -> Array:
    """The logarithm of numbers of the gamma distribution, without a gradient, in a hundredth of the time."""
    return _with_seeds(_log_gamma, shape, rng, concentration)


def smooth_log_gamma(concentration: Array, shape: Shape, rng: np.random.Generator) -> Array:
    """The logarithm of numbers of the gamma distribution, which changes smoothly with the concentration."""
    return log_gamma_quantile(concentration, noise("standard_normal", shape, rng, concentration.dtype))


def smooth_logit_beta(concentration1: Array, concentration0: Array, shape: Shape, rng: np.random.Generator) -> Array:
    """log x / (1 - x) of numbers x of the beta distribution, which change smoothly with the concentrations."""
    z = noise("standard_normal", shape, rng, concentration1.dtype)
    return logit_beta_quantile(concentration1, concentration0, z)
