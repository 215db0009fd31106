"""Gradients that a compiled function returns have the function's own history, which is made by running it again."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, optim
from tinygrad_lite.compiler.pullback import Rerun
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.errors import GraphError
from tinygrad_lite.nn import functional as F

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))


def network() -> Any:
    return nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, rng=1))


def loss(model: Any, x: Any) -> Any:
    return F.mse_loss(model(x), Y)


def both(model: Any, x: Any) -> Any:
    return tg.value_and_grad(loss)(model, x)


def by_input(model: Any, x: Any) -> Any:
    return tg.value_and_grad(loss, (0, 1))(model, x)


def adapted(model: Any, x: Any) -> Any:
    """A gradient, and what is made of it."""
    value, gradient = tg.value_and_grad(loss)(model, x)
    return value, {**gradient, "next": [p - 0.1 * gradient[name] for name, p in model.named_parameters()]}


def trained(model: Any, x: Any) -> Any:
    """A gradient beside a change of the weights, which cannot be repeated."""
    value, gradient = tg.value_and_grad(loss)(model, x)
    with tg.no_grad():
        for name, p in model.named_parameters():
            p -= 0.1 * gradient[name].detach()
    return value, gradient


def total(result: Any) -> Any:
    """A number that every entry of the gradients moves."""
    value, gradients = result
    leaves: list[Any] = []

    def collect(tree: Any) -> None:
        if isinstance(tree, (dict, list, tuple)):
            for part in tree.values() if isinstance(tree, dict) else tree:
                collect(part)
        else:
            leaves.append(tree)

    collect(gradients)
    return value + sum(np.sum(np.sin(g)) for g in leaves)


def gradients_through(step: Callable[..., Any], model: Any, x: Any) -> list[Any]:
    total(step(model, x)).backward()
    return [p.grad.numpy() for p in model.parameters()]


@pytest.mark.long
@pytest.mark.parametrize("step", [both, by_input, adapted, trained])
def test_backward_goes_through_what_a_compiled_function_returns(backend: str, step: Callable[..., Any]) -> None:
    compiled, x = tg.compile(step, backend), tg.tensor(X, requires_grad=True)
    mine, other = network(), network()
    for _ in range(4):  # recorded, then run, then by the quickest way
        for model in (mine, other):
            model.zero_grad()
        found, expected = gradients_through(compiled, mine, x), gradients_through(step, other, x)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


def test_a_second_derivative_of_a_compiled_result(backend: str) -> None:
    compiled, model = tg.compile(both, backend), network()

    def norm(step: Callable[..., Any]) -> Any:
        model.zero_grad()
        total(step(model, X)).backward(create_graph=True)
        squares = sum(np.sum(p.grad**2) for p in model.parameters())
        model.zero_grad()
        squares.backward()
        return [p.grad.numpy() for p in model.parameters()]

    for _ in range(3):
        for a, b in zip(norm(compiled), norm(both), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8)


def test_weights_that_were_updated_since_are_an_error(backend: str) -> None:
    compiled, model = tg.compile(both, backend), network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        value, gradient = compiled(model, X)
        for name, p in model.named_parameters():
            p.grad = gradient[name].detach()
        optimizer.step()
    with pytest.raises(GraphError, match="both read was given new data before this pass: update it afterwards"):
        total((value, gradient)).backward()


def test_another_value_is_an_error(backend: str) -> None:
    scale = np.array([1.0])
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    compiled = tg.compile(lambda w: tg.grad(lambda w: np.sum(w**3) * scale[0])(w), backend)
    gradient = compiled(w)
    np.testing.assert_allclose(gradient.detach(), [3.0, 12.0])
    scale[0] = 2.0
    with pytest.raises(GraphError, match="returned another value when it ran again"):
        np.sum(gradient).backward()


def test_a_gradient_of_mere_rounding_has_a_history(backend: str) -> None:
    """At a minimum, the program and the function itself round to other numbers."""
    a, b = RNG.normal(size=(300, 5)), RNG.normal(size=300)
    w = tg.tensor(np.linalg.lstsq(a, b)[0], requires_grad=True)
    compiled = tg.compile(lambda w: tg.grad(lambda w: np.mean(np.square(a @ w - b)))(w), backend)
    for _ in range(3):
        w.grad = None
        gradient = compiled(w)
        np.sum(gradient).backward()
        np.testing.assert_allclose(gradient.detach(), np.zeros(5), atol=1e-14)
        np.testing.assert_allclose(w.grad, np.sum(2 / 300 * a.T @ a, axis=0), rtol=1e-12)


def test_another_number_in_an_attribute_is_an_error(backend: str) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            self.weight, self.scale = nn.Parameter(np.array([1.0, 2.0])), 1.0

    model = Scaled()
    compiled = tg.compile(lambda model: tg.grad(lambda w: np.sum(w**3) * model.scale)(model.weight), backend)
    for _ in range(3):
        gradient = compiled(model)
    model.scale = 2.0
    with pytest.raises(GraphError, match="returned another value when it ran again"):
        np.sum(gradient).backward()


def test_what_the_caller_writes_afterwards_does_not_matter(backend: str) -> None:
    compiled, model = tg.compile(both, backend), network()
    x = X.copy()
    for _ in range(3):
        result = compiled(model, x)
    x[:] = 0
    model.zero_grad()
    total(result).backward()
    found = [p.grad.numpy() for p in model.parameters()]
    model.zero_grad()
    for a, b in zip(found, gradients_through(both, model, X), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8)


def test_once_a_history_was_asked_for_the_next_programs_keep_it(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, model, calls = tg.compile(both, backend), network(), []
    monkeypatch.setattr(
        Rerun, "_again", lambda self, *args, again=Rerun._again: calls.append(self) or again(self, *args)
    )
    for _ in range(4):
        model.zero_grad()
        found = gradients_through(compiled, model, X)
        model.zero_grad()
        for a, b in zip(found, gradients_through(both, model, X), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8)
    assert len(calls) == 1


class Counting(nn.Module):
    """Scales by the number of its calls, which it keeps, and so has other gradients each time."""

    def __init__(self) -> None:
        self.calls = tg.tensor(0.0)

    def forward(self, x: Any) -> Any:
        self.calls.data = self.calls.data + 1
        return x * self.calls


REMEMBERING: dict[str, tuple[Callable[[], Any], bool]] = {
    "batch normalisation": (lambda: nn.BatchNorm1d(4), True),
    "its mean of all batches": (lambda: nn.BatchNorm1d(4, momentum=None), True),
    "instance normalisation": (
        lambda: nn.Sequential(nn.Unflatten(1, (2, 2)), nn.InstanceNorm1d(2, track_running_stats=True), nn.Flatten()),
        True,
    ),
    "a count that is divided away": (lambda: nn.Sequential(Counting(), nn.BatchNorm1d(4, eps=0.0)), False),
    "a count": (Counting, False),
}


@pytest.mark.long
@pytest.mark.parametrize("name", REMEMBERING)
def test_what_a_layer_remembers_is_no_reason_to_keep_the_history(backend: str, name: str) -> None:
    """The gradients of a training step do not depend on running statistics, which a second run moves and puts back."""
    layer, runs_again = REMEMBERING[name]
    (model, twin) = (nn.Sequential(nn.Linear(3, 4, rng=0), layer(), nn.Linear(4, 2, rng=1)) for _ in range(2))
    compiled = tg.compile(both, backend)
    for _ in range(3):
        result, expected = compiled(model, X), both(twin, X)
    (run,) = next(iter(compiled._runs.values()))
    assert isinstance(run._pullback, Rerun) == runs_again
    total(result).backward()
    total(expected).backward()
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-8, atol=1e-12)
    for _ in range(2):  # the history was asked for: the next program keeps it
        for a, b in zip(model.buffers(), twin.buffers(), strict=True):
            np.testing.assert_allclose(a.data, b.data, rtol=1e-12)
        compiled(model, X), both(twin, X)


def test_a_gradient_that_reads_nothing_from_outside_is_computed_once(backend: str, monkeypatch: Any) -> None:
    """A pass that asks for the mode of its rules, as if they met a tensor from outside, starts again with a graph."""

    def f(x: Any) -> Any:
        return np.sum(np.sin(x) ** 2)

    custom = tg.custom_gradient(lambda x: (np.sin(x), lambda g: g * np.cos(x)))
    functions = [tg.compile(f, backend=backend), tg.checkpoint(f), lambda x: np.sum(custom(x)), f]
    x = np.array([0.3, -0.4])
    expected = [tg.grad(function)(x) for function in functions]
    monkeypatch.setattr(grad_mode.Watch, "__bool__", lambda self: pytest.fail("the mode was asked for"))
    for function, slope in zip(functions, expected):
        np.testing.assert_array_equal(tg.grad(function)(x), slope)
