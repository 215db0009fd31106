"""The beta distribution's derivatives in its concentrations, as integrals of its density.

On the logistic scale, y = log x / (1 - x), the distribution of the concentrations a and b has the density p(y) =
σ(y)ᵃ σ(-y)ᵇ / B(a, b), where σ(y) = x. Its derivative of orders m in a and n in b is p times a Bell polynomial in
log σ(y), log σ(-y) and the derivatives of log B.

Source: Figurnov, Mohamed and Mnih (2018), Implicit reparameterization gradients.
"""

from math import comb, log, pi
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import POSITIVE, REAL, Array, Op, elementwise
from tinygrad_lite.ops.continuations.forms import not_continued
from tinygrad_lite.ops.gamma_functions import polygamma
from tinygrad_lite.ops.gamma_tail import below, stirling_error
from tinygrad_lite.ops.kept import kept
from tinygrad_lite.ops.networks.activations import sigmoid, softplus
from tinygrad_lite.ops.pieces import everywhere, in_pieces

# Gauss-Legendre quadrature from 0 to 1 of a function of t³, which puts most points close to 0
_GAUSS, _GAUSS_WEIGHTS = map(kept, np.polynomial.legendre.leggauss(80))
_NODES = ((_GAUSS + 1) / 2) ** 3
_WEIGHTS = 1.5 * _GAUSS_WEIGHTS * ((_GAUSS + 1) / 2) ** 2


def _arguments(a: Array, b: Array, log_x: Array, log_rest: Array, order: int) -> dict[tuple[int, int], Array]:
    """The arguments of the Bell polynomials of up to this total order, where log x = log σ(y) and so on."""
    total = [polygamma(a + b, order=k) for k in range(order)]
    arguments = {(k + 1 - j, j): total[k] for k in range(order) for j in range(k + 2)}
    for k in range(order):
        arguments[k + 1, 0] = arguments[k + 1, 0] - polygamma(a, order=k) + (0 if k else log_x)
        arguments[0, k + 1] = arguments[0, k + 1] - polygamma(b, order=k) + (0 if k else log_rest)
    return arguments


def _bell(arguments: dict[tuple[int, int], Array], m: int, n: int) -> Array:
    if m == n == 0:
        return 1.0
    if m == 0:
        return sum(comb(n - 1, j) * _bell(arguments, 0, n - 1 - j) * arguments[0, j + 1] for j in range(n))
    return sum(
        comb(m - 1, i) * comb(n, j) * _bell(arguments, m - 1 - i, n - j) * arguments[i + 1, j]
        for i in range(m)
        for j in range(n + 1)
    )


def log_density(a: Array, b: Array, y: Array) -> Array:
    """log p(y), by its distance from its largest value: of large concentrations, the parts of the formula are so, too.

    Source: Loader (2000), Fast and accurate computation of binomial probabilities.
    """
    is_second = np.less(b, a)
    total, least = a + b, np.where(is_second, b, a)  # np.minimum would share the gradient where both are equal
    t = np.where(is_second, -1, 1) * (y - np.log(a / b))
    share, is_near = least / total, np.less(np.abs(t), 1)
    near = np.log1p(share * np.expm1(np.where(is_near, t, 0)))
    far = np.logaddexp(np.log1p(-share), np.where(is_near, 0, t) + np.log(share))
    normaliser = stirling_error(total) - stirling_error(a) - stirling_error(b)
    peak = 0.5 * (np.log(a) + np.log(b) - np.log(total) - log(2 * pi)) + normaliser
    return peak + least * t - total * np.where(is_near, near, far)


def tail(a: Array, b: Array, y: Array, m: int, n: int) -> Array:
    """The integral of a Bell polynomial times p above y, or minus the integral below y, divided by p(y)."""
    upper = np.greater(y, np.log(a / b))
    log_x, log_rest = -softplus(-y), -softplus(y)
    outward = np.where(upper, y, -y)
    share, log_share, log_others = sigmoid(outward), -softplus(-outward), -softplus(outward)

    def growth(share: Array, log_share: Array, log_others: Array, t: Array) -> Array:
        """log (1 - s + s eᵗ), the difference of softplus at a distance of t, for a share s."""
        grown = np.log1p(share * np.expm1(np.minimum(t, 500)))
        return grown if everywhere(t < 500) else np.where(np.less(t, 1), grown, np.logaddexp(log_others, t + log_share))

    # p(y ± t) / p(y) = exp(c t - (a + b) growth(t)), where c is a above and b below. The quadrature ends where that is
    # e⁻⁴⁰, found by Newton's steps from beyond
    c, other = np.where(upper, a, b), np.where(upper, b, a)
    end = (40 - (a + b) * log_share) / other
    for _ in range(15):
        above = c * end - (a + b) * growth(share, log_share, log_others, end) + 40
        step = above / (c - (a + b) * sigmoid(outward + end))
        end = end - step
        if everywhere(step <= 0.01 * end):
            break
    column = slice(None), None
    t = end[column] * _NODES
    grown = growth(share[column], log_share[column], log_others[column], t)
    rest = t - grown
    log_x_change = np.where(upper[column], rest, -grown)
    log_rest_change = np.where(upper[column], -grown, rest)
    density = np.exp(a[column] * log_x_change + b[column] * log_rest_change)
    if m + n:
        logarithms = log_x[column] + log_x_change, log_rest[column] + log_rest_change
        density = density * _bell(_arguments(a[column], b[column], *logarithms, m + n), m, n)
    return np.where(upper, end, -end) * (density @ _WEIGHTS)


def area(a: Array, b: Array, y: Array) -> Array:
    """The probability above y, or minus the probability below."""
    return np.exp(log_density(a, b, y)) * tail(a, b, y, 0, 0)


def cdf(a: Array, b: Array, y: Array) -> Array:
    """The distribution function at y."""
    return below(area(a, b, y), y)


def _beta_flow(a: Array, b: Array, y: Array, orders: tuple[int, int]) -> Array:
    return in_pieces(lambda a, b, y: tail(a, b, y, *orders), a, b, y)


def _by_concentration(i: int) -> Any:
    def derivative(v: Array, a: Array, b: Array, y: Array, orders: tuple[int, int]) -> Array:
        m, n = orders
        first = _arguments(a, b, -softplus(-y), -softplus(y), 1)[1 - i, i]
        return beta_flow(a, b, y, orders=(m + 1 - i, n + i)) - first * v

    return derivative


def _by_y(v: Array, a: Array, b: Array, y: Array, orders: tuple[int, int]) -> Array:
    return ((a + b) * sigmoid(y) - a) * v - _bell(_arguments(a, b, -softplus(-y), -softplus(y), sum(orders)), *orders)


# ∓∂F / p, where F is the distribution function and ∂ are derivatives of these orders in a and b; for one of order 1 it
# is the derivative of the quantile
beta_flow: Op = elementwise(
    _beta_flow,
    _by_concentration(0),
    _by_concentration(1),
    _by_y,
    domain=(POSITIVE, POSITIVE, REAL),
    on_complex=not_continued,
    examples=[([(2, 3), (2, 3), (2, 3)], {"orders": orders}) for orders in ((1, 0), (0, 1), (1, 1))],
)
