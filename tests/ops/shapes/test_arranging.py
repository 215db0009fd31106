"""The same entries at other places, called in every documented way."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.numpy_calls import check_value
from tests.ops.moving import EMPTY, SCALAR, A, B, C, Calls, check_linear, rows
from tinygrad_lite.errors import InputError, ShapeError, UsageError

ZEROS = np.array([[0.0, 0, 0, 0], [0, 1.5, 0, -2], [0, 0, 0, 0]])
COUNTS = tg.tensor([2, 0, 1])

CALLS: Calls = {
    "flip": [
        *[(np.flip, x) for x in (A, SCALAR, EMPTY)],
        (lambda x: np.flip(x, 0), A),
        (lambda x: np.flip(m=x, axis=(0, -1)), C),
        (lambda x: np.flip(x, ()), A),
    ],
    "fliplr": [(np.fliplr, A), (np.fliplr, EMPTY), (lambda x: np.fliplr(m=x), C)],
    "flipud": [(np.flipud, B), (np.flipud, EMPTY), (lambda x: np.flipud(m=x), A)],
    "roll": [
        (lambda x: np.roll(x, 2), A),
        (lambda x: np.roll(x, -1, 0), A),
        (lambda x: np.roll(a=x, shift=(1, 1, -2), axis=(1, 0, 1)), A),
        (lambda x: np.roll(x, shift=1, axis=[0, 1]), A),
        (lambda x: np.roll(x, (1, 2)), B),
        (lambda x: np.roll(x, 1), SCALAR),
        (lambda x: np.roll(x, 1, axis=1), EMPTY),
        (lambda x: np.roll(x, COUNTS[0]), B),
    ],
    "rot90": [
        (np.rot90, A),
        (lambda x: np.rot90(x, 2), A),
        (lambda x: np.rot90(x, -1, (2, 0)), C),
        (lambda x: np.rot90(m=x, axes=[1, 0]), A),
        (lambda x: np.rot90(x, k=4), EMPTY),
    ],
    "diagonal": [
        (np.diagonal, A),
        (np.diagonal, EMPTY),
        (lambda x: np.diagonal(x, 1), A),
        (lambda x: np.diagonal(a=x, offset=-1, axis1=1, axis2=2), C),
        (lambda x: np.diagonal(x, 0, -1, 0), C),
        (lambda x: np.diagonal(x, 7), A),
    ],
    "trace": [
        (np.trace, A),
        (np.trace, EMPTY),
        (lambda x: np.trace(x, 1), A),
        (lambda x: np.trace(a=x, offset=-1, axis1=2, axis2=0), C),
        (lambda x: np.trace(x, 0, 0, -1, np.float64), C),
        (lambda x: np.trace(x, dtype=np.float64), A),
        (lambda x: np.trace(x, 7), A),
    ],
    "diag": [
        (np.diag, B),
        (np.diag, A),
        (np.diag, EMPTY),
        (np.diag, B[:0]),
        (lambda x: np.diag(x, 1), B),
        (lambda x: np.diag(v=x, k=-2), B),
        (lambda x: np.diag(x, k=-1), A),
    ],
    "diagflat": [(np.diagflat, x) for x in (B, A[:, :2], SCALAR, EMPTY)] + [(lambda x: np.diagflat(v=x, k=-1), B)],
    "tril": [
        *[(np.tril, x) for x in (A, B, C, EMPTY)],
        (lambda x: np.tril(x, 1), A),
        (lambda x: np.tril(m=x, k=-1), C),
    ],
    "triu": [
        *[(np.triu, x) for x in (A, B, C, EMPTY)],
        (lambda x: np.triu(x, 1), A),
        (lambda x: np.triu(m=x, k=-1), C),
    ],
    "tile": [
        (lambda x: np.tile(x, 2), A),
        (lambda x: np.tile(A=x, reps=(2, 1)), A),
        (lambda x: np.tile(x, [2, 1, 2]), B),
        (lambda x: np.tile(x, (2, 0)), A),
        (lambda x: np.tile(x, ()), SCALAR),
        (lambda x: np.tile(x, 3), SCALAR),
        (lambda x: np.tile(x, 2), EMPTY),
    ],
    "repeat": [
        (lambda x: np.repeat(x, 2), A),
        (lambda x: np.repeat(x, [2, 0, 1], 1), A),
        (lambda x: np.repeat(a=x, repeats=np.array([1, 2]), axis=-2), A),
        (lambda x: np.repeat(x, COUNTS, axis=1), A),
        (lambda x: np.repeat(x, 0), A),
        (lambda x: np.repeat(x, 3), SCALAR),
        (lambda x: np.repeat(x, 2, axis=0), EMPTY),
    ],
    "resize": [
        (lambda x: np.resize(x, (3, 3)), A),
        (lambda x: np.resize(a=x, new_shape=4), A),
        (lambda x: np.resize(x, (2, 2)), SCALAR),
        (lambda x: np.resize(x, (2, 2)), EMPTY),
        (lambda x: np.resize(x, (0, 2)), A),
    ],
    "delete": [
        (lambda x: np.delete(x, 1), A),
        (lambda x: np.delete(x, [0, -1], 1), A),
        (lambda x: np.delete(arr=x, obj=slice(None, None, 2), axis=-1), A),
        (lambda x: np.delete(x, np.array([True, False, True]), axis=1), A),
        (lambda x: np.delete(x, COUNTS[:1]), B),
        (lambda x: np.delete(x, [], 0), A),
        (lambda x: np.delete(x, 0, 1), EMPTY),
    ],
    "split": [
        (lambda x: np.split(x, 2), A),
        (lambda x: np.split(x, [1, 2], 1), A),
        (lambda x: np.split(ary=x, indices_or_sections=np.array([2, 1, 5]), axis=-1), A),
        (lambda x: np.split(x, (-1,)), B),
        (lambda x: np.split(x, 3, axis=1), EMPTY),
        (lambda x: np.split(x, COUNTS[:1]), B),
    ],
    "array_split": [
        (lambda x: np.array_split(x, 2), B),
        (lambda x: np.array_split(ary=x, indices_or_sections=5, axis=1), A),
        (lambda x: np.array_split(x, [1], 0), A),
    ],
    "hsplit": [(lambda x: np.hsplit(x, 3), A), (lambda x: np.hsplit(ary=x, indices_or_sections=[1]), B)],
    "vsplit": [(lambda x: np.vsplit(x, 2), A), (lambda x: np.vsplit(ary=x, indices_or_sections=[1]), C)],
    "dsplit": [(lambda x: np.dsplit(x, 2), C), (lambda x: np.dsplit(ary=x, indices_or_sections=[1]), C)],
}
if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
    CALLS["unstack"] = [(np.unstack, A), (lambda x: np.unstack(x, axis=-1), C), (lambda x: np.unstack(x), EMPTY)]

TRIMS: Calls = {
    "trim_zeros": [
        (np.trim_zeros, ZEROS[1]),
        (np.trim_zeros, ZEROS[0]),
        (np.trim_zeros, B),
        (lambda x: np.trim_zeros(x, "f"), ZEROS[1]),
        (lambda x: np.trim_zeros(filt=x, trim="B"), ZEROS[1, :3]),
        (lambda x: np.trim_zeros(x, trim="bf"), B[:0]),
    ],
}
if np.lib.NumpyVersion(np.__version__) >= "2.2.0":
    TRIMS["trim_zeros of axes"] = [
        (np.trim_zeros, ZEROS),
        (lambda x: np.trim_zeros(x, axis=1), ZEROS),
        (lambda x: np.trim_zeros(x, "f", (0, -1)), ZEROS),
        (lambda x: np.trim_zeros(x, "b", axis=-2), ZEROS),
        (lambda x: np.trim_zeros(x, axis=()), ZEROS),
        (lambda x: np.trim_zeros(x, "f"), 0 * ZEROS),
    ]


@pytest.mark.parametrize(("f", "arrays"), rows(CALLS))
def test_as_numpy(f: Callable[..., Any], arrays: list[Any]) -> None:
    check_linear(f, *arrays)


@pytest.mark.parametrize(("f", "arrays"), rows(TRIMS))
def test_trimming(f: Callable[..., Any], arrays: list[Any]) -> None:  # whose shape jumps, so without differences
    (x,) = arrays
    for dtype in (float, np.float32, int):
        check_value(f, x.astype(dtype))
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(f(x) ** 2))(x), 2 * x)


@pytest.mark.parametrize(("f", "arrays"), rows(CALLS))
def test_a_call_is_as_good_the_second_time(f: Callable[..., Any], arrays: list[Any]) -> None:
    (x,) = arrays
    for other in (x, 2 - x, x.astype(np.float32), np.concatenate([x, x]) if x.ndim else x):
        for _ in range(2):
            try:
                f(other)
            except ValueError as error:
                with pytest.raises(ShapeError, match=re.escape(str(error))):
                    f(tg.tensor(other))
            else:
                check_value(f, other)


def test_settings_that_are_equal_may_differ() -> None:
    assert np.delete(tg.tensor(B), 1).shape == (2,)
    for x in (B, tg.tensor(B)):
        with pytest.raises(ValueError, match="boolean"):
            np.delete(x, True)


def test_a_list_that_changes_between_calls() -> None:
    bounds = [1]
    for bounds[0] in (1, 2):
        assert [part.shape for part in np.split(tg.tensor(B), bounds)] == [(bounds[0],), (3 - bounds[0],)]


def test_parts_are_views_and_their_gradients_are_put_into_one_array() -> None:
    from tinygrad_lite.readers.recording import recording

    x = tg.tensor(np.cos(np.arange(24.0)).reshape(2, 12), requires_grad=True)
    with recording() as steps:
        parts = np.split(x, 4, axis=1)
    assert [step.op.name for step in steps] == ["getitem"] * 4
    assert all(np.shares_memory(part.data, x.data) for part in parts)
    sum(k * np.sum(part) for k, part in enumerate(parts)).backward()
    np.testing.assert_array_equal(x.grad, np.tile(np.repeat(np.arange(4.0), 3), (2, 1)))


def test_a_zero_that_is_not_trimmed_has_a_gradient() -> None:
    gradient = tg.grad(lambda x: np.sum(np.trim_zeros(x)))(np.array([0.0, 1, 0, 2, 0]))
    np.testing.assert_array_equal(gradient, [0, 1, 1, 1, 0])


def test_long_traces_are_added_in_numpys_order() -> None:
    x = np.random.default_rng(0).normal(size=(40, 40, 3))
    np.testing.assert_array_equal(np.trace(tg.tensor(x)), np.trace(x), strict=True)


def test_containers_are_those_of_numpy() -> None:
    for f in (lambda x: np.split(x, 2), lambda x: np.hsplit(x, [1]), *([np.unstack] if hasattr(np, "unstack") else [])):
        assert type(f(tg.tensor(A))) is type(f(A))


def test_a_setting_that_changes_later_does_not_change_the_gradient() -> None:
    shift = np.array([1, 0])
    x = tg.tensor(A, requires_grad=True)
    y = np.roll(x, shift, axis=(1, 0))
    shift[:] = 0
    y.backward(A)
    np.testing.assert_array_equal(x.grad, np.roll(A, -1, 1))


def test_an_array_with_a_tensor_as_setting() -> None:
    np.testing.assert_array_equal(np.repeat(B, COUNTS), np.repeat(B, [2, 0, 1]))


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda x: np.flip(x, 2), ShapeError, r"flip cannot take float64\[2, 3\].*axis 2"),
        (lambda x: np.fliplr(x[0]), ShapeError, "fliplr.*2-d"),
        (lambda x: np.roll(x, (1, 2), (0, 1, 0)), ShapeError, "roll"),
        (lambda x: np.rot90(x, axes=(0, 0)), ShapeError, "rot90"),
        (lambda x: np.split(x, 2, 1), ShapeError, r"split cannot take float64\[2, 3\].*equal division"),
        (lambda x: np.dsplit(x, 2), ShapeError, "dsplit"),
        (lambda x: np.diag(x[None]), ShapeError, "diag"),
        (lambda x: np.repeat(x, [1, 2, 3, 4], 1), ShapeError, "repeat"),
        (lambda x: np.repeat(x, x[0], 1), UsageError, "history"),
        (lambda x: np.resize(x, (-1, 2)), ShapeError, "resize"),
        (lambda x: np.delete(x, 7), IndexError, "out of bounds"),
        (lambda x: np.trace(x, out=np.zeros(())), UsageError, "trace: out="),
        (lambda x: np.trace(x[0]), ShapeError, "trace"),
        (lambda x: np.trim_zeros(x, "x"), InputError, "'x'"),
        (lambda x: np.trim_zeros(x, ""), InputError, "'f'"),
        (lambda x: np.fill_diagonal(x, 1.0), UsageError, r"x\.at\[i, i\]\.set"),
    ],
)
def test_refused(attempt: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt(tg.tensor(A, requires_grad=True))
