"""Runs a graph again with other numbers, to measure how a change affects the result."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

import numpy as np

from tinygrad_lite.checking.evidence.references import difference
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.explainer.graph import Graph, Node
from tinygrad_lite.explainer.signs import with_other_signs
from tinygrad_lite.explainer.steps import Pass
from tinygrad_lite.optim.optimizer import Optimizer


def is_possible(graph: Graph) -> bool:
    """Whether every operation can run again; some stand for a function that has already run."""
    return all(node.is_declared for node in graph.operations)


def result(graph: Graph, changed: Mapping[Node, Array]) -> Array:
    """The value of the root, in float64, if some nodes have other values."""
    values: dict[Node, Array] = {node: np.asarray(array, float) for node, array in changed.items()}
    with np.errstate(all="ignore"):
        for node in graph.operations:
            if node in values or not any(x in values for x in node.inputs if isinstance(x, Node)):
                continue
            arrays = [
                values.get(x, array) if isinstance(x, Node) else array for x, array in zip(node.inputs, node.arrays)
            ]
            assert node.op is not None
            values[node] = node.op(*arrays, **node.params)
    return values.get(graph.root, graph.root.value)


def is_same_for_other_signs(graph: Graph, node: Node) -> bool:
    """Whether the result is the same if the vectors of a decomposition, whose signs nobody determines, have others."""
    scale = abs(graph.total(graph.root.value))
    flips = (change(graph, {node: other}) for other in with_other_signs(str(node.op), node.arrays[0], node.value))
    return all(abs(flip) <= ROUNDING * scale for flip in flips)


ROUNDING = 1e-9


def change(graph: Graph, changed: Mapping[Node, Array]) -> float:
    """The change of the result if some nodes have other values."""
    return graph.total(result(graph, changed)) - graph.total(graph.root.value)


@dataclass(frozen=True)
class Measured:
    """A derivative of the result with respect to one entry, from differences of values.

    Attributes:
        entry: its index in the flat array.
        estimate: the derivative.
        error: the bound of its error.
    """

    entry: int
    estimate: float
    error: float


EVALUATIONS = 50
"""The approximate number of runs of a graph that measure one derivative."""


def measured(graph: Graph, node: Node, entry: int) -> Measured:
    """The derivative with respect to one entry of a node, measured."""
    x = np.array(node.value, float)
    scale = abs(float(x.flat[entry])) or 1.0

    def value(shift: float) -> Array:
        moved = x.copy()
        moved.flat[entry] += shift
        return np.array([graph.total(result(graph, {node: moved}))])

    with np.errstate(all="ignore"):
        slope = difference(lambda step: value(scale * step), value(0.0)).per(scale)
    return Measured(entry, float(slope.slope[0]), float(slope.bound[0]))


@dataclass(frozen=True)
class Update:
    """An optimiser's step on the leaves of a graph: the predicted and the real change of the result.

    Attributes:
        name: how the optimiser prints.
        after: the new value of each leaf that it updates.
        predicted: the change of the result to first order, Σ g · Δw.
        real: the actual change; NaN if the graph cannot run again.
    """

    name: str
    after: Mapping[Node, Array]
    predicted: float
    real: float


def update(graph: Graph, backward_pass: Pass, optimizer: Optimizer) -> Update:
    """The step that an optimiser would take; neither it nor its parameters change."""
    if not isinstance(optimizer, Optimizer):
        raise UsageError(
            f"optimizer is one of tg.optim, such as tg.optim.SGD(model.parameters(), lr=0.1); got {optimizer!r:.60}"
        )
    leaves = [leaf for leaf in graph.leaves if leaf.tensor is not None]
    nodes = {leaf.tensor: leaf for leaf in leaves}
    if len(nodes) < len(leaves):
        raise InputError("a leaf was changed between two of its uses, and an optimiser's step would start from neither")
    gradients = backward_pass.gradients
    points = {
        tensor: (leaf.value, gradients[leaf])
        for tensor, leaf in nodes.items()
        if tensor is not None and leaf in gradients
    }
    after = {nodes[parameter]: new for parameter, new in optimizer.preview(points).items()}
    predicted = sum(float(np.sum(backward_pass.gradients[leaf] * (new - leaf.value))) for leaf, new in after.items())
    real = change(graph, after) if is_possible(graph) else nan
    return Update(repr(optimizer), after, predicted, real)
