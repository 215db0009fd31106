"""Sequences of several lengths for recurrent layers, under PyTorch's names: padded, or packed without the padding."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import EmptyError, InputError, ShapeError
from tinygrad_lite.foundation.foreign import as_array

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """The entries of several sequences: the first of each, the second of each that has one, and so on.

    A recurrent layer that takes one returns one, and the states after the last step of each sequence.

    Attributes:
        data: all entries, one below another, the longest sequence first in each step.
        batch_sizes: how many sequences have a first entry, a second, and so on.
        sorted_indices: the numbers of the sequences, from the longest to the shortest; None if that is their order.
        unsorted_indices: where each sequence is among the sorted ones.
    """

    data: Array
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None

    @property
    def lengths(self) -> Any:
        """The number of entries of each sequence, in the order in which they were packed."""
        lengths = np.sum(np.arange(self.batch_sizes[0]) < self.batch_sizes[:, None], axis=0)
        return lengths if self.unsorted_indices is None else lengths[self.unsorted_indices]

    def through(self, layer: Any, initial: Sequence[Array]) -> tuple["PackedSequence", list[Array]]:
        """The results of a recurrent layer on the sequences, one length at a time, and their last states."""
        padded, lengths = pad_packed_sequence(self, batch_first=True)
        for state in initial:
            if state is not None and np.shape(state)[1:2] != lengths.shape:
                raise ShapeError(
                    f"{layer.summary()} needs states of {len(lengths)} sequences, on the second axis; got shape "
                    f"{np.shape(state)}"
                )
        rows = [np.flatnonzero(lengths == length) for length in np.unique(lengths)]
        results, lasts = [], []
        for chosen in rows:
            x = padded[chosen, : lengths[chosen[0]]]
            states = [None if state is None else state[:, chosen] for state in initial]
            y, last = layer._forward(x if layer.batch_first else np.swapaxes(x, 0, 1), states)
            y = y if layer.batch_first else np.swapaxes(y, 0, 1)
            rest = np.zeros((len(chosen), len(self.batch_sizes) - y.shape[1], y.shape[2]), y.dtype)
            results.append(np.concatenate([y, rest], axis=1))
            lasts.append(last)
        order = np.argsort(np.concatenate(rows))
        whole = np.concatenate(results)[order]
        last = [np.concatenate(parts, axis=1)[:, order] for parts in zip(*lasts)]
        return pack_padded_sequence(whole, lengths, batch_first=True, enforce_sorted=False), last


def pack_padded_sequence(
    input: Array, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The entries of padded sequences (T, B, …), or (B, T, …) if `batch_first`, without the padding.

    Args:
        lengths: the number of entries of each sequence, as whole numbers.
        enforce_sorted: whether any order other than from the longest to the shortest is an error.

    Raises:
        ShapeError: if there is not one length for each sequence.
        InputError: if a length is below 1 or above T, or they are not sorted although `enforce_sorted`.

    Example:
        >>> x = np.array([[1, 2, 3], [4, 0, 0]])
        >>> packed = pack_padded_sequence(x, [3, 1], batch_first=True)
        >>> packed.data, packed.batch_sizes
        (array([1, 4, 2, 3]), array([2, 1, 1]))
    """
    x = input if batch_first else np.swapaxes(input, 0, 1)
    counts = np.asarray(lengths, int)
    if counts.shape != np.shape(x)[:1]:
        raise ShapeError(f"{len(x)} sequences need as many lengths, got shape {counts.shape}")
    if counts.size == 0 or counts.min() < 1 or counts.max() > np.shape(x)[1]:
        raise InputError(f"lengths must be from 1 to {np.shape(x)[1]}, the padded length; got {counts.tolist()}")
    order = np.argsort(-counts, kind="stable")
    if enforce_sorted and np.any(counts[order] != counts):
        raise InputError(f"lengths must fall, got {counts.tolist()}: sort the sequences, or pass enforce_sorted=False")
    has_entry = np.arange(counts.max())[:, None] < counts[order]
    steps, places = np.nonzero(has_entry)
    indices = (None, None) if enforce_sorted else (order, np.argsort(order))
    return PackedSequence(x[order[places], steps], has_entry.sum(axis=1), *indices)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Array, Any]:
    """The padded sequences (T, B, …), or (B, T, …) if `batch_first`, and their lengths.

    Args:
        total_length: T, by default the length of the longest.

    Raises:
        InputError: if total_length is below the length of the longest.

    Example:
        >>> packed = pack_padded_sequence(np.array([[1, 2, 3], [4, 0, 0]]), [3, 1], batch_first=True)
        >>> padded, lengths = pad_packed_sequence(packed, batch_first=True, padding_value=-1)
        >>> padded.tolist(), lengths.tolist()
        ([[1, 2, 3], [4, -1, -1]], [3, 1])
    """
    lengths, sizes = sequence.lengths, sequence.batch_sizes
    steps = len(sizes) if total_length is None else total_length
    if steps < len(sizes):
        raise InputError(f"total_length must be at least {len(sizes)}, the length of the longest; got {total_length}")
    sorted_place = np.arange(len(lengths)) if sequence.unsorted_indices is None else sequence.unsorted_indices
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1], np.zeros(steps - len(sizes), int)])
    has_entry = np.arange(steps) < lengths[:, None]
    read = sequence.data[np.where(has_entry, starts + sorted_place[:, None], 0)]
    shape = has_entry.shape + (1,) * (len(np.shape(read)) - 2)
    padded = np.where(has_entry.reshape(shape), read, np.asarray(padding_value, read.dtype))
    return (padded if batch_first else np.swapaxes(padded, 0, 1)), lengths


def pad_sequence(
    sequences: Sequence[Array], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Array:
    """Sequences (Tᵢ, …) as one array (T, B, …), or (B, T, …) if `batch_first`, padded to the longest.

    Args:
        padding_side: "right" or "left".

    Raises:
        EmptyError: if there are no sequences.
        InputError: if padding_side is another.

    Example:
        >>> pad_sequence([np.array([1, 2, 3]), np.array([4])], batch_first=True)
        array([[1, 2, 3],
               [4, 0, 0]])
    """
    if not len(sequences):
        raise EmptyError("pad_sequence needs at least one sequence")
    if padding_side not in ("right", "left"):
        raise InputError(f"padding_side must be 'right' or 'left', got {padding_side!r}")
    arrays = [as_array(x) for x in sequences]
    longest = max(len(x) for x in arrays)
    padded = []
    for x in arrays:
        padding = np.full((longest - len(x), *np.shape(x)[1:]), padding_value, x.dtype)
        padded.append(np.concatenate([x, padding] if padding_side == "right" else [padding, x]))
    return np.stack(padded, axis=0 if batch_first else 1)


def unpad_sequence(padded_sequences: Array, lengths: Any, batch_first: bool = False) -> list[Array]:
    """The sequences (Tᵢ, …) of `pad_sequence`, as a list.

    Example:
        >>> unpad_sequence(np.array([[1, 2, 3], [4, 0, 0]]), [3, 1], batch_first=True)
        [array([1, 2, 3]), array([4])]
    """
    x = padded_sequences if batch_first else np.swapaxes(padded_sequences, 0, 1)
    return [row[:length] for row, length in zip(x, np.asarray(lengths, int).tolist(), strict=True)]


def pack_sequence(sequences: Sequence[Array], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (Tᵢ, …) of several lengths, packed, see `pack_padded_sequence`.

    Example:
        >>> pack_sequence([np.array([1, 2, 3]), np.array([4])]).data
        array([1, 4, 2, 3])
    """
    lengths = [len(x) for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences, batch_first=True), lengths, True, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Array]:
    """The sequences (Tᵢ, …) of `pack_sequence`, as a list.

    Example:
        >>> unpack_sequence(pack_sequence([np.array([1, 2, 3]), np.array([4])]))
        [array([1, 2, 3]), array([4])]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)
