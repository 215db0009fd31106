"""The logarithm of the gamma function and its derivatives, since NumPy has none of them."""

import math
from math import factorial

import numpy as np

from tinygrad_lite.engine.op import POSITIVE, Array, Op, elementwise

BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
"""The Bernoulli numbers B₂, B₄, …"""


def _lgamma(x: Array) -> Array:
    z = np.asarray(x, float)
    below = np.logical_and(np.greater(z, 0), np.less(z, 1e305))  # Python refuses what overflows
    values = map(math.lgamma, np.where(below, z, 1).ravel().tolist())
    beyond = np.where(np.logical_or(np.equal(z, 0), np.greater(z, 1)), np.inf, np.nan)
    y = np.where(below, np.fromiter(values, float, z.size).reshape(z.shape), beyond)
    return y.astype(np.result_type(x, 1.0))[()]


def _polygamma(x: Array, order: int) -> Array:
    # terms of the series (DLMF 5.15.1), up to where the asymptotic expansion (5.11.2 and 5.15.8) has all digits
    x = np.where(np.greater_equal(np.real(x), 0), x, np.nan)
    s, count = order + 1, 10 + order
    terms = np.sum((np.expand_dims(x, -1) + np.arange(count)) ** float(-s), axis=-1)
    z = x + count
    first = -np.log(z) if order == 0 else z ** float(-order) / order
    inverse_square, series = (1 / z) ** 2, 0.0
    for j, number in reversed(list(enumerate(BERNOULLI, 1))):
        ratio = number * factorial(2 * j + order - 1) / (factorial(2 * j) * factorial(order))
        series = (series + ratio) * inverse_square
    rest = first + z ** float(-order) * (series + 0.5 / z)
    return ((-1) ** s * factorial(order) * (terms + rest)).astype(x.dtype)[()]


# ψ⁽ⁿ⁾(x) for x > 0, the derivative of order n + 1 of log Γ(x)
polygamma: Op = elementwise(
    _polygamma,
    lambda y, x, order: polygamma(x, order=order + 1),
    domain=(POSITIVE,),
    examples=[([(2, 3)], {"order": order}) for order in (0, 1, 3)],
)
# log Γ(x) for x > 0
lgamma = elementwise(_lgamma, lambda y, x: polygamma(x, order=0), domain=(POSITIVE,))
