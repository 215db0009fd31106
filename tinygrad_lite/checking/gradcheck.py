"""`gradcheck`: a verdict on each entry of a gradient, and where and why entries are wrong."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any, Literal, cast

import numpy as np

from tinygrad_lite.checking.agreement import disagreements
from tinygrad_lite.checking.diagnosing.patience import SECONDS, Patience
from tinygrad_lite.checking.evidence.comparison import compared
from tinygrad_lite.checking.evidence.examination import Comparison, Examination
from tinygrad_lite.checking.evidence.known import ROUNDINGS
from tinygrad_lite.checking.evidence.references import remainder_slope
from tinygrad_lite.checking.evidence.singular import Kinks, at_kink
from tinygrad_lite.checking.report import Report, Verdict
from tinygrad_lite.checking.subjects.frameworks import Program, program_of
from tinygrad_lite.checking.subjects.frameworks.foreign_program import Library
from tinygrad_lite.checking.subjects.frameworks.own_rules import AppliedFunction
from tinygrad_lite.checking.subjects.kinds import subject_of
from tinygrad_lite.checking.subjects.subject import EPSILON, FULL, Matrix, Subject, Vector
from tinygrad_lite.checking.verdicts import Judgement
from tinygrad_lite.errors import EmptyError, GradientError, InputError, NoDerivativeError, ShapeError
from tinygrad_lite.readers.recording import Step

Method = Literal["auto", "complex", "differences", "forward", "taylor"]
_CALLED = {
    "complex": "complex step",
    "differences": "central differences with Richardson extrapolation",
    "forward": "forward mode",
    "taylor": "the slope of Taylor's remainder, and differences where that is wrong",
}
_ROWS = 256  # the largest number of results whose gradients are checked one by one
_REPEATED = 16  # the number of results whose gradients are computed twice, to see whether they are the same
_LAST_DIGITS = 64  # how far a sum in another order may differ, in roundings of its largest term
_AGREES = 1e-2  # how well an entry that agrees with a reference is known, relative to its size
_CALLS = 32  # how many calls of functions with derivatives of their own are looked at
_NEARBY = 1e-3  # how far a variable is moved to see which of these calls that moves, relative to its size
_ENTRIES = 2_000_000  # the largest number of entries of a Jacobian that is kept


def gradcheck(
    f: Callable[..., Any],
    *inputs: Any,
    gradient: Any = None,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    hvp: Callable[..., Any] | None = None,
    wrt: Any = None,
    bounds: Any = None,
    batched: bool = False,
    order: Literal[1, 2] = 1,
    method: Method = "auto",
    rtol: float = 0.0,
    atol: float = 0.0,
    nondet_tol: float = 0.0,
    rng: Any = 0,
    time_budget: float = np.inf,
    raise_exception: bool = True,
) -> Report:
    """Check the gradient of f at these inputs, and say what is wrong, where, and why.

    f is a function of arrays, tensors, modules or nested containers of them, or a module; it may be PyTorch's or JAX's,
    with their own arrays and modules. Every real array among the inputs and every parameter is a variable. Each entry
    ∂yᵢ/∂xⱼ is compared with a reference that does not use the rules. It is wrong only if it differs by more than the
    reference's own error bound and rounding, so there is no tolerance to choose. The check changes nothing that belongs
    to the caller.

    Args:
        gradient: a gradient from elsewhere to check in place of ours: an array, or a function of the same inputs. For
            an f with one result, the function returns an array like each input, in containers with the same keys and
            names (for several inputs a tuple, or a dict by their names), and None for what to leave unchecked; for an f
            of shape y, arrays of shape y + x. f may then be any function of NumPy arrays, complex ones as well: the
            gradient by z is ∂f/∂Re z + i ∂f/∂Im z.
        vjp, jvp: products with the Jacobian in its place, vjp(*inputs, g) and jvp(*inputs, t). With both, they must
            agree with each other, too.
        hvp: the product of the Hessian with a vector, hvp(*inputs, v), of `gradient`, or else of our own gradient.
        wrt: the variables, if not all: names or positions of arguments, or paths such as "p.w1".
        bounds: the bounds outside which f is never called: a pair (low, high) for all variables, None where it is open;
            a dict of pairs by argument or path; or a list of pairs, one for each variable or for each entry.
        batched: whether f is applied to each row of its arguments. A gradient is then of each row's results by that row
            alone, the check costs as much as that of one row, and rows must not influence each other.
        order: 2 checks the derivative of the derivative.
        method: "complex" takes a step on the complex plane (machine precision); "differences" extrapolates differences
            and has an error bound; "forward" compares reverse with forward mode; "taylor" looks at the slope of the
            remainder. "auto" takes the complex step if every operation on the way has a continuation, else differences.
        rtol, atol: an additional difference to tolerate.
        nondet_tol: how far values and gradients may differ from run to run.
        rng: a seed or a generator, for the directions in which large inputs are checked.
        time_budget: the seconds after which the search for wrong entries stops; entries that it did not reach count as
            not checked. Explaining what it found by then takes extra time.
        raise_exception: whether to raise an error if not every entry was verified, or only to return the report.

    Raises:
        GradientError: if an entry is wrong, not finite, not deterministic, or outside the domain, or could not be
            verified. Its text is the report, which is also its attribute `report`.
        UsageError: if no input is real, or f changes its inputs in place or returns no real numbers.
        ShapeError: if the gradient has the wrong shape.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> x = np.array([0.5, -1.0, 2.0])
        >>> print(tg.gradcheck(lambda x: np.sum(np.sin(x) * x), x))
        gradcheck of <lambda>: passed (3 right; by complex step)
        >>> report = tg.gradcheck(lambda x: np.sum(x**3), x, gradient=lambda x: 3 * x, raise_exception=False)
        >>> report.ok
        False
    """
    __tracebackhide__ = True  # pytest then shows the caller's line instead of this function
    if not _is_number(time_budget) or not time_budget > 0:
        raise InputError(f"time_budget is a positive number of seconds, np.inf for no end; got {time_budget!r}")
    for name, tolerance in (("rtol", rtol), ("atol", atol), ("nondet_tol", nondet_tol)):
        if not _is_number(tolerance) or not tolerance >= 0:
            raise InputError(f"{name} is a difference to tolerate, a number of at least 0; got {tolerance!r}")
    if order not in (1, 2):
        raise InputError(f"order must be 1 or 2, got {order!r}")
    if method not in ("auto", *_CALLED):
        raise InputError(f"method must be one of auto, {', '.join(_CALLED)}; got {method!r}")
    rng = np.random.default_rng(rng)
    program = program_of(f, inputs)
    with program.preserved() if program else nullcontext():
        supplied = {"gradient": gradient, "vjp": vjp, "jvp": jvp, "hvp": hvp}
        subject = subject_of(f, inputs, program, supplied, order, wrt, bounds, batched, rng)
        check = _Check(subject, method, rng, rtol, atol, nondet_tol, 2 if hvp else order)
        with np.errstate(over="ignore"):  # of slopes close to the largest numbers
            report = check.report(monotonic() + time_budget)
        if program and isinstance(subject.supplied, Library) and report.outcome == "failed":
            report = _with_own_rules(report, subject, program)
    if raise_exception and not report.ok:
        raise GradientError(report)
    return report


def _with_own_rules(report: Report, subject: Subject, program: Program) -> Report:
    """The report, with the functions whose own derivative is wrong in each finding whose place is not known."""
    calls = _calls_at(subject.point, subject, program)
    said = _said_of(calls[:_CALLS])
    findings = list(report.findings)
    for i, finding in enumerate(findings if said else ()):
        if finding.verdict is Verdict.WRONG and not finding.where:
            behind: dict[str, AppliedFunction] = {}
            for call in _calls_behind(subject, program, finding.path, calls):
                if call.__name__ in said:
                    behind.setdefault(call.__name__, call)
            if behind:
                first, *others = behind.values()
                why = [said[first.__name__], *(f"{other.where}: {said[other.__name__]}" for other in others)]
                findings[i] = replace(finding, where=first.where, why="; ".join(why))
    return replace(report, findings=findings)


def _said_of(calls: Sequence[AppliedFunction]) -> dict[str, str]:
    """What is wrong with the derivatives of functions of these names, as far as the time allows."""
    said: dict[str, str] = {}
    patience = Patience()
    for call in calls:
        if patience.ends():
            break
        if call.__name__ in said:
            continue
        with suppress(Exception):  # alone, it may be asked for more than in its place
            own = gradcheck(call, *call.inputs, time_budget=SECONDS, raise_exception=False)
            wrong = [finding for finding in own.findings if finding.verdict is Verdict.WRONG]
            of_each = (f"with respect to {x.path} is wrong{f': {x.why}' if x.why else ''}" for x in wrong)
            if wrong:
                said[call.__name__] = f"its own derivative {', and '.join(of_each)}"
    return said


def _calls_behind(
    subject: Subject, program: Program, path: str, calls: Sequence[AppliedFunction]
) -> list[AppliedFunction]:
    """Those of the calls that get other arguments if a variable moves: others are not to blame for its gradient."""
    x, inside = subject.point.copy(), subject.columns([v.path for v in subject.variables].index(path))
    step = _NEARBY * (np.max(np.abs(x[inside]), initial=0) or 1.0)
    x[inside] += np.where(x[inside] + step > subject.upper[inside], -step, step)
    moved = _calls_at(subject.rounded(x), subject, program)
    return [call for call, other in zip(calls, moved) if not program.is_same_call(call, other)]


def _calls_at(x: Vector, subject: Subject, program: Program) -> Sequence[AppliedFunction]:
    """The calls of functions with derivatives of their own at a point; none where it is refused."""
    with suppress(Exception):
        return cast(Sequence[AppliedFunction], subject.arguments.call(program.own_rules, subject.split(x)))
    return []


def _counted(count: int) -> str:
    return "an entry has" if count == 1 else f"each of {count:,} entries has"


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float, np.number))


class _Check:
    """One run of a check, from the values to the report."""

    def __init__(
        self,
        subject: Subject,
        method: str,
        rng: "np.random.Generator",
        rtol: float,
        atol: float,
        nondet_tol: float,
        order: int,
    ) -> None:
        self.subject, self.rtol, self.atol, self.order, self.rng = subject, rtol, atol, order, rng
        self._nondet_tol = nondet_tol
        self.remarks = list(subject.remarks)
        if len(subject.point) > FULL and (kinked := at_kink(subject.steps(subject.point))):
            subject.step_aside(rng)
            self.remarks.append(f"checked a millionth away from the given point, which is at a kink of {kinked}")
        self.values = subject.values(subject.point)
        if not self.values.size:
            raise EmptyError(f"{subject.name} returned empty arrays: there is nothing to check")
        self.unsteady = ~self._same(self.values, self._values_again())
        self.remarks += [
            f"{subject.entry(j)} is {subject.point[j]}: held fixed" for j in np.flatnonzero(~subject.varies)[:3]
        ]
        self.weights = self._weights(len(self.values))
        self.gradient = subject.rows(subject.point, self.weights)
        self.unsteady_entries = self._moving_entries()
        self.steps: list[Step] = subject.steps(subject.point)
        magnitude = max((_largest(step.value) for step in self.steps), default=0.0)
        self.method = self._chosen(method, magnitude)
        kinds = [step.value.dtype for step in self.steps if getattr(step.value, "dtype", None) is not None]
        coarsest = max((float(np.finfo(kind).eps) for kind in kinds if kind.kind == "f"), default=EPSILON)
        engine = "differences" if self.method == "taylor" else self.method
        self.examination = Examination(
            subject, self.weights, self.gradient, engine, max(subject.epsilon, coarsest), rng, magnitude
        )

    def _values_again(self) -> Vector:
        """The values of a second run at the point."""
        subject = self.subject
        shapes = subject.shapes
        again = subject.values(subject.point)
        if subject.shapes != shapes:
            raise ShapeError(
                f"{subject.name} returned shapes {shapes}, and then {subject.shapes} for the same inputs: what is "
                "checked must be a function of its inputs"
            )
        return again

    def _moving_entries(self) -> Matrix:
        """The entries of the gradient that differ from pass to pass; all are looked at if they do in a few rows."""
        point, rows = self.subject.point, self.subject.rows
        few = slice(None, None, -(-len(self.weights) // _REPEATED))
        if np.all(self._same(self.gradient[few], rows(point, self.weights[few]))):
            return np.zeros(self.gradient.shape, bool)
        return np.asarray(~self._same(self.gradient, rows(point, self.weights)))

    def _weights(self, count: int) -> Matrix:
        """Weights for each result on its own, or, if there are many results, for two random sums of all."""
        if count <= _ROWS and count * len(self.subject.point) <= _ENTRIES:
            return np.identity(count)
        self.remarks.append(f"of {count:,} results, two random sums were checked")
        signs: Matrix = self.rng.choice([-1.0, 1.0], (2, count))
        return signs * self.rng.uniform(0.5, 1.5, (2, count))

    def _chosen(self, method: str, magnitude: float) -> str:
        """The sharpest method that applies, and a remark on why no sharper method does."""
        if method != "auto":
            return method
        if self.subject.opaque:
            return "differences"
        look = Examination(self.subject, self.weights, self.gradient, "complex", EPSILON, self.rng)
        direction = self.rng.uniform(-1, 1, len(self.subject.point)) * look.scales
        try:
            change = look.slope(self.subject.point, direction)
        except Exception as error:  # a function may raise anything on a complex number
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            if isinstance(error, NoDerivativeError):
                reason = f"it is not known how {error.path} continues to complex numbers"
            self.remarks.append(f"the complex step does not apply: {reason}")
            return "differences"
        if self.subject.plain and not self._agrees(direction, change, magnitude):
            self.remarks.append(f"the complex step does not apply: {self.subject.name} is not analytic for NumPy")
            return "differences"
        return "complex"

    def _agrees(self, direction: Vector, change: Vector, magnitude: float) -> bool:
        """Whether differences along a direction agree with the complex step, within their error and rounding.

        A value that stands still may be the difference of two others as large as this, and be rounded as they are.
        """
        look = Examination(self.subject, self.weights, self.gradient, "differences", EPSILON, self.rng)
        difference = look.difference(direction)
        with np.errstate(invalid="ignore"):
            known = difference.bound < 1e-3 * np.maximum(np.abs(difference.slope), np.abs(change))
            rounding = 64 * EPSILON * magnitude
            apart = np.abs(difference.slope - change) > 100 * difference.bound + 1e-6 * np.abs(change) + rounding
            return not np.any(known & apart)

    def report(self, deadline: float) -> Report:
        """Compare, judge, and explain."""
        subject = self.subject
        kinks = Kinks(self.examination, self.steps)
        if self.method == "taylor":
            self._look_at_slopes()
        comparison = compared(self.examination, kinks, self.rtol, self.atol, deadline)
        if len(subject.point) > FULL:
            self.remarks.append(
                f"{len(subject.point):,} entries were compared along directions, which show an error in one of them "
                f"of {comparison.resolution:.0e} of a typical entry"
            )
        if (unseen := self._unseen(comparison)) and self.method == "differences":
            self.remarks.append(
                f"{_counted(unseen)} less than {ROUNDINGS} roundings of the largest effect on the value: it is nothing "
                "but rounding beside that, and counts as right"
            )
        if self.examination.refusal:
            self.remarks.append(f"{subject.name} refuses some points beside the given one: {self.examination.refusal}")
        if np.any(comparison.suspicious) or np.any(comparison.noise):
            self._run_again()
        unsteady = self.unsteady_entries | ((self.weights != 0) @ self.unsteady > 0)[:, None]
        judgement = Judgement(self.examination, comparison, kinks, self.steps, self.values, unsteady)
        checked = [judgement.checked(k) for k in range(len(subject.variables))]
        findings = [finding for k in range(len(checked)) for finding in judgement.findings(k)]
        if not any(finding.fails or finding.verdict is Verdict.KINK for finding in findings) and not kinks.steps:
            findings += disagreements(self.examination, np.where(comparison.hidden, comparison.bound, 0))
        if 0 < judgement.tolerance < _AGREES:
            enough = f"rtol={2 * judgement.tolerance:.0e} accepts that"
            self.remarks.append(f"what is too noisy to say agrees as far as it is known; {enough}")
        if judgement.tolerance_of_zeros:
            known = judgement.tolerance_of_zeros
            self.remarks.append(f"a gradient of 0 is known to ± {known:.0e} only; atol={2 * known:.0e} accepts that")
        if judgement.is_explained_in_part and not all(finding.why for finding in findings):
            self.remarks.append(
                f"the search for the mistake ended after {SECONDS:.0f} s, with more mistakes left to try"
            )
        method = _CALLED[self.method]
        return Report(subject.name, method, self.order, checked, findings, self.remarks, self.examination)

    def _unseen(self, comparison: Comparison) -> int:
        """How many entries are right as far as differences tell, which is not more than that they are rounding."""
        effects = np.abs(comparison.gradient) * self.examination.scales
        largest = np.max(effects, axis=1, keepdims=True, initial=0, where=np.isfinite(effects))
        left_open = comparison.suspicious | comparison.hidden | comparison.unchecked
        rounding = ROUNDINGS * self.examination.epsilon * np.max(largest)
        lost = (effects != 0) & (effects < rounding) & (comparison.bound > np.abs(comparison.gradient))
        return int(np.sum(lost & ~left_open))

    def _run_again(self) -> None:
        """Check whether a gradient that differs from its reference also differs from run to run."""
        point = self.subject.point
        for _ in range(3):
            self.unsteady |= ~self._same(self.values, self.subject.values(point))
            self.unsteady_entries |= ~self._same(self.gradient, self.subject.rows(point, self.weights))

    def _look_at_slopes(self) -> None:
        """Add a remark with the slope of the Taylor remainder along a direction of each variable."""
        look = self.examination
        for k, v in enumerate(self.subject.variables):
            columns = self.subject.columns(k)
            direction = np.zeros(len(self.subject.point))
            direction[columns] = look.scales[columns] * self.rng.uniform(-1, 1, v.size)
            slope = self.gradient @ direction
            along = partial(self._along, direction)
            powers = remainder_slope(along, look.at_0, slope, 1.0, look.difference(direction).noise)
            power = float(np.min(powers, initial=np.inf))
            said = "vanishes (linear)" if np.isinf(power) else f"falls as h^{power:.2f}"
            self.remarks.append(f"{v.path}: Taylor's remainder {said}; for a right gradient h^2 or faster")

    def _same(self, a: Any, b: Any) -> Any:
        """Whether numbers from two runs are the same, except for what is tolerated and for the last digits of a row.

        Sums may be added up in another order from run to run, as by BLAS with threads, or at another address.
        """
        with np.errstate(invalid="ignore"):
            size = np.max(np.abs(a), axis=-1, keepdims=True, initial=0, where=np.isfinite(a))
            last = _LAST_DIGITS * self.subject.epsilon * size
            return (a == b) | (np.abs(a - b) <= self._nondet_tol + last) | (np.isnan(a) & np.isnan(b))

    def _along(self, direction: Vector, t: float) -> Vector:
        return self.examination.at(self.subject.point + t * direction)


def _largest(x: Any) -> float:
    """The largest finite number of an array; 0 for what is not an array of real numbers."""
    if getattr(x, "dtype", np.dtype(object)).kind not in "fiub":
        return 0.0
    size = np.abs(np.asarray(x, float))
    return float(np.max(size, initial=0.0, where=np.isfinite(size)))
