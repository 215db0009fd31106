"""Notes what a person would call the values of a program: by the user's own names, or those of the operations."""

import ast
import functools
import linecache
from types import FrameType
from typing import Any

from tinygrad_lite.compiler.identifiers import identifier
from tinygrad_lite.compiler.program import Variable
from tinygrad_lite.compiler.syntax_trees import ONE_AT_A_TIME

_EXPRESSIONS = frozenset({"<lambda>", "<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>"})


class Namer:
    """Notes during the recording of a function what a person would call each result."""

    def __init__(self) -> None:
        self._visits: list[tuple[FrameType, int, Variable]] = []
        self._open: dict[FrameType, tuple[int, int, int]] = {}
        self._gradients: dict[Variable, Variable] = {}
        self._operations: dict[Variable, str] = {}

    def operation(self, result: Variable, op: Any) -> None:
        """Note that the result comes from this operation."""
        self._operations[result] = op.name

    def line(self, result: Variable, frame: FrameType) -> None:
        """Note that the result was computed on this frame's line; each time, a line assigns its last result.

        A new turn has begun if the frame was at another line since, or goes back within its line.
        """
        known, instruction, visit = self._open.get(frame, (0, -1, 0))  # frames, since another may have an id later
        now = frame.f_lasti
        line = known if now == instruction else frame.f_lineno  # for which Python reads a table from its beginning
        if line != known or now < instruction:
            visit = len(self._visits)
            self._visits.append((frame, line, result))
        self._visits[visit] = frame, line, result
        self._open[frame] = line, now, visit

    def gradient(self, result: Variable, of: Variable) -> None:
        """Note that the result was computed for the gradient of this; the last such result is the gradient."""
        self._gradients[of] = result

    def finish(self) -> None:
        """Name the results."""
        for frame, line, result in self._visits:
            is_function = frame.f_code.co_name in _EXPRESSIONS  # then the line assigns something around it
            target = None if is_function else _assigned(frame.f_code.co_filename, line)
            if target:
                result.name, result.is_named = target, True
        self._visits.clear()
        self._open.clear()
        for of, result in self._gradients.items():
            if result.name is None:
                result.name = f"d_{identifier(of.name or self._operations.get(of, 'value'))}"
        for result, name in self._operations.items():
            result.name = result.name or name


@functools.cache
def _assigned(file: str, line: int) -> str | None:
    """The variable or attribute that a line of source assigns, if it is one statement and assigns one."""
    try:
        with ONE_AT_A_TIME:
            (statement,) = ast.parse(linecache.getline(file, line).strip()).body
    except (SyntaxError, ValueError):
        return None
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    if len(targets) == 1 and isinstance(targets[0], ast.Attribute):
        return targets[0].attr
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None
