"""Eigenvalues and eigenvectors of any square matrix, which are complex in general."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.ops.casting import real_if_all_are
from tinygrad_lite.ops.linear.conjugates import conj, real, refuse_phases
from tinygrad_lite.ops.linear.equal_values import by_chance, column_sizes, differences, equal_pairs, quotient, uneven
from tinygrad_lite.ops.linear.linalg import SQUARE, finite
from tinygrad_lite.ops.linear.packing import Shape, arrived, pack, unpack
from tinygrad_lite.ops.requirements import refuse_where

EigResult: Any = type(np.linalg.eig(np.eye(1)))
_ARE_COMPLEX = np.iscomplexobj(np.linalg.eigvals(np.eye(1)))  # always, as NumPy has it since 2.5


def _complex(x: Array) -> Array:
    return x.astype(np.result_type(x, np.complex64), copy=False)


def _eig(x: Array) -> Array:
    return pack([_complex(part) for part in np.linalg.eig(x)], np.ndim(x) - 2)


def _shapes(x: Array) -> list[Shape]:
    size = x.shape[-1]
    return [(size,), (size, size)]


def _gaps(x: Array) -> Array:
    """The distances of the eigenvalues, and of a matrix without enough eigenvectors from 0."""
    w, v = np.linalg.eig(x)
    size = x.shape[-1]
    apart = np.absolute(w[..., None, :] - w[..., :, None])[..., *np.triu_indices(size, 1)]
    return np.concatenate([apart / 4, np.linalg.svdvals(v)], axis=-1)


def _is_singular(v: Array) -> Array:
    """Whether the smallest singular value is so small beside the largest that an inverse has no digits."""
    s = np.linalg.svd(finite(v), compute_uv=False)
    return s[..., -1:] <= np.finfo(v.dtype).eps ** 0.75 * s[..., :1]


is_singular = primitive(_is_singular, refuses=True, examples=[([(2, 3, 3)], {})])


def _through_values(g: Array, w: Array, v: Array, inner: Array) -> Array:
    """The gradient of a matrix v w v⁻¹ from that of w, and from `inner`, that of v⁻¹ dx v beside the diagonal."""
    refuse_where(
        uneven(g, w),
        w[..., None, :],
        message="two eigenvalues are equal, {:.6g}, and only have a derivative together: the result must treat them "
        "alike, as their sum or their mean does. Write such a result, or make the values differ",
    )
    defective = is_singular(v)
    refuse_where(
        defective,
        defective,
        message="the matrix has fewer independent eigenvectors than rows, and there its eigenvalues have no derivative",
    )
    diagonal = np.eye(w.shape[-1], dtype=bool)
    return np.linalg.solve(v.mT, np.where(diagonal, g[..., None, :], inner) @ v.mT)


def _eig_vjp(g: Array, y: Array, x: Array) -> Array:
    # Magnus, On differentiating eigenvalues and eigenvectors (1985): for m = v⁻¹ dx v, dw is its diagonal, and dv is
    # v (m / gaps), less what would change the length of a column of v, which is 1
    shapes = _shapes(x)
    ((gw, _), (gv, v_used)), (w, v) = arrived(g, shapes), unpack(y, shapes)
    may_turn = True if x.dtype.kind == "c" else np.any(np.not_equal(np.imag(v), 0), axis=-2)[..., None, :]
    refuse_phases(np.where(may_turn, v.mT @ gv, 0), [gv], "eigenvectors")
    inner = v.mT @ (gv - conj(v) * real(np.sum(gv * v, axis=-2, keepdims=True)))
    arriving = column_sizes(gv)
    arriving = arriving + by_chance(v_used, arriving)
    # the vectors of equal values are any basis of their space, and a result that also depends on the values changes
    # by more than their gradients tell
    mixed = np.absolute(inner) + arriving[..., None, :] + arriving[..., :, None]
    part = np.where(equal_pairs(w), mixed, inner)
    diagonal = np.eye(w.shape[-1], dtype=bool)
    turning = quotient(np.where(diagonal, 0, part), differences(w), mixed, vectors="eigenvectors of equal eigenvalues")
    return _through_values(gw, w, v, turning)


packed_eig = primitive(
    _eig, _eig_vjp, name="eig", refuses=True, deferred=True, takes_complex=True, kink=_gaps, examples=SQUARE
)


def _eigvals(x: Array) -> Array:
    return _complex(np.linalg.eigvals(x))


def _eigvals_vjp(g: Array, y: Array, x: Array) -> Array:
    w, v = unpack(packed_eig(x), _shapes(x))
    return _through_values(g, w, v, np.zeros_like(v))


eigvals = primitive(_eigvals, _eigvals_vjp, refuses=True, takes_complex=True, kink=_gaps, examples=SQUARE)


def _as_numpys(y: Array, x: Array) -> Array:
    return y if _ARE_COMPLEX else real_if_all_are(y, x)


@implements(np.linalg.eig)
def eig(a: Array) -> Any:
    return EigResult(*unpack(_as_numpys(packed_eig(a), a), _shapes(a)))


@implements(np.linalg.eigvals)
def eigvals_as_numpy(a: Array) -> Array:
    return _as_numpys(eigvals(a), a)
