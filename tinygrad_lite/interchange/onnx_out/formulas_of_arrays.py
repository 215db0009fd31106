"""Formulas in NumPy for functions of whole arrays that ONNX lacks: reductions, order, curves, and linear algebra.

They run on the values of a graph. The size of a matrix is known, so an elimination is written out step by step.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.registry import operation
from tinygrad_lite.foundation.sums import axes_of
from tinygrad_lite.ops.arithmetic.ordering import lines_along
from tinygrad_lite.ops.arithmetic.reductions import Axis, logsumexp
from tinygrad_lite.ops.linear import contraction
from tinygrad_lite.ops.linear.decompositions import pack
from tinygrad_lite.ops.shapes.indexing import getitem

# Reductions with masks, first values and NaN


def _present(**params: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None and value is not np._NoValue}


def _counted(x: Array, axis: Axis, keepdims: bool, where: Array) -> Any:
    """The number of entries in each result."""
    if where is True:
        kept = _reduced_shape(x.shape, axis)
        return float(x.size // max(prod(kept), 1))
    whole = np.where(np.broadcast_to(where, x.shape), np.ones(x.shape, x.dtype), 0)
    return np.sum(whole, axis=axis, keepdims=keepdims)


def _reduced_shape(shape: tuple[int, ...], axis: Axis, keepdims: bool = False) -> tuple[int, ...]:
    reduced: Array = np.sum(np.broadcast_to(0, shape), axis=axis, keepdims=keepdims)
    return tuple(reduced.shape)


def _accumulated(function: Callable[..., Any], neutral: float, combine: Callable[..., Any]) -> Callable[..., Any]:
    """A sum or a product with a mask and a first value."""

    def formula(
        a: Array,
        axis: Axis = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = np._NoValue,
        where: Array = True,
    ) -> Array:
        a = a if dtype is None else a.astype(dtype)
        y = function(a if where is True else np.where(where, a, neutral), axis=axis, keepdims=keepdims)
        return y if initial is np._NoValue or initial is None else combine(y, initial)

    return formula


def _extremum(function: Callable[..., Any], combine: Callable[..., Any], least: float) -> Callable[..., Any]:
    def formula(
        a: Array,
        axis: Axis = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = np._NoValue,
        where: Array = True,
    ) -> Array:
        has_first = initial is not np._NoValue and initial is not None
        if a.dtype == bool:
            return function(a.astype(np.int32), axis=axis, keepdims=keepdims).astype(bool)
        if not a.size:
            return np.full(_reduced_shape(a.shape, axis, keepdims), initial, a.dtype) if has_first else None
        if where is not True:
            bound = least if a.dtype.kind == "f" else np.iinfo(a.dtype).min if least < 0 else np.iinfo(a.dtype).max
            a = np.where(where, a, bound)
        y = function(a, axis=axis, keepdims=keepdims)
        return combine(y, initial) if has_first else y

    return formula


def _mean(
    a: Array, axis: Axis = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Array = True
) -> Array:
    a = a if dtype is None else a.astype(dtype)
    total = np.sum(a, axis=axis, keepdims=keepdims, **_present(where=None if where is True else where))
    return total / _counted(a, axis, keepdims, where)


def _var(
    a: Array,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Array = True,
    mean: Array = None,
    correction: Any = np._NoValue,
) -> Array:
    ddof = ddof if correction is np._NoValue or correction is None else correction
    a = a if dtype is None else a.astype(dtype)
    mean = _mean(a, axis, keepdims=True, where=where) if mean is None else mean
    deviation = a - mean
    if where is not True:
        deviation = np.where(where, deviation, 0)
    count = _counted(a, axis, keepdims, where)
    freedom = max(count - ddof, 0.0) if where is True else np.maximum(count - ddof, 0)
    return np.sum(deviation * deviation, axis=axis, keepdims=keepdims) / freedom


def _std(a: Array, *args: Any, **params: Any) -> Array:
    return np.sqrt(_var(a, *args, **params))


def _among_numbers(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The variant that leaves out NaN."""

    def of_numbers(a: Array, *args: Any, where: Any = True, **params: Any) -> Array:
        numbers = ~np.isnan(a)
        where = numbers if where is True or where is np._NoValue else numbers & where
        return formula(a, *args, where=where, **{k: v for k, v in params.items() if v is not np._NoValue})

    return of_numbers


def _nan_extremum(function: Callable[..., Any], least: float) -> Callable[..., Any]:
    def formula(a: Array, axis: Axis = None, out: Any = None, keepdims: Any = False, **params: Any) -> Array:
        keepdims = keepdims is True
        missing = np.isnan(a)
        if params.pop("where", True) is not True or {v for v in params.values() if v is not np._NoValue}:
            return None
        y = function(np.where(missing, least, a), axis=axis, keepdims=keepdims)
        return np.where(np.all(missing, axis=axis, keepdims=keepdims), np.nan, y)

    return formula


def _all_of(function: Callable[..., Any], neutral: bool) -> Callable[..., Any]:
    def formula(a: Array, axis: Axis = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Array:
        if where is True or where is np._NoValue:
            return None
        truths = np.not_equal(a, 0) if a.dtype != bool else a
        return function(np.where(where, truths, neutral), axis=axis, keepdims=keepdims is True)

    return formula


def _count_nonzero(a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    return np.sum(np.not_equal(a, 0).astype(np.int64), axis=axis, keepdims=keepdims)


def _place_among_numbers(function: Callable[..., Any], least: float) -> Callable[..., Any]:
    return lambda a, axis=None, out=None, *, keepdims=False: function(np.where(np.isnan(a), least, a), axis=axis)


# Order


def _argsort(a: Array, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Array:
    return np.argsort(np.ravel(a), axis=-1) if axis is None or not a.ndim else None


def _lexsort(keys: Array, axis: int = -1) -> Array:
    order = np.argsort(keys[0], axis=axis)
    for i in range(1, keys.shape[0]):
        order = np.take_along_axis(order, np.argsort(np.take_along_axis(keys[i], order, axis), axis=axis), axis)
    return order


def _passed(bounds: Array, x: Array, or_equal: bool) -> Array:
    """Where bounds come before a value; NaN comes after all numbers, and is equal to itself."""
    passed = (np.less_equal if or_equal else np.less)(bounds, x)
    if x.dtype.kind != "f":
        return passed
    is_number = np.equal(bounds, bounds)  # NaN alone is not; of whole numbers there is no isnan
    return passed | (np.isnan(x) & (is_number | or_equal))


def _searchsorted(a: Array, v: Array, side: str = "left", sorter: Array = None) -> Array:
    a = a if sorter is None else a[sorter]
    passed = _passed(a, np.expand_dims(v, -1), or_equal=side == "right")
    return np.sum(passed.astype(np.int64), axis=-1)


def _digitize(x: Array, bins: Array, right: bool = False) -> Array:
    passed = _passed(bins, np.expand_dims(x, -1), or_equal=not right)
    rising = np.sum(passed.astype(np.int64), axis=-1)
    falling = np.sum((~passed).astype(np.int64), axis=-1)
    return np.where(np.less_equal(bins[0], bins[-1]), rising, falling)


def _isin(element: Array, test_elements: Array, assume_unique: bool = False, invert: bool = False, **_: Any) -> Array:
    is_in = np.any(np.equal(np.expand_dims(element, -1), np.ravel(test_elements)), axis=-1)
    return ~is_in if invert else is_in


def _with_kept_axes(y: Array, a: Array, axis: Axis, keepdims: Any, first: int = 0) -> Array:
    return np.reshape(y, (*y.shape[:first], *_reduced_shape(a.shape, axis, True))) if keepdims is True else y


def _places_by_count(n: int, q: Array, method: str) -> Array:
    """The place of each quantile among the sorted entries, for each number of entries up to n."""
    quantile: Any = np.quantile
    method = "linear" if method == "median" else method
    return np.stack([quantile(np.arange(max(count, 1.0)), q, method=method) for count in range(n + 1)])


def _quantile_places(count: Array, n: int, q: Array, method: str) -> Array:
    places = count.__trace__(getitem, (_places_by_count(n, q, method),), {"index": count})
    return np.moveaxis(places, [*range(count.ndim)], [*range(q.ndim, q.ndim + count.ndim)])


def _at_quantiles(lines: Array, q: Array, method: str, weights: Array) -> Array:
    """The quantiles of the entries of each line that are numbers; NaN if there are none."""
    numbers = ~np.isnan(lines)
    order = np.argsort(np.where(numbers, lines, np.inf), axis=-1)
    ranked = np.take_along_axis(np.where(numbers, lines, np.inf), order, -1)
    ranked = np.broadcast_to(ranked, (*q.shape, *ranked.shape))
    count = np.sum(numbers.astype(int), axis=-1)
    if weights is None:
        place = _quantile_places(count, lines.shape[-1], q, method)
    else:
        shares = np.cumsum(np.take_along_axis(np.where(numbers, weights, 0), order, -1), axis=-1)
        shares = shares / shares[..., -1:]
        passed = np.less(shares, np.reshape(q, (*q.shape, *(1,) * lines.ndim)))
        place = np.minimum(np.sum(passed.astype(int), axis=-1), np.maximum(count - 1, 0)).astype(float)
    low = np.floor(place)
    share = (place - low).astype(lines.dtype)
    first, second = (
        np.take_along_axis(ranked, np.expand_dims(at.astype(int), -1), -1)[..., 0] for at in (low, np.ceil(place))
    )
    step = second - first
    if method == "median":  # NumPy takes the mean, of two infinities as well
        y = (first + second) / 2
    else:
        y = np.where(np.less(share, 0.5), first + step * share, second - step * (1 - share))  # as NumPy rounds, too
    y = np.where(np.equal(share, 0), first, y)
    return np.where(np.equal(count, 0), np.nan, y)


def _weights_of_lines(weights: Any, a: Array, axis: Axis) -> Any:
    if weights is None:
        return None
    weights = np.asarray(weights)
    if weights.shape != a.shape:
        weights = np.reshape(
            weights, [n if i == axis % a.ndim else 1 for i, n in enumerate(a.shape)] if axis is not None else (-1,)
        )
    return lines_along(np.broadcast_to(weights, a.shape), axis)[0]


def _quantile(scale: float, passes_nan: bool) -> Callable[..., Any]:
    def formula(
        a: Array,
        q: Any,
        axis: Axis = None,
        out: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: Any = False,
        *,
        weights: Any = None,
    ) -> Array:
        q = np.asarray(q, float) / scale
        lines, _ = lines_along(a, axis)
        y = _at_quantiles(lines, q, method, _weights_of_lines(weights, a, axis))
        y = np.where(np.any(np.isnan(lines), axis=-1), np.nan, y) if passes_nan else y
        return _with_kept_axes(y.astype(np.result_type(a.dtype, q)), a, axis, keepdims, q.ndim)

    return formula


def _median(passes_nan: bool) -> Callable[..., Any]:
    def formula(
        a: Array, axis: Axis = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False
    ) -> Array:
        y = _quantile(1, passes_nan)(a, 0.5, axis, method="median", keepdims=keepdims)
        return y.astype(a.dtype if a.dtype.kind == "f" else float)

    return formula


def _quantile_weights(x: Array, q: Any, axis: Axis, method: str, weights: Array, percent: bool) -> Array:
    lines, _ = lines_along(x, axis)
    q = np.asarray(q, float) / (100 if percent else 1)
    if weights is not None:
        y = _at_quantiles(lines, q, method, _weights_of_lines(weights, x, axis))
        chosen = np.equal(lines, np.expand_dims(y, -1)).astype(x.dtype)
        return chosen / np.sum(chosen, axis=-1, keepdims=True)
    numbers = ~np.isnan(lines)
    count = np.sum(numbers.astype(int), axis=-1)
    place = _quantile_places(count, lines.shape[-1], q, method)
    place = np.where(np.equal(count, 0), -1, place)
    ranks = np.argsort(np.argsort(np.where(numbers, lines, np.inf), axis=-1), axis=-1)
    return np.maximum(1 - np.absolute(ranks - np.expand_dims(place, -1)), 0).astype(x.dtype)


# Along an axis


def _cumsum(a: Array, axis: int | None = None, dtype: Any = None, out: Any = None) -> Array:
    a = a if dtype is None else a.astype(dtype)
    return np.cumsum(np.ravel(a), axis=0) if axis is None or not a.ndim else None


def _doubled(x: Array, combine: Callable[..., Any], *others: Array) -> tuple[Array, ...]:
    """A running combination along the last axis: after k rounds, each entry combines 2ᵏ entries."""
    parts, steps = [x, *others], 1
    while steps < x.shape[-1]:
        later = combine([p[..., :-steps] for p in parts], [p[..., steps:] for p in parts])
        parts = [np.concatenate([p[..., :steps], new], axis=-1) for p, new in zip(parts, later)]
        steps *= 2
    return tuple(parts)


def _cumprod(a: Array, axis: int | None = None, dtype: Any = None, out: Any = None) -> Array:
    a = a if dtype is None else a.astype(dtype)
    if axis is None or not a.ndim:
        a, axis = np.ravel(a), 0
    (y,) = _doubled(np.moveaxis(a, axis, -1), lambda before, now: [before[0] * now[0]])
    return np.moveaxis(y, -1, axis)


def _running_place(x: Array, largest: bool, axis: int) -> Array:
    along = np.moveaxis(x, axis, -1)
    places = np.broadcast_to(np.arange(along.shape[-1]), along.shape)
    wins = np.greater if largest else np.less

    def later(before: list[Array], now: list[Array]) -> list[Array]:
        won = (wins(now[0], before[0]) | np.isnan(now[0])) & ~np.isnan(before[0])
        return [np.where(won, b, a) for a, b in zip(before, now)]

    return np.moveaxis(_doubled(along, later, np.zeros_like(along) + places)[1].astype(np.int64), -1, axis)


def _unwrap(p: Array, discont: Any = None, axis: int = -1, *, period: float = 2 * np.pi) -> Array:
    step = np.diff(p, axis=axis)
    half = period / 2
    wrapped = np.remainder(step + half, period) - half
    wrapped = np.where(np.equal(wrapped, -half) & np.greater(step, 0), half, wrapped)
    correction = np.where(np.less(np.absolute(step), half if discont is None else discont), 0, wrapped - step)
    first = np.take(p, np.array([0]), axis=axis)
    return np.concatenate([first, np.delete(p, 0, axis) + np.cumsum(correction, axis=axis)], axis=axis)


def _convolve(a: Array, v: Array, mode: Any = "full") -> Array:
    if np.size(a) < np.size(v):
        a, v = v, a
    n, m = np.size(a), np.size(v)
    places = np.arange(n + m - 1)[:, None] - np.arange(n)
    is_outside = (places < 0) | (places >= m)
    y = np.sum(np.where(is_outside, 0, v[np.where(is_outside, 0, places)] * a), axis=-1)
    start = {"full": 0, "same": (m - 1) // 2, "valid": m - 1}[mode]
    return y[start : start + {"full": n + m - 1, "same": n, "valid": n - m + 1}[mode]]


def _interp(x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None) -> Array:
    last = np.size(xp) - 1
    begin = np.clip(np.searchsorted(xp, x, "right") - 1, 0, max(last - 1, 0))
    end = np.minimum(begin + 1, last)
    inside = np.greater_equal(x, xp[0]) & np.less(x, xp[-1])
    width = np.where(inside, xp[end] - xp[begin], 1)
    y = fp[begin] + (fp[end] - fp[begin]) / width * (x - xp[begin])
    y = np.where(inside, y, np.where(np.less(x, xp[0]), fp[0] if left is None else left, fp[-1]))
    y = np.where(np.greater(x, xp[-1]), fp[-1] if right is None else right, y)
    return np.where(np.isnan(x), np.nan, y).astype(float)


def _linspace(start: Array, stop: Array, num: int, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Array:
    share = np.arange(float(num)) / max(num - 1 if endpoint else num, 1)
    start, stop = np.broadcast_arrays(start * 1.0, stop * 1.0)
    share = np.reshape(share, (num, *(1,) * start.ndim)).astype(start.dtype)
    y = start + (stop - start) * share
    if endpoint and num > 1:
        y = np.where(np.equal(share, 1), stop, y)
    y = np.moveaxis(y, 0, axis)
    return y if dtype is None else y.astype(dtype)


def _linspace_step(start: Array, stop: Array, num: int, endpoint: bool = True) -> Array:
    return (stop - start) / (num - 1 if endpoint else num)


def _geomspace(start: Array, stop: Array, num: int, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Array:
    start, stop = np.broadcast_arrays(start * 1.0, stop * 1.0)
    ratio = np.exp(_linspace(np.zeros_like(start), np.log(stop / start), num, endpoint))
    y = start * ratio
    place = np.reshape(np.arange(num), (num, *(1,) * start.ndim))
    y = np.where(np.equal(place, 0), start, y)
    y = np.where(np.equal(place, num - 1) & endpoint & (num > 1), stop, y)
    y = np.moveaxis(y, 0, axis)
    return y if dtype is None else y.astype(dtype)


def _vander(x: Array, N: int | None = None, increasing: bool = False) -> Array:
    count = len(x) if N is None else N
    powers: list[Array] = [np.ones_like(x)]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    if not count:
        return np.zeros((len(x), 0), x.dtype)
    return np.stack(powers if increasing else powers[::-1], axis=1)


# Products and linear algebra


def _einsum(*arrays: Array, subscripts: str, optimize: Any = False) -> Array:
    terms, output = contraction.axes_by_letters(subscripts, [np.ndim(x) for x in arrays])
    sizes: dict[str, int] = {}
    for term, x in zip(terms, arrays):
        for letter, n in zip(term, np.shape(x)):
            sizes[letter] = max(sizes.get(letter, 1), n) if n else 0
    whole = [np.broadcast_to(x, [sizes[c] for c in term]) for term, x in zip(terms, arrays)]
    return contraction.einsum(*whole, subscripts=f"{','.join(terms)}->{output}")


def _tensordot(a: Array, b: Array, axes: Any) -> Array:
    subscripts = contraction.subscripts_of(np.ndim(a), np.ndim(b), axes)
    return contraction.einsum(a, b, subscripts=subscripts)


def _dot(a: Array, b: Array, out: Any = None) -> Array:
    if not np.ndim(a) or not np.ndim(b):
        return a * b
    if np.ndim(a) <= 2 and np.ndim(b) <= 2:
        return np.matmul(a, b)
    return np.tensordot(a, b, ((np.ndim(a) - 1,), (max(np.ndim(b) - 2, 0),)))


def _inner(a: Array, b: Array) -> Array:
    if not np.ndim(a) or not np.ndim(b):
        return a * b
    return np.tensordot(a, b, ((np.ndim(a) - 1,), (np.ndim(b) - 1,)))


def _trace(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Array:
    moved = np.moveaxis(a, (axis1, axis2), (-2, -1))
    diagonal = np.eye(moved.shape[-2], moved.shape[-1], offset, dtype=bool)
    return np.sum(np.where(diagonal, moved, 0), axis=(-2, -1), dtype=dtype)


def _multi_dot(*arrays: Array) -> Array:
    y = arrays[0]
    for x in arrays[1:]:
        y = np.matmul(y, x)
    return y


def _matrix_power(a: Array, n: int) -> Array:
    if n < 0:
        a, n = np.linalg.inv(a), -n
    y = None
    while n:
        if n % 2:
            y = a if y is None else np.matmul(y, a)
        n //= 2
        a = np.matmul(a, a) if n else a
    return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape) if y is None else y


def _eliminated(matrix: Array, columns: Array, is_whole: bool) -> tuple[list[Array], list[Array], Array]:
    """Gauss's elimination with the largest pivots: the pivots, the signs of the swaps, and what is left of the columns.

    If it is not whole, the rows above a pivot stay, and a pivot of 0 is passed over.
    """
    n = matrix.shape[-1]
    work = np.concatenate([matrix, columns], axis=-1) if columns is not None else matrix
    rows, pivots, signs = np.arange(n), [], []
    for k in range(n):
        place = np.argmax(np.absolute(work[..., k:, k]), axis=-1) + k
        chosen = np.expand_dims(np.equal(rows, np.expand_dims(place, -1)), -1)
        pivot_row = np.sum(np.where(chosen, work, 0), axis=-2, keepdims=True)
        swapped = np.where(chosen, work[..., k : k + 1, :], work)
        pivot = pivot_row[..., k : k + 1]
        others = np.not_equal(rows, k) if is_whole else np.greater(rows, k)
        divisor = pivot if is_whole else np.where(np.equal(pivot, 0), 1, pivot)
        factors = np.where(others[:, None], swapped[..., k : k + 1] / divisor, 0)
        reduced = np.where(np.equal(rows, k)[:, None], pivot_row / pivot if is_whole else pivot_row, swapped)
        work = reduced - factors * pivot_row
        pivots.append(pivot[..., 0, 0])
        signs.append(np.where(np.equal(place, k), 1, -1).astype(matrix.dtype))
    return pivots, signs, work[..., n:] if columns is not None else work


def _inv(a: Array) -> Array:
    if not a.size:
        return a
    identity = np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    return _eliminated(a, identity, is_whole=True)[2]


def _solve(a: Array, b: Array) -> Array:
    columns = np.expand_dims(b, -1) if np.ndim(b) == 1 else b
    stack = np.broadcast_shapes(a.shape[:-2], columns.shape[:-2])
    a, columns = (np.broadcast_to(x, stack + x.shape[-2:]) for x in (a, columns))
    y = _eliminated(a, columns, is_whole=True)[2]
    return y[..., 0] if np.ndim(b) == 1 else y


def _solve_triangular(a: Array, b: Array, transposed: bool, lower: bool, unit_diagonal: bool) -> Array:
    n = a.shape[-1]
    a = np.where(np.tri(n, dtype=bool) if lower else np.tri(n, dtype=bool).T, a, 0)
    a = np.where(np.eye(n, dtype=bool), 1, a) if unit_diagonal else a
    return np.linalg.solve(np.swapaxes(a, -1, -2) if transposed else a, b)


def _det(a: Array) -> Array:
    pivots, signs, _ = _eliminated(a, None, is_whole=False)
    y = np.ones(a.shape[:-2], a.dtype)
    for factor in (*pivots, *signs):
        y = y * factor
    return y


def _log_abs_det(a: Array) -> Array:
    y = np.zeros(a.shape[:-2], a.dtype)
    for pivot in _eliminated(a, None, is_whole=False)[0]:
        y = y + np.log(np.absolute(pivot))
    return y


def _sign_of_det(a: Array) -> Array:
    pivots, signs, _ = _eliminated(a, None, is_whole=False)
    y = np.ones(a.shape[:-2], a.dtype)
    for factor in (*map(np.sign, pivots), *signs):
        y = y * factor
    return y


def _det_vjp(g: Array, y: Array, x: Array) -> Array:
    return np.expand_dims(g * y, (-2, -1)) * np.swapaxes(np.linalg.inv(x), -1, -2)


def _cholesky(a: Array, upper: bool = False) -> Array:
    rest = np.swapaxes(a, -1, -2) if upper else a
    n = a.shape[-1]
    columns: list[Array] = []
    for j in range(n):
        column = rest[..., j] / np.sqrt(rest[..., j : j + 1, j])
        columns.append(np.where(np.arange(n) >= j, column, 0))
        rest = rest - np.expand_dims(columns[-1], -1) * np.expand_dims(columns[-1], -2)
    y = np.stack(columns, axis=-1)
    return np.swapaxes(y, -1, -2) if upper else y


def _householder(a: Array) -> tuple[Array, Array]:
    """The orthogonal and the triangular factor, with LAPACK's signs.

    Source: Golub and Van Loan (2013), Matrix Computations, algorithm 5.2.1.
    """
    m, n = a.shape[-2:]
    rows = np.arange(m)
    r, q = a, np.broadcast_to(np.eye(m, dtype=a.dtype), (*a.shape[:-2], m, m))
    for k in range(min(m - 1, n)):
        column = np.where(rows >= k, r[..., k], 0)
        first = column[..., k : k + 1]
        below = np.where(rows > k, column, 0)
        beyond = np.sum(below * below, axis=-1, keepdims=True)
        size = np.copysign(np.sqrt(first * first + beyond), first)
        nothing = np.equal(beyond, 0)
        v = np.where(rows == k, np.where(nothing, 1, first + size), below)
        scale = np.where(nothing, 0, 2 / np.where(nothing, 1, np.sum(v * v, axis=-1, keepdims=True)))
        v, scaled = np.expand_dims(v, -1), np.expand_dims(v * scale, -1)
        r = r - scaled * np.matmul(np.swapaxes(v, -1, -2), r)
        q = q - np.matmul(q, v) * np.swapaxes(scaled, -1, -2)
    return q, r


def _qr(x: Array, mode: str = "reduced") -> Array:
    q, r = _householder(x)
    m, n = x.shape[-2:]
    rows = m if mode == "complete" else min(m, n)
    r = np.where(np.tri(m, n, -1, dtype=bool), 0, r)
    return pack((q[..., :rows], r[..., :rows, :]), x.ndim - 2)


def _vector_norm(x: Array, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Array:
    ord = 2 if ord is None else ord
    size = np.absolute(x)
    if ord == np.inf:
        return np.max(size, axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return np.min(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return np.sum(np.not_equal(x, 0).astype(x.dtype), axis=axis, keepdims=keepdims)
    if ord == 1:
        return np.sum(size, axis=axis, keepdims=keepdims)
    if ord == 2:
        return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))
    return np.sum(size ** float(ord), axis=axis, keepdims=keepdims) ** (1 / ord)


def _matrix_norm(x: Array, keepdims: bool = False, ord: Any = "fro") -> Array:
    if ord in (None, "fro", "f"):
        return _vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in (2, -2, "nuc"):
        reduce: Any = {2: np.max, -2: np.min, "nuc": np.sum}[ord]
        y = reduce(np.linalg.svdvals(x), axis=-1)
        return np.expand_dims(y, (-2, -1)) if keepdims else y
    sums = np.sum(np.absolute(x), axis=-2 if abs(ord) == 1 else -1, keepdims=True)
    return (np.max if ord > 0 else np.min)(sums, axis=(-2, -1), keepdims=keepdims)


def _norm(x: Array, ord: Any = None, axes: Axis = None, keepdims: bool = False) -> Array:
    count = len(axes_of(axes, x.ndim))
    if ord in (None, "fro", "f") or count == 1:
        return _vector_norm(x, axis=axes, keepdims=keepdims, ord=2 if ord in (None, "fro", "f") else ord)
    axes = axes if isinstance(axes, tuple) else (0, 1)
    y = _matrix_norm(np.moveaxis(x, axes, (-2, -1)), ord=ord, keepdims=False)
    return y if not keepdims else np.expand_dims(y, tuple(i % x.ndim for i in axes))


def _cond(x: Array, p: Any = None) -> Array:
    if p in (None, 2, -2):
        values: Any = np.linalg.svdvals(x)
        y: Any = values[..., -1] / values[..., 0] if p == -2 else values[..., 0] / values[..., -1]
    else:
        y = np.linalg.matrix_norm(x, ord=p) * np.linalg.matrix_norm(np.linalg.inv(x), ord=p)
    return np.where(np.isnan(y) & ~np.any(np.isnan(x), axis=(-2, -1)), np.inf, y)


def _reshape(x: Array, shape: Any = None, order: str = "C") -> Array:
    y = np.broadcast_to(0, x.shape).reshape(-1 if shape is None else shape)
    return np.transpose(np.reshape(np.transpose(x), y.shape[::-1]))


def _concatenate(*arrays: Array, axis: Any = 0, **_: Any) -> Array:
    return np.concatenate([np.ravel(x) for x in arrays])


def _log_softmax(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def _like(value: float) -> Callable[..., Any]:
    def formula(a: Array, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, **_: Any) -> Any:
        return np.full(a.shape if shape is None else shape, value, a.dtype if dtype is None else dtype)

    return formula


OF_ARRAYS: dict[Any, Any] = {
    "reshape": _reshape,
    "ravel": _reshape,
    "concatenate": _concatenate,
    np.zeros_like: _like(0),
    np.ones_like: _like(1),
    "sum": _accumulated(np.sum, 0, np.add),
    np.prod: _accumulated(np.prod, 1, np.multiply),
    "mean": _mean,
    "max": _extremum(np.max, np.maximum, -np.inf),
    "min": _extremum(np.min, np.minimum, np.inf),
    "var": _var,
    np.std: _std,
    "var_around": lambda x, mean, **params: _var(x, mean=mean, **params),
    np.nansum: _among_numbers(_accumulated(np.sum, 0, np.add)),
    np.nanprod: _among_numbers(_accumulated(np.prod, 1, np.multiply)),
    np.nanmean: _among_numbers(_mean),
    np.nanvar: _among_numbers(_var),
    np.nanstd: _among_numbers(_std),
    np.nanmax: _nan_extremum(np.max, -np.inf),
    np.nanmin: _nan_extremum(np.min, np.inf),
    np.all: _all_of(np.all, True),
    np.any: _all_of(np.any, False),
    np.count_nonzero: _count_nonzero,
    np.nanargmax: _place_among_numbers(np.argmax, -np.inf),
    np.nanargmin: _place_among_numbers(np.argmin, np.inf),
    "log_softmax": _log_softmax,
    "logaddexp_reduce": lambda x, axis=None, keepdims=False: logsumexp(x, axis=axis, keepdims=keepdims),
    np.argsort: _argsort,
    np.lexsort: _lexsort,
    np.searchsorted: _searchsorted,
    np.digitize: _digitize,
    np.isin: _isin,
    np.quantile: _quantile(1, passes_nan=True),
    np.percentile: _quantile(100, passes_nan=True),
    "nanquantile": _quantile(1, passes_nan=False),
    "nanpercentile": _quantile(100, passes_nan=False),
    np.median: _median(passes_nan=True),
    np.nanmedian: _median(passes_nan=False),
    "quantile_weights": _quantile_weights,
    np.cumsum: _cumsum,
    np.cumprod: _cumprod,
    "running_place": _running_place,
    np.unwrap: _unwrap,
    "convolve": _convolve,
    "interp": _interp,
    "linspace": _linspace,
    "linspace_step": _linspace_step,
    "geomspace": _geomspace,
    np.vander: _vander,
    "einsum": _einsum,
    "tensordot": _tensordot,
    np.dot: _dot,
    np.inner: _inner,
    np.vdot: lambda a, b: np.sum(np.ravel(a) * np.ravel(b)),
    np.trace: _trace,
    "multi_dot": _multi_dot,
    np.linalg.matrix_power: _matrix_power,
    np.linalg.inv: _inv,
    np.linalg.solve: _solve,
    "solve_triangular": _solve_triangular,
    np.linalg.det: _det,
    "log_abs_det": _log_abs_det,
    "sign_of_det": _sign_of_det,
    operation("det").vjps[0]: _det_vjp,
    np.linalg.cholesky: _cholesky,
    "qr": _qr,
    np.linalg.vector_norm: _vector_norm,
    "matrix_norm": _matrix_norm,
    "norm": _norm,
    "cond": _cond,
}
