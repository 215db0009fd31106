"""Layers: each has its fields, and a forward that reads as its formula."""

from collections.abc import Iterator, Mapping
from math import prod, sqrt
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.nn import functional, init
from tinygrad_lite.nn.module import Module


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

    def summary(self) -> str:
        return f"Linear({self.in_features}, {self.out_features}{'' if self.bias is not None else ', bias=False'})"


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Array) -> Array:
        return functional.relu(x)


class LeakyReLU(Module):
    """x where positive, else negative_slope · x."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Array) -> Array:
        return functional.leaky_relu(x, self.negative_slope)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ)."""

    def forward(self, x: Array) -> Array:
        return functional.sigmoid(x)


class Tanh(Module):
    """tanh x."""

    def forward(self, x: Array) -> Array:
        return np.tanh(x)


class GELU(Module):
    """x · Φ(x), with Φ the standard normal distribution function."""

    def forward(self, x: Array) -> Array:
        return functional.gelu(x)


class SiLU(Module):
    """x · sigmoid(x)."""

    def forward(self, x: Array) -> Array:
        return functional.silu(x)


class Softmax(Module):
    """eˣ / Σ eˣ along an axis."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return functional.softmax(x, self.axis)


class Dropout(Module):
    """Sets each entry to zero with probability p in training, and divides the others by 1 - p; else the identity."""

    def __init__(self, p: float = 0.5, *, rng: init.Rng = None) -> None:
        functional.check_probability(p)
        self.p = p
        self._rng = np.random.default_rng(rng)

    def forward(self, x: Array) -> Array:
        return functional.dropout(x, self.p, self.training, rng=self._rng)


class Flatten(Module):
    """Merges all axes from `start_axis` on into one; by default the first axis, the batch, stays."""

    def __init__(self, start_axis: int = 1) -> None:
        self.start_axis = start_axis

    def forward(self, x: Array) -> Array:
        shape = np.shape(x)
        return np.reshape(x, (*shape[: self.start_axis], prod(shape[self.start_axis :])))


class Sequential(Module):
    """Modules applied one after another; any function of one array can take the place of a module.

    Example:
        >>> import tinygrad_lite as tg
        >>> tg.nn.Sequential(tg.nn.Linear(13, 8), tg.nn.ReLU(), tg.nn.Linear(8, 1))
        Sequential             121 parameters
        ├─ 0: Linear(13, 8)    112
        ├─ 1: ReLU()
        └─ 2: Linear(8, 1)       9
    """

    def __init__(self, *modules: Any) -> None:
        for module in modules:
            if isinstance(module, type) or not callable(module):
                raise UsageError(
                    f"Sequential takes modules one by one, as in Sequential(Linear(2, 3), ReLU()); got {module!r}"
                )
        self._modules = modules

    def fields(self) -> Mapping[str, Any]:
        return {str(i): module for i, module in enumerate(self._modules)}

    def forward(self, x: Array) -> Array:
        for module in self._modules:
            x = module(x)
        return x

    def __getitem__(self, i: Any) -> Any:
        """The module at a position; for a slice, a `Sequential` that shares those modules."""
        if not isinstance(i, slice):
            return self._modules[i]
        part = Sequential(*self._modules[i])
        part.training = self.training
        return part

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)
