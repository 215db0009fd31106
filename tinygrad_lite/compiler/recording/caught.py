"""Hears errors that the function catches, if they are about what stands in for an array while it is recorded.

Python itself and other libraries refuse such a stand-in, as `memoryview(x)` and `json.dumps(x.tolist())` do, where they
would have taken the array. A function that catches that error goes on in a way in which it would not go without being
recorded, so the recording has to end.
"""

import dis
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

from tinygrad_lite.compiler.recording.recorded import Recorded
from tinygrad_lite.readers.recording import is_followed, is_users

_ABOUT_OTHER_THINGS = KeyError, IndexError, AttributeError, StopIteration, ImportError, OSError
"""Errors of Python itself that hardly complain about a kind of argument; those of a stand-in are heard by itself."""
_DEPTH = 3
_TOOL = "tinygrad_lite"


@contextmanager
def hearing_errors(hear: Callable[[str], None], catches_errors: bool) -> Iterator[None]:
    """For the block, call `hear` with a description of each error about a stand-in that somebody may catch.

    Python 3.12 and later tell of errors that are handled, which costs nothing. Python 3.11 has a trace function for
    this, which takes two fifths more time: it is there only if the user's code catches errors, and nobody else traces.
    """

    def note(error: BaseException, traceback: TracebackType | None) -> None:
        if traceback is not None and (refused := _refused(error, traceback)):
            hear(refused)

    if sys.version_info >= (3, 12):
        hearing = _by_monitoring(note)
    else:
        hearing = _by_tracing(note) if catches_errors and sys.gettrace() is None else nullcontext()
    with hearing:
        yield


@contextmanager
def _by_monitoring(note: Callable[[BaseException, TracebackType | None], None]) -> Iterator[None]:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
    tool = next((i for i in (4, 3) if monitoring.get_tool(i) is None), None)
    if tool is None:
        yield
        return
    thread = threading.get_ident()

    def handled(code: CodeType, instruction: int, error: BaseException) -> None:
        if is_users(code.co_filename) and threading.get_ident() == thread:
            note(error, error.__traceback__)

    monitoring.use_tool_id(tool, _TOOL)
    monitoring.register_callback(tool, monitoring.events.EXCEPTION_HANDLED, handled)
    monitoring.set_events(tool, monitoring.events.EXCEPTION_HANDLED)
    try:
        yield
    finally:
        monitoring.set_events(tool, 0)
        monitoring.register_callback(tool, monitoring.events.EXCEPTION_HANDLED, None)
        monitoring.free_tool_id(tool)


@contextmanager
def _by_tracing(note: Callable[[BaseException, TracebackType | None], None]) -> Iterator[None]:
    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if not is_users(frame.f_code.co_filename):
            return None
        frame.f_trace_lines = False
        if event == "exception":
            note(argument[1], argument[2])
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        if sys.gettrace() is trace:  # else the function has begun to debug itself
            sys.settrace(None)


def _refused(error: BaseException, traceback: TracebackType) -> str:
    """What an error is about, in words; empty if it is not about a stand-in, or comes from one itself."""
    frames = [traceback.tb_frame]
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
        frames.append(traceback.tb_frame)
    code = traceback.tb_frame.f_code
    if isinstance(error, _ABOUT_OTHER_THINGS) or not is_users(code.co_filename) or _is_for_this_package(frames[0]):
        return ""
    is_of_c = dis.opname[code.co_code[traceback.tb_lasti]].startswith(("CALL", "PRECALL"))
    if is_followed(code.co_filename) and not is_of_c:  # the user's own statement
        return ""
    last = max((i for i, frame in enumerate(frames) if is_followed(frame.f_code.co_filename)), default=-1)
    refusing = frames[last + 1 :] or frames[last:]  # the library's own, of which the user's function knows nothing
    if not any(_is_stand_in(x, _DEPTH) for frame in refusing for x in frame.f_locals.values()):
        return ""
    line = f"{Path(frames[0].f_code.co_filename).name}:{frames[0].f_lineno}"
    return (
        f"the function catches an error at {line} that it may meet only while it is recorded\n"
        f"({type(error).__name__}: {error}): call what raises it outside the compiled function"
    )


def _is_for_this_package(frame: FrameType | None) -> bool:
    """Whether this package called a library's function by itself, as it asks `inspect` for a signature."""
    while frame is not None and is_users(frame.f_code.co_filename):
        if is_followed(frame.f_code.co_filename):
            return False
        frame = frame.f_back
    return True


def _is_stand_in(x: Any, depth: int) -> bool:
    """Whether something stands in for an array or a number, or a container of Python has such in it."""
    if type(x) is Recorded:
        return True
    entries = x.values() if type(x) is dict else x if type(x) in (list, tuple) else ()
    return depth > 0 and any(_is_stand_in(y, depth - 1) for y in entries)
