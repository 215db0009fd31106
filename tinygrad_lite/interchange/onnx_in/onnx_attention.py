"""Attention as ONNX defines it: with a memory of earlier keys, windows, a soft cap, and its scores as a result."""

from math import sqrt
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.nn import functional as F
from tinygrad_lite.nn.functional.checks import values_of


def attention(
    query: Array,
    key: Array,
    value: Array,
    mask: Array = None,
    past_key: Array = None,
    past_value: Array = None,
    lengths: Array = None,
    q_num_heads: int | None = None,
    kv_num_heads: int | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    softcap: float = 0.0,
    window: tuple[int, int] = (-1, -1),
    precision: Any = None,
    scores: int = 0,
    results: int = 1,
) -> Any:
    """softmax(s Q Kᵀ + M) V for each head, where heads lie along an axis or side by side in the last one.

    With more results: also the keys and the values with those of the past, and the scores at one of four stages.
    """
    is_flat = query.ndim == 3
    if is_flat:
        counts = q_num_heads, kv_num_heads, kv_num_heads
        query, key, value = (_heads(x, n) for x, n in zip((query, key, value), counts))
    if past_key is not None:
        key, value = np.concatenate([past_key, key], axis=2), np.concatenate([past_value, value], axis=2)
    bias = _bias(query, key, mask, 0 if past_key is None else past_key.shape[2], lengths, is_causal, window)
    scale = 1 / sqrt(query.shape[-1]) if scale is None else scale
    is_shared = query.shape[1] != key.shape[1]
    stages: Any = None
    if not softcap and precision is None and results < 4:
        if query.dtype == np.float16:  # whose range scores might leave
            root = query.dtype.type(sqrt(scale))
            query, shrunk, scale = query * root, key * root, 1.0
        else:
            shrunk = key
        y = F.scaled_dot_product_attention(query, shrunk, value, bias, scale=scale, enable_gqa=is_shared)
    else:
        y, stages = _in_stages(query, key, value, bias, query.dtype.type(sqrt(scale)), softcap, precision)
    if is_flat:
        y = np.reshape(np.swapaxes(y, 1, 2), (y.shape[0], y.shape[2], -1))
    return y if results == 1 else (y, key, value, stages and stages[scores])[:results]


def _heads(x: Array, heads: Any) -> Array:
    return np.swapaxes(np.reshape(x, (*x.shape[:2], heads, -1)), 1, 2)


def _bias(
    query: Array, key: Array, mask: Array, past: int, lengths: Array, is_causal: bool, window: tuple[int, int]
) -> Array:
    """What is added to the scores: the mask, and -∞ for keys that a query must not see; None if nothing is added."""
    rows, columns = query.shape[2], key.shape[2]
    if mask is not None and mask.shape[-1] < columns:
        hidden: Any = False if mask.dtype.kind == "b" else -np.inf
        mask = np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, columns - mask.shape[-1])], constant_values=hidden)
    offset: Any = past
    seen: Any = None
    if lengths is not None:
        lengths = np.reshape(values_of(lengths), (-1, 1, 1, 1))
        offset, seen = (lengths - rows if past == 0 else past), np.arange(columns) < lengths
    away = np.arange(rows)[:, None] + offset - np.arange(columns)  # how far a key lies behind a query
    limits = [(is_causal, away >= 0), (window[0] >= 0, away <= window[0]), (window[1] >= 0, -away <= window[1])]
    for is_limited, inside in limits:
        if is_limited:
            seen = inside if seen is None else np.logical_and(seen, inside)
    if seen is None:
        return mask
    if mask is None:
        return seen
    return np.logical_and(mask, seen) if mask.dtype.kind == "b" else np.where(seen, mask, -np.inf).astype(mask.dtype)


def _in_stages(
    query: Array, key: Array, value: Array, bias: Array, root: Any, softcap: float, precision: Any
) -> tuple[Array, list[Array]]:
    """The result, and the scores: raw, capped, with the bias, and after softmax."""
    repeats = query.shape[1] // key.shape[1]
    key, value = (np.repeat(x, repeats, axis=1) if repeats > 1 else x for x in (key, value))
    raw = np.matmul(query * root, np.swapaxes(key * root, -1, -2))
    capped = np.tanh(raw / softcap) * softcap if softcap else raw
    if bias is not None and bias.dtype.kind == "b":
        bias = np.where(bias, 0.0, -np.inf).astype(raw.dtype)
    added = capped if bias is None else capped + bias
    is_blind = False if bias is None else np.isneginf(np.max(values_of(bias), axis=-1, keepdims=True))
    safe = np.where(is_blind, 0, added)  # a query that sees no key gets 0, and its softmax would be NaN
    weights = F.softmax(safe if precision is None else safe.astype(precision)).astype(query.dtype)
    weights = np.where(is_blind, 0, weights)
    return np.matmul(weights, value), [raw, capped, added, weights]
