"""Classical problems of automatic differentiation: those of ADBench and of books."""

from functools import reduce
from typing import Any

import numpy as np

from benchmarks.programs.contest import Contest, HessianProduct, OneNumber, program
from benchmarks.programs.peers import jax, jnp, torch


@program("x² of one number")
def square(rng: np.random.Generator) -> Contest:
    def formula(x: Any) -> Any:
        return x**2

    return OneNumber(3.0, (), formula, formula, formula)


@program("x³ of 10,000 numbers")
def cube(rng: np.random.Generator) -> Contest:
    def in_numpy(x: Any) -> Any:
        return np.sum(x**3)

    def in_pytorch(x: Any) -> Any:
        return torch.sum(x**3)

    def in_jax(x: Any) -> Any:
        return jnp.sum(x**3)

    return Contest(rng.normal(size=10_000), (), in_numpy, in_pytorch, in_jax)


@program("log-sum-exp of 160,000 numbers")
def log_sum_exp(rng: np.random.Generator) -> Contest:
    def in_numpy(x: Any) -> Any:
        largest = np.max(x)
        return largest + np.log(np.sum(np.exp(x - largest)))

    def in_pytorch(x: Any) -> Any:
        return torch.logsumexp(x, 0)

    def in_jax(x: Any) -> Any:
        return jax.nn.logsumexp(x)

    return Contest(rng.normal(size=160_000), (), in_numpy, in_pytorch, in_jax)


@program("determinant of a 5 × 5 matrix by recursive expansion")
def determinant(rng: np.random.Generator) -> Contest:
    def in_numpy(a: Any) -> Any:
        if len(a) == 1:
            return a[0, 0]
        return sum((-1) ** j * a[0, j] * in_numpy(np.delete(a[1:], j, axis=1)) for j in range(len(a)))

    def in_pytorch(a: Any) -> Any:
        if len(a) == 1:
            return a[0, 0]
        minors = [torch.cat([a[1:, :j], a[1:, j + 1 :]], dim=1) for j in range(len(a))]
        return sum((-1) ** j * a[0, j] * in_pytorch(minor) for j, minor in enumerate(minors))

    def in_jax(a: Any) -> Any:
        if len(a) == 1:
            return a[0, 0]
        return sum((-1) ** j * a[0, j] * in_jax(jnp.delete(a[1:], j, axis=1)) for j in range(len(a)))

    return Contest(rng.normal(size=(5, 5)), (), in_numpy, in_pytorch, in_jax)


@program("Lotka–Volterra equations, 100 steps of Runge and Kutta")
def runge_kutta(rng: np.random.Generator) -> Contest:
    steps, dt = 100, 0.05

    def rk4(f: Any, y: Any) -> Any:
        k1 = f(y)
        k2 = f(y + dt / 2 * k1)
        k3 = f(y + dt / 2 * k2)
        k4 = f(y + dt * k3)
        return y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    def in_numpy(p: Any, start: Any, goal: Any) -> Any:
        def change(y: Any) -> Any:
            prey, predators = y
            return np.stack([p[0] * prey - p[1] * prey * predators, p[2] * prey * predators - p[3] * predators])

        y = start
        for _ in range(steps):
            y = rk4(change, y)
        return np.sum((y - goal) ** 2)

    def in_pytorch(p: Any, start: Any, goal: Any) -> Any:
        def change(y: Any) -> Any:
            prey, predators = y
            return torch.stack([p[0] * prey - p[1] * prey * predators, p[2] * prey * predators - p[3] * predators])

        y = start
        for _ in range(steps):
            y = rk4(change, y)
        return torch.sum((y - goal) ** 2)

    def in_jax(p: Any, start: Any, goal: Any) -> Any:
        def change(y: Any) -> Any:
            prey, predators = y
            return jnp.stack([p[0] * prey - p[1] * prey * predators, p[2] * prey * predators - p[3] * predators])

        y, _ = jax.lax.scan(lambda y, _: (rk4(change, y), None), start, length=steps)
        return jnp.sum((y - goal) ** 2)

    p = np.array([1.1, 0.4, 0.1, 0.4])
    return Contest(p, (np.array([10.0, 5.0]), np.array([5.0, 2.0])), in_numpy, in_pytorch, in_jax)


@program("bundle adjustment: 20 cameras, 200 points, 1,000 observations")
def bundle_adjustment(rng: np.random.Generator) -> Contest:
    """ADBench's objective, as a sum of squares: a camera is its rotation, centre, focal length, principal point and
    two coefficients of radial distortion.
    """  # noqa: D205

    def in_numpy(p: Any, camera: Any, point: Any, measured: Any) -> Any:
        c = p["cameras"][camera]
        x = p["points"][point] - c[:, 3:6]
        angle = np.linalg.norm(c[:, :3], axis=1, keepdims=True)  # x turns by Rodrigues' formula
        axis = c[:, :3] / angle
        along = np.sum(axis * x, axis=1, keepdims=True) * (1 - np.cos(angle))
        x = x * np.cos(angle) + np.cross(axis, x) * np.sin(angle) + axis * along
        image = x[:, :2] / x[:, 2:]
        r2 = np.sum(image**2, axis=1, keepdims=True)
        distorted = image * (1 + c[:, 9:10] * r2 + c[:, 10:11] * r2**2)
        error = p["weights"][:, None] * (c[:, 6:7] * distorted + c[:, 7:9] - measured)
        return np.sum(error**2) + np.sum((1 - p["weights"] ** 2) ** 2)

    def in_pytorch(p: Any, camera: Any, point: Any, measured: Any) -> Any:
        c = p["cameras"][camera]
        x = p["points"][point] - c[:, 3:6]
        angle = torch.linalg.norm(c[:, :3], dim=1, keepdim=True)
        axis = c[:, :3] / angle
        along = torch.sum(axis * x, dim=1, keepdim=True) * (1 - torch.cos(angle))
        x = x * torch.cos(angle) + torch.linalg.cross(axis, x) * torch.sin(angle) + axis * along
        image = x[:, :2] / x[:, 2:]
        r2 = torch.sum(image**2, dim=1, keepdim=True)
        distorted = image * (1 + c[:, 9:10] * r2 + c[:, 10:11] * r2**2)
        error = p["weights"][:, None] * (c[:, 6:7] * distorted + c[:, 7:9] - measured)
        return torch.sum(error**2) + torch.sum((1 - p["weights"] ** 2) ** 2)

    def in_jax(p: Any, camera: Any, point: Any, measured: Any) -> Any:
        c = p["cameras"][camera]
        x = p["points"][point] - c[:, 3:6]
        angle = jnp.linalg.norm(c[:, :3], axis=1, keepdims=True)
        axis = c[:, :3] / angle
        along = jnp.sum(axis * x, axis=1, keepdims=True) * (1 - jnp.cos(angle))
        x = x * jnp.cos(angle) + jnp.cross(axis, x) * jnp.sin(angle) + axis * along
        image = x[:, :2] / x[:, 2:]
        r2 = jnp.sum(image**2, axis=1, keepdims=True)
        distorted = image * (1 + c[:, 9:10] * r2 + c[:, 10:11] * r2**2)
        error = p["weights"][:, None] * (c[:, 6:7] * distorted + c[:, 7:9] - measured)
        return jnp.sum(error**2) + jnp.sum((1 - p["weights"] ** 2) ** 2)

    cameras, points, observations = 20, 200, 1000
    centre = rng.normal(size=(cameras, 3)) - [0, 0, 6]
    rest = np.array([1.0, 0.1, 0.2, 0.05, 0.01]) * np.ones((cameras, 5))
    parameters = {
        "cameras": np.concatenate([0.2 * rng.normal(size=(cameras, 3)), centre, rest], axis=1),
        "points": rng.normal(size=(points, 3)),
        "weights": rng.uniform(0.5, 1.5, observations),
    }
    seen = rng.integers(0, cameras, observations), rng.integers(0, points, observations)
    return Contest(parameters, (*seen, rng.normal(size=(observations, 2))), in_numpy, in_pytorch, in_jax)


@program("k-means, Newton direction: 2,000 points, 10 centres")
def k_means(rng: np.random.Generator) -> Contest:
    """The Hessian is diagonal, so that its product with ones is all that a step of Newton's method needs."""

    def in_numpy(centres: Any, points: Any) -> Any:
        distances = np.sum((points[:, None, :] - centres) ** 2, axis=2)
        return np.sum(np.min(distances, axis=1))

    def in_pytorch(centres: Any, points: Any) -> Any:
        distances = torch.sum((points[:, None, :] - centres) ** 2, dim=2)
        return torch.sum(torch.amin(distances, dim=1))

    def in_jax(centres: Any, points: Any) -> Any:
        distances = jnp.sum((points[:, None, :] - centres) ** 2, axis=2)
        return jnp.sum(jnp.min(distances, axis=1))

    points = rng.normal(size=(2000, 4))
    return HessianProduct(points[:10], (points[10:],), in_numpy, in_pytorch, in_jax, vector=np.ones((10, 4)))


@program("chain of ten 30 × 30 matrices")
def matrix_chain(rng: np.random.Generator) -> Contest:
    def in_numpy(matrices: Any) -> Any:
        return np.trace(reduce(np.matmul, matrices))

    def in_pytorch(matrices: Any) -> Any:
        return torch.trace(reduce(torch.matmul, matrices))

    def in_jax(matrices: Any) -> Any:
        return jnp.trace(reduce(jnp.matmul, matrices))

    return Contest(list(rng.normal(size=(10, 30, 30)) / 30**0.5), (), in_numpy, in_pytorch, in_jax)
