"""`Recorded`: an array, or a number, of which every use is written down.

It lies under tensors as an array does, so forward, backward and update are followed alike; and what Python would have
to know of it, a truth or a number, is an error, since it would be another one in the next run.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np

from tinygrad_lite.compiler.program import Variable
from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.engine.operators import Operators
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import UsageError
from tinygrad_lite.readers.recording import calling_line
from tinygrad_lite.transforms.dual import Dual


class Writer(Protocol):
    """What a recorded value asks of the recorder."""

    def call(self, op: Op, inputs: Sequence[Array], params: Mapping[str, Any]) -> Any:
        """The result of an operation, which is written down."""

    def constant(self, array: Array) -> Any:
        """An array that is the same in each run."""


def at_line() -> str:
    """The user's line that is being recorded, for an error about it."""
    line = calling_line()
    return f" at {line}" if line else ""


class Recorded(Operators):
    """A value in a function that is being recorded.

    Attributes:
        value: the array or the Python number that it is in this run.
        variable: what stands for it in the program.
    """

    __slots__ = ("recorder", "value", "variable")

    def __init__(self, value: Any, variable: Variable, recorder: Writer) -> None:
        self.value = value
        self.variable = variable
        self.recorder = recorder

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        if any(isinstance(x, (Tensor, Dual)) for x in inputs):
            return op(*[wrap(x) if type(x) is Recorded else x for x in inputs], **params)
        return self.recorder.call(op, inputs, params)

    def beside(self, x: Array) -> Array:
        """An array from outside is followed too, so that what a rule makes of it is made anew in each run."""
        return self.recorder.constant(x) if isinstance(x, np.ndarray) else x

    @property
    def shape(self) -> tuple[int, ...]:
        return self.variable.shape

    @property
    def size(self) -> int:
        return self.variable.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.variable.dtype  # type: ignore[no-any-return]

    def _needed(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: what would be fixed at recording."""
        raise UsageError(
            f"a compiled function needs a value while it is recorded{at_line()}\n"
            "and the next run will have another: choose with np.where(condition, a, b) in place of `if`, stay with "
            "tensors in place of float(t), t.item() and t.numpy(), or pass what Python has to know as an argument "
            "that is a plain number"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        self._needed()

    __bool__ = __int__ = __float__ = __index__ = __complex__ = __format__ = _needed
    tolist = numpy = _needed

    def item(self) -> Any:
        """A number as it is; an entry of an array is needed as a number, and refused."""
        return self if self.variable.is_number else self._needed()

    def __repr__(self) -> str:
        return f"Recorded({self.variable.dtype}{list(self.variable.shape)})"
