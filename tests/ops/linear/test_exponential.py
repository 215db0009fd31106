"""The exponential of a matrix, against SciPy's."""

from typing import Any
from unittest import mock

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.ops.linear import exponential as module

scipy_linalg = pytest.importorskip("scipy.linalg")


def matrices(shape: tuple[int, ...], size: float, dtype: Any = float) -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape) + (1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else 0)
    return (size / shape[-1] * x).astype(dtype)


@pytest.mark.parametrize("size", [1e-9, 0.1, 3.0, 30.0, 100.0])
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (7, 7), (3, 2, 4, 4)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
def test_value(shape: tuple[int, ...], size: float, dtype: Any) -> None:
    x = matrices(shape, size, dtype)
    found, expected = tg.linalg.expm(x), scipy_linalg.expm(x.astype(np.result_type(dtype, float)))
    assert found.dtype == dtype
    scale = np.abs(expected).max(axis=(-2, -1), keepdims=True)
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e4 * (1 + size) * np.finfo(dtype).eps)


@pytest.mark.parametrize("upstream", [0.0, 1e-200, 1.0, 1e200])
@pytest.mark.parametrize("size", [1e-9, 1.0, 30.0])
def test_gradient(size: float, upstream: float) -> None:
    """Its digits do not depend on how large the upstream gradient is."""
    x, g = matrices((5, 5), size), np.random.default_rng(1).normal(size=(5, 5))
    (found,) = tg.vjp(tg.linalg.expm, x)[1](upstream * g)
    expected = scipy_linalg.expm_frechet(x.T, g, compute_expm=False)
    np.testing.assert_allclose(found, upstream * expected, rtol=1e-9, atol=1e-12 * upstream * np.abs(expected).max())


def test_the_gradient_of_a_large_matrix_takes_no_squaring_for_the_size_of_the_upstream_gradient() -> None:
    """Each loses digits, and a gradient of ones has the norm of the number of rows."""
    x, g = matrices((40, 40), 0.1), np.ones((40, 40))
    with mock.patch.object(module, "exponential", wraps=module.exponential) as called:
        (found,) = tg.vjp(tg.linalg.expm, x)[1](g)
    block = np.asarray(called.call_args.args[0])
    assert np.linalg.norm(block, 1) <= np.linalg.norm(x.T, 1) + 1
    expected = scipy_linalg.expm_frechet(x.T, g, compute_expm=False)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_stack_has_as_many_squarings_as_each_matrix_needs() -> None:
    small, large = matrices((3, 3), 1e-3), matrices((3, 3), 200.0)
    np.testing.assert_array_equal(tg.linalg.expm(np.stack([small, large]))[0], tg.linalg.expm(small))


def test_edges() -> None:
    assert tg.linalg.expm(np.zeros((2, 0, 0))).shape == (2, 0, 0)
    np.testing.assert_allclose(tg.linalg.expm([[0, 1], [0, 0]]), [[1, 1], [0, 1]])
    assert np.isnan(tg.linalg.expm(np.full((2, 2), np.nan))).all()
    for shape in ((3,), (2, 3)):
        with pytest.raises(ShapeError, match="expm needs a square matrix"):
            tg.linalg.expm(np.ones(shape))


def test_the_distribution_of_a_markov_chain() -> None:
    """By the derivative of the rate, which moves from state 0 to 1 and back: a rate of r mixes as exp(-2 r t)."""
    generator = np.array([[-1.0, 1.0], [1.0, -1.0]])
    stays = tg.compile(tg.value_and_grad(lambda r, t: tg.linalg.expm(r * t * generator)[0, 0]))
    for r, t in ((0.5, 1.0), (0.1, 2.0)):
        value, slope = stays(np.array(r), np.array(t))
        np.testing.assert_allclose([value, slope], [0.5 + 0.5 * np.exp(-2 * r * t), -t * np.exp(-2 * r * t)])
