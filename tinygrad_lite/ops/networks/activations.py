"""Activations of neural networks, and the softmax family."""

from math import erfc, pi, sqrt

import numpy as np

from tinygrad_lite.engine.op import Array, elementwise, primitive
from tinygrad_lite.ops.arithmetic.elementwise import exp_of_square
from tinygrad_lite.ops.arithmetic.elementwise import sigmoid as sigmoid


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


relu = elementwise(
    _relu, lambda y, x: np.greater(x, 0), kink=lambda x: x, kind="rectifying", chooses="its input is at most 0"
)


def _leaky_relu(x: Array, negative_slope: Array = 0.01) -> Array:
    return np.where(np.greater(x, 0), x, negative_slope * x)


leaky_relu = elementwise(
    _leaky_relu,
    lambda y, x, negative_slope: np.where(np.greater(x, 0), 1, negative_slope),  # at 0 as relu: the slope from the left
    lambda y, x, negative_slope: np.minimum(x, 0),
    kink=lambda x, negative_slope: x,
    chooses="its input is on the other side of 0",
)


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0.0) + np.log1p(np.exp(np.copysign(x, -1.0)))


softplus = elementwise(_softplus, lambda y, x: sigmoid(x))


def _silu(x: Array) -> Array:
    return x * sigmoid(x)


silu = elementwise(_silu, lambda y, x: sigmoid(x) * (1 + x * sigmoid(-x)))


def _normal_cdf(x: Array) -> Array:
    # NumPy has no error function; Python's is exact in both tails
    x = np.asarray(x)
    tail = np.fromiter(map(erfc, (x / -sqrt(2)).ravel().tolist()), float, x.size)
    return (tail / 2).astype(np.result_type(x, 1.0)).reshape(x.shape)[()]


def _normal_density(x: Array) -> Array:
    return exp_of_square(x, factor=-0.5) / sqrt(2 * pi)


normal_cdf = elementwise(_normal_cdf, lambda y, x: _normal_density(x), kind="saturating")


def _gelu(x: Array) -> Array:
    return x * normal_cdf(x)


gelu = elementwise(_gelu, lambda y, x: normal_cdf(x) + x * _normal_density(x))

AXES = [([(2, 3)], {"axis": axis}) for axis in (-1, 0, (0, 1), None)]


def _softmax(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    weights = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return weights / np.sum(weights, axis=axis, keepdims=True)


softmax = primitive(
    _softmax,
    lambda g, y, x, axis=-1: y * (g - np.sum(g * y, axis=axis, keepdims=True)),
    kind="saturating",
    examples=AXES,
)


def _log_softmax(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


log_softmax = primitive(
    _log_softmax,
    lambda g, y, x, axis=-1: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True),
    examples=AXES,
)
