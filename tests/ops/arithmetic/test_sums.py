"""Sums, means and running operations: NumPy's values to the last bit, in any layout, their dtypes and forward mode."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.ops.arithmetic.running import slice_by_slice


def layouts(shape: tuple[int, ...], dtype: Any) -> dict[str, Any]:
    """The same kind of numbers, which round differently in each order of addition, in several layouts."""
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> Any:
        return (rng.normal(size=shape) * 10.0 ** rng.integers(-6, 3, shape)).astype(dtype)

    return {
        "rows": drawn(*shape),
        "columns": np.asfortranarray(drawn(*shape)),
        "part of rows": drawn(*shape[:-1], 3 * shape[-1])[..., ::3],
        "backward": drawn(*shape)[..., ::-1],
        "stretched": np.broadcast_to(drawn(*shape[:-1], 1), shape),
        "turned": drawn(*shape[::-1]).T,
    }


@pytest.mark.parametrize("length", range(1, 10))
@pytest.mark.parametrize("before", [(700,), (30, 20), (3,)], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64])
@pytest.mark.parametrize("function", [np.sum, np.mean])
def test_values_are_numpys_to_the_last_bit(function: Any, length: int, before: tuple[int, ...], dtype: Any) -> None:
    for layout, x in layouts((*before, length), dtype).items():
        for axis in (-1, len(before), 0, (-1,), (0, -1), None):
            for keepdims in (False, True):
                right = function(x, axis=axis, keepdims=keepdims)
                answer = function(tg.tensor(x), axis=axis, keepdims=keepdims).numpy()
                assert answer.dtype == right.dtype
                assert answer.tobytes() == right.tobytes(), (layout, axis)


def test_a_sum_of_zeros_has_numpys_sign() -> None:
    zeros = np.full((400, 3), -0.0)
    assert np.sum(tg.tensor(zeros), axis=1).numpy().tobytes() == np.sum(zeros, axis=1).tobytes()


@pytest.mark.parametrize("axis", [2, -3, 1.0, (0, 0)])
def test_a_wrong_axis_is_refused_as_by_numpy(axis: Any) -> None:
    x = np.ones((400, 3))
    with pytest.raises((ValueError, TypeError), match=r"axis|integer|argument"):
        np.sum(x, axis=axis)
    with pytest.raises((ValueError, TypeError), match=r"axis|integer|argument"):
        np.sum(tg.tensor(x), axis=axis)


def test_the_number_that_a_sum_begins_with_is_no_part_of_its_change() -> None:
    x, t = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.5], [2.0, -1.0]])
    value, change = tg.jvp(lambda x: np.sum(x, axis=1, initial=10.0), (x,), (t,))
    np.testing.assert_array_equal(value, [13, 17])
    np.testing.assert_array_equal(change, [1.5, 1])


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.maximum, np.minimum, np.logaddexp, np.logaddexp2])
@pytest.mark.parametrize("dtype", "?bBhilefdg")
def test_running_operations_have_the_dtype_and_shape_of_numpys(ufunc: np.ufunc, dtype: str) -> None:
    for shape in [(0,), (1,), (3,), (2, 0), (0, 2), (1, 3)]:
        array = np.ones(shape, dtype)
        for axis in range(len(shape)):
            expected = ufunc.accumulate(array, axis=axis)
            found = ufunc.accumulate(tg.tensor(array), axis=axis)
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


@pytest.mark.parametrize("ufunc", [np.logaddexp, np.logaddexp2])
def test_a_running_sum_of_exponentials_is_that_of_a_loop(ufunc: np.ufunc) -> None:
    inf = np.inf
    weights = np.random.default_rng(0).normal(size=9)
    loop = slice_by_slice(ufunc)
    for x in (
        *(weights * 3, weights * 900, weights[:1], np.zeros(9)),
        *([-inf, 1, 2, -inf, 3], [1, inf, 2, 3, 4], [-inf, -inf, -inf], [inf, -inf, 1]),
    ):
        for f in (ufunc.accumulate, lambda x: ufunc.accumulate(np.stack([x, np.zeros(len(x))]), axis=1)[0]):
            with np.errstate(invalid="ignore"):  # of ∞ - ∞
                y, pull = tg.vjp(f, np.array(x))
                expected, pull_loop = tg.vjp(lambda x: loop(x, 0), np.array(x))
                (gradient,), (right,) = pull(weights[: len(x)]), pull_loop(weights[: len(x)])
            np.testing.assert_array_equal(y, expected)
            np.testing.assert_allclose(gradient, right, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("running", [np.logaddexp.accumulate, np.logaddexp2.accumulate])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_running_sums_in_logarithms_have_the_gradient_of_their_recurrence(running: Any, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 5, 40)).astype(dtype)
    rows = [x, 100 * x, x + 50, x.copy(), x.copy(), x.copy()]
    rows[3][:, :3], rows[4][:, 20], rows[5][:, 20] = -np.inf, -np.inf, -1000
    for x in rows:
        for axis in (0, 1):
            y, pull = tg.vjp(lambda x, axis=axis: running(x, axis=axis), x)
            (gradient,) = pull(g)
            leaf = tg.tensor(x, requires_grad=True)
            with np.errstate(invalid="ignore"):
                running(leaf, axis=axis).backward(g, create_graph=True)
            assert leaf.grad is not None
            assert gradient.dtype == dtype
            tolerance = 20 * np.finfo(dtype).eps * max(1, np.abs(y[np.isfinite(y)]).max())  # the results are rounded
            np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=tolerance, atol=tolerance)
