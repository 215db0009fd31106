"""`Expression`: an array together with the operations that computed it, for notation to read."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from tinygrad_lite.engine.op import NO_PARAMS, Array, Op
from tinygrad_lite.engine.operators import Operators
from tinygrad_lite.errors import UsageError


class Numbered(Operators):
    """A traced value that knows its numbers, for their shape and dtype, but does not let Python code read them.

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
        """The error for code that asks for the numbers."""
        return UsageError("a formula depends on numbers that it does not know")

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise self.refusal()

    __bool__ = __int__ = __float__ = __index__ = __array__ = item = tolist = _refuse


class Expression(Numbered):
    """A named array, or the result of an operation.

    Attributes:
        value: the numbers.
        name: its name; None for the result of an operation.
        op, inputs, params: the operation that made it; op is None for an array with a name.
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
    """The numbers of a numbered value; return anything else as it is."""
    if isinstance(x, tuple):
        return tuple(map(numbers, x))
    return x.value if isinstance(x, Numbered) else x
