"""The functions of tg.linalg, real and complex, beside those of scipy.linalg, and their derivatives by differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import tinygrad_lite as tg
from tests.derivatives import assert_gradients
from tinygrad_lite import trees
from tinygrad_lite.errors import InputError, ShapeError, UsageError

rng = np.random.default_rng(2)


def numbers(*shape: int) -> Any:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def positive(size: int) -> Any:
    a = numbers(size, size)
    return a @ a.conj().T + np.eye(size)


STABLE = 0.1 * numbers(3, 3) - 0.5 * np.eye(3)
ROTATION = np.array([[0.0, -1.0, 0.2], [1.0, 0.3, 0.0], [0.1, 0.0, 2.0]])
Case = tuple[str, tuple[Any, ...], dict[str, Any]]
CASES: dict[str, Case] = {
    "sqrtm": ("sqrtm", (positive(3),), {}),
    "sqrtm of a root that is complex": ("sqrtm", (ROTATION - 1.5 * np.eye(3),), {}),
    "logm": ("logm", (positive(3),), {}),
    "logm with a turn": ("logm", (ROTATION + 0.1j * positive(3),), {}),
    "expm": ("expm", (numbers(3, 3),), {}),
    "polar": ("polar", (numbers(4, 3),), {}),
    "polar, left": ("polar", (numbers(3, 4), "left"), {}),
    "eigh": ("eigh", (positive(3),), {"eigvals_only": True}),
    "eigh of two": ("eigh", (positive(3) - 3 * np.eye(3), positive(3)), {"eigvals_only": True}),
    "eigh of two, upper": ("eigh", (positive(3), positive(3)), {"lower": False, "eigvals_only": True}),
    "lu_factor": ("lu_factor", (numbers(4, 4),), {}),
    "solve_sylvester": ("solve_sylvester", (numbers(2, 2), numbers(3, 3), numbers(2, 3)), {}),
    "solve_continuous_lyapunov": ("solve_continuous_lyapunov", (STABLE, numbers(3, 3)), {}),
    "solve_discrete_lyapunov": ("solve_discrete_lyapunov", (STABLE, numbers(3, 3)), {}),
    "solve_continuous_are": ("solve_continuous_are", (numbers(3, 3), numbers(3, 2), positive(3), positive(2)), {}),
    "solve_discrete_are": ("solve_discrete_are", (numbers(3, 3), numbers(3, 2), positive(3), positive(2)), {}),
    "block_diag": ("block_diag", (numbers(2, 3), numbers(2), numbers(1, 1)), {}),
    "toeplitz": ("toeplitz", (numbers(3),), {}),
    "toeplitz, wide": ("toeplitz", (numbers(3), numbers(4)), {}),
    "circulant": ("circulant", (numbers(4),), {}),
    "hankel": ("hankel", (numbers(3),), {}),
    "hankel, wide": ("hankel", (numbers(3), numbers(5)), {}),
}


OF_VECTORS = ["block_diag", "toeplitz", "circulant", "hankel"]


def real_and_complex(case: Case) -> list[Case]:
    name, arrays, params = case
    return [(name, tuple(x if isinstance(x, str) else np.real(x) for x in arrays), params), case]


def weighted(y: Any) -> Any:
    """A real number that depends on every real and imaginary part of what can have a derivative."""
    total = 0.0
    for part in trees.leaves(y):
        if part.dtype.kind in "fc":
            weights = np.random.default_rng(part.ndim).normal(size=(2, *part.shape))
            total = total + np.sum(weights[0] * np.real(part)) + np.sum(weights[1] * np.imag(part))
    return total


def of_parts(case: Case) -> tuple[Callable[..., Any], list[Any]]:
    """A real function of the real and the imaginary parts of the arguments."""
    name, arguments, params = case
    arrays = [x for x in arguments if not isinstance(x, str)]
    settings = arguments[len(arrays) :]
    is_complex = [np.iscomplexobj(x) for x in arrays]

    def f(*parts: Any) -> Any:
        given = iter(parts)
        made = [next(given) + 1j * next(given) if turns else next(given) for turns in is_complex]
        return weighted(getattr(tg.linalg, name)(*made, *settings, **params))

    parts = [part for x in arrays for part in ([np.real(x), np.imag(x)] if np.iscomplexobj(x) else [x])]
    return f, parts


@pytest.mark.parametrize("name", CASES)
def test_values_are_scipys(name: str) -> None:
    for function, arguments, params in real_and_complex(CASES[name]):
        expected = getattr(scipy.linalg, function)(*arguments, **params)
        found = getattr(tg.linalg, function)(*map(to_tensor, arguments), **params)
        for a, b in zip(trees.leaves(found), trees.leaves(expected), strict=True):
            assert a.dtype.kind == b.dtype.kind
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.max(np.abs(b)))


def to_tensor(x: Any) -> Any:
    return x if isinstance(x, str) else tg.tensor(x)


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_order_in_both_modes(name: str) -> None:
    for case in real_and_complex(CASES[name]):
        f, parts = of_parts(case)
        places = tuple(range(len(parts)))
        t = tuple(np.random.default_rng(1).normal(size=x.shape) for x in parts)
        gradients = tg.grad(f, places)(*parts)
        assert_gradients(gradients, f, parts, places, 1e-7)
        _, change = tg.jvp(f, tuple(parts), t)
        expected = sum(np.sum(g * d) for g, d in zip(gradients, t))
        np.testing.assert_allclose(change, expected, rtol=1e-8, atol=1e-10 * (1 + abs(expected)))

        def along(*x: Any, f: Any = f, places: Any = places, t: Any = t) -> Any:
            return sum(np.sum(g * d) for g, d in zip(tg.grad(f, places)(*x), t))

        assert_gradients(tg.grad(along, places)(*parts), along, parts, places, 1e-6)


@pytest.mark.parametrize("name", [name for name in CASES if name.split(",")[0] not in OF_VECTORS])
def test_stacks_single_precision_and_vmap(name: str) -> None:
    for case in real_and_complex(CASES[name]):
        function, arguments, params = case
        stacked = [x if isinstance(x, str) else np.stack([x, x]) for x in arguments]
        single = getattr(tg.linalg, function)(*arguments, **params)
        for a, b in zip(trees.leaves(getattr(tg.linalg, function)(*stacked, **params)), trees.leaves(single)):
            np.testing.assert_allclose(a, np.stack([b, b]), rtol=1e-9, atol=1e-11 * np.max(np.abs(b)))
        f, parts = of_parts(case)
        places = tuple(range(len(parts)))
        expected = tg.grad(f, places)(*parts)
        narrow = tg.grad(f, places)(*[x.astype(np.float32) for x in parts])
        stacks = tg.vmap(tg.grad(f, places))(*[np.stack([x, x]) for x in parts])
        for g, short, stack in zip(expected, narrow, stacks):
            assert short.dtype == np.float32
            np.testing.assert_allclose(short, g, rtol=5e-3, atol=5e-3 * np.max(np.abs(g)))
            np.testing.assert_allclose(stack, np.stack([g, g]), rtol=1e-8, atol=1e-10 * (1 + np.max(np.abs(g))))


@pytest.mark.parametrize("trans", [0, 1, 2])
def test_lu_solve(trans: Any) -> None:
    for a in (np.real(CASES["lu_factor"][1][0]), CASES["lu_factor"][1][0]):
        turned, is_complex = (a, a.T, a.conj().T)[trans], np.iscomplexobj(a)
        for b in (rng.normal(size=4), rng.normal(size=(4, 2)), rng.normal(size=(4, 1))):
            x = tg.linalg.lu_solve(tg.linalg.lu_factor(a), b, trans)
            np.testing.assert_allclose(x, scipy.linalg.lu_solve(scipy.linalg.lu_factor(a), b, trans), rtol=1e-11)
            np.testing.assert_allclose(turned @ x, b, rtol=1e-11)

            def f(a: Any, b: Any, is_complex: bool = is_complex) -> Any:
                z = a + 0.3j * a.T if is_complex else a
                return weighted(tg.linalg.lu_solve(tg.linalg.lu_factor(z), b, trans))

            assert_gradients(tg.grad(f, (0, 1))(np.real(a), b), f, (np.real(a), b), (0, 1), 1e-7)


def test_eigenvectors_of_two_matrices() -> None:
    a, b = np.real(positive(3)), np.real(positive(3))
    w, v = tg.linalg.eigh(a, b)
    np.testing.assert_allclose(a @ v, b @ v * w, atol=1e-12)
    np.testing.assert_allclose(v.T @ b @ v, np.eye(3), atol=1e-12)

    def f(a: Any, b: Any) -> Any:
        return weighted(np.abs(tg.linalg.eigh(a, b)[1]))

    gradients = tg.grad(f, (0, 1))(a, b)
    assert_gradients(gradients, f, (a, b), (0, 1), 1e-7)
    assert not np.triu(gradients[0], 1).any()
    assert not np.triu(gradients[1], 1).any()


def test_under_functionalize_scipys_functions_are_these() -> None:
    for name in ("sqrtm", "eigh of two", "solve_sylvester", "solve_discrete_are", "lu_factor", "block_diag"):
        function, arguments, params = real_and_complex(CASES[name])[0]

        def f(*arrays: Any, function: str = function, params: Any = params) -> Any:
            return weighted(getattr(scipy.linalg, function)(*arrays, **params))

        ours, parts = of_parts((function, arguments, params))
        places = tuple(range(len(parts)))
        for a, b in zip(tg.grad(tg.functionalize(f), places)(*parts), tg.grad(ours, places)(*parts), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


MATRIX = np.eye(3)[:, :2]
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "sqrtm of a rectangle": (lambda: tg.linalg.sqrtm(MATRIX), ShapeError, "sqrtm needs a square matrix"),
    "matrices that do not fit": (
        lambda: tg.linalg.solve_sylvester(np.eye(2), np.eye(3), np.eye(2)),
        ShapeError,
        r"the shapes \(..., m, m\), \(..., n, n\), \(..., m, n\), got \(2, 2\), \(3, 3\), \(2, 2\)",
    ),
    "a vector for a matrix": (
        lambda: tg.linalg.solve_discrete_are(np.eye(2), np.ones(2), np.eye(2), np.eye(1)),
        ShapeError,
        r"\(..., n, m\)",
    ),
    "no solution": (
        lambda: tg.linalg.solve_continuous_are(np.eye(2), np.zeros((2, 1)), np.eye(2), np.eye(1)),
        np.linalg.LinAlgError,
        "solution",
    ),
    "another side": (lambda: tg.linalg.polar(np.eye(2), "up"), InputError, "side must be"),  # type: ignore[arg-type]
    "another problem": (lambda: tg.linalg.eigh(np.eye(2), np.eye(2), type=2), UsageError, "type=2 has no derivative"),
    "a matrix for a vector": (lambda: tg.linalg.toeplitz(np.eye(2)), ShapeError, "c must be a vector"),
    "a stack in a block": (lambda: tg.linalg.block_diag(np.ones((1, 2, 2))), ShapeError, r"shape \(1, 2, 2\)"),
    "a root of 0": (
        lambda: tg.grad(lambda x: np.sum(tg.linalg.sqrtm(x)))(np.diag([1.0, 1e-30])),
        InputError,
        "an eigenvalue of the matrix is 0",
    ),
    "no root": (lambda: tg.linalg.sqrtm(np.eye(2, k=1)), np.linalg.LinAlgError, "has no square root"),
    "a logarithm of 0": (lambda: tg.linalg.logm(np.diag([1.0, 0.0])), np.linalg.LinAlgError, "Singular matrix"),
    "singular factors": (lambda: tg.linalg.lu_factor(np.ones((2, 2))), np.linalg.LinAlgError, "Singular matrix"),
    "rows that there are not": (
        lambda: tg.linalg.lu_solve((np.eye(2), np.array([1, 2])), np.ones(2)),
        UsageError,
        "from 0 to 1, as lu_factor",
    ),
    "NaN": (lambda: tg.linalg.lu_factor(np.full((2, 2), np.nan)), InputError, "lu_factor needs finite numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    attempt, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        attempt()
