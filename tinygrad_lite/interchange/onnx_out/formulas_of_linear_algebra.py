"""Formulas in NumPy for products and linear algebra that ONNX lacks.

The size of a matrix is known, so an elimination is written out step by step.
"""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.registry import operation
from tinygrad_lite.foundation.sums import axes_of
from tinygrad_lite.ops.arithmetic.reductions import Axis
from tinygrad_lite.ops.linear import contraction
from tinygrad_lite.ops.linear.packing import pack


def _einsum(*arrays: Array, subscripts: str, optimize: Any = False) -> Array:
    terms, output = contraction.axes_by_letters(subscripts, [np.ndim(x) for x in arrays])
    sizes: dict[str, int] = {}
    for term, x in zip(terms, arrays):
        for letter, n in zip(term, np.shape(x)):
            sizes[letter] = max(sizes.get(letter, 1), n) if n else 0
    whole = [np.broadcast_to(x, [sizes[c] for c in term]) for term, x in zip(terms, arrays)]
    return contraction.einsum(*whole, subscripts=f"{','.join(terms)}->{output}")


def _tensordot(a: Array, b: Array, axes: Any) -> Array:
    subscripts = contraction.subscripts_of(np.ndim(a), np.ndim(b), axes)
    return contraction.einsum(a, b, subscripts=subscripts)


def _dot(a: Array, b: Array, out: Any = None) -> Array:
    if not np.ndim(a) or not np.ndim(b):
        return a * b
    if np.ndim(a) <= 2 and np.ndim(b) <= 2:
        return np.matmul(a, b)
    return np.tensordot(a, b, ((np.ndim(a) - 1,), (max(np.ndim(b) - 2, 0),)))


def _inner(a: Array, b: Array) -> Array:
    if not np.ndim(a) or not np.ndim(b):
        return a * b
    return np.tensordot(a, b, ((np.ndim(a) - 1,), (np.ndim(b) - 1,)))


def _trace(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Array:
    moved = np.moveaxis(a, (axis1, axis2), (-2, -1))
    diagonal = np.eye(moved.shape[-2], moved.shape[-1], offset, dtype=bool)
    return np.sum(np.where(diagonal, moved, 0), axis=(-2, -1), dtype=dtype)


def _multi_dot(*arrays: Array) -> Array:
    y = arrays[0]
    for x in arrays[1:]:
        y = np.matmul(y, x)
    return y


def _matrix_power(a: Array, n: int) -> Array:
    if n < 0:
        a, n = np.linalg.inv(a), -n
    y = None
    while n:
        if n % 2:
            y = a if y is None else np.matmul(y, a)
        n //= 2
        a = np.matmul(a, a) if n else a
    return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape) if y is None else y


def _eliminated(matrix: Array, columns: Array, is_whole: bool) -> tuple[list[Array], list[Array], Array]:
    """Gauss's elimination with the largest pivots: the pivots, the signs of the swaps, and what is left of the columns.

    If it is not whole, the rows above a pivot stay, and a pivot of 0 is passed over.
    """
    n = matrix.shape[-1]
    work = np.concatenate([matrix, columns], axis=-1) if columns is not None else matrix
    rows, pivots, signs = np.arange(n), [], []
    for k in range(n):
        place = np.argmax(np.absolute(work[..., k:, k]), axis=-1) + k
        chosen = np.expand_dims(np.equal(rows, np.expand_dims(place, -1)), -1)
        pivot_row = np.sum(np.where(chosen, work, 0), axis=-2, keepdims=True)
        swapped = np.where(chosen, work[..., k : k + 1, :], work)
        pivot = pivot_row[..., k : k + 1]
        others = np.not_equal(rows, k) if is_whole else np.greater(rows, k)
        divisor = pivot if is_whole else np.where(np.equal(pivot, 0), 1, pivot)
        factors = np.where(others[:, None], swapped[..., k : k + 1] / divisor, 0)
        reduced = np.where(np.equal(rows, k)[:, None], pivot_row / pivot if is_whole else pivot_row, swapped)
        work = reduced - factors * pivot_row
        pivots.append(pivot[..., 0, 0])
        signs.append(np.where(np.equal(place, k), 1, -1).astype(matrix.dtype))
    return pivots, signs, work[..., n:] if columns is not None else work


def _inv(a: Array) -> Array:
    if not a.size:
        return a
    identity = np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    return _eliminated(a, identity, is_whole=True)[2]


def _solve(a: Array, b: Array) -> Array:
    columns = np.expand_dims(b, -1) if np.ndim(b) == 1 else b
    stack = np.broadcast_shapes(a.shape[:-2], columns.shape[:-2])
    a, columns = (np.broadcast_to(x, stack + x.shape[-2:]) for x in (a, columns))
    y = _eliminated(a, columns, is_whole=True)[2]
    return y[..., 0] if np.ndim(b) == 1 else y


def _solve_triangular(a: Array, b: Array, transposed: bool, lower: bool, unit_diagonal: bool) -> Array:
    n = a.shape[-1]
    a = np.where(np.tri(n, dtype=bool) if lower else np.tri(n, dtype=bool).T, a, 0)
    a = np.where(np.eye(n, dtype=bool), 1, a) if unit_diagonal else a
    return np.linalg.solve(np.swapaxes(a, -1, -2) if transposed else a, b)


def _det(a: Array) -> Array:
    pivots, signs, _ = _eliminated(a, None, is_whole=False)
    y = np.ones(a.shape[:-2], a.dtype)
    for factor in (*pivots, *signs):
        y = y * factor
    return y


def _log_abs_det(a: Array) -> Array:
    y = np.zeros(a.shape[:-2], a.dtype)
    for pivot in _eliminated(a, None, is_whole=False)[0]:
        y = y + np.log(np.absolute(pivot))
    return y


def _sign_of_det(a: Array) -> Array:
    pivots, signs, _ = _eliminated(a, None, is_whole=False)
    y = np.ones(a.shape[:-2], a.dtype)
    for factor in (*map(np.sign, pivots), *signs):
        y = y * factor
    return y


def _det_vjp(g: Array, y: Array, x: Array) -> Array:
    return np.expand_dims(g * y, (-2, -1)) * np.swapaxes(np.linalg.inv(x), -1, -2)


def _cholesky(a: Array, upper: bool = False) -> Array:
    rest = np.swapaxes(a, -1, -2) if upper else a
    n = a.shape[-1]
    columns: list[Array] = []
    for j in range(n):
        column = rest[..., j] / np.sqrt(rest[..., j : j + 1, j])
        columns.append(np.where(np.arange(n) >= j, column, 0))
        rest = rest - np.expand_dims(columns[-1], -1) * np.expand_dims(columns[-1], -2)
    y = np.stack(columns, axis=-1)
    return np.swapaxes(y, -1, -2) if upper else y


def _householder(a: Array) -> tuple[Array, Array]:
    """The orthogonal and the triangular factor, with LAPACK's signs.

    Source: Golub and Van Loan (2013), Matrix Computations, algorithm 5.2.1.
    """
    m, n = a.shape[-2:]
    rows = np.arange(m)
    r, q = a, np.broadcast_to(np.eye(m, dtype=a.dtype), (*a.shape[:-2], m, m))
    for k in range(min(m - 1, n)):
        column = np.where(rows >= k, r[..., k], 0)
        first = column[..., k : k + 1]
        below = np.where(rows > k, column, 0)
        beyond = np.sum(below * below, axis=-1, keepdims=True)
        size = np.copysign(np.sqrt(first * first + beyond), first)
        nothing = np.equal(beyond, 0)
        v = np.where(rows == k, np.where(nothing, 1, first + size), below)
        scale = np.where(nothing, 0, 2 / np.where(nothing, 1, np.sum(v * v, axis=-1, keepdims=True)))
        v, scaled = np.expand_dims(v, -1), np.expand_dims(v * scale, -1)
        r = r - scaled * np.matmul(np.swapaxes(v, -1, -2), r)
        q = q - np.matmul(q, v) * np.swapaxes(scaled, -1, -2)
    return q, r


def _qr(x: Array, mode: str = "reduced") -> Array:
    q, r = _householder(x)
    m, n = x.shape[-2:]
    rows = m if mode == "complete" else min(m, n)
    r = np.where(np.tri(m, n, -1, dtype=bool), 0, r)
    return pack((q[..., :rows], r[..., :rows, :]), x.ndim - 2)


def _vector_norm(x: Array, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Array:
    ord = 2 if ord is None else ord
    size = np.absolute(x)
    if ord == np.inf:
        return np.max(size, axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return np.min(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return np.sum(np.not_equal(x, 0).astype(x.dtype), axis=axis, keepdims=keepdims)
    if ord == 1:
        return np.sum(size, axis=axis, keepdims=keepdims)
    if ord == 2:
        return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))
    return np.sum(size ** float(ord), axis=axis, keepdims=keepdims) ** (1 / ord)


def _matrix_norm(x: Array, keepdims: bool = False, ord: Any = "fro") -> Array:
    if ord in (None, "fro", "f"):
        return _vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in (2, -2, "nuc"):
        reduce: Any = {2: np.max, -2: np.min, "nuc": np.sum}[ord]
        y = reduce(np.linalg.svdvals(x), axis=-1)
        return np.expand_dims(y, (-2, -1)) if keepdims else y
    sums = np.sum(np.absolute(x), axis=-2 if abs(ord) == 1 else -1, keepdims=True)
    return (np.max if ord > 0 else np.min)(sums, axis=(-2, -1), keepdims=keepdims)


def _norm(x: Array, ord: Any = None, axes: Axis = None, keepdims: bool = False) -> Array:
    count = len(axes_of(axes, x.ndim))
    if ord in (None, "fro", "f") or count == 1:
        return _vector_norm(x, axis=axes, keepdims=keepdims, ord=2 if ord in (None, "fro", "f") else ord)
    axes = axes if isinstance(axes, tuple) else (0, 1)
    y = _matrix_norm(np.moveaxis(x, axes, (-2, -1)), ord=ord, keepdims=False)
    return y if not keepdims else np.expand_dims(y, tuple(i % x.ndim for i in axes))


def _cond(x: Array, p: Any = None) -> Array:
    if p in (None, 2, -2):
        values: Any = np.linalg.svdvals(x)
        y: Any = values[..., -1] / values[..., 0] if p == -2 else values[..., 0] / values[..., -1]
    else:
        y = np.linalg.matrix_norm(x, ord=p) * np.linalg.matrix_norm(np.linalg.inv(x), ord=p)
    return np.where(np.isnan(y) & ~np.any(np.isnan(x), axis=(-2, -1)), np.inf, y)


OF_LINEAR_ALGEBRA: dict[Any, Any] = {
    "einsum": _einsum,
    "tensordot": _tensordot,
    np.dot: _dot,
    np.inner: _inner,
    np.vdot: lambda a, b: np.sum(np.ravel(a) * np.ravel(b)),
    np.trace: _trace,
    "multi_dot": _multi_dot,
    np.linalg.matrix_power: _matrix_power,
    np.linalg.inv: _inv,
    np.linalg.solve: _solve,
    "solve_triangular": _solve_triangular,
    np.linalg.det: _det,
    "log_abs_det": _log_abs_det,
    "sign_of_det": _sign_of_det,
    operation("det").vjps[0]: _det_vjp,
    np.linalg.cholesky: _cholesky,
    "qr": _qr,
    np.linalg.vector_norm: _vector_norm,
    "matrix_norm": _matrix_norm,
    "norm": _norm,
    "cond": _cond,
}
