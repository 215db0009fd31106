"""Arithmetic with shapes, which exporters write as long chains of operators: it becomes `x.shape[0] * 4` in place."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.interchange.onnx_in.onnx_nodes import Node
from tinygrad_lite.interchange.onnx_in.onnx_values import Item, Value, known

Items = tuple[Item, ...]
_MOST = 16


def items_of(node: Node) -> tuple[Items, int] | None:
    """The result of a node as whole numbers and its number of axes (0 or 1); None if it is something else."""
    if node.op in ("Shape", "Size"):
        return _shape(node)
    values = [value for value in node.inputs if value is not None]
    if node.op not in _RULES or any(v.items is None or v.dtype not in (None, _INT) for v in values):
        return None
    result = _RULES[node.op](node, values)
    return result if result is not None and len(result[0]) <= _MOST else None


_INT = np.dtype(np.int64)


def _shape(node: Node) -> tuple[Items, int] | None:
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
        return (size[0],), 0
    return tuple(size[slice(node.setting("start", default=0), node.setting("end"))]), 1


def _gather(node: Node, values: list[Value]) -> tuple[Items, int] | None:
    data, index = values
    numbers = _known(index)
    if data.ndim != 1 or numbers is None or index.ndim is None:
        return None
    items = data.items or ()
    if any(not -len(items) <= n < len(items) for n in numbers):
        return None
    return tuple(items[n] for n in numbers), index.ndim


def _slice(node: Node, values: list[Value]) -> tuple[Items, int] | None:
    if node.version < 10:
        settings: list[Any] = [node.attributes["starts"], node.attributes["ends"], [1]]
    else:
        settings = [_known(node.needs(1)), _known(node.needs(2)), [1]]
        if (steps := node.input(4)) is not None:
            settings[2] = _known(steps)
    if values[0].ndim != 1 or any(n is None or len(n) != 1 for n in settings):
        return None
    (start,), (end,), (step,) = settings
    items = values[0].items or ()
    if step == 0:
        return None
    return items[_within(start, end, step, len(items))], 1


def _within(start: int, end: int, step: int, size: int) -> slice:
    """The slice that ONNX means by numbers that may lie far outside."""
    start, end = (n + size if n < 0 else n for n in (start, end))
    if step > 0:
        return slice(max(start, 0), max(end, 0), step)
    if start < 0:
        return slice(0, 0)
    return slice(min(start, size - 1), None if end < 0 else end, step)


def _concat(node: Node, values: list[Value]) -> tuple[Items, int] | None:
    return (sum(((v.items or ()) for v in values), ()), 1) if all(v.ndim == 1 for v in values) else None


def _unsqueeze(node: Node, values: list[Value]) -> tuple[Items, int] | None:
    axes = node.setting("axes", 1)
    return (values[0].items or (), 1) if values[0].ndim == 0 and axes in ([0], [-1]) else None


def _squeeze(node: Node, values: list[Value]) -> tuple[Items, int] | None:
    items = values[0].items or ()
    return (items, 0) if values[0].ndim == 1 and len(items) == 1 else None


def _reshape(node: Node, values: list[Value]) -> tuple[Items, int] | None:
    items, shape = values[0].items or (), node.setting("shape", 1)
    return (items, len(shape)) if shape in ([-1], [len(items)]) or (shape == [] and len(items) == 1) else None


def _cast(node: Node, values: list[Value]) -> tuple[Items, int] | None:
    ndim = values[0].ndim
    return (values[0].items or (), ndim) if node.attributes.get("to") == 7 and ndim is not None else None


def _arithmetic(
    symbol: str, function: Callable[[int, int], int]
) -> Callable[[Node, list[Value]], tuple[Items, int] | None]:
    def rule(node: Node, values: list[Value]) -> tuple[Items, int] | None:
        if len(values) != 2 or values[0].ndim is None or values[1].ndim is None:
            return None
        a, b = values[0].items or (), values[1].items or ()
        size = max(len(a), len(b)) if min(len(a), len(b)) else 0
        if any(len(x) not in (1, size) for x in (a, b)):
            return None
        pairs = zip(*(x * size if len(x) == 1 else x for x in (a, b)))
        items = [_combined(symbol, function, *pair) for pair in pairs]
        return None if None in items else (tuple(items), max(values[0].ndim, values[1].ndim))  # type: ignore[arg-type]

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


def _known(value: Value) -> list[int] | None:
    """Items that are all known numbers."""
    numbers = [item.code for item in value.items or ()]
    return numbers if all(isinstance(n, int) for n in numbers) else None  # type: ignore[return-value]
