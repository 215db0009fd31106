"""Schedules that consist of others: at once, or one after the other."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

import numpy as np

from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.foundation.settings import check_form
from tinygrad_lite.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinygrad_lite.optim.lr_scheduler.schedule import LRScheduler, checked_optimizer, checked_steps
from tinygrad_lite.optim.optimizer import Group, Optimizer, number_of


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
        check_form("a state of several schedules", state, self.state_dict())
        for part, its in zip(self._schedulers, state["_schedulers"]):
            part.load_state_dict(its)
        super().load_state_dict(state)


class ChainedScheduler(_Composed):
    """Several schedules at once: in each step, each changes the rate that the previous one left.

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
        InputError: unless there is one schedule more than milestones, and all belong to one optimiser.

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
        self._schedulers = _of_one_optimizer(schedulers, checked_optimizer(optimizer))
        self._milestones = checked_steps("milestones", milestones)
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
        """The step in a recording, where t is not known: np.where chooses among the steps of all schedules."""
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
