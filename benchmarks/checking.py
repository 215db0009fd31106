"""Gradient checks: the smallest error found, false alarms, what the check names, and how long it takes.

python -m benchmarks.checking [--quick]
"""

import argparse
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from time import perf_counter
from typing import Any

import numpy as np
import scipy.special  # so that its table is read too

import tinygrad_lite as tg
from benchmarks.false_alarms import false_alarms, false_alarms_of_rounding
from benchmarks.gradient_checkers import Checker, Ours, peers
from benchmarks.questions import ENTRIES, at_kinks_and_in_float32, faults_caught, smallest_error
from benchmarks.timing import compare
from tests.checking.catalogue import in_models, in_operations
from tests.checking.models import smooth
from tinygrad_lite.engine.registry import answer_to

OURS: dict[str, Checker] = {"tinygrad_lite": Ours(), "tinygrad_lite, differences": Ours(method="differences")}


def catalogue(whole_models: bool) -> Counter[str]:
    """What the checker says about each fault in each operation, or in models of 10 to 100 operations."""
    answer_to(scipy.special.erf)
    tally: Counter[str] = Counter()
    for trial in in_models(every=1) if whole_models else in_operations(every=1):
        if not whole_models or 10 <= trial.operations <= 100:
            tally.update(faults=1, caught=trial.caught, named=trial.named, guessed=trial.guessed)
            if not trial.caught or not trial.named:
                _tell(f"{'not named' if trial.caught else 'missed'}: {trial.place}\n{trial.report}")
            elif not trial.guessed:
                _tell(f"not guessed: {trial.place}")
    return tally


SIZES = [784, 1100, 100, 10]


def million() -> dict[str, tuple[float, bool]]:
    """Seconds for a check of a million parameters, right or with one wrong entry, and whether the verdict is right."""
    rng = np.random.default_rng(0)
    weights = {f"w{i}": rng.normal(size=sizes) / sizes[0] ** 0.5 for i, sizes in enumerate(pairwise(SIZES), start=1)}
    weights |= {f"b{i}": rng.normal(size=size) for i, size in enumerate(SIZES[1:], start=1)}
    x, target = rng.normal(size=(8, SIZES[0])), rng.normal(size=(8, SIZES[-1]))

    def loss(p: Any) -> Any:
        h = np.tanh(x @ p["w1"] + p["b1"])
        h = np.tanh(h @ p["w2"] + p["b2"])
        return np.mean((h @ p["w3"] + p["b3"] - target) ** 2)

    def wrong(p: Any) -> Any:
        gradient = {name: np.array(part) for name, part in tg.grad(loss)(p).items()}
        gradient["w2"][321, 45] *= 1.001
        return gradient

    took: list[tuple[float, float]] = []
    for _ in range(3):  # the best of three: two threads of BLAS wait for each other on a machine that is busy
        start = perf_counter()
        report = tg.gradcheck(loss, weights, raise_exception=False)
        middle = perf_counter()
        complaint = tg.gradcheck(loss, weights, gradient=wrong, raise_exception=False)
        took.append((middle - start, perf_counter() - middle))
    right, with_error = map(min, zip(*took))
    places = [(finding.path, finding.index, finding.count) for finding in complaint.findings if finding.fails]
    named = len(places) == 1 and places[0][0].endswith("w2") and places[0][1:] == ((321, 45), 1)
    return {"right": (right, report.ok), "with one wrong entry": (with_error, named)}


def times(checkers: dict[str, Checker]) -> dict[str, tuple[float, float]]:
    """Times of a check of 200 entries, beside PyTorch's default if that is installed."""
    first = "PyTorch" if "PyTorch" in checkers else "tinygrad_lite"
    x = np.random.default_rng(0).normal(size=ENTRIES)
    steps = {name: partial(checkers[name].passes, partial(smooth, xp=checkers[name].xp), x) for name in checkers}
    return compare({first: steps.pop(first), **steps}, rounds=7, seconds_each=0.1)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if part < whole else "100 %"


def table(checks: int = 10_000, trials: int = 40) -> list[str]:
    """The section of the page."""
    others = peers()
    checkers = {**OURS, **others}
    _tell("gradient checks: times")
    took, large = times(checkers), million()
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), warnings.simplefilter, ("ignore",)) as pool:
        submit: Callable[..., Future[Any]] = pool.submit
        smallest = {name: submit(smallest_error, checker, trials) for name, checker in OURS.items()}
        faults = [submit(catalogue, whole_models) for whole_models in (False, True)]
        parts = 10
        alarms = [submit(false_alarms, checks // parts, i, at_kinks=bool(i % 2)) for i in range(parts)]
        of_rounding = [submit(false_alarms_of_rounding, range(i, checks // 500, 4)) for i in range(4)]
        ahead = [*smallest.values(), *faults, *alarms, *of_rounding]
        for done, part in enumerate(ahead, start=1):
            part.result()
            _tell(f"gradient checks: {done} of {len(ahead)} parts")
        errors = {name: part.result() for name, part in smallest.items()}
        in_single, in_whole = (part.result() for part in faults)
        random, cancelling = (sum((part.result() for part in some), Counter()) for some in (alarms, of_rounding))
    _tell("gradient checks: peers")
    errors |= {name: smallest_error(checker, trials) for name, checker in others.items()}
    ours = _ours(errors, random, cancelling, in_single, in_whole, large, took)
    return [*ours, "", *_beside_peers(checkers, errors, took)]


def _ours(
    errors: dict[str, str],
    random: Counter[str],
    cancelling: Counter[str],
    in_single: Counter[str],
    in_whole: Counter[str],
    large: dict[str, tuple[float, bool]],
    took: dict[str, tuple[float, float]],
) -> list[str]:
    smallest = f"smallest relative error of one entry of {ENTRIES} that is always caught"
    rows = [
        (f"{smallest}, complex step", "1e-12", errors["tinygrad_lite"]),
        (f"{smallest}, differences", "1e-8", errors["tinygrad_lite, differences"]),
        (
            f"false alarms in {random['checked']:,} random programs, half of them at kinks and ties",
            "0",
            f"{random['false alarms']:,}",
        ),
        (
            f"false alarms in {cancelling['checked']:,} checks of functions that cancel to nothing",
            "0",
            f"{cancelling['false alarms']:,}",
        ),
    ]
    for place, tally in (("operations", in_single), ("models of 10 to 100 operations", in_whole)):
        number = f"of {tally['faults']:,} faults in {place}"
        rows += [
            (f"{number}: caught", "100 %", _share(tally["caught"], tally["faults"])),
            (f"{number}: the operation named", "100 %", _share(tally["named"], tally["faults"])),
            (f"{number}: the mistake guessed", "90 %", _share(tally["guessed"], tally["faults"])),
        ]
    for case, (seconds, so) in large.items():
        said = "passed" if case == "right" else "named"
        outcome = f"{'' if so else 'not '}{said}, {seconds:.1f} s"
        rows.append((f"a check of 1,000,000 parameters, {case}", said, outcome))
    if "PyTorch" in took:
        ratio = took["tinygrad_lite"][1]
        rows.append((f"time of a check of {ENTRIES} entries, beside PyTorch's", "at most 0.60", f"{ratio:.2f}"))
    return [
        "## Checking gradients",
        "",
        "The table shows what `tg.gradcheck` should reach, and what it reaches. The faults are those of",
        "[tests/checking/faults.py](../tests/checking/faults.py), in each operation of the registry and in a dozen",
        "models. The random programs consist of the registry's operations, with right gradients.",
        "",
        "| | reach | measured |",
        "|---|---:|---:|",
        *(f"| {case} | {reach} | {outcome} |" for case, reach, outcome in rows),
    ]


def _beside_peers(
    checkers: dict[str, Checker], errors: dict[str, str], took: dict[str, tuple[float, float]]
) -> list[str]:
    faults = {name: faults_caught(checker) for name, checker in checkers.items()}
    said = {name: at_kinks_and_in_float32(checker) for name, checker in checkers.items()}
    columns = list(said["tinygrad_lite"])
    return [
        "Each checker runs with its own settings: `torch.autograd.gradcheck`, `autograd.test_util.check_grads` and",
        "`jax.test_util.check_grads`, the latter two in reverse mode and first order. Each library receives ten",
        f"functions and their gradients, with the {faults['tinygrad_lite'][1]} faults of the catalogue. A checker",
        "should refuse no right gradient, even of a function in float32 or at a kink.",
        "",
        f"| | smallest error caught | faults caught | ms for {ENTRIES} entries | ratio | {' | '.join(columns)} |",
        "|---|---:|---:|---:|---:|" + "---|" * len(columns),
        *(
            f"| {name} | {errors[name]} | {_share(*faults[name])} | {took[name][0] / 1e3:.1f} | {took[name][1]:.2f} | "
            f"{' | '.join(said[name].values())} |"
            for name in checkers
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer random programs and trials")
    print("\n".join(table(600, 5) if parser.parse_args().quick else table()))
