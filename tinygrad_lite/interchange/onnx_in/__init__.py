"""`from_onnx`: a module of readable operations from an ONNX file."""

from typing import Any

from tinygrad_lite.errors import InputError, TinygradError
from tinygrad_lite.foundation.entrances import advised
from tinygrad_lite.interchange.onnx_in import (  # noqa: F401  # the tables of operators
    onnx_control,
    onnx_elementwise,
    onnx_networks,
    onnx_reductions,
    onnx_shaping,
)
from tinygrad_lite.interchange.onnx_in.onnx_file import nodes_of, read
from tinygrad_lite.interchange.onnx_in.onnx_module import OnnxModule
from tinygrad_lite.interchange.onnx_in.onnx_translation import Translation
from tinygrad_lite.nn.module import Parameter

__all__ = ["OnnxModule", "from_onnx"]


@advised
def from_onnx(model: Any) -> OnnxModule:
    """A module from an ONNX model, whose forward pass is lines of NumPy and of `tg.nn.functional`.

    The floating-point initializers are parameters under their names in the file, except for the running statistics of
    batch normalisations; other arrays are buffers. `module.source` is the forward pass.

    Args:
        model: a path, the bytes of a file, or an `onnx.ModelProto`.

    Raises:
        FileError: if the path is a folder, or anything else that is not a file.
        InputError: if it is not a valid ONNX model.
        UsageError: if an operator, or one of its settings, is not known; the message names the node.
        MissingExtraError: if onnx is not installed.

    Example:
        >>> import numpy as np, onnx, tinygrad_lite as tg
        >>> model = onnx.parser.parse_model('''<ir_version: 10, opset_import: ["" : 21]>
        ... layer (float[N, 2] x) => (float[N, 1] y) <float[1, 2] weight = {3, 4}> {
        ...     product = Gemm <transB = 1> (x, weight)
        ...     y = Tanh(product)
        ... }''')
        >>> module = tg.from_onnx(model)
        >>> print(module.source)
        def forward(self, x):
            product = F.linear(x, self["weight"])
            y = np.tanh(product)
            return y
        <BLANKLINE>
        >>> module(np.zeros((1, 2), np.float32))
        tensor([[0.]], dtype=float32, op=tanh)
    """
    proto, weights = read(model)
    is_statistic: dict[str, bool] = {}
    for node in nodes_of(proto.graph):
        for i, name in enumerate(node.input):
            is_running = node.op_type == "BatchNormalization" and i in (3, 4)
            is_statistic[name] = is_running and is_statistic.get(name, True)
    statistics = [name for name, yes in is_statistic.items() if yes]
    writing = Translation(proto, weights, statistics)
    try:
        source = writing.source(proto.graph)
    except TinygradError:
        raise
    except Exception as error:  # a file may hold anything, and onnx's checker does not look at all of it
        raise InputError(f"this model breaks the rules of ONNX, in {writing.place}: {error!r}") from error
    arrays = {name: Parameter(array) if name in writing.learned else array for name, array in writing.constants.items()}
    return OnnxModule(source, arrays, writing.inputs, [x.name for x in proto.graph.output])
