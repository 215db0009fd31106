"""The search for wrong entries among many: along random directions of fewer and fewer entries."""

from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tinygrad_lite.checking.evidence.blocks import BLOCK, Blocks
from tinygrad_lite.checking.evidence.known import HELPLESS, NOISY, Known
from tinygrad_lite.checking.evidence.lost_digits import DIGITS
from tinygrad_lite.checking.evidence.references import Difference
from tinygrad_lite.checking.evidence.roundings import ALLOWED, FEW_SAMPLES, Roundings
from tinygrad_lite.checking.subjects.subject import EPSILON, FULL, Matrix, Vector

NAMED = 64  # the largest number of wrong entries that a search finds in an array
ROUGH = 0.1  # how well one of many entries must be known, relative to entries with an effect as large
SHORT = 4  # the largest number of entries in a short block
DENSE = 3  # after this many short blocks in a row with a wrong entry, larger blocks are no longer divided
DIRECTIONS = 4  # along as many at most, while each settles half of what the others left open, and along two at least
FEWER = 5  # small entries are looked at in blocks if there are this many times fewer blocks than columns
MISSES = 3  # after this many blocks in a row in which no entry alone explains the error, none is looked for
ALIKE = 16  # entries whose effects differ by less are known as well together as alone
SEVERAL = 4  # so many are looked at together by polynomials, which takes as many calls as two entries alone
ALONE = 100  # if the bound of a block is this many times its noise, an entry may be better known alone

_Block: TypeAlias = tuple[Vector, Vector | None]
"""Columns that are looked at together, and the rows in which that is asked; None for all."""


class Along(NamedTuple):
    """How far the slopes along a direction differ from the gradient's.

    Attributes:
        block: the columns that move, by these `steps`.
        error: the difference in each row, and the `bound` of what is allowed.
        kinked: whether the slopes to the right and to the left differ.
        differs: whether the gradient of any entry is wrong.
        stands: whether the direction did not move any result off its stair.
    """

    block: Vector
    steps: Vector
    error: Vector
    bound: Vector
    kinked: bool
    differs: bool
    stands: bool


class Search:
    """The search for the columns that have to be looked at alone.

    Attributes:
        differing: what was seen of the blocks that differ.
    """

    def __init__(self, known: Known, roundings: Roundings) -> None:
        self._known, self._look, self._result = known, known.look, known.result
        self._roundings = roundings
        self._blocks = Blocks(known)
        self._misses = 0
        self.differing: list[Along] = []

    def columns(self, columns: Vector) -> list[int]:
        """The columns that have to be looked at alone, where the gradient differs from its reference.

        The search for them goes along directions of fewer and fewer entries. If there are many, it ends early, and
        notes the entries that it did not reach.
        """
        known, result = self._known, self._result
        ahead: list[_Block] = [(block, None) for block in self._blocks.first(columns)]
        alone: list[int] = []
        wrong, dense = np.zeros((2, len(self._look.subject.variables)), int)
        has_looked = False
        while ahead and len(alone) <= FULL and not (has_looked and known.is_late):
            has_looked, (block, rows) = True, ahead.pop()
            variable = self._look.subject.locate(int(block[0]))[0]
            if wrong[variable] >= NAMED:
                result.unchecked[block] = True
                continue
            if len(block) == 1 and not known.are_many:
                alone += block.tolist()
                continue
            seen, open_ = self._looked_at(block, rows)
            if seen.stands and not known.are_many:
                alone += block.tolist()  # a few of them will tell
                continue
            differs = seen.differs
            result.together[block] |= differs
            if differs:
                self.differing.append(seen)
            known.agrees_with_others[block] = not differs
            if len(block) <= SHORT:
                dense[variable] = dense[variable] + 1 if differs else 0
            if len(block) == 1:
                alone += block.tolist() if differs or np.any(open_) else []
                wrong[variable] += differs
            elif differs and not known.are_many and dense[variable] >= DENSE and len(block) <= BLOCK:
                alone += block.tolist()  # most of them are wrong, like those before
            elif differs or np.any(open_):
                ahead += self._divided(seen, rows, open_)
        if known.is_late and not alone:  # there is time for one, or nothing would be known
            differing = [block for block, _ in ahead if np.all(result.together[block])]
            alone = min(differing, key=len)[-1:].tolist() if differing else []
        for block, _ in ahead:
            result.unchecked[block] = True
            result.late[block] = known.is_late
        result.unchecked[alone] = result.late[alone] = False
        return sorted(alone)

    def _divided(self, seen: Along, rows: Vector | None, open_: Matrix) -> list[_Block]:
        """The blocks to look at next: parts of one in which an entry is wrong, or the entries that it left open."""
        block = seen.block
        if seen.differs:
            return [(part, None) for part in self._suspects_and_others(seen) or self._blocks.parts(block, 2)]
        ahead: list[_Block] = []
        if not self._known.are_many and rows is None:
            small = open_ & self._blocks.are_small(block)
            covers = [*self._blocks.covers(block, small)]
            if FEWER * len(covers) <= np.sum(np.any(small, axis=0)):
                ahead, open_ = [*covers], open_ & ~small
        left = block[np.any(open_, axis=0)]
        if len(left):
            parts = [left] if len(left) < len(block) else self._blocks.parts(left, 8)
            ahead += [(part, None) for part in parts]
        return ahead

    def _suspects_and_others(self, first: Along) -> list[Vector]:
        """The entries that would explain the errors along two directions, each by itself, and all others.

        The errors of a single wrong entry are in the ratio of its steps. If that singles out no entry, there is none.
        """
        block = first.block
        if len(block) <= SHORT or self._misses >= MISSES:
            return []
        second, _ = self._along(block, slice(None), self._look.direction(block))
        with np.errstate(invalid="ignore", divide="ignore"):
            row = int(np.argmax(np.nan_to_num(np.abs(first.error) / first.bound)))
            ratio = first.error[row] * second.steps - second.error[row] * first.steps
            unsure = first.bound[row] * np.abs(second.steps) + second.bound[row] * np.abs(first.steps)
            fits = np.abs(ratio) <= unsure
        if not 0 < np.sum(fits) <= len(block) / 2:
            self._misses += 1
            return []
        self._misses = 0
        return [block[~fits], block[fits]]

    def _looked_at(self, block: Vector, rows: Vector | None) -> tuple[Along, Matrix]:
        """What is seen of a block, and if nothing in it is wrong, for which entries that is not known.

        Slopes along random directions in the block tell. If all is right, the bounds of the errors are noted.

        Args:
            rows: those in which it is asked, if not in all.
        """
        chosen = slice(None) if rows is None else rows
        open_ = np.ones((len(self._look.weights), len(block)), bool)
        if self._known.by_differences:
            asked = self._asked(chosen, block)
            self._result.hidden[asked], self._result.bound[asked] = True, np.inf
        for k in range(1 if self._known.are_many or not self._known.by_differences else DIRECTIONS):
            direction = self._look.direction(block)
            direction[block] *= self._evening(block) if k % 2 else 1.0
            before = np.sum(open_)
            seen, vague = self._along(block, chosen, direction)
            open_ &= vague
            settled = not np.any(open_) or np.sum(open_) > before / 2 or seen.stands
            if seen.differs or (k > 0 and settled):  # of few digits, errors may cancel along one
                break
        return seen, open_

    def _asked(self, rows: Any, block: Vector) -> Any:
        return np.ix_(np.arange(len(self._look.weights))[rows], block)

    def _evening(self, block: Vector) -> Vector:
        """Powers of 2 by which to move entries of large effects less, so that they do not hide those of small ones.

        An error that is allowed beside the large ones is smaller then; how well the slope is known stays as it was.
        """
        look, known = self._look, self._known.last
        if not self._known.is_fine or known is None:
            return np.ones(len(block))
        effects = self._blocks.effects(block)
        allowed = look.floor * _length(look.gradient[:, block] * look.scales[block])
        with np.errstate(all="ignore"):
            least = np.max(known.bound / allowed)
            most = np.min(effects, where=effects > 0, initial=np.inf) * DIGITS / (4 * look.floor * len(block) ** 0.5)
            part = np.clip(most / effects, min(least, 1.0), 1.0)
            return np.asarray(np.exp2(np.floor(np.log2(np.where(np.isfinite(part), part, 1.0)))))

    def _along(self, block: Vector, rows: Any, direction: Vector) -> tuple[Along, Matrix]:
        """How far the gradient differs from the slope along a direction, and for which entries that is not known."""
        look, known, result, steps = self._look, self._known, self._result, direction[block]
        asked = self._asked(rows, block)
        terms = look.gradient[:, block] * steps
        size = _length(terms)
        own = look.floor * size + 4 * EPSILON * np.sum(np.abs(terms), axis=1)
        own += _length((look.zero[:, block] + look.smallest) * steps * (terms == 0))
        tolerance = _length((known.atol + known.rtol * np.abs(look.gradient[:, block])) * steps)
        # one of many entries need only be known next to those that matter as much
        usual = size / np.sqrt(len(block))
        rough = known.are_many * ROUGH * usual
        kinked: Any = False
        stands = False
        if known.by_differences:
            difference, hidden, vague = self._differences(direction, steps, terms, own, rough, rows)
            slope, bound = difference.slope, own + difference.bound
            sides = np.abs(difference.right) + np.abs(difference.left)
            kinked = np.abs(difference.right - difference.left) > 4 * difference.side_bound + 1e-9 * sides
            result.hidden[asked] &= hidden[rows]
            stands = bool(np.all(difference.stairs) and known.sees_stairs)
        else:
            # of many entries, which never all round alike, one is held to as much as alone
            bound = own * (max(0.1, len(block) ** -0.5) if known.is_fine else 1.0)
            slope = look.slope(look.subject.point, direction)
            vague = (bound[:, None] > np.maximum(16 * look.floor * np.abs(terms), rough[:, None])) & (terms != 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            off = slope - np.sum(terms, axis=1)
            error = np.abs(off)
            differs = ~(error <= bound + tolerance)
            if not known.by_differences and np.any(differs):
                moved = self._roundings.behind(np.where(differs, error, np.inf), direction, FEW_SAMPLES)
                differs &= ~(error <= bound + tolerance + ALLOWED * moved)
            bounds = ((bound + tolerance)[:, None] / np.abs(steps))[rows]
            result.bound[asked] = np.fmin(result.bound[asked], bounds) if known.by_differences else bounds
            if known.are_many and not np.any(differs | kinked):
                result.resolution = max(result.resolution, float(np.max(bound / usual, initial=0, where=usual > 0)))
        is_open = np.zeros_like(vague)
        is_open[rows] = vague[rows]
        any_differs = bool(np.any(differs | kinked))
        return Along(block, steps, off, bound + tolerance, bool(np.any(kinked)), any_differs, stands), is_open

    def _differences(
        self, direction: Vector, steps: Vector, terms: Matrix, own: Vector, rough: Vector, rows: Any
    ) -> tuple[Difference, Matrix, Matrix]:
        """The differences along a direction, which entries these do not settle, and which may be better known alone.

        Args:
            terms: what the gradient says about each entry.
            own: how large the gradient's own error may be.
            rough: how well the slope must be known at least.
        """
        known = self._known
        tells_more = partial(self._tells_more, terms, own)
        first = known.briefly(direction, rows, unknown=lambda brief: np.sum(tells_more(brief), axis=1) >= SEVERAL)
        difference = first.with_polynomials()
        hidden, better = self._hidden(difference, steps, terms, own, rough)
        lost = hidden & ~better
        if not known.are_many and known.helpless < HELPLESS and np.any(lost):
            former = difference.bound
            difference = self._look.difference(direction, unknown=partial(_rows_of, lost)).with_polynomials()
            known.helpless = known.helpless + 1 if np.all(difference.fitted_bound > former) else 0
            hidden, better = self._hidden(difference, steps, terms, own, rough)
        bound, noise = difference.bound, difference.noise
        coarse = (bound > np.maximum(NOISY * noise, rough))[:, None]
        vague = (hidden & better) | (coarse & (bound[:, None] > 10 * self._look.floor * np.abs(terms)))
        told = tells_more(first) & (first.fitted_bound < first.bound)[:, None]
        vague |= better & known.values_tell_more(terms, own + bound, noise) & ~told
        return difference, hidden, vague | (difference.stairs[:, None] & known.sees_stairs)

    def _tells_more(self, terms: Matrix, own: Vector, difference: Difference) -> Matrix:
        """The entries of which the values tell more than these differences do, and as much together as alone.

        They are among the largest that move: rounding is the same for all, and a polynomial follows their curves alone.
        """
        size = np.abs(terms)
        alike = size * ALIKE >= np.max(size, axis=1, keepdims=True, initial=0)
        return np.asarray(alike & self._known.values_tell_more(terms, own + difference.bound, difference.noise))

    def _hidden(
        self, difference: Difference, steps: Vector, terms: Matrix, own: Vector, rough: Vector
    ) -> tuple[Matrix, Matrix]:
        """Which entries a slope along a direction does not settle, and which of all may be better known alone."""
        bound = own + difference.bound
        leaves_room = self._known.leaves_room(bound[:, None], terms, difference.rate[:, None], steps)
        better = (bound > 4 * difference.bound) | (difference.bound > ALONE * difference.noise)
        better |= difference.fitted_bound <= difference.bound
        return leaves_room & (bound > rough)[:, None], better[:, None] | (terms == 0)


def _rows_of(entries: Matrix, _: Any) -> Vector:
    return np.asarray(np.any(entries, axis=1))


def _length(terms: Matrix) -> Vector:
    """The length of each row."""
    largest = np.max(np.abs(terms), axis=-1, keepdims=True, initial=0)  # whose square may be lost
    largest[~(largest > np.finfo(float).tiny)] = 1.0
    return np.asarray(np.sqrt(np.sum((terms / largest) ** 2, axis=-1)) * largest[..., 0])
