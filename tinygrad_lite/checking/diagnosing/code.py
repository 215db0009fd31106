"""A run of a gradient's own code, and what it computes if some of its operations give something else."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing.changes import Change
from tinygrad_lite.checking.diagnosing.trace import Trace
from tinygrad_lite.checking.subjects.subject import Matrix
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError

_SMALL = 1000  # how many entries are computed in the time that an operation takes


@dataclass(frozen=True)
class Code:
    """A run of a gradient's own code.

    Attributes:
        trace: its operations.
        returned: for each variable the number of the value that was returned for it; an array that no operation made.
        count: of how many results it is the gradient.
    """

    trace: Trace
    returned: list[int | Array]
    count: int

    def rows(self, trace: Trace | None = None) -> Matrix:
        """The gradient of each of the results, in this run or another of the same operations."""
        arrays = [(trace or self.trace).value(x) if isinstance(x, int) else x for x in self.returned]
        return np.concatenate([np.asarray(x, float).reshape(self.count, -1) for x in arrays], axis=1)

    def changed(self, numbers: Sequence[int], change: Change) -> tuple[Matrix | None, float]:
        """The rows with a change of these operations, None if it does not fit, and how many were performed for that."""
        with suppress(Exception):
            trace = self.trace.rerun(dict.fromkeys(numbers, partial(_in_shape, change)))
            return self.rows(trace), trace.performed * self._size_of_operations
        return None, len(numbers)

    @cached_property
    def _size_of_operations(self) -> float:
        """How long an operation takes in the mean, beside one on small arrays."""
        return 1 + float(np.mean([np.size(value) for value in self.trace.values])) / _SMALL

    def effects(self, weights: Matrix) -> list[Array | None]:
        """The gradient of a weighted sum of the rows by each value; None where a value has no effect."""
        values: dict[int, Array] = {}
        parts = np.split(weights, np.cumsum([self._size(x) for x in self.returned])[:-1], axis=1)
        for x, part in zip(self.returned, parts):
            if isinstance(x, int):
                values[x] = values.get(x, 0.0) + part.reshape(np.shape(self.trace.value(x)))
        return self.trace.back_from(values).gradients

    def _size(self, x: int | Array) -> int:
        return int(np.size(self.trace.value(x) if isinstance(x, int) else x)) // self.count

    def effect(self, numbers: Sequence[int], change: Change, effects: Sequence[Array | None]) -> float:
        """What a change of these operations adds to the weighted sum, if all that follows is linear in them.

        Raises:
            ShapeError: if it gives an array of another shape.
        """
        total: Any = 0.0
        with np.errstate(all="ignore"):
            for k in numbers:
                effect = effects[len(self.trace.variables) + k]
                if effect is not None:
                    value = _in_shape(change, self.trace, k)
                    if np.shape(value) != np.shape(effect):
                        raise ShapeError(f"{np.shape(value)} in place of {np.shape(effect)}")
                    total += np.sum(np.real(effect * (value - self.trace.values[k])))
        return float(total)


def _in_shape(change: Change, trace: Trace, k: int) -> Array:
    """What a changed operation gives, in the shape of what it gave; a sum along another axis may have another."""
    value, shape = np.asarray(change(trace, k)), np.shape(trace.steps[k].value)
    if value.shape == shape:
        return value[()]
    is_turned = value.ndim == len(shape) and value.shape != shape and 1 in shape and 1 in value.shape
    return (value if is_turned else np.broadcast_to(value, shape))[()]
