"""Layers that change the size of images, or turn channels into pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

from tinygrad_lite.nn.functional.sizes import Sizes
from tinygrad_lite.nn.spatial import Spatial

__all__ = [
    "ChannelShuffle", "PixelShuffle", "PixelUnshuffle", "Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d",
]  # fmt: skip


@dataclass(eq=False, repr=False)
class Upsample(Spatial):
    """Images in another size, see `functional.interpolate`.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.Upsample(scale_factor=2)(np.array([[[1.0, 2.0]]]))
        array([[[1., 1., 2., 2.]]])
    """

    function = "interpolate"

    size: Sizes | None = None
    scale_factor: float | Sequence[float] | None = None
    mode: str = "nearest"
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None


class UpsamplingNearest2d(Upsample):
    """Each pixel as the nearest one of the smaller image."""

    def __init__(self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """Each pixel as the mean of four, weighted by distance; the corners stay corners."""

    def __init__(self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None) -> None:
        super().__init__(size, scale_factor, "bilinear", align_corners=True)


@dataclass(eq=False, repr=False)
class PixelShuffle(Spatial):
    """(…, C r², H, W) as (…, C, H r, W r), see `functional.pixel_shuffle`."""

    function = "pixel_shuffle"

    upscale_factor: int


@dataclass(eq=False, repr=False)
class PixelUnshuffle(Spatial):
    """The way back from `PixelShuffle`, see `functional.pixel_unshuffle`."""

    function = "pixel_unshuffle"

    downscale_factor: int


@dataclass(eq=False, repr=False)
class ChannelShuffle(Spatial):
    """The channels of each group dealt out in turn, see `functional.channel_shuffle`."""

    function = "channel_shuffle"

    groups: int
