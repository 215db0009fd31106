"""The writer: a segment as the text of a function of LLVM's, `i64 segment(ptr addresses)`.

It returns 0, or 1 + the position of the operation that refuses its numbers, and ends there.

The addresses are those of the blocks of memory that the segment works on, so a segment that occurs again with other
blocks is the same function. Blocks never overlap, which the text says, so that loops become vector instructions. An
entry that is needed in only one turn of the loops around it stays in a register.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from tinygrad_lite.compiler.native import products
from tinygrad_lite.compiler.native.emission import STORED, Emitter, Entry
from tinygrad_lite.compiler.native.loops import Access, Dimension, Loop, Statement, Whole, is_one_loop
from tinygrad_lite.compiler.native.products import Product
from tinygrad_lite.compiler.program import Variable


class Writer:
    """The text of one segment.

    Attributes:
        text: the function, named NAME.
        functions: the text of each function that it calls, by name.
        roots: whose addresses it takes, in order: variables, or the addresses of functions.
        locals: the variables that need no memory.

    Args:
        body: loops, statements and work on whole arrays.
        alone: the variables that this segment alone uses.
        bits: the size of a vector register.
        any_rows: see `products.function`.
    """

    def __init__(self, body: list[Any], alone: set[Variable], bits: int = 0, any_rows: bool = False) -> None:
        self.functions: dict[str, str] = {}
        self.roots: list[Any] = []
        self._bits = bits
        self._any_rows = any_rows
        self._emitter = self._made_emitter()
        self._bases: dict[Any, str] = {}
        self._notes: dict[Any, str] = {}
        self._indices: dict[Dimension, str] = {}
        self._registers: dict[Variable, Any] = {}
        for item in body:
            if isinstance(item, Loop):
                _collapse(item)
        self.locals = _locals(body, alone)
        for root in self.locals:
            self._registers[root] = self._register(root)
        self._write(body)
        self.text = self._function()

    def _made_emitter(self) -> Any:
        return Emitter()

    def _register(self, root: Variable) -> Any:
        """The place of an entry that needs no memory."""
        return self._emitter.first(f"alloca {STORED[root.dtype]}")

    def _function(self) -> str:
        lines = [*self._emitter.head, *self._emitter.lines]
        return "\n".join(["define i64 @NAME(ptr %addresses) nounwind {", "begin:", *lines, "  ret i64 0", "}", ""])

    def base(self, root: Any) -> str:
        """The name of the address of a block."""
        if root not in self._bases:
            place = self._emitter.first(f"getelementptr ptr, ptr %addresses, i64 {len(self.roots)}")
            self._bases[root] = self._emitter.first(f"load ptr, ptr {place}, !invariant.load !0")
            self._notes[root] = f", !alias.scope !S{len(self.roots)}_, !noalias !N{len(self.roots)}_"
            self.roots.append(root)
        return self._bases[root]

    def function(self, text: str) -> str:
        """The name of a function that other segments may call, too."""
        name = name_of_function(text)
        self.functions[name] = text.replace("@NAME", name)
        return name

    def multiply(self, sizes: Product, strides: Sequence[tuple[int, int]], addresses: Sequence[Any]) -> None:
        """Emit a product of matrices that begin at these addresses."""
        name = self.function(products.function(sizes, strides, self._bits, self._any_rows))
        self._emitter.line(f"call void {name}({', '.join(f'ptr {address}' for address in addresses)})")

    def note(self, root: Any) -> str:
        """The note at a read or write of a block, that other blocks do not overlap it."""
        self.base(root)
        return self._notes[root]

    def _write(self, items: list[Any]) -> None:
        for item in items:
            if isinstance(item, Loop):
                with self._emitter.loop(item.dimension.extent) as index:
                    self._indices[item.dimension] = index
                    self._write(item.body)
            elif isinstance(item, Whole):
                item.write(self._emitter, self)
            else:
                self._statement(item)

    def _statement(self, statement: Statement) -> None:
        entries = []
        for x, dtype in zip(statement.operands, statement.form.dtypes):
            if isinstance(x, Access):
                entries.append(self._emitter.load(x.root.dtype, *self._place(x)).cast(dtype))
            else:
                entries.append(self._emitter.number(dtype, x))
        made: Entry = statement.form.write(*entries)
        self._emitter.store(made.cast(statement.target.root.dtype), *self._place(statement.target))

    def _place(self, x: Access) -> tuple[Any, str]:
        """The address of an entry, and the note at it."""
        if x.root in self._registers:
            return self._registers[x.root], ""
        strides = [(self._indices[dimension], stride) for dimension, stride in x.strides.items()]
        position = self._emitter.position(x.offset, strides)
        return self._emitter.address(x.root.dtype, self.base(x.root), position), self.note(x.root)


def name_of_function(text: str) -> str:
    """The name of a function that segments call."""
    return f"@shared_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _collapse(loop: Loop) -> None:
    """Make one loop of two nested ones if every access goes on from row to row as within a row."""
    for inner in loop.body:
        if isinstance(inner, Loop):
            _collapse(inner)
    while is_one_loop(loop):
        outer, inner = loop.dimension, loop.body[0].dimension
        both = Dimension(outer.extent * inner.extent)
        loop.dimension, loop.body = both, [_collapsed(item, outer, inner, both) for item in loop.body[0].body]


def _collapsed(item: Any, outer: Dimension, inner: Dimension, both: Dimension) -> Any:
    if isinstance(item, Loop):
        item.body = [_collapsed(part, outer, inner, both) for part in item.body]
        return item

    def over(x: Any) -> Any:
        if not isinstance(x, Access) or inner not in x.strides:
            return x
        others = {dimension: stride for dimension, stride in x.strides.items() if dimension not in (outer, inner)}
        return Access(x.root, x.offset, {**others, both: x.strides[inner]})

    item.target, item.operands = over(item.target), [over(x) for x in item.operands]
    return item


def _locals(body: Sequence[Any], alone: set[Variable]) -> list[Variable]:
    """The variables whose entries are needed in only one turn of the loops around them."""
    whole = {x.root for item in body if isinstance(item, Whole) for x in (*item.reads, *item.writes)}
    uses: dict[Variable, list[tuple[Access, tuple[Dimension, ...]]]] = {}
    for access, around in _accesses(body, ()):
        uses.setdefault(access.root, []).append((access, around))
    roots = []
    for root, accesses in uses.items():
        if root not in alone or root in whole:
            continue
        shared = accesses[0][1]
        for _, around in accesses:
            shared = tuple(a for a, b in zip(shared, around) if a is b)
        forms = {(x.offset, frozenset(x.strides.items())) for x, _ in accesses}
        if len(forms) == 1 and set(accesses[0][0].strides) <= set(shared):
            roots.append(root)
    return roots


def _accesses(items: Iterable[Any], around: tuple[Any, ...]) -> Iterable[tuple[Access, tuple[Any, ...]]]:
    for item in items:
        if isinstance(item, Loop):
            yield from _accesses(item.body, (*around, item.dimension))
        elif isinstance(item, Statement):
            for x in (*item.reads, item.target):
                yield x, around
