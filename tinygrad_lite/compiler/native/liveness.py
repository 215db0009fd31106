"""Liveness: arrays that are not needed at the same time share their memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinygrad_lite.compiler.native.loops import Access, Statement, statements
from tinygrad_lite.compiler.native.memory import Layout
from tinygrad_lite.compiler.program import Variable


def shared_memory(
    body: Sequence[Any], layouts: Mapping[Variable, Layout], own: Collection[Variable]
) -> tuple[dict[Variable, int], dict[str, int]]:
    """The distance that each variable moves within its buffer, and the resulting size of each buffer.

    Args:
        body: loops and calls, in order.
        layouts: the layouts of the variables that have memory of their own, one after another.
        own: the variables that are only needed from the first item that uses them to the last. The others stay.
    """
    life: dict[Variable, list[int]] = {}
    for position, item in enumerate(body):
        for statement in statements(item):
            for x in (*statement.reads, *statement.writes):
                life.setdefault(x.variable, [position, position])[1] = position
    moves: dict[Variable, int] = {}
    sizes: dict[str, int] = {}
    for x, layout in layouts.items():
        if x not in own:
            moves[x] = sizes.get(layout.buffer, 0) - layout.offset
            sizes[layout.buffer] = sizes.get(layout.buffer, 0) + x.size
    free: dict[str, list[tuple[int, int]]] = {}  # free blocks of a buffer: start and length
    living: list[tuple[int, str, int, int]] = []
    for x in sorted((x for x in layouts if x in own and x in life), key=lambda x: life[x][0]):
        first, last = life[x]
        buffer, offset = layouts[x].buffer, layouts[x].offset
        for interval in [interval for interval in living if interval[0] < first]:
            living.remove(interval)
            free.setdefault(interval[1], []).append(interval[2:])
        start = _taken(free.setdefault(buffer, []), x.size)
        if start is None:
            start = sizes.get(buffer, 0)
            sizes[buffer] = start + x.size
        living.append((last, buffer, start, x.size))
        moves[x] = start - offset
    return moves, sizes


def _taken(free: list[tuple[int, int]], size: int) -> int | None:
    """Take a block out of the free ones, and return its start; None if none is long enough."""
    for i, (start, length) in enumerate(free):
        if length >= size:
            free[i] = start + size, length - size
            return start
    return None


def relocate(item: Any, moves: Mapping[Variable, int]) -> None:
    """Update the accesses of an item to the new positions of the variables."""

    def moved(x: Any) -> Any:
        return replace(x, offset=x.offset + moves.get(x.variable, 0)) if isinstance(x, Access) else x

    for statement in statements(item):
        if isinstance(statement, Statement):
            statement.target = moved(statement.target)
            statement.operands = [moved(x) for x in statement.operands]
