"""The gamma distribution's derivatives in its concentration, as integrals of its density.

On the logarithmic scale, y = log x, the distribution of concentration a has the density p(y) = exp(a y - eʸ) / Γ(a).
Its derivative of order n in a is p times the Bell polynomial Bₙ in y - ψ(a), -ψ'(a), -ψ''(a) and so on. The derivative
of a quantile in a is then the integral of B₁ · p above y, divided by p(y).

Source: Figurnov, Mohamed and Mnih (2018), Implicit reparameterization gradients.
"""

from math import comb, factorial, log, pi

import numpy as np

from tinygrad_lite.engine.op import POSITIVE, REAL, Array, Op, elementwise
from tinygrad_lite.ops.arithmetic.elementwise import nodes_and_weights
from tinygrad_lite.ops.continuations.forms import not_continued
from tinygrad_lite.ops.gamma_functions import lgamma, polygamma
from tinygrad_lite.ops.pieces import everywhere, in_pieces


def _bell(a: Array, y: Array, order: int) -> list[Array]:
    """B₀ … Bₙ at y."""
    arguments = [-polygamma(a, order=k) + (0 if k else y) for k in range(order)]
    bell = [np.ones_like(y)]
    for n in range(order):
        bell.append(sum(comb(n, k) * bell[n - k] * arguments[k] for k in range(n + 1)))
    return bell


def stirling_error(a: Array) -> Array:
    """log Γ(a) - (a - ½) log a + a - ½ log 2π, also where a is so large that the difference has few digits."""
    is_small = np.less(a, 10)
    small, inverse = np.where(is_small, a, 1), 1 / np.where(is_small, 10, a)
    square = np.square(inverse)
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188))))
    return np.where(is_small, lgamma(small) - (small - 0.5) * np.log(small) + small - 0.5 * log(2 * pi), series)


def log_density(a: Array, y: Array) -> Array:
    """log p(y), by its distance from its largest value: of a large concentration, the parts of the formula are so, too.

    Source: Loader (2000), Fast and accurate computation of binomial probabilities.
    """
    t = y - np.log(a)
    return a * (t - np.expm1(t)) + 0.5 * np.log(a / (2 * pi)) - stirling_error(a)


def _is_upper(a: Array, y: Array) -> Array:
    """Whether to integrate above y: over the smaller tail, unless eʷ would change too fast there."""
    return np.greater(y, np.maximum(np.log(a), log(0.02)))


def tail(a: Array, y: Array, order: int) -> Array:
    """The integral of Bₙ · p above y, or minus the integral below y, divided by p(y)."""
    bell = _bell(a, y, order)
    powers = [comb(order, k) * bell[order - k] for k in range(order + 1)]  # Bₙ at y + w is their sum times wᵏ
    x = np.exp(y)
    upper = _is_upper(a, y)
    small = ~upper & np.less(x, 1)
    x_here, x_small = np.where(small, 1.0, x), np.where(small, x, 0.0)
    # p(y + w) / p(y) = exp(a w - x (eʷ - 1)). Quadrature up to where that is e⁻⁴⁰, by Newton's steps from beyond
    up = np.minimum(np.sqrt(80 / x_here), np.log(2 + 80 / x_here))
    down = np.where(np.greater(a, 120), np.sqrt(120 / a), 40 / a + 1)
    end = np.where(upper, up, -down)
    for _ in range(8):
        end = end - (a * end - x_here * np.expm1(end) + 40) / (a - x_here * np.exp(end))
    nodes, weights = nodes_and_weights()
    w = np.expand_dims(end / 2, -1) * (nodes + 1)
    density = np.exp(np.expand_dims(a, -1) * w - np.expand_dims(x_here, -1) * np.expm1(w))
    integral = end / 2 * sum(power * ((density * w**k if k else density) @ weights) for k, power in enumerate(powers))
    if everywhere(~small):
        return integral
    # close to 0, the power series of exp(-x eʷ), integrated term by term
    series, term = np.zeros_like(y), np.exp(x_small)
    for j in range(20):
        b = a + j
        series = series - term * sum((-1) ** k * factorial(k) * power / b ** (k + 1) for k, power in enumerate(powers))
        term = term * -x_small / (j + 1)
    return np.where(small, series, integral)


def area(a: Array, y: Array) -> Array:
    """The probability above y, or minus the probability below."""
    return np.exp(log_density(a, y)) * tail(a, y, 0)


def below(area: Array, y: Array) -> Array:
    """The probability below y, from that above it, or minus that below it: of 0, the sign tells the side."""
    inside = np.where(np.signbit(area), -area, 1 - area)
    return np.where(np.isposinf(y), 1, np.where(np.isneginf(y), 0, inside))


def cdf(a: Array, y: Array) -> Array:
    """The distribution function at y; 1 where x = eʸ is too large for a number."""
    return below(area(a, y), np.where(np.isposinf(np.exp(y)), np.inf, y))


def _gamma_flow(a: Array, y: Array, order: int) -> Array:
    return in_pieces(lambda a, y: tail(a, y, order), a, y)


# ∓∂ⁿF/∂aⁿ / p, with F the distribution function; for n = 1 the derivative of the quantile in a
gamma_flow: Op = elementwise(
    _gamma_flow,
    lambda v, a, y, order: gamma_flow(a, y, order=order + 1) - (y - polygamma(a, order=0)) * v,
    lambda v, a, y, order: (np.exp(y) - a) * v - _bell(a, y, order)[order],
    domain=(POSITIVE, REAL),
    on_complex=not_continued,
    examples=[([(2, 3), (2, 3)], {"order": 1}), ([(2, 3), (2, 3)], {"order": 2})],
)
