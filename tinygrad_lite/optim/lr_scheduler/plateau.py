"""The schedule that waits for a metric to stop improving."""

from math import inf
from typing import Any

from tinygrad_lite.errors import InputError
from tinygrad_lite.foundation.settings import not_negative, number, whole
from tinygrad_lite.optim.lr_scheduler.schedule import LRScheduler, per_group
from tinygrad_lite.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Decay by a factor when a metric has not improved for more than `patience` steps: step(metric).

    Better is, for mode="min", less than the best by the `threshold`, as a share of the best (threshold_mode="rel") or
    as a difference ("abs"). After a decay, `cooldown` steps do not count.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=1.0)
        >>> scheduler = tg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
        >>> for loss in [3.0, 2.0, 2.0, 2.0]:
        ...     scheduler.step(loss)
        >>> scheduler.get_last_lr()
        [0.1]
    """

    varying = ()

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not not_negative("factor", factor) < 1:
            raise InputError(f"factor must be less than 1, got {factor!r}")
        if mode not in ("min", "max"):
            raise InputError(f"mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise InputError(f"threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        per_group("min_lr", optimizer, min_lr, not_negative)
        self.optimizer, self._min_lr = optimizer, min_lr
        self.mode, self.factor, self.eps = mode, factor, not_negative("eps", eps)
        self.patience, self.cooldown = whole("patience", patience, 0), whole("cooldown", cooldown, 0)
        self.threshold, self.threshold_mode = number("threshold", threshold), threshold_mode
        self.best = inf if mode == "min" else -inf
        self.last_epoch = self.num_bad_epochs = self.cooldown_counter = 0

    @property
    def min_lrs(self) -> list[float]:
        """The least rate of each group."""
        return per_group("min_lr", self.optimizer, self._min_lr, not_negative)

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Count a step after which the metric, such as the validation loss, has this value."""
        current = number("metrics", metrics)
        self.last_epoch += 1
        if self._is_better(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
            for group, least in zip(self.optimizer.param_groups, self.min_lrs):
                reduced = max(group["lr"] * self.factor, least)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced

    def _is_better(self, current: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * current > sign * self.best * (1 + sign * self.threshold)
        return sign * current > sign * self.best + self.threshold

    def _kept(self) -> list[str]:
        return ["last_epoch", "best", "num_bad_epochs", "cooldown_counter"]
