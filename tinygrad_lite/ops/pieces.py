"""Long computations, a quadrature for each entry: piece by piece, and with shortcuts where no entry needs more."""

from collections.abc import Callable

import numpy as np

from tinygrad_lite.engine.op import Array, Traced

PIECE = 2048  # entries at a time, since a quadrature needs many numbers for each


def in_pieces(function: Callable[..., Array], *arrays: Array) -> Array:
    """A function of float64 arrays of one axis, piece by piece, for arrays of any shapes and precision."""
    dtype = np.result_type(*arrays, 1.0)
    numbers = np.broadcast_arrays(*(np.asarray(x, float) for x in arrays))
    flat = [np.ravel(x) for x in numbers]
    y = np.empty(flat[0].size)
    with np.errstate(all="ignore"):
        for start in range(0, y.size, PIECE):
            y[start : start + PIECE] = function(*(x[start : start + PIECE] for x in flat))
    return y.reshape(numbers[0].shape).astype(dtype, copy=False)[()]


def everywhere(condition: Array) -> bool:
    """Whether a condition holds for each entry, as far as that is known before a run."""
    return not isinstance(condition, Traced) and bool(np.all(condition))
