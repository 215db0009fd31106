"""The results of a function as a flat vector of real numbers, and weights of its entries in the results' containers."""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.subjects.variables import Vector
from tinygrad_lite.engine.op import Array


class Results:
    """The containers, shapes and kinds of what a function returned; a complex array is its real and imaginary part.

    Attributes:
        shapes: the shape of each real array.
        are_complex: whether any array is complex.
    """

    def __init__(self, tree: Any, arrays: Sequence[Array]) -> None:
        self._containers = trees.map_leaves(lambda _: 0, tree)
        self._complex = [np.iscomplexobj(y) for y in arrays]
        self.are_complex = any(self._complex)
        self.shapes = [np.shape(y) for y, twice in zip(arrays, self._complex) for _ in range(1 + twice)]

    @property
    def size(self) -> int:
        """The number of real numbers."""
        return sum(map(prod, self.shapes))

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        """Where the numbers of each real array begin and end."""
        return list(pairwise([0, *accumulate(map(prod, self.shapes))]))

    def weighted(self, weights: Vector) -> Any:
        """Weights of all entries, in the containers; as in PyTorch, that of x + yi in the sum ax + by is a + bi."""
        parts = iter([weights[start:end].reshape(shape)[()] for shape, (start, end) in zip(self.shapes, self._places)])
        arrays = iter([next(parts) + 1j * next(parts) if is_complex else next(parts) for is_complex in self._complex])
        return trees.map_leaves(lambda _: next(arrays), self._containers)


def flat(arrays: Sequence[Any]) -> Vector:
    """All entries in float64, the real parts of a complex array before its imaginary parts."""
    parts = [part for y in arrays for part in ((y.real, y.imag) if np.iscomplexobj(y) else (y,))]
    if len(parts) == 1:
        return np.array(parts[0], float).reshape(-1)
    return np.concatenate([np.asarray(part, float).reshape(-1) for part in parts])
