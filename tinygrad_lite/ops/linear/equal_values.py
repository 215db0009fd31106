"""Decompositions of a matrix in which two values are equal.

The matrix then does not determine their vectors: any two orthogonal vectors in their plane will do, and LAPACK returns
some pair. The rules require that whatever depends on this choice vanishes (`quotient`), and otherwise raise an error. A
single one of several equal values has no derivative either: in a nearby matrix, it may come first or last. Only a
result that treats equal values alike has a derivative (`refuse_uneven`).
"""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.errors import InputError
from tinygrad_lite.ops.linear.conjugates import adjoint, conj, real
from tinygrad_lite.ops.requirements import refuse_where


def _rounding(values: Array) -> Array:
    """The largest distance of two eigenvalues or singular values that are equal up to LAPACK's rounding."""
    largest = np.maximum.reduce(np.absolute(values), axis=-1, keepdims=True, initial=0)
    return 10 * values.shape[-1] * np.finfo(values.dtype).eps * largest


def are_distinct(values: Array) -> bool:
    """Whether it is certain that some singular values all differ and none is 0: for arrays, one can see it."""
    if type(values) is not np.ndarray:
        return False
    rounding = _rounding(values)
    return bool((values[..., :-1] - values[..., 1:] > rounding).all() and (values[..., -1:] > rounding).all())


def _vanishing(values: Array) -> Array:
    return np.absolute(values) <= _rounding(values)


def are_apart(values: Array) -> bool:
    """Whether it is certain that no two of some sorted values are equal: for arrays, one can see it."""
    if type(values) is not np.ndarray:
        return False
    return bool((np.absolute(values[..., 1:] - values[..., :-1]) > _rounding(values)).all())


def _equal_pairs(values: Array) -> Array:
    return np.absolute(values[..., None, :] - values[..., :, None]) <= _rounding(values)[..., None]


def _uneven(g: Array, values: Array) -> Array:
    """The pairs of equal values whose upstream gradients differ by more than rounding explains."""
    pairs = _equal_pairs(values)
    if type(values) is np.ndarray and np.count_nonzero(pairs) == values.size:  # each value is equal to itself alone
        return np.zeros_like(pairs)
    sizes, weights = np.absolute(values), np.absolute(g)
    gaps = np.absolute(values[..., None, :] - values[..., :, None])
    larger = np.maximum(sizes[..., None, :], sizes[..., :, None])
    # if small values differ by a small part of their size, the gradients of a power or a logarithm differ as much
    drift = np.minimum(10 * gaps / np.where(np.equal(larger, 0), 1, larger), 0.1)
    largest = np.max(weights, axis=-1, keepdims=True, initial=0)[..., None]
    allowed = np.sqrt(np.finfo(values.dtype).eps) * largest
    allowed = allowed + drift * np.maximum(weights[..., None, :], weights[..., :, None])
    return pairs & (np.absolute(g[..., None, :] - g[..., :, None]) > allowed)


vanishing = primitive(_vanishing)
equal_pairs = primitive(_equal_pairs)
uneven = primitive(_uneven, arity=2, examples=[([(2, 3), (2, 3)], {})])


def refuse_uneven(g: Array, values: Array, kind: str, but: Array = np.False_) -> None:
    """Refuse upstream gradients that tell equal values apart, except where `but` holds."""
    if are_apart(values):
        return
    refuse_where(
        uneven(g, values) & ~but,
        values[..., None, :],
        message=f"two {kind} are equal, {{:.6g}}, and only have a derivative together: the result must treat them "
        "alike (their upstream gradients must be equal), as their sum or their mean does. Write such a result, or make "
        "the values differ",
    )


def _aligned(inner: Array, values: Array, descending: bool = False) -> Array:
    """Rotations of the vectors of equal values that make `inner` diagonal, sorted as the values are."""
    turns = np.zeros_like(inner) + np.eye(inner.shape[-1], dtype=inner.dtype)
    slack = _rounding(values)
    for place in np.ndindex(values.shape[:-1]):
        ends = np.flatnonzero(np.absolute(np.diff(values[place])) > slack[place]) + 1
        for group in np.split(np.arange(values.shape[-1]), ends):
            block = inner[place][np.ix_(group, group)]
            if len(group) > 1 and np.all(np.isfinite(block)):
                _, turn = np.linalg.eigh((block + adjoint(block)) / 2)
                turns[place][np.ix_(group, group)] = turn[:, ::-1] if descending else turn
    return turns


aligned = primitive(_aligned, arity=2, examples=[([(2, 3, 3), (2, 3)], {})])


def _values_along(t: Array, u: Array, v: Array, values: Array, descending: bool) -> Array:
    """The change of the values if the matrix changes by t; for equal values, the sorted values of t in their space."""
    inner = adjoint(u) @ t @ v
    turns = aligned(inner, values, descending=descending)
    return real(np.sum(conj(turns) * (inner @ turns), axis=-2))


composed = primitive(
    lambda g, u, v, values, descending=False: (conj(u) * g[..., None, :]) @ v.mT,
    lambda t, y, g, u, v, values, descending=False: _values_along(t, u, v, values, descending),
    lambda t, y, g, u, v, values, descending=False: conj(t @ v) * g[..., None, :],
    lambda t, y, g, u, v, values, descending=False: t.mT @ conj(u) * g[..., None, :],
    None,
    name="composed",
    takes_complex=True,
    examples=[([(2, 3), (2, 4, 3), (2, 5, 3), np.array([[1.0, 2.0, 4.0], [1.0, 3.0, 5.0]])], {})],
)
"""conj(u) diag(g) vᵀ, the gradient of a matrix through its values, given their vectors.

Forward mode is derived from its derivative by g, which gives the change of the values; it is not linear where values
are equal.
"""


def _quotient(part: Array, gap: Array, reference: Array, vectors: str = "vectors", or_nan: bool = False) -> Array:
    none = np.equal(gap, 0)
    largest = np.max(np.absolute(reference), axis=(-2, -1), keepdims=True, initial=0)
    small = 0 if or_nan else np.finfo(part.dtype).eps ** 0.75 * largest
    lost = none & ((largest if or_nan else np.absolute(part)) > small)
    if np.any(lost) and not or_nan:
        raise InputError(
            f"the matrix does not determine the {vectors}: a result that depends on their choice has no derivative, "
            "and this result may depend on it. Take the values from eigvalsh or svdvals, leave these vectors out, or "
            "make the values differ"
        )
    return np.where(lost, np.nan, np.where(none, 0, part) / np.where(none, 1, gap).astype(part.dtype))


def _quotient_vjp_part(
    g: Array, y: Array, part: Array, gap: Array, reference: Array, vectors: str = "vectors", or_nan: bool = False
) -> Array:
    return quotient(g, gap, g, or_nan=True)


def _quotient_vjp_gap(g: Array, y: Array, part: Array, gap: Array, reference: Array, **_: Any) -> Array:
    return -quotient(g * y, gap, g, or_nan=True)


quotient = primitive(
    _quotient,
    _quotient_vjp_part,
    _quotient_vjp_gap,
    None,
    refuses=True,
    kink=lambda part, gap, reference, **_: gap,
    takes_complex=True,
    examples=[([(2, 3, 3), (2, 3, 3), (2, 3, 3)], {}), ([(3, 2), (2,), (3, 2)], {})],
)
"""part / gap; 0 where the gap is 0, and there the part must vanish, too, up to the rounding of `reference`.

The reverse pass raises an error where it does not vanish. The derivative of this quotient, from which forward mode is
derived, is NaN wherever the gap is 0: that is the tangent of a vector that is not determined.
"""


def _untold(inner: Array, vectors: Array) -> Array:
    """Whether a symmetric gradient in the basis of some vectors leaves open if the result depends on their choice.

    A rotation of two vectors changes the result by inner - innerᴴ. This is also 0 where a result that does depend on
    the rotation is stationary, as an entry of the identity is. It is conclusive only if both sides are different from
    0, and if the vectors do not lie along the axes, where such stationary points are.
    """
    largest = np.max(np.absolute(inner), axis=(-2, -1), keepdims=True, initial=0)
    epsilon = np.finfo(inner.dtype).eps
    none = np.absolute(inner + adjoint(inner)) <= epsilon**0.75 * largest
    along_axes = np.any(np.absolute(vectors) <= np.sqrt(epsilon), axis=-2)
    return none | along_axes[..., None, :] | along_axes[..., :, None]


untold = primitive(_untold, arity=2, examples=[([(2, 3, 3), (2, 3, 3)], {})])


def _lopsided(inner: Array) -> Array:
    """The entries where a matrix is not equal to its adjoint, beyond rounding."""
    largest = np.max(np.absolute(inner), axis=(-2, -1), keepdims=True, initial=0)
    return np.absolute(inner - adjoint(inner)) > np.finfo(inner.dtype).eps ** 0.75 * largest


lopsided = primitive(_lopsided, examples=[([(2, 3, 3)], {})])


def column_sizes(g: Array) -> Array:
    """The size of the gradient that arrives at each column."""
    return np.sum(np.absolute(g), axis=-2)


def by_chance(used: Array, arriving: Array) -> Array:
    """1 if vectors were used and yet no gradient arrives at any of them, which is inconclusive; else 0."""
    return (used & ~np.any(np.not_equal(arriving, 0))).astype(arriving.dtype)


def by_rotation(gradient: Array, gaps: Array, g_values: Array, doubtful: Array, arriving: Array, vectors: str) -> Array:
    """The gradient of a matrix through rotations of its vectors, in their basis: the antisymmetric part over the gaps.

    A function f(x) = v f(w) vᵀ does not depend on the choice of v among equal w, but its derivative there is f'(w),
    which the gradient of v does not contain. So if values and vectors were both used, or if a symmetric gradient is
    inconclusive, the pair is doubtful: everything that belongs to it must vanish, and the two values must have the same
    gradient.
    """
    mixed = np.absolute(gradient) + np.absolute(g_values[..., None, :] - g_values[..., :, None])
    mixed = mixed + arriving[..., None, :] + arriving[..., :, None]
    part = np.where(np.equal(gaps, 0) & doubtful, mixed, gradient - adjoint(gradient))
    return quotient(part, gaps, np.absolute(gradient) + np.absolute(g_values)[..., None, :], vectors=vectors) / 2


def differences(values: Array) -> Array:
    """valueⱼ - valueᵢ; exactly 0 where the two are equal, and 1 on the diagonal: no vector rotates towards itself."""
    gaps = np.where(equal_pairs(values), 0, values[..., None, :] - values[..., :, None])
    return np.where(np.eye(gaps.shape[-1], dtype=bool), 1, gaps)


def by_rotation_of_distinct(gradient: Array, values: Array) -> Array:
    """The result of `by_rotation` for values that all differ, where nothing is to be refused."""
    gaps = values[..., None, :] - values[..., :, None]
    np.einsum("...ii->...i", gaps)[...] = 1
    return (gradient - adjoint(gradient)) / (2 * gaps)
