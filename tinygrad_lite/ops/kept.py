"""Arrays that the library keeps from call to call."""

from tinygrad_lite.engine.op import Array


def kept(array: Array) -> Array:
    """The array, read-only for good, so that a compiled function need not check whether somebody has changed it."""
    array.setflags(write=False)
    return array
