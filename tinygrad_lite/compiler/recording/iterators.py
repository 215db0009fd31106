"""Iterators and files of outside, which a recording must leave as they were: it takes from them again in each run.

`next` takes nothing from them. What takes from them otherwise, such as a loop, shows in how far they have come.
"""

import gc
import io
import itertools
import operator
import warnings
from collections.abc import Callable, Collection, Iterator
from functools import wraps
from types import GeneratorType
from typing import Any, NoReturn

from tinygrad_lite.compiler.recording.reached import is_users_class
from tinygrad_lite.compiler.recording.recorded import at_line
from tinygrad_lite.compiler.recording.watching import UNSET
from tinygrad_lite.errors import UsageError

_ADVICE = "which is another in each run: call next before, and pass what it returns as an argument"

IN_MEMORY = io.StringIO, io.BytesIO
"""Files that are put back as they were, with what was written into them."""


class TakenError(UsageError):
    """A function takes from an iterator of outside, writes into a file, or changes what nobody can change back.

    Attributes:
        is_put_back: whether everything was put back, so that the function itself can run.
    """

    def __init__(self, message: str, is_put_back: bool = True) -> None:
        super().__init__(message)
        self.is_put_back = is_put_back


def next_of(outside: Collection[int]) -> Callable[..., Any]:
    """`next`, which takes nothing from the iterators that were there before, given by their ids."""

    @wraps(next)
    def function(iterator: Any, *default: Any) -> Any:
        if id(iterator) in outside:
            raise TakenError(
                f"a compiled function takes what is next from an iterator of outside{at_line()}\n{_ADVICE}"
            )
        return next(iterator, *default)

    return function


def progress(x: Any) -> Any:
    """How far an iterator or a file has come, in so far as it shows; UNSET for anything else."""
    if not isinstance(x, Iterator):
        return UNSET
    if isinstance(x, GeneratorType):
        return x.gi_frame and (x.gi_frame.f_lasti, [*map(id, x.gi_frame.f_locals.values())])
    if isinstance(x, io.IOBase):
        if x.closed or not x.seekable():  # a terminal, or a pipe
            return None
        try:
            return x.tell()
        except OSError:
            return object()  # somebody loops over it, so that it does not tell
    held = gc.get_referents(x, *[part for part in gc.get_referents(x) if _is_of_iterators(part)]) if is_of_c(x) else []
    return (
        operator.length_hint(x) if hasattr(type(x), "__length_hint__") and not is_users_class(type(x)) else None,
        repr(x) if type(x) is itertools.count else None,
        [len(part) for part in held if type(part) is list] if type(x) is itertools.cycle else None,
        [progress(part) for part in held if isinstance(part, Iterator)],
        _index_of_tee(x) if type(x) is _TEE else None,
    )


_TEE: type = type(itertools.tee(())[0])


def _index_of_tee(x: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return x.__reduce__()[-1][-1] if hasattr(type(x), "__setstate__") else None


def _is_of_iterators(part: Any) -> bool:
    """Whether an object is a part of an iterator, behind which there may be others."""
    return type(part) is tuple or type(part).__name__ == "_tee_dataobject"


def is_of_c(x: Any) -> bool:
    """Whether an object is an iterator or a file that is not written in Python, and shows only how far it has come."""
    return isinstance(x, io.IOBase) or (
        isinstance(x, Iterator) and type(x).__module__ in ("builtins", "itertools", "_csv")
    )


def go_back(file: Any, position: Any) -> None:
    """Let a file that nobody writes into be where it was; what was taken from an iterator cannot be put back."""
    if isinstance(file, io.IOBase) and isinstance(position, int) and not file.writable():
        file.seek(position)


def refuse_taking(thing: Any, label: str) -> NoReturn:
    """Raise an error for an object that a recording has changed, and that cannot be as it was.

    Raises:
        TakenError: always.
    """
    if isinstance(thing, io.IOBase):
        raise TakenError(
            "a compiled function reads or writes a file of outside: read before, and pass what was read as an "
            "argument; return what to write"
        ) from None
    if isinstance(thing, Iterator):
        raise TakenError(
            f"a compiled function takes what is next from a {type(thing).__name__} of outside, {_ADVICE}. What its "
            "recording took cannot be put back",
            is_put_back=False,
        ) from None
    raise TakenError(
        f"a compiled function changes {label}, which its program would not do in the next runs: change it outside, "
        "after the call. What its recording changed cannot be put back",
        is_put_back=False,
    ) from None
