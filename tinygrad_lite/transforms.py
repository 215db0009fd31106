"""Floor 3. Functions made out of functions: the gradient of one, beside its value or alone.

Arrays in, arrays out; tensors in, tensors out. A result that hangs on an outer tensor that requires a gradient, through
an argument or a closure, stays a tensor with a history, so that transforms nest.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from operator import index
from typing import Any

import numpy as np

from tinygrad_lite import grad_mode, trees
from tinygrad_lite.backward import history, propagate
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.tensor import Tensor, tensor, wrap


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns f(*args) and its gradient with respect to some of the arguments.

    (f(x), ∂f/∂x) for a function with one real result. The gradient has the containers of the argument and its shapes;
    with a tuple of `argnums` it is a tuple. With `has_aux`, f returns (result, anything) and so does the new function
    in place of the value. Keyword arguments are passed through.

    Raises:
        UsageError: if an argument to differentiate by holds no floating-point numbers, or f returns no number.
        ShapeError: if f returns more than one number.
        InputError: if there is no argument of this position, or one is named twice.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> value, gradient = tg.value_and_grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
        >>> print(value, gradient)
        5.0 [2. 4.]
    """
    name = getattr(f, "__name__", "the function")

    @wraps(f, updated=())
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        positions = _positions(argnums, len(args), name)
        chosen = tuple(args[position] for position in positions)
        replaced = trees.map_leaves(_variable, chosen)
        variables = trees.leaves(replaced)
        arguments = list(args)
        for position, argument in zip(positions, replaced, strict=True):
            arguments[position] = argument
        result = _run(f, arguments, kwargs)
        if has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise UsageError(f"with has_aux, {name} must return a pair (result, anything); it returned {result!r}")
        value = result[0] if has_aux else result
        gradients = iter(_gradients(value, variables, name))
        gradient = trees.map_leaves(lambda _: next(gradients), chosen)
        if not isinstance(argnums, (tuple, list)):
            gradient = gradient[0]
        as_given = any(isinstance(x, Tensor) for x in trees.leaves(chosen))
        finish = partial(_finished, ends=frozenset(variables), as_arrays=not as_given)
        finished = trees.map_leaves(finish, (result, gradient))
        for variable in variables:
            variable.settle()
        return finished

    return value_and_gradient


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of f, ∂f/∂x, with respect to some of its arguments.

    As `value_and_grad` without the value; with `has_aux` it returns (gradient, anything).

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> float(tg.grad(np.tanh)(0.0))
        1.0
        >>> third = tg.grad(tg.grad(tg.grad(np.sin)))
        >>> float(third(0.0))
        -1.0
    """
    with_value = value_and_grad(f, argnums, has_aux)

    @wraps(f, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = with_value(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def _positions(argnums: Any, count: int, name: str) -> list[int]:
    """The chosen positions among a call's positional arguments."""
    try:
        positions = [index(k) for k in (argnums if isinstance(argnums, (tuple, list)) else (argnums,))]
    except TypeError:
        raise UsageError(f"argnums is a position or a tuple of positions, got {argnums!r}") from None
    if not all(-count <= position < count for position in positions):
        raise InputError(f"argnums={argnums} for a call of {name} with {count} positional arguments")
    positions = [position % count for position in positions]
    if len(set(positions)) < len(positions):
        raise InputError(f"argnums={argnums} names an argument twice")
    return positions


def _run(f: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a user's function, with a graph being built and no tensor leaving it unasked."""
    mode = grad_mode.mode
    before = mode.transforming
    mode.transforming = True
    try:
        with grad_mode.enable_grad():
            return f(*args, **kwargs)
    finally:
        mode.transforming = before


def _variable(x: Any) -> Tensor:
    """A tensor for the function to be given in place of x, and for the gradient to arrive at."""
    given = x if isinstance(x, Tensor) else tensor(x)
    if given.dtype.kind != "f":
        raise UsageError(f"a gradient with respect to {given.dtype} is not defined: pass real floating-point numbers")
    return given.holding(given.data)


def _gradients(value: Any, variables: list[Tensor], name: str) -> list[Tensor]:
    """The gradient of a function's value at each of its variables, zero where it does not depend on one."""
    if not isinstance(value, Tensor):
        if not isinstance(value, (int, float, np.generic, np.ndarray)):
            raise UsageError(f"{name} must return a number to have a gradient, it returned {type(value).__name__}")
        value = tensor(value)
    if value.size != 1:
        raise ShapeError(f"{name} must return one number to have a gradient, it returned shape {value.shape}")
    path, between, outer = _between(value, frozenset(variables))
    create_graph = outer and grad_mode.mode.enabled
    found = propagate(path, value, np.ones_like(value.data), create_graph, only=between)
    gradients = [found.get(x, np.zeros_like(x.data)) for x in variables]
    return [g if isinstance(g, Tensor) else wrap(g) for g in gradients]


def _between(value: Tensor, ends: frozenset[Tensor]) -> tuple[list[Tensor], set[Tensor], bool]:
    """What lies between a value and the ends, as a history and as a set, and whether it hangs on anything besides."""
    path = history(value, ends, oldest=min((end.index for end in ends), default=0))
    known = ends.union(path)
    between = set(ends)
    beside = {end for end in ends if end.inputs[0].requires_grad}
    for node in path:
        linked = [x for x in node.inputs if isinstance(x, Tensor) and x.requires_grad]
        if not between.isdisjoint(linked):
            between.add(node)
        if not beside.isdisjoint(linked) or not known.issuperset(linked):
            beside.add(node)
    hangs_on_others = value in beside or (value.requires_grad and value not in known)
    return [node for node in path if node in between], between, hangs_on_others


def _finished(x: Any, ends: frozenset[Tensor], as_arrays: bool) -> Any:
    """A result as it is handed out: a tensor with a history if it hangs on an outer one, else without."""
    if not isinstance(x, Tensor):
        return x
    if x.requires_grad and _between(x, ends)[2]:
        return x
    return x.data if as_arrays else x.detach()
