"""Tables of vectors as layers."""

from typing import Any, Self

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import tensor
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.nn import functional, init
from tinygrad_lite.nn.functional.checks import check_counts, shape_of
from tinygrad_lite.nn.functional.embedding import check_padding
from tinygrad_lite.nn.module import Module

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """A weight (num_embeddings, embedding_dim) from N(0, 1), with the options that all readers of rows have."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
    ) -> None:
        check_counts(type(self).__name__, 0, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        check_padding(padding_idx, num_embeddings)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is None:
            _weight = init.normal((num_embeddings, embedding_dim), dtype=dtype, rng=rng)
            if padding_idx is not None:
                _weight[padding_idx] = 0
        self.weight = tensor(_weight, requires_grad=True)

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, **settings: Any) -> Self:
        """A layer with these rows; they are not a parameter unless `freeze=False`. Settings as for a new layer."""
        if np.ndim(embeddings) != 2:
            raise ShapeError(f"pretrained rows have the shape (numbers, features), got {shape_of(embeddings)}")
        layer = cls(*np.shape(embeddings), **{**settings, "_weight": embeddings})
        layer.weight.requires_grad = not freeze
        return layer


class Embedding(_Table):
    """y = W[i], the row of W for each number i; a learned vector for each word, say.

    The input holds integers of any shape (…), y has shape (…, embedding_dim); see `functional.embedding` for the
    options. The row `padding_idx` starts as zeros and gets no gradient.

    Raises:
        InputError: if a number lies outside the table.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.Embedding(10, 3, rng=0)(np.array([[1, 2], [0, 9]])).shape
        (2, 2, 3)
    """

    def forward(self, input: Array) -> Array:
        settings = self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        return functional.embedding(input, self.weight, *settings)


class EmbeddingBag(_Table):
    """y_b = Σ W[i], the mean or the maximum over the numbers i of bag b, without the rows in between.

    The input is (bags, numbers), or one axis of numbers and the offset at which each bag begins; y has shape
    (bags, embedding_dim). See `functional.embedding_bag` for the options.

    Raises:
        InputError: if a number lies outside the table, or the offsets do not increase from 0.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.EmbeddingBag(10, 3, rng=0)(np.array([1, 2, 4, 5]), np.array([0, 3])).shape
        (2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Any = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
    ) -> None:
        settings = padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight
        super().__init__(num_embeddings, embedding_dim, *settings, dtype=dtype, rng=rng)
        self.mode, self.include_last_offset = mode, include_last_offset

    def forward(self, input: Array, offsets: Array = None, per_sample_weights: Array = None) -> Array:
        norms = self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse
        options = per_sample_weights, self.include_last_offset, self.padding_idx
        return functional.embedding_bag(input, self.weight, offsets, *norms, *options)
