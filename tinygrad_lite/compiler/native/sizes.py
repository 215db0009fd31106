"""Sizes that vary: the programs of one function, for arrays of several sizes, share their code.

Their segments differ in a few numbers: the turns of a loop, and distances in memory. The first programs have these
numbers in their code, which is the fastest. After them, code reads from memory the numbers that differed, so that
another size costs no more than a recording. If a program has a loop whose turns work on ever larger arrays, its code
does so from the start.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from threading import Lock
from typing import NamedTuple

import numpy as np

from tinygrad_lite.compiler import repeats
from tinygrad_lite.compiler.native.machine import has_code
from tinygrad_lite.compiler.native.plan import Native, Plan, Segment, parted
from tinygrad_lite.compiler.native.writer import name_of_function
from tinygrad_lite.compiler.program import Program, Variable
from tinygrad_lite.engine.op import Array

FEW = 2
"""The number of sizes that get code of their own: most functions meet one, and another in an epoch's last batch."""

MANY = 8
"""The number of segments of a program that get code of their own although they differ only in sizes."""

ALIKE = 4
"""The number of sizes, on average, from which on segments that differ only in these are written for any sizes."""

_LINES = re.compile(
    r"^  (?:%\w+ = (?:add|sub|mul|udiv|icmp \w+)(?: nuw| nsw)* i64 |%\w+ = getelementptr |%\w+ = alloca \w+, i64 "
    r"|store i64 |(?!%\w+ = phi).*\b(double|float)\b.* 0x).*$",
    re.MULTILINE,
)
"""The instructions in which a number may as well be a register; those on floats with their type."""
_NUMBERS = re.compile(r"(?:(?<=i64 )|(?<=, ))-?\d+\b(?! x)|0x[0-9A-F]{16}")
_CALLED = re.compile(r"@shared_\w+")

Number = tuple[str, int]
"""A type of LLVM's, and the number; a float as the bits of a double."""


class _Text(NamedTuple):
    """A function as text: the numbers in its instructions, and what lies between them."""

    between: tuple[str, ...]
    numbers: tuple[Number, ...]
    written: tuple[str, ...]


class _Code(NamedTuple):
    """The text of a segment and of the functions that it calls, and the array of the numbers that it reads."""

    text: str
    functions: dict[str, str]
    table: Variable
    numbers: Array


@lru_cache(200)
def _taken_apart(text: str) -> _Text:
    between, numbers, written, end = [], [], [], 0
    for line in _LINES.finditer(text):
        for number in _NUMBERS.finditer(text, line.start(), line.end()):
            is_real = number[0].startswith("0x")
            if is_real == (line[1] is None):
                continue
            between.append(text[end : number.start()])
            numbers.append((line[1] or "i64", int(number[0], 16 if is_real else 10)))
            written.append(number[0])
            end = number.end()
    return _Text((*between, text[end:]), tuple(numbers), tuple(written))


class Sizes:
    """What the programs of one function have in common, as native code."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._first: list[Program] = []
        self._seen: dict[tuple[tuple[str, ...], ...], list[tuple[Number, ...]]] = {}

    def planned(self, program: Program, bits: int) -> Plan:
        """How a program runs natively, with vector registers of so many bits."""
        with self._lock:
            return self._planned(program, bits)

    def _planned(self, program: Program, bits: int) -> Plan:
        if self._seen:
            return self._with_numbers_as_data(program, bits)
        plan = Plan(program, Native(bits))
        if _shapes(program) in map(_shapes, self._first) or all(map(has_code, _segments(plan))):
            return plan  # it was recorded anew for another reason than its sizes, or there is nothing to compile
        self._first.append(program)
        if len(self._first) > FEW:
            return self._with_numbers_as_data(program, bits)
        if len(_segments(plan)) > MANY and _differ_in_sizes(plan):
            other = Sizes()
            other._first += self._first
            shared = other._with_numbers_as_data(program, bits)
            if 1.5 * sum(map(len, _segments(shared))) < sum(map(len, _segments(plan))):
                self._seen = other._seen
                return shared
        return plan

    def _with_numbers_as_data(self, program: Program, bits: int) -> Plan:
        target = Native(bits, any_rows=True)
        while self._first:
            for segment in _segments(Plan(self._first.pop(), target)).values():
                self._shared(segment)
        plan = Plan(program, target)
        shared = {text: self._shared(segment) for text, segment in _segments(plan).items()}
        for position, step in enumerate(plan.steps):
            if isinstance(step, Segment) and (code := shared[step.text]) is not None:
                plan.constants[code.table] = code.numbers
                roots = [*step.roots, (code.table, 0)]
                plan.steps[position] = replace(step, text=code.text, functions=code.functions, roots=roots)
        return plan

    def _shared(self, segment: Segment) -> _Code | None:
        """The code of a segment which reads from memory what differed in earlier ones; None if nothing did."""
        own = segment.text
        for position, name in enumerate(segment.functions):
            own = own.replace(f"{name}(", f"@called_{position}(")
        texts = [*(text.replace(name, "@NAME") for name, text in segment.functions.items()), own]
        if any(map(_CALLED.search, texts)):  # functions that call others
            return None
        parts = [*map(_taken_apart, texts)]
        numbers = (*chain.from_iterable(part.numbers for part in parts),)
        seen = self._seen.setdefault((*(part.between for part in parts),), [numbers])
        if _places([*seen, numbers]) != _places(seen):
            seen.append(numbers)
        places = _places(seen)
        varying = {place: numbers[position] for position, place in places.items()}
        return _written(parts, places, varying, len(segment.roots)) if varying else None


def _segments(plan: Plan) -> dict[str, Segment]:
    """One segment of each text."""
    return {step.text: step for step in plan.steps if isinstance(step, Segment)}


def _differ_in_sizes(plan: Plan) -> bool:
    """Whether most of the code would be the same but for sizes if turns of loops were cut alike, whatever their sizes.

    To write the code for any sizes only to find that it is no shorter would take as long as the plan.
    """
    calls = [call for segment in _segments(plan).values() for call in segment.calls]
    parts = parted(calls, {*calls}, repeats.form_at_any_size)
    of_sizes = {tuple(map(repeats.form_at_any_position, part)): part for part in parts}
    alike = {tuple(map(repeats.form_at_any_size, part)) for part in of_sizes.values()}
    return sum(map(len, of_sizes)) > ALIKE * sum(map(len, alike))


def _shapes(program: Program) -> list[tuple[int, ...]]:
    return [x.shape for x in program.inputs]


def _places(seen: Sequence[tuple[Number, ...]]) -> dict[int, int]:
    """For each number that is not the same in all of them, its place in memory; numbers that go together have one."""
    places: dict[tuple[Number, ...], int] = {}
    return {
        position: places.setdefault(values, len(places))
        for position, values in enumerate(zip(*seen))
        if len({*values}) > 1
    }


def _written(parts: Sequence[_Text], places: Mapping[int, int], varying: Mapping[int, Number], root: int) -> _Code:
    """The code of a segment and of the functions that it calls, with registers for the numbers that have places."""
    kinds = {place: kind for place, (kind, _) in varying.items()}
    texts: list[str] = []
    used: list[list[int]] = []
    first = 0
    for part in parts:
        mine = {i: places[first + i] for i in range(len(part.numbers)) if first + i in places}
        registers = (f"%size{mine[i]}" if i in mine else number for i, number in enumerate(part.written))
        texts.append("".join(chain.from_iterable(zip(part.between, (*registers, "")))))
        used.append(sorted({*mine.values()}))
        first += len(part.numbers)
    functions: dict[str, str] = {}
    own = texts.pop()
    for k, (text, read) in enumerate(zip(texts, used)):
        passed = "".join(f", {kinds[place]} %size{place}" for place in read)
        head, body = text.split("\n", 1)
        text = "\n".join([head.replace(")", f"{passed})", 1), body])
        name = name_of_function(text)
        functions[name] = text.replace("@NAME", name)
        own = re.sub(rf"@called_{k}\((.*)\)", rf"{name}(\1{passed})", own)
    loads = [
        f"  %sizes.place = getelementptr ptr, ptr %addresses, i64 {root}",
        "  %sizes = load ptr, ptr %sizes.place, !invariant.load !0",
    ]
    for place in range(len(varying)):
        kind, register = kinds[place], f"%size{place}"
        loads.append(f"  {register}.place = getelementptr i64, ptr %sizes, i64 {place}")
        if kind == "float":
            loads.append(f"  {register}.wide = load double, ptr {register}.place, !invariant.load !0")
            loads.append(f"  {register} = fptrunc double {register}.wide to float")
        else:
            loads.append(f"  {register} = load {kind}, ptr {register}.place, !invariant.load !0")
    table = Variable((len(varying),), np.dtype(np.uint64))
    numbers = np.array([varying[place][1] % 2**64 for place in range(len(varying))], np.uint64)
    return _Code(own.replace("begin:\n", "\n".join(["begin:", *loads, ""]), 1), functions, table, numbers)
