"""Normalisation: groups of entries with mean 0 and variance 1, then scaled and shifted."""

from collections.abc import Callable
from math import prod
from typing import NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array, Example, primitive
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.foundation.sums import total_along, total_of_products
from tinygrad_lite.ops.arithmetic.reductions import divided

Axes = tuple[int, ...]


class Standard(NamedTuple):
    """The mean and the variance of each group, 1 / √(variance + ε), and the entries (x - mean) / √(variance + ε).

    `met` remembers, by name, what the rules have made of an upstream gradient, with that gradient.
    """

    mean: Array
    variance: Array
    inverse: Array
    entries: Array
    met: dict[str, tuple[Array, Array]]

    def of(self, name: str, g: Array, make: Callable[[], Array]) -> Array:
        """What is made of a gradient, computed once for all rules that meet it."""
        known = self.met.get(name)
        if known is None or known[0] is not g:
            known = self.met[name] = g, make()
        return known[1]

    def laid(self, g: Array) -> Array:
        """g in the memory layout of the entries: arrays with different layouts take several times as long together."""
        entries = self.entries
        if type(g) is not type(entries) or type(g) is not np.ndarray or g.strides == entries.strides:
            return g
        return self.of("laid", g, lambda: _copied_to(np.empty_like(entries, g.dtype), g))

    def product(self, g: Array) -> Array:
        """g · entries."""
        return self.of("product", g, lambda: g * self.entries)

    def total(self, g: Array, axes: Axes) -> Array:
        """Σ g of each group."""
        return self.of("total", g, lambda: total_along(g, axes))

    def total_product(self, g: Array, axes: Axes) -> Array:
        """Σ g · entries of each group."""
        return self.of("total product", g, lambda: total_of_products(g, self.entries, axes))


def _copied_to(place: Array, x: Array) -> Array:
    place[...] = x
    return place


def standard(x: Array, axes: Axes, eps: float) -> Standard:
    """Standardise the groups of entries along some axes."""
    count = prod([x.shape[i] for i in axes])
    mean = divided(total_along(x, axes), count)
    entries = x - mean
    variance = divided(total_of_products(entries, entries, axes), count)
    inverse = 1 / np.sqrt(variance + eps)
    entries *= inverse  # in place, here and below: a new array would take as long as the product
    return Standard(mean, variance, inverse, entries, {})


def _weighted(x: Array, weight: Array, axes: Axes) -> Array:
    """Σ x · weight of each group; without an array of the products if a group is the last axis."""
    has_rows = type(x) is type(weight) is np.ndarray and axes == (x.ndim - 1,) and x.dtype.char in "fd"
    if has_rows and weight.shape == x.shape[-1:]:
        return np.dot(x, weight)[..., None]
    return total_along(x * weight, axes)


def _is_per_group(parameter: Array, x: Array, axes: Axes) -> bool:
    """Whether a weight or a bias has one entry for all entries of a group."""
    missing = x.ndim - parameter.ndim
    return all(i < missing or parameter.shape[i - missing] == 1 for i in axes)


def _normalization(x: Array, weight: Array, bias: Array, parts: Standard, axes: Axes, eps: float) -> Array:
    y = parts.entries if weight is None else parts.entries * weight
    if bias is not None:
        if weight is None or type(y) is not type(bias) or y.dtype != bias.dtype or bias.ndim > y.ndim:
            y = y + bias
        else:
            y += bias  # in place, since nobody else holds the product
    if y.shape != x.shape:
        raise ShapeError(f"a weight and a bias must broadcast to the shape {x.shape} of x, and they make it {y.shape}")
    return y


def _normalization_vjp(
    g: Array, y: Array, x: Array, weight: Array, bias: Array, parts: Standard, axes: Axes, eps: float
) -> Array:
    inverse, count, g = parts.inverse, prod([x.shape[i] for i in axes]), parts.laid(g)
    if weight is None or _is_per_group(weight, x, axes):
        inverse = inverse if weight is None else inverse * weight
        total, product = parts.total(g, axes), parts.total_product(g, axes)
    else:
        total, product = _weighted(g, weight, axes), _weighted(parts.product(g), weight, axes)
        g = g * weight
    slope = parts.entries * divided(product, count)
    slope += divided(total, count)  # in place, here and below: of large arrays, new ones take a fifth of the time
    slope -= g
    slope *= -inverse
    return slope


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
        parts.total_product(parts.laid(g), axes) if _is_per_group(weight, x, axes) else parts.product(parts.laid(g))
    ),
    lambda g, y, x, weight, bias, parts, axes, eps: (
        parts.total(parts.laid(g), axes) if _is_per_group(bias, x, axes) else g
    ),
    shared=lambda x, weight, bias, axes, eps: standard(x, axes, eps),
    examples=_EXAMPLES,
)
