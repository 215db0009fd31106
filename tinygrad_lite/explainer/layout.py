"""Layout: where each node of a graph stands, in layers from what is given to the result.

K. Sugiyama, S. Tagawa and M. Toda (1981), Methods for visual understanding of hierarchical system structures, in the
simplest form: layers by the longest way, a passage through each layer that an edge crosses, and in each layer the order
of what stands before it, and behind it, in turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from tinygrad_lite.explainer.graph import Graph, Node

SWEEPS = 4
MOST = 5_000  # passages of a picture; beyond, edges go straight


@dataclass(eq=False)
class Passage:
    """Room in a layer for an edge that only passes it."""


Place: TypeAlias = Node | Passage


@dataclass
class Layout:
    """Where things stand.

    Attributes:
        layers: what is in each, in an order in which few edges cross.
        passages: of each edge, from a node to one that takes it in, the passages on its way.
    """

    layers: list[list[Place]]
    passages: dict[tuple[Node, Node], list[Passage]]


def laid_out(graph: Graph) -> Layout:
    """The nodes of a graph in layers."""
    depth = _depths(graph)
    layers: list[list[Place]] = [[] for _ in range(max(depth.values()) + 1)]
    for node in graph.nodes:
        layers[depth[node]].append(node)
    passages: dict[tuple[Node, Node], list[Passage]] = {}
    pairs = {
        (x, node): depth[node] - depth[x] - 1 for node in graph.operations for x in node.inputs if isinstance(x, Node)
    }
    straight = sum(pairs.values()) > MOST
    before: dict[Place, list[Place]] = {}
    behind: dict[Place, list[Place]] = {}
    for (x, node), between in pairs.items():
        passages[x, node] = [] if straight else [Passage() for _ in range(between)]
        for i, passage in enumerate(passages[x, node]):
            layers[depth[x] + 1 + i].append(passage)
        way: list[Place] = [x, *passages[x, node], node]
        for a, b in pairwise(way):
            behind.setdefault(a, []).append(b)
            before.setdefault(b, []).append(a)
    for sweep in range(SWEEPS):
        _order(layers if sweep % 2 == 0 else layers[::-1], before if sweep % 2 == 0 else behind)
    return Layout(layers, passages)


def _depths(graph: Graph) -> dict[Node, int]:
    """The layer of each node: of an operation by the longest way, of a leaf beside what it is used by."""
    depth: dict[Node, int] = {}
    for node in graph.operations:
        depth[node] = 1 + max((depth.get(x, 0) for x in node.inputs if isinstance(x, Node)), default=0)
    for node in graph.operations:
        for x in node.inputs:
            if isinstance(x, Node) and x.op is None:
                depth[x] = min(depth.get(x, depth[node] - 1), depth[node] - 1)
    return depth


def _order(layers: Sequence[list[Place]], neighbours: Mapping[Place, Sequence[Place]]) -> None:
    """Order each layer by the mean place of the neighbours that have one already."""
    place: dict[Place, float] = {}
    for layer in layers:
        means: dict[Place, float] = {}
        for i, item in enumerate(layer):
            places = [place[x] for x in neighbours.get(item, ()) if x in place]
            means[item] = sum(places) / len(places) if places else (i + 0.5) / len(layer)
        layer.sort(key=means.__getitem__)
        place.update({item: (i + 0.5) / len(layer) for i, item in enumerate(layer)})
