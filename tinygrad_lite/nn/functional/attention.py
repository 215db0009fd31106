"""Attention: averages of values, weighted by how well a query fits each key."""

from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.nn.functional.activations import softmax
from tinygrad_lite.nn.functional.dropout import dropout
from tinygrad_lite.nn.functional.linear import linear
from tinygrad_lite.nn.init import Rng
from tinygrad_lite.ops.kept import kept
from tinygrad_lite.ops.networks import attention

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    rng: Rng = None,
) -> Array:
    """softmax(s Q Kᵀ + M) V, with Q (…, L, E), K (…, S, E), V (…, S, F) and s = 1/√E or `scale`.

    The mask M is added, or, if it is boolean, -∞ where it is False; `is_causal` lets query i see the keys up to i. A
    query that sees no key gets 0. With `enable_gqa`, several heads of queries (the axis -3) share one of keys. The
    weights drop out with probability `dropout_p`, at any time.

    Source: Vaswani et al. (2017), Attention is all you need, eq. 1.

    Raises:
        ShapeError: if the shapes do not fit.
        UsageError: if there are both a mask and `is_causal`.

    Example:
        >>> query, key, value = np.array([[0.0]]), np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]])
        >>> scaled_dot_product_attention(query, key, value)
        array([[4.]])
    """
    query, key, value = (x if hasattr(x, "dtype") else np.asarray(x) for x in (query, key, value))
    if (
        min(query.ndim, key.ndim, value.ndim) < 2
        or query.shape[-1] != key.shape[-1]
        or key.shape[-2] != value.shape[-2]
    ):
        raise ShapeError(
            "scaled_dot_product_attention needs a query (…, L, E), a key (…, S, E) and a value (…, S, F), "
            f"got {query.shape}, {key.shape} and {value.shape}"
        )
    if enable_gqa:
        key, value = (_shared(x, query) for x in (key, value))
    if is_causal and attn_mask is not None:
        raise UsageError("scaled_dot_product_attention takes attn_mask= or is_causal=True, not both")
    if is_causal:
        attn_mask = _causal(query.shape[-2], key.shape[-2], query.dtype)
    elif attn_mask is not None:
        attn_mask = _added(attn_mask, query.dtype, hides=False)
    query = query * (1 / sqrt(query.shape[-1]) if scale is None else scale)
    weights = _weights(query, key, attn_mask)
    return np.matmul(dropout(weights, dropout_p, rng=rng), value)


def _weights(query: Array, key: Array, mask: Array, empty: float = 1.0) -> Array:
    scores = np.matmul(query, np.swapaxes(key, -1, -2))
    return softmax(scores) if mask is None else attention.masked_softmax(scores, mask, empty=empty)


def _shared(x: Array, query: Array) -> Array:
    """Keys or values with as many heads as the queries."""
    heads, wanted = x.shape[-3], query.shape[-3]
    if wanted % heads:
        raise ShapeError(f"enable_gqa needs a multiple of {heads} heads of queries, got {wanted}")
    return np.repeat(x, wanted // heads, axis=-3)


def causal_mask(rows: int, columns: int, dtype: Any) -> Array:
    """A mask to add, which hides from each query the keys after its own position."""
    return np.triu(np.full((rows, columns), -np.inf, dtype), 1)


@lru_cache(maxsize=8)
def _causal(rows: int, columns: int, dtype: Any) -> Array:
    return kept(causal_mask(rows, columns, dtype))


def _added(mask: Array, dtype: Any, hides: bool) -> Array:
    """The mask as numbers to add; a boolean mask says which keys are hidden, or, unless `hides`, which are seen."""
    mask = mask if hasattr(mask, "dtype") else np.asarray(mask)
    if mask.dtype.kind == "b":
        return np.where(mask, -np.inf, 0.0).astype(dtype) if hides else np.where(mask, 0.0, -np.inf).astype(dtype)
    if mask.dtype.kind != "f":
        raise UsageError(f"a mask holds booleans, or numbers to add to the scores; got {mask.dtype}")
    return mask if mask.dtype == dtype else mask.astype(dtype)


def multi_head_attention_forward(
    query: Array,
    key: Array,
    value: Array,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Array,
    in_proj_bias: Array,
    bias_k: Array,
    bias_v: Array,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Array,
    out_proj_bias: Array,
    training: bool = True,
    key_padding_mask: Array = None,
    need_weights: bool = True,
    attn_mask: Array = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Array = None,
    k_proj_weight: Array = None,
    v_proj_weight: Array = None,
    static_k: Array = None,
    static_v: Array = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    batch_axis: int = 1,
    rng: Rng = None,
) -> tuple[Array, Array | None]:
    """The attention of `nn.MultiheadAttention`, as a function of its parameters; returns its output and its weights.

    `batch_axis` is the axis of the batch in query, key and value: 1, as in PyTorch, or 0.

    Example:
        >>> x, w = np.ones((3, 2)), np.ones((6, 2))
        >>> y, weights = multi_head_attention_forward(
        ...     x, x, x, 2, 1, w, None, None, None, False, 0.0, np.eye(2), None
        ... )
        >>> y.shape, weights.shape
        ((3, 2), (3, 3))
    """
    is_batched = query.ndim == 3
    if not is_batched:
        same = {id(x): np.expand_dims(x, batch_axis) for x in (query, key, value)}
        query, key, value = (same[id(x)] for x in (query, key, value))
        key_padding_mask = key_padding_mask if key_padding_mask is None else np.expand_dims(key_padding_mask, 0)
    count, length = query.shape[batch_axis], query.shape[1 - batch_axis]
    size = embed_dim_to_check // num_heads
    if use_separate_proj_weight:
        weights = [q_proj_weight, k_proj_weight, v_proj_weight]
        biases = [None] * 3 if in_proj_bias is None else _thirds(in_proj_bias)
        projected = [linear(x, weight, bias) for x, weight, bias in zip((query, key, value), weights, biases)]
    else:
        projected = _projected(query, key, value, in_proj_weight, in_proj_bias)
    order = (0, 2, 1, 3) if batch_axis == 0 else (1, 2, 0, 3)  # to batch, heads, places, features
    q, k, v = (np.transpose(np.reshape(x, (*x.shape[:2], num_heads, size)), order) for x in projected)
    k = k if static_k is None else np.reshape(static_k, (count, num_heads, static_k.shape[1], size))
    v = v if static_v is None else np.reshape(static_v, (count, num_heads, static_v.shape[1], size))
    further = int(bias_k is not None) + int(add_zero_attn)
    if bias_k is not None:
        k, v = (_with(x, np.reshape(bias, (num_heads, 1, size))) for x, bias in ((k, bias_k), (v, bias_v)))
    if add_zero_attn:
        k, v = (_with(x, np.zeros((num_heads, 1, size), x.dtype)) for x in (k, v))
    if is_causal and attn_mask is None:
        raise UsageError("is_causal=True says that attn_mask is the causal mask, so attn_mask= must be given as well")
    if is_causal and key_padding_mask is None and not need_weights:
        mask = _causal(length, k.shape[-2], q.dtype)
    else:
        mask = _merged(attn_mask, key_padding_mask, (count, num_heads, length, k.shape[-2]), further, q.dtype)
    weights = _weights(q * (1 / sqrt(size)), k, mask, empty=np.nan if need_weights else 1.0)
    weights = dropout(weights, dropout_p, training, rng=rng)
    attended = np.transpose(np.matmul(weights, v), (0, 2, 1, 3) if batch_axis == 0 else (2, 0, 1, 3))
    y = linear(np.reshape(attended, (*query.shape[:2], embed_dim_to_check)), out_proj_weight, out_proj_bias)
    shown = None if not need_weights else np.mean(weights, axis=1) if average_attn_weights else weights
    if not is_batched:
        y, shown = np.squeeze(y, batch_axis), shown if shown is None else np.squeeze(shown, 0)
    return y, shown


def _thirds(x: Array) -> list[Array]:
    size = x.shape[0] // 3
    return [x[i * size : (i + 1) * size] for i in range(3)]


def _projected(query: Array, key: Array, value: Array, weight: Array, bias: Array) -> list[Array]:
    """Queries, keys and values from the thirds of one weight, in one product if they come from the same array."""
    if query is key is value:
        whole = linear(query, weight, bias)
        parts = np.reshape(whole, (*whole.shape[:-1], 3, whole.shape[-1] // 3))
        return [parts[..., i, :] for i in range(3)]
    biases = [None] * 3 if bias is None else _thirds(bias)
    return [linear(x, part, b) for x, part, b in zip((query, key, value), _thirds(weight), biases)]


def _with(x: Array, further: Array) -> Array:
    """Keys or values with one more, the same for the whole batch."""
    return np.concatenate([x, np.broadcast_to(further, (x.shape[0], *further.shape))], axis=2)


def _merged(mask: Array, padding: Array, shape: tuple[int, ...], further: int, dtype: Any) -> Array:
    """One mask to add to the scores, (batch, heads, queries, keys); every query sees the additional keys at the end."""
    count, heads, length, keys = shape
    keys -= further
    parts = []
    if mask is not None:
        mask = _added(mask, dtype, hides=True)
        if mask.shape not in ((length, keys), (count * heads, length, keys)):
            needed = f"{(length, keys)} or {(count * heads, length, keys)}"
            raise ShapeError(f"attn_mask needs the shape {needed}, got {mask.shape}")
        parts.append(mask if mask.ndim == 2 else np.reshape(mask, (count, heads, length, keys)))
    if padding is not None:
        padding = _added(padding, dtype, hides=True)
        if padding.shape != (count, keys):
            raise ShapeError(f"key_padding_mask needs the shape {(count, keys)}, got {padding.shape}")
        parts.append(np.reshape(padding, (count, 1, 1, keys)))
    if further:
        parts = [np.concatenate([x, np.zeros((*x.shape[:-1], further), dtype)], axis=-1) for x in parts]
    return parts[0] + parts[1] if len(parts) == 2 else parts[0] if parts else None
