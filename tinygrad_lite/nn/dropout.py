"""Dropout, active in training alone."""

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.nn import functional, init
from tinygrad_lite.nn.functional.dropout import check_probability
from tinygrad_lite.nn.module import Module

__all__ = [
    "Dropout",
]


class Dropout(Module):
    """Sets each entry to zero with probability p in training, and divides the others by 1 - p; else the identity."""

    def __init__(self, p: float = 0.5, *, rng: init.Rng = None) -> None:
        check_probability(p)
        self.p = p
        self._rng = np.random.default_rng(rng)

    def forward(self, x: Array) -> Array:
        return functional.dropout(x, self.p, self.training, rng=self._rng)
