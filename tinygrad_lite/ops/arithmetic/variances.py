"""Variances and standard deviations."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import POSITIVE, Array, Example, Op, Rule, elementwise, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.foundation.advice import refuse_out
from tinygrad_lite.foundation.sums import in_dtype_of, in_single, total
from tinygrad_lite.ops.arithmetic.reductions import (
    EXAMPLES,
    MASKED,
    WITH_NAN,
    Axis,
    among_numbers,
    count_of,
    divided,
    divides_as_numpy,
    mask_keyword,
    mean_along,
    restored,
)
from tinygrad_lite.ops.casting import conjugated


def _deviation(x: Array, axis: Axis = None, where: Array = True, **_: Any) -> Array:
    if where is True and x.size:
        return x - mean_along(x, axis, keepdims=True)
    count = np.maximum(count_of(x, axis, where), 1)  # the mean of nothing is 0, without a warning
    with np.errstate(all="ignore"):  # the forward has NumPy's own deviations, and their warnings
        # by zeros, since NumPy adds up what a mask chooses one by one, and the rest in pairs, with fewer roundings
        mean = np.sum(np.where(where, divided(in_single(x), count), 0), axis=axis, keepdims=True)
        return x - in_dtype_of(mean, x)


def _of_deviation(
    g: Array, x: Array, deviation: Array, axis: Axis, ddof: float, keepdims: bool = False, where: Array = True
) -> Array:
    """The gradient of a variance of these deviations, which outnumber the entries of x if the mean broadcasts them."""
    deviation = conjugated(deviation)  # the square of a complex one is that times it
    count = count_of(x, axis, where)
    if type(count) is int and deviation.dtype != np.float16:
        freedom: Any = count - ddof if count > ddof else 0  # by NumPy it would take a third of the time of the slope
    else:  # float16 cannot hold a count
        freedom = np.maximum(count - ddof, 0).astype(np.result_type(deviation, np.float32))
    if where is True:
        return in_dtype_of(restored(2 * g, deviation, axis, keepdims) / freedom * deviation, deviation)
    with np.errstate(divide="ignore", invalid="ignore"):  # where a mask leaves out all entries; the forward has warned
        slope = restored(2 * g, deviation, axis, keepdims) / freedom * deviation
    return np.where(where, in_dtype_of(slope, deviation), 0)


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
    freedom = count_of(a, axis) - ddof if where is True else 0
    if dtype is None and freedom > 0 and a.dtype == deviation.dtype and divides_as_numpy(a, freedom):
        return total(deviation * deviation, axis, keepdims) / freedom
    return np.var(a, axis, dtype, None, ddof, keepdims, **mask_keyword(where))


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


def _std(
    a: Array,
    axis: Axis = None,
    dtype: Any = None,
    out: Array = None,
    ddof: float = 0,
    keepdims: bool = False,
    **more: Any,
) -> Array:
    if type(a) is not np.ndarray or a.dtype.char not in "fd" or dtype is not None or more or not a.size:
        return np.std(a, axis, dtype, None, ddof, keepdims, **more)
    return np.sqrt(_var(a, _deviation(a, axis), axis, None, None, ddof, keepdims))


def _are_equal(x: Array, axis: Axis, where: Array) -> Array:
    """Where all entries are equal."""
    if x.dtype.kind == "c":
        return _are_equal(np.real(x), axis, where) & _are_equal(np.imag(x), axis, where)
    if where is True and x.size:
        return np.equal(np.max(x, axis=axis, keepdims=True), np.min(x, axis=axis, keepdims=True))
    highest = np.max(x, axis=axis, keepdims=True, initial=-np.inf, where=where)
    return np.equal(highest, np.min(x, axis=axis, keepdims=True, initial=np.inf, where=where))


_ROOT_OF_EPSILON = {np.dtype(kind).char: np.sqrt(np.finfo(kind).eps) for kind in (np.float32, np.float64)}


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
    if where is True and dtype is None and divides_as_numpy(x, x.size):
        deviation = x - mean_along(x, axis, keepdims=True)
        rounding = mean_along(deviation, axis, keepdims=True)
        small = _ROOT_OF_EPSILON[x.dtype.char] * restored(y, x, axis, keepdims)
        if (np.absolute(rounding) < small).all():  # so that the entries are not equal, and y has all its digits
            return _of_deviation(g * (0.5 / y), x, deviation - rounding, axis, ddof, keepdims)
    flat = _are_equal(x, axis, where)  # there the standard deviation has a kink, and its gradient is 0 by convention
    # twice, since the mean is rounded, and that error would dominate if the entries are equal up to rounding
    deviation = _deviation(_deviation(in_single(x), axis, where), axis, where)
    freedom = np.maximum(count_of(x, axis, where) - ddof, 0)
    with np.errstate(divide="ignore", invalid="ignore"):  # the forward has warned of too few entries
        squares = np.real(deviation * conjugated(deviation))
        variance = divided(np.sum(np.where(where, squares, 0), axis=axis, keepdims=True), freedom)
    flat = flat | np.equal(variance, 0)
    slope = np.where(flat, 0, 0.5 / np.sqrt(np.where(flat, 1, variance)))
    return _of_deviation(restored(g, x, axis, keepdims) * slope, x, deviation, axis, ddof, True, where)


def _spreads(x: Array, axis: Axis = None, where: Array = True, **_: Any) -> Array:
    return np.std(x, axis=axis, where=where)


_VAR_EXAMPLES: list[Example] = [*EXAMPLES, *MASKED, ([(2, 3)], {"axis": 1, "ddof": 1}), ([(4,)], {"correction": 0.5})]


var = primitive(_var, _var_vjp, shared=_deviation, takes_complex=True, examples=_VAR_EXAMPLES)
std = primitive(np.std, _std_vjp, kink=_spreads, takes_complex=True, examples=_VAR_EXAMPLES)
std.compute = _std  # in two thirds of the time


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
    takes_complex=True,
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
            return statistic(a, axis, dtype, None, ddof, keepdims, correction=correction, **mask_keyword(where))
        ddof = ddof if correction is np._NoValue else correction
        return of_variance(var_around(a, mean, axis=axis, dtype=dtype, ddof=ddof, keepdims=keepdims, where=where))

    return answer


var_as_numpy = _with_mean(np.var, var, lambda v: v)
std_as_numpy = _with_mean(np.std, std, root)


def _nanvar_vjp(
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
    return _var_vjp(g, y, x, _deviation(x, axis, where), axis, dtype, ddof, keepdims, where, correction)


nanvar = primitive(np.nanvar, among_numbers(_nanvar_vjp), takes_complex=True, examples=WITH_NAN[:3])
nanstd = primitive(np.nanstd, among_numbers(_std_vjp), takes_complex=True, examples=WITH_NAN[:3])
