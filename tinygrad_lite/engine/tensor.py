"""A value with a history: an array, and, where a gradient can flow, how it was made.

The array of a tensor is never written to, so no gradient is wrong because somebody changed a value in between. A
history points backward only, so dropping the last tensor of a graph frees all of it at once.
"""

import operator
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.arguments import in_words
from tinygrad_lite.engine.backward import Node, history, propagate
from tinygrad_lite.engine.conversions import NUMBERS, Conversions, constant, number, received
from tinygrad_lite.engine.op import NO_PARAMS, Array, Op, Traced, elementwise
from tinygrad_lite.errors import GraphError, ShapeError, UsageError
from tinygrad_lite.foreign import copied

next_index = count().__next__
_new = object.__new__
_accumulating = threading.Lock()  # held by the one thread that adds to gradients

positive = elementwise(np.positive, 1)
"""y = x, the simplest of declarations: what stands in for a tensor, and hands its gradient on, is made by it."""


def _in_place(symbol: str, op: Callable[..., Any]) -> Callable[..., "Tensor"]:
    """`-=` and its kind: a new array for a leaf under `no_grad`, a new tensor for anything else."""

    def update(self: "Tensor", other: Array) -> Any:
        result = op(self, other)
        if self.op is not None or (grad_mode.enabled.get() and not self.requires_grad):
            return result
        if grad_mode.enabled.get():
            raise UsageError(
                f"x {symbol}= ... of a leaf that requires a gradient would make it something else than a leaf: to "
                f"update it, write it under tg.no_grad(); for a new tensor, write y = x {symbol} ..."
            )
        constant(other)
        self.data = result
        return self

    return update


class Tensor(Conversions, Node):
    """An array in a graph of operations. Make one with `tg.tensor`.

    Attributes:
        name: how lessons, reports and messages call it.
        op, inputs, arrays, params, index, retains_grad: its history, see `Node`.
    """

    __slots__ = ("__weakref__", "_grad", "name")

    _grad: "Tensor | None"
    name: str | None

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        raise UsageError("make a tensor with tg.tensor(data), which copies the data")

    def __init_subclass__(cls) -> None:
        raise UsageError("a tensor is not to be inherited from: what operations return would be plain tensors")

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        arrays: list[Array] = []
        linked = False
        for x in inputs:
            if type(x) is Tensor:
                array = x._array
                linked = linked or x._requires_grad
                if type(array) is not ndarray and isinstance(array, Traced):
                    return _over(array, op, inputs, params)
            elif type(x) in NUMBERS:
                array = x
            elif isinstance(x, Traced):
                return x.__trace__(op, inputs, params)  # a tensor gives way to any other traced value
            else:
                array = received(x, op)
            arrays.append(array)
        try:
            value = op.forward(*arrays, **params) if params else op.forward(*arrays)
        except (ValueError, TypeError) as error:
            op.complain(error, arrays)
        result = wrap(value) if hasattr(value, "dtype") else _answer(value, op)
        if linked and op.vjps and grad_mode.enabled.get():
            result.remember(op, inputs, arrays, params)
        return result

    def remember(self, op: Op, inputs: tuple[Array, ...], arrays: Sequence[Array], params: Mapping[str, Any]) -> None:
        """Keep how this tensor was made, for the reverse pass; nothing, where it holds whole numbers or truths."""
        dtype = self._array.dtype
        if dtype.kind == "f":
            self._requires_grad = True
            self.op = op
            self.inputs = inputs
            self.arrays = tuple(arrays)
            for x in arrays:
                if type(x) is not float and getattr(x, "dtype", dtype) is not dtype:
                    self.arrays = op.real(arrays, dtype)
            self.params = params
            self.index = next_index()
        elif dtype.kind == "c":
            raise UsageError(f"{op.name} makes complex numbers of {in_words(arrays)}; only real ones have a gradient")

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
        array = constant(value) if isinstance(value, Traced) else copied(value)
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
        self._grad = None if value is None else self._weight(value)

    @property
    def is_leaf(self) -> bool:
        """Whether no operation made it."""
        return self.op is None

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
            raise GraphError("backward() on a tensor with no history: nothing behind it has requires_grad=True")
        g = self._one() if gradient is None else self._weight(gradient)
        if isinstance(g, Tensor) and not create_graph:
            g = g._array
        path = history([self])
        gradients = propagate(path, {self: g}, create_graph)
        with _accumulating:
            for x, gradient in gradients.items():
                x.accumulate(gradient)
        if not (create_graph if retain_graph is None else retain_graph):
            for node in path:
                node.forget()

    def _one(self) -> Array:
        """The gradient of this tensor with respect to itself, if it is of one element."""
        if self.size != 1:
            raise ShapeError(
                f"backward() without a gradient needs a tensor of one element, this one has shape {self.shape}: reduce "
                "it (to its mean, say), or pass a gradient of its shape"
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

    def __reduce__(self) -> tuple[Any, ...]:
        if self.op is not None:
            raise GraphError(f"a copy of this result of {self.op.name} would lose its history: use tensor.detach()")
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


def _answer(value: Any, op: Op) -> Any:
    """What a forward returned that is no array: a number as a tensor; a truth, a shape, or another answer as it is."""
    return wrap(number(value, op)) if op.vjps else value


def _over(under: Traced, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
    """The result of an operation on tensors under which another reader lies: that says for itself what happens."""
    for x in inputs:
        if isinstance(x, Traced) and type(x) is not Tensor:
            return x.__trace__(op, inputs, params)
    arrays = [x._array if type(x) is Tensor else under.beside(x) for x in inputs]
    try:
        value = op(*arrays, **params)
    except (ValueError, TypeError) as error:
        op.complain(error, arrays)
    result = wrap(value) if hasattr(value, "dtype") else _answer(value, op)
    if op.vjps and grad_mode.enabled.get() and any(type(x) is Tensor and x._requires_grad for x in inputs):
        result.remember(op, inputs, arrays, params)
    return result


def _restored(data: Array, requires_grad: bool, name: str | None, grad: Array) -> Tensor:
    restored = wrap(data[()], requires_grad, name)
    restored._grad = None if grad is None else wrap(grad)
    return restored


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
    array = copied(constant(data), dtype)
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
