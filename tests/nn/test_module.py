"""Modules: what they consist of, how they are saved, and what they say when something does not fit."""

import copy
import itertools
import logging
import pickle
import threading
from collections import UserDict, deque
from collections.abc import Callable
from dataclasses import make_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, ShapeError, TinygradWarning, UsageError


class Model(nn.Module):
    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.hidden = nn.Linear(3, 4, rng=rng)
        self.blocks = [nn.Sequential(nn.Linear(4, 4, rng=rng), nn.Tanh()), nn.Dropout(0.5, rng=rng)]
        self.heads = {"mean": nn.Linear(4, 1, rng=rng), "scale": tg.tensor(2.0, requires_grad=True)}
        self.running_mean = tg.tensor(np.zeros(4))

    def forward(self, x: Any) -> Any:
        x = np.tanh(self.hidden(x)) - self.running_mean
        for block in self.blocks:
            x = block(x)
        return self.heads["scale"] * self.heads["mean"](x)


PATHS = [
    "hidden.weight",
    "hidden.bias",
    "blocks.0.0.weight",
    "blocks.0.0.bias",
    "heads.mean.weight",
    "heads.mean.bias",
    "heads.scale",
]


def test_paths_of_parameters_and_state() -> None:
    model = Model()
    assert [path for path, _ in model.named_parameters()] == PATHS
    assert [parameter.name for parameter in model.parameters()] == PATHS
    assert sorted(model.state_dict()) == sorted([*PATHS, "running_mean"])
    assert "blocks.0.1" in dict(model.named_modules())


def test_names_grow_with_the_module_that_asks() -> None:
    layer = nn.Linear(2, 2, rng=0)
    list(layer.parameters())
    assert layer.weight.name == "weight"
    list(nn.Sequential(layer).parameters())
    assert layer.weight.name == "0.weight"
    layer.weight.name = "mine"
    list(nn.Sequential(nn.Sequential(layer)).parameters())
    assert layer.weight.name == "mine"


def test_shared_parameters_count_once() -> None:
    layer = nn.Linear(3, 3, rng=0)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert len(list(model.parameters())) == 2
    assert len(list(model.modules())) == 3
    assert sorted(model.state_dict()) == ["0.bias", "0.weight", "2.bias", "2.weight"]


def test_a_module_may_refer_back() -> None:
    model = Model()
    text = repr(model)
    model.hidden.parent = model
    assert repr(model).splitlines()[0] == text.splitlines()[0]
    assert [path for path, _ in model.named_parameters()] == PATHS


def test_a_result_that_a_module_keeps_is_no_state() -> None:
    model = Model()
    model.last = model(np.ones((1, 3)))
    assert [path for path, _ in model.named_parameters()] == PATHS
    assert "last" not in model.state_dict()


def test_private_fields_are_parameters_too() -> None:
    layer = nn.Linear(2, 2, rng=0)
    layer._scale = tg.tensor(1.0, requires_grad=True)
    assert [path for path, _ in layer.named_parameters()] == ["weight", "bias", "_scale"]


def test_frozen_parameters_stay_parameters() -> None:
    """So a loop over all of them unfreezes them, and an optimiser of all of them may meet some that are frozen."""
    layer = nn.Linear(2, 2, rng=0)
    layer.bias.requires_grad = False
    for module in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert [path for path, _ in module.named_parameters()] == ["weight", "bias"]
        assert [*module._for_transforms().variables] == ["weight"]
        assert list(module.buffers()) == []
        assert "bias" in module.state_dict()
        before = module.state_dict()
        optimizer = tg.optim.SGD(module.parameters(), lr=0.1)
        module(np.ones(2)).sum().backward()
        optimizer.step()
        np.testing.assert_array_equal(module.bias.numpy(), before["bias"])
        assert not np.any(module.weight.numpy() == before["weight"])
        for parameter in module.parameters():
            parameter.requires_grad = True
        assert [*module._for_transforms().variables] == ["weight", "bias"]


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_compiled_step_keeps_what_is_frozen(backend: Any) -> None:
    layer = nn.Sequential(nn.Linear(3, 2, rng=0), nn.Linear(2, 1, rng=1))
    layer[0].requires_grad_(False)
    optimizer = tg.optim.SGD(layer.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (layer(x) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    run = tg.compile(step, backend=backend)
    before = layer.state_dict()
    for _ in range(3):
        run(np.ones((4, 3)))
    after = layer.state_dict()
    assert [path for path in before if not np.array_equal(before[path], after[path])] == ["1.weight", "1.bias"]
    layer.requires_grad_(True)
    for _ in range(3):
        run(np.ones((4, 3)))
    assert not any(np.array_equal(after[path], value) for path, value in layer.state_dict().items())


def test_gradients_reach_every_parameter() -> None:
    model = Model().eval()
    model(np.ones((5, 3))).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_train_and_eval_reach_every_module() -> None:
    model = Model()
    x = np.ones((50, 3))
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    np.testing.assert_array_equal(model(x).numpy(), model(x).numpy())
    model.train()
    assert all(module.training for module in model.modules())
    assert not np.array_equal(model(x).numpy(), model(x).numpy())


def test_state_is_a_snapshot_that_loads_again() -> None:
    model, other = Model(), Model()
    with tg.no_grad():
        for parameter in model.parameters():
            parameter *= 3
    state = model.state_dict()
    kept = {path: array.copy() for path, array in state.items()}
    other.load_state_dict(state)
    with tg.no_grad():
        for parameter in model.parameters():
            parameter *= 0
    for path, array in other.state_dict().items():
        np.testing.assert_array_equal(array, kept[path])
        np.testing.assert_array_equal(state[path], kept[path])


def test_loading_casts_and_copies() -> None:
    layer = nn.Linear(2, 1, dtype=np.float32, rng=0)
    weight = np.array([[1.0, 2.0]])
    layer.load_state_dict({"weight": weight, "bias": tg.tensor([1.0], requires_grad=True)})
    weight[:] = 0
    assert layer.weight.dtype == np.float32
    np.testing.assert_array_equal(layer.weight.numpy(), [[1, 2]])


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda state: state.pop("bias"), InputError, "Linear: missing bias"),
        (lambda state: state.update(weight=np.ones((2, 3)) * 1j), UsageError, "weight has dtype complex128"),
        (lambda state: state.update(extra=np.ones(1)), InputError, "unknown extra"),
        (
            lambda state: state.update(weight=np.ones((3, 2))),
            ShapeError,
            r"weight has shape \(3, 2\) instead of \(2, 3\)",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change: Callable[[Any], Any], kind: Any, message: str) -> None:
    layer = nn.Linear(3, 2, rng=0)
    before = layer.state_dict()
    state = {path: array + 1 for path, array in before.items()}
    change(state)
    with pytest.raises(kind, match=message):
        layer.load_state_dict(state)
    for path, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[path])


class Masked(nn.Module):
    """Keeps a mask for the next call, and tables in a dict, as published models do."""

    def __init__(self, persistent: bool = True) -> None:
        self.mask: Any = None
        self.tables = {0: np.arange(3)}
        self.inner = nn.ModuleList([nn.Linear(2, 2, rng=0)])
        if not persistent:
            self.register_buffer("mask", None, persistent=False)

    def forward(self, x: Any) -> Any:
        if self.mask is None:
            self.mask = np.tri(2)
        return self.inner[0](x) * self.mask


def test_the_error_for_an_array_that_a_module_keeps_says_how_to_leave_it_out() -> None:
    fresh, used = Masked(), Masked()
    used(np.ones((2, 2)))
    advice = r"is an array in a field, and part of the state here: load_state_dict\(state, strict=False\) leaves it"
    with pytest.raises(InputError, match=f"unknown mask; mask {advice}"):
        fresh.load_state_dict(used.state_dict())
    with pytest.raises(InputError, match=f"missing mask; mask {advice}"):
        used.load_state_dict(fresh.state_dict())
    with pytest.raises(InputError, match=rf"missing tables\.0; tables\.0 {advice}"):
        fresh.load_state_dict({k: v for k, v in fresh.state_dict().items() if k != "tables.0"})
    assert used.load_state_dict(fresh.state_dict(), strict=False).missing_keys == ["mask"]
    apart = Masked(persistent=False)
    apart(np.ones((2, 2)))
    apart.load_state_dict(fresh.state_dict())
    apart.register_buffer("tables", None, persistent=False)
    apart.tables = np.triu_indices(3)
    assert list(apart.state_dict()) == ["inner.0.weight", "inner.0.bias"]
    for layer, name in ((nn.BatchNorm1d(2), "running_mean"), (nn.Linear(2, 2, bias=False, rng=0), "bias")):
        state = layer.state_dict()
        misfit = {k: v for k, v in state.items() if k != name} if name in state else state | {name: np.ones(2)}
        with pytest.raises(InputError, match=f" {name}$"):  # what a layer of ours has is all that it can have
            layer.load_state_dict(misfit)


@pytest.mark.parametrize("again", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_modules_can_be_copied_and_pickled(again: Callable[[Any], Any]) -> None:
    model = Model().eval()
    x = np.ones((2, 3))
    other = again(model)
    np.testing.assert_array_equal(other(x).numpy(), model(x).numpy())
    with tg.no_grad():
        other.hidden.weight -= 1
    assert not np.array_equal(other(x).numpy(), model(x).numpy())


def test_repr_is_a_tree_with_counts() -> None:
    assert repr(Model()).splitlines() == [
        "Model                          42 parameters",
        "├─ hidden: Linear(3, 4)        16",
        "├─ blocks.0: Sequential        20",
        "│  ├─ 0: Linear(4, 4)          20",
        "│  └─ 1: Tanh()",
        "├─ blocks.1: Dropout(p=0.5)",
        "└─ heads.mean: Linear(4, 1)     5",
    ]


def test_a_module_without_a_forward_says_so() -> None:
    with pytest.raises(UsageError, match=r"Empty defines no forward"):
        type("Empty", (nn.Module,), {})()(1.0)


@pytest.mark.parametrize("name", ["foward", "forwad", "foreward", "_forward", "forwards", "Forward"])
def test_a_misspelt_forward_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=rf"Own defines no forward\(self, ...\): is {name} meant\?"):
        type("Own", (nn.Module,), {name: lambda self, x: x, "reset": lambda self: None})()(1.0)


class Table(nn.Module):
    """Arrays among the fields, and in containers."""

    def __init__(self) -> None:
        self.weight = tg.tensor(np.ones(3), requires_grad=True)
        self.mask = np.array([True, False, True])
        self.counts = [np.zeros(2, np.int32), (np.zeros((2, 2), np.float32), {"deep": np.ones(1)})]
        self.names = np.array(["a", "b"])
        self.eps = np.float64(1e-5)


ARRAYS = ["mask", "counts.0", "counts.1.0", "counts.1.1.deep"]


def test_arrays_among_the_fields_are_buffers() -> None:
    model, other = Table(), Table()
    assert list(model.state_dict()) == ["weight", *ARRAYS]
    assert [path for path, _ in model.named_parameters()] == ["weight"]
    model.mask[1] = True
    model.counts[0][:] = [3, 4]
    model.counts[1][1]["deep"] += 1
    state = model.state_dict()
    model.mask[:] = False
    assert not any(array.flags.writeable for array in state.values())
    other.load_state_dict(state)
    for path, array in other.state_dict().items():
        np.testing.assert_array_equal(array, state[path])
        assert array.dtype == state[path].dtype
    other.mask[0] = False  # what a module computes with may be written to, as before
    assert state["mask"].all()
    assert model.counts[0].tolist() == [3, 4]


@pytest.mark.parametrize("path", ["weight", *ARRAYS])
def test_an_array_that_does_not_fit_changes_nothing(path: str) -> None:
    model = Table()
    before = model.state_dict()
    for value, kind in ((np.zeros(7), (ShapeError, UsageError)), (np.full(before[path].shape, 1j), UsageError)):
        with pytest.raises(kind, match=rf"\b{path}\b"):
            model.load_state_dict(
                {**{other: array + array.dtype.type(1) for other, array in before.items()}, path: value}
            )
    for other, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[other])


class Holder:
    def __init__(self, inside: Any) -> None:
        self.inside = inside


def _closure(x: Any) -> Callable[[], Any]:
    return lambda: x


def _generator(x: Any) -> Any:
    yield 1
    yield x


def _started(x: Any) -> Any:
    generator = _generator(x)
    next(generator)
    return generator


class Slotted:
    __slots__ = ("inside",)

    def __init__(self, inside: Any) -> None:
        self.inside = inside


OUT_OF_SIGHT: dict[str, Callable[[Any], Any]] = {
    "set": lambda x: {x},
    "frozenset": lambda x: frozenset([x]),
    "deque": lambda x: deque([x]),
    "object": Holder,
    "object of an object": lambda x: Holder([Holder({"a": x})]),
    "object with slots": Slotted,
    "dataclass": make_dataclass("Box", ["inside"]),
    "class that is a mapping": lambda x: UserDict(a=x),
    "view of a dict": lambda x: {"a": x}.values(),
    "closure": _closure,
    "default": lambda x: lambda y=x: y,
    "partial": lambda x: partial(max, x),
    "method": lambda x: Holder(x).__init__,
    "generator": _generator,
    "generator that has begun": _started,
    "iterator": lambda x: iter([x]),
    "map": lambda x: map(str, [x]),
    "object array": lambda x: np.array([None, Holder(x)], dtype=object),
}


@pytest.mark.parametrize("hide", OUT_OF_SIGHT.values(), ids=OUT_OF_SIGHT)
@pytest.mark.parametrize("kind", [lambda: nn.Linear(2, 2, rng=0), lambda: tg.tensor(1.0, requires_grad=True)])
@pytest.mark.parametrize("place", [lambda x: x, lambda x: [{"a": x}]], ids=["field", "in containers"])
def test_what_is_out_of_sight_is_said_to_be(hide: Callable[[Any], Any], kind: Any, place: Any) -> None:
    module, inside = nn.Module(), kind()
    module.field = place(hide(inside))
    for ask in (module.state_dict, lambda: list(module.parameters()), lambda: module.load_state_dict({})):
        with pytest.warns(TinygradWarning, match=r"^field.* of Module, of type .*, holds a tensor or module") as warned:
            ask()
        assert warned[0].filename == __file__
    module.zero_grad()
    module.seen = inside  # in sight elsewhere
    assert list(module.parameters())
    module.load_state_dict(module.state_dict())


class ForeignModel:
    def __call__(self, x: Any) -> Any:
        return x

    def parameters(self) -> list[Any]:
        return []

    def state_dict(self) -> dict[str, Any]:
        return {}


class ForeignArray:
    def __dlpack__(self) -> None: ...

    def __call__(self, x: Any) -> Any: ...


@pytest.mark.parametrize("kind", [ForeignModel, ForeignArray])
@pytest.mark.parametrize("place", [lambda x: x, lambda x: [{"a": x}], lambda x: nn.Sequential(x)])
def test_what_belongs_to_another_library_is_said_to_be_no_state(kind: Any, place: Any) -> None:
    module = nn.Module()
    module.field = place(kind())
    for ask in (module.state_dict, lambda: list(module.parameters())):
        with pytest.warns(
            TinygradWarning, match=rf"^field.* of Module is tests's {kind.__name__}, which is neither a param"
        ):
            ask()


HARMLESS: dict[str, Any] = {
    "functions": [np.tanh, np.sum, max, lambda x: x, nn.functional.relu, _closure(1)],
    "modules and classes": [np, nn, nn.Linear, type],
    "numbers": {1, "a", 2.5, None, (1, 2)},
    "a random generator": np.random.default_rng(0),
    "objects": Holder(Holder({"path": Path(), "lock": threading.Lock(), "log": logging.getLogger("x")})),
    "a result": Holder(tg.tensor(1.0, requires_grad=True) * 2),
    "an iterator": itertools.count(),
}


@pytest.mark.parametrize("field", HARMLESS.values(), ids=HARMLESS)
def test_what_holds_nothing_is_not_warned_of(field: Any) -> None:
    module = nn.Sequential(nn.Linear(2, 2, rng=0), np.tanh)
    module.field = field
    assert len(list(module.parameters())) == 2
    assert len(module.state_dict()) == 2


def test_an_object_that_knows_the_module_is_not_warned_of() -> None:
    model = Model()
    model.helper = Holder(model)
    model.method = model.hidden.forward
    model.optimizer = tg.optim.Adam(model.parameters())
    assert [path for path, _ in model.named_parameters()] == PATHS


@pytest.mark.parametrize("depth", [500, 1_500])
def test_modules_however_deep(depth: int) -> None:
    model: nn.Module = nn.Linear(1, 1, rng=0)
    for _ in range(depth):
        model = nn.Sequential(model)
    path = "0." * depth
    assert [path for path, _ in model.named_parameters()] == [f"{path}weight", f"{path}bias"]
    state = {path: array + 1 for path, array in model.state_dict().items()}
    model.load_state_dict(state)
    np.testing.assert_array_equal(model.state_dict()[f"{path}bias"], state[f"{path}bias"])
    assert not any(module.training for module in model.eval().modules())
    gradient = tg.grad(lambda m: sum(np.sum(p**2) for p in m.parameters()))(model)
    np.testing.assert_array_equal(gradient[f"{path}bias"].detach(), 2 * state[f"{path}bias"])


def test_containers_of_a_module_that_hold_themselves() -> None:
    module = nn.Module()
    module.loop = [tg.tensor(1.0, requires_grad=True)]
    module.loop.append(module.loop)
    assert [path for path, _ in module.named_parameters()] == ["loop.0"]
    with pytest.raises(UsageError, match="contain themselves"):
        tg.grad(lambda m: m.loop[0])(module)


def test_the_settings_of_a_module_may_have_any_name() -> None:
    class Named(nn.Module):
        def __init__(this, **fields: Any) -> None:
            for name, field in fields.items():
                setattr(this, name, field)

        def forward(this, **inputs: Any) -> Any:
            return inputs

    names = ["cls", "self", "args", "settings", "module", "function", "f", "x", "name", "path", "state"]
    model = Named(**{name: k for k, name in enumerate(names)})
    assert [getattr(model, name) for name in names] == [*range(len(names))]
    assert model(**dict.fromkeys(names, 1)) == dict.fromkeys(names, 1)


WITH_PARAMETERS: list[nn.Module] = [
    *(nn.Linear(3, 3), nn.Bilinear(2, 2, 2), nn.Conv2d(2, 2, 2), nn.ConvTranspose1d(2, 2, 2), nn.BatchNorm1d(3)),
    *(nn.LayerNorm(3), nn.GroupNorm(1, 2), nn.LSTM(2, 2), nn.GRUCell(2, 2), nn.MultiheadAttention(2, 1), nn.PReLU()),
    *(nn.Embedding(3, 2), nn.RMSNorm(3)),
]
REPLACEMENTS: dict[str, Callable[[tg.Tensor], Any]] = {
    "array": lambda w: np.ones(w.shape),
    "number": lambda w: 1.0,
    "complex number": lambda w: 1j,
    "constant": lambda w: tg.tensor(np.ones(w.shape)),
    "result": lambda w: w * 2,
    "list": lambda w: w.tolist(),
    "tuple of parameters": lambda w: (w, w),
    "dict": lambda w: {"w": np.ones(w.shape)},
    "text": lambda w: "w",
    "module": lambda w: nn.Linear(1, 1),
    "function": lambda w: np.sin,
}


@pytest.mark.parametrize("kind", REPLACEMENTS)
def test_a_parameter_is_not_replaced_by_what_would_not_be_trained(kind: str) -> None:
    """It became a constant without a word, which the optimiser did not know."""
    for module in WITH_PARAMETERS:
        for name, parameter in module.named_parameters(recurse=False):
            for is_frozen in (False, True):
                parameter.requires_grad = not is_frozen
                with pytest.raises(UsageError, match=f"{name} of {type(module).__name__} is a parameter"):
                    setattr(module, name, REPLACEMENTS[kind](parameter))
                assert getattr(module, name) is parameter
                parameter.requires_grad = True


def test_a_parameter_is_replaced_by_another_or_by_none() -> None:
    layer = nn.Linear(3, 3)
    layer.weight = weight = nn.Parameter(np.eye(3))
    layer.bias = None
    assert [*layer.parameters()] == [weight]
    with tg.no_grad():
        layer.weight -= 1.0
    assert layer.weight is weight
    layer.running = np.zeros(3)
    layer.running = 0.5 * layer.running + layer.weight[0]  # a field that is none may hold anything
    del layer.weight
    layer.weight = np.eye(3)
    assert [*layer.parameters()] == []
