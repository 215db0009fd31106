"""Schedules: their rates by formula, and their state. (PyTorch's own are in tests/compare.)"""

import copy
import pickle
from collections.abc import Callable, Iterator
from inspect import isclass, signature
from math import cos, pi
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.optim.samples import SCHEDULES
from tinygrad_lite import optim
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.optim import lr_scheduler


def triangle(t: int) -> float:
    return 1 - abs(t % 8 - 4) / 4


Rate = Callable[[int], float]
RATES: dict[str, tuple[str, dict[str, Any], Rate]] = {
    "lambda": ("LambdaLR", {"lr_lambda": lambda t: 1 / (1 + t)}, lambda t: 0.1 / (1 + t)),
    "multiplicative": (
        "MultiplicativeLR",
        {"lr_lambda": lambda t: 1 / (1 + t)},
        lambda t: 0.1 / np.prod(range(1, t + 2)),
    ),
    "step": ("StepLR", {"step_size": 3, "gamma": 0.5}, lambda t: 0.1 * 0.5 ** (t // 3)),
    "steps": ("MultiStepLR", {"milestones": [2, 5, 5]}, lambda t: 0.1 * 0.1 ** ((t >= 2) + 2 * (t >= 5))),
    "constant": ("ConstantLR", {"factor": 0.5, "total_iters": 4}, lambda t: 0.05 if t < 4 else 0.1),
    "linear": (
        "LinearLR",
        {"start_factor": 0.25, "end_factor": 0.5, "total_iters": 8},
        lambda t: 0.1 * (0.25 + 0.25 * min(t, 8) / 8),
    ),
    "constant for no steps": ("ConstantLR", {"factor": 0.5, "total_iters": 0}, lambda t: 0.05),
    "linear in no steps": ("LinearLR", {"start_factor": 0.25, "total_iters": 0}, lambda t: 0.025),
    "polynomial in no steps": ("PolynomialLR", {"total_iters": 0}, lambda t: 0.1),
    "exponential": ("ExponentialLR", {"gamma": 0.9}, lambda t: 0.1 * 0.9**t),
    "polynomial": ("PolynomialLR", {"total_iters": 7, "power": 2}, lambda t: 0.1 * (1 - min(t, 7) / 7) ** 2),
    "cosine": (
        "CosineAnnealingLR",
        {"T_max": 10, "eta_min": 0.01},
        lambda t: 0.01 + 0.09 * (1 + cos(pi * t / 10)) / 2,
    ),
    "restarts": ("CosineAnnealingWarmRestarts", {"T_0": 4}, lambda t: 0.1 * (1 + cos(pi * (t % 4) / 4)) / 2),
    "to an average": (
        "SWALR",
        {"swa_lr": 0.02, "anneal_epochs": 8},
        lambda t: 0.02 + 0.08 * (1 + cos(pi * min(t, 8) / 8)) / 2,
    ),
    "cyclic": ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 4}, lambda t: 0.1 + 0.4 * triangle(t)),
    "one cycle": (
        "OneCycleLR",
        {"max_lr": 1.0, "total_steps": 30, "pct_start": 0.5, "anneal_strategy": "linear", "final_div_factor": 1.0},
        lambda t: 0.04 + 0.96 * (t / 14 if t <= 14 else (29 - t) / 15),
    ),
}


def optimizer(kind: str = "SGD", **settings: Any) -> optim.Optimizer:
    w, v = (tg.tensor([1.0, -2.0], requires_grad=True) for _ in range(2))
    return getattr(optim, kind)([{"params": w}, {"params": v, "lr": 0.05}], lr=0.1, **settings)


@pytest.mark.parametrize(("name", "settings", "rate"), RATES.values(), ids=RATES)
def test_rates(name: str, settings: dict[str, Any], rate: Rate) -> None:
    own = optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1, momentum=0.9)
    scheduler = getattr(lr_scheduler, name)(own, **settings)
    rates = [own.lr]
    for _ in range(25):
        scheduler.step()
        rates.append(own.lr)
    assert {type(rate) for rate in rates} == {float}
    np.testing.assert_allclose(rates, [rate(t) for t in range(26)], rtol=1e-9, atol=1e-15)


def momenta(schedule: Any) -> list[float]:
    return [group["momentum"] for group in schedule.optimizer.param_groups]


@pytest.mark.parametrize("name", SCHEDULES)
def test_state_goes_on_where_it_stopped(name: str) -> None:
    one, two = (SCHEDULES[name](lr_scheduler, optimizer(momentum=0.9)) for _ in range(2))
    for _ in range(4):
        one.step()
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    assert two.get_last_lr() == one.get_last_lr()
    assert momenta(two) == momenta(one)
    for _ in range(8):
        one.step(), two.step()
        assert momenta(two) == momenta(one)
        assert repr(one) == repr(two)
        np.testing.assert_allclose(two.get_last_lr(), one.get_last_lr(), rtol=1e-12)
    before = repr(two)
    with pytest.raises(InputError, match="state"):
        two.load_state_dict({"lr": 1})
    assert repr(two) == before


HAVE_RATES_FOR_EACH_GROUP = {
    *("LambdaLR", "CyclicLR", "CyclicLR exp", "CyclicLR own", "OneCycleLR", "OneCycleLR lines"),
    *("SequentialLR of a chain", "SWALR", "SequentialLR to SWALR"),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_group_that_comes_later_follows_or_is_refused(name: str) -> None:
    """The error was one of `zip`. The schedule goes on for the others in any case as if the group were not there."""
    own, alone = optimizer(momentum=0.9), optimizer(momentum=0.9)
    schedule, other = SCHEDULES[name](lr_scheduler, own), SCHEDULES[name](lr_scheduler, alone)
    for _ in range(4):
        schedule.step(), other.step()
    own.add_param_group({"params": [tg.tensor(1.0, requires_grad=True)], "lr": 0.03})
    if name in HAVE_RATES_FOR_EACH_GROUP:
        with pytest.raises((InputError, UsageError), match=r"one for each of the 3 groups|add all groups before"):
            [schedule.step() for _ in range(8)]  # in a sequence, its turn comes later
        return
    for _ in range(8):
        schedule.step(), other.step()
        assert schedule.get_last_lr()[:2] == other.get_last_lr()
    is_over = name in ("ConstantLR", "LinearLR to 0") or "no steps" in name  # after four steps
    assert (own.param_groups[2]["lr"] == 0.03) == is_over


def test_copies_go_on_alone() -> None:
    one = lr_scheduler.CosineAnnealingLR(optimizer(), 10)
    for two in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        two.step()
        assert one.get_last_lr() == [0.1, 0.05]
        assert two.get_last_lr() < [0.1, 0.05]


def test_the_momentum_goes_against_the_rate() -> None:
    for kind, read in (("SGD", lambda group: group["momentum"]), ("Adam", lambda group: group["betas"][0])):
        own = optimizer(kind)
        scheduler = lr_scheduler.CyclicLR(own, 0.1, 0.5, 4, base_momentum=[0.5, 0.6], max_momentum=0.9)
        for t in range(12):
            for group, low in zip(own.param_groups, (0.5, 0.6)):
                assert read(group) == pytest.approx(0.9 - (0.9 - low) * triangle(t))
            scheduler.step()


def test_a_rate_that_is_changed_in_between_is_followed() -> None:
    own = optimizer()
    scheduler = lr_scheduler.ExponentialLR(own, 0.5)
    scheduler.step()
    own.param_groups[1]["lr"] = 8.0
    scheduler.step()
    assert scheduler.get_last_lr() == [0.025, 4.0]


def test_a_schedule_is_continued_after_a_number_of_steps() -> None:
    one = lr_scheduler.StepLR(optimizer(), 4, 0.5)
    for _ in range(5):
        one.step()
    two = lr_scheduler.StepLR(one.optimizer, 4, 0.5, last_epoch=5)
    for _ in range(2):
        two.step()
    assert two.get_last_lr() == [0.025, 0.0125]
    with pytest.raises(InputError, match=r"param_groups\[0\] needs its first rate as 'initial_lr'"):
        lr_scheduler.StepLR(optimizer(), 4, last_epoch=5)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_reduction_on_a_plateau(mode: str, threshold_mode: str) -> None:
    own = optimizer()
    scheduler = lr_scheduler.ReduceLROnPlateau(
        own, mode, 0.5, patience=1, threshold=0.1, threshold_mode=threshold_mode, cooldown=2, min_lr=[0.03, 0.0]
    )
    worse = 1.05 if mode == "min" else 0.95
    rates = []
    for metric in [1.0, *[worse] * 9]:
        scheduler.step(tg.tensor(metric))
        rates.append(own.param_groups[0]["lr"])
    assert rates == [0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.03, 0.03, 0.03, 0.03]
    assert own.param_groups[1]["lr"] == 0.0125
    scheduler.step(0.5 if mode == "min" else 2.0)
    assert scheduler.num_bad_epochs == 0


def test_a_cycle_has_no_more_steps_than_were_said() -> None:
    scheduler = lr_scheduler.OneCycleLR(optimizer(momentum=0.9), 0.1, total_steps=5)
    for _ in range(5):
        scheduler.step()
    before = scheduler.get_last_lr()
    with pytest.raises(InputError, match="total_steps=5 steps, and this is step 6"):
        scheduler.step()
    assert (scheduler.last_epoch, scheduler.get_last_lr()) == (5, before)


own = optimizer()
other = optimizer()
ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "step size": (lambda: lr_scheduler.StepLR(own, 0), "step_size must be a whole number of at least 1, got 0"),
    "wave": (lambda: lr_scheduler.CosineAnnealingLR(own, 2.5), "T_max must be a whole number"),  # type: ignore[arg-type]
    "gamma": (lambda: lr_scheduler.ExponentialLR(own, -1), "gamma must not be negative, got -1"),
    "start": (lambda: lr_scheduler.LinearLR(own, 0), "start_factor must be positive"),
    "factor": (lambda: lr_scheduler.ConstantLR(own, 2), "factor must lie between 0 and 1, got 2"),
    "no optimiser": (lambda: lr_scheduler.ExponentialLR([own], 0.9), "needs an optimiser, .*; got list"),  # type: ignore[arg-type]
    "no rate": (lambda: lr_scheduler.LRScheduler(own), r"defines no rate\(self, t, lr, base_lr\)"),
    "one of two": (lambda: lr_scheduler.LambdaLR(own, [lambda t: 1]), "one for each of the 2 groups .* got 1"),
    "mode": (lambda: lr_scheduler.CyclicLR(own, 0.1, 1, mode="square"), "triangular, triangular2, exp_range; got 'sq"),
    "momentum": (lambda: lr_scheduler.CyclicLR(optimizer("Adagrad"), 0.1, 1), "momentum or betas, not Adagrad"),
    "how long": (lambda: lr_scheduler.OneCycleLR(own, 1.0, epochs=3), "needs total_steps, or epochs and"),
    "strategy": (lambda: lr_scheduler.OneCycleLR(own, 1.0, 9, anneal_strategy="no"), "'cos' or 'linear', got 'no'"),
    "no phase": (lambda: lr_scheduler.OneCycleLR(own, 1.0, 10, pct_start=0.1), "begins and ends at step 0"),
    "rate that is none": (lambda: lr_scheduler.OneCycleLR(own, np.nan, 9), "max_lr must be a finite number, got nan"),
    "no metric": (lambda: lr_scheduler.ReduceLROnPlateau(own).step("low"), "metrics must be a number, got 'low'"),
    "factor of 1": (lambda: lr_scheduler.ReduceLROnPlateau(own, factor=1), "factor must be less than 1"),
    "none": (lambda: lr_scheduler.ChainedScheduler([]), "at least one schedule"),
    "milestones": (
        lambda: lr_scheduler.SequentialLR(own, [lr_scheduler.ExponentialLR(own, 1)], [3]),
        "1 schedules need 0 milestones between them, got 1",
    ),
    "others": (
        lambda: lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(each, 1) for each in (own, other)]),
        "schedule 1, ExponentialLR, sets the rates of another optimiser",
    ),
    "metric": (
        lambda: lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(own)]),
        "must be one that counts steps, got ReduceLROnPlateau",
    ),
    "chain later": (
        lambda: lr_scheduler.SequentialLR(
            own,
            [lr_scheduler.ExponentialLR(own, 1), lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(own, 1)])],
            [3],
        ),
        "ChainedScheduler can only come first",
    ),
}


@pytest.mark.parametrize(("wrong", "expected"), ERRORS.values(), ids=list(ERRORS))
def test_bad_settings(wrong: Callable[[], Any], expected: str) -> None:
    with pytest.raises((InputError, UsageError), match=expected):
        wrong()
    assert [group["lr"] for group in own.param_groups] == [0.1, 0.05]


SETTINGS: dict[str, dict[str, Any]] = {
    "LambdaLR": {"lr_lambda": lambda t: 1 / (1 + t)},
    "MultiplicativeLR": {"lr_lambda": lambda t: 0.5},
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [1, 3]},
    "ConstantLR": {},
    "LinearLR": {},
    "ExponentialLR": {"gamma": 0.9},
    "PolynomialLR": {},
    "CosineAnnealingLR": {"T_max": 5},
    "CosineAnnealingWarmRestarts": {"T_0": 3},
    "SWALR": {"swa_lr": 0.05},
    "OneCycleLR": {"max_lr": 0.5, "epochs": 3, "steps_per_epoch": 10},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 0.2},
    "ReduceLROnPlateau": {},
}
"""For each schedule what it needs besides an optimiser."""
SWITCHES = "cycle_momentum", "three_phase"
UNUSED = ("OneCycleLR", "total_steps")
BAD_VALUES = {"text": "a", "an object": object(), "complex": 1j, "NaN": float("nan"), "no list": [], "negative": -1}


def settings_of_schedules() -> Iterator[tuple[str, str, str]]:
    for name, needed in SETTINGS.items():
        for parameter in list(signature(getattr(lr_scheduler, name)).parameters)[1:]:
            if parameter in (*SWITCHES, "last_epoch") or (name, parameter) == UNUSED:
                continue
            for kind in BAD_VALUES:
                if (parameter, kind) not in (
                    ("milestones", "no list"),
                    ("threshold", "negative"),
                    ("threshold", "NaN"),
                ):
                    yield name, parameter, kind
        assert needed.keys() <= signature(getattr(lr_scheduler, name)).parameters.keys()


@pytest.mark.parametrize(("name", "parameter", "kind"), [*settings_of_schedules()])
def test_settings_of_another_kind_are_refused_and_change_nothing(name: str, parameter: str, kind: str) -> None:
    optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1, momentum=0.9)
    before = dict(optimizer.param_groups[0])
    with pytest.raises((InputError, UsageError), match=f"^{parameter} must "):
        getattr(lr_scheduler, name)(optimizer, **{**SETTINGS[name], parameter: BAD_VALUES[kind]})
    assert optimizer.param_groups[0] == before


def test_numbers_of_steps_may_be_numpys() -> None:
    own = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1)
    three = np.int64(3)
    assert lr_scheduler.StepLR(own, three).step_size == 3
    assert lr_scheduler.MultiStepLR(own, np.array([1, 3])).milestones == {1: 1, 3: 1}
    assert lr_scheduler.ReduceLROnPlateau(own, patience=three).patience == 3
    with pytest.raises(InputError, match="step_size must be a whole number"):
        lr_scheduler.StepLR(own, True)


def test_every_schedule_is_tried() -> None:
    made = {name for name, x in vars(lr_scheduler).items() if isclass(x) and issubclass(x, lr_scheduler.LRScheduler)}
    composed = {"SequentialLR", "ChainedScheduler"}
    assert {name for name in made if not name.startswith("_")} - composed - {"LRScheduler"} == SETTINGS.keys()
