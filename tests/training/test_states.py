"""What is no state of a model, an optimiser, a schedule, a loader or a history is refused, and changes nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_lite import nn, optim
from tinygrad_lite.data import DataLoader
from tinygrad_lite.errors import InputError, TinygradError
from tinygrad_lite.training.history import History


def optimizer() -> optim.Optimizer:
    return optim.Adam(nn.Linear(2, 1, rng=0).parameters(), lr=0.1)


def chained() -> Any:
    first = optimizer()
    parts = [optim.lr_scheduler.StepLR(first, 1), optim.lr_scheduler.ExponentialLR(first, 0.5)]
    return optim.lr_scheduler.ChainedScheduler(parts)


OWNERS: dict[str, Callable[[], Any]] = {
    "module": lambda: nn.Linear(2, 1, rng=0),
    "optimiser": optimizer,
    "schedule": lambda: optim.lr_scheduler.StepLR(optimizer(), 1),
    "schedules": chained,
    "averages": lambda: optim.ExponentialMovingAverage(nn.Linear(2, 1, rng=0), 0.9),
    "loader": lambda: DataLoader(np.arange(4), 2, rng=0),
    "history": History,
}


@pytest.mark.parametrize("owner", OWNERS)
def test_what_is_no_state_changes_nothing(owner: str) -> None:
    object_with_a_state = OWNERS[owner]()
    before = object_with_a_state.state_dict()
    halves = [{name: before[name] for name in list(before)[:-1]}, {1: 2}]
    if owner == "schedules":
        parts = before["_schedulers"]
        halves.append({**before, "_schedulers": [{**parts[0], "last_epoch": 7}, {}]})
    for state in (None, "model.safetensors", [1], 3, {}, object_with_a_state, *halves):
        with pytest.raises(TinygradError, match=r"state|entries"):
            object_with_a_state.load_state_dict(state)
        np.testing.assert_equal(object_with_a_state.state_dict(), before)


@pytest.mark.parametrize("name", ["model", "state_dict"])
def test_a_checkpoint_around_a_state_is_told(name: str) -> None:
    layer = nn.Linear(2, 1)
    with pytest.raises(InputError, match=rf"the state itself is state\['{name}'\]"):
        layer.load_state_dict({"epoch": 3, name: layer.state_dict()})


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.net."])
def test_a_state_under_a_longer_name_is_told(prefix: str) -> None:
    layer = nn.Linear(2, 1)
    state = {prefix + name: x for name, x in layer.state_dict().items()}
    with pytest.raises(InputError) as refused:
        layer.load_state_dict(state)
    advice = str(refused.value).rpartition(": load ")[2]
    layer.load_state_dict(eval(advice, {"state": state}))


def test_a_state_of_a_larger_model_is_none_under_a_longer_name() -> None:
    larger = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1))
    with pytest.raises(InputError, match=r"unknown 0.weight, .*1.bias$"):
        nn.Linear(2, 1).load_state_dict(larger.state_dict())


@pytest.mark.parametrize(("result", "message"), [(None, "return loss"), ("a", "must be a number"), ([1], "number")])
def test_a_closure_that_returns_no_loss_is_told(result: Any, message: str) -> None:
    layer = nn.Linear(2, 1)
    with pytest.raises(TinygradError, match=message):
        optim.LBFGS(layer.parameters()).step(lambda: result)
