"""Floor 2. The reverse pass: from a result back to what it was made of.

Every tensor that an operation made remembers the operation, its inputs and the arrays that it was given. The pass
walks these memories in reverse order of creation, hands the gradient that arrived (g) to the operation's derivatives,
and adds up what each input receives. Derivatives run on plain arrays; with `create_graph` the same code runs on
tensors, so that the gradient is a graph itself.
"""

from collections.abc import Collection
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_lite import grad_mode
from tinygrad_lite.errors import GraphError, ShapeError, UsageError
from tinygrad_lite.ops.op import Array

if TYPE_CHECKING:
    from tinygrad_lite.tensor import Tensor

_by_age = attrgetter("index")


def history(root: "Tensor", ends: Collection["Tensor"] = (), oldest: int = 0) -> list["Tensor"]:
    """Every tensor behind `root` that an operation made, root included, oldest first.

    It looks no further than `ends`, and leaves out what is older than `oldest` in the order of creation.

    Raises:
        GraphError: if a part of the graph was freed by an earlier backward pass.
    """
    kind = type(root)
    path: list[Tensor] = []
    seen = {*ends}
    ahead = [] if root.op is None or root in seen else [root]
    while ahead:
        node = ahead.pop()
        if node.index < oldest:
            continue
        if node.inputs is None:
            raise GraphError(
                f"the graph behind this result of {node.op} was freed by an earlier backward pass; pass "
                "retain_graph=True to that one, or compute the result again"
            )
        path.append(node)
        for x in node.inputs:
            if type(x) is kind and x.op is not None and x not in seen:
                seen.add(x)
                ahead.append(x)
    path.sort(key=_by_age)
    return path


def propagate(
    path: list["Tensor"], root: "Tensor", g: Array, create_graph: bool, only: Collection["Tensor"] | None = None
) -> dict["Tensor", Array]:
    """Play a history back: the gradient of root, weighted by g, for each leaf and each tensor that retains its own.

    With `only`, no gradient is computed for any other tensor.
    """
    kind = type(root)
    arrived = {root: g}
    before, grad_mode.mode.enabled = grad_mode.mode.enabled, create_graph
    try:
        for node in reversed(path):
            g = arrived.get(node) if node.retains_grad else arrived.pop(node, None)
            if g is None:
                continue
            vjps, params = node.op.vjps, node.params
            y, arrays = (node, _linked(node)) if create_graph else (node._data, node.arrays)
            for i, x in enumerate(node.inputs):
                if type(x) is not kind or not x._requires_grad or (only is not None and x not in only):
                    continue
                vjp = vjps[i]
                if vjp is None:
                    continue
                contribution = vjp(g, y, *arrays, **params)
                if getattr(contribution, "shape", None) != x._data.shape or contribution.dtype != x._data.dtype:
                    contribution = _fitted(_as_array(contribution, node, i), x, node, i)
                arrived[x] = arrived[x] + contribution if x in arrived else contribution
    finally:
        grad_mode.mode.enabled = before
    return arrived


def _linked(node: "Tensor") -> list[Array]:
    """The arrays that an operation was given, those of its inputs as tensors."""
    return [
        array if type(x) is not type(node) or not x.requires_grad else x if x.data is array else x.holding(array)
        for x, array in zip(node.inputs, node.arrays)
    ]


def _as_array(contribution: object, node: "Tensor", i: int) -> Array:
    """What a rule returned, as an array also where it is a number of plain Python."""
    if hasattr(contribution, "dtype"):
        return contribution
    if not isinstance(contribution, (int, float)):
        kind = type(contribution).__name__
        raise UsageError(f"the derivative of {node.op} with respect to argument {i} returned {kind}, not an array")
    return np.float64(contribution)


def _fitted(g: Array, x: "Tensor", node: "Tensor", i: int) -> Array:
    """A gradient summed over the axes that broadcasting added to x or stretched, and in the dtype of x."""
    shape, arrived = x._data.shape, g.shape
    added = g.ndim - len(shape)
    if added > 0:
        g = np.add.reduce(g, axis=tuple(range(added)))
    if g.shape != shape and added >= 0:
        stretched = tuple(axis for axis, size in enumerate(shape) if size == 1 != g.shape[axis])
        g = np.add.reduce(g, axis=stretched, keepdims=True)
    if g.shape != shape:
        raise ShapeError(
            f"the derivative of {node.op} with respect to argument {i} has shape {arrived}, which does not fit the "
            f"argument's shape {shape}"
        )
    return g if g.dtype == x.dtype else g.astype(x.dtype)


def backward(root: "Tensor", g: Array, retain_graph: bool, create_graph: bool) -> None:
    """Add the gradient of root, weighted by g, to `.grad` of each leaf and each tensor that retains its own."""
    path = history(root)
    for x, gradient in propagate(path, root, g, create_graph).items():
        x.accumulate(gradient)
    if not retain_graph:
        for node in path:
            node.forget()
