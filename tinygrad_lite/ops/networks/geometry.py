"""Where a kernel is put on an image."""

from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import numpy as np

from tinygrad_lite.errors import ShapeError
from tinygrad_lite.ops.shapes.windows import shown_at, window_counts

Sizes = tuple[int, ...]
Widths = tuple[tuple[int, int], ...]


class Geometry:
    """Where a kernel is put on an image, along each spatial axis: all sizes are in pixels."""

    def __init__(
        self, kernel: Sizes, stride: Sizes, dilation: Sizes, padding: Widths, size: Sizes, padded: Sizes, out: Sizes
    ) -> None:
        self.kernel, self.stride, self.dilation, self.padding = kernel, stride, dilation, padding
        self.size, self.padded, self.out = size, padded, out

    @cached_property
    def inside(self) -> tuple[slice, ...]:
        """The place of the image in the padded one."""
        return tuple([slice(before, before + n) for (before, _), n in zip(self.padding, self.size)])

    @cached_property
    def is_pointwise(self) -> bool:
        """Whether a kernel of one pixel is put on each pixel, once."""
        return {*self.kernel, *self.stride} == {1} and self.padded == self.size

    @cached_property
    def reach(self) -> Sizes:
        """How far a kernel reaches."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation))

    @cached_property
    def among(self) -> tuple[Any, ...]:
        """For each place of the kernel, the index among the windows, with the channels in front."""
        return tuple((slice(None), *place) for place in np.ndindex(*self.kernel))

    @cached_property
    def shown(self) -> tuple[tuple[slice, ...], ...]:
        """For each place of the kernel, the index in the padded image of what it reads."""
        return tuple([shown_at(place, self.out, self.stride, self.dilation) for place in np.ndindex(*self.kernel)])

    @cached_property
    def across(self) -> tuple[tuple[tuple[slice, ...], tuple[slice, ...]], ...]:
        """For each place of the kernel on the axes behind the first, which pixels read which, as two indices.

        The first is among the pixels of a row of the result, the second among those of the image without its border.
        """
        axes = [
            [_inside(k * d - before, n, m, s) for k in range(kernel)]
            for kernel, s, d, (before, _), n, m in zip(
                self.kernel, self.stride, self.dilation, self.padding, self.size, self.out
            )
        ]
        return tuple(tuple(zip(*place)) if place else ((), ()) for place in product(*axes[1:]))

    @lru_cache  # noqa: B019
    def read(self, rows: int) -> tuple[Any, ...]:
        """For each place of the kernel, the index in the padded image of what this many rows of the result read."""
        counts = rows, *self.out[1:]
        places = np.ndindex(*self.kernel)
        return tuple((slice(None), *shown_at(place, counts, self.stride, self.dilation)) for place in places)


def _inside(shift: int, size: int, count: int, stride: int) -> tuple[slice, slice]:
    """Which of `count` pixels, the i-th of which reads stride · i + shift, read inside an image, and what they read."""
    first = max(0, -(shift // stride))
    last = max(first, min(count, (size - 1 - shift) // stride + 1))
    start = stride * first + shift
    return slice(first, last), slice(start, max(start, start + stride * (last - first - 1) + 1), stride)


@lru_cache
def geometry(size: Sizes, kernel: Sizes, stride: Sizes, padding: Widths, dilation: Sizes) -> Geometry:
    """Where a kernel is put on an image of a size."""
    if 0 in kernel:
        raise ShapeError(f"a convolution needs a kernel with entries, got one of size {kernel}")
    padded = tuple(n + before + after for n, (before, after) in zip(size, padding))
    out = window_counts(padded, kernel, stride, dilation)
    return Geometry(kernel, stride, dilation, padding, size, padded, out)
