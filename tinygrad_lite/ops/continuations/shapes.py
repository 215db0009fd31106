"""Continuations of shape operations to the complex plane: they move complex entries as they move real ones."""

from tinygrad_lite.ops.continuations.forms import continuation, exact, of_dtype
from tinygrad_lite.ops.shapes import arranging, filling, indexing, joining, shaping, windows

for op in (
    shaping.reshape,
    shaping.ravel,
    shaping.broadcast_to,
    indexing.getitem,
    indexing.scatter,
    indexing.index_set,
    indexing.index_add,
    filling.linspace_step,
    windows.windows,
):
    continuation(op, op.forward)

for op in (joining.concatenate, joining.stack, filling.linspace, arranging.trace):
    continuation(op, of_dtype(op.forward))

continuation(filling.geomspace, of_dtype(filling.geomspace.forward, exact(filling.geomspace.forward)))
