"""Finds a mistake in the text of a gradient that others wrote: an expression in whose place another makes it right.

A gradient that assigns into arrays or makes plain numbers cannot be followed operation by operation. Its text can be
changed nevertheless, and be run again: that of the function itself, and those of the functions of the user's that it
calls. These get other code for as long as a change is tried, which writes nowhere else.
"""

import ast
import gc
import io
import linecache
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing.edits import at, edits, own, put
from tinygrad_lite.checking.diagnosing.local import same
from tinygrad_lite.checking.diagnosing.repairs import RIGHT_WITH
from tinygrad_lite.checking.evidence.examination import Comparison, Examination, silence
from tinygrad_lite.checking.subjects.subject import Matrix, Vector, random_weights
from tinygrad_lite.checking.subjects.supplied import Gradient
from tinygrad_lite.readers.recording import is_users

_TOLERANCE = 1e-6
_ASIDE = 0.02  # how far other points are, relative to the scales of the variables
_OTHERS = 2  # the number of other points at which a change must make the gradient right as well
_MOST = 6  # the largest number of functions whose text is changed
_SECONDS = 5.0  # for how long, without the time that other processes take
_SHOWN = 60  # the largest number of characters of an expression that are shown
_NOT_AGAIN = (
    ast.While,
    ast.With,
    ast.Yield,
    ast.YieldFrom,
    ast.Await,
    ast.Global,
    ast.Nonlocal,
    ast.Delete,
    ast.Import,
)
"""What a function that runs with changes thousands of times must not have in it: it may never end, or do more."""
_DOES_MORE = {"open", "write", "save", "dump", "remove", "unlink", "rmtree", "system", "run", "Popen", "send", "input"}


@dataclass(frozen=True)
class _Text:
    """A function with its text, in a tree of its own."""

    functions: list[FunctionType]
    outer: ast.Module
    definition: ast.FunctionDef | ast.Lambda
    code: CodeType

    def compiled(self) -> CodeType:
        """The code of the tree as it is now."""
        made = compile(ast.fix_missing_locations(self.outer), self.code.co_filename, "exec", dont_inherit=True)
        around = next(x for x in made.co_consts if isinstance(x, CodeType))
        return next(x for x in around.co_consts if isinstance(x, CodeType) and x.co_name == self.code.co_name)

    @contextmanager
    def running(self, code: CodeType) -> Iterator[None]:
        """A block in which the functions run another code."""
        try:
            for function in self.functions:
                function.__code__ = code
            yield
        finally:
            for function in self.functions:
                function.__code__ = self.code


class Rewrite:
    """The search for another expression that makes a gradient right."""

    def __init__(self, look: Examination, comparison: Comparison) -> None:
        self._look = look
        self._target = np.where(np.isfinite(comparison.reference), comparison.reference, comparison.gradient)
        self._others: list[tuple[Vector, Vector, Vector]] | None = None

    def found(self) -> tuple[str, str] | None:
        """The line of the gradient that is wrong, and with what it would be right; None if none is found."""
        subject = self._look.subject
        gradient = subject.supplied.function if isinstance(subject.supplied, Gradient) else None
        code = getattr(gradient, "__code__", None)
        if code is None or not is_users(code.co_filename) or subject.opaque or not np.all(np.isfinite(self._target)):
            return None
        with silence(), np.errstate(all="ignore"), redirect_stdout(io.StringIO()):
            try:
                with suppress(RecursionError, SyntaxError):  # of a text that is very long
                    return self._searched(list(_texts(lambda: subject.rows(subject.point, self._look.weights))))
                return None
            finally:
                with suppress(Exception):  # what the gradient keeps of a run is again that of its own
                    subject.rows(subject.point, self._look.weights)

    def _searched(self, texts: Sequence[_Text]) -> tuple[str, str] | None:
        end = process_time() + _SECONDS
        for text in texts:
            for place, new in edits(text.definition):
                if process_time() > end:
                    return None
                old = at(place)
                put(place, own(new))
                try:
                    is_right = self._is_right_with(text)
                finally:
                    put(place, old)
                if is_right:
                    return _line(text.code, old), RIGHT_WITH.format(f"{_shown(new)} in place of {_shown(old)}")
        return None

    def _is_right_with(self, text: _Text) -> bool:
        """Whether the gradient is right, here and at other points, with a tree as it is now."""
        look = self._look
        with suppress(Exception), text.running(text.compiled()):  # what was changed may not fit
            if not self._is_right(look.subject.rows(look.subject.point, look.weights)):
                return False
            points = self._elsewhere()
            rows = [look.subject.rows(x, look.weights) @ direction for x, direction, _ in points]
            return bool(rows) and all(same(a, slope, 10 * _TOLERANCE) for a, (*_, slope) in zip(rows, points))
        return False

    def _is_right(self, rows: Matrix) -> bool:
        columns = map(self._look.subject.columns, range(len(self._look.subject.variables)))
        return all(same(rows[:, part], self._target[:, part], _TOLERANCE) for part in columns)

    def _elsewhere(self) -> list[tuple[Vector, Vector, Vector]]:
        """Other points, each with a direction and the right slope along it."""
        if self._others is None:
            self._others, look, rng = [], self._look, np.random.default_rng(1)
            for _ in range(_OTHERS):
                aside = _ASIDE * look.scales * rng.uniform(-1, 1, len(look.scales))
                direction = look.scales * random_weights(rng, len(look.scales))
                x = look.subject.point + aside
                by_differences = look.method == "differences"
                slope = look.difference_beside(aside, direction).slope if by_differences else look.slope(x, direction)
                self._others.append((x, direction, slope))
        return self._others


def _texts(call: Callable[[], Any]) -> Iterator[_Text]:
    """The functions of the user's that run in a call, in the order in which they begin."""
    codes: list[CodeType] = []

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and is_users(frame.f_code.co_filename) and frame.f_code not in codes:
            codes.append(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    left = _MOST
    for code in codes:
        with suppress(Exception):  # its file is not there, or no Python
            if left and (text := _text(code)):
                left -= 1
                yield text


def _text(code: CodeType) -> _Text | None:
    """The functions with this code, with their text; None if that is another one, or does more than to compute."""
    functions = [x for x in gc.get_referrers(code) if isinstance(x, FunctionType) and x.__code__ is code]
    tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    imports = [
        x for x in tree.body if isinstance(x, (ast.Import, ast.ImportFrom))
    ]  # whose names have code of their own
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.Lambda)) or _first_line(node) != code.co_firstlineno:
            continue
        node.args.defaults, node.args.kw_defaults = [], [None for _ in node.args.kw_defaults]
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
        names = [ast.arg(name) for name in code.co_freevars]
        body: list[ast.stmt] = [ast.Expr(node) if isinstance(node, ast.Lambda) else node]
        outer = ast.FunctionDef("outer", ast.arguments([], names, None, [], [], None, []), body, [])
        text = _Text(functions, ast.Module([*imports, outer], []), node, code)
        with suppress(StopIteration):
            again = text.compiled()
            if (again.co_code, again.co_names) == (code.co_code, code.co_names) and not _does_more(node):
                return text if functions else None
    return None


def _first_line(node: ast.FunctionDef | ast.Lambda) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _does_more(node: ast.AST) -> bool:
    parts = [*ast.walk(node)]
    called = {getattr(part.func, "attr", getattr(part.func, "id", "")) for part in parts if isinstance(part, ast.Call)}
    return any(isinstance(part, _NOT_AGAIN) for part in parts) or bool(called & _DOES_MORE)


def _line(code: CodeType, node: Any) -> str:
    """The line of an expression."""
    text = linecache.getline(code.co_filename, node.lineno).strip() if hasattr(node, "lineno") else ""
    line = getattr(node, "lineno", code.co_firstlineno)
    return f"{code.co_name}, at {Path(code.co_filename).name}:{line}: {text}".rstrip(": ")


def _shown(node: Any) -> str:
    """The text of an expression, without its middle if it is long."""
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return f"`{text}`" if len(text) <= _SHOWN else f"`{text[: _SHOWN // 2]} … {text[-_SHOWN // 2 :]}`"
