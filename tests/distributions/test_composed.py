"""Mixtures, transformed distributions and the negative binomial, in every mode of the library."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.distributions.composed import COMPOSED, MEANS, RATES, SCALES, WEIGHTS, Made
from tinygrad_lite import distributions as D
from tinygrad_lite.errors import InputError, ShapeError, UsageError

stats = pytest.importorskip("scipy.stats", reason="SciPy comes with the extra `examples`")

each = pytest.mark.parametrize(("make", "parameters"), COMPOSED.values(), ids=COMPOSED)


@each
def test_samples_have_the_shapes_and_moments(make: Made, parameters: Any) -> None:
    p = make(D, *parameters)
    for draw in [p.sample] + [p.rsample] * p.has_rsample:
        x = draw((2, 1000), rng=0)
        assert x.shape == (2, 1000, *p.batch_shape, *p.event_shape)
        np.testing.assert_array_equal(x, draw((2, 1000), rng=0))
        leaves = [tg.tensor(x, requires_grad=True) for x in parameters]
        follows = getattr(make(D, *leaves), draw.__name__)(rng=0)
        assert (isinstance(follows, tg.Tensor) and follows.requires_grad) == (draw.__name__ == "rsample")
        if isinstance(p, (D.LKJCholesky, D.TransformedDistribution, D.RelaxedBernoulli, D.RelaxedOneHotCategorical)):
            continue
        assert np.all(np.abs(np.mean(x, axis=(0, 1)) - p.mean) <= 5 * p.stddev / np.sqrt(2000))
        np.testing.assert_allclose(np.var(x, axis=(0, 1)), p.variance, rtol=0.3)
    shape = (3, *p.batch_shape)
    np.testing.assert_allclose(p.expand(shape).log_prob(x[0, 0]), np.broadcast_to(p.log_prob(x[0, 0]), shape))


@each
def test_the_density_is_the_slope_of_the_cdf(make: Made, parameters: Any) -> None:
    p = make(D, *parameters)
    x = p.sample((4,), rng=1)
    if p.event_shape or np.all(x == np.floor(x)):  # vectors or counts
        with pytest.raises(UsageError, match="has no cdf"):
            p.cdf(x)
        return
    slope = tg.grad(lambda x: np.sum(p.cdf(x)))(x)
    np.testing.assert_allclose(np.exp(p.log_prob(x)), np.abs(slope), rtol=1e-8)
    if isinstance(p, (D.TransformedDistribution, D.RelaxedBernoulli)):
        np.testing.assert_allclose(p.icdf(p.cdf(x)), x, rtol=1e-7)


@pytest.mark.long
@each
def test_gradients_to_second_order(make: Made, parameters: Any) -> None:
    x = make(D, *parameters).sample((2,), rng=2)

    def f(*parameters: Any) -> Any:
        p = make(D, *parameters)
        return np.mean(p.log_prob(x)) + (np.mean(np.tanh(p.rsample((2,), rng=1))) if p.has_rsample else 0.0)

    tg.gradcheck(f, *parameters)
    tg.gradcheck(f, *parameters, order=2)


@pytest.mark.long
@each
def test_float32_stays_float32_and_compiles(make: Made, parameters: Any) -> None:
    narrow = [np.float32(x) for x in parameters]
    x = make(D, *narrow).sample((2,), rng=0)
    assert x.dtype == np.float32
    log_prob = make(D, *narrow).log_prob(x)
    assert log_prob.dtype == np.float32
    compiled = tg.compile(lambda x, *parameters: make(D, *parameters).log_prob(x))
    for _ in range(2):
        np.testing.assert_allclose(compiled(x, *narrow), log_prob, rtol=1e-5, atol=1e-5)


def test_the_negative_binomial_is_that_of_scipy() -> None:
    n, k = 3 * SCALES, np.arange(5.0)[:, None, None]
    p, q = D.NegativeBinomial(n, probs=RATES), stats.nbinom(n, 1 - RATES)
    np.testing.assert_allclose(p.log_prob(k), q.logpmf(k), rtol=1e-12)
    np.testing.assert_allclose([p.mean, p.variance], [q.mean(), q.var()], rtol=1e-12)
    np.testing.assert_array_equal(np.exp(D.NegativeBinomial(0.0, 0.3).log_prob(np.arange(3.0))), [1, 0, 0])


def test_relaxed_draws_are_those_of_what_they_relax() -> None:
    """The largest entry is the class, at every temperature; a temperature of one entry adds no axis."""
    for temperature in (0.05, 3.0, np.array([0.7])):
        classes = D.RelaxedOneHotCategorical(temperature, probs=WEIGHTS)
        events = D.RelaxedBernoulli(temperature, probs=RATES[:2])
        assert (classes.batch_shape, classes.event_shape, events.batch_shape) == ((2,), (3,), (2,))
        x = classes.sample(2000, rng=0)
        largest = np.equal(x, np.max(x, axis=-1, keepdims=True))
        np.testing.assert_allclose(np.mean(largest, axis=0), WEIGHTS / WEIGHTS.sum(-1, keepdims=True), atol=0.05)
        np.testing.assert_allclose(np.mean(events.sample(2000, rng=0) > 0.5, axis=0), RATES[:2], atol=0.05)


def test_relaxed_densities_are_finite_where_a_value_was_rounded() -> None:
    for dtype in (np.float32, np.float64):
        tiny, eps = np.finfo(dtype).tiny, np.finfo(dtype).eps
        events, classes = (
            D.RelaxedBernoulli(dtype(0.5), probs=dtype(0.3)),
            D.RelaxedOneHotCategorical(dtype(0.5), probs=RATES.astype(dtype)),
        )
        found = events.log_prob(np.array([0, 1], dtype))
        np.testing.assert_array_equal(found, events.log_prob(np.array([tiny, 1 - eps], dtype)))
        corner = classes.log_prob(np.array([0, 1, 0], dtype))
        assert np.isfinite(found).all()
        assert corner == classes.log_prob(np.array([tiny, 1, tiny], dtype))
        assert np.isfinite(corner)


def test_transforms_give_the_distributions_that_they_stand_for() -> None:
    a, b, x = 1.5, 0.7, np.array([0.2, 0.6, 0.9])
    powers = [D.PowerTransform(1 / b), D.AffineTransform(1, -1), D.PowerTransform(1 / a)]
    made = {
        D.Pareto(b, a): (D.Exponential(a), [D.ExpTransform(), D.AffineTransform(0, b)]),
        D.Weibull(b, a): (D.Exponential(1.0), [D.PowerTransform(1 / a), D.AffineTransform(0, b)]),
        D.InverseGamma(a, b): (D.Gamma(a, b), D.PowerTransform(-1.0)),
        D.Kumaraswamy(a, b): (D.Uniform(0.0, 1.0), powers),
    }
    for p, parts in made.items():
        at = x + b if isinstance(p, D.Pareto) else x
        for method in ("log_prob", "cdf"):
            found, expected = getattr(p, method)(at), getattr(D.TransformedDistribution(*parts), method)(at)
            np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=str(p))


def test_transforms_are_where_pytorch_has_them() -> None:
    from tinygrad_lite.distributions import transforms

    assert all(getattr(D, name) is getattr(transforms, name) for name in transforms.__all__)
    with pytest.raises(AttributeError, match=r"'AbsTransform': write a subclass of distributions\.Transform"):
        transforms.AbsTransform


def test_a_map_to_a_support_makes_values_of_it() -> None:
    x = np.random.default_rng(0).normal(size=(5, 3))
    laplace = D.Laplace(np.zeros((5, 3)), 1.0)
    for p in (
        D.Independent(D.Uniform(np.array([-1.0, 0.0, 2.0]), 3.0), 1),
        D.Pareto(np.array([1.0, 2.0, 3.0]), 1.0),
        D.GeneralizedPareto(1.0, 2.0, np.array([0.0, 0.5, 1.0])),
        D.GeneralizedPareto(1.0, 2.0, np.array([-0.1, -0.5, -1.0])),
        D.LKJCholesky(3),
        D.Dirichlet(np.ones(4)),
        D.MultivariateNormal(np.zeros(3), np.eye(3)),
        D.TransformedDistribution(laplace, D.TanhTransform()),
    ):
        transform = D.biject_to(p.support)
        y = transform(x)
        assert np.all(np.isfinite(p.log_prob(y)))
        np.testing.assert_allclose(transform.inv(y), x, rtol=1e-8)


def test_maps_to_matrices_are_one_to_one() -> None:
    x = np.random.default_rng(0).normal(size=(4, 6))
    factor = D.CorrCholeskyTransform()(x)
    assert np.all(D.constraints.corr_cholesky.holds(factor))
    np.testing.assert_allclose(D.CorrCholeskyTransform().inv(factor), x, rtol=1e-10)
    matrix = np.tril(np.random.default_rng(1).normal(size=(4, 3, 3)))
    for transform in (D.LowerCholeskyTransform(), D.PositiveDefiniteTransform()):
        y = transform(matrix)
        assert np.all(transform.codomain.holds(y))
        np.testing.assert_allclose(transform.inv(y), matrix, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(D.StickBreakingTransform()(np.zeros((2, 3))), 0.25, rtol=1e-14)
    np.testing.assert_allclose(D.StickBreakingTransform()([0, 0, 0]), 0.25, rtol=1e-14)


class Turned(D.Transform):
    """A map of vectors: their entries times those of a triangle."""

    domain = codomain = D.constraints.real_vector

    def __init__(self, lower: Any) -> None:
        self.lower = lower

    def _call(self, x: Any) -> Any:
        return x @ self.lower.T

    def _inverse(self, y: Any) -> Any:
        return np.linalg.solve(self.lower, y[..., None])[..., 0]

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return np.sum(np.log(np.diagonal(self.lower))) + np.zeros(x.shape[:-1])


def test_a_map_of_vectors_takes_an_axis_of_the_batch() -> None:
    lower = np.array([[1.0, 0, 0], [0.5, 2.0, 0], [-1.0, 0.3, 0.7]])
    for transforms in (Turned(lower), [Turned(lower)], D.ComposeTransform([Turned(lower)])):
        p = D.TransformedDistribution(D.Normal(np.zeros((4, 3)), 1.0), transforms)
        assert (p.batch_shape, p.event_shape) == ((4,), (3,))
        q = D.MultivariateNormal(np.zeros(3), scale_tril=lower)
        np.testing.assert_allclose(p.log_prob(MEANS[0]), np.broadcast_to(q.log_prob(MEANS[0]), 4))
    p = D.TransformedDistribution(D.Normal(np.zeros((4, 3)), 1.0), [Turned(lower), D.ExpTransform()])
    x = MEANS[0]
    np.testing.assert_allclose(p.log_prob(np.exp(x)), np.broadcast_to(q.log_prob(x) - np.sum(x), 4))


BAD: list[tuple[Any, type, str]] = [
    (
        lambda: D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0)),
        UsageError,
        "must be a Categorical, got Norm",
    ),
    (
        lambda: D.MixtureSameFamily(D.Categorical(np.ones(2)), D.Normal(np.zeros(3), 1.0)),
        ShapeError,
        r"components of batch \(3,\) and probabilities of shape \(2,\)",
    ),
    (
        lambda: D.MixtureSameFamily(D.Categorical(np.ones((4, 3))), D.Normal(np.zeros((2, 3)), 1.0)),
        ShapeError,
        "the mixture's batch must broadcast",
    ),
    (
        lambda: D.MixtureSameFamily(D.Categorical(np.ones(2)), D.Poisson(np.ones(2))).log_prob(0.5),
        InputError,
        "MixtureSameFamily: a value must be a whole number",
    ),
    (
        lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), np.exp),
        UsageError,
        r"such as ExpTransform\(\), got <ufunc",
    ),
    (
        lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), D.ExpTransform()).log_prob(-1.0),
        InputError,
        "a value must be positive, got -1",
    ),
    (lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), D.Transform()).sample(), UsageError, "defines no _call"),
    (lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), D.ExpTransform()).mean, UsageError, "has no mean"),
    (
        lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), D.StickBreakingTransform()),
        ShapeError,
        r"need values of 1 axes, got a batch of shape \(\) of values of shape \(\)",
    ),
    (
        lambda: D.CorrCholeskyTransform()(np.zeros(2)),
        ShapeError,
        r"vectors of n \(n - 1\) / 2 numbers, got shape \(2,\)",
    ),
    (lambda: D.ReshapeTransform((2, 3), (5,)), InputError, r"\(2, 3\) and \(5,\) have different numbers of entries"),
    (lambda: D.ReshapeTransform((2, 3), (6,))(np.zeros((3, 2))), ShapeError, r"values of shape \(2, 3\), got \(3, 2\)"),
    (lambda: D.StickBreakingTransform()(1.0), ShapeError, r"needs x of at least 1 axes, got shape \(\)"),
    (lambda: D.LowerCholeskyTransform()(np.zeros((2, 3))), ShapeError, r"square matrices, got shape \(2, 3\)"),
    *(
        (make, UsageError, "has no setting cache_size=1: write nothing")
        for make in (lambda: D.TanhTransform(cache_size=1), lambda: D.AffineTransform(0.0, 1.0, cache_size=1))
    ),
    *(
        (lambda make=make: make(probs=0.5, other=1), TypeError, "unexpected keyword argument 'other'; it takes")
        for make in (D.Bernoulli, D.Categorical, D.ContinuousBernoulli)
    ),
    *(
        (lambda p=p: D.biject_to(p.support), UsageError, f"biject_to knows no map to what must be {words}")
        for p, words in (
            (D.Poisson(1.0), "a whole number of at least 0"),
            (D.Wishart(3.0, np.eye(2)), "a positive definite matrix"),
            (D.GeneralizedPareto(0.0, 1.0, np.array([-0.5, 0.5])), "at least loc"),
        )
    ),
    (lambda: D.IndependentTransform(np.exp, 1), UsageError, "made of a transform, got <ufunc 'exp'>"),
    (lambda: D.CumulativeDistributionTransform(np.exp), UsageError, "made of a distribution"),
    (lambda: D.NegativeBinomial(-1.0, 0.5), InputError, "total_count must be at least 0"),
    (lambda: D.NegativeBinomial(1.0, 1.0), InputError, "1 - probs must be positive"),
]


@pytest.mark.parametrize(("attempt", "kind", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_input_is_refused(attempt: Any, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()
