"""Mistakes in the text of a gradient whose operations cannot be followed: it assigns into arrays, or makes numbers."""

import copy
import linecache
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import spread
from tinygrad_lite.checking import Report

ROWS = np.random.default_rng(0).normal(size=(5, 3))
PLACES = np.array([0, 1, 1, 2])


def valley(x: Any) -> float:
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def arm(x: Any) -> np.ndarray:
    a, b = float(x[0]), float(x[1])
    return np.array([math.cos(a) + 0.5 * math.cos(a + b), math.sin(a) + 0.5 * math.sin(a + b)])


def layer(x: Any) -> float:
    return float(np.sum(np.tanh(ROWS @ x) ** 2) + np.sum(x[PLACES] ** 3))


VALLEY = """\
def gradient(x):
    slope = np.zeros_like(x)
    inner, before, after = x[1:-1], x[:-2], x[2:]
    slope[1:-1] = 200 * (inner - before**2) - 400 * inner * (after - inner**2) - 2 * (1 - inner)
    slope[0] = -400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0])
    slope[-1] = 200 * (x[-1] - x[-2] ** 2)
    return slope
"""
ARM = """\
gradient = lambda x: model.jacobian(float(x[0]), float(x[1]))

def jacobian(a, b):
    far = 0.5 * math.sin(a + b)
    side = 0.5 * math.cos(a + b)
    return np.array([[-math.sin(a) - far, -far], [math.cos(a) + side, side]])
"""
LAYER = """\
def squashed(z):
    return np.array(np.tanh(z))

def gradient(x):
    h = squashed(rows @ x)
    slope = np.asarray(rows.T @ (2 * h * (1 - h**2)), float)
    np.add.at(slope, places, 3 * x[places] ** 2)
    for k in range(len(x)):
        slope[k] += 0.0
    return slope
"""
PROBLEMS: dict[str, tuple[Callable[[Any], Any], str, np.ndarray]] = {
    "valley": (valley, VALLEY, np.array([0.3, 0.7, 1.2, 0.5, 0.9])),
    "arm": (arm, ARM, np.array([0.4, 1.1])),
    "layer": (layer, LAYER, np.array([0.3, -0.2, 0.5])),
}
PLANTED = [
    ("valley", "400 * inner * (after", "400 * (after", "`400 * (after - inner ** 2) * inner` in place of"),
    ("valley", "(inner - before**2)", "(inner - before**3)", "`2` in place of `3`"),
    ("valley", "- 2 * (1 - inner)", "+ 2 * (1 - inner)", "2 * (1 - inner)` in place of"),
    ("valley", "x[-2] ** 2", "x[-3] ** 2", "`2` in place of `3`"),
    ("valley", "200 * (inner", "200 * (after", "`inner` in place of `after`"),
    ("arm", "far = 0.5 * math.sin", "far = 0.5 * math.cos", "`math.sin(a + b)` in place of `math.cos(a + b)`"),
    ("arm", "-math.sin(a)", "math.sin(a)", "`-math.sin(a)` in place of `math.sin(a)`"),
    ("arm", "+ side, side", "- side, side", "`math.cos(a) + side` in place of `math.cos(a) - side`"),
    ("arm", "far = 0.5 * math", "far = math", " in place of `math.sin(a + b)`"),
    ("layer", "np.tanh(z)", "np.arctan(z)", "`np.tanh(z)` in place of `np.arctan(z)`"),
    ("layer", "(1 - h**2)", "(1 - h)", "`h * h` in place of `h`"),
    ("layer", "2 * h *", "2 *", " * h` in place of"),
]


def planted(name: str, right: str, wrong: str) -> Callable[[Any], Any]:
    _, code, _ = PROBLEMS[name]
    assert right in code
    code = code.replace(right, wrong, 1)
    file = f"<{name} with {wrong}>"
    names: dict[str, Any] = {"np": np, "math": math, "rows": ROWS, "places": PLACES}
    linecache.cache[file] = len(code), None, code.splitlines(keepends=True), file
    exec(compile(code, file, "exec"), names)
    names["model"] = SimpleNamespace(jacobian=names.get("jacobian"))
    gradient: Callable[[Any], Any] = names["gradient"]
    return gradient


def check(f: Any, x: Any, gradient: Any) -> Report:
    return tg.gradcheck(f, x, gradient=gradient, raise_exception=False)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_right_gradients_are_right(name: str) -> None:
    f, _, x = PROBLEMS[name]
    assert check(f, x, planted(name, "return", "return")).ok


@pytest.mark.parametrize(("name", "right", "wrong", "words"), spread(PLANTED, 6))
def test_a_mistake_in_a_text_is_found_by_changing_it(name: str, right: str, wrong: str, words: str) -> None:
    f, _, x = PROBLEMS[name]
    before = copy.deepcopy((ROWS, PLACES))
    gradient = planted(name, right, wrong)
    code = gradient.__code__
    (finding,) = check(f, x, gradient).findings
    assert finding.why.startswith("this line of the gradient is right with `")
    assert words in finding.why
    line = next(line.strip() for line in PROBLEMS[name][1].replace(right, wrong, 1).splitlines() if wrong in line)
    assert line in finding.where
    assert gradient.__code__ is code
    assert all(np.array_equal(a, b) for a, b in zip(before, (ROWS, PLACES)))


def test_an_expression_says_more_than_a_number_that_all_entries_are_multiplied_by() -> None:
    def gradient(x: np.ndarray) -> np.ndarray:
        slope = np.zeros_like(x)
        slope[:] = np.cos(x) * float(ROWS[0, 0])
        return slope

    (finding,) = check(lambda x: float(np.sum(np.sin(x))), np.array([0.3, 0.7, 1.9]), gradient).findings
    assert (
        finding.why == "this line of the gradient is right with `np.cos(x)` in place of `np.cos(x) * float(ROWS[0, 0])`"
    )


class Model:
    """A gradient that writes into arrays of the user's own."""

    def __init__(self) -> None:
        self.rows, self.kept, self.last = ROWS.copy(), np.zeros(3), 0.0

    def value(self, x: Any) -> float:
        return float(np.sum(np.sin(self.rows @ x)))

    def gradient(self, x: Any) -> np.ndarray:
        slope = np.cos(self.rows @ x)
        slope[slope > 5] = 0
        kept = self.kept
        kept[:] = 0
        kept += self.rows.T @ slope * np.array([1.0, 1.5, 0.3])
        weighted = self.rows * x
        weighted *= 0
        self.last = float(kept[0]) + weighted[0, 0]
        return kept


def test_what_a_gradient_writes_to_is_as_after_a_run_of_its_own() -> None:
    model, x = Model(), np.array([0.3, -0.2, 0.5])
    model.gradient(x)
    before = copy.deepcopy(vars(model))
    assert check(model.value, x, model.gradient).outcome == "failed"
    assert all(np.array_equal(before[name], value) for name, value in vars(model).items())


def test_a_gradient_that_may_never_end_or_does_more_than_compute_is_not_changed() -> None:
    runs = 0

    def endless(x: np.ndarray) -> np.ndarray:
        nonlocal runs
        runs += 1
        total, k = np.zeros_like(x), 0
        while k < 2:
            total[:] = -np.cos(x) + 0.1 * x
            k += 1
        return total

    report = check(lambda x: float(np.sum(np.sin(x))), np.array([0.3, 0.7, 1.9]), endless)
    assert not report.ok
    assert "line of the gradient" not in report.findings[0].why
    assert runs < 50


def test_what_no_change_makes_right_is_not_explained_by_one() -> None:
    def other(x: np.ndarray) -> np.ndarray:
        slope = np.zeros_like(x)
        slope[:] = 0.3 * np.exp(x) - x**2
        return slope

    report = check(valley, PROBLEMS["valley"][2], other)
    assert "line of the gradient" not in report.findings[0].why
