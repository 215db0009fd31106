"""Sliding windows, called in every documented way, and what their gradient costs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import tinygrad_lite as tg
from tests.ops.moving import EMPTY, A, B, C, Calls, check_linear, rows
from tinygrad_lite.engine.registry import operation
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.ops.shapes import windows

LONG = np.sin(np.arange(24.0)).reshape(2, 3, 4)

CALLS: Calls = {
    "one axis": [(lambda x, n=n: sliding_window_view(x, n), B) for n in (1, 2, 3, (2,))],
    "all axes": [
        (lambda x: sliding_window_view(x, (2, 2)), A),
        (lambda x: sliding_window_view(x, [1, 3]), A),
        (lambda x: sliding_window_view(x, window_shape=(2, 1, 2), axis=None), C),
    ],
    "some axes": [
        (lambda x: sliding_window_view(x, 2, 1), LONG),
        (lambda x: sliding_window_view(x, 2, axis=-1), LONG),
        (lambda x: sliding_window_view(x, (2, 3), axis=(1, -1)), LONG),
        (lambda x: sliding_window_view(x, (3, 2), axis=[2, 0]), LONG),
    ],
    "some of the windows": [
        (lambda x: sliding_window_view(x, 3, 2)[:, ::2], LONG),
        (lambda x: sliding_window_view(x, (2, 2), (1, 2))[:, 1:, ::-2], LONG),
        (lambda x: sliding_window_view(x, (2, 2), (2, 1))[1:, ::-1], LONG),
        (lambda x: sliding_window_view(x, (2, 2), (2, 2))[::-1, ::2, ::2], LONG),
        (lambda x: sliding_window_view(x, 2, 1)[:, 1], LONG),
        (lambda x: sliding_window_view(x, 2, 1)[:, :, 1:, 1], LONG),
        (lambda x: (w := sliding_window_view(x, 2, 1))[:, 1:] * w[:, :-1], LONG),
        (lambda x: sliding_window_view(x, 2)[3:], B),
    ],
    "fewer windows than places in one": [
        (lambda x: sliding_window_view(x, 2), B),
        (lambda x: sliding_window_view(x, (3, 2), (2, 1)), LONG),
        (lambda x: sliding_window_view(x, (2, 2), (0, 2))[::-1, 1:, ::2], LONG),
    ],
    "one axis twice": [(lambda x: sliding_window_view(x, (2, 3), axis=(2, 2)), LONG)],
    "an empty window": [(lambda x: sliding_window_view(x, 0), B)],
    "nothing": [(lambda x: sliding_window_view(x, 2, 1), EMPTY)],
    "no axis": [(lambda x: sliding_window_view(x, (), ()), A)],
    "read-only": [(lambda x: sliding_window_view(x, 2, writeable=False), B)],
    "a sum": [(lambda x: np.sum(sliding_window_view(x, (2, 2), (0, 1)) * A[:2, :2], axis=(-1, -2)), A)],
}


@pytest.mark.parametrize(("f", "arrays"), rows(CALLS))
def test_as_numpy(f: Callable[..., Any], arrays: list[Any]) -> None:
    check_linear(f, *arrays)


@pytest.mark.parametrize(
    ("window", "read", "count"),
    [
        ((3, 5), (), 15),  # the places in a window
        ((3, 5), (slice(None, None, 50), slice(None, None, 100)), 12),  # the windows that were read
        ((190, 2), (slice(None), slice(None, 10)), 110),
    ],
)
def test_the_gradient_has_a_part_for_each_place_or_each_window(
    window: Any, read: Any, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    scatter = windows.scatter
    monkeypatch.setattr(
        windows, "scatter", lambda *parts, **params: counts.append(len(parts)) or scatter(*parts, **params)
    )
    x = np.ones((200, 300))
    gradient = tg.grad(lambda x: np.sum(sliding_window_view(x, window)[read]))(x)
    assert counts == [count]
    expected = np.zeros_like(x)
    np.add.at(sliding_window_view(expected, window, writeable=True), read, 1)
    np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda x: sliding_window_view(x, (3, 3)), ShapeError, r"sliding_window_view cannot take float64\[2, 3\]"),
        (lambda x: sliding_window_view(x, 2), ShapeError, "sliding_window_view"),
        (lambda x: sliding_window_view(x, 2, 1, writeable=True), UsageError, "writeable=True"),
    ],
)
def test_refused(attempt: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt(tg.tensor(A, requires_grad=True))


@pytest.mark.parametrize("name", ["max_pool", "sum_pool"])
def test_an_image_that_is_smaller_than_the_window_has_none(name: str) -> None:
    pool = operation(name)
    params = {"kernel": (2, 2), "stride": (1, 2), **({"dilation": (1, 2)} if name == "max_pool" else {})}
    x = np.ones((2, 3, 2 if name == "max_pool" else 1))
    y, pull = tg.vjp(lambda x: pool(x, **params), x)
    assert y.shape == (2, 2, 0)
    np.testing.assert_array_equal(pull(y)[0], np.zeros_like(x))
