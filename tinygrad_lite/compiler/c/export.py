"""Export for C: a file of C99 that needs libm alone, with one function for the whole program.

The parts of it are the segments of the native backend. What repeats is one function, called with other arrays.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, NoReturn

import numpy as np

from tinygrad_lite.compiler import repeats
from tinygrad_lite.compiler.c import forms
from tinygrad_lite.compiler.c.emission import TYPES, broken, number
from tinygrad_lite.compiler.c.names import Names, comment
from tinygrad_lite.compiler.c.systems import FUNCTIONS
from tinygrad_lite.compiler.c.writer import PRODUCTS, CWriter
from tinygrad_lite.compiler.draws import Draw
from tinygrad_lite.compiler.native.expansions import expanded
from tinygrad_lite.compiler.native.pairs import with_pairs
from tinygrad_lite.compiler.native.plan import Plan, Segment, Written, packed, with_former_values
from tinygrad_lite.compiler.native.scalars import Form, of_parts
from tinygrad_lite.compiler.native.varying_numbers import with_numbers_as_data
from tinygrad_lite.compiler.passes.dead_code import without_unread_results
from tinygrad_lite.compiler.places import Argument
from tinygrad_lite.compiler.program import Instruction, Program, Variable
from tinygrad_lite.compiler.source.export import form_of, shown
from tinygrad_lite.compiler.source.numpy_source import NumpySource
from tinygrad_lite.errors import UsageError

LARGEST_TRANSFORM = 2**16
"""The most entries of the matrix of a Fourier transform, which are numbers in the text."""


def c_file(sources: Sequence[NumpySource]) -> str:
    """The text of the file.

    Raises:
        UsageError: if the program has an operation, or a dtype, that has no form in C.
    """
    taken = Names([*PRODUCTS.values(), *FUNCTIONS])
    functions = [_Function(source, taken) for source in sources]
    shared = {name: text for function in functions for name, text in function.shared.items()}
    head = ["#include <math.h>", "#include <stdbool.h>", "#include <stddef.h>", "#include <stdint.h>"]
    states = [function.state for function in functions if function.state]
    own = [part for function in functions for part in function.parts]
    parts = [_said(functions), "\n".join(head), *states, *shared.values(), *own]
    return "\n\n".join(parts) + "\n"


def _said(functions: Sequence["_Function"]) -> str:
    first, *rest = functions
    lines = [
        comment(f"`{first.source.name}`, recorded by tinygrad_lite: C99 that needs libm alone, gradients and all."),
        "",
        "Arrays are in C order, and no two of them overlap. Between the parts of a call, values are in static memory:",
        "one call at a time.",
    ]
    if any(function.may_refuse for function in functions):
        lines += ["", "A bool function returns false where NumPy raises an error, and leaves the state as it was."]
    for function in rest:
        lines += ["", f"The last results of `{first.name}` are the first arguments of `{function.name}`,"]
        lines += ["which takes gradients of the others."]
    return "/* " + "\n".join(f"   {line}".rstrip() for line in lines).lstrip() + " */"


class _C:
    """C as the kind of code that segments are written in."""

    calls_numpy = False

    def __init__(self) -> None:
        self.turn: repeats.Form = repeats.form
        self.known: dict[Any, Written] = {}

    def form(self, call: Instruction) -> Form | None:
        return forms.form(call)

    def writer(self, body: list[Any], alone: set[Variable]) -> CWriter:
        return CWriter(body, alone)


@dataclass(frozen=True)
class _Result:
    """A result as a place that the program writes to."""

    index: int


class _Function:
    """The text of one program.

    Attributes:
        source: the same program in NumPy.
        name: the name of the function.
        state: the struct of its state, if there is any.
        may_refuse: whether it refuses some values, for which it returns false.
        shared: the texts of the functions that others may call, too, by name.
        parts: the other definitions, in order; the function is the last.
    """

    def __init__(self, source: NumpySource, taken: Names) -> None:
        self._prefix = taken.new(source.name)
        self.name = taken.new(f"{self._prefix}_run")  # no library function has such a name
        self.source = source
        target = _C()
        program = without_unread_results(source.program)  # C raises no errors
        program = with_numbers_as_data(expanded(with_pairs(_in_c_order(program), LARGEST_TRANSFORM), few=inf), target)
        for call in program.calls:
            if call.op is not of_parts:  # which puts complex numbers together for another operation
                self._refuse_unless(all(x.dtype in TYPES for x in (*call.reads, call.result)), call)
        for x in (*program.inputs, *program.ends):
            if x.dtype not in TYPES:
                self._refuse(f"{x.name or 'a value'} ({x.dtype}) has no type there")
        for place, value in program.updates.items():
            if value is None and place in source.places:
                self._refuse(f"{place.name} is read, and there is none afterwards")
        results = {_Result(i): x for i, x in enumerate(program.results) if isinstance(x, Variable)}
        written = {**program.updates, **results}
        self._program = with_former_values(Program(program.inputs, program.constants, program.calls, [], written))
        self._inputs = {place: x for x, place in program.inputs.items()}
        self._supplied = {
            place: replace(x, name=getattr(place, "name", x.name or "result"), order=None)
            for place, x in self._program.updates.items()
            if isinstance(x, Variable) and place not in self._inputs
        }
        self._plan = Plan(self._program, target, self._supplied)
        for step in self._plan.steps:
            self._refuse_unless(isinstance(step, Segment), step)
        self.may_refuse = any(map(_may_refuse, self._plan.steps))
        self.state = ""
        self.shared: dict[str, str] = {}
        self.parts: list[str] = []
        self._pointers: dict[Variable, str] = {}
        assigned = self._add_state(taken)
        self._add_constants(taken)
        called = self._add_segments(taken)
        names = Names([*taken.taken, "state"])
        parameters = self._parameters(names)
        lines = [*self._memory(names), *self._calls(called), *assigned]
        self.parts.append(self._text(parameters, lines))

    def _refuse_unless(self, is_possible: bool, call: Instruction) -> None:
        if not is_possible:
            dtypes = dict.fromkeys(str(x.dtype) for x in (*call.reads, call.result))
            why = "draws random numbers" if isinstance(call.op, Draw) else "has no form there"
            line = f" (at {call.source})" if call.source else ""
            self._refuse(f"{call.op.name} ({', '.join(dtypes)}) {why}{line}")

    def _refuse(self, why: str) -> NoReturn:
        raise UsageError(
            f"{self.source.name} cannot be exported for C: {why}; compute that outside and pass it as an argument, or "
            "export for NumPy"
        )

    def _add_constants(self, taken: Names) -> None:
        """Define the constants that the segments read."""
        read = dict.fromkeys(root for step in self._plan.steps for root, _ in step.roots)
        for x, array in self._plan.constants.items():
            if x in read and not x.shape:
                self._pointers[x] = f"&(const {TYPES[x.dtype]}){{{number(array[0])}}}"
            elif x in read:
                name = self._pointers[x] = taken.new(f"{self._prefix}_{x.name or 'constant'}")
                head = f"static const {TYPES[x.dtype]} {name}[{array.size}] = {{"
                self.parts.append("\n".join(broken(head, [number(entry) for entry in array.ravel()], "};")))

    def _add_segments(self, taken: Names) -> dict[str, str]:
        """Define a function for each distinct segment; return the functions' names by the segments' texts."""
        names: dict[str, str] = {}
        for step in self._plan.steps:
            self.shared |= step.functions
            if step.text not in names:
                name = names[step.text] = taken.new(f"{self._prefix}_part_{len(names) + 1}")
                lines = dict.fromkeys(call.source.text for call in step.calls if call.source)
                said = "\n".join([", ".join(dict.fromkeys(call.section for call in step.calls)), *map(comment, lines)])
                self.parts.append("/* " + said.replace("\n", "\n   ") + " */\n" + step.text.replace("NAME", name, 1))
        return names

    def _add_state(self, taken: Names) -> list[str]:
        """Define the state, if there is any; return the statements that write the numbers in it that are known."""
        fields: dict[Any, Any] = {place: self._inputs[place] for place in self.source.places}
        for place, x in self._program.updates.items():
            if not isinstance(place, (Argument, _Result)) and place not in fields:
                fields[place] = self._inputs.get(place) or self._supplied.get(place) or x
        names, lines, assigned = Names(), [], []
        for place, x in fields.items():
            value = self._program.updates.get(place)
            if not isinstance(x, Variable):
                if x is None:
                    continue  # a gradient that the program leaves out, and does not read
                x = Variable((), np.asarray(x).dtype, is_number=True)
            if not x.size:
                self._pointers[x] = "NULL"
                continue
            name = names.new(place.name)
            size = " * ".join(map(str, x.shape))
            said = f"/* {comment(shown(place.name))}: {form_of(x)} */"
            lines.append(f"    {TYPES[x.dtype]} {name}{f'[{size}]' if x.shape else ''}; {said}")
            self._pointers[x] = f"state->{name}" if x.shape else f"&state->{name}"
            if place in self._program.updates and not isinstance(value, Variable):
                assigned.append(f"    state->{name} = {number(np.asarray(value, x.dtype)[()])};")
        if lines:
            kind = self._kind = taken.new(f"{self._prefix}_state")
            said = f"/* What `{self.name}` reads and writes besides its arguments. */"
            self.state = "\n".join([said, "typedef struct {", *lines, f"}} {kind};"])
        return assigned

    def _parameters(self, names: Names) -> list[tuple[str, str, str]]:
        """The parameters: name, declaration, and what it is."""
        parameters = []
        arguments = sorted(
            ((place, x) for place, x in self._inputs.items() if isinstance(place, Argument)),
            key=lambda item: item[0].index,
        )
        for place, x in arguments:
            label = self.source.parameters[place.index]
            name = names.new(label)
            written = place in self._program.updates
            is_array = bool(x.shape) or written
            self._pointers[x] = name if is_array else f"&{name}"
            kind = f"{'' if written or not is_array else 'const '}{TYPES[x.dtype]} {'*' * is_array}"
            parameters.append((name, f"{kind}{name}", f"{comment(shown(label))}: {form_of(x)}"))
        if self.state:
            parameters.append(("state", f"{self._kind} *state", ""))
        for place, x in self._supplied.items():
            if isinstance(place, _Result):
                name = self._pointers[x] = names.new(x.name)
                parameters.append((name, f"{TYPES[x.dtype]} *{name}", f"a result: {form_of(x)}"))
        return parameters

    def _memory(self, names: Names) -> list[str]:
        """The declarations of the memory for values that go from one segment to another, by dtype."""
        lines = []
        for dtype in dict.fromkeys(x.dtype for x in self._plan.passing):
            passing = {x: steps for x, steps in self._plan.passing.items() if x.dtype == dtype}
            starts, size = packed(passing, {x: max(x.size, 1) for x in passing})
            name = names.new(f"{TYPES[dtype].removesuffix('_t')}s")
            lines.append(f"    static {TYPES[dtype]} {name}[{size}];")
            self._pointers.update({x: _ahead(name, start) for x, start in starts.items()})
        return lines

    def _calls(self, called: dict[str, str]) -> list[str]:
        lines = []
        for step in self._plan.steps:
            pointers = [_ahead(self._pointers[root], start) for root, start in step.roots]
            if _may_refuse(step):
                lines += [*broken(f"    if (!{called[step.text]}(", pointers, "))"), "        return false;"]
            else:
                lines += broken(f"    {called[step.text]}(", pointers, ");")
        return lines

    def _text(self, parameters: list[tuple[str, str, str]], lines: list[str]) -> str:
        """The function itself."""
        declared = [f"    {declaration}" for _, declaration, _ in parameters]
        ends = ["," if i < len(parameters) - 1 else ")" for i in range(len(parameters))]
        said = [f" /* {meaning} */" if meaning else "" for _, _, meaning in parameters]
        kind = "bool" if self.may_refuse else "void"
        head = [f"{kind} {self.name}({'' if parameters else 'void)'}", *map("".join, zip(declared, ends, said))]
        used = {name for line in lines for name in re.findall(r"\w+", line)}
        unread = [f"    (void){name};" for name, _, _ in parameters if name not in used]
        return "\n".join([*head, "{", *lines, *unread, *["    return true;"] * self.may_refuse, "}"])


def _may_refuse(segment: Segment) -> bool:
    return segment.text.startswith("static bool")


def _ahead(pointer: str, start: int) -> str:
    """A pointer to a later entry."""
    base, _, before = pointer.partition(" + ")
    total = int(before or 0) + start
    return f"{base} + {total}" if total else base


def _in_c_order(program: Program) -> Program:
    """The program with all its inputs in C order, whatever the order of the arrays was when it was recorded."""
    turned = {x: replace(x, order=None) for x in program.inputs if x.order is not None}
    if not turned:
        return program
    made = program.with_calls([call.with_variables(turned) for call in program.calls], turned)
    made.inputs = {turned.get(x, x): place for x, place in program.inputs.items()}
    return made
