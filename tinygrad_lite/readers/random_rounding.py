"""A value that every operation rounds at random, to measure how far rounding moves a result.

Each operation moves every entry of its result by a random part of the last digit, and, unless it works entry by entry,
its arguments as well. A result that depends on those digits then differs from run to run by about its own rounding
error. Unlike a bound, which grows with every operation, this shows how roundings cancel. Unlike nearby points, whose
digits may happen to round alike, it shows every possible rounding. The exact value is kept beside it and answers all
questions, so that every run takes the same branches.

Tensors can hold a `RandomlyRounded`, and it can hold complex steps, so reverse passes and complex steps are rounded
like any other computation.

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
        rng: the source of randomness.
        spacing: the relative spacing of the numbers, if that is more than the spacing of a value's own dtype, as for
            values that were computed elsewhere with fewer digits.
    """

    rng: "np.random.Generator"
    spacing: float = 0.0


class RandomlyRounded(Followed):
    """An array whose every operation is rounded at random.

    Attributes:
        value: the array, or another value in its place.
        exact: the value without any random rounding.
        rounding: how to round it.
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
        if type(exact) is RandomlyRounded:
            return exact  # a value that was computed, and rounded, before the call, as by a checkpointed function
        if not op.vjps or exact.dtype.kind not in "fc":
            return exact
        arrays = [x.value if type(x) is RandomlyRounded else x for x in inputs]
        if _is_selected(exact, arguments):
            return RandomlyRounded(op(*arrays, **params), exact, self.rounding)
        moved = [self._moved(x) if _rounds(op, argument) else x for x, argument in zip(arrays, inputs)]
        return RandomlyRounded(self._moved(op(*moved, **params)), exact, self.rounding)

    def _moved(self, x: Array) -> Array:
        """An array with each entry moved by a random part of the distance to the neighbouring floating-point number.

        Infinity stays: in complex numbers, each factor makes NaN of it.
        """
        spacing = max(np.finfo(x.dtype).eps, self.rounding.spacing)
        moved = x * (1 + spacing * self.rounding.rng.uniform(-1, 1, x.shape)).astype(x.dtype)
        finite = np.isfinite(_real(x))
        return moved if np.all(finite) else np.where(finite, moved, x)

    def __bool__(self) -> bool:
        return bool(self.exact)


def _rounds(op: Op, x: Array) -> bool:
    """Whether an operation also rounds an argument on the way, even a constant one, as LAPACK does with a matrix."""
    return not op.derivatives and (type(x) is RandomlyRounded or (isinstance(x, np.ndarray) and x.dtype.kind in "fc"))


def _is_selected(y: Array, inputs: Sequence[Array]) -> bool:
    """Whether each number of a result is a number of the arguments, up to its sign, so that nothing was rounded."""
    numbers = np.abs(_real(y))
    largest = numbers.max(initial=0)
    if largest == 0:
        return True
    arguments = [np.abs(_real(x)) for x in inputs if isinstance(x, (np.ndarray, np.generic, float, int, Traced))]
    if not any((x == largest).any() for x in arguments):
        return False  # the usual case, which is quick to see
    return bool(np.isin(numbers, np.concatenate([[0.0], *map(np.ravel, arguments)])).all())


def _real(x: Array) -> Array:
    return x.value.real if type(x) is ComplexStep else x


def exactly(x: Array) -> Array:
    """The exact value of a randomly rounded array; any other array as it is."""
    return x.exact if type(x) is RandomlyRounded else x


def randomly_rounded(x: Array, rounding: Rounding) -> RandomlyRounded:
    """An array as the start of a randomly rounded computation."""
    return RandomlyRounded(x, x, rounding)


def rounded(x: Array) -> Array:
    """The array that a randomly rounded computation ends with."""
    return x.value if type(x) is RandomlyRounded else x
