"""One value in place of another, wherever a call of a function, or a loop over what another loop made, reads it.

The code of a gradient calls a function with `y` where `middle` should be, or takes `ys[k + 1]` out of a list where
`ys[k]` should be: no operation is wrong, but the same argument of several.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing.changes import name_at
from tinygrad_lite.checking.diagnosing.trace import Edge, Trace, instruction
from tinygrad_lite.engine.op import Array

Inputs = Mapping[int, Mapping[int, Edge]]
"""For operations, and each of their arguments that is mistaken, an edge at which the right value is."""
_Values = tuple[Any, ...]
"""A value each time that a line is run, by its number; a constant by its identity."""
_Edges = tuple[Edge, ...]


def exchanges(trace: Trace) -> Iterator[tuple[str, str, Inputs]]:
    """Where a value may be read in place of another, what is said of it, and what should be read."""
    return _Exchanges(trace).all()


def read(inputs: Inputs, trace: Trace, k: int) -> Array:
    """What an operation makes of the values that it should read."""
    step = trace.steps[k]
    arrays = [_array(trace, inputs[k][i]) if i in inputs[k] else x for i, x in enumerate(trace.arrays[k])]
    return np.asarray(step.op.forward(*arrays, **step.params))


def _array(trace: Trace, edge: Edge) -> Array:
    return trace.array(edge) if (n := trace.number(edge)) is None else trace.value(n)


class _Exchanges:
    """What is read and what is made by each line, the first time and each other time that it is run."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        again = {k for series in trace.of_instructions for k in series}
        series = [*trace.of_instructions, *((k,) for k in range(len(trace.steps)) if k not in again)]
        self._callers = [set(map(instruction, step.source.callers)) if step.source else set() for step in trace.steps]
        self._shared = set.intersection(*self._callers) if self._callers else set()
        self._made: dict[_Values, _Edges] = {}
        self._read: dict[_Values, list[_Edges]] = {}
        for numbers in series:
            made = tuple((k, -1) for k in numbers)
            self._made[self._values(made)] = made
            for i in range(min(len(trace.arrays[k]) for k in numbers)):  # a square has one, another power two
                edges = tuple((k, i) for k in numbers)
                self._read.setdefault(self._values(edges), []).append(edges)

    def _values(self, edges: _Edges) -> _Values:
        return tuple(map(self._value, edges))

    def _value(self, edge: Edge) -> Any:
        n = self._trace.number(edge)
        return ("constant", id(self._trace.array(edge))) if n is None else n

    def _line_of(self, k: int) -> str:
        """The line of the gradient's own function from which an operation was called."""
        source = self._trace.steps[k].source
        lines = [line for line in (source, *source.callers) if instruction(line) not in self._shared] if source else []
        return f"called at {lines[-1]}" if lines else ""

    def all(self) -> Iterator[tuple[str, str, Inputs]]:
        for values, readers in self._read.items():
            if len(values) > 1 and isinstance(values[-1], int):
                yield from self._of_other_turns(values, readers)
        for caller, inside in self._calls().items():
            for values, readers in inside.items():
                yield from self._of_others(f"called at {caller[0]}", values, readers)

    def _of_other_turns(self, values: _Values, readers: list[_Edges]) -> Iterator[tuple[str, str, Inputs]]:
        """What a loop made one turn before or after."""
        for made, edges in self._made.items():
            if not set(values[1:]) <= set(made) or len(made) < 2:
                continue
            first = next((starts[0][0] for starts in self._of_starts(made)), None)
            there: dict[Any, Edge] = dict(zip(made, edges))
            order = list(made)
            if first is not None:
                order.insert(0, self._value(first))
                there[order[0]] = first
            if not set(values) <= set(order):
                continue
            at = [order.index(value) for value in values]
            for by, word in ((-1, "before"), (1, "after")):
                if all(0 <= place + by < len(order) for place in at):
                    right = tuple(there[order[place + by]] for place in at)
                    name = self._trace.name(edges[0])
                    yield (
                        self._line_of(readers[0][0][0]),
                        f"{name} of the turn {word} in place of {name}",
                        _inputs(readers, right),
                    )

    def _of_starts(self, made: _Values) -> Iterator[list[_Edges]]:
        """Where a line reads, each time but the first, what another made the time before."""
        return (readers for values, readers in self._read.items() if values[1:] == made[:-1])

    def _calls(self) -> dict[Any, dict[_Values, list[_Edges]]]:
        """For each call of a function, what is read in it that was made outside of it."""
        trace = self._trace
        callers, shared = self._callers, self._shared
        calls: dict[Any, dict[_Values, list[_Edges]]] = {}
        for values, readers in self._read.items():
            for edges in readers:
                made = None if (n := trace.number(edges[0])) is None else trace.made_by(n)
                for caller in callers[edges[0][0]] - shared:
                    if made is None or caller not in callers[made]:
                        calls.setdefault(caller, {}).setdefault(values, []).append(edges)
        return calls

    def _of_others(self, where: str, values: _Values, readers: list[_Edges]) -> Iterator[tuple[str, str, Inputs]]:
        """What is known before a call in place of what it reads."""
        trace, mine = self._trace, readers[0]
        numbers = [k for k, _ in mine]
        shape = np.shape(trace.array(mine[0]))
        before = [min(edges[t][0] for edges in readers) for t in range(len(values))]
        known = {**self._made, **{v: e[0] for v, e in self._read.items()}}
        for other, edges in known.items():
            if len(other) != len(values) or other == values or np.shape(trace.array(edges[0])) != shape:
                continue
            if all(_is_before(trace, n, k) for n, k in zip(other, before)):
                names = name_at(trace, edges[0], [k for k, _ in edges]), name_at(trace, mine[0], numbers)
                yield where, f"{names[0]} in place of {names[1]}", _inputs(readers, edges)


def _is_before(trace: Trace, value: Any, k: int) -> bool:
    """Whether a value is known before an operation."""
    made = trace.made_by(value) if isinstance(value, int) else None
    return made is None or made < k


def _inputs(readers: list[_Edges], right: _Edges) -> Inputs:
    inputs: dict[int, dict[int, Edge]] = {}
    for edges in readers:
        for (k, i), edge in zip(edges, right):
            inputs.setdefault(k, {})[i] = edge
    return inputs
