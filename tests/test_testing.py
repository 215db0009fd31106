"""The strategies for other people's tests, and a property test that says what is wrong."""

import re
from collections.abc import Iterator
from time import sleep
from typing import Any

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import DeadlineExceeded, FailedHealthCheck, Unsatisfiable

import tinygrad_lite as tg
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.errors import GradientError, UsageError
from tinygrad_lite.testing import Program, broadcastable_shapes, gradchecked, inputs_of, programs, tensors, values


@given(tensors((2, 3), (0.0, 1.0), np.float32), tensors())
def test_tensors(x: Any, y: Any) -> None:
    assert (x.shape, x.dtype, x.requires_grad) == ((2, 3), np.float32, True)
    assert bool(((x > 0) & (x < 1)).all())
    assert y.ndim <= 3


@given(broadcastable_shapes(3))
def test_shapes(shapes: Any) -> None:
    np.broadcast_shapes(*shapes)


@given(st.data())
def test_inputs_are_inside_the_domain_and_away_from_kinks(data: st.DataObject) -> None:
    op = data.draw(st.sampled_from([op for op in operations() if op.vjps]))
    call = data.draw(inputs_of(op))
    for x, (low, high) in zip(call.arrays, op.domain or ()):
        assert np.all((x > low) & (x < high))
    if op.kink is not None:
        with np.errstate(all="ignore"):
            assert np.all(np.abs(op.kink(*call.arrays, **call.params)) > 0.05)


@given(programs(max_steps=5))
def test_programs_run(program: Program) -> None:
    assert len(program.steps) <= 5
    assert np.all(np.isfinite(program.run(*program.leaves)))


def test_a_right_function_passes() -> None:
    @gradchecked(tensors((3,)), values(()))
    def test_energy(x: Any, k: Any) -> Any:
        return k * np.sum(x**2)

    test_energy()
    gradchecked("softmax")()
    gradchecked(np.tanh, values((2,)), order=2)()


@pytest.mark.slow
def test_a_wrong_operation_fails_with_its_diagnosis() -> None:
    wrong = tg.elementwise(lambda x: np.sin(x), lambda y, x: -np.cos(x), name="sine")
    test = gradchecked(wrong)
    with pytest.raises(GradientError) as caught:
        test()
    message = str(caught.value)
    assert "gradcheck of sine: FAILED" in message
    assert re.search(r"where: sine, called at test_testing.py:\d+: test = gradchecked\(wrong\)", message)
    assert "the sign is wrong" in message
    assert not caught.value.report.ok
    assert "at the inputs" in message
    assert len(message.splitlines()) < 12, "it shrinks to a small input"


@pytest.mark.parametrize("op", [op for op in operations() if op.vjps and op.name != "eig"], ids=str)  # has phases
def test_every_operation_passes(op: Op) -> None:
    settings(max_examples=3)(gradchecked(op))()


def test_a_mistake_in_one_of_two_arguments_is_found() -> None:
    wrong = tg.elementwise(lambda a, b: a * b, lambda y, a, b: b, lambda y, a, b: b, name="product")
    with pytest.raises(GradientError, match="wrong: argument 1"):
        gradchecked(wrong)()


@pytest.mark.slow
def test_what_was_not_verified_has_not_passed() -> None:
    empty = gradchecked(lambda x: x[:0], tensors((3,)))
    hidden = gradchecked(lambda x: float(1e15 + np.sum(np.sin(x))), values((3,)), gradient=np.cos)
    for test in (empty, hidden):
        with pytest.raises((Unsatisfiable, FailedHealthCheck)):
            test()


@pytest.fixture
def deadline() -> Iterator[None]:
    """Hypothesis's own default, so to say, which ends an example that takes long."""
    settings.register_profile("strict", deadline=1, max_examples=2)
    settings.load_profile("strict")
    yield
    settings.load_profile("usual")


def test_an_example_may_take_its_time(deadline: None) -> None:
    def f(x: Any) -> Any:
        sleep(0.0003)
        return np.sum(x**2)

    gradchecked(f, values((2,)))()
    settings(max_examples=2)(gradchecked(f, values((2,))))()
    with pytest.raises(DeadlineExceeded):
        settings(deadline=2)(gradchecked(f, values((2,))))()


def test_it_is_decorated_as_any_test_of_hypothesis() -> None:
    examples = []
    for number in (1, 1, 2):
        drawn: list[float] = []
        strategy = values((), (0.0, 1.0)).map(lambda x, drawn=drawn: drawn.append(x) or x)
        test = gradchecked(np.sin, strategy)
        seed(number)(settings(max_examples=3, derandomize=False, database=None)(test))()
        examples.append(drawn)
    assert examples[0] == examples[1] != examples[2]


def test_a_missing_strategy_is_an_error() -> None:
    with pytest.raises(UsageError, match="a strategy for each"):
        gradchecked(np.sin)
