"""Reductions: many entries become one, along one axis, several, or all. Sums, means and products."""

from functools import lru_cache, wraps
from math import prod as product
from operator import index
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Example, Op, Rule, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.foundation.broadcasting import along_short_rows
from tinygrad_lite.foundation.sums import through_single, total
from tinygrad_lite.ops.shapes.shaping import stretched

Axis = int | tuple[int, ...] | None

EXAMPLES: list[Example] = [
    ([(2, 3)], {"axis": axis, "keepdims": keep}) for axis in (None, 0, -1, (0, 1), ()) for keep in (False, True)
]
_MASK = np.array([[True, False, True], [False, True, True]])
MASKED: list[Example] = [([(2, 3)], {"axis": axis, "where": _MASK}) for axis in (None, 1)]


def restored(reduced: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """A reduced array with the removed axes restored, so that it broadcasts against x."""
    if keepdims or not reduced.shape:
        return reduced
    return reduced.reshape(_kept_shape(x.shape, index(axis) if isinstance(axis, np.ndarray) else axis))


@lru_cache(1000)
def _kept_shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    lost = removed_axes(shape, axis)
    return tuple([1 if i in lost else size for i, size in enumerate(shape)])


def removed_axes(shape: tuple[int, ...], axis: Axis) -> set[int]:
    """The axes that a reduction removes, counted from the front."""
    if axis is None:
        return set(range(len(shape)))
    return {i % len(shape) for i in (axis if isinstance(axis, tuple) else (axis,))} if shape else set()


def count_of(x: Array, axis: Axis, where: Array = True) -> Any:
    """The number of entries in each result; with a mask, an array that broadcasts against x."""
    if where is not True:
        return np.sum(np.broadcast_to(where, np.shape(x)), axis=axis, keepdims=True)
    if type(axis) is int and x.shape:
        return x.shape[axis]
    return x.size if axis is None else product([x.shape[i] for i in removed_axes(x.shape, axis)])


def divided(x: Array, count: Any) -> Array:
    """x / count in x's dtype, also where float16 cannot hold the count."""
    quotient = x / (np.float32(count) if x.dtype == np.float16 else count)
    return quotient if quotient.dtype == x.dtype else quotient.astype(x.dtype)


def mask_keyword(where: Array) -> dict[str, Array]:
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


def spread(g: Array, x: Array, axis: Axis, keepdims: bool, where: Array = True) -> Array:
    """The gradient of a reduced array, broadcast to the entries that it came from."""
    shape = x.shape
    if isinstance(g, np.generic):  # np.broadcast_to takes six times as long
        g = np.ndarray(shape, g.dtype, g, strides=(0,) * len(shape))
    else:
        g = restored(g, x, axis, keepdims)
        g = stretched(_laid_as(along_short_rows(g, shape), x), shape)
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
    return spread(g, x, axis, keepdims, where)


def _mean_vjp(
    g: Array, y: Array, x: Array, axis: Axis = None, dtype: Any = None, keepdims: bool = False, where: Array = True
) -> Array:
    if where is True:
        return spread(divided(g, count_of(x, axis)), x, axis, keepdims)
    return spread(divided(restored(g, x, axis, keepdims), count_of(x, axis, where)), x, axis, True, where)


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


def divides_as_numpy(a: Array, count: Any) -> bool:
    """Whether dividing an array by a count gives NumPy's means, which divide in float64."""
    kind = a.dtype
    return type(a) is np.ndarray and (
        kind == np.float64 or (kind == np.float32 and type(count) is int and count < 2**24)
    )


def mean_along(
    a: Array, axis: Axis = None, dtype: Any = None, out: Array = None, keepdims: bool = False, *, where: Array = True
) -> Array:
    if dtype is None and where is True and type(a) is np.ndarray and a.size:
        count = count_of(a, axis)
        if divides_as_numpy(a, count):  # in half the time of np.mean
            return total(a, axis, keepdims) / count
    return np.mean(a, axis, dtype, keepdims=keepdims, **mask_keyword(where))


sum = primitive(
    _sum,
    _sum_vjp,
    linear=True,
    takes_complex=True,
    examples=[*EXAMPLES, *MASKED, ([(2, 3)], {"axis": 0, "initial": 2.5})],
)
mean = primitive(mean_along, _mean_vjp, name="mean", linear=True, takes_complex=True, examples=[*EXAMPLES, *MASKED])


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
        return spread(g, x, axis, keepdims) * (restored(y, x, axis, keepdims) / x)
    lost = sorted(removed_axes(np.shape(x), axis))
    moved = np.moveaxis(chosen, lost, range(len(lost)))
    others = np.reshape(_others(np.reshape(moved, (count_of(x, axis), *np.shape(moved)[len(lost) :]))), np.shape(moved))
    return (
        spread(g, x, axis, keepdims, where)
        * np.moveaxis(others, range(len(lost)), lost)
        * (1 if initial is None else initial)
    )


prod = primitive(
    np.prod,
    _prod_vjp,
    takes_complex=True,
    examples=[
        *EXAMPLES,
        *MASKED,
        ([(2, 3)], {"axis": 1, "initial": 2.5}),
        ([np.array([[0.0, 2.0, 3.0], [0.5, 0.0, 0.0]])], {"axis": 1}),
    ],
)


def answer_reduce(ufunc: np.ufunc, reduction: Op) -> None:
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
answer_reduce(np.add, sum)
answer_reduce(np.multiply, prod)


def without_nan(x: Array, stand_in: float) -> Array:
    """The array with its NaN replaced."""
    return np.where(np.isnan(x), np.array(stand_in, x.dtype), x) if x.dtype.kind in "fc" else x


def among_numbers(rule: Rule, stand_in: float = 0) -> Rule:
    """The rule for the variant of a reduction that leaves out NaN."""

    @through_single  # which holds a sum of many entries, and a count, as float16 does not
    @wraps(rule)
    def vjp(g: Array, y: Array, x: Array, *, where: Array = True, **params: Any) -> Array:
        return rule(g, y, without_nan(x, stand_in), where=~np.isnan(x) & where, **params)

    return vjp


WITH_NAN: list[Example] = [
    ([np.array([[0.5, np.nan, -2.0], [np.nan, 1.5, 3.0]])], params)
    for params in ({}, {"axis": 1}, {"axis": 1, "keepdims": True}, {"axis": 0, "where": _MASK})
]
nansum = primitive(np.nansum, among_numbers(_sum_vjp), takes_complex=True, examples=WITH_NAN)
nanprod = primitive(np.nanprod, among_numbers(_prod_vjp, 1), takes_complex=True, examples=WITH_NAN)
nanmean = primitive(np.nanmean, among_numbers(_mean_vjp), takes_complex=True, examples=WITH_NAN)
