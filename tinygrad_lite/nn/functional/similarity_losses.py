"""Losses that pull similar things together and push different ones apart, by a margin.

Shapes that do not fit together raise `ShapeError`, a margin that must be positive and is not, `InputError`.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.foundation.sums import through_single
from tinygrad_lite.nn.functional.checks import check_positive, shape_of
from tinygrad_lite.nn.functional.distances import check_broadcast, pairwise_distance
from tinygrad_lite.nn.functional.reductions import matched, reduced
from tinygrad_lite.ops.requirements import refuse_where

__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]  # fmt: skip


Distance = Callable[[Array, Array], Array]


def _hinge(x: Array) -> Array:
    """max(x, 0), with derivative 1 at 0, as PyTorch has it in these losses."""
    return np.clip(x, 0, None)


def _alike(name: str, target: Array) -> Array:
    """Whether the targets say 1 and not -1. Zeros, as labels often are, would be neither, and learnt in silence."""
    message = f"{name} needs targets of 1 and -1, got {{}}: for targets of 1 and 0, write np.where(target == 1, 1, -1)"
    return np.equal(refuse_where(np.not_equal(np.absolute(target), 1), target, message=message), 1)


def hinge_embedding_loss(input: Array, target: Array, margin: float = 1.0, reduction: str = "mean") -> Array:
    """x where the target is 1, max(0, margin - x) where it is -1, for distances x.

    Raises:
        InputError: if a target is another number.

    Example:
        >>> float(hinge_embedding_loss(np.array([0.5, 0.25]), np.array([1.0, -1.0]), reduction="sum"))
        1.25
    """
    target = matched("hinge_embedding_loss", input, target)
    return reduced(np.where(_alike("hinge_embedding_loss", target), input, _hinge(margin - input)), reduction)


def margin_ranking_loss(
    input1: Array, input2: Array, target: Array, margin: float = 0.0, reduction: str = "mean"
) -> Array:
    """max(0, margin - t (x - y)), where t = 1 says that x should be the larger one, and t = -1 that y should.

    Example:
        >>> float(margin_ranking_loss(np.array([1.0]), np.array([3.0]), np.array([1.0])))
        2.0
    """
    input2, target = (matched("margin_ranking_loss", input1, x) for x in (input2, target))
    return reduced(_hinge(margin - target * (input1 - input2)), reduction)


@through_single
def cosine_embedding_loss(
    input1: Array, input2: Array, target: Array, margin: float = 0.0, reduction: str = "mean"
) -> Array:
    """1 - cos(u, v) where the target is 1, max(0, cos(u, v) - margin) where it is -1; u, v (N, D) or (D,).

    Raises:
        InputError: if a target is another number.

    Example:
        >>> u, v = np.array([3.0, 4.0]), np.array([4.0, 3.0])
        >>> float(cosine_embedding_loss(u, v, np.array(1)).round(4))
        0.04
    """
    input2 = matched("cosine_embedding_loss", input1, input2)
    if shape_of(target) != shape_of(input1)[:-1] or np.ndim(input1) not in (1, 2):
        shapes = f"{shape_of(input1)} and {shape_of(target)}"
        raise ShapeError(f"cosine_embedding_loss needs vectors (N, D) and targets (N,), or (D,) and (); got {shapes}")
    squares = [np.sum(np.square(x), axis=-1) + 1e-12 for x in (input1, input2)]
    cosine = np.sum(input1 * input2, axis=-1) / np.sqrt(squares[0] * squares[1])
    return reduced(np.where(_alike("cosine_embedding_loss", target), 1 - cosine, _hinge(cosine - margin)), reduction)


def triplet_margin_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Array:
    """max(0, margin + ‖a - p + ε‖ - ‖a - n + ε‖) of vectors (N, D) or (D,), with the norm of order p.

    With `swap`, the negative's distance is the smaller one of those to the anchor and to the positive.

    Source: Balntas et al. (2016), Learning local feature descriptors with triplets, eq. 2 and section 3.2.

    Example:
        >>> float(triplet_margin_loss(np.zeros(1), np.array([3.0]), np.array([2.0]), eps=0))
        2.0
    """
    check_broadcast("triplet_margin_loss", anchor, positive, negative)
    distance = partial(pairwise_distance, p=p, eps=eps)
    return _triplet("triplet_margin_loss", (anchor, positive, negative), distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    distance_function: Distance | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Array:
    """`triplet_margin_loss` with any distance; by default `pairwise_distance`.

    Example:
        >>> distance = lambda a, b: np.sum(np.square(a - b), axis=-1)
        >>> vectors = np.zeros(1), np.array([3.0]), np.array([2.0])
        >>> float(triplet_margin_with_distance_loss(*vectors, distance_function=distance))
        6.0
    """
    name, distance = "triplet_margin_with_distance_loss", distance_function or pairwise_distance
    if distance_function is None:
        check_broadcast(name, anchor, positive, negative)
    return _triplet(name, (anchor, positive, negative), distance, margin, swap, reduction)


def _triplet(
    name: str, vectors: Sequence[Array], distance: Distance, margin: float, swap: bool, reduction: str
) -> Array:
    check_positive("margin", margin)
    anchor, positive, negative = vectors
    shapes = [shape_of(x) for x in vectors]
    if len({len(shape) for shape in shapes}) > 1:
        raise ShapeError(f"{name} needs anchor, positive and negative with equally many axes, got shapes {shapes}")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = np.minimum(far, distance(positive, negative))
    return reduced(_hinge(margin + near - far), reduction)
