"""Losses, on arrays or tensors.

A loss takes the prediction first and then a target of the same shape. Its `reduction` is `"mean"`, `"sum"` or `"none"`:
it returns the mean of its entries, their sum, or the entries themselves.
"""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.ops import requirements
from tinygrad_lite.ops.networks import activations, losses

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "nll_loss",
]


def mse_loss(prediction: Array, target: Array, reduction: str = "mean") -> Array:
    """(x - t)².

    Raises:
        ShapeError: if the shapes differ.

    Example:
        >>> float(mse_loss(np.array([1.0, 3.0]), np.array([0.0, 0.0])))
        5.0
    """
    losses.check_same_shape(prediction, target)
    return _reduced(np.square(prediction - target), reduction)


def l1_loss(prediction: Array, target: Array, reduction: str = "mean") -> Array:
    """|x - t|.

    Raises:
        ShapeError: if the shapes differ.

    Example:
        >>> float(l1_loss(np.array([1.0, -3.0]), np.array([0.0, 0.0])))
        2.0
    """
    losses.check_same_shape(prediction, target)
    return _reduced(np.absolute(prediction - target), reduction)


def huber_loss(prediction: Array, target: Array, reduction: str = "mean", delta: float = 1.0) -> Array:
    """½(x - t)² where |x - t| ≤ δ, else δ(|x - t| - ½δ).

    Source: Huber (1964), Robust estimation of a location parameter.

    Raises:
        ShapeError: if the shapes differ.
        InputError: if delta is not positive.

    Example:
        >>> float(huber_loss(np.array([1.0, 3.0]), np.array([0.0, 0.0])))
        1.5
    """
    losses.check_same_shape(prediction, target)
    if not delta > 0:
        raise InputError(f"delta must be positive, got {delta}")
    return _reduced(losses.huber(prediction - target, delta=delta), reduction)


def binary_cross_entropy(prediction: Array, target: Array, reduction: str = "mean") -> Array:
    """-(t log p + (1 - t) log(1 - p)), with logarithms of at least -100, so that it is finite at 0 and 1.

    For logits, `binary_cross_entropy_with_logits` is faster and exact.

    Raises:
        ShapeError: if the shapes differ.
        InputError: if a probability or a target lies outside [0, 1].

    Example:
        >>> print(binary_cross_entropy(np.array([0.0, 1.0]), np.array([1.0, 1.0]), reduction="sum"))
        100.0
    """
    losses.check_same_shape(prediction, target)
    _check_fractions("probabilities", prediction, "apply sigmoid first, or use binary_cross_entropy_with_logits")
    _check_fractions("targets", target, "0 and 1 stand for the two classes")
    return _reduced(losses.binary_cross_entropy(prediction, target), reduction)


def binary_cross_entropy_with_logits(logits: Array, target: Array, reduction: str = "mean") -> Array:
    """log(1 + eᶻ) - z t, the binary cross-entropy of sigmoid(z), without overflow.

    Raises:
        ShapeError: if the shapes differ.

    Example:
        >>> float(binary_cross_entropy_with_logits(np.array([-1000.0]), np.array([1.0])))
        1000.0
    """
    check_reduction(reduction)
    return losses.binary_cross_entropy_with_logits(logits, target, reduction=reduction)


def cross_entropy(logits: Array, target: Array, reduction: str = "mean") -> Array:
    """log Σ eᶻ - z[t], the negative log-likelihood of softmax(z), without overflow.

    The logits have shape (C,), (N, C) or (N, C, …). The target holds class numbers: integers, in the logits' shape
    without the class axis. Or it holds probabilities in the logits' shape, and the loss is -Σ t log softmax(z).

    Raises:
        ShapeError: if the shapes do not fit.
        UsageError: if class numbers are not integers.
        InputError: if a class number lies outside [0, C).

    Example:
        >>> float(cross_entropy(np.array([[0.0, 1000.0]]), np.array([0])))
        1000.0
    """
    check_reduction(reduction)
    axis = _class_axis(logits)
    if _shape(target) == _shape(logits) and np.result_type(target).kind == "f":
        return _reduced(-np.sum(target * activations.log_softmax(logits, axis=axis), axis=axis), reduction)
    rows, labels = _rows(logits, target, axis)
    loss = losses.cross_entropy(rows, labels, reduction=reduction)
    return np.reshape(loss, np.shape(target)) if reduction == "none" else loss


def nll_loss(log_probabilities: Array, target: Array, reduction: str = "mean") -> Array:
    """-log p[t] for log-probabilities of shape (C,), (N, C) or (N, C, …) and class numbers as in `cross_entropy`.

    Raises:
        ShapeError, UsageError, InputError: as `cross_entropy`.

    Example:
        >>> float(nll_loss(np.array([[-1.0, -2.0]]), np.array([1])))
        2.0
    """
    rows, labels = _rows(log_probabilities, target, _class_axis(log_probabilities))
    return _reduced(np.reshape(losses.negative_log_likelihood(rows, labels), np.shape(target)), reduction)


def _class_axis(x: Array) -> int:
    """The class axis: the second axis, or the only one."""
    axes = len(_shape(x))
    if axes == 0:
        raise ShapeError("a classification needs an axis of classes, got a 0-d array")
    return min(1, axes - 1)


def _rows(x: Array, target: Array, axis: int) -> tuple[Array, Array]:
    """The predictions as rows of classes, and the checked class number of each row."""
    labels = _values(target)
    shape = _shape(x)
    count = shape[axis]
    if labels.shape != shape[:axis] + shape[axis + 1 :]:
        raise ShapeError(f"class numbers must have the shape {shape[:axis] + shape[axis + 1 :]}, got {labels.shape}")
    if labels.size and labels.dtype.kind not in "iu":
        raise UsageError(f"class numbers must be integers, got {labels.dtype}: write target.astype(int)")
    message = f"class numbers lie in 0 … {count - 1}, got {{}}"
    requirements.refuse_where((labels < 0) | (labels >= count), labels, message=message)
    if not labels.size:
        target = labels.astype(int)
    if len(shape) == 2:
        return x, target
    last = np.transpose(x, [*range(axis), *range(axis + 1, len(shape)), axis])
    return np.reshape(last, (-1, count)), np.reshape(target, -1)


def _check_fractions(role: str, x: Array, advice: str) -> None:
    values = _values(x)
    message = f"binary_cross_entropy takes {role} in [0, 1], got {{}}: {advice}"
    requirements.refuse_where(~((values >= 0) & (values <= 1)), values, message=message)


def _shape(x: Array) -> tuple[int, ...]:
    """The shape of a tensor or an array, or of nested lists."""
    return x.shape if hasattr(x, "shape") else np.shape(x)


def _values(x: Array) -> Any:
    """The array in a tensor, or an array of a list's values."""
    x = x.data if isinstance(x, Tensor) else x
    return x if hasattr(x, "dtype") else np.asarray(x)


def check_reduction(reduction: str) -> None:
    """Raise `InputError` unless the reduction is one of the three."""
    if reduction not in losses.REDUCTIONS:
        raise InputError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _reduced(loss: Array, reduction: str) -> Array:
    check_reduction(reduction)
    return np.mean(loss) if reduction == "mean" else np.sum(loss) if reduction == "sum" else loss
