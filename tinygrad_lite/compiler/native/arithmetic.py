"""Arithmetic: Python's operators of an entry, whatever kind of code it is written in.

So a formula for one entry, written like any other formula, makes each kind of code.
"""

from typing import Any, Self

import numpy as np


class Arithmetic:
    """An entry that computes like Python's numbers; the kind of code says how each operator is written."""

    __slots__ = ()

    def computed(self, operator: str, other: Any, swapped: bool = False) -> Self:
        """The entry that +, -, * or / makes of this entry and another, or of these in the other order."""
        raise NotImplementedError

    def of_flags(self, operator: str, other: Any) -> Self:
        """The entry that &, | or ^ makes, bit by bit."""
        raise NotImplementedError

    def compared(self, operator: str, other: Any) -> Self:
        """Whether <, <=, >, >=, == or != holds."""
        raise NotImplementedError

    def __add__(self, other: Any) -> Self:
        return self.computed("+", other)

    def __sub__(self, other: Any) -> Self:
        return self.computed("-", other)

    def __mul__(self, other: Any) -> Self:
        return self.computed("*", other)

    def __truediv__(self, other: Any) -> Self:
        return self.computed("/", other)

    def __rsub__(self, other: Any) -> Self:
        return self.computed("-", other, swapped=True)

    def __rtruediv__(self, other: Any) -> Self:
        return self.computed("/", other, swapped=True)

    __radd__, __rmul__ = __add__, __mul__

    def __and__(self, other: Any) -> Self:
        return self.of_flags("&", other)

    def __or__(self, other: Any) -> Self:
        return self.of_flags("|", other)

    def __xor__(self, other: Any) -> Self:
        return self.of_flags("^", other)

    def __lt__(self, other: Any) -> Self:
        return self.compared("<", other)

    def __le__(self, other: Any) -> Self:
        return self.compared("<=", other)

    def __gt__(self, other: Any) -> Self:
        return self.compared(">", other)

    def __ge__(self, other: Any) -> Self:
        return self.compared(">=", other)

    def equals(self, other: Any) -> Self:
        """Whether two entries are equal, which NaN never is."""
        return self.compared("==", other)

    def differs(self, other: Any) -> Self:
        """Whether two entries differ, as NaN does from each entry."""
        return self.compared("!=", other)

    def is_within(self, dtype: np.dtype[Any]) -> Self:
        """Whether the whole part of a float is one of an integer's values; any other becomes the smallest of them."""
        end = 2.0 ** (8 * dtype.itemsize - 1)
        return (self >= -end) & (self < end)
