"""Right gradients, and what `tg.gradcheck` says about each.

The gradients belong to random programs, half of them at kinks and ties, and to functions that cancel to nothing.

    python -m benchmarks.false_alarms [count]

prints each false alarm as code that reproduces it.
"""

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any, Literal

import numpy as np
import scipy.special  # so that its table is read too
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.checking.cancelling import CANCELLING
from tinygrad_lite.checking import Verdict
from tinygrad_lite.checking.evidence.singular import outside_domain
from tinygrad_lite.engine.registry import answer_to
from tinygrad_lite.errors import InputError
from tinygrad_lite.readers.recording import recording
from tinygrad_lite.testing import Program, programs

IMPORTS = (
    "import numpy as np, scipy.special, tinygrad_lite as tg; from numpy import array, float64; "
    "from tinygrad_lite.ops.registry import answer_to, operation as op; answer_to(scipy.special.erf)"
)


def false_alarms(count: int, first_seed: int, at_kinks: bool) -> Counter[str]:
    """The number of random programs checked, and the number for which the check failed or raised."""
    answer_to(scipy.special.erf)
    tally: Counter[str] = Counter()
    rounding = st.sampled_from([1, 2] if at_kinks else [None])  # to integers, or to halves

    @seed(first_seed)
    @settings(
        max_examples=2 * count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(programs(clear=-1.0 if at_kinks else 0.2), rounding)
    def check(program: Program, parts: int | None) -> None:
        if tally["checked"] == count:
            return
        leaves = [x if parts is None else np.round(x * parts) / parts for x in program.leaves]
        if not is_regular(program, leaves):
            tally["left out"] += 1
            return
        try:
            complaint = complaint_about(program.run, leaves)
        except InputError:  # a rule says that there is no derivative
            tally["left out"] += 1
            return
        tally["checked"] += 1
        if complaint:
            tally["false alarms"] += 1
            print(as_code(program, leaves), complaint, sep="\n", end="\n\n", file=sys.stderr, flush=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check()
    return tally


def false_alarms_of_rounding(seeds: Iterable[int]) -> Counter[str]:
    """The same for functions that cancel to nothing, to both orders, at a random point for each seed."""
    tally: Counter[str] = Counter()
    for name, (f, draw) in CANCELLING.items():
        for number, order in product(seeds, (1, 2)):
            complaint = complaint_about(f, [draw(np.random.default_rng(number))], order)
            tally["checked"] += 1
            if complaint:
                tally["false alarms"] += 1
                print(f"# {name}, seed {number}, order {order}", complaint, sep="\n", file=sys.stderr, flush=True)
    return tally


def is_regular(program: Program, leaves: list[Any]) -> bool:
    """Whether every value on the way is finite and every operation is inside its domain."""
    try:
        with recording() as steps, np.errstate(all="ignore"):
            y = program.run(*[tg.tensor(x, requires_grad=True) for x in leaves])
    except (ValueError, TypeError, IndexError, np.linalg.LinAlgError):
        return False  # once rounded, its numbers are not those that it was drawn for
    finite = all(np.all(np.isfinite(step.value)) for step in steps if step.value.dtype.kind == "f")
    return bool(finite and np.size(y) and not outside_domain(steps))


def complaint_about(f: Callable[..., Any], leaves: list[Any], order: Literal[1, 2] = 1) -> str:
    """The complaint of the check about a right gradient; empty if it passes, or if a value is not finite."""
    try:
        report = tg.gradcheck(f, *leaves, order=order, raise_exception=False)
    except InputError:
        raise
    except Exception as error:
        return f"# raised {type(error).__name__}: {error}"
    failing = [finding for finding in report.findings if finding.fails]
    if any(finding.verdict in (Verdict.DOMAIN, Verdict.NOT_FINITE) for finding in failing):
        return ""
    return "\n".join(f"# {line}" for finding in failing for line in [report.method, *str(finding).splitlines()])


def as_code(program: Program, leaves: list[Any]) -> str:
    """A program as code, without the steps that do not affect its last value."""
    needed = {len(leaves) + len(program.steps) - 1}
    for place, (_, places, _) in reversed(list(enumerate(program.steps, start=len(leaves)))):
        needed |= set(places) if place in needed else set()
    kept = [place for place in sorted(needed) if place < len(leaves)]
    lines = [IMPORTS]
    lines += [f"def f({', '.join(f'v{place}' for place in kept)}):"]
    for place, (op, places, params) in enumerate(program.steps, start=len(leaves)):
        if place in needed:
            arguments = ", ".join([f"v{i}" for i in places] + ([f"**{params!r}"] if params else []))
            lines.append(f'    v{place} = op("{op.name}")({arguments})')
    lines.append(f"    return v{len(leaves) + len(program.steps) - 1}")
    point = ", ".join(f"np.array({np.asarray(leaves[place]).tolist()!r})" for place in kept)
    return "\n".join([*lines, f"print(tg.gradcheck(f, {point}, raise_exception=False))"])


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for kinks in (False, True):
        print(f"{'at kinks' if kinks else 'away from kinks'}: {dict(false_alarms(number // 2, 0, kinks))}")
    print(f"of what cancels to nothing: {dict(false_alarms_of_rounding(range(number // 500)))}")
