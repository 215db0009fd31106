"""A run of a function, and reverse passes over it in which mistakes can be planted.

Its values have numbers: first the variables, then the result of each operation. The same function, run at another
point, has the same numbers, so that what explains a gradient at one point can be tried at the other.
"""

import ast
import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing.local import applied
from tinygrad_lite.checking.diagnosing.mistakes import Contribution
from tinygrad_lite.checking.subjects.subject import Vector, shaped
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.readers.recording import Source, Step
from tinygrad_lite.transforms.dual import pushed

_OPERATORS: dict[type, set[str]] = {
    ast.Add: {"add"},
    ast.Sub: {"subtract"},
    ast.Mult: {"multiply"},
    ast.Div: {"divide"},
    ast.MatMult: {"matmul"},
    ast.Pow: {"power", "square"},
    ast.USub: {"negative"},
}
_MANY = 3  # how often an operation may occur in a line that runs once
Edge = tuple[int, int]
"""An operation and one of its arguments."""
Class = tuple[Any, ...]


@dataclass(frozen=True)
class Changes:
    """What is changed in a reverse pass.

    Attributes:
        edges: for an operation's contribution to an argument, its replacement.
        nodes: for the whole gradient of a value, its replacement.
        jumps: for a value, what its gradient adds to that of an earlier value.
    """

    edges: Mapping[Edge, Callable[["Pass", Contribution], Array]] = field(default_factory=dict)
    nodes: Mapping[int, Callable[["Pass", Array], Array]] = field(default_factory=dict)
    jumps: Mapping[int, tuple[int, Callable[["Pass", Array], Array]]] = field(default_factory=dict)

    def __or__(self, other: "Changes") -> "Changes":
        return Changes({**self.edges, **other.edges}, {**self.nodes, **other.nodes}, {**self.jumps, **other.jumps})


UNCHANGED = Changes()


@dataclass(frozen=True)
class Pass:
    """A reverse pass: the gradient of each value, and the contribution along each edge."""

    trace: "Trace"
    gradients: list[Array | None]
    contributions: dict[Edge, Contribution] = field(default_factory=dict)
    totals: dict[Any, Array] = field(default_factory=dict)

    @property
    def of_variables(self) -> list[Array]:
        return [np.zeros(x.shape) if g is None else g for g, x in zip(self.gradients, self.trace.variables)]


class Trace:
    """The operations that a function performed, its variables and its results.

    Args:
        have_history: whether gradients go back to tensors with a history alone, and not to all of them.

    Attributes:
        inputs: for each operation the number of each of its arguments, None for a constant.
        uses: the edges at which each value is used.
        performed: how many operations were performed for this run, beyond those that it shares with another.
        constants: what arrays that no operation made are called, by their content, as far as that is known.
        alike: the values that may be taken for another, as far as they have been looked for.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        variables: Sequence[Tensor],
        results: Sequence[Any],
        paths: Sequence[str],
        have_history: bool = True,
    ) -> None:
        self.steps, self.variables, self._results, self._paths = steps, variables, results, paths
        self._numbers = {id(x): n for n, x in enumerate(variables)}
        self.inputs: list[list[int | None]] = []
        self.uses: dict[int, list[Edge]] = {}
        self.performed = len(steps)
        self.constants: Mapping[Any, str] = {}
        self.alike: dict[Any, list[tuple[Edge, bool]]] = {}
        self._names: dict[int, str] = {}
        self._known_behind: dict[tuple[int, ...], list[tuple[int, list[tuple[int, int]]]]] = {}
        self._edges: list[list[tuple[int, int, int]]] = [[] for _ in variables]  # with the argument's number
        self.arrays = [step.arrays for step in steps]
        self.values = [step.value for step in steps]
        for k, step in enumerate(steps):
            numbers = [self._numbers.get(id(x)) if isinstance(x, Tensor) else None for x in step.inputs]
            self.inputs.append(numbers)
            self._edges.append([])
            for i, n in enumerate(numbers):
                has_history = n is not None and (step.inputs[i].requires_grad or not have_history)
                if n is not None and has_history and step.op.vjps and step.op.vjps[i] is not None:
                    self.uses.setdefault(n, []).append((k, i))
                    self._edges[-1].append((k, i, n))
            if isinstance(step.result, Tensor):
                self._numbers.setdefault(id(step.result), len(variables) + k)

    def is_like(self, other: "Trace") -> bool:
        """Whether the same operations were performed on the same values."""
        return self.inputs == other.inputs and [s.op for s in self.steps] == [s.op for s in other.steps]

    def value(self, n: int) -> Array:
        return self.variables[n].data if n < len(self.variables) else self.values[n - len(self.variables)]

    def made_by(self, n: int) -> int | None:
        """The operation that made a value."""
        return n - len(self.variables) if n >= len(self.variables) else None

    def back(self, weights: Vector, changes: Changes = UNCHANGED, keep: bool = False) -> Pass:
        """The gradient of the weighted sum of the results, with changes on the way; it may keep the contributions."""
        gradients: list[Array | None] = [None] * (len(self.variables) + len(self.steps))
        for y, g in zip(self._results, shaped(weights, self._results)):
            if isinstance(y, Tensor) and (n := self._numbers.get(id(y))) is not None:
                gradients[n] = g if gradients[n] is None else gradients[n] + g
        kept = {use for n in changes.nodes for use in self.uses.get(n, ())}
        return self._carried(Pass(self, gradients), changes, self._every if keep else kept)

    def back_from(self, values: Mapping[int, Array]) -> Pass:
        """The gradients of all values, from given ones of some values; the gradient of the results is 0."""
        gradients: list[Array | None] = [None] * (len(self.variables) + len(self.steps))
        for n, g in values.items():
            gradients[n] = g
        return self._carried(Pass(self, gradients), UNCHANGED, ())

    @cached_property
    def _every(self) -> set[Edge]:
        """All edges along which a gradient is carried back."""
        return {(k, i) for edges in self._edges for k, i, _ in edges}

    def _carried(self, done: Pass, changes: Changes, kept: Container[Edge]) -> Pass:
        """The gradients carried back from the values that have one, with the contributions that are kept."""
        gradients, count = done.gradients, len(self.variables)

        def add(n: int, part: Array) -> None:
            before = gradients[n]
            gradients[n] = part if before is None else before + part

        with np.errstate(all="ignore"):
            for n in range(count + len(self.steps) - 1, -1, -1):
                if (g := gradients[n]) is None:
                    continue
                if n in changes.nodes:
                    g = gradients[n] = changes.nodes[n](done, g)
                if n in changes.jumps:
                    early, jump = changes.jumps[n]
                    add(early, jump(done, g))
                for k, i, target in self._edges[n]:
                    step = self.steps[k]
                    change = changes.edges.get((k, i))
                    if change is None and (k, i) not in kept:
                        arrays = self.arrays[k]
                        part = applied(step, i, g, self.values[k], arrays, step.params, np.shape(arrays[i]))
                    else:
                        contribution = done.contributions[k, i] = _contribution(
                            step, i, g, self.values[k], self.arrays[k]
                        )
                        part = contribution.right if change is None else change(done, contribution)
                    add(target, part)
        return done

    def rerun(self, replaced: Mapping[int, Callable[["Trace", int], Array]]) -> "Trace":
        """The same operations on other values; these functions compute the results of some of them from the new run."""
        new = copy(self)
        new.values, new.arrays, new.alike = list(self.values), list(self.arrays), {}
        behind = self._behind(tuple(sorted(replaced)))
        with np.errstate(all="ignore"):
            for k, changed in behind:
                if changed:
                    arrays = new.arrays[k] = list(self.arrays[k])
                    for i, made in changed:
                        arrays[i] = new.values[made]
                step, other = self.steps[k], replaced.get(k)
                new.values[k] = step.op.forward(*new.arrays[k], **step.params) if other is None else other(new, k)
        new.performed = len(behind)
        return new

    def _behind(self, numbers: tuple[int, ...]) -> list[tuple[int, list[tuple[int, int]]]]:
        """These operations and all that depend on them, in order; for each, the arguments that do, and what made them.

        The search for a mistake changes the same operations in many ways.
        """
        if numbers not in self._known_behind:
            behind: dict[int, list[tuple[int, int]]] = {}
            ahead, known, count = list(numbers), set(numbers), len(self.variables)
            while ahead:
                k = heappop(ahead)
                made = ((i, n - count) for i, n in enumerate(self.inputs[k]) if n is not None)
                behind[k] = [(i, n) for i, n in made if n in behind]
                for reader in self._readers.get(count + k, ()):
                    if reader not in known:
                        known.add(reader)
                        heappush(ahead, reader)
            self._known_behind[numbers] = list(behind.items())
        return self._known_behind[numbers]

    @cached_property
    def _readers(self) -> dict[int, list[int]]:
        """The operations that read each value."""
        readers: dict[int, list[int]] = {}
        for k, numbers in enumerate(self.inputs):
            for n in {*numbers} - {None}:
                readers.setdefault(n, []).append(k)  # type: ignore[arg-type]
        return readers

    def tangents(self, directions: Sequence[Array], cut: Container[Edge] = ()) -> list[Array | None]:
        """How each value changes when the variables move along these directions, while some edges pass nothing on."""
        tangents: list[Array | None] = list(directions)
        with np.errstate(all="ignore"):
            for k, (step, numbers) in enumerate(zip(self.steps, self.inputs)):
                own = [None if n is None or (k, i) in cut else tangents[n] for i, n in enumerate(numbers)]
                follows = step.op.vjps and isinstance(step.result, Tensor) and any(t is not None for t in own)
                arrays = [np.asarray(x)[()] if isinstance(x, (int, float)) else x for x in self.arrays[k]]
                tangents.append(pushed(step.op, step.value, arrays, own, step.params) if follows else None)
        return tangents

    @cached_property
    def varying(self) -> set[int]:
        """The numbers of the values that depend on a variable."""
        varying = set(range(len(self.variables)))
        for k, numbers in enumerate(self.inputs):
            if not varying.isdisjoint(numbers):
                varying.add(len(self.variables) + k)
        return varying

    @cached_property
    def repeats(self) -> list[list[int]]:
        """The operations that the same place in the same line performed again and again.

        Where a function is called in several places, there are those of each call and those of all.
        """
        of_lines = self._series(lambda step: step.source)
        return [list(numbers) for numbers in dict.fromkeys((*of_lines, *self.of_instructions))]

    @cached_property
    def of_instructions(self) -> list[tuple[int, ...]]:
        """The operations that the same instruction, reached by the same calls, performed again and again."""
        return self._series(_place)

    @cached_property
    def inside_of_functions(self) -> set[int]:
        """The operations on the way to the result of a function that is made of several, such as `np.gradient`."""
        places = [*map(_place, self.steps)]
        ops: dict[Any, set[Any]] = {}
        for place, step in zip(places, self.steps):
            ops.setdefault(place, set()).add(step.op.name)
        return {
            k for k, pair in enumerate(pairwise(places)) if pair[0] and pair[0] == pair[1] and len(ops[pair[0]]) > 1
        }

    def _series(self, place: Callable[[Step], Any]) -> list[tuple[int, ...]]:
        """The operations that the same place performed repeatedly, grouped by its parts."""
        lines: dict[Any, list[int]] = {}
        for k, step in enumerate(self.steps):
            lines.setdefault(place(step), []).append(k)
        series: dict[tuple[int, ...], None] = {}
        for numbers in lines.values():
            ops = [_kind(self.steps[k]) for k in numbers]
            runs = [numbers[a:b] for a, b in pairwise([0, *_breaks(numbers), len(numbers)])]
            aligned = self._aligned(runs) if len(runs) > 1 else []
            series.update(dict.fromkeys(aligned))
            for period in range(1, len(numbers) // 2 + 1):
                if len(numbers) % period == 0 and ops[period:] == ops[:-period]:
                    series.update(dict.fromkeys(tuple(numbers[first::period]) for first in range(period)))
                    break
            else:
                for start, period, stop in () if aligned else _stretches(ops):
                    series.update(dict.fromkeys(tuple(numbers[k:stop:period]) for k in range(start, start + period)))
        return list(series)

    def _aligned(self, runs: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
        """The operations at the same place of each run; a first run on constants may have fewer than the others."""
        first, *others = ([_kind(self.steps[k]) for k in run] for run in runs)
        if any(ops != others[0] for ops in others):
            return []
        if first == others[0]:
            return list(zip(*runs))
        places: list[tuple[int, ...]] = []
        left = len(first)
        for place in range(len(others[0]) - 1, -1, -1):
            there = left > 0 and first[left - 1] == others[0][place]
            left -= there
            places.append((*runs[0][left : left + there], *(run[place] for run in runs[1:])))
        return [] if left else places[::-1]

    def array(self, edge: Edge) -> Array:
        """The array that an operation was given, or, for argument -1, its result."""
        k, i = edge
        return self.values[k] if i < 0 else self.arrays[k][i]

    def number(self, edge: Edge) -> int | None:
        """The number of the value at an edge; None for a constant."""
        k, i = edge
        return len(self.variables) + k if i < 0 else self.inputs[k][i]

    @cached_property
    def _last_of_lines(self) -> set[int]:
        """The last operation of each run of a line: the line assigns its result."""
        last = {step.source: k for k, step in enumerate(self.steps)}
        ends = {k for k, step in enumerate(self.steps[:-1]) if self.steps[k + 1].source != step.source}
        again = (numbers for numbers in self.of_instructions if last[self.steps[numbers[0]].source] in numbers)
        return ends.union(last.values(), *again)

    def name_of(self, n: int) -> str:
        """The name of a value."""
        k = self.made_by(n)
        return self._paths[n] if k is None else self.name((k, -1))

    def name(self, edge: Edge) -> str:
        """The name of the value at an edge: the variable's path, or the name that its line gives it."""
        n = self.number(edge)
        if n is None:
            return f"the constant in {self.steps[edge[0]].op}"
        if n not in self._names:
            self._names[n] = self._paths[n] if (k := self.made_by(n)) is None else self._assigned(k)
        return self._names[n]

    def _assigned(self, k: int) -> str:
        """The name that an operation's line gives its result."""
        step = self.steps[k]
        text = step.source.text if step.source and k in self._last_of_lines else ""
        assigned = re.match(r"(?:for .*?: *)?(\w+) *[-+*/@]?=(?!=)", text)
        if assigned and step.op.name not in _operators_in_arguments(text[assigned.end() :]):
            return assigned[1]
        return f"the result of {step.op}"


def _operators_in_arguments(text: str) -> set[str]:
    """The names of the operators among the arguments of an expression that is a call."""
    with suppress(SyntaxError):
        call = ast.parse(text.strip(), mode="eval").body
        if isinstance(call, ast.Call):
            inside = (node for argument in call.args for node in ast.walk(argument))
            return set().union(*(_OPERATORS.get(type(getattr(node, "op", None)), ()) for node in inside))
    return set()


def instruction(source: Source) -> tuple[Source, int]:
    """A line, and where in it something is called."""
    return source, source.instruction


def _kind(step: Step) -> Any:
    """The operation, or its name where the same code may call another: x**k is a square for k = 2."""
    return "power" if step.op.name == "square" else step.op.name if step.op.name == "power" else step.op


def _stretches(ops: Sequence[Any]) -> Iterator[tuple[int, int, int]]:
    """Where a part of a line repeats, such as a comprehension in a sum: its beginning, its length, and its end."""
    start = 0
    while start < len(ops):
        stop = start + 1
        for period in range(1, (len(ops) - start) // 2 + 1):
            end = next((k for k in range(start + period, len(ops)) if ops[k] != ops[k - period]), len(ops))
            times = (end - start) // period
            if times > (1 if period > 1 else _MANY):
                stop = start + times * period
                yield start, period, stop
                break
        start = stop


def _place(step: Step) -> Any:
    """The instruction that performed an operation, with the calls that led there."""
    return step.source and tuple(map(instruction, (step.source, *step.source.callers)))


def _breaks(numbers: Sequence[int]) -> list[int]:
    """Where a sequence of numbers is not consecutive."""
    return [j + 1 for j, (a, b) in enumerate(pairwise(numbers)) if b != a + 1]


def _contribution(step: Step, i: int, g: Array, y: Array, arrays: Sequence[Array]) -> Contribution:
    """The contribution of an operation's own rule to an argument."""
    shape = np.shape(arrays[i])

    def again(g: Array, y: Array, arrays: Sequence[Array], params: Any) -> Array:
        return applied(step, i, g, y, arrays, params, shape)

    return Contribution(
        step.op, i, g, step.value, arrays, step.params, again(g, step.value, arrays, step.params), again
    )
