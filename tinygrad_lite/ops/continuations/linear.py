"""Continuations to the complex plane of linear algebra, where NumPy conjugates or reads one triangle."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.arithmetic.reductions import Axis
from tinygrad_lite.ops.continuations.arithmetic import extreme
from tinygrad_lite.ops.continuations.forms import (
    NotContinuedError,
    absolute_of,
    as_complex,
    continuation,
    exact,
    not_continued,
    root_of,
    square_of,
    with_value,
)
from tinygrad_lite.ops.linear import (
    contraction,
    decompositions,
    eigenvalues,
    factors,
    fourier,
    least_squares,
    linalg,
    matrix_equations,
    matrix_functions,
    norms,
    products,
)
from tinygrad_lite.ops.linear.equal_values import equal_pairs, vanishing
from tinygrad_lite.ops.linear.norms import FROBENIUS, all_or
from tinygrad_lite.ops.linear.packing import pack

# Products, inverses and determinants

for op in (products.matmul, products.linear, products.dot, products.inner):
    continuation(op, exact(op.forward))
for op in (contraction.einsum, contraction.tensordot, linalg.multi_dot):
    continuation(op, op.forward)
continuation(products.vdot, lambda a, b: np.dot(np.ravel(a), np.ravel(b)))
for op in (fourier.fft, fourier.ifft, fourier.rfft, fourier.irfft, eigenvalues.packed_eig, eigenvalues.eigvals):
    continuation(op, not_continued)  # their results are complex themselves
continuation(linalg.phase_of_det, not_continued)  # its rule makes complex numbers
for op in (
    *(matrix_functions.root_of_matrix, matrix_functions.log_of_matrix, factors.packed_lu),
    *(matrix_equations.sylvester, matrix_equations.lyapunov),
    *(matrix_equations.continuous, matrix_equations.discrete),
):
    continuation(op, not_continued)  # SciPy's rounding drowns the step
continuation(linalg.inv, exact(np.linalg.inv))
continuation(linalg.det, exact(np.linalg.det))


def _log_abs_det(x: Array) -> Array:
    # the sign has size 1 and turns by the relative change of the determinant
    sign, y = np.linalg.slogdet(x)
    return with_value(y, np.log(sign / np.sign(np.real(sign))))


continuation(linalg.log_abs_det, _log_abs_det)

# Decompositions


def _cholesky(x: Array, upper: bool = False) -> Array:
    # column by column, from y yᵀ = x; LAPACK's factor involves the conjugate
    x = x.mT if upper else x
    y = np.zeros_like(x)
    for j in range(x.shape[-1]):
        column = x[..., j:, j] - (y[..., j:, :j] @ y[..., j, :j, None])[..., 0]
        y[..., j:, j] = column / np.sqrt(column[..., :1])
    return y.mT if upper else y


continuation(decompositions.cholesky, _cholesky)


def _refuse_equal(values: Array) -> None:
    if np.any(equal_pairs(values) & ~np.eye(values.shape[-1], dtype=bool)):
        raise NotContinuedError("the vectors of equal values are not determined")


def _as_read(x: Array, upper: bool = False) -> Array:
    """The symmetric matrix of which one triangle is read."""
    lower = np.tri(x.shape[-1], dtype=bool)
    return np.where(lower.T if upper else lower, x, x.mT)


def _eigh(x: Array, UPLO: Any = "L", **_: Any) -> Array:
    # Ogita and Aishima, Iterative refinement for symmetric eigenvalue decomposition (2018): one round from the
    # decomposition of the real part. The error at the start is the step; the error of the result is its square
    x = _as_read(x, UPLO.upper() == "U")
    w, v = np.linalg.eigh(np.real(x), UPLO)
    _refuse_equal(w)
    inner, itself = v.mT @ x @ v, np.eye(x.shape[-1], dtype=bool)
    turned = np.where(itself, 0, inner / np.where(itself, 1, w[..., None, :] - w[..., :, None]))
    return pack((np.diagonal(inner, axis1=-2, axis2=-1), v + v @ turned), np.ndim(x) - 2)


continuation(decompositions.packed_eigh, _eigh)


def _eigvalsh(x: Array, UPLO: Any = "L") -> Array:
    # Rayleigh quotients, whose error is the square of the error of the vectors
    x = _as_read(x, UPLO.upper() == "U")
    _, v = np.linalg.eigh(np.real(x), UPLO)
    return np.diagonal(v.mT @ x @ v, axis1=-2, axis2=-1)


continuation(decompositions.eigvalsh, _eigvalsh)


def _svdvals(x: Array, hermitian: bool = False) -> Array:
    """The continuation of singular values, with slope 0 where they are 0."""
    x = _as_read(x) if hermitian else x
    u, s, vt = np.linalg.svd(np.real(x), full_matrices=False, hermitian=hermitian)
    return np.where(vanishing(s), s, np.diagonal(u.mT @ x @ vt.mT, axis1=-2, axis2=-1))


continuation(decompositions.svdvals, _svdvals)


def _svd(x: Array, full_matrices: bool = True, hermitian: bool = False, **_: Any) -> Array:
    # one round of refinement, as for eigh: u and v are eigenvectors of [[0, x], [xᵀ, 0]], one above the other
    if full_matrices and x.shape[-2] != x.shape[-1]:
        raise NotContinuedError("the further columns of a full svd are not determined")
    x = _as_read(x) if hermitian else x
    u, s, vt = np.linalg.svd(np.real(x), full_matrices=False, hermitian=hermitian)
    _refuse_equal(np.append(s, np.zeros_like(s[..., :1]), axis=-1))
    v, inner, itself = vt.mT, u.mT @ x @ vt.mT, np.eye(s.shape[-1], dtype=bool)
    own, other = s[..., None, :], s[..., :, None]
    gaps = np.where(itself, 1, (own - other) * (own + other))
    u_turned = u @ np.where(itself, 0, (inner * own + inner.mT * other) / gaps)
    v_turned = v @ np.where(itself, 0, (inner * other + inner.mT * own) / gaps)
    u_left, v_left = (x @ v - u @ inner) / own, (x.mT @ u - v @ inner.mT) / own
    values = np.diagonal(inner, axis1=-2, axis2=-1)
    return pack((u + u_turned + u_left, values, (v + v_turned + v_left).mT), np.ndim(x) - 2)


continuation(decompositions.packed_svd, _svd)


def _qr(x: Array, mode: Any = "reduced") -> Array:
    # x r⁻¹, with the r of the real part, is q up to a step; the rest is well-conditioned: xᵀx = rᵀr
    m, n = x.shape[-2:]
    if mode == "complete" and m > n:
        raise NotContinuedError("the further columns of a complete qr are not determined")
    columns = x[..., : min(m, n)]
    near = columns @ np.linalg.inv(np.linalg.qr(np.real(columns)).R)
    q = near @ np.linalg.inv(_cholesky(near.mT @ near, upper=True))
    return pack((q, np.triu(q.mT @ x)), np.ndim(x) - 2)


continuation(decompositions.packed_qr, _qr)


def _pinv(x: Array, hermitian: bool = False, **cutoff: Any) -> Array:
    # (xᵀx)⁻¹ xᵀ for x r⁻¹, with the r of the real part, so that its square is well-conditioned
    y = np.linalg.pinv(np.real(x), hermitian=hermitian, **cutoff)
    x = _as_read(x) if hermitian else x
    if np.any(np.sum(np.real(x) * y.mT, axis=(-2, -1)) < min(x.shape[-2:]) - 0.5):
        raise NotContinuedError("a step would raise the rank, which is not full")
    tall = x if x.shape[-2] >= x.shape[-1] else x.mT
    inverse = np.linalg.inv(np.linalg.qr(np.real(tall)).R)
    q = tall @ inverse
    z = inverse @ np.linalg.solve(q.mT @ q, q.mT)
    return with_value(y, z if tall is x else z.mT)


continuation(least_squares.pinv, _pinv)


def _lstsq(a: Array, b: Array, rcond: float | None = None) -> Array:
    _, residuals, rank, _ = np.linalg.lstsq(np.real(a), np.real(b), rcond)
    if rank < min(a.shape):
        raise NotContinuedError("a step would raise the rank, which is not full")
    solution = _pinv(a) @ b
    residuals = np.reshape(np.sum(np.square(b - a @ solution), axis=0), -1)[: residuals.size]
    return pack([as_complex(part) for part in (solution, rank, _svdvals(a), residuals)], 0)


continuation(least_squares.packed_lstsq, _lstsq)


# Norms, and condition numbers


def _vector_norm(x: Array, axis: Axis = None, keepdims: bool = False, ord: float | None = 2) -> Array:
    def total(entries: Array) -> Array:
        return np.sum(entries, axis=axis, keepdims=keepdims)

    ord = 2 if ord is None else ord
    if abs(ord) == np.inf:
        return extreme(np.max if ord > 0 else np.min)(absolute_of(x), axis, keepdims)
    if ord == 0:
        return as_complex(total(np.not_equal(np.real(x), 0)))[()]
    if ord == 2:
        return root_of(total(square_of(x)))
    powers = total(absolute_of(x) ** ord)
    y: Any = np.linalg.vector_norm(np.real(x), axis=axis, keepdims=keepdims, ord=ord)  # type: ignore[arg-type]
    none = np.equal(y, 0)
    return np.where(none, 0, np.where(none, 1, powers) ** (1 / ord))


continuation(norms.vector_norm, _vector_norm)


def _matrix_norm(x: Array, keepdims: bool = False, ord: Any = "fro") -> Array:
    if ord in FROBENIUS:
        return _vector_norm(x, (-2, -1), keepdims)
    if ord in (1, -1, np.inf, -np.inf):
        sums = np.sum(absolute_of(x), axis=-2 if abs(ord) == 1 else -1, keepdims=True)
        y = extreme(np.max if ord > 0 else np.min)(sums, (-2, -1), True)
    else:
        values = np.expand_dims(_svdvals(x), -1)
        reduce = np.sum if ord == "nuc" else extreme(np.max if ord > 0 else np.min)
        y = reduce(values, axis=(-2, -1), keepdims=True)
    return y if keepdims else y[..., 0, 0]


continuation(norms.matrix_norm, _matrix_norm)


def _norm(x: Array, ord: Any = None, axes: Axis = None, keepdims: bool = False) -> Array:
    places = all_or(axes, x)
    if ord is None or len(places) == 1:
        return _vector_norm(x, places, keepdims, 2 if ord is None else ord)
    y = _matrix_norm(np.moveaxis(x, places, (-2, -1)), True, ord)
    return np.moveaxis(y, (-2, -1), places) if keepdims else y[..., 0, 0]


continuation(norms.norm, _norm)


def _cond(x: Array, p: Any = None) -> Array:
    if p in (None, 2, -2):
        values = _svdvals(x)
        largest, smallest = extreme(np.max)(values, -1), extreme(np.min)(values, -1)
        return smallest / largest if p == -2 else largest / smallest
    return _matrix_norm(x, ord=p) * _matrix_norm(exact(np.linalg.inv)(x), ord=p)


continuation(norms.cond, _cond)
