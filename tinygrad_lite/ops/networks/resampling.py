"""Resampling: each entry along an axis is a weighted sum of neighbours among the entries that were there before."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array, Example, Op, primitive
from tinygrad_lite.ops.kept import kept
from tinygrad_lite.ops.shapes.indexing import performed


class Spacing(NamedTuple):
    """How m entries lie among n: `factor` apart, or m / n; each sees `reach` neighbours, or all that it covers if more.

    With `is_aligned`, the first and the last of both are at the same places, else the borders of both are. With
    `is_smooth`, an entry weighs all that it covers where there are fewer than before. With a reach of 0, it is the mean
    of all that it touches.
    """

    n: int
    m: int
    factor: float | None
    reach: int
    is_aligned: bool
    is_smooth: bool

    @property
    def step(self) -> float:
        """How many of the entries before lie between two of the new ones."""
        if self.is_aligned:
            return (self.n - 1) / (self.m - 1) if self.m > 1 else 0.0
        return 1 / self.factor if self.factor else self.n / self.m


class Neighbours(NamedTuple):
    """For each entry, the positions and the weights of its neighbours, both of shape (neighbours, entries)."""

    positions: Array
    weights: Array


@lru_cache
def neighbours(spacing: Spacing) -> Neighbours:
    """The neighbours of each new entry among those before."""
    n, m, _, reach, is_aligned, is_smooth = spacing
    if not reach:
        return _touched(spacing)
    if is_smooth:
        return _covered(spacing)
    place = np.arange(m) * spacing.step if is_aligned else (np.arange(m) + 0.5) * spacing.step - 0.5
    if reach == 2:
        place = np.maximum(place, 0)
    positions = np.floor(place).astype(int) + np.arange(1 - reach // 2, 1 + reach // 2)[:, None]
    return _without_zeros(np.clip(positions, 0, n - 1), _kernel(place - positions, reach, -0.75))


def windows(n: int, m: int) -> tuple[Array, Array]:
    """Where each of m windows on n entries begins and ends: at ⌊j n / m⌋ and ⌈(j + 1) n / m⌉."""
    j = np.arange(m)
    return j * n // m, -(-(j + 1) * n // m)


def _touched(spacing: Spacing) -> Neighbours:
    """All entries in the window of each new one, with equal weights."""
    first, end = windows(spacing.n, spacing.m)
    count = end - first
    rank = np.arange(np.max(count))[:, None]
    return _without_zeros(first + rank, (rank < count) / count)


def _covered(spacing: Spacing) -> Neighbours:
    """All entries that each new one covers, with Keys' a = -½ as Pillow."""
    width = max(spacing.step, 1.0)
    support = spacing.reach / 2 * width
    centre = spacing.step * (np.arange(spacing.m) + 0.5)
    first = np.maximum((centre - support + 0.5).astype(int), 0)
    last = np.minimum((centre + support + 0.5).astype(int), spacing.n)
    positions = first + np.arange(np.max(last - first))[:, None]
    weights = np.where(positions < last, _kernel((positions - centre + 0.5) / width, spacing.reach, -0.5), 0)
    return _without_zeros(positions, weights / np.sum(weights, axis=0))


def _without_zeros(positions: Array, weights: Array) -> Neighbours:
    """The same neighbours; the first with a weight stands in for those without one, and shares its weight.

    A weight of 0 would make NaN of an infinite entry.
    """
    order = np.argsort(weights == 0, axis=0, kind="stable")
    positions, weights = np.take_along_axis(positions, order, 0), np.take_along_axis(weights, order, 0)
    is_missing = weights == 0
    weights[0] /= 1 + np.sum(is_missing, axis=0)
    weights = np.where(is_missing, weights[0], weights)
    return Neighbours(np.where(is_missing, positions[0], positions), weights)


def _kernel(t: Array, reach: int, a: float) -> Array:
    """The weight of a neighbour at a distance: a hat for two of them, Keys' cubic polynomial for four."""
    t = np.abs(t)
    if reach == 2:
        return np.maximum(1 - t, 0)
    near, far = ((a + 2) * t - (a + 3)) * t * t + 1, ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


@lru_cache
def seen_by(spacing: Spacing) -> tuple[Neighbours, Array]:
    """The new entries that see each of those before, with the weights that they give to it; and whether any does.

    A former entry that none sees has the neighbours of another, since each column needs a weight.
    """
    positions, weights = (part.ravel() for part in neighbours(spacing))
    order = np.argsort(positions, kind="stable")
    count = np.bincount(positions, minlength=spacing.n)
    rank = np.arange(count.max())[:, None]
    seen = order[np.minimum(np.cumsum(count) - count + rank, len(order) - 1)]
    return _without_zeros(seen % spacing.m, np.where(rank < np.maximum(count, 1), weights[seen], 0)), count > 0


@lru_cache
def _terms(spacing: Spacing, is_back: bool, dtype: Any, behind: int) -> tuple[list[tuple[Array, Array]], Array]:
    """The positions and the weights of each term of a sum, for an array with so many axes behind the one it goes along.

    And where there is a sum at all, unless that is everywhere.
    """
    table, is_seen = seen_by(spacing) if is_back else (neighbours(spacing), np.ones(spacing.m, bool))
    shape = (-1, *(1,) * behind)
    weights = table.weights.astype(dtype)
    terms = [(kept(at), kept(row.reshape(shape))) for at, row in zip(table.positions, weights)]
    return terms, None if is_seen.all() else kept(is_seen.reshape(shape))


def _weighted_sum(x: Array, axis: int, spacing: Spacing, is_back: bool) -> Array:
    dtype = x.dtype if x.dtype.kind in "fc" else np.dtype(float)
    terms, is_seen = _terms(spacing, is_back, dtype, x.ndim - 1 - axis)
    first, *others = [np.take(x, at, axis) * weights for at, weights in terms]
    y = sum(others, first)
    return y if is_seen is None else np.where(is_seen, y, 0)


def _resample(x: Array, axis: int, spacing: Spacing) -> Array:
    return _weighted_sum(x, axis, spacing, False)


def _resample_back(x: Array, axis: int, spacing: Spacing) -> Array:
    return _weighted_sum(x, axis, spacing, True)


_EXAMPLES: list[Example] = [
    ([(1, 3)], {"axis": 1, "spacing": Spacing(3, 5, None, 2, False, False)}),
    ([(4, 2)], {"axis": 0, "spacing": Spacing(4, 3, None, 4, True, False)}),
    ([(1, 5)], {"axis": 1, "spacing": Spacing(5, 2, None, 2, False, True)}),
    ([(5, 1)], {"axis": 0, "spacing": Spacing(5, 3, None, 0, False, False)}),
]
resample: Op = primitive(
    _resample,
    lambda g, y, x, axis, spacing: performed(resample_back, (g,), {"axis": axis, "spacing": spacing}),
    linear=True,
    takes_complex=True,
    examples=_EXAMPLES,
)
resample_back: Op = primitive(
    _resample_back,
    lambda g, y, x, axis, spacing: performed(resample, (g,), {"axis": axis, "spacing": spacing}),
    linear=True,
    takes_complex=True,
    examples=[([(2, 5)], _EXAMPLES[0][1])],
)
