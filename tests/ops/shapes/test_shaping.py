"""Axes and shapes, called in every documented way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.ops.moving import EMPTY, SCALAR, A, B, C, Calls, check_linear, rows
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.ops.shapes.shaping import stretched

D = np.cos(np.arange(6.0)).reshape(1, 2, 3)

CALLS: Calls = {
    "reshape": [
        (lambda x: np.reshape(x, 6), A),
        (lambda x: np.reshape(x, (3, -1)), A),
        (lambda x: np.reshape(x, [3, 2], "F"), A),
        (lambda x: np.reshape(x, (3, 2), order="F"), A),
        (lambda x: np.reshape(x, (1, 1)), SCALAR),
        (lambda x: np.reshape(x, ()), B[:1]),
        (lambda x: np.reshape(x, (3, 0)), EMPTY),
    ],
    "ravel": [(np.ravel, A), (lambda x: np.ravel(x, "F"), A), (lambda x: np.ravel(a=x, order="C"), A)]
    + [(np.ravel, x) for x in (SCALAR, EMPTY)],
    "transpose": [
        (np.transpose, C),
        (np.transpose, B),
        (np.transpose, SCALAR),
        (np.transpose, EMPTY),
        (lambda x: np.transpose(x, [1, 2, 0]), C),
        (lambda x: x.transpose(np.array([1, 2, 0])), C),
        (lambda x: np.transpose(a=x, axes=(-1, 0, 1)), C),
        (lambda x: np.permute_dims(x, (2, 0, 1)), C),
        (lambda x: np.permute_dims(x, axes=None), A),
    ],
    "matrix_transpose": [(np.matrix_transpose, x) for x in (A, C, EMPTY)],
    "swapaxes": [(lambda x: np.swapaxes(x, 0, 1), A), (lambda x: np.swapaxes(x, axis1=-1, axis2=0), C)],
    "moveaxis": [
        (lambda x: np.moveaxis(x, 0, -1), C),
        (lambda x: np.moveaxis(x, [0, 1], [-1, -2]), D),
        (lambda x: np.moveaxis(a=x, source=(2, 0), destination=(0, 1)), D),
        (lambda x: np.moveaxis(x, 1, 0), EMPTY),
        (lambda x: np.moveaxis(x, (), ()), SCALAR),
    ],
    "rollaxis": [
        (lambda x: np.rollaxis(x, 2), D),
        (lambda x: np.rollaxis(x, 0, 3), D),
        (lambda x: np.rollaxis(a=x, axis=-1, start=1), D),
    ],
    "expand_dims": [
        (lambda x: np.expand_dims(x, 0), SCALAR),
        (lambda x: np.expand_dims(x, axis=-1), A),
        (lambda x: np.expand_dims(x, (0, 2)), A),
        (lambda x: np.expand_dims(x, [0, -1]), EMPTY),
    ],
    "squeeze": [
        (np.squeeze, D),
        (np.squeeze, SCALAR),
        (np.squeeze, EMPTY),
        (np.squeeze, A[:1, :1]),
        (lambda x: np.squeeze(x, 0), D),
        (lambda x: np.squeeze(a=x, axis=(0, -1)), A[:1, :1]),
    ],
    "broadcast_to": [
        (lambda x: np.broadcast_to(x, (2, 3)), B),
        (lambda x: np.broadcast_to(x, 2), SCALAR),
        (lambda x: np.broadcast_to(array=x, shape=[2, 2, 3], subok=True), A[:, None]),
        (lambda x: np.broadcast_to(x, (0, 3)), B),
    ],
    "broadcast_arrays": [
        (lambda x, y: np.broadcast_arrays(x, y), A[:, :1], B),
        (lambda x: np.broadcast_arrays(x), A),
        (lambda x: np.broadcast_arrays(x, np.ones((2, 1)), 2.0, [1.0, 2.0, 3.0]), B),
        (lambda x: np.broadcast_arrays(np.ones((0, 1)), x, subok=True), B),
    ],
    "atleast_1d": [(np.atleast_1d, x) for x in (SCALAR, A, EMPTY)] + [(np.atleast_1d, SCALAR, A)],
    "atleast_2d": [(np.atleast_2d, x) for x in (SCALAR, B, C)] + [(lambda x: np.atleast_2d(x, 1.0, [1, 2]), B)],
    "atleast_3d": [(np.atleast_3d, x) for x in (SCALAR, B, A, C, EMPTY)] + [(np.atleast_3d, A, B)],
    "meshgrid": [
        (np.meshgrid, B, A[0]),
        (np.meshgrid, B),
        (np.meshgrid, B[:2], SCALAR, A[0, :2]),
        (lambda x: np.meshgrid(x, [1.0, 2.0], indexing="ij"), B),
        (lambda x: np.meshgrid(x, [1.0, 2.0], sparse=True), B),
        (lambda x: np.meshgrid(np.ones(2), x, sparse=True, indexing="ij", copy=False), B),
        (lambda x: np.meshgrid(x, x, copy=False), B),
        (lambda x: np.meshgrid(x, np.ones(0)), B),
    ],
}


@pytest.mark.parametrize(("f", "arrays"), rows(CALLS))
def test_as_numpy(f: Callable[..., Any], arrays: list[Any]) -> None:
    check_linear(f, *arrays)


def test_containers_are_those_of_numpy() -> None:
    for f in (
        lambda x: np.atleast_2d(x, x),
        lambda x: np.broadcast_arrays(x, x),
        lambda x: np.meshgrid(x, x),
        lambda x: np.meshgrid(x, x, sparse=True, copy=False),
    ):
        assert type(f(tg.tensor(B))) is type(f(B))


def test_open_mesh_of_indices() -> None:
    rows, columns = tg.tensor([0, 1]), tg.tensor([True, False, True])
    for index in (np.ix_(rows, columns), np.ix_(np.array([0, 1]), columns), np.ix_(rows, [0, 2])):
        for found, expected in zip(index, np.ix_([0, 1], [0, 2]), strict=True):
            np.testing.assert_array_equal(found, expected, strict=True)
        np.testing.assert_array_equal(tg.tensor(A)[index], A[:, [0, 2]])
        np.testing.assert_array_equal(A[index], A[:, [0, 2]])


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="copy= came with NumPy 2.1")
def test_reshape_ignores_copy_since_arrays_never_change() -> None:
    for copy in (True, False, None):
        np.testing.assert_array_equal(np.reshape(tg.tensor(A).T, 6, copy=copy), A.T.ravel())


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda x: np.reshape(x, (4, 2)), ShapeError, r"reshape cannot take float64\[2, 3\]"),
        (lambda x: np.reshape(x, 6, order="A"), UsageError, "memory layout"),
        (lambda x: np.ravel(x, "K"), UsageError, "memory layout"),
        (lambda x: np.moveaxis(x, 0, 2), ShapeError, r"moveaxis cannot take float64\[2, 3\].*axis 2"),
        (lambda x: np.moveaxis(x, [0, 1], 0), ShapeError, "moveaxis"),
        (lambda x: np.matrix_transpose(x[0]), ShapeError, r"matrix_transpose cannot take float64\[3\]"),
        (lambda x: np.broadcast_arrays(x, np.ones(2)), ShapeError, r"broadcast_arrays cannot take float64\[2, 3\] and"),
        (lambda x: np.meshgrid(x, x, indexing="yx"), ShapeError, "meshgrid.*'xy' and 'ij'"),
        (lambda x: np.squeeze(x, 0), ShapeError, "squeeze"),
        (lambda x: np.ix_(x[0]), UsageError, "history"),
    ],
)
def test_refused(attempt: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt(tg.tensor(A, requires_grad=True))


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda x: x[::-1]])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1), (1, 3), (2, 3), (0, 3), (1, 1, 1)])
@pytest.mark.parametrize("target", [(), (1,), (3,), (2, 3), (4, 2, 3), (0, 3), (5, 0, 3), (2, 0), (-1, 3), 3, [2, 3]])
def test_broadcasting_is_numpys(shape: tuple[int, ...], target: Any, layout: Callable[[Any], Any]) -> None:
    x = np.cos(np.arange(np.prod(shape, dtype=int))).reshape(shape)
    x = layout(x) if shape else x
    try:
        right = np.broadcast_to(x, target)
    except ValueError:
        with pytest.raises(ValueError, match=r"broadcast|negative|dimension|input operand"):
            stretched(x, target)
    else:
        view = stretched(x, target)
        np.testing.assert_array_equal(view, right, strict=True)
        assert not view.flags.writeable
        assert not view.size or np.shares_memory(view, x)
