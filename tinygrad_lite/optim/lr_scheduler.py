"""Learning rates that change from step to step: each schedule is its formula, under PyTorch's names.

As in PyTorch, most schedules multiply the rate that they find. So they can be chained, and follow a rate that somebody
changes in between. What the formulas decide, they decide by np.where, so that a compiled step can follow them.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import cos, inf, pi
from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.foundation.elsewhere import SettingsElsewhere
from tinygrad_lite.foundation.settings import not_negative, number, positive, share, whole
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.optim.optimizer import Group, Optimizer, number_of

Factors = Callable[[int], float] | Sequence[Callable[[int], float]]


class LRScheduler(SettingsElsewhere):
    """Sets the learning rates of an optimiser's groups in each step. A subclass defines the function, `rate`.

    Attributes:
        optimizer: the optimiser whose rates it sets, at once and after each step.
        base_lrs: the rates that the groups had at first.
        last_epoch: the number of steps taken so far; `last_epoch` as an argument, of a schedule to continue with.

    Example:
        >>> import tinygrad_lite as tg
        >>> class InverseRoot(tg.optim.lr_scheduler.LRScheduler):
        ...     def rate(self, t, lr, base_lr):
        ...         return base_lr / np.sqrt(1 + t)
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1)
        >>> scheduler = InverseRoot(optimizer)
        >>> for _ in range(3):
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.05]
    """

    varying: ClassVar[tuple[str, ...]] = ("last_epoch",)
    optimizer: Optimizer
    base_lrs: list[float]
    last_epoch: int
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = _checked(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise InputError(
                    f"to go on after step {last_epoch}, param_groups[{i}] needs its first rate as 'initial_lr'"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        """The rate of a group after t steps, by its present and its first one; written in NumPy's functions."""
        raise UsageError(f"{type(self).__name__} defines no rate(self, t, lr, base_lr)")

    def get_lr(self) -> list[Any]:
        """The rate of each group after `last_epoch` steps."""
        groups = self.optimizer.param_groups
        return [self.rate(self.last_epoch, group["lr"], base) for group, base in zip(groups, self.base_lrs)]

    def get_last_lr(self) -> list[Any]:
        """The present rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Count a step, and set the learning rates."""
        before = self.last_epoch
        self.last_epoch = before + 1
        try:
            self._set("lr", self.get_lr())
        except BaseException:
            self.last_epoch = before
            raise

    def _set(self, name: str, values: Iterable[Any]) -> None:
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            group[name] = number_of(value)

    def _initial_step(self) -> None:
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def _restart(self) -> None:
        """Begin again from the first rates, in a sequence of schedules."""
        self._set("lr", self.base_lrs)
        self.last_epoch = -1
        self._initial_step()

    def _parts(self) -> "list[LRScheduler]":
        """The schedule itself, and those that it consists of."""
        return [self]

    def state_dict(self) -> dict[str, Any]:
        """The state that `load_state_dict` continues from: the steps taken, the first rates and the present ones."""
        return {**{name: getattr(self, name) for name in self._kept()}, "_last_lr": self.get_last_lr()}

    def _kept(self) -> list[str]:
        return [*self.varying, "base_lrs"]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned, also with the learning rates.

        Raises:
            InputError: if it is not such a state; nothing changes then.
        """
        names = [*self._kept(), "_last_lr"]
        if not set(names) <= set(state):
            raise InputError(f"a schedule's state must have the entries {', '.join(names)}, got {', '.join(state)}")
        if len(state["_last_lr"]) != len(self.optimizer.param_groups):
            raise InputError(f"this state has rates for {len(state['_last_lr'])} groups of parameters")
        vars(self).update({name: state[name] for name in self._kept()})
        self._set("lr", state["_last_lr"])

    def __repr__(self) -> str:
        rates = ", ".join(f"{rate:.4g}" for rate in self.get_last_lr())
        return f"{type(self).__name__}(last_epoch={self.last_epoch}, lr={rates})"


def _checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise UsageError(f"a schedule needs an optimiser, whose learning rate it sets; got {type(optimizer).__name__}")
    return optimizer


def _per_group(name: str, optimizer: Optimizer, value: Any, checked: Callable[[str, Any], Any]) -> list[Any]:
    """A checked value for each group."""
    count = len(_checked(optimizer).param_groups)
    if not isinstance(value, (list, tuple)):
        return [checked(name, value)] * count
    if len(value) != count:
        raise InputError(f"{name} must be one, or one for each of the {count} groups of parameters; got {len(value)}")
    return [checked(f"{name}[{i}]", x) for i, x in enumerate(value)]


def _list_of_steps(name: str, values: Any) -> list[int]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of whole numbers of steps, got {values!r}")
    return [whole(f"{name}[{i}]", value, least=0) for i, value in enumerate(values)]


def _function(name: str, value: Any) -> Any:
    if not callable(value):
        raise UsageError(f"{name} must be a function, got {value!r}")
    return value


class LambdaLR(LRScheduler):
    """A multiple of the first rate: η(t) = η₀ · f(t), with one function or one for each group.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1)
        >>> scheduler = tg.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + t))
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.05]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Factors, last_epoch: int = -1) -> None:
        self.lr_lambdas = _per_group("lr_lambda", optimizer, lr_lambda, _function)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas)]


class MultiplicativeLR(LRScheduler):
    """A multiple of the rate before: η(t) = η(t - 1) · f(t), with one function or one for each group.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1)
        >>> scheduler = tg.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda t: 0.5)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.05]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Factors, last_epoch: int = -1) -> None:
        self.lr_lambdas = _per_group("lr_lambda", optimizer, lr_lambda, _function)
        super().__init__(optimizer, last_epoch)

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
        InputError: if gamma is negative, or a milestone is no number of steps.

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
        self.milestones = Counter(_list_of_steps("milestones", milestones))
        self.gamma = not_negative("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        for milestone, times in self.milestones.items():
            lr = np.where(t == milestone, lr * self.gamma**times, lr)
        return lr


class ConstantLR(LRScheduler):
    """A fraction of the rate for the first T steps: η(t) = s · η₀ for t < T, and η₀ from then on.

    Raises:
        InputError: if total_iters is not a whole number of at least 1, or factor does not lie between 0 and 1.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=1.0)
        >>> scheduler = tg.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        self.factor = share("factor", factor)
        self.total_iters = whole("total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        whole = lr * (1 / self.factor) if self.factor else base_lr
        return np.where(t == 0, lr * self.factor, np.where(t == self.total_iters, whole, lr))


class LinearLR(LRScheduler):
    """A warm-up or a decay along a line: η(t) = η₀ (s + (e - s) min(t, T) / T), from the factor s to the factor e.

    Raises:
        InputError: if total_iters is not a whole number of at least 1, or a factor is out of its range.

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
        self.total_iters = whole("total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        rise = self.end_factor - self.start_factor
        passed = np.minimum(np.maximum(t, 1), self.total_iters) - 1
        next_lr = lr if self._is_initial else lr * (1 + rise / (self.total_iters * self.start_factor + passed * rise))
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
    """Decay to 0 in T steps along a power: η(t) = η₀ (1 - min(t, T) / T)^power.

    Raises:
        InputError: if total_iters is not a whole number of at least 1, or power is negative.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=1.0)
        >>> scheduler = tg.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4, power=2)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5625]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = whole("total_iters", total_iters)
        self.power = not_negative("power", power)
        super().__init__(optimizer, last_epoch)

    def rate(self, t: int, lr: Any, base_lr: Any) -> Any:
        if self._is_initial:
            return lr
        passed = np.minimum(t, self.total_iters)
        decay = ((1 - passed / self.total_iters) / (1 - (passed - 1) / self.total_iters)) ** self.power
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


class _MomentumCycle(LRScheduler):
    """A schedule that moves the momentum, or β₁, against the learning rate."""

    def _prepare(self, optimizer: Optimizer, base: Any, largest: Any, last_epoch: int) -> None:
        name = next((name for name in ("betas", "momentum") if name in optimizer.defaults), None)
        if name is None:
            raise InputError(
                f"cycle_momentum needs an optimiser with momentum or betas, not {type(optimizer).__name__}"
            )
        self.cycled = name
        bases, tops = (
            _per_group(name, optimizer, value, not_negative)
            for name, value in (("base_momentum", base), ("max_momentum", largest))
        )
        optimizer.scheduled |= {name}
        for group, low, high in zip(optimizer.param_groups, bases, tops):
            if last_epoch == -1:
                group.update(base_momentum=low, max_momentum=high)
                self._set_momentum(group, high)

    def _set_momentum(self, group: Group, value: Any) -> None:
        value = number_of(value)
        group[self.cycled] = (value, *group["betas"][1:]) if self.cycled == "betas" else value


class CyclicLR(_MomentumCycle):
    """Up from `base_lr` to `max_lr` in `step_size_up` steps, down again, and so on; the momentum goes against it.

    The height of a cycle is 1 ("triangular"), half of that before ("triangular2"), γ^t ("exp_range"), or `scale_fn` of
    the number of the cycle, or of the step for scale_mode="iterations".
    Source: Smith (2017), Cyclical learning rates for training neural networks.

    Raises:
        InputError: if a setting is out of its range, or the momentum is to cycle and the optimiser has none.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=1.0, momentum=0.9)
        >>> scheduler = tg.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.25, max_lr=0.75, step_size_up=2)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[Any], Any] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        lows = _per_group("base_lr", optimizer, base_lr, not_negative)
        self.max_lrs = _per_group("max_lr", optimizer, max_lr, not_negative)
        up = positive("step_size_up", step_size_up)
        down = up if step_size_down is None else not_negative("step_size_down", step_size_down)
        self.total_size = int(up + down) if (up + down).is_integer() else up + down
        self.step_ratio = up / (up + down)
        gamma = not_negative("gamma", gamma)
        heights: dict[str, tuple[str, Callable[[Any], Any]]] = {
            "triangular": ("cycle", lambda cycle: 1.0),
            "triangular2": ("cycle", lambda cycle: 1 / 2.0 ** (cycle - 1)),
            "exp_range": ("iterations", lambda t: gamma**t),
        }
        if scale_fn is None and mode not in [*heights]:
            raise InputError(f"mode must be one of {', '.join(heights)}; got {mode!r}")
        if scale_mode not in ("cycle", "iterations"):
            raise InputError(f"scale_mode must be 'cycle' or 'iterations', got {scale_mode!r}")
        if scale_fn is not None:
            _function("scale_fn", scale_fn)
        self.scale_mode, self.scale_fn = heights[mode] if scale_fn is None else (scale_mode, scale_fn)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._prepare(optimizer, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, low in zip(optimizer.param_groups, lows):
                group["lr"] = low
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def get_lr(self) -> list[Any]:
        t = self.last_epoch
        cycle = 1 + t // self.total_size
        x = 1 + t / self.total_size - cycle
        falling = (x - 1) / (self.step_ratio - 1) if self.step_ratio < 1 else 0.0
        height = np.where(x <= self.step_ratio, x / self.step_ratio, falling)
        height = height * self.scale_fn(cycle if self.scale_mode == "cycle" else t)
        for group in self.optimizer.param_groups if self.cycle_momentum else ():
            high, low = group["max_momentum"], group["base_momentum"]
            self._set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs)]


class OneCycleLR(_MomentumCycle):
    """One cycle for the whole training: up from max_lr / div_factor to `max_lr`, and down to near 0.

    `pct_start` is the share of steps that go up. The way down ends at the first rate / final_div_factor, or with
    `three_phase` goes to the first rate in as many steps as up, and then on. The momentum goes against the rate. The
    rate follows half cosine waves, or lines for anneal_strategy="linear".
    Source: Smith and Topin (2018), Super-convergence: very fast training using large learning rates.

    Raises:
        InputError: if a setting is out of its range, if the momentum is to cycle and the optimiser has none, or if
            more steps are taken than there are in the cycle.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], momentum=0.9)
        >>> scheduler = tg.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
        >>> for _ in range(2):
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is not None:
            self.total_steps = whole("total_steps", total_steps)
        elif epochs is not None and steps_per_epoch is not None:
            self.total_steps = whole("epochs", epochs) * whole("steps_per_epoch", steps_per_epoch)
        else:
            raise InputError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
        if anneal_strategy not in ("cos", "linear"):
            raise InputError(f"anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        self.anneal_strategy = anneal_strategy
        top = share("pct_start", pct_start) * self.total_steps - 1
        ends = [top, 2 * top, self.total_steps - 1] if three_phase else [top, self.total_steps - 1]
        rates = ["initial_lr", "max_lr", *["initial_lr"] * bool(three_phase), "min_lr"]
        momenta = ["max_momentum", "base_momentum", "max_momentum", "max_momentum"]
        self.phases = tuple(zip([0.0, *ends], ends, rates, rates[1:], momenta, momenta[1:]))
        if empty := [end for start, end, *_ in self.phases if start == end]:
            raise InputError(f"a phase of the cycle begins and ends at step {empty[0]:g}: choose another pct_start")
        highest = _per_group("max_lr", optimizer, max_lr, not_negative)
        before, after = positive("div_factor", div_factor), positive("final_div_factor", final_div_factor)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._prepare(optimizer, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, high in zip(optimizer.param_groups, highest):
                first = high / before
                group.update(initial_lr=first, max_lr=high, min_lr=first / after)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        message = f"this cycle has total_steps={self.total_steps} steps, and this is step {{}}"
        t = refuse_where(self.last_epoch > self.total_steps, self.last_epoch, message=message)
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                self._set_momentum(group, self._between(t, group, 4))
        return [self._between(t, group, 2) for group in groups]

    def _between(self, t: Any, group: Group, i: int) -> Any:
        """The value at t, on the way from the setting named by entry i of its phase to the one named by entry i + 1."""
        values = [
            self._way(group[phase[i]], group[phase[i + 1]], (t - phase[0]) / (phase[1] - phase[0]))
            for phase in self.phases
        ]
        current = values.pop()
        for phase, value in zip(reversed(self.phases[:-1]), reversed(values)):
            current = np.where(t <= phase[1], value, current)
        return current

    def _way(self, start: Any, end: Any, passed: Any) -> Any:
        if self.anneal_strategy == "linear":
            return (end - start) * passed + start
        return end + (start - end) / 2 * (np.cos(np.pi * passed) + 1)


def _of_one_optimizer(schedulers: Iterable[LRScheduler], optimizer: Optimizer | None) -> list[LRScheduler]:
    """The schedules of a composed one, which must belong to its optimiser."""
    parts = list(schedulers) if isinstance(schedulers, Iterable) else [schedulers]
    if not parts:
        raise InputError("a composed schedule needs at least one schedule")
    for i, part in enumerate(parts):
        if not isinstance(part, LRScheduler) or isinstance(part, ReduceLROnPlateau):
            raise UsageError(f"schedule {i} must be one that counts steps, got {type(part).__name__}")
        if part.optimizer is not (parts[0].optimizer if optimizer is None else optimizer):
            raise InputError(f"schedule {i}, {type(part).__name__}, sets the rates of another optimiser")
    return parts


class _Composed(LRScheduler):
    """A schedule that consists of others."""

    _schedulers: list[LRScheduler]

    def _kept(self) -> list[str]:
        return [*self.varying]

    def _parts(self) -> list[LRScheduler]:
        return [self, *(inner for part in self._schedulers for inner in part._parts())]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_schedulers": [part.state_dict() for part in self._schedulers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if len(state.get("_schedulers", ())) != len(self._schedulers):
            raise InputError(f"a state of {len(self._schedulers)} schedules must have one for each under _schedulers")
        for part, its in zip(self._schedulers, state["_schedulers"]):
            part.load_state_dict(its)
        super().load_state_dict(state)


class ChainedScheduler(_Composed):
    """Several schedules at once: in each step, each changes the rate that the one before leaves.

    Raises:
        InputError: if there are none, or they belong to several optimisers.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=1.0)
        >>> parts = [
        ...     tg.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=4),
        ...     tg.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5),
        ... ]
        >>> scheduler = tg.optim.lr_scheduler.ChainedScheduler(parts)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.25]
    """

    varying = ()

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._schedulers = _of_one_optimizer(schedulers, optimizer)
        self.optimizer = self._schedulers[0].optimizer

    def step(self) -> None:
        """Take a step of each schedule."""
        for part in self._schedulers:
            part.step()

    def __repr__(self) -> str:
        return f"ChainedScheduler({', '.join(map(repr, self._schedulers))})"


class SequentialLR(_Composed):
    """One schedule after the other: at each milestone, a number of steps, the next begins with the first rates.

    Raises:
        InputError: if there is not one schedule more than milestones, or they belong to several optimisers.

    Example:
        >>> import tinygrad_lite as tg
        >>> optimizer = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=1.0)
        >>> warm_up = tg.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> decay = tg.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> scheduler = tg.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, decay], milestones=[2])
        >>> for _ in range(3):
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self._schedulers = _of_one_optimizer(schedulers, _checked(optimizer))
        self._milestones = _list_of_steps("milestones", milestones)
        if len(self._milestones) != len(self._schedulers) - 1:
            raise InputError(
                f"{len(self._schedulers)} schedules need {len(self._schedulers) - 1} milestones between them, got "
                f"{len(self._milestones)}"
            )
        if composed := [part for part in self._schedulers[1:] if isinstance(part, _Composed)]:
            raise InputError(f"{type(composed[0]).__name__} can only come first, since it cannot begin again")
        self.optimizer = optimizer
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for part in self._parts():
            if not isinstance(part, _Composed):
                part.last_epoch -= 1
        self._schedulers[bisect_right(self._milestones, 0)]._initial_step()

    def step(self) -> None:
        """Count a step, and take one of the schedule whose turn it is."""
        t = self.last_epoch + 1
        self.last_epoch = t
        if not isinstance(t, int):
            self._choose(t)
            return
        i = bisect_right(self._milestones, t)
        if i > 0 and self._milestones[i - 1] == t:
            self._schedulers[i]._restart()
        else:
            self._schedulers[i].step()

    def _choose(self, t: Any) -> None:
        """The step in a recording, in which no run's t is known: np.where chooses among the steps of all schedules."""
        before = after = self._numbers()
        ends = [0, *self._milestones, inf]
        for i, part in enumerate(self._schedulers):
            is_its_turn = np.logical_and(t >= ends[i], t < ends[i + 1])
            for inner in part._parts():
                if "last_epoch" in inner.varying:  # out of turn, it may be over
                    inner.last_epoch = number_of(np.where(is_its_turn, inner.last_epoch, 0))
            part.step()
            made = self._numbers()
            self._put(before)
            if i > 0:
                part._restart()
                made = _where(t == ends[i], self._numbers(), made)
                self._put(before)
            after = _where(is_its_turn, made, after)
        self._put(after)

    def _numbers(self) -> list[Any]:
        """All numbers that a step changes."""
        own = [getattr(part, name) for part in self._parts() for name in part.varying]
        settings = [group[name] for group, name in self._settings()]
        return own + [x for value in settings for x in (value if isinstance(value, tuple) else (value,))]

    def _put(self, numbers: Iterable[Any]) -> None:
        """Set all numbers that a step changes."""
        remaining = iter(numbers)
        for part in self._parts():
            for name in part.varying:
                setattr(part, name, next(remaining))
        for group, name in self._settings():
            value = group[name]
            group[name] = tuple(next(remaining) for _ in value) if isinstance(value, tuple) else next(remaining)

    def _settings(self) -> list[tuple[Group, str]]:
        optimizer = self.optimizer
        return [
            (group, name) for group in optimizer.param_groups for name in sorted(optimizer.scheduled & group.keys())
        ]


def _where(condition: Any, chosen: list[Any], others: list[Any]) -> list[Any]:
    return [x if x is y else number_of(np.where(condition, x, y)) for x, y in zip(chosen, others, strict=True)]


class ReduceLROnPlateau(LRScheduler):
    """Decay by a factor when a metric has not become better for more than `patience` steps: step(metric).

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
        self.min_lrs = _per_group("min_lr", optimizer, min_lr, not_negative)
        self.optimizer = optimizer
        self.mode, self.factor, self.eps = mode, factor, not_negative("eps", eps)
        self.patience, self.cooldown = whole("patience", patience, 0), whole("cooldown", cooldown, 0)
        self.threshold, self.threshold_mode = number("threshold", threshold), threshold_mode
        self.best = inf if mode == "min" else -inf
        self.last_epoch = self.num_bad_epochs = self.cooldown_counter = 0

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Count a step after which the metric, such as the validation loss, has this value."""
        current = float(metrics)
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
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
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
