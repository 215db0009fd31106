"""Functions that cancel to a constant, or nearly: their gradient is nothing but rounding, and still right."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
from numpy import linalg

import tinygrad_lite as tg
from tinygrad_lite.nn import functional

Generator = np.random.Generator


def square(rng: Generator) -> Any:
    return rng.normal(size=(3, 3))


def positive_definite(rng: Generator) -> Any:
    a = rng.normal(size=(3, 3))
    return a @ a.T + 0.1 * np.eye(3)


def vector(rng: Generator) -> Any:
    return rng.normal(size=4)


def positive(rng: Generator) -> Any:
    return np.exp(rng.normal(size=4))


def within_1(rng: Generator) -> Any:
    return rng.uniform(-1, 1, size=4)


def rebuilt_from_eigenvectors(a: Any) -> Any:
    a = (a + a.T) / 2
    values, vectors = linalg.eigh(a)
    return vectors @ (values[:, None] * vectors.T) - a


def rebuilt_from_singular_vectors(a: Any) -> Any:
    u, s, vt = linalg.svd(a)
    return (u * s) @ vt - a


def standardised(x: Any) -> Any:
    return (x - np.mean(x)) / np.std(x)


CANCELLING: dict[str, tuple[Callable[..., Any], Callable[[Generator], Any]]] = {
    "a⁻¹ a": (lambda a: linalg.inv(a) @ a, square),
    "a a⁻¹": (lambda a: a @ linalg.inv(a), square),
    "solve(a, a)": (lambda a: linalg.solve(a, a), square),
    "log det solve(a, a)": (lambda a: linalg.slogdet(linalg.solve(a, a))[1], square),
    "det a det a⁻¹": (lambda a: linalg.det(a) * linalg.det(linalg.inv(a)), square),
    "a⁺ a": (lambda a: linalg.pinv(a) @ a, square),
    "a⁺ - a⁻¹": (lambda a: linalg.pinv(a) - linalg.inv(a), square),
    "qᵀ q": (lambda a: linalg.qr(a)[0].T @ linalg.qr(a)[0], square),
    "l lᵀ - a": (lambda a: linalg.cholesky(a) @ linalg.cholesky(a).T - a, positive_definite),
    "Σ eigenvalues - trace": (lambda a: np.sum(linalg.eigh((a + a.T) / 2)[0]) - np.trace(a), square),
    "q w qᵀ - a": (rebuilt_from_eigenvectors, square),
    "u s vᵀ - a": (rebuilt_from_singular_vectors, square),
    "x / x": (lambda x: x / x, vector),
    "3 x - x - x - x": (lambda x: x * 3 - x - x - x, vector),
    "(x + 1)(x - 1) - x²": (lambda x: (x + 1) * (x - 1) - x * x, vector),
    "(1e8 + x) - 1e8 - x": (lambda x: (1e8 + x) - 1e8 - x, vector),
    "exp log x - x": (lambda x: np.exp(np.log(x)) - x, positive),
    "log exp x - x": (lambda x: np.log(np.exp(x)) - x, vector),
    "sin² + cos²": (lambda x: np.sin(x) ** 2 + np.cos(x) ** 2, vector),
    "cosh² - sinh²": (lambda x: np.cosh(x) ** 2 - np.sinh(x) ** 2, vector),
    "arctan2(sin x, cos x) - x": (lambda x: np.arctan2(np.sin(x), np.cos(x)) - x, within_1),
    "tanh arctanh x/2 - x/2": (lambda x: np.tanh(np.arctanh(x / 2)) - x / 2, within_1),
    "√x² - x": (lambda x: np.sqrt(x) ** 2 - x, positive),
    "x^2.5 / x^2.5": (lambda x: x**2.5 / x**2.5, positive),
    "Π x - exp Σ log x": (lambda x: np.prod(x) - np.exp(np.sum(np.log(x))), positive),
    "erf + erfc": (lambda x: scipy.special.erf(x) + scipy.special.erfc(x), vector),
    "log Γ(x + 1) - log Γ(x) - log x": (
        lambda x: scipy.special.gammaln(x + 1) - scipy.special.gammaln(x) - np.log(x),
        positive,
    ),
    "Σ softmax": (lambda x: np.sum(functional.softmax(x)), vector),
    "logsumexp - log Σ exp": (lambda x: functional.logsumexp(x) - np.log(np.sum(np.exp(x))), vector),
    "mean of x - mean": (lambda x: np.mean(x - np.mean(x)), vector),
    "variance of what is standardised": (lambda x: np.var(standardised(x)), vector),
    "norm of x / norm": (lambda x: linalg.norm(x / linalg.norm(x)), vector),
    "differences of cumulative sums": (lambda x: np.diff(np.cumsum(x)) - x[1:], vector),
    "gradient of Σ x²/2, less x": (lambda x: tg.grad(lambda x: np.sum(x**2) / 2)(x) - x, vector),
}
