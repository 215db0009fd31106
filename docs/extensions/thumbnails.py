"""Thumbnails of the gallery: graphs as the names of their nodes, small enough to be read whole, and plots as shapes."""

from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from typing import Any

from matplotlib.figure import Figure
from matplotlib.legend import Legend

from tinygrad_lite.explainer.graph import Graph
from tinygrad_lite.explainer.layout import Item, Passage, laid_out
from tinygrad_lite.explainer.pictures import escape

LETTER, HEIGHT, GAP_X, GAP_Y, MARGIN = 7.2, 19, 14, 6, 4
_STYLE = """\
svg { font: 12px ui-sans-serif, system-ui, sans-serif; background: #fff; }
rect { fill: #fff; stroke: #57606a; stroke-width: 1.2; }
.parameter rect { fill: #e8f1fb; stroke: #0550ae; stroke-width: 2; }
text { fill: #1b1f24; text-anchor: middle; }
path { fill: none; stroke: #6e7781; stroke-width: 1.2; }"""


def thumbnail(graph: Graph) -> str:
    """The graph as a small picture, SVG."""
    layout = laid_out(graph)
    wide = [sum(map(_width, layer)) + GAP_X * (len(layer) - 1) for layer in layout.layers]
    middle: dict[Item, tuple[float, float]] = {}
    for i, (layer, width) in enumerate(zip(layout.layers, wide)):
        x = MARGIN + (max(wide) - width) / 2
        for item in layer:
            middle[item] = (x + _width(item) / 2, MARGIN + HEIGHT / 2 + i * (HEIGHT + GAP_Y))
            x += _width(item) + GAP_X
    across, down = 2 * MARGIN + max(wide), 2 * MARGIN + len(wide) * (HEIGHT + GAP_Y) - GAP_Y
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across:g} {down:g}"><style>{_STYLE}</style>']
    for (x, node), way in layout.passages.items():
        uses = node.inputs.count(x)  # a line for each
        for above, below in pairwise([middle[item] for item in (x, *way, node)]):
            lines += [_curve(above, below, 8 * (use - (uses - 1) / 2)) for use in range(uses)]
    for node in graph.nodes:
        (x, y), width = middle[node], _width(node)
        kind = "parameter" if node.op is None and node.requires_grad else ""
        lines.append(
            f'<g class="{kind}"><rect x="{x - width / 2:g}" y="{y - HEIGHT / 2:g}" width="{width:g}" '
            f'height="{HEIGHT}" rx="5"/><text x="{x:g}" y="{y + 4:g}">{escape(node.name)}</text></g>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def wordless(figure: Figure, save: Callable[..., Any]) -> bytes:
    """A plot as a PNG without the words around it, which nobody could read in a thumbnail."""
    figure.suptitle("")
    for axes in figure.axes:
        for words in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.findobj(Legend)):
            words.set_visible(False)
        axes.tick_params(labelbottom=False, labelleft=False, labelright=False, labeltop=False)
    picture = BytesIO()
    save(figure, picture, format="png", dpi=80)
    return picture.getvalue()


def _width(item: Item) -> float:
    return 0 if isinstance(item, Passage) else max(LETTER * len(item.name) + 14, 36)


def _curve(above: tuple[float, float], below: tuple[float, float], aside: float) -> str:
    (x1, y1), (x2, y2), bend = above, below, (below[1] - above[1]) / 2
    x1, x2 = x1 + aside, x2 + aside
    return f'<path d="M{x1:g} {y1:g} C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"/>'
