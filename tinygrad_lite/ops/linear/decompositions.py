"""Decompositions of matrices: Cholesky, eigenvalues, singular values, QR, and functions made of them.

If two values of a matrix are equal, the matrix does not determine their vectors: any two orthogonal vectors in their
plane will do, and LAPACK returns some pair. The rules require that whatever depends on this choice vanishes
(`quotient`), and otherwise raise an error. A single one of several equal values has no derivative either: in a nearby
matrix, it may come first or last. Only a result that treats equal values alike has a derivative (`_refuse_uneven`).
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import POSITIVE, Array, Rule, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.ops.kept import kept
from tinygrad_lite.ops.linear.linalg import ANY, SQUARE, as_columns, finite, singularity
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.ops.shapes.indexing import Index, Scattered

Shape = tuple[int, ...]


def _result_of(decompose: Any) -> Any:
    return type(decompose(np.eye(1)))


EighResult, QRResult, SVDResult = map(_result_of, (np.linalg.eigh, np.linalg.qr, np.linalg.svd))


@lru_cache(maxsize=8)
def _halved(size: int, dtype: Any) -> Array:
    """Weights of the lower triangle: 1 below the diagonal and 1/2 on it."""
    return kept(np.tri(size, dtype=dtype) - np.eye(size, dtype=dtype) / 2)


def _in_triangle(g: Array, upper: bool = False) -> Array:
    """The gradient of a symmetric matrix, moved to the triangle that was read; the other triangle has no influence."""
    weights = _halved(g.shape[-1], g.dtype)
    return (g + g.mT) * (weights.T if upper else weights)


def _inverse_of_lower(x: Array) -> Array:
    """The inverse of a lower triangle, by halves, since LAPACK would factorise what is a factor already."""
    half = x.shape[-1] // 2
    if half < 24:
        return np.linalg.inv(x)
    first, last = _inverse_of_lower(x[..., :half, :half]), _inverse_of_lower(x[..., half:, half:])
    above = np.concatenate([first, x[..., :half, half:]], axis=-1)  # 0, as it was
    below = np.concatenate([-last @ (x[..., half:, :half] @ first), last], axis=-1)
    return np.concatenate([above, below], axis=-2)


def _cholesky_vjp(g: Array, y: Array, x: Array, upper: bool = False) -> Array:
    # Murray, Differentiation of the Cholesky decomposition (2016)
    if upper:
        g, y = g.mT, y.mT
    inverse = _inverse_of_lower(y)
    return _in_triangle(inverse.mT @ (y.mT @ g * _halved(y.shape[-1], y.dtype)) @ inverse, upper)


cholesky = primitive(
    np.linalg.cholesky,
    _cholesky_vjp,
    domain=(POSITIVE,),
    kink=lambda x, upper=False: np.maximum(np.linalg.eigvalsh(x, "U" if upper else "L"), 0) / 8,
    examples=[([shape], {"upper": upper}) for shape in ((1, 1), (2, 2)) for upper in (False, True)],
)


def pack(parts: Sequence[Array], batch: int) -> Array:
    """Several arrays in one, side by side along the last axis; they share the first `batch` axes."""
    if len({part.dtype for part in parts}) > 1:
        raise UsageError("complex matrices have no decomposition here: leave the graph first, with x.numpy()")
    return np.concatenate([part.reshape(*part.shape[:batch], prod(part.shape[batch:])) for part in parts], axis=-1)


def _spans(shapes: Sequence[Shape]) -> list[Index]:
    """The index at which each array of these shapes lies in the packed one."""
    return [(..., slice(start, stop)) for start, stop in pairwise(accumulate(map(prod, shapes), initial=0))]


def _unpack(packed: Array, shapes: Sequence[Shape]) -> list[Array]:
    """The arrays of these shapes that were packed into one."""
    rows = [packed[span] for span in _spans(shapes)]
    return [
        row if len(shape) == 1 else np.reshape(row, (*packed.shape[:-1], *shape)) for row, shape in zip(rows, shapes)
    ]


def _arrived(g: Array, shapes: Sequence[Shape]) -> list[tuple[Array, Array]]:
    """The upstream gradient of each array that was packed, and whether the array was used.

    Its gradient may be 0 all the same, and only a deferred gradient tells such a use.
    """
    deferred = isinstance(g, Scattered)
    parts = _unpack(g.whole() if deferred else g, shapes)
    reached = [deferred and g.reaches(span) for span in _spans(shapes)]
    return [(part, np.True_ if used else np.any(np.not_equal(part, 0))) for part, used in zip(parts, reached)]


def _are_idle(used: Array, *parts: Array) -> bool:
    """Whether it is certain that no gradient of any order arrives at these parts: for arrays, one can see it."""
    return not any(isinstance(part, Traced) for part in parts) and not used


def _steady(decompose: Rule, distance: Rule) -> Rule:
    """A kink: this distance; also 0 where LAPACK changes the sign of a vector in the neighbourhood."""

    def kink(x: Array, **params: Any) -> Array:
        y = decompose(x, **params)
        steps = 0.005 * np.eye(x.size).reshape(x.size, *x.shape)
        return distance(x, **params) * all(
            np.allclose(decompose(x + step, **params), y, atol=0.5) for step in (*steps, *-steps)
        )

    return kink


def _rounding(values: Array) -> Array:
    """The largest distance of two eigenvalues or singular values that are equal up to LAPACK's rounding."""
    largest = np.max(np.absolute(values), axis=-1, keepdims=True, initial=0)
    return 10 * values.shape[-1] * np.finfo(values.dtype).eps * largest


def _vanishing(values: Array) -> Array:
    return np.absolute(values) <= _rounding(values)


def _are_apart(values: Array) -> bool:
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


def _refuse_uneven(g: Array, values: Array, kind: str, but: Array = np.False_) -> None:
    """Refuse upstream gradients that tell equal values apart, except where `but` holds."""
    if _are_apart(values):
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
                _, turn = np.linalg.eigh((block + block.T) / 2)
                turns[place][np.ix_(group, group)] = turn[:, ::-1] if descending else turn
    return turns


aligned = primitive(_aligned, arity=2, examples=[([(2, 3, 3), (2, 3)], {})])


def _values_along(t: Array, u: Array, v: Array, values: Array, descending: bool) -> Array:
    """The change of the values if the matrix changes by t; for equal values, the sorted values of t in their space."""
    inner = u.mT @ t @ v
    turns = aligned(inner, values, descending=descending)
    return np.sum(turns * (inner @ turns), axis=-2)


composed = primitive(
    lambda g, u, v, values, descending=False: (u * g[..., None, :]) @ v.mT,
    lambda t, y, g, u, v, values, descending=False: _values_along(t, u, v, values, descending),
    lambda t, y, g, u, v, values, descending=False: t @ v * g[..., None, :],
    lambda t, y, g, u, v, values, descending=False: t.mT @ u * g[..., None, :],
    None,
    name="composed",
    examples=[([(2, 3), (2, 4, 3), (2, 5, 3), np.array([[1.0, 2.0, 4.0], [1.0, 3.0, 5.0]])], {})],
)
"""u diag(g) vᵀ, the gradient of a matrix through its values, given their vectors.

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
    kink=lambda part, gap, reference, **_: gap,
    examples=[([(2, 3, 3), (2, 3, 3), (2, 3, 3)], {}), ([(3, 2), (2,), (3, 2)], {})],
)
"""part / gap; 0 where the gap is 0, and there the part must vanish, too, up to the rounding of `reference`.

The reverse pass raises an error where it does not vanish. The derivative of this quotient, from which forward mode is
derived, is NaN wherever the gap is 0: that is the tangent of a vector that is not determined.
"""


def _untold(inner: Array, vectors: Array) -> Array:
    """Whether a symmetric gradient in the basis of some vectors leaves open if the result depends on their choice.

    A rotation of two vectors changes the result by inner - innerᵀ. This is also 0 where a result that does depend on
    the rotation is stationary, as an entry of the identity is. It is conclusive only if both sides are different from
    0, and if the vectors do not lie along the axes, where such stationary points are.
    """
    largest = np.max(np.absolute(inner), axis=(-2, -1), keepdims=True, initial=0)
    epsilon = np.finfo(inner.dtype).eps
    none = np.absolute(inner + inner.mT) <= epsilon**0.75 * largest
    along_axes = np.any(np.absolute(vectors) <= np.sqrt(epsilon), axis=-2)
    return none | along_axes[..., None, :] | along_axes[..., :, None]


untold = primitive(_untold, arity=2, examples=[([(2, 3, 3), (2, 3, 3)], {})])


def _lopsided(inner: Array) -> Array:
    """The entries where a matrix is not symmetric, beyond rounding."""
    largest = np.max(np.absolute(inner), axis=(-2, -1), keepdims=True, initial=0)
    return np.absolute(inner - inner.mT) > np.finfo(inner.dtype).eps ** 0.75 * largest


lopsided = primitive(_lopsided, examples=[([(2, 3, 3)], {})])


def _arriving(g: Array) -> Array:
    """The size of the gradient that arrives at each column."""
    return np.sum(np.absolute(g), axis=-2)


def _by_chance(used: Array, arriving: Array) -> Array:
    """1 if vectors were used and yet no gradient arrives at any of them, which is inconclusive; else 0."""
    return (used & ~np.any(np.not_equal(arriving, 0))).astype(arriving.dtype)


def _turning(gradient: Array, gaps: Array, g_values: Array, doubtful: Array, arriving: Array, vectors: str) -> Array:
    """The gradient of a matrix through rotations of its vectors, in their basis: the antisymmetric part over the gaps.

    A function f(x) = v f(w) vᵀ does not depend on the choice of v among equal w, but its derivative there is f'(w),
    which the gradient of v does not contain. So if values and vectors were both used, or if a symmetric gradient is
    inconclusive, the pair is doubtful: everything that belongs to it must vanish, and the two values must have the same
    gradient.
    """
    gaps = gaps + np.eye(gaps.shape[-1])  # no vector rotates towards itself
    mixed = np.absolute(gradient) + np.absolute(g_values[..., None, :] - g_values[..., :, None])
    mixed = mixed + arriving[..., None, :] + arriving[..., :, None]
    part = np.where(np.equal(gaps, 0) & doubtful, mixed, gradient - gradient.mT)
    return quotient(part, gaps, np.absolute(gradient) + np.absolute(g_values)[..., None, :], vectors=vectors) / 2


def _differences(values: Array) -> Array:
    """valueⱼ - valueᵢ; exactly 0 where the two are equal."""
    return np.where(equal_pairs(values), 0, values[..., None, :] - values[..., :, None])


def _by_difference(gradient: Array, values: Array) -> Array:
    """The same for values of which no two are equal, and for which nothing is to be refused."""
    gaps = values[..., None, :] - values[..., :, None]
    np.einsum("...ii->...i", gaps)[...] = 1
    return (gradient - gradient.mT) / (2 * gaps)


def _symmetric_vjp(
    through: Array,
    gw: Array,
    gv: Array,
    w: Array,
    v: Array,
    values_used: Array,
    v_used: Array,
    upper: bool,
    alike: bool,
) -> Array:
    """The gradient of a symmetric matrix from that through its values and those of its eigenvalues and eigenvectors."""
    # Giles, An extended collection of matrix derivative results (2008), section 3.1
    inner, doubtful, arriving = v.mT @ gv, values_used & v_used, 0 * gw
    if not alike:
        doubtful, arriving = doubtful | (untold(inner, v) & v_used), _arriving(gv)
        arriving = arriving + _by_chance(v_used, arriving)
    turning = _turning(inner, _differences(w), gw, doubtful, arriving, "eigenvectors of equal eigenvalues")
    return _in_triangle(through + v @ turning @ v.mT, upper)


def _eigh(x: Array, UPLO: Any = "L", values_used: bool = False, alike: bool = False) -> Array:
    return pack(np.linalg.eigh(x, UPLO), np.ndim(x) - 2)


def _eigenvalue_gaps(x: Array, UPLO: Any = "L", **_: Any) -> Array:
    return np.diff(np.linalg.eigvalsh(x, UPLO)) / 8


def _eigh_shapes(x: Array) -> list[Shape]:
    size = x.shape[-1]
    return [(size,), (size, size)]


def _eigh_vjp(g: Array, y: Array, x: Array, UPLO: Any = "L", values_used: bool = False, alike: bool = False) -> Array:
    shapes = _eigh_shapes(x)
    ((gw, w_used), (gv, v_used)), (w, v) = _arrived(g, shapes), _unpack(y, shapes)
    if type(gv) is np.ndarray and _are_apart(w):
        inner = _by_difference(v.mT @ gv, w) if v_used else np.zeros_like(v)
        np.einsum("...ii->...i", inner)[...] = gw
        return _in_triangle(v @ inner @ v.mT, UPLO.upper() == "U")
    _refuse_uneven(gw, w, "eigenvalues", but=v_used)  # `_turning` requires more of these
    through = composed(gw, v, v, w)
    if _are_idle(v_used, gv):
        return _in_triangle(through, UPLO.upper() == "U")
    return _symmetric_vjp(through, gw, gv, w, v, values_used | w_used, v_used, UPLO.upper() == "U", alike)


def as_read(x: Array, upper: bool = False) -> Array:
    """The symmetric matrix that LAPACK sees when it reads one triangle."""
    lower = np.tri(x.shape[-1], dtype=bool)
    return np.where(lower.T if upper else lower, x, x.mT)


packed_eigh = primitive(
    _eigh,
    _eigh_vjp,
    deferred=True,
    kink=_steady(_eigh, _eigenvalue_gaps),
    examples=[*SQUARE, ([(3, 3)], {"UPLO": "U"})],
)


@implements(np.linalg.eigh)
def eigh(a: Array, UPLO: Any = "L") -> Any:
    return EighResult(*_unpack(packed_eigh(a, UPLO=UPLO), _eigh_shapes(a)))


def _eigvalsh_vjp(g: Array, y: Array, x: Array, UPLO: Any = "L") -> Array:
    _refuse_uneven(g, y, "eigenvalues")
    # a traced gradient may depend on the values, see `_turning`
    packed = packed_eigh(x, UPLO=UPLO, values_used=isinstance(g, Traced), alike=True)
    _, v = _unpack(packed, _eigh_shapes(x))
    return _in_triangle(composed(g, v, v, y), UPLO.upper() == "U")


eigvalsh = primitive(np.linalg.eigvalsh, _eigvalsh_vjp, kink=_eigenvalue_gaps, examples=packed_eigh.examples)


def _svd(
    x: Array, full_matrices: bool = True, hermitian: bool = False, values_used: bool = False, alike: bool = False
) -> Array:
    return pack(np.linalg.svd(finite(x, hermitian), full_matrices, hermitian=hermitian), np.ndim(x) - 2)


def _singular_gaps(x: Array, hermitian: bool = False, **_: Any) -> Array:
    """The differences of neighbouring singular values, and the smallest singular value."""
    return np.diff(np.linalg.svd(x, compute_uv=False, hermitian=hermitian), append=0) / 8


def _svd_shapes(x: Array, full_matrices: bool) -> list[Shape]:
    m, n = x.shape[-2:]
    few = min(m, n)
    return [(m, m if full_matrices else few), (few,), (n if full_matrices else few, n)]


def _leading(g: Array, q: Array, count: int, vectors: str) -> Array:
    """The gradient of the first columns of an orthogonal matrix; the others only fill up the space and have none."""
    if g.shape[-1] == count:
        return g
    first, rest = q[..., :count], q[..., count:]
    turned = quotient(g[..., count:], 0.0, g[..., count:], vectors=vectors)  # 0, or an error
    return g[..., :count] - rest @ turned.mT @ first


def _svd_vjp(
    g: Array,
    y: Array,
    x: Array,
    full_matrices: bool = True,
    hermitian: bool = False,
    values_used: bool = False,
    alike: bool = False,
) -> Array:
    # Townsend, Differentiating the singular value decomposition (2016), with 1/(b² - a²) split into 1/(b - a) and
    # 1/(b + a): a result common to u and v, such as the orthogonal factor u vᵀ, does not involve the former
    shapes = _svd_shapes(x, full_matrices)
    (gu, u_used), (gs, s_used), (gvt, vt_used) = _arrived(g, shapes)
    u, s, vt = _unpack(y, shapes)
    is_reduced = max(u.shape[-1], vt.shape[-2]) == s.shape[-1]
    if type(gu) is np.ndarray and is_reduced and not hermitian and _are_apart(s) and not np.any(vanishing(s)):
        return _svd_vjp_of_distinct(gu, gs, gvt, u, s, vt)
    used, both_used, count = u_used | vt_used, (values_used | s_used) & (u_used | vt_used), s.shape[-1]
    first, v = u[..., :count], vt.mT[..., :count]
    _refuse_uneven(gs, s, "singular values", but=used)
    through = composed(gs, first, v, s, descending=True)
    if _are_idle(used, gu, gvt):
        return _in_triangle(through) if hermitian else through
    further = "further columns of a full svd"
    gu, gv, u = _leading(gu, u, count, further), _leading(gvt.mT, vt.mT, count, further), first
    if hermitian:  # u holds the eigenvectors, and v the same with the signs of the eigenvalues
        signs = np.sign(np.sum(u * v, axis=-2))
        gv = gu + gv * signs[..., None, :]
        return _symmetric_vjp(through, gs * signs, gv, s * signs, u, values_used | s_used, used, False, alike)
    left, right = u.mT @ gu, v.mT @ gv
    s_or_0 = np.where(vanishing(s), 0, s)
    sums = s_or_0[..., None, :] + s_or_0[..., :, None]
    doubtful, at_u, at_v = both_used, 0 * gs, 0 * gs
    if not alike:
        at_u, at_v = _arriving(gu), _arriving(gv)
        _refuse_signs(at_u, at_v, s, s_or_0)
        # u and v rotate together: if v takes back what a rotation of u changes, that is no coincidence
        told = lopsided(left) & ~np.equal(s_or_0, 0)[..., None, :]
        at_u, at_v = at_u + _by_chance(u_used, at_u + at_v), at_v + _by_chance(vt_used, at_u + at_v)
        silent = untold(left + right, np.concatenate([u, v], axis=-2)) & ~told
        doubtful = both_used | (silent & used)
    equal = "singular vectors of equal singular values"
    together = _turning(left + right, _differences(s), gs, doubtful, at_u + at_v, equal)
    apart = _turning(left - right, sums, gs, doubtful, at_u + at_v, _NO_VALUE)
    gradient = through + u @ (together + apart) @ v.mT
    if x.shape[-2] > count:
        gradient = gradient + _leaving(gu, u, s_or_0, gs, at_u + np.absolute(gs) * both_used) @ v.mT
    if x.shape[-1] > count:
        gradient = gradient + u @ _leaving(gv, v, s_or_0, gs, at_v + np.absolute(gs) * both_used).mT
    return gradient


def _svd_vjp_of_distinct(gu: Array, gs: Array, gvt: Array, u: Array, s: Array, vt: Array) -> Array:
    """The same for singular values of which no two are equal and none is 0, and for which nothing is to be refused."""
    gv, v = gvt.mT, vt.mT
    left, right = u.mT @ gu, vt @ gv
    differing = left - right
    sums = s[..., None, :] + s[..., :, None]
    inner = _by_difference(left + right, s) + (differing - differing.mT) / (2 * sums)
    np.einsum("...ii->...i", inner)[...] = gs
    gradient = u @ inner @ vt
    if u.shape[-2] > s.shape[-1]:
        gradient = gradient + ((gu - u @ left) / s[..., None, :]) @ vt
    if v.shape[-2] > s.shape[-1]:
        gradient = gradient + u @ ((gv - v @ right) / s[..., None, :]).mT
    return gradient


_NO_VALUE = "singular vectors of singular values that are 0"


def _refuse_signs(at_u: Array, at_v: Array, s: Array, s_or_0: Array) -> None:
    """Refuse a result that depends on both vectors of a singular value of 0: the sign of their product is arbitrary."""
    rounding = np.finfo(s.dtype).eps ** 0.75 * np.max(at_u + at_v, axis=-1, keepdims=True, initial=0)
    refuse_where(
        np.equal(s_or_0, 0) & (np.minimum(at_u, at_v) > rounding),
        s,
        message=f"the matrix does not determine the sign of u vᵀ for {_NO_VALUE}, and a result that depends on both "
        "has no derivative. Leave one of these vectors out",
    )


def _leaving(g: Array, q: Array, s_or_0: Array, gs: Array, arriving: Array) -> Array:
    """The part that rotates the vectors q out of the space that they span; outside, all values are 0."""
    outside = g - q @ (q.mT @ g)
    mixed = np.absolute(outside) + arriving[..., None, :]
    part = np.where(np.equal(s_or_0, 0)[..., None, :], mixed, outside)
    return quotient(part, s_or_0[..., None, :], np.absolute(g) + np.absolute(gs)[..., None, :], vectors=_NO_VALUE)


packed_svd = primitive(
    _svd,
    _svd_vjp,
    deferred=True,
    kink=_steady(_svd, _singular_gaps),
    examples=[(shapes, {"full_matrices": False}) for shapes, _ in ANY]
    + [([(3, 3)], {"full_matrices": False, "hermitian": True})],
)


def _svdvals(x: Array, hermitian: bool = False) -> Array:
    return np.linalg.svd(finite(x, hermitian), compute_uv=False, hermitian=hermitian)


def through_values(g: Array, x: Array, hermitian: bool = False) -> Array:
    """The gradient of a matrix through its singular values; those that are 0 contribute 0, as for |x|."""
    packed = packed_svd(x, full_matrices=False, hermitian=hermitian, values_used=isinstance(g, Traced), alike=True)
    u, s, vt = _unpack(packed, _svd_shapes(x, full_matrices=False))
    gradient = composed(np.where(vanishing(s), 0, g), u, vt.mT, s, descending=True)
    return _in_triangle(gradient) if hermitian else gradient


def _svdvals_vjp(g: Array, y: Array, x: Array, hermitian: bool = False) -> Array:
    none = vanishing(y)
    _refuse_uneven(g, y, "singular values", none[..., None, :] & none[..., :, None])
    return through_values(g, x, hermitian)


svdvals = primitive(_svdvals, _svdvals_vjp, kink=_singular_gaps, examples=[*ANY, ([(3, 3)], {"hermitian": True})])
implements(np.linalg.svdvals)(svdvals)


@implements(np.linalg.svd)
def svd(a: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    if not compute_uv:
        return svdvals(a, hermitian=hermitian)
    packed = packed_svd(a, full_matrices=full_matrices, hermitian=hermitian)
    return SVDResult(*_unpack(packed, _svd_shapes(a, full_matrices)))


def _qr(x: Array, mode: Any = "reduced") -> Array:
    return pack(np.linalg.qr(x, mode), np.ndim(x) - 2)


def _qr_parts(packed: Array, x: Array, mode: str) -> list[Array]:
    m, n = x.shape[-2:]
    rows = m if mode == "complete" else min(m, n)
    return _unpack(packed, [(m, rows), (rows, n)])


def _qr_vjp(g: Array, y: Array, x: Array, mode: Any = "reduced") -> Array:
    # Roberts and Roberts, QR and LQ decomposition matrix backpropagation algorithms (2020)
    (gq, gr), (q, r) = _qr_parts(g, x, mode), _qr_parts(y, x, mode)
    count = min(x.shape[-2:])
    gq, q = _leading(gq, q, count, "further columns of a complete qr"), q[..., :count]
    square, gr, g_rest = r[..., :count, :count], gr[..., :count, :count], gr[..., :count, count:]
    diagonal = np.diagonal(square, axis1=-2, axis2=-1)
    refuse_where(
        vanishing(diagonal),
        diagonal,
        message="qr: the columns of q have no derivative if the first columns of the matrix are linearly dependent",
    )
    is_wide = x.shape[-1] > count
    if is_wide:
        gq = gq + x[..., count:] @ g_rest.mT
    inner = square @ gr.mT - gq.mT @ q
    lower = inner * _halved(count, inner.dtype)
    columns = np.linalg.solve(square, (gq + q @ (lower + lower.mT)).mT).mT
    return np.concatenate([columns, q @ g_rest], axis=-1) if is_wide else columns


packed_qr = primitive(_qr, _qr_vjp, kink=_steady(_qr, singularity), examples=ANY)


@implements(np.linalg.qr)
def qr(a: Array, mode: Any = "reduced") -> Any:
    if mode not in ("reduced", "complete", "r"):
        raise UsageError(f"qr: mode={mode!r} has no derivative here; pass 'reduced', 'complete' or 'r'")
    kind = "reduced" if mode == "r" else mode
    q, r = _qr_parts(packed_qr(a, mode=kind), a, kind)
    return r if mode == "r" else QRResult(q, r)


def _cuts_off(x: Array, y: Array) -> Array:
    """Whether y = x⁺ neglects singular values of x that are not small compared with those that it keeps."""
    s = np.linalg.svd(x, compute_uv=False)
    rank = np.rint(np.sum(x * y.mT, axis=(-2, -1)))[..., None]  # the trace of a projection
    kept = np.arange(s.shape[-1]) < rank
    largest_neglected = np.max(np.where(kept, 0, s), axis=-1)
    smallest_kept = np.min(np.where(kept, s, np.inf), axis=-1)
    return np.any(largest_neglected > np.sqrt(np.finfo(s.dtype).eps) * smallest_kept)


cuts_off = primitive(_cuts_off, arity=2, examples=[([(3, 2), (2, 3)], {})])


def _pinv_vjp(
    g: Array, y: Array, x: Array, rcond: Any = None, hermitian: bool = False, rtol: Any = np._NoValue
) -> Array:
    if not x.size:  # NumPy then does not call LAPACK, which does not take float16
        return np.zeros_like(x)
    # Golub and Pereyra, The differentiation of pseudo-inverses (1973), equation 4.12, for a constant rank
    if hermitian:
        x = np.where(np.tri(x.shape[-1], dtype=bool), x, x.mT)
    refuse_where(
        cuts_off(x, y),
        cuts_off(x, y),
        message="pinv, lstsq: rcond= cuts off singular values that are not negligible, for which there is no "
        "derivative. Lower it, or compute the truncated inverse from np.linalg.svd",
    )
    turned = g.mT
    outside = turned - x @ (y @ turned)
    beside = turned - (turned @ y) @ x
    gradient = outside @ y @ y.mT + y.mT @ y @ beside - y.mT @ g @ y.mT
    return _in_triangle(gradient) if hermitian else gradient


def _pinv(a: Array, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Array:
    return np.linalg.pinv(finite(a, hermitian), rcond, hermitian, rtol=rtol)


pinv = primitive(
    _pinv,
    _pinv_vjp,
    kink=singularity,
    examples=[*ANY, ([(2, 2)], {"hermitian": True}), ([(3, 2)], {"rcond": 1e-9}), ([(3, 2)], {"rtol": 1e-9})],
)


implements(np.linalg.pinv)(pinv)


def _lstsq(a: Array, b: Array, rcond: float | None = None) -> Array:
    a = finite(a, message="SVD did not converge in Linear Least Squares")
    solution, residuals, rank, s = np.linalg.lstsq(a, b, rcond)
    return pack((solution, residuals, np.asarray(rank, s.dtype), s), 0)


def _lstsq_parts(packed: Array, a: Array, b: Array) -> list[Array]:
    (m, n), columns = np.shape(a), np.shape(b)[1:]
    residuals = packed.size - n * prod(columns) - 1 - min(m, n)  # none unless a has full rank and is tall
    return _unpack(packed, [(n, *columns), (residuals,), (), (min(m, n),)])


def _lstsq_terms(g: Array, y: Array, a: Array, b: Array, rcond: float | None) -> tuple[Array, ...]:
    """The terms of both rules: a⁺, the solution and its gradient, b, and the gradient of b - a·solution."""
    (g_solution, g_residuals, _, _), (solution, residuals, _, _) = _lstsq_parts(g, a, b), _lstsq_parts(y, a, b)
    solution, g_solution, b = as_columns(b, solution, g_solution, b)
    epsilon = np.finfo(np.float64).eps
    cutoff = max(a.shape) * epsilon if rcond is None else epsilon if rcond < 0 else rcond
    g_rest = 2 * (b - a @ solution) * (g_residuals if residuals.size else 0)
    return np.linalg.pinv(a, cutoff), solution, g_solution, b, g_rest


def _lstsq_vjp_a(g: Array, y: Array, a: Array, b: Array, rcond: float | None = None) -> Array:
    inverse, solution, g_solution, b_columns, g_rest = _lstsq_terms(g, y, a, b, rcond)
    *_, g_values = _lstsq_parts(g, a, b)
    *_, values = _lstsq_parts(y, a, b)
    through_inverse = _pinv_vjp(g_solution @ b_columns.mT, inverse, a)
    return through_inverse - g_rest @ solution.mT + _svdvals_vjp(g_values, values, a)


def _lstsq_vjp_b(g: Array, y: Array, a: Array, b: Array, rcond: float | None = None) -> Array:
    inverse, _, g_solution, _, g_rest = _lstsq_terms(g, y, a, b, rcond)
    return np.reshape(inverse.mT @ g_solution + g_rest, np.shape(b))


packed_lstsq = primitive(
    _lstsq,
    _lstsq_vjp_a,
    _lstsq_vjp_b,
    kink=singularity,
    examples=[(shapes, {}) for shapes in ([(3, 2), (3,)], [(3, 2), (3, 2)], [(2, 3), (2,)], [(2, 2), (2, 1)])]
    + [([(3, 2), (3,)], {"rcond": 1e-9})],
)


@implements(np.linalg.lstsq)
def lstsq(a: Array, b: Array, rcond: float | None = None) -> tuple[Array, ...]:
    solution, residuals, rank, s = _lstsq_parts(packed_lstsq(a, b, rcond=rcond), a, b)
    return solution, residuals, rank.astype(np.intc), s
