"""Exported C, compiled by the compilers that are here and called with NumPy's arrays."""

import ctypes
import re
import shutil
import subprocess
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_INSTALLED = [name for name in ("gcc", "clang") if shutil.which(name)]
COMPILERS = [
    pytest.param("gcc", marks=pytest.mark.skipif("gcc" not in _INSTALLED, reason="gcc is not installed")),
    pytest.param(
        "clang",
        marks=[
            pytest.mark.skipif("clang" not in _INSTALLED, reason="clang is not installed"),
            *[pytest.mark.slow] * ("gcc" in _INSTALLED),
        ],
    ),
]
"""The usual run takes one of them, the slow one also the other."""
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
_COUNT = count()
_DTYPES = {
    "double": "f8",
    "float": "f4",
    "bool": "?",
    **{f"{kind}nt{8 * size}_t": f"{kind[0]}{size}" for kind in ("i", "ui") for size in (1, 2, 4, 8)},
}
_PLACE = re.compile(r"(?:const )?(\w+) (\*?)(\w+)(?:\[([\d *]+)\])?[;,)] /\* (.*): (a number|\w+ of shape \(.*\)) \*/")


class CFunction:
    """A function in a file of C.

    Attributes:
        fields: the fields of the state, each with the name of its place and its shape.
    """

    def __init__(
        self, path: Path, compiler: str = "gcc", flags: tuple[str, ...] = ("-O1",), name: str = r"\w+"
    ) -> None:
        text = path.read_text(encoding="ascii")
        library = path.with_suffix(f".{next(_COUNT)}.so")  # a library of the same name would not be loaded again
        command = [compiler, *STRICT, *flags, "-shared", "-fPIC", str(path), "-o", str(library), "-lm"]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr + text
        found = [*re.finditer(rf"^(?:void|bool) ({name})\((.*?)^{{", text, re.M | re.S)][-1]
        self._parameters = [line.strip() for line in found[2].splitlines() if line.strip()]
        kind = re.search(r"(\w+) \*state,?$", found[2], re.M)
        state = kind and re.search(rf"^typedef struct {{\n((?:    .*\n)*)}} {kind[1]};", text, re.M)
        self.fields: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._layout = np.dtype([], align=True)
        if state:
            declared = [_PLACE.fullmatch(line.strip()) for line in state[1].splitlines()]
            assert all(declared)
            self._layout = np.dtype([(m[3], _DTYPES[m[1]], _shape(m[6])) for m in declared if m], align=True)
            self.fields = {m[5]: (m[3], _shape(m[6])) for m in declared if m}
        self._function = getattr(ctypes.CDLL(str(library)), found[1])
        self._function.restype = ctypes.c_bool if found[0].startswith("bool") else None

    def state(self, values: dict[str, Any]) -> Any:
        """The state in memory: these values, in their order, come first."""
        state = np.zeros((), self._layout)
        for name, value in zip(self._layout.names or (), values.values()):
            state[name] = value
        return state

    def __call__(self, *arguments: Any, state: Any = None) -> list[Any]:
        """The results for these arrays."""
        remaining, passed, results = iter(arguments), [], []
        held = []  # while the function runs
        for line in self._parameters:
            if re.fullmatch(r"\w+ \*state[,)]", line):
                passed.append(ctypes.c_void_p(state.ctypes.data))
                continue
            found = _PLACE.fullmatch(line)
            assert found, line
            dtype = np.dtype(_DTYPES[found[1]])
            if found[5] == "a result":
                results.append(np.full(_shape(found[6]), 77, dtype))
                passed.append(ctypes.c_void_p(results[-1].ctypes.data))
            elif found[2]:
                held.append(np.ascontiguousarray(next(remaining), dtype))
                assert held[-1].shape == _shape(found[6])
                passed.append(ctypes.c_void_p(held[-1].ctypes.data))
            else:
                passed.append(np.ctypeslib.as_ctypes_type(dtype)(np.asarray(next(remaining)).item()))
        if self._function(*passed) is False:
            raise ValueError("the function refuses these values")
        return results


def _shape(form: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", form.partition("shape")[2])))
