"""The sources of imported models call functions that exist."""

import re
from pathlib import Path

from tinygrad_lite.interchange.onnx_in import onnx_module


def test_every_function_that_a_source_may_call_is_there() -> None:
    sources = Path(onnx_module.__file__).parent.glob("*.py")
    called = {name for path in sources for name in re.findall(r"\box\.([a-z]\w*[a-z0-9])\b", path.read_text())}
    assert "grid_sample" in called
    assert called <= vars(onnx_module._OX).keys()
