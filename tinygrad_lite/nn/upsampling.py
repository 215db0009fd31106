"""Layers that change the size of images, or turn channels into pixels."""

from collections.abc import Sequence

from tinygrad_lite.nn.functional.sizes import Sizes
from tinygrad_lite.nn.spatial import Spatial

__all__ = [
    "ChannelShuffle", "PixelShuffle", "PixelUnshuffle", "Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d",
]  # fmt: skip


class Upsample(Spatial):
    """Images in another size, see `functional.interpolate`.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.Upsample(scale_factor=2)(np.array([[[1.0, 2.0]]]))
        array([[[1., 1., 2., 2.]]])
    """

    function = "interpolate"

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor


class UpsamplingNearest2d(Upsample):
    """Each pixel as the nearest one of the smaller image."""

    def __init__(self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """Each pixel as the mean of four, weighted by distance; the corners stay corners."""

    def __init__(self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None) -> None:
        super().__init__(size, scale_factor, "bilinear", align_corners=True)


class PixelShuffle(Spatial):
    """(…, C r², H, W) as (…, C, H r, W r), see `functional.pixel_shuffle`."""

    function = "pixel_shuffle"

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = upscale_factor


class PixelUnshuffle(Spatial):
    """The way back from `PixelShuffle`, see `functional.pixel_unshuffle`."""

    function = "pixel_unshuffle"

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = downscale_factor


class ChannelShuffle(Spatial):
    """The channels of each group dealt out in turn, see `functional.channel_shuffle`."""

    function = "channel_shuffle"

    def __init__(self, groups: int) -> None:
        self.groups = groups
