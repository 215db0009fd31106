"""The search for a mistake ends when its time is up, and the report says so; large containers are not copied for it."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.checking.diagnosing import diagnosis, patience

X = np.array([0.3, 1.7, -0.8])


def norm(x: Any) -> Any:
    return float(np.sum(x**2))


def with_a_factor(x: Any) -> Any:
    g, n = np.zeros(3), 0
    while n < 3:
        g[n] = 2 * x[n] * np.cos(x[(n + 1) % 3])
        n += 1
    return g


def test_a_search_without_time_finds_nothing_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def said(seconds: float) -> tuple[bool, bool]:
        monkeypatch.setattr(patience, "SECONDS", seconds)
        report = tg.gradcheck(norm, X, gradient=with_a_factor, raise_exception=False)
        assert report.outcome == "failed"
        return bool(report.findings[0].why), "the search for the mistake ended" in "\n".join(report.remarks)

    assert said(1e-9) == (False, True)
    assert said(1e3) == (True, False)


def test_a_search_among_the_operations_leaves_time_to_change_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def gradient(x: Any) -> Any:
        g = np.zeros(3)
        for k in (0, 1, 2):
            g[k] += 2 * x[k] * np.sin(x[2])
            g[2] = np.sum(x**2) * np.cos(x[2]) / 3
        return g

    seconds = 0.0

    def to_the_end(_: Any, __: Any, left: patience.Patience) -> dict[int, Any]:
        nonlocal seconds
        while not left.ends():
            seconds += 1
        return {}

    monkeypatch.setattr(patience, "thread_time", lambda: seconds)
    monkeypatch.setattr(diagnosis, "explanations", to_the_end)
    report = tg.gradcheck(lambda x: np.sum(x**2) * np.sin(x[2]), X, gradient=gradient, raise_exception=False)
    assert "line of the gradient" in report.findings[0].why, report


def test_a_right_gradient_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SECONDS", 1e-9)
    assert tg.gradcheck(norm, X, gradient=lambda x: 2 * x).ok


class Witness:
    copies = 0

    def __deepcopy__(self, _: Any) -> "Witness":
        Witness.copies += 1
        return self


@pytest.mark.parametrize("count", [10, 300_000])
def test_only_what_is_small_is_copied_beside_a_wrong_gradient(count: int) -> None:
    table = [Witness(), *range(count)]

    def gradient(x: Any) -> Any:
        return 2 * x + len(table) * np.cos(x) / 1e6

    Witness.copies = 0
    report = tg.gradcheck(norm, X, gradient=gradient, raise_exception=False)
    assert report.outcome == "failed"
    assert bool(Witness.copies) == (count == 10)
