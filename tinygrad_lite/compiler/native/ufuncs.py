"""NumPy's own loops: the address of the C function that computes a ufunc for certain dtypes.

Native code calls it as NumPy does, `loop(arrays, counts, strides, data)`, and so has each of NumPy's functions to the
last bit. The layout of a ufunc in memory is part of NumPy's C interface (`PyUFuncObject`).
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tinygrad_lite.compiler.native.emission import Emitter


class _Ufunc(ctypes.Structure):
    _fields_ = [
        ("head", ctypes.c_char * object.__basicsize__),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("types", ctypes.POINTER(ctypes.c_ubyte)),
    ]


@cache
def loop(ufunc: np.ufunc, dtypes: Sequence[np.dtype[Any]]) -> tuple[int, int] | None:
    """The address of the loop for these dtypes of inputs and results, and that of its data; None if there is none."""
    fields = _Ufunc.from_address(id(ufunc))
    seen = (fields.nin, fields.nout, fields.ntypes, fields.name)
    if seen != (ufunc.nin, ufunc.nout, ufunc.ntypes, ufunc.__name__.encode()):
        return None  # another version of NumPy lays them out in another way
    if not all(dtype.isnative and dtype.kind in "biufc" for dtype in dtypes):
        return None
    numbers = [dtype.num for dtype in dtypes]
    for i in range(fields.ntypes):
        if list(fields.types[i * fields.nargs : (i + 1) * fields.nargs]) == numbers and fields.functions[i]:
            return fields.functions[i], (fields.data[i] or 0) if fields.data else 0
    return None


def call(
    emitter: Emitter, writer: Any, routine: tuple[int, int], addresses: Sequence[str], counts: Any, steps: Any
) -> None:
    """Emit the call of such a loop.

    Args:
        routine: the addresses of the loop and of its data.
        addresses: those of the arrays.
        counts, steps: the number of entries, and the bytes from each to the next.
    """
    function, data = (writer.base(("address", address, i)) for i, address in enumerate(routine))
    pointers = ", ".join(f"ptr {x}" for x in (*operands(emitter, addresses, counts, steps), data))
    emitter.line(f"call void {function}({pointers})")


def operands(emitter: Emitter, addresses: Sequence[str], counts: Any, steps: Any) -> list[str]:
    """Emit the lists of addresses, counts and steps that a loop takes; the address of each list."""
    pointers = emitter.first(f"alloca [{len(addresses)} x ptr]")
    for i, address in enumerate(addresses):
        emitter.line(f"store ptr {address}, ptr {emitter.value(f'getelementptr ptr, ptr {pointers}, i64 {i}')}")
    numbers = []
    for values in (counts, steps):
        numbers.append(emitter.first(f"alloca [{len(values)} x i64]"))
        for i, value in enumerate(values):
            emitter.line(f"store i64 {value}, ptr {emitter.value(f'getelementptr i64, ptr {numbers[-1]}, i64 {i}')}")
    return [pointers, *numbers]
