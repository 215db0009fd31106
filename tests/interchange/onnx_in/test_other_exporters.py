"""What files of exporters other than PyTorch's have: settings that are 0, nodes out of order, constants as arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import tinygrad_lite as tg
from tinygrad_lite.errors import InputError

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra `dev`")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 3)).astype(np.float32)
WHOLE = RNG.integers(-99, 99, (3, 3)).astype(np.int8)
SCALES = np.float32([0.1, 0.5, 2.0])
IMAGE = RNG.normal(size=(1, 1, 4, 4)).astype(np.float32)
ZOOM = np.float32([1.0, 1.0, 1.5, 2.0])
ZERO: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "rows read as multiples": ("DequantizeLinear", [WHOLE, SCALES, np.int8([1, 2, 3])], {"axis": 0}),
    "rows as whole numbers": ("QuantizeLinear", [X, SCALES, np.int8([1, 2, 3])], {"axis": 0}),
    "cubic": ("Resize", [IMAGE, None, ZOOM], {"mode": "cubic", "cubic_coeff_a": 0.0}),
    "clipped": ("Clip", [X, np.float32(0.0), np.float32(1.0)], {}),
    "axis of softmax": ("Softmax", [X], {"axis": 0}),
    "axis of a norm": ("LpNormalization", [X], {"axis": 0, "p": 1}),
    "axis of normalisation": ("LayerNormalization", [X, np.ones((3, 3), np.float32)], {"axis": 0}),
    "no leak": ("LeakyRelu", [X], {"alpha": 0.0}),
    "no elu": ("Elu", [X], {"alpha": 0.0}),
    "no scale": ("Gemm", [X, X, X], {"alpha": 0.0}),
    "no shift": ("Gemm", [X, X, X], {"beta": 0.0}),
    "no step": ("HardSigmoid", [X], {"alpha": 0.0, "beta": 0.0}),
    "no slope": ("ThresholdedRelu", [X], {"alpha": 0.0}),
    "no fallback": ("Shrink", [X], {"lambd": 0.0, "bias": 0.0}),
    "no epsilon": ("InstanceNormalization", [IMAGE, SCALES[:1], SCALES[:1]], {"epsilon": 0.0}),
    "largest of columns": ("ArgMax", [X], {"axis": 0, "keepdims": 0}),
    "largest of rows": ("TopK", [X, np.int64([2])], {"axis": 0, "largest": 0, "sorted": 1}),
    "sums over rows": ("CumSum", [X, np.int64(0)], {"exclusive": 0, "reverse": 0}),
    "lower triangle": ("Trilu", [X], {"upper": 0}),
    "flat": ("Flatten", [X], {"axis": 0}),
    "end of a shape": ("Shape", [X], {"start": 0, "end": 0}),
}
"""Operators with a setting that is 0 and means something."""


def model(nodes: Any, arrays: Any, inputs: Any, count: int = 1, producer: str = "", version: int = 21) -> Any:
    results = [onnx.ValueInfoProto(name=f"y{k}") for k in range(count)]
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in inputs.items()
    ]
    initializers = [numpy_helper.from_array(np.asarray(x), name) for name, x in arrays.items()]
    graph = helper.make_graph(nodes, "graph", infos, results, initializers)
    opset = [helper.make_opsetid("", version)]
    proto = helper.make_model(graph, opset_imports=opset, ir_version=10, producer_name=producer)
    return onnx.shape_inference.infer_shapes(proto)


@pytest.mark.parametrize("name", ZERO)
def test_a_setting_of_zero_is_one(name: str) -> None:
    operator, values, settings = ZERO[name]
    names = [f"x{k}" if value is not None else "" for k, value in enumerate(values)]
    count = 2 if operator == "TopK" else 1
    node = helper.make_node(operator, names, [f"y{k}" for k in range(count)], **settings)
    arrays = {n: x for n, x in zip(names[1:], values[1:]) if n}
    proto = model([node], arrays, {"x0": values[0]}, count)
    (expected, *_) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x0": values[0]})
    result = tg.from_onnx(proto)(values[0])
    result = result[0] if count == 2 else result
    np.testing.assert_allclose(getattr(result, "data", result), expected, rtol=1e-5, atol=1e-6)


def test_products_of_whole_numbers_have_scales_of_rows() -> None:
    zeros, one = np.int8([0, 1, 2]), np.float32(1.0)
    names = ["a", "a_scale", "a_zero", "b", "b_scale", "b_zero", "y_scale", "y_zero"]
    arrays = dict(zip(names[1:], [SCALES, zeros, WHOLE, one, np.int8(0), SCALES[::-1].copy(), zeros]))
    proto = model([helper.make_node("QLinearMatMul", names, ["y0"])], arrays, {"a": WHOLE})
    product = (WHOLE.astype(float) - zeros[:, None]) * SCALES[:, None] @ WHOLE.astype(float)
    expected = np.clip(np.rint(product / SCALES[::-1, None]) + zeros[:, None], -128, 127)
    np.testing.assert_array_equal(tg.from_onnx(proto)(WHOLE), expected)


def out_of_order() -> Any:
    one = helper.make_node("Exp", ["x"], ["exp"])
    two = helper.make_node("Sin", ["exp"], ["sine"])
    three = helper.make_node("Add", ["sine", "exp"], ["y0"])
    return model([one, two, three], {}, {"x": X}), [three, two, one]


@pytest.mark.parametrize("is_path", [True, False])
def test_nodes_out_of_order_are_put_in_order(is_path: bool, tmp_path: Path) -> None:
    proto, nodes = out_of_order()
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    onnx.save(proto, tmp_path / "model.onnx")
    module = tg.from_onnx(tmp_path / "model.onnx" if is_path else proto)
    assert module.source.split("\n")[1:-2] == ["    exp = np.exp(x)", "    sine = np.sin(exp)", "    y0 = sine + exp"]
    assert [node.op_type for node in proto.graph.node] == ["Add", "Sin", "Exp"]  # the caller's model stays as it is


@pytest.mark.parametrize("is_path", [True, False])
def test_the_number_of_axes_may_be_open(is_path: bool, tmp_path: Path) -> None:
    proto, _ = out_of_order()
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.ClearField("shape")
    onnx.save(proto, tmp_path / "model.onnx")
    module = tg.from_onnx(tmp_path / "model.onnx" if is_path else proto)
    np.testing.assert_allclose(module(X).data, np.sin(np.exp(X)) + np.exp(X), rtol=1e-6)
    np.testing.assert_allclose(module(X[0, 0]).data, module(X).data[0, 0], rtol=1e-6)
    assert not proto.graph.output[0].type.tensor_type.HasField("shape")  # the caller's model stays as it is


def test_what_a_function_of_onnxs_takes_may_be_an_array_of_the_model() -> None:
    """Its inliner asks for the types of all that a function takes, if the function depends on them."""
    angles = np.outer(np.arange(4), [1.0, 0.1])
    q = RNG.normal(size=(1, 2, 4, 4)).astype(np.float32)
    arrays = {"cos": np.float32(np.cos(angles)), "sin": np.float32(np.sin(angles)), "at": np.arange(4)[None]}
    proto = model([helper.make_node("RotaryEmbedding", ["q", *arrays], ["y0"])], arrays, {"q": q}, version=23)
    a, b = q[..., :2], q[..., 2:]
    expected = np.concatenate([a * np.cos(angles) - b * np.sin(angles), a * np.sin(angles) + b * np.cos(angles)], -1)
    np.testing.assert_allclose(tg.from_onnx(proto)(q).data, expected, rtol=1e-5, atol=1e-6)


def test_a_cycle_is_no_model() -> None:
    proto, nodes = out_of_order()
    nodes[-1].input[0] = "sine"
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    with pytest.raises(InputError, match="not a valid ONNX model"):
        tg.from_onnx(proto)


NAMES: dict[str, dict[str, tuple[Any, bool]]] = {
    "tf2onnx": {
        "model/dense/BiasAdd/ReadVariableOp:0": ([0.0], True),
        "model/conv/Squeeze:0": ([0.5], True),
        "model/gru/while/sub/x:0": (1.0, False),
        "model/norm/add/y:0": (1e-3, False),
        "model/zeros_1/Const:0": (0.0, False),
        "zero_reduce__19": (0.0, False),
    },
    "skl2onnx": {
        "intercept": ([0.0], True),
        "coef": ([[2.0]], True),
        "a": (-1.23456, True),
        "exponent": (2.0, False),
        "unity": (1.0, False),
        "Po_Powcst": ([0.5], False),
        "Ma_Maxcst1": ([1e-6], False),
        "constant": (1.000001, False),
        "Ad_Addcst": ([1.0, 2.0], True),
    },
    "": {"weight": ([0.0], True), "scale": (1.0, True), "onnx::Mul_12": (3.0, False)},
}
"""Arrays by their names in files of several exporters, and whether they were learned."""


@pytest.mark.parametrize("producer", NAMES)
def test_an_exporters_constants_are_no_parameters(producer: str) -> None:
    arrays = {name: np.float32(value) for name, (value, _) in NAMES[producer].items()}
    node = helper.make_node("Sum", ["x", *arrays], ["y0"])
    module = tg.from_onnx(model([node], arrays, {"x": X[:, :1]}, 1, producer))
    learned = [name for name, _ in module.named_parameters()]
    assert learned == [name for name, (_, is_learned) in NAMES[producer].items() if is_learned]


READ_AT_AN_INPUT = {
    "added to": ("ScatterElements", ["zeros", "at", "ones"], {"axis": 0, "reduction": "add"}),
    "put into": ("ScatterElements", ["zeros", "at", "ones"], {"axis": 0}),
    "read": ("GatherElements", ["zeros", "at"], {"axis": 0}),
    "taken": ("Gather", ["zeros", "at"], {}),
    "slices": ("GatherND", ["zeros", "rows"], {}),
    "slices added to": ("ScatterND", ["zeros", "rows", "ones"], {"reduction": "add"}),
}


@pytest.mark.parametrize("name", READ_AT_AN_INPUT)
def test_constants_are_read_at_an_input_in_a_compiled_function(name: str) -> None:
    """As the degrees of a graph's nodes are, in PyTorch's `zeros.scatter_add(0, nodes, ones)`."""
    operator, names, settings = READ_AT_AN_INPUT[name]
    index = "rows" if "rows" in names else "at"
    arrays = {"zeros": np.arange(5) ** 2, "ones": np.ones(3, np.int64)}
    nodes = [
        helper.make_node(operator, names, ["found"], **settings),
        helper.make_node("Mul", ["found", "found"], ["y0"]),
    ]
    places = np.array([4, 1, 2]).reshape((3, 1) if index == "rows" else 3)
    module = tg.from_onnx(model(nodes, {n: x for n, x in arrays.items() if n in names}, {index: places}))
    compiled = tg.compile(module, backend="numpy")
    for at in (places, places[::-1].copy()):
        np.testing.assert_array_equal(compiled(at), module(at))


def test_labels_are_read_from_constants_in_a_compiled_function() -> None:
    """As skl2onnx writes the classes of a classifier."""
    nodes = [
        helper.make_node("ArgMax", ["x"], ["best"], axis=1, keepdims=0),
        helper.make_node("Reshape", ["classes", "whole"], ["labels"]),
        helper.make_node("Gather", ["labels", "best"], ["y0"], axis=-1),
    ]
    module = tg.from_onnx(model(nodes, {"classes": np.array([[3, 5, 8]]), "whole": np.array([-1])}, {"x": X}))
    compiled = tg.compile(module, backend="numpy")
    for x in (X, -X):
        np.testing.assert_array_equal(compiled(x), np.array([3, 5, 8])[np.argmax(x, axis=1)])
