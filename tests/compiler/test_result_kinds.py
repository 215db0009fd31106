"""What a compiled function returns without dimensions: a scalar where the function returns one, otherwise an array."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.compiler.conftest import BACKENDS
from tests.marks import spread
from tests.ops.test_registry import DIFFERENTIABLE
from tinygrad_lite import trees
from tinygrad_lite.engine.op import Op
from tinygrad_lite.testing import inputs_of

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")

VECTOR = np.arange(1.0, 7.0)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "an entry": lambda x: x[0],
    "an entry as an array": lambda x: x[0, ...],
    "a taken entry": lambda x: np.take(x, 0),
    "entries": lambda x: tuple(x),
    "another shape": lambda x: np.reshape(x[:1], ()),
    "a copy": lambda x: np.copy(x[0, ...]),
    "a sum": np.sum,
    "a sum into an array": lambda x: np.sum(x, out=np.zeros(())),
    "a product": lambda x: np.tensordot(x, x, 1),
    "an einsum": lambda x: np.einsum("i,i", x, x),
    "a choice": lambda x: np.where(np.sum(x) > 0, np.sum(x), 0),
    "a constant": lambda x: (np.ones(()), np.float64(2), np.sum(x)),
    "a real part": lambda x: (np.real(x[0, ...]), np.real(x[0])),
    "a gradient of zero": lambda x: tg.grad(np.sign)(x[0]),
    "beside a tensor": lambda x: (tg.tensor(x[0]) * 2, x[0], x[1, ...] + 1),
}


def kinds(result: Any) -> list[tuple[type, Any, tuple[int, ...]]]:
    return [(type(x), x.dtype, x.shape) for x in trees.leaves(result)]


def assert_of_the_same_kind(f: Callable[..., Any], *x: Any, backend: str) -> None:
    compiled = tg.compile(f, backend)
    for _ in range(3):  # recorded, run, and entered
        assert kinds(compiled(*x)) == kinds(f(*x))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_result_without_dimensions_is_a_scalar_or_an_array(name: str, backend: str) -> None:
    assert_of_the_same_kind(FUNCTIONS[name], VECTOR, backend=backend)


@pytest.mark.parametrize("op", spread([op for op in DIFFERENTIABLE if op.derivatives], 0), ids=str)
@settings(max_examples=1, phases=[Phase.generate])
@given(data=st.data())
def test_so_are_values_and_gradients_of_every_operation_entry_by_entry(op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op))
    assume(all(map(np.size, call.arrays)))
    chosen = [call.arrays[i] for i in call.differentiable]

    def both(*x: Any) -> Any:
        inputs = dict(enumerate(call.arrays)) | dict(zip(call.differentiable, x))
        y, pull = tg.vjp(lambda *x: call.value(*(inputs | dict(zip(call.differentiable, x))).values()), *x)
        return y, pull(y.dtype.type(0.5))

    for backend in BACKENDS:
        assert_of_the_same_kind(both, *[np.array(np.ravel(x)[0]) for x in chosen], backend=backend)


@pytest.mark.parametrize("name", ["an entry", "a taken entry", "entries"])
def test_an_entry_stays_as_it_is_when_the_array_is_written_to(name: str, backend: str) -> None:
    compiled = tg.compile(FUNCTIONS[name], backend)
    x = VECTOR.copy()
    results = [compiled(x) for _ in range(3)]
    x[:] = 0
    for result in results:
        np.testing.assert_array_equal(result, FUNCTIONS[name](VECTOR))


def test_a_view_without_dimensions_is_a_view(backend: str) -> None:
    compiled = tg.compile(FUNCTIONS["an entry as an array"], backend)
    x = VECTOR.copy()
    results = [compiled(x) for _ in range(3)]
    x[0] = 9
    assert all(result == 9 for result in results)


@pytest.mark.parametrize("f", [np.real, np.sum, lambda x: x.imag, lambda x: np.reshape(x, ()), lambda x: x * 2])
def test_scalars_and_arrays_without_dimensions_may_take_turns(f: Callable[..., Any], backend: str) -> None:
    compiled = tg.compile(f, backend)
    for x in (np.float64(1), np.array(2.0), np.float64(3), np.array(4.0)):
        assert kinds(compiled(x)) == kinds(f(x))
        assert compiled(x) == f(x)
