"""Compiles the source of loops to machine code with Numba, and keeps the code on disk for the next time.

The key of a file covers everything that the code depends on: the source and its types, the versions of Python, NumPy,
Numba and LLVM, and the processor. A file that cannot be read, because another process is writing it or was killed in
the middle, is compiled anew.
"""

import hashlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lite.compiler.native import functions
from tinygrad_lite.compiler.native.source import NativeSource

TRIED = [(0, 68)]  # versions of Numba
OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}  # no flag that rules out NaN or ∞


def compiled(source: NativeSource) -> dict[int, Callable[..., None]]:
    """A function for each part of the program that is loops."""
    import numba

    types_of_arguments = [_type_of(x.dtype, len(x.shape)) for x in source.arguments]
    buffers = [numba.types.Array(numba.from_dtype(dtype), 1, "C") for dtype in source.buffers]
    signature: Any = numba.void(*types_of_arguments, *buffers)
    return {position: _compiled(f"part_{position}", text, signature) for position, text in source.texts.items()}


def compiled_repetition(source: NativeSource, text: str, others: list[Any]) -> Callable[..., None]:
    """A function for many turns of a program; see `repeated` in writer.py. `others`: dtypes of its last arguments."""
    import numba

    types_of_arguments: list[Any] = [numba.int64]
    for x in source.arguments:
        types_of_arguments += [_type_of(x.dtype, len(x.shape) + 1), numba.int64] if x.shape else [_type_of(x.dtype, 0)]
    types_of_arguments += [numba.types.Array(numba.from_dtype(dtype), 1, "C") for dtype in (*source.buffers, *others)]
    return _compiled(text[4 : text.index("(")], text, numba.void(*types_of_arguments))


def cache_directory() -> Path:
    """The folder for machine code: TINYGRAD_LITE_CACHE, or a folder in the user's cache."""
    chosen = os.environ.get("TINYGRAD_LITE_CACHE")
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen) if chosen else users / "tinygrad_lite"


def _compiled(name: str, text: str, signature: Any) -> Callable[..., None]:
    import numba

    config: Any = numba.core.config
    before, config.SLP_VECTORIZE = config.SLP_VECTORIZE, 1  # combine neighbouring statements into vector instructions
    try:
        return _function(name, text, signature)
    finally:
        config.SLP_VECTORIZE = before


def _function(name: str, text: str, signature: Any) -> Callable[..., None]:
    """The function's raw entry point, which assumes arguments of the types that it was compiled for."""
    import numba

    home = cache_directory() / _key(text, signature)
    file = home / "loops.py"
    try:
        _write(file, text)
        made = numba.njit(cache=True, **OPTIONS)(_defined(name, text, str(file)))
        return _kept(made, signature) or _made(made, signature)
    except Exception:
        shutil.rmtree(home, ignore_errors=True)
    return _made(numba.njit(**OPTIONS)(_defined(name, text, "<compiled>")), signature)


def _made(dispatcher: Any, signature: Any) -> Callable[..., None]:
    functions.introduce()
    dispatcher.compile(signature)
    (result,) = dispatcher.overloads.values()
    return result.entry_point  # type: ignore[no-any-return]


def _kept(dispatcher: Any, signature: Any) -> Callable[..., None] | None:
    """The entry point from disk, if it is there.

    Numba would first import everything that a compilation needs, which takes ten times as long. Machine code needs only
    the part that runs it; this was tested with certain versions.
    """
    from numba import version_info
    from numba.core.runtime.nrt import rtsys

    if version_info.short not in TRIED:
        return None
    rtsys.initialize(dispatcher.targetctx)
    result = dispatcher._cache._load_overload(signature, dispatcher.targetctx)
    return result and result.entry_point  # type: ignore[no-any-return]


def _defined(name: str, text: str, file: str) -> Callable[..., None]:
    # as a function of this module's, whose globals it is given when it is read from disk
    own = {function.__name__: function for function in functions.BY_NUMPYS.values()}
    scope: dict[str, Any] = {"np": np, "__name__": __name__, **own}
    exec(compile(text, file, "exec"), scope)  # noqa: S102
    return scope[name]  # type: ignore[no-any-return]


def _write(file: Path, text: str) -> None:
    """Write a file as a whole or not at all, unless it is there."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as half:
        half.write(text)
    os.replace(half.name, file)


def _key(text: str, signature: Any) -> str:
    import llvmlite
    import numba

    cpu = (llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten())
    versions = (sys.version, np.__version__, numba.__version__, llvmlite.__version__, platform.machine())
    facts = repr((text, functions.text(), str(signature), sorted(OPTIONS), versions, cpu))
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def _type_of(dtype: Any, ndim: int) -> Any:
    """The Numba type of a number, or of an array that is only read."""
    import numba

    kind = numba.from_dtype(dtype)
    return numba.types.Array(kind, ndim, "C", readonly=True) if ndim else kind
