"""What a function keeps from call to call: after a call with other values than arrays, that is as it was before.

A solver that begins where its last call ended would otherwise begin at a tensor, or at a complex step.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dis import opmap
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from tinygrad_lite import trees
from tinygrad_lite.checking.subjects.following import AS_THEY_ARE, members, package_of
from tinygrad_lite.checking.subjects.frameworks.closures import content, names_read
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.errors import UsageError

_MOST = 1000  # how many values around a function are looked at, and entries of each container
_STORES = opmap["STORE_GLOBAL"]
_Place = dict[Any, Any] | list[Any] | CellType


class Memory:
    """Where a function may keep something: attributes of objects, entries of containers, and names from outside."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self._places = [place for place in _places(f) if isinstance(place, CellType) or len(place) <= _MOST]

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
        changed = [key for key, x in place.items() if key not in old or x is not old[key]]
        for key in changed:
            if _is_traced([key, place[key]]):
                del place[key]
                place.update({key: old[key]} if key in old else {})
    elif isinstance(place, list):
        if any(map(_is_traced, place)):
            place[:] = old
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
        if isinstance(x, dict | list):
            yield x
        if isinstance(x, dict | list | tuple | set | frozenset):
            ahead += x.values() if isinstance(x, dict) else x
        elif isinstance(x, partial):
            ahead += [x.func, *x.args, x.keywords]
        elif isinstance(x, MethodType):
            ahead += [x.__func__, x.__self__]
        elif package_of(x) in AS_THEY_ARE or isinstance(x, type | ModuleType):
            continue
        elif isinstance(x, FunctionType):
            yield from x.__closure__ or ()
            if _STORES in x.__code__.co_code[::2]:
                yield x.__globals__
            read = (x.__globals__.get(name) for name in names_read(x.__code__))
            ahead += [*map(content, x.__closure__ or ()), *read, x.__defaults__, x.__kwdefaults__]
        elif hasattr(x, "__dict__"):
            yield vars(x)
            ahead += [*vars(x).values(), *members(type(x)).values()]
