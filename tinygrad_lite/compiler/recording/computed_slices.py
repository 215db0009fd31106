"""Slices with bounds that a function computes, as in `x[start : start + 32]`: the entries from `start` on.

A program has fixed shapes, so such a slice must be as long in each run: its bounds are the same sum but for a constant.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.compiler.program import Program, Variable
from tinygrad_lite.errors import UsageError

Sum = tuple[Counter[Variable], int]
"""A whole number as a sum of variables, each with its factor, and a constant."""


def length_between(start: Any, stop: Any, program: Program) -> int | None:
    """How many numbers are between two that a program computes, in each run; None if that is not known.

    Args:
        start, stop: variables or Python numbers.
    """
    sums = _sums([x for x in (start, stop) if isinstance(x, Variable)], program)
    (factors, first), (others, last) = (sums.get(x, (Counter(), x)) for x in (start, stop))
    return last - first if factors == others else None


def _sums(wanted: Sequence[Variable], program: Program) -> dict[Any, Sum]:
    """Variables as sums of others that are not sums themselves; what is computed twice counts as the first of these."""
    needed, calls = set(wanted), []
    for call in reversed(program.calls):
        if call.result in needed and not call.params and not call.has_effect:
            calls.append(call)
            needed.update(call.reads)
    sums: dict[Any, Sum] = {x: (Counter({x: 1}), 0) for x in needed}
    computed: dict[Any, Sum] = {}
    for call in reversed(calls):
        terms = [sums[x] if isinstance(x, Variable) else (Counter[Variable](), x) for x in call.inputs]
        known = (call.op, *((frozenset(factors.items()), type(constant), constant) for factors, constant in terms))
        is_whole = all(type(constant) is int for _, constant in terms)
        made = _RULES[call.op.name](*terms) if is_whole and call.op.name in _RULES else None
        sums[call.result] = made or computed.setdefault(known, sums[call.result])
    return sums


def _scaled(x: Sum, factor: int) -> Sum:
    return Counter({variable: factor * count for variable, count in x[0].items()}), factor * x[1]


def _added(a: Sum, b: Sum) -> Sum:
    total = Counter(a[0])
    total.update(b[0])
    return total, a[1] + b[1]


def _multiplied(a: Sum, b: Sum) -> Sum | None:
    if b[0]:
        a, b = b, a
    return None if b[0] else _scaled(a, b[1])


_RULES: dict[str, Any] = {
    "add": _added,
    "subtract": lambda a, b: _added(a, _scaled(b, -1)),
    "negative": lambda a: _scaled(a, -1),
    "positive": lambda a: a,
    "multiply": _multiplied,
    "item": lambda a: a,
}


def is_computed(index: Any) -> bool:
    """Whether an index has a slice with a bound that is recorded."""
    return any(map(_is_computed_slice, index if type(index) is tuple else (index,)))


def _is_computed_slice(part: Any) -> bool:
    return type(part) is slice and any(hasattr(x, "__trace__") for x in (part.start, part.stop, part.step))


def by_entries(index: Any, shape: Sequence[int], entries: Callable[[slice, int], Any]) -> Any:
    """The same index with arrays of numbers in place of the slices with recorded bounds.

    Args:
        shape: of the array that is read.
        entries: the numbers for a slice of an axis of this length, or another slice.

    Raises:
        UsageError: if NumPy would arrange the result otherwise.
    """
    parts = list(index) if type(index) is tuple else [index]
    taken = sum(part is not None and part is not Ellipsis for part in parts)
    axis, made = 0, list[Any]()
    for part in parts:
        made.append(entries(part, shape[axis]) if _is_computed_slice(part) else part)
        axis += len(shape) - taken if part is Ellipsis else part is not None
    cuts = [i for i, part in enumerate(made) if part is not parts[i] and type(part) is not slice]
    picks = [i for i, part in enumerate(made) if not isinstance(part, (slice, type(None), type(Ellipsis)))]
    is_plain = all(i in cuts or (hasattr(made[i], "__index__") and np.ndim(made[i]) == 0) for i in picks)
    if cuts and not (is_plain and picks[-1] - picks[0] < len(picks)):
        raise UsageError(
            "a compiled function reads a slice with computed bounds together with other indices: take one after the "
            "other, as in x[start : start + length][rows]"
        )
    for after, i in enumerate(reversed(cuts)):
        made[i] = np.reshape(made[i], (-1, *(1,) * after))
    return tuple(made)
