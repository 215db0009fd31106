"""What is no state of a model, an optimiser, a schedule, a loader or a history is refused, and changes nothing."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from tests.optim.samples import OPTIMIZERS, SCHEDULES
from tinygrad_lite import nn, optim
from tinygrad_lite.data import DataLoader
from tinygrad_lite.errors import InputError, TinygradError, UsageError
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


class Layers(nn.Module):
    def __init__(self, count: int = 12) -> None:
        self.layers = [nn.Linear(2, 2, rng=0) for _ in range(count)]


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
def test_a_checkpoint_around_a_state_is_recognised(name: str) -> None:
    layer = nn.Linear(2, 1)
    with pytest.raises(InputError, match=rf"the state itself is state\['{name}'\]"):
        layer.load_state_dict({"epoch": 3, name: layer.state_dict()})


RENAMED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "DataParallel": lambda state: {f"module.{name}": x for name, x in state.items()},
    "compiled": lambda state: {f"_orig_mod.{name}": x for name, x in state.items()},
    "inside a model": lambda state: {f"model.net.{name}": x for name, x in state.items()},
    "another name of a list": lambda state: {name.replace("layers.", "blocks."): x for name, x in state.items()},
    "a part alone": lambda state: {name.removeprefix("layers."): x for name, x in state.items()},
    "beside others": lambda state: {"loss.weight": np.ones(2), **{f"net.{name}": x for name, x in state.items()}},
    "from JSON": lambda state: {f"module.{name}": np.asarray(x).tolist() for name, x in state.items()},
    "Lightning": lambda state: {"epoch": 3, "state_dict": {f"model.{name}": x for name, x in state.items()}},
}


@pytest.mark.parametrize("name", RENAMED)
def test_a_state_under_other_names_is_recognised(name: str) -> None:
    model = Layers()
    state = RENAMED[name](model.state_dict())
    with pytest.raises(InputError) as refused:
        model.load_state_dict(state)
    advice = str(refused.value).rpartition(": load ")[2]
    model.load_state_dict(eval(advice, {"state": state}))
    assert len(str(refused.value)) < 600, "of 24 entries, it lists some"


def test_a_state_with_the_names_of_another_part_and_other_shapes_is_not_taken_for_it() -> None:
    with pytest.raises(InputError) as refused:
        nn.Sequential(nn.Linear(2, 3)).load_state_dict(nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 3)).state_dict())
    assert str(refused.value).endswith("unknown 1.weight, 1.bias")


def test_entries_that_do_not_fit_are_listed_in_order() -> None:
    def told(state: Any) -> str:
        with pytest.raises(TinygradError) as refused:
            Layers().load_state_dict(state)
        return str(refused.value)

    state = Layers(15).state_dict()
    assert "unknown layers.12.bias, layers.12.weight, layers.13.bias, layers.13.weight, layers.14.bias" in told(
        dict(sorted(state.items()))
    )
    assert "missing layers.1.weight, layers.1.bias, layers.2.weight" in told(dict(list(state.items())[:2]))
    assert ", and 16 more" in told(dict(list(state.items())[:2]))
    narrow = {name: x[:1] for name, x in Layers().state_dict().items()}
    assert ", and 18 more: make the model with the sizes" in told(narrow).replace(";", ",")


@pytest.mark.parametrize("path", ["model.safetensors", Path("model.safetensors")])
def test_a_path_is_no_state(path: Any) -> None:
    with pytest.raises(UsageError, match=r"got (str|PosixPath); of a file: tg\.load\(path, model=model\), or"):
        Layers().load_state_dict(path)


def test_a_state_of_a_larger_model_is_none_under_a_longer_name() -> None:
    larger = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1))
    with pytest.raises(InputError, match=r"unknown 0.weight, .*1.bias$"):
        nn.Linear(2, 1).load_state_dict(larger.state_dict())


@pytest.mark.parametrize(("result", "message"), [(None, "return loss"), ("a", "must be a number"), ([1], "number")])
def test_a_closure_that_returns_no_loss_is_an_error(result: Any, message: str) -> None:
    layer = nn.Linear(2, 1)
    with pytest.raises(TinygradError, match=message):
        optim.LBFGS(layer.parameters()).step(lambda: result)
