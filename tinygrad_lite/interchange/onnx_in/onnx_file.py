"""Reading an ONNX file: checked, with its functions written out, and with the type of every value."""

from collections import Counter
from collections.abc import Iterator
from heapq import heappop, heappush
from math import prod
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from tinygrad_lite.errors import InputError, MissingExtraError, UsageError
from tinygrad_lite.foundation.whole_files import check_regular
from tinygrad_lite.interchange.onnx_in.onnx_learning import how_to_export, in_default_domain
from tinygrad_lite.interchange.onnx_in.onnx_limits import MOST_AXES, MOST_NUMBERS, excess_of_functions, growth
from tinygrad_lite.interchange.onnx_in.onnx_nodes import OPERATORS
from tinygrad_lite.interchange.onnx_in.onnx_translation import STRUCTURES, array_of, inner_graphs, read_by

_WITHOUT_WRITER = {"Constant", "Identity"}


_LARGE = 1000
"""An array with this many entries is not a setting of an operator."""


def read(model: Any) -> tuple[Any, dict[str, Any]]:
    """A model from a path, from bytes or from a ModelProto, ready to be written, and its large arrays by name.

    Raises:
        InputError: if it is not a valid ONNX model.
        UsageError: if it has operators that are not known here.
    """
    try:
        import onnx
        import onnx.inliner
    except ImportError:
        raise MissingExtraError("tg.from_onnx", "onnx", "onnx") from None
    proto, where = _loaded(onnx, model)
    in_default_domain(onnx, proto)
    weights = _taken_out(onnx, proto)
    proto = _written_out(onnx, proto, where)
    _check_operators(proto)
    axes, entries = growth(proto.graph)
    if axes > MOST_AXES:
        raise InputError(f"{where} has values of up to {axes:,} axes, and NumPy has at most 64")
    try:
        return onnx.shape_inference.infer_shapes(proto, data_prop=entries <= MOST_NUMBERS), weights
    except Exception:  # without the inferred types, the stated ones must do
        return proto, weights


def _taken_out(onnx: Any, proto: Any) -> dict[str, Any]:
    """The large arrays of a model, which become inputs: onnx copies models several times, but none beyond 2 GB."""
    weights: dict[str, Any] = {}
    inputs = {x.name for x in proto.graph.input}
    for k in reversed(range(len(proto.graph.initializer))):
        tensor = proto.graph.initializer[k]
        if prod(tensor.dims) >= _LARGE:
            weights[tensor.name] = array_of(tensor)
            if tensor.name not in inputs:
                info = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                proto.graph.input.append(info)
            del proto.graph.initializer[k]
    return weights


def _loaded(onnx: Any, model: Any) -> tuple[Any, str]:
    is_path = isinstance(model, (str, PathLike))
    where = repr(fspath(model)) if is_path else "this model"
    try:
        if is_path:
            check_regular(model)
            Path(model).open("rb").close()  # for Python's own error if there is no such file
            outline = onnx.load(fspath(model), load_external_data=False)
            _check_functions(outline)
            if not (_put_in_order(outline.graph) or _open_shapes(outline.graph)):
                onnx.checker.check_model(fspath(model))
                return onnx.load(fspath(model)), where
            proto = onnx.load(fspath(model))
        elif isinstance(model, (bytes, bytearray, memoryview)):
            proto = onnx.load_model_from_string(bytes(model))
        elif isinstance(model, onnx.ModelProto):
            proto = onnx.ModelProto()
            proto.CopyFrom(model)
        else:
            raise UsageError(f"from_onnx takes a path, bytes or a ModelProto; got {type(model).__name__}")
        _check_functions(proto)
        _put_in_order(proto.graph)
        _check(onnx, proto)
    except (OSError, UsageError):
        raise
    except Exception as error:  # of protobuf and of onnx's checker, which share no base class
        why = str(error).strip().rstrip(".") or type(error).__name__
        raise InputError(
            f"{where} is not a valid ONNX model: {why}. Export it again, and run onnx.checker.check_model on it"
        ) from error
    return proto, where


def _open_shapes(graph: Any) -> list[Any]:
    """The types of inputs and results whose number of axes is open, as tf2onnx writes it and onnxruntime takes it."""
    tensors = [x.type.tensor_type for x in (*graph.input, *graph.output) if x.type.HasField("tensor_type")]
    return [tensor for tensor in tensors if not tensor.HasField("shape")]


def _check(onnx: Any, proto: Any) -> None:
    """Raise if onnx's checker does, but for shapes that are open."""
    open_types = _open_shapes(proto.graph)
    for open_type in open_types:
        open_type.shape.SetInParent()
    onnx.checker.check_model(proto)
    for open_type in open_types:
        open_type.ClearField("shape")


def _put_in_order(graph: Any) -> bool:
    """Put nodes behind those whose results they read, as ONNX requires; return whether any had to move.

    onnxruntime's conversion to half precision writes the casts of inputs last, and onnxruntime runs such files.
    """
    makers = {name: k for k, node in enumerate(graph.node) for name in node.output if name}
    needs = [{makers[name] for name in read_by(node) if name in makers} for node in graph.node]
    if all(max(places, default=-1) < k for k, places in enumerate(needs)):
        return False
    readers: list[list[int]] = [[] for _ in needs]
    for k, places in enumerate(needs):
        for place in places:
            readers[place].append(k)
    missing = [len(places) for places in needs]
    ready = [k for k, count in enumerate(missing) if count == 0]
    order: list[int] = []
    while ready:
        order.append(heappop(ready))
        for k in readers[order[-1]]:
            missing[k] -= 1
            if missing[k] == 0:
                heappush(ready, k)
    if len(order) < len(needs):
        return False  # a cycle, which the checker names
    nodes = [graph.node[k] for k in order]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return True


def _check_functions(proto: Any) -> None:
    if excess := excess_of_functions(proto):
        raise InputError(excess)


def _written_out(onnx: Any, proto: Any, where: str) -> Any:
    """A model in which functions that are unknown here, the file's and ONNX's, are replaced by the operators inside."""
    keep = {*OPERATORS, *STRUCTURES, *_WITHOUT_WRITER}
    is_known = all(node.op_type in keep and node.domain in ("", "ai.onnx") for node in nodes_of(proto.graph))
    if is_known and not proto.functions:
        return proto
    _prepare_functions(onnx, proto, keep)
    try:
        inlined = onnx.inliner.inline_selected_functions(
            proto, [("", name) for name in keep], exclude=True, inline_schema_functions=True
        )
        _check(onnx, inlined)  # again, since functions take attributes from whoever calls them
        return inlined
    except Exception as error:
        raise InputError(f"the functions in {where} do not fit the operators that call them: {error}") from error


def _prepare_functions(onnx: Any, proto: Any, keep: set[str]) -> None:
    """Help onnx's inliner with operators that become functions.

    It drops attributes that are not written, although they have a default, and it stops at a missing input of an
    operator whose function depends on the types of its inputs: that function is put into the model. Nor does it know
    the types of the model's own arrays.
    """
    told = {x.name for x in (*proto.graph.input, *proto.graph.value_info)}
    proto.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(x.name, x.data_type, x.dims)
        for x in proto.graph.initializer
        if x.name not in told
    )
    version = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 1)

    def is_function(node: Any) -> bool:
        is_known = node.domain not in ("", "ai.onnx") or node.op_type in keep
        return not is_known and onnx.defs.has(node.op_type, version)

    for node in filter(is_function, nodes_of(proto.graph)):
        stated = {a.name for a in node.attribute}
        attributes = onnx.defs.get_schema(node.op_type, version).attributes
        node.attribute.extend(
            a.default_value for name, a in attributes.items() if name not in stated and a.default_value.type
        )
    for node in filter(is_function, proto.graph.node):
        schema = onnx.defs.get_schema(node.op_type, version)
        if schema.has_context_dependent_function and "" in node.input:
            name = f"{node.op_type}_{len(proto.functions)}"
            proto.functions.append(_function_of(onnx, proto, node, schema, name))
            node.domain, node.op_type = _DOMAIN, name
            if all(o.domain != _DOMAIN for o in proto.opset_import):
                proto.opset_import.add(domain=_DOMAIN, version=1)


_DOMAIN = "functions.of.operators"


def _function_of(onnx: Any, proto: Any, node: Any, schema: Any, name: str) -> Any:
    """The function that an operator stands for with inputs of its types."""
    graph = onnx.shape_inference.infer_shapes(proto).graph
    types = {x.name: x.type for x in [*graph.input, *graph.value_info]}
    types |= {x.name: onnx.helper.make_tensor_type_proto(x.data_type, x.dims) for x in graph.initializer}
    inputs = [types.get(x, onnx.TypeProto()).SerializeToString() for x in node.input]
    function = onnx.FunctionProto.FromString(schema.get_context_dependent_function(node.SerializeToString(), inputs))
    function.domain, function.name = _DOMAIN, name
    return function


def _check_operators(proto: Any) -> None:
    """Raise `UsageError` if there are operators that are not known."""
    unknown: Counter[str] = Counter()
    first: dict[str, Any] = {}
    for node in nodes_of(proto.graph):
        is_ours = node.domain in ("", "ai.onnx")
        if is_ours and (node.op_type in OPERATORS or node.op_type in STRUCTURES or node.op_type in _WITHOUT_WRITER):
            continue
        name = node.op_type if is_ours else f"{node.domain}.{node.op_type}"
        unknown[name] += 1
        first.setdefault(name, node.name or ", ".join(node.output))
    if unknown:
        names = "; ".join(f"{name} ({count} times, first {first[name]!r})" for name, count in unknown.items())
        raise UsageError(
            f"from_onnx does not know these operators of the model: {names}. Export the model with operators of ONNX's "
            "default domain that docs/onnx_import.md lists, or cut the model in front of them with "
            f"onnx.utils.extract_model{how_to_export(unknown)}"
        )


def nodes_of(graph: Any) -> Iterator[Any]:
    """All nodes of a graph and of the graphs inside it."""
    ahead = [graph]
    while ahead:
        for node in ahead.pop().node:
            yield node
            ahead += inner_graphs(node)
