"""Long loops: operations on many short rows, written so that NumPy does not begin a loop for each of them.

Beginning a loop takes NumPy longer than running it over a row of three numbers. So the difference of all pairs of
vectors is that of two arrays with long rows, one of which has each vector repeated. And a sum along such rows, or over
the axis before them, is a product with ones, which is one call of BLAS.
"""

from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.compiler.program import Instruction, Program, Variable
from tinygrad_lite.compiler.source.ownership import is_plain_ufunc
from tinygrad_lite.engine.op import Op
from tinygrad_lite.ops.arithmetic import reductions
from tinygrad_lite.ops.linear import products

MANY = 4096
"""From this many rows on, beginning the loops costs more than another array."""
SHORT = 16
"""Up to this many numbers, a loop over a row takes less time than beginning it."""
LONG = 32
"""From this many numbers on, it takes longer."""

repeat = Op(np.repeat, [], name="repeat", arity=1)


def with_long_loops(program: Program) -> Program:
    """The program with a few long loops wherever a sum, or an operation on pairs of rows, has many short ones."""
    constants = dict(program.constants)
    calls: list[Instruction] = []
    for call in program.calls:
        if call.op is reductions.sum and call.params.keys() <= {"axis", "keepdims"} and _has_short_rows(call.inputs[0]):
            calls.append(_as_product(call, constants))
        elif is_plain_ufunc(call) and len(call.inputs) == 2 and _has_short_rows(call.result):
            calls += _with_repeated_rows(call)
        else:
            calls.append(call)
    return Program(program.inputs, constants, calls, program.results, program.updates)


def _has_short_rows(x: Any) -> bool:
    """Whether an array has many rows of a few numbers, one behind another in memory."""
    if not isinstance(x, Variable) or x.order is not None or x.dtype not in (np.float32, np.float64):
        return False
    return len(x.shape) > 1 and 1 < x.shape[-1] <= SHORT and prod(x.shape[:-1]) >= MANY


def _as_product(call: Instruction, constants: dict[Variable, Any]) -> Instruction:
    """A sum along the rows, or over the axis before them, as a product with ones."""
    (x,), axis = call.inputs, call.params.get("axis")
    axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
    if not isinstance(axis, int) or axis % len(x.shape) < len(x.shape) - 2:
        return call
    is_along_rows = axis % len(x.shape) == len(x.shape) - 1
    count = x.shape[axis]
    kept = (count, 1) if is_along_rows else (1, count)
    ones = Variable(kept if call.params.get("keepdims") else (count,), x.dtype)
    constants[ones] = np.ones(ones.shape, x.dtype)
    return call.of(products.matmul, (x, ones) if is_along_rows else (ones, x))


def _with_repeated_rows(call: Instruction) -> list[Instruction]:
    """An operation on two arrays that broadcasting repeats, one of them row by row, which is done first."""
    shape = call.result.shape
    for x, other in (call.inputs, call.inputs[::-1]):
        if not all(isinstance(y, Variable) and y.dtype == call.result.dtype for y in (x, other)):
            continue
        axis = _repeated_axis(x, shape)
        is_repeated_too = other.shape != shape and other.order is None
        if axis and is_repeated_too and shape[axis:] == other.shape[axis:] and prod(shape[axis:]) >= LONG:
            rows = Variable((*x.shape[:axis], shape[axis], *x.shape[axis:][1:]), x.dtype)
            params = {"repeats": shape[axis], "axis": len(x.shape) + axis}
            repeated = Instruction(repeat, (x,), params, rows, call.section, call.source)
            return [repeated, call.with_variables({x: rows})]
    return [call]


def _repeated_axis(x: Variable, shape: tuple[int, ...]) -> int:
    """The last axis of an array that broadcasting repeats, counted from the end; 0 unless rows are short behind it."""
    axis = next((-i for i, (size, to) in enumerate(zip(x.shape[::-1], shape[::-1]), 1) if size != to), 0)
    return axis if axis < -1 and prod(shape[axis + 1 :]) <= SHORT else 0
