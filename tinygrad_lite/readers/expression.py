"""`Expression`: an array with its numbers and the way it was computed, which is what notation reads."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from tinygrad_lite.engine.op import NO_PARAMS, Array, Op
from tinygrad_lite.engine.operators import Operators
from tinygrad_lite.errors import UsageError


class Numbered(Operators):
    """A traced value that knows its numbers, for their form and dtype, and lets nobody in Python act on them.

    Attributes:
        value: the numbers.
    """

    __slots__ = ("value",)
    value: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)

    @property
    def size(self) -> int:
        return int(np.size(self.value))

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype  # type: ignore[no-any-return]

    def refusal(self) -> UsageError:
        """The error for who asks for the numbers."""
        return UsageError("a formula depends on numbers that are not known to it")

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise self.refusal()

    __bool__ = __int__ = __float__ = __index__ = __array__ = item = tolist = _refuse


class Expression(Numbered):
    """A named array, or the result of an operation.

    Attributes:
        value: the numbers.
        name: what it is called; None for what an operation made.
        op, inputs, params: how it was made; op is None for what has a name.
    """

    __slots__ = ("inputs", "name", "op", "params")

    def __init__(
        self,
        value: Array,
        name: str | None = None,
        op: Op | None = None,
        inputs: Sequence[Any] = (),
        params: Mapping[str, Any] = NO_PARAMS,
    ) -> None:
        self.value = value
        self.name = name
        self.op = op
        self.inputs = inputs
        self.params = params


def numbers(x: Any) -> Any:
    """The numbers of a value that knows them; anything else as it is."""
    if isinstance(x, tuple):
        return tuple(map(numbers, x))
    return x.value if isinstance(x, Numbered) else x
