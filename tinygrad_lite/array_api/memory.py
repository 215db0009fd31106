"""Memory: where the entries of arrays lie, which decides what is a view of what."""

from collections.abc import Mapping
from typing import Any
from weakref import ref

import numpy as np

from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import UsageError

_HELD = ("primal", "value", "exact")
"""The attributes in which traced values other than tensors hold what they were made of."""


class Memory:
    """The memory that an array and its views share.

    Attributes:
        writes: how often it was written to.
        copies: the plain arrays that stand for it elsewhere, as long as somebody has them.
    """

    def __init__(self) -> None:
        self.writes = 0
        self.copies: list[Any] = []

    def copied(self, array: Array) -> Any:
        """A plain copy of an array, which would not see what is written into this memory later."""
        array = array.copy(order="K")
        array.flags.writeable = False
        self.copies = [copy for copy in self.copies if copy() is not None] + [ref(array)]
        return array

    def written(self) -> int:
        """Count one more time that it was written to.

        Raises:
            UsageError: if a plain array stands for it that would not see it.
        """
        if any(copy() is not None for copy in self.copies):
            raise UsageError(
                "np.asarray(x), np.require and as_strided give a plain array here, which does not see what is written "
                "into x afterwards: use x itself, or np.array(x) for what it holds now"
            )
        self.writes += 1
        return self.writes


def is_view(result: Any, array: Any, op: Op, params: Mapping[str, Any], like: Any = None) -> bool:
    """Whether NumPy's result of an operation that moves the entries of one array is a view of it.

    Another array tells, if this one is elsewhere, or lies in memory as it does not in NumPy.
    """
    if like is not None:
        return np.may_share_memory(op.forward(like, **params), like)
    a, b = in_memory(result), in_memory(array)
    if not isinstance(b, np.ndarray):
        a, b = None, np.empty(array.shape, array.dtype)
    if not isinstance(a, np.ndarray):  # a tensor holds a number where NumPy may have a view without axes
        a = op.forward(b, **params)
    return isinstance(a, np.ndarray) and np.may_share_memory(a, b)


def in_memory(x: Any) -> Any:
    """NumPy's array or number inside a tensor, a dual or whatever else holds one; None if there is none."""
    while isinstance(x, Traced):
        x = x._array if isinstance(x, Tensor) else next((getattr(x, name) for name in _HELD if hasattr(x, name)), None)
    return x if isinstance(x, (np.ndarray, np.generic)) else None


def laid_out(value: Any, like: Any) -> Any:
    """A value whose array lies in memory as that of another one, on which it depends what is a view of it."""
    array, like = in_memory(value), in_memory(like)
    if array is None or like is None or array.strides == like.strides:
        return value
    if like.flags.c_contiguous:  # in half as many operations
        return np.reshape(np.ravel(value), value.shape)
    order = np.argsort([-abs(step) for step in like.strides], kind="stable")
    rows = np.reshape(np.ravel(np.transpose(value, order)), tuple(like.shape[i] for i in order))
    return np.transpose(rows, np.argsort(order))


def lying_as(like: Any, entries: Any) -> Any:
    """A copy of an array that lies in memory as another one, gaps included."""
    start, stop = np.lib.array_utils.byte_bounds(like)
    first = like.__array_interface__["data"][0] - start
    copy = np.ndarray(like.shape, like.dtype, np.empty(stop - start, np.uint8), first, like.strides)
    copy[...] = entries
    return copy
