"""`tg.from_onnx` against the tests that the package `onnx` brings for each operator."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import tinygrad_lite as tg
from tests.interchange.onnx_in.conformance import KINDS, REASONS, cases, reason, table
from tests.marks import param


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, about infinities that are asked for
def test_exactly_the_expected_tests_pass_and_the_page_says_how_many() -> None:
    lines, because = table()
    assert not [why for why in because if why not in REASONS]
    listed = {case.name for kind in KINDS for case in cases(kind) if reason(case.name)}
    assert listed == {name for names in because.values() for name in names}
    if onnx.__version__.startswith("1.23."):
        assert lines in (Path(__file__).parents[3] / "docs" / "onnx_import.md").read_text()


LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@pytest.mark.parametrize(
    "name",
    [
        *(param(name, slow=False) for name in ("inception_v1", "shufflenet")),
        *(param(name, slow=True) for name in ("bvlc_alexnet", "densenet121", "inception_v2", "resnet50", "zfnet512")),
    ],
)
def test_known_networks_give_the_values_in_their_files(name: str) -> None:
    path = LIGHT / f"light_{name}.onnx"
    graph = onnx.load(path).graph
    (image,) = [x for x in graph.input if x.name not in {y.name for y in graph.initializer}]
    shape = [dim.dim_value or 1 for dim in image.type.tensor_type.shape.dim]
    x = (np.arange(np.prod(shape)).reshape(shape) / np.prod(shape)).astype(np.float32)
    with tg.no_grad():
        y: Any = tg.tensor(tg.from_onnx(path)(x)).numpy()
    expected = numpy_helper.to_array(onnx.load_tensor(LIGHT / f"light_{name}_output_0.pb"))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())
