"""Arrays that the library keeps from call to call."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array


def kept(array: Array) -> Array:
    """The array, read-only for good, so that a compiled function need not check whether somebody has changed it.

    So is the array that it is a view of.
    """
    part: Any = array
    while isinstance(part, np.ndarray):
        part.setflags(write=False)
        part = part.base
    return array
