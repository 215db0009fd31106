"""Random draws in a recorded function: each becomes a call of the program, which draws anew in each run."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_lite.compiler.draws import Draw
from tinygrad_lite.errors import UsageError

_IN_PLACE = ("shuffle", "spawn")


class RecordedGenerator(np.random.Generator):
    """Stands in for the user's generator: it draws from it, and restores its state in the end.

    Args:
        argument: its index among the leaves of the arguments, if it is one of them.
        write: records a call, see `Recorder.add`.
    """

    def __init__(self, generator: np.random.Generator, argument: int | None, write: Callable[..., Any]) -> None:
        super().__init__(generator.bit_generator)
        self._original = generator
        self._argument = argument
        self._write = write
        self._state = generator.bit_generator.state

    def restore(self) -> None:
        """Restore the generator's state, as if nothing had been drawn."""
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
    """For the block, replace the generators that a function uses from outside by stand-ins.

    `stand_in` takes the owner of a generator, the generator's name there, and the generator.
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
