"""What repeats in a graph: a loop in the user's code, or layers of a kind, as turns of the same operations."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.explainer.graph import Graph, Node

TURNS = {1: 4, 6: 3, 20: 2}
"""The fewest turns that are a loop, by the fewest operations in a turn."""

OPERATIONS = 12
"""The fewest operations in all turns together: fewer can be seen at a glance."""


@dataclass(frozen=True)
class Loop:
    """Turns of the same operations, one after another.

    Attributes:
        start: the position of the first operation in forward order, from 0.
        length: the number of operations in a turn.
        turns: the number of turns.
    """

    start: int
    length: int
    turns: int

    @property
    def stop(self) -> int:
        return self.start + self.length * self.turns


def loops(graph: Graph) -> list[Loop]:
    """The loops of a graph, and those inside their turns: by their start, an outer loop before an inner one.

    Operations repeat if their declarations, their shapes and their lines are the same, and their modules but for
    numbers. A short turn is taken before a long one, and is one operation in the search for longer turns.
    """
    kinds: dict[object, int] = {}
    passages = [(kinds.setdefault(_kind(node), len(kinds)), k, 1) for k, node in enumerate(graph.operations)]
    candidates: list[Loop] = []
    length, array = 1, np.array([kind for kind, _, _ in passages])
    while length * 2 <= len(passages):
        runs = list(_runs(array, length))
        if not runs:
            length += 1
            continue
        shortened, done = [], 0
        for start, turns in runs:
            start += _offset(graph, passages, start, length, turns)
            body = passages[start : start + length]
            size = sum(operations for _, _, operations in body)
            loop = Loop(body[0][1], size, turns)
            candidates.append(loop)
            kind = kinds.setdefault((turns, *(kind for kind, _, _ in body)), len(kinds))
            shortened += [*passages[done:start], (kind, loop.start, size * turns)]
            done = start + length * turns
        passages = [*shortened, *passages[done:]]
        length, array = 1, np.array([kind for kind, _, _ in passages])
    kept = [loop for loop in candidates if loop.length * loop.turns >= OPERATIONS]
    return sorted(kept, key=lambda loop: (loop.start, -loop.stop))


def _kind(node: Node) -> object:
    line = node.source and (node.source.file, node.source.line)
    return node.op, node.shape, line, re.sub(r"\d+", "#", node.module)


def _least(length: int) -> int:
    return next(turns for shortest, turns in reversed(TURNS.items()) if length >= shortest)


def _runs(kinds: Array, length: int) -> Iterator[tuple[int, int]]:
    """Where turns of some length repeat often enough: the start of each such run, and the number of its turns."""
    same = np.concatenate([[False], kinds[length:] == kinds[:-length], [False]])
    (edges,) = np.nonzero(same[1:] != same[:-1])
    runs = edges.reshape(-1, 2)
    done = 0
    least = _least(length)
    for first, last in runs[runs[:, 1] - runs[:, 0] >= length * (least - 1)].tolist():
        start = max(first, done)
        turns = (last - start) // length + 1
        if turns >= least:
            done = start + turns * length
            yield start, turns


def _offset(graph: Graph, passages: Sequence[tuple[int, int, int]], start: int, length: int, turns: int) -> int:
    """How much later the turns begin than the run, where the run is longer: at the first line of the loop."""
    offset, first = 0, float("inf")
    for k in range(length):
        last = start + k + length * turns
        if k and (last > len(passages) or passages[last - 1][0] != passages[last - 1 - length][0]):
            break
        source = graph.operations[passages[start + k][1]].source
        if source and source.line < first:
            offset, first = k, source.line
    return offset
