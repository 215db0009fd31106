"""Distributions against PyTorch's: values, gradients, moments, divergences, and gradients through samples."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.distributions.composed import COMPOSED, Made
from tests.distributions.samples import IDS, MOMENTS, SAMPLES, Parameters, differentiable, made
from tinygrad_lite import distributions as D
from tinygrad_lite.errors import UsageError

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")


CDF_WITHOUT_GRADIENT = {"Chi2", "Gamma", "InverseGamma"}  # in PyTorch
WITHOUT_MODE = {"Kumaraswamy"}  # NaN in PyTorch


@pytest.fixture(autouse=True)
def double_precision() -> Any:
    """PyTorch's GeneralizedPareto compares its parameters with a number of the default precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def theirs(x: Any) -> Any:
    """A tensor of PyTorch's, also of a number, which would be of single precision there."""
    return torch.tensor(x, dtype=torch.float64, requires_grad=True)


def tensors(parameters: Parameters) -> tuple[Parameters, Parameters]:
    """The parameters as tensors of ours and of PyTorch's."""
    of_ours, of_theirs = dict(parameters), dict(parameters)
    for name in differentiable(parameters):
        of_ours[name] = tg.tensor(np.asarray(parameters[name], float), requires_grad=True)
        of_theirs[name] = theirs(parameters[name])
    if isinstance(parameters.get("total_count"), np.ndarray):
        of_theirs["total_count"] = torch.tensor(parameters["total_count"])
    return of_ours, of_theirs


def close(found: Any, expected: Any, tolerance: float = 1e-8) -> None:
    found, expected = (x.detach().numpy() if hasattr(x, "detach") else np.asarray(x) for x in (found, expected))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def compare(
    ours: Any, theirs: Any, leaves: Parameters, their_leaves: Parameters, tolerance: float, distribution: Any = None
) -> None:
    """Two results, and the gradients of their weighted sums."""
    close(ours, theirs, tolerance)
    if not theirs.requires_grad or np.isnan(theirs.detach().numpy()).all():
        return
    weights = np.random.default_rng(0).normal(size=ours.shape)
    gradients = torch.autograd.grad(
        (theirs * torch.tensor(weights)).sum(),
        list(their_leaves.values()),
        allow_unused=True,
        materialize_grads=True,
        retain_graph=True,
    )
    for leaf in leaves.values():
        leaf.grad = None
    np.sum(ours * weights).backward(retain_graph=True)
    for name, leaf, gradient in zip(leaves, leaves.values(), gradients):
        found = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()
        if isinstance(distribution, D.Wishart) and name == "scale_tril":
            found, gradient = np.tril(found), torch.tril(gradient)  # that of cholesky_solve is not 0 above the diagonal
        close(found, gradient)


@pytest.mark.parametrize(("name", "parameters", "value"), SAMPLES, ids=IDS)
def test_values_and_gradients(name: str, parameters: Parameters, value: Any) -> None:
    ours, others = tensors(parameters)
    p, q = made(name, ours), getattr(torch.distributions, name)(**others)
    assert (p.batch_shape, p.event_shape) == (tuple(q.batch_shape), tuple(q.event_shape))
    leaves = {x: ours[x] for x in differentiable(parameters)}
    their_leaves = {x: others[x] for x in leaves}
    if q.has_rsample and name != "Uniform":
        leaves["value"], their_leaves["value"] = tg.tensor(value, requires_grad=True), theirs(value)
    x, y = leaves.get("value", value), their_leaves.get("value", torch.tensor(value))
    one = np.reshape(value, (-1, *p.event_shape))[0]
    asked: list[tuple[Any, Any]] = [
        (lambda: p.log_prob(x), lambda: q.log_prob(y)),
        (lambda: p.cdf(x), lambda: q.cdf(y).detach() if name in CDF_WITHOUT_GRADIENT else q.cdf(y)),
        (lambda: p.icdf(1 / (1 + np.exp(-x))), lambda: q.icdf(torch.sigmoid(y))),
        (lambda: p.entropy(), lambda: q.entropy()),
        *(
            (lambda moment=moment: getattr(p, moment), lambda moment=moment: getattr(q, moment))
            for moment in MOMENTS
            if moment != "mode" or name not in WITHOUT_MODE
        ),
        (
            lambda: p.expand((3, *p.batch_shape)).log_prob(one),
            lambda: q.expand((3, *q.batch_shape)).log_prob(torch.tensor(one)),
        ),
        (lambda: p.enumerate_support(), lambda: q.enumerate_support()),
        (lambda: p.enumerate_support(False), lambda: q.enumerate_support(False)),
    ]
    compared = 0
    if name == "VonMises":  # PyTorch's Bessel functions have seven digits, and the derivatives of their quotients fewer
        close(p.log_prob(x), q.log_prob(y), 1e-6)
        close(p.variance, q.variance, 1e-6)
        return
    for of_ours, of_theirs in asked:
        try:
            expected = of_theirs()
        except NotImplementedError:
            continue
        tolerance = 1e-6 if name == "Multinomial" else 1e-8  # PyTorch's entropy has a part in single precision
        compare(of_ours(), expected, leaves, their_leaves, tolerance, p)
        compared += 1
    assert compared >= 4


@pytest.mark.parametrize(("make", "parameters"), COMPOSED.values(), ids=COMPOSED)
def test_what_is_made_of_others(make: Made, parameters: Any) -> None:
    ours = {str(i): tg.tensor(x, requires_grad=True) for i, x in enumerate(parameters)}
    others = {str(i): theirs(x) for i, x in enumerate(parameters)}
    p, q = make(D, *ours.values()), make(torch.distributions, *others.values())
    assert (p.batch_shape, p.event_shape) == (tuple(q.batch_shape), tuple(q.event_shape))
    value = np.array(p.sample((4,), rng=0))
    asked: list[tuple[Any, Any]] = [
        (lambda: p.log_prob(value), lambda: q.log_prob(torch.tensor(value))),
        (lambda: p.cdf(value), lambda: q.cdf(torch.tensor(value))),
        (
            lambda: p.icdf(np.full(p.batch_shape, 0.3)),
            lambda: q.icdf(torch.full(q.batch_shape, 0.3, dtype=torch.float64)),
        ),
        *((lambda moment=moment: getattr(p, moment), lambda moment=moment: getattr(q, moment)) for moment in MOMENTS),
    ]
    compared = 0
    for of_ours, of_theirs in asked:
        try:
            expected = of_theirs()
        except (NotImplementedError, AttributeError):
            continue
        compare(of_ours(), expected, ours, others, 1e-8)
        compared += 1
    assert compared >= 1


@pytest.mark.parametrize("name", ["LowerCholeskyTransform", "PositiveDefiniteTransform"])
def test_maps_of_matrices(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 3))
    ours, others = tg.tensor(x, requires_grad=True), theirs(x)
    transform, other = getattr(D, name)(), getattr(torch.distributions, name)()
    for found, expected in (
        (transform(ours), other(others)),
        (transform.inv(transform(ours)), other.inv(other(others))),
    ):
        compare(found, expected, {"x": ours}, {"x": others}, 1e-8)


@pytest.mark.parametrize(("name", "parameters", "value"), SAMPLES, ids=IDS)
def test_maps_to_a_support(name: str, parameters: Parameters, value: Any) -> None:
    """Those of PyTorch; and where it refuses, as for whole numbers, it is refused here."""
    p, others = made(name, parameters), tensors(parameters)[1]
    q = getattr(torch.distributions, name)(**others)
    try:
        other = torch.distributions.biject_to(q.support)
    except NotImplementedError:
        with pytest.raises(UsageError, match="biject_to knows no map"):
            D.biject_to(p.support)
        return
    if name == "GeneralizedPareto":  # whose upper bound may be infinite: PyTorch multiplies by it
        return
    transform = D.biject_to(p.support)
    x = np.random.default_rng(0).normal(size=transform.inverse_shape(p.batch_shape + p.event_shape))
    tensor = torch.tensor(x)
    y, expected = transform(x), other(tensor)
    close(y, expected)
    assert np.all(p.support.holds(y))
    close(transform.log_abs_det_jacobian(x, y), other.log_abs_det_jacobian(tensor, expected))
    close(transform.inv(y), x, 1e-7)


def test_divergences_of_what_is_transformed() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, 3)), rng.uniform(0.5, 2, (2, 3)), rng.normal(size=3), rng.uniform(0.5, 2, 3)]
    ours, others = [tg.tensor(x, requires_grad=True) for x in arrays], [theirs(x) for x in arrays]
    found = D.kl_divergence(D.LogisticNormal(*ours[:2]), D.LogisticNormal(*ours[2:]))
    p, q = (torch.distributions.LogisticNormal(*x) for x in (others[:2], others[2:]))
    names = "loc", "scale", "other loc", "other scale"
    compare(found, torch.distributions.kl_divergence(p, q), dict(zip(names, ours)), dict(zip(names, others)), 1e-8)


KINDS = sorted({name for name, *_ in SAMPLES} - {"Chi2", "Multinomial", "VonMises"})


def batch_of_two(name: str, seed: int) -> Parameters:
    """Parameters of a batch of two; a uniform distribution has the values of one with a smaller seed."""
    rng = np.random.default_rng(seed)
    if name == "Uniform":
        return {"low": np.array([0.25, -0.5]) / seed, "high": np.array([0.5, 0.75]) * seed}
    if name == "MultivariateNormal":
        return {"loc": rng.normal(size=(2, 3)), "scale_tril": np.tril(rng.uniform(0.5, 1, (2, 3, 3)))}
    if name == "LowRankMultivariateNormal":
        return {"loc": rng.normal(size=3), "cov_factor": rng.normal(size=(2, 3, 1)), "cov_diag": rng.uniform(1, 2, 3)}
    if name == "Wishart":
        # alone, since PyTorch's divergence between batches sums over these
        return {"df": 4 + rng.random(), "scale_tril": np.tril(rng.uniform(0.5, 1, (3, 3)))}
    if name == "Binomial":
        return {"total_count": np.array([4.0, 4.0]), "probs": rng.uniform(0.1, 0.9, 2)}
    if name == "Dirichlet" or "Categorical" in name:
        return {"concentration" if name == "Dirichlet" else "probs": rng.uniform(0.1, 2, (2, 3))}
    (_, parameters, _), *_ = [x for x in SAMPLES if x[0] == name]
    return {parameter: rng.uniform(0.1, 0.9, 2) for parameter in parameters}


@pytest.mark.parametrize("first", KINDS)
def test_divergences_from_all_kinds(first: str) -> None:
    """Those that PyTorch refuses are refused here, too."""
    for second in KINDS:
        (ours, others), (more_ours, more_others) = tensors(batch_of_two(first, 1)), tensors(batch_of_two(second, 2))
        p, q = getattr(torch.distributions, first)(**others), getattr(torch.distributions, second)(**more_others)
        try:
            expected = torch.distributions.kl_divergence(p, q)
        except NotImplementedError:
            with pytest.raises(UsageError, match="no formula is known"):
                D.kl_divergence(made(first, ours), made(second, more_ours))
            continue
        found = D.kl_divergence(made(first, ours), made(second, more_ours))
        close(found, expected)
        if np.isfinite(expected.detach().numpy()).all() and first != "Wishart":  # PyTorch takes its p for a constant
            leaves = {(i, name): x[name] for i, x in enumerate((ours, more_ours)) for name in differentiable(x)}
            their_leaves = {key: (others, more_others)[key[0]][key[1]] for key in leaves}
            compare(found, expected, leaves, their_leaves, 1e-8)


REPARAMETERISED = [x for x in SAMPLES if x[0] in ("Normal", "Laplace", "Cauchy", "Gumbel", "LogNormal")]
REPARAMETERISED += [x for x in SAMPLES if x[0] in ("HalfNormal", "HalfCauchy", "Exponential", "Uniform")]


@pytest.mark.parametrize(("name", "parameters", "value"), REPARAMETERISED)
def test_gradients_through_samples(name: str, parameters: Parameters, value: Any) -> None:
    """Those of a quantile, -∂F/∂θ / p, by PyTorch at our sample."""
    ours, others = tensors(parameters)
    x = made(name, ours).rsample((5,), rng=0)
    q = getattr(torch.distributions, name)(**others)
    at = torch.tensor(np.array(x.detach()))
    weights = np.random.default_rng(0).normal(size=x.shape)
    np.sum(x * weights).backward()
    (q.cdf(at) * torch.tensor(weights) / q.log_prob(at).exp().detach()).sum().backward()
    for key in parameters:
        close(ours[key].grad, -others[key].grad)


def test_gradients_through_gamma_samples() -> None:
    """PyTorch's have three digits."""
    a = tg.tensor(np.tile([0.2, 1.0, 5.0, 200.0], (1000, 1)), requires_grad=True)
    x = D.Gamma(a, 1.0).rsample(rng=0)
    x.sum().backward()
    close(a.grad, torch._standard_gamma_grad(*(torch.tensor(t.detach().numpy()) for t in (a, x))), 2e-3)


def test_gradients_through_beta_samples() -> None:
    """PyTorch's have three digits."""
    rng = np.random.default_rng(0)
    a, b = (tg.tensor(rng.uniform(0.3, 20, 1000), requires_grad=True) for _ in range(2))
    x = D.Beta(a, b).rsample(rng=0)
    x.sum().backward()
    first, concentration = torch.tensor(x.numpy()), torch.tensor(np.stack([a.numpy(), b.numpy()], -1))
    both = torch.stack([first, 1 - first], -1)
    slopes = torch._dirichlet_grad(both, concentration, concentration.sum(-1, keepdim=True).expand(1000, 2))
    close(a.grad, slopes[:, 0] * (1 - first), 2e-3)
    close(b.grad, -slopes[:, 1] * first, 2e-3)
