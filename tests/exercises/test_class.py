"""A class: numbers for each student, logs, submissions in processes of their own, and the teacher's reports."""

import json
import os
import runpy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.exercises.answers import ANSWERS
from tinygrad_lite.__main__ import main
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.exercises import catalogue
from tinygrad_lite.exercises.assignments import Classroom, Result, mark_class
from tinygrad_lite.exercises.catalogue import find
from tinygrad_lite.exercises.class_page import as_html
from tinygrad_lite.exercises.course import COURSE
from tinygrad_lite.exercises.solutions import SOLUTIONS
from tinygrad_lite.exercises.students import for_student

RIGHT = "def derivative(y, x):\n    return 1 - y**2\n"

HANDED_IN: dict[str, tuple[str, str, str]] = {
    "ada": (RIGHT, "right", "right (5 entries)"),
    "bob": ("def derivative(y, x):\n    return 1 - y", "wrong", "a part of the formula is missing"),
    "cleo": ("def derivative(y, x):\n    while True:\n        print('x' * 100)", "error", "took longer than 1 seconds"),
    "dan": ("import os\ndef derivative(y, x):\n    os._exit(0)", "error", "ended Python, with status 0,"),
    "eve": ("import sys\nsys.exit(0)", "error", "leaves Python when it is run"),
    "fay": ("import os\ndef derivative(y, x):\n    os.kill(os.getppid(), 9)", "error", "may not end other programs"),
    "gus": ("import os\nos.system('true')", "error", "may not start other programs"),
    "hal": ("open('../../spoilt', 'w')", "error", "may not change files: it tried to change ../../spoilt"),
    "ida": ("from tinygrad_lite.exercises import solutions", "error", "may not read the solutions"),
    "jon": ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "error", "may not use the network"),
    "joy": ("import socket\nsocket.gethostbyname('localhost')", "error", "may not use the network"),
    "jim": ("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')", "error", "may not use the network"),
    "kai": ("\0", "error", "tanh.py: source code string cannot contain null bytes"),
    "kat": ("import os\nwhile True:\n    os.fork()", "error", "may not start other programs"),
    "ken": (f"import sys\nsys.stdout.write('x' * 10**7)\n{RIGHT}", "right", "right (5 entries)"),
    "kim": ("import numpy as np\ndef derivative(y, x):\n    return np.zeros(10**11)", "error", "MemoryError"),
    "leo": (
        f"print('hello')\nopen('notes', 'w').close()\n{RIGHT}".replace("    return", "    print(y.size)\n    return"),
        "right",
        "right (5 entries)",
    ),
    "mia <b>": (
        "import os\nfor fd in range(3, 9):\n    try:\n        os.write(fd, b'1')\n    except OSError:\n        pass\n",
        "error",
        "",
    ),
    "moe": ("exec(open('../ada/tanh.py').read())", "error", "FileNotFoundError"),
    "mo": (
        "from numbers_of_mine import one\ndef derivative(y, x):\n    return one - y**2",
        "right",
        "right (5 entries)",
    ),
    "nia": (
        "import os\nwhile True:\n    for fd in range(3, 9):\n        try:\n            os.write(fd, b'[1]\\n' * 9999)\n"
        "        except OSError:\n            pass\n",
        "error",
        "sent something other than an array",
    ),
    "nat": ("raise ValueError('\x1b[2J' + 'x' * 10**6)", "error", "ValueError: \N{REPLACEMENT CHARACTER}[2Jxxx"),
    "ned": ("import os, signal\nsignal.raise_signal(signal.SIGSEGV)", "error", "crashed (SIGSEGV)"),
}


IN_EACH_CLASS = {"bob", "cleo", "hal", "leo", "mo"}
"""The students whom the tests of a class as a whole speak of."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A class of those whose submissions this run looks at, since Python starts anew for each."""
    folder = tmp_path_factory.mktemp("class")
    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    students = IN_EACH_CLASS.union(params["student"] for params in calls if "student" in params)
    for student in sorted(students):
        (folder / student).mkdir()
        (folder / student / "tanh.py").write_text(HANDED_IN[student][0])
    events = [
        {"exercise": "tanh", "ok": False, "misconception": "sign"},
        {"exercise": "tanh", "hint": 2},
        {"exercise": "tanh", "ok": False, "misconception": "<script>"},
    ]
    (folder / "bob" / "attempts.jsonl").write_text("\n".join(map(json.dumps, events)))
    (folder / "cleo" / "attempts.jsonl").write_text('{"exercise": [], "hint": "x"}')
    (folder / "zoe").mkdir()
    (folder / "mo" / "numbers_of_mine.py").write_text("one = 1")
    (folder / "mo" / "numpy.py").write_text("raise ImportError")  # does not take the place of NumPy
    return folder


@pytest.fixture(scope="module")
def classroom(folder: Path) -> Classroom:
    return mark_class(folder, time_limit=1)


@pytest.mark.long
@pytest.mark.parametrize("student", HANDED_IN)
def test_each_submission_is_marked_whatever_it_does(classroom: Classroom, student: str) -> None:
    (result,) = classroom.of(student)
    _, outcome, words = HANDED_IN[student]
    assert (result.outcome, words in result.text) == (outcome, True), result.text


NAMES = [declaration.name for declaration in COURSE]


def test_a_submission_leaves_nothing_behind(folder: Path, classroom: Classroom) -> None:
    assert not [*folder.rglob("spoilt"), *folder.rglob("notes"), *folder.rglob("__pycache__")]
    (result,) = classroom.of("leo")
    assert result.printed == "hello\n3\n2\n"  # once for each trial


def test_what_a_file_says_is_short_and_steers_no_terminal(classroom: Classroom) -> None:
    for result in classroom.results:
        assert len(result.text) < 3000
        assert all(line.isprintable() for line in result.text.splitlines())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
def test_links_pipes_and_other_endings_are_not_marked(tmp_path: Path) -> None:
    for student in ("ada", "bob", "cleo", "dan"):
        (tmp_path / student).mkdir()
    (tmp_path / "ada" / "tanh.py").write_text(RIGHT)
    (tmp_path / "bob" / "tanh.py").symlink_to(tmp_path / "ada" / "tanh.py")
    os.mkfifo(tmp_path / "cleo" / "tanh.py")
    (tmp_path / "dan" / "tanh.py.txt").write_text(RIGHT)
    (tmp_path / "dan" / "tanh.ipynb").write_text("{}")
    room = mark_class(tmp_path)
    assert [result.outcome for result in room.results] == ["right", "error", "error", "missing"]
    assert "tanh.py is a link to another file" in room.of("bob")[0].text
    assert "is not a regular file" in room.of("cleo")[0].text
    command = "jupyter nbconvert --to script tanh.ipynb"
    there = f"tanh.ipynb (a notebook: {command} makes a file of it), tanh.py.txt (should it be tanh.py?)"
    assert f"there is no tanh.py; there is {there}" in room.of("dan")[0].text


def test_a_file_may_be_named_almost_as_its_exercise(tmp_path: Path) -> None:
    """By a phone, which writes capitals, by a browser, which numbers downloads, and by a pupil, who likes hyphens."""
    names = ["Square", "square (1)", "SQUARE", "square"]
    for student, name in enumerate(names):
        (tmp_path / f"{student}").mkdir()
        (tmp_path / f"{student}" / f"{name}.py").write_text("def derivative(y, x): return 2 * x")
    (tmp_path / "0" / "Used-twice (2).py").write_text("def derivative(y, x): return x")
    (tmp_path / "3" / "Square (1).py").write_text("def derivative(y, x): return x")  # the very name counts
    room = mark_class(tmp_path)
    assert room.exercises == ["square", "used_twice"]
    assert [result.outcome for result in room.results if result.exercise == "square"] == ["right"] * 4
    assert [result.outcome for result in room.results if result.exercise == "used_twice"][1:] == ["missing"] * 3
    assert not room.of("3")[1].other_files


def test_a_class_of_notebooks_is_told_how_they_become_files(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "square.ipynb").write_text("{}")
    with pytest.raises(InputError, match=r"jupyter nbconvert --to script square\.ipynb makes a file of it"):
        mark_class(tmp_path)


def test_what_is_not_handed_in_is_missing(classroom: Classroom) -> None:
    (result,) = classroom.of("zoe")
    assert (result.outcome, result.text) == ("missing", "tanh: there is no tanh.py")


def test_files_that_match_no_exercise_are_listed_and_errors_reported(tmp_path: Path, capsys: Any) -> None:
    files = {"ada": "square", "bob": "sqare<", "cleo": "square"}
    for student, name in files.items():
        (tmp_path / student).mkdir()
        (tmp_path / student / f"{name}.py").write_text("def derivative(y, x)" + ": return x" * (student != "cleo"))
    (tmp_path / "bob" / "exp.py").write_text("def derivative(y, x): return y")
    assert main(["class", str(tmp_path), "--html", str(tmp_path / "report.html")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "cleo, square: square.py, line 1: expected ':'" in lines
    assert "bob: no exercise is named sqare<.py (should it be square.py?)" in lines
    assert not [line for line in lines if line.startswith(("ada:", "cleo:"))]
    assert lines[-1].startswith("python -m tinygrad_lite exercise --about constant_factor")
    page = (tmp_path / "report.html").read_text()
    assert "Not handed in: square. No exercise is named sqare&lt;.py (should it be square.py?)." in page


def test_the_report_has_attempts_hints_and_mistakes(classroom: Classroom) -> None:
    (result,) = classroom.of("bob")
    assert (result.attempts, result.hints, result.misconception) == (2, 2, "part_of_a_formula")
    assert [*classroom.mistakes()] == ["part_of_a_formula", "sign"]
    text = str(classroom)
    assert text.splitlines()[0].split() == ["student", "tanh", "attempts", "hints"]
    assert "part_of_a_formula: 1 × (bob)" in text
    assert "| bob | not yet | 2 | 2 |" in classroom.markdown()


def test_reports_are_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    small = tmp_path / "class"
    for student in ("bob", "mia <b>"):
        (small / student).mkdir(parents=True)
        (small / student / "tanh.py").write_text(HANDED_IN["bob"][0])
    files = [str(tmp_path / name) for name in ("marks.json", "marks.xml", "report.html")]
    assert main(["class", str(small), "--json", files[0], "--junit", files[1], "--html", files[2]]) == 0
    assert "not yet" in capsys.readouterr().out
    marks = json.loads(Path(files[0]).read_text())
    assert [(mark["student"], mark["outcome"]) for mark in marks] == [("bob", "wrong"), ("mia <b>", "wrong")]
    suites = ET.parse(files[1]).getroot()
    assert [(suite.get("name"), suite.get("failures")) for suite in suites] == [("bob", "1"), ("mia <b>", "1")]
    assert suites[0][0][0].get("type") == "part_of_a_formula"
    unmarked = Result("ada", "tanh", "error", "tanh: it took <b>longer</b>\nthan a second")
    page = as_html(Classroom([unmarked])) + Path(files[2]).read_text()
    assert "could not be marked<small>it took &lt;b&gt;longer&lt;/b&gt;</small>" in page
    assert "mia &lt;b&gt;" in page
    assert "<b>" not in page
    assert "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.slow
def test_a_report_of_many_exercises_is_read_beside_the_names(tmp_path: Path, browser: Any, capsys: Any) -> None:
    """The table scrolls within the page, with the names in sight; what is not handed in takes no room."""
    students = ["a name without an end" * 5, "bob", "Cleo", "dan"]
    for student in students:
        (tmp_path / student).mkdir()
        (tmp_path / student / "tanh.py").write_text(HANDED_IN["bob"][0])
    assert main(["class", str(tmp_path), "--html", str(tmp_path / "report.html"), "--exercises", *NAMES]) == 0
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((tmp_path / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("(all => (all.scrollLeft = 1e6, all.scrollLeft))(document.querySelector('.wide'))") > 500
    assert page.evaluate("document.getElementById('whence').getBoundingClientRect().right") <= 390
    names = page.locator('th[scope="row"]')
    assert [names.nth(k).bounding_box()["x"] >= 0 for k in range(4)] == [True] * 4
    assert all(names.nth(k).bounding_box()["width"] < 200 for k in range(4))
    assert names.all_inner_texts() == students, "in the order in which people look for names"
    page.locator("summary").first.click()
    assert f"Not handed in: {', '.join(name for name in NAMES if name != 'tanh')}." in page.inner_text("details[open]")
    page.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "say which folder"), (["nowhere"], "there is no folder nowhere"), (["."], "has no folder in it")],
)
def test_a_class_that_cannot_be_marked(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["class", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("declaration", COURSE, ids=lambda declaration: declaration.name)
def test_each_student_has_numbers_of_their_own(declaration: Any) -> None:
    ada, again, bob = (for_student(declaration, seed) for seed in ("ada", "ada", "bob"))
    x, same, other = (np.asarray(own.inputs[0][own.argument]) for own in (ada, again, bob))
    assert np.array_equal(x, same)
    assert not np.array_equal(x, other)
    assert np.array_equal(np.sign(x), np.sign(declaration.inputs[0][declaration.argument]))
    if declaration.write != "numbers":
        assert tg.exercises.start(declaration.name, seed="ada").check(ANSWERS[declaration.name]).ok


def test_numbers_of_a_neighbour_are_wrong() -> None:
    own = find("reciprocal")
    x = float(for_student(own, "ada").inputs[0]["x"])
    answer = -2 * x / (x * x + 1) ** 2
    assert tg.exercises.start("reciprocal", seed="ada").check(answer).ok
    assert not tg.exercises.start("reciprocal", seed="bob").check(answer).ok


def test_inputs_may_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_DECLARED", dict(catalogue._DECLARED))
    draw = lambda rng: [{"x": rng.uniform(0.1, 0.9, size=3)}]  # noqa: E731
    tg.exercises.declare("odds", "The odds.", lambda x: x / (1 - x), write="derivative", inputs=draw)
    assert tg.exercises.start("odds", seed=1).check(lambda y, x: 1 / (1 - x) ** 2).ok
    assert str(tg.exercises.start("odds", seed=1)) != str(tg.exercises.start("odds", seed=2))
    near = [{"x": np.linspace(0.9, 0.99, 30)}]
    tg.exercises.declare("edge", "Near 1.", lambda x: np.sqrt(1 - x), write="derivative", inputs=near)
    with pytest.raises(InputError, match="declare the exercise with a function of a generator"):
        tg.exercises.start("edge", seed="ada")


def test_a_log_counts_attempts_and_hints(tmp_path: Path) -> None:
    log = tmp_path / "attempts.jsonl"
    exercise = tg.exercises.start("exp", log=log)
    exercise.check(lambda y, x: -y)
    exercise.hint()
    later = tg.exercises.start("exp", log=log)
    mark = later.check(lambda y, x: y)
    assert (later.attempts, later.solved, mark.attempt) == (2, True, 2)
    assert str(later.hint()).startswith("hint 2 of 3")
    assert tg.exercises.start("square", log=log).attempts == 0
    log.write_text("nonsense")
    with pytest.raises(InputError, match="is not a log of attempts"):
        tg.exercises.start("exp", log=log)


def test_a_file_is_marked_as_its_function_is(tmp_path: Path) -> None:
    for name in ("softmax", "matmul_left", "class_loss"):
        (tmp_path / f"{name}.py").write_text(f"import numpy as np\n{SOLUTIONS[name]}")
        assert tg.exercises.start(name).check_file(tmp_path / f"{name}.py").ok
    (tmp_path / "matmul_left.py").write_text("def vjp(g, y, a, b):\n    return g @ b\n")
    mark = tg.exercises.start("matmul_left").check_file(tmp_path / "matmul_left.py")
    assert mark.misconception == "shapes_do_not_fit"
    assert "`g @ b` multiplies matrices of shapes (2, 4) and (3, 4)" in str(mark)
    (tmp_path / "exp.py").write_text("def derivative(y):\n    return y\n")
    with pytest.raises(UsageError, match="begin with"):
        tg.exercises.start("exp").check_file(tmp_path / "exp.py")
    assert not [name for name in os.listdir(tmp_path) if not name.endswith(".py")]


def test_a_solution_is_printed_for_a_teacher_and_nobody_else(capsys: Any) -> None:
    assert main(["class", "--solution", "softmax"]) == 0
    assert "return y * (g - np.sum(g * y, axis=1, keepdims=True))" in capsys.readouterr().out
    assert [*SOLUTIONS] == [declaration.name for declaration in COURSE]


@pytest.mark.slow
def test_each_wrong_answer_of_the_class_that_the_site_shows_is_named() -> None:
    path = Path(__file__).parents[2] / "docs" / "extensions" / "class_report.py"
    shown = runpy.run_path(str(path))["report"]()
    wrong = shown.count('<td class="wrong">')
    assert wrong == 8
    assert shown.count('<td class="right">') == 6
    assert shown.count('<small><a href="#') == wrong
