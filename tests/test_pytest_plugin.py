"""The plugin for pytest: what it collects, what a failing test shows, and what a run costs that does not use it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = "pytester"
HOME = Path(__file__).parents[1]

MODEL = """
import numpy as np

def spring(x, k):
    return 0.5 * k * np.sum(x**2)

spring_inputs = (np.array([1.0, 2.0]), 3.0)

def chain(x):
    return np.sum(x**3)

def chain_inputs():
    return np.array([1.0, 2.0])

def chain_gradient(x):
    return x**2

def broken(x):
    return x / undefined

broken_inputs = 1.0

def validate_inputs(form):
    raise NotImplementedError

validate = sum
"""
TESTS = """
import numpy as np
import pytest
import tinygrad_lite as tg
from model import broken, spring

def wrong(x, k):
    return k * x, np.sum(x**2)

@pytest.fixture(params=[1.0, 2.0])
def x(request):
    return np.full(2, request.param)

def test_fixture(gradcheck, x):
    assert gradcheck(spring, x, 3.0).ok

def test_fixture_wrong(gradcheck):
    gradcheck(spring, np.ones(2), 3.0, gradient=wrong)

def test_function_wrong():
    tg.gradcheck(spring, np.ones(2), 3.0, gradient=wrong)

def test_fixture_broken(gradcheck):
    gradcheck(broken, 1.0)

@pytest.mark.gradcheck(rtol=1.0, order=2)
def test_fixture_with_settings(gradcheck):
    gradcheck(spring, np.ones(2), 3.0, gradient=wrong, order=1)

@pytest.mark.gradcheck(order=2)
@pytest.mark.parametrize("k", [1.0, -3.0])
def test_marked(x, k):
    return np.tanh(k * x)

class TestMarked:
    @pytest.mark.gradcheck
    def test_wrong(self, x):
        return x * x.detach()

    @pytest.mark.gradcheck
    def test_broken(self, x):
        return broken(x)

    @pytest.mark.gradcheck
    def test_nothing(self, x):
        assert np.all(x > 0)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(HOME))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins take most of a run's time
    pytester.makepyfile(model=MODEL, test_model=TESTS)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "pytest_tinygrad_lite", "--strict-markers", "-W", "error", *arguments)


def test_fixture_and_marker(project: pytest.Pytester) -> None:
    result = run(project)
    result.assert_outcomes(passed=7, failed=9)
    wrong = "gradcheck of spring: FAILED (2 right, 1 wrong; by complex step)"
    result.stdout.fnmatch_lines(
        [
            ">       gradcheck(spring, np.ones(2), 3.0, gradient=wrong)",
            f"E       tinygrad_lite.errors.GradientError: {wrong}",
            "E*where: multiply, called at model.py:4: return 0.5 [*] k [*] np.sum(x[*][*]2)",
            ">       tg.gradcheck(spring, np.ones(2), 3.0, gradient=wrong)",
            f"E       tinygrad_lite.errors.GradientError: {wrong}",
            ">       gradcheck(broken, 1.0)",
            ">       return x / undefined",
            "E       NameError: name 'undefined' is not defined",
            "*TestMarked.test_wrong*1.0*",
            "gradcheck of test_wrong: FAILED (*",
            "*TestMarked.test_broken*1.0*",
            ">       return broken(x)",
            ">       return x / undefined",
            "*TestMarked.test_nothing*1.0*",
            "test_nothing returned nothing to differentiate; does it end with `return`?",
        ]
    )
    for line in result.outlines:
        assert "tinygrad_lite/" not in line
        assert "pytest_tinygrad_lite.py" not in line


def test_declared_functions(project: pytest.Pytester) -> None:
    (project.path / "script.py").write_text("raise SystemExit('a script has run')")
    (project.path / "unfinished.py").write_text("x_inputs = (")
    run(project, "-k", "spring or chain").assert_outcomes(deselected=16)
    result = run(project, "--gradcheck", "-m", "gradcheck", "--deselect", "test_model.py")
    result.assert_outcomes(passed=1, failed=2, deselected=16)
    result.stdout.fnmatch_lines(
        [
            "*__ chain __*",
            "gradcheck of chain: FAILED (2 wrong; by complex step)",
            "*__ broken __*",
            ">       return x / undefined",
            "E       NameError: name 'undefined' is not defined",
            "FAILED model.py::chain - *",
        ]
    )


def test_the_examples_of_the_page(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (HOME / "docs" / "gradient_checking.md").read_text()
    for name in ("energy.py", "test_energy.py"):
        (pytester.path / name).write_text(page.split(f"```python\n# {name}\n")[1].split("```")[0])
    pytester.makeconftest("import numpy as np, pytest\n\n@pytest.fixture\ndef x():\n    return np.ones(2)")
    monkeypatch.setenv("PYTHONPATH", str(HOME))
    run(pytester, "--gradcheck").assert_outcomes(passed=3, failed=1)
    command, text = page.split("```text\n$ python -m tinygrad_lite ")[1].split("```")[0].split("\n", 1)
    found = pytester.run(sys.executable, "-m", "tinygrad_lite", *command.split())
    assert "\n".join([*found.outlines, ""]) == text
    assert found.ret == 1


def test_a_run_that_does_not_use_it_imports_nothing_else() -> None:
    script = (
        "import sys, pytest; before = set(sys.modules); import pytest_tinygrad_lite; print(set(sys.modules) - before)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=HOME)
    assert found.stdout.strip() == "{'pytest_tinygrad_lite'}"
