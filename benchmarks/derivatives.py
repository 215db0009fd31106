"""Jacobians, Hessians and the gradients of single examples, beside PyTorch's `torch.func` and JAX's transforms.

    python -m benchmarks.derivatives

Each function is written once, for NumPy, PyTorch and JAX, with the names that they share.
"""

from collections.abc import Callable
from math import exp, log
from statistics import mean
from typing import Any

import numpy as np

import tinygrad_lite as tg
from benchmarks.programs.__main__ import PEERS_AS_NUMPY, start_again_where_times_compare
from benchmarks.timing import Step, compare

RNG = np.random.default_rng(0)
ROWS, TARGETS = RNG.normal(size=(243, 13)), RNG.integers(0, 2, 243).astype(float)
LAYERS = RNG.normal(size=(3, 60, 60)) / 60**0.5
PLACES = RNG.normal(size=1000)


def rosenbrock(library: Any, x: Any) -> Any:
    """Rosenbrock's valley."""
    return library.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def network(library: Any, w: Any, row: Any, target: Any) -> Any:
    """The loss of a network 13-8-1 for one row or many."""
    hidden = library.tanh(row @ w[:104].reshape(13, 8) + w[104:112])
    score = hidden @ w[112:120] + w[120]
    return library.mean(library.log(1 + library.exp(score)) - target * score)


def molecules(library: Any, x: Any) -> Any:
    """The potential of Lennard and Jones between 30 molecules."""
    points = x.reshape(30, 3)
    squares = library.sum((points[:, None] - points[None]) ** 2, -1) + library.asarray(np.eye(30))
    return library.sum(squares**-6.0 - squares**-3.0)


def log_sum_exp(library: Any, x: Any) -> Any:
    """The logarithm of a sum of exponentials."""
    return library.log(library.sum(library.exp(x)))


def softmax(library: Any, x: Any) -> Any:
    """A softmax."""
    weights = library.exp(x - 3.0)
    return weights / library.sum(weights)


def layers(library: Any, x: Any) -> Any:
    """Three layers of 60 units."""
    for weight in LAYERS:
        x = library.tanh(library.asarray(weight) @ x)
    return x


def waves(library: Any, x: Any) -> Any:
    """1,000 values of each of three waves."""
    return library.sin(library.asarray(PLACES)[:, None] * x)


# the function, its transform, and the point
PROGRAMS: dict[str, tuple[Callable[..., Any], str, Any]] = {
    "Hessian of Rosenbrock's function of 50 numbers": (rosenbrock, "hessian", np.full(50, 0.5)),
    "Hessian of a network 13-8-1 for 243 rows": (network, "hessian", RNG.normal(size=121)),
    "Hessian of the potential of 30 molecules": (molecules, "hessian", RNG.normal(size=90)),
    "Hessian of log-sum-exp of 200 numbers": (log_sum_exp, "hessian", RNG.normal(size=200)),
    "Jacobian of a softmax of 200 numbers": (softmax, "rows", RNG.normal(size=200)),
    "Jacobian of three layers of 60 units": (layers, "rows", RNG.normal(size=60)),
    "Jacobian of 3,000 values by 3 numbers": (waves, "columns", RNG.normal(size=3)),
    "gradients of a network 13-8-1 for each of 243 rows": (network, "examples", RNG.normal(size=121)),
}


def steps(name: str) -> dict[str, Step]:
    """The derivative in each library, PyTorch's first."""
    import jax
    import torch

    jax.config.update("jax_enable_x64", True)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    f, kind, point = PROGRAMS[name]

    def derivative(library: Any, transforms: dict[str, Any], array: Callable[[Any], Any]) -> Callable[[Any], Any]:
        data = (array(ROWS), array(TARGETS)) if f is network else ()
        if kind == "examples":
            of_each = transforms["vmap"](transforms["grad"](lambda *arrays: f(library, *arrays)), (None, 0, 0))
            return lambda w: of_each(w, *data)
        return transforms[kind](lambda x: f(library, x, *data))  # type: ignore[no-any-return]

    names = {"hessian": "hessian", "grad": "grad", "vmap": "vmap", "rows": "jacrev", "columns": "jacfwd"}
    by_torch, by_jax = ({kind: getattr(m, name) for kind, name in names.items()} for m in (torch.func, jax))
    by_us = by_jax | {
        "hessian": tg.hessian,
        "grad": tg.grad,
        "vmap": tg.vmap,
        "rows": tg.jacobian,
        "columns": tg.jacobian,
    }
    ours, theirs = derivative(np, by_us, np.asarray), derivative(torch, by_torch, torch.tensor)
    native, jitted = tg.compile(ours), jax.jit(derivative(jax.numpy, by_jax, jax.numpy.asarray))
    in_torch, in_jax = torch.tensor(point), jax.numpy.asarray(point)
    return {
        "PyTorch": lambda: theirs(in_torch),
        "tinygrad_lite": lambda: ours(point),
        "JAX": lambda: jitted(in_jax).block_until_ready(),
        "native": lambda: native(point),
    }


def table() -> list[str]:
    """A table of each time beside those of PyTorch and JAX, which must have the same derivatives."""
    lines = [
        "## Matrices of derivatives, and gradients of single examples",
        "",
        "The table shows `tg.jacobian`, `tg.hessian` and `tg.vmap` beside `torch.func`, and compiled, beside JAX's",
        "`jit`. Each function is written once, in [benchmarks/derivatives.py](../benchmarks/derivatives.py).",
        "",
        "| | µs | to PyTorch | native, µs | native, to JAX, jit |",
        "|---|---:|---:|---:|---:|",
    ]
    ratios, natives = [], []
    for name in PROGRAMS:
        contestants = steps(name)
        expected, *others = (np.asarray(step()) for step in contestants.values())
        for found in others:
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
        times = compare(contestants, 9, 0.02)
        ratios.append(times["tinygrad_lite"][1])
        natives.append(times["native"][1] / times["JAX"][1])
        ours, native = times["tinygrad_lite"][0], times["native"][0]
        lines.append(f"| {name} | {ours:.0f} | {ratios[-1]:.2f} | {native:.0f} | {natives[-1]:.2f} |")
    return [*lines, f"| geometric mean | | {_mean(ratios):.2f} | | {_mean(natives):.2f} |"]


def _mean(ratios: list[float]) -> float:
    return exp(mean(map(log, ratios)))


if __name__ == "__main__":
    start_again_where_times_compare("benchmarks.derivatives", PEERS_AS_NUMPY)
    print("\n".join(table()))
