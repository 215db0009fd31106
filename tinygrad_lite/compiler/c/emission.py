"""Emission: C as text, line by line, and entries that compute like Python's numbers.

An `Entry` here has the operators of one in native/emission.py, so that the same forms make either kind of code. It is
an expression until it is stored; what it uses twice gets a name then.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.compiler.c.names import Names
from tinygrad_lite.compiler.native.arithmetic import Arithmetic

BOOL = np.dtype(bool)
TYPES = {np.dtype(kind): f"{'u' * (kind[0] == 'u')}int{8 * int(kind[1])}_t" for kind in
         ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")} | {
    np.dtype("f4"): "float", np.dtype("f8"): "double", BOOL: "bool"}  # fmt: skip
"""The types of an entry."""
INDICES = ("i", "j", "k", "l", "m", "n")
WIDTH = 110  # columns


class Address(NamedTuple):
    """Where an entry lies: at a position of an array, or in a variable of its own if there is no position."""

    base: str
    position: str | None

    @property
    def entry(self) -> str:
        """The expression for the entry."""
        return self.base if self.position is None else f"{self.base}[{self.position}]"

    @property
    def pointer(self) -> str:
        """The expression for its address."""
        return self.base if self.position == "0" else f"{self.base} + {self.position}"


class Emitter:
    """The lines of one function.

    Attributes:
        lines: the lines of its body.
        written: the arrays that it writes to.
        read: the variables for single entries that it reads.
        can_leave: whether the function may end early.
    """

    def __init__(self, names: Names) -> None:
        self.lines: list[str] = []
        self.written: set[str] = set()
        self.read: set[str] = set()
        self.can_leave = False
        self._names = names
        self._depth = 0

    def line(self, text: str) -> None:
        """A line within the loops that are open."""
        self.lines.append(f"{'    ' * (self._depth + 1)}{text}")

    def call(self, function: str, arguments: Sequence[str]) -> None:
        """A call of a function, on as many lines as necessary."""
        self.lines += broken(f"{'    ' * (self._depth + 1)}{function}(", arguments, ");")

    def leave_if(self, condition: "Entry") -> None:
        """The end of the function, which says that it is not done, if a condition holds."""
        self.can_leave = True
        self.line(f"if ({condition.text})")
        self.line("    return false;")

    @contextmanager
    def loop(self, extent: int) -> Iterator[str]:
        """A loop around the lines that are emitted meanwhile; gives its index."""
        if extent == 1:
            yield "0"
            return
        depth = self._depth
        index = INDICES[depth] if depth < len(INDICES) else f"i{depth}"
        self.line(f"for (ptrdiff_t {index} = 0; {index} < {extent}; {index}++) {{")
        self._depth += 1
        yield index
        self._depth -= 1
        self.line("}")

    def position(self, offset: int, strides: Any) -> str:
        """The sum of an offset and of the products of indices and strides."""
        terms = [index if stride == 1 else f"{index} * {stride}" for index, stride in strides if index != "0"]
        return " + ".join([*terms, *([str(offset)] if offset or not terms else [])])

    def address(self, dtype: np.dtype[Any], base: str, position: str) -> Address:
        """The address of an entry in an array."""
        return Address(base, position)

    def load(self, dtype: np.dtype[Any], address: Address, note: str = "") -> "Entry":
        """The entry at an address."""
        if address.position is None:
            self.read.add(address.base)
        return Entry(self, dtype, [address.entry], is_atom=True)

    def store(self, x: "Entry", address: Address, note: str = "") -> None:
        """Put an entry into memory."""
        text, sign = self._written(x), "="
        if text.startswith(f"{address.entry} + "):
            text, sign = text.removeprefix(f"{address.entry} + "), "+="
        self.line(f"{address.entry} {sign} {text};")
        if address.position is not None:
            self.written.add(address.base)

    def named(self, x: "Entry") -> str:
        """The name of a variable with an entry."""
        text, name = self._written(x), self._names.new("t")
        self.line(f"const {TYPES[x.dtype]} {name} = {text};")
        return name

    def _written(self, x: "Entry") -> str:
        """The expression for an entry; parts that occur twice get a name first."""
        uses: dict[Entry, int] = {}
        _count(x, uses)
        named: dict[Entry, str] = {}
        for part, count in uses.items():  # the parts of an entry come before it
            if count > 1 and not part.is_atom:
                text = part.written(named)
                named[part] = self._names.new("t")
                self.line(f"const {TYPES[part.dtype]} {named[part]} = {text};")
        return x.written(named)

    def number(self, dtype: np.dtype[Any], value: Any) -> "Entry":
        """A constant."""
        with np.errstate(over="ignore"):
            text = number(np.array(value).astype(dtype)[()])
        return Entry(self, dtype, [text], is_atom=True)


def _count(x: "Entry", uses: dict["Entry", int]) -> None:
    """Count how often each part of an entry is used, its own parts first."""
    if x not in uses:
        for part in x.parts:
            if isinstance(part, Entry):
                _count(part, uses)
    uses[x] = uses.get(x, 0) + 1


def number(x: Any) -> str:
    """A number of NumPy's as a constant."""
    if x.dtype == BOOL:
        return "true" if x else "false"
    if x.dtype.kind == "f":
        if np.isnan(x):
            return "NAN"
        if np.isinf(x):
            return "INFINITY" if x > 0 else "-INFINITY"
        return f"{x!s}{'f' * (x.dtype.itemsize == 4)}"
    if x == np.iinfo(x.dtype).min and x.dtype.itemsize >= 4 and x:
        return f"INT{8 * x.dtype.itemsize}_MIN"
    return f"{'U' * (x.dtype.kind == 'u')}INT64_C({x})" if abs(int(x)) > 2**31 - 1 else str(x)


def broken(head: str, parts: Sequence[str], end: str) -> list[str]:
    """Parts between brackets, on as many lines as necessary."""
    lines, line, indent = [], head, " " * (len(head) - len(head.lstrip()) + 4)
    for i, part in enumerate(parts):
        text = part + ("," if i < len(parts) - 1 else end)
        if len(line) + len(text) + 1 > WIDTH and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += text if line in (head, indent) else f" {text}"
    return [*lines, line if parts else head + end]


_OF_TRUTH = {"&": "&&", "|": "||", "^": "!="}


class Entry(Arithmetic):
    """An entry of an array as an expression.

    Attributes:
        dtype: its dtype.
        parts: texts and entries, which are one expression side by side.
        is_atom: whether it needs no brackets anywhere.
    """

    __slots__ = ("_emitter", "dtype", "is_atom", "parts")

    def __init__(
        self, emitter: Emitter, dtype: np.dtype[Any], parts: list["str | Entry"], is_atom: bool = False
    ) -> None:
        self._emitter = emitter
        self.dtype = dtype
        self.parts = parts
        self.is_atom = is_atom

    def written(self, named: dict["Entry", str]) -> str:
        """The expression, where some entries have names."""
        if self in named:
            return named[self]
        texts = []
        for part in self.parts:
            if isinstance(part, str):
                texts.append(part)
            else:
                text = part.written(named)
                texts.append(text if part.is_atom or part in named else f"({text})")
        return "".join(texts)

    @property
    def text(self) -> str:
        """The expression."""
        return self.written({})

    def like(self, number: Any) -> "Entry":
        """A number of the same dtype; an entry stays as it is."""
        return number if isinstance(number, Entry) else self._emitter.number(self.dtype, number)

    def made(self, *parts: "str | Entry", dtype: Any = None, is_atom: bool = False) -> "Entry":
        """The entry of an expression."""
        return Entry(self._emitter, self.dtype if dtype is None else np.dtype(dtype), [*parts], is_atom)

    def computed(self, operator: str, other: Any, swapped: bool = False) -> "Entry":
        a, b = (self.like(other), self) if swapped else (self, self.like(other))
        if self.dtype.kind == "f":
            return self.made(a, f" {operator} ", b)
        # unsigned integers wrap around, as NumPy's do; C leaves the overflow of signed ones undefined
        return self.made(f"({TYPES[self.dtype]})((uint64_t)", a, f" {operator} (uint64_t)", b, ")")

    def __neg__(self) -> "Entry":
        return self.made("-(", self, ")") if self.dtype.kind == "f" else 0 - self

    def of_flags(self, operator: str, other: Any) -> "Entry":
        if self.dtype == BOOL:
            return self.made(self, f" {_OF_TRUTH[operator]} ", self.like(other))
        operation = (self, f" {operator} ", self.like(other))
        return (
            self.made(f"({TYPES[self.dtype]})(", *operation, ")") if self.dtype.itemsize < 4 else self.made(*operation)
        )

    def compared(self, operator: str, other: Any) -> "Entry":
        return self.made(self, f" {operator} ", self.like(other), dtype=BOOL)

    @property
    def is_nan(self) -> "Entry":
        """Whether it is not a number."""
        return self.made("isnan(", self, ")", dtype=BOOL, is_atom=True)

    def chooses(self, a: Any, b: Any) -> "Entry":
        """The first entry where this one is true, and else the second."""
        first: Entry = a if isinstance(a, Entry) else b.like(a)
        return first.made(self, " ? ", first, " : ", first.like(b))

    def plus(self, other: "Entry") -> "Entry":
        """A part of a sum whose terms may be added in any order; in C they are added one by one."""
        return self + other

    def function(self, name: str, *others: Any) -> "Entry":
        """The result of a libm function of this entry and others."""
        parts: list[Any] = [f"{name}{'f' * (self.dtype.itemsize == 4)}(", self]
        for x in others:
            parts += [", ", self.like(x)]
        return self.made(*parts, ")", is_atom=True)

    def intrinsic(self, name: str, *others: Any) -> "Entry":
        """The result of the function that LLVM calls by this name, of this entry and others."""
        if name in ("maximum", "minimum"):  # NaN propagates
            other = self.like(others[0])
            first = (self > other) if name == "maximum" else (self < other)
            return (first | self.is_nan).chooses(self, other)
        return self.function(name, *others)

    def cast(self, dtype: np.dtype[Any]) -> "Entry":
        """The entry in another dtype, as NumPy casts it; from floats to small integers nothing is cast."""
        if dtype == self.dtype:
            return self
        if dtype == BOOL:
            return self.differs(0)
        if self.dtype.kind == "f" and dtype.kind in "iu":
            return self.is_within(dtype).chooses(self.made(f"({TYPES[dtype]})", self, dtype=dtype), np.iinfo(dtype).min)
        return self.made(f"({TYPES[dtype]})", self, dtype=dtype)
