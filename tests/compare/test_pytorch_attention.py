"""Attention, transformers and embeddings against PyTorch: values, and gradients of inputs and parameters."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")

RNG = np.random.default_rng(0)
X, MEMORY = RNG.normal(size=(3, 2, 4)), RNG.normal(size=(5, 2, 4))
CAUSAL, FLOATS = np.triu(np.ones((3, 3), bool), 1), RNG.normal(size=(3, 3))
PADDING = np.array([[False, False, True], [False, True, False]])
NUMBERS, OFFSETS = np.array([1, 4, 4, 0, 2, 4]), np.array([0, 2, 6])
LAYER = {"d_model": 4, "nhead": 2, "dim_feedforward": 6, "dropout": 0.0}
MODEL = LAYER | {"num_encoder_layers": 1, "num_decoder_layers": 2}

# The module, its settings, its inputs, and its options
TABLE: list[tuple[str, dict[str, Any], tuple[Any, ...], dict[str, Any]]] = [
    ("MultiheadAttention", {"embed_dim": 4, "num_heads": 2}, (X, X, X), {}),
    ("MultiheadAttention", {"embed_dim": 4, "num_heads": 2, "bias": False}, (X, X, X), {"attn_mask": CAUSAL}),
    ("MultiheadAttention", {"embed_dim": 4, "num_heads": 4}, (X, MEMORY, MEMORY), {"average_attn_weights": False}),
    (
        "MultiheadAttention",
        {"embed_dim": 4, "num_heads": 2, "kdim": 3, "vdim": 1, "add_bias_kv": True, "add_zero_attn": True},
        (X, MEMORY[..., :3], MEMORY[..., :1]),
        {"attn_mask": np.tile(RNG.normal(size=(3, 5)), (4, 1, 1))},
    ),
    (
        "MultiheadAttention",
        {"embed_dim": 4, "num_heads": 2, "batch_first": True},
        (np.swapaxes(X, 0, 1),) * 3,
        {"attn_mask": FLOATS > 0.8, "key_padding_mask": PADDING, "need_weights": False},
    ),
    ("MultiheadAttention", {"embed_dim": 4, "num_heads": 1}, (X[:, 0],) * 3, {"attn_mask": FLOATS, "is_causal": True}),
    ("TransformerEncoderLayer", LAYER, (X,), {}),
    ("TransformerEncoderLayer", LAYER | {"norm_first": True, "activation": "gelu"}, (X,), {"src_mask": FLOATS}),
    (
        "TransformerEncoderLayer",
        LAYER | {"bias": False, "batch_first": True, "layer_norm_eps": 0.1},
        (np.swapaxes(X, 0, 1),),
        {"src_mask": CAUSAL, "src_key_padding_mask": PADDING, "is_causal": True},
    ),
    ("TransformerDecoderLayer", LAYER, (X, MEMORY), {}),
    ("TransformerDecoderLayer", LAYER | {"norm_first": True}, (X, MEMORY), {"tgt_mask": CAUSAL, "tgt_is_causal": True}),
    (
        "TransformerDecoderLayer",
        LAYER | {"activation": "gelu"},
        (X[:, 0], MEMORY[:, 0]),
        {"memory_mask": RNG.normal(size=(3, 5))},
    ),
    ("Transformer", MODEL, (MEMORY, X), {}),
    ("Transformer", MODEL | {"norm_first": True}, (MEMORY, X), {"tgt_mask": CAUSAL, "tgt_key_padding_mask": PADDING}),
    (
        "Transformer",
        MODEL | {"batch_first": True, "bias": False, "activation": "gelu"},
        (np.swapaxes(MEMORY, 0, 1), np.swapaxes(X, 0, 1)),
        {"tgt_mask": FLOATS},
    ),
    ("Embedding", {"num_embeddings": 5, "embedding_dim": 3}, (NUMBERS.reshape(2, 3),), {}),
    ("Embedding", {"num_embeddings": 5, "embedding_dim": 3, "padding_idx": 4}, (NUMBERS,), {}),
    (
        "Embedding",
        {"num_embeddings": 5, "embedding_dim": 3, "max_norm": 1.0, "norm_type": 1.0, "scale_grad_by_freq": True},
        (NUMBERS,),
        {},
    ),
    ("EmbeddingBag", {"num_embeddings": 5, "embedding_dim": 3}, (NUMBERS.reshape(2, 3),), {}),
    ("EmbeddingBag", {"num_embeddings": 5, "embedding_dim": 3, "mode": "max"}, (NUMBERS, OFFSETS), {}),
    (
        "EmbeddingBag",
        {"num_embeddings": 5, "embedding_dim": 3, "mode": "sum", "padding_idx": -1, "include_last_offset": True},
        (NUMBERS, OFFSETS),
        {"per_sample_weights": RNG.normal(size=6)},
    ),
    ("EmbeddingBag", {"num_embeddings": 5, "embedding_dim": 3, "max_norm": 0.5}, (NUMBERS, OFFSETS), {}),
]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "settings", "inputs", "options"), TABLE)
def test_modules(name: str, settings: Any, inputs: Any, options: Any, training: bool) -> None:
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(**settings).double().train(training)
    ours = getattr(nn, name)(**settings).train(training)
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    pairs = {
        id(x): (tg.tensor(x, x.dtype.kind == "f"), torch.tensor(x, requires_grad=x.dtype.kind == "f")) for x in inputs
    }
    mine, yours = (
        module(
            *[pairs[id(x)][i] for x in inputs],
            **{key: to(x) if isinstance(x, np.ndarray) else x for key, x in options.items()},
        )
        for i, (module, to) in enumerate(((ours, lambda x: x), (theirs, torch.tensor)))
    )
    mine, yours = (x if isinstance(x, tuple) else (x,) for x in (mine, yours))
    for y, z in zip(mine, yours, strict=True):
        assert (y is None) == (z is None)
        if y is not None:
            np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-11, atol=1e-13)
    weight = np.cos(np.arange(mine[0].size)).reshape(mine[0].shape)
    mine[0].backward(weight)
    yours[0].backward(torch.tensor(weight))
    variables = [(x, z) for x, z in pairs.values() if x.requires_grad]
    for x, z in [*variables, *zip(ours.parameters(), theirs.parameters(), strict=True)]:
        np.testing.assert_allclose(x.numpy(), z.detach().numpy(), rtol=1e-13)
        np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=1e-9, atol=1e-12)
