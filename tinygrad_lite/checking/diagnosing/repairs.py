"""Finds a mistake in the code of a gradient that others wrote: a change of one of its operations that makes it right.

Where nothing is known of the function but its values, the gradient's own operations are. Each is changed in the ways in
which people mistake it, until the gradient is what it should be, here and at other points. What the gradient writes
into arrays is followed, too.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import prod
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from tinygrad_lite import array_api
from tinygrad_lite.array_api.writing import functionalize
from tinygrad_lite.checking.diagnosing.changes import Change, changes
from tinygrad_lite.checking.diagnosing.local import same
from tinygrad_lite.checking.diagnosing.trace import Trace
from tinygrad_lite.checking.evidence.examination import Comparison, Examination, silence
from tinygrad_lite.checking.subjects.frameworks.closures import Copies
from tinygrad_lite.checking.subjects.subject import Matrix, Vector, random_weights
from tinygrad_lite.checking.subjects.supplied import Gradient
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import UsageError
from tinygrad_lite.readers.recording import Step, observing

RIGHT_WITH = "this line of the gradient is right with {}"
_TOLERANCE = 1e-6
_LONG = 1000  # the largest number of operations in a gradient that are changed
_LARGE = 3_000_000  # the largest number of entries of their results
_WORK = 500_000  # how many operations on small arrays are performed, at most, in search of a change
_SMALL = 1000  # how many entries are computed in the time that an operation takes
_ASIDE = 0.02  # how far other points are, relative to the scales of the variables
_OTHERS = 2  # the number of other points at which a change must make the gradient right as well
_DEEP = 2  # how many functions, one called by another, are followed in what they write


@dataclass(frozen=True)
class _Code:
    """A run of a gradient's own code: its operations, and for each variable the value that it returned for it."""

    trace: Trace
    returned: list[int | Array]

    def rows(self, size: int, trace: Trace | None = None) -> Matrix:
        """The gradient of each of the results, in this run or another of the same operations."""
        arrays = [(trace or self.trace).value(x) if isinstance(x, int) else x for x in self.returned]
        return np.concatenate([np.asarray(x, float).reshape(size, -1) for x in arrays], axis=1)


class Repair:
    """The search for a change that makes a gradient right."""

    def __init__(self, look: Examination, comparison: Comparison) -> None:
        self._look = look
        self._size = len(look.weights)
        self._wrong = comparison.suspicious
        self._target = np.where(np.isfinite(comparison.reference), comparison.reference, comparison.gradient)

    def found(self) -> tuple[Step, str] | None:
        """The operation of the gradient that is wrong, and with what it would be right; None if none is found."""
        subject = self._look.subject
        known = isinstance(subject.supplied, Gradient) and not subject.is_known_at_one_point and not subject.opaque
        shapes = subject.results.shapes
        are_single = len(shapes) == 1 and self._size == prod(shapes[0])
        if not known or not are_single or not np.all(np.isfinite(self._target)):
            return None
        with suppress(Exception), silence(), np.errstate(all="ignore"):  # others' code may do anything with tensors
            try:
                code = self._run(subject.point)
                if code and self._is_right(code.rows(self._size), self._look.gradient):
                    return self._searched(code)
            finally:
                subject.rows(subject.point, self._look.weights)  # what an object keeps of its last call is arrays again
        return None

    def _run(self, x: Vector) -> _Code | None:
        """A run with tensors; None if what it returns is not made by its operations alone."""
        subject = self._look.subject
        variables = [wrap(array.copy(), True) for array in subject.split(x)]
        steps: list[Step] = []
        entries = 0

        def keep(step: Step) -> None:
            nonlocal entries
            entries += np.size(step.value)
            if len(steps) == _LONG or entries > _LARGE:
                raise UsageError("the gradient takes too many operations to look for a mistake in them")
            steps.append(step)

        with observing(keep):
            returned = subject.supplied.look(  # type: ignore[union-attr]
                lambda f: subject.arguments.call(functionalize(_writable(f)), variables),
                subject.arguments,
                subject.results,
            )
        trace = Trace(steps, variables, [], [v.path for v in subject.variables])
        numbers = {id(step.result): len(variables) + k for k, step in enumerate(steps)}
        numbers |= {id(x): n for n, x in enumerate(variables)}
        parts = [returned[number] for number in subject.arguments.numbers]
        return _Code(trace, [numbers[id(x)] if isinstance(x, Tensor) else np.asarray(x, float) for x in parts])

    def _searched(self, code: _Code) -> tuple[Step, str] | None:
        others: list[tuple[_Code, Vector, Vector]] | None = None
        work = np.cumsum([1 + np.size(step.value) / _SMALL for step in code.trace.steps[::-1]])[::-1]
        groups = self._groups(code.trace)
        left = _WORK - sum(work[numbers[0]] for numbers in groups)
        if left < 0:
            return None
        for numbers, words, change in changes(code.trace, self._influential(code, groups)):
            left -= work[numbers[0]]
            if left < 0:
                return None
            rows = self._changed(code, numbers, change)
            if rows is None or not self._is_right(rows, self._target):
                continue
            others = self._elsewhere(code) if others is None else others
            if others and all(self._is_right_along(other, numbers, change) for other in others):
                return code.trace.steps[numbers[-1]], RIGHT_WITH.format(words)
        return None

    def _groups(self, trace: Trace) -> list[Sequence[int]]:
        """Each operation, and all that a line performs again and again as one."""
        again = {k for numbers in trace.repeats for k in numbers}
        return [*([k] for k in range(len(trace.steps)) if k not in again), *trace.repeats]

    def _influential(self, code: _Code, groups: Sequence[Sequence[int]]) -> list[Sequence[int]]:
        """Those of the operations that all wrong entries depend on, and first those on which no others do."""
        before = code.rows(self._size)
        counts: list[tuple[int, Sequence[int]]] = []
        for numbers in groups:
            rows = self._changed(code, numbers, _disturbed)
            moved = np.ones_like(self._wrong) if rows is None else rows != before
            if np.all(moved[self._wrong]):
                counts.append((int(np.sum(moved)), numbers))
        return [numbers for _, numbers in sorted(counts, key=lambda pair: pair[0])]

    def _changed(self, code: _Code, numbers: Sequence[int], change: Change) -> Matrix | None:
        """The gradient by the code with a change of these operations; None if it does not fit."""
        with suppress(Exception):
            trace = code.trace.rerun(dict.fromkeys(numbers, partial(_in_shape, change)))
            return code.rows(self._size, trace)
        return None

    def _is_right(self, rows: Matrix, target: Matrix) -> bool:
        columns = map(self._look.subject.columns, range(len(self._look.subject.variables)))
        return all(same(rows[:, part], target[:, part], _TOLERANCE) for part in columns)

    def _elsewhere(self, code: _Code) -> list[tuple[_Code, Vector, Vector]]:
        """Runs at other points, each with a direction and the right slope along it; none if there is none."""
        look, others = self._look, []
        rng = np.random.default_rng(1)
        for _ in range(_OTHERS):
            aside = _ASIDE * look.scales * rng.uniform(-1, 1, len(look.scales))
            direction = look.scales * random_weights(rng, len(look.scales))
            x = look.subject.point + aside
            other = self._run(x)
            if other is None or not other.trace.is_like(code.trace):
                return []
            others.append((other, direction, look.slopes_beside(aside, direction)))
        return others

    def _is_right_along(self, other: tuple[_Code, Vector, Vector], numbers: Sequence[int], change: Change) -> bool:
        code, direction, slope = other
        rows = self._changed(code, numbers, change)
        return rows is not None and same(rows @ direction, slope, 10 * _TOLERANCE)


def _writable(f: Callable[..., Any], depth: int = _DEEP) -> Callable[..., Any]:
    """The same function, and those of its package that it calls, with a NumPy whose new arrays can hold tensors."""
    if isinstance(f, MethodType):
        return MethodType(_writable(f.__func__, depth), f.__self__)

    def is_followed(x: Any) -> bool:
        return x is np or (depth > 0 and isinstance(x, FunctionType) and _package(x) == _package(f))

    return Copies(is_followed, lambda x: array_api if x is np else _writable(x, depth - 1)).of(f)


def _package(f: Callable[..., Any]) -> str:
    return str(getattr(f, "__module__", "")).partition(".")[0]


def _in_shape(change: Change, trace: Trace, k: int) -> Array:
    """What a changed operation gives, if it has the shape of what it gave."""
    value, shape = np.asarray(change(trace, k)), np.shape(trace.steps[k].value)
    return (value if value.shape == shape else np.broadcast_to(value, shape))[()]


def _disturbed(trace: Trace, k: int) -> Array:
    """An operation's result with other numbers, to see what depends on it; those that are no reals are as they were."""
    step = trace.steps[k]
    value = np.asarray(step.op.forward(*trace.arrays[k], **step.params))
    if value.dtype.kind != "f":
        raise ValueError("what depends on a condition is not known")
    return value * (1 + 0.1 * np.cos(np.arange(value.size).reshape(value.shape))) + 1e-3
