"""What `tg.from_onnx` says about files that are not models, that are hostile, or that ask for what is not known."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tinygrad_lite as tg
from tinygrad_lite.errors import InputError, UsageError


def model(
    *nodes: Any, constants: dict[str, Any] | None = None, version: int = 21, output: str = "y", **settings: Any
) -> Any:
    """A model from x (N, 2) to y, both in single precision."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", "M"])],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    settings = {"opset_imports": [helper.make_opsetid("", version)], "ir_version": 10, **settings}
    return helper.make_model(graph, **settings)


LINEAR = helper.make_node("MatMul", ["x", "w"], ["y"])
W = np.eye(2, dtype=np.float32)


def good() -> Any:
    return model(LINEAR, constants={"w": W})


def test_paths_bytes_and_models_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(good(), path)
    for source in (path, str(path), path.read_bytes(), good()):
        module = tg.from_onnx(source)
        assert module.source == 'def forward(self, x):\n    y = x @ self["w"]\n    return y\n'
        assert list(module.state_dict()) == ["w"]


def without_version() -> Any:
    proto = good()
    del proto.opset_import[:]
    return proto


def cyclic() -> Any:
    return model(helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Exp", ["a"], ["b"]), output="b")


def with_huge_array() -> Any:
    proto = good()
    proto.graph.initializer[0].dims[:] = [2**40, 2**20]
    return proto


def with_short_array() -> Any:
    proto = good()
    proto.graph.initializer[0].raw_data = b"1234"
    return proto


def with_text_for_an_axis() -> Any:
    return model(helper.make_node("Softmax", ["x"], ["y"], axis="0, print()"))


def with_text_from_a_function() -> Any:
    inner = helper.make_node("Softmax", ["a"], ["b"])
    inner.attribute.add(name="axis", ref_attr_name="axis", type=onnx.AttributeProto.INT)
    versions = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]
    function = helper.make_function("mine", "F", ["a"], ["b"], [inner], versions[:1], ["axis"])
    node = helper.make_node("F", ["x"], ["y"], domain="mine", axis="0, print()")
    return model(node, opset_imports=versions, functions=[function])


@pytest.mark.parametrize(
    "damaged",
    [
        without_version,
        cyclic,
        with_huge_array,
        with_short_array,
        with_text_for_an_axis,
        with_text_from_a_function,
        lambda: good().SerializeToString()[:-20],
        lambda: b"PK\x03\x04 not a model",
        lambda: b"",
    ],
)
def test_what_is_no_valid_model_is_refused(damaged: Callable[[], Any]) -> None:
    with pytest.raises(InputError):
        tg.from_onnx(damaged())


def test_every_truncated_file_is_refused_or_works() -> None:
    content = good().SerializeToString()
    for size in range(len(content)):
        try:
            module = tg.from_onnx(content[:size])
        except InputError:
            continue
        assert module(np.ones((1, 2), np.float32)).shape == (1, 2)  # the producer's name was cut off, for example


def test_a_file_of_changed_bytes_is_refused_or_loads() -> None:
    rng = np.random.default_rng(0)
    content = np.frombuffer(good().SerializeToString(), np.uint8)
    for _ in range(500):
        changed = content.copy()
        changed[rng.integers(0, content.size, 2)] = rng.integers(0, 256, 2)
        with suppress(InputError, UsageError):
            tg.from_onnx(changed.tobytes())


def test_data_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"0123456789abcdef")
    (tmp_path / "inside").mkdir()
    for location in ("../secret", str(tmp_path / "secret")):
        proto = good()
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        path = tmp_path / "inside" / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        with pytest.raises(InputError):
            tg.from_onnx(path)
        with pytest.raises(InputError):  # bytes have no folder
            tg.from_onnx(proto)


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save_model(good(), path, save_as_external_data=True, location="weights", size_threshold=0)
    assert np.array_equal(tg.from_onnx(path)["w"].numpy(), W)


def test_unknown_operators_are_named_together() -> None:
    nodes = [
        helper.make_node("Warp", ["x"], ["a"], name="first", domain="theirs"),
        helper.make_node("Warp", ["a"], ["b"], domain="theirs"),
        helper.make_node("NonMaxSuppression", ["b", "b"], ["y"], name="boxes"),
    ]
    proto = model(*nodes, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("theirs", 1)])
    with pytest.raises(UsageError, match=r"theirs\.Warp \(2 times, first 'first'\)"):
        tg.from_onnx(proto)


def test_an_unknown_setting_names_the_node() -> None:
    cast = helper.make_node("Cast", ["x"], ["y"], name="narrow", to=TensorProto.BFLOAT16)
    with pytest.raises(UsageError, match="node Cast 'narrow': NumPy does not calculate with the type bfloat16"):
        tg.from_onnx(model(cast, output="y"))


@pytest.mark.parametrize("name", ["import os", "x); print('", '"\\', "class", "np", "", "é\n", "forward", "0"])
def test_names_in_a_file_are_no_code(name: str) -> None:
    nodes = [helper.make_node("MatMul", ["x", f"w{name}"], [f"{name}1"]), helper.make_node("Exp", [f"{name}1"], ["y"])]
    module = tg.from_onnx(model(*nodes, constants={f"w{name}": W}))
    x = np.ones((1, 2), np.float32)
    assert np.array_equal(module(x).numpy(), np.exp(x))
    assert list(module.state_dict()) == [f"w{name}"]


def test_other_arguments_and_missing_files() -> None:
    with pytest.raises(UsageError, match="a path, bytes or a ModelProto; got int"):
        tg.from_onnx(3)
    with pytest.raises(FileNotFoundError):
        tg.from_onnx("nowhere.onnx")
    with pytest.raises(InputError, match="no array 'v'; it has w"):
        tg.from_onnx(good())["v"]


def doubling_functions(depth: int, last: str = "Identity") -> Any:
    """F0 calls F1 twice, which calls F2 twice, and so on."""
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    functions = []
    for k in range(depth):
        name, domain = (last, "own" if last.startswith("F") else "") if k + 1 == depth else (f"F{k + 1}", "own")
        calls = [helper.make_node(name, [a], [b], domain=domain) for a, b in (("a", "c"), ("c", "b"))]
        functions.append(helper.make_function("own", f"F{k}", ["a"], ["b"], calls, opsets))
    return model(helper.make_node("F0", ["x"], ["y"], domain="own"), functions=functions, opset_imports=opsets)


def doubling_values(operator: str, depth: int = 45, **settings: Any) -> Any:
    chain = [helper.make_node(operator, [f"k{i}"] * 2, [f"k{i + 1}"], **settings) for i in range(depth)]
    start = np.zeros((1,) if operator == "Concat" else (1, 1), np.int64)
    return model(*chain, helper.make_node("Reshape", ["x", f"k{depth}"], ["y"]), constants={"k0": start})


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (doubling_functions(45), r"would grow to [\d,]+ operators"),
        (doubling_functions(3, last="F1"), "calls itself"),
        (doubling_values("Gather"), r"values of up to [\d,]+ axes"),
        (doubling_values("Concat", axis=0), None),
    ],
    ids=["functions", "circle of functions", "axes", "entries"],
)
def test_a_small_file_of_which_something_grows_without_end_is_refused_or_loads(
    proto: Any, message: str | None, tmp_path: Path
) -> None:
    """onnx's checker, its inliner and its inference of shapes would not come back from them."""
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    for source in (proto, path):
        with suppress(UsageError) if message is None else pytest.raises(InputError, match=message):
            tg.from_onnx(source)
    assert tg.from_onnx(doubling_functions(3))(np.ones((1, 2), np.float32)).shape == (1, 2)
