"""A wrong derivative, as a learner wrote it, and the function that it is of."""

import itertools
import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite.exercises.declaration import Declaration
from tinygrad_lite.exercises.submission import Form


def written(code: str, name: str) -> Callable[..., Any]:
    """The function of this name in a text, as if a learner had written it: with its lines, which a mark shows."""
    file = f"<{name}>"
    linecache.cache[file] = len(code), None, code.splitlines(keepends=True), file
    scope: dict[str, Any] = {"np": np, "calls": itertools.count()}
    exec(compile(code, file, "exec"), scope)  # noqa: S102  our own examples
    function: Callable[..., Any] = scope[name]
    return function


@dataclass(frozen=True)
class Example:
    """A function, and a wrong derivative of it, as the expression that a learner returned.

    The fields other than `wrong` are those of `tg.exercises.declare`.
    """

    function: Callable[..., Any]
    wrong: str
    inputs: tuple[Mapping[str, Any], ...]
    write: Form = "derivative"
    by: str | None = None

    def declaration(self, name: str) -> Declaration:
        """The example as an exercise of this name."""
        inputs = tuple({key: np.array(x)[()] for key, x in trial.items()} for trial in self.inputs)
        return Declaration(name, "", self.function, self.write, inputs, self.by)

    def code(self, name: str) -> str:
        """The wrong derivative as a learner wrote it."""
        return f"{self.declaration(name).head}\n    return {self.wrong}"

    def submission(self, name: str) -> Callable[..., Any]:
        """The wrong derivative."""
        return written(self.code(name), self.write)
