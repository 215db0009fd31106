"""Decompositions into vectors whose signs the matrix does not determine: LAPACK's come out one way or the other."""

from collections.abc import Iterator

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.linear.packing import pack, unpack

WITH_VECTORS = frozenset({"eigh", "svd"})


def with_other_signs(name: str, x: Array, packed: Array) -> Iterator[Array]:
    """The results that a decomposition of x may have as well: of each, one vector, or pair of vectors, is turned."""
    m, n = x.shape[-2:]
    few = min(m, n)
    shapes = [(n,), (n, n)] if name == "eigh" else [(m, few), (few,), (few, n)]
    for k in range(few):
        signs = np.where(np.arange(few) == k, -1.0, 1.0).astype(packed.dtype)
        parts = unpack(packed, shapes)
        turned = (
            [parts[0], parts[1] * signs] if name == "eigh" else [parts[0] * signs, parts[1], signs[:, None] * parts[2]]
        )
        yield pack(turned, packed.ndim - 1)
