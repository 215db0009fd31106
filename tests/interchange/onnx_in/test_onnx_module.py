"""What you can do with a module from an ONNX file: read, explain, check, compile, train, save and copy it."""

import copy
import pickle
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tinygrad_lite as tg
from tests.interchange.onnx_in.conformance import Case, cases, reason
from tinygrad_lite.interchange.onnx_in.onnx_module import _OX as ox

RNG = np.random.default_rng(0)
NETWORK = """<ir_version: 10, opset_import: ["" : 21]>
network (float[N, 1, 6, 6] x) => (float[N, 2] y) {
    features = Conv <pads = [1, 1, 1, 1]> (x, kernel, shift)
    normal = BatchNormalization (features, scale, offset, mean, variance)
    active = Relu (normal)
    pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (active)
    shape = Shape (pooled)
    first = Constant <value = int64[1] {0}> ()
    batch = Gather (shape, first)
    rest = Constant <value = int64[1] {-1}> ()
    flat_shape = Concat <axis = 0> (batch, rest)
    flat = Reshape (pooled, flat_shape)
    half = Constant <value = float {0.5}> ()
    scaled = Mul (flat, half)
    y = Gemm <transB = 1> (scaled, weight, bias)
}"""
ARRAYS = {
    "kernel": RNG.normal(size=(3, 1, 3, 3)),
    "shift": RNG.normal(size=3),
    "scale": RNG.uniform(1, 2, 3),
    "offset": RNG.normal(size=3),
    "mean": RNG.normal(size=3),
    "variance": RNG.uniform(1, 2, 3),
    "weight": RNG.normal(size=(2, 27)),
    "bias": RNG.normal(size=2),
}
SOURCE = """def forward(self, x):
    features = F.conv2d(x, self["kernel"], self["shift"], padding=1)
    normal = F.batch_norm(features, self["mean"], self["variance"], self["scale"], self["offset"])
    active = F.relu(normal)
    pooled = F.max_pool2d(active, 2)
    flat = np.reshape(pooled, (pooled.shape[0], -1))
    scaled = flat * 0.5
    y = F.linear(scaled, self["weight"], self["bias"])
    return y
"""
X = RNG.normal(size=(2, 1, 6, 6)).astype(np.float32)


def module() -> Any:
    proto = onnx.parser.parse_model(NETWORK)
    for name, array in ARRAYS.items():
        proto.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    return tg.from_onnx(proto)


def test_the_source_reads_like_a_forward_pass() -> None:
    network = module()
    assert network.source == SOURCE
    assert repr(network) == f"OnnxModule()    92 parameters\n{SOURCE}"


def test_statistics_are_buffers_and_the_rest_are_parameters() -> None:
    network = module()
    assert dict(network.named_buffers()).keys() == {"mean", "variance"}
    assert [name for name, _ in network.named_parameters()] == ["kernel", "shift", "scale", "offset", "weight", "bias"]
    assert all(np.array_equal(network[name], array.astype(np.float32)) for name, array in ARRAYS.items())


NOTES = {
    "own": ("torch.export.graph_signature.InputSpec.kind", "PARAMETER", True),
    "mask": ("torch.export.graph_signature.InputSpec.kind", "BUFFER", False),
    "val_1": ("onnxscript.optimizer.folded_from", "['fc.weight']", True),
    "permute": ("onnxscript.optimizer.folded_from", "['own_weight', 'val_0', 'x']", True),
    "val_2": ("onnxscript.optimizer.folded_from", "['val_3', 'getitem', 'sum', 'x']", False),
    "clone": ("onnxscript.optimizer.folded_from", "['lifted_tensor_0']", False),
    "fused": ("", "", True),
}
"""What PyTorch's newer exporter notes of arrays, and whether they were parameters."""


def test_an_exporter_says_what_was_a_parameter() -> None:
    arrays = {name: np.float32([1.0, 2.0]) for name in NOTES} | {"scalar": np.float32(3.0)}
    nodes = [helper.make_node("Sum", ["x", *arrays], ["sum"])]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "sum", *NOTES)]
    for info, (key, note, _) in zip(infos[2:], NOTES.values(), strict=True):
        if key:
            info.metadata_props.append(onnx.StringStringEntryProto(key=f"pkg.{key}", value=note))
    initializers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "noted", infos[:1], infos[1:2], initializers, value_info=infos[2:])
    network = tg.from_onnx(helper.make_model(graph))
    learned = [name for name, _ in network.named_parameters()]
    assert learned == [name for name, (*_, is_learned) in NOTES.items() if is_learned]
    np.testing.assert_array_equal(network(np.float32([0.0, 0.0])).numpy(), 3 + len(NOTES) * np.array([1.0, 2.0]))


def test_a_module_from_onnx_keeps_its_precision_and_takes_another() -> None:
    network = module()
    assert network(X).dtype == np.float32
    assert network.double()(X.astype(float)).dtype == np.float64


def test_gradients_are_right_and_are_explained_line_by_line() -> None:
    network = module().double()
    assert tg.gradcheck(network, X.astype(float)).outcome == "passed"
    text = str(tg.explain(lambda x: np.sum(network(x)), X.astype(float)))
    assert "normal = F.batch_norm(features" in text


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_module_from_onnx_compiles(backend: str) -> None:
    network = module()
    compiled = tg.compile(network, backend=backend)
    for x in (X, X[:1]):
        np.testing.assert_allclose(compiled(x).numpy(), network(x).numpy(), rtol=1e-5, atol=1e-6)


PLACES = np.array([[2, 0, 2], [1, 1, 0]])
READERS: dict[str, Callable[[Any, Any], Any]] = {
    "gather_elements": lambda x, i: ox.gather_elements(x, i, 1),
    "gather_nd": lambda x, i: ox.gather_nd(x, i[:, :2] % 2),
    "scatter_elements": lambda x, i: ox.scatter_elements(x, i, 2 * x, axis=1, reduction="add"),
    "scatter_nd": lambda x, i: ox.scatter_nd(x, i[:, :2] % 2, x[:, 0]),
    "one_hot": lambda x, i: ox.one_hot(i, 3, x[0]),
    "negative_log_likelihood": lambda x, i: ox.negative_log_likelihood(x, i[:, 0], x[0], ignore_index=1),
    "softmax_cross_entropy": lambda x, i: ox.softmax_cross_entropy(x, i[:, 0]),
    "reverse_sequence": lambda x, i: ox.reverse_sequence(x, i[:, 0], batch_axis=0, time_axis=1),
    "top_k": lambda x, i: ox.top_k(x, 2)[0] * ox.top_k(x, 2, largest=False)[1],
    "hardmax": lambda x, i: ox.hardmax(x, 1) * x,
    "grid_sample": lambda x, i: ox.grid_sample(x[None, None], 2 / (i[None, ..., None] + x[None, :, :, None] ** [1, 2])),
}


@pytest.mark.long
@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_what_reads_at_indices_compiles_with_other_indices(read: Callable[[Any, Any], Any], backend: str) -> None:
    def gradient(x: Any, i: Any) -> Any:
        return read(x, i), tg.grad(lambda x: np.sum(np.sin(read(x, i))))(x)

    compiled = tg.compile(gradient, backend=backend)
    for seed in range(2):
        rng = np.random.default_rng(seed)
        x, i = rng.normal(size=(2, 3)), rng.permuted(PLACES, axis=1)
        for result, expected in zip(compiled(tg.tensor(x), tg.tensor(i)), gradient(tg.tensor(x), tg.tensor(i))):
            np.testing.assert_allclose(np.asarray(result), np.asarray(expected), rtol=1e-12)


def test_a_module_from_onnx_trains_and_is_saved_and_copied() -> None:
    network, other = module(), module()
    optimizer = tg.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = np.mean(network(X) ** 2)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    y = network(X).numpy()
    other.load_state_dict(network.state_dict())
    for twin in (other, copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert np.array_equal(twin(X).numpy(), y)
    by_names = tg.grad(lambda network: np.sum(network(X)))(network)
    assert list(by_names) == [name for name, _ in network.named_parameters()]


def test_several_results_names_and_lists() -> None:
    proto = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 21]>
        f (float[2] a, float[2] b) => (float[2] total, float[2] product) {
            total = Add (a, b)
            product = Mul (a, b)
        }"""
    )
    f = tg.from_onnx(proto)
    for total, product in (f([1.0, 2.0], [3.0, 4.0]), f(np.array([1.0, 2.0]), b=np.array([3.0, 4.0]))):
        assert total.tolist() == [4.0, 6.0]
        assert product.tolist() == [3.0, 8.0]


def test_merged_arrays_become_several_only_if_they_are_fresh() -> None:
    nodes = [
        helper.make_node("Identity", ["ones"], ["other.ones"]),
        helper.make_node("Identity", ["table"], ["other.table"]),
        helper.make_node("Mul", ["x", "ones"], ["a"]),
        helper.make_node("Mul", ["a", "other.ones"], ["b"]),
        helper.make_node("Mul", ["b", "table"], ["c"]),
        helper.make_node("Mul", ["c", "other.table"], ["y"]),
    ]
    arrays = {"ones": np.ones(2, np.float32), "table": np.array([1, 2], np.float32)}
    types = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph(
        nodes, "g", types[:1], types[1:], [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    )
    network = tg.from_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))
    assert list(network.state_dict()) == ["ones", "other.ones", "table"]


def by_operator() -> list[Case]:
    """A test of each operator that is written with more than NumPy and F, and has real inputs and results."""
    chosen: dict[str, Case] = {}
    for case in cases("node"):
        ops = {node.op_type for node in case.model.graph.node}
        values = [*case.data[0][0], *case.data[0][1]]
        is_real = all(getattr(x, "dtype", np.dtype(bool)).kind == "f" for x in (values[0], case.data[0][1][0]))
        is_numbers = not ops & {"Unique", "MelWeightMatrix", "Range"}  # and not how many of them there are
        if len(ops) > 1 or reason(case.name) or case.kind() or not (is_real and is_numbers):
            continue
        if values[0].dtype == np.float16:
            continue
        if 0 < values[0].size < 200 and np.isfinite(values[0]).all() and "ox." in tg.from_onnx(case.model).source:
            chosen.setdefault(*ops, case)
    return list(chosen.values())


@pytest.mark.slow
def test_gradients_of_what_is_composed_here() -> None:
    outcomes = {}
    for case in by_operator():
        first, *others = case.data[0][0]
        network = tg.from_onnx(case.model)
        wide = [x.astype(float) if getattr(x, "dtype", None) == np.float32 else x for x in others]

        def f(x: Any, network: Any = network, wide: Any = wide) -> Any:
            y = network(x, *wide)
            return y[0] if isinstance(y, tuple) else y

        report = tg.gradcheck(f, first.astype(float), raise_exception=False)
        assert report.outcome != "failed", f"{case.name}: {report}"
        outcomes[case.name] = report.outcome
    # what jumps, as one-hot vectors do, or has kinks between pixels
    unknown = {name for name, outcome in outcomes.items() if outcome != "passed"}
    assert unknown <= {"test_gridsample", "test_onehot_with_axis"}
    assert len(outcomes) > 20


def test_before_version_7_an_axis_says_how_arrays_are_broadcast() -> None:
    node = helper.make_node("Add", ["x", "shift"], ["y"], broadcast=1, axis=1)
    types = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3, 4]) for name in "xy"]
    shift = np.array([1, 2, 3], np.float32)
    graph = helper.make_graph([node], "g", types[:1], types[1:], [numpy_helper.from_array(shift, "shift")])
    network = tg.from_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 6)], ir_version=4))
    x = np.zeros((2, 3, 4), np.float32)
    assert np.array_equal(network(x).numpy(), x + shift[:, None])


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
def test_a_pool_over_all_pixels_need_not_know_how_many_axes_there_are(operator: str) -> None:
    """As behind a group normalisation by PyTorch's older exporter, which reshapes to a shape of its input."""
    proto = onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["" : 17]>
        f (float[N, 2, 3, 3] x, int64[M] shape) => (float[N, 2, A, B] y) {{
            z = Reshape (x, shape)
            y = {operator} (z)
        }}"""
    )
    for shape in ((2, 2, 3, 3), (2, 2, 9)):
        pooled = tg.from_onnx(proto)(_random(2, 2, 3, 3), np.array(shape))
        assert pooled.shape == (2, 2, *[1] * (len(shape) - 2))


def test_variables_end_with_their_last_use() -> None:
    chain = "\n".join(f"x{k + 1} = Tanh(x{k})" for k in range(20))
    proto = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 21]> f (double[N] x0) => (double[N] x20) {{ {chain} }}'
    )
    network, x = tg.from_onnx(proto), np.full(10**6, -30.0)
    tracemalloc.start()
    network(x)
    assert tracemalloc.get_traced_memory()[1] < 4 * x.nbytes
    tracemalloc.stop()


def test_a_constant_matrix_of_one_entry_is_a_matrix_in_a_product_and_a_number_in_a_sum() -> None:
    proto = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 21]>
        f (float[N, 1] x) => (float[N, 1] y) {
            two = Constant <value = float[1, 1] {2}> ()
            product = MatMul (x, two)
            y = Add (product, two)
        }"""
    )
    network = tg.from_onnx(proto)
    assert network(np.ones((3, 1), np.float32)).tolist() == [[4], [4], [4]]
    assert "product + 2.0" in network.source


def _random(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


SEVERAL_RESULTS: list[tuple[str, list[Any], int, dict[str, Any]]] = [
    ("TopK", [_random(3, 6), np.array([2])], 2, {}),
    ("Split", [_random(3, 6)], 3, {"axis": 1, "num_outputs": 3}),
    ("Split", [_random(3, 7)], 3, {"axis": 1, "num_outputs": 3}),
    ("Split", [_random(3, 6), np.array([1, 2, 3])], 3, {"axis": 1}),
    ("MaxPool", [_random(1, 2, 6, 6)], 2, {"kernel_shape": [2, 2]}),
    ("Dropout", [_random(3, 4)], 2, {}),
    ("LayerNormalization", [_random(3, 4), _random(4), _random(4)], 3, {}),
    ("Unique", [_random(6)], 4, {}),
    ("BatchNormalization", [_random(3, 4), *[_random(4)] * 3, _random(4) ** 2], 3, {"training_mode": 1}),
    ("LSTM", [_random(5, 2, 3), _random(1, 16, 3), _random(1, 16, 4)], 3, {"hidden_size": 4}),
    ("GRU", [_random(5, 2, 3), _random(1, 12, 3), _random(1, 12, 4)], 2, {"hidden_size": 4}),
    ("RNN", [_random(5, 2, 3), _random(1, 4, 3), _random(1, 4, 4)], 2, {"hidden_size": 4}),
]


@pytest.mark.parametrize(("operator", "arrays", "count", "settings"), SEVERAL_RESULTS)
def test_any_of_the_results_may_be_unused(operator: str, arrays: list[Any], count: int, settings: Any) -> None:
    def graph(used: list[int]) -> Any:
        """A model with all results of the operator, which returns some of them."""
        names = [f"i{k}" for k in range(len(arrays))]
        nodes = [helper.make_node(operator, names, [f"o{k}" for k in range(count)], **settings)]
        nodes += [helper.make_node("Identity", [f"o{k}"], [f"r{k}"]) for k in used]
        weights = [numpy_helper.from_array(array, name) for name, array in zip(names[1:], arrays[1:])]
        results = [onnx.ValueInfoProto(name=f"r{k}") for k in used]
        x = helper.make_tensor_value_info("i0", TensorProto.FLOAT, arrays[0].shape)
        made = helper.make_model(
            helper.make_graph(nodes, "graph", [x], results, weights), opset_imports=[helper.make_opsetid("", 20)]
        )
        return onnx.shape_inference.infer_shapes(made)

    def computed(used: list[int]) -> Any:
        found = tg.from_onnx(graph(used))(arrays[0])
        return found if isinstance(found, tuple) else (found,)

    everything = computed([*range(count)])
    for number in range(1, 2**count):
        used = [k for k in range(count) if number >> k & 1]
        for k, found in zip(used, computed(used), strict=True):
            np.testing.assert_allclose(np.asarray(found.data), np.asarray(everything[k].data), rtol=1e-5)
