"""Slices with bounds that a function computes, as in `x[start : start + 2]`, beside eager."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.test_entries_outside import Store, assert_as_eager
from tinygrad_lite.errors import UsageError


def by_counting(store: Store) -> Any:
    low = store.count * 2 % 6
    store.count += 1
    return low


def by_a_position(store: Store) -> Any:
    low, store.count = store.count, store.count + 2
    if store.count >= 6:
        store.count = 0
    return low


STARTS: dict[str, Callable[[Store, Any], Any]] = {
    "an argument": lambda store, i: i,
    "an array's entry": lambda store, i: store.whole[i],
    "a count": lambda store, i: by_counting(store),
    "a position": lambda store, i: by_a_position(store),
    "a draw": lambda store, i: store.rng.integers(0, 4),
    "a tensor": lambda store, i: tg.tensor(i),
}


def twice(store: Store, at: Any, x: Any) -> Any:
    return store.rows[at : at + 2].sum() * store.rows[at + 1 : at + 3]


def a_patch(store: Store, at: Any, x: Any) -> Any:
    return store.rows[at : at + 2, at % 2 : at % 2 + 2] + store.rows[at : 2 + at, 0, None]


def a_step(store: Store, at: Any, x: Any) -> Any:
    w = tg.tensor(x, requires_grad=True)
    loss = np.mean((store.rows[at : at + 2] @ w - store.numbers[at : at + 2]) ** 2)
    loss.backward()
    return w.grad


def of_a_tensor(store: Store, at: Any, x: Any) -> Any:
    return tg.grad(lambda x: np.sum(np.sin(x)[at % 2 : at % 2 + 2] ** 2))(x)


def windows(store: Store, at: Any, x: Any) -> Any:
    return np.stack([store.numbers[k : k + 2] for k in store.rng.integers(0, 4, 3)])


def written(store: Store, at: Any, x: Any) -> Any:
    store.numbers[at : at + 2] = x[:2]
    store.rows[at : at + 2] += x
    return store.numbers[at : at + 2].sum()


def written_by_way_of_the_slice(store: Store, at: Any, x: Any) -> Any:
    part = store.rows[at : at + 2]
    part *= 2
    part[0] += 1
    return part.sum(), store.rows.sum()


def of_its_own(store: Store, at: Any, x: Any) -> Any:
    y = np.cumsum(x)
    y[at % 2 : at % 2 + 2] *= x[1:]
    return y


USES: dict[str, Callable[[Store, Any, Any], Any]] = {
    "rows": lambda store, at, x: store.rows[at : at + 2] @ x,
    "columns": lambda store, at, x: store.rows[..., at % 2 : at % 2 + 2] * 2,
    "a factor": lambda store, at, x: store.numbers[at * 2 % 5 : (at * 2 % 5) + 1] * 2,
    "batches": lambda store, at, x: store.numbers[(at % 3) * 2 : (at % 3 + 1) * 2] * 2,
    "before": lambda store, at, x: store.numbers[at % 3 + 2 - 2 : at % 3 + 2] * 2,
    "none": lambda store, at, x: store.numbers[at:at],
    "of an argument": lambda store, at, x: x[at % 2 : at % 2 + 2] * 2,
    "twice": twice,
    "a patch": a_patch,
    "a step": a_step,
    "of a tensor": of_a_tensor,
    "windows": windows,
    "written": written,
    "written by way of the slice": written_by_way_of_the_slice,
    "of its own": of_its_own,
}


@pytest.mark.long
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("use", USES)
def test_as_eager(use: str, start: str, backend: str) -> None:
    assert_as_eager(lambda store, i, x: USES[use](store, STARTS[start](store, i), x), backend)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["argument", "count"])
def test_bounds_outside_the_array(kind: str, backend: str) -> None:
    """As Python has them: from the end if they are negative, and cut off at the end of the array."""

    def outcome(compile: Any) -> list[Any]:
        store = Store()

        def f(i: Any) -> Any:
            low = i
            if kind == "count":
                low = store.count - 4
                store.count += 1
            return np.sum(store.numbers[low : low + 3]), store.numbers[low : low + 3] * 2

        step = compile(f)
        return [x for i in (1, *range(-4, 9)) for x in step(np.array(i))]

    eager = outcome(lambda f: f)
    for found, expected in zip(outcome(lambda f: tg.compile(f, backend)), eager, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int64"])
def test_bounds_that_wrap_around_or_cross(dtype: str, backend: str) -> None:
    """An end that is too large for its dtype is small again, and one below 0 counts from the array's end."""
    numbers = np.arange(300.0)

    def f(i: Any, other: Any) -> Any:
        return numbers[i : i + 2] * 2, numbers[i : i - 2] * 2, numbers[1 : other - other - 1] * 2

    step, largest = tg.compile(f, backend), min(np.iinfo(dtype).max, 400)
    for i in (5, largest, largest - 1, largest - 2, 1, 0, 7):
        arguments = np.array(i, dtype), np.array(3)
        for found, expected in zip(step(*arguments), f(*arguments), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("start", [np.array(1.0), np.array(True), np.array([1]), 1.0])
def test_what_is_no_index_for_numpy(start: Any, backend: str) -> None:
    numbers = np.arange(6.0)
    step = tg.compile(lambda start: numbers[start : start + 2], backend)
    with pytest.raises(TypeError, match=r"integer|index"):
        step(start)


def read_after_a_write(store: Store, at: Any, x: Any) -> Any:
    part = store.numbers[at : at + 2]
    store.numbers[0] = x[0]
    return part.sum()


def read_after_a_write_by_a_view(store: Store, at: Any, x: Any) -> Any:
    part = store.rows[at : at + 2]
    part.T[...] = x[0]
    return store.rows.sum()


def two_slices(store: Store, at: Any, x: Any) -> Any:
    part = store.numbers[at : at + 2]
    store.numbers[1:3] += x[0]
    return part * 2


def left_outside_and_written_later(store: Store, at: Any, x: Any) -> Any:
    store.whole[0] = 9
    store.whole = store.numbers[1:][at : at + 2]
    return store.numbers.sum()


REFUSED: dict[str, tuple[Callable[[Store, Any, Any], Any], str]] = {
    "another length": (lambda store, at, x: store.numbers[:at].sum(), "length of a slice depends .* start : start"),
    "up to the end": (lambda store, at, x: store.numbers[at:].sum(), "length of a slice depends"),
    "two bounds": (lambda store, at, x: store.numbers[at : 2 * at].sum(), "length of a slice depends"),
    "steps": (lambda store, at, x: store.numbers[at : at + 4 : 2].sum(), "length of a slice depends"),
    "beside an array": (lambda store, at, x: store.rows[[0, 1], at % 2 : at % 2 + 2], "one after the other"),
    "around a slice": (lambda store, at, x: store.rows[None][0, :, at % 2 : at % 2 + 1], "one after the other"),
    "left outside": (left_outside_and_written_later, "leaves a view"),
    "read after a write": (read_after_a_write, "has written before"),
    "read after a write by a view": (read_after_a_write_by_a_view, "has written before"),
    "read after a write into another slice": (two_slices, "has written before"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str, backend: str) -> None:
    f, message = REFUSED[name]
    store = Store()
    with pytest.raises(UsageError, match=f"(?s){message}"):
        tg.compile(lambda i, x: f(store, i, x), backend)(np.array(1), np.ones(3))
    np.testing.assert_array_equal(store.numbers, np.arange(6.0))
