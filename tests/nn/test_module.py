"""Modules: what they consist of, how they are saved, and what they say when something does not fit."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, ShapeError, UsageError


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


def test_frozen_parameters_stay_in_the_state() -> None:
    layer = nn.Linear(2, 2, rng=0)
    layer.bias.requires_grad = False
    assert [path for path, _ in layer.named_parameters()] == ["weight"]
    assert "bias" in layer.state_dict()


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
