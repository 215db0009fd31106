"""Compiled programs that go through complex numbers, beside eager ones."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.ops.test_complex import TAKING, functions
from tinygrad_lite.engine.op import Op


@pytest.mark.parametrize("op", TAKING, ids=str)
@settings(max_examples=2, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_operation_that_takes_them(backend: str, op: Op, data: st.DataObject) -> None:
    f, variables = data.draw(functions(op))
    derivative = tg.value_and_grad(f, tuple(range(len(variables))))
    compiled = tg.compile(derivative, backend)
    for arrays in (variables, [x + 0.01 for x in variables]):
        value, gradients = derivative(*arrays)
        found, compiled_gradients = compiled(*arrays)
        np.testing.assert_allclose(found, value, rtol=1e-12)
        for a, b in zip(compiled_gradients, gradients, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * (1 + np.max(np.abs(b), initial=0)))


def test_a_loop_with_a_complex_state(backend: str) -> None:
    def f(a: Any, b: Any, v: Any) -> Any:
        h = v + 0j
        for _ in range(12):
            h = np.tanh(0.2 * ((a + 1j * b) @ h) + v)
        return np.sum(np.abs(h) ** 2)

    rng = np.random.default_rng(0)
    for dtype in (np.float64, np.float32):
        arrays = [rng.normal(size=shape).astype(dtype) for shape in ((4, 4), (4, 4), (4,))]
        derivative = tg.value_and_grad(f, (0, 1, 2))
        value, gradients = derivative(*arrays)
        found, compiled_gradients = tg.compile(derivative, backend)(*arrays)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, value, rtol=1e-5)
        for a, b in zip(compiled_gradients, gradients, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
