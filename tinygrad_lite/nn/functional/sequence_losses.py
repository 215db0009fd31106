"""The loss of sequences whose alignment to their labels is unknown."""

from collections.abc import Sequence

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn.functional.reductions import check_reduction, reduced
from tinygrad_lite.ops import requirements
from tinygrad_lite.ops.arithmetic.reductions import logsumexp
from tinygrad_lite.ops.networks import activations

__all__ = [
    "ctc_loss",
]

Lengths = Array | Sequence[int]


def ctc_loss(
    log_probs: Array,
    targets: Array,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Array:
    """-log of the probability that a sequence reads as its labels, once repeats and then blanks are taken out.

    The log-probabilities have shape (T, N, C) or (T, C), the labels (N, S) or, one sequence after the other, the sum of
    their lengths. A mean divides each loss by its number of labels first. With `zero_infinity`, sequences that are too
    short for their labels have loss 0 in place of infinity.

    The log-probabilities are normalized once more. That changes nothing where they are normalized, as they should be,
    and makes the gradient the one that PyTorch returns, the probabilities less those given the labels.

    Source: Graves et al. (2006), Connectionist temporal classification, eq. 6 to 8.

    Raises:
        ShapeError: if the shapes do not fit.
        InputError: if lengths or labels lie outside their ranges.

    Example:
        >>> p = np.array([[0.5, 0.5], [0.25, 0.75]])
        >>> float(np.exp(-ctc_loss(np.log(p), np.array([1]), 2, 1)))  # as (1, 1), (0, 1) or (1, 0)
        0.875
    """
    check_reduction(reduction)
    batched = np.ndim(log_probs) == 3
    if np.ndim(log_probs) not in (2, 3) or not len(log_probs):
        raise ShapeError(f"ctc_loss needs log-probabilities (T, N, C) or (T, C) with T ≥ 1, got {np.shape(log_probs)}")
    log_p = activations.log_softmax(log_probs if batched else np.expand_dims(log_probs, 1), axis=-1)
    time, batch, classes = np.shape(log_p)
    if not 0 <= blank < classes:
        raise InputError(f"blank must be one of the classes 0 … {classes - 1}, got {blank}")
    steps = _lengths("input_lengths", input_lengths, batch, time)
    lengths = _lengths("target_lengths", target_lengths, batch, None)
    labels = _padded(targets, lengths, blank, classes)
    states = np.full((batch, 2 * labels.shape[1] + 1), blank)  # a blank before, between and after the labels
    states[:, 1::2] = labels
    emitted = np.take_along_axis(log_p, np.broadcast_to(states, (time, *states.shape)), axis=2)
    paths = -logsumexp(_forward(emitted, states, blank, steps) + _where(_is_last(states, lengths)), axis=1)
    if zero_infinity:
        paths = np.where(np.isinf(paths), 0.0, paths)
    if reduction == "mean":
        return np.mean(paths / np.maximum(lengths, 1).astype(paths.dtype))
    return paths[0] if reduction == "none" and not batched else reduced(paths, reduction)


def _forward(emitted: Array, states: Array, blank: int, steps: Array) -> Array:
    """The logarithms of the probabilities of all paths that end in a state after the steps of each sequence: α."""
    batch, count = states.shape
    skips = np.zeros(states.shape, bool)  # from one label to the next, without the blank between different ones
    skips[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    outside = np.full((batch, 2), -np.inf, emitted.dtype)
    started, not_started = np.arange(count) < 2, np.arange(count) < 1
    alpha = np.where(np.expand_dims(steps > 0, 1), emitted[0] + _where(started), _where(not_started))
    for t in range(1, len(emitted)):
        before = np.concatenate([outside, alpha], axis=1)
        ways = [alpha, before[:, 1:-1], before[:, :-2] + _where(skips)]
        following = logsumexp(np.stack(ways), axis=0) + emitted[t]
        alpha = following if steps.min() > t else np.where(np.expand_dims(t < steps, 1), following, alpha)
    return alpha


def _where(condition: Array) -> Array:
    """0 where a condition holds, else -∞."""
    return np.where(condition, np.float32(0), np.float32(-np.inf))


def _is_last(states: Array, lengths: Array) -> Array:
    """Whether a path may end in a state: the last label, or the blank after it."""
    behind = np.expand_dims(2 * lengths, 1) - np.arange(states.shape[1])
    return (behind == 0) | (behind == 1)


def _padded(targets: Array, lengths: Array, blank: int, classes: int) -> Array:
    """The labels as rows of one length, with blanks at the ends."""
    labels = targets.data if isinstance(targets, Tensor) else np.asarray(targets)
    longest = int(lengths.max(initial=0))
    places = np.arange(longest)
    within = places < np.expand_dims(lengths, 1)
    if labels.ndim == 1 and len(labels) == lengths.sum():
        starts = np.cumsum(lengths) - lengths
        labels = labels[np.where(within, np.expand_dims(starts, 1) + places, 0)] if labels.size else within.astype(int)
    elif labels.ndim == 2 and len(labels) == len(lengths) and labels.shape[1] >= longest:
        labels = labels[:, :longest]
    else:
        raise ShapeError(
            f"ctc_loss needs targets (N, S), or all of them one after the other; got {labels.shape} for target_lengths "
            f"{lengths.tolist()}"
        )
    refused = within & ((labels < 0) | (labels >= classes))
    requirements.refuse_where(refused, labels, message=f"class numbers lie in 0 … {classes - 1}, got {{}}")
    return np.where(within, labels, blank)


def _lengths(name: str, lengths: Lengths, batch: int, largest: int | None) -> Array:
    values = np.reshape(lengths.data if isinstance(lengths, Tensor) else np.asarray(lengths), -1)
    if len(values) != batch or values.dtype.kind not in "iu":
        raise ShapeError(f"{name} needs a whole number for each of {batch} sequences, got {values.tolist()}")
    if (values < 0).any() or (largest is not None and (values > largest).any()):
        bounds = "at least 0" if largest is None else f"in 0 … {largest}"
        raise InputError(f"{name} must be {bounds}, got {values.tolist()}")
    return values.astype(np.int64)
