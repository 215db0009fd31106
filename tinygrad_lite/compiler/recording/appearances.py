"""What can be seen of objects before a recording and after it, whatever they are: what has changed, and the way back.

Tensors, names, attributes and containers have guards, which know what a program does with them. Everything else that a
function reaches, such as a bytearray, a queue or a frame of pandas, is only looked at: its entries, its attributes, its
memory, what it pickles, how far it has come, and the objects that it refers to. No program can repeat such a change.
"""

import gc
import sys
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache, partial
from operator import is_
from threading import active_count
from types import (
    BuiltinMethodType,
    CodeType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodWrapperType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_lite.compiler.recording.guards import KEPT, MOST, Entries, Guard
from tinygrad_lite.compiler.recording.iterators import IN_MEMORY, go_back, is_of_c, progress
from tinygrad_lite.compiler.recording.reached import HIDDEN, content_of, is_users_class
from tinygrad_lite.compiler.recording.watching import UNSET, WATCHED
from tinygrad_lite.compiler.signature import SCALARS, fields_and_slots
from tinygrad_lite.engine.op import Op, Traced

if TYPE_CHECKING:
    from tinygrad_lite.compiler.entry import EntryWriter

OBJECTS = 5000
"""The most objects that are looked at."""

_HAVE_NOTHING_TO_SEE = (*SCALARS, ModuleType, CodeType, FrameType, Traced, Op, *WATCHED, *HIDDEN)
_KINDS: tuple[Any, ...] = (OrderedDict, dict, list, deque, set)
_CACHED: type = type(lru_cache(len))


class Held(list[Any]):
    """Objects that are the same as others if they are those, and not if they are only equal, unless they are plain."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list) or len(self) != len(other):
            return False
        return all(map(is_, self, other)) or all(map(_is_same, self, other))

    __hash__ = None


def _is_same(x: Any, y: Any) -> bool:
    return x is y or (type(x) is type(y) and type(x) in SCALARS and repr(x) == repr(y))


def _kind_of_container(x: Any) -> Any:
    return next((kind for kind in _KINDS if isinstance(x, kind)), None)


def _entries(x: Any) -> Any:
    kind = _kind_of_container(x)
    if kind is None:
        return UNSET
    if len(x) > MOST:
        return len(x)
    if kind is set:  # in any order
        return Held(sorted(x, key=id))
    return Held([part for pair in kind.items(x) for part in pair] if issubclass(kind, dict) else kind.__iter__(x))


def _put_entries(x: Any, entries: Held) -> None:
    kind = _kind_of_container(x)
    kind.clear(x)
    if issubclass(kind, dict):
        for key, value in zip(entries[::2], entries[1::2]):
            kind.__setitem__(x, key, value)
    else:
        (kind.update if kind is set else kind.extend)(x, entries)


def _attributes(x: Any) -> Any:
    fields, slots = fields_and_slots(x)
    return (Held(fields), Held(fields.values()), Held(slots), Held(slots.values())) if fields or slots else ()


def _put_attributes(x: Any, attributes: Any) -> None:
    names, values, slots, held = attributes or ((), (), (), ())
    fields, present = fields_and_slots(x)
    dict.clear(fields)
    dict.update(fields, zip(names, values))
    for name in {*present} - {*slots}:
        object.__delattr__(x, name)
    for name, value in zip(slots, held):
        object.__setattr__(x, name, value)


def _of_class(x: Any) -> Any:
    """What a class has under the names that are not Python's own."""
    if not isinstance(x, type):
        return UNSET
    names = [name for name in vars(x) if not name.startswith("__")]
    return Held(names), Held(vars(x)[name] for name in names)


def _put_of_class(x: type, held: tuple[Held, Held]) -> None:
    before = dict(zip(*held))
    for name in [name for name in vars(x) if not name.startswith("__") and name not in before]:
        type.__delattr__(x, name)
    for name, value in before.items():
        if vars(x).get(name, UNSET) is not value:
            type.__setattr__(x, name, value)


def _settings(x: Any) -> Any:
    """What a class of Python's or NumPy's hands out as attributes, but does not keep in a dict: plain values alone."""
    kind = type(x)
    if isinstance(x, np.ndarray) or not _is_of_c(kind):
        return UNSET
    names = [name for base in kind.__mro__[:-1] for name, of in vars(base).items() if type(of) is GetSetDescriptorType]
    return {name: value for name in names if isinstance(value := getattr(x, name, None), SCALARS)}


def _may_be_of_c(kind: type) -> bool:
    """Whether a class may be one of Python's or NumPy's that is written in C."""
    home = kind.__module__.partition(".")[0]
    return home == "numpy" or home in sys.stdlib_module_names


_is_of_c: Callable[[type], bool] = lru_cache(1000)(_may_be_of_c)


def _put_settings(x: Any, settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if getattr(x, name) != value:
            setattr(x, name, value)


def _memory(x: Any) -> Any:
    if isinstance(x, np.ndarray) or isinstance(getattr(type(x), "__buffer__", None), FunctionType):
        return UNSET
    if type(x) is bytearray:  # at once, as no other thread can append to it while somebody views its memory
        return bytes(x) if len(x) <= KEPT else UNSET
    try:
        with memoryview(x) as memory:
            return UNSET if memory.readonly or memory.nbytes > KEPT else memory.tobytes()
    except (TypeError, ValueError, BufferError):
        return UNSET


def _put_memory(x: Any, memory: bytes) -> None:
    with memoryview(x) as now:
        has_grown = now.nbytes != len(memory)
    if has_grown:  # only what grows itself can have done so
        del x[:]
        (x.frombytes if hasattr(x, "frombytes") else x.extend)(memory)
    else:
        np.frombuffer(x, np.uint8)[...] = np.frombuffer(memory, np.uint8)


def _array(x: Any) -> Any:
    if not isinstance(x, np.ndarray):
        return UNSET
    if x.dtype == object:
        return x.size if x.nbytes > KEPT else Held(x.ravel().tolist())
    return Entries(x, "").value


def _put_array(x: Any, entries: Any) -> None:
    if x.dtype == object:
        for i, entry in enumerate(entries):
            x.flat[i] = entry
    else:
        Entries(x, "").put(entries)


def _state(x: Any) -> Any:
    """What an object of C pickles, if it can take that back."""
    kind = type(x)
    has_own = hasattr(kind, "__setstate__") and not isinstance(x, np.ndarray) and not kind.__dictoffset__
    if not _is_of_c(kind) or not (has_own or isinstance(x, IN_MEMORY)):
        return UNSET
    return x.__getstate__()


def _value(x: Any) -> Any:
    if not isinstance(x, ContextVar):
        return UNSET
    try:
        return Held([x.get()])
    except LookupError:
        return Held()


def _put_value(x: Any, value: Held) -> None:
    x.set(*value)


def _position(x: Any) -> Any:
    has_one = _is_of_c(type(x)) and hasattr(type(x), "seek") and not isinstance(x, Iterator)
    return x.tell() if has_one else UNSET


def _size(x: Any) -> Any:
    """How much is in a queue that is not written in Python, and shows nothing else."""
    return x.qsize() if type(x).__module__ == "_queue" else UNSET


def _remembered(x: Any) -> Any:
    """For which arguments a function with a cache has put something there, in this order."""
    return tuple(_cache(x)) if isinstance(x, _CACHED) else UNSET


def _cache(x: Any) -> dict[Any, Any]:
    """The results that a function with a cache keeps; the other dict that it refers to has its attributes."""
    return next(part for part in gc.get_referents(x) if type(part) is dict and part is not vars(x))


def _forget(x: Any, before: tuple[Any, ...]) -> None:
    """Take out of a cache what is new there; everything, if something else had to go for it, as it may again."""
    cache = _cache(x)
    if not before or tuple(cache)[: len(before)] != before:  # also counts from zero again
        x.cache_clear()
    for key in [*cache][len(before) :]:
        del cache[key]


def _referents(x: Any) -> Any:
    if _kind_of_container(x) or isinstance(x, (_CACHED, FunctionType, Iterator, np.ndarray, tuple, frozenset)):
        return UNSET  # seen otherwise, or nothing that changes
    return Held(part for referent in gc.get_referents(x) for part in _living(referent))


def _living(referent: Any) -> list[Any]:
    """What an object refers to, or what a list of weak references does: reading from a frame of pandas adds to one."""
    if type(referent) is list and len(referent) <= MOST and all(isinstance(x, weakref.ref) for x in referent):
        return [x for x in referent if x() is not None]
    return [referent]


class Aspect(NamedTuple):
    """One side from which an object can be seen.

    Attributes:
        see: what can be seen, which is equal to what is seen later unless it has changed; UNSET if there is nothing.
        put_back: makes an object look as it did; None if nothing can.
    """

    see: Callable[[Any], Any]
    put_back: Callable[[Any, Any], Any] | None


ASPECTS = (
    Aspect(_entries, _put_entries),
    Aspect(_of_class, _put_of_class),
    Aspect(_attributes, _put_attributes),
    Aspect(_settings, _put_settings),
    Aspect(_memory, _put_memory),
    Aspect(_array, _put_array),
    Aspect(_state, lambda x, state: x.__setstate__(state)),
    Aspect(_value, _put_value),
    Aspect(_remembered, _forget),
    Aspect(progress, go_back),
    Aspect(_position, lambda x, position: x.seek(position)),
    Aspect(_size, None),
    Aspect(_referents, None),
)


class Appearance(Guard):
    """What can be seen of an object.

    Attributes:
        has_settled: whether another recording has left the object alone, as that of a function which fills a cache.
        changes: how many recordings have changed it.

    Args:
        is_watched: whether its attributes are followed by a recording.
        is_shared: whether to look away while other threads run, which may change it.
    """

    has_settled = False
    changes = 0

    def __init__(self, owner: Any, label: str, is_watched: bool, is_shared: bool) -> None:
        self._is_watched, self.is_shared = is_watched, is_shared
        sides = [aspect for aspect in ASPECTS if not (is_watched and aspect.see in (_attributes, _referents))]
        if isinstance(owner, type):
            sides = [aspect for aspect in ASPECTS if aspect.see is _of_class]
        seen = {aspect: value for aspect in sides if (value := _seen(aspect, owner)) is not UNSET}
        super().__init__(owner, None, [*seen.values()], label)
        self._aspects = [*seen]

    def now(self) -> Any:
        return [_seen(aspect, self.owner) for aspect in self._aspects]

    def holds(self) -> bool:
        return all(map(_agree, self.now(), self.value))

    def fits(self, _: Sequence[Any] = ()) -> bool:
        """Whether it looks the same, but for a cache, which may have more in it."""
        return self.holds() or all(
            aspect.see is _remembered and {*before} <= {*now} for aspect, now, before in self._changes()
        )

    def has_only_gained(self) -> bool:
        """Whether it refers to more objects than before, or its cache is empty, and it has not changed otherwise."""
        return all(
            (aspect.see is _referents and {*map(id, before)} - {id(None)} <= {*map(id, now)})
            or (aspect.see is _remembered and not now)
            for aspect, now, before in self._changes()
        )

    def _changes(self) -> list[tuple[Aspect, Any, Any]]:
        return [pair for pair in zip(self._aspects, self.now(), self.value) if not _agree(*pair[1:])]

    def renewed(self) -> "Appearance":
        return Appearance(self.owner, self.label, self._is_watched, self.is_shared)

    def reading(self, writer: "EntryWriter") -> str:
        return f"{writer.name(self.fits)}()"

    def require(self, writer: "EntryWriter") -> None:
        writer.tests.append(f"not {self.reading(writer)}")

    def put(self, value: Any) -> None:
        for aspect, before in zip(self._aspects, value):
            if aspect.put_back is not None and not _agree(_seen(aspect, self.owner), before):
                with suppress(Exception):  # whether it has worked will be seen
                    aspect.put_back(self.owner, before)


class GlobalNames(Appearance):
    """The values of a module's global names, but for those that a recording follows."""

    is_shared = True

    def __init__(self, owner: dict[str, Any], followed: Collection[str]) -> None:
        self._followed = followed
        Guard.__init__(self, owner, None, None, f"global names of {owner.get('__name__', 'a module')}")
        self.value = self.now()

    def now(self) -> Any:
        names = [name for name in self.owner if name not in self._followed]
        return [Held(names), Held(self.owner[name] for name in names)]

    def fits(self, _: Sequence[Any] = ()) -> bool:
        return self.holds()

    def has_only_gained(self) -> bool:
        return False

    def renewed(self) -> "Appearance":
        return GlobalNames(self.owner, self._followed)

    def put(self, value: Any) -> None:
        names, values = value
        for name in {*self.owner} - {*names} - {*self._followed}:
            del self.owner[name]
        for name, before in zip(names, values):  # one by one, as another thread may read the others meanwhile
            if self.owner.get(name, UNSET) is not before:
                self.owner[name] = before


def _seen(aspect: Aspect, x: Any) -> Any:
    try:
        return aspect.see(x)
    except Exception:  # noqa: BLE001, RUF100  # an object of somebody's may raise anything when asked
        return UNSET


def _agree(a: Any, b: Any) -> bool:
    if a is UNSET:
        return False
    try:
        return bool(a == b) or (isinstance(a, dict) and repr(a) == repr(b))  # in which NaN may be a value
    except ValueError:  # of arrays
        return repr(a) == repr(b)


def appearances(roots: Sequence[tuple[Any, str]], watched: Collection[int], known: Collection[int]) -> list[Appearance]:
    """What can be seen of these objects, and of those that they hold.

    Args:
        roots: the objects, each with what a person would call it.
        watched: the ids of those whose attributes are followed.
        known: the ids of those at which others look.
    """
    is_alone = active_count() == 1
    labels = {id(thing): f"{label} ({type(thing).__name__})" for thing, label in roots}
    ahead = deque([(thing, labels[id(thing)], False, False) for thing, _ in roots])
    seen: dict[int, Appearance | None] = {}
    while ahead and len(seen) < OBJECTS:
        thing, label, is_for_threads, is_reported = ahead.popleft()
        kind, label = type(thing), labels.get(id(thing), label)
        if id(thing) in seen or id(thing) in known or issubclass(kind, _HAVE_NOTHING_TO_SEE):
            continue
        if _is_followed_otherwise(kind) or (issubclass(kind, type) and not is_users_class(thing)):
            continue
        is_container, is_watched = _kind_of_container(thing) is not None, id(thing) in watched
        if is_container or isinstance(thing, (tuple, frozenset)):
            is_reported = is_reported and is_container and is_watched
        else:
            is_reported = is_watched  # and with it the containers among its attributes
        is_for_threads = is_for_threads or _is_for_threads(thing)
        is_shared = is_for_threads or (is_reported and is_container)  # nobody may take back another thread's change
        seen[id(thing)] = Appearance(thing, label, is_watched, is_shared) if is_alone or not is_shared else None
        with suppress(Exception):  # as another thread may change the object meanwhile
            ahead.extendleft([(x, label, is_for_threads, is_reported) for x in _inside(thing)])
    return [look for look in seen.values() if look is not None]


def _is_followed_otherwise(kind: type) -> bool:
    """Whether a class is ours, but no loader, through which a function may go."""
    return kind.__module__.startswith("tinygrad_lite.") and not kind.__module__.startswith("tinygrad_lite.data.")


def _is_for_threads(x: Any) -> bool:
    """Whether an object is made to be changed by several threads: a queue, or what holds a lock."""
    try:
        kinds = [type(x), *map(type, object.__getattribute__(x, "__dict__").values())]
    except AttributeError:  # there is no dict
        kinds = [type(x)]
    return any(kind.__module__ in ("_thread", "threading", "_queue") for kind in kinds)


def _inside(x: Any) -> list[Any]:
    """The objects that an object holds, without the containers that it hides, on whose entries it may rely."""
    if isinstance(x, FunctionType):
        return [content for cell in x.__closure__ or () if (content := content_of(cell)) is not cell]
    if isinstance(x, np.ndarray):
        return x.ravel().tolist() if x.dtype == object and x.size <= MOST else []
    if isinstance(x, type):
        return []
    if isinstance(x, weakref.ref):
        return [x()]
    if is_of_c(x):
        return []
    if _kind_of_container(x) or isinstance(x, (tuple, frozenset)):
        return gc.get_referents(x) if len(x) <= MOST else []
    fields, slots = fields_and_slots(x)
    members = [of for base in type(x).__mro__ for of in vars(base).values() if type(of) is MemberDescriptorType]
    shown = [*fields.values(), *slots.values(), *map(partial(_member, x), members)]
    if isinstance(x, (BuiltinMethodType, MethodWrapperType)):
        shown.append(x.__self__)
    methods = [f for base in type(x).__mro__ if is_users_class(base) for f in vars(base).values()]
    shown += [f for f in methods if isinstance(f, FunctionType)]  # with what their closures hold
    return [*shown, *[part for part in gc.get_referents(x) if _kind_of_container(part) is None]]


def _member(x: Any, of: MemberDescriptorType) -> Any:
    try:
        return of.__get__(x)
    except AttributeError:  # a slot that is empty
        return None
