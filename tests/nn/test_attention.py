"""Attention and transformers: their formulas, written plainly; gradients, masks, compiled steps, and bad input."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, ShapeError, TinygradError, UsageError
from tinygrad_lite.nn import functional as F

RNG = np.random.default_rng(0)
NEVER = np.array([[False, True, True], [True, True, True]])  # True: not seen; the second query sees nothing


def softmax(x: Any) -> Any:
    weights = np.exp(x)
    whole = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(whole == 0, 1, whole)


def attended(q: Any, k: Any, v: Any, mask: Any = 0.0, scale: float | None = None) -> Any:
    return softmax(q @ k.swapaxes(-1, -2) * (scale or q.shape[-1] ** -0.5) + mask) @ v


CAUSAL = np.array([[0, -np.inf, -np.inf], [0, 0, -np.inf]])
FLOATS = RNG.normal(size=(2, 3))
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "scale": ({"scale": 0.3}, {"scale": 0.3}),
    "causal": ({"is_causal": True}, {"mask": CAUSAL}),
    "numbers": ({"attn_mask": FLOATS}, {"mask": FLOATS}),
    "booleans": ({"attn_mask": ~NEVER}, {"mask": np.where(NEVER, -np.inf, 0)}),
}


@pytest.mark.long
@pytest.mark.parametrize(("settings", "plain"), SETTINGS.values(), ids=list(SETTINGS))
@pytest.mark.parametrize("lead", [(), (4,), (2, 3)])
def test_attention_is_its_formula(settings: Any, plain: Any, lead: tuple[int, ...]) -> None:
    q, k, v = RNG.normal(size=(*lead, 2, 4)), RNG.normal(size=(*lead, 3, 4)), RNG.normal(size=(*lead, 3, 5))
    for kind in (np.asarray, tg.tensor):
        found = F.scaled_dot_product_attention(kind(q), kind(k), kind(v), **settings)
        np.testing.assert_allclose(np.asarray(found), attended(q, k, v, **plain), rtol=1e-13)
    if not lead:
        tg.gradcheck(lambda *x: F.scaled_dot_product_attention(*x, **settings), q, k, v, order=2)


def test_heads_of_queries_share_those_of_keys() -> None:
    q, k, v = RNG.normal(size=(2, 4, 2, 3)), RNG.normal(size=(2, 2, 5, 3)), RNG.normal(size=(2, 2, 5, 3))
    found = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    for head in range(4):
        np.testing.assert_allclose(found[:, head], attended(q[:, head], k[:, head // 2], v[:, head // 2]), rtol=1e-13)


def test_a_mask_may_be_learned() -> None:
    q, k, v = RNG.normal(size=(2, 4)), RNG.normal(size=(3, 4)), RNG.normal(size=(3, 2))
    tg.gradcheck(lambda mask: F.scaled_dot_product_attention(q, k, v, mask), FLOATS, order=2)


HEADS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "no bias": ({"bias": False}, {"average_attn_weights": False}),
    "batch first": ({"batch_first": True}, {"attn_mask": NEVER[:1].repeat(2, 0)}),
    "sizes": ({"kdim": 3, "vdim": 5}, {"attn_mask": FLOATS}),
    "further keys": ({"add_bias_kv": True, "add_zero_attn": True}, {"attn_mask": NEVER}),
    "padding": ({"batch_first": True}, {"key_padding_mask": np.array([[False, True, False], [True, False, True]])}),
    "both": ({}, {"attn_mask": FLOATS, "key_padding_mask": FLOATS + 1}),
    "a mask for each head": ({}, {"attn_mask": RNG.normal(size=(4, 2, 3))}),
}


def attention_of_heads(layer: nn.MultiheadAttention, q: Any, k: Any, v: Any, masks: dict[str, Any]) -> tuple[Any, Any]:
    """For each sequence of the batch, which comes first, and for each head: its projections, attention, and output."""
    state = layer.state_dict()
    size, heads = layer.embed_dim // layer.num_heads, layer.num_heads
    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    weights = np.split(state["in_proj_weight"], 3) if "in_proj_weight" in state else [state[name] for name in names]
    biases = np.split(state.get("in_proj_bias", np.zeros(3 * layer.embed_dim)), 3)
    numbers = {name: np.where(m, -np.inf, 0.0) if m.dtype == bool else m for name, m in masks.items()}
    outputs, shown = [], []
    for n in range(len(q)):
        of_heads, of_weights = [], []
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            x, y, z = (a[n] @ w[part].T + b[part] for a, w, b in zip((q, k, v), weights, biases))
            mask = np.zeros((len(x), len(y)))
            if (own := numbers.get("attn_mask")) is not None:
                mask = mask + (own if own.ndim == 2 else own[n * heads + h])
            if (padding := numbers.get("key_padding_mask")) is not None:
                mask = mask + padding[n]
            if "bias_k" in state:
                y, z = np.vstack([y, state["bias_k"][0, :, part]]), np.vstack([z, state["bias_v"][0, :, part]])
            if layer.add_zero_attn:
                y, z = np.vstack([y, np.zeros(size)]), np.vstack([z, np.zeros(size)])
            mask = np.pad(mask, ((0, 0), (0, len(y) - mask.shape[1])))
            of_weights.append(softmax(x @ y.T / np.sqrt(size) + mask))
            of_heads.append(of_weights[-1] @ z)
        outputs.append(np.hstack(of_heads) @ state["out_proj.weight"].T + state.get("out_proj.bias", 0))
        shown.append(of_weights)
    return np.array(outputs), np.array(shown)


@pytest.mark.parametrize(("settings", "options"), HEADS.values(), ids=list(HEADS))
def test_heads(settings: Any, options: Any) -> None:
    layer = nn.MultiheadAttention(4, 2, rng=0, **settings)
    q, k, v = (RNG.normal(size=(2, length, width)) for length, width in ((2, 4), (3, layer.kdim), (3, layer.vdim)))
    masks = {name: value for name, value in options.items() if name != "average_attn_weights"}
    expected, shown = attention_of_heads(layer, q, k, v, masks)
    swap = (lambda x: x) if layer.batch_first else (lambda x: x.swapaxes(0, 1))
    y, weights = layer(swap(q), swap(k), swap(v), **options)
    np.testing.assert_allclose(swap(y.numpy()), expected, rtol=1e-12, atol=1e-14)
    shown = shown.mean(axis=1) if options.get("average_attn_weights", True) else shown
    np.testing.assert_allclose(weights.numpy(), shown, rtol=1e-12, atol=1e-14)
    y, nothing = layer(swap(q), swap(k), swap(v), need_weights=False, **options)
    assert nothing is None
    np.testing.assert_allclose(swap(y.numpy()), expected, rtol=1e-12, atol=1e-14)
    if all(mask.ndim < 3 for mask in masks.values()):
        alone = {name: m[0] if name == "key_padding_mask" else m for name, m in options.items()}
        np.testing.assert_allclose(layer(q[0], k[0], v[0], **alone)[0].numpy(), expected[0], rtol=1e-12, atol=1e-14)


def test_one_array_as_query_key_and_value_is_projected_as_three_are() -> None:
    layer = nn.MultiheadAttention(4, 2, rng=0)
    layer.in_proj_bias.replace(RNG.normal(size=12))  # type: ignore[union-attr]
    x = tg.tensor(RNG.normal(size=(3, 2, 4)))
    np.testing.assert_allclose(layer(x, x, x)[0].numpy(), layer(x, x + 0, x + 0)[0].numpy(), rtol=1e-13)


def test_a_query_that_sees_nothing() -> None:
    """As in PyTorch: zeros, or NaN where the weights are shown."""
    layer, x = nn.MultiheadAttention(4, 2, rng=0), RNG.normal(size=(3, 2, 4))
    options: dict[str, Any] = {"attn_mask": np.array([[True] * 3, [False] * 3, [False] * 3])}
    y, _ = layer(x, x, x, need_weights=False, **options)
    np.testing.assert_array_equal(y.numpy()[0], 0)
    y, weights = layer(x, x, x, **options)
    assert np.isnan(y.numpy()[0]).all()
    assert np.isnan(weights.numpy()[:, 0]).all()
    assert np.isfinite(y.numpy()[1:]).all()


def norm(x: Any) -> Any:
    return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu", np.tanh])
def test_layers_of_a_transformer(norm_first: bool, activation: Any) -> None:
    act = getattr(F, activation) if isinstance(activation, str) else activation
    settings: dict[str, Any] = {"norm_first": norm_first, "activation": activation, "batch_first": True, "rng": 0}
    x, memory, mask = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4)), np.triu(np.ones((3, 3), bool), 1)
    for layer in (
        nn.TransformerEncoderLayer(4, 2, 6, 0.0, **settings),
        nn.TransformerDecoderLayer(4, 2, 6, 0.0, **settings),
    ):
        parts: list[Any] = [lambda x, a=layer.self_attn: attention_of_heads(a, x, x, x, {"attn_mask": mask})[0]]
        inputs: tuple[Any, ...] = (x,)
        if isinstance(layer, nn.TransformerDecoderLayer):
            parts.append(lambda x, a=layer.multihead_attn: attention_of_heads(a, x, memory, memory, {})[0])
            inputs = (x, memory)
        first, second = layer.linear1.state_dict(), layer.linear2.state_dict()
        parts.append(
            lambda x, one=first, two=second: act(x @ one["weight"].T + one["bias"]) @ two["weight"].T + two["bias"]
        )
        y = x
        for part in parts:
            y = y + part(norm(y)) if norm_first else norm(y + part(y))
        name = "tgt_mask" if len(inputs) == 2 else "src_mask"
        np.testing.assert_allclose(layer(*inputs, **{name: mask}).numpy(), y, rtol=1e-11)


def transformer(**settings: Any) -> nn.Transformer:
    return nn.Transformer(4, 2, 1, 2, 5, 0.0, "gelu", rng=0, **settings)


def test_a_transformer_is_an_encoder_and_a_decoder() -> None:
    model = transformer()
    src, tgt = RNG.normal(size=(5, 2, 4)), RNG.normal(size=(3, 2, 4))
    mask = model.generate_square_subsequent_mask(3)
    np.testing.assert_array_equal(mask, np.where(np.triu(np.ones((3, 3)), 1), -np.inf, 0))
    y = model(src, tgt, tgt_mask=mask)
    x, memory = tgt, src
    for layer in model.encoder.layers:
        memory = layer(memory)
    memory = model.encoder.norm(memory)
    for layer in model.decoder.layers:
        x = layer(x, memory, tgt_mask=mask)
    np.testing.assert_array_equal(y.numpy(), model.decoder.norm(x).numpy())
    np.testing.assert_allclose(model(src, tgt, tgt_mask=mask, tgt_is_causal=True).numpy(), y.numpy(), rtol=1e-13)
    custom = nn.Transformer(4, 2, custom_encoder=model.encoder, custom_decoder=lambda tgt, memory, **_: memory, rng=0)
    assert custom(src, tgt).shape == src.shape


def test_copies_of_a_layer_start_alike_and_draw_apart() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6, 0.5, rng=0), 2)
    first, second = encoder.layers
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert a is not b
    x = np.ones((3, 2, 4))
    assert not np.array_equal(first(x).numpy(), second(x).numpy())
    assert np.array_equal(first.eval()(x).numpy(), second.eval()(x).numpy())


def test_first_values_are_those_of_pytorch() -> None:
    layer = nn.MultiheadAttention(64, 4, add_bias_kv=True, rng=0)
    weight = layer.in_proj_weight.numpy()  # type: ignore[union-attr]
    assert 0.999 < abs(weight).max() / np.sqrt(6 / 256) <= 1
    assert 0.8 < layer.bias_k.numpy().std() / np.sqrt(2 / 128) < 1.2  # type: ignore[union-attr]
    assert 0.99 < abs(layer.out_proj.weight.numpy()).max() * 8 <= 1
    assert not layer.in_proj_bias.numpy().any()  # type: ignore[union-attr]
    assert not layer.out_proj.bias.numpy().any()  # type: ignore[union-attr]
    model = transformer(dtype=np.float32)
    assert {parameter.dtype for parameter in model.parameters()} == {np.dtype(np.float32)}
    assert model(np.ones((5, 4), np.float32), np.ones((3, 4), np.float32)).dtype == np.float32


@pytest.mark.slow
def test_second_derivatives() -> None:
    x, memory = RNG.normal(size=(3, 1, 2)), RNG.normal(size=(2, 1, 2))
    mask = np.triu(np.ones((3, 3), bool), 1)
    tg.gradcheck(lambda x: nn.MultiheadAttention(2, 2, add_bias_kv=True, rng=0)(x, x, x, attn_mask=mask), x, order=2)
    for norm_first in (False, True):
        layer = nn.TransformerDecoderLayer(2, 1, 3, 0.0, "gelu", norm_first=norm_first, rng=0)
        tg.gradcheck(lambda x, memory, layer=layer: layer(x, memory, tgt_mask=mask), x, memory, order=2)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_compiled_step(backend: Any) -> None:
    def losses(compiled: bool) -> list[float]:
        model = nn.Transformer(4, 2, 1, 1, 5, 0.2, rng=0)
        optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
        mask = model.generate_square_subsequent_mask(3)

        def step(src: Any, tgt: Any, padding: Any) -> Any:
            optimizer.zero_grad()
            loss = np.mean(model(src, tgt, tgt_mask=mask, src_key_padding_mask=padding) * tgt)
            loss.backward()
            optimizer.step()
            return loss

        run = tg.compile(step, backend=backend) if compiled else step
        rng = np.random.default_rng(1)
        return [
            float(run(rng.normal(size=(5, 2, 4)), rng.normal(size=(3, 2, 4)), rng.random((2, 5)) < 0.3))
            for _ in range(3)
        ]

    np.testing.assert_allclose(losses(True), losses(False), rtol=1e-10)


X, M = np.ones((3, 2, 4)), nn.MultiheadAttention(4, 2, rng=0)
ERRORS: dict[str, tuple[Callable[[], Any], type[TinygradError], str]] = {
    "heads": (lambda: nn.MultiheadAttention(5, 2), InputError, "multiple of num_heads.*embed_dim=5, num_heads=2"),
    "dropout": (lambda: nn.MultiheadAttention(4, 2, dropout=2), InputError, "got 2"),
    "features": (lambda: M(X[..., :3], X, X), ShapeError, r"MultiheadAttention\(embed_dim=4.*\(L, N, 4\).*\(3, 2, 3\)"),
    "batch": (lambda: M(X, X[:, :1], X[:, :1]), ShapeError, r"\(S, N, 4\).*\(3, 1, 4\)"),
    "value": (lambda: M(X, X, X[:2]), ShapeError, r"\(2, 2, 4\)"),
    "mask": (lambda: M(X, X, X, attn_mask=np.zeros((2, 3))), ShapeError, r"\(3, 3\) or \(4, 3, 3\), got \(2, 3\)"),
    "padding": (lambda: M(X, X, X, np.zeros((3, 2), bool)), ShapeError, r"\(2, 3\), got \(3, 2\)"),
    "mask of integers": (lambda: M(X, X, X, attn_mask=np.zeros((3, 3), int)), UsageError, "booleans.*int64"),
    "causal alone": (lambda: M(X, X, X, is_causal=True), UsageError, "attn_mask= must be given"),
    "both masks": (
        lambda: F.scaled_dot_product_attention(X, X, X, np.zeros((2, 2)), is_causal=True),
        UsageError,
        "not both",
    ),
    "shapes": (lambda: F.scaled_dot_product_attention(X, X[..., :3], X), ShapeError, r"\(3, 2, 3\)"),
    "shared heads": (
        lambda: F.scaled_dot_product_attention(X, X[:2], X[:2], enable_gqa=True),
        ShapeError,
        "multiple of 2 heads of queries, got 3",
    ),
    "activation": (lambda: nn.TransformerEncoderLayer(4, 2, activation="swish"), InputError, "'relu', 'gelu'.*'swish'"),
    "source": (lambda: transformer()(X, X[..., :3]), ShapeError, r"Transformer\(d_model=4\).*\(3, 2, 3\)"),
}


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(attempt: Callable[[], Any], kind: type[TinygradError], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()


def test_an_empty_batch_goes_through() -> None:
    x = tg.tensor(np.empty((3, 0, 4)), requires_grad=True)
    y = transformer()(x, x)
    assert y.shape == (3, 0, 4)
    np.sum(y).backward()
    assert x.grad.shape == (3, 0, 4)


def test_causal_masks_of_many_lengths_keep_little_memory() -> None:
    tracemalloc.start()
    try:
        for length in range(200, 240):
            x = np.ones((length, 1))
            F.scaled_dot_product_attention(x, x, x, is_causal=True)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10 * 240 * 240 * 8
