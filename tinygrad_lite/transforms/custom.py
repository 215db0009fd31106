"""Functions whose gradient is stopped, written by hand, or recomputed.

The last two turn a whole function into one operation on the traced values among its arguments.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, timedelta
from enum import Enum
from functools import partial, wraps
from numbers import Number
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any
from weakref import ref

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.backward import history, noting
from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.tensor import Tensor, next_index
from tinygrad_lite.errors import GraphError, UsageError
from tinygrad_lite.ops.arithmetic import selection
from tinygrad_lite.transforms.dual import Pullback, has_history, innermost, settle, variable
from tinygrad_lite.transforms.levels import pushes_tangents, running_stacks
from tinygrad_lite.transforms.runs import name_of
from tinygrad_lite.transforms.whole import AllAtOnce, Packing, operation

recomputes: ContextVar[bool] = ContextVar("recomputes", default=True)
"""Whether a checkpointed function runs again in the backward pass; if not, it is an ordinary function."""

_CONSTANTS = (
    *(NoneType, Number, str, bytes, range, Enum, date, timedelta, PurePath),
    *(type, FunctionType, BuiltinFunctionType, np.ufunc, np.dtype),
)
"""What may be among values in containers, and holds no value that is being differentiated."""


def stop_gradient(x: Any) -> Any:
    """Return the same values as constants, in the same containers: no derivative of any order or mode passes through.

    Raises:
        UsageError: if a module, a set or another object is among the values, since it may hold more of them.

    Example:
        >>> import tinygrad_lite as tg
        >>> float(tg.grad(lambda x: x * tg.stop_gradient(x))(3.0))
        3.0
    """
    return trees.map_leaves(_stopped, x)


def _stopped(x: Any) -> Any:
    is_array = hasattr(x, "dtype") and hasattr(x, "shape") and getattr(x.dtype, "kind", "") != "O"
    may_hold_values = not (is_array or isinstance(x, _CONSTANTS))
    if may_hold_values and not isinstance(x, np.random.Generator):  # last: to name it imports np.random
        raise UsageError(
            f"stop_gradient does not see the values inside {type(x).__name__}, and would let their gradients pass: "
            "give it these values, or the result of a call, as in tg.stop_gradient(module(x)); it knows arrays, and "
            "tuples, lists, dicts and dataclasses of them"
        )
    return selection.stop_gradient(x)


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator for a function that returns its value and its own gradient rule.

    f(*args) returns (y, rule). rule(g) takes the upstream gradient g and returns gᵀ ∂y/∂x in the containers of the
    arguments: for one argument the gradient itself, for several a tuple, with None for an argument without a gradient.
    The gradient of a complex number z is ∂/∂Re z - i ∂/∂Im z, and so is g: the result moves by Re(g · dy). A rule
    written in NumPy can be differentiated again, also with respect to tensors that it reads. Forward mode uses the
    rule, too, and assumes that it is linear in g, as a gradient is. A rule that clips g is not linear and only makes
    sense in reverse mode.

    Raises:
        UsageError: if y follows a tensor that requires a gradient and is not an argument, since the rule does not cover
            it; if a tensor is passed by keyword; or if the rule returns other containers than the arguments.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> @tg.custom_gradient
        ... def log1pexp(x):
        ...     e = np.exp(x)
        ...     return np.log1p(e), lambda g: g * (1 - 1 / (1 + e))
        >>> float(tg.grad(log1pexp)(100.0))
        1.0
    """
    name = _name(f)

    @of_values
    @wraps(f, updated=())
    def function(*args: Any, **kwargs: Any) -> Any:
        if _variables(kwargs):
            raise UsageError(f"{name} has a gradient for its positional arguments only: pass the tensor by position")
        return _WithRule(f, name, args, kwargs).result(_variables(args))

    return function


class RuleByHand(AllAtOnce):
    """A rule that a user wrote. It may read anything, and so may return another gradient when it runs again."""

    __slots__ = ()


class _WithRule:
    """One call of a function with its own gradient rule, as one operation on the call's variables.

    It does not hold the variables, so that they are freed with the graph.
    """

    def __init__(self, f: Callable[..., Any], name: str, args: Any, kwargs: Any) -> None:
        self._f, self._name, self._kwargs = f, name, kwargs
        self._template = _template(args)
        self._packing = Packing(name)
        self._latest: tuple[Sequence[Array], Callable[..., Any]] = (), lambda g: g

    def result(self, variables: Sequence[Array]) -> Any:
        if not variables:
            return self._value([])[0]
        return self._packing.unpack(operation(self._name, self._forward, RuleByHand(self._gradients))(*variables))

    def _value_and_rule(self, arrays: Sequence[Array]) -> tuple[Any, Callable[..., Any]]:
        result = self._f(*_replaced(self._template, arrays), **self._kwargs)
        if not (isinstance(result, tuple) and len(result) == 2 and callable(result[1])):
            raise UsageError(f"{self._name} has a gradient of its own, and so must return a pair (value, rule)")
        return result

    def _value(self, arrays: Sequence[Array]) -> tuple[Any, Callable[..., Any]]:
        """The value, which depends on no other variables, and the rule."""
        y, rule = self._value_and_rule(arrays)
        if any(map(has_history, trees.leaves(y))):
            raise UsageError(
                f"{self._name} has a gradient of its own, but reads a tensor that requires a gradient and is not an "
                "argument: make it an argument of its own, or write tg.stop_gradient(tensor)"
            )
        return y, rule

    def _forward(self, *arrays: Array) -> Array:
        y, rule = self._value(arrays)
        self._latest = arrays, rule
        return _copied(self._packing.pack(y))

    def _gradients(self, g: Array, y: Array, *arrays: Array) -> list[Array]:
        before, rule = self._latest
        if any(a is not b for a, b in zip(before, arrays)):  # these are tensors: the rule is being differentiated
            rule = self._value_and_rule(arrays)[1]
        with grad_mode.enable_grad():
            by_argument = rule(self._packing.unpack(g))
        count = len(self._template)
        by_argument = (by_argument,) if count == 1 else by_argument
        if not isinstance(by_argument, tuple) or len(by_argument) != count:
            raise UsageError(f"the rule of {self._name} must return one gradient for each of {count} arguments")
        remaining = iter(arrays)
        return [part for x, whole in zip(self._template, by_argument) for part in _of_variables(x, whole, remaining)]


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function with the value and gradient of f that stores no intermediate results and recomputes them when needed.

    The backward pass runs f once more and differentiates that run. So only the values that pass between the
    checkpointed parts of a long computation stay in memory. Tensors that f reads without taking them as arguments, such
    as a module's parameters, get their gradients, too. In forward mode, and in a compiled function, f simply runs. A
    `backward()` in f adds to the `.grad` of such tensors; what it adds to that of an argument stays inside.

    Raises:
        GraphError: in the backward pass, if f returns a different value than before (because it draws random numbers,
            say), or if a tensor that it reads has new data since.

    Reference: A. Griewank and A. Walther, Revolve, ACM Transactions on Mathematical Software 26 (2000).

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> def block(x):
        ...     for _ in range(100):
        ...         x = np.sin(x)
        ...     return x
        >>> bool(tg.grad(tg.checkpoint(block))(0.5) == tg.grad(block)(0.5))
        True
    """
    name = _name(f)

    @of_values
    @wraps(f, updated=())
    def function(*args: Any, **kwargs: Any) -> Any:
        if not grad_mode.enabled.get() or pushes_tangents() or running_stacks.get():
            return f(*args, **kwargs)
        if not recomputes.get():
            with _noting(partial(_refuse_backward, name) if _variables((args, kwargs)) else noting.get()):
                return f(*args, **kwargs)
        return _Recomputed(f, name, args, kwargs).result(_variables((args, kwargs)))

    return function


class _Recomputed:
    """One call of a function that runs again in the backward pass, as one operation on the call's variables.

    It does not hold the variables, so that they are freed with the graph.
    """

    def __init__(self, f: Callable[..., Any], name: str, args: Any, kwargs: Any) -> None:
        self._f, self._name = f, name
        self._template = _template((args, kwargs))
        self._packing = Packing(name)
        self._grads: dict[int, tuple[ref[Tensor], Tensor | None]] = {}
        self._is_inside = grad_mode.transforming.get()  # a transform, whose pass runs the function outside of it

    def result(self, variables: Sequence[Array]) -> Any:
        since = next_index()
        with _noting(partial(self._note, noting.get())):
            result, stand_ins = self._run(variables)
        self._count = len(variables)
        self._outside = _read_from_outside(trees.leaves(result), stand_ins, since)
        packed = self._packing.pack(result)
        value = innermost(packed) if isinstance(packed, Tensor) else _copied(packed)
        op = operation(self._name, lambda *_: value, AllAtOnce(self._gradients))
        return self._packing.unpack(op(*variables, *self._outside))

    def _run(self, arrays: Sequence[Array]) -> tuple[Any, list[Tensor]]:
        """Run the function on stand-ins for these variables; return its result, a graph of the stand-ins, and them."""
        stand_ins = [variable(x) for x in arrays]
        args, kwargs = _replaced(self._template, stand_ins)
        before = grad_mode.transforming.set(self._is_inside)
        try:
            with grad_mode.enable_grad():
                return trees.without_holders(self._f(*args, **kwargs))[0], stand_ins
        finally:
            grad_mode.transforming.reset(before)
            settle(stand_ins)

    def _note(self, outer: Callable[..., None], gradients: Collection[Tensor]) -> None:
        """Note the tensors to whose `.grad` the function adds, each with what it was before."""
        for x in gradients:
            known = self._grads.get(id(x))
            if known is None or known[0]() is not x:
                self._grads[id(x)] = ref(x), x._grad
        outer(gradients)

    def _run_again(self, arrays: Sequence[Array]) -> tuple[Any, list[Tensor]]:
        """Run the function from the `.grad` that it found the first time, and leave that of the tensors as it is."""
        found = [(x, grad) for known, grad in self._grads.values() if (x := known()) is not None]
        left = [x._grad for x, _ in found]
        for x, grad in found:
            x._grad = grad
        try:
            with _noting(lambda gradients: None):
                return self._run(arrays)
        finally:
            for (x, _), grad in zip(found, left):
                x._grad = grad

    def _gradients(self, g: Array, y: Array, *arrays: Array) -> list[Array]:
        count = self._count
        if any(innermost(x) is not read.data for x, read in zip(arrays[count:], self._outside)):
            raise GraphError(
                f"a tensor that {self._name} reads was given new data before the backward pass: update it afterwards"
            )
        result, stand_ins = self._run_again(arrays[:count])
        if not np.array_equal(innermost(self._packing.pack(result)), innermost(y), equal_nan=True):
            raise GraphError(
                f"{self._name} returned another value when it ran again in the backward pass; a checkpointed function "
                "must not draw random numbers or depend on what changes: draw them before, and pass them in"
            )
        pull = Pullback(trees.leaves(result), [*stand_ins, *self._outside])
        return pull(trees.leaves(self._packing.unpack(g)))


@contextmanager
def _noting(note: Callable[..., None]) -> Iterator[None]:
    """A block in which this is told of the gradients that `backward()` adds to `.grad`."""
    before = noting.set(note)
    try:
        yield
    finally:
        noting.reset(before)


def _refuse_backward(name: str, gradients: Collection[Tensor]) -> None:
    raise UsageError(
        f"{name} calls backward() inside tg.checkpoint, which is not compiled: its arguments would get the gradient "
        "that stays inside; leave out tg.checkpoint, since a program itself decides how long it keeps a value"
    )


def _name(f: Callable[..., Any]) -> str:
    name = name_of(f)
    return "function" if name == "<lambda>" else name


def _is_variable(x: Any) -> bool:
    return isinstance(x, Traced) and x.dtype.kind in "fc"


def of_values(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function on the values of holders among its arguments; its results are put into holders as well."""

    @wraps(function, updated=())
    def called(*args: Any, **kwargs: Any) -> Any:
        (args, kwargs), holder = trees.without_holders((args, kwargs))
        result = function(*args, **kwargs)
        return result if holder is None else trees.map_leaves(holder.holding, result)

    return called


def _variables(tree: Any) -> list[Any]:
    """The traced values in containers that a gradient can flow to."""
    return list(filter(_is_variable, trees.leaves(tree)))


class _Gap:
    """Marks where a variable was in its containers."""


_GAP = _Gap()


def _template(tree: Any) -> Any:
    """The containers without their variables, so as not to keep them alive, and with copies of their arrays."""
    return trees.map_leaves(lambda x: _GAP if _is_variable(x) else _copied(x), tree)


def _copied(x: Any) -> Any:
    return x.copy(order="K") if isinstance(x, np.ndarray) else x


def _replaced(template: Any, arrays: Sequence[Array]) -> Any:
    """The containers with these arrays in place of the variables."""
    remaining = iter(arrays)
    return trees.map_leaves(lambda x: next(remaining) if x is _GAP else x, template)


def _zeros_like(x: Array) -> Array:
    """Zeros of this shape and dtype, which a recording knows to be 0."""
    shape, dtype = x.shape, x.dtype
    return np.zeros(shape, dtype) if isinstance(x, Traced) else np.zeros_like(x)


def _of_variables(template: Any, gradient: Any, arrays: Iterator[Array]) -> list[Array]:
    """The gradients of the variables in one argument; None in place of all of them stands for zero."""
    if gradient is None:
        return [_zeros_like(innermost(next(arrays))) for x in trees.leaves(template) if x is _GAP]
    parts: list[Any] = []
    trees.map_leaves(lambda x, part: parts.append(part) if x is _GAP else None, template, gradient)
    for _ in parts:
        next(arrays)
    return [_copied(part) for part in parts]


def _read_from_outside(values: Sequence[Array], variables: Sequence[Tensor], since: int) -> list[Tensor]:
    """The tensors from before this run that values depend on and that require a gradient, without the variables."""
    roots = [y for y in values if isinstance(y, Tensor)]
    path = history(roots, variables, oldest=since)
    read = dict.fromkeys(x for node in path for x in node.inputs if isinstance(x, Tensor)) | dict.fromkeys(roots)
    known = {*variables, *path}
    return [x for x in read if x.requires_grad and x not in known]
