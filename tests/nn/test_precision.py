"""Models in float32: NumPy's rules may widen them to float64, and a warning or a report says where."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import TinygradWarning
from tinygrad_lite.nn import functional as F

X = np.ones((5, 3), np.float32)


def recurrent(model: Any, state: Any) -> Any:
    for x in X:
        state = np.tanh(model(x) + state)
    return np.sum(state)


WIDER: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a scalar of NumPy's": (lambda m: np.sum(m(X) / np.sqrt(8)), "divide"),
    "a target": (lambda m: F.mse_loss(m(X), np.zeros((5, 2))), "subtract"),
    "a first state": (lambda m: recurrent(m, np.zeros(2)), "add"),
    "an input": (lambda m: np.sum(m(X.astype(float))), "linear"),
    "a tensor": (lambda m: np.sum(m(X) * tg.tensor(2.0)), "multiply"),
    "a frequency": (lambda m: np.sum(np.abs(np.fft.rfft(m(X)) * np.arange(2))), "multiply"),
    "a phase": (lambda m: np.sum(np.real(np.exp(1j * m(X)) / np.sqrt(8))), "divide"),
}
AS_NARROW: dict[str, Callable[[Any], Any]] = {
    "a number of Python's": lambda m: np.sum(m(X) / 8**0.5),
    "a scalar of the same dtype": lambda m: np.sum(m(X) / np.sqrt(np.float32(8))),
    "a target": lambda m: F.mse_loss(m(X), np.zeros((5, 2), np.float32)),
    "a first state": lambda m: recurrent(m, np.zeros(2, np.float32)),
    "a frequency": lambda m: np.sum(np.abs(np.fft.rfft(m(X)) * 2j)),
    "half precision": lambda m: np.sum(m(X) * np.float16(2)),
    "a cast": lambda m: np.sum(m(X).astype(np.float64) * np.sqrt(8)),
}


def model() -> nn.Linear:
    return nn.Linear(3, 2, dtype=np.float32, rng=0)


@pytest.mark.parametrize(("loss", "op"), WIDER.values(), ids=WIDER)
def test_what_makes_wider_numbers_is_named(loss: Callable[[Any], Any], op: str) -> None:
    m = model()
    assert loss(m).dtype == np.float64  # as NumPy has it
    audit = tg.audit_gradients(m, lambda: loss(m))
    became = audit.widened[0].split(",")[0]
    assert became in (f"float32 became float64: {op}", f"complex64 became complex128: {op}")
    assert "test_precision.py:" in audit.widened[0]
    assert audit.widened[0] in str(audit)
    assert tg.audit_gradients(m, loss(m)).widened[0] == became
    optimizer = tg.optim.Adam(m.parameters())
    loss(m).backward()
    with pytest.warns(TinygradWarning, match=rf"Adam\.step.*float32, but {op} computed in \w+.*audit_gradients"):
        optimizer.step()
    assert m.weight.dtype == np.float32


@pytest.mark.parametrize("loss", AS_NARROW.values(), ids=AS_NARROW)
def test_what_keeps_its_digits_is_not_warned_of(loss: Callable[[Any], Any]) -> None:
    m, other = model(), model()
    np.sum(other(X) * np.sqrt(8)).backward()  # another model's pass says nothing of this one's
    assert not tg.audit_gradients(m, lambda: loss(m)).widened
    optimizer = tg.optim.Adam(m.parameters())
    loss(m).backward()
    optimizer.step()


V, W = (30 * np.random.default_rng(0).normal(size=(2, 6, 64))).astype(np.float16)
TARGETS = np.array([1, -1, 1, -1, 1, 1])
LONG: dict[str, Callable[[Any, Any], Any]] = {
    "cosine_similarity": lambda v, w: F.cosine_similarity(v, w),
    "pairwise_distance": lambda v, w: F.pairwise_distance(v, w),
    "pdist": lambda v, w: F.pdist(0.5 * v),
    "normalize": lambda v, w: F.normalize(v),
    "lp_pool1d": lambda v, w: F.lp_pool1d(v, norm_type=2, kernel_size=32),
    "cosine_embedding_loss": lambda v, w: F.cosine_embedding_loss(v, w, TARGETS, margin=-1.0, reduction="none"),
    "triplet_margin_loss": lambda v, w: F.triplet_margin_loss(v, w, 0.5 * w, reduction="none"),
    "local_response_norm": lambda v, w: F.local_response_norm(v.reshape(2, 3, 64), 3),
    "mse_loss": lambda v, w: F.mse_loss(v, w),
    "multi_margin_loss": lambda v, w: F.multi_margin_loss(v, np.arange(6), p=2),
    "weight_norm": lambda v, w: nn.utils.parametrizations.WeightLength(0)(w[:, :1], v),
    "weight_norm of all": lambda v, w: nn.utils.parametrizations.WeightLength(-1)(w[:1, :1], v),
    "spectral_norm": lambda v, w: nn.utils.parametrizations.Spectral(1, 1, 0, 1e-12).unit(v),
}


def test_vectors_of_half_precision_may_be_longer_than_the_root_of_what_it_holds() -> None:
    """Their squares were infinite, so that they became 0 and their gradients NaN."""
    failed = []
    for name, function in LONG.items():
        results = {}
        for dtype in (np.float16, np.float64):
            v = tg.tensor(V.astype(dtype), requires_grad=True)
            y = function(v, W.astype(dtype))
            y.backward(np.ones(y.shape, dtype))
            results[dtype] = (y, v.grad)
            failed += [f"{name}: {x.dtype}" for x in results[dtype] if x.dtype != dtype]
        for half, double in zip(*results.values()):
            if not np.allclose(half.numpy(), double.numpy(), rtol=0, atol=4e-3 * np.abs(double.numpy()).max()):
                failed.append(name)
    assert not failed


def test_rows_of_half_precision_are_shortened_to_max_norm() -> None:
    """They became 0."""
    table = nn.Parameter(V)
    length = np.linalg.norm(F.embedding(np.arange(6), table, max_norm=2.0).numpy().astype(float), axis=1)
    np.testing.assert_allclose(length, 2, rtol=2e-3)
    assert table.dtype == np.float16
