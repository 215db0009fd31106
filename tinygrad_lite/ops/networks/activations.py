"""Activations of neural networks, and the softmax family."""

from math import pi, sqrt

import numpy as np

from tinygrad_lite.engine.op import Array, Example, Rule, Traced, elementwise, primitive
from tinygrad_lite.foundation.sums import in_dtype_of, in_single, total_along
from tinygrad_lite.ops.arithmetic.elementwise import decay, larger, sigmoid_by, smaller
from tinygrad_lite.ops.arithmetic.elementwise import sigmoid as sigmoid
from tinygrad_lite.ops.arithmetic.extrema import max as largest
from tinygrad_lite.ops.networks.normal import Normal, normal_at


def _relu(x: Array) -> Array:
    return larger(x, 0)


relu = elementwise(
    _relu, lambda y, x: np.greater(x, 0), kink=lambda x: x, kind="rectifying", chooses="its input is at most 0"
)


def _leaky_relu(x: Array, negative_slope: Array = 0.01) -> Array:
    if _is_gentle(negative_slope):
        return np.maximum(x, negative_slope * x)
    return larger(x, 0) + negative_slope * smaller(x, 0)  # np.where takes twice as long


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
    lambda y, x, negative_slope: smaller(x, 0),
    kink=lambda x, negative_slope: x,
    chooses="its input is on the other side of 0",
)


softplus = elementwise(
    lambda x, decay: larger(x, 0.0) + np.log1p(decay),
    lambda y, x, decay: sigmoid_by(decay, x),
    name="softplus",
    shared=decay,
)


def _rest(gate: Array, x: Array, inner: Rule = lambda x: x) -> Array:
    """1 - σ(z) for z = inner(x), with few digits where σ(z) is close to 1; only the second derivative needs them."""
    return sigmoid(-inner(x)) if isinstance(gate, Traced) else 1 - gate


silu = elementwise(
    lambda x, gate: x * gate,
    lambda y, x, gate: gate * (1 + x * _rest(gate, x)),
    name="silu",
    shared=lambda x: sigmoid(x),
)


def _gelu_slope(y: Array, x: Array, normal: Normal) -> Array:
    slope = x * normal.density
    slope += normal.cdf
    return slope


gelu = elementwise(
    lambda x, normal: x * normal.cdf,
    _gelu_slope,
    name="gelu",
    shared=normal_at,
)


def _inner(x: Array) -> Array:
    """2√(2/π)(x + 0.044715x³), of x cut off where the gate is 0 or 1 to the last digit, so that nothing overflows."""
    x = np.clip(x, -30, 30)
    return _GELU_SCALE * x * (1 + 0.044715 * x * x)


def _gelu_by_tanh_slope(y: Array, x: Array, gate: Array) -> Array:
    x = np.clip(x, -30, 30)  # beyond, a square, or its product in float16, would overflow before a factor of 0
    return gate * (1 + x * _rest(gate, x, _inner) * (_GELU_SCALE * (1 + 0.134145 * np.square(x))))


_GELU_SCALE = 2 * sqrt(2 / pi)
gelu_by_tanh = elementwise(
    lambda x, gate: x * gate,
    _gelu_by_tanh_slope,
    name="gelu_by_tanh",
    shared=lambda x: sigmoid(_inner(x)),  # (1 + tanh z) / 2 = sigmoid(2z), which keeps its digits in the tail
)

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def _elu(x: Array, alpha: float, rate: float) -> Array:
    return larger(x, 0) + alpha * np.expm1(rate * smaller(x, 0))  # np.where takes three times as long


def _elu_slope(y: Array, x: Array, alpha: float, rate: float) -> Array:
    step = np.greater(x, 0).astype(y.dtype)
    return step + (1 - step) * (alpha * rate * np.exp(rate * smaller(x, 0)))


elu = elementwise(
    _elu,
    _elu_slope,
    kink=lambda x, alpha, rate: x,
    examples=[([(2, 3)], {"alpha": 1.0, "rate": 1.0}), ([(2, 3)], {"alpha": 2.0, "rate": 0.5})],
)
softshrink = elementwise(
    lambda x, lambd: x - np.clip(x, -lambd, lambd),
    lambda y, x, lambd: np.greater(np.absolute(x), lambd),
    name="softshrink",
    kink=lambda x, lambd: np.absolute(x) - lambd,
    chooses="its input is within lambd of 0",
    examples=[([(2, 3)], {"lambd": 0.5})],
)
softsign = elementwise(
    lambda x: x / (1 + np.absolute(x)),
    lambda y, x: np.square(1 / (1 + np.absolute(x))),
    name="softsign",
    kink=lambda x: x,
    kind="saturating",
)
hardtanh = elementwise(
    lambda x, min_val, max_val: np.clip(x, min_val, max_val),
    lambda y, x, min_val, max_val: np.greater(x, min_val) & np.less(x, max_val),
    name="hardtanh",
    kink=lambda x, min_val, max_val: (x - min_val) * (x - max_val),
    chooses="its input is not between the bounds",
    examples=[([(2, 3)], {"min_val": -1.0, "max_val": 1.0}), ([(2, 3)], {"min_val": 0.0, "max_val": 6.0})],
)


def _hardswish_slope(y: Array, x: Array) -> Array:
    # of x cut off, since 0 · ∞ is not the limit
    slope = hardtanh(x, min_val=-3, max_val=3) / 3 + 0.5
    slope *= np.less(np.absolute(x), 3)
    slope += np.greater_equal(x, 3)
    return slope


hardswish = elementwise(
    lambda x: larger(x, -3) * (np.clip(x + 3, 0, 6) / 6),
    _hardswish_slope,
    name="hardswish",
    kink=lambda x: (x - 3) * (x + 3),
    chooses="its input is at most -3",
)

AXES: list[Example] = [*(([(2, 3)], {"axis": axis}) for axis in (-1, 0, (0, 1), None)), ([()], {"axis": -1})]


def shifted_by_largest(x: Array, axis: int | tuple[int, ...] | None) -> Array:
    """x minus its largest entry along an axis, which may be empty."""
    return x if 0 in np.shape(x) else x - largest(x, axis=axis, keepdims=True)


def are_moderate(x: Array) -> bool:
    """Whether the exponentials of all entries except -∞ keep all digits, so that a ratio needs no shift."""
    if type(x) is not np.ndarray or x.dtype.char not in "fd" or not x.size:
        return False
    bound = 40 if x.dtype.char == "f" else 300
    if not np.max(x) <= bound:
        return False
    lowest = np.min(x)
    return bool(lowest >= -bound) or bool(
        lowest == -np.inf and np.count_nonzero(x < -bound) == np.count_nonzero(x == lowest)
    )


def _softmax(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    wide = in_single(x)
    weights = np.exp(wide if are_moderate(wide) else shifted_by_largest(wide, axis))
    weights /= total_along(weights, axis)  # in place, as below: a new array would take as long as the division
    return weights if wide is x else in_dtype_of(weights, x)


def softmax_vjp(g: Array, y: Array, x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    """y · (g - Σ g y)."""
    g = in_single(g)
    slope = g - total_along(g * y, axis)
    slope *= y
    return slope


softmax = primitive(
    _softmax,
    softmax_vjp,
    kind="saturating",
    examples=AXES,
)


def _log_softmax(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    wide = in_single(x)
    shifted = shifted_by_largest(wide, axis)
    y = shifted - np.log(total_along(np.exp(shifted), axis))
    return y if wide is x else in_dtype_of(y, x)


log_softmax = primitive(
    _log_softmax,
    lambda g, y, x, axis=-1: g - np.exp(in_single(y)) * total_along(in_single(g), axis),
    examples=AXES,
)
