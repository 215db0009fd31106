"""How the columns of a gradient are divided into blocks, so that small effects are not lost beside large ones."""

from collections.abc import Iterator

import numpy as np

from tinygrad_lite.checking.evidence.known import Known
from tinygrad_lite.checking.subjects.subject import Matrix, Vector

BLOCK = 64  # the largest number of entries whose exact slopes are added up
FEW_ENTRIES = 4  # blocks are not divided by variables if these have fewer entries on average
SMALL = 0.5  # how large all small entries of a block may be together, relative to the largest in their row
APART = 1e6  # entries whose effects differ by more are not in one block


class Blocks:
    """The blocks of a search, of columns that are looked at together."""

    def __init__(self, known: Known) -> None:
        self._known, self._look = known, known.look

    def first(self, columns: Vector) -> Iterator[Vector]:
        """The blocks with which the search begins."""
        if self._known.are_many:
            return self._of_a_variable(columns)
        return self._by_size(columns) if self._known.by_differences else self._of_equals(columns)

    def effects(self, columns: Vector) -> Vector:
        """How far the sums change, by the gradient to check, if an entry changes by its scale."""
        size: Vector = np.max(np.abs(self._look.gradient[:, columns]), axis=0) * self._look.scales[columns]
        return size

    def _by_variable(self, columns: Vector) -> Iterator[Vector]:
        """The columns of each variable, the most important ones last."""
        for k in range(len(self._look.subject.variables)):
            inside = self._look.subject.columns(k)
            mine = columns[(columns >= inside.start) & (columns < inside.stop)]
            if len(mine):
                yield mine[np.argsort(self.effects(mine), kind="stable")]

    def _by_size(self, columns: Vector) -> Iterator[Vector]:
        """The columns whose effects stand out from each other's rounding, the most important ones last."""
        sizes = np.nan_to_num(self.effects(columns))
        while len(columns):
            least = sizes <= APART * np.min(sizes)
            yield columns[least]
            columns, sizes = columns[~least], sizes[~least]

    def _of_equals(self, columns: Vector) -> Iterator[Vector]:
        """Blocks of entries that matter about equally, of whatever variables."""
        yield from np.array_split(columns[np.argsort(self.effects(columns), kind="stable")], -(-len(columns) // BLOCK))

    def _of_a_variable(self, columns: Vector) -> Iterator[Vector]:
        """Blocks of entries of one variable that matter about equally."""
        size = max(BLOCK, len(columns) // (8 if self._known.by_differences else 64))
        for mine in self._by_variable(columns):
            yield from np.array_split(mine, -(-len(mine) // size))

    def parts(self, block: Vector, count: int) -> list[Vector]:
        """The parts of a block: its variables, if these are not tiny, or else entries that matter about equally."""
        variables = list(self._by_variable(block))
        if 1 < len(variables) <= max(count, len(block) // FEW_ENTRIES) or (self._known.are_many and len(variables) > 1):
            return variables
        entries = block[np.argsort(self.effects(block), kind="stable")]
        return [part for part in np.array_split(entries, min(count, len(block))) if len(part)]

    def covers(self, columns: Vector, open_: Matrix) -> Iterator[tuple[Vector, Vector]]:
        """Blocks, each with rows in which all its entries are small, so that each open entry is in one of them.

        In these rows, no larger entries hide the errors of small ones, and a 0 is seen to be 0. The blocks are chosen
        greedily, from columns that are small in the same rows.
        """
        are_small, kinds = np.unique(self.are_small(columns), axis=1, return_inverse=True)
        counts = np.stack([np.sum(open_[:, kinds == kind], axis=1) for kind in range(are_small.shape[1])], axis=1)
        while np.any(counts):
            inside: list[int] = []
            rows, gained = np.ones(len(counts), bool), np.zeros(len(counts), int)
            for kind in np.argsort(-np.sum(counts, axis=0), kind="stable").tolist():
                own = are_small[:, kind]
                if np.sum(counts[rows & own, kind]) > np.sum(gained[rows & ~own]):
                    inside.append(kind)
                    gained += counts[:, kind]
                    rows &= own
            counts[np.ix_(rows, np.array(inside))] = 0
            yield columns[np.isin(kinds, inside)], rows

    def are_small(self, columns: Vector) -> Matrix:
        """Which entries have so small an effect that all of them together are less than the largest in their row."""
        effects = np.abs(self._look.gradient[:, columns]) * self._look.scales[columns]
        return np.asarray(effects <= SMALL / np.sqrt(len(columns)) * self._known.largest)
