"""The expressions that an operation's value and derivatives share, and those that its rules share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations

SHARING = [op for op in operations() if op.shared]


@pytest.mark.parametrize("op", SHARING, ids=repr)
def test_the_reverse_pass_receives_the_shared_value(op: Op) -> None:
    shapes, params = op.examples[0] if op.examples else ([(3,)] * (op.arity or 1), {})
    arrays = [np.full(x, 0.5) if isinstance(x, tuple) else x for x in shapes]
    result = op(*[tg.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays], **params)
    assert len(result.shared) == 1


def test_a_step_computes_the_shared_value_once() -> None:
    calls = []

    def exp(a: Any) -> Any:
        calls.append(a)
        return np.exp(a)

    op = tg.elementwise(lambda a, e: e, lambda y, a, e: e, name="counted", shared=exp)
    np.sum(op(tg.tensor([0.5, 1.0], requires_grad=True))).backward()
    assert len(calls) == 1


def power_of_exp(a: Any, b: Any, e: Any) -> Any:
    return e**b


@pytest.fixture(name="growth", scope="module")
def declared() -> Op:
    return tg.elementwise(
        power_of_exp,
        lambda y, a, b, e: b * y,
        lambda y, a, b, e: np.log(e) * y,
        name="growth",
        shared=lambda a, b: np.exp(a),
    )


def test_the_shared_value_is_no_argument(growth: Op) -> None:
    assert growth.arity == 2
    assert not growth.keywords
    assert list(growth.signature.parameters) == ["a", "b"]
    with pytest.raises(tg.errors.UsageError, match=r"growth\(a, b\)"):
        growth(1.0, 2.0, 3.0)


def test_derivatives_of_every_order_go_through_the_shared_value(growth: Op) -> None:
    a, b = np.array([0.3, -0.2]), np.array([1.5, 0.7])
    assert tg.gradcheck(lambda a, b: np.sum(growth(a, b)), a, b, order=2)
    np.testing.assert_allclose(tg.grad(tg.grad(tg.grad(growth)))(0.3, 1.5), 1.5**3 * np.exp(0.45))
    np.testing.assert_allclose(tg.jvp(growth, (a, b), (a, b))[1], 2 * a * b * np.exp(a * b))


def test_the_shared_value_has_the_dtype_of_the_result(growth: Op) -> None:
    x = tg.tensor([0.5, 1.0], requires_grad=True)
    np.sum(growth(np.array([1, 2]), x)).backward()  # in the rules, the integers are floating-point numbers
    np.testing.assert_allclose(x.grad.numpy(), np.array([1, 2]) * np.exp([0.5, 2.0]))


def test_the_shared_value_is_freed_with_the_graph(growth: Op) -> None:
    x = tg.tensor([0.5, 1.0], requires_grad=True)
    y = growth(x, 2.0)
    assert y.shared
    y.sum().backward()
    assert not y.shared


WITH_ADJOINT = [op for op in operations() if op.adjoint]


@pytest.mark.parametrize("op", WITH_ADJOINT, ids=repr)
def test_a_rule_computes_the_adjoint_if_nobody_passes_it(op: Op) -> None:
    rng = np.random.default_rng(0)
    for shapes, params in op.examples or []:
        arrays = tuple(x if isinstance(x, np.ndarray) else rng.normal(size=x) for x in shapes)
        y = op(*arrays, **params)
        g = rng.normal(size=y.shape)
        given = op.in_common(arrays, params, g, y)
        assert len(given) == len(arrays) + bool(op.shared) + 1
        for rule in op.vjps:
            np.testing.assert_array_equal(rule(g, y, *arrays, **params), rule(g, y, *given, **params))


@pytest.fixture(name="ratio", scope="module")
def declared_with_adjoint() -> tuple[Op, list[None]]:
    """The ratio of the sums of two arrays, and a list that grows with each computation of the adjoint."""
    calls: list[None] = []

    def adjoint(g: Any, y: Any, a: Any, b: Any, sums: Any) -> Any:
        calls.append(None)
        return g * y

    op = tg.primitive(
        lambda a, b, sums: sums[0] / sums[1],
        lambda g, y, a, b, sums, back: back / sums[0] * np.ones_like(a),
        lambda g, y, a, b, sums, back: -back / sums[1] * np.ones_like(b),
        shared=lambda a, b: (np.sum(a), np.sum(b)),
        adjoint=adjoint,
        name="ratio_of_sums",
    )
    return op, calls


def test_a_pass_computes_the_adjoint_once(ratio: Any) -> None:
    op, calls = ratio
    a, b = tg.tensor([0.5, 1.0], requires_grad=True), tg.tensor([2.0, 1.0], requires_grad=True)
    y = op(a, b)
    for create_graph in (False, True):
        calls.clear()
        y.backward(create_graph=create_graph, retain_graph=True)
        assert len(calls) == 1
    np.testing.assert_allclose(a.grad.numpy(), 2 / np.array([3.0, 3.0]))
    np.testing.assert_allclose(b.grad.numpy(), -2 * 1.5 / np.array([9.0, 9.0]))


def test_derivatives_of_every_order_and_mode_go_through_the_adjoint(ratio: Any) -> None:
    op, _ = ratio
    a, b = np.array([0.3, 0.9]), np.array([1.5, 0.7])

    def plain(a: Any, b: Any) -> Any:
        return np.sum(a) / np.sum(b)

    assert tg.gradcheck(op, a, b, order=2)
    for argument in (0, 1):
        third, right = (tg.hessian(lambda a, b, f=f: tg.grad(f, 1)(a, b)[0], argument)(a, b) for f in (op, plain))
        np.testing.assert_allclose(third, right, rtol=1e-12)
    np.testing.assert_allclose(tg.jvp(op, (a, b), (b, a))[1], tg.jvp(plain, (a, b), (b, a))[1], rtol=1e-12)
    for backend in ("numpy", "native"):
        compiled = tg.compile(lambda a, b: tg.grad(op, (0, 1))(a, b), backend)
        for found, right in zip(compiled(a, b), tg.grad(plain, (0, 1))(a, b)):
            np.testing.assert_allclose(found, right, rtol=1e-12)


REFUSED: dict[str, Callable[[], Any]] = {
    "no rule": lambda: tg.primitive(np.sum, name="summed", adjoint=lambda g, y, x: g),
    "entry by entry": lambda: tg.elementwise(np.exp, lambda y, x: y, name="grown", adjoint=lambda g, y, x: g),
    "one rule, adjoint": lambda: tg.primitive(
        lambda *x: sum(x), each=lambda i, g, y, x: g, name="added", adjoint=lambda g, y, *x: g
    ),
    "one rule, shared": lambda: tg.primitive(
        lambda *x: sum(x), each=lambda i, g, y, x: g, name="added", shared=lambda *x: x[0]
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_nothing_in_common_is_refused(kind: str) -> None:
    with pytest.raises(tg.errors.UsageError, match=r"an adjoint is for tg\.primitive with a rule for each argument"):
        REFUSED[kind]()
