"""Several results of one operation in one array, and which of them a gradient has reached."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import prod

import numpy as np

from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.ops.shapes.indexing import Index, Scattered

Shape = tuple[int, ...]


def pack(parts: Sequence[Array], batch: int) -> Array:
    """Several arrays in one, side by side along the last axis; they share the first `batch` axes."""
    return np.concatenate([part.reshape(*part.shape[:batch], prod(part.shape[batch:])) for part in parts], axis=-1)


def _spans(shapes: Sequence[Shape]) -> list[Index]:
    """The index at which each array of these shapes lies in the packed one."""
    return [(..., slice(start, stop)) for start, stop in pairwise(accumulate(map(prod, shapes), initial=0))]


def unpack(packed: Array, shapes: Sequence[Shape]) -> list[Array]:
    """The arrays of these shapes that were packed into one."""
    rows = [packed[span] for span in _spans(shapes)]
    return [
        row if len(shape) == 1 else np.reshape(row, (*packed.shape[:-1], *shape)) for row, shape in zip(rows, shapes)
    ]


def arrived(g: Array, shapes: Sequence[Shape]) -> list[tuple[Array, Array]]:
    """The upstream gradient of each array that was packed, and whether the array was used.

    Its gradient may be 0 all the same, and only a deferred gradient tells such a use.
    """
    deferred = isinstance(g, Scattered)
    reached = [deferred and g.reaches(span) for span in _spans(shapes)]
    parts = unpack(g.whole() if deferred else g, shapes)
    return [(part, np.True_ if used else _is_any(part)) for part, used in zip(parts, reached)]


def _is_any(part: Array) -> Array:
    return part.any() if type(part) is np.ndarray else np.any(np.not_equal(part, 0))  # the same, sooner


def are_idle(used: Array, *parts: Array) -> bool:
    """Whether it is certain that no gradient of any order arrives at these parts: for arrays, one can see it."""
    return not any(isinstance(part, Traced) for part in parts) and not used
