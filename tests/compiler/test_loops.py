"""Loops in the source of programs that repeat: they compute what the instructions do, and read like a person's code."""

import ast
import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.compiler.test_repeats import layers, maml, planted, rnn, runge_kutta, trained
from tests.compiler.test_source import is_clean
from tests.compiler.test_training import OPTIMIZERS
from tinygrad_lite import nn
from tinygrad_lite.compiler.places import Argument
from tinygrad_lite.compiler.program import Program, Variable
from tinygrad_lite.compiler.source import numpy_source, outline
from tinygrad_lite.compiler.source.executor import NumpyExecutor
from tinygrad_lite.compiler.source.letting_go import letting_go
from tinygrad_lite.compiler.source.loops import Iterable, for_lines
from tinygrad_lite.compiler.source.numpy_source import NumpySource

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")


@given(planted(), st.data())
def test_loops_compute_what_the_instructions_do(program: Any, data: st.DataObject) -> None:
    calls, _ = program
    made = [call.result for call in calls]
    inputs = list(dict.fromkeys(x for call in calls for x in call.reads if x not in set(made)))
    results = data.draw(st.lists(st.sampled_from(made), min_size=1, max_size=5)) + made[-1:]
    places = {x: Argument(i, f"x{i}") for i, x in enumerate(inputs)}
    values: dict[Variable, Any] = {x: np.linspace(-1, 1, 3) + i / 10 for i, x in enumerate(inputs)}
    arguments = [*values.values()]
    for call in calls:
        values[call.result] = call.op.forward(*(values[x] for x in call.inputs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outline, "FEW", 1)
        patch.setattr(numpy_source, "MEDIUM", data.draw(st.sampled_from([1, 2**11])))  # arrays of any size
        recorded = Program(places, {}, calls, results)
        executor = NumpyExecutor(NumpySource(recorded, "f", [place.name for place in places.values()]))
    for _ in range(2):
        for found, x in zip(executor.run(arguments), results, strict=True):
            np.testing.assert_array_equal(found, values[x])


@pytest.mark.long
@pytest.mark.parametrize("turns", [3, 4, 9])
@pytest.mark.parametrize("make", [rnn, runge_kutta, maml, layers])
def test_recorded_loops(make: Callable[[int], tuple[Callable[[Any], Any], Any]], turns: int) -> None:
    (f, x), (eager, _) = make(turns), make(turns)
    compiled = tg.compile(f, "numpy")
    for _ in range(3):
        found, expected = (getattr(y, "data", y) for y in (compiled(x), eager(x)))
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


ORDERS: dict[str, list[int]] = {
    "forwards": [*range(14)],
    "backwards": [*reversed(range(14))],
    "the end backwards": [*range(13, 1, -1)],
    "every second": [*range(0, 14, 2)],
    "from the middle": [*range(7, 14), *range(7)],
    "there and back": [*range(14), *reversed(range(14))],
    "twice": [*range(14), *range(14)],
    "out of order": [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3],
}


@pytest.mark.long
@pytest.mark.parametrize("join", [np.stack, np.concatenate, tg.array], ids=lambda join: join.__name__)
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_what_a_loop_makes_is_joined_in_any_order(order: list[int], join: Any) -> None:
    def states(w: Any, x: Any) -> Any:
        h, made = np.zeros(3), []
        for t in range(14):
            h = np.tanh(x[t] + h * w)
            made.append(h)
        return np.sum(np.sin(join([made[t] for t in order])) ** 2)

    slope = tg.value_and_grad(states, argnums=(0, 1))
    compiled = tg.compile(lambda w, x: slope(w, x), "numpy")
    rng = np.random.default_rng(0)
    for _ in range(2):
        w, x = rng.normal(size=3), rng.normal(size=(14, 3))
        for found, expected in zip(tg.trees.leaves(compiled(w, x)), tg.trees.leaves(slope(w, x)), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


NUMBERS_IN: dict[str, Callable[[Any, int], Any]] = {
    "an entry": lambda x, n: x * x[n],
    "an entry from the end": lambda x, n: x * x[-n],
    "a slice": lambda x, n: x * np.sum(x[n:]),
    "a slice and an entry": lambda x, n: x + np.sum(np.outer(x, x)[n, :n]),
    "steps": lambda x, n: x * np.sum(x[::n]),
    "padding": lambda x, n: x * np.pad(x, (n, 0))[:-n],
    "a slice that is set": lambda x, n: x + x.at[:n].set(x[:n] ** 2),
    "a slice that is added to": lambda x, n: x.at[n:].add(x[:-n]),
    "entries that are set": lambda x, n: x + x.at[[n, 0]].set(1.0),
    "rolling": lambda x, n: x * np.roll(x, n),
    "a power": lambda x, n: np.abs(x) ** (n + 1.5) + x,
    "a constant": lambda x, n: x * (n - 0.3),
    "repetition": lambda x, n: x * np.sum(np.repeat(x, n)),
    "tiles": lambda x, n: x * np.mean(np.tile(x, (n, 1)) ** 2),
    "parts": lambda x, n: np.concatenate(np.split(x, [n, n + 2])[::-1]) + x,
    "a diagonal": lambda x, n: x + np.sum(np.diagonal(np.outer(x, x), n)),
    "a triangle": lambda x, n: x @ np.tril(np.outer(x, x), n),
    "a reshape": lambda x, n: x * np.sum(x[: 2 * n].reshape(2, n)[1]),
    "a range": lambda x, n: x * np.clip(x, -n / 9, n / 9),
}


@pytest.mark.long
@pytest.mark.parametrize("turn", NUMBERS_IN.values(), ids=NUMBERS_IN)
def test_turns_differ_in_their_numbers(turn: Callable[[Any, int], Any]) -> None:
    def f(x: Any) -> Any:
        for n in (1, 2, 4, 7):
            x = np.tanh(turn(x, n))
        return np.sum(x**2)

    assert_compiles(f, 16)


LOOPS_IN_LOOPS: dict[str, Callable[[Any, int, int], Any]] = {
    "rows and columns": lambda x, i, j: x.reshape(5, 8)[i, j],
    "one number of both": lambda x, i, j: x[8 * i + j],
    "a slice of both": lambda x, i, j: np.sum(x[8 * i + j :]),
    "a slice between them": lambda x, i, j: np.sum(x[i : 10 + j]),
    "the sum of their squares": lambda x, i, j: x[(i * i + j * j) % 40],
}


@pytest.mark.long
@pytest.mark.parametrize("entry", LOOPS_IN_LOOPS.values(), ids=LOOPS_IN_LOOPS)
def test_turns_of_loops_in_loops_differ_in_their_numbers(entry: Callable[[Any, int, int], Any]) -> None:
    def f(x: Any) -> Any:
        total = 0.0
        for i in range(5):
            y = 1.0
            for j in range(8):
                y = np.sin(y) * entry(x, i, j)
            total = total + y * y
        return total

    assert_compiles(f, 40)


def assert_compiles(f: Callable[[Any], Any], size: int) -> None:
    """The NumPy source has the value and the gradient of a function of so many numbers."""
    slope = tg.value_and_grad(f)
    compiled = tg.compile(lambda x: slope(x), "numpy")
    for seed in (0, 1):
        x = np.random.default_rng(seed).normal(size=size)
        for found, expected in zip(compiled(x), slope(x), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("make", [rnn, runge_kutta, maml, layers])
def test_more_turns_take_no_more_lines(make: Any, tmp_path: Path) -> None:
    lengths = []
    for turns in (10, 30):
        f, x = make(turns)
        compiled = tg.compile(f, "numpy")
        compiled(x), compiled(x)
        lengths.append(len(compiled.source.splitlines()))
        if make is not maml:  # which also quotes functions of ours, as they are
            compiled.export(tmp_path / f"step_{turns}.py")
    assert lengths[0] == lengths[1] < 80
    is_clean(tmp_path)


def test_ten_layers_with_adam_are_read_on_one_screen() -> None:
    model = nn.Sequential(*[layer for i in range(10) for layer in (nn.Linear(6 + i, 7 + i, rng=i), nn.Tanh())])
    compiled = tg.compile(trained(model), "numpy")
    compiled(np.ones((2, 6))), compiled(np.ones((2, 6)))
    assert len(compiled.source.splitlines()) <= 60
    assert compiled.source.count("np.sqrt(v)") == compiled.source.count("0.999**") == 1


@pytest.mark.long
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("count", [1, 4])
def test_training_overwrites_arrays_of_any_size(optimizer: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_source, "MEDIUM", 1)
    weights = [[tg.tensor(np.linspace(-1, 1, 6), True, name=f"{i}.weight") for i in range(count)] for _ in range(2)]
    results = []
    for each, wrap in zip(weights, (lambda f: f, lambda f: tg.compile(f, "numpy"))):
        step = wrap(_training(each, OPTIMIZERS[optimizer](each)))
        results.append([step().item() for _ in range(5)])
    np.testing.assert_allclose(*results, rtol=1e-12)
    for w, same in zip(*weights):
        np.testing.assert_allclose(w.numpy(), same.numpy(), rtol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU])
@pytest.mark.parametrize("sides", [(3, 3, 3, 3, 3), (5, 3, 3, 3, 1), (2, 4, 6, 8, 9)])
def test_layers_overwrite_arrays_of_any_size(activation: Any, sides: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_source, "MEDIUM", 1)
    results = []
    for wrap in (lambda f: f, lambda f: tg.compile(f, "numpy")):
        made = [nn.Linear(a, b, rng=i) for i, (a, b) in enumerate(itertools.pairwise(sides))]
        model = nn.Sequential(*[layer for linear in made for layer in (linear, activation())])
        optimizer = tg.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)

        def step(x: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = np.mean(model(x) ** 2)
            loss.backward()
            optimizer.step()
            return loss

        once = wrap(step)
        x = np.random.default_rng(0).normal(size=(7, sides[0]))
        losses = [once(x).item() for _ in range(4)]
        results.append([*losses, *(w.numpy() for w in model.parameters())])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def _training(weights: list[Any], optimizer: Any) -> Callable[[], Any]:
    def step() -> Any:
        optimizer.zero_grad()
        loss = np.sum(np.tanh(np.concatenate(weights)) ** 2)
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.mark.filterwarnings("ignore:.*no gradient for parameter")
def test_parameters_that_differ_in_their_steps_keep_their_counts() -> None:
    weights = [[tg.tensor(np.linspace(-1, 1, 6), True, name=f"{i}.weight") for i in range(4)] for _ in range(2)]
    optimizers = [tg.optim.Adam(each, lr=0.1) for each in weights]
    step, eager = (_training(each, optimizer) for each, optimizer in zip(weights, optimizers))
    compiled = tg.compile(step, "numpy")
    for turn in range(6):
        if turn == 3:
            assert compiled.source.count('state["steps"]') == 2  # read and written
            for optimizer in optimizers:
                optimizer.zero_grad()
                optimizer.parameters[0].grad = np.ones(6)
                optimizer.step()
        assert compiled().item() == pytest.approx(eager().item(), rel=1e-12)
    for found, expected in zip(*(optimizer.state.values() for optimizer in optimizers)):
        assert found.get("missed") == expected.get("missed")
    for w, same in zip(*weights):
        np.testing.assert_allclose(w.numpy(), same.numpy(), rtol=1e-12)


def test_a_loop_lets_go_of_what_it_has_read() -> None:
    source = (
        "def f(x):\n"
        "    h = x\n"
        "    hs = []\n"
        "    for i in range(3):\n"
        "        z = h + i\n"
        "        h = z * 2\n"
        "        hs.append(h)\n"
        "    total = h\n"
        "    for h_2 in reversed(hs[1:3]):\n"
        "        total = total + h_2\n"
        "    total = total + hs[0]\n"
        "    return total\n"
    )
    assert ast.unparse(letting_go(ast.parse(source))) == (
        "def f(x):\n"
        "    h = x\n"
        "    hs = []\n"
        "    for i in range(3):\n"
        "        z = h + i\n"
        "        del i\n"
        "        h = z * 2\n"
        "        del z\n"
        "        hs.append(h)\n"
        "    total = h\n"
        "    del h\n"
        "    for h_2 in _drained(hs, 1, 3, True):\n"
        "        total = total + h_2\n"
        "        del h_2\n"
        "    total = total + hs[0]\n"
        "    del hs\n"
        "    return total"
    )


@pytest.mark.parametrize("turns", [2, 30, 5000])
def test_a_loop_over_lists_of_any_length_is_python(turns: int) -> None:
    numbers = np.random.default_rng(0).integers(0, 1000, (2, turns)).tolist()
    heading: Any = SimpleNamespace(targets=["i", "k"], iterables=[Iterable.of(each) for each in numbers])
    done: list[tuple[int, int]] = []
    exec("\n".join([*for_lines(heading, turns, 120), "    done.append((i, k))"]), {"done": done})
    assert done == [*zip(*numbers)]


@pytest.mark.parametrize("returned", [(), (0,), (5,), (2, 4), (0, 1, 2, 3, 4, 5), (5, 5, 1)])
def test_gradients_that_a_loop_leaves_are_returned_too(returned: tuple[int, ...]) -> None:
    weights = [tg.tensor(np.eye(3) * (1 + i / 9), requires_grad=True) for i in range(6)]

    def step(x: Any) -> Any:
        for w in weights:
            x = np.tanh(x @ w)
            w.grad = None
        loss = np.mean(x**2)
        loss.backward()
        return loss, *[weights[i].grad for i in returned]

    compiled = tg.compile(step, "numpy")
    for scale in (0.5, 1.0, 2.0):
        x = scale * np.linspace(-1, 1, 6).reshape(2, 3)
        found, kept = compiled(x), [w.grad for w in weights]
        for a, b in zip((*found, *kept), (*step(x), *(w.grad for w in weights)), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)
    assert " in zip(" in compiled.source
