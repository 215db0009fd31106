"""The example from a model to a product, as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "from_model_to_product.py"


@pytest.mark.slow  # starts a cluster
def test_as_a_user_runs_it(tmp_path: Path) -> None:
    for library in ("sklearn", "distributed", "safetensors", "onnxruntime", "llvmlite"):
        pytest.importorskip(library)
    command = [sys.executable, str(EXAMPLE), "--output", str(tmp_path / "made"), "--epochs", "10"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    steps = [line for line in run.stdout.splitlines() if line[0].isdigit()]
    assert [line[0] for line in steps] == list("123456789")
    assert "to the last bit" in steps[5]
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"training.safetensors", "model.onnx"}
