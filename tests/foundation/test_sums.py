"""Sums in any order: those of NumPy up to rounding, whatever the layout in memory."""

import tracemalloc
from itertools import chain, combinations, permutations, product
from typing import Any

import numpy as np
import pytest

from tinygrad_lite.foundation.sums import MANY, total, total_down_to, total_in_any_order


@pytest.mark.long
@pytest.mark.parametrize(
    "shape", [(80, 64), (16, 8, 8, 8), (3, 700, 2), (1, 5000), (5000, 1), (2, 1, 6, 500), (80, 7, 8)], ids=str
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64])
def test_sums_are_numpys(shape: tuple[int, ...], dtype: Any) -> None:
    assert np.prod(shape) >= MANY
    for order in permutations(range(len(shape))):
        x = np.random.default_rng(0).integers(-2, 3, shape).astype(dtype).transpose(order)
        for axes in chain.from_iterable(combinations(range(x.ndim), count) for count in range(1, x.ndim + 1)):
            for part in (x, x[::2], x[..., ::-1]):
                for keepdims in (False, True):
                    summed, right = total_in_any_order(part, axes, keepdims), np.sum(part, axis=axes, keepdims=keepdims)
                    assert summed.dtype == right.dtype
                    np.testing.assert_array_equal(summed, right)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_sums_down_to_a_shape_undo_broadcasting(dtype: Any) -> None:
    shapes = [(), (1,), (3,), (0,), (1, 3), (4, 1), (1, 1), (4, 3), (2, 1, 3), (1, 4, 1), (0, 1), (9, 3)]
    for shape, other in product(shapes, shapes):
        try:
            broadcast = np.broadcast_shapes(shape, other)
        except ValueError:
            continue
        for order in ("C", "F"):
            x = np.asarray(np.random.default_rng(0).integers(-2, 3, broadcast).astype(dtype), order=order)
            right = np.zeros(shape, dtype)
            places = np.broadcast_to(np.arange(right.size).reshape(shape), broadcast)
            np.add.at(right.reshape(-1), places, x)
            summed = total_down_to(shape, x)
            assert (summed.dtype, summed.shape) == (dtype, shape)
            assert shape or x.ndim == 0 or isinstance(summed, np.generic)
            np.testing.assert_array_equal(summed, right)


def test_what_broadcasting_does_not_make_of_a_shape_has_no_sum_of_that_shape() -> None:
    shapes = [(), (1,), (3,), (6,), (0,), (2, 3), (3, 2), (1, 6), (6, 1), (1, 0), (2, 3, 1), (1, 2, 3), (3, 1, 2)]
    for shape, other in product(shapes, shapes):
        fits = len(other) >= len(shape) and all(n in (1, m) for n, m in zip(shape[::-1], other[::-1]))
        assert (total_down_to(shape, np.ones(other)).shape == shape) == fits, (shape, other)


def test_only_the_sums_with_an_infinity_or_nan_have_it() -> None:
    x = np.ones((100, 60))
    x[3, 1], x[4, 2], x[5, 2], x[6, 3] = np.inf, np.inf, -np.inf, np.nan
    with np.errstate(invalid="ignore"):
        for y, axes in ((x, (0,)), (x, (1,)), (x.reshape(10, 10, 60), (1,)), (x.reshape(50, 2, 60), (1,))):
            np.testing.assert_array_equal(total_in_any_order(y, axes), np.sum(y, axis=axes))


def test_sums_of_many_sizes_keep_no_memory() -> None:
    tracemalloc.start()
    try:
        for count in range(50_000, 50_040):
            total_in_any_order(np.ones((count, 4)), (0,))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1e6


SHAPES = [
    (100, 100, 3),
    (300, 8),
    (20, 30, 8),
    (9, 8, 9),
    (5, 1000, 2),
    (1000, 5, 3),
    (30, 40, 2, 4),
    (2, 3, 400),
    (700, 2),
    (1, 900, 5),
    (600, 1, 2),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32, bool])
def test_totals_have_numpys_roundings(shape: tuple[int, ...], dtype: Any) -> None:
    x = (100 * np.random.default_rng(0).normal(size=shape)).astype(dtype)
    for axis, keepdims in product((*range(len(shape)), -1, -2, None, (0, 1), (-1,)), (False, True, 2)):
        for part in (x, x[::2], np.asfortranarray(x)):
            summed, right = total(part, axis, keepdims), np.add.reduce(part, axis=axis, keepdims=keepdims)
            assert summed.dtype == right.dtype
            np.testing.assert_array_equal(summed, right)
    for axis in (len(shape), -len(shape) - 1, len(shape) + 1):
        with pytest.raises(np.exceptions.AxisError, match="out of bounds"):
            total(x, axis)
