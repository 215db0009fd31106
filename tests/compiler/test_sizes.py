"""Programs of one function for arrays of many sizes: each is right, and after a few sizes, none compiles code."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.compiler.test_operations import holds
from tests.marks import param
from tests.ops.test_registry import DIFFERENTIABLE
from tinygrad_lite import nn, optim, trees
from tinygrad_lite.compiler.native import machine, sizes
from tinygrad_lite.engine.op import Op
from tinygrad_lite.nn import functional as F

pytestmark = pytest.mark.filterwarnings("ignore:.*was recorded:tinygrad_lite.errors.TinygradWarning")

RNG = np.random.default_rng(0)
W, U = RNG.normal(size=(2, 3, 3))


def loss_of(layers: Callable[[], nn.Module], loss: Callable[..., Any]) -> Callable[..., Any]:
    model = layers()
    return lambda x, y: [loss(model(x), y), *tg.grad(lambda model: loss(model(x), y))(model).values()]


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, rng=0), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(1)
    )


def recurrent(x: Any) -> Any:
    h = np.zeros(3)
    for row in x:
        h = np.tanh(row @ W + h @ U)
    return np.sum(h * h)


def rows(*shape: int, dtype: Any = float) -> Callable[[int], tuple[Any, ...]]:
    return lambda n: (RNG.normal(size=(n, *shape)).astype(dtype),)


PROGRAMS: dict[str, tuple[Callable[..., Any], Callable[[int], tuple[Any, ...]]]] = {
    "entries": (tg.value_and_grad(lambda x: np.mean(np.tanh(3 * x) ** 2 + np.exp(-x))), rows(3)),
    "single precision": (
        tg.value_and_grad(lambda x: np.mean(np.tanh(x @ W.astype("f4") / len(x)))),
        rows(3, dtype=np.float32),
    ),
    "of the size itself": (lambda x: x / len(x) + len(x) + np.arange(len(x))[:, None] ** 2, rows(2)),
    "integers": (lambda x: np.cumsum(np.arange(len(x)) * 3 + len(x))[:, None] * (x > len(x) / 50), rows(2)),
    "layer normalisation": (
        tg.value_and_grad(
            lambda x: np.sum(np.exp((x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1)))
        ),
        rows(7),
    ),
    "normalisation of columns": (tg.value_and_grad(lambda x: np.sum(np.cumsum(x / (1 + x.var(0)), 0) ** 2)), rows(4)),
    "network": (
        loss_of(lambda: nn.Sequential(nn.Linear(5, 9, rng=0), nn.GELU(), nn.Linear(9, 4, rng=1)), F.cross_entropy),
        lambda n: (RNG.normal(size=(n, 5)), RNG.integers(0, 4, n)),
    ),
    "convolution": (
        loss_of(convolutional, lambda y, t: np.mean((y - t) ** 2)),
        lambda n: (RNG.normal(size=(n, 1, 4, 4)), RNG.normal(size=(n, 8))),
    ),
    "convolution along an axis": (
        tg.value_and_grad(lambda x: np.sum(F.conv1d(x, W[:, None], padding=1) ** 2)),
        lambda n: (RNG.normal(size=(2, 1, 2 * n)),),
    ),
    "attention": (
        tg.value_and_grad(lambda x: np.sum(F.scaled_dot_product_attention(x, x, x) ** 2)),
        lambda n: (RNG.normal(size=(2, n, 4)),),
    ),
    "products of squares": (tg.value_and_grad(lambda x: np.trace(x @ x.T @ x)), lambda n: (RNG.normal(size=(n, n)),)),
    "columns": (tg.value_and_grad(lambda x: np.sum((W @ x.T) @ x)), rows(3)),
    "system": (
        tg.value_and_grad(lambda x: np.sum(np.linalg.solve(x @ x.T + np.eye(len(x)), x) ** 2)),
        lambda n: (RNG.normal(size=(n, n)),),
    ),
    "transform": (tg.value_and_grad(lambda x: np.sum(np.abs(np.fft.rfft(x, axis=0)) ** 2)), rows(2)),
    "complex numbers": (tg.value_and_grad(lambda x: np.sum(np.real(np.exp(1j * x) * np.fft.ifft(x, axis=1)))), rows(2)),
    "order": (tg.value_and_grad(lambda x: np.sum(np.sort(x, 0)[: len(x) // 2 + 1] ** 2) + np.median(x)), rows(1)),
    "entries at indices": (
        tg.value_and_grad(lambda x, i: np.sum(x[i] ** 2) + np.sum(x.at[i].add(2.0) ** 3)),
        lambda n: (RNG.normal(size=(n, 2)), RNG.integers(0, n, 2 * n)),
    ),
    "parts": (tg.value_and_grad(lambda x: np.sum(np.concatenate([x[1:] * x[:-1], np.flip(x)]) ** 2)), rows(2)),
    "steps": (tg.value_and_grad(recurrent), rows(3)),
}
QUICK = "entries", "of the size itself", "columns"
SAME_TEXT = [
    "entries", "single precision", "of the size itself", "layer normalisation", "normalisation of columns", "network",
    "convolution", "columns", "transform", "complex numbers", "entries at indices",
]  # fmt: skip
"""Programs that have the same code for all sizes of some rows: the others choose another algorithm by the size."""


def arrays(results: Any) -> list[Any]:
    return [np.asarray(x.detach() if isinstance(x, tg.Tensor) else x) for x in trees.leaves(results)]


@pytest.mark.long
@pytest.mark.parametrize("name", [param(name, slow=name not in QUICK) for name in PROGRAMS])
def test_each_size_is_right(name: str) -> None:
    f, arguments = PROGRAMS[name]
    compiled = tg.compile(f, "native")
    for n in (6, 10, 7, 1, 2, 3, 13, 33, 16, 6):
        x = arguments(n)
        found, expected = map(arrays, (compiled(*x), f(*x)))
        tolerance = 1e-4 if found[0].dtype == np.float32 else 1e-9
        atol = tolerance * max(np.max(np.abs(part), initial=0) for part in expected)
        for part, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(part, right, rtol=tolerance, atol=atol)
    assert compiled.report().backend == "native"


@pytest.mark.long
@pytest.mark.parametrize("name", [param(name, slow=name not in QUICK) for name in SAME_TEXT])
def test_a_new_size_compiles_no_code(name: str) -> None:
    f, arguments = PROGRAMS[name]
    compiled = tg.compile(f, "native")
    for n in (20, 21, 25, 27, 22):
        compiled(*arguments(n))
    with mock.patch.object(machine, "Machine", side_effect=AssertionError("code was compiled")):
        for n in (26, 24, 23):
            compiled(*arguments(n))


def test_what_two_sizes_share_is_not_slowed_down() -> None:
    """Most functions meet one size, or another one in the last batch of an epoch: the numbers stay in their code."""
    model = nn.Linear(6, 11, rng=0)
    compiled = tg.compile(lambda x: model(x).detach(), "native")
    with mock.patch.object(sizes, "_written", wraps=sizes._written) as written:
        for n in (8, 5, 8, 5):
            compiled(np.ones((n, 6)))
        assert not written.called
        compiled(np.ones((7, 6)))
        assert written.called


def growing(x: Any) -> Any:
    """As the attention of each row to those before it."""
    total = 0.0
    for t in range(1, len(x)):
        weights = F.softmax(x[:t] @ x[t], axis=-1)
        total = total + np.sum(np.tanh(weights @ x[:t] - x[t]) ** 2)
    return total


def distances(x: Any) -> Any:
    return sum(np.sum(np.tanh(x[k:] - x[:-k]) ** 2) for k in range(1, len(x)))


@pytest.mark.long
@pytest.mark.parametrize("f", [growing, distances])
@pytest.mark.parametrize("turns", [12, param(64, slow=True)])
def test_turns_of_any_sizes_share_their_code(f: Any, turns: int) -> None:
    compiled, x = tg.compile(lambda x: tg.value_and_grad(f)(x), "native"), RNG.normal(size=(turns, 3))
    with mock.patch.object(machine, "Machine", wraps=machine.Machine) as made:
        found = compiled(x)
    assert sum(len(call.args[0]) for call in made.call_args_list) < 25
    for part, right in zip(found, tg.value_and_grad(f)(x), strict=True):
        np.testing.assert_allclose(part, right, rtol=1e-10, atol=1e-12)


def test_a_training_step_goes_on_with_batches_of_many_sizes() -> None:
    def trained(compile: bool) -> Any:
        model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 1, rng=1))
        optimizer = optim.AdamW(model.parameters(), lr=0.05)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), np.sum(x, axis=1, keepdims=True))
            loss.backward()
            optimizer.step()
            return loss

        run = tg.compile(step, "native") if compile else step
        batches = np.split(np.random.default_rng(0).normal(size=(90, 3)), np.cumsum([20, 7, 13, 1, 20, 9, 2, 5]))
        return [run(batch).item() for batch in batches]

    np.testing.assert_allclose(trained(True), trained(False), rtol=1e-10)


@pytest.mark.parametrize("op", [param(op, slow=True) for op in DIFFERENTIABLE], ids=str)
@settings(max_examples=1, phases=[Phase.generate])
@given(data=st.data())
def test_every_number_may_be_data(op: Op, data: st.DataObject) -> None:
    """In the code of every operation, which is as if each number had differed in earlier programs."""
    with mock.patch.object(sizes.Sizes, "planned", _with_every_number_as_data):
        holds(op, np.float64, data, "native")


def _with_every_number_as_data(self: sizes.Sizes, program: Any, bits: int) -> Any:
    self._seen = {("",): []}  # as after earlier programs
    with mock.patch.object(sizes, "_places", lambda seen: {i: i for i in range(len(seen[-1]))}):
        return self._planned(program, bits)
