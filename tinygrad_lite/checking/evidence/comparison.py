"""Compares a gradient with its reference: along directions of many entries, and alone where these do not settle it.

An entry is wrong only if it differs from its reference by more than the reference's error and the effect of rounding.
Both are measured, not assumed: when every operation is rounded at random, a difference that is due to rounding changes,
and a real error stays.
"""

from collections.abc import Sequence

import numpy as np

from tinygrad_lite.checking.evidence.by_differences import PROVEN, ByDifferences
from tinygrad_lite.checking.evidence.examination import Comparison, Examination
from tinygrad_lite.checking.evidence.inexact import excuse
from tinygrad_lite.checking.evidence.known import FEW_ROWS, Known
from tinygrad_lite.checking.evidence.lost_digits import forgive
from tinygrad_lite.checking.evidence.roundings import ALLOWED, Roundings
from tinygrad_lite.checking.evidence.search import Search
from tinygrad_lite.checking.evidence.singular import Kinks
from tinygrad_lite.checking.subjects.subject import FULL, Matrix

APPROXIMATE = 2e-9  # how far a slope may be off where a library approximates a function, as PyTorch does trigamma
LOST = 1e-280  # a change below this is lost in a complex step
UNSTABLE = 1e-11  # a gradient with so much rounding, relative to what it is made of, may be made of differences
FEW = 100  # the largest number of entries whose exact slopes are all computed
STAIRS = 6  # after this many entries in a row on a staircase, the others of an array count as unknown
LAST_DIGITS = 4  # how many roundings of the largest entry or effect may explain an error
AROUND = 12  # at this many nearby points, errors by rounding are not all about the same
FAR_ENOUGH = 3e-3  # how far away these are, relative to the entries: there, a last digit of 1 is rounded in another way


def compared(
    examination: Examination, kinks: Kinks, rtol: float = 0, atol: float = 0, deadline: float = np.inf
) -> Comparison:
    """Compare each entry with its reference, until the deadline (of `time.monotonic`)."""
    return _Steps(Known(examination, rtol, atol, deadline), kinks).compare()


class _Steps:
    """The steps of a comparison, which fill in what is known of each entry."""

    def __init__(self, known: Known, kinks: Kinks) -> None:
        self._known, self._look, self._result = known, known.look, known.result
        self._kinks = kinks
        self._roundings = Roundings(known.look)
        self._differences = ByDifferences(known, self._roundings)
        self._search = Search(known, self._roundings)

    def compare(self) -> Comparison:
        """Refer each column to its reference, and ask of what differs whether rounding explains it."""
        look, known, result = self._look, self._known, self._result
        columns = self._referred(self._columns())
        with np.errstate(invalid="ignore"):
            error = np.abs(look.gradient - result.reference)
            size = np.maximum(np.abs(look.gradient), np.abs(result.reference))
            least = APPROXIMATE if known.by_differences and look.subject.opaque else 0.0
            allowed = max(look.floor, least) * size + look.smallest + known.atol + known.rtol * np.abs(result.reference)
            allowed += np.where((result.reference == 0) | (look.gradient == 0), look.zero, 0)
            result.suspicious[:, columns] = ~(error <= result.bound + allowed)[:, columns]
        doubtful = [j for j in columns if np.any(result.suspicious[:, j]) and self._kinks.touches(j) is None]
        if doubtful and known.by_differences:
            self._differences.repeat(doubtful)
            error = np.abs(look.gradient - result.reference)
            size = np.fmax(np.abs(look.gradient), np.abs(result.reference))
        elif doubtful:
            self._measure_rounding(doubtful, error)
        if doubtful:
            self._explain(doubtful, error, size, allowed)
        self._complete()
        self._add_up()
        return result

    def _columns(self) -> list[int]:
        """The columns to look at alone: all, if their slopes are exact and they are few."""
        varying = np.flatnonzero(self._look.subject.varies)
        few = FEW if len(self._look.weights) <= FEW_ROWS else FULL  # one slope serves all rows
        if self._known.by_differences or len(varying) > few:
            return self._search.columns(varying)
        return [int(j) for j in varying]

    def _measure_rounding(self, columns: Sequence[int], error: Matrix) -> None:
        """Note how far rounding moves the suspicious entries of these columns."""
        for j in columns:
            in_question = np.where(self._result.suspicious[:, j], error[:, j], np.inf)
            self._result.noise[:, j] = np.maximum(
                self._roundings.behind(in_question, self._look.unit(j)),
                self._roundings.behind_slope(in_question, self._look.unit(j)),
            )

    def _explain(self, columns: Sequence[int], error: Matrix, size: Matrix, allowed: Matrix) -> None:
        """No longer suspect the entries of these columns whose errors rounding explains, or that nobody can know."""
        look, by_differences, result = self._look, self._known.by_differences, self._result
        bound = result.bound + allowed
        explained = result.suspicious & (error <= ALLOWED * result.noise + bound)
        if look.subject.plain:
            usual = np.fmax(size, np.fmax(look.largest[:, None], look.magnitude / look.scales))
            noisy = explained & (result.noise > max(UNSTABLE, 64 * look.epsilon) * usual) & (error > bound)
            explained &= ~self._is_rougher(noisy)
        result.suspicious &= ~explained
        forgive(look, result, [*columns], error, bound, self._differences.bend if by_differences else None)
        self._leave_open(error)
        if by_differences:
            with np.errstate(all="ignore"):
                excuse(look, result, error / size, self._known.deadline)

    def _leave_open(self, error: Matrix) -> None:
        """Note which errors are no more than a last digit of the largest entry or effect, where rounding is unmeasured.

        A gradient that is not made of operations may hold 1 - y² or p - 1, which are rounded as 1 is.
        """
        look, result = self._look, self._result
        if self._known.by_differences or not look.subject.plain or look.subject.is_known_at_one_point:
            return
        sizes = np.fmax(np.abs(look.gradient), np.abs(result.reference))
        with np.errstate(invalid="ignore"):
            saturated = (error <= sizes) & (look.gradient != 0)
            effects = np.where(saturated, np.fmax(self._known.largest, look.magnitude), self._known.largest)
            tiny = error * look.scales <= LAST_DIGITS * look.epsilon * effects
        for columns in map(look.subject.columns, range(len(look.subject.variables))):
            sizes = np.abs(look.gradient[:, columns])
            largest = np.max(sizes, axis=1, keepdims=True, initial=0, where=np.isfinite(sizes))
            with np.errstate(invalid="ignore"):
                tiny[:, columns] |= error[:, columns] <= LAST_DIGITS * look.epsilon * largest
        tiny &= result.suspicious
        if np.any(tiny) and not self._roundings.are_random:
            tiny &= ~self._persists(tiny)
            result.suspicious &= ~tiny
            result.hidden |= tiny
            result.bound[tiny] += error[tiny]

    def _persists(self, entries: Matrix) -> Matrix:
        """Whether the errors of these entries are about the same at nearby points; errors by rounding are not.

        In a steep tail, where the slopes themselves are others nearby, an error may be the same part of them.
        """
        look, result = self._look, self._result
        columns = np.flatnonzero(np.any(entries, axis=0)).tolist()
        gradient, reference = look.gradient[:, columns], result.reference[:, columns]
        same, same_part = np.ones((2, *gradient.shape), bool)
        for _ in range(AROUND):
            x = look.subject.rounded(look.subject.point * (1 + FAR_ENOUGH * look.rng.uniform(-1, 1, len(look.scales))))
            try:
                slopes = np.stack([look.slope(x, look.unit(j)) for j in columns], axis=1)
                rows = look.subject.rows(x, look.weights)[:, columns]
            except Exception:  # a function may refuse a point
                return np.zeros_like(entries)
            with np.errstate(all="ignore"):
                ratio = (rows - slopes) / (gradient - reference)
                part = ratio * (reference / slopes)
                same &= (ratio > 0.5) & (ratio < 2)
                same_part &= (part > 0.5) & (part < 2) & (rows != 0) & (gradient != 0)
        persists = entries.copy()
        persists[:, columns] &= same | same_part
        return persists

    def _referred(self, columns: list[int]) -> list[int]:
        """Compute the references of these columns, until the deadline; return those that were reached.

        If one entry after another of an array is on a staircase, the others are, too, and stay unknown. If several are
        plainly wrong, a few steps are enough for the others.
        """
        done: list[int] = []
        if not self._known.by_differences:
            done, without = self._exactly(columns)
            self._known.give_up(columns[len(done) :])
            columns = without
        stairs, proven = np.zeros((2, len(self._look.subject.variables)), int)
        for j in columns:
            variable = self._look.subject.locate(j)[0]
            if self._known.is_late and done:
                self._known.give_up([j])
            elif stairs[variable] >= STAIRS:
                self._result.hidden[:, j], self._result.bound[:, j] = True, np.inf
            else:
                self._differences.refer(j, others_are_wrong=proven[variable] >= PROVEN)
                proven[variable] += np.any(self._differences.is_far_off(j))
                stairs[variable] = stairs[variable] + 1 if np.all(self._differences.stairs[:, j]) else 0
                if self._known.by_differences:
                    done.append(j)
        return done

    def _exactly(self, columns: Sequence[int]) -> tuple[list[int], list[int]]:
        """Compute the exact slopes of these columns, until the deadline.

        Returns the columns that were reached, and those of them without an exact slope: there is no continuation at
        this point, as for a quotient 0 / 0, or the change is too small.
        """
        look, result, done = self._look, self._result, list[int]()
        for j in columns:
            if self._known.is_late and done:
                break
            result.reference[:, j] = look.slope(look.subject.point, look.unit(j))
            done.append(j)
        gradient = look.gradient[:, done]
        lost = (gradient != 0) & (np.abs(gradient) * look.scales[done] < LOST)
        known = np.isfinite(result.reference[:, done]) | ~np.isfinite(gradient)
        result.bound[:, done] = 0
        return done, [j for j, has_one in zip(done, np.all(known & ~lost, axis=0)) if not has_one]

    def _complete(self) -> None:
        """Complete the references of each array with a wrong entry: together they show what kind of mistake it is.

        Where the gradient agreed along directions with others, it is its own reference, and costs no call.
        """
        subject, result = self._look.subject, self._result
        for k in range(len(subject.variables)):
            inside = np.arange(len(subject.point))[subject.columns(k)]
            if len(inside) > FULL or not np.any(result.suspicious[:, inside]):
                continue
            missing = inside[np.isnan(result.reference[0, inside]) & subject.varies[inside] & ~result.unchecked[inside]]
            agrees = self._known.agrees_with_others[missing] & ~np.any(result.hidden[:, missing], axis=0)
            result.reference[:, missing[agrees]] = result.gradient[:, missing[agrees]]
            left = missing[~agrees].tolist()
            for j in left if self._known.by_differences else self._exactly(left)[1]:
                if self._known.is_late:
                    break
                scale = self._look.scales[j]
                result.reference[:, j] = self._known.briefly(scale * self._look.unit(j)).slope / scale

    def _add_up(self) -> None:
        """Clear the blocks whose slopes are what their entries' references add up to: no kinks meet there."""
        result, apart = self._result, np.zeros(len(self._result.together), bool)
        for seen in self._search.differing:
            reference = result.reference[:, seen.block]
            moved = np.where(np.isnan(reference), 0, reference - result.gradient[:, seen.block]) @ seen.steps
            with np.errstate(invalid="ignore"):
                explained = np.abs(seen.error - moved) <= seen.bound + result.bound[:, seen.block] @ np.abs(seen.steps)
            apart[seen.block] |= seen.kinked or not np.all(explained)
        result.together &= apart | result.unchecked

    def _is_rougher(self, noisy: Matrix) -> Matrix:
        """Whether a gradient has far more rounding than its reference, as a gradient by differences has."""
        rougher = noisy.copy()
        if not self._known.by_differences:
            for j in np.flatnonzero(np.any(noisy, axis=0)):
                rougher[:, j] &= self._result.noise[:, j] > 100 * self._roundings.of_slope(self._look.unit(int(j)))
        return rougher
