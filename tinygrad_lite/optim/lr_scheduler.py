"""Learning rates that change from step to step: each schedule is its formula, under PyTorch's names."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.optim.optimizer import Optimizer, not_negative, positive


class LRScheduler:
    """Sets an optimiser's learning rate as a function of the steps taken. A subclass defines the function, `rate`.

    Attributes:
        optimizer: the optimiser whose `lr` it sets, at once and after each step.
        base_lr: the learning rate that the optimiser had at first.
        steps: the number of steps taken so far.

    Example:
        >>> import tinygrad_lite as tg
        >>> class InverseRoot(tg.optim.lr_scheduler.LRScheduler):
        ...     def rate(self, t):
        ...         return self.base_lr / np.sqrt(1 + t)
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1)
        >>> scheduler = InverseRoot(optimizer)
        >>> for _ in range(3):
        ...     scheduler.step()
        >>> optimizer.lr
        0.05
    """

    varying = ("steps",)

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise UsageError(
                f"a schedule needs an optimiser, whose learning rate it sets; got {type(optimizer).__name__}"
            )
        self.optimizer = optimizer
        self.base_lr = optimizer.lr
        self.steps = 0
        self._set()

    def rate(self, t: int) -> Any:
        """The learning rate after t steps; written in NumPy's functions, so that a compiled step can follow it."""
        raise UsageError(f"{type(self).__name__} defines no rate(self, t)")

    def step(self) -> None:
        """Count a step, and set the learning rate."""
        self.steps = self.steps + 1
        self._set()

    def _set(self) -> None:
        rate: Any = self.rate(self.steps)
        self.optimizer.lr = rate.item() if hasattr(rate, "item") else rate

    def state_dict(self) -> dict[str, Any]:
        """The state that `load_state_dict` continues from: the steps taken and the base learning rate."""
        return {"steps": self.steps, "base_lr": self.base_lr}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned.

        Raises:
            InputError: if it is not such a state; nothing changes then.
        """
        if set(state) != {"steps", "base_lr"}:
            raise InputError(f"a schedule's state must have the entries steps and base_lr, got {', '.join(state)}")
        self.base_lr = positive("base_lr", state["base_lr"])
        self.steps = int(not_negative("steps", state["steps"]))
        self._set()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(steps={self.steps}, lr={self.optimizer.lr:.4g})"


class LambdaLR(LRScheduler):
    """A multiple of the base learning rate: η(t) = η₀ · f(t).

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1)
        >>> scheduler = tg.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + t))
        >>> scheduler.step()
        >>> optimizer.lr
        0.05
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def rate(self, t: int) -> Any:
        return self.base_lr * self.lr_lambda(t)


class StepLR(LRScheduler):
    """Decay by a factor γ every `step_size` steps: η(t) = η₀ γ^⌊t / step_size⌋.

    Raises:
        InputError: if step_size is not a whole number of at least 1, or gamma is not positive.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.5)
        >>> scheduler = tg.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        >>> for _ in range(3):
        ...     scheduler.step()
        >>> optimizer.lr
        0.25
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = _steps("step_size", step_size)
        self.gamma = positive("gamma", gamma)
        super().__init__(optimizer)

    def rate(self, t: int) -> Any:
        return self.base_lr * self.gamma ** (t // self.step_size)


class ExponentialLR(LRScheduler):
    """Decay by a factor γ at every step: η(t) = η₀ γ^t.

    Raises:
        InputError: if gamma is not positive.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.5)
        >>> scheduler = tg.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> scheduler.step()
        >>> optimizer.lr
        0.25
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = positive("gamma", gamma)
        super().__init__(optimizer)

    def rate(self, t: int) -> Any:
        return self.base_lr * self.gamma**t


class LinearLR(LRScheduler):
    """A warm-up or a decay along a line: η(t) = η₀ (s + (e - s) min(t, T) / T), from the factor s to the factor e.

    Raises:
        InputError: if total_iters is not a whole number of at least 1, or a factor is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=1.0)
        >>> scheduler = tg.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> scheduler.step()
        >>> optimizer.lr
        0.75
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        self.start_factor = positive("start_factor", start_factor)
        self.end_factor = not_negative("end_factor", end_factor)
        self.total_iters = _steps("total_iters", total_iters)
        super().__init__(optimizer)

    def rate(self, t: int) -> Any:
        passed = np.minimum(t, self.total_iters) / self.total_iters
        return self.base_lr * (self.start_factor + (self.end_factor - self.start_factor) * passed)


class CosineAnnealingLR(LRScheduler):
    """Half a cosine wave down in T steps, then up again: η(t) = η_min + (η₀ - η_min) (1 + cos(π t / T)) / 2.

    Source: Loshchilov and Hutter (2017), SGDR: stochastic gradient descent with warm restarts, equation 5.

    Raises:
        InputError: if T_max is not a whole number of at least 1, or eta_min is negative.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1)
        >>> scheduler = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
        >>> scheduler.step()
        >>> print(f"{optimizer.lr:.3f}")
        0.075
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = _steps("T_max", T_max)
        self.eta_min = not_negative("eta_min", eta_min)
        super().__init__(optimizer)

    def rate(self, t: int) -> Any:
        return self.eta_min + (self.base_lr - self.eta_min) * (1 + np.cos(np.pi * t / self.T_max)) / 2


def _steps(name: str, value: int) -> int:
    if not isinstance(value, int) or value < 1:
        raise InputError(f"{name} must be a whole number of steps, at least 1; got {value!r}")
    return value
