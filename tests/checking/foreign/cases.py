"""Gradients that others wrote, as they are and with mistakes planted in them, and what a checker must say of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from tests.checking.foreign import truth
from tinygrad_lite import trees

Gradient = Callable[..., Any]
Arrays = list[np.ndarray]
VERIFIED, REFUTED, UNKNOWN = {"passed"}, {"failed"}, {"inconclusive"}


@dataclass(frozen=True)
class Problem:
    """A function with its right gradient at a point, and how we know that it is right.

    The truth is `derived` where it is given; else what differences of `exact`, or of f, say: with this step in float64,
    or, where none is given, in 60 digits.

    Attributes:
        gradient: returns arrays of shape y + x, in the containers of the inputs; a tuple for several inputs.
        mistakes: which of MISTAKES to plant; by default some in turn.
        wrong: gradients that are wrong in a way of their own; `refused` are those that have another form.
        imprecise: gradients of some digits, as of forward differences, or of an equation that f solves to a tolerance:
            they are not verified, and if they are called wrong, it is said to how many digits they agree.
        ours: whether the right gradient is checked as ours, which finds it through the operations of f.
        exact: f without what rounds its digits away.
        derived: the right gradient, derived.
        accuracy: the largest error of the gradient, relative to the largest entry of its array.
        knowable: how precisely the values of f in float64 tell the gradient, relative to its largest entry.
        why: why that is no more.
    """

    name: str
    f: Callable[..., Any]
    inputs: tuple[Any, ...]
    gradient: Gradient
    mistakes: Sequence[str] | None = None
    wrong: dict[str, Gradient] = field(default_factory=dict)
    imprecise: dict[str, Gradient] = field(default_factory=dict)
    refused: dict[str, Gradient] = field(default_factory=dict)
    ours: bool = False
    exact: Callable[..., Any] | None = None
    derived: Any = None
    step: float | None = None
    accuracy: float = 1e-11
    knowable: float = 1e-10
    why: str = ""

    def __post_init__(self) -> None:
        assert self.knowable <= 1e-9 or self.why, f"{self.name}: why is no more known?"

    def arrays(self, gradient: Gradient | None = None) -> Arrays:
        """A gradient at the inputs, in their order; by default the right one."""
        like = self.inputs if len(self.inputs) > 1 else self.inputs[0]
        return leaves(in_order_of(like, (gradient or self.gradient)(*self.inputs)))

    @property
    def error(self) -> float:
        """How far the right gradient is from the truth, which is found by other means than itself or the checker."""
        if self.derived is not None:
            true = leaves(self.derived)
        else:
            true = truth.derivative(self.exact or self.f, self.inputs, self.step)
        found = self.arrays()
        return size_of([np.where(np.isnan(a), b, a) for a, b in zip(true, found, strict=True)], found)

    def expected(self, size: float) -> set[str]:
        """What to say of a mistake of this size, relative to the largest entry; 0 for the right gradient."""
        if size == 0:
            return VERIFIED if self.knowable <= 1e-7 else VERIFIED | UNKNOWN
        return REFUTED if size > 50 * self.knowable else REFUTED | UNKNOWN


@dataclass(frozen=True)
class Case:
    """A gradient to check.

    Attributes:
        gradient: a function of the inputs, or arrays, or None for ours.
        expected: the outcomes that are true: "passed", "failed", "inconclusive", or "refused" for an error.
        says: what the report must say if it fails.
    """

    name: str
    f: Callable[..., Any]
    inputs: tuple[Any, ...]
    gradient: Any
    expected: set[str]
    says: str = ""


def a(*entries: float) -> np.ndarray:
    return np.array(entries)


def leaves(gradient: Any) -> Arrays:
    return [np.array(leaf, float) for leaf in trees.leaves(gradient)]


def in_order_of(like: Any, containers: Any) -> Any:
    """The same containers, with their keys in the order of others."""
    if isinstance(like, Mapping):
        return {key: in_order_of(like[key], containers[key]) for key in like}
    if isinstance(like, tuple | list):
        return type(like)(in_order_of(a, b) for a, b in zip(like, containers, strict=True))
    return containers


def size_of(right: Arrays, wrong: Arrays, own: bool = False) -> float:
    """How large a mistake is: its largest entry, relative to the largest of its array, or to the same entry."""
    sizes = []
    for a, b in zip(right, wrong, strict=True):
        usual = _largest(a) or _largest(b) or 1.0
        sizes.append(_largest((b - a) / (np.where(a == 0, usual, np.abs(a)) if own else usual)))
    return max(sizes)


def _largest(x: np.ndarray) -> float:
    return float(np.max(np.where(np.isnan(x), np.inf, np.abs(x)), initial=0))


def _arrays(change: Callable[[Arrays], Arrays]) -> Callable[[Gradient], Gradient]:
    """A mistake in the arrays of a gradient."""

    def plant(gradient: Gradient) -> Gradient:
        def planted(*inputs: Any) -> Any:
            found = gradient(*inputs)
            like = inputs if len(inputs) > 1 else inputs[0]
            changed = iter(change(leaves(in_order_of(like, found))))
            return in_order_of(found, trees.map_leaves(lambda _: next(changed), in_order_of(like, found)))

        return planted

    return plant


def _each(change: Callable[[np.ndarray], Any]) -> Callable[[Gradient], Gradient]:
    """A mistake in each array."""
    return _arrays(lambda gradients: [np.asarray(change(g)) for g in gradients])


def _last(change: Callable[[np.ndarray], Any]) -> Callable[[Gradient], Gradient]:
    """A mistake in the last array."""
    return _arrays(lambda gradients: [*gradients[:-1], np.asarray(change(gradients[-1]))])


def _one(factor: float) -> Callable[[Gradient], Gradient]:
    """A mistake in the largest entry of the last array."""
    return _last(lambda g: g * np.where(np.arange(g.size).reshape(g.shape) == np.argmax(np.abs(g)), factor, 1.0))


def _stale(gradient: Gradient) -> Gradient:
    """The gradient at a point that has since been left."""
    return lambda *inputs: gradient(*trees.map_leaves(lambda x: x * 0.999 if truth.varies(x) else x, inputs))


MISTAKES: dict[str, Callable[[Gradient], Gradient]] = {
    "the sign reversed": _each(np.negative),
    "one entry off by 1e-8": _one(1 + 1e-8),
    "the mean taken for a sum": _each(lambda g: g * max(g.size, 2)),
    "one entry missing": _one(0.0),
    "stale": _stale,
    "twice too large": _each(lambda g: 2 * g),
    "off by one": _last(lambda g: np.roll(g, 1, axis=-1) if g.ndim else g),
    "one entry off by 1e-6": _one(1 + 1e-6),
    "zero": _each(np.zeros_like),
    "half of the last": _last(lambda g: g / 2),
    "transposed": _each(lambda g: np.swapaxes(g, -1, -2) if g.ndim > 1 and g.shape[-1] == g.shape[-2] else g),
    "off by 1 %": _each(lambda g: 1.01 * g),
    "the last slice missing": _last(lambda g: np.concatenate([g[:-1], 0 * g[-1:]]) if g.ndim else g),
    "to four digits": _each(np.vectorize(lambda x: float(f"{x:.4g}"), otypes=[float])),
    "sorted": _last(lambda g: np.sort(g, axis=-1) if g.ndim else g),
    "its sign alone": _each(np.sign),
}


def cases(problems: Sequence[Problem], planted: int = 1) -> Iterator[Case]:
    """The right gradient of each problem, its own mistakes, and, to have so many, some of MISTAKES that change it."""
    for turn, p in enumerate(problems):
        yield Case(f"{p.name}, right", p.f, p.inputs, None if p.ours else p.gradient, p.expected(0))
        for name, gradient in p.refused.items():
            yield Case(f"{p.name}, {name}", p.f, p.inputs, gradient, {"refused"})
        right = p.arrays()
        for name, gradient in (p.wrong | p.imprecise).items():
            size = size_of(right, p.arrays(gradient), own=True)
            assert size > 10 * p.accuracy, f"{p.name}, {name}: no mistake"
            if name in p.imprecise:
                yield Case(f"{p.name}, {name}", p.f, p.inputs, gradient, REFUTED | UNKNOWN, says="it agrees to")
            else:
                yield Case(f"{p.name}, {name}", p.f, p.inputs, gradient, p.expected(size))
        own = len(p.wrong) + len(p.imprecise)
        for name in p.mistakes or islice(_effective(p, right, turn), 0 if p.mistakes == () else max(0, planted - own)):
            gradient = MISTAKES[name](p.gradient)
            size = size_of(right, p.arrays(gradient))
            assert size > 10 * p.accuracy, f"{p.name}, {name}: no mistake"
            given = gradient(*p.inputs) if "one entry" in name else gradient  # known at one point only
            expected = REFUTED | UNKNOWN if name == "to four digits" else p.expected(size)
            yield Case(f"{p.name}, {name}", p.f, p.inputs, given, expected)


def _effective(p: Problem, right: Arrays, turn: int) -> Iterator[str]:
    """Those of MISTAKES that change a gradient by more than its accuracy, from one that differs by problem."""
    names = list(MISTAKES)
    for name in names[turn % len(names) :] + names:
        if size_of(right, p.arrays(MISTAKES[name](p.gradient))) > 10 * p.accuracy:
            yield name
