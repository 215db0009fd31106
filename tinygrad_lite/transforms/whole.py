"""A whole function as one operation: its results packed into one array, its gradients computed all at once."""

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
    """An operation whose gradients are computed all at once: gradients(g, y, *x) returns one for each array."""
    latest: Any = None
    pending: dict[int, Array] = {}

    def gradient(i: int, g: Array, y: Array, arrays: Sequence[Array]) -> Array:
        nonlocal latest, pending
        if latest is not g or i not in pending:  # a pass calls the rules of all arrays with the same g
            latest, pending = g, dict(enumerate(gradients(g, y, *arrays)))
        gradient = pending.pop(i)  # a pass asks once for each, so nothing is kept
        if not pending:
            latest = None
        return gradient if grad_mode.enabled.get() else innermost(gradient)

    return Op(forward, ForEach(gradient), name="function" if name == "<lambda>" else name, arity=None)


class Packing:
    """Packs a result in containers into one array, since an operation has one value, and unpacks it again."""

    def __init__(self, name: str) -> None:
        self._name = name

    def pack(self, result: Any) -> Array:
        for y in trees.leaves(result):
            check_number(y, self._name)
        # the containers, shapes and dtypes, without the entries
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
