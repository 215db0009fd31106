"""Optimisers: their formulas step by step, their state, and their errors. (PyTorch's own are in tests/compare.)"""

import copy
import pickle
import warnings
from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.optim.samples import OPTIMIZERS
from tinygrad_lite import nn, optim
from tinygrad_lite.errors import InputError, ShapeError, UsageError

SETTINGS: dict[str, Callable[[Any], optim.Optimizer]] = {
    name: lambda params, made=made: getattr(optim, made[0])(params, **made[1]) for name, made in OPTIMIZERS.items()
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
    return [tg.tensor(w, requires_grad=True, name="w"), tg.tensor([[0.1, 2.0]], requires_grad=True, name="b")]


@pytest.mark.long
@pytest.mark.parametrize("make", SETTINGS.values(), ids=list(SETTINGS))
def test_the_loss_goes_down(make: Callable[[Any], optim.Optimizer]) -> None:
    optimizer = make(start())
    losses = descend(optimizer, 100)
    change = losses[-1] - losses[0]
    assert change > 0.1 if optimizer.param_groups[0].get("maximize") else change < -1


@pytest.mark.parametrize("make", SETTINGS.values(), ids=list(SETTINGS))
@pytest.mark.parametrize(("before", "after"), [(np.float64, np.float32), (np.float32, np.float64)])
def test_a_state_goes_on_in_the_precision_of_its_parameters(
    make: Callable[[Any], optim.Optimizer], before: Any, after: Any
) -> None:
    def started(dtype: Any) -> optim.Optimizer:
        return make([tg.tensor(w.numpy().astype(dtype), requires_grad=True) for w in start()])

    def dtypes_after(steps: int, optimizer: optim.Optimizer) -> set[Any]:
        for _ in range(steps):
            for w in optimizer.parameters:
                w.grad = np.cos(w.numpy())
            optimizer.step()
        entries = [x for state in optimizer.state_dict()["state"].values() for x in state.values() if np.ndim(x)]
        return {x.dtype for x in (*entries, *optimizer.parameters)}

    first, other = started(before), started(after)
    assert dtypes_after(3, first) == {np.dtype(before)}
    other.load_state_dict(first.state_dict())
    assert dtypes_after(0, other) == dtypes_after(2, other) == {np.dtype(after)}


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


Formula = Callable[..., Iterator[Any]]


def sgd(w: Any, g: Any, lr: float, momentum: float, dampening: float) -> Iterator[Any]:
    m = g[0]
    for t in range(len(g)):
        m = momentum * m + (1 - dampening) * g[t] if t else m
        w = w - lr * m
        yield w


def means(g: Any, beta: float) -> Iterator[Any]:
    """The means of the gradients so far, newer ones with more weight, which add up to 1."""
    for t in range(1, len(g) + 1):
        weights = np.array([beta**k for k in range(t)][::-1])
        yield np.tensordot(weights / weights.sum(), g[:t], 1)


def adam(w: Any, g: Any, lr: float, betas: Any) -> Iterator[Any]:
    for m, v in zip(means(g, betas[0]), means(g**2, betas[1])):
        w = w - lr * m / (np.sqrt(v) + 1e-8)
        yield w


def adamax(w: Any, g: Any, lr: float, betas: Any) -> Iterator[Any]:
    for t, m in enumerate(means(g, betas[0])):
        u = np.max([betas[1] ** (t - k) * (np.abs(g[k]) + 1e-8) for k in range(t + 1)], axis=0)
        w = w - lr * m / u
        yield w


def lion(w: Any, g: Any, lr: float, betas: Any, weight_decay: float) -> Iterator[Any]:
    m = np.zeros(w.shape)
    for now in g:
        w = w - lr * (np.sign(betas[0] * m + (1 - betas[0]) * now) + weight_decay * w)
        m = betas[1] * m + (1 - betas[1]) * now
        yield w


def nadam(w: Any, g: Any, lr: float, betas: Any, momentum_decay: float) -> Iterator[Any]:
    mu = [betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in range(1, len(g) + 2)]
    for t, (m, v) in enumerate(zip(means(g, betas[0]), means(g**2, betas[1])), 1):
        m = m * (1 - betas[0] ** t)
        m_hat = mu[t] * m / (1 - np.prod(mu[: t + 1])) + (1 - mu[t - 1]) * g[t - 1] / (1 - np.prod(mu[:t]))
        w = w - lr * m_hat / (np.sqrt(v) + 1e-8)
        yield w


def radam(w: Any, g: Any, lr: float, betas: Any, eps: float) -> Iterator[Any]:
    longest = 2 / (1 - betas[1]) - 1
    for t, (m, v) in enumerate(zip(means(g, betas[0]), means(g**2, betas[1])), 1):
        rho = longest - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        if rho > 5:
            r = np.sqrt((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho))
            m = m * r / np.sqrt(v)
        w = w - lr * m
        yield w


def adagrad(w: Any, g: Any, lr: float, lr_decay: float) -> Iterator[Any]:
    for t in range(len(g)):
        w = w - lr / (1 + t * lr_decay) * g[t] / (np.sqrt(np.sum(g[: t + 1] ** 2, axis=0)) + 1e-10)
        yield w


def adadelta(w: Any, g: Any, lr: float, rho: float) -> Iterator[Any]:
    steps = np.zeros((1, *w.shape))
    for t, v in enumerate(means(g**2, rho)):
        v = v * (1 - rho ** (t + 1))
        u = (list(means(steps**2, rho))[-1]) * (1 - rho ** len(steps))
        steps = np.concatenate([steps, [g[t] * np.sqrt(u + 1e-6) / np.sqrt(v + 1e-6)]])
        w = w - lr * steps[-1]
        yield w


def rmsprop(w: Any, g: Any, lr: float, alpha: float) -> Iterator[Any]:
    for t, v in enumerate(means(g**2, alpha)):
        w = w - lr * g[t] / (np.sqrt(v * (1 - alpha ** (t + 1))) + 1e-8)
        yield w


def rprop(w: Any, g: Any, lr: float) -> Iterator[Any]:
    w, size, before = w.copy(), np.full(w.shape, lr), np.zeros(w.shape)
    for now in g:
        for i in np.ndindex(w.shape):
            if before[i] * now[i] < 0:
                size[i], before[i] = size[i] * 0.5, 0
                continue
            size[i] *= 1.2 if before[i] * now[i] > 0 else 1
            w[i] -= size[i] * np.sign(now[i])
            before[i] = now[i]
        yield w.copy()


def asgd(w: Any, g: Any, lr: float, lambd: float) -> Iterator[Any]:
    for t in range(len(g)):
        eta = lr / (1 + lambd * lr * t) ** 0.75
        w = w - eta * (g[t] + lambd * w)
        yield w


def adafactor(w: Any, g: Any, lr: float) -> Iterator[Any]:
    r, c = np.zeros((w.shape[0], 1)), np.zeros((1, w.shape[1]))
    for t in range(1, len(g) + 1):
        new, square = t**-0.8, g[t - 1] ** 2
        r = (1 - new) * r + new * square.mean(1, keepdims=True)
        c = (1 - new) * c + new * square.mean(0, keepdims=True)
        u = g[t - 1] / np.sqrt(r * c / r.mean())
        rms = [np.sqrt(np.mean(x**2)) for x in (w, u)]
        w = w - max(1e-3, rms[0]) * min(lr, 1 / np.sqrt(t)) * u / max(1, rms[1])
        yield w


FORMULAS: dict[str, tuple[str, Formula, dict[str, Any]]] = {
    "sgd": ("SGD", sgd, {"lr": 0.1, "momentum": 0.8, "dampening": 0.3}),
    "adam": ("Adam", adam, {"lr": 0.1, "betas": (0.8, 0.95)}),
    "adamax": ("Adamax", adamax, {"lr": 0.1, "betas": (0.8, 0.95)}),
    "lion": ("Lion", lion, {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.1}),
    "nadam": ("NAdam", nadam, {"lr": 0.1, "betas": (0.8, 0.95), "momentum_decay": 0.1}),
    "radam": ("RAdam", radam, {"lr": 0.1, "betas": (0.8, 0.95), "eps": 0}),
    "adagrad": ("Adagrad", adagrad, {"lr": 0.1, "lr_decay": 0.1}),
    "adadelta": ("Adadelta", adadelta, {"lr": 2.0, "rho": 0.8}),
    "rmsprop": ("RMSprop", rmsprop, {"lr": 0.1, "alpha": 0.9}),
    "rprop": ("Rprop", rprop, {"lr": 0.1}),
    "asgd": ("ASGD", asgd, {"lr": 0.1, "lambd": 0.1}),
    "adafactor": ("Adafactor", adafactor, {"lr": 0.1}),
}


@pytest.mark.parametrize(("name", "formula", "settings"), FORMULAS.values(), ids=list(FORMULAS))
def test_the_formula_written_plainly(name: str, formula: Formula, settings: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 2)), rng.normal(size=(20, 3, 2))
    expected = list(formula(start, gradients, **settings))
    for maximize in (False, True):
        w = tg.tensor(start, requires_grad=True)
        optimizer = getattr(optim, name)([w], **settings, maximize=maximize)
        for t, gradient in enumerate(gradients):
            w.grad = -gradient if maximize else gradient
            optimizer.step()
            np.testing.assert_allclose(w.numpy(), expected[t], rtol=1e-9)


def test_muon_takes_a_step_of_the_same_length_in_all_directions() -> None:
    rng = np.random.default_rng(0)
    for shape in ((4, 4), (3, 7), (7, 3)):
        gradient = rng.normal(size=shape)
        w = tg.tensor(np.zeros(shape), requires_grad=True)
        w.grad = gradient
        optim.Muon([w], lr=1.0, nesterov=False, ns_steps=8).step()
        u, _, v = np.linalg.svd(gradient, full_matrices=False)
        lengths = u.T @ -w.numpy() @ v.T / np.sqrt(max(1, shape[0] / shape[1]))
        assert np.all(np.abs(np.diag(lengths) - 1) < 0.35)
        np.testing.assert_allclose(lengths - np.diag(np.diag(lengths)), 0, atol=0.05)


@pytest.mark.parametrize("make", SETTINGS.values(), ids=list(SETTINGS))
def test_float32_parameters_stay_float32(make: Callable[[Any], optim.Optimizer]) -> None:
    w = tg.tensor(np.ones((3, 1), np.float32), requires_grad=True)
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


class AskingFor(optim.Optimizer):
    def update(self, w: Any, g: Any, state: Any, lr: float, rho: float) -> Any:
        return w - lr * rho * g


x = tg.tensor(1.0, requires_grad=True)
ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "lr negative": (lambda: optim.Adam([x], lr=-1e-3), InputError, "lr must not be negative, got -0.001"),
    "lr nan": (lambda: optim.Adam([x], lr=float("nan")), InputError, "lr must be a finite number, got nan"),
    "lr infinite": (lambda: optim.SGD([x], lr=float("inf")), InputError, "lr must be a finite number, got inf"),
    "lr text": (lambda: optim.SGD([x], lr="fast"), UsageError, "lr must be a number, got 'fast'"),
    "momentum": (lambda: optim.SGD([x], momentum=-1), InputError, "momentum must not be negative"),
    "nesterov": (lambda: optim.SGD([x], nesterov=True), InputError, "nesterov needs momentum"),
    "betas": (lambda: optim.Adam([x], betas=(0.9, 1.0)), InputError, r"betas\[1\] must lie in \[0, 1\)"),
    "two groups": (
        lambda: optim.LBFGS([{"params": x}, {"params": [tg.tensor(1.0, True)]}]),
        InputError,
        "LBFGS has one group",
    ),
    "search": (lambda: optim.LBFGS([x], line_search_fn="armijo"), InputError, "None or 'strong_wolfe', got 'armijo'"),
    "no closure": (lambda: optim.LBFGS([x]).step(), UsageError, "pass step a closure"),
    "average": (lambda: optim.ExponentialMovingAverage([x], 1.0), InputError, r"decay must lie in \[0, 1\)"),
    "average of a result": (
        lambda: optim.ExponentialMovingAverage([x * 2]),
        UsageError,
        "only leaf tensors can be averaged",
    ),
    "one beta": (lambda: optim.Adam([x], betas=0.9), InputError, "two numbers"),
    "eps": (lambda: optim.RMSprop([x], eps=-1), InputError, "eps must not be negative"),
    "etas": (lambda: optim.Rprop([x], etas=(1.2, 0.5)), InputError, "etas must be a number below 1 and one above"),
    "dampened": (lambda: optim.SGD([x], momentum=0.9, dampening=0.1, nesterov=True), InputError, "no dampening"),
    "vectors": (lambda: optim.Muon([x]), InputError, r"Muon is for matrices.*\(\)"),
    "unknown adjustment": (lambda: optim.Muon([x], adjust_lr_fn="none"), InputError, "adjust_lr_fn must be None"),
    "group": (lambda: optim.SGD([{"lr": 0.1}]), UsageError, "a dict with its parameters under 'params'"),
    "group lr": (lambda: optim.SGD([{"params": [x], "lr": -1}]), InputError, "lr must not be negative"),
    "in two groups": (lambda: optim.SGD([{"params": x}, {"params": [x]}]), InputError, "in a group already"),
    "half named": (lambda: optim.SGD([("x", x), tg.tensor(1.0, True)]), UsageError, "must all have names"),
    "unknown setting": (lambda: AskingFor([x], lr=1.0), UsageError, "asks for rho, which is not a setting"),
    "lr of two": (lambda: optim.SGD([{"params": x}, {"params": [tg.tensor(1.0, True)]}]).lr, UsageError, "2 groups"),
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


def settings_of_optimizers() -> Iterator[tuple[str, str, str]]:
    for name in {name for name, _ in OPTIMIZERS.values()} | {"LBFGS"}:
        for setting in list(signature(getattr(optim, name)).parameters.values())[1:]:
            if not isinstance(setting.default, bool):
                yield from ((name, setting.name, kind) for kind in BAD_VALUES)


BAD_VALUES = {"text": "a", "an object": object(), "complex": 1j, "NaN": float("nan"), "no list": []}


@pytest.mark.parametrize(("name", "setting", "kind"), sorted(settings_of_optimizers()))
def test_settings_of_another_kind_are_refused(name: str, setting: str, kind: str) -> None:
    matrix = tg.tensor(np.eye(2), requires_grad=True)
    with pytest.raises((InputError, UsageError), match=rf"^{setting}(\[0\])? must "):
        getattr(optim, name)([matrix], **{setting: BAD_VALUES[kind]})
    optimizer = getattr(optim, name)([other := tg.tensor(np.eye(3), requires_grad=True)])
    with pytest.raises((InputError, UsageError), match=rf"^{setting}(\[0\])? must |LBFGS has one group"):
        optimizer.add_param_group({"params": [matrix], setting: BAD_VALUES[kind]})
    assert optimizer.parameters == [other]


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    optimizer = optim.Adam(start(), lr=0.1)
    descend(optimizer, 2)
    before = repr(optimizer.state_dict())
    with pytest.raises(InputError, match=r"2 parameters, lr=0\.1 does not fit Adam of 2 parameters, lr=0\.1, betas="):
        optimizer.load_state_dict(optim.SGD(start(), lr=0.1).state_dict())
    with pytest.raises(InputError, match="1 parameters"):
        optimizer.load_state_dict(optim.Adam([x], lr=0.1).state_dict())
    with pytest.raises(InputError, match="entries state, param_groups"):
        optimizer.load_state_dict({})
    state = optimizer.state_dict()
    state["state"][1]["exp_avg"] = np.ones(7)
    with pytest.raises(ShapeError, match=r"exp_avg must have its parameter\'s shape .*, got \(7,\)"):
        optimizer.load_state_dict(state)
    state = optimizer.state_dict()
    state["param_groups"][0]["eps"] = -1
    with pytest.raises(InputError, match="eps must not be negative"):
        optimizer.load_state_dict(state)
    assert repr(optimizer.state_dict()) == before


@pytest.mark.parametrize("name", ["SGD momentum", "Adam", "NAdam", "Adafactor"])
def test_groups_are_as_good_as_optimisers_of_their_own(name: str) -> None:
    kind, settings = OPTIMIZERS[name]
    make = getattr(optim, kind)
    (w, b), (v, c) = start(), start()
    together = make([{"params": w, "lr": 0.01}], **settings)
    together.add_param_group({"params": [("b", b)], "weight_decay": 0.1})
    assert [group["lr"] for group in together.param_groups] == [0.01, settings["lr"]]
    assert together.param_groups[1]["param_names"] == ["b"]
    alone = [make([v], **{**settings, "lr": 0.01}), make([c], **{**settings, "weight_decay": 0.1})]
    for _ in range(5):
        for parameters in ((w, b), (v, c)):
            for x in parameters:
                x.grad = None
            target(*parameters).backward()
        together.step()
        for each in alone:
            each.step()
    np.testing.assert_array_equal(w.numpy(), v.numpy())
    np.testing.assert_array_equal(b.numpy(), c.numpy())
    with pytest.raises(InputError, match="already"):
        together.add_param_group({"params": [b]})
    assert len(together.param_groups) == 2


@pytest.mark.parametrize(
    ("make", "group"),
    [
        (lambda w: optim.Muon([w]), {"params": [tg.tensor(1.0, requires_grad=True)]}),
        (lambda w: optim.SGD([w]), {"params": [tg.tensor(1.0, requires_grad=True)], "nesterov": True}),
        (lambda w: optim.Adam([w]), {"params": [tg.tensor(1.0, requires_grad=True)], "eps": -1.0}),
    ],
    ids=["Muon", "SGD", "Adam"],
)
def test_a_group_that_is_refused_is_not_there(make: Any, group: dict[str, Any]) -> None:
    optimizer = make(tg.tensor(np.eye(2), requires_grad=True))
    before = repr(optimizer.state_dict())
    with pytest.raises(InputError):
        optimizer.add_param_group(group)
    assert repr(optimizer.state_dict()) == before
    assert len(optimizer.parameters) == 1


@pytest.mark.filterwarnings("ignore:.*no gradient for parameter")
@pytest.mark.parametrize("name", ["Adam", "RAdam", "Adagrad decay", "ASGD"])
def test_a_step_without_a_gradient_does_not_count(name: str) -> None:
    kind, settings = OPTIMIZERS[name]
    rng = np.random.default_rng(0)
    (w, b), (v, _) = start(), start()
    both, alone = getattr(optim, kind)([w, b], **settings), getattr(optim, kind)([v], **settings)
    for turn in range(12):
        b.grad = rng.normal(size=b.shape)
        if turn % 3 == 1 or turn > 7:
            w.grad = v.grad = rng.normal(size=w.shape)
            alone.step()
        both.step()
        w.grad = None
        if turn == 6:
            again = getattr(optim, kind)([w, b], **settings)
            again.load_state_dict(both.state_dict())
            both = again
    np.testing.assert_array_equal(w.numpy(), v.numpy())


def test_a_closure_computes_the_loss() -> None:
    w = tg.tensor(2.0, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.25)

    def closure() -> tg.Tensor:
        optimizer.zero_grad()
        loss = w * w
        loss.backward()
        return loss

    with tg.no_grad():
        assert optimizer.step(closure).item() == 4
    assert w.item() == 1
    assert optimizer.step() is None


def test_frozen_parameters_take_no_part_until_they_are_unfrozen() -> None:
    (w, b), (v, c) = start(), start()
    b.requires_grad = c.requires_grad = False
    optimizer, alone = optim.Adam([w, b], lr=0.1), optim.Adam([v], lr=0.1)
    for _ in range(3):
        for each, parameters in ((optimizer, (w, b)), (alone, (v, c))):
            each.zero_grad()
            target(*parameters).backward()
            each.step()
    np.testing.assert_array_equal(w.numpy(), v.numpy())
    np.testing.assert_array_equal(b.numpy(), start()[1].numpy())
    b.requires_grad = True
    descend(optimizer, 1)
    np.testing.assert_allclose(np.abs(b.numpy() - c.numpy()), 0.1, rtol=1e-6)


@pytest.fixture(params=[None, "numpy", "native"], ids=["eager", "numpy", "native"])
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_gradients_are_none_or_zeros(backend: str | None) -> None:
    w, v = tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor(0.5, requires_grad=True)
    optimizer = optim.SGD([w, v], lr=0.1, momentum=0.9)

    def step(x: Any) -> Any:
        loss = np.sum((w * x) ** 2)
        loss.backward()
        optimizer.zero_grad(set_to_none=False)
        return loss

    step = step if backend is None else tg.compile(step, backend)
    for _ in range(2):
        step(np.array([1.0, 3.0]))
        assert w.grad.tolist() == [0, 0]
        assert v.grad is None
    optimizer.zero_grad()
    assert w.grad is None


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_finds_the_minimum(search: str | None, backend: str | None) -> None:
    w, v = tg.tensor([[-1.2, 1.0]], requires_grad=True), tg.tensor(0.5, requires_grad=True)
    settings = {"lr": 0.1 if search is None else 1.0, "max_iter": 30, "line_search_fn": search, "history_size": 5}
    optimizer = optim.LBFGS([w, v], **settings)
    calls = []

    def loss_of() -> Any:
        optimizer.zero_grad()
        loss = rosenbrock(np.concatenate([w[0], v[None]]))
        loss.backward()
        return loss

    compute = loss_of if backend is None else tg.compile(loss_of, backend)

    def closure() -> Any:
        calls.append(compute())
        return calls[-1]

    first = optimizer.step(closure)
    assert first is calls[0]
    assert optimizer.state[w]["func_evals"] == len(calls)
    again = optim.LBFGS([w, v], **settings)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    before = w.numpy(), v.numpy()
    optimizer.step(closure)
    after = w.numpy()
    w.data, v.data = before
    again.step(closure)
    np.testing.assert_array_equal(w.numpy(), after)
    for _ in range(30):
        again.step(closure)
    np.testing.assert_allclose([*w.numpy()[0], v.numpy()], 1, rtol=1e-4)
    count = len(calls)
    again.step(closure)
    assert len(calls) == count + 1, "the gradient is small enough"


def test_a_step_of_lbfgs_is_not_compiled(backend: str | None) -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.LBFGS([w])

    def closure() -> Any:
        optimizer.zero_grad()
        loss = np.sum(w * w)
        loss.backward()
        return loss

    for _ in range(2):
        if backend:
            with pytest.raises(UsageError, match="LBFGS decides in Python"):
                tg.compile(lambda: optimizer.step(closure), backend)()
        optimizer.step(closure)
    np.testing.assert_allclose(w.numpy(), 0, atol=1e-6)


def test_averages_of_weights(backend: str | None) -> None:
    model = nn.Linear(2, 1, rng=0, dtype=np.float32)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    average = optim.ExponentialMovingAverage(model, 0.75)

    def run() -> None:
        optimizer.zero_grad()
        np.sum(model(np.ones((3, 2), np.float32)) ** 2).backward()
        optimizer.step()
        average.update()

    step = tg.compile(run, backend) if backend else run
    seen = []
    for _ in range(5):
        step()
        seen.append(model.weight.numpy().copy())
    expected = seen[0]
    for weight in seen[1:]:
        expected = 0.75 * expected + 0.25 * weight
    with average.applied():
        assert model.weight.dtype == np.float32
        np.testing.assert_allclose(model.weight.numpy(), expected, rtol=1e-5)
    np.testing.assert_array_equal(model.weight.numpy(), seen[-1])
    other = optim.ExponentialMovingAverage(model, 0.75)
    other.load_state_dict(average.state_dict())
    step()
    other.update()
    np.testing.assert_allclose(other.averages[0].numpy(), average.averages[0].numpy(), rtol=1e-6)
    with pytest.raises(InputError, match="must have the entries averages, n_averaged, got averages"):
        other.load_state_dict({"averages": [1]})
    with pytest.raises(ShapeError, match=r"weight's shape \(1, 2\), got \(3,\)"):
        other.load_state_dict({"averages": [np.ones(3), np.ones(1)], "n_averaged": 1})


def test_optimisers_written_as_pytorchs_say_what_is_different() -> None:
    class Own(optim.Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {"lr": 0.1})  # type: ignore[arg-type]

    with pytest.raises(UsageError, match="pass the defaults by name"):
        Own(start())
    parameters = iter(start())
    optim.SGD(parameters, lr=0.1)
    with pytest.raises(InputError, match="or they are an iterator that was read before"):
        optim.SGD(parameters, lr=0.1)


@pytest.mark.parametrize(
    "kind", [lambda loss: loss, float, lambda loss: np.float64(loss.item()), lambda loss: loss.numpy()]
)
def test_lbfgs_takes_the_loss_as_any_kind_of_number(kind: Callable[[Any], Any]) -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.LBFGS([w])

    def closure() -> Any:
        optimizer.zero_grad()
        loss = np.sum((w - 3) ** 2)
        loss.backward()
        return kind(loss)

    assert float(optimizer.step(closure)) == 5
    np.testing.assert_allclose(w.detach(), 3)
