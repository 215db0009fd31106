"""Products that sum over a shared axis."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op, Rule, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.foundation.signatures import newer
from tinygrad_lite.ops.casting import conjugated

SMALL = 8
"""A stack of matrices with fewer rows than this is multiplied as one matrix."""


def _times(x: Array, matrix: Array) -> Array:
    """x @ matrix, where x may be many matrices: BLAS multiplies small ones fast by one that lies in memory by rows."""
    if type(x) is not np.ndarray or x.ndim < 2 or type(matrix) is not np.ndarray or matrix.ndim != 2:
        return np.matmul(x, matrix)
    if matrix.shape[0] == 1 == x.shape[-1]:  # a column and a row, for which BLAS takes twice as long
        return x * matrix
    if x.ndim == 2:
        return np.matmul(x, matrix)
    if x.shape[-2] < SMALL and x.size and x.flags.c_contiguous:
        return np.matmul(_rows(x), matrix).reshape(*x.shape[:-1], matrix.shape[1])
    return np.matmul(x, np.ascontiguousarray(matrix))


def _matmul_vjp_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    if b.ndim == 1:
        return g * b if a.ndim == 1 else g[..., None] * b
    if a.ndim == 1:
        return np.matmul(b, g) if b.ndim == 2 else np.matmul(b, g[..., None])[..., 0]
    return _times(g, b.swapaxes(-1, -2))


def _matmul_vjp_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    if a.ndim == 1:
        return a * g if b.ndim == 1 else a[..., None] * g[..., None, :]
    if b.ndim == 1:
        return np.matmul(a.T, g) if a.ndim == 2 else np.matmul(a.swapaxes(-1, -2), g[..., None])[..., 0]
    if b.ndim == 2:
        return np.matmul(_rows(a).T, _rows(g))  # one product, not one for each matrix and then their sum
    if a.shape[-2] == 1:  # outer products, which take `multiply` half the time or less
        return a.swapaxes(-1, -2) * g
    return np.matmul(a.swapaxes(-1, -2), g)


_MATMUL_SHAPES: list[list[tuple[int, ...]]] = [
    [(3,), (3,)],
    [(3,), (3, 2)],
    [(2, 3), (3,)],
    [(2, 3), (3, 4)],
    [(5, 2, 3), (3, 4)],
    [(2, 3), (5, 3, 4)],
    [(4, 1, 2, 3), (5, 3, 2)],
    [(5, 1, 3), (5, 3, 2)],
    [(3,), (5, 3, 2)],
    [(5, 2, 3), (3,)],
    [(2, 0), (0, 3)],
]
matmul = primitive(
    np.matmul,
    _matmul_vjp_a,
    _matmul_vjp_b,
    linear=True,
    takes_complex=True,
    examples=[(shapes, {}) for shapes in _MATMUL_SHAPES],
)


def _rows(x: Array) -> Array:
    """The array as a matrix whose rows are its slices along the last axis."""
    return x if x.ndim == 2 else np.reshape(x, (prod(x.shape[:-1]), x.shape[-1]))


def _linear(x: Array, weight: Array, bias: Array) -> Array:
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear needs a weight (out, in) and a bias (out), got {weight.shape} and {bias.shape}")
    y = _times(x, weight.T)
    if type(y) is not type(bias) or y.dtype != bias.dtype:
        return y + bias
    y += bias  # in place, since nobody else holds the product
    return y


linear = primitive(
    _linear,
    lambda g, y, x, weight, bias: _times(g, weight),
    lambda g, y, x, weight, bias: np.matmul(_rows(x).T, _rows(g)).T,
    lambda g, y, x, weight, bias: g,
    takes_complex=True,
    kind="multiplying",
    examples=[([(2, 3), (4, 3), (4,)], {}), ([(3,), (4, 3), (4,)], {}), ([(5, 2, 3), (4, 3), (4,)], {})],
)


def _free(x: Array, place: int) -> list[int]:
    """The axes of an array that remain after a sum over one of them."""
    return [i for i in range(np.ndim(x)) if i != place % np.ndim(x)]


def _contraction(place_a: int, place_b: int, of_matrices: Sequence[Rule]) -> list[Rule]:
    """The rules of a product that sums over one axis of each factor; the result has the free axes of a, then of b.

    Args:
        of_matrices: the rules for a second factor that is a vector or a matrix, which are shorter and quicker.
    """

    def by_a(g: Array, y: Array, a: Array, b: Array) -> Array:
        if not (np.ndim(a) and np.ndim(b)):
            return g * b
        if np.ndim(b) <= 2:
            return of_matrices[0](g, y, a, b)
        free = _free(b, _place(b, place_b))
        behind = list(range(np.ndim(a) - 1, np.ndim(g)))
        return np.moveaxis(np.tensordot(g, b, (behind, free)), -1, _place(a, place_a))

    def by_b(g: Array, y: Array, a: Array, b: Array) -> Array:
        if not (np.ndim(a) and np.ndim(b)):
            return g * a
        if np.ndim(b) <= 2:
            return of_matrices[1](g, y, a, b)
        free = _free(a, _place(a, place_a))
        return np.moveaxis(np.tensordot(a, g, (free, list(range(len(free))))), 0, _place(b, place_b))

    return [by_a, by_b]


def _place(x: Array, place: int) -> int:
    return max(place, -np.ndim(x))


def _inner_vjp_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    return _matmul_vjp_a(g, y, a, b if b.ndim == 1 else b.T)


def _inner_vjp_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    return _matmul_vjp_b(g, y, a, b) if b.ndim == 1 else _matmul_vjp_b(g, y, a, b.T).T


_DOT_SHAPES: list[Any] = [[(), (2, 3)], [(3,), ()], [(3,), (3,)], [(2, 3), (3,)], [(0,), (0,)]]
dot = primitive(
    np.dot,
    *_contraction(-1, -2, (_matmul_vjp_a, _matmul_vjp_b)),
    linear=True,
    takes_complex=True,
    examples=[(x, {}) for x in (*_DOT_SHAPES, [(2, 3), (3, 4)], [(2, 3), (4, 3, 2)], [(2, 2, 3), (3, 2)])],
)
inner = primitive(
    np.inner,
    *_contraction(-1, -1, (_inner_vjp_a, _inner_vjp_b)),
    linear=True,
    takes_complex=True,
    examples=[(x, {}) for x in (*_DOT_SHAPES, [(2, 3), (4, 3)], [(2, 3), (4, 2, 3)], [(2, 2, 3), (2, 3)])],
)


vdot = primitive(
    np.vdot,
    lambda g, y, a, b: conjugated(g * np.reshape(b, np.shape(a))),
    lambda g, y, a, b: g * conjugated(np.reshape(a, np.shape(b))),
    linear=True,
    takes_complex=True,
    examples=[([shape, shape], {}) for shape in ((), (3,), (2, 3), (0, 2))] + [([(2, 3), (6,)], {})],
)


def _outer(a: Array, b: Array, out: Array = None) -> Array:
    return np.ravel(a)[:, None] * np.ravel(b)[None, :]


outer = primitive(
    _outer,
    lambda g, y, a, b: np.reshape(g @ np.ravel(b), np.shape(a)),
    lambda g, y, a, b: np.reshape(np.ravel(a) @ g, np.shape(b)),
    linear=True,
    takes_complex=True,
    examples=[([(2,), (3,)], {}), ([(2, 2), (3,)], {}), ([(), (3,)], {}), ([(0,), (2,)], {})],
)
implements(np.outer)(outer)


@implements(np.vecdot)
def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    a, b = conjugated(np.moveaxis(as_array(x1), axis, -1)), np.moveaxis(as_array(x2), axis, -1)
    return np.matmul(np.expand_dims(a, -2), np.expand_dims(b, -1))[..., 0, 0]


@implements(*newer("matvec"))
def matvec(x1: Array, x2: Array, /) -> Array:
    if np.ndim(x1) < 2:
        raise ShapeError(f"matvec takes a matrix and a vector, got shapes {np.shape(x1)} and {np.shape(x2)}")
    return np.matmul(x1, np.expand_dims(x2, -1))[..., 0]


@implements(*newer("vecmat"))
def vecmat(x1: Array, x2: Array, /) -> Array:
    if np.ndim(x2) < 2:
        raise ShapeError(f"vecmat takes a vector and a matrix, got shapes {np.shape(x1)} and {np.shape(x2)}")
    return np.matmul(np.expand_dims(conjugated(as_array(x1)), -2), x2)[..., 0, :]


@implements(np.kron)
def kron(a: Array, b: Array) -> Array:
    a, b = as_array(a), as_array(b)
    if not (a.ndim and b.ndim):
        return a * b
    ndim = max(a.ndim, b.ndim)
    a, b = (np.reshape(x, (1,) * (ndim - x.ndim) + x.shape) for x in (a, b))
    blocks = np.expand_dims(a, tuple(range(1, 2 * ndim, 2))) * np.expand_dims(b, tuple(range(0, 2 * ndim, 2)))
    return np.reshape(blocks, tuple(m * n for m, n in zip(a.shape, b.shape)))


def _cross(a: Array, b: Array) -> Array:
    if np.shape(a)[-1:] != (3,) or np.shape(b)[-1:] != (3,):
        raise ShapeError(f"cross needs vectors of 3 entries, got shapes {np.shape(a)} and {np.shape(b)}")
    (a0, a1, a2), (b0, b1, b2) = ([x[..., i] for i in range(3)] for x in (a, b))
    return np.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis=-1)


cross: Op = primitive(
    _cross,
    lambda g, y, a, b: cross(b, g),  # np.cross takes twice as long for few vectors
    lambda g, y, a, b: cross(g, a),
    linear=True,
    takes_complex=True,
    examples=[([(3,), (3,)], {}), ([(2, 3), (2, 3)], {}), ([(4, 1, 3), (2, 3)], {}), ([(3,), (2, 3)], {})],
)


@implements(np.cross)
def _cross_as_numpy(
    a: Array, b: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    if axis is not None:
        axisa = axisb = axisc = axis
    y = cross(_with_last(as_array(a), axisa), _with_last(as_array(b), axisb))
    return y if axisc in (-1, y.ndim - 1) else np.moveaxis(y, -1, axisc)


def _with_last(x: Array, axis: int) -> Array:
    """The array with this axis as its last."""
    return x if axis in (-1, x.ndim - 1) else np.moveaxis(x, axis, -1)
