"""The derivative of a function by other means than a gradient or the checker: by differences, in 60 digits or in 16."""

from collections.abc import Callable
from functools import partialmethod
from typing import Any

import mpmath
import numpy as np

from tinygrad_lite import trees

DIGITS = mpmath.MPContext()  # a context of its own, whose numbers have the methods that NumPy asks objects for
DIGITS.dps = 60
OTHERS = {"arctan": "atan", "arcsin": "asin", "arccos": "acos", "arcsinh": "asinh", "arctanh": "atanh"}
NAMES = ("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", *OTHERS)
for _name in NAMES:
    setattr(DIGITS.mpf, _name, partialmethod(lambda x, theirs: getattr(DIGITS, theirs)(x), OTHERS.get(_name, _name)))

SOME = 40  # the largest number of entries of an array that are differenced
CENTRAL = {1: 1.0}  # the weights of f(x + k h) - f(x - k h), times 2 h
EIGHTH = {1: 8 / 5, 2: -2 / 5, 3: 8 / 105, 4: -1 / 140}  # the same to order 8


def derivative(f: Callable[..., Any], inputs: tuple[Any, ...], step: float | None) -> list[np.ndarray]:
    """The derivative of f by each real array among its inputs, of shape y + x.

    With a step, by differences of order 8 in float64; else by a tiny step in 60 digits, for an f made of NumPy's
    functions and operators. Of a large array only some entries; the others are NaN.
    """
    exact = trees.map_leaves(lambda x: _with_digits(x) if step is None and varies(x) else x, inputs)
    leaves = trees.leaves(exact)

    def at(k: int, x: Any) -> Any:
        others = iter([*leaves[:k], x, *leaves[k + 1 :]])
        return np.asarray(f(*trees.map_leaves(lambda _: next(others), exact)))

    found = []
    for k, x in enumerate(leaves):
        if not varies(x):
            continue
        x = np.asarray(x, object if step is None else float)
        usual = max(abs(x.ravel()), default=0) or DIGITS.mpf(1)
        shape, columns = np.shape(at(k, x[()])), []
        chosen = np.random.default_rng(0).permutation(x.size).reshape(x.shape) < SOME
        for j in np.ndindex(x.shape):
            if not chosen[j]:
                columns.append(np.full(shape, np.nan))
                continue
            h = step or (abs(x[j]) or usual) * DIGITS.mpf(10) ** -20
            unit = np.array([i == j for i in np.ndindex(x.shape)]).reshape(x.shape)
            slope = sum(
                weight * (at(k, np.asarray(x + i * h * unit)[()]) - at(k, np.asarray(x - i * h * unit)[()]))
                for i, weight in (EIGHTH if step else CENTRAL).items()
            ) / (2 * h)
            columns.append(np.vectorize(float, otypes=[float])(slope))
        found.append(np.stack(columns, axis=-1).reshape((*columns[0].shape, *x.shape)))
    return found


def varies(x: Any) -> bool:
    """Whether a leaf of the arguments is real, so that a gradient has an entry for it."""
    return np.asarray(x).dtype.kind in "fO"


def _with_digits(x: Any) -> Any:
    return np.vectorize(DIGITS.mpf, otypes=[object])(np.asarray(x, float))[()]
