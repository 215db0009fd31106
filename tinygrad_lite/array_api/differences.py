"""Functions whose arguments or results differ between the array API standard and NumPy."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Traced
from tinygrad_lite.engine.tensor import wrap


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The positions of the entries in order; those of equal entries stay in theirs."""
    if not descending:
        return np.argsort(x, axis=axis, stable=stable)
    backward = np.argsort(np.flip(x, axis), axis=axis, stable=stable)
    return x.shape[axis] - 1 - np.flip(backward, axis)


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The entries in order."""
    rising = np.sort(x, axis=axis, stable=stable)
    return np.flip(rising, axis) if descending else rising


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """The entries at these positions along an axis, by default the last."""
    return np.take_along_axis(x, indices, axis)


def unique_values(x: Any, /) -> Any:
    """The different entries, in order: some libraries expect that, although the standard leaves the order open."""
    return np.unique(x)


def _several(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with several results, which are tensors if its argument is one."""

    @wraps(function)
    def call(x: Any, /) -> Any:
        results = function(x)
        if not isinstance(x, Traced):
            return results
        tensors = [part if isinstance(part, Traced) else wrap(part) for part in results]
        return type(results)(*tensors) if hasattr(results, "_fields") else tuple(tensors)

    return call


def outside_the_graph(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function without a derivative, which takes tensors to which no gradient flows, and refuses others."""

    @wraps(function)
    def call(x: Any, /, *args: Any, **params: Any) -> Any:
        values = (x, *args)
        traced = [value for value in values if isinstance(value, Traced)]
        if not traced or any(getattr(value, "requires_grad", True) for value in traced):
            return function(*values, **params)  # which raises the error that says what to do, unless all are arrays
        return wrap(function(*map(np.asarray, values), **params)[()])

    return call


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{function.__name__: function for function in (argsort, sort, take_along_axis, unique_values)},
    **{
        function.__name__: _several(function)
        for function in (np.nonzero, np.unique_all, np.unique_counts, np.unique_inverse)
    },
    "nextafter": outside_the_graph(np.nextafter),
}
