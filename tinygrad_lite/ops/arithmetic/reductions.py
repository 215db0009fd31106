"""Reductions: many entries become one, along one axis, several, or all."""

from functools import lru_cache, wraps
from itertools import product as product_of
from math import prod as product
from operator import index
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.engine.op import POSITIVE, Array, Example, Op, Rule, Traced, elementwise, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.foundation.advice import refuse_out
from tinygrad_lite.foundation.sums import is_before_short_rows, reduced_by_rows, total, total_along
from tinygrad_lite.ops.shapes.indexing import Distinct, Scattered
from tinygrad_lite.ops.shapes.shaping import stretched

Axis = int | tuple[int, ...] | None

EXAMPLES: list[Example] = [
    ([(2, 3)], {"axis": axis, "keepdims": keep}) for axis in (None, 0, -1, (0, 1), ()) for keep in (False, True)
]
_MASK = np.array([[True, False, True], [False, True, True]])
_MASKED: list[Example] = [([(2, 3)], {"axis": axis, "where": _MASK}) for axis in (None, 1)]


def _kept(reduced: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """A reduced array with the removed axes restored, so that it broadcasts against x."""
    if keepdims or not reduced.shape:
        return reduced
    return reduced.reshape(_kept_shape(x.shape, index(axis) if isinstance(axis, np.ndarray) else axis))


@lru_cache(1000)
def _kept_shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    lost = _axes(shape, axis)
    return tuple([1 if i in lost else size for i, size in enumerate(shape)])


def _axes(shape: tuple[int, ...], axis: Axis) -> set[int]:
    """The axes that a reduction removes, counted from the front."""
    if axis is None:
        return set(range(len(shape)))
    return {i % len(shape) for i in (axis if isinstance(axis, tuple) else (axis,))} if shape else set()


def _count(x: Array, axis: Axis, where: Array = True) -> Any:
    """The number of entries in each result; with a mask, an array that broadcasts against x."""
    if where is not True:
        return np.sum(np.broadcast_to(where, np.shape(x)), axis=axis, keepdims=True)
    if type(axis) is int and x.shape:
        return x.shape[axis]
    return x.size if axis is None else product([x.shape[i] for i in _axes(x.shape, axis)])


def divided(x: Array, count: Any) -> Array:
    """x / count in x's dtype, also where float16 cannot hold the count."""
    quotient = x / (np.float32(count) if x.dtype == np.float16 else count)
    return quotient if quotient.dtype == x.dtype else quotient.astype(x.dtype)


def _mask(where: Array) -> dict[str, Array]:
    """The keyword for a mask, if there is one; arrays of other libraries do not know it."""
    return {} if where is True else {"where": where}


def _laid_as(g: Array, x: Array) -> Array:
    """A small array with its axes in the order in which they lie in a large one, so that NumPy walks through both."""
    are_numpys = type(g) is type(x) is np.ndarray
    if (
        not are_numpys
        or g.ndim < 3
        or x.size < 4096
        or x.size < 8 * g.size
        or x.flags.c_contiguous
        or g.size in g.shape
    ):
        return g
    order = sorted(range(x.ndim), key=lambda i: -abs(x.strides[i]))
    back = sorted(range(x.ndim), key=order.__getitem__)
    return np.ascontiguousarray(g.transpose(order)).transpose(back)


def _spread(g: Array, x: Array, axis: Axis, keepdims: bool, where: Array = True) -> Array:
    """The gradient of a reduced array, broadcast to the entries that it came from."""
    shape = x.shape
    if isinstance(g, np.generic):  # np.broadcast_to takes six times as long
        g = np.ndarray(shape, g.dtype, g, strides=(0,) * len(shape))
    else:
        g = stretched(_laid_as(_kept(g, x, axis, keepdims), x), shape)
    return g if where is True else np.where(where, g, 0)


def _sum_vjp(
    g: Array,
    y: Array,
    x: Array,
    axis: Axis = None,
    dtype: Any = None,
    keepdims: bool = False,
    initial: Any = 0,
    where: Array = True,
) -> Array:
    return _spread(g, x, axis, keepdims, where)


def _mean_vjp(
    g: Array, y: Array, x: Array, axis: Axis = None, dtype: Any = None, keepdims: bool = False, where: Array = True
) -> Array:
    return _spread(divided(_kept(g, x, axis, keepdims), _count(x, axis, where)), x, axis, True, where)


def _sum(
    a: Array,
    axis: Axis = None,
    dtype: Any = None,
    out: Array = None,
    keepdims: bool = False,
    initial: Any = np._NoValue,
    where: Array = True,
) -> Array:
    if dtype is None and initial is np._NoValue and where is True:
        return total(a, axis, keepdims)
    return np.sum(a, axis=axis, dtype=dtype, keepdims=keepdims, initial=initial, where=where)


def _divides_as_numpy(a: Array, count: Any) -> bool:
    """Whether dividing an array by a count gives NumPy's means, which divide in float64."""
    kind = a.dtype
    return type(a) is np.ndarray and (
        kind == np.float64 or (kind == np.float32 and type(count) is int and count < 2**24)
    )


def _mean(
    a: Array, axis: Axis = None, dtype: Any = None, out: Array = None, keepdims: bool = False, *, where: Array = True
) -> Array:
    if dtype is None and where is True and type(a) is np.ndarray and a.size:
        count = _count(a, axis)
        if _divides_as_numpy(a, count):  # in half the time of np.mean
            return total(a, axis, keepdims) / count
    return np.mean(a, axis, dtype, keepdims=keepdims, **_mask(where))


sum = primitive(
    _sum,
    _sum_vjp,
    linear=True,
    takes_complex=True,
    examples=[*EXAMPLES, *_MASKED, ([(2, 3)], {"axis": 0, "initial": 2.5})],
)
mean = primitive(_mean, _mean_vjp, linear=True, takes_complex=True, examples=[*EXAMPLES, *_MASKED])


def _others(x: Array) -> Array:
    """For each entry along the first axis, the product of all others, without division, so zeros are no problem."""
    n = len(x)
    if n < 2:
        return np.ones_like(x)
    if n % 2:
        x = np.concatenate([x, np.ones_like(x[:1])])
    a, b = x[0::2], x[1::2]
    beside = _others(a * b)
    pairs = np.stack([beside * b, beside * a], axis=1)
    return np.reshape(pairs, np.shape(x))[:n]


def _divides(y: Array) -> bool:
    """Whether a product of real numbers divided by one factor is the product of all others."""
    sizes = np.absolute(y)
    is_real = sizes.dtype == y.dtype and y.dtype.kind == "f"
    return bool(is_real and sizes.size and sizes.min() >= np.finfo(y.dtype).tiny and sizes.max() < np.inf)


def _prod_vjp(
    g: Array,
    y: Array,
    x: Array,
    axis: Axis = None,
    dtype: Any = None,
    keepdims: bool = False,
    initial: Any = 1,
    where: Array = True,
) -> Array:
    chosen = x if where is True else np.where(where, x, 1)
    if where is True and initial == 1 and type(x) is np.ndarray and _divides(y):
        return _spread(g, x, axis, keepdims) * (_kept(y, x, axis, keepdims) / x)
    lost = sorted(_axes(np.shape(x), axis))
    moved = np.moveaxis(chosen, lost, range(len(lost)))
    others = np.reshape(_others(np.reshape(moved, (_count(x, axis), *np.shape(moved)[len(lost) :]))), np.shape(moved))
    return (
        _spread(g, x, axis, keepdims, where)
        * np.moveaxis(others, range(len(lost)), lost)
        * (1 if initial is None else initial)
    )


prod = primitive(
    np.prod,
    _prod_vjp,
    takes_complex=True,
    examples=[
        *EXAMPLES,
        *_MASKED,
        ([(2, 3)], {"axis": 1, "initial": 2.5}),
        ([np.array([[0.0, 2.0, 3.0], [0.5, 0.0, 0.0]])], {"axis": 1}),
    ],
)


def _deviation(x: Array, axis: Axis = None, where: Array = True, **_: Any) -> Array:
    if where is True and x.size:
        return x - _mean(x, axis, keepdims=True)
    count = np.maximum(_count(x, axis, where), 1)  # the mean of nothing is 0, without a warning
    with np.errstate(all="ignore"):  # the forward has NumPy's own deviations, and their warnings
        return x - np.sum(divided(x, count), axis=axis, keepdims=True, **_mask(where))


def _of_deviation(
    g: Array, x: Array, deviation: Array, axis: Axis, ddof: float, keepdims: bool = False, where: Array = True
) -> Array:
    """The gradient of a variance of these deviations, which outnumber the entries of x if the mean broadcasts them."""
    count = _count(x, axis, where)
    if type(count) is int and deviation.dtype != np.float16:
        freedom: Any = count - ddof if count > ddof else 0  # by NumPy it would take a third of the time of the slope
    else:  # float16 cannot hold a count
        freedom = np.maximum(count - ddof, 0).astype(np.result_type(deviation, np.float32))
    slope = _kept(2 * g, deviation, axis, keepdims) / freedom * deviation
    slope = slope if slope.dtype == deviation.dtype else slope.astype(deviation.dtype)
    return slope if where is True else np.where(where, slope, 0)


def _var(
    a: Array,
    deviation: Array,
    axis: Axis = None,
    dtype: Any = None,
    out: Array = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Array = True,
    correction: Any = np._NoValue,
) -> Array:
    ddof = ddof if correction is np._NoValue else correction
    freedom = _count(a, axis) - ddof if where is True else 0
    if dtype is None and freedom > 0 and a.dtype == deviation.dtype and _divides_as_numpy(a, freedom):
        return _sum(deviation * deviation, axis, keepdims=keepdims) / freedom
    return np.var(a, axis, dtype, None, ddof, keepdims, **_mask(where))


def _var_vjp(
    g: Array,
    y: Array,
    x: Array,
    deviation: Array,
    axis: Axis = None,
    dtype: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Array = True,
    correction: float | None = None,
) -> Array:
    return _of_deviation(g, x, deviation, axis, ddof if correction is None else correction, keepdims, where)


def _std_vjp(
    g: Array,
    y: Array,
    x: Array,
    axis: Axis = None,
    dtype: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Array = True,
    correction: float | None = None,
) -> Array:
    ddof = ddof if correction is None else correction
    if where is True and dtype is None and _divides_as_numpy(x, x.size):
        deviation = x - _mean(x, axis, keepdims=True)
        rounding = _mean(deviation, axis, keepdims=True)
        small = np.sqrt(np.finfo(x.dtype).eps) * _kept(y, x, axis, keepdims)
        if np.all(np.absolute(rounding) < small):  # so that the entries are not equal, and y has all its digits
            return _of_deviation(g * (0.5 / y), x, deviation - rounding, axis, ddof, keepdims)
    # if all entries are equal, the standard deviation has a kink, and its gradient is 0 by convention
    if where is True and x.size:
        flat = np.equal(np.max(x, axis=axis, keepdims=keepdims), np.min(x, axis=axis, keepdims=keepdims))
    else:
        highest = np.max(x, axis=axis, keepdims=keepdims, initial=-np.inf, where=where)
        flat = np.equal(highest, np.min(x, axis=axis, keepdims=keepdims, initial=np.inf, where=where))
    x = x.astype(np.float32) if x.dtype == np.float16 else x  # few squares are large enough for float16
    # twice, since the mean is rounded, and that error would dominate if the entries are equal up to rounding
    deviation = x - np.mean(x, axis=axis, keepdims=True, **_mask(where))
    deviation = deviation - np.mean(deviation, axis=axis, keepdims=True, **_mask(where))
    y = np.std(deviation, axis=axis, ddof=ddof, keepdims=keepdims, **_mask(where))
    flat = flat | np.equal(y, 0)
    slope = np.where(flat, 0, 0.5 / np.where(flat, 1, y))
    return _of_deviation(g * slope, x, deviation, axis, ddof, keepdims, where)


def _spreads(x: Array, axis: Axis = None, where: Array = True, **_: Any) -> Array:
    return np.std(x, axis=axis, where=where)


_VAR_EXAMPLES: list[Example] = [*EXAMPLES, *_MASKED, ([(2, 3)], {"axis": 1, "ddof": 1}), ([(4,)], {"correction": 0.5})]


var = primitive(_var, _var_vjp, shared=_deviation, examples=_VAR_EXAMPLES)
std = primitive(np.std, _std_vjp, kink=_spreads, examples=_VAR_EXAMPLES)


def _var_around(x: Array, mean: Array, **params: Any) -> Array:
    return np.var(x, mean=mean, **params)


def _var_around_vjp(
    g: Array,
    y: Array,
    x: Array,
    mean: Array,
    axis: Axis = None,
    dtype: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Array = True,
) -> Array:
    return _of_deviation(g, x, x - mean, axis, ddof, keepdims, where)


var_around = primitive(
    _var_around,
    _var_around_vjp,
    lambda g, y, x, mean, **params: -_var_around_vjp(g, y, x, mean, **params),
    examples=[
        *[([(2, 3), (2, 1)], params | {"axis": 1}) for params in ({}, {"keepdims": True, "ddof": 1})],
        ([(3, 1), (1, 2)], {"axis": 0}),
    ],
)


def _root(x: Array) -> Array:
    return np.sqrt(x)


root = elementwise(  # the root of a sum of squares; its gradient is 0 where the sum is 0
    _root,
    lambda y, x: np.where(np.equal(y, 0), 0, 0.5 / np.where(np.equal(y, 0), 1, y)),
    domain=(POSITIVE,),
)


def _with_mean(function: Rule, statistic: Op, of_variance: Rule) -> Rule:
    """The function with NumPy's signature, in which a known mean is an argument that may have a gradient, too."""

    @implements(function)
    def answer(
        a: Array,
        axis: Axis = None,
        dtype: Any = None,
        out: Array = None,
        ddof: float = 0,
        keepdims: bool = False,
        *,
        where: Array = True,
        mean: Array = None,
        correction: Any = np._NoValue,
    ) -> Array:
        refuse_out(statistic.name, out)
        if mean is None:
            return statistic(a, axis, dtype, None, ddof, keepdims, correction=correction, **_mask(where))
        ddof = ddof if correction is np._NoValue else correction
        return of_variance(var_around(a, mean, axis=axis, dtype=dtype, ddof=ddof, keepdims=keepdims, where=where))

    return answer


var_as_numpy = _with_mean(np.var, var, lambda v: v)
std_as_numpy = _with_mean(np.std, std, root)


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
    kept = _kept(y, x, axis, keepdims)
    winners = np.equal(x, kept) if where is True else np.equal(x, kept) & where
    if type(winners) is np.ndarray and not isinstance(g, Traced) and initial is None and _nothing_ties(winners, kept):
        if x.size >= FEW_WIN * kept.size:
            index = Distinct(winners.nonzero())
            return Scattered(np.broadcast_to(_kept(g, x, axis, keepdims), x.shape)[index], x.shape, index)
        return np.where(winners, _kept(g, x, axis, keepdims), 0.0)  # of an infinite gradient, a product would be NaN
    return winners * (_kept(g, x, axis, keepdims) / ties(winners, kept, axis=axis, initial=initial))


def _nothing_ties(winners: Array, extremum: Array) -> bool:
    return bool(np.count_nonzero(winners) == extremum.size and not np.isnan(extremum).any())


def _ties(winners: Array, extremum: Array, axis: Axis = None, initial: Any = None) -> Array:
    """How many entries share each extremum, counting the initial value; NaN where the extremum is NaN."""
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
        return reduce(a, axis=axis, keepdims=keepdims, **optional, **_mask(where))

    return extremum


def _are_short(shape: tuple[int, ...], axis: Axis) -> bool:
    """Whether NumPy would reduce rows of few entries, one row after another."""
    if axis is None or product(shape) < 1024:
        return False
    lost, axes = _axes(shape, axis), axis if isinstance(axis, tuple) else (axis,)
    if len(lost) < len(axes) or not all(-len(shape) <= i < len(shape) for i in axes):
        return False  # NumPy raises the error
    return len(shape) - 1 in lost and shape[-1] <= 16 and 2 <= product(shape[i] for i in lost) <= 16


def _has_narrow_rows(x: Array, axis: Axis) -> bool:
    """Whether NumPy would reduce many rows along memory, each of so few entries that its start takes the time."""
    if axis not in (-1, x.ndim - 1) or x.ndim < 2 or x.dtype.char not in "fd":
        return False
    return bool(2 <= x.shape[-1] <= 32 and x.size >= 1024 and x.flags.c_contiguous)


def _place_by_place(ufunc: np.ufunc, x: Array, axis: Axis, keepdims: bool) -> Array:
    """A reduction along short axes by a loop over these, as in pooling, in a tenth of NumPy's time."""
    first, second, *others = (x[place] for place in _places(x.shape, axis))
    y = ufunc(first, second)
    for entries in others:
        ufunc(y, entries, out=y)
    return np.expand_dims(y, tuple(_axes(x.shape, axis))) if keepdims else y


def _places(shape: tuple[int, ...], axis: Axis) -> list[Any]:
    """The indices that pick one entry along each of the axes."""
    lost = _axes(shape, axis)
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
    for place, wins in zip(places, winners):
        np.multiply(wins, share, out=slope[place])
    return slope


_EXTREMUM_EXAMPLES: list[Example] = [
    *EXAMPLES,
    *[(x, {**params, "initial": 0.3}) for x, params in _MASKED],
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
    """What was subtracted from the entries, the exponentials of the differences, and their sums along an axis."""

    shift: Array
    weights: Array
    total: Array


def _exponentials(x: Array, axis: Axis = None, keepdims: bool = False) -> _Exponentials:
    largest = max(x, axis=axis, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0)
    weights = np.exp(x - shift)
    return _Exponentials(shift, weights, total_along(weights, axis))


def _logsumexp(x: Array, parts: _Exponentials, axis: Axis = None, keepdims: bool = False) -> Array:
    with np.errstate(divide="ignore"):  # the logarithm of an empty sum is -∞, as it should be
        y = np.log(parts.total) + parts.shift
    return y if keepdims else np.squeeze(y, axis=axis)[()]


def _logsumexp_vjp(
    g: Array, y: Array, x: Array, parts: _Exponentials, axis: Axis = None, keepdims: bool = False
) -> Array:
    # the share of each exponential; e^(x - y) would keep few digits where both are large
    return _kept(g, x, axis, keepdims) / np.where(np.equal(parts.total, 0), 1, parts.total) * parts.weights


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


def _reduces(ufunc: np.ufunc, reduction: Op) -> None:
    """Let a reduction answer `ufunc.reduce`, which by default reduces the first axis."""

    @implements(ufunc.reduce)
    def reduce(
        array: Array,
        axis: Axis = 0,
        dtype: Any = None,
        out: Array = None,
        keepdims: bool = False,
        initial: Any = np._NoValue,
        where: Array = True,
    ) -> Array:
        optional = {"dtype": dtype, "out": out, "where": None if where is True else where}
        params = {name: value for name, value in optional.items() if value is not None}
        if initial is not np._NoValue:
            params["initial"] = initial
        return reduction(array, axis=axis, keepdims=keepdims, **params)


implements(np.sum)(sum)
implements(np.mean)(mean)
implements(np.max, np.amax)(max)
implements(np.min, np.amin)(min)
_reduces(np.add, sum)
_reduces(np.multiply, prod)
_reduces(np.maximum, max)
_reduces(np.minimum, min)
_reduces(np.logaddexp, logaddexp_reduce)


def without_nan(x: Array, stand_in: float) -> Array:
    """The array with its NaN replaced."""
    return np.where(np.isnan(x), np.array(stand_in, x.dtype), x) if x.dtype.kind in "fc" else x


def _among_numbers(rule: Rule, stand_in: float = 0) -> Rule:
    """The rule for the variant of a reduction that leaves out NaN."""

    @wraps(rule)
    def vjp(g: Array, y: Array, x: Array, *, where: Array = True, **params: Any) -> Array:
        return rule(g, y, without_nan(x, stand_in), where=~np.isnan(x) & where, **params)

    return vjp


_WITH_NAN: list[Example] = [
    ([np.array([[0.5, np.nan, -2.0], [np.nan, 1.5, 3.0]])], params)
    for params in ({}, {"axis": 1}, {"axis": 1, "keepdims": True}, {"axis": 0, "where": _MASK})
]
nansum = primitive(np.nansum, _among_numbers(_sum_vjp), examples=_WITH_NAN)
nanprod = primitive(np.nanprod, _among_numbers(_prod_vjp, 1), examples=_WITH_NAN)
nanmean = primitive(np.nanmean, _among_numbers(_mean_vjp), examples=_WITH_NAN)
nanvar = primitive(np.nanvar, _among_numbers(var.vjps[0]), examples=_WITH_NAN[:3])
nanstd = primitive(np.nanstd, _among_numbers(_std_vjp), examples=_WITH_NAN[:3])
nanmax = primitive(
    np.nanmax, _extremum_vjp, kink=closest, chooses="another entry is the largest", examples=_WITH_NAN[:3]
)
nanmin = primitive(
    np.nanmin, _extremum_vjp, kink=closest, chooses="another entry is the smallest", examples=_WITH_NAN[:3]
)
