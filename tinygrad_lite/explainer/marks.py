"""What is wrong in a graph, and which node causes it, as `tg.audit_gradients` finds it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite.checking import audit_gradients
from tinygrad_lite.checking.auditing.anomaly_messages import are_finite, is_finite
from tinygrad_lite.checking.auditing.audit import Status
from tinygrad_lite.checking.auditing.detachment import why_cut
from tinygrad_lite.explainer.graph import Graph, Node
from tinygrad_lite.foundation.phrases import phrase
from tinygrad_lite.ops.arithmetic.selection import stop_gradient

MANY = 200  # the largest number of leaves that are examined


@dataclass(frozen=True)
class Warned:
    """A problem, in a word and in a sentence.

    Attributes:
        node: the node that causes it; None if nothing in the graph does.
        leaves: the leaves whose gradients suffer.
    """

    kind: str
    text: str
    node: Node | None
    leaves: tuple[Node, ...] = ()


def warnings(graph: Graph) -> tuple[list[Warned], str | None]:
    """The problems in a graph, in forward order, and why some kinds were not looked for, if so.

    These are dead units, saturation, and vanishing, exploding and undefined gradients.
    """
    of = {node.tensor: node for node in graph.nodes if node.tensor is not None}
    lost = [
        Warned("not finite", _lost(node), node)
        for node in graph.operations
        if not is_finite(node.value) and are_finite(node.arrays, node.params)
    ]
    lost += _cut_off(graph, of)
    parameters = {leaf.name: leaf for leaf in graph.leaves if leaf.requires_grad and leaf.value.size}
    reason = _why_not_audited(graph, len(parameters))
    if reason or not parameters:
        return lost, reason
    warned = lost + _suffering(graph, parameters, of)
    return sorted(warned, key=lambda warned: -1 if warned.node is None else warned.node.number), None


def _cut_off(graph: Graph, of: Mapping[Any, Node]) -> list[Warned]:
    """The leaves that the result does not depend on, one warning for all with the same reason."""
    apart: dict[tuple[Node | None, str], list[str]] = {}
    for name, why in graph.cut_off.items():
        met = None if why.result is None else of.get(why.result)
        apart.setdefault((met, why.text), []).append(name)
    return [
        Warned(
            Status.NO_GRADIENT.value,
            phrase("{names}: no gradient: {cause}", names=_listed(names), cause=reason),
            met,
        )
        for (met, reason), names in apart.items()
    ]


def _why_not_audited(graph: Graph, count: int) -> str | None:
    """Why the gradients of this many parameters cannot be looked at, if so."""
    loss = graph.root.tensor
    if loss is None or not isinstance(loss.data, (np.ndarray, np.generic)):
        return phrase("the arrays are not NumPy's")
    if graph.root.value.size > 1:
        return phrase("the result has more than one entry")
    return phrase("there are more than {n} leaves", n=MANY) if count > MANY else None


def _suffering(graph: Graph, parameters: Mapping[str, Node], of: Mapping[Any, Node]) -> list[Warned]:
    """The parameters whose gradients are not fine, one warning for all that suffer from the same operation."""
    loss = graph.root.tensor
    assert loss is not None, "an audit has one"
    audited: dict[tuple[Node, str], list[tuple[Node, str]]] = {}
    for parameter in audit_gradients({name: leaf.tensor for name, leaf in parameters.items()}, loss):
        if parameter.status is Status.FINE or parameter.cause is None:
            continue
        leaf, text = parameters[parameter.path], parameter.cause.text
        cause = of.get(parameter.cause.result, leaf) if parameter.cause.result is not None else leaf
        if parameter.status is Status.NO_GRADIENT and (cut := _cut(graph, leaf)):
            cause, text = cut, _why_cut(cut)
        audited.setdefault((cause, parameter.status.value), []).append((leaf, text))
    return [
        Warned(
            kind,
            phrase(
                "{names}: no gradient: {cause}"
                if kind == Status.NO_GRADIENT.value
                else "{names}: {kind} gradient: {cause}",
                names=_listed([leaf.name for leaf, _ in told]),
                kind=phrase("non-finite") if kind == Status.NOT_FINITE.value else phrase(kind),
                cause=told[0][1],
            ),
            node,
            tuple(leaf for leaf, _ in told),
        )
        for (node, kind), told in audited.items()
    ]


def _cut(graph: Graph, leaf: Node) -> Node | None:
    """The first operation on the way from a leaf whose result has no history."""
    reached = {leaf}
    for node in graph.operations:
        if any(x in reached for x in (*node.inputs, *node.indices) if isinstance(x, Node)):
            if not node.requires_grad or node.tensor is None:
                return node
            reached.add(node)
    return None


def _why_cut(node: Node) -> str:
    if node.op is stop_gradient:
        return phrase("{node} is detached", node=node.name)
    assert node.op is not None
    return why_cut(node.op, node.value)


def _listed(names: Sequence[str]) -> str:
    """A few names, and the number of the others."""
    if len(names) == 1:
        return names[0]
    last = phrase("{n} more", n=len(names) - 2) if len(names) > 3 else names[-1]
    return phrase("{names} and {last}", names=", ".join(names[:2] if len(names) > 3 else names[:-1]), last=last)


def _lost(node: Node) -> str:
    count = int(np.sum(~np.isfinite(node.value)))
    if count == 1:
        return phrase("from finite numbers, {op} makes one that is NaN or infinite", op=node.op)
    return phrase("from finite numbers, {op} makes {n} that are NaN or infinite", op=node.op, n=count)
