"""Floor 5. A draw of random numbers, in the place of an operation."""

from typing import Any

import numpy as np


class Draw:
    """A draw from a generator: what it takes the place of an operation with.

    Attributes:
        name: the generator's method.
        generator: to draw from.
    """

    def __init__(
        self, generator: np.random.Generator, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.generator = generator
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.vjps = ()
        self.derivatives = ()

    def forward(self) -> Any:
        """The numbers."""
        return getattr(self.generator, self.name)(*self.args, **self.kwargs)

    def __repr__(self) -> str:
        return self.name
