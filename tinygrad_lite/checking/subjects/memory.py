"""What a function keeps from call to call: after a call with other values than arrays, that is as it was before.

A solver that begins where its last call ended would otherwise begin at a tensor, or at a complex step.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dis import opmap
from functools import partial
from itertools import zip_longest
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from tinygrad_lite import trees
from tinygrad_lite.checking.subjects.following import AS_THEY_ARE, members, package_of
from tinygrad_lite.checking.subjects.frameworks.closures import content, names_read
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.errors import UsageError

_MOST = 1000  # how many values around a function are looked at, and entries of what may change
_STORES = opmap["STORE_GLOBAL"]
_Place = dict[Any, Any] | list[Any] | deque[Any] | CellType


class Memory:
    """Where a function may keep something: attributes, entries of containers, and names from outside."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self._places, room = list[_Place](), _MOST
        for place in _places(f):
            size = 1 if isinstance(place, CellType) else len(place)
            if size <= room:  # each call copies all of them
                self._places.append(place)
                room -= size

    @contextmanager
    def without_traces(self) -> Iterator[None]:
        """A block after which nothing is kept of values that are no arrays: what was there before is there again."""
        before = [_content(place) for place in self._places]
        try:
            yield
        finally:
            for place, old in zip(self._places, before):
                _put_back(place, old)


def _content(place: _Place) -> Any:
    return content(place) if isinstance(place, CellType) else place.copy()


def _put_back(place: _Place, old: Any) -> None:
    """Put back what was there before, where there is a traced value now."""
    if isinstance(place, dict):
        for key, x in place.copy().items():
            if key in old and x is not old[key] and _is_traced(x):
                place[key] = old[key]
            elif key not in old and _is_traced([key, x]):
                del place[key]
    elif isinstance(place, list | deque):
        if any(_is_traced(x) for x, before in zip_longest(place, old) if x is not before):
            place.clear()
            place.extend(old)
    elif _is_traced(content(place)):
        place.cell_contents = old


def _is_traced(x: Any) -> bool:
    try:
        return any(isinstance(leaf, Traced) for leaf in trees.leaves(x))
    except UsageError:  # they are nested too deeply
        return False


def _places(f: Callable[..., Any]) -> Iterator[_Place]:
    """Containers, closures and the attributes of objects, as far as they are reached from a function."""
    seen = dict[int, Any]()
    ahead: list[Any] = [f]
    while ahead and len(seen) < _MOST:
        x = ahead.pop()
        if id(x) in seen:
            continue
        seen[id(x)] = x
        if isinstance(x, dict | list | deque):
            yield x
        if isinstance(x, dict | list | deque | tuple | set | frozenset):
            if len(x) <= _MOST:
                ahead += x.values() if isinstance(x, dict) else x
        elif isinstance(x, partial):
            ahead += [x.func, *x.args, x.keywords]
        elif isinstance(x, MethodType):
            ahead += [x.__func__, x.__self__]
        elif package_of(x) in AS_THEY_ARE or isinstance(x, type | ModuleType):
            continue
        elif isinstance(x, FunctionType):
            yield from x.__closure__ or ()
            yield vars(x)
            if _STORES in x.__code__.co_code[::2]:
                yield x.__globals__
            read = (x.__globals__.get(name) for name in names_read(x.__code__))
            ahead += [*map(content, x.__closure__ or ()), *read, *vars(x).values(), x.__defaults__, x.__kwdefaults__]
        elif hasattr(x, "__dict__"):
            yield vars(x)
            ahead += [*vars(x).values(), *members(type(x)).values()]
