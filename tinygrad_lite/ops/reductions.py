"""Floor 1. Reductions: many entries to one, along an axis, several, or all."""

from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.ops.elementwise import above
from tinygrad_lite.ops.op import Array, Example, Op, implements, primitive

Axis = int | tuple[int, ...] | None

EXAMPLES: list[Example] = [
    ([(2, 3)], {"axis": axis, "keepdims": keep}) for axis in (None, 0, -1, (0, 1), ()) for keep in (False, True)
]


def _kept(reduced: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """A reduced array with its lost axes put back, so that it broadcasts against x."""
    if keepdims or np.ndim(reduced) == 0:
        return reduced
    lost = _axes(np.shape(x), axis)
    return np.reshape(reduced, tuple(1 if i in lost else size for i, size in enumerate(np.shape(x))))


def _axes(shape: tuple[int, ...], axis: Axis) -> set[int]:
    """The axes that a reduction removes, counted from the front."""
    if axis is None:
        return set(range(len(shape)))
    return {i % len(shape) for i in (axis if isinstance(axis, tuple) else (axis,))} if shape else set()


def _count(x: Array, axis: Axis) -> int:
    """How many entries each result is made of."""
    shape = np.shape(x)
    return prod(shape[i] for i in _axes(shape, axis))


def _spread(g: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    return np.broadcast_to(_kept(g, x, axis, keepdims), np.shape(x))


sum = primitive(
    np.sum,
    lambda g, y, x, axis=None, keepdims=False: _spread(g, x, axis, keepdims),
    examples=EXAMPLES,
)
mean = primitive(
    np.mean,
    lambda g, y, x, axis=None, keepdims=False: _spread(g / _count(x, axis), x, axis, keepdims),
    examples=EXAMPLES,
)


def _var_vjp(g: Array, y: Array, x: Array, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Array:
    deviation = x - np.mean(x, axis=axis, keepdims=True)
    return _kept(g, x, axis, keepdims) * deviation * 2 / (_count(x, axis) - ddof)


def _std_vjp(g: Array, y: Array, x: Array, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Array:
    # where all entries are equal the distance to the mean has a kink, and its gradient is 0 by convention
    flat = np.equal(np.max(x, axis=axis, keepdims=keepdims), np.min(x, axis=axis, keepdims=keepdims))
    return _var_vjp(g * np.where(flat, 0, 0.5 / np.where(flat, 1, y)), y, x, axis, ddof, keepdims)


def _spreads(x: Array, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Array:
    return np.std(x, axis=axis)


_VAR_EXAMPLES: list[Example] = [*EXAMPLES, ([(2, 3)], {"axis": 1, "ddof": 1})]
var = primitive(np.var, _var_vjp, examples=_VAR_EXAMPLES)
std = primitive(np.std, _std_vjp, kink=_spreads, examples=_VAR_EXAMPLES)


def _extremum_vjp(g: Array, y: Array, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    winners = np.equal(x, _kept(y, x, axis, keepdims))  # ties share equally
    return winners * (_kept(g, x, axis, keepdims) / np.sum(winners, axis=axis, keepdims=True))


def _closest(x: Array, **_: Axis) -> Array:
    """The differences between neighbouring entries in order: zero where any two tie."""
    return np.diff(np.sort(np.ravel(x)))


max = primitive(np.max, _extremum_vjp, kink=_closest, examples=EXAMPLES)
min = primitive(np.min, _extremum_vjp, kink=_closest, examples=EXAMPLES)


def _logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    largest = np.max(x, axis=axis, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0)
    total = np.sum(np.exp(x - shift), axis=axis, keepdims=True)
    with np.errstate(divide="ignore"):  # the logarithm of an empty sum is -∞, as it should be
        y = np.log(total) + shift
    return y if keepdims else np.squeeze(y, axis=axis)[()]


logsumexp = primitive(
    _logsumexp,
    lambda g, y, x, axis=None, keepdims=False: (
        _kept(g, x, axis, keepdims) * np.exp(above(x, _kept(y, x, axis, keepdims)))
    ),
    examples=EXAMPLES,
)


def _reduces(ufunc: np.ufunc, reduction: Op) -> None:
    """Let `ufunc.reduce`, which reduces the first axis unless told, be answered by a reduction."""

    @implements(ufunc.reduce)
    def reduce(
        array: Array,
        axis: Axis = 0,
        dtype: Any = None,
        out: Array = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Array = True,
    ) -> Array:
        rest = {"dtype": dtype, "out": out, "initial": initial, "where": None if where is True else where}
        given = {name: value for name, value in rest.items() if value is not None}
        return reduction(array, axis=axis, keepdims=keepdims, **given)


_reduces(np.add, sum)
_reduces(np.maximum, max)
_reduces(np.minimum, min)
