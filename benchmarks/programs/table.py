"""The table: each program's time in tinygrad_lite, and its ratio to the time in PyTorch and in JAX."""

import gc
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from statistics import geometric_mean
from typing import Any

import numpy as np

from benchmarks.programs import classical, networks, sequences, statistical  # noqa: F401  they fill the registry
from benchmarks.programs.contest import PROGRAMS, Contest, made
from benchmarks.timing import compare
from tinygrad_lite.trees import leaves

INTRODUCTION = """\
## Programs that people write

Each program is written three times, in [benchmarks/programs](../benchmarks/programs): for tinygrad_lite (in plain NumPy
or with modules), for PyTorch (eager) and for JAX (`jit`). The time is that of a value and its gradient. All libraries
run in turn in one process, each on one thread. First, they must agree on values and gradients, to 1e-9 of the largest
entry in float64, and to 2e-4 in float32. A ratio below 1 says that tinygrad_lite takes less time.
"""

TOLERANCE = {"float64": 1e-9, "float32": 2e-4}
"""The largest error of a value and of a gradient, relative to its largest entry."""

PEERS = ("PyTorch", "JAX")


def check_agreement(contest: Contest) -> None:
    """Assert that all libraries have the same results."""
    results = {library: leaves(step()) for library, step in contest.steps().items()}
    expected = results.pop("tinygrad_lite")
    tolerance = TOLERANCE[np.dtype(contest.dtype).name]
    for library, arrays in results.items():
        assert len(arrays) == len(expected), library
        for ours, theirs in zip(expected, arrays):
            largest = float(np.max(np.abs(ours)))
            assert np.isfinite(largest)
            np.testing.assert_allclose(np.asarray(theirs), ours, rtol=0, atol=tolerance * largest, err_msg=library)


def ratios(name: str) -> tuple[float, dict[str, float]]:
    """The microseconds of a program in tinygrad_lite, and the ratio to each peer that is installed."""
    contest = made(name)
    check_agreement(contest)
    gc.collect()
    gc.freeze()  # what three libraries have imported is in nobody else's process
    times = compare(contest.steps(), rounds=21, seconds_each=0.015)
    ours = times["tinygrad_lite"][0]
    return ours, {library: 1 / times[library][1] for library in PEERS if library in times}


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
    yield "| | µs | to PyTorch | to JAX, jit |"
    yield "|---|---:|---:|---:|"
    columns: dict[str, list[float]] = {library: [] for library in PEERS}
    for name in names or PROGRAMS:
        ours, to_peers = ratios(name)
        for library, ratio in to_peers.items():
            columns[library].append(ratio)
        yield _row(PROGRAMS[name][0], f"{ours:.0f}", to_peers)
    if any(columns.values()):
        yield _row("geometric mean", "", {library: geometric_mean(x) for library, x in columns.items() if x})


def _row(title: str, time: str, to_peers: dict[str, float]) -> str:
    cells = [f"{to_peers[library]:.2f}" if library in to_peers else "" for library in PEERS]
    return f"| {title} | {time} | {' | '.join(cells)} |"
