"""The normal distribution function: all digits, in both tails, by either way to compute it."""

from typing import Any

import numpy as np
import pytest

from tinygrad_lite.ops.networks.normal import BLOCK, FEW, normal_at, normal_cdf

mpmath = pytest.importorskip("mpmath")


@pytest.mark.parametrize(("dtype", "lowest"), [(np.float64, -37.5), (np.float32, -13)])
def test_many_entries_keep_their_digits(dtype: Any, lowest: float) -> None:
    x = np.concatenate([np.linspace(lowest, 9, 2 * FEW), [-1e-30, -0.0, 0.0, 1e-30]]).astype(dtype)
    with mpmath.workdps(40):
        right = [mpmath.erfc(-mpmath.mpf(float(a)) / mpmath.sqrt(2)) / 2 for a in x]
        errors = [abs(float(mpmath.mpf(float(y)) / exact - 1)) for y, exact in zip(normal_cdf(x), right)]
    assert max(errors) < 4 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.int64])
def test_many_entries_are_as_few(dtype: Any) -> None:
    x = np.linspace(-5, 5, 2 * FEW).astype(dtype).reshape(2, FEW)
    y = normal_cdf(x)
    few = np.stack([normal_cdf(row[:10]) for row in x])
    assert y.dtype == few.dtype == np.result_type(dtype, 1.0)
    assert y.shape == x.shape
    np.testing.assert_allclose(y[:, :10], few, rtol=64 * max(np.finfo(y.dtype).eps, np.finfo(float).eps))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_blocks_join_without_a_seam_in_any_layout(dtype: Any) -> None:
    x = np.linspace(-5, 5, 3 * BLOCK + 3).astype(dtype).reshape(3, -1)
    pieces = [normal_at(row[i : i + 1000]) for row in x for i in range(0, len(row), 1000)]  # too few for blocks
    right = [np.concatenate(part).reshape(x.shape) for part in zip(*pieces)]
    layouts = (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[:, ::-1].copy()[:, ::-1])
    for laid in layouts:
        for y, expected in zip((*normal_at(laid), normal_cdf(laid)), (*right, right[0])):
            assert y.dtype == dtype
            np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(dtype).eps)


def test_ends() -> None:
    ends = np.array([-np.inf, -1e300, -100.0, np.nan, 100.0, 1e300, np.inf])
    for x in (ends, np.tile(ends, FEW)):
        np.testing.assert_array_equal(normal_cdf(x)[:7], [0, 0, 0, np.nan, 1, 1, 1])
