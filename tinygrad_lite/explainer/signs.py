"""Decompositions into vectors whose signs the matrix does not determine: LAPACK's come out one way or the other."""

from collections.abc import Iterator

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.linear.packing import pack, unpack

WITH_VECTORS = frozenset({"eigh", "svd"})
_DRAWS = 24
"""Of a result that depends on signs, however many it multiplies, each draw shows it with a probability of one half."""


def with_other_signs(name: str, x: Array, packed: Array) -> Iterator[Array]:
    """Results that a decomposition of these matrices may have as well: some vectors, or pairs of them, are turned."""
    rng = np.random.default_rng(0)
    m, n = x.shape[-2:]
    few = min(m, n)
    shapes = [(n,), (n, n)] if name == "eigh" else [(m, few), (few,), (few, n)]
    for _ in range(_DRAWS):
        signs = rng.choice([-1.0, 1.0], size=(*x.shape[:-2], few)).astype(packed.dtype)
        parts = unpack(packed, shapes)
        if name == "eigh":
            turned = [parts[0], parts[1] * signs[..., None, :]]
        else:
            turned = [parts[0] * signs[..., None, :], parts[1], signs[..., None] * parts[2]]
        yield pack(turned, packed.ndim - 1)
