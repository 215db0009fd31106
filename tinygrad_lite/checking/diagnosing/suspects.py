"""The mistakes that a reverse pass may have made: in a contribution, or in a whole gradient.

Whoever derives a gradient by hand takes one value for another: an earlier step's, the gradient of what comes later, a
factor once too often. Which values there are is known from the run.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing.mistakes import (
    ARGUMENT,
    BY_HAND,
    CONSTANT,
    HALF,
    LOCAL,
    LOCAL_AND_SIGN,
    ONE_OF_TWO,
    OVERWRITTEN,
    PART,
    REPEATED,
    RUNNING,
    SHORT,
    SIGN,
    STOPPED,
    TOO_LARGE,
    TRANSPOSED,
    TWICE,
    Contribution,
    Mistake,
    count_of_mean,
    mistakes,
)
from tinygrad_lite.checking.diagnosing.trace import Changes, Edge, Pass, Trace
from tinygrad_lite.engine.op import Array

Apply = Callable[[Pass, Any], Array]
"""Computes the wrong contribution or gradient at a place, from the pass and what it holds there."""

RATIO = 2.0
"""The rank of mistakes that are known only by how many times too large a gradient is."""
OTHER = 4.5
"""From this rank on, mistakes involve other values of the run."""
WEAK = 4.8
"""From this rank on, a mistake is believed only if it explains everything."""
_NEAR = 24  # how many values may be mistaken for another: the ones computed closest to it
_NEAR_NUMBERS = 8  # the same for single numbers, which look alike
_LISTED = 6  # how many numbers a sentence lists, one for each run of a line
_NUMBER = r"(-?(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_POWERS = {"": 1.0, "²": 2.0, "^½": 0.5}


@dataclass(frozen=True)
class AtEdge:
    """A contribution of an operation to an argument."""

    edge: Edge

    def step(self, trace: Trace) -> int:
        return self.edge[0]

    def target(self, trace: Trace) -> int:
        n = trace.inputs[self.edge[0]][self.edge[1]]
        assert n is not None
        return n

    def held(self, done: Pass) -> Any:
        return done.contributions[self.edge]

    def right(self, done: Pass, held: Any) -> Array:
        return held.right

    def changes(self, apply: Apply) -> Changes:
        return Changes(edges={self.edge: apply})


@dataclass(frozen=True)
class AtNode:
    """The whole gradient of a value."""

    node: int

    def step(self, trace: Trace) -> int:
        made = trace.made_by(self.node)
        return trace.uses[self.node][-1][0] if made is None else made

    def target(self, trace: Trace) -> int:
        return self.node

    def held(self, done: Pass) -> Any:
        return _gradient(done, self.node)

    def right(self, done: Pass, held: Any) -> Array:
        return held

    def changes(self, apply: Apply) -> Changes:
        return Changes(nodes={self.node: apply})


@dataclass(frozen=True)
class Across:
    """A mistake by which the gradient of a value adds something to that of an earlier one."""

    late: int
    early: int

    def step(self, trace: Trace) -> int:
        made = trace.made_by(self.late)
        assert made is not None
        return made

    def target(self, trace: Trace) -> int:
        return self.early

    def held(self, done: Pass) -> Any:
        return _gradient(done, self.late)

    def right(self, done: Pass, held: Any) -> Array:
        return np.zeros(np.shape(done.trace.value(self.early)))

    def changes(self, apply: Apply) -> Changes:
        return Changes(jumps={self.late: (self.early, apply)})


@dataclass(frozen=True)
class Suspect:
    """A mistake that may have been made at a place.

    Attributes:
        key: what the same mistake elsewhere has in common with it.
        rank: the smaller, the more the mistake explains.
        scaled: whether it may be there any number of times.
    """

    key: Hashable
    sentence: str
    rank: float
    place: AtEdge | AtNode | Across
    apply: Apply
    scaled: bool = False


def _gradient(done: Pass, n: int) -> Array:
    """The gradient of a value; 0 if none arrives there in this pass."""
    g = done.gradients[n]
    return np.zeros(np.shape(done.trace.value(n))) if g is None else g


def at_edge(done: Pass, edge: Edge) -> list[Suspect]:
    """The mistakes in an operation's contribution to an argument, without those that are times an unknown factor."""
    others = values_at_edge(done, edge)
    return [suspect for suspect in (*mistakes_at_edge(done, edge), *others) if not suspect.scaled]


def mistakes_at_edge(done: Pass, edge: Edge) -> Iterator[Suspect]:
    """The mistakes in an operation's contribution to an argument, with the values that it has."""
    trace, place, c = done.trace, AtEdge(edge), done.contributions[edge]
    uses = len(trace.uses[place.target(trace)])
    if uses > 1:
        sentence = ONE_OF_TWO if uses == 2 else PART
        yield Suspect("part", sentence, 0.0, place, lambda done, c: np.zeros_like(c.right))
    for key, mistake in _numbered(mistakes(c)):
        said = _said(mistake.sentence, c, all(n is None for j, n in enumerate(trace.inputs[edge[0]]) if j != edge[1]))
        yield Suspect(key, *said, place, partial(_made, mistake))
    yield Suspect("ratio", "", RATIO, place, lambda done, c: c.right, True)
    yield Suspect("running", RUNNING, 4.0, place, partial(_running_total, edge))


def _numbered(there: Iterator[Mistake]) -> Iterator[tuple[tuple[str, int], Mistake]]:
    """Mistakes, each with what identifies it elsewhere: its kind, and its number among those of the kind."""
    seen: Counter[str] = Counter()
    for mistake in there:
        kind = mistake.kind or mistake.sentence
        seen[kind] += 1
        yield (kind, seen[kind]), mistake


def others_at_edge(done: Pass, edge: Edge) -> Iterator[Suspect]:
    """The mistakes in an operation's contribution to an argument that involve other values."""
    yield from values_at_edge(done, edge)
    trace, place, c = done.trace, AtEdge(edge), done.contributions[edge]
    k = edge[0]
    for source in _like(trace, k, np.shape(c.right), True):
        at, name = (source[0] - k, source[1]), trace.name(source)
        if np.shape(trace.array(source)) == np.shape(c.right):
            sentence = f"{name} is there in place of the derivative"
            yield Suspect(("instead", at), sentence, 6.0, place, partial(_value, source), True)
        yield from _factors(source, at, name, 5.0, place)


def values_at_edge(done: Pass, edge: Edge) -> Iterator[Suspect]:
    """Other values or gradients in place of those that make an operation's contribution to an argument."""
    trace, place, c = done.trace, AtEdge(edge), done.contributions[edge]
    yield from _other_values(trace, place, c)
    yield from _other_gradients(trace, place, c)


def mistakes_at_node(done: Pass, n: int) -> Iterator[Suspect]:
    """The mistakes in the whole gradient of a value that involve no other values."""
    trace, place, g = done.trace, AtNode(n), done.gradients[n]
    uses = trace.uses.get(n, [])
    if len(uses) > 1:
        unknown = _of_no_operation(g)
        for key, mistake in _numbered(mistakes(unknown)):
            yield Suspect(key, *_said(mistake.sentence, unknown), place, partial(_made, mistake))
        yield Suspect("ratio", "", RATIO, place, lambda done, g: g, True)
    for use in uses if len(uses) > 2 else ():
        yield Suspect(("kept", use), OVERWRITTEN, 1.0, place, partial(_only, use))
    if len(uses) > 1 and all(trace.steps[use].op.name == "getitem" for use, _ in uses):
        sentence = "parts that overlap overwrite each other where they should be added up, or some are left out"
        for order in (1, -1):
            if _overwrites_itself(done, uses[::order], np.shape(trace.value(n))):
                yield Suspect(("written", order), sentence, 1.0, place, partial(_written, uses[::order]))


def others_at_node(done: Pass, n: int) -> Iterator[Suspect]:
    """The mistakes in the whole gradient of a value that involve other values."""
    trace, place = done.trace, AtNode(n)
    k = place.step(trace)
    for source in _like(trace, k, np.shape(trace.value(n))):
        yield from _factors(source, (source[0] - k, source[1]), trace.name(source), 4.6, place)


def _factors(source: Edge, at: Hashable, name: str, rank: float, place: AtEdge | AtNode) -> Iterator[Suspect]:
    """An extra factor, or a missing one."""
    for power, exponent in _POWERS.items():
        for said, signed in (("should not be there", exponent), ("is missing", -exponent)):
            sentence = f"a factor of {name}{power} {said}"
            apply = partial(_multiplied, source, signed)
            yield Suspect(("factor", at, signed), sentence, rank + (exponent != 1), place, apply, True)


def _other_values(trace: Trace, place: AtEdge, c: Contribution) -> Iterator[Suspect]:
    """Another value in place of one that the rule reads."""
    k, i = place.edge
    op = c.op
    for j, array in enumerate(c.arrays) if op is not None and op.reads_values else ():
        if not isinstance(array, (np.ndarray, np.floating)) or array.dtype.kind != "f":
            continue
        sources = [*_alike(trace, k, np.shape(array), array)]
        if j != i and len(set(np.shape(array))) == 1 < np.ndim(array):
            sources.append(((k, j), True))
        for source, turned in sources:
            at = source[0] - k, source[1], turned
            yield Suspect(
                ("value", j, at), _mixed_up(trace, source, (k, j)), 4.5, place, partial(_by_other, j, source, turned)
            )
            if j == i and op is not None and op.name in BY_HAND:
                apply = partial(_by_other_output, BY_HAND[op.name], source)
                yield Suspect(("output", at), _mixed_up(trace, source, (k, -1)), 4.5, place, apply)


def _other_gradients(trace: Trace, place: AtEdge, c: Contribution) -> Iterator[Suspect]:
    """The gradient of a later value in place of the operation's own."""
    k = place.edge[0]
    n = len(trace.variables) + k
    for _ in range(6):
        uses = trace.uses.get(n, ())
        if len(uses) != 1:
            return
        later = uses[0][0]
        n = len(trace.variables) + later
        if np.shape(trace.value(n)) == np.shape(c.g):
            names = trace.name((later, -1)), trace.name((k, -1))
            sentence = f"the gradient of {names[0]} is handed on in place of that of {names[1]}"
            yield Suspect(("gradient", later - k), sentence, 4.7, place, partial(_by_other_gradient, n))


def mixtures(done: Pass, n: int) -> Iterator[tuple[str, Callable[[Trace], Array]]]:
    """Values that may wrongly be in the gradient of a value, or be missing from it, by their names."""
    trace, shape = done.trace, np.shape(done.trace.value(n))
    for source in _like(trace, AtNode(n).step(trace), shape):
        yield trace.name(source), partial(_array, source)
    name = trace.name_of(n)
    yield f"the sigmoid of {name}", lambda trace: sigmoid(trace.value(n))
    for axis in range(len(shape)):
        yield f"the softmax of {name} along axis {axis}", partial(_softmax_of, n, axis)
    yield "1", lambda trace: np.ones(shape)
    yield "", lambda trace: np.zeros(shape)


def _array(source: Edge, trace: Trace) -> Array:
    return np.asarray(trace.array(source), float)


def _softmax_of(n: int, axis: int, trace: Trace) -> Array:
    return softmax(trace.value(n), axis)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def in_turn(suspects: Sequence[Suspect]) -> str:
    """The sentence for the same mistake each time that a line runs, with the numbers that differ each time."""
    middle = suspects[len(suspects) // 2]
    split = [re.split(_NUMBER, suspect.sentence) for suspect in suspects]
    if len({tuple(parts[::2]) for parts in split}) > 1:  # a factor of -1 is a sign, one of 3 is left out
        return LOCAL if isinstance(middle.key, tuple) and middle.key[0] == LOCAL else middle.sentence
    return "".join(parts[0] if len(set(parts)) == 1 else f"({_listed(parts)} in turn)" for parts in zip(*split))


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts if len(parts) <= _LISTED else [*parts[: _LISTED - 2], "…", parts[-1]])


# wrong contributions and gradients


def _made(mistake: Mistake, done: Pass, held: Any) -> Array:
    return mistake.apply(held if isinstance(held, Contribution) else _of_no_operation(held))


def _value(source: Edge, done: Pass, held: Any) -> Array:
    return _array(source, done.trace)


def _multiplied(source: Edge, exponent: float, done: Pass, held: Any) -> Array:
    right = held.right if isinstance(held, Contribution) else held
    return right * _array(source, done.trace) ** exponent


def _by_other(j: int, source: Edge, turned: bool, done: Pass, c: Contribution) -> Array:
    other = done.trace.array(source)
    arrays = [*c.arrays[:j], np.swapaxes(other, -1, -2) if turned else other, *c.arrays[j + 1 :]]
    assert c.op is not None
    return c.again(c.g, c.op.forward(*arrays, **c.params), arrays, c.params)


def _by_other_output(slope: Callable[[Array], Array], source: Edge, done: Pass, c: Contribution) -> Array:
    return c.g * slope(done.trace.array(source))


def _by_other_gradient(n: int, done: Pass, c: Contribution) -> Array:
    return c.again(done.gradients[n], c.y, c.arrays, c.params)


def _running_total(edge: Edge, done: Pass, c: Contribution) -> Array:
    """The contributions of all times that a line was run, up to this one."""
    step = done.trace.steps[edge[0]]
    key = step.source, step.op, edge[1], np.shape(c.right)
    done.totals[key] = c.right + done.totals.get(key, 0.0)
    return done.totals[key]


def _only(use: Edge, done: Pass, g: Array) -> Array:
    return done.contributions[use].right


def _written(uses: list[Edge], done: Pass, g: Array) -> Array:
    """The contributions of indices, written to their entries one after another."""
    written = np.zeros_like(g)
    for use in uses:
        c = done.contributions[use]
        written[c.params["index"]] = c.g
    return written


def _overwrites_itself(done: Pass, uses: list[Edge], shape: tuple[int, ...]) -> bool:
    """Whether a line that loses parts in this order also keeps some: one that only loses them is a line left out."""
    owners = np.full(shape, -1)
    indices = [done.contributions[use].params["index"] if use in done.contributions else () for use in uses]
    for number, index in enumerate(indices):
        owners[index] = number
    lines = [done.trace.steps[k].source for k, _ in uses]
    kept = {lines[number] for number in np.unique(owners).tolist() if number >= 0}
    return any(lines[number] in kept and np.any(owners[index] != number) for number, index in enumerate(indices))


def _of_no_operation(g: Array) -> Contribution:
    return Contribution(None, 0, g, g, [g], {}, g, _unknown)


def _unknown(*_: Any) -> Array:
    raise NotImplementedError


def _said(sentence: str, c: Contribution, is_only_value: bool = False) -> tuple[str, float]:
    """The sentence for a mistake in an operation like this, whose other arguments may be constants, and its rank."""
    name = c.op.name if c.op is not None else ""
    if (
        sentence == LOCAL
        and is_only_value
        and c.op is not None
        and c.op.derivatives
        and not (len(c.arrays) == 1 and callable(c.op.derivatives[0]))  # a single argument is not a constant
        and np.shape(c.right) == np.shape(c.g)
    ):
        slopes = np.broadcast_to(c.again(np.ones_like(c.g), c.y, c.arrays, c.params), np.shape(c.right))
        if slopes.size and np.all(slopes == slopes.flat[0]):
            slope = float(slopes.flat[0])
            return (SIGN if slope == -1 else CONSTANT.format(slope)), 0.5
    if name == "mean" and sentence == TOO_LARGE.format(count_of_mean(c)):
        return sentence, 0.5
    if sentence in (TWICE, HALF):
        return sentence, 0.8 if name in ("square", "power") else 2.0
    if sentence == ARGUMENT:  # which may be the input in place of the output
        return sentence, 3.2
    if sentence == LOCAL_AND_SIGN:
        return sentence, 4.9
    if sentence in (STOPPED, SIGN, TRANSPOSED, REPEATED):
        return sentence, 1.0
    if sentence.endswith(SHORT[-1]):
        return sentence, 2.5
    if "in place of a" in sentence:  # which the number alone suggests
        sentence += "?"
    return sentence, 4.0 if "off by one" in sentence or "axis" in sentence else 3.0


# the values of a run


def _mixed_up(trace: Trace, source: Edge, own: Edge) -> str:
    """The sentence that one value is used where another should be."""
    name, right = trace.name(source), trace.name(own)
    if source == own:
        return f"{name} is transposed where it should not be, or the other way round"
    if name == right:
        numbers = [-1 if (n := trace.number(edge)) is None else n for edge in (source, own)]
        name = f"{name} from {'an earlier' if numbers[0] < numbers[1] else 'a later'} step"
    return f"{name} is used where {right} should be"


def _alike(trace: Trace, k: int, shape: tuple[int, ...], own: Array, spreads: bool = False) -> list[tuple[Edge, bool]]:
    """The values near an operation that have this shape or its transpose (which is reported), or broadcast to it."""
    key = k, shape, own.size and id(own), spreads
    if key not in trace.alike:
        trace.alike[key] = list(_searched(trace, k, shape, own, spreads))
    return trace.alike[key]


def _searched(trace: Trace, k: int, shape: tuple[int, ...], own: Array, spreads: bool) -> Iterator[tuple[Edge, bool]]:
    seen = {id(own)}
    left = _NEAR if shape else _NEAR_NUMBERS
    for edge in _nearest(trace, k):
        array = trace.array(edge)
        if id(array) in seen or not isinstance(array, (np.ndarray, np.floating)) or array.dtype.kind != "f":
            continue
        seen.add(id(array))
        same_shape, turned = array.shape == shape, len(shape) == 2 and array.shape == shape[::-1]
        if (same_shape and not np.array_equal(array, own)) or turned or (spreads and _spreads(array.shape, shape)):
            yield edge, not same_shape and turned
            left -= 1
            if not left:
                return


def _like(trace: Trace, k: int, shape: tuple[int, ...], spreads: bool = False) -> Iterator[Edge]:
    return (edge for edge, turned in _alike(trace, k, shape, np.empty(0), spreads) if not turned)


def _nearest(trace: Trace, k: int) -> Iterator[Edge]:
    """The values of the run, first those that are used or made near an operation."""
    for distance in range(len(trace.steps)):
        for at in (k - distance, k + distance) if distance else (k,):
            if 0 <= at < len(trace.steps):
                yield from ((at, i) for i in range(-1, len(trace.inputs[at])))


def _spreads(shape: tuple[int, ...], over: tuple[int, ...]) -> bool:
    """Whether an array of a shape can be broadcast over another."""
    return 0 < len(shape) <= len(over) and all(a in (1, b) for a, b in zip(shape[::-1], over[::-1]))
