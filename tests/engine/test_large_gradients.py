"""Gradients of large arrays, which are summed while they are multiplied: the same up to rounding."""

import tracemalloc
from typing import Any
from unittest import mock

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.engine.backward import fitted
from tinygrad_lite.engine.op import REAL, Op
from tinygrad_lite.engine.registry import operation, operations
from tinygrad_lite.foundation.sums import LARGE

OURS = ("tinygrad_lite.ops.arithmetic", "tinygrad_lite.ops.networks")  # others have values that take long
BROADCAST = [op for op in operations() if op.for_large and op.arity != 1 and op.module.startswith(OURS)]
SHAPES = [
    ((260, 64), [(260, 1), (64,), (), (1, 1)]),
    ((2100, 8), [(2100, 1)]),
    ((9, 6, 10, 32), [(6, 1, 1), (9, 1, 1, 1), (9, 1, 10, 32), (1, 6, 1, 32)]),
]


def drawn(op: Op, i: int, shape: tuple[int, ...], dtype: Any) -> Any:
    low, high = op.domain[i] if op.domain else REAL
    low, high = max(low, min(-3.0, high - 3.0)), min(high, max(3.0, low + 3.0))
    margin = 0.05 * (high - low)
    return np.random.default_rng(i).uniform(low + margin, high - margin, shape).astype(dtype)


@pytest.mark.parametrize("op", BROADCAST, ids=str)
@pytest.mark.parametrize("shape", [(), (40_000,)], ids=["a number", "as large"])
def test_what_a_rule_reads_of_large_arrays_is_what_the_call_was_given(op: Op, shape: tuple[int, ...]) -> None:
    # NumPy writes into a large operand that nobody else holds, if the other one is a number or as large
    params = op.examples[0][1] if op.examples else {}
    for i in range(op.arity or 0):
        arrays = [drawn(op, k, shape if k == i else (40_000,), float) for k in range(op.arity or 0)]
        with np.errstate(all="ignore"):
            y = op(*[tg.tensor(x, requires_grad=True) if k == i else x for k, x in enumerate(arrays)], **params)
        if y.requires_grad and op.reads_values:
            for x, kept in zip(arrays, y.arrays, strict=True):
                np.testing.assert_array_equal(kept, x)


@pytest.mark.long
@pytest.mark.parametrize("op", BROADCAST, ids=str)
def test_sums_of_products_are_those_of_the_declared_rule(op: Op) -> None:
    params = op.examples[0][1] if op.examples else {}
    for shape, narrow_shapes in SHAPES:
        g = np.random.default_rng(9).normal(size=shape).astype(np.float32)
        assert g.size >= LARGE
        for i, narrow in [(i, narrow) for i in range(op.arity or 0) for narrow in narrow_shapes]:
            arrays = [drawn(op, k, narrow if k == i else shape, np.float32) for k in range(op.arity or 0)]
            exact = [x.astype(float) for x in arrays]
            with np.errstate(all="ignore"):
                terms = op.vjps[i](g.astype(float), op(*exact, **params), *exact, **params)
            right, size = (fitted(x, narrow, np.dtype(float), op, i) for x in (terms, np.abs(terms)))
            for dtype in (np.float32, np.float64):
                for turned in (False, True):
                    upstream, *inputs = (
                        np.asfortranarray(x.astype(dtype)) if turned else x.astype(dtype) for x in (g, *arrays)
                    )
                    leaf = tg.tensor(inputs[i], requires_grad=True)
                    y = op(*inputs[:i], leaf, *inputs[i + 1 :], **params)
                    if not y.requires_grad or y.dtype != dtype:
                        continue
                    with np.errstate(all="ignore"):
                        y.backward(upstream, retain_graph=True)
                    assert leaf.grad is not None
                    error = np.abs(leaf.grad.numpy().astype(float) - right)
                    assert leaf.grad.dtype == dtype
                    assert np.all(error <= 64 * np.finfo(dtype).eps * size), (narrow, dtype, turned)


@pytest.mark.parametrize("op", [op for op in operations() if op.for_large and op.module.startswith(OURS)], ids=str)
def test_a_large_gradient_is_that_of_its_parts(op: Op) -> None:
    params = op.examples[0][1] if op.examples else {}
    g = np.random.default_rng(9).normal(size=LARGE)
    arrays = [drawn(op, i, (LARGE,), float) for i in range(op.arity or 0)]

    def gradients(part: slice) -> list[Any]:
        leaves = [tg.tensor(x[part], requires_grad=True) for x in arrays]
        y = op(*leaves, **params)
        if y.requires_grad:
            read = [g, y.numpy(), *y.arrays, *[x for x in y.shared if type(x) is np.ndarray]]
            before = [x.tobytes() for x in read]
            y.backward(g[part], retain_graph=True)
            assert [x.tobytes() for x in read] == before
        return [None if leaf.grad is None else leaf.grad.numpy() for leaf in leaves]

    with np.errstate(all="ignore"):
        whole, *parts = [gradients(slice(start, stop)) for start, stop in [(0, LARGE), (0, 5000), (5000, LARGE)]]
    for i, gradient in enumerate(whole):
        if gradient is not None:
            joined = np.concatenate([part[i] for part in parts])
            np.testing.assert_allclose(gradient, joined, rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("retains", [False, True])
def test_a_sum_is_written_over_no_gradient_that_somebody_else_holds(retains: bool) -> None:
    w = np.random.default_rng(0).integers(-9, 9, (4, LARGE)).astype(float)
    start, other = (tg.tensor(np.ones(LARGE), requires_grad=True) for _ in range(2))
    x = start * 1
    products = x * w[1], x * w[2]  # which the pass comes to last
    y = x + other  # whose gradient arrives at both as it is
    if retains:
        x.retain_grad()
        y.retain_grad()
    gradient = tg.tensor(w[3])
    result = y + y * w[0] + (products[0] + products[1]) + other
    for passes in (1, 2):
        result.backward(gradient, retain_graph=True)
        of_y = passes * w[3] * (1 + w[0])
        of_x = of_y + passes * w[3] * (w[1] + w[2])
        np.testing.assert_array_equal(start.grad, of_x)
        np.testing.assert_array_equal(other.grad, of_y + passes * w[3])
        if retains:
            np.testing.assert_array_equal(x.grad, of_x)
            np.testing.assert_array_equal(y.grad, of_y)
        np.testing.assert_array_equal(gradient, w[3])


def test_a_derivative_that_somebody_holds_stays_as_it_is() -> None:
    table, drawn = np.arange(LARGE, dtype=float), []

    def made(y: Any, x: Any) -> Any:
        drawn.append(2 * x)
        return drawn[-1]

    derivatives: list[Any] = [
        lambda y, x: table,
        lambda y, x: table[:],
        lambda y, x: table.reshape(128, -1).reshape(-1),
        lambda y, x: np.frombuffer(memoryview(table)),
        made,
    ]
    for k, derivative in enumerate(derivatives):
        op = tg.elementwise(lambda x: 1 * x, derivative, name=f"with_derivative_{k}")
        x = np.ones(LARGE)
        gradient = tg.vjp(op, x)[1](np.full(LARGE, 3.0))[0]
        np.testing.assert_array_equal(gradient, 6 if derivative is made else 3 * np.arange(LARGE))
        np.testing.assert_array_equal(table, np.arange(LARGE))
    np.testing.assert_array_equal(drawn[0], np.full(LARGE, 2.0))


@pytest.mark.parametrize("narrow", [(260, 1), (64,), ()], ids=str)
@pytest.mark.parametrize("op", [operation(name) for name in ("subtract", "multiply", "divide", "maximum")], ids=str)
def test_a_second_derivative_is_that_of_the_first(op: Op, narrow: tuple[int, ...]) -> None:
    x, w = np.random.default_rng(0).normal(size=(2, 260, 64))
    b = np.random.default_rng(1).uniform(1, 2, narrow)

    def value(b: Any) -> Any:
        return np.sum(w * op(x, b * b) ** 2)

    step, tangent = 1e-5, np.ones(narrow)
    ahead, behind = (tg.grad(value)(b + sign * step * tangent) for sign in (1, -1))
    _, product = tg.jvp(tg.grad(value), (b,), (tangent,))
    np.testing.assert_allclose(product, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-6)
    (reverse,) = [tg.grad(lambda b: np.sum(tg.grad(value)(b)))(b)]
    np.testing.assert_allclose(product if narrow else np.sum(product), reverse, rtol=1e-9, atol=1e-9)


def test_quotients_by_a_shared_divisor_neither_overflow_nor_vanish() -> None:
    a, w = np.random.default_rng(0).normal(size=(2, 260, 64))
    divide = operation("divide")
    for dtype, largest in ((np.float32, 1e30), (np.float64, 1e250)):
        for scale in (largest, 1.0, 1 / largest):
            for divisor in (largest, 1.0, 1 / largest):
                g, x, b = (w * scale).astype(dtype), (a * divisor).astype(dtype), np.full((260, 1), divisor, dtype)
                x[0], g[1], b[2] = 0, 0, np.inf
                leaf = tg.tensor(b, requires_grad=True)
                with np.errstate(all="ignore"):
                    y = tg.tensor(x) / leaf
                    y.backward(g)
                    right = fitted(divide.vjps[1](g, y.numpy(), x, b), b.shape, b.dtype, divide, 1)
                assert leaf.grad is not None
                np.testing.assert_allclose(leaf.grad.numpy(), right, rtol=1e-3 if dtype == np.float32 else 1e-11)


def test_a_replaced_rule_is_the_one_that_runs() -> None:
    x, b = tg.tensor(np.ones((260, 64))), tg.tensor(np.ones((260, 1)), requires_grad=True)
    multiply = operation("multiply")
    with mock.patch.object(multiply, "vjps", [multiply.vjps[0], lambda g, y, a, b: 3 * g]):
        np.sum(x * b).backward()
    assert b.grad is not None
    np.testing.assert_array_equal(b.grad.numpy(), np.full((260, 1), 3 * 64))


def test_no_array_of_the_products_is_made() -> None:
    x, b = np.ones((1000, 1000)), np.ones((1000, 1))
    leaf = tg.tensor(b, requires_grad=True)
    y = tg.tensor(x) * leaf
    g = np.ones((1000, 1000))
    tracemalloc.start()
    try:
        y.backward(tg.tensor(g))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 9e6  # of which the copy of the upstream gradient takes 8
