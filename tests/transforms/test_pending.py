"""Gradients with respect to tensors, whose history is made on request: the same as a history made at once."""

import gc
import weakref
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.checking.auditing.anomaly import detect_anomaly
from tinygrad_lite.engine.backward import history
from tinygrad_lite.engine.tensor import positive
from tinygrad_lite.errors import AnomalyError, GraphError
from tinygrad_lite.nn import functional as F
from tinygrad_lite.transforms import pending
from tinygrad_lite.transforms.dual import Pullback

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))
LAYERS: dict[str, Callable[[], Any]] = {
    "tanh": lambda: nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, rng=1)),
    "normalised": lambda: nn.Sequential(nn.Linear(3, 4, rng=0), nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 2, rng=1)),
    "recurrent": lambda: nn.Sequential(nn.GRU(3, 2, batch_first=True, rng=0), _First()),
    "linear": lambda: nn.Linear(3, 2, rng=0),
}


class _First(nn.Module):
    def forward(self, both: Any) -> Any:
        return both[0]


def loss(model: Any, x: Any) -> Any:
    return F.mse_loss(model(x), Y)


def penalty(model: Any) -> Any:
    """A function of the gradient by the parameters and by the input."""
    gradient, by_x = tg.grad(loss, (0, 1))(model, tg.tensor(X, requires_grad=True))
    return sum(np.sum(np.sin(g)) for g in (*gradient.values(), by_x)) + loss(model, X)


def norm_of_gradient(model: Any) -> Any:
    return sum(np.sum(g**2) for g in tg.grad(penalty)(model).values())


@pytest.mark.parametrize("f", [penalty, norm_of_gradient])
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_backward_goes_through_as_a_transform_does(make: Callable[[], Any], f: Callable[[Any], Any]) -> None:
    model = make()
    f(model).backward()
    for path, expected in tg.grad(f)(model).items():
        found = model.get_parameter(path).grad
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_the_numbers_are_those_of_a_history_made_at_once(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make()
    value, found = tg.value_and_grad(loss)(model, X)
    monkeypatch.setattr(pending, "_is_needed_now", lambda *_: True)
    other, expected = tg.value_and_grad(loss)(model, X)
    assert value.item() == other.item()
    for name, g in expected.items():
        assert found[name].requires_grad
        np.testing.assert_allclose(found[name].detach(), g.detach(), rtol=1e-12, atol=1e-15)


def test_a_history_is_made_only_if_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    make = pending.Later.make
    monkeypatch.setattr(pending.Later, "make", lambda self: (made.append(self), make(self)))
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    by_w, by_x = tg.grad(lambda w, x: np.sum(np.sin(w) * x), (0, 1))(w, X[0, :2])
    assert not made
    np.sum(by_w + by_x).backward()
    assert len({id(x) for x in made}) == 1
    np.testing.assert_allclose(w.grad, np.cos([1.0, 2.0]) - np.sin([1.0, 2.0]) * X[0, :2], rtol=1e-12)


def of_each(model: Any, scale: Any, x: Any, y: Any) -> Any:
    return tg.grad(lambda model: scale * F.mse_loss(model(x[None]), y[None]))(model)


def pulled(model: Any, x: Any, y: Any) -> Any:
    return tg.vjp(lambda model: model(x[None]), model)[1](y[None])[0]


STACKED: dict[str, Callable[[Any], list[Any]]] = {
    "of a stack": lambda model: list(tg.vmap(of_each, (None, None, 0, 0))(model, 1.0, X, Y).values()),
    "of stacks of a stack": lambda model: list(
        tg.vmap(lambda x, y: tg.vmap(lambda s: of_each(model, s, x, y))(np.array([1.0, 2.0])))(X, Y).values()
    ),
    "of a pullback": lambda model: list(tg.vmap(pulled, (None, 0, 0))(model, X, Y).values()),
}
ONE_BY_ONE: dict[str, Callable[[Any], list[Any]]] = {
    "of a stack": lambda model: [g for x, y in zip(X, Y) for g in of_each(model, 1.0, x, y).values()],
    "of stacks of a stack": lambda model: [
        g for x, y in zip(X, Y) for s in (1.0, 2.0) for g in of_each(model, s, x, y).values()
    ],
    "of a pullback": lambda model: [g for x, y in zip(X, Y) for g in pulled(model, x, y).values()],
}


@pytest.mark.parametrize("name", STACKED)
@pytest.mark.parametrize("make", [LAYERS["tanh"], LAYERS["normalised"]], ids=["tanh", "normalised"])
def test_gradients_under_vmap_wait_as_well(make: Callable[[], Any], name: str) -> None:
    model = make()

    def penalty(gradients: list[Any]) -> Any:
        return sum(np.sum(np.sin(g)) for g in gradients)

    stacked = STACKED[name](model)
    assert all(map(pending.is_pending, stacked))
    penalty(stacked).backward()
    found = {path: p.grad for path, p in model.named_parameters()}
    assert sum(g is not None for g in found.values()) >= 3
    for path, expected in tg.grad(lambda model: penalty(ONE_BY_ONE[name](model)))(model).items():
        for g in (found[path], tg.grad(lambda model: penalty(STACKED[name](model)))(model)[path].numpy()):
            np.testing.assert_allclose(0.0 if g is None else g, expected.numpy(), rtol=1e-9, atol=1e-12)


def test_each_of_a_chain_of_gradients_is_older_than_what_uses_it() -> None:
    """w - rate · ∂loss/∂w, ten times, as a loop writes it; then backward through all of them."""

    def loss(w: Any) -> Any:
        return np.sum(np.cos(w) * w)

    def trained(w: Any) -> Any:
        for _ in range(10):
            w = w - 0.1 * tg.grad(loss)(w)
        return loss(w)

    w = tg.tensor([0.5, -1.0, 2.0], requires_grad=True)
    trained(w).backward()
    np.testing.assert_allclose(w.grad, tg.grad(trained)(w.numpy()), rtol=1e-12)


def test_an_upstream_gradient_and_a_second_pass() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    _, pull = tg.vjp(lambda w: w**3, w)
    gradient = pull(np.array([1.0, 10.0]))[0]
    for count in (1, 2):
        np.sum(gradient).backward(retain_graph=True)
        np.testing.assert_allclose(w.grad, count * 6 * np.array([1.0, 20.0]), rtol=1e-12)


def test_nothing_is_held_longer_than_its_graph() -> None:
    gc.disable()
    try:
        w = tg.tensor([1.0, 2.0], requires_grad=True)
        asked, unasked = tg.grad(lambda w: np.sum(w**3))(w), tg.grad(lambda w: np.sum(w**3))(w)
        np.sum(asked).backward()
        references = [weakref.ref(x) for x in (asked, unasked, w)]
        del asked, unasked, w
        assert [reference() for reference in references] == [None, None, None]
    finally:
        gc.enable()


def test_a_freed_graph_is_an_error() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    value, gradient = tg.value_and_grad(lambda w: np.sum(w**3))(w)
    value.backward()
    with pytest.raises(GraphError, match="result of power was freed by an earlier backward pass"):
        np.sum(gradient).backward()
    value, pull = tg.vjp(lambda w: np.sum(w**3), w)
    value.backward()
    with pytest.raises(GraphError, match="freed by an earlier backward pass"):
        pull(1.0)


def test_threads_may_ask_at_once() -> None:
    w = tg.tensor(RNG.normal(size=50), requires_grad=True)
    for _ in range(20):
        gradient, barrier, found = tg.grad(lambda w: np.sum(np.sin(w) * w))(w), Barrier(4), []

        def ask(gradient: Any = gradient, barrier: Barrier = barrier, found: list[Any] = found) -> None:
            barrier.wait()
            with tg.no_grad():
                found.append(Pullback([gradient], [w])([np.ones(50)])[0])

        threads = [Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = 2 * np.cos(w.numpy()) - w.numpy() * np.sin(w.numpy())
        assert len(found) == 4
        for g in found:
            np.testing.assert_allclose(g, expected, rtol=1e-12)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_a_history_is_the_same_operation_by_operation(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()

    def operations() -> list[str]:
        nodes = history([penalty(model)])
        assert all(node.inputs is not None for node in nodes)
        return sorted(node.op.name for node in nodes if node.op is not positive)

    found = operations()
    monkeypatch.setattr(pending, "_is_needed_now", lambda *_: True)
    assert found == operations()


def test_the_search_for_nan_looks_into_a_history() -> None:
    w = tg.tensor([1.0, 4.0], requires_grad=True)
    with detect_anomaly():
        gradient = tg.grad(lambda w: np.sum(np.sqrt(w) ** 3))(w)
        np.sum(gradient).backward()
    np.testing.assert_allclose(w.grad, 0.75 / np.sqrt([1.0, 4.0]))
    w = tg.tensor([1.0, 0.0], requires_grad=True)
    with pytest.raises(AnomalyError, match="sqrt"), detect_anomaly(), np.errstate(all="ignore"):
        np.sum(tg.grad(lambda w: np.sum(np.sqrt(w) ** 3))(w)).backward()


def test_an_upstream_tensor_counts_with_its_numbers_at_the_pull() -> None:
    w, upstream = tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor([3.0, 4.0])
    _, pull = tg.vjp(lambda w: w**2, w)
    gradient = pull(upstream)[0]
    with tg.no_grad():
        upstream *= 100.0
    np.sum(gradient).backward()
    np.testing.assert_allclose(w.grad, [6.0, 8.0])


def test_a_rule_by_hand_runs_once() -> None:
    """It may draw random numbers, say; the history then has to be that of these."""
    rng, drawn = np.random.default_rng(0), []

    @tg.custom_gradient
    def noisy(x: Any) -> Any:
        def rule(g: Any) -> Any:
            drawn.append(rng.normal())
            return g * x * drawn[-1]

        return x**2, rule

    w = tg.tensor([1.0, 2.0], requires_grad=True)
    gradient = tg.grad(lambda w: np.sum(noisy(w)))(w)
    np.sum(gradient).backward()
    assert len(drawn) == 1
    np.testing.assert_allclose(gradient.detach(), drawn[0] * w.numpy())
    np.testing.assert_allclose(w.grad, drawn * 2)
