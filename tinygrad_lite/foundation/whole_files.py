"""Files that are written whole or not at all."""

import os
import sys
from contextlib import suppress
from glob import escape
from pathlib import Path
from secrets import token_hex
from typing import Any

from tinygrad_lite.errors import FileError

if sys.platform != "win32":
    from fcntl import LOCK_EX, LOCK_NB, flock


def replace(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all: whoever opens the path, at any moment, finds the old content or the new one.

    The content goes into a temporary file of the same folder, which takes the name of the old file after it is on the
    disk. The remains of a killed process's earlier attempts are deleted.

    Raises:
        FileError: if it cannot be written; the old file is as it was then.
    """
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            raise OSError("it is not a regular file")
        partial = target.with_name(f".{target.name}.{token_hex(4)}.partial")
        _delete_orphans(target)
        try:
            with open(partial, "xb") as file:
                _mark_as_in_use(file)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                if sys.platform != "win32":
                    os.replace(partial, target)  # as long as the mark holds
            if sys.platform == "win32":
                os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except (OSError, ValueError) as error:  # ValueError for a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"cannot write {os.fspath(path)}: {reason}; what was there before is unchanged") from error


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise `FileError` if the path is not a file that can be read to its end, but a folder, for example."""
    place = Path(path)
    if place.exists() and not place.is_file():
        raise FileError(f"{os.fspath(path) or repr('')} is not a regular file")


def check_folder(path: str | os.PathLike[str]) -> None:
    """Raise `FileError` if the folder of a file does not exist, or takes no files."""
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        reason = "takes no files of yours" if folder.is_dir() else "does not exist"
        raise FileError(f"cannot write {os.fspath(path)}: the folder {folder} {reason}")


def _mark_as_in_use(file: Any) -> None:
    """Lock a file for as long as it is open, and this process alive."""
    if sys.platform != "win32":
        with suppress(OSError):  # a file system without locks: then nothing is deleted either
            flock(file, LOCK_EX | LOCK_NB)


def _delete_orphans(target: Path) -> None:
    """Delete the temporary files of this path whose writers are dead."""
    if sys.platform != "win32":
        for partial in target.parent.glob(f".{escape(target.name)}.*.partial"):
            with suppress(OSError), open(partial, "rb") as file:
                flock(file, LOCK_EX | LOCK_NB)
                partial.unlink()


def _sync_folder(folder: Path) -> None:
    """Wait until the new name is on the disk."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # some network file systems cannot
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
