"""Transforms that differentiate a function, in reverse and in forward mode.

Arrays in, arrays out; tensors in, tensors out. Transforms nest in any order: a result that depends on an outer tensor
that requires a gradient, through an argument or a closure, stays a tensor with a history, and a result that depends on
an outer tangent keeps the tangent.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.transforms import pending
from tinygrad_lite.transforms.dual import Dual, highest_dual, innermost, settle, variable
from tinygrad_lite.transforms.levels import pushing
from tinygrad_lite.transforms.runs import (
    VALUES,
    Argnums,
    FunctionCall,
    Run,
    change_of,
    check_number,
    check_one_entry_each,
    name_of,
    real,
    users_own,
)


def value_and_grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns f(*args) and its gradient with respect to some of the arguments.

    It returns (f(x), ∂f/∂x) for a function with one real result. The gradient has the containers and shapes of the
    argument; with a tuple of `argnums` it is a tuple. With `has_aux`, f returns (result, anything), and the new
    function returns that pair in place of the value. Keyword arguments are passed through.

    Raises:
        UsageError: if a chosen argument holds no floating-point numbers, or f returns no number.
        ShapeError: if f returns more than one number.
        InputError: if there is no argument at this position, or a position occurs twice.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> value, gradient = tg.value_and_grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
        >>> print(value, gradient)
        5.0 [2. 4.]
    """
    name_of(f)

    @wraps(f, updated=())
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        run = Run(FunctionCall(f, args, kwargs, argnums, has_aux))
        gradient = pending.gradient(run, [_unit(run.result, run.call.name)])
        return run.finished((run.result, run.aux) if has_aux else run.result), gradient

    return value_and_gradient


def _unit(y: Any, name: str) -> Array:
    """The upstream gradient of a function's result, which must be one number."""
    if not isinstance(y, VALUES):
        raise UsageError(f"{name} must return a number to have a gradient, it returned {type(y).__name__}")
    array = innermost(y)
    if isinstance(array, (np.generic, int, float)):
        return type(array)(1)
    if prod(array.shape) != 1:
        raise ShapeError(f"{name} must return one number to have a gradient, it returned shape {array.shape}")
    return np.ones_like(array)


def grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of f, ∂f/∂x, with respect to some of its arguments.

    It is `value_and_grad` without the value; with `has_aux` it returns (gradient, anything).

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> float(tg.grad(np.tanh)(0.0))
        1.0
        >>> third = tg.grad(tg.grad(tg.grad(np.sin)))
        >>> float(third(0.0))
        -1.0
    """
    name_of(f)

    @wraps(f, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        run = Run(FunctionCall(f, args, kwargs, argnums, has_aux))
        gradients = pending.gradient(run, [_unit(run.result, run.call.name)])
        return (gradients, run.finished(run.aux)) if has_aux else gradients

    return gradient


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False, **kwargs: Any) -> Any:
    """Return f(*primals) and the function that maps an upstream gradient to the gradients of the arguments.

    That function is g ↦ (gᵀ ∂f/∂x₁, gᵀ ∂f/∂x₂, ...), with one gradient for each argument. The upstream gradient g has
    the result's containers and shapes, and the function can be called any number of times. With `has_aux`, f returns
    (result, anything), and `anything` comes third.

    Raises:
        UsageError: if an argument holds no floating-point numbers, or g has other containers than the result.
        ShapeError: if g has another shape than the result.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> y, pull = tg.vjp(lambda a, b: a * b, np.array([1.0, 2.0]), 3.0)
        >>> by_a, by_b = pull(np.array([1.0, 10.0]))
        >>> print(y, by_a, by_b)
        [3. 6.] [ 3. 30.] 21.0
    """
    run = Run(FunctionCall(f, primals, kwargs, tuple(range(len(primals))), has_aux))

    def pull(g: Any) -> Any:
        return pending.gradient(
            run, trees.leaves(trees.map_leaves(lambda y, g: change_of("gradient", y, g), run.result, g))
        )

    result = run.finished(run.result)
    return (result, pull, run.finished(run.aux)) if has_aux else (result, pull)


def jvp(
    f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False, **kwargs: Any
) -> Any:
    """Return f(*primals) and its directional derivative Σᵢ ∂f/∂xᵢ · tᵢ along the tangents, by forward mode.

    There is one tangent for each argument, in the argument's containers and shapes. With `has_aux`, f returns (result,
    anything), and `anything` comes third.

    Raises:
        UsageError: if an argument holds no floating-point numbers, or its tangent has other containers.
        ShapeError: if a tangent has another shape than its argument.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> y, change = tg.jvp(np.sin, (0.0,), (2.0,))
        >>> print(y, change)
        0.0 2.0
    """
    name = name_of(f)
    check_one_entry_each(primals, tangents, None, f"jvp of {name}")
    call = FunctionCall(f, primals, kwargs, tuple(range(len(primals))), has_aux)
    variables: list[Tensor] = []

    def dual(x: Any, t: Any) -> Dual:
        primal = real(x)
        if isinstance(primal, Tensor) and primal.requires_grad:  # tells the argument from x, if f reads x as well
            primal = variable(primal)
            variables.append(primal)
        return Dual(primal, change_of("tangent", x, t), level)

    with pushing() as level:
        try:
            result, aux = call.run(trees.leaves(trees.map_leaves(dual, call.chosen, tuple(tangents))))
        finally:
            settle(variables)
    if variables:
        call.warn_of_bystanders(trees.leaves(result), variables)
    if highest_dual(trees.leaves(result)) < level:
        call.warn_if_cut()
    changes = trees.map_leaves(lambda y: tangent_of(y, level, name), result)
    value, aux = (trees.map_leaves(lambda y: primal_of(y, level), part) for part in (result, aux))
    finished = trees.map_leaves(call.finished, (value, changes, aux))
    finished = (finished[0], trees.map_leaves(users_own, finished[1]), finished[2])
    return finished if has_aux else finished[:2]


def primal_of(y: Any, level: int) -> Any:
    """A function's result without its tangent of this level."""
    return y.primal if isinstance(y, Dual) and y.level == level else y


def tangent_of(y: Any, level: int, name: str) -> Array:
    """The tangent of this level of a function's result; zero if it has none."""
    check_number(y, name)
    return y.tangent if isinstance(y, Dual) and y.level == level else np.zeros_like(innermost(y))


def hvp(
    f: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    **kwargs: Any,
) -> Any:
    """Return the Hessian-vector product ∂²f/∂x∂x · t of a function with one real result, without making the Hessian.

    The tangents are a tuple with one entry for each argument in `argnums`, in the argument's containers and shapes. The
    product is the gradient of ∂f/∂x · t and costs about three gradients. With `has_aux`, the result is (product,
    anything).

    Raises:
        UsageError, ShapeError, InputError: as `grad` and `jvp` do.

    Reference: B. A. Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6 (1994).

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 10.0]),))
        array([  6., 120.])
    """
    several = argnums if isinstance(argnums, (tuple, list)) else (argnums,)
    check_one_entry_each(primals, tangents, len(several), f"hvp of {name_of(f)}")
    gradient = grad(f, several, has_aux)

    def slope(*args: Any, **keywords: Any) -> Any:
        result = gradient(*args, **keywords)
        by_x, aux = result if has_aux else (result, None)
        parts = trees.map_leaves(lambda g, t: np.sum(g * change_of("tangent", g, t)), by_x, tuple(tangents))
        total = sum(trees.leaves(parts))
        return (total, aux) if has_aux else total

    return grad(wraps(f, updated=())(slope), argnums, has_aux)(*primals, **kwargs)
