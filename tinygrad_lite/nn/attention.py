"""Attention with several heads."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.foundation.settings import share
from tinygrad_lite.nn import functional, init
from tinygrad_lite.nn.functional.checks import check_counts, shape_of
from tinygrad_lite.nn.linear import Linear
from tinygrad_lite.nn.module import Module

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention of h heads, each on a share of the features: W_o [head₁ … headₕ], headᵢ = softmax(QᵢKᵢᵀ/√d + M) Vᵢ.

    Qᵢ, Kᵢ and Vᵢ are affine maps of query, key and value into d = embed_dim / h features. The query has shape
    (L, N, embed_dim), key and value (S, N, kdim) and (S, N, vdim); with `batch_first`, the batch N is the first axis;
    or there is none. `add_bias_kv` adds one learned key and value, `add_zero_attn` one of zeros.

    It returns the output, of the query's shape, and the weights, (N, L, S), averaged over the heads unless
    `average_attn_weights=False`; None if `need_weights=False`. `attn_mask`, (L, S) or (N·h, L, S), and
    `key_padding_mask`, (N, S), are True for a key that is not seen, or are added to the scores. `is_causal` says that
    `attn_mask` is the causal one. A query that sees no key gets NaN if weights are returned, else the output for zeros.

    Source: Vaswani et al. (2017), Attention is all you need, section 3.2.2.

    Raises:
        ShapeError: if inputs or masks have other shapes.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> y, weights = tg.nn.MultiheadAttention(4, 2, rng=0)(*[np.ones((3, 5, 4))] * 3)
        >>> y.shape, weights.shape
        ((3, 5, 4), (5, 3, 3))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
    ) -> None:
        kdim, vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        check_counts("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads, kdim=kdim, vdim=vdim)
        if embed_dim % num_heads:
            raise InputError(
                f"MultiheadAttention needs a multiple of num_heads, got embed_dim={embed_dim}, num_heads={num_heads}"
            )
        share("dropout", dropout)
        rng = init.generator(rng)
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.kdim, self.vdim, self.batch_first, self.add_zero_attn = kdim, vdim, batch_first, add_zero_attn

        def parameter(initialise: Any, shape: tuple[int, ...]) -> Tensor:
            array = initialise(shape, dtype=dtype, rng=rng)
            return tensor(np.asfortranarray(array), requires_grad=True)  # as the weight of `Linear`

        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if kdim == vdim == embed_dim:
            self.in_proj_weight = parameter(init.xavier_uniform, (3 * embed_dim, embed_dim))
        else:
            self.q_proj_weight = parameter(init.xavier_uniform, (embed_dim, embed_dim))
            self.k_proj_weight = parameter(init.xavier_uniform, (embed_dim, kdim))
            self.v_proj_weight = parameter(init.xavier_uniform, (embed_dim, vdim))
        self.in_proj_bias = parameter(init.zeros, (3 * embed_dim,)) if bias else None
        self.bias_k = parameter(init.xavier_normal, (1, 1, embed_dim)) if add_bias_kv else None
        self.bias_v = parameter(init.xavier_normal, (1, 1, embed_dim)) if add_bias_kv else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype, rng=rng)
        if self.out_proj.bias is not None:
            self.out_proj.bias.replace(np.zeros(embed_dim, dtype))
        self._rng = rng

    def forward(
        self,
        query: Array,
        key: Array,
        value: Array,
        key_padding_mask: Array = None,
        need_weights: bool = True,
        attn_mask: Array = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Array, Array | None]:
        self._check(shape_of(query), shape_of(key), shape_of(value))
        inputs = query, key, value, self.embed_dim, self.num_heads
        weights: Any = self.in_proj_weight, self.in_proj_bias, self.bias_k, self.bias_v, self.add_zero_attn
        output: Any = self.dropout, self.out_proj.weight, self.out_proj.bias, self.training
        masks: Any = key_padding_mask, need_weights, attn_mask
        separate: Any = self.in_proj_weight is None, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        static: Any = None, None  # keys and values that are given in place of the projected ones
        arguments = *inputs, *weights, *output, *masks, *separate, *static, average_attn_weights, is_causal
        axis = 0 if self.batch_first else 1
        return functional.multi_head_attention_forward(*arguments, batch_axis=axis, rng=self._rng)

    def _check(self, query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...]) -> None:
        batch = 0 if self.batch_first else 1
        if (
            len(query) not in (2, 3)
            or not len(query) == len(key) == len(value)
            or (query[-1], key[-1], value[-1]) != (self.embed_dim, self.kdim, self.vdim)
            or key[:-1] != value[:-1]
            or (len(query) == 3 and query[batch] != key[batch])
        ):
            places = ("(N, L, {})", "(N, S, {})") if self.batch_first else ("(L, N, {})", "(S, N, {})")
            needed = places[0].format(self.embed_dim), *[places[1].format(n) for n in (self.kdim, self.vdim)]
            raise ShapeError(
                f"{self.summary()} needs a query, a key and a value of shapes {', '.join(needed)}, or all without N; "
                f"got {query}, {key}, {value}"
            )
