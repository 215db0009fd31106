"""The checks of a random program: its value, its gradient in both modes, and what must not happen on the way."""

import re
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import tinygrad_lite as tg
from benchmarks.random_programs.programs import Program, Step, parts
from tinygrad_lite.checking.evidence.references import Difference, difference
from tinygrad_lite.checking.evidence.singular import at_kink, outside_domain
from tinygrad_lite.engine.tensor import wrap
from tinygrad_lite.errors import TinygradError
from tinygrad_lite.readers.complex_step import changes
from tinygrad_lite.readers.random_rounding import Rounding, randomly_rounded, rounded
from tinygrad_lite.readers.recording import recording
from tinygrad_lite.transforms.dual import Pullback, innermost, settle, variable

EPSILON = float(np.finfo(float).eps)
ROUNDING = 1000  # units in the last place, of the largest term of a slope
FEW_DIGITS = 0.3  # of a slope's terms, beyond which fewer digits than double are no excuse
SELECTIONS = {
    *[
        f"np.{name}"
        for name in ("maximum", "minimum", "fmax", "fmin", "clip", "sort", "partition", "sign", "heaviside")
    ],
    *("np.maximum.accumulate", "np.minimum.accumulate", "np.where", "np.select", ".clip", "np.copysign", "np.angle"),
    *("np.nan_to_num", "np.unique", "np.unique_values", "np.unique_all", "np.unique_counts", "np.unique_inverse"),
    *("np.floor", "np.ceil", "np.rint", "np.trunc", "np.fix", "np.round", "np.around", ".round", "operator.floordiv"),
    *[f'operation("{name}")' for name in ("relu", "leaky_relu", "clip", "huber", "round", "mantissa")],
    *[f'operation("{name}")' for name in ("hardtanh", "softshrink", "max_pool", "nan_to_num")],
    *[
        f"np.nan{name}"
        for name in ("sum", "prod", "mean", "var", "std", "max", "min", "median", "quantile", "percentile")
    ],
}
"""Entry by entry, these hand on or do not, and hand nothing on where NaN decides; in the table of conventions."""
ROUND_OTHERWISE = ("polyfit", "matvec", "vecmat", "vecdot", "pow", "power")  # by another sum or product
IN_ORDER = ("sort", "partition", "accumulate", "max", "min")
SECONDS = 5.0  # of a processor, for one program


REFUSALS = (TinygradError, np.linalg.LinAlgError)


class TimeUpError(BaseException):
    """A program ran for too long; no `Exception`, which a function under test may catch."""


@dataclass
class Examination:
    """The result of examining a program.

    Attributes:
        outcome: what was verified, or why it was not.
        faults: kinds of faults, each with what was seen.
        remarks: what else is counted: warnings of derivatives, and the like.
    """

    outcome: str = ""
    faults: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def fault(self, kind: str, detail: str = "") -> None:
        self.faults.append((kind, detail))


@contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """Raise `TimeUpError` in a block that takes more of the processor's time."""

    def stop(*_: Any) -> None:
        raise TimeUpError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def examine(program: Program, printed: Callable[[], str] = str) -> Examination:
    """Hold a program to everything that is promised of it; `printed` says what was printed since it was last asked."""
    examination = Examination()
    before = [np.array(x, copy=True) for x in program.leaves]
    try:
        with time_limit(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _Check(program, examination, caught, printed).run()
    except TimeUpError:
        examination.fault("hangs", f"more than {SECONDS} s")
    with np.errstate(all="ignore"):
        for i, (x, former) in enumerate(zip(program.leaves, before)):
            if not same(x, former):
                examination.fault("writes to an input", f"leaf {i}")
    return examination


def same(a: Any, b: Any) -> bool:
    """Whether two arrays are the same bit for bit, all NaN being one; dtype and shape included."""
    if not hasattr(a, "dtype") or not hasattr(b, "dtype"):
        return type(a) is type(b) and bool(a == b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return np.array_equal(a, b)
    return bool(np.all((np.equal(a, b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))))


def is_real(x: Any) -> bool:
    return getattr(x, "dtype", None) is not None and x.dtype.kind == "f"


def short(error: Exception) -> str:
    """The first line of an error, without the numbers, shapes and dtypes in it."""
    line = (str(error).splitlines() or [""])[0]
    line = re.sub(r"\b(bool|u?int\d+|float\d+|longdouble)\b", "dtype", line)
    line = re.sub(r"(dtype)?\[[^\]]*\]|\([^)]*\)|-?\d+(\.\d+)?(e[+-]?\d+)?", "…", line)
    line = re.sub(r"=[^;,]*?(?= (has|does|of|and|must|leaves)\b|[;,:]|$)", "=…", line)
    return f"{type(error).__name__}: {line}"[:160]


def _kind_of_warning(message: str) -> str:
    """A warning without the function that gave it, which may be another one."""
    return message.split(" encountered")[0]


class _Check:
    """The checks of one program, in order."""

    def __init__(self, program: Program, examination: Examination, caught: list[Any], printed: Any) -> None:
        self.program, self.examination, self.caught, self.printed = program, examination, caught, printed
        self.rng = np.random.default_rng(len(program.steps) + 7 * len(program.leaves))
        self.count = len(program.steps)
        self.differs = False
        self.layouts: list[Any] = []  # our values, which may lie in another order in memory than NumPy's

    def run(self) -> None:
        program, examination = self.program, self.examination
        tracked = self._values()
        if text := self.printed():
            examination.fault("prints", text)
        if tracked is None:
            return
        outputs, kinds = tracked
        if not outputs:
            examination.outcome = examination.outcome or "carries no gradient"
            return
        self.outputs = outputs
        self.in_double = kinds == {np.dtype(float)}
        self.epsilon = max(float(np.finfo(kind).eps) for kind in kinds)
        self.points = [program.leaves[i] for i in program.variables]
        self.y = [np.asarray(program.values[k]) for k in outputs]
        self.weights = [np.where(np.isfinite(y), self._eighths(y.shape), 0).astype(y.dtype) for y in self.y]
        self._gradients()

    def _eighths(self, shape: Any) -> Any:
        return self.rng.integers(4, 12, shape) / 8 * self.rng.choice([-1, 1], shape)

    # values

    def _leaves(self, needed: bool) -> list[Any]:
        p = self.program
        return [
            tg.tensor(x, requires_grad=needed and i in p.variables) if i in p.tensors else x
            for i, x in enumerate(p.leaves)
        ]

    def _values(self) -> tuple[list[int], set[Any]] | None:
        """Follow the program on tensors, and hold each value to NumPy's; the places of what carries a gradient."""
        program, examination = self.program, self.examination
        values = self._leaves(True)
        outputs: list[int] = []
        kinds = {x.dtype for x in values if isinstance(x, tg.Tensor) and x.requires_grad}
        kinds |= {kind for step in program.steps for kind in step.dtypes}
        for number, step in enumerate(program.steps):
            fails = program.error is not None and number == len(program.steps) - 1
            try:
                result = step.run(values)
            except Exception as error:
                self.count = number
                self._refused(step, error, fails)
                break
            if fails:
                self.count = number
                self._taken(step, result)
                break
            made = parts(result) if step.is_sequence else [result]
            expected = program.values[len(values) : len(values) + step.results]
            if isinstance(result, (tuple, list)) != step.is_sequence or len(made) != len(expected):
                examination.fault("returns other containers than NumPy", step.path)
                return None
            self.layouts += [x.detach().numpy() for x in made if isinstance(x, tg.Tensor)]
            for x, y in zip(made, expected):
                self._compare(step.path, x, y)
            if examination.faults:
                return None
            values += made
            needing = [
                len(values) - len(made) + k for k, x in enumerate(made) if isinstance(x, tg.Tensor) and x.requires_grad
            ]
            outputs = needing or outputs
            kinds |= {values[k].dtype for k in needing}
        self._compare_warnings()
        return outputs, kinds

    def _refused(self, step: Step, error: Exception, fails: bool) -> None:
        """Note the error of a step, at which NumPy may fail as well."""
        program, examination = self.program, self.examination
        if isinstance(error, REFUSALS):
            examination.outcome = "refused, as NumPy does" if fails else "refused"
            if not fails:
                examination.remarks.append(f"refused: {step.path}: {short(error)}")
        elif fails and isinstance(error, (ValueError, TypeError, IndexError, type(program.error))):
            examination.outcome = "refused, as NumPy does"
            examination.remarks.append(f"refused, as NumPy does, by an error that is not ours: {step.path}")
        else:
            said = f"{type(program.error).__name__}: {program.error}" if fails else "a value"
            examination.fault("raises an error that is not ours", f"{step.path}: {short(error)}; NumPy: {said}")

    def _taken(self, step: Step, result: Any) -> None:
        """Note that a step at which NumPy fails has a result."""
        program, examination = self.program, self.examination
        if not any(isinstance(x, tg.Tensor) for x in parts(result)):
            examination.outcome = "refused, as NumPy does"
            return
        assert program.error is not None
        examination.outcome = "taken, where NumPy refuses"
        examination.remarks.append(f"taken, where NumPy refuses: {step.path}: {short(program.error)}")

    def _compare_warnings(self) -> None:
        theirs = {_kind_of_warning(message) for message in self.program.warnings}
        for caught in self.caught:
            message = str(caught.message)
            if _kind_of_warning(message) in theirs:
                continue
            if message.endswith(("in dot", "in matmul", "in cast")) or self._unusual():
                self.examination.remarks.append(
                    "warns where NumPy does not: the processor's flags depend on the layout in memory"
                )
            else:
                self.examination.fault("warns where NumPy does not", f"{caught.category.__name__}: {message}")
        self.caught.clear()

    def _compare(self, path: str, x: Any, y: Any) -> None:
        x = x.detach().numpy() if isinstance(x, tg.Tensor) else x
        if same(np.asarray(x), np.asarray(y)):
            return
        before, self.differs = self.differs, True  # and with this value whatever comes of it
        if before and not self.examination.faults:
            return
        if path.endswith(IN_ORDER) and np.array_equal(x, y, equal_nan=True):
            self.examination.remarks.append("equal zeros of either sign stand in another order")
            return
        if not np.ndim(x) and self._within_roundings(x, y):
            self.examination.remarks.append("differs in rounding from NumPy's arithmetic of scalars, as its arrays do")
            return
        copies = [np.array(leaf)[()] for leaf in self.program.leaves]
        place = next(i for i, value in enumerate(self.program.values) if value is y)
        if np.shape(x) != np.shape(y):
            kind = "has another shape than NumPy's"
        elif np.asarray(x).dtype != np.asarray(y).dtype:
            kind = "has another dtype than NumPy's"
        elif same(np.asarray(x), np.asarray(self._again(copies)[place])) or self._by_layout(x, y):
            self.examination.remarks.append("differs in rounding with the layout in memory, as NumPy does itself")
            return
        else:
            kind = "has another value than NumPy's"
        self.examination.fault(kind, f"{path}: {x!r}, NumPy: {y!r}")

    def _again(self, leaves: list[Any]) -> list[Any]:
        """What NumPy makes of other leaves, without a call that it refuses."""
        return self.program.run(leaves, count=len(self.program.steps) - (self.program.error is not None))

    def _by_layout(self, x: Any, y: Any) -> bool:
        """Whether two values differ by no more than a few roundings, and the program's arrays lie in unusual order."""
        if any(step.path.endswith(ROUND_OTHERWISE) for step in self.program.steps):
            return self._within_roundings(x, y)
        return self._unusual() and self._within_roundings(x, y)

    def _unusual(self) -> bool:
        """Whether an array of the program lies in memory in another order than C's, or with gaps."""
        arrays = [v for v in (*self.program.values, *self.layouts) if isinstance(v, np.ndarray)]
        return any(not v.flags.c_contiguous or min(v.strides, default=0) < 0 for v in arrays)

    def _within_roundings(self, x: Any, y: Any) -> bool:
        x, y = np.asarray(x), np.asarray(y)
        with np.errstate(all="ignore"):
            same_kind = x.dtype == y.dtype and x.shape == y.shape and is_real(x)
            if not same_kind:
                return False
            eps = np.finfo(x.dtype).eps
            largest = np.max(np.abs(y), initial=0, where=np.isfinite(y))
            return bool(np.allclose(x, y, 8 * eps, 8 * eps * largest, equal_nan=True))

    # gradients

    def _function(self, finer: bool = False, traced: bool = True) -> Callable[..., list[Any]]:
        """The program as a function of its variables; finer in float64 whatever it says, or not of tensors at all."""
        fixed = self._leaves(False) if traced else list(self.program.leaves)

        def f(*variables: Any) -> list[Any]:
            leaves = list(fixed)
            for i, x in zip(self.program.variables, variables):
                leaves[i] = x
            values = self.program.run(leaves, finer, self.count)
            return [values[k] for k in self.outputs]

        return f

    def _gradients(self) -> None:
        examination = self.examination
        try:
            _, pull = tg.vjp(self._function(), *self.points)
            gradients = pull(self.weights)
        except REFUSALS as error:
            examination.outcome = "the derivative is refused"
            examination.remarks.append(f"derivative refused: {short(error)}")
            return
        except Exception as error:
            examination.fault("the derivative raises an error that is not ours", short(error))
            return
        for x, g in zip(self.points, gradients):
            if np.shape(g) != np.shape(x) or g.dtype != x.dtype:
                examination.fault(
                    "a gradient of another shape or dtype", f"{g.dtype}{np.shape(g)} for {x.dtype}{np.shape(x)}"
                )
                return
        for warning in self.caught:
            if not issubclass(warning.category, RuntimeWarning) and str(warning.message) not in self.program.warnings:
                examination.fault("the derivative warns", f"{warning.category.__name__}: {warning.message}")
        if self.caught and not self.program.warnings and all(np.all(np.isfinite(g)) for g in gradients):
            examination.remarks.append(f"the derivative warns, and is finite: {self.caught[0].message}")
        self.caught.clear()
        with np.errstate(all="ignore"):
            self._of_nan(gradients)
            self._compare_modes(gradients)
            if text := self.printed():  # and not what NumPy prints itself, where differences ask it
                examination.fault("prints", text)
            if not examination.faults:
                self._compare_slopes(gradients)

    def _directions(self) -> Iterator[list[Any]]:
        """All entries at once, each by its size, and one alone; nothing moves that is not finite."""
        finite = [np.isfinite(x) for x in self.points]
        dense = [np.where(known, self._eighths(np.shape(x)), 0) for x, known in zip(self.points, finite)]
        yield dense
        places = [(i, place) for i, known in enumerate(finite) for place in np.argwhere(known).tolist()]
        if len(places) > 1:
            yield [t * np.where(known, np.abs(x, dtype=float), 0) for t, x, known in zip(dense, self.points, finite)]
            i, place = places[self.rng.integers(len(places))]
            alone = [np.zeros(np.shape(x)) for x in self.points]
            alone[i][tuple(place)] = 1.0
            yield alone

    def _compare_modes(self, gradients: list[Any]) -> None:
        direction = next(self._directions())
        tangents = [t.astype(x.dtype)[()] for t, x in zip(direction, self.points)]
        try:
            y, change = tg.jvp(self._function(), self.points, tangents)
        except REFUSALS as error:
            self.examination.remarks.append(f"forward mode refuses what reverse mode takes: {short(error)}")
            return
        except Exception as error:
            self.examination.fault("forward mode raises an error that is not ours", short(error))
            return
        for k, value, tangent in zip(self.outputs, y, change):
            expected = np.asarray(self.program.values[k])
            if not self.differs and not same(value := np.asarray(value), expected):
                if self._within_roundings(value, expected):
                    self.examination.remarks.append("differs in rounding in forward mode, with the layout in memory")
                    continue
                self.examination.fault(
                    "has another value in forward mode", f"{value!r}, NumPy: {self.program.values[k]!r}"
                )
            if np.shape(tangent) != np.shape(value) or np.asarray(tangent).dtype != np.asarray(value).dtype:
                self.examination.fault("a tangent of another shape or dtype", f"{tangent!r} for {value!r}")
        slope, size = weighted(gradients, direction)
        size += self._usual()
        forward, forward_size = weighted(change, self.weights)
        if not (np.isfinite(slope) and np.isfinite(forward)):
            if np.isfinite(slope) != np.isfinite(forward) and self._finite_on_the_way():
                self.examination.remarks.append("one mode's slope is finite, and the other's is not")
            return
        slack = min(ROUNDING * self.epsilon, FEW_DIGITS) * (size + forward_size) + self._least()
        if abs(slope - forward) > slack and abs(slope - forward) > 8 * self._shaken(direction, slope):
            self.examination.fault("forward and reverse mode differ", f"{forward} and {slope}")

    def _usual(self) -> float:
        """A slope as large as the values make one expect: what cancels to less is rounding."""
        largest = max((float(np.max(np.abs(x), initial=0, where=np.isfinite(x))) for x in self.points), default=0)
        values = [np.asarray(x, float) for x in self.program.values if is_real(x)]
        largest_value = max((float(np.max(np.abs(x), initial=0, where=np.isfinite(x))) for x in values), default=0)
        size = largest_value * sum(float(np.sum(np.abs(w))) for w in self.weights)
        return size / largest if largest and np.isfinite(size) else 0.0

    def _least(self) -> float:
        """What underflows in the coarsest dtype on the way."""
        return {np.float16: 1e-4, np.float32: 1e-35}.get(self._coarsest().type, 1e-300) * 100

    def _coarsest(self) -> Any:
        kinds = [np.dtype(kind) for kind in (np.float16, np.float32, np.float64, np.longdouble)]
        return next(kind for kind in kinds if float(np.finfo(kind).eps) == self.epsilon)

    def _shaken(self, direction: list[Any], slope: float) -> float:
        """How far the slope moves where the inputs are moved by about their last digit, or all is rounded at random."""
        moved = self._moved_by_rounding(direction, slope)
        for _ in range(3):
            points = [
                (x * (1 + self.epsilon * self.rng.uniform(-2, 2, np.shape(x)))).astype(x.dtype)[()] for x in self.points
            ]
            try:
                _, pull = tg.vjp(self._function(), *points)
                other, _ = weighted(pull(self.weights), direction)
            except Exception:  # beyond the edge of what the program takes
                return np.inf
            if not np.isfinite(other):
                return np.inf
            moved = max(moved, abs(other - slope))
        return moved

    def _moved_by_rounding(self, direction: list[Any], slope: float) -> float:
        rounding = Rounding(self.rng, self.epsilon)
        moved = 0.0
        for _ in range(3):
            variables = [variable(wrap(randomly_rounded(np.asarray(x)[()], rounding))) for x in self.points]
            try:
                gradients = Pullback(self._function()(*variables), variables)(self.weights)
                other, _ = weighted([rounded(innermost(g)) for g in gradients], direction)
            except Exception:  # what cannot be rounded at random
                return moved
            finally:
                settle(variables)
            moved = max(moved, abs(other - slope)) if np.isfinite(other) else moved
        return moved

    def _compare_slopes(self, gradients: list[Any]) -> None:
        """Hold the gradient to the complex step along some directions, and failing that to differences."""
        examination = self.examination
        if not any(np.any(w) for w in self.weights):
            examination.outcome = "nothing finite, or no entry" if any(y.size for y in self.y) else "no entries"
            return
        if not self.in_double and not self._values_agree():
            examination.outcome = "the value in double is another one"
            return
        outcomes = [self._compared(gradients, direction) for direction in self._directions()]
        # the least that is known of any direction
        for outcome in (
            "",
            "not known",
            "at a kink",
            "the gradient is not finite",
            "right to",
            "right, by differences",
        ):
            for other in outcomes:
                if other.startswith(outcome) and outcome:
                    examination.outcome = other
                    return
        examination.outcome = "right, by complex step"

    def _values_agree(self) -> bool:
        """Whether the program in few digits has the value that it has in float64, to a few percent."""
        try:
            finer = self._function(finer=True, traced=False)(*[np.asarray(x, float)[()] for x in self.points])
        except Exception:
            return False
        return all(
            np.shape(a) == np.shape(b)
            and np.all(np.abs(a - b)[known := np.isfinite(a)] <= 0.02 * np.max(np.abs(b), initial=0, where=known))
            for a, b in zip(self.y, map(np.asarray, finer))
        )

    def _compared(self, gradients: list[Any], direction: list[Any]) -> str:
        slope, size = weighted(gradients, direction)
        size += self._usual()
        slack = min(ROUNDING * max(self.epsilon, EPSILON), FEW_DIGITS) * size + self._least()
        reference, terms = self._by_complex_step(direction) or (None, 0.0)
        slack += ROUNDING * EPSILON * terms
        if reference is not None and np.isfinite(slope) and abs(slope - reference) <= slack:
            return "right, by complex step"
        if reference is not None and np.isfinite(slope) and abs(slope - reference) <= 1e-7 * size:
            return "right to fewer digits, by complex step"
        by_differences = self._by_differences(direction)
        if by_differences is None:
            return "not known: the function does not go on beside the point"
        return self._held_to(by_differences, slope, slack, direction, reference)

    def _held_to(
        self, differences: Difference, slope: float, slack: float, direction: list[Any], reference: float | None
    ) -> str:
        """The outcome for a slope that the complex step does not confirm, by differences along the direction."""
        known, bound = float(differences.slope[0]), float(differences.bound[0])
        sharp = bound <= 1e-4 * max(abs(known), abs(slope) if np.isfinite(slope) else 0) + self._least()
        kinked = self._singular()
        if not np.isfinite(slope):
            if sharp and not kinked and self.epsilon <= EPSILON and self._moderate_on_the_way():
                self.examination.fault(
                    "the gradient is not finite, and the slope is", f"{slope}, by differences {known}"
                )
            return "the gradient is not finite"
        if sharp and abs(slope - known) <= 4 * bound + slack:
            return "right, by differences"
        left, right = float(differences.left[0]), float(differences.right[0])
        side_bound = float(differences.side_bound[0])
        sides_sharp = side_bound <= 1e-3 * max(abs(left), abs(right)) + self._least()
        if sides_sharp and abs(left - right) > 8 * side_bound:
            if min(left, right) - side_bound - slack <= slope <= max(left, right) + side_bound + slack:
                return "at a kink, and between the slopes of the sides"
            if kinked:
                return "at a kink, where several meet or a convention holds"
        if kinked:
            self.examination.remarks.append(f"kink or edge of a domain: {kinked}")
            return "at a kink or the edge of a domain"
        if reason := self._unknown(sharp, bool(differences.stairs[0]), known, bound, slope, direction):
            return f"not known: {reason}"
        self.examination.fault(
            "a wrong gradient" if self.epsilon <= EPSILON else "a wrong gradient in few digits",
            f"{slope}, by differences {known} ± {bound:.1g}, by complex step {reference}",
        )
        return "wrong"

    def _unknown(
        self, sharp: bool, stairs: bool, known: float, bound: float, slope: float, direction: list[Any]
    ) -> str:
        """Why a difference between a slope and differences is not known to be a mistake; empty if it is one."""
        if not sharp:
            return "differences do not tell"
        if stairs:
            return "a staircase, whose slope differences see from afar"
        if not self._moderate_on_the_way():
            return "numbers too large or too small on the way for the reference"
        if any("unique" in step.path for step in self.program.steps):
            return "np.unique is a constant by convention, and differences follow it"
        if abs(slope - known) <= 8 * self._shaken(direction, slope):
            return "the last digits decide"
        closer = self._by_differences(direction, 1e-4)
        if closer is None or abs(float(closer.slope[0]) - known) > 8 * (float(closer.bound[0]) + bound):
            return "differences of small and of large steps do not agree"
        return ""

    def _by_complex_step(self, direction: list[Any]) -> tuple[float, float] | None:
        try:
            change = changes(self._function(finer=True), self.points, direction)
        except Exception:  # whatever a function does to which a complex number is handed
            return None
        if any(np.shape(x) != np.shape(w) for x, w in zip(change, self.weights)):
            return None  # how many entries are unique depends on their digits
        reference, size = weighted(change, self.weights)
        return (reference, size) if np.isfinite(reference) else None

    def _by_differences(self, direction: list[Any], part: float = 1.0) -> Difference | None:
        f = self._function(finer=True, traced=False)
        points = [np.asarray(x, float) for x in self.points]
        length = max((float(np.max(np.abs(t), initial=0)) for t in direction), default=0)
        if not length:
            return None
        relative = max(
            (
                float(np.max(np.abs(t) / np.maximum(np.abs(x), 1e-300), initial=0, where=np.isfinite(x) & (x != 0)))
                for x, t in zip(points, direction)
            ),
            default=0,
        )
        scale = part * min(1 / length, 1 / relative if relative else np.inf)

        def along(step: float) -> Any:
            moved = [np.where(t != 0, x + step * t, x)[()] for x, t in zip(points, direction)]
            try:
                return np.array([weighted(f(*moved), self.weights)[0]])
            except (ValueError, TypeError, IndexError, ArithmeticError, RuntimeError):  # the last from np.cov
                return np.array([np.nan])

        at_0 = along(0.0)
        if not np.isfinite(at_0[0]):
            return None
        return difference(lambda step: along(scale * step), at_0).per(scale)

    def _finite_on_the_way(self) -> bool:
        values = [x for x in self.program.values if is_real(x)]
        return all(np.all(np.isfinite(x)) for x in values)

    def _moderate_on_the_way(self) -> bool:
        """Whether no value is so large or small that a derivative may be beyond the numbers."""
        sizes = [np.abs(x[np.not_equal(x, 0)]) for x in map(np.asarray, self.program.values) if is_real(x)]
        return all(np.all((size > 1e-75) & (size < 1e75)) for size in sizes)

    def _singular(self) -> str:
        """The operation at a kink or outside its domain that the program meets; empty if none."""
        with recording() as steps:
            try:
                self._function()(*[tg.tensor(x, requires_grad=True) for x in self.points])
            except Exception:
                return ""
        text = outside_domain(steps) or at_kink(steps)
        return re.split(r"[ ,]", text)[0]

    def _of_nan(self, gradients: list[Any]) -> None:
        """Where a value is NaN because an input is, a finite gradient must not depend on the missing number."""
        if (
            any(step.path in SELECTIONS for step in self.program.steps)
            or not all(map(is_real, self.program.values))
            or not any(np.any(np.isnan(y)) for y in self.y)
            or not any(np.any(np.isnan(x)) for x in self.points)
        ):
            return
        weights = [np.where(np.isnan(y), 1, 0).astype(y.dtype)[()] for y in self.y]
        try:
            of_nan = tg.vjp(self._function(), *self.points)[1](weights)
            others = []
            for _ in range(2):
                filled = [
                    np.where(np.isnan(x), self.rng.uniform(0.3, 2.5, np.shape(x)), x).astype(x.dtype)[()]
                    for x in self.points
                ]
                y, pull = tg.vjp(self._function(), *filled)
                if any(np.shape(a) != np.shape(b) or np.any(np.isnan(a) & np.isnan(b)) for a, b in zip(y, self.y)):
                    return  # an index depends on the numbers, or NaN comes from something else
                others.append(pull(weights))
        except Exception:  # beyond what the program takes
            self.examination.remarks.append("NaN: no number in its place is known")
            return
        tolerance = max(1e-6, 100 * self.epsilon)
        for g, *filled in zip(of_nan, *others):
            for other in filled:
                if np.any(np.isfinite(g) & np.isfinite(other) & (np.abs(g - other) > tolerance * (1 + np.abs(other)))):
                    self.examination.fault("finite where a NaN decides", f"{g!r}, with a number for NaN {other!r}")
                    return
        self.examination.remarks.append("NaN: no finite gradient depends on the missing number")


def weighted(arrays: list[Any], weights: list[Any]) -> tuple[float, float]:
    """Σ array · weight, where the weight is not 0, and the sum of its terms' sizes."""
    terms = [
        (np.asarray(x, np.longdouble) * np.asarray(w, np.longdouble))[np.broadcast_to(np.not_equal(w, 0), np.shape(x))]
        for x, w in zip(arrays, weights)
    ]
    return float(sum(np.sum(term) for term in terms)), float(sum(np.sum(np.abs(term)) for term in terms))
