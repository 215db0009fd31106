"""The quantiles and the distribution function of the beta distribution as smooth functions of its concentrations."""

from math import log, pi

import numpy as np

from tinygrad_lite.distributions.quantiles import quantile
from tinygrad_lite.engine.op import POSITIVE, REAL, Array, elementwise
from tinygrad_lite.ops.beta_tail import beta_flow, cdf, log_density, tail
from tinygrad_lite.ops.continuations.forms import not_continued
from tinygrad_lite.ops.gamma_functions import lgamma, polygamma
from tinygrad_lite.ops.networks.activations import sigmoid, softplus
from tinygrad_lite.ops.networks.normal import normal_cdf
from tinygrad_lite.ops.pieces import in_pieces


def _quantile(a: Array, b: Array, z: Array) -> Array:
    log_beta = lgamma(a) + lgamma(b) - lgamma(a + b)
    # the start: the normal distribution of the same mean and variance, or the first terms of power series
    spread = np.sqrt(polygamma(a, order=1) + polygamma(b, order=1))
    y = polygamma(a, order=0) - polygamma(b, order=0) + spread * z
    left = (np.log(normal_cdf(z)) + log_beta + np.log(a)) / a
    right = -(np.log(normal_cdf(-z)) + log_beta + np.log(b)) / b
    y = np.where(np.less(left, -2), left, np.where(np.greater(right, 2), right, y))
    return quantile(
        z,
        y,
        2 + 1 / np.minimum(a, b),
        lambda y: -a * softplus(-y) - b * softplus(y) - log_beta,
        lambda y: a - (a + b) * sigmoid(y),
        lambda y: tail(a, b, y, 0, 0),
    )


def _logit_beta_quantile(a: Array, b: Array, z: Array) -> Array:
    return in_pieces(_quantile, a, b, z)


# log x / (1 - x) of the quantile x of the beta distribution at which its distribution function is Φ(z)
logit_beta_quantile = elementwise(
    _logit_beta_quantile,
    lambda y, a, b, z: beta_flow(a, b, y, orders=(1, 0)),
    lambda y, a, b, z: beta_flow(a, b, y, orders=(0, 1)),
    lambda y, a, b, z: np.exp(-0.5 * (z * z + log(2 * pi)) - log_density(a, b, y)),
    domain=(POSITIVE, POSITIVE, REAL),
    on_complex=not_continued,
)


def _logit_beta_cdf(a: Array, b: Array, y: Array) -> Array:
    return in_pieces(cdf, a, b, y)


# F(x) at y = log x / (1 - x)
logit_beta_cdf = elementwise(
    _logit_beta_cdf,
    lambda c, a, b, y: -beta_flow(a, b, y, orders=(1, 0)) * np.exp(log_density(a, b, y)),
    lambda c, a, b, y: -beta_flow(a, b, y, orders=(0, 1)) * np.exp(log_density(a, b, y)),
    lambda c, a, b, y: np.exp(log_density(a, b, y)),
    domain=(POSITIVE, POSITIVE, REAL),
    on_complex=not_continued,
)
