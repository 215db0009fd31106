"""The normal distribution, since NumPy has no error function."""

from math import erfc, pi, sqrt
from typing import NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array, Traced, elementwise
from tinygrad_lite.ops.arithmetic.elementwise import exp_of_square


def normal_density(x: Array) -> Array:
    """φ(x) of the standard normal distribution."""
    return exp_of_square(x, factor=-0.5) / sqrt(2 * pi)


FEW = 250  # for fewer entries, Python's erfc takes less time than the polynomial
BLOCK = 32_768  # entries of a block: with smaller ones, the calls themselves take longer

# (z + c) Φ(-z) / φ(z) for z > 0 as a polynomial in (z - c) / (z + c), the highest power first: the Chebyshev series,
# cut off where the rest is below a quarter of the last digit, as far as φ(z) is not 0
_DOUBLE_CENTRE, _SINGLE_CENTRE = 5.0, 3.5
_DOUBLE = (
    *(5.3472982285321996857e-9, 1.8556263483858684813e-8, -2.634848874170406139e-8, -1.6551876074754039154e-7),
    *(1.1001640293842438076e-7, 1.0870518060378469145e-6, -8.4682324851189806031e-7, -6.9428968954711536227e-6),
    *(9.9800558369722971398e-6, 4.1814327044707158791e-5, -1.2473729244515361134e-4, -1.4883310153129229897e-4),
    *(0.0013658594796728051582, -0.0019999619531238999741, -0.0075032828583207022196, 0.052125502409260121072),
    *(-0.17325473408468362491, 0.41364471573286268209, -0.78591107554662018497, 1.2415470615738626279),
    *(-1.6678665951889593748, 1.9280810471531576599),
)
_SINGLE = (
    *(3.0002062306e-4, 0.0010917796193, -0.0012501673249, -0.0079879075006, 0.016275137194, 0.043639119175),
    *(-0.29090138243, 0.79065263518, -1.4176530798, 1.8659743898),
)


def by_polynomial(x: Array, density: Array) -> Array:
    """Φ(x) of an array in single or double precision, from it and φ(x)."""
    is_single = x.dtype == np.float32
    centre, (highest, *coefficients) = (_SINGLE_CENTRE, _SINGLE) if is_single else (_DOUBLE_CENTRE, _DOUBLE)
    t = np.absolute(np.clip(x, -40, 40))  # beyond, the tail is 0 already
    inverse = t + centre
    inverse = 1 / inverse
    t -= centre
    t *= inverse
    tail = highest * t
    tail += coefficients[0]
    for coefficient in coefficients[1:]:  # in place: a new array for each step would take longer than the step
        tail *= t
        tail += coefficient
    tail *= inverse
    tail *= density
    tail -= np.greater(x, 0)
    return np.absolute(tail)  # the tail, or 1 - tail


def _is_worth_blocks(x: Array) -> bool:
    return type(x) is np.ndarray and x.size > 2 * BLOCK and x.dtype.char in "fd" and x.flags.forc


def _in_blocks(x: Array) -> tuple[Array, Array]:
    """Φ and φ of an array without gaps; the polynomial's many passes go through blocks that stay in the cache."""
    made = np.empty_like(x), np.empty_like(x)
    entries, cdf, density = [part.ravel(order="K") for part in (x, *made)]  # views
    for start in range(0, x.size, BLOCK):
        block = slice(start, start + BLOCK)
        density[block] = normal_density(entries[block])
        cdf[block] = by_polynomial(entries[block], density[block])
    return made


def _normal_cdf(x: Array) -> Array:
    return _with_density(x, None)


def _with_density(x: Array, density: Array) -> Array:
    """Φ(x), which may take φ(x) from the caller."""
    x = np.asarray(x)
    dtype = np.result_type(x, 1.0)
    if x.size > FEW:
        z = x.astype(np.float32 if dtype.itemsize < 8 else np.float64, copy=False)
        if _is_worth_blocks(z):
            y, _ = _in_blocks(z)
        else:
            y = by_polynomial(z, normal_density(z) if density is None or density.dtype != z.dtype else density)
    else:
        y = np.fromiter(map(erfc, (x / -sqrt(2)).ravel().tolist()), float, x.size).reshape(x.shape) / 2
    return y.astype(dtype, copy=False)[()]


normal_cdf = elementwise(_normal_cdf, lambda y, x: normal_density(x), kind="saturating")


class Normal(NamedTuple):
    """The normal distribution at x: Φ(x) and φ(x)."""

    cdf: Array
    density: Array


def normal_at(x: Array) -> Normal:
    """Φ(x) and φ(x) together, which takes less time than one after the other."""
    if _is_worth_blocks(x):
        return Normal(*_in_blocks(x))
    density = normal_density(x)
    return Normal(normal_cdf(x) if isinstance(x, Traced) else _with_density(x, density), density)
