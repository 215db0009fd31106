"""Watches reads and writes of tensors, modules, optimisers, schedules and users' objects while a function is recorded.

As long as a thread is recording, the slots of `Tensor` and the attributes of the other classes report to its recorder.
At any other time, this costs nothing. One thread records at a time, since it puts stand-ins into tensors; other threads
read the original values there.
"""

import threading
from collections import Counter, deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from tinygrad_lite.compiler.draws import GENERATORS
from tinygrad_lite.engine import backward
from tinygrad_lite.engine.backward import Node
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.foundation import foreign
from tinygrad_lite.nn.module import Module
from tinygrad_lite.optim.lr_scheduler import LRScheduler
from tinygrad_lite.optim.optimizer import Optimizer

_SLOTS = {name: getattr(Tensor, name) for name in ("_array", "_grad", "op")}
_HOMES = {name: Tensor if name in vars(Tensor) else Node for name in _SLOTS}
_REQUIRES_GRAD: property = vars(Tensor)["requires_grad"]
_contribute = backward.contribute
_set_field = Module.__setattr__
WATCHED = (Module, Optimizer, LRScheduler)


class Watcher(Protocol):
    """Hears of reads and writes, and returns the values to read and store instead."""

    def read_slot(self, tensor: Tensor, slot: str, value: Any) -> Any: ...
    def write_slot(self, tensor: Tensor, slot: str, before: Any, value: Any) -> Any: ...
    def read_attribute(self, owner: Any, name: str, value: Any) -> Any: ...
    def read_fields(self, owner: Any, fields: dict[str, Any]) -> None: ...
    def miss_attribute(self, owner: Any, name: str) -> None: ...
    def write_attribute(self, owner: Any, name: str, value: Any) -> Any: ...
    def copies(self, owner: Any) -> None: ...
    def switches(self, tensor: Tensor, before: Any) -> None: ...
    def former(self, tensor: Tensor, slot: str) -> Any: ...
    def goes_through(self, tensor: Tensor) -> None: ...
    def reaches(self, tensor: Tensor, g: Any) -> None: ...
    def copied(self, array: Any) -> Any: ...


class _Active(threading.local):
    watcher: Watcher | None = None


_active = _Active()
_lock = threading.Lock()
_turn = threading.RLock()  # held by the thread that is recording
_recording: list[Watcher] = []
"""Its watcher."""
_open: Counter[type] = Counter()
"""How many recordings watch a class."""
UNSET = object()


class _Slot:
    """A slot of tensors that reports reads and writes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._read, self._write = _SLOTS[name].__get__, _SLOTS[name].__set__

    def __get__(self, tensor: Tensor, kind: Any = None) -> Any:
        watcher = _active.watcher
        if watcher is not None:
            return watcher.read_slot(tensor, self._name, self._read(tensor))
        for other in (*_recording,):
            if (value := other.former(tensor, self._name)) is not UNSET:
                return value
        return self._read(tensor)

    def __set__(self, tensor: Tensor, value: Any) -> None:
        watcher = _active.watcher
        if watcher is not None and self._name != "op":
            value = watcher.write_slot(tensor, self._name, plain(tensor, self._name), value)
        self._write(tensor, value)


def _switch(tensor: Tensor, value: bool) -> None:
    """Set whether a tensor requires a gradient, and report what it was before."""
    before = tensor._requires_grad
    _REQUIRES_GRAD.__set__(tensor, value)
    if _active.watcher is not None:
        _active.watcher.switches(tensor, before)


def _reported(node: Tensor, g: Any, gradients: dict[Tensor, Any], *settings: Any) -> None:
    """Report the contributions that the reverse pass adds up."""
    watcher = _active.watcher
    if watcher is None:
        _contribute(node, g, gradients, *settings)
        return
    watcher.goes_through(node)
    _contribute(node, g, gradients, *settings)
    watcher.reaches(node, g)
    for x in node.inputs:
        if type(x) is Tensor and x in gradients:
            watcher.reaches(x, gradients[x])


def _copied(array: Any, dtype: Any = None) -> Any:
    """The stand-in for the copy of an array from which the function makes a tensor."""
    if _active.watcher is None:
        return np.array(array, dtype)
    known = _active.watcher.copied(array)
    return known if dtype is None else known.astype(dtype)


def plain(tensor: Tensor, slot: str) -> Any:
    """Read a slot without a report; UNSET if it is empty."""
    try:
        return _SLOTS[slot].__get__(tensor)
    except AttributeError:
        return UNSET


def set_plain(tensor: Tensor, slot: str, value: Any) -> None:
    """Write to a slot without a report."""
    _SLOTS[slot].__set__(tensor, value)


def _get(self: Any, name: str) -> Any:
    watcher = _active.watcher
    try:
        value = object.__getattribute__(self, name)
    except AttributeError:
        if watcher is not None and not name.startswith("__"):
            watcher.miss_attribute(self, name)
        raise
    if watcher is None:
        return value
    if name == "__dict__" and not isinstance(self, WATCHED):
        watcher.read_fields(self, value)
    return value if name.startswith("__") else watcher.read_attribute(self, name, value)


def _set(self: Any, name: str, value: Any) -> None:
    watcher = _active.watcher
    assign = _set_field if isinstance(self, Module) else object.__setattr__
    assign(self, name, value if watcher is None else watcher.write_attribute(self, name, value))


def _delete(self: Any, name: str) -> None:
    if _active.watcher is not None:
        _active.watcher.write_attribute(self, name, UNSET)
    object.__delattr__(self, name)


def _reduced(self: Any, protocol: Any) -> Any:
    """How to copy an object: while its attributes are watched, by those that are read, and the copy is reported."""
    reduced = object.__reduce_ex__(self, protocol)
    if _active.watcher is None or isinstance(reduced, str):  # the name of an object that is not copied
        return reduced
    make, args, *others = reduced
    fields = object.__getattribute__(self, "__dict__") if hasattr(self, "__dict__") else None
    if fields is not None and others and others[0] is fields:
        others[0] = {name: _to_copy(getattr(self, name), field) for name, field in fields.items()}
    return _copy_by, (make, *args), *others


def _to_copy(value: Any, field: Any) -> Any:
    return field if isinstance(field, GENERATORS) else value


def _copy_by(make: Any, *args: Any) -> Any:
    made = make(*args)
    if _active.watcher is not None:
        _active.watcher.copies(made)
    return made


_CHANGES = {"__setattr__": _set, "__delattr__": _delete, "__reduce_ex__": _reduced}
_PYTHONS = {
    getattr(kind, name) for kind in (object, list, dict, set, deque) for name in ("__getattribute__", *_CHANGES)
} | {_set_field}


@contextmanager
def hooked(classes: Collection[type] = ()) -> Iterator[None]:
    """Install for the block what reports reads and writes; inside, another recording need not install it again.

    To install it and remove it takes a millisecond, since Python then updates each class derived from `Module`.
    """
    with _lock:
        if not _open:
            for name, home in _HOMES.items():
                setattr(home, name, _Slot(name))
            setattr(Tensor, "requires_grad", _REQUIRES_GRAD.setter(_switch))  # noqa: B010
            setattr(backward, "contribute", _reported)  # noqa: B010
            setattr(foreign, "copy_of", _copied)  # noqa: B010
        for kind in (*WATCHED, *classes):
            if not _open[kind]:
                setattr(kind, "__getattribute__", _get)  # noqa: B010
                for name, change in _CHANGES.items():
                    if not has_its_own(kind, name):  # this may raise, and then nothing has been changed
                        setattr(kind, name, change)
            _open[kind] += 1
    try:
        yield
    finally:
        with _lock:
            for kind in (*WATCHED, *classes):
                _open[kind] -= 1
                if not _open[kind]:
                    del _open[kind]
                    delattr(kind, "__getattribute__")
                    for name, change in _CHANGES.items():
                        if vars(kind).get(name) is change:
                            delattr(kind, name)
            if not _open:
                for name, slot in _SLOTS.items():
                    setattr(_HOMES[name], name, slot)
                setattr(Tensor, "requires_grad", _REQUIRES_GRAD)  # noqa: B010
                setattr(backward, "contribute", _contribute)  # noqa: B010
                setattr(foreign, "copy_of", np.array)  # noqa: B010


@contextmanager
def in_turn() -> Iterator[None]:
    """A block during which no other thread records, so that whoever looks around finds nothing that is not to stay."""
    with _turn:
        yield


@contextmanager
def watching(watcher: Watcher, classes: Collection[type] = ()) -> Iterator[None]:
    """Report this thread's reads and writes for the block, also those of attributes of these classes."""
    with hooked(classes), _turn:
        _active.watcher = watcher
        _recording.append(watcher)
        try:
            yield
        finally:
            _recording.remove(watcher)
            _active.watcher = None


def is_watchable(kind: type) -> bool:
    """Whether attribute reads can be reported for objects of a class, which must not have its own way to read them."""
    return not has_its_own(kind, "__getattribute__")


def has_its_own(kind: type, name: str) -> bool:
    """Whether a class has a special method that is neither Python's nor ours."""
    return getattr(kind, name) not in (*_PYTHONS, _get, *_CHANGES.values())


def is_watching() -> bool:
    """Whether this thread is recording a function."""
    return _active.watcher is not None
