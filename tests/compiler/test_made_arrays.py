"""Arrays that a compiled function makes of nothing, such as `np.zeros(3)`: what it writes into them and reads there."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.test_entries_outside import Store, assert_as_eager
from tinygrad_lite.errors import UncompiledWarning, UsageError


def entry_by_entry(store: Store, i: Any, x: Any) -> Any:
    running = np.zeros(len(x))
    for k in range(len(x)):
        running[k] = running[k - 1] * 0.5 + x[k]
    return running


def a_rotation(store: Store, i: Any, x: Any) -> Any:
    turn = np.empty((2, 2))
    turn[0, 0] = turn[1, 1] = np.cos(x[0])
    turn[0, 1], turn[1, 0] = -np.sin(x[0]), np.sin(x[0])
    return turn @ turn @ x[:2]


def one_hot(store: Store, i: Any, x: Any) -> Any:
    made = np.zeros((3, 4), dtype=np.float32)
    made[np.arange(3), np.argsort(x)] = 1
    return made * np.sum(x).astype(np.float32)


def under_two_names(store: Store, i: Any, x: Any) -> Any:
    made = np.zeros(3)
    other = made
    made[0] = x[0]
    other += x
    return made, np.ones(3) * other


def a_table_for_python(store: Store, i: Any, x: Any) -> Any:
    lengths = np.arange(1, 4)
    made = np.zeros(3)
    made[i] = x[0]
    return sum(made * int(n) for n in range(len(lengths)))


def left_outside(store: Store, i: Any, x: Any) -> Any:
    store.rows = np.zeros((6, 3))
    store.rows[i] = x
    return store.rows.sum()


def beside_numpys_own_code(store: Store, i: Any, x: Any) -> Any:
    """What NumPy makes in C, as in a permutation and in the copy of a generator, stays its own."""
    made = np.zeros(4)
    made[i] = x[0]
    rng = copy.deepcopy(np.random.default_rng(1))
    return made[rng.permutation(4)] * rng.normal(size=4)


def a_weight_of_its_own(store: Store, i: Any, x: Any) -> Any:
    mask = np.zeros(3)
    mask[i] = 1.0
    w = tg.tensor(x, requires_grad=True)
    np.sum(np.sin(w) * mask).backward()
    return w.grad


USES: dict[str, Callable[[Store, Any, Any], Any]] = {
    "entry by entry": entry_by_entry,
    "a rotation": a_rotation,
    "one hot": one_hot,
    "rows of the identity": lambda store, i, x: np.eye(3)[np.argsort(x)] @ x + np.identity(3)[i],
    "under two names": under_two_names,
    "a table": lambda store, i, x: np.array([0.5, 2.0, 4.0])[i] * x + np.linspace(0, 1, 3)[i],
    "what NumPy makes of a table": lambda store, i, x: (0.5 ** np.arange(8.0))[np.argmax(x) + i] * x,
    "a table for Python": a_table_for_python,
    "bins": lambda store, i, x: (made := np.zeros(4), np.add.at(made, [0, 1, 0], x))[0],
    "out": lambda store, i, x: np.add(x, 1, out=np.ones(3)),
    "left outside": left_outside,
    "beside NumPy's own code": beside_numpys_own_code,
    "a weight of its own": a_weight_of_its_own,
    "a list's mean": lambda store, i, x: np.mean([np.sum(x * k) for k in range(3)]),
    "reductions of lists": lambda store, i, x: [
        f([x[0], x[1] * 2, x[2]], axis=0)  # type: ignore[operator]
        for f in (np.sum, np.prod, np.max, np.min, np.std, np.var, np.median, np.argmax, np.argmin, np.cumsum)
    ],
}


@pytest.mark.long
@pytest.mark.parametrize("use", USES)
def test_as_eager(use: str, backend: str) -> None:
    assert_as_eager(lambda store, i, x: USES[use](store, i, x), backend)


def test_reductions_take_what_they_took(backend: str) -> None:
    def f(x: Any, t: Any) -> Any:
        made = x * 2
        np.sum(np.outer(x, x), axis=1, out=made)
        return made, np.mean(t), np.sum([t[0], t[1]]), np.max(x, 0), np.cumsum((x[0], 1.0))

    compiled = tg.compile(f, backend)
    for turn in range(3):
        arguments = np.arange(3.0) + turn, tg.tensor([1.0, 2.0 * turn])
        for found, expected in zip(compiled(*arguments), f(*arguments), strict=True):
            assert type(found) is type(expected)
            np.testing.assert_allclose(found, expected)


WEIGHT = tg.tensor(np.ones(3), requires_grad=True)


def assigned(x: Any) -> Any:
    made = np.zeros(3)
    made[0] = WEIGHT[0] * x[0]
    return made


def increased(x: Any) -> Any:
    made = other = np.zeros(3)
    made += WEIGHT * x
    return other


def scattered(x: Any) -> Any:
    made = np.zeros(3)
    np.add.at(made, [0, 1, 2], WEIGHT * x)
    return made


def in_a_derivative(x: Any) -> Any:
    def f(x: Any) -> Any:
        made = np.zeros(3)
        made[0] = x[0] * x[1]
        return made.sum()

    return tg.grad(f)(x)


@pytest.mark.parametrize("f", [assigned, increased, scattered, in_a_derivative])
def test_no_history_is_lost_in_such_an_array(f: Callable[[Any], Any], backend: str) -> None:
    for call in (f, tg.compile(f, backend)):
        with pytest.raises((UsageError, ValueError), match=r"lose the tensor's history|never change|a sequence"):
            call(np.arange(3.0))


def test_an_error_of_the_functions_own_is_shown(backend: str) -> None:
    def f(x: Any) -> Any:
        made = np.zeros(3)
        made[0] = x[0]
        return {}[str(x.shape)]

    with pytest.warns(UncompiledWarning, match="needs a value"), pytest.raises(KeyError):
        tg.compile(f, backend)(np.ones(3))


def test_nothing_that_stands_for_such_an_array_leaks_out_of_a_refused_recording(backend: str) -> None:
    kept: list[Any] = []
    holder = Store()

    def f(x: Any) -> Any:
        made = np.zeros(3)
        kept.append(made)
        holder.numbers = made
        made[0] = x[0]
        return made if made.sum() > 0 else x

    with pytest.raises(UsageError):
        tg.compile(f, backend)(np.ones(3))
    assert kept == []
    np.testing.assert_array_equal(holder.numbers, np.arange(6.0))
    assert type(np.zeros(3)) is np.ndarray
