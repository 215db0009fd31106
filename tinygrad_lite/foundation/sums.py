"""Sums of the entries of an array."""

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from itertools import groupby
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_lite.foundation.broadcasting import multiply
from tinygrad_lite.foundation.ownership import is_held_alone

MANY = 4096
"""From this many entries on, BLAS takes less time than NumPy's loop, preparations included."""

FEW = 8
"""NumPy adds up fewer slices than this in less time than a matrix product for each group of them takes."""

LARGE = 16_384
"""From this many entries on, making an array of a sum's terms takes longer than looking for a way to avoid it."""

_add_up = np.add.reduce


def in_single(x: Any) -> Any:
    """Numbers of half precision in single precision, as many a sum of squares is too large or small for the former."""
    return x.astype(np.float32) if x.dtype.char == "e" else x


def in_dtype_of(y: Any, x: Any) -> Any:
    """A result that was computed in single precision as numbers of x's dtype."""
    return y if y.dtype == x.dtype else y.astype(x.dtype)


def through_single(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of arrays with half precision compute in single precision, and return the former again."""

    @wraps(function)
    def compute(*arguments: Any, **options: Any) -> Any:
        kinds = {x.dtype.char for x in (*arguments, *options.values()) if hasattr(x, "dtype") and x.dtype.kind == "f"}
        if "e" not in kinds:
            return function(*arguments, **options)
        wide = [in_single(x) if hasattr(x, "dtype") else x for x in arguments]
        y = function(*wide, **{name: in_single(x) if hasattr(x, "dtype") else x for name, x in options.items()})
        return y.astype(np.float16) if kinds == {"e"} and y.dtype == np.float32 else y

    return compute


def total(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum of an array of any kind; for a NumPy array, in half the time of np.sum."""
    if type(x) is np.ndarray and x.size >= 512 and x.ndim > 1 and x.shape[-1] <= 8 and _is_last(axis, x):
        return _added_by_column(x, keepdims)
    if type(axis) is int and axis and type(x) is np.ndarray and x.size >= 1024 and is_before_short_rows(axis, x):
        return reduced_by_rows(np.add, x, axis, keepdims)
    reduce: Any = _add_up if type(x) is np.ndarray else np.sum
    return reduce(x, axis=axis, keepdims=keepdims)


def _is_last(axis: Any, x: Any) -> bool:
    """Whether this is the last axis, along which NumPy's order of adding up is known for up to eight numbers."""
    is_axis = type(axis) in (int, tuple) and axis in (-1, x.ndim - 1, (-1,), (x.ndim - 1,))
    is_known = 1 < x.shape[-1] < 8 or (x.shape[-1] == 8 and x.flags.c_contiguous)
    return is_axis and is_known and x.dtype.char in "fd"


def is_before_short_rows(axis: int, x: Any) -> bool:
    """Whether the axes behind this one have few entries, and those before it several, so that NumPy's loop is short."""
    if not -x.ndim <= axis < x.ndim:
        return False  # NumPy raises the error
    axis %= x.ndim
    row = prod(x.shape[axis + 1 :])
    return axis > 0 and row > 1 and row * x.itemsize <= 128 and x.flags.c_contiguous and x.dtype.char in "fd"


def reduced_by_rows(ufunc: np.ufunc, x: Any, axis: int, keepdims: bool) -> Any:
    """A reduction along an axis of a copy in which the entries that remain lie in long rows, one behind another."""
    axis %= x.ndim
    rows = x.transpose((axis, *range(axis), *range(axis + 1, x.ndim))).copy()
    y = ufunc.reduce(rows.reshape(len(rows), -1), axis=0)
    return y.reshape((*x.shape[:axis], *[1] * bool(keepdims), *x.shape[axis + 1 :]))


def _added_by_column(x: Any, keepdims: bool) -> Any:
    """The sum along a last axis of up to eight numbers, with NumPy's roundings, in a tenth of its time."""
    if x.shape[-1] == 8:  # which NumPy adds up in pairs, and fewer in order
        pairs = x.reshape(-1)
        for _ in range(3):
            pairs = pairs[0::2] + pairs[1::2]
        y = pairs.reshape(x.shape[:-1])
    else:
        y = x[..., 0] + x[..., 1]
        for k in range(2, x.shape[-1]):
            y += x[..., k]
    y += 0  # NumPy begins with 0, which makes 0 of -0
    return y[..., None] if keepdims else y


def total_in_any_order(x: Any, axes: tuple[int, ...], keepdims: bool = False) -> Any:
    """The same, added up in whatever order is fastest: by products with ones, where the array has no gaps in memory."""
    if type(x) is not np.ndarray or x.dtype.char not in "fd" or not x.size:
        return total(x, axes, keepdims)
    if axes == (x.ndim - 2,) and (x.ndim == 2 or x.shape[-2] >= FEW) and x.flags.c_contiguous:  # a bias's gradient
        ones = _ones(x.shape[-2], x.dtype)
        y = ones.dot(x) if x.ndim == 2 else np.matmul(ones, x)
        return y[..., None, :] if keepdims else y
    if axes == (1,) and x.ndim == 2 and x.flags.c_contiguous:  # the exponentials of a softmax
        y = x.dot(_ones(x.shape[1], x.dtype))
        return y[:, None] if keepdims else y
    if x.size < MANY:
        return total(x, axes, keepdims)
    plan = _plan(x.shape, x.strides, axes, keepdims)
    laid = x.transpose(plan.order) if plan else x
    if not plan or not laid.flags.c_contiguous:
        return total(x, axes, keepdims)
    return _added_by_products(laid, plan.sums).reshape(plan.shape).transpose(plan.back)


def _added_by_products(x: Any, sums: Sequence[tuple[int, int]]) -> Any:
    """The sum of a C-contiguous array by the sums of a plan."""
    for count, entries in sums:
        ones = _ones(count, x.dtype)
        if entries == 1:
            x = np.dot(x.reshape(-1, count), ones)
        elif x.size == count * entries:
            x = np.dot(ones, x.reshape(count, entries))
        elif count < FEW:
            x = total(x.reshape(-1, count, entries), 1)
        else:
            x = np.matmul(ones, x.reshape(-1, count, entries))
    return x


def total_of_products(x: Any, y: Any, axes: tuple[int, ...]) -> Any:
    """Σ x · y in any order; the axes stay, with length 1. Without an array of the products if they lie last."""
    if type(x) is type(y) is np.ndarray and x.dtype == y.dtype and x.dtype.char in "fd" and x.shape == y.shape:
        if x.flags.c_contiguous and y.flags.c_contiguous:
            if len(axes) == x.ndim:
                return np.vdot(x, y).reshape((1,) * x.ndim)
            if axes == (x.ndim - 1,) and (x.shape[-1] >= 32 or x.size <= 512):  # each row is a call of BLAS
                return np.vecdot(x, y)[..., None]
        plan = _plan(x.shape, x.strides, axes, True) if x.size >= MANY and x.strides == y.strides else None
        count, entries = plan.sums[0] if plan else (0, 0)
        if plan and count >= 32 and entries == 1 and (laid := x.transpose(plan.order)).flags.c_contiguous:
            summed = np.vecdot(laid.reshape(-1, count), y.transpose(plan.order).reshape(-1, count))
            return _added_by_products(summed, plan.sums[1:]).reshape(plan.shape).transpose(plan.back)
    return total_along(x * y, axes)


def total_of_products_down_to(shape: tuple[int, ...], x: Any, y: Any) -> Any:
    """Σ x · y over the axes that broadcasting added to this shape, or stretched; x has all of them."""
    if x.shape == shape:
        return multiply(x, y)
    axes, _, _ = _stretched(shape, x.shape)
    if x.ndim - 1 in axes and np.shape(y) == x.shape:
        return total_of_products(x, y, axes)[(0,) * (x.ndim - len(shape))]
    return total_down_to(shape, multiply(x, y))


def times_in_total(i: int, derivative: Any) -> Any:
    """The rule of an elementwise operation for large arrays: it adds up what broadcasting repeated as it multiplies.

    A derivative that nobody else holds becomes the product itself, in half the time that it takes to make another.
    """
    if not callable(derivative):
        return lambda g, y, *x, **params: total_down_to(x[i].shape, g) * derivative

    def rule(g: Any, y: Any, *x: Any, **params: Any) -> Any:
        shape, factors = x[i].shape, [derivative(y, *x, **params)]
        if g.shape == shape == np.shape(factors[0]) and is_held_alone(factors, 0) and factors[0].dtype == g.dtype:
            return np.multiply(g, factors[0], out=factors[0])
        return total_of_products_down_to(shape, g, factors[0])

    return rule


def added(sums: dict[Any, Any], key: Any, x: Any) -> Any:
    """The sum of an entry of a dict, which loses it, and an array; in place if nothing but the dict holds the entry."""
    term = [sums.pop(key)]
    return np.add(term[0], x, out=term[0]) if is_held_alone(term, 0) else term[0] + x


def total_down_to(shape: tuple[int, ...], x: Any) -> Any:
    """The sum over the axes of an array that broadcasting added to this shape, or stretched.

    The sum has another shape if broadcasting does not turn this shape into the array's.
    """
    axes, keepdims, rest = _stretched(shape, x.shape)
    y = total_in_any_order(x, axes, keepdims) if axes else x
    if rest is None:
        return y
    return y.reshape(rest) if rest else y[(0,) * y.ndim]  # a number, as NumPy returns a sum


@lru_cache(1000)
def _stretched(shape: tuple[int, ...], to: tuple[int, ...]) -> tuple[tuple[int, ...], bool, tuple[int, ...] | None]:
    """The axes that broadcasting added or stretched, whether to keep them, and the shape if the sum has another.

    An added axis with one entry is not among them, since there is nothing to add.
    """
    added = len(to) - len(shape)
    axes = tuple([i for i, size in enumerate(to) if size != 1 and (i < added or shape[i - added] == 1)])
    keepdims = bool(axes) and axes[-1] >= added
    sizes = [1 if i in axes else size for i, size in enumerate(to)]
    rest, made = tuple(sizes[max(added, 0) :]), tuple([n for i, n in enumerate(sizes) if keepdims or i not in axes])
    return axes, keepdims, None if made == rest else rest


def total_along(x: Any, axis: int | tuple[int, ...] | None) -> Any:
    """The sum of an array of any kind in any order; the axes stay, with length 1."""
    if type(x) is not np.ndarray or not x.ndim:
        return np.sum(x, axis=axis, keepdims=True)
    if type(axis) is int and -x.ndim <= axis < x.ndim:
        axes: tuple[int, ...] = (axis % x.ndim,)
    else:  # in ten times the time, with NumPy's errors
        axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    return total_in_any_order(x, axes, keepdims=True)


def axes_of(axis: Any, count: int) -> tuple[int, ...]:
    """The axes that an argument `axis` names, counted from the front; all `count` of them if it is None."""
    if axis is None or not count:  # as in NumPy, a number takes the axis 0
        return tuple(range(count))
    return tuple(i % count for i in (axis if isinstance(axis, (tuple, list)) else (axis,)))


def _ones(count: int, dtype: Any) -> Any:
    return _few_ones(count, dtype) if count <= MANY else np.ones(count, dtype)


@lru_cache  # of few, since what is kept is never freed
def _few_ones(count: int, dtype: Any) -> Any:
    return np.ones(count, dtype)


class _Plan(NamedTuple):
    """How to sum over axes.

    Args:
        order: all axes, as they lie in memory.
        sums: from the last axes to the first, how many consecutive slices become one, and the entries of each.
        shape: what remains, as it lies in memory.
        back: the order of the axes of what remains.
    """

    order: list[int]
    sums: list[tuple[int, int]]
    shape: list[int]
    back: list[int]


@lru_cache
def _plan(shape: tuple[int, ...], strides: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> _Plan | None:
    order = sorted(range(len(shape)), key=lambda i: (-strides[i], i))
    sums, entries = [], 1
    for is_summed, group in groupby([i for i in reversed(order) if shape[i] > 1], axes.__contains__):
        size = prod(shape[i] for i in group)
        if is_summed:
            sums.append((size, entries))
        else:
            entries *= size
    if entries == 1 or not sums:
        return None
    remaining = [i for i in order if keepdims or i not in axes]
    sizes = [1 if i in axes else shape[i] for i in remaining]
    return _Plan(order, sums, sizes, [remaining.index(i) for i in sorted(remaining)])
