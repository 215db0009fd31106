"""Files in the format safetensors, read only if they are sound."""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, MissingExtraError
from tinygrad_lite.foundation.whole_files import check_regular

Files = str | os.PathLike[str]
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "C64": "complex64",
    **{f"{kind[0].upper()}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}
PICKLE_ADVICE = "in PyTorch, write the weights with safetensors.torch.save_file(model.state_dict(), path)"
LARGEST_HEADER = 100_000_000
"""The most bytes of names and metadata that the library reads."""


def _library() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingExtraError("reading and writing safetensors", "safetensors", "files") from None
    return safetensors


def is_pickle(data: bytes) -> bool:
    """Whether a file that begins like this may be one of torch.save, a zip file now and a pickle formerly.

    So may a safetensors file begin, with the length of its header; but then the header follows.
    """
    return data.startswith((b"PK", b"\x80")) and data[8:9] != b"{"


def read(path: Files) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays in a file, and its metadata; a bfloat16, which NumPy lacks, becomes a float32 of the same value.

    Raises:
        FileError: if it is not a regular file.
        InputError: if it is damaged, or has a dtype that NumPy lacks.
    """
    check_regular(path)
    library = _library()
    data = Path(path).read_bytes()
    if is_pickle(data):
        raise InputError(f"{os.fspath(path)} is a pickle, as of torch.save, and no safetensors file: {PICKLE_ADVICE}")
    try:
        tensors = library.deserialize(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (library.SafetensorError, ValueError, RecursionError) as error:
        raise InputError(
            f"{os.fspath(path)} is truncated or damaged, or not a safetensors file: it has {len(data):,} bytes; {error}"
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


def checksum(arrays: Mapping[str, Array], about: str) -> str:
    """A number that is another one if a bit of the arrays changes, or of what is said about them."""
    total = zlib.crc32(about.encode())
    for name in sorted(arrays):
        array = arrays[name]  # of one without entries, all that may change is its shape
        total = zlib.crc32(array.tobytes() or str(array.shape).encode(), total)
    return f"{total:08x}"


def written(arrays: Mapping[str, Array], metadata: dict[str, str]) -> bytes:
    """The content of a file with these arrays, in C order, of dtypes that the format has."""
    saved: bytes = _library().numpy.save(dict(arrays), metadata)
    return saved
