r"""The derivation in LaTeX, line by line, as in a handout.

The gradient of the result with respect to a value v is written v̄. A rule is printed with the upstream gradient in
place of g.
"""

import numpy as np

from tinygrad_lite.explainer.graph import Graph, Node
from tinygrad_lite.explainer.steps import Contribution, Pass, brief
from tinygrad_lite.readers import notation


def latex(graph: Graph, backward_pass: Pass) -> str:
    """Two aligned blocks: the forward pass, and the gradients in the order in which they are completed."""
    lines = ["\\begin{align*}"]
    lines += [f"  {_name(node)} &= {notation.latex(node.formula)} \\\\" for node in graph.operations]
    lines += ["\\end{align*}", "\\begin{align*}", f"  {_bar(graph.root)} &= {_start(graph)} \\\\"]
    for node in [node for node in reversed(graph.operations) if node in backward_pass.received] + graph.leaves:
        terms = backward_pass.received.get(node, [])
        if terms:
            named_terms = " + ".join(_term(contribution, graph.letter) for contribution in terms)
            lines.append(f"  {_bar(node)} &= {named_terms} \\\\")
    return "\n".join([*lines, "\\end{align*}"]) + "\n"


def _start(graph: Graph) -> str:
    return "1" if np.all(graph.upstream == 1) else rf"\text{{{notation.escaped(brief(graph.upstream))}}}"


def _name(node: Node) -> str:
    return notation.latex_name(node.name)


def _bar(node: Node) -> str:
    return rf"\overline{{{_name(node)}}}"


def _term(contribution: Contribution, letter: str) -> str:
    if isinstance(contribution.rule, str):
        return rf"\text{{({notation.escaped(contribution.rule)})}}"
    term = notation.latex(contribution.rule, {letter: _bar(contribution.operation)})
    if contribution.summed:
        axes = ", ".join(map(str, contribution.summed))
        return rf"\sum_{{\text{{axis {axes}}}}} {term}"
    return term
