"""The Kullback-Leibler divergences between pairs of distributions."""

from collections.abc import Callable
from math import log, pi, sqrt
from typing import Any

import numpy as np

from tinygrad_lite.distributions.continuous import (
    EULER,
    LOG_2_PI,
    Cauchy,
    Exponential,
    Gumbel,
    HalfCauchy,
    HalfNormal,
    Laplace,
    LogNormal,
    Normal,
    Uniform,
)
from tinygrad_lite.distributions.continuous_bernoulli import ContinuousBernoulli
from tinygrad_lite.distributions.discrete import (
    Bernoulli,
    Binomial,
    Categorical,
    Geometric,
    OneHotCategorical,
    Poisson,
)
from tinygrad_lite.distributions.distribution import Distribution, sum_last
from tinygrad_lite.distributions.gammas import Beta, Dirichlet, Gamma, InverseGamma, digamma, x_log_y
from tinygrad_lite.distributions.matrices import Wishart
from tinygrad_lite.distributions.multivariate import Independent, NormalOfVectors
from tinygrad_lite.distributions.near_zero import log_relative_sinh
from tinygrad_lite.distributions.powers import Pareto
from tinygrad_lite.distributions.transforms import LogisticNormal
from tinygrad_lite.distributions.von_mises import VonMises, circular_variance, log_scaled_i0
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.ops.gamma_functions import lgamma
from tinygrad_lite.ops.linear.triangular import triangular
from tinygrad_lite.ops.networks.activations import softplus
from tinygrad_lite.ops.networks.normal import normal_cdf

__all__ = ["kl_divergence", "register_kl"]

Formula = Callable[[Any, Any], Array]

_FORMULAS: dict[tuple[type, type], Formula] = {}


def kl_divergence(p: Distribution, q: Distribution) -> Array:
    """The Kullback-Leibler divergence KL(p‖q), the mean of log p(x) - log q(x) over p.

    Raises:
        UsageError: if no formula is known for these two kinds; `register_kl` enters one.
        ShapeError: if the batches do not broadcast.

    Example:
        >>> from tinygrad_lite.distributions import Normal, kl_divergence
        >>> float(kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0)))
        0.5
    """
    try:
        np.broadcast_shapes(getattr(p, "batch_shape", ()), getattr(q, "batch_shape", ()))
    except ValueError:
        raise ShapeError(
            f"kl_divergence: batches of shapes {p.batch_shape} and {q.batch_shape} do not broadcast"
        ) from None
    for kind_p in type(p).__mro__:
        for kind_q in type(q).__mro__:
            if (kind_p, kind_q) in _FORMULAS:
                return _FORMULAS[kind_p, kind_q](p.in_dtype_of(q), q.in_dtype_of(p))
    raise UsageError(
        f"no formula is known for the divergence of {type(p).__name__} from {type(q).__name__}: enter one with "
        "@register_kl, or take the mean of p.log_prob(x) - q.log_prob(x) over samples x of p"
    )


def register_kl(type_p: type, type_q: type) -> Callable[[Formula], Formula]:
    """A decorator for a function of p and q that computes the divergence between distributions of these kinds.

    Example:
        >>> from tinygrad_lite.distributions import Normal, register_kl
        >>> class Standard(Normal):
        ...     "A normal distribution of mean 0 and standard deviation 1."
        >>> @register_kl(Standard, Standard)
        ... def between_equals(p, q):
        ...     return np.zeros(p.batch_shape)
    """

    def enter(formula: Formula) -> Formula:
        _FORMULAS[type_p, type_q] = formula
        return formula

    return enter


def _entropy_and(formula: Formula) -> Formula:
    """KL(p‖q) from a formula of -∫ p log q."""
    return lambda p, q: formula(p, q) - p.entropy()


def _infinite(p: Any, q: Any) -> Array:
    """Infinity: p has values that q cannot have."""
    return np.full(np.broadcast_shapes(p.batch_shape, q.batch_shape), np.inf, np.result_type(p.dtype, q.dtype))


def _only_inside(inside: Array, divergence: Array) -> Array:
    """The divergence where q can have all values of p; else infinity."""
    return np.where(inside, divergence, np.inf)


for kind, others in {
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Exponential: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gamma: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gumbel: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Laplace: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Normal: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Pareto: (Beta, ContinuousBernoulli, Uniform),
    Poisson: (Bernoulli, Binomial),
}.items():
    for other in others:
        register_kl(kind, other)(_infinite)

# Two of a kind


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Array:
    at_one = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    at_one = np.where(np.equal(p.probs, 0), 0, np.where(np.equal(q.probs, 0), np.inf, at_one))
    at_zero = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    return at_one + np.where(np.equal(p.probs, 1), 0, np.where(np.equal(q.probs, 1), np.inf, at_zero))


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Array:
    if np.any(np.less(p.total_count, q.total_count)):
        raise UsageError("no formula is known for the divergence of a Binomial from one of a larger total_count")
    kl = p.total_count * (p.probs * (p.logits - q.logits) + softplus(q.logits) - softplus(p.logits))
    return np.where(np.greater(p.total_count, q.total_count), np.inf, kl)


@register_kl(Categorical, Categorical)
@register_kl(OneHotCategorical, OneHotCategorical)
def _categorical(p: Categorical, q: Categorical) -> Array:
    terms = p.probs * (p.logits - q.logits)
    return np.sum(np.where(np.equal(p.probs, 0), 0, np.where(np.equal(q.probs, 0), np.inf, terms)), axis=-1)


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Array:
    return -p.entropy() - np.log1p(-q.probs) / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Array:
    return x_log_y(p.rate, p.rate) - x_log_y(p.rate, q.rate) - (p.rate - q.rate)


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Array:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    normalisers = lgamma(c) + lgamma(d) - lgamma(c + d) - lgamma(a) - lgamma(b) + lgamma(a + b)
    return normalisers + (a - c) * digamma(a) + (b - d) * digamma(b) + (c + d - a - b) * digamma(a + b)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Array:
    a, b = p.concentration, q.concentration
    total = np.sum(a, axis=-1, keepdims=True)
    terms = lgamma(b) - lgamma(a) + (a - b) * (digamma(a) - digamma(total))
    return np.sum(terms, axis=-1) + lgamma(total[..., 0]) - lgamma(np.sum(b, axis=-1))


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Array:
    a, b = p.concentration, q.concentration
    by_rate = b * np.log(p.rate / q.rate) + (q.rate - p.rate) * a / p.rate
    return by_rate + lgamma(b) - lgamma(a) + (a - b) * digamma(a)


register_kl(InverseGamma, InverseGamma)(_gamma)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Array:
    ratio = q.rate / p.rate
    return ratio - 1 - np.log(ratio)


@register_kl(VonMises, VonMises)
def _von_mises(p: VonMises, q: VonMises) -> Array:
    k, other = p.concentration, q.concentration
    down = -2 * np.square(np.sin(0.5 * (p.loc - q.loc)))
    by_angle = (other - k) * circular_variance(k) - other * down * (1 - circular_variance(k))
    return log_scaled_i0(other) - log_scaled_i0(k) + by_angle


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Array:
    ratio = np.square(p.scale / q.scale)
    return 0.5 * (ratio + np.square((p.loc - q.loc) / q.scale) - 1 - np.log(ratio))


register_kl(LogNormal, LogNormal)(_normal)


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Array:
    ratio = np.square(p.scale / q.scale)
    return 0.5 * (ratio - 1 - np.log(ratio))


def _normal_of_vectors(p: NormalOfVectors, q: NormalOfVectors) -> Array:
    if p.event_shape != q.event_shape:
        raise ShapeError(f"the vectors must have the same length, got {p.event_shape} and {q.event_shape}")
    spread, shift = q.distances(p.factor()), q.distances((p.loc - q.loc)[..., None])
    distance = np.sum(spread, axis=-1) + np.sum(shift, axis=-1) - p.event_shape[0]
    return 0.5 * distance + q.half_log_determinant() - p.half_log_determinant()


register_kl(NormalOfVectors, NormalOfVectors)(_normal_of_vectors)


@register_kl(Wishart, Wishart)
def _wishart(p: Wishart, q: Wishart) -> Array:
    if p.event_shape != q.event_shape:
        raise ShapeError(f"the matrices must have the same shape, got {p.event_shape} and {q.event_shape}")
    size = p.event_shape[0]
    by_freedom = 0.5 * (p.df - q.df) * p.mean_log_ratio() + q.log_gamma() - p.log_gamma()
    trace = np.sum(np.square(triangular(q.scale_tril, p.scale_tril, lower=True)), axis=(-2, -1))
    scale = q.half_log_determinant() - p.half_log_determinant()
    return by_freedom + q.df * scale + 0.5 * p.df * (trace - size)


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Array:
    # Gil, Alajaji and Linder (2013), Rényi divergence measures for commonly used univariate continuous distributions
    ratio, distance = p.scale / q.scale, np.absolute(p.loc - q.loc)
    return distance / q.scale + ratio * np.exp(-distance / p.scale) - 1 - np.log(ratio)


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Array:
    ratio, z = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return z - np.log(ratio) + (ratio - 1) * EULER + np.exp(lgamma(1 + ratio) - z) - 1


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Array:
    # Chyzak and Nielsen (2019), A closed-form formula for the Kullback-Leibler divergence between Cauchy distributions
    distance = np.square(p.scale + q.scale) + np.square(p.loc - q.loc)
    return np.log(distance / (4 * p.scale * q.scale))


@register_kl(HalfCauchy, HalfCauchy)
def _half_cauchy(p: HalfCauchy, q: HalfCauchy) -> Array:
    return 2 * np.log(p.scale + q.scale) - np.log(4 * p.scale * q.scale)


@register_kl(Pareto, Pareto)
def _pareto(p: Pareto, q: Pareto) -> Array:
    ratio = q.alpha / p.alpha
    inside = np.greater_equal(p.scale, q.scale)
    return _only_inside(inside, q.alpha * np.log(p.scale / q.scale) - np.log(ratio) + ratio - 1)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Array:
    return _continuous_bernoulli_at(p.mean, q) - p.entropy()


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Array:
    inside = np.less_equal(q.low, p.low) & np.greater_equal(q.high, p.high)
    return _only_inside(inside, np.log((q.high - q.low) / (p.high - p.low)))


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Array:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise ShapeError(
            "Independent: both must reinterpret the same number of axes, got reinterpreted_batch_ndims="
            f"{p.reinterpreted_batch_ndims} and {q.reinterpreted_batch_ndims}"
        )
    return sum_last(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(LogisticNormal, LogisticNormal)
def _logistic_normal(p: LogisticNormal, q: LogisticNormal) -> Array:
    """That of the normal numbers: a one-to-one map changes no divergence."""
    return kl_divergence(p.base_dist, q.base_dist)


# Of different kinds: the mean of -log q over p, which is made of moments of p


@register_kl(Bernoulli, Poisson)
@_entropy_and
def _bernoulli_poisson(p: Bernoulli, q: Poisson) -> Array:
    return q.rate - x_log_y(p.probs, q.rate)


def _exponential_at(mean: Array, q: Exponential) -> Array:
    return q.rate * mean - np.log(q.rate)


def _normal_at(mean: Array, variance: Array, q: Normal) -> Array:
    return 0.5 * (LOG_2_PI + (variance + np.square(mean - q.loc)) / np.square(q.scale)) + np.log(q.scale)


def _gamma_at(mean: Array, mean_of_log: Array, q: Gamma) -> Array:
    a = q.concentration
    return q.rate * mean - (a - 1) * mean_of_log + lgamma(a) - a * np.log(q.rate)


def _gumbel_at(mean: Array, mean_of_exponential: Array, q: Gumbel) -> Array:
    """-∫ p log q from the mean of x and that of exp(-x / σ)."""
    return (mean - q.loc) / q.scale + np.exp(q.loc / q.scale) * mean_of_exponential + np.log(q.scale)


def _continuous_bernoulli_at(mean: Array, q: ContinuousBernoulli) -> Array:
    half = 0.5 * q.logits
    return log_relative_sinh(half) - (2 * mean - 1) * half


register_kl(Beta, ContinuousBernoulli)(_entropy_and(lambda p, q: _continuous_bernoulli_at(p.mean, q)))
for kind in (Beta, ContinuousBernoulli, Gamma):
    register_kl(kind, Exponential)(_entropy_and(lambda p, q: _exponential_at(p.mean, q)))
for kind in (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Uniform):
    register_kl(kind, Normal)(_entropy_and(lambda p, q: _normal_at(p.mean, p.variance, q)))


@register_kl(Beta, Gamma)
@_entropy_and
def _beta_gamma(p: Beta, q: Gamma) -> Array:
    return _gamma_at(p.mean, digamma(p.concentration1) - digamma(p.concentration1 + p.concentration0), q)


@register_kl(Exponential, Gamma)
@_entropy_and
def _exponential_gamma(p: Exponential, q: Gamma) -> Array:
    return _gamma_at(p.mean, -EULER - np.log(p.rate), q)


@register_kl(Exponential, Gumbel)
@_entropy_and
def _exponential_gumbel(p: Exponential, q: Gumbel) -> Array:
    return _gumbel_at(p.mean, p.rate * q.scale / (p.rate * q.scale + 1), q)


@register_kl(Gamma, Gumbel)
@_entropy_and
def _gamma_gumbel(p: Gamma, q: Gumbel) -> Array:
    return _gumbel_at(p.mean, np.exp(-p.concentration * np.log1p(1 / (p.rate * q.scale))), q)


@register_kl(Normal, Gumbel)
@_entropy_and
def _normal_gumbel(p: Normal, q: Gumbel) -> Array:
    return _gumbel_at(p.mean, np.exp(0.5 * np.square(p.scale / q.scale) - p.loc / q.scale), q)


@register_kl(Normal, Laplace)
@_entropy_and
def _normal_laplace(p: Normal, q: Laplace) -> Array:
    z = (p.loc - q.loc) / p.scale
    mean_distance = p.scale * (sqrt(2 / pi) * np.exp(-0.5 * z * z) + z * (2 * normal_cdf(z) - 1))
    return mean_distance / q.scale + np.log(q.scale) + log(2)


@register_kl(Beta, Uniform)
@register_kl(ContinuousBernoulli, Uniform)
def _unit_interval_uniform(p: Beta | ContinuousBernoulli, q: Uniform) -> Array:
    inside = np.less_equal(q.low, 0) & np.greater_equal(q.high, 1)
    return _only_inside(inside, np.log(q.high - q.low) - p.entropy())


def _mean_log(low: Array, high: Array) -> Array:
    """The mean of log x for a uniform x."""
    return (x_log_y(high, high) - x_log_y(low, low)) / (high - low) - 1


@register_kl(Uniform, Beta)
def _uniform_beta(p: Uniform, q: Beta) -> Array:
    a, b = q.concentration1, q.concentration0
    inside = np.greater_equal(p.low, 0) & np.less_equal(p.high, 1)
    low, high = np.where(inside, p.low, 0), np.where(inside, p.high, 1)
    log_q = (a - 1) * _mean_log(low, high) + (b - 1) * _mean_log(1 - high, 1 - low)
    return _only_inside(inside, lgamma(a) + lgamma(b) - lgamma(a + b) - log_q - p.entropy())


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p: Uniform, q: ContinuousBernoulli) -> Array:
    inside = np.greater_equal(p.low, 0) & np.less_equal(p.high, 1)
    return _only_inside(inside, _continuous_bernoulli_at(p.mean, q) - p.entropy())


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Uniform, q: Pareto) -> Array:
    inside = np.greater_equal(p.low, q.scale)
    low, high = np.where(inside, p.low, 1), np.where(inside, p.high, 2)
    log_q = np.log(q.alpha) + q.alpha * np.log(q.scale) - (q.alpha + 1) * _mean_log(low, high)
    return _only_inside(inside, -log_q - p.entropy())


def _pareto_mean(p: Pareto, power: int) -> tuple[Array, Array]:
    """Where the mean of a power of x is finite, and what it is there."""
    finite = np.greater(p.alpha, power)
    alpha = np.where(finite, p.alpha, power + 1)
    return finite, p.scale**power * (alpha / (alpha - power))


@register_kl(Pareto, Exponential)
def _pareto_exponential(p: Pareto, q: Exponential) -> Array:
    finite, mean = _pareto_mean(p, 1)
    return _only_inside(finite, _exponential_at(mean, q) - p.entropy())


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Pareto, q: Gamma) -> Array:
    finite, mean = _pareto_mean(p, 1)
    return _only_inside(finite, _gamma_at(mean, np.log(p.scale) + 1 / p.alpha, q) - p.entropy())


@register_kl(Pareto, Normal)
def _pareto_normal(p: Pareto, q: Normal) -> Array:
    finite, square = _pareto_mean(p, 2)
    _, mean = _pareto_mean(p, 1)
    return _only_inside(finite, _normal_at(mean, square - np.square(mean), q) - p.entropy())


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Uniform, q: Exponential) -> Array:
    return _only_inside(np.greater_equal(p.low, 0), _exponential_at(p.mean, q) - p.entropy())


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Uniform, q: Gamma) -> Array:
    inside = np.greater_equal(p.low, 0)
    low, high = np.where(inside, p.low, 0), np.where(inside, p.high, 1)
    return _only_inside(inside, _gamma_at(p.mean, _mean_log(low, high), q) - p.entropy())


@register_kl(Uniform, Gumbel)
@_entropy_and
def _uniform_gumbel(p: Uniform, q: Gumbel) -> Array:
    exponential = np.exp(-p.low / q.scale) - np.exp(-p.high / q.scale)
    return _gumbel_at(p.mean, exponential * q.scale / (p.high - p.low), q)
