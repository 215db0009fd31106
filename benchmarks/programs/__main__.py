"""Programs that people write, timed in tinygrad_lite, PyTorch and JAX.

    python -m benchmarks.programs [names …] [--write PAGE]

prints a table in Markdown. The process starts itself again with one thread for each library, with NumPy's precision in
JAX, and without the variables that choose OpenBLAS's kernel: what they say counts when a library is loaded.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

PEERS_AS_NUMPY = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_ENABLE_X64": "1",  # float32 stays float32
}
CHOICES_OF_A_KERNEL = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def start_again_where_times_compare(module: str, settings: Mapping[str, str]) -> None:
    """Replace this process by one in which BLAS chooses its kernel itself, with these settings of the environment."""
    environment = {name: x for name, x in os.environ.items() if name not in CHOICES_OF_A_KERNEL} | {**settings}
    if environment != dict(os.environ):
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], environment)  # noqa: S606


def main() -> None:
    start_again_where_times_compare("benchmarks.programs", PEERS_AS_NUMPY)
    from benchmarks.programs.contest import PROGRAMS
    from benchmarks.programs.table import table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"all by default, or some of {', '.join(PROGRAMS)}")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write to PAGE instead of printing")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(PROGRAMS):
        parser.error(f"there is no program {', '.join(sorted(unknown))}; there are {', '.join(PROGRAMS)}")
    lines = table(arguments.names)
    if arguments.write:
        arguments.write.write_text("\n".join(lines) + "\n")
    else:
        for line in lines:
            print(line, flush=True)


if __name__ == "__main__":
    main()
