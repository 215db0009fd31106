"""Schedules: their rates by formula, and their state. (PyTorch's own are in tests/compare.)"""

from collections.abc import Callable
from math import cos, pi
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import optim
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.optim import lr_scheduler

Make = Callable[[Any], lr_scheduler.LRScheduler]
SCHEDULES: dict[str, Make] = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3, gamma=0.5),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.25, 0.5, total_iters=8),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 10, eta_min=0.01),
}
RATES: dict[str, Callable[[int], float]] = {
    "LambdaLR": lambda t: 0.1 / (1 + t),
    "StepLR": lambda t: 0.1 * 0.5 ** (t // 3),
    "ExponentialLR": lambda t: 0.1 * 0.9**t,
    "LinearLR": lambda t: 0.1 * (0.25 + 0.25 * min(t, 8) / 8),
    "CosineAnnealingLR": lambda t: 0.01 + 0.09 * (1 + cos(pi * t / 10)) / 2,
}


def optimizer() -> optim.Optimizer:
    return optim.SGD([tg.tensor([1.0, -2.0], requires_grad=True)], lr=0.1)


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates(name: str) -> None:
    own = optimizer()
    scheduler = SCHEDULES[name](own)
    rates = [own.lr]
    for _ in range(25):
        scheduler.step()
        rates.append(own.lr)
    assert {type(rate) for rate in rates} == {float}
    np.testing.assert_allclose(rates, [RATES[name](t) for t in range(26)], rtol=1e-12)


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_state_goes_on_where_it_stopped(make: Make) -> None:
    one, two = make(optimizer()), make(optimizer())
    for _ in range(4):
        one.step()
    two.load_state_dict(one.state_dict())
    assert two.optimizer.lr == one.optimizer.lr
    one.step(), two.step()
    assert repr(one) == repr(two)
    assert two.optimizer.lr == one.optimizer.lr
    with pytest.raises(InputError, match="steps and base_lr, got lr"):
        two.load_state_dict({"lr": 1})
    assert two.steps == 5


def test_bad_settings() -> None:
    own = optimizer()
    for wrong, expected in [
        (lambda: lr_scheduler.StepLR(own, 0), "step_size must be a whole number of steps, at least 1; got 0"),
        (lambda: lr_scheduler.CosineAnnealingLR(own, 2.5), "T_max must be a whole number"),  # type: ignore[arg-type]
        (lambda: lr_scheduler.ExponentialLR(own, -1), "gamma must be positive, got -1"),
        (lambda: lr_scheduler.LinearLR(own, 0), "start_factor must be positive"),
        (lambda: lr_scheduler.ExponentialLR([own], 0.9), "needs an optimiser, .*; got list"),  # type: ignore[arg-type]
        (lambda: lr_scheduler.LRScheduler(own), r"defines no rate\(self, t\)"),
    ]:
        with pytest.raises((InputError, UsageError), match=expected):
            wrong()
    assert own.lr == 0.1
