"""What is the matter in a graph, and which node causes it, as `tg.audit_gradients` finds it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_lite.checking import audit_gradients
from tinygrad_lite.checking.anomaly_messages import is_finite
from tinygrad_lite.checking.audit import Status
from tinygrad_lite.explainer.graph import Graph, Node

MANY = 200  # the largest number of leaves that are examined


@dataclass(frozen=True)
class Warned:
    """A problem, in a word and in a sentence.

    Attributes:
        node: the node that causes it.
        leaves: the leaves whose gradients suffer.
    """

    kind: str
    text: str
    node: Node
    leaves: tuple[Node, ...] = ()


def warnings(graph: Graph) -> tuple[list[Warned], str | None]:
    """The problems in a graph, in forward order, and why some kinds were not looked for, if so.

    These are dead units, saturation, and vanishing, exploding and undefined gradients.
    """
    lost = [
        Warned("not finite", f"{node.op} makes {_lost(node)} of finite numbers", node)
        for node in graph.operations
        if not is_finite(node.value) and all(map(is_finite, node.arrays))
    ]
    parameters = {leaf.name: leaf for leaf in graph.leaves if leaf.requires_grad and leaf.value.size}
    loss = graph.root.tensor
    if loss is None or not isinstance(loss.data, (np.ndarray, np.generic)):
        return lost, "the arrays are not NumPy's"
    if graph.root.value.size > 1:
        return lost, "the result has more than one entry"
    if len(parameters) > MANY:
        return lost, f"there are more than {MANY} leaves"
    if not parameters:
        return lost, None
    of = {node.tensor: node for node in graph.nodes if node.tensor is not None}
    audited: dict[tuple[Node, str], list[tuple[Node, str]]] = {}
    for parameter in audit_gradients({name: leaf.tensor for name, leaf in parameters.items()}, loss):
        if parameter.status is Status.FINE or parameter.cause is None:
            continue
        leaf = parameters[parameter.path]
        cause = of.get(parameter.cause.result, leaf) if parameter.cause.result is not None else leaf
        audited.setdefault((cause, parameter.status.value), []).append((leaf, parameter.cause.text))
    suffering = [
        Warned(
            kind,
            f"{_listed([leaf for leaf, _ in told])}: {kind} gradient: {told[0][1]}",
            node,
            tuple(leaf for leaf, _ in told),
        )
        for (node, kind), told in audited.items()
    ]
    return sorted([*lost, *suffering], key=lambda warned: warned.node.number), None


def _listed(leaves: Sequence[Node]) -> str:
    """The names of a few leaves, and the number of the others."""
    names = [leaf.name for leaf in leaves]
    if len(names) > 3:
        names = [*names[:2], f"{len(names) - 2} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _lost(node: Node) -> str:
    count = int(np.sum(~np.isfinite(node.value)))
    return f"{count} NaN or infinite number{'s' if count > 1 else ''}"
