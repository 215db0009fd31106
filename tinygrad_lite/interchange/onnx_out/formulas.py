"""Formulas in NumPy for functions that ONNX lacks and that work entry by entry.

They run on the values of a graph, and keep the digits that the functions themselves keep.
"""

from math import ceil, fsum
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.gamma_functions import BERNOULLI
from tinygrad_lite.ops.networks import normal

LOG_2, LOG_10 = float(np.log(2)), float(np.log(10))


def _log1p(x: Array) -> Array:
    # the rounding of 1 + x is in the logarithm and in the quotient, and cancels; Goldberg (1991), theorem 4
    u = 1 + x
    small = np.equal(u, 1)
    quotient = np.log(u) * (x / np.where(small, 1, u - 1))
    return np.where(small, x, np.where(np.equal(u, np.inf), u, quotient))


def _expm1(x: Array) -> Array:
    u = np.exp(x)
    rest, small = u - 1, np.equal(u, 1)
    ordinary = ~(small | np.equal(rest, -1) | np.isinf(u))
    quotient = rest * (x / np.where(ordinary, np.log(np.where(ordinary, u, 2)), 1))
    return np.where(small, x, np.where(ordinary, quotient, rest))


def _signbit(x: Array) -> Array:
    if x.dtype.kind != "f":
        return np.less(x, 0)
    return np.less(x, 0) | (np.equal(x, 0) & np.less(np.divide(1, x), 0))


def _copysign(a: Array, b: Array) -> Array:
    size = abs(a)  # which leaves a Python number one
    if isinstance(b, (int, float)):
        return size if np.copysign(1, b) > 0 else -size
    return np.where(np.signbit(b), -size, size)


def _hypot(a: Array, b: Array) -> Array:
    a, b = abs(a), abs(b)
    larger, smaller = np.maximum(a, b), np.minimum(a, b)
    ordinary = np.greater(larger, 0) & np.isfinite(larger)
    ratio = smaller / np.where(ordinary, larger, 1)
    y = larger * np.sqrt(1 + ratio * ratio)
    return np.where(np.isinf(a) | np.isinf(b), np.inf, np.where(ordinary, y, larger))


def _cbrt(x: Array) -> Array:
    size = np.absolute(x)
    ordinary = np.greater(size, 0) & np.isfinite(size)
    size = np.where(ordinary, size, 1)
    y = size ** (1 / 3)
    y = y - (y - size / (y * y)) / 3  # 1/3 is rounded, so the power has not all digits
    return np.where(ordinary, np.sign(x) * y, x)


def _remainder(a: Array, b: Array) -> Array:
    rest = np.fmod(a, b)
    other = np.not_equal(rest, 0) & np.not_equal(np.less(rest, 0), np.less(b, 0))
    return np.where(other, rest + b, rest)


def _floor_divide(a: Array, b: Array) -> Array:
    rest = np.fmod(a, b)
    other = np.not_equal(rest, 0) & np.not_equal(np.less(rest, 0), np.less(b, 0))
    quotient = (a - rest) / b
    if rest.dtype.kind in "iu":
        return (quotient - other.astype(int)).astype(rest.dtype)
    quotient = np.where(other, quotient - 1, quotient)
    whole = np.floor(quotient)
    whole = np.where(np.greater(quotient - whole, 0.5), whole + 1, whole)
    return np.where(np.equal(b, 0), a / b, whole)


def _heaviside(x: Array, at_zero: Array) -> Array:
    step = np.greater(x, 0).astype(x.dtype)
    return np.where(np.equal(x, 0), at_zero, np.where(np.isnan(x), x, step))


def _trunc(x: Array) -> Array:
    return np.where(np.less(x, 0), np.ceil(x), np.floor(x)) if x.dtype.kind == "f" else x


def _fraction(x: Array) -> Array:
    return np.where(np.isinf(x), 0, x - np.trunc(x))


def _power_of_two(n: Array, dtype: Any) -> tuple[Array, Array]:
    """Two factors of 2ⁿ, each of which the dtype can hold."""
    half = np.floor_divide(n, 2)
    return np.power(2.0, half.astype(dtype)).astype(dtype), np.power(2.0, (n - half).astype(dtype)).astype(dtype)


def _ldexp(x: Array, exponent: Array) -> Array:
    first, second = _power_of_two(exponent, x.dtype)
    return x * first * second


def _frexp(x: Array) -> tuple[Array, Array]:
    ordinary = np.not_equal(x, 0) & np.isfinite(x)
    size = np.where(ordinary, np.absolute(x), 1)
    exponent = (np.floor(np.log2(size)) + 1).astype(np.int32)
    mantissa = np.ldexp(size, -exponent)
    # the logarithm of a number next to a power of two is rounded
    up, down = np.greater_equal(mantissa, 1), np.less(mantissa, 0.5)
    exponent = exponent + up.astype(np.int32) - down.astype(np.int32)
    mantissa = np.where(up, mantissa / 2, np.where(down, mantissa * 2, mantissa))
    return np.where(ordinary, np.copysign(mantissa, x), x), np.where(ordinary, exponent, 0)


def _logaddexp(a: Array, b: Array) -> Array:
    return np.where(np.equal(a, b), a + LOG_2, np.maximum(a, b) + np.log1p(np.exp(-np.absolute(a - b))))


def _logaddexp2(a: Array, b: Array) -> Array:
    rest = np.log1p(np.exp2(-np.absolute(a - b))) / LOG_2
    return np.where(np.equal(a, b), a + 1, np.maximum(a, b) + rest)


# Functions of angles, where onnxruntime has none in double precision

_ATAN_P: tuple[float, ...] = (-8.750608600031904122785e-1, -1.615753718733365076637e1, -7.500855792314704667340e1)
_ATAN_P += (-1.228866684490136173410e2, -6.485021904942025371773e1)
_ATAN_Q: tuple[float, ...] = (2.485846490142306297962e1, 1.650270098316988542046e2, 4.328810604912902668951e2)
_ATAN_Q += (4.853903996359136964868e2, 1.945506571482613964425e2)


def _polynomial(z: Array, coefficients: Any) -> Array:
    y = z * 0 + coefficients[0]
    for c in coefficients[1:]:
        y = y * z + c
    return y


def _arctan(x: Array) -> Array:
    """Source: Moshier, Cephes, atan.c: a quotient of polynomials up to 0.66, and rotations by π/4 and π/2."""
    size = np.absolute(x)
    far, middle = np.greater(size, 2.414213562373095), np.greater(size, 0.66)
    outer = -1 / np.where(far, size, 1)
    inner = np.where(middle & ~far, (size - 1) / (np.where(far, 1, size) + 1), np.where(far, 0, size))
    t = np.where(far, outer, inner)
    z = t * t
    y = t * (z * _polynomial(z, _ATAN_P) / _polynomial(z, (1.0, *_ATAN_Q))) + t
    rest = 6.123233995736765886130e-17  # of π/2 in double precision
    y = np.where(far, np.pi / 2 + (y + rest), np.where(middle, np.pi / 4 + (y + rest / 2), y))
    return np.where(np.equal(x, 0), x, np.copysign(y, x))


def _arctan2(a: Array, b: Array) -> Array:
    above, beside = np.absolute(a), np.absolute(b)
    neither, both = np.equal(above, 0) & np.equal(beside, 0), np.isinf(above) & np.isinf(beside)
    steep = np.greater(above, beside)
    large, small = np.where(steep, above, beside), np.where(steep, beside, above)
    ratio = np.where(neither, 0, np.where(both, 1, small / np.where(neither | both, 1, large)))
    angle = np.arctan(ratio)
    angle = np.where(steep, np.pi / 2 - angle, angle)
    return np.copysign(np.where(np.signbit(b), np.pi - angle, angle), a)


def _sinh(x: Array) -> Array:
    # eˣ as a square, which may overflow where half of it does not
    size = np.absolute(x)
    u, half = np.expm1(np.minimum(size, 1)), np.exp(size / 2)
    y = np.where(np.less(size, 1), (u + u / (u + 1)) / 2, half / 2 * half - np.exp(-size) / 2)
    return np.where(np.equal(x, 0), x, np.copysign(y, x))


def _cosh(x: Array) -> Array:
    half = np.exp(np.absolute(x) / 2)
    return half / 2 * half + 0.5 / half / half


def _arcsinh(x: Array) -> Array:
    size = np.absolute(x)
    huge = np.greater(size, 1e8)
    near = np.where(huge, 1, size)
    y = np.where(huge, np.log(size) + LOG_2, np.log1p(near + near * near / (1 + np.sqrt(1 + near * near))))
    return np.where(np.equal(x, 0), x, np.copysign(y, x))


def _arccosh(x: Array) -> Array:
    huge = np.greater(x, 1e8)
    t = np.where(huge, 1, x - 1)
    return np.where(huge, np.log(x) + LOG_2, np.log1p(t + np.sqrt(t) * np.sqrt(t + 2)))


def _arctanh(x: Array) -> Array:
    size = np.absolute(x)
    y = 0.5 * np.log1p(2 * size / (1 - size))
    y = np.where(np.equal(size, 1), np.inf, y)
    return np.where(np.equal(x, 0), x, np.copysign(y, x))


def _sinc(x: Array) -> Array:
    z = np.pi * np.where(np.equal(x, 0), 1, x)
    return np.where(np.equal(x, 0), 1, np.sin(z) / z)


def _i0(x: Array) -> Array:
    # the mean of e^(x cos t) over the circle; a hundred points give all digits
    cosine = np.cos(np.pi / 128 * (np.arange(64) + 0.5))
    return np.mean(np.cosh(np.expand_dims(x, -1) * cosine), axis=-1).astype(x.dtype)


# What works by cases


def _fmax(a: Array, b: Array) -> Array:
    return np.where(np.isnan(a), b, np.where(np.isnan(b), a, np.maximum(a, b)))


def _fmin(a: Array, b: Array) -> Array:
    return np.where(np.isnan(a), b, np.where(np.isnan(b), a, np.minimum(a, b)))


def _clip(x: Array, low: Array, high: Array) -> Array:
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _nan_to_num(x: Array, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Array:
    if x.dtype.kind != "f":
        return x
    limits = np.finfo(x.dtype)
    high, low = (float(limits.max) if posinf is None else posinf), (float(limits.min) if neginf is None else neginf)
    x = np.where(np.isnan(x), nan, x)
    return np.where(np.equal(x, np.inf), high, np.where(np.equal(x, -np.inf), low, x))


def _round(x: Array, decimals: int = 0) -> Array:
    if decimals == 0 or x.dtype.kind != "f":
        return np.rint(x) if decimals >= 0 else None
    scale = 10.0 ** abs(decimals)
    return np.rint(x * scale) / scale if decimals > 0 else np.rint(x / scale) * scale


def _angle(z: Array, deg: bool = False) -> Array:
    return np.where(np.isnan(z), z, np.where(np.signbit(z), 180.0 if deg else np.pi, 0.0))


def _isclose(a: Array, b: Array, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Array:
    close = np.less_equal(np.absolute(a - b), atol + rtol * np.absolute(b)) & np.isfinite(b)
    close = close | np.equal(a, b)
    return close | (np.isnan(a) & np.isnan(b)) if equal_nan else close


def _bit_count(x: Array) -> Array:
    bits = 2 ** np.arange(x.dtype.itemsize * 8 - 1)
    size = np.absolute(x).astype(np.int64)
    return np.sum(np.not_equal(np.bitwise_and(np.expand_dims(size, -1), bits), 0), axis=-1)


def _gcd(a: Array, b: Array) -> Array:
    a, b = np.absolute(a), np.absolute(b)
    for _ in range(ceil(1.45 * a.dtype.itemsize * 8)):  # Fibonacci's numbers take the most divisions
        over = np.equal(b, 0)
        a, b = np.where(over, a, b), np.where(over, 0, np.remainder(a, np.where(over, 1, b)))
    return a


def _lcm(a: Array, b: Array) -> Array:
    divisor = np.gcd(a, b)
    return np.absolute(np.floor_divide(a, np.where(np.equal(divisor, 0), 1, divisor)) * b)


def _lgamma(x: Array) -> Array:
    """log Γ(x) for x > 0: a series around 2, or Stirling's series at x + 8, less the logarithm of what is between.

    Source: DLMF 5.7.3 and 5.11.1.
    """
    z = x.astype(float)
    near, below = np.less(z, 2.5), np.less(z, 1.5)
    e = np.where(near, np.where(below, z - 1, z - 2), 0)
    series: Any = 0.0
    for k, rest in reversed(_ZETA_LESS_1):
        series = series * e + (-1) ** k * rest / k
    around = e * (_ONE_LESS_EULER + series * e) - np.where(below, np.log(z), 0)
    huge = np.greater(z, 1e17)
    size = np.where(huge, z, 1)
    far = np.where(huge, 1, z) + 8
    between: Any = 1.0
    stirling: Any = 0.0
    for k in range(1, 9):
        between = between * (far - k)
    for j, number in reversed(list(enumerate(BERNOULLI, 1))):
        stirling = stirling / (far * far) + number / (2 * j * (2 * j - 1))
    y = (far - 0.5) * np.log(far) - far + 0.5 * float(np.log(2 * np.pi)) + stirling / far - np.log(between)
    y = np.where(huge, size * (np.log(size) - 1), np.where(near, around, y))
    return np.where(np.less(z, 0), np.nan, y).astype(x.dtype)


def _zeta_less_1(k: int, n: int = 200) -> float:
    """ζ(k) - 1, by Euler and Maclaurin."""
    tail = n ** (1 - k) / (k - 1) - n**-k / 2 + k * n ** (-k - 1) / 12
    return fsum([m**-k for m in range(2, n + 1)] + [tail, -k * (k + 1) * (k + 2) * n ** (-k - 3) / 720])


_ZETA_LESS_1 = [(k, _zeta_less_1(k)) for k in range(2, 52)]
_ONE_LESS_EULER = 1 - float(np.euler_gamma)


def _times(factor: float) -> Any:
    return lambda x: x * factor


ENTRY_BY_ENTRY: dict[Any, Any] = {
    np.log1p: _log1p,
    np.expm1: _expm1,
    np.log2: lambda x: np.log(x) / LOG_2,
    np.log10: lambda x: np.log(x) / LOG_10,
    np.square: lambda x: x * x,
    np.fabs: np.absolute,
    np.float_power: lambda a, b: np.power(a.astype(float) if hasattr(a, "dtype") else a, b),
    np.exp2: lambda x: np.power(np.asarray(2, x.dtype), x),
    np.signbit: _signbit,
    np.copysign: _copysign,
    np.hypot: _hypot,
    np.cbrt: _cbrt,
    np.remainder: _remainder,
    np.floor_divide: _floor_divide,
    np.heaviside: _heaviside,
    np.trunc: _trunc,
    "fraction": _fraction,
    np.ldexp: _ldexp,
    "mantissa": lambda x: _frexp(x)[0],
    "exponent": lambda x: _frexp(x if x.dtype.kind == "f" else x.astype(float))[1],
    np.logaddexp: _logaddexp,
    np.logaddexp2: _logaddexp2,
    np.tan: lambda x: np.sin(x) / np.cos(x),
    np.arctan: _arctan,
    np.arcsin: lambda x: 2 * np.arctan(x / (1 + np.sqrt((1 - x) * (1 + x)))),
    np.arccos: lambda x: 2 * np.arctan(np.sqrt((1 - x) / (1 + x))),
    np.arctan2: _arctan2,
    np.sinh: _sinh,
    np.cosh: _cosh,
    np.arcsinh: _arcsinh,
    np.arccosh: _arccosh,
    np.arctanh: _arctanh,
    np.degrees: _times(180 / np.pi),
    np.rad2deg: _times(180 / np.pi),
    np.radians: _times(np.pi / 180),
    np.deg2rad: _times(np.pi / 180),
    np.sinc: _sinc,
    np.i0: _i0,
    np.fmax: _fmax,
    np.fmin: _fmin,
    "clip": _clip,
    "nan_to_num": _nan_to_num,
    "round": _round,
    np.angle: _angle,
    "imag": lambda x: np.zeros(x.shape, x.dtype),
    np.isfinite: lambda x: ~(np.isnan(x) | np.isinf(x)),
    np.isposinf: lambda x: np.equal(x, np.inf),
    np.isneginf: lambda x: np.equal(x, -np.inf),
    np.isreal: lambda x: np.equal(x, x) | np.not_equal(x, x),
    np.iscomplex: lambda x: np.equal(x, x) & np.not_equal(x, x),
    np.not_equal: lambda a, b: ~np.equal(a, b),
    np.isclose: _isclose,
    np.isnan: lambda x: np.not_equal(x, x),  # of whole numbers
    np.isinf: lambda x: np.not_equal(x, x),
    np.bitwise_count: _bit_count,
    np.gcd: _gcd,
    np.lcm: _lcm,
    "lgamma": _lgamma,
    np.left_shift: lambda a, b: a * np.power(2, b),
    np.right_shift: lambda a, b: np.floor_divide(a, np.power(2, b)),
    "normal_cdf": lambda x: normal.by_polynomial(x, normal.normal_density(x)),
}
