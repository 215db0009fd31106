"""The largest and the smallest entry along axes, and logsumexp, which is the largest one made smooth."""

from contextlib import nullcontext
from itertools import product as product_of
from math import prod as product
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array, Example, Rule, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.foundation.sums import in_dtype_of, in_single, is_before_short_rows, reduced_by_rows, total_along
from tinygrad_lite.ops.arithmetic.reductions import (
    EXAMPLES,
    MASKED,
    WITH_NAN,
    Axis,
    answer_reduce,
    divided,
    mask_keyword,
    removed_axes,
    restored,
)
from tinygrad_lite.ops.arithmetic.selection import chosen
from tinygrad_lite.ops.shapes.indexing import Distinct, Scattered

FEW_WIN = 2**15
"""From this many entries for each extremum on, its gradient holds these few entries, not an array of zeros."""


def _extremum_vjp(
    g: Array,
    y: Array,
    x: Array,
    axis: Axis = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Array = True,
) -> Array:
    is_pooling = isinstance(axis, tuple) and len(axis) > 1 and initial is None and where is True
    if is_pooling and type(x) is np.ndarray and _are_short(x.shape, axis):
        return _winners_place_by_place(g, y, x, axis)
    kept = restored(y, x, axis, keepdims)
    winners = np.equal(x, kept) if where is True else np.equal(x, kept) & where
    if type(winners) is np.ndarray and not isinstance(g, Traced) and initial is None and _nothing_ties(winners, kept):
        if x.size >= FEW_WIN * kept.size:
            index = Distinct(winners.nonzero())
            return Scattered(np.broadcast_to(restored(g, x, axis, keepdims), x.shape)[index], x.shape, index)
        return chosen(winners, restored(g, x, axis, keepdims), 0.0)  # of an infinite gradient, a product would be NaN
    share = restored(g, x, axis, keepdims) / ties(winners, kept, axis=axis, initial=initial)
    return in_dtype_of(chosen(winners | np.isnan(kept), share, 0), g)


def _nothing_ties(winners: Array, extremum: Array) -> bool:
    return bool(np.count_nonzero(winners) == extremum.size and not np.isnan(extremum).any())


def _ties(winners: Array, extremum: Array, axis: Axis = None, initial: Any = None) -> Array:
    """How many entries share each extremum, counting the initial value; NaN where the extremum is NaN.

    Those of float16 are in float32, which holds more.
    """
    extremum = in_single(extremum)
    if type(winners) is np.ndarray and initial is None and _nothing_ties(winners, extremum):
        return extremum.dtype.type(1)
    unknown = np.isnan(extremum)
    count = np.sum(winners, axis=axis, keepdims=True)
    if initial is not None:
        count = count + np.equal(extremum, initial)
    return np.where(unknown, extremum, np.maximum(count, 1)).astype(extremum.dtype)


ties = primitive(_ties, arity=2, examples=[([np.array([[True, True, False]]), (1, 1)], {"axis": 1})])


def unless_nan(g: Array, y: Array) -> Array:
    """The upstream gradient of a selected value; NaN where the value is NaN, since any number may be behind that."""
    missing = np.isnan(y)
    return g if type(missing) is np.ndarray and not missing.any() else np.where(missing, y, g)


def closest(x: Array, **_: Any) -> Array:
    """The differences between neighbouring sorted entries: zero where two entries tie."""
    return np.diff(np.sort(x[~np.isnan(x)]))


def _extremum(ufunc: np.ufunc, function: Rule) -> Rule:
    """The largest or smallest entry along axes."""

    def extremum(
        a: Array,
        axis: Axis = None,
        out: Array = None,
        keepdims: bool = False,
        initial: Any = np._NoValue,
        where: Array = True,
    ) -> Array:
        if type(a) is np.ndarray and initial is np._NoValue and where is True and a.size >= 1024:
            if type(axis) is int and (_has_narrow_rows(a, axis) or is_before_short_rows(axis, a)):
                return reduced_by_rows(ufunc, a, axis, keepdims)
            if _are_short(a.shape, axis):
                return _place_by_place(ufunc, a, axis, keepdims)
        reduce: Any = ufunc.reduce if type(a) is np.ndarray else function
        optional = {} if initial is np._NoValue else {"initial": initial}
        return reduce(a, axis=axis, keepdims=keepdims, **optional, **mask_keyword(where))

    return extremum


def _are_short(shape: tuple[int, ...], axis: Axis) -> bool:
    """Whether NumPy would reduce rows of few entries, one row after another."""
    if axis is None or product(shape) < 1024:
        return False
    lost, axes = removed_axes(shape, axis), axis if isinstance(axis, tuple) else (axis,)
    if len(lost) < len(axes) or not all(-len(shape) <= i < len(shape) for i in axes):
        return False  # NumPy raises the error
    return len(shape) - 1 in lost and shape[-1] <= 16 and 2 <= product(shape[i] for i in lost) <= 16


def _has_narrow_rows(x: Array, axis: Axis) -> bool:
    """Whether NumPy would reduce many rows along memory, whose start takes longer than their few entries."""
    if axis not in (-1, x.ndim - 1) or x.ndim < 2 or x.dtype.char not in "fd":
        return False
    return bool(2 <= x.shape[-1] <= 32 and x.size >= 1024 and x.flags.c_contiguous)


def _place_by_place(ufunc: np.ufunc, x: Array, axis: Axis, keepdims: bool) -> Array:
    """A reduction along short axes by a loop over these, as in pooling, in a tenth of NumPy's time."""
    first, second, *others = (x[place] for place in _places(x.shape, axis))
    y = ufunc(first, second)
    for entries in others:
        ufunc(y, entries, out=y)
    return np.expand_dims(y, tuple(removed_axes(x.shape, axis))) if keepdims else y


def _places(shape: tuple[int, ...], axis: Axis) -> list[Any]:
    """The indices that pick one entry along each of the axes."""
    lost = removed_axes(shape, axis)
    return [*product_of(*(range(size) if i in lost else [slice(None)] for i, size in enumerate(shape)))]


def _winners_place_by_place(g: Array, y: Array, x: Array, axis: Axis) -> Array:
    """The gradient of an extremum along several short axes by a loop over these, in half of the time."""
    places = _places(x.shape, axis)
    shape = x[places[0]].shape
    y, share = y.reshape(shape), unless_nan(g, y).reshape(shape)
    winners = [np.equal(x[place], y) for place in places]
    ties = winners[0].astype(np.int8)
    for wins in winners[1:]:
        ties += wins
    share = share if (ties == 1).all() else divided(share, np.maximum(ties, 1))
    slope = np.empty_like(x, share.dtype)  # laid out in memory as x is
    if np.isfinite(share).all():
        for place, wins in zip(places, winners):
            np.multiply(wins, share, out=slope[place])
    else:  # the product of zero and an infinite gradient is not zero
        undefined = np.isnan(y)
        for place, wins in zip(places, winners):
            slope[place] = np.where(wins | undefined, share, 0)
    return slope


_EXTREMUM_EXAMPLES: list[Example] = [
    *EXAMPLES,
    *[(x, {**params, "initial": 0.3}) for x, params in MASKED],
    ([(2, 0)], {"axis": 1, "initial": 0.3}),
]
max = primitive(
    _extremum(np.maximum, np.max),
    _extremum_vjp,
    name="max",
    kink=closest,
    chooses="another entry is the largest",
    examples=_EXTREMUM_EXAMPLES,
)
min = primitive(
    _extremum(np.minimum, np.min),
    _extremum_vjp,
    name="min",
    kink=closest,
    chooses="another entry is the smallest",
    examples=_EXTREMUM_EXAMPLES,
)


class _Exponentials(NamedTuple):
    """What was subtracted from the entries, the exponentials of the differences, and their sums along an axis.

    Those of float16 are in float32, since the sum of many may be larger than float16 holds.
    """

    shift: Array
    weights: Array
    total: Array


def _exponentials(x: Array, axis: Axis = None, keepdims: bool = False) -> _Exponentials:
    x = in_single(x)
    largest = max(x, axis=axis, keepdims=True)
    is_finite = np.isfinite(largest)
    is_known = type(is_finite) is np.ndarray  # and not traced
    is_shift = is_known and x.dtype.kind != "b" and is_finite.all()  # NumPy subtracts no booleans from each other
    shift = largest if is_shift else np.where(is_finite, largest, 0)
    with np.errstate(over="ignore") if is_known and shift is not largest else nullcontext():  # large ones beside ∞
        weights = np.exp(x - shift)
    return _Exponentials(shift, weights, total_along(weights, axis))


def _logsumexp(x: Array, parts: _Exponentials, axis: Axis = None, keepdims: bool = False) -> Array:
    with np.errstate(divide="ignore"):  # the logarithm of an empty sum is -∞, as it should be
        y = np.log(parts.total) + parts.shift
    y = in_dtype_of(y, x) if x.dtype.char == "e" else y
    return y if keepdims else np.squeeze(y, axis=axis)[()]


def _logsumexp_vjp(
    g: Array, y: Array, x: Array, parts: _Exponentials, axis: Axis = None, keepdims: bool = False
) -> Array:
    # the share of each exponential; e^(x - y) would keep few digits where both are large
    return restored(g, x, axis, keepdims) / np.where(np.equal(parts.total, 0), 1, parts.total) * parts.weights


logsumexp = primitive(_logsumexp, _logsumexp_vjp, shared=_exponentials, examples=EXAMPLES)


def _logaddexp_reduce(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.logaddexp.reduce(x, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]


def _logaddexp_reduce_vjp(g: Array, y: Array, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    if not x.size:  # then there is no largest entry
        return np.zeros_like(x)
    return logsumexp.vjps[0](g, y, x, axis=axis, keepdims=keepdims)


logaddexp_reduce = primitive(
    _logaddexp_reduce,
    _logaddexp_reduce_vjp,
    examples=[([(2, 3)], {"axis": 0}), ([(2, 3)], {"axis": 1, "keepdims": True})],
)

implements(np.max, np.amax)(max)
implements(np.min, np.amin)(min)
answer_reduce(np.maximum, max)
answer_reduce(np.minimum, min)
answer_reduce(np.logaddexp, logaddexp_reduce)
nanmax = primitive(
    np.nanmax, _extremum_vjp, kink=closest, chooses="another entry is the largest", examples=WITH_NAN[:3]
)
nanmin = primitive(
    np.nanmin, _extremum_vjp, kink=closest, chooses="another entry is the smallest", examples=WITH_NAN[:3]
)
