"""Arithmetic in long rows: NumPy's results, bit for bit, whatever the shapes and layouts."""

import operator
from itertools import product
from typing import Any

import numpy as np
import pytest

from tinygrad_lite.foundation import broadcasting
from tinygrad_lite.foundation.broadcasting import LOOPS, _layout, along_short_rows

SHAPES = [
    ((40, 1, 3), (90, 3)),
    ((1, 90, 3), (40, 1, 3)),
    ((24, 32, 32, 2), (24, 1, 1, 2)),
    ((1, 32, 32, 2), (24, 1, 1, 2)),
    ((2430, 8), (8,)),
    ((8,), (2430, 8)),
    ((1, 8), (2431, 8)),
    ((1031, 7), (7,)),  # a prime number of rows
    ((151, 1, 7), (151, 7)),
    ((151, 1, 40), (151, 40)),
    ((1, 8209, 2), (3, 1, 2)),
    ((30, 1, 50, 2, 2), (20, 1, 2, 2)),
    ((4, 1, 60, 5), (1, 7, 1, 5)),
]
OTHERS = [  # long loops already, few of them, one entry in each, nothing, or the same shape
    ((100, 64), (64,)),
    ((163, 1, 40), (163, 40)),  # so many that a copy of the whole result takes longer
    ((30, 3), (3,)),
    ((2000, 3), (2000, 1)),
    ((2000, 1), (1, 3)),
    ((0, 600), (600,)),
    ((600, 0, 3), (3,)),
    ((600, 1, 3), (1, 0, 3)),
    ((1000, 4), (1000, 4)),
]
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1e308])


def drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    x = rng.normal(size=shape) * 3
    x[rng.random(shape) < 0.1] = rng.choice(SPECIAL)
    with np.errstate(all="ignore"):
        return x.astype(dtype)


@pytest.mark.long
@pytest.mark.parametrize("dtype", [">f8", *"dfeDil"])
def test_results_are_numpys_bit_for_bit(dtype: str) -> None:
    rng = np.random.default_rng(0)
    for shapes, name in product(SHAPES + OTHERS, ("subtract", "multiply")):
        a, b = (drawn(rng, shape, dtype) for shape in shapes)
        for x, y in ((a, b), (b, a), (a[..., ::-1], b), (a, np.asfortranarray(b))):
            with np.errstate(all="ignore"):
                right = getattr(np, name)(x, y)
                made = getattr(broadcasting, name)(x, y)
            assert (made.dtype, made.shape) == (right.dtype, right.shape)
            assert made.tobytes() == right.tobytes(), (name, x.shape, y.shape)
            assert made.base is None or not (np.shares_memory(made, x) or np.shares_memory(made, y))


def test_only_many_short_loops_are_joined() -> None:
    assert all(_layout(*shapes) for shapes in SHAPES)
    assert not any(_layout(*shapes) for shapes in OTHERS)


def test_what_does_not_broadcast_is_numpys_error() -> None:
    a, b = np.ones((2000, 3)), np.ones((7, 3))
    for name in ("sub", "mul"):
        with pytest.raises(ValueError, match=r"could not be broadcast together with shapes \(2000,3\) \(7,3\)"):
            getattr(broadcasting, {"sub": "subtract", "mul": "multiply"}[name])(a, b)
        assert getattr(operator, name)(a, 2.0).shape == (2000, 3)


@pytest.mark.parametrize("dtype", [">f4", *"dfeDi"])
def test_columns_are_repeated_along_short_rows(dtype: str) -> None:
    rng = np.random.default_rng(1)
    for before, length in product([(LOOPS,), (40, 60), (LOOPS - 1,)], (1, 2, 7, 16, 17)):
        column = drawn(rng, (*before, 1), dtype)
        rows = along_short_rows(column, (*before, length))
        is_repeated = dtype in "df" and np.prod(before) >= LOOPS and 1 < length < 17
        assert rows.shape == (*before, length if is_repeated else 1)
        assert rows.dtype == column.dtype
        np.testing.assert_array_equal(np.broadcast_to(rows, (*before, length)), np.repeat(column, length, axis=-1))
