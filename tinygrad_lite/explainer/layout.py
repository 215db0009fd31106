"""Layout: the position of each node of a graph, in layers from the leaves to the result.

This is the simplest form of K. Sugiyama, S. Tagawa and M. Toda (1981), Methods for visual understanding of hierarchical
system structures: layers by the longest path, a passage through each layer that an edge crosses, and an order of each
layer by its neighbours before it and behind it, in turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from tinygrad_lite.explainer.graph import Graph, Node

SWEEPS = 4
MOST = 5_000  # the largest number of passages in a picture; beyond that, edges are straight


@dataclass(eq=False)
class Passage:
    """Room in a layer for an edge that passes through it."""


Item: TypeAlias = Node | Passage


@dataclass
class Layout:
    """The positions of nodes and passages.

    Attributes:
        layers: the contents of each layer, in an order in which few edges cross.
        passages: the passages of each edge, from a node to a node that uses it.
    """

    layers: list[list[Item]]
    passages: dict[tuple[Node, Node], list[Passage]]


def laid_out(graph: Graph) -> Layout:
    """The nodes of a graph in layers."""
    depth = _depths(graph)
    layers: list[list[Item]] = [[] for _ in range(max(depth.values()) + 1)]
    for node in graph.nodes:
        layers[depth[node]].append(node)
    passages: dict[tuple[Node, Node], list[Passage]] = {}
    pairs = {
        (x, node): depth[node] - depth[x] - 1 for node in graph.operations for x in node.inputs if isinstance(x, Node)
    }
    straight = sum(pairs.values()) > MOST
    before: dict[Item, list[Item]] = {}
    behind: dict[Item, list[Item]] = {}
    for (x, node), between in pairs.items():
        passages[x, node] = [] if straight else [Passage() for _ in range(between)]
        for i, passage in enumerate(passages[x, node]):
            layers[depth[x] + 1 + i].append(passage)
        way: list[Item] = [x, *passages[x, node], node]
        for a, b in pairwise(way):
            behind.setdefault(a, []).append(b)
            before.setdefault(b, []).append(a)
    for sweep in range(SWEEPS):
        _order(layers if sweep % 2 == 0 else layers[::-1], before if sweep % 2 == 0 else behind)
    return Layout(layers, passages)


def _depths(graph: Graph) -> dict[Node, int]:
    """The layer of each node: by the longest path for an operation, next to its first use for a leaf."""
    depth: dict[Node, int] = {}
    for node in graph.operations:
        depth[node] = 1 + max((depth.get(x, 0) for x in node.inputs if isinstance(x, Node)), default=0)
    for node in graph.operations:
        for x in node.inputs:
            if isinstance(x, Node) and x.op is None:
                depth[x] = min(depth.get(x, depth[node] - 1), depth[node] - 1)
    return depth


def _order(layers: Sequence[list[Item]], neighbours: Mapping[Item, Sequence[Item]]) -> None:
    """Order each layer by the mean position of the neighbours that already have one."""
    offset: dict[Item, float] = {}
    for layer in layers:
        means: dict[Item, float] = {}
        for i, item in enumerate(layer):
            offsets = [offset[x] for x in neighbours.get(item, ()) if x in offset]
            means[item] = sum(offsets) / len(offsets) if offsets else (i + 0.5) / len(layer)
        layer.sort(key=means.__getitem__)
        offset.update({item: (i + 0.5) / len(layer) for i, item in enumerate(layer)})
