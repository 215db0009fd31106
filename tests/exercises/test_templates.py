"""The templates for GitHub Classroom, nbgrader and Otter, as far as they run without these tools."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

import tinygrad_lite as tg
from tinygrad_lite.__main__ import main
from tinygrad_lite.exercises.solutions import SOLUTIONS

TEMPLATES = Path(__file__).parents[2] / "examples" / "classroom"
NAMES = ["chain_rule", "matmul_left", "softmax"]


def cells_of(notebook: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(notebook.read_text())["cells"]
    return cells


def run(code: str, scope: dict[str, Any]) -> None:
    exec(compile(code, "<cell>", "exec"), scope)


def test_the_workflow_of_github_classroom_marks_each_exercise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    repository = tmp_path / "assignment-ada"
    shutil.copytree(TEMPLATES / "github_classroom", repository)
    monkeypatch.chdir(repository)
    workflow = Path(".github/workflows/classroom.yml").read_text()
    commands = re.findall(r"command: python -m tinygrad_lite (.*)", workflow)
    assert [command.split()[1] for command in commands] == NAMES
    assert re.findall(r"id: (\S+)", workflow) == re.findall(r"runners: (.*)", workflow)[0].split(",")
    for name, command in zip(NAMES, commands):
        assert Path(f"{name}.py").read_text() == tg.exercises.start(name).template()
        arguments = shlex.split(command.replace("${{ github.event.repository.name }}", repository.name))
        assert main(arguments) == 2  # nothing is filled in yet
        Path(f"{name}.py").write_text(f"import numpy as np\n{SOLUTIONS[name]}")
        assert main(arguments) == 0
    assert main(["class", "..", "--seeded"]) == 0
    assert "assignment-ada  right       right        right    0         0" in capsys.readouterr().out


def test_the_notebook_of_nbgrader_passes_with_its_solutions_and_fails_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = cells_of(TEMPLATES / "nbgrader" / "source" / "backpropagation" / "backpropagation.ipynb")
    solved: dict[str, Any] = {}
    empty: dict[str, Any] = {}
    graded = []
    for cell in cells:
        code, settings = "".join(cell["source"]), cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] != "code":
            continue
        run(code, solved)
        if settings.get("solution"):
            run(re.sub(r"### BEGIN SOLUTION.*### END SOLUTION", "return 0 * y", code, flags=re.DOTALL), empty)
        elif settings.get("grade"):
            graded.append(settings["grade_id"])
            with pytest.raises(AssertionError, match="not yet"):
                run(code, empty)
        elif not cell["id"].startswith("mark"):
            run(code, empty)
    assert graded == [f"test_{name}" for name in NAMES]
    assert len((tmp_path / "attempts.jsonl").read_text().splitlines()) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_tests_of_otter_pass_for_a_solution_and_show_the_mark_otherwise(name: str) -> None:
    scope: dict[str, Any] = {}
    run((TEMPLATES / "otter" / "tests" / f"{name}.py").read_text(), scope)
    (case,) = scope["test"]["suites"][0]["cases"]
    code = "\n".join(re.findall(r">>> (.*)", case["code"]))
    solution: dict[str, Any] = {}
    run(f"import numpy as np\n{SOLUTIONS[name]}", solution)
    run(code, {"tg": tg, name: solution.get("vjp") or solution["derivative"]})
    with pytest.raises(AssertionError, match="not yet"):
        run(code, {"tg": tg, name: lambda *arguments: 0 * arguments[-1]})
    checked = [cell["source"][0] for cell in cells_of(TEMPLATES / "otter" / "backpropagation.ipynb")]
    assert f'grader.check("{name}")' in checked
