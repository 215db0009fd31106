"""NumPy's own tests, whose calls are made again on tensors: values to the last bit, and gradients by differences."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FILES = {
    "lib": "arraypad function_base histograms index_tricks nanfunctions polynomial shape_base twodim_base",
    "_core": "function_base item_selection numeric shape_base",
    "linalg": "linalg",
    "fft": "pocketfft helper",
}


@pytest.mark.slow
@pytest.mark.parametrize(("package", "name"), [(package, name) for package in FILES for name in FILES[package].split()])
def test_their_calls_on_tensors(package: str, name: str, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.numpys_own_tests", "-p", "no:cacheprovider"]
    command += ["-c", "/dev/null", "--pyargs", f"numpy.{package}.tests.test_{name}", f"--found={found}"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert found.exists(), run.stdout + run.stderr
    counted = json.loads(found.read_text())
    assert counted["different"] == {}
    assert counted["calls"] > 0
