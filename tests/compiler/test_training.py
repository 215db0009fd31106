"""Compiled training steps beside eager ones: the same numbers, the same state, and nobody else's numbers changed."""

import copy
import itertools
import random
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.conftest import BACKENDS
from tests.compiler.outside import Turns
from tests.marks import param
from tests.optim.samples import OPTIMIZERS as ALL_OPTIMIZERS
from tests.optim.samples import SCHEDULES
from tinygrad_lite import nn, optim, trees
from tinygrad_lite.compiler import run
from tinygrad_lite.errors import GraphError, InputError, UsageError
from tinygrad_lite.nn import functional as F

_rng = np.random.default_rng(0)
X = _rng.normal(size=(12, 4))
Y = (_rng.random((12, 1)) < 0.5).astype(float)
LABELS = _rng.integers(0, 3, 12)

Model = Callable[[], nn.Module]
Loss = Callable[[Any], Any]


class Normalised(nn.Module):
    """A model with running statistics."""

    def __init__(self) -> None:
        self.mean = tg.tensor(np.zeros(4))
        self.out = nn.Linear(4, 1, rng=0)

    def forward(self, x: Any) -> Any:
        if self.training:
            self.mean.data = 0.9 * self.mean + 0.1 * np.mean(x, axis=0)
        return self.out(x - self.mean)


class Attention(nn.Module):
    def __init__(self) -> None:
        self.keys = nn.Linear(4, 3, rng=0)
        self.values = nn.Linear(4, 3, rng=1)
        self.out = nn.Linear(3, 1, rng=2)

    def forward(self, x: Any) -> Any:
        weights = F.softmax(self.keys(x) @ self.keys(x).T / 3)
        return self.out(np.tanh(weights @ self.values(x)))


MODELS: dict[str, tuple[Model, Loss]] = {
    "network": (
        lambda: nn.Sequential(nn.Linear(4, 5, rng=0), nn.ReLU(), nn.Linear(5, 1, rng=1)),
        lambda z: F.binary_cross_entropy_with_logits(z, Y),
    ),
    "classes": (
        lambda: nn.Sequential(nn.Linear(4, 6, rng=0), nn.SiLU(), nn.Linear(6, 3, rng=1)),
        lambda z: F.cross_entropy(z, LABELS),
    ),
    "dropout": (
        lambda: nn.Sequential(nn.Linear(4, 5, rng=0), nn.Tanh(), nn.Dropout(0.4, rng=3), nn.Linear(5, 1, rng=1)),
        lambda z: F.mse_loss(z, Y),
    ),
    "running statistics": (Normalised, lambda z: F.huber_loss(z, Y)),
    "attention": (Attention, lambda z: F.mse_loss(z, Y)),
}
OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
}


def training(model: nn.Module, optimizer: optim.Optimizer, loss: Loss) -> Callable[[Any], Any]:
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        value = loss(model(x))
        value.backward()
        optimizer.step()
        return value

    return step


class Pair:
    """The same model twice, one trained eagerly and one compiled."""

    def __init__(self, backend: str, model: str = "network", optimizer: str = "sgd") -> None:
        make, loss = MODELS[model]
        self.models = make(), make()
        self.optimizers = [OPTIMIZERS[optimizer](each.parameters()) for each in self.models]
        self.eager, plain = (training(m, o, loss) for m, o in zip(self.models, self.optimizers))
        self.compiled, self.uncompiled = tg.compile(plain, backend), plain

    def step(self, x: Any = X, compiled: bool = True) -> None:
        expected, found = self.eager(x), (self.compiled if compiled else self.uncompiled)(x)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-9)

    def check(self) -> None:
        for expected, found in zip(*[model.parameters() for model in self.models]):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(found.grad.numpy(), expected.grad.numpy(), rtol=1e-9, atol=1e-12)
        for expected, found in zip(*[model.state_dict().values() for model in self.models]):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        for expected, found in zip(*[optimizer.state.values() for optimizer in self.optimizers]):
            assert found.keys() == expected.keys()
            for name, value in expected.items():
                assert type(found[name]) is type(value)
                np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12)


ONCE = dict(zip(MODELS, OPTIMIZERS, strict=True))  # each model, and each optimiser, in one pair
PAIRS = [
    param(backend, model, optimizer, slow=ONCE[model] != optimizer)
    for backend in BACKENDS
    for model in MODELS
    for optimizer in OPTIMIZERS
]


@pytest.mark.long
@pytest.mark.parametrize(("backend", "model", "optimizer"), PAIRS)
def test_trajectories(backend: str, model: str, optimizer: str) -> None:
    pair = Pair(backend, model, optimizer)
    for i in range(200):
        pair.step()
        if i == 100:
            for each in pair.optimizers:
                each.lr *= 0.5
    pair.check()


class TwoGroups:
    """A product of two matrices in training, each in a group of its own."""

    def __init__(self, name: str, schedule: str | None, backend: str | None, is_inside: bool = True) -> None:
        kind, settings = ALL_OPTIMIZERS[name]
        self.w = tg.tensor(np.linspace(-1, 1, 6).reshape(2, 3), requires_grad=True)
        self.v = tg.tensor(np.linspace(1, -1, 6).reshape(3, 2), requires_grad=True)
        groups = [{"params": self.w}, {"params": self.v, "lr": settings["lr"] / 2}]
        self.optimizer = getattr(optim, kind)(groups, **settings)
        self.scheduler = SCHEDULES[schedule](optim.lr_scheduler, self.optimizer) if schedule else None
        self.is_inside = is_inside
        self.step = self._step if backend is None else tg.compile(self._step, backend)

    def _step(self) -> Any:
        self.optimizer.zero_grad()
        loss = 0.02 * np.sum((self.w @ self.v - 1) ** 2)
        loss.backward()
        self.optimizer.step()
        if self.scheduler and self.is_inside:
            self.scheduler.step()
        return loss

    def run(self, steps: int) -> list[Any]:
        seen = []
        for _ in range(steps):
            loss = self.step()
            if self.scheduler and not self.is_inside:
                self.scheduler.step()
            seen += [loss.item(), *(group["lr"] for group in self.optimizer.param_groups)]
        return [*seen, *self.w.numpy().flat, *self.v.numpy().flat]


def check_two_groups(name: str, schedule: str | None, backend: str, is_inside: bool = True) -> TwoGroups:
    """A compiled step gives eager's numbers, and is recorded once with a state and once without."""
    eager = TwoGroups(name, schedule, None)
    compiled = TwoGroups(name, schedule, backend, is_inside)
    for steps in (12, 8):
        np.testing.assert_allclose(compiled.run(steps), eager.run(steps), rtol=1e-9, atol=1e-15)
        assert sum(len(runs) for runs in compiled.step._runs.values()) <= 2  # type: ignore[attr-defined]
    assert {type(group["lr"]) for group in compiled.optimizer.param_groups} == {float}
    return compiled


@pytest.mark.long
@pytest.mark.parametrize(
    ("backend", "name"),
    [
        param(backend, name, slow=backend == "native" or i % 3 > 0)
        for backend in BACKENDS
        for i, name in enumerate(ALL_OPTIMIZERS)
    ],
)
def test_all_optimisers(backend: str, name: str) -> None:
    check_two_groups(name, None, backend)


USUALLY = [("numpy", name, "Adam", True) for name in [*SCHEDULES][::3]]  # and beside these:
USUALLY += [
    (backend, name, "SGD nesterov", True) for backend in BACKENDS for name in ("OneCycleLR", "SequentialLR nested")
]
USUALLY += [("native", "CyclicLR", "Adam", False)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("backend", "schedule", "name", "is_inside"),
    [
        param(*each, slow=each not in USUALLY)
        for each in itertools.product(BACKENDS, SCHEDULES, ("SGD nesterov", "Adam"), (True, False))
    ],
)
def test_schedules(backend: str, schedule: str, name: str, is_inside: bool) -> None:
    compiled = check_two_groups(name, schedule, backend, is_inside)
    again = TwoGroups(name, schedule, backend)
    again.run(3)
    assert again.scheduler
    assert compiled.scheduler
    again.scheduler.load_state_dict(compiled.scheduler.state_dict())
    again.optimizer.load_state_dict(compiled.optimizer.state_dict())
    again.w.data, again.v.data = compiled.w.numpy(), compiled.v.numpy()
    np.testing.assert_allclose(again.run(3), compiled.run(3), rtol=1e-12)


@pytest.mark.parametrize("schedule", ["OneCycleLR", "CyclicLR", "SequentialLR nested"])
def test_a_step_with_a_schedule_is_exported(schedule: str, tmp_path: Path) -> None:
    training = TwoGroups("Adam", schedule, "numpy")
    training.run(3)
    training.step.export(tmp_path / "step.py")  # type: ignore[attr-defined]
    scope: dict[str, Any] = {}
    exec((tmp_path / "step.py").read_text(), scope)
    state = training.step.state()  # type: ignore[attr-defined]
    for _ in range(4):
        np.testing.assert_allclose(scope["step"](state), training.step().numpy(), rtol=1e-12)
    if schedule == "OneCycleLR":
        with pytest.raises(ValueError, match="this cycle has total_steps=30 steps, and this is step 31"):
            scope["step"]({**state, "last_epoch": 30})


def test_a_momentum_that_becomes_zero_is_another_formula(backend: str) -> None:
    eager, compiled = (TwoGroups("SGD momentum", "OneCycleLR", each, False) for each in (None, backend))
    for turn in range(8):
        for each in (eager, compiled):
            each.optimizer.param_groups[1]["momentum"] = 0.0 if turn in (3, 4) else 0.5
        np.testing.assert_allclose(compiled.run(1), eager.run(1), rtol=1e-9)


def test_settings_of_groups_are_followed(backend: str) -> None:
    eager, compiled = TwoGroups("Adam", None, None), TwoGroups("Adam", None, backend)
    for turn in range(8):
        for each in (eager, compiled):
            group = each.optimizer.param_groups[turn % 2]
            group["weight_decay"] = 0.1 * (turn > 4)
            group["lr"] *= 0.9
        np.testing.assert_allclose(compiled.run(1), eager.run(1), rtol=1e-9)


def test_what_is_done_to_groups_in_a_compiled_function_is_refused(backend: str) -> None:
    optimizer = TwoGroups("Adam", None, None).optimizer
    more = tg.tensor(1.0, requires_grad=True)
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer)

    def assign() -> None:
        optimizer.param_groups[0]["weight_decay"] = 0.5

    wrong: dict[str, Callable[[], Any]] = {
        "assigns weight_decay of a group of Adam": assign,
        "adds a group of parameters": lambda: optimizer.add_param_group({"params": more}),
        r"(?s)needs a value while it is recorded.*\.step\(more.*call the step\(\) of the schedule after": lambda: (
            plateau.step(more * 2)
        ),
    }
    before = repr(optimizer)
    for message, f in wrong.items():
        with pytest.raises(UsageError, match=message):
            tg.compile(f, backend)()
    assert repr(optimizer) == before
    assert len(optimizer.parameters) == 2


def test_eager_and_compiled_steps_may_take_turns(backend: str) -> None:
    pair = Pair(backend, optimizer="adam")
    states = [copy.deepcopy(model.state_dict()) for model in pair.models]
    for i in range(20):
        pair.step(compiled=i % 3 != 1)
        if i == 10:
            for model, state in zip(pair.models, states):
                model.load_state_dict(state)
        if i == 12:
            kept = [copy.deepcopy(optimizer.state_dict()) for optimizer in pair.optimizers]
        if i == 15:
            for optimizer, state in zip(pair.optimizers, kept):
                optimizer.load_state_dict(state)
    pair.check()


def test_another_shape_or_mode_is_recorded_anew(backend: str) -> None:
    pair = Pair(backend, "dropout")
    (_, loss) = MODELS["dropout"]
    del loss
    for i in range(6):
        pair.step()
        if i == 2:
            [model.eval() for model in pair.models]
        if i == 4:
            [model.train() for model in pair.models]
    pair.check()
    model = nn.Linear(4, 2, rng=0)
    predict = tg.no_grad()(tg.compile(model, backend))
    for rows in (12, 5, 12, 1):
        np.testing.assert_allclose(predict(X[:rows]).numpy(), model(X[:rows]).numpy(), rtol=1e-12)


def test_what_others_hold_never_changes(backend: str) -> None:
    pair = Pair(backend)
    pair.step(), pair.step()
    weight = next(pair.models[1].parameters())
    held: list[tuple[Any, Any]] = []
    for _ in range(5):
        gradient = weight.grad
        assert gradient is not None
        for array in (weight.numpy(), weight.data, weight.detach().data, gradient.data, gradient.numpy()[1:]):
            held.append((array, array.copy()))
        held.append((gradient.data, gradient.data.copy()))
        pair.step()
    for array, before in held:
        np.testing.assert_array_equal(array, before)
    pair.check()


def test_a_graph_from_before_a_step_keeps_its_numbers(backend: str) -> None:
    pair = Pair(backend)
    pair.step(), pair.step()
    model = pair.models[1]
    weights = [parameter.numpy().copy() for parameter in model.parameters()]
    loss = np.sum(model(X))
    pair.compiled(X)
    model.zero_grad()
    loss.backward()
    expected = tg.grad(lambda p: np.sum(np.maximum(X @ p[0].T + p[1], 0) @ p[2].T + p[3]))(weights)
    for parameter, right in zip(model.parameters(), expected):
        np.testing.assert_allclose(parameter.grad.numpy(), right, rtol=1e-12)


def test_gradients_add_up_without_zero_grad(backend: str) -> None:
    models = MODELS["network"][0](), MODELS["network"][0]()

    def accumulate(model: nn.Module) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            loss = np.sum(model(x) ** 2)
            loss.backward()
            return loss

        return run

    eager, compiled = accumulate(models[0]), tg.compile(accumulate(models[1]), backend)
    for i in range(5):
        eager(X), compiled(X)
        if i == 3:
            [model.zero_grad() for model in models]
    for a, b in zip(models[0].parameters(), models[1].parameters()):
        np.testing.assert_allclose(b.grad.numpy(), a.grad.numpy(), rtol=1e-12)


def test_gradients_of_arguments(backend: str) -> None:
    def run(x: Any) -> Any:
        np.sum(x**3).backward()

    compiled = tg.compile(run, backend)
    for _ in range(3):
        x = tg.tensor([1.0, 2.0], requires_grad=True)
        compiled(x)
        np.testing.assert_allclose(x.grad.numpy(), [3, 12])


def test_an_update_by_hand(backend: str) -> None:
    def descent(compiled: bool) -> Any:
        w = tg.tensor([1.0, -2.0], requires_grad=True)

        def run(x: Any) -> Any:
            nonlocal w
            np.sum((w * x) ** 2).backward()
            with tg.no_grad():
                w -= 0.1 * w.grad
            w.grad = None

        run = tg.compile(run, backend) if compiled else run
        for _ in range(5):
            run(np.array([1.0, 0.5]))
        assert w.grad is None
        return w.numpy()

    np.testing.assert_allclose(descent(True), descent(False), rtol=1e-12)


def test_containers_and_arrays(backend: str) -> None:
    def f(p: Any, x: Any) -> Any:
        return {"y": np.tanh(x @ p["w"]) + p["b"], "rest": (np.sum(x), 3, None, "text")}

    p = {"w": _rng.normal(size=(4, 2)), "b": _rng.normal(size=2)}
    compiled = tg.compile(f, backend)
    compiled(p, X)
    found, expected = compiled(p, x=X), f(p, X)
    assert type(found["y"]) is np.ndarray
    assert found["rest"][1:] == (3, None, "text")
    np.testing.assert_allclose(found["y"], expected["y"], rtol=1e-12)
    np.testing.assert_allclose(found["rest"][0], expected["rest"][0], rtol=1e-12)


def test_transforms_of_compiled_functions(backend: str) -> None:
    f = tg.compile(lambda x: np.sum(np.sin(x) * x), backend)
    x = _rng.normal(size=5)
    f(x)
    slope = np.cos(x) * x + np.sin(x)
    np.testing.assert_allclose(tg.grad(f)(x), slope, rtol=1e-12)
    np.testing.assert_allclose(tg.jvp(f, (x,), (x,))[1], slope @ x, rtol=1e-12)
    assert tg.gradcheck(f, x).ok
    t = tg.tensor(x, requires_grad=True)
    f(t).backward()
    np.testing.assert_allclose(t.grad.numpy(), slope, rtol=1e-12)
    np.testing.assert_allclose(tg.hessian(f)(x), np.diag(2 * np.cos(x) - np.sin(x) * x), rtol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize(
    ("backend", "name"),
    [param(backend, name, slow=backend == "native" and name == "attention") for backend in BACKENDS for name in MODELS],
)
def test_a_compiled_model_is_trained_by_others(backend: str, name: str) -> None:
    (make, loss) = MODELS[name]
    eager, inside = make(), make()
    compiled = tg.compile(inside, backend)
    optimizers = [OPTIMIZERS["adam"](model.parameters()) for model in (eager, inside)]
    for _ in range(10):
        for f, optimizer in zip((eager, compiled), optimizers):
            optimizer.zero_grad()
            loss(f(X)).backward()
            optimizer.step()
    assert compiled.report().backend == backend
    for found, expected in zip(inside.state_dict().values(), eager.state_dict().values()):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_results_of_which_some_have_a_history(backend: str) -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)

    def f(x: Any) -> Any:
        y = np.sin(w * x)
        return {"total": np.sum(y), "y": y, "same": y, "positive": x > 0, "x": x, "w": w, "free": w.detach()}

    compiled = tg.compile(f, backend)
    for i in range(3):
        x = tg.tensor([0.5 + i, -1.0], requires_grad=i > 0)
        gradients = []
        for function in (f, compiled):
            w.grad = x.grad = None
            made = function(x)
            assert made["x"] is x
            assert made["w"] is w
            assert not made["free"].requires_grad
            assert not made["positive"].requires_grad
            (made["total"] * np.sum(made["y"] * made["same"])).backward()
            gradients.append([w.grad.numpy(), x.grad.numpy() if i else 0])
        np.testing.assert_allclose(gradients[1][0], gradients[0][0], rtol=1e-12)
        np.testing.assert_allclose(gradients[1][1], gradients[0][1], rtol=1e-12)


def test_a_graph_through_a_compiled_function(backend: str) -> None:
    f = tg.compile(lambda x, scale: np.exp(x) * scale, backend)
    x, scale = tg.tensor([0.5, -1.0], requires_grad=True), np.array([1.0, 2.0])
    before = f(np.tanh(x), scale)
    f(np.tanh(x) + 1, scale)
    scale[:] = 7  # which is nothing to the graph
    loss = np.sum(before * np.cos(x))
    loss.backward(retain_graph=True), loss.backward()
    t, c = np.tanh(x.numpy()), np.cos(x.numpy())
    slope = np.exp(t) * np.array([1.0, 2.0]) * ((1 - t**2) * c - np.sin(x.numpy()))
    np.testing.assert_allclose(x.grad.numpy(), 2 * slope, rtol=1e-12)
    with pytest.raises(GraphError, match="freed"):
        loss.backward()
    with tg.no_grad():
        assert not f(x, scale).requires_grad


def test_gradients_of_a_compiled_function_that_cannot_be_run_again(backend: str) -> None:
    dropout = nn.Dropout(0.5, rng=0)
    f = tg.compile(lambda x: dropout(x * x), backend)
    with pytest.raises(UsageError, match="cannot be differentiated again, since the function draws"):
        tg.hessian(lambda x: np.sum(f(x)))(X[0])
    g = tg.compile(lambda x: np.sum(x**3), backend)
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = g(x)
    x.data = [5.0, 6.0]
    with pytest.raises(GraphError, match="was given new data before this pass"):
        y.backward(create_graph=True)


def test_what_is_returned_as_it_was_found(backend: str) -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)

    def f(x: Any) -> Any:
        before = w.grad
        np.sum(w * x).backward()
        return before, w, x

    np.sum(w).backward()
    compiled = tg.compile(f, backend)
    for i in range(4):
        gradient, x = w.grad, tg.tensor(np.full(2, float(i)))
        for found, expected in zip(compiled(x), (gradient, w, x), strict=True):
            assert found is expected
        np.testing.assert_array_equal(w.grad.numpy(), gradient.numpy() + i)


FORMER: dict[str, Callable[[Any, Any], Any]] = {
    "the value itself": lambda old, new: old,
    "a view of it": lambda old, new: old[::-1],
    "what is made of it": lambda old, new: old * 2,
    "both": lambda old, new: (new, old.T, old[1:], old),
}


@pytest.mark.parametrize("returned", FORMER.values(), ids=FORMER)
def test_former_values_outlive_an_update(backend: str, returned: Callable[[Any, Any], Any]) -> None:
    def turns(compiled: bool) -> list[Any]:
        a, b, c = (tg.tensor(np.arange(2.0) + i) for i in range(3))

        def f(x: Any) -> Any:
            old = a.detach()
            a.data, b.data, c.data = b + x, c.detach(), old  # what each is given, another one was
            return returned(old, a)

        run = tg.compile(f, backend) if compiled else f
        found = [trees.map_leaves(lambda t: t.numpy(), run(np.ones(2))) for _ in range(5)]
        return [*trees.leaves(found), a.numpy(), b.numpy(), c.numpy()]

    for found, expected in zip(turns(True), turns(False), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_numbers_as_arrays_of_no_axes(backend: str) -> None:
    f = tg.compile(lambda x, y: np.exp(x) * y, backend)
    for x in (np.array(1.0), np.float64(2.0), np.array(3.0), tg.tensor(4.0), tg.tensor(5.0)):
        np.testing.assert_allclose(f(x, X), np.exp(float(x)) * X, rtol=1e-12)


def test_random_draws_are_those_of_the_same_generator(backend: str) -> None:
    mine, yours = np.random.default_rng(3), np.random.default_rng(3)
    f = lambda x, rng: x + rng.normal(size=x.shape) * rng.random()  # noqa: E731
    compiled = tg.compile(f, backend)
    for _ in range(3):
        np.testing.assert_allclose(compiled(X, yours), f(X, mine), rtol=1e-12)
    outside = tg.compile(lambda x: x + yours.normal(size=x.shape), backend)
    for _ in range(3):
        np.testing.assert_allclose(outside(X), X + mine.normal(size=X.shape), rtol=1e-12)


def test_another_generator_is_drawn_from(backend: str) -> None:
    f = lambda x, rng: x + rng.normal(size=x.shape)  # noqa: E731
    compiled = tg.compile(f, backend)
    dropout, plain = nn.Dropout(0.5, rng=0), nn.Dropout(0.5, rng=0)
    thinned = tg.compile(lambda x: dropout(x), backend)
    own = np.random.default_rng(0)
    shared = tg.compile(lambda x, rng: x + rng.normal(size=x.shape) + own.normal(), backend)
    shared(X, own)
    for seed in (1, 1, 2):
        np.testing.assert_allclose(
            compiled(X, np.random.default_rng(seed)), f(X, np.random.default_rng(seed)), rtol=1e-12
        )
        dropout._rng, plain._rng = np.random.default_rng(seed), np.random.default_rng(seed)
        np.testing.assert_array_equal(thinned(X), plain(X))
        mine, given = np.random.default_rng(), np.random.default_rng(seed)
        mine.bit_generator.state = own.bit_generator.state
        expected = f(X, np.random.default_rng(seed)) + mine.normal()
        np.testing.assert_allclose(shared(X, given), expected, rtol=1e-12)


def test_arrays_from_outside_are_read_as_they_are(backend: str) -> None:
    scale = np.ones(3)
    f = tg.compile(lambda x: np.sum(x * scale), backend)
    x = tg.tensor([1.0, 2.0, 3.0])
    assert f(x).item() == f(x).item() == 6
    scale[0] = 10
    assert f(x).item() == 15


def test_arrays_from_outside_are_read_as_they_are_in_gradients(backend: str) -> None:
    base, matrix = np.full(3, 2.0), np.eye(3)
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def run() -> Any:
        w.grad = None
        np.sum(matrix @ base**w).backward()
        return w.grad

    compiled = tg.compile(run, backend)
    compiled()
    base[:], matrix[0, 1] = 3.0, 5.0
    np.testing.assert_allclose(compiled().numpy(), run().numpy(), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_nan_and_infinity_come_out_as_in_eager_mode(backend: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308])

    def f(x: Any) -> Any:
        return np.exp(x), np.log(x), x * x, np.maximum(x, 1.0), 1 / x, np.sum(x), np.max(x), F.sigmoid(x), x - x

    compiled = tg.compile(f, backend)
    compiled(x)
    for found, expected in zip(compiled(x), f(x)):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("f", [lambda t: t[t > 0], lambda t: np.nonzero(t), lambda t: np.may_share_memory(t, t)])
def test_shapes_and_answers_that_depend_on_values(f: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError, match=r"(depends on values|answers with \w+) at test_training\.py:\d+: .*lambda t"):
        tg.compile(f)(tg.tensor(X))


@pytest.mark.parametrize("f", [lambda x: None, lambda x: (), lambda x: 3], ids=["None", "()", "3"])
def test_functions_that_compute_nothing(backend: str, f: Callable[[Any], Any]) -> None:
    compiled = tg.compile(f, backend)
    for _ in range(3):
        assert compiled(X) == f(X)


def test_what_is_compiled_is_a_function() -> None:
    with pytest.raises(UsageError, match=r"tg\.compile takes a function, got float64: write tg\.compile\(f\)\(x\)"):
        tg.compile(np.sum(X))  # type: ignore[arg-type]


def test_a_failed_recording_leaves_all_as_it_was(backend: str) -> None:
    model = MODELS["dropout"][0]()
    optimizer = optim.Adam(model.parameters())
    step = training(model, optimizer, lambda z: np.mean(z**2))

    def wrong(x: Any) -> Any:
        loss = step(x)
        optimizer.lr = 7.0
        return loss * len(f"{loss}")

    weights, draws = copy.deepcopy(model.state_dict()), model[2]._rng.bit_generator.state
    with pytest.raises(UsageError, match=r"len\(f"):
        tg.compile(wrong, backend)(X)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, weights[name])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert optimizer.lr == 1e-3
    assert [*optimizer.state.values()] == [{}] * 4
    assert model[2]._rng.bit_generator.state == draws
    assert isinstance(model(X).numpy(), np.ndarray)


def test_refused_values_leave_the_state_as_it_was(backend: str) -> None:
    model = nn.Linear(4, 3, rng=0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    compiled = tg.compile(step, backend)
    compiled(X, LABELS), compiled(X, LABELS)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match="0 … 2, got 5"):
        compiled(X, np.full(12, 5))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    compiled(X, LABELS)


_HIDDEN = (np.random.default_rng(0),)


@pytest.mark.parametrize("draw", [lambda: _HIDDEN[0].normal(), lambda: np.random.default_rng().normal()])
def test_what_changes_from_run_to_run_unseen_is_refused(draw: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="does not do the same when it is run again"):
        tg.compile(lambda x: x + draw())(X)


def test_bad_calls() -> None:
    with pytest.raises(InputError, match="'numpy' or 'native', got 'cuda'"):
        tg.compile(np.sin, "cuda")
    with pytest.raises(UsageError, match="call it once"):
        tg.compile(lambda x: x).source
    with pytest.raises(UsageError, match="function"):
        tg.compile(3)  # type: ignore[arg-type]


def test_the_step_that_makes_the_state_of_an_optimizer_is_no_program(backend: str) -> None:
    w = tg.tensor(np.ones(3), requires_grad=True)
    optimizer = optim.Adam([w])

    def descend(x: Any) -> Any:
        optimizer.zero_grad()
        np.sum((w - x) ** 2).backward()
        optimizer.step()
        return w + 0

    step = tg.compile(descend, backend)
    with mock.patch.object(run.Run, "_executor", side_effect=AssertionError):
        np.testing.assert_allclose(step(np.zeros(3)).numpy(), 0.999)
    assert optimizer.steps == 1
    assert "exp_avg" in step.source
    step(np.zeros(3))
    assert step.report().backend == backend


def test_runs_that_always_make_a_first_gradient_get_a_program(backend: str) -> None:
    w = tg.tensor(np.ones(3), requires_grad=True)
    gradient = tg.compile(lambda x: np.sum((w - x) ** 2).backward(), backend)
    for k in range(4):
        with mock.patch.object(run.Run, "__init__", side_effect=AssertionError) if k > 1 else nullcontext():
            gradient(np.full(3, float(k)))
        assert w.grad is not None
        assert w.grad.numpy().tolist() == [2.0 - 2 * k] * 3
        w.grad = None


@pytest.mark.parametrize("draws", [3, 1000])
def test_a_draw_from_a_global_generator_may_be_another_threads(backend: str, draws: int) -> None:
    turns = Turns(draws)

    def f(x: Any) -> Any:
        if not turns.over:
            turns()
            random.random()
        return np.sum(x)

    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    state = random.getstate()
    try:
        with pytest.raises(UsageError, match="draws from Python's module random") if draws == 1000 else nullcontext():
            np.testing.assert_allclose(tg.compile(f, backend)(X), np.sum(X), rtol=1e-14)
        assert (random.getstate() == state) == (draws == 1000)
    finally:
        over.set()
        other.join()


@pytest.mark.parametrize("number", [float, np.float64, np.array])
@pytest.mark.parametrize("name", ALL_OPTIMIZERS)
def test_a_learning_rate_that_is_numpys_number(name: str, number: Callable[[float], Any]) -> None:
    def trained(compiled: bool) -> Any:
        w = tg.tensor([[1.0, -2.0], [3.0, 0.5]], requires_grad=True)
        kind, settings = ALL_OPTIMIZERS[name]
        optimizer = getattr(optim, kind)([w], **settings)
        step = training(lambda x: w * x, optimizer, lambda y: np.sum(y**2))  # type: ignore[arg-type]
        step = tg.compile(step, "numpy") if compiled else step
        for rate in (0.05, 0.02, 0.01):
            optimizer.param_groups[0]["lr"] = number(rate)
            step(np.ones(2))
        return w.numpy()

    np.testing.assert_allclose(trained(True), trained(False), rtol=1e-12)


def test_an_optimizer_of_the_users_may_keep_tensors_in_its_state(backend: str) -> None:
    class Sharp(optim.Optimizer):
        """Steps by the gradient at w + ρ ∇ / |∇|, so it takes two passes."""

        def __init__(self, params: Any, rho: float, **settings: float) -> None:
            super().__init__(params, rho=rho, **settings)
            self.base = optim.SGD(self.param_groups, **settings)

        @tg.no_grad()
        def climb(self) -> None:
            parameters = [p for group in self.param_groups for p in group["params"]]
            norm = np.linalg.norm(np.stack([np.linalg.norm(p.grad) for p in parameters]))
            for p in parameters:
                self.state[p]["moved"] = self.param_groups[0]["rho"] / norm * p.grad
                p += self.state[p]["moved"]
            self.zero_grad()

        @tg.no_grad()
        def descend(self) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    p -= self.state[p]["moved"]
            self.base.step()
            self.zero_grad()

    def losses(compiles: bool) -> list[float]:
        model = MODELS["network"][0]()
        optimizer = Sharp(model.parameters(), 0.5, lr=0.1, momentum=0.9)

        def step(x: Any) -> Any:
            for move in (optimizer.climb, optimizer.descend):
                loss = MODELS["network"][1](model(x))
                loss.backward()
                move()
            return loss

        step = tg.compile(step, backend) if compiles else step
        return [float(step(X)) for _ in range(5)]

    np.testing.assert_allclose(losses(True), losses(False), rtol=1e-9)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*no gradient for parameter")
@pytest.mark.parametrize("shape", [param((), slow=True), (3,)])
@pytest.mark.parametrize("way", ["zero_grad", "none of them", "one of them", "another in its place"])
def test_gradients_that_come_and_go(shape: tuple[int, ...], way: str, backend: str) -> None:
    """A parameter that a call uses and the next does not; the gradients that others hold stay as they were."""

    def run(compiles: bool, uses: list[int]) -> tuple[list[float], list[Any]]:
        a, b = (tg.tensor(np.full(shape, x), requires_grad=True) for x in (0.1, 0.2))
        optimizer = optim.SGD([a, b], lr=0.01, momentum=0.9)

        def step(x: Any, both: bool) -> Any:
            y = np.sum(a) * x + np.sum(b) * x**2 if both else np.sum(a) * x
            loss = np.sum(y**2)
            if way == "zero_grad":
                optimizer.zero_grad()
            elif way == "one of them":
                a.grad = None
            loss.backward()
            optimizer.step()
            if way == "another in its place":
                a.grad = a.grad * 0.5
            return loss

        step = tg.compile(step, backend) if compiles else step
        losses, held = [], []
        for i in uses:
            losses.append(float(step(np.linspace(0.0, 1.0, 5), i > 0)))
            held.append((a.grad, a.grad.tolist()))
            if i == 2:
                b.grad = None
        assert [gradient.tolist() for gradient, _ in held] == [entries for _, entries in held]
        return losses, [None if x.grad is None else x.grad.tolist() for x in (a, b)]

    for uses in ([0, 0, 1, 1, 0, 1, 0, 1, 0], [1, 0, 1, 1, 0, 0, 1, 2, 0], [1, 1, 2, 1, 0, 1, 1, 1]):
        (losses, gradients), (expected, others) = run(True, uses), run(False, uses)
        np.testing.assert_allclose(losses, expected, rtol=1e-10)
        for x, y in zip(gradients, others, strict=True):
            assert (x is None) == (y is None)
            np.testing.assert_allclose(x or 0.0, y or 0.0, rtol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("outside", [True, False, None])
def test_a_step_may_freeze_parameters(outside: bool | None, backend: str) -> None:
    """As that of a generator freezes the discriminator, whether or not that of the discriminator thaws it again."""

    def run(compiles: bool) -> list[Any]:
        first, second = nn.Linear(3, 4, rng=0), nn.Linear(4, 1, rng=1)
        optimizer = optim.SGD([*first.parameters(), *second.parameters()], lr=0.1)

        def step(x: Any) -> Any:
            for p in second.parameters():
                p.requires_grad = False
            optimizer.zero_grad()
            loss = np.mean(second(np.tanh(first(x))) ** 2)
            loss.backward()
            frozen = [p.grad is None for p in second.parameters()]
            second.requires_grad_(True)
            loss += np.mean(second(np.tanh(first(x)).detach()) ** 2)
            second.bias.requires_grad = False
            return loss, frozen

        step = tg.compile(step, backend) if compiles else step
        results: list[Any] = []
        for i in range(5):
            if outside is not None:
                second.requires_grad_(outside)
            loss, frozen = step(X[:, :3] + i)
            results += [float(loss), frozen, [p.requires_grad for p in second.parameters()]]
        if compiles:
            assert sum(map(len, step._runs.values())) <= 2
        return results

    for found, expected in zip(run(True), run(False), strict=True):
        assert found == pytest.approx(expected)
