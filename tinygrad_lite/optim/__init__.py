"""Optimisers, under PyTorch's names and with its update formulas."""

from typing import TYPE_CHECKING

from tinygrad_lite.foundation.elsewhere import unknown_names as _unknown_names
from tinygrad_lite.optim import lr_scheduler
from tinygrad_lite.optim.adaptive import Adadelta, Adafactor, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop
from tinygrad_lite.optim.averages import ExponentialMovingAverage
from tinygrad_lite.optim.descent import ASGD, SGD, Muon, Rprop
from tinygrad_lite.optim.lbfgs import LBFGS
from tinygrad_lite.optim.optimizer import Optimizer

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ExponentialMovingAverage",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
]

if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there
    __getattr__ = _unknown_names(__name__)
