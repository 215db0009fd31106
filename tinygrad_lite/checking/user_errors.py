"""Errors that the user's code raises while it is checked, without the lines of this package on the way there."""

from types import TracebackType

from tinygrad_lite.readers.recording import is_users


def users_part(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that is in the user's files; None if the error is not from there."""
    frames = []
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    for frame in reversed(frames):
        file = frame.tb_frame.f_code.co_filename
        if is_users(file) and "importlib" not in file and not file.endswith("pytest_tinygrad_lite.py"):
            trace = TracebackType(trace, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return trace
