"""Non-maximum suppression and deformable convolutions, for networks that detect objects."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.nn.functional.checks import values_of
from tinygrad_lite.ops.networks.between_pixels import pixels


def non_max_suppression(
    boxes: Array, scores: Array, most: Any = 0, overlap: Any = 0.0, threshold: Any = None, centered: bool = False
) -> Array:
    """The batch, class and index of each box that is kept: no better box overlaps it by more than a threshold."""
    boxes, scores = (values_of(x) for x in (boxes, scores))
    count, share = int(np.reshape(values_of(most), ())), float(np.reshape(values_of(overlap), ()))
    least = -np.inf if threshold is None else float(np.reshape(values_of(threshold), ()))
    if centered:
        low, high = boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2
    else:
        low, high = np.minimum(boxes[..., :2], boxes[..., 2:]), np.maximum(boxes[..., :2], boxes[..., 2:])
    chosen = []
    for batch, kind in np.ndindex(*scores.shape[:2]):
        kept: list[int] = []
        for k in np.argsort(-scores[batch, kind], kind="stable"):
            if len(kept) == count or scores[batch, kind, k] <= least:
                break
            if all(_overlap(low[batch, [k, j]], high[batch, [k, j]]) <= share for j in kept):
                kept.append(int(k))
        chosen += [(batch, kind, k) for k in kept]
    return np.array(chosen, np.int64).reshape(-1, 3)


def _overlap(low: Any, high: Any) -> float:
    """Intersection over union: the area that two boxes share, as a fraction of the area of both together."""
    shared = np.prod(np.maximum(high.min(axis=0) - low.max(axis=0), 0))
    together = np.prod(high - low, axis=1).sum() - shared
    return float(shared / together) if together > 0 else 0.0


def deformable_convolution(
    x: Array,
    weight: Array,
    offset: Array,
    bias: Array = None,
    mask: Array = None,
    strides: Any = (1, 1),
    pads: Any = (0, 0, 0, 0),
    dilations: Any = (1, 1),
    group: int = 1,
    offset_group: int = 1,
) -> Array:
    """A convolution that reads x at places moved by an offset, also between pixels.

    Source: Dai et al. (2017), Deformable convolutional networks; with the mask Zhu et al. (2019).
    """
    (n, c, *sizes), (made, _, *kernel), out = x.shape, weight.shape, offset.shape[2:]
    places = []
    moves = np.reshape(offset, (n, offset_group, *kernel, 2, *out))
    for axis in range(2):
        line = [np.arange(m).reshape(-1, *(1,) * (1 - axis)) for m in out]
        inside = [np.arange(k).reshape(-1, *(1,) * (3 - a)) for a, k in enumerate(kernel)]
        usual = line[axis] * strides[axis] - pads[axis] + inside[axis] * dilations[axis]
        places.append(usual.astype(offset.dtype) + moves[:, :, :, :, axis])
    channels = np.moveaxis(np.reshape(x, (n, offset_group, c // offset_group, *sizes)), 2, -1)
    front = tuple(np.arange(m).reshape(-1, *(1,) * (5 - k)) for k, m in enumerate((n, offset_group)))
    values = pixels(channels, front, places, sizes)
    if mask is not None:
        values = values * np.reshape(mask, (n, offset_group, *kernel, *out, 1))
    columns = np.reshape(np.moveaxis(values, -1, 2), (n, group, c // group, *kernel, *out))
    filters = np.reshape(weight, (group, made // group, c // group, *kernel))
    y = np.reshape(np.einsum("ngcklhw,gockl->ngohw", columns, filters), (n, made, *out))
    return y if bias is None else y + np.reshape(bias, (-1, 1, 1))
