"""Errors that the user's code raises while it is checked, without the lines of this package on the way there."""

from types import TracebackType

from tinygrad_lite.foundation.callers import steps_of
from tinygrad_lite.readers.recording import is_users


def users_part(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that is in the user's files; None if the error is not from there."""
    part = None
    for step in reversed(steps_of(trace)):
        file = step.tb_frame.f_code.co_filename
        if is_users(file) and "importlib" not in file and not file.endswith("pytest_tinygrad_lite.py"):
            part = TracebackType(part, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return part
