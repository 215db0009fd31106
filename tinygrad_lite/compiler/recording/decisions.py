"""Decisions of Python's by numbers that change, as `if step % 10 == 0:`: each answer has a program.

What decides is computed anew before each run, from the numbers as they are then.
"""

from collections.abc import Mapping
from copy import copy
from typing import Any

from tinygrad_lite.compiler.places import Argument, Carried, Leaves
from tinygrad_lite.compiler.program import Instruction, Program, Variable, is_python_number
from tinygrad_lite.compiler.recording.guards import Guard

MOST = 50
"""The most operations by which a program is chosen."""


class Decision(Guard):
    """Whether a number that comes of the numbers among a program's inputs alone is not zero, or the number itself.

    Attributes:
        is_branch: whether Python goes another way for another answer, instead of raising an error.

    Args:
        calls: the operations that compute it, in order.
        places: where the numbers are from which they begin; some may be arguments.
        before: what these numbers were when the recording began.
        answer: bool, or int.
    """

    def __init__(
        self,
        calls: list[Instruction],
        places: Mapping[Variable, Carried | Argument],
        before: Mapping[Variable, Any],
        variable: Variable,
        answer: type,
    ) -> None:
        self.is_branch = True
        self._kind = answer
        self._calls = calls
        self._places = places
        self._variable = variable
        super().__init__(variable, answer, self._answer(before), "a decision by numbers that change")

    def _answer(self, numbers: Mapping[Variable, Any]) -> Any:
        values = dict(numbers)
        for call in self._calls:
            inputs = [values[x] if isinstance(x, Variable) else x for x in call.inputs]
            values[call.result] = call.op.forward(*inputs)
        return self._kind(values[self._variable])

    def without_branch(self) -> "Decision":
        """The same decision, if Python raises an error for the other answer."""
        made = copy(self)
        made.is_branch, made.key = False, (*self.key, "or an error")
        return made

    def by(self, *leaves: Any) -> Any:
        """The answer for these leaves of the arguments."""
        return self._answer({x: place.read(leaves) for x, place in self._places.items()})

    def now(self) -> Any:
        return self.value if any(isinstance(place, Argument) for place in self._places.values()) else self.by()

    def fits(self, leaves: Leaves) -> bool:
        return bool(self.by(*leaves) == self.value)

    def reading(self, writer: Any) -> str:
        return f"{writer.name(self.by)}({', '.join(writer.parameters)})"


def decision_by(
    variable: Variable, program: Program, before: Mapping[Variable, Any], answer: type = bool
) -> Decision | None:
    """The decision by a value, if it comes of such numbers alone; None if it does not.

    Args:
        before: what the inputs of the program were when the recording began.
        answer: bool for whether the value is not zero, int for a whole number itself.
    """
    needed, calls = {variable}, list[Instruction]()
    for call in reversed(program.calls):
        if call.result in needed:
            if call.draws or call.has_computed_params or call.params or len(calls) == MOST:
                return None
            calls.append(call)
            needed.update(call.reads)
    made = {call.result for call in calls}
    begins = [x for x in needed if x not in made]
    if not begins or not all(x in before and is_python_number(before[x]) for x in begins):
        return None
    places = {x: program.inputs[x] for x in begins}
    return Decision(calls[::-1], places, {x: before[x] for x in begins}, variable, answer)
