"""The outline of a program's source: instructions one after another, and loops where the program repeats.

A loop's body is one turn, with variables of its own: what the loop hands from turn to turn, and what differs in each
turn. A turn may differ from the next one in shapes, since NumPy code need not name them.
"""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Union

import numpy as np

from tinygrad_lite.compiler.passes.common_subexpressions import identity
from tinygrad_lite.compiler.places import Argument, Place
from tinygrad_lite.compiler.program import Instruction, Program, Variable, mapped
from tinygrad_lite.compiler.repeats import INDICES, Stretch, map_numbers, operation, parameters, stretches
from tinygrad_lite.compiler.source.ownership import is_plain_ufunc, makes_an_array
from tinygrad_lite.ops.arithmetic import elementwise
from tinygrad_lite.ops.shapes import indexing, shaping

FEW = 12  # instructions; to write fewer of them again reads better than a loop
Item = Union[Instruction, "Loop"]


@dataclass(eq=False)
class Carried:
    """A value that a loop hands from turn to turn.

    Attributes:
        before: what a turn reads.
        first: what the first turn reads.
        after: what a turn makes for the next one.
        is_late: whether a turn still reads the former value when it has made the new one.
    """

    before: Variable
    first: Variable
    after: Variable
    is_late: bool


@dataclass(eq=False)
class Loop:
    """A loop.

    Attributes:
        count: the number of turns.
        body: one turn.
        carried: what it hands from turn to turn.
        varying: the variables that stand for another value in each turn, with these values; some are numbers.
        made: the results of the turn, each with its variables in all turns.
        reads_from: the places from which a turn reads a varying variable.
        writes_to: the places to which a turn writes a result; there may be several, each with those of all turns.
        listed: the results of which later code needs those of all turns.
        lasting: the results of which later code needs that of the last turn.
    """

    count: int
    body: list[Item]
    carried: list[Carried] = field(default_factory=list)
    varying: dict[Variable, list[Any]] = field(default_factory=dict)
    made: dict[Variable, list[Variable]] = field(default_factory=dict)
    reads_from: dict[Variable, list[Place]] = field(default_factory=dict)
    writes_to: dict[Variable, list[list[Place]]] = field(default_factory=dict)
    listed: set[Variable] = field(default_factory=set)
    lasting: set[Variable] = field(default_factory=set)

    @property
    def section(self) -> str:
        return self.body[0].section

    @property
    def reads(self) -> list[Variable]:
        """The variables from outside that the loop reads."""
        values = [x for varied in self.varying.values() for x in varied if isinstance(x, Variable)]
        return [*(carry.first for carry in self.carried), *values, *self.fixed]

    @property
    def fixed(self) -> list[Variable]:
        """The variables from outside that are the same in each turn."""
        own = {*self.made, *self.varying, *(carry.before for carry in self.carried)}
        return list(dict.fromkeys(x for item in self.body for x in item.reads if x not in own))


def outline(program: Program) -> list[Item]:
    """The program's instructions, and loops in place of those that repeat."""
    items = _with_lists_together(_with_loops(_numbers_first(program.calls)))
    kept: dict[Variable, list[Place]] = {}
    for place, x in program.updates.items():
        if isinstance(x, Variable):
            kept.setdefault(x, []).append(place)
    _use_places(items, program, kept)
    in_loops = {x for item in items if isinstance(item, Loop) for t in item.writes_to for x in item.made[t]}
    _keep(items, program.ends_without(in_loops))
    return items


def _with_lists_together(items: list[Item]) -> list[Item]:
    """The items, with sums of parts of an array in an order in which what loops made is not interleaved."""
    made = {
        value: (loop, x)
        for loop in items
        if isinstance(loop, Loop)
        for x, values in loop.made.items()
        for value in values
    }

    def together(item: Item) -> Item:
        if not isinstance(item, Instruction) or item.op is not indexing.scatter:
            return item
        groups: dict[Any, list[tuple[Any, Any]]] = {}
        for x, index in zip(item.inputs, item.params["indices"]):
            groups.setdefault(made.get(x, x), []).append((x, index))
        parts = [part for group in groups.values() for part in group]
        inputs, indices = (tuple(column) for column in zip(*parts))
        return replace(item, inputs=inputs, params={**item.params, "indices": indices})

    return [together(item) for item in items]


def _numbers_first(calls: Sequence[Instruction]) -> list[Instruction]:
    """The calls with numbers, such as those that follow from a count of steps, at the beginning of each section."""
    ordered: list[Instruction] = []
    for _, section in groupby(calls, lambda call: call.section):
        early: list[Instruction] = []
        others: list[Instruction] = []
        later: set[Variable] = set()
        for call in section:
            is_early = call.result.is_number and not call.has_effect and later.isdisjoint(call.reads)
            (early if is_early else others).append(call)
            if not is_early:
                later.add(call.result)
        ordered += early + others
    return ordered


def _form(call: Instruction) -> Hashable:
    """What must be equal for one text to say what two instructions do."""
    x = call.result
    ndim = len(x.shape) if call.op in (shaping.transpose, shaping.swapaxes) else bool(x.shape)
    by_entry = is_plain_ufunc(call)  # so that the result may take the place of an input of its form
    inputs = [
        (y.is_number, bool(y.shape), by_entry and (y.shape, y.dtype) == (x.shape, x.dtype))
        if isinstance(y, Variable)
        else (type(y), None if type(y) in (int, float) and call.op is not elementwise.power else repr(y))
        for y in call.inputs
    ]  # a number may vary from turn to turn, but each power has a text of its own
    return operation(call), parameters(call, False), call.section, x.is_number, ndim, makes_an_array(call), *inputs


def _with_loops(calls: Sequence[Instruction]) -> list[Item]:
    items: list[Item] = []
    position = 0
    for stretch in stretches(calls, _form):
        loop = _loop(calls, stretch) if stretch.count > 2 and stretch.period * (stretch.count - 1) >= FEW else None
        if loop is not None:
            items += [*calls[position : stretch.start], loop]
            position = stretch.end
    return [*items, *calls[position:]]


def _loop(calls: Sequence[Instruction], stretch: Stretch) -> Loop | None:
    """The loop for a stretch; None if a turn reads what is made more than one turn before it."""
    turns = [calls[start : start + stretch.period] for start in range(stretch.start, stretch.end, stretch.period)]
    made = {call.result: (turn, i) for turn, calls in enumerate(turns) for i, call in enumerate(calls)}
    results = [_result([turn[i].result for turn in turns]) for i in range(stretch.period)]
    body: list[Instruction] = []
    loop = Loop(stretch.count, [], made={x: [turn[i].result for turn in turns] for i, x in enumerate(results)})
    carried: dict[tuple[Variable, Variable], Carried] = {}
    varying: dict[tuple[Any, ...], Variable] = {}

    def varies(values: list[Any]) -> Variable:
        key = tuple(map(identity, values))
        if key not in varying:
            varying[key] = x = _stand_in(values)
            loop.varying[x] = values
        return varying[key]

    def read(values: list[Variable], position: int) -> Variable | None:
        turn, i = made.get(values[-1], (None, 0))
        if turn is None:
            common: Variable = _common(values, varies)
            return common
        if turn == stretch.count - 1:
            return results[i]
        if turn < stretch.count - 2:
            return None
        key = results[i], values[0]
        if key not in carried:
            before = replace(results[i])
            carried[key] = Carried(before, values[0], results[i], is_late=False)
        carried[key].is_late |= position > i
        return carried[key].before

    for position, (x, alike) in enumerate(zip(results, zip(*turns))):
        reads = [read(list(values), position) for values in zip(*(call.reads for call in alike))]
        if None in reads:
            return None
        body.append(_template(alike, x, iter(reads), varies))
    loop.carried = _told_apart(carried.values())
    loop.body = _with_loops(body)
    return loop


def _told_apart(carried: Collection[Carried]) -> list[Carried]:
    """What is handed on, with a name of its own for each but the first that ends with the same result."""
    known: set[Variable] = set()
    for carry in carried:
        carry.is_late |= carry.after in known
        known.add(carry.after)
    return list(carried)


def _template(alike: Sequence[Instruction], result: Variable, reads: Iterator[Any], varies: Any) -> Instruction:
    """The instruction that stands for similar ones, with variables in place of what differs."""
    call = alike[-1]
    stand_ins: dict[Variable, Any] = {}
    columns = [list(column) for column in zip(*(turn.inputs for turn in alike))]

    def next_read(x: Any) -> Any:
        if not isinstance(x, Variable):
            return x
        stand_ins[x] = y = next(reads)
        return y

    inputs = tuple(
        next_read(x) if isinstance(x, Variable) else _common(column, varies) for x, column in zip(call.inputs, columns)
    )
    params = mapped(next_read, call.params)
    for name in params.keys() & INDICES:
        params[name] = _index([turn.params[name] for turn in alike], params[name], varies)
    view_of = stand_ins.get(call.view_of) if call.view_of is not None else None
    return replace(call, inputs=inputs, params=params, result=result, view_of=view_of)


def _index(indices: Sequence[Any], index: Any, varies: Any) -> Any:
    """An index that says what these indices do, which differ in their numbers alone."""
    numbers: list[list[int]] = []
    for turn in indices:
        numbers.append([])
        map_numbers(numbers[-1].append, turn)
    columns = iter([list(column) for column in zip(*numbers)])
    return map_numbers(lambda _: _common(next(columns), varies), index)


def _common(values: list[Any], varies: Any) -> Any:
    """The value if it is the same in all turns, or a variable that stands for a different one in each."""
    return values[0] if len(set(map(identity, values))) == 1 else varies(values)


def _stand_in(values: Sequence[Any]) -> Variable:
    if isinstance(values[0], Variable):
        return _result(values)
    return Variable((), np.result_type(type(values[0])), is_number=True, name="i" if type(values[0]) is int else "x")


def _result(values: Sequence[Variable]) -> Variable:
    """A variable that stands for others: it has the form of the largest, and the name that a person gave."""
    largest = max(values, key=lambda x: x.nbytes)
    named = next((x for x in values if x.is_named), None)
    if named:
        return replace(largest, name=named.name, is_named=True)
    names = [x.name for x in values if x.name]
    return replace(largest, name=max(names, key=names.count, default=None), is_named=False)


def _use_places(items: Sequence[Item], program: Program, kept: Mapping[Variable, list[Place]]) -> None:
    """Let loops read from the state, and write to it, what has a place there in each turn."""
    made_at = {x: position for position, item in enumerate(items) for x in _results(item)}
    written = {x for item in items if isinstance(item, Instruction) and (x := item.result) in kept}
    written_at = {place: made_at.get(x, len(items)) for x, places in kept.items() for place in places}
    for position, loop in enumerate(items):
        if not isinstance(loop, Loop):
            continue
        for x, values in loop.made.items():
            counts = {len(kept.get(value, ())) for value in values}
            if len(counts) == 1 and counts != {0}:
                loop.writes_to[x] = [list(places) for places in zip(*(kept[value] for value in values))]
                written.update(values)
        in_turn = {
            place: turn for lists in loop.writes_to.values() for places in lists for turn, place in enumerate(places)
        }
        for x, values in loop.varying.items():
            places: list[Place] = []
            for turn, value in enumerate(values):
                if not isinstance(value, Variable):
                    break
                place: Any = program.inputs.get(value)
                if place is not None and not isinstance(place, Argument):
                    if written_at.get(place, position) >= position and in_turn.get(place, turn) >= turn:
                        places.append(place)
                elif value in written and made_at.get(value, position) < position:
                    places.append(kept[value][0])
            if len(places) == len(values):
                loop.reads_from[x] = places


def _results(item: Item) -> list[Variable]:
    return [item.result] if isinstance(item, Instruction) else [x for values in item.made.values() for x in values]


def _keep(items: Sequence[Item], ends: Collection[Variable]) -> None:
    """Note which results of loops later code needs, those of all turns or of the last one."""
    origin = {
        value: (loop, x, turn == loop.count - 1)
        for loop in items
        if isinstance(loop, Loop)
        for x, values in loop.made.items()
        for turn, value in enumerate(values)
    }

    def need(x: Variable, alone: bool = True) -> None:
        if x in origin:
            loop, result, is_last = origin[x]
            (loop.lasting if is_last and alone else loop.listed).add(result)

    for x in ends:
        need(x)
    for item in items:
        if isinstance(item, Instruction):
            for x in item.reads:
                need(x)
            continue
        for x in (*item.fixed, *(carry.first for carry in item.carried)):
            need(x)
        for x, values in item.varying.items():
            if x not in item.reads_from:
                sources = [origin[value][:2] for value in values if value in origin]
                for value in values:
                    need(value, alone=value in origin and sources.count(origin[value][:2]) == 1)
    for loop in items:
        if isinstance(loop, Loop):
            inner = {*loop.listed, *loop.lasting, *loop.writes_to, *(carry.after for carry in loop.carried)}
            _keep(loop.body, inner)
