"""The quantiles that samples of Gamma and Beta are, of tiny concentrations and of large ones."""

import numpy as np
import pytest

from tinygrad_lite.distributions.beta_quantile import logit_beta_quantile
from tinygrad_lite.distributions.gamma_quantile import log_gamma_quantile
from tinygrad_lite.ops.beta_tail import beta_flow
from tinygrad_lite.ops.gamma_tail import gamma_flow

special = pytest.importorskip("scipy.special", reason="SciPy comes with the extra `examples`")
mpmath = pytest.importorskip("mpmath")

Z = np.linspace(-6, 6, 25)
CONCENTRATIONS = [1e-2, 0.3, 1.0, 2.5, 40.0, 1e4]


def tolerance(*concentrations: float) -> float:
    """Large ones leave a distribution function fewer digits, since the logarithm of its density is large."""
    return 5e-12 if max(concentrations) < 100 else 1e-9


@pytest.mark.parametrize("a", CONCENTRATIONS)
def test_gamma_quantiles_have_their_ranks(a: float) -> None:
    x = np.exp(log_gamma_quantile(a, Z))
    tail = np.where(Z < 0, special.gammainc(a, x), special.gammaincc(a, x))
    inside = (x > 1e-300) & (special.ndtr(-np.abs(Z)) > 0)
    np.testing.assert_allclose(tail[inside], special.ndtr(-np.abs(Z))[inside], rtol=tolerance(a))


@pytest.mark.parametrize("a", CONCENTRATIONS)
@pytest.mark.parametrize("b", CONCENTRATIONS)
def test_beta_quantiles_have_their_ranks(a: float, b: float) -> None:
    y = logit_beta_quantile(a, b, Z)
    x, rest = special.expit(y), special.expit(-y)
    below = np.where(y < 0, special.betainc(a, b, x), special.betaincc(b, a, rest))
    above = np.where(y < 0, special.betaincc(a, b, x), special.betainc(b, a, rest))
    inside = np.abs(y) < 600
    tail = np.where(Z < 0, below, above)
    np.testing.assert_allclose(tail[inside], special.ndtr(-np.abs(Z))[inside], rtol=tolerance(a, b))


@pytest.mark.parametrize("a", CONCENTRATIONS[1:-1])
def test_derivatives_with_respect_to_concentrations_have_twelve_digits(a: float) -> None:
    with mpmath.workdps(40):
        for y in log_gamma_quantile(a, Z[6:-6:4]):
            x = mpmath.exp(mpmath.mpf(float(y)))
            slope = mpmath.diff(lambda a, x=x: mpmath.gammainc(a, 0, x, regularized=True), a)
            density = mpmath.exp(a * mpmath.log(x) - x) / mpmath.gamma(a)
            np.testing.assert_allclose(gamma_flow(a, y, order=1), float(-slope / density), rtol=1e-12)
        for b in (0.7, 3.0):
            for y in logit_beta_quantile(a, b, Z[6:-6:4]):
                x = 1 / (1 + mpmath.exp(-mpmath.mpf(float(y))))
                density = x**a * (1 - x) ** b / mpmath.beta(a, b)
                for i, orders in enumerate(((1, 0), (0, 1))):

                    def rank(c: float, x: float = x, i: int = i, b: float = b) -> float:
                        first, second = (c, b) if i == 0 else (a, c)
                        return mpmath.betainc(first, second, 0, x, regularized=True)

                    slope = mpmath.diff(rank, (a, b)[i])
                    found = beta_flow(a, b, y, orders=orders)
                    np.testing.assert_allclose(found, float(-slope / density), rtol=1e-12)
