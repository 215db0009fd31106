"""`functionalize`: gradients of functions that write into arrays.

A `Writable` stands for an array in such a function. It holds a tensor; writing gives it another one, which is an
operation like any other. What the function computed before holds the tensor of that time, so no gradient can be wrong.
"""

import operator
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from inspect import signature
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.engine.operators import Operators
from tinygrad_lite.engine.tensor import tensor
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.foundation.callers import hidden_behind, writes_an_entry
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.ops.shapes.arranging import VIEWING
from tinygrad_lite.ops.shapes.indexing import fixed, getitem

is_writing: ContextVar[bool] = ContextVar("is_writing", default=False)
"""Whether a function is running that may write into its arrays."""


def functionalize(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, in which tensors can be written into: `x[i] = v`, `x += y`, `out=x`, `np.add.at(x, i, v)`.

    Its arguments stay as they are, whatever it writes into them. A view and its array see what is written into the
    other, as in NumPy. Arrays that the function makes with `np.zeros_like(x)`, or in the namespace of x, can be written
    into as well; `np.zeros(n)` makes a plain array, which cannot hold a tensor. Each assignment makes a new array, so a
    loop over all entries takes quadratic time.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> def smooth(x, decay):
        ...     y = np.zeros_like(x)
        ...     y[0] = x[0]
        ...     for t in range(1, len(x)):
        ...         y[t] = decay * y[t - 1] + (1 - decay) * x[t]
        ...     return y
        >>> tg.jacobian(tg.functionalize(smooth), argnums=1)(np.array([1.0, 2.0, 4.0]), 0.5)
        array([ 0., -1., -3.])
    """

    @wraps(function)
    def functional(*args: Any, **params: Any) -> Any:
        lend: Any = Writable if any(isinstance(x, Traced) for x in trees.leaves((args, params))) else np.copy
        args, params = trees.map_leaves(lambda x: lend(x) if isinstance(x, _ARRAYS) else x, (args, params))
        before = is_writing.set(True)
        try:
            result = function(*args, **params)
        except ValueError as error:
            if ours := hidden_behind(error):
                raise ours from None
            raise
        finally:
            is_writing.reset(before)
        return trees.map_leaves(lambda x: x.value if isinstance(x, Writable) else x, result)

    return functional


_ARRAYS = (np.ndarray, Traced)
_CANNOT_HOLD = (
    "array[i] = value would lose the history of the value, which a plain array cannot hold: make the array with "
    "np.zeros_like(x, shape=...), where x is an argument"
)


class _Memory:
    """The memory that an array and its views share: how often it was written to."""

    def __init__(self) -> None:
        self.writes = 0


class Writable(Operators):
    """An array that can be written into: a variable that holds a tensor, or another traced value.

    Args:
        value: what it holds; of an array, a copy.
        view: for a view, how to read it again: the operation, the array and the parameters.
    """

    __slots__ = ("_memory", "_value", "_view", "_writes")

    def __init__(self, value: Array, memory: _Memory | None = None, view: Any = None) -> None:
        self._value: Any = value if isinstance(value, Traced) else tensor(value)
        self._memory = memory or _Memory()
        self._writes = self._memory.writes
        self._view = view

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        result = op(*map(_value_of, inputs), **params)
        if not hasattr(result, "dtype"):
            return result
        for x in inputs:
            if isinstance(x, Writable) and _is_view(result, x.value, op, params):
                return Writable(result, x._memory, (op, x, params))
        return Writable(result)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Array, out: Any = (None,), **params: Any) -> Any:
        if method == "at" and ufunc in (np.add, np.subtract) and isinstance(inputs[0], Writable):
            array, index, values = inputs[0], trees.map_leaves(_value_of, inputs[1]), _value_of(inputs[2])
            change = ufunc(np.zeros((), array.dtype), values)  # in the dtype of both: an unsigned one has no sign
            return array._update(array.value.at[index].add(change))
        return _put(super().__array_ufunc__(ufunc, method, *inputs, **params), out[0], params)

    def __array_function__(self, function: Any, types: Any, args: Any, params: Any) -> Any:
        writer = _WRITERS.get(function)
        if writer is not None and isinstance(signature(writer).bind(*args, **params).args[0], Writable):
            return writer(*args, **params)
        others = {name: x for name, x in params.items() if name != "out"}
        result = _put(super().__array_function__(function, types, args, others), params.get("out"), params)
        if function in _VIEWING and isinstance(result, Writable):
            return result._as_numpys(function, args, params)
        is_copy = params.get("copy", function in _COPYING) is True
        return trees.map_leaves(_copied, result) if is_copy else result

    def _as_numpys(self, function: Any, args: Any, params: Any) -> "Writable":
        """The result of a function as a view of the array that it shows, if NumPy's result is one."""
        arrays = [x for x in args if isinstance(x, Writable)]
        if len(arrays) != 1:
            return self
        shown = _Shown(lambda array: function(*(array if x is arrays[0] else x for x in args), **params))
        array = np.empty(arrays[0].shape)
        if not np.may_share_memory(shown.forward(array), array):
            return self
        return Writable(self.value, arrays[0]._memory, (shown, arrays[0], {}))

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        """A view, as NumPy's."""
        return np.diagonal(self, offset, axis1, axis2)

    def copy(self) -> Any:
        """A copy, which lies in memory by rows, as that of NumPy's method, so that its views are NumPy's."""
        return self.flatten().reshape(self.shape)

    def flatten(self) -> Any:
        """A copy with one axis."""
        return Writable(np.ravel(self.value))

    def repeat(self, repeats: Any, axis: int | None = None) -> Any:
        """A copy with each entry several times."""
        return np.repeat(self, repeats, axis)

    @property
    def value(self) -> Any:
        """What the array holds now."""
        if self._writes != self._memory.writes and self._view is not None:
            op, array, params = self._view
            self._value = op(array.value, **params)
        self._writes = self._memory.writes
        return self._value

    def _write(self, value: Any) -> None:
        value = value if value.dtype == self.dtype else value.astype(self.dtype)
        if self._view is None:
            self._value = value
            self._memory.writes += 1
            self._writes = self._memory.writes
        elif self._view[0] is getitem:
            _, array, params = self._view
            array._write(array.value.at[params["index"]].set(value))
        else:
            op, array, params = self._view
            entries = op.forward(np.arange(array.size).reshape(array.shape), **params)
            array._write(array.value.at[np.unravel_index(entries, array.shape)].set(value))

    def _update(self, value: Any) -> None:
        _check_dtype(self, value.dtype)
        self._write(value)

    def __setitem__(self, index: Any, values: Array) -> None:
        if self._is_own(index, values):  # as in x[i] += v, which first writes into the view, and then the view
            return
        index, values = trees.map_leaves(_value_of, index), _value_of(values)
        self._write(self.value.at[index].set(values))

    def _is_own(self, index: Any, values: Any) -> bool:
        """Whether values are the view of this array at an index."""
        if not isinstance(values, Writable) or values._view is None:
            return False
        op, array, params = values._view
        return op is getitem and array is self and repr(fixed(index)) == repr(params["index"])

    def fill(self, value: Array) -> None:
        """Write a value into all entries."""
        self[...] = value

    def sort(self, axis: int = -1) -> None:
        """Put the entries in order."""
        self[...] = np.sort(self, axis)

    shape = property(lambda self: self.value.shape)
    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)
    requires_grad = property(lambda self: getattr(self.value, "requires_grad", True))
    data = property(lambda self: self.value.data)

    def numpy(self) -> Any:
        """The array itself, read-only and outside the graph."""
        return self.value.numpy()

    def item(self, *index: Any) -> Any:
        """The only element, or the element at an index, as a Python number outside the graph."""
        return self.value.item(*index)

    def tolist(self) -> Any:
        """The elements as Python numbers in nested lists."""
        return self.value.tolist()

    def detach(self) -> Any:
        """A writable array with the same entries and no history."""
        return Writable(self.value.detach())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.requires_grad and writes_an_entry(sys._getframe(1)):
            raise UsageError(_CANNOT_HOLD)
        return self.value.__array__(dtype, copy)

    def __float__(self) -> float:
        if self.requires_grad and self.dtype.kind == "f":
            if writes_an_entry(sys._getframe(1)):
                raise UsageError(_CANNOT_HOLD)
            raise UsageError("float(x) would lose the history of x: write np.sin for math.sin, and so on; or x.item()")
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return operator.index(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __format__(self, specification: str) -> str:
        return format(self.value, specification)

    def __repr__(self) -> str:
        return f"Writable({self.value!r})"


def _in_place(op: Callable[..., Any]) -> Callable[[Writable, Array], Writable]:
    def update(self: Writable, other: Array) -> Writable:
        updated = op(self.value, _value_of(other))
        if updated.shape != self.shape:
            raise ShapeError(f"an array of shape {self.shape} cannot become one of {updated.shape} in place")
        self._update(updated)
        return self

    return update


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
    setattr(Writable, f"__i{_name.rstrip('_')}__", _in_place(getattr(operator, _name)))


def _put(result: Any, out: Any, params: Mapping[str, Any]) -> Any:
    """A function's result, written into the array that it is asked to put it into."""
    if out is None:
        return result
    if not isinstance(out, Writable):
        raise UsageError(
            "an array that out= or an assignment such as a += x writes a tensor into must be able to hold it: make the "
            "array with np.zeros_like(x, shape=...), where x is an argument"
        )
    _check_dtype(out, result.dtype, params.get("casting", "same_kind"))
    out[...] = result
    return out


def _check_dtype(x: Writable, dtype: Any, casting: Any = "same_kind") -> None:
    """Raise `UsageError` unless values of a dtype may be written into an array, by NumPy's rule."""
    if not np.can_cast(dtype, x.dtype, casting):
        raise UsageError(f"an array of {x.dtype} cannot become one of {dtype} in place")


def _copy_to(dst: Writable, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    is_number = isinstance(src, (int, float, complex))
    _check_dtype(dst, np.result_type(dst.dtype, src if is_number else as_array(src).dtype), casting)
    if where is not True:
        src = np.where(where, np.array(src, dst.dtype) if is_number else src, dst)
    dst[...] = src


def _fill_diagonal(a: Writable, val: Any, wrap: bool = False) -> None:
    if wrap:
        raise UsageError("np.fill_diagonal with wrap=True: write x[rows, columns] = value, with the places to fill")
    if a.ndim < 2 or (a.ndim > 2 and len({*a.shape}) > 1):
        raise ShapeError(f"np.fill_diagonal needs a matrix, or more axes of one length, got shape {a.shape}")
    a[(np.arange(min(a.shape)),) * a.ndim] = val  # all indices are alike


_WRITERS: dict[Any, Callable[..., None]] = {np.copyto: _copy_to, np.fill_diagonal: _fill_diagonal}
"""For NumPy's functions that write into their first argument, what they do here."""
_COPYING = {np.delete, np.fft.fftshift, np.fft.ifftshift, np.meshgrid, np.repeat, np.resize, np.tile}
"""NumPy's functions that always copy, and are made here of operations that may give views."""
_VIEWING = VIEWING | {np.einsum}
"""NumPy's functions that may give views, and are made here of operations that copy."""


class _Shown:
    """A function of one array that shows some of its entries, as the operation of a view."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.forward = function

    def __call__(self, array: Array) -> Any:
        return self.forward(array)


def _copied(x: Any) -> Any:
    return x.copy() if isinstance(x, Writable) else x


def _value_of(x: Any) -> Any:
    return x.value if isinstance(x, Writable) else x


def _is_view(result: Any, array: Any, op: Op, params: Mapping[str, Any]) -> bool:
    """Whether NumPy's result of an operation on one array is a view of it; if it is elsewhere, another array tells."""
    if op.arity != 1 or op.kind != "moving":
        return False
    a, b = _in_memory(result), _in_memory(array)
    if a is None or b is None:
        b = np.empty(array.shape, array.dtype)
        a = op.forward(b, **params)
    return np.may_share_memory(a, b)


def _in_memory(x: Any) -> Any:
    """NumPy's array or number inside a tensor, a dual or whatever else holds one; None if there is none."""
    while isinstance(x, Traced):
        x = next((getattr(x, name) for name in ("_array", "primal", "value", "exact") if hasattr(x, name)), None)
    return x if isinstance(x, (np.ndarray, np.generic)) else None
