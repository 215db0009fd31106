"""A point of a search for mistakes: a reverse pass there, and how its values change along directions of the variables.

The product of a mistake at a value with the value's tangent tells whether it can be the one that was made.
"""

from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from tinygrad_lite.checking.gradient_flow import size
from tinygrad_lite.checking.patterns import constant_ratio
from tinygrad_lite.checking.subject import Matrix, Vector, random_weights
from tinygrad_lite.checking.suspects import Suspect
from tinygrad_lite.checking.trace import Changes, Edge, Trace
from tinygrad_lite.engine.op import Array

TOLERANCE = 1e-7
SHARE = 1e-3  # the largest part of a difference that an explanation may leave
_TOGETHER = 1_000_000  # the largest number of entries of the mistakes that are tried at once


@dataclass(frozen=True)
class Point:
    """A run of the function at a point, the weights of its results, and the gradient that is to be explained there."""

    trace: Trace
    weights: Vector
    gradients: list[Array]


class View:
    """A point of a search: a reverse pass, and how the values there change along directions of the variables."""

    def __init__(self, point: Point, base: Changes, cut: Container[Edge], left: Sequence[int]) -> None:
        self.done = point.trace.back(point.weights, base, keep=True)
        self._tangents: list[list[Array | None]] = []
        self._stacked: dict[int, Matrix] = {}
        rng = np.random.default_rng(0)
        owners, gaps, limits = [], [], []
        before = self.done.of_variables
        for k in left:
            found = point.gradients[k]
            for _ in range(min(found.size, 2)):
                directions = [np.zeros(x.shape) for x in point.trace.variables]
                directions[k] = random_weights(rng, found.shape)
                owners.append(k)
                self._tangents.append(point.trace.tangents(directions, cut))
                gaps.append(np.sum(directions[k] * (found - before[k])))
                sizes = TOLERANCE * (np.abs(found) + np.abs(before[k])), SHARE * np.abs(found - before[k])
                limits.append(min(np.sum(np.abs(directions[k]) * part) for part in sizes))
        self._gaps, self._limits = np.array(gaps), np.array(limits)
        self._of = {k: np.flatnonzero(np.array(owners) == k) for k in left}
        self._wrong = {k: _differing(point.gradients[k], before[k]) for k in left}
        self._moves = {k: bool(np.any(np.abs(self._gaps[own]) > self._limits[own])) for k, own in self._of.items()}

    def products(self, suspects: Sequence[Suspect]) -> Iterator[tuple[list[Suspect], Vector, Matrix]]:
        """Mistakes at one place; along each direction what they should give, and what each gives if it is there once.

        They come in parts, none of which takes much memory, without those that do not fit the place.
        """
        place = suspects[0].place
        given, n = place.given(self.done), place.target(self.done.trace)
        right = place.right(self.done, given)
        wanted = self._gaps + self.along(n, right)
        count = max(1, _TOGETHER // max(1, np.size(right)))
        for first in range(0, len(suspects), count):
            tried: list[Suspect] = []
            candidates: list[Array] = []
            with np.errstate(all="ignore"):
                for suspect in suspects[first : first + count]:
                    with suppress(Exception):  # what does not fit is not the mistake that was made
                        candidate = suspect.apply(self.done, given)
                        if np.shape(candidate) == np.shape(right):
                            candidates.append(np.ravel(candidate))
                            tried.append(suspect)
                if tried:
                    stacked = np.array(candidates)
                    found = np.where(np.isfinite(stacked).all(axis=1)[:, None], stacked @ self._along(n).T, np.nan)
                    yield tried, wanted, found

    def fit_together(self, suspects: Sequence[Suspect], left: Sequence[int]) -> bool:
        """Whether mistakes that do not meet on the way explain together what is wrong in at least one variable."""
        total = np.zeros(len(self._gaps))
        for suspect in suspects:
            for _, wanted, found in self.products([suspect]):
                total += found[0] - (wanted - self._gaps)
        fits = np.abs(self._gaps - total) <= self._limits
        return any(self._moves[k] and bool(np.all(fits[self._of[k]])) for k in left)

    def along(self, n: int, array: Array) -> Vector:
        """The product of an array with the tangent of a value along each direction."""
        with np.errstate(all="ignore"):
            return np.asarray(self._along(n) @ np.ravel(array))

    def _along(self, n: int) -> Matrix:
        """The tangent of a value along each direction."""
        if n not in self._stacked:
            shape = np.shape(self.done.trace.value(n))
            rows = [
                np.zeros(shape) if (t := tangents[n]) is None else t + np.zeros(shape) for tangents in self._tangents
            ]
            self._stacked[n] = np.reshape(rows, (len(rows), -1))
        return self._stacked[n]

    def is_certain(self, k: int) -> bool:
        """Whether more than one wrong entry says how many times a mistake is there in a variable."""
        return self._wrong[k] > 1

    def is_multiple(self, suspect: Suspect) -> bool:
        """Whether a mistake makes a multiple of what is right, as each other of them does, some number of times."""
        given = suspect.place.given(self.done)
        right = suspect.place.right(self.done, given)
        with np.errstate(all="ignore"):
            return constant_ratio(suspect.apply(self.done, given), right) is not None

    def factors(self, wanted: Vector, found: Matrix, k: int, scaled: Vector) -> tuple[Vector, Vector]:
        """How many times each mistake is there in a variable, and whether that explains what is wrong there.

        Only a `scaled` one may be there more or less than once.
        """
        wanted, found = wanted[self._of[k]], found[:, self._of[k]]
        if not self._moves[k]:
            return np.ones(len(found)), np.zeros(len(found), bool)
        with np.errstate(all="ignore"):
            largest = np.max(np.abs(found), axis=1, keepdims=True)
            unit = found / largest
            times = unit @ wanted / np.sum(unit * unit, axis=1) / largest[:, 0]
            near = np.round(times)
            times = np.where(scaled, np.where(np.abs(times - near) < TOLERANCE * np.abs(times), near, times), 1.0)
            fits = np.all(np.abs(wanted - times[:, None] * found) <= self._limits[self._of[k]], axis=1)
        return times, fits & (~scaled | (largest[:, 0] > 0))

    def agrees(self, suspect: Suspect, k: int, factor: float) -> bool:
        """Whether a mistake, this many times, explains what is wrong with a variable here, too."""
        for _, wanted, found in self.products([suspect]):
            own = self._of[k]
            return self._moves[k] and bool((np.abs(wanted[own] - factor * found[0, own]) <= self._limits[own]).all())
        return False

    def pairs(self, along: Matrix, k: int) -> Iterator[tuple[int, int, float]]:
        """The pairs of arrays whose difference, some number of times, explains what is wrong with a variable."""
        own = self._of[k]
        gaps = self._gaps[own]
        if not self.is_certain(k) or not self._moves[k]:
            return
        differences = along[:, None, own] - along[None, :, own]
        with np.errstate(all="ignore"):
            times = np.sum(gaps * differences, axis=2) / np.sum(differences**2, axis=2)
            fits = np.all(np.abs(gaps - times[..., None] * differences) <= self._limits[own], axis=2)
        for u, w in np.argwhere(np.triu(fits, 1)):
            yield int(u), int(w), _rounded(float(times[u, w]))


def _differing(gradient: Array, right: Array) -> int:
    """How many entries of a gradient differ from the right ones."""
    return int(np.sum(np.abs(gradient - right) > TOLERANCE * size(right)))


def _rounded(factor: float) -> float:
    """A factor, or the whole number that it is but for rounding."""
    near = float(np.round(factor))
    return near if abs(factor - near) < TOLERANCE * abs(factor) else factor
