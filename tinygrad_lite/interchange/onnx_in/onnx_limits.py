"""Limits on the work that a small file can cause in the onnx package, checked before it begins."""

from collections.abc import Iterator
from math import prod
from typing import Any

from tinygrad_lite.interchange.onnx_in.onnx_translation import inner_graphs

MOST_NODES = 100_000
"""The most operators to which the functions of a file may grow when they are written out."""
MOST_AXES = 1000
"""The most axes that are followed; NumPy itself has 64."""
MOST_NUMBERS = 100_000
"""The most entries of an array that the inference of shapes may compute."""


def excess_of_functions(proto: Any) -> str:
    """What is wrong with the functions of a model, such as a chain in which each calls the next one twice."""
    functions = {(f.domain, f.name): f for f in proto.functions}
    sizes: dict[Any, int | None] = {}  # None while a function is being counted
    ahead: list[tuple[Any, bool]] = [(key, False) for key in functions]
    while ahead:
        key, is_counted = ahead.pop()
        calls = [(node.domain, node.op_type) for node in _nodes(functions[key].node)]
        inner = [call for call in calls if call in functions]
        if is_counted:
            sizes[key] = len(calls) + sum(sizes[call] or 0 for call in inner)
        elif key not in sizes:
            sizes[key] = None
            ahead.append((key, True))
            ahead += [(call, False) for call in inner]
        elif sizes[key] is None and not is_counted:
            return f"its function {key[1]!r} calls itself"
    total = sum(sizes.get((node.domain, node.op_type)) or 1 for node in _nodes(proto.graph.node))
    return f"its functions would grow to {total:,} operators" if total > MOST_NODES else ""


def _nodes(nodes: Any) -> Iterator[Any]:
    ahead = list(nodes)
    while ahead:
        node = ahead.pop()
        yield node
        ahead += [inner for graph in inner_graphs(node) for inner in graph.node]


def growth(graph: Any) -> tuple[int, int]:
    """A bound for the axes of a value in a graph, and for the entries of an array of which others are the shape."""
    axes: dict[str, int] = {}
    entries: dict[str, int] = {}
    largest = [0, 0]

    def enter(name: str, rank: int, count: int) -> None:
        axes[name], entries[name] = rank, count
        largest[:] = max(largest[0], rank), max(largest[1], count)

    def walk(graph: Any) -> None:
        for tensor in graph.initializer:
            enter(tensor.name, len(tensor.dims), prod(tensor.dims) if len(tensor.dims) < 2 else 1)
        for info in graph.input:
            enter(info.name, len(info.type.tensor_type.shape.dim), 1)
        for node in graph.node:
            for inner in inner_graphs(node):
                walk(inner)
            ranks = [axes.get(name, 1) for name in node.input]
            counts = [entries.get(name, 1) for name in node.input]
            rank = sum(ranks) if node.op_type in ("Gather", "GatherND") else max(ranks, default=1)
            count = sum(counts) if node.op_type == "Concat" else max(counts, default=1)
            for name in node.output:
                enter(name, rank, count)

    walk(graph)
    return largest[0], largest[1]
