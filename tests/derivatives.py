"""Reference derivatives, by differences: what the tests hold gradients against."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def numerical_gradients(
    f: Callable[..., float], arrays: Sequence[Any], positions: Sequence[int], is_linear: bool = False
) -> list[Any]:
    """The gradient of a function with one real result at each position, with an error of about 1e-12 of the values.

    Central differences at four steps, whose error is of the eighth order; at one step of 1 where that is exact.
    """
    h, weights = (1.0, (1 / 2,)) if is_linear else (1e-3, (4 / 5, -1 / 5, 4 / 105, -1 / 280))
    found = []
    for position in positions:
        x = np.array(arrays[position], float)
        gradient = np.empty_like(x)
        for i in np.ndindex(x.shape):

            def shifted(h: float, i: Any = i, x: Any = x, position: int = position) -> float:
                moved = x.copy()
                moved[i] += h
                return float(f(*[moved if k == position else a for k, a in enumerate(arrays)]))

            gradient[i] = sum(
                weight * (shifted(k * h) - shifted(-k * h)) / h for k, weight in enumerate(weights, start=1)
            )
        found.append(gradient)
    return found
