"""The command line: reports, exit statuses, and what it says when it cannot check."""

import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_lite.__main__ import main

MODULE = """
import numpy as np

def energy(x, k):
    return 0.5 * k * np.sum(x**2)

energy_inputs = (np.array([1.0, 2.0]), 3.0)

def forces(x, k):
    return -k * x, 0.5 * np.sum(x**2)

def other():
    return np.ones(2), 2.0
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "springs_here.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_right_gradient(directory: Path) -> None:
    command = [sys.executable, "-m", "tinygrad_lite", "check", "springs_here:energy"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0
    assert found.stdout == "gradcheck of energy: passed (3 right; by complex step)\n"


def test_a_wrong_gradient(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "springs_here:energy", "--gradient", "forces"]) == 1
    assert "the sign is wrong" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--inputs", "other"],
        ["--shapes", "4,2", "()"],
        ["--order", "2"],
        ["--method", "differences"],
    ],
    ids=" ".join,
)
def test_where_inputs_come_from(directory: Path, arguments: list[str]) -> None:
    assert main(["check", "springs_here:energy", *arguments]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["energy"], "package.module:function"),
        (["nowhere_here:energy"], "no module 'nowhere_here'"),
        (["springs_here:enery"], "springs_here has no 'enery'; it has energy"),
        (["springs_here:forces"], "define forces_inputs"),
        (["springs_here:energy", "--shapes", "a"], "a shape is given as"),
        (["springs_here:energy", "--inputs", "np"], "no arrays"),
    ],
)
def test_what_cannot_be_checked(
    directory: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["check", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_file_may_be_named_by_its_path(directory: Path) -> None:
    assert main(["check", f"{directory}/springs_here.py:energy"]) == 0
