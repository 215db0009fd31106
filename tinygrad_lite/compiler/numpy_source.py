"""The NumPy backend: a program as the source of a function, as a careful person would write it.

A value that is used once is written where it is used, as long as the line stays short. A large array that is not read
any more takes up the next result.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_lite.compiler.expressions import ATOM, OPERATORS, Expressions, Text, literal
from tinygrad_lite.compiler.naming import identifier
from tinygrad_lite.compiler.ownership import last_uses, makes_an_array
from tinygrad_lite.compiler.places import Argument, Gradient, Place
from tinygrad_lite.compiler.program import FORWARD, Instruction, Program, Variable
from tinygrad_lite.ops.requirements import refuse_where

WIDTH = 88  # columns, as in Python's formatters
LARGE = 2**15  # bytes; above this, a second array costs more than readability is worth
MEDIUM = 2**11  # bytes; above this, a second array costs time
_IN_PLACE = frozenset({np.add, np.subtract, np.multiply, np.divide, np.power, np.remainder, np.floor_divide})


class NumpySource:
    """A program as a Python function in NumPy.

    Attributes:
        program: the program that the function performs.
        name: the function's name.
        text: the source, from `def` on.
        expressions: the texts of its parts, with the names that they use.
        parameters, places: the inputs of the function: its arguments by name, and the places in `state`.

    Args:
        taken: names that already mean something else.
        large: the number of bytes above which an array that is not read any more takes up the next result.
    """

    def __init__(
        self, program: Program, name: str, parameters: list[str], taken: Iterable[str] = (), large: int = LARGE
    ) -> None:
        self.program = program
        self._large = large
        self.name = identifier(name)
        self._taken = (self.name, *taken)
        self.parameters = parameters
        self._uses = program.uses()
        self._ends_set = set(program.ends)
        self._user = {x: position for position, call in enumerate(program.calls) for x in call.reads}
        self._last = last_uses(program)
        self._own_line: set[Variable] = set()  # variables that would make the line that uses them too long
        self._becomes: dict[Variable, Variable] = {}  # the variable that finally replaces an array, and names it
        before: Any = None
        while before != (before := (len(self._own_line), dict(self._becomes))):
            self._begin()
            self.text = self._written()
            self._becomes = self._places_taken

    def at_speed(self) -> "NumpySource":
        """The same function in its fastest form, which overwrites arrays even if that costs readability."""
        return NumpySource(self.program, self.name, self.parameters, self._taken[1:], MEDIUM)

    def _begin(self) -> None:
        self.expressions = Expressions(self.parameters, self._taken)
        for call in self.program.calls:
            self.expressions.reserve(call)
        self._lines: list[str] = []
        self._owned: set[Variable] = set()
        self._places_taken: dict[Variable, Variable] = {}
        self._inline: dict[Variable, Instruction] = {}
        self._kept_in: dict[Variable, list[Place]] = {}
        for place, x in self.program.updates.items():
            self._kept_in.setdefault(x, []).append(place)
            if isinstance(x, Variable) and not isinstance(place, Gradient):
                x.name = f"new_{identifier(place.name)}"

    # The function as a whole

    def _written(self) -> str:
        program = self.program
        used = set(self._uses)
        inputs = {x: place for x, place in program.inputs.items() if x in used}
        self.places = {place: x for x, place in inputs.items() if not isinstance(place, Argument)}
        for x, place in inputs.items():
            if isinstance(place, Argument):
                self.expressions.ready[x] = Text(self.parameters[place.index])
        for x, array in program.constants.items():
            if x in used:
                self.expressions.ready[x] = self.expressions.constant(x, array)
        self.has_state = bool(self.places or program.updates)
        parameters = [*self.parameters, "state"] if self.has_state else self.parameters
        head = f"def {self.name}({', '.join(parameters)}):"
        self._lines += [head] if len(head) <= WIDTH else [f"def {self.name}(", *_listed(parameters, "    "), "):"]
        for place, x in self.places.items():
            self.expressions.ready[x] = Text(self.expressions.names[x])
            self._line(f"    {self.expressions.names[x]} = state[{literal(place.name)}]")
        self._calls()
        self._ends()
        return "\n".join(self._lines) + "\n"

    def _line(self, text: str) -> None:
        self._lines.append(text)

    def _calls(self) -> None:
        section, source = None, None
        for position, call in enumerate(self.program.calls):
            text = self.expressions.of(call)
            if self._goes_inline(call, text, position):
                self.expressions.ready[call.result] = text
                self._inline[call.result] = call
                continue
            if call.section != section:
                section, source = call.section, None
                self._line(f"    # {section}")
            if section == FORWARD and call.source and call.source.text and call.source != source:
                source = call.source
                self._line(f"    # {source.text[: WIDTH - 10]}")
            self._statement(call, text, position)

    def _goes_inline(self, call: Instruction, text: Text, position: int) -> bool:
        x = call.result
        if self._uses.get(x) != 1 or x in self._ends_set or x in self._own_line or call.ignoring or not call.reads:
            return False
        later = self.program.calls[self._user[x]]
        if later.section != call.section or len(text.text) > WIDTH // 2 or later.ignoring or not later.reads:
            return False
        takes_in = later.result.shape == x.shape and later.result.dtype == x.dtype and _is_plain_ufunc(later)
        return not (x.nbytes >= self._large and (takes_in or self._in_place(call, position)))

    def _statement(self, call: Instruction, text: Text, position: int) -> None:
        indent = "    "
        if call.ignoring:
            quiet = ", ".join(f'{kind}="ignore"' for kind in sorted(call.ignoring))
            self._line(f"    with np.errstate({quiet}):")
            indent = "        "
        x = call.result
        if call.op is refuse_where:
            condition, values = map(self.expressions.operand, call.inputs)
            message = literal(call.params["message"])
            if "{}" in message:
                message += f".format({values.within(ATOM)}[{condition.text}].flat[0])"
            self._line(f"{indent}if np.any({condition.text}):")
            line = f"{indent}    raise ValueError({message})"
            broken = [f"{indent}    raise ValueError(", f"{indent}        {message}", f"{indent}    )"]
            for part in [line] if len(line) <= WIDTH else broken:
                self._line(part)
            self.expressions.ready[x] = values
            return
        target = self._in_place(call, position) if x.nbytes >= self._large else None
        if target is None:
            last = self._becomes.get(x)
            if last is not None:
                self.expressions.names.take_over(x, last)
            name = self.expressions.names[x]
            places = [f"state[{literal(place.name)}]" for place in self._kept_in.pop(x, [])]
            kept_only = places and self._uses[x] == len(places)
            line = f"{indent}{' = '.join([*([] if kept_only else [name]), *places])} = {text.text}"
        else:
            self.expressions.names.take_over(x, target)
            first = next((root for root, last in self._places_taken.items() if last is target), target)
            self._places_taken[first] = x
            name = self.expressions.names[x]
            line = f"{indent}{self._updated(call, name, target)}"
        broken = [line]
        if len(line) > WIDTH and not self._break(call) and target is None and text.binds < ATOM:
            broken = [line.removesuffix(text.text) + "(", f"{indent}    {text.text}", f"{indent})"]
        for part in broken:
            self._line(part)
        self.expressions.ready[x] = Text(name)
        if makes_an_array(call):
            self._owned.add(x)

    def _break(self, call: Instruction) -> bool:
        """Give the longest part of a line a line of its own, next time; False if it has no parts."""
        parts, ahead = [], [call]
        while ahead:
            inside = [x for x in ahead.pop().reads if x in self._inline]
            parts += inside
            ahead += [self._inline[x] for x in inside]
        if parts:
            self._own_line.add(max(parts, key=lambda x: len(self.expressions.ready[x].text)))
        return bool(parts)

    def _in_place(self, call: Instruction, position: int) -> Variable | None:
        """The array that the result may overwrite: one of the same form that was made here and is not read any more."""
        if not _is_plain_ufunc(call):
            return None
        for x in call.inputs:
            if not isinstance(x, Variable) or x not in self._owned or self._last.get(x) != position:
                continue
            if x.shape == call.result.shape and x.dtype == call.result.dtype and self._uses[x] == 1:
                return x
        return None

    def _updated(self, call: Instruction, name: str, target: Variable) -> str:
        operator = OPERATORS.get(call.op.forward)
        if operator and call.op.forward in _IN_PLACE and call.inputs[0] is target:
            return f"{name} {operator[0]}= {self.expressions.operand(call.inputs[1]).text}"
        operands = ", ".join(self.expressions.operand(x).text for x in call.inputs)
        return f"{self.expressions.function(call)}({operands}, out={name})"

    def _ends(self) -> None:
        for place, x in [(place, x) for x, places in self._kept_in.items() for place in places]:
            self._line(f"    state[{literal(place.name)}] = {self.expressions.operand(x).text}")
        results = [
            self.expressions.operand(x).text if isinstance(x, Variable) else "None" for x in self.program.results
        ]
        if results:
            line = f"    return {', '.join(results)}"
            one_each = ["    return (", *(f"        {result}," for result in results), "    )"]
            self._lines += [line] if len(line) <= WIDTH else one_each
        elif not self.program.updates:
            self._line("    return None")


def _is_plain_ufunc(call: Instruction) -> bool:
    return isinstance(call.op.forward, np.ufunc) and not call.op.forward.signature and not call.params


def _listed(parts: list[str], indent: str) -> list[str]:
    """The parts of a list between brackets, each on its own line."""
    line = indent + ", ".join(parts)
    return [line] if len(line) <= WIDTH else [f"{indent}{part}," for part in parts]
