"""A value with a history: an array and, if a gradient can flow to it, a record of how it was made.

Nobody ever writes to the array of a tensor, so a later change of a value cannot make a gradient wrong. A history only
points backward, so dropping the last tensor of a graph frees the whole graph at once.
"""

import operator
import threading
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.backward import history, noting, propagate, running_variables
from tinygrad_lite.engine.conversions import NUMBERS, Conversions, constant, number, received
from tinygrad_lite.engine.op import NO_PARAMS, Array, Arrays, Op, Params, Traced, elementwise
from tinygrad_lite.errors import RESTATED, GraphError, ShapeError, UsageError, complain
from tinygrad_lite.foundation.foreign import copied, without_history

next_index = count().__next__
_new = object.__new__
_accumulating = threading.Lock()  # held by the thread that is adding to gradients

positive = elementwise(np.positive, 1, takes_complex=True)
"""y = x, the simplest declaration. It makes the stand-in for a tensor, which passes its gradient on to the tensor."""


def _in_place(symbol: str, op: Callable[..., Any]) -> Callable[..., "Tensor"]:
    """An in-place operator such as `-=`: gives a leaf under `no_grad` a new array; otherwise makes a new tensor."""

    def update(self: "Tensor", other: Array) -> Any:
        if self.op is positive and not grad_mode.enabled.get():
            constant(self)  # raises inside a transform, whose function would go on with the old value
        result = op(self, other)
        if self.op is not None or (grad_mode.enabled.get() and not self.requires_grad):
            return result
        if grad_mode.enabled.get():
            raise UsageError(
                f"x {symbol}= ... on a leaf that requires a gradient would turn it into a result: to update the leaf, "
                f"write it under tg.no_grad(); to make a new tensor, write y = x {symbol} ..."
            )
        constant(other)
        self.data = result
        return self

    return update


class Tensor(Conversions):
    """An array in a graph of operations. Make one with `tg.tensor`.

    Attributes:
        name: its name in lessons, reports and messages.
        op, inputs, arrays, params, index, retains_grad: its history, see `Node`.
    """

    __slots__ = ("__weakref__", "_grad", "name")

    _grad: "Tensor | None"
    name: str | None

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        raise UsageError("make a tensor with tg.tensor(data), which copies the data")

    def __init_subclass__(cls) -> None:
        raise UsageError("Tensor cannot be subclassed, since operations return plain tensors: hold one in a field")

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        arrays: tuple[Array, ...] = ()
        linked: bool | None = False
        for x in inputs:
            if type(x) is Tensor:
                linked = linked or x._requires_grad
                x = x._array
                if type(x) is not ndarray and isinstance(x, Traced):
                    return _by_held_value(x, op, inputs, params)
            elif type(x) not in NUMBERS:
                if isinstance(x, Traced):
                    return x.__trace__(op, inputs, params)  # any other traced value takes precedence
                x = received(x, op)
            arrays += (x,)
        try:
            shared = (op.shared(*arrays, **params),) if op.shared else ()
            value = op.compute(*arrays, *shared, **params) if params or shared else op.compute(*arrays)
        except RESTATED as error:
            complain(error, op.name, arrays)
        if linked and op.vjps and grad_mode.enabled.get():
            return recorded(value, op, inputs, arrays, params, shared)
        return wrap(value) if hasattr(value, "dtype") else _answer(value, op)

    def forget(self) -> None:
        """Free the inputs that this tensor was made from; it still knows that it had a history."""
        self.inputs, self.arrays, self.shared = None, (), ()

    def holding(self, array: Array) -> "Tensor":
        """A stand-in with this array, which passes its gradient on to this tensor."""
        return recorded(array, positive, (self,), (array,), NO_PARAMS)

    def settle(self) -> None:
        """After its function has run, let a stand-in require a gradient only if the original does."""
        if not self.inputs[0]._requires_grad:
            self._requires_grad, self.op = False, None

    @property
    def data(self) -> Array:
        """The array itself, read-only. Assigning gives a leaf a new array; its shape and dtype stay the same."""
        return self._array

    @data.setter
    def data(self, value: Array) -> None:
        array = constant(value) if isinstance(value, Traced) else copied(value)
        if array.shape != self.shape:
            raise ShapeError(f"new data must have the tensor's shape {self.shape}, got {array.shape}")
        if not np.can_cast(array.dtype, self.dtype, "same_kind"):
            raise UsageError(f"new data must fit the tensor's dtype {self.dtype}, got {array.dtype}: cast it first")
        self.replace(array.astype(self.dtype, copy=False))

    def replace(self, array: Array) -> None:
        """Give a leaf a new array, as an optimiser does; nobody else may write to that array."""
        if self.op is not None:
            raise GraphError(f"a result of {self.op.name} takes no new data: give new data to its leaves")
        if isinstance(array, np.ndarray):
            array.setflags(False)  # type: ignore[call-arg]
        self._array = array if type(array) is ndarray else constant(array)

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient can flow to this tensor. Assign False to freeze a leaf, True to unfreeze it."""
        return bool(self._requires_grad)

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.op is not None:
            raise GraphError(f"this tensor is a result of {self.op.name}; only a leaf can change requires_grad")
        if value:
            _check_differentiable(self._array)
        self._requires_grad = bool(value) or (None if self._requires_grad is not False else False)

    @property
    def grad(self) -> "Tensor | None":
        """The gradient that `backward` has accumulated here, of the tensor's shape; None before the first pass."""
        return self._grad

    @grad.setter
    def grad(self, value: Array) -> None:
        self._grad = None if value is None else self._fitting(value)

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor is not the result of a recorded operation."""
        return self.op is None

    def backward(self, gradient: Array = None, *, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add the gradient of this tensor to `.grad` of every leaf that it depends on.

        Inside a function under a transform, its variables are leaves, and the originals keep their `.grad`.

        For each leaf w: w.grad += gᵀ ∂self/∂w, where g is `gradient`, the upstream gradient, of this tensor's shape; it
        defaults to 1 for a tensor of one element.

        Args:
            retain_graph: keep the graph for another pass; by default the value of `create_graph`.
            create_graph: give the gradients a graph of their own, so that they can be differentiated again. Inside a
                function under a transform, gradients that depend on its variables have one without being asked.

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
            raise GraphError("backward() on a tensor with no history: no leaf requires a gradient, or no_grad() was on")
        if self.dtype.kind == "c":
            raise UsageError(f"backward() starts at real numbers, this is {self.dtype}: take np.real or np.abs of it")
        g = self._ones() if gradient is None else self._fitting(gradient)
        path, inside = history([self], running_variables), grad_mode.transforming.get()
        # the variable of a running transform must not be lost from the gradients
        graph = create_graph or (inside and (not running_variables.isdisjoint(history([self, g])) or None))
        g = g._array if isinstance(g, Tensor) and not graph else g
        gradients = propagate(path, {self: g}, graph)
        noting.get()(gradients)
        with _accumulating:
            for x, gradient in gradients.items():
                x.accumulate(gradient)
        if not (graph is not False if retain_graph is None else retain_graph):
            for node in path:
                node.forget()

    def _ones(self) -> Array:
        """The gradient of this tensor with respect to itself, if it has one element."""
        if self.size != 1:
            raise ShapeError(f"backward() needs a gradient of shape {self.shape}, or one number: call .mean() first")
        return self.dtype.type(1) if isinstance(self._array, np.generic) else np.ones_like(self._array)

    def _fitting(self, gradient: Array) -> "Tensor":
        """A gradient from the user as a tensor of this one's dtype; raises unless it has the shape, too."""
        g = gradient if isinstance(gradient, Tensor) else tensor(gradient)
        if g.shape != self.shape:
            raise ShapeError(f"the gradient must have the tensor's shape {self.shape}, got {g.shape}")
        return g if g.dtype == self.dtype else g.astype(self.dtype)

    def accumulate(self, gradient: Array) -> None:
        """Add to `.grad`."""
        if not isinstance(gradient, Tensor):
            gradient = wrap(gradient if type(gradient) is ndarray else constant(gradient))
        elif self._grad is None:  # a tensor of its own, so that updating one gradient does not change another
            gradient = gradient.holding(gradient._array) if gradient._requires_grad else wrap(gradient._array)
        if self._grad is not None:
            with grad_mode.enable_grad():  # a sum of gradients that have a history has one, too
                gradient = self._grad + gradient
        self._grad = gradient

    def retain_grad(self) -> None:
        """Make `backward` keep the gradient of this tensor although it is not a leaf."""
        if not self._requires_grad:
            raise GraphError("retain_grad() on a tensor with no history: no gradient will reach it")
        self.retains_grad = self.op is not None

    def detach(self) -> "Tensor":
        """A tensor with the same array and no history."""
        return wrap(self._array, name=self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.op is not None:
            raise GraphError(f"a copy of this result of {self.op.name} would lose its history: copy tensor.detach()")
        grad = None if self._grad is None else self._grad._array
        return _restored, (self._array, self._requires_grad, self.name, grad)

    def __copy__(self) -> "Tensor":
        return self if self.op is not None else _restored(*self.__reduce__()[1])

    __iadd__ = _in_place("+", operator.add)
    __isub__ = _in_place("-", operator.sub)
    __imul__ = _in_place("*", operator.mul)
    __itruediv__ = _in_place("/", operator.truediv)
    __ipow__ = _in_place("**", operator.pow)


def wrap(array: Array, requires_grad: bool = False, name: str | None = None, op: Op | None = None) -> Tensor:
    """A tensor that holds this array itself, not a copy as `tensor` does; nobody else may write to the array."""
    result = _new(Tensor)
    if isinstance(array, ndarray):
        array.setflags(False)  # type: ignore[call-arg]  # takes half the time of write=False
    result._array, result._requires_grad, result._grad = array, requires_grad, None
    result.name, result.op, result.retains_grad = name, op, False
    return result


def recorded(
    value: Array, op: Op, inputs: Arrays, arrays: tuple[Array, ...], params: Params, shared: Any = ()
) -> Tensor:
    """A tensor that remembers how it was made, for the reverse pass; integers and booleans have no history."""
    value = value if hasattr(value, "dtype") else number(value, op)
    dtype = value.dtype
    if dtype.kind != "f":
        if dtype.kind != "c":
            return wrap(without_history(value, op.name))
        op.check_complex()
    for x in arrays if op.reads_values else ():
        if (kind := type(x)) is not float and (getattr(x, "dtype", dtype) is not dtype or kind is bool):
            converted = op.for_rules(arrays, dtype)
            shared = shared if all(map(operator.is_, arrays, converted)) else ()  # it was that of the former arrays
            arrays = converted
            break
    result = _new(Tensor)  # as in wrap, since one call more takes time
    if isinstance(value, ndarray):
        value.setflags(False)  # type: ignore[call-arg]
    result._array, result._requires_grad, result.op = value, True, op
    result._grad = result.name = None
    result.inputs, result.arrays, result.shared = inputs, arrays, shared
    result.params, result.index, result.retains_grad = params, next_index(), False
    return result


def _answer(value: Any, op: Op) -> Any:
    """The result of a forward that returned no array: a number becomes a tensor; any other answer stays as it is."""
    return wrap(number(value, op)) if op.vjps else value


def _by_held_value(held: Traced, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
    """The result of an operation on tensors one of which holds another traced value: that one decides what happens."""
    for x in inputs:
        if isinstance(x, Traced) and type(x) is not Tensor:
            return x.__trace__(op, inputs, params)
    arrays = tuple([x._array if type(x) is Tensor else held.beside(x, op) for x in inputs])
    try:
        value = op(*arrays, **params)
    except RESTATED as error:
        complain(error, op.name, arrays)
    if op.vjps and any(type(x) is Tensor and x._requires_grad for x in inputs) and grad_mode.enabled.get():
        return recorded(value, op, inputs, arrays, params)
    return wrap(value) if hasattr(value, "dtype") else _answer(value, op)


def _restored(data: Array, requires_grad: bool, name: str | None, grad: Array) -> Tensor:
    restored = wrap(data[()], requires_grad, name)
    restored._grad, restored.index = None if grad is None else wrap(grad), next_index()
    return restored


def tensor(data: Any, requires_grad: bool = False, *, dtype: Any = None, name: str | None = None) -> Tensor:
    """A tensor that holds a copy of an array, a number, or a nested list of numbers.

    Args:
        requires_grad: whether `backward` computes a gradient for it; floating-point data only.
        dtype: as in NumPy; by default the dtype of the data (Python floats make float64).
        name: its name in lessons, reports and messages.

    Raises:
        UsageError: if the data are not numbers, or it requires a gradient and they are not real floating-point numbers.

    Example:
        >>> import tinygrad_lite as tg
        >>> tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        tensor([[1., 2.],
                [3., 4.]], requires_grad=True)
    """
    if isinstance(data, Tensor) and data.requires_grad:
        raise UsageError("tg.tensor() of a tensor that requires a gradient would lose its history: use detach()")
    array = copied(constant(data.data if isinstance(data, Tensor) else data), dtype)
    if requires_grad:
        _check_differentiable(array)
    result = wrap(array, bool(requires_grad), name)
    result.index = next_index()
    return result


def _check_differentiable(array: Array) -> None:
    if array.dtype.kind != "f":
        raise UsageError(f"requires_grad needs real floats, got {array.dtype}: pass dtype=float, or write a + 1j * b")
