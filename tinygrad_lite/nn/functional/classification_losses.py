"""Losses of classifications: of one class of several, of two, or of several at once.

Shapes that do not fit together raise `ShapeError`; class numbers that are not integers raise `UsageError`, and numbers
outside the classes `InputError`.
"""

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.nn.functional.checks import in_real_numbers, shape_of, values_of
from tinygrad_lite.nn.functional.reductions import check_reduction, matched, reduced
from tinygrad_lite.ops import requirements
from tinygrad_lite.ops.networks import activations, losses
from tinygrad_lite.ops.shapes.indexing import take

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "soft_margin_loss",
]  # fmt: skip


def binary_cross_entropy(input: Array, target: Array, weight: Array = None, reduction: str = "mean") -> Array:
    """-(t log p + (1 - t) log(1 - p)), with logarithms of at least -100, so that it is finite at 0 and 1.

    The weight multiplies the entries. For logits, `binary_cross_entropy_with_logits` is faster and exact.

    Raises:
        InputError: if a probability or a target lies outside [0, 1].

    Example:
        >>> print(binary_cross_entropy(np.array([0.0, 1.0]), np.array([1.0, 1.0]), reduction="sum"))
        100.0
    """
    target = matched("binary_cross_entropy", input, target)
    _check_fractions("probabilities", input, "apply sigmoid first, or use binary_cross_entropy_with_logits")
    _check_fractions("targets", target, "0 and 1 stand for the two classes")
    entries = losses.binary_cross_entropy(input, target)
    return reduced(entries if weight is None else entries * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Array, target: Array, weight: Array = None, reduction: str = "mean", pos_weight: Array = None
) -> Array:
    """log(1 + eᶻ) - z t, the binary cross-entropy of sigmoid(z), without overflow.

    The weight multiplies the entries, and `pos_weight` the part of the positive class: w t log(1 + e⁻ᶻ) +
    (1 - t) log(1 + eᶻ). Both are broadcast to the entries.

    Example:
        >>> float(binary_cross_entropy_with_logits(np.array([-1000.0]), np.array([1.0])))
        1000.0
    """
    check_reduction(reduction)
    target = matched("binary_cross_entropy_with_logits", input, target)
    if weight is None and pos_weight is None:
        return losses.binary_cross_entropy_with_logits(input, target, reduction=reduction)
    positive = target if pos_weight is None else pos_weight * target
    entries = positive * activations.softplus(-input) + (1 - target) * activations.softplus(input)
    return reduced(entries if weight is None else entries * weight, reduction)


def cross_entropy(
    input: Array,
    target: Array,
    weight: Array = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """log Σ eᶻ - z[t], the negative log-likelihood of softmax(z), without overflow.

    The logits have shape (C,), (N, C) or (N, C, …). The target holds class numbers: integers, in the logits' shape
    without the class axis. Or it holds probabilities in the logits' shape, and the loss is -Σ w t log softmax(z), with
    a weight w for each class. Class numbers count as in `nll_loss`; smoothing ε replaces t by (1 - ε) t + ε / C.

    Source of the smoothing: Szegedy et al. (2016), Rethinking the Inception architecture, section 7.

    Raises:
        UsageError: if class numbers are not integers.
        InputError: if a class number lies outside [0, C), or the smoothing outside [0, 1].

    Example:
        >>> float(cross_entropy(np.array([[0.0, 1000.0]]), np.array([0])))
        1000.0
    """
    check_reduction(reduction)
    if not (hasattr(label_smoothing, "__float__") and 0 <= label_smoothing <= 1):
        raise InputError(f"cross_entropy: label_smoothing must lie in [0, 1], got {label_smoothing!r}")
    axis = _class_axis("cross_entropy", input)
    if shape_of(target) == shape_of(input) and values_of(target).dtype.kind == "f":
        target = (1 - label_smoothing) * target + label_smoothing / shape_of(input)[axis] if label_smoothing else target
        log_p = activations.log_softmax(in_real_numbers(input), axis=axis)
        entries = -np.sum(target * _weighted("cross_entropy", log_p, weight, axis), axis=axis)
        return reduced(entries, reduction)
    rows, labels, all_count = _rows("cross_entropy", in_real_numbers(input), target, axis, ignore_index)
    if weight is None and not label_smoothing:
        ignored = {} if all_count else {"ignore_index": ignore_index}
        loss = losses.cross_entropy(rows, labels, reduction=reduction, **ignored)
    else:
        log_p = activations.log_softmax(rows, axis=1)
        loss = _of_class_numbers("cross_entropy", log_p, labels, weight, ignore_index, reduction, label_smoothing)
    return np.reshape(loss, shape_of(target)) if reduction == "none" else loss


def nll_loss(
    input: Array, target: Array, weight: Array = None, ignore_index: int = -100, reduction: str = "mean"
) -> Array:
    """-w[t] log p[t] for log-probabilities of shape (C,), (N, C) or (N, C, …), class numbers as in `cross_entropy`.

    Entries of the class `ignore_index` are 0. A mean divides by the sum of the others' weights.

    Example:
        >>> float(nll_loss(np.array([[-1.0, -2.0]]), np.array([1])))
        2.0
    """
    check_reduction(reduction)
    rows, labels, all_count = _rows("nll_loss", input, target, _class_axis("nll_loss", input), ignore_index)
    if all_count and weight is None:
        loss = reduced(losses.negative_log_likelihood(rows, labels), reduction)
    else:
        loss = _of_class_numbers("nll_loss", rows, labels, weight, ignore_index, reduction, 0.0)
    return np.reshape(loss, shape_of(target)) if reduction == "none" else loss


def _of_class_numbers(
    name: str, log_p: Array, labels: Array, weight: Array, ignore_index: int, reduction: str, smoothing: float
) -> Array:
    """The reduced loss of rows of log-probabilities and their class numbers; some rows may be ignored."""
    kept = np.not_equal(labels, ignore_index)
    labels = np.where(kept, labels, 0)
    by_class = _weighted(name, log_p, weight, 1)
    weights = kept.astype(log_p.dtype) if weight is None else np.where(kept, take(weight, labels), 0.0)
    entries = np.where(kept, losses.negative_log_likelihood(by_class, labels), 0.0)
    if smoothing:
        rest = np.where(kept, np.mean(by_class, axis=1), 0.0)
        entries = (1 - smoothing) * entries - smoothing * rest
    return np.sum(entries) / np.sum(weights) if reduction == "mean" else reduced(entries, reduction)


def _weighted(name: str, log_p: Array, weight: Array, axis: int) -> Array:
    """The log-probabilities times the weights of their classes."""
    if weight is None:
        return log_p
    classes = shape_of(log_p)[axis]
    weight = _class_weight(name, weight, classes)
    return log_p * np.reshape(weight, [classes if i == axis else 1 for i in range(len(shape_of(log_p)))])


def _class_weight(name: str, weight: Array, classes: int) -> Array:
    if shape_of(weight) != (classes,):
        raise ShapeError(f"{name}: the weight needs an entry for each of {classes} classes, got {shape_of(weight)}")
    return np.asarray(weight) if isinstance(weight, (list, tuple)) else weight


def _class_axis(name: str, x: Array) -> int:
    """The class axis: the second axis, or the only one."""
    axes = len(shape_of(x))
    if axes == 0:
        raise ShapeError(f"{name} needs an axis of classes, got a 0-d array")
    return min(1, axes - 1)


def _misfit_of_labels(name: str, shape: tuple[int, ...], axis: int, labels: tuple[int, ...]) -> str:
    """Why class numbers of another shape do not fit predictions of a shape, and what to write."""
    needed = shape[:axis] + shape[axis + 1 :]
    if labels == shape[:-1]:
        advice = f": the classes are on axis {axis} of {shape}; write np.moveaxis(x, -1, {axis}) for the predictions x"
    elif labels == (*needed, 1):
        advice = ": write target[..., 0]"
    elif labels == shape:
        advice = f": write target.astype(float) for probabilities, or np.argmax(target, axis={axis}) for class numbers"
    else:
        advice = f" for predictions of shape {shape}, with the classes on axis {axis}"
    return f"{name}: class numbers must have the shape {needed}, got {labels}{advice}"


def _rows(name: str, x: Array, target: Array, axis: int, ignore_index: int | None) -> tuple[Array, Array, bool]:
    """The predictions as rows of classes, the checked class number of each row, and whether it is sure that all count.

    While a function is recorded this is never sure, since the next call has other class numbers.
    """
    labels = values_of(target)
    shape = shape_of(x)
    count = shape[axis]
    if labels.shape != shape[:axis] + shape[axis + 1 :]:
        raise ShapeError(_misfit_of_labels(name, shape, axis, labels.shape))
    if labels.size and labels.dtype.kind not in "iu":
        raise UsageError(f"{name}: class numbers must be integers, got {labels.dtype}: write target.astype(int)")
    all_count = ignore_index is None or not 0 <= ignore_index < count
    if not all_count or hasattr(labels, "__trace__") or ((labels < 0) | (labels >= count)).any():
        counted = labels if ignore_index is None else labels * np.not_equal(labels, ignore_index)
        message = f"{name}: class numbers lie in 0 … {count - 1}, got {{}}"
        requirements.refuse_where((counted < 0) | (counted >= count), labels, message=message)
        all_count = ignore_index is None
    if not labels.size:
        target = labels.astype(int)
    if len(shape) == 2:
        return x, target, all_count
    last = np.transpose(x, [*range(axis), *range(axis + 1, len(shape)), axis])
    return np.reshape(last, (labels.size, count)), np.reshape(target, -1), all_count


def multi_margin_loss(
    input: Array, target: Array, p: int = 1, margin: float = 1.0, weight: Array = None, reduction: str = "mean"
) -> Array:
    """w[t] Σᵢ max(0, margin - x[t] + x[i])ᵖ / C over the classes i ≠ t, for x (N, C) or (C,) and class numbers t.

    Raises:
        ShapeError, UsageError, InputError: as `cross_entropy`; and if p is neither 1 nor 2.

    Example:
        >>> float(multi_margin_loss(np.array([0.1, 0.2, 0.4, 0.8]), np.array(3)).round(4))
        0.325
    """
    if p not in (1, 2):
        raise InputError(f"multi_margin_loss knows p=1 and p=2, got {p}")
    if len(shape_of(input)) > 2:
        raise ShapeError(f"multi_margin_loss needs shape (N, C) or (C,), got {shape_of(input)}")
    input = np.reshape(input, 1) if shape_of(input) == () else input
    is_single = len(shape_of(input)) == 1 and np.size(target) == 1  # its class number may come in an array of one entry
    numbers = np.reshape(target, ()) if is_single else target
    rows, labels, _ = _rows("multi_margin_loss", input, numbers, len(shape_of(input)) - 1, None)
    hinges = activations.relu(margin + np.expand_dims(losses.negative_log_likelihood(rows, labels), 1) + rows)
    others = np.not_equal(np.expand_dims(labels, 1), np.arange(shape_of(rows)[1]))
    entries = np.mean(np.where(others, hinges if p == 1 else np.square(hinges), 0.0), axis=1)
    if weight is not None:
        entries = entries * take(_class_weight("multi_margin_loss", weight, shape_of(rows)[1]), labels)
    return np.reshape(entries, shape_of(target)) if reduction == "none" else reduced(entries, reduction)


def multilabel_margin_loss(input: Array, target: Array, reduction: str = "mean") -> Array:
    """Σ max(0, 1 - x[j] + x[i]) / C over the classes j of a row of the target, and those i that are not among them.

    A row of the target holds class numbers and ends at its first negative number. Shapes are (N, C) or (C,).

    Example:
        >>> x = np.array([0.1, 0.2, 0.4, 0.8])
        >>> float(multilabel_margin_loss(x, np.array([3, 0, -1, 1])).round(4))
        0.85
    """
    labels, shape = values_of(target), shape_of(input)
    if labels.shape != shape or len(shape) > 2:
        raise ShapeError(f"multilabel_margin_loss needs input and target (N, C) or (C,), got {shape}, {labels.shape}")
    if labels.size and labels.dtype.kind not in "iu":
        raise UsageError(f"multilabel_margin_loss needs integers, got {labels.dtype}: write target.astype(int)")
    classes = shape[-1] if shape else 1
    x, labels = np.reshape(input, (-1, classes)), np.reshape(labels, (-1, classes))
    is_listed = np.cumprod(labels >= 0, axis=1) > 0
    message = f"multilabel_margin_loss: class numbers lie below {classes}, got {{}}"
    requirements.refuse_where(is_listed & (labels >= classes), labels, message=message)
    labels = np.where(is_listed, labels, 0)
    pairs = np.equal(np.expand_dims(labels, 2), np.arange(classes)) & np.expand_dims(is_listed, 2)  # row, place, class
    others = np.logical_not(np.any(pairs, axis=1, keepdims=True))
    gaps = np.expand_dims(x, 1) - np.expand_dims(np.take_along_axis(x, labels, axis=1), 2)
    hinges = np.where(np.expand_dims(is_listed, 2) & others, activations.relu(1 + gaps), 0.0)
    entries = np.sum(hinges, axis=(1, 2)) / classes
    return np.reshape(entries, shape[:-1]) if reduction == "none" else reduced(entries, reduction)


def multilabel_soft_margin_loss(input: Array, target: Array, weight: Array = None, reduction: str = "mean") -> Array:
    """The mean over the last axis, the classes, of w (t log(1 + e⁻ᶻ) + (1 - t) log(1 + eᶻ)).

    Example:
        >>> float(multilabel_soft_margin_loss(np.array([[-1000.0, 0.0]]), np.array([[1.0, 0.0]])).round(4))
        500.3466
    """
    target = matched("multilabel_soft_margin_loss", input, target)
    entries = binary_cross_entropy_with_logits(input, target, weight, "none")
    return reduced(np.mean(entries, axis=-1), reduction)


def soft_margin_loss(input: Array, target: Array, reduction: str = "mean") -> Array:
    """log(1 + exp(-t x)) for targets of 1 and -1, without overflow.

    Example:
        >>> float(soft_margin_loss(np.array([-1000.0, 1000.0]), np.array([1.0, 1.0])))
        500.0
    """
    target = matched("soft_margin_loss", input, target)
    return reduced(activations.softplus(-target * input), reduction)


def _check_fractions(role: str, x: Array, advice: str) -> None:
    values = values_of(x)
    message = f"binary_cross_entropy takes {role} in [0, 1], got {{}}: {advice}"
    requirements.refuse_where(~((values >= 0) & (values <= 1)), values, message=message)
