"""Guards: what a recording read from Python objects, and what must be the same for its program to run again.

A guard knows an owner, what it read there, and the value. It checks in two ways: by `holds`, and by an expression in a
generated function (see entry.py).
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from operator import is_
from types import FunctionType
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from tinygrad_lite.compiler.signature import same

if TYPE_CHECKING:
    from tinygrad_lite.compiler.entry import EntryWriter

LARGEST = 100
"""The most entries of a container in which further containers and objects are looked for."""

MOST = 10_000
"""The most entries of a container that are compared one by one; of a larger one, only the number of entries is."""

WHOLE = 10**6
"""The most bytes of an array that are compared; of a larger one, some entries are."""

KEPT = 2**26
"""The most bytes of an array whose entries are kept while a function is recorded, in case it writes into the array."""

COMPARED = 5000
"""How many entries of a large array are compared at least, spread evenly over it."""

ROWS = 1000
"""How many rows of a long frame of pandas are compared at least, spread evenly over it."""

Key = tuple[Any, ...]


class Guard:
    """A value that was read.

    Attributes:
        owner: the object that it was read from.
        value: the value.
        label: what a person would call it, such as config.scale.
        key: what identifies the place.
        varying: which leaves of the value are numbers that the function changes, if it carries the value.
    """

    varying: frozenset[int] = frozenset()

    def __init__(self, owner: Any, name: Any, value: Any, label: str) -> None:
        self.owner = owner
        self.name = name
        self.value = value
        self.label = label
        self.key: Key = (type(self), id(owner), name)

    def now(self) -> Any:
        """The current value; raises a `LookupError` or the like if there is none."""
        raise NotImplementedError

    def reading(self, writer: "EntryWriter") -> str:
        """The expression for the value: a call of `now`, or what is shorter."""
        return f"{writer.name(self.now)}()"

    def require(self, writer: "EntryWriter") -> None:
        """Require in an entry that the value is still the same."""
        writer.is_the_same(self.reading(writer), self.value)

    def renewed(self) -> "Guard":
        """A guard of what is in the same place now; the guard itself if there is nothing left."""
        try:
            made = type(self)(self.owner, self.name, self.now(), self.label)
        except (LookupError, AttributeError, ValueError, TypeError):
            return self
        made.varying = self.varying
        return made

    def holds(self) -> bool:
        """Whether the value is still the same."""
        try:
            return same(self.now(), self.value)
        except (LookupError, AttributeError, ValueError, TypeError):
            return False

    def fits(self, leaves: Sequence[Any]) -> bool:
        """Whether it holds for a call with these leaves of the arguments."""
        return self.holds()

    def put(self, value: Any) -> None:
        """Put another value in its place."""

    def let_go(self) -> None:
        """Forget what only `put` needs, which may be values of a recording that is over."""

    def restore(self) -> None:
        """Put back the value that was read, if it has changed."""
        if not self.holds():
            self.put(self.value)


class Item(Guard):
    """An entry of a dict or a list; also a global name, and an attribute that is kept in a dict."""

    def put(self, value: Any) -> None:
        with suppress(IndexError):  # a list that has become shorter is put back as a whole; see Whole
            self.owner[self.name] = value

    def now(self) -> Any:
        return self.owner[self.name]

    def reading(self, writer: "EntryWriter") -> str:
        key = repr(self.name) if type(self.name) in (str, int) else writer.name(self.name)
        return f"{writer.name(self.owner)}[{key}]"


class Field(Guard):
    """An attribute that is not kept in a dict: of a class, in a slot, or the content of a closure's cell."""

    def put(self, value: Any) -> None:
        setattr(self.owner, self.name, value)

    def now(self) -> Any:
        return getattr(self.owner, self.name)

    def reading(self, writer: "EntryWriter") -> str:
        return f"{writer.name(self.owner)}.{self.name}"


class Held(Guard):
    """What a class itself holds under a name, not what it hands out."""

    def put(self, value: Any) -> None:
        setattr(self.owner, self.name, value)

    def now(self) -> Any:
        return vars(self.owner)[self.name]

    def reading(self, writer: "EntryWriter") -> str:
        return f"{writer.name(self.owner)}.__dict__[{self.name!r}]"


def of_class(kind: type, name: str, label: str) -> Guard:
    """The guard of a method or another value of a class, which it may have from another class."""
    home = next(base for base in kind.__mro__ if name in vars(base))
    if isinstance(value := vars(home)[name], (FunctionType, property)):  # handed out as they are
        return Field(kind, name, value, label)
    return Held(home, name, value, label)


class Truth(Item):
    """Whether an entry of a dict is not zero."""

    def put(self, value: Any) -> None:
        """The entry may have any other value."""

    def now(self) -> Any:
        return bool(self.owner[self.name])

    def reading(self, writer: "EntryWriter") -> str:
        return f"bool({super().reading(writer)})"


class Whole(Guard):
    """A guard of a container as a whole: `put` gives back the entries that were there, in their order, and no others.

    Attributes:
        container: what a person would call the container.
    """

    def __init__(self, owner: Any, value: Any, label: str, container: str) -> None:
        super().__init__(owner, None, value, label)
        self.container = container
        self._before = copy(owner) if len(owner) <= MOST else None

    def let_go(self) -> None:
        self._before = None

    def put(self, value: Any) -> None:
        if self._before is not None:
            self.owner.clear()
            (self.owner.update if isinstance(self.owner, (dict, set)) else self.owner.extend)(self._before)

    def added(self) -> list[Any]:
        """What was put under new keys of a dict, into a set, or at the end of a deque that is not full yet."""
        if self._before is None:
            return []
        if isinstance(self.owner, set):
            return [*self.owner - self._before]
        if isinstance(self.owner, dict):
            return [x for key, x in self.owner.items() if key not in self._before]
        is_bounded = isinstance(self.owner, deque) and self.owner.maxlen is not None
        return [*self.owner][len(self._before) :] if is_bounded else []

    def appended(self) -> list[Any]:
        """What was put at the end of a list, or of a deque without bounds; see `added` for other containers."""
        is_list = isinstance(self.owner, list) or (isinstance(self.owner, deque) and self.owner.maxlen is None)
        return [*self.owner][len(self._before) :] if is_list and self._before is not None else []

    def has_lost(self, stand_ins: Mapping[Key, Any]) -> bool:
        """Whether entries are gone, or elsewhere, and not just others put in their places.

        Args:
            stand_ins: what stood there during a recording in place of what the function carries.
        """
        before, now = self._before, self.owner
        if before is None or len(now) < len(before):
            return before is not None
        if isinstance(now, set):
            return not before <= now
        if isinstance(now, dict):
            return not all(map(same, before, now))
        kept = [stand_ins.get((Item, id(now), i), x) for i, x in enumerate(before)]
        return len(now) > len(before) and not all(map(is_, kept, now))


class Length(Whole):
    """The number of entries of a container."""

    def __init__(self, owner: Any, label: str) -> None:
        super().__init__(owner, len(owner), f"the length of {label}", label)

    def now(self) -> Any:
        return len(self.owner)

    def reading(self, writer: "EntryWriter") -> str:
        return f"len({writer.name(self.owner)})"


class Items(Whole):
    """The entries of a large container, as they are; what is in them is not looked at."""

    def __init__(self, owner: Any, label: str) -> None:
        super().__init__(owner, tuple(_entries(owner)), f"the entries of {label}", label)

    def now(self) -> Any:
        return tuple(_entries(self.owner))

    def has_lost(self, stand_ins: Mapping[Key, Any]) -> bool:
        return not all(map(same, self.value, _entries(self.owner))) or super().has_lost(stand_ins)

    def reading(self, writer: "EntryWriter") -> str:
        return f"tuple({writer.name(self.owner)}{'.values()' if isinstance(self.owner, dict) else ''})"


def _entries(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container


class Keys(Whole):
    """The keys of a dict, in their order; the entries of a set."""

    def __init__(self, owner: Any, label: str) -> None:
        super().__init__(owner, tuple(owner), f"the keys of {label}", label)

    def now(self) -> Any:
        return tuple(self.owner)

    def reading(self, writer: "EntryWriter") -> str:
        return f"tuple({writer.name(self.owner)})"


class Missing(Guard):
    """That an object has no attribute of this name."""

    def __init__(self, owner: Any, name: str, label: str) -> None:
        super().__init__(owner, name, False, label)

    def now(self) -> Any:
        return self.name in self.owner

    def reading(self, writer: "EntryWriter") -> str:
        return f"{self.name!r} in {writer.name(self.owner)}"

    def require(self, writer: "EntryWriter") -> None:
        writer.tests.append(self.reading(writer))


class Setting(Guard):
    """The value of a variable of `contextvars`."""

    def __init__(self, owner: Any, label: str) -> None:
        super().__init__(owner, None, owner.get(None), label)

    def now(self) -> Any:
        return self.owner.get(None)

    def reading(self, writer: "EntryWriter") -> str:
        return f"{writer.name(self.owner)}.get(None)"


class Bytes(Guard):
    """The memory of an object that is not an array, such as a bytearray or a number of ctypes; of a large one, some."""

    def __init__(self, owner: Any, label: str) -> None:
        super().__init__(owner, None, None, f"the entries of {label}")
        self.value = self.now()

    def now(self) -> Any:
        with memoryview(self.owner) as memory:
            if memory.nbytes <= WHOLE or not memory.c_contiguous:
                return memory.tobytes()
            return np.frombuffer(memory, np.uint8)[:: memory.nbytes // COMPARED | 1].tobytes()


class Rows(Guard):
    """The entries and the labels of a series, a frame or an index of pandas; of a long one, those of some rows."""

    def __init__(self, owner: Any, label: str) -> None:
        super().__init__(owner, None, None, f"the entries of {label}")
        self.value = self.now()

    def now(self) -> Any:
        rows = self.owner[:: len(self.owner) // ROWS | 1]
        labels = getattr(rows, "axes", [])
        is_mixed = rows.ndim == 2 and len(set(rows.dtypes)) > 1
        columns = [column for _, column in rows.items()] if is_mixed else [rows]
        return (len(self.owner), *map(_comparable, (*labels, *columns)))


def _comparable(column: Any) -> Any:
    array = np.asarray(column)
    if array.dtype == object:
        return tuple(map(repr, array.ravel().tolist()))
    return array.dtype, array.shape, array.tobytes()


class Entries(Guard):
    """The entries of an array from outside, from which NumPy alone may have computed something; some of a large one."""

    def __init__(self, owner: Any, label: str) -> None:
        self._step = 0 if owner.nbytes <= WHOLE else owner.size // COMPARED | 1  # odd, so that all columns are reached
        self._array = owner if type(owner) is np.ndarray else owner.view(np.ndarray)  # a mask has ways of its own
        super().__init__(owner, None, None, f"the entries of {label}")
        self.value = self.now()

    def put(self, value: Any) -> None:
        if not self._step and self._array.flags.writeable and not self._array.dtype.hasobject:
            self._array[...] = np.frombuffer(value, self._array.dtype).reshape(self._array.shape)

    def now(self) -> Any:
        return self._array.flat[:: self._step].tobytes() if self._step else self._array.tobytes()

    def reading(self, writer: "EntryWriter") -> str:
        return f"{writer.name(self._array)}{f'.flat[::{self._step}]' if self._step else ''}.tobytes()"


class Snapshot:
    """The entries of an array at a moment of a recording; of a very large one, a checksum of them."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self._is_whole = array.nbytes <= KEPT
        self._value = self._now()

    def _now(self) -> Any:
        return self.array.tobytes() if self._is_whole else crc32(np.ascontiguousarray(self.array).data)

    def holds(self) -> bool:
        """Whether the array still has these entries."""
        return bool(self._now() == self._value)

    def entries(self) -> Any:
        """An array of the entries at that moment, to which nobody can write; None if there is only a checksum."""
        if not self._is_whole:
            return None
        array = np.empty_like(self.array, subok=False)
        array[...] = np.frombuffer(self._value, self.array.dtype).reshape(self.array.shape)
        array.setflags(write=False)
        return array


def contents(value: Any, label: str, into: dict[Key, Guard]) -> list[tuple[Any, str]]:
    """Add guards for what is in containers; return the values in them that are not containers, each with its label."""
    values: list[tuple[Any, str]] = []
    ahead = [(value, label)]
    seen: set[int] = set()
    while ahead:
        thing, label = ahead.pop()
        if isinstance(thing, (list, deque, dict, set, tuple)):
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            guards = _of_container(thing, label)
            into.update({guard.key: guard for guard in guards})
            ahead += [(guard.value, guard.label) for guard in guards if isinstance(guard, Item)]
            if isinstance(thing, tuple) and len(thing) <= LARGEST:
                ahead += [(part, f"{label}[{i}]") for i, part in enumerate(thing)]
        else:
            values.append((thing, label))
    return values


def _of_container(thing: Any, label: str) -> list[Guard]:
    if isinstance(thing, tuple):
        return []
    if len(thing) > MOST:
        return [Length(thing, label)]
    if isinstance(thing, set):
        return [Keys(thing, label)]
    keys = [Keys(thing, label)] if isinstance(thing, dict) else []
    if len(thing) > LARGEST:
        return [*keys, Items(thing, label)]
    if isinstance(thing, dict):
        return [*keys, *(Item(thing, key, x, f"{label}[{key!r}]") for key, x in thing.items())]
    return [Length(thing, label), *(Item(thing, i, x, f"{label}[{i}]") for i, x in enumerate(thing))]


def agreeing(first: Mapping[Key, Guard], second: Mapping[Key, Guard]) -> dict[Key, Guard]:
    """The guards of two recordings that read the same values."""
    return {key: guard for key, guard in second.items() if key in first and same(first[key].value, guard.value)}


def changed(first: Mapping[Key, Guard], second: Iterable[Guard]) -> list[Guard]:
    """The guards whose value the function itself changed between two recordings."""
    return [guard for guard in second if guard.key in first and not same(first[guard.key].value, guard.value)]
