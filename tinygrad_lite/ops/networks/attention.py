"""The weights of attention: a softmax of scores plus a mask, which is -∞ where a query must not look."""

import numpy as np

from tinygrad_lite.engine.op import Array, Example, primitive
from tinygrad_lite.foundation.sums import in_dtype_of, in_single, total_along
from tinygrad_lite.ops.arithmetic.extrema import max as largest
from tinygrad_lite.ops.networks.activations import are_moderate, softmax_vjp


def _masked_softmax(scores: Array, mask: Array, empty: float = 1.0) -> Array:
    """softmax(scores + mask) along the last axis; a row without any weight is divided by `empty`, 1 or NaN."""
    summed = scores + mask
    masked = in_single(summed)
    if 0 in np.shape(masked):
        return summed
    if not are_moderate(masked):
        masked -= np.maximum(largest(masked, axis=-1, keepdims=True), np.finfo(masked.dtype).min)  # -∞ - -∞ is NaN
    weights = np.exp(masked)
    whole = total_along(weights, -1)
    weights /= np.where(np.equal(whole, 0), empty, whole)
    return in_dtype_of(weights, summed)


_EXAMPLES: list[Example] = [([(2, 3), (2, 3)], {}), ([(4, 2, 3), (2, 3)], {}), ([(4, 2, 3), (4, 1, 3)], {})]

masked_softmax = primitive(
    _masked_softmax,
    lambda g, y, scores, mask, empty=1.0: softmax_vjp(g, y, scores),
    lambda g, y, scores, mask, empty=1.0: softmax_vjp(g, y, scores),
    kind="saturating",
    examples=_EXAMPLES,
)
