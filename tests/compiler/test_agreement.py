"""The second recording: it computes nothing, and finds whatever a function does differently the second time."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.outside import Turns
from tinygrad_lite import nn, optim
from tinygrad_lite.errors import UsageError

X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


def _swallows(turn: int, x: Any) -> Any:
    try:
        y = np.sin(x) if turn else np.cos(x)
    except Exception:
        y = x
    return y * 2


DIFFERENT: dict[str, Callable[[int, Any], Any]] = {
    "operation": lambda turn, x: np.sin(x) if turn else np.cos(x),
    "number": lambda turn, x: x * float(turn),
    "array": lambda turn, x: x * np.full(3, float(turn)),
    "form of an array": lambda turn, x: np.sum(x * np.ones((turn + 1, 1, 1)), axis=0),
    "argument": lambda turn, x: np.sin(x) - x if turn else x - np.sin(x),
    "axis": lambda turn, x: np.sum(x, axis=turn % 2),
    "index": lambda turn, x: x[turn % 2],
    "more": lambda turn, x: [np.sin(x), *([np.cos(x)] if turn else [])][0],
    "fewer": lambda turn, x: [np.sin(x), *([] if turn else [np.cos(x)])][0],
    "result": lambda turn, x: (np.sin(x), np.cos(x))[turn % 2],
    "order of the results": lambda turn, x: [np.sin(x), np.cos(x)][:: -1 if turn else 1],
    "kind of the result": lambda turn, x: turn,
    "view": lambda turn, x: np.reshape(x, (3, 2)) if turn else np.ravel(x),
    "swallowed": _swallows,
}


@pytest.mark.long
@pytest.mark.parametrize("f", DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs_is_found(f: Callable[[int, Any], Any]) -> None:
    for given in (X, tg.tensor(X), tg.tensor(X, requires_grad=True)):
        turns = Turns()
        with pytest.raises(UsageError, match="does not do the same when it is run again"):
            tg.compile(lambda x, turns=turns: f(turns(), x), "numpy")(given)


def test_what_the_reverse_pass_and_the_update_do_differently_is_found() -> None:
    layers = [nn.Linear(3, 1, rng=i) for i in range(2)]
    rates = [optim.SGD(layer.parameters(), lr=0.1) for layer in layers]

    def step(turn: int, x: Any) -> None:
        sum(np.mean(layer(x) ** 2) for layer in layers).backward()
        rates[turn % 2].step()

    turns = Turns()
    compiled = tg.compile(lambda x: step(turns(), x), "numpy")
    compiled(X)  # it makes the gradients, and is recorded once
    with pytest.raises(UsageError, match="does not do the same when it is run again"):
        compiled(X)


def test_the_second_recording_computes_nothing(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    def forward(x: Any) -> Any:
        print("forward")
        return x * 3

    def derivative(y: Any, x: Any) -> Any:
        return np.full(np.shape(x), 3.0)

    thrice = tg.elementwise(forward, derivative, name="thrice")

    def f(x: Any) -> Any:
        views = np.reshape(np.transpose(x), (2, 3))[:, ::-1]
        return tg.value_and_grad(lambda x: np.sum(thrice(x) * views))(x)

    first = tg.compile(f, backend)
    capsys.readouterr()
    value, gradient = first(X)
    times = capsys.readouterr().out.count("forward")
    np.testing.assert_allclose(value, np.sum(X * 3 * np.reshape(X.T, (2, 3))[:, ::-1]))
    np.testing.assert_allclose(gradient, 3 * np.reshape(X.T, (2, 3))[:, ::-1])
    assert times <= 2, "once to record, and once to run, where it is not compiled"


def test_operations_that_read_their_values_are_compared_as_a_whole(backend: str) -> None:
    """Their rules are called as they are, after an attempt that has left constants behind."""
    symmetric = X.T @ X + np.eye(3)

    def f(a: Any) -> Any:
        values, vectors = np.linalg.eigh(a)
        return np.sum(values**2 * vectors[0] ** 2) + np.linalg.det(a) + np.sum(np.linalg.svd(a)[1] * np.zeros(3))

    compiled = tg.compile(lambda a: tg.value_and_grad(f)(a), backend)
    for _ in range(2):
        for found, expected in zip(compiled(symmetric), tg.value_and_grad(f)(symmetric), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("decompose", [np.linalg.svd, np.linalg.eigh, np.linalg.qr, np.linalg.slogdet])
def test_whatever_parts_of_a_decomposition_a_function_reads_both_recordings_agree(decompose: Any) -> None:
    """The same constant, such as True, is met by one of them in what it drops, and by the other later."""
    x = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.5], [0.5, -0.5, 2.0]])
    count = len(decompose(x))
    for parts in (parts for size in range(1, count + 1) for parts in combinations(range(count), size)):

        def loss(x: Any, parts: Any = parts) -> Any:
            results = decompose(x)
            return sum(np.sum(np.sin(results[i]) ** (i + 2)) for i in parts)

        slope = tg.grad(loss)
        np.testing.assert_allclose(tg.compile(slope)(x), slope(x), rtol=1e-12, atol=1e-14)
