"""The NumPy backend: a program as the source of a function, as a careful person would write it.

What repeats is a loop. A value that is used once is written where it is used, as long as the line stays short. A large
array that is no longer read takes up the next result.
"""

import re
import sys
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.compiler.identifiers import identifier
from tinygrad_lite.compiler.passes.dead_code import without_unread_results
from tinygrad_lite.compiler.passes.sorting import with_own_sorts
from tinygrad_lite.compiler.places import Argument, Gradient, Place
from tinygrad_lite.compiler.program import FORWARD, Instruction, Program, Variable
from tinygrad_lite.compiler.source.expressions import ATOM, OPERATORS, Expressions, Text, broken_call, literal
from tinygrad_lite.compiler.source.long_loops import with_long_loops
from tinygrad_lite.compiler.source.loops import Heading, Iterable, for_lines, plural, value_name
from tinygrad_lite.compiler.source.outline import Item, Loop, outline
from tinygrad_lite.compiler.source.ownership import is_plain_ufunc
from tinygrad_lite.compiler.source.uses import Uses
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.ops.shapes import shaping
from tinygrad_lite.readers.recording import Source

WIDTH = 88  # columns, as in Python's formatters
LARGE = 2**15  # bytes; above this, a second array costs more than readability is worth
_AROUND = 4  # letters that a part may take with it: parentheses around it, and blanks beside an operator
FEW = 3  # neighbours in a list; fewer of them are named one by one
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
        items: the outline of the program, if it is known.
        is_pure: whether the function returns another state beside its result, overwrites no array and knows neither
            warnings nor errors, as functions for JAX do: if it refuses values, its results are NaN and its state stays.
    """

    def __init__(
        self,
        program: Program,
        name: str,
        parameters: list[str],
        taken: Collection[str] = (),
        large: int = LARGE,
        items: Sequence[Item] | None = None,
        is_pure: bool = False,
    ) -> None:
        self.program = program
        self._is_pure = is_pure
        self.name = identifier(name)
        self.parameters = parameters
        self._taken = (self.name, *taken)
        self._large = large
        self._lines: list[str] = []
        self._indent = "    "
        self._section: str | None = None
        self._quoted: set[Source] = set()
        self._quiet: str | None = None
        self._refused = self._before = ""
        is_at_speed = items is not None
        self._branches = Variable((), None, name="branches") if is_at_speed else None
        self._keys: dict[Variable, list[str]] = {}
        self._scopes: dict[Loop, set[str]] = {}
        self._elements: dict[Variable, tuple[str, int, int]] = {}
        self._passed: dict[Loop, list[tuple[str, list[Variable], bool]]] = {}
        self._inline: dict[Variable, Instruction] = {}
        self._former: dict[Variable, list[Variable]] = {}  # the values that a loop hands on and an expression reads
        self._kept_in: dict[Variable, list[Place]] = {}
        self._performed = program if is_pure or is_at_speed else with_long_loops(with_own_sorts(program))
        self._items = items = outline(self._performed) if items is None else items
        self._uses = Uses(items, self._performed, large)
        for place, x in program.updates.items():
            if x not in self._uses.written:
                self._kept_in.setdefault(x, []).append(place)
                has_name = isinstance(x, Variable) and x.is_number and x.is_named
                if isinstance(x, Variable) and not isinstance(place, Gradient) and not has_name:
                    x.name = f"new_{identifier(place.name)}"
        self.expressions = Expressions(self.parameters, self._taken, is_pure, is_at_speed)
        self.expressions.sequence = self._neighbours
        for call in self._performed.calls:
            self.expressions.reserve(call)
        self._share_names(items)
        self.text = self._written(items)

    def at_speed(self) -> "NumpySource":
        """The same function in its fastest form, which overwrites arrays even if that costs readability."""
        return NumpySource(self._performed, self.name, self.parameters, self._taken[1:], MEDIUM, self._items)

    def as_pure(self) -> "NumpySource":
        """The same function in a form that JAX can compile, where no operation raises an error."""
        program = without_unread_results(self.program)
        return NumpySource(program, self.name, self.parameters, self._taken[1:], sys.maxsize, is_pure=True)

    def _share_names(self, items: Sequence[Item], scope: set[str] | None = None) -> None:
        """Let values that take each other's place have one name, and loops use names again."""
        names = self.expressions.names
        made = {item.result for item in items if isinstance(item, Instruction)}
        for loop in items:
            if isinstance(loop, Loop):
                own = self._scopes[loop] = set() if scope is None else scope
                for carry in loop.carried:
                    if carry.is_late:
                        carry.before.name = f"previous_{carry.after.name or 'value'}"
                        continue
                    names.share(carry.after, carry.before)
                    if carry.first in made and self._uses.is_only_read_by_a_loop(carry.first):
                        names.share(carry.after, carry.first)
                lasting = {*loop.lasting, *(carry.after for carry in loop.carried)}
                for x in (*loop.made, *loop.varying):
                    if x not in lasting:
                        names.confine(x, own)
                self._share_names(loop.body, own)
        for target in reversed(self._uses.takes_up):  # an array has one name all the time, that of its last value
            names.share(self._uses.takes_up[target], target)

    # The function as a whole

    def _written(self, items: Sequence[Item]) -> str:
        program = self._performed
        inputs = {x: place for x, place in program.inputs.items() if self._uses.is_used(x)}
        self.places = {place: x for x, place in inputs.items() if not isinstance(place, Argument)}
        for x, place in inputs.items():
            if isinstance(place, Argument):
                self.expressions.ready[x] = Text(self.parameters[place.index])
        for x, array in program.constants.items():
            if self._uses.count(x):
                self.expressions.ready[x] = self.expressions.constant(x, array)
        self.has_state = bool(self.places or program.updates)
        parameters = [*self.parameters, "state"] if self.has_state else self.parameters
        head = f"def {self.name}({', '.join(parameters)}):"
        self._lines += [head] if len(head) <= WIDTH else [f"def {self.name}(", *_listed(parameters, "    "), "):"]
        if self._is_pure and self.has_state:
            self._line("state = dict(state)")
        if self._is_pure and any(call.op is refuse_where for call in program.calls):
            unused = [Variable((), None, name=name) for name in ("refused", "before")]
            self._refused, self._before = (self.expressions.names[x] for x in unused)
            self._line(f"{self._refused} = False", *([f"{self._before} = dict(state)"] if program.updates else []))
        if self._branches is not None and any(call.is_branch for call in program.calls):
            self._line(f"{self.expressions.names[self._branches]} = 0")
        for place, x in self.places.items():
            if self._uses.count(x):
                self.expressions.ready[x] = Text(self.expressions.names[x])
                self._line(f"{self.expressions.names[x]} = state[{literal(place.name)}]")
        self._block(items)
        self._ends()
        return "\n".join(self._lines) + "\n"

    def _line(self, *texts: str) -> None:
        self._quiet = None
        self._lines += [self._indent + text for text in texts]

    def _block(self, items: Sequence[Item]) -> None:
        for item in items:
            if isinstance(item, Loop):
                self._title(item.section)
                self._loop(item, self._scopes[item])
                continue
            text = self.expressions.of(item)
            if self._goes_inline(item, text):
                self.expressions.ready[item.result] = text
                self._inline[item.result] = item
                continue
            self._title(item.section)
            if item.section == FORWARD and item.source and item.source not in self._quoted:
                self._quoted.add(item.source)
                quoted = "".join(letter if letter.isprintable() else " " for letter in item.source.text)
                if quoted:
                    self._line(f"# {quoted[: WIDTH - 10]}")
            self._statement(item, text)

    def _title(self, section: str) -> None:
        if section != self._section:
            self._section = section
            self._line(f"# {section}")

    def _goes_inline(self, call: Instruction, text: Text) -> bool:
        x = call.result
        if self._is_transposed_input(call):
            return True
        later = self._uses.only_user(x)
        if later is None or call.refuses or call.ignoring or not call.reads or later.ignoring or not later.reads:
            return False
        if later.section != call.section or len(text.text) > _room(x):
            return False
        if self._is_renewed_between(call, later):
            return False
        takes_in = later.result.shape == x.shape and later.result.dtype == x.dtype and is_plain_ufunc(later)
        return not (x.nbytes >= self._large and (takes_in or x in self._uses.into))

    def _is_transposed_input(self, call: Instruction) -> bool:
        """Whether a result is an input's transpose, which is written wherever it is used."""
        is_plain = call.op is shaping.transpose and call.params.get("axes") is None
        is_input = call.reads[:1] and (call.reads[0] in self.program.inputs or call.reads[0] in self.program.constants)
        return bool(is_plain and is_input) and call.result not in self._uses.ends

    def _is_renewed_between(self, call: Instruction, later: Instruction) -> bool:
        """Whether a name that an expression reads stands for another value where the expression would be written."""
        former = [x for x in call.reads if x in self._uses.renewed]
        former += [y for x in call.reads for y in self._former.get(x, ())]
        start, end = self._uses.position[call.result], self._uses.position[later.result]
        if any(start <= self._uses.renewed[x] < end for x in former):
            return True
        self._former[call.result] = former
        return False

    def _statement(self, call: Instruction, text: Text) -> None:
        x = call.result
        if call.op is refuse_where:
            self._requirement(call)
            return
        target = self._uses.into.get(x)
        while True:
            name = self.expressions.names[x]
            entries = self._entries(x)
            is_read = self._uses.count(x) > len(entries)
            line = " = ".join([*([name] if is_read else []), *entries, text.text])
            if target is not None:
                line = self._updated(call, name, target)
            indent = self._indent + "    " * bool(call.ignoring and not self._is_pure)
            excess = len(indent) + len(line) - WIDTH
            if excess <= 0 or not self._shortened(call, excess):
                break
            text = self.expressions.of(call)
        lines = [line]
        if excess > 0 and target is None and text.binds < ATOM:
            lines = [line.removesuffix(text.text) + "(", f"    {text.text}", ")"]
        elif excess > 0 and target is None:
            lines = broken_call(line, WIDTH - len(indent))
        self._quietly(call.ignoring, lines)
        if target is not None and entries:
            self._line(f"{' = '.join(entries)} = {name}")
        self._kept_in.pop(x, None)
        self.expressions.ready[x] = Text(name)

    def _entries(self, x: Variable) -> list[str]:
        """The entries of the state that a result is written to."""
        entries = [f"state[{literal(place.name)}]" for place in self._kept_in.get(x, [])]
        return entries + [f"state[{key}]" for key in self._keys.get(x, [])]

    def _quietly(self, ignoring: frozenset[str], lines: Sequence[str]) -> None:
        """Write lines without some warnings."""
        if not ignoring or self._is_pure:
            self._line(*lines)
            return
        quiet = ", ".join(f'{kind}="ignore"' for kind in sorted(ignoring))
        if quiet != self._quiet:
            self._line(f"with np.errstate({quiet}):")
        self._line(*(f"    {line}" for line in lines))
        self._quiet = quiet

    def _requirement(self, call: Instruction) -> None:
        condition, values = map(self.expressions.operand, call.inputs)
        message = literal(call.params["message"])
        if "{}" in message:
            refused = f"{values.within(ATOM)}[{condition.text}].flat[0]"
            message += f".format({values.text if call.result.is_number else refused})"
        self.expressions.ready[call.result] = values
        if self._is_pure:
            said = re.sub(r"\{.*?\}", "…", " ".join(call.params["message"].split()))
            self._line(f"# {said}"[: WIDTH - len(self._indent)].rstrip())
            self._line(f"{self._refused} |= np.any({condition.text})")
            return
        is_one = call.inputs[0].size == 1 if isinstance(call.inputs[0], Variable) else False
        self._line(f"if {condition.text}:" if is_one else f"if np.any({condition.text}):")
        if self._branches is not None and call.is_branch:
            count = self.expressions.names[self._branches]
            self._line(f"    raise OtherWayError({message}, {count})", f"{count} += 1")
            return
        line = f"    raise ValueError({message})"
        broken = ["    raise ValueError(", f"        {message}", "    )"]
        self._line(*([line] if len(self._indent) + len(line) <= WIDTH else broken))

    def _shortened(self, call: Instruction, excess: int) -> bool:
        """Give parts of a line that is too long lines of their own before it; False if there are no parts.

        The longest part that the user named comes first, and then the longest of the others.

        Args:
            excess: the number of letters that do not fit.
        """
        is_shorter = False
        while excess > 0 and (holders := self._parts(call)):
            ready = self.expressions.ready
            longest = max(holders, key=lambda x: (x.is_named, len(ready[x].text)))
            path = [longest]
            while (holder := holders[path[-1]]) is not call.result:
                path.append(holder)
            before = len(ready[path[-1]].text)
            self._statement(part := self._inline.pop(longest), self.expressions.of(part))
            for x in path[1:]:
                ready[x] = self.expressions.of(self._inline[x])
            excess -= before - len(ready[path[-1]].text) + _AROUND
            is_shorter = True
        return is_shorter

    def _parts(self, call: Instruction) -> dict[Variable, Variable]:
        """The results that are written inside a line, each with the one inside whose expression it is."""
        holders, ahead = {}, [call]
        while ahead:
            holder = ahead.pop()
            inside = [x for x in holder.reads if x in self._inline]
            holders.update(dict.fromkeys(inside, holder.result))
            ahead += [self._inline[x] for x in inside]
        return holders

    def _updated(self, call: Instruction, name: str, target: Variable) -> str:
        operator = OPERATORS.get(call.op.forward)
        if operator and call.op.forward in _IN_PLACE and call.inputs[0] is target:
            return f"{name} {operator[0]}= {self.expressions.operand(call.inputs[1]).text}"
        operands = ", ".join(self.expressions.operand(x).text for x in call.inputs)
        return f"{self.expressions.function(call)}({operands}, out={name})"

    # Loops

    def _loop(self, loop: Loop, scope: set[str]) -> None:
        names, ready = self.expressions.names, self.expressions.ready
        lists = self._lists(loop)
        heading = Heading(loop, self.expressions, scope)
        ready.update(heading.numbers)
        unpacked = self._head(loop, heading, scope)
        for carry in loop.carried:
            first = self.expressions.operand(carry.first).text
            if first != names[carry.before]:
                self._line(f"{names[carry.before]} = {first}")
            ready[carry.before] = Text(names[carry.before])
        for name in lists:
            self._line(f"{name} = []")
        self._line(*for_lines(heading, loop.count, WIDTH - len(self._indent)))
        self._indent += "    "
        self._line(*unpacked)
        for x, places in loop.reads_from.items():
            x.name = value_name([place.name for place in places])
            ready[x] = Text(names[x])
            self._line(f"{names[x]} = state[{heading.keys[x]}]")
        self._keys.update({x: [heading.keys[x, i] for i in range(len(places))] for x, places in loop.writes_to.items()})
        self._block(loop.body)
        made_here = {item.result for item in loop.body if isinstance(item, Instruction)}
        for x in loop.made:
            if x not in made_here and self._uses.count(x):  # what a loop inside this one made, under a name that lasts
                self._line(" = ".join([names[x], *self._entries(x), ready[x].text]))
                ready[x] = Text(names[x])
        for name, results in lists.items():
            together = ", ".join(names[x] for x in results)
            line = f"{name}.append({f'({together})' if len(results) > 1 else together})"
            is_short = len(self._indent) + len(line) <= WIDTH
            self._line(*([line] if is_short else [f"{name}.append(", f"    ({together})", ")"]))
        for carry in loop.carried:
            if carry.is_late:
                self._line(f"{names[carry.before]} = {names[carry.after]}")
        self._indent = self._indent[:-4]
        for name, results in lists.items():
            for i, x in enumerate(results):
                part = f"[{i}]" if len(results) > 1 else ""
                for turn, value in enumerate(loop.made[x]):
                    ready[value] = Text(f"{name}[{turn}]{part}")
                    self._elements[value] = name, turn, loop.count
        for x in loop.lasting:
            ready[loop.made[x][-1]] = Text(names[x])

    def _lists(self, loop: Loop) -> dict[str, list[Variable]]:
        """The lists that a loop makes, each with the results in it; what another loop reads together is in one."""
        names = self.expressions.names
        made: dict[str, list[Variable]] = {}
        packed: dict[Any, list[Variable]] = {}
        for x in (x for x in loop.made if x in loop.listed):
            if x in self._uses.packed:
                consumer, _, is_backward = self._uses.packed[x]
                packed.setdefault((consumer, is_backward), []).append(x)
            else:
                made[names[Variable((), None, name=plural(names[x]))]] = [x]
        for (consumer, is_backward), results in packed.items():
            while results:
                count = next(
                    i
                    for i in range(len(results), 0, -1)
                    if i == 1 or len(", ".join(names[x] for x in results[:i])) < 56
                )
                label = "turns" if count > 1 else plural(names[results[0]])
                name = names[Variable((), None, name=label)]
                made[name], results = results[:count], results[count:]
                self._passed.setdefault(consumer, []).append((name, made[name], is_backward))
        return made

    def _head(self, loop: Loop, heading: Heading, scope: set[str]) -> list[str]:
        """Let a loop run over its lists; return the lines that take apart what it finds in them."""
        names, ready = self.expressions.names, self.expressions.ready
        unpacked = []
        from_lists = []
        done = {*loop.reads_from, *heading.numbers}
        for name, results, is_backward in self._passed.get(loop, []):
            values = [self._uses.packed[x][1] for x in results]
            done.update(values)
            ready.update((x, Text(names[x])) for x in values)
            from_lists.append(([names[x] for x in values], f"reversed({name})" if is_backward else name))
        for x, values in loop.varying.items():
            if x not in done:
                ready[x] = Text(names[x])
                from_lists.append(([names[x]], self._sequence(values)))
        is_long = sum(len(name) + 2 for targets, _ in from_lists for name in targets) > WIDTH - 30
        for targets, iterable in from_lists:
            target = ", ".join(targets)
            if len(targets) > 1 and is_long:
                turn = Variable((), None, name="turn")
                names.confine(turn, scope)
                unpacked.append(f"{target} = {names[turn]}")
                target = names[turn]
            elif len(targets) > 1 and len(from_lists) + len(heading.targets) > 1:
                target = f"({target})"
            heading.targets.append(target)
            heading.iterables.append(Iterable([iterable]))
        return unpacked

    def _sequence(self, values: Sequence[Variable]) -> str:
        """The text of a list of values, many of which may be neighbours in lists."""
        runs: list[list[Variable]] = []
        for x in values:
            if runs and self._continues(runs[-1], x):
                runs[-1].append(x)
            else:
                runs.append([x])
        parts = [self._run(run) if len(run) > 1 else self.expressions.operand(run[0]).text for run in runs]
        if len(runs) == 1:
            return parts[0]
        return f"[{', '.join('*' * (len(run) > 1) + part for run, part in zip(runs, parts))}]"

    def _neighbours(self, values: Sequence[Any]) -> str | None:
        """The text of a list of values if some of them are neighbours in lists."""
        is_short = sum(x in self._elements for x in values if isinstance(x, Variable)) < FEW
        if is_short:
            return None
        text = self._sequence(values)
        return f"[*{text}]" if text.startswith("reversed(") else text  # NumPy joins sequences, but no iterators

    def _continues(self, run: Sequence[Variable], x: Variable) -> bool:
        """Whether a value comes next to a run of neighbours in a list."""
        name, turn, _ = self._elements.get(x, ("", 0, 0))
        places = [self._elements.get(y, ("", 0, 0)) for y in (*run[-2:],)]
        steps = {turn - places[-1][1], *(places[-1][1] - before[1] for before in places[:-1])}
        return bool(name) and places[-1][0] == name and steps in ({1}, {-1})

    def _run(self, run: Sequence[Variable]) -> str:
        """Neighbours in a list, forwards or backwards."""
        (name, first, count), (_, last, _) = self._elements[run[0]], self._elements[run[-1]]
        low, high = min(first, last), max(first, last) + 1
        part = name if (low, high) == (0, count) else f"{name}[{low or ''}:{high if high < count else ''}]"
        return part if first < last else f"reversed({part})"

    def _unless_refused(self, x: Variable) -> Text:
        """A result, which is NaN if values are refused: a pure function raises no errors."""
        text = self.expressions.operand(x)
        has_nan = self._refused and (x.dtype is None or x.dtype.kind in "fc")
        return Text(f"np.where({self._refused}, np.nan, {text.text})") if has_nan else text

    def _ends(self) -> None:
        for place, x in [(place, x) for x, places in self._kept_in.items() for place in places]:
            self._line(f"state[{literal(place.name)}] = {self.expressions.operand(x).text}")
        if self._refused and self.program.updates:
            unused = [Variable((), None, name=name) for name in ("key", "kept")]
            key, kept = (self.expressions.names[x] for x in unused)
            self._line(f"for {key}, {kept} in {self._before}.items():")
            self._line(f"    if {kept} is not None and state[{key}] is not None:")
            self._line(f"        state[{key}] = np.where({self._refused}, {kept}, state[{key}])")
        results = [self._unless_refused(x).text if isinstance(x, Variable) else "None" for x in self.program.results]
        if self._is_pure and self.has_state:
            together = f"({', '.join(results)})" if len(results) > 1 else "".join(results)
            results = [together or "None", "state"]
        if results:
            line = f"return {', '.join(results)}"
            one_each = ["return (", *(f"    {result}," for result in results), ")"]
            self._line(*([line] if len(line) + 4 <= WIDTH else one_each))
        elif not self.program.updates:
            self._line("return None")


def _room(x: Variable) -> int:
    """The longest expression that is written where it is used; a value that the user named gets a line sooner."""
    return WIDTH // 2 if x.is_named else 3 * WIDTH // 4


def _listed(parts: list[str], indent: str) -> list[str]:
    """The parts of a list between brackets, each on its own line."""
    line = indent + ", ".join(parts)
    return [line] if len(line) <= WIDTH else [f"{indent}{part}," for part in parts]
