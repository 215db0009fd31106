"""A value with a history: an array, and, where a gradient can flow, how it was made.

The array of a tensor is never written to, so no gradient is wrong because somebody changed a value in between. A
history points backward only, so dropping the last tensor of a graph frees all of it at once.
"""

import operator
import sys
from collections.abc import Callable, Mapping
from itertools import count
from opcode import opmap
from types import FrameType
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lite.engine import backward
from tinygrad_lite.engine.grad_mode import mode
from tinygrad_lite.engine.op import NO_PARAMS, Array, Op, Traced, given, positive
from tinygrad_lite.engine.operators import TURNED_INTO_ARRAY, Operators
from tinygrad_lite.errors import GraphError, InputError, ShapeError, TinygradError, UsageError

_SCALARS = frozenset({bool, int, float, complex, type(None), np.float64, np.float32})  # what nobody can change
_NUMBER_OF_KIND = {"b": bool, "i": int, "u": int, "f": float, "c": complex}
_FLOAT64 = np.dtype(np.float64)
next_index = count().__next__
_new = object.__new__


def _in_place(symbol: str, op: Callable[..., Any]) -> Callable[..., "Tensor"]:
    """`-=` and its kind: a new array for a leaf under `no_grad`, a new tensor for anything else."""

    def update(self: "Tensor", other: Array) -> Any:
        result = op(self, other)
        if self.op is not None or (mode.enabled and not self.requires_grad):
            return result
        if mode.enabled:
            raise UsageError(
                f"x {symbol}= ... of a leaf that requires a gradient would make it something else than a leaf: to "
                f"update it, write it under tg.no_grad(); for a new tensor, write y = x {symbol} ..."
            )
        constant(other)
        self.data = result
        return self

    return update


class Tensor(Operators):
    """An array in a graph of operations. Make one with `tg.tensor`.

    Attributes:
        name: how lessons, reports and messages call it.
        op: the operation that made it; None for a leaf.
        inputs: what the operation was given, tensors and others; None once the graph is freed.
        arrays: the array of each input, as it was then.
        params: the operation's parameters.
        index: its place in the order of creation; what an operation made has none if it has no history.
        retains_grad: whether `backward` keeps its gradient although it is no leaf.
    """

    __slots__ = (
        "__weakref__",
        "_array",
        "_grad",
        "_requires_grad",
        "arrays",
        "index",
        "inputs",
        "name",
        "op",
        "params",
        "retains_grad",
    )

    _array: Array
    _requires_grad: bool
    _grad: "Tensor | None"
    name: str | None
    op: Any
    retains_grad: bool

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        raise UsageError("make a tensor with tg.tensor(data), which copies the data")

    def __init_subclass__(cls) -> None:
        raise UsageError("a tensor is not to be inherited from: what operations return would be plain tensors")

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        arrays: list[Array] = []
        linked = mixed = False
        compute: Callable[..., Array] = op.forward
        for x in inputs:
            if type(x) is Tensor:
                array = x._array
                arrays.append(array)
                if type(array) is not ndarray and isinstance(array, Traced):
                    compute, under = op, array  # what lies under tensors says for itself what happens
                if x._requires_grad:
                    linked = True
                elif array.dtype is not _FLOAT64:
                    mixed = True
            elif type(x) in _SCALARS:
                arrays.append(x)
            elif isinstance(x, Traced):
                return x.__trace__(op, inputs, params)  # a tensor gives way to any other traced value
            else:
                arrays.append(_unchanging(x, op))
                mixed = mixed or arrays[-1].dtype is not _FLOAT64
        if compute is op:
            arrays = [x._array if type(x) is Tensor else under.beside(x) for x in inputs]
        try:
            value = compute(*arrays, **params) if params else compute(*arrays)
        except (TinygradError, np.linalg.LinAlgError):
            raise
        except (ValueError, TypeError) as error:
            raise op.complaint(error, arrays) from error
        if not hasattr(value, "dtype"):
            if not op.vjps:
                return value  # an answer: a truth, a shape
            value = number(value, op)
        result = wrap(value)
        if linked and op.vjps and mode.enabled:
            kind = value.dtype.kind
            if kind == "f":
                result.remember(op, inputs, tuple(op.real(arrays, value.dtype) if mixed else arrays), params)
            elif kind == "c":
                raise UsageError(f"{op.name} makes complex numbers of {given(arrays)}; only real ones have a gradient")
        return result

    def remember(self, op: Op, inputs: tuple[Array, ...], arrays: tuple[Array, ...], params: Mapping[str, Any]) -> None:
        """Keep how this tensor was made, for the reverse pass."""
        self._requires_grad = True
        self.op = op
        self.inputs: Any = inputs
        self.arrays = arrays
        self.params = params
        self.index = next_index()

    def forget(self) -> None:
        """Let go of what this tensor was made of; that it had a history is remembered."""
        if self.op is not positive:  # which holds nothing, and may be the variable of a running transform
            self.inputs = None
            self.arrays = ()

    def holding(self, array: Array) -> "Tensor":
        """A tensor of this array that hands its gradient on to this one."""
        stand_in = wrap(array)
        stand_in.remember(positive, (self,), (array,), NO_PARAMS)
        return stand_in

    def settle(self) -> None:
        """End a stand-in's time as a variable, once its function has run: it needs a gradient as what it stands for."""
        if not self.inputs[0]._requires_grad:
            self._requires_grad = False
            self.op = None

    @property
    def data(self) -> Array:
        """The array itself, read-only. Assigning gives a leaf a new one, of the same shape and dtype."""
        return self._array

    @data.setter
    def data(self, value: Array) -> None:
        array = constant(value) if isinstance(value, Traced) else _copied(value)
        if array.shape != self.shape:
            raise ShapeError(f"new data of shape {array.shape} for a tensor of shape {self.shape}")
        if not np.can_cast(array.dtype, self.dtype, "same_kind"):
            raise UsageError(f"new data of dtype {array.dtype} for a tensor of dtype {self.dtype}")
        self.replace(array.astype(self.dtype, copy=False))

    def replace(self, array: Array) -> None:
        """Give a leaf a new array, which nobody else may write to: what an optimiser does."""
        if self.op is not None:
            raise GraphError(f"this tensor is a result of {self.op.name}; only a leaf can be given new data")
        if isinstance(array, np.ndarray):
            array.setflags(False)  # type: ignore[call-arg]
        self._array = constant(array)

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient can flow to this tensor. Assigning freezes or frees a leaf."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.op is not None:
            raise GraphError(f"this tensor is a result of {self.op.name}; only a leaf can change requires_grad")
        if value:
            _check_differentiable(self._array)
        self._requires_grad = bool(value)

    @property
    def grad(self) -> "Tensor | None":
        """The gradient that `backward` added up here, of the same shape; None before."""
        return self._grad

    @grad.setter
    def grad(self, value: Array) -> None:
        if value is not None:
            value = value if isinstance(value, Tensor) else tensor(value, dtype=self.dtype)
            if value.shape != self.shape:
                raise ShapeError(f"a gradient of shape {value.shape} for a tensor of shape {self.shape}")
        self._grad = value

    @property
    def is_leaf(self) -> bool:
        """Whether no operation made it."""
        return self.op is None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return self._array.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._array.dtype  # type: ignore[no-any-return]

    def backward(self, gradient: Array = None, *, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add the gradient of this tensor to `.grad` of every leaf that it depends on.

        For each leaf w: w.grad += gᵀ ∂self/∂w, with g the given gradient, of this tensor's shape; for a tensor of one
        element it is 1.

        Args:
            retain_graph: keep the graph for another pass; as `create_graph` unless given.
            create_graph: make the gradients tensors with a graph of their own, to be differentiated again.

        Raises:
            GraphError: if this tensor has no history, or its graph was freed.
            ShapeError: if the gradient is missing or has another shape.

        Example:
            >>> import tinygrad_lite as tg
            >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
            >>> (x * x).sum().backward()
            >>> x.grad
            tensor([2., 4.])
        """
        if not self._requires_grad:
            raise GraphError(
                "backward() on a tensor with no history: nothing that it was computed from has requires_grad=True"
            )
        g = self._one() if gradient is None else self._weight(gradient)
        if isinstance(g, Tensor) and not create_graph:
            g = g._array
        backward.backward(self, g, create_graph if retain_graph is None else retain_graph, create_graph)

    def _one(self) -> Array:
        """The gradient of this tensor with respect to itself, if it is of one element."""
        if self.size != 1:
            raise ShapeError(
                f"backward() without a gradient needs a tensor of one element, this one has shape {self.shape}: "
                "reduce it (to its mean, say), or pass a gradient of its shape"
            )
        return self.dtype.type(1) if isinstance(self._array, np.generic) else np.ones_like(self._array)

    def _weight(self, gradient: Array) -> "Tensor":
        """A given gradient, checked against this tensor."""
        weight = gradient if isinstance(gradient, Tensor) else tensor(gradient)
        if weight.shape != self.shape:
            raise ShapeError(f"a gradient of shape {weight.shape} for a tensor of shape {self.shape}")
        return weight if weight.dtype == self.dtype else weight.astype(self.dtype)

    def accumulate(self, gradient: Array) -> None:
        """Add to `.grad`."""
        if not isinstance(gradient, Tensor):
            gradient = wrap(gradient)
        elif self._grad is None:  # a tensor of its own, since an update of one gradient shall not reach another
            gradient = gradient.holding(gradient._array) if gradient._requires_grad else wrap(gradient._array)
        self._grad = gradient if self._grad is None else self._grad + gradient

    def retain_grad(self) -> None:
        """Have `backward` keep the gradient of this tensor, though it is no leaf."""
        if not self._requires_grad:
            raise GraphError("retain_grad() on a tensor with no history: no gradient will reach it")
        self.retains_grad = self.op is not None

    def detach(self) -> "Tensor":
        """A tensor of the same array without a history."""
        return wrap(self._array, name=self.name)

    def numpy(self) -> Any:
        """A read-only view of the array; copy it to write to it. This leaves the graph, on purpose."""
        if not isinstance(self._array, (np.ndarray, np.generic)):
            return self._array.numpy() if hasattr(self._array, "numpy") else self._array
        view = np.asarray(self._array).view()
        view.setflags(write=False)
        return view

    def item(self, *place: Any) -> Any:
        """The one element as a Python number, or the one at a place."""
        if place:
            return self._array.item(*place)
        if self.size != 1:
            raise InputError(f"item() needs a tensor of one element, this one has shape {self.shape}")
        if hasattr(self._array, "item"):
            return self._array.item()
        return _NUMBER_OF_KIND[self.dtype.kind](self._array.reshape(()))

    def tolist(self) -> Any:
        """The elements as Python numbers in nested lists."""
        return self._array.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self._requires_grad:
            raise UsageError(TURNED_INTO_ARRAY)
        return np.array(self._array, dtype, copy=copy)

    def __float__(self) -> float:
        if self._requires_grad and mode.transforming:
            raise UsageError(
                "float(tensor) inside a function that is being differentiated would lose the tensor's history: write "
                "np.sin for math.sin, and so on; or tensor.item() to leave the graph on purpose"
            )
        if self._requires_grad and _assigns_an_item(sys._getframe(1)):
            raise UsageError(
                "array[i] = tensor would lose the tensor's history: collect the parts in a list and np.stack them, or "
                "write x = x.at[i].set(tensor) on a tensor x"
            )
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise UsageError(f"only an integer tensor can be an index, this one is {self.dtype}")
        return int(self.item())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise InputError(
                f"the truth of a tensor of shape {self.shape} is ambiguous: write .any() or .all(), or np.where for a "
                "choice per entry"
            )
        return bool(self.item())

    def __contains__(self, value: Array) -> bool:
        return bool((self == value).any())

    def __format__(self, specification: str) -> str:
        return format(self.item() if specification else str(self), specification)

    def __repr__(self) -> str:
        facts = [repr(self._array)]
        if isinstance(self._array, (np.ndarray, np.generic)):
            facts = [np.array2string(np.asarray(self._array), separator=", ", prefix="tensor(")]
        if self.dtype not in (np.float64, np.int64, np.bool_) or self.size == 0:
            facts.append(f"dtype={self.dtype}")
        if self.size == 0 and self.ndim > 1:
            facts.append(f"shape={self.shape}")
        if self.op is not None:
            facts.append(f"op={self.op.name}")
        elif self._requires_grad:
            facts.append("requires_grad=True")
        if self.name is not None:
            facts.append(f"name={self.name!r}")
        return f"tensor({', '.join(facts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.op is not None:
            raise GraphError(
                f"this tensor is a result of {self.op.name}, and a copy would lose its history: copy or pickle "
                "tensor.detach()"
            )
        grad = None if self._grad is None else self._grad._array
        return _restored, (self._array, self._requires_grad, self.name, grad)

    __iadd__ = _in_place("+", operator.add)
    __isub__ = _in_place("-", operator.sub)
    __imul__ = _in_place("*", operator.mul)
    __itruediv__ = _in_place("/", operator.truediv)
    __ipow__ = _in_place("**", operator.pow)


def wrap(array: Array, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """A tensor of this very array, which nobody else may write to; for results, where `tensor` would copy."""
    made = _new(Tensor)
    if isinstance(array, ndarray):
        array.setflags(False)  # type: ignore[call-arg]  # takes half the time of write=False
    made._array = array
    made._requires_grad = requires_grad
    made._grad = None
    made.name = name
    made.op = None
    made.retains_grad = False
    return made


def _restored(data: Array, requires_grad: bool, name: str | None, grad: Array) -> Tensor:
    restored = wrap(data[()], requires_grad, name)
    restored._grad = None if grad is None else wrap(grad)
    return restored


def number(value: Any, op: Op) -> Array:
    """The array for a number that a declared forward returned in plain Python."""
    if not isinstance(value, (int, float)):
        raise UsageError(f"the forward of {op.name} returned {type(value).__name__}; an operation returns one array")
    return np.float64(value)


def tensor(data: Any, requires_grad: bool = False, *, dtype: Any = None, name: str | None = None) -> Tensor:
    """A tensor holding a copy of an array, a number, or a nested list of numbers.

    Args:
        requires_grad: whether `backward` shall compute a gradient for it; floating-point data only.
        dtype: as in NumPy; by default that of the data (Python floats make float64).
        name: how lessons, reports and messages call it.

    Raises:
        UsageError: if it requires a gradient and is not of a real floating-point dtype, or is no array of numbers.

    Example:
        >>> import tinygrad_lite as tg
        >>> tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        tensor([[1., 2.],
                [3., 4.]], requires_grad=True)
    """
    if isinstance(data, Tensor):
        if data.requires_grad:
            raise UsageError("tg.tensor() of a tensor that requires a gradient would lose its history: use detach()")
        data = data.data
    array = _copied(data, dtype)
    if requires_grad:
        _check_differentiable(array)
    made = wrap(array, bool(requires_grad), name)
    made.index = next_index()
    return made


def _check_differentiable(array: Array) -> None:
    if array.dtype.kind != "f":
        raise UsageError(
            f"requires_grad needs real floating-point numbers, this is {array.dtype}: write 1.0 for 1, or pass "
            "dtype=float"
        )


def constant(value: Any) -> Any:
    """A value for a tensor to hold, out of its own tensor; refused if the history of what is differentiated is lost."""
    if not isinstance(value, Traced):
        return value
    has_history = isinstance(value, Tensor) and value.requires_grad and not value.is_leaf
    if value.holds_tangent or (has_history and mode.transforming):
        raise UsageError(
            "a tensor cannot be given the data of a value that is being differentiated, whose history would be lost. "
            "To run a module on other parameters, write tg.nn.functional_call(module, state, *inputs); to "
            "differentiate by a module's own, tg.grad(f)(module); to give up the history on purpose, value.detach()"
        )
    return value._array if isinstance(value, Tensor) else value


def _copied(data: Any, dtype: Any = None) -> Array:
    """An array of its own, which nobody else can change; an array type other than NumPy's is kept as it is."""
    data = constant(data)
    if hasattr(data, "__array_function__") and not isinstance(data, (np.ndarray, np.generic)):
        return data.copy() if dtype is None else data.copy().astype(dtype)
    if isinstance(data, np.ma.MaskedArray):
        raise UsageError("the mask of a masked array would be lost: fill it first, with array.filled(...)")
    try:
        array = np.array(np.asarray(data), dtype)
    except ValueError as error:
        raise ShapeError(f"no array can be made of this: {error}") from error
    if array.dtype.kind not in "fiubc":
        raise UsageError(f"a tensor holds numbers, this {type(data).__name__} makes an array of dtype {array.dtype}")
    return array[()]  # a 0-d array as NumPy's own functions return it: a scalar, which is faster


def _unchanging(x: Array, op: Op) -> Array:
    """What an operation is given besides tensors, as a value that nobody can change before the derivatives read it."""
    if isinstance(x, np.generic):
        return x
    if type(x) is np.ndarray and x.dtype.kind in "fiubc" and (not op.reads_values or _is_read_only(x)):
        return x
    try:
        return _copied(x)
    except TinygradError as error:
        raise type(error)(f"{op.name}: {error}") from None


def _assigns_an_item(caller: FrameType) -> bool:
    """Whether a caller is at `array[i] = ...`, where NumPy asks for a float that nobody wrote."""
    return caller.f_code.co_code[caller.f_lasti] == opmap["STORE_SUBSCR"]


def _is_read_only(array: Any) -> bool:
    """Whether nobody holds a writable view of this memory, as far as NumPy knows."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return array is None or isinstance(array, bytes)
