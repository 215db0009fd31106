"""Whole numbers that change from call to call: Python's have any size, a program's have 64 bits.

A count grows in each call by a number that does not grow itself, and so never needs 64 bits. Nor does the product of
two such numbers. A total grows by counts; before each call, there is a look at its size. Numbers that could grow faster
are refused.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from tinygrad_lite import trees
from tinygrad_lite.compiler.places import Argument, Carried
from tinygrad_lite.compiler.program import Program, Variable, item
from tinygrad_lite.compiler.recording.guards import Guard
from tinygrad_lite.errors import UsageError
from tinygrad_lite.readers.recording import Source

_OF_A_COUNT = 31
"""The bits of a count where it is multiplied, and of what may be added to it in each call."""
_OF_A_TOTAL = 61
MOST = 63
"""The bits of a program's whole numbers, besides their sign."""

_BITS: dict[str, Callable[..., int]] = {
    **dict.fromkeys(("add", "subtract"), lambda a, b: max(a, b) + 1),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), max),
    **dict.fromkeys(("negative", "positive", "absolute", "invert"), lambda a: a),
    **dict.fromkeys(("floor_divide", "right_shift"), lambda a, b: a),
    "multiply": lambda a, b: a + b,
    "square": lambda a: 2 * a,
    "remainder": lambda a, b: b,
    "refuse_where": lambda condition, a: a,
}
"""The bits of the result of an operation, by those of its arguments."""


class Room(Guard):
    """Whether a whole number has room in 64 bits for what is computed from it.

    Args:
        name: where it is, as one of the leaves of a value.
        index: which leaf it is.
        number: what it is now; refused if it has no room.
        is_total: whether each call adds a count to it, and it is not a count itself.
    """

    def __init__(self, name: Guard, index: int, number: int, is_total: bool) -> None:
        self._name = name
        self._bits = _OF_A_TOTAL if is_total else _OF_A_COUNT
        super().__init__(name.owner, (name.name, index), True, f"the size of {name.label}")
        if number.bit_length() > self._bits:
            raise too_large(name.label)

    def now(self) -> Any:
        return trees.leaves(self._name.now())[self.name[1]].bit_length() <= self._bits


def totals_among(program: Program, left: Sequence[tuple[str, Variable, Variable]]) -> list[int]:
    """Which numbers are totals that need room; refuses whole numbers that may not fit into 64 bits after some calls.

    Args:
        left: for each number what a person would call its place, and the variables of what was there and of what the
            function leaves there.
    """
    totals: set[Variable] = set()
    while True:
        bits, origins = _sizes(program, totals)
        met = len(totals)
        for label, before, after in left:
            if _is_whole(after) and bits.get(after, 0) > _OF_A_COUNT:
                if before not in origins.get(after, ()):
                    raise too_large(label, next((call.source for call in program.calls if call.result is after), None))
                totals.add(before)
        if len(totals) == met:
            return [i for i, (_, before, _) in enumerate(left) if before in totals]


def _sizes(program: Program, totals: Collection[Variable]) -> tuple[dict[Variable, int], dict[Variable, set[Variable]]]:
    """The bits of whole numbers; and, for each, the inputs of which it is the sum with what is as small as a count."""
    inputs = {x for x, place in program.inputs.items() if type(place) in (Carried, Argument) and _is_whole(x)}
    counts = inputs.difference(totals)
    bits = {x: _OF_A_COUNT if x in counts else _OF_A_TOTAL for x in inputs}
    origins = {x: {x} for x in inputs}
    for call in program.calls:
        if not _is_whole(call.result):
            continue
        if bits.keys().isdisjoint(call.inputs):
            if call.op is item:  # the item of an array, such as a number of right answers
                bits[call.result] = _OF_A_COUNT
            continue
        sizes = [bits.get(x, _OF_A_COUNT) if isinstance(x, Variable) else x.bit_length() for x in call.inputs]
        if call.op.name not in _BITS or (size := _BITS[call.op.name](*sizes)) > MOST:
            raise too_large(f"the result of {call.op.name}", call.source)
        is_sum = call.op.name in ("add", "subtract")
        added = [size for x, size in zip(call.inputs, sizes) if x not in counts]
        if is_count := is_sum and len(added) == 1 and added[0] <= _OF_A_COUNT:
            counts.add(call.result)
        bits[call.result] = _OF_A_COUNT if is_count else size
        if is_sum:
            others = zip(call.inputs, reversed(sizes))
            origins[call.result] = {y for x, other in others if other <= _OF_A_COUNT + 2 for y in origins.get(x, ())}
    return bits, origins


def _is_whole(x: Variable) -> bool:
    return x.is_number and x.dtype.kind == "i"


def too_large(name: str, source: Source | str | None = None) -> UsageError:
    """The refusal of a whole number for its size, which a line of the user's computes."""
    line = f" at {source}" if source else ""
    return UsageError(
        f"{name}{line} may become a whole number of more than 64 bits, which a program does not have: make it a float, "
        "as in 2.0**t, or keep it in an array"
    )
