"""Differences keep their word: the error is within the bound, which is small; Taylor's remainder falls as it should."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.marks import param
from tinygrad_lite.checking.evidence.references import (
    FIRST_STEP,
    OTHER_STEPS,
    RATIO,
    difference,
    jump,
    noise,
    remainder_slope,
)
from tinygrad_lite.checking.subjects.subject import EPSILON

Function = Callable[[Any], Any]


def bell(x: Any) -> Any:
    return np.exp(-x * x / 2)


def step(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# a function, its slope, a point, a scale to move it by, and the size of the largest bound, relative to slope and value
SMOOTH: dict[str, tuple[Function, Function, float, float, float]] = {
    "sin": (np.sin, np.cos, 0.7, 1, 1e-11),
    "exp": (np.exp, np.exp, 1.2, 1, 1e-11),
    "fast waves": (lambda x: np.sin(40 * x), lambda x: 40 * np.cos(40 * x), 0.9, 1, 1e-9),
    "waves whose period is a step": (
        lambda x: np.sin(16 * np.pi * x / 1.1875),
        lambda x: 16 * np.pi / 1.1875 * np.cos(16 * np.pi * x / 1.1875),
        0.6,
        1,
        1e-10,
    ),
    "a tone": (
        lambda x: np.sin(2764.6 * x),
        lambda x: 2764.6 * np.cos(2764.6 * x),
        100.3,
        128,
        1e-7,
    ),
    "a pole nearby": (lambda x: 1 / (x - 1.3), lambda x: -1 / (x - 1.3) ** 2, 1.2, 1, 1e-9),
    "a pole 1e-9 away": (np.log, lambda x: 1 / x, 1e-9, 0.5, 1e-8),
    "a large constant": (lambda x: 1e6 + np.cos(x), lambda x: -np.sin(x), 0.8, 1, 1e-6),
    "a large constant, squared": (lambda x: 1e12 + x * x, lambda x: 2 * x, 0.8, 1, 1e-6),
    "flat from afar": (lambda x: np.tanh(30 * x - 30), lambda x: 30 / np.cosh(30 * x - 30) ** 2, 1.05, 1, 1e-10),
    "a spectral line": (
        lambda x: bell((x - 500) / 0.4),
        lambda x: (500 - x) / 0.16 * bell((x - 500) / 0.4),
        500.2,
        512,
        1e-11,
    ),
    "a line of 1e-9 of its place": (
        lambda x: bell((x - 1) / 1e-9),
        lambda x: (1 - x) / 1e-18 * bell((x - 1) / 1e-9),
        1 + 5e-10,
        1,
        1e-8,
    ),
    "a line on a slope": (
        lambda x: x * x + 1e-4 * bell((x - 1) / 1e-7),
        lambda x: 2 * x + 1e10 * (1 - x) * bell((x - 1) / 1e-7),
        1 + 5e-8,
        1,
        1e-8,
    ),
    "a sharp step": (
        lambda x: step((x - 1) / 1e-5),
        lambda x: 1e5 * step((x - 1) / 1e-5) * step((1 - x) / 1e-5),
        1.00001,
        1,
        1e-11,
    ),
    "far from a sharp step": (lambda x: step((x - 1) / 1e-5), lambda x: 0 * x, 2.0, 1, 1e-8),
    "small values": (lambda x: 1e-250 * np.sin(x), lambda x: 1e-250 * np.cos(x), 0.7, 1, 1e-11),
    "large values": (lambda x: 1e200 * np.sin(x), lambda x: 1e200 * np.cos(x), 0.7, 1, 1e-11),
    "a small point": (lambda x: np.sin(1e120 * x), lambda x: 1e120 * np.cos(1e120 * x), 0.7e-120, 2.0**-399, 1e-11),
    "a large point": (lambda x: np.sin(1e-160 * x), lambda x: 1e-160 * np.cos(1e-160 * x), 0.7e160, 2.0**531, 1e-11),
    "steep at 0": (lambda x: np.sin(1e9 * x), lambda x: 1e9 * np.cos(1e9 * x), 0.0, 1, 1e-10),
    "on one side only": (lambda x: x * np.sqrt(x) + np.exp(x), lambda x: 1.5 * np.sqrt(x) + np.exp(x), 0.0, 1, 1e-4),
    "linear": (lambda x: 3 * x, lambda x: 3 + 0 * x, 0.7, 1, 1e-12),
    "constant": (lambda x: 0 * x + 2, lambda x: 0 * x, 0.7, 1, 1e-12),
    "in float32": (lambda x: np.float32(np.sin(x)), np.cos, 0.7, 1, 1e-4),
    "of float32": (lambda x: np.sin(np.float32(x)), np.cos, 0.7, 1, 1e-4),
    "rounded": (lambda x: np.round(np.sin(x), 6), np.cos, 0.7, 1, 1e-3),
}


def shifted(f: Function, x: float, scale: float = 1.0) -> Callable[[float], Any]:
    def at(t: float) -> Any:
        with np.errstate(all="ignore"):
            return np.array([f(x + scale * t)], float)

    return at


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("wary", [False, True])
def test_the_error_is_within_the_bound(name: str, wary: bool) -> None:
    f, slope, x, scale, least = SMOOTH[name]
    for moved in x * (1 + np.array([0.0, 1e-11, -1e-11, 3e-10])):
        at = shifted(f, moved, scale)
        found = difference(at, at(0.0), wary=wary).per(scale)
        assert abs(found.slope[0] - slope(moved)) <= found.bound[0]
        assert found.bound[0] <= least * max(abs(slope(moved)), abs(f(moved)) / scale)


@pytest.mark.long
@pytest.mark.parametrize("offset", [param(10.0**k, slow=k in (5, 6, 8)) for k in range(4, 10)])
@pytest.mark.parametrize("name", ["sin", "exp", "log", "step", "bell", "square"])
def test_polynomials_tell_the_slope_next_to_an_offset_as_well_as_its_rounding_allows(name: str, offset: float) -> None:
    f, slope = {
        "sin": (np.sin, np.cos),
        "exp": (np.exp, np.exp),
        "log": (lambda x: np.log(x + 5), lambda x: 1 / (x + 5)),
        "step": (step, lambda x: step(x) * step(-x)),
        "bell": (bell, lambda x: -x * bell(x)),
        "square": (np.square, lambda x: 2 * x),
    }[name]
    for x in np.linspace(-2, 2, 12):
        at = shifted(lambda y: offset + f(y), float(x))
        found = difference(at, at(0.0), unknown=lambda found: found.bound > 0).with_polynomials()
        assert abs(found.slope[0] - slope(x)) <= found.bound[0]
        assert found.bound[0] <= 200 * np.spacing(offset)


def test_a_coarse_part_is_told_from_a_narrow_feature() -> None:
    """At the smallest steps, a part in float32 stands still; where it jumps, a wary look sees it."""
    at = shifted(lambda x: np.float32(np.sin(x)) + x, 0.7)
    found = difference(at, at(0.0), wary=True)
    assert abs(found.slope[0] - np.cos(0.7) - 1) <= found.bound[0] < 1e-4


def test_the_last_digit_of_a_larger_term_is_no_jump() -> None:
    """The sum is rounded half-way between two numbers, so that it moves by a last digit at once, and then stays."""
    unit = 2.0**-56  # the last digit of 0.1
    starts = (np.arange(50.0) + 0.5) * unit

    def f(t: float) -> np.ndarray:
        return np.asarray((0.1 + (starts + 1e-5 * t)) - (0.1 + 25 * unit))

    assert not np.any(difference(f, f(0.0)).jumps)
    assert np.all(difference(lambda t: f(t) + 1e4 * unit * (t > 0), f(0.0)).jumps)


@pytest.mark.parametrize("f", [np.floor, lambda x: np.sin(1e120 * x)], ids=["a jump", "waves that no step resolves"])
def test_nothing_is_said_of_what_is_as_large_as_its_noise(f: Function) -> None:
    at = shifted(f, 1.0)
    assert difference(at, at(0.0)).bound[0] == np.inf


def test_kinks_show_as_two_slopes() -> None:
    at = shifted(np.abs, 0.0)
    found = difference(at, at(0.0))
    np.testing.assert_allclose([found.left[0], found.right[0]], [-1, 1])
    assert found.side_bound[0] < 1e-9


@pytest.mark.parametrize("digits", [3, 6, 9])
def test_noise_is_measured(digits: int) -> None:
    at = shifted(lambda x: np.round(np.sin(x), digits), 0.7)
    found = difference(at, at(0.0))
    for measured in (found.noise[0], noise(at, 10.0 ** (2 - digits))[0]):
        assert 10.0**-digits / 30 < measured < 30 * 10.0**-digits
    assert abs(found.slope[0] - np.cos(0.7)) <= found.bound[0]


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0])
def test_a_jump_is_told_from_what_is_only_steep(size: float) -> None:
    def jumping(t: float) -> float:
        return float(np.exp(t) + size * (t > 0.1234))

    assert size / 4 < jump(jumping, 1e-15) < 2 * size
    assert jump(lambda t: float(np.exp(t) + size / (t - 0.1234)), 1e-15) == 0
    assert jump(lambda t: float(np.exp(t) + size * abs(t - 0.1234)), 1e-15) == 0
    assert jump(lambda t: float(np.exp(t) + size * bell((t - 0.1) / 1e-3)), 1e-15) == 0


def test_far_larger_values_further_away_are_rounded_by_more() -> None:
    """A parabola is followed as far as the steps go, where its values have more rounding than the one at the point."""
    rng, steps = np.random.default_rng(0), FIRST_STEP * RATIO ** np.arange(5.0, -2.0, -1.0)
    for a, b, c in rng.normal(size=(100, 3)):
        x = rng.uniform(0.5, 2)

        def f(t: float, a: float = a, b: float = b, c: float = c, x: float = x) -> Any:
            return np.array([a + b * (x + t) + c * (x + t) ** 2])

        found = difference(f, f(0.0), steps, noise=2 * EPSILON * np.array([abs(a) + abs(b * x) + abs(c) * x**2]))
        assert abs(found.slope[0] - (b + 2 * c * x)) <= found.bound[0]
        assert abs(found.right[0] - found.left[0]) <= 2 * found.side_bound[0]


@pytest.mark.parametrize(("error", "power"), [(0.0, 2), (1e-2, 1)])
def test_the_remainder_of_a_right_slope_falls_faster(error: float, power: int) -> None:
    at = shifted(np.exp, 0.5)
    found = remainder_slope(at, at(0.0), np.exp([0.5]) + error, 1.0, difference(at, at(0.0)).noise)
    assert abs(found[0] - power) < 0.15


@pytest.mark.parametrize("beyond", [lambda t: 3.0, lambda t: 3 * t, lambda t: t - 3])
def test_a_single_jump_is_no_rounding(beyond: Any) -> None:
    for at in (1e-6, 0.01, 0.9):
        found = difference(lambda t, at=at: np.array([beyond(t) if t > at else t]), np.zeros(1), wary=True)
        assert not found.saws[0]
        assert abs(found.slope[0] - 1) <= found.bound[0] < 1e-8


def test_jumps_that_go_on_are_rounding() -> None:
    for size in (1e-3, 1e-6):
        found = difference(
            lambda t, size=size: np.array([t + size * np.floor(2 * t / size + 0.3)]), np.zeros(1), wary=True
        )
        assert found.saws[0]
        assert abs(found.slope[0] - 3) <= found.bound[0] < 100 * size


def test_larger_values_in_single_precision_are_rounded_by_more() -> None:
    rng = np.random.default_rng(0)
    for rows, targets in rng.normal(size=(20, 2, 16)).astype(np.float32):

        def loss(t: float, rows: Any = rows, targets: Any = targets) -> Any:
            return np.array([float(np.mean((np.tanh(rows) + np.float32(t) - targets) ** 2))])

        steps = OTHER_STEPS * RATIO**9
        found = difference(loss, loss(0.0), steps, wary=True)
        assert not found.saws[0]
        right = 2 * np.mean((np.tanh(rows) - targets).astype(float))
        assert found.bound[0] < 1e-4
        assert abs(found.slope[0] - right) < 64 * np.finfo(np.float32).eps  # what a check in float32 lets pass
