"""A reader that writes ONNX: on its values, each operation becomes nodes of a graph.

An operation that ONNX lacks is run as it is written: what its formula, or its forward, computes becomes nodes in turn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, NoReturn

import numpy as np

from tinygrad_lite.compiler.program import Variable, is_python_number
from tinygrad_lite.compiler.recording.recorded import OfVariable
from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.errors import NoDerivativeError, UsageError
from tinygrad_lite.readers.recording import Source

OPSET = 20
NUMBERS = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
}
"""ONNX's numbers for NumPy's dtypes."""


class Node(NamedTuple):
    """An operator with the names of its inputs and of its results, and the user's line that it comes from."""

    operator: str
    inputs: tuple[str, ...]
    results: tuple[str, ...]
    attributes: dict[str, Any]
    source: Source | None = None


Writer = Callable[["Call"], str | None]
"""Writes the nodes of an operation and returns the name of the result; None if it does not apply."""


@dataclass(eq=False)
class Graph:
    """Nodes in an order in which they can run, and the arrays that are the same in each run.

    Attributes:
        writers: how each forward is written as nodes.
        formulas: other forwards as formulas in NumPy; one returns None where it does not apply.
        reasons: why others cannot be written.
        stored: the dtypes in which some of the constants are written, if not in their own.
        refused: the names of booleans; if one of them is true, the function refuses its arguments.
    """

    writers: Mapping[Any, Writer]
    formulas: Mapping[Any, Callable[..., Any]]
    reasons: Mapping[Any, str]
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    stored: dict[str, Any] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    source: Source | None = None
    _names: dict[str, int] = field(default_factory=dict)
    _opened: list[Op] = field(default_factory=list)

    def name(self, wanted: str) -> str:
        """The wanted name, with a number if it is taken."""
        name = wanted
        while name in self._names:
            self._names[wanted] += 1
            name = f"{wanted}_{self._names[wanted]}"
        self._names[name] = 1
        return name

    def constant(self, array: Any, name: str = "constant", dtype: Any = None) -> str:
        """The name of an array that is the same in each run, written in a dtype, by default its own."""
        array = np.asarray(array)
        number_of(dtype or array.dtype)
        name = self.name(name)
        self.constants[name] = array
        if dtype is not None:
            self.stored[name] = np.dtype(dtype)
        return name

    def add_all(self, operator: str, inputs: Sequence[Any], count: int, name: str = "", **attributes: Any) -> list[str]:
        """Write a node with several results, and return their names; arrays and lists of inputs become constants."""
        names = tuple(x if isinstance(x, str) else self.constant(_whole_numbers(x)) for x in inputs)
        made = tuple(self.name(name or operator.lower()) for _ in range(count))
        self.nodes.append(Node(operator, names, made, attributes, self.source))
        return list(made)

    def add(self, operator: str, *inputs: Any, name: str = "", **attributes: Any) -> str:
        """Write a node, and return the name of its result."""
        return self.add_all(operator, inputs, 1, name, **attributes)[0]

    def value(self, name: str, variable: Variable) -> "Value":
        number_of(variable.dtype)
        return Value(name, variable, self)

    def of(self, x: Any) -> "Value":
        """An array or a number as a value."""
        if isinstance(x, Value):
            return x
        array = np.asarray(x)
        return self.value(self.constant(array), Variable(array.shape, array.dtype, is_python_number(x)))

    def call(self, op: Op, inputs: Sequence[Any], params: Mapping[str, Any], result: Variable | None = None) -> Any:
        """Write an operation; without `result`, its form is determined."""
        forward = op.forward
        if params.get("keepdims", np._NoValue) is not np._NoValue:
            params = {**params, "keepdims": bool(params["keepdims"])}  # NumPy takes 1 and its own truths as well
        if write := self.writers.get(forward):
            call = Call(self, op, tuple(inputs), params, result or _form(op, inputs, params))
            try:
                name = write(call)
            except (LookupError, TypeError, ArithmeticError) as error:
                self.refuse(op, f"it does what only NumPy's own arrays can do ({error})")
            if name is not None:
                return self.value(name, call.result)
        formula = self.formulas.get(forward)
        why_not = self.reasons.get(forward, "ONNX has no operator for it")
        if formula is None and (op in self._opened or not op.is_composite or forward in self.reasons):
            self.refuse(op, why_not)
        self._opened.append(op)
        try:
            if formula is None:
                return self._in_form(op, forward(*inputs, **params), result)
            made = formula(*_in_result_dtype(op, inputs, params, result), **params)
            return self.refuse(op, why_not) if made is None else self._in_form(op, made, result)
        except UnknownError:
            self.refuse(op, "it chooses what to compute by the values of its arrays")
        except NoDerivativeError as error:
            self.refuse(op, str(error))
        except UsageError:
            raise
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
            self.refuse(op, f"it does what only NumPy's own arrays can do ({error})")
        finally:
            self._opened.pop()

    def _in_form(self, op: Op, made: Any, result: Variable | None) -> Any:
        made = self.of(made)
        if result is None:
            return made
        if made.shape != result.shape:
            self.refuse(op, f"its result may have the shape {made.shape} or {result.shape}, which depends on values")
        return made if made.dtype == result.dtype else made.astype(result.dtype)

    def refuse(self, op: Any, reason: str) -> NoReturn:
        """Raise the error for an operation that cannot be written."""
        raise UsageError(f"{op.name} cannot be exported to ONNX{f' at {self.source}' if self.source else ''}: {reason}")


def _whole_numbers(x: Any) -> Any:
    return np.array(x, np.int64) if isinstance(x, list) else x


@cache
def number_of(dtype: Any) -> int:
    """ONNX's number for a dtype, which is asked for at each node."""
    name = np.dtype(dtype).name
    if name not in NUMBERS:
        raise UsageError(f"ONNX's operators take no numbers of dtype {name}: use float64 or float32")
    return NUMBERS[name]


class UnknownError(UsageError):
    """Code asked for numbers that are known only when the graph runs."""


class Value(OfVariable):
    """A result of a node, an input or a constant, by its name."""

    __slots__ = ("graph", "name")

    def __init__(self, name: str, variable: Variable, graph: Graph) -> None:
        self.name = name
        self.variable = variable
        self.graph = graph

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        return self.graph.call(op, inputs, params)

    def _unknown(self, *_: Any, **__: Any) -> NoReturn:
        raise UnknownError("only a run of the exported graph knows these numbers")

    __array__ = __bool__ = __int__ = __float__ = __index__ = __complex__ = _unknown


class Call(NamedTuple):
    """An operation to be written."""

    graph: Graph
    op: Op
    inputs: tuple[Any, ...]
    params: Mapping[str, Any]
    result: Variable

    @property
    def dtype(self) -> Any:
        return self.result.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.result.shape

    @property
    def common(self) -> Any:
        """The dtype in which the inputs are compared."""
        return np.result_type(*map(_stand_in, self.inputs))

    def input(self, i: int, dtype: Any = None) -> str:
        """The name of an input, by default in the dtype of the result."""
        return cast(self.graph, self.inputs[i], self.dtype if dtype is None else dtype)

    def as_is(self, i: int) -> str:
        """The name of an input in its own dtype."""
        return self.graph.of(self.inputs[i]).name

    def add(self, operator: str, *inputs: Any, **attributes: Any) -> str:
        """Write a node, called after the result."""
        return self.graph.add(operator, *inputs, name=self.result.name or self.op.name, **attributes)


def cast(graph: Graph, x: Any, dtype: Any) -> str:
    """The name of an array or number in a dtype."""
    number = number_of(dtype)
    if not isinstance(x, Value):
        return graph.constant(x, dtype=dtype)
    if x.name in graph.constants and x.dtype != dtype and not x.shape:
        return graph.constant(graph.constants[x.name], x.name, dtype)
    return x.name if x.dtype == dtype else graph.add("Cast", x.name, to=number)


def _stand_in(x: Any) -> Any:
    """An array or a number of the same form, whose entries do not matter."""
    if not isinstance(x, Value):
        return x
    if x.variable.is_number:
        return x.dtype.type(1).item()
    return np.broadcast_to(x.dtype.type(1), x.shape)


def _in_result_dtype(
    op: Op, inputs: Sequence[Any], params: Mapping[str, Any], result: Variable | None
) -> Sequence[Any]:
    """The inputs of a formula, in the dtype of its result where that holds more.

    NumPy's functions make real numbers of whole ones before they compute, and SciPy's float32 or float64 of float16.
    """
    arrays = [x for x in inputs if isinstance(x, Value)]
    if all(x.dtype.char in "fd" if result is None else x.dtype.char == "d" for x in arrays):
        return inputs
    dtype = (result or _form(op, inputs, params)).dtype
    if dtype.kind != "f":
        return inputs
    return [x.astype(dtype) if isinstance(x, Value) and _holds_more(dtype, x.dtype) else x for x in inputs]


def _holds_more(dtype: Any, other: Any) -> bool:
    return other.kind in "biu" or (other.kind == "f" and other.itemsize < dtype.itemsize)


def _form(op: Op, inputs: Sequence[Any], params: Mapping[str, Any]) -> Variable:
    """The form of a result."""
    stand_ins = list(map(_stand_in, inputs))
    with np.errstate(all="ignore"):
        value = np.asarray(op(*stand_ins, **{name: _in_params(x) for name, x in params.items()}))
    return Variable(value.shape, value.dtype, not value.shape and all(map(is_python_number, stand_ins)), op.name)


def _in_params(x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(map(_in_params, x))
    return np.zeros(x.shape, x.dtype) if isinstance(x, Value) else x
