"""Finds where a gradient goes wrong, and what the mistake looks like.

Each operation on the way is checked on its own, with the values that flowed through it. If all are right, the gradient
comes from elsewhere; then it is compared with the gradients that each common mistake in each operation would give.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.checking.examination import Comparison, Examination
from tinygrad_lite.checking.influence import call_site, cut_off, movements
from tinygrad_lite.checking.local import applied, fault_of, same
from tinygrad_lite.checking.mistakes import OVERWRITTEN, Contribution, factors, mistaken
from tinygrad_lite.checking.second_order import SECOND, is_wrong_in_second_order
from tinygrad_lite.checking.subject import GradientOf, Vector, shaped
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.readers.recording import Step

_LONG = 300  # the largest number of operations for which mistakes are tried on the whole


class Diagnosis:
    """The place and the cause of each wrong entry.

    Attributes:
        faults: the operations whose own rule is wrong, each with a description of the mistake.
    """

    def __init__(self, examination: Examination, comparison: Comparison) -> None:
        self._look = examination
        self._comparison = comparison
        subject = examination.subject
        self._steps, self._variables, self._results = subject.traced(subject.point)
        self.faults = [fault for step in self._steps if (fault := fault_of(step))]
        if isinstance(subject, GradientOf) and not self.faults:
            first, _, _ = subject.first.traced(subject.point)
            self.faults = [(step, SECOND) for step in first if is_wrong_in_second_order(step)]
        self._explained = self._explanations() if subject.plain and self._steps and not self.faults else {}

    def of(self, row: int, column: int) -> tuple[str, str]:
        """The faulty operation with the line that called it, and the mistake that it looks like."""
        if self.faults:
            blamed, why = self._blamed(column)
            return call_site(blamed), why
        if not self._look.subject.plain and (cut := cut_off(movements(self._look, self._steps, column))):
            return cut
        k, _ = self._look.subject.locate(column)
        if k in self._explained:
            step, why = self._explained[k]
            return call_site(step), why
        return "", self._pattern(k, row)

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

    def _pattern(self, k: int, row: int) -> str:
        """A description of the array relative to its reference, if nothing is known about how it was computed."""
        columns = self._look.subject.columns(k)
        shape = self._look.subject.variables[k].shape
        gradient = self._comparison.gradient[row, columns].reshape(shape)
        reference = self._comparison.reference[row, columns].reshape(shape)
        if not np.all(np.isfinite(reference)):
            known = np.isfinite(reference)
            gradient, reference = gradient[known], reference[known]
        contribution = Contribution(None, 0, reference, reference, [reference], {}, reference, _unknown)
        sizes = [np.empty(v.shape) for v in self._look.subject.variables]
        for sentence, candidate in (*mistaken(contribution), *factors(reference, sizes)):
            if same(gradient, candidate, 1e-6) and not same(reference, candidate, 1e-6):
                return sentence
        return ""

    def _explanations(self) -> dict[int, tuple[Step | None, str]]:
        """For each wrong variable the mistake that explains it, preferably one that explains several."""
        look, subject = self._look, self._look.subject
        wrong = [k for k in range(len(subject.variables)) if np.any(self._comparison.suspicious[:, subject.columns(k)])]
        if len(self._steps) > _LONG or len(subject.point) > _LONG * _LONG:
            return {}
        mix = np.cos(np.arange(len(look.weights)))
        gradients = subject.split(mix @ look.gradient)
        right = self._pulled(mix @ look.weights, lambda step, i, contribution: contribution.right)
        best: dict[int, tuple[int, Step | None, str]] = {}
        for step, sentence, pulled in self._variants(mix @ look.weights):
            changed = [k for k in wrong if not same(pulled[k], right[k], 1e-7)]
            explained = [k for k in changed if same(pulled[k], gradients[k], 1e-7)]
            for k in explained:
                if len(explained) >= best.get(k, (0,))[0]:  # among equals, the mistake closest to the variable
                    best[k] = (len(explained), step, sentence)
        return {k: (step, sentence) for k, (_, step, sentence) in best.items()}

    def _variants(self, weights: Vector) -> Iterator[tuple[Step | None, str, list[Array]]]:
        """Each common mistake in each operation, with the gradients that it would give."""
        right: list[tuple[Step, int, Contribution]] = []

        def note(step: Step, i: int, contribution: Contribution) -> Array:
            right.append((step, i, contribution))
            return contribution.right

        self._pulled(weights, note)
        for step, i, contribution in right:
            for sentence, candidate in mistaken(contribution):
                if np.shape(candidate) == np.shape(contribution.right):
                    yield step, sentence, self._pulled(weights, _replacing(step, i, candidate))
        used: dict[int, list[tuple[Step, int]]] = {}
        for step, i, _ in right:
            used.setdefault(id(step.inputs[i]), []).append((step, i))
        for uses in used.values():
            for kept in uses if len(uses) > 1 else ():
                others = {(id(step), i) for step, i in uses} - {(id(kept[0]), kept[1])}
                yield kept[0], OVERWRITTEN, self._pulled(weights, _dropping(others))

    def _pulled(self, weights: Vector, change: Callable[[Step, int, Contribution], Array]) -> list[Array]:
        """The gradient of each variable, with `change` applied to each contribution on the way."""
        gradients_of: dict[Tensor, Array] = {}
        for y, g in zip(self._results, shaped(weights, self._results)):
            if isinstance(y, Tensor):
                gradients_of[y] = gradients_of.get(y, 0) + g
        with np.errstate(all="ignore"):
            for step in reversed(self._steps):
                g = gradients_of.get(step.result) if isinstance(step.result, Tensor) else None
                for i, x in enumerate(step.inputs) if g is not None and step.op.vjps else ():
                    if isinstance(x, Tensor) and x.requires_grad and step.op.vjps[i] is not None:
                        part = change(step, i, _by_rule(step, i, g))
                        gradients_of[x] = gradients_of[x] + part if x in gradients_of else part
        return [gradients_of.get(x, np.zeros(x.shape)) for x in self._variables]


def _by_rule(step: Step, i: int, g: Array) -> Contribution:
    """The contribution of an operation's own rule to an argument."""
    arrays = step.arrays
    shape = np.shape(arrays[i])

    def again(g: Array, y: Array, arrays: Sequence[Array], params: Any) -> Array:
        return applied(step, i, g, y, arrays, params, shape)

    right = again(g, step.value, arrays, step.params)
    return Contribution(step.op, i, g, step.value, arrays, step.params, right, again)


def _replacing(step: Step, i: int, candidate: Array) -> Callable[[Step, int, Contribution], Array]:
    return lambda at, j, contribution: candidate if at is step and j == i else contribution.right


def _dropping(uses: set[tuple[int, int]]) -> Callable[[Step, int, Contribution], Array]:
    return lambda at, j, contribution: np.zeros_like(contribution.right) if (id(at), j) in uses else contribution.right


def _unknown(*_: Any) -> Array:
    raise NotImplementedError
