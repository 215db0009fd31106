"""How a loop is written in Python: over a range, over lists, or over the names of the state's entries.

Numbers that grow evenly from turn to turn become one counter. The keys of the state are f-strings of that counter, as
in f"{i}.weight", or of a name that runs through a list.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lite.compiler.program import Variable
from tinygrad_lite.compiler.source.expressions import ATOM, SUM, Expressions, Text, literal
from tinygrad_lite.compiler.source.outline import Loop
from tinygrad_lite.compiler.source.progressions import Progression, progression, range_text

MANY = 24
"""Numbers in a list; more of them are an array beside the code."""


def common_start(texts: Sequence[str]) -> str:
    """The longest start that all texts share."""
    first, last = min(texts), max(texts)
    length = next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), len(first))
    return first[:length]


@dataclass
class Iterable:
    """The iterable of a loop: an expression, or the parts of a list or a comprehension with the text between them."""

    parts: list[str]
    between: str = ""

    @classmethod
    def of(cls, values: Sequence[Any]) -> "Iterable":
        """A list of these values."""
        return cls([*map(literal, values)], ", ")

    def lines(self, before: str, after: str, width: int) -> list[str]:
        """The text between two others, on one line if it fits."""
        text = self.between.join(self.parts)
        line = f"{before}[{text}]{after}" if self.between else f"{before}{text}{after}"
        if len(line) <= width or not self.between:
            return [line]
        if self.between == " " and len(text) + 4 <= width:
            return [f"{before}[", f"    {text}", f"]{after}"]
        return [f"{before}[", *(f"    {part}{self.between.rstrip()}" for part in self.parts), f"]{after}"]


class Counter:
    """The counter of a loop, in which other numbers are expressed.

    Attributes:
        base: its own numbers; None as long as there is nothing to count.
    """

    def __init__(self, name: str, numbers: Sequence[Progression]) -> None:
        self.name = name
        self.base = min(numbers, key=lambda candidate: abs(candidate[1]), default=None)

    def text(self, numbers: Progression | None) -> str | None:
        """The text of numbers in terms of the counter, if they are whole multiples of its steps."""
        if self.base is None or numbers is None:
            return None
        factor, rest = divmod(numbers[1], self.base[1])
        if rest:
            return None
        offset = numbers[0] - factor * self.base[0]
        if factor == -1:
            return f"{offset} - {self.name}"
        product = self.name if factor == 1 else f"{factor} * {self.name}"
        if not offset:
            return product
        return f"{product} + {offset}" if offset > 0 else f"{product} - {-offset}"


@dataclass
class Keys:
    """Keys of the state, one in each turn: fixed texts, and between them numbers that grow evenly.

    Attributes:
        texts: the fixed texts; there is one more of them than of the numbers.
    """

    texts: list[str]
    numbers: list[Progression]

    @classmethod
    def of(cls, keys: Sequence[str]) -> "Keys | None":
        """The pattern of these keys, if they have one."""
        parts = [re.split(r"([1-9]\d*|0)", key) for key in keys]
        if len({tuple(part[::2]) for part in parts}) > 1:
            return None
        made = cls([parts[0][0]], [])
        for place in range(1, len(parts[0]), 2):
            numbers = [int(part[place]) for part in parts]
            grows = progression(numbers)
            if grows is not None:
                made.numbers.append(grows)
                made.texts.append("")
            elif len(set(numbers)) > 1:
                return None
            else:
                made.texts[-1] += str(numbers[0])
            made.texts[-1] += parts[0][place + 1]
        return made

    def text(self, counter: Counter) -> str | None:
        """The keys as an f-string of the counter."""
        inside = [counter.text(numbers) for numbers in self.numbers]
        return None if None in inside else formatted(self.texts, inside)


def formatted(texts: Sequence[str], inside: Sequence[Any]) -> str:
    """An f-string: texts, and expressions between them."""
    quoted = [literal(text)[1:-1].replace("{", "{{").replace("}", "}}") for text in texts]
    if any(literal(text)[0] != '"' for text in texts):
        return " + ".join(
            part
            for text, x in zip(texts, [*inside, None])
            for part in (literal(text), f"str({x})" if x else "")
            if part
        )
    return 'f"' + "".join(part + ("" if x is None else f"{{{x}}}") for part, x in zip(quoted, [*inside, None])) + '"'


@dataclass
class Names:
    """Keys without a pattern: a name that is another one in each turn, and endings that are always the same."""

    stems: list[str]
    endings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, keys: Sequence[Sequence[str]]) -> "Names | None":
        """The names that these lists of keys have in common, turn by turn."""
        stems = [common_start(group).rstrip(".") if len(group) > 1 else group[0] for group in zip(*keys)]
        endings = [{key[len(stem) :] for key, stem in zip(group, stems)} for group in keys]
        if not all(stems) or any(len(group) > 1 for group in endings) or len(set(stems)) == 1:
            return None
        return cls(stems, [ending for (ending,) in endings])

    def iterable(self, number: str, ending: str) -> "Iterable":
        """The names as a list, or as a comprehension over a number or a part and its endings.

        Args:
            number, ending: the names of the comprehension's variables.
        """
        parts = [re.split(r"([1-9]\d*|0)", stem, maxsplit=1) for stem in self.stems]
        if all(len(part) == 3 and part[0] == parts[0][0] for part in parts):
            heads, endings = _product([(int(part[1]), part[2]) for part in parts])
            numbers = progression(heads) if len(heads) > 1 else None
            if numbers:
                return _comprehension(parts[0][0], number, range_text(numbers), endings, ending)
        words = [stem.rpartition(".") for stem in self.stems]
        heads, endings = _product([(head, dot + word) for head, dot, word in words])
        if len(heads) > 1 and len(endings) > 1:
            return _comprehension("", number, f"({', '.join(map(literal, heads))})", endings, ending)
        return Iterable.of(self.stems)


def _product(pairs: Sequence[tuple[Any, str]]) -> tuple[list[Any], list[str]]:
    """The first parts and the second parts of pairs that combine each with each, in order; nothing if these do not."""
    firsts, seconds = (list(dict.fromkeys(pair[i] for pair in pairs)) for i in (0, 1))
    return (firsts, seconds) if list(pairs) == [(a, b) for a in firsts for b in seconds] else ([], [])


def _comprehension(start: str, part: str, iterable: str, endings: Sequence[str], ending: str) -> Iterable:
    shared = common_start(endings) if len(endings) > 1 else endings[0]
    if len(endings) == 1:
        return Iterable([formatted([start, shared], [part]), f"for {part} in {iterable}"], " ")
    kinds = ", ".join(literal(kind[len(shared) :]) for kind in endings)
    key = formatted([start, shared, ""], [part, ending])
    return Iterable([key, f"for {part} in {iterable}", f"for {ending} in ({kinds})"], " ")


class Heading:
    """What a loop runs over.

    Attributes:
        targets, iterables: the loop's variables, and what each of them runs over.
        keys: the expression of the key of each variable that is read from the state; for one that is written there, of
            each of its keys, by the variable and their number.
        numbers: the texts of the numbers that vary.

    Args:
        scope: the names that only this loop uses.
    """

    def __init__(self, loop: Loop, expressions: Expressions, scope: set[str]) -> None:
        self._expressions = expressions
        self._names = expressions.names
        self._scope = scope
        self.targets: list[str] = []
        self.iterables: list[Iterable] = []
        self.keys: dict[Any, str] = {}
        self.numbers: dict[Variable, Text] = {}
        written = {(x, i): places for x, lists in loop.writes_to.items() for i, places in enumerate(lists)}
        entries: dict[Any, Sequence[Any]] = {**loop.reads_from, **written}
        keys = {x: [place.name for place in places] for x, places in entries.items()}
        patterns = {x: Keys.of(names) for x, names in keys.items()}
        numbers = {x: values for x, values in loop.varying.items() if not isinstance(values[0], Variable)}
        even = [progression(values) for values in numbers.values()]
        in_keys = [grows for pattern in patterns.values() if pattern for grows in pattern.numbers]
        counter = Counter("i", [grows for grows in (*even, *in_keys) if grows])
        if counter.base is not None:
            counter.name = self._over(Iterable([range_text(counter.base)]), "t" if any(even) else "i")
        for x, values in numbers.items():
            text = counter.text(progression(values))
            if text is None:
                text = self._over(self._listed(values), x.name or "i")
            self.numbers[x] = Text(text, SUM if " " in text else ATOM)
        for x, pattern in patterns.items():
            text = pattern.text(counter) if pattern else None
            if text is not None:
                self.keys[x] = text
        self._name_the_rest({x: names for x, names in keys.items() if x not in self.keys})

    def _over(self, iterable: Iterable, name: str) -> str:
        """A new variable that runs over something."""
        self.targets.append(self._new(name))
        self.iterables.append(iterable)
        return self.targets[-1]

    def _listed(self, numbers: Sequence[Any]) -> Iterable:
        if len(numbers) <= MANY:
            return Iterable.of(numbers)
        array = np.array(numbers)
        return Iterable([f"{self._expressions.constant(Variable(array.shape, array.dtype), array).text}.tolist()"])

    def _new(self, name: str) -> str:
        variable = Variable((), None, name=name)
        self._names.confine(variable, self._scope)
        return self._names[variable]

    def _name_the_rest(self, keys: dict[Any, list[str]]) -> None:
        together = Names.of([*keys.values()]) if keys else None
        if together is not None:
            name = self._over(together.iterable(self._new("i"), self._new("part")), "name")
            self.keys.update(
                {x: formatted(["", ending], [name]) if ending else name for x, ending in zip(keys, together.endings)}
            )
            return
        for x, names in keys.items():
            self.keys[x] = self._over(Iterable.of(names), "key")


def value_name(keys: Sequence[str]) -> str:
    """What to call the values under these keys: what all keys end with."""
    ending = common_start([key[::-1] for key in keys])[::-1]
    return ending.partition(".")[2] or "parameter"


def plural(name: str) -> str:
    """What to call a list of such values."""
    return f"{name}_list" if name.endswith("s") else f"{name}s"


def for_lines(heading: Heading, count: int, width: int) -> list[str]:
    """The line that begins a loop, or several if one is too long."""
    if len(heading.targets) <= 1:
        target, iterable = (*heading.targets, "_")[0], (*heading.iterables, Iterable([f"range({count})"]))[0]
        return iterable.lines(f"for {target} in ", ":", width)
    target = ", ".join(heading.targets)
    texts = [iterable.lines("", "", sys.maxsize)[0] for iterable in heading.iterables]
    line = f"for {target} in zip({', '.join(texts)}):"
    if len(line) <= width:
        return [line]
    line = f"    {', '.join(texts)}"
    parts = [f"    {part}" for iterable in heading.iterables for part in iterable.lines("", ",", width - 4)]
    head = [f"for {target} in zip("]
    if len(head[0]) > width:
        head = ["for (", *(f"    {name}," for name in heading.targets), ") in zip("]
    return [*head, *([line] if len(line) <= width else parts), "):"]
