"""Floor 5. Where a gradient goes wrong, and what the mistake looks like.

Each operation on the way is checked by itself, on the values that flowed through it. Where all are right, the gradient
was computed elsewhere, and is compared with what each usual mistake in each operation would make of the whole.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.backward import fitted
from tinygrad_lite.checking import references
from tinygrad_lite.checking.comparison import EPSILON, Comparison, Examination
from tinygrad_lite.checking.mistakes import INPUT, OUTPUT, OVERWRITTEN, Contribution, factors, mistaken
from tinygrad_lite.checking.subject import Vector
from tinygrad_lite.complex_step import STEP, ComplexStep
from tinygrad_lite.dual import innermost
from tinygrad_lite.ops.op import Array, Deferred
from tinygrad_lite.recording import Step, recording
from tinygrad_lite.tensor import Tensor

SATURATED = "saturated"
_LARGE = 400  # entries of an argument, up to which its local derivative is found in full
_LONG = 300  # operations, up to which the mistakes are tried on the whole


class Diagnosis:
    """Where and why, for each wrong entry.

    Attributes:
        faults: the operations whose own rule is wrong, each with what the mistake looks like.
    """

    def __init__(self, examination: Examination, found: Comparison) -> None:
        self._look = examination
        self._found = found
        subject = examination.subject
        self._steps, self._variables, self._results = subject.traced(subject.point)
        self.faults = [fault for step in self._steps if (fault := fault_of(step))]
        self._explained = self._explanations() if subject.plain and self._steps and not self.faults else {}

    def of(self, row: int, column: int) -> tuple[str, str]:
        """The operation to blame, with the line that called it, and the mistake that it looks like."""
        if self.faults:
            blamed, why = self._blamed(column)
            return place(blamed), why
        if not self._look.subject.plain and (cut := cut_off(self._steps, _movements(self._look, column))):
            return cut
        k, _ = self._look.subject.locate(column)
        if k in self._explained:
            step, why = self._explained[k]
            return place(step), why
        return "", self._pattern(k, row)

    def _blamed(self, column: int) -> tuple[Step, str]:
        """Of several faulty operations, the first that this entry has an influence on."""
        if len(self.faults) > 1:
            moving = [k for k, (moves, _) in enumerate(_movements(self._look, column)) if moves]
            places = {id(step): k for k, step in enumerate(self._steps)}
            for step, why in self.faults:
                if places[id(step)] in moving:
                    return step, why
        return self.faults[0]

    def _pattern(self, k: int, row: int) -> str:
        """What the array looks like beside its reference, where nothing is known of how it came about."""
        columns = self._look.subject.columns(k)
        shape = self._look.subject.variables[k].shape
        gradient = self._found.gradient[row, columns].reshape(shape)
        reference = self._found.reference[row, columns].reshape(shape)
        if not np.all(np.isfinite(reference)):
            known = np.isfinite(reference)
            gradient, reference = gradient[known], reference[known]
        one = Contribution(None, 0, reference, reference, [reference], {}, reference, _unknown)
        sizes = [np.empty(v.shape) for v in self._look.subject.variables]
        for sentence, candidate in (*mistaken(one), *factors(reference, sizes)):
            if _same(gradient, candidate, 1e-6) and not _same(reference, candidate, 1e-6):
                return sentence
        return ""

    def _explanations(self) -> dict[int, tuple[Step | None, str]]:
        """For each wrong variable the mistake that explains it, best one that explains several."""
        look, subject = self._look, self._look.subject
        wrong = [k for k in range(len(subject.variables)) if np.any(self._found.suspicious[:, subject.columns(k)])]
        if len(self._steps) > _LONG or len(subject.point) > _LONG * _LONG:
            return {}
        mix = np.cos(np.arange(len(look.weights)))
        seeds = mix @ look.weights
        given = subject.split(mix @ look.gradient)
        best: dict[int, tuple[int, Step | None, str]] = {}
        for step, sentence, pulled in self._variants(seeds):
            explained = [k for k in wrong if _same(pulled[k], given[k], 1e-7)]
            for k in explained:
                if len(explained) >= best.get(k, (0,))[0]:  # of equals the one that comes closest to the variable
                    best[k] = (len(explained), step, sentence)
        return {k: (step, sentence) for k, (_, step, sentence) in best.items()}

    def _variants(self, seeds: Vector) -> Iterator[tuple[Step | None, str, list[Array]]]:
        """Each usual mistake in each operation, and the gradients that would come of it."""
        right: list[tuple[Step, int, Contribution]] = []

        def note(step: Step, i: int, one: Contribution) -> Array:
            right.append((step, i, one))
            return one.right

        self._pulled(seeds, note)
        for step, i, one in right:
            for sentence, candidate in mistaken(one):
                if np.shape(candidate) == np.shape(one.right):
                    yield step, sentence, self._pulled(seeds, _replacing(step, i, candidate))
        used: dict[int, list[tuple[Step, int]]] = {}
        for step, i, _ in right:
            used.setdefault(id(step.inputs[i]), []).append((step, i))
        for uses in used.values():
            for kept in uses if len(uses) > 1 else ():
                others = {(id(step), i) for step, i in uses} - {(id(kept[0]), kept[1])}
                yield kept[0], OVERWRITTEN, self._pulled(seeds, _dropping(others))

    def _pulled(self, seeds: Vector, change: Callable[[Step, int, Contribution], Array]) -> list[Array]:
        """The gradient of each variable, with each contribution on the way as `change` makes it."""
        arrived: dict[Tensor, Array] = {}
        start = 0
        for y in self._results:
            size = int(np.size(innermost(y)))
            if isinstance(y, Tensor):
                arrived[y] = arrived.get(y, 0) + seeds[start : start + size].reshape(y.shape)
            start += size
        with np.errstate(all="ignore"):
            for step in reversed(self._steps):
                g = arrived.get(step.result) if isinstance(step.result, Tensor) else None
                for i, x in enumerate(step.inputs) if g is not None and step.op.vjps else ():
                    if isinstance(x, Tensor) and x.requires_grad and step.op.vjps[i] is not None:
                        part = change(step, i, _by_rule(step, i, g))
                        arrived[x] = arrived[x] + part if x in arrived else part
        return [arrived.get(x, np.zeros(x.shape)) for x in self._variables]


def _by_rule(step: Step, i: int, g: Array) -> Contribution:
    """What an operation's own rule hands on to an argument."""
    arrays = step.arrays
    shape = np.shape(arrays[i])

    def again(g: Array, y: Array, arrays: Sequence[Array], params: Any) -> Array:
        return applied(step, i, g, y, arrays, params, shape)

    right = again(g, step.value, arrays, step.params)
    return Contribution(step.op, i, g, step.value, arrays, step.params, right, again)


def applied(step: Step, i: int, g: Array, y: Array, arrays: Sequence[Array], params: Any, shape: Any) -> Array:
    """The i-th rule of an operation on these values, summed over what was broadcast."""
    rule: Any = step.op.vjps[i]
    found = rule(g, y, *arrays, **params)
    if isinstance(found, Deferred):
        found = found.whole()
    return fitted(found, shape, np.dtype(float), step.op, i)


def _replacing(step: Step, i: int, candidate: Array) -> Callable[[Step, int, Contribution], Array]:
    return lambda at, j, one: candidate if at is step and j == i else one.right


def _dropping(uses: set[tuple[int, int]]) -> Callable[[Step, int, Contribution], Array]:
    return lambda at, j, one: np.zeros_like(one.right) if (id(at), j) in uses else one.right


def fault_of(step: Step) -> tuple[Step, str] | None:
    """Whether an operation's rule is wrong on the values that it was given, and what the mistake looks like."""
    if not step.op.vjps or not isinstance(step.result, Tensor) or step.value.dtype.kind != "f" or not step.value.size:
        return None
    arrays = [x.astype(float) if getattr(x, "dtype", np.dtype(int)).kind == "f" else x for x in step.arrays]
    rng = np.random.default_rng(0)
    g = rng.uniform(0.5, 1.5, np.shape(step.value))[()]
    with np.errstate(all="ignore"):
        value = np.asarray(step.op.forward(*arrays, **step.params), float)[()]
        for i, x in enumerate(arrays):
            if np.result_type(x).kind != "f" or not np.size(x) or step.op.vjps[i] is None:
                continue
            local = _Local(step, i, arrays, value)
            found = applied(step, i, g, value, arrays, step.params, np.shape(x))
            if not local.refutes(found, g, rng):
                continue
            return step, local.mistake(found, g)
    return None


class _Local:
    """The derivative of one operation by one of its arguments, found without its rule."""

    def __init__(self, step: Step, i: int, arrays: Sequence[Array], value: Array) -> None:
        self._step, self._i, self._arrays, self._value = step, i, arrays, value
        size = float(np.nanmax(np.abs(arrays[i]), initial=0)) or 1.0
        self._rounding = 16 * EPSILON * float(np.nanmax(np.abs(value), initial=0)) / size  # of a slope, if it were 1

    def change(self, t: Array, arrays: Sequence[Array] | None = None, params: Any = None) -> tuple[Array, Array]:
        """How the value changes where the argument moves along t, and a bound of the error."""
        step, i = self._step, self._i
        arrays = list(self._arrays if arrays is None else arrays)
        params = step.params if params is None else params
        try:
            z = np.array(arrays[i], complex)
            z.imag = STEP * t
            y = step.op(*arrays[:i], ComplexStep(z[()]), *arrays[i + 1 :], **params)
            change = y.value.imag / STEP if isinstance(y, ComplexStep) else np.zeros(np.shape(y))
            return change, 2000 * EPSILON * np.abs(change)
        except Exception:
            return self._by_differences(t, arrays, params)

    def _by_differences(self, t: Array, arrays: list[Array], params: Any) -> tuple[Array, Array]:
        i, shape = self._i, np.shape(self._value)

        def at(h: float) -> Vector:
            moved = self._step.op.forward(*arrays[:i], arrays[i] + h * t, *arrays[i + 1 :], **params)
            return np.ravel(np.asarray(moved, float))

        scale = float(np.nanmax(np.abs(arrays[i]), initial=0)) or 1.0
        one = references.difference(at, at(0.0), scale, references.noise(at, scale))
        return one.slope.reshape(shape), one.bound.reshape(shape)

    def refutes(self, found: Array, g: Array, rng: "np.random.Generator") -> bool:
        """Whether what the rule hands on is not the transpose of how the value changes."""
        kink = self._step.op.kink
        at_kink = kink is not None and bool(np.any(np.asarray(kink(*self._arrays, **self._step.params)) == 0))
        if at_kink and not self._step.op.derivatives:
            return False
        for _ in range(2):
            t = rng.uniform(0.5, 1.5, np.shape(found)) * rng.choice([-1.0, 1.0], np.shape(found))
            low, high, bound = self._changes(t, g, at_kink)
            expected = np.sum(found * t)
            allowed = np.sum(np.abs(g) * (bound + self._rounding)) + 2000 * EPSILON * np.sum(np.abs(found * t))
            if not (expected < low - allowed or expected > high + allowed):
                return False
        return True

    def _changes(self, t: Array, g: Array, at_kink: bool) -> tuple[Array, Array, Array]:
        """Between which two numbers the weighted change along t lies, and a bound of the error of each change."""
        if not at_kink:
            change, bound = self.change(t)
            return np.sum(g * change), np.sum(g * change), bound
        aside = 1e-6 * np.abs(t) * (float(np.nanmax(np.abs(self._arrays[self._i]), initial=0)) or 1.0)
        sides = []
        for side in (aside, -aside):
            moved = list(self._arrays)
            moved[self._i] = moved[self._i] + side
            change, bound = self.change(t, moved)
            sides.append(g * change)
        return np.sum(np.minimum(*sides)), np.sum(np.maximum(*sides)), bound + 1e-5 * np.abs(change)

    def exact(self, g: Array, arrays: Sequence[Array], params: Any) -> Array:
        """The vector-Jacobian product, out of the change along each entry."""
        shape = np.shape(arrays[self._i])
        found = np.zeros(shape)
        for place in np.ndindex(shape):
            one = np.zeros(shape)
            one[place] = 1
            found[place] = np.sum(g * self.change(one, arrays, params)[0])
        return found

    def mistake(self, found: Array, g: Array) -> str:
        """Which of the usual mistakes makes what was found of the right derivative."""
        if np.size(found) > _LARGE:
            return ""
        step, i, arrays = self._step, self._i, self._arrays
        right = self.exact(g, arrays, step.params)
        one = Contribution(
            step.op, i, g, self._value, arrays, step.params, right, lambda g, y, x, params: self.exact(g, x, params)
        )
        tolerance = 1e-7
        candidates = mistaken(one)
        for sentence, candidate in candidates:
            if sentence != INPUT and _same(found, candidate, tolerance) and not _same(right, candidate, tolerance):
                return sentence
        return self._taken_for_another(found, right, g)

    def _taken_for_another(self, found: Array, right: Array, g: Array) -> str:
        """Whether the rule would be right with the output for the input, or reads the one and never the other."""
        step, i, x, y = self._step, self._i, self._arrays[self._i], self._value
        if np.shape(y) != np.shape(x):
            return ""

        def by_rule(y: Array, x: Array) -> Array:
            return applied(step, i, g, y, [*self._arrays[:i], x, *self._arrays[i + 1 :]], step.params, np.shape(found))

        if _same(by_rule(y, y), right, 1e-7):
            return INPUT
        reads_input, reads_output = (
            not _same(moved, found, 1e-12) for moved in (by_rule(y, 1.01 * x), by_rule(1.01 * y, x))
        )
        return OUTPUT if reads_output and not reads_input else ""


def no_gradient(look: Examination, steps: Sequence[Step], row: int, column: int, found: Comparison) -> tuple[str, str]:
    """Where the influence of an entry that has no gradient ends, or its gradient is cut off."""
    reference = found.reference[row, column]
    largest = np.max(np.abs(found.reference[row]), initial=0, where=np.isfinite(found.reference[row]))
    movements = _movements(look, column)
    if is_saturated(look, row, reference, largest):
        return "", f"{SATURATED}: the derivative {reference:.1e} is less than rounding"
    if reference != 0 and (cut := cut_off(steps, movements)):
        return cut
    if reference != 0:
        return "", "the result depends on it, and no gradient arrives"
    stops = [stepped for moving, stepped in movements if moving and not _moves(stepped.result) and stepped.op.vjps]
    if not stops:
        return "", "nothing that is returned depends on it"
    return place(stops[-1]), _why_it_ends(stops[-1])


def is_saturated(look: Examination, row: int, reference: float, largest: float) -> bool:
    """Whether a derivative is so small beside the values that rounding swallows it."""
    value = np.abs(look.at(look.subject.point)[row])
    return reference != 0 and abs(reference) <= 16 * EPSILON * max(largest, value, 1.0)


def cut_off(steps: Sequence[Step], movements: Sequence[tuple[bool, Step]]) -> tuple[str, str] | None:
    """Where a value that moves has no history any more, so that no gradient comes back this way."""
    for step, (moving, stepped) in zip(steps, movements) if len(steps) == len(movements) else ():
        if moving and not step.op.vjps and _moves(stepped.result):
            return place(step), f"{step.op} lets no gradient through, although the result depends on it"
        for i, (x, z) in enumerate(zip(step.inputs, stepped.inputs)):
            if _moves(z) and not (isinstance(x, Tensor) and x.requires_grad):
                maker = _maker(steps, x)
                made = f"; it was made by {place(maker)}" if maker else ""
                return place(step), f"argument {i} has been detached from its history{made}"
    return None


def _why_it_ends(step: Step) -> str:
    """Why an operation passes a change of its argument on to nobody."""
    name = step.op.name
    if name in ("relu", "leaky_relu", "maximum", "minimum", "clip", "max", "min", "fmax", "fmin"):
        return "it does not win there: the other branch is taken"
    if name in ("getitem", "where", "index_set", "take", "compress", "select", "choose", "diagonal", "tril", "triu"):
        return "masked: it is not among the entries that are taken"
    if any(
        x is not y and not np.all(np.asarray(_plain(x))) for x in step.inputs for y in (step.result,) if not _moves(x)
    ):
        return "multiplied by zero: a mask, or a weight that is zero"
    if step.op.derivatives and all(derivative == 0 for derivative in step.op.derivatives):
        return "the function is constant between its steps"
    return f"{SATURATED}: its slope is zero there"


def _movements(look: Examination, column: int) -> list[tuple[bool, Step]]:
    """For each operation, whether moving this entry moves what it is given."""
    with recording() as stepped:
        try:
            look.subject.changes(look.subject.point, look.unit(column), as_tensors=True)
        except Exception:
            return []
    return [(any(map(_moves, step.inputs)), step) for step in stepped]


def _moves(x: Any) -> bool:
    array = innermost(x)
    return isinstance(array, ComplexStep) and bool(np.any(array.value.imag))


def _plain(x: Any) -> Any:
    array = innermost(x)
    return array.value.real if isinstance(array, ComplexStep) else array


def _maker(steps: Sequence[Step], x: Any) -> Step | None:
    """The operation whose value an array is, also after it was detached."""
    array = innermost(x)
    for step in steps:
        if isinstance(step.result, Tensor) and (step.value is array or getattr(array, "base", None) is step.value):
            return step
    return None


def first_not_finite(steps: Sequence[Step], values: Vector) -> tuple[str, str]:
    """The first operation that made a number that is none of numbers, or that this happened on the way back."""
    for step in steps:
        value = np.asarray(step.value)
        inputs = [np.asarray(x) for x in step.arrays]
        came_in = all(np.all(np.isfinite(x)) for x in inputs if x.dtype.kind == "f")
        if came_in and value.dtype.kind == "f" and not np.all(np.isfinite(value)):
            return place(step), "it made a value that is not finite, in the forward pass"
    if not np.all(np.isfinite(values)):
        return "", "a value is not finite, in the forward pass"
    for step in reversed(steps):
        if isinstance(step.result, Tensor) and step.op.vjps and step.value.dtype.kind == "f":
            for i, x in enumerate(step.inputs):
                if isinstance(x, Tensor) and x.requires_grad and step.op.vjps[i] is not None:
                    with np.errstate(all="ignore"):
                        found = applied(
                            step, i, np.ones_like(step.value), step.value, step.arrays, step.params, x.shape
                        )
                    if not np.all(np.isfinite(found)):
                        return place(step), f"its derivative by argument {i} is not finite, in the backward pass"
    return "", "in the backward pass"


def place(step: Step | None) -> str:
    """An operation, and the line that called it."""
    if step is None:
        return ""
    return f"{step.op}, called at {step.source}" if step.source else str(step.op)


def _unknown(*_: Any) -> Array:
    raise NotImplementedError


def _same(a: Array, b: Array, tolerance: float) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or not a.size:
        return False
    with np.errstate(invalid="ignore"):
        return bool(np.max(np.abs(a - b)) <= tolerance * np.max(np.abs(b)))
