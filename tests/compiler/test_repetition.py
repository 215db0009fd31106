"""Many turns at once: repeat and epochs, beside the loops that they stand for."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.conftest import BACKENDS
from tests.compiler.test_training import MODELS, Pair, X, Y
from tests.marks import param
from tinygrad_lite import nn, optim
from tinygrad_lite.errors import AnomalyError, InputError, ShapeError
from tinygrad_lite.nn import functional as F

ROWS = np.random.default_rng(1).normal(size=(50, 4))
TARGETS = (np.random.default_rng(2).random((50, 1)) < 0.5).astype(float)


@pytest.mark.long
@pytest.mark.parametrize(
    ("backend", "model", "optimizer"),
    [
        param(backend, *pair, slow=backend == "native" and pair != ("network", "sgd"))
        for backend in BACKENDS
        for pair in [("network", "sgd"), ("classes", "adam"), ("dropout", "sgd")]
    ],
)
def test_repeat(backend: str, model: str, optimizer: str) -> None:
    pair = Pair(backend, model, optimizer)
    expected = [pair.eager(X).item() for _ in range(150)]
    np.testing.assert_allclose(pair.compiled.repeat(150, X).numpy(), expected, rtol=1e-9)
    pair.check()


def test_draws_are_made_in_each_native_turn() -> None:
    pair = Pair("native", "dropout")
    pair.compiled.repeat(2, X)
    assert pair.compiled.report().falls_back == {"random": 1}
    executor = pair.compiled._latest.executor  # type: ignore[union-attr]
    with mock.patch.object(executor, "run", side_effect=AssertionError("a turn returned to Python's objects")):
        pair.compiled.repeat(50, X)


def trained(backend: str | None) -> tuple[nn.Module, Any]:
    model = MODELS["network"][0]()
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def step(x: Any, target: Any) -> Any:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    return model, tg.compile(step, backend) if backend else step


@pytest.mark.long
@pytest.mark.parametrize("kind", [np.asarray, tg.tensor])
@pytest.mark.parametrize("drop_last", [False, True])
def test_epochs(backend: str, kind: Callable[[Any], Any], drop_last: bool) -> None:
    (eager, step), (model, compiled) = trained(None), trained(backend)
    rng = np.random.default_rng(5)
    expected = []
    for _ in range(3):
        order = rng.permutation(50)
        for start in range(0, 48 if drop_last else 50, 8):
            rows = order[start : start + 8]
            expected.append(step(ROWS[rows], TARGETS[rows]).item())
    losses = compiled.epochs([kind(ROWS), kind(TARGETS)], batch_size=8, epochs=3, rng=5, drop_last=drop_last)
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-9)
    for a, b in zip(eager.parameters(), model.parameters()):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-9)


def test_results_of_any_shape_are_stacked(backend: str) -> None:
    f = tg.compile(lambda x: {"twice": 2 * x, "total": (np.sum(x), 3)}, backend)
    found = f.repeat(4, X)
    assert found["twice"].shape == (4, *X.shape)
    assert found["total"][0].shape == (4,)
    assert found["total"][1] == 3
    with pytest.raises(ShapeError, match="cannot be stacked"):
        f.epochs([X], batch_size=5)


def test_turns_run_eagerly_while_somebody_looks_at_operations(backend: str) -> None:
    x = np.array([1.0, 4.0])
    f = tg.compile(lambda x: (np.sqrt(x), np.log(tg.tensor(-x))), backend)
    with np.errstate(invalid="ignore"):
        expected = f.repeat(2, x)
        with pytest.raises(AnomalyError, match="log made nan"), tg.detect_anomaly():
            f.repeat(2, x)
        with pytest.raises(AnomalyError, match="log made nan"), tg.detect_anomaly():
            f.epochs([x], batch_size=1)
    f = tg.compile(lambda x: (np.sqrt(x), np.log(tg.tensor(x))), backend)
    with tg.detect_anomaly():
        found = f.repeat(2, x)
    assert [type(part) for part in found] == [type(part) for part in expected]
    np.testing.assert_array_equal(found[0], expected[0])


def test_an_interrupt_stops_between_turns(backend: str) -> None:
    pair = Pair(backend)
    pair.compiled.repeat(10, X)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        pair.compiled.repeat(10**9, X)
    weights = [parameter.numpy().copy() for parameter in pair.models[1].parameters()]
    assert all(np.all(np.isfinite(w)) for w in weights)
    pair.compiled(X)


def test_threads_do_not_disturb_each_other(backend: str) -> None:
    f = tg.compile(lambda x: (np.cumsum(np.sin(x)), np.sum(np.exp(x) * x)), backend)
    f(X[0])
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = np.random.default_rng(seed).normal(size=4)
        first, second = np.cumsum(np.sin(x)), np.sum(np.exp(x) * x)
        for _ in range(500):
            found = f(x)
            if not (np.allclose(found[0], first) and np.allclose(found[1], second)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert wrong == []


VARYING: dict[str, tuple[Callable[..., Any], Callable[[int], tuple[Any, ...]]]] = {
    "sizes": (lambda x: np.cumsum(np.sin(x)), lambda i: (np.arange(i % 8 + 1.0),)),
    "numbers": (lambda x, rate: np.cumsum(x * rate), lambda i: (np.arange(3.0), i / 7)),
    "lengths": (lambda x, n: sum(np.sin(x) for _ in range(n)), lambda i: (np.arange(3.0), i % 8)),
    "texts": (lambda x, by: x * len(by), lambda i: (np.arange(3.0), "a" * (i % 60))),
    "containers": (lambda xs: sum(map(np.sum, xs)), lambda i: ([np.arange(3.0)] * (i % 8 + 1),)),
    "sizes and numbers": (lambda x, rate: np.sum(x * rate), lambda i: (np.arange(i % 60 + 1.0), i / 7)),
}
"""A function, and its arguments in the i-th call, for everything that can vary from call to call."""


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*was recorded:tinygrad_lite.errors.TinygradWarning")
@pytest.mark.parametrize("what", VARYING)
def test_threads_may_call_a_function_with_other_arguments(backend: str, what: str) -> None:
    """While one looks for the program that fits, another one adds one."""
    f, arguments = VARYING[what]
    compiled = tg.compile(f, backend)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:

        def work(seed: int) -> None:
            for i in np.random.default_rng(seed).permutation(120):
                args = arguments(int(i))
                np.testing.assert_allclose(compiled(*args), f(*args), rtol=1e-12, atol=1e-12)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda f: f.repeat(0, X), InputError, "turns must be a whole number of at least 1, got 0"),
        (lambda f: f.repeat(1.5, X), InputError, "got 1.5"),
        (lambda f: f.epochs([X, Y[:3]], batch_size=2), ShapeError, r"same length.*\(12, 4\), \(3, 1\)"),
        (
            lambda f: f.epochs([X], batch_size=13),
            InputError,
            "batch_size=13 is larger than the arrays",
        ),
        (lambda f: f.epochs([X], batch_size=2, epochs=0), InputError, "epochs must be a whole number"),
    ],
)
def test_bad_input(call: Callable[[Any], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        call(tg.compile(lambda x: np.sum(x)))


def test_a_program_stays_in_its_memory_as_long_as_nobody_holds_its_arrays() -> None:
    model, step = trained("native")
    inputs, targets = X, (X[:, :1] > 0).astype(float)
    step(inputs, targets)
    step.repeat(2, inputs, targets)
    executor = step._latest.executor
    moves = executor.moves
    step.repeat(2, inputs, targets)
    assert executor.moves == moves
    for held in (lambda w: w.numpy(), lambda w: w.numpy()[:1], lambda w: w.grad, lambda w: memoryview(w.numpy())):
        mine = [held(w) for w in model.parameters()]
        before = [np.array(x if isinstance(x, memoryview) else tg.tensor(x)) for x in mine]
        step.repeat(2, inputs, targets)
        for x, value in zip(mine, before):
            np.testing.assert_array_equal(np.asarray(x if isinstance(x, memoryview) else tg.tensor(x)), value)
        assert executor.moves > moves
        moves = executor.moves
