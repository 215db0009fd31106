"""The work of a compilation grows with the program, and not faster: it is counted, not timed."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg


def recurrent(turns: int) -> Callable[..., Any]:
    w = tg.tensor(np.full((2, 3), 0.1), requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        h, losses = np.zeros(3), []
        for t in range(turns):
            h = np.tanh(x[t] @ w + np.roll(h, 1))
            losses.append(np.sum(h**2))
        loss = sum(losses) / len(losses)
        loss.backward()
        optimizer.step()
        return loss

    return step


def different(turns: int) -> Callable[..., Any]:
    functions = (np.sin, np.cos, np.tanh, np.exp, np.arctan)

    def step(x: Any) -> Any:
        def chain(y: Any) -> Any:
            for i in range(turns):
                y = functions[i * i % 5](y[:2] * (0.1 * i)) + y[0]
            return np.sum(y)

        return tg.grad(chain)(x[0])

    return step


def read_entry_by_entry(turns: int) -> Callable[..., Any]:
    """The gradient puts as many parts together in one line as there are turns."""
    numbers = np.random.default_rng(0).uniform(1, 2, (turns, 5))

    def step(x: Any) -> Any:
        def residuals(x: Any) -> Any:
            return sum(
                (a * x[0, 0] - b * x[1, 0] * x[1, 1] + c - d * x[0, 1] ** 2) ** 3 + e for a, b, c, d, e in numbers
            )

        return tg.grad(residuals)(x[:2])

    return step


def work(make: Callable[[int], Callable[..., Any]], turns: int, backend: str) -> float:
    """How many lines of Python run to compile a program, for each of its operations."""
    count = 0

    def line(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return line

    step, x = tg.compile(make(turns), backend), np.ones((turns, 2))
    step(x)  # what is made once, such as an optimiser's state
    step = tg.compile(step._f, backend)
    tracer = sys.gettrace()
    sys.settrace(line)
    try:
        step(x)
        if backend == "numpy":
            assert step.source
    finally:
        sys.settrace(tracer)
    return count / step.report().operations


@pytest.mark.long
@pytest.mark.parametrize("make", [recurrent, read_entry_by_entry, pytest.param(different, marks=pytest.mark.slow)])
def test_the_work_for_an_operation_is_the_same_in_a_long_program(
    make: Callable[[int], Callable[..., Any]], backend: str
) -> None:
    work(make, 3, backend)  # what is made once in a process
    short, long = (work(make, turns, backend) for turns in (8, 24))
    assert long < 1.2 * short
