"""Slopes by polynomials through many points: as good as their bounds, however coarse the values are."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from tinygrad_lite.checking import fits

SMOOTH: list[tuple[Callable[[float], float], float]] = [
    (np.sin, 1.0),
    (lambda t: float(np.exp(-2 * t)), -2.0),
    (lambda t: 1 / (3 + t), -1 / 9),
    (lambda t: 5.0, 0.0),
    (lambda t: t**3 - 2 * t, -2.0),
]
ROUGH: list[Callable[[float], float]] = [
    abs,
    lambda t: float(t > 0.01),
    lambda t: max(t, 0.0) ** 1.5,
    lambda t: abs(t) ** 3,
]


def fitted(f: Callable[[float], float], noise: float) -> list[tuple[float, float]]:
    steps = np.array([0.1, 0.01])
    known = np.array([[f(t)] for t in steps])
    found = fits.slopes(lambda t: np.array([f(t)]), 0.01, np.array([noise]), steps, known)
    return [(float(slope[0]), float(bound[0])) for slope, bound in found]


@pytest.mark.parametrize("digits", [4, 7, 10])
def test_slopes_of_rounded_values_are_as_near_as_their_bounds(digits: int) -> None:
    for (f, right), end in product(SMOOTH, (-np.inf, 0.0)):

        def rounded(t: float, f: Any = f, end: float = end) -> float:
            return round(f(t), digits) if t >= end else np.nan

        found = [pair for pair in fitted(rounded, 10.0**-digits) if np.isfinite(pair[1])]
        assert all(abs(slope - right) <= bound for slope, bound in found)
        assert min(bound for _, bound in found) < (500 if end == 0 else 20) * 10.0**-digits


def test_what_is_not_smooth_has_no_slope() -> None:
    for f in ROUGH:
        assert all(np.isinf(bound) or abs(slope) <= bound for slope, bound in fitted(f, 1e-12))
