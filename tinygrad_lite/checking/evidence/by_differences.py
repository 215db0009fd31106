"""Compares one column after another with differences, as many as it takes to know it well enough."""

from functools import partial
from typing import Any

import numpy as np

from tinygrad_lite.checking.evidence import references
from tinygrad_lite.checking.evidence.examination import SUBNORMAL
from tinygrad_lite.checking.evidence.inexact import CLOSE
from tinygrad_lite.checking.evidence.known import HELPLESS, PART, ROUNDINGS, Known
from tinygrad_lite.checking.evidence.roundings import Roundings
from tinygrad_lite.checking.subjects.subject import EPSILON, Vector

PROVEN = 6  # after this many plainly wrong entries, the others of an array are looked at with fewer steps
PLAINLY = 100  # the error of a plainly wrong entry is this many times its bound


class ByDifferences:
    """The references of columns by differences.

    Attributes:
        stairs: the entries whose values are a staircase.
        bend: how far each slope bends.
    """

    def __init__(self, known: Known, roundings: Roundings) -> None:
        self._known, self._look, self._result = known, known.look, known.result
        self._roundings = roundings
        shape = known.look.gradient.shape
        self.stairs, self._saws, self.bend = np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(shape)

    def is_far_off(self, j: int) -> Vector:
        """Whether the entries of a column are so far from their references that no bound explains it."""
        result = self._result
        with np.errstate(invalid="ignore"):
            error = np.abs(result.gradient[:, j] - result.reference[:, j])
            return np.asarray((error > PLAINLY * result.bound[:, j]) & (error > CLOSE * np.abs(result.reference[:, j])))

    def refer(self, j: int, others_are_wrong: bool) -> None:
        """Compute the reference of a column by differences; few steps are enough if they show what is expected.

        A column that agreed along a direction with others should be right, and one among wrong ones should be wrong.
        """
        look = self._look
        if others_are_wrong or self._known.agrees_with_others[j]:
            scale = look.scales[j]
            helps = not others_are_wrong and self._known.helpless < HELPLESS
            unknown = (lambda brief: self._values_tell_more(j, brief.per(scale))) if helps else None
            brief = self._known.briefly(scale * look.unit(j), unknown=unknown)
            self._note(j, brief.per(scale).with_polynomials())
            if np.all(self.is_far_off(j) if others_are_wrong else self._is_right(j)):
                return
        self._note(j, self._with_polynomials(j))

    def _is_right(self, j: int) -> Vector:
        """Whether the entries of a column agree with their references, which are known well enough."""
        look, result = self._look, self._result
        with np.errstate(invalid="ignore"):
            error = np.abs(result.gradient[:, j] - result.reference[:, j])
            right = error <= result.bound[:, j] + look.floor * np.abs(result.reference[:, j])
            kinked = np.abs(result.right[:, j] - result.left[:, j]) > 4 * result.side_bound[:, j]
        return np.asarray(right & ~kinked & ~result.hidden[:, j] & ~result.jumps[:, j])

    def _values_tell_more(self, j: int, difference: references.Difference) -> Vector:
        """Whether the values tell more of the entries of a column than these differences do, which agree roughly."""
        gradient, scale = self._look.gradient[:, j], self._look.scales[j]
        with np.errstate(invalid="ignore"):
            close = np.abs(gradient - difference.slope) < CLOSE * np.abs(gradient)
        bound = np.fmin(difference.bound, difference.fitted_bound) * scale
        more = self._known.values_tell_more(gradient[:, None] * scale, bound, difference.noise)
        return np.asarray(close & more[:, 0])

    def _with_polynomials(self, j: int) -> references.Difference:
        """The differences of a column, and polynomials where these leave open whether the gradient is right."""

        def is_hidden(difference: references.Difference) -> Vector:
            hidden = self._known.leaves_room_in(j, difference.rate, np.fmin(difference.bound, difference.fitted_bound))
            with np.errstate(invalid="ignore"):
                differs = np.abs(self._result.gradient[:, j] - difference.slope) > difference.bound
            return np.asarray(hidden & ~differs & ~is_kinked(difference))

        def is_kinked(difference: references.Difference) -> Vector:
            with np.errstate(invalid="ignore"):
                return np.asarray(np.abs(difference.right - difference.left) > 4 * difference.side_bound)

        def is_open(difference: references.Difference) -> Vector:
            return is_hidden(difference) | self._values_tell_more(j, difference) & ~is_kinked(difference)

        difference = self._look.difference_by(j, unknown=None if self._known.helpless >= HELPLESS else is_open)
        self._known.helpless = self._known.helpless + 1 if np.any(is_hidden(difference)) else 0
        return difference.with_polynomials()

    def _note(self, j: int, difference: references.Difference) -> None:
        result = self._result
        self._known.is_rounding[:, j] = False
        result.reference[:, j] = difference.slope
        result.bound[:, j] = difference.bound + SUBNORMAL / min(1.0, self._look.scales[j])
        result.right[:, j], result.left[:, j], result.side_bound[:, j] = (
            difference.right,
            difference.left,
            difference.side_bound,
        )
        result.jumps[:, j], self._saws[:, j] = difference.jumps, difference.saws
        self.bend[:, j] = np.nan_to_num(difference.bend, posinf=0, neginf=0)
        result.hidden[:, j] = self._known.leaves_room_in(j, difference.rate)
        # where the curve differs from side to side, the two slopes from one side say more
        apart, bound = np.abs(difference.right - difference.left), difference.side_bound
        with np.errstate(invalid="ignore"):
            agree = result.hidden[:, j] & (apart <= 4 * bound) & (bound + apart < result.bound[:, j])
            agree &= ~self._is_wild(difference)
        if np.any(agree):
            result.reference[agree, j] = ((difference.right + difference.left) / 2)[agree]
            result.bound[agree, j] = (bound + apart)[agree]
            result.hidden[agree, j] = self._known.leaves_room_in(j, difference.rate)[agree]
        # and one side may say what the other does not contradict
        finer, bound = difference.finer, difference.finer_bound
        with np.errstate(invalid="ignore"):
            agree = result.hidden[:, j] & (bound < result.bound[:, j]) & (apart <= difference.side_bound)
            agree &= np.abs(result.gradient[:, j] - finer) <= bound + self._look.floor * np.abs(finer)
        if np.any(agree):
            result.reference[agree, j], result.bound[agree, j] = finer[agree], bound[agree]
            result.hidden[agree, j] = self._known.leaves_room_in(j, difference.rate)[agree]
        if self._known.sees_stairs:  # the slope of a staircase is 0, and from afar another
            gradient, slope = result.gradient[:, j], difference.slope
            with np.errstate(invalid="ignore"):
                close = np.abs(gradient - slope) <= result.bound[:, j] + self._look.floor * np.abs(slope)
            between = difference.stairs & ((gradient == 0) | close)
            self.stairs[:, j] = between
            result.bound[between, j] = np.fmax(result.bound[:, j], 2 * np.abs(slope))[between]
            result.hidden[between, j] = True
        self._judge_rounding(j, difference.extent)

    def _is_wild(self, difference: references.Difference) -> Vector:
        """Whether a result moves at random by so much that it is not rounding, as a chaotic function does."""
        rounding = references.ROUGH * EPSILON * self._look.magnitude
        return np.asarray(np.isinf(difference.bound) & (difference.noise > rounding))

    def _judge_rounding(self, j: int, extent: Vector) -> None:
        """Compare results that do not move, or move only as rounding does, with a slope of 0.

        The entries of a rotation times its transpose are such results, and their gradient is rounding, too.
        """
        look, result = self._look, self._result
        rounding = ROUNDINGS * look.epsilon * np.max(self._known.largest, initial=0)
        moves = np.fmax(extent, np.abs(result.gradient[:, j]) * look.scales[j])
        is_rough = result.hidden[:, j] | np.isinf(result.bound[:, j]) | (extent == 0)
        is_rough &= ~(result.bound[:, j] < PART * np.abs(result.reference[:, j]))  # no rounding has a slope
        self._known.is_rounding[:, j] = still = is_rough & (moves <= rounding)
        result.reference[still, j], result.bound[still, j] = 0, rounding / look.scales[j]
        result.hidden[still, j] = result.jumps[still, j] = False

    def repeat(self, doubtful: list[int]) -> None:
        """Look at these columns again, by other steps, wary of jumps; if the slopes differ, the bounds grow."""
        look, result = self._look, self._result
        result.noise[:, doubtful] = self._roundings.of_gradient[:, doubtful]
        proven = np.zeros(len(look.subject.variables), int)
        for j in doubtful:
            variable = look.subject.locate(j)[0]
            if proven[variable] >= PROVEN and np.all(self.is_far_off(j)):
                continue
            if self._known.is_late and not np.all(self.is_far_off(j)):
                self._known.give_up([j])
                continue
            former, bound, saws = result.reference[:, j].copy(), result.bound[:, j].copy(), self._saws[:, j].copy()
            again = look.difference_by(
                j,
                references.OTHER_STEPS,
                self._roundings.of_values,
                wary=True,
                unknown=partial(self._is_close, j),
            )
            self._note(j, again.with_polynomials())
            apart = np.where(again.saws, 0, bound + np.abs(result.reference[:, j] - former))
            missed = saws & ~again.saws  # the jumps, which the first look had found
            missed |= ~saws & again.saws & np.isinf(again.bound) & (former != 0)  # and teeth, which are no rounding
            result.reference[missed, j] = former[missed]
            result.bound[:, j] = np.where(missed, bound, result.bound[:, j] + apart)
            with np.errstate(invalid="ignore"):  # and where rounding jumps further away than small steps go
                agree = np.abs(result.gradient[:, j] - again.fitted) <= again.fitted_bound
                agree &= np.abs(result.reference[:, j] - again.fitted) > again.fitted_bound
            result.reference[agree, j], result.bound[agree, j] = again.fitted[agree], again.fitted_bound[agree]
            result.bound[:, j] += self._rounded_alike(j)
            result.hidden[:, j] = self._known.leaves_room_in(j, again.rate)
            proven[variable] += np.any(self.is_far_off(j))

    def _rounded_alike(self, j: int) -> Vector:
        """How far apart slopes by steps of other digits are, where a column is off by about a rounding to float32.

        A function that rounds a term in proportion to the step, such as t / 3, rounds all steps of one sequence alike.
        """
        look, result = self._look, self._result
        size = np.abs(result.reference[:, j])
        with np.errstate(invalid="ignore"):
            error = np.abs(result.gradient[:, j] - result.reference[:, j])
            slight = (error > result.bound[:, j]) & (error < references.SINGLE * size)
        if not np.any(slight):
            return np.zeros(len(size))
        slopes = [look.difference_by(j, steps, self._roundings.of_values).slope for steps in references.MORE_STEPS]
        apart = np.max(np.abs(np.array(slopes) - result.reference[:, j]), axis=0)
        return np.where(slight & (apart < references.SINGLE * size), 2 * apart, 0.0)

    def _is_close(self, j: int, _: Any) -> Vector:
        """Whether each entry of a column is called wrong, but by a small part of itself."""
        result = self._result
        with np.errstate(invalid="ignore"):
            error = np.abs(result.gradient[:, j] - result.reference[:, j])
            return np.asarray(result.suspicious[:, j] & (error < CLOSE * np.abs(result.reference[:, j])))
