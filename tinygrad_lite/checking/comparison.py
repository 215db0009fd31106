"""Compares a gradient with its reference: entry by entry if there are few entries, otherwise by bisection.

An entry is wrong only if it differs from its reference by more than the reference's error and the effect of rounding.
Both are measured, not assumed: when every operation is rounded at random, a difference that is due to rounding changes,
and a real error stays.
"""

from collections.abc import Iterator

import numpy as np

from tinygrad_lite.checking.examination import FULL, Comparison, Examination
from tinygrad_lite.checking.roundings import ALLOWED, FEW_SAMPLES, Roundings
from tinygrad_lite.checking.singular import Kinks
from tinygrad_lite.checking.subject import EPSILON, Vector, random_weights

NAMED = 64  # the largest number of wrong entries that a bisection finds


def compared(examination: Examination, kinks: Kinks, rtol: float = 0, atol: float = 0) -> Comparison:
    """Compare each entry with its reference, or, if there are many entries, those that a bisection finds."""
    return _Comparing(examination, kinks).compare(rtol, atol)


class _Comparing:
    """The steps of a comparison."""

    def __init__(self, examination: Examination, kinks: Kinks) -> None:
        self._look = examination
        self._kinks = kinks
        self._roundings = Roundings(examination)

    def compare(self, rtol: float, atol: float) -> Comparison:
        look = self._look
        columns = np.flatnonzero(look.subject.varies).tolist()
        comparison = self._blank()
        if len(columns) > FULL:
            columns = sorted(self._bisected(comparison.unchecked))
        for j in columns:
            self._refer(comparison, j)
        with np.errstate(invalid="ignore"):
            error = np.abs(look.gradient - comparison.reference)
            size = np.maximum(np.abs(look.gradient), np.abs(comparison.reference))
            allowed = comparison.bound + look.floor * size + look.smallest + atol + rtol * np.abs(comparison.reference)
            allowed += np.where((comparison.reference == 0) | (look.gradient == 0), look.zero, 0)
            comparison.suspicious[:, columns] = ~(error <= allowed)[:, columns]
        doubtful = [j for j in columns if np.any(comparison.suspicious[:, j]) and self._kinks.touches(j) is None]
        if doubtful and look.method == "differences":
            self._repeat(comparison, doubtful)
            error = np.abs(look.gradient - comparison.reference)
            allowed += comparison.bound
        elif doubtful:
            for j in doubtful:
                in_question = np.where(comparison.suspicious[:, j], error[:, j], np.inf)
                comparison.noise[:, j] = self._roundings.behind(in_question, look.unit(j))
        if doubtful:
            comparison.suspicious &= ~(error <= ALLOWED * comparison.noise + allowed)
        return comparison

    def _blank(self) -> Comparison:
        gradient = self._look.gradient
        nan, zero = np.full(gradient.shape, np.nan), np.zeros(gradient.shape)
        no = np.zeros(gradient.shape, bool)
        return Comparison(gradient, nan, zero, no, zero.copy(), nan.copy(), nan.copy(), zero.copy(), no[0].copy())

    def _refer(self, comparison: Comparison, j: int) -> None:
        if self._look.method != "differences":
            comparison.reference[:, j] = self._look.slope(self._look.subject.point, self._look.unit(j))
            if np.all(np.isfinite(comparison.reference[:, j]) | ~np.isfinite(self._look.gradient[:, j])):
                return
        try:  # there may be no continuation at this point, as for a quotient 0 / 0
            difference = self._look.difference(self._look.unit(j), self._look.scales[j])
        except Exception:
            if self._look.method == "differences":
                raise
            return
        comparison.reference[:, j], comparison.bound[:, j] = difference.slope, difference.bound
        comparison.right[:, j], comparison.left[:, j], comparison.side_bound[:, j] = (
            difference.right,
            difference.left,
            difference.side_bound,
        )

    def _repeat(self, comparison: Comparison, doubtful: list[int]) -> None:
        """Other differences for these columns, which avoid known kinks; if the two differ, both are overconfident."""
        self._look.noise = np.maximum(self._look.noise, self._roundings.of_values)
        comparison.noise[:, doubtful] = self._roundings.of_gradient[:, doubtful]
        for j in doubtful:
            part = self._kinks.clear(j)
            if not part:
                comparison.bound[:, j] = np.inf
                continue
            again = self._look.difference(self._look.unit(j), 0.61 * part * self._look.scales[j])
            distance = np.abs(again.slope - comparison.reference[:, j]) if part == 1 else 0.0
            bound = again.bound + distance
            # a function that jumps has neither a slope nor a reliable bound
            coarse = bound > 1e-3 * np.maximum(np.abs(again.slope), np.abs(self._look.gradient[:, j]))
            comparison.reference[:, j], comparison.bound[:, j] = again.slope, np.where(coarse, 30 * bound, bound)

    def _bisected(self, unchecked: Vector) -> list[int]:
        """The entries whose gradient differs from its reference, found along directions of fewer and fewer entries.

        If there are many, the search ends early, and reports the entries that it did not reach.
        """
        ahead = list(self._blocks())
        columns: list[int] = []
        while ahead and len(columns) < NAMED:
            block = ahead.pop()
            if not self._differs(block):
                continue
            if len(block) == 1:
                columns.append(int(block[0]))
            else:
                ahead += [block[len(block) // 2 :], block[: len(block) // 2]]
        for block in ahead:
            unchecked[block] = True
        return columns

    def _blocks(self) -> Iterator[Vector]:
        """Blocks of entries, each within one variable, about a hundred in all."""
        size = max(256, len(self._look.scales) // 64)
        for k in range(len(self._look.subject.variables)):
            inside = self._look.subject.columns(k)
            columns = np.flatnonzero(self._look.subject.varies[inside]) + inside.start
            for start in range(0, len(columns), size):
                yield columns[start : start + size]

    def _differs(self, block: Vector) -> bool:
        """Whether any entry of a block is wrong, according to the slope along a random direction in the block."""
        direction = np.zeros(len(self._look.scales))
        direction[block] = random_weights(self._look.rng, len(block))
        if self._look.method == "differences":
            direction *= self._look.scales
        terms = self._look.gradient[:, block] * direction[block]
        expected = np.sum(terms, axis=1)
        rounding = self._look.floor * np.sqrt(np.sum(terms**2, axis=1)) + 4 * EPSILON * np.sum(np.abs(terms), axis=1)
        if self._look.method == "differences":
            difference = self._look.difference(direction)
            slope, bound = difference.slope, difference.bound + rounding
        else:
            slope, bound = self._look.slope(self._look.subject.point, direction), rounding
        with np.errstate(invalid="ignore"):
            error = np.abs(slope - expected)
            differs = ~(error <= bound)
        if self._look.method != "differences" and np.any(differs):
            noise = self._roundings.behind(np.where(differs, error, np.inf), direction, FEW_SAMPLES)
            differs &= ~(error <= bound + ALLOWED * noise)
        return bool(np.any(differs))
