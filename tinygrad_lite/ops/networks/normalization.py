"""Normalisation: groups of entries with mean 0 and variance 1, then scaled and shifted."""

from math import prod
from typing import NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array, Example, primitive
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.foundation.sums import in_single, total_along, total_of_products
from tinygrad_lite.ops.arithmetic.reductions import divided
from tinygrad_lite.ops.networks.layouts import copied

Axes = tuple[int, ...]


class Standard(NamedTuple):
    """The mean and the variance of each group, 1 / √(variance + ε), and the entries (x - mean) / √(variance + ε)."""

    mean: Array
    variance: Array
    inverse: Array
    entries: Array


class _Sums(NamedTuple):
    """An upstream gradient g, Σ g and Σ g · entries over some axes, which stay with length 1."""

    g: Array
    total: Array
    product: Array


def _laid_as(entries: Array, g: Array) -> Array:
    """g in the memory layout of the entries: arrays with different layouts take several times as long together."""
    g = in_single(g)
    if type(g) is not type(entries) or type(g) is not np.ndarray or g.strides == entries.strides:
        return g
    return copied(g, np.empty_like(entries, g.dtype))


def standard(x: Array, axes: Axes, eps: float) -> Standard:
    """Standardise the groups of entries along some axes."""
    x, count = in_single(x), prod([x.shape[i] for i in axes])
    mean = divided(total_along(x, axes), count)
    entries = x - mean
    variance = divided(total_of_products(entries, entries, axes), count)
    inverse = 1 / np.sqrt(variance + eps)
    entries *= inverse  # in place, here and below: a new array would take as long as the product
    return Standard(mean, variance, inverse, entries)


def _constant_along(parameter: Array, x: Array, axes: Axes) -> Axes:
    """The axes of a group along which a weight or a bias has one entry, so that a sum over them comes before it."""
    missing = x.ndim - parameter.ndim
    return tuple([i for i in axes if i < missing or parameter.shape[i - missing] == 1])


def _weighted(x: Array, weight: Array, axes: Axes) -> Array:
    """Σ x · weight of each group, or of sums of x; without an array of the products if a group is the last axis."""
    has_rows = type(x) is type(weight) is np.ndarray and axes == (x.ndim - 1,) and x.dtype.char in "fd"
    if has_rows and weight.shape == x.shape[-1:]:
        return np.dot(x, weight)[..., None]
    return total_along(x * weight, axes)


def _normalization(x: Array, weight: Array, bias: Array, parts: Standard, axes: Axes, eps: float) -> Array:
    y = parts.entries if weight is None else parts.entries * weight
    if bias is not None:
        if weight is None or type(y) is not type(bias) or y.dtype != bias.dtype or bias.ndim > y.ndim:
            y = y + bias
        else:
            y += bias  # in place, since nobody else holds the product
    if x.dtype.char == "e":
        y = y.astype(np.result_type(*[part.dtype for part in (x, weight, bias) if part is not None]))
    if y.shape != x.shape:
        raise ShapeError(f"a weight and a bias must broadcast to the shape {x.shape} of x, and they make it {y.shape}")
    return y


def _normalization_adjoint(
    g: Array, y: Array, x: Array, weight: Array, bias: Array, parts: Standard, axes: Axes, eps: float
) -> _Sums:
    axes = axes if weight is None else _constant_along(weight, x, axes)
    entries, g = parts.entries, _laid_as(parts.entries, g)
    return _Sums(g, total_along(g, axes), total_of_products(g, entries, axes)) if axes else _Sums(g, g, g * entries)


def _normalization_vjp(
    g: Array, y: Array, x: Array, weight: Array, bias: Array, parts: Standard, sums: _Sums, axes: Axes, eps: float
) -> Array:
    inverse, count, (g, total, product) = parts.inverse, prod([x.shape[i] for i in axes]), sums
    if weight is not None and _constant_along(weight, x, axes) != axes:
        total, product, g = _weighted(total, weight, axes), _weighted(product, weight, axes), g * weight
    elif weight is not None:
        inverse = inverse * weight
    slope = parts.entries * divided(product, count)
    slope += divided(total, count)  # in place, here and below: of large arrays, new ones take a fifth of the time
    slope -= g
    slope *= -inverse
    return slope


def _by_bias(
    g: Array, y: Array, x: Array, weight: Array, bias: Array, parts: Standard, sums: _Sums, axes: Axes, eps: float
) -> Array:
    return sums.total if weight is not None and weight.shape == bias.shape else g


_EXAMPLES: list[Example] = [
    ([(4, 3), (3,), (3,)], {"axes": (0,), "eps": 0.1}),
    ([(3, 4), (4,), (4,)], {"axes": (1,), "eps": 0.1}),
    ([(2, 2, 3), (2, 1), (2, 1)], {"axes": (0, 2), "eps": 0.1}),
    ([(2, 3, 2), (3, 2), (3, 2)], {"axes": (1, 2), "eps": 0.1}),
]

normalization = primitive(
    _normalization,
    _normalization_vjp,
    lambda g, y, x, weight, bias, parts, sums, axes, eps: sums.product,
    _by_bias,
    shared=lambda x, weight, bias, axes, eps: standard(x, axes, eps),
    adjoint=_normalization_adjoint,
    examples=_EXAMPLES,
)
