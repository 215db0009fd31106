"""The writer: a segment as the text of a C function of the arrays that it works on."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_lite.compiler.c.emission import INDICES, TYPES, Address, Emitter, broken
from tinygrad_lite.compiler.c.names import Names
from tinygrad_lite.compiler.c.systems import FUNCTIONS
from tinygrad_lite.compiler.native.products import Product
from tinygrad_lite.compiler.native.writer import Writer
from tinygrad_lite.compiler.program import Variable

PRODUCTS = {dtype: f"matmul_{name.removesuffix('_t')}" for dtype, name in TYPES.items()}
"""The names of the functions that multiply matrices, by dtype."""


class CWriter(Writer):
    """The text of one segment in C; its arrays do not overlap, which the text says by `restrict`."""

    _emitter: Emitter

    def _made_emitter(self) -> Emitter:
        self._names = Names([*INDICES, *PRODUCTS.values(), *FUNCTIONS])
        self._locals: dict[str, list[str]] = {}
        return Emitter(self._names)

    def _register(self, root: Variable) -> Address:
        name = self._names.new(root.name)
        self._locals.setdefault(TYPES[root.dtype], []).append(name)
        return Address(name, None)

    def _function(self) -> str:
        written = self._emitter.written
        parameters = [
            f"{'' if name in written else 'const '}{TYPES[root.dtype]} *restrict {name}"
            for root, name in self._bases.items()
        ]
        kind = "bool" if self._emitter.can_leave else "void"
        head = broken(f"static {kind} NAME(", parameters or ["void"], ")")
        declared = [line for kind, names in self._locals.items() for line in broken(f"    {kind} ", names, ";")]
        unread = [name for names in self._locals.values() for name in names if name not in self._emitter.read]
        ends = [f"    (void){name};" for name in unread]  # whoever reads it has no entries
        ends += ["    return true;"] * self._emitter.can_leave
        return "\n".join([*head, "{", *declared, *self._emitter.lines, *ends, "}"])

    def base(self, root: Any) -> str:
        if root not in self._bases:
            self._bases[root] = self._names.new(root.name)
            self.roots.append(root)
        return self._bases[root]

    def note(self, root: Any) -> str:
        return ""

    def multiply(self, sizes: Product, strides: Sequence[tuple[int, int]], addresses: Sequence[Address]) -> None:
        name = PRODUCTS[sizes.dtype]
        self.functions[name] = _product(sizes.dtype)
        arguments = [str(size) for size in (sizes.n, sizes.k, sizes.m)]
        for address, (rows, columns) in zip(addresses, strides):
            arguments += [address.pointer, str(rows), str(columns)]
        self._emitter.call(name, arguments)
        self._emitter.written.add(addresses[-1].base)

    def eliminate(self, name: str, arguments: Sequence[Any]) -> None:
        """Call one of the functions for linear algebra."""
        needed = ["eliminate", name] if name in ("solve", "determinant") else [name]
        self.functions.update({function: FUNCTIONS[function] for function in needed})
        addresses = [x for x in arguments if isinstance(x, Address)]  # of a Cholesky factor, the first is only read
        self._emitter.call(name, [x.pointer if isinstance(x, Address) else str(x) for x in arguments])
        self._emitter.written.update(x.base for x in (addresses[1:] if name == "cholesky" else addresses))


def _product(dtype: np.dtype[Any]) -> str:
    """The function that multiplies matrices."""
    kind = TYPES[dtype]
    sum_, first, second = "c[i * c_row + j * c_column]", "a[i * a_row + l * a_column]", "b[l * b_row + j * b_column]"
    if dtype.kind == "f":
        added = f"{sum_} += {first} * {second};"
    else:
        added = f"{sum_} = ({kind})((uint64_t){sum_} + (uint64_t){first} * (uint64_t){second});"
    return f"""\
/* The product of an n x k and a k x m matrix; each is its first entry, and the way to the next row and column. */
static void {PRODUCTS[dtype]}(
    ptrdiff_t n, ptrdiff_t k, ptrdiff_t m,
    const {kind} *restrict a, ptrdiff_t a_row, ptrdiff_t a_column,
    const {kind} *restrict b, ptrdiff_t b_row, ptrdiff_t b_column,
    {kind} *restrict c, ptrdiff_t c_row, ptrdiff_t c_column)
{{
    for (ptrdiff_t i = 0; i < n; i++) {{
        for (ptrdiff_t j = 0; j < m; j++)
            c[i * c_row + j * c_column] = 0;
        for (ptrdiff_t l = 0; l < k; l++)
            for (ptrdiff_t j = 0; j < m; j++)
                {added}
    }}
}}"""
