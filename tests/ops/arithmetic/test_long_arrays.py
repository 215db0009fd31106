"""What takes a faster way for long arrays is NumPy's value bit for bit, or that of the short ones."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.nn import functional as F
from tinygrad_lite.ops.arithmetic.elementwise import _LONG

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 40.0, -40.0, 800.0, -800.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1e30, -1e30]
BOUNDS = [0, 0.0, -0.0, 1, -2, 0.5, 1e25, 1e-300, np.inf, -np.inf, np.nan, np.float32(0.5), np.float64(0.1)]


def bits(x: Any) -> Any:
    return x.view(f"u{x.dtype.itemsize}")


@pytest.mark.parametrize("bound", BOUNDS, ids=repr)
@pytest.mark.parametrize("dtype", ["f", "d", "e"])
@pytest.mark.parametrize("function", [np.maximum, np.minimum], ids=["maximum", "minimum"])
def test_the_larger_and_the_smaller_of_an_array_and_a_number(function: Any, dtype: str, bound: Any) -> None:
    with np.errstate(over="ignore"):
        x = np.resize(SPECIAL, _LONG + 3).astype(dtype)
        for args in ((x, bound), (bound, x)):
            expected = function(*args)
            found = function(*(tg.tensor(a) if a is x else a for a in args))
            assert found.dtype == expected.dtype
            is_number = ~np.isnan(expected)
            np.testing.assert_array_equal(np.isnan(found.numpy()), ~is_number)
            np.testing.assert_array_equal(bits(found.numpy())[is_number], bits(expected)[is_number])


ACTIVATIONS = [F.relu, F.sigmoid, F.softplus, F.silu, F.elu, F.leaky_relu, F.logsigmoid, F.gelu, F.selu, F.hardswish]


@pytest.mark.long
@pytest.mark.parametrize("f", ACTIVATIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["f", "d"])
def test_a_long_array_is_many_short_ones(f: Any, dtype: str) -> None:
    x = np.resize([*SPECIAL[:9], *np.linspace(-9, 9, 300)], 300 * (_LONG // 300 + 1)).astype(dtype)
    value, pull = tg.vjp(f, x)
    for start in range(0, len(x), 300):
        part = slice(start, start + 300)
        expected, pull_part = tg.vjp(f, x[part])
        tolerance = 4 * np.finfo(dtype).eps
        np.testing.assert_allclose(value[part], expected, rtol=tolerance, atol=0)
        slope, expected_slope = pull(np.ones_like(x))[0][part], pull_part(np.ones_like(x[part]))[0]
        np.testing.assert_allclose(slope, expected_slope, rtol=tolerance, atol=tolerance * 1e-3)


@pytest.mark.parametrize("dtype", ["f", "d", ">d"])
@pytest.mark.parametrize(
    "shape", [(40, 50, 2), (50, 40, 8), (3, 700, 3), (700, 1, 3), (30, 30, 33), (4, 5, 3)], ids=str
)
def test_all_differences_of_two_lists_of_vectors(shape: tuple[int, int, int], dtype: str) -> None:
    rows, columns, length = shape
    rng = np.random.default_rng(0)
    x, z = (rng.choice([*SPECIAL, *rng.normal(size=9)], (count, length)).astype(dtype) for count in (rows, columns))
    with np.errstate(over="ignore", invalid="ignore"):
        for a, b in ((x[:, None], z[None]), (z, x[:, None]), (x[:, None, ::-1], z), (x[None], z[:, None])):
            found, expected = tg.tensor(a) - b, a - b
            assert found.dtype == expected.dtype
            is_number = ~np.isnan(expected)
            np.testing.assert_array_equal(np.isnan(found.numpy()), ~is_number)
            np.testing.assert_array_equal(bits(found.numpy())[is_number], bits(expected)[is_number])
