"""Triangular systems and Cholesky factors, with the names and signatures of scipy.linalg, which takes no tensors."""

from functools import lru_cache
from typing import Any, Literal

import numpy as np

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.errors import InputError
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.ops.kept import kept
from tinygrad_lite.ops.linear.conjugates import conj
from tinygrad_lite.ops.linear.linalg import as_columns, as_of_columns, square_matrix
from tinygrad_lite.ops.requirements import refuse_where

Transposed = Literal[0, 1, 2, "N", "T", "C"]


@lru_cache(maxsize=8)
def _below(size: int, k: int = 0) -> Array:
    """Where the entries of a lower triangle are; k as in np.tri."""
    return kept(np.tri(size, k=k, dtype=bool))


def _triangle(a: Array, lower: bool, unit_diagonal: bool) -> Array:
    """The entries of a triangular matrix that are read; its diagonal is 1 if `unit_diagonal`."""
    size = a.shape[-1]
    if unit_diagonal:
        strict = _below(size, -1)
        return np.where(strict if lower else strict.T, a, np.eye(size, dtype=a.dtype))
    return np.where(_below(size) if lower else _below(size).T, a, 0)


def _solve(a: Array, b: Array, transposed: bool = False, lower: bool = False, unit_diagonal: bool = False) -> Array:
    triangle = _triangle(a, lower, unit_diagonal)
    (stack,) = as_columns(b, b)
    columns = _side_by_side(a, stack)
    if transposed:
        triangle = triangle.mT
    if transposed == lower:
        y = _substituted(triangle, columns)
    else:
        y = _substituted(triangle[..., ::-1, ::-1], columns[..., ::-1, :])[..., ::-1, :]
    if columns is not stack:
        y = np.moveaxis(y.reshape(len(a), *stack.shape[:-2], stack.shape[-1]), 0, -2)
    return as_of_columns(b, y)


def _side_by_side(a: Array, stack: Array) -> Array:
    """The columns of all matrices of a stack in one matrix, if a is not a stack: one call of LAPACK serves them all."""
    return np.moveaxis(stack, -2, 0).reshape(len(a), -1) if a.ndim == 2 < stack.ndim and stack.size else stack


def _substituted(upper: Array, b: Array) -> Array:
    """The solution for an upper triangle, by halves, since LAPACK would factorise what is a factor already.

    Elimination leaves a small upper triangle as it is, without exchanging rows: only the substitution remains.
    """
    half = upper.shape[-1] // 2
    if half < 32:
        return np.linalg.solve(upper, b)
    below = _substituted(upper[..., half:, half:], b[..., half:, :])
    above = _substituted(upper[..., :half, :half], b[..., :half, :] - upper[..., :half, half:] @ below)
    return np.concatenate([above, below], axis=-2)


def _adjoint(
    g: Array, y: Array, a: Array, b: Array, transposed: bool = False, lower: bool = False, unit_diagonal: bool = False
) -> Array:
    return triangular(a, *as_columns(b, g), transposed=not transposed, lower=lower, unit_diagonal=unit_diagonal)


def _solve_vjp_a(
    g: Array,
    y: Array,
    a: Array,
    b: Array,
    back: Array,
    transposed: bool = False,
    lower: bool = False,
    unit_diagonal: bool = False,
) -> Array:
    (y,) = as_columns(b, y)
    y, back = _side_by_side(a, y), _side_by_side(a, back)
    gradient = -y @ back.mT if transposed else -back @ y.mT
    read = _below(a.shape[-1], -1 if unit_diagonal else 0)
    return np.where(read if lower else read.T, gradient, 0)


def _singularity(a: Array, b: Array, transposed: bool = False, lower: bool = False, unit_diagonal: bool = False) -> Any:
    return np.linalg.svd(_triangle(a, lower, unit_diagonal), compute_uv=False) / 8


triangular = primitive(
    _solve,
    _solve_vjp_a,
    lambda g, y, a, b, back, **_: as_of_columns(b, back),
    adjoint=_adjoint,
    name="solve_triangular",
    refuses=True,
    takes_complex=True,
    kink=_singularity,
    examples=[
        (shapes, {"transposed": transposed, "lower": lower, "unit_diagonal": unit_diagonal})
        for shapes, transposed, lower, unit_diagonal in (
            ([(1, 1), (1,)], False, False, False),
            ([(2, 2), (2,)], False, False, False),
            ([(2, 2), (2, 3)], True, False, False),
            ([(2, 2), (2, 3)], False, True, False),
            ([(2, 2), (2,)], True, True, False),
            ([(3, 3), (3, 1)], False, True, True),
            ([(3, 3), (3,)], True, False, True),
            ([(3, 2, 2), (2,)], False, True, False),
            ([(2, 2), (3, 2, 1)], False, False, False),
            ([(2, 2), (2, 3, 2, 2)], True, True, False),
        )
    ],
)


def solve_triangular(
    a: Array,
    b: Array,
    trans: Transposed = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Array:
    """Solve a triangular system, a y = b, aᵀ y = b or aᴴ y = b, for y.

    This is scipy.linalg.solve_triangular for arrays and tensors, with NumPy's rule for stacks: a has the shape (..., n,
    n), and b has the shape (n,) or (..., n, k). The other triangle is not read and has gradient 0; so has a unit
    diagonal.

    Args:
        trans: 0 or "N" for a, 1 or "T" for aᵀ, 2 or "C" for its conjugate.
        overwrite_b: ignored, since arrays here never change.
        check_finite: refuse NaN and infinity, as SciPy does.

    Raises:
        InputError: if `trans` is something else, or `check_finite` finds NaN or infinity.
        ShapeError: if a is not square, or b does not fit it.
        numpy.linalg.LinAlgError: if a is singular.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> a = np.array([[2.0, 0.0], [1.0, 4.0]])
        >>> tg.linalg.solve_triangular(a, np.array([2.0, 9.0]), lower=True)
        array([1., 2.])
    """
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise InputError(f'trans must be 0, 1 or 2, or "N", "T" or "C", got {trans!r}')
    a, b = square_matrix("solve_triangular", a), as_array(b)
    if check_finite:
        _check_finite("solve_triangular", a, b)
    a = conj(a) if trans in (2, "C") else a
    return triangular(a, b, transposed=trans not in (0, "N"), lower=bool(lower), unit_diagonal=bool(unit_diagonal))


def cho_factor(
    a: Array, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Array, bool]:
    """The Cholesky factor (c, lower) of a Hermitian positive definite matrix, for `cho_solve`.

    a = c cᴴ for a lower triangle c, or cᴴ c for an upper triangle; for real numbers, ᴴ is ᵀ. This is
    scipy.linalg.cho_factor, except that the other triangle of c is 0.

    Raises:
        InputError: if `check_finite` finds NaN or infinity.
        numpy.linalg.LinAlgError: if a is not positive definite.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.cho_factor(np.array([[4.0, 2.0], [2.0, 5.0]]), lower=True)
        (array([[2., 0.],
               [1., 2.]]), True)
    """
    if check_finite:
        _check_finite("cho_factor", a)
    return np.linalg.cholesky(as_array(a), upper=not lower), bool(lower)


def cho_solve(c_and_lower: tuple[Array, bool], b: Array, overwrite_b: bool = False, check_finite: bool = True) -> Array:
    """Solve a y = b for y, where a is Hermitian positive definite, from its Cholesky factor `cho_factor(a)`.

    This is scipy.linalg.cho_solve. It solves two triangular systems, c z = b and cᴴ y = z for a lower triangle c.

    Raises:
        InputError, ShapeError, numpy.linalg.LinAlgError: as `solve_triangular` does.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> a = np.array([[4.0, 2.0], [2.0, 5.0]])
        >>> tg.linalg.cho_solve(tg.linalg.cho_factor(a), np.array([8.0, 12.0]))
        array([1., 2.])
    """
    c, lower = c_and_lower
    z = solve_triangular(c, b, "N" if lower else "C", lower, check_finite=check_finite)
    return solve_triangular(c, z, "C" if lower else "N", lower, check_finite=False)


def _check_finite(name: str, *arrays: Array) -> None:
    message = f"{name}: the arrays hold NaN or infinity; pass check_finite=False to compute with these"
    for x in arrays:
        refuse_where(np.logical_not(np.isfinite(x)), x, message=message)
