"""Arithmetic with shapes, which exporters write as long chains of operators: it becomes `x.shape[0] * 4` in place."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.interchange.onnx_in.onnx_nodes import Node
from tinygrad_lite.interchange.onnx_in.onnx_values import Item, Value, known

_MOST = 16


class Numbers(NamedTuple):
    """Whole numbers, and the number of axes of the array that they are in: 0 or 1, or None if it is not known."""

    items: tuple[Item, ...]
    ndim: int | None

    @property
    def known(self) -> list[int] | None:
        """The numbers, if all are known."""
        numbers = [item.code for item in self.items]
        return numbers if all(isinstance(n, int) for n in numbers) else None  # type: ignore[return-value]


def items_of(node: Node) -> Numbers | None:
    """The result of a node as whole numbers; None if it is something else."""
    if node.op in ("Shape", "Size"):
        return _shape(node)
    values = [value for value in node.inputs if value is not None]
    if node.op not in _RULES or any(v.items is None or v.dtype not in (None, _INT) for v in values):
        return None
    result = _RULES[node.op](node, [_numbers(value) for value in values])
    return result if result is not None and len(result.items) <= _MOST else None


_INT = np.dtype(np.int64)


def _numbers(value: Value) -> Numbers:
    return Numbers(value.items or (), value.ndim)


def _shape(node: Node) -> Numbers | None:
    x = node.needs(0)
    if x.ndim is None or x.ndim > _MOST or not (x.name or x.constant is not None):
        return None
    if node.op == "Size" and x.ndim != 1:
        return None
    size = (
        [known(n) for n in x.constant.shape]
        if x.constant is not None
        else [Item(f"{x.text}.shape[{k}]") for k in range(x.ndim)]
    )
    if node.op == "Size":
        return Numbers((size[0],), 0)
    return Numbers(tuple(size[slice(node.setting("start", default=0), node.setting("end"))]), 1)


def _gather(node: Node, values: list[Numbers]) -> Numbers | None:
    (items, ndim), index = values
    if ndim != 1 or index.known is None or index.ndim is None:
        return None
    if any(not -len(items) <= n < len(items) for n in index.known):
        return None
    return Numbers(tuple(items[n] for n in index.known), index.ndim)


def _slice(node: Node, values: list[Numbers]) -> Numbers | None:
    items, ndim = values[0]
    if node.version < 10:
        settings: list[Any] = [node.attributes["starts"], node.attributes["ends"], [1]]
    else:
        steps = node.input(4)
        settings = [_numbers(node.needs(i)).known for i in (1, 2)] + [[1] if steps is None else _numbers(steps).known]
    if ndim != 1 or any(n is None or len(n) != 1 for n in settings):
        return None
    (start,), (end,), (step,) = settings
    return Numbers(items[_within(start, end, step, len(items))], 1) if step else None


def _within(start: int, end: int, step: int, size: int) -> slice:
    """The slice that ONNX means by numbers that may lie far outside."""
    start, end = (n + size if n < 0 else n for n in (start, end))
    if step > 0:
        return slice(max(start, 0), max(end, 0), step)
    if start < 0:
        return slice(0, 0)
    return slice(min(start, size - 1), None if end < 0 else end, step)


def _concat(node: Node, values: list[Numbers]) -> Numbers | None:
    return Numbers(sum((v.items for v in values), ()), 1) if all(v.ndim == 1 for v in values) else None


def _unsqueeze(node: Node, values: list[Numbers]) -> Numbers | None:
    is_first = values[0].ndim == 0 and node.setting("axes", 1) in ([0], [-1])
    return Numbers(values[0].items, 1) if is_first else None


def _squeeze(node: Node, values: list[Numbers]) -> Numbers | None:
    items, ndim = values[0]
    return Numbers(items, 0) if ndim == 1 and len(items) == 1 else None


def _reshape(node: Node, values: list[Numbers]) -> Numbers | None:
    items, shape = values[0].items, node.setting("shape", 1)
    is_line = shape in ([-1], [len(items)]) or (shape == [] and len(items) == 1)
    return Numbers(items, len(shape)) if is_line else None


def _cast(node: Node, values: list[Numbers]) -> Numbers | None:
    return values[0] if node.attributes.get("to") == 7 and values[0].ndim is not None else None


def _arithmetic(symbol: str, function: Callable[[int, int], int]) -> Callable[[Node, list[Numbers]], Numbers | None]:
    def rule(node: Node, values: list[Numbers]) -> Numbers | None:
        if len(values) != 2 or values[0].ndim is None or values[1].ndim is None:
            return None
        a, b = values[0].items, values[1].items
        size = max(len(a), len(b)) if min(len(a), len(b)) else 0
        if any(len(x) not in (1, size) for x in (a, b)):
            return None
        pairs = zip(*(x * size if len(x) == 1 else x for x in (a, b)))
        items = [_combined(symbol, function, *pair) for pair in pairs]
        return None if None in items else Numbers(tuple(items), max(values[0].ndim, values[1].ndim))  # type: ignore[arg-type]

    return rule


def _combined(symbol: str, function: Callable[[int, int], int], a: Item, b: Item) -> Item | None:
    is_natural = a.is_natural and b.is_natural
    if symbol in ("//", "%") and (not is_natural or b.code == 0):
        return None
    if isinstance(a.code, int) and isinstance(b.code, int):
        n = function(a.code, b.code)
        return known(n) if -(2**63) <= n < 2**63 else None
    if symbol == "*" and 0 in (a.code, b.code):
        return known(0)
    if (b.code == 1 and symbol in ("*", "//")) or (b.code == 0 and symbol in "+-"):
        return a
    if (a.code == 1 and symbol == "*") or (a.code == 0 and symbol == "+"):
        return b
    return Item(f"{a.operand} {symbol} {b.operand}", False, is_natural and symbol != "-")


_RULES = {
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Cast": _cast,
    "Add": _arithmetic("+", lambda a, b: a + b),
    "Sub": _arithmetic("-", lambda a, b: a - b),
    "Mul": _arithmetic("*", lambda a, b: a * b),
    "Div": _arithmetic("//", lambda a, b: a // b),
    "Mod": _arithmetic("%", lambda a, b: a % b),
}
