"""Copies of arrays in memory into another order of their axes."""

import numpy as np

from tinygrad_lite.engine.op import Array

PERIOD = 4096
"""Entries that lie so many bytes apart have the same few places in the cache."""

WAYS = 8
"""How many of them the cache holds."""


def copied(x: Array, place: Array) -> Array:
    """Copy x into an array of its shape that lies otherwise in memory.

    Where the entries that come to lie side by side share a place in the cache, a few at a time take a third of the
    time: a line of the cache is used up before another takes its place.
    """
    axis = place.strides.index(min(place.strides)) if place.ndim else 0  # in a tenth of the time of np.argmin
    if not x.ndim or x.shape[axis] <= WAYS or not x.strides[axis] or x.strides[axis] % PERIOD:
        place[...] = x
        return place
    for first in range(0, x.shape[axis], WAYS):
        some = (*[slice(None)] * axis, slice(first, first + WAYS))
        place[some] = x[some]
    return place


def contiguous(x: Array) -> Array:
    """The same array without gaps and in the order of its axes; not copied if it lies so."""
    return x if x.flags.c_contiguous else copied(x, np.empty(x.shape, x.dtype))
