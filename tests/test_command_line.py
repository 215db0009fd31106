"""The command line: reports, exit statuses, and what it says when it cannot check."""

import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_lite.__main__ import main
from tinygrad_lite.exercises import catalogue

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


def test_a_function_that_fails(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "failing_here.py").write_text("def f(x):\n    return x / undefined\n\nf_inputs = 1.0\n")
    assert main(["check", "failing_here:f"]) == 2
    found = capsys.readouterr().err
    assert "return x / undefined" in found
    assert "NameError" in found


def test_a_file_may_be_named_by_its_path(directory: Path) -> None:
    assert main(["check", f"{directory}/springs_here.py:energy"]) == 0


RIGHT = "def derivative(y, x):\n    return 2 * x\n"


def test_an_exercise_from_question_to_mark(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", "square"]) == 0
    assert "def derivative(y, x):" in capsys.readouterr().out
    written = directory / "square.py"
    assert main(["exercise", "square", "--check", str(written)]) == 2
    assert "returned Ellipsis" in capsys.readouterr().err
    written.write_text(written.read_text().replace("return ...\n", "return x\n"))
    assert main(["exercise", "square", "--check", str(written)]) == 1
    assert "a constant factor is missing" in capsys.readouterr().out
    written.write_text(RIGHT)
    assert main(["exercise", "square", "--check", "square.py"]) == 0
    assert "square, attempt 1: right" in capsys.readouterr().out
    assert main(["exercise", "square"]) == 0
    assert "stays as it is" in capsys.readouterr().out
    assert written.read_text() == RIGHT
    assert {path.name for path in directory.iterdir()} == {"springs_here.py", "square.py"}


def test_exercises_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise"]) == 0
    assert "softplus" in capsys.readouterr().out
    assert main(["exercise", "softplus", "--hint", "2"]) == 0
    assert capsys.readouterr().out.startswith("hint 2 of 2: ")


def test_a_teachers_file_of_exercises(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "_DECLARED", dict(catalogue._DECLARED))
    (directory / "course.py").write_text(
        "import numpy as np, tinygrad_lite as tg\n"
        "tg.exercises.declare('cube_here', 'A cube.', lambda x: x**3, write='derivative', inputs=[{'x': np.ones(1)}])\n"
    )
    (directory / "mine.py").write_text("def derivative(y, x):\n    return 3 * x**2\n")
    assert main(["exercise", "cube_here", "--course", "course.py", "--check", "mine.py"]) == 0
    assert "cube_here, attempt 1: right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def derivative(y, x) return x", "answer.py, line 1: "),
        ("import nowhere_here", "answer.py cannot be run: ModuleNotFoundError"),
        ("raise SystemExit", "answer.py leaves Python when it is run"),
        ("import sys\ndef derivative(y, x):\n    sys.exit(0)", "derivative leaves Python: let it end with `return`"),
        ("def vjp(g, y, x):\n    return g", "has no function `derivative`"),
        ("def derivative(x):\n    return x", "begin with `def derivative(y, x):`"),
        ("def derivative(y, x):\n    return x[9]", "raised by your derivative, line 2: return x[9]"),
    ],
)
def test_an_answer_that_cannot_be_marked(
    directory: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (directory / "answer.py").write_text(text)
    assert main(["exercise", "square", "--check", "answer.py"]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sqare"], "did you mean square"),
        (
            ["square", "--check", "nowhere.py"],
            "there is no nowhere.py; `exercise square` writes square.py to begin with",
        ),
        (["square", "--check", "."], ". is a directory"),
        (["square", "--check", "notes.txt"], "notes.txt is not a Python file: its name must end with .py"),
        (["square", "--hint", "7"], "has 2 hints"),
        (["square", "--course", "nowhere.py"], "there is no nowhere.py"),
    ],
)
def test_an_exercise_that_cannot_be_had(
    directory: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    (directory / "notes.txt").write_text("")
    assert main(["exercise", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_directory_that_cannot_be_written(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "square.py").symlink_to(directory / "nowhere" / "square.py")
    assert main(["exercise", "square"]) == 0  # a link is somebody's, too, and is not followed
    assert "stays as it is" in capsys.readouterr().out


@pytest.mark.parametrize("code", ["raise SystemExit(0)", "1 / 0", "x = ("])
def test_a_module_that_ends_before_it_is_checked_has_not_passed(
    directory: Path, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"ends_{len(code)}"
    (directory / f"{name}.py").write_text(code + "\n")
    assert main(["check", f"{name}:f", "--shapes", "3"]) == 2
    said = capsys.readouterr().err
    assert "before it was checked" in said or "ZeroDivisionError" in said or "SyntaxError" in said


def test_a_reader_that_has_read_enough(directory: Path) -> None:
    command = f"{sys.executable} -m tinygrad_lite exercise | true"
    found = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert not found.stderr
