"""Gives a verdict on each compared entry, with the place and the cause."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing import influence
from tinygrad_lite.checking.diagnosing.diagnosis import Diagnosis
from tinygrad_lite.checking.evidence.examination import Comparison, Examination
from tinygrad_lite.checking.evidence.lost_digits import leave_zeros_open
from tinygrad_lite.checking.evidence.roundings import ALLOWED
from tinygrad_lite.checking.evidence.search import NAMED
from tinygrad_lite.checking.evidence.singular import Kinks, outside_domain
from tinygrad_lite.checking.report import FAILING, Checked, Finding, Verdict
from tinygrad_lite.checking.subjects.subject import FULL, Vector
from tinygrad_lite.readers.recording import Step


class Judgement:
    """The verdicts from a comparison, from kinks, from the operations on the way, and from repeated runs."""

    def __init__(
        self,
        examination: Examination,
        comparison: Comparison,
        kinks: Kinks,
        steps: Sequence[Step],
        values: Vector,
        unsteady: Any,
    ) -> None:
        self._look, self._comparison, self._kinks = examination, comparison, kinks
        self._steps, self._values = steps, values
        self._subject = examination.subject
        self._verdicts = self._judged(unsteady)

    def _judged(self, unsteady: Any) -> Any:
        """The verdict on each entry; a verdict overrules those that were given before it."""
        comparison, kinks = self._comparison, self._kinks
        finite = np.isfinite(comparison.gradient)
        bad = comparison.suspicious
        kinked = kinks.at(comparison, bad)
        self._together, unclear = kinks.meeting(comparison, kinked)
        bad &= ~(self._together | unclear)
        bad |= kinks.contrary
        undefined = self._undefined(bad) & finite
        bad |= undefined
        comparison.reference[undefined] = np.nan
        unknown = (~np.isfinite(comparison.bound) | (bad & ~np.isfinite(comparison.reference))) & finite & ~kinked
        verdicts = np.full(comparison.gradient.shape, Verdict.RIGHT, object)
        verdicts[bad] = Verdict.WRONG
        verdicts[(self._blurred() & ~bad) | unknown] = Verdict.NOISY
        meeting = self._meeting(bad & finite & ~kinked)
        verdicts[kinks.apart] = Verdict.WRONG if len(kinks.steps) == 1 else Verdict.KINKS_MEET
        verdicts[kinks.unclear] = Verdict.KINKS_MEET
        verdicts[kinked | (self._together & finite)] = Verdict.KINK
        verdicts[meeting | unclear] = Verdict.KINKS_MEET
        verdicts[(comparison.jumps | (kinked & comparison.hidden)) & finite] = Verdict.JUMP
        self._offence = outside_domain(self._steps) if np.any(~finite | unknown) else ""
        if self._offence:
            verdicts[~finite | unknown] = Verdict.DOMAIN
        else:
            verdicts[~finite | undefined] = Verdict.NOT_FINITE
        self._judge_idle(verdicts, bad)
        leave_zeros_open(self._look, comparison, verdicts == Verdict.WRONG)
        verdicts[(verdicts == Verdict.WRONG) & comparison.hidden & ~comparison.suspicious] = Verdict.NOISY
        verdicts[kinks.contrary & ~meeting] = Verdict.WRONG
        verdicts[:, comparison.unchecked] = Verdict.NOT_CHECKED
        verdicts[unsteady | (np.any(unsteady) & (verdicts != Verdict.RIGHT))] = Verdict.NOT_DETERMINISTIC
        verdicts[:, ~self._subject.varies] = Verdict.HELD_FIXED
        return verdicts

    def _undefined(self, bad: Any) -> Any:
        """Where the function's value is NaN, or where it is infinite and its gradient differs from the reference."""
        value = self._look.at_0[:, None]
        return np.isnan(value) | (np.isinf(value) & bad)

    def _meeting(self, entries: Any) -> Any:
        """The wrong entries where kinks meet, since their conventions need not add up to a slope of the whole there."""
        if self._subject.plain or not self._kinks.steps or self._diagnosis.faults:
            return np.zeros_like(entries)
        return entries & self._kinks.touched

    def _judge_idle(self, verdicts: Any, bad: Any) -> None:
        """Give a verdict on the entries without a gradient, unless the function is only stationary there."""
        idle = ~np.any(self._comparison.gradient, axis=0) & self._subject.varies
        if len(idle) > FULL or not np.any(idle):
            return
        supplied = self._subject.supplied
        if supplied is not None and supplied.is_by_hand:  # if somebody wrote down 0, no gradient was lost on its way
            self._excuse_saturated(verdicts, idle)
            return
        idle[[*influence.stationary(self._look, np.flatnonzero(idle & ~np.any(bad, axis=0)).tolist())]] = False
        verdicts[:, idle] = np.where(
            np.isin(verdicts[:, idle], [Verdict.RIGHT, Verdict.WRONG]), Verdict.NO_GRADIENT, verdicts[:, idle]
        )

    def _excuse_saturated(self, verdicts: Any, idle: Vector) -> None:
        """Change the verdict on zeros that are wrong by less than rounding."""
        comparison = self._comparison
        errors = np.where((verdicts == Verdict.WRONG) & idle, np.abs(comparison.reference), 0)
        for columns in map(self._subject.columns, range(len(self._subject.variables))):
            own = errors[:, columns]
            row, column = np.unravel_index(int(np.argmax(np.nan_to_num(own))), own.shape)
            if own[row, column] and influence.is_saturated(
                self._look, int(row), int(columns.start + column), comparison
            ):
                verdicts[:, columns][own != 0] = Verdict.NO_GRADIENT

    def _blurred(self) -> Any:
        """Whether rounding hides an entry, next to the other entries and to the values of the function."""
        comparison = self._comparison
        if self._look.method == "differences":
            return comparison.hidden
        with np.errstate(invalid="ignore", divide="ignore"):
            size = np.maximum(np.abs(comparison.gradient), np.abs(comparison.reference))
            usual, largest = np.max(self._look.size) / self._look.scales, np.max(self._look.largest)
            uncertain = comparison.bound + ALLOWED * comparison.noise
            least = max(1e-9, 4 * ALLOWED * self._look.epsilon)
            return comparison.hidden | (uncertain > np.maximum(1e-3 * np.fmax(size, 1e-2 * largest), least * usual))

    def checked(self, k: int) -> Checked:
        """The gradient of the k-th variable, with a verdict on each entry."""
        comparison = self._comparison
        v, columns = self._subject.variables[k], self._subject.columns(k)
        parts = (comparison.gradient, comparison.reference, comparison.bound, self._verdicts)
        return Checked(
            v.path, v.shape, *(part[:, columns].reshape(len(comparison.gradient), *v.shape) for part in parts)
        )

    def findings(self, k: int) -> list[Finding]:
        """The findings on the entries of the k-th variable that are not simply right."""
        columns = self._subject.columns(k)
        mine = self._verdicts[:, columns]
        findings = []
        said = set(mine.ravel().tolist()) - {Verdict.RIGHT, Verdict.HELD_FIXED}
        for verdict in (verdict for verdict in Verdict if verdict in said):
            entries = np.argwhere(mine == verdict)
            wrong = self._comparison.suspicious[:, columns]
            groups = [entries]
            if verdict is Verdict.NO_GRADIENT:  # where there should be a gradient, and where there should be none
                groups = [entries[[bool(wrong[tuple(entry)]) is fails for entry in entries]] for fails in (True, False)]
            for group in groups:
                if len(group):
                    findings.append(self._finding(k, verdict, group, mine.size))
        return findings

    def _finding(self, k: int, verdict: Verdict, entries: Any, size: int) -> Finding:
        comparison = self._comparison
        start = self._subject.columns(k).start
        rows, columns = entries[:, 0], start + entries[:, 1]
        with np.errstate(invalid="ignore"):
            errors = np.abs(comparison.gradient[rows, columns] - comparison.reference[rows, columns])
        row, column = entries[int(np.argmax(np.nan_to_num(errors)))]
        column = int(start + column)
        fails = verdict in FAILING or (verdict is Verdict.NO_GRADIENT and bool(comparison.suspicious[row, column]))
        where, why = self._reason(verdict, int(row), column, fails)
        if verdict is Verdict.NO_GRADIENT and why.startswith(influence.SATURATED):
            fails = False
        return Finding(
            verdict,
            self._subject.variables[k].path,
            len(entries),
            size,
            self._subject.locate(column)[1],
            int(row) if len(self._values) == len(comparison.gradient) > 1 else None,
            float(comparison.gradient[row, column]),
            float(comparison.reference[row, column]),
            float(comparison.bound[row, column]),
            fails,
            where,
            why,
        )

    def _reason(self, verdict: Verdict, row: int, column: int, fails: bool) -> tuple[str, str]:
        """Where the fault is, and what it looks like."""
        comparison, kinks = self._comparison, self._kinks
        if verdict is Verdict.WRONG:
            if kinks.contrary[row, column] and comparison.gradient[row, column] == comparison.reference[row, column]:
                return kinks.named(column), kinks.slopes(comparison, row, column)
            where, why = self._diagnosis.of(row, column)
            if not (where or why) and kinks.jumps[row, column]:
                return kinks.named(column), kinks.slopes(comparison, row, column)
            return where, why
        if verdict is Verdict.NO_GRADIENT:
            ended = influence.no_gradient(self._look, self._steps, row, column, comparison)
            if not fails or ended[1].startswith(influence.SATURATED):
                return ended
            blamed = self._diagnosis.of(row, column)
            return blamed if any(blamed) else ended
        if self._together[row, column]:
            return kinks.named(column), "slopes by single entries do not add up here; it is one of the slopes beside it"
        if verdict in (Verdict.KINK, Verdict.KINKS_MEET) or kinks.apart[row, column]:
            return kinks.named(column), kinks.slopes(comparison, row, column)
        if verdict is Verdict.JUMP:
            return kinks.named(column), "the value jumps here, so there is no slope; check beside the jump"
        if verdict is Verdict.DOMAIN:
            if np.isnan(comparison.gradient[row, column]) and comparison.reference[row, column] == 0:
                return self._offence, (
                    "the result does not depend on it, but 0 times an infinite slope is nan: choose before the "
                    "operation as well, f(np.where(ok, x, 1)), and not only after it"
                )
            return self._offence, "the derivative does not exist there; check at a point inside the domain"
        if verdict is Verdict.NOT_FINITE:
            return influence.first_not_finite(self._steps, self._values)
        if verdict is Verdict.NOT_DETERMINISTIC:
            return "", (
                "two runs at the same point differ: does it draw random numbers (dropout: call model.eval()), or "
                "change what it reads?"
            )
        if verdict is Verdict.NOT_CHECKED:
            return "", self._why_unchecked(row, column)
        known = self._known[row, column]
        if comparison.lost[row, column]:
            return "", (
                f"its digits are lost: it is right in longer numbers, but here it is known to ± {known:.0e} only; is "
                "it made of differences, or of large numbers that cancel?"
            )
        if np.isfinite(known):
            return "", f"rounding in the function hides the derivative: it is known to ± {known:.0e} only"
        if self._look.refusal:
            return "", f"the function has no values beside the point: {self._look.refusal}"
        return "", "the function is not smooth on any scale: it jumps, or is steeper the closer one looks"

    def _why_unchecked(self, row: int, column: int) -> str:
        comparison = self._comparison
        if not comparison.late[column]:
            return f"{NAMED} entries, or as many as are looked at one by one, are wrong already: the search ended there"
        seen = ": some seem to be wrong, by a slope along several" if comparison.together[column] else ""
        return (
            f"time_budget= ended the search before it came to these{seen}; give it more time, or choose arrays by wrt="
        )

    @property
    def _known(self) -> Any:
        """How far each entry may be from its reference without a mistake."""
        return self._comparison.bound + ALLOWED * self._comparison.noise

    @cached_property
    def tolerance(self) -> float:
        """The `rtol` that is enough for all entries that are too noisy to say; 0 if there are none."""
        noisy = self._verdicts == Verdict.NOISY
        with np.errstate(invalid="ignore", divide="ignore"):
            part = (self._known / np.abs(self._comparison.gradient))[noisy]
        return float(np.max(np.nan_to_num(part, nan=np.inf), initial=0))

    @cached_property
    def tolerance_of_zeros(self) -> float:
        """The `atol` that is enough for a gradient of 0, if only that is too noisy to say; else 0."""
        noisy = self._verdicts == Verdict.NOISY
        if np.any(self._comparison.gradient[noisy]) or not np.all(np.isfinite(self._known[noisy])):
            return 0.0
        return float(np.max(self._known[noisy], initial=0))

    @property
    def is_explained_in_part(self) -> bool:
        """Whether the search for what explains the wrong entries ended for lack of time."""
        return "_diagnosis" in vars(self) and self._diagnosis.patience.has_ended

    @cached_property
    def _diagnosis(self) -> Diagnosis:
        return Diagnosis(self._look, self._comparison)
