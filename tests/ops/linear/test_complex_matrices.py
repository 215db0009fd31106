"""Complex matrices: decompositions, systems and norms, and the eigenvalues of real ones, against differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.derivatives import assert_gradients
from tinygrad_lite.errors import InputError

rng = np.random.default_rng(5)


def numbers(*shape: int) -> Any:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def hermitian(size: int) -> Any:
    a = numbers(size, size)
    return a + a.conj().T


def weighted(*parts: Any) -> Any:
    """A real number that depends on every real and imaginary part."""
    total = 0.0
    for y in parts:
        weights = np.random.default_rng(np.ndim(y)).normal(size=(2, *np.shape(y)))
        total = total + np.sum(weights[0] * np.real(y)) + np.sum(weights[1] * np.imag(y))
    return total


def of_product(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """A function of a positive definite matrix, and the same made of its square root."""
    return lambda z: function(z @ np.conj(z).mT + np.eye(z.shape[-1]))


def composed(w: Any, v: Any) -> Any:
    return (v * np.exp(-np.square(w))[..., None, :]) @ np.linalg.inv(v)


def unitary(u: Any, s: Any, vt: Any) -> Any:
    return u @ vt


def without_phases(u: Any, s: Any, vt: Any, count: int = 3) -> Any:
    product = (u[..., :count] * np.sin(s)[..., None, :]) @ vt[..., :count, :]
    return weighted(product, np.abs(u[..., :count]), np.abs(vt[..., :count, :]), s)


SPREAD = 5 * np.diag([1.0, 2.0, 3.0, 4.0])
TALL, VECTOR, COLUMNS = numbers(4, 3), numbers(4), numbers(3, 2)
Case = tuple[Callable[[Any], Any], Any]
CASES: dict[str, Case] = {
    "eigvalsh": (lambda z: weighted(np.linalg.eigvalsh(z)), numbers(3, 3)),
    "eigvalsh of the upper triangle": (lambda z: weighted(np.linalg.eigvalsh(z, "U")), numbers(2, 3, 3)),
    "a function by eigh": (lambda z: weighted(composed(*np.linalg.eigh(z))), numbers(3, 3)),
    "sizes of eigenvectors": (lambda z: weighted(np.abs(np.linalg.eigh(z, "U")[1])), numbers(2, 3, 3)),
    "svd, tall": (lambda z: without_phases(*np.linalg.svd(z, full_matrices=False)), numbers(4, 3)),
    "svd, wide": (lambda z: without_phases(*np.linalg.svd(z, full_matrices=False)), numbers(2, 3, 4)),
    "svd, full": (lambda z: without_phases(*np.linalg.svd(z)), numbers(4, 3)),
    "svd, hermitian": (lambda z: without_phases(*np.linalg.svd(z, hermitian=True)), hermitian(3)),
    "the unitary factor": (lambda z: weighted(unitary(*np.linalg.svd(z))), numbers(3, 3)),
    "svdvals": (lambda z: weighted(np.linalg.svdvals(z)), numbers(3, 4)),
    "qr, tall": (lambda z: weighted(*np.linalg.qr(z)), numbers(4, 3)),
    "qr, wide": (lambda z: weighted(*np.linalg.qr(z)), numbers(3, 5)),
    "qr, complete": (lambda z: weighted(np.linalg.qr(z, "complete")[0][:, :3]), numbers(4, 3)),
    "cholesky": (of_product(lambda a: weighted(np.linalg.cholesky(a))), numbers(3, 3)),
    "cholesky, upper": (of_product(lambda a: weighted(np.linalg.cholesky(a, upper=True))), numbers(2, 3, 3)),
    "cholesky of a triangle": (lambda z: weighted(np.linalg.cholesky(z + 9 * np.eye(3))), numbers(3, 3)),
    "pinv": (lambda z: weighted(np.linalg.pinv(z)), numbers(3, 4)),
    "pinv, hermitian": (lambda z: weighted(np.linalg.pinv(z, hermitian=True)), hermitian(3)),
    "lstsq by the matrix": (lambda z: weighted(*np.linalg.lstsq(z, VECTOR)[:2]), numbers(4, 3)),
    "lstsq by the right-hand side": (lambda z: weighted(*np.linalg.lstsq(TALL, z)[:2]), numbers(4, 2)),
    "slogdet": (lambda z: weighted(*np.linalg.slogdet(z)), numbers(2, 3, 3)),
    "det of a singular matrix": (lambda z: weighted(np.linalg.det(z)), numbers(8, 7) @ numbers(7, 8)),
    "solve_triangular": (lambda z: weighted(tg.linalg.solve_triangular(z, COLUMNS, "T")), numbers(3, 3)),
    "its adjoint": (lambda z: weighted(tg.linalg.solve_triangular(z, COLUMNS, "C", lower=True)), numbers(3, 3)),
    "cho_solve": (of_product(lambda a: weighted(tg.linalg.cho_solve(tg.linalg.cho_factor(a), COLUMNS))), numbers(3, 3)),
    "norm": (lambda z: np.linalg.norm(z, 2) + np.linalg.norm(z, -2) + np.linalg.norm(z, "nuc"), numbers(3, 4)),
    "cond": (lambda z: sum(np.real(np.linalg.cond(z, p)) for p in (None, -2, 1, -np.inf, "fro", "nuc")), numbers(3, 3)),
    "eigvals": (lambda z: weighted(np.square(np.linalg.eigvals(z))), numbers(3, 3)),
    "eigvals of a real matrix": (lambda z: weighted(np.linalg.eigvals(np.real(z))), numbers(4, 4)),
    "real eigvals": (lambda z: weighted(np.linalg.eigvals(np.real(z) + SPREAD)), numbers(4, 4)),
    "a function by eig": (lambda z: weighted(composed(*np.linalg.eig(z))), numbers(3, 3)),
    "a function of a real matrix by eig": (lambda z: weighted(composed(*np.linalg.eig(np.real(z)))), numbers(4, 4)),
    "sizes of eigenvectors by eig": (lambda z: weighted(np.abs(np.linalg.eig(z)[1])), numbers(2, 3, 3)),
    "real eigenvectors": (lambda z: weighted(np.linalg.eig(np.real(z) + SPREAD)[1]), numbers(4, 4)),
    "roots": (lambda z: weighted(np.roots(z)), numbers(4)),
    "roots of a real polynomial": (lambda z: weighted(np.roots(np.real(z))), numbers(5)),
    "real roots": (lambda z: weighted(np.roots([1.0, -6.0, 11.0, -6.0] + 0.01 * np.real(z))), numbers(4)),
}


def of_parts(case: Case) -> tuple[Callable[..., Any], tuple[Any, Any]]:
    f, z = case
    return lambda a, b: f(a + 1j * b), (np.real(z), np.imag(z))


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_order_in_both_modes(name: str) -> None:
    f, parts = of_parts(CASES[name])
    t = tuple(np.random.default_rng(1).normal(size=x.shape) for x in parts)
    gradients = tg.grad(f, (0, 1))(*parts)
    assert_gradients(gradients, f, parts, (0, 1), 1e-7)
    _, change = tg.jvp(f, parts, t)
    np.testing.assert_allclose(change, sum(np.sum(g * d) for g, d in zip(gradients, t)), rtol=1e-9, atol=1e-11)

    def along(*x: Any) -> Any:
        return sum(np.sum(g * d) for g, d in zip(tg.grad(f, (0, 1))(*x), t))

    second = tg.grad(along, (0, 1))(*parts)
    assert_gradients(second, along, parts, (0, 1), 1e-6)
    for a, b in zip(tg.hvp(f, parts, t, (0, 1)), second):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8 * (1 + np.max(np.abs(b))))


@pytest.mark.parametrize("name", CASES)
def test_single_precision_and_vmap(name: str) -> None:
    f, parts = of_parts(CASES[name])
    expected = tg.grad(f, (0, 1))(*parts)
    single = tg.grad(f, (0, 1))(*[x.astype(np.float32) for x in parts])
    stacks = tg.vmap(tg.grad(f, (0, 1)))(*[np.stack([x, x]) for x in parts])
    for g, narrow, stack in zip(expected, single, stacks):
        assert narrow.dtype == np.float32
        np.testing.assert_allclose(narrow, g, rtol=2e-3, atol=2e-3 * np.max(np.abs(g)))
        np.testing.assert_allclose(stack, np.stack([g, g]), rtol=1e-9, atol=1e-11 * (1 + np.max(np.abs(g))))


@pytest.mark.parametrize("name", [name for name in CASES if "real" in name or "cholesky" in name])
def test_values_are_numpys(name: str) -> None:
    f, parts = of_parts(CASES[name])
    np.testing.assert_array_equal(f(*map(tg.tensor, parts)), f(*parts))


def test_eigenvalues_and_roots_are_real_where_numpy_has_them_real() -> None:
    for turn in (np.eye(2), np.array([[0.0, -1.0], [1.0, 0.0]])):
        for f in (np.linalg.eigvals, lambda x: np.linalg.eig(x)[1], lambda x: np.roots([1.0, -x[0, 0], x[1, 0]])):
            for dtype in (np.float64, np.float32):
                x = (turn @ np.array([[2.0, 1.0], [0.5, -1.0]])).astype(dtype)
                np.testing.assert_array_equal(f(tg.tensor(x)), f(x), strict=True)
    np.testing.assert_array_equal(np.roots(tg.tensor([0.0, 2.0, -4.0, 0.0])), [2.0, 0.0], strict=True)


DOUBLE = np.diag([1.0, 1.0, 2.0]) + 0j
BLOCK = np.array([[1.0, 1.0], [0.0, 1.0]])
REFUSED: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "phases by eigh": (lambda z: weighted(np.linalg.eigh(z)[1]), hermitian(3), "phases of its eigenvectors"),
    "phases by svd": (lambda z: weighted(np.linalg.svd(z)[0]), numbers(3, 3), "phases of its singular vectors"),
    "phases by svd, wide": (lambda z: weighted(np.linalg.svd(z)[0]), numbers(2, 3), "phases of its singular vectors"),
    "phases by eig": (lambda z: weighted(np.linalg.eig(z)[1]), numbers(3, 3), "phases of its eigenvectors"),
    "phases by eig of a real matrix": (
        lambda z: weighted(np.linalg.eig(np.real(z))[1]),
        np.array([[0.0, -1.0], [2.0, 0.5]]) + 0j,
        "phases of its eigenvectors",
    ),
    "one of two equal values by eigh": (lambda z: np.linalg.eigvalsh(z)[0], DOUBLE, "two eigenvalues are equal"),
    "one of two equal values by svd": (lambda z: np.linalg.svdvals(z)[2], DOUBLE, "two singular values are equal"),
    "one of two equal values by eig": (lambda z: np.real(np.linalg.eigvals(z)[0]), DOUBLE, "two eigenvalues are equal"),
    "vectors of equal values by eigh": (
        lambda z: weighted(np.abs(np.linalg.eigh(z)[1])),
        DOUBLE,
        "does not determine the eigenvectors of equal",
    ),
    "vectors of equal values by eig": (
        lambda z: weighted(np.abs(np.linalg.eig(z)[1])),
        DOUBLE,
        "does not determine the eigenvectors of equal",
    ),
    "too few eigenvectors": (lambda z: np.real(np.sum(np.linalg.eigvals(z))), BLOCK + 0j, "fewer independent"),
    "the phase of 0": (lambda z: np.real(np.linalg.slogdet(z)[0]), BLOCK * [0, 1] + 0j, "which has no phase"),
    "a multiple root": (lambda z: np.real(np.roots(z)[0]), np.array([1.0, 0.0, 0.0]) + 0j, "is a multiple one"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_derivative_is_refused(name: str) -> None:
    f, z, message = REFUSED[name]
    g, parts = of_parts((f, z))
    with pytest.raises(InputError, match=message):
        tg.grad(g, (0, 1))(*parts)


def test_all_of_some_equal_values_have_a_derivative_together() -> None:
    for f in (np.linalg.eigvalsh, np.linalg.svdvals, np.linalg.eigvals):
        gradient = tg.grad(lambda a, f=f: np.real(np.sum(np.square(f(a + 0j)))))(np.real(DOUBLE))
        np.testing.assert_allclose(gradient, 2 * np.real(DOUBLE), atol=1e-14)
