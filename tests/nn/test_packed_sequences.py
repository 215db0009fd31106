"""Sequences of several lengths: a recurrent layer gives for them, packed, what it gives for each alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import EmptyError, InputError, ShapeError
from tinygrad_lite.nn.utils import rnn

LENGTHS = {"sorted": [4, 2, 2, 1], "in any order": [2, 4, 1, 2], "of one length": [3, 3]}
LAYERS: dict[str, dict[str, Any]] = {
    "RNN": {"batch_first": True},
    "GRU": {"num_layers": 2, "bidirectional": True},
    "LSTM": {"bidirectional": True, "batch_first": True},
    "projected": {"proj_size": 2, "num_layers": 2, "bidirectional": True},
}


def make(name: str) -> Any:
    return getattr(nn, name if hasattr(nn, name) else "LSTM")(3, 4, **LAYERS[name], rng=0)


def as_tuple(states: Any) -> tuple[Any, ...]:
    return states if isinstance(states, tuple) else (states,)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("order", LENGTHS)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_takes_packed_sequences(name: str, order: str, with_state: bool) -> None:
    layer, lengths, rng = make(name), LENGTHS[order], np.random.default_rng(0)
    sequences = [tg.tensor(rng.normal(size=(length, 3)), requires_grad=True) for length in lengths]
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = (layer.proj_size or 4, 4)[: 2 if isinstance(layer, nn.LSTM) else 1]
    states = [rng.normal(size=(count, len(lengths), size)) for size in sizes] if with_state else None

    def state_of(rows: Any) -> Any:
        chosen = [state[:, rows] for state in states or ()]
        return None if states is None else tuple(chosen) if len(chosen) == 2 else chosen[0]

    packed = rnn.pack_sequence(sequences, enforce_sorted=order == "sorted")
    assert packed.lengths.tolist() == lengths
    y, last = layer(packed, state_of(slice(None)))
    outputs = rnn.unpad_sequence(*rnn.pad_packed_sequence(y, layer.batch_first), layer.batch_first)
    alone = [layer(x, state_of(i)) for i, x in enumerate(sequences)]
    for output, (expected, _) in zip(outputs, alone, strict=True):
        np.testing.assert_allclose(output.numpy(), expected.numpy(), rtol=1e-12)
    for k, state in enumerate(as_tuple(last)):
        expected = np.stack([as_tuple(states)[k].numpy() for _, states in alone], 1)
        np.testing.assert_allclose(state.numpy(), expected, rtol=1e-12)

    found = gradients(
        layer, sequences, (y.data**2).sum() + sum(((k + 2) * s).sum() for k, s in enumerate(as_tuple(last)))
    )
    loss = sum((out**2).sum() + sum(((k + 2) * s).sum() for k, s in enumerate(as_tuple(last))) for out, last in alone)
    for gradient, expected in zip(found, gradients(layer, sequences, loss), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


def gradients(layer: Any, inputs: list[Any], loss: Any) -> list[Any]:
    loss.backward()
    leaves = [*inputs, *layer.parameters()]
    found = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    return found


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_what_is_packed_is_what_is_unpacked(batch_first: bool, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for order, lengths in LENGTHS.items():
        sequences = [rng.normal(size=(length, *shape)) for length in lengths]
        padded = rnn.pad_sequence(sequences, batch_first)
        assert padded.shape[:2] == ((len(lengths), max(lengths)) if batch_first else (max(lengths), len(lengths)))
        packed = rnn.pack_padded_sequence(padded, np.array(lengths), batch_first, enforce_sorted=order == "sorted")
        assert packed.data.shape == (sum(lengths), *shape)
        assert packed.batch_sizes.sum() == sum(lengths)
        again, found = rnn.pad_packed_sequence(packed, batch_first, padding_value=7.0, total_length=5)
        assert found.tolist() == lengths
        for sequence, part in zip(sequences, rnn.unpad_sequence(again, found, batch_first), strict=True):
            np.testing.assert_array_equal(part, sequence)
        for sequence, part in zip(sequences, rnn.unpack_sequence(packed), strict=True):
            np.testing.assert_array_equal(part, sequence)
        rest = np.sum(again == 7.0)
        assert rest == (5 * len(lengths) - sum(lengths)) * np.prod(shape, dtype=int)
    np.testing.assert_array_equal(
        rnn.pad_sequence([np.array([1, 2]), np.array([3])], True, -1, padding_side="left"), [[1, 2], [-1, 3]]
    )
    np.testing.assert_array_equal(rnn.pad_sequence([[1, 2], [3]], True), [[1, 2], [3, 0]])
    np.testing.assert_array_equal(rnn.pack_sequence([[1, 2], [3]]).data, [1, 3, 2])


def test_a_compiled_step_packs_by_numbers() -> None:
    layer, x = make("LSTM"), np.random.default_rng(0).normal(size=(4, 4, 3))

    def loss(x: Any, lengths: Any = (4, 2, 2, 1)) -> Any:
        y, (h, _) = layer(rnn.pack_padded_sequence(x, lengths, batch_first=True))
        return rnn.pad_packed_sequence(y)[0].sum() + (h**2).sum()

    np.testing.assert_allclose(tg.compile(loss, "numpy")(x).item(), loss(x).item(), rtol=1e-12)
    assert tg.gradcheck(loss, x)


X = np.zeros((2, 3, 4))
ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "too few": (lambda: rnn.pack_padded_sequence(X, [3], True), ShapeError, r"2 sequences need as many .* \(1,\)"),
    "zero": (lambda: rnn.pack_padded_sequence(X, [3, 0], True), InputError, r"from 1 to 3, .* got \[3, 0\]"),
    "long": (lambda: rnn.pack_padded_sequence(X, [4, 1], True), InputError, r"from 1 to 3, .* got \[4, 1\]"),
    "rising": (lambda: rnn.pack_padded_sequence(X, [1, 3], True), InputError, "must fall.*enforce_sorted=False"),
    "none": (lambda: rnn.pad_sequence([]), EmptyError, "at least one sequence"),
    "side": (lambda: rnn.pad_sequence([X], padding_side="both"), InputError, "'right' or 'left', got 'both'"),
    "total": (
        lambda: rnn.pad_packed_sequence(rnn.pack_padded_sequence(X, [3, 1], True), total_length=2),
        InputError,
        "at least 3, the length of the longest; got 2",
    ),
    "state": (
        lambda: nn.GRU(4, 2)(rnn.pack_padded_sequence(X, [3, 1], True), np.zeros((1, 3, 2))),
        ShapeError,
        r"states of 2 sequences, on the second axis; got shape \(1, 3, 2\)",
    ),
}


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(attempt: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()
