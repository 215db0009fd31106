"""Finds a mistake in the code of a user's gradient: a change of one of its operations that makes it right.

Even if only the values of a function are known, the gradient's own operations are. Each is changed in the ways in which
people mistake it, until the gradient is right, here and at other points. What the gradient writes into arrays is
followed, too.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property, partial
from math import prod
from types import CodeType
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing.changes import Change, Changed, of_operations, of_values, sizes
from tinygrad_lite.checking.diagnosing.code import Code
from tinygrad_lite.checking.diagnosing.exchanges import exchanges, read
from tinygrad_lite.checking.diagnosing.influence import call_site
from tinygrad_lite.checking.diagnosing.lines import Lines, counting_lines, noting_calls
from tinygrad_lite.checking.diagnosing.local import same
from tinygrad_lite.checking.diagnosing.patience import Patience
from tinygrad_lite.checking.diagnosing.patterns import name_of_ratio
from tinygrad_lite.checking.diagnosing.rewrites import Kind, choose, rewrites
from tinygrad_lite.checking.diagnosing.trace import Trace
from tinygrad_lite.checking.diagnosing.turns import Ranges, other_turns
from tinygrad_lite.checking.evidence.examination import Comparison, Examination, silence
from tinygrad_lite.checking.subjects.following import (
    arrays_around,
    followed,
    keeping,
    names_of_arrays,
    renamed,
    uncompiled,
    with_others,
    with_what_it_calls,
)
from tinygrad_lite.checking.subjects.frameworks.closures import apart, reads_much
from tinygrad_lite.checking.subjects.subject import Matrix, Vector, random_weights
from tinygrad_lite.checking.subjects.supplied import Gradient
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import wrap
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.readers.recording import Step, observing

RIGHT_WITH = "this line of the gradient is right with {}"
_TOLERANCE = 1e-6
_LEFT = 1e-2  # the largest part of an error that a change may leave
_LONG = 3000  # a gradient of more operations is not searched
_LARGE = 3_000_000  # nor one whose results have more entries
_WORK = 1_500_000  # the largest number of operations on small arrays that a search performs
_SHARE = 0.6  # the share of the time after which the search changes the text instead
_LINES = 200_000  # the largest number of lines of rewritten code that a search runs
_SHORTEST = 100  # a run of fewer lines counts as this many
_LIKE = 1e-3  # how well the effect of a change, where it is proportional to it, is known beforehand
_STEPS = 12  # how often the search corrects a number that makes a gradient right
_WIDTH = 1e-4  # the step of the differences that show how to correct it, relative to the number
_NEAR = 1e-5  # how near to right a gradient is, relative to its largest entry, where one more correction is enough
_ASIDE = 0.02  # how far other points are, relative to the scales of the variables
_OTHERS = 2  # the number of other points at which a change must make the gradient right as well
_Tried = tuple[str, Sequence[int], str, Change]
"""Where something is changed, the operations that are, what is said of it, and what they give."""


def is_by_a_number(words: str) -> bool:
    """Whether a change is some factor or term, as whatever is off by one has."""
    return "what is there" in words


class Repair:
    """The search for a change that makes a gradient right, as long as patience lasts."""

    def __init__(self, look: Examination, comparison: Comparison, patience: Patience) -> None:
        self._look, self._patience = look, patience
        self._size = len(look.weights)
        self._wrong = comparison.suspicious
        self._left: float = 0
        self._target = np.where(np.isfinite(comparison.reference), comparison.reference, comparison.gradient)

    @cached_property
    def is_possible(self) -> bool:
        """Whether the gradient is a function of the user's, and what it should return is known."""
        subject = self._look.subject
        rules, shapes = subject.supplied, subject.results.shapes
        if not isinstance(rules, Gradient) or subject.is_known_at_one_point or subject.opaque:
            return False
        are_single = len(shapes) == 1 and self._size == prod(shapes[0])
        return are_single and not reads_much(rules.gradient) and bool(np.all(np.isfinite(self._target)))

    def by_turns(self) -> tuple[str, str] | None:
        """The loop of the gradient that should take other turns, and which turns; None if none is found."""
        return self._found(self._other_turns)

    def by_text(self) -> tuple[str, str] | None:
        """The line of the gradient that should be written otherwise, and how; None if none is found."""
        return self._found(partial(self._other_text, "order"))

    def by_operations(self) -> tuple[str, str] | None:
        """The line of the gradient that is wrong, and the change that would make it right; None if none is found."""
        return (
            self._found(self._other_operations)
            or self._found(partial(self._other_text, "values"))
            or self._found(partial(self._other_text, "factors"))
        )

    def _found(self, search: Callable[[], tuple[str, str] | None]) -> tuple[str, str] | None:
        if not self.is_possible or self._patience.ends():
            return None
        subject = self._look.subject
        with suppress(Exception), silence(), np.errstate(all="ignore"):  # the user's code may do anything with tensors
            try:
                return search()
            finally:
                subject.rows(subject.point, self._look.weights)  # so that objects keep arrays of their last call again
        return None

    def _other_turns(self) -> tuple[str, str] | None:
        before: Lines | None = None

        def run(x: Vector, ranges: Ranges) -> Matrix | None:
            nonlocal before
            with suppress(Exception), counting_lines(before) as lines:  # there may be no further turn
                rows = self._rows(x, lambda f: renamed(apart(f), {"range": ranges}))
                before = before or lines
                return rows
            return None

        for changed, where, words in other_turns(partial(run, self._look.subject.point)):
            if self._patience.ends():
                break
            if self._is_right_everywhere(lambda x, changed=changed: run(x, changed())):  # type: ignore[misc]
                return where, RIGHT_WITH.format(words)
        return None

    def _other_text(self, kind: Kind) -> tuple[str, str] | None:
        subject = self._look.subject
        assert isinstance(subject.supplied, Gradient)
        gradient, function = uncompiled(subject.supplied.gradient), uncompiled(subject.f)
        arrays = arrays_around(gradient)
        watched, inside = with_what_it_calls(apart(gradient, arrays))
        watched_function, inside_function = with_what_it_calls(function)
        with keeping(arrays), counting_lines() as before, noting_calls() as calls:
            for f in (apart(gradient, arrays), watched):
                self._rows(subject.point, lambda _, f=f: f)  # type: ignore[misc]
            subject.arguments.call(watched_function, subject.split(subject.point))
            choose()
        left = _LINES

        def run(changed: Callable[..., Any], of: CodeType | None, x: Vector) -> Matrix | None:
            nonlocal left
            with suppress(Exception, SystemExit), keeping(arrays), counting_lines(before) as lines:
                try:
                    own = apart(gradient if of else changed, arrays)
                    whole = with_others(own, {of: apart(changed, arrays)}) if of else own
                    with noting_calls(calls):
                        return self._rows(x, lambda _: whole)
                finally:
                    left -= max(lines.count, _SHORTEST)
            return None

        # what the function calls as well is right, or the function would have the same mistake
        others = {code: f for code, f in inside.items() if code not in inside_function}
        others.pop(getattr(gradient, "__func__", gradient).__code__, None)
        texts: list[tuple[CodeType | None, Callable[..., Any]]] = [(None, gradient), *others.items()]
        for of, text in texts:
            for changed, where, words in rewrites(text, [*inside_function.values()], kind):
                if self._is_right_everywhere(partial(run, changed, of)):
                    return where, RIGHT_WITH.format(words)
                if left < 0 or self._patience.ends():
                    return None
        return None

    def _rows(self, x: Vector, changed: Callable[[Any], Any]) -> Matrix:
        """The gradient by changed code."""
        subject = self._look.subject
        call = subject.calling(x)
        return subject.supplied.rows(  # type: ignore[union-attr]
            lambda f: call(changed(f)), subject.arguments, subject.results, self._look.weights
        )

    def _is_right_everywhere(self, run: Callable[[Vector], Matrix | None]) -> bool:
        """Whether changed code gives the right gradient, here and at other points."""
        rows = run(self._look.subject.point)
        if rows is None or not self._is_repaired(rows):
            return False
        return all(
            (rows := run(x)) is not None and same(rows @ direction, slope, 10 * _TOLERANCE)
            for x, direction, slope in self._asides
        )

    def _other_operations(self) -> tuple[str, str] | None:
        code = self._run(self._look.subject.point)
        if not self._is_right(code.rows(), self._look.gradient):
            return None
        if repair := self._searched(code):
            return repair[0], RIGHT_WITH.format(repair[1])
        return None

    def _run(self, x: Vector) -> Code:
        """A run with tensors.

        They have no history that could be lost: to other code, they are plain numbers.
        """
        subject = self._look.subject
        variables = [wrap(array.copy()) for array in subject.split(x)]
        steps: list[Step] = []
        entries = 0

        def keep(step: Step) -> None:
            nonlocal entries
            entries += np.size(step.value)
            if len(steps) == _LONG or entries > _LARGE:
                raise UsageError("the gradient takes too many operations to look for a mistake in them")
            steps.append(step)

        names: dict[Any, str] = {}

        def call(f: Callable[..., Any]) -> Any:
            names.update(names_of_arrays(f))
            return subject.arguments.call(followed(f), variables)

        with counting_lines() as before:
            subject.rows(x, self._look.weights)
        with observing(keep), counting_lines(before):
            returned = subject.supplied.look(call, subject.arguments, subject.results)  # type: ignore[union-attr]
        trace = Trace(steps, variables, [], [v.path for v in subject.variables], have_history=False)
        trace.constants = names
        numbers = {id(step.result): len(variables) + k for k, step in enumerate(steps)}
        numbers |= {id(x): n for n, x in enumerate(variables)}
        parts = [returned[number] for number in subject.arguments.numbers]
        returned = [numbers[id(x)] if id(x) in numbers else np.asarray(x, float) for x in parts]
        return Code(trace, returned, self._size)

    def _searched(self, code: Code) -> tuple[str, str] | None:
        self._left = _WORK
        others: list[tuple[Code, Vector, Vector]] | None = None
        weights = random_weights(np.random.default_rng(3), self._target.shape) * self._look.scales
        effects, missing = code.effects(weights), float(np.sum(weights * (self._target - code.rows())))
        groups, linear = self._influential(code, weights, effects)
        for where, numbers, words, change in self._tried(code, groups):
            if tuple(numbers) in linear and not self._has_effect(code, numbers, change, effects, missing):
                continue
            rows = self._changed(code, numbers, change)
            if rows is None or not self._is_repaired(rows):
                continue
            others = self._elsewhere(code) if others is None else others
            if others and all(self._is_right_along(other, numbers, change) for other in others):
                return where, words
        return None

    def _has_effect(
        self, code: Code, numbers: Sequence[int], change: Change, effects: Sequence[Array | None], missing: float
    ) -> bool:
        """Whether a change of operations, in which the gradient is linear, may add what is missing."""
        self._spend(len(numbers))
        try:
            return abs(code.effect(numbers, change, effects) - missing) <= _LIKE * abs(missing)
        except ShapeError:
            return True
        except Exception:  # what does not fit
            return False

    def _tried(self, code: Code, groups: list[Sequence[int]]) -> Iterator[_Tried]:
        """All changes, the likeliest first."""
        trace = code.trace

        def at(changed: Iterable[Changed]) -> Iterator[_Tried]:
            for numbers, words, change in changed:
                yield call_site(trace.steps[numbers[-1]]), numbers, words, change

        yield from at(of_operations(trace, groups))
        for where, words, inputs in exchanges(trace):
            yield where, sorted(inputs), words, partial(read, inputs)
        yield from at(of_values(trace, groups))
        yield from at(self._other_sizes(code, groups))

    def _groups(self, trace: Trace) -> list[Sequence[int]]:
        """Each operation, and all that a line performs again and again as one.

        What is in a line more than once, as in a * b * c, is also looked at by itself.
        """
        again = {k for numbers in trace.of_instructions for k in numbers}
        groups = [*([k] for k in range(len(trace.steps)) if k not in again), *trace.repeats]
        inside = trace.inside_of_functions
        return [numbers for numbers in groups if inside.isdisjoint(numbers)]

    def _influential(
        self, code: Code, weights: Matrix, effects: Sequence[Array | None]
    ) -> tuple[list[Sequence[int]], set[tuple[int, ...]]]:
        """The operations that all wrong entries depend on, first those on which no others do; in which it is linear."""
        before = code.rows()
        counts: list[tuple[int, Sequence[int]]] = []
        linear = set[tuple[int, ...]]()
        for numbers in self._groups(code.trace):
            rows = self._changed(code, numbers, _disturbed)
            moved = np.ones_like(self._wrong) if rows is None else rows != before
            if np.all(moved[self._wrong]):
                counts.append((int(np.sum(moved)), numbers))
                if rows is not None:
                    change = float(np.sum(weights * (rows - before)))
                    if abs(code.effect(numbers, _disturbed, effects) - change) <= _TOLERANCE * abs(change):
                        linear.add(tuple(numbers))
        return [numbers for _, numbers in sorted(counts, key=lambda pair: pair[0])], linear

    def _other_sizes(self, code: Code, groups: Iterable[Sequence[int]]) -> Iterator[Changed]:
        """Another number in place of a constant, what operations give some number of times, or a number added to it."""
        for numbers in groups:
            for change, before, words in sizes(code.trace, numbers):
                number = self._nearest(code, numbers, change, before)
                if number and abs(number - before) > _TOLERANCE * abs(before):
                    name = name_of_ratio(number, ())
                    exactly = f" ({name})" if name not in ("", f"{number:.6g}") else ""
                    yield numbers, words.format(number, exactly), partial(change, number)

    def _nearest(self, code: Code, numbers: Sequence[int], change: Callable[..., Array], number: float) -> float:
        """The number with which a change makes the gradient right; 0 if none is found from this one on.

        Each step goes where the gradient would be closest to right if it were linear in the number, as it often is.
        """
        target = self._target * self._look.scales
        missing = np.inf
        for _ in range(_STEPS):
            width = _WIDTH * max(abs(number), _WIDTH)
            sides = [self._changed(code, numbers, partial(change, number + side * width)) for side in (-1, 1)]
            if any(x is None for x in sides):
                return 0.0
            low, high = (x * self._look.scales for x in sides if x is not None)
            slope, gap = (high - low) / (2 * width), target - (high + low) / 2
            before, missing = missing, float(np.max(np.abs(gap)))
            if not np.any(slope) or not np.all(np.isfinite(slope)) or missing > before:
                return 0.0
            number += float(np.sum(gap * slope) / np.sum(slope * slope))
            if missing <= _NEAR * np.max(np.abs(target)):
                break
        return round(number, 9) if abs(number) < 1e3 else number  # but for rounding

    def _changed(self, code: Code, numbers: Sequence[int], change: Change) -> Matrix | None:
        """The gradient by the code with a change of these operations; None if it does not fit."""
        rows, work = code.changed(numbers, change)
        self._spend(work)
        return rows

    def _spend(self, work: float) -> None:
        self._left -= work
        if self._left < 0 or self._patience.ends(_SHARE):
            raise UsageError("the search for a mistake in the gradient has ended without one")

    def _is_repaired(self, rows: Matrix) -> bool:
        """Whether a gradient is right, and much closer than the original, which may lack only some digits."""
        if rows.shape != self._target.shape or not self._is_right(rows, self._target):
            return False
        before, left = (np.max(np.abs(x - self._target)[self._wrong]) for x in (self._look.gradient, rows))
        return bool(left <= _LEFT * before)

    def _is_right(self, rows: Matrix, target: Matrix) -> bool:
        columns = map(self._look.subject.columns, range(len(self._look.subject.variables)))
        return all(same(rows[:, part], target[:, part], _TOLERANCE) for part in columns)

    @cached_property
    def _asides(self) -> list[tuple[Vector, Vector, Vector]]:
        """Other points, each with a direction and the right slopes along it."""
        look, rng = self._look, np.random.default_rng(1)
        points = []
        for _ in range(_OTHERS):
            aside = _ASIDE * look.scales * rng.uniform(-1, 1, len(look.scales))
            direction = look.scales * random_weights(rng, len(look.scales))
            points.append((look.subject.point + aside, direction, look.slopes_beside(aside, direction)))
        return points

    def _elsewhere(self, code: Code) -> list[tuple[Code, Vector, Vector]]:
        """Runs at other points, each with a direction and the right slope along it; none if there is none."""
        others = []
        for x, direction, slope in self._asides:
            other = self._run(x)
            if not other.trace.is_like(code.trace):
                return []
            others.append((other, direction, slope))
        return others

    def _is_right_along(self, other: tuple[Code, Vector, Vector], numbers: Sequence[int], change: Change) -> bool:
        code, direction, slope = other
        rows, _ = code.changed(numbers, change)
        return rows is not None and same(rows @ direction, slope, 10 * _TOLERANCE)


def _disturbed(trace: Trace, k: int) -> Array:
    """An operation's result with other numbers, to see what depends on it; only real numbers change."""
    step = trace.steps[k]
    value = np.asarray(step.op.forward(*trace.arrays[k], **step.params))
    if value.dtype.kind not in "fc":
        raise ValueError("what depends on a condition is not known")
    return value * (1 + 0.1 * np.cos(np.arange(value.size).reshape(value.shape))) + 1e-3
