"""A loss as an estimator minimises it: its mean over rows, which may have weights."""

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from tinygrad_lite.errors import UsageError
from tinygrad_lite.estimators.settings import names_taken_by
from tinygrad_lite.nn import Module
from tinygrad_lite.training.argument_checks import check_loss


class _Mean:
    def __init__(self, loss: Callable[..., Any]) -> None:
        self.loss = loss

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.loss is self.loss

    def __hash__(self) -> int:
        return hash(self.loss)


class Weighted(_Mean):
    """The mean over rows of w · loss, for targets that are a pair (targets, w).

    Raises:
        UsageError: if the loss has no number for each row.
    """

    def __init__(self, loss: Callable[..., Any]) -> None:
        super().__init__(loss)
        self._loss: Any = loss
        self._settings: dict[str, str] = {}
        if isinstance(loss, Module) and hasattr(loss, "reduction"):
            self._loss = copy(loss)
            self._loss.reduction = "none"
        elif "reduction" in (names_taken_by(loss) or ()):
            self._settings = {"reduction": "none"}

    def __call__(self, outputs: Any, targets: Any) -> Any:
        targets, w = targets
        losses = self._loss(outputs, targets, **self._settings)
        if np.shape(losses)[:1] != np.shape(w):
            name = getattr(self._loss, "__name__", type(self._loss).__name__)
            raise UsageError(
                f"weights of the rows need a loss for each row, and {name} returned the shape {np.shape(losses)} for "
                f"{len(w)} rows: let it return a loss for each row, or take reduction='none'"
            )
        if np.ndim(losses) > 1:
            losses = np.mean(np.reshape(losses, (len(w), -1)), axis=1)
        return np.mean(w * losses)


class Averaged(_Mean):
    """The mean of what a loss returns, which may be a number for each row."""

    def __call__(self, outputs: Any, targets: Any) -> Any:
        return np.mean(self.loss(outputs, targets))


def mean_of(loss: Callable[..., Any], is_weighted: bool) -> Callable[..., Any]:
    """The mean of a loss over rows, with targets or with pairs of targets and weights."""
    check_loss(loss)
    if is_weighted:
        return Weighted(loss)
    reduces = hasattr(loss, "reduction") if isinstance(loss, Module) else "reduction" in (names_taken_by(loss) or ())
    return loss if reduces else Averaged(loss)
