"""The checker against the catalogue of faults, and against random programs in which nothing is wrong."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.checking.catalogue import Trial, in_models, in_operations, largest_call
from tests.checking.faults import FAULTS, Fault, broken
from tinygrad_lite.checking import Verdict
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import answer_to, operation, operations
from tinygrad_lite.errors import InputError
from tinygrad_lite.testing import Program, programs

answer_to(scipy.special.erf)  # reads the table of SciPy's functions, whose rules are checked too


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("every", [500, pytest.param(4, marks=pytest.mark.slow)])  # which of the faults are tried
@pytest.mark.parametrize(("trials", "least"), [(in_operations, 1800), (in_models, 850)], ids=["operations", "models"])
def test_every_fault_is_caught_named_and_explained(
    trials: Callable[[int], Iterator[Trial]], least: int, every: int
) -> None:
    tried = list(trials(every))
    assert len(tried) > least // every
    assert [trial.place for trial in tried if not trial.caught] == []
    assert sum(trial.named for trial in tried) >= 0.99 * len(tried), [t.place for t in tried if not t.named]
    assert sum(trial.guessed for trial in tried) >= 0.9 * len(tried), [t.place for t in tried if not t.guessed]


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("order", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("op", [op for op in operations() if op.vjps], ids=str)
def test_every_operation_passes(op: Op, order: Any) -> None:
    """To the last digits: rounding to float32 on the way, or a quadrature with a digit missing, would be found."""
    f, variables = largest_call(op).function()
    if any(np.size(x) for x in variables):
        report = tg.gradcheck(f, *variables, order=order, raise_exception=False)
        assert report.ok, str(report)


COMPLEX: dict[str, Callable[[Any], Any]] = {  # an operation on complex numbers, and a loss by way of it
    "exp": lambda x: np.sum(np.abs(np.exp(1j * x) + x) ** 2),
    "multiply": lambda x: np.sum(np.abs((x + 1j * x.T) * (x * x - 2j * x))),
    "absolute": lambda x: np.sum(np.abs(np.fft.fft(x))),
    "matmul": lambda x: np.sum(np.abs((x + 1j) @ (x.T - 2j * x))),
}


UNEXPLAINED = {("absolute", "input for output")}  # where the output is real, and the input is not


@pytest.mark.long
@pytest.mark.parametrize("fault", [pytest.param(x, id=x.name, marks=pytest.mark.slow) for x in FAULTS[1:]] + FAULTS[:1])
@pytest.mark.parametrize("name", COMPLEX)
def test_faults_in_rules_of_complex_numbers_are_named(name: str, fault: Fault) -> None:
    f, op = COMPLEX[name], operation(name)
    x = np.random.default_rng(0).normal(size=(4, 4))
    right = tg.grad(f)(x)
    for i in range(len(op.vjps)):
        with broken(op, i, fault):
            if not np.allclose(tg.grad(f)(x), right):
                report = tg.gradcheck(f, x, raise_exception=False)
                assert not report.ok
                assert report.findings[0].where.startswith(f"{name},")
                assert any(word in report.findings[0].why for word in fault.words) or (name, fault.name) in UNEXPLAINED


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@settings(max_examples=150)
@given(programs(clear=-1.0), st.booleans())
def test_what_is_right_passes_at_kinks_too(program: Program, at_kinks: bool) -> None:
    leaves = [np.round(x) if at_kinks else x for x in program.leaves]
    try:
        value = program.run(*leaves)
        if not np.size(value) or np.size(value) > 50 or not np.all(np.isfinite(value)):
            return
        report = tg.gradcheck(program.run, *leaves, raise_exception=False)
    except (InputError, ValueError):
        return  # one of the operations refuses these numbers: a singular matrix, an index
    undefined = (Verdict.DOMAIN, Verdict.NOT_FINITE)
    wrong: list[Any] = [finding for finding in report.findings if finding.fails and finding.verdict not in undefined]
    assert not wrong, str(report)
