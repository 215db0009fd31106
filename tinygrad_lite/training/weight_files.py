"""Files in the format safetensors: read only if they are sound, and written whole or not at all."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from glob import escape
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import FileError, InputError, MissingExtraError

if sys.platform != "win32":
    from fcntl import LOCK_EX, LOCK_NB, flock

Files = str | os.PathLike[str]
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "C64": "complex64",
    **{f"{kind[0].upper()}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}
LARGEST_HEADER = 100_000_000
"""The most bytes of names and metadata that the library reads."""


def _library() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingExtraError("reading and writing safetensors", "safetensors", "files") from None
    return safetensors


def read(path: Files) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays in a file, and its metadata; a bfloat16, which NumPy lacks, becomes a float32 of the same value.

    Raises:
        FileError: if it is no regular file.
        InputError: if it is damaged, or has a dtype that NumPy lacks.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(f"{os.fspath(path)} is not a regular file")
    library = _library()
    data = Path(path).read_bytes()
    try:
        tensors = library.deserialize(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (library.SafetensorError, ValueError, RecursionError) as error:
        raise InputError(
            f"{os.fspath(path)} is truncated or damaged, or no file of safetensors: it has {len(data):,} bytes; {error}"
        ) from None
    return {name: _array(path, name, **about) for name, about in tensors}, header.get("__metadata__") or {}


def _array(path: Files, name: str, dtype: str, shape: list[int], data: bytes) -> Array:
    try:
        if dtype == "BF16":  # the upper half of a float32
            return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
        if dtype == "BOOL":  # in a damaged file, a byte may be other than 0 and 1
            return np.frombuffer(data, np.uint8).astype(bool).reshape(shape)
        return np.frombuffer(data, np.dtype(_DTYPES[dtype]).newbyteorder("<")).astype(_DTYPES[dtype]).reshape(shape)
    except KeyError:
        raise InputError(f"{os.fspath(path)}: {name} is of the dtype {dtype}, which NumPy lacks") from None
    except ValueError as error:
        raise InputError(f"{os.fspath(path)}: {name} has the shape {shape}: {error}") from None


def written(arrays: Mapping[str, Array], metadata: dict[str, str]) -> bytes:
    """The content of a file with these arrays, in C order, of dtypes that the format has."""
    saved: bytes = _library().numpy.save(dict(arrays), metadata)
    return saved


def replace(path: Files, data: bytes) -> None:
    """Write a file whole or not at all: whoever opens the path, at any moment, finds the old content or the new one.

    The content goes into a temporary file of the same folder, which takes the name of the old file after it is on the
    disk. What a killed process has left there of an earlier attempt is deleted.

    Raises:
        FileError: if it cannot be written; the old file is as it was then.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name}.{token_hex(4)}.partial")
    if target.exists() and not target.is_file():
        raise FileError(f"{os.fspath(path)} is not a regular file: choose another path")
    try:
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
    except OSError as error:
        raise FileError(
            f"{os.fspath(path)} was not written: {error.strerror or error}; what was there before is unchanged"
        ) from error


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
