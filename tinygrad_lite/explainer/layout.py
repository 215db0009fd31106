"""Floor 6. Layout: where each node of a graph stands, in layers from what is given to the result.

K. Sugiyama, S. Tagawa and M. Toda (1981), Methods for visual understanding of hierarchical system structures, in the
simplest form: layers by the longest way, and in each layer the order of what stands before it, and behind it, in turn.
"""

from collections.abc import Callable, Mapping, Sequence

from tinygrad_lite.explainer.graph import Graph, Node

SWEEPS = 4


def layers(graph: Graph) -> list[list[Node]]:
    """The nodes layer by layer, each layer in an order in which few edges cross."""
    depth: dict[Node, int] = {}
    for node in graph.operations:
        depth[node] = 1 + max((depth.get(x, 0) for x in node.inputs if isinstance(x, Node)), default=0)
    uses: dict[Node, list[Node]] = {}
    for node in graph.operations:
        for x in node.inputs:
            if isinstance(x, Node):
                uses.setdefault(x, []).append(node)
    for leaf in graph.leaves:  # beside what it is used by, and not all of them in the first layer
        depth[leaf] = min(depth[user] for user in uses[leaf]) - 1
    found: list[list[Node]] = [[] for _ in range(max(depth.values()) + 1)]
    for node in graph.nodes:
        found[depth[node]].append(node)
    made = {node: [x for x in node.inputs if isinstance(x, Node)] for node in graph.operations}
    for sweep in range(SWEEPS):
        _ordered(found if sweep % 2 == 0 else found[::-1], made if sweep % 2 == 0 else uses)
    return found


def _ordered(found: Sequence[list[Node]], neighbours: Mapping[Node, Sequence[Node]]) -> None:
    """Order each layer by the mean place of the neighbours that have one already."""
    place: dict[Node, float] = {}
    for layer in found:
        layer.sort(key=_mean(place, neighbours, layer))
        place.update({node: (i + 0.5) / len(layer) for i, node in enumerate(layer)})


def _mean(
    place: Mapping[Node, float], neighbours: Mapping[Node, Sequence[Node]], layer: Sequence[Node]
) -> Callable[[Node], float]:
    own = {node: (i + 0.5) / len(layer) for i, node in enumerate(layer)}

    def mean(node: Node) -> float:
        found = [place[x] for x in neighbours.get(node, ()) if x in place]
        return sum(found) / len(found) if found else own[node]

    return mean
