"""Containers of modules and parameters, under PyTorch's names.

A plain list, tuple or dict of modules or tensors, as a field of a module, serves as well as `ModuleList`, `ModuleDict`,
`ParameterList` and `ParameterDict`: its entries have the same paths.
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from operator import index
from typing import Any, Self

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import IndexingError, UsageError
from tinygrad_lite.foundation.elsewhere import warn_of_writing
from tinygrad_lite.nn.module import Module, Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class _Container(Module):
    """A module with entries by name, each of which is a field with that name. A module set as a field is an entry."""

    _entries: dict[str, Any]

    def fields(self) -> Mapping[str, Any]:
        others = {name: field for name, field in super().fields().items() if name != "_entries"}
        return {**others, **self._entries}

    def __getattr__(self, name: str) -> Any:
        entries = vars(self).get("_entries", {})
        return entries[name] if name in entries else super().__getattribute__(name)  # which raises its error again

    def __setattr__(self, name: str, value: Any) -> None:
        entries = vars(self).get("_entries")
        if entries is not None and (name in entries or isinstance(value, Module)):
            self._enter({name: value})
        else:
            super().__setattr__(name, value)

    def _enter(self, values: Mapping[str, Any]) -> None:
        """Set entries, all or none."""
        for name in values:
            if not isinstance(name, str) or "." in name:
                raise UsageError(f"an entry of {type(self).__name__} has a name without dots, got {name!r}")
        self._entries = self._entries | {name: self._checked(value) for name, value in values.items()}

    def _checked(self, value: Any) -> Any:
        """The entry for a value; None stands where a model of this size has no module."""
        if not (value is None or isinstance(value, Module)):
            raise UsageError(f"an entry of {type(self).__name__} is a module, got {value!r}")
        return value

    def __len__(self) -> int:
        return len(self._entries)

    __hash__ = Module.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class _Listed(_Container, MutableSequence[Any]):
    """Entries whose names are numbers, with the methods of a list."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self._entries = {}
        self.extend(() if values is None else values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._entries.values())

    def __getitem__(self, i: Any) -> Any:
        """The entry at a position; for a slice, a container of this kind that shares those entries."""
        if not isinstance(i, slice):
            return self._entries[self._name(i)]
        part = type(self)(list(self)[i])
        part.training = self.training
        return part

    def __setitem__(self, i: Any, value: Any) -> None:
        self._enter({self._name(i): value})

    def __delitem__(self, i: Any) -> None:
        rest = list(self)
        del rest[i if isinstance(i, slice) else list(self._entries).index(self._name(i))]
        self._number(rest)

    def __add__(self, others: Iterable[Any]) -> Self:
        return self[:].extend(others)  # type: ignore[no-any-return]

    def append(self, value: Any) -> Self:  # type: ignore[override]
        """Add an entry at the end; return the container."""
        return self.extend([value])

    def extend(self, values: Iterable[Any]) -> Self:  # type: ignore[override]
        """Add entries at the end; return the container."""
        if isinstance(values, Module) and not isinstance(values, _Listed):
            raise UsageError(f"{type(self).__name__} takes a list of entries here, got {values!r}")
        free = (str(i) for i in range(len(self), 2**63) if str(i) not in self._entries)
        self._enter(dict(zip(free, map(self._checked, values))))
        return self

    def insert(self, i: int, value: Any) -> None:
        """Add an entry before a position; the entries are numbered anew."""
        values = list(self)
        values.insert(i, self._checked(value))
        self._number(values)

    def _number(self, values: list[Any]) -> None:
        self._entries = {str(i): value for i, value in enumerate(values)}

    def _name(self, i: Any) -> str:
        try:
            return list(self._entries)[index(i)]
        except (IndexError, TypeError):
            raise IndexingError(f"{type(self).__name__} has {len(self)} entries, and none at {i!r}") from None


class _Named(_Container, MutableMapping[str, Any]):
    """Entries with names, with the methods of a dict."""

    def __init__(self, values: Any = None) -> None:
        self._entries = {}
        self.update(() if values is None else values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __getitem__(self, name: str) -> Any:
        return self._entries[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._enter({name: value})

    def __delitem__(self, name: str) -> None:
        rest = dict(self._entries)
        del rest[name]
        self._entries = rest

    def popitem(self) -> tuple[str, Any]:
        """Take out the last entry; return its name and the entry."""
        last = dict(self._entries).popitem()
        del self[last[0]]
        return last

    def update(self, values: Any = (), /, **more: Any) -> None:
        """Set entries from a mapping or from pairs of a name and a value, all or none."""
        self._enter(dict(values, **more))


class _Parameters(_Container):
    """Entries that are parameters: a tensor or an array becomes one."""

    def _checked(self, value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_leaf and value._requires_grad is not False:
            return value
        return Parameter(value) if isinstance(value, (Tensor, np.ndarray, np.generic)) else value


class Sequential(_Listed):
    """Modules applied one after another; any function of one array can take the place of a module.

    They are passed one by one, or in a dict, whose keys are then their names in paths and as attributes. A slice keeps
    the names; `insert`, `del` and `pop` number the modules anew. A first module with inplace=True, which would write
    into its input in PyTorch, causes a warning.

    Example:
        >>> import tinygrad_lite as tg
        >>> tg.nn.Sequential(tg.nn.Linear(13, 8), tg.nn.ReLU(), tg.nn.Linear(8, 1))
        Sequential             121 parameters
        ├─ 0: Linear(13, 8)    112
        ├─ 1: ReLU()
        └─ 2: Linear(8, 1)       9
    """

    def __init__(self, *modules: Any) -> None:
        self._entries = {}
        if len(modules) == 1 and isinstance(modules[0], dict):
            self._enter(modules[0])
        else:
            self.extend(modules)
        warn_of_writing(next(iter(self._entries.values()), None))

    def forward(self, input: Array) -> Array:
        for module in self._entries.values():
            input = module(input)
        return input

    def __getitem__(self, i: Any) -> Any:
        """The module at a position; for a slice, a `Sequential` that shares those modules."""
        if not isinstance(i, slice):
            return super().__getitem__(i)
        part = Sequential(dict(list(self._entries.items())[i]))
        part.training = self.training
        return part

    def _checked(self, value: Any) -> Any:
        if isinstance(value, type) or not callable(value):
            raise UsageError(
                f"Sequential takes modules one by one, as in Sequential(Linear(2, 3), ReLU()); got {value!r}"
            )
        return value


class ModuleList(_Listed):
    """Modules in a list.

    Example:
        >>> import tinygrad_lite as tg
        >>> layers = tg.nn.ModuleList(tg.nn.Linear(2, 2) for _ in range(3))
        >>> layers += [tg.nn.Linear(2, 1)]
        >>> len(layers), layers[-1].summary(), len(list(layers.parameters()))
        (4, 'Linear(2, 1)', 8)
    """


class ModuleDict(_Named):
    """Modules in a dict.

    Example:
        >>> import tinygrad_lite as tg
        >>> heads = tg.nn.ModuleDict({"mean": tg.nn.Linear(2, 1), "scale": tg.nn.Linear(2, 1, bias=False)})
        >>> list(heads.state_dict())
        ['mean.weight', 'mean.bias', 'scale.weight']
    """


class ParameterList(_Parameters, _Listed):
    """Parameters in a list; a tensor or an array becomes a parameter.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> list(tg.nn.ParameterList([np.ones(2), np.zeros(3)]).state_dict())
        ['0', '1']
    """


class ParameterDict(_Parameters, _Named):
    """Parameters in a dict; a tensor or an array becomes a parameter.

    As in PyTorch, a plain dict's are in alphabetical order; pairs and an `OrderedDict` keep theirs.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.ParameterDict({"scale": np.ones(2)})["scale"]
        tensor([1., 1.], requires_grad=True)
    """

    def copy(self) -> "ParameterDict":
        """A container of the same parameters."""
        return ParameterDict(self._entries.items())

    def update(self, values: Any = (), /, **more: Any) -> None:
        """Set entries from a mapping or from pairs of a name and a value, all or none."""
        super().update({k: values[k] for k in sorted(values, key=str)} if type(values) is dict else values, **more)
