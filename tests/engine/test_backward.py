"""The reverse pass: order, accumulation, freeing, graphs of gradients, and random programs."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.derivatives import assert_gradients, numerical_gradients
from tinygrad_lite.errors import GraphError, ShapeError
from tinygrad_lite.ops.shapes.indexing import Scattered
from tinygrad_lite.testing import programs, values


def test_a_value_used_many_times_adds_its_contributions() -> None:
    a = tg.tensor(1.0, requires_grad=True)
    b = a + a
    c = b + b
    d = b * c
    d.backward()
    assert float(a.grad) == 16  # d = 8a²

    x = tg.tensor(1.1, requires_grad=True)
    y = x
    for _ in range(20):
        y = y + y  # 2²⁰ ways back
    y.backward()
    assert float(x.grad) == 2**20


def test_gradients_accumulate_over_passes() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [6, 12])


@pytest.mark.parametrize("depth", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_deep_graphs(depth: int) -> None:
    x = tg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(depth):
        y = y + 1.0
    y.backward()
    assert float(x.grad) == 1
    del y


def test_retained_gradients() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    z = (y * y).sum()
    y.retain_grad()
    z.retain_grad()
    z.backward()
    np.testing.assert_array_equal(y.grad, [6, 12])
    np.testing.assert_array_equal(x.grad, [18, 36])
    assert float(z.grad) == 1


def test_the_graph_is_freed_unless_retained() -> None:
    x = tg.tensor(2.0, requires_grad=True)
    y = x * x
    z = np.exp(y)
    z.backward(retain_graph=True)
    z.backward()
    with pytest.raises(GraphError, match="retain_graph=True"):
        z.backward()
    before = float(x.grad)
    with pytest.raises(GraphError, match=r"multiply.*freed"):
        (y + x).backward()  # shares a part
    assert float(x.grad) == before


def test_detached_parts_receive_nothing() -> None:
    x = tg.tensor(2.0, requires_grad=True)
    (x * x.detach()).backward()
    assert float(x.grad) == 2


def test_a_weighted_result() -> None:
    x = tg.tensor(np.ones((2, 3)), requires_grad=True)
    g = np.arange(6.0).reshape(2, 3)
    (x * 2).backward(g)
    np.testing.assert_array_equal(x.grad, 2 * g)


def test_gradients_of_gradients() -> None:
    x = tg.tensor(0.5, requires_grad=True)
    y = np.sin(x)
    found = []
    for _ in range(4):
        x.grad = None
        y.backward(create_graph=True)
        y = x.grad
        found.append(float(y))
    np.testing.assert_allclose(found, [np.cos(0.5), -np.sin(0.5), -np.cos(0.5), np.sin(0.5)], rtol=1e-14)


def test_a_wrong_rule_is_named() -> None:
    wrong = tg.primitive(lambda x: x.sum(), lambda g, y, x: np.ones((7, 7)), name="wrong")
    with pytest.raises(ShapeError, match=r"wrong.*argument 0.*\(7, 7\).*\(3,\)"):
        wrong(tg.tensor(np.ones(3), requires_grad=True)).backward()


@pytest.mark.parametrize("shape", [(2, 3), (1, 6), (6,), (1, 2, 3)])
def test_a_rule_with_the_right_number_of_entries_in_another_shape_is_named(shape: tuple[int, ...]) -> None:
    wrong = tg.primitive(lambda x: x * x, lambda g, y, x: (2 * g * x).reshape(3, 2), name="wrong")
    with pytest.raises(ShapeError, match=r"wrong.*argument 0.*\(3, 2\)"):
        tg.grad(lambda x: wrong(x).sum())(np.ones(shape))


def test_no_graph_remains_behind_a_gradient() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    assert not x.grad.requires_grad


@given(data=st.data())
def test_random_programs(data: st.DataObject) -> None:
    """Graphs of operations drawn from the registry, first and second order, against finite differences."""
    program = data.draw(programs())
    leaves = [tg.tensor(x, requires_grad=True) for x in program.leaves]
    result = program.run(*leaves)
    weight = data.draw(values(np.shape(program.run(*program.leaves)), (-np.inf, np.inf)))
    everywhere = range(len(leaves))

    def weighted(*arrays: Any) -> float:
        return float(np.sum(weight * program.run(*arrays)))

    np.sum(weight * result).backward(create_graph=True)
    first = [x.grad for x in leaves]
    found = [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in leaves]
    assert_gradients(found, weighted, program.leaves, everywhere, 1e-6, program.scale)

    directions = [data.draw(values(x.shape, (-np.inf, np.inf))) for x in leaves]

    def directional(*arrays: Any) -> float:
        inputs = [tg.tensor(x, requires_grad=True) for x in arrays]
        np.sum(weight * program.run(*inputs)).backward()
        return float(sum(np.sum(d * x.grad.numpy()) for d, x in zip(directions, inputs) if x.grad is not None))

    total = sum((np.sum(d * g) for d, g in zip(directions, first) if g is not None), tg.tensor(0.0))
    for x in leaves:
        x.grad = None
    if total.requires_grad:
        total.backward()
    found = [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in leaves]
    assert_gradients(found, directional, program.leaves, everywhere, 1e-5, program.scale)


@pytest.mark.parametrize("create_graph", [False, True])
def test_many_reads_of_an_array_cost_one_array(create_graph: bool) -> None:
    x = tg.tensor(np.ones((300, 1000)), requires_grad=True)
    rows = [x[i] * (i + 1.0) for i in range(len(x))]
    y = np.stack([*rows, x[[0, 0]].sum(axis=0), x.sum(axis=0)]).sum()
    tracemalloc.start()
    y.backward(create_graph=create_graph)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    expected = np.arange(2.0, 302.0)
    expected[0] += 2
    np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to(expected[:, None], x.shape))
    assert peak < 10 * x.size * x.dtype.itemsize  # of 300 rows, each with an array of its own, it would be 300
    x.grad = None


def test_gradients_of_reads_add_up_with_others_in_any_order() -> None:
    for f in (
        lambda x: x[0] * x[1] + x.sum(),
        lambda x: x.sum() + x[0] * x[1],
        lambda x: (2 * x)[1] * x[1:].sum() * x[-1],
        lambda x: x[0],
        lambda x: x[[1, 1, 2]].prod() + x[x > 0].sum() + x[::2].sum(),
    ):
        for g in (f, lambda x, f=f: np.sum(tg.grad(f)(x) ** 2)):
            x = np.array([0.5, -1.5, 2.0])
            (expected,) = numerical_gradients(g, [x], [0])
            np.testing.assert_allclose(tg.grad(g)(x), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("retains", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_reads_add_to_no_gradient_that_somebody_else_holds(dtype: Any, retains: bool) -> None:
    weights = np.array([1, 2, 4], dtype)
    start, other = (tg.tensor(np.ones(3, dtype), requires_grad=True) for _ in range(2))
    x = start * 1
    y = x + other  # whose gradient arrives at both as it is
    if retains:
        x.retain_grad()
        y.retain_grad()
    result = (y * weights).sum() + x[0] * 3 + 5 * x[1:].sum() + x[[2, 2]].sum()
    result.backward(retain_graph=True)
    np.testing.assert_array_equal(other.grad, weights)
    np.testing.assert_array_equal(start.grad, weights + np.array([3, 5, 7], dtype))
    if retains:
        np.testing.assert_array_equal(x.grad, start.grad)
        np.testing.assert_array_equal(y.grad, weights)
    gradient = tg.tensor(weights)
    z = start * 1
    stacked = np.concatenate([z + other, z[:1]])
    stacked.backward(np.concatenate([gradient, gradient[:1]]))
    np.testing.assert_array_equal(start.grad, 2 * weights + np.array([4, 5, 7], dtype))
    np.testing.assert_array_equal(gradient, weights)


def watched() -> tuple[Any, list[Any]]:
    """An operation, and a list of the upstream gradients that its rule gets."""
    arrived: list[Any] = []

    def rule(g: Any, y: Any, x: Any) -> Any:
        arrived.append(g)
        return 2 * (g.whole() if isinstance(g, Scattered) else g)

    return tg.primitive(lambda x: 2 * x, rule, name="watched", deferred=True), arrived


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_rule_that_asks_for_it_sees_which_entries_were_read(create_graph: bool) -> None:
    op, arrived = watched()
    x = tg.tensor(np.arange(4.0), requires_grad=True)
    y = op(x)
    (y[:2] * 0).sum().backward(create_graph=create_graph)
    np.testing.assert_array_equal(x.grad, np.zeros(4))
    assert arrived[0].reaches(slice(2))
    assert not arrived[0].reaches(slice(2, None))
    op(x).sum().backward(create_graph=create_graph)
    assert not isinstance(arrived[1], Scattered)


def test_a_compiled_rule_that_reads_values_gets_an_array() -> None:
    def rule(g: Any, y: Any, x: Any) -> Any:
        g = g.whole() if isinstance(g, Scattered) else g
        return g if float(np.max(x)) > 0 else 3 * g

    op = tg.primitive(lambda x: 1 * x, rule, name="of_two_slopes", deferred=True)
    compiled = tg.compile(tg.grad(lambda x: np.sum(op(x)[:2] ** 2)))
    for x in (np.array([1.0, 2, 3]), np.array([4.0, 1, 2]), np.array([-1.0, -2, -3])):
        np.testing.assert_array_equal(compiled(x), [2, 2, 0] * x * (1 if x.max() > 0 else 3))
