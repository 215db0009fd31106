"""Names for the values of a program: the user's own names if there are any, else those of the operations."""

import ast
import functools
import keyword
import linecache
import re
import unicodedata
from collections.abc import Iterable
from types import FrameType
from typing import Any

from tinygrad_lite.compiler.program import Variable
from tinygrad_lite.compiler.syntax_trees import ONE_AT_A_TIME

# what the source itself calls by these names
_PYTHONS = ("dict", "range", "reversed", "zip", "str", "bool", "int", "float", "complex", "ValueError")
USED = ("np", "jnp", "jax", "scipy", "state", *_PYTHONS)
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
        line, instruction, visit = self._open.get(frame, (0, 0, 0))  # frames, since another may have an id later
        if frame.f_lineno != line or frame.f_lasti < instruction:
            visit = len(self._visits)
            self._visits.append((frame, frame.f_lineno, result))
        self._visits[visit] = frame, frame.f_lineno, result
        self._open[frame] = frame.f_lineno, frame.f_lasti, visit

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
    """The variable that a line of source assigns, if it is one statement and assigns one."""
    try:
        with ONE_AT_A_TIME:
            (statement,) = ast.parse(linecache.getline(file, line).strip()).body
    except (SyntaxError, ValueError):
        return None
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


def identifier(name: str) -> str:
    """A Python name like this one: hidden_weight for hidden.weight, layer_0_weight for 0.weight, chi2 for chi².

    Python takes names for the same that differ only in the forms of their letters, so they are in one form here (NFKC).
    """
    normal = unicodedata.normalize("NFKC", name)
    letters = "".join(letter if f"a{letter}".isidentifier() else "_" for letter in normal)
    made = re.sub(r"_+", "_", letters).strip("_") or "value"
    if not made.isidentifier():  # it begins with a digit, or with a mark
        made = f"layer_{made}"
    return f"{made}_" if keyword.iskeyword(made) or made in USED else made


def unique(names: Iterable[str]) -> list[str]:
    """A Python name like each of these, all different."""
    identifiers = Identifiers()
    return [identifiers[Variable((), None, name=name)] for name in names]


class Identifiers:
    """Names for the variables of a program, each given once; those of one loop may be given again in another."""

    def __init__(self, taken: tuple[str, ...] = ()) -> None:
        self._everywhere = {*taken, *USED}
        self._taken = set(self._everywhere)
        self._of: dict[Any, str] = {}
        self._count: dict[str, int] = {}
        self._called: dict[Any, Any] = {}
        self._scopes: dict[Any, set[str]] = {}

    def __getitem__(self, variable: Any) -> str:
        while variable in self._called:
            variable = self._called[variable]
        if variable not in self._of:
            base = identifier(getattr(variable, "name", None) or "value")
            scope = self._scopes.get(variable)
            taken = self._taken if scope is None else self._everywhere | scope
            name, count = base, 1 if scope is not None else self._count.get(base, 1)
            while name in taken:
                count += 1
                name = f"{base}_{count}"
            if scope is None:
                self._count[base] = count
                self._everywhere.add(name)
            else:
                scope.add(name)
            self._taken.add(name)
            self._of[variable] = name
        return self._of[variable]

    def share(self, variable: Any, other: Any) -> None:
        """Let another variable have the name of this one."""
        self._called[other] = variable

    def confine(self, variable: Any, scope: set[str]) -> None:
        """Give a variable a name that only the variables of its scope need differ from, and those of no scope."""
        self._scopes[variable] = scope
