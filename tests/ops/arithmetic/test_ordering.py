"""Sorting, with each keyword that this version of NumPy has."""

from collections.abc import Callable
from functools import partial
from inspect import signature
from itertools import product as product_of
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg

X = np.array([[3.0, 1.0, 2.0, -4.0], [0.5, -0.25, 7.0, 6.0]])
SETTINGS: dict[str, list[Any]] = {
    "axis": [-1, 0, None],
    "kind": ["stable", "quicksort", "heapsort"],
    "stable": [True, False],
    "descending": [True, False],  # from NumPy 2.5 on
}
CALLS = [
    pytest.param(function, {name: value}, id=f"{function.__name__}, {name}={value}")
    for function in (np.sort, np.argsort)
    for name in signature(function).parameters
    for value in SETTINGS.get(name, ())
]


@pytest.mark.parametrize(("function", "keywords"), CALLS)
def test_a_keyword_means_what_it_does_in_numpy(function: Any, keywords: dict[str, Any]) -> None:
    expected = function(X, **keywords)
    for run in (lambda f: f(tg.tensor(X, requires_grad=True)), lambda f: tg.compile(f)(tg.tensor(X))):
        np.testing.assert_array_equal(run(lambda x: function(x, **keywords)).numpy(), expected)


@pytest.mark.parametrize("keywords", [call.values[1] for call in CALLS if call.values[0] is np.sort], ids=str)
def test_the_gradient_of_an_entry_goes_where_it_came_from(keywords: Any) -> None:
    weights = np.arange(1.0, 9.0).reshape(np.sort(X, **keywords).shape)
    expected = np.empty(X.size)
    for k in range(X.size):
        nudged = X.copy()
        nudged.flat[k] += 0.125
        expected[k] = np.sum(weights * (np.sort(nudged, **keywords) - np.sort(X, **keywords))) / 0.125
    gradient = tg.grad(lambda x: np.sum(weights * np.sort(x, **keywords)))(X)
    np.testing.assert_array_equal(np.ravel(gradient), expected)
    along = tg.jvp(lambda x: np.sum(weights * np.sort(x, **keywords)), (X,), (X,))[1]
    np.testing.assert_allclose(along, np.sum(gradient * X), rtol=1e-12)


LONG = {
    "distinct": lambda rng: rng.normal(size=(3, 200)),
    "equal": lambda rng: rng.integers(0, 20, (3, 200)).astype(float),
    "zeros of both signs": lambda rng: rng.choice([0.0, -0.0, 1.0], (3, 200)),
    "one pair": lambda rng: np.repeat(rng.permutation(100), 2).reshape(1, 200).astype(float),
    "NaN": lambda rng: rng.choice([np.nan, -1.0, 1.0, 2.0], (3, 200)),
    "one NaN": lambda rng: np.append(rng.normal(size=199), np.nan)[None],
}


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("name", LONG)
def test_in_long_lines_too_equal_entries_keep_their_order(name: str, axis: int) -> None:
    x = LONG[name](np.random.default_rng(0))
    x = x.T if axis == 0 else x
    weights = np.arange(1.0, x.size + 1).reshape(x.shape)
    order = np.argsort(x, axis, kind="stable")
    moved = np.zeros_like(weights)
    np.put_along_axis(moved, order, weights, axis)
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(weights * np.sort(x, axis)))(x), moved)
    ranks = np.argsort(order, axis)
    for q in (0.0, 0.3, 0.5, 1.0):
        place = q * (np.sum(~np.isnan(x), axis, keepdims=True) - 1)
        shares = np.maximum(1 - np.abs(ranks - place), 0)
        gradient = tg.grad(lambda x, q=q: np.sum(np.nanquantile(x, q, axis=axis)))(x)
        has_value = np.isfinite(np.nanquantile(x, q, axis=axis, keepdims=True))
        np.testing.assert_allclose(np.where(has_value, gradient, 0), np.where(has_value, shares, 0), atol=1e-12)


KEYS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: np.lexsort((a, b)),
    lambda a, b: np.lexsort((a,)),
    lambda a, b: np.lexsort((np.array([1, 2, 0, 0]), b)),
    lambda a, b: np.lexsort((b, np.array([2**60 + 1, 2**60, 2**60 + 2, 2**60]))),
    lambda a, b: np.lexsort((np.array([2**60 + 1, 2**60, 2**60 + 2, 2**60]), 0 * b)),
    lambda a, b: np.lexsort((np.array(["b", "a", "c", "a"]), a)),
    lambda a, b: np.lexsort((a, [1, 2, 0, 0])),
    lambda a, b: np.lexsort(np.stack([a, b])),
    lambda a, b: np.lexsort(keys=(b, a), axis=0),
]


@pytest.mark.parametrize("order", KEYS)
def test_an_order_by_several_keys_takes_them_in_a_tuple(order: Callable[[Any, Any], Any]) -> None:
    a, b = np.array([3.0, 1.0, 1.0, 2.0]), np.array([1.0, 5.0, 2.0, 2.0])

    def f(a: Any, b: Any) -> Any:
        return np.sum(a[order(a, b)] * np.arange(4))

    places = order(a, b)
    np.testing.assert_array_equal(order(tg.tensor(a, requires_grad=True), tg.tensor(b)), places)
    np.testing.assert_array_equal(tg.grad(f)(a, b), np.argsort(places))
    assert tg.jvp(f, (a, b), (a, b))[1] == f(a, b)
    compiled = tg.compile(tg.grad(f), backend="numpy")
    np.testing.assert_array_equal(compiled(a, b), np.argsort(places))
    np.testing.assert_array_equal(compiled(b, a), tg.grad(f)(b, a))


@pytest.mark.parametrize("axis", [2, -3])
@pytest.mark.parametrize("f", [np.sort, np.argsort, lambda x, axis: np.argsort(x, axis, stable=True)])
@pytest.mark.parametrize("length", [3, 200])
def test_an_axis_that_is_not_there_is_named(f: Any, axis: int, length: int) -> None:
    with pytest.raises(np.exceptions.AxisError, match=f"axis {axis} is out of bounds"):
        f(tg.tensor(np.ones((2, length))), axis)


@pytest.mark.parametrize("method", ["linear", "nearest", "weibull"])
@pytest.mark.parametrize("function", [np.quantile, np.nanquantile])
def test_one_quantile_has_the_gradient_that_it_has_among_several(function: Any, method: Any) -> None:
    x = np.random.default_rng(0).permutation(15.0 + np.arange(35)).reshape(5, 7)
    for a in (x, np.floor(x / 2), np.where(x > 40, np.inf, x), np.where(x > 46, np.nan, x)):
        for q, axis in product_of((0.0, 0.3, 0.5), (None, 0)):
            call = partial(function, axis=axis, method=method)
            with np.errstate(invalid="ignore"):  # of ∞ - ∞
                y, pull = tg.vjp(partial(call, q=q), a)
                _, pull_several = tg.vjp(partial(call, q=np.array([q])), a)
            g = np.arange(1.0, 1 + np.size(y)).reshape(np.shape(y))[()]
            np.testing.assert_array_equal(pull(g)[0], pull_several(g[None])[0])
