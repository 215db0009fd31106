"""Products of small matrices, computed in registers.

A block of the result, some rows by some vectors, stays in registers while the loop over the summed axis runs. BLAS does
the same, but prepares so much that for small matrices most of its time is preparation.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.compiler.native.emission import TYPES, Emitter

ROWS = 4  # of a block, or more if it is a single vector wide
FEW_ROWS = 4  # so few rows are not worth a copy of the second factor
REGISTERS = 16  # of accumulators in a block


class Matrix(NamedTuple):
    """Where the entries of a matrix lie: entry (i, j) at position + i · rows + j · columns, counted in entries."""

    base: str
    position: str
    rows: int
    columns: int

    @property
    def transposed(self) -> "Matrix":
        return self._replace(rows=self.columns, columns=self.rows)


class Product(NamedTuple):
    """The sizes of C = A B, with A of n × k and B of k × m entries."""

    dtype: np.dtype[Any]
    n: int
    k: int
    m: int


def function(sizes: Product, strides: Sequence[tuple[int, int]], bits: int, any_rows: bool = False) -> str:
    """The text of a function named NAME of the addresses of A, B and C that computes C = A B.

    Args:
        strides: from row to row and from column to column of A, B and C.
        bits: the size of a vector register.
        any_rows: whether the text is the same, but for numbers, for another number of rows.
    """
    emitter = Emitter("!as_written")  # unrolled further, loops would take ten times as long to compile
    a, b, c = (Matrix(name, "0", *pair) for name, pair in zip(("%a", "%b", "%c"), strides))
    _write(emitter, sizes, a, b, c, bits, any_rows)
    head = "define internal void @NAME(ptr noalias %a, ptr noalias %b, ptr noalias %c) noinline nounwind {"
    return "\n".join([head, "begin:", *emitter.head, *emitter.lines, "  ret void", "}", ""])


def _write(emitter: Emitter, sizes: Product, a: Matrix, b: Matrix, c: Matrix, bits: int, any_rows: bool) -> None:
    if (c.columns != 1 and c.rows == 1) or (sizes.m == 1 and sizes.n > 1):
        # the transpose of the product is the product of the transposes, in the other order
        sizes, a, b, c = Product(sizes.dtype, sizes.m, sizes.k, sizes.n), b.transposed, a.transposed, c.transposed
    width = bits // (8 * sizes.dtype.itemsize)
    if (b.columns != 1 and sizes.m > 1) or (b.columns != 1 and c.columns != 1):
        if b.rows == 1 and a.columns == 1 and sizes.n < FEW_ROWS:
            _dots(emitter, sizes, a, b, c, width)
            return
        b = _packed(emitter, sizes, b)
    elif sizes.m == 1 and a.columns == 1 and b.rows == 1:
        _dots(emitter, sizes, a, b, c, width)
        return
    parts: list[tuple[int, int]] = []  # the vectors along a row of the result: start and width
    start = 0
    while start < sizes.m:
        while width > sizes.m - start:
            width //= 2
        parts.append((start, width))
        start += width
    full = [part for part in parts if part[1] == parts[0][1]]
    most = max(1, REGISTERS // ROWS)
    groups = len(full) // most
    columns = _columns_of_any_rows if any_rows else _columns
    if groups:
        step = most * parts[0][1]
        with emitter.loop(groups) as group:
            columns(emitter, sizes, a, _moved(emitter, b, group, step), _moved(emitter, c, group, step), full[:most])
    others = parts[groups * most :]
    for i in range(0, len(others), most):
        columns(emitter, sizes, a, b, c, others[i : i + most])


def _moved(emitter: Emitter, x: Matrix, index: str, step: int) -> Matrix:
    """The matrix from so many entries on."""
    if index == "0" or not step:
        return x
    ahead = emitter.value(f"mul nsw i64 {index}, {step}")
    position = ahead if x.position == "0" else emitter.value(f"add nsw i64 {x.position}, {ahead}")
    return x._replace(position=position)


def _columns(
    emitter: Emitter, sizes: Product, a: Matrix, b: Matrix, c: Matrix, parts: Sequence[tuple[int, int]]
) -> None:
    """Some columns of the result: blocks of rows, and then the rows that are left."""
    rows = _rows_of_a_block(parts)
    blocks, rest = divmod(sizes.n, rows)
    if blocks:
        with emitter.loop(blocks) as block:
            of_a, of_c = (_moved(emitter, x, block, rows * x.rows) for x in (a, c))
            _block(emitter, sizes, of_a, b, of_c, rows, parts)
    if rest:
        a, c = (_at(emitter, x, blocks * rows * x.rows) for x in (a, c))
        _block(emitter, sizes, a, b, c, rest, parts)


def _columns_of_any_rows(
    emitter: Emitter, sizes: Product, a: Matrix, b: Matrix, c: Matrix, parts: Sequence[tuple[int, int]]
) -> None:
    """The same, in a text that does not depend on how many rows are left: one after another."""
    rows = _rows_of_a_block(parts)
    n = emitter.value(f"add nuw nsw i64 {sizes.n}, 0")
    blocks = emitter.value(f"udiv i64 {n}, {rows}")
    with emitter.when(emitter.value(f"icmp ne i64 {blocks}, 0")), emitter.loop(blocks) as block:
        of_a, of_c = (_moved(emitter, x, block, rows * x.rows) for x in (a, c))
        _block(emitter, sizes, of_a, b, of_c, rows, parts)
    done = emitter.value(f"mul nuw nsw i64 {blocks}, {rows}")
    left = emitter.value(f"sub nuw nsw i64 {n}, {done}")
    with emitter.when(emitter.value(f"icmp ne i64 {left}, 0")), emitter.loop(left) as row:
        position = emitter.value(f"add nuw nsw i64 {done}, {row}")
        of_a, of_c = (_moved(emitter, x, position, x.rows) for x in (a, c))
        _block(emitter, sizes, of_a, b, of_c, 1, parts)


def _rows_of_a_block(parts: Sequence[tuple[int, int]]) -> int:
    return ROWS if len(parts) > 1 else 2 * ROWS


def _at(emitter: Emitter, x: Matrix, ahead: int) -> Matrix:
    if not ahead:
        return x
    position = str(ahead) if x.position == "0" else emitter.value(f"add nsw i64 {x.position}, {ahead}")
    return x._replace(position=position)


def _block(
    emitter: Emitter, sizes: Product, a: Matrix, b: Matrix, c: Matrix, rows: int, parts: Sequence[tuple[int, int]]
) -> None:
    kind = TYPES[sizes.dtype]
    places = [(row, start, width) for row in range(rows) for start, width in parts]
    sums = {place: emitter.first(f"alloca <{place[2]} x {kind}>") for place in places}
    for (_, _, width), total in sums.items():
        emitter.line(f"store <{width} x {kind}> zeroinitializer, ptr {total}")
    with emitter.loop(sizes.k) as k:
        right = {}
        of_b = _moved(emitter, b, k, b.rows)
        for start, width in parts:
            address = _entry(emitter, kind, of_b, start * b.columns)
            size = sizes.dtype.itemsize
            right[start] = emitter.value(f"load <{width} x {kind}>, ptr {address}, align {size}")
        of_a = _moved(emitter, a, k, a.columns)
        for row in range(rows):
            left = emitter.value(f"load {kind}, ptr {_entry(emitter, kind, of_a, row * a.rows)}")
            spread: dict[int, str] = {}
            for start, width in parts:
                if width not in spread:
                    first = emitter.value(f"insertelement <{width} x {kind}> poison, {kind} {left}, i64 0")
                    spread[width] = emitter.value(
                        f"shufflevector <{width} x {kind}> {first}, <{width} x {kind}> poison, "
                        f"<{width} x i32> zeroinitializer"
                    )
                vector = f"<{width} x {kind}>"
                term = emitter.value(f"fmul contract {vector} {spread[width]}, {right[start]}")
                before = emitter.value(f"load {vector}, ptr {sums[row, start, width]}")
                after = emitter.value(f"fadd contract {vector} {before}, {term}")
                emitter.line(f"store {vector} {after}, ptr {sums[row, start, width]}")
    for (row, start, width), total in sums.items():
        value = emitter.value(f"load <{width} x {kind}>, ptr {total}")
        if c.columns == 1:
            address = _entry(emitter, kind, c, row * c.rows + start)
            emitter.line(f"store <{width} x {kind}> {value}, ptr {address}, align {sizes.dtype.itemsize}")
            continue
        for i in range(width):
            entry = emitter.value(f"extractelement <{width} x {kind}> {value}, i64 {i}")
            address = _entry(emitter, kind, c, row * c.rows + (start + i) * c.columns)
            emitter.line(f"store {kind} {entry}, ptr {address}")


def _entry(emitter: Emitter, kind: str, x: Matrix, ahead: int) -> str:
    position = _at(emitter, x, ahead).position
    return emitter.value(f"getelementptr inbounds {kind}, ptr {x.base}, i64 {position}")


def _packed(emitter: Emitter, sizes: Product, b: Matrix) -> Matrix:
    """A copy of B whose rows are contiguous."""
    kind = TYPES[sizes.dtype]
    copy = emitter.first(f"alloca {kind}, i64 {sizes.k * sizes.m}, align 64")
    packed = Matrix(copy, "0", sizes.m, 1)
    with emitter.loop(sizes.m) as j:
        source, target = _moved(emitter, b, j, b.columns), _moved(emitter, packed, j, 1)
        with emitter.loop(sizes.k) as k:
            value = emitter.value(f"load {kind}, ptr {_entry(emitter, kind, _moved(emitter, source, k, b.rows), 0)}")
            emitter.line(f"store {kind} {value}, ptr {_entry(emitter, kind, _moved(emitter, target, k, sizes.m), 0)}")
    return packed


def _dots(emitter: Emitter, sizes: Product, a: Matrix, b: Matrix, c: Matrix, width: int) -> None:
    """Each entry as the product of a row and a column, both contiguous."""
    kind = TYPES[sizes.dtype]
    with emitter.loop(sizes.n) as i:
        row, of_c = _moved(emitter, a, i, a.rows), _moved(emitter, c, i, c.rows)
        with emitter.loop(sizes.m) as j:
            column, target = _moved(emitter, b, j, b.columns), _moved(emitter, of_c, j, c.columns)
            total = f"{emitter.number(sizes.dtype, 0.0).text}"
            start = 0
            lanes = width
            while start < sizes.k:
                while lanes > sizes.k - start:
                    lanes //= 2
                turns = (sizes.k - start) // lanes
                vector = f"<{lanes} x {kind}>"
                sums = emitter.first(f"alloca {vector}")
                emitter.line(f"store {vector} zeroinitializer, ptr {sums}")
                x, y = _at(emitter, row, start), _at(emitter, column, start)
                with emitter.loop(turns) as turn:
                    parts = []
                    for part in (_moved(emitter, x, turn, lanes), _moved(emitter, y, turn, lanes)):
                        address = _entry(emitter, kind, part, 0)
                        size = sizes.dtype.itemsize
                        parts.append(emitter.value(f"load {vector}, ptr {address}, align {size}"))
                    term = emitter.value(f"fmul contract {vector} {parts[0]}, {parts[1]}")
                    before = emitter.value(f"load {vector}, ptr {sums}")
                    after = emitter.value(f"fadd contract {vector} {before}, {term}")
                    emitter.line(f"store {vector} {after}, ptr {sums}")
                partial = emitter.value(f"load {vector}, ptr {sums}")
                if lanes == 1:
                    entry = emitter.value(f"extractelement {vector} {partial}, i64 0")
                    total = emitter.value(f"fadd {kind} {total}, {entry}")
                else:
                    name = f"llvm.vector.reduce.fadd.v{lanes}f{8 * sizes.dtype.itemsize}"
                    total = emitter.value(f"call reassoc {kind} @{name}({kind} {total}, {vector} {partial})")
                start += turns * lanes
            emitter.line(f"store {kind} {total}, ptr {_entry(emitter, kind, target, 0)}")
