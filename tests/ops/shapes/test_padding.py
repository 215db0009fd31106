"""np.pad in every mode, with each setting in every way to write it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.numpy_calls import check_value
from tests.ops.moving import EMPTY, SCALAR, A, B, C, Calls, check_linear, rows
from tinygrad_lite.errors import InputError, ShapeError, UsageError

WIDTHS: list[Any] = [1, (2, 1), [(1, 0)], (3,), ((1, 2), (0, 4)), [[2], [5]], np.array([[0, 0], [1, 0]])]
WITH_ENTRIES = ["edge", "reflect", "symmetric", "wrap"]
STATISTICS = ["maximum", "minimum", "mean", "median"]


@pytest.mark.parametrize("widths", WIDTHS, ids=range(len(WIDTHS)))
@pytest.mark.parametrize("mode", ["constant", "linear_ramp", *STATISTICS, *WITH_ENTRIES])
def test_widths(mode: Any, widths: Any) -> None:
    check_linear(lambda x: np.pad(x, widths, mode), A)


CALLS: Calls = {
    "constant": [
        (lambda x: np.pad(x, 1), A),
        (lambda x: np.pad(array=x, pad_width=(1, 2), mode="constant", constant_values=7), A),
        (lambda x: np.pad(x, 1, constant_values=(5.5, -2)), A),
        (lambda x: np.pad(x, 1, constant_values=((5.5, -2), (1, 0))), A),
        (lambda x: np.pad(x, 1, constant_values=[[5], [6]]), A),
        (lambda x, y: np.pad(x, 1, constant_values=y), A, SCALAR),
        (lambda x, y: np.pad(x, (2, 1), constant_values=y), B, A[1, :2]),
        (lambda x, y: np.pad(x, (2, 1), constant_values=y), A, A[:, :2]),
        (lambda x, y: np.pad(x, 1, constant_values=(y, 2.0)), B, SCALAR),
        (lambda x: np.pad(x, 2), EMPTY),
        (lambda x: np.pad(x, 2), SCALAR),
        (lambda x: np.pad(x, 0), A),
    ],
    "linear_ramp": [
        (lambda x: np.pad(x, 2, "linear_ramp", end_values=5), A),
        (lambda x: np.pad(x, 3, "linear_ramp", end_values=(0.7, -0.3)), A),
        (lambda x: np.pad(x, 3, "linear_ramp", end_values=((0.7, -0.3), (1, 2))), A),
        (lambda x, y: np.pad(x, 2, "linear_ramp", end_values=y), B, SCALAR),
    ],
    "mean": [
        (lambda x: np.pad(x, 1, "mean", stat_length=2), A),
        (lambda x: np.pad(x, 2, "mean", stat_length=(1, 2)), A),
        (lambda x: np.pad(x, 1, "mean", stat_length=((9, 1), (2, 1))), A),
        (lambda x: np.pad(x, 1, "mean", stat_length=None), C),
        (lambda x: np.pad(x, 1, "mean", stat_length=1.6), A),
    ],
    "reflected in a point": [
        (lambda x, mode=mode: np.pad(x, (7, 8), mode, reflect_type="odd"), x)
        for mode in ("reflect", "symmetric")
        for x in (B, A[:1], A[:, :1])
    ],
    "reflected in the edge": [
        (lambda x: np.pad(x, 7, "reflect", reflect_type="even"), B),
        (lambda x: np.pad(x, 7, "symmetric", reflect_type="even"), A[:, :1]),
    ],
    "nothing": [
        (lambda x, mode=mode: np.pad(x, ((0, 0), (2, 1)), mode), EMPTY)
        for mode in ("linear_ramp", "maximum", *WITH_ENTRIES)
    ]
    + [(lambda x, mode=mode: np.pad(x, 2, mode), SCALAR) for mode in ("mean", "edge")],
}


@pytest.mark.long
@pytest.mark.parametrize(("f", "arrays"), rows(CALLS))
def test_as_numpy(f: Callable[..., Any], arrays: list[Any]) -> None:
    check_linear(f, *arrays)


@pytest.mark.parametrize("widths", [{0: 1}, {-1: (1, 2)}, {0: (0, 2), 1: 3}, {}], ids=str)
def test_widths_of_some_axes(widths: Any) -> None:
    pairs = [(0, 0), (0, 0)]
    for axis, width in widths.items():
        pairs[axis] = (width, width) if isinstance(width, int) else width
    for mode in ("constant", "edge", "mean"):
        np.testing.assert_array_equal(np.pad(tg.tensor(A), widths, mode), np.pad(A, pairs, mode))


def test_the_border_of_an_empty_padding_may_be_anything() -> None:
    x = tg.tensor(A, requires_grad=True)
    y = np.pad(x, ((1, 0), (0, 2)), mode="empty")
    np.testing.assert_array_equal(y[1:, :3].numpy(), A)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, np.ones_like(A))


@pytest.mark.parametrize("mode", ["mean", "linear_ramp", "reflect"])
def test_large_arrays_in_other_layouts_are_bit_for_bit_those_of_numpy(mode: Any) -> None:
    x = np.random.default_rng(0).normal(size=(9, 30, 40))
    for layout in (x, x.T, np.asfortranarray(x), x[::2, ::-1]):
        for dtype in (np.float64, np.float32):
            check_value(lambda x: np.pad(x, ((2, 1), (20, 3), (4, 5)), mode), layout.astype(dtype))


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda x: np.pad(x, 1.5), UsageError, r"pad cannot take float64\[2, 3\].*integral"),
        (lambda x: np.pad(x, {0: 1.5}), UsageError, "pad.*integral"),
        (lambda x: np.pad(x, {2: 1}), IndexError, "out of range"),
        (lambda x: np.pad(x, -1, "mean"), ShapeError, "pad.*negative"),
        (lambda x: np.pad(x, (1, 2, 3), "edge"), ShapeError, "pad cannot take"),
        (lambda x: np.pad(x[:0], 1, "mean"), ShapeError, "pad.*empty axis 0"),
        (lambda x: np.pad(x, 1, "maximum", stat_length=0), ShapeError, "max"),
        (
            lambda x: np.pad(x, 1, "mean", stat_length=(1, -2)),
            InputError,
            "stat_length must not be negative, got 1 and -2",
        ),
        (lambda x: np.pad(x, 1, "elsewhere"), ShapeError, "'elsewhere' is not supported"),
        (lambda x: np.pad(x, 1, "mean", end_values=2), UsageError, "'mean' takes stat_length=, not end_values"),
        (lambda x: np.pad(x, 1, "empty", end_values=2), ShapeError, "pad.*unsupported keyword"),
        (lambda x: np.pad(x, 1, "edge", constant_values=2), ShapeError, "pad.*unsupported keyword"),
        (lambda x: np.pad(x, 1, end_values=2), ShapeError, "pad.*unsupported keyword"),
        (lambda x: np.pad(x, 1, lambda *_: None), UsageError, "pad: a function as mode"),
    ],
)
def test_refused(attempt: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt(tg.tensor(A, requires_grad=True))
