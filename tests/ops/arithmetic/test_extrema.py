"""The largest and smallest entries: NumPy's values along short axes too, and gradients that ties share."""

from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn

EXTREMA = [np.max, np.min]
SHAPES = [
    *[(100, 20), (5, 40, 32), (16, 10, 10), (500, 4), (40, 2, 30, 3)],
    *[(300, 2, 2), (1100, 1), (3, 500), (2, 2, 2), (2, 40_000)],
]


def axes_of(ndim: int) -> Any:
    subsets = chain.from_iterable(combinations(range(ndim), size) for size in range(1, ndim + 1))
    return [None, *range(-1, ndim), *subsets, tuple(range(-ndim, 0))]


@pytest.mark.parametrize("extremum", EXTREMA)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_values_are_numpys(extremum: Any, shape: tuple[int, ...], dtype: Any) -> None:
    x = np.random.default_rng(0).integers(-5, 5, shape).astype(dtype)
    if dtype != np.int64:
        x.flat[::17] = np.nan
    for axis in axes_of(len(shape)):
        for keepdims in (False, True, 2):
            right = extremum(x, axis=axis, keepdims=keepdims)
            found = extremum(tg.tensor(x), axis=axis, keepdims=keepdims).numpy()
            assert found.dtype == right.dtype
            np.testing.assert_array_equal(found, right)
    for axis in (len(shape), -len(shape) - 1, (-1, len(shape) - 1)):
        with pytest.raises(ValueError, match="axis"):
            extremum(tg.tensor(x), axis=axis)


@pytest.mark.parametrize("extremum", EXTREMA)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["ties", "no ties", "NaN"])
def test_ties_share_and_nan_spreads(extremum: Any, shape: tuple[int, ...], kind: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape) if kind == "no ties" else rng.integers(0, 3, shape).astype(float)
    if kind == "NaN":
        x.flat[::17] = np.nan
    for axis in axes_of(len(shape)):
        y = extremum(x, axis=axis, keepdims=True)
        g = rng.normal(size=y.shape)
        (found,) = tg.vjp(lambda x, axis=axis: extremum(x, axis=axis, keepdims=True), x)[1](g)
        winners = x == y
        right = np.where(np.isnan(y), np.nan, g) * winners / np.maximum(winners.sum(axis=axis, keepdims=True), 1)
        np.testing.assert_allclose(found, right, rtol=1e-14)


@pytest.mark.parametrize("extremum", EXTREMA)
def test_as_many_winners_as_rows_and_yet_a_tie(extremum: Any) -> None:
    """A row of NaN has no winner, and another two."""
    x = np.array([[np.nan, 1.0], [2.0, 2.0]])
    (gradient,) = tg.vjp(lambda x: extremum(x, axis=1), x)[1](np.ones(2))
    np.testing.assert_array_equal(gradient, [[np.nan, np.nan], [0.5, 0.5]])


@pytest.mark.parametrize("function", [nn.functional.logsumexp, np.logaddexp.reduce])
def test_the_logarithm_of_a_sum_of_exponentials_is_numpys_at_the_edges(function: Any) -> None:
    inf = np.inf
    edges = np.array([[1, 2, -inf], [-inf, -inf, -inf], [inf, 1, 2], [inf, inf, -inf], [800, -800, 799]])
    for x in (edges, edges[:2], edges[1:3], np.float32([[80, 81]])):
        for axis in (0, 1, None, (0, 1), -1):
            expected = np.logaddexp.reduce(x, axis=axis)
            answer = function(tg.tensor(x), axis=axis).numpy()
            assert answer.dtype == expected.dtype
            np.testing.assert_allclose(answer, expected, rtol=4 * np.finfo(x.dtype).eps)
