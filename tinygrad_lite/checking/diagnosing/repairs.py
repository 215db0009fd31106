"""Finds a mistake in the code of a gradient that others wrote: a change of one of its operations that makes it right.

Where nothing is known of the function but its values, the gradient's own operations are. Each is changed in the ways in
which people mistake it, until the gradient is what it should be, here and at other points.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing.local import same
from tinygrad_lite.checking.diagnosing.trace import Edge, Trace
from tinygrad_lite.checking.evidence.examination import Comparison, Examination, silence
from tinygrad_lite.checking.subjects.subject import Matrix, Vector, random_weights
from tinygrad_lite.checking.subjects.supplied import Gradient
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.readers.recording import Step, recording

RIGHT_WITH = "this line of the gradient is right with {}"
_TOLERANCE = 1e-6
_LONG = 200  # the largest number of operations in a gradient that are changed
_WORK = 300_000  # how many operations are performed, at most, in search of a change
_ASIDE = 0.02  # how far other points are, relative to the scales of the variables
_OTHERS = 2  # the number of other points at which a change must make the gradient right as well

Change = Callable[[Trace, int], Array]
"""What a changed operation gives, in a run whose values before it are known."""

_BETWEEN: dict[str, tuple[str, Callable[[Array, Array], Array]]] = {
    "add": ("a sum", np.add),
    "subtract": ("a difference", np.subtract),
    "multiply": ("a product", np.multiply),
    "divide": ("a quotient", np.divide),
    "maximum": ("a maximum", np.maximum),
    "minimum": ("a minimum", np.minimum),
    "matmul": ("a matrix product", np.matmul),
}
_OF_ONE = (
    *(np.square, np.sqrt, np.exp, np.expm1, np.log, np.log1p, np.sin, np.cos, np.tan, np.sinh, np.cosh, np.tanh),
    *(np.arctan, np.abs, np.sign, np.reciprocal, np.sum, np.mean),
)
_OTHER_NUMBERS: tuple[Callable[[float], float], ...] = (
    lambda c: 2 * c,
    lambda c: c / 2,
    lambda c: c + 1,
    lambda c: c - 1,
    lambda c: -c,
    lambda c: 1 / c if c else c,
)
_BESIDE: tuple[tuple[str, Callable[[Array, Array], Array]], ...] = (
    ("{} as one more factor", np.multiply),
    ("{} added", np.add),
    ("{} taken away", np.subtract),
    ("{} as one more divisor", np.divide),
    ("1 - {} as one more factor", lambda y, z: y * (1 - z)),
)
_CONDITIONS = {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal"}


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
            code = self._run(subject.point)
            if code and len(code.trace.steps) <= _LONG and self._is_right(code.rows(self._size), self._look.gradient):
                return self._searched(code)
        return None

    def _run(self, x: Vector) -> _Code | None:
        """A run with tensors; None if what it returns is not made by its operations alone."""
        subject = self._look.subject
        variables = [wrap(array.copy(), True) for array in subject.split(x)]
        with recording() as steps:
            returned = subject.supplied.look(  # type: ignore[union-attr]
                partial(subject.arguments.call, values=variables), subject.arguments, subject.results
            )
        trace = Trace(steps, variables, [], [v.path for v in subject.variables])
        numbers = {id(step.result): len(variables) + k for k, step in enumerate(steps)}
        numbers |= {id(x): n for n, x in enumerate(variables)}
        parts = [returned[number] for number in subject.arguments.numbers]
        return _Code(trace, [numbers[id(x)] if isinstance(x, Tensor) else np.asarray(x, float) for x in parts])

    def _searched(self, code: _Code) -> tuple[Step, str] | None:
        others: list[tuple[_Code, Vector, Vector]] | None = None
        left = _WORK
        for numbers, words, change in _changes(code.trace):
            left -= len(code.trace.steps)
            if left < 0:
                return None
            rows = self._changed(code, numbers, change)
            if rows is None or not self._is_right(rows, self._target):
                continue
            others = self._elsewhere(code) if others is None else others
            if others and all(self._is_right_along(other, numbers, change) for other in others):
                return code.trace.steps[numbers[-1]], RIGHT_WITH.format(words)
        return None

    def _changed(self, code: _Code, numbers: Sequence[int], change: Change) -> Matrix | None:
        """The gradient by the code with a change of these operations; None if it does not fit."""
        with suppress(Exception):
            trace = code.trace.rerun({k: partial(_in_shape, code.trace, k, change) for k in numbers})
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
            by_differences = look.method == "differences"
            slope = look.difference_beside(aside, direction).slope if by_differences else look.slope(x, direction)
            others.append((other, direction, slope))
        return others

    def _is_right_along(self, other: tuple[_Code, Vector, Vector], numbers: Sequence[int], change: Change) -> bool:
        code, direction, slope = other
        rows = self._changed(code, numbers, change)
        return rows is not None and same(rows @ direction, slope, 10 * _TOLERANCE)


def _in_shape(trace: Trace, k: int, change: Change, arrays: Sequence[Array]) -> Array:
    """What a changed operation gives for other arguments, if it has the shape of what it gave."""
    own = trace.arrays[k]
    trace.arrays[k] = list(arrays)
    try:
        value = np.asarray(change(trace, k))
    finally:
        trace.arrays[k] = own
    if value.shape != np.shape(trace.values[k]):
        value = np.broadcast_to(value, np.shape(trace.values[k]))
    return value[()]


def _changes(trace: Trace) -> Iterator[tuple[list[int], str, Change]]:
    """Changes of each operation, or of all that a line performs again and again, the likeliest first."""
    groups = [*([k] for k in range(len(trace.steps))), *trace.repeats]
    for kinds in (_of_kind, _of_signs, _of_numbers, _of_functions):
        for numbers in groups:
            for words, change in kinds(trace, numbers[0]):
                yield numbers, words, change
    for numbers in groups:
        if len(numbers) == 1:
            for words, change in _with_others(trace, numbers[0]):
                yield numbers, words, change


def _of_kind(trace: Trace, k: int) -> Iterator[tuple[str, Change]]:
    """Another operation on the same arguments, or one of them alone."""
    name, arrays = trace.steps[k].op.name, trace.arrays[k]
    if name in _CONDITIONS:
        yield "the opposite condition", lambda t, k: ~_made(t, k)
    if len(arrays) == 2 and name in _BETWEEN:
        words, own = _BETWEEN[name]
        for i in (0, 1):  # before a maximum, which may be one of them everywhere
            yield f"{_name(trace, (k, i))} alone", partial(_argument, i)
        for other, (others, operation) in _BETWEEN.items():
            if other != name:
                yield f"{others} in place of {words}", partial(_by, operation)
        if name in ("divide", "matmul"):
            yield "its arguments the other way round", partial(_by, lambda a, b: own(b, a))
    if np.ndim(trace.values[k]) > 1:
        yield "its transpose", lambda t, k: np.swapaxes(_made(t, k), -1, -2)
    if name in ("sum", "mean", "cumsum", "max") and np.ndim(arrays[0]) > 1:
        for axis in range(np.ndim(arrays[0])):
            yield f"axis={axis}", partial(_along, axis)


def _of_signs(trace: Trace, k: int) -> Iterator[tuple[str, Change]]:
    """The opposite sign, of the result or of the only argument."""
    yield "the opposite sign", lambda t, k: -_made(t, k)
    if len(trace.arrays[k]) == 1:
        yield f"the opposite sign of {trace.name((k, 0))}", lambda t, k: _made(t, k, {0: -t.arrays[k][0]})


def _of_numbers(trace: Trace, k: int) -> Iterator[tuple[str, Change]]:
    """Another number in place of a constant."""
    for i, x in enumerate(trace.arrays[k]):
        if trace.inputs[k][i] is None and isinstance(x, (int, float)) and not isinstance(x, bool):
            for number in _OTHER_NUMBERS:
                if (other := number(float(x))) != x:
                    yield f"{other:.6g} in place of {x:.6g}", partial(_with_argument, i, _constant(other))


def _of_functions(trace: Trace, k: int) -> Iterator[tuple[str, Change]]:
    """Another function of the same argument, none, or one more."""
    step = trace.steps[k]
    if np.asarray(trace.values[k]).dtype.kind != "f":
        return
    if len(trace.arrays[k]) == 1:
        yield f"{trace.name((k, 0))} alone", partial(_argument, 0)
        for function in _OF_ONE:
            if function.__name__ != step.op.name:
                yield f"{function.__name__} in place of {step.op}", partial(_by, function)
    for function in _OF_ONE[:-2]:
        yield f"{function.__name__} of {trace.name((k, -1))}", partial(_after, function)
    yield f"1 added to {trace.name((k, -1))}", partial(_after, lambda y: y + 1)
    yield f"1 taken away from {trace.name((k, -1))}", partial(_after, lambda y: y - 1)
    yield f"1 - {trace.name((k, -1))}", partial(_after, lambda y: 1 - y)


def _with_others(trace: Trace, k: int) -> Iterator[tuple[str, Change]]:
    """Another value in place of an argument, or beside the result: one that is known before."""
    if np.asarray(trace.values[k]).dtype.kind != "f":
        return
    known = list(_known_before(trace, k))
    for name, of in known:
        for i, x in enumerate(trace.arrays[k]):
            if np.shape(of(trace)) == np.shape(x) and of(trace) is not x:
                are_constants = trace.inputs[k][i] is None and name.startswith("[")
                words = _entries(of(trace), x) if are_constants else f"{name} in place of {_name(trace, (k, i))}"
                yield words, partial(_with_argument, i, of)
    used = [n for inputs in trace.inputs for n in inputs]
    places = [i for i, n in enumerate(trace.inputs[k]) if n is None or used.count(n) > 1]  # else it is made here alone
    for words, operation in _BESIDE:
        for name, of in known:
            if np.shape(of(trace)) in ((), np.shape(trace.values[k])):
                yield words.format(name), partial(_beside, operation, of)
            for i in places:
                if np.shape(of(trace)) == np.shape(trace.arrays[k][i]):
                    yield (
                        f"{words.format(name)}, beside {_name(trace, (k, i))}",
                        partial(_beside_argument, i, operation, of),
                    )


def _entries(new: Array, old: Array) -> str:
    """The first entries in which an array differs from the one in whose place it comes."""
    pairs = [(a, b) for a, b in zip(np.ravel(new), np.ravel(old)) if a != b]
    return ", ".join(f"{a:.6g} in place of {b:.6g}" for a, b in pairs[:3]) + ", …" * (len(pairs) > 3)


def _by(operation: Callable[..., Array], trace: Trace, k: int) -> Array:
    return operation(*trace.arrays[k], **trace.steps[k].params)


def _argument(i: int, trace: Trace, k: int) -> Array:
    return trace.arrays[k][i]


def _along(axis: int, trace: Trace, k: int) -> Array:
    step = trace.steps[k]
    return np.asarray(step.op.forward(*trace.arrays[k], **{**step.params, "axis": axis}))


def _after(function: Callable[[Array], Array], trace: Trace, k: int) -> Array:
    return function(_made(trace, k))


def _beside(operation: Callable[[Array, Array], Array], of: Callable[[Trace], Array], trace: Trace, k: int) -> Array:
    return operation(_made(trace, k), of(trace))


def _beside_argument(
    i: int, operation: Callable[[Array, Array], Array], of: Callable[[Trace], Array], trace: Trace, k: int
) -> Array:
    return _made(trace, k, {i: operation(trace.arrays[k][i], of(trace))})


def _with_argument(i: int, of: Callable[[Trace], Array], trace: Trace, k: int) -> Array:
    return _made(trace, k, {i: of(trace)})


def _constant(number: float) -> Callable[[Trace], Any]:
    return lambda _: number


def _known_before(trace: Trace, k: int) -> Iterator[tuple[str, Callable[[Trace], Array]]]:
    """The values that are known before an operation: variables, results and arrays from outside, each once."""
    seen: set[int] = set()
    for n in range(len(trace.variables) + k):
        if np.asarray(trace.value(n)).dtype.kind == "f":
            yield trace.name_of(n), partial(_value, n)
    for j in range(len(trace.steps)):
        for i, x in enumerate(trace.arrays[j]):
            if trace.inputs[j][i] is None and isinstance(x, np.ndarray) and x.dtype.kind in "fiu" and id(x) not in seen:
                seen.add(id(x))
                yield _name(trace, (j, i)), partial(_array, (j, i))


def _name(trace: Trace, edge: Edge) -> str:
    """What an argument is called: by its entries if it is a constant, of which there may be several."""
    k, i = edge
    x = trace.arrays[k][i]
    if trace.inputs[k][i] is not None:
        return trace.name(edge)
    entries = ", ".join(f"{entry:.4g}" for entry in np.ravel(x)[:3])
    return f"[{entries}{', …' if np.size(x) > 3 else ''}]" if np.ndim(x) else entries


def _value(n: int, trace: Trace) -> Array:
    return trace.value(n)


def _array(edge: Edge, trace: Trace) -> Array:
    return trace.array(edge)


def _made(trace: Trace, k: int, replaced: Mapping[int, Any] = MappingProxyType({})) -> Array:
    """What an operation makes of its arguments, some of which may be replaced."""
    step = trace.steps[k]
    arrays = [replaced.get(i, x) for i, x in enumerate(trace.arrays[k])]
    return np.asarray(step.op.forward(*arrays, **step.params))
