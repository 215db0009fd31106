"""The Jacobian, by rows or by columns, and the Hessian."""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any, Literal

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError
from tinygrad_lite.transforms.batched import for_each
from tinygrad_lite.transforms.dual import Dual
from tinygrad_lite.transforms.gradients import grad, tangent_of
from tinygrad_lite.transforms.levels import pushing
from tinygrad_lite.transforms.runs import Argnums, FunctionCall, Run, as_traced, real, units, users_own

_RUN_PER_PASS = 2.0  # the cost of a forward run in reverse passes (measured)


def jacobian(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    mode: Literal["forward", "reverse"] | None = None,
) -> Callable[..., Any]:
    """A function that returns the Jacobian of f, ∂yᵢ/∂xⱼ, with respect to some of its arguments.

    For a result of shape y and an argument of shape x, the Jacobian is an array of shape y + x. For containers, it is
    such arrays in the argument's containers, within the result's containers. With `has_aux`, f returns (result,
    anything), and the new function returns (jacobian, anything).

    Args:
        mode: "reverse" makes one pass for each entry of the result, "forward" one run for each entry of the arguments.
            By default, the mode is the cheaper of the two.

    Raises:
        UsageError: if a chosen argument does not hold floating-point numbers, or f returns no arrays.
        InputError: if there is no argument at this position, or no such mode.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.jacobian(lambda x: x[:2] ** 2)(np.array([1.0, 2.0, 3.0]))
        array([[2., 0., 0.],
               [0., 4., 0.]])
    """
    if mode not in (None, "forward", "reverse"):
        raise InputError(f'mode must be "forward", "reverse" or left out, got {mode!r}')

    @wraps(f, updated=())
    def jacobian_of_f(*args: Any, **kwargs: Any) -> Any:
        run = Run(FunctionCall(f, args, kwargs, argnums, has_aux))
        rows = sum(np.size(y) for y in run.values)
        columns = sum(x.size for x in run.variables)
        forward = columns * _RUN_PER_PASS < rows if mode is None else mode == "forward"
        blocks = iter(_by_columns(run) if forward else _by_rows(run))
        result = trees.map_leaves(lambda _: run.call.shaped(next(blocks)), run.result)
        return (result, run.finished(run.aux)) if has_aux else result

    return jacobian_of_f


def hessian(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the Hessian of f, ∂²f/∂xᵢ∂xⱼ, for a function with one real result.

    For an argument of shape x, the Hessian is an array of shape x + x. For containers or several arguments, it is the
    Jacobian of the gradient in their containers.

    Raises:
        UsageError, ShapeError, InputError: as `grad` does.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
        array([[6., 2.],
               [2., 0.]])
    """
    return jacobian(grad(f, argnums, has_aux), argnums, has_aux)


def _by_rows(run: Run) -> list[list[Array]]:
    """The block of each variable, for each value: reverse passes for all entries of the value, many in one."""
    blocks = []
    for k, y in enumerate(run.values):
        rows = _along_units(run, y, partial(_pulled, run, k), run.variables)
        blocks.append([_block(rows[j], y, x, 0) for j, x in enumerate(run.call.leaves)])
    return [[users_own(run.finished(block)) for block in of_value] for of_value in blocks]


def _by_columns(run: Run) -> list[list[Array]]:
    """The block of each variable, for each value: forward runs for all entries of the variable, many in one."""
    primals = [real(x) for x in run.call.leaves]
    columns = [_along_units(run, x, partial(_changes, run, primals, j), run.values) for j, x in enumerate(primals)]
    return [
        [users_own(run.call.finished(_block(columns[j][k], y, x, -1))) for j, x in enumerate(primals)]
        for k, y in enumerate(run.values)
    ]


def _along_units(
    run: Run, x: Array, derivatives: Callable[[Array], list[Array]], results: Sequence[Array]
) -> list[list[Array]]:
    """For each of the results, the stacks of its derivatives along all units of x."""
    width = run.pull.most_at_once
    parts = [for_each(derivatives, units(x, start, width)) for start in range(0, np.size(x), width)]
    return [[part[k] for part in parts] for k in range(len(results))]


def _pulled(run: Run, k: int, g: Array) -> list[Array]:
    """The gradient of each variable, for an upstream gradient of the k-th value."""
    return run.pull([g if i == k else None for i in range(len(run.values))])


def _changes(run: Run, primals: list[Array], j: int, direction: Array) -> list[Array]:
    """The directional derivative of each value along a direction in the j-th argument."""
    with pushing() as level:
        result, _ = run.call.run([*primals[:j], Dual(primals[j], direction, level), *primals[j + 1 :]])
    return trees.leaves(trees.map_leaves(lambda _, y: tangent_of(y, level, run.call.name), run.result, result))


def _block(stacks: list[Array], y: Array, x: Array, axis: int) -> Any:
    """The derivatives of y with respect to x, from stacks of rows (for axis 0) or of columns (for axis -1)."""
    shape = (*np.shape(y), *np.shape(x))
    if not stacks:
        return as_traced(np.zeros(shape, np.result_type(y if axis else x)))
    stack = np.concatenate(stacks) if len(stacks) > 1 else stacks[0]
    return as_traced(np.reshape(np.moveaxis(stack, 0, axis) if axis else stack, shape))
