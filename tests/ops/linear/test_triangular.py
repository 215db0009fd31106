"""Triangular systems and Cholesky's, as scipy.linalg has them: values, gradients, and what is refused."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import tinygrad_lite as tg
from tests.derivatives import numerical_gradients
from tests.numpy_calls import check, close
from tinygrad_lite.errors import InputError, ShapeError

rng = np.random.default_rng(5)
A = rng.uniform(-1, 1, (4, 4)) + 3 * np.eye(4)
STACK = rng.uniform(-1, 1, (2, 3, 3)) + 3 * np.eye(3)
POSITIVE = A @ A.T
VECTOR, COLUMNS = rng.normal(size=4), rng.normal(size=(4, 2))
SETTINGS = list(product((0, 1, 2, "N", "T", "C"), (False, True), (False, True)))


@pytest.mark.parametrize(("trans", "lower", "unit_diagonal"), SETTINGS)
@pytest.mark.parametrize("b", [VECTOR, COLUMNS, COLUMNS[:, :1]], ids=["vector", "columns", "column"])
def test_solve_triangular_is_scipys(b: Any, trans: Any, lower: bool, unit_diagonal: bool) -> None:
    found = tg.linalg.solve_triangular(A, b, trans, lower, unit_diagonal)
    expected = scipy.linalg.solve_triangular(A, b, trans, lower, unit_diagonal)
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)
    assert found.shape == expected.shape


@pytest.mark.parametrize(("trans", "lower", "unit_diagonal"), [x for x in SETTINGS if x[0] in (0, 1)])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        (A, VECTOR),
        (A, COLUMNS),
        (A[:1, :1], VECTOR[:1]),
        (STACK, rng.normal(size=3)),
        (STACK, rng.normal(size=(2, 3, 2))),
        (STACK[0], rng.normal(size=(2, 3, 1))),
        (STACK, rng.normal(size=(3, 2))),
        (np.empty((0, 0)), np.empty(0)),
    ],
)
def test_solve_triangular_has_its_gradients(a: Any, b: Any, trans: int, lower: bool, unit_diagonal: bool) -> None:
    """To second order, in both modes; 0 for the other triangle, and for a unit diagonal."""
    check(lambda a, b: tg.linalg.solve_triangular(a, b, trans, lower, unit_diagonal), a, b)


@pytest.mark.parametrize("size", [40, 100])
def test_a_triangle_is_solved_by_substitution_whose_error_knows_no_condition_number(size: int) -> None:
    l = np.tril(rng.normal(size=(size, size))) + np.diag(10.0 ** np.linspace(0, -12, size))  # noqa: E741
    for a, lower in ((l, True), (l.T, False)):
        for trans in (0, 1):
            b = (a.T if trans else a) @ np.ones(size)
            found = tg.linalg.solve_triangular(a, b, trans, lower)
            residual = np.absolute((a.T if trans else a) @ found - b)
            scale = np.absolute(a.T if trans else a) @ np.absolute(found)
            assert np.all(residual <= 2 * size * np.finfo(float).eps * scale)


LARGE = rng.uniform(-1, 1, (150, 150)) + 30 * np.eye(150)


@pytest.mark.parametrize(("trans", "lower", "unit_diagonal"), list(product((0, 1), (False, True), (False, True))))
@pytest.mark.parametrize("size", [63, 64, 65, 150])
def test_large_triangles_are_solved_by_halves(size: int, trans: int, lower: bool, unit_diagonal: bool) -> None:
    a, b = LARGE[:size, :size] / 30, rng.normal(size=(2, size, 3))
    for right in (b[0, :, 0], b[0]):
        expected = scipy.linalg.solve_triangular(a, right, trans, lower, unit_diagonal)
        close([tg.linalg.solve_triangular(a, right, trans, lower, unit_diagonal)], [expected], 1e-11)
    stack = tg.linalg.solve_triangular(a, b, trans, lower, unit_diagonal)
    close([stack[1]], [tg.linalg.solve_triangular(a, b[1], trans, lower, unit_diagonal)], 1e-11)


@pytest.mark.parametrize("size", [47, 48, 97])
@pytest.mark.parametrize("upper", [False, True])
def test_the_gradient_of_a_large_cholesky_factor_is_that_of_the_determinant(size: int, upper: bool) -> None:
    matrix = LARGE[:size, :size] @ LARGE[:size, :size].T / 900

    def half_log_det(x: Any) -> Any:
        return np.sum(np.log(np.diagonal(np.linalg.cholesky((x + x.T) / 2, upper=upper))))

    close([tg.grad(half_log_det)(matrix)], [np.linalg.inv(matrix) / 2], 1e-11)
    direction = LARGE[:size, :size] + LARGE[:size, :size].T
    inverse = np.linalg.inv(matrix)
    close([tg.hvp(half_log_det, (matrix,), (direction,))], [-inverse @ direction @ inverse / 2], 1e-10)


@pytest.mark.parametrize("lower", [False, True])
def test_cholesky_solves_as_scipys(lower: bool) -> None:
    mixed = np.where(np.tri(4, dtype=bool), POSITIVE, 7.0) if lower else np.where(np.tri(4, k=-1), 7.0, POSITIVE)
    c, told = tg.linalg.cho_factor(mixed, lower)
    expected, _ = scipy.linalg.cho_factor(mixed, lower)
    assert told is lower
    np.testing.assert_allclose(c, np.tril(expected) if lower else np.triu(expected), rtol=1e-13)
    for b in (VECTOR, COLUMNS):
        found = tg.linalg.cho_solve((expected, lower), b)  # of SciPy's factor, whose other triangle holds anything
        np.testing.assert_allclose(found, scipy.linalg.cho_solve((expected, lower), b), rtol=1e-11)
        check(lambda a, b: tg.linalg.cho_solve(tg.linalg.cho_factor(a, lower), b), mixed, b, tolerance=1e-6)


def test_a_gaussian_process_has_the_gradient_of_its_likelihood() -> None:
    x, y = np.linspace(0, 1, 6), np.sin(np.arange(6.0))

    def likelihood(parameters: Any, linalg: Any) -> Any:
        scale, noise = np.exp(parameters[0]), np.exp(parameters[1])
        kernel = np.exp(-(((x[:, None] - x) / scale) ** 2)) + noise * np.eye(6)
        factor = np.linalg.cholesky(kernel)
        z = linalg.solve_triangular(factor, y, lower=True, check_finite=False)
        return 0.5 * z @ z + np.sum(np.log(np.diagonal(factor)))

    at = np.array([-1.0, -2.0])
    expected = numerical_gradients(lambda p: likelihood(p, scipy.linalg), [at], [0])
    close([tg.grad(lambda p: likelihood(p, tg.linalg))(at)], expected, 1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_dtypes_are_numpys(dtype: Any) -> None:
    a, b = np.tril(np.arange(9).reshape(3, 3) + 1).astype(dtype), np.arange(3).astype(dtype)
    found = tg.linalg.solve_triangular(a, b, lower=True)
    assert found.dtype == np.linalg.solve(a, b).dtype
    np.testing.assert_allclose(found, np.linalg.solve(a, b), rtol=1e-6)


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda x: tg.linalg.solve_triangular(x, VECTOR, trans=3), InputError, 'trans must be 0, 1 or 2, or "N"'),
        (lambda x: tg.linalg.solve_triangular(x[:2], VECTOR), ShapeError, r"a square matrix.*got shape \(2, 4\)"),
        (lambda x: tg.linalg.solve_triangular(x[0], VECTOR), ShapeError, r"a square matrix.*got shape \(4,\)"),
        (lambda x: tg.linalg.solve_triangular(x, VECTOR[:2]), ShapeError, "solve_triangular cannot take"),
        (lambda x: tg.linalg.solve_triangular(0 * x, VECTOR), np.linalg.LinAlgError, "Singular matrix"),
        (
            lambda x: tg.linalg.solve_triangular(x, VECTOR * np.nan),
            InputError,
            "solve_triangular: .* check_finite=False",
        ),
        (lambda x: tg.linalg.cho_factor(x * np.inf), InputError, "cho_factor: .* check_finite=False"),
        (lambda x: tg.linalg.cho_factor(-x), np.linalg.LinAlgError, "not positive definite"),
    ],
)
def test_refused(attempt: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt(tg.tensor(A, requires_grad=True))


def test_what_is_not_finite_is_computed_with_when_told_so() -> None:
    y = tg.linalg.solve_triangular(A, VECTOR * np.nan, check_finite=False)
    assert np.all(np.isnan(y))
