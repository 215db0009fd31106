"""Python's functions of plain numbers, and branches by numbers that a function carries, beside eager."""

import math
from collections.abc import Callable
from math import cos, floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import array

import tinygrad_lite as tg
from tinygrad_lite import nn, optim, trees
from tinygrad_lite.compiler.recording.pythons_names import knowing_recorded_values
from tinygrad_lite.errors import UncompiledWarning, UsageError

X = np.array([1.0, -2.0, 3.0])
KINDS_OF = {float: 1.0, int: 2.0, np.ndarray: 3.0}


class State:
    """A step's count, a rate and the best value so far."""

    def __init__(self) -> None:
        self.turn = 1
        self.rate = 0.5
        self.best = math.inf


def counted(f: Callable[[State, Any], Any]) -> Callable[[State, Any], Any]:
    def step(state: State, x: Any) -> Any:
        state.turn += 1
        return f(state, x)

    return step


def best_so_far(state: State, x: Any) -> Any:
    state.best = min(state.best, float(np.mean(x)))
    return state.best * x, max(float(np.sum(x)), state.best, -1)


def running(state: State, x: Any) -> Any:
    state.rate = 0.9 * state.rate + 0.1 * float(tg.tensor(x).sum())
    return int(x[0] * 1.5), int(x[1] > 0) + state.turn, float(state.turn)


def of_kinds(state: State, x: Any) -> Any:
    asked = (
        isinstance(state.turn, int),
        isinstance(x[0], float),
        isinstance(state.rate, (int, str)),
        issubclass(bool, int),
        x.dtype in (int, float),
        (x > 0).dtype in (int, float),
        [float] == [x.dtype],
    )
    named = KINDS_OF[type(state.turn)], KINDS_OF[type(x)], {float: 5.0}[type(state.rate)], type(state.turn) is int
    arrays = x.astype(int), np.zeros_like(x, dtype=float) + np.arange(3, dtype=float), np.array([1, 2, 3], float) * x
    return asked, named, arrays, float("2"), int("3"), int.from_bytes(b"a", "big"), float.fromhex("0x1p3")


def of_its_own_kinds(state: State, x: Any) -> Any:
    class Degrees(float):
        def in_radians(self) -> float:
            return math.radians(self)

    class Turns(int):
        pass

    made = Degrees(90), Turns(3)
    asked = type(made[0]) is Degrees, isinstance(made[1], Turns), isinstance(2.0, Degrees), isinstance(x[0], Degrees)
    return x * made[0].in_radians() + made[1], asked, issubclass(Turns, int)


FUNCTIONS: dict[str, Callable[[State, Any], Any]] = {
    "a warm-up": lambda s, x: x * min(1.0, s.turn / 4),
    "a cosine": lambda s, x: x * 0.5 * (1 + math.cos(math.pi * min(s.turn, 8) / 8)),
    "imported names": lambda s, x: x * (1 + cos(s.turn / 8)) + floor(s.turn / 3),
    "a staircase": lambda s, x: x * 0.5 ** int(s.turn / 3) + 0.5 ** math.floor(s.turn / 2) + math.ceil(s.turn / 3),
    "the best": best_so_far,
    "running values": running,
    "kinds": of_kinds,
    "kinds of its own": of_its_own_kinds,
    "functions of math": lambda s, x: (
        math.sqrt(x[0] ** 2) + math.exp(-(x[1] ** 2)) + math.atan2(x[0], x[1]) + math.hypot(x[0], x[1], x[2]),
        math.log(abs(x[0]) + 1, 2)
        + math.log(s.turn)
        + math.pow(2, s.turn / 9)
        + math.fabs(x[1])
        + math.degrees(s.rate),
        math.tanh(tg.tensor(x)[0]) + math.hypot(x[1]),
    ),
    "the least of entries": lambda s, x: (min(x), max(x[0], x[1]), min([x[2], 0.25, x[0]]), max(s.turn, 3, 4)),
}


def piecewise(s: State, x: Any) -> Any:
    if s.turn < 4:
        return x * s.turn / 4
    return x if s.turn < 7 else x * 0.1


def decayed(s: State, x: Any) -> Any:
    if s.turn % 3 == 0:
        s.rate *= 0.5
    return x * s.rate


def in_turn(s: State, x: Any) -> Any:
    while s.turn > 3:
        s.turn -= 3
    return x * s.turn if s.turn >= 2 and not s.turn % 2 else -x


def of_rates(s: State, x: Any) -> Any:
    s.rate *= 0.8
    return x if math.isfinite(s.rate) and s.rate > 0.2 else 2 * x


BRANCHES: dict[str, tuple[Callable[[State, Any], Any], int]] = {
    "pieces": (piecewise, 3),
    "a decay now and then": (decayed, 3),
    "turns": (in_turn, 4),
    "rates": (of_rates, 2),
    "a remainder alone": (lambda s, x: x if s.turn % 2 else -x, 2),
}


def assert_as_eager(f: Callable[[State, Any], Any], backend: str, programs: int) -> None:
    made: list[Any] = []

    def outcomes(compile: Callable[[Any], Any]) -> list[Any]:
        state, found = State(), []
        step = compile(lambda x: f(state, x))
        for turn in range(12):
            if turn == 6:
                state.turn, state.rate = 1, 0.7
            found.append((step(X * (-1) ** turn + turn), dict(vars(state))))
        return found

    compiled = outcomes(lambda step: made.append(tg.compile(step, backend)) or made[0])
    for found, expected in zip(trees.leaves(compiled), trees.leaves(outcomes(lambda step: step)), strict=True):
        assert np.asarray(found).dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert sum(map(len, made[0]._runs.values())) <= programs


@pytest.mark.long
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_plain_numbers(name: str, backend: str) -> None:
    assert_as_eager(counted(FUNCTIONS[name]), backend, 2)  # one for each rate, unless the function changes that


@pytest.mark.long
@pytest.mark.parametrize("name", BRANCHES)
def test_each_answer_of_a_branch_has_a_program(name: str, backend: str) -> None:
    f, programs = BRANCHES[name]
    assert_as_eager(counted(f), backend, programs)


def test_gradients_that_add_up_for_some_turns(backend: str) -> None:
    def trained(compile: Callable[[Any], Any]) -> Any:
        model, state = nn.Linear(3, 1, rng=0), State()
        optimizer = optim.Adam(model.parameters(), lr=0.1)

        def step(x: Any) -> Any:
            loss = np.mean(model(x) ** 2)
            loss.backward()
            state.turn += 1
            if state.turn % 2 == 0:
                optimizer.step()
                optimizer.zero_grad()
            return loss

        step = compile(step)
        losses = [step(X[None] + i).item() for i in range(9)]
        return losses, [p.numpy() for p in model.parameters()], [p.grad is None for p in model.parameters()]

    eager, compiled = trained(lambda f: f), trained(lambda f: tg.compile(f, backend))
    for x, y in zip(trees.leaves(compiled), trees.leaves(eager), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10)


def test_one_way_through_a_branch_is_not_exported(tmp_path: Path) -> None:
    state = State()
    step = tg.compile(lambda x: counted(decayed)(state, x), "numpy")
    step(X)
    for library, name in (("numpy", "step.py"), ("jax", "step.py"), ("c", "step.c")):
        with pytest.raises(UsageError, match="branches on a number that it changes"):
            step.export(tmp_path / name, library)
    assert not [*tmp_path.iterdir()]


def test_the_least_of_tensors_has_its_gradient(backend: str) -> None:
    def slope(x: Any) -> Any:
        return tg.grad(lambda x: min(x[0] ** 2, 3 * x[1]) + max(x[2], 0.5))(x)

    compiled = tg.compile(slope, backend)
    for x in (X, -X, np.array([1.0, 2.0, 0.25])):
        np.testing.assert_allclose(compiled(x), slope(x))


WHOLE: dict[str, Callable[[State, Any], Any]] = {
    "a count": lambda s, x: s.turn,
    "an int": lambda s, x: int(x[0]),
    "the largest": lambda s, x: np.argmax(x).item(),
    "a truth": lambda s, x: (x[0] > 1).item(),
    "a floor": lambda s, x: math.floor(x[1]),
}


@pytest.mark.long
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_meet_tensors_that_require_a_gradient(name: str, dtype: Any, backend: str) -> None:
    def outcomes(compile: Callable[[Any], Any]) -> list[Any]:
        weight, state = tg.tensor(X.astype(dtype), requires_grad=True), State()

        def scaled(x: Any) -> Any:
            state.turn += 1
            number = WHOLE[name](state, x)
            return np.sum(number * weight**2 + weight / (number + 2.5) - number)

        scaled, made = compile(scaled), []
        for turn in range(4):
            loss = scaled(X[::-1] + turn)
            loss.backward()
            made += [loss.numpy(), weight.grad.numpy()]
            weight.grad = None
        return made

    for x, y in zip(outcomes(lambda f: tg.compile(f, backend)), outcomes(lambda f: f), strict=True):
        assert x.dtype == y.dtype == dtype
        np.testing.assert_allclose(x, y, rtol=1e-5 if dtype == np.float32 else 1e-12)


LEAVING: dict[str, Callable[[Any], Any]] = {
    "float": lambda t: float(t),
    "sin": lambda t: math.sin(t),
    "floor": lambda t: math.floor(t),
    "the second argument": lambda t: math.atan2(1.0, t),
}


@pytest.mark.parametrize("name", LEAVING)
def test_a_number_leaves_no_function_that_is_differentiated(name: str, backend: str) -> None:
    take = LEAVING[name]

    def scaled(x: Any) -> Any:
        return np.sum(x) * take(x[0])

    compiled = tg.compile(scaled, backend)
    np.testing.assert_allclose(compiled(X), scaled(X))
    for slope in (tg.grad(scaled), tg.grad(compiled), tg.compile(tg.grad(scaled), backend)):
        with pytest.raises(UsageError, match="would lose the tensor's history"):
            slope(X)


ARRAYS: dict[str, Callable[[State, Any], Any]] = {
    "the array itself": lambda s, x: (np.asarray(x), np.asarray(x, float) * 2, np.asanyarray(x, np.float32)),
    "numbers in a list": lambda s, x: np.array([x[0], 2 * x[1], 1]),
    "an imported name": lambda s, x: array((x[0], s.turn), dtype=np.float32),
    "a matrix": lambda s, x: np.array([[np.cos(x[0]), -np.sin(x[0])], [1, s.rate]]) @ np.array([1.0, 2.0]),
    "rows": lambda s, x: np.array([x, [1, 2, s.turn], x**2]),
    "entries one by one": lambda s, x: np.array([int(y) for y in x]),
    "truths": lambda s, x: np.array([x[0] > 1, s.turn > 4]),
    "numbers": lambda s, x: (np.asarray(s.turn) + np.zeros(2), np.array(x.sum().item())),
    "tensors": lambda s, x: (np.asarray(tg.tensor(x)), np.array([tg.tensor(x)[0], x[1]])),
    "the same number": lambda s, x: (np.full(3, s.turn), np.full((2, 3), x), np.full(2, x[0], dtype=int)),
    "by rows": lambda s, x: (np.ascontiguousarray(np.outer(x, x + 1).T), np.ascontiguousarray(x[0])),
    "known numbers": lambda s, x: np.asarray([1.0, 2.0, 3.0]) * x + np.full(3, 2.0) + np.array(X),
}


@pytest.mark.long
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_made_of_values(name: str, backend: str) -> None:
    assert_as_eager(counted(ARRAYS[name]), backend, 2)


COPIES: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "array": (lambda x: np.array(x), True),
    "asarray": (lambda x: np.asarray(x), False),
    "asarray of the same dtype": (lambda x: np.asarray(x, float), False),
    "asarray of another dtype": (lambda x: np.asarray(x, np.float32), True),
    "array without a copy": (lambda x: np.array(x, copy=None), False),
    "by rows": (lambda x: np.ascontiguousarray(x), False),
    "a transpose by rows": (lambda x: np.ascontiguousarray(x.T), True),
}


@pytest.mark.parametrize("name", COPIES)
def test_what_is_a_copy(name: str, backend: str) -> None:
    make, is_copy = COPIES[name]

    def filled(x: Any) -> Any:
        made = make(x)
        made += 1
        return x * 2

    compiled = tg.compile(filled, backend)
    for _ in range(3):
        x, y = np.ones((3, 2)), np.ones((3, 2))
        np.testing.assert_array_equal(compiled(x), filled(y))
        np.testing.assert_array_equal(x, y)
        assert np.sum(x) == (6 if is_copy else 12)


def test_a_tensor_does_not_leave_its_graph() -> None:
    weight = tg.tensor(X, requires_grad=True)
    for f in (lambda: np.asarray(weight * 2), lambda: np.array([weight[0], 1.0])):
        for g in (f, tg.compile(f, "numpy")):
            with pytest.raises(UsageError, match="leave"):
                g()


REFUSED: dict[str, Callable[[State, Any], Any]] = {
    "a computed value": lambda s, x: x * round(float(np.mean(x)), 2),
    "a count of turns": lambda s, x: sum(x * i for i in range(s.turn)),
    "an array": lambda s, x: min(x, s.turn),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_depends_on_other_values_is_refused(name: str, backend: str) -> None:
    state = State()
    with pytest.raises(UsageError, match="needs a value while it is recorded"):
        tg.compile(lambda x: counted(REFUSED[name])(state, x), backend)(X)
    assert vars(state) == vars(State())


def test_names_mean_what_they_did_before() -> None:
    before = [math.cos, math.floor, cos, type, min, float]
    with knowing_recorded_values([globals()], ()):
        found = [math.cos(0.5), min(2, 1), max([1, 3], key=lambda x: -x), min([], default=4), int("7", 8)]
        assert found == [before[0](0.5), 1, 1, 4, 7]
        assert math.cos is not before[0]
        assert cos is math.cos
        assert float is not before[5]
        assert {before[5]: 1}[float] == 1
    for now, then in zip([math.cos, math.floor, cos, type, min, float], before):
        assert now is then
    assert globals().keys().isdisjoint({"min", "max", "float", "int", "type"})


def _or_error(f: Callable[..., Any], *args: Any) -> Any:
    try:
        return f(*args)
    except (ArithmeticError, ValueError) as error:
        return type(error), str(error)


def _of_math(name: str) -> Callable[..., Any]:
    written: dict[str, Callable[..., Any]] = {"**": lambda a, b: a**b, "log to base 2": lambda x: math.log(x, 2)}
    return written.get(name) or (lambda *numbers: getattr(math, name.split()[0])(*numbers))


RISKY = ["exp", "expm1", "sinh", "cosh", "sqrt", "log", "log1p", "log2", "log10", "asin", "acos", "acosh", "atanh"]
OF_TWO = ["pow", "fmod", "**", "log to a base"]


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("name", [*RISKY, *OF_TWO, "log to base 2"])
@pytest.mark.parametrize("catches", [True, False])
def test_errors_of_python_for_numbers_that_change(name: str, catches: bool, backend: str) -> None:
    """An OverflowError is no infinity, and a ValueError no NaN, whether the function catches it or not."""
    function, arity = _of_math(name), 1 + (name in OF_TWO)
    second = (1.5, 2.5, 0.0, 3.0, 2.0, 1.5, 5.0)

    def f(x: Any, *numbers: float) -> Any:
        if catches:
            try:
                return x * function(*numbers)
            except (ArithmeticError, ValueError):
                return -x
        return x * function(*numbers)

    compiled = tg.compile(f, backend)
    for first, other in zip((1.0, 0.5, 0.25, 1e300, 0.75, -1e300, 1.5), second, strict=True):
        numbers = (first, other)[:arity]
        if name == "**" and first < 0:
            continue  # a complex number of Python's
        found, expected = _or_error(compiled, X, *numbers), _or_error(f, X, *numbers)
        if isinstance(expected, tuple):
            assert found == expected, numbers
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("name", [*RISKY, "sin", "tan", "cbrt", "hypot", "degrees"])
def test_booleans_that_change_count_as_whole_numbers(name: str, backend: str) -> None:
    state = State()

    def f(x: Any) -> Any:
        return x * getattr(math, name)(state.rate)

    compiled = tg.compile(f, backend)
    for state.rate in (0.5, 0.25, True, False, True):
        found, expected = _or_error(compiled, X), _or_error(f, X)
        if isinstance(expected, tuple):
            assert found == expected
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("name", ["fmod", "pow", "hypot", "copysign", "atan2", "fabs", "sqrt", "exp2"])
def test_functions_of_whole_numbers_that_change_are_floats(name: str, backend: str) -> None:
    others = [2] if name in ("fmod", "pow", "hypot", "copysign", "atan2") else []
    compiled = tg.compile(lambda n: np.arange(3) * getattr(math, name)(n, *others), backend)
    for n in (3, 4, 5, 7):
        found = compiled(n)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, np.arange(3) * getattr(math, name)(n, *others), rtol=1e-14)


@pytest.mark.parametrize("chosen", [max, min])
@pytest.mark.parametrize("is_argument", [True, False])
def test_the_larger_of_a_whole_number_and_another(chosen: Any, is_argument: bool, backend: str) -> None:
    """Is whole if that one is."""
    count = 0

    def f(x: Any, n: Any) -> Any:
        nonlocal count
        count += 1
        number = chosen(n if is_argument else count, 3.5)
        return number, np.arange(3) * number, chosen(number, 5), chosen(2, number)

    compiled, kinds = tg.compile(f, backend), set()
    for n in (1, 2, 3, 4, 5, 6, 2, 7):
        count = before = n - 1
        expected = f(X, n)
        count = before
        for found, y in zip(compiled(X, n), expected, strict=True):
            assert type(found) is type(y)
            assert np.asarray(found).dtype == np.asarray(y).dtype
            np.testing.assert_array_equal(found, y)
        kinds.add(type(expected[0]))
    assert kinds == {int, float}


def test_operators_of_whole_numbers(backend: str) -> None:
    def f(x: Any, n: int) -> Any:
        return x * n, n // 3, n % 3, divmod(n, 4), -n, +n, ~n, n >> 1, n & 3, n | 8, n ^ 5, abs(n)

    compiled = tg.compile(f, backend)
    for n in (-10, -3, 4, 11, 25, -7):
        for found, expected in zip(trees.leaves(compiled(X, n)), trees.leaves(f(X, n)), strict=True):
            assert type(found) is type(expected)
            np.testing.assert_array_equal(found, expected)


LISTS: dict[str, Callable[[Any], Any]] = {
    "numbers": lambda x: (x.tolist(), sum(v * v for v in x.tolist())),
    "rows": lambda x: [row[0] * 2 for row in x[None].tolist()],
    "whole numbers": lambda x: x.astype(int).tolist(),
    "booleans": lambda x: [v is True for v in (x > 0).tolist()],
    "branches": lambda x: [math.exp(v) for v in x.tolist() if v > 0],
    "a number": lambda x: (np.sum(x).tolist(), x[:0].tolist()),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_the_entries(name: str, backend: str) -> None:
    compiled = tg.compile(LISTS[name], backend)
    for factor in (1.0, 2.0, -1.0, 2.0):
        for x in (X * factor, tg.tensor(X * factor)):
            found, expected = trees.leaves(compiled(x)), trees.leaves(LISTS[name](x))
            assert [*map(type, found)] == [*map(type, expected)]
            np.testing.assert_allclose(found, expected, rtol=1e-15)
    assert compiled._latest is not None


def test_a_long_list_is_refused(backend: str) -> None:
    with pytest.warns(UncompiledWarning, match="needs a value while it is recorded"):
        assert tg.compile(lambda x: sum(x.tolist()), backend)(np.ones(101)) == 101
