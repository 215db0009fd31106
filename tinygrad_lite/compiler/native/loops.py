"""Loops: a program as nests of loops, which are fused where each entry depends only on the entry of the same turn.

A nest runs over dimensions, the outermost first. Each of its memory accesses is an affine function of these. Two nests
can share a loop if every entry that one of them makes and the other reads belongs to the same turn of that loop.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tinygrad_lite.compiler.native.scalars import Form
from tinygrad_lite.compiler.program import Variable

MOST = 24  # statements in a loop; more do not fit into the registers


@dataclass(eq=False)
class Dimension:
    """A dimension that a loop runs over."""

    extent: int


@dataclass(frozen=True)
class Access:
    """An entry of memory that a statement reads or writes: offset + Σ stride · (turn of a dimension's loop).

    Attributes:
        root: the variable whose memory it lies in; no two share any.
        offset: as in a layout.
        strides: by dimension, without those that the access does not depend on.
    """

    root: Variable
    offset: int
    strides: dict[Dimension, int]

    def renamed(self, dimension: Dimension, other: Dimension) -> "Access":
        """The same access by another loop of the same extent."""
        strides = {other if axis is dimension else axis: stride for axis, stride in self.strides.items()}
        return Access(self.root, self.offset, strides)


@dataclass(eq=False)
class Statement:
    """An assignment of one entry.

    Attributes:
        target: the entry that is written.
        operands: the entries and numbers that are read.
        form: the right-hand side.
        accumulates: whether the last operand is the target's former value.
    """

    target: Access
    operands: list[Any]
    form: Form
    accumulates: bool = False

    @property
    def reads(self) -> list[Access]:
        return [x for x in self.operands if isinstance(x, Access)]

    @property
    def writes(self) -> list[Access]:
        return [self.target]

    def renamed(self, dimension: Dimension, other: Dimension) -> "Statement":
        operands = [x.renamed(dimension, other) if isinstance(x, Access) else x for x in self.operands]
        return replace(self, target=self.target.renamed(dimension, other), operands=operands)


@dataclass(eq=False)
class Loop:
    """A loop over a dimension."""

    dimension: Dimension
    body: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Whole:
    """Work on whole arrays: a product of matrices, or one of NumPy's own loops (see wholes.py).

    Attributes:
        reads, writes: all entries of the arrays.
        write: emits the work, given the addresses of the roots.
    """

    reads: list[Access]
    writes: list[Access]
    write: Any


def statements(item: Any) -> Iterable[Any]:
    """The statements in an item, in order."""
    if isinstance(item, Loop):
        for part in item.body:
            yield from statements(part)
    else:
        yield item


def is_one_loop(loop: Loop) -> bool:
    """Whether a loop and the one directly inside could be one: each access continues from row to row."""
    if len(loop.body) != 1 or not isinstance(loop.body[0], Loop):
        return False
    outer, inner = loop.dimension, loop.body[0].dimension
    accesses = [x for item in statements(loop) for x in (*item.reads, item.target)]
    return all(x.strides.get(outer, 0) == x.strides.get(inner, 0) * inner.extent for x in accesses)


def place(
    body: list[Any],
    dimensions: Sequence[Dimension],
    statement: Statement,
    setup: Statement | None,
    around: frozenset[Dimension] = frozenset(),
) -> None:
    """Insert a nest after everything that it depends on; share existing loops where possible.

    Args:
        setup: the initial value of the target, if the statement accumulates; it runs before the loop over the first
            dimension that the target does not depend on.
        around: the dimensions of the loops around the body.
    """
    if setup is not None and (not dimensions or dimensions[0] not in statement.target.strides):
        body_shared = _shared(body, dimensions, statement, around)
        start = earliest(body, statement, around) if body_shared is None else body.index(body_shared)
        own = {axis: Dimension(axis.extent) for axis in dimensions if axis in setup.target.strides}
        for axis, other in own.items():
            setup = setup.renamed(axis, other)
        nest: list[Any] = []
        place(nest, list(own.values()), setup, None)
        body[start:start] = nest
        setup = None
    if not dimensions:
        body.insert(earliest(body, statement, around), statement)
        return
    first, *rest = dimensions
    loop = _shared(body, dimensions, statement, around)
    if loop is None:
        loop = Loop(first)
        body.insert(earliest(body, statement, around), loop)
    else:
        statement = statement.renamed(first, loop.dimension)
        setup = setup and setup.renamed(first, loop.dimension)
    place(loop.body, rest, statement, setup, around | {loop.dimension})


def _shared(
    body: list[Any], dimensions: Sequence[Dimension], statement: Statement, around: frozenset[Dimension]
) -> Loop | None:
    """The last loop that a statement can run in, if there is one after everything that it depends on."""
    if not dimensions:
        return None
    first, *rest = dimensions
    for item in reversed(body):
        if isinstance(item, Loop) and item.dimension.extent == first.extent and _suits(item, bool(rest)):
            within = statement.renamed(first, item.dimension)
            if all(_may_follow(within, other, item.dimension, around) for other in statements(item)):
                return item
        if any(_conflict(statement, other, around) for other in statements(item)):
            return None
    return None


def _suits(loop: Loop, has_inner: bool) -> bool:
    """Whether a loop may take in one more statement: only loops without others inside become vector instructions."""
    return any(isinstance(part, Loop) for part in loop.body) == has_inner and len(list(statements(loop))) < MOST


def earliest(body: list[Any], item: Any, around: frozenset[Dimension] = frozenset()) -> int:
    """The first position after everything that an item must come after."""
    positions = range(len(body), 0, -1)
    return next((i for i in positions if any(_conflict(item, other, around) for other in statements(body[i - 1]))), 0)


def _pairs(item: Any, other: Any) -> Iterable[tuple[Access, Access]]:
    """The pairs of accesses of two items in which at least one writes."""
    for written in other.writes:
        for x in (*item.reads, *item.writes):
            yield x, written
    for read in other.reads:
        for written in item.writes:
            yield written, read


def _span(a: Access, b: Access, fixed: frozenset[Dimension]) -> tuple[int, int]:
    """The first and last entry of the first access, relative to the turn of the fixed loops around both."""
    first = last = a.offset
    for dimension, stride in a.strides.items():
        if dimension in fixed and b.strides.get(dimension) == stride:
            continue
        ahead = stride * (dimension.extent - 1)
        first, last = first + min(ahead, 0), last + max(ahead, 0)
    return first, last


def _overlap(a: Access, b: Access, around: frozenset[Dimension]) -> bool:
    if a.root is not b.root:
        return False
    (first_a, last_a), (first_b, last_b) = _span(a, b, around), _span(b, a, around)
    return first_a <= last_b and first_b <= last_a


def _conflict(item: Any, other: Any, around: frozenset[Dimension]) -> bool:
    """Whether an item must come after another."""
    return any(_overlap(a, b, around) for a, b in _pairs(item, other))


def _may_follow(statement: Statement, other: Any, dimension: Dimension, around: frozenset[Dimension]) -> bool:
    """Whether a statement may run in the same turns of a loop as an earlier one, after it."""
    return all(
        not _overlap(a, b, around) or _same_turn(a, b, dimension, around | {dimension})
        for a, b in _pairs(statement, other)
    )


def _same_turn(a: Access, b: Access, dimension: Dimension, fixed: frozenset[Dimension]) -> bool:
    """Whether two accesses touch the same entries in the same turn of a loop, and different ones in all other turns."""
    stride = a.strides.get(dimension, 0)
    if not stride or stride != b.strides.get(dimension, 0):
        return False
    bounds = (*_span(a, b, fixed), *_span(b, a, fixed))
    return max(bounds) - min(bounds) < abs(stride)
