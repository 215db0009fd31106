"""Settings of each distribution, with values to ask about: what the tests and the comparisons loop over."""

from typing import Any

import numpy as np

from tinygrad_lite import distributions as D

Parameters = dict[str, Any]
_rng = np.random.default_rng(0)


def real(*shape: int) -> Any:
    return _rng.normal(size=shape)


def positive(*shape: int) -> Any:
    return _rng.gamma(2.0, size=shape) + 0.1


def unit(*shape: int) -> Any:
    return _rng.uniform(0.05, 0.95, shape)


def simplex(*shape: int) -> Any:
    return _rng.dirichlet(np.full(shape[-1], 2.0), shape[:-1])


def covariance(*shape: int) -> Any:
    a = real(*shape, shape[-1])
    return a @ np.swapaxes(a, -1, -2) + np.eye(shape[-1])


def counts(*shape: int) -> Any:
    return _rng.integers(0, 4, shape).astype(float)


def one_hot(*shape: int) -> Any:
    return np.eye(shape[-1])[_rng.integers(0, shape[-1], shape[:-1])]


def _location_scale(name: str, value: Any = real) -> list[tuple[str, Parameters, Any]]:
    return [
        (name, {"loc": 0.5, "scale": 2.0}, value(4)),
        (name, {"loc": real(3), "scale": positive(3)}, value(2, 3)),
        (name, {"loc": real(2, 1), "scale": positive(3)}, value(5, 2, 3)),
    ]


def _of_one(name: str, parameter: str, draw: Any, value: Any) -> list[tuple[str, Parameters, Any]]:
    return [(name, {parameter: x}, value(*y)) for x, y in ((0.7, (4,)), (draw(3), (3,)), (draw(2, 1), (5, 2, 3)))]


def above(bound: float) -> Any:
    """Draws numbers above this one."""
    return lambda *shape: positive(*shape) + bound


def _of_two(name: str, parameters: Parameters, value: Any) -> list[tuple[str, Parameters, Any]]:
    (one, draw_one), (two, draw_two) = parameters.items()
    return [
        (name, {one: float(draw_one()), two: float(draw_two())}, value(4)),
        (name, {one: draw_one(3), two: draw_two(3)}, value(2, 3)),
        (name, {one: draw_one(2, 1), two: draw_two(3)}, value(5, 2, 3)),
    ]


def _in_tails() -> list[tuple[str, Parameters, Any]]:
    name, concentration = "GeneralizedPareto", np.array([-0.6, -0.01, 0.2])
    return [
        (name, {"loc": 0.5, "scale": 2.0, "concentration": 0.1}, above(0.5)(4)),
        (name, {"loc": unit(3), "scale": above(9)(3), "concentration": concentration}, unit(2, 3) + 3),
        (name, {"loc": unit(2, 1), "scale": above(9)(3), "concentration": concentration}, unit(5, 2, 3) + 3),
    ]


# name, parameters, values
SAMPLES: list[tuple[str, Parameters, Any]] = [
    *(x for name in ("Normal", "Laplace", "Cauchy", "Gumbel") for x in _location_scale(name)),
    *_location_scale("LogNormal", positive),
    *_of_one("HalfNormal", "scale", positive, positive),
    *_of_one("HalfCauchy", "scale", positive, positive),
    *_of_one("Exponential", "rate", positive, positive),
    *_of_one("Chi2", "df", positive, positive),
    *_of_one("Poisson", "rate", positive, counts),
    *(
        x
        for name in ("probs", "logits")
        for x in _of_one("Bernoulli", name, unit, lambda *s: np.minimum(counts(*s), 1))
    ),
    *(x for name in ("probs", "logits") for x in _of_one("Geometric", name, unit, counts)),
    ("Uniform", {"low": 0.0, "high": 1.0}, unit(4)),
    ("Uniform", {"low": np.array([-1.0, 0.0]), "high": np.array([2.0, 1.0])}, unit(3, 2)),
    ("Uniform", {"low": np.array([[-1.0], [0.0]]), "high": np.array([2.0, 1.0])}, unit(2, 2)),
    ("VonMises", {"loc": 0.5, "concentration": 2.0}, real(4)),
    ("VonMises", {"loc": real(3), "concentration": positive(3)}, real(2, 3)),
    ("VonMises", {"loc": real(2, 1), "concentration": np.array([0.05, 30.0, 800.0])}, real(5, 2, 3) / 30),
    ("Gamma", {"concentration": 0.3, "rate": 2.0}, positive(4)),
    ("Gamma", {"concentration": positive(3), "rate": positive(3)}, positive(2, 3)),
    ("Gamma", {"concentration": positive(2, 1) * 20, "rate": positive(3)}, positive(2, 3) * 20),
    ("Beta", {"concentration1": 0.3, "concentration0": 2.0}, unit(4)),
    ("Beta", {"concentration1": positive(3), "concentration0": positive(3)}, unit(2, 3)),
    ("Beta", {"concentration1": positive(2, 1), "concentration0": positive(3)}, unit(2, 3)),
    ("StudentT", {"df": 3.0}, real(4)),
    ("StudentT", {"df": positive(3) + 2, "loc": real(3), "scale": positive(3)}, real(2, 3)),
    ("StudentT", {"df": positive(2, 1) + 2, "loc": 1.0, "scale": positive(3)}, real(2, 3)),
    *_of_two("InverseGamma", {"concentration": above(3), "rate": positive}, positive),
    *_of_two("FisherSnedecor", {"df1": above(2), "df2": above(9)}, positive),
    *_of_two("Pareto", {"scale": unit, "alpha": above(4)}, above(1)),
    *_of_two("Weibull", {"scale": positive, "concentration": above(1)}, positive),
    *_of_two("Kumaraswamy", {"concentration1": above(1), "concentration0": above(1)}, unit),
    *(x for name in ("probs", "logits") for x in _of_one("ContinuousBernoulli", name, unit, unit)),
    *_in_tails(),
    ("Dirichlet", {"concentration": positive(3)}, simplex(3)),
    ("Dirichlet", {"concentration": positive(2, 3)}, simplex(2, 3)),
    ("Dirichlet", {"concentration": positive(2, 1, 4)}, simplex(5, 2, 3, 4)),
    ("Binomial", {"total_count": 5, "probs": 0.3}, counts(4)),
    ("Binomial", {"total_count": np.array([3.0, 3.0]), "logits": real(2)}, counts(3, 2)),
    ("Binomial", {"total_count": 4, "probs": unit(2, 1)}, counts(2, 3)),
    ("Categorical", {"probs": simplex(3)}, np.array([0, 2, 1])),
    ("Categorical", {"logits": real(2, 4)}, np.array([3, 1])),
    ("Categorical", {"probs": positive(2, 1, 4)}, np.array([[3, 1, 2], [0, 0, 1]])),
    ("OneHotCategorical", {"probs": simplex(3)}, one_hot(3)),
    ("OneHotCategorical", {"logits": real(2, 4)}, one_hot(2, 4)),
    ("OneHotCategoricalStraightThrough", {"logits": real(2, 4)}, one_hot(2, 4)),
    ("OneHotCategoricalStraightThrough", {"probs": simplex(3)}, one_hot(3)),
    ("OneHotCategorical", {"probs": positive(2, 1, 4)}, one_hot(2, 3, 4)),
    ("Multinomial", {"total_count": 6, "probs": simplex(3)}, np.array([1.0, 3.0, 2.0])),
    ("Multinomial", {"total_count": 3, "logits": real(2, 3)}, np.array([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]])),
    ("Multinomial", {"total_count": 2, "probs": positive(2, 1, 3)}, np.array([1.0, 0.0, 1.0])),
    ("MultivariateNormal", {"loc": real(3), "covariance_matrix": covariance(3)}, real(3)),
    ("MultivariateNormal", {"loc": real(4, 2), "precision_matrix": covariance(2)}, real(5, 4, 2)),
    ("MultivariateNormal", {"loc": real(2), "scale_tril": np.linalg.cholesky(covariance(3, 2))}, real(4, 3, 2)),
    *(
        ("LowRankMultivariateNormal", {"loc": real(4), "cov_factor": factor, "cov_diag": diagonal}, real(*shape))
        for factor, diagonal, shape in (
            (real(4, 2), positive(4), (4,)),
            (real(3, 4, 1), positive(4), (3, 4)),
            (real(4, 5), positive(2, 4), (5, 2, 4)),
        )
    ),
    ("Wishart", {"df": 8.5, "covariance_matrix": covariance(3)}, covariance(3)),
    ("Wishart", {"df": above(6)(2), "precision_matrix": covariance(2)}, covariance(3, 2, 2)),
    (
        "Wishart",
        {"df": above(6)(2, 1), "scale_tril": np.linalg.cholesky(covariance(3, 2)) / 5},
        covariance(2, 3, 2) / 9,
    ),
]
IDS = [f"{name} {i}" for i, (name, *_) in enumerate(SAMPLES)]
MOMENTS = ("mean", "variance", "stddev", "mode")


def differentiable(parameters: Parameters) -> list[str]:
    """The names of the parameters that have a gradient."""
    return [name for name in parameters if name != "total_count"]


def made(name: str, parameters: Parameters) -> D.Distribution:
    """The distribution of this setting."""
    kind: Any = getattr(D, name)
    distribution: D.Distribution = kind(**parameters)
    return distribution
