"""What a function reaches by name: the values of its global names and closures, and those of the functions it calls.

The names give guards. Attributes of objects are not read by name but watched while the function runs (see watching.py),
so here we only find out whose attributes there are to watch.
"""

import functools
import gc
import os
import random
import sys
import threading
import weakref
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextvars import ContextVar
from enum import Enum
from importlib.util import resolve_name
from itertools import islice
from types import BuiltinMethodType, FunctionType, MappingProxyType, MethodType, MethodWrapperType, ModuleType
from typing import Any

import numpy as np

from tinygrad_lite.compiler.draws import GENERATORS, is_drawing
from tinygrad_lite.compiler.recording.bytecode import (
    Read,
    catches_errors,
    compares_identities,
    imports_of,
    names_in,
    reads_of,
)
from tinygrad_lite.compiler.recording.guards import (
    Bytes,
    Field,
    Guard,
    Item,
    Key,
    Keys,
    Rows,
    Setting,
    contents,
    of_class,
)
from tinygrad_lite.compiler.recording.watching import WATCHED, is_watchable
from tinygrad_lite.compiler.signature import SCALARS, fields_and_slots, is_namespace
from tinygrad_lite.engine.op import Op, Traced
from tinygrad_lite.readers.recording import is_followed

_IMMUTABLE = 1 << 8  # the flag of a type whose attributes cannot be set
_CONTAINERS = (list, tuple, dict, set, deque)
_HOLDERS = (UserDict, UserList, ChainMap, weakref.WeakKeyDictionary, weakref.WeakValueDictionary, type(os.environ))
_MOST = 5000  # the largest number of objects, and of entries of a container, to look through
_MAKING = {"__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__"}
_OF_AN_OBJECT = {"type", "__class__", "replace"}
"""Names by which a function may get the class of an existing object, or make another object of the class."""
_GENERATED = "<string>"
"""The file of the methods of a dataclass, which nobody edits."""
HIDDEN = (*GENERATORS, random.Random)


class Reached:
    """What a function reaches.

    Attributes:
        guards: the values of the names, and of what is in containers behind them.
        generators: the guards of the names, and of places in containers, for NumPy's generators.
        hidden: generators that are reached otherwise, such as in a list.
        classes: the users' classes of the objects that are reached.
        objects: these objects by id.
        arrays: the arrays of NumPy, each with what a person would call it, by id.
        held: the arrays in objects, in the same way.
        names: all names in the functions' code, some of which they may read from a module.
        compares_identities: whether the functions' code asks whether something `is` anything but None.
        catches_errors: whether the functions' code may go on after an error.
        spaces: the global names of the functions, by id.
        iterators: what `next` would take something from, by id.
        others: all that may have something to see besides what the guards know, each with a label, by id.

    Args:
        roots: the functions and objects to begin with, each with what a person would call it.
        names: names that occur in other functions.
        with_held: whether to follow also what objects hold besides objects: functions that may be called, such as
            hooks, and what threads keep.
    """

    def __init__(self, roots: Iterable[tuple[Any, str]], names: Iterable[str] = (), with_held: bool = False) -> None:
        self._with_held = with_held
        self.guards: dict[Key, Guard] = {}
        self.generators: list[Guard] = []
        self.hidden: list[Any] = []
        self.classes: set[type] = set()
        self.objects: dict[int, Any] = {}
        self.arrays: dict[int, tuple[Any, str]] = {}
        self.held: dict[int, tuple[Any, str]] = {}
        self.spaces: dict[int, dict[str, Any]] = {}
        self.iterators: dict[int, Any] = {}
        self.others: dict[int, tuple[Any, str]] = {}
        self._seen: dict[int, Any] = {}
        self.names = set(names)
        self.compares_identities = False
        self.catches_errors = False
        self._modules: list[tuple[Any, str]] = []
        self._kinds: list[type] = []
        self._special: dict[type, list[tuple[str, FunctionType]]] = {}
        self._kinds_of_objects: set[type] = set()
        self._named: set[type] = set()
        self._looked: dict[int, tuple[int, int]] = {}
        self._ahead = list(roots)
        while self._ahead:
            self._visit(*self._ahead.pop())
            if not self._ahead:  # by now it is known which names of modules and classes are read
                self._look_for_names()

    def _look_for_names(self) -> None:
        """Look for the names in modules and classes where these, or what is made of them, were not yet looked for."""
        known = len(self.names), len(self._named)
        for module, label in self._modules:
            if self._looked.get(id(module)) != known:
                self._looked[id(module)] = known
                self._module(module, label, self.names)
        for kind in self._kinds:
            if self._looked.get(id(kind)) != known:
                self._looked[id(kind)] = known
                self._members(kind)

    def _visit(self, thing: Any, label: str) -> None:
        kind = type(thing)  # `isinstance` would ask a watched object for its class again and again
        if issubclass(kind, np.ndarray):
            self.arrays[id(thing)] = thing, label
        elif issubclass(kind, ModuleType):
            self._modules.append((thing, label))
        if _is_only_a_value(kind) or id(thing) in self._seen:
            return
        self._seen[id(thing)] = thing
        self.others.setdefault(id(thing), (thing, label))
        if is_users_class(kind):
            self._discover(thing, label)  # even a number or a list may have attributes
        if kind is FunctionType:
            self._function(thing)
        elif kind is MethodType:
            self._ahead += [(thing.__func__, label), (thing.__self__, label)]
            if isinstance(thing.__self__, type):
                self._class(thing.__self__)
        elif issubclass(kind, functools.partial):
            self._ahead += [(part, label) for part in (thing.func, *thing.args, thing.keywords)]
        elif issubclass(kind, Op):
            rules = (thing.forward, *thing.derivatives, *([] if thing.arity is None else thing.vjps))
            self._ahead += [(rule, thing.name) for rule in rules]
        elif issubclass(kind, _CONTAINERS):
            self._class_of(thing, label)
            self._container(thing, label)
        elif issubclass(kind, type):
            self._named.add(thing)
            self._kind(thing, label)
        elif issubclass(kind, (*SCALARS, np.ndarray)):
            pass  # its class has been looked at
        elif (held := _held(thing)) is not None:
            if issubclass(kind, threading.local):
                guard: Guard = Field(thing, "__dict__", held, f"what this thread keeps in {label}")
                self.guards[guard.key] = guard
            self._ahead.append((held, label))
        elif to_guard := _guard_of(thing):
            guard = to_guard(thing, label)
            self.guards[guard.key] = guard
            self._ahead.append((guard.value, label))
        else:
            self._object(thing, label)

    def _container(self, thing: Any, label: str) -> None:
        """Guard what is in a container, and follow it."""
        inside: dict[Key, Guard] = {}
        values = contents(thing, label, inside)
        self.guards |= inside
        self.generators += (named := generators_in(inside.values()))
        known = {id(guard.value) for guard in named}
        self._ahead += [(x, label) for x, label in values if id(x) not in known]

    def _class_of(self, thing: Any, label: str) -> None:
        """Follow the class of an existing object."""
        if type(thing) not in self._kinds_of_objects:
            self._kinds_of_objects.add(type(thing))
            self._kind(type(thing), label)

    def _kind(self, kind: type, label: str) -> None:
        """Follow the methods of a class that Python calls by itself; those that make an object, if it has a name."""
        if is_users_class(kind):
            self._kinds.append(kind)
            self.others.setdefault(id(kind), (kind, kind.__name__))
        self._ahead += [(method, label) for _, method in self._special_methods(kind, kind in self._named)]

    def _special_methods(self, kind: type, may_make: bool) -> list[tuple[str, FunctionType]]:
        """The methods of a user's class that Python calls by itself, each with its name.

        Args:
            may_make: whether the function may make an object of the class, by __init__ and the like.
        """
        for base in kind.__mro__:
            if base not in self._special:
                self._special[base] = _special_methods_of(base)
        every = [method for base in kind.__mro__ for method in self._special[base]]
        return [(name, x) for name, x in every if may_make or name not in _MAKING]

    def _function(self, function: FunctionType) -> None:
        if function is os.getenv:
            self._ahead.append((os.environ, "os.environ"))
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
        if not is_followed(function.__code__.co_filename):  # of a library's decorators, follow only what they wrap
            inner = [x for x in map(content_of, cells.values()) if isinstance(x, (FunctionType, MethodType))]
            self._ahead += [(x, function.__name__) for x in (getattr(function, "__wrapped__", None), *inner)]
            return
        self.names |= names_in(function.__code__)
        self.compares_identities |= compares_identities(function.__code__)
        self.catches_errors |= catches_errors(function.__code__)
        self.spaces[id(function.__globals__)] = function.__globals__
        for read in reads_of(function.__code__):
            if not read.is_free and read.name in function.__globals__:
                self._name(Item(function.__globals__, read.name, function.__globals__[read.name], read.name), read)
            elif read.is_free and content_of(cell := cells[read.name]) is not cell:
                self._name(Field(cell, "cell_contents", cell.cell_contents, read.name), read)
        for name, level in imports_of(function.__code__):
            path = resolve_name("." * level + name, function.__globals__.get("__package__") or "") if level else name
            self._module(sys.modules.get(path), path, names_in(function.__code__))
        self._defined_anew(function)

    def _defined_anew(self, function: FunctionType) -> None:
        """Guard the code and the defaults of a function, which a reload in a notebook replaces."""
        label = f"a default of {function.__name__}"
        guards: list[Guard] = [Field(function, "__code__", function.__code__, f"the code of {function.__name__}")]
        if function.__defaults__ is not None:
            guards.append(Field(function, "__defaults__", function.__defaults__, label))
        defaults = function.__kwdefaults__ or {}
        if defaults:
            guards.append(Field(function, "__kwdefaults__", defaults, label))
        guards += [Item(defaults, name, value, label) for name, value in defaults.items()]
        self.guards.update({guard.key: guard for guard in guards})
        self._ahead += [(default, label) for default in (*(function.__defaults__ or ()), *defaults.values())]

    def _module(self, module: Any, label: str, names: Collection[str]) -> None:
        """Follow these names of a user's module that a function imports, and of the modules that it has."""
        if isinstance(module, ModuleType) and is_followed(getattr(module, "__file__", None) or ""):
            for name in vars(module).keys() & names:
                guard = Item(vars(module), name, vars(module)[name], f"{label}.{name}")
                if guard.key not in self.guards:
                    self._name(guard, Read(name, False, ()))
                    self._module(guard.value, guard.label, names)

    def _name(self, guard: Guard, read: Read) -> None:
        """Follow a name, and what is read from its value at once if that can be known."""
        self.guards[guard.key] = guard
        for is_attribute, name in read.path:
            inner = self._attribute(guard, name) if is_attribute else _entry(guard, name)
            if inner is None:
                break
            guard = inner
            self.guards[guard.key] = guard
        if is_drawing(guard.value) and not isinstance(guard.owner, tuple):
            self.generators.append(guard)
        else:
            self._ahead.append((guard.value, guard.label))

    def _attribute(self, guard: Guard, name: str) -> Guard | None:
        """The attribute of a user's module, class or function."""
        owner, label = guard.value, f"{guard.label}.{name}"
        if isinstance(owner, FunctionType) or "__wrapped__" in getattr(owner, "__dict__", ()):
            return Item(vars(owner), name, vars(owner)[name], label) if name in vars(owner) else None
        if isinstance(owner, ModuleType) and is_followed(getattr(owner, "__file__", None) or ""):
            return Item(vars(owner), name, vars(owner)[name], label) if name in vars(owner) else None
        if (owner is np and name == "random") or (owner is np.random and is_drawing(vars(np.random).get(name))):
            return Item(vars(owner), name, vars(owner)[name], label)
        if owner is os and name in ("environ", "getenv"):
            self._ahead.append((os.environ, "os.environ"))
        if isinstance(owner, type) and is_users_class(owner):
            value = next((vars(kind)[name] for kind in owner.__mro__ if name in vars(kind)), None)
            if not hasattr(value, "__get__"):
                return None if value is None else Field(owner, name, value, label)
            self._ahead.append((getattr(owner, name), label))
        return None

    def _class(self, kind: type) -> None:
        """Follow all that a class holds beside its methods; a method of the class reads that by a local name."""
        for base in filter(is_users_class, kind.__mro__):
            for name, value in vars(base).items():
                if not name.startswith("__") and not hasattr(value, "__get__"):
                    guard = Field(base, name, value, f"{base.__name__}.{name}")
                    self.guards[guard.key] = guard
                    self._ahead.append((value, guard.label))

    def _members(self, kind: type) -> None:
        """Follow what a class holds under names that occur in functions, even for objects made inside."""
        may_make = kind in self._named or not self.names.isdisjoint(_OF_AN_OBJECT)
        special = {name for name, _ in self._special_methods(kind, may_make)}
        for base in filter(is_users_class, kind.__mro__):
            for name in vars(base).keys() & (self.names | special):
                guard = of_class(base, name, f"{base.__name__}.{name}")
                behind = _behind(guard.value)
                if guard.key not in self.guards and behind is not None:
                    self.guards[guard.key] = guard
                    self._ahead.append((behind, guard.label))

    def _object(self, thing: Any, label: str) -> None:
        if "__wrapped__" in getattr(thing, "__dict__", ()):
            self._ahead.append((thing.__wrapped__, label))  # behind a decorator that is a class, such as ours
        if is_namespace(thing):
            self._ahead.append((vars(thing), label))
        self._discover(thing, label)

    def _discover(self, thing: Any, label: str) -> None:
        """Note the users' classes of an object and of those that it holds."""
        ahead = [thing]
        while ahead and len(self.objects) < _MOST:
            thing = ahead.pop()
            kind = type(thing)
            if issubclass(kind, np.ndarray):
                self.held[id(thing)] = thing, "an array"
            if _is_only_a_value(kind) or issubclass(kind, type) or id(thing) in self.objects:
                continue
            self.others.setdefault(id(thing), (thing, label))
            if issubclass(kind, Iterator):
                self.iterators[id(thing)] = thing
            elif issubclass(kind, HIDDEN):
                self.hidden.append(thing)
            if kind is MethodType:
                ahead.append(thing.__self__)
            elif self._with_held and issubclass(kind, (FunctionType, functools.partial, threading.local)):
                self._ahead.append((thing, kind.__name__))
            elif issubclass(kind, _CONTAINERS):
                self.objects[id(thing)] = thing
                self._class_of(thing, kind.__name__)
                ahead += islice(thing.values() if issubclass(kind, dict) else thing, _MOST)
                if is_users_class(kind):
                    ahead += self._attributes(thing)
            elif (held := _held(thing)) is not None:
                ahead.append(held)
            elif issubclass(kind, WATCHED) or is_users_class(kind):
                self.objects[id(thing)] = thing
                self._class_of(thing, kind.__name__)
                ahead += self._attributes(thing)
                held_by_class = (x for base in filter(is_users_class, kind.__mro__) for x in vars(base).values())
                ahead += [x for x in held_by_class if is_users_class(type(x))]
            elif kind.__dictoffset__:
                self.hidden += _generators_inside(thing)

    def _attributes(self, thing: Any) -> list[Any]:
        """The values of an object's attributes; all are guarded if reads of them are not reported."""
        kind = type(thing)
        fields, slots = fields_and_slots(thing)
        if is_watchable(kind) and not isinstance(thing, Enum):
            if not isinstance(thing, WATCHED):
                self.classes.add(kind)
            return [*dict.values(fields), *slots.values()]
        guards: list[Guard] = [Item(fields, name, x, f"{kind.__name__}.{name}") for name, x in fields.items()]
        guards += [Field(thing, name, x, f"{kind.__name__}.{name}") for name, x in slots.items()]
        if isinstance(thing, Enum):
            guards = [guard for guard in guards if not guard.name.startswith("_")]
        elif fields:
            guards.append(Keys(fields, kind.__name__))
        self.guards.update({guard.key: guard for guard in guards})
        self._ahead += [(guard.value, guard.label) for guard in guards]
        return [guard.value for guard in guards]


def generators_in(guards: Iterable[Guard]) -> list[Guard]:
    """The guards of entries that are NumPy's generators."""
    return [guard for guard in guards if type(guard) is Item and is_drawing(guard.value)]


def _generators_inside(thing: Any) -> list[Any]:
    """The generators in an object of a library and in what it holds of the same library, as a loader has one."""
    home, ahead, seen = type(thing).__module__.partition(".")[0], [thing], dict[int, Any]()
    while ahead and len(seen) < _MOST:
        holder = ahead.pop()
        is_new = id(holder) not in seen and type(holder).__module__.partition(".")[0] == home
        seen[id(holder)] = holder
        if is_new and type(holder).__dictoffset__ and not isinstance(holder, (type, FunctionType, ModuleType)):
            ahead += object.__getattribute__(holder, "__dict__").values()
    return [x for x in seen.values() if isinstance(x, HIDDEN)]


def _holds_nothing(kind: type) -> bool:
    """Whether there is nothing to follow in objects of a class: numbers, texts, arrays, or modules."""
    if issubclass(kind, (*SCALARS, np.ndarray)):
        return not is_users_class(kind)  # an object of such a class may have attributes
    return issubclass(kind, (Traced, ModuleType))


_is_only_a_value: Callable[[type], bool] = functools.lru_cache(1000)(_holds_nothing)


def _held(thing: Any) -> Any:
    """The object behind a bound method, a weak reference, a proxy or a holder; None for any other object."""
    kind = type(thing)
    if issubclass(kind, (BuiltinMethodType, MethodWrapperType)):
        return None if isinstance(thing.__self__, ModuleType) else thing.__self__
    if issubclass(kind, weakref.ref):
        return thing()
    if issubclass(kind, weakref.ProxyTypes):
        return thing.__repr__.__self__
    if kind is MappingProxyType:
        return gc.get_referents(thing)
    if issubclass(kind, threading.local):  # also of a user's class, whose attributes Python keeps out of sight
        return vars(thing)
    return vars(thing) if issubclass(kind, _HOLDERS) and not is_users_class(kind) else None


def _guard_of(thing: Any) -> Callable[[Any, str], Guard] | None:
    """What guards an object of a library whose content may change: a variable of a context, a frame, raw memory."""
    if isinstance(thing, ContextVar):
        return Setting
    if (
        type(thing).__module__.partition(".")[0] == "pandas"
        and hasattr(thing, "__array__")
        and hasattr(thing, "__len__")
    ):
        return Rows
    try:
        with memoryview(thing) as memory:
            return None if memory.readonly and not isinstance(thing, memoryview) else Bytes
    except (TypeError, ValueError, BufferError):
        return None


def content_of(cell: Any) -> Any:
    """What is in a cell; the cell itself if it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return cell


def _entry(guard: Guard, key: Any) -> Guard | None:
    owner, label = guard.value, f"{guard.label}[{key!r}]"
    if isinstance(owner, dict):
        is_there = key in owner
    else:
        is_there = isinstance(owner, (list, tuple)) and type(key) is int and -len(owner) <= key < len(owner)
    return Item(owner, key, owner[key], label) if is_there else None


def _special_methods_of(base: type) -> list[tuple[str, FunctionType]]:
    """The methods that a class itself has from the user and that Python calls by itself, such as __call__, by name."""
    if base.__flags__ & _IMMUTABLE:  # nobody can put a method into it
        return []
    own: list[tuple[str, Any]] = [(name, value) for name, value in vars(base).items() if name.startswith("__")]
    if is_users_class(base):
        own = [(name, _behind(value)) for name, value in own]
    return [
        (name, x)
        for name, x in own
        if isinstance(x, FunctionType)
        and is_followed(x.__code__.co_filename)
        and (name != "__eq__" or x.__code__.co_filename != _GENERATED)
    ]


def _behind(value: Any) -> Any:
    """The function of a descriptor that a class holds, and any other value itself; None for a library's descriptor."""
    if isinstance(value, FunctionType) or not hasattr(value, "__get__") or is_users_class(type(value)):
        return value
    return next((getattr(value, name) for name in ("__func__", "fget", "func") if hasattr(value, name)), None)


def _is_of_users(kind: type) -> bool:
    """Whether a class is defined in the user's code."""
    home = sys.modules.get(kind.__module__)
    is_built_in = kind.__flags__ & _IMMUTABLE or kind.__module__ in sys.builtin_module_names
    return not is_built_in and is_followed(getattr(home, "__file__", None) or "")


is_users_class: Callable[[type], bool] = functools.lru_cache(1000)(_is_of_users)
