"""Affine maps."""

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.linear import products

__all__ = [
    "linear",
]


def linear(x: Array, weight: Array, bias: Array = None) -> Array:
    """y = x Wᵀ + b, with x (…, in), W (out, in), b (out) and y (…, out).

    Example:
        >>> linear(np.array([1.0, 2.0]), np.array([[3.0, 4.0]]), np.array([5.0]))
        array([16.])
    """
    return np.matmul(x, np.transpose(weight)) if bias is None else products.linear(x, weight, bias)
