"""Functions whose gradient is not that of their operations: stopped, given by hand, or recomputed.

The last two make one operation out of a whole function, for the traced values among its arguments.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.backward import history
from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.tensor import Tensor, next_index
from tinygrad_lite.errors import GraphError, UsageError
from tinygrad_lite.ops.arithmetic import selection
from tinygrad_lite.transforms.dual import Dual, Pullback, innermost, pushes_tangents, settle, variable
from tinygrad_lite.transforms.runs import name_of
from tinygrad_lite.transforms.whole import Packing, operation


def stop_gradient(x: Any) -> Any:
    """The same values, as constants: no derivative of any order or mode flows through; containers are kept.

    Example:
        >>> import tinygrad_lite as tg
        >>> float(tg.grad(lambda x: x * tg.stop_gradient(x))(3.0))
        3.0
    """
    return trees.map_leaves(selection.stop_gradient, x)


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator for a function that returns its value and its own gradient rule.

    f(*args) returns (y, rule), and rule(g) returns gᵀ ∂y/∂x in the containers of the arguments: for one argument the
    gradient itself, for more a tuple, with None for an argument that has none. Written in NumPy, the rule can be
    differentiated again. Forward mode is made out of it as well, and takes it to be linear in g, as a gradient is: a
    rule that clips g is not, and has a meaning in reverse mode alone.

    Raises:
        UsageError: if f reads a tensor that requires a gradient without being given it, since the rule does not speak
            for that; if a tensor is passed by keyword; or if the rule returns other containers than the arguments.

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

    @wraps(f, updated=())
    def function(*args: Any, **kwargs: Any) -> Any:
        if _variables(kwargs):
            raise UsageError(f"the gradient of {name} is by its positional arguments: pass the tensor as one")
        inputs = _variables(args)
        template = _template(args)
        packing = Packing(name)

        def value_and_rule(arrays: Sequence[Array]) -> tuple[Any, Callable[..., Any]]:
            found = f(*_replaced(template, arrays), **kwargs)
            if not (isinstance(found, tuple) and len(found) == 2 and callable(found[1])):
                raise UsageError(f"{name} has a gradient of its own, and so must return a pair (value, rule)")
            return found

        if not inputs:
            return value_and_rule([])[0]
        latest: list[Any] = []

        def forward(*arrays: Array) -> Array:
            y, rule = value_and_rule(arrays)
            if any(_has_history(part) for part in trees.leaves(y)):
                raise UsageError(
                    f"{name} has a gradient of its own, and reads a tensor that requires a gradient without being "
                    "given it: make that an argument, or write tg.stop_gradient(tensor)"
                )
            latest[:] = [arrays, rule]
            return _copied(packing.pack(y))

        def gradients(g: Array, y: Array, *arrays: Array) -> list[Array]:
            before, rule = latest
            if any(a is not b for a, b in zip(before, arrays)):  # tensors, for the rule to be differentiated again
                rule = value_and_rule(arrays)[1]
            with grad_mode.enable_grad():
                found = rule(packing.unpack(g))
            if not grad_mode.enabled.get() and any(map(_has_history, trees.leaves(found))):
                raise UsageError(
                    f"the rule of {name} reads a tensor that requires a gradient, of which the second derivative would "
                    "not know: make that an argument, or write tg.stop_gradient(tensor)"
                )
            found = (found,) if len(template) == 1 else found
            if not isinstance(found, tuple) or len(found) != len(template):
                raise UsageError(f"the rule of {name} must return one gradient for each of {len(template)} arguments")
            remaining = iter(arrays)
            return [gradient for x, part in zip(template, found) for gradient in _of_variables(x, part, remaining)]

        return packing.unpack(operation(name, forward, gradients)(*inputs))

    return function


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of f's value and gradient that keeps nothing of what it computes, and computes it again when needed.

    The backward pass runs f once more and differentiates that, so of a long computation only what passes between its
    checkpointed parts stays in memory. Tensors that f reads without being given them, a module's parameters say, get
    their gradients too. While tangents are pushed forward, f just runs.

    Raises:
        GraphError: in the backward pass, if f gives another value than before (it draws random numbers, say), or if a
            tensor that it reads was given new data in between.

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

    @wraps(f, updated=())
    def function(*args: Any, **kwargs: Any) -> Any:
        inputs = _variables((args, kwargs))
        if not grad_mode.enabled.get() or pushes_tangents():
            return f(*args, **kwargs)
        template = _template((args, kwargs))
        packing = Packing(name)

        def run(arrays: Sequence[Array]) -> tuple[Any, list[Tensor]]:
            """The result of f as a graph of these variables."""
            variables = [variable(x) for x in arrays]
            positional, named = _replaced(template, variables)
            try:
                with grad_mode.enable_grad():
                    return f(*positional, **named), variables
            finally:
                settle(variables)

        def gradients(g: Array, y: Array, *arrays: Array) -> list[Array]:
            if any(innermost(x) is not read.data for x, read in zip(arrays[count:], outside)):
                raise GraphError(f"a tensor that {name} reads was given new data between its run and the backward pass")
            result, variables = run(arrays[:count])
            if not np.array_equal(innermost(packing.pack(result)), innermost(y), equal_nan=True):
                raise GraphError(
                    f"{name} gave another value when it was run again in the backward pass; what is checkpointed must "
                    "not draw random numbers or depend on what changes: draw them before, and pass them in"
                )
            return Pullback(trees.leaves(result), [*variables, *outside])(trees.leaves(packing.unpack(g)))

        since = next_index()
        result, variables = run(inputs)
        outside = _read_from_outside(trees.leaves(result), variables, since)
        packed = packing.pack(result)
        value = innermost(packed) if isinstance(packed, Tensor) else _copied(packed)
        count = len(inputs)
        return packing.unpack(operation(name, lambda *_: value, gradients)(*inputs, *outside))

    return function


def _name(f: Callable[..., Any]) -> str:
    name = name_of(f)
    return "function" if name == "<lambda>" else name


def _is_variable(x: Any) -> bool:
    return isinstance(x, Traced) and x.dtype.kind == "f"


def _variables(tree: Any) -> list[Any]:
    """The traced real values in containers."""
    return list(filter(_is_variable, trees.leaves(tree)))


class _Place:
    """Where a variable stood in containers."""


_PLACE = _Place()


def _template(tree: Any) -> Any:
    """The containers without their variables, which nobody shall keep alive, and with arrays that nobody can change."""
    return trees.map_leaves(lambda x: _PLACE if _is_variable(x) else _copied(x), tree)


def _copied(x: Any) -> Any:
    return x.copy() if isinstance(x, np.ndarray) else x


def _replaced(template: Any, arrays: Sequence[Array]) -> Any:
    """The containers with these arrays in place of their variables."""
    remaining = iter(arrays)
    return trees.map_leaves(lambda x: next(remaining) if x is _PLACE else x, template)


def _of_variables(template: Any, gradient: Any, arrays: Iterator[Array]) -> list[Array]:
    """The gradients of the variables in one argument; None for the whole stands for zero."""
    if gradient is None:
        return [np.zeros_like(innermost(next(arrays))) for x in trees.leaves(template) if x is _PLACE]
    pairs: list[tuple[Any, Any]] = []
    trees.map_leaves(lambda *pair: pairs.append(pair), template, gradient)
    return [_copied(part) for x, part in pairs if x is _PLACE and (next(arrays), True)]


def _has_history(x: Any) -> bool:
    return isinstance(x, Dual) or (isinstance(x, Tensor) and x.requires_grad)


def _read_from_outside(values: Sequence[Array], variables: Sequence[Tensor], since: int) -> list[Tensor]:
    """What values hang on besides the variables: tensors that require a gradient and were there before."""
    roots = [y for y in values if isinstance(y, Tensor)]
    path = history(roots, variables, oldest=since)
    read = dict.fromkeys(x for node in path for x in node.inputs if isinstance(x, Tensor)) | dict.fromkeys(roots)
    known = {*variables, *path}
    return [x for x in read if x.requires_grad and x not in known]
