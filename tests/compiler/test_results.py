"""Results of a compiled function: the same objects as in eager mode, and memory of their own wherever those have it."""

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, trees
from tinygrad_lite.compiler.entry import MISS
from tinygrad_lite.errors import UsageError
from tinygrad_lite.nn import functional as F

Pair = namedtuple("Pair", "first second")
Case = Callable[[Any], Any]

UNCHANGED: list[Case] = [
    lambda x: x * 1,
    lambda x: 1 * x,
    lambda x: x / 1,
    lambda x: x**1,
    lambda x: x - 0,
    lambda x: +x,
    lambda x: np.negative(-x),
    lambda x: x.copy(),
    lambda x: np.copy(x),
    lambda x: x.astype(float),
    lambda x: tg.tensor(x),
    lambda x: tg.tensor(x) * 1,
    lambda x: (x * 1)[1:],
    lambda x: tg.tensor(x)[1:],
    lambda x: (x * 1).reshape(3, 2).T,
    lambda x: x.T.T * 1,
    lambda x: (x * 2, x * 2),
    lambda x: (x * 2, (x * 2) * 1, (x * 2).reshape(6)),
    lambda x: (x * 1, x * 1, x),
    lambda x: (y := x * 2, y[0], y),
    lambda x: (y := x * 2, tg.tensor(y)),
    lambda x: (x, [x, {"x": x}]),
    lambda x: (x[1:], x.T, x.reshape(6), np.broadcast_to(x, (2, 2, 3))),
    lambda x: (tg.grad(lambda x: np.sum(x * np.ones(3)))(x), np.ones(3)),
    lambda x: x.flatten(),
    lambda x: (np.tile(x, (1, 1)), np.repeat(x, 1, axis=0), np.roll(x, 0), np.resize(x, (2, 3))),
    lambda x: (np.meshgrid(x[0], x[1]), np.delete(x[0], []), np.fft.fftshift(x[:1], 0), np.append(x[0], x[0, :0])),
    lambda x: (np.moveaxis(x, 0, 1), np.split(x, 3, axis=1), np.atleast_3d(x), np.flip(x, 1), np.diagonal(x)),
]


def arrays_of(result: Any) -> list[Any]:
    return [x._array if isinstance(x, tg.Tensor) else x for x in trees.leaves(result)]


@pytest.mark.parametrize("i", range(len(UNCHANGED)))
def test_compiled_results_share_memory_only_where_eager_ones_do(backend: str, i: int) -> None:
    f = UNCHANGED[i]
    compiled = tg.compile(f, backend)
    x = np.arange(6.0).reshape(2, 3)
    expected = [x, *arrays_of(f(x))]
    for _ in range(3):
        found = [x, *arrays_of(compiled(x))]
        for (a, b), (c, d) in zip(combinations(found, 2), combinations(expected, 2), strict=True):
            assert np.shares_memory(c, d) or not np.shares_memory(a, b)
        for a, c in zip(found, expected):
            np.testing.assert_array_equal(a, c)
            assert (a is x) == (c is x)


def test_a_weight_has_memory_of_its_own(backend: str) -> None:
    weight = tg.tensor(np.zeros(3))

    def put(x: Any) -> Any:
        weight.data = x * 1
        return x * 2

    put = tg.compile(put, backend)
    for i in range(3):
        x = np.full(3, float(i))
        put(x)
        x[:] = -1
        np.testing.assert_array_equal(weight.numpy(), np.full(3, float(i)))


CONTAINERS: list[Case] = [
    lambda x: [x + 1, (x + 2, None, {"a": [x + 3], 2: ()})],
    lambda x: Pair(x + 1, Pair(x + 2, "text")),
    lambda x: OrderedDict(b=x + 1, a=[x + 2]),
    lambda x: (x.shape, 2.5, True, x.dtype, np.float32(3)),
    lambda x: (x,),
    lambda x: x[()],
]


@pytest.mark.parametrize("i", range(len(CONTAINERS)))
@pytest.mark.parametrize("x", [np.arange(3.0), np.array(1.5)], ids=["array", "number"])
def test_containers_and_types(backend: str, i: int, x: Any) -> None:
    f = CONTAINERS[i]
    compiled = tg.compile(f, backend)
    for _ in range(3):
        found, expected = compiled(x), f(x)
        assert trees.structure(found) == trees.structure(expected)
        for a, b in zip(trees.leaves(found), trees.leaves(expected), strict=True):
            assert type(a) is type(b)
            np.testing.assert_array_equal(a, b)


class Tanh(nn.Module):
    def __init__(self) -> None:
        self.weight = tg.tensor(np.arange(3.0), requires_grad=True)

    def forward(self, x: Any) -> Any:
        return np.tanh(self.weight * x)


def both(model: Tanh, x: Any) -> Any:
    y = model(x)
    return {"sum": np.sum(y), "y": y, "weight": model.weight, "x": x}


def test_results_with_a_history_run_by_an_entry(backend: str) -> None:
    """Each call of a loop, its gradient and its second derivative, though others write to the argument meanwhile."""
    for f in (lambda model, x: model(x), both):
        model, other = Tanh(), Tanh()
        compiled = tg.compile(lambda x, f=f, model=model: f(model, x), backend)
        for i in range(4):
            x = np.arange(3.0) + i
            losses = []
            for result, each in ((compiled(x.copy()), model), (f(other, x.copy()), other)):
                each.weight.grad = None
                y = result["y"] * result["sum"] if isinstance(result, dict) else result
                assert not isinstance(result, dict) or result["weight"] is each.weight
                losses.append(np.sum(y**2))
            x[:] = np.nan
            for loss in losses:
                loss.backward(create_graph=i == 3)
            np.testing.assert_allclose(model.weight.grad.numpy(), other.weight.grad.numpy(), rtol=1e-12)
            if i == 3:
                for each in (model, other):
                    gradient, each.weight.grad = each.weight.grad, None
                    np.sum(gradient**2).backward()
                np.testing.assert_allclose(model.weight.grad.numpy(), other.weight.grad.numpy(), rtol=1e-12)
            with tg.no_grad():
                for each in (model, other):
                    each.weight.data = each.weight + 0.1
        assert compiled._entries


def test_two_calls_of_one_function_in_a_graph(backend: str) -> None:
    """Both get the same upstream gradient in one pass, which ends at one of two tensors."""
    a, b = (tg.tensor(np.array(x), requires_grad=True) for x in ([1.0, 2.0], [3.0, 4.0]))

    def product(x: Any, y: Any) -> Any:
        return x * y * y

    compiled = tg.compile(product, backend)
    for _ in range(3):
        for f in (compiled, product):
            a.grad = b.grad = None
            np.sum(f(a, b) + f(b, a)).backward()
            np.testing.assert_allclose(a.grad.numpy(), b.numpy() ** 2 + 2 * a.numpy() * b.numpy(), rtol=1e-14)
            only = tg.grad(lambda x, f=f: np.sum(f(x, b) + f(b, x)))(a)
            np.testing.assert_allclose(only.numpy(), a.grad.numpy(), rtol=1e-14)


def activated(x: Any) -> Any:
    return F.relu(x) if isinstance(x, (np.ndarray, tg.Tensor)) else None


CLASSES: list[Case] = [
    activated,
    lambda x: x if isinstance(x, tg.Tensor) else x + 1,
    lambda x: x + isinstance(np.sum(x), float),
    lambda x: x * isinstance(x, np.generic),
    lambda x: x + (2 if isinstance(x, (list, tuple, int)) else 3),
    lambda x: x * issubclass(x.__class__, np.ndarray),
]


@pytest.mark.parametrize("i", range(len(CLASSES)))
@pytest.mark.parametrize(
    "x", [np.arange(3.0), np.arange(3, dtype=np.float32), np.float64(2), np.array(2.0), tg.tensor([1.0, 2.0])], ids=repr
)
def test_arguments_are_of_the_classes_that_they_have(backend: str, i: int, x: Any) -> None:
    f = CLASSES[i]
    found, expected = tg.compile(f, backend)(x), f(x)
    assert found is expected is None or found.dtype == expected.dtype
    for a, b in zip(arrays_of(found), arrays_of(expected), strict=True):
        np.testing.assert_array_equal(a, b)


LAYOUTS: list[Case] = [
    np.ascontiguousarray,
    np.asfortranarray,
    lambda x: np.repeat(x, 2, axis=0)[::2],
    lambda x: x[::-1].copy()[::-1],
    lambda x: np.repeat(x, 2, axis=1)[:, ::2],
]


@pytest.mark.parametrize("first", range(len(LAYOUTS)))
def test_what_is_read_from_outside_may_lie_in_any_way(backend: str, first: int) -> None:
    """A weight, and the upstream gradient of a result, go on with the entry of another layout in memory."""
    weight = tg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    compiled = tg.compile(lambda x: np.tanh(x @ weight), backend)
    x, g = np.arange(8.0).reshape(4, 2) / 8, np.arange(12.0).reshape(4, 3)
    for lay_out in (*LAYOUTS[first:], *LAYOUTS[:first]) * 2:
        weight.replace(lay_out(weight.numpy() + 0.25))
        weight.grad = None
        y = compiled(x)
        expected = np.tanh(x @ weight.numpy())
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-14)
        y.backward(lay_out(g))
        np.testing.assert_allclose(weight.grad.numpy(), x.T @ (g * (1 - expected**2)), rtol=1e-12)
    weight.replace(LAYOUTS[first - 1](weight.numpy()))
    assert compiled._entry[1](x) is not MISS


def test_results_are_one_object_where_they_are_one_eagerly(backend: str) -> None:
    class Box:
        value: Any = None

    box = Box()

    def f(x: Any) -> Any:
        y = x * 2
        box.value = y
        return y, [y], np.tanh(y)

    compiled = tg.compile(f, backend)
    for x in [np.ones(3)] * 3 + [tg.tensor(np.ones(3))] * 3:
        y, (again,), _ = compiled(x)
        assert y is again
        assert y is box.value


def test_a_result_that_is_a_new_leaf_requires_a_gradient(backend: str) -> None:
    compiled = tg.compile(lambda x: (tg.tensor(x * 2, requires_grad=True), x * 3), backend)
    for _ in range(3):
        leaf, other = compiled(np.ones(3))
        np.sum(leaf**2).backward()
        np.testing.assert_array_equal(leaf.grad.numpy(), np.full(3, 4.0))
        assert not getattr(other, "requires_grad", False)


def retained(x: Any) -> tuple[Any, Any]:
    y = x * tg.tensor([1.0, 2.0], requires_grad=True)
    y.retain_grad()
    np.sum(y**2).backward()
    return y, y.grad


def of_a_leaf(x: Any) -> tuple[Any, Any]:
    y = tg.tensor(x, requires_grad=True)
    np.sum(y**2).backward()
    return y, y.grad


@pytest.mark.parametrize("f", [retained, of_a_leaf])
def test_a_result_with_a_gradient_of_its_own(f: Any) -> None:
    x = np.array([1.0, 2.0])
    with pytest.raises(UsageError, match=r"return y\.grad beside it"):
        tg.compile(f, "numpy")(x)
    gradient = tg.compile(lambda x: f(x)[1], "numpy")(x)
    np.testing.assert_array_equal(gradient.numpy(), f(x)[1].numpy())


def test_a_result_is_computed_in_an_array_that_is_only_the_callers() -> None:
    """In each of the ways to run, also if a result is passed in again, and however large it is."""
    for shape in ((3,), (200, 300)):
        step = tg.compile(lambda x: (x + 1, np.concatenate([x, x * 2]), x[::-1] * 3), "native")
        x = np.arange(float(np.prod(shape))).reshape(shape)
        for _ in range(5):
            results = step(x)
            expected = [x + 1, np.concatenate([x, x * 2]), x[::-1] * 3]
            kept = [result.copy() for result in results]
            assert all(result.flags.owndata and result.flags.writeable for result in results)
            x = step(results[0])[0]
            for result, copy, value in zip(results, kept, expected, strict=True):
                np.testing.assert_array_equal(result, value)
                np.testing.assert_array_equal(copy, value)
        stacked = step.repeat(3, x)[1]
        np.testing.assert_array_equal(stacked, np.stack(3 * [np.concatenate([x, x * 2])]))


SHAPED: list[Case] = [
    lambda x: np.reshape(x, (1, 1)),
    lambda x: np.expand_dims(x, 0),
    lambda x: (x[None], x[None, None]),
    np.ravel,
    np.atleast_2d,
    lambda x: np.broadcast_to(x, (2, 3)),
    lambda x: (np.ravel(x), x * 2),
]


@pytest.mark.parametrize("shaped", SHAPED)
def test_a_result_may_be_a_number_from_outside_in_another_shape(shaped: Case, backend: str) -> None:
    step = tg.compile(shaped, backend)
    for number in (1.5, -3.0, 2.5, 4.0):
        for result, expected in zip(trees.leaves(step(np.array(number))), trees.leaves(shaped(np.array(number)))):
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b: np.linalg.lstsq(a, b),
        lambda a, b: np.linalg.lstsq(a, b)[0],
        lambda a, b: tg.vjp(lambda a, b: np.linalg.lstsq(a, b)[0], a, b)[1](np.ones(2)),
        lambda a, b: tg.grad(lambda a: np.sum(np.linalg.lstsq(a, b)[1]))(a),
    ],
)
def test_least_squares_have_residuals_for_matrices_of_full_rank_alone(f: Case, backend: str) -> None:
    matrices = [np.array([[1.0, 2.0], [4.0, 5.0], [2.0, 1.0]]), np.ones((3, 2))]
    for first, second in (matrices, matrices[::-1]):
        compiled = tg.compile(f, backend)
        for a in (first, first, second, first, second, second):
            for found, right in zip(
                trees.leaves(compiled(a, np.arange(3.0))), trees.leaves(f(a, np.arange(3.0))), strict=True
            ):
                np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-12)
                assert found.shape == right.shape
