"""Matrices with a structure, with the names and signatures of scipy.linalg."""

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.ops.linear.conjugates import conj


def _vector(name: str, letter: str, x: Array) -> Array:
    x = as_array(x)
    if np.ndim(x) != 1:
        raise ShapeError(f"{name}: {letter} must be a vector, got shape {np.shape(x)}")
    return x


def block_diag(*arrs: Array) -> Array:
    """The matrix with these matrices along its diagonal, and 0 elsewhere.

    A vector is a row, and a number a matrix of one entry. This is scipy.linalg.block_diag for arrays and tensors.

    Raises:
        ShapeError: if an array has more than two axes.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.block_diag(2.0, [[1.0, 3.0]])
        array([[2., 0., 0.],
               [0., 1., 3.]])
    """
    blocks = [np.atleast_2d(as_array(x)) for x in arrs] or [np.zeros((1, 0))]
    if deep := [np.shape(x) for x in blocks if np.ndim(x) != 2]:
        raise ShapeError(f"block_diag takes matrices, got an array of shape {deep[0]}")
    width = sum(x.shape[1] for x in blocks)
    rows, before = [], 0
    for x in blocks:
        rows.append(np.pad(x, ((0, 0), (before, width - before - x.shape[1]))))
        before += x.shape[1]
    return np.concatenate(rows)


def toeplitz(c: Array, r: Array | None = None) -> Array:
    """The matrix that is constant along its diagonals, with the first column c and the first row r.

    This is scipy.linalg.toeplitz for arrays and tensors. The first entry of r is not read. Without r, it is the
    conjugate of c.

    Raises:
        ShapeError: if c or r is not a vector.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.toeplitz([1.0, 2.0], [1.0, 5.0, 6.0])
        array([[1., 5., 6.],
               [2., 1., 5.]])
    """
    c = _vector("toeplitz", "c", c)
    r = conj(c) if r is None else _vector("toeplitz", "r", r)
    return np.concatenate([r[:0:-1], c])[np.subtract.outer(range(len(c)), range(len(r))) + len(r) - 1]


def circulant(c: Array) -> Array:
    """The square matrix whose first column is c and in which each column is the one before, moved down by one.

    This is scipy.linalg.circulant for arrays and tensors.

    Raises:
        ShapeError: if c is not a vector.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.circulant([1.0, 2.0, 3.0])
        array([[1., 3., 2.],
               [2., 1., 3.],
               [3., 2., 1.]])
    """
    c = _vector("circulant", "c", c)
    return c[np.subtract.outer(range(len(c)), range(len(c))) % max(len(c), 1)]


def hankel(c: Array, r: Array | None = None) -> Array:
    """The matrix that is constant along its anti-diagonals, with the first column c and the last row r.

    This is scipy.linalg.hankel for arrays and tensors. The first entry of r is not read. Without r, it is 0.

    Raises:
        ShapeError: if c or r is not a vector.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.hankel([1.0, 2.0, 3.0])
        array([[1., 2., 3.],
               [2., 3., 0.],
               [3., 0., 0.]])
    """
    c = _vector("hankel", "c", c)
    r = np.zeros_like(c) if r is None else _vector("hankel", "r", r)
    return np.concatenate([c, r[1:]])[np.add.outer(range(len(c)), range(len(r)))]
