"""Optimisers and schedules with settings, for the tests that loop over them here, in the compiler's and in compare/."""

from collections.abc import Callable
from typing import Any

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {"lr": 0.05}),
    "SGD momentum": ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5}),
    "SGD nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "SGD maximize": ("SGD", {"lr": 0.001, "weight_decay": 0.1, "maximize": True}),
    "Adam": ("Adam", {"lr": 0.05}),
    "Adam decay": ("Adam", {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.01}),
    "Adam amsgrad": ("Adam", {"lr": 0.05, "amsgrad": True, "weight_decay": 0.01, "decoupled_weight_decay": True}),
    "AdamW": ("AdamW", {"lr": 0.05, "weight_decay": 0.1}),
    "NAdam": ("NAdam", {"lr": 0.05, "weight_decay": 0.01}),
    "NAdam decoupled": (
        "NAdam",
        {"lr": 0.05, "momentum_decay": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    "RAdam": ("RAdam", {"lr": 0.05}),
    "RAdam decoupled": (
        "RAdam",
        {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    "Adamax": ("Adamax", {"lr": 0.05, "weight_decay": 0.01}),
    "Adagrad": ("Adagrad", {"lr": 0.3}),
    "Adagrad decay": ("Adagrad", {"lr": 0.5, "lr_decay": 0.01, "initial_accumulator_value": 0.1, "weight_decay": 0.01}),
    "Adadelta": ("Adadelta", {"lr": 5.0, "rho": 0.95, "weight_decay": 0.01}),
    "RMSprop": ("RMSprop", {"lr": 0.01}),
    "RMSprop all": (
        "RMSprop",
        {"lr": 0.01, "alpha": 0.9, "weight_decay": 0.01, "momentum": 0.5, "centered": True},
    ),
    "Rprop": ("Rprop", {"lr": 0.05}),
    "Rprop sizes": ("Rprop", {"lr": 0.05, "etas": (0.4, 1.5), "step_sizes": (1e-3, 0.1)}),
    "ASGD": ("ASGD", {"lr": 0.05, "lambd": 0.01, "t0": 3, "weight_decay": 0.01}),
    "Muon": ("Muon", {"lr": 0.05}),
    "Muon adjusted": ("Muon", {"lr": 0.1, "nesterov": False, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 4}),
    "Adafactor": ("Adafactor", {"lr": 0.05}),
    "Adafactor decay": ("Adafactor", {"lr": 0.05, "beta2_decay": -0.5, "d": 1.5, "weight_decay": 0.01}),
}


def _made(name: str, *arguments: Any, **settings: Any) -> Callable[..., Any]:
    return lambda schedules, optimizer: getattr(schedules, name)(optimizer, *arguments, **settings)


def _chained(*parts: str) -> Callable[..., Any]:
    return lambda schedules, optimizer: schedules.ChainedScheduler([SCHEDULES[x](schedules, optimizer) for x in parts])


def _in_sequence(milestones: list[int], *parts: str) -> Callable[..., Any]:
    return lambda schedules, optimizer: schedules.SequentialLR(
        optimizer, [SCHEDULES[x](schedules, optimizer) for x in parts], milestones
    )


SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "LambdaLR": _made("LambdaLR", [lambda t: 1 / (1 + t), lambda t: 0.9**t]),
    "MultiplicativeLR": _made("MultiplicativeLR", lambda t: 1 - 0.1 * (t % 3)),
    "StepLR": _made("StepLR", 3, gamma=0.5),
    "MultiStepLR": _made("MultiStepLR", [2, 5, 5, 11], gamma=0.5),
    "ConstantLR": _made("ConstantLR", 0.4, total_iters=4),
    "ConstantLR for no steps": _made("ConstantLR", 0.4, total_iters=0),
    "LinearLR in no steps": _made("LinearLR", 0.4, total_iters=0),
    "PolynomialLR in no steps": _made("PolynomialLR", total_iters=0),
    "LinearLR": _made("LinearLR", 0.25, 0.5, total_iters=8),
    "LinearLR to 0": _made("LinearLR", 1 / 3, 1.0, total_iters=2),
    "ExponentialLR": _made("ExponentialLR", 0.9),
    "PolynomialLR": _made("PolynomialLR", 9, power=1.5),
    "CosineAnnealingLR": _made("CosineAnnealingLR", 5, eta_min=0.01),
    "CosineAnnealingWarmRestarts": _made("CosineAnnealingWarmRestarts", 3, 2, eta_min=0.01),
    "SWALR": _made("SWALR", [0.02, 0.05], 4),
    "SWALR lines": _made("SWALR", 0.2, 6, "linear"),
    "SWALR at once": _made("SWALR", 0.04, 0),
    "CyclicLR": _made("CyclicLR", 0.01, [0.1, 0.2], 4, 3, mode="triangular2"),
    "CyclicLR exp": _made("CyclicLR", 0.01, 0.1, 3, mode="exp_range", gamma=0.9, cycle_momentum=False),
    "CyclicLR own": _made("CyclicLR", 0.01, 0.1, 3, scale_fn=lambda t: 0.95**t, scale_mode="iterations"),
    "OneCycleLR": _made("OneCycleLR", [0.3, 0.1], total_steps=30, base_momentum=0.7),
    "OneCycleLR lines": _made(
        "OneCycleLR", 0.3, epochs=5, steps_per_epoch=6, pct_start=0.4, anneal_strategy="linear", three_phase=True
    ),
    "ChainedScheduler": _chained("ConstantLR", "ExponentialLR"),
    "ChainedScheduler of waves": _chained("CosineAnnealingLR", "LinearLR", "StepLR"),
    "SequentialLR": _in_sequence([3, 9], "ConstantLR", "CosineAnnealingLR", "ExponentialLR"),
    "SequentialLR to SWALR": _in_sequence([5], "ExponentialLR", "SWALR"),
    "SequentialLR nested": _in_sequence([8], "SequentialLR", "LinearLR"),
    "SequentialLR of a chain": _in_sequence([4, 7], "ChainedScheduler", "MultiplicativeLR", "OneCycleLR"),
}
