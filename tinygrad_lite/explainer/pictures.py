"""The graph as a picture: SVG, and the languages of Graphviz and Mermaid."""

import html
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tinygrad_lite.explainer.graph import Graph, Node
from tinygrad_lite.explainer.layout import Item, Layout, Passage, laid_out
from tinygrad_lite.explainer.steps import Pass, brief
from tinygrad_lite.readers import notation

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 220, 74, 44, 26, 16
PASSAGE = 8  # the height of the room for an edge that passes through a layer
LETTERS = 30  # in a line of a box
_STYLE = """\
svg { font-family: ui-sans-serif, system-ui, sans-serif; background: #fff; color: #1b1f24; }
.box { fill: #fff; stroke: #57606a; stroke-width: 1.2; }
.parameter .box { fill: #e8f1fb; stroke: #0550ae; stroke-width: 2; }
.constant .box { stroke-dasharray: 5 4; }
.root .box { stroke-width: 3; }
.edge { fill: none; stroke: #6e7781; stroke-width: 1.3; }
.edge.gradient { stroke: #0550ae; }
text { fill: currentColor; font-size: 12px; }
.name { font-weight: 600; font-size: 13px; }
.small { font-size: 11px; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; color: #e6edf3; }
  .box { fill: #161b22; stroke: #8b949e; }
  .parameter .box { fill: #12263f; stroke: #79c0ff; }
  .edge { stroke: #8b949e; }
  .edge.gradient { stroke: #79c0ff; }
}"""


def svg(graph: Graph, backward_pass: Pass) -> str:
    """The graph from left to right: a box for each node, with its formula, shape, value and gradient."""
    layout = laid_out(graph)
    corner, across, down = _corners(layout)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {down:g}" width="{across}" height="{down:g}" '
        f'role="img" aria-labelledby="title description">',
        f'<title id="title">The graph behind {escape(graph.root.name)}</title>',
        f'<desc id="description">{escape(_description(graph))}</desc>',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#6e7781"/></marker></defs>',
    ]
    for node in graph.operations:
        operands = [x for x in node.inputs if isinstance(x, Node)]
        for i, x in enumerate(operands):
            way = [corner[passage] for passage in layout.passages[x, node]]
            aside = 9 * (operands[:i].count(x) - (operands.count(x) - 1) / 2)  # one line for each use
            lines.append(_edge(corner[x], way, corner[node], aside, x.requires_grad))
    for node in graph.nodes:
        lines += _box(node, corner[node], graph, backward_pass)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _description(graph: Graph) -> str:
    return "; ".join(f"{node.name} = {notation.text(node.formula)}" for node in graph.operations)


def _corners(layout: Layout) -> tuple[dict[Item, tuple[float, float]], float, float]:
    """The corner of each node and passage, and the width and height of the picture."""
    heights = [sum(map(_height, layer)) + GAP_Y * (len(layer) - 1) for layer in layout.layers]
    corner: dict[Item, tuple[float, float]] = {}
    for i, (layer, height) in enumerate(zip(layout.layers, heights)):
        y = MARGIN + (max(heights) - height) / 2
        for item in layer:
            corner[item] = (MARGIN + i * (WIDTH + GAP_X), y)
            y += _height(item) + GAP_Y
    return corner, 2 * MARGIN + len(heights) * (WIDTH + GAP_X) - GAP_X, 2 * MARGIN + max(heights)


def _height(item: Item) -> float:
    return PASSAGE if isinstance(item, Passage) else HEIGHT


def _edge(
    start: tuple[float, float],
    way: Sequence[tuple[float, float]],
    end: tuple[float, float],
    aside: float,
    has_gradient: bool,
) -> str:
    """A curve from one box to another, straight where it passes through a layer."""
    points = [(start[0] + WIDTH, start[1] + HEIGHT / 2 + aside)]
    for x, y in way:
        points += [(x, y + PASSAGE / 2), (x + WIDTH, y + PASSAGE / 2)]
    points.append((end[0], end[1] + HEIGHT / 2 + aside))
    curves = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for (x1, y1), (x2, y2) in pairwise(points):
        bend = (x2 - x1) / 2
        curves.append(f"C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}")
    kind = "edge gradient" if has_gradient else "edge"
    return f'<path class="{kind}" d="{" ".join(curves)}" marker-end="url(#head)"/>'


def _box(node: Node, corner: tuple[float, float], graph: Graph, backward_pass: Pass) -> Iterator[str]:
    x, y = corner
    kind = "operation" if node.op else "parameter" if node.requires_grad else "constant"
    kind += " root" if node is graph.root else ""
    rows = [("name", node.name), ("", notation.text(node.formula) if node.op else kind)]
    rows.append(("small", f"value {brief(node.value)}"))
    if node in backward_pass.gradients:
        rows.append(("small", f"gradient {brief(backward_pass.gradients[node])}"))
    yield f'<g class="{kind}"><rect class="box" x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
    for i, (style, text) in enumerate(rows):
        whole = f"<title>{escape(text)}</title>" if len(text) > LETTERS else ""
        yield (f'<text class="{style}" x="{x + 10:g}" y="{y + 18 + 16 * i:g}">{whole}{escape(_shortened(text))}</text>')
    yield "</g>"


def escape(text: str) -> str:
    """The text escaped for XML, without control characters."""
    return html.escape("".join(letter if letter.isprintable() else "�" for letter in text))


def _shortened(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def dot(graph: Graph) -> str:
    """The graph in the language of Graphviz."""
    lines = ["digraph {", "  rankdir=LR", '  node [shape=box, style=rounded, fontname="sans-serif"]']
    ids = {node: f"n{i}" for i, node in enumerate(graph.nodes)}
    for node, name in ids.items():
        style = "" if node.op else ", penwidth=2" if node.requires_grad else ', style="rounded,dashed"'
        lines.append(f"  {name} [label={_quoted(_label(node))}{style}]")
    lines += [f"  {ids[x]} -> {ids[node]}" for node in graph.operations for x in node.inputs if isinstance(x, Node)]
    return "\n".join([*lines, "}"]) + "\n"


def mermaid(graph: Graph) -> str:
    """The graph in the language of Mermaid."""
    ids = {node: f"n{i}" for i, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node, name in ids.items():
        label = "".join(f"#{ord(letter)};" if letter in '"#<>&`' else letter for letter in _label(node))
        lines.append(f'  {name}["{label.replace(chr(10), "<br>")}"]')
    lines += [f"  {ids[x]} --> {ids[node]}" for node in graph.operations for x in node.inputs if isinstance(x, Node)]
    return "\n".join(lines) + "\n"


def _label(node: Node) -> str:
    text = f"{node.name} = {notation.text(node.formula)}" if node.op else node.name
    return f"{text}\n{list(node.shape)}" if node.shape else text


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
