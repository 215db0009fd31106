"""Distinct values and histograms: NumPy's answers, with the gradients of what depends on the entries."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import trees

X = np.array([3.0, 1.0, 3.5, 2.0])
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "unique": np.unique,
    "unique, with everything": lambda x: np.unique(x, True, return_inverse=True, return_counts=True),
    "unique rows": lambda x: np.unique(np.stack([x, x, x + 1]), axis=0),
    "unique columns, with places": lambda x: np.unique(np.stack([x, x + 1]), axis=1, return_index=True),
    "unique_all": np.unique_all,
    "unique_counts": np.unique_counts,
    "unique_inverse": np.unique_inverse,
    "unique_values": np.unique_values,
    "histogram": np.histogram,
    "histogram of four bins": lambda x: np.histogram(x, 4),
    "histogram of as many bins as fit": lambda x: np.histogram(x, bins="auto", density=True),
    "histogram in a range": lambda x: np.histogram(x, 3, (0.0, 4.0), density=True),
    "histogram with edges": lambda x: np.histogram(x, np.array([0.0, 1.5, 5.0])),
    "histogram with weights": lambda x: np.histogram(x, 3, weights=np.arange(4.0), density=True),
    "histogram of one number": lambda x: np.histogram(x[:1], 3, density=True),
    "histogram_bin_edges": lambda x: np.histogram_bin_edges(x, 5),
}
INPUTS = {
    "numbers": X,
    "ties": np.array([2.0, 1.0, 2.0, 2.0]),
    "zeros of both signs": np.array([0.0, -0.0, 2.0, -0.0, 0.0, -1.0, -0.0, 0.0, 1.0]),
    "zeros of both signs, the other first": np.array([-0.0, 0.0, -0.0, 1.0]),
    "NaN": np.array([2.0, np.nan, np.nan, 1.0]),
    "few digits": X.astype(np.float32),
    "integers": np.array([3, 1, 3, 2]),
}


@pytest.mark.parametrize("x", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
def test_values_are_numpys(f: Callable[[Any], Any], x: np.ndarray) -> None:
    try:
        expected = trees.leaves(f(x))
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)[:20]):
            f(tg.tensor(x))
        return
    for a, b in zip(trees.leaves(f(tg.tensor(x))), expected, strict=True):
        a = a.numpy() if isinstance(a, tg.Tensor) else a
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
        if b.ndim == 1 and b.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(a), np.signbit(b))


@pytest.mark.long
@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
def test_gradients(f: Callable[[Any], Any]) -> None:
    def numbers(x: Any) -> list[Any]:
        return [y**2 for y in trees.leaves(f(x)) if y.dtype.kind == "f"]

    tg.gradcheck(numbers, X, order=2)


def test_a_distinct_value_is_the_first_of_its_kind() -> None:
    gradient = tg.grad(lambda x: np.sum(np.unique(x) * np.array([1.0, 10.0])))(np.array([2.0, 1.0, 2.0]))
    np.testing.assert_array_equal(gradient, [10.0, 1.0, 0.0])
