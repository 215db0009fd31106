"""Describes how a wrong array differs from the right one as a whole, if no single entry shows it."""

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from tinygrad_lite.checking.diagnosing.local import same
from tinygrad_lite.engine.op import Array

TOLERANCE = 1e-6
EXTRA = "a factor of {} should not be there"
MISSING = "a factor of {} is missing"
OWN_FACTORS = (
    "each slice along axis {} is multiplied by a number of its own, from {:.3g} to {:.3g}: is a factor of each left "
    "out, or too much?"
)
SHIFTED = "all entries along axis {} are off by the same number: is their mean or sum not subtracted, or not added?"
MIXED = "it is {:.6g} times the derivative and {:.6g} times the variable"
REORDERED = "its entries are those of the derivative in another order: were they sorted or moved, and not put back?"
SYMMETRY = "it is not symmetric, as the derivative is: is a part of it transposed, or on one side only?"
OUTER = "it is off by the product of a column and a row: is such a term, as from a sum or a mean, left out or added?"
_FACTORS = (
    ("the variable's square", np.square),
    ("the variable's cube", lambda x: x**3),
    ("the variable's size", np.abs),
    ("the variable's sign", np.sign),
    ("the variable's square root", np.sqrt),
    ("the variable's exponential", np.exp),
    ("the variable's logarithm", np.log),
    ("the variable's sine", np.sin),
    ("the variable's cosine", np.cos),
)
_SMALL = 1e-4  # a difference that may be the error of a method instead of a mistake
_FEW = 5  # fewer entries can be a sum of two arrays, or others in another order, by chance
_MATTERS = 1e-3  # entries that are smaller, relative to the largest, say nothing about a factor
_SMALL_RANK = 3  # a matrix of fewer rows or columns may be a product of two vectors by chance


def structure(gradient: Array, reference: Array, x: Array, _: Sequence[int] = ()) -> str:
    """How a wrong array as a whole is related to the right one; empty if it could be chance."""
    if np.size(reference) < 2 or not np.any(reference) or not np.all(np.isfinite(reference)):
        return ""
    with np.errstate(all="ignore"):
        largest = float(np.max(np.abs(reference)))
        gradient, reference = gradient / largest, reference / largest  # so that no product of them underflows
        if not np.all(np.isfinite(gradient)) or same(gradient, reference, _SMALL):
            return ""
        return next(_described(gradient, reference, x, largest), "")


def _described(gradient: Array, reference: Array, x: Array, largest: float) -> Iterator[str]:
    yield from _factors(gradient, reference, x)
    yield from _along_axes(gradient, reference)
    difference = gradient - reference
    if np.size(x) >= _FEW:
        columns = np.stack([reference.ravel(), np.broadcast_to(x, reference.shape).ravel()], axis=1)
        fitted, _, rank, _ = np.linalg.lstsq(columns, gradient.ravel(), rcond=TOLERANCE)
        parts = np.max(np.abs(columns * fitted), axis=0)
        if (
            rank == 2
            and np.min(parts) > _MATTERS * np.max(parts)
            and _vanishes(columns @ fitted - gradient.ravel(), gradient)
        ):
            yield MIXED.format(fitted[0], fitted[1] * largest)
    if np.size(reference) >= _FEW and _vanishes(
        np.sort(gradient, axis=None) - np.sort(reference, axis=None), reference
    ):
        yield REORDERED
    half, odd = divmod(np.ndim(reference), 2)
    if half and not odd:  # also a Hessian by the entries of a matrix
        yield from _of_matrices(*(part.reshape(prod(part.shape[:half]), -1) for part in (difference, reference)))


def _of_matrices(difference: Array, reference: Array) -> Iterator[str]:
    is_wrong = np.abs(difference) > TOLERANCE
    spread = min(np.sum(np.any(is_wrong, axis=axis)) for axis in (0, 1))
    ranks = [np.linalg.matrix_rank(part, rtol=TOLERANCE) for part in (difference, reference)]
    if spread >= _SMALL_RANK and ranks[0] == 1 < ranks[1]:  # products of this kind differ by another of them
        yield OUTER
    is_square = reference.shape[0] == reference.shape[1]
    if is_square and _vanishes(reference - reference.T, reference) and not np.any(is_wrong & is_wrong.T):
        yield SYMMETRY


def _factors(gradient: Array, reference: Array, x: Array) -> Iterator[str]:
    """Functions of the variable that are an extra factor, or a missing one."""
    if np.size(x) < 2:
        return
    for name, function in _FACTORS:
        factor = np.broadcast_to(function(x), reference.shape)
        if not np.all(np.isfinite(factor)) or same(factor, np.ones_like(factor), TOLERANCE):
            continue
        if same(gradient, reference * factor, TOLERANCE):
            yield EXTRA.format(name)
        if np.all(factor) and same(gradient, reference / factor, TOLERANCE):
            yield MISSING.format(name)


def _along_axes(gradient: Array, reference: Array) -> Iterator[str]:
    """What is the same along an axis, in each slice."""
    count = np.ndim(reference)
    for axis, size in enumerate(reference.shape):
        others = tuple(k for k in range(count) if k != axis)
        if size < 2:
            continue
        if count > 1 and np.size(reference) > 2 * size:
            slices = np.sum(reference * reference, axis=others, keepdims=True)
            is_zero = (slices == 0) & np.all(gradient == 0, axis=others, keepdims=True)  # no factor changes these
            numbers = np.sum(gradient * reference, axis=others, keepdims=True) / np.where(is_zero, 1, slices)
            sizes = np.max(np.abs(gradient), axis=others, keepdims=True)
            fits = np.all(np.abs(gradient - numbers * reference) <= TOLERANCE * sizes)
            matter = np.sum(np.abs(gradient) > _MATTERS * sizes, axis=others, keepdims=True)
            if fits and np.all((matter > 1) | is_zero):
                yield OWN_FACTORS.format(axis, np.min(numbers[~is_zero]), np.max(numbers[~is_zero]))
        if count > 1 and size > 2:
            difference = gradient - reference
            if _vanishes(difference - difference.take([0], axis), difference):
                yield SHIFTED.format(axis)


def _vanishes(difference: Array, beside: Array) -> bool:
    return bool(np.max(np.abs(difference)) <= TOLERANCE * np.max(np.abs(beside)))
