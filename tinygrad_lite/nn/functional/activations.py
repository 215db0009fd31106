"""Activations, and the softmax family."""

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.arithmetic import reductions
from tinygrad_lite.ops.networks import activations

__all__ = [
    "gelu",
    "leaky_relu",
    "log_softmax",
    "logsumexp",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
]


def relu(x: Array) -> Array:
    """max(x, 0); its derivative at 0 is 0.

    Example:
        >>> relu(np.array([-1.0, 2.0]))
        array([0., 2.])
    """
    return activations.relu(x)


def leaky_relu(x: Array, negative_slope: Array = 0.01) -> Array:
    """x where positive, else negative_slope · x; the slope may be a tensor, too.

    Example:
        >>> leaky_relu(np.array([-1.0, 2.0]), 0.5)
        array([-0.5,  2. ])
    """
    return activations.leaky_relu(x, negative_slope)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e⁻ˣ), without overflow and exact in both tails.

    Example:
        >>> sigmoid(np.array([0.0, 1000.0]))
        array([0.5, 1. ])
    """
    return activations.sigmoid(x)


def softplus(x: Array) -> Array:
    """log(1 + eˣ), without overflow.

    Example:
        >>> softplus(np.array([-1000.0, 1000.0]))
        array([   0., 1000.])
    """
    return activations.softplus(x)


def gelu(x: Array) -> Array:
    """x · Φ(x), with Φ the standard normal distribution function.

    Source: Hendrycks and Gimpel (2016), Gaussian error linear units, eq. 1.

    Example:
        >>> gelu(np.array([-100.0, 0.0, 100.0]))
        array([ -0.,   0., 100.])
    """
    return activations.gelu(x)


def silu(x: Array) -> Array:
    """x · sigmoid(x).

    Source: Elfwing et al. (2017), Sigmoid-weighted linear units, eq. 2.

    Example:
        >>> silu(np.array([0.0, 1000.0]))
        array([   0., 1000.])
    """
    return activations.silu(x)


def softmax(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    """eˣ / Σ eˣ along an axis, without overflow.

    Example:
        >>> softmax(np.array([1000.0, 1000.0]))
        array([0.5, 0.5])
    """
    return activations.softmax(x, axis=axis)


def log_softmax(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    """x - log Σ eˣ along an axis, without overflow.

    Example:
        >>> log_softmax(np.array([0.0, 1000.0]))
        array([-1000.,     0.])
    """
    return activations.log_softmax(x, axis=axis)


def logsumexp(x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """log Σ eˣ along an axis, without overflow.

    Example:
        >>> float(logsumexp(np.array([-1000.0, 1000.0])))
        1000.0
    """
    return reductions.logsumexp(x, axis=axis, keepdims=keepdims)
