"""Pooling layers, in one, two and three dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.nn import init
from tinygrad_lite.nn.functional.sizes import Sizes
from tinygrad_lite.nn.init import Rng
from tinygrad_lite.nn.spatial import Spatial

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "FractionalMaxPool2d", "FractionalMaxPool3d",
    "LPPool1d", "LPPool2d", "LPPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d", "MaxUnpool1d", "MaxUnpool2d",
    "MaxUnpool3d",
]  # fmt: skip


class _Pool(Spatial):
    """Pooling whose windows lie side by side if no stride is given."""

    kernel_size: Sizes
    stride: Sizes | None

    def __post_init__(self) -> None:
        self.stride = self.kernel_size if self.stride is None else self.stride


@dataclass(eq=False, repr=False)
class _MaxPool(_Pool):
    function = "max_pool{}d"

    kernel_size: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0
    dilation: Sizes = 1
    return_indices: bool = False
    ceil_mode: bool = False


@dataclass(eq=False, repr=False)
class _MaxUnpool(_Pool):
    function = "max_unpool{}d"

    kernel_size: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0

    def forward(  # type: ignore[override]
        self, input: Array, indices: Array, output_size: Sequence[int] | None = None
    ) -> Array:
        return self.call(self.function, input, indices, **self.settings(), output_size=output_size)


@dataclass(eq=False, repr=False)
class _AvgPool(_Pool):
    function = "avg_pool{}d"

    kernel_size: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0
    ceil_mode: bool = False
    count_include_pad: bool = True


@dataclass(eq=False, repr=False)
class _AvgPoolOfImages(_AvgPool):
    divisor_override: int | None = None


@dataclass(eq=False, repr=False)
class _LPPool(Spatial):
    function = "lp_pool{}d"

    norm_type: float
    kernel_size: Sizes
    stride: Sizes | None = None
    ceil_mode: bool = False


@dataclass(eq=False, repr=False)
class _AdaptiveAvgPool(Spatial):
    function = "adaptive_avg_pool{}d"

    output_size: Any


@dataclass(eq=False, repr=False)
class _AdaptiveMaxPool(Spatial):
    function = "adaptive_max_pool{}d"

    output_size: Any
    return_indices: bool = False


class _FractionalMaxPool(Spatial):
    function = "fractional_max_pool{}d"

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Any = None,
        *,
        rng: Rng = None,
    ) -> None:
        self.kernel_size = kernel_size
        self.output_size = output_size
        self.output_ratio = output_ratio
        self.return_indices = return_indices
        self._random_samples = None if _random_samples is None else np.asarray(_random_samples)
        self._rng = init.generator(rng)

    def forward(self, input: Array) -> Any:
        return self.call(self.function, input, **self.settings(), _random_samples=self._random_samples, rng=self._rng)


class MaxPool1d(_MaxPool):
    """The largest entry of each window along the last axis, see `functional.max_pool1d`.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.MaxPool2d(2)(np.arange(16.0).reshape(1, 4, 4))
        array([[[ 5.,  7.],
                [13., 15.]]])
    """


class MaxPool2d(_MaxPool):
    """As `MaxPool1d`, along two axes."""


class MaxPool3d(_MaxPool):
    """As `MaxPool1d`, along three axes."""


class MaxUnpool1d(_MaxUnpool):
    """The way back from `MaxPool1d(return_indices=True)`, see `functional.max_unpool1d`."""


class MaxUnpool2d(_MaxUnpool):
    """As `MaxUnpool1d`, along two axes."""


class MaxUnpool3d(_MaxUnpool):
    """As `MaxUnpool1d`, along three axes."""


class AvgPool1d(_AvgPool):
    """The mean of each window along the last axis, see `functional.avg_pool1d`."""


class AvgPool2d(_AvgPoolOfImages):
    """As `AvgPool1d`, along two axes, and with another divisor if one is given."""


class AvgPool3d(_AvgPoolOfImages):
    """As `AvgPool2d`, along three axes."""


class LPPool1d(_LPPool):
    """(Σ xᵖ)^(1/p) of each window along the last axis, see `functional.lp_pool1d`."""


class LPPool2d(_LPPool):
    """As `LPPool1d`, along two axes."""


class LPPool3d(_LPPool):
    """As `LPPool1d`, along three axes."""


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of as many windows as the result has entries, see `functional.adaptive_avg_pool1d`."""


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """As `AdaptiveAvgPool1d`, along two axes."""


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """As `AdaptiveAvgPool1d`, along three axes."""


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest entries of as many windows as the result has, see `functional.adaptive_max_pool1d`."""


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """As `AdaptiveMaxPool1d`, along two axes."""


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """As `AdaptiveMaxPool1d`, along three axes."""


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest entries of windows at distances that vary by chance, see `functional.fractional_max_pool2d`."""


class FractionalMaxPool3d(_FractionalMaxPool):
    """As `FractionalMaxPool2d`, along three axes."""
