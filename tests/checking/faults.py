"""The catalogue of faults: the usual mistakes in a derivative, put into the rule of an operation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite.engine.backward import fitted
from tinygrad_lite.engine.op import Deferred, Op

Rule = Callable[..., Any]


@dataclass(frozen=True)
class Fault:
    """A mistake: what it makes of a rule, and the words that a diagnosis of it has."""

    name: str
    words: tuple[str, ...]
    break_rule: Callable[[Rule, int], Rule]


def whole(gradient: Any) -> Any:
    return gradient.whole() if isinstance(gradient, Deferred) else gradient


def afterwards(change: Callable[..., Any]) -> Callable[[Rule, int], Rule]:
    """A fault that changes what the rule returns: change(gradient, y, x)."""

    def break_rule(rule: Rule, i: int) -> Rule:
        return lambda g, y, *x, **params: change(whole(rule(g, y, *x, **params)), y, x[i])

    return break_rule


def beforehand(change: Callable[..., Any]) -> Callable[[Rule, int], Rule]:
    """A fault that changes what the rule is given: change(g, y, x, i) -> (g, y, x)."""

    def break_rule(rule: Rule, i: int) -> Rule:
        def broken(g: Any, y: Any, *x: Any, **params: Any) -> Any:
            g, y, x = change(g, y, list(x), i)
            return whole(rule(g, y, *x, **params))

        return broken

    return break_rule


def _count(y: Any, x: Any) -> int:
    """How many entries a mean would be of."""
    return next((size for size in (int(np.size(y)), int(np.size(x))) if size > 2), 1)


def _first_only(g: Any, y: Any, x: Any, i: int) -> Any:
    if not np.ndim(g):
        return g, y, x
    mask = np.zeros(np.shape(g))
    mask[:1] = 1
    return g * mask, y, x


def _turned(gradient: Any, y: Any, x: Any) -> Any:
    return (
        np.reshape(np.swapaxes(gradient, -1, -2), np.shape(gradient))
        if np.ndim(gradient) > 1 and np.shape(gradient) == np.shape(x)
        else gradient
    )


def _along_the_other_axis(g: Any, y: Any, x: Any, i: int) -> Any:
    square = np.ndim(g) > 1 and np.shape(g)[0] == np.shape(g)[1]
    return (np.swapaxes(g, 0, 1) if square else g), y, x


def _output_for_input(g: Any, y: Any, x: Any, i: int) -> Any:
    return g, y, [*x[:i], y, *x[i + 1 :]] if np.shape(y) == np.shape(x[i]) else x


def _input_for_output(g: Any, y: Any, x: Any, i: int) -> Any:
    return g, x[i] if np.shape(y) == np.shape(x[i]) else y, x


FAULTS = [
    Fault("sign", ("sign",), afterwards(lambda gradient, y, x: -gradient)),
    Fault("factor 2", ("factor of 2 should not be there",), afterwards(lambda gradient, y, x: 2 * gradient)),
    Fault("half", ("factor of 2 is missing",), afterwards(lambda gradient, y, x: gradient / 2)),
    Fault("sum for mean", ("times too large",), afterwards(lambda gradient, y, x: gradient * _count(y, x))),
    Fault("mean for sum", ("times too small",), afterwards(lambda gradient, y, x: gradient / _count(y, x))),
    Fault("transpose", ("transposed", "wrong axis"), afterwards(_turned)),
    Fault("missing batch sum", ("sum over the batch is missing", "nothing arrives"), beforehand(_first_only)),
    Fault(
        "wrong axis",
        ("wrong axis", "transposed"),
        beforehand(_along_the_other_axis),
    ),
    Fault(
        "output for input",
        ("output is used",),
        beforehand(_output_for_input),
    ),
    Fault("input for output", ("input is used",), beforehand(_input_for_output)),
    Fault("stopped", ("nothing arrives",), afterwards(lambda gradient, y, x: np.zeros_like(gradient))),
    Fault(
        "off by one",
        ("off by one", "flipped"),  # which are the same along an axis of two
        afterwards(lambda gradient, y, x: np.roll(gradient, 1, -1) if np.ndim(gradient) else gradient),
    ),
]


class Broken:
    """The rules of an operation of any number of arguments, with a fault in one, which finds its adjoint itself."""

    def __init__(self, op: Op, i: int, fault: Fault) -> None:
        self._rules, self._i, self._fault = op.vjps, i, fault
        self._without_adjoint = (op.arity or 0) + bool(op.shared) if op.adjoint else None

    def rule(self, i: int, g: Any, y: Any, x: Any, **params: Any) -> Any:
        return self[i](g, y, *x, **params)

    def __getitem__(self, i: int) -> Rule:
        rule = self._rules[i]
        if i != self._i:
            return rule
        count = self._without_adjoint
        return self._fault.break_rule(lambda g, y, *x, **params: rule(g, y, *x[:count], **params), i)

    def __len__(self) -> int:
        return len(self._rules)

    def __bool__(self) -> bool:
        return True


@contextmanager
def broken(op: Op, i: int, fault: Fault) -> Iterator[None]:
    """The operation with a fault in its i-th rule."""
    before, _ = op.vjps, op.keywords  # which are read off the rules once
    op.vjps = Broken(op, i, fault)  # type: ignore[assignment]
    try:
        yield
    finally:
        op.vjps = before


def matters(op: Op, i: int, fault: Fault, arrays: list[Any], params: dict[str, Any]) -> bool:
    """Whether the fault changes what the rule gives for these arrays, and gives anything at all."""
    y = op(*arrays, **params)
    given = [*arrays, op.shared(*arrays, **params)] if op.shared else arrays  # as the pass calls a rule
    g = 1 + np.arange(np.size(y)).reshape(np.shape(y)) / 7
    with np.errstate(all="ignore"):
        try:
            right = whole(op.vjps[i](g, y, *given, **params))
            found = fault.break_rule(op.vjps[i], i)(g, y, *given, **params)
            right, found = (fitted(part, np.shape(arrays[i]), np.dtype(float), op, i) for part in (right, found))
        except Exception:
            return False  # it raises, and needs no gradient check to be found
    if not np.all(np.isfinite(found)) or not np.size(right):
        return False
    return bool(np.max(np.abs(found - right)) > 1e-4 * np.max(np.abs(right)) + 1e-12)
