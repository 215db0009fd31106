"""The reverse pass: from a result back to what it was made of.

Every tensor that an operation made remembers the operation, its inputs and the arrays that it was given. The pass
walks these memories in reverse order of creation, hands the gradient that arrived (g) to the operation's derivatives,
and adds up what each input receives. Derivatives run on plain arrays; with `create_graph` the same code runs on
tensors, so that the gradient is a graph itself.
"""

from collections.abc import Collection, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.op import Array, Deferred, Op, total
from tinygrad_lite.errors import GraphError, ShapeError, UsageError

if TYPE_CHECKING:
    from tinygrad_lite.engine.tensor import Tensor

_by_age = attrgetter("index")


def history(roots: Iterable["Tensor"], ends: Collection["Tensor"] = (), oldest: int = 0) -> list["Tensor"]:
    """Every tensor behind the roots that an operation made, they included, oldest first.

    It looks no further than `ends`, and leaves out what is older than `oldest` in the order of creation.

    Raises:
        GraphError: if a part of the graph was freed by an earlier backward pass.
    """
    path: list[Tensor] = []
    seen = {*ends}
    ahead: list[Tensor] = []
    kind = None
    for root in roots:
        kind = type(root)
        if root.op is not None and root not in seen:
            seen.add(root)
            ahead.append(root)
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
    path: list["Tensor"], arrived: dict["Tensor", Array], create_graph: bool, only: Collection["Tensor"] | None = None
) -> dict["Tensor", Array]:
    """Play a history back: from the gradients of its roots to that of each leaf and each tensor that retains its own.

    `arrived` holds the former, and is made to hold the latter. With `only`, no gradient is computed for any other
    tensor.
    """
    kind = type(path[0]) if path else None
    deferred = False
    before, grad_mode.mode.enabled = grad_mode.mode.enabled, create_graph
    try:
        for node in reversed(path):
            g = arrived.get(node) if node.retains_grad else arrived.pop(node, None)
            if g is None:
                continue
            if deferred and isinstance(g, Deferred):
                g = g.whole()
            op, params = node.op, node.params
            y: Array = node
            if create_graph:
                arrays = _linked(node)
            else:
                y, arrays = node._array, node.arrays
            for i, x in enumerate(node.inputs):
                if type(x) is not kind or not (x._requires_grad if only is None else x in only):
                    continue
                if op.arity is None:
                    contribution = op.vjps.rule(i, g, y, arrays, **params)  # not a copy of many arrays for each of many
                else:
                    vjp = op.vjps[i]
                    if vjp is None:
                        continue
                    contribution = vjp(g, y, *arrays, **params)
                array = x._array
                if getattr(contribution, "shape", None) != array.shape or contribution.dtype != array.dtype:
                    contribution = fitted(contribution, array.shape, array.dtype, op, i)
                    deferred = deferred or isinstance(contribution, Deferred)
                if x in arrived:
                    contribution = _sum(arrived[x], contribution) if deferred else arrived[x] + contribution
                arrived[x] = contribution
        for x, g in arrived.items() if deferred else ():
            if isinstance(g, Deferred):
                arrived[x] = g.whole()
    finally:
        grad_mode.mode.enabled = before
    return arrived


def _linked(node: "Tensor") -> tuple[Array, ...]:
    """The arrays that an operation was given, as tensors where a gradient flows to them.

    Arrays other than NumPy's are tensors in any case: on the left of a tensor, some would try to compute with it.
    """
    arrays = []
    for x, array in zip(node.inputs, node.arrays):
        if type(x) is type(node) and (x.requires_grad or not isinstance(array, (np.ndarray, np.generic))):
            array = x if x.data is array else x.holding(array)
        arrays.append(array)
    return tuple(arrays)


def _sum(a: Array, b: Array) -> Array:
    """a + b, where either may be deferred."""
    if isinstance(a, Deferred):
        return a.add(b)
    return b.add(a) if isinstance(b, Deferred) else a + b


def fitted(g: Any, shape: tuple[int, ...], dtype: Any, op: Op, i: int) -> Array:
    """A gradient summed over the axes that broadcasting added to its argument or stretched, in the argument's dtype."""
    if not hasattr(g, "dtype"):
        if isinstance(g, Deferred):
            return g
        if not isinstance(g, (int, float)):
            kind = type(g).__name__
            raise UsageError(f"the derivative of {op} with respect to argument {i} returned {kind}, not an array")
        g = np.float64(g)
    arrived = g.shape
    added = len(arrived) - len(shape)
    if added > 0:
        g = total(g, tuple(range(added)))
    if g.shape != shape and added >= 0:
        stretched = tuple(axis for axis, size in enumerate(shape) if size == 1 != g.shape[axis])
        g = total(g, stretched, keepdims=True)
    if g.shape != shape:
        raise ShapeError(
            f"the derivative of {op} with respect to argument {i} has shape {arrived}, which does not fit the "
            f"argument's shape {shape}"
        )
    return g if g.dtype == dtype else g.astype(dtype)


def backward(root: "Tensor", g: Array, retain_graph: bool, create_graph: bool) -> None:
    """Add the gradient of root, weighted by g, to `.grad` of each leaf and each tensor that retains its own."""
    path = history([root])
    for x, gradient in propagate(path, {root: g}, create_graph).items():
        x.accumulate(gradient)
    if not retain_graph:
        for node in path:
            node.forget()
