"""NumPy's functions that make an array of values, for recorded ones, which NumPy does not hand over to anybody."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.recording.plain_numbers import is_recorded
from tinygrad_lite.compiler.recording.recorded import Recorded
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.ops.shapes.joining import array
from tinygrad_lite.readers.recording import is_users


def _of_recorded(of_numpy: Callable[..., Any], make: Callable[..., Any], position: int = 0) -> Callable[..., Any]:
    """A function of NumPy's that leaves recorded values to another one if a user's code calls it.

    Args:
        position: which argument the values are.
    """

    @wraps(of_numpy)
    def function(*args: Any, **params: Any) -> Any:
        values = trees.leaves(args[position]) if len(args) > position else []
        if not any(map(is_recorded, values)) or any(isinstance(x, Tensor) and x.requires_grad for x in values):
            return of_numpy(*args, **params)
        if not params.keys() <= {"dtype", "copy"} or not is_users(sys._getframe(1).f_code.co_filename):
            return of_numpy(*args, **params)
        return make(*args, **params)

    return function


def _as_array(a: Any, dtype: Any = None, copy: bool | None = None) -> Any:
    """The array itself if it need not be another one."""
    a = trees.map_leaves(lambda x: x.numpy() if isinstance(x, Tensor) else x, a)
    made = array(a) if isinstance(a, (list, tuple)) else a
    if type(made) is Recorded and made.variable.is_number:
        made = np.reshape(array([made]), ())
    if dtype is not None and made.dtype != np.dtype(dtype):
        return made.astype(dtype)
    return made.copy() if copy and made is a else made


def _array(object: Any, dtype: Any = None, copy: bool | None = True) -> Any:
    return _as_array(object, dtype, copy)


def _by_rows(a: Any, dtype: Any = None) -> Any:
    made = _as_array(a, dtype)
    made = made if made.shape else np.reshape(made, (1,))
    return made if made.flags.c_contiguous else made.copy()


def _full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    return np.broadcast_to(_as_array(fill_value, dtype), shape).copy()


NUMPYS: dict[Any, Callable[..., Any]] = {
    **{function: _of_recorded(function, _as_array) for function in (np.asarray, np.asanyarray)},
    np.ascontiguousarray: _of_recorded(np.ascontiguousarray, _by_rows),
    np.array: _of_recorded(np.array, _array),
    np.full: _of_recorded(np.full, _full, 1),
}
"""For functions of NumPy's, what does the same, and takes recorded values from a user's code."""
