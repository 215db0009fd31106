"""Further factorisations, with the names and signatures of scipy.linalg."""

from typing import Any, Literal

import numpy as np

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.ops.linear.conjugates import adjoint, real
from tinygrad_lite.ops.linear.decompositions import as_read, steady
from tinygrad_lite.ops.linear.linalg import as_columns, as_of_columns, singularity, square_matrix
from tinygrad_lite.ops.linear.scipys import library, over_matrices
from tinygrad_lite.ops.linear.triangular import solve_triangular, triangular


def _lu(x: Array) -> Array:
    """Both factors in one matrix, and below them the row that each row was exchanged with."""
    factorize = library("lu_factor").get_lapack_funcs("getrf", (x,))

    def factors(matrix: Array) -> Array:
        lu, pivots, singular = factorize(matrix)
        if singular:
            raise np.linalg.LinAlgError("Singular matrix")
        return np.concatenate([lu, pivots[None].astype(lu.dtype)])

    return over_matrices("lu_factor", factors, x)


def _whole(pivots: Array) -> Array:
    return real(pivots).astype(int)


def _lu_vjp(g: Array, y: Array, x: Array) -> Array:
    # with the rows of x in their order, l⁻¹ dx u⁻¹ = l⁻¹ dl + du u⁻¹, a triangle below the diagonal, and the rest
    g, lu, order = g[..., :-1, :], y[..., :-1, :], _order(_whole(y[..., -1, :]))
    lower, upper = np.tril(lu, -1) + np.eye(x.shape[-1], dtype=x.dtype), np.triu(lu)
    inner = np.tril(lower.mT @ np.tril(g, -1), -1) + np.triu(np.triu(g) @ upper.mT)
    left = triangular(lu, inner, transposed=True, lower=True, unit_diagonal=True)
    gradient = triangular(lu, left.mT).mT
    return np.take_along_axis(gradient, np.argsort(order, axis=-1)[..., None], -2)


packed_lu = primitive(
    _lu,
    _lu_vjp,
    name="lu_factor",
    refuses=True,
    takes_complex=True,
    kink=steady(_lu, singularity),
    examples=[([(1, 1)], {}), ([(3, 3)], {}), ([(2, 2, 2)], {})],
)


def _order_of(pivots: Array) -> Array:
    """The rows of a matrix in the order in which its factors have them."""
    size = pivots.shape[-1]
    if not np.all((pivots >= 0) & (pivots < size)):
        raise UsageError(
            f"piv must hold numbers of rows, from 0 to {size - 1}, as lu_factor returns them, got {pivots}"
        )
    order = np.broadcast_to(np.arange(size), pivots.shape).copy()
    for place in np.ndindex(pivots.shape[:-1]):
        for i, other in enumerate(pivots[place]):
            order[(*place, [i, other])] = order[(*place, [other, i])]
    return order


_order = primitive(_order_of, name="order_of_rows", refuses=True, examples=[([np.array([2, 1, 2])], {})])


def lu_factor(a: Array, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Array, Array]:
    """The factors (lu, piv) of a square matrix, or of each in a stack, for `lu_solve`.

    With its rows in another order, a = l u. lu holds l below its diagonal, on which l is 1, and u elsewhere. Row i was
    exchanged with row piv[i]. This is scipy.linalg.lu_factor for arrays and tensors.

    Raises:
        ShapeError: if a is not square.
        InputError: for NaN and infinity.
        numpy.linalg.LinAlgError: if a is singular.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.lu_factor([[1.0, 3.0], [2.0, 4.0]])
        (array([[2. , 4. ],
               [0.5, 1. ]]), array([1, 1]))
    """
    a = square_matrix("lu_factor", a)
    packed = packed_lu(a if a.dtype.kind in "fc" else a.astype(float))
    return packed[..., :-1, :], _whole(packed[..., -1, :])


def lu_solve(
    lu_and_piv: tuple[Array, Array],
    b: Array,
    trans: Literal[0, 1, 2] = 0,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Array:
    """Solve a x = b for x from the factors `lu_factor(a)`; or aᵀ x = b, or aᴴ x = b, for trans=1 or trans=2.

    This is scipy.linalg.lu_solve for arrays and tensors, with NumPy's rule for stacks, as in `solve_triangular`.

    Raises:
        InputError, ShapeError, numpy.linalg.LinAlgError: as `solve_triangular` does.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.lu_solve(tg.linalg.lu_factor([[1.0, 3.0], [2.0, 4.0]]), [7.0, 10.0])
        array([1., 2.])
    """
    lu, pivots = lu_and_piv
    b = as_array(b)
    (columns,) = as_columns(b, b)
    order = _order(as_array(pivots))
    if trans == 0:
        columns = np.take_along_axis(columns, order[..., None], -2)
        columns = solve_triangular(lu, columns, lower=True, unit_diagonal=True, check_finite=check_finite)
        return as_of_columns(b, solve_triangular(lu, columns, check_finite=False))
    columns = solve_triangular(lu, columns, trans, check_finite=check_finite)
    columns = solve_triangular(lu, columns, trans, lower=True, unit_diagonal=True, check_finite=False)
    return as_of_columns(b, np.take_along_axis(columns, np.argsort(order, axis=-1)[..., None], -2))


def polar(a: Array, side: Literal["left", "right"] = "right") -> tuple[Array, Array]:
    """The factors (u, p) of a = u p, or for side="left" of a = p u: u is unitary, and p is positive semidefinite.

    This is scipy.linalg.polar for arrays and tensors, also in stacks. With u s vᴴ, the singular value decomposition, u
    is u vᴴ, and p is v s vᴴ, or u s uᴴ. They have no derivative where a singular value is 0.

    Raises:
        InputError: if `side` is something else.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> u, p = tg.linalg.polar(np.array([[0.0, -2.0], [3.0, 0.0]]))
        >>> u.round(12) + 0.0, p.round(12) + 0.0
        (array([[ 0., -1.],
               [ 1.,  0.]]), array([[3., 0.],
               [0., 2.]]))
    """
    if side not in ("left", "right"):
        raise InputError(f'side must be "left" or "right", got {side!r}')
    u, s, vh = np.linalg.svd(as_array(a), full_matrices=False)
    vectors = u if side == "left" else adjoint(vh)
    return u @ vh, (vectors * s[..., None, :]) @ adjoint(vectors)


def eigh(a: Array, b: Array | None = None, *, lower: bool = True, eigvals_only: bool = False, type: int = 1) -> Any:
    """The eigenvalues w and eigenvectors v of a Hermitian matrix, or those of a v = b v w for a positive definite b.

    This is scipy.linalg.eigh for arrays and tensors, also in stacks. The vectors have vᴴ b v = 1. With the Cholesky
    factor c of b, they are c⁻ᴴ times those of c⁻¹ a c⁻ᴴ.

    Args:
        lower: whether the lower triangles of a and b are read, or else the upper ones.
        eigvals_only: whether to return w alone.
        type: 1; the other problems of SciPy's have no derivative here.

    Raises:
        UsageError: for another type.
        numpy.linalg.LinAlgError: if b is not positive definite.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.eigh([[2.0, 0.0], [0.0, 3.0]], [[4.0, 0.0], [0.0, 1.0]], eigvals_only=True)
        array([0.5, 3. ])
    """
    if type != 1:
        raise UsageError(f"eigh: type={type} has no derivative here; pass the matrices of a v = b v w, with type=1")
    a = square_matrix("eigh", a)
    triangle: Literal["L", "U"] = "L" if lower else "U"
    if b is None:
        return np.linalg.eigvalsh(a, triangle) if eigvals_only else tuple(np.linalg.eigh(a, triangle))
    factor = np.linalg.cholesky(square_matrix("eigh", b), upper=not lower)
    factor = factor if lower else adjoint(factor)
    half = solve_triangular(factor, as_read(a, not lower), lower=True)
    inner = adjoint(solve_triangular(factor, adjoint(half), lower=True))
    if eigvals_only:
        return np.linalg.eigvalsh(inner)
    w, v = np.linalg.eigh(inner)
    return w, solve_triangular(factor, v, "C", lower=True)
