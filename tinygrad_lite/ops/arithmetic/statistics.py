"""Statistics made of reductions: ranges, weighted means, covariances."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.advice import refuse_out
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.ops.arithmetic.reductions import Axis
from tinygrad_lite.ops.casting import conjugated
from tinygrad_lite.ops.requirements import refuse_where


@implements(np.ptp)
def ptp(a: Array, axis: Axis = None, out: Array = None, keepdims: bool = False) -> Array:
    refuse_out("ptp", out)
    # of arrays, since NumPy warns where scalars overflow
    difference = np.max(a, axis=axis, keepdims=True) - np.min(a, axis=axis, keepdims=True)
    return difference if keepdims else np.squeeze(difference, axis)


@implements(np.average)
def average(
    a: Array, axis: Axis = None, weights: Array = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    if weights is None:
        mean = np.mean(a, axis=axis, keepdims=keepdims)
        if not returned:
            return mean
        return mean, np.broadcast_to(mean.dtype.type(np.size(a) / mean.size), mean.shape)
    a, weights = as_array(a), as_array(weights)
    if np.shape(weights) != np.shape(a):
        weights = _along(weights, a, axis)
    dtype = np.result_type(a.dtype, weights.dtype, *(["f8"] if a.dtype.kind in "biu" else []))
    total = np.sum(weights, axis=axis, dtype=dtype, keepdims=keepdims)
    refuse_where(np.equal(total, 0), total, message="average: the weights sum to zero, so there is no weighted mean")
    mean = np.sum(a.astype(dtype) * weights.astype(dtype), axis=axis, keepdims=keepdims) / total
    return (mean, np.broadcast_to(total, mean.shape)) if returned else mean


def _along(weights: Array, a: Array, axis: Axis) -> Array:
    """The weights along some axes of an array, reshaped to broadcast against it."""
    if axis is None:
        raise UsageError(f"average: weights of shape {np.shape(weights)} for an array of shape {a.shape} need an axis=")
    axes = [i % a.ndim for i in (axis if isinstance(axis, tuple) else (axis,))]
    if np.shape(weights) != tuple(a.shape[i] for i in axes):
        raise ShapeError(f"average: weights of shape {np.shape(weights)} do not fit axis={axis} of an array {a.shape}")
    weights = np.transpose(weights, np.argsort(axes))
    return np.reshape(weights, tuple(size if i in axes else 1 for i, size in enumerate(a.shape)))


@implements(np.cov)
def cov(
    m: Array,
    y: Array = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Array = None,
    aweights: Array = None,
    *,
    dtype: Any = None,
) -> Array:
    samples = [as_array(x) for x in (m, y) if x is not None]
    for x in samples:
        if x.ndim > 2:
            raise ShapeError(f"cov: samples must have one or two axes, got shape {x.shape}")
    if ddof is not None and ddof != int(ddof):
        raise InputError(f"cov: ddof={ddof} must be a whole number")
    dtype = np.result_type(*(x.dtype for x in samples), np.float64) if dtype is None else dtype
    X, *more = (np.atleast_2d(x).astype(dtype, copy=False) for x in samples)
    X = X if rowvar or samples[0].ndim == 1 else X.T
    if not len(X):
        return np.zeros((0, 0))
    more = [Y if rowvar or len(Y) == 1 else Y.T for Y in more]
    X = np.concatenate([X, *more]) if more else X
    ddof = int(not bias) if ddof is None else ddof
    weights = [_weights(name, w, X.shape[1]) for name, w in (("fweights", fweights), ("aweights", aweights))]
    if weights[0] is not None:
        is_part = np.not_equal(weights[0], np.round(weights[0]))
        refuse_where(is_part, weights[0], message="cov: fweights count samples, and must be whole numbers, got {}")
    factors = [w for w in weights if w is not None]
    w = factors[0] * factors[1] if len(factors) == 2 else factors[0] if factors else None
    mean, freedom = _mean_and_freedom(X, w, weights[1], ddof)
    X = (X - mean).astype(dtype, copy=False)
    products = np.dot(X, conjugated((X if w is None else X * w).T))
    covariances = (products * np.true_divide(1, freedom)).astype(products.dtype, copy=False)
    return np.squeeze(covariances) if len(X) == 1 else covariances


def _mean_and_freedom(X: Array, w: Array, aweights: Array, ddof: int) -> tuple[Array, Array]:
    """The weighted mean of each row, as a column, and what the sum of products of deviations is divided by."""
    if w is None:
        mean, freedom = np.mean(X, axis=1, keepdims=True), X.shape[1] - ddof
    else:
        mean, total = np.average(X, axis=1, weights=w, returned=True, keepdims=True)
        freedom = total[0, 0]
        if ddof:
            freedom = freedom - ddof * (1 if aweights is None else np.sum(w * aweights) / freedom)
    message = f"cov: {X.shape[1]} samples and ddof={ddof} leave no degrees of freedom"
    refuse_where(np.less_equal(freedom, 0), freedom, message=message)
    return mean, freedom


def _weights(name: str, weights: Array, count: int) -> Array:
    if weights is None:
        return None
    weights = as_array(weights).astype(float)  # as in NumPy, so that no product of two overflows
    if weights.shape != (count,):
        raise ShapeError(f"cov: {name} of shape {weights.shape} for {count} samples")
    refuse_where(np.less(weights, 0), weights, message=f"cov: {name} must not be negative, got {{}}")
    return weights


@implements(np.corrcoef)
def corrcoef(x: Array, y: Array = None, rowvar: bool = True, *, dtype: Any = None) -> Array:
    c = np.cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    deviation = np.sqrt(np.diag(c))
    return np.clip(c / deviation[:, None] / deviation, -1, 1)
