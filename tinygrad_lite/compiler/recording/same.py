"""Whether two recordings of a function give the same program."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from threading import active_count
from typing import Any

import numpy as np

from tinygrad_lite.compiler.places import Outside
from tinygrad_lite.compiler.program import Instruction, Program, Variable
from tinygrad_lite.compiler.recording.guards import Entries
from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.errors import UsageError


class DifferenceError(UsageError):
    """A function does not do the same when it is run again; the text says what is different."""


def difference(a: Program, b: Program) -> str | None:
    """How a program differs from one that was recorded before, in words; None if it does not.

    Each call of the second is one of the first, as `another` has found out.
    """
    if list(a.inputs.items()) != list(b.inputs.items()):
        return "it reads something else"
    if len(a.calls) != len(b.calls) or not same(a.results, b.results):
        return "it returns something else"
    if list(a.updates) != list(b.updates) or not all(map(same, a.updates.values(), b.updates.values())):
        return "it leaves something else behind"
    return None


def another(call: Instruction | None, op: Op, inputs: tuple[Any, ...], params: Mapping[str, Any]) -> str | None:
    """How a call differs from that of an earlier recording, in words; None if it does not."""
    if call is None:
        return f"{op.name} after all that it did"
    if op is not call.op and repr(op) != repr(call.op):
        return f"{op.name} in place of {_where(call)}"
    if len(call.inputs) != len(inputs) or not all(map(same, call.inputs, inputs)):
        return f"{_where(call)}, is given something else"
    if not (params or call.params):
        return None
    if call.params.keys() != params.keys() or not all(same(x, params[name]) for name, x in call.params.items()):
        return f"{_where(call)}, has other parameters"
    return None


def same(x: Any, y: Any) -> bool:
    """Whether two parts of a program are the same: variables, numbers, arrays, and containers of these."""
    if x is y:
        return True
    if isinstance(x, Variable):
        return False
    if isinstance(x, (tuple, list)):
        return type(x) is type(y) and len(x) == len(y) and all(map(same, x, y))
    if isinstance(x, slice):
        return isinstance(y, slice) and same((x.start, x.stop, x.step), (y.start, y.stop, y.step))
    if isinstance(x, (np.ndarray, np.generic)):
        return isinstance(y, type(x)) and x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind in "fc")
    return type(x) is type(y) and (bool(x == y) or x != x)


def _where(call: Instruction) -> str:
    return f"{call.op.name}, {call.source}" if call.source else call.op.name


def with_live_arrays(program: Program, earlier: Program, filled: Iterable[Array] = ()) -> Program:
    """The program with the arrays from outside of both recordings as inputs, since somebody may write to them.

    Args:
        filled: arrays that the function itself writes to, so that what it reads there is the same each time.
    """
    own = {id(memory_of(array)) for array in filled}
    before = {id(memory_of(array)) for array in earlier.constants.values()}
    live = {
        x: Outside(array, f"array_{i}")
        for i, (x, array) in enumerate(program.constants.items(), start=1)
        if id(memory_of(array)) in before - own and isinstance(array, np.ndarray) and may_change(array)
    }
    constants = {
        x: np.copy(array, "K")[()] if id(memory_of(array)) in own else array
        for x, array in program.constants.items()
        if x not in live
    }
    return replace(program, inputs={**program.inputs, **live}, constants=constants)


def not_followed(program: Program, entries: list[Entries]) -> list[Entries]:
    """The arrays from which NumPy alone, unrecorded, may have computed constants of the program.

    An array that the program reads is one of them only if the program has other constants, of unknown origin.
    """
    return entries if program.constants else [guard for guard in entries if not is_live(program, guard.owner)]


def is_live(program: Program, array: Array) -> bool:
    """Whether each run of a program reads the memory of an array from outside."""
    arrays = (place.array for place in program.inputs.values() if isinstance(place, Outside))
    return any(memory_of(x) is memory_of(array) for x in arrays)


def may_change(array: Array) -> bool:
    """Whether somebody may write to the memory of an array."""
    return bool(memory_of(array).flags.writeable)


def memory_of(array: Array) -> Array:
    """The array whose memory an array is a view of; windows are one by way of an object that is no array."""
    while isinstance(array, np.ndarray):
        base = array.base if isinstance(array.base, np.ndarray) else getattr(array.base, "base", None)
        if not isinstance(base, np.ndarray):
            break
        array = base
    return array


@contextmanager
def locked(arrays: Iterable[Array]) -> Iterator[None]:
    """For the block, nobody can write into these arrays, unless another thread may just do so."""
    those = [x for x in arrays if type(x) is np.ndarray and x.flags.writeable and memory_of(x).flags.owndata]
    those = those if active_count() == 1 else []
    try:
        for array in those:
            array.setflags(write=False)
        yield
    finally:
        for array in sorted(those, key=lambda array: not array.flags.owndata):  # a view may be written after its owner
            array.setflags(write=True)
