"""What a name in an ONNX graph stands for while its forward pass is being written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Code(str):
    """An expression of Python among settings, which are otherwise values."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Item:
    """A whole number in the forward pass, such as `x.shape[0] * 4`; or a number that is known."""

    code: int | str
    is_atom: bool = True
    is_natural: bool = True  # at least 0, so that // rounds as ONNX does

    @property
    def operand(self) -> str:
        return str(self.code) if self.is_atom else f"({self.code})"


def known(n: int) -> Item:
    """An item that is a known number."""
    return Item(n, n >= 0, n >= 0)


@dataclass
class Value:
    """A value of the graph: a variable, a constant, or a few whole numbers that are put in where they are used.

    Attributes:
        name: the variable that holds it; empty until a constant or numbers are needed as an array.
        keep: gives a constant a name, such as self["fc.weight"].
        items: the entries of a small array of whole numbers.
        learned: whether a constant may be a parameter.
    """

    name: str = ""
    dtype: Any = None
    ndim: int | None = None
    constant: Any = None
    items: tuple[Item, ...] | None = None
    learned: bool = False
    keep: Callable[[], str] = field(default=lambda: "", repr=False)

    @property
    def text(self) -> str:
        """The array, as an operand in the forward pass."""
        if not self.name:
            if self.items is not None:
                return self._of_items(self.items)
            if self.constant.ndim == 0 and not self.learned and self.constant.dtype.kind in "biuf":
                return scalar(self.constant)
            self.name = self.keep()
        return self.name

    def _of_items(self, items: Sequence[Item]) -> str:
        kind = "" if self.dtype in (None, np.dtype(np.int64)) else f", np.{self.dtype}"
        if self.ndim == 0:
            return f"np.{self.dtype or 'int64'}({items[0].code})"
        entries = ", ".join(str(item.code) for item in items)
        return f"np.array([{entries}]{kind})" if items else f"np.array([], np.{self.dtype or 'int64'})"

    @property
    def number(self) -> str | None:
        """A constant of one entry as a number of Python, which takes on the dtype of the array beside it."""
        constant = self.constant
        if constant is None or self.learned or constant.size != 1 or constant.dtype.kind not in "iuf":
            return None
        text = plain(constant.reshape(())[()])
        return f"({text})" if text.startswith("-") else text


def calculates(dtype: Any) -> bool:
    """Whether NumPy itself has a dtype: not bfloat16, nor floating-point numbers of four or eight bits."""
    return dtype.kind in "biufc" and dtype.type.__module__ == "numpy"


def plain(x: Any) -> str:
    """A number of NumPy as Python writes it, with the digits that its dtype needs."""
    if not np.isfinite(x):
        return "np.nan" if np.isnan(x) else "np.inf" if x > 0 else "-np.inf"
    return str(x)


def scalar(x: Any) -> str:
    """A constant of no axes as a scalar of NumPy."""
    return f"np.{bool(x)}_" if x.dtype.kind == "b" else f"np.{x.dtype}({plain(x[()])})"


def written(setting: Any) -> str:
    """A setting as Python writes it."""
    if isinstance(setting, (list, tuple)):
        inside = ", ".join(map(written, setting))
        return f"({inside},)" if len(setting) == 1 else f"({inside})"
    if isinstance(setting, (float, np.floating)):
        return plain(np.float64(setting))
    return repr(setting)
