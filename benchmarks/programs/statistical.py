"""Models of statistics: likelihoods, regressions and factorisations."""

from math import log, pi
from typing import Any

import numpy as np

import tinygrad_lite as tg
from benchmarks.programs.contest import Contest, HessianProduct, Modules, program
from benchmarks.programs.peers import jax, jnp, torch
from tinygrad_lite import nn


@program("Gaussian mixture: 1,000 points, 10 full covariances in 4 dimensions")
def gaussian_mixture(rng: np.random.Generator) -> Contest:
    """ADBench's objective: L is the Cholesky factor of the inverse covariance, given below and on its diagonal."""

    def in_numpy(p: Any, x: Any) -> Any:
        factor = np.tril(p["below"], -1) + np.exp(p["log_diagonal"])[:, :, None] * np.eye(x.shape[1])
        z = np.einsum("kij,nkj->nki", factor, x[:, None, :] - p["means"])
        score = p["logits"] + np.sum(p["log_diagonal"], axis=1) - 0.5 * np.sum(z**2, axis=2)
        largest = np.max(score, axis=1, keepdims=True)
        log_density = np.log(np.sum(np.exp(score - largest), axis=1)) + largest[:, 0]
        return len(x) * np.log(np.sum(np.exp(p["logits"]))) - np.sum(log_density)

    def in_pytorch(p: Any, x: Any) -> Any:
        factor = torch.tril(p["below"], -1) + torch.diag_embed(torch.exp(p["log_diagonal"]))
        z = torch.einsum("kij,nkj->nki", factor, x[:, None, :] - p["means"])
        score = p["logits"] + torch.sum(p["log_diagonal"], dim=1) - 0.5 * torch.sum(z**2, dim=2)
        return len(x) * torch.logsumexp(p["logits"], 0) - torch.sum(torch.logsumexp(score, 1))

    def in_jax(p: Any, x: Any) -> Any:
        factor = jnp.tril(p["below"], -1) + jnp.exp(p["log_diagonal"])[:, :, None] * jnp.eye(x.shape[1])
        z = jnp.einsum("kij,nkj->nki", factor, x[:, None, :] - p["means"])
        score = p["logits"] + jnp.sum(p["log_diagonal"], axis=1) - 0.5 * jnp.sum(z**2, axis=2)
        return len(x) * jax.nn.logsumexp(p["logits"]) - jnp.sum(jax.nn.logsumexp(score, axis=1))

    n, k, d = 1000, 10, 4
    parameters = {
        "logits": rng.normal(size=k),
        "means": rng.normal(size=(k, d)),
        "log_diagonal": 0.1 * rng.normal(size=(k, d)),
        "below": rng.normal(size=(k, d, d)),
    }
    return Contest(parameters, (rng.normal(size=(n, d)),), in_numpy, in_pytorch, in_jax)


@program("Gaussian process: log marginal likelihood of 100 points")
def gaussian_process(rng: np.random.Generator) -> Contest:
    def in_numpy(p: Any, x: Any, y: Any) -> Any:
        length, amplitude, noise = np.exp(p)
        kernel = amplitude * np.exp(-0.5 * ((x[:, None] - x) / length) ** 2)
        factor = np.linalg.cholesky(kernel + noise * np.eye(len(x)))
        z = tg.linalg.solve_triangular(factor, y, lower=True)
        return 0.5 * z @ z + np.sum(np.log(np.diagonal(factor))) + 0.5 * len(x) * log(2 * pi)

    def in_pytorch(p: Any, x: Any, y: Any) -> Any:
        length, amplitude, noise = torch.exp(p)
        kernel = amplitude * torch.exp(-0.5 * ((x[:, None] - x) / length) ** 2)
        factor = torch.linalg.cholesky(kernel + noise * torch.eye(len(x), dtype=x.dtype))
        z = torch.linalg.solve_triangular(factor, y[:, None], upper=False)[:, 0]
        return 0.5 * z @ z + torch.sum(torch.log(torch.diagonal(factor))) + 0.5 * len(x) * log(2 * pi)

    def in_jax(p: Any, x: Any, y: Any) -> Any:
        length, amplitude, noise = jnp.exp(p)
        kernel = amplitude * jnp.exp(-0.5 * ((x[:, None] - x) / length) ** 2)
        factor = jnp.linalg.cholesky(kernel + noise * jnp.eye(len(x)))
        z = jax.scipy.linalg.solve_triangular(factor, y, lower=True)
        return 0.5 * z @ z + jnp.sum(jnp.log(jnp.diagonal(factor))) + 0.5 * len(x) * log(2 * pi)

    x = np.sort(rng.uniform(0, 10, 100))
    return Contest(np.log([1.0, 1.0, 0.1]), (x, np.sin(x)), in_numpy, in_pytorch, in_jax)


@program("Kalman filter over 50 measurements")
def kalman_filter(rng: np.random.Generator) -> Contest:
    """The likelihood of the position of a body that moves in a plane, as a function of two levels of noise."""
    motion = np.array([[1.0, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]])
    looks = np.eye(2, 4)

    def in_numpy(p: Any, measured: Any, motion: Any, looks: Any) -> Any:
        push, noise = np.exp(p[0]) * np.eye(4), np.exp(p[1]) * np.eye(2)
        state, spread, loss = np.zeros(4), np.eye(4), 0.0
        for y in measured:
            state, spread = motion @ state, motion @ spread @ motion.T + push
            surprise, s = y - looks @ state, looks @ spread @ looks.T + noise
            loss = loss + 0.5 * surprise @ np.linalg.solve(s, surprise) + 0.5 * np.linalg.slogdet(s)[1]
            gain = spread @ looks.T @ np.linalg.inv(s)
            state, spread = state + gain @ surprise, spread - gain @ looks @ spread
        return loss

    def in_pytorch(p: Any, measured: Any, motion: Any, looks: Any) -> Any:
        eye = torch.eye(4, dtype=p.dtype)
        push, noise = torch.exp(p[0]) * eye, torch.exp(p[1]) * eye[:2, :2]
        state, spread, loss = 0 * eye[0], eye, 0.0
        for y in measured:
            state, spread = motion @ state, motion @ spread @ motion.T + push
            surprise, s = y - looks @ state, looks @ spread @ looks.T + noise
            loss = loss + 0.5 * surprise @ torch.linalg.solve(s, surprise) + 0.5 * torch.linalg.slogdet(s)[1]
            gain = spread @ looks.T @ torch.linalg.inv(s)
            state, spread = state + gain @ surprise, spread - gain @ looks @ spread
        return loss

    def in_jax(p: Any, measured: Any, motion: Any, looks: Any) -> Any:
        push, noise = jnp.exp(p[0]) * jnp.eye(4), jnp.exp(p[1]) * jnp.eye(2)

        def update(carried: Any, y: Any) -> Any:
            state, spread = carried
            state, spread = motion @ state, motion @ spread @ motion.T + push
            surprise, s = y - looks @ state, looks @ spread @ looks.T + noise
            loss = 0.5 * surprise @ jnp.linalg.solve(s, surprise) + 0.5 * jnp.linalg.slogdet(s)[1]
            gain = spread @ looks.T @ jnp.linalg.inv(s)
            return (state + gain @ surprise, spread - gain @ looks @ spread), loss

        _, losses = jax.lax.scan(update, (jnp.zeros(4), jnp.eye(4)), measured)
        return jnp.sum(losses)

    measured = np.cumsum(rng.normal(size=(50, 2)), axis=0)
    return Contest(np.array([-1.0, 0.5]), (measured, motion, looks), in_numpy, in_pytorch, in_jax)


@program("softmax regression: 128 rows of 784, 10 classes")
def softmax_regression(rng: np.random.Generator) -> Contest:
    cross_entropy = nn.CrossEntropyLoss()

    def in_numpy(model: Any, x: Any, y: Any) -> Any:
        return cross_entropy(model(x), y)

    def in_pytorch(model: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(model(x), y)

    def in_jax(p: Any, x: Any, y: Any) -> Any:
        log_probabilities = jax.nn.log_softmax(x @ p["weight"].T + p["bias"])
        return -jnp.mean(log_probabilities[jnp.arange(len(y)), y])

    return Modules(
        {"weight": rng.normal(size=(10, 784)) / 28, "bias": np.zeros(10)},
        (rng.random((128, 784)), rng.integers(0, 10, 128)),
        in_numpy,
        in_pytorch,
        in_jax,
        dtype=np.float32,
        model=lambda dtype: nn.Linear(784, 10, dtype=dtype),
        torch_model=lambda: torch.nn.Linear(784, 10),
    )


@program("logistic regression, a Hessian times a vector: 500 rows of 20")
def logistic_regression(rng: np.random.Generator) -> Contest:
    def in_numpy(w: Any, x: Any, sign: Any) -> Any:
        return np.mean(np.logaddexp(0, -sign * (x @ w))) + 0.01 * np.sum(w**2)

    def in_pytorch(w: Any, x: Any, sign: Any) -> Any:
        return torch.mean(torch.nn.functional.softplus(-sign * (x @ w))) + 0.01 * torch.sum(w**2)

    def in_jax(w: Any, x: Any, sign: Any) -> Any:
        return jnp.mean(jax.nn.softplus(-sign * (x @ w))) + 0.01 * jnp.sum(w**2)

    data = rng.normal(size=(500, 20)), rng.choice([-1.0, 1.0], 500)
    return HessianProduct(rng.normal(size=20), data, in_numpy, in_pytorch, in_jax, vector=rng.normal(size=20))


@program("least squares of a polynomial of degree 5: 1,000 points")
def polynomial(rng: np.random.Generator) -> Contest:
    def in_numpy(coefficients: Any, x: Any, y: Any) -> Any:
        return np.mean((np.vander(x, 6) @ coefficients - y) ** 2)

    def in_pytorch(coefficients: Any, x: Any, y: Any) -> Any:
        return torch.mean((torch.vander(x, 6) @ coefficients - y) ** 2)

    def in_jax(coefficients: Any, x: Any, y: Any) -> Any:
        return jnp.mean((jnp.vander(x, 6) @ coefficients - y) ** 2)

    x = rng.uniform(-1, 1, 1000)
    return Contest(rng.normal(size=6), (x, np.sin(3 * x)), in_numpy, in_pytorch, in_jax)


@program("matrix factorisation: 3,000 ratings, 500 users and 300 films in 16 dimensions")
def matrix_factorisation(rng: np.random.Generator) -> Contest:
    def in_numpy(p: Any, user: Any, film: Any, rating: Any) -> Any:
        u, v = p["users"][user], p["films"][film]
        error = np.sum(u * v, axis=1) + p["user_bias"][user] + p["film_bias"][film] - rating
        return np.mean(error**2) + 0.01 * (np.mean(u**2) + np.mean(v**2))

    def in_pytorch(p: Any, user: Any, film: Any, rating: Any) -> Any:
        u = torch.nn.functional.embedding(user, p["users"])
        v = torch.nn.functional.embedding(film, p["films"])
        error = torch.sum(u * v, dim=1) + p["user_bias"][user] + p["film_bias"][film] - rating
        return torch.mean(error**2) + 0.01 * (torch.mean(u**2) + torch.mean(v**2))

    def in_jax(p: Any, user: Any, film: Any, rating: Any) -> Any:
        u, v = p["users"][user], p["films"][film]
        error = jnp.sum(u * v, axis=1) + p["user_bias"][user] + p["film_bias"][film] - rating
        return jnp.mean(error**2) + 0.01 * (jnp.mean(u**2) + jnp.mean(v**2))

    users, films, ratings = 500, 300, 3000
    parameters = {
        "users": rng.normal(size=(users, 16)) / 4,
        "films": rng.normal(size=(films, 16)) / 4,
        "user_bias": rng.normal(size=users),
        "film_bias": rng.normal(size=films),
    }
    data = rng.integers(0, users, ratings), rng.integers(0, films, ratings), rng.normal(size=ratings)
    return Contest(parameters, data, in_numpy, in_pytorch, in_jax, dtype=np.float32)
