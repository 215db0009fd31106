"""Affine and small layers and distances: their formulas, and their errors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.nn import functional as F

X = np.array([[0.3, -1.2, 2.0], [1.5, 0.4, -0.7]])
T = np.array([[0.0, 1.0, 0.7], [0.2, 0.0, 1.0]])


PAIRS = ((0, 1), (0, 2), (1, 2))
BILINEAR: Any = nn.Bilinear(3, 3, 4, rng=0)
LAYERS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "Flatten": (nn.Flatten(), lambda x: x.reshape(2, 3)),
    "Flatten(0)": (nn.Flatten(0), lambda x: x.ravel()),
    "Flatten(0, 0)": (nn.Flatten(0, 0), lambda x: x),
    "Unflatten": (nn.Unflatten(-1, (3, 1)), lambda x: x.reshape(2, 3, 1)),
    "Unflatten(-1)": (nn.Unflatten(0, [-1, 1]), lambda x: x.reshape(2, 1, 3)),
    "Identity": (nn.Identity(54, unused=True), lambda x: x),
    "CosineSimilarity": (
        partial(nn.CosineSimilarity(), x2=T),
        lambda x: (x * T).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (T**2).sum(axis=1)),
    ),
    "CosineSimilarity(0)": (
        partial(nn.CosineSimilarity(0), x2=T[0]),
        lambda x: (x * T[0]).sum(axis=0) / np.sqrt((x**2).sum(axis=0) * np.maximum(2 * T[0] ** 2, 1e-99)),
    ),
    "PairwiseDistance": (
        partial(nn.PairwiseDistance(eps=0.5), x2=T),
        lambda x: np.sqrt(np.square(x - T + 0.5).sum(axis=1)),
    ),
    "PairwiseDistance(1)": (
        partial(nn.PairwiseDistance(1, eps=0, keepdims=True), x2=T[0]),
        lambda x: abs(x - T[0]).sum(axis=1, keepdims=True),
    ),
    "pdist": (F.pdist, lambda x: np.sqrt(np.square(x[:1] - x[1]).sum(axis=1))),
    "pdist(3)": (
        lambda x: F.pdist(x.T, 3),
        lambda x: [(abs(x[:, i] - x[:, j]) ** 3).sum() ** (1 / 3) for i, j in PAIRS],
    ),
    "Bilinear": (
        partial(nn.Bilinear(3, 3, 4, rng=0), input2=T),
        lambda x: np.einsum("...i,oij,...j->...o", x, BILINEAR.weight.numpy(), T) + BILINEAR.bias.numpy(),
    ),
    "Bilinear without bias": (
        partial(nn.Bilinear(3, 3, 4, bias=False, rng=0), input2=T),
        lambda x: np.einsum("...i,oij,...j->...o", x, BILINEAR.weight.numpy(), T),
    ),
}


@pytest.mark.long
@pytest.mark.parametrize(("layer", "formula"), LAYERS.values(), ids=list(LAYERS))
def test_layers_are_their_formula(layer: Any, formula: Callable[[Any], Any]) -> None:
    np.testing.assert_allclose(layer(tg.tensor(X)).numpy(), formula(X), rtol=1e-14)
    with tg.no_grad():
        np.testing.assert_allclose(np.asarray(layer(X)), formula(X), rtol=1e-14)
    assert tg.gradcheck(lambda x: np.sum(np.sin(layer(x))), X, order=2)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_layers_compiled(backend: Any) -> None:
    def f(x: Any) -> Any:
        return sum(np.sum(np.sin(layer(x))) for layer, _ in LAYERS.values())

    expected = tg.grad(f)(tg.tensor(X, requires_grad=True))
    slope = tg.compile(tg.grad(f), backend=backend)(tg.tensor(X, requires_grad=True))
    np.testing.assert_allclose(slope.numpy(), expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape: tuple[int, ...], bias: bool) -> None:
    layer = nn.Linear(3, 2, bias=bias, rng=0)
    x = np.random.default_rng(1).normal(size=shape)
    expected = x @ layer.weight.numpy().T + (layer.bias.numpy() if bias else 0)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-14)
    assert layer.weight.shape == (2, 3)


def test_an_empty_batch_goes_through() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3, rng=0))
    x = tg.tensor(np.empty((0, 3, 4)), requires_grad=True)
    assert model(x).shape == (0, 3)
    F.cross_entropy(model(x), np.array([]), reduction="sum").backward()
    assert x.grad.shape == (0, 3, 4)


def test_linear_starts_as_in_pytorch_and_by_its_rng() -> None:
    layer = nn.Linear(100, 50, rng=0)
    assert abs(layer.weight.numpy()).max() <= 0.1
    assert abs(layer.weight.numpy()).max() > 0.099
    np.testing.assert_array_equal(nn.Linear(100, 50, rng=0).weight.numpy(), layer.weight.numpy())
    assert not np.array_equal(nn.Linear(100, 50, rng=1).weight.numpy(), layer.weight.numpy())
    assert nn.Linear(2, 2, dtype=np.float32, rng=0)(np.ones(2, np.float32)).dtype == np.float32


def test_dropout_keeps_the_mean_and_its_gradient_the_mask() -> None:
    x = tg.tensor(np.ones(10_000), requires_grad=True)
    y = nn.Dropout(0.2, rng=0)(x)
    assert set(np.unique(y.numpy())) == {0, 1.25}
    assert abs(float(y.mean()) - 1) < 0.02
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.numpy())
    assert not nn.Dropout(1.0, rng=0)(x).numpy().any()


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "features": (lambda: nn.Linear(13, 8)(np.ones((5, 14))), ShapeError, r"Linear\(13, 8\) needs 13 .*\(5, 14\)"),
    "no features": (lambda: nn.Linear(0, 8), InputError, "in_features must be a whole number.*got 0"),
    "features as text": (lambda: nn.Linear("a", 2), InputError, "got 'a'"),
    "bilinear features": (lambda: nn.Bilinear(0, 1, 2), InputError, "in1_features must be a whole number.*got 0"),
    "bilinear": (lambda: BILINEAR(X, X[:, :2]), ShapeError, r"\(2, 3\), \(2, 2\) and \(4, 3, 3\)"),
    "bilinear axes": (lambda: BILINEAR(X, X[0]), ShapeError, "same leading axes"),
    "flatten": (lambda: nn.Flatten(1, 0)(X), ShapeError, r"end_axis=0.*\(2, 3\)"),
    "flatten axes": (lambda: nn.Flatten(2)(X), ShapeError, r"\(2, 3\)"),
    "unflatten": (lambda: nn.Unflatten(1, (2, 2))(X), ShapeError, r"Unflatten\(1, \(2, 2\)\).*\(2, 3\)"),
    "unflatten the rest": (lambda: nn.Unflatten(1, (-1, 2))(X), ShapeError, r"\(2, 3\)"),
    "unflatten axis": (lambda: nn.Unflatten(2, (3, 1))(X), ShapeError, r"\(2, 3\)"),
    "pdist": (lambda: F.pdist(X[0]), ShapeError, r"\(3,\)"),
    "pdist of a negative order": (lambda: F.pdist(X, -1), InputError, "-1"),
    "integer parameters": (lambda: nn.Linear(2, 2, dtype=int), UsageError, "int64"),
    "a list of modules": (lambda: nn.Sequential([nn.ReLU()]), UsageError, "one by one"),
    "a class as a module": (lambda: nn.Sequential(nn.ReLU), UsageError, "one by one"),
    "weight": (lambda: F.linear(tg.tensor(X), np.ones(3), np.ones(1)), ShapeError, r"weight \(out, in\)"),
    "dropout": (lambda: nn.Dropout(1.5), InputError, "1.5"),
}


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(attempt: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()


def test_sequential_is_a_sequence_of_modules() -> None:
    modules = [nn.Linear(3, 2, rng=0), nn.ReLU(), nn.Linear(2, 2, rng=1), nn.Tanh()]
    model = nn.Sequential(*modules).eval()
    assert len(model) == 4
    assert list(model) == modules
    for i in (0, 2, -1, -4, np.int64(1)):
        assert model[i] is modules[i]
    for i in (4, -5):
        with pytest.raises(IndexError):
            model[i]
    for part in (slice(2), slice(1, None), slice(None, None, -1), slice(-2, None), slice(9, 10)):
        assert type(model[part]) is nn.Sequential
        assert list(model[part]) == modules[part]
        assert not model[part].training
    x = np.ones((1, 3))
    np.testing.assert_array_equal(model[2:](model[:2](x)).numpy(), model(x).numpy())
    assert list(model[:1].parameters()) == list(modules[0].parameters())
