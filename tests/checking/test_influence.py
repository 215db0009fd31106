"""What the checker says where a gradient is 0, and where it is nearly right."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.checking import Report, Verdict

X = np.array([0.0, 1.0, 0.0, 2.0])


def check(f: Any, *inputs: Any, **options: Any) -> Report:
    return tg.gradcheck(f, *inputs, raise_exception=False, **options)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(x**2),
        lambda x: np.sum(x * x),
        lambda x: np.sum(np.cos(x)),
        lambda x: np.sum((x * 1e-60) ** 2),
        lambda x: np.sum(x**4 - x**3),
    ],
    ids=["square", "product", "cosine", "tiny", "higher"],
)
def test_the_gradient_of_what_is_stationary_is_right(f: Callable[..., Any]) -> None:
    report = check(f, X)
    assert report.counts() == {Verdict.RIGHT: 4}
    at_1 = check(lambda x: np.sum((x - 1) ** 2), X, gradient=lambda x: 2 * (x - 1))
    assert at_1.counts() == {Verdict.RIGHT: 4}


@pytest.mark.parametrize("scale", [1.38e-23, 1e-30, 1e100])
def test_what_is_small_is_small_beside_the_function(scale: float) -> None:
    """A gradient of 0 is a mistake however small the function is, and saturated where rounding swallows it."""
    wrong = check(lambda x: scale * np.sum(x**2), X, gradient=np.zeros_like)
    assert not wrong.ok
    assert "nothing arrives" in wrong.findings[0].why
    stopped = check(lambda x: scale * np.sum(tg.stop_gradient(x) ** 2), X)
    assert not stopped.ok
    assert "lets no gradient through" in stopped.findings[0].why
    assert check(lambda x: scale * (np.tanh(x) - 1), np.array([30.0])).ok


def test_a_step_that_jumps_at_the_point_says_so() -> None:
    beside, at = (check(lambda x: np.sum(np.floor(x)), np.array([x])) for x in (1.5, 1.0))
    assert beside.findings[0].why == "the function is constant between its steps"
    assert "jumps here" in at.findings[0].why or at.findings[0].verdict == "at a jump"


SINES = np.array([0.3, 1.1, -0.7, 2.0])


def _opaque(x: Any) -> float:
    return float(np.sum(np.sin(x)))


def _differences(sides: tuple[int, int], step: float) -> Callable[..., Any]:
    def gradient(x: Any) -> Any:
        above, below = (
            [_opaque(x + side * step * unit) if side else _opaque(x) for unit in np.eye(len(x))] for side in sides
        )
        return (np.array(above) - np.array(below)) / (step * (sides[0] - sides[1]))

    return gradient


@pytest.mark.long
@pytest.mark.parametrize(
    ("gradient", "words"),
    [
        (_differences((1, 0), 1e-6), "forward differences with a step of 1e-06"),
        (_differences((1, -1), 1e-3), "central differences with a step of 0.001"),
        (lambda x: np.cos(x) * (1 + 1e-5 * np.sin(7 * x)), "a solver's tolerance"),
        (lambda x: np.cos(x).astype(np.float32) * 1.0, "all its numbers are of float32"),
        (lambda x: np.cos(x).astype(np.float16) * 1.0, "all its numbers are of float16"),
    ],
    ids=["forward", "central", "digits", "float32", "float16"],
)
def test_a_gradient_that_agrees_to_some_digits_says_to_how_many(gradient: Callable[..., Any], words: str) -> None:
    report = check(_opaque, SINES, gradient=lambda x: np.asarray(gradient(x), float))
    why = report.findings[0].why
    assert "agrees to" in why
    assert words in why
    name, value = why.split()[-3].split("=") if "accepts it" in why else ("", "")
    assert check(_opaque, SINES, gradient=lambda x: np.asarray(gradient(x), float), **{name: float(value)}).ok


def test_a_mistake_is_no_agreement() -> None:
    report = check(_opaque, SINES, gradient=lambda x: np.cos(x) * (1 + 0.01 * np.sin(7 * x)))
    assert report.findings[0].why == "this line of the gradient is right with 1 alone"


@pytest.mark.parametrize(
    "f",
    [np.max, lambda x: np.sum(np.maximum(x, 1)), lambda x: np.sort(x)[-1] ** 2, lambda x: np.linalg.norm(x, np.inf)],
)
def test_what_no_result_depends_on_is_not_said_to_be_depended_on(f: Callable[..., Any]) -> None:
    x = np.array([0.5, 3.0, -0.25, 0.75])
    report = check(f, x, method="differences")
    zeros = [finding for finding in report.findings if finding.verdict is Verdict.NO_GRADIENT]
    assert all("as far as rounding shows" in finding.why for finding in zeros)
    assert zeros
    assert report.ok


@pytest.mark.parametrize("kind", [float, np.array, lambda x: float(np.sin(x)) * 0], ids=["number", "array", "computed"])
def test_a_zero_that_somebody_wrote_down_is_right_or_wrong(kind: Callable[..., Any]) -> None:
    """It is no gradient that was lost on its way, and belongs to the other entries that are wrong or right."""
    zero = kind(0.0)
    report = check(lambda x, k: np.sum(x**2), SINES, 3.0, gradient=lambda x, k: (2 * x, zero))
    assert report.counts() == {Verdict.RIGHT: 5}
    assert not report.findings
    for f in (lambda x, k: k * np.sum(x**2), lambda x, k: float(k * np.sum(x**2))):
        report = check(f, SINES, 3.0, gradient=lambda x, k: (2 * k * x, zero))
        assert report.counts() == {Verdict.RIGHT: 4, Verdict.WRONG: 1}
    report = check(lambda x: np.sum(x**2), SINES, gradient=lambda x: np.where(x > 1, 0, -2 * x))
    assert report.counts() == {Verdict.WRONG: 4}
    assert len(report.findings) == 1


def test_one_entry_that_is_wrong_among_larger_ones_does_not_agree_to_some_digits() -> None:
    rates = np.array([1e-8, 1.0, 1e8, 1e-20])
    factors = np.array([1.0, 1.0, 1.0, 1.01])
    report = check(
        lambda x: float(np.sum(np.sin(rates * x))),
        0.3 / rates,
        gradient=lambda x: factors * rates * np.cos(rates * x),
    )
    why = "this line of the gradient is right with rates alone"
    assert [(finding.count, finding.why) for finding in report.findings] == [(1, why)]
