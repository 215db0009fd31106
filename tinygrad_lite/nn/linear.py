"""Affine layers, and layers that only change the shape."""

from math import prod, sqrt
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn import functional, init
from tinygrad_lite.nn.module import Module

__all__ = [
    "Flatten",
    "Linear",
]


class Linear(Module):
    """An affine map of the last axis: y = x Wᵀ + b.

    x has shape (…, in_features), y (…, out_features); `weight` is out × in, as in PyTorch, and both `weight` and `bias`
    start from U(-1/√in, 1/√in).

    Raises:
        ShapeError: if the last axis of x does not have in_features entries.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.Linear(13, 8, rng=0)(np.ones((5, 13))).shape
        (5, 8)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: Any = np.float64, rng: init.Rng = None
    ) -> None:
        if not all(isinstance(n, (int, np.integer)) and n >= 1 for n in (in_features, out_features)):
            raise InputError(
                f"Linear needs whole numbers of features, at least 1; got {in_features!r} and {out_features!r}"
            )
        rng = np.random.default_rng(rng)
        bound = 1 / sqrt(in_features)
        self.in_features = in_features
        self.out_features = out_features
        # column by column in memory, so that the product with the transpose reads it in order
        weight = np.asfortranarray(init.uniform((out_features, in_features), -bound, bound, dtype=dtype, rng=rng))
        self.weight = tensor(weight, requires_grad=True)
        self.bias: Tensor | None = None
        if bias:
            self.bias = tensor(init.uniform(out_features, -bound, bound, dtype=dtype, rng=rng), requires_grad=True)

    def forward(self, x: Array) -> Array:
        try:
            return functional.linear(x, self.weight, self.bias)
        except ShapeError as error:
            raise ShapeError(
                f"Linear({self.in_features}, {self.out_features}) needs {self.in_features} features on the last axis, "
                f"got shape {np.shape(x)}"
            ) from error

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}{'' if self.bias is not None else ', bias=False'}"


class Flatten(Module):
    """Merges all axes from `start_axis` on into one; by default the first axis, the batch, stays."""

    def __init__(self, start_axis: int = 1) -> None:
        self.start_axis = start_axis

    def forward(self, x: Array) -> Array:
        shape = np.shape(x)
        return np.reshape(x, (*shape[: self.start_axis], prod(shape[self.start_axis :])))
