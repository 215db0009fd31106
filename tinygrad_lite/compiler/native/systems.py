"""Systems and decompositions: NumPy's linear algebra by the functions within NumPy that call LAPACK.

They compute in double precision, as they do for NumPy, and report by a floating-point flag that a matrix is singular,
say. Then native code ends, and the executor repeats the operation as a NumPy call, which raises the error.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.linalg import _umath_linalg

from tinygrad_lite.compiler.native import ufuncs
from tinygrad_lite.compiler.native.emission import BOOL, REALS, Emitter, loops
from tinygrad_lite.compiler.native.memory import Layout
from tinygrad_lite.compiler.program import Instruction, Variable
from tinygrad_lite.engine.op import Op
from tinygrad_lite.ops.linear import decompositions, linalg
from tinygrad_lite.ops.requirements import refuse_where

_INVALID = 1  # the flag's number in fenv.h, on POSIX systems for today's processors

# The work of one call: no arithmetic of others may come between the two calls for the flag.
_GUARDED = f"""
define i1 @NAME(ptr %loop, ptr %arrays, ptr %counts, ptr %steps, ptr %data, ptr %clear, ptr %test) noinline nounwind {{
  %cleared = call i32 %clear(i32 {_INVALID})
  call void %loop(ptr %arrays, ptr %counts, ptr %steps, ptr %data)
  %flags = call i32 %test(i32 {_INVALID})
  %is.raised = icmp ne i32 %flags, 0
  ret i1 %is.raised
}}
"""

Function = tuple[str, int | None]
"""The name of a function within NumPy, and the number of the wanted result; None for all, one behind another."""


def _solving(call: Instruction) -> Function:
    return ("solve1" if len(call.inputs[1].shape) == 1 else "solve"), 0


def _by_triangle(name: str, result: int | None) -> Callable[[Instruction], Function]:
    def function(call: Instruction) -> Function:
        upper = call.params.get("upper") or call.params.get("UPLO", "L").upper() == "U"
        return f"{name}_{'up' if upper else 'lo'}", result

    return function


def _svd(call: Instruction) -> Function:
    return _for_shape(call, "_f" if call.params.get("full_matrices", True) else "_s"), None


def _for_shape(call: Instruction, ending: str) -> str:
    """The name of a function for singular values: before NumPy 2.1, wide matrices had functions of their own."""
    if hasattr(_umath_linalg, "svd"):
        return f"svd{ending}"
    rows, columns = call.inputs[0].shape[-2:]
    return f"svd_{'m' if rows < columns else 'n'}{ending}"


_FUNCTIONS: dict[Op, Callable[[Instruction], Function]] = {
    linalg.inv: lambda call: ("inv", 0),
    linalg.solve: _solving,
    linalg.det: lambda call: ("det", 0),
    linalg.sign_of_det: lambda call: ("slogdet", 0),
    linalg.log_abs_det: lambda call: ("slogdet", 1),
    decompositions.cholesky: _by_triangle("cholesky", 0),
    decompositions.eigvalsh: _by_triangle("eigvalsh", 0),
    decompositions.packed_eigh: _by_triangle("eigh", None),
    decompositions.svdvals: lambda call: (_for_shape(call, ""), 0),
    decompositions.packed_svd: _svd,
}
OPERATIONS = tuple(_FUNCTIONS)
"""The operations that are such calls."""
FINITE = (decompositions.svdvals, decompositions.packed_svd)  # they refuse NaN and infinity before they call LAPACK
_NEVER_FAIL = (linalg.det, linalg.sign_of_det, linalg.log_abs_det)


def can_refuse(call: Instruction) -> bool:
    """Whether native code for an operation may end, since it does not take these numbers."""
    return call.op is refuse_where or call.has_computed_params or (call.op in _FUNCTIONS and call.op not in _NEVER_FAIL)


def is_known(call: Instruction) -> bool:
    """Whether native code can make the call."""
    reads = call.inputs
    if call.has_computed_params or call.params.get("hermitian") or not all(isinstance(x, Variable) for x in reads):
        return False
    if not all(x.dtype in REALS and x.size for x in (*reads, call.result)):
        return False
    return all(len(x.shape) >= 2 for x in reads[:1]) and _routine(call) is not None


def refuses_known(call: Instruction) -> bool:
    """Whether native code can look for the entries that an operation refuses."""
    condition, x = call.inputs
    return isinstance(condition, Variable) and condition.dtype == BOOL and isinstance(x, Variable)


def signature(call: Instruction) -> list[tuple[str, ...]]:
    """The letters of the last axes of each of the function's arrays, inputs first."""
    name, _ = _FUNCTIONS[call.op](call)
    text = getattr(_umath_linalg, name).signature
    return [
        tuple(filter(None, group.strip(" ()").replace(" ", "").split(",")))
        for group in text.replace(" ", "").replace("->", ",").replace("),(", ")|(").split("|")
    ]


def results(call: Instruction) -> tuple[list[tuple[int, ...]], int | None]:
    """The shapes of the function's results, and the number of the one that is wanted."""
    names = signature(call)
    sizes = _sizes(call, names)
    around = batch(call, names)
    shapes = [(*around, *(sizes[letter] for letter in letters)) for letters in names[len(call.inputs) :]]
    return shapes, _FUNCTIONS[call.op](call)[1]


def batch(call: Instruction, names: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """The axes in front, over which the function is called again and again."""
    return np.broadcast_shapes(*(x.shape[: len(x.shape) - len(letters)] for x, letters in zip(call.inputs, names)))


def _sizes(call: Instruction, names: Sequence[Sequence[str]]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for x, letters in zip(call.inputs, names):
        sizes.update(zip(letters, x.shape[len(x.shape) - len(letters) :]))
    return {**sizes, "p": min(sizes["m"], sizes.get("n", sizes["m"]))}


def _routine(call: Instruction) -> tuple[int, int] | None:
    """The addresses of the function and of its data; None if this version of NumPy has none of this name and form."""
    name, _ = _FUNCTIONS[call.op](call)
    function = getattr(_umath_linalg, name, None)
    if not isinstance(function, np.ufunc) or not function.signature or _flags() is None:
        return None
    if function.nin != len(call.inputs):
        return None
    return ufuncs.loop(function, (np.dtype(float),) * function.nargs)


@cache
def _flags() -> tuple[int, int] | None:
    """The addresses of the functions that clear and test floating-point flags."""
    if os.name != "posix":
        return None
    here = ctypes.CDLL(None)
    try:
        functions = here.feclearexcept, here.fetestexcept
    except AttributeError:
        return None
    clear, test = (ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions)
    return clear, test


def write(
    emitter: Emitter,
    writer: Any,
    *,
    call: Instruction,
    arrays: Sequence[tuple[Layout, tuple[int, ...]]],
    finite: bool,
    number: int,
) -> None:
    """Emit the call.

    Args:
        arrays: the layout and the shape of each array of the function's.
        finite: whether to refuse NaN and infinity.
        number: what the segment returns if the function fails.
    """
    names = signature(call)
    if finite:
        layout, shape = arrays[0]
        leave_if_any(emitter, writer, layout, shape, lambda x: (x - x).is_nan, number)
    sizes = _sizes(call, names)
    around = batch(call, names)
    steps = [_around(layout, shape, letters, around) for (layout, shape), letters in zip(arrays, names)]
    *outer, inner = around or (1,)
    counts = [inner, *(sizes[letter] for letter in dict.fromkeys(letter for letters in names for letter in letters))]
    size = np.dtype(float).itemsize
    within = [stride for (layout, _), letters in zip(arrays, names) for stride in _core(layout, letters)]
    strides = [size * (step[-1] if step else 0) for step in steps] + [size * stride for stride in within]
    function, data = _routine(call)  # type: ignore[misc]
    clear, test = _flags()  # type: ignore[misc]
    with loops(emitter, outer) as indices:
        addresses = []
        for (layout, _), step in zip(arrays, steps):
            place = emitter.position(layout.offset, zip(indices, step))
            addresses.append(emitter.address(layout.root.dtype, writer.base(layout.root), place))
        if call.op in _NEVER_FAIL:
            ufuncs.call(emitter, writer, (function, data), addresses, counts, strides)
            return
        operands = ufuncs.operands(emitter, addresses, counts, strides)
        bases = [writer.base(("address", x, i)) for i, x in enumerate((function, data, clear, test))]
        pointers = ", ".join(f"ptr {x}" for x in (bases[0], *operands, *bases[1:]))
        emitter.leave_if(emitter.value(f"call i1 {writer.function(_GUARDED)}({pointers})"), number)


ELIMINATED = (
    linalg.inv,
    linalg.solve,
    linalg.det,
    linalg.sign_of_det,
    linalg.log_abs_det,
    decompositions.cholesky,
)
"""What code that runs without NumPy computes itself."""


def write_alone(
    emitter: Emitter,
    writer: Any,
    *,
    call: Instruction,
    arrays: Sequence[tuple[Layout, tuple[int, ...]]],
    space: Layout,
) -> None:
    """Emit the work for code that runs without NumPy, matrix by matrix.

    Args:
        arrays: the layout and the shape of the matrix, and of the result, which begins as the right-hand side.
        space: the layout of a square matrix to compute in.
    """
    (matrix, shape), (made, made_shape) = arrays
    n, double = shape[-1], np.dtype(float)
    core = 2  # the axes of one result
    if call.op in _NEVER_FAIL:
        core = 0
    elif call.op is linalg.solve and len(call.inputs[1].shape) == 1:
        core = 1
    around = made_shape[: len(made_shape) - core]
    columns = made_shape[-1] if core == 2 else 1
    row, column = (*made.strides[len(made_shape) - core :], 0, 0)[:2]
    with loops(emitter, around) as indices:

        def at(layout: Layout, shape: Sequence[int], core: int, turns: Sequence[str] = ()) -> Any:
            around_it = _around(layout, shape, "m" * core, around)
            steps = [*zip(indices, around_it), *zip(turns, layout.strides[len(shape) - core :])]
            return emitter.address(double, writer.base(layout.root), emitter.position(layout.offset, steps))

        result = at(made, made_shape, core)
        if call.op is decompositions.cholesky:
            read, write = list(matrix.strides[-2:]), [row, column]
            if call.params.get("upper"):
                read, write = read[::-1], write[::-1]
            writer.eliminate("cholesky", [n, at(matrix, shape, 2), *read, result, *write])
            return
        with loops(emitter, (n, n)) as turns:
            emitter.store(emitter.load(double, at(matrix, shape, 2, turns)), at(space, (n, n), 2, turns))
            if call.op is linalg.inv:
                emitter.store(emitter.number(double, 0), at(made, made_shape, 2, turns))
        if call.op is linalg.inv:
            with emitter.loop(n) as i:
                emitter.store(emitter.number(double, 1), at(made, made_shape, 2, [i, i]))
        if call.op in _NEVER_FAIL:
            writer.eliminate("determinant", [n, at(space, (n, n), 2), _NEVER_FAIL.index(call.op), result])
        else:
            writer.eliminate("solve", [n, at(space, (n, n), 2), columns, result, row, column])


def _around(layout: Layout, shape: Sequence[int], letters: Sequence[str], around: Sequence[int]) -> list[int]:
    """The strides of an array along the axes in front, 0 where it is stretched."""
    front = len(shape) - len(letters)
    own = [0 if size == 1 else stride for size, stride in zip(shape[:front], layout.strides)]
    return [0] * (len(around) - front) + own


def _core(layout: Layout, letters: Sequence[str]) -> Sequence[int]:
    return layout.strides[len(layout.strides) - len(letters) :]


def refuse(emitter: Emitter, writer: Any, *, condition: Layout, shape: tuple[int, ...], number: int) -> None:
    """Emit the end of the segment if any entry of a condition is true."""
    leave_if_any(emitter, writer, condition, shape, lambda x: x, number)


def refuse_alone(emitter: Any, writer: Any, *, condition: Layout, shape: tuple[int, ...], number: int) -> None:
    """Emit the end of the function, for code that runs without NumPy."""
    with loops(emitter, shape) as indices:
        place = emitter.position(condition.offset, zip(indices, condition.strides))
        emitter.leave_if(emitter.load(BOOL, emitter.address(BOOL, writer.base(condition.root), place)))


def leave_if_any(
    emitter: Emitter, writer: Any, layout: Layout, shape: tuple[int, ...], is_bad: Callable[[Any], Any], number: int
) -> None:
    """Emit the end of the segment, with this number, if any entry of an array is bad."""
    flag = emitter.first("alloca i1")
    emitter.line(f"store i1 false, ptr {flag}")
    with loops(emitter, shape) as indices:
        place = emitter.position(layout.offset, zip(indices, layout.strides))
        address = emitter.address(layout.root.dtype, writer.base(layout.root), place)
        bad = is_bad(emitter.load(layout.root.dtype, address, writer.note(layout.root)))
        before = emitter.value(f"load i1, ptr {flag}")
        emitter.line(f"store i1 {emitter.value(f'or i1 {before}, {bad.text}')}, ptr {flag}")
    emitter.leave_if(emitter.value(f"load i1, ptr {flag}"), number)
