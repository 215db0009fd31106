"""Exports for JAX: the text, what is refused, and that JAX compiles it, where it is installed, to the same numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.compiler.test_operations import drawn
from tests.compiler.test_repeats import layers, maml, rnn, runge_kutta
from tests.compiler.test_source import is_clean
from tests.compiler.test_training import MODELS, OPTIMIZERS, Pair, X
from tests.ops.test_registry import DIFFERENTIABLE
from tinygrad_lite.engine.op import Op
from tinygrad_lite.errors import InputError, UsageError

RNG = np.random.default_rng(0)
BY_BYTES = tg.elementwise(lambda x: np.frombuffer(x.tobytes()), 1, name="by_bytes")
LOOPS = {"recurrent network": rnn, "Runge-Kutta": runge_kutta, "layers": layers}


def exported(compiled: Any, path: Path) -> dict[str, Any]:
    compiled.export(path, library="jax")
    scope: dict[str, Any] = {}
    exec(path.read_text(encoding="utf-8"), scope)
    return scope


def test_the_text_is_that_of_numpy(tmp_path: Path) -> None:
    w = tg.tensor([[0.5, -1.0, 2.0]], requires_grad=True, name="np.w")
    optimizer = tg.optim.SGD([w], lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = np.sum(np.tanh(x @ w.T) ** 2)  # in np.tanh
        loss.backward()
        optimizer.step()
        return loss

    step = tg.compile(step, "numpy")
    step(np.ones((4, 3)))
    step.export(tmp_path / "step.py", library="jax")
    text = (tmp_path / "step.py").read_text()
    body = text[text.index("def step") :]
    assert body == (
        "def step(x, state):\n"
        "    state = dict(state)\n"
        '    np_w = state["np.w"]\n'
        '    lr = state["lr"]\n'
        "    # forward\n"
        "    # loss = np.sum(np.tanh(x @ w.T) ** 2)  # in np.tanh\n"
        "    matmul = x @ np_w.T\n"
        "    tanh = jnp.tanh(matmul)\n"
        "    loss = jnp.square(tanh).sum()\n"
        "    # backward\n"
        "    cosh = jnp.cosh(matmul)\n"
        "    sech = 1 / cosh\n"
        '    d_np_w = state["np.w.grad"] = (x.T @ (2 * tanh * jnp.square(sech))).T\n'
        "    # update\n"
        '    state["np.w"] = np_w - lr * d_np_w\n'
        "    return loss, state\n"
    )
    is_clean(tmp_path)


@pytest.mark.parametrize(
    ("f", "said"),
    [
        (lambda x: x + RNG.normal(size=3), "draws random numbers"),
        (lambda x: BY_BYTES(x), "by_bytes is not a function"),
    ],
)
def test_what_jax_cannot_do_is_refused(f: Any, said: str, tmp_path: Path) -> None:
    compiled = tg.compile(f, "numpy")
    compiled(np.full(3, 0.5))
    with pytest.raises(UsageError, match=said):
        compiled.export(tmp_path / "f.py", library="jax")
    assert not (tmp_path / "f.py").exists()


def test_what_only_raises_errors_is_left_out(tmp_path: Path) -> None:
    def f(x: Any) -> Any:
        np.linalg.eigh(x)  # which may raise an error in NumPy, and none in JAX
        return 2 * x

    compiled = tg.compile(f, "numpy")
    compiled(np.eye(2))
    compiled.export(tmp_path / "f.py", library="jax")
    assert "eig" not in (tmp_path / "f.py").read_text()


@pytest.mark.compare
@pytest.mark.filterwarnings("ignore:.*no gradient for parameter:UserWarning")
def test_results_are_nan_and_the_state_stays_where_numpy_raises(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    w = tg.tensor([0.5, -1.0, 2.0], requires_grad=True, name="w")
    unused = tg.tensor([1.0], requires_grad=True, name="unused")  # its gradient stays None
    optimizer = tg.optim.Adam([w, unused], lr=0.1)

    def step(x: Any, labels: Any) -> Any:
        total = 0.0
        optimizer.zero_grad()
        for row in range(6):  # the checks are in a loop
            loss = tg.nn.functional.binary_cross_entropy(x[row] * w**2, labels[row])
            loss.backward()
            total = total + loss.detach()
        optimizer.step()
        return total, np.argmax(x)

    compiled = tg.compile(step, "numpy")
    x, labels = np.linspace(0.01, 0.2, 18).reshape(6, 3), np.ones((6, 3))
    compiled(x, labels), compiled(x, labels)
    step, state = jax.jit(exported(compiled, tmp_path / "step.py")["step"]), compiled.state()
    (loss, place), after = step(x, labels, state)
    np.testing.assert_allclose(loss, compiled(x, labels)[0].item(), rtol=1e-10)
    for key, array in compiled.state().items():
        np.testing.assert_allclose(after[key], array, rtol=1e-10, atol=1e-12)
    x[4, 1] = 7.0
    with pytest.raises(ValueError, match="takes probabilities"):
        compiled(x, labels)
    (loss, place), kept = step(x, labels, after)
    assert np.isnan(loss)
    assert place == 13
    for key, array in after.items():
        np.testing.assert_array_equal(kept[key], array)
    is_clean(tmp_path)


def test_there_are_three_libraries(tmp_path: Path) -> None:
    compiled = tg.compile(lambda x: x * 2, "numpy")
    compiled(np.ones(3))
    for name, library in [("f.c", "numpy"), ("f.h", "jax"), ("f.py", "c"), ("f.onnx", "numpy"), ("f.onnx", "c")]:
        with pytest.raises(InputError, match=rf"library='{library}' writes .*, which the name {name} does not fit"):
            compiled.export(tmp_path / name, library=library)
    assert not [*tmp_path.iterdir()]
    with pytest.raises(InputError, match="library must be 'numpy', 'jax' or 'c', got 'torch'"):
        compiled.export(tmp_path / "f.py", library="torch")


@pytest.mark.compare
@pytest.mark.parametrize("name", LOOPS)
def test_loops_under_jit(name: str, tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    f, x = LOOPS[name](6)
    compiled = tg.compile(f, "numpy")
    compiled(x), compiled(x)
    (function,) = [each for key, each in exported(compiled, tmp_path / "f.py").items() if key in ("step", "loss")]
    state = compiled.state()
    result = jax.jit(function)(x, state) if state else jax.jit(function)(x)
    value, after = result if state else (result, {})
    expected = compiled(x)
    np.testing.assert_allclose(value, getattr(expected, "data", expected), rtol=1e-10)
    for key, array in compiled.state().items():
        np.testing.assert_allclose(after[key], array, rtol=1e-10, atol=1e-12)


@pytest.mark.compare
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", [name for name in MODELS if name != "dropout"])
def test_training_under_jit(model: str, optimizer: str, tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    pair = Pair("numpy", model, optimizer)
    for _ in range(2):
        pair.compiled(X)
    step, state = jax.jit(exported(pair.compiled, tmp_path / "step.py")["step"]), pair.compiled.state()
    for _ in range(5):
        loss, state = step(X, state)
        np.testing.assert_allclose(loss, pair.compiled(X).item(), rtol=1e-9)
    for key, array in pair.compiled.state().items():
        np.testing.assert_allclose(state[key], array, rtol=1e-8, atol=1e-10)


@pytest.mark.compare
def test_gradients_of_gradients_under_jit(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    f, x = maml(3)
    compiled = tg.compile(f, "numpy")
    expected = compiled(x)
    function = exported(compiled, tmp_path / "f.py")["lambda_"]
    np.testing.assert_allclose(jax.jit(function)(x), expected, rtol=1e-10)


@pytest.mark.compare
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@settings(max_examples=1, phases=[Phase.generate], suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_operations(op: Op, data: st.DataObject, tmp_path: Path) -> None:
    """Every operation with its gradients: JAX gives the same numbers, or the export says why it cannot."""
    pytest.importorskip("jax")
    compiled, x, expected = drawn(op, data)
    try:
        function = exported(compiled, tmp_path / "f.py")["both"]
    except UsageError as error:
        if "cannot be exported for JAX" not in str(error) or (
            hasattr(np, op.name) and f" {op.name} is not a function of" in str(error)
        ):
            raise
        return
    state = compiled.state()
    found = function(*x, state)[0] if state else function(*x)
    for one, right in zip(found if type(found) is tuple else [found], expected, strict=True):
        assert np.shape(one) == np.shape(right)
        scale = np.max(np.abs(right), initial=1)
        np.testing.assert_allclose(one, right, rtol=1e-8, atol=1e-9 * scale)
