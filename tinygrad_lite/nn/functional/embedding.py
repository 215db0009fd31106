"""Tables of vectors, read by number."""

import numpy as np

from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.foreign import as_array, numbers_of
from tinygrad_lite.foundation.sums import in_single
from tinygrad_lite.nn.functional.checks import shape_of, values_of
from tinygrad_lite.ops.arithmetic.selection import stop_gradient
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.ops.shapes.indexing import take

__all__ = ["embedding", "embedding_bag", "one_hot"]


def one_hot(tensor: Array, num_classes: int = -1) -> Array:
    """For each class number, a row of zeros with a 1 at that index, as integers; -1 stands for as many as occur.

    Raises:
        InputError: if a class number lies outside [0, num_classes).

    Example:
        >>> one_hot(np.array([0, 2]))
        array([[1, 0, 0],
               [0, 0, 1]])
    """
    labels = _integers("one_hot", tensor)
    if num_classes == -1:
        if not labels.size:
            raise InputError("one_hot cannot tell the number of classes from no labels: pass num_classes=")
        num_classes = int(np.max(labels)) + 1
    _check_range("one_hot", labels, num_classes)
    return np.equal(np.expand_dims(labels, -1), np.arange(num_classes)).astype(np.int64)


def embedding(
    input: Array,
    weight: Array,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Array:
    """W[i] for each number i of the input, with W (numbers, features) and the result (…, features).

    The row `padding_idx` gets no gradient. With `scale_grad_by_freq`, the gradient of a row is divided by how often it
    was read. `max_norm` first shortens the rows that are read to this norm, in the weight itself, which must be a
    parameter. `sparse` changes nothing: every gradient is a whole array.

    Raises:
        InputError: if a number lies outside the table.
        UsageError: if the input does not hold integers, or `max_norm` meets a weight that is not a parameter.

    Example:
        >>> embedding(np.array([1, 0]), np.array([[1.0, 2.0], [3.0, 4.0]]))
        array([[3., 4.],
               [1., 2.]])
    """
    numbers = _checked("embedding", input, weight, padding_idx, max_norm, norm_type)
    rows = take(weight, numbers, axis=0)
    if padding_idx is not None:
        is_padding = np.expand_dims(np.equal(numbers, padding_idx % weight.shape[0]), -1)
        rows = np.where(is_padding, stop_gradient(rows), rows)
    return _by_frequency(rows, numbers, numbers, weight) if scale_grad_by_freq else rows


def embedding_bag(
    input: Array,
    weight: Array,
    offsets: Array = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Array = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Array:
    """The sum, the mean or the largest entries of the rows W[i] over each bag of numbers i, of shape (bags, features).

    The input is (bags, numbers), or one axis of numbers that the `offsets` cut into bags, each beginning at one;
    with `include_last_offset`, the last one is the end. `per_sample_weights`, of the input's shape, multiply the rows
    of a sum. A number `padding_idx` is left out, and an empty bag gives 0. All else is as in `embedding`.

    Raises:
        InputError: if a number lies outside the table, or the offsets do not increase from 0.
        ShapeError, UsageError: if the shapes or the options do not fit together.

    Example:
        >>> table = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> embedding_bag(np.array([0, 1, 1]), table, np.array([0, 2]), mode="sum")
        array([[4., 6.],
               [3., 4.]])
    """
    numbers = _checked("embedding_bag", input, weight, padding_idx, max_norm, norm_type)
    if mode not in ("sum", "mean", "max"):
        raise InputError(f"embedding_bag: mode must be 'sum', 'mean' or 'max', got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise UsageError("embedding_bag: mode='max' cannot scale gradients by frequency")
    if per_sample_weights is not None and (mode != "sum" or shape_of(per_sample_weights) != numbers.shape):
        raise UsageError(
            f"embedding_bag takes per_sample_weights of the input's shape {numbers.shape} in mode='sum'; "
            f"got {shape_of(per_sample_weights)} in mode={mode!r}"
        )
    places, filled = _bags(numbers, offsets, include_last_offset)
    chosen = numbers if offsets is None else take(numbers, places)
    if padding_idx is not None:
        filled = np.logical_and(filled, np.not_equal(chosen, padding_idx % weight.shape[0]))
    rows = take(weight, chosen, axis=0)
    rows = _by_frequency(rows, chosen, numbers, weight) if scale_grad_by_freq else rows
    filled = np.expand_dims(filled, -1)
    count = np.sum(filled, axis=1)
    if mode == "max":
        largest = np.max(np.where(filled, rows, -np.inf), axis=1, initial=-np.inf)
        return np.where(np.equal(count, 0), 0, largest).astype(rows.dtype)
    rows = np.where(filled, rows, 0)
    if per_sample_weights is not None:
        rows = rows * np.expand_dims(take(per_sample_weights, places), -1)
    total = np.sum(rows, axis=1)
    return total / np.maximum(count, 1).astype(rows.dtype) if mode == "mean" else total


def _bags(numbers: Array, offsets: Array, include_last_offset: bool) -> tuple[Array, Array]:
    """The places of the numbers of each bag in the flat input, row by row, and which of them are filled."""
    if numbers.ndim == 2 and offsets is None:
        return np.arange(numbers.size).reshape(numbers.shape), np.ones(numbers.shape, bool)
    if numbers.ndim != 1 or offsets is None or np.ndim(offsets) != 1:
        raise ShapeError(
            "embedding_bag needs numbers of shape (bags, numbers), or one axis of them and as many offsets as bags; "
            f"got {numbers.shape} and offsets {'None' if offsets is None else shape_of(offsets)}"
        )
    offsets = _integers("embedding_bag", offsets)
    bounds = offsets if include_last_offset else np.concatenate([offsets, np.array([numbers.size])])
    if not bounds.shape[0]:
        raise ShapeError("embedding_bag with include_last_offset needs at least one offset, the end")
    lengths = np.diff(bounds)
    is_wrong = np.concatenate([bounds[:1] != 0, lengths < 0]) | (bounds > numbers.size)
    refuse_where(
        is_wrong, bounds, message=f"embedding_bag: offsets increase from 0 to at most {numbers.size}, got {{}}"
    )
    longest = numbers.size if isinstance(bounds, Traced) else np.max(lengths, initial=0)
    steps = np.arange(longest)
    filled = steps < np.expand_dims(lengths, 1)
    return np.where(filled, np.expand_dims(bounds[:-1], 1) + steps, 0), filled


def _by_frequency(rows: Array, chosen: Array, numbers: Array, weight: Array) -> Array:
    """The rows, with gradients divided by how often each row was read."""
    if not isinstance(rows, Traced):
        return rows
    factor = np.expand_dims(1 / take(_counts(numbers, weight), chosen), -1)
    return rows + (factor - 1) * (rows - stop_gradient(rows))


def _counts(numbers: Array, weight: Array) -> Array:
    """How often each row is read."""
    return tensor(np.zeros(weight.shape[0], weight.dtype)).at[np.ravel(numbers)].add(1.0)


def _checked(
    name: str, numbers: Array, weight: Array, padding_idx: int | None, max_norm: float | None, norm_type: float
) -> Array:
    """The numbers, if they and the settings suit the table; rows that are too long are shortened."""
    if len(shape_of(weight)) != 2:
        raise ShapeError(f"{name} needs a weight of shape (numbers, features), got {shape_of(weight)}")
    count = weight.shape[0]
    numbers = _integers(name, numbers)
    _check_range(name, numbers, count)
    check_padding(padding_idx, count)
    if max_norm is not None:
        if not isinstance(weight, Tensor):
            raise UsageError(f"{name}: max_norm= shortens rows of the weight itself, which must be a tensor, a leaf")
        norms = np.linalg.norm(in_single(weight.detach()), norm_type, axis=1)
        with no_grad():
            factor = np.where((_counts(numbers, weight) > 0) & (norms > max_norm), max_norm / (norms + 1e-7), 1.0)
            weight *= np.expand_dims(factor, 1).astype(weight.dtype)
    return numbers


def _integers(name: str, x: Array) -> Array:
    numbers = numbers_of(x, name) if isinstance(x, np.ma.MaskedArray) else as_array(x)
    if numbers.dtype.kind not in "iu":
        if numbers.size:
            raise UsageError(f"{name} takes integers, got {numbers.dtype}: write x.astype(int)")
        numbers = numbers.astype(int)
    return numbers


def _check_range(name: str, numbers: Array, count: int) -> None:
    values = values_of(numbers)
    message = f"{name}: numbers lie in 0 … {count - 1}, got {{}}"
    refuse_where((values < 0) | (values >= count), values, message=message)


def check_padding(padding_idx: int | None, count: int) -> None:
    """Raise `InputError` unless the padding is one of the rows."""
    if not (padding_idx is None or (isinstance(padding_idx, (int, np.integer)) and -count <= padding_idx < count)):
        raise InputError(f"padding_idx must be the number of one of the {count} rows, got {padding_idx!r}")
