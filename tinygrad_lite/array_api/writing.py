"""`Writable`: an array that can be written into and can hold a tensor, in a function under `functionalize`.

Writing gives it another tensor, which is an operation like any other. What the function computed before holds the
tensor of that time, so no gradient can be wrong.
"""

import operator
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache
from inspect import Parameter
from types import FrameType
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.array_api.assigning import WRITERS, Assigning, change_at, check_dtype, put_into
from tinygrad_lite.array_api.memory import Memory, in_memory, is_view, laid_out, lying_as
from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.engine.registry import ANSWERS
from tinygrad_lite.engine.tensor import tensor
from tinygrad_lite.errors import NoDerivativeError, ShapeError, UsageError
from tinygrad_lite.foundation.advice import lost_array
from tinygrad_lite.foundation.callers import PACKAGE, writes_an_entry
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.foundation.signatures import path_of, signature, signature_of
from tinygrad_lite.ops.casting import imag, real
from tinygrad_lite.ops.shapes.arranging import VIEWING
from tinygrad_lite.ops.shapes.indexing import fixed, getitem
from tinygrad_lite.ops.shapes.joining import array

is_writing: ContextVar[bool] = ContextVar("is_writing", default=False)
"""Whether a function is running that may write into its arrays."""
refusals: ContextVar[tuple[UsageError, ...]] = ContextVar("refusals", default=())
"""The refusals, while it runs, to be plain numbers. Code in C may go on after one, or raise an error of its own."""


ARRAYS = (np.ndarray, Traced)
_CANNOT_HOLD = (
    "array[i] = value would lose the history of the value, which a plain array cannot hold: make the array inside the "
    "function, by np.zeros(shape), say, or write into a copy of it, np.array(a)"
)


class Writable(Assigning, trees.Holder):
    """An array that can be written into: a variable that holds a tensor, or another traced value.

    Args:
        value: what it holds; of an array, a copy.
        view: for a view, how to read it again: the operation, the array and the parameters.
        is_number: whether NumPy has a number there, such as x[0] or np.sum(x), and no array. Nothing writes into a
            number: after `total += y`, what else had the former total still has it.
        like: for a view that is a copy here, an array that lies in memory as NumPy's view.
    """

    __slots__ = ("_like", "_memory", "_value", "_view", "_writes", "is_number")

    def __init__(
        self, value: Array, memory: Memory | None = None, view: Any = None, *, is_number: bool = False, like: Any = None
    ) -> None:
        self._value: Any = value if isinstance(value, Traced) else tensor(value)
        self._memory = memory or Memory()
        self._writes = self._memory.writes
        self._view = view
        self.is_number = is_number
        self._like = like

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        result = op(*map(_values_of, inputs), **{name: _value_of(x) for name, x in params.items()})
        if not hasattr(result, "dtype"):
            return result
        if op.arity == 1 and op.kind == "moving":
            (x,) = inputs
            if isinstance(x, Writable) and not x.is_number and is_view(result, x.value, op, params, x._like):
                like = None if x._like is None else op.forward(x._like, **params)
                return Writable(result, x._memory, (op, x, params), like=like)
        return Writable(result, is_number=not result.shape)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Array, out: Any = (None,), where: Any = True, **params: Any
    ) -> Any:
        if method == "at" and isinstance(inputs[0], Writable):
            return change_at(ufunc, inputs[0], *inputs[1:])
        if where is not True and method == "__call__" and isinstance(out[0], Writable) and len(out) == 1:
            return _put_where(ufunc, inputs, out[0], where, params)
        asked = params if where is True else {**params, "where": _value_of(where)}
        try:
            result = super().__array_ufunc__(ufunc, method, *inputs, **asked)
        except NoDerivativeError:
            result = _of_constants(getattr(ufunc, method), inputs, asked)
        if isinstance(result, Writable):  # NumPy's results of these are new, also where ours are made of views
            result = Writable(result.value, is_number=not result.shape)
            if method != "__call__":
                result = _as_numpys(result, getattr(ufunc, method), inputs, asked)
        if len(out) == 1:
            return _put(result, out[0], ufunc, params)
        return tuple(_put(x, into, ufunc, params) for x, into in zip(result, out, strict=True))

    def __array_function__(self, function: Any, types: Any, args: Any, params: Any) -> Any:
        writer = WRITERS.get(function)
        if writer is not None and isinstance(signature(writer).bind(*args, **params).args[0], Writable):
            return writer(*args, **params)
        args, params, out = _without_out(function, args, params)
        try:
            result = super().__array_function__(function, types, args, params)
        except NoDerivativeError:
            return _put(_of_constants(function, args, params), out, function, params)
        return _put(result, out, function, params) if out is not None else _as_numpys(result, function, args, params)

    def holding(self, value: Any) -> Any:
        """An array or a number of the running function, as what a transform inside it returns."""
        is_array = isinstance(value, ARRAYS)
        return Writable(value, is_number=np.ndim(value) == 0) if is_array else value

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(trees.map_leaves(_value_of, index))

    def copy(self, order: str = "C") -> Any:
        """A copy, which lies in memory as that of NumPy's method, so that its views are NumPy's."""
        return Writable(laid_out(self.value, plain(self).copy(order)), is_number=self.is_number)

    __copy__ = copy

    def __deepcopy__(self, _: Any) -> Any:
        return self.copy()

    def flatten(self, order: str = "C") -> Any:
        """A copy with one axis."""
        entries = np.reshape(self.value, -1, order=order)  # type: ignore[call-overload]
        return Writable(laid_out(entries, np.empty(entries.shape, entries.dtype)))

    def view(self, dtype: Any = None) -> Any:
        """The array itself under another name, as a view."""
        if dtype not in (None, self.dtype):
            raise UsageError("x.view(dtype) reads the bits of numbers as others, and has no derivative")
        return self[...]

    def shown(self, read: Callable[[Any], Any]) -> "Writable":
        """A view of the entries that a function of an array reads."""
        shown = _Shown(read)
        return Writable(shown(self.value), self._memory, (shown, self, {}))

    def origin(self) -> "tuple[Writable, list[Callable[[Any], Any]]]":
        """The array that this one is a view of, and the views that lead from there to here."""
        if self._view is None:
            return self, []
        op, array, params = self._view
        origin, views = array.origin()
        return origin, [*views, lambda x: op.forward(x, **params)]

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
            self._writes = self._memory.written()
            self._value = laid_out(value, self._value)
        elif self._view[0] is getitem:
            _, array, params = self._view
            array._write(array.value.at[params["index"]].set(value))
        elif self._view[0] in (real, imag) and self._view[1].dtype.kind == "c":
            op, array, _ = self._view
            whole = array.value
            array._write(value + 1j * np.imag(whole) if op is real else np.real(whole) + 1j * value)
        else:
            op, array, params = self._view
            entries = op.forward(np.arange(array.size).reshape(array.shape), **params)
            if isinstance(entries, np.ndarray) and not entries.flags.writeable:
                raise UsageError(
                    "this array is read-only, as in NumPy: it is a diagonal, or several of its entries are one entry "
                    "of the array that it shows, as after np.broadcast_to: write into a copy, x.copy()"
                )
            is_same = not array.shape  # the array has one entry, which is the view's
            array._write(
                np.reshape(value, ()) if is_same else array.value.at[np.unravel_index(entries, array.shape)].set(value)
            )

    def __setitem__(self, index: Any, values: Array) -> None:
        if not self._is_own(index, values):  # as in x[i] += v, which first writes into the view, and then the view
            self.assign(index, values)

    def assign(self, index: Any, values: Array) -> None:
        """Write values into the entries at an index."""
        index, values = trees.map_leaves(_value_of, index), _values_of(values)
        self._write(self.value.at[index].set(values))

    def _is_own(self, index: Any, values: Any) -> bool:
        """Whether values are the view of this array at an index."""
        if not isinstance(values, Writable) or values._view is None:
            return False
        op, array, params = values._view
        return op is getitem and array is self and repr(fixed(index)) == repr(params["index"])

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What NumPy has in its place, so that `isinstance` chooses in other code as it would there."""
        if sys._getframe(1).f_code.co_filename.startswith(PACKAGE):
            return type(self)
        return self.dtype.type if self.is_number else np.ndarray

    shape = property(lambda self: self.value.shape)
    flags = property(lambda self: plain(self).flags)
    strides = property(lambda self: plain(self).strides)
    base = property(lambda self: None if self._view is None else self._view[1])

    def setflags(self, write: bool | None = None, align: bool | None = None, uic: bool | None = None) -> None:
        """Nothing: an array that NumPy would not write into can be written into here."""

    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)
    requires_grad = property(lambda self: getattr(self.value, "requires_grad", True))
    data = property(lambda self: self.value.data)

    def numpy(self) -> Any:
        """The array itself, read-only and outside the graph."""
        return self.value.numpy()

    def item(self, *index: Any) -> Any:
        """The only element, or the element at an index, as a number that keeps its history."""
        number = self.value.item(*index)
        if not isinstance(number, (float, complex)):
            return number
        flat = self.value.reshape(-1)
        return Writable(flat[0] if not index else flat[_place(index, self.shape)], is_number=True)

    def tolist(self) -> Any:
        """The elements as numbers, which keep their history, in nested lists."""
        if self.dtype.kind not in "fc":
            return self.value.tolist()
        return [row.tolist() for row in self] if self.shape else self.item()

    def detach(self) -> Any:
        """A writable array with the same entries and no history."""
        return Writable(self.value.detach())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.requires_grad and writes_an_entry(sys._getframe(1)):
            raise _refusal(_CANNOT_HOLD)
        if self.requires_grad:
            raise _refusal(lost_array(sys._getframe(1), ANSWERS, functionalized=True))
        made = self.value.__array__(dtype, copy)
        is_ours = sys._getframe(1).f_code.co_filename.startswith(PACKAGE)  # which keeps what an operation was given
        return made if copy or is_ours else self._memory.copied(made)

    def __float__(self) -> float:
        return float(self._plain_number(sys._getframe(1)))

    def __complex__(self) -> complex:
        return complex(self._plain_number(sys._getframe(1)))

    def _plain_number(self, caller: FrameType) -> Any:
        if self.requires_grad and self.dtype.kind in "fc":
            if writes_an_entry(caller):
                raise _refusal(_CANNOT_HOLD)
            raise _refusal(
                "a plain number would lose the history of x. Leave float() out, since x behaves as a number; functions "
                "of Python's that ask for one have no derivative here. x.detach() leaves the graph on purpose"
            )
        return self.value.item()

    def __int__(self) -> int:
        return int(self.value.item())

    def __index__(self) -> int:
        return operator.index(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __format__(self, specification: str) -> str:
        return format(self.value, specification)

    def __repr__(self) -> str:
        return f"Writable({self.value!r})"


def _refusal(reason: str) -> UsageError:
    error = UsageError(reason)
    refusals.set((*refusals.get(), error))
    return error


def _in_place(op: Callable[..., Any]) -> Callable[[Writable, Array], Writable]:
    def update(self: Writable, other: Array) -> Writable:
        updated = op(self.value, _values_of(other))
        if self.is_number:
            return Writable(updated, is_number=not updated.shape)
        if updated.shape != self.shape:
            raise ShapeError(f"an array of shape {self.shape} cannot become one of {updated.shape} in place")
        check_dtype(self, updated.dtype, "same_kind", "an assignment such as x += y")
        self._write(updated)
        return self

    return update


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
    setattr(Writable, f"__i{_name.rstrip('_')}__", _in_place(getattr(operator, _name)))


def _as_function(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args, **params: function(self, *args, **params)


for _name in (
    *("all", "any", "argmax", "argmin", "choose", "clip", "cumprod", "cumsum", "diagonal", "dot", "max", "mean", "min"),
    *("prod", "repeat", "round", "std", "sum", "take", "trace", "var"),
):  # methods that take out=, or may be made of views where NumPy copies
    setattr(Writable, _name, _as_function(getattr(np, _name)))


def _part_of_complex(read: Callable[..., Any]) -> property:
    def write(self: Writable, values: Array) -> None:
        if read is np.imag and self.dtype.kind != "c":
            raise UsageError(f"an array of {self.dtype} has no imaginary part to write: make it with dtype=complex")
        read(self)[...] = values

    return property(read, write, doc="A part of complex numbers, to read and to write.")


for _name in ("real", "imag"):
    setattr(Writable, _name, _part_of_complex(getattr(np, _name)))


def _put(result: Any, out: Any, function: Any, params: Mapping[str, Any]) -> Any:
    """A function's result, written into the array that it is asked to put it into."""
    if out is None:
        return result
    if not isinstance(out, Writable):
        raise UsageError(
            "an array that out= or an assignment such as a += x writes a tensor into must be able to hold it: make the "
            "array inside the function, by np.zeros(shape), say, or write into a copy of it, np.array(a)"
        )
    return put_into(out, result, params.get("casting", "same_kind"), path_of(function))


def _put_where(ufunc: Any, inputs: Any, out: Writable, where: Any, params: Mapping[str, Any]) -> Writable:
    """Write a ufunc's result into the entries that a mask picks, the only ones for which it is computed."""
    mask = np.broadcast_to(_value_of(where), out.shape)
    picked = [x if np.ndim(x) == 0 else np.broadcast_to(as_array(_values_of(x)), out.shape)[mask] for x in inputs]
    result = ufunc(*picked, **params)
    check_dtype(out, result.dtype, params.get("casting", "same_kind"), path_of(ufunc))
    out.assign(mask, result)
    return out


def _without_out(function: Any, args: Any, params: Any) -> tuple[Any, Any, Any]:
    """The arguments of a call without out, by keyword or by position, and out itself."""
    params = dict(params)
    out = params.pop("out", None)
    place = _place_of_out(function)
    if place is not None and place < len(args):
        args, out = (*args[:place], None, *args[place + 1 :]), args[place]
    return args, params, out


@cache
def _place_of_out(function: Any) -> int | None:
    """The position at which a function takes out, if it does."""
    parameters = signature_of(function).parameters
    by_position = "out" in parameters and parameters["out"].kind is Parameter.POSITIONAL_OR_KEYWORD
    return [*parameters].index("out") if by_position else None


_VIEWING = VIEWING | {np.einsum, np.linalg.matrix_power}
"""NumPy's functions that may give views, and are made here of operations that copy."""
_MAKINGARRAYS = {np.cov, np.empty_like, np.full_like, np.ones_like, np.tensordot, np.zeros_like}
"""NumPy's functions that make arrays without axes of others, where most give numbers."""


def _as_numpys(result: Any, function: Any, args: Any, params: Any) -> Any:
    """What a function returns, as views, arrays and numbers where NumPy's are these, and lying in memory as NumPy's.

    NumPy itself tells, unless all are new arrays that lie in memory by rows, or numbers, as they are after most calls.
    """
    given, made = ([x for x in trees.leaves(tree) if isinstance(x, Writable)] for tree in ((args, params), result))
    may_be_array = function in _MAKINGARRAYS or all(x.size == 1 for x in given)
    is_asked = function in _VIEWING or "order" in params
    is_new = not {*map(id, made)} & {*map(id, given)}
    is_plain = is_new and not is_asked and all(x._view is None and (x.shape or not may_be_array) for x in made)
    calls_back = any(callable(x) and not isinstance(x, type) for x in trees.leaves((args, params)))
    if calls_back or (is_plain and all(plain(x).flags.c_contiguous for x in (*given, *made))):
        return result
    arrays = {id(x): plain(x) for x in given}
    positional, named = trees.map_leaves(lambda x: arrays.get(id(x), x), (args, params))
    try:
        with np.errstate(all="ignore"):
            numpys = iter(trees.leaves(function(*positional, **named)))
    except (ValueError, ArithmeticError):  # of entries that are not known yet, as in a function that is compiled
        return result

    def like_numpys(x: Any) -> Any:
        numpy = next(numpys)
        if not isinstance(x, Writable):
            return x
        shown = next((a for a in given if np.may_share_memory(numpy, arrays[id(a)])), None)
        if shown is None:
            return Writable(laid_out(x.value, numpy), is_number=not isinstance(numpy, np.ndarray))
        if x._view is not None or x is shown or len(given) > 1:
            return x
        read = _Shown(lambda array: function(*(array if a is shown else a for a in args), **params))
        return Writable(x.value, shown._memory, (read, shown, {}), like=numpy)

    return trees.map_leaves(like_numpys, result)


def plain(x: Writable) -> Any:
    """NumPy's array, or number, in one that can be written into; if it is elsewhere, one like it."""
    array = in_memory(x.value)
    array = np.zeros(x.shape, x.dtype) if array is None else np.asarray(array)
    if x.is_number:
        return array[()]
    return array if x._like is None else lying_as(x._like, array)


class _Shown:
    """A function of one array that shows some of its entries, as the operation of a view."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.forward = function

    def __call__(self, array: Array) -> Any:
        return self.forward(array)


def _of_constants(function: Any, args: Any, params: Any) -> Any:
    """What a function without a derivative makes of arrays without a history.

    Raises:
        NoDerivativeError: if any has one.
    """
    given = trees.leaves((args, params))
    if any(isinstance(x, Traced) and getattr(x, "requires_grad", True) for x in given):
        raise  # the error that is being handled
    args, params = trees.map_leaves(lambda x: plain(x) if isinstance(x, Writable) else x, (args, params))
    made: Any = function(*args, **params)
    return trees.map_leaves(lambda x: Writable(x, is_number=not x.shape) if isinstance(x, np.ndarray) else x, made)


def _place(index: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """Where an entry is in the flat array, by the arguments of NumPy's `x.item`."""
    index = index[0] if isinstance(index[0], tuple) else index
    return index[0] if len(index) == 1 else np.ravel_multi_index(index, shape)


def _value_of(x: Any) -> Any:
    return x.value if isinstance(x, Writable) else x


def _values_of(x: Any) -> Any:
    """What is written into an array, also a list of numbers that a gradient flows through."""
    return array(trees.map_leaves(_value_of, x)) if isinstance(x, (list, tuple)) else _value_of(x)
