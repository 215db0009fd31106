"""Requirements: an operation that refuses some values, so that a recording of the operations checks them, too."""

import numpy as np

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.errors import InputError


def _refuse_where(condition: Array, x: Array, message: str) -> Array:
    if np.any(condition):
        raise InputError(message.format(np.broadcast_to(x, np.shape(condition))[condition].flat[0]))
    return x if hasattr(x, "dtype") else np.asarray(x)[()]


# the first refused entry of x replaces {} in the message
refuse_where = primitive(_refuse_where, arity=2, examples=[([np.array([False]), (1,)], {"message": "{} is too much"})])
