"""Finds the mistakes that explain a gradient that was derived elsewhere.

Along a direction of a variable, a change of what arrives at a value changes the gradient by its product with the
value's tangent. So one product tells whether a mistake can be the one that was made; only then is it put into a reverse
pass, at this point and at others. Of a line that is run again and again every pass has the same mistake; and what one
mistake leaves is explained beside it.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, groupby
from typing import Any, TypeGuard

import numpy as np

from tinygrad_lite.checking.composites import branches, composites, products
from tinygrad_lite.checking.effort import Effort
from tinygrad_lite.checking.forwards import Replaced, forwards
from tinygrad_lite.checking.gradient_flow import size
from tinygrad_lite.checking.local import same
from tinygrad_lite.checking.mistakes import counts
from tinygrad_lite.checking.patterns import PENALTY, SMALL, constant_ratio, name_of_ratio, ratio_words
from tinygrad_lite.checking.suspects import (
    OTHER,
    WEAK,
    AtEdge,
    AtNode,
    Suspect,
    exchanged_at,
    mistakes_at,
    mixtures,
    others_at,
)
from tinygrad_lite.checking.trace import UNCHANGED, Changes, Edge, Pass
from tinygrad_lite.checking.views import SHARE, TOLERANCE, Point, View
from tinygrad_lite.engine.op import Array
from tinygrad_lite.readers.recording import Step

_ROUNDS = 3  # the largest number of mistakes, one beside another
_ENDS = 4  # of a line that runs often, how many times at its begin and at its end are looked at by themselves
SuspectsAt = Callable[[Pass, AtEdge | AtNode], Iterator[Suspect]]


@dataclass(frozen=True)
class Match:
    """A mistake, the variables whose gradients it explains, and all whose gradients it changes."""

    sentence: str
    rank: float
    step: int
    changes: Changes
    explained: frozenset[int]
    changed: frozenset[int]


def explanations(points: Sequence[Point], wrong: Sequence[int], effort: Effort) -> dict[int, tuple[Step, str]]:
    """For each variable that can be explained the operation and the mistake; the first point is the one in question."""
    cancelling = _cancelling(points[0])
    for base in (cancelling, UNCHANGED) if cancelling.edges else (UNCHANGED,):
        found: list[Match] = []
        changes = base
        for _ in range(_ROUNDS):
            left = [k for k in wrong if not any(k in match.explained for match in found)]
            search = _Search(points, changes, base.edges, left, effort)
            best = search.best() if search.differs else None
            if best is None:
                break
            found.append(best)
            changes = changes | best.changes
        unexplained = frozenset(wrong).difference(*(match.explained for match in found))
        said = {
            k: (points[0].trace.steps[match.step], match.sentence)
            for match in found
            if not match.changed & unexplained
            for k in match.explained
        }
        if said:
            return said
    return {}


def _cancelling(point: Point) -> Changes:
    """No contributions of values whose gradient cancels, and is left out by hand: the largest in a softmax, for one."""
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
    """The search for one mistake, beside those in `base`; nothing passes the edges in `cut`."""

    def __init__(
        self, points: Sequence[Point], base: Changes, cut: Container[Edge], left: Sequence[int], effort: Effort
    ) -> None:
        self._points, self._base, self._left, self._effort = points, base, left, effort
        self._trace = points[0].trace
        self._views = [View(point, base, cut, left) for point in points]
        self._done = self._views[0].done
        arrays = [x for k, step in enumerate(self._trace.steps) for x in (step.value, *self._trace.arrays[k])]
        self._sizes = counts([x for x in arrays if isinstance(x, np.ndarray)])

    @property
    def differs(self) -> bool:
        """Whether any gradient differs by so much that a mistake could explain it."""
        before, found = self._done.of_variables, self._points[0].gradients
        return any(not same(found[k], before[k], TOLERANCE) for k in self._left)

    def best(self) -> Match | None:
        """The mistake that explains the most variables, and of those the one that says the most."""
        best = self._best_of(None, 1 / 3, self._single(mistakes_at))
        if self._is_whole(best) and best.rank < OTHER:
            return best
        best = self._best_of(best, 1 / 2, self._repeated(mistakes_at))
        if best and best.rank < OTHER and (self._is_whole(best) or self._effort.ended):
            return best  # and leave the rest of the effort to what is beside it
        best = self._best_of(best, 1 / 3, chain(self._single(others_at), self._mixed()))
        if self._is_whole(best) and best.rank < WEAK:
            return best
        if not self._is_whole(best):
            best = self._best_of(best, 2 / 3, self._repeated(exchanged_at))
            if self._is_whole(best):
                return best
        return self._best_of(best, 1, self._of_other_values())

    def _best_of(self, best: Match | None, share: float, matches: Iterator[Match | None]) -> Match | None:
        """The best of what was found before and of these, tried until a share of the effort is spent."""
        return _best([*filter(None, [best]), *filter(None, self._effort.within(share, matches))])

    def _is_whole(self, match: Match | None) -> TypeGuard[Match]:
        """Whether a mistake explains everything, and changes nothing else."""
        return match is not None and match.explained == match.changed == set(self._left)

    def _verified(
        self, sentence: str, rank: float, step: int, changes: Changes, replaced: Replaced | None = None
    ) -> Match | None:
        """What a mistake explains, here and at the other points."""
        explained, changed = frozenset(self._left), frozenset[int]()
        for point, view in zip(self._points, self._views):
            self._effort.spend(len(self._trace.steps))
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
        """Whether what is wrong may be the error of a method, and no mistake."""
        before, found = self._done.of_variables, self._points[0].gradients
        return any(same(found[k], before[k], SMALL) for k in explained)

    # a mistake in one place

    def _single(self, suspects_at: SuspectsAt) -> Iterator[Match | None]:
        suspects = chain.from_iterable(suspects_at(self._done, place) for place in self._places)
        if suspects_at is mistakes_at:
            suspects = chain(suspects, self._composites, products(self._done))
        for _, there in groupby(suspects, lambda suspect: suspect.place):
            together = list(there)
            self._effort.spend(sum(1 + suspect.passes * len(self._trace.steps) for suspect in together))
            yield None
            for suspect, factor in self._fitting(together):
                sentence, place = suspect.sentence, suspect.place
                if factor != 1:
                    times = f"{sentence}, {factor:.6g} times"
                    sentence = times if sentence else _guessed(ratio_words(factor, self._sizes))
                changes = place.changes(partial(_times, factor, suspect))
                yield self._verified(sentence, suspect.rank + 0.4 * (factor != 1), place.step(self._trace), changes)

    @cached_property
    def _composites(self) -> list[Suspect]:
        return list(composites(self._done))

    @cached_property
    def _places(self) -> list[AtEdge | AtNode]:
        """Where a single mistake may have been made, the likeliest first.

        These are the places through which the gradients of just those variables pass that are wrong, and of those the
        ones close to the variables or to the results.
        """
        trace, wrong, middle = self._trace, set(self._left), self._in_the_middle
        made = ((n, trace.made_by(n)) for n, g in enumerate(self._done.gradients) if g is not None)
        places: list[AtEdge | AtNode] = [AtEdge(edge) for edge in self._done.contributions if edge[0] not in middle]
        places += [AtNode(n) for n, k in made if n in trace.uses and k not in middle]

        def likeliness(place: AtEdge | AtNode) -> tuple[int, int]:
            n = place.target(trace)
            sources, made = trace.sources[n], trace.made_by(n)
            inside = 0 if made is None else min(made + 1, len(trace.steps) - made)
            return (sources != wrong) + (not sources <= wrong), inside

        return sorted((place for place in places if trace.sources[place.target(trace)] & wrong), key=likeliness)

    @cached_property
    def _in_the_middle(self) -> set[int]:
        """Operations between the first and the last times that a line runs: a mistake in one of them alone is rare."""
        return {k for numbers in self._trace.repeats if len(numbers) > 4 * _ENDS for k in numbers[_ENDS:-_ENDS]}

    def _fitting(self, suspects: Sequence[Suspect]) -> Iterator[tuple[Suspect, float]]:
        """Mistakes at one place that are there, in at least one variable and at every point, and how many times."""
        view, *others = self._views
        for tried, wanted, found in view.products(suspects):
            fits = {
                k: view.factors(wanted, found, k, np.array([suspect.scaled for suspect in tried])) for k in self._left
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
        """Whether a mistake that fits a variable this many times is more than an accident."""
        if not suspect.sentence and abs(factor - 1) < 2 * SMALL:
            return False
        view = self._views[0]
        if not suspect.scaled or view.is_certain(k):
            return factor == 1 or not suspect.sentence or not view.is_multiple(suspect)
        known = factor == 1 if suspect.sentence else name_of_ratio(factor, self._sizes)
        return bool(len(self._views) > 1 and known)

    def _mixed(self) -> Iterator[Match | None]:
        for sentence, k, changes in branches(self._done):
            yield self._verified(sentence, 3.0, k, changes)
        for place in self._places:
            if isinstance(place, AtNode) and (g := self._done.gradients[place.node]) is not None and g.size > 2:
                yield None
                yield from self._mixed_up(place.node, g)

    def _mixed_up(self, n: int, g: Array) -> Iterator[Match | None]:
        """One value in place of another in the gradient of a third, some number of times."""
        view, place, name = self._views[0], AtNode(n), self._trace.name_of(n)
        values = [*mixtures(self._done, n)]
        self._effort.spend(len(values))
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
                    if not (any(reduces) or own[u]):  # neither is a part of the gradient
                        continue
                    whole = constant_ratio(g, arrays[w])
                    if whole and not np.isclose(times, whole, rtol=TOLERANCE):  # it is there another number of times
                        continue
                    if there == missing:
                        there += " from another step"
                    odd = not name_of_ratio(times, self._sizes)
                    rank = 5.6 - 0.5 * (own[u] or own[w]) - 0.5 * ("1" not in (there, missing)) + 0.9 * odd
                    if size(g - times * arrays[w]) > size(g + times * arrays[u]):  # what is there is subtracted
                        there, missing = missing, there
                    sentence = f"in the gradient of {name}, {there} is used in place of {missing}{many}"
                elif there == name and self._trace.made_by(n) is None:
                    rank, sentence = 5.5, PENALTY.format(times)
                else:
                    rank = 5.5 - 0.65 * (times == 1)
                    how = "missing" if any(reduces) else "added" if there else "subtracted"
                    sentence = f"in the gradient of {name}, {there or missing} is {how}{many}"
                changes = place.changes(partial(_exchanged, times, values[u][1], values[w][1]))
                yield self._verified(sentence, rank, place.step(self._trace), changes)

    # the same mistake each time that a line is run

    def _repeated(self, suspects_at: SuspectsAt) -> Iterator[Match | None]:
        least = np.inf
        together: list[tuple[list[Suspect], bool]] = []
        for numbers in self._trace.repeats:
            together += self._together(numbers, suspects_at)
            yield None
        for suspects, apart in sorted(together, key=lambda pair: pair[0][len(pair[0]) // 2].rank):
            middle = suspects[len(suspects) // 2]
            if middle.rank > least:  # what explains everything says more
                return
            self._effort.spend(2 * len(suspects))
            if apart and not self._views[0].fit_together(suspects, self._left):
                yield None
                continue
            changes = UNCHANGED
            for suspect in suspects:
                changes = changes | suspect.place.changes(partial(_where_it_fits, suspect))
            sentence = middle.sentence + _each(suspects)
            match = self._verified(sentence, middle.rank, middle.place.step(self._trace), changes)
            if self._is_whole(match):
                least = match.rank
            yield match

    def _together(self, numbers: Sequence[int], suspects_at: SuspectsAt) -> Iterator[tuple[list[Suspect], bool]]:
        """The same mistake each time that a place in a line is run, and whether these do not meet on the way."""
        by_key: dict[Any, list[Suspect]] = {}
        for k in numbers:
            edges = [(k, i) for i in range(len(self._trace.inputs[k])) if (k, i) in self._done.contributions]
            suspects = [(edge[1], suspect) for edge in edges for suspect in suspects_at(self._done, AtEdge(edge))]
            if suspects_at is mistakes_at:
                suspects += [(-1, suspect) for suspect in self._composites_at.get(k, ())]
            self._effort.spend(len(suspects))
            for argument, suspect in suspects:
                if not suspect.scaled:
                    by_key.setdefault((argument, suspect.key), []).append(suspect)
        apart = {-1: False} | {
            i: self._trace.are_apart({(k, i) for k in numbers}) for i in {argument for argument, _ in by_key} - {-1}
        }
        return ((suspects, apart[i]) for (i, _), suspects in by_key.items() if len(suspects) > 1)

    @cached_property
    def _composites_at(self) -> dict[int, list[Suspect]]:
        """The mistakes in several operations that are taken for one, by the last of these."""
        at: dict[int, list[Suspect]] = {}
        for suspect in self._composites:
            at.setdefault(suspect.place.step(self._trace), []).append(suspect)
        return at

    def _of_other_values(self) -> Iterator[Match | None]:
        """A gradient whose formula is right, but not the values that it is computed from."""
        singles = [[k] for k in range(len(self._trace.steps)) if k not in self._in_the_middle]
        for numbers in (*self._trace.repeats, *singles):
            for sentence, replaced in forwards(self._trace, numbers):
                many = _each(numbers) if len(numbers) > 1 else ""
                yield self._verified(sentence + many, 3.5, numbers[0], UNCHANGED, replaced)


def _explains(gradient: Array, found: Array, before: Array) -> bool:
    """Whether a gradient is the one that was found, and leaves little of what it differs in from the one before."""
    if not same(gradient, found, TOLERANCE):
        return False
    return bool(np.max(np.abs(gradient - found)) <= SHARE * np.max(np.abs(found - before)))


def _guessed(words: str) -> str:
    """The words for a ratio, and that it may be of other numbers that are as large."""
    return f"{words}?" if "in place of a" in words else words


def _each(times: Sequence[Any]) -> str:
    return f", each of the {len(times)} times that the line is run"


def _nothing(done: Pass, c: Any) -> Array:
    return np.zeros_like(c.right)


def _times(factor: float, suspect: Suspect, done: Pass, given: Any) -> Array:
    return factor * suspect.apply(done, given)


def _exchanged(times: float, there: Any, missing: Any, done: Pass, g: Array) -> Array:
    return g + times * (there(done.trace) - missing(done.trace))


def _where_it_fits(suspect: Suspect, done: Pass, given: Any) -> Array:
    try:
        return suspect.apply(done, given)
    except Exception:  # the first time that a line is run may have no step before it
        return suspect.place.right(done, given)


def _best(matches: Sequence[Match]) -> Match | None:
    best: tuple[Any, Match] | None = None
    for match in matches:  # among equals, the mistake closest to the variable
        key = len(match.explained), match.changed <= match.explained, -match.rank, -match.step
        if best is None or key >= best[0]:
            best = key, match
    return best and best[1]
