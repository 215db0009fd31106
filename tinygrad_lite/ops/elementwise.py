"""Floor 1. Arithmetic and the elementary functions: NumPy's ufuncs as a calculus table.

Each line is an operation with the derivative of each argument, in y (the value) and x or a, b (the arguments).
"""

import numpy as np

from tinygrad_lite.ops.op import POSITIVE, REAL, Array, elementwise, implements

add = elementwise(np.add, 1, 1)
subtract = elementwise(np.subtract, 1, -1)
multiply = elementwise(np.multiply, lambda y, a, b: b, lambda y, a, b: a)
divide = elementwise(np.divide, lambda y, a, b: 1 / b, lambda y, a, b: -y / b, kink=lambda a, b: b)
negative = elementwise(np.negative, -1)
positive = elementwise(np.positive, 1)


def _power_by_base(y: Array, a: Array, b: Array) -> Array:
    # a⁰ is constant, also at a = 0, where 0 · 0⁻¹ would not be a number
    return b * np.power(a, np.where(np.equal(b, 0), 1.0, np.subtract(b, 1)))


def _power_by_exponent(y: Array, a: Array, b: Array) -> Array:
    # 0ᵇ is constant for b > 0, where 0 · log 0 would not be a number
    return y * np.log(np.where(np.equal(a, 0) & np.greater(b, 0), 1.0, a))


power = elementwise(np.power, _power_by_base, _power_by_exponent, domain=(POSITIVE, REAL))

square = elementwise(np.square, lambda y, x: 2 * x)
sqrt = elementwise(np.sqrt, lambda y, x: 0.5 / y, domain=(POSITIVE,))
absolute = elementwise(np.absolute, lambda y, x: np.sign(x), kink=lambda x: x)
sign = elementwise(np.sign, 0, kink=lambda x: x)

exp = elementwise(np.exp, lambda y, x: y)
expm1 = elementwise(np.expm1, lambda y, x: y + 1)
log = elementwise(np.log, lambda y, x: 1 / x, domain=(POSITIVE,))
log1p = elementwise(np.log1p, lambda y, x: 1 / (1 + x), domain=((-1.0, np.inf),))

sin = elementwise(np.sin, lambda y, x: np.cos(x))
cos = elementwise(np.cos, lambda y, x: -np.sin(x))
tanh = elementwise(np.tanh, lambda y, x: 1 - y * y)


def _wins(a: Array, b: Array) -> Array:
    """1 where a > b, 1/2 where they tie."""
    return np.where(np.equal(a, b), 0.5, np.greater(a, b))


maximum = elementwise(np.maximum, lambda y, a, b: _wins(a, b), lambda y, a, b: _wins(b, a), kink=lambda a, b: a - b)
minimum = elementwise(np.minimum, lambda y, a, b: _wins(b, a), lambda y, a, b: _wins(a, b), kink=lambda a, b: a - b)


def _clip(x: Array, low: Array, high: Array) -> Array:
    return np.clip(x, low, high)


def _within(y: Array, x: Array, low: Array, high: Array) -> Array:
    not_below = True if low is None else np.greater_equal(x, low)
    not_above = True if high is None else np.less_equal(x, high)
    return not_below & not_above


def _distance_to_bounds(x: Array, low: Array, high: Array) -> Array:
    return np.minimum(np.minimum(np.absolute(x - low), np.absolute(x - high)), np.absolute(low - high))


clip = elementwise(
    _clip,
    _within,
    lambda y, x, low, high: np.less(x, low) & (True if high is None else np.less_equal(low, high)),
    lambda y, x, low, high: np.greater(x, high) | (False if low is None else np.greater(low, high)),
    kink=_distance_to_bounds,
)


@implements(np.clip)
def _clip_as_numpy(
    a: Array, a_min: Array = None, a_max: Array = None, out: Array = None, *, min: Array = None, max: Array = None
) -> Array:
    low = min if a_min is None else a_min
    high = max if a_max is None else a_max
    return clip(a, low, high) if out is None else clip.refuse("out", out)
