"""NumPy's reductions, statistics, products, order and indexing on tensors, in every documented way of calling them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.numpy_calls import check, check_value
from tinygrad_lite.engine.registry import ANSWERS
from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation.signatures import path_of, signature_of

A = np.array([[0.3, -1.2, 1.9], [1.6, 0.4, -0.7]])
B = np.array([0.5, -2.0, 1.1])
C = np.cos(np.arange(12.0) * 2.3).reshape(2, 2, 3)
S = np.float64(0.7)
E = np.zeros((0, 3))
M = np.array([[True, False, True], [False, True, True]])
N = np.array([[0.5, np.nan, -2.0], [np.nan, 1.5, 3.0]])
Z = np.array([[0.0, 2.0, 3.0], [0.5, 0.0, 0.0]])
F = A.astype(np.float32)
PLACES = np.array([2, 0, 2])

Row = tuple[Callable[..., Any], list[Any]]

UFUNCS: list[Row] = [
    (lambda x: np.exp(x, dtype=np.float32), [A]),
    (lambda x, y: np.add(x, y, dtype=np.float64), [A, B]),
    (lambda x, y: np.multiply(x, y, order="C", casting="same_kind"), [A, B]),
    (lambda x, y: np.hypot.outer(x, y, dtype=np.float64), [B, A]),
    (np.sinc, [A]),
    (np.i0, [B]),
    (np.float_power, [np.abs(A), B]),
    (lambda x: np.divmod(x, 0.77)[1], [A]),
    (lambda x: divmod(x, 0.77), [A]),
    (lambda x: np.fmod(x, 0.77), [A]),
    (np.logaddexp2, [A, B]),
    (np.arctan2, [A, B]),
    (lambda x: np.arctan2(x, np.array([200, 100, 50], np.uint8)), [A]),
    (lambda x: x / np.array([1.1, 2.3, 0.7], np.float16), [A]),
    (lambda x: np.array([1.1, 2.3, 0.7], np.float32) ** x, [A]),
    (lambda x: np.arctan2(np.array([True, False, True]), x), [A]),
    (lambda x: x ** np.array([0, 2, 1], np.uint8), [A]),
    (lambda x: np.array([2, 3, 1], np.int8) ** x, [A]),
    (lambda x: np.hypot(x, np.array([200, 100, 50], np.uint8)), [A]),
    (lambda x: np.array([200, 100, 50], np.uint8) / x, [A]),
    (lambda x: np.interp(np.array([20, 90], np.uint8), np.array([10, 50, 200], np.uint8), x), [B]),
    (np.angle, [A]),
    (lambda x: np.angle(x, deg=True), [B]),
    (np.hypot, [A, B]),
    (np.heaviside, [A, B]),
    (np.copysign, [A, B]),
    (np.fmax, [A, B]),
    (np.fmin, [A, B]),
    (np.rint, [B + 0.1]),
    (np.trunc, [A]),
    (np.positive, [A]),
    (np.degrees, [A]),
    (np.deg2rad, [A]),
    (np.cbrt, [A]),
    (lambda x: np.nan_to_num(x, nan=1.0, posinf=5.0), [A]),
    (lambda x: np.round(x, 1), [A]),
    (lambda x, y: np.add.outer(x, y), [A, B]),
    (lambda x, y: np.multiply.outer(x, y), [B, A]),
    (lambda x, y: np.maximum.outer(x, y), [B, np.array([0.1, 0.2])]),
    (lambda x, y: np.subtract.outer(x, y), [S, B]),
    (lambda x: np.ldexp(x, np.array([1, 2, 3])), [A]),
    (np.modf, [A]),
    (np.frexp, [A]),
]

REDUCTIONS: list[Row] = [
    (lambda x: np.sum(x, where=M), [A]),
    (lambda x: np.sum(x, 1, where=x > 0), [A]),
    (lambda x: np.sum(x, axis=0, initial=2.5, keepdims=True), [A]),
    (lambda x: np.sum(x, dtype=np.float32), [A]),
    (lambda x: np.sum(x, dtype=np.float64), [F]),
    (lambda x: np.sum(x), [E]),
    (lambda x: np.sum(x, axis=0), [E]),
    (lambda x: np.sum(x), [S]),
    (lambda x: np.sum(x, axis=()), [A]),
    (lambda x: np.add.reduce(x, axis=(0, 2), keepdims=True), [C]),
    (lambda x: np.add.reduce(x, where=M, initial=1.0), [A]),
    (lambda x: x.sum(axis=-1, where=M), [A]),
    (np.logaddexp.reduce, [A]),
    (lambda x: np.logaddexp.reduce(x, axis=1, keepdims=True), [A]),
    (np.prod, [A]),
    (np.prod, [Z]),
    (lambda x: np.prod(x, 1), [Z]),
    (lambda x: np.prod(x, axis=(0, -1), keepdims=True), [C]),
    (lambda x: np.prod(x, axis=0, initial=2.0, where=M), [A]),
    (lambda x: np.multiply.reduce(x), [Z]),
    (lambda x: x.prod(axis=1), [A]),
    (np.prod, [np.zeros(0)]),
    (np.prod, [S]),
    (lambda x: np.prod(x, axis=0), [E]),
    (lambda x: np.mean(x, where=M), [A]),
    (lambda x: np.mean(x, 1, where=M, keepdims=True), [A]),
    (lambda x: np.mean(x, axis=(0, 1), dtype=np.float32), [A]),
    (lambda x: np.var(x, axis=1, where=M), [A]),
    (lambda x: np.var(x, 0, None, None, 1), [A]),
    (lambda x: np.var(x, axis=1, correction=1), [A]),
    (np.var, [S]),
    (lambda x: np.var(x, axis=1, mean=np.mean(x, axis=1, keepdims=True), keepdims=True), [A]),
    (lambda x, m: np.var(x, mean=m, ddof=1), [A, np.array([[0.2]])]),
    (lambda x, m: np.var(x, axis=1, mean=m), [A[:1], A[:, :1]]),
    (lambda x, m: np.std(x, axis=0, mean=m), [A, np.array([[0.2, 0.1, 3.0]])]),
    (lambda x: np.std(x, axis=1, where=M, ddof=0.5), [A]),
    (lambda x: np.std(x, keepdims=True, correction=1), [A]),
    (lambda x: x.var(axis=(0, 1)), [A]),
    (lambda x: x.std(ddof=1), [A]),
    (lambda x: np.max(x, axis=0, where=M, initial=-9.0), [A]),
    (lambda x: np.max(x, initial=1.0), [A]),
    (lambda x: np.amax(x, (0, 1), keepdims=True), [A]),
    (lambda x: np.min(x, 1, where=M, initial=0.35), [A]),
    (lambda x: np.minimum.reduce(x, axis=1, keepdims=True, initial=0.0), [A]),
    (lambda x: np.max(x, axis=1, initial=0.0), [np.zeros((2, 0))]),
    (np.ptp, [A]),
    (lambda x: np.ptp(x, axis=1, keepdims=True), [A]),
    (lambda x: np.ptp(x, 0), [A]),
    (np.average, [A]),
    (lambda x: np.average(x, axis=0, returned=True), [A]),
    (lambda x, w: np.average(x, weights=w), [A, np.abs(A)]),
    (lambda x, w: np.average(x, 1, w), [A, np.array([1.0, 2.0, 0.5])]),
    (lambda x, w: np.average(x, axis=1, weights=w, returned=True, keepdims=True), [A, np.array([1.0, 2.0, 0.5])]),
    (lambda x, w: np.average(x, axis=(2, 0), weights=w), [C, np.arange(1.0, 7.0).reshape(3, 2)]),
    (lambda x: np.average(x, axis=0, weights=[1, 3]), [A]),
    (np.nansum, [N]),
    (lambda x: np.nansum(x, axis=1, keepdims=True), [N]),
    (lambda x: np.nansum(x, where=M), [N]),
    (lambda x: np.nanprod(x, axis=0), [N]),
    (np.nanmean, [N]),
    (lambda x: np.nanmean(x, axis=1, keepdims=True), [N]),
    (lambda x: np.nanvar(x, axis=1, ddof=1), [N]),
    (lambda x: np.nanstd(x, axis=1), [N]),
    (lambda x: np.nanstd(x, correction=1), [N]),
    (lambda x: np.nanmax(x, axis=1), [N]),
    (lambda x: np.nanmin(x, axis=0, keepdims=True), [N]),
    (lambda x: np.nancumsum(x, axis=1), [N]),
    (np.nancumsum, [N]),
    (lambda x: np.nancumprod(x, axis=0), [N]),
    (np.nanmedian, [N]),
    (lambda x: np.nanquantile(x, [0.2, 0.9], axis=1, keepdims=True), [N]),
    (lambda x: np.nanmedian(x, axis=1, keepdims=True), [N]),
    (lambda x: np.nanquantile(x, 0.3, axis=1), [N]),
    (lambda x: np.nanpercentile(x, [20, 70], axis=1), [N]),
    (np.nanmean, [A]),
]

CUMULATIVE: list[Row] = [
    (lambda x: np.cumulative_sum(x), [B]),
    (lambda x: np.cumulative_sum(x, axis=1, include_initial=True), [A]),
    (lambda x: np.cumulative_prod(x, axis=0, include_initial=True), [A]),
]

RUNNING: list[Row] = [
    (np.cumsum, [A]),
    (lambda x: np.cumsum(x, 1), [A]),
    (lambda x: np.cumsum(x, axis=-2, dtype=np.float64), [F]),
    (lambda x: np.add.accumulate(x), [A]),
    (lambda x: np.add.accumulate(x, axis=1), [A]),
    (lambda x: x.cumsum(axis=0), [C]),
    (np.cumsum, [S]),
    (np.cumsum, [np.zeros(0)]),
    (np.cumprod, [A]),
    (lambda x: np.cumprod(x, axis=1), [Z]),
    (lambda x: np.multiply.accumulate(x, 1), [A]),
    (lambda x: x.cumprod(), [np.array([2.0, 0.0, 3.0, 0.0, 5.0])]),
    (np.cumprod, [S]),
    (lambda x: np.maximum.accumulate(x, axis=1), [A]),
    (lambda x: np.maximum.accumulate(array=x, axis=0), [A]),
    (lambda x: np.maximum.accumulate(x, dtype=np.float32), [A]),
    (np.minimum.accumulate, [np.array([2.0, 3.0, 1.0, 1.5, 0.5])]),
    (np.maximum.accumulate, [np.array([1.0, 3.0, 2.0, 4.0])]),
    (lambda x: np.minimum.accumulate(x, axis=(0,)), [A]),
    (lambda x: np.maximum.accumulate(x, axis=None), [B]),
    (np.logaddexp.accumulate, [A]),
    (lambda x: np.logaddexp.accumulate(x, axis=1), [A]),
    (np.logaddexp.accumulate, [np.array([2.0, -800.0, 1.0, 900.0, 0.5, 899.0, -3.0])]),
    (lambda x: np.logaddexp2.accumulate(x, -1), [A]),
    *(CUMULATIVE if hasattr(np, "cumulative_sum") else []),
    (np.unwrap, [np.array([0.5, 3.0, -2.5, 9.0])]),
    (lambda x: np.unwrap(x, axis=0, period=1.1), [A]),
    (lambda x: np.unwrap(x, discont=4.0), [np.array([0.5, 5.0, -2.5])]),
    (np.diff, [A]),
    (lambda x: np.diff(x, 2), [C]),
    (lambda x: np.diff(x, n=1, axis=0), [A]),
    (lambda x, p: np.diff(x, prepend=p, append=9.0), [A, np.array([[1.0], [2.0]])]),
    (lambda x: np.diff(x, n=0), [A]),
    (lambda x, p: np.diff(x, axis=0, prepend=p), [A, S]),
    (np.ediff1d, [A]),
    (lambda x, e: np.ediff1d(x, e, [1.0, 2.0]), [B, np.array([5.0, 6.0])]),
    (np.trapezoid, [A]),
    (lambda x: np.trapezoid(x, dx=0.5, axis=0), [A]),
    (lambda y, x: np.trapezoid(y, x), [A, B]),
    (lambda y, x: np.trapezoid(y, x, axis=0), [A, np.array([0.5, 2.0])]),
    (lambda y, x: np.trapezoid(y, x=x, axis=1), [A, np.cumsum(np.abs(A), 1)]),
    (np.gradient, [B]),
    (np.gradient, [A]),
    (lambda x: np.gradient(x, 0.5, axis=1), [A]),
    (lambda x: np.gradient(x, 0.5, 2.0), [A]),
    (lambda x, h: np.gradient(x, h, axis=-1), [A, S]),
    (lambda x, p: np.gradient(x, p, axis=1), [A, np.array([0.0, 0.4, 2.0])]),
    (lambda x, p: np.gradient(x, p, axis=1, edge_order=2), [A, np.array([0.0, 0.4, 2.0])]),
    (lambda x: np.gradient(x, edge_order=2), [np.array([1.0, 4.0, 2.0, 0.5])]),
    (lambda x: np.gradient(x, [0.0, 0.5, 1.0], axis=1), [A]),
    (lambda x: np.gradient(x, axis=(0, 2)), [C]),
]

ORDER: list[Row] = [
    (np.sort, [A]),
    (lambda x: np.sort(x, axis=0), [A]),
    (lambda x: np.sort(x, None), [A]),
    (lambda x: np.sort(x, kind="quicksort"), [C]),
    (lambda x: np.sort(x, stable=True), [A]),
    (np.sort, [np.zeros((2, 0))]),
    (lambda x: np.partition(x, 1), [A]),
    (lambda x: np.partition(x, [0, 2], axis=1), [A]),
    (lambda x: np.partition(x, 2, axis=None), [A]),
    (np.median, [A]),
    (lambda x: np.median(x, axis=1), [A]),
    (lambda x: np.median(x, (0, -1), keepdims=True), [C]),
    (np.median, [S]),
    (lambda x: np.quantile(x, 0.3), [A]),
    (lambda x: np.quantile(x, [0.1, 0.9], axis=1), [A]),
    (lambda x: np.quantile(x, np.array([[0.1, 0.9], [0.0, 1.0]]), axis=0, keepdims=True), [A]),
    *[
        (lambda x, method=method: np.quantile(x, [0.35, 0.8], method=method), [A])
        for method in (
            "inverted_cdf",
            "averaged_inverted_cdf",
            "closest_observation",
            "interpolated_inverted_cdf",
            "hazen",
            "weibull",
            "linear",
            "median_unbiased",
            "normal_unbiased",
            "lower",
            "higher",
            "midpoint",
            "nearest",
        )
    ],
    (lambda x: np.quantile(x, 0.4, method="inverted_cdf", weights=[1.0, 3.0, 0.5], axis=1), [A]),
    (lambda x: np.percentile(x, 30), [A]),
    (lambda x: np.percentile(x, (10, 50, 100), axis=(0, 1)), [C]),
    (lambda x: np.percentile(x, q=25.0, axis=0, method="midpoint"), [A]),
    (lambda x: np.percentile(x, 40), [F]),
]

PRODUCTS: list[Row] = [
    (np.dot, [A, B]),
    (np.dot, [A, A.T]),
    (np.dot, [S, A]),
    (np.dot, [A, S]),
    (np.dot, [B, B]),
    (np.dot, [A, C.mT]),
    (np.dot, [C, C[0].T]),
    (lambda a, b: a.dot(b), [A, B]),
    (np.dot, [E, B]),
    (np.vdot, [A, A + 1]),
    (np.vdot, [S, S]),
    (np.inner, [A, B]),
    (np.inner, [A, C]),
    (np.inner, [S, A]),
    (np.inner, [C, B]),
    (np.outer, [A, B]),
    (np.outer, [S, B]),
    (np.matmul, [C, B]),
    (lambda a, b: a @ b, [B, C.mT]),
    *([(np.matvec, [C, B]), (np.vecmat, [B, C.mT])] if hasattr(np, "matvec") else []),
    (np.vecdot, [A, B]),
    (lambda a, b: np.vecdot(a, b, axis=0), [A, A + 1]),
    (np.tensordot, [A, A]),
    (lambda a, b: np.tensordot(a, b, 1), [A, B]),
    (lambda a, b: np.tensordot(a, b, 0), [A, B]),
    (lambda a, b: np.tensordot(a, b, axes=([1, 0], [2, 0])), [A, C]),
    (lambda a, b: np.tensordot(a, b, axes=(1, -1)), [A, C]),
    (lambda a, b: np.tensordot(a, b, axes=([-1], [0])), [E, A.T]),
    (np.kron, [A, B]),
    (np.kron, [B, C]),
    (np.kron, [S, A]),
    (np.cross, [A, B]),
    (np.cross, [B, A]),
    (lambda a, b: np.cross(a, b, axis=0), [A.T, A.T + 1]),
    (lambda a, b: np.cross(a, b, axisa=0, axisc=0), [A.T, B]),
    (lambda a, b: np.einsum("ij,j->i", a, b), [A, B]),
    (lambda a, b: np.einsum("ij,j", a, b), [A, B]),
    (lambda a, b: np.einsum("ij , kj -> ik", a, b, optimize=True), [A, A]),
    (lambda a, b: np.einsum(a, [0, 1], b, [1]), [A, B]),
    (lambda a, b: np.einsum(a, [0, 1], b, [1], [0]), [A, B]),
    (lambda a: np.einsum(a, [0, 0]), [C[0, :, :2]]),
    (lambda a: np.einsum(a, [Ellipsis, 0], [0, Ellipsis]), [C]),
    (lambda a: np.einsum("ii->i", a), [C[0, :, :2]]),
    (lambda a: np.einsum("iji->j", a), [C[:, :, :2]]),
    (lambda a: np.einsum("...ij->...", a), [C]),
    (lambda a, b: np.einsum("i...,...i", a, b), [A, A.T]),
    (lambda a, b, c: np.einsum("ij,jk,k->i", a, b, c, optimize="greedy"), [A, A.T, A[:, 0]]),
    (lambda a, b: np.einsum("ij,ij->j", a, b), [A, B[None]]),
    (lambda a, b: np.einsum("bi,bj->", a, b), [A, A]),
    (lambda a: np.einsum("ij->ji", a), [A]),
    (lambda a: np.einsum(",", a, 2.0), [S]),
    *[
        (lambda a, v, mode=mode: np.convolve(a, v, mode), [a, v])
        for mode in ("full", "same", "valid")
        for a, v in ((A.ravel(), B), (B, A.ravel()), (B, S))
    ],
    *[
        (lambda a, v, mode=mode: np.correlate(a, v, mode=mode), [a, v])
        for mode in ("full", "same", "valid")
        for a, v in ((A.ravel(), B[:2]), (B[:2], A.ravel()), (B, B))
    ],
    (np.convolve, [B, B]),
    (np.correlate, [A.ravel(), B]),
    (np.polyval, [B, A]),
    (np.polyadd, [B, B[:2]]),
    (np.polysub, [B[:2], B]),
    (np.polymul, [B, B[:2]]),
    (np.poly, [B]),
    (np.polyadd, [A, A + 1]),
    (lambda p: np.polyder(p, 2), [A.ravel()]),
    (np.polyder, [B]),
    (np.polyint, [B]),
    (lambda p, k: np.polyint(p, 2, k), [B, np.array([1.0, 2.0])]),
    (lambda p: np.polyint(p, m=2, k=3.0), [B]),
    (lambda x, y: np.polyfit(x, y, 2), [np.array([0.0, 0.4, 1.0, 1.7]), np.array([1.0, 2.0, 0.5, 3.0])]),
    (
        lambda x, y, w: np.polyfit(x, y, 1, w=w),
        [np.array([0.0, 0.4, 1.0]), np.array([[1.0, 2.0], [0.5, 3.0], [1.0, 1.5]]), np.array([1.0, 2.0, 0.5])],
    ),
    (lambda x: np.polyval([1.0, 2.0, 3.0], x), [A]),
    (lambda p: np.polyval(p, 0.5), [B]),
    (np.interp, [np.array([0.2, 1.7, -3.0, 9.0]), np.array([-1.0, 0.5, 2.0]), B]),
    (lambda x, p, f: np.interp(x, p, f, left=5.0), [np.array([0.2, -3.0, 9.0]), np.array([-1.0, 0.5, 2.0]), B]),
    (lambda x, p, f: np.interp(x, p, f, right=5.0), [np.array([0.2, -3.0, 9.0]), np.array([-1.0, 0.5, 2.0]), B]),
    (lambda x, p, f: np.interp(x, p, f, period=4.0), [np.array([0.2, -3.0, 9.0]), np.array([-1.0, 5.5, 2.0]), B]),
    (lambda x: np.interp(x, [0.0, 1.0, 2.0], [5.0, 6.0, 2.0]), [S]),
    (np.cov, [A]),
    (np.cov, [B]),
    (lambda x, y: np.cov(x, y), [B, B**2]),
    (lambda x: np.cov(x, rowvar=False, bias=True), [A]),
    (lambda x: np.cov(x, ddof=0, fweights=[1, 2, 3]), [A]),
    (lambda x, w: np.cov(x, aweights=w), [A, np.array([0.5, 2.0, 1.0])]),
    (lambda x, w: np.cov(x, fweights=[1, 2, 2], aweights=w, ddof=1), [A, np.array([0.5, 2.0, 1.0])]),
    (lambda x: np.cov(x, dtype=np.float32), [A]),
    (lambda x: np.corrcoef(x, rowvar=False)[0, 1:], [np.vstack([A, B])]),
    (lambda x, y: np.corrcoef(x, y)[0, 1], [B, B**2]),
]

INDEXING: list[Row] = [
    (lambda x: x[1, [0, 2, 0]], [A]),
    (np.fft.fftshift, [A]),
    (lambda x: np.fft.ifftshift(x, axes=1), [A]),
    (lambda x: x[:, None, [True, False, True]], [A]),
    (lambda x: x[..., [[0, 1], [2, 2]], None], [A]),
    (lambda x: x[[0, 1], :, [2, 0]], [C]),
    (lambda x: x[[0], None, [[1], [0]], ::-2], [C]),
    (lambda x: x[1:, [0, 1, 0], -1], [C]),
    (lambda x: x[np.array([[True, False], [True, True]])], [C]),
    (lambda x: x[np.array([[True, False], [True, True]]), 1], [C]),
    (lambda x: x[0, np.array([True, False])], [C]),
    (lambda x: x[True], [A]),
    (lambda x: x[()], [S]),
    (lambda x: x[..., None], [S]),
    (lambda x: x[np.int64(1), np.uint8(2)], [A]),
    (lambda x: x[[]], [A]),
    (lambda x: x[2:2], [A]),
    (lambda x: [row * 2 for row in x], [A]),
    (lambda x: np.take(x, [0, 4, 4]), [A]),
    (lambda x: np.take(x, [True, False], axis=1), [A]),
    (lambda x: np.take(x, []), [A]),
    (lambda x: np.take(x, [0, -1, 0], axis=0), [S]),
    (lambda x: x[x > 0], [E]),
    (lambda w: np.bincount(np.array([0, 1, 1], np.uint8), w), [B]),
    (lambda x: np.trapezoid(x, dx=np.ones((3, 1))), [B]),
    (lambda x: x.astype(np.float64, order="C", casting="safe", copy=False), [A]),
    (lambda x: np.take(x, [[2, 0], [1, 1]], axis=1), [A]),
    (lambda x: np.take(x, 1, -1), [A]),
    (lambda x: np.take(x, [-1, 7], axis=1, mode="wrap"), [A]),
    (lambda x: np.take(x, [-1, 7], mode="clip"), [A]),
    (lambda x: x.take([0, 1], axis=1), [A]),
    (lambda x: np.take_along_axis(x, np.argsort(x, axis=1), axis=1), [A]),
    (lambda x: np.take_along_axis(x, np.array([[0, 0, 1]]), 0), [A]),
    (lambda x: np.take_along_axis(x, np.array([5, 0]), None), [A]),
    (lambda x: np.compress([True, False, True], x, axis=1), [A]),
    (lambda x: np.compress([False, True], x), [A]),
    (lambda x: x.compress([False, True], axis=0), [A]),
    (lambda x: np.extract(x > 0, x), [A]),
    (lambda x: np.select([x > 1, x < 0], [x * 2, -x]), [A]),
    (lambda x, y: np.select([x > 1, x < 0], [y, x], default=5.0), [A, B]),
    (lambda x: np.select([x > 1], [x], 2), [F]),
    (lambda x, y: np.choose([0, 1, 1], [x, y]), [B, A]),
    (lambda x: np.choose(np.array([[0, 1, 1]]), x), [A]),
    (lambda x: np.choose([4, 1, -1], [x, -x], mode="wrap"), [B]),
    (lambda x: np.choose([4, 1, -1], [x, -x, x**2], mode="clip"), [B]),
    (lambda x, y: np.where(x > 0, x, y), [A, B]),
    (lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda x: -x, lambda x: x**2]), [A]),
    (lambda x: np.piecewise(x, [x < 0], [lambda x: x**2, 7.0]), [A]),
    (lambda x: np.piecewise(x, [x < 9, x > 9], [lambda x: x**3, lambda x: 1 / x[0]]), [B]),
    (lambda w: np.bincount(PLACES, weights=w), [B]),
    (lambda w: np.bincount(PLACES, w, minlength=5), [B]),
]

ROWS = [*UFUNCS, *REDUCTIONS, *RUNNING, *ORDER, *PRODUCTS, *INDEXING]


@pytest.mark.parametrize(("f", "arrays"), ROWS, ids=range(len(ROWS)))
def test_calls(f: Callable[..., Any], arrays: list[Any]) -> None:
    if np.result_type(*arrays) == np.float32 or "float32" in getattr(getattr(f, "__code__", None), "co_names", ()):
        check_value(f, *arrays)  # differences of numbers of few digits would say nothing of the gradient
    else:
        check(f, *arrays)


def of_mixed_dtypes() -> list[Row]:
    """The calls with several arrays, one of which is of float32; of numbers that float32 rounds."""
    rows = []
    for f, arrays in ROWS:
        numbers = [np.asarray(x) * 1.0123456789 if np.asarray(x).dtype.kind == "f" else x for x in arrays]
        places = [i for i, x in enumerate(numbers) if np.asarray(x).dtype.kind == "f"]
        for i in places if len(places) > 1 else []:
            rows.append((f, [x.astype(np.float32) if k == i else x for k, x in enumerate(numbers)]))
    return rows


def test_values_of_mixed_dtypes_are_numpys() -> None:
    for f, arrays in of_mixed_dtypes():
        try:
            f(*arrays)
        except ValueError:  # outside of the domain
            continue
        check_value(f, *arrays)


def dtypes(result: Any) -> list[Any]:
    parts = result if isinstance(result, (tuple, list)) else [result]
    return [np.asarray(x.numpy() if isinstance(x, tg.Tensor) else x).dtype for x in parts]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numbers that few digits round to where NumPy warns
def test_dtypes_of_few_digits_are_numpys(dtype: Any) -> None:
    wrong = []
    for f, arrays in ROWS:
        cast = [x.astype(dtype) if getattr(x, "dtype", None) == np.float64 else x for x in arrays]
        try:
            expected = dtypes(f(*cast))
        except (ValueError, TypeError):  # of a function that has no loop for the dtype
            continue
        tensors = [tg.tensor(x) if getattr(x, "dtype", np.dtype(int)).kind == "f" else x for x in cast]
        if dtypes(f(*tensors)) != expected:
            wrong.append((f, cast, expected))
    assert wrong == []


VALUES: list[Row] = [  # at jumps, of whole numbers, and of dtypes of which differences say nothing
    *[(np.angle, [np.array([1.5, -2.0, np.inf, -np.inf], dtype)]) for dtype in (np.float16, np.longdouble)],
    (np.modf, [M]),
    (np.modf, [PLACES]),
    (np.polymul, [Z[1][::-1], B]),
    (np.polymul, [np.zeros(2), B]),
    (lambda x: np.full_like(x, 2.5, np.int64), [A]),
    (lambda x: np.choose([[1], [0]], [x], mode="clip"), [M]),
    (np.trapezoid, [B[:2], B[:2, None]]),
    (lambda x: np.gradient(x, np.array([0.0, 0.5, 2.0]), axis=1), [F]),
    (np.linalg.matrix_rank, [np.float64(np.nan)]),
    (np.vdot, [np.array([0.0]), np.float64(-1.5)]),
    (lambda x: np.piecewise(x, [x > 1], [2.5, lambda x: x / 2]), [PLACES]),
    (lambda x, f: np.interp(x, [-1.0, 0.5, 2.0], f, period=2.0), [A.astype(np.float16), B.astype(np.float16)]),
]


@pytest.mark.parametrize(("f", "arrays"), VALUES, ids=range(len(VALUES)))
def test_values(f: Callable[..., Any], arrays: list[Any]) -> None:
    check_value(f, *arrays)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: np.take(x, 0, axis=()), B),
        (lambda x: np.take_along_axis(x, np.array([[0]]), None), A),
        (lambda x: np.compress(np.array(True), x), B),
        (np.add.accumulate, S),
        (np.maximum.accumulate, S),
        (lambda x: np.polyfit(x, x, 1), np.zeros(0)),
        *([(lambda x: np.matvec(x, x), B), (lambda x: np.vecmat(x, x), B)] if hasattr(np, "matvec") else []),
    ],
)
def test_what_numpy_refuses_is_refused(f: Callable[..., Any], x: Any) -> None:
    for argument in (x, tg.tensor(x, requires_grad=True)):
        with pytest.raises((TypeError, ValueError)):
            f(argument)


@pytest.mark.parametrize(
    "f",
    [
        *(np.max, np.min, np.ptp, np.median),
        lambda x, axis: np.quantile(x, [0.3, 0.5], axis),
        lambda x, axis: np.percentile(x, 40, axis, method="nearest"),
        lambda x, axis: np.linalg.norm(x, np.inf, axis),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_where_a_nan_decides_there_is_no_gradient(f: Callable[..., Any]) -> None:
    y, pull = tg.vjp(lambda x: f(x, axis=0), N)
    (gradient,) = pull(np.ones_like(y))
    np.testing.assert_array_equal(np.isnan(gradient), [[True, True, False], [True, True, False]])


def test_the_logarithm_of_an_empty_sum_has_an_empty_gradient() -> None:
    y, pull = tg.vjp(np.logaddexp.reduce, np.zeros(0))
    assert y == -np.inf
    assert pull(y)[0].shape == (0,)


def test_quantiles_of_nothing_are_nan_and_their_gradient_is_empty() -> None:
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning):
        y, pull = tg.vjp(lambda x: np.nanquantile(x, [0.1, 0.9], axis=1), np.zeros((2, 0)))
    assert np.all(np.isnan(y))
    assert pull(y)[0].shape == (2, 0)


def test_the_inverse_of_an_empty_float16_matrix_does_not_call_lapack() -> None:
    y, pull = tg.vjp(np.linalg.pinv, np.zeros((0, 3), np.float16))
    assert pull(y)[0].shape == (0, 3)


def test_partitions_of_many_entries_are_numpys() -> None:
    x = np.random.default_rng(0).uniform(size=(3, 700))
    np.testing.assert_array_equal(np.partition(tg.tensor(x), 250).numpy(), np.partition(x, 250))


def test_the_quotient_of_fmod_is_that_of_its_value() -> None:
    assert 0.3 * 3 / 0.3 == 3
    assert np.fmod(0.3 * 3, 0.3) > 0.29  # of which the quotient is 2
    assert tg.grad(lambda b: np.fmod(0.3 * 3, b))(0.3) == -2


def test_items_are_numbers() -> None:
    x = tg.tensor(A)
    assert (x.item(0), x.item(1, 2), x.item((0, 1))) == (0.3, -0.7, -1.2)


def test_masked_arrays_do_not_lose_the_history() -> None:
    masked = np.ma.array([1.0, 2.0], mask=[0, 1])
    with pytest.raises(UsageError):
        tg.grad(lambda x: np.sum(masked * x))(np.ones(2))


@pytest.mark.parametrize(
    ("f", "at", "slope"),
    [
        (lambda x: np.arctan2(x, 1e-200), 1e-200, 5e199),
        (lambda x: np.arctan2(x, 1e200), 1e200, 5e-201),
        (np.arcsinh, 1e200, 1e-200),
        (np.arccosh, 1e200, 1e-200),
        (np.expm1, -40.0, np.exp(-40.0)),
    ],
)
def test_slopes_neither_overflow_nor_cancel(f: Callable[..., Any], at: float, slope: float) -> None:
    np.testing.assert_allclose(tg.grad(f)(at), slope, rtol=1e-12)


NOT_GIVEN = [
    (function, name)
    for function in ANSWERS
    if callable(function) and getattr(function, "__module__", "") == "numpy" and not isinstance(function, np.ufunc)
    for name, parameter in signature_of(function).parameters.items()
    if parameter.default is np._NoValue and function is not np.clip  # which asks for both bounds or for none
]


@pytest.mark.parametrize(("function", "name"), NOT_GIVEN, ids=lambda x: x if isinstance(x, str) else path_of(x))
def test_numpys_marker_for_no_value_counts_as_left_out(function: Callable[..., Any], name: str) -> None:
    """NumPy's own functions pass it on; of a square array, a gradient along another axis would have the same shape."""
    x = np.cos(np.arange(9.0)).reshape(3, 3)
    known = signature_of(function).parameters
    params = {key: value for key, value in (("axis", 1), ("q", 0.3)) if key in known}
    results = []
    for given in ({}, {name: np._NoValue}):
        leaf = tg.tensor(x, requires_grad=True)
        y = function(leaf, **{**params, **given})
        np.testing.assert_array_equal(y.detach(), function(x, **{**params, **given}))
        if y.requires_grad:
            np.sum(y * np.sin(np.arange(y.size)).reshape(y.shape)).backward()
        results.append(leaf.grad)
    np.testing.assert_array_equal(*results)
