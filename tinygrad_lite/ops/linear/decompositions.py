"""Decompositions of matrices: Cholesky, eigenvalues and eigenvectors, singular values and their vectors, QR."""

from functools import lru_cache
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import POSITIVE, Array, Rule, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import UsageError
from tinygrad_lite.ops.kept import kept
from tinygrad_lite.ops.linear.conjugates import adjoint, conj, real, refuse_phases
from tinygrad_lite.ops.linear.equal_values import (
    are_apart,
    are_distinct,
    by_chance,
    by_rotation,
    by_rotation_of_distinct,
    column_sizes,
    composed,
    differences,
    lopsided,
    quotient,
    refuse_uneven,
    untold,
    vanishing,
)
from tinygrad_lite.ops.linear.linalg import ANY, SQUARE, finite, singularity
from tinygrad_lite.ops.linear.packing import Shape, are_idle, arrived, pack, unpack
from tinygrad_lite.ops.requirements import refuse_where


def _result_of(decompose: Any) -> Any:
    return type(decompose(np.eye(1)))


EighResult, QRResult, SVDResult = map(_result_of, (np.linalg.eigh, np.linalg.qr, np.linalg.svd))


@lru_cache(maxsize=8)
def _halved(size: int, dtype: Any) -> Array:
    """Weights of the lower triangle: 1 below the diagonal and 1/2 on it."""
    return kept(np.tri(size, dtype=dtype) - np.eye(size, dtype=dtype) / 2)


def in_triangle(g: Array, upper: bool = False) -> Array:
    """The gradient of a Hermitian matrix, moved to the triangle that was read; the other triangle has no influence."""
    weights = _halved(g.shape[-1], g.dtype)
    return (g + adjoint(g)) * (weights.T if upper else weights)


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
        g, y = adjoint(g), adjoint(y)
    inverse = _inverse_of_lower(y)
    return in_triangle(inverse.mT @ (y.mT @ g * _halved(y.shape[-1], y.dtype)) @ conj(inverse), upper)


cholesky = primitive(
    np.linalg.cholesky,
    _cholesky_vjp,
    refuses=True,
    takes_complex=True,
    domain=(POSITIVE,),
    kink=lambda x, upper=False: np.maximum(np.linalg.eigvalsh(x, "U" if upper else "L"), 0) / 8,
    examples=[([shape], {"upper": upper}) for shape in ((1, 1), (2, 2)) for upper in (False, True)],
)


def steady(decompose: Rule, distance: Rule) -> Rule:
    """A kink: this distance; also 0 where LAPACK changes the sign of a vector in the neighbourhood."""

    def kink(x: Array, **params: Any) -> Array:
        y = decompose(x, **params)
        steps = 0.005 * np.eye(x.size).reshape(x.size, *x.shape)
        return distance(x, **params) * all(
            np.allclose(decompose(x + step, **params), y, atol=0.5) for step in (*steps, *-steps)
        )

    return kink


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
        doubtful, arriving = doubtful | (untold(inner, v) & v_used), column_sizes(gv)
        arriving = arriving + by_chance(v_used, arriving)
    refuse_phases(inner, [gv], "eigenvectors")
    turning = by_rotation(inner, differences(w), gw, doubtful, arriving, "eigenvectors of equal eigenvalues")
    return in_triangle(through + conj(v) @ turning @ v.mT, upper)


def _eigh(x: Array, UPLO: Any = "L", values_used: bool = False, alike: bool = False) -> Array:
    return pack(np.linalg.eigh(x, UPLO), np.ndim(x) - 2)


def _eigenvalue_gaps(x: Array, UPLO: Any = "L", **_: Any) -> Array:
    return np.diff(np.linalg.eigvalsh(x, UPLO)) / 8


def _eigh_shapes(x: Array) -> list[Shape]:
    size = x.shape[-1]
    return [(size,), (size, size)]


def _eigh_vjp(g: Array, y: Array, x: Array, UPLO: Any = "L", values_used: bool = False, alike: bool = False) -> Array:
    shapes = _eigh_shapes(x)
    ((gw, w_used), (gv, v_used)), (w, v) = arrived(g, shapes), unpack(y, shapes)
    gw, w = real(gw), real(w)
    if type(gv) is np.ndarray and are_apart(w):
        inner = v.mT @ gv if v_used else np.zeros_like(v)
        refuse_phases(inner, [gv], "eigenvectors")
        inner = by_rotation_of_distinct(inner, w)
        np.einsum("...ii->...i", inner)[...] = gw
        return in_triangle(conj(v) @ inner @ v.mT, UPLO.upper() == "U")
    refuse_uneven(gw, w, "eigenvalues", but=v_used)  # `by_rotation` requires more of these
    through = composed(gw, v, v, w)
    if are_idle(v_used, gv):
        return in_triangle(through, UPLO.upper() == "U")
    return _symmetric_vjp(through, gw, gv, w, v, values_used | w_used, v_used, UPLO.upper() == "U", alike)


def as_read(x: Array, upper: bool = False) -> Array:
    """The Hermitian matrix that LAPACK sees when it reads one triangle."""
    lower = np.tri(x.shape[-1], dtype=bool)
    y = np.where(lower.T if upper else lower, x, adjoint(x))
    return np.where(np.eye(x.shape[-1], dtype=bool), np.real(x), y) if x.dtype.kind == "c" else y


packed_eigh = primitive(
    _eigh,
    _eigh_vjp,
    refuses=True,
    takes_complex=True,
    deferred=True,
    kink=steady(_eigh, _eigenvalue_gaps),
    examples=[*SQUARE, ([(3, 3)], {"UPLO": "U"})],
)


@implements(np.linalg.eigh)
def eigh(a: Array, UPLO: Any = "L") -> Any:
    w, v = unpack(packed_eigh(a, UPLO=UPLO), _eigh_shapes(a))
    return EighResult(real(w), v)


def _eigvalsh_vjp(g: Array, y: Array, x: Array, UPLO: Any = "L") -> Array:
    if type(g) is np.ndarray and are_apart(y):
        _, v = np.linalg.eigh(x, UPLO)
        return in_triangle((conj(v) * g[..., None, :]) @ v.mT, UPLO.upper() == "U")
    refuse_uneven(g, y, "eigenvalues")
    # a traced gradient may depend on the values, see `by_rotation`
    packed = packed_eigh(x, UPLO=UPLO, values_used=isinstance(g, Traced), alike=True)
    _, v = unpack(packed, _eigh_shapes(x))
    return in_triangle(composed(g, v, v, y), UPLO.upper() == "U")


eigvalsh = primitive(
    np.linalg.eigvalsh,
    _eigvalsh_vjp,
    refuses=True,
    takes_complex=True,
    kink=_eigenvalue_gaps,
    examples=packed_eigh.examples,
)


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
    """The gradient of the first columns of a unitary matrix; the others only fill up the space and have none."""
    if g.shape[-1] == count:
        return g
    first, rest = q[..., :count], q[..., count:]
    turned = quotient(g[..., count:], 0.0, g[..., count:], vectors=vectors)  # 0, or an error
    return g[..., :count] - conj(rest @ turned.mT @ first)


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
    (gu, u_used), (gs, s_used), (gvt, vt_used) = arrived(g, shapes)
    u, s, vt = unpack(y, shapes)
    gs, s = real(gs), real(s)
    is_reduced = max(u.shape[-1], vt.shape[-2]) == s.shape[-1]
    if type(gu) is np.ndarray and is_reduced and not hermitian and are_distinct(s):
        return _svd_vjp_of_distinct(gu, gs, gvt, u, s, vt)
    used, both_used, count = u_used | vt_used, (values_used | s_used) & (u_used | vt_used), s.shape[-1]
    first, v = u[..., :count], adjoint(vt)[..., :count]
    refuse_uneven(gs, s, "singular values", but=used)
    through = composed(gs, first, v, s, descending=True)
    if are_idle(used, gu, gvt):
        return in_triangle(through) if hermitian else through
    further = "further columns of a full svd"
    gu, gv, u = _leading(gu, u, count, further), _leading(adjoint(gvt), adjoint(vt), count, further), first
    if hermitian:  # u holds the eigenvectors, and v the same with the signs of the eigenvalues
        signs = np.sign(real(np.sum(conj(u) * v, axis=-2)))
        gv = gu + gv * signs[..., None, :]
        return _symmetric_vjp(through, gs * signs, gv, s * signs, u, values_used | s_used, used, False, alike)
    left, right = u.mT @ gu, v.mT @ gv
    s_or_0 = np.where(vanishing(s), 0, s)
    refuse_phases(left + right, [gu, gv], "singular vectors")
    alone = np.where(np.equal(s_or_0, 0)[..., None, :], left, 0)  # of a value of 0, each has a phase of its own
    refuse_phases(alone, [gu], "singular vectors")
    sums = s_or_0[..., None, :] + s_or_0[..., :, None]
    sums = np.where(np.eye(count, dtype=bool) & np.equal(sums, 0), 1, sums)
    doubtful, at_u, at_v = both_used, 0 * gs, 0 * gs
    if not alike:
        at_u, at_v = column_sizes(gu), column_sizes(gv)
        _refuse_signs(at_u, at_v, s, s_or_0)
        # u and v rotate together: if v takes back what a rotation of u changes, that is no coincidence
        told = lopsided(left) & ~np.equal(s_or_0, 0)[..., None, :]
        at_u, at_v = at_u + by_chance(u_used, at_u + at_v), at_v + by_chance(vt_used, at_u + at_v)
        silent = untold(left + right, np.concatenate([u, v], axis=-2)) & ~told
        doubtful = both_used | (silent & used)
    equal = "singular vectors of equal singular values"
    together = by_rotation(left + right, differences(s), gs, doubtful, at_u + at_v, equal)
    apart = by_rotation(left - right, sums, gs, doubtful, at_u + at_v, _NO_VALUE)
    gradient = through + conj(u) @ (together + apart) @ v.mT
    if x.shape[-2] > count:
        gradient = gradient + _leaving(gu, u, s_or_0, gs, at_u + np.absolute(gs) * both_used) @ v.mT
    if x.shape[-1] > count:
        gradient = gradient + conj(u @ _leaving(gv, v, s_or_0, gs, at_v + np.absolute(gs) * both_used).mT)
    return gradient


def _svd_vjp_of_distinct(gu: Array, gs: Array, gvt: Array, u: Array, s: Array, vt: Array) -> Array:
    """The same for singular values that all differ and are not 0, where nothing is to be refused."""
    gv, v = adjoint(gvt), adjoint(vt)
    left, right = u.mT @ gu, v.mT @ gv
    refuse_phases(left + right, [gu, gv], "singular vectors")
    differing = left - right
    sums = s[..., None, :] + s[..., :, None]
    inner = by_rotation_of_distinct(left + right, s) + (differing - adjoint(differing)) / (2 * sums)
    np.einsum("...ii->...i", inner)[...] += gs
    gradient = conj(u) @ inner @ v.mT
    if u.shape[-2] > s.shape[-1]:
        gradient = gradient + ((gu - conj(u) @ left) / s[..., None, :]) @ v.mT
    if v.shape[-2] > s.shape[-1]:
        gradient = gradient + conj(u @ ((gv - conj(v) @ right) / s[..., None, :]).mT)
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
    outside = g - conj(q) @ (q.mT @ g)
    mixed = np.absolute(outside) + arriving[..., None, :]
    part = np.where(np.equal(s_or_0, 0)[..., None, :], mixed, outside)
    return quotient(part, s_or_0[..., None, :], np.absolute(g) + np.absolute(gs)[..., None, :], vectors=_NO_VALUE)


packed_svd = primitive(
    _svd,
    _svd_vjp,
    refuses=True,
    takes_complex=True,
    deferred=True,
    kink=steady(_svd, _singular_gaps),
    examples=[(shapes, {"full_matrices": False}) for shapes, _ in ANY]
    + [([(3, 3)], {"full_matrices": False, "hermitian": True})],
)


def _svdvals(x: Array, hermitian: bool = False) -> Array:
    return np.linalg.svd(finite(x, hermitian), compute_uv=False, hermitian=hermitian)


def through_values(g: Array, x: Array, hermitian: bool = False) -> Array:
    """The gradient of a matrix through its singular values; those that are 0 contribute 0, as for |x|."""
    if type(x) is np.ndarray and not isinstance(g, Traced) and not hermitian:
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        if are_distinct(s):
            return (conj(u) * g[..., None, :]) @ conj(vt)
    packed = packed_svd(x, full_matrices=False, hermitian=hermitian, values_used=isinstance(g, Traced), alike=True)
    u, s, vt = unpack(packed, _svd_shapes(x, full_matrices=False))
    s = real(s)
    gradient = composed(np.where(vanishing(s), 0, g), u, adjoint(vt), s, descending=True)
    return in_triangle(gradient) if hermitian else gradient


def svdvals_vjp(g: Array, y: Array, x: Array, hermitian: bool = False) -> Array:
    if type(g) is np.ndarray and not hermitian and are_distinct(y):
        return through_values(g, x)
    none = vanishing(y)
    refuse_uneven(g, y, "singular values", none[..., None, :] & none[..., :, None])
    return through_values(g, x, hermitian)


svdvals = primitive(
    _svdvals,
    svdvals_vjp,
    refuses=True,
    takes_complex=True,
    kink=_singular_gaps,
    examples=[*ANY, ([(3, 3)], {"hermitian": True})],
)
implements(np.linalg.svdvals)(svdvals)


@implements(np.linalg.svd)
def svd(a: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    if not compute_uv:
        return svdvals(a, hermitian=hermitian)
    packed = packed_svd(a, full_matrices=full_matrices, hermitian=hermitian)
    u, s, vt = unpack(packed, _svd_shapes(a, full_matrices))
    return SVDResult(u, real(s), vt)


def _qr(x: Array, mode: Any = "reduced") -> Array:
    return pack(np.linalg.qr(x, mode), np.ndim(x) - 2)


def _qr_parts(packed: Array, x: Array, mode: str) -> list[Array]:
    m, n = x.shape[-2:]
    rows = m if mode == "complete" else min(m, n)
    return unpack(packed, [(m, rows), (rows, n)])


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
        gq = gq + conj(x[..., count:] @ g_rest.mT)
    inner = square @ gr.mT - gq.mT @ q
    lower = inner * _halved(count, inner.dtype)
    columns = np.linalg.solve(square, (gq + conj(q) @ (conj(lower) + lower.mT)).mT).mT
    return np.concatenate([columns, conj(q) @ g_rest], axis=-1) if is_wide else columns


packed_qr = primitive(_qr, _qr_vjp, takes_complex=True, kink=steady(_qr, singularity), examples=ANY)


@implements(np.linalg.qr)
def qr(a: Array, mode: Any = "reduced") -> Any:
    if mode not in ("reduced", "complete", "r"):
        raise UsageError(f"qr: mode={mode!r} has no derivative here; pass 'reduced', 'complete' or 'r'")
    kind = "reduced" if mode == "r" else mode
    q, r = _qr_parts(packed_qr(a, mode=kind), a, kind)
    return r if mode == "r" else QRResult(q, r)
