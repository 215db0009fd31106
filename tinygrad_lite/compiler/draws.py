"""A draw of random numbers, as an operation of a program."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class Draw:
    """A draw from a generator, which takes the place of an operation.

    Attributes:
        name: the generator's method.
        generator: the generator to draw from; if it is an argument, that of the recorded call.
        argument: the index of the generator among the leaves of the arguments, if it is one of them.
    """

    def __init__(
        self,
        generator: np.random.Generator,
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

    def source(self, leaves: Sequence[Any] | None) -> np.random.Generator:
        """The generator, in a call with these leaves of the arguments."""
        return self.generator if leaves is None or self.argument is None else leaves[self.argument]

    def __repr__(self) -> str:
        return self.name
