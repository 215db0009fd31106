"""Compiled training steps beside NumPy derived by hand: speed, memory, and how long it takes to compile.

python -m benchmarks.compiling
"""

import gc
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import tinygrad_lite as tg
from benchmarks import training_step
from benchmarks.timing import compare
from benchmarks.training_step import CONTESTANTS, Layers, Step, by_hand, data, parameters
from tinygrad_lite import nn
from tinygrad_lite.nn import functional

SMALL, LARGE = [13, 8, 1], [784, 128, 64, 10]
WORK = [
    ("13-8-1, 32 rows", SMALL, 32, np.float64, 0.12),
    ("13-8-1, 243 rows", SMALL, 243, np.float64, 0.28),
    ("13-8-1, 2,430 rows", SMALL, 2430, np.float64, 0.55),
    ("784-128-64-10 in float32, 128 rows", LARGE, 128, np.float32, 0.9),
]


def ours(layers: Layers, x: Any, y: Any, backend: str, kind: str = "SGD") -> Any:
    return tg.compile(training_step.ours(layers, x, y, 0.01, kind), backend)


def adam_by_hand(layers: Layers, x: Any, y: Any, lr: float) -> Step:
    """The network with one output, and Adam in place, with every gradient worked out on paper."""
    (w1, b1), (w2, b2) = layers
    state = [(part, np.zeros_like(part), np.zeros_like(part)) for part in (w1, b1, w2, b2)]
    t = 0

    def step() -> Any:
        nonlocal t
        t += 1
        a = x @ w1
        a += b1
        np.maximum(a, 0, out=a)
        z = a @ w2
        z += b2
        loss = np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))))
        dz = 1 / (1 + np.exp(-z))
        dz -= y
        dz /= len(x)
        da = dz @ w2.T
        da *= a > 0
        size, correction = lr / (1 - 0.9**t), (1 - 0.999**t) ** 0.5
        for (w, m, v), g in zip(state, (x.T @ da, da.sum(axis=0), a.T @ dz, dz.sum(axis=0))):
            m += 0.1 * (g - m)
            v *= 0.999
            v += 0.001 * (g * g)
            w -= size * m / (np.sqrt(v) / correction + 1e-8)
        return loss

    return step


def steps(sizes: list[int], rows: int, dtype: Any) -> dict[str, Step]:
    """A step of each contestant, after a check that all agree on five losses."""
    x, y = data(sizes, rows, dtype)
    made: dict[str, Step] = {"by hand": by_hand(parameters(sizes, dtype), x, y, 0.01)}
    for backend in ("native", "numpy"):
        made[backend] = ours(parameters(sizes, dtype), x, y, backend)
    if find_spec("jax"):
        made["JAX"] = CONTESTANTS["JAX, jit"][1](parameters(sizes, dtype), x, y, 0.01)
    agree(made, 1e-4 if dtype == np.float32 else 1e-9)
    return made


def agree(made: dict[str, Step], tolerance: float) -> None:
    losses = {name: [float(step()) for _ in range(5)] for name, step in made.items()}
    for name, values in losses.items():
        np.testing.assert_allclose(values, losses["by hand"], rtol=tolerance, err_msg=name)


def repeated(sizes: list[int], rows: int) -> float:
    """A step in `repeat(100)`, as a ratio to a step by hand."""
    x, y = data(sizes, rows, np.float64)
    hand, compiled = (
        by_hand(parameters(sizes, np.float64), x, y, 0.01),
        ours(parameters(sizes, np.float64), x, y, "native"),
    )
    compiled.repeat(200)
    times = compare({"by hand": lambda: [hand() for _ in range(100)], "repeat": lambda: compiled.repeat(100)})
    return times["repeat"][1]


def in_other_ways() -> dict[str, Step]:
    """A step of 13-8-1 with Adam on 32 rows, and the same step called in other ways; two calls of each."""
    x, y = data(SMALL, 32, np.float64)
    wide_x, wide_y = np.repeat(x, 2, axis=0), np.repeat(y, 2, axis=0)

    def twice(call: Callable[..., Any], *batches: Any, keep: bool = False) -> Step:
        model = nn.Sequential(nn.Linear(13, 8, rng=0), nn.ReLU(), nn.Linear(8, 1, rng=1))
        optimizer = tg.optim.Adam(model.parameters())
        held: list[Any] = []

        @tg.compile(backend="native")
        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = functional.binary_cross_entropy_with_logits(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        def both() -> Any:
            if keep:
                held[:] = [weight.data for weight in optimizer.parameters]
            for batch in batches:
                loss = call(step, *batch)
            return loss

        for _ in range(5):  # it is recorded and gets its entries
            both()
        return both

    def plainly(step: Any, x: Any, y: Any) -> Any:
        return step(x, y)

    return {
        "as usual": twice(plainly, (x, y), (x, y)),
        "batches of 32 and of 31 rows in turn": twice(plainly, (x, y), (x[1:], y[1:])),
        "float64 and float32 in turn": twice(plainly, (x, y), (x.astype(np.float32), y.astype(np.float32))),
        "inputs in Fortran's order": twice(plainly, *[(np.asfortranarray(x), y)] * 2),
        "inputs that are slices": twice(plainly, *[(wide_x[::2], wide_y[::2])] * 2),
        "keywords": twice(lambda step, x, y: step(y=y, x=x), (x, y), (x, y)),
        "weights that somebody else holds": twice(plainly, (x, y), (x, y), keep=True),
    }


def peak(step: Step) -> int:
    """The most memory that a step holds at a time, beyond what it leaves behind."""
    for _ in range(3):
        step()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    step()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most - before


_FIRST = """
from time import perf_counter
import numpy as np
from benchmarks.compiling import SMALL, data, ours, parameters
x, y = data(SMALL, 32, np.float64)
step = ours(parameters(SMALL, np.float64), x, y, {backend!r})
start = perf_counter()
step()
print(perf_counter() - start)
"""


def first_calls() -> dict[str, float]:
    """Seconds for a first call in a new process, including the import of llvmlite: the median of five."""
    with tempfile.TemporaryDirectory() as cache:

        def run(backend: str, environment: dict[str, str]) -> float:
            command = [sys.executable, "-c", _FIRST.format(backend=backend)]
            process = subprocess.run(
                command, capture_output=True, text=True, check=True, env={**os.environ, **environment}
            )
            return float(process.stdout)

        fresh = [run("native", {"TINYGRAD_LITE_CACHE": f"{cache}/{i}"}) for i in range(3)]
        kept = [run("native", {"TINYGRAD_LITE_CACHE": f"{cache}/0"}) for _ in range(5)]
        source = [run("numpy", {}) for _ in range(5)]
    return {"fresh": median(fresh), "kept": median(kept), "source": median(source)}


def table() -> list[str]:
    """The section of the page."""
    start = perf_counter()
    rows: list[tuple[str, str, str, str]] = []
    for title, sizes, count, dtype, reach in WORK:
        made = steps(sizes, count, dtype)
        times = compare(made)
        jax = f"{times['JAX'][1]:.2f}" if "JAX" in times else ""
        rows.append((f"{title}, native", f"{reach:.2f}", f"{times['native'][1]:.3f}", jax))
        rows.append((f"{title}, NumPy source", "1.00", f"{times['numpy'][1]:.2f}", ""))
        hand, ours_ = peak(made["by hand"]), peak(made["numpy"])
        rows.append((f"{title}, peak memory of a step, NumPy source", "1.00", f"{ours_ / hand:.2f}", ""))
    rows.append(("13-8-1, 32 rows, a step in `repeat(100)`", "0.10", f"{repeated(SMALL, 32):.3f}", ""))
    x, y = data(SMALL, 32, np.float64)
    made = {"by hand": adam_by_hand(parameters(SMALL, np.float64), x, y, 0.01)}
    made |= {backend: ours(parameters(SMALL, np.float64), x, y, backend, "Adam") for backend in ("native", "numpy")}
    agree(made, 1e-9)
    times = compare(made)
    rows.append(("13-8-1, 32 rows, Adam, native", "0.12", f"{times['native'][1]:.3f}", ""))
    rows.append(("13-8-1, 32 rows, Adam, NumPy source", "1.00", f"{times['numpy'][1]:.2f}", ""))
    ways = compare(in_other_ways())
    took = first_calls()
    print(f"compiled steps: {perf_counter() - start:.0f} s", file=sys.stderr)
    return [
        "## Compiled training steps",
        "",
        "The table shows `tg.compile` of a whole step, as a ratio to the same step derived by hand in NumPy, and JAX's",
        "`jit` in the same run. The memory is the most that NumPy holds during a step, beyond what it held before.",
        "",
        "| | reach | measured | JAX, jit |",
        "|---|---:|---:|---:|",
        *(f"| {label} | {reach} | {ratio} | {jax} |" for label, reach, ratio, jax in rows),
        f"| recording and NumPy source, 13-8-1 | 50 ms | {took['source'] * 1e3:.0f} ms | |",
        f"| native, first call in a process, import of llvmlite included | 1 s | {took['fresh']:.2f} s | |",
        f"| native, the same with machine code from the cache | 0.2 s | {took['kept']:.2f} s | |",
        "",
        "A compiled step may be called in several ways in turn. For 13-8-1 with Adam and 32 rows, the table shows the",
        "time of two calls, as a ratio to that of two calls with the same contiguous arrays.",
        "",
        "| two calls, native | reach | measured |",
        "|---|---:|---:|",
        *(f"| {name} | 2.00 | {ratio:.2f} |" for name, (_, ratio) in ways.items() if name != "as usual"),
    ]


if __name__ == "__main__":
    print("\n".join(table()))
