"""Arrays made by a pattern, called in every documented way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.numpy_calls import check, check_value
from tests.ops.moving import EMPTY, SCALAR, A, B, Calls, check_linear, rows
from tinygrad_lite.errors import ShapeError, UsageError

SIDE = np.array([[1.7], [0.6]])
ENDS = np.array([2.5, 0.9, 4.0])

SPACED: Calls = {
    "linspace": [
        (lambda a, b: np.linspace(a, b), SCALAR, SCALAR + 1),
        (lambda a, b: np.linspace(a, b, 4), SIDE, ENDS),
        (lambda a: np.linspace(a, 3, num=4, endpoint=False), SCALAR),
        (lambda a: np.linspace(0.5, stop=a, num=3, retstep=True), SCALAR),
        (lambda a, b: np.linspace(a, b, 4, False, True, np.float64, -1), SIDE, ENDS),
        (lambda a, b: np.linspace(a, b, 3, axis=1), SIDE, ENDS),
        (lambda a: np.linspace([1.0, 2.0], a, 3), B[:2]),
        (lambda a: np.linspace(a, a, 3), SCALAR),
        (lambda a: np.linspace(a, 3.0, 1), SCALAR),
        (lambda a: np.linspace(a, 3.0, 1, endpoint=False), SCALAR),
        (lambda a: np.linspace(a, 3.0, 0), SCALAR),
        (lambda a: np.linspace(a, 3.0, 2), EMPTY),
        (lambda a: np.linspace(a, np.float32(3), 4), SCALAR),
    ],
    "logspace": [
        (lambda a, b: np.logspace(a, b, 3), SCALAR, SCALAR - 1),
        (lambda a, b: np.logspace(a, b, num=3, endpoint=False, base=2, dtype=np.float64, axis=-1), SIDE, B),
        (lambda a, b, c: np.logspace(a, b, 3, base=c), SCALAR, B, SCALAR),
        (lambda a, b, c: np.logspace(a, b, 2, True, c, None, -1), SCALAR, SIDE, ENDS),
        (lambda c: np.logspace(0.5, 1, 3, base=c), ENDS),
        (lambda c: np.logspace(0.5, 1, 3, base=c), SCALAR),
        (lambda a: np.logspace(a, 1, 0), B),
    ],
    "geomspace": [
        (lambda a, b: np.geomspace(a, b, 3), SCALAR, ENDS[0]),
        (lambda a, b: np.geomspace(a, b, 4, False, np.float64, -1), SIDE, ENDS),
        (lambda a, b: np.geomspace(a, stop=b, num=3, axis=1), SIDE, ENDS),
        (lambda a: np.geomspace(-3.0, -a, num=4, endpoint=True), ENDS),
        (lambda a: np.geomspace(a, 3, 1), SCALAR),
        (lambda a: np.geomspace(a, 3, 0), SCALAR),
        (lambda a: np.geomspace([1, 2, 3], a, 3), ENDS),
    ],
    "vander": [
        (np.vander, B),
        (lambda x: np.vander(x, 2), B),
        (lambda x: np.vander(x=x, N=4, increasing=True), B),
        (lambda x: np.vander(x, 1), B),
        (lambda x: np.vander(x, N=0), B),
        (np.vander, B[:0]),
    ],
}


@pytest.mark.parametrize(("f", "arrays"), rows(SPACED))
def test_as_numpy(f: Callable[..., Any], arrays: list[Any]) -> None:
    check(f, *arrays)
    for dtype in (np.float32, np.int64, np.int8):
        check_value(f, *[np.ceil(x).astype(dtype) for x in arrays])


FILLED: Calls = {
    "full_like": [
        (lambda x, fill: np.full_like(x, fill), A, SCALAR),
        (lambda x, fill: np.full_like(x, fill), A, B),
        (lambda x, fill: np.full_like(a=x, fill_value=fill, dtype=np.float64, order="F", subok=False), A, SIDE),
        (lambda x, fill: np.full_like(x, fill, shape=(2, 3)), SCALAR, B),
        (lambda x, fill: np.full_like(x, [1.0, 2.0, 3.0], shape=3), A, B),
        (lambda x, fill: np.full_like(x, 2.5), EMPTY, B),
        (lambda x, fill: np.full_like(x, fill, shape=()), A, SCALAR),
    ],
    "zeros_like": [
        (np.zeros_like, A),
        (lambda x: np.zeros_like(a=x, dtype=np.float32, order="F", subok=False, shape=(2, 2)), SCALAR),
        (lambda x: np.zeros_like(x, int, shape=2), EMPTY),
    ],
    "ones_like": [
        (np.ones_like, SCALAR),
        (lambda x: np.ones_like(a=x, dtype=bool, order="C", subok=True, shape=[3]), A),
    ],
}


@pytest.mark.parametrize(("f", "arrays"), rows(FILLED))
def test_filled(f: Callable[..., Any], arrays: list[Any]) -> None:
    check_linear(f, *arrays)


def test_constants_are_tensors_without_a_gradient() -> None:
    x = tg.tensor(A, requires_grad=True)
    for y in (np.zeros_like(x), np.ones_like(x), np.empty_like(x), np.full_like(x, 3.0), np.full_like(x, x, int)):
        assert isinstance(y, tg.Tensor)
        assert not y.requires_grad
    assert np.full_like(tg.tensor([1, 2]), 2.7).numpy().tolist() == [2, 2]
    y = np.empty_like(x, dtype=np.float32, order="C", shape=(0, 2))
    assert (y.shape, y.dtype) == ((0, 2), np.float32)


def test_arrays_filled_with_a_tensor_that_needs_no_gradient() -> None:
    x = tg.tensor(B)
    for found in (np.full((2, 3), x), np.full_like(A, x)):
        np.testing.assert_array_equal(found, [B, B], strict=True)
    target = np.zeros((2, 3))
    np.copyto(target, x, where=tg.tensor([True, False, True]))
    np.testing.assert_array_equal(target, [[0.5, 0, 1.1]] * 2)


def test_whole_numbers_between_tensors_have_no_gradient() -> None:
    x = tg.tensor(1.5, requires_grad=True)
    y = np.linspace(x, 7.0, 4, dtype=int)
    assert not y.requires_grad
    np.testing.assert_array_equal(y, np.linspace(1.5, 7.0, 4, dtype=int), strict=True)
    np.testing.assert_array_equal(np.logspace(x, 2.0, 3, dtype=int), np.logspace(1.5, 2.0, 3, dtype=int), strict=True)


def test_a_step_that_does_not_exist() -> None:
    for num, endpoint in ((1, True), (0, True), (0, False)):
        assert np.isnan(np.linspace(tg.tensor(1.0), 2.0, num, endpoint, retstep=True)[1])


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda x: np.linspace(x, 1.0, -1), ShapeError, "linspace.*non-negative"),
        (lambda x: np.linspace(x, 1.0, 2.5), UsageError, "linspace.*integer"),
        (lambda x: np.linspace(x, 1.0, num=x), UsageError, "num= is a param"),
        (lambda x: np.linspace(x, np.ones(2)), ShapeError, r"linspace cannot take float64\[3\] and float64\[2\]"),
        (lambda x: np.geomspace(0 * x, 1.0), ShapeError, "geomspace.*zero"),
        (lambda x: np.vander(x[None]), ShapeError, r"vander cannot take float64\[1, 3\]"),
        (lambda x: np.copyto(x, 1.0), UsageError, "copyto would write"),
        (lambda x: np.full(3, x), UsageError, "history would be lost"),
        (lambda x: np.full_like(np.ones(3), x), UsageError, "history would be lost"),
        (lambda x: np.full_like(x, [1.0, 2.0]), ShapeError, r"cannot take float64\[3\] and float64\[2\]"),
    ],
)
def test_refused(attempt: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt(tg.tensor(B, requires_grad=True))
