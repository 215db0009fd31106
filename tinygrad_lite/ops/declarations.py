"""What is looked at when a user declares an operation: its rules, what they are called with, and shapes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.engine.arguments import ForEach
from tinygrad_lite.engine.op import Array, Op, listeners
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.foundation.signatures import signature_of


def _look_at(op: Op) -> None:
    """Raise if a rule of a user's operation lacks arguments, and look at the shapes of what works entry by entry."""
    if _is_ours(op):
        return
    has_one_rule = isinstance(op.vjps, ForEach)
    if (op.adjoint and (op.derivatives or has_one_rule or not op.vjps)) or (op.shared and has_one_rule):
        raise UsageError(
            f"{op.name}: an adjoint is for tg.primitive with a rule for each argument, and shared= for these and for "
            "tg.elementwise; each= has one rule, which can compute all that it needs"
        )
    if isinstance(op.vjps, ForEach):
        _check_rule(f"a derivative of {op}", op.vjps.rule, ["i", "g", "y", "x"])
        return
    names = [*(["y"] if op.derivatives else ["g", "y"]), *(f"x{i}" for i in range(op.arity or 0))]
    names += ["shared"] * bool(op.shared)
    if op.adjoint:
        _check_rule(f"the adjoint of {op}", op.adjoint, names)
        names.append("adjoint")
    for rule in op.derivatives or op.vjps:
        _check_rule(f"a derivative of {op}", rule, names)
    if op.derivatives:
        op.compute = _entry_by_entry(op, op.compute)


def _check_rule(title: str, rule: Any, names: Sequence[str]) -> None:
    if not callable(rule):
        return
    signature = signature_of(rule)
    try:
        signature.bind_partial(*names)
    except TypeError:
        listed = ", ".join(names)
        raise UsageError(
            f"{title} is called with {listed}; this one takes {signature}: write lambda {listed}: …"
        ) from None


def _entry_by_entry(op: Op, compute: Callable[..., Array]) -> Callable[..., Array]:
    """How to compute an operation whose result is looked at."""

    def checked(*arrays: Array, **params: Any) -> Array:
        y = compute(*arrays, **params)
        check_entries(op, y, arrays)
        return y

    return checked


def check_entries(op: Op, y: Array, arrays: Sequence[Array]) -> None:
    """Raise unless the result of a user's elementwise operation has an entry for each of the arrays' entries.

    The engine would multiply each derivative by an upstream gradient of another shape, and where NumPy can broadcast
    the one to the other, as for the sums of the rows of a square matrix, the gradient would be wrong.
    """
    if not op.derivatives or _is_ours(op):
        return
    shapes = [np.shape(x) for x in arrays[: op.arity]]
    if np.shape(y) != np.broadcast_shapes(*shapes):
        raise ShapeError(
            f"{op.name} is declared by tg.elementwise, so it must work entry by entry, but it made the shape "
            f"{np.shape(y)} of {', '.join(map(str, shapes))}: declare it by tg.primitive, with vector-Jacobian products"
        )


def _is_ours(op: Op) -> bool:
    return op.module.startswith("tinygrad_lite.")


listeners.insert(0, _look_at)  # before an operation is registered
