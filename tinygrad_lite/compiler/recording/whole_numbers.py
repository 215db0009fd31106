"""Whole numbers that a function changes from call to call: Python's have any size, a program's have 64 bits.

A count grows in each call by a number that does not grow itself, and so never needs 64 bits. Nor does the product of
two such numbers. Numbers that could grow larger are refused.
"""

from collections.abc import Callable, Collection

from tinygrad_lite.compiler.places import Carried
from tinygrad_lite.compiler.program import Instruction, Program, Variable, item
from tinygrad_lite.errors import UsageError

_OF_A_COUNT = 31
"""The bits of a count where it is multiplied, and of what may be added to it in each call."""
_MOST = 63

_BITS: dict[str, Callable[..., int]] = {
    **dict.fromkeys(("add", "subtract"), lambda a, b: max(a, b) + 1),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), max),
    **dict.fromkeys(("negative", "positive", "absolute", "invert"), lambda a: a),
    **dict.fromkeys(("floor_divide", "right_shift"), lambda a, b: a),
    "multiply": lambda a, b: a + b,
    "square": lambda a: 2 * a,
    "remainder": lambda a, b: b,
}
"""The bits of the result of an operation, by those of its arguments."""


def refuse_large_numbers(program: Program, label: str, left: Collection[Variable]) -> None:
    """Refuse a program whose whole numbers may not fit into 64 bits after some number of calls.

    Args:
        label: what a person would call the place from which the next call goes on.
        left: the variables that the function leaves there.
    """
    counts = {x for x, place in program.inputs.items() if type(place) is Carried and _is_whole(x)}
    bits = dict.fromkeys(counts, _OF_A_COUNT)
    for call in program.calls:
        if not _is_whole(call.result):
            continue
        if bits.keys().isdisjoint(call.inputs):
            if call.op is item:  # the item of an array, such as a number of right answers
                bits[call.result] = _OF_A_COUNT
            continue
        sizes = [bits.get(x, _OF_A_COUNT) if isinstance(x, Variable) else x.bit_length() for x in call.inputs]
        if call.op.name not in _BITS or (size := _BITS[call.op.name](*sizes)) > _MOST:
            raise _too_large(f"the result of {call.op.name}", call)
        added = [size for x, size in zip(call.inputs, sizes) if x not in counts]
        if is_count := call.op.name in ("add", "subtract") and len(added) == 1 and added[0] <= _OF_A_COUNT:
            counts.add(call.result)
        bits[call.result] = _OF_A_COUNT if is_count else size
    for x in left:
        if _is_whole(x) and x not in counts and bits.get(x, _MOST) > _OF_A_COUNT:
            raise _too_large(label, next((call for call in program.calls if call.result is x), None))


def _is_whole(x: Variable) -> bool:
    return x.is_number and x.dtype.kind == "i"


def _too_large(name: str, call: Instruction | None) -> UsageError:
    line = f" at {call.source}" if call is not None and call.source else ""
    return UsageError(
        f"{name}{line} may become a whole number of more than 64 bits, which a program does not have: make it a float, "
        "as in 2.0**t, or keep it in an array"
    )
