"""Optimisers, under PyTorch's names and with its update formulas."""

from tinygrad_lite.optim import lr_scheduler
from tinygrad_lite.optim.optimizer import Optimizer
from tinygrad_lite.optim.updates import SGD, Adam, AdamW, RMSprop

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
