"""Distances between vectors."""

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.foundation.sums import through_single
from tinygrad_lite.nn.functional.checks import shape_of
from tinygrad_lite.transforms.custom import stop_gradient

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]


@through_single
def cosine_similarity(x1: Array, x2: Array, axis: int = 1, eps: float = 1e-8) -> Array:
    """u·v / (max(‖u‖, ε) max(‖v‖, ε)) of vectors u and v along an axis; their shapes are broadcast.

    Example:
        >>> cosine_similarity(np.array([[3.0, 4.0]]), np.array([[4.0, 3.0]]))
        array([0.96])
    """
    check_broadcast("cosine_similarity", x1, x2)
    pair = (x1, x2) if shape_of(x1) == shape_of(x2) else np.broadcast_arrays(x1, x2)
    x1, x2 = (x if shape_of(x) else np.reshape(x, 1) for x in pair)
    return np.sum(_unit(x1, axis, eps) * _unit(x2, axis, eps), axis=axis)


def _unit(x: Array, axis: int, eps: float) -> Array:
    return x / at_least(np.linalg.norm(x, axis=axis, keepdims=True), eps)


def check_broadcast(name: str, *vectors: Array) -> None:
    """Raise `ShapeError` unless the shapes of vectors broadcast."""
    try:
        np.broadcast_shapes(*map(shape_of, vectors))
    except ValueError:
        shapes = ", ".join(str(shape_of(x)) for x in vectors)
        raise ShapeError(f"{name} needs vectors whose shapes broadcast, got {shapes}") from None


def at_least(x: Array, floor: float) -> Array:
    """max(x, floor) with the gradient of x, even where the value is the floor, as in some of PyTorch's formulas."""
    return x + stop_gradient(np.maximum(x, floor) - x)


@through_single
def pairwise_distance(x1: Array, x2: Array, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False) -> Array:
    """‖u - v + ε‖ₚ of vectors u and v along the last axis; their shapes are broadcast.

    Example:
        >>> pairwise_distance(np.array([[3.0, 4.0]]), np.array([[0.0, 0.0]]), eps=0)
        array([5.])
    """
    check_broadcast("pairwise_distance", x1, x2)
    return np.linalg.norm(x1 - x2 + eps, p, axis=-1, keepdims=keepdims)


@through_single
def pdist(input: Array, p: float = 2.0) -> Array:
    """‖xᵢ - xⱼ‖ₚ of all pairs of rows i < j, first those with row 0.

    Raises:
        ShapeError: if x is not a matrix.
        InputError: if p is negative.

    Example:
        >>> pdist(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]]))
        array([5., 3., 4.])
    """
    if len(shape_of(input)) != 2:
        raise ShapeError(f"pdist needs a matrix with a vector in each row, got shape {shape_of(input)}")
    if not p >= 0:
        raise InputError(f"pdist needs p ≥ 0, got {p}")
    first, second = np.triu_indices(shape_of(input)[0], 1)
    return np.linalg.norm(np.take(input, first, axis=0) - np.take(input, second, axis=0), p, axis=-1)
