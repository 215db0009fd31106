"""What `type`, `float`, `math.cos`, `np.asarray` and the like stand for while a user's code is recorded.

Python does not ask an object for its type, so `type(x) is np.ndarray` would not hold for a recorded array; and
functions of plain numbers, and those that make arrays, ask an object for its value, which a recorded one has not.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_lite.compiler.recording.iterators import next_of
from tinygrad_lite.compiler.recording.making import NUMPYS
from tinygrad_lite.compiler.recording.plain_numbers import KINDS, MATHS, PYTHONS
from tinygrad_lite.compiler.recording.recorded import Recorded


class _Knowing(type):
    """The class of `Type`, which makes it do what `type` does; a user's class of classes, made of it, is as it is."""

    def __call__(cls, *args: Any, **keywords: Any) -> Any:
        if cls is not Type:
            return super().__call__(*args, **keywords)
        if len(args) != 1 or keywords:
            return type(*args, **keywords)
        kind = type(args[0].value if type(args[0]) is Recorded else args[0])
        return Type if kind is type else KINDS.get(kind, kind)

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, type) if cls is Type else super().__instancecheck__(x)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, type) if cls is Type else super().__subclasscheck__(kind)


class Type(type, metaclass=_Knowing):
    """`type`, except that a recorded value has the type of its value."""


_NAMES = {"type": Type, **PYTHONS}
_FUNCTIONS = {**MATHS, **NUMPYS}
_KINDS = {*map(type, _FUNCTIONS)}


@contextmanager
def knowing_recorded_values(spaces: Iterable[dict[str, Any]], iterators: Collection[int]) -> Iterator[None]:
    """For the block, let these names in the users' modules, `math` and NumPy stand for what knows recorded values.

    Args:
        iterators: the ids of those that were there before.
    """
    names = {**_NAMES, "next": next_of(iterators)}
    before: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for space in (*spaces, vars(math), vars(np)):
            named = list(space.items())  # at once, since another thread may add a name
            known = {name: _FUNCTIONS[x] for name, x in named if type(x) in _KINDS and x in _FUNCTIONS}
            is_users = space is not vars(math) and space is not vars(np)
            own = {name: x for name, x in names.items() if name not in space} if is_users else {}
            before += [(space, name, space.get(name)) for name in (*known, *own)]
            space.update(known | own)
        yield
    finally:
        for space, name, value in before:
            if value is None:
                space.pop(name, None)
            else:
                space[name] = value
