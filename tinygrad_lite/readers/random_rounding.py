"""A value that every operation rounds at random: how far rounding moves what is computed, measured.

What an operation is given, and what comes of it, is moved by about the last digit that it holds, each entry by another
part of it, so that a result which hangs on those digits differs from run to run by about as much as it may be wrong.
Unlike a bound, which grows with every operation, this sees how roundings cancel; unlike points close by, whose digits
may happen to round alike, it sees a rounding wherever there may be one. Beside it the value is kept as it would have
been, and answers what is asked of it, so that every run takes the same branches.

A `RandomlyRounded` stands under tensors, and over complex steps, as an array does, so that a reverse pass and a
complex step are followed like any other computation.

Reference: D. S. Parker, Monte Carlo arithmetic: exploiting randomness in floating-point arithmetic, report CSD-970002,
University of California, Los Angeles (1997).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.readers.complex_step import ComplexStep, Followed
from tinygrad_lite.transforms.dual import Dual


@dataclass(frozen=True)
class Rounding:
    """How operations are rounded.

    Attributes:
        rng: where the randomness comes from.
        spacing: the relative distance of the numbers that are computed with, where it is more than that of a value's
            own dtype: of what was computed elsewhere, in fewer digits.
    """

    rng: "np.random.Generator"
    spacing: float = 0.0


class RandomlyRounded(Followed):
    """An array whose every operation is rounded at random.

    Attributes:
        value: the array, or what passes for one.
        exact: what it would be if nothing had been rounded at random.
        rounding: how it is rounded.
    """

    __slots__ = ("exact", "rounding")

    def __init__(self, value: Array, exact: Array, rounding: Rounding) -> None:
        self.value = value
        self.exact = exact
        self.rounding = rounding

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        if any(isinstance(x, (Tensor, Dual)) for x in inputs):
            return op(*[wrap(x) if type(x) is RandomlyRounded else x for x in inputs], **params)
        arguments = list(map(exactly, inputs))
        exact = op(*arguments, **params)
        if not op.vjps or exact.dtype.kind != "f":
            return exact
        arrays = [x.value if type(x) is RandomlyRounded else x for x in inputs]
        if _is_selected(exact, arguments):
            return RandomlyRounded(op(*arrays, **params), exact, self.rounding)
        moved = [self._moved(x.value) if type(x) is RandomlyRounded else x for x in inputs]
        return RandomlyRounded(self._moved(op(*moved, **params)), exact, self.rounding)

    def _moved(self, x: Array) -> Array:
        """An array with each entry moved by a part of the distance to its neighbours among the numbers."""
        spacing = max(np.finfo(x.dtype).eps, self.rounding.spacing)
        return x * (1 + spacing * self.rounding.rng.uniform(-1, 1, x.shape)).astype(x.dtype)

    def __bool__(self) -> bool:
        return bool(self.exact)


def _is_selected(y: Array, inputs: Sequence[Array]) -> bool:
    """Whether each number of a result is one of the arguments', up to its sign, so that nothing was rounded."""
    arrays = [_real(x) for x in (y, *inputs) if isinstance(x, (np.ndarray, np.generic, float, int, Traced))]
    numbers, *arguments = [np.abs(np.ravel(x)) for x in arrays]
    if numbers.size and numbers[0] and not any(np.any(numbers[0] == x) for x in arguments):
        return False  # as is mostly so, and quickly seen
    return bool(np.all(np.isin(numbers, np.concatenate([[0.0], *arguments]))))


def _real(x: Array) -> Array:
    return x.value.real if type(x) is ComplexStep else x


def exactly(x: Array) -> Array:
    """What is rounded at random as it would be if it were not; any other array as it is."""
    return x.exact if type(x) is RandomlyRounded else x


def randomly_rounded(x: Array, rounding: Rounding) -> RandomlyRounded:
    """An array with which a computation begins."""
    return RandomlyRounded(x, x, rounding)


def rounded(x: Array) -> Array:
    """What came of a computation."""
    return x.value if type(x) is RandomlyRounded else x
