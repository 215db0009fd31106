"""The quantile of a distribution with a density whose logarithm is concave."""

from collections.abc import Callable

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.networks.normal import normal_cdf


def quantile(
    z: Array,
    start: Array,
    widest: Array,
    log_density: Callable[[Array], Array],
    slope: Callable[[Array], Array],
    tail: Callable[[Array], Array],
) -> Array:
    """The y at which the distribution function is Φ(z), by Halley's method.

    It solves for the logarithm of the smaller tail, which is as concave as the logarithm of the density is.

    Args:
        start: about where y is.
        widest: the longest step.
        log_density: the logarithm of the density p.
        slope: its derivative.
        tail: the integral of p above y, or minus the integral below y, divided by p.
    """
    upper = np.greater(z, 0)
    sign = np.where(upper, -1, 1)
    target = np.log(normal_cdf(-np.absolute(z)))
    y = start
    for _ in range(40):
        log_p, area = log_density(y), tail(y)
        other = np.log1p(-np.minimum(np.exp(log_p) * np.absolute(area), 1 - 1e-16))
        log_tail = np.where(np.equal(area > 0, upper), log_p + np.log(np.absolute(area)), other)
        steepness = sign * np.exp(log_p - log_tail)
        newton = (target - log_tail) / steepness
        step = newton / np.clip(1 + newton * (slope(y) - steepness) / 2, 0.5, 2)
        y = y + np.clip(step, -widest, widest)
        if np.all(np.absolute(step * steepness) <= 1e-5 * np.minimum(1, np.absolute(target))):
            break
    return y
