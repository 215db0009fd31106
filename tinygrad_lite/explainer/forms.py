"""Operations of real numbers that the page's NumPy lacks, in terms of those that it has.

A form that returns NotImplemented leaves the operation to a function of the page's NumPy, with these parameters.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.arithmetic.elementwise import exponent, i0_derivative
from tinygrad_lite.ops.linear.decompositions import packed_eigh, packed_svd
from tinygrad_lite.ops.linear.exponential import LARGEST, quotient_of_polynomials
from tinygrad_lite.ops.linear.norms import FROBENIUS, all_or
from tinygrad_lite.ops.linear.packing import pack, unpack
from tinygrad_lite.ops.shapes.filling import intervals, shares
from tinygrad_lite.readers.expression import numbers


def _matrix_norm(x: Array, keepdims: bool = False, ord: Any = "fro") -> Array:
    if ord in FROBENIUS:
        return np.linalg.vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord == "nuc":
        norm = np.sum(np.linalg.svdvals(x), axis=-1)
    else:
        sizes = np.linalg.svdvals(x) if abs(ord) == 2 else np.sum(np.absolute(x), axis=-2 if abs(ord) == 1 else -1)
        norm = (np.max if ord > 0 else np.min)(sizes, axis=-1)
    return norm[..., None, None] if keepdims else norm


def _norm(x: Array, ord: Any = None, axes: Any = None, keepdims: bool = False) -> Array:
    axes = all_or(axes, x)
    if ord in FROBENIUS or len(axes) != 2:
        return NotImplemented
    norm = _matrix_norm(np.moveaxis(x, axes, (-2, -1)), ord=ord)
    return np.expand_dims(norm, axes) if keepdims else norm


def _cond(x: Array, p: Any = None) -> Array:
    if p in (None, 2, -2):
        s = np.linalg.svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return _matrix_norm(x, ord=p) * _matrix_norm(np.linalg.inv(x), ord=p)


def _svd(x: Array, hermitian: bool = False, alike: bool = False, **params: Any) -> Array:
    if not (hermitian and alike):
        return NotImplemented
    values, vectors = unpack(packed_eigh(x, alike=True), [x.shape[-1:], x.shape[-2:]])
    order = np.argsort(-np.absolute(values), axis=-1, stable=True)
    values = np.take_along_axis(values, order, axis=-1)
    vectors = np.take_along_axis(vectors, order[..., None, :], axis=-1)
    return pack((vectors, np.absolute(values), (vectors * np.sign(values)[..., None, :]).mT), x.ndim - 2)


def _svdvals(x: Array, hermitian: bool = False) -> Array:
    return -np.sort(-np.absolute(np.linalg.eigvalsh(x)), axis=-1) if hermitian else NotImplemented


def _pinv(a: Array, rcond: Any = None, hermitian: bool = False, rtol: Any = np._NoValue) -> Array:
    if rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else max(a.shape[-2:]) * np.finfo(a.dtype).eps if rtol is None else rtol
    u, s, vt = _singular(a, hermitian)
    is_kept = s > rcond * np.max(s, axis=-1, keepdims=True)
    return vt.mT @ (np.where(is_kept, 1 / np.where(is_kept, s, 1), 0)[..., None] * u.mT)


def _singular(a: Array, hermitian: bool) -> list[Array]:
    """The singular values of a matrix and their vectors, for a result to which the signs of these do not matter."""
    m, n = a.shape[-2:]
    few = min(m, n)
    return unpack(packed_svd(a, full_matrices=False, hermitian=hermitian, alike=True), [(m, few), (few,), (few, n)])


def _lstsq(a: Array, b: Array, rcond: float | None = None) -> Array:
    (m, n), epsilon = a.shape, np.finfo(a.dtype).eps
    cutoff = max(m, n) * epsilon if rcond is None else epsilon if rcond < 0 else rcond
    solution, s = np.linalg.pinv(a, cutoff) @ b, np.linalg.svdvals(a)
    rank = np.sum(s > cutoff * s[0]).astype(s.dtype)
    residuals = np.reshape(np.sum((b - a @ solution) ** 2, axis=0), (-1,))
    has_residuals = m > n == np.linalg.matrix_rank(numbers(a))
    return pack((solution, rank, s, residuals if has_residuals else residuals[:0]), 0)


FURTHER = 12
"""How often a matrix may double its size, under changes, and its exponential keep its digits."""


def _exponential(x: Array) -> Array:
    norm = np.max(np.sum(np.absolute(x), axis=-2), axis=-1, initial=0)
    squarings = np.ceil(np.log2(np.maximum(norm / LARGEST, 1)))
    y = quotient_of_polynomials(x / 2.0 ** squarings[..., None, None])
    for turn in range(int(np.max(numbers(squarings), initial=0)) + FURTHER):
        y = np.where((turn < squarings)[..., None, None], y @ y, y)
    return y


def _quotient(part: Array, gap: Array, reference: Array, vectors: str = "", or_nan: bool = False) -> Array:
    """part / gap as the rules of decompositions take it, and NaN where they refuse."""
    none = np.equal(gap, 0)
    largest = np.max(np.absolute(reference), axis=(-2, -1), keepdims=True, initial=0)
    small = 0.0 if or_nan else np.finfo(part.dtype).eps ** 0.75 * largest
    is_lost = none & ((largest if or_nan else np.absolute(part)) > small)
    return np.where(is_lost, np.nan, np.where(none, 0.0, part) / np.where(none, 1.0, gap))


def _linspace(start: Array, stop: Array, num: int, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Array:
    if dtype is not None:
        return NotImplemented
    shape = np.broadcast_shapes(np.shape(start), np.shape(stop))
    share = np.reshape(shares(num, endpoint), (num, *(1 for _ in shape)))
    return np.moveaxis((1 - share) * start + share * stop, 0, axis)


def _geomspace(start: Array, stop: Array, num: int, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Array:
    sign = np.sign(start)
    logarithms = _linspace(np.log(start * sign), np.log(stop * sign), num, endpoint, dtype)
    return NotImplemented if dtype is not None else np.moveaxis(sign * np.exp(logarithms), 0, axis)


def _unwrap(p: Array, discont: float | None = None, axis: int = -1, period: float = 2 * math.pi) -> Array:
    p = np.moveaxis(p, axis, -1)
    steps = p[..., 1:] - p[..., :-1]
    rest = np.remainder(steps + period / 2, period) - period / 2
    rest = np.where(np.equal(rest, -period / 2) & (steps > 0), period / 2, rest)
    whole_periods = np.where(np.absolute(steps) < (discont or period / 2), 0.0, rest - steps)
    unwrapped = p[..., 1:] + np.cumsum(whole_periods, axis=-1)
    return np.moveaxis(np.concatenate([p[..., :1], unwrapped], axis=-1), -1, axis)


def _vander(x: Array, N: int | None = None, increasing: bool = False) -> Array:
    powers = np.arange(float(x.shape[0] if N is None else N))
    return np.power(x[:, None], powers if increasing else np.flip(powers))


def _fraction(x: Array) -> Array:
    return np.where(np.isinf(x), 0.0, x - np.trunc(x))


FORMS: dict[str, Callable[..., Any]] = {
    "matrix_norm": _matrix_norm,
    "norm": _norm,
    "cond": _cond,
    "svd": _svd,
    "svdvals": _svdvals,
    "pinv": _pinv,
    "lstsq": _lstsq,
    "expm": _exponential,
    "linspace": _linspace,
    "linspace_step": lambda start, stop, num, endpoint=True: (stop - start) / intervals(num, endpoint),
    "geomspace": _geomspace,
    "unwrap": _unwrap,
    "vander": _vander,
    "fraction": _fraction,
    "mantissa": lambda x: np.ldexp(x, -exponent(x)),
    "i0": lambda x: i0_derivative(x, order=0),
    "real_if_close": lambda x, tol=100: NotImplemented if np.iscomplexobj(numbers(x)) else x,
    "quotient": _quotient,
}
