"""Schedules that go up and down, while the momentum goes the other way."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.foundation.settings import not_negative, positive, share, whole
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.optim.lr_scheduler.schedule import LRScheduler, checked_function, per_group
from tinygrad_lite.optim.optimizer import Group, Optimizer, number_of


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
            per_group(name, optimizer, value, not_negative)
            for name, value in (("base_momentum", base), ("max_momentum", largest))
        )
        optimizer.scheduled |= {name}
        for group, low, high in zip(optimizer.param_groups, bases, tops):
            if last_epoch == -1:
                group.update(base_momentum=low, max_momentum=high)
                self._set_momentum(group, high)

    def _first_rates(self) -> list[Any]:
        if len(self.optimizer.param_groups) != len(self.base_lrs):
            raise UsageError(
                f"the optimiser has got another group since this {type(self).__name__} was made, which has rates of "
                "its own for each group: add all groups before, or give new ones a schedule such as LambdaLR"
            )
        return self.base_lrs

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        if self.last_epoch >= 0:  # in a sequence, its turn may not have come
            self.get_lr()  # which sets the momenta, too: the optimiser may have its own, or those of the first step

    def _set_momentum(self, group: Group, value: Any) -> None:
        value = number_of(value)
        group[self.cycled] = (value, *group["betas"][1:]) if self.cycled == "betas" else value


class CyclicLR(_MomentumCycle):
    """Up from `base_lr` to `max_lr` in `step_size_up` steps, down again, and so on; the momentum goes against it.

    The height of a cycle is 1 ("triangular"), half of the last one's ("triangular2"), γ^t ("exp_range"), or `scale_fn`
    of the number of the cycle, or of the step for scale_mode="iterations". Source: Smith (2017), Cyclical learning
    rates for training neural networks.

    Raises:
        InputError: if a setting is out of its range, or the momentum should cycle but the optimiser has none.

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
        lows = per_group("base_lr", optimizer, base_lr, not_negative)
        self.max_lrs = per_group("max_lr", optimizer, max_lr, not_negative)
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
            checked_function("scale_fn", scale_fn)
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
        t, lows = self.last_epoch, self._first_rates()
        cycle = 1 + t // self.total_size
        x = 1 + t / self.total_size - cycle
        falling = (x - 1) / (self.step_ratio - 1) if self.step_ratio < 1 else 0.0
        height = np.where(x <= self.step_ratio, x / self.step_ratio, falling)
        height = height * self.scale_fn(cycle if self.scale_mode == "cycle" else t)
        for group in self.optimizer.param_groups if self.cycle_momentum else ():
            high, low = group["max_momentum"], group["base_momentum"]
            self._set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(lows, self.max_lrs)]


class OneCycleLR(_MomentumCycle):
    """One cycle for the whole training: up from max_lr / div_factor to `max_lr`, and down to near 0.

    `pct_start` is the share of steps that go up. The way down ends at the first rate / final_div_factor, or with
    `three_phase` goes to the first rate in as many steps as up, and then on. The momentum goes against the rate. The
    rate follows half cosine waves, or lines for anneal_strategy="linear".
    Source: Smith and Topin (2018), Super-convergence: very fast training using large learning rates.

    Raises:
        InputError: if a setting is out of its range, if the momentum should cycle but the optimiser has none, or if
            more steps are taken than the cycle has.

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
        self.phases = self._phases(pct_start, three_phase)
        highest = per_group("max_lr", optimizer, max_lr, not_negative)
        before, after = positive("div_factor", div_factor), positive("final_div_factor", final_div_factor)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._prepare(optimizer, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, high in zip(optimizer.param_groups, highest):
                first = high / before
                group.update(initial_lr=first, max_lr=high, min_lr=first / after)
        super().__init__(optimizer, last_epoch)

    def _phases(self, pct_start: float, three_phase: bool) -> tuple[tuple[Any, ...], ...]:
        """Each phase: its first and last step, then the names of the rates and of the momenta that it goes between."""
        top = share("pct_start", pct_start) * self.total_steps - 1
        ends = [top, 2 * top, self.total_steps - 1] if three_phase else [top, self.total_steps - 1]
        rates = ["initial_lr", "max_lr", *["initial_lr"] * bool(three_phase), "min_lr"]
        momenta = ["max_momentum", "base_momentum", "max_momentum", "max_momentum"]
        phases = tuple(zip([0.0, *ends], ends, rates, rates[1:], momenta, momenta[1:]))
        if empty := [end for start, end, *_ in phases if start == end]:
            raise InputError(f"a phase of the cycle begins and ends at step {empty[0]:g}: choose another pct_start")
        return phases

    def get_lr(self) -> list[Any]:
        self._first_rates()
        message = (
            f"this cycle has total_steps={self.total_steps} steps, and this is step {{}}: it counts steps of the "
            "optimiser, one for each batch, and not epochs"
        )
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
