"""Forms: what an operation does to one entry in C: by the forms of native code, or by a function of libm."""

from collections.abc import Callable
from math import log, pi
from typing import Any

import numpy as np

from tinygrad_lite.compiler.c.emission import TYPES, Entry
from tinygrad_lite.compiler.native import scalars
from tinygrad_lite.compiler.native.scalars import Form
from tinygrad_lite.compiler.program import Instruction


def _remainder(a: Entry, b: Entry) -> Entry:
    """The remainder with the sign of the divisor."""
    rest = a.function("fmod", b)
    is_other = rest.differs(0) & (rest < 0).differs(b < 0)
    return is_other.chooses(rest + b, rest.equals(0).chooses(rest.like(0).function("copysign", b), rest))


def _remainder_of_integers(a: Entry, b: Entry) -> Any:
    """The remainder of integers; 0 for the divisors 0 and -1, for which C leaves it undefined."""
    rest = a.made(a, " % ", (b.equals(0) | b.equals(-1)).chooses(b.like(1), b))
    return (rest.differs(0) & (rest < 0).differs(b < 0)).chooses(rest + b, rest)


def _floor_divide_of_integers(a: Entry, b: Entry) -> Any:
    """The quotient rounded down; as in NumPy, 0 for the divisor 0, and the smallest integer divided by -1 is itself."""
    divisor = (b.equals(0) | b.equals(-1)).chooses(b.like(1), b)
    quotient = a.made(a, " / ", divisor)
    rest = a - quotient * divisor
    rounded = (rest.differs(0) & (rest < 0).differs(b < 0)).chooses(quotient - 1, quotient)
    return b.equals(0).chooses(b, b.equals(-1).chooses(-a, rounded))


def _floor_divide(a: Entry, b: Entry) -> Entry:
    """The quotient rounded down, made of the remainder so that it is right next to whole numbers, too."""
    rest = a.function("fmod", b)
    quotient = (a - rest) / b - (rest.differs(0) & (rest < 0).differs(b < 0)).chooses(rest.like(1), 0)
    whole = quotient.function("floor")
    nearest = (quotient - whole > 0.5).chooses(whole + 1, whole)
    return b.equals(0).chooses(a / b, quotient.equals(0).chooses(rest.like(0).function("copysign", a / b), nearest))


def _heaviside(x: Entry, half: Entry) -> Entry:
    return x.is_nan.chooses(x, x.equals(0).chooses(half, (x > 0).chooses(x.like(1), 0)))


def _logaddexp(a: Entry, b: Entry) -> Entry:
    difference = a - b
    larger = (difference > 0).chooses(a, b)
    terms = larger + (-difference.function("fabs")).function("exp").function("log1p")
    return a.equals(b).chooses(a + log(2), difference.is_nan.chooses(difference, terms))


def _logaddexp2(a: Entry, b: Entry) -> Entry:
    difference = a - b
    larger = (difference > 0).chooses(a, b)
    terms = larger + (-difference.function("fabs")).function("exp2").function("log1p") * (1 / log(2))
    return a.equals(b).chooses(a + 1, difference.is_nan.chooses(difference, terms))


_LIBMS = {
    "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2",
    "arctanh": "atanh", "cbrt": "cbrt", "cos": "cos", "cosh": "cosh", "erf": "erf", "erfc": "erfc", "exp": "exp",
    "exp2": "exp2", "expm1": "expm1", "float_power": "pow", "fmax": "fmax", "fmin": "fmin", "fmod": "fmod",
    "gammaln": "lgamma", "hypot": "hypot", "log": "log", "log10": "log10", "log1p": "log1p", "log2": "log2",
    "power": "pow", "sin": "sin", "sinh": "sinh", "tan": "tan", "tanh": "tanh",
}  # fmt: skip
FORMS: dict[str, Callable[..., Any]] = {
    **{name: (lambda *x, libms=libms: x[0].function(libms, *x[1:])) for name, libms in _LIBMS.items()},
    "degrees": lambda x: x * (180 / pi),
    "rad2deg": lambda x: x * (180 / pi),
    "radians": lambda x: x * (pi / 180),
    "deg2rad": lambda x: x * (pi / 180),
    "signbit": lambda x: x.made("signbit(", x, ") != 0", dtype=bool),
    "remainder": _remainder,
    "floor_divide": _floor_divide,
    "heaviside": _heaviside,
    "logaddexp": _logaddexp,
    "logaddexp2": _logaddexp2,
}
"""For ufuncs of floats, by name."""
_OF_INTEGERS = {"remainder": _remainder_of_integers, "floor_divide": _floor_divide_of_integers}


def form(call: Instruction) -> Form | None:
    """The form of an operation for these inputs; None if it has none."""
    if not all(x.dtype in TYPES for x in (*call.reads, call.result)):
        return None
    ufunc: Any = call.op.forward
    name = ufunc.__name__ if isinstance(ufunc, np.ufunc) else ""
    if name not in FORMS or call.params:
        return scalars.form(call)
    if name == "power" and (written := scalars.form(call)):
        return written  # as products
    *dtypes, made = scalars.loop_dtypes(ufunc, call.inputs)
    if name in _OF_INTEGERS and {dtype.kind for dtype in (*dtypes, made)} == {"i"} and made == call.result.dtype:
        fits = all(map(scalars.can_become, call.inputs, dtypes))
        return Form(name, _OF_INTEGERS[name], tuple(dtypes)) if fits else None
    if made != call.result.dtype or any(dtype.kind != "f" or dtype not in TYPES for dtype in dtypes):
        return None
    return Form(name, FORMS[name], tuple(dtypes)) if all(map(scalars.can_become, call.inputs, dtypes)) else None
