"""Which arrays nobody else holds, so that it is right to write into them."""

import sys
from typing import Any
from weakref import getweakrefcount

import numpy as np

_HELD_ONCE = [np.empty(0), np.empty((1, 1)).T]  # an array and a view of another array, each held by the list alone


def is_held_alone(arrays: list[Any], k: int) -> bool:
    """Whether the k-th of a list of arrays is a writable one of NumPy's, and nothing but the list holds its memory."""
    if sys.getrefcount(arrays[k]) != sys.getrefcount(_HELD_ONCE[0]):
        return False
    x = arrays[k]
    return type(x) is np.ndarray and not getweakrefcount(x) and _is_of_own_memory(x) and x.flags.writeable


def _is_of_own_memory(x: Any) -> bool:
    """Whether an array is not a view, or one of an array that nobody else holds, in which no entry occurs twice."""
    if x.base is None:
        return bool(x.flags.owndata)
    is_an_owner = type(x.base) is np.ndarray and x.base.flags.owndata
    is_held_once = sys.getrefcount(x.base) == sys.getrefcount(_HELD_ONCE[1].base) and not getweakrefcount(x.base)
    return is_an_owner and is_held_once and 0 not in x.strides
