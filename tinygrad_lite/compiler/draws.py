"""A draw of random numbers, in the place of an operation."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class Draw:
    """A draw from a generator: what it takes the place of an operation with.

    Attributes:
        name: the generator's method.
        generator: to draw from; where it is an argument, the one of the call that was recorded.
        argument: which leaf of the arguments is the generator, if one is.
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
        generator = self.generator if leaves is None or self.argument is None else leaves[self.argument]
        return getattr(generator, self.name)(*self.args, **self.kwargs)

    def __repr__(self) -> str:
        return self.name
