"""Functions of a matrix besides the exponential, with the names and signatures of scipy.linalg."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Rule, primitive
from tinygrad_lite.ops.casting import real_if_all_are
from tinygrad_lite.ops.linear.eigenvalues import is_singular
from tinygrad_lite.ops.linear.exponential import through_block
from tinygrad_lite.ops.linear.linalg import square_matrix
from tinygrad_lite.ops.linear.scipys import each_matrix, library, over_matrices
from tinygrad_lite.ops.requirements import refuse_where


def _distance_to_cut(x: Array) -> Array:
    """How far the eigenvalues are from the negative real axis, where roots and logarithms jump, and from 0."""
    w = np.linalg.eigvals(x)
    return np.where(np.less(np.real(w), 0), np.absolute(np.imag(w)), np.absolute(w)) / 4


_NEAR = 0.25  # in the 1-norm, from 1, for logarithms by eight nodes that have all digits
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


def _logarithm(x: Array) -> Array:
    # Higham, Functions of Matrices (2008), chapter 11: the roots of x come close to 1, where log(1 + z) is the integral
    # of z / (1 + t z) from 0 to 1. (SciPy's chooses how many it takes by random numbers.)
    identity, doublings = np.eye(len(x)), 0
    if not np.linalg.svdvals(x).min(initial=1):
        raise np.linalg.LinAlgError("Singular matrix")
    while np.linalg.norm(x - identity, 1) > _NEAR:
        x, doublings = _root(x), doublings + 1
    z = x - identity
    terms = [w / 2 * np.linalg.solve(identity + (t + 1) / 2 * z, z) for t, w in zip(_NODES, _WEIGHTS)]
    return 2.0**doublings * np.sum(terms, axis=0)


def _declared(name: str, compute: Callable[[Array], Array], vjp: Rule) -> Any:
    """Declare a function whose result may be complex, and is so here."""

    def forward(x: Array) -> Array:
        y = compute(x.astype(np.result_type(x, np.float64), copy=False)) if x.size else x
        return y.astype(np.result_type(x, np.complex64))

    return primitive(
        forward,
        vjp,
        name=name,
        refuses=True,
        takes_complex=True,
        kink=_distance_to_cut,
        examples=[([np.array([[2.0, 0.5], [-1.0, 1.5]])], {}), ([np.array([[[0.7]], [[3.0]]])], {})],
    )


def _root(x: Array) -> Array:
    with warnings.catch_warnings():  # SciPy warns of a singular matrix, which may have a root or not
        warnings.simplefilter("ignore", library("sqrtm").LinAlgWarning)
        y = each_matrix("sqrtm", x)
    with np.errstate(all="ignore"):
        error = np.linalg.norm(y @ y - x, axis=(-2, -1))
    if not np.all(error <= np.sqrt(np.finfo(x.dtype).eps) * np.linalg.norm(x, axis=(-2, -1))):
        raise np.linalg.LinAlgError("the matrix has no square root")
    return y


def _root_vjp(g: Array, y: Array, x: Array) -> Array:
    singular = is_singular(y)
    refuse_where(singular, singular, message="sqrtm: an eigenvalue of the matrix is 0, where a root has no derivative")
    return through_block(root_of_matrix, g, x)


root_of_matrix = _declared("sqrtm", _root, _root_vjp)
log_of_matrix: Any = _declared(
    "logm",
    lambda x: over_matrices("logm", _logarithm, x),
    lambda g, y, x: through_block(log_of_matrix, g, x),
)


def sqrtm(A: Array) -> Array:
    """The principal square root of a square matrix, whose square is A, or of each in a stack.

    This is scipy.linalg.sqrtm for arrays and tensors. As there, the root is complex if A is, or if A has a negative
    eigenvalue. The derivative along E is the upper right block of the root of [[A, E], [0, A]] (Higham, Functions of
    Matrices, 2008, theorem 3.6). A matrix with an eigenvalue of 0 has none.

    Raises:
        ShapeError: if A is not square.
        numpy.linalg.LinAlgError: if A has no square root.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.sqrtm(np.array([[5.0, 4.0], [4.0, 5.0]])).round(12)
        array([[2., 1.],
               [1., 2.]])
    """
    A = square_matrix("sqrtm", A)
    return real_if_all_are(root_of_matrix(A), A)


def logm(A: Array) -> Array:
    """The principal logarithm of a square matrix, whose exponential is A, or of each in a stack.

    This is scipy.linalg.logm for arrays and tensors. As there, the logarithm is complex if A is, or if A has a negative
    eigenvalue. The derivative is found as that of `sqrtm`. A matrix with an eigenvalue of 0 has none.

    Raises:
        ShapeError: if A is not square.
        numpy.linalg.LinAlgError: if A is singular.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.logm(tg.linalg.expm(np.array([[0.0, 1.0], [-1.0, 0.0]]))).round(12) + 0.0
        array([[ 0.,  1.],
               [-1.,  0.]])
    """
    A = square_matrix("logm", A)
    return real_if_all_are(log_of_matrix(A), A)
