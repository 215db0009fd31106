"""Losses of numbers and of distributions.

A loss takes the prediction first, then the target of the same shape; shapes that differ raise `ShapeError`.
"""

from math import log, pi

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.nn.functional.checks import check_positive, shape_of, values_of
from tinygrad_lite.nn.functional.distances import at_least
from tinygrad_lite.nn.functional.reductions import (
    check_reduction,
    check_weights,
    in_dtype_of,
    matched,
    reduced,
    weighted,
)
from tinygrad_lite.ops import requirements
from tinygrad_lite.ops.networks import losses

__all__ = ["gaussian_nll_loss", "huber_loss", "kl_div", "l1_loss", "mse_loss", "poisson_nll_loss", "smooth_l1_loss"]


def mse_loss(input: Array, target: Array, reduction: str = "mean", weight: Array = None) -> Array:
    """(x - t)²; with a weight for each entry, a mean divides by the sum of the weights.

    Example:
        >>> float(mse_loss(np.array([1.0, 3.0]), np.array([0.0, 0.0])))
        5.0
    """
    target = matched("mse_loss", input, target)
    return weighted("mse_loss", np.square(input - target), weight, reduction)


def l1_loss(input: Array, target: Array, reduction: str = "mean", weight: Array = None) -> Array:
    """|x - t|; with a weight for each entry, a mean divides by the sum of the weights.

    Example:
        >>> float(l1_loss(np.array([1.0, -3.0]), np.array([0.0, 0.0])))
        2.0
    """
    target = matched("l1_loss", input, target)
    return weighted("l1_loss", np.absolute(input - target), weight, reduction)


def huber_loss(input: Array, target: Array, reduction: str = "mean", delta: float = 1.0, weight: Array = None) -> Array:
    """½(x - t)² where |x - t| ≤ δ, else δ(|x - t| - ½δ); weights multiply it, and a mean divides by the entries.

    Source: Huber (1964), Robust estimation of a location parameter.

    Raises:
        InputError: if delta is not positive.

    Example:
        >>> float(huber_loss(np.array([1.0, 3.0]), np.array([0.0, 0.0])))
        1.5
    """
    target = matched("huber_loss", input, target)
    check_positive("delta", delta)
    entries = losses.huber(input - target, delta=delta)
    if weight is not None:
        check_weights("huber_loss", entries, weight)
        entries = entries * in_dtype_of(input, weight)
    return reduced(entries, reduction)


def smooth_l1_loss(input: Array, target: Array, reduction: str = "mean", beta: float = 1.0) -> Array:
    """½(x - t)² / β where |x - t| ≤ β, else |x - t| - ½β; with β = 0 the `l1_loss`.

    Source: Girshick (2015), Fast R-CNN, eq. 3.

    Raises:
        InputError: if beta is negative.

    Example:
        >>> float(smooth_l1_loss(np.array([1.0, 3.0]), np.array([0.0, 0.0]), beta=2.0))
        1.125
    """
    target = matched("smooth_l1_loss", input, target)
    if beta == 0:
        return l1_loss(input, target, reduction)
    check_positive("beta", beta)
    return reduced(losses.huber(input - target, delta=beta) / beta, reduction)


def kl_div(input: Array, target: Array, reduction: str = "mean", log_target: bool = False) -> Array:
    """t (log t - x), entry by entry, of log-probabilities x and probabilities t, or their logarithms.

    Its sum is the Kullback-Leibler divergence; `reduction="batchmean"` divides that by the length of the first axis.

    Example:
        >>> p, q = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
        >>> float(kl_div(np.log(q), p, "batchmean").round(4))
        0.1438
    """
    target = matched("kl_div", input, target)
    check_reduction(reduction, "batchmean")
    log = target if log_target else np.log(np.where(np.equal(target, 0), 1.0, target))  # 0 log 0 = 0
    entries = (np.exp(target) if log_target else target) * (log - input)
    if reduction == "batchmean":
        return np.sum(entries) / (shape_of(input) or (1,))[0]
    return reduced(entries, reduction)


def poisson_nll_loss(
    input: Array, target: Array, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Array:
    """eˣ - t x of the logarithm x of a rate, or x - t log(x + ε) of the rate itself.

    `full` adds Stirling's approximation of log t!, t log t - t + ½ log(2πt), where t > 1.

    Example:
        >>> float(poisson_nll_loss(np.array([0.0]), np.array([3.0])))
        1.0
    """
    target = matched("poisson_nll_loss", input, target)
    entries = np.exp(input) - target * input if log_input else input - target * np.log(input + eps)
    if full:
        counts = np.where(np.greater(target, 1), target, 1.0)  # others might have no logarithm
        stirling = counts * np.log(counts) - counts + 0.5 * np.log(2 * pi * counts)
        entries = entries + np.where(np.greater(target, 1), stirling, 0.0)
    return reduced(entries, reduction)


def gaussian_nll_loss(
    input: Array, target: Array, var: Array, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Array:
    """½(log v + (x - t)² / v) with the variance v, at least ε; `full` adds ½ log 2π.

    The variance has the shape of x, or that with 1 for one of the axes, or that without the last axis, or is a number.
    The target is broadcast to x, as in PyTorch. Where the variance is below ε, it gets the gradient at ε.

    Source: Nix and Weigend (1994), Estimating the mean and variance of the target probability distribution.

    Raises:
        ShapeError: if the shapes do not fit.
        InputError: if eps is not positive, or a variance is negative.

    Example:
        >>> float(gaussian_nll_loss(np.array([1.0]), np.array([3.0]), np.array([1.0])))
        2.0
    """
    check_positive("eps", eps)
    shape, variance_shape = shape_of(input), shape_of(var)
    if isinstance(var, (int, float)):
        var = np.full(shape, var, np.result_type(input, 1.0))
    elif variance_shape == shape[:-1] and variance_shape != shape:
        var = np.expand_dims(var, -1)
    elif len(variance_shape) != len(shape) or [m for m, n in zip(variance_shape, shape) if m != n] not in ([], [1]):
        needed = f"{shape} of the input, with 1 for an axis, or one less"
        raise ShapeError(f"gaussian_nll_loss: a variance has the shape {needed}; got {variance_shape}")
    target, sizes = in_dtype_of(input, target), shape_of(target)
    if len(sizes) > len(shape) or any(m not in (1, n) for m, n in zip(sizes[::-1], shape[::-1])):
        raise ShapeError(f"gaussian_nll_loss: the target must broadcast to the input's shape {shape}, got {sizes}")
    values = values_of(var)
    message = "gaussian_nll_loss: a variance must not be negative, got {}"
    requirements.refuse_where(np.less(values, 0), values, message=message)
    var = at_least(var, eps)
    entries = 0.5 * (np.log(var) + np.square(input - target) / var)
    return reduced(entries + 0.5 * log(2 * pi) if full else entries, reduction)
