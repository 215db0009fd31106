"""Operators of ONNX's domain for machine learning, `ai.onnx.ml`, as operators of its default domain.

Linear models, support vector machines, scalers and the like, as in scikit-learn's pipelines. There, what they learned
is in attributes of their nodes; here it becomes arrays of the graph, under names such as `scaler.scale`, and so
parameters.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import combinations, count
from typing import Any

import numpy as np

from tinygrad_lite.errors import InputError, UsageError

DOMAIN = "ai.onnx.ml"
_OPSET, _LEAST = 17, 13
"""The version of the default domain's operators in a model that has none, and the least that the nodes fit."""
_SINGLE, _DOUBLE = 1, 11
"""ONNX's numbers of float32 and float64."""


class _Node:
    """A node that is being replaced, and the nodes that replace it."""

    def __init__(self, onnx: Any, proto: Any, node: Any, forms: Mapping[str, tuple[int, int]], taken: set[str]) -> None:
        self._helper, self._from_array = onnx.helper, onnx.numpy_helper.from_array
        self._forms, self._taken = forms, taken
        self.arrays, self.node = proto.graph.initializer, node
        self.name = node.name or node.output[0]
        self.settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        self.made: list[Any] = []

    def add(self, operator: str, *inputs: str, result: str = "", **settings: Any) -> str:
        """Add a node, whose result has a new name unless it is one of the old node's."""
        name = result or self._fresh(f"{self.name}.{operator.lower()}")
        self.made.append(self._helper.make_node(operator, inputs, [name], **settings))
        return name

    def array(self, name: str, x: Any, dtype: Any = np.float32, prefix: str = "") -> str:
        name = self._fresh(f"{prefix}{self.name}.{name}")
        self.arrays.append(self._from_array(np.asarray(x, dtype), name))
        return name

    def number(self, name: str, x: float, dtype: Any = np.float32) -> str:
        """A constant number, which is not trained."""
        return self.array(name, x, dtype, prefix="const_")

    def _fresh(self, wanted: str) -> str:
        name = next(x for k in count() if (x := f"{wanted}.{k}" if k else wanted) not in self._taken)
        self._taken.add(name)
        return name

    @property
    def first(self) -> str:
        """The first input."""
        return str(self.node.input[0])

    @property
    def result(self) -> str:
        """The first output."""
        return str(self.node.output[0])

    def dtype(self, name: str) -> int:
        """ONNX's number of the dtype of an input; float32 if the file does not tell it."""
        return self._forms.get(name, (0, 0))[0] or _SINGLE

    def real(self, name: str) -> str:
        """An input in single precision."""
        return name if self.dtype(name) == _SINGLE else self.add("Cast", name, to=_SINGLE)

    def rows(self, name: str, x: str) -> str:
        """What an input has become, as one row if the input has one axis."""
        is_row = self._forms.get(name, (0, 0))[1] == 1
        return self.add("Reshape", x, self.array("row", [1, -1], np.int64)) if is_row else x

    def transformed(self, scores: str, result: str) -> None:
        """What `post_transform` makes of scores."""
        kind = bytes(self.settings.get("post_transform", b"NONE")).decode()
        operators = {"NONE": "Identity", "LOGISTIC": "Sigmoid", "SOFTMAX": "Softmax"}
        if kind not in operators:
            self.refuse(f"post_transform={kind}")
        self.add(operators[kind], scores, result=result, **({"axis": -1} if kind == "SOFTMAX" else {}))

    def refuse(self, reason: str) -> None:
        raise UsageError(f"from_onnx cannot write the node {DOMAIN}.{self.node.op_type} {self.name!r}: {reason}")


def _linear_scores(node: _Node, scores: int) -> str:
    weights = np.reshape(node.settings["coefficients"], (scores, -1))
    rows = node.rows(node.first, node.real(node.first))
    product = node.add("Gemm", rows, node.array("coefficients", weights), transB=1)
    shift = node.settings.get("intercepts")
    return product if not shift else node.add("Add", product, node.array("intercepts", shift))


def _linear_regressor(node: _Node) -> None:
    node.transformed(_linear_scores(node, node.settings.get("targets", 1)), node.result)


def _classes(node: _Node) -> list[int]:
    labels = node.settings.get("classlabels_ints", [])
    if not labels:
        node.refuse("its classes are strings: train it with numbers of classes")
    return list(labels)


def _label(node: _Node, scores: str, labels: list[int]) -> None:
    """The class with the largest score."""
    if node.result:
        place = node.add("ArgMax", scores, axis=-1, keepdims=0)
        node.add("Gather", node.array("classes", labels, np.int64), place, result=node.result, axis=0)


def _linear_classifier(node: _Node) -> None:
    labels = _classes(node)
    if len(node.settings.get("intercepts", [0] * len(labels))) != len(labels) or len(labels) < 2:
        node.refuse("it has no score for each class")
    scores = _linear_scores(node, len(labels))
    _label(node, scores, labels)
    if any(node.node.output[1:]):
        node.transformed(scores, node.node.output[1])


def _kernel(node: _Node, rows: str) -> str:
    """How similar each row is to each support vector."""
    settings = node.settings
    kind, count = bytes(settings.get("kernel_type", b"LINEAR")).decode(), settings["n_supports"]
    gamma, shift, degree = settings.get("kernel_params") or (1.0, 0.0, 1.0)
    vectors = np.reshape(settings["support_vectors"], (count, -1))
    if kind == "RBF":
        apart = node.add("Unsqueeze", rows, node.array("middle", [1], np.int64))
        apart = node.add("Sub", apart, node.array("support_vectors", vectors))
        far = node.add("ReduceSum", node.add("Mul", apart, apart), node.array("last", [-1], np.int64), keepdims=0)
        return node.add("Exp", node.add("Mul", far, node.number("minus_gamma", -gamma)))
    product = node.add("Gemm", rows, node.array("support_vectors", vectors), transB=1)
    if kind == "LINEAR":
        return product
    scaled = node.add("Mul", product, node.number("gamma", gamma))
    moved = node.add("Add", scaled, node.number("coef0", shift))
    if kind == "SIGMOID":
        return node.add("Tanh", moved)
    if kind != "POLY":
        node.refuse(f"kernel_type={kind}")
    return node.add("Pow", moved, node.number("degree", degree))


def _support_vector_regressor(node: _Node) -> None:
    settings = node.settings
    if settings.get("one_class", 0):
        node.refuse("one_class: its result is 1 or -1, and has no slope; its score is the result without one_class")
    if not settings.get("n_supports", 0):
        node.refuse("it has no support vectors")
    similar = _kernel(node, node.rows(node.first, node.real(node.first)))
    total = node.add("Gemm", similar, node.array("coefficients", [settings["coefficients"]]), transB=1)
    node.transformed(node.add("Add", total, node.array("rho", settings["rho"])), node.result)


def _pairwise_coefficients(settings: Mapping[str, Any], pairs: list[tuple[int, int]]) -> Any:
    """The weight of each support vector in the decision between the two classes of each pair."""
    sizes = settings["vectors_per_class"]
    rows = np.reshape(settings["coefficients"], (len(sizes) - 1, settings["n_supports"]))
    of_class = np.repeat(np.arange(len(sizes)), sizes)
    return np.stack([np.where(of_class == i, rows[j - 1], np.where(of_class == j, rows[i], 0)) for i, j in pairs])


def _support_vector_classifier(node: _Node) -> None:
    labels, settings = _classes(node), node.settings
    if settings.get("prob_a"):
        node.refuse("its probabilities come from an iteration: train it with probability=False, and calibrate it")
    if bytes(settings.get("post_transform", b"NONE")) != b"NONE" or "vectors_per_class" not in settings:
        node.refuse("it has no support vectors for each class, or transforms its scores")
    settings["n_supports"] = sum(settings["vectors_per_class"])
    pairs = list(combinations(range(len(labels)), 2))
    similar = _kernel(node, node.rows(node.first, node.real(node.first)))
    total = node.add("Gemm", similar, node.array("coefficients", _pairwise_coefficients(settings, pairs)), transB=1)
    scores = node.add("Add", total, node.array("rho", settings["rho"]))
    # each pair has a vote: for its first class if the score is positive, else for its second one
    votes = np.array([[(k == i) - (k == j) for k in range(len(labels))] for i, j in pairs])
    is_first = node.add("Cast", node.add("Greater", scores, node.number("nothing", 0.0)), to=_SINGLE)
    won = node.add("Gemm", is_first, node.array("votes", votes, prefix="const_"))
    at_first = node.array("votes_of_second", np.sum(votes < 0, axis=0), prefix="const_")
    _label(node, node.add("Add", won, at_first), labels)
    if any(node.node.output[1:]):
        both = [scores] if len(pairs) > 1 else [node.add("Neg", scores), scores]
        node.add("Concat", *both, result=node.node.output[1], axis=-1)


def _scaler(node: _Node) -> None:
    moved = node.add("Sub", node.real(node.first), node.array("offset", node.settings["offset"]))
    node.add("Mul", moved, node.array("scale", node.settings["scale"]), result=node.result)


def _normalizer(node: _Node) -> None:
    kind, x = bytes(node.settings.get("norm", b"MAX")).decode(), node.real(node.first)
    if kind == "MAX":
        node.refuse("norm=MAX")
    size = node.add("Abs", x) if kind == "L1" else node.add("Mul", x, x)
    total = node.add("ReduceSum", size, node.array("axis", [-1], np.int64), keepdims=1)
    nothing = node.add("Equal", total, node.number("nothing", 0.0))
    total = node.add("Where", nothing, node.number("one", 1.0), total)  # before the root, which has no slope at 0
    total = total if kind == "L1" else node.add("Sqrt", total)
    node.add("Div", x, total, result=node.result)


def _binarizer(node: _Node) -> None:
    above = node.add("Greater", node.real(node.first), node.number("threshold", node.settings.get("threshold", 0.0)))
    node.add("Cast", above, result=node.result, to=node.dtype(node.first))


def _imputer(node: _Node) -> None:
    x, missing = node.first, node.settings.get("replaced_value_float", 0.0)
    dtype = {_SINGLE: np.float32, _DOUBLE: np.float64}.get(node.dtype(x))
    if "imputed_value_floats" not in node.settings or dtype is None:
        node.refuse("it replaces whole numbers")
    is_missing = (
        node.add("IsNaN", x) if np.isnan(missing) else node.add("Equal", x, node.number("missing", missing, dtype))
    )
    values = node.array("values", node.settings["imputed_value_floats"], dtype)
    node.add("Where", is_missing, values, x, result=node.result)


def _feature_extractor(node: _Node) -> None:
    x, places = node.node.input
    flat = node.add("Reshape", places, node.array("flat", [-1], np.int64))
    node.add("Gather", node.rows(x, x), flat, result=node.result, axis=-1)


def _feature_vectorizer(node: _Node) -> None:
    rows = [node.rows(name, node.real(name)) for name in node.node.input]
    node.add("Concat", *rows, result=node.result, axis=-1)


_WRITERS: dict[str, Callable[[_Node], None]] = {
    "ArrayFeatureExtractor": _feature_extractor,
    "Binarizer": _binarizer,
    "FeatureVectorizer": _feature_vectorizer,
    "Imputer": _imputer,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "Normalizer": _normalizer,
    "SVMClassifier": _support_vector_classifier,
    "SVMRegressor": _support_vector_regressor,
    "Scaler": _scaler,
}


def _forms(onnx: Any, proto: Any) -> dict[str, tuple[int, int]]:
    """ONNX's number of the dtype and the number of axes of each value, 0 where the file does not tell it."""
    try:
        graph = onnx.shape_inference.infer_shapes(proto).graph
    except Exception:  # without the inferred types, the stated ones must do
        graph = proto.graph
    types = {x.name: x.type.tensor_type for x in (*graph.input, *graph.value_info)}
    forms = {name: (of.elem_type, len(of.shape.dim)) for name, of in types.items()}
    return forms | {x.name: (x.data_type, len(x.dims)) for x in graph.initializer}


def how_to_export(unknown: Iterable[str]) -> str:
    """How `skl2onnx` writes a model without these operators, as the end of a sentence."""
    if any(name.startswith(f"{DOMAIN}.TreeEnsemble") for name in unknown):
        return (
            ". A tree is constant between its thresholds: its gradient is 0 wherever it has one; run it in onnxruntime"
        )
    settings = []
    if f"{DOMAIN}.ZipMap" in unknown:
        settings.append('options={"zipmap": False}, for an array of probabilities')
    old = [name for name in unknown if name.removeprefix(f"{DOMAIN}.") in _WRITERS]
    if old:
        settings.append(f"target_opset={_OPSET}, since {', '.join(old)} can be read from version {_LEAST} on")
    return f". To skl2onnx, pass {'; and '.join(settings)}" if settings else ""


def in_default_domain(onnx: Any, proto: Any) -> None:
    """Replace the nodes of the domain that are known here; the others stay.

    Raises:
        InputError: if one is not as its operator must be.
        UsageError: if one has settings that are not known.
    """
    if not any(node.domain == DOMAIN and node.op_type in _WRITERS for node in proto.graph.node):
        return
    own = [o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")]
    if not own:
        proto.opset_import.add(domain="", version=_OPSET)
    if own and min(own) < _LEAST:
        return
    forms = _forms(onnx, proto)
    taken = {*forms, *(name for node in proto.graph.node for name in (*node.input, *node.output))}
    nodes = []
    for node in [*proto.graph.node]:
        if node.domain == DOMAIN and node.op_type in _WRITERS:
            replaced = _Node(onnx, proto, node, forms, taken)
            try:
                _WRITERS[node.op_type](replaced)
            except (KeyError, IndexError, TypeError, ValueError) as error:  # a file may hold anything
                if isinstance(error, UsageError):
                    raise
                raise InputError(f"the node {DOMAIN}.{node.op_type} {replaced.name!r} is damaged: {error!r}") from error
            nodes += replaced.made
        else:
            nodes.append(node)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
