"""Norms of vectors and matrices, and the condition number, which is made of them."""

from functools import wraps
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Rule, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.ops.arithmetic.elementwise import absolute
from tinygrad_lite.ops.arithmetic.reductions import Axis
from tinygrad_lite.ops.arithmetic.reductions import sum as sum_along
from tinygrad_lite.ops.linear.decompositions import svdvals, through_values
from tinygrad_lite.ops.linear.equal_values import are_distinct, equal_pairs
from tinygrad_lite.ops.linear.linalg import finite, singularity
from tinygrad_lite.ops.requirements import refuse_where

Shape = tuple[int, ...]
FROBENIUS = (None, "fro", "f")
_SPECTRAL = (2, -2, "nuc")  # of singular values


def all_or(axis: Axis, x: Array) -> Shape:
    if axis is None:
        return tuple(range(np.ndim(x)))
    return axis if isinstance(axis, tuple) else (axis,)


def _extreme_share(values: Array, axis: int | Shape, ord: float) -> Array:
    """The share of each number in the largest, or for a negative order in the smallest; ties share equally."""
    if values.size == 0:
        return values
    extreme = np.max if ord > 0 else np.min
    return _shared(np.equal(values, extreme(values, axis=axis, keepdims=True)), axis)


def _shared(winners: Array, axis: int | Shape) -> Array:
    return winners / np.sum(winners, axis=axis, keepdims=True)


def _extreme_values_share(x: Array, ord: float) -> Array:
    """The share of each singular value in the largest, or for a negative order in the smallest; ties up to rounding."""
    values = svdvals(x)
    if values.shape[-1] == 0:
        return values
    place = 0 if ord > 0 else -1
    return _shared(equal_pairs(values)[..., place], -1)


def _of_sizes(rule: Rule) -> Rule:
    """The rule of a norm that depends on the sizes of the entries alone, for real and for complex numbers."""

    @wraps(rule)
    def vjp(g: Array, y: Array, x: Array, *settings: Any, **params: Any) -> Array:
        if x.dtype.kind != "c":
            return rule(g, y, x, *settings, **params)
        sizes = np.absolute(x)
        return absolute.vjps[0](rule(g, y, sizes, *settings, **params), sizes, x)

    return vjp


@_of_sizes
def _vector_norm_vjp(
    g: Array, y: Array, x: Array, axis: Axis = None, keepdims: bool = False, ord: float | None = 2
) -> Array:
    axes = all_or(axis, x)
    if np.ndim(y) and not keepdims:  # a number goes beside any entry as it is
        g, y = np.expand_dims(g, axes), np.expand_dims(y, axes)
    ord = 2 if ord is None else ord
    if abs(ord) == np.inf:
        return g * np.sign(x) * _extreme_share(np.absolute(x), axes, ord)
    if ord in (0, 1):
        return g * np.sign(x) * ord
    # sign(x) |x / y|^(ord - 1); where the norm is 0, it and its derivatives are 0, as x / ∞
    ratio = x / np.where(np.equal(y, 0), np.inf, y)
    if ord == 2:
        return g * ratio
    if ord > 0 and ord % 2 == 0:
        return g * np.where(np.equal(y, 0), 0, ratio ** (ord - 1))
    none = np.equal(ratio, 0)
    return g * np.where(none | np.equal(y, 0), 0, np.sign(x) * np.absolute(np.where(none, 1, ratio)) ** (ord - 1))


@_of_sizes
def _extreme_sum_vjp(g: Array, y: Array, x: Array, ord: float) -> Array:
    summed, compared = (-2, -1) if abs(ord) == 1 else (-1, -2)
    sums = np.sum(np.absolute(x), axis=summed, keepdims=True)
    return g * np.sign(x) * _extreme_share(sums, compared, ord)


def _matrix_norm_vjp(g: Array, y: Array, x: Array, keepdims: bool = False, ord: Any = "fro") -> Array:
    if ord in FROBENIUS:
        return _vector_norm_vjp(g, y, x, (-2, -1), keepdims)
    g = g if keepdims else g[..., None, None]
    if ord in (1, -1, np.inf, -np.inf):
        return _extreme_sum_vjp(g, y, x, ord)
    return through_values(g[..., 0] if ord == "nuc" else g[..., 0] * _extreme_values_share(x, ord), x)


def _norm_vjp(g: Array, y: Array, x: Array, ord: Any = None, axes: Axis = None, keepdims: bool = False) -> Array:
    axes = all_or(axes, x)
    if ord in FROBENIUS or len(axes) == 1:
        return _vector_norm_vjp(g, y, x, axes, keepdims, 2 if ord in FROBENIUS else ord)
    if tuple(axis % x.ndim for axis in axes) == (x.ndim - 2, x.ndim - 1):
        return _matrix_norm_vjp(g, y, x, keepdims, ord)
    g = g if keepdims else np.expand_dims(g, axes)
    g, x = np.moveaxis(g, axes, (-2, -1)), np.moveaxis(x, axes, (-2, -1))
    return np.moveaxis(_matrix_norm_vjp(g, y, x, True, ord), (-2, -1), axes)


def _norm(x: Array, ord: Any = None, axes: Axis = None, keepdims: bool = False) -> Array:
    if type(x) is np.ndarray and x.dtype.kind == "f" and type(axes) is int and ord in (None, 2):
        return np.sqrt(sum_along(x * x, axes, keepdims=keepdims))  # NumPy's takes longer along few columns
    spectral = ord in _SPECTRAL and len(all_or(axes, x)) == 2
    return np.linalg.norm(finite(x) if spectral else x, ord, axes, keepdims)


def _matrix_norm(x: Array, keepdims: bool = False, ord: Any = "fro") -> Array:
    return np.linalg.matrix_norm(finite(x) if ord in _SPECTRAL else x, keepdims=keepdims, ord=ord)


def _cond(x: Array, p: Any = None) -> Array:
    # with NaN alone, NumPy answers by itself: before 2.5 with an error, since then with NaN
    is_infinite = isinstance(x, np.ndarray) and np.any(np.isinf(x))
    y = np.linalg.cond(finite(x) if is_infinite and (p is None or p in _SPECTRAL) else x, p)
    return np.real(y)  # NumPy 2.0 gives complex numbers for complex matrices


def _ties(x: Array, **_: Any) -> Array:
    """Zero if an entry is 0, or if two entries, two row or column sums, or two singular values are equal."""
    sizes = np.absolute(np.atleast_2d(x))
    compared = (np.ravel(sizes), sizes.sum(axis=-1), sizes.sum(axis=-2), np.linalg.svdvals(np.atleast_2d(x)) / 4)
    return np.concatenate([np.ravel(np.diff(np.sort(values), prepend=0)) for values in compared])


def _vector_ties(x: Array, axis: Axis = None, keepdims: bool = False, ord: float | None = 2) -> Array:
    return np.linalg.vector_norm(x, axis=axis) if ord in (None, 2) else _ties(x)


_MATRIX_ORDERS = ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
_VECTOR_ORDERS = (None, 2, 1, 0, 3, 4, 2.5, 0.5, -1, -2, np.inf, -np.inf)


vector_norm = primitive(
    np.linalg.vector_norm,
    _vector_norm_vjp,
    kink=_vector_ties,
    takes_complex=True,
    examples=[([(3,)], {"ord": ord}) for ord in _VECTOR_ORDERS]
    + [([(2, 3)], {"axis": axis, "ord": 3}) for axis in (None, 0, (1, 0))],
)
matrix_norm = primitive(
    _matrix_norm,
    _matrix_norm_vjp,
    refuses=True,
    kink=_ties,
    takes_complex=True,
    examples=[([(2, 3)], {"ord": ord}) for ord in _MATRIX_ORDERS] + [([(2, 2, 2)], {"ord": 2, "keepdims": True})],
)
implements(np.linalg.matrix_norm)(matrix_norm)
norm = primitive(
    _norm,
    _norm_vjp,
    refuses=True,
    kink=_ties,
    takes_complex=True,
    examples=[([(2, 3)], {"ord": ord, "axes": (1, 0)}) for ord in _MATRIX_ORDERS]
    + [([(2, 3)], {"axes": axes}) for axes in (None, 1, (0, 1))],
)


@implements(np.linalg.norm)
def _norm_as_numpy(x: Array, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Array:
    is_usual = ord == 2 and len(all_or(axis, x)) == 1  # the norm that a vector has by default
    return norm(x, ord=None if is_usual else ord, axes=axis, keepdims=keepdims)


def _cond_vjp(g: Array, y: Array, x: Array, p: Any = None) -> Array:
    undefined = np.isnan(y)  # where LAPACK would refuse to find the singular values
    identity = np.eye(*x.shape[-2:], dtype=x.dtype)
    gradient = _defined_cond_vjp(g, np.where(undefined, 1, y), np.where(undefined[..., None, None], identity, x), p)
    return np.where(undefined[..., None, None], np.nan, gradient)


def _by_quotient(g: Array, y: Array, values: Array, p: int) -> Array:
    """The gradient of singular values from that of y, the largest through the smallest, or for p = -2 the reverse."""
    above, below = (0, -1) if p == 2 else (-1, 0)
    by_values = np.zeros_like(values)
    by_values[..., above] += g / values[..., below]
    by_values[..., below] -= g * y / values[..., below]
    return by_values


def _defined_cond_vjp(g: Array, y: Array, x: Array, p: Any) -> Array:
    refuse_where(
        np.greater_equal(y, 1 / np.finfo(y.dtype).eps),
        y,
        message="cond: a matrix that is singular to rounding has no finite condition number, and no gradient",
    )
    p = 2 if p is None else p
    is_plain = type(x) is np.ndarray and not isinstance(g, Traced)
    if p in (2, -2) and is_plain and are_distinct(values := svdvals(x)):
        return through_values(_by_quotient(g, y, values, p), x)
    g, y = g[..., None, None], y[..., None, None]
    size = np.linalg.matrix_norm(x, ord=p, keepdims=True)
    if p in (2, -2):  # a quotient of singular values, also where there is no inverse
        other = np.linalg.matrix_norm(x, ord=-p, keepdims=True)
        return _matrix_norm_vjp(g / other, size, x, True, p) - _matrix_norm_vjp(g * y / other, other, x, True, -p)
    inverse = np.linalg.inv(x)
    other = np.linalg.matrix_norm(inverse, ord=p, keepdims=True)
    through_inverse = inverse.mT @ _matrix_norm_vjp(g * size, other, inverse, True, p) @ inverse.mT
    return _matrix_norm_vjp(g * other, size, x, True, p) - through_inverse


cond = primitive(
    _cond,
    _cond_vjp,
    refuses=True,
    takes_complex=True,
    kink=lambda x, p=None: np.concatenate(
        [_ties(x), np.ravel(singularity(x)), *([] if p in (None, 2, -2) else [_ties(np.linalg.inv(x))])]
    ),
    examples=[([(2, 2)], {"p": p}) for p in (None, *_MATRIX_ORDERS)] + [([(2, 3)], {}), ([(2, 2, 2)], {})],
)
implements(np.linalg.cond)(cond)
