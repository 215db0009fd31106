"""Convolutions and their transposes, in one, two and three dimensions; and windows as columns."""

from dataclasses import dataclass
from math import prod, sqrt
from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn import init
from tinygrad_lite.nn.functional.checks import check_counts, shape_of
from tinygrad_lite.nn.functional.convolution import padding_widths
from tinygrad_lite.nn.functional.padding import MODES
from tinygrad_lite.nn.functional.sizes import Shape, Sizes, per_axis
from tinygrad_lite.nn.spatial import Spatial

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Fold", "Unfold"]


class _Conv(Spatial):
    transposed: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
    ) -> None:
        name = type(self).__name__
        check_counts(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            counts = f"in_channels={in_channels} and out_channels={out_channels}"
            raise InputError(f"{name} needs channels that are multiples of groups={groups}; got {counts}")
        if padding_mode not in ("zeros", *(("zeros",) if self.transposed else MODES[1:])):
            raise InputError(f"{name} does not know padding_mode={padding_mode!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis("kernel_size", kernel_size, self.axes, 1)
        self.stride = per_axis("stride", stride, self.axes, 1)
        self.padding = padding if isinstance(padding, str) else per_axis("padding", padding, self.axes)
        self.dilation = per_axis("dilation", dilation, self.axes, 1)
        self.groups = groups
        self.padding_mode = padding_mode
        padding_widths(self.padding, self.kernel_size, self.stride, self.dilation)  # raises where it cannot be
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        rng = init.generator(rng)
        shape = (first, second // groups, *self.kernel_size)
        bound = 1 / sqrt(prod(shape[1:]))
        self.weight = tensor(init.uniform(shape, -bound, bound, dtype=dtype, rng=rng), requires_grad=True)
        self.bias: Tensor | None = None
        if bias:
            self.bias = tensor(init.uniform(out_channels, -bound, bound, dtype=dtype, rng=rng), requires_grad=True)

    def forward(self, input: Array) -> Array:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            widths = padding_widths(padding, self.kernel_size, self.stride, self.dilation)
            input = self.call("pad", input, [n for pair in reversed(widths) for n in pair], self.padding_mode)
            padding = 0
        return self.call("conv{}d", input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        usual = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros"}
        others = "".join(
            f", {name}={value!r}"
            for name, value in self.settings().items()
            if name in usual and value not in (usual[name], (usual[name],) * self.axes)
        )
        bias = "" if self.bias is not None else ", bias=False"
        channels = f"{self.in_channels}, {self.out_channels}"
        return f"{channels}, kernel_size={self.kernel_size}{others}{bias}"


class Conv1d(_Conv):
    """yₒ = bₒ + Σ_c w_oc ⋆ x_c, the cross-correlation along the last axis; see `functional.conv1d`.

    `weight` is (out_channels, in_channels / groups, *kernel_size), `bias` (out_channels); both start from U(-a, a) with
    a = 1/√(in_channels / groups · prod(kernel_size)). The input is (N, in_channels, …) or (in_channels, …).

    Args:
        padding: entries to add on both sides of each axis, or "same" (as many as keep the size) or "valid" (none).
        padding_mode: what they are: "zeros", "reflect", "replicate" or "circular".

    Source: LeCun et al. (1989), Backpropagation applied to handwritten zip code recognition.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.Conv2d(3, 16, 3, padding="same", rng=0)(np.ones((5, 3, 8, 8))).shape
        (5, 16, 8, 8)
    """


class Conv2d(_Conv):
    """As `Conv1d`, along two axes."""


class Conv3d(_Conv):
    """As `Conv1d`, along three axes."""


class _ConvTranspose(_Conv):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
    ) -> None:
        channels = in_channels, out_channels
        sizes = kernel_size, stride, per_axis("padding", padding, self.axes), dilation
        super().__init__(*channels, *sizes, groups, bias, padding_mode, dtype=dtype, rng=rng)
        self.output_padding = per_axis("output_padding", output_padding, self.axes)

    def forward(self, input: Array, output_size: Sizes | None = None) -> Array:
        more = self.output_padding if output_size is None else self._missing(shape_of(input), output_size)
        settings = self.stride, self.padding, more, self.groups, self.dilation
        return self.call("conv_transpose{}d", input, self.weight, self.bias, *settings)

    def _missing(self, shape: Shape, output_size: Any) -> tuple[int, ...]:
        """The output padding that makes the result as large as asked for."""
        size = list(output_size)[-self.axes :] if np.ndim(output_size) else [output_size] * self.axes
        padding = per_axis("padding", self.padding, self.axes)
        settings = zip(shape[-self.axes :], self.stride, padding, self.dilation, self.kernel_size)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in settings]
        more = tuple(wanted - n for wanted, n in zip(size, least))
        if len(size) != self.axes or not all(0 <= m < s for m, s in zip(more, self.stride)):
            most = [n + s - 1 for n, s in zip(least, self.stride)]
            raise ShapeError(f"{self.summary()}: an output_size lies between {least} and {most}; got {output_size}")
        return more


class ConvTranspose1d(_ConvTranspose):
    """The transpose of a convolution: each entry of the input adds a kernel, scaled, to the result.

    `weight` is (in_channels, out_channels / groups, *kernel_size); see `functional.conv_transpose1d`. The result has
    (n - 1) · stride - 2 · padding + dilation · (kernel_size - 1) + 1 + output_padding entries along each axis.

    Source: Zeiler et al. (2010), Deconvolutional networks.
    """


class ConvTranspose2d(_ConvTranspose):
    """As `ConvTranspose1d`, along two axes."""


class ConvTranspose3d(_ConvTranspose):
    """As `ConvTranspose1d`, along three axes."""


@dataclass(eq=False, repr=False)
class Unfold(Spatial):
    """The windows of images as the columns of a matrix: see `functional.unfold`."""

    function = "unfold"

    kernel_size: Sizes
    dilation: Sizes = 1
    padding: Sizes = 0
    stride: Sizes = 1


@dataclass(eq=False, repr=False)
class Fold(Spatial):
    """Images from the columns that `Unfold` makes, in which overlapping entries are added up: see `functional.fold`."""

    function = "fold"

    output_size: Sizes
    kernel_size: Sizes
    dilation: Sizes = 1
    padding: Sizes = 0
    stride: Sizes = 1
