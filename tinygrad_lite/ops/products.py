"""Floor 1. Products: sums over a shared axis."""

import numpy as np

from tinygrad_lite.errors import ShapeError
from tinygrad_lite.ops.op import Array, primitive


def _matmul_vjp_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    if np.ndim(b) == 1:
        return np.expand_dims(g, -1) * b
    if np.ndim(a) == 1:
        return np.matmul(b, np.expand_dims(g, -1))[..., 0]
    return np.matmul(g, np.swapaxes(b, -1, -2))


def _matmul_vjp_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    if np.ndim(a) == 1:
        return a * g if np.ndim(b) == 1 else np.expand_dims(a, -1) * np.expand_dims(g, -2)
    if np.ndim(b) == 1:
        return np.matmul(np.swapaxes(a, -1, -2), np.expand_dims(g, -1))[..., 0]
    return np.matmul(np.swapaxes(a, -1, -2), g)


_MATMUL_SHAPES: list[list[tuple[int, ...]]] = [
    [(3,), (3,)],
    [(3,), (3, 2)],
    [(2, 3), (3,)],
    [(2, 3), (3, 4)],
    [(5, 2, 3), (3, 4)],
    [(2, 3), (5, 3, 4)],
    [(4, 1, 2, 3), (5, 3, 2)],
    [(3,), (5, 3, 2)],
    [(5, 2, 3), (3,)],
    [(2, 0), (0, 3)],
]
matmul = primitive(np.matmul, _matmul_vjp_a, _matmul_vjp_b, examples=[(shapes, {}) for shapes in _MATMUL_SHAPES])


def _rows(x: Array) -> Array:
    """The array as a matrix whose rows run along the last axis."""
    return x if x.ndim == 2 else np.reshape(x, (-1, x.shape[-1]))


def _linear(x: Array, weight: Array, bias: Array) -> Array:
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear needs a weight (out, in) and a bias (out), got {weight.shape} and {bias.shape}")
    y = np.matmul(x, weight.T)
    if y.dtype != bias.dtype:
        return y + bias
    y += bias  # the product is ours: no second array
    return y


linear = primitive(
    _linear,
    lambda g, y, x, weight, bias: np.matmul(g, weight),
    lambda g, y, x, weight, bias: np.matmul(_rows(x).T, _rows(g)).T,
    lambda g, y, x, weight, bias: g,
    examples=[([(2, 3), (4, 3), (4,)], {}), ([(3,), (4, 3), (4,)], {}), ([(5, 2, 3), (4, 3), (4,)], {})],
)
