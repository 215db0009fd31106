"""What layers and functions require of their settings and inputs, each in one place."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError
from tinygrad_lite.foundation.settings import whole


def check_counts(name: str, least: int = 1, **counts: Any) -> None:
    """Raise `InputError` unless the settings are whole numbers, and none is below the least."""
    for setting, count in counts.items():
        whole(f"{name}: {setting}", count, least)


def check_positive(name: str, value: float) -> None:
    """Raise `InputError` unless a setting is positive."""
    if not (hasattr(value, "__float__") and value > 0):
        raise InputError(f"{name} must be positive, got {value!r}")


def shape_of(x: Array) -> tuple[int, ...]:
    """The shape of a tensor or an array, or of nested lists; np.shape of a tensor takes longer."""
    shape = getattr(x, "shape", None)
    return np.shape(x) if shape is None else shape


def in_real_numbers(x: Array) -> Array:
    """An input; in float64 if it holds whole numbers or booleans, whose narrow dtypes overflow silently."""
    return x.astype(float) if getattr(getattr(x, "dtype", None), "kind", "f") in "biu" else x


def values_of(x: Array) -> Any:
    """The array in a tensor, or an array of a list's values."""
    x = x.data if isinstance(x, Tensor) else x
    return x if hasattr(x, "dtype") else np.asarray(x)
