"""Singular values and eigenvalues as formulas in NumPy, and what is made of them: norms, ranks, pseudo-inverses.

A matrix is turned, two columns at a time, until all columns are orthogonal: Jacobi's method, one-sided. It keeps the
digits of small singular values, and converges for any matrix in a few sweeps, so that the number of steps is known.
Source: Golub and Van Loan (2013), Matrix Computations, section 8.6.3.
"""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.linear.decompositions import as_read
from tinygrad_lite.ops.linear.packing import pack

FURTHER_SWEEPS = 5  # beyond the logarithm of the size


def _rounds(n: int) -> list[tuple[list[int], list[int]]]:
    """Each pair of an even number of columns once, in rounds of pairs that share no column, as in a tournament."""
    places, rounds = list(range(n)), []
    for _ in range(n - 1):
        rounds.append((places[: n // 2], places[: n // 2 - 1 : -1]))
        places = [places[0], places[-1], *places[1:-1]]
    return rounds


def _orthogonal(work: Array, m: int, n: int) -> Array:
    """The array with its columns turned until the first m entries of each are orthogonal to those of the others."""
    for left, right in _rounds(n) * (FURTHER_SWEEPS + n.bit_length()):
        p, q = work[..., np.array(left)], work[..., np.array(right)]
        above, beside = p[..., :m, :], q[..., :m, :]
        size_p, size_q, inner = (np.sum(x, axis=-2, keepdims=True) for x in (above**2, beside**2, above * beside))
        small = np.less_equal(np.absolute(inner), np.finfo(work.dtype).eps / 4 * np.sqrt(size_p) * np.sqrt(size_q))
        ratio = (size_q - size_p) / np.where(small, 1, 2 * inner)
        tangent = np.copysign(1 / (np.absolute(ratio) + np.hypot(1, ratio)), ratio)
        tangent = np.where(small, 0, tangent)
        cosine = 1 / np.sqrt(1 + tangent * tangent)
        sine = cosine * tangent
        work = np.concatenate([cosine * p - sine * q, sine * p + cosine * q], axis=-1)[..., np.argsort(left + right)]
    return work


def _singular(x: Array) -> tuple[Array, Array, Array]:
    """u, s and v: x = u diag(s) vᵀ, the largest singular value first; a column of u is 0 where s is."""
    m, n = x.shape[-2:]
    if m < n:
        v, s, u = _singular(np.swapaxes(x, -1, -2))
        return u, s, v
    even = n + n % 2  # with a column of zeros
    unit = np.broadcast_to(np.eye(n, dtype=x.dtype), (*x.shape[:-2], n, n))
    work = np.concatenate([x, unit], axis=-2)
    work = np.concatenate([work, np.zeros((*work.shape[:-1], even - n), x.dtype)], axis=-1) if even > n else work
    work = _orthogonal(work, m, even)[..., :n] if n > 1 else work[..., :n]
    s = np.sqrt(np.sum(work[..., :m, :] ** 2, axis=-2))
    order = np.argsort(-s, axis=-1)
    s = np.take_along_axis(s, order, -1)
    work = np.take_along_axis(work, np.broadcast_to(np.expand_dims(order, -2), work.shape), -1)
    return work[..., :m, :] / np.expand_dims(np.where(np.equal(s, 0), 1, s), -2), s, work[..., m:, :]


def _values(x: Array, hermitian: bool = False) -> Array:
    x = as_read(x) if hermitian else x
    return _singular(x)[1] if x.size else np.zeros((*x.shape[:-2], min(x.shape[-2:])), x.dtype)


def _svd(x: Array, full_matrices: bool = True, hermitian: bool = False, **_: Any) -> Array:
    if full_matrices or not x.size:
        return None
    u, s, v = _singular(as_read(x) if hermitian else x)
    return pack((u, s, np.swapaxes(v, -1, -2)), x.ndim - 2)


def _symmetric(x: Array, UPLO: str) -> tuple[Array, Array]:
    """The eigenvalues, the smallest first, and the vectors: those of a matrix that is made positive by a shift."""
    x = as_read(x, UPLO.upper() == "U")
    shift = np.sqrt(np.sum(x * x, axis=(-2, -1), keepdims=True))
    _, s, v = _singular(x + shift * np.eye(x.shape[-1], dtype=x.dtype))
    return np.flip(s, -1) - shift[..., 0], np.flip(v, -1)


def _eigvalsh(x: Array, UPLO: str = "L") -> Array:
    return _symmetric(x, UPLO)[0] if x.size else np.zeros(x.shape[:-1], x.dtype)


def _eigh(x: Array, UPLO: str = "L", **_: Any) -> Array:
    return pack(_symmetric(x, UPLO), x.ndim - 2) if x.size else np.zeros((*x.shape[:-2], 0), x.dtype)


def _kept(s: Array, cutoff: Any) -> Array:
    return np.greater(s, cutoff * np.max(s, axis=-1, keepdims=True))


def _pinv(a: Array, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Array:
    if not a.size:
        return np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    if rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else rtol
    if rcond is None:
        rcond = max(a.shape[-2:]) * float(np.finfo(a.dtype).eps)
    u, s, v = _singular(as_read(a) if hermitian else a)
    kept = _kept(s, rcond)
    inverse = np.where(kept, 1 / np.where(kept, s, 1), 0)
    return np.matmul(v * np.expand_dims(inverse, -2), np.swapaxes(u, -1, -2))


def _lstsq(a: Array, b: Array, rcond: float | None = None) -> Array:
    m, n = a.shape
    epsilon = float(np.finfo(a.dtype).eps)
    cutoff = max(m, n) * epsilon if rcond is None else epsilon if rcond < 0 else rcond
    s = _singular(a)[1]
    solution = np.matmul(_pinv(a, cutoff), b)
    rest = b - np.matmul(a, solution)
    residuals = [np.atleast_1d(np.sum(rest * rest, axis=0))] if m > n else [np.zeros(0, a.dtype)]
    return pack((solution, np.sum(_kept(s, cutoff).astype(a.dtype)), s, *residuals), 0)


def _rank(A: Array, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Array:
    if A.ndim < 2 or tol is not None:
        return None
    s = _values(A, hermitian)
    cutoff = max(A.shape[-2:]) * float(np.finfo(s.dtype).eps) if rtol is None else rtol
    return np.sum(_kept(s, cutoff).astype(np.int64), axis=-1)


def _quotient(part: Array, gap: Array, reference: Array, vectors: str = "", or_nan: bool = False) -> Array:
    none = np.equal(gap, 0)
    largest = np.max(np.absolute(reference), axis=(-2, -1), keepdims=True, initial=0)
    small = 0 if or_nan else np.finfo(part.dtype).eps ** 0.75 * largest
    lost = none & np.greater(largest if or_nan else np.absolute(part), small)
    return np.where(lost, np.nan, np.where(none, 0, part) / np.where(none, 1, gap))


OF_VALUES: dict[Any, Any] = {
    "svd": _svd,
    "svdvals": _values,
    "eigh": _eigh,
    np.linalg.eigvalsh: _eigvalsh,
    "pinv": _pinv,
    "lstsq": _lstsq,
    "matrix_rank": _rank,
    "quotient": _quotient,
}
