"""`LRScheduler`, the base of all schedules, and checks of their settings."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.foundation.elsewhere import SettingsElsewhere
from tinygrad_lite.foundation.foreign import kind_of
from tinygrad_lite.foundation.settings import check_form, whole
from tinygrad_lite.optim.optimizer import Optimizer, number_of


class LRScheduler(SettingsElsewhere):
    """Sets the learning rates of an optimiser's groups in each step. A subclass defines the function, `rate`.

    Attributes:
        optimizer: the optimiser whose rates it sets, at once and after each step.
        base_lrs: the rates that the groups had at first; of a group that was added later, the rate that it came with.
        last_epoch: the number of steps taken so far; as an argument, that of a schedule to continue.

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
        self.optimizer = checked_optimizer(optimizer)
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
        return [self.rate(self.last_epoch, group["lr"], base) for group, base in zip(groups, self._first_rates())]

    def _first_rates(self) -> list[Any]:
        """The first rate of each group, also of those that the optimiser has got since the last step."""
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            group.setdefault("initial_lr", group["lr"])
            self.base_lrs = [*self.base_lrs, group["initial_lr"]]
        return self.base_lrs

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
        self._set("lr", self._first_rates())
        self.last_epoch = -1
        self._initial_step()

    def _parts(self) -> "list[LRScheduler]":
        """The schedule itself, and those that it consists of."""
        return [self]

    def state_dict(self) -> dict[str, Any]:
        """The state from which `load_state_dict` continues: the steps taken, the first rates and the present ones."""
        return {**{name: getattr(self, name) for name in self._kept()}, "_last_lr": self.get_last_lr()}

    def _kept(self) -> list[str]:
        return [*self.varying, "base_lrs"]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned, also with the learning rates.

        Raises:
            InputError: if it is not such a state; nothing changes then.
        """
        check_form("a schedule's state", state, self.state_dict())
        vars(self).update({name: number_of(state[name]) for name in self._kept()})
        self._set("lr", state["_last_lr"])

    def __repr__(self) -> str:
        rates = ", ".join(f"{rate:.4g}" for rate in self.get_last_lr())
        return f"{type(self).__name__}(last_epoch={self.last_epoch}, lr={rates})"


def checked_optimizer(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        inside = isinstance(getattr(optimizer, "optimizer", None), Optimizer)
        advice = ": pass the optimiser inside it, which is its attribute `optimizer`" if inside else ""
        raise UsageError(
            f"a schedule needs an optimiser, whose learning rate it sets; got {kind_of(optimizer)}{advice}"
        )
    return optimizer


def per_group(name: str, optimizer: Optimizer, value: Any, checked: Callable[[str, Any], Any]) -> list[Any]:
    """A checked value for each group."""
    count = len(checked_optimizer(optimizer).param_groups)
    if not isinstance(value, (list, tuple)):
        return [checked(name, value)] * count
    if len(value) != count:
        raise InputError(f"{name} must be one, or one for each of the {count} groups of parameters; got {len(value)}")
    return [checked(f"{name}[{i}]", x) for i, x in enumerate(value)]


def checked_steps(name: str, values: Any) -> list[int]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of whole numbers of steps, got {values!r}")
    return [whole(f"{name}[{i}]", value, least=0) for i, value in enumerate(values)]


def checked_function(name: str, value: Any) -> Any:
    if not callable(value):
        raise UsageError(f"{name} must be a function, got {value!r}")
    return value
