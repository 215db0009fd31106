"""Layers and losses on a stack of examples: the examples join the batch of each, or become groups of channels."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.ops.batching.arrays import in_front
from tinygrad_lite.ops.batching.rules import (
    Argument,
    ByPartsError,
    OneByOneError,
    broadcasting,
    number_of_examples,
    rule_of,
)


def _joined(x: Argument, count: int, axis: int = 0) -> Array:
    """An array in which this axis of an example, its batch, holds the batches of all examples."""
    stack = np.moveaxis(x.repeated(count), 0, axis) if axis else x.repeated(count)
    shape = np.shape(stack)
    return np.reshape(stack, (*shape[:axis], count * shape[axis + 1], *shape[axis + 2 :]))


def _apart(y: Array, count: int, axis: int = 0) -> Array:
    """The stack whose examples lie one after the other along an axis."""
    shape = np.shape(y)
    stack = np.reshape(y, (*shape[:axis], count, shape[axis] // count, *shape[axis + 1 :]))
    return np.moveaxis(stack, axis, 0) if axis else stack


@rule_of("normalization")
def _normalization(op: Op, x: Argument, weight: Argument, bias: Argument, axes: tuple[int, ...], eps: float) -> Array:
    count = number_of_examples((x, weight, bias))
    parts = [part.with_axes(x.ndim) if part.array is not None else None for part in (weight, bias)]
    return op(x.repeated(count), *parts, axes=tuple([i + 1 for i in axes]), eps=eps)


rule_of("masked_softmax")(broadcasting)
rule_of("unpool")(in_front)


@rule_of("max_pool", "sum_pool")
def _along_last_axes(op: Op, x: Argument, kernel: tuple[int, ...], **params: Any) -> Array:
    if x.ndim < len(kernel):
        raise OneByOneError
    return op(x.array, kernel=kernel, **params)


@rule_of("resample", "resample_back")
def _resample(op: Op, x: Argument, axis: int, spacing: Any) -> Array:
    return op(x.array, axis=axis + 1, spacing=spacing)


@rule_of("convolution", "transposed_convolution")
def _convolution(op: Op, x: Argument, weight: Argument, groups: int, **params: Any) -> Array:
    """With one kernel for all examples, images join the batch; with kernels of their own, they join the channels."""
    count = number_of_examples((x, weight))
    if not weight.is_stack:
        return _apart(op(_joined(x, count), weight.array, groups=groups, **params), count)
    return _apart(op(_joined(x, count, 1), _joined(weight, count), groups=count * groups, **params), count, 1)


@rule_of("kernel_correlation")
def _kernel_correlation(op: Op, x: Argument, z: Argument, groups: int, **params: Any) -> Array:
    """Each example has a kernel of its own: the examples join the channels."""
    count = number_of_examples((x, z))
    return _apart(op(_joined(x, count, 1), _joined(z, count, 1), groups=count * groups, **params), count)


@rule_of("rnn", "lstm", "gru")
def _recurrent(op: Op, x: Argument, *others: Argument, **params: Any) -> Array:
    """With the same weights for all examples, sequences join the batch; else each step runs on stacks."""
    states, weights = others[:-4], others[-4:]
    if any(weight.is_stack for weight in weights):
        raise OneByOneError if params.get("nonlinearity") == "relu" else ByPartsError  # np.maximum has ties at 0
    count = number_of_examples((x, *states))
    joined = [_joined(x, count, 2), *[_joined(state, count, 1) for state in states]]
    return _apart(op(*joined, *[weight.array for weight in weights], **params), count, 2)


@rule_of("negative_log_likelihood")
def _negative_log_likelihood(op: Op, x: Argument, labels: Argument) -> Array:
    count = number_of_examples((x, labels))
    return _apart(op(_joined(x, count), _joined(labels, count)), count)


@rule_of("ctc")
def _ctc(op: Op, emitted: Argument, *of_sequences: Argument) -> Array:
    count = number_of_examples((emitted, *of_sequences))
    return _apart(op(_joined(emitted, count, 1), *[_joined(x, count) for x in of_sequences]), count)


@rule_of("cross_entropy")
def _cross_entropy(op: Op, x: Argument, labels: Argument, reduction: str, ignore_index: int | None = None) -> Array:
    count = number_of_examples((x, labels))
    ignored = {} if ignore_index is None else {"ignore_index": ignore_index}
    rows = _apart(op(_joined(x, count), _joined(labels, count), reduction="none", **ignored), count)
    if reduction != "mean" or ignore_index is None:
        return _reduced(rows, reduction)
    kept = np.not_equal(labels.repeated(count), ignore_index)
    return np.sum(rows, axis=1) / np.sum(kept.astype(rows.dtype), axis=1)


@rule_of("binary_cross_entropy_with_logits")
def _binary_cross_entropy_with_logits(op: Op, z: Argument, target: Argument, reduction: str) -> Array:
    count = number_of_examples((z, target))
    return _reduced(op(z.repeated(count), target.repeated(count), reduction="none"), reduction)


def _reduced(losses: Array, reduction: str) -> Array:
    """The mean or the sum of the losses of each example."""
    if reduction == "none":
        return losses
    rows = np.reshape(losses, (len(losses), losses.size // len(losses)))
    return (np.mean if reduction == "mean" else np.sum)(rows, axis=1)
