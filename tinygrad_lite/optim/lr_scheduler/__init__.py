"""Learning rates that change from step to step: each schedule is its formula, under PyTorch's names.

As in PyTorch, most schedules multiply the present rate. So they can be chained, and follow a rate that the user changes
in between. The formulas choose by np.where, so that a compiled step can follow them.
"""

from typing import TYPE_CHECKING

from tinygrad_lite.foundation.elsewhere import unknown_names as _unknown_names
from tinygrad_lite.optim.lr_scheduler.composed import ChainedScheduler, SequentialLR
from tinygrad_lite.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from tinygrad_lite.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinygrad_lite.optim.lr_scheduler.rate_curves import (
    SWALR,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from tinygrad_lite.optim.lr_scheduler.schedule import LRScheduler

__all__ = [
    "SWALR",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there
    __getattr__ = _unknown_names(__name__)
