"""What a function writes in place, as NumPy's `y += x` does: all that hold the array have the new entries."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, trees
from tinygrad_lite.errors import UsageError


def another_name(x: Any) -> Any:
    y = x * 2
    z = y
    y += 1
    return z


def in_a_dict(x: Any) -> Any:
    values = {"a": x * 2}
    a = values["a"]
    values["a"] -= x
    return a, values["a"]


def an_argument(x: Any) -> Any:
    z = x
    x *= x
    return z + 1


def inside_a_call(x: Any) -> Any:
    def double(y: Any) -> None:
        y *= 2

    y = x + 1
    double(y)
    return y


def a_copy_and_a_sum(x: Any) -> Any:
    y, total = x.copy(), x.sum()
    before = total
    y /= 4
    total += 1  # a number is another one
    return x, y, total, before


def integers(x: Any) -> Any:
    i = np.argsort(x)
    j = i
    i //= 2
    i |= 1
    return j


def a_view_that_is_gone(x: Any) -> Any:
    y = x * 2
    y[0:1].sum()
    y **= 2
    return y


def a_graph_that_was_made_before(x: Any) -> Any:
    weight = tg.tensor(np.ones(3), requires_grad=True)
    y = x * 2
    loss = (weight * y).sum()
    y += 100
    loss.backward()
    return weight.grad, y


def a_pullback_that_was_made_before(x: Any) -> Any:
    y = x * 2
    value, pullback = tg.vjp(lambda a: np.sin(a) * a, y)
    y += 100
    return value, pullback(np.ones(3)), y


def the_array_of_a_tensor(x: Any) -> Any:
    layer = nn.Linear(3, 1, bias=False, rng=0)
    y = x * 2
    layer.weight.data = y[None]
    y += 100
    return layer(x), y


@pytest.mark.parametrize(
    "f",
    [
        another_name,
        in_a_dict,
        an_argument,
        inside_a_call,
        a_copy_and_a_sum,
        integers,
        a_view_that_is_gone,
        a_graph_that_was_made_before,
        a_pullback_that_was_made_before,
        the_array_of_a_tensor,
    ],
)
def test_as_eager(backend: str, f: Callable[[Any], Any]) -> None:
    compiled = tg.compile(f, backend)
    for i in range(3):
        x = np.array([3.0, 1.0, 2.0]) + i
        expected = plain(f(x.copy()))
        for a, b in zip(plain(compiled(x)), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        np.testing.assert_array_equal(x, np.array([3.0, 1.0, 2.0]) + i)


def plain(value: Any) -> list[Any]:
    return [x.detach().numpy() if isinstance(x, tg.Tensor) else x for x in trees.leaves(value)]


def through_a_view(x: Any) -> Any:
    y = x * 2
    part = y[:2]
    part += 1
    return y


def beside_a_view(x: Any) -> Any:
    y = x * 2
    part = y[:2]
    y += 1
    return part


@pytest.mark.parametrize("f", [through_a_view, beside_a_view])
def test_another_view_that_is_read_afterwards_is_refused(f: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError, match=r"by way of another view.*write y = y \+ \.\.\. in place of y \+= "):
        tg.compile(f, "numpy")(np.arange(3.0))


def test_what_numpy_refuses_to_write() -> None:
    def of_another_shape(x: Any) -> None:
        x += np.ones((2, 3))

    def of_another_kind(x: Any) -> None:
        y = np.argsort(x)
        y += x

    for f in (of_another_shape, of_another_kind):
        for call in (f, tg.compile(f, "numpy")):
            with pytest.raises((ValueError, TypeError)):
                call(np.ones(3))
