"""Names for what a program computes: the user's own where there are, else those of the operations."""

import ast
import functools
import keyword
import linecache
import re
from collections.abc import Iterable
from types import FrameType
from typing import Any

from tinygrad_lite.compiler.program import Variable


class Namer:
    """Notes, while a function is recorded, what a person would call each result."""

    def __init__(self) -> None:
        self._lines: dict[tuple[FrameType, int], Variable] = {}
        self._gradients: dict[Variable, Variable] = {}
        self._operations: dict[Variable, str] = {}

    def operation(self, result: Variable, op: Any) -> None:
        """It came of this operation."""
        self._operations[result] = op.name

    def line(self, result: Variable, frame: FrameType) -> None:
        """It was computed on the line that runs there; the last result of a line is what the line assigns."""
        self._lines[frame, frame.f_lineno] = result  # the frame itself, since another one may have its id later

    def gradient(self, result: Variable, of: Variable) -> None:
        """It was computed as the gradient of this; the last one is that."""
        self._gradients[of] = result

    def finish(self) -> None:
        """Name the results."""
        for (frame, line), result in self._lines.items():
            is_function = frame.f_code.co_name == "<lambda>"  # which is what the line assigns then
            target = None if is_function else _assigned(frame.f_code.co_filename, line)
            if target:
                result.name = target
        self._lines.clear()
        for of, result in self._gradients.items():
            if result.name is None:
                result.name = f"d_{identifier(of.name or self._operations.get(of, 'value'))}"
        for result, name in self._operations.items():
            result.name = result.name or name


@functools.cache
def _assigned(file: str, line: int) -> str | None:
    """The variable that a line of source assigns, if it is one statement and assigns one."""
    try:
        statement = ast.parse(linecache.getline(file, line).strip()).body[0]
    except (SyntaxError, IndexError):
        return None
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


def identifier(name: str) -> str:
    """A name of Python's like this one: hidden_weight for hidden.weight, layer_0_weight for 0.weight."""
    made = re.sub(r"\W+", "_", name).strip("_") or "value"
    if made[0].isdigit():
        made = f"layer_{made}"
    return f"{made}_" if keyword.iskeyword(made) else made


def unique(names: Iterable[str]) -> list[str]:
    """A name of Python's like each of these, and each another one."""
    identifiers = Identifiers()
    return [identifiers[Variable((), None, name=name)] for name in names]


class Identifiers:
    """Names for the variables of a program, each given once."""

    def __init__(self, taken: tuple[str, ...] = ()) -> None:
        self._taken = {*taken, "np", "state"}
        self._of: dict[Any, str] = {}

    def __getitem__(self, variable: Any) -> str:
        if variable not in self._of:
            base = identifier(getattr(variable, "name", None) or "value")
            name, count = base, 1
            while name in self._taken:
                count += 1
                name = f"{base}_{count}"
            self._taken.add(name)
            self._of[variable] = name
        return self._of[variable]

    def take_over(self, variable: Any, former: Any) -> None:
        """Let a variable have the name of one that is not read any more."""
        self._of[variable] = self[former]
