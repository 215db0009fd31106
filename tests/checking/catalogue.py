"""Each fault of the catalogue in each operation of the registry, and in a dozen whole models: what the checker says."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

import tinygrad_lite as tg
from tests.checking.faults import FAULTS, Fault, broken, matters
from tests.checking.models import MODELS
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.readers.recording import recording
from tinygrad_lite.testing import Call, inputs_of


@dataclass
class Trial:
    """A fault, and what the checker made of it."""

    place: str
    fault: Fault
    operations: int
    caught: bool
    named: bool
    guessed: bool
    report: str


def _drawn(place: str, op: Op, i: int, fault: Fault, every: int) -> bool:
    """Whether it is one of those tried: by its name, so that what other tests have declared changes nothing."""
    return zlib.crc32(f"{place} {op.name} {i} {fault.name}".encode()) % every == 0


def _tried(place: str, op: Op, i: int, fault: Fault, count: int, f: Callable[..., Any], *arguments: Any) -> Trial:
    with broken(op, i, fault):
        report = tg.gradcheck(f, *arguments, raise_exception=False)
    failing = [finding for finding in report.findings if finding.fails]
    return Trial(
        f"{place}: {op} by argument {i}, {fault.name}",
        fault,
        count,
        not report.ok,
        any(finding.where.startswith(f"{op.name},") for finding in failing),
        any(word in finding.why for finding in failing for word in fault.words),
        str(report),
    )


def in_models(every: int) -> Iterator[Trial]:
    """Each fault in each operation of each model, where it changes the gradient; of these one in `every`."""
    for f, parameters in MODELS:
        right = tg.grad(f)(parameters)
        with recording() as steps:
            f({path: tg.tensor(x, requires_grad=True) for path, x in parameters.items()})
        for (op, i), step in _uses(steps).items():
            arrays = [np.array(x) if isinstance(x, np.ndarray) else x for x in step.arrays]
            for fault in FAULTS:
                drawn = _drawn(f.__name__, op, i, fault, every) and matters(op, i, fault, arrays, dict(step.params))
                if drawn and _changes(op, i, fault, f, parameters, right):
                    yield _tried(f.__name__, op, i, fault, len(steps), f, parameters)


def _uses(steps: list[Any]) -> dict[tuple[Op, int], Any]:
    """The first use of each argument of each operation that has a gradient."""
    found: dict[tuple[Op, int], Any] = {}
    for step in steps:
        for i, x in enumerate(step.inputs):
            has_gradient = isinstance(x, tg.Tensor) and x.requires_grad and step.op.vjps
            if has_gradient and step.op.vjps[i] is not None:
                found.setdefault((step.op, i), step)
    return found


def _changes(op: Op, i: int, fault: Fault, f: Any, parameters: Any, right: Any) -> bool:
    """Whether the model's gradient becomes another, and does not merely raise."""
    with broken(op, i, fault):
        try:
            found = tg.grad(f)(parameters)
        except Exception:
            return False
    return any(not np.allclose(found[path], right[path], rtol=1e-6, atol=1e-9) for path in parameters)


def in_operations(every: int) -> Iterator[Trial]:
    """Each fault in each rule of each operation, where it changes what the rule gives; of these one in `every`.

    Not in the quantiles of distributions: they are iterations, and a check of one takes a second.
    """
    for op in operations():
        ours = op.module.startswith("tinygrad_lite") and "distributions" not in op.module
        drawn_for = ((i, fault) for i in range(op.arity or 0) for fault in FAULTS)
        if op.arity and not any(_drawn("registry", op, i, fault, every) for i, fault in drawn_for):
            continue  # without a call of it, which takes longer to draw
        if op.vjps and ours:
            call = largest_call(op)
            f, variables = call.function()
            for place, i in enumerate(call.differentiable):
                for fault in FAULTS:
                    drawn = np.size(variables[place]) and _drawn("registry", op, i, fault, every)
                    if drawn and matters(op, i, fault, call.arrays, call.params):
                        yield _tried("registry", op, i, fault, 1, f, *variables)


@cache  # three tests want it, and drawing it takes as long as checking it
def largest_call(op: Op) -> Call:
    """Of a few drawn calls of an operation the one with the most entries."""
    found: list[Call] = []
    checks = list(HealthCheck)

    @settings(max_examples=8, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=checks)
    @given(inputs_of(op))
    def collect(call: Call) -> None:
        found.append(call)

    collect()
    return max(found, key=lambda call: (np.size(call.value(*call.arrays)) > 0, sum(map(np.size, call.arrays))))
