"""What is no state of a model, an optimiser, a schedule, a loader or a history is refused, and changes nothing."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from tests.optim.samples import OPTIMIZERS, SCHEDULES
from tinygrad_lite import nn, optim
from tinygrad_lite.data import DataLoader
from tinygrad_lite.errors import InputError, TinygradError
from tinygrad_lite.training.history import History


def optimizer(kind: str = "Adam", settings: Mapping[str, Any] = MappingProxyType({"lr": 0.1})) -> optim.Optimizer:
    """One that has taken a step, and so has something to keep."""
    layer = nn.Linear(2, 2, bias=False, rng=0)
    made: optim.Optimizer = getattr(optim, kind)(layer.parameters(), **settings)
    made.step(lambda: descended(made))
    return made


def descended(optimizer: optim.Optimizer) -> Any:
    optimizer.zero_grad()
    loss = (optimizer.parameters[0] ** 2).sum()
    loss.backward()
    return loss


def step(object_with_a_state: Any) -> None:
    """A step of what takes steps."""
    if isinstance(object_with_a_state, optim.Optimizer):
        object_with_a_state.step(lambda: descended(object_with_a_state))
    elif isinstance(object_with_a_state, optim.lr_scheduler.ReduceLROnPlateau):
        object_with_a_state.step(1.0)
    elif isinstance(object_with_a_state, optim.lr_scheduler.LRScheduler):
        object_with_a_state.step()


def two_groups() -> optim.Optimizer:
    w, v = (nn.Linear(2, 1, rng=0).weight for _ in range(2))
    return optim.SGD([{"params": w}, {"params": v, "lr": 0.05}], lr=0.1, momentum=0.9)


def chained() -> Any:
    first = optimizer()
    parts = [optim.lr_scheduler.StepLR(first, 1), optim.lr_scheduler.ExponentialLR(first, 0.5)]
    return optim.lr_scheduler.ChainedScheduler(parts)


OWNERS: dict[str, Callable[[], Any]] = {
    "module": lambda: nn.Linear(2, 1, rng=0),
    "optimiser": optimizer,
    "schedule": lambda: optim.lr_scheduler.StepLR(optimizer(), 1),
    "plateau": lambda: optim.lr_scheduler.ReduceLROnPlateau(optimizer()),
    "schedules": chained,
    "averages": lambda: optim.ExponentialMovingAverage(nn.Linear(2, 1, rng=0), 0.9),
    "loader": lambda: DataLoader(np.arange(4), 2, rng=0),
    "history": lambda: History([{"epoch": 1, "loss": 0.5}], best_state={}),
}


ALL_OWNERS = {
    **OWNERS,
    "LBFGS": partial(optimizer, "LBFGS", {}),
    **{name: partial(optimizer, kind, settings) for name, (kind, settings) in OPTIMIZERS.items()},
    **{name: lambda made=made: made(optim.lr_scheduler, two_groups()) for name, made in SCHEDULES.items()},
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


def entries_of(state: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each entry of a state, at any depth."""
    inside = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, (list, tuple)) else ()
    for name, entry in inside:
        yield (*path, name)
        yield from entries_of(entry, (*path, name))


def with_entry(state: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A state in which the entry at a path is another value."""
    if not path:
        return value
    copy = state.copy() if isinstance(state, dict) else list(state)
    copy[path[0]] = with_entry(state[path[0]], path[1:], value)
    return copy


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # -1 and NaN are taken for a mean square
@pytest.mark.filterwarnings("ignore:Conversion of an array with ndim > 0:DeprecationWarning")  # before NumPy 2.4
@pytest.mark.parametrize("owner", ALL_OWNERS)
def test_an_entry_of_another_kind_changes_nothing(owner: str) -> None:
    object_with_a_state = ALL_OWNERS[owner]()
    for path in entries_of(object_with_a_state.state_dict()):
        for value in ("x", None, {}, [1, [2, 3]], object(), np.zeros((7, 7)), np.array(["x"]), np.nan, -1):
            before = object_with_a_state.state_dict()
            state = with_entry(before, path, value)
            try:
                object_with_a_state.load_state_dict(state)
            except TinygradError:
                np.testing.assert_equal(object_with_a_state.state_dict(), before)
                continue
            step(object_with_a_state)  # what it has taken for a state serves as one
            object_with_a_state.load_state_dict(before)


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
