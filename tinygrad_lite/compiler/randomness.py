"""Random draws in a recorded function: each is a call of the program, and drawn anew in each run."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_lite.compiler.draws import Draw
from tinygrad_lite.errors import UsageError

_IN_PLACE = ("shuffle", "spawn")


class RecordedGenerator(np.random.Generator):
    """A generator in the place of the user's, which it draws from, and to whose state it goes back in the end.

    Args:
        argument: which leaf of the arguments it is, if it is one.
        write: writes a call down; see `Recorder.add`.
    """

    def __init__(self, generator: np.random.Generator, argument: int | None, write: Callable[..., Any]) -> None:
        super().__init__(generator.bit_generator)
        self._original = generator
        self._argument = argument
        self._write = write
        self._state = generator.bit_generator.state

    def restore(self) -> None:
        """As if nothing had been drawn."""
        self._original.bit_generator.state = self._state

    def __getattribute__(self, name: str) -> Any:
        plain = object.__getattribute__(self, name)
        if name.startswith("_") or name in ("restore", "bit_generator") or not callable(plain):
            return plain
        if name in _IN_PLACE:
            raise UsageError(f"rng.{name}() in a compiled function: write rng.permutation, which returns what it draws")
        write = object.__getattribute__(self, "_write")
        whence = (object.__getattribute__(self, "_original"), object.__getattribute__(self, "_argument"))

        def draw(*args: Any, **kwargs: Any) -> Any:
            drawn = Draw(*whence, name, args, kwargs)
            value = drawn.forward()
            return write(drawn, (), {}, value if hasattr(value, "dtype") else np.asarray(value)[()])

        return draw


@contextmanager
def generators_of(f: Callable[..., Any], stand_in: Callable[[Any, str, np.random.Generator], Any]) -> Iterator[None]:
    """Put stand-ins in the place of the generators that a function finds outside, for as long as the block runs.

    A stand-in is made of who has the generator, under what name, and the generator.
    """
    function = inspect.unwrap(f)
    function = getattr(function, "__func__", function)
    cells = [
        (cell, cell.cell_contents)
        for cell in getattr(function, "__closure__", None) or ()
        if isinstance(_content(cell), np.random.Generator)
    ]
    names = function.__code__.co_names if inspect.isfunction(function) else ()
    scope = getattr(function, "__globals__", {})
    generators = [(name, scope[name]) for name in names if isinstance(scope.get(name), np.random.Generator)]
    for cell, generator in cells:
        cell.cell_contents = stand_in(cell, "cell_contents", generator)
    for name, generator in generators:
        scope[name] = stand_in(scope, name, generator)
    try:
        yield
    finally:
        for cell, generator in cells:
            cell.cell_contents = generator
        for name, generator in generators:
            scope[name] = generator


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None
