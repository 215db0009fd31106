"""Runs the cells of a page one after another, with the same names: what they print, their last value, their error."""

import ast
import contextlib
import inspect
import io
import linecache
import traceback
from collections.abc import Callable
from typing import Any


class Written(io.TextIOBase):
    """A stream that hands on what is written to it."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write = write

    def write(self, text: str) -> int:
        """Hand on a text."""
        self._write(text)
        return len(text)


class Session:
    """The names that cells share."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self._cells = 0

    def run(self, code: str, write: Callable[[str], Any]) -> dict[str, str]:
        """Run a cell: the result has its `error`, the `value` of its last line, or that value as a `page` of HTML."""
        self._cells += 1
        file = f"<cell {self._cells}>"
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        stream = Written(write)
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            try:
                value = self._last(code, file)
                if value is None:
                    return {}
                if inspect.ismethod(value):
                    return {"value": f"{value.__name__} is not called yet: write () behind it"}
                page = getattr(value, "_repr_html_", None)
                return {"page": page()} if page else {"value": repr(value)}
            except BaseException as error:  # of the reader's code, which may raise anything, SystemExit included
                return {"error": _told(error)}

    def _last(self, code: str, file: str) -> Any:
        """The value of the last line, if it is an expression."""
        tree = ast.parse(code, file)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, file, "exec"), self.names)  # noqa: S102  the reader's own code
        if last is None:
            return None
        return eval(compile(ast.Expression(last.value), file, "eval"), self.names)  # noqa: S307


def _told(error: BaseException) -> str:
    """An error as Python prints it, without the lines of this file and of libraries."""
    report = traceback.TracebackException.from_exception(error)
    report.__cause__ = report.__context__ = None
    lines = [frame for frame in report.stack if frame.filename.startswith("<cell ")]
    report.stack = traceback.StackSummary.from_list(lines)
    text = "".join(report.format())
    text = text if lines else text.removeprefix("Traceback (most recent call last):\n")
    advice = _advice_on(error)
    return f"{text}{advice}\n" if advice not in text else text


def _advice_on(error: BaseException) -> str:
    """What the reader may have meant, if that is known."""
    try:
        from tinygrad_lite.exercises.advice import advice_on
    except ImportError:  # Python runs without the package, too
        return ""
    return advice_on(error)
