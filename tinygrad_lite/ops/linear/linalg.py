"""Linear algebra: systems, determinants, powers and products of matrices in the last two axes."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Example, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.foundation.advice import refuse_out
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.ops.linear import products
from tinygrad_lite.ops.linear.conjugates import adjoint, conj
from tinygrad_lite.ops.requirements import refuse_where

Shape = tuple[int, ...]
Axis = int | tuple[int, ...] | None


SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))

SQUARE: list[Example] = [([shape], {}) for shape in ((1, 1), (3, 3), (2, 2, 2), (2, 0, 0))]
ANY: list[Example] = [([shape], {}) for shape in ((3, 3), (3, 2), (2, 3), (2, 2, 2))]


def singularity(x: Array, *_: Array, **__: Any) -> Array:
    """Zero where the matrix is singular, and small where x⁻¹ bends too much for finite differences."""
    return np.linalg.svd(x, compute_uv=False) / 8


def finite(x: Array, hermitian: bool = False, message: str = "SVD did not converge") -> Array:
    """The argument of a NumPy function that needs singular values; for NaN or infinity, NumPy's error at once.

    LAPACK's iteration would print a complaint, or never end. Of a hermitian matrix, it reads one triangle.
    """
    if np.ndim(x) > 1 and isinstance(x, np.ndarray) and not hermitian and not np.isfinite(x).all():
        raise np.linalg.LinAlgError(message)
    return x


def square_matrix(name: str, a: Any) -> Array:
    """The argument of a function of square matrices as an array; an error if it is none."""
    a = as_array(a)
    if np.ndim(a) < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"{name} needs a square matrix, or a stack of them, got shape {np.shape(a)}")
    return a


inv = primitive(
    np.linalg.inv, lambda g, y, x: -y.mT @ g @ y.mT, refuses=True, kink=singularity, takes_complex=True, examples=SQUARE
)


def as_columns(b: Array, *vectors: Array) -> list[Array]:
    """NumPy's rule: a right-hand side with one axis is a vector; with more axes, it holds matrices."""
    return [np.expand_dims(x, -1) if np.ndim(b) == 1 else x for x in vectors]


def as_of_columns(b: Array, columns: Array) -> Array:
    """The same the other way: what belongs to the vector or the matrices of b, from columns."""
    return columns[..., 0] if np.ndim(b) == 1 else columns


_SYSTEMS: list[list[Shape]] = [
    [(1, 1), (1,)],
    [(2, 2), (2,)],
    [(2, 2), (2, 3)],
    [(3, 2, 2), (2,)],
    [(2, 2), (3, 2, 1)],
]
solve = primitive(
    np.linalg.solve,
    lambda g, y, a, b, back: -back @ as_columns(b, y)[0].mT,
    lambda g, y, a, b, back: as_of_columns(b, back),
    adjoint=lambda g, y, a, b: np.linalg.solve(a.mT, *as_columns(b, g)),
    refuses=True,
    kink=singularity,
    takes_complex=True,
    examples=[(shapes, {}) for shapes in _SYSTEMS],
)


@implements(np.linalg.tensorinv)
def tensorinv(a: Array, ind: int = 2) -> Array:
    if ind <= 0:
        raise ShapeError(f"tensorinv: ind= must be positive, the number of first axes that become the last; got {ind}")
    first, last = a.shape[:ind], a.shape[ind:]
    return np.reshape(np.linalg.inv(np.reshape(a, (prod(last), -1))), last + first)


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Array, b: Array, axes: Sequence[int] | None = None) -> Array:
    moved = tuple(axes or ())
    a = np.transpose(a, [axis for axis in range(np.ndim(a)) if axis not in moved] + [*moved])
    shape = a.shape[np.ndim(b) - np.ndim(a) :]
    return np.reshape(np.linalg.solve(np.reshape(a, (prod(shape), prod(shape))), np.ravel(b)), shape)


def _bases(x: Array) -> tuple[Array, ...]:
    """The strong and weak columns of unitary u and v, whose determinants multiply to 1, for which uᵀ x v is diagonal.

    Weak columns belong to singular values so small that higher derivatives by x⁻¹ would have no digits left.
    """
    finite = np.all(np.isfinite(x), axis=(-2, -1), keepdims=True)
    u, s, vt = np.linalg.svd(np.where(finite, x, np.eye(x.shape[-1], dtype=x.dtype)))
    u[..., :1] *= conj(np.linalg.det(u @ vt))[..., None, None]
    u, v = conj(u), adjoint(vt)
    weak = s <= np.finfo(s.dtype).eps ** (1 / 3) * s[..., :1]
    strong = x.shape[-1] - np.max(np.sum(weak, axis=-1), initial=0)
    return u[..., :strong], u[..., strong:], v[..., :strong], v[..., strong:]


bases = primitive(_bases, examples=SQUARE)


def _adjugate(x: Array) -> Array:
    """det x · x⁻¹ as a polynomial, by Faddeev and LeVerrier; it works for small entries, also if x is singular."""
    size = x.shape[-1]
    adjugate = np.eye(size)
    for k in range(1, size):
        adjugate = x @ adjugate
        adjugate = np.trace(adjugate, axis1=-2, axis2=-1)[..., None, None] / k * np.eye(size) - adjugate
    return adjugate


def _inverse_if_regular(x: Array) -> Array:
    """x⁻¹ of arrays so far from singular that it has most of its digits; None for any other, and for traced values."""
    if type(x) is not np.ndarray or not np.isfinite(x).all():
        return None
    try:
        inverse = np.linalg.inv(x)
    except np.linalg.LinAlgError:
        return None
    condition = np.linalg.norm(x, axis=(-2, -1)) * np.linalg.norm(inverse, axis=(-2, -1))
    return inverse if np.all(condition < np.finfo(x.dtype).eps ** (-1 / 3)) else None


_FEW_ROWS = 6
"""The most rows of a determinant that is differentiated through its minors, in n⁵ operations."""
_NEXT, _AFTER_NEXT = np.array([1, 2, 0]), np.array([2, 0, 1])


@lru_cache(_FEW_ROWS)
def _others(size: int) -> tuple[Array, Array]:
    """For each row the others, and for each entry the sign of its cofactor."""
    rows = np.array([[k for k in range(size) if k != row] for row in range(size)])
    return rows, (-1.0) ** np.add.outer(np.arange(size), np.arange(size))


def _cofactors(x: Array) -> Array:
    """The derivatives of a determinant of a few rows by its entries, which are polynomials of the others."""
    size = x.shape[-1]
    if size == 1:
        return np.ones_like(x)
    if size == 2:
        return np.flip(x, (-2, -1)) * np.array([[1, -1], [-1, 1]], x.dtype)
    if size > 3:
        rows, signs = _others(size)
        return np.linalg.det(x[..., rows[:, None, :, None], rows[:, None, :]]) * signs.astype(x.dtype)
    after, behind = (_NEXT[:, None], _NEXT), (_AFTER_NEXT[:, None], _AFTER_NEXT)
    falling = x[..., *after] * x[..., *behind]
    return falling - x[..., after[0], behind[1]] * x[..., behind[0], after[1]]


def _det_vjp(g: Array, y: Array, x: Array) -> Array:
    # For a regular matrix it is y x⁻ᵀ. For any other one of many rows, eliminating the strong block leaves a weak block
    # that may be 0: det x = det(strong) · det(weak), and the second factor is differentiated as a polynomial.
    inverse = _inverse_if_regular(x) if x.shape[-1] > 3 else None
    if inverse is not None:
        return (g * y)[..., None, None] * inverse.mT
    if 0 < x.shape[-1] <= _FEW_ROWS:
        return g[..., None, None] * _cofactors(x)
    u, u_weak, v, v_weak = bases(x)
    strong = u.mT @ x @ v
    inverse = v @ np.linalg.inv(strong) @ u.mT
    left = u_weak.mT - u_weak.mT @ x @ inverse
    right = v_weak - inverse @ x @ v_weak
    of_weak = np.linalg.det(strong)[..., None, None] * (right @ _adjugate(left @ x @ v_weak) @ left)
    return g[..., None, None] * (y[..., None, None] * inverse + of_weak).mT


det = primitive(np.linalg.det, _det_vjp, takes_complex=True, examples=SQUARE)


def _log_abs_det(x: Array) -> Array:
    return np.linalg.slogdet(x)[1]


def _log_abs_det_vjp(g: Array, y: Array, x: Array) -> Array:
    refuse_where(
        np.equal(y, -np.inf),
        y,
        message="slogdet: log|det| of a singular matrix is -inf and has no gradient; leave such matrices out, or use "
        "np.linalg.det, whose gradient always exists",
    )
    return g[..., None, None] * np.linalg.inv(x).mT


def _sign_of_det(x: Array) -> Array:
    return np.linalg.slogdet(x)[0]


def _phase_of_det_vjp(g: Array, y: Array, x: Array) -> Array:
    refuse_where(
        np.equal(y, 0),
        y,
        message="slogdet: the determinant of a singular complex matrix is 0, which has no phase, and no gradient; "
        "leave such matrices out, or use np.linalg.det, whose gradient always exists",
    )
    return np.imag(g * y)[..., None, None] * 1j * np.linalg.inv(x).mT  # log y is the imaginary part of log det x


log_abs_det = primitive(_log_abs_det, _log_abs_det_vjp, takes_complex=True, kink=singularity, examples=SQUARE)
sign_of_det = primitive(_sign_of_det, examples=SQUARE)  # of a real matrix
phase_of_det = primitive(
    _sign_of_det, _phase_of_det_vjp, name="phase_of_det", takes_complex=True, kink=singularity, examples=SQUARE
)


@implements(np.linalg.slogdet)
def slogdet(a: Array) -> Any:
    sign = phase_of_det if a.dtype.kind == "c" else sign_of_det
    return SlogdetResult(sign(a), log_abs_det(a))


def _matrix_power_vjp(g: Array, y: Array, x: Array, n: int) -> Array:
    # Higham, Functions of Matrices (2008), theorem 3.6: f([[x, e], [0, x]]) has the derivative along e in its corner
    size = x.shape[-1]
    top = np.concatenate([x.mT, g], axis=-1)
    bottom = np.concatenate([np.zeros_like(x), x.mT], axis=-1)
    return np.linalg.matrix_power(np.concatenate([top, bottom], axis=-2), n)[..., :size, size:]


matrix_power = primitive(
    np.linalg.matrix_power,
    _matrix_power_vjp,
    refuses=True,
    kink=singularity,
    takes_complex=True,
    examples=[([(2, 2)], {"n": n}) for n in (0, 1, 2, 3, 5, -1, -3)] + [([(2, 2, 2)], {"n": 4})],
)


def _multi_dot(*arrays: Array) -> Array:
    if len(arrays) < 3:
        raise ShapeError(f"multi_dot takes two arrays or more, got {len(arrays)}")
    kinds = [np.result_type(x).kind for x in arrays]
    if 1 < sum(kind in "biu" for kind in kinds) < len(arrays):
        raise UsageError(
            "multi_dot: the product of two arrays of integers or booleans is one of these, so the result depends on "
            "which two are multiplied first, and the gradient does not follow it: pass array.astype(float)"
        )
    return np.linalg.multi_dot(arrays)


def _factor(i: int, g: Array, y: Array, arrays: Sequence[Array]) -> Array:
    """The gradient of the i-th factor: the product of g with the others, transposed, each on its own side."""
    first, *others, last = arrays
    first = first[None, :] if np.ndim(first) == 1 else first
    last = last[:, None] if np.ndim(last) == 1 else last
    turned = [x.mT for x in (first, *others, last)]
    g = np.reshape(g, (turned[0].shape[1], turned[-1].shape[0]))
    return np.reshape(np.linalg.multi_dot([*turned[:i][::-1], g, *turned[i + 1 :][::-1]]), np.shape(arrays[i]))


multi_dot = primitive(
    _multi_dot,
    each=_factor,
    takes_complex=True,
    examples=[([(2, 3), (3, 1), (1, 2)], {}), ([(2,), (2, 3), (3, 2), (2,)], {}), ([(3,), (3, 2), (2, 2)], {})],
)


@implements(np.linalg.multi_dot)
def _multi_dot_as_numpy(arrays: Sequence[Array], *, out: Array = None) -> Array:
    refuse_out("multi_dot", out)
    return np.dot(*arrays) if len(arrays) == 2 else multi_dot(*arrays)


def _matrix_rank(A: Array, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Array:
    return np.linalg.matrix_rank(finite(A, hermitian), tol, hermitian, rtol=rtol)


matrix_rank = primitive(_matrix_rank, refuses=True)
implements(np.linalg.matrix_rank)(matrix_rank)

implements(np.linalg.matmul)(products.matmul)


@implements(np.linalg.matrix_transpose)
def matrix_transpose(x: Array, /) -> Array:
    return np.matrix_transpose(x)


@implements(np.linalg.diagonal)
def diagonal(x: Array, /, *, offset: int = 0) -> Array:
    return np.diagonal(x, offset, -2, -1)


@implements(np.linalg.trace)
def trace(x: Array, /, *, offset: int = 0, dtype: Any = None) -> Array:
    return np.trace(x, offset, -2, -1, dtype)


@implements(np.linalg.tensordot)
def tensordot(x1: Array, x2: Array, /, *, axes: Any = 2) -> Array:
    return np.tensordot(x1, x2, axes)


@implements(np.linalg.vecdot)
def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    return np.vecdot(x1, x2, axis=axis)  # type: ignore[call-overload]


@implements(np.linalg.outer)
def outer(x1: Array, x2: Array, /) -> Array:
    if not np.ndim(x1) == np.ndim(x2) == 1:
        raise ShapeError(
            f"outer: np.linalg.outer takes two vectors, got {np.shape(x1)} and {np.shape(x2)}; np.outer ravels"
        )
    return np.outer(x1, x2)


@implements(np.linalg.cross)
def cross(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    if not np.shape(x1)[axis] == np.shape(x2)[axis] == 3:
        raise ShapeError(
            f"cross: np.linalg.cross takes vectors of 3 along axis {axis}, got {np.shape(x1)} and {np.shape(x2)}"
        )
    return np.cross(x1, x2, axis=axis)
