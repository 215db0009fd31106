"""A chain of 100,000 multiplications of 4 numbers: time and memory of each operation, forward and backward.

    python -m benchmarks.chain tinygrad_lite

prints microseconds and bytes for one operation, measured in its own process.
"""

import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

LENGTH = 100_000


def tinygrad_lite() -> tuple[Any, Callable[[Any], None]]:
    import tinygrad_lite as tg

    return tg.tensor(np.ones(4), requires_grad=True), lambda y: y.sum().backward()


def torch() -> tuple[Any, Callable[[Any], None]]:
    import torch

    return torch.ones(4, dtype=torch.float64, requires_grad=True), lambda y: y.sum().backward()


def mygrad() -> tuple[Any, Callable[[Any], None]]:
    import mygrad as mg

    return mg.tensor(np.ones(4)), lambda y: y.sum().backward()


def chain(x: Any) -> Any:
    for _ in range(LENGTH):
        x = x * 1.0001
    return x


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def measure(library: str) -> tuple[float, float]:
    """Microseconds and bytes of one operation."""
    if library == "autograd":
        import autograd

        gradient: Any = autograd.grad(lambda x: chain(x).sum())
        start = perf_counter()
        gradient(np.ones(4))
        return (perf_counter() - start) / LENGTH * 1e6, float("nan")
    x, backward = {"tinygrad_lite": tinygrad_lite, "torch": torch, "mygrad": mygrad}[library]()
    backward(x * 2)
    before = resident_bytes()
    start = perf_counter()
    y = chain(x)
    middle = perf_counter()
    size = resident_bytes() - before
    resumed = perf_counter()
    backward(y)
    seconds = (middle - start) + (perf_counter() - resumed)
    return seconds / LENGTH * 1e6, size / LENGTH


if __name__ == "__main__":
    print(*measure(sys.argv[1]))
