"""Equations whose unknown is a matrix: those of Sylvester, Lyapunov and Riccati, with the names of scipy.linalg.

Each rule solves a linear equation of the same kind, with transposed coefficients, for a matrix z.
"""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op, Rule, primitive
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.ops.linear.conjugates import adjoint, conj
from tinygrad_lite.ops.linear.linalg import square_matrix
from tinygrad_lite.ops.linear.scipys import each_matrix


def _floats(*arrays: Array) -> list[Array]:
    """The matrices in one dtype of real or complex numbers, with the same axes in front."""
    kind = np.result_type(*[x.dtype for x in arrays])
    kind = kind if kind.kind in "fc" else np.dtype(float)
    front = np.broadcast_shapes(*[x.shape[:-2] for x in arrays])
    arrays = tuple(x if x.shape[:-2] == front else np.broadcast_to(x, front + x.shape[-2:]) for x in arrays)
    return [x if x.dtype == kind else x.astype(kind) for x in arrays]


def _solution(name: str, *arrays: Array) -> Array:
    return each_matrix(name, *arrays).astype(np.result_type(*arrays), copy=False)  # some of SciPy's are float64 always


def _eigenvalues(*arrays: Array) -> list[Array]:
    return [np.linalg.eigvals(x) for x in arrays]


def _sums(a: Array, b: Array, q: Array) -> Array:
    """Zero where an eigenvalue of a is that of b, times -1: there is no solution, or no single one."""
    of_a, of_b = _eigenvalues(a, b)
    return np.absolute(of_a[..., :, None] + of_b[..., None, :]) / 8


def _sylvester(a: Array, b: Array, q: Array) -> Array:
    return _solution("solve_sylvester", a, b, q)


sylvester: Op = primitive(
    _sylvester,
    lambda g, y, a, b, q, z: -z @ y.mT,
    lambda g, y, a, b, q, z: -y.mT @ z,
    lambda g, y, a, b, q, z: z,
    adjoint=lambda g, y, a, b, q: sylvester(a.mT, b.mT, g),
    name="solve_sylvester",
    refuses=True,
    takes_complex=True,
    kink=_sums,
    examples=[([(2, 2), (3, 3), (2, 3)], {}), ([(2, 1, 1), (2, 2, 2), (2, 1, 2)], {})],
)


def _one_less_products(a: Array, q: Array) -> Array:
    (w,) = _eigenvalues(a)
    return np.absolute(1 - w[..., :, None] * np.conjugate(w)[..., None, :]) / 8


def _lyapunov_vjp(g: Array, y: Array, a: Array, q: Array, z: Array) -> Array:
    return z @ conj(a) @ y.mT + conj(z.mT @ a @ y)


def _lyapunov(a: Array, q: Array) -> Array:
    return _solution("solve_discrete_lyapunov", a, q)


lyapunov: Op = primitive(
    _lyapunov,
    _lyapunov_vjp,
    lambda g, y, a, q, z: z,
    adjoint=lambda g, y, a, q: lyapunov(a.mT, g),
    name="solve_discrete_lyapunov",
    refuses=True,
    takes_complex=True,
    kink=_one_less_products,
    examples=[([(2, 2), (2, 2)], {}), ([(2, 1, 1), (2, 1, 1)], {})],
)


def _hermitian(x: Array) -> Array:
    return (x + adjoint(x)) / 2


def _continuous(a: Array, b: Array, q: Array, r: Array) -> Array:
    return _solution("solve_continuous_are", a, b, _hermitian(q), _hermitian(r))


def _discrete(a: Array, b: Array, q: Array, r: Array) -> Array:
    return _solution("solve_discrete_are", a, b, _hermitian(q), _hermitian(r))


def _riccati(name: str, solved: Rule, is_continuous: bool) -> Any:
    """Declare an algebraic Riccati equation, which reads the Hermitian parts of q and r."""

    def terms(g: Array, y: Array, a: Array, b: Array, q: Array, r: Array) -> tuple[Array, Array, Array]:
        # y is what the best feedback k costs. A change of k itself does not change y, since k is the best
        r, reached = _hermitian(r), adjoint(b) @ y
        k = np.linalg.solve(r, reached) if is_continuous else np.linalg.solve(r + reached @ b, reached @ a)
        motion = a - b @ k
        if is_continuous:
            z, cost = -sylvester(conj(motion), motion.mT, g), y
        else:
            z, cost = lyapunov(conj(motion), g), adjoint(motion) @ y
        return k, z, cost.mT @ z + conj(adjoint(cost) @ z.mT)

    return primitive(
        solved,
        lambda g, y, a, b, q, r, terms: terms[2],
        lambda g, y, a, b, q, r, terms: -terms[2] @ terms[0].mT,
        lambda g, y, a, b, q, r, terms: _hermitian(terms[1]),
        lambda g, y, a, b, q, r, terms: _hermitian(conj(terms[0]) @ terms[1] @ terms[0].mT),
        adjoint=terms,
        name=name,
        refuses=True,
        takes_complex=True,
        examples=[
            ([np.array([[0.9, 0.4], [-0.3, 0.7]]), np.array([[0.2], [1.0]]), np.eye(2) + 0.3, np.array([[0.8]])], {})
        ],
    )


continuous = _riccati("solve_continuous_are", _continuous, True)
discrete = _riccati("solve_discrete_are", _discrete, False)


def _square(name: str, *arrays: Any) -> list[Array]:
    return [square_matrix(name, x) for x in arrays]


def _fitting(name: str, letters: str, *matrices: Array) -> list[Array]:
    """The matrices, if their rows and columns, each named by a letter, are as many wherever a letter stands."""
    sizes: dict[str, int] = {}
    counts = [count for x in matrices for count in np.shape(x)[-2:]]
    if len(counts) < len(letters) or any(sizes.setdefault(*pair) != pair[1] for pair in zip(letters, counts)):
        shapes = ", ".join(str(np.shape(x)) for x in matrices)
        needed = ", ".join(f"(..., {m}, {n})" for m, n in zip(letters[::2], letters[1::2]))
        raise ShapeError(f"{name} needs matrices of the shapes {needed}, got {shapes}")
    return _floats(*matrices)


def solve_sylvester(a: Array, b: Array, q: Array) -> Array:
    """Solve a x + x b = q for x, or for each matrix of stacks.

    This is scipy.linalg.solve_sylvester for arrays and tensors. a has the shape (..., m, m), b (..., n, n) and q
    (..., m, n). There is one solution unless an eigenvalue of a is that of -b.

    Raises:
        ShapeError: if the shapes do not fit.
        numpy.linalg.LinAlgError: if SciPy finds no solution.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.solve_sylvester([[1.0, 0.0], [0.0, 2.0]], [[3.0]], [[8.0], [5.0]])
        array([[2.],
               [1.]])
    """
    name = "solve_sylvester"
    return sylvester(*_fitting(name, "mmnnmn", *_square(name, a, b), as_array(q)))


def solve_continuous_lyapunov(a: Array, q: Array) -> Array:
    """Solve a x + x aᴴ = q for x, or for each matrix of stacks.

    This is scipy.linalg.solve_continuous_lyapunov for arrays and tensors of the shape (..., n, n).

    Raises:
        ShapeError: if the shapes do not fit.
        numpy.linalg.LinAlgError: if SciPy finds no solution.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.solve_continuous_lyapunov([[-1.0, 0.0], [0.0, -2.0]], -np.eye(2))
        array([[0.5 , 0.  ],
               [0.  , 0.25]])
    """
    name = "solve_continuous_lyapunov"
    a, q = _fitting(name, "nnnn", *_square(name, a, q))
    return sylvester(a, adjoint(a), q)


def solve_discrete_lyapunov(a: Array, q: Array, method: str | None = None) -> Array:
    """Solve x = a x aᴴ + q for x, or for each matrix of stacks.

    This is scipy.linalg.solve_discrete_lyapunov for arrays and tensors of the shape (..., n, n).

    Args:
        method: ignored: SciPy chooses one by the size.

    Raises:
        ShapeError: if the shapes do not fit.
        numpy.linalg.LinAlgError: if SciPy finds no solution.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.solve_discrete_lyapunov([[0.5, 0.0], [0.0, 0.0]], np.eye(2)).round(3)
        array([[1.333, 0.   ],
               [0.   , 1.   ]])
    """
    name = "solve_discrete_lyapunov"
    return lyapunov(*_fitting(name, "nnnn", *_square(name, a, q)))


def solve_continuous_are(a: Array, b: Array, q: Array, r: Array) -> Array:
    """Solve Riccati's equation aᴴ x + x a - x b r⁻¹ bᴴ x + q = 0 for the x that makes a - b r⁻¹ bᴴ x stable.

    This is scipy.linalg.solve_continuous_are for arrays and tensors, without its e and s. a and q have the shape
    (..., n, n), b (..., n, m) and r (..., m, m). Of q and r, the Hermitian parts are read. The derivative follows from
    that of the cost of a fixed feedback, since the best feedback is stationary.

    Raises:
        ShapeError: if the shapes do not fit.
        numpy.linalg.LinAlgError: if SciPy finds no such solution.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.solve_continuous_are([[0.0]], [[1.0]], [[4.0]], [[1.0]]).round(12)
        array([[2.]])
    """
    return _of_feedback(continuous, a, b, q, r)


def solve_discrete_are(a: Array, b: Array, q: Array, r: Array) -> Array:
    """Solve Riccati's equation x = aᴴ x a - aᴴ x b (r + bᴴ x b)⁻¹ bᴴ x a + q for the stabilising x.

    This is scipy.linalg.solve_discrete_are for arrays and tensors, without its e and s. Shapes and derivative are those
    of `solve_continuous_are`.

    Raises:
        ShapeError: if the shapes do not fit.
        numpy.linalg.LinAlgError: if SciPy finds no such solution.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.linalg.solve_discrete_are([[0.0]], [[1.0]], [[4.0]], [[1.0]])
        array([[4.]])
    """
    return _of_feedback(discrete, a, b, q, r)


def _of_feedback(equation: Op, a: Any, b: Any, q: Any, r: Any) -> Array:
    a, q, r = _square(equation.name, a, q, r)
    return equation(*_fitting(equation.name, "nnnmnnmm", a, as_array(b), q, r))
