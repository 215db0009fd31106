"""SciPy's functions of matrices, called for each matrix of a stack."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, MissingExtraError


def library(name: str) -> Any:
    """scipy.linalg, which the function of this name needs."""
    try:
        import scipy.linalg
    except ImportError:
        raise MissingExtraError(f"tg.linalg.{name}", "SciPy", "examples") from None
    return scipy.linalg


def each_matrix(name: str, *arrays: Array) -> Array:
    """The result of this function of scipy.linalg for matrices, or for stacks."""
    return over_matrices(name, getattr(library(name), name), *arrays)


def over_matrices(name: str, compute: Callable[..., Array], *arrays: Array) -> Array:
    """What a function of matrices makes of each place in the axes in front, which the arrays share.

    Raises:
        InputError: for NaN and infinity, which LAPACK does not expect.
    """
    if not all(np.isfinite(x).all() for x in arrays):
        raise InputError(f"{name} needs finite numbers, and its arguments hold NaN or infinity")
    front = arrays[0].shape[:-2]
    if not front:
        return compute(*arrays)
    results = [compute(*(x[place] for x in arrays)) for place in np.ndindex(front)]
    return np.reshape(results, front + np.shape(results[0]))
