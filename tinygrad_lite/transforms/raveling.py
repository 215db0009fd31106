"""Turns a tree of numbers into one flat array, and back, for optimisers such as SciPy's, which take a flat array."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.transforms.runs import opened


def ravel(tree: Any) -> tuple[Array, Callable[[Array], Any]]:
    """All numbers of a tree in one flat array, and the function that turns a flat array into such a tree.

    The tree consists of real floating-point numbers, arrays, tensors, modules and nested containers of these; a module
    stands for the dict of its parameters, which `tg.nn.functional_call` takes. The flat array has one axis and the
    widest dtype among the parts, and the way back restores each part's own. It is a tensor if a part is. Both
    directions have derivatives.

    Raises:
        UsageError: if there are other things in the tree, or integers, which have no derivative.
        ShapeError: from the way back, if the array has another shape.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> flat, unravel = tg.ravel({"w": np.array([[1.0, 2.0]]), "b": 3.0})
        >>> flat
        array([1., 2., 3.])
        >>> unravel(10 * flat)
        {'w': array([[10., 20.]]), 'b': np.float64(30.0)}

        Least squares by one of SciPy's optimisers:

        >>> from scipy.optimize import minimize
        >>> model = tg.nn.Linear(1, 1, rng=0)
        >>> x, y = np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]])
        >>> start, unravel = tg.ravel(model)
        >>> def loss(flat):
        ...     return np.mean((tg.nn.functional_call(model, unravel(flat), x) - y) ** 2)
        >>> found = minimize(tg.value_and_grad(loss), start.numpy(), jac=True, method="BFGS")
        >>> _ = model.load_state_dict(unravel(found.x))
        >>> round(model.weight.item(), 3), round(model.bias.item(), 3)
        (2.0, 1.0)
    """
    containers, _ = opened(tree)
    leaves = trees.leaves(containers)
    for path, leaf in zip(trees.paths(containers, "tree"), leaves):
        _check(path, leaf)
    shapes = [np.shape(leaf) for leaf in leaves]
    stops = np.cumsum([prod(shape) for shape in shapes], dtype=int).tolist()
    dtypes = [np.result_type(leaf) for leaf in leaves]
    flat_size = stops[-1] if stops else 0
    needs_cast = len(set(dtypes)) > 1
    flat = np.concatenate([np.reshape(leaf, -1) for leaf in leaves] or [np.zeros(0)])
    template = trees.map_leaves(lambda _: 0, containers)  # keeps the containers, not the arrays, which may be large

    def unravel(flat: Array) -> Any:
        if np.shape(flat) != (flat_size,):
            raise ShapeError(
                f"unravel takes a flat array of shape ({flat_size},), as ravel made it; got {np.shape(flat)}"
            )
        parts = []
        for start, stop, shape, dtype in zip([0, *stops], stops, shapes, dtypes):
            part = np.reshape(flat[start:stop], shape) if shape else flat[start]
            parts.append(part.astype(dtype) if needs_cast else part)
        remaining = iter(parts)
        return trees.map_leaves(lambda _: next(remaining), template)

    return flat, unravel


def _check(path: str, leaf: Any) -> None:
    kind = np.result_type(leaf).kind if hasattr(leaf, "dtype") or isinstance(leaf, (int, float, complex)) else ""
    if kind != "f":
        hint = ": write 1.0 for 1" if kind in ("b", "i", "u") else ""
        actual = f"{np.result_type(leaf)}" if kind else type(leaf).__name__
        raise UsageError(f"ravel takes real floating-point numbers; {path} is {actual}{hint}")
