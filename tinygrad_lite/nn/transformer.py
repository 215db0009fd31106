"""The transformer: layers of attention and of small networks, one after another, each beside a shortcut.

Inputs and masks whose shape is not one that the docstring names raise `ShapeError`.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn import functional, init
from tinygrad_lite.nn.attention import MultiheadAttention
from tinygrad_lite.nn.dropout import Dropout
from tinygrad_lite.nn.functional.attention import causal_mask
from tinygrad_lite.nn.functional.checks import check_counts, shape_of
from tinygrad_lite.nn.linear import Linear
from tinygrad_lite.nn.module import Module
from tinygrad_lite.nn.normalization import LayerNorm

__all__ = [
    "Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer",
]  # fmt: skip

Activation = str | Callable[[Array], Array]


class _Layer(Module):
    """What the two kinds of layers share: attention, a network of two affine maps, and a norm for each part.

    A part f comes with its shortcut, its norm and dropout: x + f(norm(x)) if `norm_first`, else norm(x + f(x)).
    """

    _attentions: tuple[str, ...] = ("self_attn",)
    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
    ) -> None:
        if activation not in ("relu", "gelu") if isinstance(activation, str) else not callable(activation):
            raise InputError(f"activation must be 'relu', 'gelu' or a function, got {activation!r}")
        rng = init.generator(rng)
        for name in self._attentions:
            made = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, rng=rng)
            setattr(self, name, made)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype, rng=rng)
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype, rng=rng)
        self.norm_first = norm_first
        for i in range(1, len(self._attentions) + 2):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype))
        for i in range(1, len(self._attentions) + 2):
            setattr(self, f"dropout{i}", Dropout(dropout, rng=rng))
        self.activation = getattr(functional, activation) if isinstance(activation, str) else activation

    def _beside(self, i: int, x: Array, part: Callable[[Array], Array]) -> Array:
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        return x + dropout(part(norm(x))) if self.norm_first else norm(x + dropout(part(x)))

    def _network(self, x: Array) -> Array:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention, then the network W₂ a(W₁ x + b₁) + b₂; each part f as norm(x + f(x)).

    With `norm_first`, as x + f(norm(x)). The input has shape (S, N, d_model), (N, S, d_model) with `batch_first`, or
    (S, d_model). Masks are those of `MultiheadAttention`; `is_causal` says that `src_mask` is the causal one.

    Source: Vaswani et al. (2017), Attention is all you need; Xiong et al. (2020), On layer normalization in the
    transformer architecture, for `norm_first`.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.TransformerEncoderLayer(d_model=4, nhead=2, rng=0)(np.ones((3, 5, 4))).shape
        (3, 5, 4)
    """

    def forward(
        self, src: Array, src_mask: Array = None, src_key_padding_mask: Array = None, is_causal: bool = False
    ) -> Array:
        def attention(x: Array) -> Array:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0]

        return self._beside(2, self._beside(1, src, attention), self._network)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention of the target to the memory, then the network; each part as in the encoder's layer.

    Source: Vaswani et al. (2017), Attention is all you need.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.TransformerDecoderLayer(d_model=4, nhead=2, rng=0)(np.ones((3, 5, 4)), np.ones((7, 5, 4))).shape
        (3, 5, 4)
    """

    _attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Array,
        memory: Array,
        tgt_mask: Array = None,
        memory_mask: Array = None,
        tgt_key_padding_mask: Array = None,
        memory_key_padding_mask: Array = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Array:
        def attention(x: Array) -> Array:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]

        def recall(x: Array) -> Array:
            mask, padding = memory_mask, memory_key_padding_mask
            return self.multihead_attn(x, memory, memory, padding, False, mask, is_causal=memory_is_causal)[0]

        return self._beside(3, self._beside(2, self._beside(1, tgt, attention), recall), self._network)


def _copies(layer: Module, count: int) -> list[Module]:
    """Copies of a layer, which start with the same parameters and draw from the same generator."""
    check_counts("a stack of layers", 0, num_layers=count)
    fields = [field for module in layer.modules() for field in vars(module).values()]
    generators = {id(field): field for field in fields if isinstance(field, np.random.Generator)}
    return [deepcopy(layer, {**generators}) for _ in range(count)]


class TransformerEncoder(Module):
    """`num_layers` copies of a layer, one after another, and then the norm, if there is one.

    `enable_nested_tensor` and `mask_check` change nothing: there are no nested tensors.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> layer = tg.nn.TransformerEncoderLayer(d_model=4, nhead=2, rng=0)
        >>> tg.nn.TransformerEncoder(layer, num_layers=2)(np.ones((3, 5, 4))).shape
        (3, 5, 4)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        self.layers = _copies(encoder_layer, num_layers)
        self.norm = norm

    def forward(
        self, src: Array, mask: Array = None, src_key_padding_mask: Array = None, is_causal: bool | None = None
    ) -> Array:
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """`num_layers` copies of a layer, one after another, each with the same memory, and then the norm, if any.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> layer = tg.nn.TransformerDecoderLayer(d_model=4, nhead=2, rng=0)
        >>> tg.nn.TransformerDecoder(layer, num_layers=2)(np.ones((3, 5, 4)), np.ones((7, 5, 4))).shape
        (3, 5, 4)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = _copies(decoder_layer, num_layers)
        self.norm = norm

    def forward(
        self,
        tgt: Array,
        memory: Array,
        tgt_mask: Array = None,
        memory_mask: Array = None,
        tgt_key_padding_mask: Array = None,
        memory_key_padding_mask: Array = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Array:
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder of the source, whose result is the memory that the decoder of the target attends to.

    Source and target have shapes (S, N, d_model) and (T, N, d_model), the batch first with `batch_first`, or no batch;
    the result has the target's. All weights of two axes start from `init.xavier_uniform`.

    Source: Vaswani et al. (2017), Attention is all you need.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> model = tg.nn.Transformer(4, 2, 1, 1, 8, rng=0)
        >>> model(np.ones((7, 5, 4)), np.ones((3, 5, 4)), tgt_mask=model.generate_square_subsequent_mask(3)).shape
        (3, 5, 4)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = functional.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
    ) -> None:
        rng = init.generator(rng)
        shape = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)

        def norm() -> Module:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)

        self.encoder = custom_encoder
        if custom_encoder is None:
            layer: Module = TransformerEncoderLayer(*shape, dtype=dtype, rng=rng)
            self.encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        self.decoder = custom_decoder
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*shape, dtype=dtype, rng=rng)
            self.decoder = TransformerDecoder(layer, num_decoder_layers, norm())
        for parameter in self.parameters():
            if parameter.ndim > 1:
                weight = init.xavier_uniform(parameter.shape, dtype=parameter.dtype, rng=rng)
                parameter.replace(np.asfortranarray(weight))
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src: Array,
        tgt: Array,
        src_mask: Array = None,
        tgt_mask: Array = None,
        memory_mask: Array = None,
        src_key_padding_mask: Array = None,
        tgt_key_padding_mask: Array = None,
        memory_key_padding_mask: Array = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Array:
        source, target, batch = shape_of(src), shape_of(tgt), 0 if self.batch_first else 1
        if (
            len(source) not in (2, 3)
            or len(source) != len(target)
            or {source[-1], target[-1]} != {self.d_model}
            or (len(source) == 3 and source[batch] != target[batch])
        ):
            needed = "(N, S, {0}) and (N, T, {0})" if self.batch_first else "(S, N, {0}) and (T, N, {0})"
            raise ShapeError(
                f"Transformer(d_model={self.d_model}) needs a source and a target of shapes "
                f"{needed.format(self.d_model)}, or both without N; got {source} and {target}"
            )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: Any = np.float64) -> Array:
        """A mask to add, which hides from each position those after it: -∞ above the diagonal, else 0."""
        return causal_mask(sz, sz, dtype)
