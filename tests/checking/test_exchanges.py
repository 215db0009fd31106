"""Mistakes in what the code of a gradient reads: in a call, in a loop, at an index, or around a product of matrices."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.checking.test_repairs import gradient_in

RNG = np.random.default_rng(4)
START, TARGET = np.array([1.0, 0.6]), np.array([1.3, 0.8])
FEATURES, WEIGHTS = RNG.normal(size=(6, 3)), RNG.uniform(0.5, 1.5, 6)
STIFFNESS = np.diag([2.0, 2.5, 3.0, 2.2]) - np.eye(4, k=1) - 0.5 * np.eye(4, k=-1)
LOADS = RNG.normal(size=(4, 4))
ANTENNAS = RNG.normal(size=(5, 3)) + 1j * RNG.normal(size=(5, 3))
POWERS = RNG.random(5)
IMAGE = RNG.normal(size=(5, 4))


def midpoint(p: Any) -> float:
    """The end of a trajectory by the midpoint rule, and how far it is from a target."""

    def slope(y: Any) -> Any:
        return np.stack([y[0] * (p[0] - p[1] * y[1]), y[1] * (p[2] * y[0] - 0.7)])

    y: Any = START
    for _ in range(5):
        y = y + 0.1 * slope(y + 0.05 * slope(y))
    return float(0.5 * np.sum((y - TARGET) ** 2))


ADJOINT = """\
def slope(y, p):
    return np.array([y[0] * (p[0] - p[1] * y[1]), y[1] * (p[2] * y[0] - 0.7)])

def by_y(y, p):
    return np.array([[p[0] - p[1] * y[1], -p[1] * y[0]], [p[2] * y[1], p[2] * y[0] - 0.7]])

def by_p(y):
    return np.array([[y[0], -y[0] * y[1], 0], [0, 0, y[0] * y[1]]])

def gradient(p):
    ys = [start]
    for _ in range(5):
        y = ys[-1]
        ys.append(y + 0.1 * slope(y + 0.05 * slope(y, p), p))
    lam, g = ys[-1] - target, np.zeros(3)
    for k in reversed(range(5)):
        y = ys[k]
        middle = y + 0.05 * slope(y, p)
        late = 0.1 * lam
        g += by_p(middle).T @ late
        early = by_y(middle, p).T @ late
        g += by_p(y).T @ (0.05 * early)
        lam = lam + early + by_y(y, p).T @ (0.05 * early)
    return g
"""
RISKS = """\
def gradient(w):
    total, moment, g = 0.0, np.zeros(3), np.zeros(3)
    for i in range(6):
        risk = np.exp(features[i] @ w)
        total += risk
        moment += risk * features[i]
        g += weights[i] * moment / total - weights[i] * features[i]
    return g
"""
SOLVED = """\
def gradient(k):
    matrix = stiffness + np.diag(k)
    u = np.linalg.solve(matrix, loads[0])
    adjoint = np.linalg.solve(matrix.T, loads @ (loads.T @ u))
    return -adjoint * u
"""
RECEIVED = """\
def gradient(x):
    z = antennas @ x
    residual = np.abs(z) ** 2 - powers
    return 4 * antennas.conj().T @ (residual * z)
"""
SMOOTHED = """\
def gradient(x):
    down, right = x[1:, :-1] - x[:-1, :-1], x[:-1, 1:] - x[:-1, :-1]
    size = np.sqrt(down**2 + right**2 + 0.1**2)
    g = np.zeros((5, 4))
    g[1:, :-1] += down / size
    g[:-1, 1:] += right / size
    g[:-1, :-1] -= (down + right) / size
    return g
"""
LIKE = """\
def gradient(x):
    apart = x[:, None] - x
    near = 1 / (1 + apart**2) * (1 - np.eye(6))
    share = near / near.sum()
    return 4 * np.sum((1 / 30 - share) * near * apart, axis=1)
"""


def risks(w: Any) -> float:
    z = FEATURES @ w
    return float(sum(WEIGHTS[i] * (np.log(np.sum(np.exp(z[: i + 1]))) - z[i]) for i in range(6)))


def solved(k: Any) -> float:
    return float(0.5 * np.sum((LOADS.T @ np.linalg.solve(STIFFNESS + np.diag(k), LOADS[0])) ** 2))


def received(x: Any) -> float:
    return float(np.sum((np.abs(ANTENNAS @ x) ** 2 - POWERS) ** 2))


def smoothed(x: Any) -> float:
    down, right = x[1:, :-1] - x[:-1, :-1], x[:-1, 1:] - x[:-1, :-1]
    return float(np.sum(np.sqrt(down**2 + right**2 + 0.01)))


def alike(x: Any) -> float:
    near = 1 / (1 + (x[:, None] - x) ** 2)
    others = ~np.eye(6, dtype=bool)
    return float(-np.sum(np.log(near[others] / np.sum(near[others]))) / 30)


@dataclass(frozen=True)
class Problem:
    """A function, the code of its gradient, and a point."""

    function: Callable[[Any], float]
    code: str
    point: Any


PROBLEMS = {
    "adjoint": Problem(midpoint, ADJOINT, np.array([1.1, 0.9, 0.5])),
    "risks": Problem(risks, RISKS, np.array([0.3, -0.5, 0.2])),
    "solved": Problem(solved, SOLVED, np.array([0.5, 0.2, 0.9, 0.4])),
    "received": Problem(received, RECEIVED, np.array([0.4 + 0.2j, -0.3 + 0.5j, 0.1 - 0.7j])),
    "smoothed": Problem(smoothed, SMOOTHED, IMAGE),
    "alike": Problem(alike, LIKE, np.array([0.1, 0.9, -0.4, 1.7, 0.5, -1.2])),
}
PLANTED = [
    ("adjoint", "by_p(middle).T", "by_p(y).T", "middle in place of the result of add"),
    ("adjoint", "by_y(middle, p).T", "by_y(middle, p)", "the transpose of the result of stack"),
    ("adjoint", "y = ys[k]\n", "y = ys[k + 1]\n", "[k] in place of [k + 1]"),
    ("risks", "total += risk", "total = risk", "+= in place of ="),
    ("risks", "weights[i] * moment", "weights[0] * moment", "[i] in place of [0]"),
    ("risks", "weights[i] * moment", "moment", "weights[[0, 1, 2, 3, …] in turn] as one more factor"),
    (
        "solved",
        "np.linalg.solve(matrix.T, loads @ (loads.T @ u))",
        "loads @ (loads.T @ u)",
        "np.linalg.solve(matrix.T, …)",
    ),
    ("solved", "loads @ (loads.T @ u)", "loads.T @ u", "loads @ in front"),
    ("received", "antennas.conj().T", "antennas.T", "the conjugate of antennas"),
    ("received", "residual * z", "residual * z.conj()", "conjugate|z alone"),
    ("smoothed", "g[:-1, 1:] +=", "g[1:, :-1] +=", "[:-1, 1:] in place of [1:, :-1]"),
    ("smoothed", "0.1**2", "0.1", "0.01 in place of 0.1"),
    ("alike", " * (1 - np.eye(6))", "", "0 on its diagonal"),
    ("alike", "near.sum()", "near.sum(axis=1, keepdims=True)", "axis=None"),
]
NAMES = {
    "start": START,
    "target": TARGET,
    "features": FEATURES,
    "weights": WEIGHTS,
    "stiffness": STIFFNESS,
    "loads": LOADS,
    "antennas": ANTENNAS,
    "powers": POWERS,
}


def report(name: str, right: str, wrong: str) -> Any:
    problem = PROBLEMS[name]
    assert right in problem.code
    head, _, body = problem.code.partition("def gradient")
    code = f"{head}def gradient{body.replace(right, wrong, 1)}"
    gradient = gradient_in(code, f"<{name} with {wrong}>", NAMES)
    return tg.gradcheck(problem.function, problem.point, gradient=gradient, raise_exception=False)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_right_gradients_are_right(name: str) -> None:
    assert report(name, "return", "return").ok


@pytest.mark.long
@pytest.mark.parametrize(("name", "right", "wrong", "words"), PLANTED)
def test_what_should_be_read_is_named(name: str, right: str, wrong: str, words: str) -> None:
    found = report(name, right, wrong)
    assert found.outcome == "failed"
    for finding in found.findings:
        assert finding.why.startswith(("this line of the gradient is right with", "as for")), found
    assert any(word in found.findings[0].why for word in words.split("|")), found
