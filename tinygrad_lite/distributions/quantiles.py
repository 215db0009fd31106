"""The quantile of a distribution with a density whose logarithm is concave, and calls piece by piece."""

from collections.abc import Callable

import numpy as np

from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.ops.networks.normal import normal_cdf

PIECE = 2048  # entries at a time, since a quadrature needs many numbers for each


def in_pieces(function: Callable[..., Array], *arrays: Array) -> Array:
    """A function of float64 arrays of one axis, piece by piece, for arrays of any shapes and precision."""
    dtype = np.result_type(*arrays, 1.0)
    numbers = np.broadcast_arrays(*(np.asarray(x, float) for x in arrays))
    flat = [np.ravel(x) for x in numbers]
    y = np.empty(flat[0].size)
    with np.errstate(all="ignore"):
        for start in range(0, y.size, PIECE):
            y[start : start + PIECE] = function(*(x[start : start + PIECE] for x in flat))
    return y.reshape(numbers[0].shape).astype(dtype, copy=False)[()]


def everywhere(condition: Array) -> bool:
    """Whether a condition holds for each entry, as far as that is known before a run."""
    return not isinstance(condition, Traced) and bool(np.all(condition))


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
