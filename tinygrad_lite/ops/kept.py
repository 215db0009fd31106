"""Arrays that the library keeps from call to call."""

from tinygrad_lite.engine.op import Array


def kept(array: Array) -> Array:
    """The array, which nobody may write to from now on: so a compiled function does not look whether somebody did."""
    array.setflags(write=False)
    return array
