"""The expression that an operation's value and derivatives share."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations

SHARING = [op for op in operations() if op.shared]


@pytest.mark.parametrize("op", SHARING, ids=repr)
def test_the_pass_receives_it(op: Op) -> None:
    shapes, params = op.examples[0] if op.examples else ([(3,)] * (op.arity or 1), {})
    arrays = [np.full(x, 0.5) if isinstance(x, tuple) else x for x in shapes]
    result = op(*[tg.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays], **params)
    assert len(result.shared) == 1


def test_a_step_computes_it_once() -> None:
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


def test_nobody_passes_it(growth: Op) -> None:
    assert growth.arity == 2
    assert not growth.keywords
    assert list(growth.signature.parameters) == ["a", "b"]
    with pytest.raises(tg.errors.UsageError, match=r"growth\(a, b\)"):
        growth(1.0, 2.0, 3.0)


def test_derivatives_of_every_order_go_through_it(growth: Op) -> None:
    a, b = np.array([0.3, -0.2]), np.array([1.5, 0.7])
    assert tg.gradcheck(lambda a, b: np.sum(growth(a, b)), a, b, order=2)
    np.testing.assert_allclose(tg.grad(tg.grad(tg.grad(growth)))(0.3, 1.5), 1.5**3 * np.exp(0.45))
    np.testing.assert_allclose(tg.jvp(growth, (a, b), (a, b))[1], 2 * a * b * np.exp(a * b))


def test_it_belongs_to_the_arrays_in_the_result_s_dtype(growth: Op) -> None:
    x = tg.tensor([0.5, 1.0], requires_grad=True)
    np.sum(growth(np.array([1, 2]), x)).backward()  # in the rules, the integers are floating-point numbers
    np.testing.assert_allclose(x.grad.numpy(), np.array([1, 2]) * np.exp([0.5, 2.0]))


def test_it_is_freed_with_the_graph(growth: Op) -> None:
    x = tg.tensor([0.5, 1.0], requires_grad=True)
    y = growth(x, 2.0)
    assert y.shared
    y.sum().backward()
    assert not y.shared
