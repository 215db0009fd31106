"""The commonest operations on small arrays, forward and backward, beside PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_lite as tg
from benchmarks.timing import Step, compare

SHAPE = (8, 4)

# Each in terms of the arrays and the library's own functions, by name.
OPERATIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda f, x, w: x + w,
    "subtract": lambda f, x, w: x - w,
    "multiply": lambda f, x, w: x * w,
    "divide": lambda f, x, w: x / w,
    "matmul": lambda f, x, w: x @ w.T,
    "exp": lambda f, x, w: f.exp(x),
    "tanh": lambda f, x, w: f.tanh(x),
    "sum": lambda f, x, w: x.sum(),
    "mean": lambda f, x, w: x.mean(),
    "index": lambda f, x, w: x[2],
}


def step(library: Any, function: Callable[[Any, Any, Any], Any], leaf: Callable[[Any], Any], array: Any) -> Step:
    """One forward and one backward pass through an operation, which discards the gradients."""
    rng = np.random.default_rng(0)
    x, w = (leaf(rng.uniform(0.5, 1.5, SHAPE)) for _ in range(2))
    g = array(np.ones(function(library, x, w).shape))

    def run() -> None:
        x.grad = w.grad = None
        function(library, x, w).backward(g)

    return run


def contestants(name: str) -> dict[str, Step]:
    """One operation in each library that is installed, ours first."""
    function = OPERATIONS[name]
    steps = {"tinygrad_lite": step(np, function, lambda x: tg.tensor(x, requires_grad=True), tg.tensor)}
    try:
        import torch
    except ImportError:
        return steps
    steps["PyTorch"] = step(torch, function, lambda x: torch.tensor(x, requires_grad=True), torch.tensor)
    return steps


def table() -> list[str]:
    """A table with the microseconds of each operation, and ours as a ratio to PyTorch's."""
    rows = []
    for name in OPERATIONS:
        times = compare(contestants(name), rounds=9, seconds_each=0.02)
        ours = times["tinygrad_lite"][0]
        peer = f"{times['PyTorch'][0]:.1f} | {1 / times['PyTorch'][1]:.2f}" if "PyTorch" in times else "| "
        rows.append(f"| {name} | {ours:.1f} | {peer} |")
    return [
        f"## Single operations on arrays of shape {SHAPE}, float64, forward and backward",
        "",
        "| | µs | PyTorch, µs | ratio |",
        "|---|---:|---:|---:|",
        *rows,
    ]


if __name__ == "__main__":
    print("\n".join(table()))
