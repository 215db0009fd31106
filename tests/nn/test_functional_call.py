"""Modules run with other parameters than their own, and derivatives with respect to a module's own parameters."""

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, trees
from tinygrad_lite.errors import GraphError, InputError, TinygradWarning, UsageError
from tinygrad_lite.nn import functional as F

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 1))


class Net(nn.Module):
    """Parameters in all places where they may be: fields, a list, a tuple in a dict, a bound method's module; tied."""

    def __init__(self) -> None:
        self.first = nn.Linear(3, 4, rng=1)
        self.blocks = [nn.Sequential(nn.Linear(4, 4, rng=2), nn.Tanh()), np.tanh]
        self.heads = {"out": (nn.Linear(4, 1, rng=3), tg.tensor(0.5, requires_grad=True))}
        self.tied = self.first
        self.shift = self._shift
        self.mean = tg.tensor(np.full(4, 0.25))
        self.mask = np.array([1.0, 0.0, 1.0, 1.0])
        self.calls = 0

    def _shift(self, x: Any) -> Any:
        return x - self.mean + self.tied.bias

    def forward(self, x: Any) -> Any:
        self.calls += 1
        x = self.shift(np.tanh(self.first(x)) * self.mask)
        for block in self.blocks:
            x = block(x)
        head, scale = self.heads["out"]
        return head(x) * scale


def loss(module: Any) -> Any:
    return F.mse_loss(module(X), T)


def penalised(module: Any) -> Any:
    return loss(module) + 0.1 * sum(np.sum(p**2) for p in module.parameters())


def expected_gradient(f: Callable[[Any], Any], model: nn.Module) -> dict[str, Any]:
    model.zero_grad()
    f(model).backward()
    found = {path: p.grad.numpy() for path, p in model.named_parameters()}
    model.zero_grad()
    return found


def assert_same(found: Any, expected: Any) -> None:
    assert found.keys() == expected.keys()
    for path in expected:
        np.testing.assert_allclose(np.asarray(found[path].detach()), expected[path], rtol=1e-12, atol=1e-14)


def _by_functional_call(f: Callable[[Any], Any], model: nn.Module) -> Any:
    return tg.grad(lambda state: f(lambda x: nn.functional_call(model, state, x)))(dict(model.named_parameters()))


GRADIENTS: dict[str, Callable[[Callable[[Any], Any], nn.Module], Any]] = {
    "grad": lambda f, m: tg.grad(f)(m),
    "value_and_grad": lambda f, m: tg.value_and_grad(f)(m)[1],
    "vjp": lambda f, m: tg.vjp(f, m)[1](1.0)[0],
    "jacobian in reverse": lambda f, m: tg.jacobian(f, mode="reverse")(m),
    "jacobian forward": lambda f, m: tg.jacobian(f, mode="forward")(m),
    "among other arguments": lambda f, m: tg.grad(lambda x, tree: x * f(tree["model"][0]), argnums=1)(
        1.0, {"model": [m]}
    )["model"][0],
    "of a checkpoint": lambda f, m: tg.grad(tg.checkpoint(f))(m),
    "inside no_grad": lambda f, m: tg.no_grad()(lambda: tg.grad(f)(m))(),
}


@pytest.mark.parametrize("transform", GRADIENTS.values(), ids=GRADIENTS)
@pytest.mark.parametrize("f", [loss, penalised])
def test_a_module_stands_for_the_dict_of_its_parameters(f: Any, transform: Callable[..., Any]) -> None:
    model = Net()
    before = dict(vars(model))
    expected = expected_gradient(f, model)
    assert_same(transform(f, model), expected)
    assert {**vars(model), "calls": 0} == {**before, "calls": 0}
    assert model.calls > before["calls"]


def test_functional_call_gives_the_same_gradients() -> None:
    model = Net()
    assert_same(_by_functional_call(loss, model), expected_gradient(loss, model))


def test_jvp_is_the_gradient_along_the_tangent() -> None:
    model = Net()
    tangent = {path: RNG.normal(size=p.shape) for path, p in model.named_parameters()}
    gradient = expected_gradient(penalised, model)
    value, change = tg.jvp(penalised, (model,), (tangent,))
    np.testing.assert_allclose(value.detach(), penalised(model).detach())
    np.testing.assert_allclose(change.detach(), sum(np.sum(gradient[path] * tangent[path]) for path in tangent))
    with pytest.raises(UsageError, match="the containers do not match"):
        tg.jvp(penalised, (model,), (list(tangent.values()),))


def _flat(tree: Any) -> Any:
    return np.concatenate([np.ravel(part) for part in tree.values()])


def test_second_derivatives() -> None:
    model = Net()
    tangent = {path: RNG.normal(size=p.shape) for path, p in model.named_parameters()}
    h = 1e-6

    def gradient_at(step: float) -> Any:
        state = {path: p.numpy() + step * tangent[path] for path, p in model.named_parameters()}
        return _flat(tg.grad(lambda state: F.mse_loss(nn.functional_call(model, state, X), T))(state))

    expected = (gradient_at(h) - gradient_at(-h)) / (2 * h)
    product = tg.hvp(loss, (model,), (tangent,))
    np.testing.assert_allclose(_flat(product).detach(), expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(_flat(tg.jvp(tg.grad(loss), (model,), (tangent,))[1]).detach(), expected, atol=1e-8)
    hessian = tg.hessian(loss)(model)
    rows = [sum(np.tensordot(row[path].detach(), t, t.ndim) for path, t in tangent.items()) for row in hessian.values()]
    np.testing.assert_allclose(np.concatenate([np.ravel(row) for row in rows]), expected, rtol=1e-6, atol=1e-8)


def test_learning_to_learn() -> None:
    """MAML: the gradient of the loss after a step of gradient descent, which itself is a gradient."""
    model = Net()

    def adapted(module: Any) -> Any:
        gradient = tg.grad(loss)(module)
        return {path: p - 0.1 * gradient[path] for path, p in module.named_parameters()}

    def after_a_step(module: Any) -> Any:
        return F.mse_loss(nn.functional_call(module, adapted(module), X + 1), T)

    found = tg.grad(after_a_step)(model)
    start, h = {path: p.numpy() for path, p in model.named_parameters()}, 1e-6
    tangent = {path: RNG.normal(size=a.shape) for path, a in start.items()}
    ends = []
    for step in (h, -h):
        state = {**model.state_dict(), **{path: start[path] + step * t for path, t in tangent.items()}}
        state |= {f"tied.{name}": state[f"first.{name}"] for name in ("weight", "bias")}
        model.load_state_dict(state)
        ends.append(float(after_a_step(model)))
    expected = (ends[0] - ends[1]) / (2 * h)
    np.testing.assert_allclose(float(np.dot(_flat(found).detach(), _flat(tangent))), expected, rtol=1e-6)


def test_a_gradient_with_respect_to_a_module_has_a_history_unless_under_no_grad() -> None:
    model = nn.Linear(3, 1, rng=0)
    gradient = tg.grad(loss)(model)
    sum(np.sum(g**2) for g in gradient.values()).backward()
    assert np.any(model.weight.grad.numpy())
    with tg.no_grad():
        value, gradient = tg.value_and_grad(loss)(model)
    assert not any(x.requires_grad for x in (value, *gradient.values()))


def test_arrays_in_arrays_out() -> None:
    model = Net()
    state = {path: array for path, array in model.state_dict().items() if not path.startswith("tied")}
    value, gradient = tg.value_and_grad(lambda s: F.mse_loss(nn.functional_call(model, s, X, strict=True), T))(state)
    assert gradient.keys() == state.keys()
    assert not isinstance(value, tg.Tensor)
    assert all(type(g) is np.ndarray or isinstance(g, np.generic) for g in gradient.values())


def test_values_of_every_kind() -> None:
    model = Net()
    state = {path: 2 * array for path, array in model.state_dict().items() if not path.startswith("tied")}
    other = Net()
    other.load_state_dict({**state, **{f"tied.{name}": state[f"first.{name}"] for name in ("weight", "bias")}})
    expected = other(X).numpy()
    for kind in (np.asarray, tg.tensor, lambda a: tg.tensor(a, requires_grad=True)):
        found = nn.functional_call(model, {path: kind(array) for path, array in state.items()}, X)
        np.testing.assert_allclose(found.detach(), expected)
    np.testing.assert_allclose(nn.functional_call(model, state, (X,)).detach(), expected)


def test_a_partial_state_leaves_the_rest() -> None:
    layer = nn.Linear(3, 1, rng=0)
    found = nn.functional_call(layer, {"bias": np.array([10.0])}, X)
    np.testing.assert_allclose(found.detach(), X @ layer.weight.numpy().T + 10)
    with pytest.raises(InputError, match="missing weight"):
        nn.functional_call(layer, {"bias": np.zeros(1)}, X, strict=True)
    with pytest.raises(InputError, match="unknown biass"):
        nn.functional_call(layer, {"biass": np.zeros(1)}, X)


def test_a_tied_tensor_has_one_value() -> None:
    model, value = Net(), np.ones(4)
    for state in ({"first.bias": value}, {"tied.bias": value}, {"first.bias": value, "tied.bias": value.copy()}):
        other = Net()
        other.first.bias.data = value
        np.testing.assert_array_equal(nn.functional_call(model, state, X).detach(), other(X).detach())
    with pytest.raises(InputError, match=r"tied\.bias is one tensor under several names"):
        nn.functional_call(model, {"first.bias": value, "tied.bias": 2 * value}, X)


class Counting(nn.Module):
    """Writes into a buffer, and sets other fields anew."""

    def __init__(self) -> None:
        self.mean = tg.tensor(0.0)
        self.calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        self.last = x
        self.mean.data = self.mean + 1
        if self.calls == 3:
            raise ZeroDivisionError
        return x


def test_what_forward_writes() -> None:
    model, mean = Counting(), tg.tensor(10.0)
    nn.functional_call(model, {"mean": mean}, 5.0)
    assert (float(mean), float(model.mean), model.calls, model.last) == (11, 0, 1, 5.0)
    nn.functional_call(model, {}, 6.0)
    assert (float(mean), float(model.mean), model.calls, model.last) == (11, 1, 2, 6.0)
    with pytest.raises(ZeroDivisionError):
        nn.functional_call(model, {"mean": mean}, 7.0)
    assert (float(mean), float(model.mean), model.calls, model.last) == (12, 1, 3, 7.0)
    assert "_substitutes" not in vars(model)


def test_threads_do_not_see_one_another() -> None:
    layer = nn.Linear(1, 1, bias=False, rng=0)
    wrong = []

    def run(k: int) -> None:
        for _ in range(200):
            if float(nn.functional_call(layer, {"weight": np.array([[float(k)]])}, np.ones((1, 1)))[0, 0]) != k:
                wrong.append(k)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_frozen_parameters_are_no_variables() -> None:
    model = nn.Linear(3, 1, rng=0)
    model.bias.requires_grad = False
    assert tg.grad(loss)(model).keys() == {"weight"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.load_state_dict(m.state_dict()), r"functional_call\(module, state, \*inputs\)"),
        (lambda m: tg.optim.SGD(m.parameters()), "parameters must be leaves with requires_grad=True"),
    ],
)
def test_the_parameters_of_a_running_function_are_not_to_be_changed(change: Any, message: str) -> None:
    model = nn.Linear(3, 1, rng=0)

    def f(module: Any) -> Any:
        change(module)
        return loss(module)

    with pytest.raises(UsageError, match=message):
        tg.grad(f)(model)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_a_copy_does_not_lose_the_parameters(again: Callable[[Any], Any], mode: Any) -> None:
    model = nn.Linear(3, 1, rng=0)
    with pytest.raises((UsageError, GraphError), match="would lose"):
        tg.jacobian(lambda m: loss(again(m)), mode=mode)(model)
    found = tg.jacobian(lambda m: penalised(copy.copy(m)), mode=mode)(model)
    assert_same(found, expected_gradient(penalised, model))


def test_the_state_of_a_running_function_has_its_values() -> None:
    def f(module: Any) -> Any:
        return F.mse_loss(nn.functional_call(nn.Linear(3, 1, rng=1), module.state_dict(), X), T)

    model = nn.Linear(3, 1, rng=0)
    assert_same(tg.grad(f)(model), expected_gradient(loss, model))


def test_a_module_may_be_a_dataclass() -> None:
    from dataclasses import dataclass

    @dataclass
    class Scale(nn.Module):
        factor: tg.Tensor

        def forward(self, x: Any) -> Any:
            return self.factor * x

    module = Scale(tg.tensor(2.0, requires_grad=True))
    assert float(tg.grad(lambda m: m(3.0))(module)["factor"]) == 3


def _ones(m: nn.Module) -> dict[str, Any]:
    return {name: np.ones(x.shape) for name, x in m.named_parameters()}


MISSED: dict[str, Callable[[nn.Module], Any]] = {
    "grad": lambda m: tg.grad(lambda p: loss(m))(list(m.parameters())),
    "grad of a dict": lambda m: tg.grad(lambda p: loss(m))(dict(m.named_parameters())),
    "one of two": lambda m: tg.grad(lambda p, x: np.sum(m(x)), argnums=(0, 1))(list(m.parameters()), X),
    "value_and_grad": lambda m: tg.value_and_grad(lambda p: loss(m))(list(m.parameters())),
    "vjp": lambda m: tg.vjp(lambda p: loss(m), list(m.parameters())),
    "jvp": lambda m: tg.jvp(lambda p: loss(m), (list(m.parameters()),), ([np.ones((1, 3)), np.ones(1)],)),
    "jvp of one of two": lambda m: tg.jvp(
        lambda p: np.sum(p[0]) + m.bias[0], (list(m.parameters()),), ([np.ones((1, 3)), np.ones(1)],)
    ),
    "jvp of a part": lambda m: tg.jvp(lambda p: loss(p) + m.bias[0], (m,), (_ones(m),)),
    "jacobian": lambda m: tg.jacobian(lambda p: loss(m), mode="forward")(list(m.parameters())),
    "hessian": lambda m: tg.hessian(lambda p: loss(m))(list(m.parameters())),
    "hvp": lambda m: tg.hvp(lambda p: loss(m), (list(m.parameters()),), ([np.ones((1, 3)), np.ones(1)],)),
    "grad of jvp": lambda m: tg.grad(lambda p: tg.jvp(lambda p: loss(m), (p,), ([np.ones((1, 3)), np.ones(1)],))[1])(
        list(m.parameters())
    ),
    "a module": lambda m: tg.grad(lambda _: loss(m))(m),
    "a part of it": lambda m: tg.grad(lambda p: loss(p) + np.sum(m.weight**2) + np.sum(m.bias))(m),
    "a state dict": lambda m: tg.grad(lambda state: loss(m))(m.state_dict()),
    "arrays of parameters": lambda m: tg.value_and_grad(lambda p: loss(m))([p.data for p in m.parameters()]),
    "an array of one": lambda m: tg.vjp(lambda b: loss(m), m.bias.numpy()),
    "a parameter itself": lambda m: tg.grad(lambda b: m.bias[0])(m.bias),
}


@pytest.mark.parametrize("attempt", MISSED.values(), ids=MISSED)
def test_a_function_that_reads_its_variable_directly_warns(attempt: Callable[[nn.Module], Any]) -> None:
    with pytest.warns(
        TinygradWarning, match=r"respect to (weight, bias|bias|argument 0.*),.* tg\.grad\(f\)\(module\)"
    ) as warned:
        attempt(nn.Linear(3, 1, rng=0))
    assert len(warned) == 1
    assert warned[0].filename == __file__


W = tg.tensor(3.0, requires_grad=True)
RIGHTLY_ZERO: dict[str, Callable[[], Any]] = {
    "no influence": lambda: tg.grad(lambda x: W * 2)(1.0),
    "no influence of a tensor": lambda: tg.grad(lambda x: W * 2)(tg.tensor(1.0, requires_grad=True)),
    "another argument": lambda: tg.grad(lambda a, b: a * a, argnums=1)(W, W),
    "another argument by name": lambda: tg.grad(lambda a, b: b * b)(W, b=W),
    "a partial derivative at a tensor": lambda: tg.grad(lambda x: W * x)(W),
    "a partial derivative inside another": lambda: tg.grad(lambda x: tg.grad(lambda y: x * x)(x) + x)(W),
    "one parameter of several": lambda: tg.grad(lambda m: np.sum(m.weight))(nn.Linear(2, 1, rng=0)),
    "a constant": lambda: tg.grad(lambda x: 1.0)(W),
    "a copy of an array": lambda: tg.grad(lambda x: np.sum(W * np.ones(2)))(np.ones(2)),
    "a partial derivative at an array": lambda: tg.grad(lambda x: W * np.sum(x))(W.data[None]),
    "a value of a tensor": lambda: tg.grad(lambda x: x * W.detach())(W),
    "a module's older self": lambda: _distance(nn.Linear(3, 1, rng=0)),
    "jvp": lambda: tg.jvp(lambda x: x * W, (W,), (1.0,)),
}


def _distance(model: nn.Module) -> Any:
    return tg.grad(lambda new, old: F.mse_loss(new(X), old(X)))(model, model)


@pytest.mark.parametrize("attempt", RIGHTLY_ZERO.values(), ids=RIGHTLY_ZERO)
def test_a_gradient_that_is_rightly_zero_warns_of_nothing(attempt: Callable[[], Any]) -> None:
    attempt()  # a warning is an error


class Scaled(nn.Module):
    """Has settings, a buffer that is an array and one that is a tensor, and layers that write or draw."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = 2.0
        self.offset = np.array([0.5, -0.5, 0.25])
        self.layers = nn.Sequential(nn.Linear(3, 3, rng=0), nn.BatchNorm1d(3), nn.Dropout(0.5, rng=1))

    def forward(self, x: Any) -> Any:
        return self.layers(x * self.factor) + self.offset


@pytest.mark.long
@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("kind", ["functional_call", "grad", "adapted"])
def test_compiled(backend: str, kind: str) -> None:
    def loss(model: nn.Module, x: Any) -> Any:
        return (model(x) ** 2).sum()

    def called(model: nn.Module, weight: Any, x: Any) -> Any:
        return tg.nn.functional_call(model, {"layers.0.weight": weight}, x)

    def adapted(model: nn.Module, weight: Any, x: Any) -> Any:
        def inner(state: Any) -> Any:
            return (tg.nn.functional_call(model, state, x) ** 2).mean()

        state = {**dict(model.named_parameters()), "layers.0.weight": weight}
        gradients = tg.grad(inner)(state)
        return inner({path: value - 0.1 * gradients[path] for path, value in state.items()})

    def gradient(model: nn.Module, weight: Any, x: Any) -> Any:
        return [*tg.grad(loss)(model, x).values()]

    f: Callable[..., Any] = {"functional_call": called, "grad": gradient, "adapted": adapted}[kind]
    eager, compiled = Scaled(), Scaled()
    recorded = tg.compile(lambda weight, x: f(compiled, weight, x), backend=backend)
    rng = np.random.default_rng(0)

    def check() -> None:
        weight, x = rng.normal(size=(3, 3)), rng.normal(size=(5, 3))
        found, expected = trees.leaves(recorded(weight, x)), trees.leaves(f(eager, weight, x))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)
        for path, array in eager.state_dict().items():
            np.testing.assert_allclose(compiled.state_dict()[path], array, rtol=1e-9)

    check()
    check()
    for model in (eager, compiled):  # each of these is noticed, and the function recorded anew
        model.factor = 3.0
    check()
    for model in (eager, compiled):
        model.offset = np.ones(3)
    check()
    for model in (eager, compiled):
        model.eval()
    check()
    check()
