"""Marks a submission by how the function's values change, with the gradient checker's diagnosis."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tinygrad_lite.checking import Report, Verdict, gradcheck
from tinygrad_lite.checking.diagnosing.local import fault_of, same
from tinygrad_lite.checking.diagnosing.mistakes import (
    INPUT,
    LOCAL,
    ONE_OF_TWO,
    OUTPUT,
    OVERWRITTEN,
    PART,
    SIGN,
    SWAPPED,
    TRANSPOSED,
    UPSTREAM,
    VALUE,
)
from tinygrad_lite.checking.diagnosing.patience import Patience
from tinygrad_lite.checking.diagnosing.patterns import SIZE, constant_ratio
from tinygrad_lite.checking.report import Finding
from tinygrad_lite.engine.op import NO_PARAMS, Array, Op
from tinygrad_lite.engine.tensor import wrap
from tinygrad_lite.errors import InputError
from tinygrad_lite.exercises.brackets import BRACKETS, TOO_MANY
from tinygrad_lite.exercises.declaration import Declaration
from tinygrad_lite.exercises.likenesses import (
    ADDED,
    ANTIDERIVATIVE,
    MULTIPLIED,
    ROUNDED,
    ROWS,
    SUMMED,
    added_rates,
    are_rounded,
    counts_rows,
    is_antiderivative,
    of_factors,
    of_uses,
    reduced,
    uses_of,
)
from tinygrad_lite.exercises.mark import distance
from tinygrad_lite.exercises.misconceptions import recognised
from tinygrad_lite.exercises.misfit import Misfit
from tinygrad_lite.exercises.shown import brief
from tinygrad_lite.exercises.variants import AXIS, LENGTH, LOST_AXIS, POWER, ROOT, SAMPLE, UPSIDE_DOWN
from tinygrad_lite.readers.recording import Step
from tinygrad_lite.transforms.gradients import grad

Called = Callable[[Array, Array, Mapping[str, Array]], Array]
"""A submission, here or in a process of its own: (g, y, trial) -> its answer."""

_ONE_USE = (OVERWRITTEN, ONE_OF_TWO, PART)
_VALUE_FOR_G = "y stands where g should be"
_BY_HAND = 5e-3
"""How far a number with three digits may be off, relative to the right one."""
_BY_CHANCE = ("constant_factor", "sum_or_mean", "value_for_derivative")
_CONSTANT = "a constant factor"
_RATIOS = ("constant_factor", "sum_or_mean")
_FACTORS = (*_RATIOS, "extra_factor")
"""Sentences that rest only on the ratio of an answer to the right one."""
_EXACT = (AXIS, LENGTH, LOST_AXIS, POWER, ROOT, SAMPLE, UPSIDE_DOWN)
"""Sentences about one word of a submission, which say more than a ratio or a factor."""
_AT_AN_INDEX = "it is wrong exactly at ind"
_OF_ANOTHER = "is taken for that of"
"""In the checker's sentences on entries that are wrong, and on the rule of another function."""
_EXACTLY = 1e-6
"""How far what is computed may be off, relative to the largest entry."""
_TRYING = 0.2
"""For which share of a search's time a submission is tried with another word."""
_REPEATED = "was repeated by broadcasting, and the gradient is not summed over the copies"

# Σ g·y, whose gradient is what a vjp computes; it is not in the registry, and is recognised by its name
_weigh = Op(
    lambda y, g: np.sum(g * y),
    [lambda u, s, y, g: u * g, lambda u, s, y, g: u * y],
    name="the upstream gradient",
    arity=2,
)


@dataclass(frozen=True)
class Remarks:
    """What is said of a submission; `told` is empty if it is right.

    Attributes:
        summary: for a right submission, what was compared.
        told: where it is wrong, and how far off it is.
        likeness: what it looks like.
        misconception: the name of that mistake.
    """

    summary: str = ""
    told: tuple[str, ...] = ()
    likeness: str = ""
    misconception: str = ""


def remarks_on(declaration: Declaration, submission: Called) -> Remarks:
    """The remarks on a submission: those on the first trial that it fails. Its exceptions pass through."""
    entries = kinks = 0
    trials = declaration.inputs[:1] if declaration.write == "numbers" else declaration.inputs
    for number, trial in enumerate(trials):
        marking = _Marking(declaration, submission, trial)
        remarks = marking.remarks()
        if remarks.told and number:
            return _of_a_later_trial(remarks, marking, trial)
        if remarks.told:
            return _confirmed(remarks, marking, [_Marking(declaration, submission, x) for x in trials[1:2]])
        counts = marking.report.counts()
        entries, kinks = entries + sum(counts.values()), kinks + counts.get(Verdict.KINK, 0)
    return Remarks(f"{entries} {'entry' if entries == 1 else 'entries'}{f', {kinks} at a kink' if kinks else ''}")


def _confirmed(remarks: Remarks, marking: "_Marking", others: "Sequence[_Marking]") -> Remarks:
    """The remarks, without a likeness that one trial has by chance and another does not have."""
    if not remarks.misconception and marking.ratio is not None and others:
        return _with_constant(remarks, marking.ratio, others[0])
    for other in others if remarks.misconception in _BY_CHANCE else ():
        try:
            again = other.remarks()
        except Exception:  # the first trial has been marked without
            return remarks
        if not again.told or _holds(remarks, marking, again, other):
            return remarks
        if marking.factor and marking.factor == other.factor:
            return _recognised(remarks.told, marking.factor)
        said = again if again.misconception in ("sum_or_mean", "extra_factor") else Remarks()
        return replace(remarks, likeness=said.likeness, misconception=said.misconception)
    return remarks


def _with_constant(remarks: Remarks, ratio: float, other: "_Marking") -> Remarks:
    """The remarks on an answer that is the same multiple of the right one on another trial: a constant is wrong."""
    with suppress(Exception):  # the first trial has been marked without
        other.remarks()
        if other.ratio is not None and ratio > 0 and abs(other.ratio - ratio) <= _EXACTLY * ratio:
            how = "is missing" if ratio < 1 else "should not be there"
            return replace(remarks, likeness=f"{_CONSTANT} {how}", misconception="constant_factor")
    return remarks


def _holds(remarks: Remarks, marking: "_Marking", again: Remarks, other: "_Marking") -> bool:
    """Whether the remarks on one trial may be true of another, even if its own remarks differ."""
    a, b = marking.ratio, other.ratio
    if remarks.misconception == "sum_or_mean":  # a sum of two entries is twice their mean
        return again.misconception in (*_BY_CHANCE, "")
    if remarks.likeness.startswith(_CONSTANT) and a is not None and b is not None:
        return abs(a - b) <= 1e-6 * abs(a)
    return again.misconception == remarks.misconception


def _recognised(told: tuple[str, ...], sentence: str, operation: str = "") -> Remarks:
    """Remarks with the misconception that a sentence of the gradient checker is about, in a learner's words."""
    if not (known := recognised(sentence) or recognised(told[0]) or recognised(told[0].rpartition(": ")[2])):
        return Remarks(told=told)
    misconception, likeness = known
    if likeness in told[0]:
        likeness = ""
    elif operation and misconception.placed:
        likeness = f"in {operation}, {likeness}"
    return Remarks(told=told, likeness=likeness, misconception=misconception.name)


def _of_a_later_trial(remarks: Remarks, marking: "_Marking", trial: Mapping[str, Array]) -> Remarks:
    """The same, if the first trial, which the question shows, went well."""
    if counts_rows(marking.ratio, trial) or marking.has_rows_alone:
        return _recognised((*remarks.told, _not_for(trial, hardcoded=False)), ROWS)
    depends = remarks.misconception in _RATIOS  # a factor that was right for the first trial
    if remarks.likeness and not depends:
        return replace(remarks, told=(*remarks.told, _not_for(trial, hardcoded=False)))
    return Remarks(told=(*remarks.told, _not_for(trial, hardcoded=True)), misconception="hard_coded")


class _Marking:
    """A submission on one trial."""

    def __init__(self, declaration: Declaration, submission: Called, trial: Mapping[str, Array]) -> None:
        self._declaration, self._submission, self._trial = declaration, submission, trial
        self._x = np.asarray(trial[declaration.argument])[()]
        self._y = declaration.value(trial)
        shape = np.shape(self._y)
        # with an upstream gradient of ones, each entry of an elementwise derivative arrives unchanged
        self._g = np.ones(shape)[()] if declaration.elementwise else np.random.default_rng(0).uniform(0.5, 1.5, shape)
        if declaration.write == "numbers":
            self._submission = self._to_all_digits(submission)
        self.report: Report
        self.ratio: float | None = None  # of the answer to what is right, if it is the same for all entries
        self.has_rows_alone = False  # whether the answer has an entry for each row of the argument
        self.factor = ""  # a sentence on an argument that is an extra factor or a missing one

    def remarks(self) -> Remarks:
        """The remarks on what is wrong, and on which common mistake it looks like."""
        try:
            remarks = self._remarks()
        except Misfit as misfit:
            return _recognised((misfit.told,), misfit.likeness or self._mended(None))
        if remarks.misconception == "sum_or_mean" and np.ndim(self._x) == 0 and not self._is_of_a_sum():
            how = "is missing" if "a mean" in remarks.likeness else "should not be there"
            return replace(remarks, likeness=f"{_CONSTANT} {how}", misconception="constant_factor")
        return remarks

    def _to_all_digits(self, submission: Called) -> Called:
        """Numbers that are a known multiple of the right ones, to the digits that were given, as that multiple."""
        try:
            answer, right = submission(self._g, self._y, self._trial), np.asarray(grad(self._weighted)(self._x))
        except Exception:  # its own exceptions pass through later; and code outside NumPy's functions has no rule
            return submission
        if answer.shape != right.shape or not np.any(right):
            return submission
        times = float(np.sum(answer * right) / np.sum(right * right))
        counts = reduced(self._declaration.function, self._trial)
        known = [2.0, 0.5, *(float(n) for n in counts), *(1 / n for n in counts if n)]
        near = [ratio for ratio in known if abs(times - ratio) <= _BY_HAND * ratio]
        if not near or not same(answer, near[0] * right, _BY_HAND):
            return submission
        return lambda g, y, trial: near[0] * right

    def _is_of_a_sum(self) -> bool:
        """Whether the ratio of the answer to what is right is the number of entries of a sum in the function."""
        counts = reduced(self._declaration.function, self._trial)
        ratio = self.ratio
        return ratio is not None and any(np.isclose(max(ratio, 1 / ratio), n, rtol=_BY_HAND) for n in counts)

    def _remarks(self) -> Remarks:
        answer = self._submission(self._g, self._y, self._trial)
        shape = np.shape(self._x)
        if self._declaration.write == "numbers" and answer.size == 1 == np.size(self._x):
            answer = answer.reshape(shape)  # one number is right in brackets, too
        if answer.shape != shape and (answer.shape or self._declaration.write != "derivative"):
            return self._of_shape(answer.shape, shape)
        by_hand = self._declaration.write == "numbers"
        # as a partial, it has no text, in which the checker would look for a learner's mistake
        gradient = np.broadcast_to(answer, shape) if by_hand else partial(self._gradient)
        self.report = gradcheck(
            self._weighted, self._x, gradient=gradient, raise_exception=False, rtol=_BY_HAND if by_hand else 0.0
        )
        failing = [finding for finding in self.report.findings if finding.fails]
        if Verdict.NOISY in self.report.counts():
            raise InputError(
                f"{self._declaration.name} cannot be marked: its function rounds so coarsely that nobody can tell a "
                "right derivative from a wrong one; declare it in float64"
            )
        if failing:
            return self._of_failing(np.broadcast_to(answer, shape), failing)
        if told := self._at_kinks(answer):
            return _recognised((told,), told)
        return Remarks()

    def _of_failing(self, answer: Array, failing: list[Finding]) -> Remarks:
        right = np.asarray(self.report.checked[0].reference)[0]
        self.ratio = constant_ratio(answer, right)
        smooth = ~self._kinked()
        if same(answer[smooth], right[smooth], _EXACTLY):  # by differences, or in float32; much is as near by chance
            return _recognised((self._told(failing),), "")
        if self._declaration.write == "numbers" and are_rounded(answer, right):
            return _recognised((ROUNDED,), "")
        if self._is_sum_of(answer, right):
            summed = SUMMED.format(self._declaration.argument)
            return _recognised((summed,), summed)
        changing = any(finding.verdict is Verdict.NOT_DETERMINISTIC for finding in failing)
        mended = "" if changing else self._mended(right)
        if mended in (BRACKETS, TOO_MANY):
            return _recognised((self._told(failing),), mended)
        operation, why = self._why(answer, right, failing)
        if why == SIGN and (not operation or same(answer, -right, 1e-6)):
            told = _only_in_sign(failing)
            return _recognised((told,), why, operation) if operation else _sign(failing)
        if self._declaration.write != "numbers":
            self.factor = of_factors(answer, right, self._x, self._trial)
        known = recognised(why)
        if not known or (known[0].name in _FACTORS and mended in _EXACT):
            operation, why = "", mended if mended in _EXACT else self.factor or mended
        is_factor = not why or bool(known and known[0].name in _FACTORS)
        if (
            is_factor
            and self._declaration.elementwise
            and answer.size > 1
            and same(answer * right, 1 + 0 * right, _EXACTLY)
        ):
            operation, why = "", UPSIDE_DOWN
        if (not why or why.startswith("a factor of")) and self._is_antiderivative(right):
            operation, why = "", ANTIDERIVATIVE
        told = self._told(failing)
        if "nearly right" in told and why.startswith("in the gradient of"):  # some term fits every small difference
            why = ""
        return _recognised((told,), why, operation)

    def _mended(self, right: Array | None) -> str:
        """What is wrong with the submission, if it is right on all trials with one word changed; else empty.

        Args:
            right: the right answer; None if the submission has none, since the shapes in it do not fit.
        """
        patience = Patience()
        for sentence, other in getattr(self._submission, "variants", list)():
            if patience.ends(_TRYING):  # a slow submission needs its time for its mark
                break
            if right is None and sentence != LOST_AXIS:
                continue
            try:
                with np.errstate(all="ignore"):
                    answer = other(self._g, self._y, self._trial)
                    fits = right is None or same(np.broadcast_to(answer, np.shape(right)), right, 1e-6)
                    if fits and not remarks_on(self._declaration, other).told:
                        return str(sentence)
            except Exception:  # noqa: S112  # with another word, the code may fail
                continue
        return ""

    def _is_sum_of(self, answer: Array, right: Array) -> bool:
        """Whether an answer that is the same for all entries is the sum of what belongs to each."""
        total = np.sum(right)
        is_one = self._declaration.write != "numbers" and np.size(right) > 1 and self.ratio is None
        return is_one and bool(total) and same(answer, np.full_like(right, total), 1e-6)

    def _are_added(self, answer: Array) -> bool:
        """Whether the rates of steps that follow one another are added."""
        declaration = self._declaration
        if declaration.write == "vjp":
            return False
        rates = added_rates(declaration.function, self._trial, declaration.argument)
        tolerance = _BY_HAND if declaration.write == "numbers" else _EXACTLY
        return rates is not None and same(answer, np.reshape(rates, answer.shape), tolerance)

    def _is_antiderivative(self, right: Array) -> bool:
        is_own_derivative = same(right, self._y, _EXACTLY)  # as of exp, to which any constant may be added
        if self._declaration.write != "derivative" or is_own_derivative:
            return False
        try:
            return is_antiderivative(self._gradient, self._x, self._y)
        except Exception:  # the submission runs on numbers that the exercise did not ask for
            return False

    def _moved(self, x: Array) -> dict[str, Array]:
        return {**self._trial, self._declaration.argument: x}

    def _weighted(self, x: Array) -> Array:
        return _weigh(self._declaration.function(*self._moved(x).values()), self._g)

    def _gradient(self, x: Array) -> Array:
        return self._by(self._g, self._declaration.value(self._moved(x)), self._moved(x))

    def _by(self, g: Array, y: Array, trial: Mapping[str, Array]) -> Array:
        """The submission's contribution to the argument; without output, since its first call has printed already."""
        with redirect_stdout(io.StringIO()):
            answer = getattr(self._submission, "in_silence", self._submission)(g, y, trial)
        return g * answer if self._declaration.elementwise else answer

    def _of_shape(self, shape: tuple[int, ...], expected: tuple[int, ...]) -> Remarks:
        self.has_rows_alone = shape == expected[:1]
        name = self._declaration.argument
        told = f"it has shape {shape}; a gradient has the shape of its argument, and {name} has {expected}"
        if self._declaration.write == "numbers" and (shape, expected) == ((2,), ()):
            told += "; if these are not two numbers, write the decimals behind a point, as in 0.25"
        if shape == np.shape(self._y) and len(shape) > len(expected):
            return _recognised((told,), f"{name} {_REPEATED}")
        return _recognised((told,), TRANSPOSED if shape == expected[::-1] else told)

    def _told(self, failing: list[Finding]) -> str:
        """The wrong entries, and how far off they are."""
        worst = max(failing, key=lambda finding: np.nan_to_num(abs(finding.gradient - finding.reference), nan=np.inf))
        where = self._entry(worst.index)
        if worst.verdict is Verdict.NOT_DETERMINISTIC:
            return f"two calls with the same arguments gave different results, at {where}"
        how = distance(worst.gradient, worst.reference)
        if worst.of == 1:
            return f"wrong at {where}: {how}"
        alone = sum(finding.count for finding in failing) == 1
        return f"{_counted(failing)} wrong, {'' if alone else 'furthest '}at {where}: {how}"

    def _entry(self, index: tuple[int, ...]) -> str:
        """An entry of the argument: its name and its value."""
        name = self._declaration.argument
        if not index:
            return f"{name} = {brief(self._x)}"
        return f"{name}[{', '.join(map(str, index))}], where {name} is {brief(self._x[index])}"

    def _why(self, answer: Array, right: Array, failing: list[Finding]) -> tuple[str, str]:
        """The operation, "" for the whole function, and the gradient checker's sentence on the mistake."""
        if not np.all(np.isfinite(answer)):
            return "", ""  # whatever the cause
        by_hand = self._declaration.write == "numbers"
        one_number = by_hand and answer.size == 1  # which many mistakes would give
        if by_hand and same(answer, -right, _BY_HAND):
            return "", SIGN
        if answer.size > 1 and same(answer, np.abs(right), _BY_HAND if by_hand else _EXACTLY):
            return "", SIZE
        if self._is_the_value(answer):
            return "", VALUE
        by_uses = (
            "" if self._declaration.write == "vjp" else of_uses(answer, uses_of(self._weighted, self._x), _BY_HAND)
        )
        if by_uses and (by_hand or by_uses == MULTIPLIED):
            return "", by_uses
        if self._are_added(answer):
            return "", ADDED
        why = self._of_the_whole()
        if why == LOCAL and (uses := [finding for finding in failing if finding.why in _ONE_USE]):
            use = uses[0]  # another one of a sum may rightly hand on the upstream gradient as it is
            return use.where.split(",")[0], use.why
        if why == INPUT and (taken := [finding.why for finding in failing if _OF_ANOTHER in finding.why]):
            return "", taken[0]  # who takes sign(x) for the derivative of a rectifier does not mean sign(y)
        if why:
            return "", why
        if self._is_by_another_argument(answer):
            return "", SWAPPED
        if self._declaration.elementwise:  # which has no g to put y for
            failing = [f for f in failing if not (f.where.startswith(_weigh.name) and f.why == SWAPPED)]
        else:  # and in which no entry has a case of its own
            failing = [f for f in failing if not f.why.startswith(_AT_AN_INDEX)]
        of_value = any(f.where.startswith(_weigh.name) and f.why == SWAPPED for f in failing)
        if of_value or self._ignores_upstream(answer):
            return "", _VALUE_FOR_G if of_value else UPSTREAM
        for finding in failing:
            operation = finding.where.split(",")[0]
            if finding.why and (finding.why == SIGN or not one_number):
                return operation, finding.why
        return "", ""

    def _is_the_value(self, answer: Array) -> bool:
        """Whether the value stands where its derivative should be, in each entry of it."""
        if self._declaration.write == "numbers":
            return np.size(self._y) == 1 and same(answer, np.full_like(answer, self._y), _BY_HAND)
        return self._declaration.elementwise and same(answer, self._y, 1e-9)

    def _is_by_another_argument(self, answer: Array) -> bool:
        """Whether it is right, but for another argument of the function."""
        others = [
            name
            for name, x in self._trial.items()
            if name != self._declaration.argument and np.shape(x) == answer.shape and np.asarray(x).dtype.kind == "f"
        ]

        def weighted(name: str, x: Array) -> Array:
            return _weigh(self._declaration.function(*{**self._trial, name: x}.values()), self._g)

        for name in others:
            try:
                right = grad(partial(weighted, name))(np.asarray(self._trial[name])[()])
            except Exception:  # code outside NumPy's functions has no rule
                return False
            if np.any(right) and same(answer, right, 1e-6):
                return True
        return False

    def _ignores_upstream(self, answer: Array) -> bool:
        """Whether a vector-Jacobian product is the same for another upstream gradient."""
        if self._declaration.write != "vjp" or not np.any(answer):
            return False
        return bool(np.array_equal(self._by(2 * self._g, self._y, self._trial), answer))

    def _of_the_whole(self) -> str:
        """The mistake in the function as one operation, whose rule is the submission."""
        declaration, n = self._declaration, len(self._trial)
        arrays = [np.asarray(x)[()] for x in self._trial.values()]

        def rule(g: Array, y: Array, *x: Array) -> Array:
            return self._by(g, y, dict(zip(declaration.names, x)))

        rules: list[Any] = [rule if i == declaration.position else None for i in range(n)]
        function = declaration.function
        kink, on_complex = (getattr(function, fact, None) for fact in ("kink", "on_complex"))
        op = Op(function, rules, name=declaration.name, arity=n, kink=kink, on_complex=on_complex)
        if declaration.elementwise:
            op.derivatives = [0.0] * n  # marks it as elementwise; only the rules run
        try:
            fault = fault_of(Step(op, tuple(arrays), NO_PARAMS, wrap(np.array(self._y)), None))
        except Exception:  # the submission runs on numbers that the exercise did not ask for
            return ""
        why = fault[1] if fault else ""
        return "" if why == OUTPUT and not self._is_right_with(self._x) else why

    def _is_right_with(self, y: Array) -> bool:
        """Whether the submission would be right with this array in place of y."""
        answer = self._by(self._g, y, self._trial)
        return gradcheck(self._weighted, self._x, gradient=answer, raise_exception=False).ok

    def _kinked(self) -> Any:
        """The entries at a kink, where any number between two slopes will do."""
        checked = self.report[self.report.checked[0].path]
        return np.asarray(checked.verdicts[0] == Verdict.KINK)

    def _at_kinks(self, answer: Array) -> str:
        """A remark if the function has a kink, where the answer follows this package's convention."""
        kinked = self._kinked()
        if not np.any(kinked):
            return ""
        try:
            convention: Array = grad(self._weighted)(self._x)
        except Exception:  # code outside NumPy's functions has no rule, and so no convention
            return ""
        gradient = self._g * answer if self._declaration.elementwise else answer
        off = np.argwhere(kinked & (np.abs(gradient - convention) > 1e-9))
        if not len(off):
            return ""
        return (
            f"at the kink {self._entry(tuple(map(int, off[0])))}, any number between the slopes to either side would "
            "do, but the convention is a different one"
        )


def _counted(failing: list[Finding]) -> str:
    """The number of wrong entries out of all entries."""
    count = sum(finding.count for finding in failing)
    return f"{count} of {failing[0].of} entries {'is' if count == 1 else 'are'}"


def _sign(failing: list[Finding]) -> Remarks:
    return Remarks(told=(_only_in_sign(failing),), misconception="sign")


def _only_in_sign(failing: list[Finding]) -> str:
    return "only its sign is wrong" if failing[0].of == 1 else f"{_counted(failing)} wrong, and only in sign"


def _not_for(trial: Mapping[str, Array], hardcoded: bool) -> str:
    """A remark that it is right for the trial that the question shows, but wrong for another."""
    inputs = ", ".join(f"{name} = {brief(x)}" for name, x in trial.items())
    question = ": is a size, or a value, written as a number?" if hardcoded else ""
    if hardcoded and any(np.ndim(x) > 1 for x in trial.values()):
        question += " Or is the length of one axis taken for the number of entries?"
    return f"it is right for the inputs that were shown, but not for {inputs}{question}"
