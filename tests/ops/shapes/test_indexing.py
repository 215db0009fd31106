"""Adding at an index: as np.add.at, however the array lies in memory, and by each of the ways to do it."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.engine.registry import operation
from tinygrad_lite.errors import UsageError

RNG = np.random.default_rng(0)
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "rows": lambda x: x,
    "columns": np.asfortranarray,
    "backwards": lambda x: x[::-1, ::-1],
    "every second": lambda x: np.repeat(x, 2, axis=0)[::2],
    "one row for all": lambda x: np.broadcast_to(x[:1], x.shape),
}
SHAPES = [(6, 5), (6, 200), (70, 80), (6, 4, 5), (520, 4)]
INDICES: list[Any] = [
    1,
    np.array([0, 2, 0, -1]),
    np.array([[0, 2], [0, -6]]),
    np.array([], int),
    np.array([3, 3, 3], np.uint8),
    (np.array([0, 2, 0]), np.array([1, 1, -1])),
    (np.array([[0], [2]]), np.array([1, 1, 3])),
    (slice(None), np.array([1, 1, 0])),
    (slice(None, None, -2), np.array([1, 1, 0])),
    (np.array([5, 5]), slice(1, 3)),
    (np.array([5, 5]), None, 0),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_adding_is_numpys(index: Any, shape: tuple[int, ...], layout: str, dtype: Any) -> None:
    x = LAYOUTS[layout](RNG.normal(size=shape).astype(dtype))
    entries = x[index].shape
    for values in (RNG.normal(size=entries).astype(dtype), np.array(0.5, dtype), LAYOUTS[layout](x)[index]):
        right = np.array(x)
        np.add.at(right, index, values)
        np.testing.assert_array_equal(tg.tensor(x).at[index].add(values).numpy(), right)


@pytest.mark.parametrize("index", [*INDICES, np.array(2)], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_reading_is_numpys(index: Any, shape: tuple[int, ...], layout: str) -> None:
    x = tg.tensor(LAYOUTS[layout](RNG.normal(size=shape)))
    entries, right = x[index].numpy(), x.numpy()[index]
    np.testing.assert_array_equal(entries, right)
    assert entries.strides == right.strides  # a sum would round differently in another layout


@pytest.mark.parametrize("index", [np.array([6]), np.array([0, -7]), np.array(6)], ids=str)
def test_a_row_that_does_not_exist_is_refused_as_by_numpy(index: Any) -> None:
    with pytest.raises(IndexError, match="out of bounds for axis 0 with size 6"):
        np.ones((6, 5))[index]
    with pytest.raises(IndexError, match="out of bounds for axis 0 with size 6"):
        tg.tensor(np.ones((6, 5)))[index]


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_gradient_of_entries_is_added_up(index: Any, shape: tuple[int, ...]) -> None:
    x = RNG.normal(size=shape)
    g = RNG.normal(size=x[index].shape)
    right = np.zeros(shape)
    np.add.at(right, index, g)
    for upstream in (g, np.asfortranarray(g)):
        np.testing.assert_array_equal(tg.vjp(lambda x: x[index], x)[1](upstream)[0], right)
    twice = tg.vjp(lambda x: x[index] + x.T.T[index], x)[1](g)[0]
    np.testing.assert_allclose(twice, 2 * right, rtol=1e-14, atol=1e-14)  # the entries of g cancel


@pytest.mark.parametrize("index", [i for i in INDICES if type(i) is np.ndarray], ids=str)
def test_one_axis(index: Any) -> None:
    x, g = RNG.normal(size=12)[::2], RNG.normal(size=index.shape)
    right = np.zeros(6)
    np.add.at(right, index, g)
    np.testing.assert_array_equal(tg.vjp(lambda x: x[index], x)[1](g)[0], right)
    for values in (g, 0.5):
        right = np.array(x)
        np.add.at(right, index, values)
        np.testing.assert_array_equal(tg.tensor(x).at[index].add(values).numpy(), right)


def test_scattered_parts_may_have_further_axes_in_front() -> None:
    scatter = operation("scatter")
    part = np.array([[1.0, 2.0, 3.0]])
    assert tg.gradcheck(lambda x: scatter(x, shape=(3, 4), indices=((slice(None), -1),)) ** 2, part, order=2)


def test_picking_along_axes_of_many_lengths_keeps_no_memory() -> None:
    np.take_along_axis(tg.tensor(np.ones((2, 2))), np.zeros((2, 2), int), 1)
    tracemalloc.start()
    try:
        for count in range(50_000, 50_010):
            np.take_along_axis(tg.tensor(np.ones((count, 2))), np.zeros((count, 2), int), 1)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1e6


WRITERS: dict[str, Callable[[Any, Any, Any, Any], None]] = {  # into an array, at an index or where a mask is, values
    "put": lambda a, index, mask, values: np.put(a, index[0], values[0]),
    "put by names": lambda a, index, mask, values: np.put(a=a, ind=index[0], v=values[0]),
    "place": lambda a, index, mask, values: np.place(a, mask, values[0]),
    "putmask": lambda a, index, mask, values: np.putmask(a, mask, values),
    "put_along_axis": lambda a, index, mask, values: np.put_along_axis(a, index, values, axis=1),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_has_no_history_is_written_into_an_array_and_all_else_is_refused(write: Callable[..., None]) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4))
    w = tg.tensor(values, requires_grad=True)
    written, expected = np.zeros((3, 4)), np.zeros((3, 4))
    write(written, np.argsort(w, axis=1), w > 0, w.detach())
    write(expected, np.argsort(values, axis=1), values > 0, values)
    np.testing.assert_array_equal(written, expected)
    for array, entries in ((written, w), (w, values), (w.detach(), values)):
        with pytest.raises(UsageError, match=r"arrays in a graph never change: write x.at\[index\]"):
            write(array, np.argsort(w, axis=1), w > 0, entries)
    np.testing.assert_array_equal(written, expected)
    np.testing.assert_array_equal(w.numpy(), values)
