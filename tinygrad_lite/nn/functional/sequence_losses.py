"""The loss of sequences whose alignment to their labels is unknown."""

from collections.abc import Sequence

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.foundation.foreign import numbers_of
from tinygrad_lite.nn.functional.checks import values_of
from tinygrad_lite.nn.functional.reductions import check_reduction, reduced
from tinygrad_lite.ops import requirements
from tinygrad_lite.ops.networks import activations
from tinygrad_lite.ops.networks.ctc import ctc

__all__ = ["ctc_loss"]

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

    The log-probabilities are normalized once more. That changes nothing if they are normalized, as they should be, and
    makes the gradient PyTorch's: the probabilities minus those given the labels.

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
    if not isinstance(blank, (int, np.integer)) or not 0 <= blank < classes:
        raise InputError(f"ctc_loss: blank must be one of the classes 0 … {classes - 1}, got {blank!r}")
    steps = _lengths("input_lengths", input_lengths, batch, time)
    lengths = _lengths("target_lengths", target_lengths, batch, None)
    labels = _padded(targets, lengths, blank, classes)
    blanks = np.full((batch, 1), blank)  # before, between and after the labels
    between = np.reshape(np.stack([labels, np.broadcast_to(blanks, np.shape(labels))], axis=2), (batch, -1))
    states = np.concatenate([blanks, between], axis=1)
    others = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])  # which may follow without a blank between
    skips = np.concatenate([np.zeros((batch, min(2, np.shape(states)[1])), bool), others], axis=1)
    left = np.expand_dims(2 * lengths, 1) - np.arange(np.shape(states)[1])
    emitted = np.take_along_axis(log_p, np.broadcast_to(states, (time, *np.shape(states))), axis=2)
    entries = ctc(emitted, skips, (left == 0) | (left == 1), steps)
    if zero_infinity:
        entries = np.where(np.isinf(entries), 0.0, entries)
    if reduction == "mean":
        return np.mean(entries / np.maximum(lengths, 1).astype(entries.dtype))
    return entries[0] if reduction == "none" and not batched else reduced(entries, reduction)


def _padded(targets: Array, lengths: Array, blank: int, classes: int) -> Array:
    """The labels as rows of one length, with blanks at the ends."""
    labels = numbers_of(values_of(targets), "ctc_loss")
    if labels.ndim == 2 and len(labels) == len(lengths):
        message = f"ctc_loss: no {{}} labels in {labels.shape}"
        requirements.refuse_where(lengths > labels.shape[1], lengths, message=message)
        within = np.arange(labels.shape[1]) < np.expand_dims(lengths, 1)
    elif labels.ndim == 1 and len(labels) == lengths.sum():
        places = np.arange(int(lengths.max(initial=0)))
        within = places < np.expand_dims(lengths, 1)
        starts = np.expand_dims(np.cumsum(lengths) - lengths, 1)
        labels = labels[np.where(within, starts + places, 0)] if len(labels) else within.astype(int)
    else:
        shapes = f"{labels.shape} for target_lengths {lengths}"
        raise ShapeError(f"ctc_loss needs targets (N, S), or all of them one after the other; got {shapes}")
    refused = within & ((labels < 0) | (labels >= classes))
    requirements.refuse_where(refused, labels, message=f"ctc_loss: class numbers lie in 0 … {classes - 1}, got {{}}")
    return np.where(within, labels, blank)


def _lengths(name: str, lengths: Lengths, batch: int, largest: int | None) -> Array:
    values = np.reshape(values_of(lengths), -1)
    if len(values) != batch or values.dtype.kind not in "iu":
        raise ShapeError(f"ctc_loss: {name} needs an integer for each of {batch} sequences, got {values}")
    if largest is None:
        requirements.refuse_where(values < 0, values, message=f"ctc_loss: {name} must be at least 0, got {{}}")
    else:
        message = f"ctc_loss: {name} must be in 0 … {largest}, got {{}}"
        requirements.refuse_where((values < 0) | (values > largest), values, message=message)
    return values.astype(np.int64)
