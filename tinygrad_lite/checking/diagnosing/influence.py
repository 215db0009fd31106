"""Finds how far the influence of an entry reaches, and where its gradient ends or stops being finite."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite.checking.auditing.anomaly_messages import are_finite
from tinygrad_lite.checking.diagnosing.local import applied
from tinygrad_lite.checking.diagnosing.trace import Trace
from tinygrad_lite.checking.evidence.examination import Comparison, Examination
from tinygrad_lite.checking.subjects.subject import EPSILON, Vector
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.readers.complex_step import ComplexStep
from tinygrad_lite.readers.recording import Step, recording
from tinygrad_lite.transforms.dual import innermost

SATURATED = "saturated"
BEND = 0.02  # how far entries are moved, in their scale, to see whether the value bends
ASIDE = 1e-4  # how far an entry is moved, in its scale, to see what moves with it where a complex step is not followed


@dataclass(frozen=True)
class Movement:
    """The arguments of an operation that change with an entry, and whether its result does."""

    step: Step
    arguments: Sequence[bool]
    result: bool


def no_gradient(
    look: Examination, steps: Sequence[Step], row: int, column: int, comparison: Comparison
) -> tuple[str, str]:
    """Where the influence of an entry without a gradient ends, or where its gradient is cut off."""
    reference = np.nan_to_num(comparison.reference[row, column])  # 0 too, if it was checked together with others
    if is_saturated(look, row, column, comparison):
        return "", f"{SATURATED}: the derivative {reference:.1e} is less than rounding"
    moved = movements(look, steps, column)
    if reference != 0 and (cut := cut_off(moved)):
        return cut
    if abs(reference) <= comparison.bound[row, column] != 0:
        return "", f"the slope is 0, as far as rounding shows: ± {comparison.bound[row, column]:.0e}"
    if reference != 0:
        return "", "the result depends on it, but no gradient arrives"
    stops = [
        movement for movement in moved if any(movement.arguments) and not movement.result and movement.step.op.vjps
    ]
    if not stops:
        return "", "no result depends on it" + ("" if steps else " here")
    jumps = " and jumps here: check beside it" if _jumps(look, row, column) else ""
    return call_site(stops[-1].step), _why_it_ends(stops[-1]) + jumps


def is_saturated(look: Examination, row: int, column: int, comparison: Comparison) -> bool:
    """Whether a derivative is so small, next to the function's values and other derivatives, that rounding hides it.

    The change that an entry makes when it moves by its own size is compared with the value and with others' changes.
    """
    changes = np.abs(comparison.reference[row]) * look.scales
    if not 0 < changes[column] < np.inf:
        return False
    largest = np.max(changes, initial=0, where=np.isfinite(changes))
    small = changes[column] / (16 * EPSILON)
    return bool(small <= max(largest, np.abs(look.at_0[row])) or small <= _largest_part(look, row))


def _largest_part(look: Examination, row: int) -> float:
    """The largest change of the result when a value on the way, where rounding acts, changes by its own size."""
    subject = look.subject
    with suppress(Exception):  # a trace that cannot be followed back
        trace = Trace(*subject.traced(subject.point), [v.path for v in subject.variables])
        gradients = trace.back(look.weights[row]).gradients
        parts = [np.abs(g * trace.value(n)) for n, g in enumerate(gradients) if g is not None]
        return max((float(np.max(part, initial=0, where=np.isfinite(part))) for part in parts), default=0.0)
    return 0.0


def stationary(look: Examination, columns: Sequence[int]) -> Iterator[int]:
    """The entries among those of slope 0 that still change the value when they move far, as a power ≥ 2 does.

    They are searched for along directions of many entries, which are bisected where the value changes.
    """
    ahead = [list(columns)] if len(columns) else []
    while ahead:
        block = ahead.pop()
        direction = np.zeros(len(look.scales))
        direction[block] = look.scales[block]
        if not _curves(look, direction):
            continue
        if len(block) == 1:
            yield block[0]
        else:
            ahead += [block[len(block) // 2 :], block[: len(block) // 2]]


def _jumps(look: Examination, row: int, column: int) -> bool:
    """Whether the value changes, although its slope is 0, however little an entry moves."""
    step = 1e-7 * look.scales[column] * look.unit(column)
    above, below = (look.at(look.subject.point + side * step)[row] for side in (1, -1))
    with np.errstate(invalid="ignore"):
        return bool(abs(above - below) > 1e-6 * abs(look.at_0[row]))


def _curves(look: Examination, direction: Vector) -> bool:
    """Whether the value changes along a direction, and much less at half the distance."""
    with np.errstate(all="ignore"):
        far, near = (
            np.max(
                [np.abs(look.at(look.subject.point + side * part * direction) - look.at_0) for side in (1, -1)], axis=0
            )
            for part in (BEND, BEND / 2)
        )
        return bool(np.any((near > 64 * EPSILON * np.abs(look.at_0)) & (far > 3 * near) & np.isfinite(far)))


def cut_off(movements: Sequence[Movement]) -> tuple[str, str] | None:
    """Where a value that changes with the entry has lost its history, so that no gradient comes back this way."""
    for movement in movements:
        step = movement.step
        if any(movement.arguments) and not step.op.vjps and movement.result:
            return call_site(step), f"{step.op} lets no gradient through, although the result depends on it"
        for i, x in enumerate(step.inputs):
            if movement.arguments[i] and not (isinstance(x, Tensor) and x.requires_grad):
                maker = _maker([other.step for other in movements], x)
                made = f"; it was made by {call_site(maker)}" if maker else ""
                return call_site(step), f"argument {i} has been detached from its history{made}"
    return None


def _why_it_ends(movement: Movement) -> str:
    """Why an operation does not pass on a change of its argument."""
    step = movement.step
    if step.op.chooses:
        return f"not chosen: {step.op.chooses}"
    if step.op.kind == "moving" and step.value.dtype.kind in "iub":
        return "it becomes an integer, which has no gradient"
    if any(not moves and not np.all(np.asarray(x)) for moves, x in zip(movement.arguments, step.arrays)):
        return "multiplied by zero: a mask, or a weight that is zero"
    if step.op.derivatives and all(derivative == 0 for derivative in step.op.derivatives):
        return "the function is constant between its steps"
    return f"{SATURATED}: its slope is zero there"


def movements(look: Examination, steps: Sequence[Step], column: int) -> list[Movement]:
    """What changes with this entry, for each operation; empty if the function performs other operations then."""
    with recording() as followed, suppress(Exception):
        look.subject.changes(look.subject.point, look.unit(column), as_tensors=True)
    if _are_alike(steps, followed):
        return [
            Movement(step, [_moves(x) for x in after.inputs], _moves(after.result))
            for step, after in zip(steps, followed)
        ]
    moved: Sequence[Step] = ()
    with suppress(Exception):  # a function may refuse a nearby point
        moved = look.subject.steps(look.subject.point + ASIDE * look.scales[column] * look.unit(column))
    if not _are_alike(steps, moved):
        return []
    return [
        Movement(step, list(map(_differ, step.arrays, after.arrays)), _differ(step.value, after.value))
        for step, after in zip(steps, moved)
    ]


def _are_alike(steps: Sequence[Step], others: Sequence[Step]) -> bool:
    return [step.op for step in steps] == [step.op for step in others]


def _moves(x: Any) -> bool:
    array = innermost(x)
    return isinstance(array, ComplexStep) and bool(np.any(array.value.imag))


def _differ(x: Any, y: Any) -> bool:
    if isinstance(x, tuple):  # an operation with several results
        return any(map(_differ, x, y))
    return not np.array_equal(np.asarray(x), np.asarray(y))


def _maker(steps: Sequence[Step], x: Any) -> Step | None:
    """The operation that made an array, even if the array was detached."""
    array = innermost(x)
    for step in steps:
        if isinstance(step.result, Tensor) and (step.value is array or getattr(array, "base", None) is step.value):
            return step
    return None


def first_not_finite(steps: Sequence[Step], values: Vector) -> tuple[str, str]:
    """The first operation that made a NaN or an infinity from finite numbers, in the forward or the backward pass."""
    for step in steps:
        value = np.asarray(step.value)
        inputs = [np.asarray(x) for x in step.arrays]
        if are_finite(inputs, step.params) and value.dtype.kind == "f" and not np.all(np.isfinite(value)):
            return call_site(step), "it made a value that is not finite, in the forward pass"
    if not np.all(np.isfinite(values)):
        return "", "a value is not finite, in the forward pass"
    for step in reversed(steps):
        if isinstance(step.result, Tensor) and step.op.vjps and step.value.dtype.kind == "f":
            for i, x in enumerate(step.inputs):
                if isinstance(x, Tensor) and x.requires_grad and step.op.vjps[i] is not None:
                    with np.errstate(all="ignore"):
                        gradient = applied(
                            step, i, np.ones_like(step.value), step.value, step.arrays, step.params, x.shape
                        )
                    if not np.all(np.isfinite(gradient)):
                        return call_site(step), f"its derivative by argument {i} is not finite, in the backward pass"
    return "", "in the backward pass"


def call_site(step: Step | None) -> str:
    """An operation, and the line that called it."""
    if step is None:
        return ""
    return f"{step.op}, called at {step.source}" if step.source else str(step.op)
