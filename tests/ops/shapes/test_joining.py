"""Several arrays as one, called in every documented way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.numpy_calls import check, check_value
from tests.ops.moving import EMPTY, SCALAR, A, B, C, Calls, check_linear, rows
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.ops.shapes.joining import array

X = np.array(0.4)
Y = np.array(-1.3)
ROW = B[None]

CALLS: Calls = {
    "concatenate": [
        (lambda x, y: np.concatenate([x, y]), A, ROW),
        (lambda x: np.concatenate((x, [[1.0], [2.0]], x), 1), A),
        (lambda x, y: np.concatenate([x, y, np.ones(2)], axis=None), A, SCALAR),
        (lambda x: np.concatenate([x, 1.0], axis=None), A),
        (lambda x: np.concatenate(x, -1), A),
        (lambda x: np.concat([np.ones((1, 3)), x], axis=-2, out=None), EMPTY),
        (lambda x, y: np.concatenate([x, y], dtype=np.float64), B, B[:1]),
        (lambda x: np.concatenate([x, np.ones(2)], 0, None, dtype=float, casting="unsafe"), B),
    ],
    "stack": [
        (lambda x: np.stack([x, 1.0, np.ones(())]), SCALAR),
        (lambda x, y: np.stack((x, y), 1), A, -A),
        (lambda x: np.stack(arrays=[x, x], axis=-2), A),
        (lambda x: np.stack(x, axis=1), A),
        (lambda x: np.stack([x, x], 0, None, dtype=float, casting="unsafe"), A),
        (lambda x: np.stack([x, x], axis=2), EMPTY),
        (lambda x, y: np.stack([x, [y, 1.0, y]]), B, X),
    ],
    "vstack": [
        (lambda x, y: np.vstack([x, y]), A, B),
        (lambda x: np.vstack((x, 2.0)), SCALAR),
        (lambda x: np.vstack(tup=[x, [1.0, 2.0, 3.0]], dtype=float, casting="unsafe"), EMPTY),
    ],
    "hstack": [
        (lambda x, y: np.hstack([x, y]), A, A[:, :1]),
        (lambda x, y: np.hstack([x, y, 2.0]), B, SCALAR),
        (lambda x: np.hstack(tup=(x, x), dtype=float, casting="unsafe"), EMPTY),
        (lambda x: np.hstack([x, x]), C),
    ],
    "dstack": [(lambda x, y: np.dstack([x, y]), B, -B), (lambda x: np.dstack(tup=(x, x)), A)]
    + [(lambda x: np.dstack([x]), x) for x in (SCALAR, C, EMPTY)],
    "column_stack": [
        (lambda x, y: np.column_stack([x, y]), A.T, B),
        (lambda x: np.column_stack(tup=(x, [1.0, 2.0, 3.0])), B),
        (lambda x: np.column_stack([x, x]), SCALAR),
        (lambda x: np.column_stack([x, x]), C),
    ],
    "append": [
        (lambda x, y: np.append(x, y), A, SCALAR),
        (lambda x: np.append(x, 2.0), B),
        (lambda x: np.append(arr=x, values=[[1.0, 2.0, 3.0]], axis=0), A),
        (lambda x, y: np.append(x, y, -1), A, A[:, :1]),
        (lambda x: np.append([1.0], x), EMPTY),
    ],
    "block": [
        (lambda x, y: np.block([[x, np.ones((2, 2))], [y, 3.0, 4]]), A, ROW),
        (lambda x, y: np.block([x, y, 1.0]), SCALAR, B),
        (lambda x: np.block(arrays=x), A),
        (lambda x: np.block([[[x]], [[x]]]), A),
        (lambda x, y: np.block([[x], [y]]), A, B),
        (lambda x: np.block([x, np.ones((0, 1))]), EMPTY),
    ],
    "insert": [
        (lambda x, y: np.insert(x, 1, y), B, SCALAR),
        (lambda x, y: np.insert(x, 1, y, axis=1), A, B[:2]),
        (lambda x, y: np.insert(x, [1], y[:, None], axis=1), A, B[:2]),
        (lambda x: np.insert(arr=x, obj=[0, 2, 2], values=[7.0, 8.0, 9.0], axis=-1), A),
        (lambda x: np.insert(x, slice(0, 2), 5.0), A),
        (lambda x: np.insert(np.zeros(3, x.dtype), [1, -1], x), B[:2]),
        (lambda x: np.insert(np.zeros(2, int), 1, x), SCALAR),
        (lambda x: np.insert(x, tg.tensor([1, 2]), 0.0), B),
        (lambda x: np.insert(x, 0, 1.0, axis=0), EMPTY),
        (lambda x: np.insert(x, [], 1.0), B),
    ],
    "array": [
        (lambda x, y: array([[x, y], [1.0, x]]), X, Y),
        (lambda x: array((x, [1, 2, 3], np.ones(3))), B),
        (lambda x: array([x, 1]), X),
        (lambda x: array([[], []]) + np.sum(x), X),
        (lambda x: array(x), A),
        (lambda x: array([[x], [x]], dtype=np.float64), A),
        (lambda x: array(x, "float64"), SCALAR),
    ],
}
if np.lib.NumpyVersion(np.__version__) >= "2.4.0":  # before, truths were taken for 0 and 1, with a warning
    CALLS["insert where"] = [(lambda x: np.insert(x, np.array([True, False, True]), 0.0), B)]


@pytest.mark.parametrize(("f", "arrays"), rows(CALLS))
def test_as_numpy(f: Callable[..., Any], arrays: list[Any]) -> None:
    check_linear(f, *arrays)


@pytest.mark.parametrize(
    "data",
    [[], [[], []], [1, 2.0], [True, 2], [[np.float32(1), 2.0]], ((1, 2), [3, 4]), 3, [range(2)], [np.float32(1), True]],
)
def test_an_array_of_no_tensors_is_numpys(data: Any) -> None:
    found = array(data)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, np.array(data), strict=True)
    np.testing.assert_array_equal(array(data, dtype=int), np.array(data, dtype=int), strict=True)


def test_an_array_is_a_copy() -> None:
    x = tg.tensor(A)
    y, z = array(x), array(A)
    y -= 1
    z[0] = 0
    np.testing.assert_array_equal(x, A)
    assert A[0, 0] == 0.3


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize(
    "join",
    [
        lambda x, y: np.concatenate([x, y]),
        lambda x, y: np.stack([x, y]),
        lambda x, y: np.hstack([x, y]),
        lambda x, y: np.append(x, y),
        lambda x, y: np.append(x, 1.0),
        lambda x, y: np.concatenate([x, 1.0], axis=None),
        lambda x, y: np.stack([x[0], 1.0]),
        lambda x, y: np.block([x, y]),
        lambda x, y: np.block([x, 1.0]),
        lambda x, y: np.insert(x, 0, y),
        lambda x, y: np.insert(y, 0, x),
        lambda x, y: np.concatenate([x, y], dtype=np.float32, casting="same_kind"),
        lambda x, y: np.vstack([x, y], dtype=np.int8, casting="unsafe"),
    ],
)
def test_dtypes_are_promoted_as_by_numpy(join: Callable[..., Any], dtype: Any) -> None:
    check_value(join, B.astype(dtype), np.arange(3.0, dtype=np.float32))


APPLIED: Calls = {
    "apply_along_axis": [
        (lambda x: np.apply_along_axis(np.sum, 0, x), A),
        (lambda x: np.apply_along_axis(lambda row: row[::-1] * row[0], -1, x), A),
        (lambda x: np.apply_along_axis(func1d=lambda row: row[:, None] * row, axis=1, arr=x), C),
        (lambda x: np.apply_along_axis(lambda row, power, times: times * row**power, 0, x, 2, times=2), A),
        (lambda x: np.apply_along_axis(np.sum, 0, x), B),
        (lambda x: np.apply_along_axis(lambda row: array([row[0] * row[1], 1.0]), 0, x), C),
        (lambda x: np.apply_along_axis(lambda row: row, 1, x), np.empty((2, 0))),
    ],
    "apply_over_axes": [
        (lambda x: np.apply_over_axes(np.sum, x * x, [0, -1]), C),
        (lambda x: np.apply_over_axes(func=lambda a, axis: np.mean(a * a, axis, keepdims=True), a=x, axes=1), A),
        (lambda x: np.apply_over_axes(np.sum, x, ()), A),
    ],
}


@pytest.mark.parametrize(("f", "arrays"), rows(APPLIED))
def test_applying(f: Callable[..., Any], arrays: list[Any]) -> None:
    check(f, *arrays)
    check_value(f, *[x.astype(np.float32) for x in arrays])


def test_apply_along_axis_of_what_has_no_gradient() -> None:
    x = tg.tensor(A, requires_grad=True)
    np.testing.assert_array_equal(np.apply_along_axis(np.argmax, 1, x), np.argmax(A, 1), strict=True)
    np.testing.assert_array_equal(np.apply_along_axis(lambda row: 2, 1, x), [2, 2])


def test_apply_along_axis_has_the_dtype_of_the_first_result() -> None:
    def f(row: Any) -> Any:
        return np.astype(row, np.float32 if row[0] == A[0, 0] else np.float64)

    check_value(lambda x: np.apply_along_axis(f, 1, x), A)


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda x: np.concatenate([x, x[0]]), ShapeError, r"concatenate cannot take float64\[2, 3\] and float64\[3\]"),
        (lambda x: np.concatenate([x, x], 0, np.ones((4, 3))), UsageError, "concatenate: out="),
        (lambda x: np.concatenate([x], dtype=int), UsageError, "concatenate.*same_kind"),
        (lambda x: np.stack([x, x[0]]), ShapeError, "stack cannot take.*same shape"),
        (lambda x: np.stack([x], out=np.ones((1, 2, 3))), UsageError, "stack: out="),
        (lambda x: np.stack([x], 3), ShapeError, "stack.*axis 3"),
        (lambda x: np.block([[x], x]), ShapeError, r"block cannot take float64\[2, 3\] and.*depth"),
        (lambda x: np.block([[x], []]), ShapeError, "block.*empty"),
        (lambda x: np.block([x, (x, x)]), UsageError, "block.*tuple"),
        (lambda x: np.insert(x, [0, 1], [1.0, 2.0, 3.0]), ShapeError, "insert cannot take"),
        (lambda x: np.insert(x, 9, 1.0), IndexError, "out of bounds"),
        (lambda x: array([[x[0, 0], 1.0], [x[0, 1]]]), ShapeError, r"data\[1\] has shape \(1,\), but data\[0\] has"),
        (
            lambda x: array([[1, [x[0, 0]]]]),
            ShapeError,
            r"data\[0\]\[1\] has shape \(1,\), but data\[0\]\[0\] has \(\)",
        ),
        (lambda x: np.apply_along_axis(np.sum, 0, x[:, :0]), ShapeError, r"at least one slice.*\(2, 0\)"),
        (lambda x: np.apply_over_axes(np.sum, x, 2), ShapeError, "sum.*axis 2"),
        (lambda x: np.apply_along_axis(np.sum, 2, x), ShapeError, "axis 2"),
        (lambda x: np.apply_over_axes(lambda a, axis: np.sum(a), x, 0), ShapeError, r"made float64\[1\] of.*\[2, 3\]"),
    ],
)
def test_refused(attempt: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt(tg.tensor(A, requires_grad=True))


@pytest.mark.parametrize(
    "kinds", [(float, np.float64), (np.float32, np.float32), (np.float32, float), (np.float64, int)]
)
def test_stacked_numbers_have_numpys_dtype(kinds: tuple[Any, ...]) -> None:
    first, second = (kind(2) for kind in kinds)
    right = np.stack([first, second])
    for joined in (np.stack([tg.tensor(first), second]), tg.array([tg.tensor(first), second])):
        assert joined.dtype == right.dtype
        np.testing.assert_array_equal(joined, right)


def test_many_reads_make_one_array() -> None:
    x = tg.tensor(np.cos(np.arange(12.0)).reshape(4, 3), requires_grad=True)
    y = np.stack([row * k for k, row in enumerate(x)]) + x  # a gradient of all entries beside those of the rows
    y.backward(np.ones((4, 3)))
    np.testing.assert_array_equal(x.grad, np.arange(1.0, 5)[:, None] * np.ones(3))
