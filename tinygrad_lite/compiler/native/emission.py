"""Emission: LLVM's intermediate representation as text, line by line, and entries that compute like Python's numbers.

An `Entry` has Python's operators, so a formula for native code is written like any other formula.
"""

import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from tinygrad_lite.compiler.native.arithmetic import Arithmetic

BOOL = np.dtype(bool)
TYPES: dict[np.dtype[Any], str] = {
    np.dtype(np.float32): "float",
    np.dtype(np.float64): "double",
    **{np.dtype(f"{sign}{size}"): f"i{8 * size}" for sign in "iu" for size in (1, 2, 4, 8)},
    BOOL: "i1",
}
"""The types of an entry that native code computes with."""
REALS = (np.dtype(np.float64), np.dtype(np.float32))
WHOLE = (np.dtype(np.int64), np.dtype(np.int32))
"""The integers to which processors convert floats."""
STORED = (
    {np.dtype(kind): f"i{8 * np.dtype(kind).itemsize}" for kind in ("f2", "c8", "c16", "g", "G")} | TYPES | {BOOL: "i8"}
)
"""The types of an entry in memory; native code moves some that it does not compute with."""


def alignment(dtype: np.dtype[Any]) -> int:
    """The number of bytes that the address of an entry is a multiple of."""
    return min(dtype.itemsize, 8)


class Emitter:
    """The lines of one function.

    Attributes:
        head: the lines at the function's beginning, which run once.
        lines: the lines after these.

    Args:
        loops: a note at each loop, if any.
    """

    def __init__(self, loops: str = "") -> None:
        self._loops = loops and f", !llvm.loop {loops}"
        self.head: list[str] = []
        self.lines: list[str] = []
        self._count = 0
        self._label = "begin"

    def fresh(self) -> str:
        """A new name."""
        self._count += 1
        return f"%v{self._count}"

    def value(self, text: str) -> str:
        """Emit an instruction; return the name of its result."""
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def first(self, text: str) -> str:
        """Emit an instruction at the function's beginning; return the name of its result."""
        name = self.fresh()
        self.head.append(f"  {name} = {text}")
        return name

    def line(self, text: str) -> None:
        """An instruction without a result."""
        self.lines.append(f"  {text}")

    @contextmanager
    def loop(self, extent: int | str) -> Iterator[str]:
        """A loop of at least one turn around the lines that are emitted meanwhile; gives its index."""
        if extent == 1:
            yield "0"
            return
        self._count += 1
        label, before, index, following = f"loop{self._count}", self._label, self.fresh(), self.fresh()
        self.line(f"br label %{label}")
        self.lines.append(f"{label}:")
        position = len(self.lines)
        self._label = label
        yield index
        self.lines.insert(position, f"  {index} = phi i64 [ 0, %{before} ], [ {following}, %{self._label} ]")
        self.line(f"{following} = add nuw nsw i64 {index}, 1")
        again = self.value(f"icmp ult i64 {following}, {extent}")
        self.line(f"br i1 {again}, label %{label}, label %after_{label}{self._loops}")
        self.lines.append(f"after_{label}:")
        self._label = f"after_{label}"

    def leave_if(self, condition: str, number: int) -> None:
        """Return a number from the function if a condition holds."""
        self._count += 1
        label = f"on{self._count}"
        self.line(f"br i1 {condition}, label %leave_{label}, label %{label}")
        self.lines += [f"leave_{label}:", f"  ret i64 {number}", f"{label}:"]
        self._label = label

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Let the lines that are emitted meanwhile run only if a condition holds."""
        self._count += 1
        label = f"when{self._count}"
        self.line(f"br i1 {condition}, label %{label}, label %after_{label}")
        self.lines.append(f"{label}:")
        self._label = label
        yield
        self.line(f"br label %after_{label}")
        self.lines.append(f"after_{label}:")
        self._label = f"after_{label}"

    def position(self, offset: int, strides: Iterator[tuple[str, int]] | Any) -> str:
        """The sum of an offset and of the products of indices and strides."""
        total = str(offset) if offset else ""
        for index, stride in strides:
            if index == "0":
                continue
            term = index if stride == 1 else self.value(f"mul nsw i64 {index}, {stride}")
            total = self.value(f"add nsw i64 {total}, {term}") if total else term
        return total or "0"

    def address(self, dtype: np.dtype[Any], base: str, position: str) -> str:
        """The address of an entry in an array."""
        if position == "0":
            return base
        return self.value(f"getelementptr inbounds {STORED[dtype]}, ptr {base}, i64 {position}")

    def load(self, dtype: np.dtype[Any], address: str, note: str = "") -> "Entry":
        """The entry at an address."""
        value = self.value(f"load {STORED[dtype]}, ptr {address}, align {alignment(dtype)}{note}")
        return Entry(self, dtype, self.value(f"icmp ne i8 {value}, 0") if dtype == BOOL else value)

    def store(self, x: "Entry", address: str, note: str = "") -> None:
        """Put an entry into memory."""
        text = x.text
        if x.dtype == BOOL:
            text = self.value(f"zext i1 {text} to i8")
        self.line(f"store {STORED[x.dtype]} {text}, ptr {address}, align {alignment(x.dtype)}{note}")

    def named(self, x: "Entry") -> str:
        """The name of a register with an entry."""
        return x.text

    def number(self, dtype: np.dtype[Any], value: Any) -> "Entry":
        """A constant."""
        if dtype == BOOL:
            return Entry(self, dtype, "true" if value else "false")
        if dtype not in TYPES:
            return Entry(self, dtype, str(int.from_bytes(np.array(value, dtype).tobytes(), sys.byteorder)))
        if dtype.kind != "f":
            return Entry(self, dtype, str(int(np.array(value).astype(dtype))))
        with np.errstate(over="ignore"):
            rounded = float(dtype.type(value))
        return Entry(self, dtype, f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}")


@contextmanager
def loops(emitter: Any, extents: Iterable[int]) -> Iterator[list[str]]:
    """Nested loops with these numbers of turns, in an emitter of any kind of code; gives their indices."""
    with ExitStack() as stack:
        yield [stack.enter_context(emitter.loop(extent)) for extent in extents]


# LLVM's names of Python's operators, for floats and for integers
_ARITHMETIC = {"+": ("fadd", "add"), "-": ("fsub", "sub"), "*": ("fmul", "mul"), "/": ("fdiv", "sdiv")}
_BITS = {"&": "and", "|": "or", "^": "xor"}
_COMPARISONS = {
    "<": ("olt", "lt"), "<=": ("ole", "le"), ">": ("ogt", "gt"), ">=": ("oge", "ge"), "==": ("oeq", "eq"),
    "!=": ("une", "ne"),
}  # fmt: skip


class Entry(Arithmetic):
    """An entry of an array in a register."""

    __slots__ = ("_emitter", "dtype", "text")

    def __init__(self, emitter: Emitter, dtype: np.dtype[Any], text: str) -> None:
        self._emitter = emitter
        self.dtype = dtype
        self.text = text

    @property
    def type(self) -> str:
        """The name of its type."""
        return TYPES.get(self.dtype) or STORED[self.dtype]

    def like(self, number: Any) -> "Entry":
        """A number of the same dtype; an entry stays as it is."""
        return number if isinstance(number, Entry) else self._emitter.number(self.dtype, number)

    def made(self, text: str, dtype: Any = None) -> "Entry":
        """The result of an instruction."""
        return Entry(self._emitter, self.dtype if dtype is None else np.dtype(dtype), self._emitter.value(text))

    def computed(self, operator: str, other: Any, swapped: bool = False) -> "Entry":
        a, b = (self.like(other), self) if swapped else (self, self.like(other))
        floats, integers = _ARITHMETIC[operator]
        how = f"{floats} contract" if self.dtype.kind == "f" else integers
        if operator == "+" and self.dtype == BOOL:
            how = "or"
        return self.made(f"{how} {self.type} {a.text}, {b.text}")

    def __neg__(self) -> "Entry":
        return self.made(f"fneg {self.type} {self.text}") if self.dtype.kind == "f" else 0 - self

    def of_flags(self, operator: str, other: Any) -> "Entry":
        return self.made(f"{_BITS[operator]} {self.type} {self.text}, {self.like(other).text}")

    def __lshift__(self, count: int) -> "Entry":
        return self.made(f"shl {self.type} {self.text}, {count}")

    def __rshift__(self, count: int) -> "Entry":
        return self.made(f"ashr {self.type} {self.text}, {count}")

    def compared(self, operator: str, other: Any) -> "Entry":
        floats, integers = _COMPARISONS[operator]
        if operator not in ("==", "!="):
            integers = f"{'s' if self.dtype.kind == 'i' else 'u'}{integers}"
        how = f"fcmp {floats}" if self.dtype.kind == "f" else f"icmp {integers}"
        return self.made(f"{how} {self.type} {self.text}, {self.like(other).text}", BOOL)

    @property
    def is_nan(self) -> "Entry":
        """Whether it is not a number."""
        return self.made(f"fcmp uno {self.type} {self.text}, {self.text}", BOOL)

    def chooses(self, a: Any, b: Any) -> "Entry":
        """The first entry where this one is true, and else the second."""
        first: Entry = a if isinstance(a, Entry) else b.like(a)
        second = first.like(b)
        return first.made(f"select i1 {self.text}, {first.type} {first.text}, {second.type} {second.text}")

    def intrinsic(self, name: str, *others: Any) -> "Entry":
        """The result of LLVM's function of this name for this entry and others."""
        kind = "f" if self.dtype.kind == "f" else "i"
        operands = ", ".join(f"{self.type} {x.text}" for x in (self, *map(self.like, others)))
        return self.made(f"call {self.type} @llvm.{name}.{kind}{8 * self.dtype.itemsize}({operands})")

    def plus(self, other: "Entry") -> "Entry":
        """A part of a sum whose terms may be added in any order, so that several are added at once."""
        if self.dtype.kind != "f":
            return self + other
        return self.made(f"fadd reassoc contract {self.type} {self.text}, {other.text}")

    @property
    def bits(self) -> "Entry":
        """The bits of a float as an integer of the same size."""
        kind = np.dtype(f"i{self.dtype.itemsize}")
        return self.made(f"bitcast {self.type} {self.text} to {TYPES[kind]}", kind)

    @property
    def of_bits(self) -> "Entry":
        """The float that has the bits of this integer."""
        kind = np.dtype(f"f{self.dtype.itemsize}")
        return self.made(f"bitcast {self.type} {self.text} to {TYPES[kind]}", kind)

    def part(self, i: int) -> "Entry":
        """The real part of a complex number, or the imaginary one, which comes behind it in memory."""
        size = 4 * self.dtype.itemsize  # bits of a part
        kind = np.dtype(f"i{size // 8}")
        bits = self._emitter.value(f"lshr {self.type} {self.text}, {size}") if self._is_high(i) else self.text
        return self.made(f"trunc {self.type} {bits} to {TYPES[kind]}", kind).of_bits

    def beside(self, imaginary: "Entry") -> "Entry":
        """The complex number that has this real part."""
        dtype = np.dtype(f"c{2 * self.dtype.itemsize}")
        low, high = (imaginary, self) if self._is_high(0) else (self, imaginary)
        wide = [self._emitter.value(f"zext {x.type} {x.text} to {STORED[dtype]}") for x in (low.bits, high.bits)]
        shifted = self._emitter.value(f"shl {STORED[dtype]} {wide[1]}, {8 * self.dtype.itemsize}")
        return self.made(f"or {STORED[dtype]} {wide[0]}, {shifted}", dtype)

    @staticmethod
    def _is_high(part: int) -> bool:
        """Whether a part of a complex number has the higher bits of the two."""
        return (part == 1) == (sys.byteorder == "little")

    def cast(self, dtype: np.dtype[Any]) -> "Entry":
        """The entry in another dtype, as NumPy casts it. From floats to small integers NumPy's own loops cast."""
        if dtype == self.dtype:
            return self
        if dtype == BOOL:
            return self.differs(0)
        a, b = self.dtype, dtype
        if a.kind == "f" and b in WHOLE:
            return self.is_within(b).chooses(
                self.made(f"fptosi {self.type} {self.text} to {TYPES[b]}", b), np.iinfo(b).min
            )
        if a.kind == "f":
            how = "fpext" if b.itemsize > a.itemsize else "fptrunc"
        elif b.kind == "f":
            how = "sitofp" if a.kind == "i" else "uitofp"
        elif b.itemsize == a.itemsize and a != BOOL:
            return Entry(self._emitter, b, self.text)
        elif b.itemsize < a.itemsize and a != BOOL:
            how = "trunc"
        else:
            how = "sext" if a.kind == "i" else "zext"
        return self.made(f"{how} {self.type} {self.text} to {TYPES[b]}", b)


def can_cast(a: np.dtype[Any], b: np.dtype[Any]) -> bool:
    """Whether `Entry.cast` goes from one dtype to another."""
    if a == b:
        return a in STORED
    return a in TYPES and b in TYPES and (a.kind != "f" or b.kind in "fb" or b in WHOLE)
