"""Blocks of entries that are compared together: of one variable, or of entries that matter about equally."""

from collections.abc import Iterator

import numpy as np

from tinygrad_lite.checking.examination import Examination
from tinygrad_lite.checking.subject import Vector

BLOCK = 64  # the largest number of entries whose exact slopes are added up
LOST_BESIDE = 1e-4  # an entry that matters so much less than another is not looked at together with it


class Blocks:
    """The blocks of an examination's columns."""

    def __init__(self, examination: Examination) -> None:
        self._look = examination

    def sizes(self, columns: Vector) -> Vector:
        """How far the sums change, by the gradient in question, if an entry changes by its scale."""
        size: Vector = np.max(np.abs(self._look.gradient[:, columns]), axis=0) * self._look.scales[columns]
        return size

    def _by_variable(self, columns: Vector) -> Iterator[Vector]:
        """The columns of each variable, the most important ones last."""
        for k in range(len(self._look.subject.variables)):
            inside = self._look.subject.columns(k)
            mine = columns[(columns >= inside.start) & (columns < inside.stop)]
            if len(mine):
                yield mine[np.argsort(self.sizes(mine), kind="stable")]

    def by_size(self, columns: Vector) -> Iterator[Vector]:
        """The columns in blocks, so that none is lost beside what matters far more; 0 shows beside anything."""
        sizes = self.sizes(columns)
        left = np.ones(len(columns), bool)
        while np.any(left):
            inside = left & ((sizes >= LOST_BESIDE * np.max(sizes[left], initial=0)) | (sizes == 0) | np.isnan(sizes))
            yield columns[inside]
            left &= ~inside

    def of_many(self, columns: Vector) -> Iterator[Vector]:
        """Blocks of entries of one variable that matter about equally."""
        size = max(BLOCK, len(columns) // (8 if self._look.method == "differences" else 64))
        for mine in self._by_variable(columns):
            yield from np.array_split(mine, -(-len(mine) // size))

    def parts(self, block: Vector, count: int) -> list[Vector]:
        """A block in parts: by variables, or else into entries that matter about equally."""
        variables = list(self._by_variable(block))
        if len(variables) > 1:
            return variables
        return [part for part in np.array_split(variables[0], min(count, len(block))) if len(part)]
