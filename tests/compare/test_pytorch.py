"""Against PyTorch: gradients, losses, layers, state dicts, and whole optimiser trajectories."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, optim
from tinygrad_lite.nn import functional as F

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")

X = np.random.default_rng(0).normal(size=(6, 4))
T = np.random.default_rng(1).random((6, 4))
LABELS = np.array([0, 3, 2, 1, 1, 0])

FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "relu": (F.relu, lambda x: torch.relu(x)),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), lambda x: torch.nn.functional.leaky_relu(x, 0.2)),
    "sigmoid": (F.sigmoid, lambda x: torch.sigmoid(x)),
    "softplus": (F.softplus, lambda x: torch.nn.functional.softplus(x, threshold=1e9)),
    "softmax": (F.softmax, lambda x: torch.softmax(x, -1)),
    "log_softmax": (F.log_softmax, lambda x: torch.log_softmax(x, -1)),
    "gelu": (F.gelu, lambda x: torch.nn.functional.gelu(x)),
    "silu": (F.silu, lambda x: torch.nn.functional.silu(x)),
    "logsumexp": (lambda x: F.logsumexp(x, 1), lambda x: torch.logsumexp(x, 1)),
    "std": (lambda x: np.std(x, axis=0, ddof=1), lambda x: torch.std(x, 0)),
    "mse": (lambda x: F.mse_loss(x, T), lambda x: torch.nn.functional.mse_loss(x, torch.tensor(T))),
    "l1": (lambda x: F.l1_loss(x, T), lambda x: torch.nn.functional.l1_loss(x, torch.tensor(T))),
    "huber": (
        lambda x: F.huber_loss(x, T, delta=0.5),
        lambda x: torch.nn.functional.huber_loss(x, torch.tensor(T), delta=0.5),
    ),
    "bce with logits": (
        lambda x: F.binary_cross_entropy_with_logits(x, T),
        lambda x: torch.nn.functional.binary_cross_entropy_with_logits(x, torch.tensor(T)),
    ),
    "bce": (
        lambda x: F.binary_cross_entropy(F.sigmoid(x), T, reduction="sum"),
        lambda x: torch.nn.functional.binary_cross_entropy(torch.sigmoid(x), torch.tensor(T), reduction="sum"),
    ),
    "bce at the ends": (
        lambda x: F.binary_cross_entropy((x > 0) * 1.0 + 0 * x, np.ones_like(T)),
        lambda x: torch.nn.functional.binary_cross_entropy((x > 0) * 1.0 + 0 * x, torch.ones(6, 4).double()),
    ),
    "cross entropy": (
        lambda x: F.cross_entropy(x, LABELS),
        lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(LABELS)),
    ),
    "cross entropy of probabilities": (
        lambda x: F.cross_entropy(x, T),
        lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(T)),
    ),
    "nll": (
        lambda x: F.nll_loss(F.log_softmax(x), LABELS, reduction="sum"),
        lambda x: torch.nn.functional.nll_loss(torch.log_softmax(x, 1), torch.tensor(LABELS), reduction="sum"),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_functions_and_gradients(ours: Callable[[Any], Any], theirs: Callable[[Any], Any]) -> None:
    x, z = tg.tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    y, w = ours(x), theirs(z)
    np.testing.assert_allclose(y.numpy(), w.detach().numpy(), rtol=1e-13)
    weight = np.cos(np.arange(y.size)).reshape(y.shape)
    y.backward(weight)
    w.backward(torch.tensor(weight).reshape(w.shape))
    np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=1e-12, atol=1e-15)


def networks() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    ours = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_a_state_dict_of_pytorch_loads_unchanged() -> None:
    ours, theirs = networks()
    np.testing.assert_allclose(ours(X).numpy(), theirs(torch.tensor(X)).detach().numpy(), rtol=1e-14)


OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {"lr": 0.1}),
    "SGD momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
    "SGD decay": ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    "SGD nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    "Adam": ("Adam", {"lr": 0.01}),
    "Adam decay": ("Adam", {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-7, "weight_decay": 0.01}),
    "AdamW": ("AdamW", {"lr": 0.01}),
    "AdamW decay": ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    "RMSprop": ("RMSprop", {"lr": 0.01}),
    "RMSprop momentum": ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.9, "weight_decay": 0.01}),
    "RMSprop centered": ("RMSprop", {"lr": 0.01, "centered": True}),
}


@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def test_a_hundred_steps_of_training(name: str, settings: dict[str, Any]) -> None:
    """Each step from the same weights, while each optimiser keeps its own state: to a few units of the last place.

    Two trainings that only start from the same weights drift apart, by as much as a hundred steps amplify the rounding
    of a machine's matrix products. No tolerance is right for that: it would hide faults on one machine and fail on
    another. What is near 1 here, and what rounding is relative to, are the targets, activations and weights.
    """
    model, network = networks()
    y = T[:, :1]
    ours = getattr(optim, name)(model.parameters(), **settings)
    theirs = getattr(torch.optim, name)(network.parameters(), **settings)
    losses = []
    for _ in range(100):
        network.load_state_dict({path: torch.tensor(array) for path, array in model.state_dict().items()})
        ours.zero_grad()
        loss = F.mse_loss(model(X), y)
        loss.backward()
        theirs.zero_grad()
        expected = torch.nn.functional.mse_loss(network(torch.tensor(X)), torch.tensor(y))
        expected.backward()
        losses.append(float(loss))
        np.testing.assert_allclose(losses[-1], float(expected.detach()), rtol=1e-13, atol=1e-16)
        for p, q in zip(model.parameters(), network.parameters(), strict=True):
            np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-13, atol=1e-14)
        ours.step()
        theirs.step()
        for p, q in zip(model.parameters(), network.parameters(), strict=True):
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-13, atol=1e-14)
    assert losses[-1] < losses[0] / 2
