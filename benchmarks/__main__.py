"""All measurements, as a page of Markdown.

    python -m benchmarks [--write docs/benchmarks.md]

Ratios are medians over rounds in which every contestant runs once, so that a machine that slows down slows them all.
Peers that are not installed are left out; `pip install torch mygrad autograd jax threadpoolctl` installs all of
them, and the library that names NumPy's BLAS.
"""

import argparse
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import checking, compiling, explaining, operations, transforms
from benchmarks.profile import profile
from benchmarks.timing import compare
from benchmarks.training_step import contestants

INTRODUCTION = """\
# Benchmarks

This command writes the page:

```sh
python -m benchmarks --write docs/benchmarks.md
```

It measures the peers that are installed (`pip install torch mygrad autograd jax threadpoolctl`; the last one names
NumPy's BLAS). Ratios are medians over rounds in which each contestant runs in turn. The microseconds are medians too,
and say more about the machine than about the contestants. Tests never assert a time.

"Derived by hand" is the code in [benchmarks/training_step.py](../benchmarks/training_step.py): NumPy with the gradients
worked out on paper, which computes nothing twice and updates in place. A training step is forward, backward and update.
Before the timing, each contestant must reach the same losses.
"""


SHORTFALLS = """\
## Where the time goes

The profile below (`python -m benchmarks.profile`) times the operations of one step without any tensors. It runs each
many times, so the arrays are in the cache. The rest of the step is Python's time (tensors, dispatch, the reverse pass)
and, on the larger network, access to arrays that no longer fit in the cache.

Two things keep the larger network from coming closer to the code by hand. The cross-entropy computes its softmax a
second time in the backward pass, since a derivative receives the arguments and the value, but no intermediate result;
the code by hand keeps it. And the ratio varies from run to run with the time that the matrix products take on two
cores, between 1.03 and 1.23 on the machine that measured this page.

In the chain, NumPy's two multiplications take the smaller part of an operation's time. The rest goes to Python calls,
and to the garbage collector, which visits a graph that grows to 100,000 tensors.
"""


def training_step(title: str, sizes: list[int], rows: int, dtype: type) -> list[str]:
    found = compare(contestants(sizes, rows, dtype))
    return [
        f"## {title}",
        "",
        "| | µs a step | ratio to NumPy by hand |",
        "|---|---:|---:|",
        *(f"| {name} | {time:.1f} | {ratio:.2f} |" for name, (time, ratio) in found.items()),
    ]


def chains() -> list[str]:
    rows = []
    for library in ("tinygrad_lite", "torch", "mygrad", "autograd"):
        if not find_spec(library):
            continue
        command = [sys.executable, "-m", "benchmarks.chain", library]
        runs = [subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(5)]
        if any(run.returncode for run in runs):
            rows.append(f"| {library} | fails | |")
            continue
        times, sizes = zip(*(map(float, run.stdout.split()) for run in runs))
        size = "" if np.isnan(sizes[0]) else f"{median(sizes):.0f}"
        rows.append(f"| {library} | {median(times):.2f} | {size} |")
    return [
        "## A chain of 100,000 operations on 4 numbers, forward and backward",
        "",
        "Each library runs in its own process; the memory is the growth of the process during the forward pass.",
        "",
        "| | µs an operation | bytes an operation |",
        "|---|---:|---:|",
        *rows,
    ]


def programs() -> list[str]:
    """The section on other people's programs, from a process of its own that runs on one thread."""
    command = [sys.executable, "-m", "benchmarks.programs"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()


def import_time() -> list[str]:
    script = (
        "import numpy; from time import perf_counter; start = perf_counter(); import {0}; "
        "print((perf_counter() - start) * 1e3)"
    )
    rows = []
    for library in ("tinygrad_lite", "autograd", "mygrad"):
        if find_spec(library):
            command = [sys.executable, "-c", script.format(library)]
            with TemporaryDirectory() as cache:  # the first run compiles to it, as the first import of a user does
                environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
                runs = [
                    subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
                    for _ in range(16)
                ]
            rows.append(f"| {library} | {median(float(run.stdout) for run in runs[1:]):.1f} |")
    return ["## Import, beyond that of NumPy", "", "| | ms |", "|---|---:|", *rows]


def machine() -> str:
    libraries = [name for name in ("numpy", "torch", "mygrad", "autograd", "jax") if find_spec(name)]
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    return f"Measured with Python {platform.python_version()}, {versions}, on {platform.machine()}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write to PAGE instead of printing")
    page = parser.parse_args().write
    parts = [
        [INTRODUCTION, machine()],
        training_step("13-8-1, 243 rows, float64", [13, 8, 1], 243, np.float64),
        training_step("13-8-1, 32 rows, float64", [13, 8, 1], 32, np.float64),
        training_step("784-128-64-10, 128 rows, float32", [784, 128, 64, 10], 128, np.float32),
        programs(),
        compiling.table(),
        operations.table(),
        transforms.table(),
        checking.table(),
        explaining.table(),
        chains(),
        import_time(),
        [SHORTFALLS, profile()],
    ]
    text = "\n\n".join("\n".join(part) for part in parts) + "\n"
    if page:
        page.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
