"""The mean of log k! over a Poisson distribution, which its entropy needs."""

from math import comb

import numpy as np

from tinygrad_lite.engine.op import POSITIVE, Array, Op, elementwise
from tinygrad_lite.ops.continuations.forms import not_continued
from tinygrad_lite.ops.gamma_functions import lgamma


def _mean_log_factorial(rate: Array, order: int) -> Array:
    # the sum over all k within ten standard deviations, and 30 more for small rates
    rates = np.asarray(rate, float)
    y = np.empty(rates.size)
    for i, rate_here in enumerate(rates.ravel().tolist()):
        if not rate_here >= 0:
            y[i] = np.nan
            continue
        width = 10 * rate_here**0.5 + 30
        k = np.arange(max(0, int(rate_here - width)), int(rate_here + width) + 1)
        log_k = np.log(np.maximum(k[None] + np.arange(1, order + 1)[:, None], 1))
        if order == 0:
            values = lgamma(k + 1.0)
        else:  # the differences of log k! are those of one order less of log (k + 1)
            values = sum((-1) ** (order - 1 - j) * comb(order - 1, j) * log_k[j] for j in range(order))
        weights = np.exp(k * np.log(rate_here) - rate_here - lgamma(k + 1.0)) if rate_here > 0 else 1.0 * (k == 0)
        y[i] = np.sum(weights * values)
    return y.reshape(rates.shape).astype(np.result_type(rate, 1.0))[()]


# the mean of the difference of this order of log k!: the derivative by the rate is that of the next difference
mean_log_factorial: Op = elementwise(
    _mean_log_factorial,
    lambda y, rate, order: mean_log_factorial(rate, order=order + 1),
    domain=(POSITIVE,),
    on_complex=not_continued,
    examples=[([(2, 3)], {"order": 0}), ([(2, 3)], {"order": 2})],
)
