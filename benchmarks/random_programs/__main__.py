"""Random programs of all functions that take tensors, on odd inputs, compared with NumPy and with differences.

    python -m benchmarks.random_programs --count 100000 --seed 0

prints each kind of fault once, as the shortest program that shows it, and how many programs ended in which way.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe, Process
from random import Random
from typing import Any

from benchmarks.random_programs.checks import Examination, TimeUpError, examine, time_limit
from benchmarks.random_programs.programs import Program, as_code, draw_program, suffix

PATIENCE = 30.0  # seconds for one program, where a loop in C does not let Python look at the time
HANGS = "FAULT hangs, or the process ends"


def tally(seeds: range) -> tuple[Counter[str], dict[str, str]]:
    """How many programs had which outcome, and for each kind of fault the first program that showed it, as code.

    The programs run in another process, since an endless loop in C can only be ended from outside.
    """
    counts: Counter[str] = Counter()
    faults: dict[str, str] = {}
    begin = seeds.start
    while begin < seeds.stop:
        for number, remarks, fault in examined_elsewhere(range(begin, seeds.stop)):
            begin = number + 1
            counts.update(remarks)
            kind, code = fault or (HANGS, "")
            if fault or HANGS in remarks:
                faults.setdefault(kind, f"# seed {number}: {kind}\n{code}")
    return counts, faults


def examined_elsewhere(seeds: range) -> Iterator[tuple[int, list[str], Any]]:
    """What `examined` says of each program, up to the first that does not return."""
    ours, theirs = Pipe(duplex=False)
    worker = Process(target=_examine_all, args=(seeds, theirs))
    worker.start()
    theirs.close()
    try:
        for number in seeds:
            try:
                report = ours.recv() if ours.poll(PATIENCE) else None
            except EOFError:
                report = None
                worker.join()
                if worker.exitcode == 1:  # an error in this benchmark, which Python has printed
                    raise RuntimeError(f"seed {number} cannot be examined") from None
            yield (number, *(report or ([HANGS], None)))
            if not report:
                break
    finally:
        worker.kill()
        worker.join()


def _examine_all(seeds: range, connection: Any) -> None:
    with kept_from_the_screen() as printed:
        for number in seeds:
            connection.send(examined(number, printed))


def examined(number: int, printed: Callable[[], str]) -> tuple[list[str], tuple[str, str] | None]:
    """The outcomes of the program with a number, and its fault, if any: the kind, and code that shows it."""
    try:
        with time_limit():
            program = draw_program(Random(number))
    except TimeUpError:
        return ["FAULT hangs where NumPy's values are computed"], None
    if not program.steps:
        return ["outcome: no call fits"], None
    by_numpy = printed()
    examination = examine(program, str if by_numpy else printed)
    printed()
    if not examination.faults:
        return [f"outcome: {examination.outcome}", *examination.remarks], None
    kind, code = shortest(program, examination)
    return ["outcome: a fault", f"FAULT {kind}", *examination.remarks], (kind, code)


def shortest(program: Program, examination: Examination) -> tuple[str, str]:
    """A fault's kind with the call that has it, and the shortest program that shows it, as code."""
    kind = examination.faults[0][0]
    best, count = program, len(program.steps)
    for begin, end in [(k, k + 1) for k in range(count)] + [(k, count) for k in range(count)]:
        with suppress(Exception):  # of a program that does not begin there
            shorter = suffix(program, begin, end)
            again = examine(shorter)
            if any(other == kind for other, _ in again.faults):
                best, examination = shorter, again
                break
    detail = next(detail for other, detail in examination.faults if other == kind)
    return f"{kind}: {best.steps[-1].path}", f"{as_code(best)}\n# {detail}"


@contextmanager
def kept_from_the_screen() -> Iterator[Callable[[], str]]:
    """A block whose output, that of C included, goes to a file; it is given a function for what was printed since."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(number) for number in (1, 2)]
    with tempfile.TemporaryFile() as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        read = 0

        def printed() -> str:
            nonlocal read
            text = os.pread(file.fileno(), 1000, read).decode(errors="replace")
            read = os.fstat(file.fileno()).st_size
            return text

        try:
            yield printed
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, before in zip((1, 2), saved):
                os.dup2(before, number)
                os.close(before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="how many programs")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first")
    options = parser.parse_args()
    begin = time.perf_counter()
    counts, faults = tally(range(options.seed, options.seed + options.count))
    for code in faults.values():
        print(code, end="\n\n")
    for label, number in sorted(counts.items(), key=lambda item: (not item[0].startswith("outcome"), -item[1])):
        print(f"{number:8,}  {label}")
    print(f"{options.count:,} programs in {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
