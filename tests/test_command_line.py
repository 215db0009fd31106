"""The command line: reports, exit statuses, and what it says when it cannot check."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

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

def pull(x):
    print("pulled")
    return np.sum(x**3)

def pull_inputs():
    return np.array([1.0, 2.0])

def pull_gradient(x):
    return 3.0001 * x**2

def noisy(x):
    return float(np.float16(np.sum(np.sin(x))))

noisy_inputs = [np.array([0.3, 0.5])]

def noisy_gradient(x):
    return np.cos(x)

def broken(x):
    return x / undefined

broken_inputs = 1.0

def read_inputs(file):
    raise NotImplementedError

read = sum
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
        ["--wrt", "k"],
        ["--wrt", "0,k"],
        ["--order", "2"],
        ["--method", "differences"],
    ],
    ids=" ".join,
)
def test_where_inputs_come_from(directory: Path, arguments: list[str]) -> None:
    assert main(["check", "springs_here:energy", *arguments]) == 0


def test_targets_may_follow_any_option(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--shapes", "4", "()", "springs_here:energy"]) == 0
    assert "(5 right" in capsys.readouterr().out
    assert main(["check", "springs_here:energy", "--shapes", "4", "()", "springs_here.py:energy"]) == 0
    assert "2 functions: 2 passed" in capsys.readouterr().out
    assert main(["check", "--wrt", "k", "springs_here:energy"]) == 0
    assert "(1 right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say which function to check"),
        (["--shapes", "4"], "say which function to check"),
        (["springs_here:energy", "--wrt", "y"], "wrt= names 'y', which is not a variable; there are x, k"),
        (["energy"], "package.module:function"),
        (["nowhere_here:energy"], "no module 'nowhere_here'"),
        (["springs_here:enery"], "springs_here has no 'enery'; it has broken"),
        (["springs_here:forces"], "define forces_inputs"),
        (["nowhere_here.py:forces"], "nowhere_here.py"),
        (["springs_here:energy", "--shapes", "a"], "a shape is given as"),
        (["springs_here:energy", "--inputs", "np"], "energy takes (x, k), and gradcheck was given 1 input"),
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


def test_files_of_one_name_and_in_packages(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for home in ("first", "second"):
        (directory / home).mkdir()
        (directory / home / "same_here.py").write_text(f"def {home}(x):\n    return x**2\n\ninputs = 2.0\n")
    package = directory / "package_here"
    package.mkdir()
    (package / "__init__.py").write_text("size = 2.0\n")
    (package / "inner.py").write_text("from . import size as inputs\n\ndef third(x):\n    return x**2\n")
    files = ["first/same_here.py:first", "second/same_here.py:second", "package_here/inner.py:third"]
    assert main(["check", *files]) == 0
    assert "3 functions: 3 passed" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.parametrize(
    ("functions", "status"),
    [
        (["energy"], 0),
        (["energy", "noisy"], 3),
        (["noisy", "broken"], 2),
        (["noisy", "broken", "pull", "energy"], 1),
        (["pull", "energy", "--rtol", "1e-3"], 0),
        (["pull", "--atol", "1e-4"], 1),
        (["pull", "--atol", "1e-3"], 0),
        (["energy", "--shapes", "2000", "()", "--time-budget", "1e-9"], 3),
    ],
)
def test_the_exit_status_is_that_of_the_gravest_outcome(directory: Path, functions: list[str], status: int) -> None:
    targets = [f"springs_here:{x}" if x.isalpha() else x for x in functions]
    assert main(["check", *targets]) == status


def test_all_functions_of_a_module_that_declare_inputs(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "springs_here"]) == main(["check", "springs_here.py"]) == 1
    out = capsys.readouterr().out
    assert out.count("gradcheck of energy: passed") == 2
    assert out.endswith("4 functions: 1 failed, 1 error, 1 inconclusive, 1 passed\n")
    (directory / "bare_here.py").write_text("x = 1\n")
    assert main(["check", "bare_here"]) == 2
    assert "define FUNCTION_inputs, or write bare_here:FUNCTION" in capsys.readouterr().err


def test_reports_as_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "springs_here", "--json", "-"]) == 1
    energy, pull, noisy, broken = json.loads(capsys.readouterr().out)
    assert energy["target"] == "springs_here:energy"
    assert [energy[key] for key in ("outcome", "entries", "verified", "method")] == ["passed", 3, 3, "complex step"]
    assert pull["outcome"] == "failed"
    assert pull["findings"][0]["reference"] == pytest.approx(12)
    assert pull["findings"][0]["index"] == [1]
    assert (noisy["outcome"], noisy["verified"]) == ("inconclusive", 0)
    assert (broken["outcome"], broken["error"].splitlines()[-2]) == (
        "error",
        "NameError: name 'undefined' is not defined",
    )
    assert "tinygrad_lite" not in broken["error"]
    assert main(["check", "springs_here:energy", "--json", "report.json"]) == 0
    assert "passed" in capsys.readouterr().out
    assert len(json.loads((directory / "report.json").read_text())) == 1
    assert main(["check", "springs_here:energy", "--json", "nowhere/report.json"]) == 2
    assert "cannot write nowhere/report.json: the folder " in capsys.readouterr().err


@pytest.mark.parametrize("place", ["nowhere/report", "folder"])
@pytest.mark.parametrize(
    "command",
    [
        *(["check", "work.py:work", option] for option in ("--json", "--junit")),
        *(["class", "handed_in", option] for option in ("--json", "--junit", "--html")),
        ["explain", "work.py", "--output"],
    ],
    ids=" ".join,
)
def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    directory: Path, capsys: pytest.CaptureFixture[str], command: list[str], place: str
) -> None:
    work = "from pathlib import Path\nPath('done').touch()\n"
    (directory / "work.py").write_text(work + "def work(x):\n    return x\n")
    (directory / "folder").mkdir()
    (directory / "handed_in" / "ada").mkdir(parents=True)
    (directory / "handed_in" / "ada" / "softmax.py").write_text(work)
    name, script, option = command
    assert main([name, option, place, script]) == 2
    said = capsys.readouterr()
    assert f"cannot write {place}: " in said.err
    assert not said.out
    assert not (directory / "done").exists()


def test_reports_as_junit_xml(directory: Path) -> None:
    (directory / "hostile_here.py").write_text("def f(x):\n    raise ValueError('<\\x1b[1m]]>&')\n\nf_inputs = 1.0\n")
    assert main(["check", "springs_here.py", "hostile_here:f", "--junit", "report.xml"]) == 1
    (suite,) = ET.parse("report.xml").getroot()
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "2",
        "errors": "2",
        "skipped": "0",
    }
    energy, pull, noisy, broken, hostile = suite
    assert (energy.get("classname"), energy.get("name"), energy[0].tag) == ("springs_here", "energy", "system-out")
    kinds = [(case[0].tag, case[0].get("type")) for case in (pull, noisy, broken)]
    assert kinds == [("failure", "failed"), ("failure", "inconclusive"), ("error", "error")]
    assert pull[0].get("message", "").startswith("gradcheck of pull: FAILED (2 wrong")
    assert "should be 12" in (pull[0].text or "")
    assert hostile[0].get("message") == "ValueError: <\ufffd[1m]]>&"


RIGHT = "def derivative(y, x):\n    return 2 * x\n"


def test_an_exercise_from_question_to_mark(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", "square"]) == 0
    assert "def derivative(y, x):" in capsys.readouterr().out
    written = directory / "square.py"
    assert main(["exercise", "square", "--check", str(written)]) == 2
    assert "returned Ellipsis" in capsys.readouterr().err
    written.write_text(written.read_text().replace("return ...\n", "return x\n"))
    assert main(["exercise", "square", "--check", str(written)]) == 1
    told = capsys.readouterr().out
    assert "a constant factor is missing" in told
    assert main(told.rpartition("`")[0].rpartition("`")[2].split()) == 0  # the command that says what that is
    written.write_text(RIGHT)
    assert main(["exercise", "square", "--check", "square.py"]) == 0
    assert "square, attempt 1: right" in capsys.readouterr().out
    assert main(["exercise", "square"]) == 0
    assert "stays as it is" in capsys.readouterr().out
    assert written.read_text() == RIGHT
    assert {path.name for path in directory.iterdir()} == {"springs_here.py", "square.py"}


def test_a_mark_is_written_for_other_programs(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "square.py").write_text("print('hello')\n" + RIGHT.replace("2 *", "-2 *"))
    marking = ["exercise", "square", "--check", "square.py", "--seed", "ada", "--log", "log.jsonl"]
    assert main([*marking, "--json", "-", "--junit", "mark.xml"]) == 1
    (mark,) = json.loads(capsys.readouterr().out)
    assert (mark["student"], mark["outcome"], mark["misconception"]) == ("ada", "wrong", "sign")
    assert (mark["printed"], mark["attempts"]) == ("hello\n", 1)
    assert ET.parse("mark.xml").getroot()[0][0][0].get("type") == "sign"
    assert main(marking) == 1
    assert capsys.readouterr().out.startswith("hello\nsquare, attempt 2: not yet")
    assert main(["exercise", "--about", "sign"]) == 0
    assert capsys.readouterr().out.startswith("The sign is the wrong way round")
    for written in ("square.py", "log.jsonl", "mark.xml"):
        (directory / written).unlink()


def test_exercises_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise"]) == 0
    assert "softplus" in capsys.readouterr().out
    assert main(["exercise", "softplus", "--hint", "2"]) == 0
    assert capsys.readouterr().out.startswith("hint 2 of 3: ")


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


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def derivative(y, x) return x", "answer.py, line 1: "),
        ("import nowhere_here", "answer.py, line 1, cannot be run: ModuleNotFoundError"),
        ("raise SystemExit", "answer.py leaves Python when it is run"),
        ("import sys\ndef derivative(y, x):\n    sys.exit(0)", "derivative leaves Python: let it end with `return`"),
        ("def vjp(g, y, x):\n    return g", "has no `derivative`, which the exercise asks for"),
        ("def derivative(x):\n    return x", "begin with `def derivative(y, x):`"),
        ("def derivative(y, x):\n    return x[9]", "raised by your derivative, line 2: return x[9]"),
        ("def derivative(y, x):\n    return 2 if x > 0 else 0", "with np.where(condition, a, b)"),
        ("import math\ndef derivative(y, x):\n    return math.exp(x)", "such as np.exp, in place of those of math"),
        ("def derivative(y, x):\n    raise NotImplementedError", "NotImplementedError\n  raised by your derivative"),
        ("\nx = undefined", "answer.py, line 2, cannot be run: NameError"),
        ("x = float(input())", "nobody is there to type: take out input()"),
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
        (["square", "--hint", "7"], "has 3 hints"),
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


@pytest.mark.parametrize(
    "option", [["--check", "softmax.py"], ["--hint", "1"], ["--json", "-"], ["--junit", "mark.xml"]]
)
def test_a_mark_or_a_hint_needs_the_name_of_the_exercise(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", *option]) == 2
    assert f"{option[0]} needs the name of an exercise, as in `exercise softmax --check" in capsys.readouterr().err
