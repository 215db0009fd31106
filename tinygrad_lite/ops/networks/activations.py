"""Activations of neural networks, and the softmax family."""

import numpy as np

from tinygrad_lite.engine.op import Array, elementwise, primitive
from tinygrad_lite.ops.arithmetic.elementwise import sigmoid as sigmoid
from tinygrad_lite.ops.arithmetic.reductions import max as largest
from tinygrad_lite.ops.networks.normal import normal_at
from tinygrad_lite.sums import total_along


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


relu = elementwise(
    _relu, lambda y, x: np.greater(x, 0), kink=lambda x: x, kind="rectifying", chooses="its input is at most 0"
)


def _leaky_relu(x: Array, negative_slope: Array = 0.01) -> Array:
    if _is_gentle(negative_slope):
        return np.maximum(x, negative_slope * x)
    return np.maximum(x, 0) + negative_slope * np.minimum(x, 0)  # np.where takes twice as long


def _is_gentle(negative_slope: Array) -> bool:
    """Whether the slope is a number for which the larger of both lines is the function."""
    return isinstance(negative_slope, (int, float)) and 0 < negative_slope <= 1


def _leaky_relu_slope(y: Array, x: Array, negative_slope: Array) -> Array:
    # at 0 as relu: the slope from the left
    step = np.greater(x, 0).astype(y.dtype)  # a boolean beside a Python number would make float64
    return np.maximum(step, negative_slope) if _is_gentle(negative_slope) else step + negative_slope * (1 - step)


leaky_relu = elementwise(
    _leaky_relu,
    _leaky_relu_slope,
    lambda y, x, negative_slope: np.minimum(x, 0),
    kink=lambda x, negative_slope: x,
    chooses="its input is on the other side of 0",
)


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0.0) + np.log1p(np.exp(np.copysign(x, -1.0)))


softplus = elementwise(_softplus, lambda y, x: sigmoid(x))


silu = elementwise(
    lambda x, gate: x * gate, lambda y, x, gate: gate * (1 + x * sigmoid(-x)), name="silu", shared=lambda x: sigmoid(x)
)
gelu = elementwise(
    lambda x, normal: x * normal.cdf,
    lambda y, x, normal: normal.cdf + x * normal.density,
    name="gelu",
    shared=normal_at,
)

AXES = [([(2, 3)], {"axis": axis}) for axis in (-1, 0, (0, 1), None)]


def _softmax(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    weights = np.exp(x - largest(x, axis=axis, keepdims=True))
    return weights / total_along(weights, axis)


softmax = primitive(
    _softmax,
    lambda g, y, x, axis=-1: y * (g - total_along(g * y, axis)),
    kind="saturating",
    examples=AXES,
)


def _log_softmax(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    shifted = x - largest(x, axis=axis, keepdims=True)
    return shifted - np.log(total_along(np.exp(shifted), axis))


log_softmax = primitive(
    _log_softmax,
    lambda g, y, x, axis=-1: g - np.exp(y) * total_along(g, axis),
    examples=AXES,
)
