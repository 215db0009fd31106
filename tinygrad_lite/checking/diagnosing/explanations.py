"""Finds the mistakes that explain a gradient that was derived elsewhere.

A mistake changes the gradient of some value. Along a direction of a variable, the variable's gradient then changes by
the product of that change and the value's tangent. So one product tells whether a mistake fits, and only one that fits
is tried in a reverse pass, at this point and at others. If a line runs many times, the same mistake is tried in all of
its runs. What one mistake leaves unexplained, another may explain.
"""

from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import groupby
from typing import Any, TypeGuard

import numpy as np

from tinygrad_lite.checking.auditing.gradient_flow import size
from tinygrad_lite.checking.diagnosing.composites import branches, composites, products
from tinygrad_lite.checking.diagnosing.forwards import Replaced, forwards
from tinygrad_lite.checking.diagnosing.local import same
from tinygrad_lite.checking.diagnosing.mistakes import RUNNING, counts
from tinygrad_lite.checking.diagnosing.patience import Patience
from tinygrad_lite.checking.diagnosing.patterns import PENALTY, SMALL, constant_ratio, name_of_ratio, ratio_words
from tinygrad_lite.checking.diagnosing.suspects import (
    OTHER,
    RATIO,
    WEAK,
    AtNode,
    Suspect,
    at_edge,
    in_turn,
    mistakes_at_edge,
    mistakes_at_node,
    mixtures,
    others_at_edge,
    others_at_node,
)
from tinygrad_lite.checking.diagnosing.trace import UNCHANGED, Changes, Edge, Pass, Trace
from tinygrad_lite.checking.subjects.subject import Matrix, Vector, random_weights
from tinygrad_lite.engine.op import Array
from tinygrad_lite.readers.recording import Step

NOWHERE = -1  # in place of the operation to blame, if several lines use the variable whose gradient is wrong
LINE = "nothing arrives from this line: it is left out"
TOLERANCE = 1e-7
_SHARE = 1e-3  # the largest part of a difference that an explanation may leave open
_ROUNDS = 3  # the largest number of mistakes in one gradient
_TOGETHER = 1_000_000  # the largest number of entries of the mistakes that are tried at once
_ENDS = 4  # of a line that runs often, as many first and as many last runs are looked at one by one
_LOOKS = 4  # mistakes that do the same in about as many runs of a line count once
_WORK = 300_000  # the largest number of operations in passes with a mistake in each repeat of a line


@dataclass(frozen=True)
class Point:
    """A run of the function at a point, the weights of its results, and the gradient that is to be explained there."""

    trace: Trace
    weights: Vector
    gradients: list[Array]


@dataclass(frozen=True)
class Match:
    """A mistake, the variables whose gradients it explains, and all variables whose gradients it changes."""

    sentence: str
    rank: float
    step: int
    changes: Changes
    explained: frozenset[int]
    changed: frozenset[int]


def explanations(
    points: Sequence[Point], wrong: Sequence[int], patience: Patience
) -> dict[int, tuple[Step | None, str]]:
    """The operation and the mistake behind each variable that can be explained; the first point is the one checked.

    There is no operation if the mistake is in the whole gradient of a variable that several lines use.
    """
    cancelling = _cancelling(points[0])
    for base in (cancelling, UNCHANGED) if cancelling.edges else (UNCHANGED,):
        matches: list[Match] = []
        changes = base
        for _ in range(_ROUNDS):
            left = [k for k in wrong if not any(k in match.explained for match in matches)]
            search = _Search(points, changes, base.edges, left, patience)
            best = search.best() if search.differs and not patience.ends() else None
            if best is None:
                break
            matches.append(best)
            changes = changes | best.changes
        unexplained = frozenset(wrong).difference(*(match.explained for match in matches))
        said = {
            k: (None if match.step == NOWHERE else points[0].trace.steps[match.step], match.sentence)
            for match in matches
            if not match.changed & unexplained
            for k in match.explained
        }
        if said:
            return said
    return {}


def _cancelling(point: Point) -> Changes:
    """Cuts off the gradient behind values where it cancels, as people do for the largest entry in a softmax."""
    trace = point.trace
    done = trace.back(point.weights, keep=True)
    edges: dict[Edge, Any] = {}
    for n, uses in trace.uses.items():
        k, g = trace.made_by(n), done.gradients[n]
        parts = [done.contributions[use] for use in uses if use in done.contributions]
        if k is not None and g is not None and np.size(g):
            apart = sum(size(c.again(np.abs(c.g), c.y, c.arrays, c.params)) for c in parts)
            if size(g) < 1e-13 * apart:
                edges.update({(k, i): _nothing for i in range(len(trace.inputs[k]))})
    return Changes(edges)


class _Search:
    """The search for one mistake, beside those in `base`; no tangent passes the edges in `cut`."""

    def __init__(
        self, points: Sequence[Point], base: Changes, cut: Container[Edge], left: Sequence[int], patience: Patience
    ) -> None:
        self._points, self._base, self._left, self._patience = points, base, left, patience
        self._trace = points[0].trace
        self._views = [_View(point, base, cut, left) for point in points]
        self._done = self._views[0].done
        arrays = [x for k, step in enumerate(self._trace.steps) for x in (step.value, *self._trace.arrays[k])]
        self._sizes = counts([x for x in arrays if isinstance(x, np.ndarray)])

    @property
    def differs(self) -> bool:
        """Whether any gradient differs by so much that only a mistake could explain it."""
        before, gradients = self._done.of_variables, self._points[0].gradients
        return any(not same(gradients[k], before[k], TOLERANCE) for k in self._left)

    def best(self) -> Match | None:
        """The mistake that explains the most variables, and among equals the most specific one."""
        best = _best([match for match in self._single(self._mistakes()) if match])
        if self._is_whole(best) and best.rank < OTHER:
            if best.rank < RATIO or (self._factor is None and best.step not in self._again):
                return best
            return _best([match for match in (best, *self._repeated(RATIO)) if match])
        if self._factor is not None:  # wrong values would make no multiple of the right gradient
            return _best([match for match in (best, *self._repeated(), *self._single(self._others())) if match])
        best = _best([match for match in (best, *self._single(self._others()), *self._mixed()) if match])
        if self._is_whole(best) and best.rank < WEAK:
            return best
        if not self._is_whole(best) or best.step == NOWHERE or best.step in self._again:
            best = _best([match for match in (best, *self._repeated(), *self._of_lines()) if match])
            if self._is_whole(best) and best.rank < WEAK:
                return best
        return _best([match for match in (*self._of_other_values(), best) if match])

    def _is_whole(self, match: Match | None) -> TypeGuard[Match]:
        """Whether a mistake explains everything, and changes nothing else."""
        return match is not None and match.explained == match.changed == set(self._left)

    def _verified(
        self, sentence: str, rank: float, step: int, changes: Changes, replaced: Replaced | None = None
    ) -> Match | None:
        """What a mistake explains, here and at the other points."""
        explained, changed = frozenset(self._left), frozenset[int]()
        for point, view in zip(self._points, self._views):
            try:
                trace = point.trace.rerun(replaced) if replaced else point.trace
                pulled = trace.back(point.weights, self._base | changes).of_variables
            except Exception:  # a mistake that fits one operation may not fit another
                return None
            before = view.done.of_variables
            moved = frozenset(k for k in range(len(pulled)) if not same(pulled[k], before[k], TOLERANCE))
            explained &= frozenset(k for k in moved if _explains(pulled[k], point.gradients[k], before[k]))
            changed |= moved
            if not explained:
                return None
        if rank >= WEAK and (explained != set(self._left) or self._are_small(explained)):
            return None
        return Match(sentence, rank, step, changes, explained, changed)

    def _are_small(self, explained: frozenset[int]) -> bool:
        """Whether the differences may be the error of a method instead of a mistake."""
        before, gradients = self._done.of_variables, self._points[0].gradients
        return any(same(gradients[k], before[k], SMALL) for k in explained)

    # a mistake in one place

    def _single(self, suspects: Iterator[Suspect]) -> Iterator[Match | None]:
        for _, there in groupby(suspects, lambda suspect: suspect.place):
            if self._patience.ends():
                return
            for suspect, factor in self._fitting(list(there)):
                sentence, place = suspect.sentence, suspect.place
                if factor != 1:
                    times = f"{sentence}, {factor:.6g} times"
                    sentence = times if sentence else _guessed(ratio_words(factor, self._sizes))
                changes = place.changes(partial(_times, factor, suspect))
                yield self._verified(sentence, suspect.rank + 0.4 * (factor != 1), place.step(self._trace), changes)

    def _mistakes(self) -> Iterator[Suspect]:
        """Those of a rank below `OTHER`."""
        for edge in self._edges():
            yield from mistakes_at_edge(self._done, edge)
        for n in self._nodes():
            yield from mistakes_at_node(self._done, n)
        yield from self._composites
        yield from products(self._done)

    @cached_property
    def _composites(self) -> list[Suspect]:
        return list(composites(self._done))

    def _others(self) -> Iterator[Suspect]:
        for edge in self._edges():
            yield from others_at_edge(self._done, edge)
        for n in self._nodes():
            yield from others_at_node(self._done, n)

    def _edges(self) -> Iterator[Edge]:
        return (edge for edge in self._done.contributions if edge[0] not in self._in_the_middle)

    def _nodes(self) -> Iterator[int]:
        made = ((n, self._trace.made_by(n)) for n, g in enumerate(self._done.gradients) if g is not None)
        return (n for n, k in made if n in self._trace.uses and k not in self._in_the_middle)

    @cached_property
    def _again(self) -> set[int]:
        """Operations in lines that run again and again."""
        return {k for numbers in self._trace.repeats for k in numbers}

    @cached_property
    def _in_the_middle(self) -> set[int]:
        """Operations between the first and the last times that a line runs: a mistake in one of them alone is rare."""
        return {k for numbers in self._trace.repeats if len(numbers) > 4 * _ENDS for k in numbers[_ENDS:-_ENDS]}

    def _fitting(self, suspects: Sequence[Suspect]) -> Iterator[tuple[Suspect, float]]:
        """Mistakes in one place that fit at least one variable at every point, and how many times they occur."""
        view, *others = self._views
        for tried, wanted, actual in view.products(suspects):
            fits = {
                k: view.factors(wanted, actual, k, np.array([suspect.scaled for suspect in tried])) for k in self._left
            }
            for i in np.flatnonzero(np.any([fit for _, fit in fits.values()], axis=0)):
                suspect = tried[i]
                for k, (factors, fit) in fits.items():
                    factor = float(factors[i])
                    if not (fit[i] and self._says_something(suspect, factor, k)):
                        continue
                    if all(other.agrees(suspect, k, factor) for other in others):
                        yield suspect, factor
                        break

    def _says_something(self, suspect: Suspect, factor: float, k: int) -> bool:
        """Whether it is more than a coincidence that a mistake, this many times, fits a variable."""
        if not suspect.sentence and abs(factor - 1) < 2 * SMALL:
            return False
        view = self._views[0]
        if not suspect.scaled or view.is_certain(k):
            return factor == 1 or not suspect.sentence or not view.is_multiple(suspect)
        if not suspect.sentence and suspect.place.step(self._trace) in self._again:  # it could be any run
            return False
        known = factor == 1 if suspect.sentence else name_of_ratio(factor, self._sizes)
        return bool(len(self._views) > 1 and known)

    def _mixed(self) -> Iterator[Match | None]:
        for sentence, k, changes in branches(self._done):
            yield self._verified(sentence, 3.0, k, changes)
        for n in self._nodes():
            if (g := self._done.gradients[n]) is not None and g.size > 2 and not self._patience.ends():
                yield from self._mixed_up(n, g)

    def _mixed_up(self, n: int, g: Array) -> Iterator[Match | None]:
        """Try one value in place of another, times some number, in the gradient of a third."""
        view, place, name = self._views[0], AtNode(n), self._trace.name_of(n)
        values = [*mixtures(self._done, n)]
        with np.errstate(all="ignore"):
            arrays = [value(self._trace) for _, value in values]
        along = np.array([view.along(n, array) for array in arrays])
        own = [np.array_equal(array, self._trace.value(n)) for array in arrays]
        for k in self._left:
            for u, w, times in view.pairs(along, k):
                if times < 0:
                    u, w, times = w, u, -times
                there, missing = values[u][0], values[w][0]
                many = "" if times == 1 else f", {times:.6g} times"
                reduces = [size(g - times * arrays[w]) < size(g), size(g + times * arrays[u]) < size(g)]
                if there and missing:
                    if not (any(reduces) or own[u]):  # neither is part of the gradient
                        continue
                    whole = constant_ratio(g, arrays[w])
                    if whole and not np.isclose(times, whole, rtol=TOLERANCE):  # the gradient holds another multiple
                        continue
                    if there == missing:
                        there += " from another step"
                    odd = not name_of_ratio(times, self._sizes)
                    rank = 5.6 - 0.5 * (own[u] or own[w]) - 0.5 * ("1" not in (there, missing)) + 0.9 * odd
                    rank += 0.3 * (times != 1)  # a factor in the values explains it better
                    if size(g - times * arrays[w]) > size(g + times * arrays[u]):  # it was subtracted
                        there, missing = missing, there
                    sentence = f"in the gradient of {name}, {there} is used in place of {missing}{many}"
                elif there == name and self._trace.made_by(n) is None:
                    rank, sentence = 5.5, PENALTY.format(times)
                else:
                    rank = 5.5 - 0.65 * (times == 1)
                    how = "missing" if any(reduces) else "added" if there else "subtracted"
                    sentence = f"in the gradient of {name}, {there or missing} is {how}{many}"
                changes = place.changes(partial(_exchanged, times, values[u][1], values[w][1]))
                yield self._verified(sentence, rank, self._blamed(place), changes)

    def _blamed(self, place: AtNode) -> int:
        """The operation to blame for a mistake in the whole gradient of a value."""
        lines = {self._trace.steps[use].source for use, _ in self._trace.uses[place.node]}
        return NOWHERE if self._trace.made_by(place.node) is None and len(lines) > 1 else place.step(self._trace)

    # the same mistake each time that a line is run

    def _repeated(self, below: float = np.inf) -> Iterator[Match | None]:
        """Try mistakes of a rank below this in all runs of a line."""
        work, least = 0, np.inf
        together = ((suspects[len(suspects) // 2], suspects) for suspects in self._together())
        tried: set[Any] = set()
        for middle, suspects in sorted(together, key=lambda pair: pair[0].rank):
            if work > _WORK or middle.rank > least or middle.rank >= below:  # another explains everything
                return
            if self._patience.ends():
                return
            effect = self._effect(suspects)
            if effect is None or effect in tried:
                continue
            tried.add(effect)
            work += len(self._trace.steps)
            changes = UNCHANGED
            for suspect in suspects:
                changes = changes | suspect.place.changes(partial(_where_it_fits, suspect))
            sentence = _every_time(in_turn(suspects), suspects)
            match = self._verified(sentence, middle.rank, middle.place.step(self._trace), changes)
            if self._is_whole(match):
                least = match.rank
            yield match

    def _effect(self, suspects: Sequence[Suspect]) -> Any:
        """The effect of a mistake on the right contributions at a few of its places; None if it was surely not made."""
        done = replace(self._done, totals={})
        made: list[Any] = []
        changes = False
        for suspect in suspects[:: max(1, len(suspects) // _LOOKS)]:
            held = suspect.place.held(done)
            right = suspect.place.right(done, held)
            with np.errstate(all="ignore"):
                candidate = np.asarray(_where_it_fits(suspect, done, held))
                changes = changes or not np.array_equal(candidate, right)
                fits = candidate.shape == np.shape(right)
                if self._factor is not None and not (fits and constant_ratio(candidate, right) is not None):
                    return None
            made += [suspect.place, candidate.tobytes()]
        return tuple(made) if changes else None

    @cached_property
    def _factor(self) -> float | None:
        """The factor by which all gradients are off, here and elsewhere; None if there is none."""
        ratios = set[float]()
        for point, view in zip(self._points, self._views):
            for k in self._left:
                ratio = constant_ratio(point.gradients[k], view.done.of_variables[k])
                if ratio is None:
                    return None
                ratios.add(ratio)
        return min(ratios) if max(ratios) - min(ratios) <= TOLERANCE * max(map(abs, ratios)) else None

    def _together(self) -> Iterator[list[Suspect]]:
        """The same mistake at every repeat of a place in a line."""
        across: dict[int, list[Suspect]] = {}
        for suspect in self._composites:
            across.setdefault(suspect.place.step(self._trace), []).append(suspect)
        at_edges = cache(partial(at_edge, self._done))  # an operation may be among the repeats of several places
        for numbers in self._trace.repeats:
            is_loop = tuple(numbers) in self._trace.of_instructions  # there, a sum may run on
            by_key: dict[Any, list[Suspect]] = {}
            for k in numbers:
                edges = [(k, i) for i in range(len(self._trace.inputs[k])) if (k, i) in self._done.contributions]
                for edge in edges:
                    for suspect in at_edges(edge):
                        if is_loop or suspect.sentence != RUNNING:
                            by_key.setdefault((edge[1], suspect.key), []).append(suspect)
                n = len(self._trace.variables) + k
                for suspect in mistakes_at_node(self._done, n) if self._done.gradients[n] is not None else ():
                    if not suspect.scaled:
                        by_key.setdefault(("node", suspect.key), []).append(suspect)
                for suspect in across.get(k, ()):
                    by_key.setdefault(suspect.key, []).append(suspect)
            yield from (suspects for suspects in by_key.values() if len(suspects) > 1)

    def _of_lines(self) -> Iterator[Match | None]:
        """Try to leave out a line, with all its operations."""
        lines: dict[Any, list[int]] = {}
        for k, step in enumerate(self._trace.steps):
            if step.source:
                lines.setdefault(step.source, []).append(k)
        for numbers in lines.values() if len(lines) > 1 else ():
            edges = [(k, i) for k in numbers for i in range(len(self._trace.inputs[k]))]
            held = {edge: _nothing for edge in edges if edge in self._done.contributions}
            if len(held) > 1:
                yield self._verified(LINE, 3.0, numbers[0], Changes(held))

    def _of_other_values(self) -> Iterator[Match | None]:
        """Try the right formula on wrong values."""
        if 6 * len(self._trace.steps) ** 2 > _WORK:
            return
        for numbers in ([k] for k in range(len(self._trace.steps))):
            if self._patience.ends():
                return
            for sentence, replaced, changes in forwards(self._trace, numbers):
                yield self._verified(sentence, 3.5, numbers[0], changes, replaced)
        for numbers in self._trace.repeats:
            for sentence, replaced, changes in forwards(self._trace, numbers):
                yield self._verified(_every_time(sentence, numbers), 3.5, numbers[0], changes, replaced)


class _View:
    """A point of a search: a reverse pass, and how the values there change along directions of the variables."""

    def __init__(self, point: Point, base: Changes, cut: Container[Edge], left: Sequence[int]) -> None:
        self.done = point.trace.back(point.weights, base, keep=True)
        self._tangents: list[list[Array | None]] = []
        self._stacked: dict[int, Matrix] = {}
        rng = np.random.default_rng(0)
        owners, gaps, limits = [], [], []
        before = self.done.of_variables
        for k in left:
            gradient = point.gradients[k]
            for _ in range(min(gradient.size, 2)):
                directions = [np.zeros(x.shape) for x in point.trace.variables]
                directions[k] = random_weights(rng, gradient.shape)
                owners.append(k)
                self._tangents.append(point.trace.tangents(directions, cut))
                gaps.append(np.sum(directions[k] * (gradient - before[k])))
                sizes = TOLERANCE * (np.abs(gradient) + np.abs(before[k])), _SHARE * np.abs(gradient - before[k])
                limits.append(min(np.sum(np.abs(directions[k]) * part) for part in sizes))
        self._gaps, self._limits = np.array(gaps), np.array(limits)
        self._of = {k: np.flatnonzero(np.array(owners) == k) for k in left}
        self._wrong = {k: _differing(point.gradients[k], before[k]) for k in left}
        self._moves = {k: bool(np.any(np.abs(self._gaps[own]) > self._limits[own])) for k, own in self._of.items()}

    def products(self, suspects: Sequence[Suspect]) -> Iterator[tuple[list[Suspect], Vector, Matrix]]:
        """Mistakes at one place, what they should give along each direction, and what each gives if it was made once.

        They come in batches that take little memory, without mistakes that do not fit the place.
        """
        place = suspects[0].place
        held, n = place.held(self.done), place.target(self.done.trace)
        right = place.right(self.done, held)
        with np.errstate(all="ignore"):
            wanted = self._gaps + self.along(n, right)
        count = max(1, _TOGETHER // max(1, np.size(right)))
        for first in range(0, len(suspects), count):
            tried: list[Suspect] = []
            candidates: list[Array] = []
            with np.errstate(all="ignore"):
                for suspect in suspects[first : first + count]:
                    with suppress(Exception):  # a mistake that does not fit was not made
                        candidate = suspect.apply(self.done, held)
                        if np.shape(candidate) == np.shape(right):
                            candidates.append(np.ravel(candidate))
                            tried.append(suspect)
                if tried:
                    stacked = np.array(candidates)
                    actual = np.where(np.isfinite(stacked).all(axis=1)[:, None], stacked @ self._along(n).T, np.nan)
                    yield tried, wanted, actual

    def along(self, n: int, array: Array) -> Vector:
        """The product of an array with the tangent of a value along each direction."""
        with np.errstate(all="ignore"):
            return np.asarray(self._along(n) @ np.ravel(array))

    def _along(self, n: int) -> Matrix:
        """The tangent of a value along each direction."""
        if n not in self._stacked:
            shape = np.shape(self.done.trace.value(n))
            rows = [
                np.zeros(shape) if (t := tangents[n]) is None else t + np.zeros(shape) for tangents in self._tangents
            ]
            self._stacked[n] = np.reshape(rows, (len(rows), -1))
        return self._stacked[n]

    def is_certain(self, k: int) -> bool:
        """Whether more than one wrong entry of a variable tells how many times a mistake was made."""
        return self._wrong[k] > 1

    def is_multiple(self, suspect: Suspect) -> bool:
        """Whether a mistake makes a multiple of the right contribution, as other mistakes do with a factor."""
        held = suspect.place.held(self.done)
        right = suspect.place.right(self.done, held)
        with np.errstate(all="ignore"):
            return constant_ratio(suspect.apply(self.done, held), right) is not None

    def factors(self, wanted: Vector, actual: Matrix, k: int, scaled: Vector) -> tuple[Vector, Vector]:
        """How many times each mistake was made in a variable, and whether that explains the variable's error.

        Only a `scaled` mistake may have been made more or less than once.
        """
        wanted, actual = wanted[self._of[k]], actual[:, self._of[k]]
        if not self._moves[k]:
            return np.ones(len(actual)), np.zeros(len(actual), bool)
        with np.errstate(all="ignore"):
            largest = np.max(np.abs(actual), axis=1, keepdims=True)
            unit = actual / largest
            times = unit @ wanted / np.sum(unit * unit, axis=1) / largest[:, 0]
            near = np.round(times)
            times = np.where(scaled, np.where(np.abs(times - near) < TOLERANCE * np.abs(times), near, times), 1.0)
            fits = np.all(np.abs(wanted - times[:, None] * actual) <= self._limits[self._of[k]], axis=1)
        return times, fits & (~scaled | (largest[:, 0] > 0))

    def agrees(self, suspect: Suspect, k: int, factor: float) -> bool:
        """Whether a mistake, this many times, explains the error of a variable at this point, too."""
        for _, wanted, actual in self.products([suspect]):
            own = self._of[k]
            return self._moves[k] and bool((np.abs(wanted[own] - factor * actual[0, own]) <= self._limits[own]).all())
        return False

    def pairs(self, along: Matrix, k: int) -> Iterator[tuple[int, int, float]]:
        """The pairs of arrays whose difference, times some number, explains the error of a variable."""
        own = self._of[k]
        gaps = self._gaps[own]
        if not self.is_certain(k) or not self._moves[k]:
            return
        differences = along[:, None, own] - along[None, :, own]
        with np.errstate(all="ignore"):
            times = np.sum(gaps * differences, axis=2) / np.sum(differences**2, axis=2)
            fits = np.all(np.abs(gaps - times[..., None] * differences) <= self._limits[own], axis=2)
        for u, w in np.argwhere(np.triu(fits, 1)):
            yield int(u), int(w), _rounded(float(times[u, w]))


def _explains(gradient: Array, explained: Array, before: Array) -> bool:
    """Whether the difference between a gradient and the one before is explained, but for a small part of it."""
    if not same(gradient, explained, TOLERANCE):
        return False
    return bool(np.max(np.abs(gradient - explained)) <= _SHARE * np.max(np.abs(explained - before)))


def _differing(gradient: Array, right: Array) -> int:
    """How many entries of a gradient differ from the right ones."""
    return int(np.sum(np.abs(gradient - right) > TOLERANCE * size(right)))


def _guessed(words: str) -> str:
    """The words for a ratio, as a question if other numbers of this size would fit as well."""
    return f"{words}?" if "in place of a" in words else words


def _every_time(sentence: str, times: Sequence[Any]) -> str:
    """The sentence, with a note that it is true each time; a question in it comes last."""
    said, colon, question = sentence.rpartition(": ") if sentence.endswith("?") else (sentence, "", "")
    return f"{said}, each of the {len(times)} times that the line is run{colon}{question}"


def _rounded(factor: float) -> float:
    """A factor, or the whole number that it equals up to rounding."""
    near = float(np.round(factor))
    return near if abs(factor - near) < TOLERANCE * abs(factor) else factor


def _nothing(done: Pass, c: Any) -> Array:
    return np.zeros_like(c.right)


def _times(factor: float, suspect: Suspect, done: Pass, held: Any) -> Array:
    return factor * suspect.apply(done, held)


def _exchanged(times: float, there: Any, missing: Any, done: Pass, g: Array) -> Array:
    return g + times * (there(done.trace) - missing(done.trace))


def _where_it_fits(suspect: Suspect, done: Pass, held: Any) -> Array:
    try:
        return suspect.apply(done, held)
    except Exception:  # the first time that a line is run may have no step before it
        return suspect.place.right(done, held)


def _best(matches: Sequence[Match]) -> Match | None:
    best: tuple[Any, Match] | None = None
    for match in matches:  # among equals, the mistake closest to the variable
        key = len(match.explained), match.changed <= match.explained, -match.rank
        if best is None or key >= best[0]:
            best = key, match
    return best and best[1]
