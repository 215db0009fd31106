"""A lesson in words: the forward pass as numbered formulas, then each step back with its numbers."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.explainer.graph import Graph, Node
from tinygrad_lite.explainer.steps import FEW, BackwardStep, Contribution, Pass, brief
from tinygrad_lite.readers import notation
from tinygrad_lite.readers.symbol import Symbol


def lesson(graph: Graph, found: Pass) -> str:
    """The lesson as text."""
    lines = [_title(graph), "", "Forward, as the code computes it"]
    for node in graph.nodes:
        lines += _node(node)
    lines += ["", "Backward, in the order in which it runs"]
    lines.append(f"  {_start(graph)}")
    for step in found.steps:
        lines += _step(graph, step, found)
    lines += ["", "The gradients"]
    for node in graph.leaves:
        if node.requires_grad:
            lines.append(_gradient(graph.root, node, found))
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
    if not np.all(graph.upstream == 1):
        return f"backward started from {graph.letter} = {brief(graph.upstream)} for {root.name}"
    if np.size(root.value) == 1:
        return f"∂{root.name}/∂{root.name} = 1"
    return (
        f"{root.name} has {np.size(root.value)} entries: what follows is the gradient of their sum, from "
        f"{graph.letter} = 1 for each"
    )


def _step(graph: Graph, step: BackwardStep, found: Pass) -> Iterator[str]:
    operation = step.operation
    yield ""
    yield f"  ({operation.number}) {operation.name} = {notation.text(operation.formula)}"
    terms = found.received.get(operation, [])
    yield f"      {graph.letter} = ∂{graph.root.name}/∂{operation.name} = {_sum(terms)}{brief(step.upstream)}"
    if not step.contributions:
        yield "      hands nothing on: its rules let no gradient through"
    for each in step.contributions:
        yield from _contribution(each)


def _contribution(each: Contribution) -> Iterator[str]:
    """The rule, and its numbers: upstream × local = contribution where that is how it works."""
    yield f"      to {each.to.name}: {each.formula}"
    local = None if each.local is None or isinstance(each.local, str) else each.local
    slope = f"∂{each.operation.name}/∂{each.to.name} = {notation.text(local)}" if local is not None else ""
    if sum(x is each.to for x in each.operation.inputs) > 1:
        slope += " by this use"
    numbers = np.asarray(local.value if isinstance(local, Symbol) else local) if local is not None else None
    if numbers is not None and not np.ndim(each.full) and not each.to.shape:
        product = f"{brief(each.upstream)} × {brief(numbers)} = {brief(each.value)}"
        yield f"          upstream × local = {product}, since {slope}"
        return
    if numbers is not None:
        yield f"          upstream        {brief(each.upstream)}"
        yield f"        × local           {brief(numbers)}, since {slope}"
    if each.summed:
        axes = ", ".join(map(str, each.summed))
        yield f"        = for each entry  {brief(each.full)}"
        yield (
            f"          which is of shape {np.shape(each.full)}, and {each.to.name} of shape {each.to.shape} was "
            f"broadcast: the sum over axis {axes}"
        )
    yield f"        = contribution    {brief(each.value)}"
    if np.size(each.value) > FEW:
        yield f"          {_one_entry(each, numbers)}"


def _one_entry(each: Contribution, local: Array) -> str:
    """One entry of a large contribution, followed in full: the largest."""
    flat = np.abs(np.nan_to_num(np.ravel(each.value)))
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(flat)), each.to.shape))
    told = f"for example, entry {list(place)}: "
    if local is not None and not each.summed:
        factors = (np.broadcast_to(x, np.shape(each.full))[place] for x in (each.upstream, local))
        told += " × ".join(f"{factor:.4g}" for factor in factors) + " = "
    return told + f"{each.value[place]:.4g}"


def _sum(terms: Sequence[Contribution]) -> str:
    """The terms of a gradient that several operations contribute to, each with the number of its operation."""
    if len(terms) < 2:
        return ""
    return " + ".join(f"{brief(each.value)} from ({each.operation.number})" for each in terms) + " = "


def _gradient(root: Node, node: Node, found: Pass) -> str:
    name = f"∂{root.name}/∂{node.name}"
    if node not in found.gradients:
        return f"  {name} = 0: no gradient reaches it"
    return f"  {name} = {_sum(found.received.get(node, []))}{brief(found.gradients[node])}"


def coloured(text: str) -> str:
    """The lesson for a terminal: headings and the numbers of operations stand out."""
    bold, blue, plain = "\033[1m", "\033[34m", "\033[0m"
    lines = []
    for line in text.splitlines():
        if line and not line.startswith(" "):
            line = f"{bold}{line}{plain}"
        lines.append(re.sub(r"(^  |from )(\(\d+\))", rf"\1{blue}\2{plain}", line))
    return "\n".join(lines)
