"""Requirements: an operation that refuses some values, so that a recording of the operations checks them, too."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.errors import InputError, UsageError


def _refuse_where(condition: Array, x: Array, message: str) -> Array:
    if np.any(condition):
        raise InputError(message.format(np.broadcast_to(x, np.shape(condition))[condition].flat[0]))
    return x if hasattr(x, "dtype") else np.asarray(x)[()]


# the first refused entry of x replaces {} in the message
refuse_where = primitive(_refuse_where, arity=2, examples=[([np.array([False]), (1,)], {"message": "{} is too much"})])


def refuse_none(name: str, values: Sequence[Any]) -> None:
    """Raise the error for None beside a tensor, of which NumPy would make an array of objects."""
    if any(x is None for x in values):
        raise UsageError(f"{name} takes numbers, and None is none: write np.nan for a missing number")
