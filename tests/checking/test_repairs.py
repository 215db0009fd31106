"""Mistakes in the code of a gradient, of a function of which nothing is known but its values."""

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import spread

RNG = np.random.default_rng(0)
LABELS = (np.arange(8) % 3 > 0) * 1.0
ROWS = RNG.normal(size=(6, 4))
TARGETS = RNG.normal(size=6)

BRIER = """\
def gradient(x):
    p = 1 / (1 + np.exp(-x))
    error = 2 * (p - labels)
    return error * p * (1 - p)
"""
STUDENT = """\
def gradient(w):
    residual = rows @ w - targets
    weight = 5 / (4 + residual**2)
    return rows.T @ (weight * residual) + 0.2 * w
"""
GUMBEL = """\
def gradient(x):
    z = (x - 0.3) / 1.7
    return (1 - np.exp(-z)) / 1.7
"""
PROBLEMS: dict[str, tuple[Callable[[Any], float], str, Any]] = {
    "Brier": (lambda x: float(np.sum((1 / (1 + np.exp(-x)) - LABELS) ** 2)), BRIER, RNG.normal(size=8)),
    "Student": (
        lambda w: float(np.sum(2.5 * np.log(4 + (ROWS @ w - TARGETS) ** 2)) + 0.1 * np.sum(w**2)),
        STUDENT,
        RNG.normal(size=4),
    ),
    "Gumbel": (
        lambda x: float(np.sum((x - 0.3) / 1.7 + np.exp(-(x - 0.3) / 1.7))),
        GUMBEL,
        RNG.normal(size=5),
    ),
}
PLANTED = [
    ("Brier", "(1 - p)", "(1 + p)", "a difference in place of a sum"),
    ("Brier", "1 / (1 +", "1 / (2 +", "1 in place of 2"),
    ("Brier", "np.exp(-x)", "np.exp(x)", "the opposite sign of x"),
    ("Brier", "np.exp(-x)", "np.expm1(-x)", "2 in place of 1"),  # which is the same
    ("Brier", "error * p *", "error *", "p as one more factor"),
    ("Brier", "1 / (1 +", "1 * (1 +", "a quotient in place of a product"),
    ("Brier", "p * (1 - p)", "p", "1 - p as one more factor"),
    ("Brier", "1 / (1 + np.exp(-x))", "1 / np.exp(-x)", "1 added to the result of exp"),
    ("Student", "weight * residual", "residual", "weight as one more factor, beside residual"),
    ("Student", "residual**2", "residual**3", "2 in place of 3"),
    ("Student", "5 / (4 +", "5 / (4 -", "a sum in place of a difference"),
    ("Student", "(weight * residual)", "(weight + residual)", "a product in place of a sum"),
    ("Student", "weight * residual", "weight * weight", "residual in place of weight"),
    ("Student", "rows @ w - targets", "rows @ w + targets", "a difference in place of a sum"),
    ("Gumbel", "(x - 0.3)", "(x + 0.3)", "a difference in place of a sum"),
    ("Gumbel", "np.exp(-z)", "np.sin(-z)", "exp in place of sin"),
    ("Gumbel", "(1 - np.exp(-z))", "(1 - -z)", "exp of the result of negative"),
]


def planted(name: str, right: str, wrong: str) -> tuple[Callable[[Any], float], Callable[[Any], Any], Any]:
    f, code, x = PROBLEMS[name]
    assert right in code
    names = {"np": np, "labels": LABELS, "rows": ROWS, "targets": TARGETS}
    code = code.replace(right, wrong, 1)
    file = f"<{name} with {wrong}>"
    linecache.cache[file] = len(code), None, code.splitlines(keepends=True), file
    exec(compile(code, file, "exec"), names)
    return f, names["gradient"], x  # type: ignore[return-value]


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_right_gradients_are_right(name: str) -> None:
    f, gradient, x = planted(name, "return", "return")
    assert tg.gradcheck(f, x, gradient=gradient).ok


@pytest.mark.parametrize(("name", "right", "wrong", "words"), spread(PLANTED, 5))
def test_a_mistake_in_the_code_of_a_gradient_is_found_by_changing_it(
    name: str, right: str, wrong: str, words: str
) -> None:
    f, gradient, x = planted(name, right, wrong)
    report = tg.gradcheck(f, x, gradient=gradient, raise_exception=False)
    assert [finding.why for finding in report.findings] == [f"this line of the gradient is right with {words}"]
    assert ", called at " in report.findings[0].where


def test_what_no_single_change_makes_right_is_not_explained_by_one() -> None:
    f, _, x = planted("Brier", "return", "return")
    for wrong in (lambda x: np.tanh(x) + np.cos(3 * x), lambda x: 0.3 * np.exp(x) - x**2):
        report = tg.gradcheck(f, x, gradient=wrong, raise_exception=False)
        assert "line of the gradient" not in report.findings[0].why


def test_a_gradient_that_takes_no_tensors_has_no_code_to_change() -> None:
    f, _, x = planted("Brier", "return", "return")

    def in_place(x: Any) -> Any:
        p = 1 / (1 + np.exp(-np.asarray(x, float)))
        p[:] = 2 * (p - LABELS) * p * (1 + p)
        return p

    report = tg.gradcheck(f, x, gradient=in_place, raise_exception=False)
    assert report.outcome == "failed"
    assert "line of the gradient" not in report.findings[0].why
