"""A function that is applied to each row of its arguments, checked at the cost of one row: all rows move at once."""

from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.checking.subjects.results import flat
from tinygrad_lite.checking.subjects.subject import Subject, Vector, random_weights
from tinygrad_lite.checking.subjects.supplied import Gradient
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError, UsageError

_TRIED = 16  # the number of rows that are moved alone, to name one that influences others


def by_row(subject: Subject, rng: "np.random.Generator") -> Subject:
    """The subject as a function of one row, which all rows follow, with each row's gradient of its own results.

    Raises:
        UsageError: if a row influences the results of another.
        ShapeError: if arguments and results do not have the same number of rows.
    """
    values = subject.values(subject.point)
    variables, shapes = subject.variables, subject.shapes
    counts = {shape[0] if shape else 0 for shape in [*(v.shape for v in variables), *shapes]}
    if len(counts) != 1:
        listed = ", ".join(f"{v.path} has shape {v.shape}" for v in variables)
        raise ShapeError(f"batched=True: {listed}, the results have {shapes}; choose what has rows by wrt=")
    (count,) = counts
    _require_independent(subject, values, count, rng)
    start = {v.path: np.sqrt(np.mean(np.asarray(v.array, float) ** 2, axis=0)) for v in variables}

    def arrays(row: dict[str, Any]) -> list[Any]:
        return [v.array + (row[v.path] - start[v.path]) for v in variables]

    def f(row: dict[str, Any]) -> Any:
        return subject.returned(arrays(row))

    def gradient(row: dict[str, Any]) -> dict[str, Array]:
        x = flat([np.asarray(array) for array in arrays(row)])
        if isinstance(subject.supplied, Gradient):
            gradients = subject.supplied.look(subject.calling(x), subject.arguments, subject.results)
            return {v.path: gradients[number] for number, v in zip(subject.arguments.numbers, variables)}
        sums = subject.rows(x, _sums_over_rows(shapes))
        of_rows = [sums[:, subject.columns(k)].reshape(len(sums), *v.shape) for k, v in enumerate(variables)]
        return {v.path: _by_result(part, shapes) for v, part in zip(variables, of_rows)}

    bounds = {}
    for k, v in enumerate(variables):
        part = subject.columns(k)
        below, above = (
            np.min(np.reshape(room[part], v.shape), axis=0)
            for room in (subject.point - subject.lower, subject.upper - subject.point)
        )
        bounds[v.path] = start[v.path] - below, start[v.path] + above
    rules = Gradient(gradient(start) if subject.is_known_at_one_point else gradient)
    row = Subject(f, (start,), rules, bounds=bounds, names=[""])
    row.name, row.epsilon, row.opaque = subject.name, subject.epsilon, subject.opaque
    row.remarks += [*subject.remarks, f"{count:,} rows were moved at once, and do not influence each other"]
    return row


def _sums_over_rows(shapes: list[tuple[int, ...]]) -> Array:
    """Weights of all results: for each entry of a row's results, the sum over the rows."""
    blocks = [np.tile(np.identity(prod(shape[1:])), shape[0]) for shape in shapes]
    sizes = [block.shape[1] for block in blocks]
    starts = np.cumsum([0, *sizes])
    whole = [
        np.pad(block, ((0, 0), (start, starts[-1] - start - block.shape[1]))) for block, start in zip(blocks, starts)
    ]
    return np.concatenate(whole)


def _by_result(sums: Array, shapes: list[tuple[int, ...]]) -> Array:
    """The gradients of sums over the rows, (entry of a result, row, …), in the order and shape of the results."""
    ends = np.cumsum([prod(shape[1:]) for shape in shapes])[:-1]
    parts = [np.swapaxes(part, 0, 1) for part in np.split(sums, ends)]
    if len(shapes) == 1:
        return parts[0].reshape(*shapes[0], *sums.shape[2:])
    return np.concatenate([part.reshape(-1, *sums.shape[2:]) for part in parts])


def _require_independent(subject: Subject, values: Vector, count: int, rng: "np.random.Generator") -> None:
    """Raise the error for rows that influence each other, which half of them show when they move."""
    half = rng.permutation(count)[: (count + 1) // 2]
    if not len(_influenced(subject, values, half, rng)):
        return
    for row in half[:_TRIED]:
        others = _influenced(subject, values, half[half == row], rng)
        if len(others):
            raise UsageError(f"batched=True, but row {row} influences the results of row {others[0]} in {subject.name}")
    raise UsageError(f"batched=True, but rows influence the results of others in {subject.name}")


def _influenced(subject: Subject, values: Vector, rows: Vector, rng: "np.random.Generator") -> Vector:
    """The other rows whose results change when these rows move."""
    steps = []
    for v in subject.variables:
        step = np.zeros(v.shape)
        size = np.abs(np.asarray(v.array[rows], float))
        step[rows] = 1e-3 * np.where(size > 0, size, 1) * random_weights(rng, size.shape)
        steps.append(step)
    moved = subject.values(np.clip(subject.point + flat(steps), subject.lower, subject.upper))
    with np.errstate(invalid="ignore"):
        changed = np.abs(moved - values) > 1e3 * subject.epsilon * np.max(np.abs(values), initial=0)
    ends = np.cumsum([prod(shape) for shape in subject.shapes])[:-1]
    by_row = [
        np.any(part.reshape(shape[0], -1), axis=1) for part, shape in zip(np.split(changed, ends), subject.shapes)
    ]
    return np.setdiff1d(np.flatnonzero(np.any(by_row, axis=0)), rows)
