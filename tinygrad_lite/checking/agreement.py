"""Further comparisons of a gradient: with forward mode, with other weights, and with itself in another precision."""

from collections.abc import Callable, Iterator

import numpy as np

from tinygrad_lite.checking.evidence.examination import Examination
from tinygrad_lite.checking.report import Finding, Verdict
from tinygrad_lite.checking.subjects.frameworks.foreign_program import Library
from tinygrad_lite.checking.subjects.subject import EPSILON, Matrix, Subject, Vector, random_weights
from tinygrad_lite.errors import ConstantRuleError
from tinygrad_lite.readers.random_rounding import Rounding

_ENTRIES = 256  # the largest number of entries of a variable that are looked at one by one, where forward mode differs
_SAMPLES = 4  # the number of nearby points at which a difference that is not due to rounding is the same
_ALIKE = 10.0  # the largest ratio of numbers of about the same size
_SHOWS = 1e-6  # the relative error of one of them that should show in a sum of all
_FINE = 1e-10  # how far what is computed in float64 throughout may differ, relative to its size
_DIGITS = 64  # how many roundings of the value a gradient may lose, if it is the difference of numbers of that size
_OTHER = -3.0  # a factor for tangents and upstream gradients, of another sign and size than those of single entries
_UPSTREAM = (
    "it is not linear in the upstream gradient g: with -3 in place of 1, it is not -3 times as large. Multiply by g, "
    "and neither clip what depends on g nor take its size"
)
_TANGENT = (
    "it is not linear in the tangent t: with -3 in place of 1, it is not -3 times as large. Multiply by t, and neither "
    "clip what depends on t nor take its size"
)
_FORWARD = "forward mode differs from reverse mode, which agrees with the reference"
_OWN = "in the precision of the arguments, it differs from the gradient in float64, which agrees with the reference"


def disagreements(look: Examination, unknown: Matrix) -> Iterator[Finding]:
    """Findings on the variables for which one of them differs by more than rounding and what is unknown can explain."""
    if bent := list(_of_upstream(look)):
        yield from bent
        return
    if look.method != "forward" and look.subject.has_forward_mode:
        yield from _of_forward_mode(look, unknown)
    supplied = look.subject.supplied
    if isinstance(supplied, Library) and supplied.runs_wide:
        yield from _of_own_precision(look, supplied)


def _of_upstream(look: Examination) -> Iterator[Finding]:
    """Whether a gradient that takes an upstream gradient grows in proportion to it."""
    subject, supplied = look.subject, look.subject.supplied
    if supplied is not None and not supplied.takes_upstream:
        return
    if len(look.weights) > 1 and any(_are_linear(look, part) for part in sorted({_FINE, _part(look)})):
        return
    weights = _OTHER * look.weights

    def difference(x: Vector, rounding: Rounding | None) -> Vector:
        return np.asarray(subject.rows(x, weights, rounding) - _OTHER * subject.rows(x, look.weights, rounding))

    gap = subject.rows(subject.point, weights) - _OTHER * look.gradient
    apart = np.abs(gap) > abs(_OTHER) * (_part(look) * look.largest[:, None] + look.zero)
    for k in range(len(subject.variables)):
        columns = subject.columns(k)
        if np.any(apart[:, columns]) and _is_the_same_nearby(look, difference, gap, EPSILON):
            indices = np.arange(len(subject.point))[columns]
            yield _finding(look, k, indices, look.gradient[:, indices] + gap[:, indices] / _OTHER, _UPSTREAM)


def _are_linear(look: Examination, part: float) -> bool:
    """Whether the gradient of a weighted sum of each group of rows is the same weighted sum of their gradients.

    The larger the part of them by which they may differ, the fewer rows are in a group.
    """
    groups = list(_alike(look.largest, part))
    times = [_OTHER * np.abs(random_weights(look.rng, len(rows))) for rows in groups]
    sums = np.stack([some @ look.weights[rows] for some, rows in zip(times, groups)])
    for pulled, some, rows in zip(look.subject.rows(look.subject.point, sums), times, groups):
        allowed = np.abs(some) @ (part * look.largest[rows, None] + look.zero[rows])
        if np.any(np.abs(pulled - some @ look.gradient[rows]) > allowed):
            return False
    return True


def _alike(sizes: Vector, part: float) -> Iterator[Vector]:
    """Groups of numbers of similar size, so that a small error in one of them still shows in the sum."""
    most = max(1, int(_SHOWS / part / _ALIKE))
    order = np.argsort(sizes, kind="stable")
    ends = np.flatnonzero(np.diff(np.floor(np.emath.logn(_ALIKE, np.fmax(sizes[order], np.finfo(float).tiny))))) + 1
    for group in np.split(order, ends):
        yield from np.array_split(group, -(-len(group) // most))


def _of_forward_mode(look: Examination, unknown: Matrix) -> Iterator[Finding]:
    subject = look.subject
    wrong: list[int] = []
    ahead = list(_alike(_effects(look), _part(look)))
    while ahead:
        group = ahead.pop()
        columns = np.concatenate([np.arange(len(subject.point))[subject.columns(k)] for k in group])
        direction = np.zeros(len(subject.point))
        direction[columns] = look.scales[columns] * random_weights(look.rng, len(columns))
        try:
            differs = any(_differs_along(look, unknown, factor * direction) for factor in (1.0, _OTHER))
        except Exception as error:  # it does not take this function
            if isinstance(error, NotImplementedError) or subject.supplied is None:
                return
            raise
        if differs and len(group) > 1:
            ahead += np.array_split(group, 2)
        elif differs:
            wrong += group.tolist()
    for k in sorted(wrong):
        columns = np.arange(len(subject.point))[subject.columns(k)]
        largest = columns[np.argsort(-np.max(np.abs(look.gradient[:, columns]), axis=0))[:_ENTRIES]]
        plain, other = (_by_tangents(look, largest, factor) for factor in (1.0, _OTHER))
        apart = np.max(np.abs(plain - look.gradient[:, largest])) > 1e-6 * np.max(np.abs(other - plain))
        yield _finding(look, k, largest, *((plain, _FORWARD) if apart else (other, _TANGENT)))


def _effects(look: Examination) -> Vector:
    """How far each variable moves the results, by the gradient, if its entries move by their scales."""
    moves = np.max(np.abs(look.gradient), axis=0, initial=0) * look.scales
    return np.array([np.max(moves[look.subject.columns(k)], initial=0) for k in range(len(look.subject.variables))])


def _by_tangents(look: Examination, columns: Vector, factor: float) -> Matrix:
    """The gradient of these entries by forward mode, with tangents of this size."""
    changes = [_tangents(look.subject, look.subject.point, factor * look.unit(j)) / factor for j in columns]
    return np.asarray(look.weights @ np.stack(changes, axis=1))


def _tangents(subject: Subject, x: Vector, direction: Vector, rounding: Rounding | None = None) -> Vector:
    """How far the results move by forward mode: not at all by a rule that it refuses since it would miss it."""
    try:
        return subject.tangents(x, direction, rounding)
    except ConstantRuleError:
        return np.zeros(subject.results.size)


def _differs_along(look: Examination, unknown: Matrix, direction: Vector) -> bool:
    """Whether forward mode gives another change along a direction than reverse mode does."""
    subject = look.subject

    def difference(x: Vector, rounding: Rounding | None) -> Vector:
        change = look.weights @ _tangents(subject, x, direction, rounding)
        return np.asarray(change - subject.rows(x, look.weights, rounding) @ direction)

    gap = look.weights @ _tangents(subject, subject.point, direction) - look.gradient @ direction
    allowed = (_part(look) * np.abs(look.gradient) + look.zero + unknown) @ np.abs(direction)
    # changes of values that are larger than the result, as of logits beside a loss, may cancel in one mode alone
    moved = look.scales > 0
    allowed += 64 * look.epsilon * look.magnitude * np.max(np.abs(direction[moved]) / look.scales[moved], initial=0)
    return bool(np.any(np.abs(gap) > allowed)) and _is_the_same_nearby(look, difference, gap, EPSILON)


def _part(look: Examination) -> float:
    """How far the two may differ, relative to their size: a library may compute in half precision somewhere inside."""
    return 1e-2 if look.subject.opaque else 1e3 * look.floor


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
        shortest = np.min(look.scales[part], where=subject.varies[part], initial=np.inf)
        far &= np.linalg.norm(gap[part]) > _DIGITS * library.own_epsilon * np.max(look.size) / shortest
        if far and _is_the_same_nearby(look, difference, gap[part], library.own_epsilon):
            columns = np.arange(len(subject.point))[part]
            yield _finding(look, k, columns, own(subject.point, look.weights)[:, columns], _OWN)


def _is_the_same_nearby(
    look: Examination, difference: Callable[[Vector, Rounding | None], Vector], gap: Vector, epsilon: float
) -> bool:
    """Whether a difference stays the same at other points, and in operations that round in other ways."""
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
    """The finding on a variable, with the entry where the other gradient differs most."""
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
