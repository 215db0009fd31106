"""A `type` for user code that is being recorded: the type of a recorded value is that of its value.

Python does not ask an object for its type, so `type(x) is np.ndarray` would not hold for a recorded array.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tinygrad_lite.compiler.recording.recorded import Recorded


class _Knowing(type):
    """The class of `Type`, which makes it do what `type` does; a user's class of classes, made of it, is as it is."""

    def __call__(cls, *args: Any, **keywords: Any) -> Any:
        if cls is not Type:
            return super().__call__(*args, **keywords)
        if len(args) != 1 or keywords:
            return type(*args, **keywords)
        kind = type(args[0].value if type(args[0]) is Recorded else args[0])
        return Type if kind is type else kind

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, type) if cls is Type else super().__instancecheck__(x)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, type) if cls is Type else super().__subclasscheck__(kind)


class Type(type, metaclass=_Knowing):
    """`type`, except that a recorded value has the type of its value."""


@contextmanager
def knowing_types(spaces: Iterable[dict[str, Any]]) -> Iterator[None]:
    """For the block, let `type` in these global names be one that knows recorded values."""
    changed = [space for space in spaces if "type" not in space]
    try:
        for space in changed:
            space["type"] = Type
        yield
    finally:
        for space in changed:
            space.pop("type", None)
