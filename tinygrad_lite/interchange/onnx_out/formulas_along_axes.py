"""Formulas in NumPy for functions along an axis that ONNX lacks: running sums, curves, and arrays with a pattern."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.arithmetic.running import slice_by_slice


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


def _reshape(x: Array, shape: Any = None, order: str = "C") -> Array:
    y = np.broadcast_to(0, x.shape).reshape(-1 if shape is None else shape)
    return np.transpose(np.reshape(np.transpose(x), y.shape[::-1]))


def _concatenate(*arrays: Array, axis: Any = 0, **_: Any) -> Array:
    return np.concatenate([np.ravel(x) for x in arrays])


def _like(value: float) -> Callable[..., Any]:
    def formula(a: Array, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, **_: Any) -> Any:
        return np.full(a.shape if shape is None else shape, value, a.dtype if dtype is None else dtype)

    return formula


ALONG_AXES: dict[Any, Any] = {
    "reshape": _reshape,
    "ravel": _reshape,
    "item": lambda x: np.reshape(x, ()),
    "concatenate": _concatenate,
    np.zeros_like: _like(0),
    np.ones_like: _like(1),
    np.cumsum: _cumsum,
    np.cumprod: _cumprod,
    "running_place": _running_place,
    "logaddexp_accumulate": slice_by_slice(np.logaddexp),
    "logaddexp2_accumulate": slice_by_slice(np.logaddexp2),
    np.unwrap: _unwrap,
    "convolve": _convolve,
    "interp": _interp,
    "linspace": _linspace,
    "linspace_step": _linspace_step,
    "geomspace": _geomspace,
    np.vander: _vander,
}
