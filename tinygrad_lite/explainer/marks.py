"""Marks the nodes that cause problems in a graph, as `tg.audit_gradients` finds them."""

from dataclasses import dataclass

import numpy as np

from tinygrad_lite.checking import audit_gradients
from tinygrad_lite.checking.anomaly_messages import is_finite
from tinygrad_lite.checking.audit import Status
from tinygrad_lite.explainer.graph import Graph, Node

MANY = 200  # the largest number of leaves that are examined


@dataclass(frozen=True)
class Mark:
    """A problem at a node, in a word and in a sentence."""

    kind: str
    text: str


def marks(graph: Graph) -> tuple[dict[Node, list[Mark]], str | None]:
    """The marks of each node that has any, and why some kinds were not looked for, if so.

    There are marks for dead units, saturation, and vanishing, exploding and undefined gradients.
    """
    marked: dict[Node, list[Mark]] = {}
    for node in graph.operations:
        if not is_finite(node.value) and all(map(is_finite, node.arrays)):
            marked.setdefault(node, []).append(Mark("not finite", f"{node.op} makes {_lost(node)} of finite numbers"))
    parameters = {leaf.name: leaf for leaf in graph.leaves if leaf.requires_grad and leaf.value.size}
    loss = graph.root.tensor
    if loss is None or not isinstance(loss.data, (np.ndarray, np.generic)):
        return marked, "the arrays are not NumPy's"
    if graph.root.value.size > 1:
        return marked, "the result has more than one entry"
    if len(parameters) > MANY:
        return marked, f"there are more than {MANY} leaves"
    if not parameters:
        return marked, None
    of = {node.tensor: node for node in graph.nodes if node.tensor is not None}
    for parameter in audit_gradients({name: leaf.tensor for name, leaf in parameters.items()}, loss):
        if parameter.status is Status.FINE or parameter.cause is None:
            continue
        leaf = parameters[parameter.path]
        cause = of.get(parameter.cause.result, leaf) if parameter.cause.result is not None else leaf
        mark = Mark(parameter.status.value, f"{leaf.name}: {parameter.status.value} gradient: {parameter.cause.text}")
        for node in {cause: None, leaf: None}:
            marked.setdefault(node, []).append(mark)
    return marked, None


def _lost(node: Node) -> str:
    count = int(np.sum(~np.isfinite(node.value)))
    return f"{count} NaN or infinite number{'s' if count > 1 else ''}"
