"""The mean of log k! over a Poisson distribution, which its entropy needs."""

from math import comb

import numpy as np

from tinygrad_lite.engine.op import POSITIVE, Array, Op, elementwise
from tinygrad_lite.ops.continuations.forms import not_continued
from tinygrad_lite.ops.gamma_functions import lgamma, polygamma

LARGE = 1e4
"""From this rate on, the expansion is more accurate than the sum, whose weights lose digits as the rate grows."""


def _mean_log_factorial(rate: Array, order: int) -> Array:
    rates = np.asarray(rate, float)
    y = np.array([_at_rate(x, order) for x in rates.ravel().tolist()], float)
    return y.reshape(rates.shape).astype(np.result_type(rate, 1.0))[()]


def _at_rate(rate: float, order: int) -> float:
    if rate == np.inf:
        return np.inf if order < 2 else 0.0
    if not rate >= 0:
        return np.nan
    return _by_expansion(rate, order) if rate > LARGE else _by_sum(rate, order)


def _by_sum(rate: float, order: int) -> float:
    """The sum over all k within ten standard deviations, and 30 more for small rates."""
    width = 10 * rate**0.5 + 30
    k = np.arange(max(0, int(rate - width)), int(rate + width) + 1)
    if order == 0:
        values = lgamma(k + 1.0)
    else:  # the differences of log k! are those of one order less of log (k + 1)
        log_k = np.log(np.maximum(k[None] + np.arange(1, order + 1)[:, None], 1))
        values = sum((-1) ** (order - 1 - j) * comb(order - 1, j) * log_k[j] for j in range(order))
    weights = np.exp(k * np.log(rate) - rate - lgamma(k + 1.0)) if rate > 0 else 1.0 * (k == 0)
    middle = values[len(k) // 2]  # the values differ little from it, and rounded weights matter as little
    return float(middle + np.sum(weights * (values - middle)) / np.sum(weights))


def _by_expansion(rate: float, order: int) -> float:
    """f + λ f″/2 + λ f‴/6 + λ² f⁗/8, of the central moments of k, with f = log k! at λ; and its derivatives by λ."""

    def f(n: int) -> Array:
        return lgamma(rate + 1) if n == 0 else polygamma(np.float64(rate + 1), order=n - 1)

    n = order
    second = rate * f(n + 2) + n * f(n + 1)
    third = rate * f(n + 3) + n * f(n + 2)
    fourth = rate * (rate * f(n + 4)) + 2 * n * (rate * f(n + 3)) + n * (n - 1) * f(n + 2)
    return float(f(n) + second / 2 + third / 6 + fourth / 8)


# the mean of the difference of this order of log k!: the derivative by the rate is that of the next difference
mean_log_factorial: Op = elementwise(
    _mean_log_factorial,
    lambda y, rate, order: mean_log_factorial(rate, order=order + 1),
    domain=(POSITIVE,),
    on_complex=not_continued,
    examples=[([(2, 3)], {"order": 0}), ([(2, 3)], {"order": 2})],
)
