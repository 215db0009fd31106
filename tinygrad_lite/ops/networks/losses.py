"""Losses that are operations of their own, because their parts would overflow or be slower."""

from typing import NamedTuple

import numpy as np

from tinygrad_lite.engine.op import REAL, Array, Example, elementwise, primitive
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.foundation.sums import in_dtype_of, in_single, total, total_along
from tinygrad_lite.ops.arithmetic.elementwise import decay, larger, sigmoid_less
from tinygrad_lite.ops.arithmetic.extrema import max as largest
from tinygrad_lite.ops.shapes.indexing import performed

REDUCTIONS = ("mean", "sum", "none")


def _reduced(entries: Array, reduction: str) -> Array:
    if reduction == "none":
        return entries
    if reduction == "mean" and entries.dtype == np.float16:
        return np.mean(entries)  # which adds up in float32: the sum may be larger than float16 holds
    summed = total(entries)
    return summed / entries.size if reduction == "mean" else summed


def _per_entry(g: Array, entries: Array, reduction: str) -> Array:
    """The upstream gradient of each entry of a reduced loss; of a mean in float16, in float32."""
    return in_single(g) / entries.size if reduction == "mean" else g


def _log(p: Array) -> Array:
    """log p, at least -100, so that a confident mistake stays finite."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(p), -100)


def _log_complement(p: Array) -> Array:
    """log(1 - p), at least -100."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log1p(-p), -100)


def _binary_cross_entropy(p: Array, target: Array) -> Array:
    return -(target * _log(p) + (1 - target) * _log_complement(p))


binary_cross_entropy = elementwise(
    _binary_cross_entropy,
    lambda y, p, target: (p - target) / np.maximum(p * (1 - p), 1e-12),
    lambda y, p, target: _log_complement(p) - _log(p),
    domain=((0.0, 1.0), REAL),
)


def _binary_cross_entropy_with_logits(z: Array, target: Array, decay: Array, reduction: str) -> Array:
    if np.shape(z) != np.shape(target):  # the derivatives of a mean would count the entries of the logits alone
        raise ShapeError(f"logits of shape {np.shape(z)} and targets of shape {np.shape(target)} do not pair up")
    return _reduced(larger(z, 0.0) - z * target + np.log1p(decay), reduction)  # log(1 + eᶻ) - z·target


binary_cross_entropy_with_logits = primitive(
    _binary_cross_entropy_with_logits,
    lambda g, y, z, target, decay, reduction: _per_entry(g, z, reduction) * sigmoid_less(target, decay, z),
    lambda g, y, z, target, decay, reduction: _per_entry(g, z, reduction) * -z,
    shared=lambda z, target, reduction: decay(z),
    examples=[([(2, 3), (2, 3)], {"reduction": reduction}) for reduction in REDUCTIONS],
)


def _negative_log_likelihood(x: Array, labels: Array) -> Array:
    return -x[np.arange(len(labels)), labels]


def _one_hot(labels: Array, x: Array) -> Array:
    return np.equal(np.expand_dims(labels, 1), np.arange(np.shape(x)[1]))


_LABELLED: list[Example] = [([(3, 4), np.array([0, 3, 1])], {}), ([(0, 2), np.array([], int)], {})]
negative_log_likelihood = primitive(
    _negative_log_likelihood,
    lambda g, y, x, labels: np.where(_one_hot(labels, x), -np.expand_dims(g, 1), 0),
    None,
    refuses=True,
    examples=_LABELLED,
)


class _Odds(NamedTuple):
    """For each row, how far the label's logit is below the largest, and exponentials of the logits minus the largest.

    Those of the other classes and their sum are kept apart from the label's own, since p - 1 and log p of a probability
    close to 1 have no digits, and the sum has all.
    """

    below: Array
    own: Array
    others: Array
    sum: Array


def _at(labels: Array) -> tuple[Array, Array]:
    return np.arange(len(labels)), labels


def _odds(logits: Array, labels: Array, reduction: str, ignore_index: int | None = None) -> _Odds:
    if ignore_index is not None:
        labels = labels * np.not_equal(labels, ignore_index)
    logits = in_single(logits)
    at = _at(labels)
    if type(logits) is np.ndarray and logits.shape[1]:  # NumPy finds the place of the largest sooner than its value
        top = logits[at[0], logits.argmax(axis=1)].reshape(-1, 1)
    else:
        top = performed(largest, (logits,), {"axis": 1, "keepdims": True})
    below = top - logits[at].reshape(-1, 1)
    others = np.exp(logits - top)
    if type(others) is type(labels) is np.ndarray:
        others[at] = 0
    else:
        others = np.where(_one_hot(labels, logits), 0, others)
    return _Odds(below, np.exp(-below), others, total_along(others, 1))


def _cross_entropy_of_rows(odds: _Odds) -> Array:
    """The logarithm of the sum of the exponentials less the label's logit, both less the row's largest logit."""
    return (odds.below + np.log1p(odds.sum + (odds.own - 1)))[:, 0]


def _cross_entropy(logits: Array, labels: Array, odds: _Odds, reduction: str, ignore_index: int | None = None) -> Array:
    entries = _cross_entropy_of_rows(odds)
    if ignore_index is None:
        return in_dtype_of(_reduced(entries, reduction), logits)
    kept = np.not_equal(labels, ignore_index)
    entries = np.where(kept, entries, 0)
    is_mean = reduction == "mean"
    y = total(entries) / total(kept.astype(entries.dtype)) if is_mean else _reduced(entries, reduction)
    return in_dtype_of(y, logits)


def _cross_entropy_vjp(
    g: Array, y: Array, logits: Array, labels: Array, odds: _Odds, reduction: str, ignore_index: int | None = None
) -> Array:
    if ignore_index is None:
        per_row = _per_entry(g, labels, reduction)
        per_row = np.expand_dims(per_row, 1) if reduction == "none" else per_row
    else:
        kept = np.not_equal(labels, ignore_index)
        labels = labels * kept
        weights = kept.astype(odds.sum.dtype)
        count = np.maximum(total(weights), 1)  # the mean of no rows is NaN, and no row gets a gradient
        per_row = np.expand_dims(weights * (g / count if reduction == "mean" else g), 1)
    share = per_row / (odds.sum + odds.own)
    if type(labels) is type(odds.others) is type(share) is np.ndarray:
        slope = odds.others * share
        slope[_at(labels)] = -(odds.sum * share)[:, 0]
        return slope
    return share * np.where(_one_hot(labels, logits), -odds.sum, odds.others)


cross_entropy = primitive(
    _cross_entropy,
    _cross_entropy_vjp,
    None,
    refuses=True,
    shared=_odds,
    examples=[
        (x, {"reduction": reduction, **ignored})
        for x, _ in _LABELLED[:1]
        for reduction in REDUCTIONS
        for ignored in ({}, {"ignore_index": 3})
    ],
)


def _huber(x: Array, delta: float) -> Array:
    slope = np.clip(x, -delta, delta)
    return slope * (x - 0.5 * slope)  # x² / 2 inside, delta (|x| - delta / 2) outside


huber = elementwise(
    _huber,
    lambda y, x, delta: np.clip(x, -delta, delta),
    kink=lambda x, delta: np.absolute(x) - delta,
    examples=[([(2, 3)], {"delta": 1.0}), ([(2, 3)], {"delta": 0.25})],
)
