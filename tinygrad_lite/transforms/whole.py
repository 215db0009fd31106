"""A whole function as one operation: its results packed into one array, its gradients computed all at once."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.arguments import ForEach
from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.transforms.dual import has_history, innermost
from tinygrad_lite.transforms.runs import check_number


class AllAtOnce:
    """The rule of an operation whose gradients are computed all at once: gradients(g, y, *x), one for each array."""

    __slots__ = ("_gradients", "_latest", "_pending")

    def __init__(self, gradients: Callable[..., list[Array]]) -> None:
        self._gradients = gradients
        self._latest: Any = None
        self._pending: dict[int, Array] = {}

    def __call__(self, i: int, g: Array, y: Array, arrays: Sequence[Array]) -> Array:
        if self._latest is not g or i not in self._pending:  # one pass calls the rules with the same g
            self._latest, self._pending = g, dict(enumerate(self._gradients(g, y, *arrays)))
        gradient = self._pending.pop(i)  # a pass asks for each once, so do not keep it
        if not self._pending:
            self._latest = None
        if not isinstance(gradient, Traced) or (has_history(gradient) and grad_mode.enabled.get()):
            return gradient
        return innermost(gradient)


def operation(name: str, forward: Callable[..., Array], rule: Callable[..., Array]) -> Op:
    """An operation on any number of arrays; its rule takes the index of an array, g, y and the arrays."""
    name = "function" if name == "<lambda>" else name
    return _Whole(forward, ForEach(rule), name=name, arity=None, takes_complex=True)


class _Whole(Op):
    """An operation whose rule runs a function on the arrays, and so takes them in their own dtypes."""

    def for_rules(self, arrays: Sequence[Array], dtype: Any) -> tuple[Array, ...]:
        return tuple(arrays)


class Packing:
    """Packs a result in containers into one array, since an operation has one value, and unpacks it again."""

    def __init__(self, name: str) -> None:
        self._name = name

    def pack(self, result: Any) -> Array:
        for y in trees.leaves(result):
            check_number(y, self._name, complex_too=True)
        # this keeps the containers, shapes and dtypes, not the entries
        self._like = trees.map_leaves(lambda x: np.broadcast_to(np.zeros((), np.result_type(x)), np.shape(x)), result)
        if isinstance(self._like, np.ndarray):
            return result
        return np.concatenate([np.ravel(part) for part in trees.leaves(result)] or [np.zeros(0)])

    def unpack(self, array: Array) -> Any:
        if isinstance(self._like, np.ndarray):
            return array
        sizes = [like.size for like in trees.leaves(self._like)]
        parts = iter(array[stop - size : stop] for size, stop in zip(sizes, np.cumsum(sizes).tolist()))
        return trees.map_leaves(lambda like: _alike(next(parts).reshape(like.shape), like), self._like)


def _alike(part: Array, like: Array) -> Array:
    """A part of the packed array in its own dtype; a real number that was packed with complex ones is real again."""
    return (np.real(part) if like.dtype.kind != "c" == part.dtype.kind else part).astype(like.dtype)
