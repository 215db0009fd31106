"""Finds where a gradient goes wrong, and what the mistake looks like.

Each operation on the way is checked on its own, with the values that flowed through it. If all are right, the gradient
comes from elsewhere; then it is compared with the gradients that each common mistake in each operation would give.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing.closeness import closeness
from tinygrad_lite.checking.diagnosing.explanations import Point, explanations
from tinygrad_lite.checking.diagnosing.influence import call_site, cut_off, movements
from tinygrad_lite.checking.diagnosing.local import fault_of, same
from tinygrad_lite.checking.diagnosing.mistakes import counts
from tinygrad_lite.checking.diagnosing.patience import Patience
from tinygrad_lite.checking.diagnosing.patterns import RATIO, pattern
from tinygrad_lite.checking.diagnosing.regions import place, region
from tinygrad_lite.checking.diagnosing.repairs import Repair, is_by_a_number
from tinygrad_lite.checking.diagnosing.second_order import SECOND, is_wrong_in_second_order
from tinygrad_lite.checking.diagnosing.structures import structure
from tinygrad_lite.checking.diagnosing.trace import Trace
from tinygrad_lite.checking.evidence.examination import Comparison, Examination
from tinygrad_lite.checking.subjects.subject import GradientOf, Matrix, Subject, Vector, random_weights
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.readers.recording import Step

_LONG = 1000  # the largest number of operations for which mistakes are tried on the whole
_LARGE = 3_000_000  # the largest number of operations times entries
_FOLLOWED = 1e-3  # the largest error, relative to the largest entry, of the gradient of a function that is followed
_SHARE = 0.75  # the share of the time after which the code of a gradient is changed, if its operations do not tell
_ASIDE = 0.02  # how far other points are, relative to the scales of the variables
_OTHERS = 2  # the number of other points at which an explanation must hold as well


class Diagnosis:
    """The place and the cause of each wrong entry.

    Attributes:
        faults: the operations whose own rule is wrong, each with a description of the mistake.
        patience: the time that the search for a mistake may take.
    """

    def __init__(self, examination: Examination, comparison: Comparison) -> None:
        self._look = examination
        self._comparison = comparison
        self.patience = Patience()
        subject = examination.subject
        self._steps, self._variables, self._results = subject.traced_inside(subject.point)
        self.faults = [fault for step in self._steps if (fault := fault_of(step))]
        if isinstance(subject, GradientOf) and not self.faults:
            first, _, _ = subject.first.traced(subject.point)
            self.faults = [(step, SECOND) for step in first if is_wrong_in_second_order(step)]
        are_real = all(np.result_type(getattr(step.value, "dtype", float)).kind != "c" for step in self._steps)
        self._explained = self._explanations() if subject.plain and are_real and self._steps and not self.faults else {}

    def of(self, row: int, column: int) -> tuple[str, str]:
        """The faulty operation with the line that called it, and the mistake that it looks like."""
        if self.faults:
            blamed, why = self._blamed(column)
            return call_site(blamed), why
        if not self._look.subject.plain and (cut := cut_off(movements(self._look, self._steps, column))):
            return cut
        subject = self._look.subject
        k, _ = subject.locate(column)
        if self._loop:
            return self._loop
        if k in self._explained:
            step, why = self._explained[k]
            return call_site(step) if step else "", why
        whole = None if self._has_a_jacobian else row
        near = self._of_another(k, row) or self._like(pattern, k, whole)
        near = near or closeness(self._look, self._comparison, subject.columns(k), row)
        is_bare = near.endswith(RATIO)  # in a few entries, a ratio that may be chance and says nothing about its cause
        if (not near or is_bare) and self._repair and not (is_bare and is_by_a_number(self._repair[1])):
            return self._repair
        others = ((how, of) for of in dict.fromkeys((whole, row)) for how in (pattern, region, structure, place))
        return "", near or next((words for how, of in others if (words := self._like(how, k, of))), "")

    def _blamed(self, column: int) -> tuple[Step, str]:
        """The first faulty operation that this entry influences."""
        if len(self.faults) > 1 and not isinstance(self._look.subject, GradientOf):
            moving = [
                k for k, movement in enumerate(movements(self._look, self._steps, column)) if any(movement.arguments)
            ]
            numbers = {id(step): k for k, step in enumerate(self._steps)}
            for step, why in self.faults:
                if numbers[id(step)] in moving:
                    return step, why
        return self.faults[0]

    @cached_property
    def _loop(self) -> tuple[str, str] | None:
        """A loop in the gradient's own code that is right with other turns."""
        return self._repairs.by_turns()

    @cached_property
    def _repair(self) -> tuple[str, str] | None:
        """A change in the gradient's own code that makes it right."""
        return self._repairs.by_text() or self._repairs.by_operations()

    @cached_property
    def _repairs(self) -> Repair:
        return Repair(self._look, self._comparison, self.patience)

    def _of_another(self, k: int, row: int) -> str:
        """The sentence that the gradient, or the Jacobian, is another variable's."""
        subject, comparison = self._look.subject, self._comparison
        rows = slice(None) if self._has_a_jacobian else slice(row, row + 1)
        own = comparison.gradient[rows, subject.columns(k)]
        for j, v in enumerate(subject.variables):
            other = comparison.reference[rows, subject.columns(j)]
            if j != k and own.size > 1 and v.shape == subject.variables[k].shape and same(own, other, 1e-6):
                return f"it is the gradient of {v.path}"
        return ""

    @property
    def _has_a_jacobian(self) -> bool:
        """Whether there are several results, and the gradient has a row for each."""
        look = self._look
        return len(look.weights) > 1 and len(look.weights) == sum(map(prod, look.subject.shapes))

    def _like(self, describe: Callable[..., str], k: int, row: int | None) -> str:
        """A description of an array beside its reference, of one row or of the whole Jacobian."""
        subject = self._look.subject
        shapes, x = subject.shapes, subject.split(subject.point)[k]
        results = (shapes[0] if len(shapes) == 1 else (len(self._look.weights),)) if row is None else ()
        rows = slice(None) if row is None else row
        gradient, reference = (
            part[rows, subject.columns(k)].reshape((*results, *x.shape))
            for part in (self._comparison.gradient, self._reference(describe))
        )
        sizes = counts([np.empty(v.shape) for v in subject.variables])
        return describe(gradient, reference, np.broadcast_to(x, gradient.shape), sizes)

    def _reference(self, describe: Callable[..., str] | None = None) -> Matrix:
        """The right gradient; for finding where the gradient is wrong, also of entries that were checked together."""
        comparison = self._comparison
        if describe is pattern:
            return comparison.reference
        is_right = np.isnan(comparison.reference) & ~comparison.suspicious & ~comparison.unchecked
        return np.where(is_right, comparison.gradient, comparison.reference)

    def _explanations(self) -> dict[int, tuple[Step | None, str]]:
        """For each wrong variable the mistake that explains it, preferably one that explains several."""
        look, subject = self._look, self._look.subject
        wrong = [k for k in range(len(subject.variables)) if np.any(self._comparison.suspicious[:, subject.columns(k)])]
        work = len(self._steps) * max((np.size(step.value) for step in self._steps), default=0)
        if not wrong or len(self._steps) > _LONG or work > _LARGE:
            return {}
        mix = np.cos(np.arange(len(look.weights)))
        paths = [v.path for v in subject.variables]
        steps = list(_used_for(self._results, self._steps))
        trace = Trace(steps, self._variables, self._results, paths)
        point = Point(trace, mix @ look.weights, subject.split(mix @ look.gradient))
        references = subject.split(mix @ self._reference())
        wrong = [k for k in wrong if self._is_followed(k, point, references[k], paths)]
        if not wrong:
            return {}
        patience = Patience(_SHARE if self._repairs.is_possible else 1.0)
        explained = explanations([point, *self._elsewhere(point, paths)], wrong, patience)
        self.patience.has_ended |= patience.has_ended
        return explained

    def _is_followed(self, k: int, point: Point, reference: Array, paths: Sequence[str]) -> bool:
        """Whether a variable's gradient by the operations is right, here or, if here is a kink, beside it.

        It is not followed if code that leaves no trace is on the way.
        """
        look, subject = self._look, self._look.subject
        known = np.isfinite(reference)
        if same(point.trace.back(point.weights).of_variables[k][known], reference[known], _FOLLOWED):
            return True
        rng = np.random.default_rng(2)
        aside = _ASIDE * look.scales * rng.uniform(-1, 1, len(look.scales))
        direction = np.zeros(len(look.scales))
        direction[subject.columns(k)] = look.scales[subject.columns(k)] * random_weights(rng, reference.size)
        with suppress(Exception):  # a function may refuse a nearby point
            trace = _trace(subject, subject.point + aside, paths)
            own = trace.back(point.weights).of_variables[k].ravel() @ direction[subject.columns(k)]
            slopes = look.slopes_beside(aside, direction)
            return same(own, slopes @ np.cos(np.arange(len(slopes))), _FOLLOWED)
        return False

    def _elsewhere(self, point: Point, paths: Sequence[str]) -> Iterator[Point]:
        """Runs at other points nearby, if the gradient is known there."""
        look, subject = self._look, self._look.subject
        if subject.is_known_at_one_point:
            return
        rng = np.random.default_rng(1)
        for _ in range(_OTHERS):
            x = subject.point + _ASIDE * look.scales * rng.uniform(-1, 1, len(subject.point))
            with suppress(Exception):  # a function may refuse a nearby point
                trace = _trace(subject, x, paths)
                gradient = subject.rows(x, point.weights[None])[0]
                if trace.is_like(point.trace) and np.all(np.isfinite(gradient)):
                    yield Point(trace, point.weights, subject.split(gradient))


def _trace(subject: Subject, x: Vector, paths: Sequence[str]) -> Trace:
    """The run of a function at a point, without what its results do not depend on."""
    steps, variables, results = subject.traced_inside(x)
    return Trace(list(_used_for(results, steps)), variables, results, paths)


def _used_for(results: Sequence[Any], steps: Sequence[Step]) -> Iterator[Step]:
    """The operations that results depend on, and those with results that are no tensors, in their order.

    A function that also computes its own gradient, and returns only the value, holds the mistake among the others.
    """
    used = {id(y) for y in results}
    kept: list[Step] = []
    for step in reversed(steps):
        if id(step.result) in used or not isinstance(step.result, Tensor):
            used.update(map(id, step.inputs))
            kept.append(step)
    return reversed(kept)
