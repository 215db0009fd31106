"""A graph as ONNX's own object, which ONNX has checked."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_lite.errors import MissingExtraError, UsageError
from tinygrad_lite.interchange.onnx_out.for_runtimes import for_runtimes
from tinygrad_lite.interchange.onnx_out.written_program import Written
from tinygrad_lite.interchange.onnx_out.written_values import OPSET, number_of

LARGEST = 2**31 - 2**24  # bytes, less what the operators take
IR_VERSION = 10
"""The version of the format that came with this set of operators, so that older runtimes read the file."""


def model(made: Written, dims: Mapping[str, list[Any]]) -> Any:
    """The graph as ONNX's own object; `dims` are the sizes of the inputs and results, with names for those that vary.

    Raises:
        MissingExtraError: if onnx is not installed.
        UsageError: if it is too large for a file, if runtimes lack a dtype, or if onnx finds a fault in it.
    """
    try:
        from onnx import checker, helper, numpy_helper, shape_inference
    except ImportError:
        raise MissingExtraError("tg.export_onnx", "onnx", "onnx") from None

    def form(name: str, x: Any) -> Any:
        return helper.make_tensor_value_info(name, number_of(x.dtype), dims[name])

    graph = made.graph
    nodes = for_runtimes(graph, {name: x.dtype for name, x in made.inputs.items()})
    read = {name for node in nodes for name in node.inputs}
    constants = {name: array for name, array in graph.constants.items() if name in read}
    arrays = {name: array.astype(graph.stored.get(name, array.dtype)) for name, array in constants.items()}
    if (size := sum(x.nbytes for x in arrays.values())) >= LARGEST:
        raise UsageError(
            f"a file of ONNX holds {LARGEST / 1e9:.1f} GB at most, and the parameters of {made.name} take "
            f"{size / 1e9:.1f}: convert them to float32 or float16, or export the model in parts"
        )
    proto = helper.make_model(
        helper.make_graph(
            [helper.make_node(node.operator, node.inputs, node.results, **node.attributes) for node in nodes],
            made.name,
            [form(name, x) for name, x in made.inputs.items()],
            [form(name, x) for name, x in made.results.items()],
            [numpy_helper.from_array(np.ascontiguousarray(x).reshape(x.shape), name) for name, x in arrays.items()],
        ),
        producer_name="tinygrad_lite",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    try:
        checker.check_model(proto, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise UsageError(
            f"ONNX rejects the file of {made.name}: {error}; usually an operator lacks a dtype: convert the "
            "arguments to float64, float32 or int64"
        ) from None
    return proto
