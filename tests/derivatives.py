"""Reference derivatives, by differences: what the tests hold gradients against."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def assert_gradients(
    found: Sequence[Any],
    f: Callable[..., float],
    arrays: Sequence[Any],
    positions: Sequence[int],
    tolerance: float,
    scale: float = 1.0,
    is_linear: bool = False,
) -> None:
    """Raise an error unless these are the gradients of a function with one real result, at each position.

    The slopes along two random directions of each array tell: what is wrong anywhere changes them. They take as many
    values for an array of any size. What may differ is as small beside this scale as beside a gradient.
    """
    rng = np.random.default_rng(0)
    for gradient, position in zip(found, positions, strict=True):
        x = np.array(arrays[position], float)
        assert np.shape(gradient) == x.shape
        allowed = tolerance * (scale + np.max(np.abs(gradient), initial=0))
        for _ in range(2 if x.size > 1 else x.size):
            direction = rng.uniform(0.5, 1, x.shape) * rng.choice([-1, 1], x.shape)

            def along(t: float, x: Any = x, position: int = position, direction: Any = direction) -> float:
                return float(f(*arrays[:position], x + t * direction, *arrays[position + 1 :]))

            slope = numerical_slope(along, is_linear)
            np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=tolerance, atol=allowed)


def real_of(y: Any) -> Any:
    """A real result, from which a gradient can start: of a complex one, the sum of its real and imaginary parts."""
    return np.real(y) + np.imag(y) if np.result_type(getattr(y, "dtype", float)).kind == "c" else y


def numerical_slope(f: Callable[[float], float], is_linear: bool = False) -> float:
    """The derivative of a function at 0, with an error of about 1e-12 of the values.

    Central differences at four steps, whose error is of the eighth order; at one step of 1 where that is exact.
    """
    h, weights = (1.0, (1 / 2,)) if is_linear else (1e-3, (4 / 5, -1 / 5, 4 / 105, -1 / 280))
    return sum(weight * (f(k * h) - f(-k * h)) / h for k, weight in enumerate(weights, start=1))


def numerical_gradients(f: Callable[..., float], arrays: Sequence[Any], positions: Sequence[int]) -> list[Any]:
    """The gradient of a function with one real result at each position, entry by entry."""
    found = []
    for position in positions:
        x = np.array(arrays[position], float)
        gradient = np.empty_like(x)
        for i in np.ndindex(x.shape):

            def along(h: float, i: Any = i, x: Any = x, position: int = position) -> float:
                moved = x.copy()
                moved[i] += h
                return float(f(*arrays[:position], moved, *arrays[position + 1 :]))

            gradient[i] = numerical_slope(along)
        found.append(gradient)
    return found
