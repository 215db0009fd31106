"""Files of a page: its parts, which are in the package, and the page itself, written as a whole or not at all."""

import contextlib
import os
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from tinygrad_lite.errors import InputError


@cache
def asset(name: str) -> str:
    """The text of a part."""
    return (files("tinygrad_lite.explainer") / "page" / name).read_text(encoding="utf-8")


def filled(name: str, parts: Mapping[str, str]) -> str:
    """A page with its parts in place of their names in double braces."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], asset(name))


def write(path: Path, text: str) -> None:
    """Write a file completely or not at all.

    Raises:
        InputError: if it cannot be written; an existing file stays as it was.
    """
    unfinished = path.parent / f".{os.getpid()}.unfinished"
    try:
        if not path.name or path.is_dir():
            raise IsADirectoryError("it is a folder")
        unfinished.write_text(text, encoding="utf-8", errors="replace", newline="\n")
        os.replace(unfinished, path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
