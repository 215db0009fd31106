"""A stack of examples that an operation takes, and what computes the results of all examples at once.

A rule takes the arrays of a call, each with the answer to whether it is a stack, and the parameters as they are for one
example. A stack has the examples along its first axis, and so has the result; an array that is none is the same for all
examples. An operation without a rule, or a call that its rule does not know, runs once for each example.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op, Params
from tinygrad_lite.engine.registry import operation
from tinygrad_lite.errors import RESTATED


class Argument:
    """An array that an operation takes.

    Attributes:
        is_stack: whether it is a stack of examples.
        ndim: the number of axes of one example.
    """

    __slots__ = ("array", "is_stack", "ndim")

    def __init__(self, array: Array, is_stack: bool) -> None:
        self.array = array
        self.is_stack = is_stack
        self.ndim: int = getattr(array, "ndim", 0) - is_stack  # np.ndim of a tensor takes five times as long

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return np.shape(self.array)[self.is_stack :]

    def with_axes(self, ndim: int) -> Array:
        """The array, where further axes of length 1 stand before those of an example until it has this many."""
        missing = ndim - self.ndim
        if not self.is_stack or missing <= 0:
            return self.array
        count, *sizes = self.array.shape
        return np.reshape(self.array, (count, *(1,) * missing, *sizes))

    def repeated(self, count: int) -> Array:
        """The array as a stack of so many examples, which are all the same if it is none."""
        return self.array if self.is_stack else np.broadcast_to(self.array, (count, *np.shape(self.array)))

    def repeated_with_axes(self, count: int, ndim: int) -> Array:
        """The array as a stack of so many examples, each with so many axes."""
        return Argument(self.repeated(count), True).with_axes(ndim)


class OneByOneError(Exception):
    """A call that no rule computes for all examples at once."""


def one_by_one() -> Any:
    """Say in an expression that no rule computes this call for all examples at once."""
    raise OneByOneError


class ByPartsError(OneByOneError):
    """A call whose forward may run on stacks, operation by operation: its own derivatives are no better than theirs."""


Rule = Callable[..., Array]
"""What computes `rule(op, *arguments, **params)` for all examples."""

_RULES: dict[Op, Rule] = {}


def at_once(op: Op, arguments: Sequence[Argument], params: Params) -> Array:
    """The results of an operation for all examples, along the first axis.

    Raises:
        OneByOneError: if the examples must be computed one by one.
    """
    rule: Rule | None = _RULES.get(op, broadcasting if _works_entry_by_entry(op) else None)
    if rule is None:
        raise OneByOneError
    try:
        return rule(op, *arguments, **params)
    except RESTATED as error:  # a parameter that the rule does not know, or a call that is wrong for one example, too
        raise OneByOneError from error


def _works_entry_by_entry(op: Op) -> bool:
    return bool(op.derivatives) or (isinstance(op.forward, np.ufunc) and op.forward.signature is None)


def rule_of(*names: str) -> Callable[[Rule], Rule]:
    """Enter a rule for the operations with these names."""

    def enter(rule: Rule) -> Rule:
        _RULES.update({operation(name): rule for name in names})
        return rule

    return enter


def number_of_examples(arguments: Sequence[Argument]) -> int:
    """The number of examples."""
    return next(len(x.array) for x in arguments if x.is_stack)


def broadcasting(op: Op, *arguments: Argument, **params: Any) -> Array:
    """A call whose arguments broadcast, so that their axes count from the last, or which works entry by entry."""
    ndim = max([x.ndim for x in arguments])
    return op(*[x.with_axes(ndim) for x in arguments], **params)
