"""Activations as modules: each calls its function in `nn.functional`."""

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.nn import functional
from tinygrad_lite.nn.module import Module

__all__ = [
    "GELU",
    "LeakyReLU",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
]


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Array) -> Array:
        return functional.relu(x)


class LeakyReLU(Module):
    """x where positive, else negative_slope · x."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Array) -> Array:
        return functional.leaky_relu(x, self.negative_slope)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ)."""

    def forward(self, x: Array) -> Array:
        return functional.sigmoid(x)


class Tanh(Module):
    """tanh x."""

    def forward(self, x: Array) -> Array:
        return np.tanh(x)


class GELU(Module):
    """x · Φ(x), with Φ the standard normal distribution function."""

    def forward(self, x: Array) -> Array:
        return functional.gelu(x)


class SiLU(Module):
    """x · sigmoid(x)."""

    def forward(self, x: Array) -> Array:
        return functional.silu(x)


class Softmax(Module):
    """eˣ / Σ eˣ along an axis."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return functional.softmax(x, self.axis)
