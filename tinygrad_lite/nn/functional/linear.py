"""Affine and bilinear maps."""

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.nn.functional.checks import shape_of
from tinygrad_lite.ops.linear import products

__all__ = ["bilinear", "linear"]


def linear(input: Array, weight: Array, bias: Array = None) -> Array:
    """y = x Wᵀ + b, with x (…, in), W (out, in), b (out) and y (…, out).

    Raises:
        ShapeError: if the shapes do not fit.

    Example:
        >>> linear(np.array([1.0, 2.0]), np.array([[3.0, 4.0]]), np.array([5.0]))
        array([16.])
    """
    try:
        return np.matmul(input, np.transpose(weight)) if bias is None else products.linear(input, weight, bias)
    except ValueError as error:
        x, w = shape_of(input), shape_of(weight)
        if x[-1:] == w[-1:]:
            raise
        raise ShapeError(f"linear needs an input (…, in) and W (out, in), got {x} and {w}") from error


def bilinear(input1: Array, input2: Array, weight: Array, bias: Array = None) -> Array:
    """yₖ = uᵀ Wₖ v + bₖ, with u (…, in1), v (…, in2), W (out, in1, in2), b (out) and y (…, out).

    Raises:
        ShapeError: if the shapes do not fit.

    Example:
        >>> bilinear(np.array([1.0, 2.0]), np.array([3.0]), np.array([[[1.0], [10.0]]]))
        array([63.])
    """
    *rest, in1 = shape_of(input1) or (0,)
    *others, in2 = shape_of(input2) or (0,)
    if rest != others or shape_of(weight)[1:] != (in1, in2):
        raise ShapeError(
            f"bilinear needs inputs (…, in1) and (…, in2) with the same leading axes, and a weight (out, in1, in2); "
            f"got {shape_of(input1)}, {shape_of(input2)} and {shape_of(weight)}"
        )
    pairs = np.expand_dims(input1, -1) * np.expand_dims(input2, -2)
    rows = np.reshape(weight, (shape_of(weight)[0], in1 * in2))
    return linear(np.reshape(pairs, (*rest, in1 * in2)), rows, bias)
