"""Attributes in which a compiled function leaves what it computes, as a layer does with its attention weights."""

import array
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import date
from enum import Enum, IntEnum
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.outside import Turns
from tinygrad_lite import nn, optim, trees
from tinygrad_lite.compiler.recording.recorded import OfVariable, Recorded
from tinygrad_lite.errors import GraphError, UsageError

RNG = np.random.default_rng(0)
BATCHES = [RNG.normal(size=(3, 2)) for _ in range(5)]


class Layer(nn.Module):
    """A layer that keeps a penalty for the loss, and what it looked at."""

    def __init__(self) -> None:
        self.linear = nn.Linear(2, 2, rng=0)
        self.maps: Any = None

    def forward(self, x: Any) -> Any:
        y = self.linear(x)
        self.penalty = np.sum(y**2)
        self.size = self.penalty.detach() / 2
        self.maps = {"first": np.tanh(y), "others": [y * 2, (x * 3, 7, None)]}
        return y


class Plain:
    """An object that is not a module, with a layer that keeps values."""

    def __init__(self) -> None:
        self.layer = Layer()

    def __call__(self, x: Any) -> Any:
        self.seen = np.mean(x, axis=0)
        return self.layer(x)


def values_of(thing: Any) -> list[Any]:
    layer = thing.layer if isinstance(thing, Plain) else thing
    others = [thing.seen] if isinstance(thing, Plain) else []
    return trees.leaves([layer.penalty, layer.size, layer.maps, others])


def training(thing: Any) -> Callable[[Any], Any]:
    layer = thing.layer if isinstance(thing, Plain) else thing
    optimizer = optim.SGD(layer.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = np.mean(thing(x)) + 0.1 * layer.penalty
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.mark.parametrize("make", [Layer, Plain])
def test_attributes_have_the_values_of_the_latest_step(backend: str, make: Any) -> None:
    eager, compiled = make(), make()
    by_eager, by_program = training(eager), tg.compile(training(compiled), backend)
    for x in BATCHES:
        np.testing.assert_allclose(by_program(x), by_eager(x).numpy(), rtol=1e-12)
        for found, expected in zip(values_of(compiled), values_of(eager), strict=True):
            assert type(found) is type(expected)
            assert getattr(found, "requires_grad", None) == getattr(expected, "requires_grad", None)
            if isinstance(expected, (tg.Tensor, np.ndarray)):
                np.testing.assert_allclose(found.tolist(), expected.tolist(), rtol=1e-9)
            else:
                assert found == expected
    assert sum(map(len, by_program._runs.values())) == 1
    layers = [thing.layer if make is Plain else thing for thing in (eager, compiled)]
    assert layers[0].state_dict().keys() == layers[1].state_dict().keys()
    with pytest.raises(GraphError, match="freed by an earlier backward pass"):
        layers[1].penalty.backward()
    before = layers[1].penalty
    losses = by_program.repeat(3, BATCHES[0])
    np.testing.assert_allclose(losses, [float(by_eager(BATCHES[0])) for _ in range(3)])
    assert layers[1].penalty is not before
    np.testing.assert_allclose(float(layers[1].penalty), float(layers[0].penalty))


def test_what_a_compiled_model_leaves_has_a_history(backend: str) -> None:
    eager, model = Layer(), Layer()
    compiled = tg.compile(model, backend)
    for x in BATCHES[:3]:
        for layer, call in ((eager, eager), (model, compiled)):
            layer.linear.weight.grad = None
            (np.sum(call(x)) + layer.penalty * np.sum(layer.maps["first"])).backward()
        np.testing.assert_allclose(model.linear.weight.grad, eager.linear.weight.grad, rtol=1e-12)

    def slope(layer: Any, call: Any, x: Any) -> Any:
        def penalty(x: Any) -> Any:
            call(x)
            return layer.penalty

        return tg.grad(lambda x: np.sum(tg.grad(penalty)(x) ** 2))(x)

    x = tg.tensor(BATCHES[0], requires_grad=True)
    np.testing.assert_allclose(slope(model, compiled, x).numpy(), slope(eager, eager, x).numpy(), rtol=1e-12)


def test_a_method(backend: str) -> None:
    class Agent:
        def __init__(self) -> None:
            self.weight = tg.tensor([1.0, 2.0], requires_grad=True)

        @tg.compile(backend=backend)
        def act(self, x: Any) -> Any:
            self.scores = x @ self.weight
            return np.tanh(self.scores)

    agent = Agent()
    for x in BATCHES:
        agent.act(x)
        np.testing.assert_allclose(agent.scores.numpy(), x @ [1.0, 2.0], rtol=1e-12)


def test_an_attribute_that_is_made_by_the_first_call(backend: str) -> None:
    class State:
        pass

    states: list[Any] = [State(), State()]

    def forward(state: Any, x: Any) -> Any:
        before = state.hidden if hasattr(state, "hidden") else 0.0
        state.hidden = np.tanh(before + x)
        return state.hidden

    compiled = tg.compile(lambda x: forward(states[0], x), backend)
    for x in [*BATCHES, *BATCHES]:
        np.testing.assert_allclose(compiled(x), forward(states[1], x), rtol=1e-12)
        np.testing.assert_allclose(states[0].hidden, states[1].hidden, rtol=1e-12)
    del states[0].hidden, states[1].hidden
    np.testing.assert_allclose(compiled(x), forward(states[1], x), rtol=1e-12)


def test_a_step_may_switch_to_training_and_back(backend: str) -> None:
    def made() -> tuple[nn.Module, Callable[[Any], Any]]:
        model = nn.Sequential(nn.Linear(2, 4, rng=0), nn.BatchNorm1d(4), nn.Dropout(0.5, rng=1), nn.Linear(4, 1, rng=2))
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x: Any) -> Any:
            model.train()
            optimizer.zero_grad()
            loss = np.mean(model(x) ** 2)
            loss.backward()
            optimizer.step()
            model.eval()
            return loss, np.mean(model(x) ** 2)

        return model, step

    (eager, by_eager), (model, by_program) = made(), made()
    compiled = tg.compile(by_program, backend)
    for i, x in enumerate(BATCHES):
        eager.train(i % 2 == 0), model.train(i % 2 == 0)
        np.testing.assert_allclose([float(y) for y in compiled(x)], [float(y) for y in by_eager(x)], rtol=1e-9)
        assert [m.training for m in model.modules()] == [m.training for m in eager.modules()] == [False] * 5


def test_settings_that_a_function_assigns(backend: str) -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            self.kind, self.mask, self.seen, self.rate = "first", None, "nothing", 0.5

        def forward(self, x: Any) -> Any:
            if self.mask is None or len(self.mask) != len(x):
                self.mask = np.tri(*np.shape(x))
            factor = 2.0 if self.kind == "first" else 3.0
            self.kind = "second" if self.kind == "first" else "first"
            self.seen, self.rate = f"{len(x)} rows", 0.25
            return factor * np.sum(x * self.mask)

    eager, layer = Layer(), Layer()
    compiled = tg.compile(layer, backend)
    for x in BATCHES:
        eager.rate = layer.rate = 0.75
        assert float(compiled(x)) == pytest.approx(float(eager(x)))
        assert (layer.kind, layer.seen, layer.rate) == (eager.kind, eager.seen, 0.25)
        np.testing.assert_array_equal(layer.mask, eager.mask)


SHARED = np.full((4, 4), 2.0)


def _an_array(layer: Any, x: Any) -> None:
    layer.mask = np.tri(len(x), 2)


def _a_buffer(layer: Any, x: Any) -> None:
    layer.register_buffer("mask", np.tri(len(x), 2), persistent=False)


def _an_array_twice(layer: Any, x: Any) -> None:
    layer.mask = layer.again = np.tri(len(x), 2)


def _an_array_and_its_transpose(layer: Any, x: Any) -> None:
    layer.mask = np.tri(len(x), 2)
    layer.again = layer.mask.T


def _a_view_of_a_shared_one(layer: Any, x: Any) -> None:
    layer.mask = SHARED[: len(x), :2]


def _one_that_it_returns(layer: Any, x: Any) -> Any:
    layer.mask = np.tri(len(x), 2)
    return layer.mask


def _one_of_which_it_returns_rows(layer: Any, x: Any) -> Any:
    layer.mask = np.tri(len(x), 2)
    return layer.mask[:2]


@pytest.mark.filterwarnings("ignore:.*runs without being compiled")
@pytest.mark.parametrize("start", [None, np.zeros((1, 1))], ids=["from nothing", "from an array"])
@pytest.mark.parametrize(
    "assign",
    [
        *(_an_array, _a_buffer, _an_array_twice, _an_array_and_its_transpose, _a_view_of_a_shared_one),
        *(_one_that_it_returns, _one_of_which_it_returns_rows),
    ],
)
def test_an_array_that_a_function_assigns_in_each_call(assign: Callable[..., Any], start: Any, backend: str) -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            self.mask = self.again = start

        def forward(self, x: Any) -> Any:
            returned = assign(self, x)
            return np.sum(x * self.mask), returned

    eager, layer = Layer(), Layer()
    compiled = tg.compile(layer, backend)
    for rows in (3, 4, 3, 3, 4, 4):
        x = RNG.normal(size=(rows, 2))
        (total, returned), (expected, array) = compiled(x), eager(x)
        assert float(total) == pytest.approx(float(expected))
        assert list(layer.state_dict()) == list(eager.state_dict())
        for each in (eager, layer):  # what shares memory goes on to share it, and the next call has an array of its own
            each.mask[0, 1] += 7.0
        np.testing.assert_array_equal(returned, array)
        np.testing.assert_array_equal(layer.mask, eager.mask)
        np.testing.assert_array_equal(layer.again, eager.again)
        SHARED[:] = 2.0
    if assign in (_an_array, _a_buffer):
        assert "2 programs" in repr(compiled) or "3 programs" in repr(compiled)


def _deleted_and_set(layer: Any, x: Any) -> Any:
    del layer.rate
    layer.rate = 3.0
    return x * layer.rate


def _kept_for_a_moment(layer: Any, x: Any) -> Any:
    layer.squares = x**2
    total = np.sum(layer.squares)
    del layer.squares
    return total


def _put_back(layer: Any, x: Any) -> Any:
    rate = layer.rate
    del layer.rate
    total = np.sum(x) * (3.0 if hasattr(layer, "rate") else rate)
    layer.rate = rate
    return total


def _deleted_if_there(layer: Any, x: Any) -> Any:
    if hasattr(layer, "rate"):
        del layer.rate
        return x * 2.0
    return x * 3.0


@pytest.mark.long
@pytest.mark.parametrize("kind", [object, nn.Module])
@pytest.mark.parametrize("f", [_deleted_and_set, _kept_for_a_moment, _put_back, _deleted_if_there])
def test_attributes_that_a_function_deletes(f: Any, kind: type, backend: str) -> None:
    class Layer(kind):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rate = 0.5

    eager, layer = Layer(), Layer()
    compiled = tg.compile(lambda x: f(layer, x), backend)
    for x in BATCHES:
        np.testing.assert_allclose(compiled(x), f(eager, x), rtol=1e-12)
        assert vars(layer) == vars(eager)


def test_a_setting_that_is_as_it_was_is_guarded(backend: str) -> None:
    layer = nn.Dropout(0.5, rng=0)
    compiled = tg.compile(lambda x: (layer.eval()(x), None)[0], backend)
    for _ in range(2):
        for mode in (False, True, False):
            layer.train(mode)
            compiled(BATCHES[0])
            assert not layer.training


def test_a_number_that_python_needs_is_refused(backend: str) -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            self.calls = 0

        def forward(self, x: Any) -> Any:
            self.calls = self.calls + 1
            return x * len(range(self.calls))

    with pytest.raises(UsageError, match=r"changes a number in each run, Counter\.calls,(.|\n)*a plain number"):
        tg.compile(Counter(), backend)(BATCHES[0])


def test_objects_that_swap_their_settings_do_not_do_the_same_again() -> None:
    turns = Turns()
    one, other = nn.Identity(), nn.Identity()

    def step(x: Any) -> Any:
        one.mode, other.mode = ("a", "b") if turns() % 2 else ("b", "a")
        return x * 2

    with pytest.raises(UsageError, match="it sets mode to something else"):
        tg.compile(step, "numpy")(np.ones(2))


BASES: dict[type, tuple[Any, ...]] = {
    **dict.fromkeys((object, list, dict, set, deque, frozenset, defaultdict, bytearray, bytes, Exception), ()),
    **dict.fromkeys((tuple, float, complex, int, str, SimpleNamespace, threading.local), ()),
    date: (2020, 1, 1),
    array.array: ("d",),
    np.ndarray: ((2,),),
    np.float64: (1.0,),
}


@pytest.mark.long
@pytest.mark.parametrize("kind", BASES, ids=lambda kind: kind.__name__)
def test_attributes_of_an_object_of_the_users(kind: type) -> None:
    """Whatever it is beside: a list, a number, an array, an error."""

    class Own(kind):  # type: ignore[misc]
        scale = 1.0

    class Config:
        inner = Own(*BASES[kind])

    for own, config in ((outer := Own(*BASES[kind]), outer), (Config.inner, Config())):
        f = tg.compile(lambda x, own=config: x * getattr(own, "inner", own).scale, "numpy")
        for scale in (2.0, 3.0):
            own.scale = scale
            np.testing.assert_array_equal(f(np.ones(2)), np.full(2, scale))
    outer.mean = np.zeros(2)

    def average(x: Any) -> None:
        outer.mean = 0.5 * outer.mean + x

    compiled = tg.compile(average, "numpy")
    for i in range(3):
        compiled(np.full(2, float(i)))
    np.testing.assert_array_equal(outer.mean, [2.5, 2.5])


class Slot(float):
    __slots__ = ("scale",)


class Reading:
    """One with a way of its own to read attributes."""

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, name)


class Planet(Enum):
    EARTH = 1


class Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize("make", [Slot, Reading, lambda: Planet.EARTH, lambda: Number.ONE])
def test_attributes_of_which_no_read_is_reported(make: Callable[[], Any]) -> None:
    own: Any = make()
    f = tg.compile(lambda x: x * own.scale, "numpy")
    for scale in (2.0, 3.0):
        own.scale = scale
        np.testing.assert_array_equal(f(np.ones(2)), np.full(2, scale))


@pytest.mark.parametrize("value", [(1, 2), 2.0, 2, "a", b"a"])
def test_a_value_in_place_of_an_equal_one_with_other_attributes(value: Any) -> None:
    class Own(type(value)):  # type: ignore[misc]
        scale = 1.0

    def made(scale: float) -> Any:
        own = Own(value)
        own.scale = scale
        return own

    own = made(1.0)
    f = tg.compile(lambda x: x * own.scale, "numpy")
    of_argument = tg.compile(lambda x, own: x * own.scale, "numpy")
    for scale in (2.0, 2.0, 3.0, 3.0):
        own = made(scale)
        np.testing.assert_array_equal(f(np.ones(2)), np.full(2, scale))
        np.testing.assert_array_equal(of_argument(np.ones(2), own), np.full(2, scale))


class Labelled(NamedTuple):
    name: str


def test_a_named_tuple_of_texts_can_be_guarded() -> None:
    label = Labelled("a")
    f = tg.compile(lambda x: x * len(label.name), "numpy")
    for name in ("a", "a", "bb"):
        label = Labelled(name)
        np.testing.assert_array_equal(f(np.ones(2)), np.full(2, len(name)))


class Kept:
    """An object that keeps its attributes in a dict."""

    def __init__(self, **values: Any) -> None:
        object.__setattr__(self, "values", values)

    def __getattr__(self, name: str) -> Any:
        return self.values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self.values[name] = value


def test_attributes_that_an_object_keeps_by_itself(backend: str) -> None:
    """Of which the function changes one, and others another one, by way of the object or of its dict."""

    def outcomes(compile: Callable[[Any], Any]) -> list[Any]:
        kept = Kept(scale=2.0, mean=np.ones(2), turns=0)

        def step(x: Any) -> Any:
            kept.mean = 0.9 * kept.mean + x
            kept.turns += 1
            return x * kept.scale + kept.mean / kept.turns

        step, found = compile(step), []
        for turn in range(7):
            if turn == 3:
                kept.scale = 3.0
            if turn == 5:
                kept.values.update(scale=4.0, mean=np.zeros(2))
            found += [step(np.arange(2.0) + turn), kept.mean, kept.turns]
        return found

    for x, y in zip(outcomes(lambda f: tg.compile(f, backend)), outcomes(lambda f: f), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


def test_a_value_has_no_attributes_beyond_those_of_its_kind(backend: str) -> None:
    own = {*Recorded.__slots__, *OfVariable.__slots__, "not_data"}
    refused = {"mT", "real", "imag"}  # of numbers
    names = [
        *sorted(name for name in {*dir(Recorded)} - own - refused if not name.startswith("_")),
        "__len__",
        "__iter__",
    ]

    def f(x: Any) -> list[Any]:
        return [x * hasattr(value, name) for value in (x, x[0, 0], x[0, 0].item()) for name in names]

    compiled, x = tg.compile(f, backend), np.ones((2, 2))
    np.testing.assert_array_equal(compiled(x), f(x))
