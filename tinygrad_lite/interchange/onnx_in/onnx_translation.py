"""An ONNX graph written as the forward pass of a module: one line of NumPy and F for each operator."""

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.interchange.onnx_in import onnx_shape_arithmetic
from tinygrad_lite.interchange.onnx_in.onnx_nodes import OPERATORS, Node, UnwritableError, shortest
from tinygrad_lite.interchange.onnx_in.onnx_values import Item, Value, calculates, known

_SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_FEW = 16
"""A constant array of at most this many whole numbers is written where it is used."""


class Translation:
    """The forward pass of a model, as far as it is written.

    Args:
        weights: the arrays that are known besides those in the model.
        statistics: the names of arrays that are not parameters although they hold floating-point numbers.

    Attributes:
        lines: the lines of `forward`.
        constants: the arrays that the lines read, by name.
        learned: the names of those that are parameters.
        inputs: the names of the inputs in the file that are not constants.
        place: what is being written, for messages.
    """

    def __init__(self, model: Any, weights: Mapping[str, Any], statistics: Iterable[str]) -> None:
        self.version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self.learned: set[str] = set()
        self.inputs: list[str] = []
        self.place = "its inputs and constants"
        self._weights, self._statistics = weights, set(statistics)
        self._is_constant = _CONSTANTS_OF.get(model.producer_name, _is_named_constant)
        self._margin = "    "
        self._taken = set(keyword.kwlist) | {"np", "F", "ox", "self", "int", "range", "bool", "len", "zip"}

    def source(self, graph: Any) -> str:
        """The forward pass of the whole model."""
        scope: dict[str, Value] = {}
        initialized = self._initialize(graph, scope, self._weights)
        infos = [x for x in graph.input if x.name not in initialized]
        self.inputs = [x.name for x in infos]
        inputs = [self._bound(x, scope) for x in infos]
        self._write(graph, scope)
        results = [scope[x.name].text if x.name in scope else "None" for x in graph.output]
        self.emit(f"return {', '.join(results)}")
        return "\n".join([f"def forward({', '.join(['self', *inputs])}):", *self.lines, ""])

    def emit(self, line: str) -> None:
        self.lines.append(f"{self._margin}{line}")

    @contextmanager
    def indented(self) -> Iterator[None]:
        """A block whose lines are indented."""
        margin, self._margin = self._margin, f"{self._margin}    "
        try:
            yield
        finally:
            self._margin = margin

    def fresh(self, hint: str) -> str:
        """A new name of a variable, like the one that the graph has."""
        words = re.sub(r"_output_\d+$", "", hint).strip("/").rsplit("/", 1)[-1]
        name = re.sub(r"\W+", "_", words, flags=re.ASCII).strip("_")[:40]
        if not name or not name[0].isalpha():
            name = f"x{name}"
        base, count = name, 0
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name

    def _bound(self, info: Any, scope: dict[str, Value]) -> str:
        """A variable for an input of the graph."""
        name = self.fresh(info.name)
        dtype, ndim = _type_of(info)
        if dtype is not None and dtype.kind != "O" and not calculates(dtype):
            raise UsageError(f"NumPy does not calculate with the type {dtype} of the model's input {info.name!r}")
        scope[info.name] = Value(name, dtype, ndim)
        return name

    def constant(self, name: str, array: Any, learned: bool = False) -> Value:
        """A value that is known."""
        value = Value("", array.dtype, array.ndim, array, None, learned, lambda: self._kept(name, array, learned))
        if array.dtype.kind in "iu" and array.ndim <= 1 and array.size <= _FEW:
            value.items = tuple(known(int(n)) for n in array.ravel())
        return value

    def _kept(self, name: str, array: Any, is_weight: bool) -> str:
        while name in self.constants and self.constants[name] is not array:
            name += "_"
        self.constants[name] = array
        if is_weight:
            self.learned.add(name)
        return f'self["{name}"]' if re.fullmatch(r"[\w./: -]+", name, re.ASCII) else f"self[{name!r}]"

    def _initialize(self, graph: Any, scope: dict[str, Value], weights: Mapping[str, Any] | None = None) -> set[str]:
        arrays = dict(weights or {}) | {tensor.name: array_of(tensor) for tensor in graph.initializer}
        arrays |= {sparse.values.name: dense(sparse) for sparse in graph.sparse_initializer}
        told = _origins(graph)
        for name, array in arrays.items():
            was_learned = told.get(name, not told or array.size > 1) and name not in self._statistics
            is_learned = was_learned and _may_be_learned(name, array)
            scope[name] = self.constant(
                name, array, is_learned and not (array.size == 1 and self._is_constant(name, array))
            )
        return set(scope)

    def inner(self, graph: Any, outer: Mapping[str, Value], inputs: Iterable[Value] = ()) -> list[Value]:
        """Write the graph inside an operator such as If, which reads the values around it; return its results."""
        scope = dict(outer)
        self._initialize(graph, scope)
        for info, value in zip(graph.input, inputs):
            scope[info.name] = value
        self._write(graph, scope)
        return [scope[x.name] for x in graph.output]

    def _write(self, graph: Any, scope: dict[str, Value]) -> None:
        types = {x.name: _type_of(x) for x in [*graph.value_info, *graph.output]}
        needed = _needed(graph)
        for proto in graph.node:
            outputs = [name if name in needed else "" for name in proto.output]
            if not any(outputs):
                continue
            name = repr(proto.name) if proto.name else f"that makes {next(filter(None, outputs))!r}"
            self.place = f"the node {proto.op_type} {name}"
            attributes = {a.name: attribute(a) for a in proto.attribute}
            inputs = [scope[name] if name else None for name in proto.input]
            node = Node(proto.op_type, self.version, inputs, attributes, outputs)
            try:
                self._write_node(node, scope, types)
            except UnwritableError as error:
                raise UsageError(
                    f"from_onnx cannot write {self.place}: {error}. Export the model without it, or with other settings"
                ) from error

    def _write_node(self, node: Node, scope: dict[str, Value], types: Mapping[str, Any]) -> None:
        first = node.outputs[0]
        if node.op == "Constant":
            scope[first] = self.constant(first, _constant_of(node))
            return
        if node.op == "Identity" and node.input(0) is not None:
            value = node.needs(0)
            if value.learned and np.ptp(value.constant) == 0 < value.constant.size:
                # fresh biases and scales, which an exporter has merged since they are equal, become several again
                value = self.constant(first, value.constant.copy(), True)
            scope[first] = value
            return
        if (items := onnx_shape_arithmetic.items_of(node)) is not None:
            entries, ndim = items
            dtype = types.get(first, (None, None))[0] or np.dtype(np.int64)
            scope[first] = Value("", dtype, ndim, None, tuple(self._short(item, node.op) for item in entries))
            return
        if node.op in STRUCTURES:
            STRUCTURES[node.op](self, node, scope, types)
            return
        expression = OPERATORS[node.op](node)
        self.define(node, scope, types, expression)

    def _short(self, item: Item, hint: str) -> Item:
        """An item that is not long: a long expression becomes a variable."""
        if isinstance(item.code, int) or len(item.code) < 40:
            return item
        name = self.fresh(hint.lower())
        self.emit(f"{name} = {item.code}")
        return Item(name, True, item.is_natural)

    def define(self, node: Node, scope: dict[str, Value], types: Mapping[str, Any], expression: str) -> None:
        """Write the line that gives a node's outputs their values."""
        names = [self.named(name, node.op, scope, types) if name else "_" for name in node.outputs]
        if node.op in SEVERAL:
            names += ["_"] * (node.count - len(names))
        targets = ", ".join(names) + ("," if len(names) == 1 and node.op in SEVERAL else "")
        self.emit(f"{targets} = {_NEGATIVE.sub(_WITHOUT, expression)}")

    def named(self, name: str, op: str, scope: dict[str, Value], types: Mapping[str, Any]) -> str:
        """A variable for an output."""
        is_path = "/" in name or not name[:1].isalpha()
        variable = self.fresh(_SNAKE.sub("_", op).lower() if is_path or len(name) > 24 else name)
        scope[name] = Value(variable, *types.get(name, (None, None)))
        return variable


_NEGATIVE, _WITHOUT = re.compile(r"(?<=[(\s])\((-[\w.+-]+)\)(?=[,)])"), r"\1"
"""A negative number in parentheses among the arguments of a call, where it needs none."""

SEVERAL = frozenset({"Split"})
"""Operators whose expression is a list, also of one entry."""

STRUCTURES: dict[str, Any] = {}
"""Operators that hold graphs: each writes its lines itself."""


def _needed(graph: Any) -> set[str]:
    """The names that the results depend on."""
    needed = {x.name for x in graph.output}
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            needed |= read_by(node)
    return needed - {""}


def read_by(node: Any) -> set[str]:
    """The names that a node reads, also in the graphs inside it."""
    return set(node.input).union(*map(_read_inside, inner_graphs(node)))


def inner_graphs(node: Any) -> list[Any]:
    """The graphs in a node's attributes."""
    return [g for a in node.attribute for g in ([a.g] if a.HasField("g") else a.graphs)]


def _read_inside(graph: Any) -> set[str]:
    names = {x.name for x in graph.output}
    return names.union(*map(read_by, graph.node))


def _type_of(info: Any) -> tuple[Any, int | None]:
    """The dtype and the number of axes that a file states for a value."""
    from onnx.helper import tensor_dtype_to_np_dtype

    if not info.type.HasField("tensor_type"):
        return None, None
    tensor = info.type.tensor_type
    dtype = tensor_dtype_to_np_dtype(tensor.elem_type) if tensor.elem_type else None
    return dtype, len(tensor.shape.dim) if tensor.HasField("shape") else None


def _origins(graph: Any) -> dict[str, bool]:
    """Whether each initializer was a parameter, as far as the file says so: PyTorch's newer exporter does.

    It notes which arrays were parameters, and which were buffers or constants; and of an array that it computed, the
    names of what it was computed from. Those in a module have dots, but for those of the outermost module.
    """
    told: dict[str, bool] = {}
    computed = {info.name for info in graph.input} | {name for node in graph.node for name in node.output}
    for info in graph.value_info:
        notes = {note.key.rpartition(".")[2]: note.value for note in info.metadata_props}
        if "kind" in notes:
            told[info.name] = notes["kind"] == "PARAMETER"
        elif "folded_from" in notes:
            names = {*re.findall(r"'([^']+)'", notes["folded_from"])} - computed  # whose shapes it read
            own = [name for name in names if not _TEMPORARY.fullmatch(name)]
            told[info.name] = len(own) == 1 or any("." in name for name in own)
    return told


_TEMPORARY = re.compile(
    r"(val|tmp|int64|float32|lifted_tensor|getitem|zeros|ones|full|arange|eye|linspace|scalar_tensor|threshold|view|"
    r"expand|unsqueeze)(_\w+)?"
)
"""The names of values between the parameters and the arrays that PyTorch's exporter computed from them."""

_CONSTANTS = re.compile(
    r"_?(val|int64|float32)_.*|_?const(ant)?(_.*)?|.*::.*|zero_reduce__\d+|(.*/)?(x|y|Const(_\d+)?):\d+"
)
"""The names that exporters give to constants of the graph; the last are those of TensorFlow's operands."""


def _is_named_constant(name: str, _: Any) -> bool:
    return _CONSTANTS.fullmatch(name) is not None


def _is_round(name: str, array: Any) -> bool:
    """Whether skl2onnx, which names constants in many ways, wrote a number that is short: 1, 2, 0.5 or 1e-10."""
    number = array.ravel()[0]
    is_short = number == array.dtype.type(f"{number:.3g}")
    return _is_named_constant(name, array) or (is_short and not name.startswith(("coef", "intercept")))


_CONSTANTS_OF = {"skl2onnx": _is_round}
"""Which single numbers are constants in the files of some exporters."""


def _may_be_learned(name: str, array: Any) -> bool:
    """Whether an initializer may be a weight, and is neither a mask nor a statistic."""
    is_statistic = re.fullmatch(r".*\b(running_mean|running_var)", name) is not None
    return array.dtype.kind == "f" and not is_statistic and bool(np.isfinite(array).all())


def array_of(tensor: Any) -> Any:
    """The array of a tensor in a file."""
    from onnx.numpy_helper import to_array

    try:
        array = to_array(tensor)
    except Exception as error:  # of protobuf, NumPy or onnx: a file may hold anything
        raise InputError(f"the array {tensor.name!r} of the model is damaged: {error}") from error
    if array.dtype.kind != "O" and not calculates(array.dtype):
        raise UsageError(f"the array {tensor.name!r} has the dtype {array.dtype}, which NumPy does not calculate with")
    return array


def dense(sparse: Any) -> Any:
    """A sparse initializer as an array."""
    values, indices = array_of(sparse.values), array_of(sparse.indices)
    try:
        array = np.zeros(tuple(sparse.dims), values.dtype)
        array[np.unravel_index(indices, array.shape) if indices.ndim == 1 else tuple(indices.T)] = values
    except (ValueError, IndexError, MemoryError) as error:
        raise InputError(f"the array {sparse.values.name!r} of the model is damaged: {error}") from error
    return array


def attribute(proto: Any) -> Any:
    """The value of an attribute: numbers, strings, lists of them, arrays or graphs."""
    from onnx.helper import get_attribute_value

    value = get_attribute_value(proto)
    if isinstance(value, float):
        return shortest(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if hasattr(value, "__len__") and not isinstance(value, (str, bytes)) and not hasattr(value, "ListFields"):
        return [
            v.decode(errors="replace") if isinstance(v, bytes) else shortest(v) if isinstance(v, float) else v
            for v in value
        ]
    return value


def _constant_of(node: Node) -> Any:
    (name, value), *_ = node.attributes.items()
    if name == "value":
        return array_of(value)
    if name == "sparse_value":
        return dense(value)
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    return np.array(value, kinds.get(name, object))
