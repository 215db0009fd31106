"""What a loss does with outputs and targets, found out by changing them, so that any function can be the loss."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.training.batches import plain
from tinygrad_lite.training.trial import real_parts

_Loss = Callable[[Any, Any], Any]


def broadcast_targets(loss: _Loss, outputs: Any, targets: Any) -> tuple[Any, ...] | None:
    """The shapes of outputs, of targets and of both, if a loss compares each output with each target.

    It does if the shapes broadcast, the targets matter, and it makes no difference which row has which target.
    """
    for i, y in enumerate(trees.leaves(outputs)):
        for k, t in enumerate(trees.leaves(targets)):
            if isinstance(y, Tensor) and _is_number(t) and y.shape != t.shape and min(y.ndim, t.ndim):
                try:
                    both = np.broadcast_shapes(y.shape, t.shape)
                except ValueError:
                    continue
                if np.prod(both) > max(y.size, t.size) and _is_symmetric(loss, outputs, i, targets, k):
                    return y.shape, t.shape, both
    return None


def _is_symmetric(loss: _Loss, outputs: Any, i: int, targets: Any, k: int) -> bool:
    """Whether the loss stays the same if targets are permuted along an axis, though it depends on each output's.

    A loss that compares two samples as a whole is symmetric, too; but there, each output's slope depends on the others.
    """
    y, t = trees.leaves(outputs)[i], np.asarray(plain(trees.leaves(targets)[k]))
    if (t == t[:1]).all():
        t = (t + np.arange(t.size).reshape(t.shape) % 2).astype(t.dtype)
    low, high = (np.nan_to_num(x, posinf=1, neginf=-1) for x in (t.min(), t.max()))
    drawn = np.random.default_rng(0).uniform(low, high, y.shape).astype(y.dtype)  # losses are curved there
    moved = np.concatenate([drawn[-1:], drawn[1:]])
    for axis in range(t.ndim):
        alike = np.broadcast_to(np.take(t, [0], axis), t.shape).copy()
        numbers = (drawn, t), (drawn, np.roll(t, 1, axis)), (drawn, alike), (moved, t)
        try:
            before, turned, others, apart = (
                value_and_slopes(loss, _with_leaf(outputs, i, a), _with_leaf(targets, k, b)) for a, b in numbers
            )
        except Exception:  # the user's loss refuses these numbers
            return True
        if _are_equal(before, turned) and not _are_equal(before, others):
            left, right = (np.concatenate([np.ravel(x[1:]) for x in slopes]) for _, *slopes in (before, apart))
            return bool(left @ right > (1 - 1e-6) * np.linalg.norm(left) * np.linalg.norm(right))
    return False


def ignores_targets(loss: _Loss, outputs: Any, targets: Any) -> bool:
    """Whether a loss and its slopes stay the same when rows get the different targets of other rows."""
    numbers = [np.asarray(t) for t in trees.leaves(plain(targets)) if _is_number(t)]
    if not any((t != t[:1]).any() for t in numbers):
        return False
    others = trees.map_leaves(lambda t: np.roll(plain(t), 1, axis=0) if _is_number(t) else t, targets)
    alike = trees.map_leaves(lambda t: np.repeat(plain(t)[:1], len(t), axis=0) if _is_number(t) else t, targets)
    try:
        own, *replaced = (value_and_slopes(loss, outputs, t) for t in (targets, others, alike))
    except Exception:  # a loss may refuse them, which is to look at them
        return False
    return all(_are_equal(own, x) for x in replaced)


def takes_probabilities_for_logits(loss: _Loss, start: Any, learned: Any, targets: Any) -> str:
    """The function that a loss applies to outputs that come from it already: softmax, sigmoid, or none."""
    leaves = [(i, np.asarray(a), np.asarray(b)) for i, (a, b) in enumerate(_pairs(start, learned))]
    for i, a, b in leaves:
        if _adds_up(a) and _adds_up(b):
            value, moved, doubled = (
                _value(loss, _with_leaf(learned, i, x.astype(b.dtype)), targets) for x in (b, b + 1, 2 * b)
            )
            if np.isclose(value, moved, rtol=1e-4, atol=0) and not np.isclose(value, doubled, rtol=1e-4, atol=0):
                return "softmax"
        if not (_within(a) and _within(b)):
            continue
        for t in map(np.asarray, trees.leaves(plain(targets))):
            if np.squeeze(t).shape != np.squeeze(b).shape:
                continue
            t = t.reshape(b.shape)  # the loss may squeeze either
            if {*np.unique(t)} == {0, 1} and np.mean(np.abs(b - t)) < 0.4:
                perfect, beyond = (
                    _value(loss, _with_leaf(learned, i, x.astype(b.dtype)), targets) for x in (t, 9 * t - 4)
                )
                if 0 <= beyond < perfect:
                    return "sigmoid"
    return ""


def flees(before: Any, after: Any, targets: Any) -> bool:
    """Whether outputs went away from the targets."""
    for y, z in _pairs(before, after):
        for t in map(np.asarray, trees.leaves(plain(targets))):
            if t.shape != y.shape and t.dtype.kind in "iu" and t.shape == y.shape[:1] + y.shape[2:]:
                t = np.moveaxis(t[..., None] == np.arange(y.shape[1]), -1, 1) - 1 / y.shape[1] + y
            if t.shape == y.shape and t.dtype.kind in "fiub":
                moved, wanted = z - y, t - y
                if np.sum(moved * wanted) < -0.3 * np.linalg.norm(moved) * np.linalg.norm(wanted):
                    return True
    return False


def _pairs(before: Any, after: Any) -> Iterator[tuple[Any, Any]]:
    yield from zip(trees.leaves(plain(before)), trees.leaves(plain(after)))


def _adds_up(x: Any) -> bool:
    """Whether each row, along the axis of classes or the last one, holds probabilities."""
    return (
        x.ndim > 1
        and x.min(initial=0) >= 0
        and any(x.shape[axis] > 1 and np.allclose(x.sum(axis=axis), 1, atol=1e-5) for axis in (1, -1))
    )


def _within(x: Any) -> bool:
    return x.dtype.kind in "fiub" and x.size > 0 and bool(np.all((x >= 0) & (x <= 1)))


def _is_number(x: Any) -> bool:
    return getattr(getattr(x, "dtype", None), "kind", "") in tuple("fiub") and x.ndim > 0 and len(x) > 1


def _with_leaf(tree: Any, k: int, leaf: Any) -> Any:
    count = itertools.count()
    return trees.map_leaves(lambda x: leaf if next(count) == k else x, tree)


def _value(loss: _Loss, outputs: Any, targets: Any) -> float:
    """The loss of outputs, NaN if it refuses them."""
    try:
        return float(loss(trees.map_leaves(lambda x: tensor(x) if _is_array(x) else x, plain(outputs)), targets))
    except Exception:  # which may be any of the user's
        return np.nan


def value_and_slopes(loss: _Loss, outputs: Any, targets: Any) -> list[Any]:
    """The loss, and its gradients with respect to the outputs: to the real and the imaginary part of complex ones."""
    sources = []

    def source(x: Any) -> Any:
        if not _is_array(x, "fc"):
            return x
        parts = [tensor(part, requires_grad=True) for part in real_parts(x)]
        sources.extend(parts)
        return parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]

    value = loss(trees.map_leaves(source, plain(outputs)), targets)
    value.backward()
    return [value.data, *(x.grad.data for x in sources if x.grad is not None)]


def _is_array(x: Any, kinds: str = "fiub") -> bool:
    return getattr(getattr(x, "dtype", None), "kind", "-") in kinds


def _are_equal(a: list[Any], b: list[Any]) -> bool:
    sizes = [max(np.abs(x).max(initial=0), np.finfo(x.dtype).tiny) for x in a]
    return all(np.allclose(x / s, y / s, rtol=0, atol=1e3 * np.finfo(x.dtype).eps) for x, y, s in zip(a, b, sizes))
