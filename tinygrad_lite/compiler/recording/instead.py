"""Advice for code that needs a value while it is recorded, by what asks for the value."""

import ast
import sys
from types import FrameType

from tinygrad_lite.compiler.syntax_trees import ONE_AT_A_TIME
from tinygrad_lite.foundation.advice import in_place_of_library
from tinygrad_lite.foundation.callers import expression_at, writes_an_entry
from tinygrad_lite.nn.functional import sequence_losses
from tinygrad_lite.nn.utils import rnn
from tinygrad_lite.ops.shapes import indexing
from tinygrad_lite.optim import lr_scheduler
from tinygrad_lite.readers.recording import calling_frame

_ARGUMENT = "or pass the value that Python needs as an argument that is a plain number"
_OF_A_SCHEDULE = "call the step() of the schedule after the compiled function, which follows the rate that it sets"
_OF_ITS_FUNCTION = "; or write np.where, np.minimum and np.maximum in place of `if`, min and max in its function"
_OF_AN_ENTRY = (
    "make the array with np.zeros_like(x, shape=...), where x is an argument; or write np.stack([...]) or "
    "tg.array([...]) in place of array[i] = value, or x = x.at[i].set(value) of a tensor x"
)
_OF_ENTRIES = (
    "write a sum over a mask, such as np.sum(np.where(condition, x, 0)), in place of one over np.extract or np.compress"
)
_OF_PIECES = (
    "write np.select(conditions, [f(x), g(x)]) in place of np.piecewise(x, conditions, [f, g]), with functions that "
    "are finite for all of x"
)
_OF_LENGTHS = (
    "pass the lengths as a list, lengths.tolist(): each list has a program of its own, which pays if the same few come "
    "again and again"
)
_BY_FUNCTION = {
    indexing.compress.__code__: _OF_ENTRIES,
    indexing.extract.__code__: _OF_ENTRIES,
    indexing.piecewise.__code__: _OF_PIECES,
    sequence_losses.ctc_loss.__code__: "pass ctc_loss its targets as rows of one length, (N, S), in place of all of "
    "them one after the other; the rows may end in any labels",
    rnn.pack_padded_sequence.__code__: _OF_LENGTHS,
    rnn.unpad_sequence.__code__: _OF_LENGTHS,
}
_OF_A_NUMBER = (
    "write t.item() in place of float(t) and int(t), NumPy's functions in place of those of math, np.stack([...]) in "
    f"place of np.array([...]), {_ARGUMENT}"
)
_BY_METHOD = {
    "__bool__": "write np.where(condition, a, b) in place of `if`, np.maximum and np.minimum in place of max and min, "
    + _ARGUMENT,
    "__array__": "write np.stack([...]) or tg.array([...]) in place of np.array([...]), leave out np.asarray(t), "
    f"declare with tg.primitive what needs a plain array, {_ARGUMENT}",
    "__format__": "return what you want to print, and print it after the call",
}


def instead() -> str:
    """What to write in place of the code that asks for a value at this moment."""
    user = calling_frame()
    inside, outside = _until(user, sys._getframe(1)), _until(None, user)
    method = next((name for frame in inside if (name := frame.f_code.co_name) in _BY_METHOD), "")
    if any(map(_is_of_a_schedule, outside)):
        return _OF_A_SCHEDULE + _OF_ITS_FUNCTION
    if any(map(_is_of_a_schedule, inside)):
        return _OF_A_SCHEDULE
    if user is not None and writes_an_entry(user):
        return _OF_AN_ENTRY
    if advice := next((_BY_FUNCTION[frame.f_code] for frame in inside if frame.f_code in _BY_FUNCTION), ""):
        return advice
    if advice := next(filter(None, map(in_place_of_library, inside)), ""):
        return advice
    with ONE_AT_A_TIME:
        read = None if user is None else expression_at(user)
    if not isinstance(read, ast.Subscript) or _is_cut(read.slice):
        return _BY_METHOD.get(method, _OF_A_NUMBER)
    return f"write {_read_of('tg.tensor', read)} in place of {ast.unparse(read)}" + (
        "" if method == "__array__" else f", {_read_of('np.stack', read)} if it is a list of tensors, {_ARGUMENT}"
    )


def _is_of_a_schedule(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(lr_scheduler.__name__)


def _until(end: FrameType | None, frame: FrameType | None) -> list[FrameType]:
    """The frames from one outwards, before another."""
    frames = []
    while frame is not None and frame is not end:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _is_cut(index: ast.expr) -> bool:
    """Whether an index has a slice with a bound that is computed; what is inside an array of indices does not count."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    bounds = (bound for x in parts if isinstance(x, ast.Slice) for bound in (x.lower, x.upper, x.step))
    return not all(bound is None or isinstance(bound, ast.Constant) for bound in bounds)


def _read_of(function: str, read: ast.Subscript) -> str:
    """The same entry of what a function makes of an array or a list."""
    return ast.unparse(ast.Subscript(ast.Name(f"{function}({ast.unparse(read.value)})"), read.slice))
