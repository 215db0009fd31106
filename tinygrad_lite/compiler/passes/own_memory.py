"""Memory of their own: copies of results that share memory with an argument or another result after other passes.

Those passes remove copies and products with 1. Without new copies, the caller could write into an argument.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_lite.compiler.program import FORWARD, Instruction, Program, Variable
from tinygrad_lite.ops import casting


def with_memory_of_their_own(
    program: Program, recorded: Program, are_tensors: Sequence[bool], is_others: Callable[[Any], bool]
) -> Program:
    """The program with copies of its results and updates wherever the function itself has separate arrays.

    Args:
        recorded: the program before all passes.
        are_tensors: for each result that the function returns, whether it is a tensor, to which nobody can write.
        is_others: whether others may write to the array in a place.
    """
    count = len(are_tensors)
    before, after = _roots(recorded), _roots(program)
    places = program.inputs
    held = {after(x) for x in program.updates.values() if isinstance(x, Variable)}
    held |= {after(x) for x, is_tensor in zip(program.results, are_tensors) if is_tensor and isinstance(x, Variable)}
    sources: dict[Variable, Variable] = {}
    copies: list[Instruction] = []

    def copied(x: Variable) -> Variable:
        made = Variable(x.shape, x.dtype, order=x.order)
        copies.append(Instruction(casting.cast, (x,), {"dtype": x.dtype}, made, FORWARD))
        return made

    def own(x: Any, was: Any, is_tensor: bool) -> Any:
        if not isinstance(x, Variable) or not x.shape:
            return x
        root, source = after(x), before(was)
        if is_tensor:
            is_others_array = (
                is_others(places[root]) if root in places else root in program.constants and source != root
            )
            return copied(x) if is_others_array else x
        if root in places:
            is_shared = source is not root or not is_others(places[root])
        elif root in program.constants:
            is_shared = True  # with the next runs
        else:
            is_shared = root in held or sources.setdefault(root, source) is not source
        return copied(x) if is_shared else x

    results = [own(*those) for those in zip(program.results, recorded.results, are_tensors)]
    updates = {place: own(x, None, True) for place, x in program.updates.items()}
    if not copies:
        return program
    results += program.results[count:]
    return Program(places, program.constants, [*program.calls, *copies], results, updates)


def _roots(program: Program) -> Callable[[Any], Any]:
    """For each variable, the one whose memory it shares."""
    roots: dict[Any, Any] = {}
    for call in program.calls:
        if call.view_of is not None:
            roots[call.result] = roots.get(call.view_of, call.view_of)
    return lambda x: roots.get(x, x)
