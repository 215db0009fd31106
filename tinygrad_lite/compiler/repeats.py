"""Repeats: where a program does the same things over and over, as the turns of a loop do.

Two turns are the same if their operations have the same form (the same parameters, shapes, dtypes and orders in
memory) and the same wiring: what one turn takes from itself or from an earlier turn, the next one takes from itself or
from the turn as far before it. Everything else comes from before the stretch, and may be another value in each turn: a
row of the data, a parameter, or in the first turn what the loop starts from.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.compiler.draws import Draw
from tinygrad_lite.compiler.passes.common_subexpressions import identity
from tinygrad_lite.compiler.program import Instruction, Variable, mapped
from tinygrad_lite.engine.op import Array

Form = Callable[[Instruction], Hashable]
INDICES = frozenset({"index", "indices"})
"""The parameters in which turns may differ: one turn reads row 3, and the next one row 4."""
ALIKE = 6
"""How many equal instructions in a turn are distinguished."""

_OUTSIDE = -1  # the position of what no call makes


@dataclass(frozen=True)
class Stretch:
    """Turns that follow each other.

    Attributes:
        start: the position of the first turn's first instruction.
        period: the number of instructions in a turn.
        count: the number of turns, at least two.
    """

    start: int
    period: int
    count: int

    @property
    def end(self) -> int:
        """The position after the last turn."""
        return self.start + self.period * self.count


def form(call: Instruction) -> Hashable:
    """What must be equal for two instructions to be the same one in two turns, apart from the wiring."""
    return operation(call), values(call), parameters(call)


def form_at_any_position(call: Instruction) -> Hashable:
    """The form, without the numbers in indices."""
    return operation(call), values(call), parameters(call, with_positions=False)


def form_at_any_size(call: Instruction) -> Hashable:
    """The form, without parameters, numbers and the lengths of axes: turns may work on ever longer arrays."""
    return operation(call), *map(_at_any_size, (call.result, *call.inputs))


def _at_any_size(x: Any) -> Hashable:
    return (len(x.shape), x.dtype, x.is_number, x.order) if isinstance(x, Variable) else (type(x),)


def parameters(call: Instruction, with_positions: bool = True) -> Hashable:
    """An instruction's parameters, with or without the numbers in indices; variables among them are wiring."""
    if not call.params:
        return ()
    params = mapped(lambda x: Variable if isinstance(x, Variable) else x, call.params)
    for name in () if with_positions else params.keys() & INDICES:
        params[name] = map_numbers(lambda _: int, params[name])
    return identity(tuple(params.items()))


def map_numbers(function: Callable[[int], Any], index: Any) -> Any:
    """An index with a function applied to the numbers in it."""
    if isinstance(index, tuple):
        return tuple(map_numbers(function, part) for part in index)
    if isinstance(index, slice):
        return slice(*(map_numbers(function, part) for part in (index.start, index.stop, index.step)))
    return function(index) if type(index) is int else index


def operation(call: Instruction) -> Hashable:
    """The operation of an instruction, without its inputs."""
    op = call.op
    if isinstance(op, Draw):
        return Draw, op.name, id(op.generator), op.argument, identity(op.args), identity(tuple(op.kwargs.items()))
    return op.forward, op.name, call.ignoring


def values(call: Instruction) -> Hashable:
    """The forms of an instruction's inputs and result, and which input the result shares its memory with."""
    view_of: Any = call.view_of
    shared = view_of is not None and (call.inputs.index(view_of) if view_of in call.inputs else True)
    return _value(call.result), shared, *map(_value, call.inputs)


def _value(x: Any) -> Hashable:
    return (x.shape, x.dtype, x.is_number, x.order) if isinstance(x, Variable) else identity(x)


def stretches(calls: Sequence[Instruction], form: Form = form) -> list[Stretch]:
    """Where a program repeats, in order and without overlaps.

    The stretch that saves most instructions comes first, with the shortest of its periods, and the others share what it
    leaves. So a loop around another one is found as the outer loop; ask again with the calls of one of its turns to
    find the inner one. A first or last turn that differs stays outside.

    Args:
        form: what must be equal for two instructions to be the same one in two turns, apart from the variables among
            their inputs and parameters.
    """
    if len(calls) < 2:
        return []
    program = _Positions(calls, form)
    parts = [_Part(period, *part) for period in program.periods() for part in program.repeating(period)]
    return _chosen(parts, len(calls))


class _Part(NamedTuple):
    """A part of the program that repeats, from one position to another: whole turns, and perhaps some of the next."""

    period: int
    start: int
    end: int

    @property
    def turns(self) -> int:
        return (self.end - self.start) // self.period

    @property
    def priority(self) -> tuple[Any, ...]:
        """The part whose loop saves most instructions comes first, and then the shortest period."""
        return -self.period * (self.turns - 1), self


class _Positions:
    """The forms of the calls as numbers, and the positions at which their inputs are made."""

    def __init__(self, calls: Sequence[Instruction], form: Form) -> None:
        numbers: dict[Hashable, int] = {}
        made: dict[Variable, int] = {}
        makers: list[int] = []
        first_reads = []
        forms = []
        for position, call in enumerate(calls):
            first_reads.append(len(makers))
            reads = call.reads
            makers += [made.get(x, _OUTSIDE) for x in reads]
            forms.append(numbers.setdefault((form(call), len(reads)), len(numbers)))
            made[call.result] = position
        self._forms = np.array(forms)
        self._makers = np.array(makers, dtype=np.int64)
        self._first_reads = np.array([*first_reads, len(makers)])  # the reads of a call follow each other

    def periods(self) -> list[int]:
        """The distances between equal parts of the program: each instruction and its neighbours, ever more of them.

        A turn may have a few equal instructions, so the next equal one need not belong to the next turn.
        """
        periods: set[int] = set()
        ranks, width, length = self._forms, 1, len(self._forms)
        while True:
            order = np.argsort(ranks, kind="stable")
            sorted_ranks = ranks[order]
            if not np.any(sorted_ranks[1:] == sorted_ranks[:-1]):
                return sorted(periods)
            for ahead in range(1, ALIKE + 1 if width == 1 else 2):
                gaps = (order[ahead:] - order[:-ahead])[sorted_ranks[ahead:] == sorted_ranks[:-ahead]]
                periods.update(np.unique(gaps[gaps <= length // 2]).tolist())
            pairs = ranks[:-width] * (int(ranks.max()) + 1) + ranks[width:]
            ranks = np.unique(pairs, return_inverse=True)[1]
            width *= 2

    def repeating(self, period: int) -> Iterator[tuple[int, int]]:
        """The longest parts of the program that repeat with this period: where each starts and ends."""
        same = self._forms[:-period] == self._forms[period:]
        for start, end in _runs(same):
            if end - start >= period:
                yield from self._wired(start, end, period)

    def _wired(self, start: int, end: int, period: int) -> Iterator[tuple[int, int]]:
        """The pieces of such a part in which the wiring repeats, too.

        An input that is not as far before its call as it is one turn later must come from before the stretch; only one
        turn later, it may come from the first turn, with which a value that the loop carries begins. So each such input
        tells where the stretch can begin at the earliest.
        """
        reads = slice(self._first_reads[start], self._first_reads[end])
        now = self._makers[reads]
        later = self._makers[self._first_reads[start + period] : self._first_reads[end + period]]
        elsewhere = np.flatnonzero(later != now + period)
        earliest = np.maximum(now, later - period)[elsewhere] + 1
        binding = earliest > start
        calls = np.searchsorted(self._first_reads, elsewhere[binding] + reads.start, side="right") - 1
        for position, bound in zip(calls.tolist(), earliest[binding].tolist()):
            if bound > start:
                if position - start >= period:
                    yield start, position + period
                start = bound
        if end - start >= period:
            yield start, end + period


def _runs(truths: Array) -> list[list[int]]:
    """Where an array of truths is true without a gap: where each such part starts and ends."""
    between = np.zeros(len(truths) + 2, bool)
    between[1:-1] = truths
    edges = np.flatnonzero(between[1:] != between[:-1])
    return edges.reshape(-1, 2).tolist()


def _chosen(parts: list[_Part], length: int) -> list[Stretch]:
    """The stretches that save most; each keeps the turns that the ones before it leave."""
    waiting = [part.priority for part in parts]
    heapify(waiting)
    is_taken: Array = np.zeros(length, dtype=bool)
    chosen = []
    while waiting:
        part = heappop(waiting)[-1]
        taken = is_taken[part.start : part.end]
        if not taken.any():
            stretch = Stretch(part.start, part.period, part.turns)
            is_taken[stretch.start : stretch.end] = True
            chosen.append(stretch)
            continue
        for start, end in _runs(~taken):
            left = part._replace(start=part.start + start, end=part.start + end)
            if left.turns >= 2:
                heappush(waiting, left.priority)
    return sorted(chosen, key=lambda stretch: stretch.start)
