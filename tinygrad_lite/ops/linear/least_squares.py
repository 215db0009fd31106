"""The pseudo-inverse, and least squares."""

from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.ops.linear.conjugates import adjoint, conj, real
from tinygrad_lite.ops.linear.decompositions import as_read, in_triangle, svdvals_vjp
from tinygrad_lite.ops.linear.linalg import ANY, as_columns, finite, singularity
from tinygrad_lite.ops.linear.packing import pack, unpack
from tinygrad_lite.ops.requirements import refuse_where


def _cuts_off(x: Array, y: Array) -> Array:
    """Whether y = x⁺ neglects singular values of x that are not small compared with those that it keeps."""
    rank = np.rint(real(np.sum(x * y.mT, axis=(-2, -1))))[..., None]  # the trace of a projection
    if type(x) is np.ndarray and (rank == min(x.shape[-2:])).all():  # then it neglects none
        return np.False_
    s = np.linalg.svd(x, compute_uv=False)
    kept = np.arange(s.shape[-1]) < rank
    largest_neglected = np.max(np.where(kept, 0, s), axis=-1)
    smallest_kept = np.min(np.where(kept, s, np.inf), axis=-1)
    return np.any(largest_neglected > np.sqrt(np.finfo(s.dtype).eps) * smallest_kept)


cuts_off = primitive(_cuts_off, arity=2, refuses=True, examples=[([(3, 2), (2, 3)], {})])


def _pinv_vjp(
    g: Array, y: Array, x: Array, rcond: Any = None, hermitian: bool = False, rtol: Any = np._NoValue
) -> Array:
    if not x.size:  # NumPy then does not call LAPACK, which does not take float16
        return np.zeros_like(x)
    # Golub and Pereyra, The differentiation of pseudo-inverses (1973), equation 4.12, for a constant rank
    if hermitian:
        x = as_read(x)
    cuts = cuts_off(x, y)
    refuse_where(
        cuts,
        cuts,
        message="pinv, lstsq: rcond= cuts off singular values that are not negligible, for which there is no "
        "derivative. Lower it, or compute the truncated inverse from np.linalg.svd",
    )
    turned = g.mT
    outside = turned - x @ (y @ turned)
    beside = turned - (turned @ y) @ x
    gradient = conj(outside @ y @ adjoint(y) + adjoint(y) @ y @ beside) - y.mT @ g @ y.mT
    return in_triangle(gradient) if hermitian else gradient


def _pinv(a: Array, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Array:
    return np.linalg.pinv(finite(a, hermitian), rcond, hermitian, rtol=rtol)


pinv = primitive(
    _pinv,
    _pinv_vjp,
    refuses=True,
    takes_complex=True,
    kink=singularity,
    examples=[*ANY, ([(2, 2)], {"hermitian": True}), ([(3, 2)], {"rcond": 1e-9}), ([(3, 2)], {"rtol": 1e-9})],
)


implements(np.linalg.pinv)(pinv)


def _lstsq(a: Array, b: Array, rcond: float | None = None) -> Array:
    a = finite(a, message="SVD did not converge in Linear Least Squares")
    solution, residuals, rank, s = np.linalg.lstsq(a, b, rcond)
    return pack((solution, np.asarray(rank, s.dtype), s, residuals), 0)


def _lstsq_parts(packed: Array, a: Array, b: Array) -> list[Array]:
    (m, n), columns = np.shape(a), np.shape(b)[1:]
    residuals = packed.size - n * prod(columns) - 1 - min(m, n)  # none unless a has full rank and is tall
    solution, *others = unpack(packed, [(n, *columns), (), (min(m, n),), (residuals,)])
    return [solution, *map(real, others)]


def _lstsq_terms(g: Array, y: Array, a: Array, b: Array, rcond: float | None = None) -> list[Array]:
    """The terms of both rules: a⁺, the solution and its gradient, b, and the gradient of b - a·solution."""
    (g_solution, *_, g_residuals), (solution, *_, residuals) = _lstsq_parts(g, a, b), _lstsq_parts(y, a, b)
    solution, g_solution, b = as_columns(b, solution, g_solution, b)
    epsilon = np.finfo(np.float64).eps
    cutoff = max(a.shape) * epsilon if rcond is None else epsilon if rcond < 0 else rcond
    g_rest = 2 * conj(b - a @ solution) * (g_residuals if residuals.size else 0)
    return [np.linalg.pinv(a, cutoff), solution, g_solution, b, g_rest]


def _lstsq_vjp_a(g: Array, y: Array, a: Array, b: Array, terms: list[Array], rcond: float | None = None) -> Array:
    inverse, solution, g_solution, b_columns, g_rest = terms
    _, _, g_values, _ = _lstsq_parts(g, a, b)
    _, _, values, _ = _lstsq_parts(y, a, b)
    gradient = _pinv_vjp(g_solution @ b_columns.mT, inverse, a) - g_rest @ solution.mT
    if type(g_values) is np.ndarray and not g_values.any():  # few programs read the singular values
        return gradient
    return gradient + svdvals_vjp(g_values, values, a)


def _lstsq_vjp_b(g: Array, y: Array, a: Array, b: Array, terms: list[Array], rcond: float | None = None) -> Array:
    inverse, _, g_solution, _, g_rest = terms
    return np.reshape(inverse.mT @ g_solution + g_rest, np.shape(b))


packed_lstsq = primitive(
    _lstsq,
    _lstsq_vjp_a,
    _lstsq_vjp_b,
    adjoint=_lstsq_terms,
    refuses=True,
    takes_complex=True,
    kink=singularity,
    examples=[(shapes, {}) for shapes in ([(3, 2), (3,)], [(3, 2), (3, 2)], [(2, 3), (2,)], [(2, 2), (2, 1)])]
    + [([(3, 2), (3,)], {"rcond": 1e-9})],
)


@implements(np.linalg.lstsq)
def lstsq(a: Array, b: Array, rcond: float | None = None) -> tuple[Array, ...]:
    solution, rank, s, residuals = _lstsq_parts(packed_lstsq(a, b, rcond=rcond), a, b)
    m, n = np.shape(a)
    if m > n and np.size(b):  # never in eager code: a recording has as many residuals as its first matrix
        refuse_where(
            np.not_equal(rank == n, residuals.size > 0),
            rank,
            message="lstsq: the matrix has rank {:.0f}, and another number of residuals than the recorded one. Write "
            "np.linalg.pinv(a) @ b for the solution of any matrix",
        )
    return solution, residuals, rank.astype(np.intc), s
