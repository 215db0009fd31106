"""Loops whose numbers vary from turn to turn: native code serves all turns, and does what eager code does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param, spread
from tinygrad_lite.compiler.native.plan import Segment
from tinygrad_lite.trees import leaves

Loop = Callable[[Any, int], Any]
SERIES = np.random.default_rng(0).uniform(0.5, 1.5, (60, 3))


def fourier(w: Any, turns: int) -> Any:
    return sum(np.sum(np.sin(w * t) / (t + 1) - 0.5 * t) for t in range(turns))


def garch(w: Any, turns: int) -> Any:
    variance, loss = 0.5, 0.0
    for t in range(turns):
        variance = w[0] ** 2 + w[1] ** 2 * float(SERIES[t, 0]) + 0.1 * variance
        loss = loss + np.log(variance) + float(SERIES[t, 1]) / variance
    return loss


def chosen(w: Any, turns: int) -> Any:
    return sum(np.sum(np.where(w > t / turns, w * t, -1.5 * t) + np.maximum(w, 0.01 * t)) for t in range(turns))


def powers(w: Any, turns: int) -> Any:
    """A power of a small whole number that is known is a few products, so that numbers stay in the code."""
    return sum(np.sum(w**k) * 0.1 for k in range(1, turns + 1))


def recurrence(w: Any, turns: int) -> Any:
    y = np.zeros_like(w, shape=(turns,))
    for t in range(1, turns):
        y = y.at[t].set(np.tanh(w[0] * y[t - 1] + float(SERIES[t, 0])))
        y = y.at[t - 1].add(0.5 * w[1])
    return np.mean(y**2)


def rows(w: Any, turns: int) -> Any:
    y = np.zeros_like(w, shape=(turns, 4))
    for t in range(1, turns):
        y = y.at[t].set(np.cos(y[t - 1]) * w + t)
    return np.mean(y**2)


def columns(w: Any, turns: int) -> Any:
    y = np.ones_like(w, shape=(2, turns))
    for t in range(1, turns):
        y = y.at[:, t].set(np.sin(y[:, t - 1] * w[:2]))
    return np.sum(y[-1] * y[0])


def table(w: Any, turns: int) -> Any:
    size = int(turns**0.5)
    y = np.zeros_like(w, shape=(size + 1, size + 1))
    for i in range(size):
        for j in range(size):
            y = y.at[i + 1, j + 1].set(np.logaddexp(y[i, j + 1], y[i + 1, j]) * 0.5 + w[0] * SERIES[i, j % 3])
    return y[size, size]


def windows(w: Any, turns: int) -> Any:
    y = np.concatenate([w, np.zeros(turns)])
    for t in range(turns):
        y = y.at[t + 1 : t + 4].add(np.sin(y[t : t + 3]) * w[:3])
    return np.sum(y**2)


def squares(w: Any, turns: int) -> Any:
    """The entries around each entry of an image, whose gradients one operation puts together."""
    size = int(turns**0.5) + 3
    image = np.sin(np.outer(SERIES[:size, 0], SERIES[:size, 1]) * w[0])
    return sum(
        np.tanh(np.sum(image[i : i + 3, j : j + 3] * w[1])) * image[i, j]
        for i in range(size - 2)
        for j in range(size - 2)
    )


def bonds(w: Any, turns: int) -> Any:
    x = np.outer(SERIES[:, 0], w)
    ends = np.random.default_rng(1).permutation(60)
    return sum(np.sqrt(np.sum((x[ends[t]] - x[ends[t + 1]]) ** 2)) for t in range(turns))


def backwards(w: Any, turns: int) -> Any:
    y = np.zeros_like(w, shape=(3, 2 * turns, 2))
    for t in range(1, turns):
        y = y.at[1, 2 * t : 2 * t - 2 : -1, ::-1].set(np.cos(y[-2, 2 * t - 2 : 2 * t] + w[:2] * t))
        y = y.at[..., -t, :].add(w[2])
    return np.mean(y**2)


LOOPS: list[Loop] = [
    fourier, garch, chosen, powers, recurrence, rows, columns, table, windows, squares, bonds, backwards,
]  # fmt: skip


def codes(step: Any) -> int:
    """How many different segments the native program of a compiled function has."""
    return len({part.text for part in step._latest.executor.plan.steps if isinstance(part, Segment)})


@pytest.mark.long
@pytest.mark.parametrize("loop", spread(LOOPS, 4))
def test_code_serves_all_turns(loop: Loop) -> None:
    def count(turns: int) -> int:
        step = tg.compile(tg.value_and_grad(lambda w: loop(w, turns)), "native")
        step(np.full(4, 0.7))
        return codes(step)

    assert count(56) - count(16) < 8  # what is left over behind the turns that go together differs


@pytest.mark.long
@pytest.mark.parametrize("loop", [param(loop, slow=i % 2 == 1) for i, loop in enumerate(LOOPS)])
@pytest.mark.parametrize("dtype", [np.float64, param(np.float32, slow=True)])
def test_values_and_gradients(loop: Loop, dtype: Any, backend: str) -> None:
    w = np.array([0.7, 0.4, -0.3, 1.2], dtype)
    f = tg.value_and_grad(lambda w: loop(w, 16))
    for x, expected in zip(leaves(tg.compile(f, backend)(w)), leaves(f(w)), strict=True):
        assert x.dtype == expected.dtype
        np.testing.assert_allclose(x, expected, rtol=1e-4 if dtype == np.float32 else 1e-11)


@pytest.mark.long
@pytest.mark.parametrize("dtype", [np.int64, np.int16, np.uint8, np.float16, np.float32, np.float64, bool])
def test_dtypes_are_numpys(dtype: Any, backend: str) -> None:
    """A number of Python's takes the dtype of the array that it meets, also as data."""

    def f(x: Any) -> Any:
        results = []
        for t in range(1, 14):
            results += [x * t, x + 0.5 * t, x / t, x < t, np.where(x > 1, x, t), np.maximum(x, t), x - t / 3]
        return results

    x = np.array([0, 1, 3]).astype(dtype)
    for made, expected in zip(tg.compile(f, backend)(x), f(x), strict=True):
        assert made.dtype == expected.dtype
        np.testing.assert_array_equal(made, expected)


def test_numbers_that_no_array_of_integers_holds(backend: str) -> None:
    def f(x: Any) -> list[Any]:
        return [y for t in range(12, 40) for y in (x * 2.0**t + 10**t, 0.5 * x * 10**t, 3 * x * -(2**t))]

    step = tg.compile(f, backend)
    x = np.array([1.0, 3.0])
    for made, expected in zip(step(x), f(x), strict=True):
        np.testing.assert_array_equal(made, expected)


def lines(loop: Loop, turns: int) -> int:
    """The lines of the NumPy source of a loop."""
    step = tg.compile(tg.value_and_grad(lambda w: loop(w, turns)), "numpy")
    step(np.full(4, 0.7))
    return len(step.source.splitlines())


@pytest.mark.long
@pytest.mark.parametrize("loop", [garch, recurrence, rows, columns])
def test_the_source_is_a_loop_however_many_turns_there_are(loop: Loop) -> None:
    assert lines(loop, 56) == lines(loop, 36) < 60
