"""Differences keep their word: the error is within the bound, which is small; Taylor's remainder falls as it should."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_lite.checking.references import difference, noise, remainder_slope

SMOOTH: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "fast waves": (lambda x: np.sin(40 * x), lambda x: 40 * np.cos(40 * x)),
    "waves of the period of a step": (lambda x: np.sin(16 * np.pi * x), lambda x: 16 * np.pi * np.cos(16 * np.pi * x)),
    "a pole nearby": (lambda x: 1 / (x - 1.3), lambda x: -1 / (x - 1.3) ** 2),
    "a large constant": (lambda x: 1e6 + np.cos(x), lambda x: -np.sin(x)),
    "flat from afar": (lambda x: np.tanh(30 * x - 30), lambda x: 30 / np.cosh(30 * x - 30) ** 2),
    "linear": (lambda x: 3 * x, lambda x: 3 + 0 * x),
    "constant": (lambda x: 0 * x + 2, lambda x: 0 * x),
}


def shifted(f: Callable[[Any], Any], x: float) -> Callable[[float], Any]:
    return lambda t: np.array([f(x + t)])


@pytest.mark.parametrize("name", SMOOTH)
def test_the_error_is_within_the_bound(name: str) -> None:
    f, slope = SMOOTH[name]
    for x in np.random.default_rng(0).uniform(0.5, 1.25, 50):
        at = shifted(f, x)
        found = difference(at, at(0.0), abs(x), noise(at, abs(x)))
        assert abs(found.slope[0] - slope(x)) <= found.bound[0]
        assert found.bound[0] <= 1e-7 * max(abs(slope(x)), abs(f(x)))


def test_kinks_show_as_two_slopes() -> None:
    at = shifted(np.abs, 0.0)
    found = difference(at, at(0.0), 1.0, noise(at, 1.0))
    np.testing.assert_allclose([found.left[0], found.right[0]], [-1, 1])
    assert found.side_bound[0] < 1e-6


@pytest.mark.parametrize("digits", [3, 6, 9])
def test_noise_is_measured(digits: int) -> None:
    at = shifted(lambda x: np.round(np.sin(x), digits), 0.7)
    assert 10.0**-digits / 30 < noise(at, 1.0)[0] < 30 * 10.0**-digits
    found = difference(at, at(0.0), 1.0, noise(at, 1.0))
    assert abs(found.slope[0] - np.cos(0.7)) <= found.bound[0]


@pytest.mark.parametrize(("error", "power"), [(0.0, 2), (1e-2, 1)])
def test_the_remainder_of_a_right_slope_falls_faster(error: float, power: int) -> None:
    at = shifted(np.exp, 0.5)
    found = remainder_slope(at, at(0.0), np.exp([0.5]) + error, 1.0, noise(at, 1.0))
    assert abs(found[0] - power) < 0.15
