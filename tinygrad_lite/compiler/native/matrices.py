"""Matrices: a product of arrays as batches of products of matrices, in registers or by BLAS."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_lite.compiler.native import blas, products, ufuncs
from tinygrad_lite.compiler.native.emission import Emitter, loops
from tinygrad_lite.compiler.native.memory import Layout
from tinygrad_lite.compiler.program import Instruction

SMALL_PRODUCT = 2**18  # up to so many multiplications, and a second factor of at most
SMALL_FACTOR = 2**16  # so many bytes, we multiply matrices in registers


def as_batches(call: Instruction, layouts: Sequence[Layout]) -> tuple[list[Any], products.Product, list[Any]]:
    """A product as batches of matrices: the batches' sizes with their strides, the sizes, and the three matrices."""
    a, b, c = (list(layout.strides) for layout in layouts)
    (x, y), z = call.inputs, call.result
    x_shape, y_shape = x.shape, y.shape
    if len(x_shape) == 1:
        x_shape, a = (1, *x_shape), [0, *a]
        c.insert(len(c) - (len(y_shape) > 1), 0)
    if len(y_shape) == 1:
        y_shape, b = (*y_shape, 1), [*b, 0]
        c.append(0)
    n, k, m = x_shape[-2], x_shape[-1], y_shape[-1]
    around = np.broadcast_shapes(x_shape[:-2], y_shape[:-2])
    batch = []
    for i, size in enumerate(reversed(around), start=3):
        strides = [
            strides[-i] if len(shape) >= i and shape[-i] != 1 else 0 for strides, shape in ((a, x_shape), (b, y_shape))
        ]
        if size != 1:
            batch.append((size, [*strides, c[-i]]))
    rows = [a[-2], 0, c[-2]]
    while batch and batch[0][1][1] == 0 and (n == 1 or [batch[0][1][i] for i in (0, 2)] == [n * rows[0], n * rows[2]]):
        size, strides = batch.pop(0)  # the second factor is the same: more rows of one product
        if n == 1:
            rows = strides
        n *= size
    parts = [
        (layout.root, layout.offset, *strides)
        for layout, strides in zip(layouts, [(rows[0], a[-1]), (b[-2], b[-1]), (rows[2], c[-1])])
    ]
    return batch[::-1], products.Product(z.dtype, n, k, m), parts


def is_small(sizes: products.Product) -> bool:
    """Whether BLAS would take longer to prepare a product than registers take to compute it."""
    few = sizes.n * sizes.k * sizes.m <= SMALL_PRODUCT
    return few and sizes.k * min(sizes.m, sizes.n) * sizes.dtype.itemsize <= SMALL_FACTOR


def suits_blas(layout: Layout, shape: tuple[int, ...]) -> bool:
    """Whether BLAS reads an array where it lies: NumPy computes the product itself, slowly, for other strides."""
    if len(shape) < 2:
        return layout.strides[0] >= 1
    rows, columns = layout.strides[-2:]
    return (columns == 1 and rows >= shape[-1]) or (rows == 1 and columns >= shape[-2])


def by_registers(emitter: Emitter, writer: Any, *, batch: Any, sizes: products.Product, parts: Any) -> None:
    """Multiply in registers, batch by batch."""
    with loops(emitter, [size for size, _ in batch]) as indices:
        addresses = _starts(emitter, writer, batch, parts, indices)
        writer.multiply(sizes, [(rows, columns) for _, _, rows, columns in parts], addresses)


def _starts(emitter: Emitter, writer: Any, batch: Any, parts: Any, indices: Sequence[str]) -> list[str]:
    """The addresses of the three matrices in one turn of the batches."""
    addresses = []
    for which, (root, offset, _, _) in enumerate(parts):
        strides = [(index, strides[which]) for index, (_, strides) in zip(indices, batch) if strides[which]]
        addresses.append(emitter.address(root.dtype, writer.base(root), emitter.position(offset, strides)))
    return addresses


def by_blas(emitter: Emitter, writer: Any, *, batch: Any, sizes: products.Product, parts: Any, routine: Any) -> None:
    """Call NumPy's own product, which calls BLAS, with some rows at a time if that takes less time."""
    a, b, c = parts
    is_square = (a[0], a[1]) == (b[0], b[1])  # of a matrix: BLAS computes half of it
    rows = blas.rows_at_a_time(sizes, b[3] == c[3] == 1 and not is_square)
    count, rest = divmod(sizes.n, rows)
    ahead = [
        (root, offset + step, *strides) for (root, offset, *strides), step in zip(parts, _steps(parts, count * rows))
    ]
    some = [*batch, (count, _steps(parts, rows))] if count > 1 else batch
    _by_blas(emitter, writer, some, sizes._replace(n=rows), parts, routine)
    if rest:
        _by_blas(emitter, writer, batch, sizes._replace(n=rest), ahead, routine)


def _steps(parts: Any, rows: int) -> list[int]:
    """How far so many rows of a product are apart in each of the three matrices; they share the second factor."""
    (_, _, of_a, _), _, (_, _, of_c, _) = parts
    return [rows * of_a, 0, rows * of_c]


def _by_blas(emitter: Emitter, writer: Any, batch: Any, sizes: products.Product, parts: Any, routine: Any) -> None:
    """Call it with the innermost batch as its outer loop."""
    *outer, inner = batch or [(1, [0, 0, 0])]
    size = sizes.dtype.itemsize
    with loops(emitter, [size for size, _ in outer]) as indices:
        addresses = _starts(emitter, writer, outer, parts, indices)
        steps = [stride * size for stride in inner[1]]
        steps += [stride * size for _, _, rows, columns in parts for stride in (rows, columns)]
        ufuncs.call(emitter, writer, routine, addresses, [inner[0], sizes.n, sizes.k, sizes.m], steps)
