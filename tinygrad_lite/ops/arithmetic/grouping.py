"""Distinct entries, and histograms, whose edges move with the smallest and the largest entry."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.foundation.signatures import signature_of
from tinygrad_lite.ops.arithmetic.extrema import closest


def _distinct(x: Array, function: Callable[..., Any], settings: dict[str, Any]) -> tuple[Any, Array]:
    """The answer of a NumPy function, and the position at which each distinct value occurs first."""
    answer = function(x, **settings)
    axis, equal_nan = settings.get("axis"), settings.get("equal_nan", function is np.unique)
    places = np.unique(x, return_index=True, axis=axis, equal_nan=equal_nan)[1]
    if axis is None:  # the values may come in any order
        values = answer[0] if isinstance(answer, tuple) else answer
        places = places[np.argsort(np.argsort(values, kind="stable"))]
        if values.dtype.kind == "f" and np.any(zero := values == 0):
            flat = np.ravel(x)  # of 0 and -0, each function keeps the one that its sort puts first
            places[zero] = np.argmax((flat == 0) & (np.signbit(flat) == np.signbit(values[zero])))
    return answer, places


distinct = primitive(
    _distinct, arity=1, name="unique", kink=closest, examples=[([(4,)], {"function": np.unique, "settings": {}})]
)


def _with_gradient(function: Callable[..., Any]) -> None:
    """Replace the values in an answer by the entries of the input that have them, so that a gradient flows."""
    signature = signature_of(function)
    name = next(iter(signature.parameters))

    def values(*args: Any, **params: Any) -> Any:
        settings = signature.bind(*args, **params).arguments
        x = settings.pop(name)
        answer, places = distinct(x, function=function, settings=settings)
        axis = settings.get("axis")
        chosen = np.ravel(x)[places] if axis is None else np.take(x, places, axis)
        if not isinstance(answer, tuple):
            return chosen
        return answer._replace(values=chosen) if hasattr(answer, "_replace") else (chosen, *answer[1:])

    values.__doc__ = "The distinct entries, each read where it is first."
    vars(values)["__signature__"] = signature
    implements(function)(values)


for _function in (np.unique, np.unique_all, np.unique_counts, np.unique_inverse, np.unique_values):
    _with_gradient(_function)


def _histogram(a: Array, bins: Any = 10, range: Any = None, weights: Any = None) -> tuple[Array, Array]:
    return np.histogram(a, bins, range, weights=weights)


counted = primitive(_histogram, arity=1, refuses=True)


def _edges(a: Array, edges: Array, bins: Any, range: Any) -> Array:
    """NumPy's edges, which move with the smallest and the largest entry unless the caller chose them."""
    if np.ndim(bins) or range is not None or not np.size(a):
        return edges
    first, last = np.min(a), np.max(a)
    is_one_number = first == last
    first, last = np.where(is_one_number, first - 0.5, first), np.where(is_one_number, last + 0.5, last)
    return np.linspace(first, last, len(edges), dtype=edges.dtype)


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Array, bins: Any = 10, range: Any = None, weights: Any = None) -> Array:
    return _edges(a, counted(a, bins=bins, range=range, weights=weights)[1], bins, range)


@implements(np.histogram)
def histogram(a: Array, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    counts, edges = counted(a, bins=bins, range=range, weights=weights)
    edges = _edges(a, edges, bins, range)
    return (counts / np.diff(edges).astype(float) / counts.sum() if density else counts), edges
