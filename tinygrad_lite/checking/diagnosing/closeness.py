"""Describes a gradient that is wrong in its last digits only: how far it agrees, why, and which `rtol` accepts it.

A gradient by differences, by an adjoint of a solver, or in float32 is not a mistake: it has an error of its own.
"""

import numpy as np

from tinygrad_lite.checking.evidence.examination import Comparison, Examination
from tinygrad_lite.engine.op import Array

_CLOSE = 1e-3  # the largest error, relative to the largest entry, of a gradient that agrees
_ENTRIES = 3  # how many entries, the ones with the largest errors, are compared with differences
_PART = 0.01  # how closely they must match these differences, relative to their errors
_STEPS = (*(10.0**-n for n in range(3, 10)), float(np.finfo(float).eps) ** 0.5, float(np.finfo(float).eps) ** (1 / 3))


def closeness(look: Examination, comparison: Comparison, columns: slice, row: int) -> str:
    """How far the gradient of a variable agrees with its reference; empty if it does not."""
    gradient, reference = comparison.gradient[row, columns], comparison.reference[row, columns]
    wrong = comparison.suspicious[row, columns] & np.isfinite(gradient) & np.isfinite(reference)
    largest = np.max(np.abs(reference), initial=0, where=np.isfinite(reference))
    if not np.any(wrong) or not largest:
        return ""
    error = np.abs(gradient - reference)[wrong]
    digits = float(np.max(error) / largest)
    if not 0 < digits <= _CLOSE:  # 0 if it is wrong for another reason, such as a kink
        return ""
    with np.errstate(divide="ignore"):
        relative = float(np.max(error / np.abs(reference[wrong])))
    right = (
        ~(comparison.suspicious | comparison.hidden)[row, columns] & ~comparison.unchecked[columns] & (gradient != 0)
    )
    if np.sum(wrong) <= np.sum(right):  # a numerical method errs in most entries
        return ""
    accepts = f"rtol={_above(relative)}" if relative < 10 * _CLOSE else f"atol={_above(float(np.max(error)))}"
    whose = _whose(look, comparison, columns, gradient)
    return f"it agrees to {digits:.0e} of the largest entry: {whose} {accepts} accepts it"


def _whose(look: Examination, comparison: Comparison, columns: slice, gradient: Array) -> str:
    """Where such an error comes from."""
    for kind in (np.float16, np.float32):
        if len(gradient) > 2 and np.array_equal(gradient, gradient.astype(kind)):
            return f"all its numbers are of {np.dtype(kind)}."
    with np.errstate(invalid="ignore"):
        error = np.abs(comparison.gradient - comparison.reference)[:, columns] * comparison.suspicious[:, columns]
    largest = np.argsort(np.nan_to_num(error), axis=None)[-_ENTRIES:]
    rows, at = np.unravel_index(largest, error.shape)
    entries = [(int(row), int(j) + columns.start) for row, j in zip(rows, at) if error[row, j] > 0]
    part = _PART if len(entries) == _ENTRIES else _PART**2  # one or two, and many steps, may agree by chance
    for step in _STEPS:
        for sized in (False, True):
            for name, sides in (("forward", (1, 0)), ("backward", (0, -1)), ("central", (1, -1))):
                if all(_is_difference(look, comparison, j, row, step, sized, sides, part) for row, j in entries):
                    return f"these are {name} differences with a step of {step:.2g}{' of the entry' if sized else ''}."
    return "forward differences, a solver's tolerance, or few digits?"


def _is_difference(
    look: Examination,
    comparison: Comparison,
    j: int,
    row: int,
    step: float,
    sized: bool,
    sides: tuple[int, int],
    part: float,
) -> bool:
    """Whether an entry is the difference by a step, up to this part of its error."""
    x, unit = look.subject.point, look.unit(j)
    h = step * (max(1.0, abs(float(x[j]))) if sized else 1.0)
    above, below = (look.at(x + side * h * unit)[row] if side else look.at_0[row] for side in sides)
    gradient = comparison.gradient[row, j]
    error = abs(gradient - comparison.reference[row, j])
    return bool(abs((above - below) / (h * (sides[0] - sides[1])) - gradient) < part * error)


def _above(x: float) -> str:
    """A number of one digit that is a little larger."""
    return f"{1.05 * x + 0.5 * 10.0 ** np.floor(np.log10(x)):.0e}"
