"""Distributions made of others, and those without an entropy or moments, each of arrays: what the tests loop over.

Each is a function of a module with the names of distributions, ours or PyTorch's, and of the parameters.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

_rng = np.random.default_rng(7)
MEANS, SCALES = _rng.normal(size=(2, 3)), _rng.gamma(4.0, size=(2, 3)) / 4
WEIGHTS, RATES = _rng.uniform(0.2, 0.8, (2, 3)), _rng.uniform(0.2, 0.8, 3)

Made = Callable[..., Any]


def _transformed(*transforms: Callable[[Any], Any]) -> Made:
    return lambda d, *x: d.TransformedDistribution(d.Normal(*x), [f(d) for f in transforms])


def _mixture(components: Made) -> Made:
    return lambda d, w, *x: d.MixtureSameFamily(d.Categorical(probs=w), components(d, *x))


# the distribution, and its parameters
COMPOSED: dict[str, tuple[Made, tuple[Any, ...]]] = {
    "negative binomial": (lambda d, n, p: d.NegativeBinomial(n, probs=p), (3 * SCALES, RATES)),
    "negative binomial of logits": (lambda d, n, x: d.NegativeBinomial(n, logits=x), (SCALES, MEANS)),
    "relaxed Bernoulli": (lambda d, t, p: d.RelaxedBernoulli(t, probs=p), (SCALES[0, 0], WEIGHTS)),
    "relaxed Bernoulli of logits": (lambda d, t, x: d.RelaxedBernoulli(t, logits=x), (SCALES[:1, 0], MEANS)),
    "relaxed classes": (lambda d, t, p: d.RelaxedOneHotCategorical(t, probs=p), (SCALES[0, 0], WEIGHTS)),
    "relaxed classes of logits": (lambda d, t, x: d.RelaxedOneHotCategorical(t, logits=x), (SCALES[0, 1], MEANS)),
    "mixture of normals": (_mixture(lambda d, *x: d.Normal(*x)), (WEIGHTS, MEANS, SCALES)),
    "mixture of rates": (_mixture(lambda d, x: d.Poisson(x)), (WEIGHTS, SCALES)),
    "mixture of one batch": (_mixture(lambda d, *x: d.Laplace(*x)), (RATES, MEANS, SCALES)),
    "mixture of vectors": (
        _mixture(lambda d, *x: d.Independent(d.Normal(*x), 1)),
        (WEIGHTS[0], MEANS.T.copy(), SCALES.T.copy()),
    ),
    "factors of correlations": (lambda d, x: d.LKJCholesky(4, x), (SCALES,)),
    "affine": (_transformed(lambda d: d.AffineTransform(0.5, -2.0)), (MEANS, SCALES)),
    "exp": (_transformed(lambda d: d.ExpTransform()), (MEANS, SCALES)),
    "sigmoid, affine": (
        _transformed(lambda d: d.SigmoidTransform(), lambda d: d.AffineTransform(1, 3)),
        (MEANS, RATES),
    ),
    "tanh": (_transformed(lambda d: d.TanhTransform()), (MEANS, RATES)),
    "softplus, power": (
        _transformed(lambda d: d.SoftplusTransform(), lambda d: d.PowerTransform(-2.0)),
        (MEANS, RATES),
    ),
    "inverse": (_transformed(lambda d: d.ComposeTransform([d.SoftplusTransform().inv.inv])), (MEANS, RATES)),
    "probabilities": (lambda d, *x: d.LogisticNormal(*x), (MEANS, SCALES)),
    "broken sticks": (
        lambda d, *x: d.TransformedDistribution(
            d.Normal(*x), [d.AffineTransform(0.5, 2.0), d.StickBreakingTransform(), d.AffineTransform(0.0, 3.0)]
        ),
        (MEANS, SCALES),
    ),
    "correlations": (_transformed(lambda d: d.CorrCholeskyTransform()), (MEANS / 2, RATES)),
    "from correlations": (
        lambda d, *x: d.TransformedDistribution(
            d.Normal(*x), [d.CorrCholeskyTransform(), d.CorrCholeskyTransform().inv, d.TanhTransform()]
        ),
        (MEANS, RATES),
    ),
    "in another shape": (
        lambda d, *x: d.TransformedDistribution(d.Normal(*x), [d.ReshapeTransform((3,), (1, 3)), d.ExpTransform()]),
        (MEANS, SCALES),
    ),
    "independent parts": (_transformed(lambda d: d.IndependentTransform(d.ExpTransform(), 1)), (MEANS, SCALES)),
    "ranks": (
        lambda d, a, b, *x: d.TransformedDistribution(d.Normal(*x), d.CumulativeDistributionTransform(d.Normal(a, b))),
        (MEANS[0], SCALES[0], MEANS, SCALES),
    ),
    "affine by parameters": (
        lambda d, loc, scale, a, b: d.TransformedDistribution(d.Laplace(loc, scale), d.AffineTransform(a, b)),
        (MEANS[0, 0], SCALES[0, 0], MEANS, SCALES),
    ),
    "of vectors": (
        lambda d, *x: d.TransformedDistribution(d.Independent(d.Normal(*x), 1), [d.ExpTransform()]),
        (MEANS, SCALES),
    ),
}
