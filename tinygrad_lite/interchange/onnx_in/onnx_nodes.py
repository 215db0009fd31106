"""One operator of an ONNX graph with its inputs and settings, as the table of operators reads it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.errors import UsageError
from tinygrad_lite.interchange.onnx_in.onnx_values import Code, Value, written

Writer = Callable[["Node"], str]
OPERATORS: dict[str, Writer] = {}
"""The operators of ONNX's default domain that are known, each with what writes it as an expression of NumPy and F."""


def operator(*names: str) -> Callable[[Writer], Writer]:
    """Declare how operators are written; several share a writer that asks for `node.op`."""

    def declared(writer: Writer) -> Writer:
        OPERATORS.update(dict.fromkeys(names, writer))
        return writer

    return declared


class UnwritableError(UsageError):
    """A setting of an operator that has no counterpart here."""


class Node:
    """An operator, its inputs, and its settings, whether they are attributes or, in later versions, inputs.

    Attributes:
        op: its name.
        version: the version of ONNX's operators that the model uses.
        inputs: the values of its inputs, None for one that is left out.
        outputs: the names of its outputs, as far as they are used.
        count: the number of its outputs, used or not.
    """

    def __init__(
        self,
        op: str,
        version: int,
        inputs: Sequence[Value | None],
        attributes: Mapping[str, Any],
        outputs: Sequence[str],
    ) -> None:
        self.op, self.version, self.attributes = op, version, dict(attributes)
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.count = len(self.outputs)
        while not self.outputs[-1]:
            self.outputs.pop()

    def input(self, i: int) -> Value | None:
        return self.inputs[i] if i < len(self.inputs) else None

    def __getitem__(self, i: int) -> str:
        value = self.input(i)
        return "None" if value is None else value.text

    def needs(self, i: int) -> Value:
        """An input that must be there."""
        value = self.input(i)
        if value is None:
            raise UnwritableError(f"its input {i} is missing")
        return value

    def operands(self) -> list[str]:
        """All inputs of arithmetic: a constant number is written as such where it changes neither dtype nor shape."""
        values = [value for value in self.inputs if value is not None]
        arrays = [value for value in values if value.number is None]
        axes = min((-1 if value.ndim is None else value.ndim for value in arrays), default=-1)
        texts = [
            value.text if not arrays or value.number is None or value.constant.ndim > max(axes, 0) else value.number
            for value in values
        ]
        if self.version < 7 and "axis" in self.attributes:  # then it says where the second array's axes lie
            behind = self.axes_of(0) - self.axes_of(1) - self.attributes["axis"]
            if behind > 0:
                texts[1] = f"np.expand_dims({self[1]}, {written(tuple(range(-behind, 0)))})"
        return texts

    def setting(self, name: str, i: int | None = None, default: Any = None) -> Any:
        """An attribute or input i: as Python's numbers where it is known, else the code that computes it."""
        if name in self.attributes:
            return self.attributes[name]
        value = None if i is None else self.input(i)
        if value is None:
            return default
        if value.constant is not None:
            is_single = value.constant.dtype == np.float32
            numbers = np.vectorize(shortest, otypes=[object])(value.constant) if is_single else value.constant
            return numbers.tolist()
        if value.items is not None:
            entries = [n if isinstance(n, int) else Code(n) for n in (item.code for item in value.items)]
            return entries[0] if value.ndim == 0 else entries
        return Code(value.text)

    def whole(self, name: str, i: int | None = None, default: Any = None) -> Any:
        """A setting that is one whole number, or the code that computes it."""
        n = self.setting(name, i, default)
        if isinstance(n, list) and len(n) == 1:
            n = n[0]
        value = None if i is None else self.input(i)
        return Code(f"ox.whole({n})") if isinstance(n, Code) and value is not None and value.items is None else n

    def wholes(self, name: str, i: int | None = None, default: Any = None) -> Any:
        """A setting that is a tuple of whole numbers, or the code that computes it."""
        n = self.setting(name, i, default)
        if isinstance(n, Code) and not (i is not None and (value := self.input(i)) is not None and value.items):
            return Code(f"ox.wholes({n})")
        return (n,) if isinstance(n, (int, Code)) else tuple(n) if isinstance(n, list) else n

    def axes_of(self, i: int = 0) -> int:
        """The number of axes of an input.

        Raises:
            UnwritableError: if the file does not say.
        """
        ndim = self.needs(i).ndim
        if ndim is None:
            raise UnwritableError(
                f"the file does not say how many axes {self.needs(i).text} has: add the shapes of inputs"
            )
        return ndim

    def is_real(self, i: int = 0) -> bool:
        """Whether an input is known to hold floating-point numbers."""
        value = self.input(i)
        return value is not None and value.dtype is not None and value.dtype.kind == "f"

    def wants(self, i: int) -> bool:
        """Whether output i is used."""
        return i < len(self.outputs) and self.outputs[i] != ""

    def first_of(self, function: str, *arguments: Any, **settings: Any) -> str:
        """A call of a function that has as many results as the operator, as far as they are used."""
        count = len(self.outputs)
        return f"{self.call(function, *arguments, **settings)}{'[0]' if count == 1 else f'[:{count}]'}"

    def call(self, function: str, *arguments: Any, **settings: Any) -> str:
        """A call with some inputs (by number), other code, and settings."""
        texts = [self[x] if type(x) is int else str(x) for x in arguments]
        while texts and texts[-1] == "None":
            texts.pop()
        return f"{function}({', '.join([*texts, *(f'{name}={written(x)}' for name, x in settings.items())])})"


def shortest(x: float) -> float:
    """A number of single precision as the shortest decimal number that rounds to it."""
    return float(str(np.float32(x)))
