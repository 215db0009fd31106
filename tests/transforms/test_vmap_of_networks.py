"""Networks on many examples at once: each layer and loss runs on the whole stack, and is right for each example."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, trees
from tinygrad_lite.nn import functional as F
from tinygrad_lite.transforms import batched

EXAMPLES = 3
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, (EXAMPLES, 2))


def entries(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.normal(size=(EXAMPLES, *shape))


NETWORKS: dict[str, tuple[nn.Module, Any]] = {
    "convolution": (nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2, rng=0), entries(2, 2, 5, 5)),
    "transposed convolution": (nn.ConvTranspose1d(2, 3, 2, stride=2, rng=0), entries(2, 2, 4)),
    "pooling": (nn.Sequential(nn.MaxPool2d(2), nn.AvgPool2d(2)), entries(1, 2, 8, 8)),
    "batch normalisation": (nn.BatchNorm1d(4).eval(), entries(5, 4)),
    "layer normalisation": (nn.LayerNorm(4), entries(2, 4)),
    "group normalisation": (nn.GroupNorm(2, 4), entries(2, 4, 3)),
    "attention": (nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, rng=0), entries(2, 3, 4)),
    "recurrent": (nn.RNN(3, 4, rng=0), entries(4, 2, 3)),
    "lstm": (nn.LSTM(3, 4, num_layers=2, rng=0), entries(4, 2, 3)),
    "gru": (nn.GRU(3, 4, bidirectional=True, rng=0), entries(4, 2, 3)),
    "embedding": (nn.Embedding(5, 3, rng=0), RNG.integers(0, 5, (EXAMPLES, 2, 4))),
}
LOSSES: dict[str, tuple[Callable[..., Any], Any]] = {
    "cross entropy": (F.cross_entropy, LABELS),
    "cross entropy that ignores a class": (lambda x, t: F.cross_entropy(x, t, ignore_index=1), LABELS),
    "sum of cross entropies": (lambda x, t: F.cross_entropy(x, t, reduction="sum"), LABELS),
    "likelihood": (F.nll_loss, LABELS),
    "logits": (F.binary_cross_entropy_with_logits, RNG.integers(0, 2, (EXAMPLES, 2, 3)).astype(float)),
    "huber": (F.huber_loss, entries(2, 3)),
}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No operation runs one by one."""

    def refuse(f: Any, *_: Any) -> None:
        pytest.fail(f"{f} runs one by one")

    monkeypatch.setattr(batched, "one_by_one", refuse)


def arrays(gradient: Any) -> list[Any]:
    """The gradients of a module or of an array."""
    return [x.detach().numpy() if isinstance(x, tg.Tensor) else x for x in trees.leaves(gradient)]


def check(f: Callable[..., Any], shared: Any, *stacks: Any) -> None:
    """The gradients of each example, and the gradient of their mean, are those of one example after the other."""
    examples = list(zip(*stacks))
    gradients = [arrays(tg.grad(f)(shared, *example)) for example in examples]
    axes = (None, *[0] * len(stacks))
    for stack, *expected in zip(arrays(tg.vmap(tg.grad(f), axes)(shared, *stacks)), *gradients, strict=True):
        np.testing.assert_allclose(stack, np.stack(expected), rtol=1e-9, atol=1e-12)
    mean = tg.grad(lambda shared: np.mean(tg.vmap(f, axes)(shared, *stacks)))(shared)
    for gradient, *expected in zip(arrays(mean), *gradients, strict=True):
        np.testing.assert_allclose(gradient, np.mean(expected, axis=0), rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_layer_runs_on_all_examples_at_once(name: str) -> None:
    layer, x = NETWORKS[name]

    def loss(layer: nn.Module, x: Any) -> Any:
        y = layer(x)
        return np.sum(np.sin(y[0] if isinstance(y, tuple) else y))

    if [*layer.parameters()]:
        check(loss, layer, x)
    else:
        check(lambda scale, x: loss(layer, scale * x), np.float64(1.5), x)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_runs_on_all_examples_at_once(name: str) -> None:
    loss, targets = LOSSES[name]
    check(lambda w, x, t: loss(np.tanh(x @ w), t), RNG.normal(size=(4, 3)), entries(2, 4), targets)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("name", ["convolution", "layer normalisation", "lstm"])
def test_an_ensemble_runs_with_weights_of_its_own(name: str) -> None:
    """As many networks as examples: the weights are a stack, too."""
    layer, x = NETWORKS[name]
    state = {key: np.stack([(i + 1) * value for i in range(EXAMPLES)]) for key, value in layer.state_dict().items()}

    def forward(state: Any, x: Any) -> Any:
        y = nn.functional_call(layer, state, x)
        return y[0] if isinstance(y, tuple) else y

    found = tg.vmap(forward)(state, x)
    for i in range(EXAMPLES):
        expected = forward({key: value[i] for key, value in state.items()}, x[i])
        np.testing.assert_allclose(found[i], expected, rtol=1e-12, atol=1e-13)


def test_running_statistics_cannot_differ_between_examples() -> None:
    layer = nn.BatchNorm1d(4)
    with pytest.raises(tg.errors.UsageError, match=r"call module\.eval\(\) first"):
        tg.vmap(layer)(entries(5, 4))
    np.testing.assert_array_equal(layer.running_mean, np.zeros(4))
