"""Functions of one entry as plain arithmetic, which LLVM turns into vector instructions.

They contain no branch and no call. LLVM would otherwise call the C library's functions, which take one entry at a time
and five times as long. Each function is right to the last digits, including at zeros, infinities and NaN.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # their sum has 85 bits
ROUNDING = 1.5 * 2.0**52  # adding and subtracting it rounds to a whole number


def exp(x: Any) -> Any:
    """The exponential, as 2ⁿ eʳ with |r| ≤ ln 2 / 2, and the Taylor polynomial for eʳ."""
    t = min(max(x, -746.0), 710.0) if x == x else x
    n = (t * 1.4426950408889634 + ROUNDING) - ROUNDING
    r = (t - n * LN2_HIGH) - n * LN2_LOW
    p = 1.6059043836821613e-10
    p = p * r + 2.08767569878681e-09
    p = p * r + 2.505210838544172e-08
    p = p * r + 2.755731922398589e-07
    p = p * r + 2.7557319223985893e-06
    p = p * r + 2.48015873015873e-05
    p = p * r + 0.0001984126984126984
    p = p * r + 0.001388888888888889
    p = p * r + 0.008333333333333333
    p = p * r + 0.041666666666666664
    p = p * r + 0.16666666666666666
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    whole = np.int64(n)
    half = whole >> 1  # 2ⁿ in two factors, since it may be too large or too small for one
    first = np.int64((half + 1023) << 52).view(np.float64)
    second = np.int64((whole - half + 1023) << 52).view(np.float64)
    return p * first * second


def log(x: Any) -> Any:
    """The logarithm, as k ln 2 + log m with √½ ≤ m < √2; log m by the series of fdlibm's e_log.c."""
    x = np.float64(x)
    small = x < 2.2250738585072014e-308
    scaled = np.float64(x * (18014398509481984.0 if small else 1.0))
    bits = scaled.view(np.int64) + (0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    k = np.float64((bits >> 52) - 1023) - (54.0 if small else 0.0)
    f = np.int64((bits & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 1.479819860511658591e-01
    p = p * z + 1.531383769920937332e-01
    p = p * z + 1.818357216161805012e-01
    p = p * z + 2.222219843214978396e-01
    p = p * z + 2.857142874366239149e-01
    p = p * z + 3.999999999940941908e-01
    p = p * z + 6.666666666666735130e-01
    square = 0.5 * f * f
    y = k * LN2_HIGH - ((square - (s * (square + p * z) + k * LN2_LOW)) - f)
    y = y if x < np.inf else x  # keeps NaN, too
    y = np.float64(np.nan) if x < 0.0 else y
    return -np.inf if x == 0.0 else y


def log1p(x: Any) -> Any:
    """The logarithm of 1 + x, with a correction for the rounding of 1 + x."""
    x = np.float64(x)
    w = 1.0 + x
    lost = (x - (w - 1.0)) / w if 0.0 < w < np.inf else 0.0
    y = log(w) + lost
    return x if w == 1.0 else y


def tanh(x: Any) -> Any:
    """The hyperbolic tangent: 1 - 2 / (e²ˣ + 1), and near 0 by the rational function of Cephes."""
    x = np.float64(x)
    size = abs(x)
    far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0)
    z = x * x
    p = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z - 1.61468768441708447952e3
    q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3
    near = x * (1.0 + z * (p / q))
    return near if size < 0.625 else np.copysign(far, x)


BY_NUMPYS: dict[Any, Callable[[Any], Any]] = {np.exp: exp, np.log: log, np.log1p: log1p, np.tanh: tanh}
"""The NumPy function that each of them computes."""


@cache
def introduce() -> None:
    """Register the functions with Numba, so that compiled code may call them."""
    from numba.extending import register_jitable

    for function in BY_NUMPYS.values():
        register_jitable(error_model="numpy", fastmath={"contract"})(function)


def text() -> str:
    """The text of this file, on which machine code depends."""
    return Path(__file__).read_text(encoding="utf-8")
