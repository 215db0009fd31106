"""Padding: an array with a border of constants, of its own entries, or of values computed from them."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import RESTATED, InputError, UsageError, complain
from tinygrad_lite.ops.shapes.indexing import index_set, performed, places, scatter
from tinygrad_lite.ops.shapes.joining import array, concatenate
from tinygrad_lite.ops.shapes.shaping import asked, ravel, taken


def _pad(x: Array, pad_width: Array, constant_values: Array) -> Array:
    if type(x) is np.ndarray:
        widths, constants = np.asarray(pad_width), np.asarray(constant_values)
        pairs = _pairs_of(widths, x.ndim)
        if constants.size != 1 or widths.dtype.kind not in "iu" or any(min(pair) < 0 for pair in pairs):
            return np.pad(x, pad_width, constant_values=constant_values)
        # in a third of the time, and laid out as x is
        y = np.empty_like(x, shape=tuple([before + size + after for (before, after), size in zip(pairs, x.shape)]))
        y.fill(constants.item())
        y[_within(x.shape, pairs)] = x
        return y
    border = np.pad(np.zeros(x.shape, x.dtype), pad_width, constant_values=constant_values)
    return index_set(border, x, index=_inside(x, pad_width))


def _pairs_of(widths: Any, ndim: int) -> list[Any]:
    """The widths before and behind each axis, as numbers."""
    pairs: list[Any] = (widths if widths.shape == (ndim, 2) else np.broadcast_to(widths, (ndim, 2))).tolist()
    return pairs


def _inside(x: Array, pad_width: Array) -> Any:
    """The index of the entries of x in the padded array."""
    return _within(np.shape(x), _pairs_of(np.asarray(pad_width), np.ndim(x)))


def _within(shape: tuple[int, ...], pairs: Sequence[Sequence[int]]) -> Any:
    """The same for an array of this shape."""
    return tuple([slice(before, before + size) for (before, _), size in zip(pairs, shape)])


pad = primitive(
    _pad,
    lambda g, y, x, pad_width, constant_values: g[_inside(x, pad_width)],
    kind="moving",
    examples=[([(2, 3)], {"pad_width": np.array([[1, 2], [0, 1]]), "constant_values": np.float64(0.5)})],
)

_OWN = ("edge", "reflect", "symmetric", "wrap")
"""The modes of a border that consists of the array's own entries, and is made one axis after another."""

FEW = 64
"""A border of more slices is read entry by entry."""

_Pairs = tuple[tuple[int, int], ...]


@lru_cache(1000)
def _slices(shape: tuple[int, ...], pairs: _Pairs, mode: Any) -> list[tuple[Any, Any]]:
    """The slices of the padded array that are copied, axis by axis: where to, and where from."""
    slices, axes = [], range(len(shape))
    for axis, (size, (before, after)) in enumerate(zip(shape, pairs)):
        alone = [(before, after) if i == axis else (0, 0) for i in axes]  # so that an error names the axis
        positions = np.expand_dims(np.arange(before, before + size), [i for i in axes if i != axis])
        shown = np.pad(positions, alone, mode).ravel()
        border = np.flatnonzero(shown != np.arange(len(shown)))
        around = (slice(None),) * axis
        sources = zip(border.tolist(), shown[border].tolist())
        slices += [((*around, place), (*around, source)) for place, source in sources]
    return slices


def _positions(shape: tuple[int, ...], pairs: _Pairs, mode: Any) -> Array:
    """The position in the flattened array of the entry that each entry of the padded one shows."""
    return np.pad(places(shape), pairs, mode)


def _pad_with_own(x: Array, pairs: _Pairs, mode: str) -> Array:
    if type(x) is not np.ndarray:
        return taken(ravel(x), _positions(x.shape, pairs, mode))
    y = np.empty_like(x, shape=[size + before + after for size, (before, after) in zip(x.shape, pairs)])
    y[_within(x.shape, pairs)] = x
    for place, source in _slices(x.shape, pairs, mode):
        y[place] = y[source]
    return y


def _pad_with_own_vjp(g: Array, y: Array, x: Array, pairs: _Pairs, mode: str) -> Array:
    if type(g) is not np.ndarray:
        positions = _positions(x.shape, pairs, mode).ravel()
        return np.reshape(scatter(ravel(g), shape=(x.size,), indices=(positions,)), x.shape)
    g = g.copy()
    for place, source in reversed(_slices(x.shape, pairs, mode)):
        g[source] += g[place]
    return g[_within(x.shape, pairs)]


pad_with_own = primitive(
    _pad_with_own,
    _pad_with_own_vjp,
    kind="moving",
    linear=True,
    name="pad_with_own",
    examples=[([(2, 3)], {"pairs": ((1, 2), (0, 1)), "mode": mode}) for mode in _OWN],
)

# A function that pads the first axis by `before` and `after` entries.
_Growing = Callable[[Array, int, int, Any], Array]


def _bordered(front: Array, x: Array, back: Array) -> Array:
    return concatenate(front, x, back, axis=0, dtype=x.dtype, casting="unsafe")


def _linear_ramp(x: Array, before: int, after: int, ends: Array) -> Array:
    front = np.linspace(ends[0], x[0], before, endpoint=False, dtype=x.dtype)
    back = np.linspace(ends[1], x[-1], after, endpoint=False, dtype=x.dtype)
    return _bordered(front, x, back[::-1])


def _statistic(function: Callable[..., Array]) -> _Growing:
    def grown(x: Array, before: int, after: int, lengths: Array) -> Array:
        first, last = (len(x) if length is None else min(round(length), len(x)) for length in lengths)
        if first < 0 or last < 0:
            raise InputError(f"pad: stat_length must not be negative, got {lengths[0]} and {lengths[1]}")
        values = [function(part, axis=0, keepdims=True) for part in (x[:first], x[len(x) - last :])]
        if x.dtype.kind in "iu":
            values = [np.round(value) for value in values]
        front, back = (np.broadcast_to(value, (n, *x.shape[1:])) for value, n in zip(values, (before, after)))
        return _bordered(front, x, back)

    return grown


def _odd(x: Array, before: int, after: int, mode: str) -> Array:
    """Reflection in the point at the edge: 2 · edge - x, repeated as long as entries are missing."""
    if len(x) == 1:
        return np.repeat(x, 1 + before + after, axis=0)
    skipped = int(mode == "reflect")  # "reflect" does not repeat the edge in the border
    period = len(x) - skipped
    while before or after:
        reach = (len(x) - skipped) // period * period
        i, j, end = min(before, reach), min(after, reach), len(x) - skipped
        x = _bordered(2 * x[:1] - x[skipped : skipped + i][::-1], x, 2 * x[-1:] - x[end - j : end][::-1])
        before, after = before - i, after - j
    return x


# for each mode: the function that pads an axis, the setting that it reads, and the default of that setting
_COMPUTED: dict[str, tuple[_Growing, str, Any]] = {
    "linear_ramp": (_linear_ramp, "end_values", 0),
    "maximum": (_statistic(np.max), "stat_length", None),
    "minimum": (_statistic(np.min), "stat_length", None),
    "mean": (_statistic(np.mean), "stat_length", None),
    "median": (_statistic(np.median), "stat_length", None),
}


def _pairs(setting: Any, ndim: int) -> Any:
    """A setting for the front and the back of each axis, from any form in which NumPy takes it."""
    values = array(setting)
    pairs = np.broadcast_to(values, (ndim, 2))
    # np.pad converts more than two values to Python numbers, which shows in the last digit of float32
    return pairs.tolist() if isinstance(pairs, np.ndarray) and values.size > 2 else pairs


def _of_all_axes(widths: dict[int, Any], ndim: int) -> list[Any]:
    """Widths for some of the axes (since NumPy 2.3), as a list for all axes."""
    pairs: list[Any] = [(0, 0)] * ndim
    for axis, width in widths.items():
        pairs[axis] = np.broadcast_to(width, 2)
    return pairs


def _with_entries(x: Array, widths: Any, mode: str, **settings: Any) -> Array:
    """Pad with entries of x or constants; NumPy, called on their positions, tells which of them goes where."""
    constants = array(settings.get("constant_values", 0), x.dtype)
    if mode == "empty" and not settings:
        mode = "constant"
    if mode == "constant" and not isinstance(constants, Traced) and settings.keys() <= {"constant_values"}:
        return performed(pad, (x,), {"pad_width": np.array(widths), "constant_values": constants})
    if mode == "constant":
        settings["constant_values"] = x.size + places(constants.shape)
    if x.ndim and mode in _OWN and settings in ({}, {"reflect_type": "even"}):
        pairs = tuple(map(tuple, _pairs_of(np.asarray(widths), x.ndim)))
        if sum(map(sum, pairs)) <= FEW:
            try:
                _slices(x.shape, pairs, mode)
            except RESTATED as error:
                complain(error, "pad", [x])
            return pad_with_own(x, pairs=pairs, mode=mode)
    positions = asked(np.pad, [x], places(x.shape), widths, mode, **settings)
    return taken(concatenate(ravel(x), ravel(constants)), positions)


@implements(np.pad)
def _pad_as_numpy(array: Array, pad_width: Any, mode: Any = "constant", **settings: Any) -> Array:
    if callable(mode):
        raise UsageError("pad: a function as mode writes into its array, and arrays here never change; pass a name")
    if isinstance(pad_width, dict):
        pad_width = _of_all_axes(pad_width, array.ndim)
    if mode in _COMPUTED:
        grown, name, default = _COMPUTED[mode]
        values = _pairs(settings.pop(name, default), array.ndim)
        if settings:
            raise UsageError(f"pad: mode {mode!r} takes {name}=, not {', '.join(settings)}")
    elif mode in ("reflect", "symmetric") and settings == {"reflect_type": "odd"}:
        grown, values = _odd, [mode] * array.ndim
    else:
        return _with_entries(array, pad_width, mode, **settings)
    # NumPy raises the error for invalid widths
    asked(np.pad, [array], np.empty(array.shape, bool), pad_width, "edge")
    for axis, ((before, after), value) in enumerate(zip(_pairs(pad_width, array.ndim), values)):
        if before or after:
            array = np.moveaxis(grown(np.moveaxis(array, axis, 0), before, after, value), 0, axis)
    return array
