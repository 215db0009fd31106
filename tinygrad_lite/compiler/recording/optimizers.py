"""The optimisers of a run: their state and their settings, which each run reads again."""

from collections.abc import Iterator
from typing import Any, Protocol

from tinygrad_lite.compiler.places import Entry, Place, Setting
from tinygrad_lite.compiler.program import is_python_number
from tinygrad_lite.compiler.recording.guards import Guard, Item, Key, Keys, Length, Truth, contents
from tinygrad_lite.compiler.recording.recorded import Recorded
from tinygrad_lite.compiler.recording.watching import UNSET, plain
from tinygrad_lite.compiler.signature import same
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import UsageError
from tinygrad_lite.optim import Optimizer


class Services(Protocol):
    """The services of the recorder that it uses."""

    def read(self, place: Place, value: Any) -> Recorded: ...
    def guard(self, guard: Guard) -> None: ...
    def name_of(self, tensor: Tensor) -> str: ...


class Optimizers:
    """The optimisers that the function uses: it sees copies of their state, whose values are recorded.

    Attributes:
        followed: the keys of guards for settings that the program reads in each run instead.
    """

    def __init__(self, services: Services) -> None:
        self.followed: set[Key] = set()
        self._services = services
        self._states: dict[int, tuple[Optimizer, dict[Tensor, dict[str, Any]]]] = {}
        self._groups: dict[int, tuple[Optimizer, list[dict[str, Any]]]] = {}

    def state_of(self, optimizer: Optimizer, state: dict[Tensor, dict[str, Any]]) -> dict[Tensor, dict[str, Any]]:
        """A copy of an optimiser's state with recorded values."""
        if id(optimizer) not in self._states:
            self._guard_groups(optimizer)
            followed = {
                parameter: {
                    key: self._services.read(self._entry(optimizer, parameter, key), value)
                    if hasattr(value, "dtype") or is_python_number(value)
                    else value  # a list, say, in which no program follows anything
                    for key, value in map(_as_array, entries.items())
                }
                for parameter, entries in state.items()
            }
            self._states[id(optimizer)] = optimizer, followed
        return self._states[id(optimizer)][1]

    def _entry(self, optimizer: Optimizer, parameter: Tensor, key: str) -> Entry:
        return Entry(optimizer, parameter, key, self._services.name_of(parameter))

    def groups_of(self, optimizer: Optimizer, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A copy of an optimiser's groups, with recorded values for the settings that may vary from run to run."""
        if id(optimizer) not in self._groups:
            self._guard_groups(optimizer)
            followed = [dict(group) for group in groups]
            for group, copy in zip(groups, followed):
                for name in sorted(vars(optimizer)["scheduled"] & group.keys()):
                    copy[name] = self._setting(group, name)
            self._groups[id(optimizer)] = optimizer, followed
        return self._groups[id(optimizer)][1]

    def _guard_groups(self, optimizer: Optimizer) -> None:
        """Guard the parameters of an optimiser, and the settings that do not vary."""
        groups, label = vars(optimizer)["param_groups"], f"{type(optimizer).__name__}.param_groups"
        self.followed.add((Length, id(groups), None))  # there is another list when there is one more
        for group in groups:
            self.followed.add((Keys, id(group), None))  # each that is read is guarded
            self.followed.update((Item, id(group), name) for name in vars(optimizer)["scheduled"])
        contained: dict[Key, Guard] = {}
        contents(groups, label, contained)
        for guard in (Item(vars(optimizer), "param_groups", groups, label), *contained.values()):
            if guard.key not in self.followed:
                self._services.guard(guard)

    def _setting(self, group: dict[str, Any], name: str) -> Any:
        value = group[name]
        if isinstance(value, tuple):
            return tuple(self._services.read(Setting(group, name, i), x) for i, x in enumerate(value))
        return self._services.read(Setting(group, name), plain(value, "_array") if isinstance(value, Tensor) else value)

    def truth(self, place: Place | None) -> bool | None:
        """Whether a setting that may vary is not zero, which is guarded; None for any other place."""
        if not isinstance(place, Setting) or place.index is not None:
            return None
        is_true = bool(place.read(()))
        self._services.guard(Truth(place.group, place.setting, is_true, f"{place.setting} != 0"))
        return is_true

    def changes(self) -> Iterator[tuple[Place, Any]]:
        """The places that the function wrote to, and what it wrote.

        Raises:
            UsageError: if it changed what a program cannot change in each run.
        """
        for optimizer, state in self._states.values():
            before = vars(optimizer)["state"]
            for parameter, entries in state.items():
                for key, value in entries.items():
                    if value is not before.get(parameter, {}).get(key, UNSET):
                        yield self._entry(optimizer, parameter, key), value
        for optimizer, groups in self._groups.values():
            yield from self._changed_settings(optimizer, groups)

    def _changed_settings(self, optimizer: Optimizer, groups: list[dict[str, Any]]) -> Iterator[tuple[Place, Any]]:
        before = vars(optimizer)["param_groups"]
        if len(groups) != len(before):
            raise UsageError("the function adds a group of parameters, which the program cannot repeat: add it outside")
        for group, followed in zip(before, groups):
            for name, value in followed.items():
                if name not in vars(optimizer)["scheduled"]:
                    if not same(value, group.get(name, UNSET)):
                        raise UsageError(
                            f"the function assigns {name} of a group of {type(optimizer).__name__}, which the program "
                            "cannot repeat in the next runs: do that outside"
                        )
                elif isinstance(value, tuple):
                    for i, x in enumerate(value):
                        yield Setting(group, name, i), x
                else:
                    yield Setting(group, name), value

    def let_go(self) -> list[tuple[Optimizer, list[set[str]]]]:
        """Forget all values; return the entries in the state of each optimiser before the run."""
        keys = [
            (optimizer, [set(entries) for entries in optimizer.state.values()])
            for optimizer, _ in self._states.values()
        ]
        self._states.clear()
        self._groups.clear()
        return keys


def _as_array(entry: tuple[str, Any]) -> tuple[str, Any]:
    """An entry of a state; the array of a tensor that a user's optimiser keeps there."""
    key, value = entry
    return key, plain(value, "_array") if isinstance(value, Tensor) else value
