"""Messages about anomalies: the operation, the line, the entry and its numbers, the inputs, the remedy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.auditing import remedies
from tinygrad_lite.engine.op import Op
from tinygrad_lite.readers.recording import Source, Step

_SHOWN = 4


@dataclass(frozen=True)
class CalledOperation:
    """A call of an operation, without its arrays, which its result holds for as long as they are needed.

    Attributes:
        name: the operation's name in messages.
        inputs: the name of each input, if it has one.
    """

    name: str
    op: Op
    source: Source | None
    inputs: Sequence[str | None]


def of_value(step: Step, made: Any, of_infinities: bool) -> str:
    """The message for a value that an operation made at the entries in `made`."""
    name, value, entry = step.op.name, step.value, first(made)
    of_nothing = any(np.size(x) == 0 for x in step.arrays)
    return _message(
        f"{name} made {value[entry]} in the forward pass",
        step.source,
        f"{_where(made)}{_entry(step.op, value, step.arrays, entry)}",
        *_inputs(step.arrays, [getattr(x, "name", None) for x in step.inputs]),
        remedy=remedies.in_forward(name, value[entry], value.dtype, of_infinities, of_nothing),
    )


def of_input(step: Step) -> str:
    """The message for a NaN that no operation made."""
    names = [getattr(x, "name", None) for x in step.inputs]
    which = [f"input {i}{_quoted(names[i])}" for i, x in enumerate(step.arrays) if is_real(x) and np.isnan(x).any()]
    where = which[0] if which else "a setting"
    return _message(
        f"{step.op.name} was given nan in the forward pass, in {where}, and no operation in this block made it",
        step.source,
        *_inputs(step.arrays, names),
        remedy="look at the data, np.isnan(x).any(axis=0), and at how the parameters were made, updated or loaded; "
        "fill in missing values, np.where(np.isnan(x), 0, x), or leave them out",
    )


def of_gradient(call: CalledOperation, i: int, gradient: Any, g: Any, y: Any, arrays: Sequence[Any]) -> str:
    """The message for a gradient of the i-th input that an operation's derivative made from g, y and the arrays."""
    upstream = g if np.ndim(g) == 0 else None
    bad = ~np.isfinite(gradient)
    entry = first(bad)
    told = f"the gradient is {gradient[entry]}"
    if call.op.derivatives and np.ndim(gradient) == np.ndim(y):
        bad = np.broadcast_to(bad, np.shape(y))
        entry = first(bad)
        upstream = np.broadcast_to(g, np.shape(y))[entry]
        handed = np.broadcast_to(gradient, np.shape(y))[entry]
        told = f"{_entry(call.op, y, arrays, entry)}, the upstream gradient was {upstream}, and {handed} was handed on"
    elif np.shape(arrays[i]) == np.shape(gradient):
        told += f", where input {i} is {np.asarray(arrays[i])[entry]}"
    value = np.broadcast_to(gradient, np.shape(bad))[entry]
    return _message(
        f"{call.name} made {value} in the backward pass, in the gradient of input {i}{_quoted(call.inputs[i])}",
        call.source,
        f"{_where(bad)}{told}",
        f"the upstream gradient: {_summary(g)}",
        *_inputs(arrays, call.inputs),
        remedy=remedies.in_backward(call.op.name, value, np.result_type(gradient), upstream),
    )


def of_arrival(call: CalledOperation, g: Any) -> str:
    """The message for a number in the upstream gradient of a result that is not finite and that no rule made."""
    number = g[first(~np.isfinite(g))]
    return _message(
        f"{number} arrived at the result of {call.name} in the backward pass, and no operation in this block made it",
        call.source,
        f"the upstream gradient: {_summary(g)}",
        remedy="look at the gradient that backward() was given, and at what was computed before the block, which is "
        "not watched; gradients whose sum is too large need a smaller loss: average instead of summing",
    )


def _message(head: str, source: Source | None, *lines: str, remedy: str) -> str:
    remedies = f"remedy: {remedy}".replace("; ", "\n          ")
    return "\n  ".join([head, *([str(source)] if source else []), *lines, remedies])


def _where(bad: Any) -> str:
    """The first entry in question, and the number of such entries."""
    if np.ndim(bad) == 0:
        return ""
    count = int(np.sum(bad))
    return f"at {[*first(bad)]}{f', the first of {count:,} such entries' if count > 1 else ''}: "


def _entry(op: Op, y: Any, arrays: Sequence[Any], entry: tuple[int, ...]) -> str:
    """One entry of a result; for an elementwise operation, with the entries that it was made from."""
    if not op.derivatives:
        return f"the value is {y[entry]}"
    entries = [str(np.broadcast_to(x, np.shape(y))[entry]) for x in arrays]
    return f"{op.name}({', '.join(entries)}) = {y[entry]}"


def _inputs(arrays: Sequence[Any], names: Sequence[str | None]) -> list[str]:
    lines = [f"input {i}{_quoted(name)}: {_summary(x)}" for i, (x, name) in enumerate(zip(arrays, names))]
    return [*lines[:_SHOWN], *([f"and {len(lines) - _SHOWN} more inputs"] if len(lines) > _SHOWN else [])]


def _summary(x: Any) -> str:
    """A number itself; for an array, its range, and the counts of NaN and infinities."""
    if np.ndim(x) == 0:
        return str(x)
    form = f"{x.dtype}{[*x.shape]}"
    if not is_real(x):
        return form
    finite = x[np.isfinite(x)]
    facts = [f"from {finite.min()} to {finite.max()}"] if finite.size else []
    for name, mask in (("nan", np.isnan(x)), ("inf", np.isposinf(x)), ("-inf", np.isneginf(x))):
        if mask.any():
            facts.append(f"{int(mask.sum()):,} × {name}, first at {[*first(mask)]}")
    return f"{form} {', '.join(facts) or 'without entries'}"


def _quoted(name: str | None) -> str:
    return f" {name!r}" if name else ""


def first(where: Any) -> tuple[int, ...]:
    """The first index at which a mask is true."""
    return tuple(map(int, np.argwhere(where)[0]))


def is_real(x: Any) -> bool:
    """Whether these are Python or NumPy floating-point numbers."""
    return isinstance(x, (float, np.ndarray, np.generic)) and np.result_type(x).kind == "f"


def are_finite(arrays: Iterable[Any], params: Mapping[str, Any]) -> bool:
    """Whether all numbers that an operation is given are finite, in its settings, too, such as what it pads with."""
    return all(map(is_finite, arrays)) and all(map(is_finite, trees.leaves(dict(params))))


def is_finite(x: Any) -> bool:
    """Whether all numbers are finite."""
    return not is_real(x) or bool(np.isfinite(x).all())
