"""Every operation of the registry, and random programs of them, compiled: as eager, with gradients."""

import tempfile
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import Phase, assume, given, reject, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.marks import param
from tests.ops.test_registry import DIFFERENTIABLE
from tinygrad_lite import trees
from tinygrad_lite.compiler.compiled import Compiled
from tinygrad_lite.compiler.recording import recording_run
from tinygrad_lite.compiler.recording.recorded import Recorded
from tinygrad_lite.engine.op import Op
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.testing import Program, cotangents, inputs_of, programs

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")


@pytest.fixture(autouse=True)
def _no_operation_leaves_its_values_in_a_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each recording looks through all objects of the process, which takes longer than all the rest of it."""

    def collect(generation: int) -> None:
        pytest.fail("a value of the recording is still there after it")

    monkeypatch.setattr(recording_run, "gc", SimpleNamespace(collect=collect))


def value_and_gradients(f: Callable[..., Any], g: Any) -> Callable[..., Any]:
    def both(*x: Any) -> Any:
        y, pull = tg.vjp(f, *x)
        return y, pull(g)

    return both


def drawn(op: Op, data: st.DataObject) -> tuple[Compiled, Any, list[Any]]:
    """An operation with its gradients, compiled to NumPy source: the function, its arguments and its results."""
    call = data.draw(inputs_of(op))
    f, x = call.function()
    both = value_and_gradients(f, data.draw(cotangents(call.value(*call.arrays))))
    compiled = tg.compile(both, "numpy")
    with np.errstate(all="ignore"):
        return compiled, x, trees.leaves(compiled(*x))


def same(f: Callable[..., Any], x: Any, backend: str, tolerance: float = 1e-12) -> None:
    """Recorded, and then run again with other numbers, it gives what the function gives."""
    compiled = tg.compile(f, backend)
    compiled(*x)
    assert compiled.report().backend == backend
    with np.errstate(all="ignore"):
        expected = trees.leaves(f(*x))
    for found, right in zip(trees.leaves(compiled(*x)), expected, strict=True):
        assert found.dtype == right.dtype
        scale = np.max(np.abs(right), initial=1)
        np.testing.assert_allclose(found, right, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.long
@pytest.mark.parametrize("dtype", [np.float64, pytest.param(np.float32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@settings(max_examples=5)
@given(data=st.data())
def test_numpy(op: Op, dtype: Any, data: st.DataObject) -> None:
    holds(op, dtype, data, "numpy")


@pytest.mark.long
@pytest.mark.parametrize("dtype", [np.float64, pytest.param(np.float32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@settings(max_examples=1, phases=[Phase.generate])
@given(data=st.data())
def test_native(op: Op, dtype: Any, data: st.DataObject) -> None:
    holds(op, dtype, data, "native")


@pytest.mark.long
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@settings(max_examples=1, phases=[Phase.generate])
@given(data=st.data())
def test_derivatives_of_a_compiled_operation(op: Op, data: st.DataObject) -> None:
    """The reverse pass is a program of its own, and is differentiated again."""
    call = data.draw(inputs_of(op))
    f, x = call.function()
    g = data.draw(cotangents(call.value(*call.arrays)))
    compiled = tg.compile(f, "numpy")

    def derivatives(function: Callable[..., Any]) -> list[Any]:
        with np.errstate(all="ignore"):
            gradients, pull = tg.vjp(lambda *x: tg.vjp(function, *x)[1](g), *x)
            return trees.leaves([gradients, pull(gradients)])

    for _ in range(2):  # recorded, and then run
        for found, right in zip(derivatives(compiled), derivatives(f), strict=True):
            scale = np.max(np.abs(right), initial=1, where=np.isfinite(right))
            np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-9 * scale)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_what_a_rule_refuses_is_an_error_of_the_reverse_pass(backend: str) -> None:
    compiled = tg.compile(lambda x: np.linalg.eigh(x)[1][0, 0], backend)
    tg.grad(compiled)(np.diag([1.0, 2.0, 3.0]))
    x = tg.tensor(np.eye(3), requires_grad=True)
    y = compiled(x)
    with pytest.raises(InputError, match="eigenvectors of equal eigenvalues"):
        y.backward()


@pytest.mark.long
@pytest.mark.parametrize("op", [param(op, slow=".linear." not in op.module) for op in DIFFERENTIABLE], ids=str)
@settings(max_examples=1, phases=[Phase.generate])
@given(data=st.data())
def test_a_module_of_numpy_alone(op: Op, data: st.DataObject) -> None:
    compiled, x, results = drawn(op, data)
    with tempfile.NamedTemporaryFile("w+") as file:
        try:
            compiled.export(file.name)
        except UsageError as error:
            if ".linear." in op.module or "cannot be exported: it " not in str(error):
                raise
            return  # which is the case of SciPy's functions
        text = file.read()
    assert "import tinygrad_lite" not in text
    exec(text, scope := {})
    for found, right in zip(trees.leaves(scope["both"](*x, *filter(None, [compiled.state()]))), results, strict=True):
        np.testing.assert_array_equal(found, right, strict=True)


@pytest.mark.parametrize("decompose", [np.linalg.eigh, np.linalg.qr, np.linalg.svd])
def test_results_that_lie_in_one_array_are_read_from_it(decompose: Any) -> None:
    """No instruction puts what was read from the array into another one."""
    compiled = tg.compile(lambda x: decompose(x)[1].sum(), "numpy")
    compiled(np.eye(3))
    assert "concatenate" not in compiled.source


def holds(op: Op, dtype: Any, data: st.DataObject, backend: str) -> None:
    call = data.draw(inputs_of(op, dtype))
    f, x = call.function()
    g = data.draw(cotangents(call.value(*call.arrays)))
    same(value_and_gradients(f, g), x, backend, 1e-12 if dtype == np.float64 else 1e-4)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@settings(phases=[Phase.generate])  # to find a smaller program would compile hundreds of them
@given(data=st.data())
def test_random_programs(backend: str, data: st.DataObject) -> None:
    program = data.draw(programs(max_steps=8))
    assume(program.steps)
    g = data.draw(cotangents(program.run(*program.leaves)))
    try:
        tg.vjp(program.run, *program.leaves)[1](g)
    except InputError:
        reject()  # a rule refuses these numbers
    same(value_and_gradients(program.run, g), program.leaves, backend, 1e-9)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@settings(max_examples=10, phases=[Phase.generate])
@given(program=programs(max_steps=5))
def test_second_derivatives(backend: str, program: Program) -> None:
    assume(program.steps)

    def second(*x: Any) -> Any:
        return tg.hessian(lambda first: np.sum(program.run(first, *x[1:])))(x[0])

    same(second, program.leaves, backend, 1e-9)


@pytest.mark.long
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@settings(max_examples=1, phases=[Phase.generate])
@given(data=st.data())
def test_what_the_library_keeps_is_no_array_from_outside(op: Op, data: st.DataObject) -> None:
    """Else it would be compared in each call, and be part of the state of an export."""
    call = data.draw(inputs_of(op))
    f, x = call.function()
    if len(x) < len(call.arrays) or any(isinstance(y, np.ndarray) for y in trees.leaves(call.params)):
        return  # the call itself has an array from outside
    gradient = tg.grad(lambda *x: sum(np.sum(y * y) for y in trees.leaves(f(*x))), argnums=[*range(len(x))])
    compiled = tg.compile(lambda *x: gradient(*x), "numpy")
    with np.errstate(all="ignore"):
        compiled(*x)
    assert not compiled.state()


@pytest.mark.long
@pytest.mark.parametrize("op", [op for op in DIFFERENTIABLE if op.shared], ids=str)
@settings(max_examples=2, phases=[Phase.generate])
@given(data=st.data())
def test_a_recording_computes_once_what_value_and_derivatives_have_in_common(op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op))
    f, x = call.function()
    both = value_and_gradients(f, data.draw(cotangents(call.value(*call.arrays))))
    shared, times = op.shared, Counter[Any]()

    def counted(*args: Any, **params: Any) -> Any:
        times[tuple(x.variable for x in args if isinstance(x, Recorded))] += 1
        return shared(*args, **params)  # type: ignore[misc]

    with mock.patch.object(op, "shared", counted), np.errstate(all="ignore"):
        tg.compile(both, "numpy")(*x)
    del times[()]
    # twice, in two recordings; three times, if a forward that reads values was tried before it is recorded as a whole
    assert max(times.values(), default=0) < 4
