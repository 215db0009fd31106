"""Dropout."""

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError
from tinygrad_lite.nn.init import Rng

__all__ = [
    "dropout",
]


def dropout(x: Array, p: float = 0.5, training: bool = True, *, rng: Rng = None) -> Array:
    """x with each entry set to zero with probability p and the others divided by 1 - p; outside training, x itself.

    Raises:
        InputError: if p does not lie in [0, 1].

    Example:
        >>> dropout(np.ones(6), 0.5, rng=0)
        array([2., 0., 0., 0., 2., 2.])
    """
    check_probability(p)
    if not training or p == 0:
        return x
    keep = np.random.default_rng(rng).random(np.shape(x)) >= p
    scale = keep / (1 - p) if p < 1 else np.zeros(np.shape(x))
    return x * scale.astype(np.result_type(x, 1.0))


def check_probability(p: float) -> None:
    """Raise `InputError` unless 0 ≤ p ≤ 1."""
    if not 0 <= p <= 1:
        raise InputError(f"a dropout probability must lie in [0, 1], got {p}")
