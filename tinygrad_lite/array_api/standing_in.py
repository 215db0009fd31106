"""Where other functions stand in for some of NumPy, SciPy and `math`, while a function runs under `functionalize`.

In every module that has a name for one of these, that name stands for the other one until the function ends.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import getclosurevars, unwrap
from types import FunctionType, ModuleType
from typing import Any

from tinygrad_lite.array_api import numpys_names, scipys_names

Function = Callable[..., Any]
Place = tuple[dict[str, Any], str, Function]
_AS_THEY_ARE = numpys_names.AS_THEY_ARE | sys.stdlib_module_names - {"math", "__main__"}
"""The packages whose names stay as they are."""


class Names:
    """The names, in all modules, of the functions for which others stand in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._stand_ins = dict(numpys_names.STAND_INS)
        self._known: dict[str, Any] = {}
        self._places: list[Place] = []
        self._changed: list[Place] = []

    @contextmanager
    def changed(self, function: Function) -> Iterator[None]:
        """A block in which others stand in for them, also for those that a function finds outside all modules."""
        with self._lock:
            self._users += 1
            new = self._look()
            self._change([*(self._places if self._users == 1 else new), *self._named(_spaces(function))])
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._restore()

    def _look(self) -> list[Place]:
        """Where the names are in modules that are new."""
        modules = dict(sys.modules)
        if [*modules.values()] == [*self._known.values()]:
            return []
        new = {name: module for name, module in modules.items() if self._known.get(name) is not module}
        self._known = modules
        for name in scipys_names.MODULES.keys() & new.keys():
            self._stand_ins |= scipys_names.stand_ins(new[name])
        spaces = [vars(module) for name, module in new.items() if type(module) is ModuleType and _may_change(name)]
        if self._changed:
            self._give_back(spaces)
        places = self._named(spaces)
        self._places += places
        return places

    def _give_back(self, spaces: list[dict[str, Any]]) -> None:
        """Put the functions themselves where modules have imported what stands in for them."""
        own = {stand_in: function for function, stand_in in self._stand_ins.items()}
        for space in spaces:
            space.update({name: own[x] for name, x in space.items() if type(x) is FunctionType and x in own})

    def _named(self, spaces: list[dict[str, Any]]) -> list[Place]:
        """Where these global names are of functions for which others stand in."""
        kinds = {*map(type, self._stand_ins)}
        named = [(space, name, x) for space in spaces for name, x in [*space.items()] if type(x) in kinds]
        return [(space, name, x) for space, name, x in named if x in self._stand_ins]

    def _change(self, places: list[Place]) -> None:
        for space, name, function in places:
            current: Any = space.get(name)
            is_recordings = getattr(current, "__wrapped__", None) is function  # which stands in while it records
            if current is function or (is_recordings and current is not self._stand_ins[function]):
                space[name] = self._stand_ins[function]
                self._changed.append((space, name, current))

    def _restore(self) -> None:
        for space, name, function in self._changed:
            space[name] = function
        self._look()
        self._changed.clear()


def _may_change(module: str) -> bool:
    return module.partition(".")[0] not in _AS_THEY_ARE


def _spaces(function: Function) -> list[dict[str, Any]]:
    """The global names of a function and of those that it names: a module's, which may be new, or no module's."""
    function = unwrap(getattr(function, "__func__", function))
    if not isinstance(function, FunctionType):
        return []
    around = [*getclosurevars(function).nonlocals.values(), *map(function.__globals__.get, function.__code__.co_names)]
    functions = [function, *(x for x in around if isinstance(x, FunctionType))]
    return list({id(x.__globals__): x.__globals__ for x in functions if _may_change(x.__module__ or "")}.values())


names = Names()
