"""Optimisers: their formulas step by step, their state, and their errors. (PyTorch's own are in tests/compare.)"""

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, optim
from tinygrad_lite.errors import InputError, ShapeError, UsageError

SETTINGS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.05),
    "SGD momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9),
    "SGD nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: optim.Adam(p, lr=0.05),
    "Adam decay": lambda p: optim.Adam(p, lr=0.05, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.05, weight_decay=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01),
    "RMSprop all": lambda p: optim.RMSprop(p, lr=0.01, alpha=0.9, weight_decay=0.01, momentum=0.5, centered=True),
}


def target(w: tg.Tensor, b: tg.Tensor) -> tg.Tensor:
    return np.sum((w @ np.array([1.0, -2.0]) - 1) ** 2) + np.sum(np.cos(b) * w[:, 0])


def descend(optimizer: optim.Optimizer, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = target(*optimizer.parameters)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses


def start() -> list[tg.Tensor]:
    w = np.array([[0.5, -0.2], [1.5, 0.3]])
    return [tg.tensor(w, requires_grad=True, name="w"), tg.tensor([0.1, 2.0], requires_grad=True, name="b")]


@pytest.mark.parametrize("make", SETTINGS.values(), ids=list(SETTINGS))
def test_the_loss_goes_down(make: Callable[[Any], optim.Optimizer]) -> None:
    losses = descend(make(start()), 100)
    assert losses[-1] < losses[0] - 1


@pytest.mark.parametrize("make", SETTINGS.values(), ids=list(SETTINGS))
@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_state_goes_on_where_it_stopped(make: Callable[[Any], optim.Optimizer], again: Callable[[Any], Any]) -> None:
    optimizer = make(start())
    descend(optimizer, 5)
    state = again(optimizer.state_dict())
    other = make([tg.tensor(p.numpy(), requires_grad=True) for p in optimizer.parameters])
    other.load_state_dict(state)
    assert descend(optimizer, 5) == descend(other, 5)
    assert descend(again(optimizer), 3) == descend(optimizer, 3)


def test_sgd_by_hand() -> None:
    w = tg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1, momentum=0.5)
    m, expected = np.zeros(2), np.array([1.0, -2.0])
    for _ in range(3):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        m = 0.5 * m + 2 * expected
        expected = expected - 0.1 * m
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-15)


def test_adam_by_hand() -> None:
    w = tg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1)
    expected, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    for t in range(1, 6):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        g = 2 * expected
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        expected = expected - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("make", SETTINGS.values(), ids=list(SETTINGS))
def test_float32_parameters_stay_float32(make: Callable[[Any], optim.Optimizer]) -> None:
    w = tg.tensor(np.ones(3, np.float32), requires_grad=True)
    optimizer = make([w])
    optimizer.lr = np.float64(optimizer.lr)
    for _ in range(3):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
    assert w.dtype == np.float32


def test_old_graphs_keep_their_values() -> None:
    (w, _) = start()
    loss = (w * w).sum()
    before = w.numpy()
    loss.backward(retain_graph=True)
    optim.SGD([w], lr=0.1).step()
    w.grad = None
    loss.backward()
    np.testing.assert_array_equal(w.grad, 2 * before)


def test_parameters_without_a_gradient_are_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Linear(2, 1, rng=1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model[0](np.ones(2)).sum().backward()
    before = model.state_dict()
    with pytest.warns(UserWarning, match=r"no gradient for parameter 1\.weight, 1\.bias"):
        optimizer.step()
    np.testing.assert_array_equal(model[1].weight.numpy(), before["1.weight"])
    assert not np.array_equal(model[0].weight.numpy(), before["0.weight"])
    model[1].weight.requires_grad = model[1].bias.requires_grad = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()  # frozen parameters are left out on purpose


x = tg.tensor(1.0, requires_grad=True)
ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "lr zero": (lambda: optim.SGD([x], lr=0), InputError, "lr must be positive, got 0"),
    "lr negative": (lambda: optim.Adam([x], lr=-1e-3), InputError, "lr must be positive"),
    "lr nan": (lambda: optim.Adam([x], lr=float("nan")), InputError, "lr must be positive"),
    "lr text": (lambda: optim.SGD([x], lr="fast"), UsageError, "lr must be a number, got 'fast'"),
    "momentum": (lambda: optim.SGD([x], momentum=-1), InputError, "momentum must not be negative"),
    "nesterov": (lambda: optim.SGD([x], nesterov=True), InputError, "nesterov needs momentum"),
    "betas": (lambda: optim.Adam([x], betas=(0.9, 1.0)), InputError, r"betas\[1\] must lie in \[0, 1\)"),
    "one beta": (lambda: optim.Adam([x], betas=0.9), InputError, "two numbers"),
    "eps": (lambda: optim.RMSprop([x], eps=0), InputError, "eps must be positive"),
    "arrays": (lambda: optim.SGD([np.ones(2)]), UsageError, "got ndarray"),
    "one tensor": (lambda: optim.SGD(x), UsageError, "iterable of tensors"),
    "a module": (lambda: optim.SGD(nn.Linear(1, 1)), UsageError, r"model\.parameters\(\)"),
    "nothing": (lambda: optim.SGD(nn.ReLU().parameters()), InputError, "no parameters"),
    "a result": (lambda: optim.SGD([x * 2]), UsageError, "leaves with requires_grad=True"),
    "a constant": (lambda: optim.SGD([tg.tensor(1.0)]), UsageError, "leaves with requires_grad=True"),
    "twice": (lambda: optim.SGD([x, x]), InputError, "twice"),
    "no formula": (lambda: step_of(optim.Optimizer([tg.tensor(1.0, requires_grad=True)], 1.0)), UsageError, "update"),
}


def test_an_update_of_another_shape_is_refused() -> None:
    class Wrong(optim.Optimizer):
        def update(self, w: Any, g: Any, state: Any) -> Any:
            return np.ones(7)

    w = tg.tensor(np.ones(2), requires_grad=True)
    with pytest.raises(ShapeError, match=r"returned array.*\(2,\)"):
        step_of(Wrong([w], 1.0))
    assert w.shape == (2,)


def step_of(optimizer: optim.Optimizer) -> None:
    (optimizer.parameters[0] * 2).sum().backward()
    optimizer.step()


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(attempt: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    optimizer = optim.Adam(start(), lr=0.1)
    descend(optimizer, 2)
    before = repr(optimizer.state_dict())
    with pytest.raises(InputError, match="does not fit Adam of 2 parameters"):
        optimizer.load_state_dict(optim.SGD(start(), lr=0.1).state_dict())
    with pytest.raises(InputError, match="1 parameters"):
        optimizer.load_state_dict(optim.Adam([x], lr=0.1).state_dict())
    with pytest.raises(InputError, match="settings and state"):
        optimizer.load_state_dict({})
    state = optimizer.state_dict()
    state["state"][1]["mean"] = np.ones(7)
    with pytest.raises(ShapeError, match=r"mean must have its parameter\'s shape .*, got \(7,\)"):
        optimizer.load_state_dict(state)
    assert repr(optimizer.state_dict()) == before
