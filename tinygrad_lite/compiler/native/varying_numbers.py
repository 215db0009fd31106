"""Numbers that vary: where an operation meets many numbers, as in the turns of a loop, they become data.

Code that contains a number serves that number alone, so each turn would need code of its own, and compiling that takes
a thousand times as long as running it. Code that reads the number from memory serves all turns.
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.compiler.native import indices
from tinygrad_lite.compiler.native.expansions import onto
from tinygrad_lite.compiler.native.lowering import Target
from tinygrad_lite.compiler.passes.common_subexpressions import identity
from tinygrad_lite.compiler.program import Instruction, Program, Variable, mapped
from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.shapes import indexing

FEW = 8  # numbers that stay in the code
SHORT = 64  # entries in slices that may each have a position of their own
_WHOLE = np.iinfo(np.int64)
_PUTS = frozenset({indexing.index_set, indexing.index_add, indexing.scatter, onto})


def with_numbers_as_data(program: Program, target: Target) -> Program:
    """The program with constants in place of the numbers that vary among inputs and indices."""
    constants = _Constants(program.constants)
    calls = _with_indices_as_data(_with_inputs_as_data(program.calls, constants, target), constants)
    return replace(program.with_calls(calls), constants=constants.arrays)


class _Constants:
    """The constants of a program, and those for its numbers."""

    def __init__(self, arrays: dict[Variable, Array]) -> None:
        self.arrays = dict(arrays)

    def of(self, x: Any, is_number: bool = False) -> Variable:
        """The constant for one use of a number or an array; whether it takes the dtype of the array that it meets.

        Turns in which a number is used twice would differ from the others if both uses had one constant.
        """
        array = np.asarray(x)
        variable = Variable(array.shape, array.dtype, is_number)
        self.arrays[variable] = array
        return variable


def _varying(numbers: Iterable[tuple[Hashable, Hashable]]) -> set[Hashable]:
    """The uses of more than a few numbers, among pairs of a use and a number."""
    met: dict[Hashable, set[Hashable]] = {}
    for use, number in numbers:
        met.setdefault(use, set()).add(number)
    return {use for use, different in met.items() if len(different) > FEW}


def _with_inputs_as_data(calls: list[Instruction], constants: _Constants, target: Target) -> list[Instruction]:
    varying = _varying((_use(call, i), identity(x)) for call in calls for i, x in _numbers(call))

    def reading(call: Instruction) -> Instruction:
        numbers = {i: constants.of(x, is_number=True) for i, x in _numbers(call) if _use(call, i) in varying}
        if not numbers or target.form(call) is None:
            return call
        made = replace(call, inputs=tuple([numbers.get(i, x) for i, x in enumerate(call.inputs)]))
        return call if target.form(made) is None else made  # a power, say, is several products only if it is known

    return [reading(call) for call in calls] if varying else calls


def _numbers(call: Instruction) -> Iterator[tuple[int, Any]]:
    """The positions and the values of the numbers among the inputs of an operation."""
    for position, x in enumerate(call.inputs):
        if type(x) is float or (type(x) is int and _WHOLE.min <= x <= _WHOLE.max):
            yield position, x


def _use(call: Instruction, position: int) -> Hashable:
    return call.op, position, call.result.shape, call.result.dtype


def _with_indices_as_data(calls: list[Instruction], constants: _Constants) -> list[Instruction]:
    """Operations that put entries into an array at indices that vary, and those that read entries of such an array.

    A read at a known index would be a part of the array, at another distance from the whole in each turn.
    """
    varying = _varying((_put(call), identity(tuple(call.params.items()))) for call in calls if call.op in _PUTS)
    if not varying:
        return calls
    puts = {call for call in calls if call.op in _PUTS and _put(call) in varying}
    put_into = {x for call in puts for x in (call.result, *call.inputs[:1])}

    def at_data(call: Instruction) -> Instruction:
        if not (call in puts or (call.op is indexing.getitem and call.inputs[0] in put_into)):
            return call
        shape = (call.result if call in puts else call.inputs[0]).shape
        params = dict(call.params)
        if "index" in params:
            params["index"] = _as_data(params["index"], shape, constants)
        else:
            params["indices"] = tuple([_as_data(index, shape, constants) for index in params["indices"]])
        made = replace(call, params=params, view_of=None)
        return made if made.has_computed_params and indices.are_known(made, shape) else call

    return [at_data(call) for call in calls]


def _put(call: Instruction) -> Hashable:
    """What calls that may differ only in where they put something have in common."""

    def without_place(part: Any) -> Any:
        if isinstance(part, slice) and type(part.start) is type(part.stop) is int:
            return part.stop - part.start, part.step
        return int if indices.is_position(part) else part

    params = mapped(without_place, call.params)
    return call.op, call.result.shape, call.result.dtype, identity(tuple(params.items()))


def _as_data(index: Any, shape: tuple[int, ...], constants: _Constants) -> Any:
    """An index with constants for its numbers, and for the positions in short slices of axes that are neighbours."""
    parts = indices.by_axis(index, len(shape))

    def position(part: Any) -> Any:
        return constants.of(int(part)) if indices.is_position(part) else part

    if parts is None or not all(indices.is_position(part) or isinstance(part, slice) for part in parts):
        return tuple(map(position, index)) if isinstance(index, tuple) else position(index)
    axes = [axis for axis, part in enumerate(parts) if part != slice(None)]
    spans = {axis: range(*parts[axis].indices(shape[axis])) for axis in axes if isinstance(parts[axis], slice)}
    are_neighbours = bool(axes) and axes[-1] - axes[0] == len(axes) - 1
    if are_neighbours and 0 < prod(map(len, spans.values())) <= SHORT:
        for after, (axis, span) in enumerate(reversed(spans.items())):
            parts[axis] = constants.of(np.reshape(span, (-1, *[1] * after)))
    return tuple(map(position, parts))
