"""Conversions to and from Python and NumPy: the one gate into the graph, and the ways out of it."""

import sys
from typing import Any

import numpy as np

from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.backward import Node
from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.engine.operators import Operators
from tinygrad_lite.engine.registry import ANSWERS
from tinygrad_lite.errors import RESTATED, InputError, UsageError, complain
from tinygrad_lite.foundation.advice import lost_array, refusal, silent_exit
from tinygrad_lite.foundation.elsewhere import Elsewhere
from tinygrad_lite.foundation.foreign import DATA_WITHOUT_HISTORY, kept_apart, numbers_of

NUMBERS = frozenset({int, float, complex, type(None), np.float64, np.float32})
"""Types that need no check: their values never change, and no container holds them."""

_NUMBER_OF_KIND = {"b": bool, "i": int, "u": int, "f": float, "c": complex}


def plain(x: Any, op: Op) -> Array:
    """An operation's argument that is not traced, as plain numbers.

    A formula takes Python's True as it would beside an array: NumPy's has a dtype, and makes 1 - True an integer of 64
    bits.
    """
    return x if type(x) is bool and op.derivatives and op.is_composite else numbers_of(x, op.name)


def received(x: Any, op: Op) -> Array:
    """An operation's argument that is not traced, as an array that nobody can change before a rule reads it.

    Even a read-only array is copied, since it may be a view of a writable one.
    """
    array = plain(x, op)
    if not op.reads_values or isinstance(array, (int, np.generic)):
        return array
    return kept_apart(array) if type(array) is np.ndarray else array.copy()


def number(value: Any, op: Op) -> Array:
    """Convert the Python number that a declared forward returned to an array."""
    if not isinstance(value, (int, float, complex)):
        raise UsageError(f"{op.name} returned {type(value).__name__}, not an array; tg.custom_gradient takes several")
    return np.complex128(value) if isinstance(value, complex) else np.float64(value)


class Conversions(Operators, Node, Elsewhere):
    """Conversions of a value with a history to numbers, arrays and text; it never leaves the graph silently."""

    __slots__ = ()
    name: str | None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return self._array.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._array.dtype  # type: ignore[no-any-return]

    def numpy(self) -> Any:
        """A read-only view of the array, outside the graph. Copy it to write to it."""
        if not isinstance(self._array, (np.ndarray, np.generic)):
            return self._array.numpy() if hasattr(self._array, "numpy") else self._array
        view = np.asarray(self._array).view()
        view.setflags(write=False)
        return view

    def item(self, *index: Any) -> Any:
        """The only element, or the element at an index, as a Python number outside the graph."""
        if not index and self.size != 1:
            raise InputError(f"item() needs a tensor of one element or an index, got shape {self.shape}")
        try:
            if hasattr(self._array, "item"):
                return self._array.item(*index)
            return _NUMBER_OF_KIND[self.dtype.kind](self._array.reshape(()))
        except RESTATED as error:
            complain(error, "item", [self._array, *index])

    def tolist(self) -> Any:
        """The elements as Python numbers in nested lists."""
        return self._array.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self._requires_grad:
            raise refusal(sys._getframe(1), lost_array(sys._getframe(1), ANSWERS))
        return np.array(self._array, dtype, copy=copy)

    def __float__(self) -> float:
        if self._requires_grad and (reason := silent_exit(sys._getframe(1), grad_mode.transforming.get())):
            raise UsageError(reason)
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.ndim:  # NumPy then reads a tensor with axes as an array of indices
            raise UsageError(f"an index must be one integer, got {self.dtype}{list(self.shape)}: write int(tensor)")
        return int(self.item())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise InputError(f"the truth of a tensor of shape {self.shape} is ambiguous: write .any() or .all()")
        return bool(self.item())

    def __contains__(self, value: Array) -> bool:
        return bool((self == value).any())

    def __format__(self, specification: str) -> str:
        return format(self.item() if specification else str(self), specification)

    def __repr__(self) -> str:
        is_numpys = isinstance(self._array, (np.ndarray, np.generic))
        numbers = np.array2string(np.asarray(self._array), separator=", ", prefix="tensor(") if is_numpys else None
        facts = {
            f"dtype={self.dtype}": self.dtype not in (np.float64, np.int64, np.bool_) or self.size == 0,
            f"shape={self.shape}": self.size == 0 and self.ndim > 1,
            f"op={self.op}": self.op is not None,
            "requires_grad=True": self.op is None and self._requires_grad,
            f"name={self.name!r}": self.name is not None,
        }
        return f"tensor({', '.join([numbers or repr(self._array), *(fact for fact, holds in facts.items() if holds)])})"


def constant(value: Any) -> Any:
    """The array for a tensor to hold; raises if the history of a value that is being differentiated would be lost."""
    if not isinstance(value, Traced):
        return value
    has_history = isinstance(value, Conversions) and value._requires_grad and value.op is not None
    if value.not_data or (has_history and grad_mode.transforming.get()):
        raise UsageError(value.not_data or DATA_WITHOUT_HISTORY)
    return constant(value._array) if isinstance(value, Conversions) else value
