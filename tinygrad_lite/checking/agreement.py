"""Further comparisons of a gradient: with forward mode, and with the same gradient in the caller's precision."""

from collections.abc import Callable, Iterator

import numpy as np

from tinygrad_lite.checking.evidence.examination import Examination
from tinygrad_lite.checking.report import Finding, Verdict
from tinygrad_lite.checking.subjects.frameworks.program import Library
from tinygrad_lite.checking.subjects.subject import EPSILON, Matrix, Vector, random_weights
from tinygrad_lite.readers.random_rounding import Rounding

_ENTRIES = 256  # the largest number of entries of a variable that are looked at one by one, where forward mode differs
_SAMPLES = 4  # the number of nearby points at which a difference that is not due to rounding is the same
_FORWARD = "forward mode differs from reverse mode, which agrees with the reference"
_OWN = "in the precision of the arguments, it differs from the gradient in float64, which agrees with the reference"


def disagreements(look: Examination) -> Iterator[Finding]:
    """Findings on the variables for which one of them differs by more than rounding."""
    if look.method != "forward" and look.subject.has_forward_mode:
        yield from _of_forward_mode(look)
    supplied = look.subject.supplied
    if isinstance(supplied, Library) and supplied.runs_wide:
        yield from _of_own_precision(look, supplied)


def _of_forward_mode(look: Examination) -> Iterator[Finding]:
    subject = look.subject
    for k, v in enumerate(subject.variables):
        columns = np.arange(len(subject.point))[subject.columns(k)]
        direction = np.zeros(len(subject.point))
        direction[columns] = look.scales[columns] * random_weights(look.rng, v.size)

        def difference(x: Vector, rounding: Rounding | None, direction: Vector = direction) -> Vector:
            change = look.weights @ subject.tangents(x, direction, rounding)
            return np.asarray(change - subject.rows(x, look.weights, rounding) @ direction)

        try:
            gap = look.weights @ subject.tangents(subject.point, direction) - look.gradient @ direction
        except Exception as error:  # it does not take this function
            if isinstance(error, NotImplementedError) or subject.supplied is None:
                return
            raise
        part = 1e-2 if subject.opaque else 1e3 * look.floor  # somewhere inside, it may compute in half precision
        allowed = part * np.abs(look.gradient) @ np.abs(direction) + look.zero @ np.abs(direction)
        if np.any(np.abs(gap) > allowed) and _is_the_same_nearby(look, difference, gap, EPSILON):
            largest = columns[np.argsort(-np.max(np.abs(look.gradient[:, columns]), axis=0))[:_ENTRIES]]
            forward = [look.weights @ subject.tangents(subject.point, look.unit(j)) for j in largest]
            yield _finding(look, k, largest, np.stack(forward, axis=1), _FORWARD)


def _of_own_precision(look: Examination, library: Library) -> Iterator[Finding]:
    subject = look.subject

    def own(x: Vector, weights: Matrix) -> Matrix:
        return library.rows_in_own_precision(subject.calling(x), subject.arguments, subject.results, weights)

    mix = random_weights(look.rng, (1, len(look.weights)))
    weights = mix @ look.weights
    gap = (own(subject.point, weights) - mix @ look.gradient)[0]
    for k in range(len(subject.variables)):
        part = subject.columns(k)

        def difference(x: Vector, _: Rounding | None, part: slice = part) -> Vector:
            return np.asarray(own(x, weights) - subject.rows(x, weights))[0, part]

        far = np.linalg.norm(gap[part]) > 1e-2 * np.linalg.norm((mix @ look.gradient)[0, part])
        if far and _is_the_same_nearby(look, difference, gap[part], library.own_epsilon):
            columns = np.arange(len(subject.point))[part]
            yield _finding(look, k, columns, own(subject.point, look.weights)[:, columns], _OWN)


def _is_the_same_nearby(
    look: Examination, difference: Callable[[Vector, Rounding | None], Vector], gap: Vector, epsilon: float
) -> bool:
    """Whether a difference is the same at points, and in operations, where everything rounds in other ways."""
    subject = look.subject
    rounding = None if subject.opaque else Rounding(look.rng)
    for _ in range(_SAMPLES):
        x = subject.rounded(subject.point * (1 + 1e3 * epsilon * look.rng.uniform(-1, 1, len(look.scales))))
        try:
            again = difference(x, rounding)
        except Exception:  # it is not made of operations
            again = difference(x, None)
        if not np.linalg.norm(again - gap) < 0.05 * np.linalg.norm(gap):
            return False
    return True


def _finding(look: Examination, k: int, columns: Vector, other: Matrix, why: str) -> Finding:
    """What is said of a variable, with the entry where another gradient differs most."""
    gradient = look.gradient[:, columns]
    error = np.abs(other - gradient)
    row, i = np.unravel_index(int(np.argmax(error)), error.shape)
    v = look.subject.variables[k]
    return Finding(
        Verdict.WRONG,
        v.path,
        int(np.sum(error > 1e-3 * np.max(error))),
        gradient.shape[0] * v.size,
        look.subject.locate(int(columns[i]))[1],
        int(row) if len(gradient) > 1 else None,
        float(other[row, i]),
        float(gradient[row, i]),
        0.0,
        True,
        why=why,
    )
