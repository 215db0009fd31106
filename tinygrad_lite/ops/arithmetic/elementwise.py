"""Arithmetic and the elementary functions: NumPy's ufuncs as a calculus table.

Each line is an operation with the derivative of each argument, in y (the value) and x or a, b (the arguments).
"""

import math
from functools import cache, partial, reduce
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import POSITIVE, REAL, Array, Op, Rule, Traced, elementwise, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation import broadcasting
from tinygrad_lite.foundation.advice import refuse_out
from tinygrad_lite.foundation.sums import in_single, total_of_products_down_to
from tinygrad_lite.ops.kept import kept

LOG_2 = float(np.log(2))
LOG10_OF_E = float(np.log10(np.e))
_LONG = 12_000  # from this many entries on, clipping is faster than the larger or smaller of an array and a number
_MANY = 1024  # from this many entries on, several of NumPy's loops take less time than a slow one


def _is_zero(x: Array) -> Array:
    return np.equal(x, 0)


def _between_whole_numbers(x: Array) -> Array:
    return np.sin(np.pi * x)


def _whole_quotients(a: Array, b: Array) -> Array:
    return b * np.sin(np.pi * a / b) * np.minimum(1, np.absolute(b / a))


analytic = partial(elementwise, takes_complex=True)
"""Declare a function whose derivatives hold in the complex plane as well."""

add = analytic(np.add, 1, 1)
subtract = analytic(np.subtract, 1, -1)
multiply = analytic(np.multiply, lambda y, a, b: b, lambda y, a, b: a, linear=True)
subtract.compute = broadcasting.subtract  # people write differences of all pairs of vectors
divide = analytic(
    np.divide,
    lambda y, a, b: 1 / b if _is_known(b) else np.divide(1, b),  # it would make a float64 of a Python number
    lambda y, a, b: -y / b,
    kink=lambda a, b: b,
)


def _of_shared_divisor(g: Array, y: Array, a: Array, b: Array) -> Array:
    """-Σ(g y) / b, with the sum first, so that no array of all entries is made."""
    if b.shape == g.shape:
        return divide.vjps[1](g, y, a, b)
    summed = total_of_products_down_to(b.shape, g, y)
    sizes = np.absolute(summed)
    # if a product is too large, or too small for all digits, the quotient need not be
    if sizes.max() < np.inf and sizes.min() > (1e-280 if summed.dtype == np.float64 else 1e-20):
        return -summed / b
    return divide.vjps[1](g, y, a, b)


divide.for_large[1, divide.vjps[1]] = _of_shared_divisor
negative = analytic(np.negative, -1)
reciprocal = analytic(np.reciprocal, lambda y, x: -y * y, kink=lambda x: x)


def _is_known(x: Array) -> bool:
    """Whether an argument is a plain real number other than 0, so that no entry is an exception."""
    return isinstance(x, (int, float, np.integer, np.floating)) and x != 0


def _to_known_power(a: Array, b: float) -> Array:
    """aᵇ; products make a small whole power of an array, in a tenth of the time of np.power."""
    if type(a) is not np.ndarray or b % 1 != 0 or not 0 < abs(b) <= 8:
        return np.square(a) if b == 2 else np.power(a, b)
    return _product(a, int(b)) if b > 0 else 1 / _product(a, int(-b))


def _product(a: Array, n: int) -> Array:
    """a · a · … of n factors."""
    if n == 1:
        return a
    half = _product(a, n // 2)
    y = half * half
    if n % 2:
        y *= a
    return y


def _power_by_base(y: Array, a: Array, b: Array) -> Array:
    if _is_known(b):
        return b * _to_known_power(a, b - 1)
    # a⁰ is constant even at a = 0, where 0 · 0⁻¹ would be NaN
    return b * np.power(a, np.where(_is_zero(a) & _is_zero(b), 1.0, np.subtract(b, 1)))


def _power_by_exponent(y: Array, a: Array, b: Array) -> Array:
    if _is_known(a):
        return y * float(np.log(a))
    # 0ᵇ is constant for b > 0, where 0 · log 0 would be NaN
    return y * np.log(np.where(_is_zero(a) & np.greater(b, 0), 1.0, a))


power = analytic(np.power, _power_by_base, _power_by_exponent, domain=(POSITIVE, REAL))


def _power(a: Array, b: Array) -> Array:
    if type(b) in (int, float) and type(a) is np.ndarray:
        if b in range(3, 9) and a.dtype.kind == "f":
            return _product(a, int(b))
        if b == 0.5 and a.dtype.char in "egFDG":  # where NumPy's ** takes a root, and np.power fewer digits
            return np.sqrt(a)
    return np.power(a, b)


power.compute = _power  # NumPy takes a hundred times as long for the third power of a negative number
float_power = analytic(np.float_power, _power_by_base, _power_by_exponent, domain=(POSITIVE, REAL))

remainder = elementwise(np.remainder, 1, lambda y, a, b: -np.floor_divide(a, b), kink=_whole_quotients)
fmod = elementwise(np.fmod, 1, lambda y, a, b: -np.rint((a - y) / b), kink=_whole_quotients)
floor_divide = elementwise(np.floor_divide, 0, 0, kink=_whole_quotients)


@implements(np.divmod)
def divmod(a: Array, b: Array) -> tuple[Array, Array]:
    return floor_divide(a, b), remainder(a, b)


square = analytic(np.square, lambda y, x: 2 * x)
sqrt = analytic(np.sqrt, lambda y, x: 0.5 / y, domain=(POSITIVE,))
cbrt = elementwise(np.cbrt, lambda y, x: 1 / (3 * y * y), kink=lambda x: x)


def _over_distance(x: Array, a: Array, b: Array) -> Array:
    # 0 by convention at the origin, where the distance has a kink
    y = np.hypot(a, b)
    return x / np.where(_is_zero(y), 1, y)


def _cosine_of_angle(a: Array, b: Array) -> Array:
    return _over_distance(a, a, b)


# a / √(a² + b²); it is an operation of its own because the derivative of the quotient would cancel where a² ≫ b²
cosine_of_angle: Op = elementwise(
    _cosine_of_angle,
    lambda y, a, b: _over_distance(np.square(cosine_of_angle(b, a)), a, b),
    lambda y, a, b: -_over_distance(y * cosine_of_angle(b, a), a, b),
    kink=lambda a, b: np.hypot(a, b),
)


def _cosine_by_distance(a: Array, b: Array, y: Array) -> Array:
    """The same, where the distance is known: so it need not be computed again, unless it has a history itself."""
    return cosine_of_angle(a, b) if isinstance(y, Traced) else a / np.where(_is_zero(y), 1, y)


hypot = elementwise(
    np.hypot,
    lambda y, a, b: _cosine_by_distance(a, b, y),
    lambda y, a, b: _cosine_by_distance(b, a, y),
    kink=lambda a, b: np.hypot(a, b),
)


def _away_from_zero(y: Array, x: Array) -> Array:
    """The direction in which |x| grows, as a conjugate; 0 at 0, as are the derivatives of this."""
    return np.conjugate(x) / np.where(_is_zero(y), np.inf, y) if x.dtype.kind == "c" else np.sign(x)


absolute = elementwise(np.absolute, _away_from_zero, kink=lambda x: x, takes_complex=True)
fabs = elementwise(np.fabs, lambda y, x: np.sign(x), kink=lambda x: x)
sign = elementwise(np.sign, 0, kink=lambda x: x)
copysign = elementwise(np.copysign, lambda y, a, b: np.sign(a) * np.sign(y), 0, kink=lambda a, b: a * b)
nextafter = elementwise(np.nextafter, 1, 0)
heaviside = elementwise(np.heaviside, 0, lambda y, x, at_zero: _is_zero(x), kink=lambda x, at_zero: x)

floor = elementwise(np.floor, 0, kink=_between_whole_numbers)
ceil = elementwise(np.ceil, 0, kink=_between_whole_numbers)
trunc = elementwise(np.trunc, 0, kink=_between_whole_numbers)
rint = elementwise(np.rint, 0, kink=lambda x: np.cos(np.pi * x))


@implements(np.fix)
def fix(x: Array, out: Array = None) -> Array:
    refuse_out("fix", out)
    return trunc(x)


def _across(y: Array, z: Array, deg: bool = False) -> Array:
    """A step across z turns it by 1 / |z|; a step along the real axis does not turn a real number."""
    return (180 / np.pi if deg else 1.0) / (1j * z) if z.dtype.kind == "c" else np.zeros_like(y)


def _negative_axis(z: Array, deg: bool = False) -> Array:
    """Zero where the angle jumps."""
    return np.where(np.less(np.real(z), 0), np.imag(z), np.absolute(z)) if np.iscomplexobj(z) else z


angle = elementwise(np.angle, _across, kink=_negative_axis, takes_complex=True)


def _fraction(x: Array) -> Array:
    return np.modf(x)[0]


fraction = elementwise(_fraction, 1, kink=_between_whole_numbers)


@implements(np.modf)
def modf(x: Array, /) -> tuple[Array, Array]:
    part = fraction(x)
    return part, trunc(x).astype(part.dtype)  # real, even for integers


def _exponent(x: Array) -> Array:
    return np.frexp(x)[1]


def _mantissa(x: Array) -> Array:
    return np.frexp(x)[0]


def _from_powers_of_two(x: Array) -> Array:
    """Near a power of 2 about as large as the distance to it, from both sides."""
    size = np.absolute(_mantissa(x))  # from 1/2 to 1
    return 4 * x * (2 * size - 1) * (1 - size)


exponent = elementwise(_exponent)
mantissa = elementwise(_mantissa, lambda y, x: np.ldexp(np.ones_like(x), -exponent(x)), kink=_from_powers_of_two)
ldexp = primitive(
    np.ldexp,
    lambda g, y, x, exponent: np.ldexp(g, exponent),
    None,
    linear=True,
    examples=[([(2, 3), np.array([1, -2, 3])], {})],
)


@implements(np.frexp)
def frexp(x: Array, /) -> tuple[Array, Array]:
    return mantissa(x), exponent(x)


exp = analytic(np.exp, lambda y, x: y)
exp2 = analytic(np.exp2, lambda y, x: y * LOG_2)
expm1 = analytic(np.expm1, lambda y, x: np.exp(x))
log = analytic(np.log, lambda y, x: 1 / x, domain=(POSITIVE,))
log2 = analytic(np.log2, lambda y, x: 1 / (x * LOG_2), domain=(POSITIVE,))
log10 = analytic(np.log10, lambda y, x: LOG10_OF_E / x, domain=(POSITIVE,))
# as quotients: for the smallest x, 1 / x is infinite where g / x is not, as in the gradient of p log p
log.vjps = [lambda g, y, x: g / x]
# in single precision: where g / x has too many digits for float16, or is too large, the gradient may not be
log2.vjps = [lambda g, y, x: in_single(g) / x / LOG_2]
log10.vjps = [lambda g, y, x: in_single(g) / x * LOG10_OF_E]
log1p = analytic(np.log1p, lambda y, x: 1 / (1 + x), domain=((-1.0, np.inf),))


def decay(x: Array) -> Array:
    """e^-|x|, which never overflows."""
    if type(x) is np.ndarray and x.dtype.kind == "f":
        return np.exp(-np.absolute(x))  # copysign takes as long as the exponential
    return np.exp(np.copysign(x, -1.0))


def _sigmoid(x: Array, decay: Array) -> Array:
    is_long = type(x) is np.ndarray and x.size >= _MANY  # their signs take longer
    sign = np.greater_equal(x, 0) if is_long else np.sign(x)
    return np.maximum(decay, sign) / (1 + decay)  # 1 / (1 + e^-x), or e^x / (1 + e^x) for negative x


def _sigmoid_slope(y: Array, x: Array, decay: Array) -> Array:
    # y (1 - y) would have no digits left where y is close to 1
    if isinstance(decay, Traced):  # to be read, or to be differentiated again: the decay has a kink at 0
        return y * sigmoid(-x)
    return decay / np.square(1 + decay)


sigmoid: Op = elementwise(_sigmoid, _sigmoid_slope, shared=decay, kind="saturating")


def sigmoid_by(decay: Array, x: Array) -> Array:
    """The sigmoid of x, where the decay is known already, unless that has a history itself."""
    return sigmoid(x) if isinstance(decay, Traced) else _sigmoid(x, decay)


def sigmoid_less(target: Array, decay: Array, x: Array) -> Array:
    """The sigmoid of x less a target from 0 to 1; of arrays with all its digits, also where both are close to 1."""
    if isinstance(decay, Traced):  # to be read, or to be differentiated again, as above
        return sigmoid(x) - target
    rest = np.copysign(decay, x + 0.0) / (1 + decay)  # of -0.0, too, as of 0.0
    return (np.greater_equal(x, 0).astype(decay.dtype) - target) - rest


def above(x: Array, y: Array) -> Array:
    """x - y; or x itself where it is -∞: if y is, too, their difference would be NaN."""
    if isinstance(y, (int, float)) and y != -np.inf:  # which np.where would make a float64 array
        return x - y
    return x - np.where(np.equal(x, -np.inf), 0, y)


logaddexp = elementwise(np.logaddexp, lambda y, a, b: sigmoid(above(a, b)), lambda y, a, b: sigmoid(above(b, a)))


def _logaddexp(a: Array, b: Array) -> Array:
    """log(eᵃ + eᵇ) of many entries in a third of the time of NumPy's loop, which calls a function for each of them."""
    if getattr(a, "size", 1) < _MANY > getattr(b, "size", 1):
        return np.logaddexp(a, b)
    with np.errstate(invalid="ignore"):  # ∞ - ∞
        difference = a - b
    if type(difference) is not np.ndarray or difference.dtype.char not in "fd":
        return np.logaddexp(a, b)
    y = np.maximum(a, b) + np.log1p(np.exp(-np.absolute(difference)))
    return y if np.isfinite(y).all() else np.logaddexp(a, b)


logaddexp.compute = _logaddexp
logaddexp2 = elementwise(
    np.logaddexp2,
    lambda y, a, b: sigmoid(LOG_2 * above(a, b)),
    lambda y, a, b: sigmoid(LOG_2 * above(b, a)),
)

sin = analytic(np.sin, lambda y, x: np.cos(x))
cos = analytic(np.cos, lambda y, x: -np.sin(x))
tan = analytic(np.tan, lambda y, x: 1 + y * y, domain=((-np.pi / 2, np.pi / 2),))
# (1 - x)(1 + x) in place of 1 - x², which has few digits left next to ±1
arcsin = analytic(np.arcsin, lambda y, x: 1 / np.sqrt((1 - x) * (1 + x)), domain=((-1.0, 1.0),))
arccos = analytic(np.arccos, lambda y, x: -1 / np.sqrt((1 - x) * (1 + x)), domain=((-1.0, 1.0),))
arctan = analytic(np.arctan, lambda y, x: 1 / (1 + x * x), kind="saturating")


def _over_square(x: Array, a: Array, b: Array) -> Array:
    """x / (a² + b²), without the squares, which may be too large or too small."""
    distance = np.hypot(a, b)
    return x / distance / distance


arctan2 = elementwise(
    np.arctan2,
    lambda y, a, b: _over_square(b, a, b),
    lambda y, a, b: _over_square(-a, a, b),
    kink=lambda a, b: a,  # where b < 0 the angle jumps by 2π
)
degrees = elementwise(np.degrees, 180 / np.pi)
rad2deg = elementwise(np.rad2deg, 180 / np.pi)
radians = elementwise(np.radians, np.pi / 180)
deg2rad = elementwise(np.deg2rad, np.pi / 180)

sinh = analytic(np.sinh, lambda y, x: np.cosh(x))
cosh = analytic(np.cosh, lambda y, x: np.sinh(x))


def _sech(x: Array) -> Array:
    with np.errstate(over="ignore"):  # 1 / ∞ is 0, as it should be
        return 1 / np.cosh(x)


sech: Op = analytic(_sech, lambda y, x: -y * np.tanh(x))
# 1 - y² has no digits left where y is close to 1
tanh = analytic(np.tanh, lambda y, x: np.square(sech(x)), kind="saturating")


def _tanh_vjp(g: Array, y: Array, x: Array) -> Array:
    if type(g) is not np.ndarray or type(x) is not np.ndarray or x.dtype.char not in "fd":
        return g * np.square(sech(x))
    with np.errstate(over="ignore"):  # as in sech
        cosh = np.cosh(x)
    slope = g / cosh  # two quotients take half the time of the square of one
    slope /= cosh
    return slope


tanh.vjps = [_tanh_vjp]


def _arcsinh_slope(y: Array, x: Array) -> Array:
    # 1 / √(1 + x²), where no square overflows, and with the branch cuts of complex numbers beyond ±i
    return 1 / (np.sqrt(1 - 1j * x) * np.sqrt(1 + 1j * x) if x.dtype.kind == "c" else np.hypot(x, 1))


arcsinh = analytic(np.arcsinh, _arcsinh_slope)
arccosh = analytic(np.arccosh, lambda y, x: 1 / (np.sqrt(x - 1) * np.sqrt(x + 1)), domain=((1.0, np.inf),))
arctanh = analytic(np.arctanh, lambda y, x: 1 / ((1 - x) * (1 + x)), domain=((-1.0, 1.0),))


def _exp_of_square(x: Array, factor: float) -> Array:
    # rounding x² would cost e^x² many digits: float64 has enough of them for a smaller dtype
    if getattr(x, "dtype", np.dtype(float)).itemsize < 8:
        square = np.square(x.astype(np.float64))
        square *= factor
        return np.exp(square).astype(x.dtype)
    # in two parts, the square of its leading digits and a small rest
    x = np.clip(x, -40, 40)
    head = np.rint(16 * x)
    head /= 16  # in place, here and below: a new array for each step would take longer than the step
    rest = x - head
    rest *= x + head
    rest *= factor
    head *= head
    head *= factor
    y = np.exp(head)
    y *= np.exp(rest)
    return y


exp_of_square = elementwise(
    _exp_of_square, lambda y, x, factor: 2 * factor * x * y, examples=[([(2, 3)], {"factor": -0.5})]
)


def _is_bound(x: Array, of: Array) -> bool:
    """Whether x is a number, and `of` so long an array that clipping takes less time than comparing."""
    if type(x) not in (int, float) or type(of) is not np.ndarray or of.size < _LONG or of.dtype.char not in "fd":
        return False
    return 1e-30 < abs(x) < 1e30 or (x == 0 and math.copysign(1, x) > 0)


def larger(a: Array, b: Array) -> Array:
    """np.maximum, bit for bit; of a long array and a number in a third of the time."""
    if type(a) is np.ndarray and a.size < _LONG:
        return np.maximum(a, b)
    return _bounded(np.maximum, a, b, lambda x, bound: x.clip(bound, np.inf))


def smaller(a: Array, b: Array) -> Array:
    """np.minimum, bit for bit; of a long array and a number in a third of the time."""
    if type(a) is np.ndarray and a.size < _LONG:
        return np.minimum(a, b)
    return _bounded(np.minimum, a, b, lambda x, bound: x.clip(-np.inf, bound))


def _bounded(choose: Rule, a: Array, b: Array, clip: Rule) -> Array:
    if _is_bound(a, b):
        return clip(b, a)
    if not _is_bound(b, a):
        return choose(a, b)
    y = clip(a, b)
    return y if b else np.add(y, b, out=y)  # where both are 0, NumPy chooses the second one


def _wins(y: Array, a: Array, b: Array) -> Array:
    """1 where a > b, 1/2 where they tie, in the dtype of y: booleans beside a Python number would make float64."""
    wins = np.greater(a, b)
    if type(y) is np.ndarray and not np.count_nonzero(np.equal(a, b)):
        return wins  # the usual case, in half the time
    return 0.5 * (wins.astype(y.dtype) + np.greater_equal(a, b))


def _wins_or_is_alone(a: Array, b: Array, a_wins: Array) -> Array:
    """The same for fmax and fmin, where a number wins against NaN."""
    return np.where(np.isnan(b), ~np.isnan(a), a_wins)


maximum = elementwise(
    np.maximum,
    lambda y, a, b: _wins(y, a, b),
    lambda y, a, b: _wins(y, b, a),
    kink=lambda a, b: a - b,
    chooses="the other argument of maximum is larger",
)
maximum.compute = larger
minimum = elementwise(
    np.minimum,
    lambda y, a, b: _wins(y, b, a),
    lambda y, a, b: _wins(y, a, b),
    kink=lambda a, b: a - b,
    chooses="the other argument of minimum is smaller",
)
minimum.compute = smaller
fmax = elementwise(
    np.fmax,
    lambda y, a, b: _wins_or_is_alone(a, b, _wins(y, a, b)),
    lambda y, a, b: _wins_or_is_alone(b, a, _wins(y, b, a)),
    kink=lambda a, b: a - b,
    chooses="the other argument of fmax is larger",
)
fmin = elementwise(
    np.fmin,
    lambda y, a, b: _wins_or_is_alone(a, b, _wins(y, b, a)),
    lambda y, a, b: _wins_or_is_alone(b, a, _wins(y, a, b)),
    kink=lambda a, b: a - b,
    chooses="the other argument of fmin is smaller",
)


def _clip(x: Array, low: Array, high: Array) -> Array:
    return np.clip(x, low, high)


def _is_low(y: Array, x: Array, low: Array, high: Array) -> Array:
    return np.less(x, low) if high is None else np.less(x, low) & np.less_equal(low, high)


def _is_high(y: Array, x: Array, low: Array, high: Array) -> Array:
    # also for every x if the bounds leave no inside, since NumPy applies the upper bound last
    if low is None:
        return np.greater(x, high)
    return np.greater(x, high) | np.greater(low, high) | (np.equal(low, high) & np.equal(x, high))


def _within(y: Array, x: Array, low: Array, high: Array) -> Array:
    # 0 for NaN, as for maximum
    above = True if low is None else np.less_equal(low, x)
    below = True if high is None else np.less_equal(x, high)
    return above & below & (True if low is None or high is None else np.less(low, high))


def _distance_to_bounds(x: Array, low: Array, high: Array) -> Array:
    pairs = [(a, b) for a, b in ((x, low), (x, high), (low, high)) if a is not None and b is not None]
    return reduce(np.minimum, [np.absolute(a - b) for a, b in pairs], np.inf)


clip = elementwise(
    _clip, _within, _is_low, _is_high, kink=_distance_to_bounds, chooses="it lies beyond the bounds of clip"
)


@implements(np.clip)
def _clip_as_numpy(
    a: Array, a_min: Array = None, a_max: Array = None, out: Array = None, *, min: Array = None, max: Array = None
) -> Array:
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise UsageError("clip: a_min= and min= are the same bound, as are a_max= and max=; pass one of them")
    low = min if a_min is None else a_min
    high = max if a_max is None else a_max
    refuse_out("clip", out)
    return clip(a, low, high)


def _nan_to_num(x: Array, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Array:
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


nan_to_num = elementwise(
    _nan_to_num,
    lambda y, x, nan=0.0, posinf=None, neginf=None: np.isfinite(x),
    chooses="it is not finite, and was replaced",
)


@implements(np.nan_to_num)
def _nan_to_num_as_numpy(
    x: Array, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Array:
    if not copy:
        refuse_out("nan_to_num", x)
    return nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


def _round(x: Array, decimals: int = 0) -> Array:
    return np.round(x, decimals)


round = elementwise(
    _round,
    lambda y, x, decimals=0: np.zeros_like(x),
    kink=lambda x, decimals=0: np.cos(np.pi * x * 10.0**decimals),
)


@implements(np.round, np.around)
def _round_as_numpy(a: Array, decimals: int = 0, out: Array = None) -> Array:
    refuse_out("round", out)
    return round(a, decimals=decimals)


@cache
def nodes_and_weights() -> Any:
    """The nodes and weights of Gauss-Legendre quadrature on 40 points from -1 to 1, to the last digit."""
    x: Any = np.polynomial.legendre.leggauss(40)[0].astype(np.longdouble)
    for _ in range(3):  # Newton steps to the zeros of the Legendre polynomial; NumPy's lack a digit or two
        below, value = np.ones_like(x), x
        for k in range(2, 41):
            below, value = value, ((2 * k - 1) * x * value - (k - 1) * below) / k
        slope = 40 * (x * value - below) / (x * x - 1)
        x = x - value / slope
    return kept(x.astype(float)), kept((2 / ((1 - x * x) * slope * slope)).astype(float))


def _sine_derivative(x: Array, order: int) -> Array:
    return (-1) ** (order // 2) * (np.cos(x) if order % 2 else np.sin(x))


def _sinc_derivative_near_zero(u: Array, order: int) -> Array:
    # sin u / u is the mean of cos(tu) for t from 0 to 1, which avoids 0 / 0 at any order. Close to 0, its Taylor series
    # Σ ±uᵐ / ((m + order + 1) m!) takes a tenth of the time of quadrature
    if order <= 2:
        powers = range(order % 2, 32, 2)
        signs = [(-1) ** ((m + order) // 2) for m in powers]
        terms = [sign / ((m + order + 1) * math.factorial(m)) for sign, m in zip(signs, powers)]
        square = u * u
        series = reduce(lambda total, term: total * square + term, reversed(terms))
        return series * u if order % 2 else series
    nodes, weights = nodes_and_weights()
    t = (nodes + 1) / 2
    return np.sum(weights / 2 * t**order * _sine_derivative(np.expand_dims(u, -1) * t, order + 1), axis=-1)


def _sinc_derivative(x: Array, order: int) -> Array:
    # far from 0, the derivatives follow one after another from u · (sin u / u) = sin u
    u = np.pi * x
    near = np.less(np.absolute(u), order + 1 if order <= 2 else 2 * order + 2)
    mean = _sinc_derivative_near_zero(np.where(near, u, 0), order)
    far = np.where(near, 1, u)
    angle = np.where(near, 1, np.pi * (x - 2 * np.rint(x / 2)))  # without whole turns, which would cost digits
    quotient = np.sin(angle) / far
    for k in range(1, order + 1):
        quotient = (_sine_derivative(angle, k) - k * quotient) / far
    return (np.pi**order * np.where(near, mean, quotient)).astype(x.dtype)


sinc_derivative: Op = elementwise(
    _sinc_derivative,
    lambda y, x, order: sinc_derivative(x, order=order + 1),
    examples=[([(2, 3)], {"order": 1}), ([(2, 3)], {"order": 4})],
)
# the derivative of sin(πx) / (πx) as a quotient would have no digits left close to 0
sinc = elementwise(np.sinc, lambda y, x: sinc_derivative(x, order=1))


def _i0_derivative(x: Array, order: int) -> Array:
    # the mean of e^(x cos t) cosⁿ t over the circle, with opposite points combined; 256 points give all digits up to
    # where i0 overflows
    cosine = np.cos(np.pi / 128 * (np.arange(64) + 0.5))
    exponential = np.sinh if order % 2 else np.cosh
    return np.mean(exponential(np.expand_dims(x, -1) * cosine) * cosine**order, axis=-1).astype(x.dtype)


i0_derivative: Op = elementwise(
    _i0_derivative,
    lambda y, x, order: i0_derivative(x, order=order + 1),
    examples=[([(2, 3)], {"order": 1}), ([(2, 3)], {"order": 4})],
)
i0 = elementwise(np.i0, lambda y, x: i0_derivative(x, order=1))
