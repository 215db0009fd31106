"""The reverse pass: from a result back to the leaves that it depends on.

A node remembers the operation that made it, the operation's inputs and their arrays. The pass visits the nodes in
reverse order of creation, passes the upstream gradient g of each node to the operation's rules, and adds up what each
input receives. Rules run on plain arrays; with `create_graph` the same code runs on tensors, so that the gradient has
a graph itself.
"""

from collections.abc import Collection, Iterable, Mapping
from contextvars import ContextVar
from operator import attrgetter
from typing import Any

import numpy as np

from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.op import Array, Deferred, Op
from tinygrad_lite.errors import RESTATED, ShapeError, UsageError, complain
from tinygrad_lite.foundation.sums import LARGE, added, total_down_to


class Node:
    """A value with a history, as the reverse pass reads it: inert data that never points forward.

    Attributes:
        op: the operation that made it; None for a leaf.
        inputs: the arguments of the operation, nodes and others; None once the graph is freed, or until somebody asks
            for it.
        arrays: the array of each input at the time of the call.
        params: the operation's parameters.
        shared: the value of the operation's shared expression, if it has one.
        index: its rank in the order of creation; a result without a history has none.
        retains_grad: whether `backward` keeps its gradient although it is not a leaf.
    """

    __slots__ = ("_array", "_requires_grad", "arrays", "index", "inputs", "op", "params", "retains_grad", "shared")

    _array: Array
    _requires_grad: bool | None  # None for a frozen leaf, which is still a parameter
    op: Any
    inputs: Any
    arrays: tuple[Array, ...]
    params: Mapping[str, Any]
    shared: tuple[Array, ...]
    index: float
    retains_grad: bool


widened: ContextVar[Any] = ContextVar("widened", default=None)
"""The first operation that widened the dtype of an input in the latest pass, with the dtypes; None if there is none."""

noting: ContextVar[Any] = ContextVar("noting", default=lambda gradients: None)
"""What is told of the gradients that `backward()` is about to add to `.grad`, by their tensors."""

running_variables: set[Any] = set()
"""The variables of the functions that transforms are running. To such a function they are leaves."""


def history(roots: Iterable[Any], ends: Collection[Any] = (), oldest: float = 0) -> list[Any]:
    """Every result of an operation that the roots depend on, including the roots, oldest first.

    The search stops at `ends`, and at nodes older than `oldest` in the order of creation.

    Raises:
        GraphError: if a part of the graph was freed by an earlier backward pass.
    """
    seen, ahead = {*ends}, [roots]
    while ahead:
        for x in ahead.pop():
            if isinstance(x, Node) and x.op is not None and x not in seen and x.index >= oldest:
                seen.add(x)
                ahead.append(x.op.inputs_of(x) if x.inputs is None else x.inputs)
    return sorted(seen.difference(ends), key=attrgetter("index"))


def propagate(
    path: list[Any], arrived: dict[Any, Array], create_graph: bool | None, only: Collection[Any] | None = None
) -> dict[Any, Array]:
    """Go through a history, from the upstream gradients of its roots to the gradients of its leaves.

    `arrived` holds the gradient that has arrived at each node so far: at first those of the roots, in the end those of
    the leaves and of the nodes that retain theirs. With `only`, no other node gets a gradient. If
    `create_graph` is None, the gradients have a graph only if a rule reads a value with a history that is not on the
    path.
    """
    first, watch = {**arrived}, grad_mode.Watch()
    mode, _ = grad_mode.enabled.set(watch if create_graph is None else create_graph), widened.set(None)
    try:
        for node in reversed(path):
            g = arrived.get(node) if node.retains_grad else arrived.pop(node, None)
            if g is not None:
                try:
                    contribute(node, g, arrived, bool(create_graph), only)
                except RESTATED as error:
                    complain(error, f"a derivative of {node.op}", (g, *node.arrays), node.params)
        arrived.update({x: g.whole() for x, g in arrived.items() if isinstance(g, Deferred)})
    finally:
        grad_mode.enabled.reset(mode)
    return propagate(path, first, True, only) if watch.noticed and grad_mode.enabled.get() else arrived


def contribute(node: Any, g: Array, arrived: dict[Any, Array], create_graph: bool = False, only: Any = None) -> None:
    """For each input x of a node with upstream gradient g, add gᵀ ∂node/∂x to the gradient that has arrived at x."""
    op, params, kind = node.op, node.params, type(node)
    y, arrays = (node, _linked(node)) if create_graph else (node._array, node.arrays + node.shared)
    g = g.whole() if isinstance(g, Deferred) and not op.deferred else g
    arrays = op.in_common(arrays, params, g, y) if op.adjoint else arrays
    for i, x in enumerate(node.inputs):
        if type(x) is not kind or not (x._requires_grad if only is None else x in only) or (vjp := op.vjps[i]) is None:
            continue
        array = x._array
        if op.for_large and type(g) is np.ndarray and g.size >= LARGE:
            vjp = op.for_large.get((i, vjp), vjp)
        if params or not op.arity:  # `vjps[i]` would copy all arrays of a ForEach for each of them
            contribution = vjp(g, y, *arrays, **params) if op.arity else op.vjps.rule(i, g, y, arrays, **params)
        else:  # a call without stars takes half the time
            contribution = vjp(g, y, *arrays) if len(arrays) != 2 else vjp(g, y, arrays[0], arrays[1])
        if getattr(contribution, "shape", None) != array.shape or contribution.dtype is not array.dtype:
            contribution = fitted(contribution, array.shape, array.dtype, op, i, y.shape)
            if y.dtype is not array.dtype and np.finfo(y.dtype).bits > np.finfo(array.dtype).bits:
                widened.set((op, array.dtype, y.dtype))
        arrived[x] = accumulated(arrived, x, contribution) if x in arrived else contribution


def accumulated(arrived: dict[Any, Array], x: Any, g: Array) -> Array:
    """The sum of the gradient that has arrived at x and another one; a deferred one takes in the other."""
    if type(g) is np.ndarray and g.size >= LARGE:
        return added(arrived, x, g)
    return g + arrived[x] if isinstance(g, Deferred) else arrived[x] + g


def whole(g: Array) -> Array:
    """The gradient as an array, also if it was deferred."""
    return g.whole() if isinstance(g, Deferred) else g


def _linked(node: Any) -> tuple[Array, ...]:
    """The arguments of an operation for rules that build a graph: nodes where a gradient flows, arrays elsewhere.

    Arrays other than NumPy's are always nodes: as the left operand, some would try to compute with a tensor themselves.
    """
    return tuple(
        (x if x._array is array else x.holding(array))
        if type(x) is type(node) and (x._requires_grad or not isinstance(array, (np.ndarray, np.generic)))
        else array
        for x, array in zip(node.inputs, node.arrays)
    )


def fitted(g: Any, shape: tuple[int, ...], dtype: Any, op: Op, i: int, full: Any = None) -> Array:
    """The gradient of an argument, summed over the axes that broadcasting added or stretched, in its dtype.

    What an elementwise rule returns has the shape of the operation's result, `full`. Any other shape is a mistake, a
    Jacobian's perhaps, and has no axes to sum over.
    """
    if isinstance(g, Deferred):
        return g
    if not hasattr(g, "dtype"):
        if not isinstance(g, (int, float)):
            raise UsageError(f"the derivative of {op} with respect to argument {i} returned {type(g)}, not an array")
        g = np.float64(g)
    arrived = g.shape
    if arrived != shape and len(arrived) >= len(shape) and (full in (None, arrived) or not op.derivatives):
        g = total_down_to(shape, g)
    if g.shape != shape:
        raise ShapeError(f"the derivative of {op} with respect to argument {i} has shape {arrived}, not {shape}")
    g = np.real(g) if g.dtype.kind == "c" != dtype.kind else g  # a real number moves only along the real axis
    return g if g.dtype == dtype else g.astype(dtype)
