"""einops for tensors: once this is imported, its functions take tensors; and its layers, as modules.

einops knows each library's arrays by a class of its own, and finds ours once it is defined. Its functions for the array
API standard, `einops.array_api`, need no such class.
"""

from typing import Any

import numpy as np
from einops._backends import NumpyBackend
from einops.layers import RearrangeMixin, ReduceMixin
from einops.layers._einmix import _EinmixMixin

from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.tensor import tensor
from tinygrad_lite.nn import init
from tinygrad_lite.nn.module import Module

__all__ = ["EinMix", "Rearrange", "Reduce"]


class _Backend(NumpyBackend):
    """Tensors, and whatever else stands for an array in our operations; NumPy's functions take them."""

    framework_name = "tinygrad_lite"

    def is_appropriate_type(self, tensor: Any) -> bool:
        return isinstance(tensor, Traced)

    def from_numpy(self, x: Any) -> Any:
        return tensor(x)

    def to_numpy(self, x: Any) -> Any:
        return x.numpy()


class Rearrange(RearrangeMixin, Module):
    """`einops.rearrange` as a layer.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> from tinygrad_lite.interchange.einops import Rearrange
        >>> Rearrange("b c h w -> b (c h w)")(tg.tensor(np.ones((2, 3, 4, 4)))).shape
        (2, 48)
    """

    def forward(self, input: Array) -> Array:
        return self._apply_recipe(input)  # type: ignore[no-untyped-call]


class Reduce(ReduceMixin, Module):
    """`einops.reduce` as a layer.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> from tinygrad_lite.interchange.einops import Reduce
        >>> Reduce("b c h w -> b c", "mean")(tg.tensor(np.ones((2, 3, 4, 4)))).shape
        (2, 3)
    """

    def forward(self, input: Array) -> Array:
        return self._apply_recipe(input)  # type: ignore[no-untyped-call]


class EinMix(_EinmixMixin, Module):
    """einops' linear layer over named axes: y = Σ x · weight + bias.

    `weight` starts from U(-√(3/n), √(3/n)) and `bias` from U(-√(1/n), √(1/n)), where n entries of x make one of y.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> from tinygrad_lite.interchange.einops import EinMix
        >>> layer = EinMix("t b (head i) -> t b (head o)", "head i o", "head o", head=2, i=3, o=4, rng=0)
        >>> layer(tg.tensor(np.ones((5, 7, 6)))).shape
        (5, 7, 8)
    """

    def __init__(
        self,
        pattern: str,
        weight_shape: str,
        bias_shape: str | None = None,
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
        **axes_lengths: int,
    ) -> None:
        self._start = {"dtype": dtype, "rng": np.random.default_rng(rng)}
        super().__init__(pattern, weight_shape, bias_shape, **axes_lengths)
        del self._start

    def _create_parameters(self, weight_shape: Any, weight_bound: float, bias_shape: Any, bias_bound: float) -> None:
        self.weight = tensor(init.uniform(weight_shape, -weight_bound, weight_bound, **self._start), requires_grad=True)
        self.bias = None
        if bias_shape is not None:
            self.bias = tensor(init.uniform(bias_shape, -bias_bound, bias_bound, **self._start), requires_grad=True)

    def _create_rearrange_layers(self, before: Any, lengths_before: Any, after: Any, lengths_after: Any) -> None:
        self.before = before and Rearrange(before, **lengths_before)
        self.after = after and Rearrange(after, **lengths_after)

    def forward(self, input: Array) -> Array:
        x = self.before(input) if self.before else input
        y = np.einsum(self.einsum_pattern, x, self.weight)
        y = y if self.bias is None else y + self.bias
        return self.after(y) if self.after else y
