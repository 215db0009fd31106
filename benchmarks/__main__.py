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
from benchmarks.programs.__main__ import start_again_where_times_compare
from benchmarks.programs.table import HEADS, blas
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


PROCESS = """\
## Two settings of the process

`import tinygrad_lite` changes two settings of its process, since they cost programs more than most operations do:

- **Freed memory stays with the process**, up to 32 MB, for the next array. The C library would otherwise return each
  array of 128 KB and more to the system and fetch its pages back one by one. A sigmoid of 512 × 512 numbers takes a
  quarter of the time. (The import makes and drops an array of 32 MB, and touches none of its pages.)
- **A full garbage collection runs a tenth as often**: after 100 collections of the middle generation instead of 10. A
  graph that grows looks like garbage to come, although nothing in it points forward, and a full collection visits
  every object of every library. An LSTM over 1,024 characters took 1.8 times as long in a process with PyTorch and JAX.
  `gc.set_threshold` undoes it.
"""


SHORTFALLS = """\
## Where the time goes

The profile below (`python -m benchmarks.profile`) times the operations of one step without any tensors. It runs each
many times, so the arrays are in the cache. The rest of the step is Python's time (tensors, dispatch, the reverse pass)
and, on the larger network, access to arrays that no longer fit in the cache.

An operation on a few numbers takes about 1.2 µs of Python beyond NumPy's own time forward, and 1 to 2 µs backward.
That is what keeps the small network, the chain and the ordinary differential equation from their targets: their
operations are Python calls with little in them. PyTorch's own cost for an operation is of the same size, so programs of
many small operations come out between a half and one and a half times its time. Those with many reads of parts and few
large arrays are below one; above one are those for which PyTorch has one kernel and NumPy several passes:
normalisation, convolution, pooling, the softmax.

A step of 13-8-1 runs ten times as many bytecodes of Python as the step by hand. Each of its four operations takes some
100 of them to look at its arguments, as many to be recorded, 75 to be found again in the reverse pass, and 100 for each
gradient that it passes on. What NumPy does in the step leaves Python a third of its time, if the step is to take 1.5
times as long as by hand: 1,500 bytecodes.

On the larger network, the ratio varies from run to run with the time that the matrix products take on two cores.
"""


EARLIER = " The sections on checking and on explaining are from an earlier run (`--quick` keeps them)."


def section_of(sections: list[str], title: str) -> list[str]:
    """The lines of the section with this title; none if there is no such section."""
    return next((f"## {section}".rstrip().splitlines() for section in sections if section.startswith(title)), [])


def cells(lines: list[str], start: str) -> list[str]:
    """The cells of the first row of a table that begins like this; empty if there is none."""
    row = next((line for line in lines if line.startswith(f"| {start}")), "")
    return [cell.strip() for cell in row.strip("|").split("|")]


def reach(sections: dict[str, list[str]]) -> list[str]:
    """What eager speed should reach, and what the sections measured."""
    rows = [line for line in sections["programs"] if line.startswith("| ") and line.count("|") == len(HEADS) + 2]
    to_torch = {cells([row], "")[0]: cells([row], "")[2] for row in rows[1:]}
    mean = to_torch.pop("geometric mean", "")
    slowest = max(to_torch, key=lambda title: float(to_torch[title] or 0))
    ours, theirs = cells(sections["chain"], "tinygrad_lite"), cells(sections["chain"], "torch")
    chain = f"{float(ours[1]) / float(theirs[1]):.2f}" if len(theirs) > 1 else ""
    measured = [
        ("programs that people write, geometric mean, to PyTorch", "0.6", mean),
        ("the slowest of them, to PyTorch", "1.2", f"{to_torch[slowest]} ({slowest.partition(':')[0]})"),
        ("`tg.grad` of x² of one number, to PyTorch's backward", "0.6", to_torch["x² of one number"]),
        ("13-8-1, 243 rows, to NumPy by hand", "1.5", cells(sections["243"], "tinygrad_lite")[2]),
        ("13-8-1, 32 rows, to NumPy by hand", "1.8", cells(sections["32"], "tinygrad_lite")[2]),
        ("784-128-64-10, float32, to NumPy by hand", "1.1", cells(sections["784"], "tinygrad_lite")[2]),
        ("chain of 100,000 operations, time to PyTorch's", "0.55", chain),
        ("chain of 100,000 operations, bytes each", "600", ours[2]),
        ("import beyond NumPy, ms", "25", cells(sections["import"], "tinygrad_lite")[1]),
    ]
    return [
        "## Eager speed: what it should reach, and what it reaches",
        "",
        "| | reach | measured |",
        "|---|---:|---:|",
        *(f"| {work} | {target} | {result} |" for work, target, result in measured),
    ]


def training_step(title: str, sizes: list[int], rows: int, dtype: type) -> list[str]:
    results = compare(contestants(sizes, rows, dtype))
    return [
        f"## {title}",
        "",
        "| | µs a step | ratio to NumPy by hand |",
        "|---|---:|---:|",
        *(f"| {name} | {time:.1f} | {ratio:.2f} |" for name, (time, ratio) in results.items()),
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


def on_one_thread(module: str) -> list[str]:
    """The section that a module prints, from a process of its own that runs on one thread."""
    command = [sys.executable, "-m", module]
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
    place = f"{platform.machine()}, {os.cpu_count()} cores"
    return f"Measured with Python {platform.python_version()}, {versions}, on {place}; BLAS: {blas()}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write to PAGE instead of printing")
    parser.add_argument("--quick", action="store_true", help="keep PAGE's sections on checking and explaining")
    arguments = parser.parse_args()
    page = arguments.write
    kept = page.read_text().split("\n## ") if arguments.quick else []
    start_again_where_times_compare("benchmarks", {})
    sections = {
        "243": training_step("13-8-1, 243 rows, float64", [13, 8, 1], 243, np.float64),
        "32": training_step("13-8-1, 32 rows, float64", [13, 8, 1], 32, np.float64),
        "784": training_step("784-128-64-10, 128 rows, float32", [784, 128, 64, 10], 128, np.float32),
        "programs": on_one_thread("benchmarks.programs"),
        "long programs": on_one_thread("benchmarks.long_programs"),
        "compiling": compiling.table(),
        "operations": operations.table(),
        "layers": on_one_thread("benchmarks.layers"),
        "models": on_one_thread("benchmarks.models"),
        "transforms": transforms.table(),
        "derivatives": on_one_thread("benchmarks.derivatives"),
        "single examples": on_one_thread("benchmarks.single_examples"),
        "checking": section_of(kept, "Checking gradients") or checking.table(),
        "explaining": section_of(kept, "Explaining") or explaining.table(),
        "chain": chains(),
        "import": import_time(),
        "profile": [SHORTFALLS, profile()],
    }
    measured = f"{machine()}{EARLIER if kept else ''}"
    parts = [[INTRODUCTION, measured], reach(sections), [PROCESS.rstrip()], *sections.values()]
    text = "\n\n".join("\n".join(part) for part in parts) + "\n"
    if page:
        page.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
