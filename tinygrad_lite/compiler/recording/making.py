"""NumPy's functions that make an array, for recorded values, which NumPy does not hand over to anybody.

An array that is made of nothing, as by `np.zeros(3)`, is NumPy's own, since Python may need its entries. If the
recording is refused then, another one stands for each of these arrays, so that the function can write into it.
"""

import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from types import FrameType
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.recording.plain_numbers import is_recorded
from tinygrad_lite.compiler.recording.recorded import Recorded, note_refusal
from tinygrad_lite.compiler.syntax_trees import ONE_AT_A_TIME
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.foundation.callers import call_at, value_of
from tinygrad_lite.ops.shapes.joining import array
from tinygrad_lite.readers.recording import is_users


class Makings:
    """The arrays that a user's code makes of nothing, as by `np.zeros(3)`, in the recordings of a block.

    Attributes:
        are_recorded: whether something stands for each of them.
        are_met: whether there are any.
        constant: makes what stands for one.
    """

    def __init__(self, are_recorded: bool) -> None:
        self.are_recorded = are_recorded
        self.are_met = False
        self.constant: Callable[[Any], Any] = lambda x: x

    def __enter__(self) -> "Makings":
        self._before = makings.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        makings.reset(self._before)


_ARRAYS = (np.ndarray, Traced)
makings: ContextVar[Makings | None] = ContextVar("makings", default=None)


def _made(array: Any, args: Any, params: Any, function: Any, caller: FrameType) -> Any:
    """An array that NumPy has made of these arguments for a user's code, or what stands for it."""
    known = makings.get()
    if known is None or type(array) is not np.ndarray or array.dtype.kind not in "biufc":
        return array
    if any(isinstance(x, _ARRAYS) for x in trees.leaves((args, params))):
        return array
    known.are_met = True
    return known.constant(array) if known.are_recorded and _is_called_by(caller, function) else array


def _is_called_by(caller: FrameType, function: Any) -> bool:
    """Whether a frame's own code calls a function, and not one in C below it, which could not do with a stand-in."""
    with ONE_AT_A_TIME:
        call = call_at(caller)
    return call is not None and value_of(call.func, caller) is function


def _of_nothing(of_numpy: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy's that makes an array of numbers."""

    @wraps(of_numpy)
    def function(*args: Any, **params: Any) -> Any:
        array, caller = of_numpy(*args, **params), sys._getframe(1)
        return _made(array, args, params, function, caller) if is_users(caller.f_code.co_filename) else array

    return function


def _of_recorded(
    of_numpy: Callable[..., Any],
    make: Callable[..., Any],
    position: int = 0,
    takes: tuple[str, ...] = ("dtype", "copy"),
) -> Callable[..., Any]:
    """A function of NumPy's that leaves recorded values to another one if a user's code calls it.

    Args:
        position: which argument the values are.
        takes: the keywords that the other one takes.
    """

    @wraps(of_numpy)
    def function(*args: Any, **params: Any) -> Any:
        caller = sys._getframe(1)
        if not is_users(caller.f_code.co_filename):
            return of_numpy(*args, **params)
        values = trees.leaves(args[position]) if len(args) > position else []
        if not any(map(is_recorded, values)) or any(isinstance(x, Tensor) and x.requires_grad for x in values):
            return _made(of_numpy(*args, **params), args, params, function, caller)
        try:
            return make(*args, **params) if params.keys() <= {*takes} else of_numpy(*args, **params)
        except Exception as error:  # which NumPy's own function may not raise
            note_refusal(values, error)
            raise

    return function


def _as_array(a: Any, dtype: Any = None, copy: bool | None = None) -> Any:
    """The array itself if it need not be another one."""
    a = trees.map_leaves(lambda x: x.numpy() if isinstance(x, Tensor) else x, a)
    made = array(a) if isinstance(a, (list, tuple)) else a
    if type(made) is Recorded and made.variable.is_number:
        made = np.reshape(array([made]), ())
    if dtype is not None and made.dtype != np.dtype(dtype):
        if np.dtype(dtype).kind in "iu":  # NumPy refuses a number that does not fit, and never an entry of an array
            for x in trees.leaves(a):
                if type(x) is Recorded and x.variable.is_number:
                    x._needed()
        return made.astype(dtype)
    is_copied = copy is np._CopyMode.ALWAYS if isinstance(copy, np._CopyMode) else copy
    return made.copy() if is_copied and made is a else made


def _array(object: Any, dtype: Any = None, copy: bool | None = True) -> Any:
    return _as_array(object, dtype, copy)


def _by_rows(a: Any, dtype: Any = None) -> Any:
    made = _as_array(a, dtype)
    made = made if made.shape else np.reshape(made, (1,))
    return made if made.flags.c_contiguous else made.copy()


def _full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    return np.broadcast_to(_as_array(fill_value, dtype), shape).copy()


def _of_a_list(of_numpy: Callable[..., Any]) -> Callable[..., Any]:
    def reduced(a: Any, *args: Any, **params: Any) -> Any:
        is_array = not isinstance(a, (list, tuple)) and np.ndim(a)
        return of_numpy(a if is_array else _as_array(a), *args, **params)

    return reduced


def _zeros(shape: Any, dtype: Any = float, *args: Any, **params: Any) -> Any:
    return np.zeros(shape, dtype, *args, **params)


_REDUCING = (np.mean, np.sum, np.prod, np.max, np.min, np.std, np.var, np.median, np.argmax, np.argmin, np.cumsum)
_OF_NOTHING = (np.zeros, np.ones, np.eye, np.identity, np.arange, np.linspace)
NUMPYS: dict[Any, Callable[..., Any]] = {
    **{function: _of_nothing(function) for function in _OF_NOTHING},
    np.empty: _of_nothing(wraps(np.empty)(_zeros)),  # since two recordings must agree
    **{function: _of_recorded(function, _of_a_list(function), takes=("axis", "keepdims")) for function in _REDUCING},
    **{function: _of_recorded(function, _as_array) for function in (np.asarray, np.asanyarray)},
    np.ascontiguousarray: _of_recorded(np.ascontiguousarray, _by_rows),
    np.array: _of_recorded(np.array, _array),
    np.isscalar: _of_recorded(np.isscalar, lambda x: type(x) is Recorded and x.variable.is_number),
    np.full: _of_recorded(np.full, _full, 1),
}
"""For functions of NumPy's, what does the same, and takes recorded values from a user's code."""
