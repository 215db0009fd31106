"""Activations: the value and slope of a leaky unit for every slope, and of a sigmoid in every precision."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.nn import functional as F

X = np.array([-2.0, -0.5, -0.0, 0.0, 0.5, 3.0])


@pytest.mark.parametrize("slope", [-0.5, 0.0, 0, 0.01, np.float64(0.3), 1, 2.5, np.full(6, 0.25)], ids=str)
def test_leaky_relu_of_every_slope(slope: Any) -> None:
    y, pull = tg.vjp(lambda x: F.leaky_relu(x, slope), X)
    np.testing.assert_allclose(y, np.where(X > 0, X, slope * X), rtol=1e-15)
    (gradient,) = pull(np.full(6, 2.0))
    np.testing.assert_allclose(gradient, 2 * np.where(X > 0, 1, slope), rtol=1e-15)
    assert np.isnan(F.leaky_relu(np.array([np.nan]), 0.01)[0])
    assert F.leaky_relu(np.array([np.inf]), 0)[0] == np.inf


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.int8, np.uint8, np.int64])
def test_sigmoid_keeps_its_digits_down_to_the_smallest_number(dtype: Any) -> None:
    result = np.result_type(dtype, 1.0) if np.dtype(dtype).kind == "f" else np.float64
    lowest = np.log(float(np.finfo(result).smallest_subnormal) or 1e-300) + 3
    limits = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    x = np.linspace(max(lowest, limits.min) if limits else lowest, 100, 50).astype(dtype)
    exact = np.exp(-np.logaddexp(0, -x.astype(np.longdouble)))
    smallest = 2 * np.finfo(F.sigmoid(x).dtype).smallest_subnormal
    np.testing.assert_allclose(F.sigmoid(x), exact, rtol=8 * float(np.finfo(F.sigmoid(x).dtype).eps), atol=smallest)
    np.testing.assert_array_equal(F.sigmoid(np.array([-np.inf, np.inf, np.nan])), [0, 1, np.nan])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 13.0, 30.0, 95.0, 1e4])
def test_softmax_with_and_without_a_shift(dtype: Any, scale: float) -> None:
    x = (scale * np.random.default_rng(0).uniform(-3, 3, (5, 4, 7))).astype(dtype)
    for axis in (-1, 0, (0, 2), None):
        weights = np.exp((x - x.max(axis=axis, keepdims=True)).astype(np.longdouble))
        right = weights / weights.sum(axis=axis, keepdims=True)
        rounding = np.finfo(dtype).eps * (4 + 6 * scale)  # of the shift, as far as it is one
        np.testing.assert_allclose(F.softmax(x, axis), right, rtol=rounding, atol=np.finfo(dtype).tiny)
    for lowest in (-np.inf, -1e9, -1.0):
        mask = np.where(np.tri(4, 7, dtype=bool), 0, lowest).astype(dtype)
        none = np.zeros((5, 7, 7), dtype)  # all scores are equal, so that the values are the weights
        right = F.softmax(none[:, :4] + mask, -1)
        query, values = np.zeros((5, 4, 2), dtype), np.broadcast_to(np.eye(7, dtype=dtype), (5, 7, 7))
        found = F.scaled_dot_product_attention(query, np.ones((5, 7, 2), dtype), values, mask)
        np.testing.assert_allclose(found, right, rtol=1e-6)
        assert np.isfinite(found).all()
