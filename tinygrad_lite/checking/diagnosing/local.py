"""Checks one operation on its own, with the values that flowed through it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing.mistakes import ARGUMENT, INPUT, OUTPUT, Contribution, mistaken
from tinygrad_lite.checking.evidence import references
from tinygrad_lite.checking.subjects.subject import EPSILON, Vector, random_weights
from tinygrad_lite.engine.backward import fitted
from tinygrad_lite.engine.op import Array, Deferred
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError
from tinygrad_lite.readers.complex_step import STEP, ComplexStep
from tinygrad_lite.readers.recording import Step

_LARGE = 400  # the largest number of argument entries for a full local derivative


def fault_of(step: Step) -> tuple[Step, str] | None:
    """Whether an operation's rule is wrong for the values that it had, and what the mistake looks like."""
    if not step.op.vjps or not isinstance(step.result, Tensor) or step.value.dtype.kind not in "fc":
        return None
    arrays = [_in_full(x) for x in step.arrays]
    rng = np.random.default_rng(0)
    g = rng.uniform(0.5, 1.5, np.shape(step.value))[()]
    if step.value.dtype.kind == "c":
        g = g + 1j * rng.uniform(0.5, 1.5, np.shape(step.value))
    with np.errstate(all="ignore"):
        value = np.asarray(step.op.forward(*arrays, **step.params), g.dtype)[()]
        for i, x in enumerate(arrays):
            if np.asarray(x).dtype.kind not in "fc" or not np.size(x) or not value.size or step.op.vjps[i] is None:
                continue
            local = _Local(step, i, arrays, value)
            try:
                contribution = applied(step, i, g, value, arrays, step.params, np.shape(x))
            except InputError:  # a rule that refuses these weights is not wrong
                continue
            if not local.refutes(contribution, g, rng):
                continue
            return step, local.mistake(contribution, g)
    return None


def _in_full(x: Any) -> Any:
    """An array of real or complex numbers in double precision; anything else as it is."""
    kind = getattr(x, "dtype", np.dtype(int)).kind
    return x.astype(float if kind == "f" else complex) if kind in "fc" else x


class _Local:
    """The derivative of an operation by one of its arguments, computed without its rule.

    A complex number moves along both of its axes, and a loss by Re(g · dz), as the rules have it.
    """

    def __init__(self, step: Step, i: int, arrays: Sequence[Array], value: Array) -> None:
        self._step, self._i, self._arrays, self._value = step, i, arrays, value
        size = float(np.nanmax(np.abs(arrays[i]), initial=0)) or 1.0
        self._rounding = 16 * EPSILON * float(np.nanmax(np.abs(value), initial=0)) / size  # of a slope, if it were 1

    def change(self, t: Array, arrays: Sequence[Array] | None = None, params: Any = None) -> tuple[Array, Array]:
        """The change of the value if the argument moves along t, and a bound of its error."""
        step, i = self._step, self._i
        arrays = list(self._arrays if arrays is None else arrays)
        params = step.params if params is None else params
        if np.iscomplexobj(t) or np.iscomplexobj(self._value):
            return self._by_differences(t, arrays, params)
        size = float(np.min(np.abs(arrays[i]), initial=1, where=np.abs(arrays[i]) > 0))  # but for 0 and NaN

        def slope(h: float) -> Array:
            z = np.array(arrays[i], complex)
            z.imag = h * t
            y = step.op(*arrays[:i], ComplexStep(z[()]), *arrays[i + 1 :], **params)
            return y.value.imag / h if isinstance(y, ComplexStep) else np.zeros(np.shape(y))

        try:
            change = slope(STEP * size)
            bound = 2000 * EPSILON * np.abs(change)
            if not np.all(arrays[i]):  # beside which no step is small: x³ has another slope at each
                bound = bound + 2 * np.abs(change - slope(STEP * size / 2))
            return change, bound
        except Exception:
            return self._by_differences(t, arrays, params)

    def _by_differences(self, t: Array, arrays: list[Array], params: Any) -> tuple[Array, Array]:
        shape, dtype = np.shape(self._value), np.result_type(self._value)

        def at(h: float) -> Vector:
            return np.atleast_1d(np.asarray(self._moved(h * t, arrays, params), dtype)).ravel().view(float)

        scale = self._scale(arrays)
        difference = references.difference(lambda h: at(scale * h), at(0.0)).per(scale)
        change, bound = (np.ravel(x).view(dtype).reshape(shape) for x in (difference.slope, difference.bound))
        return change, np.abs(bound)

    def _moved(self, by: Array, arrays: Sequence[Array], params: Any) -> Array:
        """The value after a step of the argument; NaN where the operation refuses what the argument then is."""
        i = self._i
        try:
            return self._step.op.forward(*arrays[:i], arrays[i] + by, *arrays[i + 1 :], **params)
        except ValueError:  # which NumPy's LinAlgError is, too
            return np.full_like(self._value, np.nan)

    def _scale(self, arrays: Sequence[Array]) -> float:
        return float(np.nanmax(np.abs(arrays[self._i]), initial=0)) or 1.0

    def _roughly(self, t: Array, arrays: Sequence[Array], params: Any) -> Array:
        """The change of the value to about ten digits, by few values."""
        h = 1e-3 * self._scale(arrays)
        ends = [self._moved(k * h * t, arrays, params) for k in (-2, -1, 1, 2)]
        return np.asarray((ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * h))

    def refutes(self, contribution: Array, g: Array, rng: "np.random.Generator") -> bool:
        """Whether the rule's contribution is not the transpose of the change of the value."""
        kink = self._step.op.kink
        at_kink = kink is not None and bool(np.any(np.asarray(kink(*self._arrays, **self._step.params)) == 0))
        if at_kink and not self._step.op.derivatives:
            return False
        for _ in range(2):
            t = random_weights(rng, np.shape(contribution))
            if np.iscomplexobj(self._arrays[self._i]):
                t = t + 1j * random_weights(rng, np.shape(contribution))
            expected = _effect(contribution, t)
            for aside in (True, False) if at_kink else (False,):  # the slope at a kink may belong to neither side
                low, high, bound = self._changes(t, g, aside)
                allowed = np.sum(np.abs(g) * (bound + self._rounding)) + 2000 * EPSILON * np.sum(
                    np.abs(contribution * t)
                )
                if not (expected < low - allowed or expected > high + allowed):
                    return False
        return True

    def _changes(self, t: Array, g: Array, at_kink: bool) -> tuple[Array, Array, Array]:
        """The two numbers between which the weighted change along t lies, and a bound of the error of each."""
        if not at_kink:
            change, bound = self.change(t)
            return _effect(g, change), _effect(g, change), bound
        aside = 1e-6 * np.abs(t) * self._scale(self._arrays)
        sides = []
        for side in (aside, -aside):
            moved = list(self._arrays)
            moved[self._i] = moved[self._i] + side
            change, bound = self.change(t, moved)
            sides.append(np.real(g * change))
        return np.sum(np.minimum(*sides)), np.sum(np.maximum(*sides)), bound + 1e-5 * np.abs(change)

    def exact(self, g: Array, arrays: Sequence[Array], params: Any) -> Array:
        """The vector-Jacobian product, from the change along each entry."""
        moves_in_plane = np.iscomplexobj(arrays[self._i])
        contribution = np.zeros(np.shape(arrays[self._i]), complex if moves_in_plane else float)
        for entry in np.ndindex(contribution.shape):
            for axis in (1, 1j) if moves_in_plane else (1,):
                t = np.zeros_like(contribution)
                t[entry] = axis
                is_real = not (moves_in_plane or np.iscomplexobj(self._value))
                change = self.change(t, arrays, params)[0] if is_real else self._roughly(t, arrays, params)
                contribution[entry] += np.conj(axis) * _effect(g, change)
        return contribution

    def mistake(self, contribution: Array, g: Array) -> str:
        """The common mistake that turns the right derivative into the wrong one."""
        if np.size(contribution) > _LARGE:
            return ""
        step, i, arrays = self._step, self._i, self._arrays
        right = self.exact(g, arrays, step.params)
        right_contribution = Contribution(
            step.op, i, g, self._value, arrays, step.params, right, lambda g, y, x, params: self.exact(g, x, params)
        )
        tolerance = 1e-7
        candidates = mistaken(right_contribution)
        for sentence, candidate in candidates:
            if (
                sentence not in (INPUT, ARGUMENT)
                and same(contribution, candidate, tolerance)
                and not same(right, candidate, tolerance)
            ):
                return sentence
        return self._taken_for_another(contribution, right, g)

    def _taken_for_another(self, contribution: Array, right: Array, g: Array) -> str:
        """Whether the rule would be right with the output in place of the input, or reads only one of the two."""
        step, i, x, y = self._step, self._i, self._arrays[self._i], self._value
        if np.shape(y) != np.shape(x):
            return ""

        def by_rule(y: Array, x: Array) -> Array:
            return applied(
                step, i, g, y, [*self._arrays[:i], x, *self._arrays[i + 1 :]], step.params, np.shape(contribution)
            )

        if same(by_rule(y, y), right, 1e-7):
            return INPUT
        reads_input, reads_output = (
            not same(moved, contribution, 1e-12) for moved in (by_rule(y, 1.01 * x), by_rule(1.01 * y, x))
        )
        return OUTPUT if reads_output and not reads_input else ""


def applied(step: Step, i: int, g: Array, y: Array, arrays: Sequence[Array], params: Any, shape: Any) -> Array:
    """The i-th rule of an operation on these values, summed over broadcast axes."""
    rule: Any = step.op.vjps[i]
    contribution = rule(g, y, *arrays, **params)
    if isinstance(contribution, Deferred):
        contribution = contribution.whole()
    dtype = np.dtype(complex if np.iscomplexobj(arrays[i]) else float)
    return fitted(contribution, shape, dtype, step.op, i)


def _effect(g: Array, change: Array) -> Array:
    """By how much a loss changes."""
    return np.sum(np.real(g * change))


def same(a: Array, b: Array, tolerance: float) -> bool:
    """Whether two arrays agree up to a fraction of the largest entry of the second."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or not a.size:
        return False
    with np.errstate(invalid="ignore"):
        return bool(np.max(np.abs(a - b)) <= tolerance * np.max(np.abs(b)))
