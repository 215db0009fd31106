"""Decisions of Python's by numbers that change, as `if step % 10 == 0:`: each answer has a program.

What decides is computed anew before each run, from the numbers as they are then.
"""

import math
import operator
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import numpy as np

from tinygrad_lite.compiler.places import Argument, Carried, Leaves
from tinygrad_lite.compiler.program import Instruction, Program, Variable, is_python_number, item
from tinygrad_lite.compiler.recording.guards import Guard
from tinygrad_lite.compiler.source.expressions import OPERATORS

MOST = 50
"""The most operations by which a program is chosen."""

_COMPARISONS = {np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal}
_AS_PYTHONS = {np.add, np.subtract, np.multiply, *_COMPARISONS}


def _quietly(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of Python's numbers that answers like NumPy's where Python raises an error, and without a warning."""

    def called(*numbers: Any) -> Any:
        try:
            result = function(*numbers)
        except OverflowError:
            return math.inf
        except (ValueError, ZeroDivisionError):
            return math.nan
        return math.nan if isinstance(result, complex) else result

    return called


_SAME = ("exp", "exp2", "expm1", "sinh", "cosh", "sqrt", "log", "log1p", "log2", "log10", "fmod")
_QUIET: dict[Any, Callable[..., Any]] = {
    **{getattr(np, name): _quietly(getattr(math, name)) for name in _SAME},
    np.arcsin: _quietly(math.asin),
    np.arccos: _quietly(math.acos),
    np.arccosh: _quietly(math.acosh),
    np.arctanh: _quietly(math.atanh),
    np.power: _quietly(operator.pow),
    np.float_power: _quietly(math.pow),
    np.isfinite: math.isfinite,
    item.forward: lambda x: x.item() if hasattr(x, "item") else x,
}
"""Functions of Python's numbers, which take a tenth of the time that NumPy's take for a number."""
_DIVISIONS = {np.divide, np.floor_divide, np.remainder}
"""Python raises an error for a division by 0; by a number that is known, it does not."""


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
        self._places = [*places.values()]
        self._answer = _function(calls, [*places], variable, answer)
        value = self._answer(*[before[x] for x in places])
        super().__init__(variable, answer, value, "a decision by numbers that change")

    def without_branch(self) -> "Decision":
        """The same decision, if Python raises an error for the other answer."""
        made = copy(self)
        made.is_branch, made.key = False, (*self.key, "or an error")
        return made

    def by(self, *leaves: Any) -> Any:
        """The answer for these leaves of the arguments."""
        return self._answer(*[place.read(leaves) for place in self._places])

    def now(self) -> Any:
        return self.value if any(isinstance(place, Argument) for place in self._places) else self.by()

    def fits(self, leaves: Leaves) -> bool:
        return bool(self.by(*leaves) == self.value)

    def reading(self, writer: Any) -> str:
        return f"{writer.name(self._answer)}({', '.join(place.reading(writer) for place in self._places)})"


def _function(calls: list[Instruction], inputs: list[Variable], variable: Variable, answer: type) -> Any:
    """A function of the inputs: Python's own operators take a tenth of the time that NumPy's take for numbers."""
    names = {x: f"x{i}" for i, x in enumerate((*inputs, *(call.result for call in calls)))}
    scope: dict[str, Any] = {"kind": answer}
    lines = [f"def decide({', '.join(names[x] for x in inputs)}):"]
    for call in calls:
        for x in call.inputs:
            if not isinstance(x, Variable):
                names[x] = f"number{len(scope)}"
                scope[names[x]] = x
        forward, arguments = call.op.forward, [names[x] for x in call.inputs]
        divides = forward in _DIVISIONS and not isinstance(call.inputs[1], Variable) and call.inputs[1]
        if forward in _AS_PYTHONS or divides:
            expression = f" {OPERATORS[forward][0]} ".join(arguments)
        else:
            name = f"function{len(scope)}"
            scope[name] = _QUIET.get(forward, forward)
            expression = f"{name}({', '.join(arguments)})"
        lines.append(f"    {names[call.result]} = {expression}")
    lines.append(f"    return kind({names[variable]})")
    exec("\n".join(lines), scope)  # noqa: S102
    return scope["decide"]


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
