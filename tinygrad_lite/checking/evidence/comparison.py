"""Compares a gradient with its reference: along directions of many entries, and alone where these do not settle it.

An entry is wrong only if it differs from its reference by more than the reference's error and the effect of rounding.
Both are measured, not assumed: when every operation is rounded at random, a difference that is due to rounding changes,
and a real error stays.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from time import monotonic
from typing import Any

import numpy as np

from tinygrad_lite.checking.evidence import references
from tinygrad_lite.checking.evidence.examination import SUBNORMAL, Comparison, Examination
from tinygrad_lite.checking.evidence.inexact import CLOSE, excuse
from tinygrad_lite.checking.evidence.lost_digits import DIGITS, forgive
from tinygrad_lite.checking.evidence.roundings import ALLOWED, FEW_SAMPLES, Roundings
from tinygrad_lite.checking.evidence.singular import Kinks
from tinygrad_lite.checking.subjects.subject import EPSILON, FULL, Matrix, Vector

NAMED = 64  # the largest number of wrong entries that a search finds in an array
LOST = 1e-280  # a change below this is lost in a complex step
FEW_DIGITS = 1e-4  # a reference that is less exact, relative to a gradient in float32, verifies nothing
NEGLIGIBLE = 5e-11  # how well each entry must be known, relative to the entry with the largest effect
UNSTABLE = 1e-11  # a gradient with so much rounding, relative to what it is made of, may be made of differences
ROUGH = 0.1  # how well one of many entries must be known, relative to entries with an effect as large
FEW = 100  # the largest number of entries whose exact slopes are all computed
FEW_ROWS = 4  # with more rows, few entries have effects of the same size in all of them
SHORT = 4  # the largest number of entries in a short block
DENSE = 3  # after this many short blocks in a row with a wrong entry, larger blocks are no longer divided
BLOCK = 64  # the largest number of entries whose exact slopes are added up
DIRECTIONS = 4  # along as many at most, while each settles half of what the others left open, and along two at least
FEW_ENTRIES = 4  # blocks are not divided by variables if these have fewer entries on average
PROVEN = 6  # after this many plainly wrong entries, the others of an array are looked at with fewer steps
PLAINLY = 100  # the error of a plainly wrong entry is this many times its bound
STAIRS = 6  # after this many entries in a row on a staircase, the others of an array count as unknown
HELPLESS = 3  # after this many columns in a row that polynomials do not help with, they are no longer tried
LAST_DIGITS = 4  # how many roundings of the largest entry or effect may explain an error
AROUND = 12  # at this many nearby points, errors by rounding are not all about the same
FAR_ENOUGH = 3e-3  # how far away these are, relative to the entries: there, a last digit of 1 is rounded in another way
ROUNDINGS = 64  # a result that moves by fewer roundings of the largest effect is nothing but rounding
MATTERS = 1e-3  # a gradient that is larger, relative to the largest, must be known
PART = 1e-2  # how well it must be known if it hardly changes a value
FEWER = 5  # small entries are looked at in blocks if there are this many times fewer blocks than columns
SMALL = 0.5  # how large all small entries of a block may be together, relative to the largest in their row
APART = 1e6  # entries whose effects differ by more are not in one block
ALONE = 100  # if the bound of a block is this many times its noise, an entry may be better known alone
NOISY = 2e4  # a slope whose bound is no more than this many times its noise is known about as well as it can be


def compared(
    examination: Examination, kinks: Kinks, rtol: float = 0, atol: float = 0, deadline: float = np.inf
) -> Comparison:
    """Compare each entry with its reference, until the deadline (of `time.monotonic`)."""
    return _Comparing(examination, kinks, rtol, atol, deadline).compare()


class _Comparing:
    """The steps of a comparison, which fill in what is known of each entry."""

    def __init__(self, examination: Examination, kinks: Kinks, rtol: float, atol: float, deadline: float) -> None:
        self._look = examination
        self._kinks = kinks
        self._rtol, self._atol, self._deadline = rtol, atol, deadline
        self._by_differences = examination.method == "differences"
        self._roundings = Roundings(examination)
        gradient = examination.gradient
        self._found = Comparison.begun(gradient)
        no, zero = np.zeros(gradient.shape, bool), np.zeros(gradient.shape)
        self._saws, self._stairs, self._bend = no.copy(), no.copy(), zero.copy()
        self._rounding = no.copy()  # the entries that are nothing but the rounding of others
        self._agrees_with_others = no[0].copy()  # the columns that agreed with their references along several at once
        self._stands = False  # whether the last direction did not move any result off its stair
        self._helpless = 0  # the number of columns in a row that polynomials did not help with
        self._known: references.Difference | None = None
        sums = np.abs(gradient) * examination.scales
        self._largest = np.max(sums, axis=1, initial=0, where=np.isfinite(sums))[:, None]
        self._many = np.sum(examination.subject.varies) > FULL

    def compare(self) -> Comparison:
        look, found = self._look, self._found
        varying = np.flatnonzero(look.subject.varies)
        many = len(varying) > (FEW if len(look.weights) <= FEW_ROWS else FULL)  # one slope serves all rows
        searches = self._by_differences or many
        columns = self._referred(self._searched(varying) if searches else varying.tolist())
        with np.errstate(invalid="ignore"):
            error = np.abs(look.gradient - found.reference)
            size = np.maximum(np.abs(look.gradient), np.abs(found.reference))
            allowed = look.floor * size + look.smallest
            allowed += self._atol + self._rtol * np.abs(found.reference)
            allowed += np.where((found.reference == 0) | (look.gradient == 0), look.zero, 0)
            found.suspicious[:, columns] = ~(error <= found.bound + allowed)[:, columns]
        doubtful = [j for j in columns if np.any(found.suspicious[:, j]) and self._kinks.touches(j) is None]
        if doubtful and self._by_differences:
            self._repeat(doubtful)
            error = np.abs(look.gradient - found.reference)
            size = np.fmax(np.abs(look.gradient), np.abs(found.reference))
        elif doubtful:
            for j in doubtful:
                in_question = np.where(found.suspicious[:, j], error[:, j], np.inf)
                found.noise[:, j] = np.maximum(
                    self._roundings.behind(in_question, look.unit(j)),
                    self._roundings.behind_slope(in_question, look.unit(j)),
                )
        if doubtful:
            known = found.bound + allowed
            explained = found.suspicious & (error <= ALLOWED * found.noise + known)
            if look.subject.plain:
                usual = np.fmax(size, np.fmax(look.largest[:, None], look.magnitude / look.scales))
                noisy = explained & (found.noise > max(UNSTABLE, 64 * look.epsilon) * usual) & (error > known)
                explained &= ~self._is_rougher(noisy)
            found.suspicious &= ~explained
            forgive(look, found, doubtful, error, known, self._bend if self._by_differences else None)
            self._leave_open(error)
            if self._by_differences:
                with np.errstate(all="ignore"):
                    excuse(look, found, error / size, self._deadline)
        self._complete()
        return found

    def _leave_open(self, error: Matrix) -> None:
        """Note which errors are no more than a last digit of the largest entry or effect, where rounding is unmeasured.

        A gradient that is not made of operations may hold 1 - y² or p - 1, which are rounded as 1 is.
        """
        look, found = self._look, self._found
        if self._by_differences or not look.subject.plain or look.subject.is_known_at_one_point:
            return
        sizes = np.fmax(np.abs(look.gradient), np.abs(found.reference))
        with np.errstate(invalid="ignore"):
            saturated = (error <= sizes) & (look.gradient != 0)
            effects = np.where(saturated, np.fmax(self._largest, look.magnitude), self._largest)
            tiny = error * look.scales <= LAST_DIGITS * look.epsilon * effects
        for columns in map(look.subject.columns, range(len(look.subject.variables))):
            sizes = np.abs(look.gradient[:, columns])
            largest = np.max(sizes, axis=1, keepdims=True, initial=0, where=np.isfinite(sizes))
            with np.errstate(invalid="ignore"):
                tiny[:, columns] |= error[:, columns] <= LAST_DIGITS * look.epsilon * largest
        tiny &= found.suspicious
        if np.any(tiny) and not self._roundings.are_random:
            tiny &= ~self._persists(tiny)
            found.suspicious &= ~tiny
            found.hidden |= tiny
            found.bound[tiny] += error[tiny]

    def _persists(self, entries: Matrix) -> Matrix:
        """Whether the errors of these entries are about the same at nearby points; errors by rounding are not."""
        look, found = self._look, self._found
        columns = np.flatnonzero(np.any(entries, axis=0)).tolist()
        here = (look.gradient - found.reference)[:, columns]
        persists = entries.copy()
        for _ in range(AROUND):
            x = look.subject.rounded(look.subject.point * (1 + FAR_ENOUGH * look.rng.uniform(-1, 1, len(look.scales))))
            try:
                slopes = np.stack([look.slope(x, look.unit(j)) for j in columns], axis=1)
                there = look.subject.rows(x, look.weights)[:, columns] - slopes
            except Exception:  # a function may refuse a point
                return np.zeros_like(entries)
            with np.errstate(all="ignore"):
                ratio = there / here
                persists[:, columns] &= (ratio > 0.5) & (ratio < 2)
        return persists

    def _referred(self, columns: list[int]) -> list[int]:
        """Compute the references of these columns, until the deadline; return those that were reached.

        If one entry after another of an array is on a staircase, the others are, too, and stay unknown. If several are
        plainly wrong, a few steps are enough for the others.
        """
        done: list[int] = []
        if not self._by_differences:
            done, without = self._exactly(columns)
            self._give_up(columns[len(done) :])
            columns = without
        stairs, proven = np.zeros((2, len(self._look.subject.variables)), int)
        for j in columns:
            variable = self._look.subject.locate(j)[0]
            if self._is_late and done:
                self._give_up([j])
            elif stairs[variable] >= STAIRS:
                self._found.hidden[:, j], self._found.bound[:, j] = True, np.inf
            else:
                self._refer(j, others_are_wrong=proven[variable] >= PROVEN)
                proven[variable] += np.any(self._is_far_off(j))
                stairs[variable] = stairs[variable] + 1 if np.all(self._stairs[:, j]) else 0
                if self._by_differences:
                    done.append(j)
        return done

    def _exactly(self, columns: Sequence[int]) -> tuple[list[int], list[int]]:
        """Compute the exact slopes of these columns, until the deadline.

        Returns the columns that were reached, and those of them without an exact slope: there is no continuation at
        this point, as for a quotient 0 / 0, or the change is too small.
        """
        look, found, done = self._look, self._found, list[int]()
        for j in columns:
            if self._is_late and done:
                break
            found.reference[:, j] = look.slope(look.subject.point, look.unit(j))
            done.append(j)
        gradient = look.gradient[:, done]
        lost = (gradient != 0) & (np.abs(gradient) * look.scales[done] < LOST)
        known = np.isfinite(found.reference[:, done]) | ~np.isfinite(gradient)
        found.bound[:, done] = 0
        return done, [j for j, has_one in zip(done, np.all(known & ~lost, axis=0)) if not has_one]

    @property
    def _is_fine(self) -> bool:
        """Whether the gradient is computed in float64."""
        return self._look.epsilon <= EPSILON

    @property
    def _sees_stairs(self) -> bool:
        """Whether the numbers that the gradient is computed with are no staircase themselves, as float16's are."""
        return self._look.epsilon < references.STAIRS

    @property
    def _is_late(self) -> bool:
        return monotonic() > self._deadline

    def _complete(self) -> None:
        """Compute all references of each array with a wrong entry: together they show what kind of mistake it is."""
        subject = self._look.subject
        for k in range(len(subject.variables)):
            inside = np.arange(len(subject.point))[subject.columns(k)]
            if len(inside) > FULL or not np.any(self._found.suspicious[:, inside]):
                continue
            missing = inside[np.isnan(self._found.reference[0, inside]) & subject.varies[inside]]
            left = missing[~self._found.unchecked[missing]].tolist()
            for j in left if self._by_differences else self._exactly(left)[1]:
                if self._is_late:
                    break
                scale = self._look.scales[j]
                self._found.reference[:, j] = self._briefly(scale * self._look.unit(j)).slope / scale

    def _is_far_off(self, j: int) -> Vector:
        """Whether the entries of a column are so far from their references that no bound explains it."""
        found = self._found
        with np.errstate(invalid="ignore"):
            error = np.abs(found.gradient[:, j] - found.reference[:, j])
            return np.asarray((error > PLAINLY * found.bound[:, j]) & (error > CLOSE * np.abs(found.reference[:, j])))

    def _refer(self, j: int, others_are_wrong: bool) -> None:
        """Compute the reference of a column by differences; few steps are enough if they show what is expected.

        A column that agreed along a direction with others should be right, and one among wrong ones should be wrong.
        """
        look = self._look
        if others_are_wrong or self._agrees_with_others[j]:
            self._note(j, self._briefly(look.scales[j] * look.unit(j)).per(look.scales[j]))
            if np.all(self._is_far_off(j) if others_are_wrong else self._is_right(j)):
                return
        self._note(j, self._with_polynomials(j))

    def _is_right(self, j: int) -> Vector:
        """Whether the entries of a column agree with their references, which are known well enough."""
        look, found = self._look, self._found
        with np.errstate(invalid="ignore"):
            error = np.abs(found.gradient[:, j] - found.reference[:, j])
            right = error <= found.bound[:, j] + look.floor * np.abs(found.reference[:, j])
            kinked = np.abs(found.right[:, j] - found.left[:, j]) > 4 * found.side_bound[:, j]
        return np.asarray(right & ~kinked & ~found.hidden[:, j] & ~found.jumps[:, j])

    def _with_polynomials(self, j: int) -> references.Difference:
        """The differences of a column, and polynomials where these leave open whether the gradient is right."""

        def is_open(found: references.Difference) -> Vector:
            hidden = self._is_hidden_by(j, found.rate, np.fmin(found.bound, found.fitted_bound))
            with np.errstate(invalid="ignore"):
                differs = np.abs(self._found.gradient[:, j] - found.slope) > found.bound
                kinked = np.abs(found.right - found.left) > 4 * found.side_bound
            return np.asarray(hidden & ~differs & ~kinked)

        found = self._look.difference_by(j, unknown=None if self._helpless >= HELPLESS else is_open)
        self._helpless = self._helpless + 1 if np.any(is_open(found)) else 0
        return found.with_polynomials()

    def _note(self, j: int, difference: references.Difference) -> None:
        found = self._found
        self._rounding[:, j] = False
        found.reference[:, j] = difference.slope
        found.bound[:, j] = difference.bound + SUBNORMAL / min(1.0, self._look.scales[j])
        found.right[:, j], found.left[:, j], found.side_bound[:, j] = (
            difference.right,
            difference.left,
            difference.side_bound,
        )
        found.jumps[:, j], self._saws[:, j] = difference.jumps, difference.saws
        self._bend[:, j] = np.nan_to_num(difference.bend, posinf=0, neginf=0)
        found.hidden[:, j] = self._is_hidden_by(j, difference.rate)
        # where the curve differs from side to side, the two slopes from one side say more
        apart, bound = np.abs(difference.right - difference.left), difference.side_bound
        with np.errstate(invalid="ignore"):
            agree = found.hidden[:, j] & (apart <= 4 * bound) & (bound + apart < found.bound[:, j])
        if np.any(agree):
            found.reference[agree, j] = ((difference.right + difference.left) / 2)[agree]
            found.bound[agree, j] = (bound + apart)[agree]
            found.hidden[agree, j] = self._is_hidden_by(j, difference.rate)[agree]
        # and one side may say what the other does not contradict
        finer, bound = difference.finer, difference.finer_bound
        with np.errstate(invalid="ignore"):
            agree = found.hidden[:, j] & (bound < found.bound[:, j]) & (apart <= difference.side_bound)
            agree &= np.abs(found.gradient[:, j] - finer) <= bound + self._look.floor * np.abs(finer)
        if np.any(agree):
            found.reference[agree, j], found.bound[agree, j] = finer[agree], bound[agree]
            found.hidden[agree, j] = self._is_hidden_by(j, difference.rate)[agree]
        if self._sees_stairs:  # the slope of a staircase is 0, and from afar another
            gradient, slope = found.gradient[:, j], difference.slope
            with np.errstate(invalid="ignore"):
                close = np.abs(gradient - slope) <= found.bound[:, j] + self._look.floor * np.abs(slope)
            between = difference.stairs & ((gradient == 0) | close)
            self._stairs[:, j] = between
            found.bound[between, j] = np.fmax(found.bound[:, j], 2 * np.abs(slope))[between]
            found.hidden[between, j] = True
        self._judge_rounding(j, difference.extent)

    def _judge_rounding(self, j: int, extent: Vector) -> None:
        """Compare results that do not move, or move only as rounding does, with a slope of 0.

        The entries of a rotation times its transpose are such results, and their gradient is rounding, too.
        """
        look, found = self._look, self._found
        rounding = ROUNDINGS * look.epsilon * np.max(self._largest, initial=0)
        moves = np.fmax(extent, np.abs(found.gradient[:, j]) * look.scales[j])
        is_rough = found.hidden[:, j] | np.isinf(found.bound[:, j]) | (extent == 0)
        self._rounding[:, j] = still = is_rough & (moves <= rounding)
        found.reference[still, j], found.bound[still, j] = 0, rounding / look.scales[j]
        found.hidden[still, j] = found.jumps[still, j] = False

    def _repeat(self, doubtful: list[int]) -> None:
        """Look at these columns again, by other steps, wary of jumps; if the slopes differ, the bounds grow."""
        look, found = self._look, self._found
        found.noise[:, doubtful] = self._roundings.of_gradient[:, doubtful]
        proven = np.zeros(len(look.subject.variables), int)
        for j in doubtful:
            variable = look.subject.locate(j)[0]
            if proven[variable] >= PROVEN and np.all(self._is_far_off(j)):
                continue
            if self._is_late and not np.all(self._is_far_off(j)):
                self._give_up([j])
                continue
            former, bound, saws = found.reference[:, j].copy(), found.bound[:, j].copy(), self._saws[:, j].copy()
            again = look.difference_by(
                j,
                references.OTHER_STEPS,
                self._roundings.of_values,
                wary=True,
                unknown=partial(self._is_close, j),
            )
            self._note(j, again)
            apart = np.where(again.saws, 0, bound + np.abs(found.reference[:, j] - former))
            missed = saws & ~again.saws  # the jumps, which the first look had found
            missed |= ~saws & again.saws & np.isinf(again.bound) & (former != 0)  # and teeth, which are no rounding
            found.reference[missed, j] = former[missed]
            found.bound[:, j] = np.where(missed, bound, found.bound[:, j] + apart)
            with np.errstate(invalid="ignore"):  # and where rounding jumps further away than small steps go
                agree = np.abs(found.gradient[:, j] - again.fitted) <= again.fitted_bound
                agree &= np.abs(found.reference[:, j] - again.fitted) > again.fitted_bound
            found.reference[agree, j], found.bound[agree, j] = again.fitted[agree], again.fitted_bound[agree]
            found.bound[:, j] += self._rounded_alike(j)
            found.hidden[:, j] = self._is_hidden_by(j, again.rate)
            proven[variable] += np.any(self._is_far_off(j))

    def _rounded_alike(self, j: int) -> Vector:
        """How far apart slopes by steps of other digits are, where a column is off by about a rounding to float32.

        A function that rounds a term in proportion to the step, such as t / 3, rounds all steps of one sequence alike.
        """
        look, found = self._look, self._found
        size = np.abs(found.reference[:, j])
        with np.errstate(invalid="ignore"):
            error = np.abs(found.gradient[:, j] - found.reference[:, j])
            slight = (error > found.bound[:, j]) & (error < references.SINGLE * size)
        if not np.any(slight):
            return np.zeros(len(size))
        slopes = [look.difference_by(j, steps, self._roundings.of_values).slope for steps in references.MORE_STEPS]
        apart = np.max(np.abs(np.array(slopes) - found.reference[:, j]), axis=0)
        return np.where(slight & (apart < references.SINGLE * size), 2 * apart, 0.0)

    def _is_close(self, j: int, _: Any) -> Vector:
        """Whether each entry of a column is called wrong, but by a small part of itself."""
        found = self._found
        with np.errstate(invalid="ignore"):
            error = np.abs(found.gradient[:, j] - found.reference[:, j])
            return np.asarray(found.suspicious[:, j] & (error < CLOSE * np.abs(found.reference[:, j])))

    def _is_rougher(self, noisy: Matrix) -> Matrix:
        """Whether a gradient has far more rounding than its reference, as a gradient by differences has."""
        rougher = noisy.copy()
        if not self._by_differences:
            for j in np.flatnonzero(np.any(noisy, axis=0)):
                rougher[:, j] &= self._found.noise[:, j] > 100 * self._roundings.of_slope(self._look.unit(int(j)))
        return rougher

    def _searched(self, columns: Vector) -> list[int]:
        """The columns that have to be looked at alone, where the gradient differs from its reference.

        The search for them goes along directions of fewer and fewer entries. If there are many, it ends early, and
        notes the entries that it did not reach.
        """
        blocks = self._blocks if self._many else self._by_size if self._by_differences else self._of_equals
        ahead: list[tuple[Vector, Vector | None]] = [(block, None) for block in blocks(columns)]
        alone: list[int] = []
        wrong, dense = np.zeros((2, len(self._look.subject.variables)), int)
        has_looked = False
        while ahead and len(alone) <= FULL and not (has_looked and self._is_late):
            has_looked, (block, rows) = True, ahead.pop()
            variable = self._look.subject.locate(int(block[0]))[0]
            if wrong[variable] >= NAMED:
                self._found.unchecked[block] = True
                continue
            if len(block) == 1 and not self._many:
                alone += block.tolist()
                continue
            differs, open_ = self._looked_at(block, rows)
            if self._stands and not self._many:
                alone += block.tolist()  # a few of them will tell
                continue
            self._found.together[block] |= differs
            self._agrees_with_others[block] = not differs
            left = block if differs else block[np.any(open_, axis=0)]
            if len(block) <= SHORT:
                dense[variable] = dense[variable] + 1 if differs else 0
            if len(block) == 1:
                alone += left.tolist()
                wrong[variable] += differs
            elif differs and not self._many and dense[variable] >= DENSE and len(block) <= BLOCK:
                alone += block.tolist()  # most of them are wrong, like those before
            elif len(left):
                if not (differs or self._many or rows is not None):
                    small = open_ & self._are_small(block)
                    covers = list(self._covers(block, small))
                    if FEWER * len(covers) <= np.sum(np.any(small, axis=0)):
                        ahead += covers
                        left = block[np.any(open_ & ~small, axis=0)]
                if not len(left):
                    continue
                parts = [left] if len(left) < len(block) else self._parts(left, 2 if differs else 8)
                ahead += [(part, None) for part in parts]
        if self._is_late and not alone and (differing := [b for b, _ in ahead if np.all(self._found.together[b])]):
            alone = min(differing, key=len)[-1:].tolist()  # there is time for one, or nothing would be known
        for block, _ in ahead:
            self._found.unchecked[block] = True
            self._found.late[block] = self._is_late
        self._found.unchecked[alone] = self._found.late[alone] = False
        return sorted(alone)

    def _give_up(self, columns: Sequence[int]) -> None:
        """Note that there is no time for these columns."""
        self._found.unchecked[columns] = self._found.late[columns] = True

    def _sizes(self, columns: Vector) -> Vector:
        """How far the sums change, by the gradient to check, if an entry changes by its scale."""
        size: Vector = np.max(np.abs(self._look.gradient[:, columns]), axis=0) * self._look.scales[columns]
        return size

    def _by_variable(self, columns: Vector) -> Iterator[Vector]:
        """The columns of each variable, the most important ones last."""
        for k in range(len(self._look.subject.variables)):
            inside = self._look.subject.columns(k)
            mine = columns[(columns >= inside.start) & (columns < inside.stop)]
            if len(mine):
                yield mine[np.argsort(self._sizes(mine), kind="stable")]

    def _by_size(self, columns: Vector) -> Iterator[Vector]:
        """The columns whose effects stand out from each other's rounding, the most important ones last."""
        sizes = np.nan_to_num(self._sizes(columns))
        while len(columns):
            least = sizes <= APART * np.min(sizes)
            yield columns[least]
            columns, sizes = columns[~least], sizes[~least]

    def _of_equals(self, columns: Vector) -> Iterator[Vector]:
        """Blocks of entries that matter about equally, of whatever variables."""
        yield from np.array_split(columns[np.argsort(self._sizes(columns), kind="stable")], -(-len(columns) // BLOCK))

    def _blocks(self, columns: Vector) -> Iterator[Vector]:
        """Blocks of entries of one variable that matter about equally."""
        size = max(BLOCK, len(columns) // (8 if self._by_differences else 64))
        for mine in self._by_variable(columns):
            yield from np.array_split(mine, -(-len(mine) // size))

    def _parts(self, block: Vector, count: int) -> list[Vector]:
        """The parts of a block: its variables, if these are not tiny, or else entries that matter about equally."""
        variables = list(self._by_variable(block))
        if 1 < len(variables) <= max(count, len(block) // FEW_ENTRIES) or (self._many and len(variables) > 1):
            return variables
        entries = block[np.argsort(self._sizes(block), kind="stable")]
        return [part for part in np.array_split(entries, min(count, len(block))) if len(part)]

    def _covers(self, columns: Vector, open_: Matrix) -> Iterator[tuple[Vector, Vector]]:
        """Blocks, each with rows in which all its entries are small, so that each open entry is in one of them.

        In these rows, no larger entries hide the errors of small ones, and a 0 is seen to be 0. The blocks are chosen
        greedily, from columns that are small in the same rows.
        """
        are_small, kinds = np.unique(self._are_small(columns), axis=1, return_inverse=True)
        counts = np.stack([np.sum(open_[:, kinds == kind], axis=1) for kind in range(are_small.shape[1])], axis=1)
        while np.any(counts):
            inside: list[int] = []
            rows, gained = np.ones(len(counts), bool), np.zeros(len(counts), int)
            for kind in np.argsort(-np.sum(counts, axis=0), kind="stable").tolist():
                own = are_small[:, kind]
                if np.sum(counts[rows & own, kind]) > np.sum(gained[rows & ~own]):
                    inside.append(kind)
                    gained += counts[:, kind]
                    rows &= own
            counts[np.ix_(rows, np.array(inside))] = 0
            yield columns[np.isin(kinds, inside)], rows

    def _are_small(self, columns: Vector) -> Matrix:
        """Which entries have so small an effect that all of them together are less than the largest in their row."""
        effects = np.abs(self._look.gradient[:, columns]) * self._look.scales[columns]
        return np.asarray(effects <= SMALL / np.sqrt(len(columns)) * self._largest)

    def _looked_at(self, block: Vector, rows: Vector | None) -> tuple[bool, Matrix]:
        """Whether the gradient of any entry of a block is wrong, and if not, for which entries that is not known.

        Slopes along random directions in the block tell. If all is right, the bounds of the errors are noted.

        Args:
            rows: those in which it is asked, if not in all.
        """
        chosen = slice(None) if rows is None else rows
        open_ = np.ones((len(self._look.weights), len(block)), bool)
        if self._by_differences:
            asked = self._asked(chosen, block)
            self._found.hidden[asked], self._found.bound[asked] = True, np.inf
        for k in range(1 if self._many or not self._by_differences else DIRECTIONS):
            direction = self._look.direction(block)
            direction[block] *= self._evening(block) if k % 2 else 1.0
            before = np.sum(open_)
            differs, vague = self._along(block, chosen, direction)
            open_ &= vague
            settled = not np.any(open_) or np.sum(open_) > before / 2 or self._stands
            if differs or (k > 0 and settled):  # of few digits, errors may cancel along one
                break
        return differs, open_

    def _asked(self, rows: Any, block: Vector) -> Any:
        return np.ix_(np.arange(len(self._look.weights))[rows], block)

    def _evening(self, block: Vector) -> Vector:
        """Powers of 2 by which to move entries of large effects less, so that they do not hide those of small ones.

        An error that is allowed beside the large ones is smaller then; how well the slope is known stays as it was.
        """
        look, known = self._look, self._known
        if not self._is_fine or known is None:
            return np.ones(len(block))
        effects = self._sizes(block)
        allowed = look.floor * _length(look.gradient[:, block] * look.scales[block])
        with np.errstate(all="ignore"):
            least = np.max(known.bound / allowed)
            most = np.min(effects, where=effects > 0, initial=np.inf) * DIGITS / (4 * look.floor * len(block) ** 0.5)
            part = np.clip(most / effects, min(least, 1.0), 1.0)
            return np.asarray(np.exp2(np.floor(np.log2(np.where(np.isfinite(part), part, 1.0)))))

    def _along(self, block: Vector, rows: Any, direction: Vector) -> tuple[bool, Matrix]:
        look, found, steps = self._look, self._found, direction[block]
        asked = self._asked(rows, block)
        terms = look.gradient[:, block] * steps
        size = _length(terms)
        bound = look.floor * size + 4 * EPSILON * np.sum(np.abs(terms), axis=1)
        bound += _length((look.zero[:, block] + look.smallest) * steps * (terms == 0))
        tolerance = _length((self._atol + self._rtol * np.abs(look.gradient[:, block])) * steps)
        # one of many entries need only be known next to those that matter as much
        usual = size / np.sqrt(len(block))
        rough = self._many * ROUGH * usual
        kinked: Any = False
        if self._by_differences:
            difference, own = self._briefly(direction, rows), bound
            for _ in range(2):
                slope, known, noise = difference.slope, difference.bound, difference.noise
                bound = own + known
                hidden = (
                    self._is_hidden(bound[:, None], terms, difference.rate[:, None], steps) & (bound > rough)[:, None]
                )
                helped = difference.fitted_bound <= known
                better = ((bound > 4 * known) | (known > ALONE * noise) | helped)[:, None] | (terms == 0)
                lost = hidden & ~better  # alone, it will not be better known
                if self._many or self._helpless >= HELPLESS or not np.any(lost):
                    break
                difference = look.difference(direction, unknown=partial(_rows_of, lost)).with_polynomials()
                self._helpless = self._helpless + 1 if np.all(difference.fitted_bound > known) else 0
            sides = np.abs(difference.right) + np.abs(difference.left)
            kinked = np.abs(difference.right - difference.left) > 4 * difference.side_bound + 1e-9 * sides
            found.hidden[asked] &= hidden[rows]
            vague = hidden & better  # alone, it may be better known
            coarse = (known > np.maximum(NOISY * noise, rough))[:, None]
            vague |= coarse & (known[:, None] > 10 * look.floor * np.abs(terms))
            vague |= difference.stairs[:, None] & self._sees_stairs
            self._stands = bool(np.all(difference.stairs) and self._sees_stairs)
        else:
            # of many entries, which never all round alike, one is held to as much as alone
            bound *= max(0.1, len(block) ** -0.5) if self._is_fine else 1.0
            slope = look.slope(look.subject.point, direction)
            vague = (bound[:, None] > np.maximum(16 * look.floor * np.abs(terms), rough[:, None])) & (terms != 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.abs(slope - np.sum(terms, axis=1))
            differs = ~(error <= bound + tolerance)
            if not self._by_differences and np.any(differs):
                moved = self._roundings.behind(np.where(differs, error, np.inf), direction, FEW_SAMPLES)
                differs &= ~(error <= bound + tolerance + ALLOWED * moved)
            known = ((bound + tolerance)[:, None] / np.abs(steps))[rows]
            found.bound[asked] = np.fmin(found.bound[asked], known) if self._by_differences else known
            if self._many and not np.any(differs | kinked):
                found.resolution = max(found.resolution, float(np.max(bound / usual, initial=0, where=usual > 0)))
        is_open = np.zeros_like(vague)
        is_open[rows] = vague[rows]
        return bool(np.any(differs | kinked)), is_open

    def _briefly(self, direction: Vector, rows: Any = slice(None)) -> references.Difference:
        """The slope along a direction with few steps, of the size that was best before, if these tell enough of it."""
        known = self._known
        if known is not None and not np.any(known.stairs):  # which few steps may not see
            steps = known.step * references.RATIO ** np.arange(5.0, -2.0, -1.0)
            brief = self._look.difference(direction, steps, noise=known.noise)
            if np.all((brief.bound <= np.maximum(NOISY * known.noise, 1e-9 * np.abs(brief.slope)))[rows]):
                return brief
        self._known = full = self._look.difference(direction)
        return full

    def _is_hidden_by(self, j: int, rate: Vector, bound: Vector | None = None) -> Vector:
        """Whether the bound of a column leaves room for another gradient; its values change at this rate."""
        bound = self._found.bound[:, j] if bound is None else bound
        scale = self._look.scales[[j]]
        terms = self._found.gradient[:, [j]] * scale
        hidden = self._is_hidden(bound[:, None] * scale, terms, rate[:, None] * scale, scale)[:, 0]
        return np.asarray(hidden & ~self._rounding[:, j])

    def _is_hidden(self, bound: Matrix, terms: Matrix, rate: Matrix, steps: Vector) -> Matrix:
        """Whether a bound leaves room for another gradient, beside this one and how fast the values change.

        All are changes by these steps. A value that stands still shows that a gradient is 0, or as small as rounding
        makes it. Beside larger effects, a gradient of 0 need not be known better than NEGLIGIBLE, and no other one
        better than PART.
        """
        look = self._look  # a given gradient may be finer than the operations inside the function
        is_fine = (look.subject.epsilon if look.subject.plain else look.epsilon) <= EPSILON
        digits, size = max(DIGITS if is_fine else FEW_DIGITS, self._rtol), np.abs(terms)
        steps = np.abs(steps)
        with np.errstate(invalid="ignore"):
            # of a result that stands still, like a correlation with itself, a gradient is rounding next to the others'
            overall = np.max(self._largest, initial=0)
            rounding = ~np.isfinite(rate) & (size <= ROUNDINGS * look.epsilon * overall)
            negligible = np.where(np.isinf(rate) & ~rounding, 0, digits * 1e-3 * np.nan_to_num(rate, posinf=np.inf))
            allowed = np.where(size <= negligible, negligible, digits * size)
            beside_others = np.minimum(NEGLIGIBLE * self._largest, np.where(size > 0, PART * size, np.inf))
            allowed = np.maximum(allowed, np.where(rounding, NEGLIGIBLE * overall, beside_others))
            # what hardly changes a value may still have one of the largest gradients, as a probability of 1e-14 has
            matters = ~rounding & (size > MATTERS * look.largest[:, None] * steps)
            if len(steps) == 1:  # else how fast the values change is due to others
                matters &= size > negligible
            allowed = np.where(matters, np.minimum(allowed, max(PART, digits) * size), allowed)
            return np.asarray(~(bound <= allowed + self._atol * steps))


def _rows_of(entries: Matrix, _: Any) -> Vector:
    return np.asarray(np.any(entries, axis=1))


def _length(terms: Matrix) -> Vector:
    """The length of each row."""
    largest = np.max(np.abs(terms), axis=-1, keepdims=True, initial=0)  # whose square may be lost
    largest[~(largest > np.finfo(float).tiny)] = 1.0
    return np.asarray(np.sqrt(np.sum((terms / largest) ** 2, axis=-1)) * largest[..., 0])
