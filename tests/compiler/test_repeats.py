"""Where programs repeat: programs made by hand, random ones, and recorded loops of other people's kinds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.compiler.test_passes import recorded
from tinygrad_lite import nn
from tinygrad_lite.compiler.passes import simplified
from tinygrad_lite.compiler.program import Instruction, Variable
from tinygrad_lite.compiler.repeats import Stretch, form, form_at_any_position, stretches
from tinygrad_lite.engine import registry
from tinygrad_lite.engine.op import NO_PARAMS

OPERATIONS = {name: registry.operation(name) for name in ("exp", "sin", "add", "multiply")}


class Hand:
    """A program made by hand."""

    def __init__(self) -> None:
        self.calls: list[Instruction] = []

    def __call__(self, name: str, *inputs: Any) -> Variable:
        result = Variable((3,), np.dtype(float))
        self.calls.append(Instruction(OPERATIONS[name], inputs, NO_PARAMS, result))
        return result


def array() -> Variable:
    return Variable((3,), np.dtype(float))


def test_a_chain() -> None:
    do, x = Hand(), array()
    for _ in range(50):
        x = do("exp", do("sin", x))
    assert stretches(do.calls) == [Stretch(0, 2, 50)]


def test_first_and_last_turns_that_differ_stay_outside() -> None:
    do, x = Hand(), array()
    total = do("exp", x)
    for _ in range(10):
        x = do("sin", x)
        total = do("add", total, x)
    do("multiply", total, x)
    assert stretches(do.calls) == [Stretch(1, 2, 10)]


def test_values_from_before_may_be_others_in_each_turn() -> None:
    do = Hand()
    total = array()
    for _ in range(10):
        total = do("add", total, do("sin", array()))
    before = len(do.calls)
    for call in do.calls[before - 1 :: -2]:
        total = do("add", total, do("exp", call.result))  # the turns in reverse order, as in a backward pass
    assert stretches(do.calls) == [Stretch(0, 2, 10), Stretch(20, 2, 10)]


def test_turns_must_be_wired_alike() -> None:
    do, x = Hand(), array()
    for _ in range(10):
        y = do("sin", x)
        x = do("add", y, x)
    for _ in range(10):
        y = do("sin", x)
        x = do("add", y, y)
    assert [stretch.count for stretch in stretches(do.calls)] == [10, 10]


def test_numbers_and_shapes_must_be_the_same() -> None:
    do, x = Hand(), array()
    for i in range(10):
        x = do("multiply", x, i // 5)
    assert stretches(do.calls) == [Stretch(0, 1, 5), Stretch(5, 1, 5)]
    assert stretches(do.calls, lambda call: call.op) == [Stretch(0, 1, 10)]
    do.calls[3].result.shape = (4,)
    assert stretches(do.calls) == [Stretch(0, 1, 3), Stretch(5, 1, 5)]


def test_a_loop_around_a_loop() -> None:
    do, x = Hand(), array()
    for _ in range(4):
        for _ in range(10):
            x = do("sin", x)
        x = do("exp", x)
    (outer,) = stretches(do.calls)
    assert outer == Stretch(0, 11, 4)
    assert stretches(do.calls[: outer.period]) == [Stretch(0, 1, 10)]


def test_a_value_carried_over_two_turns() -> None:
    do, x = Hand(), [array(), array()]
    for _ in range(20):
        x.append(do("add", x[-1], x[-2]))
    assert stretches(do.calls) == [Stretch(0, 1, 20)]


def makers(calls: list[Instruction]) -> list[list[int]]:
    """The positions at which the inputs of each call are made; -1 for the program's own inputs."""
    made = {call.result: position for position, call in enumerate(calls)}
    return [[made.get(x, -1) for x in call.reads] for call in calls]


@st.composite
def planted(draw: st.DrawFn) -> tuple[list[Instruction], int]:
    """A program with a loop in it, and the number of instructions that the loop need not write."""
    do, known = Hand(), [array(), array()]

    def some(count: int) -> list[tuple[str, list[int]]]:
        names = draw(st.lists(st.sampled_from([*OPERATIONS]), min_size=count, max_size=count))
        places = st.lists(st.integers(1, 4), min_size=2, max_size=2)
        return [(name, draw(places)) for name in names]

    def perform(steps: list[tuple[str, list[int]]], known: list[Variable]) -> None:
        for name, places in steps:
            inputs = [known[-min(place, len(known))] for place in places]
            known.append(do(name, *inputs[: 1 if name in ("exp", "sin") else 2]))

    perform(some(draw(st.integers(0, 6))), known)
    body, turns = some(draw(st.integers(1, 6))), draw(st.integers(2, 6))
    known = [*known[-2:], *(array() for _ in range(4))]  # what a turn takes from before never runs out
    for _ in range(turns):
        perform(body, known)
    perform(some(draw(st.integers(0, 6))), known)
    return do.calls, len(body) * (turns - 1)


@given(planted())
def test_what_is_found_repeats_and_what_is_planted_is_found(program: tuple[list[Instruction], int]) -> None:
    calls, planted_there = program
    found = stretches(calls)
    positions = makers(calls)
    ends = [0, *(stretch.end for stretch in found)]
    assert all(stretch.start >= end and stretch.count >= 2 for stretch, end in zip(found, ends))
    for stretch in found:
        for position in range(stretch.start, stretch.end - stretch.period):
            assert form(calls[position]) == form(calls[position + stretch.period])
            for now, later in zip(positions[position], positions[position + stretch.period], strict=True):
                begins = now < stretch.start and later < stretch.start + stretch.period
                assert later - now == stretch.period or begins
    assert max(stretch.period * (stretch.count - 1) for stretch in found) >= planted_there


def rnn(turns: int) -> tuple[Callable[[Any], Any], Any]:
    u, w = (tg.tensor(np.full((rows, 4), 0.3), requires_grad=True) for rows in (3, 4))

    def step(x: Any) -> Any:
        h = np.zeros((2, 4))
        for t in range(turns):
            h = np.tanh(x[:, t] @ u + h @ w)
        loss = np.sum(h**2)
        loss.backward()
        return loss

    return step, np.ones((2, turns, 3))


def runge_kutta(turns: int) -> tuple[Callable[[Any], Any], Any]:
    def slope(y: Any) -> Any:
        return np.sin(y) * y

    def loss(y: Any) -> Any:
        for _ in range(turns):
            first = slope(y)
            second = slope(y + 0.05 * first)
            third = slope(y + 0.05 * second)
            fourth = slope(y + 0.1 * third)
            y = y + 0.1 / 6 * (first + 2 * second + 2 * third + fourth)
        return np.sum(y)

    return tg.grad(loss), np.ones(5)


def maml(turns: int) -> tuple[Callable[[Any], Any], Any]:
    def loss(w: Any, x: Any) -> Any:
        return np.mean((np.tanh(x @ w) - 1) ** 2)

    def adapted(w: Any, x: Any) -> Any:
        for _ in range(turns):
            w = w - 0.1 * tg.grad(loss)(w, x)
        return loss(w, x)

    return lambda x: tg.grad(adapted)(x[0], x), np.linspace(0, 1, 15).reshape(5, 3)


def trained(model: nn.Module) -> Callable[[Any], Any]:
    """A training step of a model with Adam."""
    optimizer = tg.optim.Adam(model.parameters())

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = np.mean(model(x) ** 2)
        loss.backward()
        optimizer.step()
        return loss

    return step


def layers(turns: int) -> tuple[Callable[[Any], Any], Any]:
    model = nn.Sequential(*[layer for i in range(turns) for layer in (nn.Linear(8, 8, rng=i), nn.ReLU())])
    return trained(model), np.ones((2, 8))


@pytest.mark.long
@pytest.mark.parametrize("make", [rnn, runge_kutta, maml, layers])
def test_recorded_loops(make: Callable[[int], tuple[Callable[[Any], Any], Any]]) -> None:
    lengths = []
    for turns in (10, 20):
        program = simplified(recorded(*make(turns)))
        found = stretches(program.calls, form_at_any_position)
        lengths.append(len(program.calls) - sum(stretch.period * (stretch.count - 1) for stretch in found))
        assert len([stretch for stretch in found if stretch.count >= turns - 2]) >= 2  # forward and backward
    assert lengths[0] == lengths[1]  # what is left to write does not grow with the number of turns


def test_each_instruction_of_a_long_program_is_looked_at_once() -> None:
    rng = np.random.default_rng(0)
    do, known = Hand(), [array(), array()]
    for name in rng.choice([*OPERATIONS], 5_000):
        known.append(do(name, known[-1], known[-2]))  # nothing repeats for long
    seen = []
    stretches(do.calls, lambda call: seen.append(call) or form(call))
    assert len(seen) == len(do.calls)
