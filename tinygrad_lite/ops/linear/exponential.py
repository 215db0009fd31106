"""The exponential of a matrix, with the name and signature of scipy.linalg, which does not take tensors."""

from collections.abc import Callable
from math import comb, perm
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.ops.arithmetic.selection import stop_gradient
from tinygrad_lite.ops.linear.linalg import SQUARE, square_matrix

DEGREE = 13  # of the numerator and the denominator
LARGEST = 5.371920351148152  # norm for which they have all digits


def _exponential(x: Array) -> Array:
    # a quotient of polynomials of x / 2ˢ, squared s times: Higham, The scaling and squaring method for the matrix
    # exponential revisited (2005)
    norm = np.max(np.sum(np.abs(x), axis=-2), axis=-1, initial=0)
    squarings = np.ceil(np.log2(np.where(np.isfinite(norm), np.maximum(norm / LARGEST, 1), 1))).astype(int)
    x = x / (2.0 ** squarings[..., None, None]).astype(x.real.dtype)
    y = quotient_of_polynomials(x)
    for turn in range(np.max(squarings, initial=0)):
        y = np.where((turn < squarings)[..., None, None], y @ y, y)
    return y


def quotient_of_polynomials(x: Array) -> Array:
    """The exponential of a matrix whose norm is not large."""
    even, odd = _polynomials(x)
    return np.linalg.solve(even - odd, even + odd)


def _polynomials(x: Array) -> tuple[Array, Array]:
    """The even and the odd part of the numerator."""
    weights = [comb(DEGREE, j) / perm(2 * DEGREE, j) for j in range(DEGREE + 1)]
    powers = [np.broadcast_to(np.eye(x.shape[-1], dtype=x.dtype), x.shape), x @ x]
    while len(powers) < 4:
        powers.append(powers[-1] @ powers[1])
    even, odd = (_weighted(weights[k::2], powers) for k in (0, 1))
    return even, x @ odd


def _weighted(weights: list[float], powers: list[Array]) -> Array:
    """The polynomial of x² with these coefficients, from the powers up to x⁶."""
    low = sum(weight * power for weight, power in zip(weights, powers))
    high = sum(weight * power for weight, power in zip(weights[4:], powers[1:]))
    return low + powers[3] @ high


def through_block(function: Callable[[Array], Array], g: Array, x: Array) -> Array:
    """The gradient of a matrix through a function of it: the upper right block of f([[xᵀ, g], [0, xᵀ]]).

    Higham, Functions of Matrices (2008), theorem 3.6. Of the exponential, a block in which the norm of g is at most 1
    takes hardly more squarings than x does: each loses digits.
    """
    size = x.shape[-1]
    rows = max(size, 1)
    largest = np.max(np.abs(stop_gradient(g)), axis=(-2, -1), keepdims=True, initial=0)
    scale = np.where(largest > 0, largest, 1)
    above = np.concatenate([x.mT, g / scale / rows], axis=-1)
    below = np.concatenate([np.zeros_like(g), x.mT], axis=-1)
    return function(np.concatenate([above, below], axis=-2))[..., :size, size:] * rows * scale


exponential: Any = primitive(
    _exponential,
    lambda g, y, x: through_block(exponential, g, x),
    name="expm",
    takes_complex=True,
    examples=SQUARE,
)


def expm(A: Array) -> Array:
    """The exponential of a square matrix, Σ Aᵏ / k!, or of each in a stack of the shape (..., n, n).

    This is scipy.linalg.expm for arrays and tensors. The derivative along E is the upper right block of the exponential
    of [[A, E], [0, A]].

    Raises:
        ShapeError: if A is not square.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.expm(np.array([[0.0, np.pi / 2], [-np.pi / 2, 0.0]])).round(3) + 0.0
        array([[ 0.,  1.],
               [-1.,  0.]])
    """
    A = square_matrix("expm", A)
    return exponential(A if A.dtype.kind in "fc" else A.astype(float))
