"""`np.linalg` as its users call it: every function and keyword, what has no derivative, and the edges."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.derivatives import numerical_gradients
from tests.numpy_calls import check, check_value, close
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.ops.linear import linalg

rng = np.random.default_rng(7)


def random(*shape: int) -> Any:
    return rng.uniform(-2, 2, shape)


SQUARE, PAIR, TALL, WIDE = random(3, 3), random(2, 2, 2), random(3, 2), random(2, 3)
STACK = random(2, 3, 2)
POSITIVE = SQUARE @ SQUARE.T + np.eye(3)
POSITIVE_PAIR = PAIR @ PAIR.mT + np.eye(2)
ROTATION = np.linalg.qr(SQUARE)[0]
RANK_1 = np.outer(SQUARE[0], SQUARE[1])
RANK_2 = SQUARE @ np.diag([1.0, 1.0, 0.0]) @ ROTATION
EMPTY_SQUARE, NO_MATRICES, NO_ROWS, NO_COLUMNS = (
    np.empty((0, 0)),
    np.empty((0, 2, 2)),
    np.empty((0, 2)),
    np.empty((2, 0)),
)
V2, V3 = random(2), random(3)

CALLS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "inv": (np.linalg.inv, [SQUARE]),
    "inv, batched": (lambda x: np.linalg.inv(a=x), [PAIR]),
    "inv of nothing": (np.linalg.inv, [EMPTY_SQUARE]),
    "inv of no matrices": (np.linalg.inv, [NO_MATRICES]),
    "solve a vector": (np.linalg.solve, [SQUARE, V3]),
    "solve matrices": (np.linalg.solve, [SQUARE, random(3, 2)]),
    "solve one vector for many": (np.linalg.solve, [PAIR, V2]),
    "solve, broadcasting": (lambda a, b: np.linalg.solve(a=a, b=b), [PAIR[:1], random(3, 2, 1)]),
    "solve one for many matrices": (np.linalg.solve, [PAIR[0], random(2, 2, 2)]),
    "solve with an array and a list": (lambda b: np.linalg.solve(SQUARE.tolist(), b), [V3]),
    "solve for a list": (lambda a: np.linalg.solve(a, [1, 2, 3]), [SQUARE]),
    "solve, integers": (np.linalg.solve, [np.array([[2, 1], [0, 3]]), V2]),
    "solve nothing": (np.linalg.solve, [EMPTY_SQUARE, np.empty(0)]),
    "tensorinv": (np.linalg.tensorinv, [random(2, 2, 4)]),
    "tensorinv, ind": (lambda a: np.linalg.tensorinv(a, ind=1), [random(4, 2, 2)]),
    "tensorsolve": (np.linalg.tensorsolve, [random(2, 2, 4), random(2, 2)]),
    "tensorsolve, axes": (lambda a, b: np.linalg.tensorsolve(a, b, axes=(1,)), [random(3, 1, 3), V3]),
    "tensorsolve, several axes": (lambda a, b: np.linalg.tensorsolve(a, b, (1, 0)), [random(2, 1, 2), V2]),
    "det": (np.linalg.det, [SQUARE]),
    "det, batched": (np.linalg.det, [PAIR]),
    "det of one entry": (np.linalg.det, [random(1, 1)]),
    "det of rank 2": (np.linalg.det, [RANK_2]),
    "det of rank 1": (np.linalg.det, [RANK_1]),
    "det of zeros": (np.linalg.det, [np.zeros((3, 3))]),
    "det of every rank": (np.linalg.det, [np.stack([np.eye(2), np.ones((2, 2)), np.zeros((2, 2))])]),
    "det of nothing": (np.linalg.det, [EMPTY_SQUARE]),
    "det of no matrices": (np.linalg.det, [NO_MATRICES]),
    "slogdet": (np.linalg.slogdet, [SQUARE]),
    "slogdet, batched": (np.linalg.slogdet, [PAIR]),
    "slogdet of nothing": (np.linalg.slogdet, [EMPTY_SQUARE]),
    **{f"matrix_power {n}": (lambda x, n=n: np.linalg.matrix_power(x, n), [SQUARE]) for n in (0, 1, 2, 3, 6, -1, -2)},
    "matrix_power, batched": (lambda x: np.linalg.matrix_power(x, n=np.int64(3)), [PAIR]),
    "multi_dot of 2": (lambda a, b: np.linalg.multi_dot([a, b]), [TALL, WIDE]),
    "multi_dot of 3": (lambda a, b, c: np.linalg.multi_dot([a, b, c]), [WIDE, TALL, random(2, 1)]),
    "multi_dot of 4": (lambda *x: np.linalg.multi_dot(x), [random(1, 2), WIDE, TALL, random(2, 3)]),
    "multi_dot from a vector": (lambda *x: np.linalg.multi_dot(x), [V3, TALL, WIDE]),
    "multi_dot to a vector": (lambda *x: np.linalg.multi_dot(x), [TALL, WIDE, V3]),
    "multi_dot of vectors": (lambda *x: np.linalg.multi_dot(x), [V3, SQUARE, V3]),
    "multi_dot with nothing between": (
        lambda *x: np.linalg.multi_dot(x),
        [np.empty((2, 0)), np.empty((0, 3)), random(3, 1)],
    ),
    "multi_dot with an array": (lambda x: np.linalg.multi_dot([TALL, x, TALL]), [WIDE]),
    "cholesky": (np.linalg.cholesky, [POSITIVE]),
    "cholesky, upper": (lambda x: np.linalg.cholesky(x, upper=True), [POSITIVE + np.tril(SQUARE, -1)]),
    "cholesky reads one triangle": (np.linalg.cholesky, [POSITIVE + np.triu(SQUARE, 1)]),
    "cholesky, batched": (np.linalg.cholesky, [POSITIVE_PAIR]),
    "cholesky of nothing": (np.linalg.cholesky, [EMPTY_SQUARE]),
    "eigh": (np.linalg.eigh, [SQUARE]),
    "eigh, upper": (lambda x: np.linalg.eigh(x, "U"), [SQUARE]),
    "eigh, lower-case name": (lambda x: np.linalg.eigh(x, UPLO="u"), [SQUARE]),
    "eigh, batched": (np.linalg.eigh, [PAIR]),
    "eigh of nothing": (np.linalg.eigh, [EMPTY_SQUARE]),
    "eigh of no matrices": (np.linalg.eigh, [NO_MATRICES]),
    "eigh by names": (lambda x: np.linalg.eigh(x).eigenvectors * np.linalg.eigh(x).eigenvalues, [SQUARE]),
    "eigvalsh": (np.linalg.eigvalsh, [SQUARE]),
    "eigvalsh, upper": (lambda x: np.linalg.eigvalsh(x, UPLO="U"), [SQUARE]),
    "eigvalsh, batched": (np.linalg.eigvalsh, [PAIR]),
    "eigvalsh of nothing": (np.linalg.eigvalsh, [EMPTY_SQUARE]),
    "svd": (np.linalg.svd, [SQUARE]),
    "svd, batched": (np.linalg.svd, [PAIR]),
    "svd, reduced, tall": (lambda x: np.linalg.svd(x, full_matrices=False), [TALL]),
    "svd, reduced, wide": (lambda x: np.linalg.svd(x, False), [WIDE]),
    "svd, reduced, batched": (lambda x: np.linalg.svd(x, full_matrices=False), [STACK]),
    "svd, full, but for the further columns": (
        lambda x: (np.linalg.svd(x)[0][:, :2], *np.linalg.svd(x)[1:]),
        [TALL],
    ),
    "svd, full, but for the further rows": (lambda x: (*np.linalg.svd(x)[:2], np.linalg.svd(x)[2][:2]), [WIDE]),
    "svd, values": (lambda x: np.linalg.svd(x, compute_uv=False), [TALL]),
    "svd, hermitian": (lambda x: np.linalg.svd(x, hermitian=True), [SQUARE]),
    "svd, hermitian, batched": (lambda x: np.linalg.svd(x, True, True, True), [PAIR]),
    "svd, hermitian values": (lambda x: np.linalg.svd(x, compute_uv=False, hermitian=True), [SQUARE]),
    "svd of nothing": (np.linalg.svd, [EMPTY_SQUARE]),
    "svd of no rows": (lambda x: np.linalg.svd(x, full_matrices=False), [NO_ROWS]),
    "svd by names": (lambda x: np.linalg.svd(x).U @ np.linalg.svd(x).Vh * np.linalg.svd(x).S, [SQUARE]),
    "svdvals": (np.linalg.svdvals, [WIDE]),
    "svdvals, batched": (np.linalg.svdvals, [STACK]),
    "svdvals of no columns": (np.linalg.svdvals, [NO_COLUMNS]),
    "qr": (np.linalg.qr, [SQUARE]),
    "qr, tall": (np.linalg.qr, [TALL]),
    "qr, wide": (lambda x: np.linalg.qr(x, "reduced"), [WIDE]),
    "qr, batched": (np.linalg.qr, [STACK]),
    "qr, r": (lambda x: np.linalg.qr(x, mode="r"), [TALL]),
    "qr, r, wide": (lambda x: np.linalg.qr(x, mode="r"), [WIDE]),
    "qr, complete, wide": (lambda x: np.linalg.qr(x, "complete"), [WIDE]),
    "qr, complete, but for the further columns": (
        lambda x: (np.linalg.qr(x, "complete").Q[:, :2], np.linalg.qr(x, "complete").R),
        [TALL],
    ),
    "qr of no columns": (np.linalg.qr, [NO_COLUMNS]),
    "qr of no rows": (np.linalg.qr, [NO_ROWS]),
    "pinv, tall": (np.linalg.pinv, [TALL]),
    "pinv, wide": (np.linalg.pinv, [WIDE]),
    "pinv, batched": (np.linalg.pinv, [STACK]),
    "pinv, rcond": (lambda x: np.linalg.pinv(x, 1e-3), [TALL]),
    "pinv, rcond for each": (lambda x: np.linalg.pinv(x, rcond=[1e-3, 1e-4]), [STACK]),
    "pinv, rtol": (lambda x: np.linalg.pinv(x, rtol=1e-3), [TALL]),
    "pinv, no rtol": (lambda x: np.linalg.pinv(x, rtol=None), [TALL]),
    "pinv, hermitian": (lambda x: np.linalg.pinv(x, hermitian=True), [SQUARE]),
    "pinv of nothing": (np.linalg.pinv, [NO_COLUMNS]),
    "lstsq, more equations": (np.linalg.lstsq, [TALL, V3]),
    "lstsq, matrices": (np.linalg.lstsq, [TALL, random(3, 2)]),
    "lstsq, fewer equations": (np.linalg.lstsq, [WIDE, V2]),
    "lstsq, square": (lambda a, b: np.linalg.lstsq(a, b, rcond=None), [SQUARE, random(3, 1)]),
    "lstsq, rcond": (lambda a, b: np.linalg.lstsq(a, b, 1e-6), [TALL, V3]),
    "lstsq, machine precision": (lambda a, b: np.linalg.lstsq(a, b, rcond=-1), [TALL, V3]),
    "lstsq, one array": (lambda a: np.linalg.lstsq(a, V3), [TALL]),
    "lstsq, no right sides": (np.linalg.lstsq, [TALL, np.empty((3, 0))]),
    "norm": (np.linalg.norm, [TALL]),
    "norm of a vector": (np.linalg.norm, [V3]),
    "norm of a number": (np.linalg.norm, [np.array(-1.5)]),
    "norm of everything": (lambda x: np.linalg.norm(x, keepdims=True), [STACK]),
    "norm of nothing": (np.linalg.norm, [np.empty(0)]),
    "norm along an axis": (lambda x: np.linalg.norm(x, axis=-1), [STACK]),
    "norm along a tuple of one": (lambda x: np.linalg.norm(x, None, (1,), True), [STACK]),
    "norm along numpy's integer": (lambda x: np.linalg.norm(x, axis=np.int64(0)), [TALL]),
    "norm of columns first": (lambda x: np.linalg.norm(x, ord=1, axis=(2, 0)), [STACK]),
    "norm of columns first, kept": (lambda x: np.linalg.norm(x, ord="nuc", axis=(-1, 0), keepdims=True), [STACK]),
    **{
        f"norm {order!r} of a matrix": (lambda x, order=order: np.linalg.norm(x, order), [WIDE])
        for order in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    },
    **{
        f"norm {order!r} of a vector": (lambda x, order=order: np.linalg.norm(x, order), [V3])
        for order in (0, 1, 2, 2.0, 3, 4, 2.5, 0.5, -1, -2, np.inf, -np.inf)
    },
    "norm 4 with a zero": (lambda x: np.linalg.norm(x, 4), [np.array([0.0, 1.0, -2.0])]),
    "norm 2 with a zero": (lambda x: np.linalg.norm(x, 2), [np.array([0.0, 1.0, -2.0])]),
    "vector_norm": (np.linalg.vector_norm, [TALL]),
    "vector_norm, kept": (lambda x: np.linalg.vector_norm(x, keepdims=True, ord=3), [TALL]),
    "vector_norm along an axis": (lambda x: np.linalg.vector_norm(x, axis=0, ord=1), [TALL]),
    "vector_norm along axes": (lambda x: np.linalg.vector_norm(x, axis=(2, 0), ord=np.inf), [STACK]),
    "vector_norm along axes, kept": (lambda x: np.linalg.vector_norm(x, axis=(0, -1), keepdims=True), [STACK]),
    "vector_norm along no axis": (lambda x: np.linalg.vector_norm(x, axis=()), [TALL]),
    "vector_norm of nothing": (lambda x: np.linalg.vector_norm(x, axis=0), [NO_ROWS]),
    "matrix_norm": (np.linalg.matrix_norm, [STACK]),
    "matrix_norm, kept": (lambda x: np.linalg.matrix_norm(x, keepdims=True, ord=2), [STACK]),
    **{
        f"matrix_norm {order!r}": (lambda x, order=order: np.linalg.matrix_norm(x, ord=order), [STACK])
        for order in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    },
    "matrix_norm of no rows": (lambda x: np.linalg.matrix_norm(x, ord=1), [NO_ROWS]),
    "cond": (np.linalg.cond, [TALL]),
    "cond, batched": (np.linalg.cond, [STACK]),
    **{
        f"cond {order!r}": (lambda x, order=order: np.linalg.cond(x, order), [SQUARE])
        for order in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    },
    "cond 1, batched": (lambda x: np.linalg.cond(x, p=1), [PAIR]),
    "matmul": (np.linalg.matmul, [TALL, WIDE]),
    "matrix_transpose": (np.linalg.matrix_transpose, [STACK]),
    "diagonal": (np.linalg.diagonal, [STACK]),
    "diagonal, offset": (lambda x: np.linalg.diagonal(x, offset=-1), [STACK]),
    "trace": (np.linalg.trace, [STACK]),
    "trace, offset": (lambda x: np.linalg.trace(x, offset=1), [SQUARE]),
    "outer": (np.linalg.outer, [V2, V3]),
    "cross": (np.linalg.cross, [V3, SQUARE]),
    "cross along an axis": (lambda a, b: np.linalg.cross(a, b, axis=0), [TALL, random(3, 2)]),
    "tensordot": (np.linalg.tensordot, [SQUARE, STACK[0] @ WIDE]),
    "tensordot, axes": (lambda a, b: np.linalg.tensordot(a, b, axes=([0], [1])), [TALL, WIDE]),
    "vecdot": (np.linalg.vecdot, [SQUARE, V3]),
    "vecdot along an axis": (lambda a, b: np.linalg.vecdot(a, b, axis=0), [TALL, random(3, 2)]),
}


@pytest.mark.parametrize(("f", "arrays"), CALLS.values(), ids=list(CALLS))
def test_calls(f: Callable[..., Any], arrays: list[Any]) -> None:
    check(f, *arrays)


WHOLE = np.array([[2, 1, 0], [1, 3, 1], [0, 1, 4]])
OF_MATRICES = {
    **{
        name: getattr(np.linalg, name)
        for name in (
            *("inv", "det", "slogdet", "cholesky", "eigh", "eigvalsh", "svd", "svdvals", "qr", "pinv", "norm"),
            *("matrix_norm", "vector_norm", "cond", "matrix_rank"),
        )
    },
    "matrix_power": lambda x: np.linalg.matrix_power(x, 3),
    "solve": lambda x: np.linalg.solve(x, x),
    "lstsq": lambda x: np.linalg.lstsq(x, x),
    "multi_dot": lambda x: np.linalg.multi_dot([x, x, x]),
}


@pytest.mark.parametrize("f", OF_MATRICES.values(), ids=list(OF_MATRICES))
@pytest.mark.parametrize(
    "array", [WHOLE, WHOLE.astype(np.float32), np.eye(3, dtype=bool)], ids=["int", "float", "bool"]
)
def test_values_of_every_dtype(f: Callable[..., Any], array: Any) -> None:
    check_value(f, array)


@pytest.mark.parametrize("array", [WIDE, STACK, V3, np.zeros(3), np.zeros((2, 2))])
def test_matrix_rank(array: Any) -> None:
    check_value(np.linalg.matrix_rank, array)
    check_value(lambda x: np.linalg.matrix_rank(x, tol=1.0), array)
    check_value(lambda x: np.linalg.matrix_rank(x, rtol=0.5), array)
    assert not getattr(np.linalg.matrix_rank(tg.tensor(array, requires_grad=True)), "requires_grad", False)


@pytest.mark.parametrize("f", [np.linalg.svd, np.linalg.eigh, np.linalg.qr, np.linalg.slogdet])
def test_several_results_have_the_names_that_numpy_gives_them(f: Callable[..., Any]) -> None:
    assert type(f(tg.tensor(SQUARE))) is type(f(SQUARE))


def test_signs_ranks_and_orders_carry_no_gradient() -> None:
    x = tg.tensor(TALL, requires_grad=True)
    assert not np.linalg.slogdet(x.T @ x).sign.requires_grad
    assert not np.linalg.lstsq(x, V3)[2].requires_grad


# What a matrix of equal values, or of none, has and has not. Each result with vectors is one that does not depend on
# the choice among those that the matrix leaves open, if it has a derivative.
G = random(4, 4)
Q = np.linalg.qr(random(4, 4))[0]


def in_general_position(values: list[float]) -> Any:
    """A symmetric matrix with these eigenvalues, for which LAPACK, of any version, returns no vector with a 0 in it.

    Of equal values it returns some vectors; if one has a 0, it may lie along the axes, and no gradient is given.
    """
    rng = np.random.default_rng(0)
    bases = [np.linalg.qr(rng.normal(size=(4, 4)))[0] for _ in range(20)]
    matrices = [q @ np.diag(values) @ q.T for q in bases]
    return next(x for x in matrices if np.min(np.abs(np.linalg.eigh(x).eigenvectors)) > 1e-3)


EQUAL = in_general_position([1.0, 1.0, 2.0, 5.0])
LOW = np.outer(Q[0], Q[1])


def function_of(f: Callable[[Any], Any], decompose: Callable[[Any], Any] = np.linalg.eigh) -> Callable[[Any], Any]:
    """v f(w) vᵀ, weighted."""

    def scalar(x: Any) -> Any:
        w, v = decompose(x)
        return np.sum(G[: len(x), : len(x)] * ((v * f(w)) @ v.T))

    return scalar


def of_vectors(start: int, stop: int) -> Callable[[Any], Any]:
    """The projection onto some eigenvectors, weighted."""

    def scalar(x: Any) -> Any:
        v = np.linalg.eigh(x).eigenvectors[:, start:stop]
        return np.sum(G * (v @ v.T))

    return scalar


def orthogonal_factor(x: Any) -> Any:
    u, _, vt = np.linalg.svd(x, full_matrices=False)
    return np.sum(G[: x.shape[0], : x.shape[1]] * (u @ vt))


def largest_part(x: Any) -> Any:
    u, s, vt = np.linalg.svd(x)
    return np.sum(G * (u[:, :1] * s[0] @ vt[:1]))


def with_values(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """u f(s) vᵀ, weighted."""

    def scalar(x: Any) -> Any:
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        return np.sum(G[: x.shape[0], : x.shape[1]] * ((u * f(s)) @ vt))

    return scalar


def shrunk(s: Any) -> Any:
    return np.maximum(s - 0.5, 0)


DETERMINED: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "eigenvalues": (lambda x: np.sum(np.linalg.eigvalsh(x) ** 2), EQUAL),
    "eigenvalues of eigh": (lambda x: np.sum(np.exp(np.linalg.eigh(x).eigenvalues)), EQUAL),
    "a simple eigenvector": (of_vectors(3, 4), EQUAL),
    "the space of equal eigenvalues": (of_vectors(0, 2), EQUAL),
    "a space that holds it": (of_vectors(0, 3), EQUAL),
    "a simple eigenvector with all eigenvalues": (
        lambda x: of_vectors(3, 4)(x) + np.sum(np.linalg.eigh(x).eigenvalues ** 2),
        EQUAL,
    ),
    "singular values": (lambda x: np.sum(np.linalg.svdvals(x) ** 3), Q),
    "nuclear norm of a rotation": (lambda x: np.linalg.norm(x, "nuc"), Q),
    "2-norm of a matrix of rank 1": (lambda x: np.linalg.norm(x, 2), LOW),
    "orthogonal factor of the identity": (orthogonal_factor, np.eye(4)),
    "orthogonal factor of a rotation": (orthogonal_factor, Q),
    "orthogonal factor of orthonormal columns": (orthogonal_factor, Q[:, :2]),
    "orthogonal factor of orthonormal rows": (orthogonal_factor, Q[:2]),
    "the part of the largest singular value": (largest_part, LOW),
    "shrunk singular values": (with_values(shrunk), LOW),
    "shrunk singular values of a tall matrix": (with_values(shrunk), LOW[:, :3] * 3),
    "all parts of a matrix of rank 3": (with_values(np.positive), Q @ np.diag([3.0, 2.0, 1.0, 0.0]) @ G),
    "singular vectors of opposite eigenvalues": (
        function_of(np.square, lambda x: np.linalg.svd(x, hermitian=True)[1::-1]),
        Q @ np.diag([2.0, -2.0, 1.0, 3.0]) @ Q.T,
    ),
}


@pytest.mark.parametrize(("f", "x"), DETERMINED.values(), ids=list(DETERMINED))
def test_what_equal_values_determine_has_its_gradient(f: Callable[[Any], Any], x: Any) -> None:
    close([tg.grad(f)(x)], numerical_gradients(f, [x], [0]), 1e-8)


def test_what_equal_values_determine_has_its_gradient_in_float32() -> None:
    found = tg.grad(orthogonal_factor)(Q.astype(np.float32))
    assert found.dtype == np.float32
    close([found], [tg.grad(orthogonal_factor)(Q)], 1e-6)
    with pytest.raises(InputError, match="singular vectors of equal singular values"):
        tg.grad(lambda x: np.linalg.svd(x).U[0, 0])(Q.astype(np.float32))


def identity_entry(x: Any) -> Any:
    """An entry of the square root, whose gradient by the eigenvalues is exactly 0 at the identity."""
    w, v = np.linalg.eigh(x)
    return ((v * np.sqrt(w)) @ v.T)[0, 1]


EYE = np.eye(3)
UNDETERMINED: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "one of two equal eigenvectors": (of_vectors(0, 1), EQUAL, "eigenvectors of equal eigenvalues"),
    "a matrix function": (function_of(np.sqrt), EQUAL, "eigenvectors of equal eigenvalues"),
    "an entry of a matrix function": (identity_entry, EYE, "eigenvectors of equal eigenvalues"),
    "a logarithm": (function_of(np.log), EYE, "eigenvectors of equal eigenvalues"),
    "all parts of zeros": (with_values(np.positive), np.zeros((2, 2)), "singular vectors of equal singular values"),
    "all parts of a tall matrix of rank 1": (with_values(np.positive), LOW[:, :2], "singular values that are 0"),
    "all parts of a wide matrix of rank 1": (with_values(np.positive), LOW[:2], "singular values that are 0"),
    "upper triangle": (lambda x: np.linalg.eigh(x, "U")[1][0, 1], EYE, "eigenvectors of equal eigenvalues"),
    "hermitian svd": (lambda x: np.linalg.svd(x, hermitian=True)[0][0, 1], EYE, "eigenvectors of equal eigenvalues"),
    "one of equal singular vectors": (
        lambda x: np.linalg.svd(x).U[0, 0] * np.linalg.svd(x).U[1, 0],
        ROTATION,
        "singular vectors of equal singular values",
    ),
    "singular vectors of 0": (
        lambda x: np.sum(G[:3, :3] * np.linalg.svd(x).U),
        np.diag([2.0, 0.0, 0.0]),
        "singular vectors of",
    ),
    "left singular vector of 0": (
        lambda x: np.linalg.svd(x, full_matrices=False).U[0, 1],
        np.outer(V3, V2),
        "singular vectors of singular values that are 0",
    ),
    "right singular vector of 0": (
        lambda x: np.linalg.svd(x, full_matrices=False).Vh[1, 0],
        np.outer(V2, V3),
        "singular vectors of singular values that are 0",
    ),
    "further left singular vectors": (lambda x: np.sum(np.linalg.svd(x).U), TALL, "further columns of a full svd"),
    "further right singular vectors": (lambda x: np.sum(np.linalg.svd(x).Vh), WIDE, "further columns of a full svd"),
    "further columns of q": (
        lambda x: np.sum(np.linalg.qr(x, "complete").Q),
        TALL,
        "further columns of a complete qr",
    ),
    "qr of dependent columns": (lambda x: np.sum(np.linalg.qr(x).R), np.ones((3, 2)), "qr: the columns of q"),
    "slogdet of a singular matrix": (lambda x: np.linalg.slogdet(x)[1], np.ones((2, 2)), "slogdet: log|det|"),
    "cond of a singular matrix": (np.linalg.cond, RANK_2, "cond: .* singular to rounding"),
    "cond 1 of a singular matrix": (lambda x: np.linalg.cond(x, 1), np.ones((2, 2)), "cond: .* singular to rounding"),
    "pinv that cuts off": (lambda x: np.sum(np.linalg.pinv(x, rcond=0.9)), np.diag([2.0, 1.0]), "rcond= cuts off"),
    "lstsq that cuts off": (
        lambda x: np.sum(np.linalg.lstsq(x, V2, rcond=0.9)[0]),
        np.diag([2.0, 1.0]),
        "rcond= cuts off",
    ),
    "Hessian of a function of eigenvalues": (
        lambda x: np.sum(tg.grad(lambda z: np.sum(np.linalg.eigvalsh(z) ** 3))(x) * G[:3, :3]),
        EYE,
        "eigenvectors of equal eigenvalues",
    ),
}


@pytest.mark.parametrize(("f", "x", "message"), UNDETERMINED.values(), ids=list(UNDETERMINED))
def test_what_is_not_determined_has_no_gradient(f: Callable[[Any], Any], x: Any, message: str) -> None:
    check_value(f, x)
    with pytest.raises(InputError, match=message.replace("|", r"\|")):
        tg.grad(f)(x)


@pytest.mark.parametrize(
    ("f", "x", "determined"),
    [
        (lambda x: np.linalg.eigh(x).eigenvectors, EQUAL, [False, False, True, True]),
        (lambda x: np.linalg.svd(x).U, random(4, 2), [True, True, False, False]),
        (lambda x: np.linalg.svd(x, full_matrices=False).U, np.stack([V3, 2 * V3], axis=1), [True, False]),
        (lambda x: np.linalg.qr(x, "complete").Q, random(4, 2), [True, True, False, False]),
    ],
)
def test_the_tangent_of_a_vector_is_nan_where_it_is_not_determined(f: Any, x: Any, determined: list[bool]) -> None:
    direction = random(*x.shape)
    value, tangent = tg.jvp(f, (x,), (direction,))
    np.testing.assert_array_equal(value, f(x))
    assert np.all(np.isnan(tangent[:, ~np.array(determined)]))
    some = np.array(determined)
    weight = random(len(x), sum(determined))

    def beside(h: Any) -> Any:
        """The vectors a little beside x, with the signs that they have at x: LAPACK may choose others."""
        vectors = f(x + h * direction)
        return np.sum(weight * (vectors * np.sign(np.sum(vectors * value, axis=0)))[:, some])

    (expected,) = numerical_gradients(beside, [np.array(0.0)], [0])
    close([np.sum(weight * tangent[:, some])], [expected], 1e-8)


def test_a_tangent_that_depends_on_undetermined_vectors_is_nan() -> None:
    assert np.isnan(tg.jvp(function_of(np.sqrt), (EQUAL,), (G,))[1])
    with pytest.raises(InputError, match="the matrix does not determine"):
        tg.jvp(tg.grad(lambda x: np.sum(np.linalg.eigvalsh(x) ** 2)), (EYE,), (SQUARE,))


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: np.linalg.norm(x, "nuc"), ROTATION),
        (lambda x: np.linalg.norm(x, 2) ** 2, RANK_1),
        (lambda x: np.sum(np.linalg.eigvalsh(x)), EYE),
    ],
)
def test_second_derivatives_at_equal_values(f: Callable[[Any], Any], x: Any) -> None:
    found = tg.grad(lambda z: np.sum(G[:3, :3] * tg.grad(f)(z)))(x)
    close([found], numerical_gradients(lambda z: np.sum(G[:3, :3] * tg.grad(f)(z)), [x], [0]), 1e-7)


@pytest.mark.parametrize("f", [lambda x, b: np.linalg.pinv(x), lambda x, b: np.linalg.lstsq(x, b)[0]])
def test_pseudo_inverse_of_a_rank_that_stays(f: Callable[[Any, Any], Any]) -> None:
    check(lambda rows, b: f(np.linalg.multi_dot([rows, WIDE, SQUARE]), b), TALL, V3, tolerance=1e-6)


def explicit_determinant(x: Any) -> Any:
    minors = [x[1, (k + 1) % 3] * x[2, (k + 2) % 3] - x[1, (k + 2) % 3] * x[2, (k + 1) % 3] for k in range(3)]
    return sum(x[0, k] * minors[k] for k in range(3))


@pytest.mark.parametrize(
    "values",
    [(3, 2, 1), (3, 1, 1e-4), (3, 1, 1e-9), (3, 1, 0), (3, 1e-5, 1e-10), (3, 1e-8, 1e-8), (3, 0, 0), (0, 0, 0)],
)
def test_every_derivative_of_a_determinant_is_right_close_to_singular_matrices(values: tuple[float, ...]) -> None:
    x = (ROTATION * values) @ np.linalg.qr(POSITIVE)[0]

    def derivatives(f: Callable[[Any], Any]) -> list[Any]:
        second = tg.grad(lambda z: np.sum(SQUARE * tg.grad(f)(z)))
        return [tg.grad(f)(x), second(x), tg.grad(lambda z: np.sum(POSITIVE * second(z)))(x)]

    # a singular value of 10⁻⁴ costs the third derivative the digits of its square
    close(derivatives(np.linalg.det), derivatives(explicit_determinant), 1e-7 if 1e-4 in values else 1e-12)


CONVENTIONS: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "norm of zeros": (np.linalg.norm, np.zeros(3), np.zeros(3)),
    "norm of a matrix of zeros": (np.linalg.norm, np.zeros((2, 2)), np.zeros((2, 2))),
    "norm 3 of zeros": (lambda x: np.linalg.norm(x, 3), np.zeros(3), np.zeros(3)),
    "norm -1 with a zero": (lambda x: np.linalg.norm(x, -1), np.array([0.0, 1.0]), np.zeros(2)),
    "norm 1 with a zero": (lambda x: np.linalg.norm(x, 1), np.array([0.0, -2.0]), np.array([0.0, -1.0])),
    "norm 1/2 with a zero": (lambda x: np.linalg.norm(x, 0.5), np.array([0.0, -2.0]), np.array([0.0, -1.0])),
    "norm 0": (lambda x: np.linalg.norm(x, 0), np.array([0.0, -2.0]), np.zeros(2)),
    "norm inf with a tie": (lambda x: np.linalg.norm(x, np.inf), np.array([2.0, -2.0, 1.0]), np.array([0.5, -0.5, 0])),
    "norm 1 of columns that tie": (lambda x: np.linalg.norm(x, 1), np.eye(2), np.eye(2) / 2),
    "2-norm of equal singular values": (lambda x: np.linalg.norm(x, 2), np.eye(2), np.eye(2) / 2),
    "nuclear norm of a singular matrix": (lambda x: np.linalg.norm(x, "nuc"), np.diag([2.0, 0.0]), np.diag([1.0, 0.0])),
    "smallest singular value 0": (lambda x: np.linalg.norm(x, -2), np.diag([2.0, 0.0]), np.zeros((2, 2))),
    "singular values 0": (lambda x: np.sum(np.linalg.svdvals(x)), np.zeros((2, 3)), np.zeros((2, 3))),
    "the triangle that eigh does not read": (
        lambda x: np.sum(np.linalg.eigh(x)[0] ** 2),
        np.array([[1.0, 9.0], [2.0, 3.0]]),
        np.array([[2.0, 0.0], [8.0, 6.0]]),
    ),
    "pinv of zeros": (lambda x: np.sum(np.linalg.pinv(x)), np.zeros((2, 3)), np.zeros((2, 3))),
}


@pytest.mark.parametrize(("f", "x", "gradient"), CONVENTIONS.values(), ids=list(CONVENTIONS))
def test_conventions(f: Callable[[Any], Any], x: Any, gradient: Any) -> None:
    with np.errstate(divide="ignore"):  # NumPy's own value of a negative order divides by a zero entry
        np.testing.assert_allclose(tg.grad(f)(x), gradient, rtol=1e-14, atol=1e-14)


DISTANCES: dict[str, Callable[[Any], Any]] = {
    **{f"norm {order}": lambda x, order=order: np.linalg.norm(x, order) for order in (None, 0.5, 1, 1.5, 2, 3, 4, -1)},
    **{
        f"norm {order} of a matrix": lambda x, order=order: np.linalg.norm(x.reshape(2, 2), order)
        for order in (None, "fro", 1, np.inf)
    },
    "vector_norm": np.linalg.vector_norm,
    "matrix_norm": lambda x: np.linalg.matrix_norm(x.reshape(2, 2)),
    "norms of rows": lambda x: np.sum(np.linalg.norm(x.reshape(2, 2), axis=1)),
    "norm of complex numbers": lambda x: np.linalg.norm(x[:2] + 1j * x[2:]),
    "absolute of complex numbers": lambda x: np.sum(np.abs(x[:2] + 1j * x[2:])),
    "hypot": lambda x: np.sum(np.hypot(x[:2], x[2:])),
    "std": np.std,
    "pairwise_distance": lambda x: tg.nn.functional.pairwise_distance(x[:2], x[2:], eps=0.0),
}


@pytest.mark.parametrize("f", DISTANCES.values(), ids=list(DISTANCES))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_distance_of_zero_has_derivatives_of_zero_to_every_order(f: Callable[[Any], Any], dtype: Any) -> None:
    x, direction = np.zeros(4, dtype), np.array([1.0, 2.0, 0.0, -3.0], dtype)
    with np.errstate(divide="ignore"):  # NumPy's own value of a negative order divides by a zero entry
        gradient, slope = tg.jvp(tg.grad(f), (x,), (direction,))
        hessian = tg.hessian(f)(x)
        third = tg.hvp(lambda x: np.sum(tg.grad(f)(x) * direction), (x,), (direction,))
    for derivative in (gradient, slope, hessian, third):
        assert derivative.dtype == dtype
        np.testing.assert_array_equal(derivative, np.zeros_like(derivative))


def test_norms_beside_a_zero_entry_have_second_derivatives_that_are_numbers() -> None:
    assert np.all(np.isfinite(tg.hessian(lambda x: np.linalg.norm(x, 3))(np.array([0.0, 1.0]))))


REFUSED: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "raw qr": (lambda x: np.linalg.qr(x, "raw"), UsageError, "mode='raw'.*'reduced', 'complete' or 'r'"),
    "unknown qr": (lambda x: np.linalg.qr(x, mode="thin"), UsageError, "mode='thin'"),
    "out of multi_dot": (lambda x: np.linalg.multi_dot([x, x], out=np.empty((3, 3))), UsageError, "multi_dot: out="),
    "one factor": (lambda x: np.linalg.multi_dot([x]), ShapeError, "two arrays or more, got 1"),
    "tensorinv from 0": (lambda x: np.linalg.tensorinv(x, ind=0), ShapeError, "ind= must be positive"),
    "tensorsolve with negative axes": (
        lambda x: np.linalg.tensorsolve(x, V3, axes=(-1,)),
        ShapeError,
        "transpose cannot take",
    ),
    "outer of matrices": (lambda x: np.linalg.outer(x, V3), ShapeError, r"two vectors, got \(3, 3\) and \(3,\)"),
    "cross of pairs": (lambda x: np.linalg.cross(x[:, :2], V2), ShapeError, r"vectors of 3 along axis -1"),
    "singular": (lambda x: np.linalg.inv(0 * x), ValueError, "Singular matrix"),
    "not positive definite": (lambda x: np.linalg.cholesky(-x @ x.T), ValueError, "not positive definite"),
    "not square": (lambda x: np.linalg.det(x[:2]), ValueError, "must be square"),
    "a triangle of another name": (lambda x: np.linalg.eigh(x, "X"), ValueError, "UPLO"),
    "a norm of three axes": (lambda x: np.linalg.norm(x[None], axis=(0, 1, 2)), ValueError, "number of dimensions"),
    "a tensor as the cutoff": (lambda x: np.linalg.pinv(x, x[0, 0]), UsageError, "rcond= is a parameter"),
}


@pytest.mark.parametrize(("attempt", "kind", "message"), REFUSED.values(), ids=list(REFUSED))
def test_refused(attempt: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt(tg.tensor(SQUARE, requires_grad=True))


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (3, 4, 4), (7, 7), (0, 2, 2), (2, 0, 0)])
def test_the_determinant_of_regular_matrices_takes_no_other_way(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).normal(size=shape) + 3 * np.eye(shape[-1])
    by_inverse = tg.grad(lambda x: np.sum(np.sin(np.linalg.det(x))))(x)
    monkeypatch.setattr(linalg, "_inverse_if_regular", lambda x: None)
    otherwise = tg.grad(lambda x: np.sum(np.sin(np.linalg.det(x))))(x)
    np.testing.assert_allclose(by_inverse, otherwise, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("lost", [0, 1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 1e-60])
def test_the_gradient_of_a_determinant_is_its_cofactors(size: int, lost: int, scale: float) -> None:
    factors = np.random.default_rng(0).normal(size=(2, 5, size, max(size - lost, 0)))
    x = scale * factors[0] @ factors[1].mT
    cofactors = np.empty_like(x)
    for i, j in np.ndindex(size, size):
        minor = np.delete(np.delete(x, i, axis=-2), j, axis=-1)
        cofactors[..., i, j] = (-1) ** (i + j) * np.linalg.det(minor)
    found = tg.grad(lambda x: np.sum(np.linalg.det(x)))(x)
    largest = np.max(np.abs(x), initial=0) ** (size - 1)
    np.testing.assert_allclose(found, cofactors, rtol=0, atol=1e-13 * largest)


@pytest.mark.parametrize("dtype", [bool, np.int8])
def test_a_product_of_whole_numbers_within_one_of_floats_is_refused(dtype: Any) -> None:
    """NumPy's value would be that of a logical product, or one that has wrapped around, and the gradient another's."""
    x, whole = random(3, 3), np.full((3, 3), 1).astype(dtype)
    with pytest.raises(UsageError, match=r"the gradient does not follow it: pass array.astype\(float\)"):
        tg.grad(lambda x: np.sum(np.linalg.multi_dot([x, whole, whole])))(x)
    alone = np.linalg.multi_dot([tg.tensor(whole), whole, whole])
    np.testing.assert_array_equal(alone.numpy(), np.linalg.multi_dot([whole, whole, whole]))
    np.testing.assert_allclose(
        tg.grad(lambda x: np.sum(np.linalg.multi_dot([x, whole, x])))(x),
        tg.grad(lambda x: np.sum(x @ whole.astype(float) @ x))(x),
    )
