"""Operators of ONNX's domain for machine learning beside onnxruntime."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tinygrad_lite as tg
from tinygrad_lite.errors import InputError, UsageError

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra `dev`")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 4)).astype(np.float32)
WEIGHTS, SHIFTS = RNG.normal(size=(3, 4)).ravel().tolist(), [0.1, -0.2, 0.3]
SCALER = {"offset": [0.5, 1.0, -1.0, 0.0], "scale": [2.0, 0.5, 1.0, 3.0]}
SUPPORT = {"coefficients": SHIFTS, "support_vectors": WEIGHTS, "n_supports": 3, "rho": [0.25]}
VOTES = {
    "support_vectors": WEIGHTS,
    "coefficients": [0.9, -0.7, -0.2, 0.4, -0.8, 0.5],
    "vectors_per_class": [1, 1, 1],
    "rho": [0.1, -0.2, 0.05],
    "classlabels_ints": [7, 1, 4],
    "kernel_params": [0.5, 0.75, 3.0],
}
OF_TWO = {"coefficients": SHIFTS, "vectors_per_class": [2, 1], "rho": [0.25], "classlabels_ints": [7, 1]}
CASES: dict[str, tuple[str, Any, int, dict[str, Any]]] = {
    **{
        f"support vectors, {kind}": (
            "SVMRegressor",
            X,
            1,
            {**SUPPORT, "kernel_type": kind, "kernel_params": [0.5, 0.75, 3.0]},
        )
        for kind in ("LINEAR", "POLY", "RBF", "SIGMOID")
    },
    **{
        f"support vectors of classes, {kind}": ("SVMClassifier", X, 2, {**VOTES, "kernel_type": kind})
        for kind in ("LINEAR", "POLY", "RBF", "SIGMOID")
    },
    "support vectors of two classes": ("SVMClassifier", X, 2, {**VOTES, **OF_TWO, "kernel_type": "RBF"}),
    "one target": ("LinearRegressor", X, 1, {"coefficients": WEIGHTS[:4], "intercepts": [0.5]}),
    "targets": ("LinearRegressor", X, 1, {"coefficients": WEIGHTS, "intercepts": SHIFTS, "targets": 3}),
    "without a shift": ("LinearRegressor", X, 1, {"coefficients": WEIGHTS[:4]}),
    "scaler of doubles": ("Scaler", X.astype(float), 1, SCALER),
    **{
        kind: (
            "LinearClassifier",
            X,
            2,
            {"coefficients": WEIGHTS, "intercepts": SHIFTS, "classlabels_ints": [7, 1, 4], "post_transform": kind},
        )
        for kind in ("NONE", "SOFTMAX", "LOGISTIC")
    },
    "scaler": ("Scaler", X, 1, SCALER),
    "scaler of whole numbers": ("Scaler", np.arange(8).reshape(2, 4), 1, SCALER),
    "scaler by one number": ("Scaler", X, 1, {"offset": [0.5], "scale": [2.0]}),
    "L1": ("Normalizer", X, 1, {"norm": "L1"}),
    "L2": ("Normalizer", X, 1, {"norm": "L2"}),
    "binarizer": ("Binarizer", X, 1, {"threshold": 0.25}),
    "imputer": (
        "Imputer",
        np.where(X > 0.5, np.nan, X).astype(np.float32),
        1,
        {"imputed_value_floats": [1.0, 2.0, 3.0, 4.0], "replaced_value_float": np.nan},
    ),
    "imputer of zeros": (
        "Imputer",
        np.where(X > 0.5, 0, X).astype(np.float32),
        1,
        {"imputed_value_floats": [9.0], "replaced_value_float": 0.0},
    ),
    "vectorizer of doubles": ("FeatureVectorizer", X.astype(float), 1, {"inputdimensions": [4]}),
    "vectorizer of whole numbers": ("FeatureVectorizer", np.arange(8).reshape(2, 4), 1, {"inputdimensions": [4]}),
}
ROWS = {f"{name}, one row": (operator, X[0], *rest) for name, (operator, x, *rest) in CASES.items() if x is X}
"""The same for an array of one axis, which is one row."""
CASES |= ROWS


def model(operator: str, x: Any, count: int, settings: dict[str, Any], twice: bool = False) -> Any:
    """One node; with `twice`, two of the same name, one after the other."""
    names = ["x"] + ["middle"] * twice
    nodes = [
        helper.make_node(
            operator,
            [name],
            [["y", "z"][k] if i == len(names) - 1 else "middle" for k in range(count)],
            name="node",
            domain="ai.onnx.ml",
            **settings,
        )
        for i, name in enumerate(names)
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), ["n", *x.shape[1:]])],
        [onnx.ValueInfoProto(name=name) for name in ["y", "z"][:count]],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    if twice:  # which onnxruntime does not take
        made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", x.shape[1]]))
        return made, []
    results = onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"x": x})
    for info, y in zip(made.graph.output, results):
        shape = ["n", *y.shape[1:]]
        info.CopyFrom(helper.make_tensor_value_info(info.name, helper.np_dtype_to_tensor_dtype(y.dtype), shape))
    return made, results


@pytest.mark.parametrize("name", CASES)
def test_results_are_those_of_onnxruntime(name: str) -> None:
    operator, x, count, settings = CASES[name]
    proto, expected = model(operator, x, count, settings)
    before = proto.SerializeToString()
    found = tg.from_onnx(proto)(x)
    assert proto.SerializeToString() == before
    for y, z in zip(found if count > 1 else (found,), expected, strict=True):
        y = y.numpy() if isinstance(y, tg.Tensor) else np.asarray(y)
        assert (y.shape, y.dtype) == (z.shape, z.dtype)
        np.testing.assert_allclose(y, z, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_a_row_of_zeros_stays_and_its_slopes_are_those_of_a_division_by_1(norm: str) -> None:
    proto, _ = model("Normalizer", X, 1, {"norm": norm})
    normalizer, zeros = tg.from_onnx(proto), np.zeros((1, 4), np.float32)
    assert normalizer(zeros).tolist() == [[0.0] * 4]
    assert not list(normalizer.parameters())
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(normalizer(x)))(zeros), np.ones((1, 4)))


@pytest.mark.parametrize("operator", ["Scaler", "Normalizer", "LinearRegressor", "FeatureVectorizer"])
@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_numbers_that_another_node_hands_on_are_made_single(operator: str, dtype: str) -> None:
    """The dtype between two nodes is not stated in the file."""
    settings = {"Scaler": SCALER, "LinearRegressor": {"coefficients": WEIGHTS[:4]}, "Normalizer": {"norm": "L2"}}
    number = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["middle"], to=number),
            helper.make_node(operator, ["middle"], ["y"], domain="ai.onnx.ml", **settings.get(operator, {})),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", None])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    found = tg.from_onnx(helper.make_model(graph, opset_imports=opsets, ir_version=8))(X)
    assert (found if isinstance(found, np.ndarray) else found.numpy()).dtype == np.float32


@pytest.mark.parametrize("operator", ["Binarizer", "Imputer"])
def test_what_keeps_numbers_keeps_doubles(operator: str) -> None:
    """As ONNX says; onnxruntime has neither for them."""
    settings = {"imputed_value_floats": [1.0], "replaced_value_float": np.nan} if operator == "Imputer" else {}
    x = np.array([[1 / 3, np.nan if operator == "Imputer" else -1.0]])
    node = helper.make_node(operator, ["x"], ["y"], domain="ai.onnx.ml", **settings)
    infos = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["n", 2]) for name in "xy"]
    graph = helper.make_graph([node], "graph", infos[:1], infos[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8)
    found = tg.from_onnx(proto)(x)
    found = found if isinstance(found, np.ndarray) else found.numpy()
    np.testing.assert_array_equal(found, [[1 / 3, 1.0]] if operator == "Imputer" else [[1.0, 0.0]], strict=True)


def test_columns_and_labels_are_taken() -> None:
    for array, places, expected in (
        (X, [2, 0], X[:, [2, 0]]),
        (np.array([5.0, 6.0, 7.0], np.float32), [2, 2, 0], np.array([[7.0, 7.0, 5.0]])),
    ):
        node = helper.make_node("ArrayFeatureExtractor", ["x", "places"], ["y"], domain="ai.onnx.ml")
        infos = [helper.make_tensor_value_info("x", TensorProto.FLOAT, array.shape)]
        result = helper.make_tensor_value_info("y", TensorProto.FLOAT, expected.shape)
        constants = [numpy_helper.from_array(np.array(places), "places")]
        if array.ndim == 1:
            infos, constants = [], [*constants, numpy_helper.from_array(array, "x")]
        graph = helper.make_graph([node], "graph", infos, [result], constants)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8)
        found = tg.from_onnx(proto)(*([array] if infos else []))
        np.testing.assert_array_equal(np.asarray(getattr(found, "data", found)), expected)


def test_what_was_learned_is_a_parameter_and_nodes_may_share_their_name() -> None:
    proto, _ = model("Scaler", X, 1, SCALER, twice=True)
    scaler = tg.from_onnx(proto)
    assert dict(scaler.named_parameters()).keys() == {"node.offset", "node.scale", "node.offset.1", "node.scale.1"}
    assert tg.gradcheck(scaler.double(), X.astype(float)).outcome == "passed"


@pytest.mark.parametrize(
    ("operator", "settings", "kind", "message"),
    [
        ("LinearClassifier", {"coefficients": WEIGHTS, "classlabels_strings": ["a", "b", "c"]}, UsageError, "strings"),
        ("LinearRegressor", {"coefficients": WEIGHTS[:4], "post_transform": "PROBIT"}, UsageError, "PROBIT"),
        ("LinearRegressor", {"coefficients": WEIGHTS[:4], "targets": 3}, InputError, "'node' is damaged"),
        ("LinearRegressor", {}, InputError, "'node' is damaged: KeyError"),
        ("SVMRegressor", {**SUPPORT, "one_class": 1}, UsageError, "its result is 1 or -1"),
        ("SVMRegressor", {"coefficients": WEIGHTS[:4], "rho": [0.0]}, UsageError, "no support vectors"),
        ("SVMRegressor", {**SUPPORT, "kernel_type": "OTHER"}, UsageError, "kernel_type=OTHER"),
        ("SVMRegressor", {**SUPPORT, "support_vectors": WEIGHTS[:5]}, InputError, "'node' is damaged: ValueError"),
        ("SVMClassifier", {**VOTES, "prob_a": SHIFTS, "prob_b": SHIFTS}, UsageError, "probability=False"),
        ("SVMClassifier", {**VOTES, "post_transform": "SOFTMAX"}, UsageError, "transforms its scores"),
        ("SVMClassifier", {**VOTES, "coefficients": SHIFTS}, InputError, "'node' is damaged: ValueError"),
        ("Normalizer", {"norm": "MAX"}, UsageError, "norm=MAX"),
        ("Imputer", {"imputed_value_int64s": [1]}, UsageError, "whole numbers"),
        ("TreeEnsembleRegressor", {}, UsageError, "A tree is constant between its thresholds"),
    ],
)
def test_what_is_not_known_is_refused(operator: str, settings: Any, kind: Any, message: str) -> None:
    results = ["y", "z"] if operator.endswith("Classifier") else ["y"]
    node = helper.make_node(operator, ["x"], results, name="node", domain="ai.onnx.ml", **settings)
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy"]
    graph = helper.make_graph([node], "graph", infos[:1], infos[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8)
    with pytest.raises(kind, match=message):
        tg.from_onnx(proto)


def test_an_error_says_how_skl2onnx_writes_what_can_be_read() -> None:
    nodes = [
        helper.make_node("Scaler", ["x"], ["scaled"], domain="ai.onnx.ml", **SCALER),
        helper.make_node("Cast", ["scaled"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("ZipMap", ["cast"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2, 3]),
    ]
    infos = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])]
    of = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    infos.append(helper.make_value_info("y", helper.make_sequence_type_proto(of)))
    graph = helper.make_graph(nodes, "graph", infos[:1], infos[1:])
    opsets = [helper.make_opsetid("", 9), helper.make_opsetid("ai.onnx.ml", 1)]
    with pytest.raises(UsageError) as caught:
        tg.from_onnx(helper.make_model(graph, opset_imports=opsets, ir_version=8))
    assert str(caught.value).endswith(
        'To skl2onnx, pass options={"zipmap": False}, for an array of probabilities; and target_opset=17, since '
        "ai.onnx.ml.Scaler can be read from version 13 on"
    )
