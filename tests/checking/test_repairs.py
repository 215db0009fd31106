"""Mistakes in the code of a gradient, if nothing is known of the function but its values."""

import linecache
import math
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
DISTANCES = """\
def gradient(x):
    apart = x[:, None] - x[None, :]
    squares = apart**2
    q = heights[:, None] * np.exp(-squares) * (depths + heights)
    return np.sum(-2 * (q + q.T) * apart, axis=1) + 0.2 * x
"""
HEIGHTS, DEPTHS = np.array([[1.0, 2.0, 3.0, 0.5], [0.3, 1.2, 0.6, 0.8]])
IN_A_ROW = """\
def gradient(w):
    weights = np.exp(rows @ w)
    slope = np.zeros((1, 4))
    for i in range(6):
        slope += weights[i] * rows[i : i + 1]
    return slope.ravel()
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
    "Rows": (lambda w: float(np.sum(np.exp(ROWS @ w))), IN_A_ROW, RNG.normal(size=4)),
    "Distances": (
        lambda x: float(HEIGHTS @ np.exp(-((x[:, None] - x) ** 2)) @ (DEPTHS + HEIGHTS) + 0.1 * x @ x),
        DISTANCES,
        RNG.normal(size=4),
    ),
}
PLANTED = [
    ("Brier", "(1 - p)", "(1 + p)", "1 - p in place of 1 + p"),
    ("Brier", "1 / (1 +", "1 / (2 +", "1 in place of 2"),
    ("Brier", "np.exp(-x)", "np.exp(x)", "the opposite sign of x"),
    ("Brier", "np.exp(-x)", "np.expm1(-x)", "2 in place of 1"),  # which is the same
    ("Brier", "error * p *", "error *", "p as one more factor"),
    ("Brier", "1 / (1 +", "1 * (1 +", "1 / (1 + np.exp(-x)) in place of 1 * (1 + np.exp(-x))"),
    ("Brier", "p * (1 - p)", "p", "1 - p as one more factor"),
    ("Brier", "1 / (1 + np.exp(-x))", "1 / np.exp(-x)", "1 added to the result of exp"),
    ("Student", "weight * residual", "residual", "weight as one more factor"),
    ("Student", "residual**2", "residual**3", "2 in place of 3"),
    ("Student", "5 / (4 +", "5 / (4 -", "4 + residual ** 2 in place of 4 - residual ** 2"),
    ("Student", "(weight * residual)", "(weight + residual)", "a product in place of a sum"),
    ("Student", "weight * residual", "weight * weight", "residual in place of weight"),
    ("Student", "rows @ w - targets", "rows @ w + targets", "rows @ w - targets in place of rows @ w + targets"),
    ("Gumbel", "(x - 0.3)", "(x + 0.3)", "x - 0.3 in place of x + 0.3"),
    ("Gumbel", "np.exp(-z)", "np.sin(-z)", "exp in place of sin"),
    ("Gumbel", "(1 - np.exp(-z))", "(1 - -z)", "exp of the result of negative"),
    ("Distances", "q + q.T", "q", "its transpose added"),
    ("Distances", "np.exp(-squares) * (", "np.exp(-squares) / (", "* (depths + heights) in place of"),
    ("Distances", "heights[:, None] * ", "", "heights[:, None] as one more factor"),
    ("Rows", "np.exp(rows @ w)", "(rows @ w)", "exp of weights"),
    ("Distances", "-2 * (", "-0.37 * (", "what is there 5.40541 times (200/37)"),
]


def planted(name: str, right: str, wrong: str) -> tuple[Callable[[Any], float], Callable[[Any], Any], Any]:
    f, code, x = PROBLEMS[name]
    assert right in code
    names = {"labels": LABELS, "rows": ROWS, "targets": TARGETS, "heights": HEIGHTS, "depths": DEPTHS}
    return f, gradient_in(code.replace(right, wrong, 1), f"<{name} with {wrong}>", names), x


def gradient_in(code: str, file: str, names: dict[str, Any]) -> Callable[..., Any]:
    """The gradient that some code defines, whose lines are found as if they stood in a file."""
    linecache.cache[file] = len(code), None, code.splitlines(keepends=True), file
    names = {"np": np, **names}
    exec(compile(code, file, "exec"), names)
    return names["gradient"]  # type: ignore[no-any-return]


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
    (finding,) = report.findings
    assert finding.why.startswith("this line of the gradient is right with ")
    assert words in finding.why
    assert f"<{name} with {wrong}>:".rpartition("/")[2] in finding.where  # which names no folders


def test_what_no_single_change_makes_right_is_not_explained_by_one() -> None:
    f, _, x = planted("Brier", "return", "return")
    for wrong in (lambda x: np.tanh(x) + np.cos(3 * x), lambda x: 0.3 * np.exp(x) - x**2):
        report = tg.gradcheck(f, x, gradient=wrong, raise_exception=False)
        assert "line of the gradient" not in report.findings[0].why


def test_a_gradient_is_followed_from_where_its_numbers_come_back_from_other_code() -> None:
    f, _, x = planted("Brier", "return", "return")

    def in_numbers(x: Any, factor: int) -> Any:
        p = np.array([1 / (1 + math.exp(-float(t) * factor)) for t in x])
        return 2 * (p - LABELS) * p * np.add(1, factor * p)  # where no text shows the sum

    report = tg.gradcheck(f, x, gradient=lambda x: in_numbers(x, 1), raise_exception=False)
    assert report.findings[0].why == "this line of the gradient is right with a difference in place of a sum"
    report = tg.gradcheck(f, x, gradient=lambda x: in_numbers(x, 2), raise_exception=False)
    assert report.outcome == "failed"
    assert "line of the gradient" not in report.findings[0].why


WINDOW = """\
def gradient(x, k):
    dx, dk = np.zeros_like(x), np.zeros(3)
    for i in range(5):
        d = np.cos(np.sum(x[i : i + 3] * k))
        dx[i : i + 3] += d * k
        dk += d * x[i : i + 3]
    return dx, dk
"""
VALLEY = """\
def gradient(x):
    g = np.zeros(6)
    for i in range(5):
        r = x[i + 1] - x[i] ** 2
        g[i] += -400 * x[i] * r - 2 * (1 - x[i])
        g[i + 1] += 200 * r
    return g
"""
WORDS = """\
def gradient(table, w):
    d = 1 - np.tanh(table[words] @ w) ** 2
    by_word = np.zeros_like(table)
    np.add.at(by_word, words, d[:, None] * w)
    return by_word, table[words].T @ d
"""
ARM = """\
def gradient(angles):
    total = np.cumsum(angles)
    jacobian = np.zeros((2, 3))
    for i in range(3):
        for j in range(i, 3):
            jacobian[0, i] -= lengths[j] * np.sin(total[j])
            jacobian[1, i] += lengths[j] * np.cos(total[j])
    return jacobian
"""
DECAY = """\
def gradient(p):
    g, lam = np.zeros(2), 1.0
    for t in range(4):
        state = np.array([p[0] * times[t], p[1]])
        g[0] += times[t] * np.cos(state[0]) * lam
        g[1] = g[1] + lam * 2 * state[1]
    return g
"""
TIMES, LENGTHS, INDICES = np.array([0.3, 0.9, 1.4, 2.2]), np.array([1.0, 0.7, 0.5]), np.array([1, 3, 1, 0])


def arm(angles: Any) -> np.ndarray:
    x = y = total = 0.0
    for angle, length in zip(angles, LENGTHS):
        total += float(angle)
        x, y = x + length * np.cos(total), y + length * np.sin(total)
    return np.array([x, y])


WRITING: dict[str, tuple[Callable[..., Any], str, tuple[Any, ...]]] = {
    "window": (
        lambda x, k: float(sum(np.sin(np.sum(x[i : i + 3] * k)) for i in range(5))),
        WINDOW,
        (RNG.normal(size=8), RNG.normal(size=3)),
    ),
    "valley": (
        lambda x: float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)),
        VALLEY,
        (RNG.normal(size=6),),
    ),
    "words": (
        lambda table, w: float(np.sum(np.tanh(table[INDICES] @ w))),
        WORDS,
        (RNG.normal(size=(4, 2)), RNG.normal(size=2)),
    ),
    "arm": (arm, ARM, (np.array([0.3, -0.8, 1.1]),)),
    "decay": (lambda p: float(np.sum(np.sin(p[0] * TIMES)) + 4 * p[1] ** 2), DECAY, (np.array([0.7, -1.1]),)),
}
PLANTED_IN_WRITING = [
    ("window", "dx[i : i + 3] +=", "dx[i : i + 3] =", "+= in place of ="),
    ("window", "dk += d", "dk = d", "+= in place of ="),
    ("window", "dx[i : i + 3] += d", "dx[i + 1 : i + 4] += d", "indices are off by one"),
    ("window", "dx[i : i + 3] += d * k", "dx[i : i + 3] += k", "k * d in place of k"),
    ("window", "dk += d * x[i : i + 3]", "dk += d * x[i + 1 : i + 4]", "[i:i + 3] in place of [i + 1:i + 4]"),
    ("window", "np.sum(x", "np.mean(x", "sum in place of mean"),
    ("valley", "g[i] +=", "g[i] =", "+= in place of ="),
    ("valley", "g[i + 1] += 200", "g[i + 1] -= 200", "+= in place of -="),
    ("valley", "g[i + 1] += 200", "g[i] += 200", "[i + 1] in place of [i]"),
    ("valley", "- x[i] ** 2", "- x[i]", "square of the result of getitem"),
    ("words", "np.add.at(by_word, words,", "np.subtract.at(by_word, words,", "the sign is wrong"),
    ("words", "1 - np.tanh(", "1 + np.tanh(", "1 - np.tanh(table[words] @ w) ** 2 in place of"),
    ("arm", "jacobian[0, i] -= lengths", "jacobian[0, i] += lengths", "-= in place of +="),
    ("arm", "jacobian[1, i] += lengths", "jacobian[1, i] = lengths", "+= in place of ="),
    ("arm", "lengths[j] * np.cos", "np.cos", "1 (the first of 6) as one more factor"),
    ("decay", "g[0] += times", "g[0] = times", "+= in place of ="),
    ("decay", "lam * 2 * state[1]", "lam * 2 * state[0]", "[1] in place of [0]"),
    ("decay", "lam * 2 * state[1]", "lam * state[1]", "2 in place of 1"),
]


def planted_in_writing(name: str, right: str, wrong: str) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
    f, code, inputs = WRITING[name]
    assert right in code
    names = {"lengths": LENGTHS, "words": INDICES, "times": TIMES}
    return f, gradient_in(code.replace(right, wrong), f"<{name} with {wrong}>", names), inputs


@pytest.mark.parametrize("name", WRITING)
def test_the_right_gradients_that_write_into_arrays_are_right(name: str) -> None:
    f, gradient, inputs = planted_in_writing(name, "return", "return")
    assert tg.gradcheck(f, *inputs, gradient=gradient).ok


@pytest.mark.parametrize(("name", "right", "wrong", "words"), spread(PLANTED_IN_WRITING, 5))
def test_a_mistake_in_a_gradient_that_writes_into_arrays_is_found(
    name: str, right: str, wrong: str, words: str
) -> None:
    f, gradient, inputs = planted_in_writing(name, right, wrong)
    report = tg.gradcheck(f, *inputs, gradient=gradient, raise_exception=False)
    assert not report.ok
    assert all(words in finding.why for finding in report.findings if finding.fails), report


class Valley:
    """A gradient in a method, which writes what another function makes."""

    def gradient(self, x: np.ndarray) -> np.ndarray:
        g = np.zeros(6)
        for i in range(5):
            g[i : i + 2] = _of_a_step(x, i)
        return g


def _of_a_step(x: np.ndarray, i: int) -> np.ndarray:
    step = np.zeros(2)
    step[1] = 200 * (x[i + 1] - x[i] ** 2)
    step[0] = -2 * x[i] * step[1] - 2 * (1 - x[i])
    return step


def test_functions_that_a_gradient_calls_are_followed() -> None:
    f, _, (x,) = planted_in_writing("valley", "return", "return")
    report = tg.gradcheck(f, x, gradient=Valley().gradient, raise_exception=False)
    (finding,) = report.findings
    assert finding.why == "this line of the gradient is right with += in place of ="
    assert finding.where.endswith("g[i : i + 2] = _of_a_step(x, i)")


class _WithMemory:
    """As people write layers: what one call keeps, the next one reads."""

    def value(self, x: Any) -> Any:
        self.x = x
        return np.sum(np.tanh(x) ** 2)

    def gradient(self, x: Any) -> Any:
        self.y = np.tanh(x)
        self.g = np.zeros_like(x)
        for i in range(len(x)):
            self.g[i] = 2 * self.y[i] * (1 - self.y[i])
        return self.g


def test_an_object_keeps_arrays_after_a_failed_check() -> None:
    layer = _WithMemory()
    x = np.array([0.3, -0.2, 0.9])
    assert not tg.gradcheck(lambda x: float(layer.value(x)), x, gradient=layer.gradient, raise_exception=False).ok
    assert {type(value) for value in vars(layer).values()} == {np.ndarray}
    np.testing.assert_array_equal(layer.y, np.tanh(x))


def test_a_running_sum_of_constants_that_is_right_by_chance_explains_nothing() -> None:
    signs, rows = np.array([1.0, -1.0, 1.0]), np.random.default_rng(2).normal(size=(3, 2))

    def f(x: Any) -> Any:
        return np.sum(np.log1p(np.exp(-signs * (rows @ x))))

    def gradient(x: Any) -> Any:
        g = np.zeros(2)
        for row, sign in zip(rows, signs):
            g += (1 / (1 + np.exp(-(row @ x))) - sign) * row  # (sign + 1) / 2 is 1, 0, 1, as the sum of signs so far is
        return g

    report = tg.gradcheck(f, np.array([0.4, -0.3]), gradient=gradient, raise_exception=False)
    assert report.outcome == "failed"
    assert "so far" not in str(report)
