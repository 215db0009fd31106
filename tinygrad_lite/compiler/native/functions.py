"""Functions of one entry or two as plain arithmetic, which LLVM turns into vector instructions.

They contain no branch and no call. Each is right to the last digits of float64 or float32, including at zeros,
infinities and NaN.
"""

from collections.abc import Callable, Sequence
from math import factorial
from typing import Any

import numpy as np

from tinygrad_lite.compiler.native.emission import Entry

LN2 = float(np.log(2))
LN2_HIGH = {8: 6.93147180369123816490e-01, 4: 0.693359375}  # few enough bits that n · LN2_HIGH is exact
LN2_LOW = {8: 1.90821492927058770002e-10, 4: -2.12194440e-4}
_EXPONENT_BITS = {8: 52, 4: 23}  # where the exponent begins
_BIAS = {8: 1023, 4: 127}
_LIMITS = {8: (-746.0, 711.0), 4: (-104.0, 90.0)}  # eˣ is 0 below the first, and eˣ / 2 infinite above the second
_TERMS = {8: 13, 4: 7}


def _polynomial(x: Entry, coefficients: Sequence[float]) -> Entry:
    """The polynomial with these coefficients, that of the highest power first."""
    first, *others = coefficients
    p = x.like(first)
    for coefficient in others:
        p = p * x + coefficient
    return p


def _rounded(x: Entry) -> tuple[Entry, Entry]:
    """The nearest whole number, as a real number and as an integer, if |x| < 2⁵¹ (in float32, 2²²)."""
    to_whole = x.like(1.5 * 2.0 ** _EXPONENT_BITS[x.dtype.itemsize])  # adding and subtracting it rounds
    shifted = x + to_whole
    return shifted.made(f"fsub {x.type} {shifted.text}, {to_whole.text}"), shifted.bits - to_whole.bits


def exp(x: Entry) -> Entry:
    """The exponential."""
    return _scaled_exp(x, 0)


def _scaled_exp(x: Entry, power: int) -> Entry:
    """eˣ times a power of 2, as 2ⁿ eʳ with |r| ≤ ln 2 / 2, and the Taylor polynomial for eʳ."""
    size = x.dtype.itemsize
    lowest, highest = _LIMITS[size]
    t = (x < lowest).chooses(lowest, (x > highest).chooses(highest, x))
    n, whole = _rounded(t * (1 / LN2))
    r = (t - n * LN2_HIGH[size]) - n * LN2_LOW[size]
    p = _polynomial(r, [1 / factorial(k) for k in reversed(range(_TERMS[size] + 1))])
    if power:
        whole = whole + power
    half = whole >> 1  # 2ⁿ in two factors, since it may be too large or too small for one
    first = ((half + _BIAS[size]) << _EXPONENT_BITS[size]).of_bits
    second = ((whole - half + _BIAS[size]) << _EXPONENT_BITS[size]).of_bits
    return p * first * second


_LOG = {
    8: (1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
        2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01),
    4: (0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693),
}  # fmt: skip
_ONE = {8: 0x3FF0000000000000, 4: 0x3F800000}
_ROOT_HALF = {8: 0x3FE6A09E667F3BCD, 4: 0x3F3504F3}
_SMALLEST = {8: (2.2250738585072014e-308, 54), 4: (1.17549435e-38, 25)}  # smallest normal number, and what scales it


def log(x: Entry) -> Entry:
    """The logarithm, as k ln 2 + log m with √½ ≤ m < √2; log m by the series of fdlibm's e_log.c and e_logf.c."""
    size = x.dtype.itemsize
    smallest, shift = _SMALLEST[size]
    is_small = x < smallest
    bits = (x * is_small.chooses(x.like(2.0**shift), 1.0)).bits + (_ONE[size] - _ROOT_HALF[size])
    k = ((bits >> _EXPONENT_BITS[size]) - _BIAS[size]).cast(x.dtype) - is_small.chooses(x.like(float(shift)), 0.0)
    f = ((bits & (1 << _EXPONENT_BITS[size]) - 1) + _ROOT_HALF[size]).of_bits - 1.0
    s = f / (f + 2.0)
    z = s * s
    p = _polynomial(z, _LOG[size])
    square = f * 0.5 * f
    y = k * LN2_HIGH[size] - ((square - (s * (square + p * z) + k * LN2_LOW[size])) - f)
    y = (x < np.inf).chooses(y, x)  # keeps NaN, too
    y = (x < 0.0).chooses(x.like(np.nan), y)
    return x.equals(0.0).chooses(x.like(-np.inf), y)


def log1p(x: Entry) -> Entry:
    """The logarithm of 1 + x, with a correction for the rounding of 1 + x."""
    w = x + 1.0
    exact = x.made(f"fsub {x.type} {w.text}, {x.like(1.0).text}")
    lost = ((w > 0.0) & (w < np.inf)).chooses((x - exact) / w, 0.0)
    return w.equals(1.0).chooses(x, log(w) + lost)


def logaddexp(a: Entry, b: Entry) -> Entry:
    """log(eᵃ + eᵇ): the larger number, and the logarithm of 1 + e to the minus distance."""
    difference = a - b
    larger = (difference > 0.0).chooses(a, b)
    terms = larger + log1p(exp(-difference.intrinsic("fabs")))
    return a.equals(b).chooses(a + LN2, difference.is_nan.chooses(difference, terms))


_TANH = {  # numerator and denominator near 0
    8: ((-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3),
        (1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3)),
    4: ((-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1), (1.0,)),
}  # fmt: skip


def tanh(x: Entry) -> Entry:
    """The hyperbolic tangent: 1 - 2 / (e²ˣ + 1), and near 0 by the rational function of Cephes."""
    size = x.intrinsic("fabs")
    far = 1.0 - 2.0 / (exp(size * 2.0) + 1.0)
    z = x * x
    p, q = (_polynomial(z, coefficients) for coefficients in _TANH[x.dtype.itemsize])
    ratio = p / q if len(_TANH[x.dtype.itemsize][1]) > 1 else p
    return (size < 0.625).chooses(x * (z * ratio + 1.0), far.intrinsic("copysign", x))


def cosh(x: Entry) -> Entry:
    """The hyperbolic cosine: h + 1 / (4 h) with h = e^|x| / 2, which overflows no earlier than the result."""
    half = _scaled_exp(x.intrinsic("fabs"), -1)
    return half + 0.25 / half


_HALF_PI = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
"""π / 2 in parts, the first two of 33 bits, so that their products with n < 2¹⁵ are exact; as in fdlibm."""
_SIN = (1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06,
        -1.98412698298579493134e-04, 8.33333333332248946124e-03, -1.66666666666666324348e-01)  # fmt: skip
_COS = (-1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07,
        2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02)  # fmt: skip
FAR = 51_000.0
"""The largest angle that can be reduced by n quarters of a turn, n < 2¹⁵."""


def _turned(x: Entry, quarters: int) -> Entry:
    """The sine of an angle in float64, |x| ≤ FAR, some quarters of a turn ahead, by fdlibm's k_sin.c and k_cos.c."""
    n, whole = _rounded(x * (2 / np.pi))
    whole = whole + quarters
    first, second, third = _HALF_PI
    near, taken = x - n * first, n * second
    r = near - taken
    back = r - near
    rest = ((near - (r - back)) - (taken + back)) - n * third
    y = r + rest
    tail = (r - y) + rest
    z = y * y
    *others, cubic = _SIN
    sine = y - ((z * (tail * 0.5 - z * y * _polynomial(z, others)) - tail) - z * y * cubic)
    half = z * 0.5
    w = 1.0 - half
    cosine = w + (((1.0 - w) - half) + (z * z * _polynomial(z, _COS) - y * tail))
    turned = (whole & 1).differs(0).chooses(cosine, sine)
    return (whole & 2).differs(0).chooses(-turned, turned)


def sin(x: Entry) -> Entry:
    """The sine, |x| ≤ FAR."""
    return x.equals(0.0).chooses(x, _turned(x, 0))  # keeps the sign of a zero


def cos(x: Entry) -> Entry:
    """The cosine, |x| ≤ FAR."""
    return _turned(x, 1)


BY_NUMPYS: dict[Any, Callable[[Entry], Entry]] = {
    np.exp: exp,
    np.log: log,
    np.log1p: log1p,
    np.tanh: tanh,
    np.cosh: cosh,
}
"""The NumPy function that each of them computes."""
OF_TWO: dict[Any, Callable[[Entry, Entry], Entry]] = {np.logaddexp: logaddexp}
"""The same of two entries; the result is right to the last digits of the larger one."""
WITHIN: dict[Any, Callable[[Entry], Entry]] = {np.sin: sin, np.cos: cos}
"""The same of entries in float64 up to FAR; larger ones are for NumPy's own loop."""
