"""Initialisers: initial arrays, drawn from the `rng` that the caller passes (a seed or a Generator)."""

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any, TypeAlias

import numpy as np

from tinygrad_lite.errors import ShapeError

Rng: TypeAlias = "int | np.random.Generator | None"
"""A seed, a generator to draw from, or None for numbers that cannot be reproduced."""


def zeros(shape: int | Sequence[int], *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """An array of zeros; `rng` is not used, but lets this stand in for any other initialiser.

    Example:
        >>> zeros(2)
        array([0., 0.])
    """
    return np.zeros(shape, dtype)


def normal(
    shape: int | Sequence[int], mean: float = 0.0, std: float = 1.0, *, dtype: Any = np.float64, rng: Rng = None
) -> Any:
    """Normally distributed numbers, N(mean, std²).

    Example:
        >>> normal((2, 3), std=0.1, rng=0).shape
        (2, 3)
    """
    return np.random.default_rng(rng).normal(mean, std, shape).astype(dtype)


def uniform(
    shape: int | Sequence[int], low: float = 0.0, high: float = 1.0, *, dtype: Any = np.float64, rng: Rng = None
) -> Any:
    """Uniformly distributed numbers, U(low, high).

    Example:
        >>> bool(uniform(100, -1, 1, rng=0).min() < 0)
        True
    """
    return np.random.default_rng(rng).uniform(low, high, shape).astype(dtype)


def xavier_uniform(shape: Sequence[int], gain: float = 1.0, *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """U(-a, a) with a = gain · √(6 / (fan_in + fan_out)): keeps the variance both forward and backward.

    The shape is (out, in, …); further axes are a receptive field.
    Source: Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, eq. 16.

    Raises:
        ShapeError: if the shape has fewer than two axes.

    Example:
        >>> bool(abs(xavier_uniform((3, 3), rng=0)).max() <= 1)
        True
    """
    fan_in, fan_out = _fans(shape)
    bound = gain * sqrt(6 / (fan_in + fan_out))
    return uniform(shape, -bound, bound, dtype=dtype, rng=rng)


def xavier_normal(shape: Sequence[int], gain: float = 1.0, *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """N(0, σ²) with σ = gain · √(2 / (fan_in + fan_out)); otherwise as `xavier_uniform`.

    Example:
        >>> xavier_normal((3, 2), rng=0).shape
        (3, 2)
    """
    fan_in, fan_out = _fans(shape)
    return normal(shape, 0.0, gain * sqrt(2 / (fan_in + fan_out)), dtype=dtype, rng=rng)


def kaiming_uniform(
    shape: Sequence[int], negative_slope: float = 0.0, *, dtype: Any = np.float64, rng: Rng = None
) -> Any:
    """U(-a, a) with a = √(6 / ((1 + negative_slope²) · fan_in)): keeps the variance through (leaky) ReLUs.

    The shape is (out, in, …); further axes are a receptive field.
    Source: He et al. (2015), Delving deep into rectifiers, eq. 14 and 15.

    Raises:
        ShapeError: if the shape has fewer than two axes.

    Example:
        >>> bool(abs(kaiming_uniform((2, 6), rng=0)).max() <= 1)
        True
    """
    bound = sqrt(6 / ((1 + negative_slope**2) * _fans(shape)[0]))
    return uniform(shape, -bound, bound, dtype=dtype, rng=rng)


def kaiming_normal(
    shape: Sequence[int], negative_slope: float = 0.0, *, dtype: Any = np.float64, rng: Rng = None
) -> Any:
    """N(0, σ²) with σ = √(2 / ((1 + negative_slope²) · fan_in)); otherwise as `kaiming_uniform`.

    Example:
        >>> kaiming_normal((3, 2), rng=0).shape
        (3, 2)
    """
    return normal(shape, 0.0, sqrt(2 / ((1 + negative_slope**2) * _fans(shape)[0])), dtype=dtype, rng=rng)


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """The number of inputs of each unit, and the number of units that read each input."""
    if np.ndim(shape) == 0 or len(shape) < 2:
        raise ShapeError(f"this initialiser needs a shape of at least two axes, (out, in, ...); got {shape}")
    receptive_field = prod(shape[2:])
    return max(shape[1] * receptive_field, 1), max(shape[0] * receptive_field, 1)
