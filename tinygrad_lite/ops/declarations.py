"""What is looked at when a user declares an operation: its rules, what they are called with, and shapes."""

from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np

from tinygrad_lite.engine.arguments import ForEach
from tinygrad_lite.engine.op import Array, Facts, Op, Traced, listeners
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.foundation.signatures import signature_of

KINDS = (None, *get_args(get_args(Facts.__annotations__["kind"])[0]))
"""What the annotation of the fact allows."""


def _look_at(op: Op) -> None:
    """Raise if a rule of a user's operation lacks arguments, and look at the shapes of what works entry by entry."""
    if _is_ours(op):
        return
    _check_facts(op)
    op.compute = _of_arguments_alone(op, op.compute)
    has_one_rule = isinstance(op.vjps, ForEach)
    if (op.adjoint and (op.derivatives or has_one_rule or not op.vjps)) or (op.shared and has_one_rule):
        raise UsageError(
            f"{op.name}: an adjoint is for tg.primitive with a rule for each argument, and shared= for these and for "
            "tg.elementwise; each= has one rule, which can compute all that it needs"
        )
    if isinstance(op.vjps, ForEach):
        _check_rule(f"a derivative of {op}", op.vjps.rule, ["i", "g", "y", "x"], None)
        return
    arrays = [f"x{i}" for i in range(op.arity or 0)]
    names = [*(["y"] if op.derivatives else ["g", "y"]), *arrays, *["shared"] * bool(op.shared)]
    params = _parameters(op)
    if op.shared:
        _check_rule(f"the value of {op}", op.forward, [*arrays, "shared"], None)
        _check_rule(f"the shared expression of {op}", op.shared, arrays, params)
    if op.kink:
        _check_rule(f"the kink of {op}", op.kink, arrays, params)
    if op.adjoint:
        _check_rule(f"the adjoint of {op}", op.adjoint, names, params)
        names.append("adjoint")
    for rule in op.derivatives or op.vjps:
        _check_rule(f"a derivative of {op}", rule, names, params)
    if op.derivatives:
        op.compute = _entry_by_entry(op, op.compute)


def _check_facts(op: Op) -> None:
    """Raise if a fact is of another kind than code that reads it later takes for granted."""
    functions: dict[str, Any] = {name: getattr(op, name) for name in ("kink", "on_complex", "shared", "adjoint")}
    if not isinstance(op.vjps, ForEach):
        functions |= {f"the derivative with respect to argument {i}": rule for i, rule in enumerate(op.vjps)}
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise UsageError(f"{op.name}: {name} must be a function, got {function!r}")
    if op.kind not in KINDS:
        raise UsageError(f"{op.name}: kind must be one of {', '.join(map(repr, KINDS[1:]))}; got {op.kind!r}")
    intervals = [np.shape(interval) == (2,) and interval[0] < interval[1] for interval in op.domain or ()]
    if op.domain is not None and not (all(intervals) and len(intervals) in (op.arity, *[1] * (op.arity is None))):
        raise UsageError(
            f"{op.name}: domain needs an interval (low, high) for each argument, such as ((0.0, np.inf),) of one; got "
            f"{op.domain!r}"
        )


def _parameters(op: Op) -> set[str] | None:
    """The names of the parameters that the forward takes; None if it takes any."""
    known = [*signature_of(op.forward).parameters.values()]
    if any(parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) for parameter in known):
        return None
    return {parameter.name for parameter in known[op.arity :]}


def _check_rule(title: str, rule: Any, names: Sequence[str], params: set[str] | None) -> None:
    """Raise if a rule takes fewer arguments than these, or needs others that are no parameters of the operation."""
    if not callable(rule):
        return
    signature = signature_of(rule)
    others = [
        parameter.name
        for parameter in [*signature.parameters.values()][len(names) :]
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is parameter.empty
    ]
    try:
        signature.bind_partial(*names)
        takes_more = params is not None and not params.issuperset(others)
    except TypeError:
        takes_more = True
    if takes_more:
        listed = ", ".join(names)
        raise UsageError(f"{title} is called with {listed}; this one takes {signature}: write lambda {listed}: …")


def _of_arguments_alone(op: Op, compute: Callable[..., Array]) -> Callable[..., Array]:
    """How to compute an operation on arrays, from which no value that is being differentiated can come out.

    Its rules do not cover a tensor that it reads from outside, whose gradient would be lost.
    """

    def checked(*arrays: Array, **params: Any) -> Array:
        y = compute(*arrays, **params)
        if not isinstance(y, Traced) or any(isinstance(x, Traced) for x in arrays):
            return y
        if y.not_data or getattr(y, "requires_grad", False):
            raise UsageError(reads_from_outside(op))
        return getattr(y, "data", y)

    return checked


def reads_from_outside(op: Op) -> str:
    """The message for an operation whose value depends on a tensor that is not an argument."""
    return (
        f"{op.name} reads a tensor that is being differentiated and is not an argument (or a value under tg.vmap), so "
        "that no rule covers it: make it an argument, or let the operation read tg.stop_gradient(tensor)"
    )


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
