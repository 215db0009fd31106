"""Floor 5. The NumPy backend: a program as the source of a function, as a careful person would write it.

A value that is used once is written where it is used while the line stays short; a large array that is not read any
more takes the next result in.
"""

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinygrad_lite.compiler.draws import Draw
from tinygrad_lite.compiler.naming import Identifiers, identifier
from tinygrad_lite.compiler.places import Argument, Gradient, Place
from tinygrad_lite.compiler.program import FORWARD, Call, Program, Variable
from tinygrad_lite.ops import casting, indexing, reductions, shaping
from tinygrad_lite.ops.registry import name_of_function
from tinygrad_lite.ops.requirements import refuse_where

WIDTH = 88  # columns, as the formatters of Python have it
LARGE = 2**11  # bytes from which on a second array costs more than the look of the line
_ATOM, _UNARY, _POWER, _PRODUCT, _SUM, _AND, _XOR, _OR, _COMPARISON = 20, 13, 14, 12, 11, 9, 8, 7, 6
_OPERATORS: dict[Any, tuple[str, int]] = {
    np.add: ("+", _SUM),
    np.subtract: ("-", _SUM),
    np.multiply: ("*", _PRODUCT),
    np.divide: ("/", _PRODUCT),
    np.matmul: ("@", _PRODUCT),
    np.floor_divide: ("//", _PRODUCT),
    np.remainder: ("%", _PRODUCT),
    np.power: ("**", _POWER),
    np.bitwise_and: ("&", _AND),
    np.bitwise_xor: ("^", _XOR),
    np.bitwise_or: ("|", _OR),
    np.equal: ("==", _COMPARISON),
    np.not_equal: ("!=", _COMPARISON),
    np.less: ("<", _COMPARISON),
    np.less_equal: ("<=", _COMPARISON),
    np.greater: (">", _COMPARISON),
    np.greater_equal: (">=", _COMPARISON),
}
_IN_PLACE = frozenset({np.add, np.subtract, np.multiply, np.divide, np.power, np.remainder, np.floor_divide})
_DEFAULTS = (("axis", None), ("keepdims", False))


class _Named:
    """A generator as something to be named, the same for the same generator."""

    name = "rng"

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and other._generator is self._generator

    def __hash__(self) -> int:
        return id(self._generator)


class Text:
    """The text of an expression, and how tightly its outermost operator binds."""

    def __init__(self, text: str, binds: int = _ATOM) -> None:
        self.text = text
        self.binds = binds

    def within(self, binds: int, right: bool = False) -> str:
        """The text as an operand of an operator that binds so tightly."""
        loose = self.binds <= binds if right else self.binds < binds
        return f"({self.text})" if loose else self.text


class NumpySource:
    """A program as a Python function in NumPy.

    Attributes:
        name: the function's.
        text: the source, from `def` on.
        libraries: what the source calls besides NumPy.
        helpers: what the source calls by name and NumPy does not have, by that name.
        parameters, places: what the function is given: the arguments by name, and the places in `state`.

    Args:
        taken: names that mean something else already.
    """

    def __init__(self, program: Program, name: str, parameters: list[str], taken: Iterable[str] = ()) -> None:
        self._program = program
        self._taken = (*taken, *parameters)
        self.name = identifier(name)
        self.parameters = parameters
        self._uses = program.uses()
        self._ends_set = set(program.ends)
        self._user = {x: position for position, call in enumerate(program.calls) for x in call.reads}
        self._last = _last_uses(program)
        self._own_line: set[Variable] = set()  # what would make the line too long in which it is used
        before = -1
        while before != (before := len(self._own_line)):
            self._begin()
            self.text = self._written()

    def _begin(self) -> None:
        self.helpers: dict[str, Callable[..., Any]] = {}
        self.libraries: set[str] = set()
        self.constants: dict[str, Any] = {}
        self._names = Identifiers((self.name, *self._taken))
        for call in self._program.calls:
            if call.op not in _FORMS and call.op.forward not in (*_OPERATORS, np.negative):
                self._function(call)  # which takes its name before the variables take theirs
        self._ready: dict[Variable, Text] = {}
        self._lines: list[str] = []
        self._owned: set[Variable] = set()
        self._inline: dict[Variable, Call] = {}
        self._kept_in: dict[Variable, list[Place]] = {}
        for place, x in self._program.updates.items():
            self._kept_in.setdefault(x, []).append(place)
            if isinstance(x, Variable) and not isinstance(place, Gradient):
                x.name = f"new_{identifier(place.name)}"

    # The function as a whole

    def _written(self) -> str:
        program = self._program
        used = set(self._uses)
        inputs = {x: place for x, place in program.inputs.items() if x in used}
        self.places = {place: x for x, place in inputs.items() if not isinstance(place, Argument)}
        for x, place in inputs.items():
            if isinstance(place, Argument):
                self._ready[x] = Text(self.parameters[place.index])
        for x, array in program.constants.items():
            if x in used:
                self._ready[x] = self._constant(x, array)
        self.has_state = bool(self.places or program.updates)
        parameters = [*self.parameters, "state"] if self.has_state else self.parameters
        head = f"def {self.name}({', '.join(parameters)}):"
        self._lines += [head] if len(head) <= WIDTH else [f"def {self.name}(", *_listed(parameters, "    "), "):"]
        for place, x in self.places.items():
            self._ready[x] = Text(self._names[x])
            self._line(f"    {self._names[x]} = state[{literal(place.name)}]")
        self._calls()
        self._ends()
        return "\n".join(self._lines) + "\n"

    def _line(self, text: str) -> None:
        self._lines.append(text)

    def _constant(self, x: Variable, array: Any) -> Text:
        if not np.shape(array):
            return Text(literal(array))
        if array.ndim == 1 and array.dtype == np.int64 and np.array_equal(array, np.arange(len(array))):
            return Text(f"np.arange({len(array)})")
        x.name = x.name or "constant"
        name = self._names[x]
        self.constants[name] = array
        return Text(name)

    def _calls(self) -> None:
        section, source = None, None
        for position, call in enumerate(self._program.calls):
            text = self._expression(call)
            if self._goes_inline(call, text, position):
                self._ready[call.result] = text
                self._inline[call.result] = call
                continue
            if call.section != section:
                section, source = call.section, None
                self._line(f"    # {section}")
            if section == FORWARD and call.source and call.source.text and call.source != source:
                source = call.source
                self._line(f"    # {source.text[: WIDTH - 10]}")
            self._statement(call, text, position)

    def _goes_inline(self, call: Call, text: Text, position: int) -> bool:
        x = call.result
        if self._uses.get(x) != 1 or x in self._ends_set or x in self._own_line or call.ignoring or not call.reads:
            return False
        later = self._program.calls[self._user[x]]
        if later.section != call.section or len(text.text) > WIDTH // 2 or later.ignoring or not later.reads:
            return False
        takes_in = later.result.shape == x.shape and later.result.dtype == x.dtype and _is_plain_ufunc(later)
        return not (x.nbytes >= LARGE and (takes_in or self._in_place(call, position)))

    def _statement(self, call: Call, text: Text, position: int) -> None:
        indent = "    "
        if call.ignoring:
            quiet = ", ".join(f'{kind}="ignore"' for kind in sorted(call.ignoring))
            self._line(f"    with np.errstate({quiet}):")
            indent = "        "
        x = call.result
        if call.op is refuse_where:
            condition, values = map(self._operand, call.inputs)
            message = literal(call.params["message"])
            if "{}" in message:
                message += f".format({values.within(_ATOM)}[{condition.text}].flat[0])"
            self._line(f"{indent}if np.any({condition.text}):")
            line = f"{indent}    raise ValueError({message})"
            broken = [f"{indent}    raise ValueError(", f"{indent}        {message}", f"{indent}    )"]
            for part in [line] if len(line) <= WIDTH else broken:
                self._line(part)
            self._ready[x] = values
            return
        target = self._in_place(call, position) if x.nbytes >= LARGE else None
        if target is None:
            name = self._names[x]
            places = [f"state[{literal(place.name)}]" for place in self._kept_in.pop(x, [])]
            kept_only = places and self._uses[x] == len(places)
            line = f"{indent}{' = '.join([*([] if kept_only else [name]), *places])} = {text.text}"
        else:
            self._names.take_over(x, target)
            name = self._names[x]
            line = f"{indent}{self._updated(call, name, target)}"
        broken = [line]
        if len(line) > WIDTH and not self._break(call) and target is None and text.binds < _ATOM:
            broken = [line.removesuffix(text.text) + "(", f"{indent}    {text.text}", f"{indent})"]
        for part in broken:
            self._line(part)
        self._ready[x] = Text(name)
        if call.view_of is None and x.shape:
            self._owned.add(x)

    def _break(self, call: Call) -> bool:
        """Give the longest of the parts of a line a line of its own, next time; False if it has no parts."""
        parts, ahead = [], [call]
        while ahead:
            inside = [x for x in ahead.pop().reads if x in self._inline]
            parts += inside
            ahead += [self._inline[x] for x in inside]
        if parts:
            self._own_line.add(max(parts, key=lambda x: len(self._ready[x].text)))
        return bool(parts)

    def _in_place(self, call: Call, position: int) -> Variable | None:
        """The array that the result may be written into: of its form, made here, and not read any more."""
        if not _is_plain_ufunc(call):
            return None
        for x in call.inputs:
            if not isinstance(x, Variable) or x not in self._owned or self._last.get(x) != position:
                continue
            if x.shape == call.result.shape and x.dtype == call.result.dtype and self._uses[x] == 1:
                return x
        return None

    def _updated(self, call: Call, name: str, target: Variable) -> str:
        operator = _OPERATORS.get(call.op.forward)
        if operator and call.op.forward in _IN_PLACE and call.inputs[0] is target:
            return f"{name} {operator[0]}= {self._operand(call.inputs[1]).text}"
        operands = ", ".join(self._operand(x).text for x in call.inputs)
        return f"{self._function(call)}({operands}, out={name})"

    def _ends(self) -> None:
        for place, x in [(place, x) for x, places in self._kept_in.items() for place in places]:
            self._line(f"    state[{literal(place.name)}] = {self._operand(x).text}")
        results = [self._operand(x).text if isinstance(x, Variable) else "None" for x in self._program.results]
        if results:
            line = f"    return {', '.join(results)}"
            one_each = ["    return (", *(f"        {each}," for each in results), "    )"]
            self._lines += [line] if len(line) <= WIDTH else one_each
        elif not self._program.updates:
            self._line("    return None")

    # One operation

    def _operand(self, x: Any) -> Text:
        if isinstance(x, Variable):
            return self._ready[x]
        text = self._parameter(x)
        return Text(text, _UNARY if text.startswith("-") else _ATOM)

    def _expression(self, call: Call) -> Text:
        operands = [self._operand(x) for x in call.inputs]
        written = _FORMS.get(call.op, NumpySource._call)(self, call, operands)
        if call.result.is_number and call.op.forward not in (*_OPERATORS, np.negative):
            return Text(f"float({written.text})")
        return written

    def _call(self, call: Call, operands: list[Text]) -> Text:
        forward = call.op.forward
        if forward in _OPERATORS and len(operands) == 2 and not call.params:
            symbol, binds = _OPERATORS[forward]
            if forward is np.power:
                base, exponent = operands[0].within(binds, right=True), operands[1].within(_UNARY)
                hugs = all(re.fullmatch(r"-?[\w.]+", side) for side in (base, exponent))
                return Text(f"{base}**{exponent}" if hugs else f"{base} ** {exponent}", binds)
            tight = _COMPARISON + 1 if binds == _COMPARISON else binds
            return Text(f"{operands[0].within(tight)} {symbol} {operands[1].within(binds, right=True)}", binds)
        if forward is np.negative:
            return Text(f"-{operands[0].within(_UNARY)}", _UNARY)
        arguments = [operand.text for operand in operands] + self._keywords(call)
        if isinstance(call.op, Draw):
            arguments = [*map(self._parameter, call.op.args)]
            arguments += [f"{name}={self._parameter(value)}" for name, value in call.op.kwargs.items()]
        return Text(f"{self._function(call)}({', '.join(arguments)})")

    def _keywords(self, call: Call) -> list[str]:
        given = {name: value for name, value in call.params.items() if value is not np._NoValue}
        return [f"{name}={self._parameter(value)}" for name, value in given.items()]

    def _function(self, call: Call) -> str:
        op = call.op
        if isinstance(op, Draw) and op.argument is not None:
            return f"{self.parameters[op.argument]}.{op.name}"
        if isinstance(op, Draw):
            name = self._names[_Named(op.generator)]
            self.helpers[name] = op.generator
            return f"{name}.{op.name}"
        known = name_of_function(op, call.params)
        if known:
            if not known.startswith("np."):
                self.libraries.add(known.split(".")[0])
            return known
        self.helpers[self._names[op]] = op.forward
        return self._names[op]

    def _parameter(self, value: Any) -> str:
        if isinstance(value, Variable):
            return self._ready[value].text
        if isinstance(value, tuple):
            parts = [self._parameter(part) for part in value]
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if isinstance(value, np.ndarray):
            if value.ndim == 0 or value.size <= 8:
                return literal(value)
            constant = Variable(value.shape, value.dtype, name="index")
            return self._constant(constant, value).text
        return literal(value)

    def _index(self, index: Any) -> str:
        parts = index if isinstance(index, tuple) else (index,)
        texts = [_slice(part, self._parameter) for part in parts]
        return ", ".join(texts) or "()"

    def _getitem(self, call: Call, operands: list[Text]) -> Text:
        return Text(f"{operands[0].within(_ATOM)}[{self._index(call.params['index'])}]")

    def _transpose(self, call: Call, operands: list[Text]) -> Text:
        axes = call.params.get("axes")
        text = operands[0].within(_ATOM)
        return Text(f"{text}.T") if axes is None else Text(f"{text}.transpose({self._parameter(axes)})")

    def _swapaxes(self, call: Call, operands: list[Text]) -> Text:
        if len(call.result.shape) == 2 and {axis % 2 for axis in call.params.values()} == {0, 1}:
            return Text(f"{operands[0].within(_ATOM)}.T")
        return self._named("np.swapaxes", call, operands)

    def _cast(self, call: Call, operands: list[Text]) -> Text:
        return Text(f"{operands[0].within(_ATOM)}.astype({self._parameter(call.params['dtype'])})")

    def _reshape(self, call: Call, operands: list[Text]) -> Text:
        order = call.params.get("order", "C")
        shape = call.params["shape"] if call.op is shaping.reshape else (-1,)
        sizes = ", ".join(map(str, shape)) if isinstance(shape, tuple) and shape else self._parameter(shape)
        ordered = "" if order == "C" else f", order={literal(order)}"
        return Text(f"{operands[0].within(_ATOM)}.reshape({sizes}{ordered})")

    def _reduction(self, call: Call, operands: list[Text]) -> Text:
        if set(call.params) - {"axis", "keepdims"}:
            return self._named(f"np.{call.op.name}", call, operands)
        params = {name: value for name, value in call.params.items() if (name, value) not in _DEFAULTS}
        if isinstance(params.get("axis"), tuple) and len(params["axis"]) == 1:
            (params["axis"],) = params["axis"]
        settings = ", ".join(f"{name}={self._parameter(value)}" for name, value in params.items())
        return Text(f"{operands[0].within(_ATOM)}.{call.op.name}({settings})")

    def _named(self, function: str, call: Call, operands: list[Text]) -> Text:
        return Text(f"{function}({', '.join([operand.text for operand in operands] + self._keywords(call))})")


_FORMS: dict[Any, Callable[[NumpySource, Call, list[Text]], Text]] = {
    indexing.getitem: NumpySource._getitem,
    shaping.transpose: NumpySource._transpose,
    shaping.swapaxes: NumpySource._swapaxes,
    shaping.reshape: NumpySource._reshape,
    shaping.ravel: NumpySource._reshape,
    casting.cast: NumpySource._cast,
    reductions.sum: NumpySource._reduction,
    reductions.mean: NumpySource._reduction,
    reductions.max: NumpySource._reduction,
    reductions.min: NumpySource._reduction,
}


def _is_plain_ufunc(call: Call) -> bool:
    return isinstance(call.op.forward, np.ufunc) and not call.op.forward.signature and not call.params


def _last_uses(program: Program) -> dict[Variable, int]:
    """The position of the last call that reads each variable or a view of it; the end for what leaves the program."""
    last: dict[Variable, int] = {}
    for position, call in enumerate(program.calls):
        for x in call.reads:
            last[x] = position
    for x in program.ends:
        last[x] = len(program.calls)
    for call in reversed(program.calls):
        if call.view_of is not None and call.result in last:
            last[call.view_of] = max(last.get(call.view_of, 0), last[call.result])
    return last


def _listed(parts: list[str], indent: str) -> list[str]:
    """Parts of a list between brackets that have lines of their own."""
    line = indent + ", ".join(parts)
    return [line] if len(line) <= WIDTH else [f"{indent}{part}," for part in parts]


def _slice(part: Any, written: Callable[[Any], str]) -> str:
    if part is Ellipsis:
        return "..."
    if isinstance(part, slice):
        ends = ["" if end is None else written(end) for end in (part.start, part.stop, part.step)]
        return ":".join(ends if ends[2] else ends[:2])
    return written(part)


def literal(value: Any) -> str:
    """A value as it is written in Python."""
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return f"np.{np.dtype(value).name}" if np.dtype(value) != bool else "bool"
    if isinstance(value, np.ndarray):
        dtype = "" if value.dtype in (np.float64, np.int64, np.bool_) and value.size else f", {literal(value.dtype)}"
        return f"np.array({value.tolist()!r}{dtype})".replace("nan", "np.nan").replace("inf", "np.inf")
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name}({literal(value.item())})" if value.dtype != bool else str(bool(value))
    if isinstance(value, float) and not math.isfinite(value):
        return "np.nan" if math.isnan(value) else "np.inf" if value > 0 else "-np.inf"
    if isinstance(value, str):
        return f'"{value}"'
    return repr(value)
