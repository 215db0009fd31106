"""Continuations of arithmetic to the complex plane: elementwise, reductions, order, and along an axis."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Rule
from tinygrad_lite.ops import casting
from tinygrad_lite.ops.arithmetic import (
    curves,
    elementwise,
    extrema,
    ordering,
    reductions,
    running,
    selection,
    variances,
)
from tinygrad_lite.ops.arithmetic.elementwise import LOG_2, above, i0_derivative, sinc_derivative
from tinygrad_lite.ops.arithmetic.ordering import lines_along, quantile_weights
from tinygrad_lite.ops.arithmetic.reductions import Axis
from tinygrad_lite.ops.continuations.forms import (
    absolute_of,
    as_complex,
    by_parts,
    constant,
    continuation,
    exact,
    not_continued,
    of_dtype,
    root_of,
    signed,
    square_of,
    with_value,
)

# Entry by entry

for op in (
    elementwise.multiply,
    elementwise.divide,
    elementwise.reciprocal,
    elementwise.square,
    elementwise.sqrt,
    elementwise.exp2,
    elementwise.expm1,
    elementwise.log,
    elementwise.log2,
    elementwise.log10,
    elementwise.log1p,
    elementwise.arcsin,
    elementwise.arccos,
    elementwise.arccosh,
    elementwise.arctanh,
):
    continuation(op, exact(op.forward))

for op in (
    elementwise.floor_divide,
    elementwise.sign,
    elementwise.floor,
    elementwise.ceil,
    elementwise.trunc,
    elementwise.angle,
    elementwise.rint,
    elementwise.round,
    casting.imag,
):
    continuation(op, constant(op.forward))

for op in (elementwise.ldexp, elementwise.degrees, elementwise.rad2deg, elementwise.radians, elementwise.deg2rad):
    continuation(op, by_parts(op.forward))


def _power(a: Array, b: Array) -> Array:
    # the logarithm of a negative base has an imaginary part of π, and rounding would leave a part of it in the result
    side = np.where(np.less(np.real(a), 0), -1, 1)
    whole = np.where(np.equal(np.imag(b), 0), np.real(b), np.nan)  # an exponent with a step is not a whole number
    moving = np.where(np.equal(a, 0) & np.greater(np.real(b), 0), np.real(b), b)
    return np.where(np.less(side, 0), np.power(-1.0, whole), 1) * np.power(side * a, moving)


def _sigmoid(x: Array) -> Array:
    positive = np.greater(np.real(x), 0)
    e = np.exp(np.where(positive, -x, x))
    return np.where(positive, 1, e) / (1 + e)


continuation(elementwise.sigmoid, _sigmoid)
continuation(elementwise.power, exact(np.power, _power))
continuation(elementwise.float_power, exact(np.float_power, _power))
continuation(elementwise.remainder, exact(np.remainder, lambda a, b: a - b * np.floor_divide(np.real(a), np.real(b))))
continuation(elementwise.fmod, exact(np.fmod, lambda a, b: a - b * np.trunc(np.real(a) / np.real(b))))
continuation(elementwise.cbrt, exact(np.cbrt, lambda x: signed(absolute_of(x) ** (1 / 3), np.sign(np.real(x)))))


def _hypot(a: Array, b: Array) -> Array:
    y = np.hypot(np.real(a), np.real(b))
    none = np.equal(y, 0)
    unit = np.where(none, 1, y)  # so that no square overflows
    return np.where(none, 0, unit * np.sqrt(np.square(a / unit) + np.square(b / unit)))


continuation(elementwise.hypot, exact(np.hypot, _hypot))
continuation(elementwise.absolute, absolute_of)
continuation(elementwise.fabs, absolute_of)
continuation(
    elementwise.nextafter,
    exact(np.nextafter, lambda a, b: np.nextafter(np.real(a), np.real(b)) + 1j * np.imag(a)),
)
continuation(
    elementwise.copysign,
    exact(np.copysign, lambda a, b: signed(absolute_of(a), np.copysign(1, np.real(b)))),
)
continuation(
    elementwise.heaviside,
    exact(np.heaviside, lambda x, at_zero: np.where(np.equal(np.real(x), 0), at_zero, 0)),
)
continuation(elementwise.fraction, exact(elementwise.fraction.forward, lambda x: x))
continuation(
    elementwise.mantissa,
    exact(elementwise.mantissa.forward, lambda x: x * np.ldexp(1.0, -elementwise.exponent(np.real(x)))),
)


def _logaddexp(a: Array, b: Array) -> Array:
    a_leads = np.greater(np.real(a), np.real(b))
    high, low = np.where(a_leads, a, b), np.where(a_leads, b, a)
    real = np.where(np.isinf(low), np.real(low), low)
    return high + np.log1p(np.exp(above(real, np.where(np.isinf(high), np.real(high), high))))


continuation(elementwise.logaddexp, exact(np.logaddexp, _logaddexp))


def _logaddexp2(a: Array, b: Array) -> Array:
    return _logaddexp(a * LOG_2, b * LOG_2) / LOG_2


continuation(elementwise.logaddexp2, exact(np.logaddexp2, _logaddexp2))


def _arctan2(a: Array, b: Array) -> Array:
    # up to a constant, which the exact value provides
    steep = np.greater(np.absolute(a), np.absolute(b))
    return np.where(steep, -np.arctan(b / a), np.arctan(a / b))


continuation(elementwise.arctan2, exact(np.arctan2, _arctan2))


def _selecting(extremum: Callable[..., Array]) -> Rule:
    """The continuation of an operation that selects one of two numbers, or their mean if they tie."""

    def selected(a: Array, b: Array) -> Array:
        y = extremum(np.real(a), np.real(b))
        is_a, is_b = np.equal(np.real(a), y), np.equal(np.real(b), y)
        return np.where(is_a & is_b, (a + b) / 2, np.where(is_a, a, b))

    return exact(extremum, selected)


for op in (elementwise.maximum, elementwise.minimum, elementwise.fmax, elementwise.fmin):
    continuation(op, _selecting(op.forward))


def _clip(x: Array, low: Array, high: Array) -> Array:
    y = x if low is None else np.where(np.less(np.real(x), np.real(low)), low, x)
    if high is not None:
        upper = np.greater(np.real(y), np.real(high))
        if low is not None:  # an x that equals both bounds counts as the upper one
            upper = upper | (np.equal(np.real(low), np.real(high)) & np.equal(np.real(x), np.real(high)))
        y = np.where(upper, high, y)
    return as_complex(y)


continuation(elementwise.clip, _clip)
continuation(
    elementwise.nan_to_num,
    exact(elementwise.nan_to_num.forward, lambda x, **_: np.where(np.isfinite(np.real(x)), x, 0)),
)
continuation(elementwise.sinc, exact(np.sinc, lambda x: sinc_derivative(x, order=0)))
continuation(elementwise.i0, exact(np.i0, lambda x: i0_derivative(x, order=0)))

# Casts of real numbers, for which the complex numbers with a step stand

continuation(casting.cast, of_dtype(casting.cast.forward, lambda x: x))
continuation(casting.real, lambda x: x)
continuation(casting.conjugate, lambda x: x)
continuation(casting.real_if_close, lambda a, tol=100: a)

# Selection

continuation(selection.where_else, lambda condition, a, b: as_complex(np.where(np.real(condition), a, b))[()])
# the value does change with the argument, so its step on the complex plane is not the derivative
continuation(selection.stop_gradient, lambda x: x)

# Reductions


def _var(
    x: Array,
    mean: Array = None,
    axis: Axis = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Array = True,
    correction: float | None = None,
) -> Array:
    mean = np.mean(x, axis=axis, keepdims=True, where=where) if mean is None else mean
    squares = np.sum(square_of(x - mean), axis=axis, keepdims=keepdims, where=where)
    count = np.sum(np.ones(np.shape(x)), axis=axis, keepdims=keepdims, where=where)
    return squares / np.maximum(count - (ddof if correction is None else correction), 0)


def _std(x: Array, **params: Any) -> Array:
    return root_of(_var(x, **params))


def _of_numbers(rule: Rule) -> Rule:
    """The continuation of the variant of a reduction that leaves out NaN."""
    return lambda x, *, where=True, **params: rule(x, where=~np.isnan(np.real(x)) & where, **params)


def extreme(extremum: Callable[..., Array]) -> Rule:
    """The continuation of an operation that selects an entry of an array, or the mean of entries that tie."""

    def selected(x: Array, axis: Axis = None, keepdims: bool = False, where: Array = True, **initial: Any) -> Array:
        y = extremum(np.real(x), axis=axis, keepdims=True, where=where, **initial)
        winners = np.equal(np.real(x), y) & where
        ties = np.sum(winners, axis=axis, keepdims=True)
        if initial:
            ties = ties + np.equal(y, initial["initial"])
        steps = np.sum(np.where(winners, x - np.real(x), 0), axis=axis, keepdims=True) / np.maximum(ties, 1)
        z = with_value(y, steps)
        return z if keepdims else np.squeeze(z, axis=axis)[()]

    return selected


for op in (reductions.sum, reductions.mean, reductions.prod, running.cumsum, running.cumprod):
    continuation(op, of_dtype(op.forward))
for op, of_all in (
    (variances.var, _var),
    (variances.std, _std),
    (variances.var_around, _var),
    (reductions.nansum, _of_numbers(np.sum)),
    (reductions.nanprod, _of_numbers(np.prod)),
    (reductions.nanmean, _of_numbers(np.mean)),
    (variances.nanvar, _of_numbers(_var)),
    (variances.nanstd, _of_numbers(_std)),
):
    continuation(op, of_dtype(op.forward, of_all))
for op in (extrema.max, extrema.min, extrema.nanmax, extrema.nanmin):
    continuation(op, extreme(op.forward))
continuation(variances.root, exact(np.sqrt, root_of))
for op, join in ((running.logaddexp_accumulate, _logaddexp), (running.logaddexp2_accumulate, _logaddexp2)):
    continuation(op, exact(op.forward, running.slice_by_slice(join)))
continuation(extrema.logaddexp_reduce, exact(extrema.logaddexp_reduce.forward, extrema.logsumexp.forward))

# Order


def _shared_out(function: Callable[..., Array], percent: bool = False) -> Rule:
    """The continuation of a quantile: the sum of the entries, each times its share.

    The shares are those of the derivative, but here the value is computed from them, too, so wrong shares would show.
    """

    def continued(x: Array, axis: Axis = None, keepdims: bool = False, **params: Any) -> Array:
        y = function(np.real(x), axis=axis, keepdims=keepdims, **params)
        method, weights = params.get("method", "linear"), params.get("weights")
        share = quantile_weights(
            np.real(x), q=params.get("q", 0.5), axis=axis, method=method, weights=weights, percent=percent
        )
        lines, _ = lines_along(x, axis)
        z = np.sum(np.where(np.equal(share, 0), 0, share * lines), axis=-1)
        return np.where(np.isnan(y), np.nan, np.reshape(z, np.shape(y)))

    return continued


for op in (ordering.median, ordering.nanmedian, ordering.quantile, ordering.nanquantile):
    continuation(op, _shared_out(op.forward))
for op in (ordering.percentile, ordering.nanpercentile):
    continuation(op, _shared_out(op.forward, percent=True))

# Along an axis, and on curves

continuation(running.unwrap, exact(np.unwrap, lambda p, **_: p))
continuation(curves.convolve, curves.convolve.forward)
continuation(curves.roots, not_continued)  # they are complex themselves


def _interp(x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None) -> Array:
    points, last = np.real(xp), len(xp) - 1
    begin = np.clip(np.searchsorted(points, np.real(x), "right") - 1, 0, max(last - 1, 0))
    end = np.minimum(begin + 1, last)
    between = fp[begin] + (x - xp[begin]) * ((fp[end] - fp[begin]) / np.where(begin == end, 1, xp[end] - xp[begin]))
    y = np.where(np.less(np.real(x), points[0]), fp[0] if left is None else left, between)
    y = np.where(np.equal(np.real(x), points[-1]), fp[-1], y)
    return as_complex(np.where(np.greater(np.real(x), points[-1]), fp[-1] if right is None else right, y))[()]


continuation(curves.interp, _interp)
