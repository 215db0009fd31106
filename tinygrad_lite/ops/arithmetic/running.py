"""Along an axis: running sums and products, differences, and the rules of calculus on samples."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Example, Op, Rule, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.advice import refuse_out
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.foundation.signatures import newer
from tinygrad_lite.foundation.sums import in_single
from tinygrad_lite.ops.arithmetic.elementwise import logaddexp, logaddexp2
from tinygrad_lite.ops.arithmetic.reductions import without_nan
from tinygrad_lite.ops.shapes.indexing import along

_ALONG: list[Example] = [
    ([(2, 3)], {}),
    ([(2, 3)], {"axis": 0}),
    ([(3, 2, 2)], {"axis": -2}),
    ([(0,)], {}),
    ([(4,)], {}),
    ([()], {"axis": 0}),
]


def _laid_out(x: Array, axis: int | None) -> Array:
    """The array with the axis in question last, or flat without an axis; NumPy treats a number as a row of one."""
    if axis is None or not np.ndim(x):
        return np.ravel(x)
    return x if axis in (-1, np.ndim(x) - 1) else np.moveaxis(x, axis, -1)


def _back(g: Array, x: Array, axis: int | None) -> Array:
    if axis is None or not np.ndim(x):
        return np.reshape(g, np.shape(x))
    return g if axis in (-1, np.ndim(x) - 1) else np.moveaxis(g, -1, axis)


LONG_SLICES = 512
"""From this many entries in a slice on, one ufunc call for each slice is faster than NumPy's steps from row to row."""


def _in_slices(function: Rule, ufunc: np.ufunc) -> Rule:
    """A running operation that joins each slice to the one before it if these are long; its roundings are NumPy's."""

    def running(a: Array, axis: int | None = None, dtype: Any = None) -> Array:
        if dtype is not None:
            return function(a, axis=axis, dtype=dtype)
        if type(a) is not np.ndarray or type(axis) is not int or a.dtype.char not in "fd":
            return function(a, axis=axis)
        if axis == -1 or not -a.ndim <= axis < a.ndim - 1 or a.size < LONG_SLICES * max(a.shape[axis], 1):
            return function(a, axis=axis)
        y = np.empty_like(a)
        slices, made = np.moveaxis(a, axis, 0), np.moveaxis(y, axis, 0)
        made[0] = slices[0]
        for before, x, after in zip(made, slices[1:], made[1:]):
            ufunc(before, x, after)
        return y

    return running


_cumsum = _in_slices(np.cumsum, np.add)


def _cumsum_vjp(g: Array, y: Array, x: Array, axis: int | None = None, dtype: Any = None) -> Array:
    is_flat = axis is None or not np.ndim(x)
    along = -1 if is_flat else axis
    total = np.flip(_cumsum(np.flip(in_single(g), along), along), along)
    return np.reshape(total, np.shape(x)) if is_flat else total


cumsum = primitive(np.cumsum, _cumsum_vjp, linear=True, takes_complex=True, examples=_ALONG)
cumsum.compute = _cumsum


def _from_behind(x: Array, steps: int) -> Array:
    """Each entry replaced by the entry some steps further along the last axis, with zeros at the end."""
    return np.concatenate([x[..., steps:], np.zeros_like(x[..., :steps])], axis=-1)


def _summed_back(g: Array, factor: Array) -> Array:
    """The r along the last axis with rᵢ = gᵢ + factorᵢ rᵢ₊₁.

    Doubling solves the recurrence: after k rounds, r has 2ᵏ terms, and `factor` is the product of 2ᵏ factors.
    """
    r, steps = g, 1
    while steps < np.shape(g)[-1]:
        r = r + factor * _from_behind(r, steps)
        factor = factor * _from_behind(factor, steps)
        steps *= 2
    return r


def _has_all_digits(x: Array, but: Any = np.False_) -> bool:
    """Whether it is certain that no entry is infinite, 0, or so small that digits are lost: one can look at arrays."""
    if type(x) is not np.ndarray or not x.size:
        return False
    sizes = np.absolute(x)
    return bool(sizes.max() < np.inf and np.all((sizes >= np.finfo(x.dtype).tiny) | but))


def _cumprod_vjp(g: Array, y: Array, x: Array, axis: int | None = None, dtype: Any = None) -> Array:
    if type(g) is np.ndarray and x.dtype.kind in "fc" and _has_all_digits(y):
        with np.errstate(over="ignore", under="ignore"):
            products = g * y
        if x.dtype == y.dtype and _has_all_digits(products, but=g == 0):
            return _cumsum_vjp(products, y, x, axis) / x
    # ∂/∂xᵢ is the product before i times rᵢ = gᵢ + xᵢ₊₁ rᵢ₊₁, without division, so that zeros are no problem here
    x_along = _laid_out(x, axis)
    before = np.concatenate([np.ones_like(x_along[..., :1]), np.cumprod(x_along, -1)[..., :-1]], axis=-1)
    return _back(before * _summed_back(_laid_out(g, axis or 0), _from_behind(x_along, 1)), x, axis)


cumprod = primitive(
    np.cumprod,
    _cumprod_vjp,
    takes_complex=True,
    examples=[*_ALONG, ([np.array([2.0, 0.0, 3.0, 0.0, 5.0])], {}), ([(1,)], {})],
)
cumprod.compute = _in_slices(np.cumprod, np.multiply)


def _accumulates(ufunc: np.ufunc, running: Callable[..., Array]) -> None:
    """Let a running operation answer `ufunc.accumulate`, which by default runs along the first axis."""

    @implements(ufunc.accumulate)
    def accumulate(array: Array, axis: int = 0, dtype: Any = None, out: Array = None) -> Array:
        refuse_out(f"{ufunc.__name__}.accumulate", out)
        if not np.ndim(array):
            raise ShapeError(f"{ufunc.__name__}.accumulate runs along an axis, and a 0-d array has none")
        axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
        axis = 0 if axis is None and np.ndim(array) == 1 else axis
        return running(array, axis=axis, dtype=dtype)


def _running_place(x: Array, largest: bool, axis: int) -> Array:
    """The position of each entry of a running maximum or minimum, the first of equal entries."""
    along = _laid_out((np.maximum if largest else np.minimum).accumulate(x, axis), axis)
    is_new = np.not_equal(along[..., 1:], along[..., :-1])
    if np.isnan(along[..., -1:]).any():  # which stays, and equals nothing
        is_new &= ~np.isnan(along[..., :-1])
    place = np.zeros_like(along, np.intp)
    place[..., 1:] = is_new
    place *= np.arange(along.shape[-1])
    return _back(np.maximum.accumulate(place, -1, out=place), x, axis)


running_place = primitive(_running_place, arity=1, examples=[([(2, 3)], {"largest": True, "axis": 0})])


def _running_extremum(largest: bool) -> Callable[..., Array]:
    def running(array: Array, axis: int, dtype: Any) -> Array:
        array = array if dtype is None else array.astype(dtype)
        return np.take_along_axis(array, running_place(array, largest=largest, axis=axis), axis)

    return running


def slice_by_slice(join: Callable[..., Array]) -> Rule:
    """A running operation that joins each slice along an axis to all before it, by a function of two slices."""

    def running(x: Array, axis: int) -> Array:
        slices = [*np.moveaxis(x, axis, 0)]
        return np.stack([*accumulate(slices, join)], axis) if slices else x

    return running


CLOSE = 8.0
"""Up to this difference, the roundings of an exponential's argument cost no more digits than a few additions."""


def _by_exponentials(g: Array, y: Array, x: Array, power: Rule) -> Array | None:
    """The gradient of a running sum in logarithms along the last axis, if its results are close to one another.

    It is Σ gⱼ e^(xᵢ - yⱼ) over j from i on, which is e^(xᵢ - y₀) Σ gⱼ e^(y₀ - yⱼ).
    """
    if not type(g) is type(y) is type(x) is np.ndarray or x.dtype.char not in "fd":
        return None
    start = y[..., :1]
    with np.errstate(invalid="ignore"):  # ∞ - ∞
        is_close = (y[..., -1:] - start).max(initial=0) <= CLOSE  # each result is at least the one before
    if not is_close:
        return None
    total = np.cumsum((g * power(start - y))[..., ::-1], axis=-1)[..., ::-1]
    total *= power(x - start)
    return total


def _one_after_another(op: Op, power: Rule) -> Op:
    """A running operation that joins each entry to all before it, in NumPy's order, so that it rounds as NumPy does."""
    ufunc: Any = op.forward
    by_before, by_entry = op.derivatives

    def running(x: Array, axis: int) -> Array:
        return ufunc.accumulate(x, axis)

    def vjp(g: Array, y: Array, x: Array, axis: int) -> Array:
        if x.shape[axis] < 2:
            return g
        y, entries, g = (_laid_out(array, axis) for array in (y, x, g))
        if (shares := _by_exponentials(g, y, entries, power)) is not None:
            return _back(shares, x, axis)
        first = np.ones_like(entries[..., :1])
        joined = y[..., 1:], y[..., :-1], entries[..., 1:]
        kept = np.concatenate([by_before(*joined), first], axis=-1)  # the last one is no factor of anything
        slope = np.concatenate([first, by_entry(*joined)], axis=-1)
        return _back(slope * _summed_back(g, kept), x, axis)

    return primitive(
        running,
        vjp,
        name=f"{op.name}_accumulate",
        kink=op.kink,
        examples=[([(2, 3)], {"axis": 1}), ([(3, 2)], {"axis": 0}), ([(1,)], {"axis": 0})],
    )


def _with_dtype(running: Op, ufunc: np.ufunc) -> Callable[..., Array]:
    """A running operation of numbers in the dtype that is asked for, by default the one that NumPy chooses."""

    def answer(array: Array, axis: int, dtype: Any) -> Array:
        dtype = ufunc.resolve_dtypes((array.dtype, array.dtype, None))[-1] if dtype is None else dtype
        return running(array.astype(dtype, copy=False), axis=axis)

    return answer


_accumulates(np.add, cumsum)
_accumulates(np.multiply, cumprod)
_accumulates(np.maximum, _running_extremum(largest=True))
_accumulates(np.minimum, _running_extremum(largest=False))
logaddexp_accumulate, logaddexp2_accumulate = map(_one_after_another, (logaddexp, logaddexp2), (np.exp, np.exp2))
_accumulates(np.logaddexp, _with_dtype(logaddexp_accumulate, np.logaddexp))
_accumulates(np.logaddexp2, _with_dtype(logaddexp2_accumulate, np.logaddexp2))


def _from_start(running: Any, x: Array, axis: int | None, dtype: Any, out: Array, include_initial: bool) -> Array:
    refuse_out(running.name, out)
    if axis is None:
        if x.ndim > 1:
            raise UsageError(f"{running.name} of an array of shape {x.shape} needs an axis=")
        axis = 0
    y = running(np.atleast_1d(x), axis=axis, dtype=dtype)
    if not include_initial:
        return y
    start = np.zeros_like if running is cumsum else np.ones_like
    shape = list(y.shape)
    shape[axis] = 1
    return np.concatenate([start(y, shape=tuple(shape)), y], axis=axis)


@implements(*newer("cumulative_sum"))
def cumulative_sum(
    x: Array, /, *, axis: int | None = None, dtype: Any = None, out: Array = None, include_initial: bool = False
) -> Array:
    return _from_start(cumsum, x, axis, dtype, out, include_initial)


@implements(*newer("cumulative_prod"))
def cumulative_prod(
    x: Array, /, *, axis: int | None = None, dtype: Any = None, out: Array = None, include_initial: bool = False
) -> Array:
    return _from_start(cumprod, x, axis, dtype, out, include_initial)


@implements(np.nancumsum)
def nancumsum(a: Array, axis: int | None = None, dtype: Any = None, out: Array = None) -> Array:
    return np.cumsum(without_nan(a, 0), axis, dtype, out)


@implements(np.nancumprod)
def nancumprod(a: Array, axis: int | None = None, dtype: Any = None, out: Array = None) -> Array:
    return np.cumprod(without_nan(a, 1), axis, dtype, out)


unwrap = primitive(
    np.unwrap,
    lambda g, y, p, discont=None, axis=-1, period=2 * np.pi: g,  # whole periods are added, wherever p is
    examples=[([np.array([0.5, 3.0, -2.5, 9.0])], {}), ([(2, 3)], {"axis": 0, "period": 1.1})],
    kink=lambda p, discont=None, axis=-1, period=2 * np.pi: np.cos(np.pi * np.diff(p, axis=axis) / period),
)


@implements(np.diff)
def diff(a: Array, n: int = 1, axis: int = -1, prepend: Array = np._NoValue, append: Array = np._NoValue) -> Array:
    if n < 0:
        raise InputError(f"diff: n={n} must not be negative")
    a = as_array(a)
    if not a.ndim:
        raise ShapeError("diff needs an array of one axis or more")
    if n == 0:
        return a
    axis = np.lib.array_utils.normalize_axis_index(axis, a.ndim)
    around = []
    for x in (prepend, a, append):
        if x is np._NoValue:
            continue
        x = as_array(x)
        around.append(x if x.ndim else np.broadcast_to(x, (*a.shape[:axis], 1, *a.shape[axis + 1 :])))
    a = np.concatenate(around, axis) if len(around) > 1 else a
    difference = np.not_equal if a.dtype == bool else np.subtract
    for _ in range(n):
        a = difference(a[along(axis, slice(1, None))], a[along(axis, slice(None, -1))])
    return a


@implements(np.ediff1d)
def ediff1d(ary: Array, to_end: Array = None, to_begin: Array = None) -> Array:
    flat = np.ravel(as_array(ary))
    parts = [flat[1:] - flat[:-1]]
    for name, extra in (("to_begin", to_begin), ("to_end", to_end)):
        if extra is None:
            continue
        extra = np.ravel(as_array(extra))
        if not np.can_cast(extra.dtype, flat.dtype, "same_kind"):
            raise UsageError(f"ediff1d: {name} of dtype {extra.dtype} does not go into an array of {flat.dtype}")
        parts.insert(0 if name == "to_begin" else len(parts), extra.astype(flat.dtype))
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


@implements(np.trapezoid)
def trapezoid(y: Array, x: Array = None, dx: Array = 1.0, axis: int = -1) -> Array:
    y = as_array(y)
    if not y.ndim:
        raise ShapeError("trapezoid needs samples along an axis, got one number")
    summed, axis = axis, np.lib.array_utils.normalize_axis_index(axis, y.ndim)
    if x is not None:
        x = as_array(x)
        dx = np.diff(x, axis=-1 if x.ndim == 1 else summed)
        if x.ndim == 1:
            dx = np.reshape(dx, (-1, *(1,) * (y.ndim - axis - 1)))
    return (dx * (y[along(axis, slice(1, None))] + y[along(axis, slice(None, -1))]) / 2.0).sum(summed)


@implements(np.gradient)
def gradient(f: Array, *varargs: Array, axis: int | Sequence[int] | None = None, edge_order: int = 1) -> Any:
    f = as_array(f)
    f = f.astype(float) if f.dtype.kind in "biu" else f
    axes = np.lib.array_utils.normalize_axis_tuple(range(f.ndim) if axis is None else axis, f.ndim)
    if edge_order not in (1, 2):
        raise InputError(f"gradient: edge_order is 1 or 2, got {edge_order}")
    spacings = list(varargs) or [1.0]
    if len(spacings) == 1 and np.ndim(spacings[0]) == 0:
        spacings *= len(axes)
    if len(spacings) != len(axes):
        raise UsageError(f"gradient takes no spacing, one number, or one spacing for each axis, got {len(varargs)}")
    slopes = tuple(_slopes(f, spacing, axis, edge_order) for axis, spacing in zip(axes, spacings))
    return slopes[0] if len(axes) == 1 else slopes


def _slopes(f: Array, spacing: Array, axis: int, edge_order: int) -> Array:
    """The derivative along one axis: second-order differences inside, one-sided ones at the edges."""
    n = f.shape[axis]
    if n < edge_order + 1:
        raise ShapeError(f"gradient: axis {axis} of {n} entries is too short for edges of order {edge_order}")
    if np.ndim(spacing):
        spacing = _steps(as_array(spacing), n)

    def at(i: int | slice) -> Array:
        return f[along(axis, i)]

    before, here, after = at(slice(None, -2)), at(slice(1, -1)), at(slice(2, None))
    if np.ndim(spacing) == 0:
        h = k = spacing
        inner = (after - before) / (2.0 * spacing)
    else:
        h, k = (np.reshape(steps, (-1, *(1,) * (f.ndim - axis - 1))) for steps in (spacing[:-1], spacing[1:]))
        inner = -k / (h * (h + k)) * before + (k - h) / (h * k) * here + h / (k * (h + k)) * after
        h, k = spacing[0], spacing[-1]
    if edge_order == 1:
        first, last = (at(1) - at(0)) / h, (at(-1) - at(-2)) / k
    elif np.ndim(spacing) == 0:
        first = -1.5 / h * at(0) + 2.0 / h * at(1) + -0.5 / h * at(2)
        last = 0.5 / h * at(-3) + -2.0 / h * at(-2) + 1.5 / h * at(-1)
    else:
        k = spacing[1]
        first = -(2.0 * h + k) / (h * (h + k)) * at(0) + (h + k) / (h * k) * at(1) + -h / (k * (h + k)) * at(2)
        h, k = spacing[-2], spacing[-1]
        last = k / (h * (h + k)) * at(-3) + -(k + h) / (h * k) * at(-2) + (2.0 * k + h) / (k * (h + k)) * at(-1)
    edges = (np.expand_dims(edge, axis) for edge in (first, last))
    slopes = np.concatenate([next(edges), inner, next(edges)], axis=axis)
    return slopes if slopes.dtype == f.dtype else slopes.astype(f.dtype)  # whatever the dtype of the spacing


def _steps(places: Array, n: int) -> Array:
    """The distances between places; as in NumPy, a single number if they are equal and have no derivative."""
    if places.ndim != 1 or len(places) != n:
        raise ShapeError(f"gradient: places of shape {places.shape} for an axis of {n} entries")
    steps = np.diff(places.astype(float) if places.dtype.kind in "biu" else places)
    even = len(steps) == 1 or (not isinstance(steps, Traced) and np.all(np.equal(steps, steps[0])))
    return steps[0] if even else steps
