"""The checker on gradients that others wrote: what is right passes, what is wrong does not, and nothing unverified."""

from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from importlib import import_module
from typing import Any

import pytest

import tinygrad_lite as tg
from tests.checking.foreign.cases import Case, Problem, cases
from tinygrad_lite.checking.diagnosing import patience
from tinygrad_lite.errors import TinygradError

pytestmark = [
    pytest.mark.compare,
    pytest.mark.filterwarnings("ignore"),  # of functions outside of their domains, and of others' code
]

ROOMS = ("hostile_scales", "hostile_points", "in_scipy", "in_scikit_learn", "in_statsmodels", "in_pytorch", "in_jax")
UNSOLVED = {  # what the checker says of these is not true, or less than could be known
    f"{name}, {mistake}": reason
    for reason, names in {
        "the steps end far below the width of the feature": {
            "1 - cos at 1e-8": ["the sign reversed", "zero", "off by 1 %"],
        },
        "on one side of 1e-9 the slope is known to 1e-7": {"entropy that raises": ["one entry off by 1e-6"]},
    }.items()
    for name, mistakes in names.items()
    for mistake in mistakes
}


@cache
def problems_of(room: str) -> list[Problem]:
    return import_module(f"tests.checking.foreign.{room}").problems()


@pytest.fixture(params=ROOMS)
def problems(request: Any) -> Iterator[list[Problem]]:
    try:
        with import_module("jax").enable_x64(True) if request.param == "in_jax" else nullcontext():
            yield problems_of(request.param)
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} comes with the extra `compare`")


def test_outcomes(problems: list[Problem], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SECONDS", 0.05)  # an outcome does not depend on the search for what is wrong
    found = list(cases(problems))
    wrong = {case.name: said for case in found if (said := what_is_wrong(case))}
    assert not [said for name, said in wrong.items() if name not in UNSOLVED]
    assert not [case.name for case in found if case.name in UNSOLVED and case.name not in wrong], "solved by now"


def test_right_gradients_are_right(problems: list[Problem]) -> None:
    errors = {p.name: (p.error, p.accuracy) for p in problems}
    assert not {name: pair for name, pair in errors.items() if not pair[0] <= pair[1]}


def what_is_wrong(case: Case) -> str:
    """What the checker says of a case, if that is not true."""
    try:
        report = tg.gradcheck(case.f, *case.inputs, gradient=case.gradient, raise_exception=False)
        verified = report.outcome != "passed" or report.verified == report.entries
        outcome, said = report.outcome if verified else "passed unverified", str(report)
    except Exception as error:  # whatever a function raises, the check goes on without it
        outcome, said = "refused" if isinstance(error, TinygradError) else type(error).__name__, str(error)
    if outcome in case.expected and (outcome != "failed" or case.says in said):
        return ""
    return f"{case.name} should be {' or '.join(sorted(case.expected))}, and not {outcome}:\n{said}"
