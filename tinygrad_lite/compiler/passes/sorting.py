"""Sorting: entries read in order, whose positions nobody else needs, are what NumPy's own sort returns.

A recording sorts by positions, through which a gradient may flow back. To find them takes several times as long. Only
the order of 0.0 and -0.0, which are equal, may be another one.
"""

from typing import Any

import numpy as np

from tinygrad_lite.compiler.passes.dead_code import without_dead_code
from tinygrad_lite.compiler.program import Instruction, Program, Variable
from tinygrad_lite.engine.op import Op
from tinygrad_lite.ops.arithmetic import ordering
from tinygrad_lite.ops.shapes import indexing

sort = Op(np.sort, [], name="sort", arity=1)
partition = Op(np.partition, [], name="partition", arity=1)

_SORTING = {ordering.argsort: (sort, ("axis",)), ordering.partition_places: (partition, ("kth", "axis"))}
"""For each operation that finds positions, that which needs none, and the parameters that they share."""
_OTHERWISE = {"kind": (None, "introselect"), "order": (None,), "stable": (None, True), "descending": (None, False)}
"""Their other parameters, with the values that change nothing."""


def with_own_sorts(program: Program, few: int = 0) -> Program:
    """The program with sorts and partitions in place of reading at positions that only this reading needs.

    Args:
        few: a sort stays as it is if it takes no more than so many comparisons of each entry with all in its line.
    """
    uses = program.uses()
    finding = [call for call in program.calls if call.op in _SORTING and uses.get(call.result) == 1]
    makers = {call.result: call for call in finding if _comparisons(call) > few}
    if not makers:
        return program
    return without_dead_code(program.with_calls([_by_itself(call, makers) for call in program.calls]))


def _comparisons(call: Instruction) -> int:
    x, axis = call.inputs[0], call.params.get("axis", -1)
    return int(x.size * (x.size if axis is None or not x.shape else x.shape[axis]))


def _by_itself(call: Instruction, makers: dict[Variable, Instruction]) -> Instruction:
    if call.op is not indexing.getitem or len(call.reads) != 2 or call.reads[1] not in makers:
        return call
    x, maker = call.inputs[0], makers[call.reads[1]]
    function, shared = _SORTING[maker.op]
    axis = maker.params.get("axis", -1)
    others = [(name, value) for name, value in maker.params.items() if name not in shared]
    if maker.inputs != (x,) or axis is None or any(value not in _OTHERWISE[name] for name, value in others):
        return call
    axis %= len(x.shape)
    index = call.params["index"]
    index = index if isinstance(index, tuple) else (index,)
    is_along = [part is maker.result if i == axis else _is_range(part, i, x.shape) for i, part in enumerate(index)]
    if len(index) != len(x.shape) or not all(is_along):
        return call
    return call.of(function, (x,), {name: maker.params[name] for name in shared if name in maker.params}, is_view=False)


def _is_range(part: Any, axis: int, shape: tuple[int, ...]) -> bool:
    """Whether a part of an index is that of all places along an axis, with one place along those behind it."""
    own = (shape[axis], *(1,) * (len(shape) - 1 - axis))
    is_of_axis = isinstance(part, np.ndarray) and part.size == own[0] and part.shape[-len(own) :] == own
    return is_of_axis and np.array_equal(part.reshape(-1), np.arange(own[0]))
