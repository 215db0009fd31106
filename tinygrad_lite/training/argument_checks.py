"""Checks of the arguments of `fit`, before anything is trained."""

from collections.abc import Iterable
from inspect import isclass
from typing import Any

import numpy as np

from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.foundation.settings import whole
from tinygrad_lite.nn import Module
from tinygrad_lite.optim import Optimizer


def check_counts(**counts: Any) -> None:
    """Raise `InputError` if one of the numbers is not a whole number of at least 1, or None."""
    for name, number in counts.items():
        if number is not None:
            whole(name, number)


def check_model(model: Any, loss: Any) -> None:
    """Raise `UsageError` if these are not a module and a loss."""
    if not isinstance(model, Module):
        raise UsageError(f"the model must be a tg.nn.Module, got {_in_words(model)}")
    if not any(w.requires_grad for w in model.parameters()):
        are = "all of its parameters are frozen" if any(True for _ in model.parameters()) else "it has no parameters"
        raise UsageError(f"there is nothing to train in this {type(model).__name__}: {are}")
    check_loss(loss)


def check_loss(loss: Any) -> None:
    """Raise `UsageError` if this is not a loss."""
    if isclass(loss) or not callable(loss):
        raise UsageError(
            "the loss must be a module, or a function of (outputs, targets) such as tg.nn.functional.mse_loss; got "
            f"{_in_words(loss)}"
        )


def check_batch(batch: Any) -> None:
    """Raise `UsageError` if this is not a pair of inputs and targets."""
    if not (isinstance(batch, (tuple, list)) and len(batch) == 2):
        parts = f" of {len(batch)} parts" if isinstance(batch, (tuple, list)) else ""
        raise UsageError(f"the batch must be a pair (inputs, targets), got {type(batch).__name__}{parts}")


def check_parts(model: Module, optimizer: Any, scheduler: Any, callbacks: Any) -> None:
    """Raise `UsageError` if a part of a training has the wrong type, or belongs to another training."""
    own = getattr(optimizer, "optimizer", optimizer)  # which several processes may share
    if not (optimizer is None or isinstance(own, Optimizer)):
        raise UsageError(
            f"optimizer must be an optimiser, such as tg.optim.Adam(model.parameters()); got {_in_words(optimizer)}"
        )
    if optimizer is not None and not {*map(id, model.parameters())} & {*map(id, optimizer.parameters)}:
        raise UsageError("the optimiser has no parameter of this model: make it from model.parameters()")
    if scheduler is not None and (isclass(scheduler) or not callable(getattr(scheduler, "step", None))):
        raise UsageError(f"scheduler must be a schedule of tg.optim.lr_scheduler, got {_in_words(scheduler)}")
    if getattr(scheduler, "optimizer", own) is not own:
        raise UsageError(
            "the scheduler sets the rate of another optimiser: pass the one that it was made for as optimizer="
        )
    if not isinstance(callbacks, Iterable) or not all(map(callable, callbacks)):
        raise UsageError(f"callbacks must be a list of functions, got {_in_words(callbacks)}")


def check_validation(validation: Any) -> None:
    """Raise `UsageError` if this is a share of the data, as Keras takes it, and not data."""
    if isinstance(validation, (int, float, np.number)):
        raise UsageError(
            f"validation is held-out data (inputs, targets), not a share of the data, {validation}: "
            "split them, for example by sklearn.model_selection.train_test_split, and pass both parts"
        )


def check_clip_norm(clip_norm: Any) -> None:
    """Raise `InputError` if this is not a length to which a gradient can be clipped."""
    if clip_norm is not None and not (isinstance(clip_norm, (int, float, np.number)) and clip_norm > 0):
        raise InputError(f"clip_norm must be a number above 0, got {clip_norm!r}")


def _in_words(x: Any) -> str:
    return f"the class {x.__name__}: call it to make one" if isclass(x) else f"{type(x).__name__}: {x!r:.80}"
