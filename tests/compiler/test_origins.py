"""The line, the pass and the name of each operation are those that a look at all running functions finds."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.compiler.recording.origins import Origins

_look = Origins._frames_that_say_more


def _look_at_all(origins: Origins) -> Any:
    origins.frames = []
    return _look(origins)


def _nested(x: Any) -> Any:
    def wave(turns: int) -> Any:
        inner = np.sin(x * turns)
        return inner if turns == 1 else inner + wave(turns - 1)

    total = wave(3)
    return np.sum(total * total)


def _waves(x: Any) -> Iterator[Any]:
    for k in (1.0, 2.0, 3.0):
        yield np.sin(x * k)


def _asked_by_three(x: Any) -> Any:
    waves = _waves(x)

    def second() -> Any:
        another = next(waves)
        return another * another

    first = next(waves)
    both = first + second()
    return np.sum(both * next(waves))


def _asked_in_a_pass(x: Any) -> Any:
    waves = _waves(x)
    first = next(waves)
    halved = tg.custom_gradient(lambda y: (y / 2, lambda g: g * next(waves)))
    slope = tg.grad(lambda y: np.sum(halved(y)))(first)
    return np.sum(slope + next(waves))


def _training(x: Any) -> Any:
    w = tg.tensor(np.linspace(0.1, 1.0, 4), requires_grad=True)
    optimizer = tg.optim.Adam([w], weight_decay=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = np.sum(np.tanh(w * x) ** 2)
        loss.backward()
        optimizer.step()
        return loss.detach()

    step(x)
    return step


def _steps() -> dict[str, Callable[[], Callable[..., Any]]]:
    of_functions = (_nested, _asked_by_three, _asked_in_a_pass)
    made = {f.__name__: (lambda f=f: lambda x: f(x)) for f in of_functions}
    gradients = {f"{f.__name__}, gradient": (lambda f=f: tg.value_and_grad(f)) for f in of_functions[:2]}
    return {**made, **gradients, "training": lambda: _training(np.arange(4.0))}


@pytest.mark.parametrize("name", _steps())
def test_line_pass_and_name_of_each_operation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def described() -> list[Any]:
        step = tg.compile(_steps()[name](), "numpy")
        step(np.arange(4.0))
        return [(call.op.name, call.section, call.source, call.result.name) for call in step._recorded().program.calls]

    found = described()
    monkeypatch.setattr(Origins, "_frames_that_say_more", _look_at_all)
    assert found == described()
    assert len({source for _, _, source, _ in found}) > 1
