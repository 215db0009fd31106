"""Long first calls: shows on a terminal what is being done, and pauses the garbage collector."""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

FIRST = 2.0
"""Seconds until the first message."""
EACH = 0.5
"""Seconds between later messages."""


@contextmanager
def without_collections() -> Iterator[None]:
    """A block in which Python does not look for cycles of objects.

    A program's objects stay alive, and looking through them again and again took a tenth of a long first call.
    """
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


@contextmanager
def patiently(task: str) -> Iterator[Callable[[str], None]]:
    """A function to report what is being done; if the block takes long, a terminal shows it, with the seconds."""
    doing = ""

    def say(words: str) -> None:
        nonlocal doing
        doing = words

    if not sys.stderr.isatty():
        yield say
        return
    is_over = threading.Event()
    start = perf_counter()

    def show() -> None:
        width = 0
        pause = FIRST
        while not is_over.wait(pause):
            text = f"{task}: {doing}, {perf_counter() - start:.0f} s"
            sys.stderr.write(f"\r{text:<{width}}")
            sys.stderr.flush()
            width, pause = len(text), EACH
        if width:
            sys.stderr.write(f"\r{'':<{width}}\r")
            sys.stderr.flush()

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield say
    finally:
        is_over.set()
        thread.join()
