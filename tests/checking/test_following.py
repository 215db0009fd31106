"""How far the code of a gradient is followed, in search of a mistake, and loops that take other turns than they should.

Of the functions, nothing is known but their values.
"""

import gc
import io
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy import zeros

import tinygrad_lite as tg
from tests.checking.test_repairs import gradient_in
from tinygrad_lite.checking.diagnosing.turns import longer
from tinygrad_lite.checking.verdicts import Finding

RNG = np.random.default_rng(0)
ROWS, TARGETS = RNG.normal(size=(5, 3)), RNG.normal(size=5)
W = RNG.normal(size=3)


def loss(w: Any) -> float:
    return float(np.sum(np.sin(ROWS @ w - TARGETS)) + 0.3 * w @ w)


class Model:
    """Code as people write it around arrays, with a plus where a minus should be."""

    rows, penalty = ROWS, 0.6

    def __init__(self) -> None:
        self.targets = TARGETS

    def residuals(self, w: Any) -> Any:
        return self.shifted(self.rows.dot(w), self.targets)

    @staticmethod
    def shifted(z: Any, targets: Any) -> Any:
        made = np.zeros(5)
        made[:] = z + targets
        return made

    def gradient(self, w: Any) -> Any:
        self.slope = zeros(3)
        self.slope += self.rows.T.dot(np.cos(self.residuals(w)))
        return self.slope + self.penalty * w


SLOPES: dict[str, Any] = {"z": np.zeros(5)}


def _keep(w: Any) -> None:
    SLOPES["z"] = ROWS @ w + TARGETS


def _from_a_dict(w: Any) -> Any:
    _keep(w)
    return ROWS.T @ np.cos(SLOPES["z"]) + 0.6 * w


@dataclass
class _Unset:
    """What stands for no argument is known by its identity."""

    value: Any = None


_UNSET = [_Unset(), 1.0]


def _penalty(w: Any, factor: Any = _UNSET[0]) -> Any:
    return 0.6 * w if factor is _UNSET[0] else factor * w


def _with_zeros_of_numpys(w: Any) -> Any:
    slope = zeros(3)
    for row, target in zip(ROWS, TARGETS):
        slope += np.cos(row.dot(w) + target) * row
    return slope + _penalty(w)


def _into_a_copy(w: Any) -> Any:
    slope = ROWS[0].copy()
    slope -= ROWS[0]
    slope += ROWS.T.dot(np.cos(ROWS.dot(w) + TARGETS))
    return slope + _penalty(w)


def _in_a_comprehension(w: Any) -> Any:
    return sum([np.cos(np.dot(row, w) + target) * row for row, target in zip(ROWS, TARGETS)]) + _penalty(w)


def _as_an_array(w: Any) -> Any:
    w = np.asarray(w, dtype=float, order="C")
    z = np.array(ROWS.dot(w), copy=True)
    z += TARGETS
    return np.ascontiguousarray(ROWS.T).dot(np.cos(z)) + _penalty(w)


def _through_numbers(w: Any) -> Any:
    z = np.array([sum(float(a) * float(b) for a, b in zip(row, w)) for row in ROWS])
    return ROWS.T.dot(np.cos(z + TARGETS)) + _penalty(w)


def _compiled(w: Any) -> Any:
    z = ROWS.dot(w) + TARGETS
    return ROWS.T.dot(np.cos(z)) + _penalty(w)


class Compiled:
    """A function that was compiled, which keeps the one in Python, as those of Numba do."""

    py_func = staticmethod(_compiled)

    def __call__(self, w: Any) -> Any:
        assert type(w) is np.ndarray
        return _compiled(w)


LIBRARY = ModuleType("some_library")
LIBRARY.compiled, LIBRARY.model = Compiled(), Model()  # type: ignore[attr-defined]
GRADIENTS: dict[str, Callable[[Any], Any]] = {
    "method": Model().gradient,
    "object": lambda w: LIBRARY.model.gradient(w),
    "function": lambda w: _with_zeros_of_numpys(w),
    "copy": _into_a_copy,
    "comprehension": _in_a_comprehension,
    "array": _as_an_array,
    "a dict that two functions share": _from_a_dict,
    "numbers": _through_numbers,
    "module": lambda w: LIBRARY.compiled(w),
}


@pytest.mark.long
@pytest.mark.parametrize("name", GRADIENTS)
def test_a_gradient_is_followed_into_what_it_reads(name: str) -> None:
    report = tg.gradcheck(loss, W, gradient=GRADIENTS[name], raise_exception=False)
    (finding,) = report.findings
    words = finding.why.removeprefix("this line of the gradient is right with ").lower()
    assert re.fullmatch(
        r"a difference in place of a sum|-= in place of \+=|.* - target.* in place of .* \+ target.*", words
    )
    assert "target" in finding.where.lower()


def test_what_is_followed_stays_as_it_is() -> None:
    model = Model()
    tg.gradcheck(loss, W, gradient=model.gradient, raise_exception=False)
    assert {type(value) for value in vars(model).values()} == {np.ndarray}
    assert "gradient" not in vars(model)


class Lines:
    def __init__(self) -> None:
        self.rows, self.file = np.eye(3), io.StringIO()

    def gradient(self, w: Any) -> Any:
        return np.array([self.rows[i] @ w for i in range(2)] + [0.0])


class Closing(Lines):
    """Closes what it holds at its end, as a copy of it would, too."""

    def __del__(self) -> None:
        self.file.close()


class Alone(Lines):
    """The only one of its class, and so its own copy."""

    def __copy__(self) -> "Alone":
        return self


@pytest.mark.parametrize("kind", [Closing, Alone])
def test_an_object_that_has_no_copies_is_left_as_it_is(kind: type[Lines]) -> None:
    lines = kind()
    names = {*vars(lines)}
    tg.gradcheck(lambda w: w @ w / 2, W, gradient=lines.gradient, raise_exception=False)
    tg.gradcheck(lambda w: w @ w, W, gradient=lambda w: lines.rows @ w + lines.gradient(w), raise_exception=False)
    gc.collect()
    assert not lines.file.closed
    assert {*vars(lines)} == names


def test_a_function_that_writes_into_arrays_is_followed_too() -> None:
    def written(w: Any) -> Any:
        z = np.zeros(5)
        for i in range(5):
            z[i] = ROWS[i].dot(w) - TARGETS[i]
        return np.sum(np.sin(z) ** 2)

    def gradient(w: Any) -> Any:
        z = ROWS @ w - TARGETS
        return ROWS.T @ (2 * np.sin(z))

    (finding,) = tg.gradcheck(written, W, gradient=gradient, raise_exception=False).findings
    assert finding.why.startswith("the upstream gradient is handed on as it is: the local derivative is left out")
    assert finding.where.startswith("sin, called at ")


DIFFERENCES = """\
def gradient(x):
    slope = [0.0] * len(x)
    for i in range(len(x) - 1):
        apart = 2 * (float(x[i + 1]) - float(x[i])) * (i + 1)
        slope[i] -= apart
        slope[i + 1] += apart
    return np.array(slope)
"""
STATES = """\
def gradient(w):
    hs = [np.zeros(3)]
    for t in range(4):
        hs.append(np.tanh(rows[t] + w @ hs[t]))
    slope, dw = 2 * hs[-1], np.zeros((3, 3))
    for t in reversed(range(1, 4)):
        da = slope * (1 - hs[t + 1] ** 2)
        dw += np.outer(da, hs[t])
        slope = w.T @ da
    return dw
"""
PAIRS = """\
def gradient(x):
    return np.array([slope(x, i) for i in range(len(x))])

def slope(x, i):
    return sum(math.cos(x[i] + x[j]) for j in range(i)) + sum(math.cos(x[i] + x[j]) for j in range(i + 1, len(x)))
"""


def _differences(x: Any) -> float:
    return float(np.sum((x[1:] - x[:-1]) ** 2 * np.arange(1, len(x))))


def _states(w: Any) -> float:
    h = np.zeros(3)
    for t in range(4):
        h = np.tanh(ROWS[t] + w @ h)
    return float(h @ h)


def _pairs(x: Any) -> float:
    return sum(math.sin(x[i] + x[j]) for j in range(len(x)) for i in range(j))


LOOPS: dict[str, tuple[Callable[[Any], float], str, Any]] = {
    "differences": (_differences, DIFFERENCES, RNG.normal(size=6)),
    "states": (_states, STATES, RNG.normal(size=(3, 3))),
    "pairs": (_pairs, PAIRS, RNG.normal(size=5)),
}
OTHER_TURNS = [
    ("differences", "range(len(x) - 1)", "range(1, len(x) - 1)", "range(0, 5) in place of range(1, 5)"),
    ("differences", "range(len(x) - 1)", "range(len(x) - 2)", "range(0, 5) in place of range(0, 4)"),
    ("differences", "range(len(x) - 1)", "range(1, len(x) - 2)", "range(0, 5) in place of range(1, 4)"),
    ("states", "range(1, 4)", "range(2, 4)", "range(1, 4) in place of range(2, 4)"),
    ("states", "range(1, 4)", "range(1, 3)", "range(1, 4) in place of range(1, 3)"),
    (
        "pairs",
        "range(i + 1, len(x))",
        "range(i, len(x))",
        "range(1, 5) in place of range(0, 5) the first time, and so on",
    ),
    ("pairs", "range(i)", "range(i + 1)", "range(0, 0) in place of range(0, 1) the first time, and so on"),
]


def in_a_loop(name: str, right: str, wrong: str) -> Finding | None:
    f, code, x = LOOPS[name]
    assert right in code
    names = {"rows": ROWS, "math": math}
    gradient = gradient_in(code.replace(right, wrong), f"<{name} with {wrong}>", names)
    return next(iter(tg.gradcheck(f, x, gradient=gradient, raise_exception=False).findings), None)


@pytest.mark.long
@pytest.mark.parametrize(("name", "right", "wrong", "words"), OTHER_TURNS)
def test_a_loop_of_too_few_turns_or_too_many_is_named(name: str, right: str, wrong: str, words: str) -> None:
    assert in_a_loop(name, right, right) is None
    finding = in_a_loop(name, right, wrong)
    assert finding is not None
    assert finding.why == f"this line of the gradient is right with {words}"
    assert finding.where.startswith("range, called at ")
    assert wrong in finding.where


def test_a_loop_that_changes_nothing_does_not_explain_a_gradient_of_few_digits() -> None:
    def gradient(x: Any) -> Any:
        for _ in range(3):
            slope = np.cos(x) * (1 + 7e-7 * np.sin(9 * x))
        return slope

    report = tg.gradcheck(lambda x: float(np.sum(np.sin(x))), W, gradient=gradient, raise_exception=False)
    assert report.findings[0].why.startswith("it agrees to ")


@pytest.mark.parametrize("turns", [range(4), range(1, 9, 3), range(5, 0, -2), range(0)])
def test_longer_ranges_take_the_turns_before_and_after(turns: range) -> None:
    assert list(longer(turns, 1, 1))[1:-1] == list(turns)
    assert list(longer(longer(turns, 2, 1), -2, -1)) == list(turns)


def _halves(w: Any) -> Any:
    size, left = 0.0, 1.0
    while left > 1e-6:
        for _ in range(1):
            left *= 0.5
            size += left
    return 3 * size * w


def _counts_down(w: Any) -> Any:
    count = 0
    for _ in range(3):
        count += 1
    while count != 0:
        count -= 3
    return 3 * w


def _counts_down_in_one_line(w: Any) -> Any:
    count = sum(1 for _ in range(3))
    while count != 0: count -= 3  # fmt: skip  # noqa: E701
    return 3 * w


def _tries_again(w: Any) -> Any:
    left = sum(1 for _ in range(3))
    while left != 0:
        try:
            left -= 3
        except Exception:
            continue
    return 3 * w


@pytest.mark.parametrize("gradient", [_halves, _counts_down, _counts_down_in_one_line, _tries_again])
def test_a_loop_that_never_ends_with_other_turns_is_left(gradient: Callable[[Any], Any]) -> None:
    traced = sys.gettrace()
    report = tg.gradcheck(lambda w: w @ w, W, gradient=gradient, raise_exception=False)
    assert report.findings
    assert sys.gettrace() is traced
