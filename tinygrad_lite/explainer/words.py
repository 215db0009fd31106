"""Floor 6. A lesson in words: the forward pass as numbered formulas, then each step back with its numbers."""

from collections.abc import Iterator

import numpy as np

from tinygrad_lite import notation
from tinygrad_lite.explainer.graph import Graph, Node
from tinygrad_lite.explainer.steps import FEW, BackwardStep, Contribution, Pass, brief
from tinygrad_lite.ops.op import Array
from tinygrad_lite.symbol import Symbol


def lesson(graph: Graph, found: Pass) -> str:
    """The lesson as text."""
    lines = [_title(graph), "", "Forward, as the code computes it"]
    for node in graph.nodes:
        lines += _node(node)
    lines += ["", "Backward, in the order in which it runs"]
    lines.append(f"  {_start(graph)}")
    for step in found.steps:
        lines += _step(step, found)
    lines += ["", "The gradients"]
    for node in graph.leaves:
        if node.requires_grad:
            lines += _gradient(graph.root, node, found)
    return "\n".join(lines)


def _title(graph: Graph) -> str:
    count, leaves = len(graph.operations), [node.name for node in graph.leaves if node.requires_grad]
    operations = f"{count} operation{'s' if count > 1 else ''}"
    return f"{graph.root.name}: {operations}, and a gradient for {', '.join(leaves) or 'no leaf'}"


def _node(node: Node) -> Iterator[str]:
    if node.op is None:
        told = "needs a gradient" if node.requires_grad else "constant"
        yield f"  {node.name}{_form(node.value)}, {told}"
    else:
        line = f"    at {node.source}" if node.source else ""
        yield f"  ({node.number}) {node.name} = {notation.text(node.formula)}{_form(node.value)}{line}"
    yield f"      {brief(node.value)}"


def _form(array: Array) -> str:
    shape = np.shape(array)
    return f", of shape {shape}" if shape else ""


def _start(graph: Graph) -> str:
    root = graph.root
    if np.size(root.value) == 1:
        return f"∂{root.name}/∂{root.name} = 1"
    return (
        f"{root.name} has {np.size(root.value)} entries: what follows is the gradient of their sum, from g = 1 for each"
    )


def _step(step: BackwardStep, found: Pass) -> Iterator[str]:
    operation = step.operation
    yield ""
    yield f"  ({operation.number}) {operation.name} = {notation.text(operation.formula)}"
    yield f"      g = ∂/∂{operation.name} = {brief(step.upstream)}"
    if not step.contributions:
        yield "      hands nothing on: its rules let no gradient through"
    for each in step.contributions:
        yield from _contribution(each, found)


def _contribution(each: Contribution, found: Pass) -> Iterator[str]:
    yield f"      to {each.to.name}: {each.formula}"
    if each.local is not None and not isinstance(each.local, str):
        local = f"∂{each.operation.name}/∂{each.to.name} = {notation.text(each.local)}"
        value = f" = {brief(each.local.value)}" if isinstance(each.local, Symbol) else ""
        yield f"          upstream × local, {local}{value}"
    if each.summed:
        shape = np.shape(each.full)
        axes = ", ".join(map(str, each.summed))
        yield (
            f"          = {brief(each.full)}, of shape {shape}; {each.to.name} was broadcast from {each.to.shape}, so "
            f"sum over axis {axes}"
        )
    yield f"          = {brief(each.value)}"
    if np.size(each.value) > FEW:
        yield f"          {_one_entry(each)}"
    terms = found.received[each.to]
    if len(terms) > 1:
        position = terms.index(each) + 1
        yield f"          term {position} of {len(terms)} of ∂/∂{each.to.name}, which add up"


def _one_entry(each: Contribution) -> str:
    """One entry of a large contribution, followed in full: the largest."""
    flat = np.abs(np.nan_to_num(np.ravel(each.value)))
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(flat)), each.to.shape))
    told = f"entry {list(place)}: {each.to.value[place]:.4g} receives {each.value[place]:.4g}"
    if each.local is not None and not isinstance(each.local, str) and not each.summed:
        numbers = each.local.value if isinstance(each.local, Symbol) else each.local
        local = np.broadcast_to(numbers, np.shape(each.full))
        upstream = np.broadcast_to(each.upstream, np.shape(each.full))
        told += f" = {upstream[place]:.4g} × {local[place]:.4g}"
    return told


def _gradient(root: Node, node: Node, found: Pass) -> Iterator[str]:
    terms = found.received.get(node, [])
    name = f"∂{root.name}/∂{node.name}"
    if not terms:
        yield f"  {name} = 0: no gradient reaches it"
        return
    if len(terms) > 1:
        parts = " + ".join(f"({each.operation.number}) {brief(each.value)}" for each in terms)
        yield f"  {name} = {parts}"
        yield f"  {' ' * len(name)} = {brief(found.gradients[node])}"
    else:
        yield f"  {name} = {brief(found.gradients[node])}"
