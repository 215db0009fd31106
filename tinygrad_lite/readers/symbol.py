"""`Symbol`: an array that remembers the expression that computed it, so that code can be read as a formula.

A declaration that is called with symbols returns its own formula, so a lesson shows the very code that runs. Symbols
carry their numbers along, which resolves code that depends on a shape or takes the same branch for all entries.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.ops.arithmetic import elementwise, selection
from tinygrad_lite.ops.shapes import shaping
from tinygrad_lite.readers import notation
from tinygrad_lite.readers.expression import Expression, numbers


class Symbol(Expression):
    """A named array, or the result of an operation on symbols; see `Expression` for its attributes.

    Example:
        >>> import numpy as np
        >>> from tinygrad_lite.ops.arithmetic.elementwise import tanh
        >>> x = Symbol(np.array([0.5, 1.0]), "x")
        >>> tanh.derivatives[0](Symbol(np.tanh(x.value), "y"), x)
        sech(x)²
    """

    __slots__ = ()

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        value = op(*[numbers(x) for x in inputs], **{name: numbers(parameter) for name, parameter in params.items()})
        if not hasattr(value, "dtype"):
            return value  # the answer to a question about its form
        same = _simpler(op, inputs, params)
        return Symbol(value, None, op, inputs, params) if same is None else same

    def __repr__(self) -> str:
        return notation.text(self)


def extent(x: Any) -> int:
    """The number of operations in an expression when written out; a part that is used twice counts twice."""
    counts: dict[int, int] = {}
    ahead = [x]
    while ahead:
        top = ahead[-1]
        if type(top) is not Symbol or id(top) in counts:
            ahead.pop()
            continue
        waiting = [operand for operand in top.inputs if type(operand) is Symbol and id(operand) not in counts]
        if waiting:
            ahead += waiting
        else:
            counts[id(top)] = (top.op is not None) + sum(counts.get(id(operand), 0) for operand in top.inputs)
            ahead.pop()
    return counts.get(id(x), 0)


def operations_in(x: Any) -> int:
    """The number of operations that compute an expression; a part that is used twice counts once."""
    ahead, seen = [x], {id(x): x}
    while ahead:
        top = ahead.pop()
        for operand in top.inputs if type(top) is Symbol else ():
            if id(operand) not in seen:
                seen[id(operand)] = operand
                ahead.append(operand)
    return sum(type(part) is Symbol and part.op is not None for part in seen.values())


def without_numbers(x: Any) -> Any:
    """The same expression without the numbers that its operations made; their form remains."""
    ahead = [x]
    seen: set[int] = set()
    while ahead:
        top = ahead.pop()
        if type(top) is Symbol and top.op is not None and id(top) not in seen:
            seen.add(id(top))
            top.value = np.broadcast_to(np.zeros((), top.dtype), top.shape)
            ahead += top.inputs
    return x


def _simpler(op: Op, inputs: Sequence[Any], params: Mapping[str, Any]) -> Any:
    """The input that equals the result in all entries, if there is one."""
    if op is elementwise.multiply:
        for x, other in (inputs, inputs[::-1]):
            if type(x) is Symbol and _is_number(other, 1) and x.shape == np.broadcast_shapes(x.shape, np.shape(other)):
                return x
    if op is elementwise.power and _is_number(inputs[1], 1):
        return inputs[0]
    if op is shaping.transpose and params.get("axes") == tuple(range(np.ndim(numbers(inputs[0])))):
        return inputs[0]
    if op is selection.where_else:
        condition = np.asarray(numbers(inputs[0]))
        if condition.size and (np.all(condition) or not np.any(condition)):
            chosen = inputs[1] if condition.flat[0] else inputs[2]
            shape = np.broadcast_shapes(*(np.shape(numbers(x)) for x in inputs))
            if type(chosen) is Symbol:
                return chosen if chosen.shape == shape else None
            return chosen if np.ndim(chosen) == 0 and shape != () else None
    return None


def _is_number(x: Any, number: float) -> bool:
    return type(x) is not Symbol and np.ndim(x) == 0 and bool(x == number)
