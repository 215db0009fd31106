"""The NumPy source of functions of all pairs, which has a few long loops where NumPy would begin one for each row."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param

RNG = np.random.default_rng(0)
PAIRS = [
    ((70, 1, 3), (60, 3)),
    ((60, 3), (70, 1, 3)),
    ((70, 1, 3), (1, 60, 3)),
    ((1, 60, 3), (70, 1, 3)),
    ((70, 1, 2, 3), (60, 2, 3)),
    ((2, 70, 1, 3), (1, 60, 3)),
    ((2, 50, 1, 3), (2, 1, 50, 3)),
]
OTHERS = [((70, 60, 3), (60, 3)), ((5000, 3), (3,)), ((70, 1, 3), (70, 60, 1)), ((500, 1), (1, 9)), ((9, 1, 3), (8, 3))]
BINARY = [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.hypot, np.logaddexp, np.power, np.less]


def arrays(*shapes: tuple[int, ...], dtype: Any = float) -> list[Any]:
    return [RNG.uniform(0.5, 2, shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", [np.float64, param(np.float32, slow=True)])
def test_pairs_of_rows_are_repeated_and_give_the_same_numbers(dtype: Any) -> None:
    for ufunc in BINARY:
        for shapes in PAIRS + OTHERS:
            x, z = arrays(*shapes, dtype=dtype)
            f = tg.compile(lambda x, z, ufunc=ufunc: ufunc(x, z), backend="numpy")
            y = f(x, z)
            assert y.dtype == ufunc(x, z).dtype
            np.testing.assert_array_equal(y, ufunc(x, z), err_msg=f"{ufunc} {shapes}")
            may_repeat = shapes in PAIRS and ufunc is not np.less  # whose result has another dtype
            assert ("np.repeat" in f.source) == may_repeat, (ufunc, shapes, f.source)


@pytest.mark.long
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("keepdims", [False, True])
def test_sums_along_short_rows_are_products(dtype: Any, keepdims: bool) -> None:
    for shape in ((70, 60, 3), (5000, 2), (2, 60, 50, 4)):
        for axis in (*range(-len(shape), len(shape)), (-1,), (0, 1), None):
            (x,) = arrays(shape, dtype=dtype)
            f = tg.compile(lambda x, axis=axis: np.sum(x, axis=axis, keepdims=keepdims), backend="numpy")
            expected = np.sum(x, axis=axis, keepdims=keepdims)
            assert f(x).dtype == expected.dtype
            np.testing.assert_allclose(f(x), expected, rtol=1e-4 if dtype == np.float32 else 1e-13)
            is_of_rows = axis == (-1,) or (isinstance(axis, int) and axis % len(shape) >= len(shape) - 2)
            assert ("@" in f.source) == is_of_rows, (shape, axis, f.source)


def test_arrays_of_other_layouts_are_left_as_they_are() -> None:
    f = tg.compile(lambda x: np.sum(x, axis=-1), backend="numpy")
    (x,) = arrays((3, 60, 70))
    np.testing.assert_allclose(f(x.T), x.T.sum(axis=-1), rtol=1e-14)
    assert "@" not in f.source
    g = tg.compile(lambda x, z: x - z, backend="numpy")
    z = np.asfortranarray(arrays((60, 3))[0])
    np.testing.assert_array_equal(g(x[:, :, :1], z.T[:, :, None]), x[:, :, :1] - z.T[:, :, None])


def test_gradients_and_other_libraries(tmp_path: Path) -> None:
    def energy(x: Any) -> Any:
        d = x[:, None] - x
        return np.sum(1 / np.sqrt(np.sum(d * d, axis=-1) + 0.1))

    (x,) = arrays((70, 3))
    f = tg.compile(tg.value_and_grad(energy), backend="numpy")
    (value, gradient), (expected, slope) = f(x), tg.value_and_grad(energy)(x)
    np.testing.assert_allclose(value, expected)
    np.testing.assert_allclose(gradient, slope)
    assert "np.repeat" in f.source
    f.export(tmp_path / "energy.py")
    exec((tmp_path / "energy.py").read_text(), scope := {})
    np.testing.assert_allclose(scope["energy"](x)[1], slope)
    f.export(tmp_path / "of_jax.py", library="jax")
    assert "np.repeat" not in (tmp_path / "of_jax.py").read_text()  # XLA makes its own loops
    f.export(tmp_path / "energy.c", library="c")
