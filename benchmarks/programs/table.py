"""The table: each program's time in tinygrad_lite, and its ratio to the time in PyTorch and in JAX."""

import gc
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from statistics import geometric_mean
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest import mock

import numpy as np

import tinygrad_lite as tg
from benchmarks.programs import classical, layers, networks, sequences, statistical  # noqa: F401  they fill the registry
from benchmarks.programs.contest import PROGRAMS, Contest, made
from benchmarks.timing import Step, compare
from tinygrad_lite.trees import leaves

INTRODUCTION = """\
## Programs that people write

Each program is written three times, in [benchmarks/programs](../benchmarks/programs): for tinygrad_lite (in plain NumPy
or with modules), for PyTorch (eager) and for JAX (`jit`). The time is that of a value and its gradient. All libraries
run in turn in one process, each on one thread. First, they must agree on values and gradients, to 1e-9 of the largest
entry in float64, and to 2e-4 in float32. A ratio below 1 says that tinygrad_lite takes less time.

"NumPy alone" is the NumPy source that `tg.compile` writes for the program: the same work in straight lines, without
tensors and a graph. The difference from the column before is their cost. Where it takes longer, as in max-pooling,
an operation does better than the NumPy function that the source calls. The last columns are those of the program's
native code: its time, beside JAX's, and the seconds of its first call, recording included (nothing is kept from an
earlier run). Both read all arrays anew in each run, as JAX does.
"""

TOLERANCE = {"float64": 1e-9, "float32": 2e-4}
"""The largest error of a value and of a gradient, relative to its largest entry."""


def check_agreement(contest: Contest, steps: Mapping[str, Step]) -> None:
    """Assert that the steps of all libraries have the same results."""
    results = {library: leaves(step()) for library, step in steps.items()}
    expected = results.pop("tinygrad_lite")
    tolerance = TOLERANCE[np.dtype(contest.dtype).name]
    for library, arrays in results.items():
        assert len(arrays) == len(expected), library
        for ours, theirs in zip(expected, arrays):
            largest = float(np.max(np.abs(ours)))
            assert np.isfinite(largest)
            np.testing.assert_allclose(np.asarray(theirs), ours, rtol=0, atol=tolerance * largest, err_msg=library)


def measured(name: str) -> dict[str, float]:
    """The microseconds of a program in each library, and the seconds of the compiled program's first call."""
    contest = made(name)
    seconds = {}
    if "compiled" in (steps := contest.steps()):
        with TemporaryDirectory() as folder, mock.patch.dict(os.environ, TINYGRAD_LITE_CACHE=folder):
            start = perf_counter()
            steps["compiled"]()
            seconds["first call"] = perf_counter() - start
    anew = {**contest.steps(), "NumPy source": tg.compile(contest.ours(), "numpy")}  # a first call may be a first step
    check_agreement(contest, anew)
    steps["NumPy source"] = anew["NumPy source"]
    gc.collect()
    gc.freeze()  # what three libraries have imported is in nobody else's process
    times = compare(steps, rounds=21, seconds_each=0.015)
    ours = times["tinygrad_lite"][0]
    return seconds | {library: ours * ratio for library, (_, ratio) in times.items()}


def blas() -> str:
    """The library and the kernel that NumPy's matrix products run."""
    if not find_spec("threadpoolctl"):
        return "unknown, since threadpoolctl is not installed"
    from threadpoolctl import threadpool_info

    libraries: list[dict[str, Any]] = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return ", ".join(f"{x['internal_api']} {x['version']} ({x.get('architecture')})" for x in libraries)


def environment() -> str:
    versions = [f"{name} {version(name)}" for name in ("numpy", "torch", "jax") if find_spec(name)]
    return f"Python {platform.python_version()}, {', '.join(versions)}; BLAS: {blas()}"


def table(names: Sequence[str] = ()) -> Iterable[str]:
    """The section of the page, line by line as the rows are measured."""
    yield INTRODUCTION
    yield f"Measured with {environment()}."
    yield ""
    yield f"| | {' | '.join(HEADS)} |"
    yield f"|---|{'---:|' * len(HEADS)}"
    columns: dict[str, list[float]] = {head: [] for head in HEADS}
    for name in names or PROGRAMS:
        cells = row(measured(name))
        for head, number in cells.items():
            columns[head].append(number)
        yield _line(PROGRAMS[name][0], cells)
    yield _line("geometric mean", {head: geometric_mean(x) for head, x in columns.items() if x and "to " in head})


HEADS = ("µs", "to PyTorch", "to JAX, jit", "NumPy alone, to PyTorch", "native, µs", "native, to JAX", "first call, s")


def row(times: dict[str, float]) -> dict[str, float]:
    """The cells of a program's row, by their heads."""
    ours, compiled = times["tinygrad_lite"], times.get("compiled")
    cells = {"µs": ours}
    cells |= {head: ours / times[peer] for head, peer in zip(HEADS[1:], ("PyTorch", "JAX")) if peer in times}
    if "PyTorch" in times:
        cells["NumPy alone, to PyTorch"] = times["NumPy source"] / times["PyTorch"]
    if compiled is not None:
        cells |= {"native, µs": compiled, "first call, s": times["first call"]}
        if "JAX" in times:
            cells["native, to JAX"] = compiled / times["JAX"]
    return cells


def _line(title: str, cells: dict[str, float]) -> str:
    texts = [
        f"{cells[head]:.0f}" if "µs" in head and head in cells else f"{cells[head]:.2f}" if head in cells else ""
        for head in HEADS
    ]
    return f"| {title} | {' | '.join(texts)} |"
