"""Odd arrays: few digits and many, whole numbers, no entries, strange strides, ties, NaN, infinity and extremes."""

from random import Random
from typing import Any

import numpy as np

SHAPES: list[tuple[int, ...]] = [(), (1,), (3,), (3,), (4,), (2, 3), (2, 3), (3, 3), (3, 3), (1, 3), (2, 1), (2, 3, 2)]
EMPTY: list[tuple[int, ...]] = [(0,), (2, 0), (0, 3), (2, 0, 2)]
REAL = [np.float64] * 6 + [np.float32, np.float16, np.longdouble]
WHOLE = [np.int64, np.int32, np.int8, np.uint8, np.bool_]


def odd_array(random: Random, real: bool) -> Any:
    """An array, of real numbers if they must be, that is odd in some way or another."""
    dtype = random.choice(REAL) if real or random.random() < 0.8 else random.choice(WHOLE)
    shape = random.choice(EMPTY if random.random() < 0.04 else SHAPES)
    return laid_out(random, odd_numbers(random, shape).astype(dtype))


def odd_numbers(random: Random, shape: tuple[int, ...]) -> Any:
    """Numbers of a shape: half of the time moderate ones, else ties, edges of domains, extremes, or no numbers."""
    rng = np.random.default_rng(random.getrandbits(32))
    kind = random.random()
    if kind < 0.4:
        return rng.uniform(-3, 3, shape)
    if kind < 0.55:
        return rng.uniform(0.05, 0.95, shape)
    if kind < 0.6 and len(shape) == 2 and shape[0] == shape[1]:
        return (half := rng.uniform(-1, 1, shape)) @ half.T + np.identity(shape[0])
    if kind < 0.75:
        return np.round(rng.uniform(-2.4, 2.4, shape) * (step := random.choice([1, 2]))) / step
    if kind < 0.8:
        return rng.choice([-1.0, -0.0, 0.0, 1.0, np.pi / 2, -np.pi], shape)
    numbers = rng.uniform(-3, 3, shape)
    if kind < 0.84:
        return numbers * 10.0 ** rng.integers(-8, 8, shape)
    extremes = [1e-310, -1e-7, 1e-4, 6e4, 3e38, 1e200, -1e300] if kind < 0.93 else [np.nan, np.inf, -np.inf]
    return np.where(rng.uniform(size=shape) < 0.4, rng.choice(extremes, shape), numbers)


def laid_out(random: Random, array: Any) -> Any:
    """The same numbers, at times with negative strides, in Fortran's order, with gaps, or with one entry for many."""
    kind = random.random()
    if not array.ndim or kind < 0.7:
        return array[()]
    if kind < 0.78:
        return array[::-1].copy()[::-1]
    if kind < 0.85:
        return np.asfortranarray(array)
    if kind < 0.92:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    return np.broadcast_to(array[:1], array.shape)
