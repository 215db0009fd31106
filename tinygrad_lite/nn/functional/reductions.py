"""What all losses share: the reduction of their entries, and checks of their shapes and margins."""

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.nn.functional.checks import shape_of, values_of
from tinygrad_lite.ops.networks import losses


def check_reduction(reduction: str, *others: str) -> None:
    """Raise `InputError` unless the reduction is one of the three, or another that the loss knows."""
    if reduction not in losses.REDUCTIONS and reduction not in others:
        *known, last = map(repr, (*losses.REDUCTIONS, *others))
        raise InputError(f"reduction must be {', '.join(known)} or {last}, got {reduction!r}")


def reduced(loss: Array, reduction: str) -> Array:
    """The mean or the sum of a loss's entries, or the entries themselves."""
    check_reduction(reduction)
    return np.mean(loss) if reduction == "mean" else np.sum(loss) if reduction == "sum" else loss


def matched(name: str, input: Array, target: Array) -> Array:
    """A target, `in_dtype_of` the input; its shape must be the input's."""
    shape, target_shape = shape_of(input), shape_of(target)
    if shape != target_shape:
        advice = "broadcasting would compare the wrong entries: reshape one of them"
        raise ShapeError(f"{name}: the prediction has shape {shape} and the target {target_shape}; {advice}")
    return in_dtype_of(input, target)


def in_dtype_of(input: Array, target: Array) -> Array:
    """A target, in the dtype of the input if it holds integers, which would widen float32; float64 beside integers."""
    target = as_array(target)
    if target.dtype.kind not in "biu":
        return target
    dtype = values_of(input).dtype
    return target.astype(dtype if dtype.kind == "f" else float)


def check_weights(name: str, entries: Array, weight: Array) -> None:
    """Raise `ShapeError` unless there is a weight for each entry of a loss."""
    if shape_of(weight) != shape_of(entries):
        raise ShapeError(f"{name}: the weights have shape {shape_of(weight)} and the loss {shape_of(entries)}")


def weighted(name: str, entries: Array, weight: Array, reduction: str) -> Array:
    """The reduction of a loss with a weight for each entry, by which a mean divides; without weights, as `reduced`."""
    if weight is None:
        return reduced(entries, reduction)
    check_weights(name, entries, weight)
    if reduction == "mean":
        return np.sum(entries * weight) / np.sum(weight)
    return reduced(entries * weight, reduction)
