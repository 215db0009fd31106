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

# (z + 6) Φ(-z) / φ(z) for z > 0 as a polynomial in (z - 6) / (z + 6), the highest power first: the Chebyshev series,
# cut off where the rest is below a quarter of the last digit
_DOUBLE = (
    *(-8.530934596657190385e-10, -9.0372098626967468474e-10, 1.1697091589014398108e-8, 7.087974401694241218e-9),
    *(-1.0286711933519800065e-7, 1.7164141509358078357e-8, 7.6959423460289832719e-7, -1.0766450945374235737e-6),
    *(-4.5043973780308691154e-6, 1.7036818975396529498e-5, 2.6928306762085482547e-6, -1.6230983181152882235e-4),
    *(4.5460414842582507161e-4, 8.2393144292572880446e-5, -5.343142079528957103e-3, 2.5141031962779742681e-2),
    *(-7.7668667928042989128e-2, 1.8842804927879810643e-1, -3.82712586671449892e-1, 6.7171182149934728929e-1),
    *(-1.0375024310762126949, 1.4261935116084092472, -1.7571690543441036269, 1.9485319307624095199),
)
_SINGLE = (
    *(-1.1042605616e-4, 4.4062662731e-4, 1.451409993e-5, -5.3174708814e-3, 2.5186152915e-2, -7.7686318522e-2),
    *(1.8841249769e-1, -3.827070686e-1, 6.7171438692e-1, -1.0375031503, 1.4261933524, -1.7571690279, 1.9485319324),
)


def by_polynomial(x: Array, density: Array) -> Array:
    """Φ(x) of an array in single or double precision, from it and φ(x)."""
    z = np.minimum(np.absolute(x), 40)  # where the tail is 0 already
    inverse = 1 / (z + 6)
    t = (z - 6) * inverse
    highest, *coefficients = _SINGLE if x.dtype == np.float32 else _DOUBLE
    tail = highest * t
    tail += coefficients[0]
    for coefficient in coefficients[1:]:  # in place: a new array for each step would take longer than the step
        tail *= t
        tail += coefficient
    tail *= inverse
    tail *= density
    return np.absolute(np.greater(x, 0) - tail)  # the tail, or 1 - tail


def _normal_cdf(x: Array) -> Array:
    return _with_density(x, None)


def _with_density(x: Array, density: Array) -> Array:
    """Φ(x), which may take φ(x) from the caller."""
    x = np.asarray(x)
    dtype = np.result_type(x, 1.0)
    if x.size > FEW:
        z = x.astype(np.float32 if dtype.itemsize < 8 else np.float64, copy=False)
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
    density = normal_density(x)
    return Normal(normal_cdf(x) if isinstance(x, Traced) else _with_density(x, density), density)
