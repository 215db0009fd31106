"""vmap: a function that was written for one example, on many at once."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.foreign import NUMERIC, numbers_of
from tinygrad_lite.transforms.batched import Batched, stack_of
from tinygrad_lite.transforms.custom import of_values
from tinygrad_lite.transforms.levels import stacking
from tinygrad_lite.transforms.runs import name_of, run


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """A function that maps f over an axis of its arguments, and stacks the results.

    Where f takes arrays of shapes s₁, s₂, … and returns y, the new function takes arrays with one axis more, along
    which the examples are, and returns one with the axis of the examples, too. f runs once: each operation computes
    the results of all examples. It nests with the other transforms: `tg.vmap(tg.grad(loss), (None, 0, 0))` returns the
    gradient of each example. Keyword arguments are mapped over their first axis. Random numbers that f draws are the
    same for all examples.

    Args:
        in_axes: the axis of the examples in each argument, or None for an argument that is the same for all of them;
            one for all arguments, or a tuple with one for each, which may hold containers like those of the argument.
        out_axes: the axis of the examples in the result, or in each part of it.

    Raises:
        UsageError: if f decides by a value (`if x > 0`) or converts one (`float(x)`), which differs between examples.
        ShapeError: if the arguments hold different numbers of examples, or none.
        InputError: if an argument has no such axis.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> def loss(w, x, t):
        ...     return (w @ x - t) ** 2
        >>> X, T = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 0.0])
        >>> tg.vmap(tg.grad(loss), in_axes=(None, 0, 0))(np.array([1.0, 1.0]), X, T)
        array([[ 4.,  8.],
               [42., 56.]])
    """
    name = name_of(f)

    @of_values
    @wraps(f, updated=())
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        axes = tuple(in_axes) if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise UsageError(f"in_axes of vmap of {name} has {len(axes)} entries for {len(args)} arguments")
        places = [*_axes_of_leaves(axes, args, "in_axes"), *_axes_of_leaves(0, kwargs, "in_axes")]
        leaves = [
            x if axis is None else _first(x, axis, name, args)
            for x, axis in zip(trees.leaves((args, kwargs)), places, strict=True)
        ]
        count = _count([x for x, axis in zip(leaves, places) if axis is not None], name)
        with stacking(count) as level:
            inside = iter([x if axis is None else Batched(x, level) for x, axis in zip(leaves, places)])
            args, kwargs = trees.map_leaves(lambda _: next(inside), (args, kwargs))
            result = trees.without_holders(run(f, args, kwargs))[0]
        outside = iter(_axes_of_leaves(out_axes, result, "out_axes"))
        result = trees.map_leaves(lambda y: _handed_out(y, next(outside), level, count, name), result)
        takes_tensors = any(isinstance(x, Tensor) for x in leaves)
        return result if takes_tensors else trees.map_leaves(_array_of_constant, result)

    return vectorized


def _axes_of_leaves(axes: Any, tree: Any, role: str) -> list[int | None]:
    """The axis of each leaf: an axis stands for all leaves below, a container has one for each child."""
    if axes is None or (isinstance(axes, (int, np.integer)) and not isinstance(axes, bool)):
        return [axes if axes is None else int(axes)] * len(trees.leaves(tree))
    inside, given = trees.children(tree), trees.children(axes)
    if inside is None or given is None or inside.keys() != given.keys():
        raise UsageError(f"{role} of vmap must be an axis, None, or containers like those they are for; got {axes!r}")
    return [axis for key, child in inside.items() for axis in _axes_of_leaves(given[key], child, role)]


def _array_of_constant(y: Any) -> Any:
    """A result of a function of arrays, which is an array unless a gradient can flow to it."""
    return y.data if isinstance(y, Tensor) and not y.requires_grad else y


def _first(x: Any, axis: int, name: str, args: Sequence[Any]) -> Array:
    """The array with this axis in front."""
    if not hasattr(x, "dtype") and np.asarray(x).dtype.kind not in NUMERIC:
        raise UsageError(
            f"vmap: {name} takes an argument of type {type(x).__name__}, which has no axis of examples: pass it by "
            "position, with None in in_axes"
        )
    array: Array = x if isinstance(x, Traced) else np.asarray(numbers_of(x, "vmap"))
    if not -array.ndim <= axis < array.ndim:
        is_in_a_list = not array.ndim and any(isinstance(arg, (list, tuple)) for arg in args)
        raise InputError(
            f"vmap: {name} takes an array of shape {array.shape}, which has no axis {axis} of examples: pass None in "
            "in_axes for an argument that is the same for all examples"
            f"{', and np.array(numbers) for a list of numbers' if is_in_a_list else ''}"
        )
    return array if axis == 0 else np.moveaxis(array, axis, 0)


def _count(stacks: Sequence[Array], name: str) -> int:
    counts = sorted({len(x) for x in stacks})
    if not counts:
        raise ShapeError(f"vmap of {name}: at least one argument must have an axis of examples, and none has")
    if len(counts) != 1 or not counts[0]:
        raise ShapeError(
            f"vmap of {name}: all arguments must hold the same number of examples, at least one; got "
            f"{', '.join(map(str, counts))}"
        )
    return counts[0]


def _handed_out(y: Any, axis: int | None, level: int, count: int, name: str) -> Any:
    """A result with the axis of the examples where the user wants it."""
    if not isinstance(y, (Traced, np.ndarray, np.generic, bool, int, float, complex)):
        raise UsageError(f"{name} must return numbers or arrays to be mapped over examples; got {type(y).__name__}")
    if axis is not None:
        stack = stack_of(y, level, count)
        if not -stack.ndim <= axis < stack.ndim:
            raise InputError(
                f"out_axes of vmap is {axis}, but with the axis of the examples, a result of {name} has {stack.ndim} "
                f"axes, of shape {stack.shape}"
            )
        return stack if axis == 0 else np.moveaxis(stack, 0, axis)
    if isinstance(y, Batched) and y.level == level:
        raise UsageError(f"a result of {name} differs between examples, so that its axis in out_axes cannot be None")
    return y
