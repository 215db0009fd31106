"""Floor 5. `gradcheck`: a verdict for each entry of a gradient, and for what is wrong, where and why."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np

from tinygrad_lite.checking import diagnosis
from tinygrad_lite.checking.comparison import EPSILON, FULL, Comparison, Examination
from tinygrad_lite.checking.references import remainder_slope
from tinygrad_lite.checking.report import FAILING, Checked, Finding, Report, Verdict
from tinygrad_lite.checking.singular import Kinks, at_kink, outside_domain
from tinygrad_lite.checking.subject import GradientOf, Matrix, Subject, Vector
from tinygrad_lite.errors import GradientError, InputError, ShapeError, UsageError
from tinygrad_lite.recording import Step

Method = Literal["auto", "complex", "differences", "forward", "taylor"]
_CALLED = {
    "complex": "complex step",
    "differences": "central differences with Richardson extrapolation",
    "forward": "forward mode",
    "taylor": "the slope of Taylor's remainder, and differences where that is wrong",
}
_ROWS = 256  # results, up to which the gradient of each is checked by itself
_ENTRIES = 2_000_000  # of a jacobian, up to which it is kept


def gradcheck(
    f: Callable[..., Any],
    *inputs: Any,
    gradient: Any = None,
    order: Literal[1, 2] = 1,
    method: Method = "auto",
    rtol: float = 0.0,
    atol: float = 0.0,
    rng: Any = 0,
    raise_exception: bool = True,
) -> Report:
    """Check the gradient of f at these inputs, and say what is wrong, where, and why.

    f is a function of arrays, tensors or nested containers of them, or a module, whose parameters are then checked too.
    Every real array among the inputs is a variable. Each entry ∂yᵢ/∂xⱼ is compared with a reference that knows nothing
    of the rules, and is wrong only if it differs by more than the reference's own error bound and rounding; there is no
    tolerance to choose. Nothing of the user's is changed.

    Args:
        gradient: a gradient from elsewhere, to be checked in place of ours: an array, or a function of the same inputs
            that returns, for f with one result, an array like each input (in its containers; for several inputs a tuple
            of them); for an f of shape y, arrays of shape y + x. f may then be any function of NumPy arrays.
        order: 2 checks the derivative of the derivative.
        method: "complex" steps to the complex plane (machine precision), "differences" are extrapolated and have an
            error bound, "forward" compares reverse with forward mode, "taylor" looks at the slope of the remainder.
            "auto" takes the complex step where every operation on the way has a continuation, and differences else.
        rtol, atol: a further difference that is let through, for whoever wants it.
        rng: a seed or a generator, for the directions in which large inputs are checked.
        raise_exception: whether to raise an error where the check fails, or only to return the report.

    Raises:
        GradientError: if an entry is wrong, not finite, not deterministic, or outside the domain; with the report as
            its text, and as its attribute `report`.
        UsageError: if no input is real, or f changes its inputs in place or returns no real numbers.
        ShapeError: if the gradient has another shape than it should.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> x = np.array([0.5, -1.0, 2.0])
        >>> print(tg.gradcheck(lambda x: np.sum(np.sin(x) * x), x))
        gradcheck of <lambda>: passed (3 right; by complex step)
        >>> report = tg.gradcheck(lambda x: np.sum(x**3), x, gradient=lambda x: 3 * x, raise_exception=False)
        >>> report.ok
        False
    """
    if order not in (1, 2):
        raise InputError(f"order is 1 or 2, got {order!r}")
    if method not in ("auto", *_CALLED):
        raise InputError(f"method is one of auto, {', '.join(_CALLED)}; got {method!r}")
    if method == "forward" and gradient is not None:
        raise UsageError("forward mode is of our own gradient; check yours by another method")
    if order == 2 and gradient is not None:
        raise UsageError("order=2 checks the derivative of our own gradient: pass gradient= for order=1")
    subject = Subject(f, inputs, gradient)
    rng = np.random.default_rng(rng)
    if order == 2:
        count = len(subject.values(subject.point))
        subject = GradientOf(subject, rng.uniform(0.5, 1.5, count) * rng.choice([-1.0, 1.0], count))
    report = _Check(subject, method, rng, rtol, atol, order).report()
    if raise_exception and not report.ok:
        raise GradientError(report)
    return report


class _Check:
    """One run of a check, from the values to the report."""

    def __init__(
        self, subject: Subject, method: str, rng: "np.random.Generator", rtol: float, atol: float, order: int
    ) -> None:
        self.subject, self.rtol, self.atol, self.order, self.rng = subject, rtol, atol, order, rng
        self.remarks = [f"{path} holds integers, which have no gradient: held fixed" for path in subject.fixed]
        if len(subject.point) > FULL and (kinked := at_kink(subject.steps(subject.point))):
            subject.step_aside(rng)
            self.remarks.append(f"checked a millionth beside the given point, which is at a kink of {kinked}")
        point = subject.point
        self.values = subject.values(point)
        shapes = subject.shapes
        again = subject.values(point)
        if subject.shapes != shapes:
            raise ShapeError(
                f"{subject.name} returned shapes {shapes}, and then {subject.shapes} for the same inputs: what is "
                "checked must be a function of its inputs"
            )
        self.remarks += [f"{subject.place(j)} is {point[j]}: held fixed" for j in np.flatnonzero(~subject.varies)[:3]]
        self.unsteady = ~_same(self.values, again)
        self.weights = self._weights(len(self.values))
        self.gradient = subject.rows(point, self.weights)
        self.unsteady_entries = ~_same(self.gradient, subject.rows(point, self.weights))
        self.steps: list[Step] = subject.steps(point)
        self.method = self._chosen(method)
        kinds = [step.value.dtype for step in self.steps if getattr(step.value, "dtype", None) is not None]
        coarsest = max((float(np.finfo(kind).eps) for kind in kinds if kind.kind == "f"), default=EPSILON)
        engine = "differences" if self.method == "taylor" else self.method
        self.examination = Examination(
            subject, self.weights, self.gradient, engine, max(subject.epsilon, coarsest), rng
        )

    def _weights(self, count: int) -> Matrix:
        """Each result by itself, or where there are many, two random sums of all."""
        if count <= _ROWS and count * len(self.subject.point) <= _ENTRIES:
            self.by_result = True
            return np.identity(count)
        self.by_result = False
        self.remarks.append(f"of {count:,} results, two random sums were checked")
        signs: Matrix = self.rng.choice([-1.0, 1.0], (2, count))
        return signs * self.rng.uniform(0.5, 1.5, (2, count))

    def _chosen(self, method: str) -> str:
        """The sharpest method that applies, and a remark why no sharper one does."""
        if method != "auto":
            return method
        direction = self.rng.uniform(-1, 1, len(self.subject.point)) * self.subject.varies
        try:
            change = self.weights @ self.subject.changes(self.subject.point, direction)
        except Exception as error:  # whatever a function does to which a complex number is handed
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            self.remarks.append(f"the complex step does not apply: {reason}")
            return "differences"
        if self.subject.plain and not self._agrees(direction, change):
            self.remarks.append(f"the complex step does not apply: {self.subject.name} is not analytic in NumPy's eyes")
            return "differences"
        return "complex"

    def _agrees(self, direction: Vector, change: Vector) -> bool:
        """Whether differences along a direction say the same as the complex step, as far as they can tell."""
        look = Examination(self.subject, self.weights, self.gradient, "differences", EPSILON, self.rng)
        one = look.difference(direction, float(np.min(look.scales[self.subject.varies])))
        with np.errstate(invalid="ignore"):
            return not np.any(np.abs(one.slope - change) > 100 * one.bound + 1e-6 * np.abs(change))

    def report(self) -> Report:
        kinks = Kinks(self.examination, self.steps)
        if self.method == "taylor":
            self._look_at_slopes()
        compared = self.examination.compared(self.rtol, self.atol, kinks)
        if len(self.subject.point) > FULL:
            self.remarks.append(
                f"of {len(self.subject.point):,} entries, checked along directions, bisected where wrong"
            )
        verdicts = self._verdicts(compared, kinks)
        checked = [self._checked(k, compared, verdicts) for k in range(len(self.subject.variables))]
        findings = [finding for k in range(len(checked)) for finding in self._findings(k, compared, verdicts, kinks)]
        return Report(self.subject.name, _CALLED[self.method], self.order, checked, findings, self.remarks)

    def _verdicts(self, found: Comparison, kinks: Kinks) -> Any:
        verdicts = np.full(found.gradient.shape, Verdict.RIGHT, object)
        finite = np.isfinite(found.gradient)
        bad = found.suspicious
        kinked = kinks.at(found, bad)
        size = np.maximum(np.abs(found.gradient), np.abs(found.reference))
        largest = np.max(np.abs(found.gradient), initial=0, where=finite)
        with np.errstate(invalid="ignore", divide="ignore"):
            usual = np.max(np.abs(self.values), initial=0, where=np.isfinite(self.values)) / self.examination.scales
            uncertain = found.bound + 10 * found.noise
            blurred = uncertain > np.maximum(1e-3 * np.maximum(size, 1e-2 * largest), 1e-9 * usual)
            unknown = (~np.isfinite(found.bound) | (bad & ~np.isfinite(found.reference))) & finite & ~kinked
        verdicts[bad] = Verdict.WRONG
        verdicts[blurred & ~bad] = Verdict.NOISY
        verdicts[unknown] = Verdict.NOISY
        if not self.subject.plain and kinks.steps and not self._diagnosis(found).faults:
            # where kinks meet, the conventions at each need not add up to a slope of the whole
            met = [kinks.touches(column) is not None for column in range(bad.shape[1])]
            kinked |= bad & finite & np.array(met)
        for row, column in np.argwhere(kinked):
            verdicts[row, column] = Verdict.KINK
        offence = outside_domain(self.steps) if np.any(~finite | unknown) else ""
        self.offence = offence
        verdicts[(~finite | unknown) & bool(offence)] = Verdict.DOMAIN
        verdicts[~finite & (not offence)] = Verdict.NOT_FINITE
        verdicts[:, ~self.subject.varies] = Verdict.RIGHT
        idle = ~np.any(found.gradient, axis=0) & self.subject.varies
        if len(idle) <= FULL:
            verdicts[:, idle] = np.where(
                np.isin(verdicts[:, idle], [Verdict.RIGHT, Verdict.WRONG]), Verdict.NO_GRADIENT, verdicts[:, idle]
            )
        unsteady = self.unsteady_entries | ((self.weights != 0) @ self.unsteady > 0)[:, None]
        verdicts[unsteady] = Verdict.NOT_DETERMINISTIC
        return verdicts

    def _look_at_slopes(self) -> None:
        """Add a remark with the slope of Taylor's remainder along a direction of each variable."""
        look = self.examination
        for k, v in enumerate(self.subject.variables):
            columns = self.subject.columns(k)
            direction = np.zeros(len(self.subject.point))
            direction[columns] = look.scales[columns] * self.rng.uniform(-1, 1, v.size)
            slope = self.gradient @ direction
            powers = remainder_slope(partial(self._along, direction), look.at_0, slope, 1.0, look.noise)
            power = float(np.min(powers, initial=np.inf))
            said = "vanishes (linear)" if np.isinf(power) else f"falls as h^{power:.2f}"
            self.remarks.append(f"{v.path}: Taylor's remainder {said}; for a right gradient h^2 or faster")

    def _along(self, direction: Vector, t: float) -> Vector:
        return self.examination.at(self.subject.point + t * direction)

    def _checked(self, k: int, found: Comparison, verdicts: Any) -> Checked:
        v, columns = self.subject.variables[k], self.subject.columns(k)
        parts = (found.gradient, found.reference, found.bound, verdicts)
        return Checked(v.path, v.shape, *(part[:, columns].reshape(len(self.weights), *v.shape) for part in parts))

    def _findings(self, k: int, found: Comparison, verdicts: Any, kinks: Kinks) -> list[Finding]:
        columns = self.subject.columns(k)
        mine = verdicts[:, columns]
        findings = []
        for verdict in Verdict:
            places = np.argwhere(mine == verdict)
            if verdict is Verdict.RIGHT or not len(places):
                continue
            wrong = found.suspicious[:, columns]
            groups = [places]
            if verdict is Verdict.NO_GRADIENT:  # where there should be one, and where there is none to be
                groups = [places[[bool(wrong[tuple(place)]) is fails for place in places]] for fails in (True, False)]
            for group in groups:
                if len(group):
                    findings.append(self._finding(k, verdict, group, found, kinks, mine.size))
        return findings

    def _finding(self, k: int, verdict: Verdict, places: Any, found: Comparison, kinks: Kinks, size: int) -> Finding:
        start = self.subject.columns(k).start
        with np.errstate(invalid="ignore"):
            errors = [abs(found.gradient[r, start + c] - found.reference[r, start + c]) for r, c in places]
        row, column = places[int(np.argmax(np.nan_to_num(errors)))]
        column = int(start + column)
        fails = verdict in FAILING or (verdict is Verdict.NO_GRADIENT and bool(found.suspicious[row, column]))
        where, why = self._reason(verdict, int(row), column, found, kinks, fails)
        if verdict is Verdict.NO_GRADIENT and why.startswith(diagnosis.SATURATED):
            fails = False
        return Finding(
            verdict,
            self.subject.variables[k].path,
            len(places),
            size,
            self.subject.locate(column)[1],
            int(row) if self.by_result and len(self.values) > 1 else None,
            float(found.gradient[row, column]),
            float(found.reference[row, column]),
            float(found.bound[row, column]),
            fails,
            where,
            why,
        )

    def _reason(
        self, verdict: Verdict, row: int, column: int, found: Comparison, kinks: Kinks, fails: bool
    ) -> tuple[str, str]:
        """Where the fault is and what it looks like."""
        if verdict is Verdict.NO_GRADIENT and fails:
            where, why = diagnosis.no_gradient(self.examination, self.steps, row, column, found)
            if why.startswith(diagnosis.SATURATED):
                return where, why
        if verdict is Verdict.WRONG or (verdict is Verdict.NO_GRADIENT and fails):
            blamed = self._diagnosis(found).of(row, column)
            if any(blamed):
                return blamed
        if verdict is Verdict.KINK:
            return kinks.named(column), kinks.slopes(found, row, column)
        if verdict is Verdict.DOMAIN:
            return self.offence, "the derivative does not exist there; check at a point inside the domain"
        if verdict is Verdict.NOT_FINITE:
            return diagnosis.first_not_finite(self.steps, self.values)
        if verdict is Verdict.WRONG:
            return "", ""
        if verdict is Verdict.NO_GRADIENT:
            return diagnosis.no_gradient(self.examination, self.steps, row, column, found)
        if verdict is Verdict.NOT_DETERMINISTIC:
            return "", (
                "two runs at the same point differ: does it draw random numbers (dropout: call model.eval()), or "
                "change what it reads?"
            )
        digits = found.bound[row, column] + 10 * found.noise[row, column]
        if not np.isfinite(digits):
            return "", "no step of the differences gave a finite value"
        return "", f"rounding in the function hides the derivative: it is known to ± {digits:.0e} only"

    def _diagnosis(self, found: Comparison) -> diagnosis.Diagnosis:
        if not hasattr(self, "_made"):
            self._made = diagnosis.Diagnosis(self.examination, found)
        return self._made


def _same(a: Any, b: Any) -> Any:
    return (a == b) | (np.isnan(a) & np.isnan(b))
