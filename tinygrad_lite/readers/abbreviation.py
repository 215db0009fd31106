"""Long formulas in parts: a part that occurs several times gets a letter."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tinygrad_lite.readers import notation
from tinygrad_lite.readers.symbol import Symbol

_LONG = 100  # letters of a formula that are read at a glance
_SHORT = 12  # letters of a part that is as easily repeated
_LETTERS = "abcdhkmnpqrsuvwz"

Parts = list[tuple[str, Symbol]]
"""What each letter stands for, in an order in which each uses only those before it."""


def abbreviated(formula: Any) -> tuple[Any, Parts]:
    """A long formula with letters for the parts that occur several times, and these parts; a short formula as it is.

    Example:
        >>> import numpy as np
        >>> x = Symbol(np.arange(3.0), "the_value_of_a_hidden_unit")
        >>> deviation = x - np.mean(x)
        >>> formula, parts = abbreviated(deviation / np.sqrt(np.mean(deviation * deviation)))
        >>> formula, parts
        (a / sqrt(mean(a · a)), [('a', the_value_of_a_hidden_unit - mean(the_value_of_a_hidden_unit))])
    """
    if type(formula) is not Symbol or len(notation.text(formula)) <= _LONG:
        return formula, []
    symbols = list(_in_order(formula))
    uses = Counter(id(operand) for symbol in symbols for operand in symbol.inputs if type(operand) is Symbol)
    free = iter(sorted({*_LETTERS} - {symbol.name for symbol in symbols}, key=_LETTERS.index))
    written: dict[int, Symbol] = {}
    parts: Parts = []
    for symbol in symbols:
        if symbol.op is None:
            written[id(symbol)] = symbol
            continue
        inputs = [written.get(id(operand), operand) for operand in symbol.inputs]
        made = Symbol(symbol.value, None, symbol.op, inputs, symbol.params)
        if uses[id(symbol)] > 1 and len(notation.text(made)) > _SHORT and (letter := next(free, None)):
            parts.append((letter, made))
            made = Symbol(symbol.value, letter)
        written[id(symbol)] = made
    return written[id(formula)], parts


def text(formula: Any) -> str:
    """The formula as text, followed by what its letters stand for."""
    whole, parts = abbreviated(formula)
    where = ", ".join(f"{letter} = {notation.text(part)}" for letter, part in parts)
    return f"{notation.text(whole)}, where {where}" if parts else notation.text(whole)


def _in_order(formula: Symbol) -> Iterator[Symbol]:
    """The symbols in a formula, each once and after those that it uses."""
    ahead, known = [formula], set[int]()
    while ahead:
        top = ahead[-1]
        waiting = [x for x in top.inputs if type(x) is Symbol and id(x) not in known] if top.op is not None else []
        if waiting and id(top) not in known:
            ahead += waiting[::-1]
            continue
        ahead.pop()
        if id(top) not in known:
            known.add(id(top))
            yield top
