"""Sorting, with each keyword that this version of NumPy has."""

from inspect import signature
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
