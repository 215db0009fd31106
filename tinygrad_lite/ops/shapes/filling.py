"""Filling: arrays that follow a pattern, such as a constant, evenly spaced values, or powers."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import POSITIVE, Array, Traced, elementwise, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import UsageError
from tinygrad_lite.ops.shapes.indexing import index_set
from tinygrad_lite.ops.shapes.joining import array

zeros_like = primitive(np.zeros_like)
ones_like = primitive(np.ones_like)


@implements(np.empty_like)
def empty_like(prototype: Array, /, *args: Any, **params: Any) -> Array:
    return zeros_like(prototype, *args, **params)


@implements(np.full_like)
def full_like(
    a: Array,
    fill_value: Array,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: str | None = None,
) -> Array:
    blank = zeros_like(a, dtype=dtype, shape=shape)
    if type(fill_value) is int and blank.dtype.kind in "iu":  # NumPy refuses one that does not fit
        return index_set(blank, np.asarray(fill_value, blank.dtype), index=...)
    return index_set(blank, array(fill_value).astype(blank.dtype), index=...)


@implements(np.copyto)
def copyto(dst: Array, src: Array, casting: Any = "same_kind", where: Array = True) -> None:
    """NumPy calls this inside np.full and np.full_like, where a tensor can only be the value."""
    if isinstance(dst, Traced):
        raise UsageError("copyto would write into a tensor, and arrays in a graph never change: use the values instead")
    np.copyto(dst, np.asarray(src), casting, np.asarray(where))


def intervals(num: int, endpoint: bool) -> int:
    """The number of steps from start to stop."""
    return num - 1 if endpoint else num


def shares(num: int, endpoint: bool) -> Array:
    """How far each of the spaced numbers is on the way from start to stop, from 0 to 1."""
    return np.arange(num) / max(intervals(num, endpoint), 1)


def _total(g: Array, weights: Array, axis: int) -> Array:
    return np.moveaxis(g, axis, -1) @ weights


def _linspace(start: Array, stop: Array, num: int, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Array:
    return np.linspace(start, stop, num, endpoint, dtype=dtype, axis=axis)


linspace = primitive(
    _linspace,
    lambda g, y, start, stop, num, endpoint=True, dtype=None, axis=0: _total(g, 1 - shares(num, endpoint), axis),
    lambda g, y, start, stop, num, endpoint=True, dtype=None, axis=0: _total(g, shares(num, endpoint), axis),
    takes_complex=True,
    examples=[([(), ()], {"num": 4}), ([(2, 1), (3,)], {"num": 3, "endpoint": False, "axis": -1})],
)


def _linspace_step(start: Array, stop: Array, num: int, endpoint: bool = True) -> Array:
    return np.linspace(start, stop, num, endpoint, retstep=True)[1]


linspace_step = elementwise(
    _linspace_step,
    lambda y, start, stop, num, endpoint=True: -1 / intervals(num, endpoint),
    lambda y, start, stop, num, endpoint=True: 1 / intervals(num, endpoint),
    takes_complex=True,
    examples=[([(), ()], {"num": 4})],
)


@implements(np.linspace)
def _linspace_as_numpy(
    start: Array,
    stop: Array,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: str | None = None,
) -> Any:
    y = linspace(start, stop, num=num, endpoint=endpoint, dtype=dtype, axis=axis)
    if not retstep:
        return y
    return y, linspace_step(start, stop, num=num, endpoint=endpoint) if intervals(num, endpoint) > 0 else np.nan


@implements(np.logspace)
def logspace(
    start: Array,
    stop: Array,
    num: int = 50,
    endpoint: bool = True,
    base: Array = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Array:
    if np.ndim(base):
        ndim = max(map(np.ndim, (start, stop, base)))
        start, stop, base = (np.reshape(x, (1,) * (ndim - np.ndim(x)) + np.shape(x)) for x in (start, stop, base))
        base = np.expand_dims(base, axis)
    y = np.power(base, np.linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else np.astype(y, dtype)


def _geomspace(start: Array, stop: Array, num: int, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Array:
    return np.geomspace(start, stop, num, endpoint, dtype, axis)


geomspace = primitive(
    _geomspace,
    lambda g, y, start, stop, num, endpoint=True, dtype=None, axis=0: (
        _total(g * y, 1 - shares(num, endpoint), axis) / start
    ),
    lambda g, y, start, stop, num, endpoint=True, dtype=None, axis=0: _total(g * y, shares(num, endpoint), axis) / stop,
    refuses=True,
    domain=(POSITIVE, POSITIVE),
    examples=[([(), ()], {"num": 4}), ([(2, 1), (3,)], {"num": 3, "endpoint": False, "axis": -1})],
)


@implements(np.geomspace)
def _geomspace_as_numpy(
    start: Array, stop: Array, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Array:
    return geomspace(start, stop, num=num, endpoint=endpoint, dtype=dtype, axis=axis)


def _vander_vjp(g: Array, y: Array, x: Array, N: int | None = None, increasing: bool = False) -> Array:
    """The derivative of each power is its exponent times the next lower power, which is in the neighbouring column."""
    towards = 1 if increasing else -1
    powers, g = y[:, ::towards], g[:, ::towards]
    return (g[:, 1:] * powers[:, :-1]) @ np.arange(1.0, np.shape(y)[1])


vander = primitive(
    np.vander,
    _vander_vjp,
    takes_complex=True,
    examples=[([(3,)], {}), ([(3,)], {"N": 4, "increasing": True}), ([(2,)], {"N": 0}), ([(2,)], {"N": 1})],
)
