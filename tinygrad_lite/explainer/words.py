"""A lesson in words: the forward pass as numbered formulas, then each step back with its numbers."""

import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.explainer.graph import Graph, Node
from tinygrad_lite.explainer.marks import warnings
from tinygrad_lite.explainer.steps import FEW, BackwardStep, Contribution, Pass, brief, magnitude
from tinygrad_lite.readers import notation
from tinygrad_lite.readers.symbol import Symbol

CLOSE = 1e-9
"""An entry of a gradient that is smaller than this, relative to the upstream gradients, may be left by rounding."""

FIRST = LAST = 20
"""The number of operations that are printed at both ends of a long graph."""


def lesson(graph: Graph, backward_pass: Pass) -> str:
    """The lesson as text: what is wrong with the graph comes first; of a long graph, only both ends are printed."""
    lines = [_title(graph, backward_pass), *_warnings(graph), "", "Forward, as the code computes it"]
    forward = [list(_node(node)) for node in graph.operations]
    lines += [
        line for leaf in _ends(graph.leaves, "leaves") for line in ([leaf] if isinstance(leaf, str) else _node(leaf))
    ]
    lines += [line for part in _ends(forward, "operations") for line in ([part] if isinstance(part, str) else part)]
    lines += ["", "Backward, in the order in which it runs"]
    lines.append(f"  {_start(graph)}")
    for step in _ends(backward_pass.steps, "steps"):
        lines += ["", step] if isinstance(step, str) else _step(graph, step, backward_pass)
    lines += ["", "The gradients"]
    for node in graph.leaves:
        if node.requires_grad:
            lines.append(_gradient(graph.root, node, backward_pass))
    return "\n".join(lines)


Part = TypeVar("Part")


def _ends(parts: Sequence[Part], name: str) -> list[Part | str]:
    """All parts, or the first and the last of them around a line that says how many are left out."""
    left_out = len(parts) - FIRST - LAST
    if left_out <= 0:
        return list(parts)
    return [*parts[:FIRST], f"  … {left_out:,} more {name}, which the page shows …", *parts[-LAST:]]


def _title(graph: Graph, backward_pass: Pass) -> str:
    gradients = backward_pass.gradients
    count, leaves = len(graph.operations), [leaf.name for leaf in graph.leaves if leaf in gradients]
    operations = f"{count:,} operation{'s' if count > 1 else ''}"
    names = ", ".join(leaves[:FEW]) + (f" and {len(leaves) - FEW} more" if len(leaves) > FEW else "")
    return f"{graph.root.name}: {operations}, and a gradient for {names or 'no leaf'}"


def _warnings(graph: Graph) -> Iterator[str]:
    warned = warnings(graph)[0]
    if warned:
        yield from ("", "Warnings")
    for warning in warned:
        place = f", at ({warning.node.number})" if warning.node is not None and warning.node.op else ""
        yield f"  {warning.text}{place}"


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


def _step(graph: Graph, step: BackwardStep, backward_pass: Pass) -> Iterator[str]:
    operation = step.operation
    yield ""
    yield f"  ({operation.number}) {operation.name} = {notation.text(operation.formula)}"
    terms = backward_pass.received.get(operation, [])
    yield f"      {graph.letter} = ∂{graph.root.name}/∂{operation.name} = {_sum(terms)}{_total(step.upstream, terms)}"
    if not step.contributions:
        yield "      hands nothing on: its rules let no gradient through"
    for contribution in step.contributions:
        yield from _contribution(contribution)


def _contribution(contribution: Contribution) -> Iterator[str]:
    """The rule and its numbers; for an elementwise operation, upstream × local = contribution."""
    yield f"      to {contribution.to.name}: {contribution.formula}"
    local = None if contribution.local is None or isinstance(contribution.local, str) else contribution.local
    slope = (
        f"∂{contribution.operation.name}/∂{contribution.to.name} = {notation.text(local)}" if local is not None else ""
    )
    if sum(x is contribution.to for x in contribution.operation.inputs) > 1:
        slope += " by this use"
    numbers = np.asarray(local.value if isinstance(local, Symbol) else local) if local is not None else None
    real_part = f"of which {contribution.to.name}, being real, takes the real part"
    if numbers is not None and not np.ndim(contribution.full) and not contribution.to.shape:
        product = f"{brief(contribution.upstream)} × {brief(numbers)} = {brief(contribution.full)}"
        if contribution.takes_real_part:
            product += f", {real_part}, {brief(contribution.value)}"
        yield f"          upstream × local = {product}, since {slope}"
        return
    if numbers is not None:
        yield f"          upstream        {brief(contribution.upstream)}"
        yield f"        × local           {brief(numbers)}, since {slope}"
    if contribution.summed:
        axes = f"{'axis' if len(contribution.summed) == 1 else 'axes'} {', '.join(map(str, contribution.summed))}"
        yield f"        = for each entry  {brief(contribution.full)}"
        yield (
            f"          which is of shape {np.shape(contribution.full)}, and {contribution.to.name} of shape "
            f"{contribution.to.shape} was broadcast: the sum over {axes}"
        )
    if contribution.takes_real_part:
        if not contribution.summed:
            yield f"        = complex         {brief(contribution.full)}"
        yield f"          {real_part}"
    yield f"        = contribution    {brief(contribution.value)}"
    if np.size(contribution.value) > FEW:
        yield f"          {_one_entry(contribution, numbers)}"


def _one_entry(contribution: Contribution, local: Array) -> str:
    """The largest entry of a large contribution, computed in full."""
    flat = np.abs(np.nan_to_num(np.ravel(contribution.value)))
    entry = tuple(int(i) for i in np.unravel_index(int(np.argmax(flat)), contribution.to.shape))
    told = f"for example, entry {list(entry)}: "
    if local is not None and not contribution.summed and not contribution.takes_real_part:
        factors = (np.broadcast_to(x, np.shape(contribution.full))[entry] for x in (contribution.upstream, local))
        told += " × ".join(f"{factor:.4g}" for factor in factors) + " = "
    return told + f"{contribution.value[entry]:.4g}"


def _sum(terms: Sequence[Contribution]) -> str:
    """The terms of a gradient that several operations contribute to, each with the number of its operation."""
    if len(terms) < 2:
        return ""
    return (
        " + ".join(f"{brief(contribution.value)} from ({contribution.operation.number})" for contribution in terms)
        + " = "
    )


def _total(gradient: Array, terms: Sequence[Contribution]) -> str:
    """A gradient; an entry that its terms cancel in, all but their rounding, is 0."""
    smallest = np.min(np.abs(gradient), initial=np.inf, where=np.asarray(gradient) != 0)
    if (
        not terms
        or gradient.dtype.kind != "f"
        or not smallest < CLOSE * max(np.max(np.abs(term.upstream), initial=0) for term in terms)
    ):
        return brief(gradient)
    rounding = 16 * np.finfo(gradient.dtype).eps * sum(magnitude(term) for term in terms)
    cancelled = (np.abs(gradient) <= rounding) & (gradient != 0)
    return brief(np.where(cancelled, 0, gradient)) + (" but for rounding" if np.all(cancelled) else "")


def _gradient(root: Node, node: Node, backward_pass: Pass) -> str:
    name = f"∂{root.name}/∂{node.name}"
    if node not in backward_pass.gradients:
        return f"  {name} = 0: no gradient reaches it"
    terms = backward_pass.received.get(node, [])
    return f"  {name} = {_sum(terms)}{_total(backward_pass.gradients[node], terms)}"


def coloured(text: str) -> str:
    """The lesson for a terminal: headings and the numbers of operations stand out."""
    bold, blue, plain = "\033[1m", "\033[34m", "\033[0m"
    lines = []
    for line in text.splitlines():
        if line and not line.startswith(" "):
            line = f"{bold}{line}{plain}"
        lines.append(re.sub(r"(^  |from )(\(\d+\))", rf"\1{blue}\2{plain}", line))
    return "\n".join(lines)
