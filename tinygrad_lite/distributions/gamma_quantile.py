"""The quantiles of the gamma distribution as a smooth function of its concentration: draws with a gradient."""

from math import log, pi

import numpy as np

from tinygrad_lite.distributions.quantiles import quantile
from tinygrad_lite.engine.op import POSITIVE, REAL, Array, elementwise
from tinygrad_lite.ops.continuations.forms import not_continued
from tinygrad_lite.ops.gamma_functions import lgamma
from tinygrad_lite.ops.gamma_tail import cdf, gamma_flow, log_density, tail
from tinygrad_lite.ops.networks.normal import normal_cdf
from tinygrad_lite.ops.pieces import in_pieces


def _quantile(a: Array, z: Array) -> Array:
    # the start: Wilson and Hilferty's approximation, or the first term of the power series
    root = 1 - 1 / (9 * a) + z / (3 * np.sqrt(a))
    far = np.log(a) + 3 * np.log(np.maximum(root, 0.3))
    y = np.where(np.greater(root, 0.3), far, (np.log(normal_cdf(z)) + lgamma(a + 1)) / a)
    log_gamma = lgamma(a)
    return quantile(
        z,
        y,
        2.0,
        lambda y: a * y - np.exp(y) - log_gamma,
        lambda y: a - np.exp(y),
        lambda y: tail(a, y, 0),
    )


def _log_gamma_quantile(a: Array, z: Array) -> Array:
    return in_pieces(_quantile, a, z)


# log x of the quantile x of the gamma distribution at which its distribution function is Φ(z)
log_gamma_quantile = elementwise(
    _log_gamma_quantile,
    lambda y, a, z: gamma_flow(a, y, order=1),
    lambda y, a, z: np.exp(-0.5 * (z * z + log(2 * pi)) - log_density(a, y)),
    domain=(POSITIVE, REAL),
    on_complex=not_continued,
)


def _log_gamma_cdf(a: Array, y: Array) -> Array:
    return in_pieces(cdf, a, y)


# F(x) at y = log x
log_gamma_cdf = elementwise(
    _log_gamma_cdf,
    lambda c, a, y: -gamma_flow(a, y, order=1) * np.exp(log_density(a, y)),
    lambda c, a, y: np.exp(log_density(a, y)),
    domain=(POSITIVE, REAL),
    on_complex=not_continued,
)
