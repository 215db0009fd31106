"""Callers: which function of a library, or which expression of the user's, asks for a value, by Python's frames."""

import sys
from collections.abc import Container
from functools import lru_cache
from itertools import takewhile
from opcode import opmap
from pathlib import Path
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import Any

import numpy as np

from tinygrad_lite.errors import TinygradError

PACKAGE = str(Path(__file__).parents[1])
LIBRARIES = ("numpy", "scipy", "pandas", "sklearn", "statsmodels", "xarray")
_STORES = {opmap[name] for name in ("STORE_SUBSCR", "STORE_SLICE") if name in opmap}
"""The instructions for array[i] = value; Python 3.12 and later have another for a slice."""
_CALLS = {code for name, code in opmap.items() if name.startswith("CALL")}


def library_at(frame: FrameType) -> str | None:
    """The library, or the library function, that runs in a frame, if that is known: scipy.integrate, np.fromiter.

    A library's functions in C have no frame of their own; the frame is then the caller's.
    """
    module = frame.f_globals.get("__name__", "")
    if is_library(module):
        return _public(module)
    call = call_at(frame)
    if call is None:
        return None
    import ast

    function = value_of(call.func, frame)
    owner = getattr(function, "__self__", None)
    home = type(owner).__module__ if type(owner).__module__ == "numpy" else getattr(function, "__module__", None) or ""
    unknown_array = function is None and hasattr(np.ndarray, getattr(call.func, "attr", ""))
    is_a_librarys = is_library(home) and not isinstance(function, type)
    return ast.unparse(call.func) if is_a_librarys or unknown_array else None


def function_around(frame: FrameType, differentiable: Container[Any]) -> str | None:
    """The library function that a frame belongs to or calls, by its public name; None if there is none.

    NumPy's functions in C have no frame. Of these, it names only the `differentiable` ones, not np.array, np.asarray.
    """
    inside: FrameType | None = None
    outside: FrameType | None = frame
    while outside is not None and (_is_librarys(outside) or _is_of_ours(outside)):  # np.piecewise is ours inside
        inside, outside = outside if _is_librarys(outside) else inside, outside.f_back
    call = None if outside is None else call_at(outside)
    function: Any = None if outside is None or call is None else value_of(call.func, outside)
    if isinstance(function, np.vectorize):  # it has the name of the function that it calls
        return "np.vectorize"
    is_numpys = function is not None and getattr(np, getattr(function, "__name__", ""), None) is function
    home = "numpy" if is_numpys else getattr(function, "__module__", None) or ""  # a ufunc has none
    in_c = inside is None and home.partition(".")[0] == "numpy"
    if is_library(home) and (not in_c or function in differentiable):
        return f"{_public(home)}.{_distribution_of(getattr(function, '__self__', None))}{function.__name__}"
    return None if inside is None else _name_of(inside)


def _distribution_of(owner: Any) -> str:
    """The name of SciPy's distribution whose method is called, and a dot: they share their methods; empty if none."""
    if not type(owner).__module__.startswith("scipy.stats."):  # another object may still lack attributes
        return ""
    distribution = getattr(owner, "dist", getattr(owner, "_dist", owner))  # of one with fixed parameters
    name = type(distribution).__name__
    return f"{name.removesuffix('_gen')}." if name.endswith("_gen") else ""


def _name_of(frame: FrameType) -> str:
    """The function that runs in a frame; for a decorator's wrapper, the function that it wraps."""
    code = frame.f_code
    inner = (frame.f_locals.get(name) for name in code.co_freevars)
    wrapped = next((x for x in inner if isinstance(x, FunctionType) and is_library(x.__module__)), None)
    if wrapped is not None:
        return f"{_public(wrapped.__module__)}.{wrapped.__qualname__}"
    if isinstance(frame.f_locals.get("self"), (type(np.r_), type(np.c_))):
        return "np.r_ or np.c_"  # they are not functions: they read entries
    if distribution := _distribution_of(frame.f_locals.get("self")):
        return f"scipy.stats.{distribution}{code.co_name}"
    return f"{_public(frame.f_globals['__name__'])}.{code.co_qualname}"


def numpys_function(path: str) -> Any:
    """NumPy's function of this name, such as np.linalg.norm; None if there is none."""
    first, *names = path.split(".")
    function: Any = np if first == "np" else None
    for name in names:
        function = getattr(function, name, None)
    return function


def is_library(module: str) -> bool:
    return module.partition(".")[0] in LIBRARIES


def _is_librarys(frame: FrameType) -> bool:
    return is_library(frame.f_globals.get("__name__", ""))


def _is_of_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(PACKAGE)


def _public(module: str) -> str:
    """The public part of a module's name, with np for numpy."""
    first, *others = takewhile(lambda part: not part.startswith("_"), module.split("."))
    return ".".join(["np" if first == "numpy" else first, *others])


def writes_an_entry(frame: FrameType) -> bool:
    """Whether a frame is executing array[i] = value."""
    return _stores(frame, frame.f_lasti)


def _stores(frame: FrameType, place: int) -> bool:
    """Whether the instruction at a place of a frame's code writes an entry."""
    return frame.f_code.co_code[place] in _STORES


def steps_of(traceback: TracebackType | None) -> list[TracebackType]:
    """The steps of a traceback, one for each frame that an error has passed through; the innermost is the last."""
    steps = []
    while traceback is not None:
        steps.append(traceback)
        traceback = traceback.tb_next
    return steps


def hidden_behind(error: Exception) -> Exception | None:
    """Our refusal to be a number of an array, if NumPy has hidden it behind its own error about a sequence."""
    ours, steps = error.__cause__, steps_of(error.__traceback__)
    # a user's own `raise ... from error` ends at neither: NumPy's code in C has no step
    is_numpys = bool(steps) and (_stores(*_instruction(steps[-1])) or _calls(*_instruction(steps[-1])))
    return ours.with_traceback(error.__traceback__) if is_numpys and isinstance(ours, TinygradError) else None


def _instruction(step: TracebackType) -> tuple[FrameType, int]:
    return step.tb_frame, step.tb_lasti


def expression_at(frame: FrameType) -> Any:
    """The expression that a frame is executing, as syntax; None if it executes none or its source is unknown."""
    return _expression(frame.f_code, frame.f_lasti)


@lru_cache(1000)
def _expression(code: CodeType, place: int) -> Any:
    import ast
    import linecache

    positions = list(code.co_positions())[place // 2]
    first, last, start, end = positions
    lines = linecache.getlines(code.co_filename)
    if None in positions or not lines:
        return None
    text = [line.encode() for line in lines[first - 1 : last]]  # type: ignore[operator]
    text[-1] = text[-1][:end]
    text[0] = text[0][start:]
    try:
        return ast.parse(b"".join(text), mode="eval").body
    except SyntaxError:
        return None


def is_printing(frame: FrameType) -> bool:
    """Whether a frame is executing a statement that is a call of print() and nothing else, so that nobody reads it."""
    return _prints(frame.f_code, frame.f_lasti)


@lru_cache(1000)  # a loop may print thousands of times, and each time reads the whole file
def _prints(code: CodeType, place: int) -> bool:
    import ast
    import linecache

    first, last, start, end = list(code.co_positions())[place // 2]
    if first is None or last is None or start is None or end is None:
        return False
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except SyntaxError:
        return False
    return any(
        (x.lineno, x.col_offset) <= (first, start) and (last, end) <= (x.end_lineno, x.end_col_offset)
        for x in ast.walk(tree)
        if isinstance(x, ast.Expr) and isinstance(x.value, ast.Call) and _is_print(x.value)
    )


def _is_print(call: Any) -> bool:
    """Whether a call is one of print(), on the terminal."""
    return getattr(call.func, "id", "") == "print" and not any(keyword.arg == "file" for keyword in call.keywords)


def array_written_at(frame: FrameType) -> Any:
    """The array into which a frame is writing by array[i] = value, if a name or a container holds it."""
    import ast

    written = expression_at(frame) if writes_an_entry(frame) else None
    return _known_at(written.value, frame) if isinstance(written, ast.Subscript) else None


def arrays_at(frame: FrameType) -> list[Any]:
    """The arrays whose entries a frame is reading, or which it passes to a function, if they have such names."""
    import ast

    read = expression_at(frame)
    if isinstance(read, ast.Subscript):
        parts = [read.value]
    elif isinstance(read, ast.Call):
        parts = [read.func.value] if isinstance(read.func, ast.Attribute) else []
        parts += [*read.args, *(keyword.value for keyword in read.keywords)]
    else:
        return []
    return [x for x in (_known_at(part, frame) for part in parts) if isinstance(x, np.ndarray)]


def _known_at(expression: Any, frame: FrameType) -> Any:
    """The value of an expression that only reads names and what objects and containers hold; otherwise None."""
    import ast

    known = (ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Tuple, ast.Constant, ast.expr_context)
    parts = list(ast.walk(expression))
    read = [part for part in parts if isinstance(part, ast.Attribute | ast.Subscript)]
    is_known = all(isinstance(part, known) for part in parts)
    if not (is_known and all(_holds(_known_at(part.value, frame), part) for part in read)):
        return None  # computing it again might change something
    return eval(compile(ast.Expression(expression), "<array>", "eval"), frame.f_globals, frame.f_locals)  # noqa: S307


def _holds(owner: Any, part: Any) -> bool:
    """Whether the owner stores an attribute or an entry; if not, somebody's code computes it on each access."""
    import ast
    from inspect import getattr_static

    kind = type(owner)
    if isinstance(part, ast.Subscript):
        return not _is_others(getattr_static(kind, "__getitem__", None))
    held = getattr_static(owner, part.attr, property())  # __getattr__ makes what is missing
    is_computed = isinstance(held, property) or _is_others(getattr(type(held), "__get__", None))
    return not is_computed and not _is_others(kind.__getattribute__)


def _is_others(method: Any) -> bool:
    """Whether a method is Python code other than that with which a recording watches reads."""
    return isinstance(method, FunctionType) and not method.__code__.co_filename.startswith(PACKAGE)


def call_at(frame: FrameType) -> Any:
    """The call that a frame is executing, as syntax; None if it executes something else or its source is unknown."""
    import ast

    expression = expression_at(frame)
    return expression if isinstance(expression, ast.Call) else None


def value_of(expression: Any, frame: FrameType) -> Any:
    """The value of a dotted name in a frame; None for any other expression."""
    import ast

    if isinstance(expression, ast.Name):
        namespaces = (frame.f_locals, frame.f_globals, frame.f_builtins)
        return next((names[expression.id] for names in namespaces if expression.id in names), None)
    if isinstance(expression, ast.Attribute):
        owner = value_of(expression.value, frame)
        return None if owner is None else getattr(owner, expression.attr, None)
    return None


def is_starred_call() -> bool:
    """Whether the running call of this package takes its arguments from a sequence, as `x.transpose(*axes)` does."""
    frame = outside_this_package()
    return frame.f_code.co_code[frame.f_lasti] == opmap["CALL_FUNCTION_EX"]


def is_calling(frame: FrameType) -> bool:
    """Whether the instruction that a frame is executing is a call."""
    return _calls(frame, frame.f_lasti)


def _calls(frame: FrameType, place: int) -> bool:
    """Whether the instruction at a place of a frame's code is a call."""
    return frame.f_code.co_code[place] in _CALLS


def sign_of_assignment(frame: FrameType) -> str:
    """The sign of an assignment such as `x += y` that a frame is executing; empty if it executes something else."""
    import dis

    here = next((x for x in dis.get_instructions(frame.f_code) if x.offset == frame.f_lasti), None)
    is_one = here is not None and here.opname == "BINARY_OP" and here.argrepr.endswith("=")
    return here.argrepr if here is not None and is_one else ""


def outside_this_package() -> FrameType:
    """The frame that called into this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return frame
