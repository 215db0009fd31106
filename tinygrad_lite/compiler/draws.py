"""A draw of random numbers, as an operation of a program, and the generators that a program draws from."""

from collections.abc import Sequence
from types import BuiltinMethodType, MethodType
from typing import Any

import numpy as np

GENERATORS = np.random.Generator, np.random.RandomState
"""The kinds of generators that a program draws from."""

Generator = np.random.Generator | np.random.RandomState

OF_NUMPY: np.random.RandomState = np.random.mtrand._rand
"""The global generator, whose methods are the functions of `np.random`."""


def is_drawing(x: Any) -> bool:
    """Whether a value is such a generator, or a method of one, as `np.random.normal` is."""
    return isinstance(x.__self__ if type(x) in (MethodType, BuiltinMethodType) else x, GENERATORS)


def state_of(generator: Generator) -> Any:
    """What the next draws of a generator follow from."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state(legacy=False)


def set_state(generator: Generator, state: Any) -> None:
    """Give a generator a former state."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)


class Draw:
    """A draw from a generator, which takes the place of an operation.

    Attributes:
        name: the generator's method.
        generator: the generator to draw from; if it is an argument, that of the recorded call.
        argument: the index of the generator among the leaves of the arguments, if it is one of them.
    """

    def __init__(
        self,
        generator: Generator,
        argument: int | None,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.generator = generator
        self.argument = argument
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.vjps = ()
        self.derivatives = ()

    def forward(self, leaves: Sequence[Any] | None = None) -> Any:
        """The numbers, in a call with these leaves of the arguments."""
        return getattr(self.source(leaves), self.name)(*self.args, **self.kwargs)

    def source(self, leaves: Sequence[Any] | None) -> Generator:
        """The generator, in a call with these leaves of the arguments."""
        return self.generator if leaves is None or self.argument is None else leaves[self.argument]

    def __repr__(self) -> str:
        return self.name
