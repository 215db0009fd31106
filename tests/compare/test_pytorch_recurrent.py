"""Recurrent layers against PyTorch's: values, gradients of inputs, states and parameters, and state dicts."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")

LAYER_SETTINGS: list[dict[str, Any]] = [
    {},
    {"num_layers": 3, "batch_first": True},
    {"num_layers": 2, "bidirectional": True, "bias": False},
    {"bidirectional": True, "batch_first": True},
]
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "RNN": [*LAYER_SETTINGS, {"nonlinearity": "relu", "num_layers": 2}],
    "LSTM": [*LAYER_SETTINGS, {"proj_size": 2, "bidirectional": True, "num_layers": 2}],
    "GRU": LAYER_SETTINGS,
    "RNNCell": [{}, {"bias": False}, {"nonlinearity": "relu"}],
    "LSTMCell": [{}, {"bias": False}],
    "GRUCell": [{}, {"bias": False}],
}
CASES = [(name, settings, batch) for name, all_ in SETTINGS.items() for settings in all_ for batch in (3, None)]


def leaves(result: Any) -> list[Any]:
    return [leaf for part in result for leaf in leaves(part)] if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize(("name", "settings", "batch"), CASES)
def test_layers(name: str, settings: dict[str, Any], batch: int | None, with_state: bool) -> None:
    theirs = getattr(torch.nn, name)(4, 5, **settings).double()
    ours = getattr(tg.nn, name)(4, 5, **settings)
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    ours.load_state_dict({path: array.numpy() for path, array in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    is_cell, rows = name.endswith("Cell"), [batch] if batch else []
    count = [] if is_cell else [settings.get("num_layers", 1) * (1 + settings.get("bidirectional", False))]
    steps = [] if is_cell else [6]
    arrays = [rng.normal(size=(*rows, *steps, 4) if settings.get("batch_first") else (*steps, *rows, 4))]
    if with_state:
        sizes = [settings.get("proj_size", 5), 5][: 1 + name.startswith("LSTM")]
        arrays += [rng.normal(size=(*count, *rows, size)) for size in sizes]
    found = [tg.tensor(x, requires_grad=True) for x in arrays]
    expected = [torch.tensor(x, requires_grad=True) for x in arrays]
    for module, x in ((ours, found), (theirs, expected)):
        state = (tuple(x[1:]),) if len(x) == 3 else tuple(x[1:])
        x += leaves(module(x[0], *state))
    weights = [rng.normal(size=y.shape) for y in found[len(arrays) :]]
    sum((y * w).sum() for y, w in zip(found[len(arrays) :], weights)).backward()  # type: ignore[union-attr]
    sum((y * torch.tensor(w)).sum() for y, w in zip(expected[len(arrays) :], weights)).backward()
    pairs = [(a, b) for a, b in zip(found[len(arrays) :], expected[len(arrays) :], strict=True)]
    pairs += [(a.grad, b.grad) for a, b in zip(found[: len(arrays)], expected[: len(arrays)], strict=True)]
    pairs += [(a.grad, b.grad) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)]
    for a, b in pairs:
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("enforce_sorted", [False, True])
@pytest.mark.parametrize(
    ("name", "settings"), [(name, settings) for name in ("RNN", "LSTM", "GRU") for settings in SETTINGS[name]]
)
def test_packed_sequences(name: str, settings: dict[str, Any], enforce_sorted: bool) -> None:
    theirs = getattr(torch.nn, name)(4, 5, **settings).double()
    ours = getattr(tg.nn, name)(4, 5, **settings)
    ours.load_state_dict({path: array.numpy() for path, array in theirs.state_dict().items()})
    lengths = [6, 3, 3, 1] if enforce_sorted else [3, 6, 1, 3]
    x = np.random.default_rng(0).normal(size=(4, 7, 4) if ours.batch_first else (7, 4, 4))
    inputs = torch.tensor(x, requires_grad=True), tg.tensor(x, requires_grad=True)
    found = []
    for layer, utils, x in zip((theirs, ours), (torch.nn.utils.rnn, tg.nn.utils.rnn), inputs, strict=True):
        packed = utils.pack_padded_sequence(x, lengths, ours.batch_first, enforce_sorted)
        y, last = layer(packed)
        padded, counts = utils.pad_packed_sequence(y, ours.batch_first, padding_value=0.5, total_length=8)
        assert counts.tolist() == lengths
        parts = [padded, *leaves(last)]
        sum((k + 1) * (part**2).sum() for k, part in enumerate(parts)).backward()
        values = [y.data, y.batch_sizes, *parts, *(p.grad for p in layer.parameters()), x.grad]
        found.append([part.detach().numpy() if hasattr(part, "detach") else part for part in values])
    for value, expected in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-8, atol=1e-12)
