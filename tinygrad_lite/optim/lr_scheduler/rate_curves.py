"""Schedules whose rate is a curve over the steps: multiples of functions, decays, warm-ups and cosine waves."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import cos, pi
from typing import Any

import numpy as np

from tinygrad_lite.errors import InputError
from tinygrad_lite.foundation.settings import not_negative, positive, share, whole
from tinygrad_lite.optim.lr_scheduler.schedule import LRScheduler, checked_function, checked_steps, per_group
from tinygrad_lite.optim.optimizer import Optimizer, number_of

Factors = Callable[[int], float] | Sequence[Callable[[int], float]]


class _OfFunctions(LRScheduler):
    """A schedule with one function of the number of steps, or one for each group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Factors, last_epoch: int = -1) -> None:
        per_group("lr_lambda", optimizer, lr_lambda, checked_function)
        self._lr_lambda = lr_lambda
        super().__init__(optimizer, last_epoch)

    @property
    def lr_lambdas(self) -> list[Callable[[int], float]]:
        """The function of each group."""
        return per_group("lr_lambda", self.optimizer, self._lr_lambda, checked_function)


class LambdaLR(_OfFunctions):
    """A multiple of the first rate: η(t) = η₀ · f(t), with one function or one for each group.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1)
        >>> scheduler = tg.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + t))
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.05]
    """

    def get_lr(self) -> list[Any]:
        return [base * f(self.last_epoch) for base, f in zip(self._first_rates(), self.lr_lambdas)]


class MultiplicativeLR(_OfFunctions):
    """A multiple of the rate before: η(t) = η(t - 1) · f(t), with one function or one for each group.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1)
        >>> scheduler = tg.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda t: 0.5)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.05]
    """

    def get_lr(self) -> list[Any]:
        rates = self.get_last_lr()
        return rates if self._is_initial else [lr * f(self.last_epoch) for lr, f in zip(rates, self.lr_lambdas)]

    def _restart(self) -> None:
        self.last_epoch = -1
        self.step()


class StepLR(LRScheduler):
    """Decay by a factor γ every `step_size` steps: η(t) = η₀ γ^⌊t / step_size⌋.

    Raises:
        InputError: if step_size is not a whole number of at least 1, or gamma is negative.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.5)
        >>> scheduler = tg.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        >>> for _ in range(3):
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = whole("step_size", step_size)
        self.gamma = not_negative("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        return np.where(np.logical_or(t == 0, t % self.step_size != 0), lr, lr * self.gamma)


class MultiStepLR(LRScheduler):
    """Decay by a factor γ after each of the `milestones`, which are numbers of steps.

    Raises:
        InputError: if gamma is negative, or a milestone is not a number of steps.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.5)
        >>> scheduler = tg.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
        >>> for _ in range(3):
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.125]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(checked_steps("milestones", milestones))
        self.gamma = not_negative("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        for milestone, times in self.milestones.items():
            lr = np.where(t == milestone, lr * self.gamma**times, lr)
        return lr


class ConstantLR(LRScheduler):
    """A fraction of the rate for the first T steps: η(t) = s · η₀ for t < T, and η₀ from then on.

    For T = 0, the rate remains s · η₀, as in PyTorch: for no such steps, leave out the schedule.

    Raises:
        InputError: if total_iters is not a whole number, or factor does not lie between 0 and 1.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=1.0)
        >>> scheduler = tg.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        self.factor = share("factor", factor)
        self.total_iters = whole("total_iters", total_iters, least=0)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        whole = lr * (1 / self.factor) if self.factor else base_lr
        return np.where(t == 0, lr * self.factor, np.where(t == self.total_iters, whole, lr))


class LinearLR(LRScheduler):
    """A warm-up or a decay along a line: η(t) = η₀ (s + (e - s) min(t, T) / T), from the factor s to the factor e.

    For T = 0, the rate remains s · η₀, as in PyTorch: for no warm-up, leave out the schedule.

    Raises:
        InputError: if total_iters is not a whole number, or a factor is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=1.0)
        >>> scheduler = tg.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = share("start_factor", positive("start_factor", start_factor))
        self.end_factor = share("end_factor", end_factor)
        self.total_iters = whole("total_iters", total_iters, least=0)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        rise = self.end_factor - self.start_factor
        steps = max(self.total_iters, 1)  # where there are none, the last line takes no next rate
        passed = np.minimum(np.maximum(t, 1), steps) - 1
        next_lr = lr if self._is_initial else lr * (1 + rise / (steps * self.start_factor + passed * rise))
        return np.where(t == 0, lr * self.start_factor, np.where(t > self.total_iters, lr, next_lr))


class ExponentialLR(LRScheduler):
    """Decay by a factor γ at every step: η(t) = η₀ γ^t.

    Raises:
        InputError: if gamma is negative.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.5)
        >>> scheduler = tg.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.25]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = not_negative("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        return lr if self._is_initial else lr * self.gamma


class PolynomialLR(LRScheduler):
    """Decay to 0 in T steps along a power: η(t) = η₀ (1 - min(t, T) / T)^power; for T = 0, it remains η₀.

    Raises:
        InputError: if total_iters is not a whole number, or power is negative.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=1.0)
        >>> scheduler = tg.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4, power=2)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5625]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = whole("total_iters", total_iters, least=0)
        self.power = not_negative("power", power)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        if self._is_initial:
            return lr
        steps = max(self.total_iters, 1)  # where there are none, the last line takes no decay
        passed = np.minimum(t, steps)
        decay = ((1 - passed / steps) / (1 - (passed - 1) / steps)) ** self.power
        return np.where(t > self.total_iters, lr, lr * decay)


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

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = whole("T_max", T_max)
        self.eta_min = not_negative("eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        if self._is_initial:
            return lr
        was_lowest = (t - 1 - self.T_max) % (2 * self.T_max) == 0
        before = np.where(was_lowest, 1.0, 1 + np.cos(np.pi * (t - 1) / self.T_max))
        moved = (1 + np.cos(np.pi * t / self.T_max)) / before * (lr - self.eta_min) + self.eta_min
        risen = lr + (base_lr - self.eta_min) * (1 - cos(pi / self.T_max)) / 2
        return np.where(was_lowest, risen, moved)


class SWALR(LRScheduler):
    """From the present rate to a constant one for an average of weights, in T steps, along a cosine wave or a line.

    η(t) = s + (η(t - 1) - s) r(t) / r(t - 1), with the constant rate s, and what remains of the way, r(t): by waves
    (1 + cos(π min(t, T) / T)) / 2, by lines 1 - min(t, T) / T.
    Source: Izmailov et al. (2018), Averaging weights leads to wider optima and better generalization.

    Raises:
        InputError: if swa_lr is negative, anneal_epochs is not a whole number, or anneal_strategy is neither "cos" nor
            "linear".

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=1.0)
        >>> scheduler = tg.optim.lr_scheduler.SWALR(optimizer, swa_lr=0.5, anneal_epochs=2)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        per_group("swa_lr", optimizer, swa_lr, not_negative)
        if anneal_strategy not in ("cos", "linear"):
            raise InputError(f"anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        self.swa_lr = swa_lr
        self.anneal_epochs = whole("anneal_epochs", anneal_epochs, least=0)
        self.anneal_strategy = anneal_strategy
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        ends = per_group("swa_lr", self.optimizer, self.swa_lr, not_negative)
        before, now = self._remaining(self.last_epoch - 1), self._remaining(self.last_epoch)
        factor = np.where(before == 0, 0.0, now / np.where(before == 0, 1.0, before))
        return [end * (1 - factor) + lr * factor for end, lr in zip(ends, self.get_last_lr(), strict=True)]

    def _remaining(self, t: int) -> Any:
        """The part of the way that remains after t steps; of no steps, all before step 0."""
        steps = self.anneal_epochs
        passed = np.clip(t / steps if steps else t + 1, 0.0, 1.0)
        return (1 + np.cos(np.pi * passed)) / 2 if self.anneal_strategy == "cos" else 1 - passed

    def _restart(self) -> None:
        self.last_epoch = -1
        self.step()


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half cosine waves down from the first rate, of T₀, T₀ · T_mult, T₀ · T_mult² … steps.

    Source: Loshchilov and Hutter (2017), SGDR: stochastic gradient descent with warm restarts, equation 5.

    Raises:
        InputError: if T_0 or T_mult is not a whole number of at least 1, or eta_min is negative.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1)
        >>> scheduler = tg.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
        >>> scheduler.step()
        >>> print(f"{optimizer.lr:.3f}")
        0.050
    """

    varying = ("last_epoch", "T_cur", "T_i")
    T_cur: float
    T_i: int

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_0 = whole("T_0", T_0)
        self.T_mult = whole("T_mult", T_mult)
        self.eta_min = not_negative("eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        return self.eta_min + (base_lr - self.eta_min) * (1 + np.cos(np.pi * self.T_cur / self.T_i)) / 2

    def step(self, epoch: float | None = None) -> None:
        """Count a step, or go to this number of steps, which may be a fraction; and set the learning rates."""
        if epoch is None:
            passed = self.T_cur + 1
            is_over = passed >= self.T_i
            self.T_cur = passed % self.T_i
            self.T_i = number_of(np.where(is_over, self.T_i * self.T_mult, self.T_i))
            self.last_epoch = self.last_epoch + 1
        else:
            self.T_cur, self.T_i, self.last_epoch = not_negative("epoch", epoch), self.T_0, int(epoch)
            while self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        self._set("lr", self.get_lr())

    def _initial_step(self) -> None:
        self.T_cur, self.T_i = self.last_epoch, self.T_0
        self.step()
