"""Which arrays nobody else holds, so that it is right to write into them."""

import sys
from typing import Any

import numpy as np

_HELD_ONCE = [np.empty(0), np.empty((1, 1)).T]  # an array and a view of another array, each held by the list alone


def is_held_alone(arrays: list[Any], k: int) -> bool:
    """Whether the k-th of a list of arrays is a writable one of NumPy's, and nothing but the list holds its memory."""
    if sys.getrefcount(arrays[k]) != sys.getrefcount(_HELD_ONCE[0]):
        return False
    x = arrays[k]
    return type(x) is np.ndarray and x.flags.writeable and _is_of_own_memory(x)


def _is_of_own_memory(x: Any) -> bool:
    """Whether an array is not a view, or a view of an array that nobody else holds."""
    if x.base is None:
        return True
    is_an_owner = type(x.base) is np.ndarray and x.base.base is None
    return is_an_owner and sys.getrefcount(x.base) == sys.getrefcount(_HELD_ONCE[1].base)
