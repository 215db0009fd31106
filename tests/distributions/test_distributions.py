"""Distributions against scipy.stats, differences and numerical integrals, in every mode of the library."""

import importlib
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.distributions.samples import IDS, SAMPLES, Parameters, differentiable, made
from tinygrad_lite import distributions as D
from tinygrad_lite.distributions.gammas import log_half_step
from tinygrad_lite.distributions.poisson_mean import mean_log_factorial
from tinygrad_lite.errors import InputError, MatrixError, ShapeError, TinygradWarning, UsageError

stats = pytest.importorskip("scipy.stats", reason="SciPy comes with the extra `examples`")
integrate = pytest.importorskip("scipy.integrate")
special = pytest.importorskip("scipy.special")

THEIRS: dict[str, Any] = {
    "Normal": lambda d: stats.norm(d.loc, d.scale),
    "Laplace": lambda d: stats.laplace(d.loc, d.scale),
    "Cauchy": lambda d: stats.cauchy(d.loc, d.scale),
    "Gumbel": lambda d: stats.gumbel_r(d.loc, d.scale),
    "LogNormal": lambda d: stats.lognorm(d.scale, scale=np.exp(d.loc)),
    "HalfNormal": lambda d: stats.halfnorm(scale=d.scale),
    "HalfCauchy": lambda d: stats.halfcauchy(scale=d.scale),
    "Exponential": lambda d: stats.expon(scale=1 / d.rate),
    "Uniform": lambda d: stats.uniform(d.low, d.high - d.low),
    "Gamma": lambda d: stats.gamma(d.concentration, scale=1 / d.rate),
    "Chi2": lambda d: stats.chi2(d.df),
    "Beta": lambda d: stats.beta(d.concentration1, d.concentration0),
    "VonMises": lambda d: stats.vonmises(d.concentration, d.loc),
    "StudentT": lambda d: stats.t(d.df, d.loc, d.scale),
    "InverseGamma": lambda d: stats.invgamma(d.concentration, scale=d.rate),
    "FisherSnedecor": lambda d: stats.f(d.df1, d.df2),
    "Pareto": lambda d: stats.pareto(d.alpha, scale=d.scale),
    "Weibull": lambda d: stats.weibull_min(d.concentration, scale=d.scale),
    "GeneralizedPareto": lambda d: stats.genpareto(d.concentration, d.loc, d.scale),
    "Bernoulli": lambda d: stats.bernoulli(d.probs),
    "Geometric": lambda d: stats.geom(d.probs, -1),
    "Binomial": lambda d: stats.binom(d.total_count, d.probs),
    "Poisson": lambda d: stats.poisson(d.rate),
}
OF_VECTORS: dict[str, Any] = {
    "Dirichlet": lambda d, n: [stats.dirichlet(a) for a in d.concentration.reshape(-1, n)],
    "Multinomial": lambda d, n: [stats.multinomial(d.total_count, p) for p in d.probs.reshape(-1, n)],
    "OneHotCategorical": lambda d, n: [stats.multinomial(1, p) for p in d.probs.reshape(-1, n)],
    "OneHotCategoricalStraightThrough": lambda d, n: [stats.multinomial(1, p) for p in d.probs.reshape(-1, n)],
    "MultivariateNormal": lambda d, n: [
        stats.multivariate_normal(mean, covariance)
        for mean, covariance in zip(d.loc.reshape(-1, n), d.covariance_matrix.reshape(-1, n, n))
    ],
    "Wishart": lambda d, n: [
        stats.wishart(df, covariance) for df, covariance in zip(d.df.ravel(), d.covariance_matrix.reshape(-1, n, n))
    ],
}
OF_VECTORS["LowRankMultivariateNormal"] = OF_VECTORS["MultivariateNormal"]


NOT_IN_SCIPY = ("ContinuousBernoulli", "Kumaraswamy")


def settings(every: int, first: int = 0) -> Any:
    """A decorator that runs a test with each of the samples; of them, one in `every` always, the others when slow."""
    return pytest.mark.parametrize(
        ("name", "parameters", "value"),
        [
            pytest.param(*sample, id=name, marks=[] if i % every == first else pytest.mark.slow)
            for i, (sample, name) in enumerate(zip(SAMPLES, IDS))
        ],
    )


def close(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@settings(every=1)
def test_values_are_those_of_scipy(name: str, parameters: Parameters, value: Any) -> None:
    ours = made(name, parameters)
    if name == "Categorical":
        p = np.broadcast_to(ours.probs, (*value.shape, ours.probs.shape[-1]))
        close(ours.log_prob(value), np.log(np.take_along_axis(p, value[..., None], -1)[..., 0]))
        return
    if name in OF_VECTORS:
        event = ours.event_shape
        sizes = value.shape[: -len(event)]
        ours = ours.expand(np.broadcast_shapes(ours.batch_shape, sizes[len(sizes) - len(ours.batch_shape) :]))
        theirs = OF_VECTORS[name](ours, event[0])
        values = np.broadcast_to(value, np.broadcast_shapes(value.shape, ours.batch_shape + event))
        rows = values.reshape(-1, len(theirs), *event)
        expected = [[(q.logpmf if hasattr(q, "logpmf") else q.logpdf)(x) for q, x in zip(theirs, row)] for row in rows]
        close(ours.log_prob(value).ravel(), np.ravel(expected))
        close(ours.entropy().ravel(), [q.entropy() for q in theirs], 1e-10)
        return
    if name in NOT_IN_SCIPY:
        close_to_integrals(ours, value)
        return
    theirs = THEIRS[name](ours)
    close(ours.log_prob(value), theirs.logpmf(value) if hasattr(theirs.dist, "logpmf") else theirs.logpdf(value))
    close(ours.entropy(), theirs.entropy(), 1e-10)
    if name not in ("Cauchy", "VonMises"):  # SciPy's moments of angles are those of numbers
        close(ours.mean, theirs.mean())
        close(ours.variance, theirs.var())
    ranks = np.linspace(0.1, 0.9, 3)[:, None, None]
    for method, expected, x in (("cdf", theirs.cdf, value), ("icdf", theirs.ppf, ranks)):
        try:
            found = getattr(ours, method)(x)
        except UsageError:
            continue
        close(found, expected(x))
        if method == "cdf" and np.all(np.isinf(theirs.support()[1])):
            far = ours.mean + 1e4 * ours.stddev if name != "Cauchy" else 1e20 + 0 * found
            close(ours.cdf(far), expected(far))


def close_to_integrals(p: Any, value: Any) -> None:
    """Integrals of a density from 0 to 1, by a formula that takes in a power at the ends."""
    t = np.linspace(-3, 3, 201)[(slice(None), *(None for _ in p.batch_shape))]
    x = 1 / (1 + np.exp(-np.pi * np.sinh(t)))
    weights = np.pi * np.cosh(t) * x * (1 - x) * (t[1] - t[0])
    log_p = p.log_prob(x)
    mean, square, log_mean = (np.sum(weights * np.exp(log_p) * f, axis=0) for f in (x, x * x, -log_p))
    for found, expected in ((p.mean, mean), (p.variance, square - mean**2), (p.entropy(), log_mean)):
        close(found, expected, 1e-10)
    close(np.exp(p.log_prob(value)), tg.grad(lambda x: np.sum(p.cdf(x)))(value))
    close(p.icdf(p.cdf(value)), value, 1e-10)


def test_formulas_keep_their_digits_where_numerator_and_denominator_are_zero() -> None:
    """At equal odds, the numbers are uniform; at a concentration of 0, exponential."""
    logits, x = (
        np.array([-8.0, -0.9, -1e-3, 0.0, 1e-9, 0.2, 1.1, 30.0]),
        np.linspace(0.1, 0.9, 3)[:, None] + np.zeros(8),
    )
    close_to_integrals(D.ContinuousBernoulli(logits=logits), x)
    p = D.ContinuousBernoulli(logits=np.array([-1000.0, 1000.0]))
    close(p.log_prob(np.array([0.0, 1.0])), np.log(1000))
    close(p.icdf(np.array([0.25, 0.75])), np.array([0, 1]) - np.log(0.75) * np.array([1, -1]) / 1000)
    p = D.GeneralizedPareto(0.0, 2.0, 0.0)
    close(p.log_prob(x), stats.expon(scale=2.0).logpdf(x))
    close(tg.grad(lambda c: D.GeneralizedPareto(0.0, 2.0, c).log_prob(3.0))(0.0), 1.5**2 / 2 - 1.5)

    def f(logits: Any, concentration: Any) -> Any:
        p, q = D.ContinuousBernoulli(logits=logits), D.GeneralizedPareto(0.0, 1.0, concentration)
        return np.sum(p.mean + p.variance + p.entropy() + p.cdf(0.3) + p.icdf(0.3)) + np.sum(q.cdf(0.4) + q.icdf(0.4))

    tg.gradcheck(f, logits[1:6], np.array([-0.2, -0.09, 0.0, 0.2]), order=2)


def test_values_may_be_lists() -> None:
    for p in (D.Weibull(2.0, 1.5), D.Pareto(0.1, 1.5), D.InverseGamma(2.0, 1.5), D.Kumaraswamy(2.0, 1.5)):
        for method in (p.log_prob, p.cdf):
            close(method([0.25, 0.5]), method(np.array([0.25, 0.5])))  # type: ignore[arg-type]
    assert repr(D.LogisticNormal(np.zeros(2), 1.0)) == "LogisticNormal(loc: (2,), scale: (2,))"


def test_moments_that_are_infinite() -> None:
    for p in (D.Pareto(1.0, 1.0), D.InverseGamma(1.0, 1.0), D.GeneralizedPareto(0.0, 1.0, 1.0)):
        for moment in (p.mean, p.variance):
            assert moment == np.inf
    assert np.isnan([D.FisherSnedecor(2.0, 2.0).mean, D.FisherSnedecor(2.0, 4.0).variance]).all()
    assert (D.Weibull(2.0, 0.5).mode, D.Kumaraswamy(2.0, 3.0).mode) == (0, np.sqrt(1 / 5))


@settings(every=1)
def test_samples_have_the_shapes_and_moments(name: str, parameters: Parameters, value: Any) -> None:
    p = made(name, parameters)
    for draw in [p.sample] + [p.rsample] * p.has_rsample:
        x = draw((2, 500), rng=0)
        assert x.shape == (2, 500, *p.batch_shape, *p.event_shape)
        p.log_prob(x)  # which refuses what the distribution does not have
        np.testing.assert_array_equal(x, draw((2, 500), rng=0))
        np.testing.assert_array_equal(draw(3, rng=0), draw(np.int64(3), rng=0))
        if name not in ("Cauchy", "Categorical", "VonMises"):
            assert np.all(np.abs(np.mean(x, axis=(0, 1)) - p.mean) <= 5 * p.stddev / np.sqrt(1000))
        # the mean of -log p(x) is the entropy
        information = -p.log_prob(x)
        deviation = np.std(information, axis=(0, 1)) / np.sqrt(1000)
        assert np.all(np.abs(np.mean(information, axis=(0, 1)) - p.entropy()) <= 5 * deviation + 1e-12)


def test_a_wishart_distribution_of_numbers_is_a_gamma_distribution() -> None:
    def divergence(df: Any, scale: Any) -> Any:
        p, q = (D.Wishart(df[i], scale_tril=scale[i, None, None]) for i in (0, 1))
        return D.kl_divergence(p, q)

    def of_gammas(df: Any, scale: Any) -> Any:
        p, q = (D.Gamma(df[i] / 2, 0.5 / scale[i] ** 2) for i in (0, 1))
        return D.kl_divergence(p, q)

    df, scale = np.array([2.5, 4.0]), np.array([0.7, 1.2])
    close(divergence(df, scale), of_gammas(df, scale))
    for found, expected in zip(*(tg.grad(f, (0, 1))(df, scale) for f in (divergence, of_gammas))):
        close(found, expected)


def test_correlations_have_the_beta_distribution_of_their_matrices() -> None:
    """From -1 to 1, with both concentrations η + n / 2 - 1; and the density of L integrates to 1."""
    n, concentration = 3, np.array([0.7, 4.0])
    p = D.LKJCholesky(n, concentration)
    factors = p.sample(2000, rng=0)
    close(np.sum(np.square(factors), axis=-1), 1)
    correlations = np.einsum("...ik,...jk->...ij", factors, factors)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        for k, eta in enumerate(concentration):
            beta = stats.beta(eta + n / 2 - 1, eta + n / 2 - 1, -1, 2)
            assert stats.kstest(correlations[:, k, i, j], beta.cdf).pvalue > 1e-3
    r = (np.arange(4000) + 0.5) / 2000 - 1
    factors = np.array([[1 + 0 * r, 0 * r], [r, np.sqrt(1 - r * r)]]).transpose(2, 0, 1)
    close(np.mean(2 * np.exp(D.LKJCholesky(2, 3.0).log_prob(factors))), 1, 1e-6)


@settings(every=3)
def test_samples_have_the_distribution(name: str, parameters: Parameters, value: Any) -> None:
    """By the test of Kolmogorov and Smirnov."""
    p = made(name, parameters)
    for draw in (p.sample, p.rsample) if p.has_rsample and name in THEIRS else ():
        ranks = THEIRS[name](p).cdf(draw((1000,), rng=3)).reshape(1000, -1)[:, 0]
        assert stats.kstest(ranks, "uniform").pvalue > 1e-3


def from_arrays(name: str, parameters: Parameters, *arrays: Any, **more: Any) -> Any:
    """The distribution with these arrays for the parameters that have a gradient."""
    kind: Any = getattr(D, name)
    return kind(**{**parameters, **dict(zip(differentiable(parameters), arrays)), **more})


@pytest.mark.long
@settings(every=14, first=3)
def test_gradients(name: str, parameters: Parameters, value: Any) -> None:
    """Of densities, entropies and samples, to second order, against differences."""

    def f(*arrays: Any) -> Any:
        p = from_arrays(name, parameters, *arrays, validate_args=False)  # differences leave the symmetric matrices
        parts = [np.mean(p.log_prob(value)), np.mean(p.entropy())]
        if p.has_rsample and not isinstance(p, D.OneHotCategoricalStraightThrough):  # whose gradient is a stand-in
            parts.append(np.mean(np.tanh(p.rsample((2,), rng=1))))
        return sum(parts)

    arrays = [np.asarray(parameters[key], float) for key in differentiable(parameters)]
    tg.gradcheck(f, *arrays)
    tg.gradcheck(f, *arrays, order=2)
    change = tg.jvp(f, tuple(arrays), tuple(arrays))[1]
    close(change, sum(np.sum(a * g) for a, g in zip(arrays, tg.grad(f, tuple(range(len(arrays))))(*arrays))))


def test_a_straight_through_sample_is_one_hot_and_has_the_gradient_of_the_probabilities() -> None:
    logits, weights = np.array([[0.3, -1.0, 0.5], [2.0, 0.0, 0.1]]), np.random.default_rng(0).normal(size=(4, 2, 3))

    def sample(logits: Any) -> Any:
        return D.OneHotCategoricalStraightThrough(logits=logits).rsample((4,), rng=1)

    close(sample(logits), D.OneHotCategorical(logits=logits).sample((4,), rng=1))
    expected = tg.grad(lambda x: np.sum(weights * tg.nn.functional.softmax(x)))(logits)
    close(tg.grad(lambda x: np.sum(weights * sample(x)))(logits), expected)
    close(
        tg.grad(lambda x: np.sum(weights * np.square(sample(x))))(logits),
        tg.grad(lambda x: np.sum(2 * weights * sample(logits) * tg.nn.functional.softmax(x)))(logits),
    )


AT_ONE: list[tuple[str, Parameters, Any]] = [
    ("Gamma", {"concentration": 1.0, "rate": 2.0}, 0.7),
    ("Beta", {"concentration1": 1.0, "concentration0": 1.0}, 0.3),
    ("Dirichlet", {"concentration": np.ones(3)}, np.array([0.2, 0.5, 0.3])),
    ("Chi2", {"df": 2.0}, 0.7),
    ("Poisson", {"rate": 1.0}, 0.0),
    ("Poisson", {"rate": 2.0}, 0.0),
    ("Geometric", {"probs": 0.25}, 0.0),
    ("Binomial", {"total_count": 3, "probs": 0.25}, 0.0),
    ("Multinomial", {"total_count": 3, "probs": np.array([0.2, 0.5, 0.3])}, np.array([0.0, 3.0, 0.0])),
]


@pytest.mark.long
@pytest.mark.parametrize(("name", "parameters", "value"), AT_ONE, ids=[name for name, *_ in AT_ONE])
def test_a_power_of_zero_has_the_slope_of_its_exponent(name: str, parameters: Parameters, value: Any) -> None:
    """Of x⁰, which is 1 for every x, the logarithm has by its exponent the slope log x: as at a concentration of 1."""

    def f(value: Any, *arrays: Any) -> Any:
        return np.sum(from_arrays(name, parameters, *arrays, validate_args=False).log_prob(value))

    arrays = [np.asarray(x, float) for x in (value, *(parameters[key] for key in differentiable(parameters)))]
    tg.gradcheck(f, *arrays)
    tg.gradcheck(f, *arrays, order=2)


@pytest.mark.parametrize(
    ("p", "value"),
    [
        (D.Poisson(0.0), 0.0),
        (D.Geometric(1.0), 0.0),
        (D.Multinomial(2, logits=np.array([-np.inf, 0.0])), np.array([0.0, 2.0])),
        (D.Gamma(1.0, 2.0), 0.0),
        (D.Beta(1.0, 1.0), 0.0),
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_power_of_zero_of_zero_is_one(p: D.Distribution, value: Any) -> None:
    close(np.exp(p.log_prob(value)), 2.0 if isinstance(p, D.Gamma) else 1.0)
    gradient = tg.grad(lambda value: np.sum(p.log_prob(value)))(value)
    assert np.all(np.isfinite(gradient))


@pytest.mark.long
@settings(every=14, first=1)
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_compiled_functions_draw_anew(name: str, parameters: Parameters, value: Any, backend: str) -> None:
    """With the parameters of the run, as the function itself does, and with the same gradients."""

    def f(rng: Any, *arrays: Any) -> Any:
        p = from_arrays(name, parameters, *arrays)
        x = p.rsample((3,), rng) if p.has_rsample else p.sample((3,), rng)
        return np.sum(p.log_prob(x)) + np.sum(p.entropy()), x

    compiled, generators = tg.compile(f, backend=backend), [np.random.default_rng(5) for _ in range(2)]
    for scale in (1.0, 0.75, 0.5):
        arrays = [np.asarray(parameters[key], float) * scale for key in differentiable(parameters)]
        outcomes = []
        for g, generator in zip((f, compiled), generators):
            leaves = [tg.tensor(x, requires_grad=True) for x in arrays]
            loss, x = g(generator, *leaves)
            (loss + np.sum(np.sin(x))).backward()
            outcomes.append([loss.numpy(), x.numpy(), *(leaf.grad.numpy() for leaf in leaves)])
        for found, expected in zip(*outcomes):
            close(found, expected, 1e-10)


@settings(every=2)
def test_float32_stays_float32(name: str, parameters: Parameters, value: Any) -> None:
    narrow = {key: np.asarray(x, np.float32) if key != "total_count" else x for key, x in parameters.items()}
    p = made(name, narrow)
    x = p.sample((2,), rng=0)
    assert x.dtype == (int if name == "Categorical" else np.float32)
    for result in (p.log_prob(x), p.log_prob(value.astype(np.float32)), p.entropy(), p.variance, p.mean):
        assert result.dtype == np.float32
    if p.has_rsample:
        assert p.rsample((2,), rng=0).dtype == np.float32
        arrays = [narrow[key] for key in differentiable(narrow)]
        assert (
            tg.grad(lambda *x: np.sum(from_arrays(name, narrow, *x).rsample((2,), rng=0)))(*arrays).dtype == np.float32
        )


NUMBERS = [sample for sample in SAMPLES if all(isinstance(x, (int, float)) for x in sample[1].values())]


@pytest.mark.parametrize(("name", "parameters", "value"), NUMBERS, ids=[name for name, *_ in NUMBERS])
def test_parameters_that_are_python_numbers_take_the_dtype_of_what_they_meet(
    name: str, parameters: Parameters, value: Any
) -> None:
    narrow = {key: np.asarray(x, np.float32) if key != "total_count" else x for key, x in parameters.items()}
    p, of_arrays = made(name, parameters), made(name, narrow)
    for q in (p, p.expand((2, 1))):
        assert (q.dtype, q.sample(rng=0).dtype, q.log_prob(q.sample(rng=0)).dtype) == (float, float, float)
        for method in ("log_prob", "cdf", "icdf"):
            x = np.float32([0.25, 0.5]) if method == "icdf" else value.astype(np.float32)[:2]
            try:
                found = getattr(q, method)(x)
            except UsageError:
                continue
            assert found.dtype == np.float32
            assert getattr(q, method)(tg.tensor(x)).dtype == np.float32
            np.testing.assert_array_equal(found, getattr(of_arrays.expand(q.batch_shape), method)(x))
        try:
            divergences = [D.kl_divergence(q, of_arrays), D.kl_divergence(of_arrays, q), D.kl_divergence(q, q)]
        except UsageError:
            continue
        assert [d.dtype for d in divergences] == [np.float32, np.float32, float]


def test_samples_are_constants_and_rsamples_are_not() -> None:
    def mean(draw: str) -> Any:
        return tg.grad(lambda loc: np.mean(getattr(D.Normal(loc, 1.0), draw)((5,), rng=0)))(np.array(2.0))

    assert mean("rsample") == 1
    with pytest.warns(TinygradWarning, match=r"draw by rsample\(\)"):
        assert mean("sample") == 0
    assert not D.Normal(tg.tensor(1.0, requires_grad=True), 1.0).sample(rng=0).requires_grad
    with pytest.raises(UsageError, match=r"Poisson has no rsample: use sample\(\), and log_prob for a gradient"):
        D.Poisson(2.0).rsample()


def test_independent_parts_are_one_value() -> None:
    inner, other = D.Normal(np.arange(6.0).reshape(2, 3), 2.0), D.Normal(np.zeros((2, 3)), 1.0)
    p, q = D.Independent(inner, 1), D.Independent(other, 1)
    assert (p.batch_shape, p.event_shape, p.expand((4, 2)).sample(rng=0).shape) == ((2,), (3,), (4, 2, 3))
    x = p.rsample((5,), rng=0)
    close(p.log_prob(x), np.sum(inner.log_prob(x), axis=-1))
    close(p.entropy(), np.sum(inner.entropy(), axis=-1))
    close(D.kl_divergence(p, q), np.sum(D.kl_divergence(inner, other), axis=-1))
    with pytest.raises(ShapeError, match="reinterpret the same number of axes, got reinterpreted_batch_ndims=1 and 2"):
        D.kl_divergence(p, D.Independent(other, 2))


def test_parts_of_one_value_are_not_enumerated_together() -> None:
    inner = D.Bernoulli(np.array([0.2, 0.3]))
    alone, together = D.Independent(inner, 0), D.Independent(inner, 1)
    close(alone.enumerate_support(), inner.enumerate_support())
    assert (alone.has_enumerate_support, together.has_enumerate_support) == (True, False)
    with pytest.raises(UsageError, match=r"does not list the combinations.*base_dist\.enumerate_support\(\)"):
        together.enumerate_support()
    with pytest.raises(UsageError, match="Normal has no enumerate_support"):
        D.Independent(D.Normal(np.zeros(2), 1.0), 1).enumerate_support()


def test_angles_have_the_moments_of_directions() -> None:
    p = D.VonMises(np.array([0.5, 3.0, -20.0]), np.array([0.01, 3.0, 900.0]))
    k = p.concentration
    close(p.variance, 1 - special.i1e(k) / special.i0e(k))
    x = p.sample(10_000, rng=0)
    assert np.all(np.abs(x) <= np.pi)
    for i in range(3):
        turned = (x[:, i] - p.loc[i] + np.pi) % (2 * np.pi) - np.pi
        assert stats.kstest(turned, stats.vonmises(k[i]).cdf).pvalue > 1e-3


def test_the_density_of_angles_where_the_formula_changes() -> None:
    """At a large κ, that of a normal distribution with the variance 1/κ, with all digits of what the two differ by."""
    for k in np.array([499.0, 500.0, 501.0, 1e4, 1e12]):
        exact = np.log(special.i0e(k))
        close(D.VonMises(0.0, k).log_prob(0.0), -np.log(2 * np.pi) - exact, 1e-14)
        close(D.VonMises(0.0, k).variance * 2 * k, 1 + 1 / (4 * k) + 1 / (4 * k**2) + 25 / (64 * k**3), 1e-10)
        tg.gradcheck(lambda k: np.sum(D.VonMises(0.0, k).log_prob(0.01)), k, order=2)


def test_logits_may_be_so_large_that_the_other_probability_rounds_to_zero() -> None:
    p, log_count = (
        D.NegativeBinomial(2.5, logits=50.0),
        special.gammaln(5.5) - special.gammaln(2.5) - special.gammaln(4),
    )
    close(p.log_prob(3.0), log_count - 2.5 * 50)
    close(tg.grad(lambda z: D.NegativeBinomial(2.5, logits=z).log_prob(3.0))(50.0), -2.5)
    with pytest.raises(InputError, match="1 - probs must be positive"):
        D.NegativeBinomial(2.5, probs=1.0)


BAD = [
    (lambda: D.Normal(0.0, np.array([1.0, -2.0])), InputError, r"Normal: scale must be positive, got -2.0"),
    (lambda: D.Normal(np.nan, 1.0), InputError, r"Normal: loc must be a real number, got nan"),
    (lambda: D.Normal(np.zeros(2), np.ones(3)), ShapeError, r"must broadcast, got loc of shape \(2,\), scale of shape"),
    (lambda: D.Uniform(1.0, 1.0), InputError, r"Uniform: high - low must be positive, got 0.0"),
    (lambda: D.Bernoulli(probs=1.5), InputError, r"Bernoulli: probs must be in \[0, 1\], got 1.5"),
    (lambda: D.Bernoulli(), InputError, r"Bernoulli takes one of probs, logits, got 0 of them"),
    (lambda: D.Bernoulli(0.5, 0.0), InputError, r"Bernoulli takes one of probs, logits, got 2 of them"),
    (lambda: D.Bernoulli(0.5).log_prob(0.5), InputError, r"Bernoulli: a value must be 0 or 1, got 0.5"),
    (lambda: D.Wishart(1.0, np.eye(2)), InputError, "Wishart: df must be greater than 1, got 1.0"),
    (lambda: D.Wishart(3.0, np.tri(2)), InputError, "Wishart: covariance_matrix must be a symmetric matrix"),
    (lambda: D.Wishart(3.0, -np.eye(2)), MatrixError, "Wishart: covariance_matrix must be positive definite"),
    (lambda: D.Wishart(3.0), InputError, "Wishart takes one of covariance_matrix, precision_matrix, scale_tril"),
    (lambda: D.Wishart(3.0, np.eye(2)).log_prob(-np.eye(2)), InputError, "a value must be a positive definite matrix"),
    (lambda: D.Wishart(3.0, np.eye(2)).log_prob(np.eye(3)), ShapeError, r"ends with \(2, 2\), got \(3, 3\)"),
    (lambda: D.LKJCholesky(1), InputError, "LKJCholesky: dim must be a whole number of at least 2, got 1"),
    (lambda: D.LKJCholesky(2).log_prob(np.eye(2) * 2), InputError, "LKJCholesky: a value must be .* rows of length 1"),
    (
        lambda: D.LowRankMultivariateNormal(np.zeros(3), np.ones((2, 1)), np.ones(3)),
        ShapeError,
        r"cov_factor must have shape \(…, 3, columns\), and cov_diag \(…, 3\), got \(2, 1\) and \(3,\)",
    ),
    (
        lambda: D.LowRankMultivariateNormal(np.zeros(2), np.ones(2), np.ones(2)),
        ShapeError,
        "cov_factor needs at least 2",
    ),
    (lambda: D.Pareto(2.0, 1.0).log_prob(1.0), InputError, "Pareto: a value must be at least the scale, got 1.0"),
    (lambda: D.GeneralizedPareto(0.0, 1.0, -0.5).log_prob(3.0), InputError, "loc - scale / concentration below 0, got"),
    (lambda: D.FisherSnedecor(0.0, 1.0), InputError, "FisherSnedecor: df1 must be positive, got 0.0"),
    (lambda: D.ContinuousBernoulli(0.5).log_prob(1.5), InputError, r"ContinuousBernoulli: a value must be in \[0, 1\]"),
    (lambda: D.Gamma(1.0, 1.0).log_prob(-1.0), InputError, r"Gamma: a value must be at least 0, got -1.0"),
    (lambda: D.Categorical(np.zeros(3)), InputError, r"Categorical: the sum of probs must be positive, got 0.0"),
    (lambda: D.Categorical(0.5), ShapeError, r"Categorical: probs needs at least 1 axes, got shape \(\)"),
    (lambda: D.Categorical(np.ones(3)).log_prob(3), InputError, r"a value must be a whole number from 0 to 2, got 3"),
    (lambda: D.Dirichlet(np.ones(3)).log_prob(np.ones(3)), InputError, r"probabilities that add up to 1"),
    (lambda: D.Dirichlet(np.ones(3)).log_prob(np.ones(2)), ShapeError, r"ends with \(3,\), got \(2,\)"),
    (lambda: D.Normal(np.zeros(3), 1.0).log_prob(np.ones(2)), ShapeError, r"broadcasts with \(3,\), got \(2,\)"),
    (lambda: D.MultivariateNormal(np.zeros(3), np.eye(2)), ShapeError, r"must have shape \(…, 3, 3\), got \(2, 2\)"),
    (lambda: D.MultivariateNormal(np.zeros(2), np.tri(2)), InputError, r"covariance_matrix must be a symmetric matrix"),
    (
        lambda: D.MultivariateNormal(np.zeros(2), -np.eye(2)),
        MatrixError,
        r"covariance_matrix must be positive definite",
    ),
    (lambda: D.Independent(D.Normal(0.0, 1.0), 1), ShapeError, r"must be at most 0, .* of the batch \(\), got 1"),
    (lambda: D.Independent(D.Normal(np.zeros(2), 1.0), -1), InputError, "reinterpreted_batch_ndims must be"),
    *(
        (lambda make=make: make(np.ones(2)), UsageError, "is made of a distribution")
        for make in (
            lambda x: D.Independent(x, 1),
            lambda x: D.TransformedDistribution(x, D.ExpTransform()),
            lambda x: D.MixtureSameFamily(D.Categorical(np.ones(2)), x),
        )
    ),
    *(
        (lambda x=x: D.Normal(x, 1.0), UsageError, words)
        for x, words in (
            (np.array(["2020-01-01"], "M8[D]"), "holds datetime64"),
            (np.ma.masked_array([1.0, 2.0], [True, False]), "MaskedArray"),
            (np.array([1j]), "loc must be real, got complex128"),
            (np.float32, "this type is none"),
            ("1", "holds <U1"),
        )
    ),
    (lambda: D.Poisson(1.0).log_prob(np.array(["2020"], "M8[Y]")), UsageError, "a value: a tensor holds numbers"),
    *(
        (lambda name=name: D.MultivariateNormal(np.zeros(3), **{name: np.ones((3, 4))}), InputError, f"{name} must be")
        for name in ("covariance_matrix", "precision_matrix", "scale_tril")
    ),
    *(
        (
            lambda shape=shape: D.Normal(0.0, 1.0).sample(shape),
            InputError,
            f"Normal: a length in sample_shape .* got {x}",
        )
        for shape, x in ((2.5, "2.5"), (-1, "-1"), ((2, -3), "-3"), ("a", "'a'"), (np.array(1.5), "array"))
    ),
    (
        lambda: D.Normal(np.zeros(3), 1.0).expand((2,)),
        ShapeError,
        r"batch of shape \(3,\) does not broadcast to \(2,\)",
    ),
    (lambda: D.Normal(np.zeros((2, 1)), 1.0).expand(1), ShapeError, r"shape \(2, 1\) does not broadcast to \(1,\)"),
    (lambda: D.Normal(0.0), TypeError, r"Normal\(\) missing a required argument: 'scale'; it takes loc, scale"),
    (
        lambda: D.Normal(0.0, 1.0, std=1.0),
        TypeError,
        r"Normal\(\) got an unexpected keyword argument 'std'; it takes loc",
    ),
    (
        lambda: D.Multinomial(np.array([1, 2]), np.ones(2)),
        InputError,
        "Multinomial: total_count must be a whole number",
    ),
    (
        lambda: D.kl_divergence(D.Normal(np.zeros(2), 1.0), D.Normal(np.zeros(3), 1.0)),
        ShapeError,
        r"kl_divergence: batches of shapes \(2,\) and \(3,\) do not broadcast",
    ),
    (lambda: D.Binomial(np.array([1, 2]), 0.5).entropy(), UsageError, r"equal total_count only"),
    (lambda: D.kl_divergence(D.Normal(0.0, 1.0), D.Poisson(1.0)), UsageError, r"no formula is known .* Normal from P"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_input_is_refused(call: Any, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_checks_run_in_compiled_functions_and_can_be_left_out() -> None:
    log_prob = tg.compile(lambda scale, x: D.Normal(0.0, scale).log_prob(x))
    log_prob(np.array(1.0), np.array(0.0))
    with pytest.raises(InputError, match="Normal: scale must be positive, got -1"):
        log_prob(np.array(-1.0), np.array(0.0))
    with np.errstate(invalid="ignore"):
        assert np.isnan(D.Normal(0.0, -1.0, validate_args=False).log_prob(0.0))


INTEGRATED: list[tuple[D.Distribution, D.Distribution]] = [
    (D.Normal(0.3, 0.8), D.Laplace(-0.2, 1.1)),
    (D.Normal(0.3, 0.8), D.Gumbel(0.1, 1.3)),
    (D.Laplace(0.3, 0.8), D.Normal(-0.2, 1.1)),
    (D.Laplace(0.3, 0.8), D.Laplace(-0.2, 1.1)),
    (D.Gumbel(0.3, 0.8), D.Gumbel(-0.2, 1.1)),
    (D.Cauchy(0.3, 0.8), D.Cauchy(-0.2, 1.1)),
    (D.Gamma(2.5, 1.5), D.Gamma(1.5, 0.5)),
    (D.Gamma(2.5, 1.5), D.Gumbel(0.1, 1.3)),
    (D.Exponential(1.5), D.Gamma(1.5, 0.5)),
    (D.Beta(2.5, 1.5), D.Beta(1.5, 2.0)),
    (D.Beta(2.5, 1.5), D.Gamma(1.5, 2.0)),
    (D.Uniform(0.1, 0.7), D.Beta(1.5, 2.0)),
    (D.Uniform(0.1, 0.7), D.Gumbel(0.1, 1.3)),
    (D.HalfNormal(0.8), D.HalfNormal(1.1)),
    (D.VonMises(0.3, 0.8), D.VonMises(-2.0, 2.5)),
    (D.HalfCauchy(0.8), D.HalfCauchy(1.1)),
    (D.LogNormal(0.3, 0.8), D.LogNormal(-0.2, 1.1)),
    (D.InverseGamma(2.5, 1.5), D.InverseGamma(1.5, 0.5)),
    (D.Pareto(1.3, 4.0), D.Pareto(1.1, 2.0)),
    (D.Pareto(1.3, 4.0), D.Gamma(1.5, 0.5)),
    (D.Pareto(1.3, 4.0), D.Normal(-0.2, 1.1)),
    (D.Uniform(0.1, 0.7), D.ContinuousBernoulli(0.8)),
    (D.Uniform(0.1, 0.7), D.Pareto(0.05, 2.0)),
    (D.Beta(2.5, 1.5), D.ContinuousBernoulli(0.8)),
]


@pytest.mark.long
@pytest.mark.parametrize(("p", "q"), INTEGRATED, ids=lambda p: type(p).__name__)
def test_divergences_are_integrals(p: D.Distribution, q: D.Distribution) -> None:
    """Of p · (log p - log q)."""

    def integrand(x: float) -> float:
        log_p = p.log_prob(x)
        return float(np.exp(log_p) * (log_p - q.log_prob(x)))

    low, high = THEIRS[type(p).__name__](p).support()
    if not isinstance(p, (D.Cauchy, D.HalfCauchy, D.InverseGamma, D.LogNormal, D.Pareto)):  # whose tails count far out
        bound = np.pi if isinstance(p, D.VonMises) else 40
        low, high = max(low, -bound), min(high, bound)
    kinks = sorted({low, *(float(d.loc) for d in (p, q) if isinstance(d, D.Laplace)), high})
    integral = sum(integrate.quad(integrand, a, b, limit=200, epsabs=1e-11)[0] for a, b in pairwise(kinks))
    close(D.kl_divergence(p, q), integral, 1e-9)


def test_the_mean_of_log_factorials_at_rates_of_every_size() -> None:
    """At a large rate λ, the entropy of Poisson is ½ log(2πeλ) - 1/(12λ) - 1/(24λ²)."""
    for rate in (9e3, 1.1e4, 1e6):
        expected = 0.5 * np.log(2 * np.pi * np.e * rate) - 1 / (12 * rate) - 1 / (24 * rate**2)
        np.testing.assert_allclose(D.Poisson(rate).entropy(), expected, rtol=2e-9)
    np.testing.assert_allclose(
        mean_log_factorial(np.array([1e200, np.inf]), order=0), [1e200 * (np.log(1e200) - 1), np.inf]
    )
    assert np.isnan(mean_log_factorial(np.array([-1.0, np.nan]), order=1)).all()


FAR: dict[str, tuple[Any, tuple[float, ...], float, float]] = {  # a distribution, parameters, a value, its log-density
    "Cauchy": (D.Cauchy, (0.0, 1.0), 1e200, -922.1787670834676),
    "Bernoulli": (lambda logits: D.Bernoulli(logits=logits), (40.0,), 1.0, -4.248354255291589e-18),
    "Binomial": (lambda probs: D.Binomial(100, probs), (1 - 2.0**-33,), 100.0, -1.1641532183371108e-08),
    "StudentT": (D.StudentT, (1e6,), 2.0, -2.9189367832113393),
    "StudentT of more": (D.StudentT, (1e10,), 2.0, -2.9189385330296727),
}
"""From mpmath, with 60 digits."""


@pytest.mark.parametrize("name", FAR)
def test_digits_are_kept_far_out(name: str) -> None:
    make, parameters, value, expected = FAR[name]
    np.testing.assert_allclose(make(*parameters).log_prob(value), expected, rtol=1e-14)


def test_a_far_tail_of_cauchy_has_gradients_and_probabilities() -> None:
    z = np.array([-1e10, -1e200])
    np.testing.assert_allclose(D.Cauchy(0.0, 1.0).cdf(z), -1 / (np.pi * z), rtol=1e-14)
    by_scale = tg.grad(lambda scale: D.Cauchy(0.0, scale).log_prob(1e200))(1.0)
    np.testing.assert_allclose(by_scale, 1.0, rtol=1e-14)


@pytest.mark.parametrize("value", [1e25, -1e30])
def test_second_derivatives_of_cauchy_where_squares_overflow(value: float) -> None:
    """In float32, as in float64."""
    for i in range(3):
        f = tg.grad(tg.grad(lambda *x: D.Cauchy(*x[:2]).log_prob(x[2]), i), i)
        found, expected = (f(*map(dtype, (2.0, 0.3, value))) for dtype in (np.float32, np.float64))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("a", [0.3, 5.0, 39.9, 40.0, 40.1, 1e4, 1e15])
def test_half_a_step_of_log_gamma_with_its_derivatives(a: float) -> None:
    digamma, trigamma = (lambda x, n=n: special.polygamma(n, x) for n in (0, 1))
    found = [f(a) for f in (log_half_step, tg.grad(log_half_step), tg.grad(tg.grad(log_half_step)))]
    expected = [special.gammaln(a + 0.5) - special.gammaln(a), digamma(a + 0.5) - digamma(a)]
    expected.append(trigamma(a + 0.5) - trigamma(a))
    if a > 1e3:  # where these differences have few digits left
        expected = [0.5 * np.log(a) - 1 / (8 * a), 0.5 / a + 1 / (8 * a**2), -0.5 / a**2 - 1 / (4 * a**3)]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


CENTRES_AND_TAILS = [0.0, 1e-300, 1e-20, 1e-9, 1e-4, 0.3, 1.0, 1.1, 4.0, 30.0]
WITH_CDF: dict[str, Any] = {
    "Normal": lambda: D.Normal(0.0, 1.0),
    "Laplace": lambda: D.Laplace(0.0, 1.0),
    "Cauchy": lambda: D.Cauchy(0.0, 1.0),
    "Gumbel": lambda: D.Gumbel(0.0, 1.0),
    "LogNormal": lambda: D.LogNormal(0.0, 1.0),
    "HalfNormal": lambda: D.HalfNormal(1.0),
    "HalfCauchy": lambda: D.HalfCauchy(1.0),
    "Exponential": lambda: D.Exponential(1.0),
    "Gamma": lambda: D.Gamma(3.0, 1.0),
    "Weibull": lambda: D.Weibull(2.0, 1.0),
    "GeneralizedPareto": lambda: D.GeneralizedPareto(0.0, 1.0, 0.1),
}


@pytest.mark.parametrize("name", WITH_CDF)
def test_the_slope_of_a_cdf_is_the_density_from_the_centre_to_the_tails(name: str) -> None:
    d = WITH_CDF[name]()
    first, _ = THEIRS[name](d).support()
    for x in [sign * size for sign in (-1, 1) for size in CENTRES_AND_TAILS]:
        if x > first or (x == first and name in ("HalfNormal", "HalfCauchy", "Exponential")):
            density = np.exp(d.log_prob(x))
            np.testing.assert_allclose(tg.grad(d.cdf)(x), density, rtol=1e-12, atol=1e-290, err_msg=str(x))


@pytest.mark.parametrize("a", [1e3, 1e6, 1e12])
def test_a_cdf_keeps_its_digits_at_large_concentrations(a: float) -> None:
    """Where the logarithms of the gamma function differ by less than their last digits."""
    pairs = [(D.Gamma(a, 1.0), stats.gamma(a)), (D.StudentT(a, 0.0, 1.0), stats.t(a))]
    if a < 1e12:  # SciPy's own have four digits there
        pairs += [(D.Beta(a, a), stats.beta(a, a)), (D.FisherSnedecor(3.0, a), stats.f(3.0, a))]
    for ours, theirs in pairs:
        x = theirs.mean() + np.array([-1.0, 0.0, 0.5]) * theirs.std()
        np.testing.assert_allclose(ours.cdf(x), theirs.cdf(x), rtol=1e-14 * a**0.5)


@pytest.mark.long
@pytest.mark.parametrize("make", [D.Beta, D.FisherSnedecor, lambda a, b: D.StudentT(a, b, 1.0)])
def test_cdfs_of_quadratures_have_all_derivatives(make: Any) -> None:
    a, b, x = np.array([0.7, 3.0, 2.0]), np.array([2.0, 0.4, 2.0]), np.array([0.2, 0.8, 0.5])
    assert tg.gradcheck(lambda a, b, x: np.sum(make(a, b).cdf(x)), a, b, x, order=2)


def test_the_ends_of_beta() -> None:
    p = D.Beta(np.array([2.0, 2.0]), 3.0)
    np.testing.assert_array_equal(p.cdf(np.array([0.0, 1.0])), [0.0, 1.0])
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(p.cdf(x)))(np.array([0.0, 1.0])), 0.0)


def test_a_logistic_normal_has_a_slope_where_no_rest_is_left() -> None:
    slope = tg.grad(lambda x: D.LogisticNormal(np.zeros(2), 1.0).log_prob(x))(np.array([0.5, 0.5, 0.0]))
    assert np.all(np.isfinite(slope))
    assert slope[1] != 0


@pytest.mark.parametrize("name", [name for name in WITH_CDF if name != "Gamma"])
def test_a_quantile_keeps_its_digits_in_the_tails(name: str) -> None:
    d = WITH_CDF[name]()
    for p in (1e-150, 1e-20, 1e-9, 1e-4, 0.2, 0.25, 0.3, 0.5, 0.75, 0.9, 1 - 1e-9):
        x = d.icdf(p)
        np.testing.assert_allclose(tg.grad(d.icdf)(p), np.exp(-d.log_prob(x)), rtol=1e-11, err_msg=str(p))
        # the last digit of x is as many of the probability as its share of the slope
        digits = 1e-14 * (1 + np.absolute(x) * np.exp(d.log_prob(x)) / p)
        np.testing.assert_allclose(d.cdf(x), p, rtol=digits, err_msg=str(p))


NARROW: dict[str, Any] = {
    "StudentT": lambda df, wide: D.StudentT(df, np.log(wide), wide),
    "Gamma": lambda a, wide: D.Gamma(a, wide),
    "Beta": lambda a, wide: D.Beta(a, wide),
    "Binomial": lambda a, wide: D.Binomial(np.round(a), 1 / (1 + wide)),
}


@pytest.mark.parametrize(
    ("name", "parameter"), [("StudentT", "df"), ("Gamma", "concentration"), ("Binomial", "total_count")]
)
def test_a_parameter_that_is_set_afterwards_is_the_one_that_counts(name: str, parameter: str) -> None:
    wide = np.linspace(0.5, 2.0, 3)
    distribution, other = NARROW[name](np.array(4.0), wide), NARROW[name](np.array(5.0), wide)
    setattr(distribution, parameter, getattr(other, parameter))
    close(distribution.log_prob(np.ones(3)), other.log_prob(np.ones(3)))


@pytest.mark.parametrize("name", NARROW)
def test_log_gamma_is_taken_of_a_parameter_before_it_is_broadcast(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, wide = NARROW[name], np.linspace(0.5, 2.0, 12).reshape(4, 3)
    value = np.full((4, 3), 1.0 if name == "Binomial" else 0.3)

    def total(narrow: Any, wide: Any) -> Any:
        return np.sum(make(narrow, wide).log_prob(value) * wide)

    sizes: list[int] = []
    for room in ("gammas", "discrete"):
        original = importlib.import_module(f"tinygrad_lite.distributions.{room}").lgamma
        monkeypatch.setattr(
            f"tinygrad_lite.distributions.{room}.lgamma",
            lambda x, original=original: (sizes.append(np.size(x)), original(x))[1],
        )
    for narrow in (np.array(2.0), np.array([2.0, 3.0, 4.0]), np.array([[2.0], [3.0], [4.0], [2.0]])):
        sizes.clear()
        summed, (by_narrow, by_wide) = tg.value_and_grad(total, argnums=(0, 1))(narrow, wide)
        assert narrow.size in sizes
        full = np.broadcast_to(narrow, wide.shape).copy()
        expected, (by_full, by_other) = tg.value_and_grad(total, argnums=(0, 1))(full, wide)
        close(summed, expected)
        close(by_wide, by_other)
        axes = tuple(k for k in range(2) if np.broadcast_shapes((1, 1), narrow.shape)[k] == 1)
        close(by_narrow, np.sum(by_full, axis=axes, keepdims=True).reshape(narrow.shape))
