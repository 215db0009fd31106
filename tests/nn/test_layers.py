"""Layers, initialisers, functions and losses: their formulas, and their errors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.derivatives import numerical_gradients
from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.nn import functional as F

X = np.array([[0.3, -1.2, 2.0], [1.5, 0.4, -0.7]])
T = np.array([[0.0, 1.0, 0.7], [0.2, 0.0, 1.0]])
LABELS = np.array([2, 0])


def log_softmax(x: Any) -> Any:
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


LAYERS: dict[str, tuple[nn.Module, Callable[[Any], Any]]] = {
    "Flatten": (nn.Flatten(), lambda x: x.reshape(2, 3)),
    "Flatten(0)": (nn.Flatten(0), lambda x: x.ravel()),
}


@pytest.mark.parametrize(("layer", "formula"), LAYERS.values(), ids=list(LAYERS))
def test_layers_are_their_formula(layer: nn.Module, formula: Callable[[Any], Any]) -> None:
    np.testing.assert_allclose(layer(tg.tensor(X)).numpy(), formula(X), rtol=1e-14)
    np.testing.assert_allclose(layer(X), formula(X), rtol=1e-14)


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


LOSSES: dict[str, tuple[Callable[..., nn.Module], Any, Any, Callable[[Any, Any], Any]]] = {
    "MSELoss": (nn.MSELoss, X, T, lambda x, t: (x - t) ** 2),
    "L1Loss": (nn.L1Loss, X, T, lambda x, t: abs(x - t)),
    "HuberLoss": (nn.HuberLoss, X, T, lambda x, t: np.where(abs(x - t) <= 1, (x - t) ** 2 / 2, abs(x - t) - 0.5)),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, X, T, lambda x, t: np.log1p(np.exp(x)) - x * t),
    "BCELoss": (nn.BCELoss, 1 / (1 + np.exp(-X)), T, lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p))),
    "CrossEntropyLoss": (nn.CrossEntropyLoss, X, LABELS, lambda x, t: -log_softmax(x)[[0, 1], t]),
    "CrossEntropyLoss of probabilities": (nn.CrossEntropyLoss, X, T, lambda x, t: -(t * log_softmax(x)).sum(axis=1)),
    "NLLLoss": (nn.NLLLoss, log_softmax(X), LABELS, lambda x, t: -x[[0, 1], t]),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("loss", "x", "t", "formula"), LOSSES.values(), ids=list(LOSSES))
def test_losses(loss: Any, x: Any, t: Any, formula: Any, reduction: str) -> None:
    reduce = {"mean": np.mean, "sum": np.sum, "none": lambda entries: entries}[reduction]
    module = loss(reduction=reduction)
    inputs = tg.tensor(x, requires_grad=True)
    found = module(inputs, tg.tensor(t))
    np.testing.assert_allclose(found.numpy(), reduce(formula(x, t)), rtol=1e-14)
    found.sum().backward()
    (expected,) = numerical_gradients(lambda x: np.sum(reduce(formula(x, t))), [x], [0])
    np.testing.assert_allclose(inputs.grad, expected, rtol=1e-9, atol=1e-10)


def test_a_class_axis_in_the_middle() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    t = np.array([[0, 1, 2, 0], [2, 2, 1, 0]])
    rows = np.moveaxis(x, 1, 2).reshape(8, 3)
    np.testing.assert_allclose(F.cross_entropy(x, t), F.cross_entropy(rows, t.ravel()), rtol=1e-14)
    np.testing.assert_allclose(F.nll_loss(x, t), F.nll_loss(rows, t.ravel()), rtol=1e-14)


@pytest.mark.parametrize(
    ("loss", "x", "t", "value", "gradient"),
    [
        (F.binary_cross_entropy_with_logits, [-1000.0, 1000.0], [1.0, 0.0], 2000, [-1, 1]),
        (F.binary_cross_entropy_with_logits, [-1000.0, 1000.0], [0.0, 1.0], 0, [0, 0]),
        (F.binary_cross_entropy_with_logits, [30.0], [1.0], 9.357622968839737e-14, [-9.348077867344255e-14]),
        (F.binary_cross_entropy, [0.0, 1.0], [1.0, 0.0], 200, [-1e12, 1e12]),
        (F.binary_cross_entropy, [0.0, 1.0], [0.0, 1.0], 0, [0, 0]),
        (F.cross_entropy, [-1000.0, 1000.0], 0, 2000, [-1, 1]),
        (F.mse_loss, [1000.0], [-1000.0], 4e6, [4000]),
        (F.l1_loss, [1000.0], [-1000.0], 2000, [1]),
        (F.huber_loss, [1000.0], [-1000.0], 1999.5, [1]),
    ],
)
def test_losses_are_exact_and_finite_far_out(loss: Any, x: Any, t: Any, value: float, gradient: Any) -> None:
    inputs = tg.tensor(x, requires_grad=True)
    found = loss(inputs, np.array(t), reduction="sum")
    np.testing.assert_allclose(float(found), value, rtol=1e-13)
    found.backward()
    np.testing.assert_allclose(inputs.grad, gradient, rtol=1e-12, atol=1e-15)


def test_a_saturated_sigmoid_gives_its_loss_a_finite_gradient() -> None:
    z = tg.tensor([-1000.0], requires_grad=True)
    F.binary_cross_entropy(F.sigmoid(z), np.array([1.0])).backward()
    assert np.isfinite(z.grad.numpy()).all()


Z = np.zeros((2, 3))
ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "features": (lambda: nn.Linear(13, 8)(np.ones((5, 14))), ShapeError, r"Linear\(13, 8\) needs 13 .*\(5, 14\)"),
    "no features": (lambda: nn.Linear(0, 8), InputError, "whole numbers of features.*got 0"),
    "features as text": (lambda: nn.Linear("a", 2), InputError, "got 'a'"),
    "integer parameters": (lambda: nn.Linear(2, 2, dtype=int), UsageError, "int64"),
    "a list of modules": (lambda: nn.Sequential([nn.ReLU()]), UsageError, "one by one"),
    "a class as a module": (lambda: nn.Sequential(nn.ReLU), UsageError, "one by one"),
    "weight": (lambda: F.linear(tg.tensor(X), np.ones(3), np.ones(1)), ShapeError, r"weight \(out, in\)"),
    "mse shapes": (lambda: F.mse_loss(np.ones((3, 1)), np.ones(3)), ShapeError, r"\(3, 1\).*\(3,\)"),
    "logits shapes": (lambda: F.binary_cross_entropy_with_logits(np.ones((3, 1)), np.ones(3)), ShapeError, "broadcast"),
    "label above": (lambda: F.cross_entropy(Z, np.array([0, 3])), InputError, "0 … 2, got 3"),
    "label below": (lambda: F.nll_loss(Z, np.array([0, -1])), InputError, "0 … 2, got -1"),
    "label dtype": (lambda: F.cross_entropy(Z, np.array([0.0, 1.0])), UsageError, "float64.*astype"),
    "label shape": (lambda: F.cross_entropy(Z, np.array([0, 1, 2])), ShapeError, r"shape \(2,\), got \(3,\)"),
    "no classes": (lambda: F.cross_entropy(np.array(1.0), np.array(0)), ShapeError, "axis of classes"),
    "probability": (lambda: nn.BCELoss()(np.array([1.5]), np.array([1.0])), InputError, r"\[0, 1\], got 1\.5.*sigmoid"),
    "probability nan": (lambda: nn.BCELoss()(np.array([np.nan]), np.array([1.0])), InputError, "got nan"),
    "target": (lambda: nn.BCELoss()(np.array([0.5]), np.array([2.0])), InputError, "targets.*got 2"),
    "reduction": (lambda: nn.MSELoss("average"), InputError, "'mean', 'sum' or 'none', got 'average'"),
    "function's reduction": (lambda: F.mse_loss(X, X, "average"), InputError, "'average'"),
    "delta": (lambda: nn.HuberLoss(delta=0), InputError, "positive, got 0"),
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
