"""The NumPy backend: a program as the source of a function, as a careful person would write it.

A value that is used once is written where it is used, as long as the line stays short. A large array that is not read
any more takes up the next result.
"""

from collections.abc import Iterable

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
        self.expressions = Expressions(self.parameters, self._taken)
        for call in program.calls:
            self.expressions.reserve(call)
        self._lines: list[str] = []
        self._inline: dict[Variable, Instruction] = {}
        self._kept_in: dict[Variable, list[Place]] = {}
        for place, x in program.updates.items():
            self._kept_in.setdefault(x, []).append(place)
            if isinstance(x, Variable) and not isinstance(place, Gradient):
                x.name = f"new_{identifier(place.name)}"
        self._targets = self._taken_up()
        for target in reversed(self._targets):  # an array has one name all the time, that of what it becomes in the end
            self.expressions.names.share(self._targets[target], target)
        self.text = self._written()

    def at_speed(self) -> "NumpySource":
        """The same function in its fastest form, which overwrites arrays even if that costs readability."""
        return NumpySource(self.program, self.name, self.parameters, self._taken[1:], MEDIUM)

    def _taken_up(self) -> dict[Variable, Variable]:
        """The large arrays that take up another result, each with that result."""
        targets: dict[Variable, Variable] = {}
        owned: set[Variable] = set()
        last = last_uses(self.program)
        for position, call in enumerate(self.program.calls):
            x = call.result
            if makes_an_array(call):
                owned.add(x)
            if x.nbytes >= self._large and is_plain_ufunc(call):
                fits = (y for y in call.inputs if y in owned and last.get(y) == position and self._uses[y] == 1)
                target = next((y for y in fits if (y.shape, y.dtype) == (x.shape, x.dtype)), None)
                if target is not None:
                    targets[target] = x
        return targets

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
        self._into = {x: target for target, x in self._targets.items()}
        for call in self.program.calls:
            text = self.expressions.of(call)
            if self._goes_inline(call, text):
                self.expressions.ready[call.result] = text
                self._inline[call.result] = call
                continue
            if call.section != section:
                section, source = call.section, None
                self._line(f"    # {section}")
            if section == FORWARD and call.source and call.source.text and call.source != source:
                source = call.source
                self._line(f"    # {source.text[: WIDTH - 10]}")
            self._statement(call, text)

    def _goes_inline(self, call: Instruction, text: Text) -> bool:
        x = call.result
        if self._uses.get(x) != 1 or x in self._ends_set or call.ignoring or not call.reads:
            return False
        later = self.program.calls[self._user[x]]
        if later.section != call.section or later.ignoring or not later.reads or len(text.text) > _room(x):
            return False
        takes_in = later.result.shape == x.shape and later.result.dtype == x.dtype and is_plain_ufunc(later)
        return not (x.nbytes >= self._large and (takes_in or x in self._into))

    def _statement(self, call: Instruction, text: Text) -> None:
        indent = "    "
        if call.ignoring:
            quiet = ", ".join(f'{kind}="ignore"' for kind in sorted(call.ignoring))
            self._line(f"    with np.errstate({quiet}):")
            indent = "        "
        x = call.result
        if call.op is refuse_where:
            self._requirement(call, indent)
            return
        target = self._into.get(x)
        while True:
            name = self.expressions.names[x]
            places = [f"state[{literal(place.name)}]" for place in self._kept_in.get(x, [])]
            kept_only = places and self._uses[x] == len(places)
            line = f"{indent}{' = '.join([*([] if kept_only else [name]), *places])} = {text.text}"
            if target is not None:
                line = f"{indent}{self._updated(call, name, target)}"
            if len(line) <= WIDTH or not self._shortened(call):
                break
            text = self.expressions.of(call)
        if len(line) > WIDTH and target is None and text.binds < ATOM:
            self._lines += [line.removesuffix(text.text) + "(", f"{indent}    {text.text}", f"{indent})"]
        else:
            self._line(line)
        if target is None:
            self._kept_in.pop(x, None)
        self.expressions.ready[x] = Text(name)

    def _requirement(self, call: Instruction, indent: str) -> None:
        condition, values = map(self.expressions.operand, call.inputs)
        message = literal(call.params["message"])
        if "{}" in message:
            message += f".format({values.within(ATOM)}[{condition.text}].flat[0])"
        self._line(f"{indent}if np.any({condition.text}):")
        line = f"{indent}    raise ValueError({message})"
        broken = [f"{indent}    raise ValueError(", f"{indent}        {message}", f"{indent}    )"]
        for part in [line] if len(line) <= WIDTH else broken:
            self._line(part)
        self.expressions.ready[call.result] = values

    def _shortened(self, call: Instruction) -> bool:
        """Give a part of a line that is too long a line of its own before it; False if there are no parts.

        The longest part that the user named comes first, and then the longest of the others.
        """
        parts, ahead = [], [call]
        while ahead:
            inside = [x for x in ahead.pop().reads if x in self._inline]
            parts += inside
            ahead += [self._inline[x] for x in inside]
        if parts:
            longest = max(parts, key=lambda x: (x.is_named, len(self.expressions.ready[x].text)))
            self._statement(part := self._inline.pop(longest), self.expressions.of(part))
            for x in reversed(parts):
                if x in self._inline:
                    self.expressions.ready[x] = self.expressions.of(self._inline[x])
        return bool(parts)

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


def _room(x: Variable) -> int:
    """How long an expression may be to be written where it is used; what the user named soon gets a line."""
    return WIDTH // 2 if x.is_named else 3 * WIDTH // 4


def is_plain_ufunc(call: Instruction) -> bool:
    return isinstance(call.op.forward, np.ufunc) and not call.op.forward.signature and not call.params


def _listed(parts: list[str], indent: str) -> list[str]:
    """The parts of a list between brackets, each on its own line."""
    line = indent + ", ".join(parts)
    return [line] if len(line) <= WIDTH else [f"{indent}{part}," for part in parts]
