"""The weights of attention: a softmax of scores to which a mask is added, -∞ where nobody may look."""

import numpy as np

from tinygrad_lite.engine.op import Array, Example, primitive
from tinygrad_lite.ops.arithmetic.reductions import max as largest
from tinygrad_lite.sums import total_along


def _masked_softmax(scores: Array, mask: Array, empty: float = 1.0) -> Array:
    """softmax(scores + mask) along the last axis; a row without any weight is divided by `empty`, 1 or NaN."""
    masked = scores + mask
    finite = np.maximum(largest(masked, axis=-1, keepdims=True), np.finfo(masked.dtype).min)  # -∞ - -∞ would be NaN
    weights = np.exp(masked - finite)
    whole = total_along(weights, -1)
    return weights / np.where(np.equal(whole, 0), empty, whole)


def _slope(g: Array, y: Array) -> Array:
    return y * (g - total_along(g * y, -1))


_EXAMPLES: list[Example] = [([(2, 3), (2, 3)], {}), ([(4, 2, 3), (2, 3)], {}), ([(4, 2, 3), (4, 1, 3)], {})]

masked_softmax = primitive(
    _masked_softmax,
    lambda g, y, scores, mask, empty=1.0: _slope(g, y),
    lambda g, y, scores, mask, empty=1.0: _slope(g, y),
    kind="saturating",
    examples=_EXAMPLES,
)
