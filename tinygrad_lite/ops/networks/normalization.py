"""Normalisation: groups of entries with mean 0 and variance 1, then scaled and shifted."""

from math import prod
from typing import NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array, Example, primitive
from tinygrad_lite.ops.arithmetic.reductions import divided
from tinygrad_lite.sums import total_along

Axes = tuple[int, ...]


class Standard(NamedTuple):
    """The mean and the variance of each group, 1 / √(variance + ε), and the entries (x - mean) / √(variance + ε).

    `latest` holds the upstream gradient that the rules have met last, and its sums.
    """

    mean: Array
    variance: Array
    inverse: Array
    entries: Array
    latest: list[tuple[Array, Array, Array]]


def standard(x: Array, axes: Axes, eps: float) -> Standard:
    """Standardise the groups of entries along some axes."""
    count = prod([x.shape[i] for i in axes])
    mean = divided(total_along(x, axes), count)
    deviation = x - mean
    variance = divided(total_along(deviation * deviation, axes), count)
    inverse = 1 / np.sqrt(variance + eps)
    return Standard(mean, variance, inverse, deviation * inverse, [])


def _sums(g: Array, parts: Standard, axes: Axes) -> tuple[Array, Array]:
    """Σ g and Σ g · entries of each group; computed once for all rules that meet the same gradient."""
    latest = parts.latest[0] if parts.latest else (None, None, None)
    if latest[0] is not g:
        latest = g, total_along(g, axes), total_along(g * parts.entries, axes)
        parts.latest[:] = [latest]
    return latest[1:]


def _is_per_group(parameter: Array, x: Array, axes: Axes) -> bool:
    """Whether a weight or a bias has one entry for all entries of a group."""
    missing = x.ndim - parameter.ndim
    return all(i < missing or parameter.shape[i - missing] == 1 for i in axes)


def _normalization(x: Array, weight: Array, bias: Array, parts: Standard, axes: Axes, eps: float) -> Array:
    y = parts.entries if weight is None else parts.entries * weight
    if bias is None:
        return y
    if weight is None or type(y) is not type(bias) or y.dtype != bias.dtype:
        return y + bias
    y += bias  # in place, since nobody else holds the product
    return y


def _normalization_vjp(
    g: Array, y: Array, x: Array, weight: Array, bias: Array, parts: Standard, axes: Axes, eps: float
) -> Array:
    inverse = parts.inverse
    if weight is not None and _is_per_group(weight, x, axes):
        inverse = inverse * weight
    elif weight is not None:
        g = g * weight
    count = prod([x.shape[i] for i in axes])
    total, product = _sums(g, parts, axes)
    return inverse * (g - divided(total, count) - parts.entries * divided(product, count))


_EXAMPLES: list[Example] = [
    ([(4, 3), (3,), (3,)], {"axes": (0,), "eps": 0.1}),
    ([(3, 4), (4,), (4,)], {"axes": (1,), "eps": 0.1}),
    ([(2, 2, 3), (2, 1), (2, 1)], {"axes": (0, 2), "eps": 0.1}),
    ([(2, 3, 2), (3, 2), (3, 2)], {"axes": (1, 2), "eps": 0.1}),
]

normalization = primitive(
    _normalization,
    _normalization_vjp,
    lambda g, y, x, weight, bias, parts, axes, eps: (
        _sums(g, parts, axes)[1] if _is_per_group(weight, x, axes) else g * parts.entries
    ),
    lambda g, y, x, weight, bias, parts, axes, eps: _sums(g, parts, axes)[0] if _is_per_group(bias, x, axes) else g,
    shared=lambda x, weight, bias, axes, eps: standard(x, axes, eps),
    examples=_EXAMPLES,
)
