"""Operators that runtimes lack or get wrong, written in another way."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_lite.errors import UsageError
from tinygrad_lite.interchange.onnx_out.written_values import NUMBERS, Graph, Node, number_of

_LACKING = {
    **dict.fromkeys(("Max", "Min", "Pad"), "hH"),
    **dict.fromkeys(("ReduceMax", "ReduceMin"), "hHIL"),
    **dict.fromkeys(("ArgMax", "ArgMin"), "?hHIL"),
    **dict.fromkeys(("ReduceSum", "ReduceProd", "CumSum", "Einsum"), "?bhBHIL"),
    "MatMul": "?bhBH",
    "Neg": "BHIL",
    "Pow": "?bhBHIL",
    "ScatterND": "e",
    "TopK": "?HIL",
    "Where": "?hHL",
}
"""The dtypes, by NumPy's letters, that ONNX or onnxruntime does not take."""

_WIDER = {**dict.fromkeys("?bhBH", "int32"), "I": "int64", "L": "int64", "e": "float32"}
_OF_ORDER = {"ReduceMax", "ReduceMin", "ArgMax", "ArgMin", "TopK"}
_OF_PLACES = {"ArgMax", "ArgMin", "Shape"}
_OF_TRUTHS = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "IsNaN", "IsInf"}
_ALL = slice(None)
_VALUES = {
    **dict.fromkeys(("MatMul", "Einsum", "Max", "Min", "Pow"), _ALL),
    "Where": slice(1, 3),
    **dict.fromkeys(("Pad", "ScatterND"), slice(0, 3, 2)),
}
"""The inputs that share the dtype of the result, if there are more than the first."""

_DTYPES = {number: np.dtype(name) for name, number in NUMBERS.items()}
_IDENTITIES = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0}


def for_runtimes(graph: Graph, inputs: Mapping[str, Any]) -> list[Node]:
    """The nodes of a graph, some of them written in another way.

    Raises:
        UsageError: if an operator lacks a dtype, and no wider one has the same meaning.
    """
    return [x for node in _in_wider_dtypes(graph, inputs) for x in _apart_from_identity(graph, node)]


def _apart_from_identity(graph: Graph, node: Node) -> list[Node]:
    """A node that onnxruntime 1.32 does not simplify wrongly.

    It leaves out a sum or a product with a number that is 0 or 1 in single precision only. And it makes an invalid
    graph of a product with `1 / x` if it has left out what made the other factor.
    """
    if node.operator == "Div" and _is_one(graph, node.inputs[0]):
        return [node._replace(operator="Reciprocal", inputs=node.inputs[1:])]
    operands = node.inputs if node.operator in ("Add", "Mul") else node.inputs[1:]
    name = next((x for x in operands if _is_next_to_identity(graph, node.operator, x)), None)
    if name is None:
        return [node]

    def with_instead(array: Any) -> tuple[str, ...]:
        other = graph.constant(array, name)
        return tuple(other if x == name else x for x in node.inputs)

    array = graph.constants[name]
    if node.operator in ("Add", "Sub"):
        return [node._replace(operator="Sum", inputs=with_instead(array if node.operator == "Add" else -array))]
    made, back = graph.name(node.results[0]), graph.constant(0.5 if node.operator == "Mul" else 2.0)
    doubled = node._replace(inputs=with_instead(2 * array), results=(made,))
    return [doubled, Node("Mul", (made, back), node.results, {}, node.source)]


def _is_next_to_identity(graph: Graph, operator: str, name: str) -> bool:
    """Whether a value is a number in double precision that only single precision takes for the identity."""
    identity, array = _IDENTITIES.get(operator), graph.constants.get(name)
    if identity is None or array is None or array.size != 1 or graph.stored.get(name, array.dtype) != np.float64:
        return False
    with np.errstate(all="ignore"):  # most numbers of other sizes have none in single precision
        return bool(array.item() != identity and np.float32(array.item()) == identity)


def _is_one(graph: Graph, name: str) -> bool:
    """Whether a value is the real number 1, without axes that it could give to others."""
    array = graph.constants.get(name)
    if array is None or array.shape or graph.stored.get(name, array.dtype).kind != "f":
        return False
    return bool(array == 1)


def _in_wider_dtypes(graph: Graph, inputs: Mapping[str, Any]) -> list[Node]:
    """The nodes of a graph, in which operators that lack a dtype get wider numbers and give narrow ones back.

    Sums, products and powers modulo 2ⁿ are those of wider numbers modulo 2ⁿ. A boolean is 0 or 1; all else is true.
    """
    dtypes = dict(inputs) | {name: graph.stored.get(name, x.dtype) for name, x in graph.constants.items()}
    nodes = []
    for node in graph.nodes:
        values = node.inputs[_VALUES.get(node.operator, slice(1))]
        dtype = dtypes[values[0]] if values else None
        if dtype is not None and dtype.char in _LACKING.get(node.operator, ""):
            nodes += _wider(graph, node, values, dtype)
        else:
            nodes.append(node)
        dtypes.update(zip(node.results, _results(node, dtype)))
    return nodes


def _results(node: Node, dtype: Any) -> Iterable[Any]:
    """The dtypes of the results of a node."""
    if node.operator == "TopK":
        return dtype, np.dtype(np.int64)
    if node.operator == "Cast":
        return (_DTYPES.get(node.attributes["to"]),)
    if node.operator in _OF_PLACES:
        return (np.dtype(np.int64),)
    return (np.dtype(bool) if node.operator in _OF_TRUTHS else dtype,)


def _wider(graph: Graph, node: Node, values: tuple[str, ...], dtype: Any) -> list[Node]:
    if dtype.char == "L" and node.operator in _OF_ORDER:
        where = f" at {node.source}" if node.source else ""
        raise UsageError(f"{node.operator}{where}: onnxruntime does not order numbers of dtype uint64: use int64")
    wide = number_of(_WIDER[dtype.char])
    before = {name: Node("Cast", (name,), (graph.name(f"{name}_wide"),), {"to": wide}, node.source) for name in values}
    inputs = tuple(before[name].results[0] if name in before else name for name in node.inputs)
    if node.operator in _OF_PLACES:
        return [*before.values(), node._replace(inputs=inputs)]
    made = graph.name(f"{node.results[0]}_wide")
    after = Node("Cast", (made,), node.results[:1], {"to": number_of(dtype)}, node.source)
    return [*before.values(), node._replace(inputs=inputs, results=(made, *node.results[1:])), after]
