"""The common mistakes in a derivative, each as a change of the right one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op

SIGN = "the sign is wrong"
STOPPED = "nothing arrives: the derivative of this argument is left out, or stopped"
TRANSPOSED = "it is transposed"
AXIS = "the gradient is handed out along the wrong axis"
OUTPUT = "the output is used where the input should be"
INPUT = "the input is used where the output should be"
SWAPPED = "it is the derivative by the other argument"
FIRST = "only the first slice along axis {} counts: the sum over the batch is missing"
LAST = "only the last slice along axis {} counts: the sum over the batch is missing"
SHIFTED = "indices are off by one along axis {}"
TWICE = "a factor of 2 too much"
HALF = "a factor of 2 is missing"
TOO_LARGE = "{0} times too large: a sum in place of a mean over {0}"
TOO_SMALL = "{0} times too small: a mean in place of a sum over {0}"
UPSTREAM = "the upstream gradient is left out: its factor is missing"
LOCAL = "the upstream gradient is handed on as it is: the local derivative is left out"
OVERWRITTEN = "only one of several uses counts: gradients are overwritten where they should be added up"

# Derivatives in terms of the output, as people write them by hand, if our rule is another one that keeps more digits
BY_HAND: dict[str, Callable[[Array], Array]] = {
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: y * (1 - y),
    "expit": lambda y: y * (1 - y),
}


@dataclass(frozen=True)
class Contribution:
    """An operation's contribution to one of its arguments, and what it would be for other values.

    Attributes:
        right: the right contribution, of the argument's shape.
        again: (g, y, arrays, params) -> the contribution for these values.
    """

    op: Op | None
    argument: int
    g: Array
    y: Array
    arrays: Sequence[Array]
    params: Mapping[str, Any]
    right: Array
    again: Callable[..., Array]


def mistaken(contribution: Contribution) -> Iterator[tuple[str, Array]]:
    """Each common mistake, and the contribution that it would give."""
    right = np.asarray(contribution.right)
    yield SIGN, -right
    yield STOPPED, np.zeros_like(right)
    if right.ndim > 1:
        yield TRANSPOSED, np.reshape(np.swapaxes(right, -1, -2), right.shape)
    yield TWICE, 2 * right
    yield HALF, right / 2
    yield from _other_values(contribution)
    for axis in range(right.ndim):
        for by in (1, -1):
            if right.shape[axis] > 1:
                yield SHIFTED.format(axis), np.roll(right, by, axis)
                yield SHIFTED.format(axis), _moved(right, by, axis)
    yield from factors(right, (right, contribution.y, contribution.g, *contribution.arrays))
    yield LOCAL, np.asarray(contribution.g)


def factors(right: Array, arrays: Sequence[Array]) -> Iterator[tuple[str, Array]]:
    """The contributions of a sum in place of a mean, or the other way round, over any size of these arrays."""
    shapes = [np.shape(x) for x in arrays]
    counts = {size for shape in shapes for size in (*shape, int(np.prod(shape)))}
    for count in sorted(counts - {0, 1, 2}):
        yield TOO_LARGE.format(count), right * count
        yield TOO_SMALL.format(count), right / count


def _other_values(contribution: Contribution) -> Iterator[tuple[str, Array]]:
    """The contributions of the rule with wrong arguments in place of the right ones."""
    g, y, arrays, params = np.asarray(contribution.g), contribution.y, list(contribution.arrays), contribution.params
    i = contribution.argument

    def attempt(sentence: str, *changed: Any) -> Iterator[tuple[str, Array]]:
        try:
            with np.errstate(all="ignore"):
                yield sentence, contribution.again(*changed)
        except Exception:  # noqa: S110  # what does not fit is not the mistake that was made
            pass

    if np.shape(y) == np.shape(arrays[i]) and contribution.op is not None:
        yield from attempt(OUTPUT, g, y, [*arrays[:i], y, *arrays[i + 1 :]], params)
        yield from attempt(INPUT, g, arrays[i], arrays, params)
        if contribution.op.name in BY_HAND:
            yield INPUT, g * BY_HAND[contribution.op.name](arrays[i])
    yield from attempt(UPSTREAM, np.ones_like(g), y, arrays, params)
    for axis, size in enumerate(g.shape):
        if size > 1:
            for sentence, kept in ((FIRST, 0), (LAST, size - 1)):
                mask = (np.arange(size) == kept).reshape([-1 if k == axis else 1 for k in range(g.ndim)])
                yield from attempt(sentence.format(axis), g * mask, y, arrays, params)
    for a in range(g.ndim):
        for b in range(a):
            if g.shape[a] == g.shape[b] > 1:
                yield from attempt(AXIS, np.swapaxes(g, a, b), y, arrays, params)
    if isinstance(params.get("axis"), int):
        for axis in range(-np.ndim(arrays[0]), 0):
            yield from attempt(AXIS, g, y, arrays, {**params, "axis": axis})
    if len(arrays) == 2 and np.shape(arrays[0]) == np.shape(arrays[1]):
        yield from attempt(SWAPPED, g, y, arrays[::-1], params)


def _moved(x: Array, by: int, axis: int) -> Array:
    """The array rolled along an axis, with zeros where entries came in from the other end."""
    moved = np.roll(x, by, axis)
    moved[(*(slice(None),) * axis, 0 if by > 0 else -1)] = 0
    return moved
