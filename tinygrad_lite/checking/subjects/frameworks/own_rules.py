"""Calls of functions with a derivative of their own, each as a function that can be checked by itself."""

import sys
from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from types import ModuleType
from typing import Any

from tinygrad_lite.checking.subjects.arguments import argument_names
from tinygrad_lite.foundation.callers import PACKAGE
from tinygrad_lite.readers.recording import Source


class AppliedFunction:
    """A function with a derivative of its own, with the arguments of one call.

    Attributes:
        inputs: the arguments that hold the library's arrays.
        where: the function, and the line that called it.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        names: Sequence[str],
        arguments: Sequence[Any],
        is_input: Callable[[Any], bool],
        line: Source | None,
    ) -> None:
        self._function, self._arguments = function, list(arguments)
        self._numbers = [i for i, x in enumerate(arguments) if is_input(x)]
        self.inputs = [arguments[i] for i in self._numbers]
        self.__name__ = name
        self.where = f"{name}, called at {line}" if line else name
        self.__signature__ = Signature([Parameter(names[i], Parameter.POSITIONAL_ONLY) for i in self._numbers])

    def __call__(self, *inputs: Any) -> Any:
        arguments = list(self._arguments)
        for i, x in zip(self._numbers, inputs):
            arguments[i] = x
        return self._function(*arguments)


def names_of(f: Callable[..., Any], count: int) -> list[str]:
    """The names of the first arguments of a function, as an identifier each."""
    return [name.replace(" ", "_") for name in argument_names(f, count)]


def line_outside(library: ModuleType) -> Source | None:
    """The innermost line outside this package and a library."""
    not_the_users = PACKAGE, *library.__path__
    frame: Any = sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(not_the_users):
        frame = frame.f_back
    return Source(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name) if frame else None
