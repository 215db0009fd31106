"""What is overwritten in place is an array of the program's own, whatever operation made it, in any memory order."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.ops.test_registry import DIFFERENTIABLE
from tinygrad_lite.compiler.program import Instruction, Variable
from tinygrad_lite.compiler.source import numpy_source
from tinygrad_lite.compiler.source.ownership import makes_an_array
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.errors import TinygradError
from tinygrad_lite.testing import Call, inputs_of

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")


def layouts(x: Any) -> Iterator[Any]:
    """An array in different orders in memory, and with gaps."""
    sparse = np.zeros([2 * side for side in np.shape(x)], x.dtype)[(slice(None, None, 2),) * np.ndim(x)]
    if np.ndim(x):
        sparse[...] = x
    yield from (np.array(x, order="C"), np.array(x, order="F"), sparse) if np.ndim(x) else (x,) * 3


def instruction(call: Call, y: Any) -> Instruction:
    variables = tuple(Variable(np.shape(x), np.asarray(x).dtype) for x in call.arrays)
    return Instruction(call.op, variables, call.params, Variable(y.shape, y.dtype))


@pytest.mark.long
@pytest.mark.parametrize("op", operations(), ids=str)
@settings(max_examples=10)
@given(data=st.data())
def test_operations_that_make_an_array_always_do(op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op))
    for arrays in zip(*map(layouts, call.arrays)):
        try:
            y = op.forward(*arrays, **call.params)
        except (TinygradError, ValueError, TypeError, AttributeError, np.linalg.LinAlgError):
            return  # not for these arrays
        if isinstance(y, np.ndarray) and y.size and makes_an_array(instruction(call, y)):
            assert y.flags.writeable
            assert not any(np.shares_memory(y, x) for x in arrays)
            assert not any(step == 0 and side > 1 for step, side in zip(y.strides, y.shape))


@pytest.mark.long
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@settings(max_examples=3)
@given(data=st.data())
def test_what_follows_an_operation_may_be_done_in_place(op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op))
    f, x = call.function()

    def both(*x: Any) -> Any:
        y, pull = tg.vjp(lambda *x: np.tanh(f(*x)) * 0.5 + 1.0, *x)
        return y, [np.tanh(g) * 0.5 + 1.0 for g in pull(np.ones_like(y))]

    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(numpy_source, "MEDIUM", 1)  # arrays of any size
        expected, gradients = both(*x)
        before = [np.array(each) for each in x]
        compiled = tg.compile(both, "numpy")
        for arrays in zip(*map(layouts, x)):
            found, others = compiled(*arrays)
            for one, other in zip([found, *others], [expected, *gradients], strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
            for array, same in zip(arrays, before):
                np.testing.assert_array_equal(array, same)


LARGE = {
    "mean": lambda x: np.mean(x) ** 2,
    "sum": lambda x: np.sum(x),
    "mean of rows": lambda x: np.sum(np.mean(x, axis=0) ** 3),
    "variance": lambda x: np.var(x),
    "norm": lambda x: np.linalg.norm(x),
    "diagonal": lambda x: np.sum(np.einsum("ii->i", x) * 2),
}


@pytest.mark.parametrize("f", LARGE.values(), ids=LARGE)
def test_gradients_of_large_arrays(f: Any) -> None:
    x = np.random.default_rng(0).normal(size=(100, 100))
    for g in (tg.grad(f), lambda x: 2 * tg.grad(f)(x) + 1, tg.grad(lambda x: np.sum(np.exp(tg.grad(f)(x))))):
        np.testing.assert_allclose(tg.compile(g, "numpy")(x), g(x), rtol=1e-9, atol=1e-12)


def test_large_steps_of_adam_and_hessians() -> None:
    w = tg.tensor(np.linspace(-1, 1, 6_000), requires_grad=True)
    again = tg.tensor(w.numpy(), requires_grad=True)

    def training(w: Any) -> Any:
        optimizer = tg.optim.Adam([w], lr=0.1)

        def step() -> Any:
            optimizer.zero_grad()
            loss = np.mean(w) + np.mean(w**2)
            loss.backward()
            optimizer.step()
            return loss

        return step

    step, eager = tg.compile(training(w), "numpy"), training(again)
    for _ in range(4):
        np.testing.assert_allclose(step().item(), eager().item(), rtol=1e-12)
    np.testing.assert_allclose(w.numpy(), again.numpy(), rtol=1e-12)
    x = np.linspace(-1, 1, 70)
    hessian = tg.hessian(lambda x: np.mean(x) ** 2 + np.mean(x**3))
    np.testing.assert_allclose(tg.compile(hessian, "numpy")(x), hessian(x), rtol=1e-12)


def test_a_view_in_one_order_and_a_copy_in_another() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        flat = np.ravel(y)
        return np.exp(y) + 1, flat

    compiled = tg.compile(f, "numpy")
    x = np.random.default_rng(0).normal(size=(100, 100))
    for array in (np.asfortranarray(x), x, x.T):
        for found, expected in zip(compiled(array), f(array)):
            np.testing.assert_array_equal(found, expected)


def test_what_a_users_operation_returns_is_not_overwritten() -> None:
    kept = np.ones(10_000)
    op = tg.primitive(lambda x: kept, lambda g, y, x: g, name="kept")
    compiled = tg.compile(lambda x: op(x) * 2 + 1, "numpy")
    x = np.zeros(10_000)
    compiled(x), compiled(x)
    assert np.all(kept == 1)
