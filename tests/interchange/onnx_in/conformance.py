"""The tests that the package `onnx` brings for each operator, and how many of them `tg.from_onnx` passes.

python -m tests.interchange.onnx_in.conformance prints the shares, and each reason with its tests.
"""

import warnings
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test import loader

import tinygrad_lite as tg
from tinygrad_lite.interchange.onnx_in.onnx_file import nodes_of

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")

TYPES = "a type that NumPy does not have: bfloat16, and real numbers of two, four and eight bits"
RANDOM = "random numbers, for which the files keep another generator's"
REASONS = {
    TYPES: (
        "test_*bf16*", "test_*bfloat16*", "test_cast*FLOAT4E2M1", "test_cast*FLOAT4E2M1_expanded",
        "test_cast*FLOAT8*", "test_cast*FLOAT*_to_BFLOAT16*", "test_cast*BFLOAT16_to_*", "test_cast*_to_INT[24]*",
        "test_cast*_to_UINT[24]*", "test_cast*INT[24]_to_*", "test_cast*FLOAT4E2M1_to_*",
        "test_*quantizelinear_e[45]m*", "test_*quantizelinear_*int[24]", "test_*quantizelinear_float4e2m1",
    ),
    "strings and images in files": (
        "test_regex*", "test_string_*", "test_strnorm*", "test_image_decoder*", "test_tfidf*",
    ),
    "another domain: ai.onnx.ml, ai.onnx.preview.training": (
        "test_ai_onnx_ml_label*", "test_ai_onnx_ml_tree*", "test_adagrad*", "test_adam*", "test_momentum*",
        "test_nesterov*", "test_gradient*",
    ),
    RANDOM: (
        "test_bernoulli*", "test_training_dropout", "test_training_dropout_mask", "test_training_dropout_default*",
    ),
    "the expected values are rounded in single precision": ("test_dft_inverse*",),
    "the expected values are rounded in half precision after each step": ("test_attention_4d_causal_fp16*",),
    "the largest of no entries": ("test_reduce_m??_empty_set*", "test_reduce_log_sum_exp_empty_set"),
    "a Scan older than version 9": ("test_scan_sum",),
}  # fmt: skip
"""Why tests do not pass, by the patterns of their names."""

ASIDE = {
    "recurrent": "LSTM GRU RNN",
    "strings and images": "StringConcat StringNormalizer StringSplit RegexFullMatch TfIdfVectorizer ImageDecoder",
    "quantised": (
        "QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger"
    ),
    "sequences and control flow": (
        "If Loop Scan SequenceMap SplitToSequence ConcatFromSequence Optional OptionalHasElement OptionalGetElement "
        "SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength"
    ),
}
"""Kinds of operators that are counted by themselves."""


@dataclass
class Case:
    """A model with inputs and what they shall give.

    Attributes:
        name: its name in the package.
        data: pairs of inputs and outputs.
    """

    name: str
    model: Any
    data: list[tuple[list[Any], list[Any]]]
    rtol: float
    atol: float

    def outcome(self) -> str:
        """The empty string if the model gives what it shall, else what went wrong."""
        try:
            module = tg.from_onnx(self.model)
            initialized = {x.name for x in self.model.graph.initializer}
            asked = [x.name not in initialized for x in self.model.graph.input]
            for inputs, outputs in self.data:
                with tg.no_grad():
                    results = module(*(x for x, is_asked in zip(inputs, asked) if is_asked))
                results = results if isinstance(results, tuple) else (results,)
                assert len(results) == len(outputs)
                for result, output in zip(results, outputs):
                    self.compare(result, output)
        except (tg.errors.TinygradError, AssertionError, TypeError, ValueError, AttributeError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def compare(self, result: Any, output: Any) -> None:
        if output is None or isinstance(output, list):
            assert isinstance(result, type(output))
            for a, b in zip(result or [], output or [], strict=True):
                self.compare(a, b)
            return
        result = np.asarray(result.numpy() if isinstance(result, tg.Tensor) else result)
        assert (result.dtype, result.shape) == (output.dtype, output.shape)
        np.testing.assert_allclose(result, output, rtol=self.rtol, atol=self.atol)

    def kind(self) -> str:
        """The kind of operators that it belongs to; empty for most."""
        names = {node.op_type for node in nodes_of(self.model.graph)}
        return next((kind for kind, operators in ASIDE.items() if names & {*operators.split()}), "")


def reason(name: str) -> str:
    """Why a test is not expected to pass; empty if it is."""
    return next((why for why, patterns in REASONS.items() if any(fnmatch(name, p) for p in patterns)), "")


@cache
def cases(kind: str) -> list[Case]:
    """The tests of a kind, which are in the package's code or in its files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the code that makes them
        tests = loader.load_model_tests(kind=kind)
    return [
        Case(test.name, *(_in_code(test) if test.model is not None else _in_files(test)), test.rtol, test.atol)
        for test in sorted(tests, key=lambda test: test.name)
    ]


def _in_code(test: Any) -> tuple[Any, Any]:
    return test.model, [tuple([_array(x) for x in part] for part in pair) for pair in test.data_sets]


def _array(x: Any) -> Any:
    return numpy_helper.to_array(x) if isinstance(x, onnx.TensorProto) else x


def _in_files(test: Any) -> tuple[Any, Any]:
    folder = Path(test.model_dir)
    model = onnx.load(folder / "model.onnx")
    data = []
    for part in sorted(folder.glob("test_data_set_*")):
        ends = (("input", model.graph.input), ("output", model.graph.output))
        data.append(
            tuple(
                [_read(part / f"{end}_{k}.pb", x) for k, x in enumerate(xs) if (part / f"{end}_{k}.pb").exists()]
                for end, xs in ends
            )
        )
    return model, data


def _read(path: Path, info: Any) -> Any:
    proto, read = {
        "tensor_type": (onnx.TensorProto(), numpy_helper.to_array),
        "sequence_type": (onnx.SequenceProto(), numpy_helper.to_list),
        "optional_type": (onnx.OptionalProto(), numpy_helper.to_optional),
    }[info.type.WhichOneof("value")]
    proto.ParseFromString(path.read_bytes())
    return read(proto)


def rows(kind: str, case: Case) -> list[str]:
    """The rows of the table in which a test counts."""
    names = {"node": "of single operators", "simple": "of graphs and sequences, in files"}
    if kind != "node":
        return [names.get(kind, "of models converted from PyTorch, in files")]
    others = [] if case.kind() else ["of these, all others"]
    if others and reason(case.name) != TYPES:
        others.append("of the others, those in types that NumPy has")
    return [names[kind], *([f"of these, {case.kind()}"] if case.kind() else others)]


def table() -> tuple[str, dict[str, list[str]]]:
    """How many tests pass, as it stands in docs/onnx_import.md, and the others by their reason."""
    passed: dict[str, list[bool]] = {}
    because: dict[str, list[str]] = {}
    for kind in KINDS:
        for case in cases(kind):
            outcome = case.outcome() if reason(case.name) != RANDOM else RANDOM  # which might pass by chance
            for row in rows(kind, case):
                passed.setdefault(row, []).append(not outcome)
            if outcome:
                because.setdefault(reason(case.name) or f"unexpected: {outcome}", []).append(case.name)
    lines = [
        f"| {row} | {sum(results)} of {len(results)}, {sum(results) / len(results):.1%} |"
        for row, results in sorted(passed.items(), key=lambda item: ("in files" in item[0], "other" in item[0]))
    ]
    return "\n".join(lines), because


def main() -> None:
    np.seterr(all="ignore")
    lines, because = table()
    print(lines)
    for why, names in because.items():
        print(f"\n{why} ({len(names)})\n  {', '.join(names)}")


if __name__ == "__main__":
    main()
