"""A whole function as one operation: its results as one array, and its rules computed all at once."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.arguments import ForEach
from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.transforms.dual import innermost
from tinygrad_lite.transforms.runs import check_number


def operation(name: str, forward: Callable[..., Array], gradients: Callable[..., list[Array]]) -> Op:
    """An operation whose rules are computed all at once: gradients(g, y, *x) gives one for each array."""
    asked: Any = None
    found: dict[int, Array] = {}

    def gradient(i: int, g: Array, y: Array, arrays: Sequence[Array]) -> Array:
        nonlocal asked, found
        if asked is not g or i not in found:  # the rules of all arrays are asked with one g
            asked, found = g, dict(enumerate(gradients(g, y, *arrays)))
        gradient = found.pop(i)  # and each once, so that none is kept
        if not found:
            asked = None
        return gradient if grad_mode.enabled.get() else innermost(gradient)

    return Op(forward, ForEach(gradient), name="function" if name == "<lambda>" else name, arity=None)


class Packing:
    """A result of containers as one array, since an operation has one value, and back."""

    def __init__(self, name: str) -> None:
        self._name = name

    def pack(self, result: Any) -> Array:
        for y in trees.leaves(result):
            check_number(y, self._name)
        # of what it is made, without the entries themselves
        self._like = trees.map_leaves(lambda x: np.broadcast_to(np.zeros((), np.result_type(x)), np.shape(x)), result)
        if isinstance(self._like, np.ndarray):
            return result
        return np.concatenate([np.ravel(part) for part in trees.leaves(result)] or [np.zeros(0)])

    def unpack(self, array: Array) -> Any:
        if isinstance(self._like, np.ndarray):
            return array
        sizes = [like.size for like in trees.leaves(self._like)]
        parts = iter(array[stop - size : stop] for size, stop in zip(sizes, np.cumsum(sizes).tolist()))
        return trees.map_leaves(lambda like: next(parts).reshape(like.shape).astype(like.dtype), self._like)
