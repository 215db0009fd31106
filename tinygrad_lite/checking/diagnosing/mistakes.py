"""The common mistakes in a derivative, each as a change of the right one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op

SIGN = "the sign is wrong"
STOPPED = "nothing arrives: the derivative of this argument is left out, or stopped"
TRANSPOSED = "it is transposed"
PERMUTED = "its axes are in the order {}"
FLIPPED = "it is flipped along {}"
AXIS = "the gradient is handed out along the wrong axis"
OUTPUT = "the output is used where the input should be"
INPUT = "the input is used where the output should be"
SWAPPED = "it is the derivative with respect to the other argument"
FIRST = "only the first slice along axis {} counts: the sum over the batch is missing"
LAST = "only the last slice along axis {} counts: the sum over the batch is missing"
SHORT = "the {} slice along axis {} is left out: does a loop {}?"
SHIFTED = "indices are off by one along axis {}"
REPEATED = "only one of several equal indices counts: gradients are overwritten where np.add.at adds them up"
TWICE = "a factor of 2 should not be there"
HALF = "a factor of 2 is missing"
TOO_LARGE = "{0} times too large: a sum in place of a mean over {0}"
TOO_SMALL = "{0} times too small: a mean in place of a sum over {0}"
UPSTREAM = "the upstream gradient is left out: its factor is missing"
LOCAL = "the upstream gradient is handed on as it is: the local derivative is left out"
LOCAL_AND_SIGN = "the local derivative is left out, all but its sign"
CONSTANT = "the upstream gradient is handed on as it is: its factor {:.6g} is left out"
VALUE = "the value of the function is used in place of its derivative"
ARGUMENT = "the argument itself is used in place of the derivative"
FACTOR = "the exponent's factor {:.6g} is left out"
EXPONENT = "the exponent is not lowered by 1"
NOT_ADJOINT = "{0} itself is applied to the upstream gradient, where its transpose should be"
NOT_SQUARED = "the divisor is not squared"
OVERWRITTEN = "only one of several uses counts: gradients are overwritten where they should be added up"
RUNNING = "it is added up from one run to the next, and not set to 0 in between"
ONE_OF_TWO = (
    "nothing arrives from here, and only one of several uses counts: this part is left out, or overwritten where parts "
    "should be added up"
)
PART = "nothing arrives from here: this part is left out, or overwritten where parts should be added up"

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

    @property
    def x(self) -> Array:
        return self.arrays[self.argument]


@dataclass(frozen=True)
class Mistake:
    """A common mistake.

    Attributes:
        sentence: what is wrong.
        apply: the contribution that it would give in place of the right one.
        kind: the sentence without its number, if that may differ each time that a line runs.
    """

    sentence: str
    apply: Callable[[Contribution], Array]
    kind: str = ""


def mistaken(contribution: Contribution) -> Iterator[tuple[str, Array]]:
    """Each common mistake, and the contribution that it would give."""
    for mistake in mistakes(contribution):
        try:
            with np.errstate(all="ignore"):
                candidate = mistake.apply(contribution)
        except Exception:  # noqa: S112  # a mistake that does not fit was not made
            continue
        yield mistake.sentence, candidate


def mistakes(contribution: Contribution) -> Iterator[Mistake]:
    """The mistakes that people can make in such an operation, on arrays of these shapes."""
    shape = np.shape(contribution.right)
    yield Mistake(SIGN, lambda c: -c.right)
    yield Mistake(STOPPED, lambda c: np.zeros_like(c.right))
    if len(shape) > 1:
        yield Mistake(TRANSPOSED, lambda c: np.reshape(np.swapaxes(c.right, -1, -2), np.shape(c.right)))
    yield Mistake(TWICE, partial(_multiplied, 2.0))
    yield Mistake(HALF, partial(_multiplied, 0.5))
    yield from _of_other_values(contribution)
    are_several = np.count_nonzero(contribution.right) > 1  # a single one could be at any other index
    for axis, size in enumerate(shape):
        for by in (1, -1) if size > 1 and are_several else ():
            if size > 2:  # with two entries, it is a flip
                yield Mistake(SHIFTED.format(axis), partial(_rolled, by, axis))
            yield Mistake(SHIFTED.format(axis), partial(_moved, by, axis))
        if size > 2:
            yield Mistake(SHORT.format("first", axis, "start too late"), partial(_without, axis, 0))
            yield Mistake(SHORT.format("last", axis, "end too early"), partial(_without, axis, -1))
    own = count_of_mean(contribution)
    for count in counts((contribution.right, contribution.y, contribution.g, *contribution.arrays)):
        yield Mistake(TOO_LARGE.format(count), partial(_multiplied, float(count)), TOO_LARGE if count == own else "")
        yield Mistake(TOO_SMALL.format(count), partial(_multiplied, 1 / count))
    yield Mistake(LOCAL, lambda c: np.asarray(c.g))
    yield Mistake(LOCAL_AND_SIGN, lambda c: -np.asarray(c.g))
    yield from _of_order(shape)
    if contribution.op is None:
        return
    name = contribution.op.name
    if contribution.op.derivatives and callable(contribution.op.derivatives[contribution.argument]):
        yield Mistake(VALUE, lambda c: c.g * c.y)
        yield Mistake(ARGUMENT, lambda c: c.g * c.x)
    if contribution.argument == 0 and (exponent := _exponent(contribution)) is not None:
        yield Mistake(FACTOR.format(exponent), partial(_multiplied, 1 / exponent if exponent else np.nan), FACTOR)
        yield Mistake(EXPONENT, lambda c: c.right * c.x)
    if contribution.op.linear and shape == np.shape(contribution.g) and len(contribution.arrays) == 1:
        yield Mistake(NOT_ADJOINT.format(name), _not_adjoint)
    if name == "divide" and contribution.argument == 1:
        yield Mistake(NOT_SQUARED, lambda c: c.right * c.x)
    if name == "getitem" and _has_array(contribution.params["index"]):
        yield Mistake(REPEATED, _overwritten)


def count_of_mean(c: Contribution) -> int:
    """The number of entries that an operation takes the mean of; 0 if it takes none."""
    return np.size(c.x) // max(np.size(c.y), 1) if c.op is not None and c.op.name == "mean" else 0


def _exponent(c: Contribution) -> float | None:
    """The one exponent of a power; None if there are several, or none."""
    if c.op is not None and c.op.name == "square":
        return 2.0
    return float(c.arrays[1]) if c.op is not None and c.op.name == "power" and np.ndim(c.arrays[1]) == 0 else None


def _not_adjoint(c: Contribution) -> Array:
    assert c.op is not None
    return np.asarray(c.op.forward(c.g, **c.params))


def _multiplied(by: float, c: Contribution) -> Array:
    return by * c.right


def _rolled(by: int, axis: int, c: Contribution) -> Array:
    return np.roll(c.right, by, axis)


def _of_order(shape: tuple[int, ...]) -> Iterator[Mistake]:
    """Entries in another order."""
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    for chosen in [(axis,) for axis in axes] + ([tuple(axes)] if len(axes) > 1 else []):
        where = "all its axes" if len(chosen) > 1 else f"axis {chosen[0]}"
        yield Mistake(FLIPPED.format(where), partial(_flipped, chosen))
    for order in permutations(range(len(shape))) if 2 < len(shape) < 5 else ():
        if order != tuple(range(len(shape))):
            yield Mistake(PERMUTED.format(order), partial(_permuted, order))


def _flipped(axes: tuple[int, ...], c: Contribution) -> Array:
    return np.flip(c.right, axes)


def _permuted(order: tuple[int, ...], c: Contribution) -> Array:
    return np.reshape(np.transpose(c.right, order), np.shape(c.right))


def counts(arrays: Sequence[Array]) -> list[int]:
    """The numbers of entries, in all or along an axis, that a mean over any of these arrays could divide by."""
    shapes = [np.shape(x) for x in arrays]
    return sorted({size for shape in shapes for size in (*shape, int(np.prod(shape)))} - {0, 1, 2})


def _of_other_values(contribution: Contribution) -> Iterator[Mistake]:
    """The rule with wrong arguments in place of the right ones."""
    g, y, arrays, params = np.asarray(contribution.g), contribution.y, contribution.arrays, contribution.params
    i = contribution.argument
    if np.shape(y) == np.shape(arrays[i]) and contribution.op is not None:
        yield Mistake(OUTPUT, lambda c: c.again(c.g, c.y, [*c.arrays[:i], c.y, *c.arrays[i + 1 :]], c.params))
        yield Mistake(INPUT, lambda c: c.again(c.g, c.x, c.arrays, c.params))
        if contribution.op.name in BY_HAND:
            yield Mistake(INPUT, lambda c: c.g * BY_HAND[c.op.name](c.x) if c.op else c.right)
    yield Mistake(UPSTREAM, lambda c: c.again(np.ones_like(c.g), c.y, c.arrays, c.params))
    for axis, size in enumerate(g.shape):
        if size > 1:
            yield Mistake(FIRST.format(axis), partial(_some_of_it, axis, 0, True))
            yield Mistake(LAST.format(axis), partial(_some_of_it, axis, -1, True))
        if size > 2:
            yield Mistake(SHORT.format("first", axis, "start too late"), partial(_some_of_it, axis, 0, False))
            yield Mistake(SHORT.format("last", axis, "end too early"), partial(_some_of_it, axis, -1, False))
    for a in range(g.ndim):
        for b in range(a):
            if g.shape[a] == g.shape[b] > 1:
                yield Mistake(AXIS, partial(_swapped, a, b))
    if isinstance(params.get("axis"), int):
        for axis in range(-np.ndim(arrays[0]), 0):
            yield Mistake(AXIS, partial(_along, axis))
    if len(arrays) == 2 and np.shape(arrays[0]) == np.shape(arrays[1]):
        yield Mistake(SWAPPED, lambda c: c.again(c.g, c.y, c.arrays[::-1], c.params))
    elif len(arrays) == 2 and contribution.op is not None and contribution.op.derivatives:
        yield Mistake(SWAPPED, lambda c: c.again(c.g, c.y, np.broadcast_arrays(*c.arrays)[::-1], c.params))


def _some_of_it(axis: int, index: int, kept: bool, c: Contribution) -> Array:
    """The rule with one slice of the upstream gradient only, or with all but one."""
    g = np.asarray(c.g)
    mask = np.full(g.shape[axis], not kept)
    mask[index] = kept
    mask = mask.reshape([-1 if k == axis else 1 for k in range(g.ndim)])
    return c.again(g * mask, c.y, c.arrays, c.params)


def _swapped(a: int, b: int, c: Contribution) -> Array:
    return c.again(np.swapaxes(c.g, a, b), c.y, c.arrays, c.params)


def _along(axis: int, c: Contribution) -> Array:
    return c.again(c.g, c.y, c.arrays, {**c.params, "axis": axis})


def _has_array(index: Any) -> bool:
    return any(isinstance(part, (np.ndarray, list)) for part in (index if isinstance(index, tuple) else (index,)))


def _overwritten(c: Contribution) -> Array:
    """The gradient of an index, written to each entry instead of added up there."""
    written = np.zeros_like(c.right)
    written[c.params["index"]] = c.g
    return written


def _moved(by: int, axis: int, c: Contribution) -> Array:
    """The contribution rolled along an axis, with zeros where entries came in from the other end."""
    moved = np.roll(c.right, by, axis)
    moved[(*(slice(None),) * axis, 0 if by > 0 else -1)] = 0
    if np.array_equal(moved, _without(axis, 0 if by > 0 else -1, c)):
        raise ValueError("entries that are alike have not moved, but some are left out")
    return moved


def _without(axis: int, index: int, c: Contribution) -> Array:
    """The contribution with zeros in one slice along an axis."""
    left: Any = np.array(c.right)
    left[(*(slice(None),) * axis, index)] = 0
    return left
